// Package storetest is what every implementation of the store must do: Run tests
// one. It is written against the port's comments alone.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

// Run tests an implementation. open gives the same empty store, opened again, each
// time it is called within one test.
func Run(t *testing.T, open func(t *testing.T) func() store.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open func() store.Store)
	}{
		{"verdicts", verdicts}, {"sightings", sightings}, {"many findings", manyFindings}, {"reviews", reviews}, {"results", results},
		{"concurrency", concurrency}, {"a cancelled context", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func day(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 250e6, time.UTC) }

func verdict(digest string, at time.Time, ids ...string) *store.Verdict {
	v := &store.Verdict{
		Digest: digest, Packages: 3, Scanned: at, Scanner: "1.0", Database: "2026-11-01T00:00:00Z",
		Asset:    seawall.Asset{ID: digest, Kind: seawall.AssetImage, Name: "r.example/a:1", Digest: digest, Image: &seawall.ImageInfo{User: "1000"}},
		Coverage: []seawall.Coverage{{Asset: digest, Ecosystem: "npm", Packages: 3, Status: seawall.CoverageOK}},
	}
	for _, id := range ids {
		v.Findings = append(v.Findings, seawall.Finding{ID: id, Kind: seawall.KindVulnerability, Rule: "CVE-" + id, Status: seawall.StatusFail,
			Severity: seawall.SeverityHigh, Vulnerability: &seawall.Vulnerability{ID: "CVE-" + id, Fixed: []string{"2"}}})
	}
	return v
}

func put(t *testing.T, s store.Store, verdicts ...*store.Verdict) {
	t.Helper()
	for _, v := range verdicts {
		if err := s.PutVerdict(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
}

func verdicts(t *testing.T, open func() store.Store) {
	s := open()
	if v, err := s.Verdict(t.Context(), "sha256:1"); v != nil || !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a verdict that is not there: %v, %v", v, err)
	}
	first := verdict("sha256:1", day(1), "a", "b")
	suppressed := seawall.Finding{ID: "s", Kind: seawall.KindSecret, Status: seawall.StatusSuppressed, Severity: seawall.SeverityLow, Reason: "accepted"}
	first.Findings = append(first.Findings, suppressed)
	put(t, s, first, verdict("sha256:2", day(2)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	got, err := s.Verdict(t.Context(), "sha256:1")
	if err != nil {
		t.Fatal(err)
	}
	first.FirstSeen = map[string]time.Time{"a": day(1), "b": day(1)}
	if diff := cmp.Diff(first, got); diff != "" {
		t.Error(diff)
	}
	replaced := verdict("sha256:1", day(3), "b", "c")
	put(t, s, replaced)
	if got, err = s.Verdict(t.Context(), "sha256:1"); err != nil {
		t.Fatal(err)
	}
	replaced.FirstSeen = map[string]time.Time{"b": day(1), "c": day(3)}
	if diff := cmp.Diff(replaced, got); diff != "" {
		t.Error(diff)
	}
	for n, want := range map[int][]string{10: {"sha256:1", "sha256:2"}, 1: {"sha256:1"}} {
		if got, err := s.Digests(t.Context(), n); err != nil || !slices.Equal(got, want) {
			t.Errorf("the last %d: %v, %v", n, got, err)
		}
	}
	if n, err := s.PruneVerdicts(t.Context(), day(3)); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if _, err := s.Verdict(t.Context(), "sha256:2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after pruning: %v", err)
	}
}

// sightings: the first stays whatever comes later, or was older and came later.
func sightings(t *testing.T, open func() store.Store) {
	s := open()
	defer s.Close()
	put(t, s, verdict("sha256:1", day(5), "a", "b"), verdict("sha256:2", day(7), "a"), verdict("sha256:3", day(4), "b"))
	got, err := s.FirstSeen(t.Context(), []string{"a", "b", "never"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]time.Time{"a": day(5), "b": day(4)}, got); diff != "" {
		t.Error(diff)
	}
	if none, err := s.FirstSeen(t.Context(), nil); len(none) > 0 || err != nil {
		t.Errorf("of nothing: %v, %v", none, err)
	}
	// b was last seen on day 5.
	if n, err := s.PruneSightings(t.Context(), day(6)); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if got, err = s.FirstSeen(t.Context(), []string{"a", "b"}); err != nil || len(got) != 1 {
		t.Errorf("after pruning: %v, %v", got, err)
	}
}

// manyFindings are more than one statement can name.
func manyFindings(t *testing.T, open func() store.Store) {
	s := open()
	defer s.Close()
	ids := make([]string, 2500)
	for i := range ids {
		ids[i] = fmt.Sprint("f", i)
	}
	put(t, s, verdict("sha256:1", day(1), append(ids, ids[:3]...)...)) // some twice
	v, err := s.Verdict(t.Context(), "sha256:1")
	if err != nil || len(v.Findings) != len(ids)+3 || len(v.FirstSeen) != len(ids) {
		t.Fatalf("%d findings, %d seen, %v", len(v.Findings), len(v.FirstSeen), err)
	}
}

func review(uid, namespace string, at time.Time, allowed bool) store.Review {
	r := store.Review{UID: uid, Time: at, Cluster: "c", Operation: "CREATE", Kind: "Pod", Namespace: namespace, Name: "web", User: "jane", Allowed: allowed, Outcome: "judged"}
	if !allowed {
		r.Decisions = []seawall.Decision{{Policy: "p", Rule: "r", Phase: "deploy", Action: "block", Outcome: "enforced", Reason: "no", Location: &seawall.Location{Field: "spec"}}}
	}
	return r
}

func reviews(t *testing.T, open func() store.Store) {
	s := open()
	defer s.Close()
	all := []store.Review{review("1", "a", day(1), true), review("2", "b", day(2), false), review("3", "a", day(3), false), review("4", "a", day(3), true)}
	if err := s.AddReviews(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := s.AddReviews(t.Context(), nil); err != nil {
		t.Fatal("adding none:", err)
	}
	for _, tc := range []struct {
		query store.ReviewQuery
		want  []store.Review
	}{
		{store.ReviewQuery{}, []store.Review{all[3], all[2], all[1], all[0]}},
		{store.ReviewQuery{Namespace: "a", Limit: 2}, []store.Review{all[3], all[2]}},
		{store.ReviewQuery{Denied: true}, []store.Review{all[2], all[1]}},
		{store.ReviewQuery{Since: day(3), Denied: true}, []store.Review{all[2]}},
		{store.ReviewQuery{Namespace: "none"}, []store.Review{}},
	} {
		got, err := s.Reviews(t.Context(), tc.query)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%+v: %s", tc.query, diff)
		}
	}
	if n, err := s.PruneReviews(t.Context(), day(3)); n != 2 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
}

func results(t *testing.T, open func() store.Store) {
	s := open()
	defer s.Close()
	result := func(uid, cluster, namespace, kind string, at time.Time, decided bool) store.Result {
		r := store.Result{UID: uid, Cluster: cluster, APIVersion: "v1", Kind: kind, Namespace: namespace, Name: "n" + uid, Judged: at}
		if decided {
			r.Findings = []seawall.Finding{{ID: "f" + uid, Status: seawall.StatusFail, Kind: seawall.KindMisconfiguration, Rule: "SW-POD-001", Severity: seawall.SeverityHigh}}
			r.Decisions = []seawall.Decision{{Policy: "p", Rule: "r", Findings: []string{"f" + uid}}}
		}
		return r
	}
	all := []store.Result{
		result("1", "c", "a", "Pod", day(1), true), result("2", "c", "b", "Pod", day(2), false),
		result("3", "c", "a", "Service", day(3), true), result("4", "other", "a", "Pod", day(1), true),
	}
	for i := range all {
		if err := s.PutResult(t.Context(), &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	check := func(query store.ResultQuery, want ...store.Result) {
		t.Helper()
		got, err := s.Results(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]store.Result{}, want...), got); diff != "" {
			t.Errorf("%+v: %s", query, diff)
		}
	}
	check(store.ResultQuery{}, all...)
	check(store.ResultQuery{After: "1", Limit: 2}, all[1:3]...)
	check(store.ResultQuery{Cluster: "c", Namespace: "a", Kind: "Pod"}, all[0])
	check(store.ResultQuery{Decided: true, Cluster: "c"}, all[0], all[2])
	if seen, err := s.FirstSeen(t.Context(), []string{"f1"}); err != nil || !seen["f1"].Equal(day(1)) {
		t.Errorf("first seen %v, %v", seen, err)
	}
	again := result("1", "c", "a", "Pod", day(4), false)
	if err := s.PutResult(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	check(store.ResultQuery{Limit: 1}, again)
	for range 2 {
		if err := s.DeleteResult(t.Context(), "3"); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.PruneResults(t.Context(), "c", day(4)); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	check(store.ResultQuery{}, again, all[3])
}

// concurrency: writers and readers at once; every write counts and no reader fails.
func concurrency(t *testing.T, open func() store.Store) {
	s := open()
	defer s.Close()
	const workers, each = 8, 15
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				v := verdict(fmt.Sprintf("sha256:%d-%d", w, i), day(1), fmt.Sprint("f", i))
				if err := s.PutVerdict(t.Context(), v); err != nil {
					t.Error(err)
				}
				if _, err := s.Verdict(t.Context(), v.Digest); err != nil {
					t.Error("reading what was just written:", err)
				}
			}
		})
	}
	wg.Wait()
	if all, err := s.Digests(t.Context(), 0); err != nil || len(all) != workers*each {
		t.Errorf("%d of %d verdicts, %v", len(all), workers*each, err)
	}
}

func cancelled(t *testing.T, open func() store.Store) {
	s := open()
	defer s.Close()
	ctx, cancel := contextCancelled(t)
	defer cancel()
	if err := s.PutVerdict(ctx, verdict("sha256:1", day(1), "a")); err == nil {
		t.Error("written although nobody waits for it")
	}
	put(t, s, verdict("sha256:2", day(1))) // the store is as good as before
	if _, err := s.Verdict(t.Context(), "sha256:1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a part of it was written: %v", err)
	}
}

func contextCancelled(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}
