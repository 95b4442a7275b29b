package attacks_test

import (
	"slices"
	"testing"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/test/attacks"
)

// elsewhere are the rules that nothing in a container of a plain namespace can make true: of the node, of sealed namespaces.
func elsewhere() []string {
	return []string{"Kernel module loaded by an unexpected program", "Program that is not in the image started in a sealed namespace"}
}

// Every rule for containers has an attack, every attack a rule that names its technique and a twin.
func TestTable(t *testing.T) {
	all, err := attacks.All()
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(rules.Own()...)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rules.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string][]string{}
	for _, r := range engine.Rules() {
		if r.Source == rules.SourceSyscall && !slices.Contains(elsewhere(), r.Name) {
			tags[r.Name] = r.Tags
		}
	}
	if len(all) < 60 {
		t.Errorf("%d attacks", len(all))
	}
	acted, seen := map[string]bool{}, map[string]bool{}
	for _, a := range all {
		if !slices.Contains(tags[a.Rule], a.Technique) {
			t.Errorf("%q: %s is not among its rule's tags %v", a.Attack, a.Technique, tags[a.Rule])
		}
		if a.Attack == "" || a.Twin == "" || a.Attack == a.Twin {
			t.Errorf("%+v", a)
		}
		if seen[a.Rule+a.Attack] {
			t.Errorf("%q twice", a.Attack)
		}
		acted[a.Rule], seen[a.Rule+a.Attack] = true, true
	}
	for name := range tags {
		if !acted[name] {
			t.Errorf("no attack for rule %q", name)
		}
	}
}

func TestSteps(t *testing.T) {
	all := []attacks.Attack{{Attack: "a", Twin: "b"}, {Attack: "c", Twin: "d"}}
	want := `{"name":"0","command":"b"}` + "\n" + `{"name":"1","command":"d"}` + "\n"
	if got := string(attacks.Steps(all, true)); got != want {
		t.Errorf("%s", got)
	}
	answer := []byte(`{"name":"0","began":"2026-11-21T09:00:00Z","ended":"2026-11-21T09:00:01Z"}`)
	if r, err := attacks.Results(answer, 1); err != nil || r[0].Ended.Sub(r[0].Began).Seconds() != 1 {
		t.Errorf("%v %v", r, err)
	}
	for _, n := range []int{0, 2} {
		if r, err := attacks.Results(answer, n); err == nil {
			t.Errorf("%d results for %d steps", len(r), n)
		}
	}
}
