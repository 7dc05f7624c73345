package pipelines

import (
	"context"
	"time"

	"sightline/detect"
	"sightline/pipelines/spec"
	"sightline/sink"
)

// outlet is one sink with what delivers to it.
type outlet struct {
	*Delivery
	name, kind string
	sink       sink.Sink
}

// newOutlet makes the delivery to a sink. Where every stream is lossless nothing
// is dropped: a full queue makes the files wait.
func (p *Pipeline) newOutlet(sp *spec.Sink, s sink.Sink) *outlet {
	o := &outlet{name: sp.Name, kind: sp.Kind, sink: s}
	c := DeliveryConfig{Name: sp.Name, MaxBytes: int64(sp.Buffer), Block: true, OnState: p.sinkState, OnAck: p.acknowledged}
	for _, t := range sp.Types {
		c.Types = append(c.Types, detect.Type(t))
	}
	for i := range p.spec.Streams {
		c.Block = c.Block && isLossless(&p.spec.Streams[i])
	}
	o.Delivery = NewDelivery(c, s, p.log)
	return o
}

func isLossless(st *spec.Stream) bool { return !st.Kind.Live() && st.Pace == "fastest" }

// lost is how many events were given up, of all streams.
func (o *outlet) lost(streams []*stream) uint64 {
	l := o.total(streams)
	return sum(l.Dropped) + l.DeadLettered + l.Expired
}

// total is the account of all streams, and of what is about none.
func (o *outlet) total(streams []*stream) detect.SinkLedger {
	l := o.Ledger(ownStream)
	for _, s := range streams {
		add(&l, o.Ledger(s.name))
	}
	return l
}

// acknowledged measures how long cameras' events took.
func (p *Pipeline) acknowledged(events []*detect.Event, at time.Time) {
	for _, ev := range events {
		if ev.Data.Timing != nil { // a live stream's
			p.latency.Add(at.Sub(ev.Time))
		}
	}
}

// settle waits until the sinks have taken a lossless stream's events, so that its
// last account is the same at every run. It does not wait for a sink that fails,
// nor longer than the drain timeout: the run must end.
func (p *Pipeline) settle(s *stream) {
	if !s.lossless {
		return
	}
	ctx, cancel := context.WithTimeout(p.hard, p.spec.DrainTimeout)
	defer cancel()
	for _, o := range p.outlets {
		if !o.State().Degraded {
			o.Settle(ctx, s.name)
		}
	}
}

// ownStream stands where an event is about no stream: no stream can be called so.
const ownStream = "-"

// sinkState tells the other sinks, and whoever watches, that one fails or works
// again.
func (p *Pipeline) sinkState(s DeliveryState) {
	reason := detect.ReasonInfo{Code: detect.ReasonRecovered}
	severity := detect.Info
	if s.Degraded {
		severity = detect.Critical
		reason = detect.ReasonInfo{Code: "unreachable", Message: s.Err.Error(), Attempt: s.Attempt}
	}
	at := time.Now().UTC()
	source := detect.Source(p.spec.Site, ownStream)
	ev := detect.Event{
		Site: p.spec.Site, Stream: ownStream, Type: detect.SinkDegraded, Subject: "sink/" + s.Name,
		ID:   detect.EventID(source, "", detect.SinkDegraded, s.Name, "", uint64(at.UnixMicro())),
		Time: at, Recorded: at, Severity: severity,
		Data: detect.Data{Stream: detect.StreamInfo{Site: p.spec.Site, Name: ownStream}, Reason: &reason},
	}
	p.counts.event(ev.Type)
	p.events.publish(func() *detect.Event { return &ev })
	for _, o := range p.outlets {
		if o.name != s.Name && !o.cfg.Block {
			o.Offer(p.hard, &ev) // what it does not take, it accounts for
		}
	}
}

// SinkStatus is one sink as people ask for it.
type SinkStatus struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"`
	State  string            `json:"state"` // ok, degraded
	Since  *time.Time        `json:"since,omitempty"`
	Error  string            `json:"error,omitempty"`
	Events int               `json:"queued_events"`
	Bytes  int64             `json:"queued_bytes"`
	Ledger detect.SinkLedger `json:"ledger"` // of all streams
}

// Sinks is every sink's status, in the order of the file.
func (p *Pipeline) Sinks() []SinkStatus {
	out := make([]SinkStatus, len(p.outlets))
	for i, o := range p.outlets {
		st := o.State()
		out[i] = SinkStatus{Name: o.name, Kind: o.kind, State: "ok", Events: st.Events, Bytes: st.Bytes}
		if !st.Since.IsZero() {
			out[i].Since = &st.Since
		}
		if st.Degraded {
			out[i].State, out[i].Error = "degraded", st.Err.Error()
		}
		out[i].Ledger = o.total(p.streams)
	}
	return out
}

func add(to *detect.SinkLedger, l detect.SinkLedger) {
	to.Made += l.Made
	to.Filtered += l.Filtered
	to.Acknowledged += l.Acknowledged
	to.Spooled += l.Spooled
	to.DeadLettered += l.DeadLettered
	to.Expired += l.Expired
	for reason, n := range l.Dropped {
		to.Dropped[reason] += n
	}
}

// sinkLedgers is what became of one stream's events, by sink.
func (p *Pipeline) sinkLedgers(stream string) map[string]detect.SinkLedger {
	out := make(map[string]detect.SinkLedger, len(p.outlets))
	for _, o := range p.outlets {
		out[o.name] = o.Ledger(stream)
	}
	return out
}
