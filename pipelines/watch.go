package pipelines

import (
	"net/http"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/ingest"
	"sightline/pipelines/spec"
)

// Spec is the pipeline's file as it was loaded.
func (p *Pipeline) Spec() *spec.Pipeline { return p.spec }

// Running tells whether streams are being read.
func (p *Pipeline) Running() bool { return p.running.Load() }

// Latency is the time from capture to acknowledgment of live streams' events.
func (p *Pipeline) Latency() *Histogram { return &p.latency }

// EventCounts is how many events of each type were made.
func (p *Pipeline) EventCounts() map[detect.Type]uint64 { return p.counts.snapshot() }

// Frames is how many decoded frames are held in memory now, by stages and watchers.
func (p *Pipeline) Frames() int { return p.frames.Frames() }

// Streams is every stream's status, in the order of the file.
func (p *Pipeline) Streams() []StreamStatus {
	out := make([]StreamStatus, 0, len(p.streams))
	for _, s := range p.streams {
		st := s.status.snapshot()
		st.Queue, st.QueueBytes = s.queue.Waiting()
		st.Input = s.pull.status()
		if s.viewed != nil {
			st.View = s.viewed.snapshot()
		}
		st.QueueBytes += int(s.heldNow.Load())
		st.DecodeSeconds = time.Duration(s.spent.Load()).Seconds()
		if d, ok := s.decoder.(decode.Informer); ok {
			info := d.Info()
			st.Decoder = DecoderStatus{
				Name: info.Decoder, Device: info.HWAccel, Note: info.Note, Bytes: info.Held, Ceiling: info.Ceiling,
				Surfaces: info.Surfaces, SurfaceBytes: info.SurfaceBytes, Out: info.Out, Refused: info.Refused, Retries: info.Retries,
			}
		}
		st.Keep = s.shed.Keep()
		st.Optimized = s.shadow.status()
		st.Ledger = s.ledger.snapshot()
		st.Ledger.Sinks = p.sinkLedgers(s.name)
		out = append(out, st)
	}
	return out
}

// WatchEvents subscribes to every event as it is made. The watcher must not
// change them; what finds its buffer full is missed.
func (p *Pipeline) WatchEvents(buffer int) *Subscription[*detect.Event] {
	return p.events.subscribe(buffer)
}

// WatchPackets subscribes to a stream's encoded packets as they arrive, before
// anything is decided about them: of a camera's two streams the main one, which
// begins to be read now. nil when there is no such stream.
func (p *Pipeline) WatchPackets(stream string, buffer int) *Subscription[ingest.Packet] {
	s := p.stream(stream)
	switch {
	case s == nil:
		return nil
	case s.viewed != nil:
		return s.viewed.packets.subscribe(buffer)
	}
	return s.watch.packets.subscribe(buffer)
}

// WatchFrames subscribes to a stream's decoded frames; the watcher releases each.
// A buffer of one or two is enough: frames are scarce. nil when there is no such
// stream.
func (p *Pipeline) WatchFrames(stream string, buffer int) *Subscription[*decode.Frame] {
	if s := p.stream(stream); s != nil {
		return s.watch.frames.subscribe(buffer)
	}
	return nil
}

// RequestKeyframe asks the source of what WatchPackets gives for a keyframe, where
// it can be asked.
func (p *Pipeline) RequestKeyframe(stream string) {
	s := p.stream(stream)
	switch {
	case s == nil:
	case s.viewed != nil:
		s.viewed.pull.requestKeyframe()
	default:
		s.pull.requestKeyframe()
	}
}

// Publisher is the handler of a stream that is published to over HTTP, nil for
// any other.
func (p *Pipeline) Publisher(name string) http.Handler {
	s := p.stream(name)
	if s == nil {
		return nil
	}
	h, _ := s.pull.source().(http.Handler)
	return h
}

func (p *Pipeline) stream(name string) *stream {
	for _, s := range p.streams {
		if s.name == name {
			return s
		}
	}
	return nil
}
