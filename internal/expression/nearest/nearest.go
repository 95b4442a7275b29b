// Package nearest guesses what a mistyped word was meant to be: a key, a field, a name.
package nearest

// Word is the word that a mistyped one most likely meant, "" where none is close.
func Word(word string, words []string) string {
	best, distance := "", max(3, len(word)/3+1)
	for _, w := range words {
		if d := editDistance(word, w); d < distance {
			best, distance = w, d
		}
	}
	return best
}

// editDistance is Levenshtein's, for short words.
func editDistance(a, b string) int {
	if len(a) > 40 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost = 1 + min(left, row[j], row[j+1])
			}
			left, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
