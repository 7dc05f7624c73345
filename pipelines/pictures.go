package pipelines

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/pipelines/delivery"
	"sightline/pipelines/snapshots"
	"sightline/pipelines/spec"
	"sightline/sink/snapshot"
)

// snapshotsName stands for them where sinks are named.
const snapshotsName = "snapshots"

// mostHeld is how many frames of a stream are kept for its photographer.
const mostHeld = snapshots.MostHeld

// newAlbum returns nil where nothing is to be kept. It touches no disk and no network.
func (p *Pipeline) newAlbum(c *spec.Snapshots) (*snapshots.Album, error) {
	if c == nil {
		return nil, nil
	}
	out := snapshots.Config{
		Config: snapshot.Config{Path: c.Path, Quality: c.Quality, Margin: c.Margin, Blur: c.Blur, Max: int64(c.Max), MaxAge: c.MaxAge},
		Tell:   func(r detect.ReasonInfo) { p.sinkState(delivery.State{Name: snapshotsName, Told: r}) },
	}
	for _, t := range c.Types {
		out.Types = append(out.Types, detect.Type(t))
	}
	if s := c.S3; s != nil {
		out.S3 = &snapshot.S3{
			Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix, AccessKey: s.AccessKey, SecretKey: s.SecretKey.Current,
		}
		if t := s.TLS; t != nil {
			out.S3.TLS = &snapshot.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
		}
	}
	return snapshots.New(out, p.log.With(slog.String("sink", snapshotsName)))
}

// photographer is a stream's, with the frames that rows keep for it. A nil one, of a
// stream whose events get no pictures, does nothing.
type photographer struct {
	*snapshots.Photographer

	shown *decode.Frame // what is being put into a batch, and its row: the decoding goroutine's
	taker *row
}

// show holds a frame for the row it is about to be written into. The decoding
// goroutine's, as is replaced.
func (p *photographer) show(r *row, f *decode.Frame) {
	if p != nil {
		p.shown, p.taker = f, r
		r.picture = p.Hold(f)
	}
}

// replaced gives the place of a row that was taken over to the one that did it.
func (p *photographer) replaced(old *row) {
	p.release(old)
	if p.taker.picture == nil {
		p.taker.picture = p.Hold(p.shown)
	}
}

// release gives a row's frame back; once is enough, more do no harm.
func (p *photographer) release(r *row) {
	if p != nil && r.picture != nil {
		p.Free(r.picture)
		r.picture = nil
	}
}

// behind tells whether so much waits that a live stream should not be inferred.
func (p *photographer) behind() bool { return p != nil && p.Waiting() >= backlog }

func (p *photographer) start() {
	if p != nil {
		p.Start()
	}
}

func (p *photographer) finish() {
	if p != nil {
		p.Finish()
	}
}

func (p *photographer) leaveDevice() {
	if p != nil {
		p.LeaveDevice()
	}
}

// addPhotographer puts one between a stream's analyst and the sinks.
func (p *Pipeline) addPhotographer(s *stream, st *spec.Stream) {
	if p.snapshots == nil || !s.analyze {
		return
	}
	s.shoot = &photographer{Photographer: p.snapshots.Photographer(snapshots.Stream{
		Name: s.name, Lossless: s.lossless, Emit: s.analyst.emit, Sinks: s.analyst.sinks,
		Core: func() (leave func()) {
			core := p.gate.enter(workSnapshot, time.Time{})
			return func() { p.gate.leave(core) }
		},
	})}
	s.analyst.shoot, s.analyst.emit = s.shoot, s.shoot.Tell
	if found := withBlurred(st.Detect.Classes, p.spec.Snapshots.Blur); len(found) > len(st.Detect.Classes) {
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
	if p.spec.Snapshots == nil {
		return st.Detect.Classes, nil
	}
	for _, class := range p.spec.Snapshots.Blur {
		if !slices.Contains(labels, class) {
			return nil, fmt.Errorf("snapshots.blur: the model %s does not know %q, so nothing would be blurred", st.Detect.Model, class)
		}
	}
	return withBlurred(st.Detect.Classes, p.spec.Snapshots.Blur), nil
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
	if p.spec.Snapshots == nil {
		return n
	}
	return min(n, mostHeld)
}

// Snapshots is nil where no pictures are kept.
func (p *Pipeline) Snapshots() *snapshots.Status {
	if p.snapshots == nil {
		return nil
	}
	return p.snapshots.Status()
}

// Snapshot opens a picture by its name below the folder, as events' uri ends with
// it; the caller closes it. Whatever is no picture's name is fs.ErrNotExist.
func (p *Pipeline) Snapshot(name string) (*os.File, error) {
	if p.snapshots == nil {
		return nil, fs.ErrNotExist
	}
	return p.snapshots.Open(name)
}
