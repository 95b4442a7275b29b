package host

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// The tables of docs/guide/host.md are what these tests check: each overlap
// with another tool agrees, or the table says why not.

// overlap is a row: what the other tool calls it, our controls, the difference.
type overlap struct {
	theirs  string
	ours    []string
	differs string
}

// table returns the rows below a heading of the guide that begins with a text.
func table(t *testing.T, heading string) []overlap {
	t.Helper()
	guide, err := os.ReadFile("../../../../docs/guide/host.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(guide), "\n## "+heading)
	if !ok {
		t.Fatalf("no %q in the guide", heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	var rows []overlap
	for line := range strings.Lines(part) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.Contains(cells[2], "SW-LNX-") {
			continue
		}
		rows = append(rows, overlap{strings.TrimSpace(cells[1]), strings.Split(strings.TrimSpace(cells[2]), ", "), strings.TrimSpace(cells[3])})
	}
	return rows
}

// verdict is fail when one of the controls fails, pass when all that say anything pass, else "none".
func verdict(findings []seawall.Finding, ids []string) string {
	said := "none"
	for _, f := range findings {
		if !slices.Contains(ids, f.Rule) {
			continue
		}
		switch f.Status {
		case seawall.StatusFail:
			return "fail"
		case seawall.StatusPass:
			said = "pass"
		}
	}
	return said
}

// TestOverlapsNameControls: the tables name controls that exist, in every run.
func TestOverlapsNameControls(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range controls {
		known[c.ID] = true
	}
	rows := append(table(t, "Compared with lynis"), table(t, "Compared with OpenSCAP")...)
	if len(rows) < 100 {
		t.Errorf("%d overlaps", len(rows))
	}
	for _, row := range rows {
		for _, id := range row.ours {
			if !known[id] {
				t.Errorf("%s: there is no %s", row.theirs, id)
			}
		}
	}
}

func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SEAWALL_LONG") != "1" {
		t.Skip("takes minutes: set SEAWALL_LONG=1")
	}
	testenv.Root(t)
}

// TestLynis compares the two on this machine.
func TestLynis(t *testing.T) {
	long(t)
	report := filepath.Join(t.TempDir(), "report.dat")
	cmd := exec.Command(testenv.Tool(t, "lynis"), "audit", "system", "--quick", "--no-colors", "--quiet", "--logfile", os.DevNull, "--report-file", report)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("lynis: %v\n%s", err, out) // it ends with a status of its own where it warns
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	executed := regexp.MustCompile(`(?m)^tests_executed=(.*)`).FindStringSubmatch(string(text))
	if executed == nil {
		t.Fatal("lynis ran no test")
	}
	complained := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:suggestion|warning)\[\]=([A-Z]+-\d+)\|`).FindAllStringSubmatch(string(text), -1) {
		complained[m[1]] = true
	}
	findings := judge(t, "/")
	explained := map[string]string{}
	compared := 0
	for _, row := range table(t, "Compared with lynis") {
		explained[row.theirs] = row.differs
		if !slices.Contains(strings.Split(executed[1], "|"), row.theirs) {
			continue
		}
		compared++
		agree := (verdict(findings, row.ours) == "fail") == complained[row.theirs]
		if !agree && row.differs == "" {
			t.Errorf("%s complains: %v, %v: %s", row.theirs, complained[row.theirs], row.ours, verdict(findings, row.ours))
		}
	}
	if compared < 25 {
		t.Errorf("only %d overlaps with lynis could be compared", compared)
	}
	compareSettings(t, string(text), findings, explained)
}

// compareSettings compares the kernel settings lynis would have otherwise.
func compareSettings(t *testing.T, report string, findings []seawall.Finding, explained map[string]string) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	differs := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^details\[\]=KRNL-6000\|sysctl\|.*;field:([^;]+);`).FindAllStringSubmatch(report, -1) {
		differs[m[1]] = true
	}
	for _, c := range controls {
		for key := range differs {
			if !slices.Contains(c.Inspects, "host/sysctl") || !strings.Contains(c.Pass.Text, `"`+key+`"`) {
				continue
			}
			if v := verdict(findings, []string{c.ID}); v != "fail" && explained["KRNL-6000:"+key] == "" {
				t.Errorf("lynis wants another %s, %s: %s", key, c.ID, v)
			}
		}
	}
}

// TestOpenSCAP compares the two over a Debian 11 root filesystem.
func TestOpenSCAP(t *testing.T) {
	long(t)
	oscap, mmdebstrap := testenv.Tool(t, "oscap"), testenv.Tool(t, "mmdebstrap")
	const content = "/usr/share/xml/scap/ssg/content/ssg-debian11-ds.xml"
	if _, err := os.Stat(content); err != nil {
		t.Skipf("the package ssg-debian is not installed: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "bullseye")
	if out, err := exec.Command(mmdebstrap, "--quiet", "--variant=important", "--include=openssh-server,sudo,cron,rsyslog", "bullseye", dir).CombinedOutput(); err != nil {
		t.Skipf("no Debian 11 to be had: %v\n%s", err, out)
	}
	results := filepath.Join(t.TempDir(), "results.xml")
	cmd := exec.Command(oscap, "xccdf", "eval", "--profile", "(all)", "--results", results, content)
	cmd.Env = append(os.Environ(), "OSCAP_PROBE_ROOT="+dir, "OSCAP_PROBE_OS_NAME=Linux", "OSCAP_PROBE_OS_VERSION=5.10",
		"OSCAP_PROBE_ARCHITECTURE=x86_64", "OSCAP_PROBE_PRIMARY_HOST_NAME=bullseye")
	out, _ := cmd.CombinedOutput() // its status is 2 when a rule fails
	file, err := os.ReadFile(results)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	theirs := scapResults(t, file)
	findings := judge(t, dir)
	compared := 0
	for _, row := range table(t, "Compared with OpenSCAP") {
		result := theirs[row.theirs]
		if result != "pass" && result != "fail" {
			continue
		}
		compared++
		ours := verdict(findings, row.ours)
		if agree := ours == result || ours == "none" && result == "pass"; !agree && row.differs == "" {
			t.Errorf("%s: %s, %v: %s", row.theirs, result, row.ours, ours)
		}
	}
	if compared < 60 {
		t.Errorf("only %d overlaps with OpenSCAP could be compared", compared)
	}
}

// scapResults are the results of an XCCDF 1.2 report by the short names of its rules.
func scapResults(t *testing.T, report []byte) map[string]string {
	t.Helper()
	var doc struct {
		Results []struct {
			Rule   string `xml:"idref,attr"`
			Result string `xml:"result"`
		} `xml:"TestResult>rule-result"`
	}
	if err := xml.Unmarshal(report, &doc); err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, r := range doc.Results {
		results[strings.TrimPrefix(r.Rule, "xccdf_org.ssgproject.content_rule_")] = r.Result
	}
	return results
}
