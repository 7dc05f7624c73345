package kernels

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var nan, inf = float32(math.NaN()), float32(math.Inf(1))

// scores draws values in 0..1 of which few are high, and now and then none at all.
func scores(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(math.Pow(rng.Float64(), 30))
		switch rng.IntN(400) {
		case 0:
			out[i] = nan
		case 1:
			out[i] = inf
		case 2:
			out[i] = -inf
		}
	}
	return out
}

func someClasses(rng *rand.Rand, n int) []bool {
	if rng.IntN(3) == 0 {
		return nil
	}
	wanted := make([]bool, n)
	for range 1 + rng.IntN(4) {
		wanted[rng.IntN(n)] = true
	}
	return wanted
}

// best is the first of the highest wanted scores that are numbers.
func best(v []float32, wanted []bool) (int, float64) {
	cls, most := -1, math.Inf(-1)
	for c, s := range v {
		if (wanted == nil || wanted[c]) && float64(s) > most {
			cls, most = c, float64(s)
		}
	}
	return cls, most
}

type plainBox struct {
	x1, y1, x2, y2, score float64
	class, anchor         int
}

func (b plainBox) ok(threshold float32) bool {
	for _, v := range []float64{b.x1, b.y1, b.x2, b.y2, b.score} {
		if math.IsNaN(v) || math.Abs(v) > math.MaxFloat32 {
			return false
		}
	}
	return b.class >= 0 && b.score >= float64(threshold) && b.x1 < b.x2 && b.y1 < b.y2
}

func equalBoxes(t *testing.T, got []Box, want []plainBox) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d boxes, want %d", len(got), len(want))
	}
	near := func(a float32, b float64) bool { return math.Abs(float64(a)-b) <= 1e-4*max(1, math.Abs(b)) }
	for i, b := range got {
		w := want[i]
		if int(b.Class) != w.class || int(b.Anchor) != w.anchor || !near(b.Score, w.score) ||
			!near(b.X1, w.x1) || !near(b.Y1, w.y1) || !near(b.X2, w.x2) || !near(b.Y2, w.y2) {
			t.Fatalf("box %d is %+v, want %+v", i, b, w)
		}
	}
}

// side is the mean of a distribution given by its logarithms.
func side(bins []float32) float64 {
	sum, mean, top := 0.0, 0.0, float64(slices.Max(bins))
	for i, b := range bins {
		e := math.Exp(float64(b) - top)
		sum += e
		mean += float64(i) * e
	}
	return mean / sum
}

func plainNanoDet(heads []Head, classes, bins int, wanted []bool, threshold float32) []plainBox {
	var out []plainBox
	first := 0
	for _, h := range heads {
		corner := 0.0
		if h.Corner {
			corner = float64(h.Stride) / 2
		}
		for i := range h.Columns * h.Rows {
			b := plainBox{anchor: first + i}
			b.class, b.score = best(h.Scores[i*classes:(i+1)*classes], wanted)
			d, s := h.Bins[i*4*bins:(i+1)*4*bins], float64(h.Stride)
			cx, cy := (float64(i%h.Columns)+0.5)*s, (float64(i/h.Columns)+0.5)*s
			b.x1, b.y1 = cx-s*side(d[:bins]), cy-s*side(d[bins:2*bins])
			b.x2, b.y2 = cx+s*side(d[2*bins:3*bins]), cy+s*side(d[3*bins:])
			if b.ok(threshold) {
				b.x1, b.y1, b.x2, b.y2 = b.x1-corner, b.y1-corner, b.x2-corner, b.y2-corner
				out = append(out, b)
			}
		}
		first += h.Columns * h.Rows
	}
	return out
}

