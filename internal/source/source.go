// Package source turns what a user names (a reference, a directory, an archive,
// an SBOM) into a seawall.Target to walk. Each child package opens one family;
// source/all lists them and picks one by the target's syntax.
//
// An Opener never guesses across families: a name that is not there is an error
// that says what was tried, never a silent pull from a registry.
package source

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Options are what a user may set about opening a target.
type Options struct {
	// Platform picks from a multi-platform image: "linux/arm64/v8". "" is linux on this machine's architecture.
	Platform string
	// Offline refuses everything that would leave the machine (sockets on this machine are allowed).
	Offline bool
	// Insecure allows plain HTTP and unverified TLS for the registries listed (host[:port]).
	Insecure []string
	// Namespace is containerd's namespace; "" is "default", then "k8s.io".
	Namespace string
	// Stdin serves docker-archive:- and the like.
	Stdin interface{ Read([]byte) (int, error) }
	// AllFileSystems lets a host scan descend into other mounts and into the
	// storage of container engines, which it leaves out otherwise.
	AllFileSystems bool
	// Live makes a host state what its running system says about itself (/proc, /sys), as a Describer.
	Live bool
	// Bounds protect against hostile input; zero fields are the defaults.
	Bounds Bounds
	// Progress receives bytes read and totals; may be nil. It is called from
	// several goroutines, never from two at the same time.
	Progress func(seawall.Progress)
	// Logger is for retries and fallbacks; nil discards.
	Logger *slog.Logger
}

// Bounds are the safety bounds of a target. Going over one ends the walk with
// seawall.ErrBound. A zero field is its default.
type Bounds struct {
	// Inflated is the sum of all layers once decompressed, in bytes. Default 100 GiB.
	Inflated int64
	// Ratio is how many bytes one stored byte of a layer, or of a compressed archive,
	// may inflate to. It is looked at only once they are over 1 GiB, so that a small
	// file of zeros passes. Default 200.
	Ratio int64
	// Entries is the number of entries of one layer. Default 10 million.
	Entries int64
	// Spool is the size of a temporary file for archives that cannot be read
	// twice (standard input, an engine's export, a compressed archive). Default 64 GiB.
	Spool int64
}

// WithDefaults returns b with its zero fields filled.
func (b Bounds) WithDefaults() Bounds {
	return Bounds{
		Inflated: cmp.Or(b.Inflated, 100<<30),
		Ratio:    cmp.Or(b.Ratio, 200),
		Entries:  cmp.Or(b.Entries, 10_000_000),
		Spool:    cmp.Or(b.Spool, 64<<30),
	}
}

// Opener opens one family of targets.
type Opener interface {
	// Schemes are the prefixes it takes, without the colon ("oci", "docker-archive").
	Schemes() []string
	// Open opens what follows the prefix. Errors wrap seawall.ErrUnreadable,
	// ErrCorrupt, ErrBound or ErrUsage and carry a hint where there is a next step.
	Open(ctx context.Context, name string, o Options) (seawall.Target, error)
}

// Credentials log in to a registry.
type Credentials struct{ Username, Password, IdentityToken string }
