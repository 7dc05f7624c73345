package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sightline/decode"
	"sightline/detect/optimize"
	"sightline/pipelines/spec"
)

// mostPictures bounds what the pictures of one network take on disk, and in the memory
// of the process that makes it; leastMade is how many it takes at least.
const (
	mostPictures = 512 << 20
	leastMade    = 8
)

// maker makes one network in the background: it collects pictures of its streams while
// they run on the original, has the network made by a process of its own, one at a
// time and after everything else that wants the processor, and hands it to the
// streams. What it has is kept on disk, where it goes on at the next start.
type maker struct {
	p      *Pipeline
	o      Options
	spec   spec.Optimize
	model  string // path of the original
	recipe recipe
	engine string
	folder string
	log    *slog.Logger

	pictures chan *decode.Frame // one waits at most
	full     atomic.Bool        // no more are wanted
	members  []*member

	held *os.File // while it is there, nothing removes the folder

	mu     sync.Mutex
	status MakeStatus
}

// member is one stream that a network is made for.
type member struct {
	maker  *maker
	st     *spec.Stream
	gpu    *gpu
	shadow *shadow
	pace   time.Duration
	next   time.Time   // the decoding goroutine's
	handed bool        // it was given the network: the maker's goroutine's
	waits  atomic.Bool // it begins with the network at the next start only
}

// MakeStatus is how far a network is that is made in the background.
type MakeStatus struct {
	State    string     `json:"state"` // collecting, waiting (for another to be made, or for another process that makes this one), compiling, ready, refused (it did not keep its budget), retrying, failed
	Pictures int        `json:"pictures"`
	Wanted   int        `json:"wanted"`
	Step     string     `json:"step,omitempty"` // of compiling
	Done     int        `json:"done,omitempty"`
	Of       int        `json:"of,omitempty"`
	Left     float64    `json:"left_s,omitempty"`   // seconds, about, until the pictures are there, or the step is done; absent: unknown
	Failures int        `json:"failures,omitempty"` // times that it could not be made
	Retry    *time.Time `json:"retry,omitempty"`    // when it is tried again
	Reason   string     `json:"reason,omitempty"`
	Made     *Made      `json:"made,omitempty"`
	Folder   string     `json:"folder"`
}

// States of a network in the making.
const (
	makeCollecting = "collecting"
	makeWaiting    = "waiting"
	makeCompiling  = "compiling"
	makeReady      = "ready"
	makeRefused    = "refused"
	makeRetrying   = "retrying"
	makeFailed     = "failed"
)

// unproved is why a GPU gets no network of a mode that has a budget.
const unproved = "networks of this mode are proved on the processor alone, and this stream's runs on a GPU: mode exact works there, or detect.device: cpu"

// making lets a stream run on the original, or on what was made of it before.
func (p *Pipeline) making(st *spec.Stream, path string, g *gpu, o Options, log *slog.Logger) (network, *shadow, error) {
	net, err := p.network(st, g, o, log)
	if err != nil {
		return network{}, nil, err
	}
	m, err := p.maker(st, path, net, o)
	if err != nil {
		return network{}, nil, err
	}
	set := st.Detect.Optimize
	w := newShadow(set.Mode, set.Shadow, set.Agreement, st.Detect.Confidence)
	one := &member{maker: m, st: st, gpu: g, shadow: w, pace: set.For * time.Duration(len(m.recipe.Binds)) / time.Duration(set.Pictures)}
	w.member = one
	m.members = append(m.members, one)
	if g != nil && set.Mode != optimize.ExactMode {
		m.set(func(s *MakeStatus) { s.State, s.Made, s.Reason = makeRefused, nil, unproved })
		log.Warn("no optimized network: the original goes on", slog.String("reason", unproved))
		return net, w, nil
	}
	if m.status.State != makeReady {
		return net, w, nil
	}
	made, err := p.sibling(st, filepath.Join(m.folder, m.status.Made.File), net.detector.spec.Labels, g, o, log)
	if err != nil { // of a file that was whole: the engine changed, say
		m.set(func(s *MakeStatus) { s.State, s.Made, s.Reason = makeFailed, nil, err.Error() })
		log.Warn("the network that was made before cannot be used", slog.Any("error", err))
		return net, w, nil
	}
	w.begin(&net)
	return made, w, nil
}

