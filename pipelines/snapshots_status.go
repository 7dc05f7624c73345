package pipelines

import (
	"io/fs"
	"maps"
	"os"

	"sightline/sink/snapshot"
)

// SnapshotStatus is how the pictures of events fare, since the start.
type SnapshotStatus struct {
	snapshot.Stats
	Max     int64                     `json:"max_bytes"`
	Error   string                    `json:"error,omitempty"` // of the folder, while it lasts
	Streams map[string]SnapshotCounts `json:"streams"`
	Bucket  *BucketStatus             `json:"s3,omitempty"`
}

// SnapshotCounts is what became of one stream's pictures.
type SnapshotCounts struct {
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

// Snapshots is nil where no pictures are kept.
func (p *Pipeline) Snapshots() *SnapshotStatus {
	a := p.snapshots
	if a == nil {
		return nil
	}
	st := &SnapshotStatus{Stats: a.store.Stats(), Max: int64(p.spec.Snapshots.Max), Error: text(a.disk.last()), Streams: map[string]SnapshotCounts{}}
	for _, s := range p.streams {
		if s.shoot != nil {
			st.Streams[s.name] = s.shoot.counts()
		}
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

func (p *photographer) counts() SnapshotCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return SnapshotCounts{Kept: p.kept, GivenUp: maps.Clone(p.givenUp)}
}

// Snapshot opens a picture by its name below the folder, as events' uri ends with
// it; the caller closes it. Whatever is no picture's name is fs.ErrNotExist.
func (p *Pipeline) Snapshot(name string) (*os.File, error) {
	if p.snapshots == nil {
		return nil, fs.ErrNotExist
	}
	return p.snapshots.store.Open(name)
}
