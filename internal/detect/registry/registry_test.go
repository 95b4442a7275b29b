package registry

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

var today = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// hardened is what a registry with nothing to blame answers.
func hardened() map[string]string {
	return map[string]string{
		"host": "r.example", "https": "yes", "plainHTTP": "no", "tls.old": "no", "auth": "bearer", "public": "no",
		"certificate.subject": "CN=r.example", "certificate.issuer": "CN=ca", "certificate.trust": "yes", "certificate.weak": "no",
		"certificate.notBefore": "2026-10-01T00:00:00Z", "certificate.notAfter": "2027-10-01T00:00:00Z",
		"anonymous.catalog": "no", "anonymous.pull": "no", "anonymous.push": "no", "anonymous.delete": "no", "account.write": "no",
		"deletion": "no", "tags.moved": "0", "firstSeen": "2026-11-01T00:00:00Z", "software": "harbor", "software.version": "2.5.0",
	}
}

func detectOne(t *testing.T, asset seawall.Asset, configs ...seawall.ConfigFact) []seawall.Finding {
	t.Helper()
	res, err := Detector{}.Detect(t.Context(), detect.Facts{Asset: asset, Configs: configs, Now: today})
	if err != nil {
		t.Fatal(err)
	}
	return res.Findings
}

// notPassed renders what a change of the hardened registry's answers leads to, besides passes.
func notPassed(t *testing.T, change map[string]string) (out []string) {
	t.Helper()
	d := hardened()
	maps.Copy(d, change)
	for _, f := range detectOne(t, seawall.Asset{Kind: seawall.AssetRegistry}, seawall.ConfigFact{Kind: "registry", Data: d}) {
		switch f.Status {
		case seawall.StatusPass:
		case seawall.StatusFail:
			if f.Remediation == "" || f.Evidence == "" || f.Location.Resource != "r.example" {
				t.Errorf("%s lacks a remedy, evidence or a place: %+v", f.Rule, f)
			}
			out = append(out, fmt.Sprintf("%s fail %s", f.Rule, f.Severity))
		default:
			if f.Reason == "" {
				t.Errorf("%s %s without a reason", f.Rule, f.Status)
			}
			out = append(out, fmt.Sprintf("%s %s", f.Rule, f.Status))
		}
	}
	return out
}

