package hostcfg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// maxText bounds one configuration file; passwd of a large site is some hundred KiB.
	maxText = 1 << 20
	// maxModules bounds modules.dep; that of a distribution's kernel is under 1 MiB.
	maxModules = 16 << 20
)

// The kinds of facts that only Join sees and takes away.
const (
	rawText    = "host/raw/text"
	rawUnit    = "host/raw/unit"
	rawModules = "host/raw/modules"
)

// Collector reads the configuration of one host. Unlike other collectors it
// serves one run only: what is counted over the whole tree (files anybody may
// write, files of nobody) is kept in it, bounded, and not as facts.
type Collector struct{ tally tally }

var (
	_ inventory.Joiner = (*Collector)(nil)
	_ inventory.Lister = (*Collector)(nil)
)

// New returns the collector of one run.
func New() *Collector { return &Collector{tally: newTally()} }

// Name implements inventory.Collector.
func (*Collector) Name() string { return "host/configuration" }

// Version implements inventory.Collector.
func (*Collector) Version() int { return 1 }

// Wants implements inventory.Collector.
func (*Collector) Wants(path string, info fs.FileInfo) bool {
	if info.Mode()&fs.ModeSymlink != 0 {
		return isUnitLink(path)
	}
	return wanted(path)
}

// isUnitLink tells the links that mask a unit or name it otherwise.
func isUnitLink(p string) bool {
	name, ok := strings.CutPrefix(p, "etc/systemd/system/")
	return ok && !strings.Contains(name, "/")
}

// wanted tells the files whose text is read.
func wanted(p string) bool {
	if !configures(p) {
		return false
	}
	switch dir := p[:strings.LastIndexByte(p, '/')+1]; dir {
	case "etc/":
		switch p[len(dir):] {
		case "passwd", "shadow", "group", "login.defs", "sudoers", "fstab", "sysctl.conf", "shells", "profile", "bash.bashrc",
			"bashrc", "rsyslog.conf", "chrony.conf", "ntp.conf", "yum.conf", "exports", "motd", "issue", "issue.net", "nftables.conf":
			return true
		}
		return false
	case "etc/sudoers.d/", "etc/pam.d/", "etc/apt/apt.conf.d/", "etc/apt/sources.list.d/", "etc/yum.repos.d/", "etc/audit/rules.d/":
		return true
	case "etc/sysctl.d/", "usr/lib/sysctl.d/", "lib/sysctl.d/", "usr/local/lib/sysctl.d/", "etc/modprobe.d/", "usr/lib/modprobe.d/",
		"lib/modprobe.d/", "etc/ssh/sshd_config.d/", "etc/security/limits.d/", "etc/security/pwquality.conf.d/", "etc/rsyslog.d/",
		"etc/systemd/journald.conf.d/", "etc/systemd/coredump.conf.d/", "etc/systemd/timesyncd.conf.d/", "usr/lib/systemd/journald.conf.d/",
		"usr/lib/systemd/coredump.conf.d/", "etc/chrony/conf.d/":
		return strings.HasSuffix(p, ".conf")
	case "etc/profile.d/":
		return strings.HasSuffix(p, ".sh")
	case "etc/chrony/sources.d/":
		return strings.HasSuffix(p, ".sources")
	}
	switch p {
	case "etc/default/useradd", "etc/default/grub", "etc/default/ufw", "etc/ssh/sshd_config", "usr/etc/ssh/sshd_config",
		"etc/security/limits.conf", "etc/security/pwquality.conf", "etc/security/faillock.conf", "etc/security/pwhistory.conf",
		"etc/systemd/journald.conf", "etc/systemd/coredump.conf", "etc/systemd/timesyncd.conf", "etc/chrony/chrony.conf", "etc/ntpsec/ntp.conf",
		"etc/audit/auditd.conf", "etc/audit/audit.rules", "boot/grub/grub.cfg", "boot/grub2/grub.cfg", "boot/grub2/user.cfg",
		"etc/sysconfig/nftables.conf", "etc/ufw/ufw.conf", "etc/firewalld/firewalld.conf",
		"etc/iptables/rules.v4", "etc/iptables/rules.v6", "etc/sysconfig/iptables", "etc/sysconfig/ip6tables", "etc/selinux/config",
		"etc/dnf/dnf.conf", "etc/snmp/snmpd.conf", "etc/apt/sources.list", "etc/apt/apt.conf", "etc/crypto-policies/config",
		"etc/postfix/main.cf":
		return true
	}
	return isModuleList(p)
}

