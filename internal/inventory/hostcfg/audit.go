package hostcfg

import (
	"strconv"
	"strings"
)

// audit reads auditd.conf(5) and the rules of audit.rules(7).
func (s *system) audit() {
	configured := s.exists("etc/audit/auditd.conf") || s.exists("etc/audit/audit.rules")
	if !configured && !s.has("auditd", "audit") {
		return
	}
	if !configured && !s.exists("etc/audit") { // installed, so it is there: we may not look
		s.unread = append(s.unread, "etc/audit")
		return
	}
	data := map[string]string{}
	if text, ok := s.text("etc/audit/auditd.conf"); ok {
		settings(text, data)
	}
	count := 0
	paths := s.in("etc/audit/rules.d")
	if len(paths) == 0 {
		paths = []string{"etc/audit/audit.rules"}
	}
	for _, p := range paths {
		text, _ := s.text(p)
		for _, line := range lines(text) {
			count++
			auditRule(strings.Fields(line), data)
		}
	}
	data["rules"] = strconv.Itoa(count)
	s.emit("host/audit", "etc/audit", data)
}

// auditRule notes "watch /etc/passwd" -> "wa" and "syscall adjtimex" -> "true",
// whichever way the rule is written, "immutable", and "failure".
func auditRule(f []string, data map[string]string) {
	var watched, perm string
	var calls []string
	always := false
	for i := 0; i+1 < len(f); i++ {
		value := f[i+1]
		switch f[i] {
		case "-e":
			data["immutable"] = strconv.FormatBool(value == "2")
		case "-f":
			data["failure"] = value
		case "-w":
			watched, always = value, true
		case "-p":
			perm = value
		case "-a", "-A":
			always = strings.Contains(value, "always")
		case "-S":
			calls = append(calls, strings.Split(value, ",")...)
		case "-C":
			data["emulation"] = "true"
		case "-F":
			name, operand, _ := strings.Cut(value, "=")
			switch name {
			case "path", "dir":
				watched = operand
			case "perm":
				perm = operand
			}
		}
	}
	if !always {
		return
	}
	if watched != "" {
		if perm == "" {
			perm = "rwxa"
		}
		key := "watch " + strings.TrimSuffix(watched, "/")
		data[key] += perm
	}
	for _, call := range calls {
		data["syscall "+call] = "true"
	}
}
