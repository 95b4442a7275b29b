package secret

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
)

// sample is a text of the labelled set. Nothing in it was ever a real credential:
// all is drawn from the formats when the test runs.
type sample struct {
	class, path, text string
	rule              string // "" is a negative
}

// draw makes a string of a pattern's form.
func draw(r *rand.Rand, p *pattern) string {
	var b []byte
	for i := len(p.before) - 1; i >= 0; i-- {
		b = append(b, drawAtom(r, &p.before[i])...)
	}
	b = append(b, p.literal...)
	for i := range p.after {
		b = append(b, drawAtom(r, &p.after[i])...)
	}
	return string(b)
}

func drawAtom(r *rand.Rand, a *atom) []byte {
	var members []byte
	for c := 0; c < 256; c++ {
		if a.set.has(byte(c)) {
			members = append(members, byte(c))
		}
	}
	b := make([]byte, a.min+r.IntN(min(a.max-a.min, 8)+1))
	for i := range b {
		b[i] = members[r.IntN(len(members))]
	}
	return b
}

// drawToken makes a token of a rule: with the checksum or structure its check asks for.
func drawToken(t testing.TB, r *rand.Rand, ru *rule, p *pattern) string {
	for range 200 {
		token := draw(r, p)
		switch ru.check {
		case "github", "npm":
			body := token[4 : len(token)-6]
			token = token[:4] + body + base62(crc32.ChecksumIEEE([]byte(body)))
		case "glsa":
			i := strings.LastIndexByte(token, '_')
			token = token[:i+1] + hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(token[:i]))))
		case "jwt":
			token = drawJWT(r)
		case "pem":
			token = base64.StdEncoding.EncodeToString([]byte("-----BEGIN RSA " + "PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString(randomBytes(r, 300))))
		}
		last := token[len(token)-1]
		if !strings.ContainsAny(string(last), "-_.~+/") && ru.passes([]byte(token), len(p.literal)) {
			return token
		}
	}
	t.Fatalf("%s: nothing drawn from its form passes its own test", ru.ID)
	return ""
}

func drawJWT(r *rand.Rand) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc(fmt.Appendf(nil, `{"sub":"u%d","iat":%d}`, r.IntN(1e6), 1_700_000_000+r.IntN(1e6))) + "." + enc(randomBytes(r, 32))
}

func base62(n uint32) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := []byte("000000")
	for i := 5; i >= 0; i-- {
		b[i] = digits[n%62]
		n /= 62
	}
	return string(b)
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func letters(r *rand.Rand, n int, set string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = set[r.IntN(len(set))]
	}
	return string(b)
}

const (
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	hexDigits    = "0123456789abcdef"
)

