package prune

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Waves orders the convolutions that lost inputs, or whose inputs are computed
// otherwise than they were, so that each comes after all that it depends on; those
// of one wave do not depend on each other.
func (n *Net) Waves(without Set) [][]*Conv {
	depth := map[string]int{} // of a value: 0 is as it was, 1 is behind the first wave
	byOutput := map[string]*Conv{}
	for _, c := range n.convs {
		byOutput[c.Name] = c
	}
	var waves [][]*Conv
	for _, node := range n.Graph.Nodes {
		d := 0
		for _, in := range node.Inputs {
			d = max(d, depth[in])
		}
		c := byOutput[node.Outputs[0]]
		if c != nil && (d > 0 || slices.ContainsFunc(c.ins, func(class int) bool { return without[class] })) {
			for len(waves) <= d {
				waves = append(waves, nil)
			}
			waves[d] = append(waves[d], c)
			d++
		}
		for _, out := range node.Outputs {
			depth[out] = d
		}
	}
	return slices.DeleteFunc(waves, func(w []*Conv) bool { return len(w) == 0 })
}

// Refit gives what is left of a convolution the weights, as near to its own as the
// ridge wants them, with which it computes from what goes into it now most nearly
// what the original computed. The moments are what RefitProbe's taps gave.
func (c *Conv) Refit(moments, towards Moments, without Set) (Weights, error) {
	depth, parts, outs := c.remains(without)
	k := depth*c.taps() + 1
	w := Weights{slices.Clone(c.weights), slices.Clone(c.bias)}
	stayOut := kept(c.outs, without)
	for p := range parts {
		first := stayOut[p*outs] / c.partOuts() // the part as it was called
		stay := []int{0}
		if !c.depthwise() {
			stay = kept(c.partIns(first), without)
		}
		own := mat.NewDense(k, outs, nil)
		for j := range outs {
			o := stayOut[p*outs+j]
			for i, in := range stay {
				for t := range c.taps() {
					own.Set(i*c.taps()+t, j, float64(c.weights[o*c.Columns()+in*c.taps()+t]))
				}
			}
			own.Set(k-1, j, float64(c.bias[o]))
		}
		fitted, err := solve(moments, towards, p, k, outs, own)
		if err != nil {
			return w, fmt.Errorf("%s: %w", c.Name, err)
		}
		for j := range outs {
			o := stayOut[p*outs+j]
			for i, in := range stay {
				for t := range c.taps() {
					w.Of[o*c.Columns()+in*c.taps()+t] = float32(fitted.At(i*c.taps()+t, j))
				}
			}
			w.Bias[o] = float32(fitted.At(k-1, j))
		}
	}
	return w, nil
}

// solve is ridge regression towards weights: own + (H + ridge)⁻¹ (R − H·own).
func solve(moments, towards Moments, part, k, outs int, own *mat.Dense) (*mat.Dense, error) {
	h, err := moments.matrix(part, k)
	if err != nil {
		return nil, err
	}
	rest := mat.NewDense(k, outs, nil)
	for i := range k {
		for j := range outs {
			rest.Set(i, j, float64(towards[(part*k+i)*outs+j]))
		}
	}
	// The ridge is part of h and must not pull at own: (H + D) own − D own = H·own.
	var through mat.Dense
	through.Mul(h, own)
	rest.Sub(rest, &through)
	for i := range k - 1 {
		damp := h.At(i, i) - float64(moments[part*k*k+i*k+i])
		for j := range outs {
			rest.Set(i, j, rest.At(i, j)+damp*own.At(i, j))
		}
	}
	f, err := factor(h)
	if err != nil {
		return nil, err
	}
	var change mat.Dense
	if err := f.SolveTo(&change, rest); err != nil {
		return nil, fmt.Errorf("solve for its weights: %w", err)
	}
	change.Add(&change, own)
	if !finite(change.RawMatrix().Data) {
		return nil, fmt.Errorf("the weights that would make up for what is gone are not finite")
	}
	return &change, nil
}
