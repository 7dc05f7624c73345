package pipelines

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"sightline/detect/optimize/graph"
	"sightline/internal/testkit"
)

// weights is a convolution's weight for an input channel, at a place of its kernel.
type weights func(in, y, x int64) float32

// layers puts a network together.
type layers struct {
	g   *graph.Graph
	rng *rand.Rand
}

func (b layers) constant(name string, dims []int64, values ...float32) string {
	b.g.Tensors[name] = graph.NewFloat32(name, dims, values)
	return name
}

func (b layers) node(op, name string, inputs []string, attrs ...*graph.Attr) string {
	b.g.Nodes = append(b.g.Nodes, &graph.Node{Name: name, Op: op, Inputs: inputs, Outputs: []string{name}, Attrs: attrs})
	return name
}

// conv is a convolution: out, in, kernel, stride, padding. The weights are noise, but
// for those of the outputs in sure.
func (b layers) conv(x, name string, shape [5]int64, sure map[int64]weights, bias ...float32) string {
	out, in, kernel, stride, pad := shape[0], shape[1], shape[2], shape[3], shape[4]
	var w []float32
	for o := range out {
		for at := range in * kernel * kernel {
			if f := sure[o]; f != nil {
				w = append(w, f(at/(kernel*kernel), at/kernel%kernel, at%kernel))
			} else {
				w = append(w, float32(.05*b.rng.NormFloat64()))
			}
		}
	}
	bias = append(bias, make([]float32, int(out)-len(bias))...)
	ints := func(name string, v ...int64) *graph.Attr { return &graph.Attr{Name: name, Type: graph.Ints, Is: v} }
	return b.node("Conv", name, []string{x, b.constant(name+".w", []int64{out, in, kernel, kernel}, w...), b.constant(name+".b", []int64{out}, bias...)},
		ints("kernel_shape", kernel, kernel), ints("strides", stride, stride), ints("pads", pad, pad, pad, pad))
}

// only is so much of one channel, at the kernel's middle.
func only(channel, middle int64, w float32) weights {
	return func(in, y, x int64) float32 {
		if in == channel && y == middle && x == middle {
			return w
		}
		return 0
	}
}

// less is so much of one channel less so much of another, everywhere.
func less(plus, minus int64, w float32) weights {
	return func(in, _, _ int64) float32 {
		switch in {
		case plus:
			return w
		case minus:
			return -w
		}
		return 0
	}
}

// head is an output at a stride that sees something where a channel is strong, one cell
// large in each direction.
func (b layers) head(x string, stride, channel int64) {
	const bins = 8
	sure, bias := map[int64]weights{0: only(channel, 0, 20)}, []float32{-8}
	for row := range int64(4 * bins) {
		sure[1+row] = func(int64, int64, int64) float32 { return 0 }
		bias = append(bias, map[bool]float32{true: 12}[row%bins == 1])
	}
	name := b.conv(x, fmt.Sprint("head", stride), [5]int64{1 + 4*bins, 32, 1, 1, 0}, sure, bias...)
	b.g.Outputs = append(b.g.Outputs, graph.Port{Name: name, Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 1 + 4*bins}, {Name: name + "h"}, {Name: name + "w"}}})
}

// blobs is a small network of NanoDet's kind that finds what is green and small at
// stride 8, and what is red and large at stride 16; everything else in it is noise.
func blobs(t *testing.T) string {
	t.Helper()
	b := layers{&graph.Graph{Tensors: map[string]*graph.Tensor{}}, rand.New(rand.NewPCG(1, 2))}
	x := b.node("Relu", "colors.relu", []string{b.conv("images", "colors", [5]int64{16, 3, 8, 8, 0}, map[int64]weights{0: less(1, 0, 1./64), 1: less(0, 1, 1./64)}, -.2, -.2)})
	x = b.node("Relu", "mix.relu", []string{b.conv(x, "mix", [5]int64{32, 16, 3, 1, 1}, map[int64]weights{0: only(0, 1, 1), 1: only(1, 1, 1)})})
	b.head(x, 8, 0)
	x = b.node("Relu", "far.relu", []string{b.conv(x, "far", [5]int64{32, 32, 3, 2, 1}, map[int64]weights{1: less(1, -1, 1./9)})})
	b.head(x, 16, 1)
	b.g.Inputs = []graph.Port{{Name: "images", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 3}, {Name: "height"}, {Name: "width"}}}}
	m := &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Graph: b.g}
	for _, e := range [][2]string{{"names", `["person"]`}, {"family", "nanodet"}, {"color", "rgb"}, {"mean", "0"}, {"std", "255"}, {"size", "[96, 416]"}} {
		m.SetMeta(e[0], e[1])
	}
	path := filepath.Join(t.TempDir(), "blobs.onnx")
	if err := os.WriteFile(path, append([]byte{8, 8}, m.Write()...), 0o600); err != nil { // with the version of the format
		t.Fatal(err)
	}
	return path
}

// squares is a clip of three squares that move on noise.
func squares(t *testing.T, name, color string, side int) string {
	return testkit.Clip(t, name, "-f", "lavfi", "-i", "color=gray:s=416x96:r=10:d=8,noise=c0s=40:allf=t", "-f", "lavfi", "-i", fmt.Sprintf("color=%s:s=%dx%d:r=10:d=8", color, side, side),
		"-filter_complex", "[1]split=3[a][b][c];[0][a]overlay=x='mod(n*5,360)':y=8[d];[d][b]overlay=x='mod(100+n*3,360)':y=40[e];[e][c]overlay=x='300-n*2':y=24",
		"-c:v", "mpeg4", "-g", "1", "-q:v", "2")
}
