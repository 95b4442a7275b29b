package view_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/compliance/view"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

var update = flag.Bool("update", false, "write the golden files anew")

// report has a requirement of every status, with foreign text that wants to be markup.
func report(foreign string) *compliance.Report {
	fail := compliance.Check{ID: "SW-POD-001", Title: "No privileged containers", Severity: seawall.SeverityHigh, Status: compliance.Fail, Failed: 2, Passed: 5, Remediation: "Take it away.",
		Evidence: []compliance.Evidence{{Finding: "f1", Asset: "cluster:c", Severity: seawall.SeverityHigh, Title: "Privileged: " + foreign, Place: "Pod/shop/" + foreign, Detail: "privileged: true", Remediation: "Apply:\nkind: Pod"}}, LeftOut: 1}
	accepted := compliance.Check{ID: "SW-POD-002", Title: "No host network", Status: compliance.Pass, Exceptions: 1,
		Evidence: []compliance.Evidence{{Finding: "f2", Asset: "cluster:c", Title: "Host network", Place: "DaemonSet/kube-system/cni", Accepted: "the network plugin needs it"}}}
	open := compliance.Check{ID: "SW-K8S-001", Title: "Anonymous requests", Status: compliance.NotEvaluated, Reason: "pods: forbidden " + foreign}
	hand := compliance.Check{ID: "SW-K8S-002", Title: "Files are private", Status: compliance.Manual, Reason: "look at the files"}
	none := compliance.Check{ID: "SW-K8S-003", Title: "Etcd's files", Status: compliance.NotApplicable, Reason: "managed control plane"}
	r := &compliance.Report{
		SchemaVersion: compliance.SchemaVersion, Tool: seawall.Tool{Name: "seawall", Version: "1.0"}, Generated: "2026-11-21T00:00:00Z",
		Framework: compliance.Header{ID: "test", Title: "A framework", Publisher: "Nobody", URL: "https://example.org/"},
		Scope: compliance.Scope{
			Inputs:  []compliance.InputInfo{{Name: "c.json", Run: "1", Ended: "2026-11-20T00:00:00Z", Database: "2026-11-01T00:00:00Z"}},
			Assets:  []compliance.Asset{{ID: "cluster:c", Kind: seawall.AssetCluster, Name: foreign, Input: "c.json"}},
			Gaps:    []compliance.Gap{{Asset: "cluster:c", What: "7 packages of Debian:12", Status: "not-evaluated", Reason: "no advisories", Remedy: "seawall db update --ecosystem Debian:12"}},
			Missing: []compliance.Missing{{Detector: "vuln", Checks: 3, Remedy: "seawall scan image REF"}},
		},
		Requirements: []compliance.Result{
			{ID: "1.1", Section: "1 Workloads", Title: "Workloads are contained", Text: "Longer words.", Status: compliance.Fail, Reason: "1 of 4 checks failed", Exceptions: 1, Checks: []compliance.Check{fail, open, accepted, none}, ByHand: []string{"a document"}},
			{ID: "1.2", Section: "1 Workloads", Title: "Accepted", Status: compliance.Pass, Reason: "1 of 1 check passed", Exceptions: 1, Checks: []compliance.Check{accepted}},
			{ID: "2.1", Section: "2 Control plane", Title: "Requests are authenticated", Status: compliance.NotEvaluated, Reason: "1 of 1 check could not be evaluated", Checks: []compliance.Check{open}},
			{ID: "2.2", Section: "2 Control plane", Title: "Files are private", Status: compliance.Manual, Reason: "nothing failed; 1 of 1 check for a person to look at", Checks: []compliance.Check{hand}},
			{ID: "2.3", Section: "2 Control plane", Title: "Etcd", Status: compliance.NotApplicable, Reason: "none of its checks applies here", Checks: []compliance.Check{none}},
		},
	}
	for _, q := range r.Requirements {
		r.Summary.Add(q.Status)
	}
	return r
}

// plain stands for sink.Plain, which a sibling stage may not import.
func plain(s string) string {
	return strings.NewReplacer("\u202e", `\u202e`, "\n", `\x0a`).Replace(s)
}

const nasty = "</script><img src=x onerror=alert(1)>\u202e|`*_[x](y)"

type writer func(io.Writer, *compliance.Report, view.Options) error

