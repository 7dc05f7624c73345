package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/internal/testkit"
)

// clip makes one second of video, 25 pictures of 64x48.
func clip(t testing.TB, name string, args ...string) string {
	t.Helper()
	return testkit.Clip(t, name, append([]string{"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-t", "1"}, args...)...)
}

func h264(t *testing.T, name string, args ...string) string {
	t.Helper()
	return clip(t, name, append([]string{"-c:v", "libx264", "-g", "10", "-bf", "2"}, args...)...)
}

func source(t *testing.T, c Config) *Source {
	t.Helper()
	s, err := New(c, "cam", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read runs a source at fastest until it ends.
func read(t *testing.T, path string) ([]ingest.Packet, error) {
	t.Helper()
	var list []ingest.Packet
	err := source(t, Config{Path: path, Pace: Fastest}).Run(context.Background(), func(p ingest.Packet) error {
		list = append(list, p)
		return nil
	})
	return list, err
}

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name string
		pace Pace
		clip func(*testing.T) string
	}{
		{"mp4 fastest", Fastest, func(t *testing.T) string { return h264(t, "clip.mp4", "-t", "3") }},
		{"mp4 realtime", Realtime, func(t *testing.T) string { return h264(t, "clip.mp4", "-t", "3") }},
		{"transport stream", Fastest, func(t *testing.T) string { return h264(t, "clip.ts", "-t", "3") }},
		{"avi without times", Fastest, func(t *testing.T) string { return clip(t, "clip.avi", "-c:v", "mpeg4", "-bf", "2", "-t", "3") }},
	} {
		ingesttest.Run(t, ingesttest.Case{Name: c.name, New: func(t *testing.T) ingest.Source {
			return source(t, Config{Path: c.clip(t), Pace: c.pace, Loop: c.pace == Realtime})
		}, Packets: 20})
	}
}

// TestPackets checks what packets of H.264 carry in each container: start codes,
// parameter sets in front of keyframes, and which pictures others depend on.
func TestPackets(t *testing.T) {
	for _, name := range []string{"clip.mp4", "clip.mkv", "clip.flv", "clip.ts", "clip.avi", "clip.h264"} {
		t.Run(name, func(t *testing.T) {
			list, err := read(t, h264(t, name, "-x264-params", "bframes=2:b-adapt=0:b-pyramid=none:scenecut=0"))
			if err != nil || len(list) != 25 {
				t.Fatalf("%d packets, error %v", len(list), err)
			}
			disposable := 0
			for i, p := range list {
				if !bytes.HasPrefix(p.Data, []byte{0, 0, 0, 1}) || cap(p.Data)-len(p.Data) < ingest.PacketPadding {
					t.Fatalf("packet %d begins with % x and has %d bytes of room", i, p.Data[:5], cap(p.Data)-len(p.Data))
				}
				sps := false
				for unit := range ingest.NALs(p.Data) {
					sps = sps || unit[0]&0x1f == 7
				}
				if wantKey := i == 0 || i == 10 || i == 20; p.Keyframe != wantKey || sps != wantKey {
					t.Errorf("packet %d: keyframe %v, with sequence parameter set %v", i, p.Keyframe, sps)
				}
				if p.Extradata != nil || p.Break || !p.Received.IsZero() || p.Clock.Source != ingest.ClockFile {
					t.Errorf("packet %d: %d bytes of extradata, break %v, received %v, clock %v", i, len(p.Extradata), p.Break, p.Received, p.Clock)
				}
				if p.Disposable {
					disposable++
				}
			}
			if disposable < 10 || disposable > 18 {
				t.Errorf("%d of 25 packets are disposable, want about two of three", disposable)
			}
		})
	}
}

