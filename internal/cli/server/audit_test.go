package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certify writes a certificate of that serial number to dir.
func certify(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "audit"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "tls.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	put(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Certificates and tokens are those of the files, from a few seconds after they changed;
// files that make no sense change nothing.
func TestAuditCredentials(t *testing.T) {
	dir := t.TempDir()
	certify(t, dir, 1)
	tokens := filepath.Join(dir, "tokens")
	put(t, tokens, "first-token-0123456789\n")
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c := &auditCredentials{dir: dir, tokenFile: tokens, now: func() time.Time { return now }}
	if err := c.read(); err != nil {
		t.Fatal(err)
	}
	check := func(when string, serial int64, known ...string) {
		t.Helper()
		config, err := c.config().GetConfigForClient(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
		if err != nil || leaf.SerialNumber.Int64() != serial {
			t.Errorf("%s: certificate %v (%v), want %d", when, leaf.SerialNumber, err, serial)
		}
		for _, token := range []string{"first-token-0123456789", "second-token-0123456789"} {
			if got, want := c.token(token), strings.Contains(strings.Join(known, " "), token); got != want {
				t.Errorf("%s: %s is known: %t, want %t", when, token, got, want)
			}
		}
	}
	check("at first", 1, "first-token-0123456789")
	certify(t, dir, 2)
	put(t, tokens, "first-token-0123456789\nsecond-token-0123456789\n")
	check("at once", 1, "first-token-0123456789")
	now = now.Add(lookEvery)
	check("later", 2, "first-token-0123456789", "second-token-0123456789")
	put(t, tokens, "short")
	now = now.Add(lookEvery)
	check("with a mistake", 2, "first-token-0123456789", "second-token-0123456789")
	put(t, tokens, "second-token-0123456789")
	now = now.Add(lookEvery)
	check("rotated", 2, "second-token-0123456789")
}
