package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/sensor/auditlog"
	"github.com/seawall-security/seawall/internal/sensor/auditlog/webhook"
)

const list = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"verb":"get","stage":"ResponseComplete","auditID":"a"},{"verb":"list","stage":"ResponseComplete","auditID":"b"}]}`

func TestReceiver(t *testing.T) {
	var got []string
	var fail error
	r := &webhook.Receiver{Token: webhook.Tokens("old", "new\n", ""), Emit: func(_ context.Context, batch []*auditlog.Entry) error {
		for _, e := range batch {
			got = append(got, e.AuditID)
		}
		return fail
	}}
	mux := http.NewServeMux()
	mux.Handle("/audit", r)
	for name, test := range map[string]struct {
		method, path, token, body string
		fail                      error
		code                      int
		want                      []string
	}{
		"a batch":           {"POST", "/audit", "new", list, nil, 200, []string{"a", "b"}},
		"an older token":    {"POST", "/audit", "old", list, nil, 200, []string{"a", "b"}},
		"a single event":    {"POST", "/audit", "new", `{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get","auditID":"a"}`, nil, 200, []string{"a"}},
		"not taken":         {"POST", "/audit", "new", list, errors.New("full"), 500, []string{"a", "b"}},
		"no token":          {"POST", "/audit", "", list, nil, 401, nil},
		"a wrong token":     {"POST", "/audit", "newer", list, nil, 401, nil},
		"read":              {"GET", "/audit", "new", "", nil, 405, nil},
		"nothing":           {"POST", "/audit", "new", " ", nil, 400, nil},
		"half a batch":      {"POST", "/audit", "new", list[:len(list)-20], nil, 400, nil},
		"a damaged event":   {"POST", "/audit", "new", strings.Replace(list, `"verb":"list","stage":"ResponseComplete",`, "", 1), nil, 400, nil},
		"another document":  {"POST", "/audit", "new", `{"kind":"Pod","apiVersion":"v1"}`, nil, 400, nil},
		"more than allowed": {"POST", "/audit", "new", strings.Repeat(" ", webhook.MaxBatch+1), nil, 413, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, fail = nil, test.fail
			before := r.Counters()
			req := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
			if test.token != "" {
				req.Header.Set("Authorization", "Bearer "+test.token)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, req)
			if w.Code != test.code {
				t.Errorf("answered %d %s, want %d", w.Code, w.Body, test.code)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			after := r.Counters()
			if took := after.Events - before.Events; (test.code == 200) != (took == uint64(len(test.want)) && took > 0) {
				t.Errorf("counted %d events: %+v", took, after)
			}
		})
	}
	want := webhook.Counters{Batches: 3, Events: 5, Refused: 2, Damaged: 5, Failed: 1}
	if diff := cmp.Diff(want, r.Counters()); diff != "" {
		t.Error(diff)
	}
}

// A client certificate that the server verified is as good as a token; one that it did not is nothing.
func TestClientCertificate(t *testing.T) {
	r := &webhook.Receiver{Emit: func(context.Context, []*auditlog.Entry) error { return nil }}
	ask := func(state *tls.ConnectionState) int {
		req := httptest.NewRequest("POST", "/", strings.NewReader(list))
		req.TLS = state
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Code
	}
	if code := ask(&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}); code != 200 {
		t.Errorf("with a verified certificate: %d", code)
	}
	if code := ask(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}); code != 401 {
		t.Errorf("with one nobody verified: %d", code)
	}
}

func FuzzReceiver(f *testing.F) {
	f.Add(list)
	f.Add(`[{"verb":"get"}]`)
	f.Fuzz(func(t *testing.T, body string) {
		emitted := 0
		r := &webhook.Receiver{Token: webhook.Tokens("t"), Emit: func(_ context.Context, _ []*auditlog.Entry) error {
			emitted++
			return nil
		}}
		req := httptest.NewRequest("POST", "/", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer t")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if (w.Code == 200) != (emitted == 1) {
			t.Fatalf("answered %d, emitted %d batches", w.Code, emitted)
		}
	})
}
