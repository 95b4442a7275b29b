package secret

import (
	"bytes"
	"strings"
)

const (
	maxName  = 80
	maxValue = 1024
	maxSpace = 40
)

// assignment looks at the name a secret's word is part of, and the value it is given.
func (s *search) assignment(pos, n int) {
	left, right := nameAround(s.buf, pos, pos+n)
	if right-left > maxName {
		return
	}
	name := strings.ToLower(string(s.buf[left:right]))
	start, end, quoted, ok := s.valueAfter(left, right)
	if !ok || end-start < 6 {
		return
	}
	value := s.buf[start:end]
	if rest := name[strings.LastIndex(name, strings.ToLower(string(s.buf[pos:pos+n])))+n:]; !namesSecret(name, rest) {
		return
	}
	if name == "auth" || name == `"auth"` {
		s.dockerAuth(start, end)
		return
	}
	if s.place.code && !quoted && !s.inConnectionString(left, end) || s.minified(left, end) {
		return
	}
	if known(value) {
		return
	}
	h := hit{name: string(s.buf[left:right]), start: int64(start), end: int64(end)}
	if r := s.inContext(name, value, left); r != nil && s.counts(r) && !(s.place.foreign && r.check == "") {
		h.rule = r
		s.report(h, value, 0)
		return
	}
	if s.place.foreign {
		return
	}
	h.weak = true
	switch {
	case strings.Contains(name, "client-key-data") && len(value) > 60:
		h.rule, h.weak = s.byID[ruleKubeconfig], false
	case drawn(value):
		h.rule = s.byID[s.genericRule(name)]
	case isPasswordName(name) && chosen(value):
		h.rule = s.byID[rulePassword]
		if s.inConnectionString(left, end) {
			h.rule = s.byID[ruleConnection]
		}
	default:
		return
	}
	s.report(h, value, 0)
}

func (s *search) genericRule(name string) string {
	switch {
	case strings.HasSuffix(s.place.base, ".tfstate") || strings.HasSuffix(s.place.base, ".tfstate.backup"):
		return ruleTerraform
	case name == "token" && (s.place.base == "kubeconfig" || strings.Contains(s.place.path, ".kube/")):
		return ruleKubeconfig
	case isPasswordName(name):
		return rulePassword
	}
	return ruleGeneric
}

func isPasswordName(name string) bool {
	return strings.Contains(name, "pass") || strings.Contains(name, "pwd")
}

// nameAround widens a word to the whole name it is part of.
func nameAround(b []byte, left, right int) (int, int) {
	for left > 0 && right-left <= maxName && nameByte(b[left-1]) {
		left--
	}
	for right < len(b) && right-left <= maxName && nameByte(b[right]) {
		right++
	}
	for left < right && (b[left] == '-' || b[left] == '.') {
		left++
	}
	return left, right
}

func nameByte(b byte) bool { return wordByte(b) || b == '-' || b == '.' }

// notSecrets follow the secret's word in names of things about a secret;
// notSecretNames are parts of names that only sound like one.
var (
	notSecrets = []string{
		"id", "name", "url", "uri", "path", "file", "dir", "type", "field", "len", "size", "count", "ttl", "expir", "policy", "regex", "pattern", "label", "hint", "prompt", "text",
		"message", "error", "header", "class", "input", "format", "provider", "endpoint", "version", "arn", "ref", "index", "algorithm", "mode", "schema", "desc", "izer", "ize",
		"manager", "store", "list", "map", "limit", "usage", "kind", "method", "param", "reset", "require", "enable", "min", "max", "source", "helper", "hash", "digest", "sha", "checksum", "fingerprint", "length", "template", "location", "selector", "symbol", "cookie", "page", "link", "issuer", "audience", "scope", "service", "host", "port", "user", "time", "date", "env", "group", "role", "less",
	}
	notSecretNames = []string{"public", "pub_key", "csrf", "xsrf", "tokens", "sort", "primary", "foreign", "fake", "dummy", "mock", "sample", "example", "placeholder", "commit", "checksum", "integrity", "syntax", "cancel", "author", "htpasswd"}
)