// isModuleList tells the lists of a kernel's modules: [usr/]lib/modules/RELEASE/modules.dep.
func isModuleList(p string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(p, "usr/"), "lib/modules/")
	return ok && strings.Count(rest, "/") == 1 && (strings.HasSuffix(rest, "/modules.dep") || strings.HasSuffix(rest, "/modules.builtin"))
}

// Collect implements inventory.Collector: the text of a file, of which Join
// makes facts together with others. Of shadow only the kind of each hash is kept.
func (*Collector) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	switch {
	case f.Link == "/dev/null":
		return []seawall.Fact{raw(rawUnit, f.Path, map[string]string{"unit": path.Base(f.Path), "state": "masked"})}, nil
	case f.Link != "":
		return nil, nil
	case isModuleList(f.Path):
		return moduleList(f)
	}
	if f.Content.Size() > maxText {
		return nil, fmt.Errorf("%w: a configuration file of more than %d bytes", seawall.ErrBound, maxText)
	}
	data, err := io.ReadAll(f.Content)
	if err != nil {
		return nil, err
	}
	text := string(data)
	if f.Path == "etc/shadow" {
		text = withoutHashes(text)
	}
	return []seawall.Fact{raw(rawText, f.Path, map[string]string{"text": text})}, nil
}

// moduleList finds the modules controls ask about in modules.dep ("path.ko.xz: dependencies") or modules.builtin.
func moduleList(f seawall.File) ([]seawall.Fact, error) {
	found := map[string]string{"release": path.Base(path.Dir(f.Path))}
	state := "loadable"
	if strings.HasSuffix(f.Path, ".builtin") {
		state = "builtin"
	}
	lines := bufio.NewScanner(io.LimitReader(f.Content, maxModules))
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for lines.Scan() {
		file, _, _ := strings.Cut(lines.Text(), ":")
		name, _, isModule := strings.Cut(path.Base(file), ".ko")
		if name = moduleName(name); isModule && isJudgedModule(name) {
			found[name] = state
		}
	}
	return []seawall.Fact{raw(rawModules, f.Path, found)}, lines.Err()
}

func raw(kind, path string, data map[string]string) seawall.Fact {
	return seawall.Fact{Config: &seawall.ConfigFact{Kind: kind, Path: path, Data: data}}
}

// Join implements inventory.Joiner: it replaces the raw facts by those of the package comment.
func (c *Collector) Join(ctx context.Context, m *inventory.Merged) error {
	s := newSystem(m, &c.tally)
	for _, t := range topics() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.run(t)
	}
	m.Configs = append(m.Configs, s.facts...)
	return nil
}

// topic is one family of facts.
type topic struct {
	// kinds are those it makes: not evaluated when one of its files cannot be read.
	kinds []string
	make  func(*system)
}

func topics() []topic {
	return []topic{
		{[]string{"host/user", "host/accounts"}, (*system).accounts},
		{[]string{"host/password"}, (*system).passwords},
		{[]string{"host/login-defs"}, (*system).loginDefs},
		{[]string{"host/shell"}, (*system).shell},
		{[]string{"host/pam"}, (*system).pam},
		{[]string{"host/sudo"}, (*system).sudo},
		{[]string{"host/sshd"}, (*system).sshd},
		{[]string{"host/sysctl-drift"}, (*system).sysctlDrift},
		{[]string{"host/fstab"}, (*system).fstab},
		{[]string{"host/kernel-modules"}, (*system).kernelModules},
		{[]string{"host/boot"}, (*system).boot},
		{[]string{"host/services"}, (*system).services},
		{[]string{"host/packages"}, (*system).packages},
		{[]string{"host/role"}, (*system).role},
		{[]string{"host/audit"}, (*system).audit},
		{[]string{"host/journald", "host/rsyslog", "host/coredump"}, (*system).logging},
		{[]string{"host/time"}, (*system).time},
		{[]string{"host/apt"}, (*system).apt},
		{[]string{"host/dnf"}, (*system).dnf},
		{[]string{"host/updates"}, (*system).updates},
		{[]string{"host/limits"}, (*system).limits},
		{[]string{"host/banner"}, (*system).banners},
		{[]string{"host/firewall"}, (*system).firewall},
		{[]string{"host/selinux", "host/crypto-policy"}, (*system).selinux},
		{[]string{"host/cron"}, (*system).cron},
		{[]string{"host/exports", "host/snmp", "host/mail"}, (*system).servers},
		{[]string{"host/filesystem"}, (*system).filesystem},
	}
}

// errUnread is what a topic lacks.
var errUnread = errors.New("not readable: run as root")
