package decode

import (
	"bytes"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"sightline/ingest"
)

// trust follows which pictures are whole: decoded from all they refer to. After a
// loss none is until decoding could begin anew, whatever the decoder makes of it.
type trust struct {
	group   uint64 // id of the packet since which pictures belong together, 0 while one to begin at is awaited
	began   uint64 // id of the last packet that decoding can begin at
	damaged bool   // what follows may refer to pictures that are missing or not whole
	// lead is the time of a packet that ended damage, else 0: pictures shown
	// before it, though decoded after it, may refer to what was lost.
	lead time.Duration

	refreshing bool          // bit by bit, since a recovery point
	fresh      bool          // with no pictures before it
	refreshed  time.Duration // its time
	left       int           // pictures still to come
	latest     time.Duration // time of the latest shown since

	shown    time.Duration // time of the latest shown of all
	reorders bool          // pictures are shown in another order than decoded
	sps      []byte        // the last of H.264
	gaps     bool          // it allows pictures to be left out on purpose (gaps_in_frame_num)
}

// await makes the decoder wait for a place to begin.
func (t *trust) await() { t.group, t.damaged, t.refreshing, t.lead = 0, true, false, 0 }

// forget starts a new epoch.
func (t *trust) forget() { *t = trust{damaged: true} }

// lose notes that something was lost.
func (t *trust) lose() { t.damaged, t.refreshing = true, false }

// renews tells whether FFmpeg has to forget its pictures before it begins at a
// packet: after damage, what it made up for lost pictures of H.264, or kept because
// it never saw the order to drop it, would take places in the lists of references.
// An IDR picture makes it forget by itself. A refresh of pictures that are not reordered is the exception: lists are in the order of
// decoding, and it does better with pictures that are only damaged.
func (t *trust) renews(codec ingest.Codec, s start) bool {
	if codec != ingest.H264 || t.group == 0 || !t.damaged {
		return false
	}
	return s.kind == open || s.kind == refresh && !t.refreshing && t.reorders
}

// begun looks at the first picture that was decoded of a refresh. With no pictures
// at all to refer to FFmpeg makes some up, unless the frame number is 0; then it
// drops parts of the picture instead, and the refresh is none.
func (t *trust) begun(id uint64, madeUp bool) {
	if t.refreshing && t.fresh && t.began == id && !madeUp {
		t.refreshing = false
	}
}

// enter notes what a packet given to FFmpeg means for what follows, and tells
// whether its own picture is in doubt.
func (t *trust) enter(p ingest.Packet, s start, id uint64) (doubtful bool) {
	t.reorders = t.reorders || p.PTS < t.shown
	t.shown = max(t.shown, p.PTS)
	switch {
	case s.kind == closed, s.kind == open:
		t.lead = 0
		if s.broken || s.kind == open && t.damaged {
			t.lead = p.PTS
		}
		t.group, t.began, t.damaged, t.refreshing = id, id, false, false
		t.configure(p)
	case s.kind == refresh && t.damaged && !t.refreshing:
		if t.fresh = t.group == 0; t.fresh {
			t.group = id
			t.configure(p)
		}
		t.refreshing, t.began, t.left = true, id, s.count
		t.refreshed, t.latest = p.PTS, p.PTS
	case t.refreshing:
		t.advance(p, id)
	}
	return t.damaged || p.PTS < t.lead && !decodable(p)
}

// advance counts a picture after a recovery point. The pictures that are whole are
// those shown from then on (ITU-T H.264 D.2.8), so what is decoded later and shown
// earlier stays in doubt.
func (t *trust) advance(p ingest.Packet, id uint64) {
	t.latest = max(t.latest, p.PTS)
	if p.Codec == ingest.H265 && p.PTS > t.refreshed || p.Codec != ingest.H265 && !p.Disposable {
		t.left--
	}
	if t.left <= 0 {
		t.group, t.damaged, t.refreshing, t.lead = id, false, false, t.latest
	}
}

// configure looks whether a stream leaves pictures out on purpose, which then is no loss.
func (t *trust) configure(p ingest.Packet) {
	if p.Codec != ingest.H264 {
		return
	}
	for unit := range ingest.NALs(p.Data) {
		switch kind := unit[0] & 0x1f; {
		case kind == h264SPS && !bytes.Equal(unit, t.sps):
			var sps h264.SPS
			t.gaps = sps.Unmarshal(unit) == nil && sps.GapsInFrameNumValueAllowedFlag
			t.sps = bytes.Clone(unit)
		case kind >= h264SliceFirst && kind <= h264IDR:
			return
		}
	}
}

// missing notes that the picture of packet id refers to one that never came, which
// no source told of. That is natural where decoding began, and no news where doubt
// is on it already, as on what leads to a random access point.
func (d *decoder) missing(id uint64) {
	t := &d.trust
	if t.gaps || id == t.began {
		return
	}
	if e := d.window.find(id); e != nil && e.damaged {
		t.refreshing = t.refreshing && id < t.began
		return
	}
	d.spoil(id, false)
}

// spoil marks the picture of packet id and what follows; alone says that it is this
// picture which is not whole, so that what does not refer to it is.
func (d *decoder) spoil(id uint64, alone bool) {
	group := d.trust.group
	if e := d.window.find(id); e != nil {
		e.damaged, group = true, e.group
		if alone && e.packet.Disposable {
			return
		}
	} else if id < group {
		return // it went out, or was given up, before decoding began anew
	}
	d.window.damage(id, group)
	if group == d.trust.group {
		d.trust.lose()
	}
}
