package seawall

import (
	"errors"
	"fmt"
)

// Sentinels that decide an exit code or a collector status. Wrap them with a place.
var (
	// ErrBudget: more memory was asked for than the run allows; the collector becomes partial.
	ErrBudget = errors.New("over the memory budget")
	// ErrCorrupt: the input is damaged or lies about itself; exit 3.
	ErrCorrupt = errors.New("corrupt input")
	// ErrBound: the input exceeds a safety bound; exit 3.
	ErrBound = errors.New("over a safety bound")
	// ErrUnreadable: the target is not there or access was refused; exit 3.
	ErrUnreadable = errors.New("cannot be read")
	// ErrTransient: another try may go better (a daemon that is down); what was
	// collected beside it is not kept in the layer cache.
	ErrTransient = errors.New("not reachable")
	// ErrUsage: the request itself is wrong; exit 2.
	ErrUsage = errors.New("usage")
)

// Hinted is an error with a next step for the user.
type Hinted struct {
	Err  error
	Hint string
}

// Error implements error; the hint is shown by the command line on its own line.
func (h *Hinted) Error() string { return h.Err.Error() }

// Unwrap lets errors.Is and errors.As see the cause.
func (h *Hinted) Unwrap() error { return h.Err }

// WithHint adds a next step to an error; nil stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &Hinted{Err: err, Hint: hint}
}

// Incomplete lists what could not be read of an input whose other facts stand.
type Incomplete []error

// Error implements error; the first one is told, the others are counted.
func (e Incomplete) Error() string {
	switch len(e) {
	case 0:
		return "incomplete"
	case 1:
		return e[0].Error()
	}
	return fmt.Sprintf("%v (and %d more)", e[0], len(e)-1)
}

// Unwrap lets errors.Is and errors.As see every cause.
func (e Incomplete) Unwrap() []error { return e }
