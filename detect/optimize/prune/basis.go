package prune

import (
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"sightline/detect/optimize/graph"
)

// linear are operators that do to sums of channels what they do to each of them.
var linear = []string{"Add", "Sub", "Concat", "Resize", "Upsample", "Identity", "AveragePool", "GlobalAveragePool"}

var errBasis = errors.New("what goes into a convolution has no basis on these pictures")

// Linear tells whether nothing but sums, resizing and joining is between the
// convolutions that make a group's channels and those that use them: then these may
// be any others of which each can be told from all.
func (n *Net) Linear(g Group) bool {
	ours := Set{}
	for _, class := range g.Classes {
		ours[class] = true
	}
	mixed := false // seen in a list, but not each of them once
	count := func(value string) (sum int) {
		seen := Set{}
		for _, class := range n.lists[value] {
			if ours[class] {
				sum++
				seen[class] = true
			}
		}
		mixed = mixed || sum > 0 && (sum != len(ours) || len(seen) != sum)
		return sum
	}
	byOutput := map[string]*Conv{}
	for _, c := range n.convs {
		byOutput[c.Name] = c
	}
	for _, node := range n.Graph.Nodes {
		in, out := 0, 0
		for _, v := range node.Inputs {
			in += count(v)
		}
		for _, v := range node.Outputs {
			out += count(v)
		}
		if in+out == 0 {
			continue
		}
		if c := byOutput[node.Outputs[0]]; c != nil {
			if c.parts != 1 || count(c.Name) > 0 && in > 0 {
				return false
			}
			continue
		}
		sums := node.Op == "Add" || node.Op == "Sub"
		if !slices.Contains(linear, node.Op) || sums && in != 2*out {
			return false // a sum with something else would be turned on one side alone
		}
	}
	return !mixed && len(ours) > 1 && len(g.convs) > 0
}

// Turn makes a network that computes the same with other channels in a group that is
// Linear: sums of those that were there, such that as few as possible of them matter
// to the convolutions that use them. These tell the moments of what goes into them.
func (n *Net) Turn(g Group, moments map[string]Moments, sized bool) (*graph.Graph, error) {
	energy, weight := mat.NewSymDense(len(g.Classes), nil), mat.NewSymDense(len(g.Classes), nil)
	for _, k := range g.convs {
		c := n.convs[k]
		h, err := moments[c.Name].matrix(0, c.Columns()+1)
		if err != nil {
			return nil, err
		}
		u := use{c, h, c.places(c.ins, g)}
		e, near := u.energy()
		add(energy, e)
		add(weight, u.weight(near))
	}
	to, from, err := basis(energy, weight)
	if err != nil {
		return nil, err
	}
	weights := map[string]Weights{}
	for i, c := range n.convs {
		made := slices.Contains(c.outs, g.Classes[0])
		switch {
		case made:
			weights[c.Name] = c.turnOutputs(c.places(c.outs, g), to)
		case slices.Contains(g.convs, i):
			weights[c.Name] = c.turnInputs(c.places(c.ins, g), from)
		}
	}
	return n.Apply(nil, weights, sized)
}

// places are where a group's classes stand in a list.
func (c *Conv) places(list []int, g Group) []int {
	at := make([]int, len(g.Classes))
	for i, class := range g.Classes {
		at[i] = slices.Index(list, class)
	}
	return at
}

// add adds b, as part of its trace.
func add(sum, b *mat.SymDense) {
	var scaled mat.SymDense
	scaled.ScaleSym(1/max(mat.Trace(b), 1e-30), b)
	sum.AddSym(sum, &scaled)
}

// use is how a convolution uses a group's channels.
type use struct {
	conv *Conv
	h    *mat.SymDense // the moments of what goes into it
	at   []int         // where the channels are among its inputs
}

// energy is the covariance of the channels, and how alike what is under one tap of
// the window is to what is under another.
func (u use) energy() (e, near *mat.SymDense) {
	taps, last := u.conv.taps(), u.conv.Columns()
	e, near = mat.NewSymDense(len(u.at), nil), mat.NewSymDense(taps, nil)
	all := u.h.At(last, last)
	covariance := func(i, j int) float64 { return u.h.At(i, j) - u.h.At(i, last)*u.h.At(j, last)/all }
	for a := range taps {
		for i := range u.at {
			for j := i; j < len(u.at); j++ {
				e.SetSym(i, j, e.At(i, j)+covariance(u.at[i]*taps+a, u.at[j]*taps+a))
			}
		}
		for b := a; b < taps; b++ {
			for _, k := range u.at {
				near.SetSym(a, b, near.At(a, b)+covariance(k*taps+a, k*taps+b))
			}
		}
	}
	for a := range taps {
		for b := a + 1; b < taps; b++ {
			near.SetSym(a, b, near.At(a, b)/math.Sqrt(max(near.At(a, a)*near.At(b, b), 1e-60)))
		}
	}
	for a := range taps {
		near.SetSym(a, a, 1)
	}
	return e, near
}

