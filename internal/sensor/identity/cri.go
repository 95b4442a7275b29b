package identity

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Sockets are where container runtimes usually serve CRI.
func Sockets() []string {
	return []string{
		"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock",
		"/run/k0s/containerd.sock", "/var/snap/microk8s/common/run/containerd.sock", "/run/cri-dockerd.sock",
	}
}

// FindSocket is the first of Sockets below root that is there, "" when none is.
func FindSocket(root string) string {
	for _, path := range Sockets() {
		if st, err := os.Stat(root + path); err == nil && st.Mode()&fs.ModeSocket != 0 {
			return root + path
		}
	}
	return ""
}

// CRI asks a container runtime by the Kubernetes container runtime interface, v1
// (https://github.com/kubernetes/cri-api). Four unary calls are all that is
// needed of gRPC: they are made with net/http, which costs a process 7 MB less
// than the generated client.
type CRI struct {
	client *http.Client
	socket string
}

// NewCRI is a client of the runtime at a socket; "unix://" before the path may be there.
// It connects when it is asked something.
func NewCRI(socket string) *CRI {
	socket = strings.TrimPrefix(socket, "unix://")
	t := &http.Transport{
		DisableCompression:    true,
		ResponseHeaderTimeout: 10 * time.Second,
		IdleConnTimeout:       time.Minute,
		Protocols:             new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return &CRI{client: &http.Client{Transport: t, Timeout: 10 * time.Second}, socket: socket}
}

// Close ends idle connections.
func (c *CRI) Close() { c.client.CloseIdleConnections() }

// Version is the runtime's name and version.
func (c *CRI) Version(ctx context.Context) (name, version string, err error) {
	answer, err := c.call(ctx, "RuntimeService/Version", nil)
	if err != nil {
		return "", "", err
	}
	err = fields(answer, func(n protowire.Number, data []byte, _ uint64) error {
		switch n {
		case 2:
			name = string(data)
		case 3:
			version = string(data)
		}
		return nil
	})
	return name, version, err
}

// errAway: nobody answers.
var errAway = errors.New("no answer")

// errNotFound: the runtime does not know what was asked for.
var errNotFound = errors.New("not known to the container runtime")

// maxMessage bounds one answer: gRPC servers send at most 16 MiB by their default.
const maxMessage = 16 << 20

// call makes one unary call (gRPC over HTTP/2, PROTOCOL-HTTP2).
func (c *CRI) call(ctx context.Context, method string, request []byte) ([]byte, error) {
	frame := make([]byte, 5, 5+len(request))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(request)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/runtime.v1."+method, bytes.NewReader(append(frame, request...)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("container runtime at %s: %w: %w: %w", c.socket, errAway, seawall.ErrUnreadable, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("container runtime at %s: it answered %s: %w", c.socket, resp.Status, seawall.ErrUnreadable)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+6))
	if err != nil {
		return nil, fmt.Errorf("container runtime at %s: %w: %w", c.socket, seawall.ErrUnreadable, err)
	}
	if len(body) > maxMessage+5 {
		return nil, fmt.Errorf("container runtime: %s: an answer of more than %d MiB: %w", method, maxMessage>>20, seawall.ErrBound)
	}
	if err := grpcStatus(resp); err != nil {
		return nil, fmt.Errorf("container runtime: %s: %w", method, err)
	}
	return unframe(body)
}

// unframe takes the one message out of an answer.
func unframe(body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, nil
	}
	if len(body) < 5 || body[0] != 0 || uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-5) {
		return nil, fmt.Errorf("container runtime: not one uncompressed gRPC message: %w", seawall.ErrCorrupt)
	}
	return body[5:], nil
}

// grpcStatus is the call's status: in the trailer, or in the header of an answer without a message.
func grpcStatus(resp *http.Response) error {
	h := resp.Trailer
	if h.Get("Grpc-Status") == "" {
		h = resp.Header
	}
	switch h.Get("Grpc-Status") {
	case "0":
		return nil
	case "":
		return fmt.Errorf("the answer has no status: %w", seawall.ErrCorrupt)
	case "5":
		return errNotFound
	}
	text := h.Get("Grpc-Message")
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	if strings.Contains(text, "could not find") { // CRI-O has code 2 for it
		return errNotFound
	}
	return fmt.Errorf("%s (gRPC code %s): %w", text, h.Get("Grpc-Status"), seawall.ErrUnreadable)
}

// fields calls f for each field of a protobuf message: data is the content of
// texts and messages, number that of integers.
func fields(msg []byte, f func(n protowire.Number, data []byte, number uint64) error) error {
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
	return fmt.Errorf("container runtime: protobuf: %w: %w", seawall.ErrCorrupt, protowire.ParseError(n))
}

// pair reads an entry of map<string, string> into m.
func pair(msg []byte, m map[string]string) error {
	var key, value string
	err := fields(msg, func(n protowire.Number, data []byte, _ uint64) error {
		switch n {
		case 1:
			key = string(data)
		case 2:
			value = string(data)
		}
		return nil
	})
	m[key] = value
	return err
}

// textField encodes a string field.
func textField(n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), s)
}

// withInfo asks for the runtime's own details, too ("verbose").
func withInfo(request []byte) []byte {
	return protowire.AppendVarint(protowire.AppendTag(request, 2, protowire.VarintType), 1)
}
