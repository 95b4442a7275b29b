package db

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// full is an advisory with every field set.
func full() *advisory.Advisory {
	return &advisory.Advisory{
		ID: "GHSA-1", Kind: advisory.KindNotice, Notice: "unsound", Source: "ghsa",
		Aliases: []string{"CVE-2024-1", "PYSEC-1"}, Upstream: []string{"CVE-2024-2"}, Related: []string{"GHSA-9"},
		Summary: "text", Published: "2024-01-02T03:04:05Z", Modified: "2024-01-02T03:04:05.123Z", Severity: seawall.SeverityHigh,
		CVSS: []seawall.CVSS{{Source: "nvd", Version: "3.1", Vector: "CVSS:3.1/AV:N", Score: 9.8}},
		CWEs: []string{"CWE-79"}, References: []string{"https://example.org/a"},
		Affected: []advisory.Affected{{
			Ecosystem: "PyPI", Name: "zope-interface",
			Ranges: []advisory.Range{
				{Type: advisory.RangeSemver, Events: []advisory.RangeEvent{{Introduced: "0"}, {Fixed: "1.2"}, {Introduced: "2"}, {LastAffected: "2.5"}}},
				{Events: []advisory.RangeEvent{{Introduced: "3"}, {Limit: "4"}}},
			},
			Versions: []string{"0.9", "1.0"}, Unaffected: true, State: seawall.StateDeferred, Severity: seawall.SeverityLow,
			CVSS: []seawall.CVSS{{Version: "2.0", Vector: "AV:N", Score: 10}}, FixedAt: "2024-02-01T00:00:00Z", Module: "php:8.1",
			Arches: []string{"x86_64"}, Symbols: []string{"a/b#C"},
		}},
	}
}

// build writes records of feeds and opens the result.
func build(t testing.TB, o Options, feeds map[string][]advisory.Record) *Reader {
	t.Helper()
	return open(t, encode(t, o, feeds))
}

