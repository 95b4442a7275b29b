package node

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTable: an event answers for exactly the fields that the language's table
// says are filled, and as what they are.
func TestTable(t *testing.T) {
	file, err := os.Open("../../detect/rules/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	kinds := map[string]kind{"text": kindText, "number": kindNumber, "flag": kindFlag, "address": kindAddress}
	seen := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		of := slices.Contains(f, "syscall") || !slices.Contains(f, "k8s_audit")
		filled := of && !slices.Contains(f, "unfilled")
		have, ok := table()[f[0]]
		seen[f[0]] = true
		switch {
		case ok != filled:
			t.Errorf("%s: the table says filled: %v, an event answers: %v", f[0], filled, ok)
		case ok && have.kind != kinds[f[1]]:
			t.Errorf("%s is a %s", f[0], f[1])
		}
	}
	for name := range table() {
		if !seen[name] {
			t.Errorf("%s is not in fields.txt", name)
		}
	}
}
