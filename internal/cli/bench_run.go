package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/pipelines"
	"sightline/pipelines/spec"
)

// load is one run of the benchmark: so many copies of a clip through the whole
// pipeline, as cameras or as fast as it goes.
type load struct {
	clip    string
	streams int
	cameras bool // played in real time by something that behaves like a camera
	warm    time.Duration
	length  time.Duration
	fps     float64 // inferences a second and stream
	brokers string  // events go there; "" only makes them
	topic   string
	sets    []string
}

// loadResult is what one run measured, warm-up left out.
type loadResult struct {
	Streams    int                `json:"streams"`
	Seconds    float64            `json:"seconds"`
	Inferences float64            `json:"inferences_per_second"`
	LeastFPS   float64            `json:"least_stream_fps"`
	MostFPS    float64            `json:"most_stream_fps"`
	P50Ms      float64            `json:"event_p50_ms,omitempty"` // frame due to event handed to its sinks, cameras only
	P95Ms      float64            `json:"event_p95_ms,omitempty"`
	AckP95Ms   float64            `json:"ack_p95_ms,omitempty"` // capture to acknowledged event
	CPUMs      float64            `json:"cpu_ms_per_inference"`
	Cores      float64            `json:"cores"`
	StageMs    map[string]float64 `json:"stage_ms_per_inference"`
	PSSMiB     float64            `json:"pss_mib"`
	Model      detect.Model       `json:"model"`
	Device     string             `json:"device,omitempty"` // the GPU that inferred; its time is that of stage infer, and no CPU's
	Dropped    map[string]uint64  `json:"dropped"`
	Lost       uint64             `json:"events_lost"`
}

// benchEvents notes every detections event.
type benchEvents struct {
	mu    sync.Mutex
	count map[string]int
	took  []time.Duration
	on    bool
	ready chan struct{} // closed once every stream has given three
	want  int
}

func (b *benchEvents) add(ev *detect.Event) {
	if ev.Type != detect.Detections {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count[ev.Stream]++
	if b.on {
		b.took = append(b.took, time.Since(ev.Time))
		return
	}
	if b.count[ev.Stream] == 3 {
		if b.want--; b.want == 0 {
			close(b.ready)
		}
	}
}

// start begins to count; stop ends it.
func (b *benchEvents) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on = true
	clear(b.count)
}

func (b *benchEvents) stop() (perStream []int, took []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on = false
	for _, n := range b.count {
		perStream = append(perStream, n)
	}
	slices.Sort(b.took)
	return perStream, b.took
}

func (l load) run(ctx context.Context, sh *shell) (loadResult, error) {
	sp, err := spec.Parse("bench.yaml", l.pipeline(), l.sets, sh.env)
	if err != nil {
		return loadResult{}, err
	}
	seen := &benchEvents{count: map[string]int{}, ready: make(chan struct{}), want: l.streams}
	o := sh.options()
	o.Unbound = true
	o.OnEvent = seen.add
	if l.cameras {
		o.Source = l.camera
	}
	p, err := pipelines.New(sp, o)
	if err != nil {
		return loadResult{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r, err := l.measure(ctx, p, seen, done)
	cancel()
	<-done // cut off in the middle: what was under way does not matter
	return r, err
}

// measure waits until everything runs, then counts for a while.
func (l load) measure(ctx context.Context, p *pipelines.Pipeline, seen *benchEvents, done chan error) (loadResult, error) {
	wait := func(c <-chan struct{}, d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-c:
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		case err := <-done:
			done <- err
			return fmt.Errorf("the streams ended before the measurement did: %w", err)
		}
		return nil
	}
	if err := wait(seen.ready, time.Minute); err != nil {
		return loadResult{}, err
	}
	if err := wait(nil, l.warm); err != nil {
		return loadResult{}, err
	}
	before, cpu, begin := p.Summary(), cpuTime(), time.Now()
	seen.start()
	if err := wait(nil, l.length); err != nil {
		return loadResult{}, err
	}
	perStream, took := seen.stop()
	after, took2, seconds := p.Summary(), cpuTime()-cpu, time.Since(begin).Seconds()
	n := 0
	for _, c := range perStream {
		n += c
	}
	if n == 0 {
		return loadResult{}, fmt.Errorf("nothing was inferred in %s", l.length)
	}
	each := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(n) }
	r := loadResult{
		Streams: l.streams, Seconds: seconds, Inferences: float64(n) / seconds,
		CPUMs: each(took2), Cores: took2.Seconds() / seconds, PSSMiB: pss(), Model: p.Streams()[0].Model,
		StageMs: map[string]float64{
			"decode":     each(after.Spent.Decode - before.Spent.Decode),
			"preprocess": each(after.Spent.Preprocess - before.Spent.Preprocess),
			"infer":      each(after.Spent.Infer - before.Spent.Infer),
		},
		Dropped: difference(merge(after.Undecoded, after.Skipped), merge(before.Undecoded, before.Skipped)), Lost: after.Lost,
	}
	r.rest(p.Devices())
	if len(perStream) == l.streams {
		r.LeastFPS = float64(slices.Min(perStream)) / seconds
	}
	r.MostFPS = float64(slices.Max(perStream)) / seconds
	if l.cameras {
		ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
		r.P50Ms, r.P95Ms = ms(took[len(took)/2]), ms(took[len(took)*95/100])
		r.AckP95Ms = ms(p.Latency().Quantile(0.95))
	}
	return r, nil
}

