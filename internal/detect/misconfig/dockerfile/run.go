package dockerfile

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

var userInfo = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[a-z][a-z0-9+]*://[^\s/@:"']*:([^\s/@"']+)@`)
})

// withoutPassword leaves out what stands between "://" and "@".
func withoutPassword(s string) string {
	return userInfo().ReplaceAllStringFunc(s, func(m string) string {
		scheme, _, _ := strings.Cut(m, "://")
		return scheme + "://…@"
	})
}

// run judges a build step.
func (l *linter) run(ins *instruction) {
	if ins.flag("security") == "insecure" {
		l.found("SW-DF-014", ins.line, "--security=insecure")
	}
	if ins.flag("network") == "host" {
		l.found("SW-DF-014", ins.line, "--network=host")
	}
	cs := runCommands(ins)
	for i := range cs {
		l.command(cs, i)
	}
	st := step{linter: l, cs: cs, mounts: strings.Join(ins.flags, " ")}
	st.packages()
	l.passwords(ins, cs)
}

func (l *linter) passwords(ins *instruction, cs []command) {
	for _, c := range cs {
		for _, a := range c.words {
			if m := userInfo().FindStringSubmatch(a); m != nil && !strings.HasPrefix(m[1], "$") {
				l.found("SW-DF-024", c.line, withoutPassword(m[0]))
			}
		}
		switch c.name() {
		case "chpasswd":
			if !c.has("-e", "--encrypted") && c.piped {
				l.found("SW-DF-025", c.line, "chpasswd")
			}
		case "useradd", "usermod", "adduser":
			if i := slices.IndexFunc(c.words, func(w string) bool { return w == "-p" || w == "--password" }); i >= 0 && i+1 < len(c.words) && strings.Trim(c.words[i+1], "*!") != "" {
				l.found("SW-DF-025", c.line, c.name()+" "+c.words[i])
			}
		}
		if slices.ContainsFunc(c.words, func(w string) bool { return strings.Contains(w, "NOPASSWD") && !strings.HasPrefix(w, "#") }) && !strings.Contains(c.name(), "grep") {
			l.found("SW-DF-046", c.line, "NOPASSWD")
		}
	}
}

func shell(name string) bool {
	switch name {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "python", "python3", "perl", "ruby", "node", "php":
		return true
	}
	return false
}

func downloader(name string) bool { return name == "curl" || name == "wget" }

// command judges one command, with those before it in its pipeline.
func (l *linter) command(cs []command, i int) {
	c := &cs[i]
	name := c.name()
	switch name {
	case "sudo":
		l.found("SW-DF-031", c.line, "sudo")
		inner := command{words: slices.DeleteFunc(slices.Clone(c.args()), func(w string) bool { return strings.HasPrefix(w, "-") && w != "-y" }), line: c.line, piped: c.piped}
		if len(inner.words) > 0 {
			cs[i] = inner // what sudo runs is judged as itself, also by the rules on packages
			l.command(cs, i)
		}
		return
	case "chmod":
		l.chmod(c)
	case "curl", "wget":
		l.download(c)
	case "git":
		if slices.ContainsFunc(c.words, func(w string) bool { return strings.EqualFold(w, "http.sslVerify=false") }) || c.has("http.sslVerify") && c.has("false") {
			l.found("SW-DF-041", c.line, "git http.sslVerify=false")
		}
	case "pip", "pip3":
		if slices.ContainsFunc(c.words, func(w string) bool { return strings.HasPrefix(w, "--trusted-host") }) {
			l.found("SW-DF-042", c.line, name+" --trusted-host")
		}
	case "npm", "yarn", "pnpm":
		l.npm(c)
	case "apt":
		l.found("SW-DF-047", c.line, "apt "+strings.Join(c.args()[:min(1, len(c.args()))], " "))
	}
	l.pipe(cs, i)
}

// pipe finds a download that is run at once: curl | sh, sh -c "$(curl …)", bash <(curl …).
func (l *linter) pipe(cs []command, i int) {
	c := &cs[i]
	if c.piped && shell(c.name()) && !runsOwnScript(c) {
		for j := i - 1; j >= 0; j-- {
			if downloader(cs[j].name()) {
				l.found("SW-DF-030", cs[j].line, cs[j].name()+" … | "+c.name())
				return
			}
			if !cs[j].piped {
				break
			}
		}
	}
	if c.substituted && downloader(c.name()) && i > 0 && (shell(cs[i-1].name()) && cs[i-1].has("-c") || cs[i-1].name() == "eval") {
		l.found("SW-DF-030", c.line, cs[i-1].name()+" $("+c.name()+" …)")
	}
	if downloader(c.name()) && i > 0 && shell(cs[i-1].name()) && cs[i-1].words[len(cs[i-1].words)-1] == "<" {
		l.found("SW-DF-030", c.line, cs[i-1].name()+" <("+c.name()+" …)")
	}
}

// runsOwnScript: python -c '…' and perl -ne '…' read the download as data.
func runsOwnScript(c *command) bool {
	if c.name() == "sh" || strings.HasSuffix(c.name(), "sh") {
		return c.has("-c")
	}
	return slices.ContainsFunc(c.args(), func(a string) bool { return a != "-" && a != "" })
}

