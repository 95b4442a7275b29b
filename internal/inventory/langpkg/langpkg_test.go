package langpkg_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/maven"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/npm"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pub"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/pypi"
	"github.com/seawall-security/seawall/internal/seawall"
)

func TestNew(t *testing.T) {
	tests := []struct {
		ecosystem     langpkg.Ecosystem
		name, version string
		wantName      string
		wantPURL      string
	}{
		{langpkg.NPM(), "@Scope/Name", "1.0.0", "@Scope/Name", "pkg:npm/%40Scope/Name@1.0.0"},
		{langpkg.PyPI(), "Foo__Bar.-baz", "1.0+local", "foo-bar-baz", "pkg:pypi/foo-bar-baz@1.0%2Blocal"},
		{langpkg.Go(), "github.com/o/r/v2", "v2.0.0+incompatible", "github.com/o/r/v2", "pkg:golang/github.com/o/r/v2@v2.0.0%2Bincompatible"},
		{langpkg.Go(), "stdlib", "1.22.1", "stdlib", "pkg:golang/stdlib@1.22.1"},
		{langpkg.Maven(), "org.slf4j:slf4j-api", "1.7", "org.slf4j:slf4j-api", "pkg:maven/org.slf4j/slf4j-api@1.7"},
		{langpkg.Packagist(), "Symfony/Yaml", "v5", "symfony/yaml", "pkg:composer/symfony/yaml@v5"},
		{langpkg.NuGet(), "Newtonsoft.Json", "12.0.3", "Newtonsoft.Json", "pkg:nuget/Newtonsoft.Json@12.0.3"},
		{langpkg.GitHubActions(), "actions/checkout", "4.1.2", "actions/checkout", "pkg:github/actions/checkout@4.1.2"},
		{langpkg.Swift(), "github.com/Apple/NIO", "2.0.0", "github.com/apple/nio", "pkg:swift/github.com/apple/nio@2.0.0"},
		{langpkg.Crates(), "serde_json", "1.0.0", "serde_json", "pkg:cargo/serde_json@1.0.0"},
	}
	for _, tt := range tests {
		p, err := langpkg.New(tt.ecosystem, langpkg.Dependency{Name: tt.name, Version: tt.version})
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != tt.wantName || p.PURL != tt.wantPURL || p.Ecosystem != tt.ecosystem.Name {
			t.Errorf("%s: got %+v", tt.name, p)
		}
	}
	for _, name := range []string{"a\x1b[31m", "a\xff", strings.Repeat("a", 2000)} {
		if p, err := langpkg.New(langpkg.NPM(), langpkg.Dependency{Name: name}); !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("%.20q: got %v, %v", name, p, err)
		}
	}
}

func TestInDependency(t *testing.T) {
	for path, want := range map[string]bool{
		"app/yarn.lock":                                                   false,
		"app/node_modules/.package-lock.json":                             false,
		"app/node_modules/a/yarn.lock":                                    true,
		"usr/lib/python3/dist-packages/a/requirements.txt":                true,
		"root/go/pkg/mod/example.com/a@v1.0.0/go.mod":                     true,
		"usr/local/bundle/gems/nokogiri-1.13.1-x86_64-linux/Gemfile.lock": true,
		"src/gems/mine/Gemfile.lock":                                      false,
		"src/gems/gems/rake-13.0/Gemfile.lock":                            true,
		"src/my_node_modules/a/yarn.lock":                                 false,
	} {
		if got := langpkg.InDependency(path); got != want {
			t.Errorf("%s: got %v", path, got)
		}
	}
	if npm.Yarn().Wants("app/node_modules/a/yarn.lock", nil) {
		t.Error("a dependency's own lock file is wanted")
	}
}

