package pipelines

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// group is how a made-up camera codes: its groups of pictures begin with a
// keyframe, followed by its pattern over and over, in presentation order: P is
// built on by what follows, b by nothing.
type group struct {
	length  int
	pattern string
	reorder bool // b are coded after the P that follows them in presentation order
}

// coded makes packets in decoding order, for so long.
func coded(g group, step, length time.Duration, from int, jitter time.Duration) (packets []PacketInfo) {
	r := rand.New(rand.NewPCG(1, 2))
	var waiting []PacketInfo
	for i := from; time.Duration(i-from)*step < length; i++ {
		at := i % g.length
		p := PacketInfo{PTS: time.Duration(i) * step, Keyframe: at == 0, Size: 1000}
		if jitter > 0 && i > from {
			p.PTS += time.Duration(r.Int64N(int64(2*jitter))) - jitter
		}
		p.Disposable = at > 0 && g.pattern[(at-1)%len(g.pattern)] == 'b'
		last := at == g.length-1 || time.Duration(i+1-from)*step >= length
		if g.reorder && last {
			p.Disposable = false // a group ends with a picture that those before it may build on
		}
		if g.reorder && p.Disposable {
			waiting = append(waiting, p)
			continue
		}
		packets = append(append(packets, p), waiting...)
		waiting = nil
	}
	return packets
}

// model is a decoder that gives pictures out in presentation order, depth of them
// late, and knows what each needs.
type model struct {
	t       *testing.T
	s       Sampler
	depth   int
	whole   bool // nothing is missing since the last keyframe
	inside  []time.Duration
	held    []PacketInfo
	reasons []string

	decoded  int
	inferred []time.Duration
	left     map[string]int
	latest   time.Duration // PTS of the packet being given
	delay    time.Duration // longest from a packet to its inference
}

func (m *model) leave(p PacketInfo, reason string) {
	m.left[reason]++
	m.whole = m.whole && p.Disposable
}

func (m *model) drop() {
	for i, p := range m.held {
		m.leave(p, m.reasons[i])
	}
	m.held, m.reasons = nil, nil
}

func (m *model) decode(p PacketInfo) {
	if p.Keyframe {
		m.whole = true
	}
	if !m.whole {
		m.t.Errorf("the packet at %v is decoded without what it needs", p.PTS)
	}
	m.decoded++
	m.inside = append(m.inside, p.PTS)
	slices.Sort(m.inside)
	for len(m.inside) > m.depth {
		if m.s.Frame(m.inside[0], 0) {
			m.inferred = append(m.inferred, m.inside[0])
			m.delay = max(m.delay, m.latest-m.inside[0])
		}
		m.inside = m.inside[1:]
	}
}

func (m *model) play(packets []PacketInfo) {
	for _, p := range packets {
		m.latest = max(m.latest, p.PTS)
		d, reason := m.s.Packet(p)
		if p.Keyframe && d != SkipPacket {
			m.drop()
		}
		switch d {
		case SkipUntilKey:
			m.drop()
			m.leave(p, reason)
		case SkipPacket:
			if !p.Disposable {
				m.t.Errorf("the packet at %v is passed over alone", p.PTS)
			}
			m.leave(p, reason)
		case HoldPacket:
			m.held, m.reasons = append(m.held, p), append(m.reasons, reason)
		default:
			for _, h := range m.held {
				m.decode(h)
			}
			m.held, m.reasons = nil, nil
			m.decode(p)
		}
	}
}

func newModel(t *testing.T, s Sampler, depth int) *model {
	return &model{t: t, s: s, depth: depth, left: map[string]int{}}
}