// weight is how much the channels and their products count in what comes out.
func (u use) weight(near *mat.SymDense) *mat.SymDense {
	c, taps := u.conv, u.conv.taps()
	of := make([]*mat.Dense, taps)
	for t := range of {
		of[t] = mat.NewDense(len(c.outs), len(u.at), nil)
		for o := range c.outs {
			for i, k := range u.at {
				of[t].Set(o, i, float64(c.weights[o*c.Columns()+k*taps+t]))
			}
		}
	}
	var sum mat.Dense
	sum.ReuseAs(len(u.at), len(u.at))
	for a := range taps {
		var through, part, product mat.Dense
		through.ReuseAs(len(c.outs), len(u.at))
		for b := range taps {
			part.Scale(near.At(a, b), of[b])
			through.Add(&through, &part)
		}
		product.Mul(of[a].T(), &through)
		sum.Add(&sum, &product)
	}
	out := mat.NewSymDense(len(u.at), nil)
	for i := range u.at {
		for j := i; j < len(u.at); j++ {
			out.SetSym(i, j, (sum.At(i, j)+sum.At(j, i))/2)
		}
	}
	return out
}

// basis are the channels of equal energy that do not depend on each other and count
// for themselves in what comes out, those that count most last: what they are made
// with, and the way back.
func basis(energy, weight *mat.SymDense) (to, from *mat.Dense, err error) {
	n := energy.SymmetricDim()
	damp := Ridge * mat.Trace(energy) / float64(n)
	for i := range n {
		energy.SetSym(i, i, energy.At(i, i)+max(damp, 1e-30))
	}
	root, inverse, err := roots(energy)
	if err != nil {
		return nil, nil, err
	}
	var seen mat.Dense
	seen.Mul(root, weight)
	seen.Mul(&seen, root)
	both := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			both.SetSym(i, j, (seen.At(i, j)+seen.At(j, i))/2)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(both, true) {
		return nil, nil, errBasis
	}
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	to, from = new(mat.Dense), new(mat.Dense)
	to.Mul(vectors.T(), inverse)
	from.Mul(root, &vectors)
	if !finite(to.RawMatrix().Data) || !finite(from.RawMatrix().Data) {
		return nil, nil, errBasis
	}
	return to, from, nil
}

// roots are the square root of a positive matrix and its inverse.
func roots(m *mat.SymDense) (root, inverse *mat.Dense, err error) {
	var e mat.EigenSym
	if !e.Factorize(m, true) {
		return nil, nil, errBasis
	}
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	values := e.Values(nil)
	least := values[len(values)-1] * 1e-9
	scaled := func(f func(float64) float64) *mat.Dense {
		d := make([]float64, len(values))
		for i, v := range values {
			d[i] = f(math.Sqrt(max(v, least)))
		}
		var half, whole mat.Dense
		half.Mul(&vectors, mat.NewDiagDense(len(d), d))
		whole.Mul(&half, vectors.T())
		return &whole
	}
	return scaled(func(v float64) float64 { return v }), scaled(func(v float64) float64 { return 1 / v }), nil
}

// turnOutputs are weights that make other channels: to times those that were.
func (c *Conv) turnOutputs(at []int, to *mat.Dense) Weights {
	w := Weights{slices.Clone(c.weights), slices.Clone(c.bias)}
	k := c.Columns()
	was := mat.NewDense(len(at), k+1, nil)
	for i, o := range at {
		row := was.RawRowView(i)
		for j, v := range c.weights[o*k : (o+1)*k] {
			row[j] = float64(v)
		}
		row[k] = float64(c.bias[o])
	}
	var is mat.Dense
	is.Mul(to, was)
	for i, o := range at {
		row := is.RawRowView(i)
		for j := range k {
			w.Of[o*k+j] = float32(row[j])
		}
		w.Bias[o] = float32(row[k])
	}
	return w
}

// turnInputs are weights that take other channels, of which from makes those that
// were.
func (c *Conv) turnInputs(at []int, from *mat.Dense) Weights {
	w := Weights{slices.Clone(c.weights), c.bias}
	k, taps := c.Columns(), c.taps()
	was := mat.NewDense(len(c.outs)*taps, len(at), nil)
	for o := range c.outs {
		for t := range taps {
			for i, in := range at {
				was.Set(o*taps+t, i, float64(c.weights[o*k+in*taps+t]))
			}
		}
	}
	var is mat.Dense
	is.Mul(was, from)
	for o := range c.outs {
		for t := range taps {
			for i, in := range at {
				w.Of[o*k+in*taps+t] = float32(is.At(o*taps+t, i))
			}
		}
	}
	return w
}
