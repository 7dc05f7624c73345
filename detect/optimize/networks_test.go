package optimize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/internal/testkit"
	"sightline/kernels"
)

const pixels = 160 // of the pictures that these networks take

// layer is a convolution with seeded weights that keep values of one size.
func (b *builder) layer(x string, in, out, kernel, stride, groups int) string {
	values := b.values(out * in / groups * kernel * kernel)
	for i := range values {
		values[i] *= float32(math.Sqrt(2 / float64(in/groups*kernel*kernel)))
	}
	dims := []int64{int64(out), int64(in / groups), int64(kernel), int64(kernel)}
	pad, step := int64(kernel/2), int64(stride)
	b.node("Conv", []string{x, b.constant(dims, values), b.constant([]int64{int64(out)}, b.values(out))}, ints("kernel_shape", int64(kernel), int64(kernel)),
		ints("pads", pad, pad, pad, pad), ints("strides", step, step), &graph.Attr{Name: "group", Type: graph.Int, I: int64(groups)})
	return b.at
}

func (b *builder) op(op string, inputs []string, attrs ...*graph.Attr) string {
	b.node(op, inputs, attrs...)
	return b.at
}

func (b *builder) list(v ...int64) string {
	name := fmt.Sprint("list", len(b.g.Tensors))
	b.g.Tensors[name] = graph.NewInt64(name, v...)
	return name
}

// silu is a convolution and its activation, as YOLO networks have them.
func (b *builder) silu(x string, in, out, kernel, stride int) string {
	y := b.layer(x, in, out, kernel, stride, 1)
	return b.op("Mul", []string{y, b.op("Sigmoid", []string{y})})
}

// parts splits channels.
func (b *builder) parts(x string, along int64, sizes ...int64) []string {
	b.op("Split", []string{x, b.list(sizes...)}, axis(along))
	node := b.g.Nodes[len(b.g.Nodes)-1]
	node.Outputs = nil
	for i := range sizes {
		node.Outputs = append(node.Outputs, fmt.Sprint(b.at, "_", i))
	}
	return node.Outputs
}

// c2f is YOLOv8's block: half of the channels go through a bottleneck, and all that
// was on the way is joined.
func (b *builder) c2f(x string, in, out int) string {
	half := out / 2
	p := b.parts(b.silu(x, in, out, 1, 1), 1, int64(half), int64(half))
	y := b.op("Add", []string{p[1], b.silu(b.silu(p[1], half, half, 3, 1), half, half, 3, 1)})
	return b.silu(b.op("Concat", append(p, y), axis(1)), 3*half, out, 1, 1)
}

// sppf pools three times over and joins all.
func (b *builder) sppf(x string, c int) string {
	all := []string{b.silu(x, c, c/2, 1, 1)}
	for i := range 3 {
		all = append(all, b.op("MaxPool", []string{all[i]}, ints("kernel_shape", 5, 5), ints("pads", 2, 2, 2, 2), ints("strides", 1, 1)))
	}
	return b.silu(b.op("Concat", all, axis(1)), 2*c, c, 1, 1)
}

// yolov8 is a small network of YOLOv8n's shape with seeded random weights and three
// classes: C2f, SPPF, a feature pyramid, decoupled heads, distributions of distances.
func yolov8(t *testing.T) *graph.Model {
	const classes, bins = 3, 16
	b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rand.New(rand.NewPCG(8, 8))}
	x := b.silu(b.silu("images", 3, 16, 3, 2), 16, 32, 3, 2)
	p3 := b.c2f(b.silu(b.c2f(x, 32, 32), 32, 32, 3, 2), 32, 32)
	p4 := b.c2f(b.silu(p3, 32, 64, 3, 2), 64, 64)
	p5 := b.sppf(b.c2f(b.silu(p4, 64, 64, 3, 2), 64, 64), 64)
	up := func(x string) string {
		return b.op("Resize", []string{x, "", b.constant([]int64{4}, []float32{1, 1, 2, 2})}, &graph.Attr{Name: "mode", Type: graph.String, S: []byte("nearest")},
			&graph.Attr{Name: "coordinate_transformation_mode", Type: graph.String, S: []byte("asymmetric")}, &graph.Attr{Name: "nearest_mode", Type: graph.String, S: []byte("floor")})
	}
	n4 := b.c2f(b.op("Concat", []string{up(p5), p4}, axis(1)), 128, 64)
	n3 := b.c2f(b.op("Concat", []string{up(n4), p3}, axis(1)), 96, 32)
	var flat []string
	cells := 0
	for i, level := range []struct {
		x string
		c int
	}{{n3, 32}, {n4, 64}, {p5, 64}} {
		box := b.layer(b.silu(b.silu(level.x, level.c, 32, 3, 1), 32, 32, 3, 1), 32, 4*bins, 1, 1, 1)
		cls := b.layer(b.silu(b.silu(level.x, level.c, 32, 3, 1), 32, 32, 3, 1), 32, classes, 1, 1, 1)
		both := b.op("Concat", []string{box, cls}, axis(1))
		flat = append(flat, b.op("Reshape", []string{both, b.list(1, 4*bins+classes, -1)}))
		cells += pixels * pixels / (64 << (2 * i))
	}
	p := b.parts(b.op("Concat", flat, axis(2)), 1, 4*bins, classes)
	dist := b.op("Transpose", []string{b.op("Reshape", []string{p[0], b.list(1, 4, bins, int64(cells))})}, ints("perm", 0, 2, 1, 3))
	steps := make([]float32, bins)
	for i := range steps {
		steps[i] = float32(i)
	}
	dist = b.op("Conv", []string{b.op("Softmax", []string{dist}, axis(1)), b.constant([]int64{1, bins, 1, 1}, steps)}, ints("kernel_shape", 1, 1))
	ends := b.parts(b.op("Reshape", []string{dist, b.list(1, 4, int64(cells))}), 1, 2, 2)
	anchors := b.constant([]int64{1, 2, int64(cells)}, b.values(2*cells))
	first, last := b.op("Sub", []string{anchors, ends[0]}), b.op("Add", []string{anchors, ends[1]})
	center := b.op("Div", []string{b.op("Add", []string{first, last}), b.constant(nil, []float32{2})})
	boxes := b.op("Concat", []string{center, b.op("Sub", []string{last, first})}, axis(1))
	b.op("Concat", []string{boxes, b.op("Sigmoid", []string{p[1]})}, axis(1))
	return b.network(t, []int64{1, 4 + classes, int64(cells)})
}