func TestEpochAndTimes(t *testing.T) {
	path := h264(t, "clip.mp4", "-metadata", "creation_time=2024-02-03T04:05:06Z")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	binary.Write(hash, binary.BigEndian, int64(len(data)))
	hash.Write(data)
	hash.Write(data) // a file below one MiB is its own first and last
	want := fmt.Sprintf("%x", hash.Sum(nil))[:12]

	s := source(t, Config{Path: path, Pace: Fastest, Loop: true})
	enough := errors.New("enough")
	var list []ingest.Packet
	if err := s.Run(context.Background(), func(p ingest.Packet) error {
		list = append(list, p)
		if len(list) == 75 {
			return enough
		}
		return nil
	}); err != enough {
		t.Fatal(err)
	}
	start := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	for i, p := range list {
		loop := i / 25
		if p.Epoch != fmt.Sprintf("%s-%d", want, loop+1) {
			t.Errorf("packet %d has epoch %s, want %s-%d", i, p.Epoch, want, loop+1)
		}
		if want := start.Add(time.Duration(loop)*time.Second + p.PTS); !p.Captured.Equal(want) {
			t.Errorf("packet %d captured %v, want %v", i, p.Captured, want)
		}
		if p.PTS >= time.Second || p.PTS%(40*time.Millisecond) != 0 || p.Duration != 40*time.Millisecond {
			t.Errorf("packet %d at %v for %v", i, p.PTS, p.Duration)
		}
	}
	s.config.Start = start.Add(-time.Hour)
	if err := s.Run(context.Background(), func(p ingest.Packet) error {
		if want := start.Add(3*time.Second - time.Hour); p.Epoch != list[0].Epoch[:13]+"4" || !p.Captured.Equal(want) {
			t.Errorf("run again: epoch %s, captured %v, want %v", p.Epoch, p.Captured, want)
		}
		return enough
	}); err != enough {
		t.Fatal(err)
	}
}

func TestModificationTime(t *testing.T) {
	path := clip(t, "clip.avi", "-c:v", "mjpeg")
	made := time.Date(2020, 5, 6, 7, 8, 9, 0, time.UTC)
	if err := os.Chtimes(path, made, made); err != nil {
		t.Fatal(err)
	}
	list, err := read(t, path)
	if err != nil || !list[0].Captured.Equal(made) {
		t.Errorf("captured %v, error %v", list[0].Captured, err)
	}
}

func TestRealtime(t *testing.T) {
	s := source(t, Config{Path: h264(t, "clip.mp4"), Pace: Realtime, Loop: true})
	enough := errors.New("enough")
	began, count := time.Now(), 0
	err := s.Run(context.Background(), func(ingest.Packet) error {
		if count++; count == 31 {
			return enough
		}
		return nil
	})
	// The 31st packet is the 6th of the second pass: due after 1.2 s.
	if took := time.Since(began); err != enough || took < 1190*time.Millisecond || took > 3*time.Second {
		t.Errorf("31 packets took %v, error %v", took, err)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short := h264(t, "short.mp4") // its index is at the end, and lost
	if err := os.Truncate(short, 3000); err != nil {
		t.Fatal(err)
	}
	sound := testkit.Clip(t, "sound.mp4", "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac")
	for _, c := range []struct {
		name, path string
		reason     ingest.Reason
		text       string
	}{
		{"missing", filepath.Join(dir, "no.mp4"), ingest.ReasonNotFound, "no.mp4: no such file"},
		{"folder", dir, ingest.ReasonFailed, ": a folder, not a video file"},
		{"device", "/dev/null", ingest.ReasonFailed, "/dev/null: not a regular file"},
		{"empty", write("empty.mp4", ""), ingest.ReasonDamaged, "empty.mp4: the file is empty"},
		{"text", write("notes.txt", strings.Repeat("not a video\n", 50)), ingest.ReasonUnsupportedCodec, "notes.txt: a text, not a video"},
		{"text with a video's name", write("notes.mp4", strings.Repeat("not a video\n", 50)), ingest.ReasonDamaged, "notes.mp4: not a video, or damaged: Invalid data found"},
		{"jpeg", clip(t, "photo.jpg", "-frames:v", "1"), ingest.ReasonUnsupportedCodec, "photo.jpg: a picture, not a video"},
		{"png with another name", clip(t, "photo.mp4", "-frames:v", "1", "-c:v", "png", "-f", "image2"), ingest.ReasonUnsupportedCodec, "photo.mp4: a picture, not a video"},
		{"sound only", sound, ingest.ReasonUnsupportedCodec, "sound.mp4: no video in it"},
		{"cut before its index", short, ingest.ReasonDamaged, "short.mp4: cut short after 3000 of "},
		{"playlist of a network address", write("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n"), ingest.ReasonDamaged, "list.m3u8: not a video, or damaged: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := read(t, c.path)
			var e *ingest.Error
			if !errors.As(err, &e) || e.Reason != c.reason || !e.Permanent || !strings.Contains(err.Error(), c.text) || len(list) != 0 {
				t.Errorf("%d packets, error %#v %v, want %s %q", len(list), e, err, c.reason, c.text)
			}
		})
	}
}

