package seawall_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Of what a stream tells anew the last counts. A collector and a detector of one name
// are two statuses: the first must not vanish behind the second.
func TestApplyKeepsTheLast(t *testing.T) {
	status := func(asset, name string, s seawall.RunStatus, found int) seawall.Message {
		return seawall.Message{Status: &seawall.CollectorStatus{Asset: asset, Name: name, Status: s, Found: found}}
	}
	var r seawall.Report
	for _, m := range []seawall.Message{
		status("n", "sensor/syscall", seawall.RunOK, 1),
		status("i", "malware", seawall.RunPartial, 0),
		status("n", "rule/x", seawall.RunPartial, 0),
		{Incident: &seawall.Incident{ID: "1", Count: 1}},
		status("i", "malware", seawall.RunOK, 0),
		status("n", "sensor/syscall", seawall.RunPartial, 5),
		status("m", "sensor/syscall", seawall.RunOK, 3),
		{Incident: &seawall.Incident{ID: "1", Count: 2}},
		status("n", "sensor/syscall", seawall.RunPartial, 9),
		{End: &seawall.End{Ended: "2026-11-21T00:00:00Z"}},
	} {
		r.Apply(m)
	}
	want := []seawall.CollectorStatus{
		{Asset: "i", Name: "malware", Status: seawall.RunPartial},
		{Asset: "n", Name: "rule/x", Status: seawall.RunPartial},
		{Asset: "i", Name: "malware", Status: seawall.RunOK},
		{Asset: "m", Name: "sensor/syscall", Status: seawall.RunOK, Found: 3},
		{Asset: "n", Name: "sensor/syscall", Status: seawall.RunPartial, Found: 9},
	}
	if diff := cmp.Diff(want, r.Collectors); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]seawall.Incident{{ID: "1", Count: 2}}, r.Incidents); diff != "" {
		t.Error(diff)
	}
}
