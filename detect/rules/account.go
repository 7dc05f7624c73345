package rules

import (
	"time"

	"sightline/detect"
)

// Account tells what became of everything so far; nothing earlier than at follows
// in this epoch. A zero at means the time of the last scene.
func (s *Stream) Account(l detect.Ledger, at time.Time) []detect.Event {
	at = s.byClock(at)
	e := s.streamEvent(detect.Accounting, at, nil)
	e.Data.Accounting, e.Data.Watermark = &l, &at
	s.emit(e)
	return s.take()
}
