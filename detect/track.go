package detect

import (
	"strconv"
	"time"
)

// Track is one object followed over time, as its tracker sees it after an update.
type Track struct {
	ID        uint64  // from 1 in order of confirmation, unique within an epoch; 0 while unconfirmed
	Class     string  // the class most of its boxes had, weighted by score
	Score     float64 // of the last box it took
	Box       Rect    // the last box it took while matched, the predicted one while not
	Detection int     // index of the detection it took in this update, -1 for none
	Confirmed bool    // seen often enough to count
	FirstSeen time.Time
	LastSeen  time.Time // when it last took a detection
}

// TrackID is the id that events give to a confirmed track. It is unique for ever.
func TrackID(epoch string, id uint64) string { return epoch + "-" + strconv.FormatUint(id, 10) }

// Tracker follows objects through one epoch of one stream. It is pure: the same
// calls give the same tracks; time comes from the frames. One goroutine at a time.
type Tracker interface {
	// Update takes all detections of one frame (none is fine) inside region, the
	// part of the picture that was looked at, and returns every living track,
	// unmatched ones included, ordered by ID, unconfirmed last. A track that is
	// no longer returned is gone for good. The slice is the tracker's and valid
	// until the next call.
	Update(at time.Time, region Rect, dets []Detection) []Track
}

// Scene is one analyzed frame as rules see it.
type Scene struct {
	At         time.Time // capture time of the frame
	Epoch      string    // of the stream; rules.Stream sets it
	Frame      FrameInfo
	Clock      ClockInfo
	Timing     *Timing     // live streams only
	Confidence float64     // detections below it exist for the tracker's sake alone
	Detections []Detection // of the whole frame
	Tracks     []Track     // every living track; rules use confirmed ones
}

// Rule turns scenes of one stream into events. It is pure and deterministic,
// and used by one goroutine at a time. The events carry type, subject, time,
// severity and their own part of Data; the caller fills in the rest.
type Rule interface {
	Apply(s Scene) []Event
	// Close ends what is open (visits, windows) at the end of the stream or of an
	// epoch; counters that outlive an epoch are kept.
	Close(at time.Time) []Event
}
