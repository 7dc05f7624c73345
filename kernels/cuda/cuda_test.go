//go:build cuda

package cuda

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"sightline/kernels/emu"
)

// lag slows the emulated device down, so that what does not wait for it shows: an hour
// holds it until less is said.
func lag(d time.Duration) {
	if emu.Active() {
		emu.Lag(d)
	}
}

// open opens a device and, at the end, expects all that was made to be gone, as far
// as the driver tells.
func open(t *testing.T, c Config) Device {
	t.Helper()
	emu.KeepsNothing(t)
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		lag(0)
	})
	return d
}

func newStream(t *testing.T, d Device) Stream {
	t.Helper()
	s, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lag(0) // it may be held
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func alloc(t *testing.T, d Device, n int) Memory {
	t.Helper()
	m, err := d.Alloc("test", n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Free(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func pin(t *testing.T, d Device, n int) []byte {
	t.Helper()
	p, err := d.Pinned(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Free(); err != nil {
			t.Error(err)
		}
	})
	return p.Bytes()
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCUDADevices(t *testing.T) {
	list, err := Devices()
	ok(t, err)
	if len(list) == 0 || list[0].Name == "" || list[0].Total == 0 || list[0].Compute[0] < 7 || !strings.Contains(list[0].Driver, ".") {
		t.Errorf("%+v", list)
	}
	_, err = Open(Config{Index: len(list)})
	if !errors.Is(err, ErrNoDevice) {
		t.Errorf("a device too many: %v", err)
	}
	d := open(t, Config{})
	if info := d.Info(); info.Free == 0 || info.Free > info.Total || d.Context() == nil {
		t.Errorf("%+v", info)
	}
}

// TestCUDACopies moves bytes there and back, from pinned and from other memory,
// while the device lags behind.
func TestCUDACopies(t *testing.T) {
	d := open(t, Config{})
	lag(2 * time.Millisecond)
	s := newStream(t, d)
	const n = 10_000
	for _, kind := range []string{"pinned", "Go's"} {
		m := alloc(t, d, n)
		in, out := make([]byte, n), make([]byte, n)
		if kind == "pinned" {
			in, out = pin(t, d, n), pin(t, d, n)
			lag(time.Hour)
		}
		for i := range in {
			in[i] = byte(i * 7)
		}
		want := bytes.Clone(in)
		before, err := s.Record()
		ok(t, err)
		ok(t, s.Upload(m.Address(), in))
		if kind != "pinned" {
			if done, err := before.Done(); !done || err != nil {
				t.Errorf("the upload of Go's memory was not waited for: %v", err)
			}
			clear(in) // it may change already
		}
		ok(t, before.Close())
		ok(t, s.Download(out, m.Address()))
		if kind == "pinned" {
			if emu.Active() && bytes.Equal(out, want) {
				t.Error("the download did not wait for its turn")
			}
			lag(2 * time.Millisecond)
			ok(t, s.Synchronize())
		}
		if !bytes.Equal(out, want) {
			t.Errorf("%s memory does not come back", kind)
		}
		ok(t, s.Fill(m.Address()+100, 9, 50))
		ok(t, s.Download(out, m.Address()))
		ok(t, s.Synchronize())
		copy(want[100:150], bytes.Repeat([]byte{9}, 50))
		if !bytes.Equal(out, want) {
			t.Errorf("%s memory was filled elsewhere", kind)
		}
	}
	if host := alloc(t, d, n).HostAddress(); emu.Active() != (host != nil) {
		t.Errorf("on the host the memory has the address %v", host)
	}
	if !emu.Active() {
		return // a real driver may follow any address
	}
	if err := s.Upload(0x1000, make([]byte, 8)); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("copying to nowhere: %v", err)
	}
}

// TestCUDARectangles copies one out of the host, across the device and back.
func TestCUDARectangles(t *testing.T) {
	d := open(t, Config{})
	s := newStream(t, d)
	const width, rows = 30, 7
	host, back := pin(t, d, 40*rows), make([]byte, 33*rows)
	for i := range host {
		host[i] = byte(i)
	}
	a, b := alloc(t, d, 64*rows), alloc(t, d, 256*rows)
	at := func(m Memory, pitch int) Place { return Place{Address: m.Address(), Pitch: pitch} }
	for _, c := range []Copy2D{
		{To: at(a, 64), From: Place{Host: unsafe.Pointer(&host[0]), Pitch: 40}, Width: width, Rows: rows},
		{To: at(b, 256), From: at(a, 64), Width: width, Rows: rows},
		{To: Place{Host: unsafe.Pointer(&back[0]), Pitch: 33}, From: at(b, 256), Width: width, Rows: rows},
		{To: at(b, 256), From: at(a, 64)}, // nothing
	} {
		ok(t, s.Copy2D(c))
	}
	for y := range rows {
		if !bytes.Equal(back[33*y:][:width], host[40*y:][:width]) {
			t.Errorf("row %d differs", y)
		}
	}
	if err := s.Copy2D(Copy2D{To: at(a, 16), From: at(b, 256), Width: width, Rows: rows}); err == nil {
		t.Error("rows overlap")
	}
}

// TestCUDAEvents has one stream wait for another that lags.
func TestCUDAEvents(t *testing.T) {
	d := open(t, Config{})
	a, b := newStream(t, d), newStream(t, d)
	m, in, out := alloc(t, d, 64), pin(t, d, 64), pin(t, d, 64)
	for round := range 3 {
		for i := range in {
			in[i] = byte(round + i)
		}
		lag(time.Hour)
		for range 5 { // more than the other stream has to do
			ok(t, a.Fill(m.Address(), 0, 64))
		}
		ok(t, a.Upload(m.Address(), in))
		e, err := a.Record()
		ok(t, err)
		if done, err := e.Done(); done && emu.Active() || err != nil {
			t.Errorf("done before its time, or failed: %v, %v", done, err)
		}
		ok(t, b.Wait(e))
		ok(t, e.Close()) // what waits is not disturbed, nor by the next that takes its place
		other, err := b.Record()
		ok(t, err)
		ok(t, b.Download(out, m.Address()))
		end, err := b.Record()
		ok(t, err)
		lag(5 * time.Millisecond)
		ok(t, end.Wait())
		if !bytes.Equal(in, out) {
			t.Errorf("round %d: the streams did not wait", round)
		}
		for _, e := range []Event{end, other} {
			if done, err := e.Done(); !done || err != nil {
				t.Errorf("%v, %v", done, err)
			}
			ok(t, e.Close())
			ok(t, e.Close())
		}
		if _, err := end.Done(); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed event: %v", err)
		}
		if err := a.Wait(end); !errors.Is(err, ErrClosed) {
			t.Errorf("waiting for a closed event: %v", err)
		}
	}
}

// TestCUDAContext finds the device's context current inside Do alone, also nested.
func TestCUDAContext(t *testing.T) {
	d := open(t, Config{})
	if at, err := currentContext(); at != nil || err != nil {
		t.Errorf("a context is current: %v, %v", at, err)
	}
	own := errors.New("its own")
	err := d.Do(func() error {
		if at, err := currentContext(); at != d.Context() || err != nil {
			t.Errorf("%v is current, not %v; %v", at, d.Context(), err)
		}
		newStream(t, d)
		if at, _ := currentContext(); at != d.Context() {
			t.Error("a call inside left another context behind")
		}
		return own
	})
	if err != own {
		t.Errorf("error %v", err)
	}
}

// TestCUDABudget counts memory by owner, refuses what is over the budget, and gives
// again what was freed.
func TestCUDABudget(t *testing.T) {
	d := open(t, Config{Budget: 1 << 20})
	a, err := d.Alloc("a", 512<<10)
	ok(t, err)
	b, err := d.Alloc("b", 1000)
	ok(t, err)
	if used := d.Used(); used["a"] != 512<<10 || used["b"] != 1024 || len(used) != 2 || b.Size() != 1000 {
		t.Errorf("%v", used)
	}
	_, err = d.Alloc("a", 512<<10)
	if !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), "525312 of 1048576 bytes are out") {
		t.Errorf("over the budget: %v", err)
	}
	at := b.Address()
	ok(t, b.Free())
	ok(t, b.Free())
	if used := d.Used(); used["cache"] != 1024 || used["b"] != 0 {
		t.Errorf("%v", used)
	}
	if b, err = d.Alloc("c", 900); err != nil || b.Address() != at {
		t.Errorf("the same size elsewhere: %x, not %x, %v", b.Address(), at, err)
	}
	ok(t, b.Free())
	ok(t, a.Free()) // more than an eighth of the budget: not cached
	if used := d.Used(); used["cache"] > 128<<10 {
		t.Errorf("%v", used)
	}
	if _, err := d.Alloc("a", 0); err == nil {
		t.Error("nothing was allocated")
	}
}

