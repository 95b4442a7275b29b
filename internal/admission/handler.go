package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

// Handler answers reviews. It is safe for concurrent use.
type Handler struct {
	config  Config
	images  *images
	found   *cache[found]
	metrics *metrics
	room    *semaphore.Weighted
	reviews chan store.Review
}

var _ http.Handler = (*Handler)(nil)

// New makes a handler. Run does the work beside its answers.
func New(c Config) (*Handler, error) {
	l := &c.Limits
	l.Body, l.InFlight, l.Timeout = cmp.Or(l.Body, 10<<20), cmp.Or(l.InFlight, max(16<<20, l.Body)), cmp.Or(l.Timeout, 10*time.Second)
	l.Waiting, l.Scans, l.Queue, l.Images = cmp.Or(l.Waiting, 100), cmp.Or(l.Scans, 2), cmp.Or(l.Queue, 1000), cmp.Or(l.Images, 1000)
	l.Findings = cmp.Or(l.Findings, 50_000)
	switch {
	case c.Policies == nil:
		return nil, errors.New("admission: no policies")
	case l.Body < 0 || l.InFlight < l.Body || l.Timeout < 0 || l.Waiting < 0 || l.Scans < 0 || l.Queue < 0 || l.Images < 0 || l.Findings < 0:
		return nil, fmt.Errorf("admission: limits %+v: want none below 0, and inFlight at least body: %w", *l, seawall.ErrUsage)
	}
	for _, pattern := range c.Exempt {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("admission: exempt namespaces %q: %w: %w", pattern, err, seawall.ErrUsage)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &Handler{config: c, room: semaphore.NewWeighted(l.InFlight), reviews: make(chan store.Review, 4096)}
	var err error
	if h.metrics, err = newMetrics(c.Metrics, h); err != nil {
		return nil, fmt.Errorf("admission: metrics: %w", err)
	}
	if h.images, err = newImages(&h.config, h.metrics); err != nil {
		return nil, err
	}
	h.found, err = newCache("findings", &h.config, h.metrics, found.weight)
	return h, err
}

// Run scans images that nobody scanned and writes down the answers, until ctx ends.
func (h *Handler) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range h.config.Limits.Scans {
		workers.Go(func() { h.images.scans.run(ctx) })
	}
	h.remember(ctx)
	workers.Wait()
	return nil
}

// webhook is what a path asks for.
type webhook struct {
	name    string
	group   Group
	mutates bool
}

func webhookOf(urlPath string) (webhook, bool) {
	for _, w := range []webhook{{"validate", All, false}, {"mutate", All, true}} {
		switch rest, ok := strings.CutPrefix(urlPath, "/"+w.name); {
		case !ok:
		case rest == "":
			return w, true
		case rest == "/open":
			w.group = Open
			return w, true
		case rest == "/closed":
			w.group = Closed
			return w, true
		}
	}
	return webhook{}, false
}

// small is what a review weighs at least.
const small = 64 << 10

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	start := h.config.Now()
	hook, ok := webhookOf(req.URL.Path)
	switch {
	case !ok:
		http.NotFound(w, req)
		return
	case req.Method != http.MethodPost:
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	case req.ContentLength > h.config.Limits.Body:
		h.refuse(w, http.StatusRequestEntityTooLarge, "large", "the review is too large")
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), h.timeout(req))
	defer cancel()
	weight := h.config.Limits.Body // nobody said how long it is
	if req.ContentLength >= 0 {
		weight = max(req.ContentLength, small)
	}
	overloaded := !h.enter(ctx, weight)
	switch {
	case overloaded && weight > small:
		h.refuse(w, http.StatusServiceUnavailable, "overload", "too many reviews at once")
		return
	case overloaded:
		weight = 0 // a small one is read all the same: it gets an answer by failure mode
	}
	release := sync.OnceFunc(func() { h.room.Release(weight) })
	request, status, err := h.read(ctx, w, req)
	if err != nil {
		release()
		h.refuse(w, status, "malformed", err.Error())
		return
	}
	var resp Response
	if overloaded {
		release()
		resp = h.unjudged(hook, request, "overload", "too many reviews at once")
	} else {
		resp = h.answer(ctx, hook, request, release)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(request.UID, &resp)) // who is gone needs no answer
	h.note(hook, request, &resp, h.config.Now().Sub(start))
}

