package inuse_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/inuse"
	"github.com/seawall-security/seawall/internal/seawall"
)

const recording = `{"schemaVersion":"seawall.in-use/v1","node":"n1","since":"2026-11-20T00:00:00Z","until":"2026-11-21T00:00:00Z","covers":["executables","libraries","archives","scripts"],
"images":[{"digest":"sha256:aa","digests":["sha256:config"],"files":["/usr/bin/curl","/usr/lib/x86_64-linux-gnu/libssl.so.3","/app/node_modules/express/index.js","/app/server","/opt/app.jar","/usr/lib/python3/dist-packages/yaml/__init__.py","/var/gems/gems/rack-2.0/lib/rack.rb"]}]}`

func load(t *testing.T, texts ...string) *inuse.Observed {
	t.Helper()
	var names []string
	for _, text := range texts {
		name := filepath.Join(t.TempDir(), "in-use.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	o, err := inuse.Load(names)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func finding(name, purl string, paths ...string) seawall.Finding {
	f := seawall.Finding{Package: &seawall.PackageRef{Name: name, PURL: purl}}
	for _, p := range paths {
		f.Locations = append(f.Locations, seawall.Location{Path: p})
	}
	return f
}

// owned are the files of the image's Debian packages, as dpkg writes them.
var owned = []seawall.FileFact{
	{Path: "bin/curl", Owner: "curl"},
	{Path: "usr/lib/x86_64-linux-gnu/libssl.so.3", Owner: "libssl3"}, {Path: "usr/lib/x86_64-linux-gnu/libcrypto.so.3", Owner: "libssl3"},
	{Path: "usr/bin/nc", Owner: "netcat"},
	{Path: "usr/lib/python3/METADATA", Owner: "metadata-only"},
	{Path: "usr/lib/mixed.so", Owner: "mixed"}, {Path: "usr/bin/mixed", Owner: "mixed"},
}

var packages = []seawall.Finding{
	finding("curl", "pkg:deb/debian/curl@1"),
	finding("libssl3", "pkg:deb/debian/libssl3@3"),
	finding("netcat", "pkg:deb/debian/netcat@1"),
	finding("metadata-only", "pkg:deb/debian/metadata-only@1"),
	finding("never-listed", "pkg:deb/debian/never-listed@1"),
	finding("mixed", "pkg:deb/debian/mixed@1"),
	finding("express", "pkg:npm/express@4", "app/node_modules/express/package.json"),
	finding("lodash", "pkg:npm/lodash@4", "app/node_modules/lodash/package.json"),
	finding("left-pad", "pkg:npm/left-pad@1", "app/package-lock.json"),
	finding("stdlib", "pkg:golang/stdlib@1.20", "app/server"),
	finding("stdlib", "pkg:golang/stdlib@1.21", "app/worker"),
	finding("stdlib", "pkg:golang/stdlib@1.21", "app/worker", "app/server"),
	finding("text", "pkg:golang/golang.org/x/text@0.3", "src/go.mod"),
	finding("log4j", "pkg:maven/log4j@2", "opt/app.jar"),
	finding("h2", "pkg:maven/h2@2", "opt/other.jar"),
	finding("yaml", "pkg:pypi/yaml@6", "usr/lib/python3/dist-packages/yaml-6.0.dist-info/METADATA"),
	finding("requests", "pkg:pypi/requests@2", "usr/lib/python3/dist-packages/requests-2.0.dist-info/METADATA"),
	finding("rack", "pkg:gem/rack@2.0", "var/gems/specifications/rack-2.0.gemspec"),
	finding("rake", "pkg:gem/rake@1", "var/gems/specifications/rake-1.gemspec"),
}

func mark(o *inuse.Observed, asset seawall.Asset) (answers string, status seawall.CollectorStatus) {
	findings := append([]seawall.Finding(nil), packages...)
	status = o.Mark(&asset, owned, findings)
	for _, f := range findings {
		switch {
		case f.InUse == nil:
			answers += "?"
		case *f.InUse:
			answers += "y"
		default:
			answers += "n"
		}
	}
	return answers, status
}

func TestMark(t *testing.T) {
	const all = "yyn??nyn?yny?yny?yn"
	image := seawall.Asset{ID: "i", Kind: seawall.AssetImage, Digest: "sha256:aa"}
	for name, test := range map[string]struct {
		asset   seawall.Asset
		replace []string
		want    string
	}{
		"by its digest":            {image, nil, all},
		"by its configuration":     {seawall.Asset{Image: &seawall.ImageInfo{ConfigDigest: "sha256:config"}}, nil, all},
		"by its index":             {seawall.Asset{Image: &seawall.ImageInfo{RepoDigests: []string{"r/x@sha256:aa"}}}, nil, all},
		"another image":            {seawall.Asset{Digest: "sha256:bb"}, nil, strings.Repeat("?", len(packages))},
		"a cut recording":          {image, []string{`"files":`, `"truncated":true,"files":`}, strings.ReplaceAll(all, "n", "?")},
		"a recorder of programs":   {image, []string{`,"libraries","archives","scripts"`, ""}, "yyn???y??yny?y?y?y?"},
		"a recorder of no scripts": {image, []string{`,"scripts"`, ""}, "yyn??ny??yny?yny?y?"},
		"no scripts of this image": {image, []string{`"files":`, `"covers":["executables","libraries","archives"],"files":`}, "yyn??ny??yny?yny?y?"},
	} {
		t.Run(name, func(t *testing.T) {
			text := recording
			if test.replace != nil {
				text = strings.NewReplacer(test.replace...).Replace(text)
			}
			got, status := mark(load(t, text), test.asset)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if skipped := status.Status == seawall.RunSkipped; skipped != (name == "another image") || status.Reason == "" {
				t.Errorf("status %+v", status)
			}
		})
	}
}

// What one node did not load another one may: recordings add up, and what a single one
// of them could not see is not known.
func TestRecordingsAddUp(t *testing.T) {
	other := strings.NewReplacer("/usr/bin/curl", "/usr/bin/nc", `"n1"`, `"n2"`, "2026-11-21T", "2026-11-22T").Replace(recording)
	got, status := mark(load(t, recording, other), seawall.Asset{Digest: "sha256:aa"})
	if want := "yyy??nyn?yny?yny?yn"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := "observed from 2026-11-20T00:00:00Z to 2026-11-22T00:00:00Z, in 2 recordings"; status.Reason != want {
		t.Errorf("reason %q, want %q", status.Reason, want)
	}
	blind := strings.Replace(recording, `,"libraries","archives","scripts"`, "", 1)
	if got, _ := mark(load(t, recording, blind), seawall.Asset{Digest: "sha256:aa"}); got != "yyn???y??yny?y?y?y?" {
		t.Errorf("with a recorder of programs only: %s", got)
	}
}

func TestBadRecordings(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "no recording",
		"[]":                     "no recording",
		`{"schemaVersion":"v2"}`: `schemaVersion is "v2"`,
		`{"schemaVersion":"seawall.in-use/v1","images":[{"files":["/x"]}]}`: "images[0] has no digest",
	} {
		if _, err := inuse.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := inuse.Load([]string{"/absent.json"}); err == nil {
		t.Error("an absent file is no recording")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(recording)
	f.Add(`{"schemaVersion":"seawall.in-use/v1","images":[{"digest":"d","files":["../..//x"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := inuse.Read(strings.NewReader(text))
		if (r == nil) == (err == nil) {
			t.Fatalf("recording %v, error %v", r, err)
		}
	})
}
