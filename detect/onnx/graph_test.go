package onnx

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"sightline/internal/testkit"
	"sightline/kernels"
)

// field appends a length-delimited protobuf field.
func field(b []byte, n protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), body)
}

func number(b []byte, n protowire.Number, v int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
}

// value is a serialized ValueInfoProto.
func value(p port) []byte {
	var shape []byte
	for _, d := range p.dims {
		dim := field(nil, 2, []byte("n")) // a symbol
		if d > 0 {
			dim = number(nil, 1, d)
		}
		shape = field(shape, 1, dim)
	}
	tensor := field(number(nil, 1, p.elem), 2, shape)
	return field(field(nil, 1, []byte(p.name)), 2, field(nil, 1, tensor))
}

// file is a serialized ModelProto without weights.
func (g *graph) file() []byte {
	var body []byte
	for op := range g.ops {
		body = field(body, 1, field(nil, 4, []byte(op)))
	}
	for _, p := range g.inputs {
		body = field(body, 11, value(p))
	}
	for _, p := range g.outputs {
		body = field(body, 12, value(p))
	}
	out := field(field(number(nil, 1, 8), 2, []byte("test")), 7, body)
	for k, v := range g.metadata {
		out = field(out, 14, field(field(nil, 1, []byte(k)), 2, []byte(v)))
	}
	return out
}

