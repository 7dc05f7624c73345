package prune

import (
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// Moments are the sums of what taps gave over pictures.
type Moments []float32

// Add adds what one picture gave; the first one settles the size.
func (m *Moments) Add(seen []float32) {
	if *m == nil {
		*m = make(Moments, len(seen))
	}
	sum := *m
	for i, v := range seen {
		sum[i] += v
	}
}

// Ridge is how much of the mean of its diagonal is added to a moment matrix, so that
// weights stay near what they were where pictures say nothing.
const Ridge = 1e-3

// matrix is the symmetric matrix of one part, with the ridge: not on the bias, whose
// column of ones is last.
func (m Moments) matrix(part, k int) (*mat.SymDense, error) {
	from := m[part*k*k : (part+1)*k*k]
	if !finite(from) {
		return nil, fmt.Errorf("what goes into a convolution is not finite on these pictures")
	}
	h := mat.NewSymDense(k, nil)
	mean := 0.0
	for i := range k {
		for j := i; j < k; j++ {
			h.SetSym(i, j, float64(from[i*k+j]))
		}
		if i < k-1 {
			mean += float64(from[i*k+i])
		}
	}
	damp := max(Ridge*mean/float64(max(1, k-1)), 1e-12*h.At(k-1, k-1), 1e-30)
	for i := range k - 1 {
		h.SetSym(i, i, h.At(i, i)+damp)
	}
	return h, nil
}

// factor is the Cholesky factor of a moment matrix, whose ridge grows until there is
// one.
func factor(h *mat.SymDense) (*mat.Cholesky, error) {
	var c mat.Cholesky
	k, _ := h.Dims()
	for grow := 0; grow < 12; grow++ {
		if c.Factorize(h) {
			return &c, nil
		}
		for i := range k {
			h.SetSym(i, i, h.At(i, i)*(1+1e-6)*(1+float64(grow)*1e-4)+1e-12)
		}
	}
	return nil, fmt.Errorf("what goes into a convolution has no well-defined moments on these pictures")
}

// Inverse is of the moment matrix with its ridge, for each part.
type Inverse struct {
	parts []*mat.SymDense
	total []float64 // variance of what comes out
}

// Invert prepares a convolution's moments for Rank.
func (c *Conv) Invert(m Moments) (*Inverse, error) {
	inv := &Inverse{}
	k := c.Columns() + 1
	for p := range c.parts {
		h, err := m.matrix(p, k)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		inv.total = append(inv.total, c.variance(p, h))
		f, err := factor(h)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		var i mat.SymDense
		if err := f.InverseTo(&i); err != nil {
			return nil, fmt.Errorf("%s: invert its moments: %w", c.Name, err)
		}
		inv.parts = append(inv.parts, &i)
	}
	return inv, nil
}

// variance sums, over the outputs of a part, how much they vary.
func (c *Conv) variance(part int, h *mat.SymDense) float64 {
	w := c.rows(part, c.Original())
	outs, k := w.Dims()
	var through mat.Dense
	through.Mul(w, h)
	sum := 0.0
	for o := range outs {
		second, mean := mat.Dot(through.RowView(o), w.RowView(o)), through.At(o, k-1)
		sum += second - mean*mean/h.At(k-1, k-1)
	}
	return max(sum, 1e-12)
}

// rows are the weights of a part with the bias as the last column.
func (c *Conv) rows(part int, w Weights) *mat.Dense {
	k := c.Columns()
	out := mat.NewDense(c.partOuts(), k+1, nil)
	for o := range c.partOuts() {
		row, at := out.RawRowView(o), part*c.partOuts()+o
		for i, v := range w.Of[at*k : (at+1)*k] {
			row[i] = float64(v)
		}
		row[k] = float64(w.Bias[at])
	}
	return out
}
