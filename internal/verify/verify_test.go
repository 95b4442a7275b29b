package verify_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/verify"
)

func TestPolicyCheck(t *testing.T) {
	id := func(subject, issuer string) []verify.Identity {
		return []verify.Identity{{Subject: verify.Pattern{Exact: subject}, Issuer: verify.Pattern{Exact: issuer}}}
	}
	key := []byte("key")
	for name, c := range map[string]struct {
		p  verify.Policy
		ok bool
	}{
		"zero":                    {verify.Policy{}, false},
		"key":                     {verify.Policy{Key: key}, true},
		"identity":                {verify.Policy{Identities: id("a", "b")}, true},
		"key and identity":        {verify.Policy{Key: key, Identities: id("a", "b")}, false},
		"no issuer":               {verify.Policy{Identities: id("a", "")}, false},
		"no subject":              {verify.Policy{Identities: id("", "b")}, false},
		"one of two incomplete":   {verify.Policy{Identities: append(id("a", "b"), id("a", "")...)}, false},
		"bad expression":          {verify.Policy{Identities: []verify.Identity{{Subject: verify.Pattern{Regexp: "("}, Issuer: verify.Pattern{Exact: "b"}}}}, false},
		"trust store":             {verify.Policy{TrustStore: "x"}, true},
		"trust store, name":       {verify.Policy{TrustStore: "x", Identities: id("CN=a", "")}, true},
		"trust store, issuer":     {verify.Policy{TrustStore: "x", Identities: id("CN=a", "b")}, false},
		"trust store, empty name": {verify.Policy{TrustStore: "x", Identities: id("", "")}, false},
		"trust store, key":        {verify.Policy{TrustStore: "x", Key: key}, false},
		"trust store, root":       {verify.Policy{TrustStore: "x", TrustedRoot: []byte("{}")}, false},
		"builder":                 {verify.Policy{Key: key, Type: "slsaprovenance", Builder: verify.Pattern{Exact: "b"}}, true},
		"builder of a signature":  {verify.Policy{Key: key, Type: verify.TypeSignature, Builder: verify.Pattern{Exact: "b"}}, false},
		"builder of an SBOM":      {verify.Policy{Key: key, Type: "sbom", Builder: verify.Pattern{Exact: "b"}}, false},
		"builder, full type":      {verify.Policy{Key: key, Type: "https://slsa.dev/provenance/v1", Builder: verify.Pattern{Exact: "b"}}, true},
		"builder, bad expression": {verify.Policy{Key: key, Type: "slsa", Builder: verify.Pattern{Regexp: "["}}, false},
	} {
		err := c.p.Check()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fixed is a judge of everything that answers by what the material's content says.
type fixed map[string]verify.Result

func (fixed) Takes(f verify.Format) bool { return f != verify.FormatNotary }

func (f fixed) Judge(_ context.Context, m verify.Material, _ verify.Subject, _ *verify.Policy) verify.Result {
	return f[string(m.Content)]
}

func TestRun(t *testing.T) {
	judge := fixed{
		"plain":      {Verified: true, Signer: "a"},
		"cosign 3":   {Verified: true, Signer: "a", Type: "https://sigstore.dev/cosign/sign/v1"},
		"provenance": {Verified: true, Signer: "a", Type: "https://slsa.dev/provenance/v1", Builder: "ci"},
		"spdx 2.3":   {Verified: true, Signer: "a", Type: "https://spdx.dev/Document/v2.3"},
		"stranger":   {Reason: verify.ReasonWrongIdentity, Detail: "stranger"},
		"junk":       {Reason: verify.ReasonMalformed, Detail: "junk"},
	}
	key := []byte("key")
	for _, c := range []struct {
		name  string
		p     verify.Policy
		found []string
		want  verify.Reason
		facts []seawall.Signature
	}{
		{"nothing", verify.Policy{Key: key}, nil, verify.ReasonNoSignature, nil},
		{"one is enough", verify.Policy{Key: key, Type: verify.TypeSignature}, []string{"junk", "stranger", "plain"}, "", []seawall.Signature{{Digest: "d", Kind: "signature", Signer: "a"}}},
		{"cosign 3's is a signature", verify.Policy{Key: key, Type: verify.TypeSignature}, []string{"cosign 3"}, "", []seawall.Signature{{Digest: "d", Kind: "https://sigstore.dev/cosign/sign/v1", Signer: "a"}}},
		{"the furthest counts", verify.Policy{Key: key}, []string{"junk", "stranger", "junk"}, verify.ReasonWrongIdentity, nil},
		{"provenance is no signature", verify.Policy{Key: key, Type: verify.TypeSignature}, []string{"provenance"}, verify.ReasonWrongType, nil},
		{"provenance is something", verify.Policy{Key: key}, []string{"provenance"}, "", []seawall.Signature{{Digest: "d", Kind: "https://slsa.dev/provenance/v1", Signer: "a", Builder: "ci"}}},
		{"by short name", verify.Policy{Key: key, Type: "SBOM"}, []string{"plain", "spdx 2.3"}, "", []seawall.Signature{{Digest: "d", Kind: "https://spdx.dev/Document/v2.3", Signer: "a"}}},
		{"by full name", verify.Policy{Key: key, Type: "https://spdx.dev/Document/v2.3"}, []string{"spdx 2.3"}, "", []seawall.Signature{{Digest: "d", Kind: "https://spdx.dev/Document/v2.3", Signer: "a"}}},
		{"not by a part of it", verify.Policy{Key: key, Type: "https://spdx.dev/Document/v2"}, []string{"spdx 2.3"}, verify.ReasonWrongType, nil},
		{"builder", verify.Policy{Key: key, Type: "slsa", Builder: verify.Pattern{Regexp: "^ci$"}}, []string{"provenance"}, "", []seawall.Signature{{Digest: "d", Kind: "https://slsa.dev/provenance/v1", Signer: "a", Builder: "ci"}}},
		{"other builder", verify.Policy{Key: key, Type: "slsa", Builder: verify.Pattern{Exact: "c"}}, []string{"provenance"}, verify.ReasonWrongBuilder, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var found []verify.Material
			for _, content := range c.found {
				found = append(found, verify.Material{Format: verify.FormatBundle, Content: []byte(content), Place: content})
			}
			v := verify.Run(t.Context(), []verify.Judge{judge}, found, verify.Subject{Digest: "d"}, &c.p)
			if v.Reason != c.want || v.Verified != (c.want == "") || (v.Detail == "") != v.Verified {
				t.Errorf("%+v", v)
			}
			var got []seawall.Signature
			for _, f := range v.Facts() {
				got = append(got, *f.Signature)
			}
			if diff := cmp.Diff(c.facts, got); diff != "" {
				t.Errorf("facts (-want +got)\n%s", diff)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		m    verify.Material
		want verify.Reason
	}{
		"nobody takes it": {verify.Material{Format: verify.FormatNotary}, verify.ReasonUnsupported},
		"unreadable":      {verify.Material{Format: verify.FormatBundle, Err: seawall.ErrCorrupt}, verify.ReasonMalformed},
		"too large":       {verify.Material{Format: verify.FormatBundle, Content: make([]byte, verify.MaxContent+1)}, verify.ReasonUnsupported},
	} {
		v := verify.Run(t.Context(), []verify.Judge{fixed{"": {Verified: true}}}, []verify.Material{c.m}, verify.Subject{}, &verify.Policy{Key: []byte("k")})
		if v.Verified || v.Reason != c.want {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestCheckStatement(t *testing.T) {
	const v1 = `{"_type":"https://in-toto.io/Statement/v1","predicateType":`
	for _, c := range []struct {
		payloadType, payload string
		want                 verify.Result
	}{
		{"application/vnd.in-toto+json", v1 + `"https://example.org/x","predicate":[1]}`, verify.Result{Type: "https://example.org/x"}},
		{"application/vnd.in-toto+json", v1 + `"https://example.org/x","predicate":{"builder":{"id":"b"}}}`, verify.Result{Type: "https://example.org/x"}},
		{"application/vnd.in-toto+json", v1 + `"https://slsa.dev/provenance/v1","predicate":{"runDetails":{"builder":{"id":"b"}}}}`, verify.Result{Type: "https://slsa.dev/provenance/v1", Builder: "b"}},
		{"application/vnd.in-toto+json", v1 + `"https://slsa.dev/provenance/v0.2","predicate":{"builder":{"id":"b"}}}`, verify.Result{Type: "https://slsa.dev/provenance/v0.2", Builder: "b"}},
		{"application/vnd.in-toto+json", v1 + `"https://slsa.dev/provenance/v1","predicate":"x"}`, verify.Result{Type: "https://slsa.dev/provenance/v1", Reason: verify.ReasonMalformed}},
		{"application/vnd.in-toto+json", v1 + `"https://slsa.dev/provenance/v1"}`, verify.Result{Type: "https://slsa.dev/provenance/v1", Reason: verify.ReasonMalformed}},
		{"application/vnd.in-toto+json", v1 + `""}`, verify.Result{Reason: verify.ReasonMalformed}},
		{"application/vnd.in-toto+json", `{"predicateType":"x"}`, verify.Result{Reason: verify.ReasonMalformed}},
		{"application/vnd.in-toto+json", `x`, verify.Result{Reason: verify.ReasonMalformed}},
		{"text/plain", v1 + `"x"}`, verify.Result{Reason: verify.ReasonUnsupported}},
	} {
		var got verify.Result
		verify.CheckStatement(c.payloadType, []byte(c.payload), &got)
		got.Detail = ""
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.payload, diff)
		}
	}
}

func TestCache(t *testing.T) {
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	dir := filepath.Join(t.TempDir(), "verdicts")
	c := verify.NewCache(dir, func() time.Time { return now })
	store := t.TempDir()
	p := verify.Policy{TrustStore: store}
	key := func(digest, trust string) string {
		t.Helper()
		k, err := p.CacheKey(digest, trust)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := key("d", "r")
	if err := c.Put(first, verify.Verdict{Digest: "d", Verified: true}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if v, ok := c.Get(key("d", "r")); !ok || !v.Verified || !v.Cached {
		t.Errorf("%+v %t", v, ok)
	}
	for name, k := range map[string]string{"digest": key("e", "r"), "trust": key("d", "s")} {
		if _, ok := c.Get(k); ok {
			t.Error("found under another", name)
		}
	}
	if err := os.WriteFile(filepath.Join(store, "ca.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key("d", "r") == first {
		t.Error("the trust store's content does not count")
	}
	now = now.Add(time.Hour)
	if _, ok := c.Get(first); ok {
		t.Error("an expired verdict counts")
	}
	now = now.Add(-time.Hour)
	if err := os.WriteFile(filepath.Join(dir, first+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get(first); ok {
		t.Error("a damaged file counts")
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
}