// TestCUDACache gives a block again to those alone whom it holds, and keeps what fits
// beside all that is out.
func TestCUDACache(t *testing.T) {
	d := open(t, Config{Budget: 1 << 20})
	s := newStream(t, d)
	for _, n := range []int{900, 1000} { // in 1024 both
		m, err := d.Alloc("test", n)
		ok(t, err)
		ok(t, s.Upload(m.Address(), make([]byte, n)))
		ok(t, m.Free())
	}
	m, err := d.Alloc("test", 100<<10)
	ok(t, err)
	ok(t, m.Free())
	before := d.Used()["cache"]
	alloc(t, d, 900<<10)
	if after := d.Used()["cache"]; after != before || before < 100<<10 {
		t.Errorf("%d bytes are kept beside an allocation that leaves room for all of %d", after, before)
	}
}

// TestCUDAMemoryFull gives the cache back before it says that there is no room.
func TestCUDAMemoryFull(t *testing.T) {
	emu.Need(t)
	d := open(t, Config{})
	m, err := d.Alloc("test", 1000)
	ok(t, err)
	ok(t, m.Free())
	emu.Fail(emu.Alloc, 1)
	m, err = d.Alloc("test", 2000)
	ok(t, err)
	if used := d.Used(); used["cache"] != 0 || used["test"] != 2048 {
		t.Errorf("%v", used)
	}
	ok(t, m.Free())
	emu.Fail(emu.Alloc, -1)
	_, err = d.Alloc("test", 3000)
	emu.Fail(emu.Alloc, 0)
	if !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "allocate 3000 bytes for test") {
		t.Errorf("%v", err)
	}
	if used := d.Used(); used["test"] != 0 || d.Err() != nil {
		t.Errorf("%v, %v", used, d.Err())
	}
}

