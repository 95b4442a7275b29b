package hostcfg

import (
	"cmp"
	"strings"
)

// logging reads journald.conf(5), coredump.conf(5) and rsyslog.conf(5).
func (s *system) logging() {
	if s.exists("etc/systemd/journald.conf") || s.has("systemd") {
		s.emit("host/journald", "etc/systemd/journald.conf",
			s.merged("etc/systemd/journald.conf", "etc/systemd/journald.conf.d", "usr/lib/systemd/journald.conf.d"))
	}
	if s.exists("etc/systemd/coredump.conf") || s.has("systemd-coredump") {
		s.emit("host/coredump", "etc/systemd/coredump.conf",
			s.merged("etc/systemd/coredump.conf", "etc/systemd/coredump.conf.d", "usr/lib/systemd/coredump.conf.d"))
	}
	main, ok := s.text("etc/rsyslog.conf")
	if !ok {
		return
	}
	data := map[string]string{"remote": "false", "listens": "false", "fileCreateMode": "0644", "authLogged": "false"}
	rsyslog(main, data)
	for _, p := range s.in("etc/rsyslog.d") {
		rsyslog(s.texts[p], data)
	}
	s.emit("host/rsyslog", "etc/rsyslog.conf", data)
}

// rsyslog reads both of its syntaxes: $Directive value, and statement(key="value").
func rsyslog(text string, data map[string]string) {
	for _, line := range lines(text) {
		lower := strings.ToLower(line)
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(lower, "$filecreatemode") && len(f) > 1:
			data["fileCreateMode"] = f[1]
		case strings.HasPrefix(lower, "$inputtcpserverrun"), strings.HasPrefix(lower, "$udpserverrun"), strings.HasPrefix(lower, "input(") &&
			(strings.Contains(lower, "imtcp") || strings.Contains(lower, "imudp")):
			data["listens"] = "true"
		case strings.Contains(lower, `type="omfwd"`), len(f) > 1 && strings.HasPrefix(f[1], "@"):
			data["remote"] = "true"
		case len(f) > 1 && strings.Contains(f[0], "auth") && strings.Contains(f[0], "."):
			data["authLogged"] = "true"
		}
		if i := strings.Index(lower, "filecreatemode="); i >= 0 {
			data["fileCreateMode"] = strings.Trim(strings.Fields(line[i+len("filecreatemode="):] + " ")[0], `")`)
		}
	}
}

// time says which program keeps the clock, and by which servers.
func (s *system) time() {
	data := map[string]string{"client": "", "servers": ""}
	var clients, servers []string
	path, text, chrony := s.first("etc/chrony/chrony.conf", "etc/chrony.conf")
	if chrony {
		clients = append(clients, "chrony")
		texts := []string{text}
		for _, p := range s.in("etc/chrony/conf.d", "etc/chrony/sources.d") {
			texts = append(texts, s.texts[p])
		}
		for _, t := range texts {
			servers = append(servers, timeServers(t)...)
		}
	}
	if p, text, ok := s.first("etc/ntpsec/ntp.conf", "etc/ntp.conf"); ok {
		clients, path = append(clients, "ntp"), p
		servers = append(servers, timeServers(text)...)
		data["restrict"] = "false"
		if strings.Contains(text, "\nrestrict ") {
			data["restrict"] = "true"
		}
	}
	if s.has("systemd-timesyncd") || s.enabled("systemd-timesyncd.service") {
		clients, path = append(clients, "systemd-timesyncd"), "etc/systemd/timesyncd.conf"
		conf := s.merged(path, "etc/systemd/timesyncd.conf.d")
		servers = append(servers, strings.Fields(conf["NTP"]+" "+conf["FallbackNTP"])...)
		if len(servers) == 0 {
			servers = []string{"those built in"}
		}
	}
	data["client"], data["servers"] = list(clients), list(servers)
	s.emit("host/time", cmp.Or(path, "etc"), data)
}

// timeServers are the sources of chrony.conf(5) and ntp.conf(5).
func timeServers(text string) (servers []string) {
	for _, line := range lines(text) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "server" || f[0] == "pool" || f[0] == "peer" || f[0] == "refclock") {
			servers = append(servers, f[1])
		}
	}
	return servers
}
