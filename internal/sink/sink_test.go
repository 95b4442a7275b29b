package sink_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"libssl3 3.0.11-1~deb12": "libssl3 3.0.11-1~deb12",
		"包裹 é":                   "包裹 é",
		"a\x1b[31mb\x07\r\n\t":   `a\x1b[31mb\x07\x0d\x0a\x09`,
		"a\u202eb\u200bc\ufeff":  `a\u202eb\u200bc\ufeff`,
		"\u0085\u009b":           `\x85\x9b`,
		"bad \xff utf-8":         "bad \ufffd utf-8",
		"tag \U000e0041":         `tag \ue0041`,
	} {
		if got := sink.Plain(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	clean := "libssl3 包裹"
	if n := testing.AllocsPerRun(100, func() { sink.Plain(clean) }); n != 0 {
		t.Errorf("clean text costs %v allocations", n)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if got := sink.Plain(s); sink.Plain(got) != got {
			t.Errorf("%q is not clean", got)
		}
	})
}

func TestAdvisoryURL(t *testing.T) {
	for id, want := range map[string]string{
		"CVE-2024-1": "https://nvd.nist.gov/vuln/detail/CVE-2024-1", "GO-2024-2687": "https://pkg.go.dev/vuln/GO-2024-2687",
		"RHSA-2024:1": "https://access.redhat.com/errata/RHSA-2024:1", "SW-IMG-002": "", "CVE": "", "": "",
		"CVE-\"><script>/../x": "https://nvd.nist.gov/vuln/detail/CVE-%22%3E%3Cscript%3E%2F..%2Fx",
	} {
		if got := sink.AdvisoryURL(id); got != want {
			t.Errorf("%q gives %q, want %q", id, got, want)
		}
	}
}

func TestAssetPURL(t *testing.T) {
	const digest = "sha256:0123"
	for name, want := range map[string]string{
		"registry.example.com:5000/shop/api:1.4": "pkg:oci/api@sha256%3A0123?arch=arm64&repository_url=registry.example.com%3A5000%2Fshop%2Fapi",
		"alpine":                                 "pkg:oci/alpine@sha256%3A0123?arch=arm64&repository_url=alpine",
		"ghcr.io/Org/App@sha256:0123":            "pkg:oci/app@sha256%3A0123?arch=arm64&repository_url=ghcr.io%2FOrg%2FApp",
	} {
		a := &seawall.Asset{Kind: seawall.AssetImage, Name: name, Digest: digest, Image: &seawall.ImageInfo{Platform: "linux/arm64/v8"}}
		if got := sink.AssetPURL(a); got != want {
			t.Errorf("%s gives %s, want %s", name, got, want)
		}
	}
	if got := sink.AssetPURL(&seawall.Asset{Kind: seawall.AssetRootFS, Name: "/"}); got != "" {
		t.Errorf("a directory has %s", got)
	}
}

// recorder counts, and fails from its nth message on.
type recorder struct{ handled, failAt, closed int }

func (r *recorder) Handle(context.Context, seawall.Message) error {
	if r.handled++; r.handled == r.failAt {
		return errors.New("disk full")
	}
	return nil
}

func (r *recorder) Close() error { r.closed++; return nil }

func TestMultiGoesOnWithoutTheOneThatFailed(t *testing.T) {
	good, bad := &recorder{}, &recorder{failAt: 2}
	m := sink.Multi(bad, good)
	for range 3 {
		if err := m.Handle(t.Context(), seawall.Message{End: &seawall.End{}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err == nil || err.Error() != "disk full" {
		t.Errorf("close: %v", err)
	}
	if good.handled != 3 || bad.handled != 2 || good.closed != 1 || bad.closed != 1 {
		t.Errorf("good %+v, bad %+v", good, bad)
	}
}

func TestShows(t *testing.T) {
	o := sink.Options{Severities: []seawall.Severity{seawall.SeverityHigh}, Fixable: true}
	for _, test := range []struct {
		f    seawall.Finding
		want bool
	}{
		{seawall.Finding{Status: seawall.StatusFail, Severity: seawall.SeverityHigh}, true},
		{seawall.Finding{Status: seawall.StatusFail, Severity: seawall.SeverityCritical}, false},
		{seawall.Finding{Status: seawall.StatusFail, Severity: seawall.SeverityHigh, Vulnerability: &seawall.Vulnerability{}}, false},
		{seawall.Finding{Status: seawall.StatusFail, Severity: seawall.SeverityHigh, Vulnerability: &seawall.Vulnerability{Fixed: []string{"2"}}}, true},
		{seawall.Finding{Status: seawall.StatusNotEvaluated, Severity: seawall.SeverityLow}, true},
	} {
		if got := o.Shows(&test.f); got != test.want {
			t.Errorf("%+v: %v, want %v", test.f, got, test.want)
		}
	}
}
