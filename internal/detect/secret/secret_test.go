package secret_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/secret"
	"github.com/seawall-security/seawall/internal/detect/secret/live"
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

var (
	_ inventory.Streamer  = (*secret.Collector)(nil)
	_ inventory.Collector = (*secret.HistoryCollector)(nil)
	_ detect.Explainer    = (*secret.Detector)(nil)
)

// gitHub makes a token with the checksum GitHub's have.
func gitHub(seed string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	body := (strings.NewReplacer("+", "", "/", "", "=", "").Replace(base64.StdEncoding.EncodeToString([]byte(seed+"kQ7xVb2nTz9wLp4mRc8sYd3f"))) + "Zk9vQ2xW7b")[:30]
	sum, check := crc32.ChecksumIEEE([]byte(body)), [6]byte{}
	for i := 5; i >= 0; i-- {
		check[i] = digits[sum%62]
		sum /= 62
	}
	return "ghp" + "_" + body + string(check[:])
}

// stripe makes what looks like a live key.
func stripe() string { return "sk" + "_live_" + "9fK2mQx7Lw4Vz8Tn3Rb6Yc1H" }

// content gives bytes the shape of an opened file.
type content struct{ *bytes.Reader }

func file(p string, data []byte) seawall.File {
	return seawall.File{Path: p, Content: content{bytes.NewReader(data)}, Budget: func(int64) (func(), error) { return func() {}, nil }}
}

