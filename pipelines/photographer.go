package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/sink/snapshot"
)

// mostHeld is how many frames of a stream are kept beyond their inference's
// beginning: decoders' surfaces are few.
const mostHeld = 2

// mostViews is how many views of one live frame are encoded, so that a crowd does
// not keep a core for long.
const mostViews = 8

// Reasons why an event goes out without a picture.
const (
	pictureBusy   = "busy"      // its frame was not held: there were enough already
	pictureNone   = "no_frame"  // no frame decided it
	pictureNoView = "no_view"   // of object.ended: the object was never seen in a frame that was held
	pictureFailed = "failed"    // it could not be cut or encoded
	pictureView   = "view"      // a better view that was passed over, as there were many at once or no room: another may come
	pictureDisk   = "disk"      // the folder did not take it
	pictureSlow   = "slow_disk" // nor in time
)

// photographer stands between one stream's analyst and its sinks, and gives
// events their pictures. The analyst of a live stream never waits for it: a
// goroutine of its own cuts, waits for the disk and emits, in order. For a
// lossless stream the analyst does so itself, and every picture is made. A nil
// photographer holds nothing.
type photographer struct {
	stream   string
	lossless bool
	album    *snapshots
	best     *snapshot.Best // nil where object.ended gets no picture
	gate     *gate
	emit     func([]detect.Event)
	sinks    func() map[string]detect.SinkLedger
	held     atomic.Int32
	cutter   *snapshot.Cutter
	device   decode.Fetcher // of frames on one
	running  sync.WaitGroup

	shown *decode.Frame // what is being put into a batch, and its row: the decoding goroutine's
	taker *row

	mu      sync.Mutex
	queue   []shot
	closed  bool
	wake    chan struct{}
	kept    uint64
	givenUp map[string]uint64
}

// shot is a frame that was analyzed, with what it gave rise to. Events that no
// frame decided have none.
type shot struct {
	frame  *decode.Frame // one reference, or nil
	scene  bool
	dets   []detect.Detection // all, also those that are only to be blurred
	tracks []detect.Track
	events []detect.Event
}

func newPhotographer(album *snapshots, stream string, lossless bool, g *gate, emit func([]detect.Event)) *photographer {
	p := &photographer{
		stream: stream, lossless: lossless, album: album, gate: g, emit: emit, wake: make(chan struct{}, 1), givenUp: map[string]uint64{},
	}
	p.cutter = album.cutter.With(p.device.Part)
	if album.types[detect.ObjectEnded] {
		most := mostViews
		if lossless {
			most = 0
		}
		p.best = snapshot.NewBest(p.cutter, most)
	}
	return p
}

// show holds a frame for the row it is about to be written into. The decoding
// goroutine's, as is replaced.
func (p *photographer) show(r *row, f *decode.Frame) {
	if p == nil {
		return
	}
	p.shown, p.taker = f, r
	r.picture = p.hold(f)
}

// replaced gives the place of a row that was taken over to the one that did it.
func (p *photographer) replaced(old *row) {
	if p == nil {
		return
	}
	p.release(old)
	if p.taker.picture == nil {
		p.taker.picture = p.hold(p.shown)
	}
}

func (p *photographer) hold(f *decode.Frame) *decode.Frame {
	if p.held.Add(1) > mostHeld {
		p.held.Add(-1)
		return nil
	}
	return f.Retain()
}

// release gives a row's frame back; once is enough, more do no harm.
func (p *photographer) release(r *row) {
	if p == nil || r.picture == nil {
		return
	}
	p.free(r.picture)
	r.picture = nil
}

func (p *photographer) free(f *decode.Frame) {
	f.Release()
	p.held.Add(-1)
}

// tell takes events that no frame decided.
func (p *photographer) tell(events []detect.Event) { p.take(shot{events: events}) }

// take takes a frame and its events. Only a lossless stream's caller waits.
func (p *photographer) take(s shot) {
	if p.lossless {
		p.handle(s)
		return
	}
	s.tracks = slices.Clone(s.tracks) // the tracker's own
	p.mu.Lock()
	p.queue = append(p.queue, s)
	p.mu.Unlock()
	p.signal()
}

// behind tells whether so much waits that a live stream should not be inferred.
func (p *photographer) behind() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) >= backlog
}

