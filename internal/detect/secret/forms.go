package secret

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
)

// schemes of connection strings and the rule each belongs to.
var schemes = map[string]string{
	"postgres": "SW-SEC-440", "postgresql": "SW-SEC-440", "cockroachdb": "SW-SEC-440", "redshift": "SW-SEC-440",
	"mysql": "SW-SEC-441", "mariadb": "SW-SEC-441", "mysql2": "SW-SEC-441", "mysqlx": "SW-SEC-441",
	"mongodb": "SW-SEC-442", "mongodb+srv": "SW-SEC-442",
	"redis": "SW-SEC-443", "rediss": "SW-SEC-443", "valkey": "SW-SEC-443",
	"sqlserver": "SW-SEC-444", "mssql": "SW-SEC-444", "oracle": "SW-SEC-444", "jdbc:oracle:thin": "SW-SEC-444",
	"clickhouse": "SW-SEC-445", "cassandra": "SW-SEC-445", "elasticsearch": "SW-SEC-445", "neo4j": "SW-SEC-445", "bolt": "SW-SEC-445", "couchbase": "SW-SEC-445", "couchdb": "SW-SEC-445", "snowflake": "SW-SEC-445",
	"amqp": "SW-SEC-446", "amqps": "SW-SEC-446", "nats": "SW-SEC-446", "kafka": "SW-SEC-446", "mqtt": "SW-SEC-446", "mqtts": "SW-SEC-446", "stomp": "SW-SEC-446",
	"ftp": "SW-SEC-447", "ftps": "SW-SEC-447", "sftp": "SW-SEC-447", "smtp": "SW-SEC-447", "smtps": "SW-SEC-447", "imap": "SW-SEC-447", "imaps": "SW-SEC-447", "ldap": "SW-SEC-447", "ldaps": "SW-SEC-447",
}

// url looks for a password in the user information of a URL (RFC 3986 section
// 3.2.1) whose "://" is at pos.
func (s *search) url(pos int) {
	b := s.buf
	from := pos
	for from > 0 && pos-from < 24 && (wordByte(b[from-1]) || b[from-1] == '+' || b[from-1] == '-') {
		from--
	}
	info := b[pos+3 : min(len(b), pos+3+300)]
	if i := bytes.IndexAny(info, " \t\r\n\"'`<>\\,;()|"); i >= 0 {
		info = info[:i]
	}
	at := bytes.IndexByte(info, '@')
	if slash := bytes.IndexByte(info, '/'); at < 0 || slash >= 0 && slash < at || from == pos || s.place.foreign && s.place.fixture {
		return
	}
	host := string(info[at+1:])
	user, password, ok := bytes.Cut(info[:at], []byte(":"))
	if !ok || len(password) < 3 || isExampleHost(host) || strings.EqualFold(string(user), string(password)) {
		return
	}
	plain, err := url.PathUnescape(string(password))
	if err != nil || !urlPassword([]byte(plain)) {
		return
	}
	id, database := schemes[strings.ToLower(string(b[from:pos]))]
	if !database {
		id = ruleURL
	}
	if s.place.code && s.place.foreign || s.minified(pos, pos+3+at) && s.place.code {
		return
	}
	start := pos + 3 + len(user) + 1
	s.report(hit{rule: s.byID[id], name: string(b[from:pos]), start: int64(start), end: int64(start + len(password))}, password, 0)
}

func isExampleHost(host string) bool {
	host, _, _ = strings.Cut(host, "/")
	host, _, _ = strings.Cut(host, ":")
	host = strings.ToLower(host)
	if host == "" || strings.ContainsAny(host, "${}%*[") {
		return true
	}
	for _, w := range []string{"example.com", "example.org", "example.net", "example", "host", "hostname", "server", "domain.com", "yourhost", "test.com", "foo.com", "x.y"} {
		if host == w || strings.HasSuffix(host, "."+w) && strings.Contains(w, "example") {
			return true
		}
	}
	return false
}

