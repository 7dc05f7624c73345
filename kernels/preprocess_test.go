package kernels

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
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
		im := newImage(rng, I420+Format(i%3), 1+rng.IntN(90), 1+rng.IntN(90), rng.IntN(3)*5)
		p, err := NewReference(s)
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

// Ten bits are filled by the definition at every level.
func TestDeepPicturesAreTheReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 40 {
		s := randomSlot(rng, 60, 60)
		im := newImage(rng, P010, 1+rng.IntN(90), 1+rng.IntN(90), i%3)
		var got [2][]byte
		for k, l := range []level{0, bestLevel()} {
			p, err := newPreprocess(s, l)
			if err != nil {
				t.Fatal(err)
			}
			got[k], _ = fill(t, p, im)
			p.Close()
		}
		if !bytes.Equal(got[0], got[1]) {
			t.Fatalf("level %v gives other bits: slot %+v, picture %+v", bestLevel(), s, im.Picture)
		}
	}
}

// TestBounds puts each plane and the slot at the end of mapped memory, so that one
// byte read or written too far is a fault.
func TestBounds(t *testing.T) {
	for _, l := range boxLevels() {
		t.Run(l.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(13, 14))
			for i := range 400 {
				s := randomSlot(rng, 100, 30)
				im := newImage(rng, I420+Format(i%3), 1+rng.IntN(200), 1+rng.IntN(40), rng.IntN(2)*3)
				if i%4 == 0 {
					im = newImage(rng, I420+Format(rng.IntN(2)), 1+rng.IntN(5), 1+rng.IntN(5), 0)
				}
				for k := range im.planes {
					if im.planes[k] != nil {
						im.Planes[k] = atEnd(t, im.planes[k])
					}
				}
				p, err := newPreprocess(s, l)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Run(atEnd(t, make([]byte, s.Size())), &im.Picture); err != nil {
					t.Fatal(err)
				}
				p.Close()
			}
		})
	}
}

// atEnd copies data to the end of a mapping that an inaccessible page follows.
func atEnd(t *testing.T, data []byte) unsafe.Pointer {
	t.Helper()
	page := unix.Getpagesize()
	size := (len(data) + page - 1) / page * page
	mem, err := unix.Mmap(-1, 0, size+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	if err := unix.Mprotect(mem[size:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return unsafe.Pointer(&mem[size-copy(mem[size-len(data):size], data)])
}

// TestGeometryChanges runs one Preprocess over pictures of changing size, format
// and color, and compares with a fresh one each time.
func TestGeometryChanges(t *testing.T) {
	for _, l := range levels() {
		rng := rand.New(rand.NewPCG(15, 16))
		s := Slot{Width: 96, Height: 64, Layout: NCHW, Type: F32, Order: BGR, Fit: LetterboxCenter}
		old, err := newPreprocess(s, l)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		for i := range 60 {
			im := newImage(rng, I420+Format(rng.IntN(2)), 60+60*(i/3%3), 50+rng.IntN(2)*40, 0)
			fresh, err := newPreprocess(s, l)
			if err != nil {
				t.Fatal(err)
			}
			a, boxA := fill(t, old, im)
			b, boxB := fill(t, fresh, im)
			fresh.Close()
			if boxA != boxB || !bytes.Equal(a, b) {
				t.Fatalf("%v: picture %d differs from a fresh start: %+v", l, i, im.Picture)
			}
		}
	}
}

func TestRunRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	p, err := NewPreprocess(Slot{Width: 8, Height: 8, Layout: NHWC, Type: U8, Order: RGB, Fit: Stretch})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, p.slot.Size())
	for name, change := range map[string]func(*Picture){
		"no width":      func(p *Picture) { p.Width = 0 },
		"huge":          func(p *Picture) { p.Height = 1 << 20 },
		"no format":     func(p *Picture) { p.Format = 0 },
		"no plane":      func(p *Picture) { p.Planes[2] = nil },
		"narrow stride": func(p *Picture) { p.Strides[1] = 4 },
		"bottom up":     func(p *Picture) { p.Strides[0] = -16 },
		"beyond 4 GiB":  func(p *Picture) { p.Strides[0] = math.MaxInt32 },
		"half a sample": func(p *Picture) { p.Format, p.Strides = P010, [3]int{19, 20} },
	} {
		im := newImage(rng, I420, 9, 9, 0)
		change(&im.Picture)
		if _, err := p.Run(unsafe.Pointer(&out[0]), &im.Picture); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	p.Close()
	p.Close()
	if _, err := p.Run(unsafe.Pointer(&out[0]), &newImage(rng, I420, 9, 9, 0).Picture); err == nil {
		t.Error("runs after Close")
	}
}

func TestSlotRefuses(t *testing.T) {
	good := Slot{Width: 8, Height: 8, Layout: NHWC, Type: U8, Order: RGB, Fit: Stretch}
	for name, change := range map[string]func(*Slot){
		"no size":         func(s *Slot) { s.Width = 0 },
		"no layout":       func(s *Slot) { s.Layout = 0 },
		"no type":         func(s *Slot) { s.Type = 9 },
		"no order":        func(s *Slot) { s.Order = 3 },
		"no fit":          func(s *Slot) { s.Fit = 0 },
		"bytes with mean": func(s *Slot) { s.Mean, s.Scale = [3]float32{1, 1, 1}, [3]float32{1, 1, 1} },
	} {
		s := good
		change(&s)
		if p, err := NewPreprocess(s); err == nil {
			p.Close()
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	p, err := NewPreprocess(Slot{Width: 64, Height: 64, Layout: NCHW, Type: F32, Order: BGR, Fit: LetterboxCenter})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	im := newImage(rand.New(rand.NewPCG(19, 20)), NV12, 200, 100, 0)
	out := make([]byte, p.slot.Size())
	if n := testing.AllocsPerRun(20, func() { _, err = p.Run(unsafe.Pointer(&out[0]), &im.Picture) }); n > 0 || err != nil {
		t.Errorf("%v allocations, error %v", n, err)
	}
}

func FuzzPreprocess(f *testing.F) {
	f.Add(uint64(1), uint16(1), uint16(1), uint16(1), uint16(1))
	f.Add(uint64(2), uint16(640), uint16(15), uint16(416), uint16(3))
	f.Fuzz(func(t *testing.T, seed uint64, w, h, sw, sh uint16) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s := randomSlot(rng, 1, 1)
		s.Width, s.Height = 1+int(sw)%700, 1+int(sh)%80
		im := newImage(rng, I420+Format(rng.IntN(2)), 1+int(w)%5000, 1+int(h)%200, rng.IntN(40))
		for _, l := range levels() {
			compareWithOracle(t, s, l, im)
		}
	})
}
