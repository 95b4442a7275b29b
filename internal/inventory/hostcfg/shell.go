package hostcfg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func sorted(items []string) []string { slices.Sort(items); return items }

// shell reads what login shells are given: umask, TMOUT, and the list of shells.
func (s *system) shell() {
	data := map[string]string{}
	texts := []string{}
	for _, p := range []string{"etc/profile", "etc/bash.bashrc", "etc/bashrc"} {
		if text, ok := s.text(p); ok {
			texts = append(texts, text)
		}
	}
	for _, p := range s.in("etc/profile.d") {
		texts = append(texts, s.texts[p])
	}
	if len(texts) == 0 {
		return
	}
	weakest := int64(-1)
	for _, text := range texts {
		for _, line := range lines(text) {
			for statement := range strings.SplitSeq(line, ";") {
				f := strings.Fields(statement)
				if mask := umask(f); mask >= 0 && (weakest < 0 || mask&^weakest == 0) {
					weakest = mask
					data["umask"] = fmt.Sprintf("%03o", mask)
				}
				shellTimeout(f, data)
			}
		}
	}
	if text, ok := s.text("etc/shells"); ok {
		data["nologinListed"] = strconv.FormatBool(slices.ContainsFunc(lines(text), func(l string) bool { return strings.HasSuffix(l, "/nologin") }))
	}
	s.emit("host/shell", "etc/profile", data)
}

// umask is the mask a command sets, -1 when it sets none.
func umask(words []string) int64 {
	i := slices.Index(words, "umask")
	if i < 0 || i+1 >= len(words) {
		return -1
	}
	mask, err := strconv.ParseInt(words[i+1], 8, 32)
	if err != nil || mask < 0 || mask > 0o777 {
		return -1
	}
	return mask
}

// shellTimeout notes TMOUT=900, readonly TMOUT, declare -xr TMOUT=900.
func shellTimeout(words []string, data map[string]string) {
	for _, w := range words {
		name, value, assigned := strings.Cut(w, "=")
		if name != "TMOUT" {
			continue
		}
		if assigned {
			data["timeout"] = value
		}
		if words[0] == "readonly" || words[0] == "declare" || words[0] == "typeset" {
			data["timeoutReadonly"] = "true"
		}
	}
}

// limits reads what limits.conf(5) sets for everybody: "hard core" -> "0".
func (s *system) limits() {
	if !s.exists("etc/security/limits.conf") {
		return
	}
	data := map[string]string{}
	paths := s.in("etc/security/limits.d")
	for _, p := range append([]string{"etc/security/limits.conf"}, paths...) {
		text, _ := s.text(p)
		for _, line := range lines(text) {
			if f := strings.Fields(line); len(f) >= 4 && f[0] == "*" {
				types := []string{f[1]}
				if f[1] == "-" {
					types = []string{"soft", "hard"}
				}
				for _, t := range types {
					data[t+" "+f[2]] = f[3]
				}
			}
		}
	}
	s.emit("host/limits", "etc/security/limits.conf", data)
}

// banners reads what is shown before and after a login.
func (s *system) banners() {
	for _, p := range []string{"etc/motd", "etc/issue", "etc/issue.net"} {
		text, ok := s.text(p)
		if !ok {
			continue
		}
		data := map[string]string{"file": p, "text": strconv.FormatBool(strings.TrimSpace(text) != ""), "discloses": ""}
		var tells []string
		for _, escape := range []string{`\m`, `\r`, `\s`, `\v`} {
			if strings.Contains(text, escape) {
				tells = append(tells, escape)
			}
		}
		if os := s.m.Asset.OS; os != nil && os.ID != "" && strings.Contains(strings.ToLower(text), strings.ToLower(os.ID)) {
			tells = append(tells, os.ID)
		}
		data["discloses"] = list(tells)
		s.emit("host/banner", p, data)
	}
}

// selinux reads the configuration of SELinux and of the crypto policies of RHEL.
func (s *system) selinux() {
	if text, ok := s.text("etc/selinux/config"); ok {
		data := map[string]string{"SELINUX": "disabled"}
		settings(text, data)
		s.emit("host/selinux", "etc/selinux/config", data)
	}
	if text, ok := s.text("etc/crypto-policies/config"); ok {
		if l := lines(text); len(l) > 0 {
			s.emit("host/crypto-policy", "etc/crypto-policies/config", map[string]string{"policy": l[0]})
		}
	}
}

// cron says who may use cron and at, where they are installed.
func (s *system) cron() {
	for _, program := range []struct {
		name     string
		packages []string
	}{{"cron", []string{"cron", "cronie", "systemd-cron"}}, {"at", []string{"at"}}} {
		if !s.has(program.packages...) && !(program.name == "cron" && s.exists("etc/crontab")) {
			continue
		}
		data := map[string]string{"program": program.name}
		for _, list := range []string{"allow", "deny"} {
			data[list] = strconv.FormatBool(s.exists("etc/" + program.name + "." + list))
		}
		s.emit("host/cron", "etc/"+program.name+".allow", data)
	}
}

// servers reads the configuration of NFS, SNMP and mail servers.
func (s *system) servers() {
	if text, ok := s.text("etc/exports"); ok {
		data := map[string]string{}
		var rootly, everyone []string
		for _, line := range lines(text) {
			if strings.Contains(line, "no_root_squash") {
				rootly = append(rootly, line)
			}
			if f := strings.Fields(line); len(f) > 1 && (strings.HasPrefix(f[1], "*(") || f[1] == "*" || strings.HasPrefix(f[1], "(")) {
				everyone = append(everyone, line)
			}
		}
		data["noRootSquash"], data["everyone"] = list(rootly), list(everyone)
		s.emit("host/exports", "etc/exports", data)
	}
	if text, ok := s.text("etc/snmp/snmpd.conf"); ok {
		var communities []string
		for _, line := range lines(text) {
			f := strings.Fields(line)
			if len(f) > 1 && (strings.HasPrefix(f[0], "rocommunity") || strings.HasPrefix(f[0], "rwcommunity") || f[0] == "com2sec") {
				communities = append(communities, f[0])
			}
		}
		s.emit("host/snmp", "etc/snmp/snmpd.conf", map[string]string{"communities": list(communities)})
	}
	if text, ok := s.text("etc/postfix/main.cf"); ok {
		data := map[string]string{"inet_interfaces": "all"}
		settings(text, data)
		s.emit("host/mail", "etc/postfix/main.cf", map[string]string{"interfaces": data["inet_interfaces"], "banner": data["smtpd_banner"]})
	}
}
