//go:build cuda

package cuda

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"sightline/kernels"
	"sightline/kernels/emu"
)

// A picture is on the device, with room for its thumbnail.
type picture struct {
	launch kernels.Launch
	out    Memory
	want   []byte
}

// newPicture uploads one; the launch that it returns makes its thumbnail.
func newPicture(t *testing.T, d Device, s Stream) picture {
	t.Helper()
	const width, height, small = 128, 96, 32
	luma := make([]byte, width*height)
	for i := range luma {
		luma[i] = byte(i*i>>3 + i)
	}
	chroma := make([]byte, width*height/2)
	planes := [3]unsafe.Pointer{unsafe.Pointer(&luma[0]), unsafe.Pointer(&chroma[0])}
	host := kernels.Picture{Format: kernels.NV12, Width: width, Height: height, Planes: planes, Strides: [3]int{width, width}}
	p := picture{out: alloc(t, d, small*24), want: make([]byte, small*24)}
	ok(t, host.Thumbnail(p.want, small, 24))
	in := alloc(t, d, len(luma))
	ok(t, s.Upload(in.Address(), luma))
	address := in.Address()
	host.Planes[0] = *(*unsafe.Pointer)(unsafe.Pointer(&address))
	var err error
	p.launch, err = kernels.LaunchThumbnail(&host, small, 24, p.out.Address())
	ok(t, err)
	return p
}

func TestCUDALaunch(t *testing.T) {
	d := open(t, Config{})
	lag(time.Millisecond)
	s := newStream(t, d)
	p := newPicture(t, d, s)
	got := make([]byte, len(p.want))
	ok(t, s.Launch(p.launch))
	ok(t, s.Download(got, p.out.Address()))
	if !bytes.Equal(got, p.want) {
		t.Error("the kernel's thumbnail differs from the processor's")
	}
	err := s.Launch(kernels.Launch{Kernel: "va_nothing", Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{1, 1, 1}})
	if err == nil || !strings.Contains(err.Error(), "launch va_nothing") || !strings.Contains(err.Error(), "build it again") {
		t.Errorf("%v", err)
	}
	large := p.launch
	large.Block = [3]uint32{1024, 2, 1}
	if err := s.Launch(large); err == nil || d.Err() != nil {
		t.Errorf("a block that is too large: %v", err)
	}
}

// TestCUDALost loses the device in each way there is: everything says so, all can be
// given back, and the device opens anew in the same process.
func TestCUDALost(t *testing.T) {
	emu.Need(t)
	for _, kind := range []string{emu.Launch, emu.Device, "address"} {
		t.Run(kind, func(t *testing.T) {
			before := emu.Counts().Live()
			for range 2 {
				loseOnce(t, kind)
				if after := emu.Counts().Live(); after != before {
					t.Errorf("left behind: %+v, before %+v", after, before)
				}
			}
		})
	}
	d := open(t, Config{})
	s := newStream(t, d)
	p := newPicture(t, d, s)
	ok(t, s.Launch(p.launch))
	ok(t, s.Synchronize())
}

func loseOnce(t *testing.T, kind string) {
	d, err := Open(Config{})
	ok(t, err)
	s, err := d.NewStream()
	ok(t, err)
	e, err := s.Record()
	ok(t, err)
	m, err := d.Alloc("test", 100)
	ok(t, err)
	pinned, err := d.Pinned(100)
	ok(t, err)
	t.Run("launch", func(t *testing.T) {
		p := newPicture(t, d, s)
		ok(t, s.Synchronize())
		if kind == "address" {
			p.launch.Args[0] = 64
		} else {
			emu.Fail(kind, 1)
		}
		if err := errors.Join(s.Launch(p.launch), s.Synchronize()); !errors.Is(err, ErrLost) || !errors.Is(err, d.Err()) {
			t.Errorf("%v; the device: %v", err, d.Err())
		}
		emu.Report()
	})
	select {
	case <-d.Lost():
	default:
		t.Error("nobody is told of the loss")
	}
	_, recordErr := s.Record()
	_, allocErr := d.Alloc("test", 100)
	_, pinErr := d.Pinned(100)
	_, doneErr := e.Done()
	for _, err := range []error{
		recordErr, allocErr, pinErr, doneErr, e.Wait(), s.Upload(m.Address(), make([]byte, 100)), s.Fill(m.Address(), 0, 1), s.Synchronize(),
		d.Do(func() error { t.Error("a function runs on a lost device"); return nil }), d.Fault(errors.New("of others")),
	} {
		if !errors.Is(err, ErrLost) {
			t.Errorf("after the loss: %v", err)
		}
	}
	if err := d.Close(); !errors.Is(err, ErrBusy) {
		t.Errorf("closed while things are out: %v", err)
	}
	for _, c := range []func() error{e.Close, s.Close, m.Free, pinned.Free, d.Close} {
		ok(t, c())
	}
	if kind == emu.Device {
		if _, err := Open(Config{}); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "dmesg") {
			t.Errorf("a device that is away opens, or does not say why: %v", err)
		}
		emu.Restore(0)
	}
}

