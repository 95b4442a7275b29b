// Package webhook receives the audit events that an API server's webhook backend
// sends (https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#webhook-backend):
// POSTs of an EventList in JSON.
//
//	API server -> Receiver (who sends, how much, is it whole) -> Emit (a batch) -> 200
//
// A batch is handed on whole or not at all, and acknowledged once Emit took it: what
// could not be taken is answered with an error that makes the API server send it again.
// So an event may come twice, and none is lost while the API server's buffer holds.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/seawall-security/seawall/internal/sensor/auditlog"
)

// MaxBatch bounds a batch, in bytes. The API server cuts batches by number, 400 by
// default, and an event with both of its objects may have 3 MB.
const MaxBatch = 64 << 20

// Receiver is an http.Handler. Its members are set before the first request.
type Receiver struct {
	// Token says whether a bearer token is one of those given out. A request with a
	// verified client certificate needs none; a Receiver without Token takes only those.
	Token func(token string) bool
	// Emit takes a batch; its error makes the API server send it again. It may be called concurrently.
	Emit func(ctx context.Context, batch []*auditlog.Entry) error

	batches, events, refused, damaged, failed atomic.Uint64
}

// Counters are what a Receiver did so far.
type Counters struct {
	// Batches and Events were handed on.
	Batches, Events uint64
	// Refused came from nobody who is known, Damaged could not be read, Failed were not taken.
	Refused, Damaged, Failed uint64
}

// Counters are the counts of now.
func (r *Receiver) Counters() Counters {
	return Counters{r.batches.Load(), r.events.Load(), r.refused.Load(), r.damaged.Load(), r.failed.Load()}
}

// Tokens returns a Token that knows these, compared in constant time. Empty ones are none.
func Tokens(tokens ...string) func(string) bool {
	var sums [][32]byte
	for _, t := range tokens {
		if t = strings.TrimSpace(t); t != "" {
			sums = append(sums, sha256.Sum256([]byte(t)))
		}
	}
	return func(token string) bool {
		sum := sha256.Sum256([]byte(token))
		found := 0
		for i := range sums {
			found |= subtle.ConstantTimeCompare(sum[:], sums[i][:])
		}
		return found == 1
	}
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "audit events are POSTed here", http.StatusMethodNotAllowed)
		return
	}
	if !r.known(req) {
		r.refused.Add(1)
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a token or a client certificate is needed", http.StatusUnauthorized)
		return
	}
	var body bytes.Buffer
	if n := req.ContentLength; n > 0 && n <= MaxBatch {
		body.Grow(int(n) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, req.Body, MaxBatch)); err != nil {
		r.damaged.Add(1)
		code := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			code = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), code)
		return
	}
	batch, err := auditlog.Parse(body.Bytes())
	if err != nil {
		r.damaged.Add(1)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := r.Emit(req.Context(), batch); err != nil {
		r.failed.Add(1)
		http.Error(w, "the events could not be taken; send them again", http.StatusInternalServerError)
		return
	}
	r.batches.Add(1)
	r.events.Add(uint64(len(batch)))
}

// known says whether a request is from somebody who may send.
func (r *Receiver) known(req *http.Request) bool {
	if req.TLS != nil && len(req.TLS.VerifiedChains) > 0 {
		return true
	}
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	return ok && r.Token != nil && r.Token(token)
}
