package spool

import (
	"fmt"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/journal"
)

// Policy is what gives way when a queue is full.
type Policy string

// Policies.
const (
	DropOldest         Policy = "drop_oldest"          // the oldest of all keys
	DropLowestSeverity Policy = "drop_lowest_severity" // the oldest of the least severe
	Block              Policy = "block"                // nothing: Append waits
)

// Reasons why a record was given up, as Config.Gone is told.
const (
	QueueFull = "queue_full"
	Expired   = "expired"
	Corrupt   = "corrupt"
)

// Config says where and how long records wait.
type Config struct {
	Path     string        // folder, of this queue alone; "" keeps records in memory alone
	Max      int64         // most bytes on disk, or in memory where there is no Path; 0: 4 GiB, or 64 MiB
	MaxAge   time.Duration // after which a record is given up; 0: never
	Sync     time.Duration // within which the owner calls Sync after an Append; 0: Append puts its record on disk itself
	WhenFull Policy        // "": DropOldest
	Key      []byte        // encrypts what is on disk, see journal.Config
	Memory   int64         // most bytes of records that are in memory too, or, while the disk fails, alone; 0: 64 MiB

	FS  journal.FS       // nil: the machine's
	Now func() time.Time // nil: time.Now
	// Gone is told of records given up, with one of the reasons above; stream is ""
	// where that cannot be known. It is called with the queue's lock held: it only
	// counts, and calls nothing of the queue.
	Gone func(stream, reason string, n uint64)
	// Fault is told that the disk does not keep records, and why, and with nil that
	// it does again. It is called by Open, Sync, Append and Next, without a lock.
	Fault func(error)
}

func (c Config) withDefaults() Config {
	if c.Max == 0 {
		c.Max = 64 << 20
		if c.Path != "" {
			c.Max = 4 << 30
		}
	}
	if c.Memory == 0 {
		c.Memory = 64 << 20
	}
	if c.WhenFull == "" {
		c.WhenFull = DropOldest
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Gone == nil {
		c.Gone = func(string, string, uint64) {}
	}
	if c.Fault == nil {
		c.Fault = func(error) {}
	}
	return c
}

func (c Config) validate() error {
	switch c.WhenFull {
	case DropOldest, DropLowestSeverity, Block:
	default:
		return fmt.Errorf("open queue: unknown policy %q: one of %s, %s, %s", c.WhenFull, DropOldest, DropLowestSeverity, Block)
	}
	if c.Max < 0 || c.Memory < 0 || c.MaxAge < 0 || c.Sync < 0 {
		return fmt.Errorf("open queue: sizes and durations cannot be negative")
	}
	if c.Path != "" && c.Max < minDisk {
		return fmt.Errorf("open queue: %d bytes on disk are too few: at least %d", c.Max, minDisk)
	}
	return nil
}

// minDisk is the smallest Config.Max on disk.
const minDisk = 256 << 10

// footprint estimates the memory an event holds, from above rather than below.
func footprint(ev *detect.Event, to sink.Route) int64 {
	const base, perBox, perPoint, perString = 1024, 128, 24, 16
	d := &ev.Data
	n := base + len(ev.ID) + len(ev.Subject) + len(to.Topic) + len(to.Key) + len(d.Stream.Title) + len(d.Changed)*perString
	for k, v := range d.Stream.Labels {
		n += len(k) + len(v) + 4*perString
	}
	if d.Objects != nil {
		n += len(*d.Objects) * perBox
	}
	if d.Object != nil {
		n += len(d.Object.Path)*perPoint + len(d.Object.Zones)*perString
	}
	if d.Counts != nil {
		n += len(*d.Counts) * perBox
	}
	if d.Reason != nil {
		n += len(d.Reason.Message)
	}
	if d.Accounting != nil {
		n += 4 * base
	}
	return int64(n)
}
