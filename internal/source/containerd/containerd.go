// Package containerd opens images of a containerd on this machine by reading
// its content store over its socket: containerd:REF.
//
// Two of containerd's services are used, images (name to descriptor) and
// content (digest to bytes), with a small gRPC client over net/http: the
// generated client and its dependencies would weigh more than the rest of source together.
// Where the store lies on disk does not matter, and nothing is copied.
package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/image"
)

// Opener opens containerd:REF.
type Opener struct {
	// Socket is containerd's; "" is $CONTAINERD_ADDRESS or the first usual one there is.
	Socket string
}

// Schemes implements source.Opener.
func (Opener) Schemes() []string { return []string{"containerd"} }

// Open implements source.Opener.
func (op Opener) Open(ctx context.Context, ref string, o source.Options) (seawall.Target, error) {
	socket, err := op.socket()
	if err != nil {
		return nil, fmt.Errorf("containerd:%s: %w", ref, err)
	}
	namespaces := []string{o.Namespace}
	if o.Namespace == "" {
		namespaces = []string{"default", "k8s.io"}
	}
	var have []string
	for _, ns := range namespaces {
		c := dial(socket, ns)
		t, err := open(ctx, store{c}, ref, o)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, errNoImage) {
			c.client.CloseIdleConnections()
			return nil, fmt.Errorf("containerd:%s: namespace %s: %w", ref, ns, access(err))
		}
		names, _ := store{c}.list(ctx) // only to make the message better
		c.client.CloseIdleConnections()
		for _, n := range names {
			have = append(have, n+" (in "+ns+")")
		}
	}
	hint := "there is no image in " + strings.Join(namespaces, " or ") + "; name another namespace with --namespace"
	if len(have) > 0 {
		hint = "there are " + strings.Join(have[:min(len(have), 8)], ", ")
	}
	return nil, seawall.WithHint(fmt.Errorf("containerd:%s: %w in %s", ref, errNoImage, strings.Join(namespaces, ", ")), hint)
}

// socket finds containerd.
func (op Opener) socket() (string, error) {
	for _, path := range []string{op.Socket, os.Getenv("CONTAINERD_ADDRESS")} {
		if path != "" {
			return strings.TrimPrefix(path, "unix://"), nil
		}
	}
	for _, path := range []string{
		"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/run/k0s/containerd.sock",
		"/var/snap/microk8s/common/run/containerd.sock", "/run/docker/containerd/containerd.sock",
	} {
		if st, err := os.Stat(path); err == nil && st.Mode()&fs.ModeSocket != 0 {
			return path, nil
		}
	}
	return "", seawall.WithHint(fmt.Errorf("%w: no containerd found on this machine", seawall.ErrUnreadable),
		"set CONTAINERD_ADDRESS to its socket")
}

// access adds the next step to a refused connection.
func access(err error) error {
	if errors.Is(err, syscall.EACCES) {
		return seawall.WithHint(err, "run as root: containerd's socket belongs to it")
	}
	return err
}

func open(ctx context.Context, s store, ref string, o source.Options) (seawall.Target, error) {
	full := fullName(ref)
	d, err := s.image(ctx, ref)
	if errors.Is(err, errNoImage) && full != ref {
		d, err = s.image(ctx, full)
	}
	if err != nil {
		return nil, err
	}
	parts := image.Parts{Name: ref, Closer: s}
	if strings.Contains(full, "@") {
		parts.RepoDigests = []string{full}
	} else {
		parts.RepoTags = []string{full}
	}
	return image.Open(ctx, s, d, parts, o)
}

// fullName writes a reference as containerd stores it: docker.io/library/nginx:latest.
func fullName(ref string) string {
	first, _, slash := strings.Cut(ref, "/")
	switch {
	case !slash:
		ref = "docker.io/library/" + ref
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		ref = "docker.io/" + ref
	}
	if !strings.ContainsAny(ref[strings.LastIndexByte(ref, '/'):], ":@") {
		ref += ":latest"
	}
	return ref
}

// errNoImage: the namespace has no image of that name.
var errNoImage = fmt.Errorf("%w: no such image", seawall.ErrUnreadable)

// store reads one namespace; it implements image.Store.
type store struct{ *conn }

// Close implements io.Closer.
func (s store) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// image asks the image service for a name.
func (s store) image(ctx context.Context, name string) (image.Descriptor, error) {
	answer, err := s.unary(ctx, "images.v1.Images/Get", text(1, name))
	var st *status
	if errors.As(err, &st) && st.code == codeNotFound {
		return image.Descriptor{}, errNoImage
	}
	if err != nil {
		return image.Descriptor{}, err
	}
	var d image.Descriptor
	err = fields(answer, func(f protowire.Number, data []byte, _ uint64) error {
		if f != 1 { // GetImageResponse.image
			return nil
		}
		_, d, err = parseImage(data)
		return err
	})
	return d, err
}

// list returns the names of all images of the namespace, in order.
func (s store) list(ctx context.Context) ([]string, error) {
	answer, err := s.unary(ctx, "images.v1.Images/List", nil)
	if err != nil {
		return nil, err
	}
	var names []string
	err = fields(answer, func(f protowire.Number, data []byte, _ uint64) error {
		if f != 1 { // ListImagesResponse.images
			return nil
		}
		name, _, err := parseImage(data)
		names = append(names, name)
		return err
	})
	slices.Sort(names)
	return names, err
}

// parseImage reads containerd.services.images.v1.Image: name 1, target 3 (media type 1, digest 2, size 3).
func parseImage(msg []byte) (name string, d image.Descriptor, err error) {
	err = fields(msg, func(f protowire.Number, data []byte, _ uint64) error {
		switch f {
		case 1:
			name = string(data)
		case 3:
			return fields(data, func(f protowire.Number, data []byte, number uint64) error {
				switch f {
				case 1:
					d.MediaType = string(data)
				case 2:
					d.Digest = string(data)
				case 3:
					d.Size = int64(number)
				}
				return nil
			})
		}
		return nil
	})
	return name, d, err
}

// Blob implements image.Store.
func (s store) Blob(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	m, err := s.call(ctx, "content.v1.Content/Read", text(1, d.Digest))
	if err != nil {
		cancel()
		return nil, err
	}
	return &content{m: m, cancel: cancel, digest: d.Digest}, nil
}

// content is a blob as it comes in ReadContentResponse messages (offset 1, data 2).
type content struct {
	m      *messages
	cancel context.CancelFunc
	digest string
	left   []byte
}

func (c *content) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		msg, err := c.m.next()
		var st *status
		switch {
		case errors.As(err, &st) && st.code == codeNotFound:
			return 0, seawall.WithHint(fmt.Errorf("%w: %s is not in containerd's content store", seawall.ErrUnreadable, c.digest),
				"containerd drops layers once unpacked where discard_unpacked_layers is set, and pulls one platform only; scan the image from its registry")
		case err != nil:
			return 0, err
		}
		if err := fields(msg, func(f protowire.Number, data []byte, _ uint64) error {
			if f == 2 { // data
				c.left = data
			}
			return nil
		}); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// Close implements io.Closer.
func (c *content) Close() error {
	c.cancel()
	c.m.close()
	return nil
}
