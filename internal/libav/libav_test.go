package libav

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightline/internal/testkit"
)

func clip(t *testing.T, name string, args ...string) string {
	t.Helper()
	return testkit.Clip(t, name, append([]string{"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-t", "1"}, args...)...)
}

func TestDemuxAndDecode(t *testing.T) {
	path := testkit.Clip(t, "clip.mkv", "-f", "lavfi", "-i", "sine=duration=1", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1",
		"-c:v", "libx264", "-bf", "2", "-c:a", "aac", "-metadata", "creation_time=2024-02-03T04:05:06Z")
	d, err := OpenDemuxer(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	video := d.Video()
	if d.Format() != "matroska,webm" || len(video) != 1 || video[0].Index != 0 {
		t.Fatalf("format %s, video %+v", d.Format(), video)
	}
	if at, ok := d.CreationTime(); !ok || at.Format("2006-01-02 15:04:05 MST") != "2024-02-03 04:05:06 UTC" {
		t.Errorf("created %v, %v", at, ok)
	}
	v := video[0]
	if v.Codec != "h264" || v.Width != 64 || v.Height != 48 || v.FrameInterval.Milliseconds() != 40 || v.IntraOnly || v.Picture {
		t.Errorf("stream %+v", v)
	}
	d.Select(v.Index)
	dec, err := OpenDecoder(DecoderOptions{Codec: v.Codec, Extradata: v.Extradata, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	var frames []Frame
	packets := int64(0)
	for {
		var p Packet
		err := d.Read(&p)
		if err == io.EOF {
			break
		}
		if err != nil || p.PTS == NoTime {
			t.Fatalf("packet at %d, error %v", p.PTS, err)
		}
		if p.Stream != v.Index {
			continue
		}
		if frames, err = dec.Decode(p.Data, packets, frames); err != nil {
			t.Fatal(err)
		}
		packets++
	}
	if frames, err = dec.Drain(frames); err != nil || len(frames) != 25 || packets != 25 {
		t.Fatalf("%d frames of %d packets, error %v", len(frames), packets, err)
	}
	ids := map[int64]bool{}
	for _, f := range frames {
		info := f.Info()
		ids[info.ID] = true
		if info.Width != 64 || info.Height != 48 || info.Format != I420 || info.Strides[0] < 64 || info.Concealed || info.Corrupt {
			t.Errorf("frame %+v", info)
		}
		f.Free()
	}
	if len(ids) != 25 {
		t.Errorf("the frames name %d packets", len(ids))
	}
}

// TestInterrupted ends reading with the context.
func TestInterrupted(t *testing.T) {
	path := clip(t, "clip.mkv", "-c:v", "mjpeg")
	gone, cancel := context.WithCancel(context.Background())
	d, err := OpenDemuxer(gone, path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	cancel()
	var p Packet
	if err := d.Read(&p); err != context.Canceled {
		t.Errorf("reading: error %v", err)
	}
	if _, err := OpenDemuxer(gone, path); err != context.Canceled {
		t.Errorf("opening: error %v", err)
	}
}

func TestErrors(t *testing.T) {
	if _, err := OpenDecoder(DecoderOptions{Codec: "no such", Threads: 1}); !errors.Is(err, ErrNoDecoder) || err.Error() != "Decoder not found" {
		t.Errorf("error %v", err)
	}
	text := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(text, []byte("not a video"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDemuxer(context.Background(), text); !errors.Is(err, ErrInvalidData) {
		t.Errorf("error %v", err)
	}
	if _, err := OpenDemuxer(context.Background(), "http://127.0.0.1:1/a.mp4"); err == nil || err.Error() != "No such file or directory" {
		t.Errorf("an address is no file name: error %v", err)
	}
	if !strings.Contains(Version(), "avcodec ") {
		t.Errorf("version %q", Version())
	}
}