func randomHeads(rng *rand.Rand, classes, bins int) []Head {
	heads := make([]Head, 1+rng.IntN(3))
	for i := range heads {
		h := Head{Columns: 1 + rng.IntN(20), Rows: 1 + rng.IntN(20), Stride: 8 << i, Corner: i%2 == 1}
		h.Scores = scores(rng, h.Columns*h.Rows*classes)
		h.Bins = make([]float32, h.Columns*h.Rows*4*bins)
		for k := range h.Bins {
			h.Bins[k] = float32(rng.NormFloat64() * 3)
		}
		if rng.IntN(4) == 0 {
			h.Bins[rng.IntN(len(h.Bins))] = nan
		}
		heads[i] = h
	}
	return heads
}

// planar makes heads whose scores are logits, as planes, and what is in them.
func planar(heads []Head, classes, bins int, wanted []bool, threshold float32) ([]Head, []plainBox) {
	plain, out := slices.Clone(heads), slices.Clone(heads)
	for i, h := range heads {
		logits := make([]float32, len(h.Scores))
		plain[i].Scores = make([]float32, len(h.Scores))
		for k, v := range h.Scores {
			logits[k] = float32(math.Log(float64(v) / (1 - float64(v)))) // of what is no score: not a number
			plain[i].Scores[k] = float32(1 / (1 + math.Exp(-float64(logits[k]))))
		}
		out[i].Scores, out[i].Bins, out[i].Planar = planes(logits, classes), planes(h.Bins, 4*bins), true
	}
	return out, plainNanoDet(plain, classes, bins, wanted, threshold)
}

// planes turns rows of width values into width planes.
func planes(rows []float32, width int) []float32 {
	out := make([]float32, 0, len(rows))
	for k := range width {
		for i := k; i < len(rows); i += width {
			out = append(out, rows[i])
		}
	}
	return out
}

// boxLevels is the levels and the oracle, which is 0.
func boxLevels() []level { return append([]level{0}, levels()...) }

func TestDecodeNanoDet(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		classes, bins := 1+rng.IntN(100), 2+rng.IntN(16)
		heads, wanted, threshold := randomHeads(rng, classes, bins), someClasses(rng, classes), rng.Float32()
		want := plainNanoDet(heads, classes, bins, wanted, threshold)
		if rng.IntN(2) == 0 {
			heads, want = planar(heads, classes, bins, wanted, threshold)
		}
		var first []Box
		for _, l := range boxLevels() {
			got, err := decodeNanoDet(l, heads, classes, bins, wanted, threshold, nil)
			if err != nil {
				t.Fatal(err)
			}
			equalBoxes(t, got, want)
			if l == 0 {
				first = got
			} else if !slices.Equal(got, first) {
				t.Fatalf("%v gives other bits than the oracle", l)
			}
		}
	}
}

// Logits whose sigmoid rounds to the threshold pass at every level, also near 1,
// where one bit of the score is worth many of the logit.
func TestPlanarScoresNearOne(t *testing.T) {
	for _, threshold := range []float32{.5, .99, .9999, .99999, .999999, math.Nextafter32(1, 0), 1} {
		at := math.Log(float64(threshold) / math.Max(1-float64(threshold), 1e-8))
		h := Head{Columns: 40, Rows: 40, Stride: 8, Planar: true, Bins: make([]float32, 1600*8), Scores: make([]float32, 1600)}
		for i := range h.Bins {
			h.Bins[i] = 1
		}
		for i := range h.Scores {
			h.Scores[i] = float32(at + float64(i-800)/800*.5)
		}
		var first []Box
		for _, l := range boxLevels() {
			got, err := decodeNanoDet(l, []Head{h}, 1, 2, nil, threshold, nil)
			if err != nil {
				t.Fatal(err)
			}
			if l == 0 {
				first = got
			}
			if !slices.Equal(got, first) || len(got) == 0 {
				t.Errorf("threshold %v: level %v finds %d boxes, the oracle %d", threshold, l, len(got), len(first))
			}
		}
	}
}

