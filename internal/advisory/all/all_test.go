package all_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/testenv"
)

// headSize is what build shows to Recognizes.
const headSize = 64 << 10

// eachShared yields every file of the snapshots, archives opened.
func eachShared(t *testing.T, visit func(snapshot, name string, data []byte)) {
	t.Helper()
	dir := testenv.Shared(t, "advisories")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.Open(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if !strings.HasSuffix(f.Name(), ".gz") {
			continue
		}
		z, err := gzip.NewReader(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f.Name(), ".tar.gz") {
			data, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			visit(f.Name(), f.Name(), data)
			continue
		}
		for tr := tar.NewReader(z); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			data, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			visit(strings.TrimSuffix(f.Name(), ".tar.gz"), path.Clean(h.Name), data)
		}
	}
}

// notAdvisories are the files in the snapshots that are none, with the reason.
var notAdvisories = map[string]string{
	"LICENSE":       "licence text",
	"composer.json": "package file of the database's own tools",
	"known_exploited_vulnerabilities_schema.json": "JSON schema of the catalogue",
}

// TestSnapshots: every file is recognised by exactly one importer, read without
// an error, and yields records; the entries are as many as the README beside
// them says, and where they are not, the difference is explained.
func TestSnapshots(t *testing.T) {
	type count struct{ Files, Advisories, CVEs, Skipped int }
	got := map[string]count{}
	importers := all.Importers()
	eachShared(t, func(snapshot, name string, data []byte) {
		var reader advisory.Importer
		for _, i := range importers {
			if i.Recognizes(name, data[:min(len(data), headSize)]) {
				if reader != nil {
					t.Errorf("%s: %s: recognised by %s and %s", snapshot, name, reader.Name(), i.Name())
				}
				reader = i
			}
		}
		if reader == nil {
			if notAdvisories[path.Base(name)] == "" {
				t.Errorf("%s: %s: not recognised", snapshot, name)
			}
			return
		}
		c := got[snapshot]
		before := c.Advisories + c.CVEs
		err := reader.Import(context.Background(), name, bytes.NewReader(data), func(r advisory.Record) error {
			switch {
			case r.Advisory != nil:
				c.Advisories++
				checkAdvisory(t, name, r.Advisory)
			case r.Exploitation != nil:
				c.CVEs++
			case r.Skipped != "":
				c.Skipped++
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %s: %v", snapshot, name, err)
		}
		if c.Advisories+c.CVEs == before && name != "v3.3/community.yaml" { // the one without any secfixes
			t.Errorf("%s: %s: no records", snapshot, name)
		}
		c.Files++
		got[snapshot] = c
	})
	want := map[string]count{
		"almalinux": {Files: 5680, Advisories: 5680},
		"bitnami":   {Files: 7444, Advisories: 7444},
		"crates":    {Files: 1206, Advisories: 1206},
		"go":        {Files: 4291, Advisories: 4291},
		// Of 2,661 entries 1,391 name commit ranges beside the version ranges.
		"pypi":                {Files: 2661, Advisories: 2661, Skipped: 1391},
		"rubygems":            {Files: 1381, Advisories: 1381},
		"packagist":           {Files: 1592, Advisories: 1592},
		"kubernetes-osv":      {Files: 47, Advisories: 47},
		"kubernetes-k8s-cves": {Files: 62, Advisories: 62},
		// 171 files and index.json, which holds all of them once more.
		"nodejs": {Files: 172, Advisories: 342},
		// 723 and 545 spans; those of one component with one identifier are one advisory.
		// Skipped are the example components and "dont check".
		"retirejs": {Files: 2, Advisories: 1000, Skipped: 3},
		// 5,406 + 3,534 announcements, 27 of them without any package version.
		"debian": {Files: 2, Advisories: 8913, Skipped: 27},
		// Skipped: 24 fixed versions apk's order has no place for ("0.8.21.r2"), 4 lines without identifier.
		"alpine": {Files: 18, Advisories: 11412, Skipped: 28},
		// 1,278 packages, an advisory for each vulnerability of each.
		"wolfi": {Files: 1278, Advisories: 20770},
		// The catalogue of 1,404 twice: JSON and CSV.
		"kev":                {Files: 2, CVEs: 2808},
		"epss_scores.csv.gz": {Files: 1, CVEs: 360142},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func checkAdvisory(t testing.TB, name string, a *advisory.Advisory) {
	t.Helper()
	if a.ID == "" || a.Source == "" {
		t.Errorf("%s: an advisory without id or source: %+v", name, a)
	}
	for _, f := range a.Affected {
		if f.Ecosystem == "" || f.Name == "" || f.Ecosystem != advisory.NormalizeEcosystem(f.Ecosystem) || f.Name != advisory.Canonical(f.Ecosystem, f.Name) {
			t.Errorf("%s: %s: package %q of %q is not in its canonical spelling", name, a.ID, f.Name, f.Ecosystem)
		}
		if f.Unaffected && (f.Ranges != nil || f.State != "") || !f.Unaffected && f.State == "" {
			t.Errorf("%s: %s: %s: state %q, unaffected %v, ranges %v", name, a.ID, f.Name, f.State, f.Unaffected, f.Ranges)
		}
		for _, r := range f.Ranges {
			for _, e := range r.Events {
				n := 0
				for _, v := range []string{e.Introduced, e.Fixed, e.LastAffected, e.Limit} {
					if v != "" {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%s: %s: event %+v", name, a.ID, e)
				}
			}
		}
	}
}

// seeds are small documents of every format, in our own words.
var seeds = []string{
	`{"id":"GHSA-1","modified":"2024-01-02T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}]}]}`,
	"id: PYSEC-1\nmodified: 2024-01-02\naffected:\n- package: {name: a, ecosystem: PyPI}\n  versions: [1.0]\n",
	`{"document":{"category":"csaf_vex","csaf_version":"2.0","publisher":{"namespace":"https://www.redhat.com"},"tracking":{"id":"CVE-2024-1"}},"product_tree":{"branches":[{"product":{"product_id":"r","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9"}}},{"product":{"product_id":"c","product_identification_helper":{"purl":"pkg:rpm/redhat/a@1-1.el9?arch=x86_64"}}}],"relationships":[{"full_product_name":{"product_id":"r:c"},"product_reference":"c","relates_to_product_reference":"r"}]},"vulnerabilities":[{"cve":"CVE-2024-1","product_status":{"fixed":["r:c"]}}]}`,
	`{"openssl":{"CVE-2024-1":{"scope":"local","releases":{"bookworm":{"status":"resolved","fixed_version":"3.0.1-1","urgency":"low"},"sid":{"status":"open","urgency":"unimportant","nodsa":"Minor","nodsa_reason":"postponed"}}}}}`,
	"[02 Jan 2023] DSA-1-1 a - update\n\t{CVE-2023-1}\n\t[bookworm] - a 1-1\n\t[bullseye] - a <not-affected>\n\tNOTE: x\n",
	`{"apkurl":"x","distroversion":"v3.18","reponame":"main","packages":[{"pkg":{"name":"a","secfixes":{"1.0-r0":["CVE-2023-1 GHSA-1"],"0":["CVE-2023-2"]}}}]}`,
	"distroversion: edge-main\nreponame: main\napkurl: x\npackages:\n  - pkg:\n      name: a\n      secfixes:\n        1.0-r0:\n          - CVE_2023-1 (+ regression)\n",
	"schema-version: 2.0.2\npackage:\n  name: a\nadvisories:\n  - id: CGA-1\n    aliases: [CVE-2024-1]\n    events:\n      - {timestamp: 2024-01-01T00:00:00Z, type: fixed, data: {fixed-version: 1.0-r1}}\n",
	"---\ngem: a\ncve: 2024-1\nurl: https://example.org\ntitle: t\ndate: 2024-01-02\npatched_versions:\n  - \"~> 1.2.3\"\n  - \">= 2.0\"\nunaffected_versions:\n  - \"< 1\"\n",
	"title: t\nlink: https://example.org\ncve: CVE-2024-1\nbranches:\n  1.x:\n    time: 2024-01-02 00:00:00\n    versions: ['>=1.0', '<1.2']\nreference: composer://a/b\n",
	`{"lib":{"npmname":"lib","vulnerabilities":[{"atOrAbove":"1.0.0","below":"1.2.0","severity":"high","identifiers":{"CVE":["CVE-2024-1"]},"info":["https://example.org"],"excludes":["1.1.0"]}]}}`,
	`{"cve":["CVE-2024-1"],"vulnerable":"18.x || 20.x","patched":"^18.1.0 || ^20.2.0","severity":"high"}`,
	`{"1":{"cve":[],"vulnerable":"4.x","patched":"^4.1.0"},"2":{"cve":["CVE-2024-1","CVE-2024-2"],"vulnerable":"<= 10","patched":""}}`,
	"cve: CVE-2024-1\npublished: 2024-01-02T00:00Z\ndescription: d\ncomponents: [kubelet]\ncvss:\n  nvd: {vectorV3: CVSS:3.1/AV:N}\naffected:\n  - range: \">= 1.2, <= 1.3.1\"\n    fixedBy: 1.3.2\n",
	`{"catalogVersion":"1","dateReleased":"2024-01-02T00:00:00Z","vulnerabilities":[{"cveID":"CVE-2024-1","dateAdded":"2024-01-02"}]}`,
	"cveID,vendorProject,dateAdded,knownRansomwareCampaignUse\nCVE-2024-1,a,2024-01-02,Known\n",
	"#model_version:v1,score_date:2024-01-02T00:00:00+0000\ncve,epss,percentile\nCVE-2024-1,0.1,0.2\n",
}

// TestSeeds: each seed is read by exactly one importer, so the fuzz target starts from real ground.
func TestSeeds(t *testing.T) {
	read := map[string]bool{}
	for _, seed := range seeds {
		n := 0
		for _, i := range all.Importers() {
			if !i.Recognizes("x", []byte(seed)) {
				continue
			}
			n++
			read[i.Name()] = true
			records := 0
			err := i.Import(context.Background(), "x", strings.NewReader(seed), func(r advisory.Record) error {
				if r.Advisory != nil {
					checkAdvisory(t, seed, r.Advisory)
				}
				if r.Advisory != nil || r.Exploitation != nil {
					records++
				}
				return nil
			})
			if err != nil || records == 0 {
				t.Errorf("%s: %d records, %v of %s", i.Name(), records, err, seed)
			}
		}
		if n != 1 {
			t.Errorf("%d importers recognise %s", n, seed)
		}
	}
	for _, i := range all.Importers() {
		if !read[i.Name()] {
			t.Errorf("no seed for %s", i.Name())
		}
	}
}

// FuzzImporters: whatever the bytes, each importer ends without a panic, emits
// only well-formed advisories, and no more records than the input can pay for.
func FuzzImporters(f *testing.F) {
	importers := all.Importers()
	for _, seed := range seeds {
		for n := range importers {
			f.Add(uint8(n), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		i := importers[int(n)%len(importers)]
		i.Recognizes("x", data)
		records := 0
		err := i.Import(context.Background(), "x", bytes.NewReader(data), func(r advisory.Record) error {
			records++
			if a := r.Advisory; a != nil {
				if a.ID == "" || a.Source == "" {
					t.Errorf("%s: advisory without id or source", i.Name())
				}
				for _, f := range a.Affected {
					if f.Ecosystem == "" || f.Name == "" {
						t.Errorf("%s: %s: package %q of %q", i.Name(), a.ID, f.Name, f.Ecosystem)
					}
				}
			}
			return nil
		})
		if err == nil && records == 0 && len(data) == 0 {
			t.Errorf("%s: nothing is no document, and no error came", i.Name())
		}
		if records > len(data)+1 {
			t.Errorf("%s: %d records of %d bytes", i.Name(), records, len(data))
		}
	})
}

// TestSinkErrorsEndAnImport: an importer stops at the first error of emit and returns it.
func TestSinkErrorsEndAnImport(t *testing.T) {
	full := errors.New("disk full")
	for _, seed := range seeds {
		for _, i := range all.Importers() {
			if !i.Recognizes("x", []byte(seed)) {
				continue
			}
			calls := 0
			err := i.Import(context.Background(), "x", strings.NewReader(seed), func(advisory.Record) error {
				calls++
				return full
			})
			if !errors.Is(err, full) || calls != 1 {
				t.Errorf("%s: %d calls, %v", i.Name(), calls, err)
			}
		}
	}
}
