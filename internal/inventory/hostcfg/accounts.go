package hostcfg

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// withoutHashes replaces the hashes of shadow(5) by what they are.
func withoutHashes(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(f) > 1 {
			f[1] = passwordState(f[1])
		}
		b.WriteString(strings.Join(f, ":") + "\n")
	}
	return b.String()
}

// passwordState says what a password field holds (crypt(5)): "none", "locked", "shadow", or the kind of hash.
func passwordState(field string) string {
	switch {
	case field == "":
		return "none"
	case field == "x":
		return "shadow"
	case strings.HasPrefix(field, "!"), strings.HasPrefix(field, "*"):
		return "locked"
	case field[0] != '$':
		return "des"
	}
	scheme, _, _ := strings.Cut(field[1:], "$")
	switch scheme {
	case "y", "gy":
		return "yescrypt"
	case "6":
		return "sha512"
	case "5":
		return "sha256"
	case "1", "md5":
		return "md5"
	case "7":
		return "scrypt"
	}
	if strings.HasPrefix(scheme, "2") {
		return "bcrypt"
	}
	return "unknown"
}

// account is a line of passwd(5).
type account struct {
	name, password, uid, gid, home, shell string
}

func parsePasswd(text string) []account {
	var accounts []account
	for _, line := range lines(text) {
		if f := strings.Split(line, ":"); len(f) >= 7 {
			accounts = append(accounts, account{f[0], passwordState(f[1]), f[2], f[3], f[5], f[6]})
		}
	}
	return accounts
}

// group is a line of group(5).
type group struct {
	name, gid string
	members   []string
}

func parseGroups(text string) []group {
	var groups []group
	for _, line := range lines(text) {
		if f := strings.Split(line, ":"); len(f) >= 4 {
			groups = append(groups, group{f[0], f[2], strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })})
		}
	}
	return groups
}

// canLogIn tells shells from programs that refuse.
func canLogIn(shell string) bool {
	for _, refuses := range []string{"nologin", "false", "sync", "halt", "shutdown"} {
		if shell[strings.LastIndexByte(shell, '/')+1:] == refuses {
			return false
		}
	}
	return true
}

func (s *system) accounts() {
	passwd, ok := s.text("etc/passwd")
	if !ok {
		return
	}
	groupText, _ := s.text("etc/group")
	accounts, groups := parsePasswd(passwd), parseGroups(groupText)
	first := number(s.merged("etc/login.defs")["UID_MIN"], 1000)
	for _, a := range accounts {
		if !strings.HasPrefix(a.name, "+") { // no account, but a place for others: see legacy
			s.emit("host/user", "etc/passwd", s.user(a, first))
		}
	}
	data := summary(accounts, groups)
	data["legacy"] = list(legacy(passwd, s.texts["etc/shadow"], groupText))
	s.emit("host/accounts", "etc/passwd", data)
}

// user is the fact of one account.
func (s *system) user(a account, first int) map[string]string {
	uid := number(a.uid, -1)
	data := map[string]string{
		"name": a.name, "uid": a.uid, "gid": a.gid, "home": a.home, "shell": a.shell,
		"login": strconv.FormatBool(canLogIn(a.shell)), "system": strconv.FormatBool(uid < first || uid == 65534),
	}
	home := strings.Trim(a.home, "/")
	if f := s.files[home]; f != nil {
		data["homeMode"], data["homeOwner"] = permissions(f.Mode), strconv.FormatUint(uint64(f.UID), 10)
	}
	var trust []string
	for _, name := range dotFiles() {
		if s.exists(home + "/" + name) {
			trust = append(trust, name)
		}
	}
	data["trustFiles"] = list(trust)
	if f := s.files[home+"/.ssh/authorized_keys"]; f != nil {
		data["authorizedKeysMode"] = permissions(f.Mode)
	}
	return data
}

