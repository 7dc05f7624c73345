// Package pipelines builds what a pipeline file describes and runs it. It owns
// every goroutine, queue, drop, retry, start and stop; the stages it strings
// together are plain objects.
package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
	"sightline/detect/rules"
	"sightline/ingest"
	"sightline/ingest/webrtc"
	"sightline/pipelines/spec"
	"sightline/sink/kafka/embedded"
)

// Options is what a pipeline needs besides its file.
type Options struct {
	Logger    *slog.Logger
	LibDirs   []string  // where engine libraries are looked for first
	ModelDirs []string  // where models are looked for by name
	Stdout    io.Writer // what a jsonl sink writes to for "-"; os.Stdout when nil
	Cores     int       // of native work at a time; 0 is all of the machine
	// OnEvent is told of every event, in order per stream, by the stream's own
	// goroutine, which waits for it; the event must not be changed.
	OnEvent func(*detect.Event)
	// Source makes a stream's source in place of the one its URL names; nil, or a
	// nil source, leaves it to the URL.
	Source func(*spec.Stream) ingest.Source
}

// Pipeline is everything one file describes, ready to run once.
type Pipeline struct {
	spec      *spec.Pipeline
	log       *slog.Logger
	gate      *gate
	shed      *shedder
	detectors map[string]*detector // by model: streams of one share batches
	streams   []*stream
	outlets   []*outlet
	snapshots *snapshots // nil: no pictures are kept
	events    *hub[*detect.Event]
	onEvent   func(*detect.Event)
	latency   Histogram
	counts    eventCounts
	tally     tally
	frames    decode.Live
	broker    *embedded.Broker // inside the process, where a sink asks for it
	ports     *webrtc.Ports    // of WebRTC's media; nil without a page
	hard      context.Context
	running   atomic.Bool
}

// detector is one network with the batches its streams share.
type detector struct {
	session *onnx.Session
	batcher *batcher
}

// New builds the pipeline: it loads models and checks what can be checked
// without opening a stream. It opens no connection. Every fault it finds is in
// the error.
func New(sp *spec.Pipeline, o Options) (*Pipeline, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Cores == 0 {
		o.Cores = runtime.GOMAXPROCS(0)
	}
	p := &Pipeline{
		spec: sp, log: o.Logger, gate: newGate(o.Cores, 1, threadTime),
		detectors: map[string]*detector{}, events: newEventHub(), onEvent: o.OnEvent, hard: context.Background(),
	}
	p.shed = newShedder(time.Now, p.gate.idled)
	var errs []error
	var err error
	if p.ports, err = openPorts(sp.Web); err != nil {
		errs = append(errs, err)
	}
	for i := range sp.Sinks {
		if err := p.addSink(&sp.Sinks[i], o); err != nil {
			errs = append(errs, fmt.Errorf("sink %s: %w", sp.Sinks[i].Name, err))
		}
	}
	if p.snapshots, err = p.newSnapshots(sp.Snapshots); err != nil {
		errs = append(errs, err)
	}
	for i := range sp.Streams {
		s, err := p.newStream(&sp.Streams[i], o)
		if err != nil {
			errs = append(errs, fmt.Errorf("stream %s: %w", sp.Streams[i].Name, err))
			continue
		}
		p.streams = append(p.streams, s)
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, p.Close())...)
	}
	return p, nil
}

// detector returns the network a stream asks for, loading it if it is the first.
func (p *Pipeline) detector(model string, o Options) (*detector, error) {
	if d := p.detectors[model]; d != nil {
		return d, nil
	}
	path, err := onnx.Find(model, o.ModelDirs)
	if err != nil {
		return nil, err
	}
	c := onnx.Defaults()
	c.Model, c.Engine, c.Device, c.Precision = path, p.spec.Detect.Engine, p.spec.Detect.Device, p.spec.Detect.Precision
	c.Input = inputText(p.spec.Detect.Input)
	c.MaxBatch, c.LibDirs, c.Workers = p.spec.Detect.Batch.Max, o.LibDirs, o.Cores
	s, err := onnx.New(c, p.log)
	if err != nil {
		return nil, err
	}
	// One size is compiled now: it tells what precision really runs, and lets
	// streams begin while their own size is compiled.
	if err := s.Prepare(s.Ideal(16, 9)); err != nil {
		s.Close()
		return nil, err
	}
	p.log.Info("network is ready", slog.Any("model", s.Info()))
	d := &detector{session: s, batcher: newBatcher(opener(s), p.gate, c.MaxBatch)}
	p.detectors[model] = d
	return d, nil
}

func inputText(i spec.Input) string {
	text, err := i.MarshalText()
	if err != nil || i.Policy == "" {
		return spec.InputAspect
	}
	return string(text)
}