func (l *linter) chmod(c *command) {
	for _, a := range c.args() {
		if strings.HasPrefix(a, "-") {
			continue
		}
		octal := strings.TrimLeft(a, "0")
		switch {
		case octalMode(octal) && len(octal) == 4 && (octal[0]-'0')&6 != 0:
			l.found("SW-DF-039", c.line, "chmod "+a)
		case octalMode(octal) && len(octal) == 3 && (octal[2]-'0')&2 != 0:
			l.found("SW-DF-038", c.line, "chmod "+a)
		case symbolicMode(a, "u+s", "g+s", "ug+s", "+s", "a+s"):
			l.found("SW-DF-039", c.line, "chmod "+a)
		case symbolicMode(a, "a+w", "o+w", "a+rw", "a+rwx", "o+rw", "o+rwx", "ugo+w", "ugo+rwx", "a=rwx", "go+w", "a+rwX"):
			l.found("SW-DF-038", c.line, "chmod "+a)
		}
		return // the first operand is the mode
	}
}

func octalMode(s string) bool { return s != "" && strings.Trim(s, "01234567") == "" }

func symbolicMode(a string, modes ...string) bool {
	for part := range strings.SplitSeq(a, ",") {
		if slices.Contains(modes, part) {
			return true
		}
	}
	return false
}

// local says whether a URL stays on the machine.
func local(url string) bool {
	_, host, _ := strings.Cut(url, "://")
	return strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "[::1]")
}

func (l *linter) download(c *command) {
	toLocal := false
	for _, a := range c.args() {
		if strings.HasPrefix(a, "http://") {
			if local(a) {
				toLocal = true
			} else {
				l.found("SW-DF-044", c.line, c.name()+" "+withoutPassword(a))
			}
		}
	}
	insecure := c.has("--insecure", "--no-check-certificate") ||
		c.name() == "curl" && slices.ContainsFunc(c.args(), func(a string) bool {
			return len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Trim(a[1:], "fsSLkOJgvi46") == "" && strings.Contains(a, "k")
		})
	if insecure && !toLocal {
		l.found("SW-DF-041", c.line, c.name()+" without certificate checks")
	}
}

func (l *linter) npm(c *command) {
	for i, a := range c.args() {
		switch {
		case strings.HasPrefix(a, "--unsafe-perm") && !strings.HasSuffix(a, "=false"),
			a == "unsafe-perm" && i+1 < len(c.args()) && c.args()[i+1] == "true", a == "unsafe-perm=true":
			l.found("SW-DF-043", c.line, c.name()+" unsafe-perm")
		case a == "strict-ssl" && i+1 < len(c.args()) && c.args()[i+1] == "false", a == "strict-ssl=false", a == "--strict-ssl=false", a == "--no-strict-ssl":
			l.found("SW-DF-042", c.line, c.name()+" strict-ssl=false")
		}
	}
}

// step judges what one RUN does with packages: what matters is the whole step.
type step struct {
	*linter
	cs     []command
	mounts string
}

// verb returns the first argument that is no option, and the operands after it.
func verb(c *command) (string, []string) {
	var operands []string
	args := c.args()
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-o" || a == "-t" || a == "--target-release" || a == "--repository" || a == "-X" || a == "--virtual" || a == "--root":
			i++ // its value
		case strings.HasPrefix(a, "-"):
		case strings.ContainsAny(a, "<>"):
		default:
			operands = append(operands, a)
		}
	}
	if len(operands) == 0 {
		return "", nil
	}
	return operands[0], operands[1:]
}

func (s *step) packages() {
	removed := s.removes()
	updated, installed := (*command)(nil), false
	for i := range s.cs {
		c := &s.cs[i]
		v, operands := verb(c)
		switch c.name() {
		case "apt-get", "apt", "aptitude":
			s.apt(c, v, removed)
			switch v {
			case "update":
				updated = c
			case "install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep", "source":
				installed = true
			}
		case "apk":
			s.apk(c, v, removed)
		case "yum", "dnf", "microdnf", "tdnf", "zypper":
			s.rpm(c, v, removed)
		}
		s.servers(c, v, operands)
		s.unpinned(c, v, operands)
	}
	if updated != nil && !installed {
		// A script called in the same step may install.
		if !slices.ContainsFunc(s.cs, func(c command) bool { return strings.HasSuffix(c.words[0], ".sh") || c.name() == "xargs" }) {
			s.found("SW-DF-032", updated.line, updated.name()+" update")
		}
	}
}

// removes returns what the step deletes, and "clean" commands.
func (s *step) removes() string {
	var b strings.Builder
	for _, c := range s.cs {
		if c.name() == "rm" || c.name() == "find" || c.has("clean", "cc") {
			b.WriteString(strings.Join(c.words, " ") + "\n")
		}
	}
	return b.String() + s.mounts
}

