package format

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"sightline/detect"
	"sightline/sink"
)

// projection writes events in the shape of another system, as JSON. Which event
// becomes what, and what has no counterpart, is in README.md.
type projection struct {
	takes []detect.Type
	make  func(*detect.Event) any
}

func (p projection) Append(_ context.Context, dst []byte, r sink.Record) ([]byte, error) {
	if !p.Takes(r.Event.Type) {
		return dst, fmt.Errorf("type %s: %w", r.Event.Type, ErrNoCounterpart)
	}
	ev, err := r.Full()
	if err != nil {
		return dst, err
	}
	text, err := json.Marshal(p.make(ev))
	if err != nil {
		return dst, fmt.Errorf("encode event %s of type %s: %w", ev.ID, ev.Type, err)
	}
	return append(dst, text...), nil
}

func (projection) ContentType() string        { return sink.DataType }
func (p projection) Takes(t detect.Type) bool { return slices.Contains(p.takes, t) }

// corners is a box's part of the picture: left, top, right, bottom.
type corners [4]float64

// within is the part of r that is in the picture, 0..1.
func within(r detect.Rect) corners {
	in := func(v float64) float64 { return math.Round(max(0, min(v, 1))*1e5) / 1e5 }
	return corners{in(r.X), in(r.Y), in(r.X + r.W), in(r.Y + r.H)}
}

// pixels is the same in a frame's pixels, nil where the frame is not known.
func pixels(r detect.Rect, f *detect.FrameInfo) *corners {
	if f == nil {
		return nil
	}
	c := within(r)
	for i, size := range []int{f.Width, f.Height, f.Width, f.Height} {
		c[i] = math.Round(c[i]*float64(size)*1e3) / 1e3
	}
	return &c
}

// whole is the corners on whole pixels.
func (c *corners) whole() (out [4]int) {
	for i, v := range c {
		out[i] = int(math.Round(v))
	}
	return out
}

// score is rounded as in the events themselves.
func score(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// seconds is a time in seconds since 1970, with microseconds.
func seconds(t time.Time) json.Number {
	return json.Number(strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64))
}