// passwords are the facts of shadow(5): one an account.
func (s *system) passwords() {
	shadow, ok := s.text("etc/shadow")
	if !ok {
		return
	}
	passwd, _ := s.text("etc/passwd")
	ids := map[string]string{}
	for _, a := range parsePasswd(passwd) {
		ids[a.name] = a.uid
	}
	first := number(s.merged("etc/login.defs")["UID_MIN"], 1000)
	for _, line := range lines(shadow) {
		f := strings.Split(line, ":")
		if len(f) < 8 {
			continue
		}
		uid := number(ids[f[0]], first)
		data := map[string]string{"name": f[0], "password": f[1], "system": strconv.FormatBool(uid < first || uid == 65534)}
		for i, key := range map[int]string{2: "changed", 3: "minDays", 4: "maxDays", 5: "warnDays", 6: "inactiveDays", 7: "expires"} {
			if f[i] != "" {
				data[key] = f[i]
			}
		}
		s.emit("host/password", "etc/shadow", data)
	}
}

// dotFiles are files in a home directory that let others in, or hold passwords.
func dotFiles() []string { return []string{".rhosts", ".shosts", ".netrc", ".forward"} }

// summary is what only all accounts together show.
func summary(accounts []account, groups []group) map[string]string {
	data := map[string]string{
		"duplicateNames":  twice(accounts, func(a account) string { return a.name }),
		"duplicateUIDs":   twice(accounts, func(a account) string { return a.uid }),
		"duplicateGroups": twice(groups, func(g group) string { return g.name }),
		"duplicateGIDs":   twice(groups, func(g group) string { return g.gid }),
	}
	known := map[string]bool{}
	for _, g := range groups {
		known[g.gid] = true
		switch g.name {
		case "shadow":
			data["shadowMembers"] = list(g.members)
		case "docker":
			data["dockerMembers"] = list(g.members)
		case "lxd", "incus-admin":
			data["containerAdmins"] = list(g.members)
		case "root":
			data["rootGroupMembers"] = list(slices.DeleteFunc(g.members, func(m string) bool { return m == "root" }))
		}
	}
	var superusers, groupless, unshadowed, zeroGroup []string
	for _, a := range accounts {
		if a.uid == "0" && a.name != "root" {
			superusers = append(superusers, a.name)
		}
		if a.gid == "0" && a.name != "root" && a.name != "sync" && a.name != "shutdown" && a.name != "halt" && a.name != "operator" {
			zeroGroup = append(zeroGroup, a.name)
		}
		if len(groups) > 0 && !known[a.gid] {
			groupless = append(groupless, a.name)
		}
		if a.password != "shadow" && a.password != "locked" {
			unshadowed = append(unshadowed, a.name)
		}
	}
	for key, names := range map[string][]string{
		"superusers": superusers, "unknownGroups": groupless, "unshadowed": unshadowed, "zeroGroup": zeroGroup,
	} {
		data[key] = list(names)
	}
	return data
}

// legacy lists the entries of passwd, shadow and group that stand for those of a network directory.
func legacy(texts ...string) (names []string) {
	for _, text := range texts {
		for _, line := range lines(text) {
			if line[0] == '+' {
				name, _, _ := strings.Cut(line, ":")
				names = append(names, name)
			}
		}
	}
	return names
}

// twice lists the keys that several items have.
func twice[T any](items []T, key func(T) string) string {
	seen := map[string]int{}
	for _, item := range items {
		seen[key(item)]++
	}
	maps.DeleteFunc(seen, func(_ string, n int) bool { return n < 2 })
	return list(slices.Sorted(maps.Keys(seen)))
}

// loginDefs are the settings of login.defs(5) with the defaults of shadow.
func (s *system) loginDefs() {
	if !s.exists("etc/login.defs") {
		return
	}
	data := map[string]string{"PASS_MAX_DAYS": "99999", "PASS_MIN_DAYS": "0", "PASS_WARN_AGE": "7", "UMASK": "022", "ENCRYPT_METHOD": "DES", "INACTIVE": "-1"}
	if text, ok := s.text("etc/login.defs"); ok {
		settings(text, data)
	}
	if text, ok := s.text("etc/default/useradd"); ok {
		settings(text, data)
	}
	s.emit("host/login-defs", "etc/login.defs", data)
}

