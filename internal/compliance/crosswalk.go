package compliance

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"sync"
)

// crosswalk says which numbers other benchmarks have for a recommendation of CIS
// Kubernetes, where no rule names them itself: benchmarks/crosswalk.csv, whose
// first line names the benchmarks.
var crosswalk = sync.OnceValue(func() map[string][]string {
	text, err := files.ReadFile("benchmarks/crosswalk.csv")
	if err != nil {
		return nil // embedded: a test reads it
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil
	}
	out := map[string][]string{}
	for _, row := range rows[1:] {
		id := rows[0][0] + ":" + row[0]
		for i, number := range row[1:] {
			if number != "" {
				out[id] = append(out[id], rows[0][i+1]+":"+number)
			}
		}
	}
	return out
})

// WithCounterparts returns identifiers with those that the benchmarks of single
// distributions and clouds have for the same recommendations, sorted, each once.
func WithCounterparts(ids []string) []string {
	if !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, "cis-k8s-1.12:5.") }) {
		return ids
	}
	out := slices.Clone(ids)
	for _, id := range ids {
		out = append(out, crosswalk()[id]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
