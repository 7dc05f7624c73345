package snapshots

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sightline/decode"
	"sightline/detect"
	"sightline/sink/snapshot"
)

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

// handle makes the pictures of a shot, has them kept, and emits its events.
func (p *Photographer) handle(s Shot) {
	pictures := p.develop(s)
	var keep []*keeping
	for i, picture := range pictures {
		if picture != nil {
			ev := &s.Events[i]
			keep = append(keep, &keeping{event: ev, picture: picture, name: snapshot.Name(ev.Time, p.stream.Name, ev.ID)})
		}
	}
	if len(keep) > 0 {
		p.album.keep(keep, p.stream.Lossless)
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
	for i := range s.Events {
		if account := s.Events[i].Data.Accounting; account != nil && !p.stream.Lossless {
			account.Sinks = p.stream.Sinks() // what was before it in the queue had reached none when it was drawn up
		}
	}
	p.stream.Emit(s.Events)
}

// develop cuts the picture of each event that gets one, takes better views of the
// objects there are, and gives the frame back.
func (p *Photographer) develop(s Shot) []*snapshot.Picture {
	pictures := make([]*snapshot.Picture, len(s.Events))
	if s.Frame == nil && !slices.ContainsFunc(s.Events, func(ev detect.Event) bool { return p.album.types[ev.Type] }) {
		return pictures
	}
	defer p.stream.Core()()
	hide := snapshot.Hidden(p.album.cfg.Blur, s.Dets, s.Tracks)
	if s.Frame != nil {
		defer p.Free(s.Frame)
		if p.best != nil {
			refused, err := p.best.Look(s.Frame, s.Tracks, hide)
			p.lose(pictureView, refused)
			if err != nil {
				p.lose(pictureFailed, 1)
			}
		}
	}
	same := map[string]*snapshot.Picture{} // several events of an object at a time show the same
	for i := range s.Events {
		ev := &s.Events[i]
		switch {
		case !p.album.types[ev.Type] || ev.Data.Object == nil:
		case ev.Type == detect.ObjectEnded:
			if pictures[i] = p.best.Take(trackNumber(ev.Data.Object.TrackID)); pictures[i] == nil {
				p.lose(pictureNoView, 1)
			}
		case s.Frame != nil:
			pictures[i] = p.cut(s.Frame, ev.Data.Object, hide, same)
		case s.Scene:
			p.lose(pictureBusy, 1)
		default:
			p.lose(pictureNone, 1)
		}
	}
	return pictures
}

func (p *Photographer) cut(f *decode.Frame, o *detect.Object, hide []detect.Rect, same map[string]*snapshot.Picture) *snapshot.Picture {
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

func (p *Photographer) lose(reason string, n int) {
	if n > 0 {
		p.mu.Lock()
		p.givenUp[reason] += uint64(n)
		p.mu.Unlock()
	}
}

func (p *Photographer) counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Counts{Kept: p.kept, GivenUp: maps.Clone(p.givenUp)}
}
