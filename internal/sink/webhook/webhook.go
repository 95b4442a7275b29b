// Package webhook posts records to a receiver by HTTP: messages as lines of JSON,
// many in one request, or alerts one by one as Falco does. It is what a spool
// delivers with; a status of 2xx acknowledges all of a request.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink/spool"
)

// The forms of a request's body.
const (
	// Lines are messages, one a line, any number of them.
	Lines = "application/x-ndjson"
	// Single is one JSON object.
	Single = "application/json"
)

// timeout bounds one request.
const timeout = 30 * time.Second

// Client posts to one URL.
type Client struct {
	url, form string
	header    http.Header
	client    *http.Client
}

// Options say how a receiver is spoken to. The zero value is plain HTTP or HTTPS with the system's roots.
type Options struct {
	// CA is a file of certificates to trust instead of the system's.
	CA string
	// Token is a file with a bearer token; it is read anew for every request.
	Token string
	// Header is sent with every request.
	Header http.Header
}

// New returns a client for a URL, which may hold a user and password. form is Lines or Single.
func New(address, form string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, seawall.WithHint(fmt.Errorf("%q is no address: %w", redacted(address), seawall.ErrUsage), "http://HOST:PORT/PATH or https://…")
	}
	c := &Client{url: address, form: form, header: o.Header.Clone()}
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Set("Content-Type", form)
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate: %w", o.CA, seawall.ErrUsage)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	var roundTripper http.RoundTripper = transport
	if o.Token != "" {
		if _, err := token(o.Token); err != nil {
			return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
		}
		roundTripper = &bearer{transport, o.Token}
	}
	c.client = &http.Client{Transport: roundTripper, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

func redacted(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	return "the address"
}

type bearer struct {
	*http.Transport
	file string
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := token(b.file)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+text)
	return b.Transport.RoundTrip(r)
}

func token(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	text := string(bytes.TrimSpace(data))
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s holds no token", name)
	}
	return text, nil
}

// Deliver posts records: Lines in one request, Single in one each. It implements
// the Deliver of a spool.
func (c *Client) Deliver(ctx context.Context, records [][]byte) error {
	if c.form == Lines {
		return c.post(ctx, append(bytes.Join(records, []byte("\n")), '\n'))
	}
	for _, r := range records {
		if err := c.post(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = c.header.Clone()
	res, err := c.client.Do(req)
	if err != nil {
		return err // it names method and address, the password left out
	}
	defer res.Body.Close()
	head, err := io.ReadAll(io.LimitReader(res.Body, 200))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case final(res.StatusCode):
		return &spool.Rejected{Err: fmt.Errorf("%s: %.200q", res.Status, head)}
	}
	return fmt.Errorf("%s: %.200q", res.Status, head)
}

// final statuses mean that the same body will never be taken. What has to do with
// credentials, addresses or load may pass.
func final(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

// Close closes idle connections.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// Encode makes the line of a message. Progress has none.
func Encode(m *seawall.Message) ([]byte, error) {
	if m.Progress != nil {
		return nil, nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(m)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// Lost is the message that stands for so many that had no room.
func Lost(n uint64) []byte {
	data, err := Encode(&seawall.Message{Status: &seawall.CollectorStatus{
		Name: "sink/spool", Status: seawall.RunPartial, Reason: fmt.Sprintf("%d messages had no room in the spool", n),
	}})
	if err != nil {
		return nil // a status always encodes
	}
	return data
}
