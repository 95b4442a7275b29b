package hostcfg

import (
	"path"
	"strconv"
	"strings"
)

// maxIncludes bounds the nesting of Include as sshd does (sshd_config(5)).
const maxIncludes = 16

// sshdDefaults are what sshd does when its files say nothing (sshd_config(5), OpenSSH 9).
func sshdDefaults() map[string]string {
	return map[string]string{
		"permitrootlogin": "prohibit-password", "passwordauthentication": "yes", "permitemptypasswords": "no",
		"pubkeyauthentication": "yes", "kbdinteractiveauthentication": "yes", "hostbasedauthentication": "no",
		"gssapiauthentication": "no", "kerberosauthentication": "no", "usepam": "no", "ignorerhosts": "yes",
		"permituserenvironment": "no", "strictmodes": "yes", "maxauthtries": "6", "maxsessions": "10",
		"maxstartups": "10:30:100", "logingracetime": "120", "clientaliveinterval": "0", "clientalivecountmax": "3",
		"loglevel": "INFO", "x11forwarding": "no", "allowtcpforwarding": "yes", "allowagentforwarding": "yes",
		"gatewayports": "no", "permittunnel": "no", "banner": "none", "printlastlog": "yes", "disableforwarding": "no",
		"port": "22", "allowstreamlocalforwarding": "yes",
	}
}

// sshConfig is an sshd configuration as it is read: the first value of a keyword counts.
type sshConfig struct {
	s       *system
	global  map[string]string
	matches []*sshMatch
	current *sshMatch
}

// sshMatch is a Match block.
type sshMatch struct {
	criteria string
	values   map[string]string
}

// sshd emits the configuration for everybody, and one for each Match block with what it changes.
func (s *system) sshd() {
	main, text, ok := s.first("etc/ssh/sshd_config", "usr/etc/ssh/sshd_config")
	if !ok && !s.exists("usr/sbin/sshd") {
		return
	}
	c := &sshConfig{s: s, global: map[string]string{}}
	c.read(text, path.Dir(main), 0)
	global := withDefaults(c.global)
	s.emit("host/sshd", main, global)
	for _, m := range c.matches {
		data := map[string]string{}
		for k, v := range global {
			data[k] = v
		}
		for k, v := range m.values {
			data[k] = v
		}
		data["match"] = m.criteria
		s.emit("host/sshd", main, data)
	}
}

func withDefaults(values map[string]string) map[string]string {
	data := sshdDefaults()
	for k, v := range values {
		data[k] = v
	}
	return data
}

func (c *sshConfig) read(text, dir string, depth int) {
	if depth > maxIncludes {
		return
	}
	for _, line := range lines(text) {
		keyword, value := sshKeyword(line)
		switch keyword {
		case "include":
			outer := c.current
			for pattern := range strings.FieldsSeq(value) {
				c.include(pattern, dir, depth)
			}
			c.current = outer
		case "match":
			c.current = nil
			if !strings.EqualFold(strings.TrimSpace(value), "all") {
				c.current = &sshMatch{value, map[string]string{}}
				c.matches = append(c.matches, c.current)
			}
		default:
			c.set(keyword, value)
		}
	}
}

// include reads the files a pattern names, in their order.
func (c *sshConfig) include(pattern, dir string, depth int) {
	if strings.HasPrefix(pattern, "/") {
		pattern = pattern[1:]
	} else {
		pattern = path.Join(dir, pattern)
	}
	for _, p := range c.s.in(path.Dir(pattern)) {
		if ok, _ := path.Match(pattern, p); ok {
			c.read(c.s.texts[p], dir, depth+1)
		}
	}
}

// set notes a value; of keywords that add up, all.
func (c *sshConfig) set(keyword, value string) {
	into := c.global
	if c.current != nil {
		into = c.current.values
	}
	switch keyword {
	case "challengeresponseauthentication", "skeyauthentication":
		keyword = "kbdinteractiveauthentication"
	case "logingracetime", "clientaliveinterval":
		value = seconds(value)
	}
	old, known := into[keyword]
	switch keyword {
	case "allowusers", "allowgroups", "denyusers", "denygroups", "acceptenv", "port", "listenaddress", "hostkey":
		into[keyword] = strings.TrimSpace(old + " " + value)
	default:
		if !known {
			into[keyword] = value
		}
	}
}

// sshKeyword splits `Keyword value`, `Keyword=value`, `Keyword "value"`.
func sshKeyword(line string) (keyword, value string) {
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return strings.ToLower(line), ""
	}
	value = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[i:]), "="))
	if j := strings.Index(value, " #"); j >= 0 {
		value = strings.TrimSpace(value[:j])
	}
	return strings.ToLower(line[:i]), strings.ReplaceAll(value, `"`, "")
}

// seconds turns sshd's times ("2m", "1h30m") into seconds; what is no time stays.
func seconds(text string) string {
	total, digits := 0, ""
	units := map[rune]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
	for _, r := range strings.ToLower(text) {
		if r >= '0' && r <= '9' {
			digits += string(r)
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || units[r] == 0 {
			return text
		}
		total, digits = total+n*units[r], ""
	}
	if digits != "" {
		total += number(digits, 0)
	}
	return strconv.Itoa(total)
}
