// Package snapshots gives events their pictures. A Photographer stands between one
// stream's analysis and its sinks: it holds a frame until its result, cuts pictures of
// the objects that events are about, and hands the events on in order. The Album behind
// all of them has pictures written to disk before their events go out, thinned out, and
// copied to a bucket.
//
// Album.Run and Photographer.Start begin goroutines; Run waits for its own, Finish for
// the photographer's.
package snapshots

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sightline/detect"
	"sightline/sink/snapshot"
)

// Config says where pictures are kept and which events get one.
type Config struct {
	snapshot.Config
	Types []detect.Type // of events that get a picture
	// Tell is told when the folder or the bucket begins to fail and when it works again,
	// by any goroutine; it must not call the album.
	Tell func(detect.ReasonInfo)
}

const (
	diskWriters  = 4                      // pictures written at a time: a sync takes milliseconds
	diskQueue    = 64                     // pictures waiting for that
	diskPatience = 500 * time.Millisecond // how long a live stream's events wait for their pictures to be on disk
	diskTrouble  = 10 * time.Second       // without a failure until the disk is called well
	diskHangs    = 10 * time.Second       // after the end nobody waits longer for a disk that does not answer
	sweepEvery   = 10 * time.Minute
)

// Album keeps the pictures of all streams: it has them written, thinned out and
// copied. Photographers make them.
type Album struct {
	cfg    Config
	store  *snapshot.Store
	put    func(name string, jpeg []byte) error // store.Put; tests have a disk that fails or hangs
	bucket *snapshot.Bucket                     // nil: pictures stay in the folder
	cutter *snapshot.Cutter
	types  map[detect.Type]bool
	log    *slog.Logger

	photographers []*Photographer // made before Run

	jobs   chan *keeping
	full   chan struct{} // the folder is larger than it may be
	fresh  chan struct{} // there is something to copy
	folder *condition
	far    *condition // with the bucket

	mu      sync.Mutex
	writing int  // pictures being written
	stuck   bool // one of them takes too long: nobody waits for the disk until it is done
	left    bool // what still works is waiting for the disk, and not waited for

	copied, failures atomic.Uint64
	waiting          atomic.Int64 // pictures that the bucket lacks
}

// New makes an album. It touches no disk and no network; Close gives back what it
// took.
func New(c Config, log *slog.Logger) (*Album, error) {
	store, err := snapshot.New(c.Config, log)
	if err != nil {
		return nil, err
	}
	a := &Album{
		cfg: c, store: store, put: store.Put, cutter: snapshot.NewCutter(c.Config), types: map[detect.Type]bool{}, log: log,
		jobs: make(chan *keeping, diskQueue), full: make(chan struct{}, 1), fresh: make(chan struct{}, 1),
	}
	a.folder = &condition{code: "disk", over: "pictures are kept again", lasts: diskTrouble, log: log, tell: c.Tell}
	a.far = &condition{code: "unreachable", over: "pictures are copied again", log: log, tell: c.Tell}
	for _, t := range c.Types {
		a.types[t] = true
	}
	if c.S3 != nil {
		if a.bucket, err = snapshot.NewBucket(*c.S3); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Close gives back what New took, but to a disk that does not answer.
func (a *Album) Close() error {
	if a.bucket != nil {
		a.bucket.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left {
		return nil
	}
	return a.store.Close()
}

// Open opens a picture by its name below the folder, as events' uri ends with it; the
// caller closes it. Whatever is no picture's name is fs.ErrNotExist.
func (a *Album) Open(name string) (*os.File, error) { return a.store.Open(name) }

// Run writes, thins out and copies until Drain was called and ctx has ended. A disk
// that does not answer then is left to itself after diskHangs.
func (a *Album) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range diskWriters {
		wg.Go(a.write)
	}
	wg.Go(func() { a.sweep(ctx) })
	if a.bucket != nil {
		wg.Go(func() { a.copyAll(ctx) })
	}
	ended := make(chan struct{})
	go func() { defer close(ended); wg.Wait() }()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(diskHangs):
		a.mu.Lock()
		a.left = true
		a.mu.Unlock()
		a.log.Error("the disk of the snapshots does not answer: pictures may be lost")
	}
}

// Drain takes no more pictures and waits until the bucket has those there are, as
// long as it takes them and ctx lasts: the others wait on disk for the next run.
func (a *Album) Drain(ctx context.Context) {
	close(a.jobs)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for a.waiting.Load() > 0 && !a.far.is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep keeps the folder within its bounds.
func (a *Album) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := a.store.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.log.Warn("snapshots were not thinned out", slog.Any("error", err))
		}
		select {
		case <-tick.C:
		case <-a.full:
		case <-ctx.Done():
			return
		}
	}
}
