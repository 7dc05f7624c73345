// Package mosquitto runs a real MQTT broker and its own subscriber for tests, on
// loopback, which can be killed, restarted and frozen.
package mosquitto

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sightline/internal/testkit"
)

// Broker is one running mosquitto. Its methods fail the test that started it, and are
// for the test's own goroutine.
type Broker struct {
	Addr string // host:port

	t    testing.TB
	dir  string // its programs and their libraries
	home string
	cmd  *exec.Cmd
	done chan struct{}
	said *strings.Builder
}

// Start runs a broker until the test ends, with lines added to its configuration, and
// returns when it takes connections. HOME in a line is the broker's own folder, PORT its
// port; anybody may connect unless a line speaks of allow_anonymous. The test is skipped
// where mosquitto is missing (testkit.Require).
func Start(t testing.TB, lines ...string) *Broker {
	t.Helper()
	b := &Broker{t: t, dir: testkit.Dep(t, "mosquitto"), home: t.TempDir()}
	b.Addr = freeAddress(t)
	_, port, _ := net.SplitHostPort(b.Addr)
	if len(lines) == 0 || !strings.Contains(strings.Join(lines, "\n"), "allow_anonymous") {
		lines = append(lines, "allow_anonymous true")
	}
	text := "listener PORT 127.0.0.1\nmax_queued_messages 100000\nuser root\n" + strings.Join(lines, "\n") + "\n"
	text = strings.NewReplacer("PORT", port, "HOME", b.home).Replace(text)
	b.write("mosquitto.conf", text)
	t.Cleanup(b.end)
	b.Restart()
	return b
}

func (b *Broker) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Program is a command of mosquitto's own, such as mosquitto_passwd.
func (b *Broker) Program(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(b.dir, name), args...)
	c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+b.dir)
	return c
}

// Restart runs a broker that was killed again, on the same address and data, and
// returns when it takes connections.
func (b *Broker) Restart() {
	b.t.Helper()
	b.said = &strings.Builder{}
	b.cmd = b.Program("mosquitto", "-c", filepath.Join(b.home, "mosquitto.conf"))
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
		if conn, err := net.Dial("tcp", b.Addr); err == nil {
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

// Kill9 ends the broker without warning; its data stays for Restart. Any goroutine may
// call it.
func (b *Broker) Kill9() {
	b.cmd.Process.Kill()
	<-b.done
}

func (b *Broker) end() {
	if b.done == nil {
		return // it never ran
	}
	b.Kill9()
	if b.t.Failed() {
		b.t.Logf("mosquitto:\n%s", b.said)
	}
}

// Pause freezes the broker: connections stay open and nothing answers.
func (b *Broker) Pause() {
	b.t.Helper()
	b.signal(syscall.SIGSTOP)
}

// Resume ends a Pause.
func (b *Broker) Resume() {
	b.t.Helper()
	b.signal(syscall.SIGCONT)
}

func (b *Broker) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// Message is one message as mosquitto_sub tells it.
type Message struct {
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

// Subscriber is a mosquitto_sub, which stays subscribed over restarts of the broker.
type Subscriber struct {
	mu       sync.Mutex
	messages []Message
	changed  chan struct{}
}

// Subscribe returns once the broker has the subscription.
func (b *Broker) Subscribe(topic string) *Subscriber {
	b.t.Helper()
	host, port, _ := net.SplitHostPort(b.Addr)
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
	s := &Subscriber{changed: make(chan struct{})}
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

func (s *Subscriber) line(t testing.TB, text string) {
	_, text, ok := strings.Cut(text, "MESSAGE ")
	if !ok {
		return
	}
	var m Message
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

// Wait returns what has arrived when that is enough, or after 20 s.
func (s *Subscriber) Wait(enough func([]Message) bool) []Message {
	late := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		all, changed := append([]Message(nil), s.messages...), s.changed
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

// Count waits for n messages.
func (s *Subscriber) Count(n int) []Message {
	return s.Wait(func(all []Message) bool { return len(all) >= n })
}
