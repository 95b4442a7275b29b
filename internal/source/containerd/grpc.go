package containerd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/seawall-security/seawall/internal/seawall"
)

// conn is a gRPC connection in the little we need of it: a request is one
// message, the answer some, without compression (gRPC over HTTP/2, PROTOCOL-HTTP2).
type conn struct {
	client    *http.Client
	namespace string
}

func dial(socket, namespace string) *conn {
	t := &http.Transport{
		DisableCompression:    true,
		ResponseHeaderTimeout: 30 * time.Second, // a socket nobody serves must not hang the scan
		Protocols:             new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return &conn{client: &http.Client{Transport: t}, namespace: namespace}
}

// status is a gRPC status other than OK.
type status struct {
	code    string
	message string
}

func (s *status) Error() string { return "containerd: " + s.message + " (gRPC code " + s.code + ")" }

// The status codes told apart.
const codeNotFound = "5"

// maxMessage bounds one message: containerd sends at most 16 MiB.
const maxMessage = 32 << 20

// messages reads the messages of one answer.
type messages struct {
	resp *http.Response
	r    *bufio.Reader
}

// call sends a request; the caller closes the answer.
func (c *conn) call(ctx context.Context, method string, request []byte) (*messages, error) {
	frame := make([]byte, 5, 5+len(request))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(request)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://containerd/containerd.services."+method, bytes.NewReader(append(frame, request...)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	if c.namespace != "" {
		req.Header.Set("containerd-namespace", c.namespace)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: not a containerd socket: it answered %s", seawall.ErrUnreadable, resp.Status)
	}
	return &messages{resp: resp, r: bufio.NewReaderSize(resp.Body, 64<<10)}, nil
}

// next returns the following message, or io.EOF after the last of a call that went well.
func (m *messages) next() ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(m.r, head[:]); err == io.EOF {
		return nil, m.end()
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || n > maxMessage {
		return nil, fmt.Errorf("%w: a gRPC message of %d bytes, compression %d", seawall.ErrCorrupt, n, head[0])
	}
	msg := make([]byte, n)
	if _, err := io.ReadFull(m.r, msg); err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	return msg, nil
}

// end reads the status, which comes in the trailer, or in the header of an answer without messages.
func (m *messages) end() error {
	h := m.resp.Trailer
	if h.Get("Grpc-Status") == "" {
		h = m.resp.Header
	}
	switch code := h.Get("Grpc-Status"); code {
	case "0":
		return io.EOF
	case "":
		return fmt.Errorf("%w: the answer ended without a status", seawall.ErrUnreadable)
	default:
		text := h.Get("Grpc-Message")
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
		return &status{code: code, message: text}
	}
}

func (m *messages) close() { m.resp.Body.Close() }

// unary calls a method that answers with one message.
func (c *conn) unary(ctx context.Context, method string, request []byte) ([]byte, error) {
	m, err := c.call(ctx, method, request)
	if err != nil {
		return nil, err
	}
	defer m.close()
	answer, err := m.next()
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := m.next(); err != io.EOF {
		return nil, fmt.Errorf("%s: %w", method, cmpErr(err))
	}
	return answer, nil
}

// cmpErr is the error of an answer that should have ended.
func cmpErr(err error) error {
	if err == nil {
		return fmt.Errorf("%w: more than one message", seawall.ErrCorrupt)
	}
	return err
}

// fields calls f for each field of a protobuf message; data is the content of
// strings, bytes and messages, number the value of integers.
func fields(msg []byte, f func(field protowire.Number, data []byte, number uint64) error) error {
	for len(msg) > 0 {
		field, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return damaged(n)
		}
		msg = msg[n:]
		var data []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(msg)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(msg)
		default:
			n = protowire.ConsumeFieldValue(field, kind, msg)
		}
		if n < 0 {
			return damaged(n)
		}
		msg = msg[n:]
		if err := f(field, data, number); err != nil {
			return err
		}
	}
	return nil
}

func damaged(n int) error {
	return fmt.Errorf("%w: protobuf: %w", seawall.ErrCorrupt, protowire.ParseError(n))
}

// text encodes a string field.
func text(field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), s)
}
