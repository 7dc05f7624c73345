package pipelines

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"sightline/detect"
	"sightline/pipelines/delivery"
	"sightline/pipelines/spec"
	"sightline/sink"
	"sightline/sink/spool"
)

// outlet is one sink with what delivers to it.
type outlet struct {
	*delivery.Queue
	kind string
	cfg  delivery.Config
	sink sink.Sink
}

// newOutlet makes the delivery to a sink and opens its spool. Where every stream is
// lossless nothing is dropped: a full queue makes the files wait.
func (p *Pipeline) newOutlet(sp *spec.Sink, s sink.Sink) (*outlet, error) {
	c := delivery.Config{Name: sp.Name, OnState: p.sinkState, OnAck: p.acknowledged}
	for _, t := range sp.Types {
		c.Types = append(c.Types, detect.Type(t))
	}
	c.Spool = spool.Config{Max: int64(sp.Buffer), WhenFull: spool.Block}
	for i := range p.spec.Streams {
		if !isLossless(&p.spec.Streams[i]) {
			c.Spool.WhenFull = spool.DropOldest
		}
	}
	var err error
	if sp.Spool != nil {
		if c.Spool, err = spoolConfig(sp.Spool); err != nil {
			return nil, err
		}
	}
	if dl := sp.DeadLetter; dl != nil {
		c.Letters = delivery.Letters{Path: dl.Path, Max: int64(dl.Max), Tries: dl.Tries}
	}
	q, err := delivery.New(c, s, p.log)
	return &outlet{Queue: q, kind: sp.Kind, cfg: c, sink: s}, err
}

// spoolConfig reads the key and takes the rest over.
func spoolConfig(sp *spec.Spool) (spool.Config, error) {
	c := spool.Config{
		Path: sp.Path, Max: int64(sp.Max), MaxAge: sp.MaxAge, Sync: sp.Sync, WhenFull: spool.Policy(sp.WhenFull), Memory: int64(sp.Memory),
	}
	if c.Sync == 0 && c.WhenFull != spool.Block {
		c.Sync = time.Nanosecond // cameras do not wait for a disk: the commit after each event is the queue's
	}
	var err error
	c.Key, err = delivery.ReadKey(sp.KeyFile)
	return c, err
}

func isLossless(st *spec.Stream) bool { return !st.Kind.Live() && st.Pace == "fastest" }

// blocks tells whether a full queue makes who offers wait.
func (o *outlet) blocks() bool { return o.cfg.Spool.WhenFull == spool.Block }

// adviseSpools says which sinks' events a crash would lose although they leave the
// machine: cameras do not repeat themselves.
func (p *Pipeline) adviseSpools() {
	live := slices.ContainsFunc(p.spec.Streams, func(st spec.Stream) bool { return st.Kind.Live() })
	for i := range p.spec.Sinks {
		s := &p.spec.Sinks[i]
		embedded := s.Kafka != nil && s.Kafka.Embedded()
		if live && s.Spool == nil && !embedded && slices.Contains([]string{"kafka", "mqtt", "webhook"}, s.Kind) {
			p.log.Info("events wait in memory alone; `spool: {}` keeps them through outages and crashes", slog.String("sink", s.Name))
		}
	}
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
		if !o.Has(delivery.Unreachable) {
			o.Settle(ctx, s.name)
		}
	}
}

// sinkState tells the other sinks, and whoever watches, that one fails or works
// again.
func (p *Pipeline) sinkState(s delivery.State) {
	severity := detect.Critical
	switch s.Told.Code {
	case detect.ReasonRecovered:
		severity = detect.Info
	case delivery.DeadLettered:
		severity = detect.Warning
	}
	at := time.Now().UTC()
	source := detect.Source(p.spec.Site, delivery.NoStream)
	ev := detect.Event{
		Site: p.spec.Site, Stream: delivery.NoStream, Type: detect.SinkDegraded, Subject: "sink/" + s.Name,
		ID:   detect.EventID(source, "", detect.SinkDegraded, s.Name, s.Told.Code, uint64(at.UnixMicro())),
		Time: at, Recorded: at, Severity: severity,
		Data: detect.Data{Stream: detect.StreamInfo{Site: p.spec.Site, Name: delivery.NoStream}, Reason: &s.Told},
	}
	p.counts.event(ev.Type)
	p.events.publish(func() *detect.Event { return &ev })
	for _, o := range p.outlets {
		if o.cfg.Name != s.Name && !o.blocks() {
			o.Offer(p.hard, &ev) // what it does not take, it accounts for
		}
	}
}