// TestAutoDecodesWhatTheGridNeeds: as many inferences in a minute as with
// everything decoded, and no more decoded than the stream's structure asks for.
func TestAutoDecodesWhatTheGridNeeds(t *testing.T) {
	const minute = time.Minute
	for _, c := range []struct {
		name   string
		group  group
		camera float64
		fps    float64
		depth  int
		jitter time.Duration
		most   float64 // share of the packets decoded
	}{
		{"every second one disposable", group{50, "bP", false}, 25, 5, 0, 0, 0.51},
		{"two in three disposable", group{50, "bbP", true}, 25, 5, 1, 0, 0.37},
		{"three layers", group{64, "bPbP", false}, 30, 5, 0, 0, 0.52},
		{"keyframes on the grid", group{5, "P", false}, 25, 5, 0, 0, 0.21},
		{"keyframes on the grid, with jitter", group{5, "P", false}, 25, 5, 0, 15 * time.Millisecond, 0.3},
		{"keyframes on the grid, reordered", group{5, "bbP", true}, 25, 5, 1, 0, 0.5},
		{"more keyframes than needed", group{3, "P", false}, 25, 5, 0, 0, 0.22},
		{"keyframes just too rare", group{6, "P", false}, 25, 5, 0, 0, 1},
		{"keyframes every second, one inference in two", group{25, "P", false}, 25, 0.5, 0, 0, 0.05},
		{"all references", group{50, "P", false}, 25, 5, 0, 0, 0.93},
		{"all references, with jitter", group{50, "P", false}, 25, 5, 0, 15 * time.Millisecond, 0.95},
		{"all references, one inference a second", group{50, "P", false}, 25, 1, 0, 0, 0.55},
		{"all references, a decoder that is two late", group{50, "P", false}, 25, 1, 2, 0, 0.6},
		{"intra only", group{1, "P", false}, 25, 5, 0, 0, 0.21},
		{"intra only, slower than asked for", group{1, "P", false}, 2, 5, 0, 0, 1},
		{"endless", group{1 << 30, "P", false}, 25, 5, 0, 0, 1},
		{"endless, in layers", group{1 << 30, "bPbP", false}, 30, 5, 0, 0, 0.57},
		{"as fast as the camera", group{50, "bbP", true}, 25, 25, 1, 0, 1},
		{"half as fast as the camera", group{50, "bbP", true}, 25, 12.5, 1, 0, 0.75},
		{"an odd rate", group{48, "bP", false}, 29.97, 7, 0, 0, 0.6},
	} {
		t.Run(c.name, func(t *testing.T) {
			step := time.Duration(float64(time.Second) / c.camera)
			packets := coded(c.group, step, minute, 0, c.jitter)
			all := newModel(t, newGridSampler(c.fps, SkipNone, held(1)), c.depth)
			all.play(packets)
			auto := newModel(t, newGridSampler(c.fps, SkipAuto, held(1)), c.depth)
			auto.play(packets)
			want, got := float64(len(all.inferred)), float64(len(auto.inferred))
			share := float64(auto.decoded) / float64(len(packets))
			t.Logf("%v of %v inferences, %.2f decoded, %v late, left %v", got, want, share, auto.delay, auto.left)
			if got < 0.99*want-float64(c.depth) || got > 1.01*want+1 {
				t.Errorf("%v inferences in a minute, want %v", got, want)
			}
			if share > c.most {
				t.Errorf("%.2f of all packets decoded, want %.2f at most", share, c.most)
			}
			if !slices.IsSorted(auto.inferred) {
				t.Error("inferred out of order")
			}
			grid := time.Duration(float64(time.Second) / c.fps)
			for i := 1; i < len(auto.inferred); i++ {
				if gap := auto.inferred[i] - auto.inferred[i-1]; gap > 2*max(grid, step) {
					t.Errorf("nothing inferred from %v for %v", auto.inferred[i-1], gap)
				}
			}
		})
	}
}

