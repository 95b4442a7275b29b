package binary

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// signature is how one program is recognised. The literal finds the place;
// then either version reads what stands around it, or framed picks among the
// version strings that stand alone between NUL bytes in the file.
type signature struct {
	name    string
	literal string // at least 6 bytes, so that the scan can skip
	// version returns the version stated around the literal, "" when this is not such a place.
	version func(behind, ahead []byte) string
	framed  func(found []string, base string) string
	// files are names the file must have, where the literal also occurs in other
	// programs; a "*" at the end stands for anything.
	files []string
	// needs is the literal of another signature without which this one does not count.
	needs string
}

func (s *signature) named(base string) bool {
	return len(s.files) == 0 || slices.ContainsFunc(s.files, func(name string) bool {
		prefix, wild := strings.CutSuffix(name, "*")
		return base == prefix || wild && strings.HasPrefix(base, prefix)
	})
}

// signatures were read off the programs of Debian 12 where it has them (see the
// tests), else off what the projects publish.
var signatures = sync.OnceValue(func() []signature {
	return []signature{
		{name: "nginx", literal: "nginx version: nginx/", version: ahead("\n \x00")},
		{name: "openresty", literal: "nginx version: openresty/", version: ahead("\n \x00")},
		{name: "node", literal: "/node-v", version: nodeVersion},
		{name: "python", literal: "/pythonX.X", framed: pythonVersion},
		{name: "openjdk", literal: "OpenJDK 64-Bit Server VM (", version: javaVersion},
		{name: "oracle-jdk", literal: "Java HotSpot(TM) 64-Bit Server VM (", version: javaVersion},
		{name: "valkey", literal: " Valkey is starting ", framed: newest},
		{name: "redis", literal: " Redis is starting ", framed: newest},
		{name: "postgresql", literal: "postgres (PostgreSQL) ", version: ahead("\n \x00")},
		{name: "busybox", literal: "BusyBox v", version: ahead(" (\x00")},
		{name: "openssl", literal: "OpenSSL ", version: opensslVersion, needs: opensslDirectory},
		{name: "openssl", literal: "OpenSSL ", version: opensslVersion, files: []string{"openssl", "libssl.so*"}},
		{literal: goNote},
		{literal: opensslDirectory},
		{name: "libressl", literal: "LibreSSL ", version: ahead("\x00"), files: []string{"openssl", "libssl.so*", "libcrypto.so*"}},
		{name: "bash", literal: "@(#)Bash version ", version: ahead("(")},
		{name: "httpd", literal: "Apache/", version: apacheVersion, needs: apacheFooter},
		{literal: apacheFooter},
		{name: "haproxy", literal: ", released 20", version: haproxyVersion},
		{name: "envoy", literal: "envoy.reloadable_features.", framed: envoyVersion},
		{name: "php", literal: "X-Powered-By: PHP/", version: ahead("\x00\r\n")},
		{name: "ruby", literal: " revision ", version: rubyVersion},
		{name: "perl", literal: "PERL5LIB\x00", framed: perlVersion},
		{name: "mysql", literal: "/mysql-", version: ahead("/"), files: []string{"mysql*"}},
		{name: "mariadb", literal: "-MariaDB", version: mariaVersion},
		{name: "memcached", literal: "memcached ", version: ahead("\x00\n"), files: []string{"memcached"}},
		{name: "crun", literal: "%s version %s\n", version: standingBefore, files: []string{"crun"}},
		{name: "curl", literal: "libcurl/", version: ahead("\x00"), files: []string{"libcurl*", "curl"}},
		{name: "curl", literal: "\x00curl/", version: ahead("\x00"), files: []string{"curl"}},
		{name: "git", literal: "GIT_USER_AGENT\x00", version: gitVersion},
		{name: "sqlite", literal: "SQLite format 3\x00", framed: sqliteVersion, files: []string{"libsqlite3.so*", "sqlite3"}},
		{name: "lighttpd", literal: "lighttpd/", version: ahead("\x00"), files: []string{"lighttpd"}},
	}
})

