package integrity

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
)

// run executes the command and returns its output and exit status.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &command.Env{Stdout: &out, Stderr: &errs}
	cmd := Command(env)
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		command.PrintError(t.Context(), &errs, err)
	}
	return out.String(), errs.String(), command.ExitCode(err)
}

func TestCheck(t *testing.T) {
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "baseline.json")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/passwd", "a")
	if _, said, code := run(t, "baseline", "/etc", "--root", root, "--output", file); code != 0 || !strings.Contains(said, "2 files in ") {
		t.Fatalf("%d, %s", code, said)
	}
	if out, said, code := run(t, "check", file, "--root", root); code != 0 {
		t.Errorf("%d, %s\n%s", code, said, out)
	}
	write("etc/passwd", "b")
	out, said, code := run(t, "check", file, "--root", root, "--format", "json")
	var report seawall.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 {
		t.Fatalf("%d, %s, %v\n%s", code, said, err, out)
	}
	if len(report.Findings) != 1 || report.Findings[0].Rule != "SW-FIM-001" || report.Findings[0].Location.Path != "/etc/passwd" || report.Summary.High != 1 {
		t.Errorf("%+v", report.Findings)
	}
	if out, _, code := run(t, "check", file, "--root", root); code != 1 || !strings.Contains(out, "/etc/passwd") {
		t.Errorf("%d\n%s", code, out)
	}
	if err := os.Truncate(filepath.Join(root, "etc/passwd"), 1<<30); err != nil {
		t.Fatal(err)
	}
	if out, said, code := run(t, "check", file, "--root", root); code != 3 || !strings.Contains(said, "1 file not read") {
		t.Errorf("%d, %s\n%s", code, said, out)
	}
	for _, args := range [][]string{{"baseline", "etc"}, {"check", "none.json"}, {"check", file, "--format", "xml"}} {
		if _, said, code := run(t, args...); code != 2 {
			t.Errorf("%v: %d, %s", args, code, said)
		}
	}
}
