package suppress

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
)

func openVEXDoc(products, status, more string) string {
	return fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/1","author":"a","timestamp":"2026-01-01T00:00:00Z","version":1,
"statements":[{"vulnerability":{"name":"CVE-2023-5678"},"products":[%s],"status":%q%s}]}`, products, status, more)
}

func TestOpenVEXProducts(t *testing.T) {
	lib := `"subcomponents":[{"@id":"pkg:deb/debian/libssl3"}]`
	for _, test := range []struct {
		product string
		want    bool
	}{
		{`{"@id":"pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64&distro=debian-12"}`, true},
		{`{"@id":"pkg:deb/debian/libssl3"}`, true},
		{`{"@id":"pkg:deb/debian/curl"}`, false},
		{`{"@id":"https://example.com/x","identifiers":{"purl":"pkg:deb/debian/libssl3"}}`, true},
		{`{"@id":"pkg:oci/api@` + strings.ReplaceAll(digest, ":", "%3A") + `"}`, true},
		{`{"@id":"pkg:oci/api@` + digest + `?repository_url=registry.example.com/shop/api",` + lib + `}`, true},
		{`{"@id":"pkg:oci/api@` + digest + `?repository_url=registry.example.com/shop",` + lib + `}`, true},
		{`{"@id":"pkg:oci/api@` + digest + `?repository_url=other.example.com/shop"}`, false},
		{`{"@id":"pkg:oci/api@sha256:00"}`, false},
		{`{"@id":"pkg:oci/api?repository_url=registry.example.com/shop/api&tag=1.4.2"}`, true},
		{`{"@id":"pkg:oci/api?repository_url=registry.example.com/shop/api&tag=1.4.3"}`, false},
		{`{"@id":"pkg:oci/api?arch=amd64"}`, true},
		{`{"@id":"pkg:oci/api?arch=arm64"}`, false},
		{`{"@id":"pkg:oci/web"}`, false},
		{`{"@id":"registry.example.com/shop/api:1.4.2",` + lib + `}`, true},
		{`{"@id":"registry.example.com/shop/api@` + digest + `"}`, true},
		{`{"@id":"registry.example.com/shop/api:1.4.1"}`, false},
		{`{"@id":"` + digest + `"}`, true},
		{`{"@id":"https://example.com/api","hashes":{"sha-256":"` + strings.TrimPrefix(digest, "sha256:") + `"}}`, true},
		{`{"@id":"registry.example.com/shop/api:1.4.2","subcomponents":[{"@id":"pkg:deb/debian/curl"}]}`, false},
		// A part of this very package, not of the image: the finding is about the whole package.
		{`{"@id":"pkg:deb/debian/libssl3","subcomponents":[{"@id":"pkg:generic/engine"}]}`, false},
		{`{"@id":"https://example.com/libssl3"}`, false},
	} {
		t.Run(test.product, func(t *testing.T) {
			f := finding()
			load(t, "v.json", openVEXDoc(test.product, "not_affected", `,"justification":"component_not_present"`)).Apply(image(), f)
			if got := f.Status == seawall.StatusSuppressed; got != test.want {
				t.Errorf("suppressed %v, want %v", got, test.want)
			}
		})
	}
}

func TestVEXStatuses(t *testing.T) {
	const product = `{"@id":"pkg:deb/debian/libssl3"}`
	for _, test := range []struct {
		status, more string
		want         seawall.Status
		reason       string
	}{
		{"not_affected", `,"justification":"vulnerable_code_not_present","impact_statement":"no DH"`, seawall.StatusSuppressed, "not affected: vulnerable_code_not_present: no DH (VEX v.json)"},
		{"fixed", "", seawall.StatusSuppressed, "fixed (VEX v.json)"},
		{"affected", `,"action_statement":"upgrade"`, seawall.StatusFail, "affected: upgrade (VEX v.json)"},
		{"under_investigation", "", seawall.StatusFail, "under investigation (VEX v.json)"},
	} {
		t.Run(test.status, func(t *testing.T) {
			f := finding()
			load(t, "v.json", openVEXDoc(product, test.status, test.more)).Apply(image(), f)
			if f.Status != test.want || f.Reason != test.reason {
				t.Errorf("%s %q, want %s %q", f.Status, f.Reason, test.want, test.reason)
			}
		})
	}
}

func TestNewestStatementWins(t *testing.T) {
	statement := func(status, at string) string {
		return fmt.Sprintf(`{"vulnerability":{"name":"DSA-5532-1"},"products":[{"@id":"pkg:deb/debian/libssl3"}],"status":%q,"timestamp":%q}`, status, at)
	}
	const doc = `{"@context":"https://openvex.dev/ns/v0.2.0","statements":[%s,%s]}`
	fixed, open := statement("fixed", "2026-03-01T00:00:00Z"), statement("affected", "2026-02-28T23:00:00-05:00")
	for _, order := range []string{fmt.Sprintf(doc, fixed, open), fmt.Sprintf(doc, open, fixed)} {
		f := finding()
		load(t, "v.json", order).Apply(image(), f)
		if f.Status != seawall.StatusFail || !strings.HasPrefix(f.Reason, "affected") {
			t.Errorf("%s, %q: the later statement (04:00 UTC) says affected", f.Status, f.Reason)
		}
	}
}

// OpenVEX 0.0.x wrote vulnerability and products as strings.
func TestOpenVEXFirstVersion(t *testing.T) {
	f := finding()
	load(t, "v.json", `{"@context":"https://openvex.dev/ns","timestamp":"2023-01-01T00:00:00Z","statements":[
{"vulnerability":"CVE-2023-5678","products":["registry.example.com/shop/api:1.4.2"],"subcomponents":["pkg:deb/debian/libssl3"],"status":"not_affected","justification":"component_not_present"}]}`).Apply(image(), f)
	if f.Status != seawall.StatusSuppressed {
		t.Error("not suppressed")
	}
}

const csafExample = `{"document":{"category":"csaf_vex","csaf_version":"2.0","tracking":{"current_release_date":"2026-01-01T00:00:00Z"}},
"product_tree":{"branches":[{"category":"vendor","name":"Example","branches":[
 {"category":"product_version","name":"12","product":{"name":"Image","product_id":"IMG","product_identification_helper":{"purl":"pkg:oci/api?repository_url=registry.example.com/shop/api"}}},
 {"category":"product_name","name":"Platform","product":{"name":"Platform","product_id":"CPE","product_identification_helper":{"cpe":"cpe:/o:example:linux:12"}}},
 {"category":"product_version","name":"lib","product":{"name":"lib","product_id":"LIB","product_identification_helper":{"purl":"pkg:deb/debian/libssl3@3.0.11-1~deb12u1"}}},
 {"category":"product_version","name":"any","product":{"name":"any","product_id":"ANY","product_identification_helper":{"purl":"pkg:deb/debian/libssl3"}}}]}],
 "relationships":[
 {"category":"default_component_of","product_reference":"LIB","relates_to_product_reference":"IMG","full_product_name":{"name":"x","product_id":"IMG:LIB"}},
 {"category":"default_component_of","product_reference":"LIB","relates_to_product_reference":"CPE","full_product_name":{"name":"x","product_id":"CPE:LIB"}},
 {"category":"default_component_of","product_reference":"ANY","relates_to_product_reference":"CPE","full_product_name":{"name":"x","product_id":"CPE:ANY"}}]},
"vulnerabilities":[{"cve":"CVE-2023-5678","flags":[{"label":"component_not_present","product_ids":["%[1]s"]}],
 "threats":[{"category":"impact","details":"removed before shipping","product_ids":["%[1]s"]}],
 "product_status":{%[2]q:["%[1]s"]}}]}`

func TestCSAF(t *testing.T) {
	for _, test := range []struct {
		product, status string
		want            seawall.Status
		reason          string
	}{
		{"LIB", "known_not_affected", seawall.StatusSuppressed, "not affected: component_not_present: removed before shipping (VEX v.json)"},
		{"IMG:LIB", "known_not_affected", seawall.StatusSuppressed, "not affected: component_not_present: removed before shipping (VEX v.json)"},
		{"CPE:LIB", "fixed", seawall.StatusSuppressed, "fixed: component_not_present: removed before shipping (VEX v.json)"},
		{"CPE:ANY", "fixed", seawall.StatusFail, ""}, // any version on an unknown platform: says nothing of ours
		{"CPE", "fixed", seawall.StatusFail, ""},
		{"LIB", "known_affected", seawall.StatusFail, "affected: component_not_present: removed before shipping (VEX v.json)"},
		{"LIB", "under_investigation", seawall.StatusFail, "under investigation: component_not_present: removed before shipping (VEX v.json)"},
		{"NONE", "fixed", seawall.StatusFail, ""},
	} {
		t.Run(test.product+" "+test.status, func(t *testing.T) {
			f := finding()
			load(t, "v.json", fmt.Sprintf(csafExample, test.product, test.status)).Apply(image(), f)
			if f.Status != test.want || f.Reason != test.reason {
				t.Errorf("%s %q, want %s %q", f.Status, f.Reason, test.want, test.reason)
			}
		})
	}
}

const cycloneDXExample = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2026-01-01T00:00:00Z"},
"components":[{"bom-ref":"lib","purl":"pkg:deb/debian/libssl3@3.0.11-1~deb12u1","components":[{"bom-ref":"inner","purl":"pkg:deb/debian/curl"}]}],
"vulnerabilities":[{"id":"CVE-2023-5678","analysis":{"state":"%s","justification":"code_not_reachable","detail":"no DH"},"affects":[%s]}]}`

