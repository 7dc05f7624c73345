package pipelines

import (
	"sync"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

// StreamStatus is one stream as people ask for it.
type StreamStatus struct {
	Name      string             `json:"name"`
	Title     string             `json:"title,omitempty"`
	Kind      string             `json:"kind"`
	State     string             `json:"state"` // starting, online (pictures come), offline, ended
	Reason    *detect.ReasonInfo `json:"reason,omitempty"`
	Epoch     string             `json:"epoch,omitempty"`
	Codec     string             `json:"codec,omitempty"`
	Width     int                `json:"width,omitempty"`
	Height    int                `json:"height,omitempty"`
	Packets   uint64             `json:"packets"`
	Bytes     uint64             `json:"bytes"`
	LastFrame *time.Time         `json:"last_frame,omitempty"` // capture time of the last frame inferred
	Queue     int                `json:"queue"`                // packets waiting for the decoder
	Keep      float64            `json:"keep"`                 // share of each group of pictures decoded; below 1 under overload
	Model     detect.Model       `json:"model"`
	Ledger    detect.Ledger      `json:"ledger"`
}

// state is the changing part of a stream's status.
type state struct {
	mu sync.Mutex
	s  StreamStatus
}

func (st *state) packet(p ingest.Packet) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.Packets++
	st.s.Bytes += uint64(len(p.Data))
	st.s.Codec = string(p.Codec)
}

// online notes the first picture of an epoch.
func (st *state) online(epoch string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.State, st.s.Reason, st.s.Epoch = "online", nil, epoch
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
	news := st.s.State != "offline" || st.s.Reason == nil || st.s.Reason.Code != r.Code
	st.s.State, st.s.Reason = "offline", &r
	return news
}

func (st *state) ended() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.s.State = "ended"
}

func (st *state) snapshot() StreamStatus {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.s
}
