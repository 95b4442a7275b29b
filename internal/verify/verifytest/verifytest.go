// Package verifytest signs for tests: a certificate authority, a timestamp
// authority and a Rekor-like log of the test's own, with real cryptography, and
// what they sign in every form that is stored beside an image.
package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// Who signs, unless a test says otherwise.
const (
	Identity = "release@example.org"
	Issuer   = "https://issuer.example.org"
)

// InToto is the payload type of in-toto statements.
const InToto = "application/vnd.in-toto+json"

// Sigstore is an instance with all its parts.
type Sigstore struct {
	t       testing.TB
	virtual *ca.VirtualSigstore
	fulcio  *root.FulcioCertificateAuthority
	issuer  crypto.Signer // of leaf certificates
	tsa     *root.SigstoreTimestampingAuthority
	tsaKey  *ecdsa.PrivateKey
}

// New makes an instance.
func New(t testing.TB) *Sigstore {
	t.Helper()
	s := &Sigstore{t: t}
	var err error
	s.virtual, err = ca.NewVirtualSigstore()
	s.check(err)
	rootCert, rootKey, err := ca.GenerateRootCa()
	s.check(err)
	intermediate, key, err := ca.GenerateFulcioIntermediate(rootCert, rootKey)
	s.check(err)
	s.issuer = key
	s.fulcio = &root.FulcioCertificateAuthority{
		URI: "https://fulcio.example.org", Root: rootCert, Intermediates: []*x509.Certificate{intermediate},
		ValidityPeriodStart: time.Now().Add(-5 * time.Hour),
	}
	s.timestampAuthority(rootCert, rootKey)
	return s
}

func (s *Sigstore) timestampAuthority(rootCert *x509.Certificate, rootKey crypto.Signer) {
	s.t.Helper()
	intermediate, intermediateKey, err := ca.GenerateTSAIntermediate(rootCert, rootKey)
	s.check(err)
	s.tsaKey, _ = s.Key()
	leaf, err := ca.GenerateTSALeafCert(time.Now().Add(-5*time.Minute), s.tsaKey, intermediate, intermediateKey)
	s.check(err)
	s.tsa = &root.SigstoreTimestampingAuthority{
		URI: "https://tsa.example.org", Root: rootCert, Intermediates: []*x509.Certificate{intermediate}, Leaf: leaf,
		ValidityPeriodStart: time.Now().Add(-5 * time.Hour),
	}
}

// Stamp is an RFC 3161 response for a signature. The authority's certificate is valid for five minutes around now.
func (s *Sigstore) Stamp(signature []byte, at time.Time) *protocommon.RFC3161SignedTimestamp {
	s.t.Helper()
	digest := sha256.Sum256(signature)
	stamp := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Time: at, Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
	}
	raw, err := stamp.CreateResponseWithOpts(s.tsa.Leaf, s.tsaKey, crypto.SHA256)
	s.check(err)
	return &protocommon.RFC3161SignedTimestamp{SignedTimestamp: raw}
}

func (s *Sigstore) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Parts of a trust root that a test may leave out.
type Parts struct{ NoLog, NoTimestamps bool }

// TrustedRoot is the instance's trusted_root.json.
func (s *Sigstore) TrustedRoot(p Parts) []byte {
	s.t.Helper()
	logs, authorities := s.virtual.RekorLogs(), []root.TimestampingAuthority{s.tsa}
	for id, log := range logs {
		var err error
		log.ID, err = hex.DecodeString(id) // the virtual one has it in hexadecimal
		s.check(err)
	}
	if p.NoLog {
		logs = nil
	}
	if p.NoTimestamps {
		authorities = nil
	}
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{s.fulcio}, nil, authorities, logs)
	s.check(err)
	raw, err := tr.MarshalJSON()
	s.check(err)
	return raw
}

// Key makes a key pair and the public one's PEM.
func (s *Sigstore) Key() (*ecdsa.PrivateKey, []byte) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.check(err)
	return key, s.publicPEM(key.Public())
}