const (
	// opensslDirectory is in libcrypto and in programs it is linked into, not in
	// those that only say which OpenSSL they were compiled against.
	opensslDirectory = `OPENSSLDIR: "`
	// goNote is the head of the note in which the Go linker keeps its build ID:
	// type 4, owner "Go". It lies within the first bytes of every ELF program.
	goNote      = "\x04\x00\x00\x00Go\x00\x00"
	goNoteLimit = 64 << 10
	// apacheFooter is in the server's own error pages.
	apacheFooter = ` Server at <a href="`
)

// ahead reads a version that follows the literal and ends before one of the bytes of ends.
func ahead(ends string) func(_, ahead []byte) string {
	return func(_, ahead []byte) string {
		v, rest := word(ahead)
		if len(rest) == 0 || strings.IndexByte(ends, rest[0]) < 0 {
			return ""
		}
		return v
	}
}

// word splits a version off the start of b: a digit, then letters, digits and
// dots, with at least one dot or a beta mark ("16beta1").
func word(b []byte) (version string, rest []byte) {
	n := 0
	for n < len(b) && (digit(b[n]) || n > 0 && (b[n] == '.' || 'a' <= b[n]|0x20 && b[n]|0x20 <= 'z')) {
		n++
	}
	v := string(bytes.TrimRight(b[:n], "."))
	if !strings.ContainsAny(v, ".b") && !strings.Contains(v, "rc") {
		return "", b
	}
	return v, b[n:]
}

// standing returns the version that stands alone before the end of b: NUL version NUL.
func standing(b []byte) string {
	b = bytes.TrimRight(b, "\x00")
	i := bytes.LastIndexByte(b, 0)
	if i < 0 {
		return ""
	}
	if v := string(b[i+1:]); strings.Count(v, ".") == 2 {
		return coreVersion(v)
	}
	return ""
}

func standingBefore(behind, _ []byte) string { return standing(behind) }

// nodeVersion reads "/node-v18.20.4.tar.gz" and "/node-v18.20.4-headers.tar.gz".
func nodeVersion(_, ahead []byte) string {
	n := 0
	for n < len(ahead) && (digit(ahead[n]) || ahead[n] == '.' && n+1 < len(ahead) && digit(ahead[n+1])) {
		n++
	}
	rest := string(ahead[n:])
	if strings.HasPrefix(rest, ".tar.gz") || strings.HasPrefix(rest, "-headers.tar.gz") {
		return string(ahead[:n])
	}
	return ""
}

// javaVersion reads "17.0.21+9-…)"; up to Java 8 the number is the virtual
// machine's own: "25.392-b08" is 1.8.0_392.
func javaVersion(_, ahead []byte) string {
	n := 0
	for n < len(ahead) && (digit(ahead[n]) || ahead[n] == '.') {
		n++
	}
	v := string(ahead[:n])
	if update, ok := strings.CutPrefix(v, "25."); ok && bytes.HasPrefix(ahead[n:], []byte("-b")) {
		return "1.8.0_" + update
	}
	if n == len(ahead) || strings.IndexByte("+-)", ahead[n]) < 0 {
		return ""
	}
	return v
}

// opensslVersion reads "3.0.22 25 Aug 2026", "1.1.1w  11 Sep 2023", "1.0.2k-fips  26 Jan 2017".
func opensslVersion(_, ahead []byte) string {
	v, rest := word(ahead)
	if v == "" || strings.Count(v, ".") != 2 {
		return ""
	}
	line, _, _ := bytes.Cut(rest, []byte{0})
	year := bytes.LastIndexByte(line, ' ')
	if year < 0 || len(line) > 40 || len(line)-year != 5 || !bytes.HasPrefix(line[year+1:], []byte("20")) {
		return ""
	}
	return v
}

// apacheVersion reads "2.4.71"; the shorter forms that ServerTokens asks for are there too.
func apacheVersion(behind, next []byte) string {
	v := ahead("\x00 ")(behind, next)
	if strings.Count(v, ".") != 2 {
		return ""
	}
	return v
}