// TestCutShort plays what is there of files whose end is missing, then says so.
func TestCutShort(t *testing.T) {
	for _, name := range []string{"clip.mp4", "clip.mkv", "clip.avi"} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-bf", "0", "-s", "320x240"}
			if name == "clip.mp4" {
				args = append(args, "-movflags", "+faststart")
			}
			path := h264(t, name, args...)
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := read(t, path)
			if err != nil || len(whole) != 25 {
				t.Fatalf("%d packets, error %v", len(whole), err)
			}
			if err := os.Truncate(path, st.Size()*6/10); err != nil {
				t.Fatal(err)
			}
			part, err := read(t, path)
			if len(part) < 8 || len(part) > 20 || !bytes.Equal(part[7].Data, whole[7].Data) {
				t.Errorf("%d packets of the cut file", len(part))
			}
			if ingest.ReasonOf(err) != ingest.ReasonDamaged || !strings.Contains(err.Error(), "bytes are missing at its end") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestDamageInside reads on behind overwritten bytes and marks what follows.
func TestDamageInside(t *testing.T) {
	for _, name := range []string{"clip.mp4", "clip.mkv", "clip.ts", "clip.avi"} {
		t.Run(name, func(t *testing.T) {
			path := h264(t, name, "-bf", "0", "-t", "2")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 1500 {
				data[len(data)*2/5+i] = byte(i * 37)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			list, err := read(t, path)
			if err != nil || len(list) < 30 {
				t.Fatalf("%d packets, error %v", len(list), err)
			}
			if last := list[len(list)-1]; last.PTS < 1900*time.Millisecond {
				t.Errorf("the last packet is at %v", last.PTS)
			}
			if name != "clip.mp4" {
				return // FFmpeg does not tell where it passed over something in these
			}
			marked := 0
			for _, p := range list {
				if p.Break {
					marked++
				}
			}
			if marked == 0 {
				t.Error("nothing is marked as broken")
			}
		})
	}
}

func TestProbe(t *testing.T) {
	info, err := Probe(context.Background(), h264(t, "clip.mp4", "-metadata", "creation_time=2024-02-03T04:05:06Z"))
	want := Info{Container: "mov,mp4,m4a,3gp,3g2,mj2", Codec: ingest.H264, Width: 64, Height: 48, FPS: 25, Duration: time.Second,
		Start: time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)}
	if err != nil || info != want {
		t.Errorf("%+v, error %v", info, err)
	}
}

func TestValidate(t *testing.T) {
	err := Config{Pace: "slow"}.Validate()
	if err == nil || err.Error() != "path: missing\npace: \"slow\" is not one of realtime, fastest" {
		t.Errorf("error %v", err)
	}
	if _, err := New(Config{}, "cam", nil); err == nil {
		t.Error("a source without a path")
	}
}
