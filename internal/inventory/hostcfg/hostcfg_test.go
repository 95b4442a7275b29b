package hostcfg

import (
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// info is a file's, owned by root unless told otherwise.
type info struct {
	mode  fs.FileMode
	owner seawall.Ownership
	size  int64
}

func (info) Name() string        { return "x" }
func (i info) Size() int64       { return i.size }
func (i info) Mode() fs.FileMode { return i.mode }
func (info) ModTime() time.Time  { return time.Unix(1000, 0) }
func (i info) IsDir() bool       { return i.mode.IsDir() }
func (i info) Sys() any          { return i.owner }

type content struct{ *bytes.Reader }

// join is what a set of files comes to: by kind, the last of each.
func join(t testing.TB, files map[string]string, more ...seawall.ConfigFact) map[string]map[string]string {
	t.Helper()
	c := New()
	m := &inventory.Merged{Asset: &seawall.Asset{}, Configs: more}
	for p, text := range files {
		i := info{mode: 0o644}
		if f := c.List(p, i); f != nil && f.File != nil {
			m.Files = append(m.Files, *f.File)
		} else if f != nil {
			m.Configs = append(m.Configs, *f.Config)
		}
		if !c.Wants(p, i) {
			continue
		}
		facts, err := c.Collect(context.Background(), seawall.File{Path: p, Info: i, Content: content{bytes.NewReader([]byte(text))}})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range facts {
			m.Configs = append(m.Configs, *f.Config)
		}
	}
	if err := c.Join(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, f := range m.Configs {
		if f.Kind == "host/unread" {
			got["unread "+f.Data["resource"]] = f.Data
			continue
		}
		got[f.Kind+f.Data["match"]] = f.Data
	}
	return got
}

// TestFacts: what files come to, one setting at a time.
func TestFacts(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		kind  string
		want  map[string]string
	}{
		{"sshd: the first value counts, drop-ins where they are included", map[string]string{
			"etc/ssh/sshd_config":             "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\nLoginGraceTime 1h30m\nPort 22\nPort 2222\n",
			"etc/ssh/sshd_config.d/20.conf":   "PermitRootLogin=without-password\n",
			"etc/ssh/sshd_config.d/10.conf":   "permitrootlogin \"no\" # mine\n",
			"etc/ssh/sshd_config.d/note.txt":  "PermitRootLogin yes\n",
			"etc/ssh/sshd_config.d/15.conf":   "Match User x\nPermitRootLogin forced-commands-only\n",
			"usr/etc/ssh/sshd_config":         "PermitRootLogin yes\n",
			"etc/ssh/sshd_config.d/deep/a.cf": "PermitRootLogin yes\n",
		}, "host/sshd", map[string]string{"permitrootlogin": "no", "logingracetime": "5400", "port": "22 2222", "maxauthtries": "6"}},
		{"sshd: Match overrides for some", map[string]string{
			"etc/ssh/sshd_config": "X11Forwarding no\nMatch Group dev\n  X11Forwarding yes\nMatch all\nMaxSessions 5\n",
		}, "host/sshdGroup dev", map[string]string{"x11forwarding": "yes", "maxsessions": "5"}},
		{"sshd: installed without a file", map[string]string{"usr/sbin/sshd": ""}, "host/sshd", map[string]string{"permitrootlogin": "prohibit-password"}},
		{"sudo: drop-ins, aliases, comments", map[string]string{
			"etc/sudoers":            "Defaults\tuse_pty, logfile=\"/x\"\nUser_Alias ADMINS = a, b\n# root ALL=(ALL) NOPASSWD: ALL\nADMINS ALL=(ALL) ALL\n",
			"etc/sudoers.d/deploy":   "deploy ALL=(root) NOPASSWD: \\\n  /usr/bin/systemctl\n",
			"etc/sudoers.d/old.conf": "x ALL=(ALL) NOPASSWD: ALL\n",
			"etc/sudoers.d/backup~":  "y ALL=(ALL) NOPASSWD: ALL\n",
		}, "host/sudo", map[string]string{"use_pty": "true", "logfile": "/x", "nopasswd": "deploy ALL=(root) NOPASSWD:    /usr/bin/systemctl", "everyone": ""}},
		{"pam: bracketed controls, arguments before files", map[string]string{
			"etc/pam.d/common-password":       "password [success=1 default=ignore] /lib/security/pam_unix.so yescrypt\n-password required pam_pwquality.so minlen=20\n",
			"etc/security/pwquality.conf":     "minlen = 9\nminclass=3\n",
			"etc/security/pwquality.conf.d/a": "minlen = 10\n",
		}, "host/pam", map[string]string{"password pam_unix": "yescrypt", "unix.yescrypt": "", "pwquality.minlen": "20", "pwquality.minclass": "3"}},
		{"apt: blocks, comments, the last wins", map[string]string{
			"etc/apt/apt.conf.d/10": "APT::Periodic::Unattended-Upgrade \"1\"; // on\n/* Acquire::https::Verify-Peer \"false\"; */\n",
			"etc/apt/apt.conf.d/20": "APT { Periodic { Unattended-Upgrade \"0\"; }; Get::AllowUnauthenticated \"yes\" ; };\n",
			"etc/apt/sources.list":  "deb http://a.example s main\n#deb [trusted=yes] http://b.example s main\n",
		}, "host/apt", map[string]string{"unattendedUpgrade": "0", "insecureOptions": "apt::get::allowunauthenticated yes", "trusted": "", "securitySource": "false"}},
		{"dnf: repositories that are off do not count", map[string]string{
			"etc/dnf/dnf.conf":       "[main]\ngpgcheck=1\n",
			"etc/yum.repos.d/a.repo": "[one]\ngpgcheck=0\n[two]\nenabled=0\ngpgcheck=0\n[three]\nsslverify=False\n",
		}, "host/dnf", map[string]string{"gpgcheck": "1", "uncheckedRepositories": "/etc/yum.repos.d/a.repo [one]", "unverifiedRepositories": "/etc/yum.repos.d/a.repo [three]"}},
		{"audit: both ways to write a rule", map[string]string{
			"etc/audit/auditd.conf":     "max_log_file = 8\n",
			"etc/audit/rules.d/a.rules": "-w /etc/sudoers.d/ -p wa -k x\n-a always,exit -F path=/etc/passwd -F perm=wa\n-a always,exit -S mount,umount2 -S chmod\n-a never,exit -S close\n-e 1\n-e 2\n",
		}, "host/audit", map[string]string{"watch /etc/sudoers.d": "wa", "watch /etc/passwd": "wa", "syscall umount2": "true", "syscall chmod": "true", "syscall close": "", "immutable": "true", "rules": "6"}},
		{"shell: the weakest umask", map[string]string{
			"etc/profile": "umask 077\n", "etc/profile.d/x.sh": "if true; then umask 022; fi\ndeclare -xr TMOUT=600\n",
		}, "host/shell", map[string]string{"umask": "022", "timeout": "600", "timeoutReadonly": "true"}},
		{"limits: for everybody only", map[string]string{
			"etc/security/limits.conf": "root hard core unlimited\n* - core 0\n",
		}, "host/limits", map[string]string{"hard core": "0", "soft core": "0"}},
		{"login.defs: defaults", map[string]string{"etc/login.defs": "UMASK\t\t027\n"}, "host/login-defs", map[string]string{"UMASK": "027", "PASS_MAX_DAYS": "99999"}},
		{"rsyslog: both syntaxes", map[string]string{
			"etc/rsyslog.conf": `module(load="builtin:omfile" fileCreateMode="0640")` + "\n*.* action(type=\"omfwd\" target=\"x\")\nauth,authpriv.*\t/var/log/auth.log\n",
		}, "host/rsyslog", map[string]string{"fileCreateMode": "0640", "remote": "true", "authLogged": "true", "listens": "false"}},
		{"services: a mask outweighs", map[string]string{
			"usr/lib/systemd/system/a.service": "", "etc/systemd/system/multi-user.target.wants/a.service": "",
			"lib/systemd/system/b.service": "", "etc/rc2.d/S01c": "",
		}, "host/services", map[string]string{"a.service": "enabled", "b.service": "disabled", "c.service": "enabled"}},
		{"firewall: a chain without a policy accepts", map[string]string{
			"etc/systemd/system/x.wants/nftables.service": "",
			"etc/nftables.conf":                           "table ip filter {\n chain a { type filter hook input priority 0; }\n chain b { type filter hook forward priority 0; policy drop; }\n}\n",
		}, "host/firewall", map[string]string{"tools": "nftables", "input": "accept", "forward": "drop", "input6": "unfiltered", "loopback": "false"}},
		{"firewalld: the trusted zone accepts", map[string]string{
			"etc/systemd/system/x.wants/firewalld.service": "", "etc/firewalld/firewalld.conf": "DefaultZone=trusted\n",
		}, "host/firewall", map[string]string{"tools": "firewalld", "input": "accept"}},
		{"accounts: kinds of hashes", map[string]string{
			"etc/passwd": "a:x:1000:100::/home/a:/bin/sh\n", "etc/shadow": "a:$gy$x$y:1:2:3:4:5:6:\n", "etc/group": "a:x:100:\n",
		}, "host/password", map[string]string{"password": "yescrypt", "changed": "1", "minDays": "2", "maxDays": "3", "warnDays": "4", "inactiveDays": "5", "expires": "6", "system": "false"}},
		{"time: the sources of chrony", map[string]string{
			"etc/chrony.conf": "pool a.example iburst\n! server b\nrefclock PHC /dev/ptp0\n",
		}, "host/time", map[string]string{"client": "chrony", "servers": "a.example, PHC"}},
		{"boot: the password of Red Hat", map[string]string{
			"boot/grub2/grub.cfg": "menuentry x\n", "boot/grub2/user.cfg": "GRUB2_PASSWORD=grub.pbkdf2\n", "etc/default/grub": "GRUB_CMDLINE_LINUX=\"audit=1\"\n",
		}, "host/boot", map[string]string{"password": "true", "superusers": "false", "cmdline": "audit=1"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := join(t, tc.files)[tc.kind]
			if got == nil {
				t.Fatal("no such fact")
			}
			for key, want := range tc.want {
				if got[key] != want {
					t.Errorf("%s = %q, want %q", key, got[key], want)
				}
			}
		})
	}
}

// TestKernelModules: what a module's state is made of.
func TestKernelModules(t *testing.T) {
	live := func(kind string, data map[string]string) seawall.ConfigFact {
		return seawall.ConfigFact{Kind: kind, Data: data}
	}
	got := join(t, map[string]string{
		"lib/modules/6.1/modules.dep":     "kernel/fs/cramfs/cramfs.ko: a.ko\nkernel/x/usb-storage.ko.zst:\nkernel/net/dccp.ko:\nkernel/net/tipc.ko.xz:\nkernel/net/rds.ko.gz:\n",
		"lib/modules/6.1/modules.builtin": "kernel/fs/udf/udf.ko\n",
		"lib/modules/5.0/modules.dep":     "kernel/fs/hfs/hfs.ko:\n",
		"etc/modprobe.d/a.conf":           "install usb-storage /bin/true\nblacklist tipc\ninstall rds /bin/false\n",
		"usr/lib/modprobe.d/a.conf":       "install cramfs /bin/false\n",
	}, live("host/kernel", map[string]string{"release": "6.1"}), live("host/modules", map[string]string{"dccp": "loaded", "rds": "loaded"}))["host/kernel-modules"]
	want := map[string]string{"cramfs": "loadable", "usb_storage": "disabled", "dccp": "loaded", "rds": "loaded", "tipc": "blacklisted", "udf": "builtin", "hfs": "absent"}
	for name, state := range want {
		if got[name] != state {
			t.Errorf("%s is %q, want %q", name, got[name], state)
		}
	}
}

// TestUnreadable: a file that is there and could not be read makes its facts
// unread, and those of others stand.
func TestUnreadable(t *testing.T) {
	c := New()
	m := &inventory.Merged{Asset: &seawall.Asset{}, Packages: []seawall.Package{{Name: "auditd", Version: "1", Kind: "os"}}}
	for _, p := range []string{"etc/sudoers", "etc/passwd", "etc/shadow"} {
		m.Files = append(m.Files, *c.List(p, info{mode: 0o440}).File)
	}
	m.Configs = append(m.Configs, seawall.ConfigFact{Kind: rawText, Path: "etc/passwd", Data: map[string]string{"text": "a:x:0:0::/:/bin/sh\n"}})
	if err := c.Join(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range m.Configs {
		if f.Kind == "host/unread" {
			got[f.Data["resource"]] = f.Data["reason"]
		} else if f.Kind == "host/sudo" || f.Kind == "host/audit" {
			t.Errorf("%s: %v", f.Kind, f.Data)
		} else if f.Kind == "host/password" {
			t.Errorf("password without shadow: %v", f.Data)
		}
	}
	delete(got, "host/kernel-modules") // there is no kernel in this test
	want := map[string]string{"host/sudo": "/etc/sudoers: not readable: run as root", "host/audit": "/etc/audit: not readable: run as root", "host/password": "/etc/shadow: not readable: run as root"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTooLarge: a configuration over the bound is an error, not a truncated text.
func TestTooLarge(t *testing.T) {
	f := seawall.File{Path: "etc/passwd", Content: content{bytes.NewReader(make([]byte, maxText+1))}}
	if facts, err := New().Collect(context.Background(), f); err == nil || facts != nil {
		t.Errorf("%v, %v", facts, err)
	}
}

// TestTally: what is counted over the tree is bounded.
func TestTally(t *testing.T) {
	c := New()
	for range 1000 {
		c.List("srv/x", info{mode: 0o666})
	}
	if p := c.tally.writableFiles; p.count != 1000 || len(p.first) != tallyMax || !strings.HasSuffix(p.String(), " and 980 more") {
		t.Errorf("%d, %d, %s", p.count, len(p.first), p.String())
	}
}

func TestPasswordState(t *testing.T) {
	for field, want := range map[string]string{
		"": "none", "x": "shadow", "!": "locked", "!$6$a$b": "locked", "*": "locked", "$6$a$b": "sha512", "$5$a$b": "sha256", "$1$a$b": "md5",
		"$2b$10$x": "bcrypt", "$y$x": "yescrypt", "$7$x": "scrypt", "$q$x": "unknown", "abcdefghijklm": "des",
	} {
		if got := passwordState(field); got != want {
			t.Errorf("%q is %s, want %s", field, got, want)
		}
	}
	if got := withoutHashes("a:$6$salt$hash:1:2:3:4:::\nbroken\n"); strings.Contains(got, "hash") || !strings.HasPrefix(got, "a:sha512:1:2:") {
		t.Errorf("%q", got)
	}
}

func TestOlderSudo(t *testing.T) {
	for version, want := range map[string]bool{"1.9.13p3-1+deb12u1": true, "1.8.31": true, "1.9.14": false, "1.9.15p5-3": false, "2:1.10": false, "2.0": false, "": false} {
		if got := olderSudo(version); got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
}

// FuzzJoin: whatever the files hold, facts are made, bounded by what was read,
// and no hash is among them.
func FuzzJoin(f *testing.F) {
	for _, p := range []string{"etc/ssh/sshd_config", "etc/sudoers", "etc/pam.d/common-auth", "etc/apt/apt.conf.d/x", "etc/nftables.conf", "etc/audit/rules.d/a.rules", "etc/shadow"} {
		f.Add(p, "Include /etc/ssh/sshd_config\nMatch User a\nPort 1\n")
		f.Add(p, "A { B \"c\"; };\n-a always,exit -S a -F path=/x\nDefaults use_pty\n%a ALL=(ALL) NOPASSWD: ALL\n")
		f.Add(p, "root:$6$salt$hashhashhash:1:2:3:4:5:6:\nauth [a b] pam_unix.so nullok\n hook input priority 0; policy drop;\n")
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		if !wanted(path) || !fs.ValidPath(path) || len(text) > 1<<16 {
			return
		}
		files := map[string]string{path: text, "etc/passwd": "a:x:1:1::/:/bin/sh\n", "etc/systemd/system/x.wants/nftables.service": ""}
		for kind, data := range join(t, files) {
			size := 0
			for k, v := range data {
				size += len(k) + len(v)
			}
			if size > 4*len(text)+4096 {
				t.Errorf("%s: %d bytes of facts from %d", kind, size, len(text))
			}
		}
	})
}

// BenchmarkList is the cost of an entry nobody is interested in: no allocation.
func BenchmarkList(b *testing.B) {
	b.ReportAllocs()
	c := New()
	var i fs.FileInfo = info{mode: 0o644}
	for b.Loop() {
		if c.List("usr/share/doc/libfoo/changelog.Debian.gz", i) != nil || c.Wants("usr/share/doc/libfoo/changelog.Debian.gz", i) {
			b.Fatal("wanted")
		}
	}
}
