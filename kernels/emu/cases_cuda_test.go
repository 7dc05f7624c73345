//go:build cuda

package emu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"unsafe"

	"sightline/kernels"
)

// A workload runs kernels on seeded data of odd sizes and returns all they wrote.
type workload struct {
	name    string
	kernels string // that it runs
	run     func(r *rig, seed uint64) []byte
}

func workloads() []workload {
	all := []workload{
		{"thumbnail", "va_thumbnail", thumbnails}, {"crop", "va_crop", crops},
		{"many boxes", "va_decode_yolo va_nms", func(r *rig, seed uint64) []byte { return yolo(r, seed, "v8", 2600, 1+int(seed)%3) }},
	}
	for _, f := range []kernels.Format{kernels.I420, kernels.NV12, kernels.P010} {
		for _, t := range []kernels.Type{kernels.U8, kernels.F16, kernels.F32} {
			all = append(all, workload{fmt.Sprintf("preprocess %d to %d", f, t), "va_preprocess", func(r *rig, seed uint64) []byte {
				return rows(r, rand.New(rand.NewPCG(seed, uint64(f)<<8|uint64(t))), f, t)
			}})
		}
	}
	for _, kind := range []string{"v8", "v5", "x"} {
		all = append(all, workload{"yolo " + kind, "va_decode_yolo va_nms", func(r *rig, seed uint64) []byte { return yolo(r, seed, kind, 0, batch(seed)) }})
	}
	for _, kind := range []string{"planar", "apart", "together"} {
		all = append(all, workload{"nanodet " + kind, "va_nanodet va_nms", func(r *rig, seed uint64) []byte { return nanodet(r, seed, kind) }})
	}
	return append(all, workload{"rt-detr", "va_decode_detr va_nms", detr})
}

// batch is a number of rows, 1 to 32.
func batch(seed uint64) int { return []int{1, 2, 3, 5, 8, 13, 32}[seed%7] }

// picture makes one of odd size and pitch in device memory that ends where it must.
func picture(r *rig, rng *rand.Rand, f kernels.Format) *kernels.Picture {
	p := &kernels.Picture{
		Format: f, Width: 1 + rng.IntN(90), Height: 1 + rng.IntN(70),
		BT709: rng.IntN(2) == 0, FullRange: rng.IntN(2) == 0, ChromaLeft: rng.IntN(2) == 0,
	}
	half, high, sample := (p.Width+1)/2, (p.Height+1)/2, 1
	sizes := [][2]int{{p.Width, p.Height}, {half, high}, {half, high}}
	if f != kernels.I420 {
		sizes = [][2]int{{p.Width, p.Height}, {2 * half, high}}
	}
	if f == kernels.P010 {
		sample = 2
	}
	for i, size := range sizes {
		p.Strides[i] = (size[0] + rng.IntN(9)) * sample
		b := make([]byte, p.Strides[i]*(size[1]-1)+size[0]*sample)
		for j := range b {
			b[j] = byte(rng.Uint32())
		}
		p.Planes[i] = pointer(r.put(b))
	}
	return p
}

func rows(r *rig, rng *rand.Rand, f kernels.Format, typ kernels.Type) []byte {
	slot := kernels.Slot{
		Width: 1 + rng.IntN(60), Height: 1 + rng.IntN(50), Type: typ,
		Layout: kernels.Layout(1 + rng.IntN(2)), Order: kernels.Order(1 + rng.IntN(2)), Fit: kernels.Fit(1 + rng.IntN(3)),
		Pad: byte(rng.Uint32()),
	}
	if typ != kernels.U8 {
		slot.Mean, slot.Scale = [3]float32{103.53, 116.28, 123.675}, [3]float32{.017429, .017507, .017125}
	}
	n := batch(rng.Uint64())
	out := r.room(n * slot.Size())
	for i := range n {
		l, _, err := kernels.LaunchPreprocess(slot, picture(r, rng, f), out+uint64(i*slot.Size()))
		r.must(err)
		r.run(l)
	}
	return r.get(out, n*slot.Size())
}

func thumbnails(r *rig, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	var all []byte
	for _, f := range []kernels.Format{kernels.I420, kernels.NV12, kernels.P010} {
		w, h := 1+rng.IntN(80), 1+rng.IntN(60)
		out := r.room(w * h)
		l, err := kernels.LaunchThumbnail(picture(r, rng, f), w, h, out)
		r.must(err)
		r.run(l)
		all = append(all, r.get(out, w*h)...)
	}
	return all
}

func crops(r *rig, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 2))
	var all []byte
	for _, f := range []kernels.Format{kernels.I420, kernels.NV12, kernels.P010} {
		p := picture(r, rng, f)
		c := kernels.Crop{X: rng.IntN(p.Width) &^ 1, Y: rng.IntN(p.Height) &^ 1, Format: kernels.I420 + kernels.Format(rng.IntN(2))}
		c.Width, c.Height = 1+rng.IntN(p.Width-c.X), 1+rng.IntN(p.Height-c.Y)
		out := r.room(c.Size())
		l, err := kernels.LaunchCut(p, c, out)
		r.must(err)
		r.run(l)
		all = append(all, r.get(out, c.Size())...)
	}
	return all
}

// values are scores and boxes, and now and then what no network should say.
func values(rng *rand.Rand, n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		switch v := rng.Float32(); rng.IntN(400) {
		case 0:
			all[i] = float32(math.NaN())
		case 1:
			all[i] = float32(math.Inf(1 - 2*rng.IntN(2)))
		default:
			all[i] = v
		}
	}
	return all
}