// rest is the processor's time beyond the stages that it works at: on a GPU inference
// is none of them.
func (r *loadResult) rest(devices []pipelines.DeviceStatus) {
	rest := r.CPUMs - r.StageMs["decode"] - r.StageMs["preprocess"]
	if len(devices) > 0 && devices[0].Streams > 0 {
		r.Device = devices[0].Device
	} else {
		rest -= r.StageMs["infer"]
	}
	r.StageMs["rest"] = max(0, rest)
}

// pipeline is the run's pipeline file.
func (l load) pipeline() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: bench\ndrain_timeout: 1s\ndetect: { fps: %v }\nstreams:\n", l.fps)
	for i := range l.streams {
		if l.cameras {
			fmt.Fprintf(&b, "  cam%d: { url: 'rtsp://127.0.0.1/%d' }\n", i, i) // read by camera
		} else {
			fmt.Fprintf(&b, "  cam%d: { url: '%s', pace: fastest, loop: true }\n", i, yamlQuoted(l.clip))
		}
	}
	if l.brokers != "" {
		fmt.Fprintf(&b, "sinks: [{ kind: kafka, brokers: ['%s'], topic: '%s', types: [detections] }]\n", yamlQuoted(l.brokers), yamlQuoted(l.topic))
	}
	return []byte(b.String())
}

// camera plays the clip over and over as a live source does: one endless epoch,
// captured when it is due. Cameras begin 37 ms apart.
func (l load) camera(st *spec.Stream) ingest.Source {
	c := file.Defaults()
	c.Path, c.Loop = l.clip, true
	s, err := file.New(c, st.Name, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil // then the stream's own URL is tried, and fails
	}
	var n int
	fmt.Sscanf(st.Name, "cam%d", &n)
	return &livePlayer{source: s, delay: time.Duration(n) * 37 * time.Millisecond}
}

type livePlayer struct {
	source ingest.Source
	delay  time.Duration
}

func (p *livePlayer) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	select {
	case <-time.After(p.delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	var epoch, current string
	var base, last time.Duration
	return p.source.Run(ctx, func(pk ingest.Packet) error {
		if epoch == "" {
			epoch, current = pk.Epoch, pk.Epoch
		}
		if pk.Epoch != current {
			current, base = pk.Epoch, last+pk.Duration
		}
		pk.PTS += base
		last = pk.PTS
		now := time.Now()
		pk.Epoch, pk.Received, pk.Captured = epoch, now, now.UTC()
		pk.Clock = ingest.Clock{Source: ingest.ClockArrival}
		return emit(pk)
	})
}

func difference(a, b map[string]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for k, v := range a {
		if v > b[k] {
			out[k] = v - b[k]
		}
	}
	return out
}

// cpuTime is what this process has used on all cores.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pss is this process's proportional share of memory in MiB, 0 where Linux does
// not tell.
func pss() float64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}
