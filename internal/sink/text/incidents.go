package text

import (
	"fmt"

	"github.com/seawall-security/seawall/internal/sink/triage"
)

// incidents tells what happened, worst first, before the findings it is made of.
func (t *table) incidents() {
	list := t.view.Incidents()
	if len(list) == 0 {
		return
	}
	t.prose(0, fmt.Sprintf("INCIDENTS (%d), worst first", len(list)), bold)
	for i := range list {
		if i == triage.MostIncidents {
			t.prose(2, fmt.Sprintf("+%d more: see incidents in --format json", len(list)-i), dim)
			t.blank()
			break
		}
		t.wrap([]word{severityWord(list[i].Severity)}, 12, split(list[i].Title, bold))
		for _, f := range list[i].Facts {
			t.wrap([]word{{"            ", plain}, {f.Label + ":", dim}, {" ", plain}}, 14+len(f.Label), split(f.Text, plain))
		}
		t.blank()
	}
}
