// Package kafka runs the real Apache Kafka for tests: one KRaft node on loopback,
// which can be killed, restarted and frozen. Import it as kafkatest beside kafka-go.
package kafka

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"sightline/internal/testkit"
)

// How long a broker may take to answer after its start, on a loaded machine.
const startTimeout = 2 * time.Minute

// A Broker is one running Kafka node. Its methods fail the test that started it,
// and are for the test's own goroutine.
type Broker struct {
	Addr     string // PLAINTEXT, host:port
	SSLAddr  string // TLS, no authentication
	SASLAddr string // TLS with SCRAM-SHA-256, SCRAM-SHA-512, PLAIN or OAUTHBEARER (see Token)
	CAFile   string // PEM certificate that clients of all addresses with TLS trust
	User     string
	Password string

	MutualAddr string // TLS that wants a client certificate (see ClientCertificate)

	authority *authority
	t         testing.TB
	dir       string
	jars      string
	process   *exec.Cmd
	ended     chan struct{} // closed when process has ended
}

// Start runs a broker until the test ends, on an empty folder and free ports, and
// returns when it answers. Topics are not made by themselves: see CreateTopic.
// Each property, "key=value", is added to the broker's configuration. The test is
// skipped where the jars or Java are missing (testkit.Require, part "kafka").
func Start(t testing.TB, properties ...string) *Broker {
	t.Helper()
	jars := testkit.Dep(t, "kafka/libs")
	_, err := exec.LookPath("java")
	testkit.Require(t, "kafka", err == nil, "run `make setup-test` (no java)")

	b := &Broker{
		User: "viewer", Password: "not-a-secret",
		t: t, dir: t.TempDir(), jars: filepath.Join(jars, "*"),
	}
	ports := freePorts(t, 5)
	b.Addr, b.SSLAddr, b.SASLAddr = loopback(ports[0]), loopback(ports[1]), loopback(ports[2])
	b.MutualAddr = loopback(ports[4])
	b.CAFile = filepath.Join(b.dir, "ca.pem")
	b.authority = newAuthority(t, b.CAFile, filepath.Join(b.dir, "server.pem"))
	conf := b.configuration(loopback(ports[3])) + strings.Join(properties, "\n") + "\n"
	if err := os.WriteFile(b.configFile(), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	b.format()
	t.Cleanup(b.kill)
	b.run()
	return b
}

// Kill9 ends the broker without warning; its data stays for Restart.
func (b *Broker) Kill9() {
	b.t.Helper()
	b.kill()
}

// Stop ends the broker in good order; its data stays for Restart.
func (b *Broker) Stop() {
	b.t.Helper()
	b.signal(syscall.SIGTERM)
	select {
	case <-b.ended:
	case <-time.After(startTimeout):
		b.t.Fatalf("the broker did not stop\n%s", b.log())
	}
}

// Restart runs a broker that ended again, on the same addresses and data, and
// returns when it answers: some 5 s after Kill9.
func (b *Broker) Restart() {
	b.t.Helper()
	b.run()
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

// CreateTopic makes a topic; each entry, "key=value", configures it.
func (b *Broker) CreateTopic(name string, partitions int, entries ...string) {
	b.t.Helper()
	topic := kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}
	for _, entry := range entries {
		key, value, _ := strings.Cut(entry, "=")
		topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := kafka.Client{Addr: kafka.TCP(b.Addr), Transport: transport}
	answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err == nil {
		err = answer.Errors[name]
	}
	if err != nil {
		b.t.Fatalf("create topic %s: %v\n%s", name, err, b.log())
	}
}

// run starts the process and waits until it answers.
func (b *Broker) run() {
	b.t.Helper()
	log, err := os.OpenFile(b.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	b.process = b.java(log, "-Xms64m", "-Xmx256m", "kafka.Kafka", b.configFile())
	if err := b.process.Start(); err != nil {
		b.t.Fatalf("start the broker: %v", err)
	}
	b.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = process.Wait()
	}(b.process, b.ended)

	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !answers(ctx, b.Addr) {
		select {
		case <-b.ended:
			b.t.Fatalf("the broker ended while starting\n%s", b.log())
		case <-ctx.Done():
			b.t.Fatalf("the broker does not answer after %v\n%s", startTimeout, b.log())
		case <-poll.C:
		}
	}
}

// answers says whether the broker names itself as ready to serve.
func answers(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := kafka.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	brokers, err := conn.Brokers()
	return err == nil && len(brokers) == 1
}

// java prepares a process of Kafka's jars that dies with this one.
func (b *Broker) java(out io.Writer, args ...string) *exec.Cmd {
	fixed := []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-cp", b.jars}
	cmd := exec.Command("java", append(fixed, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, b.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// format makes the data folder, with the user's SCRAM credentials in it.
func (b *Broker) format() {
	b.t.Helper()
	args := []string{"kafka.tools.StorageTool", "format", "-t", clusterID(b.t), "-c", b.configFile()}
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, b.User, b.Password))
	}
	var out bytes.Buffer
	if err := b.java(&out, args...).Run(); err != nil {
		b.t.Fatalf("format the broker's storage: %v\n%s", err, out.String())
	}
}

func (b *Broker) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.process.Process.Signal(s); err != nil {
		b.t.Fatalf("signal %v to the broker: %v", s, err)
	}
}

func (b *Broker) kill() {
	if b.process == nil {
		return
	}
	_ = b.process.Process.Kill()
	<-b.ended
}

// log returns the end of what the broker wrote.
func (b *Broker) log() string {
	text, err := os.ReadFile(b.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

func (b *Broker) configFile() string { return filepath.Join(b.dir, "server.properties") }
func (b *Broker) logFile() string    { return filepath.Join(b.dir, "broker.log") }

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
