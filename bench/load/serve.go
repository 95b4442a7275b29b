package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
	"github.com/seawall-security/seawall/internal/store/sql"
)

// serve serves the webhook until in ends.
func serve(ctx context.Context, address, policies string, in io.Reader, out io.Writer) error {
	dir, err := os.MkdirTemp("", "seawall-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	known, err := sql.OpenSQLite(ctx, filepath.Join(dir, "store.db"))
	if err != nil {
		return err
	}
	defer known.Close()
	set, err := policySet(policies)
	if err != nil {
		return err
	}
	handler, err := newHandler(ctx, known, set)
	if err != nil {
		return err
	}
	listener, certificate, authority, err := listen(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { _ = handler.Run(ctx) })
	server := &http.Server{Handler: &timed{next: handler}, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}}
	work.Go(func() { _ = server.ServeTLS(listener, "", "") })
	pod, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": podSpec("app-0", 0),
		"metadata": map[string]any{"generateName": "app-0-", "labels": map[string]any{"app": "app-0", "app.kubernetes.io/name": "app-0", "team": "blue", "owner": "blue"}}})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(place{"https://" + listener.Addr().String(), authority, pod}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, in); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	cancel()
	err = server.Close()
	work.Wait()
	return err
}

// policySet are a file's policies, or the library and more of its kinds.
func policySet(file string) (*policy.Set, error) {
	if file != "" {
		return policy.Load([]string{file})
	}
	set := &policy.Set{}
	add := func(text string) error {
		s, err := policy.Parse("load", []byte(text))
		if err == nil {
			set.Policies = append(set.Policies, s.Policies...)
		}
		return err
	}
	for _, name := range library.Names() {
		text, _ := library.Text(name)
		// What the library asks beyond this load's images is in the way of letting them pass.
		if err := add(strings.Replace(string(text), "spec:\n", "spec:\n  unknownImages: allow-and-scan\n", 1)); err != nil {
			return nil, err
		}
	}
	for i := len(set.Policies); i < 20; i++ {
		err := add(fmt.Sprintf(`apiVersion: seawall.io/v1alpha1
kind: Policy
metadata: {name: more-%d}
spec:
  phases: [deploy]
  rules:
  - {name: packages, when: 'finding.kind == "vulnerability" && finding.package.name == "package-%d" && finding.severity == "critical"', action: block}
  - {name: registry, when: 'image.registry == "forbidden-%d.example"', action: block, message: is from elsewhere}
`, i, i, i))
		if err != nil {
			return nil, err
		}
	}
	return set, nil
}

// newHandler has the policies, and knows the images.
func newHandler(ctx context.Context, known store.Store, set *policy.Set) (*admission.Handler, error) {
	snapshot, err := admission.NewSnapshot(set, []string{"seawall.io/pod-security-"})
	if err != nil {
		return nil, err
	}
	controls, err := kubernetes.New(kubernetes.Options{})
	if err != nil {
		return nil, err
	}
	for n := range templates {
		if err := known.PutVerdict(ctx, verdict(n)); err != nil {
			return nil, err
		}
	}
	return admission.New(admission.Config{
		Policies: func() *admission.Snapshot { return snapshot }, Cluster: "load", Metrics: prometheus.NewRegistry(),
		Verdicts: known, Sightings: known, Reviews: known, Verifier: signed{},
		Detectors: []detect.Detector{controls}, Frameworks: compliance.NewMapper().Frameworks,
		Namespace: func(_ context.Context, name string) (map[string]any, error) {
			return map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": map[string]any{"seawall.io/pod-security-enforce": "restricted"}}}, nil
		},
	})
}

// signed says that every image is.
type signed struct{}

// Verify implements admission.Verifier.
func (signed) Verify(context.Context, admission.Image) (*seawall.Verification, error) {
	return &seawall.Verification{Verified: true, Signatures: []seawall.Signature{{Signer: "us"}}}, nil
}

// verdict is the scan of a template's image: 500 findings that no policy minds.
func verdict(n int) *store.Verdict {
	now := time.Now()
	v := &store.Verdict{Digest: digest(n), Packages: 400, Scanned: now, Scanner: "load",
		Asset: seawall.Asset{ID: digest(n), Kind: seawall.AssetImage, Digest: digest(n), Image: &seawall.ImageInfo{Created: now.Format(time.RFC3339)}}}
	for i := range 500 {
		id := fmt.Sprintf("CVE-2026-%d", i)
		v.Findings = append(v.Findings, seawall.Finding{ID: fmt.Sprintf("%d-%d", n, i), Kind: seawall.KindVulnerability, Rule: id, Title: "package: " + id, Severity: seawall.SeverityMedium,
			Status: seawall.StatusFail, Package: &seawall.PackageRef{Name: fmt.Sprint("package-", i)}, Vulnerability: &seawall.Vulnerability{ID: id, State: seawall.StateAffected}})
	}
	return v
}

// timed keeps the time that each answer took.
type timed struct {
	next  http.Handler
	mu    sync.Mutex
	times durations
}

// ServeHTTP implements http.Handler.
func (t *timed) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/times" {
		t.mu.Lock()
		times := t.times
		t.times = nil
		t.mu.Unlock()
		_ = json.NewEncoder(w).Encode(append(durations{}, times...))
		return
	}
	start := time.Now()
	t.next.ServeHTTP(w, req)
	took := time.Since(start)
	t.mu.Lock()
	t.times = append(t.times, took)
	t.mu.Unlock()
}

// listen is a listener, a certificate for its address, and who signed it.
func listen(address string) (net.Listener, tls.Certificate, []byte, error) {
	none := tls.Certificate{}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, none, nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, none, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "load"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, none, nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, none, nil, err
	}
	return listener, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
