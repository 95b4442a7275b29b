package sigstore

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/seawall-security/seawall/internal/verify"
)

// Annotations of cosign's older form
// (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
const (
	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationLog         = "dev.sigstore.cosign/bundle"
	annotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
)

// parse reads any of the forms as a bundle.
func parse(m verify.Material) (*bundle.Bundle, error) {
	switch m.Format {
	case verify.FormatBundle:
		var b bundle.Bundle
		if err := b.UnmarshalJSON(m.Content); err != nil {
			return nil, err
		}
		return &b, nil
	case verify.FormatSimpleSigning:
		return parseSimpleSigning(m)
	default:
		return parseEnvelope(m)
	}
}

// parseSimpleSigning is for a layer of a .sig tag: the bytes are the signed
// payload, which names the image's digest.
func parseSimpleSigning(m verify.Material) (*bundle.Bundle, error) {
	signature, err := base64.StdEncoding.DecodeString(m.Annotations[annotationSignature])
	if err != nil || len(signature) == 0 {
		return nil, fmt.Errorf("annotation %s is missing or not base64", annotationSignature)
	}
	material, err := annotatedMaterial(m.Annotations)
	if err != nil {
		return nil, err
	}
	return bundle.NewBundle(&protobundle.Bundle{
		MediaType:            "application/vnd.dev.sigstore.bundle+json;version=0.1",
		VerificationMaterial: material,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum256(m.Content)},
			Signature:     signature,
		}},
	})
}

// parseEnvelope is for a layer of an .att tag.
func parseEnvelope(m verify.Material) (*bundle.Bundle, error) {
	var e struct {
		PayloadType string
		Payload     []byte
		Signatures  []struct {
			KeyID string
			Sig   []byte
		}
	}
	if err := json.Unmarshal(m.Content, &e); err != nil {
		return nil, fmt.Errorf("not a DSSE envelope: %w", err)
	}
	material, err := annotatedMaterial(m.Annotations)
	if err != nil {
		return nil, err
	}
	envelope := &protodsse.Envelope{PayloadType: e.PayloadType, Payload: e.Payload}
	for _, s := range e.Signatures {
		envelope.Signatures = append(envelope.Signatures, &protodsse.Signature{Keyid: s.KeyID, Sig: s.Sig})
	}
	return bundle.NewBundle(&protobundle.Bundle{
		MediaType:            "application/vnd.dev.sigstore.bundle+json;version=0.1",
		VerificationMaterial: material,
		Content:              &protobundle.Bundle_DsseEnvelope{DsseEnvelope: envelope},
	})
}

// annotatedMaterial gathers certificate, log entry and timestamp from annotations.
func annotatedMaterial(annotations map[string]string) (*protobundle.VerificationMaterial, error) {
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
	}
	if text := annotations[annotationCertificate]; text != "" {
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("annotation %s is not a PEM certificate", annotationCertificate)
		}
		material.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{
			Certificates: []*protocommon.X509Certificate{{RawBytes: block.Bytes}},
		}}
	}
	if text := annotations[annotationLog]; text != "" {
		entry, err := annotatedEntry(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", annotationLog, err)
		}
		material.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if text := annotations[annotationTimestamp]; text != "" {
		var t struct{ SignedRFC3161Timestamp []byte }
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return nil, fmt.Errorf("annotation %s: %w", annotationTimestamp, err)
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: t.SignedRFC3161Timestamp}},
		}
	}
	return material, nil
}

// annotatedEntry reads cosign's offline form of a Rekor entry: what the log signed, and its signature.
func annotatedEntry(text string) (*protorekor.TransparencyLogEntry, error) {
	var log struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte
			IntegratedTime int64
			LogIndex       int64
			LogID          string
		}
	}
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(log.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("logID: %w", err)
	}
	var kind struct{ Kind, APIVersion string }
	if err := json.Unmarshal(log.Payload.Body, &kind); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          log.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: id},
		KindVersion:       &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime:    log.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: log.SignedEntryTimestamp},
		CanonicalizedBody: log.Payload.Body,
	}, nil
}

// checkSimplePayload compares what a verified simple-signing payload names with the image's digest.
func checkSimplePayload(payload []byte, digest string, result *verify.Result) {
	var p struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			}
			Type string
		}
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		result.Fail(verify.ReasonMalformed, "the signed payload is not JSON: "+err.Error())
		return
	}
	switch {
	case p.Critical.Type != "cosign container image signature" && !strings.EqualFold(p.Critical.Type, "atomic container signature"):
		result.Fail(verify.ReasonMalformed, fmt.Sprintf("the signed payload is of type %q, not an image signature", p.Critical.Type))
	case p.Critical.Image.Digest != digest:
		result.Fail(verify.ReasonWrongDigest, fmt.Sprintf("a sound signature of %s, not of %s", p.Critical.Image.Digest, digest))
	}
}
