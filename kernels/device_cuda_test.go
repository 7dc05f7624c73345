//go:build cuda

package kernels_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"sightline/internal/testkit"
	"sightline/kernels"
	"sightline/kernels/cuda"
)

// A rig is a device, real or emulated, with one stream and all that a test puts there.
type rig struct {
	t      testing.TB
	device cuda.Device
	stream cuda.Stream
	memory []cuda.Memory
}

func newRig(t testing.TB) *rig {
	t.Helper()
	found, err := cuda.Devices()
	testkit.Require(t, "gpu", err == nil && len(found) > 0, "run it with kernels/emu/run.sh, or on a machine with an NVIDIA GPU")
	b := &rig{t: t}
	b.device, err = cuda.Open(cuda.Config{})
	b.must(err)
	b.stream, err = b.device.NewStream()
	b.must(err)
	t.Cleanup(func() {
		for _, m := range b.memory {
			b.must(m.Free())
		}
		b.must(b.stream.Close())
		b.must(b.device.Close())
	})
	return b
}

func (b *rig) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// room is n bytes of the device, all of them 0xA5.
func (b *rig) room(n int) uint64 {
	b.t.Helper()
	m, err := b.device.Alloc("test", n)
	b.must(err)
	b.memory = append(b.memory, m)
	b.must(b.stream.Fill(m.Address(), 0xA5, n))
	return m.Address()
}

// put copies values to the device.
func put[T any](b *rig, values []T) uint64 {
	b.t.Helper()
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(values[0])))
	at := b.room(len(data))
	b.must(b.stream.Upload(at, data))
	return at
}

// get waits for the stream and copies n bytes back.
func (b *rig) get(at uint64, n int) []byte {
	b.t.Helper()
	out := make([]byte, n)
	b.must(b.stream.Download(out, at))
	b.must(b.stream.Synchronize())
	return out
}

// picture makes one of noise, on the host and the same on the device.
func (b *rig) picture(rng *rand.Rand, f kernels.Format) (host, device kernels.Picture) {
	host = kernels.Picture{
		Format: f, Width: 1 + rng.IntN(150), Height: 1 + rng.IntN(90),
		BT709: rng.IntN(2) == 0, FullRange: rng.IntN(2) == 0, ChromaLeft: rng.IntN(2) == 0,
	}
	device = host
	half, high := (host.Width+1)/2, (host.Height+1)/2
	planes := [][2]int{{host.Width, host.Height}, {half, high}, {half, high}}
	if f != kernels.I420 {
		planes = [][2]int{{host.Width, host.Height}, {2 * half, high}}
	}
	for i, p := range planes {
		stride := p[0] + rng.IntN(9)
		if f == kernels.P010 {
			stride *= 2
		}
		data := make([]byte, stride*p[1])
		for k := range data {
			data[k] = byte(rng.Uint32())
		}
		address := put(b, data)
		host.Planes[i], host.Strides[i] = unsafe.Pointer(&data[0]), stride
		device.Planes[i], device.Strides[i] = *(*unsafe.Pointer)(unsafe.Pointer(&address)), stride
	}
	return host, device
}

func TestCUDAPreprocessIsTheReference(t *testing.T) {
	b, rng := newRig(t), rand.New(rand.NewPCG(41, 42))
	for i := range 54 {
		slot := kernels.Slot{
			Width: 1 + rng.IntN(90), Height: 1 + rng.IntN(60), Layout: kernels.NCHW + kernels.Layout(rng.IntN(2)),
			Type: kernels.U8 + kernels.Type(i/3%3), Order: kernels.BGR + kernels.Order(rng.IntN(2)), Pad: 114, Fit: kernels.LetterboxCenter + kernels.Fit(rng.IntN(3)),
		}
		if slot.Type != kernels.U8 {
			slot.Mean, slot.Scale = [3]float32{103.53, 116.28, 123.675}, [3]float32{1 / 57.375, 1 / 57.12, 1 / 58.395}
		}
		host, device := b.picture(rng, kernels.I420+kernels.Format(i%3))
		at := b.room(slot.Size())
		l, box, err := kernels.LaunchPreprocess(slot, &device, at)
		b.must(err)
		b.must(b.stream.Launch(l))
		reference, err := kernels.NewReference(slot)
		b.must(err)
		want := make([]byte, slot.Size())
		wantBox, err := reference.Run(unsafe.Pointer(&want[0]), &host)
		b.must(err)
		reference.Close()
		if got := b.get(at, len(want)); box != wantBox || !bytes.Equal(got, want) {
			t.Fatalf("%d of %d bytes differ: slot %+v, picture %+v", different(got, want), len(want), slot, host)
		}
	}
}

