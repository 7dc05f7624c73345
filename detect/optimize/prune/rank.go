package prune

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Ranking is the order in which a group's channels go.
type Ranking struct {
	Order []int     // places in Group.Classes
	Cost  []float64 // what the outputs of its users differ by after each, of their variance
}

// user is one part of a convolution, as far as it uses a group.
type user struct {
	conv  *Conv
	part  int
	w     *mat.Dense // [outputs, columns + 1]
	hi    *mat.Dense // rows of the inverse that are the group's, [rows, columns + 1]
	rows  [][]int    // of each class, its rows in hi
	cols  []int      // of each row, its column
	total float64
}

// Rank orders the channels of a group: again and again those go whose loss costs
// least once all convolutions that use the group have made up for it, chunk of them
// at a time, until least are left. At each count of marks it calls at with the places
// in Group.Classes that are gone and weights that make up for them. The inverses are not changed.
func (n *Net) Rank(g Group, inverses map[string]*Inverse, least, chunk int, marks []int, at func(gone []int, weights map[string]Weights) error) (Ranking, error) {
	users := n.users(g, inverses)
	r := Ranking{}
	alive := make([]int, len(g.Classes))
	for i := range alive {
		alive[i] = i
	}
	cost := 0.0
	for len(alive) > least {
		prices := make([]float64, len(g.Classes))
		for _, u := range users {
			if err := u.price(alive, prices); err != nil {
				return r, err
			}
		}
		slices.SortStableFunc(alive, func(a, b int) int { return cmp.Compare(prices[a], prices[b]) })
		take := min(chunk, len(alive)-least, nextMark(marks, len(r.Order)))
		for _, class := range alive[:take] {
			cost += prices[class]
			r.Order, r.Cost = append(r.Order, class), append(r.Cost, cost)
		}
		for _, u := range users {
			if err := u.remove(alive[:take]); err != nil {
				return r, err
			}
		}
		alive = slices.Sorted(slices.Values(alive[take:]))
		if at != nil && slices.Contains(marks, len(r.Order)) {
			if err := at(r.Order, compensated(users)); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// nextMark is how many may go until the next mark.
func nextMark(marks []int, gone int) int {
	next := math.MaxInt
	for _, m := range marks {
		if m > gone {
			next = min(next, m-gone)
		}
	}
	return next
}

func (n *Net) users(g Group, inverses map[string]*Inverse) (out []*user) {
	place := map[int]int{}
	for i, class := range g.Classes {
		place[class] = i
	}
	for _, k := range g.convs {
		c := n.convs[k]
		inv := inverses[c.Name]
		for p := range c.parts {
			u := &user{conv: c, part: p, w: c.rows(p, c.Original()), rows: make([][]int, len(g.Classes)), total: inv.total[p]}
			for i, class := range c.partIns(p) {
				at, ours := place[class]
				if !ours {
					continue
				}
				for t := range c.taps() {
					u.rows[at] = append(u.rows[at], len(u.cols))
					u.cols = append(u.cols, i*c.taps()+t)
				}
			}
			if len(u.cols) == 0 {
				continue
			}
			u.hi = mat.NewDense(len(u.cols), c.Columns()+1, nil)
			for i, col := range u.cols {
				row := u.hi.RawRowView(i)
				for j := range row {
					row[j] = inv.parts[p].At(col, j)
				}
			}
			out = append(out, u)
		}
	}
	return out
}

// block is the part of the inverse between some rows, inverted.
func (u *user) block(rows []int) (*mat.SymDense, error) {
	b := mat.NewSymDense(len(rows), nil)
	for i, r := range rows {
		for j := i; j < len(rows); j++ {
			b.SetSym(i, j, u.hi.At(r, u.cols[rows[j]]))
		}
	}
	f, err := factor(b)
	if err != nil {
		return nil, err
	}
	var inv mat.SymDense
	return &inv, f.InverseTo(&inv)
}

// weightsOf are the weights at some rows, [outputs, rows].
func (u *user) weightsOf(rows []int) *mat.Dense {
	outs, _ := u.w.Dims()
	w := mat.NewDense(outs, len(rows), nil)
	for o := range outs {
		from, to := u.w.RawRowView(o), w.RawRowView(o)
		for i, r := range rows {
			to[i] = from[u.cols[r]]
		}
	}
	return w
}

// price adds what it costs this user to lose each class alone.
func (u *user) price(alive []int, prices []float64) error {
	for _, class := range alive {
		rows := u.rows[class]
		if len(rows) == 0 {
			continue
		}
		b, err := u.block(rows)
		if err != nil {
			return err
		}
		w := u.weightsOf(rows)
		var wb mat.Dense
		wb.Mul(w, b)
		sum := 0.0
		for i, v := range wb.RawMatrix().Data {
			sum += v * w.RawMatrix().Data[i]
		}
		prices[class] += max(0, sum) / u.total
	}
	return nil
}

// remove takes classes out: weights and inverse become those of a network that never
// had them.
func (u *user) remove(classes []int) error {
	var rows []int
	for _, class := range classes {
		rows = append(rows, u.rows[class]...)
	}
	if len(rows) == 0 {
		return nil
	}
	b, err := u.block(rows)
	if err != nil {
		return err
	}
	_, k := u.hi.Dims()
	gone := mat.NewDense(len(rows), k, nil)
	for i, r := range rows {
		gone.SetRow(i, u.hi.RawRowView(r))
	}
	var step, change mat.Dense
	step.Mul(b, gone)
	change.Mul(u.weightsOf(rows), &step)
	u.w.Sub(u.w, &change)

	all, _ := u.hi.Dims()
	left := mat.NewDense(all, len(rows), nil)
	for i := range all {
		from, to := u.hi.RawRowView(i), left.RawRowView(i)
		for j, r := range rows {
			to[j] = from[u.cols[r]]
		}
	}
	change.Reset()
	change.Mul(left, &step)
	u.hi.Sub(u.hi, &change)
	outs, _ := u.w.Dims()
	for _, r := range rows {
		for o := range outs {
			u.w.Set(o, u.cols[r], 0)
		}
	}
	return nil
}

// compensated are the weights of all users as they are now.
func compensated(users []*user) map[string]Weights {
	out := map[string]Weights{}
	for _, u := range users {
		w, there := out[u.conv.Name]
		if !there {
			w = Weights{slices.Clone(u.conv.weights), slices.Clone(u.conv.bias)}
			out[u.conv.Name] = w
		}
		u.conv.store(w, u.part, u.w)
	}
	return out
}

// store writes a part's rows back.
func (c *Conv) store(w Weights, part int, rows *mat.Dense) {
	k := c.Columns()
	for o := range c.partOuts() {
		row, at := rows.RawRowView(o), part*c.partOuts()+o
		for i := range k {
			w.Of[at*k+i] = float32(row[i])
		}
		w.Bias[at] = float32(row[k])
	}
}