func (s *Sigstore) publicPEM(key crypto.PublicKey) []byte {
	s.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	s.check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Request says what to sign and how. The zero value of a field is the usual.
type Request struct {
	// Artifact is signed as a message, or Statement in a DSSE envelope.
	Artifact  []byte
	Statement []byte
	// Key signs instead of a certificate.
	Key *ecdsa.PrivateKey
	// Identity and Issuer are in the certificate.
	Identity, Issuer string
	// Start is when the certificate's ten minutes begin: a minute ago.
	Start time.Time
	// Logged is the log's time of the entry: now.
	Logged time.Time
	// NoLog and NoTimestamp leave out proofs; Proof adds an inclusion proof.
	NoLog, NoTimestamp, Proof bool
	// Version is the bundle's: 0.1, 0.2 or 0.3 (default), which has the proof in any case.
	Version string
}

// Signed is a signature with its proofs.
type Signed struct {
	Bundle *protobundle.Bundle
	// Certificate is the PEM of the leaf; nil for a key.
	Certificate []byte
	set         []byte
	entry       *protorekor.TransparencyLogEntry
}

// Sign signs.
func (s *Sigstore) Sign(r Request) *Signed {
	s.t.Helper()
	if r.Version == "" {
		r.Version = "0.3"
	}
	if r.Start.IsZero() {
		r.Start = time.Now().Add(-time.Minute)
	}
	if r.Logged.IsZero() {
		r.Logged = time.Now()
	}
	out := &Signed{Bundle: &protobundle.Bundle{
		MediaType:            mediaType(r.Version),
		VerificationMaterial: &protobundle.VerificationMaterial{},
	}}
	signer, public := s.material(r, out)
	signature := s.content(r, signer, out.Bundle)
	if !r.NoLog {
		out.entry = s.log(r, out.Bundle, public, signature)
		out.set = out.entry.GetInclusionPromise().GetSignedEntryTimestamp()
		out.Bundle.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{out.entry}
	}
	if !r.NoTimestamp {
		out.Bundle.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{s.Stamp(signature, time.Now())},
		}
	}
	return out
}

func mediaType(version string) string {
	if version == "0.3" {
		return "application/vnd.dev.sigstore.bundle.v0.3+json"
	}
	return "application/vnd.dev.sigstore.bundle+json;version=" + version
}

// material makes the certificate, or names the key, and returns what the log will call it.
func (s *Sigstore) material(r Request, out *Signed) (signer *ecdsa.PrivateKey, public []byte) {
	s.t.Helper()
	if r.Key != nil {
		out.Bundle.VerificationMaterial.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: "test"}}
		return r.Key, s.publicPEM(r.Key.Public())
	}
	key, _ := s.Key()
	identity, issuer := r.Identity, r.Issuer
	if identity == "" {
		identity = Identity
	}
	if issuer == "" {
		issuer = Issuer
	}
	leaf, err := ca.GenerateLeafCert(identity, issuer, r.Start, key, s.fulcio.Intermediates[0], s.issuer)
	s.check(err)
	raw := &protocommon.X509Certificate{RawBytes: leaf.Raw}
	if r.Version == "0.3" {
		out.Bundle.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: raw}
	} else {
		out.Bundle.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{
			X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{raw}},
		}
	}
	out.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	return key, out.Certificate
}

// content signs the artifact or the statement (DSSE, https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
func (s *Sigstore) content(r Request, key *ecdsa.PrivateKey, b *protobundle.Bundle) []byte {
	s.t.Helper()
	message := r.Artifact
	if r.Statement != nil {
		message = fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(InToto), InToto, len(r.Statement), r.Statement)
	}
	digest := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	s.check(err)
	if r.Statement != nil {
		b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			PayloadType: InToto, Payload: r.Statement, Signatures: []*protodsse.Signature{{Sig: signature}},
		}}
		return signature
	}
	b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest[:]}, Signature: signature,
	}}
	return signature
}

// log makes a Rekor entry, hashedrekord or dsse, with promise and proof.
func (s *Sigstore) log(r Request, b *protobundle.Bundle, public, signature []byte) *protorekor.TransparencyLogEntry {
	s.t.Helper()
	kind, spec := "hashedrekord", map[string]any{
		"data":      map[string]any{"hash": hash(r.Artifact)},
		"signature": map[string]any{"content": signature, "publicKey": map[string]any{"content": public}},
	}
	if r.Statement != nil {
		envelope, err := protojson.Marshal(b.GetDsseEnvelope())
		s.check(err)
		kind, spec = "dsse", map[string]any{
			"envelopeHash": hash(envelope), "payloadHash": hash(r.Statement),
			"signatures": []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(signature), "verifier": public}},
		}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": kind, "spec": spec})
	s.check(err)
	logID, err := s.virtual.RekorLogID()
	s.check(err)
	id, err := hex.DecodeString(logID)
	s.check(err)
	set, err := s.virtual.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: r.Logged.Unix(), LogIndex: 1, LogID: logID,
	})
	s.check(err)
	entry := &protorekor.TransparencyLogEntry{
		LogIndex: 1, LogId: &protocommon.LogId{KeyId: id}, IntegratedTime: r.Logged.Unix(), CanonicalizedBody: body,
		KindVersion:      &protorekor.KindVersion{Kind: kind, Version: "0.0.1"},
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: set},
	}
	if r.Proof || r.Version != "0.1" {
		entry.InclusionProof = s.proof(body)
	}
	return entry
}