// separable is a small network of MobileNet-SSD's kind: depthwise convolutions with
// normalizations and activations that are cut off at six.
func separable(t *testing.T) *graph.Model {
	b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rand.New(rand.NewPCG(5, 5))}
	normal := func(x string, c int) string {
		dims, scale, spread := []int64{int64(c)}, b.values(c), b.values(c)
		for i := range c {
			scale[i], spread[i] = 1+.2*scale[i], 1+.2*spread[i]*spread[i]
		}
		y := b.op("BatchNormalization", []string{x, b.constant(dims, scale), b.constant(dims, b.values(c)), b.constant(dims, b.values(c)), b.constant(dims, spread)})
		return b.op("Clip", []string{y, b.constant(nil, []float32{0}), b.constant(nil, []float32{6})})
	}
	x, c := normal(b.layer("images", 3, 16, 3, 2, 1), 16), 16
	for i := range 6 {
		x = normal(b.layer(x, c, c, 3, 1+i%2, c), c)
		out := 16 + 16*i
		x, c = normal(b.layer(x, c, out, 1, 1, 1), out), out
	}
	y := b.layer(x, c, 24, 3, 1, 1)
	y = b.op("Transpose", []string{y}, ints("perm", 0, 2, 3, 1))
	b.op("Softmax", []string{b.op("Reshape", []string{y, b.list(1, 600, 4)})}, axis(2))
	return b.network(t, []int64{1, 600, 4})
}

// network ends with what was made last, and is as if it was read from a file.
func (b *builder) network(t *testing.T, dims []int64) *graph.Model {
	t.Helper()
	b.g.Inputs = []graph.Port{{Name: "images", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 3}, {Size: pixels}, {Size: pixels}}}}
	b.g.Outputs = []graph.Port{{Name: b.at, Type: graph.F32, Dims: fixed(dims)}}
	m := &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Graph: b.g}
	read, err := graph.Read(append([]byte{8, 8}, m.Write()...)) // with the version of the format
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// Networks of other families compute the same once simplified and filtered by
// Winograd's way, and nearly the same in 8-bit integers in both forms.
func TestOtherFamiliesHold(t *testing.T) {
	lib := testkit.Dep(t, "onnxruntime/lib")
	in := onnx.Input{Name: "images", Layout: kernels.NCHW, Type: kernels.F32, Order: kernels.RGB, Std: [3]float64{255, 255, 255}, Fit: kernels.LetterboxCenter}
	shape := onnx.Shape{Width: pixels, Height: pixels}
	frames := []*decode.Frame{noise(200, 160), noise(160, 200)}
	defer Release(frames)
	for name, c := range map[string]struct {
		make  func(*testing.T) *graph.Model
		steps []string
		fast  int // convolutions that are filtered by Winograd's way
	}{
		"yolov8":    {yolov8, nil, 8},
		"separable": {separable, []string{"affine"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.make(t)
			look := func(m *graph.Model) []float32 {
				out := m.Graph.Outputs[0]
				var dims []int64
				for _, d := range out.Dims {
					dims = append(dims, d.Size)
				}
				tap, err := tapOf(m, in, shape, []onnx.Value{{Name: out.Name, Dims: dims}}, []string{lib})
				if err != nil {
					t.Fatal(err)
				}
				defer tap.Close()
				v, err := tap.Look(frames[0])
				if err != nil {
					t.Fatal(err)
				}
				return slices.Clone(v[0])
			}
			want := look(m)
			steps, err := Exact(m, nil)
			var names []string
			for _, s := range steps {
				names = append(names, s.Name)
			}
			if err != nil || !slices.Equal(names, c.steps) {
				t.Errorf("steps %v, %v, want %v", names, err, c.steps)
			}
			if off := far(want, look(m)); off > 1e-4 {
				t.Errorf("simplified, it is off by %v", off)
			}
			for _, engine := range []string{"onnxruntime", "openvino"} {
				made, _, err := integers(t.Context(), Config{Engines: []string{engine}, LibDirs: []string{lib}}, m, in, shape, frames)
				if err != nil {
					t.Fatal(err)
				}
				if off := far(want, look(made)); off > .04 || off == 0 {
					t.Errorf("in integers for %s it is off by %v", engine, off)
				}
				if n := len(integerConvs(made.Graph)); n < 8 {
					t.Errorf("for %s %d convolutions compute in integers", engine, n)
				}
			}
			n, _ := winograd(m, m.Graph.Shapes(8*pixels, 8*pixels)) // as if it were for larger pictures, where it pays
			if off := far(want, look(m)); off > 1e-4 || n < c.fast {
				t.Errorf("with %d convolutions filtered it is off by %v", n, off)
			}
		})
	}
}

// far is the mean difference against the mean size.
func far(want, got []float32) float64 {
	off, size := 0.0, 0.0
	for i := range want {
		off += math.Abs(float64(want[i] - got[i]))
		size += math.Abs(float64(want[i]))
	}
	return off / size
}
