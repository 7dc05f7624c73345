package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sightline/detect"
	"sightline/pipelines/delivery"
	"sightline/sink/kafka"
	"sightline/sink/spool"
)

// driverEnv has a driver's orders, as JSON, in the process that is one.
const driverEnv = "SIGHTLINE_ORACLE_DRIVER"

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(driverEnv); ok {
		if err := drive(text); err != nil {
			fmt.Fprintln(os.Stderr, "driver:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// orders are what a driver is told to do.
type orders struct {
	Broker, Topic, Spool string
	Sync                 time.Duration
	Streams, Rate        int // events a second, of all streams
	Seed                 uint64
}

// line is what a driver says of itself, through a pipe: what was written to a pipe
// survives kill -9 of the writer.
//
//	m TIME KEY ID    the event is made, and about to be offered
//	k TIME KEY ID    it was offered, to a spool that puts each event on disk at once
//	a TIME KEY ID    the destination is said to have acknowledged it
//	r TIME - -       the driver begins
type line struct {
	what    byte
	at      time.Time
	key, id string
}

const diaryFD = 3

// diary is the driver's end of the pipe.
type diary struct {
	mu   sync.Mutex
	file *os.File
}

func (d *diary) write(what byte, key string, ids ...string) {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, "%c %d %s %s\n", what, time.Now().UnixNano(), key, id)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := io.WriteString(d.file, b.String()); err != nil {
		panic(err)
	}
}

// drive is the whole life of a driver process: it makes events and delivers them
// through spool and Kafka until SIGTERM, and then drains.
func drive(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ) // writes beyond a limit then fail instead of killing
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	says := &diary{file: os.NewFile(diaryFD, "diary")}

	cfg := kafka.Defaults()
	cfg.Brokers, cfg.Topic, cfg.WriteTimeout = []string{o.Broker}, o.Topic, 2*time.Second
	s, err := kafka.New(cfg, log)
	if err != nil {
		return err
	}
	q, err := delivery.New(delivery.Config{
		Name: "oracle", Spool: spool.Config{Path: o.Spool, Max: 64 << 20, Sync: o.Sync},
		Backoff: 20 * time.Millisecond, MaxBackoff: 500 * time.Millisecond,
		OnAck: func(events []*detect.Event, _ time.Time) {
			for _, ev := range events {
				says.write('a', ev.PartitionKey(), ev.ID)
			}
		},
	}, s, log)
	if err != nil {
		return err
	}
	says.write('r', "-", "-")
	delivering, end := context.WithCancel(context.Background())
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- q.Run(delivering) }()
	makeEvents(stop, o, q, says)
	draining, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := q.Drain(draining); err != nil {
		return err
	}
	end()
	if err := <-ended; err != nil && delivering.Err() == nil {
		return err
	}
	return s.Close(context.Background())
}

// makeEvents makes events at the rate until ctx ends.
func makeEvents(ctx context.Context, o orders, q *delivery.Queue, says *diary) {
	random := rand.New(rand.NewPCG(o.Seed, 1))
	m := maker{epoch: fmt.Sprint(time.Now().UnixMicro()), ordinals: map[string]uint64{}}
	begin, made := time.Now(), 0
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for due := int(time.Since(begin).Seconds() * float64(o.Rate)); made < due; made++ {
			ev := m.event(random, fmt.Sprint("s", random.IntN(o.Streams)))
			says.write('m', ev.PartitionKey(), ev.ID)
			if err := q.Offer(context.Background(), ev); err != nil {
				panic(err)
			}
			if o.Sync == 0 {
				says.write('k', ev.PartitionKey(), ev.ID)
			}
		}
	}
}

// maker makes events that no two runs share.
type maker struct {
	epoch    string
	ordinals map[string]uint64
	n        uint64
}

func (m *maker) event(random *rand.Rand, stream string) *detect.Event {
	now := time.Now().UTC().Truncate(time.Microsecond)
	m.n++
	track := fmt.Sprintf("%s-%d", m.epoch, random.IntN(5))
	ev := &detect.Event{
		Site: "oracle", Stream: stream, Type: detect.ObjectUpdated, Subject: "track/" + track, Time: now, Recorded: now, Severity: detect.Info,
		Data: detect.Data{
			Stream: detect.StreamInfo{Site: "oracle", Name: stream, Epoch: m.epoch}, Frame: &detect.FrameInfo{Index: m.n, Width: 640, Height: 480},
			Object: &detect.Object{TrackID: track, Class: "person", Score: .5, State: "active", FirstSeen: now, LastSeen: now},
		},
	}
	for range random.IntN(64) {
		ev.Data.Object.Path = append(ev.Data.Object.Path, [3]float64{float64(random.IntN(1e6)), random.Float64(), random.Float64()})
	}
	rule := ""
	switch random.IntN(10) {
	case 0, 1:
		ev.Type, ev.Severity, rule = detect.ZoneDwell, detect.Warning, "stay"
		ev.Data.Rule, ev.Data.Zone = &detect.RuleInfo{Name: rule, Kind: "dwell"}, &detect.ZoneInfo{Name: "door", Visit: 1}
	case 2:
		ev.Type, ev.Severity, rule = detect.LineCrossed, detect.Critical, "in-out"
		ev.Data.Rule, ev.Data.Line = &detect.RuleInfo{Name: rule, Kind: "crossing"}, &detect.LineInfo{Name: "kerb", Direction: "forward"}
	}
	name := fmt.Sprint(stream, ev.Type, rule, track)
	m.ordinals[name]++
	ev.ID = detect.EventID(ev.Source(), m.epoch, ev.Type, rule, track, m.ordinals[name])
	return ev
}

// driver is a driver process as its parent sees it.
type driver struct {
	cmd   *exec.Cmd
	sync  time.Duration
	ready chan struct{} // closed when it has begun
	ended chan struct{} // closed when it has ended and all it said was heard
	log   *tail
	kill  time.Time // when it was killed, zero if it was not
}

// startDriver starts one by a command line that ends in this program's name, and
// has hear called for each line that it says.
func startDriver(t testing.TB, command []string, o orders, hear func(line)) *driver {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	d := &driver{sync: o.Sync, ready: make(chan struct{}), ended: make(chan struct{}), log: &tail{}}
	d.cmd = exec.Command(command[0], command[1:]...)
	d.cmd.Env = append(os.Environ(), driverEnv+"="+string(text))
	d.cmd.ExtraFiles = []*os.File{in}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		defer out.Close()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var l line
			var ns int64
			if _, err := fmt.Sscanf(lines.Text(), "%c %d %s %s", &l.what, &ns, &l.key, &l.id); err != nil {
				panic(fmt.Sprintf("the driver says %q: %v", lines.Text(), err)) // one write is one line, whole or not at all
			}
			if l.at = time.Unix(0, ns); l.what == 'r' {
				close(d.ready)
				continue
			}
			hear(l)
		}
		d.cmd.Wait() // how it ended is in its state
	}()
	return d
}

// tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.text = append(w.text, p...); len(w.text) > 16<<10 {
		w.text = append([]byte(nil), w.text[len(w.text)-8<<10:]...)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}
