package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
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

// transport makes connections. The certificate of a listed host is not
// verified; those of the others a request may be redirected to are.
func (s *security) transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // digests are of the bytes as stored
	t.ResponseHeaderTimeout = 60 * time.Second
	t.TLSClientConfig = &tls.Config{RootCAs: s.roots}
	if len(s.insecure) == 0 {
		return t
	}
	t.TLSClientConfig.InsecureSkipVerify = true
	t.TLSClientConfig.VerifyConnection = func(cs tls.ConnectionState) error {
		for _, host := range s.insecure {
			if h, _, err := net.SplitHostPort(host); host == cs.ServerName || err == nil && h == cs.ServerName {
				return nil
			}
		}
		return verify(cs, s.roots)
	}
	return t
}

// verify is the check crypto/tls makes unless told to skip it.
func verify(cs tls.ConnectionState, roots *x509.CertPool) error {
	opts := x509.VerifyOptions{Roots: roots, DNSName: cs.ServerName, Intermediates: x509.NewCertPool()}
	for _, cert := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := cs.PeerCertificates[0].Verify(opts)
	return err
}

// errPlain: a request would have gone out unprotected.
var errPlain = errors.New("plain HTTP is not allowed")

// plainGuard refuses plain HTTP to hosts it is not allowed for, whoever asks for
// it: a redirect, a token server, a fallback.
type plainGuard struct {
	inner   http.RoundTripper
	allowed func(host string) bool
}

func (g *plainGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !g.allowed(req.URL.Host) {
		return nil, fmt.Errorf("%s: %w", req.URL.Host, errPlain)
	}
	return g.inner.RoundTrip(req)
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
			io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
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
