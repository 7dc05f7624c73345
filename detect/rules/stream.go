package rules

import (
	"fmt"
	"time"

	"sightline/detect"
)

// Stream is the analysis of one stream after its tracker: the life of objects,
// the rules, the stream's own events. It outlives epochs; counters go on. One
// goroutine at a time; nothing blocks.
//
// Every event comes out complete (id, source, subject, time, severity, data) but
// for Recorded, which is the caller's to set. Within an epoch times never
// decrease: an earlier one is raised to the last. Times that no picture dates
// (of Advance, Degraded, Offline, Account) are this machine's clock and are
// brought to the stream's by the timing of its last scene. Every object.started is
// followed by exactly one object.ended, every zone.entered by one zone.exited,
// at the latest when the stream goes offline.
type Stream struct {
	cfg   Config
	model *detect.Model // in force; events share it
	rules []detect.Rule

	epoch    string
	online   bool
	last     time.Time     // the latest time of the epoch
	lag      time.Duration // of this machine's clock behind the last scene's
	objects  roster[*object]
	byID     map[string]*object
	ordinals map[ordinalKey]uint64 // of events about no track

	scene  *detect.Scene // being applied
	events []detect.Event
}

// New checks cfg and makes a stream that is offline.
func New(cfg Config) (*Stream, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Info.Name, err)
	}
	s := &Stream{cfg: cfg, model: &cfg.Model, byID: map[string]*object{}, ordinals: map[ordinalKey]uint64{}}
	s.cfg.Info.Epoch = ""
	for _, r := range cfg.Rules {
		if r.Severity == 0 {
			r.Severity = detect.Info
		}
		rule, err := newRule(cfg, r)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", cfg.Info.Name, err)
		}
		s.rules = append(s.rules, rule)
	}
	return s, nil
}

// Runs tells that another model, engine or precision finds what is in the scenes from
// now on. Events made so far keep theirs.
func (s *Stream) Runs(m detect.Model) { s.model = &m }

// Online begins an epoch at its first picture. If another is still open its
// objects end first, because the stream ended.
func (s *Stream) Online(epoch string, at time.Time) []detect.Event {
	if s.online {
		s.close(streamEnded, s.last)
	} else {
		s.advance(s.clamp(at))
	}
	s.epoch, s.online, s.last, s.lag = epoch, true, at, 0
	s.cfg.Info.Epoch = epoch
	clear(s.ordinals)
	s.emit(s.streamEvent(detect.StreamOnline, at, nil))
	return s.take()
}

// Apply takes one scene of the current epoch and returns, in this order: the
// detections event, the objects that started or changed, what the rules say in
// the order of the config, and the objects that ended. Offline it returns
// nothing: a late result tells nothing anymore. scene is not kept.
func (s *Stream) Apply(scene detect.Scene) []detect.Event {
	if !s.online {
		return nil
	}
	scene.At, scene.Epoch = s.clamp(scene.At), s.epoch
	if scene.Confidence == 0 {
		scene.Confidence = s.cfg.Confidence
	}
	if scene.Timing != nil {
		s.lag = time.Duration(scene.Timing.InferredMs * float64(time.Millisecond))
	}
	s.scene = &scene
	born := s.observe(scene)
	s.emit(s.detections(scene))
	for _, e := range s.objects.order {
		if e.scene == s.objects.scene {
			s.tell(e.value, born[e.track], scene.At)
		}
	}
	for _, r := range s.rules {
		s.emit(r.Apply(scene)...)
	}
	s.objects.gone(func(o **object) {
		reason := "lost"
		if (*o).left() {
			reason = "left"
		}
		(*o).state = lost
		s.end(*o, reason, scene.At)
	})
	s.scene = nil
	return s.take()
}

// Advance closes the count windows that ended by at. Only a live stream without
// pictures needs it; call it so late that no scene before at can follow.
func (s *Stream) Advance(at time.Time) []detect.Event {
	s.advance(s.byClock(at))
	return s.take()
}

// Degraded tells that the stream delivers, but not well.
func (s *Stream) Degraded(reason detect.ReasonInfo, at time.Time) []detect.Event {
	s.emit(s.streamEvent(detect.StreamDegraded, s.byClock(at), &reason))
	return s.take()
}

// Offline ends the epoch: visits, count windows and objects are closed, then
// the stream is told to be offline. The objects' reason is restart or shutdown
// where reason.Code is that, else stream_ended. It may be called again while
// offline (a failed attempt to come back), which tells just that. A zero at
// means the time of the last scene.
func (s *Stream) Offline(reason detect.ReasonInfo, at time.Time) []detect.Event {
	at = s.byClock(at)
	why := streamEnded
	if reason.Code == codeRestart || reason.Code == codeShutdown {
		why = reason.Code
	}
	s.close(why, at)
	s.online = false
	s.emit(s.streamEvent(detect.StreamOffline, at, &reason))
	return s.take()
}

// byClock returns the stream's time at a time of this machine's clock. A camera's
// clock may be minutes behind: taken as it is, the machine's would push the
// stream's time ahead of all its pictures for as long.
func (s *Stream) byClock(at time.Time) time.Time { return s.clamp(at.Add(-s.lag)) }

// clamp returns at, or the latest time of the epoch where that is later.
func (s *Stream) clamp(at time.Time) time.Time {
	if at.After(s.last) {
		s.last = at
	}
	return s.last
}

func (s *Stream) advance(at time.Time) {
	for _, r := range s.rules {
		if c, ok := r.(interface {
			Advance(time.Time) []detect.Event
		}); ok {
			s.emit(c.Advance(at)...)
		}
	}
}

// close ends everything that is open.
func (s *Stream) close(reason string, at time.Time) {
	for _, r := range s.rules {
		s.emit(r.Close(at)...)
	}
	s.objects.clear(func(o **object) { s.end(*o, reason, at) })
}

func (s *Stream) take() []detect.Event {
	events := s.events
	s.events = nil
	return events
}
