package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"sightline/configs"
	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/file"
	"sightline/pipelines"
	"sightline/pipelines/spec"
	"sightline/sink/kafka"
	"sightline/sink/kafka/embedded"
)

func newDemo(sh *shell) *cobra.Command {
	var length time.Duration
	var listen string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Cameras, Kafka, detector and page in one process",
		Long: "Demo serves a sample video as two RTSP cameras, pulls them back, detects, tracks and counts people,\n" +
			"publishes the events to a Kafka inside the process (for trying out only), reads them back, and prints one\n" +
			"line an event: TIME STREAM TYPE SUBJECT and details. The page shows both streams live.",
		Example: "  sightline demo\n  sightline demo --for 30s\n  sightline demo --listen 127.0.0.1:9000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if length > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, length)
				defer cancel()
			}
			return runDemo(ctx, sh, listen)
		},
	}
	c.Flags().DurationVar(&length, "for", 0, "end by itself after this `DURATION`, such as 30s; 0 runs until a signal")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`HOST:PORT` of the page")
	return c
}

const demoTopic = "sightline.events"

func runDemo(ctx context.Context, sh *shell, listen string) error {
	cameras, err := demoCameras(sh)
	if err != nil {
		return err
	}
	defer cameras.Close()
	broker, err := embedded.Start()
	if err != nil {
		return err
	}
	defer broker.Close()
	values := map[string]string{
		"NORTH_URL": cameras.URL("north"), "SOUTH_URL": cameras.URL("south"), "KAFKA_BROKER": broker.Addr(), "WEB_LISTEN": listen,
	}
	sp, err := spec.Parse("demo.yaml", configs.Demo, nil, func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	if err != nil {
		return err
	}
	p, err := pipelines.New(sp, sh.options())
	if err != nil {
		return err
	}
	reader := startReader(sh.out, broker.Addr(), demoTopic)
	var begin time.Time
	err = serve(ctx, sh, p, func(ctx context.Context) error {
		fmt.Fprintf(sh.out, "Two cameras, one detector, a Kafka in this process. Watch them at http://%s/ — ^C ends the demo.\n\n", listen)
		begin = time.Now()
		return verdict(p, p.Run(ctx))
	})
	if begin.IsZero() {
		reader.stop()
		return errors.Join(fmt.Errorf("the page (--listen names another address): %w", err), <-reader.done)
	}
	sum := p.Summary()
	read, readErr := reader.finish(sum.Acknowledged)
	printSummary(sh.out, sum, read, time.Since(begin))
	return errors.Join(err, readErr)
}

// demoCameras serves the sample videos as two cameras.
func demoCameras(sh *shell) (*camera.Server, error) {
	streams := map[string]ingest.Source{}
	for name, video := range map[string]string{"north": "vtest.mp4", "south": "vtest-south.mp4"} {
		c := file.Defaults()
		c.Path, c.Loop = filepath.Join(findDeps(), "media", video), true
		if _, err := os.Stat(c.Path); err != nil {
			return nil, fmt.Errorf("the sample video is not there: run `make setup` (looked for .deps/media/%s beside the program and above the working folder)", video)
		}
		s, err := file.New(c, name, sh.log)
		if err != nil {
			return nil, err
		}
		streams[name] = s
	}
	return camera.Serve(context.Background(), camera.Config{Streams: streams, Log: sh.log})
}

// reader prints the events that come back from Kafka.
type reader struct {
	read atomic.Uint64
	stop context.CancelFunc
	done chan error
}

func startReader(out io.Writer, broker, topic string) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{stop: cancel, done: make(chan error, 1)}
	c := kafka.Defaults()
	c.Brokers, c.Topic = []string{broker}, topic
	go func() {
		r.done <- kafka.Tail(ctx, c, time.Time{}, func(m kafka.Message) error {
			r.read.Add(1)
			line, err := describeEvent(m.Value)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(out, line)
			return err
		})
	}()
	return r
}

// finish waits a moment until everything acknowledged was read, and ends the
// reading.
func (r *reader) finish(acknowledged uint64) (uint64, error) {
	deadline := time.After(3 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for r.read.Load() < acknowledged {
		select {
		case <-tick.C:
		case <-deadline:
			r.stop()
			return r.read.Load(), <-r.done
		case err := <-r.done:
			r.stop()
			return r.read.Load(), err
		}
	}
	r.stop()
	return r.read.Load(), <-r.done
}

// describeEvent is one line for people: time, stream, type, subject, details.
func describeEvent(message []byte) (string, error) {
	var e struct {
		Time, Type, Subject string
		Data                struct {
			Stream detect.StreamInfo
			Object *struct {
				Class string
				Score float64
			}
			Line   *struct{ Name, Direction string }
			Zone   *detect.ZoneInfo
			Counts []detect.Count
			Reason any
		}
	}
	if err := json.Unmarshal(message, &e); err != nil {
		return "", fmt.Errorf("event read back is not JSON: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		return "", fmt.Errorf("event read back has no time: %w", err)
	}
	var details []string
	if o := e.Data.Object; o != nil {
		details = append(details, fmt.Sprintf("%s %.2f", o.Class, o.Score))
	}
	if l := e.Data.Line; l != nil {
		details = append(details, strings.TrimSpace(l.Name+" "+l.Direction))
	}
	if z := e.Data.Zone; z != nil {
		details = append(details, z.Name)
		if z.DwellS != nil {
			details = append(details, fmt.Sprintf("%.1f s", *z.DwellS))
		}
		if z.Occupancy != nil {
			details = append(details, fmt.Sprintf("%d inside", *z.Occupancy))
		}
	}
	for _, c := range e.Data.Counts {
		details = append(details, fmt.Sprintf("%d %s %s", c.Count, c.Class, c.Direction))
	}
	if code, ok := e.Data.Reason.(string); ok {
		details = append(details, code)
	}
	return strings.TrimRight(fmt.Sprintf("%s %-6s %-15s %-28s %s", at.UTC().Format("15:04:05.000"), e.Data.Stream.Name,
		strings.TrimPrefix(e.Type, "sightline."), e.Subject, strings.Join(details, ", ")), " "), nil
}

func printSummary(out io.Writer, s pipelines.Summary, read uint64, took time.Duration) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nSummary of %s\n", took.Round(100*time.Millisecond))
	fmt.Fprintf(&b, "  frames    %d received, %d decoded, %d inferred\n", s.Received, s.Decoded, s.Inferred)
	fmt.Fprintf(&b, "  dropped   %s\n", counts(merge(s.Undecoded, s.Skipped)))
	fmt.Fprintf(&b, "  events    %s\n", counts(s.Events))
	fmt.Fprintf(&b, "  delivered %d acknowledged by Kafka, %d read back, %d lost\n", s.Acknowledged, read, s.Lost)
	fmt.Fprintf(&b, "  latency   p50 %s, p95 %s from capture to acknowledged event\n", s.LatencyP50.Round(time.Millisecond), s.LatencyP95.Round(time.Millisecond))
	out.Write(b.Bytes())
}

func merge(a, b map[string]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for _, m := range []map[string]uint64{a, b} {
		for k, v := range m {
			out[k] += v
		}
	}
	return out
}

// counts lists what was counted, most first.
func counts[K ~string](m map[K]uint64) string {
	keys := make([]K, 0, len(m))
	for k, n := range m {
		if n > 0 {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return "none"
	}
	slices.SortFunc(keys, func(a, b K) int {
		if m[a] != m[b] {
			return int(m[b]) - int(m[a])
		}
		return strings.Compare(string(a), string(b))
	})
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s %d", k, m[k])
	}
	return strings.Join(parts, ", ")
}
