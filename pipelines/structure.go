package pipelines

import (
	"slices"
	"time"
)

// structure is what a stream's packets have shown of how they depend on one
// another. It says what is likely to come, never what is certain.
type structure struct {
	any      bool            // a packet was seen
	keyAt    time.Duration   // PTS of the last keyframe
	interval time.Duration   // between keyframes, 0 while unknown
	keys     []time.Duration // PTS of the last keyframes that came at this interval
	intra    bool            // the last two packets were keyframes: nothing depends on anything
	lastKey  bool
	step     time.Duration // mean distance of pictures, 0 while unknown
	refStep  time.Duration // mean distance of pictures that others build on, 0 while unknown
	refGap   time.Duration // the largest

	newest time.Duration // PTS of the latest reference picture
	since  time.Duration // a span of packets that is being measured began
	count  int
	refs   int
	gap    time.Duration
}

// measureEvery is after how many packets a stream is measured where no keyframe
// comes.
const measureEvery = 128

// see takes a packet in decoding order.
func (g *structure) see(p PacketInfo) {
	g.count++
	if !p.Disposable {
		g.refs++
		g.gap = max(g.gap, p.PTS-g.newest)
		g.newest = max(g.newest, p.PTS)
	}
	if p.Keyframe && g.any {
		g.key(p.PTS)
	}
	if p.Keyframe || g.count >= measureEvery && !p.Disposable {
		if d := p.PTS - g.since; d > 0 && g.any {
			g.step, g.refStep, g.refGap = d/time.Duration(g.count), d/time.Duration(g.refs), g.gap
		}
		g.since, g.count, g.refs, g.gap = p.PTS, 0, 0, 0
	}
	if p.Keyframe {
		g.keyAt, g.newest = p.PTS, p.PTS
	}
	g.intra = p.Keyframe && g.lastKey
	g.lastKey, g.any = p.Keyframe, true
}

// manyKeys is over how many keyframes their interval is measured.
const manyKeys = 16

// key takes the PTS of a keyframe. One that comes a quarter too early or late is
// the first of another interval.
func (g *structure) key(pts time.Duration) {
	if d := pts - g.keyAt; len(g.keys) == 0 || (d-g.interval).Abs() > g.interval/4 {
		g.keys = append(g.keys[:0], g.keyAt)
	}
	if len(g.keys) == manyKeys {
		g.keys = g.keys[:copy(g.keys, g.keys[1:])] // not lost: times of keyframes, not keyframes
	}
	g.keys = append(g.keys, pts)
	g.interval = max(0, pts-g.keys[0]) / time.Duration(len(g.keys)-1)
}

// density says which pictures are dense enough for a grid.
type density uint8

const (
	allNeeded   density = iota // pictures that nothing depends on are needed too
	refsSuffice                // those that others build on are
	keysSuffice                // keyframes are
)

// onGrid tells whether pictures so far apart meet every slot of a grid, but for
// one in two hundred.
func onGrid(spacing, grid time.Duration) bool { return spacing > 0 && spacing <= grid+grid/200 }

// density is what suffices while what is expected by pts has come.
func (g *structure) density(grid, pts time.Duration) density {
	switch {
	case onGrid(g.interval, grid) && !g.late(pts):
		return keysSuffice
	case onGrid(g.refGap, grid) && pts-g.newest <= g.refGap*5/4:
		return refsSuffice
	}
	return allNeeded
}

// late tells whether the next keyframe should have come before pts.
func (g *structure) late(pts time.Duration) bool { return pts > g.keyAt+g.interval+g.step }

// keyBy tells whether a keyframe is expected by pts, give or take some jitter.
func (g *structure) keyBy(pts time.Duration) bool {
	return g.interval > 0 && g.keyAt+g.interval <= pts+g.step*3/4
}

// spacing is the distance of pictures to choose from.
func (g *structure) spacing(d density, duration time.Duration) time.Duration {
	switch d {
	case keysSuffice:
		return g.interval
	case refsSuffice:
		return g.refStep
	}
	if duration <= 0 {
		return g.step
	}
	return duration
}

// plan is what a sampler has let through in order to have it inferred.
type plan struct {
	inside []pick // in presentation order: they have not come out of the decoder
	top    int64  // newest slot planned, counted from 1
	taken  uint64 // of the 64 slots up to it, the newest in bit 0
}

// pick is a picture and the slot of the grid that it is for.
type pick struct {
	pts  time.Duration
	slot int64
}

// maxInside is more than any decoder holds back; what did not come out by then
// never will.
const maxInside = 64

// free tells whether a slot has no picture yet.
func (p *plan) free(slot int64) bool {
	back := p.top - 1 - slot
	return back < 0 || back < 64 && p.taken>>back&1 == 0
}

// newest is the newest slot planned, -1 before the first.
func (p *plan) newest() int64 { return p.top - 1 }

// take makes a slot no longer free.
func (p *plan) take(slot int64) {
	if ahead := slot + 1 - p.top; ahead > 0 {
		p.top = slot + 1
		p.taken = p.taken<<min(ahead, 64) | 1
	} else {
		p.taken |= 1 << -ahead
	}
}

// want adds a picture that is about to be decoded.
func (p *plan) want(pts time.Duration, slot int64) {
	p.take(slot)
	if len(p.inside) == maxInside {
		p.inside = p.inside[:copy(p.inside, p.inside[1:])] // not lost: the plan for a picture, which comes unplanned then
	}
	i, _ := slices.BinarySearchFunc(p.inside, pts, func(k pick, pts time.Duration) int { return int(k.pts - pts) })
	p.inside = slices.Insert(p.inside, i, pick{pts, slot})
}

// seen tells for which slot the picture shown at pts is. One that was lost is
// replaced by the next.
func (p *plan) seen(pts time.Duration) (slot int64, ok bool) {
	n := 0
	for n < len(p.inside) && p.inside[n].pts <= pts {
		slot, ok = p.inside[n].slot, true
		n++
	}
	p.inside = p.inside[:copy(p.inside, p.inside[n:])]
	return slot, ok
}
