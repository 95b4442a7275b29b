package admission_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
	"github.com/seawall-security/seawall/internal/store/sql"
)

// registry is a registry, a scanner and a store of verdicts in one.
type registry struct {
	mu                         sync.Mutex
	resolved, scanned, checked []string
	loaded                     []string
	verdicts                   map[string]*store.Verdict

	down     error
	hangs    bool
	unsigned bool
	stale    bool
	// scan is what scanning an image does; nil comes to a verdict at once.
	scan func(ctx context.Context) error
}

func digestOf(tag string) string { return "sha256:" + strings.Repeat(tag[len(tag)-1:], 64) }

func (r *registry) note(list *[]string, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, what)
}

func (r *registry) count(list *[]string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(*list)
}

func (r *registry) Resolve(ctx context.Context, image admission.Image) (string, error) {
	r.note(&r.resolved, image.Name)
	if r.hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return digestOf(image.Name), r.down
}

func (r *registry) Verify(_ context.Context, image admission.Image) (*seawall.Verification, error) {
	r.note(&r.checked, image.Name)
	return &seawall.Verification{Verified: !r.unsigned, Signatures: []seawall.Signature{{Signer: "us"}}}, r.down
}

func (r *registry) Scan(ctx context.Context, image admission.Image) (*store.Verdict, error) {
	r.note(&r.scanned, image.Name+" "+image.Namespace+" "+image.ServiceAccount+" "+strings.Join(image.PullSecrets, "+"))
	if r.scan != nil {
		if err := r.scan(ctx); err != nil {
			return nil, err
		}
	}
	return verdictOf(image.Digest), nil
}

func (r *registry) Stale(*store.Verdict, time.Time) bool { return r.stale }

func (r *registry) Verdict(_ context.Context, digest string) (*store.Verdict, error) {
	r.note(&r.loaded, digest)
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := r.verdicts[digest]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("verdict of %s: %w", digest, store.ErrNotFound)
}

func (r *registry) PutVerdict(_ context.Context, v *store.Verdict) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.verdicts == nil {
		r.verdicts = map[string]*store.Verdict{}
	}
	r.verdicts[v.Digest] = v
	return nil
}

// verdictOf is a scan that found one bad thing in images whose digest ends in b.
func verdictOf(digest string) *store.Verdict {
	v := &store.Verdict{Digest: digest, Packages: 7, Scanned: now(), Asset: seawall.Asset{ID: digest, Kind: seawall.AssetImage, Digest: digest, Image: &seawall.ImageInfo{}}}
	if strings.HasSuffix(digest, "b") {
		v.Findings = []seawall.Finding{{ID: "f1", Kind: seawall.KindVulnerability, Rule: "CVE-1", Title: "lib 1: CVE-1", Severity: seawall.SeverityCritical, Status: seawall.StatusFail,
			Vulnerability: &seawall.Vulnerability{ID: "CVE-1", KEV: true}}}
		v.FirstSeen = map[string]time.Time{"f1": now().AddDate(0, 0, -10)}
	}
	return v
}

func (r *registry) connect(c *admission.Config) {
	c.Now, c.Verdicts, c.Scanner, c.Resolver, c.Verifier = time.Now, r, r, r, r
}

// during runs a test with the handler's work beside it.
func during(t *testing.T, h *admission.Handler, test func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	test()
	cancel()
	ended.Wait()
}

const kev = "  rules: [{name: kev, when: finding.kind == \"vulnerability\" && finding.vulnerability.kev, action: block}]\n"

