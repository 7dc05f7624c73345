package format

import (
	"encoding/json"
	"hash/fnv"
	"math"

	"sightline/detect"
)

// frChange is the payload of frigate/events.
type frChange struct {
	Type   string  `json:"type"` // new, update, end
	Before frState `json:"before"`
	After  frState `json:"after"`
}

// frState is one tracked object. What is null is not known.
type frState struct {
	ID            string         `json:"id"`
	Camera        string         `json:"camera"`
	FrameTime     json.Number    `json:"frame_time"`
	Label         string         `json:"label"`
	SubLabel      *string        `json:"sub_label"`
	TopScore      float64        `json:"top_score"`
	FalsePositive bool           `json:"false_positive"`
	StartTime     json.Number    `json:"start_time"`
	EndTime       *json.Number   `json:"end_time"`
	Score         float64        `json:"score"`
	Box           *[4]int        `json:"box"`
	Area          *int           `json:"area"`
	Ratio         *float64       `json:"ratio"`
	Region        *[4]int        `json:"region"`
	Active        bool           `json:"active"`
	Stationary    bool           `json:"stationary"`
	CurrentZones  []string       `json:"current_zones"`
	EnteredZones  []string       `json:"entered_zones"`
	HasClip       bool           `json:"has_clip"`
	HasSnapshot   bool           `json:"has_snapshot"`
	Attributes    map[string]any `json:"attributes"`
	Thumbnail     *string        `json:"thumbnail"`
}

// newFrigate makes the payloads of frigate/events.
func newFrigate() Format {
	return projection{
		takes: []detect.Type{detect.ObjectStarted, detect.ObjectUpdated, detect.ObjectEnded},
		make:  func(ev *detect.Event) any { return frigateChange(ev) },
	}
}

func frigateChange(ev *detect.Event) frChange {
	now := frigateState(ev)
	out := frChange{Type: "update", Before: now, After: now}
	switch ev.Type {
	case detect.ObjectStarted:
		out.Type, out.Before.FalsePositive = "new", true // until now it might have been one
	case detect.ObjectEnded:
		end := now.FrameTime
		if o := ev.Data.Object; o != nil {
			end = seconds(o.LastSeen)
		}
		out.Type, out.After.EndTime = "end", &end
	}
	return out
}

func frigateState(ev *detect.Event) frState {
	o := ev.Data.Object
	if o == nil {
		o = &detect.Object{}
	}
	s := frState{
		ID: frigateID(ev, o), Camera: ev.Stream, FrameTime: seconds(ev.Time), Label: o.Class, TopScore: score(o.Score),
		StartTime: seconds(o.FirstSeen), Score: score(o.Score), Active: o.State == "active", Stationary: o.State == "stationary",
		CurrentZones: append([]string{}, o.Zones...), EnteredZones: append([]string{}, o.Zones...), Attributes: map[string]any{},
	}
	if m := ev.Data.Media; m != nil {
		s.HasSnapshot, s.HasClip = m.Snapshot != nil, m.Clip != ""
	}
	at := pixels(o.BBox, ev.Data.Frame)
	if at == nil {
		return s
	}
	box := at.whole()
	w, h := box[2]-box[0], box[3]-box[1]
	area := w * h
	s.Box, s.Area, s.Region = &box, &area, &[4]int{0, 0, ev.Data.Frame.Width, ev.Data.Frame.Height}
	if h > 0 {
		ratio := math.Round(float64(w)/float64(h)*100) / 100
		s.Ratio = &ratio
	}
	return s
}

// frigateID is the seconds of an object's start and six letters, made of the track,
// so that each event of the track has it.
func frigateID(ev *detect.Event, o *detect.Object) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	h := fnv.New64a()
	h.Write([]byte(detect.Source(ev.Site, ev.Stream) + "/" + o.TrackID)) // never fails
	tail, n := make([]byte, 6), h.Sum64()
	for i := range tail {
		tail[i] = letters[n%uint64(len(letters))]
		n /= uint64(len(letters))
	}
	return seconds(o.FirstSeen).String() + "-" + string(tail)
}
