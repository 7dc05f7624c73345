package pipelines

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

// viewed is the large stream of a camera whose small one is analyzed: it is read
// only while somebody watches, and never decoded here. Capture times say which
// boxes of the small stream belong to which of its pictures.
type viewed struct {
	packets *hub[ingest.Packet]
	pull    *puller
	status  *state
}

// newViewed makes it of its addresses. Who watches it wants boxes, too: analysis
// is told of them, where it runs on demand.
func newViewed(inputs []*input, timeout time.Duration, analysis *demand, log *slog.Logger) *viewed {
	v := &viewed{packets: newHub[ingest.Packet](nil), status: &state{}}
	v.status.s.State = idle
	d := newDemand()
	v.packets.told = func(n int) {
		d.add(n)
		analysis.add(n)
	}
	v.pull = &puller{
		live: true, log: log, inputs: inputs, timeout: timeout, demand: d,
		receive: v.receive, ended: v.ended, trouble: func(detect.ReasonInfo) {}, use: v.status.packets,
	}
	return v
}

// runWith runs the stream, and beside it what people who watch are shown.
func (s *stream) runWith(ctx context.Context) error {
	if s.viewed == nil {
		return s.run(ctx)
	}
	beside, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.viewed.pull.run(beside) }) // what is live has no error in the end
	err := s.run(ctx)
	cancel()
	wg.Wait()
	return err
}

func (v *viewed) receive(_ context.Context, p ingest.Packet) error {
	v.status.packet(p)
	v.status.online(p.Epoch)
	v.packets.publish(func() ingest.Packet { return p })
	return nil
}

func (v *viewed) ended(r detect.ReasonInfo) {
	if v.status.offline(r) && r.Code != idle && r.Code != shutdown {
		v.pull.log.Warn("stream for viewers is offline", slog.String("reason", r.Code), slog.String("error", r.Message))
	}
}

func (v *viewed) snapshot() *ViewStatus {
	s := v.status.snapshot()
	return &ViewStatus{State: s.State, Reason: s.Reason, Codec: s.Codec, Packets: s.Packets, Bytes: s.Bytes, Input: v.pull.status()}
}
