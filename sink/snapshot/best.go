package snapshot

import (
	"sightline/decode"
	"sightline/detect"
)

// mostViews bounds the memory of one stream's views, in bytes of JPEG.
const mostViews = 32 << 20

// Best keeps the best view of each living object of one stream, as a JPEG. One
// goroutine at a time.
type Best struct {
	cutter *Cutter
	most   int // new views of one frame; 0 is no bound
	room   int
	epoch  string
	views  map[uint64]kept
	bytes  int
}

type kept struct {
	view    View
	picture *Picture
}

// NewBest makes one that is empty. It takes at most so many new views of a frame, so
// that a crowd does not take long at once; 0 is no bound.
func NewBest(c *Cutter, most int) *Best {
	return &Best{cutter: c, most: most, room: mostViews, views: map[uint64]kept{}}
}

// Look takes what f shows of the objects that were found in it, where that is
// clearly better than what there is. hide is what must not be recognizable. It
// returns how many were passed over for want of room or time: the next frame may
// show them as well. f stays the caller's.
func (b *Best) Look(f *decode.Frame, tracks []detect.Track, hide []detect.Rect) (refused int, err error) {
	if f.Epoch != b.epoch { // ids begin anew
		clear(b.views) // not lost: the objects of an epoch that is over have ended
		b.epoch, b.bytes = f.Epoch, 0
	}
	taken := 0
	for _, t := range tracks {
		if !t.Confirmed || t.Detection < 0 {
			continue
		}
		old := b.views[t.ID]
		view, judgeErr := b.cutter.judge(f, t.Box, t.Score)
		if judgeErr != nil {
			err = judgeErr
			continue
		}
		if old.picture != nil && !view.Better(old.view) {
			continue
		}
		if b.most > 0 && taken == b.most {
			refused++
			continue
		}
		taken++
		p, cutErr := b.cutter.Cut(f, t.Box, hide)
		if cutErr != nil {
			err = cutErr
			continue
		}
		bytes := b.bytes + len(p.JPEG)
		if old.picture != nil {
			bytes -= len(old.picture.JPEG)
		}
		if bytes > b.room {
			refused++
			continue
		}
		b.views[t.ID], b.bytes = kept{view, p}, bytes
	}
	return refused, err
}

// Take returns the best view of an object, nil where there is none, and forgets it.
func (b *Best) Take(track uint64) *Picture {
	v, ok := b.views[track]
	if !ok {
		return nil
	}
	delete(b.views, track)
	b.bytes -= len(v.picture.JPEG)
	return v.picture
}
