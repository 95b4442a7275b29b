// Package notary judges Notary Project signatures of images
// (https://github.com/notaryproject/specifications), JWS and COSE, against a
// directory of certificates. notation-go does the cryptography.
//
// Revocation is not asked about: that would need the network. A signature that
// needs a verification plugin is not verified, and says so.
package notary

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/notaryproject/notation-core-go/revocation"
	revocationresult "github.com/notaryproject/notation-core-go/revocation/result"
	corex509 "github.com/notaryproject/notation-core-go/x509"
	notation "github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/verify"
)

// Judge implements verify.Judge.
type Judge struct{ verifier notation.Verifier }

// storeName is what the only trust store of each type is called between us and notation-go.
const storeName = "seawall"

// New reads the policy's trust store. One without certificates is a usage error.
func New(p *verify.Policy) (*Judge, error) {
	store, err := readStore(p.TrustStore)
	if err != nil {
		return nil, seawall.WithHint(fmt.Errorf("trust store %s: %w: %w", p.TrustStore, err, seawall.ErrUsage),
			"give a directory with certificates of authorities (.pem, .crt, .cer, .der), or Notation's own with x509/ca/NAME/")
	}
	policy := trustpolicy.TrustPolicy{
		Name: storeName, RegistryScopes: []string{"*"}, TrustedIdentities: []string{"*"},
		SignatureVerification: trustpolicy.SignatureVerification{
			VerificationLevel: trustpolicy.LevelStrict.Name,
			Override:          map[trustpolicy.ValidationType]trustpolicy.ValidationAction{trustpolicy.TypeRevocation: trustpolicy.ActionSkip},
		},
	}
	for kind := range store {
		policy.TrustStores = append(policy.TrustStores, string(kind)+":"+storeName)
	}
	v, err := verifier.NewWithOptions(&trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{policy}}, store, nil,
		verifier.VerifierOptions{RevocationCodeSigningValidator: notAsked{}, RevocationTimestampingValidator: notAsked{}})
	if err != nil {
		return nil, fmt.Errorf("trust store %s: %w: %w", p.TrustStore, err, seawall.ErrUsage)
	}
	return &Judge{verifier: v}, nil
}

// store holds certificates by what they are trusted for; it implements truststore.X509TrustStore.
type store map[truststore.Type][]*x509.Certificate

// GetCertificates implements truststore.X509TrustStore.
func (s store) GetCertificates(_ context.Context, kind truststore.Type, _ string) ([]*x509.Certificate, error) {
	if len(s[kind]) == 0 {
		return nil, fmt.Errorf("the trust store has no certificates of type %s", kind)
	}
	return s[kind], nil
}

// maxCertificates bounds the files of a trust store.
const maxCertificates = 10_000

// readStore reads Notation's layout (x509/ca/NAME/*.crt, also below truststore/)
// or, where that is not there, a flat directory of authorities.
func readStore(dir string) (store, error) {
	s := store{}
	for _, base := range []string{filepath.Join(dir, "truststore", "x509"), filepath.Join(dir, "x509")} {
		for _, kind := range truststore.Types {
			certs, err := readCertificates(filepath.Join(base, string(kind)), true)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if len(certs) > 0 {
				s[kind] = append(s[kind], certs...)
			}
		}
	}
	if len(s) > 0 {
		return s, nil
	}
	certs, err := readCertificates(dir, false)
	if err != nil {
		return nil, err
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificates in it")
	}
	s[truststore.TypeCA] = certs
	return s, nil
}

func readCertificates(dir string, below bool) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && !below:
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		switch strings.ToLower(filepath.Ext(path)) {
		case ".pem", ".crt", ".cer", ".der":
		default:
			return nil
		}
		if files++; files > maxCertificates {
			return fmt.Errorf("%w: more than %d certificates", seawall.ErrBound, maxCertificates)
		}
		certs, err := corex509.ReadCertificateFile(path)
		if err != nil {
			return err
		}
		out = append(out, certs...)
		return nil
	})
	return out, err
}

// notAsked answers questions of revocation that the policy keeps from being asked, and those
// about a timestamp authority's certificate, which it cannot.
type notAsked struct{}

// ValidateContext implements revocation.Validator.
func (notAsked) ValidateContext(_ context.Context, o revocation.ValidateContextOptions) ([]*revocationresult.CertRevocationResult, error) {
	results := make([]*revocationresult.CertRevocationResult, len(o.CertChain))
	for i := range results {
		results[i] = &revocationresult.CertRevocationResult{Result: revocationresult.ResultNonRevokable}
	}
	return results, nil
}

// Takes implements verify.Judge.
func (*Judge) Takes(f verify.Format) bool { return f == verify.FormatNotary }

// Judge implements verify.Judge.
func (j *Judge) Judge(ctx context.Context, m verify.Material, s verify.Subject, p *verify.Policy) (result verify.Result) {
	// As in verify/sigstore: foreign bytes in a foreign parser.
	defer func() {
		if slip := recover(); slip != nil {
			result = verify.Result{}
			result.Fail(verify.ReasonMalformed, fmt.Sprintf("cannot be parsed: %v", slip))
		}
	}()
	if s.MediaType == "" {
		result.Fail(verify.ReasonUnsupported, "Notary Project signatures are about a manifest, and its type and size are not known")
		return result
	}
	descriptor := ocispec.Descriptor{MediaType: s.MediaType, Digest: digest.Digest(s.Digest), Size: s.Size}
	outcome, err := j.verifier.Verify(ctx, descriptor, m.Content, notation.VerifierVerifyOptions{
		ArtifactReference:  "registry.invalid/image@" + s.Digest, // the policy's scope is "*"
		SignatureMediaType: m.MediaType,
	})
	if err != nil {
		explain(outcome, err, &result)
		return result
	}
	signer := outcome.EnvelopeContent.SignerInfo.CertificateChain[0]
	result.Verified, result.Signer, result.Issuer = true, signer.Subject.String(), signer.Issuer.String()
	for _, id := range p.Identities {
		if id.Subject.Match(result.Signer) {
			return result
		}
	}
	if len(p.Identities) > 0 {
		result.Fail(verify.ReasonWrongIdentity, fmt.Sprintf("signed by %s, wanted %s", result.Signer, p.Identities[0].Subject))
	}
	return result
}

// explain turns what notation-go found into a reason: by the check that failed.
func explain(outcome *notation.VerificationOutcome, err error, result *verify.Result) {
	if outcome != nil {
		for _, r := range outcome.VerificationResults {
			if r.Error == nil || r.Action != trustpolicy.ActionEnforce {
				continue
			}
			reason := map[trustpolicy.ValidationType]verify.Reason{
				trustpolicy.TypeIntegrity:          verify.ReasonTampered,
				trustpolicy.TypeAuthenticity:       verify.ReasonUntrusted,
				trustpolicy.TypeAuthenticTimestamp: verify.ReasonExpired,
				trustpolicy.TypeExpiry:             verify.ReasonExpired,
			}[r.Type]
			result.Fail(cmp.Or(reason, verify.ReasonUnsupported), r.Error.Error())
			return
		}
	}
	if strings.Contains(err.Error(), "content descriptor mismatch") {
		result.Fail(verify.ReasonWrongDigest, "a sound signature of another image")
		return
	}
	result.Fail(verify.ReasonUnsupported, err.Error())
}
