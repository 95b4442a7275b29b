// Package engine opens images of a container engine on this machine: Docker, or
// podman through its Docker-compatible service.
//
// It speaks the two requests of the Engine API it needs by itself: what an image
// is called and which it is, and its export, a docker archive. The export comes as
// a stream with the layers before the list of them, so it is spooled (see source/archive).
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/archive"
)

// Opener opens docker:REF. Env looks up environment variables; nil is os.Getenv.
type Opener struct {
	Env func(string) string
}

// Schemes implements source.Opener.
func (Opener) Schemes() []string { return []string{"docker"} }

// Open implements source.Opener.
func (op Opener) Open(ctx context.Context, ref string, o source.Options) (seawall.Target, error) {
	if ref == "" {
		return nil, seawall.WithHint(fmt.Errorf("docker:: %w: no image named", seawall.ErrUsage), "write docker:NAME[:TAG] or docker:ID")
	}
	hosts, err := op.hosts(o.Offline)
	if err != nil {
		return nil, fmt.Errorf("docker:%s: %w", ref, err)
	}
	var tried []string
	for _, host := range hosts {
		e := connect(host)
		t, err := e.open(ctx, ref, o)
		e.client.CloseIdleConnections()
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, errNotThere) {
			return nil, fmt.Errorf("docker:%s: %s: %w", ref, host, err)
		}
		tried = append(tried, host+" ("+err.Error()+")")
	}
	if len(tried) == 0 {
		return nil, seawall.WithHint(fmt.Errorf("docker:%s: %w: no container engine found on this machine", ref, seawall.ErrUnreadable),
			"set DOCKER_HOST, start podman's service with systemctl start podman.socket, or leave out docker: to pull "+ref+" from its registry")
	}
	return nil, seawall.WithHint(fmt.Errorf("docker:%s: %w: tried %s", ref, seawall.ErrUnreadable, strings.Join(tried, ", ")),
		"docker:REF is an image of the local engine; for the image of that name in a registry write docker.io/library/docker:"+ref+" or the reference without docker:")
}

// hosts lists the engines to try: the one the user names, else every usual socket that is there.
func (op Opener) hosts(offline bool) ([]string, error) {
	env := op.Env
	if env == nil {
		env = os.Getenv
	}
	for _, name := range []string{"DOCKER_HOST", "CONTAINER_HOST"} {
		host := env(name)
		switch scheme, _, _ := strings.Cut(host, "://"); {
		case host == "":
			continue
		case scheme == "unix":
		case scheme == "tcp" && env("DOCKER_TLS_VERIFY") == "":
			if offline {
				return nil, fmt.Errorf("%w: %s is %s, and the run is offline", seawall.ErrUnreadable, name, host)
			}
		default:
			return nil, seawall.WithHint(fmt.Errorf("%w: %s is %q: only unix sockets and plain tcp are spoken to", seawall.ErrUsage, name, host),
				"use docker save IMAGE | seawall scan image docker-archive:-")
		}
		return []string{host}, nil
	}
	var found []string
	for _, path := range []string{
		"/var/run/docker.sock",
		runtimeDir(env, "docker.sock"),
		filepath.Join(env("HOME"), ".docker/run/docker.sock"),
		"/run/podman/podman.sock",
		runtimeDir(env, "podman/podman.sock"),
	} {
		if st, err := os.Stat(path); err == nil && st.Mode()&fs.ModeSocket != 0 {
			found = append(found, "unix://"+path)
		}
	}
	return found, nil
}

// runtimeDir is a path below the user's runtime directory; "" when there is none.
func runtimeDir(env func(string) string, path string) string {
	dir := env("XDG_RUNTIME_DIR")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, path)
}

// errNotThere: this engine cannot be reached or has no such image; another may.
var errNotThere = errors.New("not there")

// engine is one Engine API endpoint.
type engine struct {
	client *http.Client
	base   url.URL
}

func connect(host string) *engine {
	scheme, address, _ := strings.Cut(host, "://")
	t := &http.Transport{DisableCompression: true}
	base := url.URL{Scheme: "http", Host: address}
	if scheme == "unix" {
		base.Host = "engine"
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", address)
		}
	}
	// An engine redirects only what is not an image's name, and never elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &engine{client: &http.Client{Transport: t, CheckRedirect: stay}, base: base}
}

// inspected is what is read of GET /images/{name}/json.
type inspected struct {
	ID          string `json:"Id"`
	RepoTags    []string
	RepoDigests []string
	Size        int64
}

// inspectTimeout is for what an engine answers at once. An export has none: it may be prepared for minutes.
const inspectTimeout = 30 * time.Second

// inspect asks what an image is called.
func (e *engine) inspect(ctx context.Context, ref string) (image inspected, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, inspectTimeout, fmt.Errorf("%w: no answer in %v", errNotThere, inspectTimeout))
	defer cancel()
	body, err := e.get(ctx, ref, "json")
	if err != nil {
		return image, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, 16<<20)).Decode(&image); err != nil {
		return image, fmt.Errorf("%w: the engine's answer: %w", seawall.ErrCorrupt, err)
	}
	return image, nil
}

func (e *engine) open(ctx context.Context, ref string, o source.Options) (seawall.Target, error) {
	image, err := e.inspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	body, err := e.get(ctx, ref, "get")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return archive.Export(ctx, body, archive.Exported{
		Name: ref, RepoTags: image.RepoTags, RepoDigests: image.RepoDigests, Size: image.Size,
	}, o)
}

// get asks for something about an image.
func (e *engine) get(ctx context.Context, ref, what string) (io.ReadCloser, error) {
	u := e.base
	u.Path = "/images/" + ref + "/" + what
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUsage, err)
	}
	resp, err := e.client.Do(req)
	switch {
	case errors.Is(err, syscall.EACCES):
		return nil, seawall.WithHint(fmt.Errorf("%w: no permission to use the engine's socket", seawall.ErrUnreadable),
			"run as root, or add your user to the docker group")
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotThere, err)
	case resp.StatusCode == http.StatusOK:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var answer struct {
		Message string `json:"message"`
	}
	// An answer that is not JSON leaves the message empty; the status says enough.
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %s", errNotThere, answer.Message)
	}
	return nil, fmt.Errorf("%w: the engine answered %s: %s", seawall.ErrUnreadable, resp.Status, answer.Message)
}
