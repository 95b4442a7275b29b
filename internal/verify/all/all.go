// Package all lists every judge of signatures, so that only one place knows them.
package all

import (
	"github.com/seawall-security/seawall/internal/verify"
	"github.com/seawall-security/seawall/internal/verify/notary"
	"github.com/seawall-security/seawall/internal/verify/sigstore"
)

// Judges returns the judges for a policy, and in words what they believe. A key
// or a trust store that cannot be read is a usage error.
func Judges(p *verify.Policy) (judges []verify.Judge, trust string, err error) {
	if p.TrustStore != "" {
		j, err := notary.New(p)
		if err != nil {
			return nil, "", err
		}
		return []verify.Judge{j}, "certificates in " + p.TrustStore, nil
	}
	j, err := sigstore.New(p)
	if err != nil {
		return nil, "", err
	}
	trust = "given by --trusted-root"
	if p.TrustedRoot == nil {
		trust = "Sigstore's public-good instance, built in, of " + sigstore.PublicGoodDate
	}
	return []verify.Judge{j}, trust, nil
}