func encode(t testing.TB, o Options, feeds map[string][]advisory.Record) []byte {
	t.Helper()
	w := NewWriter(o)
	for feed, records := range feeds {
		for _, r := range records {
			if err := w.Add(feed, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte) *Reader {
	t.Helper()
	r, err := New(data, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	return r
}

func records(list ...*advisory.Advisory) []advisory.Record {
	var out []advisory.Record
	for _, a := range list {
		out = append(out, advisory.Record{Advisory: a})
	}
	return out
}

func simple(id, ecosystem, name, fixed string) *advisory.Advisory {
	return &advisory.Advisory{ID: id, Source: "test", Affected: []advisory.Affected{{
		Ecosystem: ecosystem, Name: name, Ranges: []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, fixed)},
	}}}
}

func all(t *testing.T, r *Reader) []*advisory.Advisory {
	t.Helper()
	var list []*advisory.Advisory
	for a, err := range r.Select(nil) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

func TestRoundTrip(t *testing.T) {
	r := build(t, Options{Built: "2026-01-01T00:00:00Z"}, map[string][]advisory.Record{"ghsa": records(full())})
	if diff := cmp.Diff([]*advisory.Advisory{full()}, all(t, r)); diff != "" {
		t.Errorf("Select: %s", diff)
	}
	found, err := r.Find("PyPI", "Zope.Interface")
	if err != nil || len(found) != 1 {
		t.Fatalf("Find = %v, %v", found, err)
	}
	if diff := cmp.Diff(&full().Affected[0], found[0].Affected); diff != "" {
		t.Errorf("Find: %s", diff)
	}
	got, err := r.Advisory(found[0].Advisory)
	if err != nil {
		t.Fatal(err)
	}
	want := full()
	want.Affected = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Advisory: %s", diff)
	}
}

// TestManyBlocks finds every one of many packages, over many blocks, and none beside them.
func TestManyBlocks(t *testing.T) {
	var list []*advisory.Advisory
	for i := range 3000 {
		list = append(list, simple(fmt.Sprintf("A-%d", i), "npm", fmt.Sprintf("package-%d", i), fmt.Sprintf("1.%d.0", i)))
	}
	r := build(t, Options{}, map[string][]advisory.Record{"npm": records(list...)})
	if n := r.places["npm"][0].blocks; n < 3 {
		t.Fatalf("%d blocks do not test the directory", n)
	}
	for i := range 3000 {
		found, err := r.Find("npm", fmt.Sprintf("package-%d", i))
		if err != nil || len(found) != 1 || found[0].Affected.Ranges[0].Events[1].Fixed != fmt.Sprintf("1.%d.0", i) {
			t.Fatalf("package-%d: %v, %v", i, found, err)
		}
		a, err := r.Advisory(found[0].Advisory)
		if err != nil || a.ID != fmt.Sprintf("A-%d", i) {
			t.Fatalf("package-%d: %v, %v", i, a, err)
		}
	}
	for _, name := range []string{"", "a", "package-", "package-30000", "zzz"} {
		if found, err := r.Find("npm", name); len(found) > 0 || err != nil {
			t.Errorf("%q: %v, %v; want nothing", name, found, err)
		}
	}
	if found, err := r.Find("PyPI", "package-1"); len(found) > 0 || err != nil || r.Covers("PyPI") || !r.Covers("npm") {
		t.Errorf("another ecosystem: %v, %v", found, err)
	}
}

func TestWithdrawn(t *testing.T) {
	a := simple("A-1", "npm", "x", "")
	a.Withdrawn = "2024-01-01T00:00:00Z"
	r := build(t, Options{}, map[string][]advisory.Record{"npm": records(a)})
	if found, err := r.Find("npm", "x"); len(found) > 0 || err != nil {
		t.Errorf("Find = %v, %v; want nothing", found, err)
	}
	if list := all(t, r); len(list) != 1 || list[0].Withdrawn == "" {
		t.Errorf("Select = %v; the withdrawn entry must be kept for export", list)
	}
}

func TestSameIdentifier(t *testing.T) {
	a, b := simple("CVE-2020-1", "Alpine:v3.10", "curl", "1-r0"), simple("CVE-2020-1", "Alpine:v3.11", "curl", "2-r0")
	b.Aliases = []string{"X-1"}
	r := build(t, Options{}, map[string][]advisory.Record{"alpine": append(records(a, b, a), advisory.Record{Alias: [2]string{"Y-1", "CVE-2020-1"}})})
	want := &advisory.Advisory{ID: "CVE-2020-1", Source: "test", Aliases: []string{"X-1", "Y-1"}, Affected: []advisory.Affected{a.Affected[0], b.Affected[0]}}
	if diff := cmp.Diff([]*advisory.Advisory{want}, all(t, r)); diff != "" {
		t.Error(diff)
	}
}

func exploitation(cve string, e advisory.Exploitation) advisory.Record {
	return advisory.Record{CVE: cve, Exploitation: &e}
}

func TestExploitation(t *testing.T) {
	a := simple("A-1", "npm", "x", "")
	a.Aliases = []string{"CVE-2021-44228"}
	feeds := map[string][]advisory.Record{
		"npm": records(a),
		"kev": {exploitation("CVE-2021-44228", advisory.Exploitation{KEV: true, KEVAdded: "2021-12-10", Ransomware: true}), exploitation("CVE-1999-1", advisory.Exploitation{KEV: true})},
		"epss": {exploitation("CVE-2021-44228", advisory.Exploitation{EPSS: &seawall.EPSS{Score: 0.94358, Percentile: 0.99957}}),
			exploitation("CVE-2024-12345678", advisory.Exploitation{EPSS: &seawall.EPSS{Score: 1, Percentile: 0}})},
	}
	want := advisory.Exploitation{KEV: true, KEVAdded: "2021-12-10", Ransomware: true, EPSS: &seawall.EPSS{Score: 0.94358, Percentile: 0.99957}}
	r := build(t, Options{}, feeds)
	if diff := cmp.Diff(want, r.Exploitation("CVE-2021-44228")); diff != "" {
		t.Error(diff)
	}
	for _, cve := range []string{"CVE-1999-1", "CVE-2024-12345678", "GHSA-1", ""} {
		if diff := cmp.Diff(advisory.Exploitation{}, r.Exploitation(cve)); diff != "" {
			t.Errorf("%s, which no advisory names: %s", cve, diff)
		}
	}
	r = build(t, Options{AllExploitation: true}, feeds)
	if got := r.Exploitation("CVE-2024-12345678"); got.EPSS == nil || got.EPSS.Score != 1 || got.KEV {
		t.Errorf("all exploitation data: %+v", got)
	}
}

// TestScores: a CVE that one feed scores has that score for the others.
func TestScores(t *testing.T) {
	scored := func(id, cve string, list ...seawall.CVSS) *advisory.Advisory {
		a := simple(id, "Bitnami", "x", "1")
		a.Aliases, a.Affected[0].CVSS = []string{cve}, list
		return a
	}
	v2 := seawall.CVSS{Version: "2.0", Vector: "AV:N/AC:L/Au:N/C:C/I:C/A:C"}
	v3 := seawall.CVSS{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:H"}
	old := build(t, Options{}, map[string][]advisory.Record{
		"bitnami": records(scored("BIT-1", "CVE-2024-1", v2, v3), scored("BIT-2", "CVE-2024-2", v2)),
		"gone":    records(scored("X-1", "CVE-2024-3", v3)),
		"go":      records(simple("CVE-2024-4", "Go", "m", "1")),
	})
	w := NewWriter(Options{})
	if err := w.Add("gone", advisory.Record{Advisory: simple("X-2", "Bitnami", "y", "1")}); err != nil {
		t.Fatal(err)
	}
	w.Keep(old, func(string) bool { return true })
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	r := open(t, b.Bytes())
	got := map[string]*seawall.CVSS{}
	for i := 1; i <= 4; i++ {
		id := fmt.Sprintf("CVE-2024-%d", i)
		got[id] = r.Exploitation(id).Score
	}
	want := map[string]*seawall.CVSS{
		"CVE-2024-1": {Source: "bitnami", Version: "3.1", Score: 6.5}, "CVE-2024-2": {Source: "bitnami", Version: "2.0", Score: 10},
		"CVE-2024-3": nil, "CVE-2024-4": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestKeep(t *testing.T) {
	old := build(t, Options{}, map[string][]advisory.Record{
		"go":  {{Source: &seawall.DatabaseSource{Name: "go", Updated: "2025-01-01T00:00:00Z"}}, {Advisory: simple("GO-1", "Go", "m", "1.0.0")}},
		"npm": records(simple("GHSA-1", "npm", "x", "1.0.0")),
	})
	w := NewWriter(Options{Built: "2026-02-02T00:00:00Z"})
	if err := w.Add("npm", advisory.Record{Advisory: simple("GHSA-2", "npm", "x", "2.0.0")}); err != nil {
		t.Fatal(err)
	}
	w.Keep(old, func(string) bool { return true })
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	r := open(t, b.Bytes())
	want := []*advisory.Advisory{simple("GO-1", "Go", "m", "1.0.0"), simple("GHSA-2", "npm", "x", "2.0.0")}
	if diff := cmp.Diff(want, all(t, r)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(seawall.DatabaseInfo{Built: "2026-02-02T00:00:00Z", Origin: "test", Sources: []seawall.DatabaseSource{
		{Name: "go", Updated: "2025-01-01T00:00:00Z", Advisories: 1}, {Name: "npm", Advisories: 1},
	}}, r.Info()); diff != "" {
		t.Error(diff)
	}
}

func TestDeterministic(t *testing.T) {
	feeds := map[string][]advisory.Record{"b": records(full(), simple("A-1", "npm", "x", "1")), "a": records(simple("A-1", "npm", "x", "1"))}
	if !bytes.Equal(encode(t, Options{}, feeds), encode(t, Options{}, feeds)) {
		t.Error("the same records gave different files")
	}
}

func TestSignature(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := ed25519.GenerateKey(nil)
	feeds := map[string][]advisory.Record{"npm": records(simple("A-1", "npm", "x", "1"))}
	signed, unsigned := encode(t, Options{Key: private}, feeds), encode(t, Options{}, feeds)
	if r, err := New(signed, "", public); err != nil || !r.Info().Signed {
		t.Errorf("signed: %v", err)
	}
	if r, err := New(signed, "", nil); err != nil || r.Info().Signed {
		t.Errorf("signed, opened without a key: %v", err)
	}
	changed := bytes.Clone(signed)
	changed[headerSize+3] ^= 1 // in a section: found by Verify, which the signed table leads to
	if r, err := New(changed, "", public); err != nil {
		t.Error(err)
	} else if err := r.Verify(); !errors.Is(err, seawall.ErrCorrupt) {
		t.Errorf("changed section: %v", err)
	}
	for name, open := range map[string]func() (*Reader, error){
		"unsigned":  func() (*Reader, error) { return New(unsigned, "", public) },
		"other key": func() (*Reader, error) { return New(signed, "", other) },
		"cut off":   func() (*Reader, error) { return New(signed[:len(signed)-80], "", nil) },
		"not a database": func() (*Reader, error) {
			return New([]byte("SQLite format 3\x00 and much more text to fill a header of sixty-four bytes"), "", nil)
		},
	} {
		if r, err := open(); !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", name, r, err)
		}
	}
}

func TestOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seawall.db")
	if err := os.WriteFile(path, encode(t, Options{}, map[string][]advisory.Record{"npm": records(simple("A-1", "npm", "x", "1"))}), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := r.Find("npm", "x"); err != nil || len(found) != 1 {
		t.Errorf("Find = %v, %v", found, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(path+".missing", nil); !errors.Is(err, seawall.ErrUnreadable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// FuzzReader opens damaged files: every error is ErrCorrupt, and everything
// that can be asked ends without a panic.
func FuzzReader(f *testing.F) {
	data := encode(f, Options{}, map[string][]advisory.Record{
		"ghsa": records(full(), simple("A-1", "npm", "x", "1")),
		"kev":  {exploitation("CVE-2024-1", advisory.Exploitation{KEV: true})},
	})
	h, err := parseHeader(data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[headerSize:h.tableOffset], data[h.tableOffset:])
	f.Fuzz(func(t *testing.T, body, contents []byte) {
		file := reseal(body, contents)
		r, err := New(file, "", nil)
		if err != nil {
			if !errors.Is(err, seawall.ErrCorrupt) || r != nil {
				t.Fatalf("%v, %v", r, err)
			}
			return
		}
		check := func(err error) {
			if err != nil && !errors.Is(err, seawall.ErrCorrupt) {
				t.Fatal(err)
			}
		}
		check(r.Verify())
		for _, e := range r.Ecosystems() {
			for _, name := range []string{"zope-interface", "x", ""} {
				found, err := r.Find(e.Name, name)
				check(err)
				for _, m := range found {
					_, err := r.Advisory(m.Advisory)
					check(err)
				}
			}
		}
		r.Exploitation("CVE-2024-1")
		for _, err := range r.Select(nil) {
			check(err)
		}
	})
}

// reseal makes a file of sections and table of contents with a fitting header.
func reseal(body, contents []byte) []byte {
	h := header{uint32(len(contents)), uint64(headerSize + len(body)), sha256.Sum256(contents)}
	return bytes.Join([][]byte{h.append(nil), body, contents}, nil)
}

// FuzzBlocks decodes damaged blocks, which zstd's checksum keeps FuzzReader from reaching.
func FuzzBlocks(f *testing.F) {
	f.Add(string(appendAdvisory(nil, full())))
	statement, err := appendAffected(nil, &full().Affected[0], true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(statement))
	f.Fuzz(func(t *testing.T, data string) {
		a, b := cursor{rest: data}, cursor{rest: data}
		if adv := a.advisory(); !a.bad {
			again := cursor{rest: string(appendAdvisory(nil, adv))}
			if diff := cmp.Diff(adv, again.advisory()); diff != "" || again.bad {
				t.Errorf("an advisory that decodes must survive encoding: %s", diff)
			}
		}
		var affected advisory.Affected
		withdrawn := b.affected(&affected)
		if b.bad {
			return
		}
		encoded, err := appendAffected(nil, &affected, withdrawn)
		if err != nil {
			t.Fatal(err)
		}
		again := cursor{rest: string(encoded)}
		var second advisory.Affected
		if w := again.affected(&second); w != withdrawn || again.bad {
			t.Error("a statement that decodes must survive encoding")
		}
	})
}