// found decodes with the given launch and suppresses; what comes out does not depend
// on the order in which threads ran.
func found(r *rig, rng *rand.Rand, rows, classes, anchors int, decode func(c kernels.Candidates) []kernels.Launch) []byte {
	wants := make([]byte, rows*kernels.WantSize(classes))
	wanted := make([]bool, classes)
	for i := range wanted {
		wanted[i] = rng.IntN(5) > 0
	}
	for i := range rows {
		kernels.PutWant(wants[i*kernels.WantSize(classes):], classes, wanted, .2+.5*rng.Float32())
	}
	groups := make([]int32, classes)
	for i := range groups {
		groups[i] = int32(rng.IntN(3))
	}
	c := kernels.Candidates{
		Rows: rows, Classes: classes, Room: anchors, Boxes: r.room(rows * anchors * kernels.BoxSize),
		Counts: r.put(make([]byte, 4*rows)), Wants: r.put(wants),
	}
	s := kernels.Suppression{Overlap: .3 + .4*rng.Float32(), Groups: r.put(unsafe.Slice((*byte)(unsafe.Pointer(&groups[0])), 4*classes)), NumGroups: classes, Limit: 1 + rng.IntN(300)}
	size := rows * kernels.ResultSize(s.Limit)
	s.Results = r.room(size)
	for _, l := range decode(c) {
		r.run(l)
	}
	r.run(c.LaunchNMS(s))
	return append(r.get(s.Results, size), r.get(c.Counts, 4*rows)...)
}

func yolo(r *rig, seed uint64, kind string, anchors, rows int) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	classes, width, height := 1+rng.IntN(20), 32*(1+rng.IntN(3)), 32*(1+rng.IntN(3))
	per := 5 + classes
	if kind == "v8" {
		per = 4 + classes
	}
	if kind == "x" {
		anchors = width/8*(height/8) + width/16*(height/16) + width/32*(height/32)
	}
	if anchors == 0 {
		anchors = 1 + rng.IntN(700)
	}
	data := values(rng, rows*per*anchors)
	spread(data, rows, per, anchors, kind == "v8")
	in := r.putFloats(data)
	return found(r, rng, rows, classes, anchors, func(c kernels.Candidates) []kernels.Launch {
		switch kind {
		case "v8":
			return []kernels.Launch{c.LaunchYOLOv8(in, anchors)}
		case "v5":
			return []kernels.Launch{c.LaunchYOLOv5(in, anchors)}
		}
		return []kernels.Launch{c.LaunchYOLOX(in, width, height)}
	})
}

// spread puts boxes all over a picture, so that some overlap and most do not.
func spread(data []float32, rows, per, anchors int, planar bool) {
	for row := range rows {
		for a := range anchors {
			for k := range 4 {
				at := row*per*anchors + a*per + k
				if planar {
					at = row*per*anchors + k*anchors + a
				}
				if v := data[at]; v == v && !math.IsInf(float64(v), 0) {
					data[at] = v * []float32{900, 700, 60, 90}[k]
				}
			}
		}
	}
}

func nanodet(r *rig, seed uint64, kind string) []byte {
	rng := rand.New(rand.NewPCG(seed, 4))
	rows, classes, bins := batch(seed), 1+rng.IntN(40), 8
	var heads []kernels.HeadOutput
	cells := 0
	for _, stride := range []int{8, 16, 32} {
		h := kernels.HeadOutput{Columns: 1 + rng.IntN(24), Rows: 1 + rng.IntN(17), Stride: stride, First: cells, Corner: rng.IntN(2) == 0, Planar: kind == "planar"}
		n := h.Columns * h.Rows
		h.ScoresRow, h.BinsRow = n*classes, n*4*bins
		if kind == "together" {
			h.Width = classes + 4*bins
			h.ScoresRow, h.BinsRow = n*h.Width, n*h.Width
			h.Scores = r.putFloats(values(rng, rows*n*h.Width))
			h.Bins = h.Scores + uint64(4*classes)
		} else {
			h.Scores, h.Bins = r.putFloats(values(rng, rows*h.ScoresRow)), r.putFloats(values(rng, rows*h.BinsRow))
		}
		heads = append(heads, h)
		cells += n
	}
	return found(r, rng, rows, classes, cells, func(c kernels.Candidates) []kernels.Launch {
		var all []kernels.Launch
		for _, h := range heads {
			all = append(all, c.LaunchNanoDet(h, bins))
		}
		return all
	})
}

func detr(r *rig, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 5))
	rows, classes := batch(seed), 1+rng.IntN(80)
	q := kernels.QueryOutput{Count: 1 + rng.IntN(400), ScoreStep: classes + rng.IntN(3), BoxStep: 4 + rng.IntN(3), Logits: rng.IntN(2) == 0, Corners: rng.IntN(2) == 0}
	q.ScoresRow, q.BoxesRow = q.Count*q.ScoreStep, q.Count*q.BoxStep
	q.Scores, q.Boxes = r.putFloats(values(rng, rows*q.ScoresRow)), r.putFloats(values(rng, rows*q.BoxesRow))
	return found(r, rng, rows, classes, q.Count, func(c kernels.Candidates) []kernels.Launch {
		return []kernels.Launch{c.LaunchDETR(q, 640, 480)}
	})
}
