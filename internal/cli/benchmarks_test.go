package cli

import (
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/testenv"
)

// Every number of every benchmark is a rule, or part of one: judged by machine
// or saying what a person must look at.
func TestBenchmarksAreComplete(t *testing.T) {
	var ids []string
	for _, r := range ownRules() {
		ids = append(ids, compliance.WithCounterparts(r.Frameworks)...)
	}
	for file, id := range map[string]string{
		"cis-1.12.csv": "cis-k8s-1.12", "cis-docker.csv": "cis-docker-1.6", "eks-1.7.0.csv": "cis-eks-1.7", "gke-1.8.0.csv": "cis-gke-1.8",
		"aks-1.8.csv": "cis-aks-1.8", "rke2-cis-1.7.csv": "cis-rke2-1.7", "k3s-cis-1.8.csv": "cis-k3s-1.8",
	} {
		f, err := os.Open(testenv.Shared(t, "benchmarks/"+file))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil || len(rows) < 40 {
			t.Fatalf("%s: %d rows, %v", file, len(rows), err)
		}
		var numbers, missing []string
		for _, row := range rows[1:] {
			numbers = append(numbers, id+":"+row[0])
			if !slices.Contains(ids, id+":"+row[0]) {
				missing = append(missing, row[0])
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s: %d of %d numbers have no rule: %s", file, len(missing), len(numbers), strings.Join(missing, " "))
		}
		for _, one := range ids {
			if strings.HasPrefix(one, id+":") && !slices.Contains(numbers, one) {
				t.Errorf("a rule names %s, which the benchmark does not have", one)
			}
		}
	}
}
