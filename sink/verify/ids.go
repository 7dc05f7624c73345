package verify

import (
	"crypto/sha1"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"time"

	"sightline/detect"
)

// eventNamespace is what detect.EventID says it is; written out here, because what
// is checked should not define the check.
const eventNamespace = "dc27052376ba5d1294c44bbcc7f6bcae"

const (
	nearOrdinals = 64         // tried behind the last one seen of the same name
	maxOrdinal   = 100_000    // of events that name no frame
	maxSearch    = 50_000_000 // hashes spent on ids that are not near, in one run
	maxHints     = 1 << 18    // names whose last ordinal is remembered, in each of two generations
)

// proof is what can be said of an id.
type proof int

const (
	proven  proof = iota // it is the UUIDv5 of the event's own fields
	shaped               // a UUIDv5, of which more cannot be said
	strange              // no event of this kind can have it
)

// identities recomputes ids. An event tells all its id is made of but, mostly, the
// ordinal, which is searched for: among those that can be, from the last one of the
// same name on.
type identities struct {
	seed   maphash.Seed
	hints  [2]map[uint64]uint64
	search int // hashes left
	name   []byte
}

func newIdentities() *identities {
	d := &identities{seed: maphash.MakeSeed(), search: maxSearch}
	for i := range d.hints {
		d.hints[i] = map[uint64]uint64{}
	}
	return d
}

// check recomputes the id of an event.
func (d *identities) check(ev *event) proof {
	id, ok := parseUUID(ev.ID)
	if !ok || id[6]>>4 != 5 || id[8]>>6 != 2 {
		return strange
	}
	if !ev.plain {
		return shaped
	}
	rule, track := "", ""
	if ev.data.Rule != nil {
		rule = ev.data.Rule.Name
	}
	if ev.data.Object != nil {
		track = ev.data.Object.TrackID
	}
	if ev.kind() == detect.SinkDegraded {
		rule, track = strings.TrimPrefix(ev.Subject, "sink/"), ev.data.code()
	}
	namespace, _ := hex.DecodeString(eventNamespace)
	d.name = append(d.name[:0], namespace...)
	for _, part := range []string{ev.Source, ev.epoch(), string(ev.kind()), rule, track} {
		d.name = append(append(d.name, part...), '\n')
	}
	d.name = slices.Grow(d.name, 20) // for the ordinal
	at := ""
	switch {
	case ev.data.Window != nil:
		at = ev.data.Window.Start
	case ev.epoch() == "":
		at = ev.Time
	default:
		return d.find(id, ordinals(ev))
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil || !d.matches(id, uint64(t.UnixMicro())) {
		return strange
	}
	return proven
}

// ordinals is the highest an event can have: one of a name is made a picture at
// most, and another at the end.
func ordinals(ev *event) uint64 {
	if ev.data.Frame == nil {
		return maxOrdinal
	}
	return ev.data.Frame.Index + 2
}

// find looks for the ordinal that makes the id.
func (d *identities) find(id [16]byte, limit uint64) proof {
	name := maphash.Bytes(d.seed, d.name)
	last, ok := d.hints[0][name]
	if !ok {
		last = d.hints[1][name]
	}
	for n := max(last, 1); n <= last+nearOrdinals; n++ {
		if d.matches(id, n) {
			d.remember(name, n)
			return proven
		}
	}
	for n := uint64(1); n <= limit; n++ {
		if d.search--; d.search < 0 {
			return shaped
		}
		if d.matches(id, n) {
			d.remember(name, n)
			return proven
		}
	}
	return strange
}

func (d *identities) remember(name, ordinal uint64) {
	if len(d.hints[0]) >= maxHints {
		d.hints[1] = d.hints[0]
		d.hints[0] = make(map[uint64]uint64, maxHints)
	}
	d.hints[0][name] = ordinal
}

// matches tells whether id is the UUIDv5 (RFC 4122) of the name and ordinal.
func (d *identities) matches(id [16]byte, ordinal uint64) bool {
	whole := strconv.AppendUint(d.name, ordinal, 10)
	sum := sha1.Sum(whole)
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	return [16]byte(sum[:16]) == id
}

// parseUUID reads the canonical form.
func parseUUID(text string) (id [16]byte, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text[:8]+text[9:13]+text[14:18]+text[19:23]+text[24:]))
	return id, err == nil && text == strings.ToLower(text)
}
