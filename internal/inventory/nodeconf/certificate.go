package nodeconf

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxCertificates bounds what is read of one bundle.
const maxCertificates = 20

// certificates reads the certificates of a PEM file; other blocks (keys) are passed over.
func certificates(data []byte) ([]seawall.Fact, error) {
	var facts []seawall.Fact
	for len(facts) < maxCertificates {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return facts, fmt.Errorf("certificate %d: %w: %w", len(facts)+1, seawall.ErrCorrupt, err)
		}
		facts = append(facts, config("kubernetes/certificate", map[string]string{
			"subject":   cert.Subject.String(),
			"issuer":    cert.Issuer.String(),
			"serial":    cert.SerialNumber.Text(16),
			"notBefore": cert.NotBefore.UTC().Format(time.RFC3339),
			"notAfter":  cert.NotAfter.UTC().Format(time.RFC3339),
			"key":       keyOf(cert),
			"signature": cert.SignatureAlgorithm.String(),
			"ca":        strconv.FormatBool(cert.IsCA),
			"names":     strings.Join(cert.DNSNames, ","),
		}))
	}
	return facts, nil
}

// keyOf names a public key: "RSA 2048", "ECDSA 256", "Ed25519".
func keyOf(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return "RSA " + strconv.Itoa(key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + strconv.Itoa(key.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return cert.PublicKeyAlgorithm.String()
}
