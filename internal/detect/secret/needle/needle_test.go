package needle_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect/secret/needle"
)

// Every place of every needle, as a search for each alone finds them.
func TestFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var set needle.Set
		var texts []string
		for i := range 1 + rng.IntN(12) {
			b := make([]byte, 3+rng.IntN(5))
			for j := range b {
				b[j] = "abAB_-"[rng.IntN(6)]
			}
			texts = append(texts, string(b))
			set.Add(string(b), i%2 == 0, i)
		}
		data := make([]byte, 300)
		for j := range data {
			data[j] = "abAB_-x"[rng.IntN(7)]
		}
		from := rng.IntN(20)
		var got, want []string
		set.Find(data, from, func(id, pos int) { got = append(got, fmt.Sprint(id, " ", pos)) })
		for id, text := range texts {
			for pos := from; pos+len(text) <= len(data); pos++ {
				at := string(data[pos : pos+len(text)])
				if at == text || id%2 == 0 && strings.EqualFold(at, text) {
					want = append(want, fmt.Sprint(id, " ", pos))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q from %d (-want +got):\n%s", texts, from, diff)
		}
	}
}
