// Package source turns what a user names (a reference, a directory, an archive,
// an SBOM) into a seawall.Target to walk. Each child package opens one family;
// source/all lists them and picks one by the target's syntax.
//
// An Opener never guesses across families: a name that is not there is an error
// that says what was tried, never a silent pull from a registry.
package source

import (
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
	// Progress receives bytes read and totals; may be nil.
	Progress func(seawall.Progress)
	// Logger is for retries and fallbacks; nil discards.
	Logger *slog.Logger
}

// Opener opens one family of targets.
type Opener interface {
	// Schemes are the prefixes it takes, without the colon ("oci", "docker-archive").
	Schemes() []string
	// Open opens what follows the prefix. Errors wrap seawall.ErrUnreadable,
	// ErrCorrupt, ErrBound or ErrUsage and carry a hint where there is a next step.
	Open(ctx context.Context, name string, o Options) (seawall.Target, error)
}