// TestCUDAFailures has calls fail that cost nothing but themselves.
func TestCUDAFailures(t *testing.T) {
	emu.Need(t)
	d := open(t, Config{})
	s := newStream(t, d)
	m := alloc(t, d, 100)
	for kind, call := range map[string]func() error{
		emu.Stream: func() error { s, err := d.NewStream(); return closed(s, err) },
		emu.Event:  func() error { e, err := s.Record(); return closed(e, err) },
		emu.Copy:   func() error { return s.Upload(m.Address(), make([]byte, 100)) },
		emu.Pinned: func() error {
			p, err := d.Pinned(100)
			if err != nil {
				return err
			}
			return p.Free()
		},
	} {
		emu.Fail(kind, 1)
		err := call()
		if err == nil || kind != emu.Copy != errors.Is(err, ErrMemory) || d.Err() != nil {
			t.Errorf("%s: %v, the device: %v", kind, err, d.Err())
		}
		if err := call(); err != nil {
			t.Errorf("%s, once more: %v", kind, err)
		}
	}
	own := errors.New("of others")
	if err := d.Fault(own); err != own || d.Fault(nil) != nil {
		t.Errorf("a device that works is lost: %v", err)
	}
	before := emu.Counts().Live()
	emu.Fail(emu.Module, 1)
	if _, err := Open(Config{}); !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "load the kernels") {
		t.Errorf("%v", err)
	}
	if after := emu.Counts().Live(); after != before {
		t.Errorf("left behind: %+v, before %+v", after, before)
	}
}

func closed(c interface{ Close() error }, err error) error {
	if err != nil {
		return err
	}
	return c.Close()
}

// TestCUDAFault recognizes a loss that another's native code met first.
func TestCUDAFault(t *testing.T) {
	emu.Need(t)
	d := open(t, Config{})
	s := newStream(t, d)
	p := newPicture(t, d, s)
	emu.Fail(emu.Launch, 1)
	ok(t, s.Launch(p.launch))
	own := errors.New("of others")
	for d.Err() == nil { // the kernel may not have run yet
		if err := d.Fault(own); !errors.Is(err, own) || errors.Is(err, ErrLost) != (d.Err() != nil) {
			t.Fatalf("%v, the device: %v", err, d.Err())
		}
	}
}

// TestCUDATwo has two devices work side by side: one is lost, the other goes on.
// The emulation makes so many at its start alone, so that the test starts itself.
func TestCUDATwo(t *testing.T) {
	emu.Need(t)
	const devices = "SIGHTLINE_EMU_DEVICES"
	if os.Getenv(devices) != "2" {
		self := exec.Command(os.Args[0], "-test.run=^TestCUDATwo$", "-test.v")
		self.Env = append(os.Environ(), devices+"=2")
		if out, err := self.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestCUDATwo")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	one := open(t, Config{})
	two, err := Open(Config{Index: 1})
	ok(t, err)
	t.Cleanup(func() { ok(t, two.Close()) })
	if one.Context() == two.Context() || two.Info().Index != 1 {
		t.Fatal("they are one")
	}
	e, err := newStream(t, one).Record()
	ok(t, err)
	if err := newStream(t, two).Wait(e); err == nil {
		t.Error("a stream waits for another device's event")
	}
	ok(t, e.Close())
	var wg sync.WaitGroup
	for i, d := range []Device{one, two, one, two} {
		s := newStream(t, d)
		p := newPicture(t, d, s)
		wg.Go(func() {
			got := make([]byte, len(p.want))
			for range 20 {
				if err := errors.Join(s.Launch(p.launch), s.Download(got, p.out.Address())); err != nil || !bytes.Equal(got, p.want) {
					t.Error(fmt.Sprintf("worker %d:", i), err)
				}
			}
		})
	}
	wg.Wait()
	s := newStream(t, two)
	p := newPicture(t, two, s)
	emu.Fail(emu.Launch, 1)
	if err := errors.Join(s.Launch(p.launch), s.Synchronize()); !errors.Is(err, ErrLost) || one.Err() != nil {
		t.Errorf("%v, the other: %v", err, one.Err())
	}
	s = newStream(t, one)
	p = newPicture(t, one, s)
	ok(t, errors.Join(s.Launch(p.launch), s.Synchronize()))
}

// TestGPULost has a kernel read where there is nothing, on a real GPU: how far the
// driver recovers within a process is known of no emulation. The test starts itself,
// since what it leaves behind may be of no use.
func TestGPULost(t *testing.T) {
	if emu.Active() {
		t.Fatal("this test needs a real GPU: run `make gpu-check` on a machine with one")
	}
	const inside = "SIGHTLINE_LOSE_GPU"
	if os.Getenv(inside) == "" {
		self := exec.Command(os.Args[0], "-test.run=^TestGPULost$", "-test.v")
		self.Env = append(os.Environ(), inside+"=1")
		out, err := self.CombinedOutput()
		if t.Logf("%s", out); err != nil || !bytes.Contains(out, []byte("--- PASS: TestGPULost")) {
			t.Error(err)
		}
		return
	}
	d, err := Open(Config{})
	ok(t, err)
	t.Run("launch", func(t *testing.T) {
		s := newStream(t, d)
		p := newPicture(t, d, s)
		p.launch.Args[0] = 64
		if err := errors.Join(s.Launch(p.launch), s.Synchronize()); !errors.Is(err, ErrLost) {
			t.Fatalf("an illegal address is no loss: %v", err)
		}
	})
	closing := d.Close()
	d, err = Open(Config{})
	t.Logf("lost and closed (%v); opened anew: %v", closing, err)
	if err != nil {
		if !strings.Contains(err.Error(), "restart") {
			t.Errorf("nothing is said to do: %v", err)
		}
		return
	}
	t.Cleanup(func() { ok(t, d.Close()) })
	s := newStream(t, d)
	p := newPicture(t, d, s)
	got := make([]byte, len(p.want))
	if err := errors.Join(s.Launch(p.launch), s.Download(got, p.out.Address())); err != nil || !bytes.Equal(got, p.want) {
		t.Errorf("the device opened anew does not work: %v", err)
	}
}
