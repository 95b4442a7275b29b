// Package certificate gives the webhooks their TLS certificates: an authority of
// their own and a serving certificate, in one Secret that all replicas share.
//
//	Secret -> bundle -> next (is a change due?) -> Secret -> GetCertificate, Authorities
//
// A new authority is first only trusted, next to the old one; when callers have
// learned it and Overlap has passed it signs the serving certificate; when every
// replica has served that for Overlap, the old one goes. So at no moment does a
// caller meet a certificate it does not trust. Replicas agree by the Secret's
// resource version: whoever loses a race takes what the winner wrote.
package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Lifetimes are how long things last. Overlap is far longer than a replica or an
// API server needs to notice a change, and far shorter than a third of the others.
type Lifetimes struct {
	Authority, Serving, Overlap time.Duration
}

// DefaultLifetimes are those of an installation without wishes.
func DefaultLifetimes() Lifetimes {
	return Lifetimes{Authority: 365 * 24 * time.Hour, Serving: 30 * 24 * time.Hour, Overlap: time.Hour}
}

// Check says what is wrong with them.
func (l Lifetimes) Check() error {
	if l.Overlap <= 0 || l.Serving < 6*l.Overlap || l.Authority < l.Serving {
		return fmt.Errorf("certificates for %s of an authority for %s with an overlap of %s: want the overlap at most a sixth of the certificate's time, and that not above the authority's: %w",
			l.Serving, l.Authority, l.Overlap, seawall.ErrUsage)
	}
	return nil
}

// ErrConflict is what a Store answers when somebody else wrote first.
var ErrConflict = errors.New("changed by somebody else")

// Store is where the certificates are kept.
type Store interface {
	// Get reads the data and its version. Nothing stored is nil data and no error.
	Get(ctx context.Context) (data map[string][]byte, version string, err error)
	// Put replaces the data of a version, "" where there is none yet; ErrConflict when it is another's by now.
	Put(ctx context.Context, data map[string][]byte, version string) error
}

// Keeper keeps one server in certificates.
type Keeper struct {
	Store Store
	// Names are the names and addresses by which callers call.
	Names     []string
	Lifetimes Lifetimes
	Now       func() time.Time
	// Published says whether every caller trusts all of the authorities (PEM).
	Published func(ctx context.Context, authorities []byte) bool
	// Changed is told what was changed; nil tells nobody.
	Changed func(what string)

	current atomic.Pointer[bundle]
	// version is of the data that current was read from.
	version string
}

// Authorities are the certificates to trust, in PEM; nil before the first Sync.
func (k *Keeper) Authorities() []byte {
	if b := k.current.Load(); b != nil {
		return b.authorityPEM()
	}
	return nil
}

// Expires is when the serving certificate ends; zero before the first Sync.
func (k *Keeper) Expires() time.Time {
	if b := k.current.Load(); b != nil {
		return b.serving.certificate.NotAfter
	}
	return time.Time{}
}

// TLS serves whatever certificate is current.
func (k *Keeper) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if b := k.current.Load(); b != nil {
			return b.tls(), nil
		}
		return nil, errors.New("there is no certificate yet")
	}}
}

// Sync takes what is stored, and moves it on where that is due. It says whether
// the authorities are others than before. One goroutine at a time calls it.
func (k *Keeper) Sync(ctx context.Context) (changed bool, err error) {
	const tries = 5
	for range tries {
		changed, err = k.sync(ctx)
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	return changed, err
}

func (k *Keeper) sync(ctx context.Context) (bool, error) {
	data, version, err := k.Store.Get(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the certificates: %w", err)
	}
	before := k.current.Load()
	stored := before
	if version != k.version || before == nil {
		stored, err = parse(data)
	}
	switch {
	case data == nil && before != nil: // deleted: callers know what we serve, so it stays
		return false, k.put(ctx, before, version, "stored again")
	case err != nil && data != nil:
		k.tell("what is stored is not ours: " + err.Error())
	}
	published := stored != nil && len(stored.authorities) > 1 && k.Published(ctx, stored.authorityPEM())
	following, why, err := stored.next(k.Names, k.Now(), k.Lifetimes, published)
	if err != nil {
		return false, err
	}
	if following == nil {
		following, k.version = stored, version
	} else if err := k.put(ctx, following, version, why); err != nil {
		return false, err
	}
	k.current.Store(following)
	return before == nil || string(before.authorityPEM()) != string(following.authorityPEM()), nil
}

func (k *Keeper) put(ctx context.Context, b *bundle, version, why string) error {
	data, err := b.data()
	if err != nil {
		return err
	}
	if err := k.Store.Put(ctx, data, version); err != nil {
		return fmt.Errorf("storing the certificates: %w", err)
	}
	k.tell(why)
	return nil
}

func (k *Keeper) tell(what string) {
	if k.Changed != nil {
		k.Changed(what)
	}
}

// Interval is how often to Sync so that replicas are in step within the overlap.
func (k *Keeper) Interval() time.Duration { return min(k.Lifetimes.Overlap/4, 30*time.Second) }

// Trusts says whether PEM authorities hold all of others.
func Trusts(authorities, others []byte) bool {
	pool := x509.NewCertPool()
	return pool.AppendCertsFromPEM(authorities) && pool.Equal(joined(authorities, others))
}

func joined(a, b []byte) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a)
	pool.AppendCertsFromPEM(b)
	return pool
}
