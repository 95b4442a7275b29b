// Package live asks vendors whether a token they issued is still valid. It is
// off unless asked for: every question shows the token to its vendor and the
// scanner's address with it. Calls go one after another, at an interval, and
// answers are remembered by fingerprint.
package live

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options are the parameters of asking vendors whether tokens are live. It is
// off unless asked for: every question shows the token to its vendor and the
// scanner's address with it. Only vendors with a documented call that reads who
// the token belongs to, and changes nothing, are asked.
type Options struct {
	// Client makes the calls; it must bound their time.
	Client *http.Client
	// Base replaces a vendor's address, by vendor: "GitHub": "https://git.example/api/v3".
	Base map[string]string
	// Interval is the least time between two calls; 0 is one second.
	Interval time.Duration
	// Most bounds the calls of a run; 0 is 100.
	Most int
	// Now is the clock; nil is time.Now. Cached verdicts last to the end of its day.
	Now func() time.Time
}

// The verdicts of Check.
const (
	Live    = "live"
	Revoked = "revoked"
	Unknown = "unknown"
)

// question is how a vendor is asked. The documentation of each is the rule's reference.
type question struct {
	vendor, base, path, header, prefix string
}

var questions = map[string]question{
	"SW-SEC-100": {"GitHub", "https://api.github.com", "/user", "Authorization", "Bearer "},
	"SW-SEC-101": {"GitHub", "https://api.github.com", "/user", "Authorization", "Bearer "},
	"SW-SEC-102": {"GitHub", "https://api.github.com", "/user", "Authorization", "Bearer "},
	"SW-SEC-110": {"GitLab", "https://gitlab.com", "/api/v4/user", "PRIVATE-TOKEN", ""},
	"SW-SEC-051": {"DigitalOcean", "https://api.digitalocean.com", "/v2/account", "Authorization", "Bearer "},
	"SW-SEC-165": {"npm", "https://registry.npmjs.org", "/-/whoami", "Authorization", "Bearer "},
	"SW-SEC-222": {"SendGrid", "https://api.sendgrid.com", "/v3/scopes", "Authorization", "Bearer "},
	"SW-SEC-250": {"Stripe", "https://api.stripe.com", "/v1/account", "Authorization", "Bearer "},
	"SW-SEC-302": {"Hugging Face", "https://huggingface.co", "/api/whoami-v2", "Authorization", "Bearer "},
	"SW-SEC-300": {"OpenAI", "https://api.openai.com", "/v1/models", "Authorization", "Bearer "},
}

// Verifier asks, one call at a time, and remembers answers by fingerprint.
type Verifier struct {
	Options
	mu      sync.Mutex
	answers map[string]string
	last    time.Time
}

// New returns a Verifier, safe for concurrent use.
func New(v Options) *Verifier {
	if v.Interval == 0 {
		v.Interval = time.Second
	}
	if v.Most == 0 {
		v.Most = 100
	}
	return &Verifier{Options: v, answers: map[string]string{}}
}

// Version keys the layer cache: a verdict is not used after its day.
func (v *Options) Version() int {
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	return int(now().Unix()/86400)<<1 | 1
}

// Check asks the vendor of a rule about a token. "" means the vendor is not one that is asked.
func (v *Verifier) Check(ruleID, fingerprint, token string) string {
	q, ok := questions[ruleID]
	if !ok {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if state, known := v.answers[fingerprint]; known {
		return state
	}
	if len(v.answers) >= v.Most {
		return Unknown
	}
	if wait := v.Interval - time.Since(v.last); wait > 0 {
		time.Sleep(wait)
	}
	v.last = time.Now()
	state := v.ask(q, token)
	v.answers[fingerprint] = state
	return state
}

// ask makes one call. Only a clear yes or no of the vendor counts.
func (v *Verifier) ask(q question, token string) string {
	base := q.base
	if other := v.Base[q.vendor]; other != "" {
		base = strings.TrimSuffix(other, "/")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+q.path, nil)
	if err != nil || req.URL.Scheme != "https" {
		return Unknown
	}
	req.Header.Set(q.header, q.prefix+token)
	client := *v.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return Unknown
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	switch resp.StatusCode {
	case http.StatusOK:
		return Live
	case http.StatusUnauthorized:
		return Revoked
	}
	return Unknown
}
