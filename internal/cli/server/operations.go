package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seawall-security/seawall/internal/seawall"
)

// operations are what those who run the server ask it.
type operations struct {
	mu     sync.Mutex
	checks map[string]func() error
	mux    *http.ServeMux
}

func newOperations(metrics *prometheus.Registry) *operations {
	o := &operations{checks: map[string]func() error{}, mux: http.NewServeMux()}
	o.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	o.mux.HandleFunc("GET /readyz", o.readyz)
	o.mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return o
}

// check adds a condition to readiness: its error says what is missing.
func (o *operations) check(name string, ready func() error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checks[name] = ready
}

func (o *operations) readyz(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.checks) == 0 {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	for name, ready := range o.checks {
		if err := ready(); err != nil {
			http.Error(w, name+": "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

func serveOperations(ctx context.Context, address string, p *process) error {
	return serve(ctx, p, "operations", address, &http.Server{Handler: p.ops.mux})
}

// The bounds of a connection: whoever calls is a program that has its request ready.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	endTimeout    = 10 * time.Second
)

// serve serves until ctx ends and answers what was asked by then. With a TLSConfig it is HTTPS.
func serve(ctx context.Context, p *process, what, address string, server *http.Server) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return seawall.WithHint(fmt.Errorf("%s: %w: %w", what, seawall.ErrUsage, err), "say where to listen: see 'seawall server --help'")
	}
	server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = headerTimeout, readTimeout, idleTimeout
	p.log.Info("listening", "what", what, "address", listener.Addr().String())
	done := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			done <- server.ServeTLS(listener, "", "")
		} else {
			done <- server.Serve(listener)
		}
	}()
	select {
	case err := <-done:
		return fmt.Errorf("%s: %w", what, err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		_ = server.Close()
		p.log.Warn("requests were cut off", "what", what, "error", err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