func TestCycloneDX(t *testing.T) {
	const why = ": code_not_reachable: no DH (VEX v.json)"
	for _, test := range []struct {
		state, affects string
		want           seawall.Status
		reason         string
	}{
		{"not_affected", `{"ref":"lib"}`, seawall.StatusSuppressed, "not affected" + why},
		{"false_positive", `{"ref":"lib"}`, seawall.StatusSuppressed, "not affected" + why},
		{"resolved", `{"ref":"lib"}`, seawall.StatusSuppressed, "fixed" + why},
		{"exploitable", `{"ref":"lib"}`, seawall.StatusFail, "affected" + why},
		{"in_triage", `{"ref":"lib"}`, seawall.StatusFail, "under investigation" + why},
		{"not_affected", `{"ref":"inner"}`, seawall.StatusFail, ""},
		{"not_affected", `{"ref":"unknown"}`, seawall.StatusFail, ""},
		{"not_affected", `{"ref":"pkg:deb/debian/libssl3"}`, seawall.StatusSuppressed, "not affected" + why},
		{"not_affected", `{"ref":"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:deb%2Fdebian%2Flibssl3"}`, seawall.StatusSuppressed, "not affected" + why},
		{"not_affected", `{"ref":"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#lib"}`, seawall.StatusSuppressed, "not affected" + why},
		{"not_affected", `{"ref":"lib","versions":[{"version":"3.0.11-1~deb12u1"}]}`, seawall.StatusSuppressed, "not affected" + why},
		{"not_affected", `{"ref":"lib","versions":[{"version":"3.0.12"}]}`, seawall.StatusFail, ""},
	} {
		t.Run(test.state+" "+test.affects, func(t *testing.T) {
			f := finding()
			load(t, "v.json", fmt.Sprintf(cycloneDXExample, test.state, test.affects)).Apply(image(), f)
			if f.Status != test.want || f.Reason != test.reason {
				t.Errorf("%s %q, want %s %q", f.Status, f.Reason, test.want, test.reason)
			}
		})
	}
}

