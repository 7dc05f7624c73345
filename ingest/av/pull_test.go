package av

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/internal/libav"
	"sightline/internal/testkit"
)

// sender gives each caller what act writes, and returns its address.
func sender(t *testing.T, act func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			act(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func pull(address string) Pull {
	return Pull{
		Stream: "cam", Where: "tcp://camera", Log: slog.New(slog.DiscardHandler),
		Input:       libav.Input{URL: "tcp://" + address, Format: "mpegts", Protocol: "tcp"},
		ReadTimeout: time.Second, KeyframeTimeout: time.Second,
	}
}

// transport is a transport stream of a second, made with args.
func transport(t *testing.T, args ...string) []byte {
	t.Helper()
	path := testkit.Clip(t, "clip.ts", append([]string{"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=1"}, args...)...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t *testing.T, p Pull) ([]ingest.Packet, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var packets []ingest.Packet
	err := p.Run(ctx, func(p ingest.Packet) error {
		packets = append(packets, p)
		return nil
	})
	return packets, err
}

// hold keeps a connection until the other side ends it.
func hold(conn net.Conn) { io.Copy(io.Discard, conn) }

// repeat writes data over and over for a second and a half, as from a live sender.
func repeat(data []byte) func(net.Conn) {
	return func(conn net.Conn) {
		for range 15 {
			if _, err := conn.Write(data); err != nil {
				return
			}
			<-time.After(100 * time.Millisecond)
		}
		hold(conn)
	}
}

func TestPull(t *testing.T) {
	h264 := transport(t, "-c:v", "libx264", "-bf", "2", "-c:a", "aac")
	mpeg2 := transport(t, "-c:v", "mpeg2video", "-an")
	sound := transport(t, "-map", "1", "-c:a", "aac")
	later := transport(t, "-c:v", "libx264", "-g", "100", "-an", "-x264-params", "keyint=100:intra-refresh=1", "-bsf:v", "noise=drop=not(n)") // the first picture is lost
	for _, c := range []struct {
		name   string
		act    func(net.Conn)
		count  int
		codec  ingest.Codec
		reason ingest.Reason
		text   string
	}{
		{"ends", func(conn net.Conn) { conn.Write(h264) }, 25, ingest.H264, ingest.ReasonEnded, "tcp://camera: the sender ended the stream"},
		{"mpeg-2", func(conn net.Conn) { conn.Write(mpeg2) }, 25, "mpeg2video", ingest.ReasonEnded, "tcp://camera: the sender ended the stream"},
		{"falls silent", func(conn net.Conn) { conn.Write(h264); hold(conn) }, 25, ingest.H264, ingest.ReasonTimeout, "tcp://camera: nothing came for 1s"},
		{"sound only", repeat(sound), 0, "", ingest.ReasonTimeout, "tcp://camera: no picture comes"},
		{"no keyframe", repeat(later), 0, "", ingest.ReasonNoKeyframe, "tcp://camera: pictures come, but none that decoding can start with"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			packets, err := read(t, pull(sender(t, c.act)))
			if len(packets) != c.count || ingest.ReasonOf(err) != c.reason || err == nil || err.Error() != c.text {
				t.Errorf("%d packets, %v is %s", len(packets), err, ingest.ReasonOf(err))
			}
			for i, p := range packets {
				if p.Codec != c.codec || p.PTS < 0 || p.Keyframe != (i == 0 || c.codec == "mpeg2video" && p.Keyframe) {
					t.Errorf("packet %d: %s at %v, keyframe %v", i, p.Codec, p.PTS, p.Keyframe)
				}
			}
		})
	}
}

func TestOpenError(t *testing.T) {
	var open *OpenError
	p := pull(sender(t, hold))
	if _, err := read(t, p); !errors.As(err, &open) || !errors.Is(err, libav.ErrTimeout) {
		t.Errorf("a silent sender: %v", err)
	}
	p.Input.Protocol = "srt"
	if _, err := read(t, p); !errors.As(err, &open) {
		t.Errorf("another protocol: %v", err)
	}
}

// endless writes a picture that has no end, behind the tables of a real stream.
func endless(stream []byte) func(net.Conn) {
	const size = 188
	var tables []byte
	video := -1
	for at := 0; at+size <= len(stream); at += size {
		packet := stream[at : at+size]
		switch pid := int(packet[1]&0x1f)<<8 | int(packet[2]); pid {
		case 0, 0x1000: // FFmpeg's numbers of the tables
			tables = append(tables, packet...)
		case 0x100:
			video = pid
		}
	}
	return func(conn net.Conn) {
		conn.Write(tables)
		filler := bytes.Repeat([]byte{0xff}, size)
		copy(filler, []byte{0x47, 0x40 | byte(video>>8), byte(video), 0x10, 0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1, 0, 0, 0, 1, 0x67})
		block := bytes.Clone(filler)
		for i := 1; i < 1024; i++ {
			next := bytes.Repeat([]byte{0xff}, size)
			copy(next, []byte{0x47, byte(video >> 8), byte(video), 0x10 | byte(i&15)})
			block = append(block, next...)
		}
		for n := 0; n < 400; n++ { // 77 MB
			if _, err := conn.Write(block); err != nil {
				return
			}
			block[1] = byte(video >> 8) // the first began the picture
			copy(block[4:], bytes.Repeat([]byte{0xff}, size-4))
		}
		hold(conn)
	}
}

func TestEndlessPicture(t *testing.T) {
	packets, err := read(t, pull(sender(t, endless(transport(t, "-c:v", "libx264", "-an")))))
	if len(packets) != 0 || ingest.ReasonOf(err) != ingest.ReasonDamaged || !errors.Is(err, libav.ErrTooLarge) {
		t.Errorf("%d packets, %v is %s", len(packets), err, ingest.ReasonOf(err))
	}
}