// write puts a model file, and its sidecar unless empty, into a new folder.
func write(t testing.TB, data []byte, sidecar string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if sidecar != "" {
		if err := os.WriteFile(SidecarName(path), []byte(sidecar), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// tiny is a whole network in two nodes: pictures of 64×64 become the numbers of
// two classes at 84 places.
func tiny() []byte {
	constant := func(name string, values ...int64) []byte {
		raw := number(number(nil, 1, len(values)), 2, 7)
		data := make([]byte, 0, 8*len(values))
		for _, v := range values {
			data = binary.LittleEndian.AppendUint64(data, uint64(v))
		}
		return field(field(raw, 8, []byte(name)), 9, data)
	}
	node := func(op, output string, inputs ...string) []byte {
		var n []byte
		for _, input := range inputs {
			n = field(n, 1, []byte(input))
		}
		return field(field(n, 2, []byte(output)), 4, []byte(op))
	}
	body := field(nil, 1, node("Reshape", "flat", "images", "shape"))
	body = field(body, 1, node("Slice", "output0", "flat", "start", "end", "axis"))
	body = field(body, 2, []byte("tiny"))
	for _, c := range [][]byte{constant("shape", 0, 6, 2048), constant("start", 0), constant("end", 84), constant("axis", 2)} {
		body = field(body, 5, c)
	}
	body = field(field(body, 11, value(f32("images", 0, 3, 64, 64))), 12, value(f32("output0", 0, 6, 84)))
	return field(field(number(nil, 1, 8), 7, body), 8, number(field(nil, 1, nil), 2, 17))
}

func f32(name string, dims ...int) port { return port{name, elemFloat32, dims} }

func TestReadSpecOfDefault(t *testing.T) {
	spec, err := ReadSpec(testkit.Dep(t, "models/coco-nano.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	want := Input{
		Name: "images", Base: Shape{416, 416}, Step: 32, Chunk: 2, Layout: kernels.NHWC, Type: kernels.U8, Order: kernels.BGR,
		Mean: [3]float64{103.53, 116.28, 123.675}, Std: [3]float64{57.375, 57.12, 58.395}, Fit: kernels.LetterboxCenter,
	}
	if spec.Input != want {
		t.Errorf("input %+v, want %+v", spec.Input, want)
	}
	if spec.Family != "nanodet" || len(spec.Digest) != 64 || spec.Quantized || !slices.Equal(spec.Labels, cocoLabels()) {
		t.Errorf("family %q, digest %q, quantized %v, labels %q", spec.Family, spec.Digest, spec.Quantized, spec.Labels)
	}
}

func TestRecognize(t *testing.T) {
	image := []port{f32("images", 0, 3, 640, 640)} // 8400 cells
	two := `labels: [person, car]`
	for name, c := range map[string]struct {
		g       graph
		sidecar string
		want    family
	}{
		"nanodet, exported names": {
			graph{inputs: []port{f32("data", 1, 3, 64, 64)}, outputs: []port{
				f32("cls_pred_stride_8", 1, 64, 2), f32("dis_pred_stride_8", 1, 64, 32), f32("cls_pred_stride_16", 1, 16, 2), f32("dis_pred_stride_16", 1, 16, 32)}},
			two, nanodet{classes: 2, bins: 8, strides: []int{8, 16}, scores: []string{"cls_pred_stride_8", "cls_pred_stride_16"},
				boxes: []string{"dis_pred_stride_8", "dis_pred_stride_16"}},
		},
		"nanodet, last convolutions": {
			graph{inputs: []port{f32("data", 0, 3, 0, 0)}, outputs: []port{f32("head16", 0, 34, 0, 0), f32("head8", 0, 34, 0, 0)}},
			two, nanodet{classes: 2, bins: 8, strides: []int{8, 16}, heads: []string{"head8", "head16"}},
		},
		"nanodet-plus, joined": {
			graph{inputs: []port{f32("data", 1, 3, 416, 416)}, outputs: []port{f32("output", 1, 3598, 34)}},
			two, nanodet{classes: 2, bins: 8, strides: []int{8, 16, 32, 64}, joined: "output"},
		},
		"yolov8": {
			graph{inputs: image, outputs: []port{f32("output0", 0, 6, 8400)}, metadata: map[string]string{"names": "{0: 'person', 1: 'car'}"}},
			"", yolo{name: "output0", classes: 2, perCell: 1, kind: v8},
		},
		"yolov8, all open, in 8 bits": {
			graph{inputs: []port{f32("images", 0, 3, 0, 0)}, outputs: []port{f32("output0", 0, 6, 0)}, ops: map[string]int{"DequantizeLinear": 1}},
			two, yolo{name: "output0", classes: 2, perCell: 1, kind: v8},
		},
		"yolov5": {
			graph{inputs: image, outputs: []port{f32("output0", 0, 25200, 7)}, metadata: map[string]string{"names": "['person', 'car']", "stride": "32"}},
			"", yolo{name: "output0", classes: 2, perCell: 3, kind: v5},
		},
		"yolov7, raw heads beside": {
			graph{inputs: image, outputs: []port{f32("output", 0, 25200, 7), f32("h8", 0, 3, 80, 80, 7)}},
			two, yolo{name: "output", classes: 2, perCell: 3, kind: v5},
		},
		"yolox": {
			graph{inputs: image, outputs: []port{f32("output", 0, 8400, 7)}},
			two, yolo{name: "output", classes: 2, perCell: 1, kind: x},
		},
		"yolox that decodes": {
			graph{inputs: image, outputs: []port{f32("output", 0, 8400, 7)}, ops: map[string]int{"Exp": 3}},
			two, yolo{name: "output", classes: 2, perCell: 1, kind: v5},
		},
		"named by the sidecar": {
			graph{inputs: []port{f32("images", 0, 3, 0, 0)}, outputs: []port{f32("output", 0, 0, 7)}},
			"family: yolox\n" + two, yolo{name: "output", classes: 2, perCell: 1, kind: x},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := ReadSpec(write(t, c.g.file(), c.sidecar))
			if err != nil {
				t.Fatal(err)
			}
			if !equal(spec.family, c.want) || spec.Quantized != (c.g.ops["DequantizeLinear"] > 0) {
				t.Errorf("family %+v, want %+v; quantized %v", spec.family, c.want, spec.Quantized)
			}
		})
	}
}

func equal(a, b family) bool {
	n, ok := a.(nanodet)
	m, also := b.(nanodet)
	if !ok || !also {
		return !ok && !also && a == b
	}
	return n.classes == m.classes && n.bins == m.bins && n.joined == m.joined && slices.Equal(n.strides, m.strides) &&
		slices.Equal(n.scores, m.scores) && slices.Equal(n.boxes, m.boxes) && slices.Equal(n.heads, m.heads)
}

// TestRefused is the gallery of model files that cannot be used.
func TestRefused(t *testing.T) {
	image := []port{f32("images", 0, 3, 640, 640)}
	v8Out := []port{f32("output0", 0, 6, 8400)}
	good := (&graph{inputs: image, outputs: v8Out}).file()
	two := "labels: [person, car]\n"
	weights := field(nil, 7, field(field(nil, 5, number(nil, 14, 1)), 12, value(v8Out[0])))
	for want, c := range map[string]struct {
		data    []byte
		sidecar string
	}{
		"not an ONNX file: it is empty":                                              {nil, ""},
		"not an ONNX file: it looks like a web page":                                 {[]byte("<!DOCTYPE html><html>not found</html>"), ""},
		"not an ONNX file: it looks like a Git LFS pointer":                          {[]byte("version https://git-lfs.github.com/spec/v1\n"), ""},
		"not an ONNX file: it looks like a zip archive, such as a PyTorch":           {[]byte("PK\x03\x04aaaaaaaaaaaaaaaaa"), ""},
		"not an ONNX file: it looks like text":                                       {[]byte("The model is in the other folder.\n"), ""},
		"or a damaged one: cut short or damaged at byte":                             {good[:len(good)-5], ""},
		"or a damaged one: it has no ONNX graph":                                     {number(nil, 1, 8), ""},
		"or a damaged one: its graph has no outputs":                                 {(&graph{inputs: image}).file(), ""},
		"its weights lie in other files":                                             {append(number(nil, 1, 8), weights...), ""},
		"its 2 classes have no names: list them under labels: in":                    {good, ""},
		"3 labels for a network of 2 classes":                                        {good, "labels: [a, b, c]\n"},
		"labels: neither a list of names nor the word coco":                          {good, "labels: person\n"},
		`unknown field "label"`:                                                      {good, "label: [person, car]\n"},
		`unknown family "yolo" (known: nanodet, ssd, rtdetr, yolov8, yolox, yolov5)`: {good, two + "family: yolo\n"},
		"outputs output0 f32[?, 6, 8400] are not those of family yolox":              {good, two + "family: yolox\n"},
		`input.order "grb" is neither bgr nor rgb`:                                   {good, two + "input: {order: grb}\n"},
		"input.mean has 2 values, not one or three":                                  {good, two + "input: {mean: [1, 2]}\n"},
		"input.std has a zero":                                                       {good, two + "input: {std: [0]}\n"},
		"input.pad 300 is not within 0 and 255":                                      {good, two + "input: {pad: 300}\n"},
		`input.fit "left" is neither center nor topleft nor stretch`:                 {good, two + "input: {fit: left}\n"},
		"input.size 320x320 in its description, but the network takes 640x640 only":  {good, two + "input: {size: 320x320}\n"},
		"unsupported outputs probs f32[?, 1000]; supported are, in 32-bit floats":    {(&graph{inputs: image, outputs: []port{f32("probs", 0, 1000)}}).file(), ""},
		"unsupported outputs output0 f16[?, 6, 8400]":                                {(&graph{inputs: image, outputs: []port{{"output0", elemFloat16, v8Out[0].dims}}}).file(), two},
		"unsupported inputs a f32[?, 3, 640, 640], b f32[?]; supported is one":       {(&graph{inputs: []port{f32("a", 0, 3, 640, 640), f32("b", 0)}, outputs: v8Out}).file(), ""},
		"unsupported input tokens i64[?, 77]; supported is u8, f16 or f32":           {(&graph{inputs: []port{{"tokens", 7, []int{0, 77}}}, outputs: v8Out}).file(), ""},
		"input images f32[?, 1, 640, 640] has no dimension of 3 color channels":      {(&graph{inputs: []port{f32("images", 0, 1, 640, 640)}, outputs: v8Out}).file(), ""},
		"takes 8 pictures at a time only":                                            {(&graph{inputs: []port{f32("images", 8, 3, 640, 640)}, outputs: v8Out}).file(), ""},
		`class names "{0: 'a', 2: 'b'}": index 1 is missing or out of order`:         {(&graph{inputs: image, outputs: v8Out, metadata: map[string]string{"names": "{0: 'a', 2: 'b'}"}}).file(), ""},
	} {
		_, err := ReadSpec(write(t, c.data, c.sidecar))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant one with %q", err, want)
		}
	}
	if _, err := ReadSpec(filepath.Join(t.TempDir(), "none.onnx")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := ReadSpec(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("folder: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestParseNames(t *testing.T) {
	for text, want := range map[string][]string{
		`["person", "traffic light"]`:       {"person", "traffic light"},
		`{0: 'person', 1: "driver's seat"}`: {"person", "driver's seat"},
		`{"0": "a", "1": "b, c}"}`:          {"a", "b, c}"},
		`['it\'s', "x",]`:                   {"it's", "x"},
		"{0: 'Straße',\n 1: '車'}":           {"Straße", "車"},
		`[]`:                                {},
	} {
		if got, err := parseNames(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "person", "{0: 'a'", "['a' 'b']", "[a]", "{1: 'a'}", "['a"} {
		if got, err := parseNames(text); err == nil {
			t.Errorf("%s: %q, want an error", text, got)
		}
	}
}

func FuzzParseGraph(f *testing.F) {
	g := graph{inputs: []port{f32("i", 0, 3, 64, 64)}, outputs: []port{f32("o", 0, 6, 84)}, metadata: map[string]string{"names": "{0: 'a'}"}, ops: map[string]int{"Exp": 1}}
	f.Add(g.file())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := describeModel("x.onnx", data, true); err == nil {
			return
		}
		_ = sniff(data)
	})
}
