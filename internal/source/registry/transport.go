package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// security says which registries may be spoken to without protection and whose certificates are believed.
type security struct {
	insecure []string
	roots    *x509.CertPool // nil is the system's
}

// newSecurity reads the certificate authorities the user keeps for a registry.
func newSecurity(host string, insecure, certDirs []string) (*security, error) {
	s := &security{insecure: insecure}
	if certDirs == nil {
		certDirs = []string{"/etc/docker/certs.d", "/etc/containers/certs.d"}
	}
	for _, dir := range certDirs {
		files, err := filepath.Glob(filepath.Join(dir, host, "*.crt"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			pem, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("certificate authority: %w", err)
			}
			if s.roots == nil {
				if s.roots, err = x509.SystemCertPool(); err != nil {
					s.roots = x509.NewCertPool()
				}
			}
			if !s.roots.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("certificate authority %s: no PEM certificate in it", file)
			}
		}
	}
	return s, nil
}

// listed tells a registry the user called insecure.
func (s *security) listed(host string) bool { return slices.Contains(s.insecure, host) }

// plainAllowed tells hosts plain HTTP may go to: the listed ones and, as docker has it, this machine.
func (s *security) plainAllowed(host string) bool {
	if s.listed(host) {
		return true
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// transport makes connections: with the certificate verified, or, to listed
// hosts only, without. A request may be redirected from one kind to the other.
func (s *security) transport() *connections {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DisableCompression = true // digests are of the bytes as stored
	base.ResponseHeaderTimeout = 60 * time.Second
	base.TLSClientConfig = &tls.Config{RootCAs: s.roots}
	unverified := base.Clone()
	unverified.TLSClientConfig.InsecureSkipVerify = true
	return &connections{security: s, verified: base, unverified: unverified}
}

// connections is the bottom of the stack. It refuses plain HTTP to hosts it is
// not allowed for, whoever asks for it: a redirect, a token server, a fallback.
type connections struct {
	*security
	verified, unverified *http.Transport
}

// errPlain: a request would have gone out unprotected.
var errPlain = errors.New("plain HTTP is not allowed")

func (c *connections) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	via := c.verified
	switch {
	case req.URL.Scheme == "http" && !c.plainAllowed(host):
		return nil, fmt.Errorf("%s: %w", host, errPlain)
	case c.listed(host):
		via = c.unverified
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := via.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, left: maxManifest + 1}
	if req.Header.Get("Accept") == blobTypes {
		b.left = math.MaxInt64 // whoever asked knows the size
	}
	resp.Body = b
	return resp, nil
}

// blobTypes is the Accept header that marks requests for blobs. All other
// answers (manifests, tokens, lists, whatever the token handshake drains) are small.
const blobTypes = "*/*"

// stallTimeout ends a connection over which nothing comes.
const stallTimeout = 60 * time.Second

// errStalled: the other side keeps the connection open and sends nothing.
var errStalled = fmt.Errorf("nothing came for %v", stallTimeout)

// body is an answer that can neither stall nor go on for ever, whoever reads it.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	left   int64
}

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: the answer is larger than %d bytes", seawall.ErrBound, maxManifest)
	}
	watchdog := time.AfterFunc(stallTimeout, func() { b.cancel(errStalled) })
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	watchdog.Stop()
	b.left -= int64(n)
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (b *body) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

func (c *connections) CloseIdleConnections() {
	c.verified.CloseIdleConnections()
	c.unverified.CloseIdleConnections()
}

// Retries: half a second, doubled each time; a registry's own word counts up to a minute.
const (
	maxTries  = 5
	firstWait = 500 * time.Millisecond
	maxWait   = time.Minute
)

// waitFunc waits, or returns the context's error.
type waitFunc func(ctx context.Context, d time.Duration) error

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retry repeats requests that met a passing fault: too many requests, a fault of
// the server, a connection that was reset. Requests here have no body.
type retry struct {
	inner http.RoundTripper
	wait  waitFunc
	log   *slog.Logger
}

func (r *retry) RoundTrip(req *http.Request) (*http.Response, error) {
	pause := firstWait
	for try := 1; ; try++ {
		resp, err := r.inner.RoundTrip(req)
		if try == maxTries || req.Body != nil || !passing(resp, err) {
			return resp, err
		}
		d := pause/2 + rand.N(pause/2)
		if resp != nil {
			if asked, ok := retryAfter(resp.Header.Get("Retry-After")); ok {
				d = asked
			}
			if d > maxWait {
				return resp, nil
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
			resp.Body.Close()
		}
		if r.log != nil {
			r.log.Warn("registry busy, trying again", "host", req.URL.Host, "in", d, "try", try)
		}
		sleep := r.wait
		if sleep == nil {
			sleep = wait
		}
		if err := sleep(req.Context(), d); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// passing tells faults that may be gone at the next try.
func passing(resp *http.Response, err error) bool {
	if err != nil {
		var op *net.OpError
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && op.Op == "read"
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter reads the header: seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(v string) (time.Duration, bool) {
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return min(time.Duration(n), 1<<31) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at)), true
	}
	return 0, false
}
