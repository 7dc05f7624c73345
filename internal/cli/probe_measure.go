package cli

import (
	"time"

	"sightline/ingest"
)

// leastSpan is how much of a stream must be seen before two groups of pictures
// are enough: a rate is measured too.
const leastSpan = 2 * time.Second

// measured is what one look at a stream found.
type measured struct {
	began    time.Time
	firstKey time.Duration // until the first keyframe came; 0 none
	codec    ingest.Codec
	profile  string
	live     bool
	reports  bool // the sender may tell of its clock, which takes a while

	packets, keys, disposable, breaks, bytes int
	group                                    int             // pictures since the last keyframe
	groups                                   []int           // whole ones, in pictures
	keyPTS                                   []time.Duration // of each keyframe
	first, last                              time.Duration   // presentation times
	reordered                                bool            // decoding order is another than presentation order
	clock                                    ingest.Clock
	transport                                string

	frames, damaged, undecoded int
	width, height              int
	cpu                        time.Duration
	decodeError                error

	epoch string
}

// packet takes the next packet. A stream that begins anew is one anew.
func (m *measured) packet(p ingest.Packet) {
	if p.Epoch != m.epoch {
		*m = measured{began: m.began, reports: m.reports, firstKey: m.firstKey, epoch: p.Epoch, frames: m.frames, cpu: m.cpu, width: m.width, height: m.height}
	}
	if m.packets == 0 {
		m.first, m.last = p.PTS, p.PTS
	}
	m.live = !p.Received.IsZero()
	m.codec, m.clock = p.Codec, p.Clock
	m.packets++
	m.bytes += len(p.Data)
	m.reordered = m.reordered || p.PTS < m.last
	m.first, m.last = min(m.first, p.PTS), max(m.last, p.PTS)
	if p.Break {
		m.breaks++
	}
	if p.Disposable {
		m.disposable++
	}
	if p.Keyframe {
		m.keyframe(p)
	}
	m.group++
}

func (m *measured) keyframe(p ingest.Packet) {
	if m.keys++; m.keys == 1 {
		if m.firstKey == 0 {
			m.firstKey = time.Since(m.began)
		}
		m.profile = profileOf(p)
	} else {
		m.groups = append(m.groups, m.group)
	}
	m.keyPTS = append(m.keyPTS, p.PTS)
	m.group = 0
}

// enough tells whether the look was long enough.
func (m *measured) enough(length time.Duration) bool {
	span := m.last - m.first
	told := !m.reports || m.clock.Source != ingest.ClockArrival
	return span >= length || m.keys > 2 && told && span >= min(leastSpan, length)
}

// fps is the measured rate, 0 of fewer than two pictures. It is that of whole
// groups where there are any: behind them pictures may be missing whose turn in
// decoding order has not come.
func (m *measured) fps() float64 {
	if whole := len(m.keyPTS) - 1; whole > 0 && m.keyPTS[whole] > m.keyPTS[0] {
		return float64(m.packets-m.group) / (m.keyPTS[whole] - m.keyPTS[0]).Seconds()
	}
	if m.packets < 2 || m.last <= m.first {
		return 0
	}
	return float64(m.packets-1) / (m.last - m.first).Seconds()
}

// bitrate is in bit/s, over the pictures and the time each of them takes.
func (m *measured) bitrate() float64 {
	return float64(m.bytes) / float64(max(m.packets, 1)) * 8 * m.fps()
}

// longest is the longest whole group of pictures, in pictures and in time; 0 when
// none was seen to its end.
func (m *measured) longest() (pictures int, length time.Duration) {
	for i, n := range m.groups {
		pictures = max(pictures, n)
		length = max(length, m.keyPTS[i+1]-m.keyPTS[i])
	}
	return pictures, length
}

// perPicture is the processor time of decoding one picture.
func (m *measured) perPicture() time.Duration { return m.cpu / time.Duration(max(m.frames, 1)) }
