package html_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/html"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
	"github.com/seawall-security/seawall/internal/testenv"
)

func render(t testing.TB, r *seawall.Report) string {
	t.Helper()
	return string(sinktest.Render(t, r, func(w *bytes.Buffer) sink.Handler { return html.New(w, sink.Options{Packages: true}) }))
}

// one returns the only submatch of a pattern in a page.
func one(t *testing.T, page, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(`(?s)`+pattern).FindAllStringSubmatch(page, -1)
	if len(found) != 1 {
		t.Fatalf("%s occurs %d times, want once", pattern, len(found))
	}
	return found[0][1]
}

// A browser runs the page's own style and script only if the policy has their exact hashes.
func TestPolicyAllowsOnlyItsOwnCode(t *testing.T) {
	page := render(t, sinktest.Hostile())
	policy := one(t, page, `Content-Security-Policy" content="([^"]*)"`)
	for _, directive := range []string{"default-src &#39;none&#39;", "base-uri &#39;none&#39;", "form-action &#39;none&#39;"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("no %s in %s", directive, policy)
		}
	}
	for directive, code := range map[string]string{"style-src": one(t, page, `<style>(.*?)</style>`), "script-src": one(t, page, `<script>(.*?)</script>`)} {
		h := sha256.Sum256([]byte(code))
		want := directive + " &#39;sha256-" + strings.ReplaceAll(base64.StdEncoding.EncodeToString(h[:]), "+", "&#43;") + "&#39;"
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
}

func TestNothingIsFetched(t *testing.T) {
	page := render(t, sinktest.Report(t))
	if m := regexp.MustCompile(`(?i)<(link|img|iframe|object|embed)\b|\bsrc=|@import|url\(|fetch\(|XMLHttpRequest|eval\(|innerHTML`).FindString(page); m != "" {
		t.Errorf("the page has %q", m)
	}
}

// Whatever a name holds, the page has exactly its own elements, and the data
// comes back as it went in.
func TestHostileNamesStayData(t *testing.T) {
	page := render(t, sinktest.Hostile())
	if n := strings.Count(strings.ToLower(page), "</script"); n != 2 {
		t.Errorf("%d script ends, want 2", n)
	}
	if strings.Contains(page, "<img") || strings.Contains(page, "\u202e ") {
		t.Error("a name became markup or turns the reading direction")
	}
	var data struct {
		Groups []struct {
			Name     string `json:"n"`
			Findings []struct {
				URL string `json:"h"`
			} `json:"f"`
		}
	}
	if err := json.Unmarshal([]byte(one(t, page, `id="data">(.*?)</script>`)), &data); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(sinktest.Nasty, "\ufffd"); data.Groups[0].Name != want {
		t.Errorf("name %q, want %q", data.Groups[0].Name, want)
	}
	if u := data.Groups[0].Findings[0].URL; u != "" {
		t.Errorf("a hostile identifier links to %q", u)
	}
}

// What was not judged stands in the page itself, before the totals, also without script.
func TestGapsComeFirst(t *testing.T) {
	page := render(t, sinktest.Report(t))
	gaps, totals := strings.Index(page, "seawall db update --ecosystem Debian:9"), strings.Index(page, `class="totals"`)
	if gaps < 0 || totals < gaps {
		t.Errorf("remedy at %d, totals at %d", gaps, totals)
	}
}

// Incidents stand in the page itself, after the totals and before the findings, the worst first.
func TestIncidentsAreReadWithoutScript(t *testing.T) {
	page := render(t, sinktest.Report(t))
	last := 0
	for _, want := range []string{`class="totals"`, "Drop and execute new binary", "Deployment/shop/api, pod shop/api-7c9d8b6f5-x2k4q", "log4j-core 2.14.1 with CVE-2021-44228",
		"layer 2: COPY target/shop.jar", "system:serviceaccount:ci:deployer", "alice@example.com", "no-known-exploited", "Read sensitive file untrusted on the node", `id="findings"`} {
		i := strings.Index(page[last:], want)
		if i < 0 {
			t.Fatalf("no %q after byte %d", want, last)
		}
		last += i
	}
}

// A real browser runs the page under its policy: the list is rendered, no name
// became an element, no error was logged.
func TestInBrowser(t *testing.T) {
	if os.Getenv("SEAWALL_LONG") == "" {
		t.Skip("set SEAWALL_LONG=1 to open the page in Chromium")
	}
	browser := testenv.Tool(t, "chromium")
	for name, test := range map[string]struct {
		report *seawall.Report
		want   []string
	}{
		"recorded": {sinktest.Report(t), []string{"org.apache.logging.log4j:log4j-core", "36 vulnerabilities in 11 packages", `class="card critical"`}},
		"hostile":  {sinktest.Hostile(), []string{"1 vulnerability in 1 package", `\u202e`, "&lt;img src=x"}},
		"large":    {sinktest.Large(10_000), []string{"10000 vulnerabilities in 1000 packages"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "report.html")
			if err := os.WriteFile(file, []byte(render(t, test.report)), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"), "--enable-logging=stderr", "--dump-dom", "file://"+file)
			var log bytes.Buffer
			cmd.Stderr = &log
			dom, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, log.String())
			}
			if strings.Contains(log.String(), "CONSOLE") {
				t.Errorf("the console says:\n%s", log.String())
			}
			for _, want := range test.want {
				if !strings.Contains(string(dom), want) {
					t.Errorf("no %q in the page", want)
				}
			}
			if bytes.Contains(dom, []byte("<img")) {
				t.Error("a name became an element")
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	sinktest.Bench(b, sinktest.Large(10_000), func(w io.Writer) sink.Handler { return html.New(w, sink.Options{}) })
}

// Text keeps the contrast of WCAG 2.2 AA (4.5:1) on every background it stands on, in both themes.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := make(map[string][2]string)
	for _, m := range regexp.MustCompile(`--([\w-]+): light-dark\(#(\w+), #(\w+)\)`).FindAllStringSubmatch(string(css), -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	severities := []string{"critical", "high", "medium", "low", "negligible", "unknown"}
	pairs := [][2]string{{"ink", "page"}, {"ink", "card"}, {"soft", "page"}, {"soft", "card"}, {"soft", "sunk"}, {"link", "card"}, {"good", "card"}, {"warn-ink", "warn-back"}, {"badge-ink", "good"}, {"card", "ink"}}
	for _, s := range severities {
		pairs = append(pairs, [2]string{s, "sunk"}, [2]string{"badge-ink", s})
	}
	for _, p := range pairs {
		for i, theme := range []string{"light", "dark"} {
			if c := contrast(t, colours[p[0]][i], colours[p[1]][i]); c < 4.5 {
				t.Errorf("%s on %s is %.2f:1 in %s", p[0], p[1], c, theme)
			}
		}
	}
}

// contrast is the ratio of WCAG 2.2 for two sRGB colours in hexadecimal.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(s string) float64 {
		if len(s) == 3 {
			s = string([]byte{s[0], s[0], s[1], s[1], s[2], s[2]})
		}
		rgb, err := hex.DecodeString(s)
		if err != nil || len(rgb) != 3 {
			t.Fatalf("%q is no colour", s)
		}
		var linear [3]float64
		for i, c := range rgb {
			if x := float64(c) / 255; x <= 0.04045 {
				linear[i] = x / 12.92
			} else {
				linear[i] = math.Pow((x+0.055)/1.055, 2.4)
			}
		}
		return 0.2126*linear[0] + 0.7152*linear[1] + 0.0722*linear[2]
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
