// Package sigstore judges Sigstore bundles (versions 0.1 to 0.3, of a message or
// an attestation) and cosign's older tag form, which is read as a bundle.
//
// sigstore-go does the cryptography. What is decided here is which proofs a
// signature owes: all that its trust root can check. A root with transparency
// logs demands a log entry, one with certificate logs a certificate timestamp,
// and a certificate always a proved signing time inside its validity. Every
// timestamp of a known authority must lie inside it, not just one of them.
package sigstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/verify"
)

// publicGood is targets/trusted_root.json of Sigstore's public-good instance, as
// its TUF repository has it: SHA-256 6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66
// in version 14 of the signed targets (https://github.com/sigstore/root-signing).
//
//go:embed public-good.json
var publicGood []byte

// PublicGoodDate is the day Sigstore last signed the embedded trust root.
const PublicGoodDate = "2026-05-12"

// Judge implements verify.Judge.
type Judge struct {
	trust root.TrustedMaterial
	// rootError is why the trust root cannot be used; every judgement repeats it.
	rootError error
	key       *key
}

// key is the one public key of a keyful policy.
type key struct {
	verifier root.TimeConstrainedVerifier
	name     string
}

// New prepares a judge for a policy. A key that is none is a usage error; a
// malformed trust root is not: it fails every signature with verify.ReasonTrustRoot.
func New(p *verify.Policy) (*Judge, error) {
	j := &Judge{}
	raw := p.TrustedRoot
	if raw == nil {
		raw = publicGood
	}
	trust, err := root.NewTrustedRootFromJSON(raw)
	if err != nil {
		j.rootError = err
	}
	j.trust = trust
	if len(p.Key) > 0 {
		if j.key, err = parseKey(p.Key); err != nil {
			return nil, err
		}
		j.trust = root.TrustedMaterialCollection{
			root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return j.key.verifier, nil }),
			trust,
		}
	}
	return j, nil
}

func parseKey(raw []byte) (*key, error) {
	hint := "give a PEM file that begins with -----BEGIN PUBLIC KEY-----"
	public, err := cryptoutils.UnmarshalPEMToPublicKey(raw)
	if err != nil {
		return nil, seawall.WithHint(fmt.Errorf("public key: %w: %w", err, seawall.ErrUsage), hint)
	}
	verifier, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		return nil, seawall.WithHint(fmt.Errorf("public key: %w: %w", err, seawall.ErrUsage), "ECDSA, RSA and Ed25519 keys are known")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("public key: %w: %w", err, seawall.ErrUsage)
	}
	return &key{
		verifier: root.NewExpiringKey(verifier, time.Time{}, time.Time{}),
		name:     "key sha256:" + hex.EncodeToString(sum256(der)),
	}, nil
}

// Takes implements verify.Judge.
func (*Judge) Takes(f verify.Format) bool {
	return f == verify.FormatBundle || f == verify.FormatSimpleSigning || f == verify.FormatEnvelope
}

// Judge implements verify.Judge.
func (j *Judge) Judge(_ context.Context, m verify.Material, s verify.Subject, p *verify.Policy) (result verify.Result) {
	// The libraries below parse a dozen formats of foreign bytes; a slip in one of
	// them must be an unverified signature, not the end of the process.
	defer func() {
		if slip := recover(); slip != nil {
			result = verify.Result{}
			result.Fail(verify.ReasonMalformed, fmt.Sprintf("cannot be parsed: %v", slip))
		}
	}()
	if j.rootError != nil {
		result.Fail(verify.ReasonTrustRoot, "the trust root is malformed: "+j.rootError.Error())
		return result
	}
	b, err := parse(m)
	if err != nil {
		failParse(&result, err)
		return result
	}
	j.judge(b, m, s, p, &result)
	return result
}

