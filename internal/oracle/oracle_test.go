// Package oracle is a test: it kills, cuts and fills whatever events pass through,
// and holds the topic against what was made.
package oracle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/internal/testkit"
	kafkatest "sightline/internal/testkit/kafka"
)

const (
	topic      = "oracle"
	partitions = 3
	streams    = 6
	diskSize   = 96 << 20
	patience   = 2 * time.Minute // for things that must happen in the end
)

// TestCrashOracle lets every fault happen once, and some at random, while events
// flow. SIGHTLINE_SEED repeats a run's choices, SIGHTLINE_FAULTS sets their number.
func TestCrashOracle(t *testing.T) {
	oracle(t, seed(t), number(t, "SIGHTLINE_FAULTS", 24), 200)
}

// seed is what a run's choices follow from.
func seed(t testing.TB) uint64 {
	return uint64(number(t, "SIGHTLINE_SEED", int(time.Now().UnixNano()%1e9)))
}

// oracle lets n faults happen while so many events a second are made.
func oracle(t *testing.T, seed uint64, n, rate int) {
	rooted, how := canJoin()
	t.Logf("SIGHTLINE_SEED=%d SIGHTLINE_FAULTS=%d", seed, n)
	w := &world{T: t, random: rand.New(rand.NewPCG(seed, 0)), rate: rate, broker: kafkatest.Start(t)}
	w.broker.CreateTopic(topic, partitions)
	w.judge = newJudge(topic, partitions)
	w.spool = filepath.Join(t.TempDir(), "spool")
	host := "127.0.0.1"
	if rooted {
		w.network = joinNetwork(t)
		w.disk = smallDisk(t, diskSize)
		w.spool, host = filepath.Join(w.disk, "spool"), w.network.host
	}
	var err error
	if w.proxy, err = startProxy(host, w.broker.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.close)
	stop := w.followTopic()
	w.start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last driver's log:\n%s", w.driver.log)
		}
	})
	begin := time.Now()
	for i, f := range w.schedule(n, rooted) {
		at := time.Now()
		w.let(100, 700)
		f.happen(w)
		w.alive()
		t.Logf("%3d %-28s %5.1f s, at %.1f s", i+1, f.name, time.Since(at).Seconds(), time.Since(begin).Seconds())
	}
	w.finish()
	stop()
	w.judge.verdict(t, t.Output())
	if n >= len(faults) && w.proxy.swallowed.Load() == 0 {
		t.Error("no answer was swallowed: the faults did not happen")
	}
	t.Run("NetworkAndDisk", func(t *testing.T) { testkit.Require(t, "netns", rooted, how) })
}

func number(t testing.TB, name string, otherwise int) int {
	text, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// world is what events pass through, and can break.
type world struct {
	*testing.T
	random  *rand.Rand
	rate    int
	broker  *kafkatest.Broker
	proxy   *proxy
	network *network // nil: none, events go by loopback
	disk    string   // mount point of the spool's own disk; "": none
	spool   string
	judge   *judge
	driver  *driver
	runs    int
}

// start runs a driver and waits until it has begun. Every third one puts each event
// on disk at once.
func (w *world) start() {
	w.Helper()
	o := orders{Broker: w.proxy.addr, Topic: topic, Spool: w.spool, Sync: 50 * time.Millisecond, Streams: streams, Rate: w.rate, Seed: w.random.Uint64()}
	if w.runs++; w.runs%3 == 0 {
		o.Sync = 0
	}
	self, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	command := []string{self}
	if w.network != nil {
		command = w.network.inside(self)
	}
	var d *driver
	begun := make(chan struct{}) // d is set
	d = startDriver(w.T, command, o, func(l line) { <-begun; w.judge.hear(d)(l) })
	close(begun)
	w.driver = d
	w.Cleanup(func() { d.cmd.Process.Kill(); <-d.ended })
	select {
	case <-d.ready:
	case <-d.ended:
		w.Fatalf("the driver does not start: %v\n%s", d.cmd.ProcessState, d.log)
	case <-time.After(patience):
		w.Fatalf("the driver has not begun after %v\n%s", patience, d.log)
	}
}

// alive fails the test when the driver has ended by itself.
func (w *world) alive() {
	w.Helper()
	select {
	case <-w.driver.ended:
		w.Fatalf("the driver ended by itself: %v\n%s", w.driver.cmd.ProcessState, w.driver.log)
	default:
	}
}

// kill is kill -9 of the driver.
func (w *world) kill() {
	w.alive()
	w.judge.mu.Lock()
	w.driver.kill = time.Now() // not after it: what is made later than this is lost by right
	w.judge.mu.Unlock()
	w.driver.cmd.Process.Kill()
	<-w.driver.ended
}

// let lets between least and most milliseconds pass.
func (w *world) let(least, most int) {
	timer := time.NewTimer(time.Duration(least+w.random.IntN(most-least)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.Context().Done():
	}
}

// until waits for something that must happen in the end.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for late := time.After(patience + time.Minute); !ok(); {
		select {
		case <-poll.C:
		case <-late:
			w.Fatalf("%s: not after %v\n%s", what, patience, w.driver.log)
		}
	}
}

// delivered waits until all that was made so far and must arrive has; the verdict
// names what does not.
func (w *world) delivered() {
	w.Helper()
	now, late := time.Now(), time.Now().Add(patience)
	w.until("all events made arrive", func() bool {
		w.alive()
		return w.judge.awaited(now) == 0 || time.Now().After(late)
	})
	if w.judge.awaited(now) > 0 {
		w.judge.verdict(w, w.Output())
		w.FailNow()
	}
}

// followTopic starts the consumer.
func (w *world) followTopic() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for p := range partitions {
		all.Go(func() { w.judge.follow(ctx, w.broker.Addr, topic, p) })
	}
	stop = func() { cancel(); all.Wait() }
	w.Cleanup(stop)
	return stop
}

// finish ends the driver, which may leave events in the spool, has one that makes
// none deliver them, and waits until all was read.
func (w *world) finish() {
	w.end()
	w.rate = 0
	w.start()
	w.delivered()
	w.end()
	ends := make([]int64, partitions)
	for p := range ends {
		w.until("the end of the topic is known", func() bool {
			conn, err := kafkago.DialLeader(w.Context(), "tcp", w.broker.Addr, topic, p)
			if err != nil {
				return false
			}
			defer conn.Close()
			ends[p], err = conn.ReadLastOffset()
			return err == nil
		})
	}
	w.until(fmt.Sprint("the topic is read up to ", ends), func() bool { return w.judge.reached(ends) })
}

// end ends the driver in good order.
func (w *world) end() {
	w.Helper()
	w.driver.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-w.driver.ended:
	case <-time.After(patience):
		w.Fatalf("the driver does not end\n%s", w.driver.log)
	}
	if !w.driver.cmd.ProcessState.Success() {
		w.Fatalf("the driver ended with %v\n%s", w.driver.cmd.ProcessState, w.driver.log)
	}
}