// TestAllowAndScan: an image that nobody scanned passes with a warning, is scanned
// once however many ask, and judged by its scan from then on.
func TestAllowAndScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		h := handler(t, snapshot(t, document("p", kev)), r.connect)
		p := pod("r.example/a:b", "r.example/a:c")
		p["spec"].(map[string]any)["serviceAccountName"] = "builder"
		p["spec"].(map[string]any)["imagePullSecrets"] = []any{map[string]any{"name": "s1"}}
		for range 3 { // nobody scans yet
			got := post(t, h, "/validate", review("CREATE", p))
			if !got.Allowed || len(got.Warnings) != 2 || !strings.Contains(got.Warnings[0], "p/unknownImages: r.example/a:b: nobody scanned it yet; it is being scanned now (spec.containers[0].image)") {
				t.Fatalf("%+v", got)
			}
		}
		during(t, h, func() {
			synctest.Wait()
			got := post(t, h, "/validate", review("CREATE", p))
			if got.Allowed || !strings.Contains(got.Status.Message, "p/kev: r.example/a:b: lib 1: CVE-1 (spec.containers[0].image)") || len(got.Warnings) > 0 {
				t.Errorf("%+v", got)
			}
		})
		if len(r.scanned) != 2 || r.scanned[0] != "r.example/a:b@"+digestOf("b")+" shop builder s1" && r.scanned[1] != "r.example/a:b@"+digestOf("b")+" shop builder s1" {
			t.Errorf("scanned %q", r.scanned)
		}
		if len(r.resolved) != 2 {
			t.Errorf("resolved %q: a tag is resolved once", r.resolved)
		}
	})
}

// TestWait: the review waits for the scan, until half of its time is over.
func TestWait(t *testing.T) {
	for name, tc := range map[string]struct {
		spec    string
		takes   time.Duration
		fails   error
		allowed bool
		told    string
	}{
		"in time, clean":  {"", time.Second, nil, true, ""},
		"too late, open":  {"", 20 * time.Second, nil, true, "takes longer than the API server waits"},
		"too late":        {"  failure: closed\n", 20 * time.Second, nil, false, "takes longer than the API server waits"},
		"failed, open":    {"", time.Second, errors.New("no such layer"), true, "its scan failed: no such layer"},
		"failed":          {"  failure: closed\n", time.Second, errors.New("no such layer"), false, "its scan failed: no such layer"},
		"panicked, open":  {"", -1, nil, true, "its scan failed: an internal error"},
		"too late, audit": {"  failure: closed\n  mode: audit\n", 20 * time.Second, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &registry{scan: func(ctx context.Context) error {
					if tc.takes < 0 {
						panic("corrupt")
					}
					select {
					case <-time.After(tc.takes):
					case <-ctx.Done():
					}
					return tc.fails
				}}
				h := handler(t, snapshot(t, document("p", tc.spec+"  unknownImages: wait\n"+kev)), r.connect)
				during(t, h, func() {
					start := time.Now()
					got := post(t, h, "/validate?timeout=10s", review("CREATE", pod("r.example/a:c")))
					if got.Allowed != tc.allowed || !strings.Contains(got.Status.Message+strings.Join(got.Warnings, ""), tc.told) {
						t.Errorf("%+v", got)
					}
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("answered after %s", took)
					}
				})
			})
		})
	}
}

// TestDeny: images nobody scanned are denied, whatever rules there are; and so are those
// of which nobody knows what they are.
func TestDeny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		h := handler(t, snapshot(t, document("p", "  unknownImages: deny\n  rules: [{name: a, when: image.registry == \"x\", action: block, message: m}]\n")), r.connect)
		if got := post(t, h, "/validate", review("CREATE", pod("r.example/a:c"))); got.Allowed || !strings.Contains(got.Status.Message, "nobody scanned it") {
			t.Errorf("%+v", got)
		}
		during(t, h, synctest.Wait)
		if got := post(t, h, "/validate", review("CREATE", pod("r.example/a:c"))); !got.Allowed {
			t.Errorf("after the scan: %+v", got)
		}
		r.down = errors.New("connection refused")
		if got := post(t, h, "/validate", review("CREATE", pod("r.example/a:d"))); got.Allowed || !strings.Contains(got.Status.Message, "connection refused") {
			t.Errorf("the registry is down: %+v", got)
		}
	})
}

