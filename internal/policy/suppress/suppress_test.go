package suppress

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

const digest = "sha256:6f1a0e0c1b7c0b1a4c0f7d3d2f6a8a1a9c4c3f0c7a7b1a2b3c4d5e6f708192a3"

var today = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func image() *seawall.Asset {
	return &seawall.Asset{ID: digest, Kind: seawall.AssetImage, Name: "registry.example.com/shop/api:1.4.2", Digest: digest,
		Image: &seawall.ImageInfo{Platform: "linux/amd64"}}
}

// finding is libssl3 of Debian's openssl, installed at two places.
func finding() *seawall.Finding {
	return &seawall.Finding{
		Rule: "CVE-2023-5678", Kind: seawall.KindVulnerability, Status: seawall.StatusFail,
		Locations:     []seawall.Location{{Path: "var/lib/dpkg/status"}, {Path: "srv/chroot/var/lib/dpkg/status"}},
		Package:       &seawall.PackageRef{Name: "libssl3", Version: "3.0.11-1~deb12u1", Ecosystem: "Debian:12", Source: "openssl", PURL: "pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64&distro=debian-12"},
		Vulnerability: &seawall.Vulnerability{ID: "CVE-2023-5678", Aliases: []string{"DSA-5532-1"}},
	}
}

func load(t testing.TB, name, content string) *Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(today, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIgnoreSelectors(t *testing.T) {
	for _, test := range []struct {
		entry string
		want  bool
	}{
		{"id: CVE-2023-5678", true},
		{"id: cve-2023-5678", true},
		{"id: DSA-5532-1", true},
		{"ids: [CVE-1, CVE-2023-5678]", true},
		{"id: CVE-2023-567", false},
		{"package: libssl3", true},
		{"package: openssl", true},
		{"package: libssl", false},
		{"purl: pkg:deb/debian/libssl3", true},
		{"purl: pkg:deb/debian/libssl3@3.0.11-1~deb12u1", true},
		{"purl: pkg:deb/debian/libssl3@3.0.12", false},
		{"purl: 'pkg:deb/debian/libssl3?arch=arm64'", false},
		{"purl: 'pkg:deb/debian/libssl3?distro=debian-12.5'", true},
		{"purl: 'pkg:deb/debian/libssl3?distro=debian-1'", false},
		{"purl: 'pkg:deb/debian/openssl?arch=source'", true},
		{"purl: pkg:deb/debian/openssl", false},
		{"purl: pkg:deb/ubuntu/libssl3", false},
		{"path: var/lib/dpkg/status", false}, // the other place is not covered
		{"path: '**/status'", true},
		{"path: '**'", true},
		{"paths: [/var/**, 'srv/*/var/lib/dpkg/status']", true},
		{"path: '*/status'", false},
		{"asset: registry.example.com/shop/api:1.4.2", true},
		{"asset: 'registry.example.com/shop/*'", true},
		{"asset: 'registry.example.com/*'", false},
		{"asset: 'registry.example.com/**'", true},
		{"asset: " + digest, true},
		{"{id: CVE-2023-5678, package: curl}", false},
		{"{id: CVE-2023-5678, package: libssl3, asset: '**', path: '**'}", true},
	} {
		t.Run(test.entry, func(t *testing.T) {
			entry := "{" + strings.Trim(test.entry, "{}") + ", reason: accepted}"
			f := finding()
			load(t, "ignore.yaml", "ignore:\n- "+entry+"\n").Apply(image(), f)
			if got := f.Status == seawall.StatusSuppressed; got != test.want {
				t.Errorf("suppressed %v, want %v", got, test.want)
			}
		})
	}
}

func TestReasonNamesTheException(t *testing.T) {
	f := finding()
	load(t, "seawall-ignore.yaml", "ignore:\n- id: CVE-2023-5678\n  reason: not reachable\n  owner: platform\n  expires: 2026-11-21\n").Apply(image(), f)
	if want := "not reachable (seawall-ignore.yaml line 2, owner platform, until 2026-11-21)"; f.Reason != want || f.Status != seawall.StatusSuppressed {
		t.Errorf("status %s, reason %q, want %q", f.Status, f.Reason, want)
	}
}

func TestExpiredAndUnused(t *testing.T) {
	s := load(t, "list.yaml", `ignore:
- {id: CVE-2023-5678, reason: old, expires: 2026-11-20}
- {id: CVE-1999-1, reason: typing error}
- {package: openssl, reason: still fine, expires: "2026-11-21T12:00:01Z", id: CVE-2023-9999}
`)
	f, other := finding(), finding()
	other.Rule, other.Vulnerability.ID = "CVE-2023-9999", "CVE-2023-9999"
	s.Apply(image(), f)
	s.Apply(image(), other)
	if f.Status != seawall.StatusFail || !strings.Contains(f.Reason, "expired on 2026-11-20") {
		t.Errorf("expired entry: status %s, reason %q", f.Status, f.Reason)
	}
	if other.Status != seawall.StatusSuppressed {
		t.Error("an entry that is still good does not suppress")
	}
	want := []string{
		"list.yaml line 2: CVE-2023-5678 expired on 2026-11-20 and no longer suppresses",
		"list.yaml line 3: CVE-1999-1 matches no finding",
	}
	if diff := cmp.Diff(want, s.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestOnlyFailingFindingsChange(t *testing.T) {
	f := finding()
	f.Status, f.Reason = seawall.StatusNotEvaluated, "no data"
	load(t, "l", "CVE-2023-5678\n").Apply(image(), f)
	if f.Status != seawall.StatusNotEvaluated || f.Reason != "no data" {
		t.Errorf("status %s, reason %q", f.Status, f.Reason)
	}
}

func TestTrivyignore(t *testing.T) {
	s := load(t, ".trivyignore", "# accepted\n\nCVE-2020-1 exp:2020-01-01\nCVE-2023-5678 # no time this week\n")
	f := finding()
	s.Apply(image(), f)
	if want := "no time this week (.trivyignore line 4)"; f.Reason != want {
		t.Errorf("reason %q, want %q", f.Reason, want)
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], ".trivyignore line 3: CVE-2020-1 expired") {
		t.Errorf("warnings %q", w)
	}
}

func TestTrivyignoreYAML(t *testing.T) {
	f := finding()
	load(t, ".trivyignore.yaml", `vulnerabilities:
  - id: CVE-2023-5678
    purls: ["pkg:deb/debian/libssl3"]
    paths: ["**"]
    expired_at: 2027-01-01
    statement: not used
secrets:
  - id: aws-access-key-id
`).Apply(image(), f)
	if f.Status != seawall.StatusSuppressed || !strings.HasPrefix(f.Reason, "not used") {
		t.Errorf("status %s, reason %q", f.Status, f.Reason)
	}
}

func TestEmptyListIsFine(t *testing.T) {
	for _, content := range []string{"", "# nothing yet\n", "ignore: []\n"} {
		if w := load(t, "l", content).Warnings(); len(w) != 0 {
			t.Errorf("%q: warnings %q", content, w)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"unknown field", "ignore:\n- id: CVE-1\n  reason: x\n  expire: 2026-01-01\n", `line 4: unknown field "expire"`},
		{"unknown top field", "ignored: []\n", `line 1: unknown field "ignored"`},
		{"no reason", "ignore:\n- id: CVE-1\n", "line 2: entry has no reason"},
		{"selects nothing", "ignore:\n- reason: x\n", "line 2: entry selects nothing"},
		{"bad date", "ignore:\n- {id: CVE-1, reason: x, expires: tomorrow}\n", "line 2: expiry \"tomorrow\""},
		{"bad purl", "ignore:\n- {purl: 'pkg:', reason: x}\n", "line 2: purl:"},
		{"bad glob", "ignore:\n- {path: '[', reason: x}\n", "line 2: path:"},
		{"empty id", "ignore:\n- {id: '', reason: x}\n", "line 2: id is empty"},
		{"alias", "ignore:\n- {id: &a CVE-1, reason: *a}\n", "line 2: reason is empty or not plain text"},
		{"entry is text", "ignore:\n- CVE-1\n", "line 2: want an entry with fields"},
		{"not a list", "ignore: CVE-1\n", "line 1: want a list"},
		{"broken YAML", "ignore:\n- id: [\n", "yaml"},
		{"two documents", "ignore: []\n---\nignore: []\n", "more than one YAML document"},
		{"words in a list", "CVE-1 whatever\n", `line 1: unexpected "whatever"`},
		{"bad day in a list", "CVE-1 exp:soon\n", `line 1: expiry "soon"`},
		{"JSON that is not VEX", `{"a": 1}`, "not a VEX document"},
		{"broken JSON", "{\n\"a\": }", "line 2"},
		{"wrong type", "{\"@context\": \"https://openvex.dev/ns\",\n\"statements\": 3}", "line 2"},
		{"unknown status", `{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"status":"fine"}]}`, `statement 1: unknown status "fine"`},
		{"unknown state", `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"x","analysis":{"state":"fine"}}]}`, `unknown analysis state "fine"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(today, path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) || !errors.Is(err, seawall.ErrUsage) {
				t.Errorf("error %v, want %q and the path, wrapping ErrUsage", err, test.want)
			}
		})
	}
	if _, err := Load(today, "/nonexistent/file"); err == nil || strings.Count(err.Error(), "/nonexistent/file") != 1 {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"ignore:\n- {id: CVE-1, path: '**/a', expires: 2026-01-01, reason: x}\n", "CVE-1 exp:2026-01-01 # y\n",
		`{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"vulnerability":{"name":"CVE-2023-5678"},"products":[{"@id":"pkg:deb/debian/libssl3"}],"status":"fixed"}]}`,
		csafExample, cycloneDXExample,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Set{}
		if err := s.parse("file", data, today); err != nil && len(s.entries)+len(s.documents) > 0 {
			t.Fatal("a value beside an error")
		}
		got := finding()
		s.Apply(image(), got)
		if got.Status != seawall.StatusFail && got.Status != seawall.StatusSuppressed || got.Status == seawall.StatusSuppressed && got.Reason == "" {
			t.Fatalf("status %s, reason %q", got.Status, got.Reason)
		}
		s.Warnings()
	})
}

// The example of the package comment loads and does what its comments say.
func TestDocumentedExample(t *testing.T) {
	source, err := os.ReadFile("suppress.go")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(source)) {
		if text, ok := strings.CutPrefix(line, "//\t"); ok {
			example.WriteString(text)
		}
	}
	s := load(t, "example.yaml", example.String())
	f := finding()
	f.Rule, f.Package.Name, f.Package.Source, f.Package.PURL = "CVE-2023-45853", "zlib1g", "zlib", "pkg:deb/debian/zlib1g@1.2.13?arch=amd64"
	f.Locations = []seawall.Location{{Path: "usr/share/doc/zlib1g/copyright"}}
	if s.Apply(image(), f); f.Status != seawall.StatusSuppressed {
		t.Error("the documented example does not suppress")
	}
}
