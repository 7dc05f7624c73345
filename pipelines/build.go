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
	"sightline/kernels/cuda"
	"sightline/pipelines/optimization"
	"sightline/pipelines/packets"
	"sightline/pipelines/snapshots"
	"sightline/pipelines/spec"
	"sightline/pipelines/tally"
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
	// Unbound lets a network work for a stream that it was not made for, unwatched, and
	// makes none: to measure it.
	Unbound bool
	// Compiler is the command that makes a network in the background: optimization.RunJob
	// with the folder that is added to it. Without it none is made.
	Compiler []string
	// Reference fills networks' inputs on the CPU with the GPU kernels' own definition, to
	// the bit, instead of the faster one; for tests.
	Reference bool

	gpus gpus // those of this machine where it is zero
}

// Pipeline is everything one file describes, ready to run once.
type Pipeline struct {
	spec      *spec.Pipeline
	log       *slog.Logger
	gate      *gate
	shed      *shedder // of streams that cores decode
	shedGPU   *shedder // of those a GPU decodes
	detectors map[detectorKey]*detector
	devices   gpus
	gpus      []*gpu               // that streams were given
	makers    *optimization.Makers // of networks, in the background
	streams   []*stream
	outlets   []*outlet
	snapshots *snapshots.Album // nil: no pictures are kept
	events    *hub[*detect.Event]
	onEvent   func(*detect.Event)
	latency   Histogram
	counts    eventCounts
	tally     tally.Tally
	frames    decode.Live
	broker    *embedded.Broker // inside the process, where a sink asks for it
	ports     *webrtc.Ports    // of WebRTC's media; nil without a page
	hard      context.Context
	running   atomic.Bool
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
	if o.gpus.open == nil {
		o.gpus = gpus{cuda.Devices, cuda.Open}
	}
	if o.Cores == 0 {
		o.Cores = runtime.GOMAXPROCS(0)
	}
	p := &Pipeline{
		spec: sp, log: o.Logger, gate: newGate(o.Cores, 1, threadTime),
		detectors: map[detectorKey]*detector{}, makers: optimization.NewMakers(sp, o.Compiler, o.LibDirs, o.Logger), events: newEventHub(), onEvent: o.OnEvent, hard: context.Background(), devices: o.gpus,
	}
	p.shed = newShedder(time.Now, p.gate.idled)
	p.shedGPU = newShedder(time.Now, func() time.Duration { return 0 }) // late is late there, whatever cores do
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
	if p.snapshots, err = p.newAlbum(sp.Snapshots); err != nil {
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
	if err := p.leaveUnused(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, p.Close())...)
	}
	return p, nil
}

func inputText(i spec.Input) string {
	text, err := i.MarshalText()
	if err != nil || i.Policy == "" {
		return spec.InputAspect
	}
	return string(text)
}

func (p *Pipeline) newStream(st *spec.Stream, o Options) (*stream, error) {
	g, err := p.place(st)
	if err != nil {
		return nil, err
	}
	s, err := p.newStreamOn(g, st, o)
	if errors.Is(err, errNoProvider) {
		p.log.Warn("the GPU is there and not used: networks run on the CPU", slog.String("stream", st.Name), slog.Any("reason", err))
		return p.newStreamOn(nil, st, o)
	}
	return s, err
}

