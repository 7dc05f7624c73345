package optimization

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

// Maker makes one network in the background: it collects pictures of its streams while
// they run on the original, has the network made by a process of its own, one at a
// time and after everything else that wants the processor, and hands it to the
// streams. What it has is kept on disk, where it goes on at the next start.
type Maker struct {
	spec     spec.Optimize
	model    string // path of the original
	recipe   recipe
	engine   string
	folder   string
	compiler []string
	libDirs  []string
	log      *slog.Logger
	press    chan struct{} // who makes or loads a network holds it

	pictures chan *decode.Frame // one waits at most
	full     atomic.Bool        // no more are wanted
	give     []Give

	held *os.File // while it is there, nothing removes the folder

	mu     sync.Mutex
	status Status
}

// Give lets a stream have the network in a file, unless ctx has ended. It is called by
// one goroutine, and no other network of the pipeline is made or loaded meanwhile; again
// where it failed for this stream or another one.
type Give func(ctx context.Context, file string) error

// Join adds a stream that the network is made for. Not once the makers run.
func (m *Maker) Join(give Give) { m.give = append(m.give, give) }

// Pace is the time from one picture that a stream offers to its next.
func (m *Maker) Pace() time.Duration {
	return m.spec.For * time.Duration(len(m.recipe.Binds)) / time.Duration(m.spec.Pictures)
}

// Wants tells whether a picture is wanted now: not while the one before is still being
// written. Any goroutine may ask.
func (m *Maker) Wants() bool { return !m.full.Load() && len(m.pictures) < cap(m.pictures) }

// Offer puts a picture in host memory aside, which it retains, and returns false where
// another stream was faster. Any goroutine may call it; it does not wait.
func (m *Maker) Offer(f *decode.Frame) bool {
	select {
	case m.pictures <- f.Retain():
		return true
	default:
		f.Release()
		return false
	}
}

// name is the file of the network, and so what events call it.
func (m *Maker) name() string {
	return strings.TrimSuffix(filepath.Base(m.model), ".onnx") + "-" + m.recipe.Mode + ".onnx"
}

// run makes the network, if there is one to be made, and returns when ctx ends, which
// is after the streams' end.
func (m *Maker) run(ctx context.Context) {
	if m.Status().State == Collecting {
		m.insist(ctx)
	}
	m.enough()
	<-ctx.Done()
	m.letGo()
	m.enough() // a stream may just have offered one
}

// enough takes no more pictures, and gives back the one that waits.
func (m *Maker) enough() {
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
func (m *Maker) lock(ctx context.Context) (*os.File, error) {
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
		m.set(func(s *Status) { s.State = Waiting })
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}

func (m *Maker) make(ctx context.Context) error {
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
		m.set(func(s *Status) { s.State, s.Reason = Refused, made.Refused })
		m.log.Warn("no optimized network: the original goes on", slog.String("reason", made.Refused))
		return nil
	}
	return m.hand(ctx, made)
}

// anew makes the network out of new pictures. The caller has the lock.
func (m *Maker) anew(ctx context.Context) (Made, error) {
	m.set(func(s *Status) { s.State = Collecting })
	m.tidy()
	if err := keep(m.folder, recipeFile, m.recipe); err != nil {
		return Made{}, err
	}
	sweep(filepath.Dir(m.folder), time.Now(), m.log)
	if err := m.collect(ctx); err != nil {
		return Made{}, err
	}
	m.enough()
	m.set(func(s *Status) { s.State, s.Left = Waiting, 0 })
	if err := m.alone(ctx); err != nil {
		return Made{}, err
	}
	defer m.done()
	m.set(func(s *Status) { s.State = Compiling })
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
func (m *Maker) alone(ctx context.Context) error {
	select {
	case m.press <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Maker) done() { <-m.press }

// collect keeps pictures until there are enough.
func (m *Maker) collect(ctx context.Context) error {
	album, err := optimize.OpenAlbum(filepath.Join(m.folder, picturesFile))
	if err != nil {
		return err
	}
	defer album.Close()
	m.full.Store(false)
	m.log.Info("collecting pictures for an optimized network", slog.Int("have", album.Len()), slog.Int("want", m.spec.Pictures))
	for album.Len() < m.spec.Pictures && (album.Bytes() < mostPictures || album.Len() < leastMade) {
		m.set(func(s *Status) {
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
	m.set(func(s *Status) { s.Pictures = album.Len() })
	return nil
}

// hand gives the streams their network.
func (m *Maker) hand(ctx context.Context, made Made) error {
	if err := m.alone(ctx); err != nil { // the pipeline's networks are one table
		return err
	}
	defer m.done()
	for _, give := range m.give {
		if err := give(ctx, filepath.Join(m.folder, made.File)); err != nil {
			return fmt.Errorf("load the optimized network: %w", err)
		}
	}
	m.set(func(s *Status) { s.State, s.Made = Ready, &made })
	m.log.Info("optimized network was made", slog.Float64("recall", made.Recall), slog.Float64("precision", made.Precision),
		slog.Float64("times_as_fast", made.Speedup))
	return nil
}
