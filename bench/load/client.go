package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// durations are times in order.
type durations []time.Duration

func (d durations) columns() []string {
	var out []string
	for _, p := range []float64{.5, .9, .99, .999, 1} {
		value := time.Duration(0)
		if len(d) > 0 {
			value = d[min(int(p*float64(len(d))), len(d)-1)]
		}
		out = append(out, value.Round(10*time.Microsecond).String())
	}
	return out
}

// client speaks to a webhook as the API server does: HTTP/2 over TLS.
type client struct {
	url     string
	http    *http.Client
	reviews reviews
}

func newClient(at place) (*client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(at.Authority) {
		return nil, errors.New("the webhook's authority is no certificate")
	}
	return &client{at.URL, &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}, newReviews()}, nil
}

// ask sends one review and says whether it was allowed.
func (c *client) ask(ctx context.Context, n int) (bool, error) {
	body := c.reviews.nth(n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/validate?timeout=10s", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	var answer struct {
		Response struct {
			UID     string
			Allowed bool
			Status  struct{ Code int }
		}
	}
	switch err := json.Unmarshal(text, &answer); {
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s", resp.Status, text)
	case err != nil:
		return false, err
	case answer.Response.UID != uid(n):
		return false, fmt.Errorf("the answer to %s is about %q", uid(n), answer.Response.UID)
	case !answer.Response.Allowed && answer.Response.Status.Code != http.StatusForbidden:
		return false, fmt.Errorf("not judged: %s", text)
	case answer.Response.Allowed == denied(n):
		return false, fmt.Errorf("review %d: %s", n, text)
	}
	return answer.Response.Allowed, nil
}

// warm asks about every template once, so that what is measured is the steady state.
func (c *client) warm(ctx context.Context) error {
	for n := range period {
		if _, err := c.ask(ctx, n); err != nil {
			return err
		}
	}
	_, err := c.inside(ctx) // forgets these
	return err
}

// sent is what came of a load.
type sent struct {
	count, denied, failed int
	failure               error
	times                 durations
}

// load sends reviews at a rate.
func (c *client) load(ctx context.Context, rate int, duration time.Duration) (sent, error) {
	var s sent
	var mu sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	total := int(duration.Seconds() * float64(rate))
	for n := range total {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return s, ctx.Err()
			}
		}
		all.Go(func() {
			allowed, err := c.ask(ctx, n)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			s.times = append(s.times, took)
			switch {
			case err != nil:
				if s.failed++; s.failed == 1 {
					s.failure = err
				}
			case !allowed:
				s.denied++
			}
		})
	}
	all.Wait()
	s.count = len(s.times)
	slices.Sort(s.times)
	return s, nil
}

// inside are the times that the webhook took since it was last asked.
func (c *client) inside(ctx context.Context) (durations, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/times", nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var d durations
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		return nil, err
	}
	slices.Sort(d)
	return d, nil
}