// newStreamOn builds a stream for a GPU, or for the CPU where there is none.
func (p *Pipeline) newStreamOn(g *gpu, st *spec.Stream, o Options) (_ *stream, err error) {
	s := &stream{
		name: st.Name, live: st.Kind.Live(), lossless: isLossless(st), analyze: st.Detect.Enabled, log: p.log.With(slog.String("stream", st.Name)),
		hold: st.Decode.Damage != "pass", gate: p.gate, gpu: g, device: g.current(), shed: p.shedder(st, g), ledger: newLedger(), status: &state{}, watch: newWatchers(),
	}
	net, watch, err := p.networks(st, g, o, s.log)
	if err != nil {
		return nil, err
	}
	s.model, s.batcher, s.shapes, s.slots = net.model, net.batcher, net.shapes, net.slots
	s.lane = &lane{live: !s.lossless, writer: net.writer}
	if net.detector != nil {
		s.net = &net
	}
	if s.decoder, err = p.decoder(st, g); err != nil {
		return nil, err
	}
	if s.quality, err = newQuality(st.Quality); err != nil {
		return nil, err
	}
	s.status.s = StreamStatus{Name: st.Name, Title: st.Title, Kind: string(st.Kind), State: "starting", Model: s.model}
	s.sampler = newGridSampler(float64(st.Detect.FPS), Skip(st.Decode.Skip), s.shed)
	s.queue = packets.New(s.lossless, func(_ ingest.Packet, reason string) { s.ledger.undecode(reason, 1) })
	if err := p.addInputs(s, st, o); err != nil {
		return nil, err
	}
	if err := p.addAnalyst(s, st); err != nil {
		return nil, err
	}
	s.shadow = watch
	s.shadow.attach(s, s.net)
	p.addPhotographer(s, st)
	if g != nil {
		g.streams = append(g.streams, s)
	}
	return s, nil
}

// decoder is what decodes a stream, on the GPU where its pictures are to go.
func (p *Pipeline) decoder(st *spec.Stream, g *gpu) (decode.Decoder, error) {
	d, err := decode.New(decode.Config{
		Threads: st.Decode.Threads, Live: !isLossless(st), SkipLoopFilter: st.Decode.SkipLoopFilter == "all", HWAccel: st.Decode.HWAccel,
		Logger: p.log, Frames: &p.frames, GPU: g.current(), Held: p.surfaces(st),
	})
	if err != nil {
		return nil, err
	}
	if t, ok := d.(decode.Tuner); ok && st.Decode.Skip == string(SkipNonkey) {
		t.SetKeyframesOnly(true)
	}
	return d, nil
}

// addAnalyst puts one behind the stream's network.
func (p *Pipeline) addAnalyst(s *stream, st *spec.Stream) error {
	tracker, err := newTracker(p.spec.Track)
	if err != nil {
		return err
	}
	analysis, err := rules.New(p.rules(st, s.model))
	if err != nil {
		return err
	}
	s.analyst = (&analyst{
		live: s.live, lossless: s.lossless, confidence: st.Detect.Confidence, analysis: analysis, tracker: tracker, sampler: s.sampler,
		ledger: s.ledger, status: s.status, emit: func(events []detect.Event) { p.emit(events, s.recorded()) }, release: s.release,
		settle: func() { p.settle(s) },
		sinks:  func() map[string]detect.SinkLedger { return p.sinkLedgers(st.Name) },
		warn:   func(msg string, err error) { s.log.Warn(msg, slog.Any("error", err)) },
	}).prepare()
	s.lane.deliver, s.lane.replace = s.analyst.deliver, s.replaced
	return nil
}

// network is a stream's place at the network it asks for, with that network's first
// engine. That of a stream which is not analyzed is empty.
func (p *Pipeline) network(st *spec.Stream, g *gpu, o Options, log *slog.Logger) (network, error) {
	if !st.Detect.Enabled {
		return network{shapes: &shapes{}}, nil
	}
	det, err := p.detector(st.Detect.Model, g, o)
	if err != nil {
		return network{}, err
	}
	classes, err := p.foundClasses(st, det.spec.Labels)
	if err != nil {
		return network{}, err
	}
	n := network{
		detector: det, config: onnx.WriterConfig{Threshold: min(p.spec.Track.Low, st.Detect.Confidence), Classes: classes},
		shapes: &shapes{wait: isLossless(st), wanted: det.want, failed: func(err error) {
			log.Warn("network was not compiled for this picture size", slog.Any("error", err))
		}},
		slots: make(chan struct{}, p.mostRows(det.rows)),
	}
	_, _, err = n.follow()
	return n, err
}

// shedder is what a stream's sampler obeys under load, nil for a lossless one.
func (p *Pipeline) shedder(st *spec.Stream, g *gpu) *shedder {
	switch {
	case isLossless(st):
		return nil
	case g != nil && (st.Decode.HWAccel == "auto" || st.Decode.HWAccel == "cuda"):
		return p.shedGPU
	}
	return p.shed
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
