package sigstore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/seawall-security/seawall/internal/verify"
	"github.com/seawall-security/seawall/internal/verify/sigstore"
	"github.com/seawall-security/seawall/internal/verify/verifytest"
)

var artifact = []byte("the artifact\n")

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func subjectOf(b []byte) verify.Subject {
	return verify.Subject{Digest: digestOf(b), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// judge runs one policy over one bundle.
func judge(t testing.TB, p verify.Policy, m verify.Material, s verify.Subject) verify.Result {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	j, err := sigstore.New(&p)
	if err != nil {
		t.Fatal(err)
	}
	v := verify.Run(t.Context(), []verify.Judge{j}, []verify.Material{m}, s, &p)
	if len(v.Signatures) != 1 || v.Verified != v.Signatures[0].Verified || v.Verified == (v.Reason != verify.ReasonNone) {
		t.Fatalf("inconsistent verdict: %+v", v)
	}
	return v.Signatures[0]
}

func identity(subject, issuer string) []verify.Identity {
	return []verify.Identity{{Subject: verify.Pattern{Exact: subject}, Issuer: verify.Pattern{Exact: issuer}}}
}

func believed() []verify.Identity { return identity(verifytest.Identity, verifytest.Issuer) }

// TestEveryVersion: each form of bundle verifies, by key and by certificate,
// given the file or its digest.
func TestEveryVersion(t *testing.T) {
	s := verifytest.New(t)
	key, public := s.Key()
	trusted := s.TrustedRoot(verifytest.Parts{})
	for _, version := range []string{"0.1", "0.2", "0.3"} {
		for _, statement := range [][]byte{nil, verifytest.Statement(digestOf(artifact), "https://example.org/x", `{}`)} {
			r := verifytest.Request{Artifact: artifact, Statement: statement, Version: version}
			byCertificate := verify.Policy{Identities: believed(), TrustedRoot: trusted}
			byKey := verify.Policy{Key: public, TrustedRoot: trusted}
			for name, c := range map[string]struct {
				p   verify.Policy
				key bool
			}{"certificate": {p: byCertificate}, "key": {p: byKey, key: true}} {
				t.Run(fmt.Sprintf("%s/%s/statement=%t", version, name, statement != nil), func(t *testing.T) {
					r := r
					if c.key {
						r.Key = key
					}
					m := verify.Material{Format: verify.FormatBundle, Content: s.JSON(s.Sign(r).Bundle)}
					for _, subject := range []verify.Subject{subjectOf(artifact), {Digest: digestOf(artifact)}} {
						got := judge(t, c.p, m, subject)
						want := verify.Result{Verified: true, Format: verify.FormatBundle, Signer: verifytest.Identity, Issuer: verifytest.Issuer, Logged: true}
						if c.key {
							want.Signer, want.Issuer = got.Signer, ""
							if !strings.HasPrefix(got.Signer, "key sha256:") {
								t.Errorf("signer %q", got.Signer)
							}
						}
						if statement != nil {
							want.Type = "https://example.org/x"
						}
						if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(verify.Result{}, "Signed")); diff != "" {
							t.Errorf("(-want +got)\n%s", diff)
						}
						if d := time.Since(got.Signed); d < -time.Minute || d > time.Minute {
							t.Errorf("signed at %s", got.Signed)
						}
					}
				})
			}
		}
	}
}

// tampering is one way a signature can be wrong.
type tampering struct {
	name    string
	request verifytest.Request
	// policy changes what is asked for, bundle what is stored, content its JSON.
	policy  func(*verify.Policy)
	bundle  func(*protobundle.Bundle)
	content func([]byte) []byte
	subject []byte
	want    verify.Reason
}

func entry(b *protobundle.Bundle) *protorekor.TransparencyLogEntry {
	return b.VerificationMaterial.TlogEntries[0]
}

func flip(b []byte) []byte {
	out := bytes.Clone(b)
	out[len(out)-1] ^= 1
	return out
}

func tamperings(t *testing.T, s *verifytest.Sigstore) []tampering {
	key, public := s.Key()
	_, other := s.Key()
	elsewhere := verifytest.New(t)
	stamps := func(b *protobundle.Bundle) *protobundle.TimestampVerificationData {
		return b.VerificationMaterial.TimestampVerificationData
	}
	statement := verifytest.Statement(digestOf(artifact), "https://example.org/x", `{}`)
	byKey := func(pem []byte) func(*verify.Policy) {
		return func(p *verify.Policy) { p.Identities, p.Key = nil, pem }
	}
	return []tampering{
		{name: "another artifact", subject: []byte("other"), want: verify.ReasonWrongDigest},
		{name: "another artifact, attested", request: verifytest.Request{Statement: statement}, subject: []byte("other"), want: verify.ReasonWrongDigest},
		{name: "wrong identity", policy: func(p *verify.Policy) { p.Identities = identity("x@example.org", verifytest.Issuer) }, want: verify.ReasonWrongIdentity},
		{name: "part of an identity", policy: func(p *verify.Policy) { p.Identities = identity("release@example", verifytest.Issuer) }, want: verify.ReasonWrongIdentity},
		{name: "wrong issuer", policy: func(p *verify.Policy) { p.Identities = identity(verifytest.Identity, "https://example.com") }, want: verify.ReasonWrongIssuer},
		{name: "wrong by regexp", policy: func(p *verify.Policy) {
			p.Identities = []verify.Identity{{Subject: verify.Pattern{Regexp: `^.*@example\.com$`}, Issuer: verify.Pattern{Exact: verifytest.Issuer}}}
		}, want: verify.ReasonWrongIdentity},
		{name: "wrong key", request: verifytest.Request{Key: key}, policy: byKey(other), want: verify.ReasonLogInvalid},
		{name: "wrong key, nothing logged", request: verifytest.Request{Key: key, NoLog: true, NoTimestamp: true}, policy: func(p *verify.Policy) {
			byKey(other)(p)
			p.TrustedRoot = nil
		}, want: verify.ReasonWrongKey},
		{name: "another artifact, nothing logged", request: verifytest.Request{Key: key, NoLog: true, NoTimestamp: true}, subject: []byte("other"), policy: func(p *verify.Policy) {
			byKey(public)(p)
			p.TrustedRoot = nil
		}, want: verify.ReasonWrongDigest},
		{name: "another artifact and wrong key, nothing logged", request: verifytest.Request{Key: key, NoLog: true, NoTimestamp: true}, subject: []byte("other"), policy: func(p *verify.Policy) {
			byKey(other)(p)
			p.TrustedRoot = nil
		}, want: verify.ReasonWrongKey},
		{name: "certificate where a key is asked for", policy: byKey(public), want: verify.ReasonWrongKey},
		{name: "key where an identity is asked for", request: verifytest.Request{Key: key}, want: verify.ReasonWrongIdentity},
		{name: "another instance's certificate", policy: func(p *verify.Policy) {
			p.TrustedRoot = elsewhere.TrustedRoot(verifytest.Parts{NoLog: true, NoTimestamps: true})
		}, want: verify.ReasonUntrusted},
		{name: "another instance's log", policy: func(p *verify.Policy) { p.TrustedRoot = elsewhere.TrustedRoot(verifytest.Parts{}) }, want: verify.ReasonLogInvalid},
		{name: "no log entry", request: verifytest.Request{NoLog: true}, want: verify.ReasonLogMissing},
		{name: "no log entry, key", request: verifytest.Request{Key: key, NoLog: true}, policy: byKey(public), want: verify.ReasonLogMissing},
		{name: "log wanted that the trust root has not", request: verifytest.Request{Key: key}, policy: func(p *verify.Policy) {
			byKey(public)(p)
			p.RequireLog, p.TrustedRoot = true, s.TrustedRoot(verifytest.Parts{NoLog: true})
		}, want: verify.ReasonLogMissing},
		{name: "no promise in version 0.1", request: verifytest.Request{Version: "0.1"}, bundle: func(b *protobundle.Bundle) { entry(b).InclusionPromise = nil }, want: verify.ReasonLogMissing},
		{name: "no proof in version 0.2", request: verifytest.Request{Version: "0.2"}, bundle: func(b *protobundle.Bundle) { entry(b).InclusionProof = nil }, want: verify.ReasonLogMissing},
		{name: "promise of another entry", bundle: func(b *protobundle.Bundle) {
			entry(b).InclusionPromise.SignedEntryTimestamp = entry(s.Sign(verifytest.Request{Artifact: artifact}).Bundle).InclusionPromise.SignedEntryTimestamp
		}, want: verify.ReasonLogInvalid},
		{name: "bad promise", bundle: func(b *protobundle.Bundle) {
			entry(b).InclusionPromise.SignedEntryTimestamp = flip(entry(b).InclusionPromise.SignedEntryTimestamp)
		}, want: verify.ReasonLogInvalid},
		{name: "promised time moved", bundle: func(b *protobundle.Bundle) { entry(b).IntegratedTime++ }, want: verify.ReasonLogInvalid},
		{name: "bad proof", bundle: func(b *protobundle.Bundle) { entry(b).InclusionProof.RootHash = flip(entry(b).InclusionProof.RootHash) }, want: verify.ReasonLogInvalid},
		{name: "proof of another tree", bundle: func(b *protobundle.Bundle) { entry(b).InclusionProof.TreeSize = 7 }, want: verify.ReasonLogInvalid},
		{name: "bad checkpoint", bundle: func(b *protobundle.Bundle) {
			c := entry(b).InclusionProof.Checkpoint
			c.Envelope = strings.Replace(c.Envelope, "rekor", "rokor", 1)
		}, want: verify.ReasonLogInvalid},
		{name: "another signature's entry", bundle: func(b *protobundle.Bundle) {
			b.VerificationMaterial.TlogEntries = s.Sign(verifytest.Request{Artifact: []byte("other")}).Bundle.VerificationMaterial.TlogEntries
		}, want: verify.ReasonLogInvalid},
		{name: "signature changed", request: verifytest.Request{NoLog: true, NoTimestamp: true}, policy: func(p *verify.Policy) {
			p.TrustedRoot = s.TrustedRoot(verifytest.Parts{NoLog: true, NoTimestamps: true})
		}, bundle: func(b *protobundle.Bundle) {
			b.GetMessageSignature().Signature = flip(b.GetMessageSignature().Signature)
		}, want: verify.ReasonTampered},
		{name: "statement changed", request: verifytest.Request{Statement: statement, NoLog: true, NoTimestamp: true}, policy: func(p *verify.Policy) {
			p.TrustedRoot = s.TrustedRoot(verifytest.Parts{NoLog: true, NoTimestamps: true})
		}, bundle: func(b *protobundle.Bundle) {
			b.GetDsseEnvelope().Payload = bytes.Replace(b.GetDsseEnvelope().Payload, []byte("app"), []byte("apq"), 1)
		}, want: verify.ReasonTampered},
		{name: "statement without a type", request: verifytest.Request{Statement: bytes.Replace(statement, []byte(`"_type"`), []byte(`"type"`), 1)}, want: verify.ReasonMalformed},
		{name: "statement of an unknown type", request: verifytest.Request{Statement: bytes.Replace(statement, []byte(`Statement/v1`), []byte(`Statement/v9`), 1)}, want: verify.ReasonMalformed},
		{name: "certificate expired when logged", request: verifytest.Request{Start: time.Now().Add(-time.Hour), NoTimestamp: true}, want: verify.ReasonExpired},
		{name: "certificate expired when stamped", request: verifytest.Request{Start: time.Now().Add(-time.Hour), NoLog: true}, policy: func(p *verify.Policy) {
			p.TrustedRoot = s.TrustedRoot(verifytest.Parts{NoLog: true})
		}, want: verify.ReasonExpired},
		{name: "certificate expired, no proof of time wanted", request: verifytest.Request{Start: time.Now().Add(-time.Hour), NoLog: true, NoTimestamp: true}, policy: func(p *verify.Policy) {
			p.TrustedRoot = s.TrustedRoot(verifytest.Parts{NoLog: true, NoTimestamps: true})
		}, want: verify.ReasonExpired},
		{name: "nothing proves the time", request: verifytest.Request{NoLog: true, NoTimestamp: true}, policy: func(p *verify.Policy) {
			p.TrustedRoot = s.TrustedRoot(verifytest.Parts{NoLog: true})
		}, want: verify.ReasonTimestamp},
		{name: "timestamp of another signature", bundle: func(b *protobundle.Bundle) {
			b.VerificationMaterial.TimestampVerificationData = stamps(s.Sign(verifytest.Request{Artifact: artifact}).Bundle)
		}, want: verify.ReasonTimestamp},
		{name: "timestamp of another authority", bundle: func(b *protobundle.Bundle) {
			b.VerificationMaterial.TimestampVerificationData = stamps(elsewhere.Sign(verifytest.Request{Artifact: artifact}).Bundle)
		}, want: verify.ReasonTimestamp},
		{name: "not JSON", content: func([]byte) []byte { return []byte("{") }, want: verify.ReasonMalformed},
		{name: "empty", content: func([]byte) []byte { return nil }, want: verify.ReasonMalformed},
		{name: "truncated", content: func(b []byte) []byte { return b[:len(b)/2] }, want: verify.ReasonMalformed},
		{name: "a list", content: func([]byte) []byte { return []byte("[]") }, want: verify.ReasonMalformed},
		{name: "unknown field", content: func(b []byte) []byte { return append([]byte(`{"x":1,`), b[1:]...) }, want: verify.ReasonMalformed},
		{name: "no content", bundle: func(b *protobundle.Bundle) { b.Content = nil }, want: verify.ReasonMalformed},
		{name: "no certificate", bundle: func(b *protobundle.Bundle) { b.VerificationMaterial.Content = nil }, want: verify.ReasonMalformed},
		{name: "a version to come", bundle: func(b *protobundle.Bundle) { b.MediaType = "application/vnd.dev.sigstore.bundle.v0.9+json" }, want: verify.ReasonUnsupported},
		{name: "trust root that is none", policy: func(p *verify.Policy) { p.TrustedRoot = []byte(`{"mediaType":"x"}`) }, want: verify.ReasonTrustRoot},
		{name: "trust root without validity", policy: func(p *verify.Policy) {
			p.TrustedRoot = bytes.ReplaceAll(p.TrustedRoot, []byte(`"start"`), []byte(`"end"`))
		}, want: verify.ReasonTrustRoot},
	}
}

func TestTampering(t *testing.T) {
	s := verifytest.New(t)
	trusted := s.TrustedRoot(verifytest.Parts{})
	for _, c := range tamperings(t, s) {
		t.Run(c.name, func(t *testing.T) {
			if c.request.Statement == nil {
				c.request.Artifact = artifact
			}
			signed := s.Sign(c.request)
			p := verify.Policy{Identities: believed(), TrustedRoot: trusted}
			if c.policy != nil {
				c.policy(&p)
			}
			if c.bundle != nil {
				c.bundle(signed.Bundle)
			}
			m := verify.Material{Format: verify.FormatBundle, Content: s.JSON(signed.Bundle)}
			if c.content != nil {
				m.Content = c.content(m.Content)
			}
			if c.subject == nil {
				c.subject = artifact
			}
			got := judge(t, p, m, subjectOf(c.subject))
			if got.Verified || got.Reason != c.want {
				t.Errorf("verified %t, reason %q (%s), want %q", got.Verified, got.Reason, got.Detail, c.want)
			}
			if got.Detail == "" {
				t.Error("no reason in words")
			}
		})
	}
}

// TestCosignTags: the older form, read from layers and annotations.
func TestCosignTags(t *testing.T) {
	s := verifytest.New(t)
	key, public := s.Key()
	trusted := s.TrustedRoot(verifytest.Parts{})
	image := verify.Subject{Digest: digestOf([]byte("manifest"))}
	payload := verifytest.SimpleSigning(image.Digest)
	provenance := verifytest.Statement(image.Digest, "https://slsa.dev/provenance/v0.2", `{"builder":{"id":"https://ci.example.org"}}`)
	byCertificate := verify.Policy{Identities: believed(), TrustedRoot: trusted}
	byKey := verify.Policy{Key: public}
	provenanceWanted := func(builder string) verify.Policy {
		p := byCertificate
		p.Type, p.Builder.Exact = "slsaprovenance", builder
		return p
	}
	for _, c := range []struct {
		name     string
		request  verifytest.Request
		policy   verify.Policy
		payload  []byte
		image    verify.Subject
		annotate func(map[string]string)
		want     verify.Reason
	}{
		{name: "certificate", request: verifytest.Request{Artifact: payload}, policy: byCertificate},
		{name: "key alone", request: verifytest.Request{Artifact: payload, Key: key, NoLog: true, NoTimestamp: true}, policy: byKey},
		{name: "key, log demanded", request: verifytest.Request{Artifact: payload, Key: key, NoLog: true, NoTimestamp: true}, policy: verify.Policy{Key: public, RequireLog: true}, want: verify.ReasonLogMissing},
		{name: "key, logged", request: verifytest.Request{Artifact: payload, Key: key}, policy: verify.Policy{Key: public, TrustedRoot: trusted}},
		{name: "attestation", request: verifytest.Request{Statement: provenance}, policy: provenanceWanted("https://ci.example.org")},
		{name: "another builder", request: verifytest.Request{Statement: provenance}, policy: provenanceWanted("https://evil.example.org"), want: verify.ReasonWrongBuilder},
		{name: "attestation where a signature is wanted", request: verifytest.Request{Statement: provenance}, policy: verify.Policy{Identities: believed(), TrustedRoot: trusted, Type: verify.TypeSignature}, want: verify.ReasonWrongType},
		{name: "signature where provenance is wanted", request: verifytest.Request{Artifact: payload}, policy: provenanceWanted(""), want: verify.ReasonWrongType},
		{name: "payload changed", request: verifytest.Request{Artifact: payload, Key: key, NoLog: true, NoTimestamp: true}, policy: byKey, payload: append(bytes.Clone(payload), ' '), want: verify.ReasonWrongKey},
		{name: "of another image", request: verifytest.Request{Artifact: payload, Key: key, NoLog: true, NoTimestamp: true}, policy: byKey, image: verify.Subject{Digest: digestOf([]byte("x"))}, want: verify.ReasonWrongDigest},
		{name: "attestation of another image", request: verifytest.Request{Statement: provenance}, policy: provenanceWanted(""), image: verify.Subject{Digest: digestOf([]byte("x"))}, want: verify.ReasonWrongDigest},
		{name: "payload of another kind", request: verifytest.Request{Artifact: []byte(`{"critical":{}}`), Key: key, NoLog: true, NoTimestamp: true}, policy: byKey, want: verify.ReasonMalformed},
		{name: "no signature", request: verifytest.Request{Artifact: payload}, policy: byCertificate, annotate: func(m map[string]string) { delete(m, "dev.cosignproject.cosign/signature") }, want: verify.ReasonMalformed},
		{name: "log entry removed", request: verifytest.Request{Artifact: payload}, policy: byCertificate, annotate: func(m map[string]string) { delete(m, "dev.sigstore.cosign/bundle") }, want: verify.ReasonLogMissing},
		{name: "certificate removed", request: verifytest.Request{Artifact: payload}, policy: byCertificate, annotate: func(m map[string]string) { delete(m, "dev.sigstore.cosign/certificate") }, want: verify.ReasonWrongIdentity},
		{name: "log entry damaged", request: verifytest.Request{Artifact: payload}, policy: byCertificate, annotate: func(m map[string]string) { m["dev.sigstore.cosign/bundle"] = "{" }, want: verify.ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.request.Version = "0.1"
			signed := s.Sign(c.request)
			m := verify.Material{Format: verify.FormatSimpleSigning, Content: c.request.Artifact, Annotations: s.Annotations(signed)}
			if c.request.Statement != nil {
				m.Format, m.Content = verify.FormatEnvelope, s.Envelope(signed)
			}
			if c.payload != nil {
				m.Content = c.payload
			}
			if c.image.Digest == "" {
				c.image = image
			}
			if c.annotate != nil {
				c.annotate(m.Annotations)
			}
			got := judge(t, c.policy, m, c.image)
			if got.Reason != c.want || got.Verified != (c.want == verify.ReasonNone) {
				t.Errorf("verified %t, reason %q (%s), want %q", got.Verified, got.Reason, got.Detail, c.want)
			}
		})
	}
}