// positives are secrets of every rule in the texts people leave them in.
func positives(t testing.TB, r *rand.Rand, e *engine) (out []sample) {
	frames := []string{
		"export %s\n", "# settings\nvalue: %s\n", `const c = connect("%s");` + "\n", "curl -H 'x: %s' https://api.internal\n", `{"a": 1, "b": "%s"}`, "RUN echo %s > /tmp/x\n",
	}
	n := 0
	for _, ru := range e.rules {
		for _, p := range ru.tokens {
			out = append(out, sample{"token", "srv/app/config.sh", fmt.Sprintf(frames[n%len(frames)], drawToken(t, r, ru, p)), ru.ID})
			n++
		}
		for _, p := range ru.values {
			forms := []string{"%s_SECRET_KEY=%s\n", "%s_token: '%s'\n", `{"%s_api_key": "%s"}`}
			name := ru.contexts[0]
			out = append(out, sample{"context", "srv/app/.env", fmt.Sprintf(forms[n%len(forms)], name, drawToken(t, r, ru, p)), ru.ID})
			n++
		}
	}
	for range 40 {
		out = append(out,
			sample{"generic", "srv/app.env", "SESSION_SECRET=" + letters(r, 32, alphanumeric) + "\n", ruleGeneric},
			sample{"generic", "srv/app.py", "api_key = '" + letters(r, 40, hexDigits) + "'\n", ruleGeneric},
			sample{"password", "srv/app.yml", "db:\n  password: " + letters(r, 6, "abcdefghkmnpqrstuvwxyz") + letters(r, 4, "23456789") + "!X\n", rulePassword},
			sample{"url", "srv/app.env", "DATABASE=postgres" + "://app:" + letters(r, 14, alphanumeric) + "@db.internal:5432/app\n", "SW-SEC-440"},
			sample{"key", "srv/tls/key.pem", "-----BEGIN RSA " + "PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString(randomBytes(r, 600)) + "\n-----END RSA " + "PRIVATE KEY-----\n", rulePrivateKey},
		)
	}
	return out
}

// negatives are twins of the positives that are no secrets, and what else looks like one.
func negatives(t testing.TB, r *rand.Rand, e *engine) (out []sample) {
	add := func(class, path, format string, args ...any) {
		out = append(out, sample{class: class, path: path, text: fmt.Sprintf(format, args...) + "\n"})
	}
	for _, ru := range e.rules {
		for _, p := range ru.tokens {
			token := drawToken(t, r, ru, p)
			add("placeholder", "srv/a.conf", "use %s here", p.literal+strings.Repeat("x", max(len(token)-len(p.literal), 4)))
			add("cut", "srv/a.conf", "use %s here", token[:len(p.literal)+2])
			switch ru.check {
			case "github", "npm", "glsa":
				body := []byte(token)
				for i := range body {
					if i > 6 && i < 20 {
						body[i] = alphanumeric[r.IntN(26)]
					}
				}
				add("checksum", "srv/a.conf", "use %s here", body)
			default:
				add("fixture", "srv/testdata/a.conf", "use %s here", token)
			}
		}
	}
	for range 30 {
		h := letters(r, 64, hexDigits)
		add("digest", "srv/Dockerfile", "FROM debian@sha256:%s", h)
		add("lock", "srv/package-lock.json", `"integrity": "sha512-%s==", "token": "%s"`, letters(r, 86, alphanumeric), letters(r, 40, alphanumeric))
		add("uuid", "srv/a.yml", "token: %s-%s-4%s-a%s-%s", h[:8], h[8:12], h[12:15], h[15:18], h[18:30])
		add("reference", "srv/a.yml", "password: ${DB_PASSWORD_%d}", r.IntN(100))
		add("reference", "srv/a.py", "password = os.environ['DB_PASSWORD_%d']", r.IntN(100))
		add("code", "srv/a.go", "token := parser.nextToken%d()", r.IntN(1000))
		add("name", "srv/a.env", "SECRET_NAME=orders-service-credentials-%d", r.IntN(1000))
		add("path", "srv/a.env", "PRIVATE_KEY_FILE=/etc/ssl/private/server-%d.key", r.IntN(1000))
		add("path", "srv/a.env", "TOKEN=/var/run/secrets/tokens/vault-%d/token", r.IntN(1000))
		add("word", "srv/a.json", `{"password": "Enter your password, at least %d characters"}`, r.IntN(20))
		add("example", "srv/a.env", "AWS_ACCESS_KEY_ID=AKIA%sEXAMPLE", letters(r, 9, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
		add("public", "srv/a.env", "PUBLIC_KEY=%s", letters(r, 44, alphanumeric))
		add("url", "srv/a.env", "URL=https://user:password@example.com/%s", h[:8])
		add("url", "srv/a.env", "URL=postgres://app:${PASSWORD}@db/%s", h[:8])
		add("minified", "srv/a.js", "%s", strings.Repeat("var a=1;", 300)+`token="`+letters(r, 32, alphanumeric)+`";`+strings.Repeat("b();", 400))
	}
	return out
}

// TestLabelledSet measures precision and recall over a set drawn from the
// formats. The bounds are what was measured, rounded down.
func TestLabelledSet(t *testing.T) {
	e, err := newEngine(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	pos, neg := positives(t, r, e), negatives(t, r, e)
	found, exact, wrong := 0, 0, 0
	for _, s := range pos {
		m := e.searchText(s.path, s.text)
		hit := false
		for _, x := range m {
			hit = hit || x.Rule == s.rule
		}
		switch {
		case hit:
			exact++
			found++
		case len(m) > 0:
			found++
			t.Logf("%s found as %s: %s", s.rule, m[0].Rule, m[0].Evidence)
		default:
			t.Logf("%s (%s) not found: %.100q", s.rule, s.class, s.text)
		}
	}
	for _, s := range neg {
		if m := e.searchText(s.path, s.text); len(m) > 0 {
			wrong++
			t.Logf("false: %s %s %s: %.120q", s.class, m[0].Rule, m[0].Evidence, s.text)
		}
	}
	recall, precision := float64(found)/float64(len(pos)), float64(found)/float64(found+wrong)
	t.Logf("%d positives, %d negatives: recall %.4f (right rule %.4f), precision %.4f", len(pos), len(neg), recall, float64(exact)/float64(len(pos)), precision)
	if len(pos) < 400 || len(neg) < 600 {
		t.Errorf("the set is too small")
	}
	if recall < 0.98 || precision < 0.98 {
		t.Errorf("recall %.4f, precision %.4f", recall, precision)
	}
}
