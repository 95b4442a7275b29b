package hostcfg

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// firewall says which packet filters start with the system and what they do with
// a packet no rule names. What runs without a file of its own, such as the rules
// of a network plugin, is not seen.
func (s *system) firewall() {
	if len(s.units) == 0 && len(s.installed) == 0 {
		return
	}
	data := map[string]string{}
	var tools []string
	if text, ok := s.text("etc/ufw/ufw.conf"); ok && s.enabled("ufw.service") {
		ufw := map[string]string{}
		settings(text, ufw)
		if ufw["ENABLED"] == "yes" {
			tools = append(tools, "ufw")
			s.ufw(data)
		}
	}
	if s.enabled("firewalld.service") {
		tools = append(tools, "firewalld")
		conf := s.merged("etc/firewalld/firewalld.conf")
		data["input"], data["forward"] = "reject", "reject"
		if zone := conf["DefaultZone"]; zone == "trusted" {
			data["input"] = "accept"
		}
		data["input6"], data["loopback"] = data["input"], "true"
	}
	if s.enabled("nftables.service") {
		tools = append(tools, "nftables")
		if _, text, ok := s.first("etc/nftables.conf", "etc/sysconfig/nftables.conf"); ok {
			nftables(text, data)
		}
	}
	if s.enabled("netfilter-persistent.service", "iptables.service") {
		tools = append(tools, "iptables")
		if _, text, ok := s.first("etc/iptables/rules.v4", "etc/sysconfig/iptables"); ok {
			iptables(text, "", data)
		}
		if _, text, ok := s.first("etc/iptables/rules.v6", "etc/sysconfig/ip6tables"); ok {
			iptables(text, "6", data)
		}
	}
	data["tools"], data["count"] = list(tools), strconv.Itoa(len(tools))
	s.emit("host/firewall", "etc", data)
}

// ufw reads the default policies; ufw always lets the loopback interface pass.
func (s *system) ufw(data map[string]string) {
	conf := s.merged("etc/default/ufw")
	for key, name := range map[string]string{"input": "DEFAULT_INPUT_POLICY", "output": "DEFAULT_OUTPUT_POLICY", "forward": "DEFAULT_FORWARD_POLICY"} {
		if v := conf[name]; v != "" {
			data[key] = strings.ToLower(v)
		}
	}
	data["loopback"] = "true"
	data["input6"] = data["input"]
	if strings.EqualFold(conf["IPV6"], "no") {
		data["input6"] = "unfiltered"
	}
}

var nftHook = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`hook\s+(input|output|forward)\b[^\n}]*?(?:policy\s+(\w+))?\s*;?\s*(?:\n|$|})`)
})

// nftables reads the base chains of a rule set: a chain without a policy accepts.
func nftables(text string, data map[string]string) {
	text = strings.Join(lines(text), "\n")
	for _, m := range nftHook().FindAllStringSubmatch(text, -1) {
		policy := m[2]
		if i := strings.Index(m[0], "policy"); policy == "" && i >= 0 {
			policy = strings.Trim(strings.TrimPrefix(m[0][i:], "policy"), " \t\n;}")
		}
		if policy == "" {
			policy = "accept"
		}
		if data[m[1]] == "" || policy != "accept" {
			data[m[1]] = policy
		}
	}
	data["input6"] = data["input"] // of table inet; ip6 alone would be a second chain
	if !strings.Contains(text, "table inet") && !strings.Contains(text, "table ip6") {
		data["input6"] = "unfiltered"
	}
	data["loopback"] = strconv.FormatBool(strings.Contains(text, `"lo" accept`) || strings.Contains(text, "iif lo accept") || strings.Contains(text, "iifname lo accept"))
}

// iptables reads the policies of iptables-save(8): ":INPUT DROP [0:0]".
func iptables(text, suffix string, data map[string]string) {
	for _, line := range lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && (f[0] == ":INPUT" || f[0] == ":OUTPUT" || f[0] == ":FORWARD"):
			data[strings.ToLower(f[0][1:])+suffix] = strings.ToLower(f[1])
		case suffix == "" && strings.HasPrefix(line, "-A INPUT -i lo ") && strings.HasSuffix(line, "-j ACCEPT"):
			data["loopback"] = "true"
		}
	}
	if suffix == "" && data["loopback"] == "" {
		data["loopback"] = "false"
	}
}