func (s *step) apt(c *command, v, removed string) {
	for _, a := range c.args() {
		switch {
		case a == "--allow-unauthenticated", a == "--force-yes", strings.HasPrefix(a, "--allow-insecure-repositories"),
			strings.Contains(a, "AllowUnauthenticated=true"), strings.Contains(a, "AllowInsecureRepositories=true"), strings.Contains(a, "Verify-Peer=false"):
			s.found("SW-DF-040", c.line, c.name()+" "+a)
		}
	}
	switch v {
	case "upgrade", "dist-upgrade", "full-upgrade":
		s.found("SW-DF-033", c.line, c.name()+" "+v)
	case "install":
		if !slices.ContainsFunc(c.args(), func(a string) bool {
			return a == "--no-install-recommends" || strings.Contains(a, "Install-Recommends=")
		}) {
			s.found("SW-DF-034", c.line, c.name()+" install")
		}
		if !slices.ContainsFunc(c.args(), assumesYes) {
			s.found("SW-DF-036", c.line, c.name()+" install")
		}
		if !strings.Contains(removed, "/var/lib/apt") && !strings.Contains(removed, "type=cache") {
			s.found("SW-DF-035", c.line, "/var/lib/apt/lists")
		}
	}
}

func assumesYes(a string) bool {
	return a == "--yes" || a == "--assume-yes" || a == "--assumeyes" || a == "--force-yes" || a == "--non-interactive" || strings.Contains(a, "Assume-Yes=") ||
		strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && (strings.Contains(a, "y") || strings.Contains(a, "qq") || a == "-n")
}

func (s *step) apk(c *command, v, removed string) {
	if c.has("--allow-untrusted") {
		s.found("SW-DF-040", c.line, "apk --allow-untrusted")
	}
	switch v {
	case "upgrade":
		s.found("SW-DF-033", c.line, "apk upgrade")
	case "add":
		if !c.has("--no-cache") && !strings.Contains(removed, "/var/cache/apk") && !strings.Contains(removed, "type=cache") {
			s.found("SW-DF-035", c.line, "/var/cache/apk")
		}
	}
}

func (s *step) rpm(c *command, v, removed string) {
	if c.has("--nogpgcheck", "--no-gpg-checks", "--no-gpg-check", "--allow-unsigned-rpm") {
		s.found("SW-DF-040", c.line, c.name()+" without signature checks")
	}
	switch v {
	case "update", "upgrade", "dup", "dist-upgrade":
		if _, operands := verb(c); len(operands) == 0 {
			s.found("SW-DF-033", c.line, c.name()+" "+v)
		}
	case "install", "in":
		if !slices.ContainsFunc(c.args(), assumesYes) {
			s.found("SW-DF-036", c.line, c.name()+" install")
		}
		if !strings.Contains(removed, "clean") && !strings.Contains(removed, "/var/cache") && !strings.Contains(removed, "type=cache") {
			s.found("SW-DF-035", c.line, "/var/cache/"+c.name())
		}
	}
}

// servers finds an installed SSH server or sudo.
func (s *step) servers(c *command, v string, operands []string) {
	switch c.name() {
	case "apt-get", "apt", "apk", "yum", "dnf", "microdnf", "zypper":
	default:
		return
	}
	if v != "install" && v != "add" && v != "in" {
		return
	}
	for _, p := range operands {
		p, _, _ = strings.Cut(p, "=")
		switch p {
		case "openssh-server", "dropbear": // apk's openssh and apt's ssh are mostly wanted for their client
			s.found("SW-DF-045", c.line, c.name()+" "+v+" "+p)
		case "sudo":
			s.found("SW-DF-031", c.line, c.name()+" "+v+" sudo")
		}
	}
}

// unpinned finds language packages without a version. Packages of distributions
// are not judged: their repositories drop old versions, so that pins break builds.
func (s *step) unpinned(c *command, v string, operands []string) {
	var pinned func(string) bool
	switch c.name() {
	case "pip", "pip3":
		if v != "install" || c.has("-r", "--requirement", "-c", "--constraint", "-e", "--editable") {
			return
		}
		pinned = func(p string) bool { return strings.ContainsAny(p, "=<>~@") || isPath(p) || toolOfPip(p) }
	case "npm", "pnpm":
		if v != "install" && v != "i" && v != "add" {
			return
		}
		pinned = func(p string) bool {
			return strings.LastIndexByte(p, '@') > 0 && !strings.HasSuffix(p, "@latest") || isPath(p)
		}
	case "gem":
		if v != "install" || c.has("-v", "--version") {
			return
		}
		pinned = func(p string) bool { return strings.Contains(p, ":") || isPath(p) }
	case "go":
		if v != "install" {
			return
		}
		pinned = func(p string) bool { return !strings.HasSuffix(p, "@latest") }
	default:
		return
	}
	for _, p := range operands {
		if !strings.Contains(p, "$") && !pinned(p) {
			s.found("SW-DF-037", c.line, c.name()+" "+v+" "+withoutPassword(p))
		}
	}
}

func isPath(p string) bool { return strings.ContainsAny(p, "/.") && !strings.HasPrefix(p, "@") }

// toolOfPip: upgraded in nearly every file, and part of no program.
func toolOfPip(p string) bool { return p == "pip" || p == "setuptools" || p == "wheel" }
