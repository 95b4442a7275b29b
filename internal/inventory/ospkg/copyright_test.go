package ospkg

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/testenv"
)

func TestCopyrightTexts(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"machine-readable": {"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nLicense: GPL-2\n\nFiles: *\nCopyright: me\nLicense: MIT or Artistic\n some text\n\n" +
			"Files: debian/*\nLicense: GPL-3+\n\nLicense: BSD\n the text of a licence used above\n", []string{"GPL-2", "MIT or Artistic"}},
		"reference": {"On Debian systems see\n/usr/share/common-licenses/GPL-2, and `/usr/share/common-licenses/LGPL-2.1'.", []string{"GPL-2", "LGPL-2.1"}},
		"sentences": {"Permission is hereby granted, free of\n charge, to any person obtaining a copy of this\n\nRedistribution and use in source and binary forms, with or without\nmodification, are permitted", []string{"MIT", "BSD-2-Clause"}},
		"none":      {"All rights reserved.", nil},
	} {
		got := machineReadable([]byte(c.text))
		if len(got) == 0 {
			got = commonTexts([]byte(c.text))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCopyrightOfThisMachine reads every copyright file of a real Debian.
func TestCopyrightOfThisMachine(t *testing.T) {
	testenv.Tool(t, "dpkg")
	files, _ := filepath.Glob("/usr/share/doc/*/copyright")
	if len(files) < 100 {
		t.Skipf("only %d copyright files on this machine", len(files))
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a link to a package that is not installed
		}
		if len(machineReadable(text)) > 0 || len(commonTexts(text)) > 0 {
			found++
		}
	}
	t.Logf("licences found in %d of %d", found, len(files))
	if found*100 < len(files)*90 {
		t.Errorf("licences found in %d of %d copyright files", found, len(files))
	}
	out, err := exec.Command("dpkg-query", "-L", "bash").Output()
	if err != nil || !strings.Contains(string(out), "/usr/share/doc/bash/copyright") {
		t.Errorf("dpkg no longer keeps copyright files where they are looked for: %v", err)
	}
}

func FuzzCopyright(f *testing.F) {
	f.Add([]byte("Format: x\n\nFiles: *\nLicense: MIT\n"))
	f.Add([]byte("see /usr/share/common-licenses/GPL-2."))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, list := range [][]string{machineReadable(text), commonTexts(text)} {
			if len(list) > maxLicenses+10 {
				t.Fatalf("%d licences", len(list))
			}
			for _, l := range list {
				if l == "" || strings.Contains(l, "\n") {
					t.Fatalf("licence %q", l)
				}
			}
		}
	})
}
