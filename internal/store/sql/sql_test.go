package sql_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
	"github.com/seawall-security/seawall/internal/store/sql"
	"github.com/seawall-security/seawall/internal/store/storetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) {
	if file := os.Getenv("SEAWALL_TEST_WRITER"); file != "" {
		write(file)
	}
	testenv.Main(m)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() store.Store {
		file := filepath.Join(t.TempDir(), "a b?%41#.db") // nothing in a name is special
		return func() store.Store {
			s, err := sql.OpenSQLite(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(file); err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

func TestOpenWhatIsNoDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(strings.Repeat("{}\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := sql.OpenSQLite(t.Context(), file)
	var hinted *seawall.Hinted
	if s != nil || !errors.As(err, &hinted) || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, %v", s, err)
	}
}

// write is a process that writes until it is killed and says what was answered for.
func write(file string) {
	s, err := sql.OpenSQLite(context.Background(), file)
	for i := 0; err == nil; i++ {
		v := &store.Verdict{Digest: fmt.Sprint("sha256:", i), Scanned: time.UnixMilli(int64(i)), Asset: seawall.Asset{Kind: seawall.AssetImage}}
		for f := range 200 {
			v.Findings = append(v.Findings, seawall.Finding{ID: fmt.Sprint(i, "-", f), Status: seawall.StatusFail, Kind: seawall.KindSecret, Severity: seawall.SeverityLow})
		}
		if err = s.PutVerdict(context.Background(), v); err == nil {
			fmt.Println(i)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestKilledWriter: what was answered for is there after SIGKILL, whole, and the
// database goes on.
func TestKilledWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.db")
	const lives = 3
	written := 0
	for life := range lives {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SEAWALL_TEST_WRITER="+file)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		last := -1
		for n := 0; n < 20+7*life && lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
				t.Fatal(lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // answered before the kill came
			_, _ = fmt.Sscan(lines.Text(), &last)
		}
		_ = cmd.Wait()
		written = max(written, last+1)
		s, err := sql.OpenSQLite(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range written {
			v, err := s.Verdict(t.Context(), fmt.Sprint("sha256:", i))
			if err != nil || len(v.Findings) != 200 || len(v.FirstSeen) != 200 {
				t.Errorf("life %d, verdict %d of %d: %v", life, i, written, err)
				break
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if written < 20 {
		t.Errorf("the writers wrote %d verdicts", written)
	}
}

// BenchmarkPutVerdict writes a verdict of 1,000 findings, BenchmarkVerdict reads it.
func BenchmarkPutVerdict(b *testing.B) {
	s, v := large(b)
	for b.Loop() {
		if err := s.PutVerdict(b.Context(), v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerdict(b *testing.B) {
	s, v := large(b)
	if err := s.PutVerdict(b.Context(), v); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Verdict(b.Context(), v.Digest); err != nil {
			b.Fatal(err)
		}
	}
}

func large(b *testing.B) (*sql.Store, *store.Verdict) {
	s, err := sql.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "s.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	v := &store.Verdict{Digest: "sha256:1", Scanned: time.Now(), Asset: seawall.Asset{Kind: seawall.AssetImage}}
	for i := range 1000 {
		v.Findings = append(v.Findings, seawall.Finding{ID: fmt.Sprintf("%032x", i), Status: seawall.StatusFail, Kind: seawall.KindVulnerability, Rule: fmt.Sprint("CVE-2026-", i),
			Title: fmt.Sprint("package 1.2.3: CVE-2026-", i), Severity: seawall.SeverityHigh, Package: &seawall.PackageRef{Name: fmt.Sprint("package-", i%100), Version: "1.2.3"},
			Vulnerability: &seawall.Vulnerability{ID: fmt.Sprint("CVE-2026-", i), Fixed: []string{"1.2.4"}, CVSS: []seawall.CVSS{{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Score: 9.8}}}})
	}
	return s, v
}
