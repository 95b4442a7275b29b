package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// pageSize is how many objects a list is asked for at once, as kubectl does.
	pageSize = 500
	// maxPage bounds the bytes of one answer; a page of the largest objects etcd takes is 750 MB.
	maxPage = 1 << 30
	// tries is how often a request is made, restarts how often a list is
	// begun again.
	tries, restarts = 4, 3
	// answerTimeout bounds one request with its answer.
	answerTimeout = 2 * time.Minute
	// maxWait bounds what a server may ask to wait before another try.
	maxWait = 30 * time.Second
)

// api makes requests to one API server.
type api struct {
	client *http.Client
	base   *url.URL
	host   string
	wait   func(context.Context, time.Duration) error
}

func newAPI(config *rest.Config, o *Options) (*api, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "seawall"
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w: %w", seawall.ErrUsage, err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w: %w", seawall.ErrUsage, err)
	}
	a := &api{client: client, base: base, host: base.Host, wait: o.Wait}
	if a.wait == nil {
		a.wait = pause
	}
	return a, nil
}

// close looks through the layers that client-go puts around a transport.
func (a *api) close() { utilnet.CloseIdleConnectionsFor(a.client.Transport) }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// statusError is an answer that is no success.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string {
	if e.message == "" {
		return strconv.Itoa(e.code) + " " + http.StatusText(e.code)
	}
	return e.message
}

func refused(err error) bool {
	var st *statusError
	return errors.As(err, &st) && (st.code == http.StatusForbidden || st.code == http.StatusUnauthorized)
}

func gone(err error) bool {
	var st *statusError
	return errors.As(err, &st) && st.code == http.StatusGone
}

func notFound(err error) bool {
	var st *statusError
	return errors.As(err, &st) && st.code == http.StatusNotFound
}

// get reads one small JSON document.
func (a *api) get(ctx context.Context, path string, into any) error {
	return a.read(ctx, path, nil, "application/json", func(body io.Reader) error {
		return json.NewDecoder(io.LimitReader(body, 64<<20)).Decode(into)
	})
}

// read makes a GET request, again where another try may go better, and hands
// over the body of a success. Errors of consume are not tried again.
func (a *api) read(ctx context.Context, path string, query url.Values, accept string, consume func(io.Reader) error) error {
	for try := 1; ; try++ {
		again, err := a.once(ctx, path, query, accept, consume)
		if err == nil || again < 0 || try == tries || ctx.Err() != nil {
			return err
		}
		if again == 0 {
			again = time.Duration(try*try) * 250 * time.Millisecond
		}
		if werr := a.wait(ctx, min(again, maxWait)); werr != nil {
			return werr
		}
	}
}

// once returns how long to wait before another try: 0 is up to the caller, less is never.
func (a *api) once(ctx context.Context, path string, query url.Values, accept string, consume func(io.Reader) error) (again time.Duration, err error) {
	const never = -1
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	address := a.base.JoinPath(path)
	address.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return never, err
	}
	req.Header.Set("Accept", accept)
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return never, consume(io.LimitReader(resp.Body, maxPage))
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		again = time.Duration(seconds) * time.Second
	default:
		again = never
	}
	var status struct{ Message string }
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	_ = json.Unmarshal(text, &status) // proxies answer with something else
	return again, &statusError{resp.StatusCode, status.Message}
}

// list reads all objects at path, pages of them, and calls each with the raw
// JSON of every one; raw is valid until each returns. When the continuation
// expires or an answer breaks off the list is begun again: restart is called and
// what was seen is void.
func (a *api) list(ctx context.Context, path string, query url.Values, accept string, restart func(), each func(raw []byte) error) error {
	for round := 0; ; round++ {
		err := a.pages(ctx, path, query, accept, each)
		if err == nil || round == restarts || ctx.Err() != nil || !gone(err) && !errors.Is(err, seawall.ErrTransient) {
			return err
		}
		restart()
	}
}

func (a *api) pages(ctx context.Context, path string, query url.Values, accept string, each func(raw []byte) error) error {
	query = cloneValues(query)
	query.Set("limit", strconv.Itoa(pageSize))
	seen := ""
	for {
		var next string
		err := a.read(ctx, path, query, accept, func(body io.Reader) (err error) {
			next, err = decodePage(body, each)
			return err
		})
		if err != nil || next == "" {
			return err
		}
		if next == seen {
			return fmt.Errorf("%w: the same page again and again", seawall.ErrCorrupt)
		}
		seen = next
		query.Set("continue", next)
	}
}

func cloneValues(v url.Values) url.Values {
	out := make(url.Values, len(v)+2)
	for k, list := range v {
		out[k] = slices.Clone(list)
	}
	return out
}

// decodePage reads a list off the connection, an item at a time, and returns its continuation.
func decodePage(body io.Reader, each func(raw []byte) error) (next string, err error) {
	d := json.NewDecoder(body)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", pageError(err, "no JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return "", pageError(err, "")
		}
		switch key {
		case "metadata":
			var meta struct{ Continue string }
			if err := d.Decode(&meta); err != nil {
				return "", pageError(err, "")
			}
			next = meta.Continue
		case "items":
			if err := decodeItems(d, each); err != nil {
				return "", err
			}
		default:
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return "", pageError(err, "")
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return "", pageError(err, "")
	}
	return next, nil
}

func decodeItems(d *json.Decoder, each func(raw []byte) error) error {
	t, err := d.Token()
	switch {
	case err == nil && t == nil:
		return nil // null: no items
	case err != nil || t != json.Delim('['):
		return pageError(err, "items are no list")
	}
	var raw json.RawMessage
	for d.More() {
		if err := d.Decode(&raw); err != nil {
			return pageError(err, "")
		}
		if err := each(raw); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return pageError(err, "")
	}
	return nil
}

// pageError tells an answer that is wrong from one that broke off on the way.
func pageError(err error, what string) error {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case err == nil:
		return fmt.Errorf("%w: the answer: %s", seawall.ErrCorrupt, what)
	case errors.As(err, &syntax), errors.As(err, &mistyped):
		return fmt.Errorf("%w: the answer: %w", seawall.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: the answer broke off: %w", seawall.ErrTransient, err)
}

// sorted returns words in order.
func sorted(words []string) []string {
	slices.SortFunc(words, strings.Compare)
	return words
}
