package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
	"github.com/seawall-security/seawall/internal/store/sql"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func env(stderr io.Writer) *command.Env {
	return &command.Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: stderr, Version: "test", Now: time.Now, Getenv: func(string) string { return "" }}
}

func noImages() Images {
	return Images{AddFlags: func(cmd *cobra.Command) { cmd.Flags().String("cache-dir", "", "") },
		Open: func(*cobra.Command) (*Scanning, error) {
			return &Scanning{Close: func() error { return nil }}, nil
		}}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "--roles is missing"},
		{"--roles console", "does not have it yet"},
		{"--roles cook", "no such role"},
		{"--roles admission,admission", "twice"},
		{"--roles admission --log-level loud", "--log-level"},
		{"--roles admission --drain -1s", "--drain"},
		{"--roles admission --webhook-timeout 31s", "--webhook-timeout"},
		{"--roles admission --webhook-timeout 1500ms", "whole seconds"},
		{"--roles admission --url http://a", "--url"},
		{"--roles admission --background-interval 1s", "--background-interval"},
		{"--roles admission --keep 1m", "--keep"},
		{"--roles admission --exclude-namespaces kube-*", "not patterns"},
		{"--roles admission --local-listen :8081", "loopback"},
		{"--roles admission --namespace a", "no cluster"},
		{"--roles admission", "which namespace"},
		{"--roles audit", "--audit-tls is missing"},
		{"--roles audit --audit-tls absent", "--audit-tokens is missing"},
		{"--roles audit --audit-tls absent --audit-tokens absent", "--audit-tls"},
		{"--roles audit --audit-tls absent --audit-tokens absent --rate 1", "--rate"},
		{"--roles admission --namespace a --kubeconfig /nonexistent", "kubeconfig"},
		{"--roles admission --namespace a --kubeconfig /nonexistent --certificate-overlap 48h --certificate-lifetime 49h", "overlap"},
		{"--roles admission --ops-listen 256.0.0.1:1", "operations"},
	} {
		var stderr bytes.Buffer
		cmd := Command(env(&stderr), noImages())
		cmd.SetArgs(append(strings.Fields(test.args), "--cache-dir", t.TempDir(), "--listen", "127.0.0.1:0"))
		if !strings.Contains(test.args, "--ops-listen") {
			cmd.SetArgs(append(strings.Fields(test.args), "--cache-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"))
		}
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetContext(t.Context())
		err := cmd.Execute()
		if err == nil || !strings.Contains(err.Error(), test.want) || command.ExitCode(err) != command.ExitUsage {
			t.Errorf("%s: %v (exit %d)", test.args, err, command.ExitCode(err))
		}
	}
}

func TestReadiness(t *testing.T) {
	o := newOperations(prometheus.NewRegistry())
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		o.mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	if code, _ := ask("/readyz"); code != http.StatusServiceUnavailable {
		t.Error("ready with nothing to be ready")
	}
	missing := errors.New("no certificate")
	o.check("admission", func() error { return missing })
	if code, body := ask("/readyz"); code != http.StatusServiceUnavailable || body != "admission: no certificate\n" {
		t.Errorf("%d %s", code, body)
	}
	missing = nil
	for _, path := range []string{"/readyz", "/healthz", "/metrics"} {
		if code, _ := ask(path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
}

// TestServeEnds: what is being answered when the end comes is answered.
func TestServeEnds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	entered, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-finish
		fmt.Fprint(w, "done")
	})
	ctx, stop := context.WithCancel(t.Context())
	p := &process{log: slog.New(slog.DiscardHandler)}
	served, answered := make(chan error, 1), make(chan string, 1)
	go func() { served <- serve(ctx, p, "test", address, &http.Server{Handler: handler}) }()
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for {
			resp, err := client.Get("http://" + address)
			if err != nil {
				continue // not listening yet
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			answered <- string(body)
			return
		}
	}()
	<-entered
	stop()
	close(finish)
	if got := <-answered; got != "done" {
		t.Errorf("cut off: %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestRecords(t *testing.T) {
	st, err := sql.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "s.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, uid := range []string{"1", "2", "3"} {
		if err := st.PutResult(t.Context(), &store.Result{UID: uid, Kind: "Pod", Namespace: "shop", Name: "web" + uid, Judged: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	h := records(st)
	for _, test := range []struct {
		url, host string
		code      int
		want      string
	}{
		{"/results?limit=2", "127.0.0.1:8081", 200, `"after":"2"`},
		{"/results?after=2", "localhost:8081", 200, `"name":"web3"`},
		{"/results?namespace=other", "[::1]:8081", 200, `"results":[]`},
		{"/reviews", "localhost", 200, `"reviews":[]`},
		{"/reviews?since=yesterday", "localhost", 400, "yesterday"},
		{"/results?limit=0", "localhost", 400, "want 1 to"},
		{"/results?decided=true", "localhost", 200, `"results":[]`},
		{"/reviews?denied=yes", "localhost", 400, "denied=yes: want true or false"},
		{"/reviews?kind=Pod", "localhost", 400, "kind is not known here: want some of namespace, denied, since, limit"},
		{"/results", "evil.example.org:8081", http.StatusMisdirectedRequest, "127.0.0.1"},
	} {
		r := httptest.NewRequest("GET", test.url, nil)
		r.Host = test.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s from %s: %d %s", test.url, test.host, w.Code, w.Body)
		}
	}
}

func TestImageLookup(t *testing.T) {
	built := "2026-11-01"
	report := &seawall.Report{Database: &seawall.DatabaseInfo{Built: built}, Asset: &seawall.Asset{Name: "a"}, Run: seawall.RunTimes{Started: "2026-11-21T10:00:00Z"}, Packages: make([]seawall.Package, 3), Findings: make([]seawall.Finding, 2)}
	l := &imageLookup{&Scanning{Database: func() string { return built }, Scan: func(context.Context, string) (*seawall.Report, error) { return report, nil },
		Verify: func(_ context.Context, name string, image *seawall.Asset) {
			image.Image.Verification = &seawall.Verification{Verified: name == "signed", Error: map[string]string{"away": "no route"}[name]}
		}}, "1.0"}
	v, err := l.Scan(t.Context(), admission.Image{Name: "a@sha256:1", Digest: "sha256:1"})
	if err != nil || v.Digest != "sha256:1" || v.Packages != 3 || len(v.Findings) != 2 {
		t.Errorf("%+v %v", v, err)
	}
	if l.Stale(v, v.Scanned.Add(time.Hour)) || !l.Stale(v, v.Scanned.Add(25*time.Hour)) {
		t.Error("a verdict is good for a day")
	}
	built = "2026-11-20"
	if !l.Stale(v, v.Scanned) {
		t.Error("another database may say something else")
	}
	if got, err := l.Verify(t.Context(), admission.Image{Name: "signed"}); err != nil || !got.Verified {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := l.Verify(t.Context(), admission.Image{Name: "away"}); err == nil || got != nil {
		t.Errorf("%+v %v: what could not be asked is no answer", got, err)
	}
	report.Asset = nil
	if _, err := l.Scan(t.Context(), admission.Image{Name: "a"}); !errors.Is(err, seawall.ErrUnreadable) {
		t.Error(err)
	}
}
