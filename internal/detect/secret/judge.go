package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"math"
	"strings"
)

// passes runs a rule's test on a token of the right form; the first fixed bytes are the same in all of them.
func (r *rule) passes(token []byte, fixed int) bool {
	if known(token[fixed:]) || r.entropy > 0 && entropy(token) < r.entropy {
		return false
	}
	switch r.check {
	case "github", "npm":
		return crcBase62(token[4:])
	case "glsa":
		return crcHex(token)
	case "awsid":
		return !repetitive(token[4:]) && classes(token[4:]) > 1
	case "mixed":
		body := token[bytes.LastIndexByte(token, '_')+1:]
		return !repetitive(body) && classes(body) > 1
	case "airtable":
		return classes(token[3:17]) > 1 && (bytes.HasPrefix(token, []byte("pat")) || classes(token[3:]) > 1)
	case "jwt":
		return isJWT(token)
	case "pem":
		return isEncodedKey(token)
	}
	return true
}

// crcBase62 tests the checksum of GitHub's and npm's tokens: the last six digits
// are the CRC-32 of what is before them in base 62 ("Behind GitHub's new
// authentication token formats", github.blog 2021).
func crcBase62(body []byte) bool {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	n := len(body) - 6
	sum := crc32.ChecksumIEEE(body[:n])
	for i := len(body) - 1; i >= n; i-- {
		if body[i] != digits[sum%62] {
			return false
		}
		sum /= 62
	}
	return sum == 0
}

// crcHex tests Grafana's service account tokens: after the last underscore is the
// CRC-32 of all before it, lowest byte first, in hexadecimal.
func crcHex(token []byte) bool {
	i := bytes.LastIndexByte(token, '_')
	var sum [4]byte
	binary.LittleEndian.PutUint32(sum[:], crc32.ChecksumIEEE(token[:i]))
	return strings.EqualFold(string(token[i+1:]), hex.EncodeToString(sum[:]))
}

// isJWT says whether a token has a JOSE header with an algorithm and a payload of
// claims (RFC 7519 section 3) that is not the example everybody uses.
func isJWT(token []byte) bool {
	parts := bytes.SplitN(token, []byte("."), 3)
	var header struct {
		Algorithm string `json:"alg"`
	}
	var claims struct {
		Subject any    `json:"sub"`
		Name    string `json:"name"`
	}
	if !decodeJSON(parts[0], &header) || header.Algorithm == "" || !decodeJSON(parts[1], &claims) {
		return false
	}
	return claims.Subject != "1234567890" && claims.Name != "John Doe"
}

func decodeJSON(part []byte, v any) bool {
	text, err := base64.RawURLEncoding.DecodeString(string(part))
	return err == nil && json.Unmarshal(text, v) == nil
}

// isEncodedKey says whether base64 text is that of a private key's PEM block.
func isEncodedKey(token []byte) bool {
	text := make([]byte, 48)
	n, _ := base64.StdEncoding.Decode(text, token[:64])
	return bytes.Contains(text[:n], []byte("PRIVATE KEY"))
}

// entropy is Shannon's, in bits per byte.
func entropy(b []byte) float64 {
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	h, n := 0.0, float64(len(b))
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / n
			h -= p * math.Log2(p)
		}
	}
	return h
}

// classes counts which of lower case, upper case, digits and the rest occur.
func classes(b []byte) int {
	var seen [4]bool
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z':
			seen[0] = true
		case c >= 'A' && c <= 'Z':
			seen[1] = true
		case c >= '0' && c <= '9':
			seen[2] = true
		default:
			seen[3] = true
		}
	}
	n := 0
	for _, s := range seen {
		if s {
			n++
		}
	}
	return n
}

// repetitive says whether a value was typed and not drawn: one byte makes half of
// it, or most of its bytes follow their predecessor ("aaaa", "12345", "abcdef").
func repetitive(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	var counts [256]int
	most, steps := 0, 0
	for i, c := range b {
		counts[c]++
		most = max(most, counts[c])
		if i > 0 && (c == b[i-1] || c == b[i-1]+1 || c == b[i-1]-1) {
			steps++
		}
	}
	return 2*most > len(b) || len(b) > 5 && 2*steps >= len(b)
}