// SinkStatus is one sink as people ask for it.
type SinkStatus struct {
	Name     string     `json:"name"`
	Kind     string     `json:"kind"`
	State    string     `json:"state"`              // ok, degraded
	Troubles []string   `json:"troubles,omitempty"` // why: unreachable, spool_failed, spool_full, queue_full
	Since    *time.Time `json:"since,omitempty"`
	Error    string     `json:"error,omitempty"`

	Events      int     `json:"queued_events"`
	Bytes       int64   `json:"queued_bytes"`
	OldestS     float64 `json:"oldest_s"`              // age of the oldest event that waits; 0 when none does
	HeldKeys    int     `json:"held_keys"`             // held back because their oldest event failed
	DeadLetters uint64  `json:"dead_letters"`          // events given up as undeliverable, since the start
	LastAckS    float64 `json:"last_ack_s"`            // from offer to acceptance, of the oldest event of the last batch
	Spool       *Spool  `json:"spool,omitempty"`       // nil: events wait in memory alone
	DeadLetter  string  `json:"dead_letter,omitempty"` // file of the events given up

	Ledger detect.SinkLedger            `json:"ledger"`           // of all streams
	Others map[string]detect.SinkLedger `json:"others,omitempty"` // of that, what is of no stream of the file: "-" is about none, others are of an earlier run
}

// Spool is how a sink's events on disk are doing.
type Spool struct {
	Path     string `json:"path"`
	OK       bool   `json:"ok"`         // the disk keeps what comes
	Disk     int64  `json:"disk_bytes"` // of its files
	Unsynced int    `json:"unsynced"`   // events in memory alone
}

// Sinks is every sink's status, in the order of the file.
func (p *Pipeline) Sinks() []SinkStatus {
	out := make([]SinkStatus, len(p.outlets))
	for i, o := range p.outlets {
		st := o.State()
		out[i] = SinkStatus{
			Name: o.cfg.Name, Kind: o.kind, State: "ok", Troubles: st.Troubles, Events: st.Events, Bytes: st.Bytes,
			HeldKeys: st.Held, DeadLetters: st.DeadLetters, LastAckS: st.LastAck.Seconds(), DeadLetter: o.cfg.Letters.Path,
			Ledger: o.Total(), Others: p.others(o),
		}
		if !st.Since.IsZero() {
			out[i].Since = &st.Since
		}
		if !st.Oldest.IsZero() {
			out[i].OldestS = max(0, time.Since(st.Oldest).Seconds())
		}
		if st.Degraded {
			out[i].State, out[i].Error = "degraded", st.Err.Error()
		}
		if path := o.cfg.Spool.Path; path != "" {
			out[i].Spool = &Spool{Path: path, OK: !slices.Contains(st.Troubles, delivery.SpoolFailed), Disk: st.Disk, Unsynced: st.Unsynced}
		}
	}
	return out
}

// others is the account of what is of no stream of the pipeline.
func (p *Pipeline) others(o *outlet) map[string]detect.SinkLedger {
	out := o.Ledgers()
	for _, s := range p.streams {
		delete(out, s.name)
	}
	return out
}

// sinkLedgers is what became of one stream's events, by sink.
func (p *Pipeline) sinkLedgers(stream string) map[string]detect.SinkLedger {
	out := make(map[string]detect.SinkLedger, len(p.outlets))
	for _, o := range p.outlets {
		out[o.cfg.Name] = o.Ledger(stream)
	}
	return out
}
