package detect

import (
	"encoding/json"
	"maps"
	"math"
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
	var digits [24]byte
	at, end, left := len(digits), len(digits), uint64(n)
	if divisor := uint64(scale); divisor > 1 {
		part := left % divisor
		left /= divisor
		for ; divisor >= 100; divisor /= 100 {
			at -= 2
			copy(digits[at:], pairs[part%100*2:][:2])
			part /= 100
		}
		if divisor > 1 {
			at--
			digits[at] = byte('0' + part)
		}
		for end > at && digits[end-1] == '0' {
			end--
		}
		if end > at {
			at--
			digits[at] = '.'
		} else {
			at, end = len(digits), len(digits)
		}
	}
	for ; left >= 100; left /= 100 {
		at -= 2
		copy(digits[at:], pairs[left%100*2:][:2])
	}
	if left >= 10 {
		at--
		digits[at] = byte('0' + left%10)
		left /= 10
	}
	at--
	digits[at] = byte('0' + left)
	e.b = append(e.b, digits[at:end]...)
}

// pairs are the numbers from 00 to 99.
const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"