func (p *Pipeline) newStream(st *spec.Stream, o Options) (*stream, error) {
	log := p.log.With(slog.String("stream", st.Name))
	net, err := p.network(st, o, log)
	if err != nil {
		return nil, err
	}
	tracker, err := newTracker(p.spec.Track)
	if err != nil {
		return nil, err
	}
	analysis, err := rules.New(p.rules(st, net.model))
	if err != nil {
		return nil, err
	}
	live, lossless := st.Kind.Live(), isLossless(st)
	decoder, err := decode.New(decode.Config{
		Threads: st.Decode.Threads, Live: !lossless, SkipLoopFilter: st.Decode.SkipLoopFilter == "all", HWAccel: st.Decode.HWAccel,
		Logger: p.log, Frames: &p.frames,
	})
	if err != nil {
		return nil, err
	}
	if t, ok := decoder.(decode.Tuner); ok && st.Decode.Skip == string(SkipNonkey) {
		t.SetKeyframesOnly(true)
	}
	looks, err := newQuality(st.Quality)
	if err != nil {
		return nil, err
	}
	s := &stream{
		name: st.Name, live: live, lossless: lossless, analyze: st.Detect.Enabled, log: log,
		decoder: decoder, quality: looks, hold: st.Decode.Damage != "pass", gate: p.gate, batcher: net.batcher, shapes: net.shapes, slots: net.slots,
		ledger: newLedger(), status: &state{}, watch: newWatchers(),
	}
	s.status.s = StreamStatus{Name: st.Name, Title: st.Title, Kind: string(st.Kind), State: "starting", Model: net.model}
	s.sampler = p.sampler(st, lossless)
	s.queue = newPacketQueue(lossless, func(_ ingest.Packet, reason string) { s.ledger.undecode(reason, 1) })
	if err := p.addInputs(s, st, o); err != nil {
		return nil, err
	}
	s.analyst = (&analyst{
		live: live, lossless: lossless, confidence: st.Detect.Confidence, analysis: analysis, tracker: tracker, sampler: s.sampler,
		ledger: s.ledger, status: s.status, emit: func(events []detect.Event) { p.emit(events, s.recorded()) }, release: s.release,
		settle: func() { p.settle(s) },
		sinks:  func() map[string]detect.SinkLedger { return p.sinkLedgers(st.Name) },
		warn:   func(msg string, err error) { log.Warn(msg, slog.Any("error", err)) },
	}).prepare()
	s.lane = &lane{
		live: !lossless, writer: net.writer, deliver: s.analyst.deliver, replace: func(*row) { s.ledger.skip("replaced") },
	}
	p.addPhotographer(s, st)
	return s, nil
}

// network is what inference of one stream needs.
type network struct {
	model   detect.Model
	batcher *batcher
	writer  *onnx.Writer
	shapes  *shapes
	slots   chan struct{}
}

// network returns an empty one for a stream that is not analyzed.
func (p *Pipeline) network(st *spec.Stream, o Options, log *slog.Logger) (network, error) {
	if !st.Detect.Enabled {
		return network{shapes: &shapes{}}, nil
	}
	det, err := p.detector(st.Detect.Model, o)
	if err != nil {
		return network{}, err
	}
	classes, err := p.foundClasses(st, det.session.Spec().Labels)
	if err != nil {
		return network{}, err
	}
	writer, err := det.session.NewWriter(onnx.WriterConfig{Threshold: min(p.spec.Track.Low, st.Detect.Confidence), Classes: classes})
	if err != nil {
		return network{}, err
	}
	return network{
		model: det.session.Info(), batcher: det.batcher, writer: writer,
		shapes: &shapes{session: det.session, wait: isLossless(st), failed: func(err error) {
			log.Warn("network was not compiled for this picture size", slog.Any("error", err))
		}},
		slots: make(chan struct{}, p.mostRows(det.session.Workers()*2*det.batcher.rows)),
	}, nil
}

// sampler paces live streams at 5 a second and files at every frame unless told
// otherwise; a lossless stream ignores load.
func (p *Pipeline) sampler(st *spec.Stream, lossless bool) Sampler {
	shed := p.shed
	if lossless {
		shed = nil
	}
	return newGridSampler(float64(st.Detect.FPS), Skip(st.Decode.Skip), shed)
}

func (p *Pipeline) rules(st *spec.Stream, model detect.Model) rules.Config {
	c := rules.Config{
		Info:  detect.StreamInfo{Site: p.spec.Site, Name: st.Name, Title: st.Title, Labels: st.Labels},
		Model: model, UpdateEvery: p.spec.Track.UpdateEvery, Confidence: st.Detect.Confidence,
		Live: st.Kind.Live(),
	}
	for _, l := range st.Lines {
		c.Lines = append(c.Lines, rules.Line{
			Name: l.Name, Points: [2]detect.Point{l.Points[0], l.Points[1]}, Hysteresis: l.Hysteresis, Anchor: rules.Anchor(l.Anchor),
		})
	}
	for _, z := range st.Zones {
		c.Zones = append(c.Zones, rules.Zone{Name: z.Name, Polygon: z.Polygon, Anchor: rules.Anchor(z.Anchor)})
	}
	for _, r := range p.spec.Rules {
		if r.AppliesTo(st) {
			c.Rules = append(c.Rules, rules.RuleConfig{
				Name: r.Name, Kind: rules.Kind(r.Kind), Line: r.Line, Zone: r.Zone, Classes: r.Classes,
				For: r.For, Every: r.Every, Timezone: r.Timezone, Severity: r.EventSeverity(),
			})
		}
	}
	return c
}

func (p *Pipeline) addSink(sp *spec.Sink, o Options) error {
	var brokers []string
	if sp.Kafka != nil {
		brokers = sp.Kafka.Brokers
		if sp.Kafka.Embedded() {
			if err := p.startKafka(); err != nil {
				return err
			}
			brokers = []string{p.broker.Addr()}
		}
	}
	snk, err := newSink(sp, brokers, o.Stdout, p.log.With(slog.String("sink", sp.Name)))
	if err != nil {
		return err
	}
	out, err := p.newOutlet(sp, snk)
	if err != nil {
		return errors.Join(err, snk.Close(context.Background()))
	}
	p.outlets = append(p.outlets, out)
	return nil
}

// startKafka starts the broker inside the process, once.
func (p *Pipeline) startKafka() (err error) {
	if p.broker == nil {
		p.broker, err = embedded.Start()
	}
	return err
}
