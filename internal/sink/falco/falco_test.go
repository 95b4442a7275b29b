package falco_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink/falco"
)

// The example of Falco's documentation (https://falco.org/docs/concepts/outputs/formatting/),
// with the members newer versions add.
const documented = `{"hostname":"node-1","output":"23:31:56.746609046: Error File below a known binary directory opened for writing (user=root command=touch /bin/hack file=/bin/hack image=<NA> pid=4711)",` +
	`"output_fields":{"container.image.repository":null,"evt.time":1507591916746609046,"fd.name":"/bin/hack","proc.cmdline":"touch /bin/hack","proc.pid":4711,"user.name":"root"},` +
	`"priority":"Error","rule":"Write below binary dir","source":"syscall","tags":["filesystem","mitre_persistence"],"time":"2017-10-09T23:31:56.746609046Z"}` + "\n"

const rule = `
- rule: Write below binary dir
  desc: a file below a binary directory
  condition: evt.type = openat and fd.directory = /bin
  output: File below a known binary directory opened for writing (user=%user.name command=%proc.cmdline file=%fd.name image=%container.image.repository pid=%proc.pid)
  priority: ERROR
  tags: [mitre_persistence, filesystem]
`

func matched(t *testing.T) seawall.Finding {
	t.Helper()
	set, err := rules.Load(rules.File{Path: "rules.yaml", Data: []byte(rule)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	event := &seawall.Event{Time: "2017-10-09T23:31:56.746609046Z", Type: "openat", Fields: map[string]any{
		"fd.directory": "/bin", "fd.name": "/bin/hack", "proc.cmdline": "touch /bin/hack", "user.name": "root", "proc.pid": 4711,
	}}
	record := rules.Recorded{Event: event}
	got := engine.NewState().Match(seawall.SourceSyscall, record)
	if len(got) != 1 {
		t.Fatalf("%d rules match", len(got))
	}
	return got[0].Finding(record, event)
}

func encoder() *falco.Encoder {
	return &falco.Encoder{Hostname: "node-1", Now: func() time.Time { return time.Date(2026, 11, 21, 9, 0, 0, 5, time.UTC) }}
}

func TestAlertAsDocumented(t *testing.T) {
	var out bytes.Buffer
	h := falco.New(&out, encoder())
	f := matched(t)
	for _, m := range []seawall.Message{{Run: &seawall.Run{}}, {Finding: &f}, {Decision: &seawall.Decision{}}, {Status: &seawall.CollectorStatus{Status: seawall.RunOK}}, {End: &seawall.End{}}} {
		if err := h.Handle(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(documented, out.String()); diff != "" {
		t.Error(diff)
	}
}

// Findings no rule's output made (of files, of resource use) and losses have all members too.
func TestAlertOfOthers(t *testing.T) {
	f := seawall.Finding{Kind: seawall.KindIntegrity, Rule: "SW-FIM-001", Title: "/etc/passwd changed", Severity: seawall.SeverityHigh, Status: seawall.StatusFail, Time: "2026-11-21T09:00:00Z",
		Event: &seawall.Event{Fields: map[string]any{"fd.name": "/etc/passwd"}}}
	for name, m := range map[string]seawall.Message{
		"integrity": {Finding: &f},
		"loss":      {Status: &seawall.CollectorStatus{Name: "sensor/kernel", Status: seawall.RunPartial, Reason: "12 events lost"}},
	} {
		data, err := encoder().Encode(&m)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%s: %v: %s", name, err, data)
		}
		for _, key := range []string{"hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"} {
			if got[key] == nil {
				t.Errorf("%s: no %s: %s", name, key, data)
			}
		}
	}
	if f.Event.Fields["evt.time"] != nil {
		t.Error("the finding's event was changed")
	}
	if text := string(encoder().Lost(3)); !strings.Contains(text, `"output":"09:00:00.000000005: Warning 3 alerts had no room in the spool"`) {
		t.Error(text)
	}
	f.Status = seawall.StatusPass
	if data, _ := encoder().Encode(&seawall.Message{Finding: &f}); data != nil {
		t.Errorf("an alert of what passed: %s", data)
	}
}

func TestPriority(t *testing.T) {
	for in, want := range map[string]string{"EMERGENCY": "Emergency", "INFO": "Informational", "INFORMATIONAL": "Informational", "Warning": "Warning", "DEBUG": "Debug", "": "Notice"} {
		if got := falco.Priority(&seawall.Finding{Priority: in, Severity: seawall.SeverityLow}); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
