package snapshot

import (
	"fmt"
	"image"
	"slices"
	"testing"

	"sightline/decode"
	"sightline/detect"
)

func TestJudgePrefersLargeSharpAndSure(t *testing.T) {
	sharp := frame(t, 640, 480, checks)
	soft := frame(t, 640, 480, func(x, y int, _ uint64) (luma, u, v byte) { return byte(100 + (x/3+y/3)%2*20), 128, 128 })
	box := detect.Rect{X: .3, Y: .3, W: .2, H: .4}
	base := Judge(soft, box, .6)
	for _, c := range []struct {
		name   string
		view   View
		better bool
	}{
		{"the same", Judge(soft, box, .6), false},
		{"a little larger", Judge(soft, detect.Rect{X: .3, Y: .3, W: .21, H: .4}, .6), false},
		{"much larger", Judge(soft, detect.Rect{X: .2, Y: .1, W: .4, H: .8}, .6), true},
		{"sharper", Judge(sharp, box, .6), true},
		{"surer", Judge(soft, box, .9), true},
		{"less sure", Judge(sharp, box, .02), false},
		{"sharp, but cut by the border", Judge(sharp, detect.Rect{X: .801, Y: .3, W: .2, H: .4}, .9), false},
		{"no box", Judge(sharp, detect.Rect{X: .3, Y: .3}, .9), false},
		{"far outside", Judge(sharp, detect.Rect{X: 3, Y: 3, W: .1, H: .1}, .9), false},
	} {
		if c.view.Better(base) != c.better {
			t.Errorf("%s: %+v better than %+v is %v", c.name, c.view, base, !c.better)
		}
	}
	cut, whole := Judge(sharp, detect.Rect{X: 0, Y: 0, W: .9, H: .9}, .9), Judge(soft, detect.Rect{X: .5, Y: .5, W: .05, H: .1}, .5)
	if !whole.Better(cut) || cut.Better(whole) {
		t.Errorf("whole %+v, cut %+v", whole, cut)
	}
}

// TestSharpnessDoesNotGrowWithTheBox shows the same thing at several sizes: what is
// nearer is larger, and not sharper too.
func TestSharpnessDoesNotGrowWithTheBox(t *testing.T) {
	var got []float64
	for _, scale := range []int{1, 2, 4} {
		f := frame(t, 256*scale, 256*scale, func(x, y int, _ uint64) (luma, u, v byte) {
			return byte(40 + (x/(4*scale)+y/(4*scale))%2*150), 128, 128
		})
		got = append(got, sharpness(f, detect.Rect{X: .25, Y: .25, W: .5, H: .5}, f.Planes[0], image.Point{}))
	}
	if least, most := slices.Min(got), slices.Max(got); most > 1.5*least {
		t.Errorf("sharpness at three sizes is %v", got)
	}
}

func track(id uint64, box detect.Rect, score float64) detect.Track {
	return detect.Track{ID: id, Class: "person", Score: score, Box: box, Confirmed: true}
}

func TestBestKeepsTheClearlyBestView(t *testing.T) {
	b := NewBest(cutter(.1), 0)
	f := frame(t, 640, 480, checks)
	look := func(index uint64, epoch string, tracks ...detect.Track) {
		t.Helper()
		g := decode.NewFrame(*f, func() {})
		g.Index, g.Epoch = index, epoch
		if refused, err := b.Look(g, tracks, nil); err != nil || refused != 0 {
			t.Fatalf("frame %d: %d refused, %v", index, refused, err)
		}
	}
	small, large := detect.Rect{X: .4, Y: .4, W: .1, H: .1}, detect.Rect{X: .2, Y: .2, W: .5, H: .5}
	look(1, "e", track(1, small, .5))
	look(2, "e", track(1, large, .9), track(2, small, .5))
	look(3, "e", track(1, large, .99), track(2, detect.Rect{X: .95, Y: .4, W: .1, H: .1}, .9)) // hardly better; cut by the border
	unconfirmed, lost := track(0, large, .9), track(2, large, .9)
	unconfirmed.Confirmed, lost.Detection = false, -1
	look(4, "e", lost, unconfirmed)
	if p := b.Take(1); p == nil || p.Frame != 2 {
		t.Errorf("the best view of 1 is %+v", p)
	}
	if p := b.Take(2); p == nil || p.Frame != 2 {
		t.Errorf("the best view of 2 is %+v", p)
	}
	if b.Take(1) != nil || b.Take(0) != nil || b.bytes != 0 || len(b.views) != 0 {
		t.Errorf("%d views of %d bytes are left", len(b.views), b.bytes)
	}
	look(5, "e", track(3, large, .9))
	look(1, "f", track(1, small, .5)) // another epoch: ids begin anew
	if b.Take(3) != nil || b.Take(1) == nil {
		t.Error("views of one epoch were kept into the next")
	}
}

func TestBestIsBounded(t *testing.T) {
	b := NewBest(cutter(.1), 0)
	f := frame(t, 640, 480, checks)
	var tracks []detect.Track
	for id := range uint64(20) {
		tracks = append(tracks, track(id+1, detect.Rect{X: .2, Y: .2, W: .4, H: .4}, .9))
	}
	one, err := cutter(.1).Cut(f, tracks[0].Box, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.room = 5*len(one.JPEG) + 10
	refused, err := b.Look(f, tracks, nil)
	if err != nil || refused != 15 || len(b.views) != 5 || b.bytes > b.room {
		t.Errorf("%d views of %d bytes, %d refused, %v", len(b.views), b.bytes, refused, err)
	}
	// Some of each frame, until all have one.
	b = NewBest(cutter(.1), 8)
	for i, want := range []int{12, 4, 0} {
		if refused, err := b.Look(f, tracks, nil); err != nil || refused != want {
			t.Errorf("look %d: %d refused, want %d, %v", i, refused, want, err)
		}
	}
	if len(b.views) != 20 {
		t.Errorf("%d of 20 objects have a view", len(b.views))
	}
}

func BenchmarkCut(b *testing.B) {
	f := frame(b, 1920, 1080, checks)
	for _, side := range []float64{.05, .1, .3, 1} {
		box := detect.Rect{X: (1 - side) / 2, Y: (1 - side) / 2, W: side, H: side}
		b.Run(fmt.Sprintf("%.0fx%.0f", 1920*side, 1080*side), func(b *testing.B) {
			for b.Loop() {
				if _, err := NewCutter(Defaults()).Cut(f, box, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkJudge(b *testing.B) {
	f := frame(b, 1920, 1080, checks)
	for b.Loop() {
		Judge(f, detect.Rect{X: .3, Y: .3, W: .1, H: .3}, .5)
	}
}
