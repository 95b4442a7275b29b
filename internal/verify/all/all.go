// Package all lists every judge of signatures, so that only one place knows them.
package all

import (
	"github.com/seawall-security/seawall/internal/verify"
	"github.com/seawall-security/seawall/internal/verify/sigstore"
)

// Judges returns the judges a policy has use for. A key or a trust store that
// cannot be read is a usage error.
func Judges(p *verify.Policy) ([]verify.Judge, error) {
	var judges []verify.Judge
	if len(p.Key) > 0 || len(p.Identities) > 0 {
		s, err := sigstore.New(p)
		if err != nil {
			return nil, err
		}
		judges = append(judges, s)
	}
	return judges, nil
}
