package webhook_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"encoding/pem"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink/spool"
	"github.com/seawall-security/seawall/internal/sink/webhook"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type request struct{ Path, Type, Auth, Body string }

func server(t *testing.T, status *int) (*httptest.Server, *[]request) {
	var got []request
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, request{r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)})
		w.WriteHeader(*status)
	}))
	t.Cleanup(s.Close)
	return s, &got
}

func options(t *testing.T, s *httptest.Server) webhook.Options {
	dir := t.TempDir()
	o := webhook.Options{CA: filepath.Join(dir, "ca.pem"), Token: filepath.Join(dir, "token")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for name, data := range map[string][]byte{o.CA: ca, o.Token: []byte("secret\n")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestForms(t *testing.T) {
	status := http.StatusAccepted
	s, got := server(t, &status)
	o := options(t, s)
	for _, form := range []string{webhook.Lines, webhook.Single} {
		c, err := webhook.New(s.URL+"/in", form, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Deliver(t.Context(), [][]byte{[]byte(`{"a":1}`), []byte(`{"b":2}`)}); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	want := []request{
		{"/in", webhook.Lines, "Bearer secret", "{\"a\":1}\n{\"b\":2}\n"},
		{"/in", webhook.Single, "Bearer secret", `{"a":1}`},
		{"/in", webhook.Single, "Bearer secret", `{"b":2}`},
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Error(diff)
	}
}

// Only what the receiver will never take is rejected; all else is tried again.
func TestStatuses(t *testing.T) {
	var status int
	s, _ := server(t, &status)
	c, err := webhook.New(s.URL, webhook.Lines, options(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for code, want := range map[int]string{204: "taken", 301: "again", 400: "rejected", 401: "again", 404: "again", 413: "rejected", 422: "rejected", 429: "again", 500: "again", 503: "again"} {
		status = code
		err := c.Deliver(t.Context(), [][]byte{[]byte("{}")})
		got := "again"
		var rejected *spool.Rejected
		switch {
		case err == nil:
			got = "taken"
		case errors.As(err, &rejected):
			got = "rejected"
		}
		if got != want {
			t.Errorf("%d: %s (%v), want %s", code, got, err, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, o := range map[string]webhook.Options{
		"localhost:80": {}, "ftp://h/": {}, "http://": {}, "": {},
		"http://a/": {CA: empty}, "http://b/": {Token: empty}, "http://c/": {Token: empty + "x"},
	} {
		if _, err := webhook.New(address, webhook.Lines, o); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%s %+v: %v", address, o, err)
		}
	}
	if _, err := webhook.New("mailto://user:secret@host", webhook.Lines, webhook.Options{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestEncode(t *testing.T) {
	m := seawall.Message{Finding: &seawall.Finding{ID: "x", Title: "<&>"}}
	data, err := webhook.Encode(&m)
	if err != nil || !strings.Contains(string(data), "<&>") || strings.Contains(string(data), "\n") {
		t.Errorf("%s, %v", data, err)
	}
	if data, _ := webhook.Encode(&seawall.Message{Progress: &seawall.Progress{}}); data != nil {
		t.Errorf("%s", data)
	}
	var lost seawall.Message
	if err := json.Unmarshal(webhook.Lost(7), &lost); err != nil || lost.Status == nil || !strings.HasPrefix(lost.Status.Reason, "7 ") {
		t.Errorf("%+v, %v", lost, err)
	}
}
