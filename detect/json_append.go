package detect

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"time"
)

// AppendJSON appends to dst what MarshalJSON returns, byte for byte, at a fraction of
// its cost: events are encoded before they are safe on disk. On an error dst is
// returned as it was.
func (d *Data) AppendJSON(dst []byte) ([]byte, error) {
	e := encoder{b: dst}
	e.data(d)
	if !e.odd {
		return e.b, nil
	}
	slow, err := json.Marshal(d)
	if err != nil {
		return dst, err
	}
	return append(dst, slow...), nil
}

// encoder writes JSON. What it has no short way for makes it odd: then all of it is
// left to encoding/json.
type encoder struct {
	b   []byte
	odd bool
}

func (e *encoder) data(d *Data) {
	e.begin("", '{')
	e.stream(&d.Stream)
	if f := d.Frame; f != nil {
		e.begin("frame", '{')
		e.integer("index", f.Index)
		e.decimal("pts_ms", f.PTSMs, milliDecimals)
		e.signed("width", f.Width)
		e.signed("height", f.Height)
		e.end('}')
	}
	if c := d.Clock; c != nil {
		e.begin("clock", '{')
		e.text("source", c.Source)
		e.float("offset_ms", c.OffsetMs)
		e.float("uncertainty_ms", c.UncertaintyMs)
		e.end('}')
	}
	e.objects(d.Objects)
	e.object(d.Object)
	e.rule(d)
	e.rest("window", d.Window, d.Window == nil)
	e.rest("counts", d.Counts, d.Counts == nil)
	e.rest("changed", d.Changed, len(d.Changed) == 0)
	if t := d.Timing; t != nil {
		e.begin("timing", '{')
		e.decimal("received_ms", t.ReceivedMs, milliDecimals)
		e.decimal("decoded_ms", t.DecodedMs, milliDecimals)
		e.decimal("inferred_ms", t.InferredMs, milliDecimals)
		e.end('}')
	}
	if m := d.Model; m != nil {
		e.begin("model", '{')
		e.text("name", m.Name)
		e.text("digest", m.Digest)
		e.text("engine", m.Engine)
		e.text("precision", m.Precision)
		e.end('}')
	}
	e.rest("media", d.Media, d.Media == nil)
	e.rest("truncated", d.Truncated, len(d.Truncated) == 0)
	if d.EndReason != "" {
		e.text("reason", d.EndReason)
	}
	e.rest("reason", d.Reason, d.Reason == nil)
	e.odd = e.odd || d.Accounting != nil || d.Watermark != nil || d.EndReason != "" && d.Reason != nil
	e.end('}')
}

func (e *encoder) stream(s *StreamInfo) {
	e.begin("stream", '{')
	e.text("site", s.Site)
	e.text("name", s.Name)
	e.some("title", s.Title)
	if len(s.Labels) > 0 {
		e.begin("labels", '{')
		for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
			e.next()
			e.quote(name)
			e.b = append(e.b, ':')
			e.quote(s.Labels[name])
		}
		e.end('}')
	}
	e.some("epoch", s.Epoch)
	e.end('}')
}

func (e *encoder) objects(boxes *[]Box) {
	if boxes == nil {
		return
	}
	e.odd = e.odd || *boxes == nil // null
	e.begin("objects", '[')
	for i := range *boxes {
		b := &(*boxes)[i]
		e.begin("", '{')
		e.text("class", b.Class)
		e.decimal("score", b.Score, scoreDecimals)
		e.rect("bbox", b.BBox)
		e.some("track_id", b.TrackID)
		e.some("state", b.State)
		e.end('}')
	}
	e.end(']')
}

func (e *encoder) object(o *Object) {
	if o == nil {
		return
	}
	e.begin("object", '{')
	e.text("track_id", o.TrackID)
	e.text("class", o.Class)
	e.decimal("score", o.Score, scoreDecimals)
	e.rect("bbox", o.BBox)
	e.text("state", o.State)
	if len(o.Path) > 0 {
		e.begin("path", '[')
		for _, p := range o.Path {
			e.begin("", '[')
			e.next()
			e.number(p[0], 1)
			e.next()
			e.number(p[1], placeDecimals)
			e.next()
			e.number(p[2], placeDecimals)
			e.end(']')
		}
		e.end(']')
	}
	e.rest("zones", o.Zones, len(o.Zones) == 0)
	e.stamp("first_seen", o.FirstSeen)
	e.stamp("last_seen", o.LastSeen)
	e.end('}')
}