func (p *photographer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// start begins the goroutine of a live stream; finish must follow.
func (p *photographer) start() {
	if p != nil && !p.lossless {
		p.running.Go(p.run)
	}
}

// finish says that nothing follows, and returns when all there was is emitted.
func (p *photographer) finish() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.signal()
	p.running.Wait()
	p.device.Close()
}

// leaveDevice gives back what is kept of a GPU that was lost.
func (p *photographer) leaveDevice() {
	if p != nil {
		p.device.Close()
	}
}

// run works until finish was called and nothing is left.
func (p *photographer) run() {
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

// handle makes the pictures of a shot, has them kept, and emits its events.
func (p *photographer) handle(s shot) {
	pictures := p.develop(s)
	var keep []*keeping
	for i, picture := range pictures {
		if picture != nil {
			ev := &s.events[i]
			keep = append(keep, &keeping{event: ev, picture: picture, name: snapshot.Name(ev.Time, p.stream, ev.ID)})
		}
	}
	if len(keep) > 0 {
		p.album.keep(keep, p.lossless)
	}
	for _, k := range keep {
		if k.failed != "" {
			p.lose(k.failed, 1)
			continue
		}
		p.album.attach(k)
		p.mu.Lock()
		p.kept++
		p.mu.Unlock()
	}
	for i := range s.events {
		if account := s.events[i].Data.Accounting; account != nil && !p.lossless {
			account.Sinks = p.sinks() // what was before it in the queue had reached none when it was drawn up
		}
	}
	p.emit(s.events)
}

// develop cuts the picture of each event that gets one, takes better views of the
// objects there are, and gives the frame back.
func (p *photographer) develop(s shot) []*snapshot.Picture {
	pictures := make([]*snapshot.Picture, len(s.events))
	if s.frame == nil && !slices.ContainsFunc(s.events, func(ev detect.Event) bool { return p.album.types[ev.Type] }) {
		return pictures
	}
	core := p.gate.enter(workSnapshot, time.Time{})
	defer p.gate.leave(core)
	hide := snapshot.Hidden(p.album.blur, s.dets, s.tracks)
	if s.frame != nil {
		defer p.free(s.frame)
		if p.best != nil {
			refused, err := p.best.Look(s.frame, s.tracks, hide)
			p.lose(pictureView, refused)
			if err != nil {
				p.lose(pictureFailed, 1)
			}
		}
	}
	same := map[string]*snapshot.Picture{} // several events of an object at a time show the same
	for i := range s.events {
		ev := &s.events[i]
		switch {
		case !p.album.types[ev.Type] || ev.Data.Object == nil:
		case ev.Type == detect.ObjectEnded:
			if pictures[i] = p.best.Take(trackNumber(ev.Data.Object.TrackID)); pictures[i] == nil {
				p.lose(pictureNoView, 1)
			}
		case s.frame != nil:
			pictures[i] = p.cut(s.frame, ev.Data.Object, hide, same)
		case s.scene:
			p.lose(pictureBusy, 1)
		default:
			p.lose(pictureNone, 1)
		}
	}
	return pictures
}

func (p *photographer) cut(f *decode.Frame, o *detect.Object, hide []detect.Rect, same map[string]*snapshot.Picture) *snapshot.Picture {
	if picture := same[o.TrackID]; picture != nil {
		return picture
	}
	picture, err := p.cutter.Cut(f, o.BBox, hide)
	if err != nil {
		p.lose(pictureFailed, 1)
		return nil
	}
	same[o.TrackID] = picture
	return picture
}

// trackNumber is the number at the end of a track's id.
func trackNumber(id string) uint64 {
	n, err := strconv.ParseUint(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	if err != nil {
		return 0 // no track's
	}
	return n
}

func (p *photographer) lose(reason string, n int) {
	if n > 0 {
		p.mu.Lock()
		p.givenUp[reason] += uint64(n)
		p.mu.Unlock()
	}
}

// attach names a picture that was kept in its event.
func (a *snapshots) attach(k *keeping) {
	sum, p := sha256.Sum256(k.picture.JPEG), k.picture
	k.event.DataRef = a.uri(k.name)
	k.event.Data.Media = &detect.Media{Snapshot: &detect.Snapshot{
		URI: k.event.DataRef, SHA256: hex.EncodeToString(sum[:]), Bytes: len(p.JPEG), Width: p.Width, Height: p.Height,
		Region: p.Region, Frame: p.Frame, Time: p.Time, Blurred: a.blur,
	}}
}
