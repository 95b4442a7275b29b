// Package syslog sends findings to a syslog receiver: to a server by UDP, TCP or
// TLS in the form of RFC 5424 (framed by length on streams, RFC 6587), to the local
// daemon's socket in the older form that daemons expect there (RFC 3164). It is what
// a spool delivers with. Syslog acknowledges nothing: what the network or the
// socket took counts as delivered.
package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// facility is "security/authorization messages", number 4.
	facility = 4
	program  = "seawall-agent"
	timeout  = 10 * time.Second
	// maxText bounds a message: what a datagram surely holds.
	maxText = 8 << 10
)

// Client sends to one receiver.
type Client struct {
	// Hostname is told in every message, Now the time of those about losses.
	Hostname string
	Now      func() time.Time

	network, address string
	secure           bool
	local            bool
	conn             net.Conn
}

// New returns a client for udp://HOST[:PORT], tcp://…, tls://… or unix[:///PATH].
func New(address string) (*Client, error) {
	c := &Client{Now: time.Now}
	if address == "unix" || address == "" {
		address = "unix:///dev/log"
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
	}
	port := u.Port()
	switch u.Scheme {
	case "udp", "tcp":
		c.network = u.Scheme
		if port == "" {
			port = "514"
		}
	case "tls":
		c.network, c.secure = "tcp", true
		if port == "" {
			port = "6514"
		}
	case "unix":
		c.network, c.address, c.local = "unixgram", u.Path, true
		if u.Host == "" && u.Path != "" {
			return c, nil
		}
	}
	if c.network == "" || c.local || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return nil, seawall.WithHint(fmt.Errorf("%q is no address of a syslog receiver: %w", address, seawall.ErrUsage), "udp://HOST[:PORT], tcp://HOST[:PORT], tls://HOST[:PORT], unix or unix:///PATH")
	}
	c.address = net.JoinHostPort(u.Hostname(), port)
	return c, nil
}

// Encode makes the syslog message of a finding, or of a loss; nil of everything else.
func (c *Client) Encode(m *seawall.Message) ([]byte, error) {
	switch {
	case m.Finding != nil && m.Finding.Status == seawall.StatusFail:
		f := m.Finding
		when, err := time.Parse(time.RFC3339Nano, f.Time)
		if err != nil {
			when = c.Now()
		}
		return c.message(level(f), when, text(f)), nil
	case m.Status != nil && m.Status.Status == seawall.RunPartial:
		return c.message(4, c.Now(), m.Status.Name+": "+m.Status.Reason), nil
	}
	return nil, nil
}

// Lost is the message that stands for so many that had no room.
func (c *Client) Lost(n uint64) []byte {
	return c.message(4, c.Now(), fmt.Sprintf("%d messages had no room in the spool", n))
}

// text is one line: the rule, what it says, and where that was.
func text(f *seawall.Finding) string {
	var b strings.Builder
	b.WriteString(f.Rule)
	if f.Evidence != "" {
		b.WriteString(": " + f.Evidence)
	} else if f.Title != f.Rule {
		b.WriteString(": " + f.Title)
	}
	fmt.Fprintf(&b, " [finding=%s asset=%s", f.ID, f.Asset)
	if f.Location != nil && f.Location.Resource != "" {
		b.WriteString(" resource=" + f.Location.Resource)
	}
	if f.Incident != "" {
		b.WriteString(" incident=" + f.Incident)
	}
	b.WriteByte(']')
	return b.String()
}

// level is the severity of RFC 5424: the rule's priority, which has the same eight, else the finding's.
func level(f *seawall.Finding) int {
	for i, word := range []string{"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"} {
		if strings.EqualFold(f.Priority, word) || word == "INFO" && strings.EqualFold(f.Priority, "INFORMATIONAL") {
			return i
		}
	}
	switch f.Severity {
	case seawall.SeverityCritical:
		return 2
	case seawall.SeverityHigh:
		return 3
	case seawall.SeverityMedium:
		return 4
	case seawall.SeverityLow:
		return 5
	default:
		return 6
	}
}

func (c *Client) message(level int, when time.Time, text string) []byte {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	priority := facility*8 + level
	if c.local {
		return fmt.Appendf(nil, "<%d>%s %s[%d]: %s", priority, when.Local().Format(time.Stamp), program, os.Getpid(), text)
	}
	host := c.Hostname
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		host = "-"
	}
	return fmt.Appendf(nil, "<%d>1 %s %s %s %d - - %s", priority, when.UTC().Format("2006-01-02T15:04:05.000000Z"), host, program, os.Getpid(), text)
}

// Deliver sends records, over a new connection where the old one is broken. It
// implements the Deliver of a spool.
func (c *Client) Deliver(ctx context.Context, records [][]byte) error {
	if c.conn != nil && c.closed() {
		c.Close()
	}
	if c.conn == nil {
		dial, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn, err := c.dial(dial)
		if err != nil {
			return err
		}
		c.conn = conn
	}
	conn := c.conn
	conn.SetDeadline(time.Now().Add(timeout))
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for _, data := range c.framed(records) {
		if _, err := conn.Write(data); err != nil {
			c.Close()
			return err
		}
	}
	return nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	if c.secure {
		return (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, c.network, c.address)
	}
	return (&net.Dialer{}).DialContext(ctx, c.network, c.address)
}

// framed is what to write: datagrams, or a stream with lengths.
func (c *Client) framed(records [][]byte) [][]byte {
	if c.network != "tcp" {
		return records
	}
	var out bytes.Buffer
	for _, r := range records {
		out.WriteString(strconv.Itoa(len(r)))
		out.WriteByte(' ')
		out.Write(r)
	}
	return [][]byte{out.Bytes()}
}

// closed says whether the receiver ended the stream: writing to it would seem to
// succeed once. A receiver of syslog never sends.
func (c *Client) closed() bool {
	if c.network != "tcp" {
		return false
	}
	c.conn.SetDeadline(time.Now().Add(time.Millisecond))
	_, err := c.conn.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// Close ends the connection.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