// maker returns what makes the network of a stream, with what it has on disk.
func (p *Pipeline) maker(st *spec.Stream, path string, net network, o Options) (*maker, error) {
	model := net.detector.spec
	r := recipeFor(p.spec, st, model, engineVersion(net.model.Engine, o.LibDirs))
	key := r.key()
	if m := p.makers[key]; m != nil {
		return m, nil
	}
	cache, err := cacheFolder(st.Detect.Optimize)
	if err != nil {
		return nil, err
	}
	m := &maker{
		p: p, o: o, spec: *st.Detect.Optimize, model: path, recipe: r, engine: net.model.Engine, folder: filepath.Join(cache, key),
		log: p.log.With(slog.Any("streams", r.Streams)), pictures: make(chan *decode.Frame, 1),
	}
	if _, err := os.Stat(m.folder); err == nil {
		if err := m.hold(); err != nil {
			return nil, err
		}
	}
	m.status = MakeStatus{State: makeCollecting, Wanted: m.spec.Pictures, Folder: m.folder}
	switch have := kept(m.folder); {
	case have.Digest != "":
		m.status.State, m.status.Made = makeReady, &have
	case have.Refused != "":
		m.status.State, m.status.Reason = makeRefused, have.Refused
		m.log.Warn("no optimized network: it did not keep its budget; to try again, delete the folder",
			slog.String("reason", have.Refused), slog.String("folder", m.folder))
	}
	p.makers[key] = m
	return m, nil
}

// name is the file of the network, and so what events call it.
func (m *maker) name() string {
	return strings.TrimSuffix(filepath.Base(m.model), ".onnx") + "-" + m.recipe.Mode + ".onnx"
}

func (m *maker) set(change func(*MakeStatus)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.status)
}

func (m *maker) snapshot() MakeStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// take offers a picture of the stream that is about to be inferred. A nil member takes
// none. The decoding goroutine's.
func (t *member) take(f *decode.Frame) {
	if t == nil || t.maker.full.Load() {
		return
	}
	if wait := t.next.Sub(f.Captured); wait > 0 && wait <= t.pace { // beyond it the time began anew
		return
	}
	if len(t.maker.pictures) == cap(t.maker.pictures) {
		return // the one before is still being written: the next will do
	}
	if f = t.shadow.stream.hostCopy(f); f == nil {
		return // a GPU's memory must not wait here: the GPU may be lost
	}
	select {
	case t.maker.pictures <- f.Retain():
		t.next = f.Captured.Add(t.pace)
	default: // another stream was faster
		f.Release()
	}
}

// run makes the network, if there is one to be made, and returns when ctx ends, which
// is after the streams' end.
func (m *maker) run(ctx context.Context) {
	if m.snapshot().State == makeCollecting {
		m.insist(ctx)
	}
	m.enough()
	<-ctx.Done()
	m.letGo()
	m.enough() // a stream may just have offered one
}

// enough takes no more pictures, and gives back the one that waits.
func (m *maker) enough() {
	m.full.Store(true)
	select {
	case f := <-m.pictures:
		f.Release() // not lost: a picture to learn from, of which there are enough
	default:
	}
}

// busyPause is how long a network that another process makes is waited for at a time.
const busyPause = 2 * time.Second

// lock keeps other processes from the folder until it is closed. It waits until those
// are done with it.
func (m *maker) lock(ctx context.Context) (*os.File, error) {
	if err := m.hold(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(m.folder, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep optimized networks: %w", err)
	}
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return f, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(fmt.Errorf("keep optimized networks: lock %s: %w", m.folder, err), f.Close())
		}
		m.set(func(s *MakeStatus) { s.State = makeWaiting })
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}

