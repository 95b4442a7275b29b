package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Reason is why a signature does not count, for programs.
type Reason string

// The reasons. Among several failed signatures, the one that came furthest is the
// verdict's; the order here is that of the checks.
const (
	ReasonNone Reason = ""
	// ReasonNoSignature: nothing of the wanted kind was found.
	ReasonNoSignature Reason = "no-signature"
	// ReasonUnsupported: a form or an algorithm this program does not judge.
	ReasonUnsupported Reason = "unsupported"
	// ReasonTrustRoot: the trust root itself is malformed.
	ReasonTrustRoot Reason = "bad-trust-root"
	// ReasonMalformed: it cannot be parsed, or lacks what its version demands.
	ReasonMalformed Reason = "malformed"
	// ReasonWrongKey: signed by another key than the one given, or by a certificate where a key was asked for.
	ReasonWrongKey Reason = "wrong-key"
	// ReasonLogMissing: no transparency log entry where the trust root demands one.
	ReasonLogMissing Reason = "log-entry-missing"
	// ReasonLogInvalid: the log entry's proof is wrong, or the entry is about something else.
	ReasonLogInvalid Reason = "log-entry-invalid"
	// ReasonTimestamp: the signing time cannot be proved.
	ReasonTimestamp Reason = "timestamp-invalid"
	// ReasonUntrusted: the certificate does not lead to the trust root.
	ReasonUntrusted Reason = "untrusted-certificate"
	// ReasonExpired: signed outside the validity of the certificate.
	ReasonExpired Reason = "expired"
	// ReasonTampered: the signature does not fit what it claims to sign.
	ReasonTampered Reason = "tampered"
	// ReasonWrongDigest: a sound signature of something else.
	ReasonWrongDigest Reason = "wrong-digest"
	// ReasonWrongIssuer: signed by the right name at another issuer.
	ReasonWrongIssuer Reason = "wrong-issuer"
	// ReasonWrongIdentity: signed by somebody else.
	ReasonWrongIdentity Reason = "wrong-identity"
	// ReasonWrongType: sound and by the right signer, but a statement of another type.
	ReasonWrongType Reason = "wrong-type"
	// ReasonWrongBuilder: the provenance names another builder.
	ReasonWrongBuilder Reason = "wrong-builder"
)

// progress ranks reasons by how far a signature came before it failed.
func (r Reason) progress() int {
	return slices.Index([]Reason{ReasonNoSignature, ReasonUnsupported, ReasonTrustRoot, ReasonMalformed, ReasonWrongKey, ReasonLogMissing, ReasonLogInvalid,
		ReasonTimestamp, ReasonUntrusted, ReasonExpired, ReasonTampered, ReasonWrongDigest, ReasonWrongIssuer, ReasonWrongIdentity, ReasonWrongType, ReasonWrongBuilder}, r)
}

// Result is the judgement of one Material.
type Result struct {
	Verified bool   `json:"verified"`
	Reason   Reason `json:"reason,omitempty"`
	// Detail is the reason in words.
	Detail string `json:"detail,omitempty"`
	Format Format `json:"format"`
	// Type is the predicate type of an attestation, "" for a plain signature.
	Type string `json:"type,omitempty"`
	// Signer is the certificate's subject alternative name or distinguished name, or
	// "key sha256:…" of the public key's DER. It is set only once it is proved.
	Signer string `json:"signer,omitempty"`
	// Issuer is who vouched for Signer: the OpenID Connect issuer.
	Issuer string `json:"issuer,omitempty"`
	// Builder is the builder that SLSA provenance names.
	Builder string `json:"builder,omitempty"`
	// Signed is the proved signing time; zero when there is none.
	Signed time.Time `json:"signed,omitzero"`
	// Logged: a transparency log has the signature.
	Logged bool   `json:"logged,omitempty"`
	Place  string `json:"place,omitempty"`
}

// Fail records why the material does not count.
func (r *Result) Fail(reason Reason, detail string) {
	r.Verified, r.Reason, r.Detail = false, reason, detail
}

