// Package langpkgtest runs language collectors on content given by a test.
package langpkgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// content is a file in memory.
type content struct{ *bytes.Reader }

// File makes a file of content.
func File(path string, data []byte) seawall.File {
	return seawall.File{Path: path, Content: content{bytes.NewReader(data)}}
}

// Facts collects one file, which the collector must want, without error.
func Facts(t *testing.T, c inventory.Collector, path, text string) []seawall.Fact {
	t.Helper()
	if !c.Wants(path, nil) {
		t.Fatalf("%s does not want %s", c.Name(), path)
	}
	facts, err := c.Collect(context.Background(), File(path, []byte(text)))
	if err != nil {
		t.Fatalf("%s: %v", c.Name(), err)
	}
	return facts
}

// Packages is Facts, the packages only.
func Packages(t *testing.T, c inventory.Collector, path, text string) []seawall.Package {
	t.Helper()
	var all []seawall.Package
	for _, f := range Facts(t, c, path, text) {
		if f.Package != nil {
			all = append(all, *f.Package)
		}
	}
	return all
}

// Rows is Packages, each as "name version :line" with " dev" after it where it
// is one, which is what most tests compare. It checks what holds for every package: one
// location in the file, kind, ecosystem and package URL set, declared as wanted.
func Rows(t *testing.T, c inventory.Collector, declared bool, path, text string) []string {
	t.Helper()
	var rows []string
	for _, p := range Packages(t, c, path, text) {
		if len(p.Locations) != 1 || p.Locations[0].Path != path || p.Kind != "language" || p.Ecosystem == "" || p.PURL == "" {
			t.Errorf("incomplete package %+v", p)
		}
		if p.Declared != declared {
			t.Errorf("%s %s: declared is %v", p.Name, p.Version, p.Declared)
		}
		row := fmt.Sprintf("%s %s :%d", p.Name, p.Version, p.Locations[0].Line)
		if p.Dev {
			row += " dev"
		}
		rows = append(rows, row)
	}
	return rows
}

// Fuzz checks what holds for a collector on any bytes: it returns; its packages
// have names and lie in the file; an error is one of the sentinels with a
// place, so that a report can say what is wrong with the file.
func Fuzz(f *testing.F, c inventory.Collector, path string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip()
		}
		facts, err := c.Collect(context.Background(), File(path, data))
		if err != nil && !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrBound) {
			t.Errorf("error without a cause: %v", err)
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, fact := range facts {
			p := fact.Package
			if p == nil {
				continue
			}
			if p.Name == "" || p.PURL == "" || len(p.Locations) != 1 || p.Locations[0].Path != path {
				t.Errorf("incomplete package %+v", p)
			}
			if line := p.Locations[0].Line; line < 0 || line > lines {
				t.Errorf("%s at line %d of %d", p.Name, line, lines)
			}
		}
	})
}
