package quantize

import (
	"context"
	"fmt"
	"math"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// Refit gives the last convolutions of a network that was made coarser new weights:
// those with which, of what now reaches them, they come nearest to what they gave
// before (least squares, held to their own weights where the pictures say little).
// float and made have the same names. It returns how many were changed.
func (p Pictures) Refit(ctx context.Context, float, made *graph.Model) (int, error) {
	known := float.Graph.Shapes(p.Shape.Width, p.Shape.Height)
	var heads []*fitting
	var inputs, targets []onnx.Value
	for _, n := range made.Graph.Nodes {
		c, was := made.Graph.Conv(n), float.Graph.Maker(n.Outputs[0])
		if c == nil || !pointwise(c) || c.In > maxFitted || was == nil || known[was.Input(0)] == nil || !MakesOutput(made.Graph, n) {
			continue
		}
		heads = append(heads, newFitting(made.Graph, c))
		inputs = append(inputs, onnx.Value{Name: n.Inputs[0], Dims: known[was.Inputs[0]]})
		targets = append(targets, onnx.Value{Name: n.Outputs[0], Dims: known[n.Outputs[0]]})
	}
	if len(heads) == 0 {
		return 0, nil
	}
	before, err := p.tap(float, targets)
	if err != nil {
		return 0, fmt.Errorf("look at what the last convolutions gave: %w", err)
	}
	defer before.Close()
	after, err := p.tap(made, inputs)
	if err != nil {
		return 0, fmt.Errorf("look at what reaches the last convolutions: %w", err)
	}
	defer after.Close()
	for _, f := range p.Frames {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		want, err := before.Look(f)
		if err != nil {
			return 0, err
		}
		seen, err := after.Look(f)
		if err != nil {
			return 0, err
		}
		for i, h := range heads {
			h.learn(seen[i], want[i])
		}
	}
	n := 0
	for _, h := range heads {
		if h.solve(made.Graph) {
			n++
		}
	}
	return n, nil
}

// maxFitted bounds a convolution's inputs: what is solved grows with their cube.
const maxFitted = 1024

// pointwise tells whether each output depends on one place of the input alone.
func pointwise(c *graph.Conv) bool {
	n := c.Node
	if c.Groups != 1 || c.Weights.Dims[2] != 1 || c.Weights.Dims[3] != 1 {
		return false
	}
	for _, name := range []string{"pads", "strides"} {
		for _, v := range n.Ints(name) {
			if name == "pads" && v != 0 || name == "strides" && v != 1 {
				return false
			}
		}
	}
	return true
}

// fitting are the normal equations of one convolution: in·in products of its inputs
// and a one, and in·out products with what is missing.
type fitting struct {
	conv          *graph.Conv
	weights, bias []float32
	squares       [][]float64
	missing       [][]float64
}

func newFitting(g *graph.Graph, c *graph.Conv) *fitting {
	f := &fitting{conv: c, weights: c.Weights.Float32s(), bias: c.Bias(g)}
	for range c.In + 1 {
		f.squares, f.missing = append(f.squares, make([]float64, c.In+1)), append(f.missing, make([]float64, c.Out))
	}
	return f
}

// learn adds the places of one picture. A place counts by how far what it gave is
// from the picture's mean: what is seen somewhere is rare, and what decides.
func (f *fitting) learn(x, y []float32) {
	in, out := f.conv.In, f.conv.Out
	places := len(y) / out
	weight := unusual(y, out)
	row, gap := make([]float64, in+1), make([]float64, out)
	for p := range places {
		for i := range in {
			row[i] = float64(x[i*places+p])
		}
		row[in] = 1
		for k := range out {
			sum := float64(f.bias[k])
			for i, w := range f.weights[k*in : (k+1)*in] {
				sum += float64(w) * row[i]
			}
			gap[k] = weight[p] * (float64(y[k*places+p]) - sum)
		}
		for i, v := range row {
			if v == 0 {
				continue
			}
			for k, g := range gap {
				f.missing[i][k] += v * g
			}
			v *= weight[p]
			for j := range i + 1 {
				f.squares[i][j] += v * row[j]
			}
		}
	}
}

// unusual is how many times as far as the average place each is from the mean of
// all, over the values there, each in its own measure; 1 at most 100 times.
func unusual(y []float32, out int) []float64 {
	places := len(y) / out
	far := make([]float64, places)
	for k := range out {
		plane := y[k*places : (k+1)*places]
		mean, square := 0.0, 0.0
		for _, v := range plane {
			mean += float64(v) / float64(places)
		}
		for _, v := range plane {
			square += (float64(v) - mean) * (float64(v) - mean) / float64(places)
		}
		for p, v := range plane {
			far[p] += (float64(v) - mean) * (float64(v) - mean) / (square + 1e-12) / float64(out)
		}
	}
	for p := range far {
		far[p] = min(max(far[p], .1), 100)
	}
	return far
}

// solve changes the weights; it leaves them where the equations have no solution.
func (f *fitting) solve(g *graph.Graph) bool {
	n, in, out := len(f.squares), f.conv.In, f.conv.Out
	mean := 0.0
	for i := range n {
		mean += f.squares[i][i] / float64(n)
	}
	for i := range n {
		f.squares[i][i] += 1e-3 * mean
	}
	if !cholesky(f.squares) {
		return false
	}
	weights, bias := f.weights, f.bias
	column := make([]float64, n)
	for k := range out {
		for i := range n {
			column[i] = f.missing[i][k]
		}
		substitute(f.squares, column)
		for i := range in {
			weights[k*in+i] += float32(column[i])
		}
		bias[k] += float32(column[in])
	}
	f.conv.Set(g, f.conv.Weights.Dims, weights, bias)
	return true
}

// cholesky replaces the lower half of a symmetric matrix by its Cholesky factor;
// false where it is not positive.
func cholesky(a [][]float64) bool {
	for i := range a {
		for j := range i + 1 {
			sum := a[i][j]
			for k := range j {
				sum -= a[i][k] * a[j][k]
			}
			if i != j {
				a[i][j] = sum / a[j][j]
				continue
			}
			if !(sum > 0) || math.IsInf(sum, 0) {
				return false
			}
			a[i][i] = math.Sqrt(sum)
		}
	}
	return true
}

// substitute solves L·Lᵗ·x = v in place.
func substitute(l [][]float64, v []float64) {
	for i := range v {
		for k := range i {
			v[i] -= l[i][k] * v[k]
		}
		v[i] /= l[i][i]
	}
	for i := len(v) - 1; i >= 0; i-- {
		for k := i + 1; k < len(v); k++ {
			v[i] -= l[k][i] * v[k]
		}
		v[i] /= l[i][i]
	}
}