// failParse tells a bundle without the log's proof, which the parser refuses, from a damaged one.
func failParse(result *verify.Result, err error) {
	text := err.Error()
	switch {
	case strings.Contains(text, "inclusion promises missing"), strings.Contains(text, "inclusion proof missing"):
		result.Fail(verify.ReasonLogMissing, "the log entry has no proof that the log holds it: "+text)
	case errors.Is(err, bundle.ErrUnsupportedMediaType):
		result.Fail(verify.ReasonUnsupported, "not a bundle of a version from 0.1 to 0.3: "+text)
	default:
		result.Fail(verify.ReasonMalformed, "not a valid bundle: "+text)
	}
}

func (j *Judge) judge(b *bundle.Bundle, m verify.Material, s verify.Subject, p *verify.Policy, result *verify.Result) {
	content, err := b.VerificationContent()
	if err != nil {
		result.Fail(verify.ReasonMalformed, "the certificate cannot be read: "+err.Error())
		return
	}
	leaf := content.Certificate()
	switch {
	case j.key != nil && leaf != nil:
		result.Fail(verify.ReasonWrongKey, "signed with the certificate of "+subject(leaf)+", not with the key")
		return
	case j.key == nil && leaf == nil:
		result.Fail(verify.ReasonWrongIdentity, "signed with a key, which names nobody: verify it with the key")
		return
	}
	options, reason, detail := j.demands(b, leaf != nil, p)
	if reason != verify.ReasonNone {
		result.Fail(reason, detail)
		return
	}
	artifact, closer, err := subjectOption(m, s)
	if err != nil {
		result.Fail(verify.ReasonMalformed, err.Error())
		return
	}
	defer closer.Close()
	// Who signed is compared afterwards, to say which half of the identity is wrong.
	who := sigverify.WithoutIdentitiesUnsafe()
	if j.key != nil {
		who = sigverify.WithKey()
	}
	verifier, err := sigverify.NewVerifier(j.trust, options...)
	if err != nil {
		result.Fail(verify.ReasonUnsupported, err.Error())
		return
	}
	proved, err := verifier.Verify(b, sigverify.NewPolicy(artifact, who))
	if err != nil {
		j.explain(b, leaf, err, result)
		ofAnother(b, m, s, result, func(digest []byte) bool {
			_, err := verifier.Verify(b, sigverify.NewPolicy(sigverify.WithArtifactDigest("sha256", digest), who))
			return err == nil
		})
		return
	}
	if err := j.everyTimestamp(b, leaf); err != nil {
		result.Fail(verify.ReasonExpired, err.Error())
		return
	}
	result.Verified = true
	describe(proved, result)
	// An entry that is there has been checked, unless the trust root has no logs.
	result.Logged = len(b.GetVerificationMaterial().GetTlogEntries()) > 0 && len(j.trust.RekorLogs()) > 0
	if j.key != nil {
		result.Signer = j.key.name
	}
	j.checkContent(b, m, s, result)
	if result.Verified && j.key == nil {
		checkIdentity(p.Identities, result)
	}
}

// demands says which proofs this bundle owes to this trust root.
func (j *Judge) demands(b *bundle.Bundle, certificate bool, p *verify.Policy) (options []sigverify.VerifierOption, reason verify.Reason, detail string) {
	options = append(options, sigverify.WithoutStatementPredicate())
	timestamps, err := b.Timestamps()
	if err != nil {
		return nil, verify.ReasonMalformed, "the timestamps cannot be read: " + err.Error()
	}
	logs, authorities := len(j.trust.RekorLogs()) > 0, len(j.trust.TimestampingAuthorities()) > 0
	entries := len(b.GetVerificationMaterial().GetTlogEntries())
	timed := false
	if p.RequireLog && !logs {
		return nil, verify.ReasonLogMissing, "a log entry was asked for, and the trust root knows no log to check one with"
	}
	// With a bare key it is the key that is trusted; an entry is checked where there is one.
	if logs && (certificate || p.RequireLog || p.TrustedRoot != nil || entries > 0) {
		if entries == 0 {
			return nil, verify.ReasonLogMissing, "it has no transparency log entry, and the trust root demands one"
		}
		options = append(options, sigverify.WithTransparencyLog(1))
		if b.HasInclusionPromise() {
			options, timed = append(options, sigverify.WithIntegratedTimestamps(1)), true
		}
	}
	if authorities && len(timestamps) > 0 {
		options, timed = append(options, sigverify.WithSignedTimestamps(1)), true
	}
	switch {
	case timed:
	case !certificate:
		options = append(options, sigverify.WithNoObserverTimestamps())
	case logs || authorities:
		return nil, verify.ReasonTimestamp, "nothing proves when it was signed: neither the log's promise nor a timestamp of an authority the trust root knows"
	default:
		options = append(options, sigverify.WithCurrentTime())
	}
	if certificate && len(j.trust.CTLogs()) > 0 {
		options = append(options, sigverify.WithSignedCertificateTimestamps(1))
	}
	return options, verify.ReasonNone, ""
}