func different(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestCUDAThumbnailsAndCropsAreTheReference(t *testing.T) {
	b, rng := newRig(t), rand.New(rand.NewPCG(43, 44))
	for i := range 30 {
		host, device := b.picture(rng, kernels.I420+kernels.Format(i%3))
		w, h := 1+rng.IntN(80), 1+rng.IntN(60)
		c := kernels.Crop{X: rng.IntN(host.Width) &^ 1, Y: rng.IntN(host.Height) &^ 1, Format: kernels.I420 + kernels.Format(rng.IntN(2))}
		c.Width, c.Height = 1+rng.IntN(host.Width-c.X), 1+rng.IntN(host.Height-c.Y)
		small, part := b.room(w*h), b.room(c.Size())
		thumbnail, err := kernels.LaunchThumbnail(&device, w, h, small)
		b.must(err)
		cut, err := kernels.LaunchCut(&device, c, part)
		b.must(err)
		b.must(b.stream.Launch(thumbnail))
		b.must(b.stream.Launch(cut))
		wantSmall, wantPart := make([]byte, w*h), make([]byte, c.Size())
		b.must(host.Thumbnail(wantSmall, w, h))
		b.must(host.Cut(wantPart, c))
		if !bytes.Equal(b.get(small, w*h), wantSmall) {
			t.Fatalf("thumbnail of %d×%d differs: %+v", w, h, host)
		}
		if !bytes.Equal(b.get(part, c.Size()), wantPart) {
			t.Fatalf("crop %+v differs: %+v", c, host)
		}
	}
}

// outputs are a network's output for some rows: how a GPU decodes it, and the CPU one row.
type outputs struct {
	classes, anchors int
	launch           func(c kernels.Candidates) []kernels.Launch
	decode           func(row int, wanted []bool, threshold float32) ([]kernels.Box, error)
}

// scores draws values of which few are high, with boxes all over the input.
func scores(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		if out[i] = rng.Float32() * rng.Float32(); rng.IntN(9) == 0 {
			out[i] = 1 - out[i]/8
		}
	}
	return out
}

// yolo is an output of one kind; boxes of 8 to 72 pixels.
func yolo(b *rig, rng *rand.Rand, rows int, kind string) outputs {
	width, height, o := 96, 64, outputs{classes: 1 + rng.IntN(30)}
	o.anchors = 96*64/64 + 96*64/256 + 96*64/1024
	values := 5 + o.classes
	if kind == "v8" {
		values = 4 + o.classes
		o.anchors += rng.IntN(1500)
	}
	data := scores(rng, rows*o.anchors*values)
	for i := range rows * o.anchors {
		for k := range 4 {
			at := i*values + k
			if kind == "v8" {
				at = i/o.anchors*o.anchors*values + k*o.anchors + i%o.anchors
			}
			if data[at] = 8 + 64*rng.Float32(); kind == "x" {
				data[at] = rng.Float32() * 2
			}
		}
	}
	in, size := put(b, data), o.anchors*values
	o.launch = func(c kernels.Candidates) []kernels.Launch {
		switch kind {
		case "v8":
			return []kernels.Launch{c.LaunchYOLOv8(in, o.anchors)}
		case "v5":
			return []kernels.Launch{c.LaunchYOLOv5(in, o.anchors)}
		}
		return []kernels.Launch{c.LaunchYOLOX(in, width, height)}
	}
	o.decode = func(row int, wanted []bool, threshold float32) ([]kernels.Box, error) {
		switch of := data[row*size : (row+1)*size]; kind {
		case "v8":
			return kernels.DecodeYOLOv8(of, o.classes, wanted, threshold, nil)
		case "v5":
			return kernels.DecodeYOLOv5(of, o.classes, wanted, threshold, nil)
		default:
			return kernels.DecodeYOLOX(of, o.classes, width, height, wanted, threshold, nil)
		}
	}
	return o
}

