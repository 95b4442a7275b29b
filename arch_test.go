package seawall_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The architecture of docs/adr/0001, as a test: who may import whom, what a
// package and an interface may grow to, and what is nowhere allowed.

const module = "github.com/seawall-security/seawall"

type listedPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listedPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list found only %d packages", len(pkgs))
	}
	return pkgs
}

// stage returns the first path element under internal/ ("detect"), or "" outside it.
func stage(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, module+"/internal/")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

var (
	stages = []string{"source", "sensor", "inventory", "advisory", "verify", "detect", "compliance", "policy", "enforce", "sink", "store"}
	roles  = []string{"scan", "admission", "agent", "console"}
	// siblingExceptions are the only arrows between stages.
	siblingExceptions = map[string]string{"internal/detect/vuln": "advisory"}
)

func TestArrows(t *testing.T) {
	for _, p := range listPackages(t) {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			if why := forbidden(from, strings.TrimPrefix(imported, module+"/")); why != "" {
				t.Errorf("%s imports %s: %s", from, strings.TrimPrefix(imported, module+"/"), why)
			}
		}
	}
}

func forbidden(from, to string) string {
	a, b := stage(module+"/"+from), stage(module+"/"+to)
	switch {
	case testSupport(to) && !testSupport(from):
		return "only tests may use test support"
	case testSupport(from):
		return ""
	case a == "":
		if strings.HasPrefix(from, "cmd/") && b != "cli" {
			return "cmd may import cli only"
		}
		return ""
	case a == "seawall":
		return "the vocabulary imports the standard library only"
	case a == "expression" && b != a:
		return "the expression language imports the standard library and cel-go only"
	case b == "expression":
		return ""
	case a == "cli" && b != "":
		return ""
	case b == "" || b == "cli":
		return "nothing but cmd imports cli, and internal imports nothing outside internal"
	case a == b || b == "seawall":
		return ""
	case slices.Contains(roles, a):
		if slices.Contains(roles, b) {
			return "roles never import one another"
		}
		return ""
	case slices.Contains(roles, b):
		return "a stage never imports a role"
	case siblingExceptions[from] == b:
		return ""
	case slices.Contains(stages, a):
		return "sibling stages never import one another"
	}
	return "unknown place in the layout: add it to arch_test.go with its arrows"
}

// TestOnlyAllListsChildren: a stage's parent package imports none of its own
// children; only <stage>/all lists them.
func TestOnlyAllListsChildren(t *testing.T) {
	for _, p := range listPackages(t) {
		from := strings.TrimPrefix(p.ImportPath, module+"/internal/")
		if !slices.Contains(stages, from) {
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, p.ImportPath+"/") {
				t.Errorf("%s imports its child %s", from, imported)
			}
		}
	}
}

// externalHomes: some libraries are allowed in one place only.
func TestExternalHomes(t *testing.T) {
	homes := map[string][]string{
		"github.com/spf13/cobra":    {"internal/cli"},
		"github.com/cilium/ebpf":    {"internal/sensor/kernel", "internal/enforce"},
		"k8s.io/client-go":          {"internal/source/cluster", "internal/admission", "internal/console", "internal/policy/kube"},
		"database/sql":              {"internal/store/sql"},
		"github.com/google/cel-go":  {"internal/expression", "internal/policy"},
		"github.com/uptrace/bun":    {"internal/store/sql"},
		"github.com/jackc/pgx":      {"internal/store/sql"},
		"github.com/nats-io/nats.g": {"internal/store", "internal/console"},
	}
	for _, p := range listPackages(t) {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imported := range p.Imports {
			for lib, allowed := range homes {
				if !strings.HasPrefix(imported, lib) {
					continue
				}
				if !slices.ContainsFunc(allowed, func(home string) bool { return from == home || strings.HasPrefix(from, home+"/") }) {
					t.Errorf("%s imports %s, allowed only in %v", from, imported, allowed)
				}
			}
		}
	}
}

