package spec

import "strings"

// nearest returns the known word closest to word, else one that word begins, or
// "" when none is close enough to be what was meant.
func nearest(word string, known []string) string {
	best, found := max(1, len(word)/3)+1, ""
	for _, k := range known {
		if d := distance(word, k); 0 < d && d < best {
			best, found = d, k
		}
	}
	for _, k := range known {
		if found == "" && len(word) >= minPrefix && len(k) > len(word) && strings.HasPrefix(k, word) {
			found = k
		}
	}
	return found
}

const minPrefix = 3

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbors (Damerau 1964, Boytsov 2011 §2.2).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if abs(len(x)-len(y)) > maxDistance || len(x) > maxWord || len(y) > maxWord {
		return maxWord
	}
	var older, old, row []int
	old = make([]int, len(y)+1)
	for j := range old {
		old[j] = j
	}
	for i := range x {
		row = make([]int, len(y)+1)
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(old[j+1]+1, row[j]+1, old[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, old = old, row
	}
	return old[len(y)]
}

// Longer words, or words further apart, are never what was meant.
const (
	maxWord     = 64
	maxDistance = 8
)

func abs(n int) int { return max(n, -n) }