// TestSecondTimestamp: a sound timestamp does not excuse another, of the same
// authority, outside the certificate's validity.
func TestSecondTimestamp(t *testing.T) {
	s := verifytest.New(t)
	p := verify.Policy{Identities: believed(), TrustedRoot: s.TrustedRoot(verifytest.Parts{NoLog: true})}
	for name, c := range map[string]struct {
		at   time.Duration
		want verify.Reason
	}{"inside": {time.Second, verify.ReasonNone}, "before": {-90 * time.Second, verify.ReasonExpired}} {
		signed := s.Sign(verifytest.Request{Artifact: artifact, NoLog: true})
		data := signed.Bundle.VerificationMaterial.TimestampVerificationData
		data.Rfc3161Timestamps = append(data.Rfc3161Timestamps, s.Stamp(signed.Bundle.GetMessageSignature().Signature, time.Now().Add(c.at)))
		got := judge(t, p, verify.Material{Format: verify.FormatBundle, Content: s.JSON(signed.Bundle)}, subjectOf(artifact))
		if got.Reason != c.want {
			t.Errorf("%s: reason %q (%s), want %q", name, got.Reason, got.Detail, c.want)
		}
	}
}

// TestRekorV2: the log's second version proves inclusion only; the time is the timestamp authority's.
func TestRekorV2(t *testing.T) {
	s := verifytest.New(t)
	trusted, content := s.RekorV2(verifytest.Statement(digestOf(artifact), "https://example.org/x", `{}`))
	var b protobundle.Bundle
	if err := protojson.Unmarshal(content, &b); err != nil {
		t.Fatal(err)
	}
	without := func(change func(*protobundle.Bundle)) []byte {
		c := proto.Clone(&b).(*protobundle.Bundle)
		change(c)
		return s.JSON(c)
	}
	for name, c := range map[string]struct {
		content []byte
		want    verify.Reason
	}{
		"sound":        {content, verify.ReasonNone},
		"no timestamp": {without(func(b *protobundle.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }), verify.ReasonTimestamp},
		"no log entry": {without(func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = nil }), verify.ReasonLogMissing},
		"bad proof":    {without(func(b *protobundle.Bundle) { entry(b).InclusionProof.Hashes = [][]byte{make([]byte, 32)} }), verify.ReasonLogInvalid},
		"bad checkpoint": {without(func(b *protobundle.Bundle) {
			c := entry(b).InclusionProof.Checkpoint
			c.Envelope = strings.Replace(c.Envelope, "\n1\n", "\n2\n", 1)
		}), verify.ReasonLogInvalid},
		"another envelope": {without(func(b *protobundle.Bundle) {
			b.GetDsseEnvelope().Payload = append(b.GetDsseEnvelope().Payload, ' ')
		}), verify.ReasonLogInvalid},
	} {
		got := judge(t, verify.Policy{Identities: believed(), TrustedRoot: trusted}, verify.Material{Format: verify.FormatBundle, Content: c.content}, subjectOf(artifact))
		if got.Reason != c.want {
			t.Errorf("%s: reason %q (%s), want %q", name, got.Reason, got.Detail, c.want)
		}
	}
}
