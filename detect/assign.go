package detect

import "math"

// Assign pairs rows with columns so that the sum of gains is the largest there
// is; a pair without a positive gain is left apart. gain[i][j] is of row i and
// column j, all rows equally long. It returns the column of each row, -1 for
// none, and is exact: the Hungarian method by shortest augmenting paths (Jonker
// and Volgenant, Computing 1987), O(rows² · columns) with rows the fewer.
func Assign(gain [][]float64) []int {
	rows := len(gain)
	if rows == 0 {
		return nil
	}
	columns := len(gain[0])
	cost := func(i, j int) float64 { return -max(gain[i][j], 0) }
	out := make([]int, rows)
	for i := range out {
		out[i] = -1
	}
	if rows <= columns {
		for j, i := range augment(rows, columns, cost) {
			if i >= 0 && gain[i][j] > 0 {
				out[i] = j
			}
		}
		return out
	}
	for i, j := range augment(columns, rows, func(j, i int) float64 { return cost(i, j) }) {
		if j >= 0 && gain[i][j] > 0 {
			out[i] = j
		}
	}
	return out
}

// augment returns the row of each column in a cheapest assignment of all rows,
// which are no more than the columns; -1 for a column without one.
func augment(rows, columns int, cost func(i, j int) float64) []int {
	u, v := make([]float64, rows+1), make([]float64, columns+1)
	row := make([]int, columns+1) // of a column, 1-based, 0 for none; column 0 is the start
	from := make([]int, columns+1)
	least, done := make([]float64, columns+1), make([]bool, columns+1)
	for i := 1; i <= rows; i++ {
		row[0] = i
		for j := range least {
			least[j], done[j] = math.Inf(1), false
		}
		j0 := 0
		for row[j0] != 0 {
			done[j0] = true
			delta, next := math.Inf(1), 0
			for j := 1; j <= columns; j++ {
				if done[j] {
					continue
				}
				if c := cost(row[j0]-1, j-1) - u[row[j0]] - v[j]; c < least[j] {
					least[j], from[j] = c, j0
				}
				if least[j] < delta {
					delta, next = least[j], j
				}
			}
			for j := range done {
				if done[j] {
					u[row[j]] += delta
					v[j] -= delta
				} else {
					least[j] -= delta
				}
			}
			j0 = next
		}
		for j0 != 0 {
			row[j0] = row[from[j0]]
			j0 = from[j0]
		}
	}
	for j := range row {
		row[j]--
	}
	return row[1:]
}