func TestRegistry(t *testing.T) {
	const mutable = "SW-REG-011 not-evaluated" // no registry tells
	for name, tt := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"hardened":     {nil, []string{mutable}},
		"old TLS":      {map[string]string{"tls.old": "yes", "tls.accepted": "TLS 1.0"}, []string{"SW-REG-002 fail medium", mutable}},
		"self-signed":  {map[string]string{"certificate.trust": "self-signed"}, []string{"SW-REG-003 fail high", mutable}},
		"wrong name":   {map[string]string{"certificate.trust": "hostname"}, []string{"SW-REG-003 fail high", mutable}},
		"expired":      {map[string]string{"certificate.notAfter": "2026-11-20T00:00:00Z"}, []string{"SW-REG-004 fail high", mutable}},
		"expires soon": {map[string]string{"certificate.notAfter": "2026-12-01T00:00:00Z"}, []string{"SW-REG-004 fail medium", mutable}},
		"not yet":      {map[string]string{"certificate.notBefore": "2026-12-01T00:00:00Z"}, []string{"SW-REG-004 fail high", mutable}},
		"weak":         {map[string]string{"certificate.weak": "yes", "certificate.key": "RSA 1024"}, []string{"SW-REG-005 fail medium", mutable}},
		"catalog":      {map[string]string{"anonymous.catalog": "yes"}, []string{"SW-REG-006 fail medium", mutable}},
		"public": {map[string]string{"public": "yes", "anonymous.catalog": "yes", "anonymous.pull": "yes"},
			[]string{"SW-REG-006 not-applicable", "SW-REG-007 not-applicable", mutable}},
		"unknown": {map[string]string{"anonymous.pull": "unknown: timeout", "anonymous.push": ""},
			[]string{"SW-REG-007 not-evaluated", "SW-REG-008 not-evaluated", mutable}},
		"pushable":       {map[string]string{"anonymous.push": "yes"}, []string{"SW-REG-008 fail critical", "SW-REG-011 fail high"}},
		"deletable":      {map[string]string{"anonymous.delete": "yes", "deletion": "yes"}, []string{"SW-REG-009 fail critical", "SW-REG-011 fail low"}},
		"mighty account": {map[string]string{"account.write": "yes"}, []string{"SW-REG-010 fail low", mutable}},
		"moved":          {map[string]string{"tags.moved": "3"}, []string{"SW-REG-011 fail low"}},
		"silent":         {map[string]string{"software.version": ""}, []string{mutable, "SW-REG-015 not-evaluated"}},
		"plain": {map[string]string{"plainHTTP": "yes", "https": "no", "certificate.trust": "", "tls.old": ""},
			[]string{"SW-REG-001 fail high", mutable}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, notPassed(t, tt.change)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTagsAndRepositories(t *testing.T) {
	moved := func(tag, release string) seawall.ConfigFact {
		return seawall.ConfigFact{Kind: "registry-tag", Data: map[string]string{"reference": "r.example/app:" + tag, "from": "sha256:a", "to": "sha256:b", "seen": "2026-11-20T00:00:00Z", "release": release}}
	}
	repository := func(name, built string) seawall.ConfigFact {
		return seawall.ConfigFact{Kind: "registry-repository", Data: map[string]string{"repository": "r.example/" + name, "built": built}}
	}
	var got []string
	for _, f := range detectOne(t, seawall.Asset{Kind: seawall.AssetRegistry},
		moved("latest", "no"), moved("v1.2", "yes"), moved("stable", "no"),
		repository("fresh", "2026-10-01T00:00:00Z"), repository("old", "2024-10-01T00:00:00Z"), repository("reproducible", "1980-01-01T00:00:00Z")) {
		got = append(got, fmt.Sprintf("%s %s %s %s", f.Rule, f.Status, f.Severity, f.Location.Resource))
	}
	want := []string{
		"SW-REG-012 fail low r.example/app:latest", "SW-REG-012 fail high r.example/app:v1.2", "SW-REG-012 fail medium r.example/app:stable",
		"SW-REG-014 fail low r.example/old", "SW-REG-014 not-evaluated low ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImage(t *testing.T) {
	for signed, want := range map[string]seawall.Status{
		"yes": seawall.StatusPass, "no": seawall.StatusFail, "unknown: 500": seawall.StatusNotEvaluated, "": seawall.StatusNotEvaluated,
	} {
		got := detectOne(t, seawall.Asset{Kind: seawall.AssetImage, Name: "r.example/app:1"}, seawall.ConfigFact{Kind: "registry-image", Data: map[string]string{"signed": signed}})
		if len(got) != 1 || got[0].Status != want || got[0].Location.Resource != "r.example/app:1" {
			t.Errorf("signed %q: %+v", signed, got)
		}
	}
	if got := detectOne(t, seawall.Asset{Kind: seawall.AssetImage}, seawall.ConfigFact{Kind: "os-release"}); len(got) > 0 {
		t.Errorf("an image of no registry: %+v", got)
	}
}

func TestRulesAreComplete(t *testing.T) {
	for i, r := range (Detector{}).Rules() {
		if want := fmt.Sprintf("SW-REG-%03d", i+1); r.ID != want {
			t.Errorf("rule %s, want %s", r.ID, want)
		}
		if r.Title == "" || strings.HasSuffix(r.Title, ".") || r.Rationale == "" || r.Remediation == "" {
			t.Errorf("%s is incomplete", r.ID)
		}
	}
}
