package registry

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/source"
)

func TestCompareTags(t *testing.T) {
	tags := []string{"latest", "v1.9", "nightly", "v1.10", "1.10-alpine", "v2", "v1.10.1", "stable", "2026-11-21"}
	slices.SortFunc(tags, compareTags)
	want := []string{"v1.10.1", "v1.10", "v1.9", "2026-11-21", "1.10-alpine", "v2", "stable", "nightly", "latest"}
	if diff := cmp.Diff(want, tags); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func token(claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." + part([]byte(claims)) + ".c2ln"
}

func TestGrantedActions(t *testing.T) {
	for _, tt := range []struct {
		token string
		want  []string
		known bool
	}{
		{token(`{"access":[{"type":"repository","name":"team/app","actions":["pull"]}]}`), []string{"pull"}, true},
		{token(`{"access":[{"type":"repository","name":"other","actions":["push"]},{"type":"registry","name":"team/app","actions":["*"]}]}`), nil, true},
		{token(`{"access":[]}`), nil, true},
		{token(`{"sub":"me"}`), nil, false},
		{"ya29.opaque", nil, false},
		{"a.!!!.c", nil, false},
	} {
		got, err := grantedActions(tt.token, "team/app")
		if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != tt.known {
			t.Errorf("%s: %v, error %v", tt.token, got, err)
		}
	}
}

func TestPlainVersion(t *testing.T) {
	for in, want := range map[string]string{"v2.5.0-e58c1a2d": "2.5.0", "1.21.1+dev": "1.21.1", "3.41.1-01 (OSS)": "3.41.1", "dev": "", "": "", "7.": "7"} {
		if got := plainVersion(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestFromHeaders(t *testing.T) {
	for header, want := range map[string]string{
		"Gitlab-Container-Registry-Version: v4.9.0-gitlab": "gitlab-container-registry 4.9.0", "X-Jfrog-Version: Artifactory/7.55.10 75510900": "artifactory 7.55.10",
		"Server: Nexus/3.61.0-02 (OSS)": "nexus 3.61.0", "Docker-Distribution-Api-Version: registry/2.0": "distribution ", "Server: nginx": " ",
	} {
		key, value, _ := strings.Cut(header, ": ")
		name, version := fromHeaders(http.Header{key: {value}})
		if got := name + " " + version; got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// answers is a transport with canned answers by URL.
type answers map[string]string

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	body, ok := a[req.URL.String()]
	if !ok {
		return nil, fmt.Errorf("not expected: %s", req.URL)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// TestOwnListings: the public registries without a catalog are asked in their own interface.
func TestOwnListings(t *testing.T) {
	const hub, quay = "https://hub.docker.com/v2/namespaces/team/repositories?page_size=100", "https://quay.io/api/v1/repository?public=true&namespace=team"
	for _, tt := range []struct {
		host, prefix string
		answers      answers
		want         []string
		err          string
	}{
		{"docker.io", "team", answers{
			hub:             `{"next":"` + hub + `&page=2","results":[{"name":"web"}]}`,
			hub + "&page=2": `{"next":null,"results":[{"name":"api"}]}`,
		}, []string{"team/api", "team/web"}, ""},
		{"docker.io", "team/web", answers{hub: `{"results":[{"name":"web"},{"name":"api"}]}`}, []string{"team/web"}, ""},
		{"docker.io", "team", answers{hub: `{"next":"https://elsewhere.example/","results":[]}`}, nil, "at another host"},
		{"docker.io", "team", answers{hub: `<html>`}, nil, "corrupt"},
		{"docker.io", "", nil, nil, "as a whole"},
		{"quay.io", "team", answers{
			quay:                    `{"repositories":[{"name":"web"}],"next_page":"a b"}`,
			quay + "&next_page=a+b": `{"repositories":[{"name":"api"}]}`,
		}, []string{"team/api", "team/web"}, ""},
		{"ghcr.io", "team", nil, nil, "does not list"},
	} {
		t.Run(tt.host+"/"+tt.prefix, func(t *testing.T) {
			s, err := Opener{CertDirs: []string{}}.newSession(tt.host, Walk{Parallel: 1}, source.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s.polite = tt.answers
			got, err := s.repositories(t.Context(), tt.prefix)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestPace: requests are spaced, and none goes before a rest is over.
func TestPace(t *testing.T) {
	p := &pace{rate: 10}
	now := time.Now()
	for i, want := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond} {
		if got := p.turn(now); got != want {
			t.Errorf("request %d goes after %s, want %s", i, got, want)
		}
	}
	p.rest(now.Add(30 * time.Second))
	p.rest(now.Add(10 * time.Second)) // a shorter one does not end it
	if got := p.turn(now); got != 30*time.Second {
		t.Errorf("goes after %s, want 30 s", got)
	}
	if got := p.turn(now.Add(time.Minute)); got != 0 {
		t.Errorf("a minute later it goes after %s", got)
	}
}

func FuzzNextAddress(f *testing.F) {
	f.Add("https://r.example/v2/_catalog?n=1000", `</v2/_catalog?n=1000&last=a>; rel="next"`)
	f.Add("https://r.example/v2/a/tags/list", `<https://evil.example/>; rel=next`)
	f.Add("https://r.example/v2/a/tags/list", `<//evil.example/>; rel=next`)
	f.Fuzz(func(t *testing.T, current, link string) {
		next, err := nextAddress(current, []string{link})
		if next == "" {
			return
		}
		from, err1 := url.Parse(current)
		to, err2 := url.Parse(next)
		if err != nil || err1 != nil || err2 != nil || to.Host != from.Host || to.Scheme != from.Scheme || next == current {
			t.Errorf("%q and %q lead to %q, error %v", current, link, next, err)
		}
	})
}

func FuzzGrantedActions(f *testing.F) {
	f.Add(token(`{"access":[{"type":"repository","name":"team/app","actions":["pull","push"]}]}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if actions, err := grantedActions(token, "team/app"); err != nil && len(actions) > 0 {
			t.Errorf("%v beside an error", actions)
		}
	})
}

// FuzzRecall: whatever the file holds, a walk can begin and note.
func FuzzRecall(f *testing.F) {
	f.Add([]byte(`{"registry":"r","walk":{"number":3,"key":"k"},"repositories":{"app":{"walk":3,"tags":{"v1":{"digest":"sha256:a"}}},"b":null}}`))
	f.Add([]byte(`{"registry":"r","repositories":null}`))
	f.Add([]byte(`[`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, "r.json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
		m := recall(dir, "r", now)
		m.begin("k", now)
		m.known("b")
		seen := m.note("app", []string{"v1", "v2"}, map[string]string{"v1": "sha256:b"}, now)
		if seen.Tags["v1"].Digest != "sha256:b" || len(seen.Tags) != 2 {
			t.Errorf("noted %+v", seen)
		}
		if _, ok := m.known("app"); !ok {
			t.Error("what was noted is not known")
		}
	})
}

func FuzzGlob(f *testing.F) {
	f.Add("team/*", "team/app")
	f.Add("**/app", "a/b/app")
	f.Add("a?c", "abc")
	f.Fuzz(func(t *testing.T, glob, text string) {
		s, err := newSelection([]string{glob}, nil)
		if err != nil {
			return
		}
		if !strings.ContainsAny(glob, "*?:") && s.repository(text) != (glob == text) {
			t.Errorf("%q matches %q: %v", glob, text, s.repository(text))
		}
	})
}