// TestSilentRegistry: a registry that never answers costs one review half of its time,
// and the next ones nothing. What several policies say of an image is told once.
func TestSilentRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{hangs: true}
		h := handler(t, snapshot(t, document("p", kev)+document("q", kev)+document("s", "  mode: warn\n  unknownImages: deny\n"+kev)), r.connect)
		for i, most := range []time.Duration{5 * time.Second, 0, 0, 5 * time.Second, 0} {
			if i == 3 {
				time.Sleep(2 * time.Minute) // what was kept is out of date
			}
			start := time.Now()
			got := post(t, h, "/validate?timeout=10s", review("CREATE", pod("r.example/a:c")))
			want := "unknownImages of p, q, s: r.example/a:c: nobody can tell which image it is: no answer in time (spec.containers[0].image)"
			if !got.Allowed || len(got.Warnings) != 1 || got.Warnings[0] != want {
				t.Errorf("%+v", got)
			}
			if took := time.Since(start); took > most {
				t.Errorf("review %d took %s", i, took)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.hangs = false
		if got := post(t, h, "/validate?timeout=10s", review("CREATE", pod("r.example/a:c"))); strings.Contains(got.Warnings[0], "no answer") {
			t.Errorf("it answers again: %+v", got)
		}
	})
}

// TestRetry: an image whose scan failed is scanned again, but not at every review.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{scan: func(context.Context) error { return errors.New("unauthorized") }}
		h := handler(t, snapshot(t, document("p", kev)), r.connect)
		ask := func() {
			t.Helper()
			if got := post(t, h, "/validate", review("CREATE", pod("r.example/a:c"))); !got.Allowed || len(got.Warnings) != 1 {
				t.Errorf("%+v", got)
			}
			synctest.Wait()
		}
		during(t, h, func() {
			for range 10 {
				for range 5 {
					ask()
				}
				time.Sleep(time.Minute)
			}
		})
		// At 0, 1, 2 (after 30 s, 1 min), 4 (2 min), 8 (4 min).
		if n := r.count(&r.scanned); n != 5 {
			t.Errorf("scanned %d times in 10 minutes", n)
		}
	})
}

// TestStale: a stale verdict counts until the new one is there.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{stale: true}
		old := verdictOf(digestOf("b"))
		_ = r.PutVerdict(t.Context(), old)
		h := handler(t, snapshot(t, document("p", kev)), r.connect)
		for range 3 {
			if got := post(t, h, "/validate", review("CREATE", pod("r.example/a:b"))); got.Allowed {
				t.Errorf("%+v", got)
			}
		}
		r.stale = false
		during(t, h, synctest.Wait)
		if n := r.count(&r.scanned); n != 1 || r.verdicts[old.Digest] == old {
			t.Errorf("scanned %d times", n)
		}
	})
}

// TestSignatures: judged once for a while; what a registry did not say is answered by
// the failure mode, and asked again.
func TestSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rule = "  rules: [{name: ours, when: '!(image.signed && image.signer == \"us\")', action: block, message: is not ours}]\n"
		r := &registry{}
		open := handler(t, snapshot(t, document("p", rule)), r.connect)
		body := review("CREATE", pod("r.example/a:c"))
		for range 5 {
			if got := post(t, open, "/validate", body); !got.Allowed || len(got.Warnings) > 0 {
				t.Fatalf("%+v", got)
			}
		}
		if len(r.checked) != 1 || r.checked[0] != "r.example/a:c@"+digestOf("c") {
			t.Errorf("checked %q", r.checked)
		}
		r.unsigned = true
		time.Sleep(time.Hour)
		if got := post(t, open, "/validate", body); got.Allowed || !strings.Contains(got.Status.Message, "r.example/a:c: is not ours") {
			t.Errorf("after an hour: %+v", got)
		}
		r.unsigned, r.down = false, errors.New("connection refused")
		time.Sleep(time.Hour)
		if got := post(t, open, "/validate", body); !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "could not be judged: connection refused") {
			t.Errorf("the registry is down: %+v", got)
		}
		closed := handler(t, snapshot(t, document("p", "  failure: closed\n"+rule)), r.connect)
		if got := post(t, closed, "/validate", body); got.Allowed {
			t.Errorf("the registry is down, closed: %+v", got)
		}
		r.down = nil
		time.Sleep(time.Minute)
		if got := post(t, open, "/validate", body); !got.Allowed || len(got.Warnings) > 0 {
			t.Errorf("the registry is back: %+v", got)
		}
		if n := r.count(&r.scanned); n != 0 {
			t.Errorf("%d scans that nobody asked for", n)
		}
	})
}

