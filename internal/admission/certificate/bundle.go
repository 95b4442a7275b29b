package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The keys of the Secret: PEM, the authorities oldest first, their keys in the same order.
const (
	keyAuthorities    = "ca.crt"
	keyAuthorityKeys  = "ca.key"
	keyCertificate    = "tls.crt"
	keyCertificateKey = "tls.key"
)

// skew is by how much clocks may differ: certificates begin this much before they are made.
const skew = 5 * time.Minute

// maxAuthorities is how many there are in the middle of a rotation.
const maxAuthorities = 2

// pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issued is when it was made.
func (p *pair) issued() time.Time { return p.certificate.NotBefore.Add(skew) }

// due says whether two thirds of its life are over.
func (p *pair) due(now time.Time) bool {
	life := p.certificate.NotAfter.Sub(p.issued())
	return now.Sub(p.issued()) >= life*2/3
}

// bundle is all that the Secret holds. It is never changed once made.
type bundle struct {
	authorities []pair
	serving     pair
}

// signer is the authority that made the serving certificate.
func (b *bundle) signer() *pair {
	for i := range b.authorities {
		if b.serving.certificate.CheckSignatureFrom(b.authorities[i].certificate) == nil {
			return &b.authorities[i]
		}
	}
	return nil
}

// next is the bundle that should follow b, and why; nil when b is still right.
// published says whether every caller has learned the newest authority.
func (b *bundle) next(names []string, now time.Time, life Lifetimes, published bool) (*bundle, string, error) {
	if b == nil || len(b.authorities) == 0 || b.signer() == nil || !now.Before(b.signer().certificate.NotAfter) {
		fresh, err := begin(names, now, life)
		return fresh, "new authority", err
	}
	signer, newest := b.signer(), &b.authorities[len(b.authorities)-1]
	switch {
	case signer == newest && len(b.authorities) > 1 && now.Sub(b.serving.issued()) >= life.Overlap:
		return &bundle{authorities: []pair{*newest}, serving: b.serving}, "old authority removed", nil
	case signer != newest && published && now.Sub(newest.issued()) >= life.Overlap:
		return b.reissue(newest, names, now, life, "certificate of the new authority")
	case signer == newest && len(b.authorities) == 1 && signer.due(now):
		authority, err := newAuthority(now, life)
		return &bundle{authorities: append(slices.Clone(b.authorities), authority), serving: b.serving}, "next authority added", err
	case b.serving.due(now) && now.Add(life.Overlap).Before(signer.certificate.NotAfter), !sameNames(b.serving.certificate, names):
		return b.reissue(signer, names, now, life, "certificate renewed")
	}
	return nil, "", nil
}

func (b *bundle) reissue(signer *pair, names []string, now time.Time, life Lifetimes, why string) (*bundle, string, error) {
	serving, err := newServing(signer, names, now, life)
	return &bundle{authorities: b.authorities, serving: serving}, why, err
}

func begin(names []string, now time.Time, life Lifetimes) (*bundle, error) {
	authority, err := newAuthority(now, life)
	if err != nil {
		return nil, err
	}
	serving, err := newServing(&authority, names, now, life)
	return &bundle{authorities: []pair{authority}, serving: serving}, err
}

func newAuthority(now time.Time, life Lifetimes) (pair, error) {
	return sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Seawall admission, since " + now.UTC().Format(time.RFC3339)}, IsCA: true, BasicConstraintsValid: true,
		MaxPathLenZero: true, NotBefore: now.Add(-skew), NotAfter: now.Add(life.Authority), KeyUsage: x509.KeyUsageCertSign,
	}, nil)
}

// newServing never outlives its signer.
func newServing(signer *pair, names []string, now time.Time, life Lifetimes) (pair, error) {
	end := now.Add(life.Serving)
	if end.After(signer.certificate.NotAfter) {
		end = signer.certificate.NotAfter
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(-skew), NotAfter: end, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return sign(template, signer)
}

// sign makes a key and its certificate, by itself where signer is nil.
func sign(template *x509.Certificate, signer *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return pair{}, err
	}
	if signer == nil {
		signer = &pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.certificate, &key.PublicKey, signer.key)
	if err != nil {
		return pair{}, fmt.Errorf("making a certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return pair{certificate, key}, err
}

func sameNames(c *x509.Certificate, names []string) bool {
	var has []string
	has = append(has, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		has = append(has, ip.String())
	}
	want := slices.Clone(names)
	slices.Sort(has)
	slices.Sort(want)
	return slices.Equal(has, want)
}

// authorityPEM are the certificates that callers trust.
func (b *bundle) authorityPEM() []byte {
	var out []byte
	for _, a := range b.authorities {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})...)
	}
	return out
}

// data is the bundle as a Secret's data.
func (b *bundle) data() (map[string][]byte, error) {
	var keys []byte
	for _, a := range b.authorities {
		key, err := keyPEM(a.key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key...)
	}
	key, err := keyPEM(b.serving.key)
	return map[string][]byte{
		keyAuthorities: b.authorityPEM(), keyAuthorityKeys: keys,
		keyCertificate:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.serving.certificate.Raw}),
		keyCertificateKey: key,
	}, err
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

// parse reads a Secret's data. What this package did not write is an ErrCorrupt.
func parse(data map[string][]byte) (*bundle, error) {
	corrupt := func(what string, err error) (*bundle, error) {
		return nil, fmt.Errorf("%s: %w: %w", what, seawall.ErrCorrupt, err)
	}
	authorities, err := pairs(data[keyAuthorities], data[keyAuthorityKeys])
	if err != nil {
		return corrupt(keyAuthorities, err)
	}
	serving, err := pairs(data[keyCertificate], data[keyCertificateKey])
	if err != nil {
		return corrupt(keyCertificate, err)
	}
	if len(authorities) == 0 || len(serving) != 1 {
		return corrupt(keyCertificate, errors.New("want authorities and one certificate"))
	}
	return &bundle{authorities, serving[0]}, nil
}

func pairs(certificates, keys []byte) ([]pair, error) {
	var out []pair
	for len(bytes.TrimSpace(certificates)) > 0 {
		if len(out) == maxAuthorities {
			return nil, fmt.Errorf("more than %d certificates", maxAuthorities)
		}
		var c, k *pem.Block
		c, certificates = pem.Decode(certificates)
		k, keys = pem.Decode(keys)
		if c == nil || k == nil {
			return nil, errors.New("not PEM, or a key is missing")
		}
		certificate, err := x509.ParseCertificate(c.Bytes)
		if err != nil {
			return nil, err
		}
		key, err := x509.ParseECPrivateKey(k.Bytes)
		if err != nil {
			return nil, err
		}
		if !key.PublicKey.Equal(certificate.PublicKey) {
			return nil, errors.New("the key is another certificate's")
		}
		out = append(out, pair{certificate, key})
	}
	return out, nil
}

func (b *bundle) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{b.serving.certificate.Raw}, PrivateKey: b.serving.key, Leaf: b.serving.certificate}
}