// Verdict is the judgement of an artifact.
type Verdict struct {
	// Name is what the user called it.
	Name     string `json:"name"`
	Digest   string `json:"digest,omitempty"`
	Verified bool   `json:"verified"`
	// Reason and Detail are those of the signature that came furthest; empty when verified.
	Reason Reason `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Signatures are all that were found, the verified ones first.
	Signatures []Result `json:"signatures"`
	// TrustRoot says which one was believed.
	TrustRoot string `json:"trustRoot,omitempty"`
	// Cached: an earlier verdict, not yet expired.
	Cached bool `json:"cached,omitempty"`
}

// Judge knows one family of formats.
type Judge interface {
	Takes(f Format) bool
	// Judge judges cryptography, time and signer. It sets Type, Signer and the like
	// of what it could prove, and Verified or a Reason. It never panics and reads no network.
	Judge(ctx context.Context, m Material, s Subject, p *Policy) Result
}

// Run judges all that was found beside an artifact. The policy must have passed Check.
func Run(ctx context.Context, judges []Judge, found []Material, s Subject, p *Policy) Verdict {
	v := Verdict{Digest: s.Digest, Signatures: []Result{}}
	for _, m := range found {
		r := judge(ctx, judges, m, s, p)
		r.Format, r.Place = m.Format, m.Place
		v.Signatures = append(v.Signatures, r)
	}
	slices.SortStableFunc(v.Signatures, func(a, b Result) int {
		return cmp.Or(boolOrder(b.Verified, a.Verified), cmp.Compare(b.Reason.progress(), a.Reason.progress()))
	})
	switch {
	case len(v.Signatures) == 0:
		v.Reason, v.Detail = ReasonNoSignature, "nothing is stored beside "+cmp.Or(s.Digest, "it")+" that we know as a signature or attestation"
	case v.Signatures[0].Verified:
		v.Verified = true
	default:
		v.Reason, v.Detail = v.Signatures[0].Reason, v.Signatures[0].Detail
	}
	return v
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// judge asks the judge that takes the material, then checks what does not depend on the format.
func judge(ctx context.Context, judges []Judge, m Material, s Subject, p *Policy) Result {
	var r Result
	i := slices.IndexFunc(judges, func(j Judge) bool { return j.Takes(m.Format) })
	switch {
	case i < 0:
		r.Fail(ReasonUnsupported, fmt.Sprintf("no trust was configured for signatures of the form %s", m.Format))
		return r
	case m.Err != nil:
		r.Fail(ReasonMalformed, m.Err.Error())
		return r
	case len(m.Content) > MaxContent:
		r.Fail(ReasonUnsupported, fmt.Sprintf("%d bytes, at most %d are read", len(m.Content), MaxContent))
		return r
	}
	r = judges[i].Judge(ctx, m, s, p)
	switch {
	case !r.Verified:
	case !p.wants(r.Type):
		r.Fail(ReasonWrongType, fmt.Sprintf("sound, but it is %s, and %s was asked for", typeName(r.Type), p.Type))
	case !p.Builder.Match(r.Builder):
		r.Fail(ReasonWrongBuilder, fmt.Sprintf("built by %s, wanted %s", cmp.Or(r.Builder, "nobody it names"), p.Builder))
	}
	return r
}

func typeName(predicate string) string {
	if predicate == "" {
		return "a plain signature"
	}
	return "an attestation of type " + predicate
}

// Facts are what policies use of a verdict: one Signature per verified signature
// or attestation. A verdict that is not verified gives none.
func (v Verdict) Facts() []seawall.Fact {
	var facts []seawall.Fact
	for _, r := range v.Signatures {
		if r.Verified {
			facts = append(facts, seawall.Fact{Signature: &seawall.Signature{
				Digest: v.Digest, Kind: cmp.Or(r.Type, TypeSignature), Signer: r.Signer, Issuer: r.Issuer, Builder: r.Builder,
			}})
		}
	}
	return facts
}