// TestGraceAndException: what is known since when counts at admission, and so do
// exceptions for a namespace and an image.
func TestGraceAndException(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		_ = r.PutVerdict(t.Context(), verdictOf(digestOf("b")))
		spec := func(days int) string {
			return strings.Replace(kev, "action: block", fmt.Sprintf("action: block, grace: {days: %d, from: firstSeen}", days), 1)
		}
		clock := func(c *admission.Config) { r.connect(c); c.Now = now }
		body := review("CREATE", pod("r.example/a:b"))
		if got := post(t, handler(t, snapshot(t, document("p", spec(30))), clock), "/validate", body); !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "grace until 2026-12-11") {
			t.Errorf("within the grace: %+v", got)
		}
		if got := post(t, handler(t, snapshot(t, document("p", spec(5))), clock), "/validate", body); got.Allowed {
			t.Errorf("after the grace: %+v", got)
		}
		exception := "---\napiVersion: seawall.io/v1alpha1\nkind: PolicyException\nmetadata: {name: e, namespace: shop}\nspec: {policy: p, owner: o, reason: r, expires: 2026-12-01, match: {images: [r.example/a]}}\n"
		got := post(t, handler(t, snapshot(t, document("p", "  exceptions: {namespaces: [shop]}\n"+kev)+exception), clock), "/validate", body)
		if !got.Allowed || len(got.Warnings) > 0 || !strings.Contains(got.AuditAnnotations["decisions"], `"exception":"shop/e"`) {
			t.Errorf("excepted: %+v", got)
		}
	})
}

// TestFindingsHeld: verdicts are kept up to a number of findings; those not asked for the
// longest are loaded anew.
func TestFindingsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		digests := map[string]string{}
		for _, name := range []string{"x", "y", "z"} {
			digests[name] = "sha256:" + strings.Repeat(name, 63) + "b"
			_ = r.PutVerdict(t.Context(), verdictOf(digests[name]))
		}
		h := handler(t, snapshot(t, document("p", kev)), func(c *admission.Config) { r.connect(c); c.Limits.Findings = 2 })
		for i, step := range []struct {
			name  string
			loads int
		}{{"x", 1}, {"y", 2}, {"x", 2}, {"z", 3}, {"x", 3}, {"y", 4}, {"x", 4}} {
			if got := post(t, h, "/validate", review("CREATE", pod("r.example/a@"+digests[step.name]))); got.Allowed {
				t.Errorf("%+v", got)
			}
			if n := r.count(&r.loaded); n != step.loads {
				t.Errorf("step %d: %d verdicts loaded, want %d", i, n, step.loads)
			}
		}
	})
}

