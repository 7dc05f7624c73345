package snapshots

import (
	"sightline/sink/snapshot"
)

// Status is how the pictures of events fare, since the start.
type Status struct {
	snapshot.Stats
	Max     int64             `json:"max_bytes"`
	Error   string            `json:"error,omitempty"` // of the folder, while it lasts
	Streams map[string]Counts `json:"streams"`
	Bucket  *BucketStatus     `json:"s3,omitempty"`
}

// Counts is what became of one stream's pictures.
type Counts struct {
	Kept uint64 `json:"kept"` // on disk, and named by their events
	// GivenUp counts pictures that events went out without, by reason: busy,
	// no_frame, no_view, failed, disk, slow_disk; and, of views that may yet be
	// made up for, view.
	GivenUp map[string]uint64 `json:"given_up"`
}

// BucketStatus is how copying to the object store fares.
type BucketStatus struct {
	Waiting  int64  `json:"waiting"` // pictures, on disk
	Copied   uint64 `json:"copied"`
	Failures uint64 `json:"failures"` // attempts
	Error    string `json:"error,omitempty"`
}

// Status tells how the album does. Any goroutine may ask.
func (a *Album) Status() *Status {
	st := &Status{Stats: a.store.Stats(), Max: a.cfg.Max, Error: text(a.folder.last()), Streams: map[string]Counts{}}
	for _, p := range a.photographers {
		st.Streams[p.stream.Name] = p.counts()
	}
	if a.bucket != nil {
		st.Bucket = &BucketStatus{Waiting: max(0, a.waiting.Load()), Copied: a.copied.Load(), Failures: a.failures.Load(), Error: text(a.far.last())}
	}
	return st
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