// haproxyVersion reads " version 2.6.12-1+deb12u4" before the date of release.
func haproxyVersion(behind, _ []byte) string {
	const mark = " version "
	i := bytes.LastIndex(behind, []byte(mark))
	if i < 0 {
		return ""
	}
	return coreVersion(string(behind[i+len(mark):]))
}

// rubyVersion reads "ruby 3.1.2p20 (2022-04-12" before the revision.
func rubyVersion(behind, _ []byte) string {
	i := bytes.LastIndex(behind, []byte("ruby "))
	if i < 0 {
		return ""
	}
	v, date, ok := strings.Cut(string(behind[i+len("ruby "):]), " (")
	if !ok || len(date) != len("2006-01-02") {
		return ""
	}
	if n := numeric(v); n < len(v) && v[n] == 'p' && digit(v[len(v)-1]) && !strings.HasPrefix(v[n:], "preview") {
		v = v[:n] // the patch level says no more than the third number
	}
	return v
}

// mariaVersion reads a version that stands alone up to "-MariaDB".
func mariaVersion(behind, ahead []byte) string {
	if len(ahead) > 0 && ahead[0] != 0 && ahead[0] != '-' {
		return ""
	}
	return standing(behind)
}

// gitVersion reads "git/2.39.5", git's user agent, which its compilers put
// beside the name of the variable that overrides it.
func gitVersion(behind, ahead []byte) string {
	for _, b := range [...][]byte{behind, ahead} {
		if i := bytes.Index(b, []byte("git/")); i >= 0 {
			if v, rest := word(b[i+len("git/"):]); len(rest) == 0 || rest[0] == 0 {
				return v
			}
		}
	}
	return ""
}

// newest picks the highest plain version: redis and valkey list the versions
// their commands are known since, and none is newer than the server.
func newest(found []string, _ string) string {
	best, version := [3]int{}, ""
	for _, v := range found {
		n, ok := numbers(v)
		if ok && slices.Compare(n[:], best[:]) > 0 {
			best, version = n, v
		}
	}
	return version
}

// numbers splits a version of three numbers of at most three digits.
func numbers(v string) (n [3]int, ok bool) {
	parts := strings.Split(v, ".")
	if len(parts) != 3 {
		return n, false
	}
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil || len(p) > 3 {
			return n, false
		}
	}
	return n, true
}

// only returns the one version that has a prefix, "" when there are none or several.
func only(found []string, match func(v string) bool) string {
	version := ""
	for _, v := range found {
		switch {
		case !match(v):
		case version != "" && coreVersion(v) != coreVersion(version):
			return ""
		default:
			version = v
		}
	}
	return coreVersion(version)
}

// pythonVersion picks the version whose minor the file's name carries
// ("python3.11", "libpython3.11.so.1.0"), else the only one of a Python.
// 3.2.0 is in every Python: the Unicode database that IDNA needs.
func pythonVersion(found []string, base string) string {
	minor := strings.TrimPrefix(strings.TrimPrefix(base, "lib"), "python")
	minor = strings.TrimSuffix(minor[:numeric(minor)], ".")
	return only(found, func(v string) bool {
		if strings.Contains(minor, ".") {
			return strings.HasPrefix(v, minor+".")
		}
		return v != "3.2.0" && (strings.HasPrefix(v, "3.") || strings.HasPrefix(v, "2.7."))
	})
}

func perlVersion(found []string, _ string) string {
	return only(found, func(v string) bool { return strings.HasPrefix(v, "v5.") })
}

func sqliteVersion(found []string, _ string) string {
	return only(found, func(v string) bool { return strings.HasPrefix(v, "3.") })
}

// envoyVersion picks the only version 1.x with x of two digits; the other 1.x.y
// in the program are zlib's.
func envoyVersion(found []string, _ string) string {
	return only(found, func(v string) bool {
		n, ok := numbers(v)
		return ok && n[0] == 1 && n[1] >= 10
	})
}