// TestPin: a tag is resolved once, and what was judged is what runs.
func TestPin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		_ = r.PutVerdict(t.Context(), verdictOf(digestOf("c")))
		h := handler(t, snapshot(t, document("pin", "  rules: [{name: tags, when: object.kind == \"Pod\", action: mutate, mutate: {pinTags: true}}]\n")+document("p", kev)), r.connect)
		got := post(t, h, "/mutate/open", review("CREATE", pod("r.example/a:c")))
		if want := `"value":"r.example/a:c@` + digestOf("c") + `"`; !got.Allowed || got.PatchType != "JSONPatch" || !strings.Contains(string(got.Patch), want) {
			t.Fatalf("%+v %s", got, got.Patch)
		}
		if again := post(t, h, "/mutate", review("CREATE", pod("r.example/a:c@"+digestOf("c")))); again.Patch != nil {
			t.Errorf("pinned again: %s", again.Patch)
		}
		for _, image := range []string{"r.example/a:c@" + digestOf("c"), "r.example/a:c"} {
			if got := post(t, h, "/validate", review("CREATE", pod(image))); !got.Allowed {
				t.Errorf("%+v", got)
			}
		}
		if n := r.count(&r.resolved); n != 1 {
			t.Errorf("resolved %d times", n)
		}
	})
}

// TestQueue: who cannot be queued passes as unknown; metrics count it all.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, metrics := &registry{}, prometheus.NewPedanticRegistry()
		h := handler(t, snapshot(t, document("p", "  unknownImages: wait\n"+kev)), func(c *admission.Config) {
			r.connect(c)
			c.Metrics, c.Limits = metrics, admission.Limits{Queue: 2, Waiting: 1}
		})
		var reviews sync.WaitGroup
		reviews.Go(func() { post(t, h, "/validate", review("CREATE", pod("r.example/a:1"))) })
		synctest.Wait()
		for i, told := range []string{"too many others wait for scans", "too many others wait to be scanned"} {
			got := post(t, h, "/validate", review("CREATE", pod(fmt.Sprint("r.example/a:", 2+i))))
			if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], told) {
				t.Errorf("%+v", got)
			}
		}
		reviews.Wait()
		want := `# HELP seawall_admission_scan_queue Images that wait to be scanned.
# TYPE seawall_admission_scan_queue gauge
seawall_admission_scan_queue 2
# HELP seawall_admission_unknown_images_total Images in reviews that nobody had scanned, by what was done.
# TYPE seawall_admission_unknown_images_total counter
seawall_admission_unknown_images_total{result="crowded"} 1
seawall_admission_unknown_images_total{result="full"} 1
seawall_admission_unknown_images_total{result="late"} 1
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "seawall_admission_unknown_images_total", "seawall_admission_scan_queue"); err != nil {
			t.Error(err)
		}
	})
}

// TestRemember: answers that say more than yes are in the store when Run has ended.
func TestRemember(t *testing.T) {
	s, err := sql.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "s.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := handler(t, snapshot(t, document("p", "  rules: [{name: a, when: image.tag == \"latest\", action: block, message: m}]\n")), func(c *admission.Config) { c.Reviews = s })
	during(t, h, func() {
		for range 300 {
			post(t, h, "/validate", review("CREATE", pod("nginx")))
			post(t, h, "/validate", review("CREATE", pod("nginx:1")))
		}
	})
	all, err := s.Reviews(t.Context(), store.ReviewQuery{})
	if err != nil || len(all) != 300 {
		t.Fatalf("%d reviews, %v", len(all), err)
	}
	if r := all[0]; r.Allowed || r.Kind != "Pod" || r.Name != "web" || r.User != "jane" || r.Outcome != "denied" || len(r.Decisions) != 1 || !r.Time.Equal(now()) {
		t.Errorf("%+v", r)
	}
}

// TestJudge: what runs is judged as it would be if it were made now; rules about requests
// are left out.
func TestJudge(t *testing.T) {
	r := &registry{}
	_ = r.PutVerdict(t.Context(), verdictOf(digestOf("b")))
	h := handler(t, snapshot(t, document("p", kev)+document("q", "  rules: [{name: who, when: request.userInfo.username == \"x\", action: block, message: m}]\n")), r.connect)
	got, err := h.Judge(t.Context(), pod("r.example/a@"+digestOf("b")))
	if err != nil || len(got.Decisions) != 1 || got.Decisions[0].Rule != "kev" || got.Decisions[0].Location.Resource != "Pod/shop/web" {
		t.Errorf("%+v, %v", got, err)
	}
}
