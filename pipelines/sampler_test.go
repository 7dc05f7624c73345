package pipelines

import (
	"math/rand/v2"
	"testing"
	"time"

	"sightline/detect"
)

// chosen plays n frames of a camera through the sampler's choice of frames.
func chosen(s Sampler, n int, step, jitter time.Duration) (pts []time.Duration) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		at := time.Duration(i) * step
		if jitter > 0 && i > 0 {
			at += time.Duration(r.Int64N(int64(2*jitter))) - jitter
		}
		if s.Frame(at, step) {
			pts = append(pts, at)
		}
	}
	return pts
}

// TestGrid wants detect.fps a second, on the stream's own time, whatever the
// camera's rate and jitter.
func TestGrid(t *testing.T) {
	for _, c := range []struct {
		fps         float64
		camera      float64
		jitter      time.Duration
		least, most int // in 20 s
		nearest     time.Duration
	}{
		{5, 25, 0, 100, 100, 0},
		{5, 10, 0, 100, 100, 0},
		{5, 30, 0, 100, 100, 17 * time.Millisecond},
		{5, 29.97, 0, 99, 101, 17 * time.Millisecond},
		{5, 25, 15 * time.Millisecond, 100, 100, 36 * time.Millisecond},
		{5, 3, 0, 60, 60, 100 * time.Millisecond}, // slower than asked for: every frame
		{0.5, 25, 0, 10, 10, 0},
		{0, 25, 0, 500, 500, 0}, // all
		{25, 25, 8 * time.Millisecond, 480, 500, 28 * time.Millisecond},
	} {
		step := time.Duration(float64(time.Second) / c.camera)
		got := chosen(newGridSampler(c.fps, SkipNone, nil), int(20*c.camera), step, c.jitter)
		if len(got) < c.least || len(got) > c.most {
			t.Errorf("%v of a camera's %v a second ± %v: %d in 20 s, want %d to %d", c.fps, c.camera, c.jitter, len(got), c.least, c.most)
		}
		for _, at := range got {
			if c.fps == 0 {
				break
			}
			grid := time.Duration(float64(time.Second) / c.fps)
			if off := ((at + grid/2) % grid) - grid/2; off.Abs() > c.nearest+time.Microsecond {
				t.Errorf("%v of %v: frame at %v is %v off the grid", c.fps, c.camera, at, off)
				break
			}
		}
	}
}

// held is a shedder stuck at a share.
func held(keep float64) *shedder {
	s := newShedder(time.Now, func() time.Duration { return 0 })
	s.keep, s.integral = keep, keep
	s.now = func() time.Time { return s.last } // never adjusts
	return s
}

func cameraPackets(n, gop int, step time.Duration, disposable bool) (packets []PacketInfo) {
	for i := range n {
		packets = append(packets, PacketInfo{
			PTS: time.Duration(i) * step, Duration: step, Keyframe: i%gop == 0, Disposable: disposable && i%gop%2 == 1, Size: 1000,
		})
	}
	return packets
}

// TestSheddingKeepsItsShare sheds from streams of all kinds: never what a decoded
// picture needs, and on average what the share says.
func TestSheddingKeepsItsShare(t *testing.T) {
	const n, step = 3000, 40 * time.Millisecond // 120 s
	for _, c := range []struct {
		name       string
		gop        int
		disposable bool
		keep       float64
	}{
		{"all references", 50, false, 0.5}, {"short groups", 12, false, 0.5}, {"long groups", 250, false, 0.3},
		{"half disposable", 50, true, 0.5}, {"intra only", 1, false, 0.5}, {"nearly nothing", 50, false, 0.05},
		{"keyframes on the grid", 5, false, 0.5},
	} {
		for _, skip := range []Skip{SkipNone, SkipAuto} {
			m := newModel(t, newGridSampler(5, skip, held(c.keep)), 0)
			m.play(cameraPackets(n, c.gop, step, c.disposable))
			inferred := float64(len(m.inferred))
			want := c.keep * 5 * 120
			if least := float64(n / c.gop); c.gop > 1 && want < least && !(c.gop == 5 && skip == SkipAuto) {
				want = least // each group's keyframe is decoded anyway
			}
			if inferred < 0.9*want || inferred > 1.1*want+2 {
				t.Errorf("%s, %s: %v inferences at a share of %v, want %v", c.name, skip, inferred, c.keep, want)
			}
			if given := m.decoded + int(sumOf(m.left)) + len(m.held); given != n {
				t.Errorf("%s, %s: decoded %d, left %v of %d", c.name, skip, m.decoded, m.left, n)
			}
			if c.disposable && m.decoded > n*6/10 {
				t.Errorf("%s, %s: decoded %d of %d", c.name, skip, m.decoded, n)
			}
		}
	}
}

func sumOf(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// TestEndlessGroupsAskForAKeyframe: browsers send one only when asked.
func TestEndlessGroupsAskForAKeyframe(t *testing.T) {
	for _, skip := range []Skip{SkipNone, SkipAuto} {
		asksForKeyframes(t, skip)
	}
}

func asksForKeyframes(t *testing.T, skip Skip) {
	s := newGridSampler(5, skip, held(0.4))
	asked := time.Duration(-1)
	for _, p := range cameraPackets(500, 500, 40*time.Millisecond, false) {
		if d, _ := s.Packet(p); d != DecodePacket && asked < 0 && s.WantsKeyframe(p.PTS) {
			asked = p.PTS
		}
	}
	if asked < endlessGOP || asked > endlessGOP+100*time.Millisecond {
		t.Errorf("asked for a keyframe at %v, want about %v", asked, endlessGOP)
	}
	idle := newGridSampler(5, skip, held(1))
	for _, p := range cameraPackets(500, 500, 40*time.Millisecond, false) {
		if d, _ := idle.Packet(p); d != DecodePacket || idle.WantsKeyframe(p.PTS) {
			t.Fatalf("sheds at %v without overload", p.PTS)
		}
	}
}

// TestSamplersBeginAnewWithEachEpoch and ignore load at pace fastest.
func TestSamplersBeginAnewWithEachEpoch(t *testing.T) {
	s := newGridSampler(5, SkipNone, nil)
	first := chosen(s, 100, 40*time.Millisecond, 0)
	s.Reset()
	s.Result([]detect.Track{})
	if again := chosen(s, 100, 40*time.Millisecond, 0); len(again) != len(first) {
		t.Errorf("%d frames in the second epoch, %d in the first", len(again), len(first))
	}
	for _, p := range cameraPackets(100, 50, 40*time.Millisecond, true) {
		p.Lag = time.Hour
		if d, _ := s.Packet(p); d != DecodePacket {
			t.Fatal("a lossless stream skips a packet")
		}
	}
}
