package libav

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// readAll counts the packets of video.
func readAll(t *testing.T, d *Demuxer) int {
	t.Helper()
	count := 0
	for {
		var p Packet
		err := d.Read(&p)
		if err == io.EOF {
			return count
		}
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
}

// TestMemory reads a file's bytes, by the demuxer named and no other.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		name, format string
		args         []string
	}{
		{"clip.ts", "mpegts", []string{"-c:v", "libx264", "-bf", "2"}},
		{"clip.mp4", "mov", []string{"-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov+default_base_moof"}},
	} {
		data, err := os.ReadFile(clip(t, c.name, c.args...))
		if err != nil {
			t.Fatal(err)
		}
		d, err := Open(context.Background(), Input{URL: "segment", Data: data, Format: c.format})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if n := readAll(t, d); n != 25 || len(d.Video()) != 1 || d.Video()[0].Codec != "h264" {
			t.Errorf("%s: %d packets, %+v", c.name, n, d.Video())
		}
		d.Close()
	}
}

// TestFormats reads nothing that it is not told to: neither other containers,
// whatever they look like, nor files that one refers to.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	list := dir + "/list.m3u8"
	if err := os.WriteFile(list, []byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	playlist, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	avi, err := os.ReadFile(clip(t, "clip.avi", "-c:v", "mjpeg"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"playlist": playlist, "avi": avi, "empty": {}} {
		for _, format := range []string{"mpegts", "mov"} {
			d, err := Open(context.Background(), Input{URL: "segment.m3u8", Data: data, Format: format})
			if err != nil {
				continue
			}
			if v := d.Video(); len(v) > 0 || d.Format() != format && d.Format() != "mov,mp4,m4a,3gp,3g2,mj2" {
				t.Errorf("%s as %s is read as %s: %+v", name, format, d.Format(), v)
			}
			d.Close()
		}
	}
	if _, err := Open(context.Background(), Input{URL: "file:" + list, Format: "hls", Protocol: "srt"}); err == nil {
		t.Error("a file is opened that only srt may be")
	}
	if _, err := Open(context.Background(), Input{URL: "x", Format: "no such"}); err == nil || err.Error() != "Demuxer not found" {
		t.Errorf("an unknown demuxer: %v", err)
	}
}

// TestTimeout gives up on a peer that sends nothing, while opening and while reading.
func TestTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	in := Input{URL: "tcp://" + l.Addr().String(), Format: "mpegts", Protocol: "tcp", Timeout: 300 * time.Millisecond}
	began := time.Now()
	if _, err := Open(context.Background(), in); !errors.Is(err, ErrTimeout) || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(300*time.Millisecond, cancel)
	in.Timeout, began = 0, time.Now()
	if _, err := Open(ctx, in); err != context.Canceled || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestSystemErrors(t *testing.T) {
	_, err := Open(context.Background(), Input{URL: "file:/no/such/file", Format: "mpegts", Protocol: "file"})
	if !errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EACCES) {
		t.Errorf("%v", err)
	}
}