func TestWantsRegularFiles(t *testing.T) {
	files := fstest.MapFS{"yarn.lock": {}, "link/yarn.lock": {Mode: fs.ModeSymlink}}
	for path, want := range map[string]bool{"yarn.lock": true, "link/yarn.lock": false} {
		info, err := files.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := npm.Yarn().Wants(path, info); got != want {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

// huge says that it is larger than a file may be.
type huge struct{ seawall.Content }

func (huge) Size() int64 { return math.MaxInt64 }

// TestHostile: what is damaged or over a bound is an error of its kind that
// names the file; nothing is unbounded.
func TestHostile(t *testing.T) {
	nested := func(open string) string { return strings.Repeat(open, 200_000) }
	tests := []struct {
		name, path, text string
		c                inventory.Collector
		want             error
	}{
		{"JSON nested", "package-lock.json", `{"packages":` + nested(`{"a":`), npm.PackageLock(), seawall.ErrCorrupt},
		{"JSON dependencies nested", "package-lock.json", nested(`{"dependencies":{"a":`), npm.PackageLock(), seawall.ErrBound},
		{"JSON list as document", "package-lock.json", `[]`, npm.PackageLock(), seawall.ErrCorrupt},
		{"empty JSON", "package-lock.json", ``, npm.PackageLock(), seawall.ErrCorrupt},
		{"TOML nested", "poetry.lock", "a = " + nested("["), pypi.Poetry(), seawall.ErrCorrupt},
		{"TOML of another shape", "poetry.lock", "package = 1", pypi.Poetry(), seawall.ErrCorrupt},
		{"YAML nested", "pubspec.lock", "a: " + nested("["), pub.Lock(), seawall.ErrCorrupt},
		{"YAML scalar", "pubspec.lock", "just text", pub.Lock(), seawall.ErrCorrupt},
		{"XML nested", "pom.xml", nested("<a>"), maven.POM(), seawall.ErrBound},
		{"XML long names", "pom.xml", "<" + strings.Repeat("a", 5000) + ">", maven.POM(), seawall.ErrBound},
		{"YAML too large", "pubspec.lock", strings.Repeat("#", langpkg.MaxTree+1), pub.Lock(), seawall.ErrBound},
		{"TOML too large", "poetry.lock", strings.Repeat("#", langpkg.MaxTree+1), pypi.Poetry(), seawall.ErrBound},
		{"XML too large", "pom.xml", strings.Repeat(" ", langpkg.MaxTree+1), maven.POM(), seawall.ErrBound},
		{"bun nested", "bun.lock", `{"packages":{"` + nested("a/") + `":["a@1.0.0"]}}`, npm.Bun(), seawall.ErrCorrupt},
		{"XML entities", "pom.xml", `<!DOCTYPE a [<!ENTITY b "c">]><project>&b;</project>`, maven.POM(), seawall.ErrCorrupt},
		{"XML cut", "pom.xml", "<project><version>1", maven.POM(), seawall.ErrCorrupt},
		{"XML in an unknown encoding", "pom.xml", `<?xml version="1.0" encoding="EBCDIC"?><project/>`, maven.POM(), seawall.ErrCorrupt},
		{"no text at all", "yarn.lock", "\x00\x01\x02", npm.Yarn(), seawall.ErrCorrupt},
		{"terminal escapes in a name", "package-lock.json", `{"packages":{"node_modules/\u001b[31m":{"version":"1.0.0"}}}`, npm.PackageLock(), seawall.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts, err := tt.c.Collect(t.Context(), langpkgtest.File(tt.path, []byte(tt.text)))
			if !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), tt.path+": ") {
				t.Errorf("got error %v", err)
			}
			for _, f := range facts {
				if f.Package != nil {
					t.Errorf("got %v", f.Package)
				}
			}
		})
	}
	file := langpkgtest.File("yarn.lock", nil)
	file.Content = huge{file.Content}
	if _, err := npm.Yarn().Collect(t.Context(), file); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("a huge file gives %v", err)
	}
}

func TestTooManyPackages(t *testing.T) {
	text := strings.Repeat("a==1\n", langpkg.MaxPackages+1)
	facts, err := pypi.Requirements().Collect(t.Context(), langpkgtest.File("requirements.txt", []byte(text)))
	if !errors.Is(err, seawall.ErrBound) || len(facts) != langpkg.MaxPackages {
		t.Errorf("got %d packages and %v", len(facts), err)
	}
}

// Aliases are not followed, so that nesting them multiplies nothing.
func TestYAMLAliases(t *testing.T) {
	text := "a: &a {version: '1', source: hosted}\n" +
		"b: &b {x: *a, y: *a}\nc: &c {x: *b, y: *b}\npackages: {one: *a, two: *c, three: {version: '3', source: hosted}}\n"
	if diff := cmp.Diff([]string{"three 3 :4"}, langpkgtest.Rows(t, pub.Lock(), true, "pubspec.lock", text)); diff != "" {
		t.Error(diff)
	}
}

func TestParagraph(t *testing.T) {
	got := map[string]string{}
	langpkg.Paragraph([]byte("Name: a\r\nDescription: one\n two\n\tthree\nno field\nEmpty:\n\nName: body\n"), func(name, value []byte) {
		got[string(name)] = string(value)
	})
	want := map[string]string{"Name": "a", "Description": "one two\tthree", "Empty": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// value reads any document with the pull reader, numbers and null as nil.
func value(j *langpkg.JSON) any {
	switch j.Peek() {
	case '{':
		m := map[string]any{}
		j.Object(func(key []byte) {
			k := string(key)
			m[k] = value(j)
		})
		return m
	case '[':
		a := []any{}
		j.Array(func() { a = append(a, value(j)) })
		return a
	case '"':
		return j.String()
	case 't', 'f':
		return j.Bool()
	}
	j.Skip()
	return nil
}

// withoutNumbers drops what value does not read.
func withoutNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = withoutNumbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = withoutNumbers(v[i])
		}
	case float64:
		return nil
	}
	return v
}

// FuzzJSON: whatever encoding/json accepts is read, and as the same value;
// whatever it does not accept ends.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\n",true,false,null,{}],"b":{"a":"2","a":"3"}}`, `"lone"`, " [ ] ", "[1,]", "{\"a\"://c\n1,}", "\xef\xbb\xbf{}", `{"a":/`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want any
		valid := json.Unmarshal(data, &want) == nil
		j := langpkg.NewJSON(data)
		got := value(j)
		if line := j.Line(); line < 1 || line > strings.Count(string(data), "\n")+1 {
			t.Errorf("at line %d", line)
		}
		if !valid {
			return
		}
		if errors.Is(j.Err(), seawall.ErrBound) || !utf8.Valid(data) {
			return // deeper than we go; encoding/json mends bad UTF-8, we refuse it later
		}
		if j.Err() != nil || !reflect.DeepEqual(got, withoutNumbers(want)) {
			t.Errorf("got %v, %v; want %v", got, j.Err(), want)
		}
	})
}
