package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Policy is what a signature has to satisfy. The zero Policy accepts nothing:
// it must name a key, an identity or a trust store.
type Policy struct {
	// Key is a PEM public key. Exclusive with Identities.
	Key []byte
	// Identities are the certificate identities believed; one of them must match.
	Identities []Identity
	// TrustedRoot is a Sigstore trusted_root.json; nil is the embedded public-good
	// instance. It decides what a signature must prove: a log entry where it has
	// logs, a certificate timestamp where it has CT logs.
	TrustedRoot []byte
	// RequireLog demands a transparency log entry of a Key's signature even where no
	// TrustedRoot is given. A certificate's always owes one where the root has logs.
	RequireLog bool
	// TrustStore is a directory of certificates that Notary Project signatures must
	// lead to; only those are judged then. Identities compare distinguished names.
	TrustStore string
	// Type is what must have been signed: TypeAny, TypeSignature, or a predicate
	// type, in short ("slsaprovenance", "spdx") or in full.
	Type string
	// Builder is who must have built it, by SLSA provenance.
	Builder Pattern
}

// The values of Policy.Type that are no predicate type.
const (
	// TypeAny is content of any kind.
	TypeAny = ""
	// TypeSignature is a signature proper: it says no more than "this digest is mine".
	TypeSignature = "signature"
)

// Identity is who signed, by the certificate: a subject alternative name (mail
// address, URI) and the issuer of the token it was made for.
type Identity struct {
	Subject, Issuer Pattern
}

// Pattern is an exact value or a regular expression. An expression may match
// anywhere in the value unless it is anchored, as in cosign.
type Pattern struct {
	Exact  string
	Regexp string
}

// Empty tells a pattern that asks nothing.
func (p Pattern) Empty() bool { return p == Pattern{} }

// Match tells whether the value satisfies all that the pattern asks.
func (p Pattern) Match(value string) bool {
	if p.Exact != "" && p.Exact != value {
		return false
	}
	if p.Regexp == "" {
		return true
	}
	re, err := regexp.Compile(p.Regexp)
	return err == nil && re.MatchString(value)
}

// String is for messages.
func (p Pattern) String() string {
	switch {
	case p.Empty():
		return "anything"
	case p.Regexp == "":
		return p.Exact
	case p.Exact == "":
		return "/" + p.Regexp + "/"
	}
	return p.Exact + " and /" + p.Regexp + "/"
}

func (p Pattern) check(what string) error {
	if _, err := regexp.Compile(p.Regexp); err != nil {
		return fmt.Errorf("%s: %w: %w", what, err, seawall.ErrUsage)
	}
	return nil
}

// Check tells whether the policy can be judged by: a wrong or empty one is a usage error.
func (p *Policy) Check() error {
	notary := p.TrustStore != ""
	switch {
	case len(p.Key) > 0 && len(p.Identities) > 0:
		return fmt.Errorf("a key and an identity were both asked for: %w", seawall.ErrUsage)
	case notary && (len(p.Key) > 0 || p.TrustedRoot != nil):
		return fmt.Errorf("a trust store is for Notary Project signatures, a key or a trusted root for Sigstore's: %w", seawall.ErrUsage)
	case len(p.Key) == 0 && len(p.Identities) == 0 && !notary:
		return fmt.Errorf("neither a key nor an identity was asked for: %w", seawall.ErrUsage)
	case !p.Builder.Empty() && !slices.Contains(predicateTypes(p.Type), slsaV1) && !slices.Contains(predicateTypes(p.Type), slsaV02):
		return fmt.Errorf("a builder is stated by SLSA provenance only, not by %s: %w", cmp.Or(p.Type, "content of any type"), seawall.ErrUsage)
	}
	for _, id := range p.Identities {
		switch {
		case notary && !id.Issuer.Empty():
			return fmt.Errorf("certificates of Notary Project signatures name no token issuer: %w", seawall.ErrUsage)
		case id.Subject.Empty() || id.Issuer.Empty() && !notary:
			return fmt.Errorf("an identity needs both a name and an issuer: anybody can have the name at another issuer: %w", seawall.ErrUsage)
		}
		if err := id.Subject.check("identity"); err != nil {
			return err
		}
		if err := id.Issuer.check("issuer"); err != nil {
			return err
		}
	}
	return p.Builder.check("builder")
}

