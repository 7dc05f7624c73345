package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sightline/detect"
	"sightline/pipelines/delivery"
	"sightline/pipelines/spec"
	"sightline/sink/snapshot"
)

const (
	diskWriters  = 4                      // pictures written at a time: a sync takes milliseconds
	diskQueue    = 64                     // pictures waiting for that
	diskPatience = 500 * time.Millisecond // how long a live stream's events wait for their pictures to be on disk
	diskTrouble  = 10 * time.Second       // without a failure until the disk is called well
	diskHangs    = 10 * time.Second       // after its end a pipeline waits no longer for a disk that does not answer
	sweepEvery   = 10 * time.Minute
)

// snapshots keeps the pictures of all streams: it has them written, thinned out
// and copied. Photographers make them.
type snapshots struct {
	store  pictureStore
	bucket *snapshot.Bucket // nil: pictures stay in the folder
	s3     *snapshot.S3
	cutter *snapshot.Cutter
	types  map[detect.Type]bool
	blur   []string
	log    *slog.Logger

	jobs  chan *keeping
	full  chan struct{} // the folder is larger than it may be
	fresh chan struct{} // there is something to copy
	disk  *condition
	far   *condition // with the bucket

	mu      sync.Mutex
	writing int  // pictures being written
	stuck   bool // one of them takes too long: nobody waits for the disk until it is done
	left    bool // what still works is waiting for the disk, and not waited for

	copied, failures atomic.Uint64
	waiting          atomic.Int64 // pictures that the bucket lacks
}

// pictureStore is where pictures are kept; *snapshot.Store is one.
type pictureStore interface {
	Put(name string, jpeg []byte) error
	Drop(name string)
	Open(name string) (*os.File, error)
	Waiting() ([]string, error)
	Sent(name string) error
	Full() bool
	Sweep(ctx context.Context, now time.Time) error
	Stats() snapshot.Stats
	Close() error
}

