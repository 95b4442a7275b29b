package content

import (
	"archive/tar"
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

var _ inventory.Collector = Collector{}

type info struct {
	mode fs.FileMode
	sys  any
}

func (info) Name() string        { return "x" }
func (info) Size() int64         { return 4 }
func (i info) Mode() fs.FileMode { return i.mode }
func (info) ModTime() time.Time  { return time.Time{} }
func (info) IsDir() bool         { return false }
func (i info) Sys() any          { return i.sys }

func capable(attribute string) any {
	return &tar.Header{PAXRecords: map[string]string{"SCHILY.xattr.security.capability": attribute}}
}

func TestCollect(t *testing.T) {
	const (
		setuid, setgid = fs.ModeSetuid | 0o755, fs.ModeSetgid | 0o755
		// Revision 2, effective: cap_net_raw (13), and cap_sys_admin (21).
		netRaw   = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		sysAdmin = "\x01\x00\x00\x02\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		bpf      = "\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00"
	)
	tests := []struct {
		path    string
		info    info
		content string
		want    []string
	}{
		{"usr/bin/passwd", info{mode: setuid}, "\x7fELF", []string{"SW-IMG-102 mode urwxr-xr-x"}},
		{"usr/local/bin/helper", info{mode: setuid}, "\x7fELF", []string{"SW-IMG-101 mode urwxr-xr-x"}},
		{"opt/app/passwd", info{mode: setgid}, "\x7fELF", []string{"SW-IMG-101 mode grwxr-xr-x"}},
		{"usr/share/doc/x", info{mode: fs.ModeSetuid | 0o644}, "text", nil},
		{"usr/bin/ping", info{mode: 0o755, sys: capable(netRaw)}, "\x7fELF", []string{"SW-IMG-103 cap_net_raw"}},
		{"usr/bin/x", info{mode: 0o755, sys: capable(sysAdmin)}, "\x7fELF", []string{"SW-IMG-103 cap_sys_admin"}},
		{"usr/bin/x", info{mode: 0o755, sys: capable(bpf)}, "\x7fELF", []string{"SW-IMG-103 cap_bpf"}},
		{"usr/bin/x", info{mode: 0o755, sys: capable("\x01")}, "\x7fELF", []string{"SW-IMG-103 unreadable capabilities"}},
		{"etc/profile", info{mode: 0o666}, "text", []string{"SW-IMG-104 mode -rw-rw-rw-"}},
		{"var/lib/app/data", info{mode: 0o666}, "text", nil},
		{"usr/lib/.x", info{mode: 0o755}, "\x7fELF", []string{"SW-IMG-105 ELF program"}},
		{"tmp/.x", info{mode: 0o755}, "#!/b", []string{"SW-IMG-105 script"}},
		{"tmp/run.sh", info{mode: 0o755}, "#!/b", []string{"SW-IMG-106 script"}},
		{"tmp/data", info{mode: 0o755}, "data", nil},
		{"app/.hook", info{mode: 0o755}, "#!/b", nil},
		{"usr/bin/masscan", info{mode: 0o755}, "\x7fELF", []string{"SW-IMG-107 masscan"}},
		{"usr/share/doc/masscan", info{mode: 0o755}, "text", nil},
		{"usr/bin/nc", info{mode: fs.ModeSymlink | 0o777}, "", []string{"SW-IMG-108 nc"}},
		{"usr/local/go/bin/go", info{mode: 0o755}, "\x7fELF", []string{"SW-IMG-109 go"}},
		{"usr/bin/apt-get", info{mode: 0o755}, "\x7fELF", []string{"SW-IMG-110 apt-get"}},
		{"usr/bin/ls", info{mode: 0o755}, "\x7fELF", nil},
	}
	for _, tc := range tests {
		var got []string
		if (Collector{}).Wants(tc.path, tc.info) {
			facts, err := Collector{}.Collect(context.Background(), seawall.File{Path: tc.path, Info: tc.info, Content: memory{bytes.NewReader([]byte(tc.content))}})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range facts {
				got = append(got, f.Match.Rule+" "+f.Match.Evidence)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", tc.path, tc.info.mode, diff)
		}
	}
}

type memory struct{ *bytes.Reader }

func TestDetect(t *testing.T) {
	match := func(rule, path, evidence string) seawall.Match {
		return seawall.Match{Kind: seawall.KindMisconfiguration, Rule: rule, Location: seawall.Location{Path: path}, Evidence: evidence}
	}
	hidden := match("SW-IMG-101", "usr/bin/old", "mode u")
	hidden.Hidden = true
	facts := detect.Facts{Asset: seawall.Asset{ID: "a", Kind: seawall.AssetImage}, Matches: []seawall.Match{
		match("SW-IMG-109", "usr/bin/gcc", "gcc"), match("SW-IMG-109", "usr/bin/make", "make"), hidden,
		match("SW-IMG-103", "usr/bin/ping", "cap_net_raw"), match("SW-IMG-103", "usr/bin/x", "cap_net_raw cap_sys_admin"),
		{Kind: seawall.KindSecret, Rule: "SW-IMG-101"}, match("SW-IMG-999", "x", ""),
	}}
	say := func() (lines []string) {
		res, err := Detector{}.Detect(context.Background(), facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range res.Findings {
			lines = append(lines, strings.Join([]string{f.Rule, f.Severity.String(), f.Title, f.Evidence}, "; "))
		}
		return lines
	}
	want := []string{
		"SW-IMG-109; low; Compilers and build tools; gcc, make",
		"SW-IMG-103; low; Program with file capabilities: usr/bin/ping; cap_net_raw",
		"SW-IMG-103; medium; Program with file capabilities: usr/bin/x; cap_net_raw cap_sys_admin",
	}
	if diff := cmp.Diff(want, say()); diff != "" {
		t.Errorf("image: %s", diff)
	}
	facts.Asset.Kind = seawall.AssetHost
	if diff := cmp.Diff(want[1:], say()); diff != "" {
		t.Errorf("host: %s", diff)
	}
}

func TestList(t *testing.T) {
	var _ inventory.Lister = Collector{}
	for path, tc := range map[string]struct {
		mode fs.FileMode
		want string
	}{
		"usr/lib/app": {fs.ModeDir | 0o777, "SW-IMG-104 usr/lib/app mode drwxrwxrwx"},
		"etc":         {fs.ModeDir | 0o757, "SW-IMG-104 etc mode drwxr-xrwx"},
		"usr/lib/tmp": {fs.ModeDir | fs.ModeSticky | 0o777, ""},
		"usr/bin":     {fs.ModeDir | 0o755, ""},
		"home/me":     {fs.ModeDir | 0o777, ""},
		"etc/link":    {fs.ModeSymlink | 0o777, ""},
	} {
		got := ""
		if f := (Collector{}).List(path, info{mode: tc.mode}); f != nil {
			got = f.Match.Rule + " " + f.Match.Location.Path + " " + f.Match.Evidence
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", path, got, tc.want)
		}
	}
}
