package quality

import (
	"reflect"
	"testing"
	"unsafe"

	"sightline/decode/decodetest"
)

// TestLookAtRows: of the rows that a look takes alone it sees the same, to the bit.
func TestLookAtRows(t *testing.T) {
	for _, size := range [][2]int{{1920, 1080}, {1279, 721}, {640, 480}, {33, 32}} {
		f := decodetest.NewFrame(nil, size[0], size[1], 3, decodetest.Gradient)
		p, step := f.Planes[0], Step(f)
		var rows []byte
		for y := 0; y+step <= f.Height; y += step {
			rows = append(rows, unsafe.Slice((*byte)(unsafe.Add(p.Data, y*p.Stride)), f.Width)...)
		}
		var seen [2]measures
		for i, look := range []func(*Watch) error{
			func(w *Watch) error { _, err := w.Look(f); return err },
			func(w *Watch) error { _, err := w.LookAtRows(f, rows); return err },
		} {
			w, err := New(Defaults())
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := look(w); err != nil {
				t.Fatal(err)
			}
			seen[i] = w.eye.m
		}
		if p.Stride != f.Width || !reflect.DeepEqual(seen[0], seen[1]) {
			t.Errorf("%v: it sees other things, or rows have gaps", size)
		}
		w, err := New(Defaults())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := w.LookAtRows(f, rows[:len(rows)-1]); err == nil {
			t.Errorf("%v: rows that lack a sample are looked at", size)
		}
		f.Release()
	}
}
