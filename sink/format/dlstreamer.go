package format

import (
	"math"
	"strconv"
	"strings"

	"sightline/detect"
)

// dlFrame is what gvametaconvert writes of a frame.
type dlFrame struct {
	Objects    []dlObject     `json:"objects"`
	Resolution *dlResolution  `json:"resolution,omitempty"`
	Source     string         `json:"source"`
	Tags       map[string]any `json:"tags"`
	Timestamp  int64          `json:"timestamp"` // of the stream, in nanoseconds
}

type dlResolution struct {
	Height int `json:"height"`
	Width  int `json:"width"`
}

type dlObject struct {
	Detection dlDetection `json:"detection"`
	Height    int         `json:"h"`
	ID        *int64      `json:"id,omitempty"`
	Type      string      `json:"roi_type"`
	Width     int         `json:"w"`
	X         int         `json:"x"`
	Y         int         `json:"y"`
}

type dlDetection struct {
	Box        dlBox   `json:"bounding_box"`
	Confidence float64 `json:"confidence"`
	Label      string  `json:"label"`
}

type dlBox struct {
	XMax float64 `json:"x_max"`
	XMin float64 `json:"x_min"`
	YMax float64 `json:"y_max"`
	YMin float64 `json:"y_min"`
}

// newDLStreamer makes the messages of gvametaconvert and gvametapublish.
func newDLStreamer() Format {
	return projection{
		takes: []detect.Type{detect.Detections},
		make:  func(ev *detect.Event) any { return dlStreamerFrame(ev) },
	}
}

func dlStreamerFrame(ev *detect.Event) dlFrame {
	d := &ev.Data
	out := dlFrame{
		Objects: []dlObject{}, Source: detect.Source(ev.Site, ev.Stream),
		Tags: map[string]any{"site": ev.Site, "stream": ev.Stream, "time": detect.FormatTime(ev.Time)},
	}
	if d.Stream.Epoch != "" {
		out.Tags["epoch"] = d.Stream.Epoch
	}
	if len(d.Stream.Labels) > 0 {
		out.Tags["labels"] = d.Stream.Labels
	}
	if f := d.Frame; f != nil {
		out.Resolution = &dlResolution{f.Height, f.Width}
		out.Timestamp = int64(math.Round(f.PTSMs * 1e6))
	}
	if d.Objects == nil {
		return out
	}
	for _, b := range *d.Objects {
		o := dlObject{Type: b.Class, ID: ordinal(b.TrackID)}
		o.Detection = dlDetection{Confidence: score(b.Score), Label: b.Class}
		part := within(b.BBox)
		o.Detection.Box = dlBox{XMin: part[0], YMin: part[1], XMax: part[2], YMax: part[3]}
		if at := pixels(b.BBox, d.Frame); at != nil {
			px := at.whole()
			o.X, o.Y, o.Width, o.Height = px[0], px[1], px[2]-px[0], px[3]-px[1]
		}
		out.Objects = append(out.Objects, o)
	}
	return out
}

// ordinal is N of a track EPOCH-N: there an id is a number, unique in one run.
func ordinal(track string) *int64 {
	n, err := strconv.ParseInt(track[strings.LastIndex(track, "-")+1:], 10, 64)
	if err != nil {
		return nil
	}
	return &n
}