// nanodet is an output of one layout: scores and bins apart, together or as planes.
func nanodet(b *rig, rng *rand.Rand, rows int, kind string) outputs {
	const bins = 8
	o := outputs{classes: 1 + rng.IntN(30)}
	width := o.classes + 4*bins
	var data [][]float32 // by stride: rows of cells of scores and bins
	var heads []kernels.HeadOutput
	for stride := 8; stride <= 32; stride *= 2 {
		h := kernels.HeadOutput{Columns: 200 / stride, Rows: 136 / stride, Stride: stride, First: o.anchors, Planar: kind == "planar", Corner: kind == "together"}
		cells := h.Columns * h.Rows
		all := scores(rng, rows*cells*width)
		if kind == "planar" {
			for i := range all {
				all[i] = all[i]*8 - 5
			}
		}
		switch kind {
		case "apart":
			var s, d []float32
			for row := range rows {
				s = append(s, all[row*cells*width:][:cells*o.classes]...)
				d = append(d, all[row*cells*width+cells*o.classes:][:cells*4*bins]...)
			}
			h.Scores, h.Bins, h.ScoresRow, h.BinsRow = put(b, s), put(b, d), cells*o.classes, cells*4*bins
		default:
			h.Scores = put(b, all)
			h.Bins, h.ScoresRow, h.BinsRow = h.Scores+uint64(4*o.classes*cells), cells*width, cells*width
			if kind == "together" {
				h.Bins, h.Width = h.Scores+uint64(4*o.classes), width
			}
		}
		data, heads = append(data, all), append(heads, h)
		o.anchors += cells
	}
	o.launch = func(c kernels.Candidates) (all []kernels.Launch) {
		for _, h := range heads {
			all = append(all, c.LaunchNanoDet(h, bins))
		}
		return all
	}
	o.decode = func(row int, wanted []bool, threshold float32) ([]kernels.Box, error) {
		var plain []kernels.Head
		for i, h := range heads {
			cells := h.Columns * h.Rows
			of := data[i][row*cells*width : (row+1)*cells*width]
			p := kernels.Head{Columns: h.Columns, Rows: h.Rows, Stride: h.Stride, Planar: h.Planar, Corner: h.Corner}
			p.Scores, p.Bins = of[:cells*o.classes], of[cells*o.classes:]
			if kind == "together" {
				p.Scores, p.Bins = nil, nil
				for cell := range slices.Chunk(of, width) {
					p.Scores, p.Bins = append(p.Scores, cell[:o.classes]...), append(p.Bins, cell[o.classes:]...)
				}
			}
			plain = append(plain, p)
		}
		return kernels.DecodeNanoDet(plain, o.classes, bins, wanted, threshold, nil)
	}
	return o
}

// queries is an RT-DETR output, joined or a pair, or one whose boxes are corners.
func queries(b *rig, rng *rand.Rand, rows int, pair, corners bool) outputs {
	o := outputs{classes: 1 + rng.IntN(30), anchors: 300}
	step := 4 + o.classes
	data := scores(rng, rows*o.anchors*step)
	q := kernels.QueryOutput{Count: o.anchors, ScoreStep: step, BoxStep: step, ScoresRow: o.anchors * step, BoxesRow: o.anchors * step, Logits: pair, Corners: corners}
	q.Boxes = put(b, data)
	q.Scores = q.Boxes + 16
	shift := 4
	if pair {
		shift = 0
		q.ScoreStep, q.Scores = o.classes, put(b, data)
	}
	o.launch = func(c kernels.Candidates) []kernels.Launch { return []kernels.Launch{c.LaunchDETR(q, 640, 352)} }
	o.decode = func(row int, wanted []bool, threshold float32) ([]kernels.Box, error) {
		of := data[row*q.ScoresRow : (row+1)*q.ScoresRow]
		return kernels.DecodeDETR(kernels.Queries{
			Scores: of[shift:], Boxes: of, Count: q.Count, ScoreStep: q.ScoreStep, BoxStep: q.BoxStep, Logits: q.Logits, Corners: corners,
		}, o.classes, 640, 352, wanted, threshold, nil)
	}
	return o
}

