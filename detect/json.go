package detect

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// The JSON of events is written here. Every type keeps the field names of its
// struct tags, so a schema reflected from the structs is right but for these:
//
//   - Point is an array [x, y];
//   - Data gets "reason", a string for object.ended (EndReason) and a ReasonInfo
//     object for stream.* and sink.* (Reason), and the fields of Ledger inline
//     for pipeline.accounting (Accounting);
//   - times are strings of TimeFormat, always UTC.
//
// Places are rounded to 5 decimals (a hundredth of a pixel in 1080p), scores to
// 4, so that a change in the last bit of a float does not change an event.

// TimeFormat is RFC 3339 with microseconds, for times in UTC.
const TimeFormat = "2006-01-02T15:04:05.000000Z"

// AppendTime appends t as events carry it.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 1000 || year > 9999 {
		return t.AppendFormat(dst, TimeFormat)
	}
	hour, minute, second := t.Clock()
	micros := t.Nanosecond() / 1000
	two := func(n int) (byte, byte) { return byte('0' + n/10), byte('0' + n%10) }
	var b [len(TimeFormat)]byte
	copy(b[:], TimeFormat) // for what stands between
	b[0], b[1] = two(year / 100)
	b[2], b[3] = two(year % 100)
	b[5], b[6] = two(int(month))
	b[8], b[9] = two(day)
	b[11], b[12] = two(hour)
	b[14], b[15] = two(minute)
	b[17], b[18] = two(second)
	b[20], b[21] = two(micros / 10000)
	b[22], b[23] = two(micros / 100 % 100)
	b[24], b[25] = two(micros % 100)
	return append(dst, b[:]...)
}

// FormatTime writes t as events carry it.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeFormat) }

const (
	placeDecimals = 1e5
	scoreDecimals = 1e4
	milliDecimals = 1e3
)

// round rounds to the nearest 1/scale, halves away from zero, and never gives -0.
func round(v, scale float64) float64 { return math.Round(v*scale)/scale + 0 }

// MarshalJSON writes [x, y].
func (p Point) MarshalJSON() ([]byte, error) {
	return appendFloats(nil, [...]string{"[", ",", "]"}, p.X, p.Y)
}

// MarshalJSON writes {"x": …, "y": …, "w": …, "h": …}.
func (r Rect) MarshalJSON() ([]byte, error) {
	return appendFloats(make([]byte, 0, 64), [...]string{`{"x":`, `,"y":`, `,"w":`, `,"h":`, `}`}, r.X, r.Y, r.W, r.H)
}

// appendFloats writes places between parts, which have one element more.
func appendFloats[P [3]string | [5]string](b []byte, parts P, places ...float64) ([]byte, error) {
	for i, v := range places {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("place %v is not a number", v)
		}
		b = append(b, parts[i]...)
		b = strconv.AppendFloat(b, round(v, placeDecimals), 'f', -1, 64)
	}
	return append(b, parts[len(places)]...), nil
}

type stamp time.Time

func (s stamp) MarshalJSON() ([]byte, error) {
	return time.Time(s).UTC().AppendFormat(make([]byte, 0, 32), `"`+TimeFormat+`"`), nil
}

// MarshalJSON rounds the score.
func (b Box) MarshalJSON() ([]byte, error) {
	type plain Box
	b.Score = round(b.Score, scoreDecimals)
	return json.Marshal(plain(b))
}

// MarshalJSON rounds the score and the path, and writes the times as events do.
func (o Object) MarshalJSON() ([]byte, error) {
	type plain Object
	o.Score = round(o.Score, scoreDecimals)
	path := make([][3]float64, len(o.Path))
	for i, p := range o.Path {
		path[i] = [3]float64{round(p[0], 1), round(p[1], placeDecimals), round(p[2], placeDecimals)}
	}
	o.Path = path
	return json.Marshal(struct {
		plain
		FirstSeen stamp `json:"first_seen"`
		LastSeen  stamp `json:"last_seen"`
	}{plain(o), stamp(o.FirstSeen), stamp(o.LastSeen)})
}

// MarshalJSON writes the time as events do.
func (l LineInfo) MarshalJSON() ([]byte, error) {
	type plain LineInfo
	return json.Marshal(struct {
		plain
		CrossedAt *stamp `json:"crossed_at,omitempty"`
	}{plain(l), (*stamp)(l.CrossedAt)})
}

// MarshalJSON writes the times as events do.
func (w Window) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Start    stamp   `json:"start"`
		End      stamp   `json:"end"`
		CoveredS float64 `json:"covered_s"`
	}{stamp(w.Start), stamp(w.End), round(w.CoveredS, milliDecimals)})
}

// MarshalJSON writes the time as events do.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	type plain Snapshot
	return json.Marshal(struct {
		plain
		Time stamp `json:"time"`
	}{plain(s), stamp(s.Time)})
}

// MarshalJSON rounds to microseconds.
func (f FrameInfo) MarshalJSON() ([]byte, error) {
	type plain FrameInfo
	f.PTSMs = round(f.PTSMs, milliDecimals)
	return json.Marshal(plain(f))
}

// MarshalJSON rounds to microseconds.
func (t Timing) MarshalJSON() ([]byte, error) {
	type plain Timing
	t.ReceivedMs = round(t.ReceivedMs, milliDecimals)
	t.DecodedMs = round(t.DecodedMs, milliDecimals)
	t.InferredMs = round(t.InferredMs, milliDecimals)
	return json.Marshal(plain(t))
}

// MarshalJSON writes sums that are empty as {}.
func (l SinkLedger) MarshalJSON() ([]byte, error) {
	type plain SinkLedger
	l.Dropped = orEmpty(l.Dropped)
	return json.Marshal(plain(l))
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// MarshalJSON writes one object: the tagged fields, "reason" where there is one,
// and the ledger's fields beside them.
func (d Data) MarshalJSON() ([]byte, error) {
	type plain Data
	w := struct {
		plain
		Watermark *stamp `json:"watermark,omitempty"`
		Reason    any    `json:"reason,omitempty"`
		*Ledger
	}{plain: plain(d), Watermark: (*stamp)(d.Watermark)}
	if d.Accounting != nil {
		l := *d.Accounting
		l.Undecoded, l.Skipped, l.Sinks = orEmpty(l.Undecoded), orEmpty(l.Skipped), orEmpty(l.Sinks)
		w.Ledger = &l
	}
	switch {
	case d.EndReason != "" && d.Reason != nil:
		return nil, fmt.Errorf("an event has both the end reason %q and the reason %q", d.EndReason, d.Reason.Code)
	case d.EndReason != "":
		w.Reason = d.EndReason
	case d.Reason != nil:
		w.Reason = d.Reason
	}
	return json.Marshal(w)
}
