package decode

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"sightline/ingest"
	"sightline/internal/libav"
)

// TestDeviceMissing asks for every kind of device, on a machine that may have
// none: the same pictures come out, one line says why, and Info says so too.
func TestDeviceMissing(t *testing.T) {
	list := clip(t, "clip.mp4", "testsrc2=size=160x120:rate=25", 30, "-c:v", "libx264", "-g", "10")
	for _, hwaccel := range []string{"vaapi", "qsv", "cuda", "auto", "none"} {
		t.Run(hwaccel, func(t *testing.T) {
			var log bytes.Buffer
			made, err := New(Config{Threads: 1, Live: true, HWAccel: hwaccel, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			d := made.(*decoder)
			defer d.Close()
			if got := d.Info().String(); got != "not decoding yet" {
				t.Errorf("before the first packet: %s", got)
			}
			shown := 0
			emit := func(f *Frame) error { shown++; f.Release(); return nil }
			for i, p := range list {
				if i == 20 {
					p.Extradata = []byte{} // the same
					d.shut()               // as a change of codec does
				}
				if err := d.Decode(p, emit); err != nil {
					t.Fatal(err)
				}
			}
			d.Flush(emit)
			if shown < 28 {
				t.Errorf("%d pictures", shown)
			}
			if d.Info().HWAccel != "" {
				t.Skipf("skipped: needs a machine without a device for %s", hwaccel)
			}
			lines := strings.Count(log.String(), "\n")
			info := d.Info().String()
			if hwaccel == "none" {
				if lines != 0 || info != "h264 (software)" {
					t.Errorf("%s, log %s", info, &log)
				}
				return
			}
			level := "level=WARN"
			if hwaccel == "auto" {
				level = "level=INFO"
			}
			if lines != 1 || !strings.Contains(log.String(), level) || !strings.HasPrefix(info, "h264 (software; ") || !strings.Contains(info, ": no de") {
				t.Errorf("%s, log %s", info, &log)
			}
			t.Log(info)
		})
	}
}

// device stands for one that FFmpeg found: it decodes in software.
type device struct {
	avDecoder
	fails  error // of every packet
	host   bool  // it left the pictures to the processor
	closed *int
}

func (v *device) Decode(data []byte, id int64, frames []libav.Frame) ([]libav.Frame, error) {
	if v.fails != nil {
		return frames, v.fails
	}
	return v.avDecoder.Decode(data, id, frames)
}

func (v *device) OnDevice() bool { return !v.host }
func (v *device) Close()         { *v.closed++; v.avDecoder.Close() }

// TestDeviceFails has a device that opens and then does not decode, or hands the
// work back: no picture is lost by it.
func TestDeviceFails(t *testing.T) {
	list := clip(t, "clip.mp4", "testsrc2=size=160x120:rate=25", 12, "-c:v", "libx264", "-bf", "0")
	garbled := list[0]
	garbled.Data = []byte{0, 0, 0, 1, 0x65, 0x11}
	for _, c := range []struct {
		name, want     string
		device         device
		first          []ingest.Packet
		opened, closed int
	}{
		{"works", "h264 (vaapi)", device{}, nil, 1, 0},
		{"hands back", "h264 (software; vaapi: does not take this h264)", device{host: true}, nil, 1, 0},
		{"fails", "h264 (software; vaapi: no surfaces)", device{fails: errors.New("no surfaces")}, nil, 1, 1},
		{"gets garbage first", "h264 (software; vaapi: no surfaces)", device{fails: errors.New("no surfaces")}, []ingest.Packet{garbled}, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := New(Config{Threads: 1, Live: true, HWAccel: "vaapi"})
			if err != nil {
				t.Fatal(err)
			}
			d := made.(*decoder)
			opened, closed := 0, 0
			d.openAV = func(o libav.DecoderOptions) (avDecoder, error) {
				wanted := o.Device
				o.Device = ""
				av, err := libav.OpenDecoder(o)
				if wanted == "" || err != nil {
					return av, err
				}
				opened++
				v := c.device
				v.avDecoder, v.closed = av, &closed
				return &v, nil
			}
			shown := 0
			emit := func(f *Frame) error {
				if shown++; f.Damaged {
					t.Errorf("picture %d is marked", f.Index)
				}
				f.Release()
				return nil
			}
			for _, p := range c.first {
				if d.Decode(p, emit) == nil {
					t.Error("garbage was decoded")
				}
			}
			for _, p := range list {
				if err := d.Decode(p, emit); err != nil {
					t.Fatal(err)
				}
			}
			if got := d.Info().String(); shown != len(list) || got != c.want || opened != c.opened || closed != c.closed {
				t.Errorf("%d pictures, %s, opened %d times, closed %d times", shown, got, opened, closed)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDeviceFailsAlone has a device fail on a codec that nothing else decodes: each
// packet is told to be unsupported.
func TestDeviceFailsAlone(t *testing.T) {
	list := clip(t, "clip.mp4", "testsrc2=size=160x120:rate=25", 3, "-c:v", "libx264", "-bf", "0")
	made, err := New(Config{Threads: 1, Live: true, HWAccel: "vaapi"})
	if err != nil {
		t.Fatal(err)
	}
	d := made.(*decoder)
	closed := 0
	d.openAV = func(o libav.DecoderOptions) (avDecoder, error) {
		if o.Device == "" {
			return nil, libav.ErrNoDecoder
		}
		o.Device = ""
		av, err := libav.OpenDecoder(o)
		return &device{avDecoder: av, fails: errors.New("no surfaces"), closed: &closed}, err
	}
	for _, p := range []ingest.Packet{list[0], list[0]} {
		if err := d.Decode(p, func(f *Frame) error { f.Release(); return nil }); !errors.Is(err, ErrUnsupported) {
			t.Errorf("error %v", err)
		}
	}
	if d.Close(); closed == 0 || d.Pending() > 0 {
		t.Errorf("closed %d times, %d packets are inside", closed, d.Pending())
	}
}

func TestHWAccelWord(t *testing.T) {
	if _, err := New(Config{Threads: 1, HWAccel: "gpu"}); err == nil || err.Error() != `decoder: hwaccel: "gpu" is none of none, auto, vaapi, qsv, cuda` {
		t.Errorf("error %v", err)
	}
}
