package license_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/sink/license"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func TestIsExpression(t *testing.T) {
	for expression, want := range map[string]bool{
		"MIT": true, "GPL-2.0+": true, "GPL-2.0-or-later WITH Classpath-exception-2.0": true, "(MIT OR Apache-2.0) AND BSD-3-Clause": true,
		"": false, "MIT OR": false, "OR MIT": false, "(MIT": false, "MIT)": false, "MIT Apache-2.0": false, "Public domain": false, "GPL": false,
		"MIT WITH": false, strings.Repeat("(", 100) + "MIT" + strings.Repeat(")", 100): false,
	} {
		if got := license.IsExpression(expression); got != want {
			t.Errorf("%q: %v, want %v", expression, got, want)
		}
	}
}

func TestListIsTheSchemas(t *testing.T) {
	data, err := os.ReadFile(sinktest.Module(t, "github.com/CycloneDX/cyclonedx-go") + "/schema/spdx.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Enum []string }
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("ids.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Join(schema.Enum, "\n")+"\n", string(have)); diff != "" {
		t.Errorf("ids.txt differs from the schema (-want +got):\n%s", diff)
	}
}

func FuzzIsExpression(f *testing.F) {
	f.Add("(MIT OR Apache-2.0) AND GPL-2.0-only WITH Classpath-exception-2.0")
	f.Fuzz(func(t *testing.T, s string) {
		if license.IsExpression(s) && !license.IsExpression("("+s+")") && len(s) < 4000 && strings.Count(s, "(") < 31 {
			t.Errorf("%q is one, in parentheses it is not", s)
		}
	})
}
