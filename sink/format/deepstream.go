package format

import (
	"fmt"
	"strconv"
	"strings"

	"sightline/detect"
)

// deepStreamTime is the RFC 3339 with milliseconds that nvmsgconv writes.
const deepStreamTime = "2006-01-02T15:04:05.000Z"

// dsFrame is nvmsgconv's minimal schema: the objects of a frame.
type dsFrame struct {
	Version   string   `json:"version"`
	ID        string   `json:"id"`
	Timestamp string   `json:"@timestamp"`
	SensorID  string   `json:"sensorId"`
	Objects   []string `json:"objects"`
}

// dsEvent is nvmsgconv's full schema: what happened to one object.
type dsEvent struct {
	MessageID string         `json:"messageid"`
	Version   string         `json:"mdsversion"`
	Timestamp string         `json:"@timestamp"`
	Place     dsPlace        `json:"place"`
	Sensor    dsSensor       `json:"sensor"`
	Module    dsModule       `json:"analyticsModule"`
	Object    map[string]any `json:"object"`
	Event     dsHappened     `json:"event"`
	VideoPath string         `json:"videoPath"`
}

type dsPlace struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

type dsSensor struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	Description string `json:"description"`
}

type dsModule struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	Source      string `json:"source"`
	Version     string `json:"version"`
}

type dsHappened struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type dsBox struct {
	Left   int `json:"topleftx"`
	Top    int `json:"toplefty"`
	Right  int `json:"bottomrightx"`
	Bottom int `json:"bottomrighty"`
}

// newDeepStream makes the payloads of nvmsgconv.
func newDeepStream() Format {
	return projection{
		takes: []detect.Type{
			detect.Detections, detect.ObjectStarted, detect.ObjectUpdated, detect.ObjectEnded,
			detect.LineCrossed, detect.ZoneEntered, detect.ZoneExited,
		},
		make: func(ev *detect.Event) any {
			if ev.Type == detect.Detections {
				return deepStreamFrame(ev)
			}
			return deepStreamEvent(ev)
		},
	}
}

func deepStreamFrame(ev *detect.Event) dsFrame {
	out := dsFrame{Version: "4.0", ID: "0", Timestamp: ev.Time.UTC().Format(deepStreamTime), SensorID: ev.Stream, Objects: []string{}}
	if f := ev.Data.Frame; f != nil {
		out.ID = strconv.FormatUint(f.Index, 10)
	}
	if ev.Data.Objects == nil {
		return out
	}
	for _, b := range *ev.Data.Objects {
		track := b.TrackID
		if track == "" {
			track = "-1"
		}
		if at := pixels(b.BBox, ev.Data.Frame); at != nil {
			out.Objects = append(out.Objects, fmt.Sprintf("%s|%g|%g|%g|%g|%s|#|%g", track, at[0], at[1], at[2], at[3], strings.ReplaceAll(b.Class, "|", "/"), score(b.Score)))
		}
	}
	return out
}

func deepStreamEvent(ev *detect.Event) dsEvent {
	d := &ev.Data
	out := dsEvent{
		MessageID: ev.ID, Version: "1.0", Timestamp: ev.Time.UTC().Format(deepStreamTime),
		Place:  dsPlace{ev.Site, ev.Site, "site"},
		Sensor: dsSensor{ev.Stream, "Camera", d.Stream.Title},
		Module: dsModule{ID: "sightline"},
		Event:  dsHappened{ev.ID, happened(ev)},
	}
	switch {
	case d.Zone != nil:
		out.Place = dsPlace{d.Zone.Name, d.Zone.Name, "zone"}
	case d.Line != nil:
		out.Place = dsPlace{d.Line.Name, d.Line.Name, "line"}
	}
	if r := d.Rule; r != nil {
		out.Module.ID, out.Module.Description = r.Name, r.Kind
	}
	if m := d.Model; m != nil {
		out.Module.Source, out.Module.Version = m.Name, m.Digest
	}
	if d.Media != nil {
		out.VideoPath = d.Media.Clip
	}
	if o := d.Object; o != nil {
		// What nvmsgconv does not know it writes as 0 and {}, too.
		out.Object = map[string]any{
			"id": o.TrackID, "speed": 0.0, "direction": 0.0, "orientation": 0.0, "location": struct{}{}, "coordinate": struct{}{},
			o.Class: map[string]float64{"confidence": score(o.Score)},
		}
		if at := pixels(o.BBox, d.Frame); at != nil {
			b := at.whole()
			out.Object["bbox"] = dsBox{b[0], b[1], b[2], b[3]}
		}
	}
	return out
}

// happened is the word of NvDsEventType for an event.
func happened(ev *detect.Event) string {
	switch ev.Type {
	case detect.ObjectStarted, detect.ZoneEntered:
		return "entry"
	case detect.ObjectEnded, detect.ZoneExited:
		return "exit"
	case detect.LineCrossed:
		if l := ev.Data.Line; l != nil && l.Direction == "backward" {
			return "exit"
		}
		return "entry"
	}
	if o := ev.Data.Object; o != nil && o.State == "stationary" {
		return "stopped"
	}
	return "moving"
}