func TestCUDABoxesAreThoseOfTheCPU(t *testing.T) {
	kinds := map[string]func(b *rig, rng *rand.Rand, rows int) outputs{}
	for _, kind := range []string{"v8", "v5", "x"} {
		kinds["yolo "+kind] = func(b *rig, rng *rand.Rand, rows int) outputs { return yolo(b, rng, rows, kind) }
	}
	for _, kind := range []string{"apart", "together", "planar"} {
		kinds["nanodet "+kind] = func(b *rig, rng *rand.Rand, rows int) outputs { return nanodet(b, rng, rows, kind) }
	}
	for _, pair := range []bool{false, true} {
		kinds[fmt.Sprint("rt-detr, a pair ", pair)] = func(b *rig, rng *rand.Rand, rows int) outputs { return queries(b, rng, rows, pair, false) }
	}
	kinds["ssd"] = func(b *rig, rng *rand.Rand, rows int) outputs { return queries(b, rng, rows, false, true) }
	for name, with := range kinds {
		t.Run(name, func(t *testing.T) {
			b, rng := newRig(t), rand.New(rand.NewPCG(45, 46))
			for _, rows := range []int{1, 3} {
				compare(b, rng, rows, with(b, rng, rows))
			}
		})
	}
}

// compare decodes and suppresses on the device and, row by row, on the CPU.
func compare(b *rig, rng *rand.Rand, rows int, o outputs) {
	b.t.Helper()
	const limit = 50
	size := kernels.WantSize(o.classes)
	wants, wanted, thresholds := make([]byte, rows*size), make([][]bool, rows), make([]float32, rows)
	groups := make([]int32, o.classes)
	for i := range groups {
		groups[i] = int32(rng.IntN(3))
	}
	for row := range rows {
		if row > 0 {
			wanted[row] = make([]bool, o.classes)
			for i := range wanted[row] {
				wanted[row][i] = rng.IntN(4) > 0
			}
		}
		thresholds[row] = .3 + .5*rng.Float32()
		kernels.PutWant(wants[row*size:], o.classes, wanted[row], thresholds[row])
	}
	c := kernels.Candidates{
		Rows: rows, Classes: o.classes, Room: o.anchors, Boxes: b.room(rows * o.anchors * kernels.BoxSize),
		Counts: put(b, make([]int32, rows)), Wants: put(b, wants),
	}
	s := kernels.Suppression{Overlap: .5, Groups: put(b, groups), NumGroups: len(groups), Limit: limit, Results: b.room(rows * kernels.ResultSize(limit))}
	for _, l := range append(o.launch(c), c.LaunchNMS(s)) {
		b.must(b.stream.Launch(l))
	}
	results := b.get(s.Results, rows*kernels.ResultSize(limit))
	total := 0
	for row := range rows {
		want, err := o.decode(row, wanted[row], thresholds[row])
		b.must(err)
		total += len(want)
		want, err = kernels.NMS(want, s.Overlap, groups, limit)
		b.must(err)
		got, err := kernels.ReadResult(results[row*kernels.ResultSize(limit):][:kernels.ResultSize(limit)], nil)
		b.must(err)
		if !slices.Equal(got, want) {
			b.t.Fatalf("row %d of %d: %d boxes, want %d\n got %+v\nwant %+v", row, rows, len(got), len(want), got, want)
		}
	}
	if total == 0 {
		b.t.Fatal("nothing to decode: the comparison says nothing")
	}
}
