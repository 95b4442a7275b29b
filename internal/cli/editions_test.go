package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/scan"
)

// A server takes up a database that was replaced, lets scans that run end with theirs,
// and keeps the old one when the new one is damaged.
func TestEditions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seawall.db")
	replace := func(write func(f *os.File) error) {
		t.Helper()
		f, err := os.Create(path + ".new")
		if err != nil {
			t.Fatal(err)
		}
		if err := write(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	built := func(day int) func(f *os.File) error {
		return func(f *os.File) error {
			_, err := db.NewWriter(db.Options{Built: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)}).WriteTo(f)
			return err
		}
	}
	replace(built(1))
	a := &app{}
	f := &scanFlags{}
	f.databaseFlags.path, f.scanners = path, []string{"vuln"}
	k, err := a.openEditions(f, scan.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := k.refresh(); fresh || err != nil {
		t.Errorf("nothing changed: %v %v", fresh, err)
	}
	first := k.built()
	running := k.take()
	replace(built(2))
	if fresh, err := k.refresh(); !fresh || err != nil {
		t.Errorf("it was replaced: %v %v", fresh, err)
	}
	second := k.built()
	if second == first || running.cfg.Database.Built != first || running.users != 1 {
		t.Errorf("built %s, then %s; the scan that runs has %s", first, second, running.cfg.Database.Built)
	}
	if later := k.take(); later.cfg.Database.Built != second || later.cfg.Detectors == nil || k.release(later) != nil {
		t.Errorf("a later scan has %s", later.cfg.Database.Built)
	}
	if err := k.release(running); err != nil || running.users != 0 {
		t.Errorf("%d users, %v", running.users, err)
	}
	replace(func(f *os.File) error { _, err := f.WriteString("half a database"); return err })
	for range 2 {
		if fresh, err := k.refresh(); fresh || err == nil || k.built() != second {
			t.Errorf("a damaged one: %v %v, built %s", fresh, err, k.built())
		}
	}
	if err := k.close(); err != nil {
		t.Error(err)
	}
}