// known says whether a value is one of documentation and placeholders.
func known(value []byte) bool {
	lower := strings.ToLower(string(value))
	for _, word := range placeholders {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return examples[string(value)] || len(value) > 12 && repetitive(value)
}

// placeholders occur in values that stand for a secret. They are long enough not
// to occur in drawn ones.
var placeholders = []string{
	"example", "xxxxx", "placeholder", "changeme", "change_me", "change-me", "changeit", "your_", "your-", "yourpass", "yourtoken",
	"yourkey", "yoursecret", "yourapi", "insert_", "insert-", "replace", "redacted", "dummy", "sample", "notreal", "not-real", "not_real",
	"foobar", "loremipsum", "123456789", "987654321", "abcdefgh", "qwerty", "00000000", "deadbeef", "cafebabe", "aaaaaaa", "*****", ".....", "-----",
	"testing", "mysecret", "my-secret", "my_secret", "mypassword", "mytoken", "<", "{{", "${", "$(", "%(", "%s", "todo",
}

// examples are values vendors print in their documentation and that name themselves nowhere.
var examples = map[string]bool{
	"sk_test_4eC39HqL" + "yjWDarjtT1zdp7dc": true,
	"sk_test_BQokikJO" + "vBiI2HlWgH4olfQ2": true,
	"rzp_live_ILgsfZ" + "CZoFIKMb":          true,
}

// wordy says whether most letters of a value form words of a human language
// or names of a program: the share of frequent English letter pairs.
func wordy(value []byte) bool {
	pairs, common, run := 0, 0, 0
	for i, c := range value {
		l := c | 0x20
		if l < 'a' || l > 'z' {
			run = 0
			continue
		}
		if run > 0 {
			pairs++
			p := value[i-1] | 0x20
			if commonPairs[p-'a']&(1<<(l-'a')) != 0 {
				common++
			}
		}
		run++
	}
	return pairs >= 4 && 2*pairs >= len(value) && 10*common >= 6*pairs
}

// commonPairs are, by first letter, the letters that follow it often in English.
var commonPairs = func() (t [26]uint32) {
	for i, next := range [26]string{
		"bcdgilmnprstuvy", "aeiloruby", "aehiklorut", "adeiors", "acdelmnprstvxy", "aefiloru", "aehilnoru", "aeioty", "acdefglmnorstvz", "aou",
		"einsw", "adeilosuyt", "abeimopsu", "acdegikostuvn", "bcdfklmnoprstuvw", "aehiloprstu", "u", "acdegikmnorstuvy", "aceihkmopqstuwy",
		"aehiorstuwy", "abceglmnprst", "aeio", "aehino", "cpteai", "esop", "aeo",
	} {
		for _, c := range []byte(next) {
			t[i] |= 1 << (c - 'a')
		}
	}
	return t
}()

// drawn says whether the value of an assignment looks like a generated secret.
func drawn(value []byte) bool {
	if len(value) < 16 || len(value) > 512 || known(value) || isUUID(value) || wordy(value) {
		return false
	}
	digits, hexadecimal, punctuation := 0, true, 0
	for _, c := range value {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'f':
		case c|0x20 >= 'g' && c|0x20 <= 'z':
			hexadecimal = false
		case c <= ' ' || c > '~' || strings.IndexByte("\"'`(){}[]<>,;\\", c) >= 0:
			return false
		default:
			hexadecimal = false
			punctuation++
		}
	}
	if digits == 0 || digits == len(value) || 4*punctuation > len(value) || isPath(value) {
		return false
	}
	switch h := entropy(value); {
	case hexadecimal:
		return h >= 3
	case len(value) < 24:
		return h >= 3.2
	default:
		return h >= 3.6
	}
}

// chosen says whether a value looks like a password somebody uses: not a
// placeholder, not a name or reference of a program.
func chosen(value []byte) bool {
	if len(value) < 6 || len(value) > 128 || known(value) || repetitive(value) || isUUID(value) || isPath(value) {
		return false
	}
	lower := strings.ToLower(string(value))
	for _, word := range []string{"password", "passwd", "passphrase", "secret", "default", "string", "undefined", "process.env", "os.environ", "getenv", "none", "null", "false", "true", "test", "admin123", "hunter2"} {
		if lower == word || len(word) > 6 && strings.Contains(lower, word) && wordy(value) {
			return false
		}
	}
	for _, c := range value {
		if c <= ' ' || c > '~' || strings.IndexByte("(){}[]<>`\"'", c) >= 0 {
			return false
		}
	}
	if strings.HasPrefix(lower, "$") || strings.HasPrefix(lower, "%") || strings.HasPrefix(lower, "&") || strings.HasPrefix(lower, "--") {
		return false
	}
	upper := !bytes.ContainsAny(value, "abcdefghijklmnopqrstuvwxyz") && bytes.ContainsAny(value, "-_")
	if upper || bytes.Count(value, []byte(":")) > 2 {
		return false
	}
	hasDigit := bytes.ContainsAny(value, "0123456789")
	if !hasDigit && (classes(value) < 3 || bytes.IndexByte(value, '.') > 0) {
		return false
	}
	return classes(value) > 1
}

func isUUID(v []byte) bool {
	if len(v) != 36 || v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
		return false
	}
	return true
}

// isPath says whether a value is a place: a path, a URL, a host, a version, an image reference.
func isPath(v []byte) bool {
	s := string(v)
	if strings.HasPrefix(s, "/") && strings.Count(s, "/") > 1 || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || strings.HasPrefix(s, "~/") ||
		strings.HasPrefix(s, "@") || strings.Contains(s, "://") || strings.HasPrefix(s, "arn:") || strings.HasPrefix(s, "sha256:") || strings.HasPrefix(s, "sha512-") ||
		strings.HasPrefix(s, "sha1-") || strings.HasPrefix(s, "sha256-") || strings.HasPrefix(s, "sha384-") || strings.HasPrefix(s, "data:") {
		return true
	}
	return strings.Count(s, ".") > 1 && wordy(v)
}