func (m *maker) make(ctx context.Context) error {
	lock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()     // which unlocks it
	made := kept(m.folder) // by the process that had the lock
	if made == (Made{}) {
		if made, err = m.anew(ctx); err != nil {
			return err
		}
	}
	if made.Refused != "" {
		m.set(func(s *MakeStatus) { s.State, s.Reason = makeRefused, made.Refused })
		m.log.Warn("no optimized network: the original goes on", slog.String("reason", made.Refused))
		return nil
	}
	return m.hand(ctx, made)
}

// anew makes the network out of new pictures. The caller has the lock.
func (m *maker) anew(ctx context.Context) (Made, error) {
	m.set(func(s *MakeStatus) { s.State = makeCollecting })
	m.tidy()
	if err := keep(m.folder, recipeFile, m.recipe); err != nil {
		return Made{}, err
	}
	sweep(filepath.Dir(m.folder), time.Now(), m.log)
	if err := m.collect(ctx); err != nil {
		return Made{}, err
	}
	m.enough()
	m.set(func(s *MakeStatus) { s.State, s.Left = makeWaiting, 0 })
	if err := m.alone(ctx); err != nil {
		return Made{}, err
	}
	defer m.done()
	m.set(func(s *MakeStatus) { s.State = makeCompiling })
	made, err := m.compile(ctx)
	if err != nil {
		return Made{}, err
	}
	if made.Few {
		m.clear()
		return Made{}, fmt.Errorf("%w: %s", errFew, made.Refused)
	}
	if err := keep(m.folder, resultFile, made); err != nil {
		return Made{}, err
	}
	m.clear()
	return made, nil
}

// alone waits until no other network of this pipeline is made, or loaded, until done.
func (m *maker) alone(ctx context.Context) error {
	select {
	case m.p.press <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *maker) done() { <-m.p.press }

// collect keeps pictures until there are enough.
func (m *maker) collect(ctx context.Context) error {
	album, err := optimize.OpenAlbum(filepath.Join(m.folder, picturesFile))
	if err != nil {
		return err
	}
	defer album.Close()
	m.full.Store(false)
	m.log.Info("collecting pictures for an optimized network", slog.Int("have", album.Len()), slog.Int("want", m.spec.Pictures))
	for album.Len() < m.spec.Pictures && (album.Bytes() < mostPictures || album.Len() < leastMade) {
		m.set(func(s *MakeStatus) {
			s.Pictures = album.Len()
			s.Left = (m.spec.For * time.Duration(m.spec.Pictures-s.Pictures) / time.Duration(m.spec.Pictures)).Seconds()
		})
		select {
		case f := <-m.pictures:
			err := album.Add(f)
			f.Release()
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.set(func(s *MakeStatus) { s.Pictures = album.Len() })
	return nil
}

// hand gives the streams their network, loaded and compiled for their pictures. One on
// a GPU, whose networks are settled from the start, begins with it at the next start.
func (m *maker) hand(ctx context.Context, made Made) error {
	if err := m.alone(ctx); err != nil { // the pipeline's networks are one table
		return err
	}
	defer m.done()
	for _, t := range m.members {
		if t.gpu != nil {
			t.waits.Store(true)
			m.log.Info("a stream on a GPU takes its optimized network at the next start", slog.String("stream", t.st.Name))
		}
		if t.gpu != nil || t.handed || ctx.Err() != nil {
			continue // not lost: a stream goes on with what it has
		}
		n, err := m.p.sibling(t.st, filepath.Join(m.folder, made.File), t.shadow.original.detector.spec.Labels, t.gpu, m.o, m.log)
		if err != nil {
			return fmt.Errorf("load the optimized network: %w", err)
		}
		n.detector.start()
		if st := t.shadow.stream.status.snapshot(); st.Width > 0 {
			if shape := n.session.Ideal(st.Width, st.Height); n.session.Prepare(shape) != nil {
				m.log.Debug("not compiled for this picture size yet", slog.Any("size", shape))
			}
		}
		t.handed = true
		t.shadow.offer(&n)
	}
	m.set(func(s *MakeStatus) { s.State, s.Made = makeReady, &made })
	m.log.Info("optimized network was made", slog.Float64("recall", made.Recall), slog.Float64("precision", made.Precision),
		slog.Float64("times_as_fast", made.Speedup))
	return nil
}