// TestAutoSurvivesChangesOfStructure: a camera that changes how it codes, or
// misses keyframes, costs a few inferences at most, and none later than its
// packet by more than a group's tail.
func TestAutoSurvivesChangesOfStructure(t *testing.T) {
	const step = 40 * time.Millisecond
	ways := []group{{50, "P", false}, {5, "P", false}, {1 << 30, "P", false}, {50, "bP", false}, {25, "P", false}, {1, "P", false}, {250, "bbbP", false}, {12, "P", false}}
	for _, fps := range []float64{5, 1} {
		s := newGridSampler(fps, SkipAuto, held(1))
		m := newModel(t, s, 0)
		var packets []PacketInfo
		at := 0
		for round := range 4 {
			for i := range ways {
				g := ways[(i*3+round)%len(ways)]
				part := coded(g, step, 10*time.Second, at, 0)
				at += 250
				packets = append(packets, part...)
			}
		}
		packets[0].Keyframe, packets[0].Disposable = true, false
		// Keyframes that turn out to be none, where one was expected.
		r := rand.New(rand.NewPCG(3, 4))
		for i := range packets[1:] {
			if packets[i+1].Keyframe && r.IntN(4) == 0 {
				packets[i+1].Keyframe = false
			}
		}
		m.play(packets)
		want := fps * float64(at) * step.Seconds()
		t.Logf("%d of %.0f inferences at %v a second, %d of %d decoded, %v late", len(m.inferred), want, fps, m.decoded, len(packets), m.delay)
		if float64(len(m.inferred)) < 0.97*want {
			t.Errorf("%d inferences at %v a second, want %.0f", len(m.inferred), fps, want)
		}
		if m.delay > time.Duration(float64(time.Second)/fps) {
			t.Errorf("an inference came %v late", m.delay)
		}
	}
}

// TestWhoeverWatchesSeesEverything from the moment they come.
func TestWhoeverWatchesSeesEverything(t *testing.T) {
	for _, g := range []group{{50, "bP", false}, {5, "P", false}, {50, "P", false}} {
		s := newGridSampler(1, SkipAuto, held(1))
		m := newModel(t, s, 0)
		packets := coded(g, 40*time.Millisecond, time.Minute, 0, 0)
		half := len(packets)/2 + 3
		m.play(packets[:half])
		before := m.decoded
		for i := range packets[half:] {
			packets[half+i].Watched = true
		}
		m.play(packets[half:])
		if seen := m.decoded - before; seen < len(packets)-half {
			t.Errorf("%+v: %d of %d decoded while somebody watched", g, seen, len(packets)-half)
		}
		if n := len(m.inferred); n < 59 || n > 61 {
			t.Errorf("%+v: %d inferences in a minute", g, n)
		}
	}
}

// TestToldWaysToSkip leave out what they say, at pace fastest too.
func TestToldWaysToSkip(t *testing.T) {
	packets := coded(group{25, "bbP", true}, 40*time.Millisecond, time.Minute, 0, 0)
	keys, refs := 0, 0
	for _, p := range packets {
		if p.Keyframe {
			keys++
		}
		if !p.Disposable {
			refs++
		}
	}
	for _, shed := range []*shedder{nil, held(1)} {
		for skip, want := range map[Skip]int{SkipNonref: refs, SkipNonkey: keys} {
			m := newModel(t, newGridSampler(0, skip, shed), 0)
			m.play(packets)
			if m.decoded != want || len(m.inferred) != want {
				t.Errorf("%s: %d decoded and %d inferred, want %d: left %v", skip, m.decoded, len(m.inferred), want, m.left)
			}
		}
	}
	lossless := newModel(t, newGridSampler(5, SkipAuto, nil), 1)
	lossless.play(packets)
	live := newModel(t, newGridSampler(5, SkipAuto, held(1)), 1)
	live.play(packets)
	if !slices.Equal(lossless.inferred, live.inferred) || lossless.decoded != live.decoded || lossless.decoded == len(packets) {
		t.Errorf("a lossless stream decodes %d of %d for %d inferences, a live one %d for %d",
			lossless.decoded, len(packets), len(lossless.inferred), live.decoded, len(live.inferred))
	}
	every := newModel(t, newGridSampler(0, SkipAuto, nil), 0)
	every.play(packets)
	if every.decoded != len(packets) || len(every.inferred) != len(packets) {
		t.Errorf("every picture is wanted, but %v are left", every.left)
	}
}