// One product that cannot be read does not void the document; it is reported.
func TestUnreadableProductIsReported(t *testing.T) {
	s := load(t, "v.json", openVEXDoc(`{"@id":"pkg:deb"},{"@id":"pkg:deb/debian/libssl3"}`, "fixed", ""))
	f := finding()
	s.Apply(image(), f)
	if w := s.Warnings(); f.Status != seawall.StatusSuppressed || len(w) != 1 || !strings.Contains(w[0], `"pkg:deb"`) {
		t.Errorf("status %s, warnings %q", f.Status, w)
	}
}

// A CycloneDX document without analysis is some scanner's findings, not a word on them.
func TestCycloneDXWithoutAnalysis(t *testing.T) {
	f := finding()
	load(t, "v.json", `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-2023-5678","affects":[{"ref":"pkg:deb/debian/libssl3"}]}]}`).Apply(image(), f)
	if f.Status != seawall.StatusFail || f.Reason != "" {
		t.Errorf("%s %q", f.Status, f.Reason)
	}
}

// The documents that the OpenVEX project tests its own library with, a real Red
// Hat advisory among them, all load and say something.
func TestRealDocuments(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/openvex/go-vex").Output()
	if err != nil {
		t.Fatalf("finding go-vex's test data: %v", err)
	}
	dir := strings.TrimSpace(string(out))
	statements := make(map[string]int)
	for _, pattern := range []string{"pkg/vex/testdata/*.json", "pkg/csaf/testdata/*.json"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, err := parseVEX(filepath.Base(file), data)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			for _, list := range d.byID {
				statements[filepath.Base(file)] += len(list)
			}
		}
	}
	for file, least := range map[string]int{"csaf.json": 1, "openvex.json": 1, "v020-1.vex.json": 1, "v001-1.vex.json": 1} {
		if statements[file] < least {
			t.Errorf("%s: %d statements, want at least %d (all: %v)", file, statements[file], least, statements)
		}
	}
}
