package hostcfg

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// packages lists the operating system's packages.
func (s *system) packages() {
	if len(s.installed) == 0 {
		s.emit("host/unread", "", map[string]string{"resource": "host/packages", "reason": "no package database was read"})
		return
	}
	s.emit("host/packages", s.packageDatabase, s.installed)
}

// role says whether the host runs containers: it then forwards packets and has overlay mounts.
func (s *system) role() {
	containers := false
	for _, name := range []string{"kubelet", "containerd", "dockerd", "crio", "k3s", "k3s-server", "rke2"} {
		containers = containers || s.running[name] || s.enabled(name+".service")
	}
	s.emit("host/role", "", map[string]string{"containers": strconv.FormatBool(containers || s.enabled("docker.service"))})
}

// apt reads apt.conf(5) and sources.list(5).
func (s *system) apt() {
	if !s.has("apt") && !s.exists("etc/apt/sources.list") {
		return
	}
	options := map[string]string{}
	for _, p := range s.in("etc/apt/apt.conf.d") {
		aptOptions(s.texts[p], options)
	}
	if text, ok := s.text("etc/apt/apt.conf"); ok {
		aptOptions(text, options)
	}
	data := map[string]string{}
	var insecure []string
	for key, value := range options {
		on := value == "1" || value == "true" || value == "yes"
		switch {
		case on && (strings.HasSuffix(key, "allowunauthenticated") || strings.HasSuffix(key, "allowinsecurerepositories") ||
			strings.HasSuffix(key, "allowweakrepositories") || strings.HasSuffix(key, "allowdowngradetoinsecurerepositories")),
			!on && (strings.HasSuffix(key, "verify-peer") || strings.HasSuffix(key, "verify-host")):
			insecure = append(insecure, key+" "+value)
		}
	}
	data["insecureOptions"] = list(sorted(insecure))
	data["unattendedUpgrade"] = options["apt::periodic::unattended-upgrade"]
	data["updateLists"] = options["apt::periodic::update-package-lists"]
	s.aptSources(data)
	s.emit("host/apt", "etc/apt", data)
}

// aptOptions reads `A::B "value";` and `A { B "value"; };` into lower-case a::b. The last wins.
func aptOptions(text string, options map[string]string) {
	var scope []string
	var words []string
	for _, token := range aptTokens(text) {
		switch token {
		case "{":
			scope, words = append(scope, strings.Join(words, "::")), nil
		case "}":
			if len(scope) > 0 {
				scope = scope[:len(scope)-1]
			}
			words = nil
		case ";":
			if len(words) > 1 {
				key := strings.Join(append(append([]string{}, scope...), words[0]), "::")
				options[strings.ToLower(strings.TrimPrefix(key, "::"))] = words[1]
			}
			words = nil
		default:
			words = append(words, token)
		}
	}
}

// aptTokens splits a text into words, braces and semicolons.
func aptTokens(text string) []string {
	var tokens []string
	for len(text) > 0 {
		c := text[0]
		end := 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			text = text[1:]
			continue
		case c == '#' || strings.HasPrefix(text, "//"):
			end = strings.IndexByte(text, '\n')
		case strings.HasPrefix(text, "/*"):
			if end = strings.Index(text, "*/"); end >= 0 {
				end += 2
			}
		case c == '"':
			if end = strings.IndexByte(text[1:], '"'); end < 0 {
				return tokens
			}
			tokens = append(tokens, text[1:end+1])
			end += 2
		case c == '{' || c == '}' || c == ';':
			tokens = append(tokens, string(c))
		default:
			if end = strings.IndexAny(text, " \t\r\n{};\""); end < 0 {
				end = len(text)
			}
			tokens = append(tokens, text[:end])
		}
		if end < 0 {
			return tokens
		}
		text = text[end:]
	}
	return tokens
}