// namesSecret says whether a name is that of a secret; rest is what follows the secret's word in it.
func namesSecret(name, rest string) bool {
	for _, w := range notSecretNames {
		if strings.Contains(name, w) && !strings.Contains(name, "authorization") {
			return false
		}
	}
	rest = strings.TrimLeft(rest, "_-.")
	for _, w := range notSecrets {
		if strings.HasPrefix(rest, w) || strings.HasSuffix(rest, "_"+w) || strings.HasSuffix(rest, "."+w) || strings.HasSuffix(rest, "-"+w) {
			return false
		}
	}
	return true
}

// valueAfter finds the value given to the name that ends at i: NAME=value,
// name: "value", name := 'value', "name" => "value", ("name", "value"),
// <name>value</name>, --name value, ENV NAME value, and the pairs of manifests
// (name: NAME, value: value).
func (s *search) valueAfter(left, i int) (start, end int, quoted, ok bool) {
	b := s.buf
	quotedName := i < len(b) && isQuote(b[i])
	if quotedName {
		i++
	}
	if i < len(b) && b[i] == ']' {
		i++
	}
	gap := i
	for i < len(b) && i-gap < maxSpace && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	if i >= len(b) {
		return 0, 0, false, false
	}
	switch c := b[i]; {
	case c == ':' && i+1 < len(b) && b[i+1] == '=':
		i += 2
	case c == ':' && i+1 < len(b) && b[i+1] == ':':
		return 0, 0, false, false
	case c == ':':
		i++
	case c == '=' && i+1 < len(b) && (b[i+1] == '=' || b[i+1] == '~'):
		return 0, 0, false, false
	case c == '=':
		i++
		if i < len(b) && b[i] == '>' {
			i++
		}
	case c == ',' && quotedName && left > 1 && b[left-2] == '(':
		i++
	case c == '>' && left > 0 && b[left-1] == '<':
		return xmlValue(b, i+1)
	case i > gap && c > ' ' && wordByte(c) && takesWord(b, left):
	default:
		if i, ok = pairValue(b, gap); !ok {
			return 0, 0, false, false
		}
	}
	return value(b, i)
}

// value reads a quoted or bare value from i on.
func value(b []byte, i int) (start, end int, quoted, ok bool) {
	from := i
	for i < len(b) && i-from < maxSpace && (b[i] == ' ' || b[i] == '\t' || b[i] == '@') {
		i++
	}
	if i+1 < len(b) && isQuote(b[i+1]) && strings.IndexByte("bBrRfFuUL", b[i]) >= 0 {
		i++
	}
	if i+1 < len(b) && b[i] == '\\' && isQuote(b[i+1]) {
		i++
	}
	if i < len(b) && isQuote(b[i]) {
		q := b[i]
		start = i + 1
		for end = start; end < len(b) && end-start < maxValue; end++ {
			switch b[end] {
			case q:
				if end > start && b[end-1] == '\\' {
					return start, end - 1, true, true
				}
				return start, end, true, true
			case '\n':
				return 0, 0, false, false
			}
		}
		return 0, 0, false, false
	}
	start = i
	for end = start; end < len(b) && end-start < maxValue && b[end] > ' ' && strings.IndexByte("\"'`<>;,|", b[end]) < 0; end++ {
	}
	if end < len(b) && (b[end] == ',' || b[end] == ';') && end+1 < len(b) && b[end+1] > ' ' && b[end] == ',' {
		return 0, 0, false, false
	}
	if end < len(b) && b[end] == '&' || bytes.IndexByte(b[start:end], '(') >= 0 {
		return 0, 0, false, false
	}
	if amp := bytes.IndexByte(b[start:end], '&'); amp >= 0 {
		end = start + amp
	}
	return start, end, false, end > start
}