// TestCUDALeaks names what is out when a device is closed, and who took it.
func TestCUDALeaks(t *testing.T) {
	d := open(t, Config{})
	s, err := d.NewStream()
	ok(t, err)
	e, err := s.Record()
	ok(t, err)
	m, err := d.Alloc("rows", 100)
	ok(t, err)
	p, err := d.Pinned(200)
	ok(t, err)
	err = d.Close()
	if !errors.Is(err, ErrBusy) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{
		"1× stream (cuda.TestCUDALeaks)", "1× event (cuda.TestCUDALeaks)", "1× memory of 100 bytes for rows (cuda.TestCUDALeaks)",
		"1× pinned memory of 200 bytes (cuda.TestCUDALeaks)",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	ok(t, s.Synchronize()) // it goes on
	for _, c := range []func() error{e.Close, s.Close, m.Free, p.Free, d.Close, d.Close} {
		ok(t, c())
	}
	if _, err := d.NewStream(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Synchronize(); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed stream: %v", err)
	}
}

// TestCUDASideBySide has many goroutines share the device: what one frees another
// gets, and none sees another's bytes.
func TestCUDASideBySide(t *testing.T) {
	d := open(t, Config{})
	lag(50 * time.Microsecond)
	var wg sync.WaitGroup
	for worker := range 8 {
		s := newStream(t, d)
		wg.Go(func() {
			got := make([]byte, 5000)
			for round := range 30 {
				value := byte(worker*30 + round)
				if err := fillAndFetch(d, s, value, got); err != nil {
					t.Errorf("worker %d: %v", worker, err)
				}
			}
		})
	}
	wg.Wait()
	if used := d.Used(); len(used) != 1 || used["cache"] == 0 {
		t.Errorf("%v", used)
	}
}

func fillAndFetch(d Device, s Stream, value byte, got []byte) error {
	m, err := d.Alloc("test", len(got))
	if err != nil {
		return err
	}
	defer m.Free()
	if err := s.Fill(m.Address(), value, len(got)); err != nil {
		return err
	}
	e, err := s.Record()
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		return err
	}
	if err := s.Download(got, m.Address()); err != nil {
		return err
	}
	if bytes.Count(got, []byte{value}) != len(got) {
		return fmt.Errorf("another's bytes, not %d", value)
	}
	return nil
}
