package onnx

import (
	"math"
	"testing"

	"sightline/kernels"
)

// TestNanoDetPlus puts one object into a joined output with four strides: its
// distances start at the cell's corner.
func TestNanoDetPlus(t *testing.T) {
	s := Shape{96, 64}
	f := nanodet{classes: 2, bins: 8, strides: []int{8, 16, 32, 64}, joined: "output"}
	width := 2 + 4*8
	if got := f.outputs(s)[0].dims; got[0] != 96+24+6+2 || got[1] != width {
		t.Fatalf("output of %v", got)
	}
	values := make([]float32, f.outputs(s)[0].size())
	cell := values[(96+8)*width:][:width] // stride 16, row 1, column 2
	cell[1] = 0.9
	for side, distance := range []int{1, 0, 2, 1} { // left, top, right, bottom, in strides
		cell[2+side*8+distance] = 80
	}
	boxes, err := f.decode([][]float32{values}, s, nil, 0.5, nil)
	if err != nil || len(boxes) != 1 {
		t.Fatalf("boxes %v, %v", boxes, err)
	}
	want := kernels.Box{X1: 16, Y1: 16, X2: 64, Y2: 32, Score: 0.9, Class: 1, Anchor: 96 + 8}
	got := boxes[0]
	for _, d := range []float32{got.X1 - want.X1, got.Y1 - want.Y1, got.X2 - want.X2, got.Y2 - want.Y2, got.Score - want.Score} {
		if math.Abs(float64(d)) > 1e-3 {
			t.Fatalf("box %+v, want %+v", got, want)
		}
	}
	if got.Class != want.Class || got.Anchor != want.Anchor {
		t.Errorf("box %+v, want %+v", got, want)
	}
}

func TestGroups(t *testing.T) {
	got := groups([]string{"bus", "person", "car", "dog", "truck"})
	want := []int32{0, 1, 0, 3, 0}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("groups %v, want %v", got, want)
		}
	}
}

func TestAspect(t *testing.T) {
	for _, c := range []struct {
		w, h int
		want Shape
	}{
		{768, 576, Shape{416, 320}},
		{1920, 1080, Shape{416, 256}},
		{1080, 1920, Shape{256, 416}},
		{640, 640, Shape{416, 416}},
		{4000, 10, Shape{416, 32}},
		{1, 1, Shape{416, 416}},
		{0, 0, Shape{416, 416}},
		{416, 417, Shape{416, 416}},
	} {
		if got := aspect(Shape{416, 416}, 32, c.w, c.h); got != c.want {
			t.Errorf("%d×%d: %s, want %s", c.w, c.h, got, c.want)
		}
	}
}

func TestLoss(t *testing.T) {
	want := Shape{416, 256}
	if got := want.loss(want); got != 0 {
		t.Errorf("loss to itself: %g", got)
	}
	near, far := want.loss(Shape{416, 320}), want.loss(Shape{256, 416})
	if !(0 < near && near < far) {
		t.Errorf("loss to 416x320 %g, to 256x416 %g", near, far)
	}
}

func TestNearest(t *testing.T) {
	if got := nearest("Persn", cocoLabels()); got[0] != "person" || len(got) != 3 {
		t.Errorf("nearest to Persn: %q", got)
	}
}