func isQuote(b byte) bool { return b == '"' || b == '\'' || b == '`' }

func xmlValue(b []byte, i int) (start, end int, quoted, ok bool) {
	for i < len(b) && b[i] <= ' ' {
		i++
	}
	n := bytes.IndexByte(b[i:min(len(b), i+maxValue)], '<')
	if n < 1 {
		return 0, 0, false, false
	}
	return i, i + len(bytes.TrimSpace(b[i:i+n])), true, true
}

// takesWord says whether the next word is the value of the name at left: after
// "--" or in an ENV, ARG, export or set command.
func takesWord(b []byte, left int) bool {
	if left > 1 && b[left-1] == '-' && b[left-2] == '-' {
		return true
	}
	line := b[max(0, left-64):left]
	if i := bytes.LastIndexByte(line, '\n'); i >= 0 {
		line = line[i+1:]
	}
	switch word := strings.ToUpper(strings.TrimSpace(string(line))); word {
	case "ENV", "ARG", "SETENV":
		return true
	}
	return false
}

// pairValue finds the value of a manifest's pair after its name: the next key is "value".
func pairValue(b []byte, i int) (int, bool) {
	from := i
	for i < len(b) && i-from < 2*maxSpace && (b[i] <= ' ' || b[i] == ',' || isQuote(b[i])) {
		i++
	}
	if i+6 >= len(b) || !strings.EqualFold(string(b[i:i+5]), "value") {
		return 0, false
	}
	i += 5
	for i < len(b) && (isQuote(b[i]) || b[i] == ' ') {
		i++
	}
	if i >= len(b) || b[i] != ':' && b[i] != '=' {
		return 0, false
	}
	return i + 1, true
}

// minified says whether a place is within a very long line: no newline for a
// thousand bytes before or after it.
func (s *search) minified(left, right int) bool {
	const far = 1000
	return left > far && bytes.IndexByte(s.buf[left-far:left], '\n') < 0 ||
		len(s.buf)-right > far && bytes.IndexByte(s.buf[right:right+far], '\n') < 0
}

// inConnectionString says whether an assignment is one of "Server=…;Password=…;".
func (s *search) inConnectionString(left, right int) bool {
	line := strings.ToLower(string(s.lineAround(left, right)))
	return strings.Contains(line, ";") && (strings.Contains(line, "server=") || strings.Contains(line, "data source=") || strings.Contains(line, "host=") || strings.Contains(line, "initial catalog="))
}

// lineAround is the line a place is on, at most 200 bytes to each side.
func (s *search) lineAround(left, right int) []byte {
	from, to := max(0, left-200), min(len(s.buf), right+200)
	if i := bytes.LastIndexByte(s.buf[from:left], '\n'); i >= 0 {
		from += i + 1
	}
	if i := bytes.IndexByte(s.buf[right:to], '\n'); i >= 0 {
		to = right + i
	}
	return s.buf[from:to]
}

// inContext returns the rule whose vendor the assignment names and whose form the value has.
func (s *search) inContext(name string, value []byte, left int) *rule {
	if len(value) < 12 {
		return nil
	}
	var line string
	for _, r := range s.context {
		if !r.fits(value) {
			continue
		}
		if line == "" {
			line = strings.ToLower(string(s.lineAround(left, left)[:]))
			line, _, _ = strings.Cut(line, strings.ToLower(string(value)))
		}
		for _, w := range r.contexts {
			if (strings.Contains(name, w) || strings.Contains(line, w) || strings.Contains(s.place.base, w)) && r.passes(value, 0) && !wordy(value) {
				return r
			}
		}
	}
	return nil
}

func (r *rule) fits(value []byte) bool {
	for _, p := range r.values {
		if p.matches(value) {
			return true
		}
	}
	return false
}
