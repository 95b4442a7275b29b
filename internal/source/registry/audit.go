package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seawall-security/seawall/internal/seawall"
)

// probeTimeout bounds one question about the registry itself.
const probeTimeout = 20 * time.Second

// audit asks a registry about itself and writes the answers as facts; to judge
// them is for a detector. Answers are "yes", "no" or "unknown: why".
//
// Nothing is changed: requests are GET, HEAD and OPTIONS (RFC 9110 section
// 9.2.1), unless Walk.WriteProbe is set.
type audit struct {
	Walk
	*session
	now time.Time

	data  map[string]string
	facts []seawall.Fact
	// repository and tag are an image to ask about.
	repository, tag string
	banner          http.Header // of the answer to GET /v2/
}

func unknown(err error) string { return "unknown: " + err.Error() }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// transport looks at how the registry is spoken to: plain HTTP, TLS versions, the
// certificate. No credentials are sent. An error means that the registry cannot be reached.
func (a *audit) transport(ctx context.Context) error {
	a.data = map[string]string{"host": a.host}
	resp, secureErr := a.ping(ctx, "https", 0)
	if secureErr == nil {
		a.banner = resp.Header
		a.data["https"] = "yes"
		a.certificate(resp.TLS)
		a.oldVersions(ctx, resp.TLS.Version)
	} else {
		a.data["https"] = "no"
	}
	plain, plainErr := a.ping(ctx, "http", 0)
	if plainErr == nil && a.banner == nil {
		a.banner = plain.Header
	}
	if secureErr != nil && plainErr != nil {
		return secureErr
	}
	// A TLS server answers plain HTTP with 400, a careful one with a redirect.
	a.data["plainHTTP"] = yes(plainErr == nil && (plain.StatusCode == http.StatusOK || plain.StatusCode == http.StatusUnauthorized))
	return nil
}

// ping asks for /v2/ without believing the certificate and without a login;
// maxVersion is the highest TLS version offered, 0 is any.
func (a *audit) ping(ctx context.Context, scheme string, maxVersion uint16) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	t := a.base.unverified.Clone()
	t.TLSClientConfig.MinVersion, t.TLSClientConfig.MaxVersion = tls.VersionTLS10, maxVersion
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		t.TLSClientConfig.CipherSuites = append(t.TLSClientConfig.CipherSuites, suite.ID)
	}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+a.reg.RegistryStr()+"/v2/", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp, nil
}

// oldVersions tries the TLS versions that RFC 8996 retired.
func (a *audit) oldVersions(ctx context.Context, best uint16) {
	a.data["tls.version"] = tls.VersionName(best)
	var accepted []string
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := a.ping(ctx, "https", v); err == nil {
			accepted = append(accepted, tls.VersionName(v))
		} else if !refused(err) {
			a.data["tls.old"] = unknown(err)
		}
	}
	if len(accepted) > 0 {
		a.data["tls.old"] = "yes"
		a.data["tls.accepted"] = strings.Join(accepted, ", ")
	} else if a.data["tls.old"] == "" {
		a.data["tls.old"] = "no"
	}
}

// refused tells a handshake that the server would not do from a fault of the network.
func refused(err error) bool {
	var alert tls.AlertError
	var op *net.OpError
	return errors.As(err, &alert) || errors.As(err, &op) && op.Op == "remote error" ||
		errors.Is(err, io.EOF) || strings.Contains(err.Error(), "unsupported protocol version") || strings.Contains(err.Error(), "connection reset")
}

// certificate judges the server's certificate by what this machine believes, its dates apart.
func (a *audit) certificate(state *tls.ConnectionState) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return
	}
	leaf := state.PeerCertificates[0]
	d := a.data
	d["certificate.subject"], d["certificate.issuer"] = leaf.Subject.String(), leaf.Issuer.String()
	d["certificate.notBefore"], d["certificate.notAfter"] = leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)
	d["certificate.trust"] = a.trust(state.PeerCertificates)
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		d["certificate.key"] = "RSA " + strconv.Itoa(key.N.BitLen())
		d["certificate.weak"] = yes(key.N.BitLen() < 2048)
	case *ecdsa.PublicKey:
		d["certificate.key"] = "ECDSA " + strconv.Itoa(key.Params().BitSize)
		d["certificate.weak"] = yes(key.Params().BitSize < 224)
	default:
		d["certificate.weak"] = "no"
	}
	switch leaf.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		d["certificate.weak"] = "yes"
		d["certificate.key"] += ", signed with " + leaf.SignatureAlgorithm.String()
	}
}