func plainYOLO(out []float32, y yoloLayout, wanted []bool, threshold float32) []plainBox {
	extra := 4
	if y.objectness {
		extra = 5
	}
	values := extra + y.classes
	anchors := len(out) / values
	var boxes []plainBox
	for a := range anchors {
		v := make([]float32, values)
		for k := range v {
			if v[k] = out[a*values+k]; y.channelsFirst {
				v[k] = out[k*anchors+a]
			}
		}
		b := plainBox{anchor: a}
		b.class, b.score = best(v[extra:], wanted)
		if y.objectness {
			if !(v[4] >= threshold) {
				continue
			}
			b.score = float64(float32(b.score) * v[4])
		}
		cx, cy, w, h := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		if y.width > 0 {
			cell, stride := a, 8
			for cell >= (y.width/stride)*(y.height/stride) {
				cell -= (y.width / stride) * (y.height / stride)
				stride *= 2
			}
			cx = (cx + float64(cell%(y.width/stride))) * float64(stride)
			cy = (cy + float64(cell/(y.width/stride))) * float64(stride)
			w, h = math.Exp(w)*float64(stride), math.Exp(h)*float64(stride)
		}
		b.x1, b.y1, b.x2, b.y2 = cx-w/2, cy-h/2, cx+w/2, cy+h/2
		if b.ok(threshold) {
			boxes = append(boxes, b)
		}
	}
	return boxes
}