func open(t testing.TB, o secret.Options) (*secret.Collector, *secret.Detector) {
	t.Helper()
	c, d, err := secret.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

// collect returns what is found in a file as "rule inner:line".
func collect(t testing.TB, c *secret.Collector, p string, data []byte) (out []string) {
	t.Helper()
	facts, err := c.Collect(context.Background(), file(p, data))
	if err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	for _, f := range facts {
		out = append(out, fmt.Sprintf("%s %s:%d", f.Match.Rule, f.Match.Location.Inner, f.Match.Location.Line))
	}
	return out
}

func TestForms(t *testing.T) {
	c, _ := open(t, secret.Options{})
	b64 := base64.StdEncoding.EncodeToString
	tests := []struct{ name, path, text, want string }{
		{"docker login", "root/.docker/config.json", "{\n \"auths\": {\"r.io\": {\n  \"auth\": \"" + b64([]byte("robot:kW9xPq27Lm")) + "\"}}}", "SW-SEC-451 :3"},
		{"netrc", "root/.netrc", "machine git.io\nlogin me\npassword s3cr3tive9\n", "SW-SEC-455 :3"},
		{"pgpass", "root/.pgpass", "db:5432:app:app:kV82mmq1\n", "SW-SEC-456 :1"},
		{"shadow", "etc/shadow", "daemon:*:1:\nroot:$6$saltsalt$" + strings.Repeat("aB3/", 21) + ":19000:\n", "SW-SEC-457 :2"},
		{"url", "srv/x.ini", "\nu = mongodb+srv" + "://app:Zx91kkLq@db.corp/app\n", "SW-SEC-442 :2"},
		{"manifest pair", "srv/deploy.yml", "env:\n- name: API_TOKEN\n  value: k2Lx9Qw8Zr5Tn1Vb7Mc4Yd\n", "SW-SEC-001 :3"},
		{"xml", "srv/settings.xml", "<server>\n<password>Tq7!mzK29w</password></server>", "SW-SEC-002 :2"},
		{"connection string", "srv/Db.cs", `var c = "Server=db;Database=a;User=sa;Password=Tq7mzK29wX;";`, "SW-SEC-005 :1"},
		{"basic", "srv/run.sh", "curl -H 'Authorization: Basic " + b64([]byte("svc:Kq82mmx1Z")) + "' https://x\n", "SW-SEC-003 :1"},
		{"terraform state", "srv/terraform.tfstate", "{\"api_token\": \"k2Lx9Qw8Zr5Tn1Vb7Mc4Yd\"}", "SW-SEC-453 :1"},
		{"class", "srv/Main.class", "\xca\xfe\xba\xbe\x00\x00\x00\x34\x00\x03\x01\x00\x28" + gitHub("class") + "\x01\x00\x04Code", "SW-SEC-100 :0"},
		{"key of a library's class", "srv/Ssl.class", "\xca\xfe\xba\xbe\x00\x00-----BEGIN RSA " + "PRIVATE KEY-----\n" + b64([]byte("this stands for the numbers of a key, twelve times four letters, and some more")) + "\n-----END", ""},
		{"binary", "usr/bin/tool", "\x7fELF\x00\x00\x00 " + gitHub("bin") + "\x00rest", "SW-SEC-100 :0"},
	}
	for _, tt := range tests {
		if got := strings.Join(collect(t, c, tt.path, []byte(tt.text)), ", "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestChunks plants a secret at every awkward place around the ends of buffers,
// read at once and streamed.
func TestChunks(t *testing.T) {
	c, _ := open(t, secret.Options{})
	token := gitHub("chunk")
	for _, at := range []int{0, 256<<10 - 20, 256 << 10, 256<<10 + 2<<10 - 10, 264 << 10, 266<<10 - 5, 266<<10 + 1, 900 << 10} {
		data := bytes.Repeat([]byte("lorem ipsum\n"), 1<<20/12)
		copy(data[at/12*12:], token+"\n")
		want := []string{fmt.Sprintf("SW-SEC-100 :%d", at/12+1)}
		if diff := cmp.Diff(want, collect(t, c, "srv/a.log", data)); diff != "" {
			t.Errorf("at %d (-want +got):\n%s", at, diff)
		}
		s := c.Stream("srv/a.log", nil)
		for chunk := range slices.Chunk(data, 100_000) {
			_, _ = s.Write(chunk)
		}
		facts, err := s.Facts()
		if err != nil || len(facts) != 1 || facts[0].Match.Location.Line != at/12+1 {
			t.Errorf("streamed at %d: %v, %v", at, facts, err)
		}
	}
}

// TestWide searches UTF-16 in both orders, read at once and streamed in chunks
// that cut units, with the token in another buffer than the mark.
func TestWide(t *testing.T) {
	c, _ := open(t, secret.Options{})
	text := strings.Repeat("l\u00f6rem \u6f22\u5b57\r\n", 40_000) + "$token = '" + gitHub("wide") + "'\r\n"
	want := []string{"SW-SEC-100 :40001"}
	for name, order := range map[string]binary.AppendByteOrder{"little endian": binary.LittleEndian, "big endian": binary.BigEndian} {
		data := order.AppendUint16(nil, 0xfeff)
		for _, u := range utf16.Encode([]rune(text)) {
			data = order.AppendUint16(data, u)
		}
		if diff := cmp.Diff(want, collect(t, c, "srv/login.ps1", data)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		s := c.Stream("srv/login.ps1", nil)
		for chunk := range slices.Chunk(data, 10_001) {
			_, _ = s.Write(chunk)
		}
		facts, err := s.Facts()
		if err != nil || len(facts) != 1 || facts[0].Match.Location.Line != 40001 {
			t.Errorf("%s streamed: %v, %v", name, facts, err)
		}
	}
	if got := collect(t, c, "srv/login.ps1", []byte("\xff\xfet\x00")); got != nil {
		t.Errorf("a mark and one letter: %v", got)
	}
}

func TestArchives(t *testing.T) {
	c, _ := open(t, secret.Options{})
	text := []byte("# settings\nTOKEN=" + gitHub("zip") + "\n")
	var z, tr, gz bytes.Buffer
	zw := zip.NewWriter(&z)
	w, _ := zw.Create("conf/app.env")
	_, _ = w.Write(text)
	zw.Close()
	gw := gzip.NewWriter(&tr)
	tw := tar.NewWriter(gw)
	_ = tw.WriteHeader(&tar.Header{Name: "./conf/app.env", Typeflag: tar.TypeReg, Size: int64(len(text)), Mode: 0o644})
	_, _ = tw.Write(text)
	tw.Close()
	gw.Close()
	gw = gzip.NewWriter(&gz)
	_, _ = gw.Write(text)
	gw.Close()
	for p, data := range map[string][]byte{"a.zip": z.Bytes(), "a.tar.gz": tr.Bytes()} {
		if diff := cmp.Diff([]string{"SW-SEC-100 conf/app.env:2"}, collect(t, c, p, data)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p, diff)
		}
	}
	if diff := cmp.Diff([]string{"SW-SEC-100 app.env:2"}, collect(t, c, "app.env.gz", gz.Bytes())); diff != "" {
		t.Errorf("gz (-want +got):\n%s", diff)
	}
	// Archives within archives, and a text that only has an archive's name.
	var outer bytes.Buffer
	zw = zip.NewWriter(&outer)
	for name, data := range map[string][]byte{"lib/a.tar.gz": tr.Bytes(), "x.gz": text} {
		w, _ := zw.Create(name)
		_, _ = w.Write(data)
	}
	zw.Close()
	nested := collect(t, c, "outer.jar", outer.Bytes())
	slices.Sort(nested)
	if diff := cmp.Diff([]string{"SW-SEC-100 lib/a.tar.gz/conf/app.env:2", "SW-SEC-100 x.gz:2"}, nested); diff != "" {
		t.Errorf("nested (-want +got):\n%s", diff)
	}
	deep := z.Bytes()
	for range 3 {
		var next bytes.Buffer
		zw := zip.NewWriter(&next)
		w, _ := zw.Create("a.zip")
		_, _ = w.Write(deep)
		zw.Close()
		deep = next.Bytes()
	}
	if _, err := c.Collect(context.Background(), file("deep.zip", deep)); !errors.Is(err, seawall.ErrBound) {
		t.Errorf("an archive within three others: %v", err)
	}
	if _, err := c.Collect(context.Background(), file("cut.tar.gz", tr.Bytes()[:tr.Len()/2])); err == nil {
		t.Error("a cut archive is no error")
	}
}

func TestDetector(t *testing.T) {
	c, d := open(t, secret.Options{})
	token, env := gitHub("detect"), stripe()
	facts, err := c.Collect(context.Background(), file("srv/.env", []byte("TOKEN="+token+"\n")))
	if err != nil {
		t.Fatal(err)
	}
	visible, hidden := *facts[0].Match, *facts[0].Match
	visible.Location.Path, hidden.Location.Path, hidden.Hidden = "srv/.env", "old/.env", true
	image := &seawall.ImageInfo{
		Env: []string{"PATH=/bin", "STRIPE=" + env}, Labels: map[string]string{"ci": "x"},
		History: []seawall.HistoryStep{{CreatedBy: "RUN |1 TOKEN=" + token + " /bin/sh -c make"}},
	}
	res, err := d.Detect(context.Background(), detect.Facts{Asset: seawall.Asset{Image: image}, Matches: []seawall.Match{hidden, visible}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range res.Findings {
		got = append(got, f.Rule+" "+f.Title)
		for _, l := range f.Locations {
			got = append(got, strings.TrimSpace("  "+l.Path+l.Resource+" "+l.Field))
		}
	}
	want := []string{
		"SW-SEC-100 GitHub personal access token (classic)", "srv/.env", "image configuration history", "old/.env",
		"SW-SEC-250 Stripe live secret key", "image configuration env STRIPE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	alone, err := d.Detect(context.Background(), detect.Facts{Matches: []seawall.Match{hidden}})
	if err != nil || len(alone.Findings) != 1 || !strings.Contains(alone.Findings[0].Title, "deleted by a later layer, still in the image") {
		t.Errorf("hidden: %+v, %v", alone.Findings, err)
	}
	text, err := json.Marshal(append(res.Findings, alone.Findings...))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{token, env, token[8:20], env[12:24]} {
		if bytes.Contains(text, []byte(s)) {
			t.Errorf("findings give away %q", s)
		}
	}
	if got := d.Redact("RUN TOKEN=" + token + " make"); got != "RUN TOKEN=[secret] make" {
		t.Errorf("Redact = %q", got)
	}
}

func TestGitleaksRules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("base.toml", "[[rules]]\nid = \"base-key\"\nregex = '''base_([0-9a-z]{12})'''\nsecretGroup = 1\nkeywords = [\"base_\"]\n")
	main := write("main.toml", `title = "ours"
[extend]
path = "base.toml"
[[rules]]
id = "acme-key"
description = "Acme key"
regex = '''ACME-([A-Z0-9]{16})'''
secretGroup = 1
entropy = 2.5
keywords = ["acme"]
[rules.allowlist]
stopwords = ["KNOWN"]
paths = ['''docs/''']
[[rules]]
id = "key-store"
path = '''\.jks$'''
[allowlist]
regexTarget = "line"
regexes = ['''# allowed''']
`)
	c, d := open(t, secret.Options{Rules: []string{main}})
	plain, _ := open(t, secret.Options{})
	if c.Version() == plain.Version() {
		t.Error("rules do not change the version")
	}
	key := "ACME-" + "Q7XK2LM9WZ4TB8RN"
	for _, tt := range []struct{ path, text, want string }{
		{"a.txt", "x\n" + key + "\n", "acme-key :2"},
		{"a.txt", "ACME-" + "KNOWN2LM9WZ4TB8R\n", ""},
		{"docs/a.txt", key + "......\n", ""},
		{"a.txt", key + " # allowed\n", ""},
		{"a.txt", "ACME-" + "AAAAAAAAAAAAAAAA\n", ""},
		{"a.txt", "base_" + "k2m9x7q4w1z8\n", "base-key :1"},
		{"a.jks", "abcdefghijklmnop", "key-store :1"},
	} {
		if got := strings.Join(collect(t, c, tt.path, []byte(tt.text)), ", "); got != tt.want {
			t.Errorf("%s %q: got %q, want %q", tt.path, tt.text, got, tt.want)
		}
	}
	facts, _ := c.Collect(context.Background(), file("a.txt", []byte(key+" \n")))
	res, _ := d.Detect(context.Background(), detect.Facts{Matches: []seawall.Match{*facts[0].Match}})
	if f := res.Findings[0]; f.Title != "Acme key" || f.Rule != "acme-key" {
		t.Errorf("finding = %+v", f)
	}
	for name, text := range map[string]string{
		"broken": "[[rules]", "no id": "[[rules]]\nregex='a'", "regex": "[[rules]]\nid='x'\nregex='('", "group": "[[rules]]\nid='x'\nregex='a'\nsecretGroup=2",
		"url": "[extend]\nurl='https://x'", "override": "[extend]\nuseDefault=true\n[[rules]]\nid='aws'",
	} {
		_, _, err := secret.New(secret.Options{Rules: []string{write("bad.toml", text)}})
		if err == nil || !strings.Contains(err.Error(), "bad.toml") {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func TestHistory(t *testing.T) {
	git := testenv.Tool(t, "git")
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(git, append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "-q")
	put := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run("add", ".")
		run("commit", "-qm", "c")
		return run("rev-parse", "HEAD")
	}
	put("readme", "hello, this is text\n")
	first := put("app env", "A=1\nTOKEN="+gitHub("history")+"\n")
	put("app env", "A=1\n")
	run("gc", "-q", "--aggressive", "--prune=now") // all in one pack, as deltas
	if packs, _ := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.pack")); len(packs) != 1 {
		t.Fatalf("packs: %v", packs)
	}
	c, d := open(t, secret.Options{})
	matches, err := c.History(context.Background(), dir)
	if err != nil || len(matches) != 1 {
		t.Fatalf("%v, %v", matches, err)
	}
	if m := matches[0]; m.Location.Path != "app env" || m.Location.Line != 2 || m.Data["commit"] != first {
		t.Errorf("match = %+v, want commit %s", m, first)
	}
	res, _ := d.Detect(context.Background(), detect.Facts{Matches: matches})
	if !strings.Contains(res.Findings[0].Title, "git history") {
		t.Errorf("title = %q", res.Findings[0].Title)
	}
	if _, err := c.History(context.Background(), t.TempDir()); err == nil {
		t.Error("a directory without a repository is no error")
	}
}

func TestVerify(t *testing.T) {
	valid, revoked, broken := gitHub("live"), gitHub("revoked"), gitHub("broken")
	calls := map[string]int{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		calls[token]++
		switch {
		case r.URL.Path != "/user":
			w.WriteHeader(http.StatusNotFound)
		case token == revoked:
			w.WriteHeader(http.StatusUnauthorized)
		case token == broken:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	c, _ := open(t, secret.Options{Verify: &live.Options{Client: server.Client(), Base: map[string]string{"GitHub": server.URL}, Interval: time.Nanosecond}})
	facts, err := c.Collect(context.Background(), file("a.env", []byte(valid+"\n"+revoked+"\n"+broken+"\n"+valid+"\n")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range facts {
		got = append(got, f.Match.Data["verified"])
	}
	if diff := cmp.Diff([]string{"live", "revoked", "unknown", "live"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if calls[valid] != 1 {
		t.Errorf("a token was asked about %d times", calls[valid])
	}
}

// TestWants keeps what is not worth reading out, and nothing else.
func TestWants(t *testing.T) {
	c, _ := open(t, secret.Options{})
	fsys := fstest.MapFS{"a": {Data: []byte("0123456789abcdef"), Mode: 0o600}}
	info, _ := fsys.Stat("a")
	for p, want := range map[string]bool{"srv/.env": true, "usr/bin/x": true, "a.png": false, "a.js.map": false, "usr/share/doc/x/changelog.gz": false, "a.jar": true} {
		if c.Wants(p, info) != want {
			t.Errorf("Wants(%s) = %v", p, !want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { c.Wants("usr/lib/x86_64-linux-gnu/libc.so.6", info) }); n != 0 {
		t.Errorf("Wants allocates %v times", n)
	}
}

// FuzzCollect: no content makes the search panic, and whatever it finds lies in it.
func FuzzCollect(f *testing.F) {
	f.Add("a.env", []byte("TOKEN="+gitHub("fuzz")+"\n"))
	f.Add("a.xml", []byte("<password>Tq7!mzK29w</password>"))
	f.Add("x/.netrc", []byte("machine a password b"))
	f.Add("a.json", []byte(`{"auth": "dTpwYXNzd29yZDE="}`))
	f.Add("a.yml", []byte("name: TOKEN\nvalue: k2Lx9Qw8Zr5Tn1Vb7Mc4Yd postgres://a:b9kk2@h/"))
	f.Add("k.pem", []byte("-----BEGIN RSA "+"PRIVATE KEY-----\\nAAAA\\n"))
	f.Add("a.zip", []byte("PK\x03\x04"))
	f.Add("a.tar.gz", []byte{0x1f, 0x8b, 8, 0})
	c, _ := open(f, secret.Options{})
	f.Fuzz(func(t *testing.T, p string, data []byte) {
		facts, _ := c.Collect(context.Background(), file(p, data))
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, fact := range facts {
			if m := fact.Match; m.Location.Inner == "" && m.Location.Line > lines || m.Fingerprint == "" || m.Rule == "" {
				t.Errorf("match %+v in %d lines", m, lines)
			}
		}
	})
}

// FuzzRules: a rule file gives rules or an error.
func FuzzRules(f *testing.F) {
	f.Add("[[rules]]\nid='x'\nregex='a(b)'\nsecretGroup=1\n[rules.allowlist]\npaths=['x']")
	f.Add("[extend]\nuseDefault=true")
	f.Fuzz(func(t *testing.T, text string) {
		p := filepath.Join(t.TempDir(), "r.toml")
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, d, err := secret.New(secret.Options{Rules: []string{p}})
		if (err == nil) != (c != nil && d != nil) {
			t.Errorf("%v, %v, %v", c, d, err)
		}
	})
}

var _ io.Reader = content{}
