package detect

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestAssign holds the sum of gains to the best of all assignments.
func TestAssign(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		rows, columns := rng.IntN(6), 1+rng.IntN(6)
		gain := make([][]float64, rows)
		for i := range gain {
			gain[i] = make([]float64, columns)
			for j := range gain[i] {
				if rng.IntN(3) > 0 {
					gain[i][j] = math.Floor(rng.Float64()*8)/4 - 0.5 // ties and negative gains too
				}
			}
		}
		got, used := 0.0, map[int]bool{}
		pairs := Assign(gain)
		if len(pairs) != rows {
			t.Fatalf("%v: %d answers", gain, len(pairs))
		}
		for i, j := range pairs {
			if j < 0 {
				continue
			}
			if used[j] || gain[i][j] <= 0 {
				t.Fatalf("%v: column %d for row %d in %v", gain, j, i, pairs)
			}
			used[j] = true
			got += gain[i][j]
		}
		if want := bestSum(gain, 0, map[int]bool{}); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v: %v gives %v, the best is %v", gain, pairs, got, want)
		}
	}
}

func bestSum(gain [][]float64, row int, used map[int]bool) float64 {
	if row == len(gain) {
		return 0
	}
	best := bestSum(gain, row+1, used)
	for j, g := range gain[row] {
		if !used[j] && g > 0 {
			used[j] = true
			best = max(best, g+bestSum(gain, row+1, used))
			used[j] = false
		}
	}
	return best
}
