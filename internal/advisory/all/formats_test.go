package all_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/seawall"
)

// importText lets the importer of that name read a document it must recognise.
func importText(t *testing.T, format, path, text string) ([]advisory.Record, error) {
	t.Helper()
	for _, i := range all.Importers() {
		if i.Name() != format {
			continue
		}
		if !i.Recognizes(path, []byte(text)) {
			t.Fatalf("%s does not recognise %s", format, text)
		}
		var list []advisory.Record
		err := i.Import(context.Background(), path, strings.NewReader(text), func(r advisory.Record) error {
			list = append(list, r)
			return nil
		})
		return list, err
	}
	t.Fatalf("no importer %s", format)
	return nil, nil
}

func semver(events ...advisory.RangeEvent) []advisory.Range {
	return []advisory.Range{{Type: advisory.RangeSemver, Events: events}}
}

func ordered(events ...advisory.RangeEvent) []advisory.Range {
	return []advisory.Range{{Events: events}}
}

func in(v string) advisory.RangeEvent    { return advisory.RangeEvent{Introduced: v} }
func until(v string) advisory.RangeEvent { return advisory.RangeEvent{Fixed: v} }

// csafText is a VEX document with the shapes Red Hat's have: a release, an
// extended-support product, a binary for two architectures, a source package, a
// module, and each status.
const csafText = `{"document":{"aggregate_severity":{"text":"Moderate"},"category":"csaf_vex","csaf_version":"2.0","publisher":{"namespace":"https://www.redhat.com"},
 "title":"lib: overflow","tracking":{"id":"CVE-2024-1","current_release_date":"2024-05-02T00:00:00+00:00","initial_release_date":"2024-05-01T00:00:00+00:00"}},
"product_tree":{"branches":[{"category":"vendor","branches":[
  {"branches":[{"product":{"product_id":"BaseOS-9","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9::baseos"}}},
               {"product":{"product_id":"AppStream-8","product_identification_helper":{"cpe":"cpe:/a:redhat:enterprise_linux:8::appstream"}}},
               {"product":{"product_id":"rhel_7","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:7"}}},
               {"product":{"product_id":"EUS-9.2","product_identification_helper":{"cpe":"cpe:/o:redhat:rhel_eus:9.2::baseos"}}}]},
  {"product":{"product_id":"lib.x","product_identification_helper":{"purl":"pkg:rpm/redhat/lib@3.0.7-6.el9?arch=x86_64&epoch=1"}}},
  {"product":{"product_id":"lib.a","product_identification_helper":{"purl":"pkg:rpm/redhat/lib@3.0.7-6.el9?arch=aarch64&epoch=1"}}},
  {"product":{"product_id":"lib.later","product_identification_helper":{"purl":"pkg:rpm/redhat/lib@3.0.7-9.el9?arch=x86_64&epoch=1"}}},
  {"product":{"product_id":"lib.src","product_identification_helper":{"purl":"pkg:rpm/redhat/lib@3.0.7-6.el9?arch=src&epoch=1"}}},
  {"product":{"product_id":"node.mod","product_identification_helper":{"purl":"pkg:rpmmod/redhat/nodejs@18:8090020231019:a75119d5"}}},
  {"product":{"product_id":"node.x","product_identification_helper":{"purl":"pkg:rpm/redhat/nodejs@18.2-1.module%2Bel8.9.0?arch=x86_64"}}},
  {"product":{"product_id":"ruby.x","product_identification_helper":{"purl":"pkg:rpm/redhat/ruby@3.1-1.module%2Bel9?arch=x86_64&rpmmod=ruby:3.1:9040020240101:rhel9"}}},
  {"product":{"product_id":"ruby:2.6/ruby","product_identification_helper":{"purl":"pkg:rpmmod/redhat/ruby:2.6/ruby"}}},
  {"product":{"product_id":"lib","product_identification_helper":{"purl":"pkg:rpm/redhat/lib?arch=src"}}},
  {"product":{"product_id":"compat","product_identification_helper":{"purl":"pkg:rpm/redhat/compat-lib"}}},
  {"product":{"product_id":"tool","product_identification_helper":{"purl":"pkg:rpm/redhat/tool"}}}]}],
 "relationships":[
  {"product_reference":"lib.x","relates_to_product_reference":"BaseOS-9","full_product_name":{"product_id":"BaseOS-9:lib.x"}},
  {"product_reference":"lib.a","relates_to_product_reference":"BaseOS-9","full_product_name":{"product_id":"BaseOS-9:lib.a"}},
  {"product_reference":"lib.later","relates_to_product_reference":"BaseOS-9","full_product_name":{"product_id":"BaseOS-9:lib.later"}},
  {"product_reference":"lib.src","relates_to_product_reference":"BaseOS-9","full_product_name":{"product_id":"BaseOS-9:lib.src"}},
  {"product_reference":"lib.x","relates_to_product_reference":"EUS-9.2","full_product_name":{"product_id":"EUS-9.2:lib.x"}},
  {"product_reference":"node.mod","relates_to_product_reference":"AppStream-8","full_product_name":{"product_id":"AppStream-8:node.mod"}},
  {"product_reference":"node.x","relates_to_product_reference":"AppStream-8:node.mod","full_product_name":{"product_id":"AppStream-8:node.mod:node.x"}},
  {"product_reference":"ruby.x","relates_to_product_reference":"BaseOS-9","full_product_name":{"product_id":"BaseOS-9:ruby.x"}},
  {"product_reference":"ruby:2.6/ruby","relates_to_product_reference":"AppStream-8","full_product_name":{"product_id":"AppStream-8:ruby:2.6/ruby"}},
  {"product_reference":"lib","relates_to_product_reference":"rhel_7","full_product_name":{"product_id":"rhel_7:lib"}},
  {"product_reference":"compat","relates_to_product_reference":"rhel_7","full_product_name":{"product_id":"rhel_7:compat"}},
  {"product_reference":"compat","relates_to_product_reference":"BaseOS-9","full_product_name":{"product_id":"BaseOS-9:compat"}},
  {"product_reference":"tool","relates_to_product_reference":"BaseOS-9","full_product_name":{"product_id":"BaseOS-9:tool"}},
  {"product_reference":"tool","relates_to_product_reference":"rhel_7","full_product_name":{"product_id":"rhel_7:tool"}}]},
"vulnerabilities":[{"cve":"CVE-2024-1","cwe":{"id":"CWE-190"},"release_date":"2024-05-01T00:00:00+00:00",
 "product_status":{"fixed":["BaseOS-9:lib.later","BaseOS-9:lib.x","BaseOS-9:lib.a","BaseOS-9:lib.src","EUS-9.2:lib.x","AppStream-8:node.mod:node.x","BaseOS-9:ruby.x"],
  "known_affected":["rhel_7:lib","rhel_7:compat","AppStream-8:ruby:2.6/ruby"],"under_investigation":["BaseOS-9:tool"],"known_not_affected":["BaseOS-9:compat","rhel_7:tool"]},
 "remediations":[{"category":"vendor_fix","date":"2024-05-03T10:00:00+00:00","details":"update","product_ids":["BaseOS-9:lib.x"]},
  {"category":"no_fix_planned","details":"Will not fix","product_ids":["rhel_7:lib"]},
  {"category":"no_fix_planned","details":"Out of support scope","product_ids":["rhel_7:compat"]}],
 "threats":[{"category":"impact","details":"Low","product_ids":["rhel_7:lib"]}],
 "scores":[{"cvss_v3":{"vectorString":"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H"}}],
 "references":[{"url":"https://example.org/CVE-2024-1"}]}]}`

