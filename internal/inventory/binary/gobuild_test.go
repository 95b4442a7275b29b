package binary

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// build compiles a program with the real toolchain. files holds its module;
// everything it needs is in there, so nothing is fetched.
func build(t *testing.T, files map[string]string, env []string, args ...string) []byte {
	t.Helper()
	tool := testenv.Tool(t, "go")
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out")
	cmd := exec.Command(tool, append([]string{"build", "-o", out}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0", "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local"}, env...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

const emptyMain = "package main\nvar version, other string\nfunc main() { println(version, other) }\n"

// toolchain is the version of the Go that runs the tests.
func toolchain() string { return toolchainVersion(runtime.Version()) }

func TestGoBinaries(t *testing.T) {
	module := map[string]string{
		"go.mod":         "module example.test/app\ngo 1.21\nrequire (\n\texample.test/dep v1.2.3\n\texample.test/fork v1.0.0\n)\nreplace (\n\texample.test/dep => ./dep\n\texample.test/fork => ./fork\n)\n",
		"main.go":        "package main\nimport (\"example.test/dep\"; \"example.test/fork\")\nvar version string\nfunc main() { println(version, dep.X, fork.X) }\n",
		"dep/go.mod":     "module example.test/dep\n",
		"dep/dep.go":     "package dep\nvar X = 1\n",
		"fork/go.mod":    "module example.test/fork\n",
		"fork/fork.go":   "package fork\nvar X = 1\n",
		"cmd/x/main.go":  emptyMain,
		"cmd/x/other.go": "package main\n",
	}
	std := "Go stdlib " + toolchain()
	deps := []string{"Go example.test/dep ", "Go example.test/fork "} // directories: versions unknown
	for _, tc := range []struct {
		name  string
		files map[string]string
		env   []string
		args  []string
		want  []string
	}{
		{"elf", module, nil, nil, append([]string{"Go example.test/app "}, append(deps, std)...)},
		{"stripped with a version", module, nil, []string{"-ldflags=-s -w -X main.version=v1.4.0"}, append([]string{"Go example.test/app v1.4.0"}, append(deps, std)...)},
		{"version of a package", module, nil, []string{"-ldflags=-X 'main.other=x y' -X \"example.test/app/cmd.Version=2.0.1\" -X example.test/dep.Version=9.9.9"}, append([]string{"Go example.test/app 2.0.1"}, append(deps, std)...)},
		{"pe", map[string]string{"go.mod": "module example.test/app\ngo 1.21\n", "main.go": emptyMain}, []string{"GOOS=windows"}, nil, []string{"Go example.test/app ", std}},
		{"mach-o", map[string]string{"go.mod": "module example.test/app\ngo 1.21\n", "main.go": emptyMain}, []string{"GOOS=darwin", "GOARCH=arm64"}, nil, []string{"Go example.test/app ", std}},
		// -trimpath leaves the flags out of the build info; the string itself is in the data.
		{"kubelet", map[string]string{"go.mod": "module k8s.io/kubernetes\ngo 1.21\n", "cmd/kubelet/main.go": emptyMain}, nil,
			[]string{"-trimpath", "-ldflags=-s -w -X main.version=v1.29.3-gke.1282000 -X main.other=127.0.0.1", "./cmd/kubelet"}, []string{std, "Kubernetes kubelet 1.29.3"}},
		{"candidate", map[string]string{"go.mod": "module k8s.io/kubernetes\ngo 1.21\n", "cmd/kube-proxy/main.go": emptyMain}, nil,
			[]string{"-trimpath", "-ldflags=-X main.version=v1.30.0-rc.2", "./cmd/kube-proxy"}, []string{std, "Kubernetes kube-proxy 1.30.0-rc.2"}},
		{"two versions", map[string]string{"go.mod": "module github.com/minio/minio\ngo 1.21\n", "main.go": emptyMain}, nil,
			[]string{"-trimpath", "-ldflags=-X main.version=v1.2.3 -X main.other=v3.2.1"}, []string{std, "generic minio "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			content := build(t, tc.files, tc.env, tc.args...)
			if diff := cmp.Diff(tc.want, collect(t, Go{}, "app/program", content)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The section table is of no use to the kernel, so a program runs without it;
// build info is still found.
func TestGoWithoutSections(t *testing.T) {
	content := build(t, map[string]string{"go.mod": "module example.test/app\ngo 1.21\n", "main.go": emptyMain}, nil)
	for i := range 8 {
		content[0x28+i] = 0xff // e_shoff
	}
	if diff := cmp.Diff([]string{"Go example.test/app ", "Go stdlib " + toolchain()}, collect(t, Go{}, "app/program", content)); diff != "" {
		t.Error(diff)
	}
}

// This very test holds the magic of build info as data; only the real one counts.
func TestGoItself(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content = append(content, buildMagic...) // and once more at the end, cut off
	got := strings.Join(collect(t, Go{}, "app/program", content), "\n")
	if want := "Go github.com/seawall-security/seawall \nGo stdlib " + toolchain(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An installed toolchain is known by its go command.
func TestGoCommand(t *testing.T) {
	path, err := filepath.EvalSymlinks(testenv.Tool(t, "go"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"generic go " + toolchain()}, collect(t, Go{}, "usr/local/go/bin/go", content)); diff != "" {
		t.Error(diff)
	}
}

func TestGoReplaceAndSiblings(t *testing.T) {
	info, err := debug.ParseBuildInfo("path\tgo.etcd.io/etcd/server/v3/etcdmain\nmod\tgo.etcd.io/etcd/server/v3\t(devel)\t\n" +
		"dep\tgo.etcd.io/etcd/api/v3\tv3.5.9\n=>\t../api\t(devel)\t\ndep\tgo.etcd.io/etcd/pkg/v3\tv3.5.9\n=>\t../pkg\t(devel)\t\n" +
		"dep\tgithub.com/old/lib\tv1.0.0\n=>\tgithub.com/new/lib\tv1.0.1\th1:x=\ndep\tgithub.com/work/space\t(devel)\t\n")
	if err != nil {
		t.Fatal(err)
	}
	info.GoVersion = "go1.19.9"
	want := []string{"Go github.com/new/lib v1.0.1", "Go github.com/work/space ", "Go go.etcd.io/etcd/api/v3 ", "Go go.etcd.io/etcd/pkg/v3 ", "Go stdlib 1.19.9", "generic etcd 3.5.9"}
	if diff := cmp.Diff(want, rows(goFacts("etcd", info, &versionScan{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGoStatedMainVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.7.2":                             "Go github.com/containerd/containerd v1.7.2",
		"v1.7.2+dirty":                       "Go github.com/containerd/containerd v1.7.2+dirty",
		"(devel)":                            "generic containerd ",
		"v0.0.0-20240101000000-0123456789ab": "generic containerd ", // no tag was known
	} {
		info := &debug.BuildInfo{Path: "github.com/containerd/containerd/cmd/containerd", Main: debug.Module{Path: "github.com/containerd/containerd", Version: version}}
		if diff := cmp.Diff([]string{want}, rows(goFacts("x", info, &versionScan{}))); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
	}
}

func TestToolchainVersion(t *testing.T) {
	for in, want := range map[string]string{
		"go1.21.3":                         "1.21.3",
		"go1.22":                           "1.22",
		"go1.22rc1":                        "1.22.0-rc.1",
		"go1.21beta2":                      "1.21.0-beta.2",
		"go1.21.9 (Red Hat 1.21.9-1.el8)":  "1.21.9",
		"go1.20.5 X:boringcrypto":          "1.20.5",
		"go1.19.13b4":                      "1.19.13",
		"go1.22.4-microsoft":               "1.22.4",
		"devel go1.23-abcdef Mon Jan 1":    "",
		"go":                               "",
		"go1.24.3 X:nocoverageredesign,x2": "1.24.3",
	} {
		if got := toolchainVersion(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestVersionScan(t *testing.T) {
	for _, tc := range []struct {
		text         string
		found, lines []string
	}{
		{"\x00v1.2.3\x00\x00\x001.2.3-rc1\x001.2\x00127.0.0.1\x00", []string{"v1.2.3", "1.2.3-rc1"}, nil},
		{"types : type , in %s1.11.4\n/bin/sh", nil, []string{"1.11.4"}},
		{"want 3906251.11.4\navx512f", nil, nil}, // where the version begins cannot be told
		{"\x00RELEASE.2023-05-04T21-44-30Z\x00RELEASE.md\x00", []string{"2023.5.4"}, nil},
		{"want 51.11.4\navx512f", nil, nil},
		{"rfc5280#section-4.2.1.3\nx1.2.3 ", nil, nil},
		{"\x00" + strings.Repeat("9", 100) + ".1.1\x00", nil, nil},
	} {
		for _, size := range []int{1, 3, 64, 1000} {
			var s versionScan
			for chunk := range slices.Chunk([]byte(tc.text), size) {
				_, _ = s.Write(chunk)
			}
			if diff := cmp.Diff([][]string{tc.found, tc.lines}, [][]string{s.found, s.lines}); diff != "" {
				t.Errorf("%q in chunks of %d: %s", tc.text, size, diff)
			}
		}
	}
}

func TestCoreVersion(t *testing.T) {
	for in, want := range map[string]string{
		"v1.32.4-dispatcher": "1.32.4", "1.6.20~ds1-1+deb12u3": "1.6.20", "1.29.0-rc.1": "1.29.0-rc.1", "2.6.12-1+deb12u4": "2.6.12", "v1.2": "1.2", "1.0.0-beta": "1.0.0-beta",
		"": "", "v": "", "1": "", "1..2": "", ".1.2": "", "1.2.": "", "abc": "", "1.2.3x": "", "1.2.3.4.5": "",
	} {
		if got := coreVersion(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// stamp writes build info as the linker does, padded to be found.
func stamp(version, modules string) []byte {
	b := make([]byte, buildHeader)
	copy(b, buildMagic)
	b[14], b[15] = 8, buildInline
	b = binary.AppendUvarint(b, uint64(len(version)))
	b = append(b, version...)
	text := ""
	if modules != "" {
		text = moduleTextStart + modules + strings.Repeat("\xf9", sentinelLen)
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

func TestGoStreamHostile(t *testing.T) {
	elf := append([]byte("\x7fELF"), make([]byte, 12)...)
	old := append(elf[:16:16], buildMagic...)
	old = append(append(old, 8, 0), make([]byte, 16)...)
	if _, err := streamIn(Go{}, "x", old, 100); !errors.Is(err, seawall.ErrBudget) {
		t.Errorf("format of before 1.18: %v", err)
	}
	// Each of these promises a long module text that begins as one does.
	promise := stamp("go1.22.0", strings.Repeat("x", 200))[:buildHeader]
	promise = append(promise, 8)
	promise = append(promise, "go1.22.0"...)
	promise = binary.AppendUvarint(promise, maxModuleText+1)
	false1 := append(promise, make([]byte, 16-len(promise)%16)...)
	many := append(elf[:16:16], bytes.Repeat(false1, maxBuildInfos+1)...)
	if _, err := streamIn(Go{}, "x", many, 4096); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("false build infos: %v", err)
	}
	bad := append(elf[:16:16], stamp("go1.22.0", "mod\tx\n")...)
	if _, err := streamIn(Go{}, "x", bad, 4096); !errors.Is(err, seawall.ErrCorrupt) {
		t.Errorf("damaged module text: %v", err)
	}
	none := append(elf[:16:16], stamp("go1.22.0", "")...)
	facts, err := streamIn(Go{}, "x", none, 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Go stdlib 1.22.0"}, rows(facts)); diff != "" {
		t.Error(diff) // a program without modules still has its library
	}
	script := []byte("#!/bin/sh\n" + buildMagic)
	if facts, err := (Go{}).Collect(t.Context(), file("x", script)); facts != nil || err != nil {
		t.Errorf("script: %v %v", facts, err)
	}
}

// FuzzGoStream: what is found does not depend on how the content is cut, and
// is what the standard library finds where that finds anything.
func FuzzGoStream(f *testing.F) {
	elf := append([]byte("\x7fELF"), make([]byte, 12)...)
	f.Add(append(elf[:16:16], stamp("go1.22.0", "path\tx\nmod\tx\t(devel)\t\ndep\ty\tv1.0.0\th1:x=\n")...), 9)
	f.Add(append(elf[:16:16], stamp("go1.22.0", "")...), 3)
	f.Add([]byte("\x7fELF"+strings.Repeat(buildMagic+"\x08\x02", 10)), 1)
	f.Fuzz(func(t *testing.T, content []byte, size int) {
		if len(content) < 4 {
			return
		}
		whole, wholeErr := streamIn(Go{}, "x", content, len(content))
		cut, cutErr := streamIn(Go{}, "x", content, 4+max(size, -size, 0)%1000)
		if (wholeErr == nil) != (cutErr == nil) {
			t.Fatalf("whole %v, cut %v", wholeErr, cutErr)
		}
		if diff := cmp.Diff(rows(whole), rows(cut)); diff != "" {
			t.Fatal(diff)
		}
		if _, err := (Go{}).Collect(t.Context(), file("x", content)); err != nil && wholeErr == nil {
			t.Fatalf("in random access: %v", err)
		}
	})
}

func ExampleGo() {
	content := append(append([]byte("\x7fELF"), make([]byte, 12)...), stamp("go1.22.0", "path\tx\nmod\texample.test/x\tv1.0.0\th1:x=\n")...)
	s := Go{}.Stream("usr/local/bin/x", nil)
	_, _ = s.Write(content)
	facts, _ := s.Facts()
	for _, f := range facts {
		fmt.Println(f.Package.PURL)
	}
	// Output:
	// pkg:golang/stdlib@1.22.0
	// pkg:golang/example.test/x@v1.0.0
}
