package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// session is one registry and every repository in it: they share connections,
// credentials and one pace.
type session struct {
	op   Opener
	reg  name.Registry
	host string // as people write it
	base *connections
	// polite is the stack below a login: retries over the pace over the connections.
	polite  http.RoundTripper
	o       source.Options
	clients sync.Map // repository -> func() (*client, error)
}

// newSession prepares to speak to a registry at a walk's pace.
func (op Opener) newSession(host string, w Walk, o source.Options) (*session, error) {
	if _, err := name.NewRegistry(host); err != nil {
		return nil, seawall.WithHint(fmt.Errorf("%q: %w: not a registry", host, seawall.ErrUsage), "write HOST[:PORT][/PREFIX], as in registry.example.org/team")
	}
	reg, base, err := op.reach(host, o)
	if err != nil {
		return nil, err
	}
	s := &session{op: op, reg: reg, host: shownHost(reg), base: base, o: o}
	s.polite = &retry{inner: &pace{inner: s.base, rate: w.Rate, wait: op.waiter(), slots: make(chan struct{}, w.Parallel)}, wait: op.Wait, log: o.Logger}
	return s, nil
}

func shownHost(reg name.Registry) string {
	return strings.Replace(reg.RegistryStr(), name.DefaultRegistry, "docker.io", 1)
}

func (op Opener) waiter() waitFunc {
	if op.Wait != nil {
		return op.Wait
	}
	return wait
}

// Close implements io.Closer.
func (s *session) Close() error {
	s.base.CloseIdleConnections()
	return nil
}

// repository returns the client of a repository, logged in once.
func (s *session) repository(ctx context.Context, repository string) (*client, error) {
	login := sync.OnceValues(func() (*client, error) {
		repo := s.reg.Repo(repository)
		auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		return s.login(ctx, auth, repository, repo.Scope(transport.PullScope))
	})
	once, _ := s.clients.LoadOrStore(repository, login)
	return once.(func() (*client, error))()
}

// login does the handshake for a scope. With an empty repository the client's paths begin at /v2/.
func (s *session) login(ctx context.Context, auth authn.Authenticator, repository, scope string) (*client, error) {
	t, err := transport.NewWithContext(ctx, s.reg, auth, s.polite, []string{scope})
	if err != nil {
		return nil, err
	}
	prefix := "https://" + s.reg.RegistryStr() + "/v2/"
	if repository != "" {
		prefix += repository + "/"
	}
	return &client{http: &http.Client{Transport: t}, base: s.base, prefix: prefix, log: s.o.Logger}, nil
}

// maxPages and maxPage bound a listing: how many answers it may have, and how large one may be.
const maxPages, maxPage = 10_000, 16 << 20

// pages asks for a listing and follows its Link headers (distribution specification,
// "Listing Tags"). each decodes one answer.
func (c *client) pages(ctx context.Context, path string, each func(json.RawMessage) error) error {
	next := c.prefix + path
	for range maxPages {
		raw, header, err := c.fetch(ctx, http.MethodGet, next, "application/json", maxPage)
		if err != nil {
			return err
		}
		if err := each(raw); err != nil {
			return fmt.Errorf("%s: %w: %w", path, seawall.ErrCorrupt, err)
		}
		following, err := nextAddress(next, header.Values("Link"))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if following == "" {
			return nil
		}
		next = following
	}
	return fmt.Errorf("%s: %w: more than %d pages", path, seawall.ErrBound, maxPages)
}

// nextAddress finds the address of the next page in Link headers (RFC 8288); "" when there
// is none. It never leaves the registry: the login would go with it.
func nextAddress(current string, links []string) (string, error) {
	for _, link := range links {
		target, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !ok || !strings.Contains(params, `rel="next"`) && !strings.Contains(params, "rel=next") {
			continue
		}
		from, err := url.Parse(current)
		if err != nil {
			return "", err
		}
		to, err := from.Parse(target)
		if err != nil {
			return "", fmt.Errorf("next page %q: %w: %w", target, seawall.ErrCorrupt, err)
		}
		if to.Host != from.Host {
			return "", fmt.Errorf("next page %q: %w: at another host", target, seawall.ErrCorrupt)
		}
		to.Scheme = from.Scheme
		if to.String() == current {
			return "", fmt.Errorf("next page %q: %w: the same page again", target, seawall.ErrCorrupt)
		}
		return to.String(), nil
	}
	return "", nil
}

// fetch makes one request and reads its answer, at most limit bytes of it.
func (c *client) fetch(ctx context.Context, method, address, accept string, limit int64) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, resp.Header, err
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	if int64(len(raw)) > limit {
		return nil, nil, fmt.Errorf("%w: an answer of more than %d bytes", seawall.ErrBound, limit)
	}
	return raw, resp.Header, nil
}

// statusOf is the status a registry answered with, 0 when it did not answer.
func statusOf(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// pace spaces requests and lets all of them rest when the registry asks one to.
type pace struct {
	inner http.RoundTripper
	rate  float64 // requests a second; 0 is no bound
	wait  waitFunc
	slots chan struct{} // requests under way, until their answer begins

	mu   sync.Mutex
	next time.Time // when the next request may go
}

// RoundTrip implements http.RoundTripper.
func (p *pace) RoundTrip(req *http.Request) (*http.Response, error) {
	if d := p.turn(time.Now()); d > 0 {
		if err := p.wait(req.Context(), d); err != nil {
			return nil, err
		}
	}
	p.slots <- struct{}{}
	resp, err := p.inner.RoundTrip(req)
	<-p.slots
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		if asked, ok := retryAfter(resp.Header.Get("Retry-After")); ok && asked <= maxWait {
			p.rest(time.Now().Add(asked))
		}
	}
	return resp, err
}

// turn takes the next free moment and returns how far off it is.
func (p *pace) turn(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.next
	if at.Before(now) {
		at = now
	}
	if p.rate > 0 {
		p.next = at.Add(time.Duration(float64(time.Second) / p.rate))
	}
	return at.Sub(now)
}

// rest lets nobody go before a moment.
func (p *pace) rest(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.next) {
		p.next = until
	}
}