// sudo reads sudoers(5).
func (s *system) sudo() {
	main, ok := s.text("etc/sudoers")
	if !ok {
		return
	}
	texts := []string{main}
	for _, p := range s.in("etc/sudoers.d") {
		if name := p[strings.LastIndexByte(p, '/')+1:]; !strings.Contains(name, ".") && !strings.HasSuffix(name, "~") {
			texts = append(texts, s.texts[p])
		}
	}
	data := map[string]string{"use_pty": "true"} // the default since sudo 1.9.14; before, Debian's and RHEL's files set it
	if v := s.installed["sudo"]; v != "" && olderSudo(v) {
		data["use_pty"] = "false"
	}
	var nopasswd, noauth, everyone []string
	for _, text := range texts {
		for _, line := range lines(text) {
			if rest, ok := strings.CutPrefix(line, "Defaults"); ok {
				sudoDefaults(rest, data)
				if strings.Contains(rest, "!authenticate") {
					noauth = append(noauth, line)
				}
				continue
			}
			user, rule, isRule := strings.Cut(line, "=")
			who := strings.Fields(user)
			if !isRule || len(who) < 2 || strings.Contains(who[0], "_Alias") {
				continue
			}
			if strings.Contains(rule, "NOPASSWD:") {
				nopasswd = append(nopasswd, line)
			}
			if who[0] == "ALL" {
				everyone = append(everyone, line)
			}
		}
	}
	data["nopasswd"], data["noauthenticate"], data["everyone"] = list(nopasswd), list(noauth), list(everyone)
	s.emit("host/sudo", "etc/sudoers", data)
}

// olderSudo tells versions before 1.9.14.
func olderSudo(version string) bool {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	for i, limit := range []int{1, 9, 14} {
		if i >= len(parts) {
			return false
		}
		if n := number(parts[i], limit); n != limit {
			return n < limit
		}
	}
	return false
}

// sudoDefaults reads the options of a Defaults line; those for single users, hosts or commands count, too.
func sudoDefaults(rest string, data map[string]string) {
	if i := strings.IndexAny(rest, " \t"); i >= 0 {
		rest = rest[i:]
	}
	for option := range strings.SplitSeq(rest, ",") {
		name, value, has := strings.Cut(strings.TrimSpace(option), "=")
		name = strings.TrimSpace(strings.TrimSuffix(name, "+"))
		switch off := strings.HasPrefix(name, "!"); {
		case has:
			data[name] = strings.Trim(strings.TrimSpace(value), `"`)
		case off:
			data[name[1:]] = "false"
		case name != "":
			data[name] = "true"
		}
	}
}

// pam reads the stacks that logins share: Debian's common-*, RHEL's system-auth and password-auth, and su's own.
func (s *system) pam() {
	data := map[string]string{}
	read := false
	for _, name := range []string{"common-auth", "common-account", "common-password", "common-session", "system-auth", "password-auth"} {
		if text, ok := s.text("etc/pam.d/" + name); ok {
			read = true
			pamStack(text, "", data)
		}
	}
	if text, ok := s.text("etc/pam.d/su"); ok {
		read = true
		pamStack(text, "su ", data)
	}
	if !read {
		return
	}
	for file, prefix := range map[string]string{"pwquality.conf": "pwquality.", "faillock.conf": "faillock.", "pwhistory.conf": "pwhistory."} {
		for key, value := range s.merged("etc/security/"+file, "etc/security/"+file+".d") {
			data[prefix+key] = value
		}
	}
	modules := map[string]string{"pam_pwquality": "pwquality.", "pam_faillock": "faillock.", "pam_pwhistory": "pwhistory.", "pam_unix": "unix."}
	for key, args := range data {
		kind, module, _ := strings.Cut(key, " ")
		prefix := modules[module]
		if prefix == "" || kind != "password" && kind != "auth" {
			continue
		}
		for _, arg := range strings.Fields(args) { // arguments go before files
			name, value, _ := strings.Cut(arg, "=")
			data[prefix+name] = value
		}
	}
	s.emit("host/pam", "etc/pam.d", data)
}

// pamStack notes "type module" -> arguments (pam.conf(5)).
func pamStack(text, prefix string, data map[string]string) {
	for _, line := range lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		i := 1
		for strings.HasPrefix(f[1], "[") && i < len(f)-1 && !strings.HasSuffix(f[i], "]") {
			i++
		}
		if i++; i >= len(f) {
			continue
		}
		module := strings.TrimSuffix(f[i][strings.LastIndexByte(f[i], '/')+1:], ".so")
		key := prefix + strings.TrimPrefix(f[0], "-") + " " + module
		data[key] = strings.TrimSpace(data[key] + " " + strings.Join(f[i+1:], " "))
	}
}