func TestPackageBudgets(t *testing.T) {
	const maxPackageLines, maxInterfaceMethods = 2500, 5
	badNames := []string{"util", "utils", "common", "helper", "helpers", "manager", "shared", "misc", "base"}
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if slices.Contains(badNames, filepath.Base(p.Dir)) {
			t.Errorf("%s: a package is named after what it is for", name)
		}
		lines, comments := 0, 0
		for _, file := range p.GoFiles {
			if strings.HasSuffix(file, "_bpfel.go") {
				continue
			}
			path := filepath.Join(p.Dir, file)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines += codeLines(src)
			f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				comments++
			}
			checkFile(t, name+"/"+file, f, maxInterfaceMethods)
		}
		if lines > maxPackageLines {
			t.Errorf("%s: %d lines of code, the budget is %d: split it", name, lines, maxPackageLines)
		}
		if comments != 1 && len(p.GoFiles) > 0 {
			t.Errorf("%s: %d package comments, want exactly one", name, comments)
		}
	}
}

// codeLines counts the lines that hold code: neither blank nor a comment alone.
func codeLines(src []byte) int {
	n := 0
	for line := range bytes.Lines(src) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			n++
		}
	}
	return n
}

func checkFile(t *testing.T, name string, f *ast.File, maxMethods int) {
	t.Helper()
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				t.Errorf("%s: init functions are not allowed", name)
			}
		case *ast.InterfaceType:
			if len(n.Methods.List) > maxMethods {
				t.Errorf("%s: an interface of %d methods, the budget is %d", name, len(n.Methods.List), maxMethods)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && n.Sel.Name == "Exit" && f.Name.Name != "main" && !testSupport(path.Dir(name)) {
				t.Errorf("%s: os.Exit belongs to main packages", name)
			}
		}
		return true
	})
}

// TestEveryPackageIsUsed: a package under a stage that nobody imports is
// forgotten work.
func TestEveryPackageIsUsed(t *testing.T) {
	pkgs := listPackages(t)
	used := map[string]bool{}
	for _, p := range pkgs {
		for _, imported := range p.Imports {
			used[imported] = true
		}
	}
	for _, p := range pkgs {
		if stage(p.ImportPath) == "" || testSupport(p.ImportPath) || len(p.GoFiles) == 0 || isMain(p) {
			continue
		}
		if !used[p.ImportPath] {
			t.Errorf("%s is imported by nothing", strings.TrimPrefix(p.ImportPath, module+"/"))
		}
	}
}

// testSupport packages (testenv, sinktest, test/cluster, …) exist for tests only.
func testSupport(importPath string) bool {
	name := path.Base(importPath)
	return strings.HasPrefix(strings.TrimPrefix(importPath, module+"/"), "test/") || name == "testenv" || strings.HasSuffix(name, "test")
}

func isMain(p listedPackage) bool {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, p.GoFiles[0]), nil, parser.PackageClauseOnly)
	return err == nil && f.Name.Name == "main"
}

// TestDependenciesHaveReasons: each direct dependency of go.mod has its line in docs/adr/dependencies.md.
func TestDependenciesHaveReasons(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := os.ReadFile("docs/adr/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "require "))
		path, version, ok := strings.Cut(line, " ")
		if !ok || !strings.HasPrefix(version, "v") || strings.Contains(line, "// indirect") {
			continue
		}
		if !bytes.Contains(reasons, []byte("`"+path+"`")) {
			t.Errorf("%s has no reason in docs/adr/dependencies.md", path)
		}
	}
}

// TestNoRegistriesInScripts: scripts and configuration name no package
// registry or proxy; machines have their own.
func TestNoRegistriesInScripts(t *testing.T) {
	hosts := []string{"proxy.golang" + ".org", "deb.debian" + ".org", "registry.npmjs" + ".org"}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "dist" || d.Name() == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".sh", ".yaml", ".yml", ".toml", "":
		default:
			return nil
		}
		info, err := d.Info()
		if err != nil || info.Size() > 1<<20 {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, host := range hosts {
			if bytes.Contains(text, []byte(host)) {
				t.Errorf("%s names %s", path, host)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
