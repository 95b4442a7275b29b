package notary_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/testhelper"
	notation "github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/signer"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/verify"
	"github.com/seawall-security/seawall/internal/verify/notary"
)

const jws, cose = "application/jose+json", "application/cose"

var manifest = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("manifest"), Size: 8}

func sign(t testing.TB, mediaType string, d ocispec.Descriptor, expiry time.Duration) []byte {
	t.Helper()
	leaf, root := testhelper.GetECLeafCertificate(), testhelper.GetECRootCertificate()
	s, err := signer.NewGenericSigner(leaf.PrivateKey, []*x509.Certificate{leaf.Cert, root.Cert})
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := s.Sign(t.Context(), d, notation.SignerSignOptions{SignatureMediaType: mediaType, ExpiryDuration: expiry})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// store writes a certificate below dir.
func store(t testing.TB, cert *x509.Certificate, elem ...string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(append([]string{dir}, elem...)...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func judge(t testing.TB, p verify.Policy, m verify.Material, s verify.Subject) verify.Result {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	j, err := notary.New(&p)
	if err != nil {
		t.Fatal(err)
	}
	return verify.Run(t.Context(), []verify.Judge{j}, []verify.Material{m}, s, &p).Signatures[0]
}

func subject(d ocispec.Descriptor) verify.Subject {
	return verify.Subject{Digest: d.Digest.String(), MediaType: d.MediaType, Size: d.Size}
}

func TestJudge(t *testing.T) {
	root := testhelper.GetECRootCertificate().Cert
	flat := store(t, root, "ca.pem")
	name := testhelper.GetECLeafCertificate().Cert.Subject.String()
	other := ocispec.Descriptor{MediaType: manifest.MediaType, Digest: digest.FromString("other"), Size: 8}
	for _, mediaType := range []string{jws, cose} {
		sound := sign(t, mediaType, manifest, 0)
		for _, c := range []struct {
			name    string
			content []byte
			dir     string
			who     verify.Pattern
			subject verify.Subject
			want    verify.Reason
		}{
			{name: "sound"},
			{name: "Notation's own directory", dir: store(t, root, "truststore", "x509", "ca", "acme", "root.crt")},
			{name: "its trust store", dir: store(t, root, "x509", "ca", "acme", "root.crt")},
			{name: "by name", who: verify.Pattern{Exact: name}},
			{name: "another name", who: verify.Pattern{Exact: "CN=x"}, want: verify.ReasonWrongIdentity},
			{name: "another authority", dir: store(t, testhelper.GetRSARootCertificate().Cert, "ca.pem"), want: verify.ReasonUntrusted},
			{name: "trusted for timestamps only", dir: store(t, root, "x509", "tsa", "acme", "root.crt"), want: verify.ReasonUntrusted},
			{name: "another image", subject: subject(other), want: verify.ReasonWrongDigest},
			{name: "another size", subject: verify.Subject{Digest: manifest.Digest.String(), MediaType: manifest.MediaType, Size: 9}, want: verify.ReasonWrongDigest},
			{name: "changed", content: bytes.Replace(sound, sound[len(sound)/2:len(sound)/2+4], []byte("AAAA"), 1), want: verify.ReasonTampered},
			{name: "empty", content: []byte{}, want: verify.ReasonTampered},
			{name: "a file", subject: verify.Subject{Digest: manifest.Digest.String()}, want: verify.ReasonUnsupported},
		} {
			t.Run(filepath.Base(mediaType)+"/"+c.name, func(t *testing.T) {
				p := verify.Policy{TrustStore: flat, Type: verify.TypeSignature}
				if c.dir != "" {
					p.TrustStore = c.dir
				}
				if !c.who.Empty() {
					p.Identities = []verify.Identity{{Subject: c.who}}
				}
				if c.subject.Digest == "" {
					c.subject = subject(manifest)
				}
				m := verify.Material{Format: verify.FormatNotary, MediaType: mediaType, Content: sound}
				if c.content != nil {
					m.Content = c.content
				}
				got := judge(t, p, m, c.subject)
				if got.Reason != c.want || got.Verified != (c.want == verify.ReasonNone) {
					t.Errorf("verified %t, reason %q (%s), want %q", got.Verified, got.Reason, got.Detail, c.want)
				}
				if c.want == verify.ReasonNone && got.Signer != name {
					t.Errorf("signer %q, want %q", got.Signer, name)
				}
			})
		}
	}
}

func TestExpired(t *testing.T) {
	p := verify.Policy{TrustStore: store(t, testhelper.GetECRootCertificate().Cert, "ca.pem")}
	content := sign(t, jws, manifest, time.Second)
	for end := time.Now().Add(time.Second); !time.Now().After(end); {
		time.Sleep(100 * time.Millisecond)
	}
	if got := judge(t, p, verify.Material{Format: verify.FormatNotary, MediaType: jws, Content: content}, subject(manifest)); got.Reason != verify.ReasonExpired {
		t.Errorf("reason %q (%s)", got.Reason, got.Detail)
	}
}

func TestTrustStoreErrors(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "ca.pem"), []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"missing": filepath.Join(broken, "x"), "empty": t.TempDir(), "broken": broken} {
		if _, err := notary.New(&verify.Policy{TrustStore: dir}); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, mediaType := range []string{jws, cose} {
		f.Add(sign(f, mediaType, manifest, 0), mediaType == jws)
	}
	p := verify.Policy{TrustStore: store(f, testhelper.GetRSARootCertificate().Cert, "ca.pem")} // trusts another authority
	f.Fuzz(func(t *testing.T, content []byte, isJWS bool) {
		m := verify.Material{Format: verify.FormatNotary, MediaType: cose, Content: content}
		if isJWS {
			m.MediaType = jws
		}
		if got := judge(t, p, m, subject(manifest)); got.Verified || got.Detail == "" {
			t.Errorf("%+v", got)
		}
	})
}
