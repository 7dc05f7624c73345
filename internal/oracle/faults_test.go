package oracle

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fault is one thing that goes wrong, and is well again when happen returns; what
// it did to events goes on.
type fault struct {
	name   string
	rooted bool // needs a network or disk of its own
	slow   bool // the broker has to start
	happen func(w *world)
}

var faults = []fault{
	{name: "driver killed", happen: func(w *world) { w.kill(); w.start() }},
	{name: "driver killed twice", happen: func(w *world) { w.kill(); w.start(); w.let(1, 60); w.kill(); w.start() }},
	{name: "broker killed", slow: true, happen: func(w *world) { w.broker.Kill9(); w.let(0, 1000); w.broker.Restart() }},
	{name: "driver and broker killed", slow: true, happen: func(w *world) {
		w.broker.Kill9()
		w.let(0, 1500)
		w.kill()
		w.start()
		w.let(0, 1500)
		w.broker.Restart()
	}},
	{name: "broker restarted", slow: true, happen: func(w *world) { w.broker.Stop(); w.let(0, 500); w.broker.Restart() }},
	{name: "broker paused", happen: func(w *world) { w.broker.Pause(); w.let(200, 3000); w.broker.Resume() }},
	{name: "broker paused, driver killed", happen: func(w *world) {
		w.broker.Pause()
		w.let(100, 2500)
		w.kill()
		w.start()
		w.let(100, 1000)
		w.broker.Resume()
	}},
	{name: "connections cut", happen: func(w *world) { w.proxy.cut(); w.let(0, 1500); w.proxy.heal() }},
	{name: "answers slow", happen: func(w *world) {
		w.proxy.delay.Store(int64(50+w.random.IntN(400)) * int64(time.Millisecond))
		w.let(500, 2000)
		w.proxy.heal()
	}},
	{name: "answers lost", happen: func(w *world) { loseAnswers(w); w.proxy.heal() }},
	{name: "answers lost, driver killed", happen: func(w *world) {
		loseAnswers(w)
		w.kill()
		w.proxy.heal()
		w.start()
	}},
	{name: "network cut", rooted: true, happen: func(w *world) { w.network.pull(w); w.let(100, 3000); w.network.plug(w) }},
	{name: "network cut, driver killed", rooted: true, happen: func(w *world) {
		w.network.pull(w)
		w.let(100, 2500)
		w.kill()
		w.start()
		w.let(100, 1500)
		w.network.plug(w)
	}},
	{name: "disk full", rooted: true, happen: diskFull},
	{name: "disk full, broker paused", rooted: true, happen: func(w *world) {
		w.broker.Pause()
		w.let(100, 500)
		_, mend := fill(w)
		w.let(500, 2000)
		mend()
		w.let(100, 1000)
		w.broker.Resume()
		settled(w)
	}},
	{name: "disk failing", happen: diskFailing},
}

// schedule is every fault once, and others at random up to n, in random order. Those
// that take long come seldom.
func (w *world) schedule(n int, rooted bool) (out []fault) {
	var quick, slow []fault
	for _, f := range faults {
		switch {
		case f.rooted && !rooted:
			continue
		case f.slow:
			slow = append(slow, f)
		default:
			quick = append(quick, f)
		}
	}
	out = append(append(out, quick...), slow...)
	for len(out) < n {
		if w.random.IntN(20) == 0 {
			out = append(out, slow[w.random.IntN(len(slow))])
		} else {
			out = append(out, quick[w.random.IntN(len(quick))])
		}
	}
	w.random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:n]
}

// loseAnswers has the broker append what the driver never hears of.
func loseAnswers(w *world) {
	before := w.proxy.swallowed.Load()
	w.proxy.hangUp.Store(w.random.IntN(2) == 0)
	w.proxy.swallow.Store(true)
	w.let(200, 2000)
	w.until("an answer is swallowed", func() bool { return w.proxy.swallowed.Load() > before })
}

// fill leaves no room on the spool's disk until mend is called; more takes the room
// that the driver has given back since.
func fill(w *world) (more, mend func()) {
	name := filepath.Join(w.disk, "filler")
	f, err := os.Create(name)
	if err != nil {
		w.Fatal(err)
	}
	more = func() {
		if n, err := io.Copy(f, io.LimitReader(zeros{}, 2*diskSize)); err == nil {
			w.Fatalf("the disk took %d bytes: it is not full", n)
		}
	}
	more()
	return more, func() {
		if err := errors.Join(f.Close(), os.Remove(name)); err != nil {
			w.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func diskFull(w *world) {
	more, mend := fill(w)
	w.let(300, 3000)
	w.until("the driver says that its disk is full", func() bool {
		more() // a backlog that is delivered gives its files back
		return strings.Contains(w.driver.log.String(), "no space left")
	})
	mend()
	settled(w)
}

// diskFailing has every write to a file fail, by a limit to the process.
func diskFailing(w *world) {
	limit := func(n uint64) {
		l := unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}
		if err := unix.Prlimit(w.driver.cmd.Process.Pid, unix.RLIMIT_FSIZE, &l, nil); err != nil {
			w.Fatal(err)
		}
	}
	limit(0)
	w.let(300, 3000)
	w.until("the driver says that its disk fails", func() bool { return strings.Contains(w.driver.log.String(), "file too large") })
	limit(unix.RLIM_INFINITY)
	settled(w)
}

// settled waits until the driver can be killed again without loss by right: a spool
// whose disk did not keep events cannot promise them until it keeps them again, or
// they are delivered.
func settled(w *world) {
	w.let(3000, 3500)
	w.delivered()
}
