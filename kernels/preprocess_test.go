package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"unsafe"
)

// randomSlot draws a slot of every layout, type, order and fit.
func randomSlot(rng *rand.Rand, maxW, maxH int) Slot {
	s := Slot{
		Width: 1 + rng.IntN(maxW), Height: 1 + rng.IntN(maxH),
		Layout: NCHW + Layout(rng.IntN(2)), Type: U8 + Type(rng.IntN(3)), Order: BGR + Order(rng.IntN(2)),
		Scale: [3]float32{1, 1, 1}, Pad: uint8(rng.IntN(256)), Fit: LetterboxCenter + Fit(rng.IntN(3)),
	}
	if s.Type != U8 && rng.IntN(4) > 0 {
		s.Mean = [3]float32{103.53, 116.28, 123.675}
		s.Scale = [3]float32{1 / 57.375, 1 / 57.12, 1 / 58.395}
	}
	return s
}

// fill runs one picture and checks that nothing outside the slot is written.
func fill(t *testing.T, p *Preprocess, im *image) ([]byte, Letterbox) {
	t.Helper()
	const guard = 64
	size := p.slot.Size()
	raw := make([]byte, size+2*guard)
	for i := range raw {
		raw[i] = 0xA5
	}
	box, err := p.Run(unsafe.Pointer(&raw[guard]), &im.Picture)
	if err != nil {
		t.Fatal(err)
	}
	for i := range guard {
		if raw[i] != 0xA5 || raw[guard+size+i] != 0xA5 {
			t.Fatalf("wrote outside of the slot %+v", p.slot)
		}
	}
	return raw[guard : guard+size], box
}

// distance is the greatest difference in levels of 255.
func distance(s Slot, got, want []float64) float64 {
	worst := 0.0
	for i := range got {
		d := math.Abs(got[i] - want[i])
		if s.Type == F16 {
			d = max(0, d-math.Abs(want[i])/2048-1e-7) // half an ulp
		}
		if s.Type != U8 {
			d /= float64(s.Scale[i%3])
		}
		if worst = max(worst, d); math.IsNaN(d) {
			return math.Inf(1)
		}
	}
	return worst
}

func TestOracleAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		s := randomSlot(rng, 60, 60)
		im := newImage(rng, I420+Format(i%2), 1+rng.IntN(90), 1+rng.IntN(90), rng.IntN(3)*5)
		p, err := newPreprocess(s, 0)
		if err != nil {
			t.Fatal(err)
		}
		raw, box := fill(t, p, im)
		p.Close()
		w, h := int(math.Round(float64(box.ScaleX)*float64(im.Width))), int(math.Round(float64(box.ScaleY)*float64(im.Height)))
		limit := 0.02 // float32 coordinates
		if s.Type == U8 {
			limit = 0.52
		}
		if d := distance(s, values(s, raw), reference(s, box, w, h, im)); d > limit {
			t.Fatalf("%d: %.3f levels off\nslot %+v\npicture %+v", i, d, s, im.Picture)
		}
	}
}

func TestPlacement(t *testing.T) {
	for _, c := range []struct {
		fit          Fit
		w, h         int
		x, y, rw, rh int
	}{
		{LetterboxCenter, 1920, 1080, 0, 91, 416, 234},
		{LetterboxTopLeft, 1920, 1080, 0, 0, 416, 234},
		{LetterboxCenter, 1080, 1920, 91, 0, 234, 416},
		{Stretch, 1920, 1080, 0, 0, 416, 416},
		{LetterboxCenter, 1, 10000, 207, 0, 1, 416},
	} {
		t.Run(fmt.Sprintf("%d %dx%d", c.fit, c.w, c.h), func(t *testing.T) {
			s := Slot{Width: 416, Height: 416, Fit: c.fit}
			got := s.place(c.w, c.h)
			if int(got.x) != c.x || int(got.y) != c.y || int(got.w) != c.rw || int(got.h) != c.rh {
				t.Errorf("got %d,%d %d×%d", got.x, got.y, got.w, got.h)
			}
		})
	}
}

// levels are those that this processor can run.
func levels() []level {
	all := []level{2, 3, 4}
	if runtime.GOARCH == "arm64" {
		return []level{8}
	}
	return slices.DeleteFunc(all, func(l level) bool { return l > bestLevel() })
}

func TestTwinAgainstOracle(t *testing.T) {
	for _, l := range levels() {
		t.Run(l.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			for i := range 1500 {
				s := randomSlot(rng, 200, 40)
				w, h := 1+rng.IntN(900), 1+rng.IntN(60)
				switch i % 5 {
				case 0:
					w, h = 1+rng.IntN(40), 1+rng.IntN(40)
				case 1:
					w = 1 + rng.IntN(4000)
				}
				im := newImage(rng, I420+Format(rng.IntN(2)), w, h, rng.IntN(3)*7)
				compareWithOracle(t, s, l, im)
			}
		})
	}
}

func compareWithOracle(t *testing.T, s Slot, l level, im *image) {
	t.Helper()
	var got [2][]float64
	for i, l := range []level{0, l} {
		p, err := newPreprocess(s, l)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := fill(t, p, im)
		got[i] = values(s, raw)
		p.Close()
	}
	limit := 0.2
	if s.Type == U8 {
		limit = 1
	}
	if d := distance(s, got[1], got[0]); d > limit {
		t.Fatalf("%.3f levels off\nslot %+v\npicture %+v", d, s, im.Picture)
	}
}
