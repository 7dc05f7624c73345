package v4l2

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/internal/libav"
	"sightline/internal/testkit"
)

func source(device string) *Source {
	c := Defaults()
	c.Device = device
	return New(c, "cam", slog.New(slog.DiscardHandler))
}

// pretend reads another of libavdevice's inputs in place of a camera, which test
// machines have none of: everything is the same but FFmpeg's driver and what it
// does while no picture comes.
func pretend(t *testing.T, filters string) *Source {
	t.Helper()
	s := source("lavfi")
	s.check = func(string) error { return nil }
	s.inputs = []libav.Input{{URL: filters, Format: "lavfi", Device: true}}
	d, err := libav.Open(t.Context(), s.inputs[0])
	testkit.Require(t, "libavdevice", err == nil, "install the Debian package ffmpeg")
	d.Close()
	return s
}

func TestContract(t *testing.T) {
	ingesttest.Run(t, ingesttest.Case{Name: "lavfi", Live: true, New: func(t *testing.T) ingest.Source {
		return pretend(t, "testsrc2=size=64x48:rate=25,realtime")
	}})
}

func TestPictures(t *testing.T) {
	enough := errors.New("enough")
	var last ingest.Packet
	err := pretend(t, "testsrc2=size=64x48:rate=25,realtime").Run(t.Context(), func(p ingest.Packet) error {
		last = p
		if p.PTS >= time.Second {
			return enough
		}
		return nil
	})
	c := last.Container
	if err != enough || !last.Keyframe || c == nil || c.Width != 64 || c.Height != 48 || c.PixelFormat != "yuv420p" || last.PTS != time.Second {
		t.Errorf("%v: %s at %v, %+v", err, last.Codec, last.PTS, c)
	}
}

func TestDevices(t *testing.T) {
	dir := t.TempDir()
	for device, want := range map[string]struct {
		reason ingest.Reason
		text   string
	}{
		filepath.Join(dir, "video9"): {ingest.ReasonNotFound, "is it plugged in"},
		dir:                          {ingest.ReasonFailed, "is not a capture device"},
		"/dev/null":                  {ingest.ReasonFailed, "is not a capture device"},
		"":                           {ingest.ReasonFailed, "device: missing"},
	} {
		err := source(device).Run(t.Context(), func(ingest.Packet) error { return nil })
		if ingest.ReasonOf(err) != want.reason || err == nil || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%q: %v is %s, want %s %q", device, err, ingest.ReasonOf(err), want.reason, want.text)
		}
	}
	// A device that is none, but has the name of one, is FFmpeg's to refuse.
	s := source("/dev/null")
	s.check = func(string) error { return nil }
	if err := s.Run(t.Context(), func(ingest.Packet) error { return nil }); ingest.ReasonOf(err) != ingest.ReasonFailed || err.Error() != "/dev/null: Inappropriate ioctl for device" {
		t.Errorf("%v is %s", err, ingest.ReasonOf(err))
	}
}

func TestExplain(t *testing.T) {
	for cause, want := range map[error]ingest.Reason{
		syscall.EACCES: ingest.ReasonUnauthorized, libav.Error(-int(syscall.EACCES)): ingest.ReasonUnauthorized,
		libav.Error(-int(syscall.EBUSY)): ingest.ReasonRefused, libav.Error(-int(syscall.ENODEV)): ingest.ReasonNotFound,
		libav.ErrNoDevices: ingest.ReasonFailed, libav.ErrTimeout: ingest.ReasonTimeout,
	} {
		if err := source("/dev/video0").explain(cause); ingest.ReasonOf(err) != want {
			t.Errorf("%v is %s, want %s", err, ingest.ReasonOf(err), want)
		}
	}
}
