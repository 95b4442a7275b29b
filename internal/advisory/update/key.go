package update

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/seawall-security/seawall/internal/seawall"
)

const keyHint = "`openssl genpkey -algorithm ed25519 -out key.pem` makes a signing key, `openssl pkey -in key.pem -pubout` its public key"

// ParsePublicKey reads an ed25519 public key in PEM (PKIX), as openssl writes it.
func ParsePublicKey(data []byte) (ed25519.PublicKey, error) {
	der, err := block(data, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if key, ok := parsed.(ed25519.PublicKey); err == nil && ok {
		return key, nil
	}
	return nil, seawall.WithHint(fmt.Errorf("no ed25519 public key: %w", seawall.ErrUsage), keyHint)
}

// ParsePrivateKey reads an ed25519 private key in PEM (PKCS #8), as openssl writes it.
func ParsePrivateKey(data []byte) (ed25519.PrivateKey, error) {
	der, err := block(data, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if key, ok := parsed.(ed25519.PrivateKey); err == nil && ok {
		return key, nil
	}
	return nil, seawall.WithHint(fmt.Errorf("no ed25519 private key: %w", seawall.ErrUsage), keyHint)
}

func block(data []byte, kind string) ([]byte, error) {
	b, _ := pem.Decode(data)
	if b == nil || b.Type != kind {
		return nil, seawall.WithHint(fmt.Errorf("no PEM block %q: %w", kind, seawall.ErrUsage), keyHint)
	}
	return b.Bytes, nil
}
