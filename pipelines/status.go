package pipelines

import (
	"slices"
	"sync"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

// StreamStatus is one stream as people ask for it.
type StreamStatus struct {
	Name          string             `json:"name"`
	Title         string             `json:"title,omitempty"`
	Kind          string             `json:"kind"`
	State         string             `json:"state"`               // starting, online (pictures come), offline, idle (on demand, nobody watches), ended
	OnDemand      bool               `json:"on_demand,omitempty"` // read only while somebody watches
	Reason        *detect.ReasonInfo `json:"reason,omitempty"`
	Epoch         string             `json:"epoch,omitempty"`
	Codec         string             `json:"codec,omitempty"`
	Width         int                `json:"width,omitempty"`
	Height        int                `json:"height,omitempty"`
	Packets       uint64             `json:"packets"`
	Bytes         uint64             `json:"bytes"`
	LastFrame     *time.Time         `json:"last_frame,omitempty"` // capture time of the last frame inferred
	Clock         *ClockStatus       `json:"clock,omitempty"`      // of the last packet
	Input         InputStatus        `json:"input"`
	View          *ViewStatus        `json:"view,omitempty"` // the larger stream, for people, where another one is analyzed
	Queue         int                `json:"queue"`          // packets waiting for the decoder
	QueueBytes    int                `json:"queue_bytes"`    // their memory, 40 MiB at most
	Keep          float64            `json:"keep"`           // share of each group of pictures decoded; below 1 under overload
	DecodeSeconds float64            `json:"decode_seconds"` // processor time of decoding
	Decoder       DecoderStatus      `json:"decoder"`
	LostSeconds   float64            `json:"lost_seconds"`       // of the stream, not analyzed because of damage
	Degraded      []string           `json:"degraded,omitempty"` // what is wrong now with what is delivered: damaged, frozen, black, covered, blurred, moved, disagreement, gpu_lost
	Model         detect.Model       `json:"model"`
	Ledger        detect.Ledger      `json:"ledger"`
	Optimized     *OptimizeStatus    `json:"optimized,omitempty"` // where there is a smaller network, or one is made
}

// ClockStatus is how well a stream's capture times are known.
type ClockStatus struct {
	Source        string  `json:"source"`
	OffsetMs      float64 `json:"offset_ms"`      // sender's clock minus this machine's
	UncertaintyMs float64 `json:"uncertainty_ms"` // 0 is unknown
	DriftPPM      float64 `json:"drift_ppm"`      // by which the sender's media clock is faster than this machine's
}

// DecoderStatus is what decodes a stream.
type DecoderStatus struct {
	Name    string `json:"name,omitempty"`   // as FFmpeg calls it; "" before the first picture
	Device  string `json:"device,omitempty"` // what it works on, "" for the processor
	Note    string `json:"note,omitempty"`   // why no device decodes where one was asked for
	Bytes   int64  `json:"bytes"`            // memory of its pictures, those it keeps for reuse included
	Ceiling int64  `json:"ceiling"`          // of that, at the size of the last picture

	Surfaces     int    `json:"surfaces,omitempty"`      // pictures in a GPU's memory that are decoded into
	SurfaceBytes int64  `json:"surface_bytes,omitempty"` // their memory
	Out          int    `json:"out,omitempty"`           // of them, on their way through the pipeline
	Refused      uint64 `json:"refused,omitempty"`       // pictures that were not handed out, as too many were
	Retries      uint64 `json:"retries,omitempty"`       // of a GPU that had no decoder for the stream; see Note
}

// InputStatus is where a stream is read from, and how that goes.
type InputStatus struct {
	URL       string `json:"url"`       // secrets masked
	Index     int    `json:"index"`     // 0 is url itself, others count the fallbacks
	Connects  uint64 `json:"connects"`  // how often the source was begun
	Abandoned uint64 `json:"abandoned"` // sources that did not end when told to

	Losses *ingest.Losses `json:"losses,omitempty"` // of packets, in all since the start; nil where none can get lost
}

// ViewStatus is the stream for people of a camera with two.
type ViewStatus struct {
	State   string             `json:"state"` // idle, online, offline
	Reason  *detect.ReasonInfo `json:"reason,omitempty"`
	Codec   string             `json:"codec,omitempty"`
	Packets uint64             `json:"packets"`
	Bytes   uint64             `json:"bytes"`
	Input   InputStatus        `json:"input"`
}

// state is the changing part of a stream's status.
type state struct {
	mu    sync.Mutex
	s     StreamStatus
	clock ingest.Clock // of the last packet
	told  []string     // reasons why it is away, since it was there
}

// runs notes which network runs, on what.
func (st *state) runs(m detect.Model) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.Model = m
}

func (st *state) packet(p ingest.Packet) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.Packets++
	st.s.Bytes += uint64(len(p.Data))
	st.s.Codec = string(p.Codec)
	st.clock = p.Clock
}

// packets is how many have come.
func (st *state) packets() uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.s.Packets
}

// online notes the first picture of an epoch.
func (st *state) online(epoch string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.State, st.s.Reason, st.s.Epoch, st.told = "online", nil, epoch, nil // not lost: told has reasons
}

func (st *state) size(width, height int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.Width, st.s.Height = width, height
}

func (st *state) inferred(at time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.LastFrame = &at
}

// offline notes why the stream is away and says whether that is news.
func (st *state) offline(r detect.ReasonInfo) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	before, now := st.s.State, "offline"
	if r.Code == idle {
		now = idle
	}
	if now != before && (now == idle || before != idle) { // it went away; or whoever watches next is told anew
		st.told = nil // not lost: reasons
	}
	st.s.State, st.s.Reason = now, &r
	return st.news(r.Code)
}

// news tells whether a reason has not been told since the stream was there: several
// addresses may fail in turn, each for its own.
func (st *state) news(reason string) bool {
	if slices.Contains(st.told, reason) {
		return false
	}
	st.told = append(st.told, reason)
	return true
}

// trouble notes why a stream that is not online is not, although its source is
// connected, and says whether that is news.
func (st *state) trouble(r detect.ReasonInfo) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.Reason = &r
	return st.news(r.Code)
}

func (st *state) ended() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.State = "ended"
}

func (st *state) snapshot() StreamStatus {
	st.mu.Lock()
	defer st.mu.Unlock()
	out := st.s
	if c := st.clock; c.Source != "" {
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
		out.Clock = &ClockStatus{Source: string(c.Source), OffsetMs: ms(c.Offset), UncertaintyMs: ms(c.Uncertainty), DriftPPM: c.Drift}
	}
	return out
}
