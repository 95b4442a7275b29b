package seawall_test

import (
	"archive/tar"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

func TestStatFact(t *testing.T) {
	for _, c := range []struct {
		header tar.Header
		want   seawall.FileFact
	}{
		{tar.Header{Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 10, Gid: 20, Size: 3}, seawall.FileFact{Kind: "file", Mode: 0o4755, UID: 10, GID: 20, Size: 3}},
		{tar.Header{Typeflag: tar.TypeDir, Mode: 0o3777}, seawall.FileFact{Kind: "directory", Mode: 0o3777}},
		{tar.Header{Typeflag: tar.TypeSymlink, Mode: 0o777}, seawall.FileFact{Kind: "symlink", Mode: 0o777}},
		{tar.Header{Typeflag: tar.TypeFifo, Mode: 0o600}, seawall.FileFact{Kind: "other", Mode: 0o600}},
	} {
		c.header.Name, c.want.Path = "x", "x"
		if diff := cmp.Diff(&c.want, seawall.StatFact("x", c.header.FileInfo())); diff != "" {
			t.Error(diff)
		}
	}
	info, err := fstest.MapFS{"x": {}}.Stat("x")
	if err != nil {
		t.Fatal(err)
	}
	if f := seawall.StatFact("x", info); f != nil {
		t.Errorf("an owner nobody knows: %+v", f)
	}
}
