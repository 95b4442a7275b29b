//go:build linux

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// holders are the processes a cluster is kept for.
type holders struct {
	mu    sync.Mutex
	alive map[int]bool
	// none is closed when the last one ended.
	none chan struct{}
}

func newHolders() *holders {
	return &holders{alive: map[int]bool{}, none: make(chan struct{})}
}

var errOver = errors.New("the cluster is being taken down")

// add keeps the cluster until process pid ends.
func (h *holders) add(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.none:
		unix.Close(fd)
		return errOver
	default:
	}
	if h.alive[pid] {
		unix.Close(fd)
		return nil
	}
	h.alive[pid] = true
	go func() {
		defer unix.Close(fd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.alive, pid)
		if len(h.alive) == 0 {
			close(h.none)
		}
	}()
	return nil
}

// control answers tests on a socket in the slot's directory:
// POST /hold?pid=N keeps the cluster for one more process and answers with its
// State, as it does without a pid, POST /close ends it and answers when nothing is left.
type control struct {
	state   State
	holders *holders
	stop    context.CancelFunc
	stopped chan struct{} // closed when all is down
	server  *http.Server
}

func socket(dir string) string { return filepath.Join(dir, "control.sock") }

func (c *control) serve() error {
	listener, err := net.Listen("unix", socket(c.state.Dir))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hold", func(w http.ResponseWriter, r *http.Request) {
		if holder := r.URL.Query().Get("pid"); holder != "" {
			pid, err := strconv.Atoi(holder)
			if err == nil {
				err = c.holders.add(pid)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
				return
			}
		}
		_ = json.NewEncoder(w).Encode(c.state) // the other side is gone: it holds nothing
	})
	mux.HandleFunc("POST /close", func(http.ResponseWriter, *http.Request) {
		c.stop()
		<-c.stopped
	})
	c.server = &http.Server{Handler: mux}
	go c.server.Serve(listener) //nolint:errcheck // it ends with Shutdown
	return nil
}

// end answers who asked for the end.
func (c *control) end() {
	close(c.stopped)
	if c.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.server.Shutdown(ctx) // the process ends with it
	}
}

// call posts to the keeper of the cluster in dir.
func call(ctx context.Context, dir, path string, query url.Values) (*State, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket(dir))
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://keeper"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keeper of %s: %s", dir, response.Status)
	}
	if path == "/close" {
		return nil, nil
	}
	state := new(State)
	return state, json.NewDecoder(response.Body).Decode(state)
}

// join keeps the running cluster with this key for the spec's holders too. It
// returns nil when there is none.
func join(ctx context.Context, spec Spec) (*State, error) {
	running, err := taken()
	if err != nil {
		return nil, err
	}
	for _, s := range running {
		state, err := call(ctx, s.dir, "/hold", nil)
		if err != nil || state.Key != spec.Key {
			continue // not up yet, going down, or another one
		}
		for _, pid := range spec.Hold {
			if _, err = call(ctx, s.dir, "/hold", url.Values{"pid": {strconv.Itoa(pid)}}); err != nil {
				break
			}
		}
		if err == nil {
			return state, nil
		}
	}
	return nil, nil
}

// Close takes the cluster in dir down and returns when nothing is left of it.
func Close(ctx context.Context, dir string) error {
	_, err := call(ctx, dir, "/close", nil)
	return err
}

// Down takes the clusters in these directories down, or every one of this machine
// when none is named, and removes what killed ones left.
func Down(ctx context.Context, dirs ...string) error {
	found, err := taken()
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range found {
		if len(dirs) > 0 && !slices.Contains(dirs, s.dir) {
			continue
		}
		closed := Close(ctx, s.dir)
		ok, err := s.tryLock()
		switch {
		case err != nil:
			errs = append(errs, err)
		case ok:
			errs = append(errs, s.release())
		case closed != nil:
			errs = append(errs, fmt.Errorf("cluster in %s does not close: %w", s.dir, closed))
		}
	}
	return errors.Join(errs...)
}
