package mqtt

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sightline/internal/testkit"
	"sightline/sink/sinktest"
)

// broker is a real mosquitto of the test's own.
type broker struct {
	t    *testing.T
	dir  string // its programs and their libraries
	home string
	addr string
	cmd  *exec.Cmd
	done chan struct{}
	said *strings.Builder
}

// mosquitto starts a broker with lines added to its configuration. Lines that speak
// of HOME mean the test's own folder, and PORT the listener's.
func mosquitto(t *testing.T, lines ...string) *broker {
	t.Helper()
	b := &broker{t: t, dir: testkit.Dep(t, "mosquitto"), home: t.TempDir()}
	b.addr = freeAddress(t)
	_, port, _ := net.SplitHostPort(b.addr)
	if len(lines) == 0 || !strings.Contains(strings.Join(lines, "\n"), "allow_anonymous") {
		lines = append(lines, "allow_anonymous true")
	}
	text := "listener PORT 127.0.0.1\nmax_queued_messages 100000\nuser root\n" + strings.Join(lines, "\n") + "\n"
	text = strings.NewReplacer("PORT", port, "HOME", b.home).Replace(text)
	b.write("mosquitto.conf", text)
	t.Cleanup(b.kill)
	b.start()
	return b
}

func (b *broker) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (b *broker) program(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(b.dir, name), args...)
	c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+b.dir)
	return c
}

// start runs the broker and returns when it takes connections.
func (b *broker) start() {
	b.t.Helper()
	b.said = &strings.Builder{}
	b.cmd = b.program("mosquitto", "-c", filepath.Join(b.home, "mosquitto.conf"))
	b.cmd.Stdout, b.cmd.Stderr = b.said, b.said
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.done = make(chan struct{})
	go func() {
		b.cmd.Wait()
		close(b.done)
	}()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", b.addr); err == nil {
			conn.Close()
			return
		}
		select {
		case <-b.done:
			b.t.Fatalf("mosquitto ended:\n%s", b.said)
		default:
		}
		if time.Now().After(until) {
			b.t.Fatal("mosquitto does not start")
		}
	}
}

func (b *broker) kill() {
	b.cmd.Process.Kill()
	<-b.done
	if b.t.Failed() {
		b.t.Logf("mosquitto:\n%s", b.said)
	}
}

func (b *broker) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// received is one message as mosquitto_sub tells it.
type received struct {
	Topic      string
	Retain     int
	QoS        int
	Payload    string
	Properties struct {
		ContentType    string            `json:"content-type"`
		UserProperties map[string]string `json:"user-properties"`
		Format         int               `json:"payload-format-indicator"`
	}
}

// subscriber is a mosquitto_sub, which stays subscribed over restarts of the broker.
type subscriber struct {
	mu       sync.Mutex
	messages []received
	changed  chan struct{}
}

// subscribe returns once the broker has the subscription.
func (b *broker) subscribe(topic string) *subscriber {
	b.t.Helper()
	host, port, _ := net.SplitHostPort(b.addr)
	args := []string{"-oL", filepath.Join(b.dir, "mosquitto_sub"), "-V", "mqttv5", "-h", host, "-p", port, "-q", "1", "-c", "-i", "reader-" + strings.Trim(topic, "/#+"), "-x", "3600",
		"-d", "-F", "MESSAGE %j", "-t", topic}
	c := exec.Command("stdbuf", args...) // line by line
	c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+b.dir)
	out, err := c.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.t.Fatal(err)
	}
	s := &subscriber{changed: make(chan struct{})}
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		once := sync.OnceFunc(func() { close(ready) })
		defer once()
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "Subscribed ") {
				once()
			}
			s.line(b.t, lines.Text())
		}
	}()
	b.t.Cleanup(func() {
		c.Process.Kill()
		<-done
		c.Wait()
	})
	<-ready
	return s
}

func (s *subscriber) line(t *testing.T, text string) {
	_, text, ok := strings.Cut(text, "MESSAGE ")
	if !ok {
		return
	}
	var m received
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Errorf("mosquitto_sub says %s: %v", text, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait returns what has arrived when that is enough, or after 20 s.
func (s *subscriber) wait(enough func([]received) bool) []received {
	late := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		all, changed := append([]received(nil), s.messages...), s.changed
		s.mu.Unlock()
		if enough(all) {
			return all
		}
		select {
		case <-changed:
		case <-late:
			return all
		}
	}
}

func (s *subscriber) count(n int) []received {
	return s.wait(func(all []received) bool { return len(all) >= n })
}

// arrivals are the events among want different ones.
func (s *subscriber) arrivals(t *testing.T, want int) []sinktest.Arrival {
	t.Helper()
	var out []sinktest.Arrival
	s.wait(func(all []received) bool {
		seen := map[string]bool{}
		out = out[:0]
		for _, m := range all {
			var ev struct{ ID, PartitionKey, Sequence string }
			if err := json.Unmarshal([]byte(m.Payload), &ev); err != nil {
				t.Fatal(err)
			}
			n, err := strconv.ParseUint(ev.Sequence, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			seen[ev.ID] = true
			out = append(out, sinktest.Arrival{Key: ev.PartitionKey, Sequence: n, ID: ev.ID, Body: m.Payload})
		}
		return len(seen) >= want
	})
	return out
}

func (b *broker) config(version int) Config {
	cfg := Defaults()
	cfg.URL, cfg.Version, cfg.Timeout = "mqtt://"+b.addr, version, 2*time.Second
	return cfg
}

func newSink(t *testing.T, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func versions(t *testing.T, test func(t *testing.T, version int)) {
	for _, v := range []int{V3, V5} {
		t.Run(fmt.Sprint("version ", v), func(t *testing.T) { test(t, v) })
	}
}