// proof is of a log that holds nothing but the entry.
func (s *Sigstore) proof(body []byte) *protorekor.InclusionProof {
	s.t.Helper()
	p, err := s.virtual.GetInclusionProof(body)
	s.check(err)
	rootHash, err := hex.DecodeString(*p.RootHash)
	s.check(err)
	return &protorekor.InclusionProof{
		LogIndex: *p.LogIndex, TreeSize: *p.TreeSize, RootHash: rootHash,
		Checkpoint: &protorekor.Checkpoint{Envelope: *p.Checkpoint},
	}
}

func hash(b []byte) map[string]any {
	sum := sha256.Sum256(b)
	return map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
}

// RekorV2 is a statement's bundle and trust root, logged in a log of Rekor's
// second version, which proves inclusion but no time.
func (s *Sigstore) RekorV2(statement []byte) (trustedRoot, bundle []byte) {
	s.t.Helper()
	e, err := s.virtual.AttestHashedRekordV2(Identity, Issuer, statement)
	s.check(err)
	content, err := e.SignatureContent()
	s.check(err)
	material, err := e.VerificationContent()
	s.check(err)
	entries, err := e.TlogEntries()
	s.check(err)
	stamps, err := e.Timestamps()
	s.check(err)
	b := &protobundle.Bundle{
		MediaType: mediaType("0.3"),
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:     &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: material.Certificate().Raw}},
			TlogEntries: []*protorekor.TransparencyLogEntry{entries[0].TransparencyLogEntry()},
			TimestampVerificationData: &protobundle.TimestampVerificationData{
				Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamps[0]}},
			},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			PayloadType: InToto, Payload: statement, Signatures: []*protodsse.Signature{{Sig: content.Signature()}},
		}},
	}
	own := &Sigstore{t: s.t, virtual: s.virtual, fulcio: s.virtual.FulcioCertificateAuthorities()[0].(*root.FulcioCertificateAuthority),
		tsa: s.virtual.TimestampingAuthorities()[0].(*root.SigstoreTimestampingAuthority)}
	return own.TrustedRoot(Parts{}), s.JSON(b)
}

// JSON is the bundle as stored.
func (s *Sigstore) JSON(b *protobundle.Bundle) []byte {
	s.t.Helper()
	raw, err := protojson.Marshal(b)
	s.check(err)
	return raw
}

// Annotations are those of cosign's older form.
func (s *Sigstore) Annotations(signed *Signed) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	if m := signed.Bundle.GetMessageSignature(); m != nil {
		out["dev.cosignproject.cosign/signature"] = base64.StdEncoding.EncodeToString(m.Signature)
	}
	if signed.Certificate != nil {
		out["dev.sigstore.cosign/certificate"] = string(signed.Certificate)
	}
	if e := signed.entry; e != nil {
		raw, err := json.Marshal(map[string]any{"SignedEntryTimestamp": signed.set, "Payload": map[string]any{
			"body": e.CanonicalizedBody, "integratedTime": e.IntegratedTime, "logIndex": e.LogIndex, "logID": hex.EncodeToString(e.LogId.KeyId),
		}})
		s.check(err)
		out["dev.sigstore.cosign/bundle"] = string(raw)
	}
	for _, stamp := range signed.Bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps() {
		raw, err := json.Marshal(map[string]any{"SignedRFC3161Timestamp": stamp.SignedTimestamp})
		s.check(err)
		out["dev.sigstore.cosign/rfc3161timestamp"] = string(raw)
	}
	return out
}

// Envelope is a DSSE envelope as cosign's .att tag stores it.
func (s *Sigstore) Envelope(signed *Signed) []byte {
	s.t.Helper()
	e := signed.Bundle.GetDsseEnvelope()
	raw, err := json.Marshal(map[string]any{
		"payloadType": e.PayloadType, "payload": e.Payload, "signatures": []any{map[string]any{"keyid": "", "sig": e.Signatures[0].Sig}},
	})
	s.check(err)
	return raw
}

// SimpleSigning is the payload cosign's .sig tag has signed for a digest.
func SimpleSigning(digest string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"example.org/app"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, digest)
}

// Statement is an in-toto statement about a digest; predicate is JSON.
func Statement(digest, predicateType, predicate string) []byte {
	hexDigest := digest[len("sha256:"):]
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`, hexDigest, predicateType, predicate)
}
