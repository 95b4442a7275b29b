package image

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

func TestBuildStep(t *testing.T) {
	for in, want := range map[string]string{
		`/bin/sh -c #(nop)  CMD ["bash"]`:                                  `CMD ["bash"]`,
		`/bin/sh -c apt-get update`:                                        `RUN apt-get update`,
		`RUN /bin/sh -c apt-get update # buildkit`:                         `RUN apt-get update`,
		`COPY . /app # buildkit`:                                           `COPY . /app`,
		`|2 A=b B=c d /bin/sh -c make`:                                     `RUN make`,
		`RUN |1 A=b /bin/sh -c make # buildkit`:                            `RUN make`,
		"RUN a \\\n\t&& b":                                                 `RUN a \ && b`,
		"RUN \x1b[31mred\x07":                                              `RUN [31mred`,
		`/bin/sh -c #(nop) ADD file:` + strings.Repeat("a", 10) + ` in / `: `ADD file:aaaaaaaaaa in /`,
		``: ``,
	} {
		if got := buildStep(seawall.HistoryStep{CreatedBy: in}); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := buildStep(seawall.HistoryStep{Comment: "made by bazel"}); got != "made by bazel" {
		t.Errorf("comment became %q", got)
	}
	if got := buildStep(seawall.HistoryStep{CreatedBy: strings.Repeat("é", 5000)}); len([]rune(got)) != maxBuildStep+1 {
		t.Errorf("%d runes", len([]rune(got)))
	}
}

func TestAlignHistory(t *testing.T) {
	h := []seawall.HistoryStep{{CreatedBy: "COPY a"}, {CreatedBy: "ENV", EmptyLayer: true}, {CreatedBy: "COPY b"}}
	if diff := cmp.Diff([]string{"COPY a", "COPY b"}, alignHistory(h, 2)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"", "", ""}, alignHistory(h, 3)); diff != "" {
		t.Errorf("a history that does not fit: %s", diff)
	}
}

func TestPick(t *testing.T) {
	d := func(digest, os, arch, variant string) Descriptor {
		return Descriptor{Digest: digest, Platform: &Platform{os, arch, variant}}
	}
	attestation := Descriptor{Digest: "att", Platform: &Platform{"unknown", "unknown", ""}}
	index := []Descriptor{d("amd", "linux", "amd64", ""), d("v6", "linux", "arm", "v6"), d("v7", "linux", "arm", "v7"),
		d("v3", "linux", "amd64", "v3"), d("win", "windows", "amd64", ""), d("arm64", "linux", "arm64", "v8"), attestation}
	for _, tt := range []struct {
		wish  string
		index []Descriptor
		want  string
		hint  string
	}{
		{"linux/amd64", index, "amd", ""},
		{"linux/amd64/v3", index, "v3", ""},
		{"linux/amd64/v2", index, "amd", ""},
		{"linux/x86_64", index, "amd", ""},
		{"linux/arm", index, "v7", ""},
		{"linux/arm/v6", index, "v6", ""},
		{"linux/arm/v5", index, "", "--platform"},
		{"linux/arm64", index, "arm64", ""},
		{"linux/aarch64", index, "arm64", ""},
		{"windows/amd64", index, "win", ""},
		{"linux/s390x", index, "", "--platform linux/amd64"},
		{"", []Descriptor{d("only", "linux", "s390x", ""), attestation}, "only", ""},
		{"linux/amd64", []Descriptor{d("only", "linux", "s390x", "")}, "", "--platform linux/s390x"},
		{"linux/amd64", []Descriptor{{Digest: "nested"}}, "nested", ""},
		{"linux/amd64", []Descriptor{attestation}, "", ""},
	} {
		got, err := pick(tt.index, tt.wish)
		var h *seawall.Hinted
		if tt.want == "" {
			if !errors.Is(err, seawall.ErrUnreadable) || tt.hint != "" && (!errors.As(err, &h) || !strings.HasPrefix(h.Hint, "choose one with "+tt.hint)) {
				t.Errorf("%s: error = %v", tt.wish, err)
			}
			continue
		}
		if err != nil || got[0].Digest != tt.want {
			t.Errorf("%s: picked %v, %v, want %s", tt.wish, got, err, tt.want)
		}
	}
}

func FuzzDocument(f *testing.F) {
	for _, seed := range []string{`{"schemaVersion":2,"config":{"digest":"x"},"layers":[]}`, `{"manifests":[{"platform":{"os":"linux"}}]}`, `{"schemaVersion":1}`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := parseDocument(raw)
		if (d == nil) == (err == nil) {
			t.Fatalf("document %v, error %v", d, err)
		}
		if err == nil && d.isIndex() {
			if found, err := pick(d.Manifests, "linux/arm/v7"); (len(found) == 0) == (err == nil) {
				t.Errorf("picked %v, %v", found, err)
			}
		}
		c, err := parseConfig(raw)
		if (c == nil) == (err == nil) {
			t.Errorf("config %v, error %v", c, err)
		}
		if err == nil {
			info := c.imageInfo(raw)
			if n := len(alignHistory(info.History, len(c.RootFS.DiffIDs))); n != len(c.RootFS.DiffIDs) {
				t.Errorf("%d steps for %d layers", n, len(c.RootFS.DiffIDs))
			}
		}
	})
}