// trust is "yes", "self-signed", "hostname" or why the chain is not believed.
func (a *audit) trust(chain []*x509.Certificate) string {
	leaf := chain[0]
	host := a.reg.RegistryStr()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	at := a.now
	if at.Before(leaf.NotBefore) || at.After(leaf.NotAfter) {
		at = leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2) // expiry is judged apart
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: a.base.roots, Intermediates: between, CurrentTime: at})
	switch {
	case err != nil && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil:
		return "self-signed"
	case err != nil:
		return err.Error()
	case leaf.VerifyHostname(host) != nil:
		return "hostname"
	}
	return "yes"
}

// content notes what the walk saw: how old repositories are, tags that moved, what was left out.
func (a *audit) content(repositories []string, images []Image, m *memory, skipped map[string]int) {
	a.data["firstSeen"] = m.FirstSeen.Format(time.RFC3339)
	a.data["repositories"] = strconv.Itoa(len(repositories))
	built := map[string]time.Time{}
	for i := range images {
		img := &images[i]
		if img.Err != nil {
			continue
		}
		if a.repository == "" {
			a.repository, a.tag = img.repository, tagOf(img.Name)
		}
		if img.created.After(built[img.repository]) {
			built[img.repository] = img.created
		} else if _, ok := built[img.repository]; !ok {
			built[img.repository] = time.Time{}
		}
	}
	moved := 0
	slices.Sort(repositories)
	for _, r := range repositories {
		if at, ok := built[r]; ok {
			a.config("registry-repository", map[string]string{"repository": a.host + "/" + r, "built": at.UTC().Format(time.RFC3339)})
		}
		moved += a.movedTags(r, m.Repositories[r])
	}
	a.data["tags.moved"] = strconv.Itoa(moved)
	for reason, n := range skipped {
		a.data["skipped."+reason] = strconv.Itoa(n)
	}
}

// movedTags notes the tags of a repository that point elsewhere than at the walk before.
func (a *audit) movedTags(repository string, seen *seenRepository) (moved int) {
	if seen == nil {
		return 0
	}
	for _, tag := range sortedKeys(seen.Tags) {
		t := seen.Tags[tag]
		if t.Before == "" {
			continue
		}
		moved++
		a.config("registry-tag", map[string]string{
			"reference": a.host + "/" + repository + ":" + tag, "from": t.Before, "to": t.Digest,
			"seen": t.Since.Format(time.RFC3339), "release": yes(releaseTag(tag)),
		})
	}
	return moved
}

func (a *audit) config(kind string, data map[string]string) {
	a.facts = append(a.facts, seawall.Fact{Config: &seawall.ConfigFact{Kind: kind, Data: data}})
}

// access asks what may be done without a login, and what with ours. An error is the context's.
func (a *audit) access(ctx context.Context) error {
	a.software(ctx)
	d := a.data
	d["public"] = yes(publicHost(a.host))
	challenge, err := transport.Ping(ctx, a.reg, a.polite)
	if err != nil {
		for _, key := range []string{"anonymous.catalog", "anonymous.pull", "anonymous.push", "anonymous.delete", "account.write", "deletion"} {
			d[key] = unknown(errors.New("the connection could not be made safely"))
		}
	} else {
		d["auth"] = strings.ToLower(challenge.Scheme)
		if d["auth"] == "" {
			d["auth"] = "none"
		}
		d["anonymous.catalog"] = a.allowed(ctx, authn.Anonymous, "", "registry:catalog:*", http.MethodGet, "_catalog?n=1")
		d["anonymous.pull"] = "unknown: no image to ask for"
		if a.tag != "" {
			d["anonymous.pull"] = a.allowed(ctx, authn.Anonymous, a.repository, a.scope("pull"), http.MethodHead, "manifests/"+a.tag)
		}
		a.writing(ctx, challenge)
	}
	a.config("registry", d)
	return ctx.Err()
}

// publicHost tells registries that are meant to be pulled from by anybody.
func publicHost(host string) bool {
	return hostKind(host) == hostDockerHub || hostKind(host) == hostQuay || hostKind(host) == hostNoCatalog
}

// sample is the repository to ask about; where none is known, one that is not there.
func (a *audit) sample() string {
	if a.repository == "" {
		return "seawall/probe"
	}
	return a.repository
}

func (a *audit) scope(actions string) string { return "repository:" + a.sample() + ":" + actions }

// allowed makes one request and tells whether it was let through.
func (a *audit) allowed(ctx context.Context, auth authn.Authenticator, repository, scope, method, path string) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := a.login(ctx, auth, repository, scope)
	if err == nil {
		_, _, err = c.fetch(ctx, method, c.prefix+path, "application/json, "+manifestTypes, maxManifest)
	}
	switch status := statusOf(err); {
	case err == nil:
		return "yes"
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return "no"
	}
	return unknown(err)
}

