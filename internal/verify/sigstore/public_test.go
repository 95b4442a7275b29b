package sigstore_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/verify"
	"github.com/seawall-security/seawall/internal/verify/sigstore"
)

// library is sigstore-go's directory in the module cache, whose example bundles
// were made by Sigstore's real public-good instance.
func library(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func read(t testing.TB, elem ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestPublicGood: bundles of the real instance against the embedded trust root.
func TestPublicGood(t *testing.T) {
	dir := library(t)
	const (
		github   = "https://token.actions.githubusercontent.com"
		workflow = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
		sha512   = "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c"
		older    = "sha512:76176ffa33808b54602c7c35de5c6e9a4deb96066dba6533f50ac234f4f1f4c6b3527515dc17c06fbe2860030f410eee69ea20079bd3a2c6f3dcf3b329b10751"
	)
	provenance := read(t, dir, "pkg/testing/data/bundles/sigstore.js@2.0.0-provenance.sigstore.json")
	for _, c := range []struct {
		name    string
		bundle  []byte
		digest  string
		policy  verify.Policy
		want    verify.Reason
		builder string
	}{
		{name: "v1 provenance", bundle: provenance, digest: sha512, policy: verify.Policy{Identities: identity(workflow, github), Type: "slsaprovenance1"},
			builder: "https://github.com/actions/runner/github-hosted"},
		{name: "v0.2 provenance", bundle: read(t, dir, "examples/bundle-provenance.json"), digest: older,
			policy:  verify.Policy{Identities: identity(workflow, github), Type: "slsaprovenance", Builder: verify.Pattern{Regexp: "^https://github.com/"}},
			builder: "https://github.com/actions/runner"},
		{name: "of another package", bundle: provenance, digest: older, policy: verify.Policy{Identities: identity(workflow, github)}, want: verify.ReasonWrongDigest},
		{name: "another workflow", bundle: provenance, digest: sha512, policy: verify.Policy{Identities: identity(workflow+"x", github)}, want: verify.ReasonWrongIdentity},
		{name: "another issuer", bundle: provenance, digest: sha512, policy: verify.Policy{Identities: identity(workflow, "https://example.com")}, want: verify.ReasonWrongIssuer},
		{name: "not v0.2", bundle: provenance, digest: sha512, policy: verify.Policy{Identities: identity(workflow, github), Type: "slsaprovenance02"}, want: verify.ReasonWrongType},
		{name: "npm's key", bundle: read(t, dir, "examples/bundle-publish.json"), digest: older, policy: verify.Policy{Key: read(t, dir, "examples/publish_key.pub")}},
		{name: "two signatures in an envelope", bundle: read(t, dir, "pkg/testing/data/bundles/dsse-2sigs.sigstore.json"), digest: sha512,
			policy: verify.Policy{Identities: identity(workflow, github)}, want: verify.ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(t, c.policy, verify.Material{Format: verify.FormatBundle, Content: c.bundle}, verify.Subject{Digest: c.digest})
			if got.Reason != c.want || c.want == "" && (!got.Verified || got.Builder != c.builder) {
				t.Errorf("verified %t, reason %q (%s), builder %q; want reason %q, builder %q", got.Verified, got.Reason, got.Detail, got.Builder, c.want, c.builder)
			}
		})
	}
}

// TestEmbeddedRoot: the embedded trust root is the file that Sigstore's signed targets name.
func TestEmbeddedRoot(t *testing.T) {
	raw := read(t, "public-good.json")
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != "6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66" {
		t.Errorf("the embedded trust root was changed: sha256 %s; note its source and date in sigstore.go", got)
	}
	var doc struct{ Tlogs, Ctlogs, CertificateAuthorities, TimestampAuthorities []any }
	if err := json.Unmarshal(raw, &doc); err != nil || len(doc.Tlogs) != 2 || len(doc.Ctlogs) != 2 || len(doc.CertificateAuthorities) != 2 || len(doc.TimestampAuthorities) != 1 {
		t.Errorf("%v, %+v", err, doc)
	}
}

// TestOneByteChanged: no single changed byte of a real bundle may leave it
// verified as something else. Where it still verifies, the same is proved.
func TestOneByteChanged(t *testing.T) {
	raw := read(t, library(t), "pkg/testing/data/bundles/sigstore.js@2.0.0-provenance.sigstore.json")
	p := verify.Policy{Identities: []verify.Identity{{Subject: verify.Pattern{Regexp: "sigstore-js"}, Issuer: verify.Pattern{Regexp: "."}}}}
	s := verify.Subject{Digest: "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c"}
	sound := judge(t, p, verify.Material{Format: verify.FormatBundle, Content: raw}, s)
	if !sound.Verified {
		t.Fatal(sound.Detail)
	}
	for at := 0; at < len(raw); at += 37 {
		changed := append([]byte(nil), raw...)
		changed[at] ^= 1
		got := judge(t, p, verify.Material{Format: verify.FormatBundle, Content: changed}, s)
		if got.Verified && got != sound {
			t.Errorf("byte %d: verified as %+v", at, got)
		}
	}
}

func FuzzBundle(f *testing.F) {
	dir := library(f)
	for _, name := range []string{"dsse", "othername", "public-key-validity", "sigstore.js@2.0.0-provenance"} {
		f.Add(read(f, dir, "pkg/testing/data/bundles", name+".sigstore.json"))
	}
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"messageSignature":{}}`))
	s := verify.Subject{Digest: digestOf([]byte("not what any of them is about"))}
	p := verify.Policy{Identities: []verify.Identity{{Subject: verify.Pattern{Regexp: "."}, Issuer: verify.Pattern{Regexp: "."}}}}
	j, err := sigstore.New(&p)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, format := range []verify.Format{verify.FormatBundle, verify.FormatSimpleSigning, verify.FormatEnvelope} {
			m := verify.Material{Format: format, Content: raw, Annotations: map[string]string{
				"dev.cosignproject.cosign/signature": "MEUCIQ==", "dev.sigstore.cosign/bundle": string(raw), "dev.sigstore.cosign/certificate": string(raw),
			}}
			if got := j.Judge(t.Context(), m, s, &p); got.Verified || got.Detail == "" {
				t.Errorf("%s: %+v", format, got)
			}
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	raw := read(b, library(b), "pkg/testing/data/bundles/sigstore.js@2.0.0-provenance.sigstore.json")
	p := verify.Policy{Identities: []verify.Identity{{Subject: verify.Pattern{Regexp: "sigstore-js"}, Issuer: verify.Pattern{Regexp: "."}}}}
	s := verify.Subject{Digest: "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c"}
	m := verify.Material{Format: verify.FormatBundle, Content: raw}
	b.Run("prepared", func(b *testing.B) {
		j, err := sigstore.New(&p)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if r := j.Judge(b.Context(), m, s, &p); !r.Verified {
				b.Fatal(r.Detail)
			}
		}
	})
	b.Run("with trust root", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			j, err := sigstore.New(&p)
			if err != nil {
				b.Fatal(err)
			}
			if r := j.Judge(b.Context(), m, s, &p); !r.Verified {
				b.Fatal(r.Detail)
			}
		}
	})
}
