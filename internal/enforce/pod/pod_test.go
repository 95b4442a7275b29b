package pod

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// server answers as an API server that has one pod; test/cluster/response asks a real one.
type server struct {
	pod  map[string]any
	seen []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.seen = append(s.seen, r.Method+" "+r.URL.Path+" "+string(body))
	metadata := s.pod["metadata"].(map[string]any)
	answer := func(code int, message string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","message":%q}`, message)
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		answer(http.StatusUnauthorized, "Unauthorized")
	case r.URL.Path != "/api/v1/namespaces/shop/pods/web":
		answer(http.StatusNotFound, "pods not found")
	case r.Method == http.MethodDelete:
		var options struct{ Preconditions struct{ UID string } }
		if _ = json.Unmarshal(body, &options); options.Preconditions.UID != metadata["uid"] {
			answer(http.StatusConflict, "the UID in the precondition does not match")
		}
	case r.Method == http.MethodPatch:
		var patch struct{ Metadata map[string]json.RawMessage }
		_ = json.Unmarshal(body, &patch)
		for _, field := range []string{"labels", "annotations"} {
			changes, now := map[string]any{}, metadata[field].(map[string]any)
			_ = json.Unmarshal(patch.Metadata[field], &changes)
			for k, v := range changes {
				if now[k] = v; v == nil {
					delete(now, k)
				}
			}
		}
	default:
		_ = json.NewEncoder(w).Encode(s.pod)
	}
}

func newServer(t *testing.T) (*server, *Client) {
	t.Helper()
	s := &server{pod: map[string]any{"metadata": map[string]any{
		"uid": "u-1", "resourceVersion": "7", "labels": map[string]any{"app": "web", "pod-template-hash": "x"}, "annotations": map[string]any{"a": "b"},
	}}}
	h := httptest.NewTLSServer(s)
	t.Cleanup(h.Close)
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	for name, data := range map[string][]byte{"ca": ca, "token": []byte("secret\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(Config{Server: h.URL, CAFile: filepath.Join(dir, "ca"), TokenFile: filepath.Join(dir, "token")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

func web() seawall.Subject {
	return seawall.Subject{Container: &seawall.Container{Namespace: "shop", Pod: "web", PodUID: "u-1"}}
}

func TestDelete(t *testing.T) {
	s, c := newServer(t)
	if o := c.Delete(t.Context(), &enforce.Action{Subject: web()}); o.Err != nil {
		t.Error(o.Err)
	}
	want := []string{`DELETE /api/v1/namespaces/shop/pods/web {"apiVersion":"v1","gracePeriodSeconds":1,"kind":"DeleteOptions","preconditions":{"uid":"u-1"}}`}
	if diff := cmp.Diff(want, s.seen); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]func(k *seawall.Container){
		"another pod of that name": func(k *seawall.Container) { k.PodUID = "u-2" },
		"no such pod":              func(k *seawall.Container) { k.Pod = "gone" },
		"a name that is a path":    func(k *seawall.Container) { k.Pod = "../../../nodes/n1" },
	} {
		subject := web()
		change(subject.Container)
		if o := c.Delete(t.Context(), &enforce.Action{Subject: subject}); !errors.Is(o.Err, enforce.ErrGone) {
			t.Errorf("%s: %v", name, o.Err)
		}
	}
	for _, subject := range []seawall.Subject{{}, {Container: &seawall.Container{Namespace: "shop", Pod: "web"}}} {
		if o := c.Delete(t.Context(), &enforce.Action{Subject: subject}); !errors.Is(o.Err, enforce.ErrIdentity) {
			t.Errorf("%+v: %v", subject, o.Err)
		}
	}
}

func TestSetApart(t *testing.T) {
	s, c := newServer(t)
	subject := web()
	metadata := s.pod["metadata"].(map[string]any)
	for range 2 { // the second time changes nothing
		if err := c.SetApart(t.Context(), &subject, "a miner"); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]any{
		"uid": "u-1", "resourceVersion": "7", "labels": map[string]any{Quarantined: "true"},
		"annotations": map[string]any{"a": "b", Labels: `{"app":"web","pod-template-hash":"x"}`, Reason: "a miner"},
	}
	if diff := cmp.Diff(want, metadata); diff != "" {
		t.Error(diff)
	}
	if apart, err := c.Apart(t.Context(), &subject); !apart || err != nil {
		t.Errorf("%t, %v", apart, err)
	}
	// Somebody takes the label away.
	delete(metadata["labels"].(map[string]any), Quarantined)
	if apart, err := c.Apart(t.Context(), &subject); apart || err != nil {
		t.Errorf("%t, %v", apart, err)
	}
	for range 2 {
		if err := c.Return(t.Context(), &subject); err != nil {
			t.Fatal(err)
		}
	}
	want["labels"], want["annotations"] = map[string]any{"app": "web", "pod-template-hash": "x"}, map[string]any{"a": "b"}
	if diff := cmp.Diff(want, metadata); diff != "" {
		t.Error(diff)
	}
	subject.Container.PodUID = "u-2"
	if err := c.SetApart(t.Context(), &subject, ""); !errors.Is(err, enforce.ErrGone) {
		t.Errorf("another pod of that name: %v", err)
	}
}

func TestNoAccess(t *testing.T) {
	_, c := newServer(t)
	if err := os.WriteFile(c.config.TokenFile, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := c.Delete(t.Context(), &enforce.Action{Subject: web()})
	var hint *seawall.Hinted
	if !errors.As(o.Err, &hint) || hint.Hint == "" {
		t.Errorf("%v", o.Err)
	}
}