// rule writes the rule, and the line or zone that it is about.
func (e *encoder) rule(d *Data) {
	if r := d.Rule; r != nil {
		e.begin("rule", '{')
		e.text("name", r.Name)
		e.text("kind", r.Kind)
		e.end('}')
	}
	if l := d.Line; l != nil {
		e.begin("line", '{')
		e.text("name", l.Name)
		e.some("direction", l.Direction)
		if p := l.Point; p != nil {
			e.begin("point", '[')
			e.next()
			e.number(p.X, placeDecimals)
			e.next()
			e.number(p.Y, placeDecimals)
			e.end(']')
		}
		if l.CrossedAt != nil {
			e.stamp("crossed_at", *l.CrossedAt)
		}
		e.end('}')
	}
	if z := d.Zone; z != nil {
		e.begin("zone", '{')
		e.text("name", z.Name)
		if z.Visit != 0 {
			e.signed("visit", z.Visit)
		}
		e.float("dwell_s", z.DwellS)
		if z.Occupancy != nil {
			e.signed("occupancy", *z.Occupancy)
		}
		e.end('}')
	}
}

func (e *encoder) rect(name string, r Rect) {
	e.begin(name, '{')
	e.decimal("x", r.X, placeDecimals)
	e.decimal("y", r.Y, placeDecimals)
	e.decimal("w", r.W, placeDecimals)
	e.decimal("h", r.H, placeDecimals)
	e.end('}')
}

// next puts a comma where one has to be.
func (e *encoder) next() {
	if n := len(e.b); n > 0 && e.b[n-1] != '{' && e.b[n-1] != '[' {
		e.b = append(e.b, ',')
	}
}

func (e *encoder) key(name string) {
	e.next()
	e.b = append(e.b, '"')
	e.b = append(e.b, name...)
	e.b = append(e.b, '"', ':')
}

// begin opens a member, or, without a name, an element.
func (e *encoder) begin(name string, bracket byte) {
	switch {
	case name != "":
		e.key(name)
	case bracket == '[' || len(e.b) > 0 && e.b[len(e.b)-1] == '}':
		e.next()
	}
	e.b = append(e.b, bracket)
}

func (e *encoder) end(bracket byte) { e.b = append(e.b, bracket) }

func (e *encoder) text(name, value string) {
	e.key(name)
	e.quote(value)
}

// some is text that is left out where it is empty.
func (e *encoder) some(name, value string) {
	if value != "" {
		e.text(name, value)
	}
}

func (e *encoder) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			e.b, e.odd = append(e.b, quoted...), e.odd || err != nil
			return
		}
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, s...)
	e.b = append(e.b, '"')
}

func (e *encoder) integer(name string, n uint64) {
	e.key(name)
	e.b = strconv.AppendUint(e.b, n, 10)
}

func (e *encoder) signed(name string, n int) {
	e.key(name)
	e.b = strconv.AppendInt(e.b, int64(n), 10)
}

func (e *encoder) stamp(name string, t time.Time) {
	e.key(name)
	e.b = append(AppendTime(append(e.b, '"'), t), '"')
}

// float is a number as it is, left out where it is unknown.
func (e *encoder) float(name string, v *float64) {
	e.rest(name, v, v == nil)
}

// rest leaves a member to encoding/json.
func (e *encoder) rest(name string, value any, leaveOut bool) {
	if leaveOut || e.odd {
		return
	}
	text, err := json.Marshal(value)
	e.odd = err != nil
	e.key(name)
	e.b = append(e.b, text...)
}

func (e *encoder) decimal(name string, v, scale float64) {
	e.key(name)
	e.number(v, scale)
}

// number rounds to 1/scale and writes no more digits than there are. The quotient of
// two integers of at most 15 digits has no shorter form than its decimals.
func (e *encoder) number(v, scale float64) {
	n := math.Round(v * scale)
	if !(math.Abs(n) < 1e15) {
		e.odd = true
		return
	}
	if n < 0 {
		e.b = append(e.b, '-')
		n = -n
	}
	divisor := uint64(scale)
	whole := uint64(n) / divisor
	if whole < 10 {
		e.b = append(e.b, byte('0'+whole))
	} else {
		e.b = strconv.AppendUint(e.b, whole, 10)
	}
	part := uint64(n) - whole*divisor
	if part == 0 {
		return
	}
	digits := eightDigits(uint32(part * (1e8 / divisor)))
	end := len(e.b) + 1 + 8 - bits.LeadingZeros64(digits)/8
	e.b = binary.LittleEndian.AppendUint64(append(e.b, '.'), digits|0x3030303030303030)[:end]
}

// eightDigits is the digits of n, which is below 10^8, a byte each, the first in the
// lowest: all of them are divided off at once.
func eightDigits(n uint32) uint64 {
	v := uint64(n/10000) | uint64(n%10000)<<32
	high := v * 10486 >> 20 & 0x0000007f0000007f // by 100
	v = high | (v-100*high)<<16
	high = v * 103 >> 10 & 0x000f000f000f000f // by 10
	return high | (v-10*high)<<8
}