func TestDecodeYOLO(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for i := range 600 {
		y := yoloLayout{classes: 1 + rng.IntN(90), channelsFirst: i%3 == 0, objectness: i%3 != 0}
		anchors := 1 + rng.IntN(1500)
		values := 4 + y.classes
		if y.objectness {
			values++
		}
		if i%3 == 2 {
			y.width, y.height = 32*(1+rng.IntN(6)), 32*(1+rng.IntN(6))
			anchors = y.width * y.height / 64 * 21 / 16
		}
		out := scores(rng, anchors*values)
		for a := range anchors {
			for k := range 4 {
				v := float32(rng.NormFloat64() * 2) // a width may be negative: no box
				if y.channelsFirst {
					out[k*anchors+a] = v
				} else {
					out[a*values+k] = v
				}
			}
			if y.objectness && rng.IntN(2) == 0 {
				out[a*values+4] = rng.Float32()
			}
		}
		wanted, threshold := someClasses(rng, y.classes), rng.Float32()
		want := plainYOLO(out, y, wanted, threshold)
		var first []Box
		for _, l := range boxLevels() {
			got, err := decodeYOLO(l, out, y, wanted, threshold, []Box{{Class: 5}})
			if err != nil || got[0].Class != 5 {
				t.Fatal(err, got[0])
			}
			equalBoxes(t, got[1:], want)
			if l == 0 {
				first = got
			} else if !slices.Equal(got, first) {
				t.Fatalf("%v gives other bits than the oracle", l)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, f := range map[string]func() error{
		"short scores": func() error {
			_, err := DecodeNanoDet([]Head{{Scores: make([]float32, 79), Bins: make([]float32, 44), Columns: 1, Rows: 1, Stride: 8}}, 80, 11, nil, 0.1, nil)
			return err
		},
		"mask of another length": func() error { _, err := DecodeYOLOv8(make([]float32, 84), 80, make([]bool, 3), 0.1, nil); return err },
		"not whole boxes":        func() error { _, err := DecodeYOLOv5(make([]float32, 86), 80, nil, 0.1, nil); return err },
		"another network size":   func() error { _, err := DecodeYOLOX(make([]float32, 85*21), 80, 64, 64, nil, 0.1, nil); return err },
		"no classes":             func() error { _, err := DecodeYOLOv8(make([]float32, 4), 0, nil, 0.1, nil); return err },
	} {
		if err := f(); err == nil || !strings.HasPrefix(err.Error(), "decoding boxes: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// plainNMS is greedy suppression without any cleverness.
func plainNMS(boxes []Box, iou float32, groups []int32, limit int) []Box {
	group := func(b Box) int32 {
		if int(b.Class) < len(groups) {
			return groups[b.Class]
		}
		return -1 - b.Class
	}
	var rest, kept []Box
	for _, b := range boxes {
		if (plainBox{x1: float64(b.X1), y1: float64(b.Y1), x2: float64(b.X2), y2: float64(b.Y2), score: float64(b.Score)}).ok(-inf) {
			rest = append(rest, b)
		}
	}
	slices.SortStableFunc(rest, func(a, b Box) int {
		switch {
		case a.Score != b.Score && a.Score > b.Score:
			return -1
		case a.Score != b.Score:
			return 1
		}
		return int(a.Anchor - b.Anchor)
	})
	for len(rest) > 0 && len(kept) < limit {
		a := rest[0]
		kept = append(kept, a)
		rest = slices.DeleteFunc(rest[1:], func(b Box) bool {
			w, h := min(a.X2, b.X2)-max(a.X1, b.X1), min(a.Y2, b.Y2)-max(a.Y1, b.Y1)
			if group(a) != group(b) || !(w > 0) || !(h > 0) {
				return false
			}
			both, sum := w*h, (a.X2-a.X1)*(a.Y2-a.Y1)+(b.X2-b.X1)*(b.Y2-b.Y1)
			return both > iou*(sum-both)
		})
	}
	return kept
}

func TestNMS(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 400 {
		boxes := make([]Box, rng.IntN(300))
		for i := range boxes {
			x, y := rng.Float32()*300, rng.Float32()*300
			boxes[i] = Box{X1: x, Y1: y, X2: x + rng.Float32()*90, Y2: y + rng.Float32()*90,
				Score: float32(rng.IntN(40)) / 40, Class: int32(rng.IntN(6)), Anchor: int32(rng.IntN(9000))}
			switch rng.IntN(60) {
			case 0:
				boxes[i].Score = nan
			case 1:
				boxes[i].X2 = inf
			case 2:
				boxes[i].Y2 = boxes[i].Y1
			}
		}
		var groups []int32
		switch rng.IntN(3) {
		case 0:
			groups = []int32{0, 1, 1, 1} // classes 4 and 5 by themselves
		case 1:
			groups = make([]int32, 6)
		}
		limit := 1 + rng.IntN(200)
		want := plainNMS(slices.Clone(boxes), 0.5, groups, limit)
		for _, l := range boxLevels() {
			got, err := nms(l, slices.Clone(boxes), 0.5, groups, limit)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%v: %v\n got %d %+v\nwant %d %+v", l, err, len(got), got, len(want), want)
			}
		}
	}
}

func TestNMSGroups(t *testing.T) {
	van := []Box{{X2: 10, Y2: 10, Score: 0.5, Class: 2, Anchor: 1}, {X2: 10, Y2: 9, Score: 0.6, Class: 7, Anchor: 2}, {X2: 10, Y2: 9, Score: 0.4, Class: 0, Anchor: 3}}
	for _, c := range []struct {
		groups []int32
		want   []int32
	}{
		{nil, []int32{7, 2, 0}},
		{[]int32{0, 1, 2, 3, 4, 2, 6, 2}, []int32{7, 0}}, // car, bus and truck together
		{make([]int32, 8), []int32{7}},
	} {
		kept, err := NMS(slices.Clone(van), 0.5, c.groups, 100)
		if err != nil {
			t.Fatal(err)
		}
		var classes []int32
		for _, b := range kept {
			classes = append(classes, b.Class)
		}
		if !reflect.DeepEqual(classes, c.want) {
			t.Errorf("groups %v keep %v, want %v", c.groups, classes, c.want)
		}
	}
	if kept, err := NMS(van, 0.5, nil, 0); err != nil || len(kept) != 0 {
		t.Error("limit 0 keeps boxes", kept, err)
	}
}
