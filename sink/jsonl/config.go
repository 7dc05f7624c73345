// Package jsonl writes events to a file or to standard output, one CloudEvent as
// JSON a line.
package jsonl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sightline/sink/format"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// Compressions of ended files.
const (
	Plain = "none"
	Gzip  = "gzip"
)

// When lines are on disk, and not only with the system.
const (
	FsyncRotate = "rotate" // when a file is ended or closed: a power failure may take what the system had not written yet
	FsyncBatch  = "batch"  // before Publish returns
)

// Config says where events go.
type Config struct {
	Path   string    // of the file, appended to; its folders are made; "-" is Stdout
	Stdout io.Writer // where "-" leads; never closed
	Format format.Format
	Fsync  string  // FsyncRotate, FsyncBatch
	Rotate *Rotate // nil: one file, which others may rename or remove
}

// Rotate ends a file and begins another one. The one that is written always has the
// path; one that was ended gets the time of that in its name:
// events-2026-11-23T10-15-00Z.jsonl, and .gz behind it once it is compressed.
type Rotate struct {
	Size     int64         // most bytes of a file; 0: no limit
	Every    time.Duration // ends files at the multiples of this of the wall clock, in UTC, with the first event after; 0: never
	Keep     int           // most ended files, the oldest are removed; 0: all
	Compress string        // Plain, Gzip

	now func() time.Time // nil: time.Now
}

// Defaults returns a configuration that lacks only the path.
func Defaults() Config { return Config{Stdout: os.Stdout, Fsync: FsyncRotate} }

// Validate reports every mistake, each beginning with the key it is about. It opens
// nothing.
func (c Config) Validate() error {
	var errs []error
	fault := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New(text))
		}
	}
	fault(c.Path == "", "path: missing")
	fault(c.Path == Stdout && c.Stdout == nil, "path: there is no standard output")
	fault(c.Path == Stdout && c.Rotate != nil, "rotate: standard output is no file")
	fault(c.Fsync != FsyncRotate && c.Fsync != FsyncBatch, fmt.Sprintf("fsync: %q is neither rotate nor batch", c.Fsync))
	if r := c.Rotate; r != nil {
		fault(r.Size != 0 && r.Size < 4096, "rotate.size: less than 4KiB")
		fault(r.Every != 0 && r.Every < time.Second, "rotate.every: less than 1s")
		fault(r.Size == 0 && r.Every == 0, "rotate: want size or every")
		fault(r.Keep < 0, "rotate.keep: negative")
		fault(r.Compress != Plain && r.Compress != Gzip, fmt.Sprintf("rotate.compress: %q is neither none nor gzip", r.Compress))
	}
	return errors.Join(errs...)
}