// writing finds out who may push and delete: by what a token grants, by the
// methods offered, or, where allowed, by trying.
func (a *audit) writing(ctx context.Context, challenge *transport.Challenge) {
	d := a.data
	account, err := authn.Resolve(ctx, authn.DefaultKeychain, a.reg.Repo(a.sample()))
	if err != nil {
		account = authn.Anonymous
	}
	d["deletion"] = "unknown: the interface of registries does not tell; --write-probe tries"
	d["account.write"] = "not-applicable"
	switch d["auth"] {
	case "bearer":
		d["anonymous.push"], d["anonymous.delete"] = a.granted(ctx, authn.Anonymous, challenge)
	case "none":
		d["anonymous.push"] = a.offered(ctx)
		d["anonymous.delete"] = d["deletion"]
	default:
		d["anonymous.push"], d["anonymous.delete"] = "no", "no"
	}
	if account != authn.Anonymous {
		push, remove := "unknown: the login does not tell; --write-probe tries", ""
		if d["auth"] == "bearer" {
			push, remove = a.granted(ctx, account, challenge)
		}
		if d["account.write"] = push; remove == "yes" {
			d["account.write"] = remove
		}
	}
	if !a.WriteProbe {
		return
	}
	d["probed"] = "yes"
	d["anonymous.push"] = a.tryPush(ctx, authn.Anonymous)
	d["anonymous.delete"], d["deletion"] = a.tryDelete(ctx, authn.Anonymous)
	if account != authn.Anonymous {
		d["account.write"] = a.tryPush(ctx, account)
		_, d["deletion"] = a.tryDelete(ctx, account)
	}
}

// offered asks which methods the registry has for a manifest.
func (a *audit) offered(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := a.login(ctx, authn.Anonymous, a.sample(), a.scope("pull"))
	if err != nil {
		return unknown(err)
	}
	tag := a.tag
	if tag == "" {
		tag = "latest"
	}
	resp, err := c.do(ctx, http.MethodOptions, c.prefix+"manifests/"+tag)
	if err != nil {
		return unknown(err)
	}
	methods := strings.ToUpper(strings.Join(resp.Header.Values("Allow"), ","))
	switch {
	case strings.Contains(methods, "PUT"):
		return "yes"
	case strings.Contains(methods, "GET"):
		return "no"
	}
	return "unknown: the registry does not say which methods it allows; --write-probe tries"
}

// do makes a request whose answer's body does not matter.
func (c *client) do(ctx context.Context, method, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp, resp.Body.Close()
}

// tryPush begins an upload and takes it back: a request that merely names an
// upload would be let through by mirrors, which take none.
func (a *audit) tryPush(ctx context.Context, auth authn.Authenticator) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := a.login(ctx, auth, a.sample(), a.scope("push,pull"))
	if err != nil {
		return denied(err)
	}
	resp, err := c.do(ctx, http.MethodPost, c.prefix+"blobs/uploads/")
	if err != nil {
		return denied(err)
	}
	if resp.StatusCode != http.StatusAccepted {
		return answerOf(resp.StatusCode)
	}
	if at, err := resp.Location(); err == nil && at.Host == a.reg.RegistryStr() {
		_, _ = c.do(ctx, http.MethodDelete, at.String())
	}
	return "yes"
}

// tryDelete asks to remove a manifest that is not there: nobody can have made
// one with a random digest. deletion tells whether the registry deletes at all.
func (a *audit) tryDelete(ctx context.Context, auth authn.Authenticator) (allowed, deletion string) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := a.login(ctx, auth, a.sample(), a.scope("delete"))
	if err != nil {
		return denied(err), unknown(err)
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	resp, err := c.do(ctx, http.MethodDelete, c.prefix+"manifests/sha256:"+hex.EncodeToString(random[:]))
	if err != nil {
		return denied(err), unknown(err)
	}
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed:
		return "no", "no"
	case http.StatusNotFound, http.StatusAccepted, http.StatusOK:
		return "yes", "yes"
	}
	answer := answerOf(resp.StatusCode)
	return answer, "unknown: " + fmt.Sprintf("the registry answered %d", resp.StatusCode)
}

func answerOf(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return "no"
	}
	return fmt.Sprintf("unknown: the registry answered %d", status)
}

// denied is what a login that failed says of a permission.
func denied(err error) string {
	if status := statusOf(err); status != 0 {
		return answerOf(status)
	}
	return unknown(err)
}