func render(t *testing.T, write writer, r *compliance.Report, verbose bool) string {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out, r, view.Options{Plain: plain, Verbose: verbose}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	for name, got := range map[string]string{
		"table.txt":    render(t, view.Table, report("web"), false),
		"verbose.txt":  render(t, view.Table, report("web"), true),
		"markdown.md":  render(t, view.Markdown, report("web"), false),
		"markdown2.md": render(t, view.Markdown, report(nasty), false),
	} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != got {
			t.Errorf("%s differs (go test -update writes it anew):\n%s", file, got)
		}
	}
}

// A browser runs the page's own style and script only if the policy has their exact hashes.
func TestPolicyAllowsOnlyItsOwnCode(t *testing.T) {
	page := render(t, view.HTML, report(nasty), false)
	policy := one(t, page, `Content-Security-Policy" content="([^"]*)"`)
	for directive, code := range map[string]string{"style-src": one(t, page, `<style>(.*?)</style>`), "script-src": one(t, page, `<script>(.*?)</script>`)} {
		h := sha256.Sum256([]byte(code))
		want := directive + " &#39;sha256-" + strings.ReplaceAll(base64.StdEncoding.EncodeToString(h[:]), "+", "&#43;") + "&#39;"
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	if m := regexp.MustCompile(`(?i)<(link|img|iframe|object|embed)\b|<\w+ [^>]*src=|@import|url\(|fetch\(|eval\(|innerHTML`).FindString(page); m != "" {
		t.Errorf("the page has %q", m)
	}
	if strings.Contains(page, "\u202e") || strings.Count(page, "</script") != 1 {
		t.Error("a name became markup or turns the reading direction")
	}
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

// Everything a reader must know is in the page itself, without script.
func TestPageSaysItAll(t *testing.T) {
	page := render(t, view.HTML, report("web"), false)
	at := 0
	for _, want := range []string{
		"advisories of 2026-11-01", `data-status="fail" aria-pressed="false"><b>1</b>`, "<h2 id=\"scope-title\">", "seawall scan image REF", "7 packages of Debian:12",
		"1 Workloads", "1 of 2 hold", "1 of 4 checks failed, 1 exception accepted", "2 failed, 5 passed", "Pod/shop/web", "Apply:\nkind: Pod", "and 1 more in the scan reports", "Take it away.",
		"the network plugin needs it", "pods: forbidden web", "managed control plane", "a document", "look at the files", "How to read this",
	} {
		i := strings.Index(page[at:], want)
		if i < 0 {
			t.Errorf("no %q behind position %d", want, at)
			continue
		}
		at += i
	}
}

// A real browser runs the page under its policy without a word on the console.
func TestInBrowser(t *testing.T) {
	if os.Getenv("SEAWALL_LONG") == "" {
		t.Skip("set SEAWALL_LONG=1 to open the page in Chromium")
	}
	browser := testenv.Tool(t, "chromium")
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	if err := os.WriteFile(file, []byte(render(t, view.HTML, report(nasty), false)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"), "--enable-logging=stderr", "--dump-dom", "file://"+file+"#r-1.1")
	var log bytes.Buffer
	cmd.Stderr = &log
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if strings.Contains(log.String(), "CONSOLE") {
		t.Errorf("the console says:\n%s", log.String())
	}
	// The script ran: the requirement named in the address is open.
	if !regexp.MustCompile(`<details [^>]*id="r-1.1" open`).Match(dom) || bytes.Contains(dom, []byte("<img")) {
		t.Error("the script did not run, or a name became an element")
	}
}

// Text keeps the contrast of WCAG 2.2 AA (4.5:1) on every background it stands on, in both themes.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("page.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([\w-]+): light-dark\(#(\w+), #(\w+)\)`).FindAllStringSubmatch(string(css), -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	pairs := [][2]string{{"ink", "page"}, {"ink", "card"}, {"soft", "page"}, {"soft", "card"}, {"link", "card"}, {"link", "page"}, {"warn-ink", "warn-back"}, {"high", "card"}, {"low", "card"}}
	for _, tone := range []string{"fail", "open", "hand", "pass", "none"} {
		pairs = append(pairs, [2]string{tone, "sunk"}, [2]string{tone, "card"}, [2]string{"badge-ink", tone})
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
