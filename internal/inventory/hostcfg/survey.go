package hostcfg

import (
	"cmp"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// sensitive are the files and directories whose owner and mode controls ask for,
// each a kind of its own: host/file/etc/shadow.
func sensitive() []string {
	return []string{
		"etc/passwd", "etc/passwd-", "etc/group", "etc/group-", "etc/shadow", "etc/shadow-", "etc/gshadow", "etc/gshadow-",
		"etc/sudoers", "etc/sudoers.d", "etc/ssh/sshd_config", "etc/crontab", "etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly",
		"etc/cron.monthly", "etc/cron.d", "etc/cron.allow", "etc/at.allow", "etc/motd", "etc/issue", "etc/issue.net",
		"boot/grub/grub.cfg", "boot/grub2/grub.cfg", "boot/grub2/user.cfg", "etc/hosts.allow", "etc/hosts.deny", "etc/shells",
		"etc/security/opasswd", "etc/login.defs", "etc/fstab", "etc/audit", "etc/audit/auditd.conf", "etc/systemd/system", "root",
		"var/log", "var/log/audit", "var/log/btmp", "etc/sysctl.conf", "etc/exports", "etc/pam.d", "etc/rsyslog.conf", "etc/ssl/private",
	}
}

// stated are further files whose being there matters.
func isStated(p string) bool {
	switch p {
	case "etc/audit/audit.rules", "etc/cron.deny", "etc/at.deny", "usr/sbin/sshd", "etc/systemd/journald.conf", "etc/systemd/coredump.conf",
		"etc/security/limits.conf", "etc/apt/sources.list", "var/log/journal":
		return true
	}
	return false
}

// tallyMax is how many paths of one problem are kept.
const tallyMax = maxListed + 1

// tally is what is counted over a whole tree. List is called one at a time.
type tally struct {
	sensitive       map[string]bool
	writableFiles   problem
	unstickyDirs    problem
	looseSystem     problem
	looseLogs       problem
	privateKeys     problem
	dotFiles        problem
	owners, groups  map[uint32]string // the first path of each
	last            seawall.Ownership
	lists           int64 // when the package lists were changed, in seconds since 1970
	newestKernel    string
	newestKernelAge int64
}

// problem counts paths and keeps the first.
type problem struct {
	count int
	first []string
}

func (p *problem) add(path string) {
	if p.count++; len(p.first) < tallyMax {
		p.first = append(p.first, "/"+path)
	}
}

func (p *problem) String() string {
	shown := p.first[:min(len(p.first), maxListed)]
	if more := p.count - len(shown); more > 0 {
		return strings.Join(shown, ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(shown, ", ")
}

func newTally() tally {
	t := tally{sensitive: map[string]bool{}, owners: map[uint32]string{}, groups: map[uint32]string{}}
	for _, p := range sensitive() {
		t.sensitive[p] = true
	}
	return t
}

// maxOwners bounds the distinct owners kept.
const maxOwners = 4096

// List implements inventory.Lister.
func (c *Collector) List(path string, info fs.FileInfo) *seawall.Fact {
	mode := info.Mode()
	if mode&fs.ModeSymlink == 0 {
		c.tally.note(path, info)
	}
	if !configures(path) {
		return nil
	}
	if u := unit(path, mode); u != nil {
		return &seawall.Fact{Config: &seawall.ConfigFact{Kind: rawUnit, Path: path, Data: u}}
	}
	if c.tally.sensitive[path] || isHome(path) || isHostKey(path) || isStated(path) || mode.IsRegular() && wanted(path) {
		if f := seawall.StatFact(path, info); f != nil {
			return &seawall.Fact{File: f}
		}
	}
	return nil
}

// configures tells the places that may hold anything of interest from the
// great mass of a tree: programs, documentation, data.
func configures(p string) bool {
	top, rest, _ := strings.Cut(p, "/")
	switch top {
	case "etc", "boot", "root", "home", "lib", "run":
		return true
	case "var":
		return strings.HasPrefix(rest, "log")
	case "usr":
		return strings.HasPrefix(rest, "lib/s") || strings.HasPrefix(rest, "lib/mod") || strings.HasPrefix(rest, "sbin/sshd") ||
			strings.HasPrefix(rest, "etc/") || strings.HasPrefix(rest, "local/lib/sysctl.d/")
	}
	return false
}

// isHome tells home directories and the files in them that let others in.
func isHome(p string) bool {
	rest, ok := strings.CutPrefix(p, "home/")
	if ok {
		_, rest, _ = strings.Cut(rest, "/")
	} else if rest, ok = strings.CutPrefix(p, "root/"); !ok {
		return false
	}
	return rest == "" || rest == ".ssh/authorized_keys" || slices.Contains(dotFiles(), rest)
}

// isHostKey tells the keys of an SSH server.
func isHostKey(p string) bool {
	name, ok := strings.CutPrefix(p, "etc/ssh/ssh_host_")
	return ok && (strings.HasSuffix(name, "_key") || strings.HasSuffix(name, "_key.pub"))
}

// note counts what is wrong with a file or directory.
func (t *tally) note(p string, info fs.FileInfo) {
	mode := info.Mode()
	owner, _ := info.Sys().(seawall.Ownership)
	if owner != t.last || len(t.owners) == 0 {
		t.last = owner
		remember(t.owners, owner.UID, p)
		remember(t.groups, owner.GID, p)
	}
	file, writable := mode.IsRegular(), mode&0o002 != 0
	switch {
	case mode.IsDir() && writable && mode&fs.ModeSticky == 0:
		t.unstickyDirs.add(p)
	case file && writable:
		t.writableFiles.add(p)
	}
	switch top, _, _ := strings.Cut(p, "/"); {
	case (mode&0o022 != 0 || owner.UID != 0) && mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) == 0 && isSystemFile(p):
		t.looseSystem.add(p)
	case file && mode&0o077 != 0 && isUserKey(p):
		t.privateKeys.add(p)
	case mode&0o022 != 0 && file && (top == "home" || top == "root") && isDotFile(p):
		t.dotFiles.add(p)
	case top == "var":
		t.noteVar(p, file, info)
	case top == "boot" && strings.HasPrefix(p, "boot/vmlinuz-") && !strings.Contains(p, "rescue"):
		if at := info.ModTime().UnixNano(); t.newestKernel == "" || at > t.newestKernelAge {
			t.newestKernel, t.newestKernelAge = strings.TrimPrefix(p, "boot/vmlinuz-"), at
		}
	}
}

// remember keeps the first path of an owner.
func remember(first map[uint32]string, id uint32, p string) {
	if _, known := first[id]; !known && len(first) < maxOwners {
		first[id] = p
	}
}

// noteVar looks at logs and at when the lists of packages were fetched.
func (t *tally) noteVar(p string, file bool, info fs.FileInfo) {
	switch {
	case file && info.Mode()&0o137 != 0 && strings.HasPrefix(p, "var/log/") && !isPublicLog(p):
		t.looseLogs.add(p)
	case p == "var/lib/apt/lists" || p == "var/cache/dnf" || p == "var/cache/yum":
		t.lists = max(t.lists, info.ModTime().Unix())
	}
}

// isSystemFile tells programs and libraries of the system.
func isSystemFile(p string) bool {
	rest := strings.TrimPrefix(p, "usr/")
	rest = strings.TrimPrefix(rest, "local/")
	top, _, nested := strings.Cut(rest, "/")
	switch top {
	case "bin", "sbin":
		return true
	case "lib", "lib64", "lib32":
		return nested && (strings.Contains(p, ".so") || strings.HasPrefix(rest, "lib/systemd/"))
	}
	return false
}

// isPublicLog tells logs that programs of all users read.
func isPublicLog(p string) bool {
	switch path.Base(p) {
	case "wtmp", "btmp", "lastlog", "faillog", "dpkg.log", "alternatives.log", "fontconfig.log", "history.log", "eipp.log.xz", "bootstrap.log":
		return true
	}
	return strings.HasPrefix(p, "var/log/journal/") || strings.HasPrefix(p, "var/log/pods/") || strings.HasPrefix(p, "var/log/containers/")
}

// isDotFile tells the dot files right in a home directory.
func isDotFile(p string) bool {
	rest, ok := strings.CutPrefix(p, "root/.")
	if !ok {
		_, rest, _ = strings.Cut(strings.TrimPrefix(p, "home/"), "/")
		rest, ok = strings.CutPrefix(rest, ".")
	}
	return ok && !strings.Contains(rest, "/")
}

// isUserKey tells private keys of users by where they lie.
func isUserKey(p string) bool {
	name := p[strings.LastIndexByte(p, '/')+1:]
	return strings.HasPrefix(name, "id_") && strings.HasSuffix(p[:len(p)-len(name)], "/.ssh/") && !strings.HasSuffix(name, ".pub")
}

// unit tells what the being of a file says about a unit of systemd, or of a
// start script: nil when nothing. Links in place of units are Collect's.
func unit(p string, mode fs.FileMode) map[string]string {
	if mode.IsDir() || !strings.HasPrefix(p, "etc/") && !strings.Contains(p, "lib/systemd/system/") {
		return nil
	}
	dir, name := path.Split(p)
	if isStartScript(dir, name) {
		return map[string]string{"unit": name[3:] + ".service", "state": "enabled"}
	}
	rest, etc := strings.CutPrefix(dir, "etc/systemd/system/")
	if !etc {
		var ok bool
		if rest, ok = strings.CutPrefix(strings.TrimPrefix(dir, "usr/"), "lib/systemd/system/"); !ok {
			return nil
		}
	}
	switch path.Ext(name) {
	case ".service", ".socket", ".timer", ".target", ".mount", ".path":
	default:
		return nil
	}
	switch {
	case strings.HasSuffix(rest, ".wants/"), strings.HasSuffix(rest, ".requires/"):
		return map[string]string{"unit": name, "state": "enabled"}
	case rest != "" || etc && mode&fs.ModeSymlink != 0:
		return nil
	}
	return map[string]string{"unit": name, "state": "disabled"}
}

// isStartScript tells the links that start a service of System V in the multi-user levels.
func isStartScript(dir, name string) bool {
	level, ok := strings.CutPrefix(dir, "etc/rc")
	return ok && len(name) > 3 && name[0] == 'S' && (level == "2.d/" || level == "3.d/" || level == "4.d/" || level == "5.d/")
}

// filesystem emits what was counted, and the owner and mode of each sensitive file.
func (s *system) filesystem() {
	passwd, ok := s.text("etc/passwd")
	groupText, _ := s.text("etc/group")
	users, groups := map[string]string{}, map[string]string{}
	for _, a := range parsePasswd(passwd) {
		users[a.uid] = cmp.Or(users[a.uid], a.name)
	}
	for _, g := range parseGroups(groupText) {
		groups[g.gid] = cmp.Or(groups[g.gid], g.name)
	}
	t := s.tally
	data := map[string]string{
		"worldWritableFiles": t.writableFiles.String(), "worldWritableDirectories": t.unstickyDirs.String(),
		"looseSystemFiles": t.looseSystem.String(), "looseLogs": t.looseLogs.String(), "openPrivateKeys": t.privateKeys.String(),
		"looseDotFiles": t.dotFiles.String(),
	}
	if ok {
		data["unowned"] = unowned(t.owners, users)
		data["ungrouped"] = unowned(t.groups, groups)
	}
	s.emit("host/filesystem", "/", data)
	for _, p := range slices.Sorted(maps.Keys(s.files)) {
		kind := "host/file/" + p
		switch {
		case isHostKey(p) && strings.HasSuffix(p, ".pub"):
			kind = "host/file/ssh-public-key"
		case isHostKey(p):
			kind = "host/file/ssh-private-key"
		case !t.sensitive[p]:
			continue
		}
		f := s.files[p]
		uid, gid := strconv.FormatUint(uint64(f.UID), 10), strconv.FormatUint(uint64(f.GID), 10)
		s.emit(kind, p, map[string]string{
			"path": p, "kind": f.Kind, "mode": permissions(f.Mode), "octal": strconv.FormatUint(uint64(f.Mode), 8),
			"uid": uid, "gid": gid, "user": cmp.Or(users[uid], uid), "group": cmp.Or(groups[gid], gid),
		})
	}
}

// unowned lists the owners without a name, each with the first path it has.
func unowned(seen map[uint32]string, named map[string]string) string {
	var found []string
	for id, p := range seen {
		if number := strconv.FormatUint(uint64(id), 10); named[number] == "" {
			found = append(found, "/"+p+" ("+number+")")
		}
	}
	return list(sorted(found))
}
