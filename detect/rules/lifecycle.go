package rules

import (
	"time"

	"sightline/detect"
)

const (
	streamEnded  = "stream_ended"
	codeRestart  = "restart"
	codeShutdown = "shutdown"
)

// observe brings the objects up to date and returns the tracks that are new.
func (s *Stream) observe(scene detect.Scene) map[uint64]bool {
	var born map[uint64]bool
	s.objects.each(scene, func(t *detect.Track, v **object, first bool) {
		if first {
			*v = &object{id: detect.TrackID(s.epoch, t.ID), inside: make([]bool, len(s.cfg.Zones)), ordinals: map[ordinalKey]uint64{}}
			s.byID[(*v).id] = *v
			if born == nil {
				born = map[uint64]bool{}
			}
			born[t.ID] = true
		}
		(*v).observe(scene, t, s.cfg.Zones)
	})
	return born
}

// tell emits that an object started, or that it changed, or that it is time to.
func (s *Stream) tell(o *object, born bool, at time.Time) {
	now := o.snapshot(s.cfg.Zones)
	changed, worth := now.changes(o.told)
	due := s.cfg.UpdateEvery > 0 && at.Sub(o.toldAt) >= s.cfg.UpdateEvery
	if !born && !worth && !due {
		return
	}
	e := detect.Event{Type: detect.ObjectUpdated, Subject: "track/" + o.id, Time: at, Severity: detect.Info,
		Data: detect.Data{Object: o.data(now.zones, true), Changed: changed}}
	if born {
		e.Type, e.Data.Changed = detect.ObjectStarted, nil
	}
	o.told, o.toldAt = now, at
	s.emit(e)
}

func (s *Stream) end(o *object, reason string, at time.Time) {
	s.emit(detect.Event{Type: detect.ObjectEnded, Subject: "track/" + o.id, Time: at, Severity: detect.Info,
		Data: detect.Data{Object: o.data(o.snapshot(s.cfg.Zones).zones, true), EndReason: reason}})
	delete(s.byID, o.id)
}

// detections is the event of every box worth telling.
func (s *Stream) detections(scene detect.Scene) detect.Event {
	took := make(map[int]*object, len(scene.Tracks))
	for _, t := range scene.Tracks {
		if t.Confirmed && t.ID != 0 && t.Detection >= 0 {
			took[t.Detection] = s.byID[detect.TrackID(s.epoch, t.ID)]
		}
	}
	boxes := make([]detect.Box, 0, len(scene.Detections))
	for i, d := range scene.Detections {
		if d.Score < scene.Confidence {
			continue
		}
		b := detect.Box{Class: d.Class, Score: d.Score, BBox: d.Box}
		if o := took[i]; o != nil {
			b.TrackID, b.State = o.id, o.state
		}
		boxes = append(boxes, b)
	}
	return detect.Event{Type: detect.Detections, Subject: "stream/" + s.cfg.Info.Name, Time: scene.At, Severity: detect.Info,
		Data: detect.Data{Objects: &boxes}}
}

func (s *Stream) streamEvent(typ detect.Type, at time.Time, reason *detect.ReasonInfo) detect.Event {
	e := detect.Event{Type: typ, Subject: "stream/" + s.cfg.Info.Name, Time: at, Severity: detect.Warning, Data: detect.Data{Reason: reason}}
	if reason == nil || reason.Code == "ended" || reason.Code == codeRestart || reason.Code == codeShutdown || reason.Code == detect.ReasonRecovered {
		e.Severity = detect.Info
	}
	return e
}

// emit completes events and keeps them for take.
func (s *Stream) emit(events ...detect.Event) {
	for _, e := range events {
		s.complete(&e)
		s.events = append(s.events, e)
	}
}

// complete fills in what all events have, and the object of those that only
// name a track.
func (s *Stream) complete(e *detect.Event) {
	e.Site, e.Stream = s.cfg.Info.Site, s.cfg.Info.Name
	e.Data.Stream = s.cfg.Info
	if s.model.Name != "" {
		e.Data.Model = s.model
	}
	if s.scene != nil {
		frame, clock := s.scene.Frame, s.scene.Clock
		e.Data.Frame, e.Data.Clock = &frame, &clock
		if s.cfg.Live {
			e.Data.Timing = s.scene.Timing
		}
	}
	rule, track, ordinals := "", "", s.ordinals
	if e.Data.Rule != nil {
		rule = e.Data.Rule.Name
	}
	if e.Data.Object != nil {
		track = e.Data.Object.TrackID
		o := s.byID[track]
		if e.Data.Object.State == "" {
			e.Data.Object = o.data(o.snapshot(s.cfg.Zones).zones, false)
		}
		ordinals = o.ordinals
	}
	e.ID = detect.EventID(e.Source(), s.epoch, e.Type, rule, track, s.ordinal(ordinals, e, rule))
}

// ordinal numbers the events of a type, rule and track within the epoch. Without
// any epoch yet (a stream that never came up) time keeps the ids apart.
func (s *Stream) ordinal(ordinals map[ordinalKey]uint64, e *detect.Event, rule string) uint64 {
	if e.Data.Window != nil {
		return uint64(e.Data.Window.Start.UnixMicro())
	}
	if s.epoch == "" {
		return uint64(e.Time.UnixMicro())
	}
	key := ordinalKey{e.Type, rule}
	ordinals[key]++
	return ordinals[key]
}
