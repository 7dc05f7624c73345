package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomQueries are an RT-DETR output: side by side, or a pair whose scores are logits;
// or an SSD network's, whose boxes are corners.
func randomQueries(rng *rand.Rand, classes int) Queries {
	q := Queries{Count: 1 + rng.IntN(400), ScoreStep: 4 + classes, BoxStep: 4 + classes}
	all := scores(rng, q.Count*q.ScoreStep)
	for k := range q.Count {
		for i := range 4 {
			all[k*q.BoxStep+i] = rng.Float32() - .02 // a size may be negative: no box
		}
	}
	q.Boxes, q.Scores, q.Corners = all, all[4:], rng.IntN(2) == 0
	if rng.IntN(2) == 0 {
		q.Scores, q.ScoreStep, q.Logits = make([]float32, q.Count*classes), classes, true
		for i := range q.Scores {
			q.Scores[i] = float32(rng.NormFloat64()*2 - 3)
		}
	}
	return q
}

func plainDETR(q Queries, classes, width, height int, wanted []bool, threshold float32) []plainBox {
	var out []plainBox
	for k := range q.Count {
		b := plainBox{anchor: k}
		b.class, b.score = best(q.Scores[k*q.ScoreStep:][:classes], wanted)
		if q.Logits {
			b.score = 1 / (1 + math.Exp(-b.score))
		}
		p := q.Boxes[k*q.BoxStep:]
		cx, cy, w, h := float64(p[0])*float64(width), float64(p[1])*float64(height), float64(p[2])*float64(width), float64(p[3])*float64(height)
		b.x1, b.y1, b.x2, b.y2 = cx-w/2, cy-h/2, cx+w/2, cy+h/2
		if q.Corners {
			b.x1, b.y1, b.x2, b.y2 = cx, cy, w, h
		}
		if b.ok(threshold) {
			out = append(out, b)
		}
	}
	return out
}

func TestDecodeDETR(t *testing.T) {
	rng := rand.New(rand.NewPCG(27, 28))
	for range 300 {
		classes := 1 + rng.IntN(90)
		q, wanted, threshold := randomQueries(rng, classes), someClasses(rng, classes), rng.Float32()
		got, err := DecodeDETR(q, classes, 640, 352, wanted, threshold, []Box{{Class: 5}})
		if err != nil || got[0].Class != 5 {
			t.Fatal(err, got[0])
		}
		equalBoxes(t, got[1:], plainDETR(q, classes, 640, 352, wanted, threshold))
	}
}

func TestDecodeDETRRefuses(t *testing.T) {
	good := Queries{Scores: make([]float32, 2*6), Boxes: make([]float32, 2*6), Count: 2, ScoreStep: 6, BoxStep: 6}
	if _, err := DecodeDETR(good, 2, 640, 640, nil, .5, nil); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Queries){
		"short scores": func(q *Queries) { q.Scores = q.Scores[:7] },
		"short boxes":  func(q *Queries) { q.Boxes = q.Boxes[:9] },
		"no query":     func(q *Queries) { q.Count = 0 },
		"overlapping":  func(q *Queries) { q.ScoreStep = 1 },
	} {
		q := good
		change(&q)
		if _, err := DecodeDETR(q, 2, 640, 640, nil, .5, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// crowd are n boxes that differ in anchor or score, many of them in groups that overlap.
func crowd(rng *rand.Rand, n int, side float32) []Box {
	boxes := make([]Box, n)
	for i := range boxes {
		x, y := rng.Float32()*side, rng.Float32()*side
		boxes[i] = Box{X1: x, Y1: y, X2: x + 20 + rng.Float32()*60, Y2: y + 20 + rng.Float32()*60,
			Score: float32(rng.IntN(50)) / 50, Class: int32(rng.IntN(3)), Anchor: int32(i)}
	}
	rng.Shuffle(n, func(i, k int) { boxes[i], boxes[k] = boxes[k], boxes[i] })
	return boxes
}

// More candidates than a block sorts at a time, in scores that differ and in scores
// that are all the same: the definition is right chunk by chunk.
func TestNMSOfMany(t *testing.T) {
	rng := rand.New(rand.NewPCG(29, 30))
	for i, n := range []int{1023, 1024, 1025, 2049, 5000} {
		boxes := crowd(rng, n, 3000)
		if i%2 == 1 {
			for k := range boxes {
				boxes[k].Score = .5
			}
		}
		for _, limit := range []int{300, n} {
			want := plainNMS(slices.Clone(boxes), .5, nil, limit)
			for _, l := range []level{0, bestLevel()} {
				got, err := nms(l, slices.Clone(boxes), .5, nil, limit)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("%v, %d candidates, limit %d: %v, kept %d, want %d", l, n, limit, err, len(got), len(want))
				}
			}
		}
	}
}
