package snapshots

import (
	"slices"
	"sync"
	"sync/atomic"

	"sightline/decode"
	"sightline/detect"
	"sightline/sink/snapshot"
)

// MostHeld is how many frames of a stream are kept beyond their inference's
// beginning: decoders' surfaces are few.
const MostHeld = 2

// Stream is what a photographer has to know of its own.
type Stream struct {
	Name string
	// Lossless streams have every picture made, and who hands over a shot waits for it.
	Lossless bool
	Core     func() (leave func())               // waits for a core to cut pictures on
	Emit     func([]detect.Event)                // hands events on, in order
	Sinks    func() map[string]detect.SinkLedger // what became of the events handed on so far
}

// Photographer stands between one stream's analyst and its sinks, and gives events
// their pictures. The analyst of a live stream never waits for it: a goroutine of its
// own cuts, waits for the disk and emits, in order. For a lossless stream the analyst
// does so itself, and every picture is made.
type Photographer struct {
	stream  Stream
	album   *Album
	best    *snapshot.Best // nil where object.ended gets no picture
	held    atomic.Int32
	cutter  *snapshot.Cutter
	device  decode.Fetcher // of frames on one
	running sync.WaitGroup

	mu      sync.Mutex
	queue   []Shot
	closed  bool
	wake    chan struct{}
	kept    uint64
	givenUp map[string]uint64
}

// Shot is a frame that was analyzed, with what it gave rise to. Who hands it over gives
// its slices away, but for the tracks of a live stream, and the frame's reference.
type Shot struct {
	Frame  *decode.Frame      // as Hold returned it
	Scene  bool               // a frame decided the events, be it held or not
	Dets   []detect.Detection // all, also those that are only to be blurred
	Tracks []detect.Track
	Events []detect.Event
}

// Photographer makes that of a stream, before Run.
func (a *Album) Photographer(s Stream) *Photographer {
	p := &Photographer{stream: s, album: a, wake: make(chan struct{}, 1), givenUp: map[string]uint64{}}
	p.cutter = a.cutter.With(p.device.Part)
	if a.types[detect.ObjectEnded] {
		most := mostViews
		if s.Lossless {
			most = 0
		}
		p.best = snapshot.NewBest(p.cutter, most)
	}
	a.photographers = append(a.photographers, p)
	return p
}

// Hold keeps a frame until Free or Take gets it: f with a reference more, or nil where
// there are enough already.
func (p *Photographer) Hold(f *decode.Frame) *decode.Frame {
	if p.held.Add(1) > MostHeld {
		p.held.Add(-1)
		return nil
	}
	return f.Retain()
}

// Free gives back a frame that Hold has kept.
func (p *Photographer) Free(f *decode.Frame) {
	f.Release()
	p.held.Add(-1)
}

// Tell takes events that no frame decided. Like Take it is called by the analyst alone.
func (p *Photographer) Tell(events []detect.Event) { p.Take(Shot{Events: events}) }

// Take takes a frame and its events. Only a lossless stream's caller waits.
func (p *Photographer) Take(s Shot) {
	if p.stream.Lossless {
		p.handle(s)
		return
	}
	s.Tracks = slices.Clone(s.Tracks) // the tracker's own
	p.mu.Lock()
	p.queue = append(p.queue, s)
	p.mu.Unlock()
	signal(p.wake)
}

// Waiting is how many shots wait: a live stream with many should not be inferred.
func (p *Photographer) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// Start begins the goroutine of a live stream; Finish must follow.
func (p *Photographer) Start() {
	if !p.stream.Lossless {
		p.running.Go(p.run)
	}
}

// Finish says that nothing follows, and returns when all there was is emitted.
func (p *Photographer) Finish() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	signal(p.wake)
	p.running.Wait()
	p.device.Close()
}

// LeaveDevice gives back what is kept of a GPU that was lost.
func (p *Photographer) LeaveDevice() { p.device.Close() }

// run works until Finish was called and nothing is left.
func (p *Photographer) run() {
	for {
		p.mu.Lock()
		shots, closed := p.queue, p.closed
		p.queue = nil
		p.mu.Unlock()
		for _, s := range shots {
			p.handle(s)
		}
		switch {
		case len(shots) > 0:
		case closed:
			return
		default:
			<-p.wake
		}
	}
}