// aptSources looks for sources that are not checked, in both formats.
func (s *system) aptSources(data map[string]string) {
	var trusted, security []string
	texts := map[string]string{}
	if text, ok := s.text("etc/apt/sources.list"); ok {
		texts["etc/apt/sources.list"] = text
	}
	for _, p := range s.in("etc/apt/sources.list.d") {
		texts[p] = s.texts[p]
	}
	sources := 0
	for p, text := range texts {
		for _, line := range lines(text) {
			lower := strings.ToLower(line)
			switch {
			case strings.HasPrefix(lower, "deb") && (strings.Contains(lower, "trusted=yes") || strings.Contains(lower, "allow-insecure=yes")),
				strings.HasPrefix(lower, "trusted: yes"), strings.HasPrefix(lower, "allow-insecure: yes"):
				trusted = append(trusted, "/"+p+": "+line)
			}
			if strings.HasPrefix(lower, "deb ") || strings.HasPrefix(lower, "deb [") || strings.HasPrefix(lower, "suites:") {
				sources++
				if strings.Contains(lower, "security") {
					security = append(security, p)
				}
			}
		}
	}
	data["trusted"] = list(sorted(trusted))
	if sources > 0 {
		data["securitySource"] = "false"
		if len(security) > 0 {
			data["securitySource"] = "true"
		}
	}
}

// dnf reads dnf.conf(5) and the repositories.
func (s *system) dnf() {
	main, text, ok := s.first("etc/dnf/dnf.conf", "etc/yum.conf")
	if !ok {
		return
	}
	data := map[string]string{"gpgcheck": "0", "localpkg_gpgcheck": "0", "repo_gpgcheck": "0", "sslverify": "1"}
	settings(text, data)
	var unchecked, unverified []string
	for _, p := range s.in("etc/yum.repos.d") {
		for _, repo := range sections(s.texts[p]) {
			name := "/" + p + " [" + repo[""] + "]"
			if off(repo["enabled"]) {
				continue
			}
			if off(repo["gpgcheck"]) {
				unchecked = append(unchecked, name)
			}
			if off(repo["sslverify"]) {
				unverified = append(unverified, name)
			}
		}
	}
	data["uncheckedRepositories"], data["unverifiedRepositories"] = list(unchecked), list(unverified)
	s.emit("host/dnf", main, data)
}

func off(value string) bool {
	return value == "0" || strings.EqualFold(value, "false") || strings.EqualFold(value, "no") || strings.EqualFold(value, "off")
}

// sections splits an ini file; each section's name is under "".
func sections(text string) (all []map[string]string) {
	for _, line := range lines(text) {
		if name, ok := strings.CutPrefix(line, "["); ok {
			all = append(all, map[string]string{"": strings.TrimSuffix(name, "]")})
		} else if len(all) > 0 {
			settings(line, all[len(all)-1])
		}
	}
	return all
}

// updates says when the package lists were fetched, and whether the newest kernel is the one that runs.
func (s *system) updates() {
	data := map[string]string{}
	if at := s.tally.lists; at > 0 {
		data["lists"] = time.Unix(at, 0).UTC().Format(time.RFC3339)
	}
	if running := s.live["host/kernel"]["release"]; running != "" && s.tally.newestKernel != "" {
		data["runningKernel"], data["newestKernel"] = running, s.tally.newestKernel
	}
	if s.live["host/kernel"] != nil {
		data["rebootRequired"], data["replacedPrograms"] = "false", list(sorted(s.replaced))
		if s.exists("run/reboot-required") || s.exists("var/run/reboot-required") {
			data["rebootRequired"] = "true"
		}
	}
	if s.has("apt") || s.has("dnf") || s.has("yum") {
		data["automatic"] = "false"
		if s.enabled("apt-daily-upgrade.timer") && s.has("unattended-upgrades") || s.enabled("dnf-automatic.timer", "dnf-automatic-install.timer", "yum-cron.service") {
			data["automatic"] = "true"
		}
	}
	s.emit("host/updates", cmp.Or(s.packageDatabase, "boot"), data)
}