// newSnapshots returns nil where nothing is to be kept. It touches no disk and no
// network.
func (p *Pipeline) newSnapshots(c *spec.Snapshots) (*snapshots, error) {
	if c == nil {
		return nil, nil
	}
	cfg := snapshotConfig(c)
	log := p.log.With(slog.String("sink", snapshotsName))
	store, err := snapshot.New(cfg, log)
	if err != nil {
		return nil, err
	}
	a := &snapshots{
		store: store, s3: cfg.S3, cutter: snapshot.NewCutter(cfg), types: map[detect.Type]bool{}, blur: c.Blur, log: log,
		jobs: make(chan *keeping, diskQueue), full: make(chan struct{}, 1), fresh: make(chan struct{}, 1),
	}
	tell := func(r detect.ReasonInfo) { p.sinkState(delivery.State{Name: snapshotsName, Told: r}) }
	a.disk = &condition{code: "disk", over: "pictures are kept again", lasts: diskTrouble, log: log, tell: tell}
	a.far = &condition{code: "unreachable", over: "pictures are copied again", log: log, tell: tell}
	for _, t := range c.Types {
		a.types[detect.Type(t)] = true
	}
	if cfg.S3 != nil {
		if a.bucket, err = snapshot.NewBucket(*cfg.S3); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// snapshotsName stands for them where sinks are named.
const snapshotsName = "snapshots"

func snapshotConfig(c *spec.Snapshots) snapshot.Config {
	out := snapshot.Config{Path: c.Path, Quality: c.Quality, Margin: c.Margin, Blur: c.Blur, Max: int64(c.Max), MaxAge: c.MaxAge}
	if s := c.S3; s != nil {
		out.S3 = &snapshot.S3{
			Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix, AccessKey: s.AccessKey, SecretKey: s.SecretKey.Current,
		}
		if t := s.TLS; t != nil {
			out.S3.TLS = &snapshot.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
		}
	}
	return out
}

// addPhotographer puts one between a stream's analyst and the sinks.
func (p *Pipeline) addPhotographer(s *stream, st *spec.Stream) {
	if p.snapshots == nil || !s.analyze {
		return
	}
	s.shoot = newPhotographer(p.snapshots, s.name, s.lossless, p.gate, s.analyst.emit)
	s.shoot.sinks = s.analyst.sinks
	s.analyst.shoot, s.analyst.emit = s.shoot, s.shoot.tell
	if found := withBlurred(st.Detect.Classes, p.snapshots.blur); len(found) > len(st.Detect.Classes) {
		s.analyst.only = st.Detect.Classes
	}
	skipped := s.lane.replace
	s.lane.replace = func(old *row) {
		skipped(old)
		s.shoot.replaced(old)
	}
}

// foundClasses is what a stream's network has to find: what is analyzed, and what
// is to be blurred besides. Classes to blur that the model does not know would
// stay to be seen.
func (p *Pipeline) foundClasses(st *spec.Stream, labels []string) ([]string, error) {
	if p.snapshots == nil {
		return st.Detect.Classes, nil
	}
	for _, class := range p.snapshots.blur {
		if !slices.Contains(labels, class) {
			return nil, fmt.Errorf("snapshots.blur: the model %s does not know %q, so nothing would be blurred", st.Detect.Model, class)
		}
	}
	return withBlurred(st.Detect.Classes, p.snapshots.blur), nil
}

// withBlurred adds classes to others; none are all.
func withBlurred(classes, blur []string) []string {
	if len(classes) == 0 {
		return nil
	}
	out := slices.Clone(classes)
	for _, class := range blur {
		if !slices.Contains(out, class) {
			out = append(out, class)
		}
	}
	return out
}

// mostRows bounds what of a lossless stream is under way, where each row keeps
// its frame.
func (p *Pipeline) mostRows(n int) int {
	if p.snapshots == nil {
		return n
	}
	return min(n, mostHeld)
}

// close gives back what newSnapshots took, but to a disk that does not answer.
func (a *snapshots) close() error {
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

// uri is how events name a picture.
func (a *snapshots) uri(name string) string {
	if a.s3 != nil {
		return a.s3.URI(name)
	}
	return name
}

// keeping is a picture on its way to the disk.
type keeping struct {
	event   *detect.Event
	picture *snapshot.Picture
	name    string
	failed  string      // why it was given up
	decided atomic.Bool // by who sets it: written, or no longer waited for
	written chan error  // has room for the answer
}

// keep has pictures written, and notes of each why it was not. For a lossless
// stream that takes as long as it does; else at most diskPatience for all of them,
// and no time while the disk is stuck.
func (a *snapshots) keep(list []*keeping, lossless bool) {
	if lossless {
		for _, k := range list {
			if a.put(k) != nil {
				k.failed = pictureDisk
			}
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), diskPatience)
	defer cancel()
	for _, k := range list {
		k.written = make(chan error, 1)
		if a.isStuck() {
			k.failed = pictureSlow
			continue
		}
		select {
		case a.jobs <- k:
		default:
			k.failed = pictureSlow
		}
	}
	for _, k := range list {
		if k.failed == "" {
			a.await(ctx, k)
		}
	}
}

func (a *snapshots) await(ctx context.Context, k *keeping) {
	select {
	case err := <-k.written:
		if err != nil {
			k.failed = pictureDisk
		}
	case <-ctx.Done():
		if !k.decided.CompareAndSwap(false, true) { // it is done this very moment
			a.await(context.Background(), k)
			return
		}
		k.failed = pictureSlow
		a.mu.Lock()
		a.stuck = a.writing > 0
		a.mu.Unlock()
		a.disk.note(fmt.Errorf("a picture was not on disk within %s", diskPatience))
	}
}

func (a *snapshots) isStuck() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stuck
}

// put writes a picture, and tells those who have to do with the folder.
func (a *snapshots) put(k *keeping) error {
	err := a.store.Put(k.name, k.picture.JPEG)
	if a.disk.note(err); err != nil {
		return err
	}
	if a.store.Full() {
		signal(a.full)
	}
	if a.bucket != nil {
		a.waiting.Add(1)
		signal(a.fresh)
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write writes pictures until jobs is closed. One that came too late for its event
// is removed again.
func (a *snapshots) write() {
	for k := range a.jobs {
		if k.decided.Load() {
			continue
		}
		a.mu.Lock()
		a.writing++
		a.mu.Unlock()
		err := a.put(k)
		a.mu.Lock()
		a.writing--
		a.stuck = false
		a.mu.Unlock()
		if !k.decided.CompareAndSwap(false, true) {
			a.store.Drop(k.name)
			continue
		}
		k.written <- err
	}
}

// run writes, thins out and copies until drain was called and ctx has ended. A disk
// that does not answer then is left to itself after diskHangs.
func (a *snapshots) run(ctx context.Context) {
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

// drain takes no more pictures and waits until the bucket has those there are, as
// long as it takes them and ctx lasts: the others wait on disk for the next run.
func (a *snapshots) drain(ctx context.Context) {
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
func (a *snapshots) sweep(ctx context.Context) {
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