func TestFormats(t *testing.T) {
	all := ordered(in("0"))
	for name, test := range map[string]struct {
		format, path, text string
		want               []advisory.Advisory
		skipped            int
	}{
		"Red Hat VEX": {"redhat-csaf", "cve-2024-1.json", csafText, []advisory.Advisory{{
			ID: "CVE-2024-1", Source: "redhat", Summary: "lib: overflow", Published: "2024-05-01T00:00:00Z", Modified: "2024-05-02T00:00:00Z",
			Severity: seawall.SeverityMedium, CWEs: []string{"CWE-190"}, References: []string{"https://example.org/CVE-2024-1"},
			CVSS: []seawall.CVSS{{Source: "redhat", Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H"}},
			Affected: []advisory.Affected{
				// The lowest version named as fixed, once for both architectures; not the source, not EUS.
				{Ecosystem: "Red Hat:9", Name: "lib", State: seawall.StateFixed, FixedAt: "2024-05-03T10:00:00Z", Ranges: ordered(in("0"), until("1:3.0.7-6.el9"))},
				{Ecosystem: "Red Hat:8", Name: "nodejs", Module: "nodejs:18", State: seawall.StateFixed, Ranges: ordered(in("0"), until("18.2-1.module+el8.9.0"))},
				{Ecosystem: "Red Hat:9", Name: "ruby", Module: "ruby:3.1", State: seawall.StateFixed, Ranges: ordered(in("0"), until("3.1-1.module+el9"))},
				{Ecosystem: "Red Hat:7", Name: "lib", State: seawall.StateWillNotFix, Severity: seawall.SeverityLow, Ranges: all},
				{Ecosystem: "Red Hat:7", Name: "compat-lib", State: seawall.StateEndOfLife, Ranges: all},
				{Ecosystem: "Red Hat:8", Name: "ruby", Module: "ruby:2.6", State: seawall.StateAffected, Ranges: all},
				{Ecosystem: "Red Hat:9", Name: "tool", State: seawall.StateUnderInvestigation, Ranges: all},
				{Ecosystem: "Red Hat:9", Name: "compat-lib", Unaffected: true},
				{Ecosystem: "Red Hat:7", Name: "tool", Unaffected: true},
			},
		}}, 1},
		"Debian tracker: every state": {"debian-tracker", "json", `{"openssl":{"CVE-2024-1":{"scope":"remote","releases":{
			"bullseye":{"status":"open","urgency":"end-of-life"},
			"bookworm":{"status":"resolved","fixed_version":"3.0.1-1","urgency":"medium"},
			"trixie":{"status":"resolved","fixed_version":"0","urgency":"unimportant"},
			"sid":{"status":"open","urgency":"unimportant"},
			"buster":{"status":"undetermined","urgency":"not yet assigned"},
			"stretch":{"status":"open","urgency":"low**","nodsa":"Minor issue","nodsa_reason":""},
			"jessie":{"status":"open","urgency":"high","nodsa":"x","nodsa_reason":"ignored"},
			"wheezy":{"status":"open","urgency":"high","nodsa":"x","nodsa_reason":"postponed"},
			"hamm":{"status":"open","urgency":"high"}}}}}`, []advisory.Advisory{{ID: "CVE-2024-1", Source: "debian", Affected: []advisory.Affected{
			{Ecosystem: "Debian:12", Name: "openssl", State: seawall.StateFixed, Severity: seawall.SeverityMedium, Ranges: ordered(in("0"), until("3.0.1-1"))},
			{Ecosystem: "Debian:11", Name: "openssl", State: seawall.StateEndOfLife, Ranges: all},
			{Ecosystem: "Debian:10", Name: "openssl", State: seawall.StateUnderInvestigation, Ranges: all},
			{Ecosystem: "Debian:8", Name: "openssl", State: seawall.StateWillNotFix, Severity: seawall.SeverityHigh, Ranges: all},
			{Ecosystem: "Debian:sid", Name: "openssl", State: seawall.StateAffected, Severity: seawall.SeverityNegligible, Ranges: all},
			{Ecosystem: "Debian:9", Name: "openssl", State: seawall.StateDeferred, Severity: seawall.SeverityLow, Ranges: all},
			{Ecosystem: "Debian:13", Name: "openssl", Unaffected: true},
			{Ecosystem: "Debian:7", Name: "openssl", State: seawall.StateDeferred, Severity: seawall.SeverityHigh, Ranges: all},
		}}}, 1},
		"Debian announcements": {"debian-list", "data/DSA/list", "[9 Mar 2023] DSA-5371-1 chromium - security update\n\t{CVE-2023-1213 CAN-2004-0001}\n\t[bullseye] - chromium 111.0-1\n" +
			"\t[buster] - chromium <end-of-life> (see #1)\n\t[sarge] - chromium <not-affected> (absent)\n\tNOTE: a remark\n[01 Mar 2023] DSA-5370-1 nothing - security update\n",
			[]advisory.Advisory{{ID: "DSA-5371-1", Source: "debian", Summary: "chromium - security update", Published: "2023-03-09T00:00:00Z",
				Upstream: []string{"CVE-2023-1213", "CVE-2004-0001"}, Affected: []advisory.Affected{
					{Ecosystem: "Debian:11", Name: "chromium", State: seawall.StateFixed, FixedAt: "2023-03-09T00:00:00Z", Ranges: ordered(in("0"), until("111.0-1"))},
					{Ecosystem: "Debian:10", Name: "chromium", State: seawall.StateEndOfLife, Ranges: all},
					{Ecosystem: "Debian:3.1", Name: "chromium", Unaffected: true},
				}}}, 1},
		"secdb: earliest fix, not affected, slips of the pen": {"apk-secdb", "main.yaml",
			"distroversion: v3.18\nreponame: main\napkurl: x\nurlprefix: https://dl-cdn.alpinelinux.org/alpine\npackages:\n  - pkg:\n      name: xen\n      secfixes:\n" +
				"        4.10-r2:\n          - CVE-2018-1 XSA-1 (+ regression fix)\n        4.9-r0:\n          - CVE-2018-1\n        \"0\":\n          - CVE_2018-2\n          - CVE-????-????? XSA-9\n" +
				"        4.8.r1:\n          - CVE-2018-3\n        5.0-r0 (broken):\n          - \"?\"\n",
			[]advisory.Advisory{
				{ID: "CVE-2018-1", Source: "alpine", Aliases: []string{"XSA-1"}, Affected: []advisory.Affected{{Ecosystem: "Alpine:v3.18", Name: "xen", State: seawall.StateFixed, Ranges: ordered(in("0"), until("4.9-r0"))}}},
				{ID: "CVE-2018-2", Source: "alpine", Affected: []advisory.Affected{{Ecosystem: "Alpine:v3.18", Name: "xen", Unaffected: true}}},
				{ID: "XSA-9", Source: "alpine", Affected: []advisory.Affected{{Ecosystem: "Alpine:v3.18", Name: "xen", Unaffected: true}}},
			}, 2},
		"security.json of Wolfi": {"apk-secdb", "security.json", `{"apkurl":"{{urlprefix}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk","archs":["x86_64"],"reponame":"os","urlprefix":"https://packages.wolfi.dev",
			"packages":[{"pkg":{"name":"curl","secfixes":{"8.0.1-r0":["CVE-2023-1"]}}}]}`,
			[]advisory.Advisory{{ID: "CVE-2023-1", Source: "wolfi", Affected: []advisory.Affected{{Ecosystem: "Wolfi", Name: "curl", State: seawall.StateFixed, Ranges: ordered(in("0"), until("8.0.1-r0"))}}}}, 0},
		"Wolfi: the last decisive event holds, in time and not in the file's order": {"wolfi-advisories", "a.advisories.yaml",
			"schema-version: 2.0.2\npackage:\n  name: a\nadvisories:\n" +
				"  - {id: CGA-1, aliases: [GHSA-1, CVE-2024-1], events: [{timestamp: 2024-01-03T00:00:00Z, type: fixed, data: {fixed-version: 1.0-r1}}, {timestamp: 2024-01-02T00:00:00Z, type: pending-upstream-fix}, {timestamp: 2024-01-04T00:00:00Z, type: detection}]}\n" +
				"  - {id: CGA-2, aliases: [CVE-2024-2], events: [{timestamp: 2024-01-01T00:00:00Z, type: fixed, data: {fixed-version: 1.0-r1}}, {timestamp: 2024-01-02T00:00:00Z, type: false-positive-determination}]}\n" +
				"  - {id: CGA-3, aliases: [CVE-2024-3], events: [{timestamp: 2024-01-01T00:00:00Z, type: detection}]}\n" +
				"  - {id: CGA-4, aliases: [CVE-2024-4], events: [{timestamp: 2024-01-01T00:00:00Z, type: fixed, data: {fixed-version: 1.0-r1}}, {timestamp: 2024-01-02T00:00:00Z, type: fix-not-planned}]}\n" +
				"  - {id: CGA-5, aliases: [], events: [{timestamp: 2024-01-01T00:00:00Z, type: pending-upstream-fix}]}\n",
			[]advisory.Advisory{
				{ID: "CVE-2024-1", Source: "wolfi", Aliases: []string{"GHSA-1"}, Published: "2024-01-02T00:00:00Z", Modified: "2024-01-04T00:00:00Z",
					Affected: []advisory.Affected{{Ecosystem: "Wolfi", Name: "a", State: seawall.StateFixed, FixedAt: "2024-01-03T00:00:00Z", Ranges: ordered(in("0"), until("1.0-r1"))}}},
				{ID: "CVE-2024-2", Source: "wolfi", Published: "2024-01-01T00:00:00Z", Modified: "2024-01-02T00:00:00Z", Affected: []advisory.Affected{{Ecosystem: "Wolfi", Name: "a", Unaffected: true}}},
				{ID: "CVE-2024-3", Source: "wolfi", Published: "2024-01-01T00:00:00Z", Modified: "2024-01-01T00:00:00Z", Affected: []advisory.Affected{{Ecosystem: "Wolfi", Name: "a", State: seawall.StateUnderInvestigation, Ranges: all}}},
				{ID: "CVE-2024-4", Source: "wolfi", Published: "2024-01-01T00:00:00Z", Modified: "2024-01-02T00:00:00Z", Affected: []advisory.Affected{{Ecosystem: "Wolfi", Name: "a", State: seawall.StateWillNotFix, Ranges: all}}},
				{ID: "CGA-5", Source: "wolfi", Published: "2024-01-01T00:00:00Z", Modified: "2024-01-01T00:00:00Z", Affected: []advisory.Affected{{Ecosystem: "Wolfi", Name: "a", State: seawall.StateDeferred, Ranges: all}}},
			}, 0},
		"RubySec: all but patched and unaffected": {"rubysec", "gems/a/CVE-2024-1.yml",
			"---\ngem: a\ncve: 2024-1\nghsa: xxxx\nurl: https://example.org\ntitle: t\ndate: 2024-01-02\ncvss_v3: 6.3\nunaffected_versions:\n  - \"< 1.0.0\"\npatched_versions:\n  - \"~> 1.4.2\"\n  - \">= 2.1.0\"\n",
			[]advisory.Advisory{{ID: "CVE-2024-1", Source: "rubysec", Aliases: []string{"GHSA-xxxx"}, Summary: "t", Published: "2024-01-02T00:00:00Z", References: []string{"https://example.org"},
				CVSS: []seawall.CVSS{{Source: "rubysec", Version: "3.1", Score: 6.3}},
				Affected: []advisory.Affected{{Ecosystem: "RubyGems", Name: "a", State: seawall.StateFixed,
					Ranges: ordered(in("1.0.0"), until("1.4.2"), in("1.5.0.A"), until("2.1.0"))}}}}, 0},
		"RubySec: a Ruby implementation": {"rubysec", "rubies/jruby/CVE-2024-1.yml", "---\nengine: jruby\ncve: 2024-1\nurl: https://example.org\ntitle: t\ndate: 2024-01-02\n",
			[]advisory.Advisory{{ID: "CVE-2024-1", Source: "rubysec", Summary: "t", Published: "2024-01-02T00:00:00Z", References: []string{"https://example.org"},
				Affected: []advisory.Affected{{Ecosystem: "generic", Name: "jruby", State: seawall.StateAffected, Ranges: all}}}}, 0},
		"FriendsOfPHP: branches": {"friendsofphp", "vendor/lib/2024-01-02.yaml",
			"title: t\nlink: https://example.org\ncve: ~\nbranches:\n  2.x:\n    time: 2024-01-03 10:00:00\n    versions: ['>=2.0.0', '<2.3.1']\n  1.x:\n    time: 2024-01-02 10:00:00\n    versions: ['<1.9']\nreference: composer://Vendor/Lib\n",
			[]advisory.Advisory{{ID: "FriendsOfPHP/Vendor/Lib/2024-01-02", Source: "friendsofphp", Summary: "t", Published: "2024-01-02T10:00:00Z", Modified: "2024-01-03T10:00:00Z", References: []string{"https://example.org"},
				Affected: []advisory.Affected{{Ecosystem: "Packagist", Name: "vendor/lib", State: seawall.StateFixed, FixedAt: "2024-01-02T10:00:00Z",
					Ranges: ordered(in("0"), until("1.9"), in("2.0.0"), until("2.3.1"))}}}}, 0},
		"Retire.js: spans of one identifier, npm names, own identifiers": {"retirejs", "jsrepository-v6.json",
			`{"angularjs":{"npmname":"angular","vulnerabilities":[
				{"below":"1.2.0","severity":"high","cwe":["CWE-79"],"identifiers":{"CVE":["CVE-2024-1"],"githubID":"GHSA-1"},"info":["https://example.org"]},
				{"atOrAbove":"1.4.0-*","below":"1.4.9","excludes":["1.4.5"],"severity":"high","identifiers":{"CVE":["CVE-2024-1"],"githubID":"GHSA-1"}},
				{"below":"1.999.999","severity":"low","cwe":["CWE-1104"],"identifiers":{"summary":"End-of-Life","retid":"54"}}]},
			  "ExtJS":{"vulnerabilities":[{"below":"6.0.0","severity":"medium","identifiers":{"CVE":["CVE-2024-2"]}}]},"retire-example":{"vulnerabilities":[{"below":"0.0.2"}]}}`,
			[]advisory.Advisory{
				{ID: "CVE-2024-2", Source: "retirejs", Severity: seawall.SeverityMedium, Affected: []advisory.Affected{{Ecosystem: "generic", Name: "extjs", State: seawall.StateFixed, Ranges: semver(in("0"), until("6.0.0"))}}},
				{ID: "GHSA-1", Source: "retirejs", Aliases: []string{"CVE-2024-1"}, Severity: seawall.SeverityHigh, CWEs: []string{"CWE-79"}, References: []string{"https://example.org"},
					Affected: []advisory.Affected{{Ecosystem: "npm", Name: "angular", State: seawall.StateFixed,
						Ranges: semver(in("0"), until("1.2.0"), in("1.4.0-0"), until("1.4.5"), in("1.4.6-0"), until("1.4.9"))}}},
				{ID: "RETIREJS-angularjs-54", Source: "retirejs", Kind: advisory.KindNotice, Notice: "unmaintained", Summary: "End-of-Life", Severity: seawall.SeverityLow, CWEs: []string{"CWE-1104"},
					Affected: []advisory.Affected{{Ecosystem: "npm", Name: "angular", State: seawall.StateFixed, Ranges: semver(in("0"), until("1.999.999"))}}},
			}, 1},
		"Node.js: vulnerable minus patched": {"nodejs-core", "vuln/core/140.json", `{"cve":["CVE-2024-1"],"vulnerable":"18.x || 20.x","patched":"^18.20.1 || ^20.12.1","description":"d","severity":"medium","ref":"https://example.org"}`,
			[]advisory.Advisory{{ID: "CVE-2024-1", Source: "nodejs", Aliases: []string{"NSWG-COR-140"}, Summary: "d", Severity: seawall.SeverityMedium, References: []string{"https://example.org"},
				Affected: []advisory.Affected{{Ecosystem: "Node.js", Name: "node", State: seawall.StateFixed,
					Ranges: semver(in("18.0.0"), until("18.20.1"), in("20.0.0"), until("20.12.1"))}}}}, 0},
		"Node.js: several CVEs, none": {"nodejs-core", "index.json", `{"1":{"cve":[],"vulnerable":"8.5.0","patched":"^8.6.0","severity":"unknown","overview":"first line\nmore"},"2":{"cve":["CVE-1-1","CVE-1-2"],"vulnerable":"24.x","patched":"","severity":"high"}}`,
			[]advisory.Advisory{
				{ID: "NSWG-COR-1", Source: "nodejs", Summary: "first line", Affected: []advisory.Affected{{Ecosystem: "Node.js", Name: "node", State: seawall.StateAffected,
					Ranges: semver(in("8.5.0"), advisory.RangeEvent{LastAffected: "8.5.0"})}}},
				{ID: "NSWG-COR-2", Source: "nodejs", Upstream: []string{"CVE-1-1", "CVE-1-2"}, Severity: seawall.SeverityHigh, Affected: []advisory.Affected{{Ecosystem: "Node.js", Name: "node", State: seawall.StateFixed,
					Ranges: semver(in("24.0.0"), until("25.0.0-0"))}}},
			}, 0},
		"Kubernetes: up to the fixed version, every component": {"k8s-cves", "CVE-2024-1.yaml",
			"cve: CVE-2024-1\nissueUrl: https://example.org\npublished: 2024-01-02T00:00Z\ndescription: |\n  first\n  second\ncomponents: [kubelet, kube-proxy]\ncvss:\n  nvd: {scoreV3: 6.6, vectorV3: CVSS:3.1/AV:N/AC:H/PR:H/UI:N/S:U/C:H/I:H/A:H}\n" +
				"affected:\n  - range: \"<= 1.22.15\"\n    fixedBy: \"1.22.16\"\n  - range: \">= 1.23, <= 1.23.13\"\n    fixedBy: \"1.23.14\"\n  - range: \">= 1.25.0\"\n",
			[]advisory.Advisory{{ID: "CVE-2024-1", Source: "k8s-cves", Summary: "first", Published: "2024-01-02T00:00:00Z", References: []string{"https://example.org"},
				CVSS: []seawall.CVSS{{Source: "nvd", Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:H/PR:H/UI:N/S:U/C:H/I:H/A:H"}},
				Affected: []advisory.Affected{
					{Ecosystem: "Kubernetes", Name: "kubelet", State: seawall.StateFixed, Ranges: semver(in("0"), until("1.22.16"), in("1.23"), until("1.23.14"), in("1.25.0"))},
					{Ecosystem: "Kubernetes", Name: "kube-proxy", State: seawall.StateFixed, Ranges: semver(in("0"), until("1.22.16"), in("1.23"), until("1.23.14"), in("1.25.0"))},
				}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := importText(t, test.format, test.path, test.text)
			if err != nil {
				t.Fatal(err)
			}
			var got []advisory.Advisory
			skipped := 0
			for _, r := range records {
				if r.Advisory != nil {
					got = append(got, *r.Advisory)
					checkAdvisory(t, name, r.Advisory)
				}
				if r.Skipped != "" {
					skipped++
				}
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if skipped != test.skipped {
				t.Errorf("%d parts skipped, want %d", skipped, test.skipped)
			}
		})
	}
}

func TestExploitation(t *testing.T) {
	want := advisory.Exploitation{KEV: true, KEVAdded: "2024-01-02", Ransomware: true}
	for _, text := range []string{
		`{"catalogVersion":"1","dateReleased":"2024-01-03T10:00:00.5Z","vulnerabilities":[{"cveID":"CVE-2024-1","dateAdded":"2024-01-02","knownRansomwareCampaignUse":"Known"}]}`,
		"cveID,vendorProject,product,dateAdded,notes,knownRansomwareCampaignUse\nCVE-2024-1,v,\"a, b\",2024-01-02,\"line\nbreak\",Known\n",
	} {
		records, err := importText(t, "kev", "kev", text)
		if err != nil || len(records) != 2 || records[0].CVE != "CVE-2024-1" {
			t.Fatalf("%v, %v", records, err)
		}
		if diff := cmp.Diff(&want, records[0].Exploitation); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if s := records[1].Source; s == nil || s.Name != "kev" || !strings.HasPrefix(s.Updated, "2024-01-0") {
			t.Errorf("source %+v", s)
		}
	}
	records, err := importText(t, "epss", "scores.csv", "#model_version:v2025.03.14,score_date:2026-08-16T12:55:00+0000\ncve,epss,percentile\nCVE-2024-1,0.12345,0.9\n")
	if err != nil || len(records) != 2 {
		t.Fatalf("%v, %v", records, err)
	}
	if e := records[0].Exploitation.EPSS; records[0].CVE != "CVE-2024-1" || *e != (seawall.EPSS{Score: 0.12345, Percentile: 0.9}) {
		t.Errorf("%s %+v", records[0].CVE, e)
	}
	if s := records[1].Source; s.Updated != "2026-08-16T12:55:00Z" {
		t.Errorf("source %+v", s)
	}
}

// TestDamageNamesThePlace: what is broken is refused with the place, whatever was emitted before.
func TestDamageNamesThePlace(t *testing.T) {
	for name, test := range map[string]struct{ format, text, want string }{
		"tracker cut off":        {"debian-tracker", `{"a":{"CVE-2024-1":{"releases":{"sid":{"status":"open"}}}},"b":{"CVE-2024-2":{"rel`, "package b"},
		"tracker status":         {"debian-tracker", `{"a":{"CVE-2024-1":{"releases":{"sid":{"status":"eaten"}}}}}`, "package a: CVE-2024-1: sid: status"},
		"tracker resolved":       {"debian-tracker", `{"a":{"CVE-2024-1":{"releases":{"sid":{"status":"resolved"}}}}}`, "without fixed_version"},
		"list outside":           {"debian-list", "[01 Mar 2023] DSA-1-1 a - b\nstray\n", "line 2"},
		"list package":           {"debian-list", "[01 Mar 2023] DSA-1-1 a - b\n\t[sid] a 1\n", "line 2"},
		"list state":             {"debian-list", "[01 Mar 2023] DSA-1-1 a - b\n\t[sid] - a <odd>\n", "<odd>"},
		"secdb distribution":     {"apk-secdb", `{"apkurl":"x","urlprefix":"https://example.org","distroversion":"11","packages":[]}`, "distroversion"},
		"wolfi fixed":            {"wolfi-advisories", "schema-version: 2\npackage: {name: a}\nadvisories:\n  - {id: CGA-1, events: [{timestamp: 2024-01-01, type: fixed}]}\n", "CGA-1: fixed without"},
		"wolfi event":            {"wolfi-advisories", "schema-version: 2\npackage: {name: a}\nadvisories:\n  - {id: CGA-1, events: [{timestamp: 2024-01-01, type: solved}]}\n", "solved"},
		"rubysec requirement":    {"rubysec", "gem: a\ncve: 1-1\nurl: u\ntitle: t\ndate: d\npatched_versions: [\"=> 1\"]\n", "=> 1"},
		"rubysec no id":          {"rubysec", "gem: a\nurl: u\ntitle: t\ndate: d\n", "one of cve"},
		"php reference":          {"friendsofphp", "title: t\nbranches: {a: {versions: ['<1']}}\nreference: pear://a\n", "composer://"},
		"php constraint":         {"friendsofphp", "title: t\nbranches: {a: {versions: ['<<1']}}\nreference: composer://a/b\n", "branch a"},
		"retire version":         {"retirejs", `{"lib":{"vulnerabilities":[{"below":"next"}]}}`, "component lib: vulnerability 0"},
		"node range":             {"nodejs-core", `{"cve":[],"vulnerable":"<","patched":"1.x"}`, "vulnerable"},
		"node nothing":           {"nodejs-core", `{"cve":[],"vulnerable":"1.x","patched":"*"}`, "no version"},
		"k8s range":              {"k8s-cves", "cve: CVE-1-1\npublished: p\ncvss: {}\naffected: [{range: \"~ 1\"}]\n", "affected 0"},
		"kev id":                 {"kev", `{"catalogVersion":"1","vulnerabilities":[{"cveID":"2024-1"}]}`, "vulnerability 0"},
		"kev columns":            {"kev", "cveID,vendorProject,x\nCVE-1-1,a,b\n", "line 1"},
		"kev short row":          {"kev", "cveID,vendorProject,dateAdded,knownRansomwareCampaignUse\nCVE-1-1,a\n", "line 2"},
		"epss number":            {"epss", "cve,epss,percentile\nCVE-1-1,1.5,0.5\n", "line 2"},
		"epss columns":           {"epss", "cve,epss,percentile\nCVE-1-1;0.5\n", "line 2"},
		"csaf fixed, no version": {"redhat-csaf", strings.Replace(csafText, "lib@3.0.7-6.el9?arch=x86_64&epoch=1", "lib?arch=x86_64", 1), "product BaseOS-9:lib.x"},
		"csaf vulnerability":     {"redhat-csaf", strings.Replace(csafText, `[{"cve":"CVE-2024-1",`, `[{`, 1), "vulnerability 0 without a CVE"},
		"yaml":                   {"wolfi-advisories", "schema-version: 2\npackage: {name: a}\nadvisories: [\n", "yaml: line"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := importText(t, test.format, "x", test.text)
			if !errors.Is(err, seawall.ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want corrupt with %q", err, test.want)
			}
		})
	}
}