// subjectOption is what must have been signed, as sigstore-go wants it.
func subjectOption(m verify.Material, s verify.Subject) (sigverify.ArtifactPolicyOption, io.Closer, error) {
	if m.Format == verify.FormatSimpleSigning {
		return sigverify.WithArtifact(bytes.NewReader(m.Content)), io.NopCloser(nil), nil
	}
	if s.Open != nil {
		f, err := s.Open()
		if err != nil {
			return nil, nil, err
		}
		return sigverify.WithArtifact(f), f, nil
	}
	algorithm, text, _ := strings.Cut(s.Digest, ":")
	digest, err := hex.DecodeString(text)
	if err != nil || len(digest) == 0 {
		return nil, nil, fmt.Errorf("%q is not a digest", s.Digest)
	}
	return sigverify.WithArtifactDigest(algorithm, digest), io.NopCloser(nil), nil
}

// everyTimestamp holds each timestamp that verifies against the certificate's
// validity: the library leaves out further ones of the same authority.
func (j *Judge) everyTimestamp(b *bundle.Bundle, leaf *x509.Certificate) error {
	timestamps, err := b.Timestamps()
	if err != nil || leaf == nil {
		return err
	}
	content, err := b.SignatureContent()
	if err != nil {
		return err
	}
	for _, raw := range timestamps {
		for _, authority := range j.trust.TimestampingAuthorities() {
			t, err := authority.Verify(raw, content.Signature())
			if err == nil && (t.Time.Before(leaf.NotBefore) || t.Time.After(leaf.NotAfter)) {
				return fmt.Errorf("a timestamp says %s, outside the certificate's validity (%s)", t.Time.UTC().Format(time.RFC3339), validity(leaf))
			}
		}
	}
	return nil
}

// describe takes over what was proved.
func describe(proved *sigverify.VerificationResult, result *verify.Result) {
	if cert := proved.Signature.Certificate; cert != nil {
		result.Signer, result.Issuer = cert.SubjectAlternativeName, cert.Issuer
	}
	for _, t := range proved.VerifiedTimestamps {
		if t.Type != "CurrentTime" && (result.Signed.IsZero() || t.Timestamp.Before(result.Signed)) {
			result.Signed = t.Timestamp.UTC()
		}
	}
}

// checkContent compares what a verified signature says with what was asked about.
func (j *Judge) checkContent(b *bundle.Bundle, m verify.Material, s verify.Subject, result *verify.Result) {
	if m.Format == verify.FormatSimpleSigning {
		checkSimplePayload(m.Content, s.Digest, result)
		return
	}
	if envelope := b.GetDsseEnvelope(); envelope != nil {
		verify.CheckStatement(envelope.GetPayloadType(), envelope.GetPayload(), result)
	}
}