// SLSA's predicate types (https://slsa.dev/spec).
const (
	slsaV1  = "https://slsa.dev/provenance/v1"
	slsaV02 = "https://slsa.dev/provenance/v0.2"
	slsaV01 = "https://slsa.dev/provenance/v0.1"
)

// cosignSign is the predicate type under which cosign 3 stores a plain signature of an image.
const cosignSign = "https://sigstore.dev/cosign/sign/v1"

// predicateTypes returns the full predicate types a type stands for: itself unless it is a short name.
func predicateTypes(name string) []string {
	switch strings.ToLower(name) {
	case "slsaprovenance", "provenance", "slsa":
		return []string{slsaV1, slsaV02, slsaV01}
	case "slsaprovenance1":
		return []string{slsaV1}
	case "slsaprovenance02":
		return []string{slsaV02}
	case "spdx", "spdxjson":
		return []string{"https://spdx.dev/Document", "https://spdx.dev/Document/v2.2", "https://spdx.dev/Document/v2.3", "https://spdx.dev/Document/v3"}
	case "cyclonedx":
		return []string{"https://cyclonedx.org/bom", "https://cyclonedx.org/schema"}
	case "sbom":
		return append(predicateTypes("spdx"), predicateTypes("cyclonedx")...)
	case "vuln":
		return []string{"https://cosign.sigstore.dev/attestation/vuln/v1", "https://in-toto.io/attestation/vulns/v0.1", "https://in-toto.io/attestation/vulns/v0.2"}
	case "openvex", "vex":
		return []string{"https://openvex.dev/ns", "https://openvex.dev/ns/v0.2.0"}
	case "link":
		return []string{"https://in-toto.io/Link/v1"}
	case "custom":
		return []string{"https://cosign.sigstore.dev/attestation/v1"}
	}
	return []string{name}
}

// TypeNames are the short names of predicate types, for help and completion.
func TypeNames() []string {
	return []string{TypeSignature, "slsaprovenance", "spdx", "cyclonedx", "sbom", "vuln", "openvex", "link", "custom"}
}

// wants tells whether content of a predicate type ("" for a plain signature) is what the policy asks for.
func (p *Policy) wants(predicate string) bool {
	switch p.Type {
	case TypeAny:
		return true
	case TypeSignature:
		return predicate == "" || predicate == cosignSign
	}
	return slices.Contains(predicateTypes(p.Type), predicate)
}

// CheckStatement judges the form of what a verified envelope says and fills
// result.Type and result.Builder. An envelope's subjects are the judge's to compare.
func CheckStatement(payloadType string, payload []byte, result *Result) {
	var s struct {
		Type          string          `json:"_type"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if payloadType != "application/vnd.in-toto+json" {
		result.Fail(ReasonUnsupported, fmt.Sprintf("the envelope holds %q, not an in-toto statement", payloadType))
		return
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		result.Fail(ReasonMalformed, "the statement is not JSON: "+err.Error())
		return
	}
	if s.Type != "https://in-toto.io/Statement/v0.1" && s.Type != "https://in-toto.io/Statement/v1" {
		result.Fail(ReasonMalformed, fmt.Sprintf("the statement's _type is %q, not an in-toto statement of version 0.1 or 1", s.Type))
		return
	}
	if s.PredicateType == "" {
		result.Fail(ReasonMalformed, "the statement has no predicateType")
		return
	}
	result.Type = s.PredicateType
	if !strings.HasPrefix(s.PredicateType, "https://slsa.dev/provenance/") {
		return
	}
	var provenance struct {
		Builder    struct{ ID string }                   // v0.1, v0.2
		RunDetails struct{ Builder struct{ ID string } } // v1
	}
	if err := json.Unmarshal(s.Predicate, &provenance); err != nil {
		result.Fail(ReasonMalformed, "the provenance cannot be read: "+err.Error())
		return
	}
	result.Builder = cmp.Or(provenance.RunDetails.Builder.ID, provenance.Builder.ID)
}
