package triage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

func TestVerdicts(t *testing.T) {
	r := &seawall.Report{Asset: &seawall.Asset{ID: "a", Name: "app"}, Decisions: []seawall.Decision{
		{Policy: "p", Rule: "a", Action: "alert", Outcome: "enforced", Asset: "a", Reason: "x"},
		{Policy: "p", Rule: "b", Action: "block", Outcome: "dry-run", Asset: "a"},
		{Policy: "p", Rule: "c", Action: "block", Outcome: "failed", Asset: "a"},
		{Policy: "p", Rule: "d", Action: "block", Outcome: "enforced", Location: &seawall.Location{Path: "k.yaml", Line: 3, Resource: "Pod/n/a"}},
	}}
	list := triage.New(r, sink.Options{}).Verdicts()
	want := []triage.Verdict{
		{Word: "block", Enforced: true, Rule: "p/d", Where: "k.yaml:3 Pod/n/a"},
		{Word: "not decided", Rule: "p/c"},
		{Word: "alert", Rule: "p/a", Reason: "x"},
		{Word: "would block", Rule: "p/b"},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if got := triage.CountVerdicts(list); got != "1 block, 1 not decided, 1 alert, 1 would block" {
		t.Error(got)
	}
}