// checkIdentity compares the certificate's names with those believed.
func checkIdentity(identities []verify.Identity, result *verify.Result) {
	reason, wanted := verify.ReasonWrongIdentity, []string{}
	for _, id := range identities {
		subject, issuer := id.Subject.Match(result.Signer), id.Issuer.Match(result.Issuer)
		if subject && issuer && result.Signer != "" && result.Issuer != "" {
			return
		}
		if subject {
			reason = verify.ReasonWrongIssuer
		}
		wanted = append(wanted, id.Subject.String()+" of "+id.Issuer.String())
	}
	result.Fail(reason, fmt.Sprintf("signed by %s of %s, wanted %s", result.Signer, result.Issuer, strings.Join(wanted, " or ")))
}

// ofAnother finds that a bundle says itself it is about something else. Where the
// key may be another one, sound says whether it is a signature of that.
func ofAnother(b *bundle.Bundle, m verify.Material, s verify.Subject, result *verify.Result, sound func(digest []byte) bool) {
	signed := b.GetMessageSignature().GetMessageDigest().GetDigest()
	if m.Format != verify.FormatBundle || strings.HasSuffix(s.Digest, hex.EncodeToString(signed)) {
		return
	}
	if result.Reason == verify.ReasonTampered || result.Reason == verify.ReasonWrongKey && sound(signed) {
		result.Fail(verify.ReasonWrongDigest, "the bundle is about "+hex.EncodeToString(signed)+", not "+s.Digest)
	}
}

// explain turns the library's error into a reason. Its errors have no types; the
// tests hold each wording to its reason.
func (j *Judge) explain(b *bundle.Bundle, leaf *x509.Certificate, err error, result *verify.Result) {
	text := err.Error()
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("not enough verified log entries"):
		result.Fail(verify.ReasonLogInvalid, "no log entry verifies with a log of the trust root: "+text)
	case has("outside certificate validity"), leaf != nil && has("leaf certificate verification failed") && j.outside(b, leaf):
		result.Fail(verify.ReasonExpired, "signed outside the certificate's validity ("+validity(leaf)+")")
	case has("verify log inclusion"):
		result.Fail(verify.ReasonLogInvalid, text)
	case has("verify timestamps"):
		result.Fail(verify.ReasonTimestamp, text)
	case has("leaf certificate", "signed certificate timestamp"):
		result.Fail(verify.ReasonUntrusted, "the certificate of "+subject(leaf)+" does not lead to the trust root: "+text)
	case has("does not match any digest", "does not match digests", "do not match digests", "artifact does not match digest", "does not match message digest", "no matching artifact hash"):
		result.Fail(verify.ReasonWrongDigest, "the signature is of something else: "+text)
	case has("with ed25519 signatures can only be verified with artifacts"):
		result.Fail(verify.ReasonUnsupported, "an Ed25519 signature needs the artifact itself, not its digest: give --artifact")
	case has("exactly one signature"):
		result.Fail(verify.ReasonMalformed, "the envelope must have exactly one signature")
	case has("verify signature") && j.key != nil:
		result.Fail(verify.ReasonWrongKey, "not signed with this key ("+j.key.name+"), or changed since: "+text)
	default:
		result.Fail(verify.ReasonTampered, text)
	}
}

// outside tells whether a proved time of signing lies outside the certificate's validity.
func (j *Judge) outside(b *bundle.Bundle, leaf *x509.Certificate) bool {
	if j.everyTimestamp(b, leaf) != nil {
		return true
	}
	if len(j.trust.RekorLogs()) == 0 && len(j.trust.TimestampingAuthorities()) == 0 {
		now := time.Now()
		return now.Before(leaf.NotBefore) || now.After(leaf.NotAfter)
	}
	return false
}

func validity(leaf *x509.Certificate) string {
	return leaf.NotBefore.UTC().Format(time.RFC3339) + " to " + leaf.NotAfter.UTC().Format(time.RFC3339)
}

// subject is whom a certificate claims to be for, not yet proved.
func subject(leaf *x509.Certificate) string {
	if s, err := certificate.SummarizeCertificate(leaf); err == nil && s.SubjectAlternativeName != "" {
		return s.SubjectAlternativeName
	}
	return leaf.Subject.String()
}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
