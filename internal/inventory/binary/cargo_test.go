package binary

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

const auditText = `{"packages":[
 {"name":"adler","version":"1.0.2","source":"crates.io"},
 {"name":"cc","version":"1.0.83","source":"crates.io","kind":"build"},
 {"name":"forked","version":"0.1.0","source":"git"},
 {"name":"ripgrep","version":"13.0.0","source":"local","root":true,"dependencies":[0,1,2]},
 {"name":"mirrored","version":"2.0.0","source":"registry"}]}`

func deflated(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withSection adds a section to a real program, as cargo-auditable's linker step does.
func withSection(t *testing.T, data []byte) []byte {
	t.Helper()
	objcopy := testenv.Tool(t, "objcopy")
	dir := t.TempDir()
	section, out := filepath.Join(dir, "section"), filepath.Join(dir, "out")
	if err := os.WriteFile(section, data, 0o600); err != nil {
		t.Fatal(err)
	}
	program := testenv.Tool(t, "true")
	if text, err := exec.Command(objcopy, "--add-section", auditSection+"="+section, program, out).CombinedOutput(); err != nil {
		t.Fatalf("objcopy: %v\n%s", err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestCargo(t *testing.T) {
	content := withSection(t, deflated(t, auditText))
	facts, err := Cargo{}.Collect(t.Context(), file("usr/bin/rg", content))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"crates.io adler 1.0.2", "crates.io mirrored 2.0.0", "crates.io ripgrep 13.0.0"}
	if diff := cmp.Diff(want, rows(facts)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Out of reach of a stream, and said so.
	for _, size := range []int{5, 4096, len(content)} {
		if _, err := streamIn(Cargo{}, "usr/bin/rg", content, size); !errors.Is(err, seawall.ErrBudget) {
			t.Errorf("stream in chunks of %d: %v", size, err)
		}
	}
	plain, err := os.ReadFile(testenv.Tool(t, "true"))
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, Cargo{}, "usr/bin/true", plain); len(got) != 0 {
		t.Errorf("found %v in a program without audit data", got)
	}
}

func TestCargoHostile(t *testing.T) {
	bomb := withSection(t, deflated(t, strings.Repeat(" ", maxAudit+1)))
	if _, err := (Cargo{}).Collect(t.Context(), file("x", bomb)); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("bomb: %v", err)
	}
	for _, data := range []string{"", "not zlib", string(deflated(t, "{")), string(deflated(t, auditText)[:40])} {
		if _, err := (Cargo{}).Collect(t.Context(), file("x", withSection(t, []byte(data+" ")))); !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("%.10q: %v", data, err)
		}
	}
	f := file("x", withSection(t, deflated(t, auditText)))
	f.Budget = func(int64) (func(), error) { return nil, seawall.ErrBudget }
	if _, err := (Cargo{}).Collect(t.Context(), f); !errors.Is(err, seawall.ErrBudget) {
		t.Errorf("no memory: %v", err)
	}
}

// FuzzAudit: packages have names and no package is made of a damaged section.
func FuzzAudit(f *testing.F) {
	f.Add(deflated(f, auditText))
	f.Add([]byte("x\x9c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := parseAudit(bytes.NewReader(data), "x")
		if err != nil && !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrBound) {
			t.Fatal(err)
		}
		for _, fact := range facts {
			if fact.Package.Name == "" || fact.Package.Ecosystem != "crates.io" {
				t.Fatalf("%+v", fact.Package)
			}
		}
	})
}