// enter waits for room, half of the time there is; false where there was none.
func (h *Handler) enter(ctx context.Context, weight int64) bool {
	if h.room.TryAcquire(weight) {
		return true
	}
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()
	return h.room.Acquire(ctx, weight) == nil
}

// timeout is the time for an answer: what the API server waits, less the way there and back.
func (h *Handler) timeout(req *http.Request) time.Duration {
	timeout, err := time.ParseDuration(req.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 || timeout > time.Minute {
		timeout = h.config.Limits.Timeout
	}
	return timeout - min(timeout/5, 500*time.Millisecond)
}

// read reads a review while there is time; the status is for the error.
func (h *Handler) read(ctx context.Context, w http.ResponseWriter, req *http.Request) (r *Request, status int, err error) {
	deadline, _ := ctx.Deadline()
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(deadline) // where there is no connection nobody is slow
	limit := h.config.Limits.Body
	var body []byte
	if n := req.ContentLength; n >= 0 {
		body = make([]byte, n)
		_, err = io.ReadFull(req.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(req.Body, limit+1))
	}
	switch {
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("reading the review: %w", err)
	case int64(len(body)) > limit:
		return nil, http.StatusRequestEntityTooLarge, errors.New("the review is too large")
	}
	_ = connection.SetReadDeadline(time.Time{})
	err = safely(h.config.Log, func() (err error) {
		r, err = ParseReview(body)
		return err
	})
	return r, http.StatusBadRequest, err
}

// refuse gives an answer that is no review: the API server does as the webhook's
// failurePolicy says.
func (h *Handler) refuse(w http.ResponseWriter, status int, reason, message string) {
	h.metrics.unjudged.WithLabelValues(reason).Inc()
	h.config.Log.Warn("review refused", "reason", reason, "error", message)
	http.Error(w, message, status)
}

// answer judges a request in the time there is; what goes wrong is answered by failure
// mode. release is called when nothing is done about the request any more.
func (h *Handler) answer(ctx context.Context, hook webhook, r *Request, release func()) Response {
	done := make(chan Response, 1)
	go func() {
		defer release()
		defer func() {
			if p := recover(); p != nil {
				h.config.Log.Error("review panicked", "uid", r.UID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				done <- h.unjudged(hook, r, "panic", "an internal error")
			}
		}()
		done <- h.judge(ctx, hook, r)
	}()
	select {
	case resp := <-done:
		return resp
	case <-ctx.Done():
		return h.unjudged(hook, r, "deadline", "no answer in time")
	}
}

// unjudged answers by the failure modes of the policies that are for a request. Where
// even these cannot be told, all that its kind has count.
func (h *Handler) unjudged(hook webhook, r *Request, reason, why string) (resp Response) {
	h.metrics.unjudged.WithLabelValues(reason).Inc()
	snapshot := h.config.Policies()
	q := &question{Request: r, snapshot: snapshot}
	defer func() {
		if p := recover(); p != nil {
			for i := range snapshot.asked {
				if p := &snapshot.asked[i]; hook.group.has(p.Policy) && r.asks(&p.interest) {
					q.policies = append(q.policies, p)
				}
			}
			resp = q.unjudged(why)
		}
	}()
	if o := h.unasked(r); o != "" {
		return pass(o)
	}
	return snapshot.question(hook.group, r, h.input(r)).unjudged(why)
}

// unasked is why nobody has to judge a request, "" where somebody has.
func (h *Handler) unasked(r *Request) Outcome {
	switch {
	case slices.ContainsFunc(h.config.Exempt, func(p string) bool { ok, _ := path.Match(p, r.Namespace); return ok && r.Namespace != "" }):
		return OutcomeExempt
	case r.subject() == nil || r.idle():
		return OutcomeUnasked
	}
	return ""
}

// judge finds out what the policies ask about and decides.
func (h *Handler) judge(ctx context.Context, hook webhook, r *Request) Response {
	if o := h.unasked(r); o != "" {
		return pass(o)
	}
	in := h.input(r)
	h.namespace(ctx, r, &in)
	q := h.config.Policies().question(hook.group, r, in)
	if hook.mutates {
		q.mutating()
	}
	if len(q.policies) == 0 {
		return pass(OutcomeUnasked)
	}
	if err := h.gather(ctx, q); err != nil {
		h.config.Log.Error("review not judged", "uid", r.UID, "error", err)
		h.metrics.unjudged.WithLabelValues("facts").Inc()
		return q.unjudged(err.Error())
	}
	q.in.Mutator = h.mutator(ctx, q)
	if !hook.mutates {
		return h.completed(ctx, hook, q, q.decide())
	}
	resp, err := q.mutate()
	if err != nil {
		h.config.Log.Error("review not judged", "uid", r.UID, "error", err)
		h.metrics.unjudged.WithLabelValues("patch").Inc()
		return q.unjudged(err.Error())
	}
	return resp
}

// Judgement is what is said of an object.
type Judgement struct {
	Findings  []seawall.Finding
	Decisions []seawall.Decision
}

// Judge judges an object that is there, by all policies, as if it were made now. What
// only a request would say is left out.
func (h *Handler) Judge(ctx context.Context, object map[string]any) (Judgement, error) {
	r := creation(object)
	in := h.input(r)
	in.Request = nil
	h.namespace(ctx, r, &in)
	q := h.config.Policies().question(All, r, in)
	findings, err := h.detect(ctx, q)
	if err != nil {
		return Judgement{}, err
	}
	q.in.Own = q.snapshot.set.Scanned(policy.PhaseDeploy, nil, findings)
	if err := h.gather(ctx, q); err != nil {
		return Judgement{}, err
	}
	q.in.Mutator = h.mutator(ctx, q)
	resp := q.decide()
	return Judgement{findings, slices.DeleteFunc(resp.Decisions, func(d seawall.Decision) bool {
		return slices.ContainsFunc(d.Unknown, func(fact string) bool { return fact == "request" || strings.HasPrefix(fact, "request.") })
	})}, nil
}

// note counts an answer, and hands on what is to be remembered: answers that say more
// than yes.
func (h *Handler) note(hook webhook, r *Request, resp *Response, took time.Duration) {
	h.metrics.note(hook.name, r.Operation, resp, took)
	if h.config.Decided != nil && !r.DryRun {
		for i := range resp.Decisions {
			h.config.Decided(&resp.Decisions[i])
		}
	}
	if h.config.Reviews == nil || resp.Allowed && len(resp.Decisions) == 0 && resp.Outcome != OutcomeFailedOpen {
		return
	}
	review := store.Review{
		UID: r.UID, Time: h.config.Now().UTC().Truncate(time.Millisecond), Cluster: h.config.Cluster, Operation: r.Operation, Kind: r.groupKind(), SubResource: r.SubResource,
		Namespace: r.Namespace, Name: r.Name, User: r.User, DryRun: r.DryRun, Allowed: resp.Allowed, Outcome: string(resp.Outcome), Decisions: resp.Decisions,
	}
	select {
	case h.reviews <- review:
	default:
		h.metrics.lost.Inc()
	}
}

// batch is how many answers are written at once, every how long at the latest.
const batch, every = 256, time.Second

// remember writes the answers down until ctx ends, and then what is left.
func (h *Handler) remember(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var pending []store.Review
	for {
		full := false
		select {
		case r := <-h.reviews:
			pending = append(pending, r)
			full = len(pending) >= batch
		case <-tick.C:
			full = len(pending) > 0
		case <-ctx.Done():
			for {
				select {
				case r := <-h.reviews:
					pending = append(pending, r)
					continue
				default:
				}
				break
			}
			h.write(ctx, pending)
			return
		}
		if full {
			h.write(ctx, pending)
			pending = nil
		}
	}
}

// write writes answers down, also when ctx has ended.
func (h *Handler) write(ctx context.Context, reviews []store.Review) {
	if len(reviews) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := h.config.Reviews.AddReviews(ctx, reviews); err != nil {
		h.metrics.lost.Add(float64(len(reviews)))
		h.config.Log.Error("answers not remembered", "answers", len(reviews), "error", err)
	}
}

// input is what a request says of itself, for policies.
func (h *Handler) input(r *Request) policy.Input {
	in := policy.Input{Phase: policy.PhaseDeploy, Now: h.config.Now(), Cluster: h.config.Cluster, Request: r.Fields}
	in = in.About(r.subject())
	if r.Kind != "Namespace" && in.NamespaceName == "" {
		in.NamespaceName = r.Namespace
	}
	resource := r.resource()
	in.Location = func(field string) seawall.Location { return seawall.Location{Resource: resource, Field: field} }
	return in
}