// urlPassword says whether the password of a URL is one that somebody would use.
func urlPassword(v []byte) bool {
	if len(v) < 5 || known(v) || repetitive(v) {
		return false
	}
	switch strings.ToLower(string(v)) {
	case "password", "passwd", "pass", "secret", "pwd", "token", "user", "username", "admin", "root", "test", "postgres", "mysql", "redis", "guest", "credentials", "something", "mypass", "pass123", "password1", "xoauth2":
		return false
	}
	return !bytes.ContainsAny(v, "{}<>$*") && (classes(v) > 1 || !wordy(v) && len(v) > 7)
}

// header reads the credentials of an Authorization header (RFC 7617, RFC 6750).
func (s *search) header(pos, n int) {
	b := s.buf
	if pos > 0 && wordByte(b[pos-1]) || s.place.foreign {
		return
	}
	start := pos + n
	end := start
	for end < len(b) && end-start < maxValue && (wordByte(b[end]) || strings.IndexByte("+/=-.~", b[end]) >= 0) {
		end++
	}
	value := b[start:end]
	h := hit{rule: s.byID[ruleHeader], start: int64(start), end: int64(end)}
	if strings.EqualFold(string(b[pos:pos+2]), "ba") {
		if _, password, ok := login(value); ok && chosen(password) {
			s.report(h, value, 0)
		}
		return
	}
	if h.weak = true; len(value) >= 20 && drawn(value) {
		s.report(h, value, 0)
	}
}

// login decodes base64 of user:password.
func login(value []byte) (user, password []byte, ok bool) {
	if len(value) < 8 || len(value) > maxValue {
		return nil, nil, false
	}
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(string(value), "="))
	if err != nil {
		return nil, nil, false
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			return nil, nil, false
		}
	}
	user, password, ok = bytes.Cut(text, []byte(":"))
	return user, password, ok && len(user) > 0 && len(password) > 0
}

// dockerAuth reads the value of "auth" in Docker's config.json.
func (s *search) dockerAuth(start, end int) {
	if s.place.foreign {
		return
	}
	if _, password, ok := login(s.buf[start:end]); ok && !known(password) && len(password) > 4 {
		s.report(hit{rule: s.byID[ruleDockerAuth], name: "auth", start: int64(start), end: int64(end)}, s.buf[start:end], 0)
	}
}

// special reads small files whose form is their name's: netrc(5), .pgpass,
// shadow(5), htpasswd.
func (s *search) special() {
	base := s.place.base
	switch {
	case base == ".netrc" || base == "_netrc":
		s.netrc()
	case base == ".pgpass" || base == "pgpass.conf":
		s.eachLine(func(line []byte, at int) {
			if f := bytes.Split(line, []byte(":")); len(f) == 5 && line[0] != '#' {
				s.field(rulePgpass, f[4], at+len(line)-len(f[4]))
			}
		})
	case base == "shadow" || base == "shadow-" || base == "gshadow":
		s.hashes(ruleShadow)
	case strings.HasSuffix(base, "htpasswd"):
		s.hashes(ruleHtpasswd)
	}
}

func (s *search) eachLine(visit func(line []byte, at int)) {
	at := 0
	for line := range bytes.Lines(s.buf) {
		if text := bytes.TrimRight(line, "\r\n"); len(text) > 0 {
			visit(text, at)
		}
		at += len(line)
	}
}

func (s *search) netrc() {
	var last string
	at := 0
	for at < len(s.buf) {
		for at < len(s.buf) && s.buf[at] <= ' ' {
			at++
		}
		end := at
		for end < len(s.buf) && s.buf[end] > ' ' {
			end++
		}
		word := s.buf[at:end]
		if last == "password" {
			s.field(ruleNetrc, word, at)
		}
		last, at = string(word), end
	}
}

// hashes reads lines of user:hash.
func (s *search) hashes(id string) {
	s.eachLine(func(line []byte, at int) {
		user, rest, _ := bytes.Cut(line, []byte(":"))
		hash, _, _ := bytes.Cut(rest, []byte(":"))
		if len(hash) > 12 && (hash[0] == '$' || hash[0] == '{' || id == ruleHtpasswd) {
			s.field(id, hash, at+len(user)+1)
		}
	})
}

func (s *search) field(id string, value []byte, at int) {
	if len(value) > 2 && !known(value) {
		s.report(hit{rule: s.byID[id], start: int64(at), end: int64(at + len(value))}, value, 0)
	}
}
