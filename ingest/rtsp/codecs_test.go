package rtsp_test

import (
	"bytes"
	"image/jpeg"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/ingesttest"
	"sightline/internal/libav"
	"sightline/internal/testkit"
)

const (
	pictures = 20
	interval = 20 * time.Millisecond
)

// packetsOf reads a clip whose packets are as ingest wants them.
func packetsOf(t *testing.T, codec ingest.Codec, path string) (packets []ingest.Packet) {
	t.Helper()
	demuxer, err := libav.OpenDemuxer(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer demuxer.Close()
	first := time.Duration(1 << 62)
	for {
		var p libav.Packet
		if err := demuxer.Read(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		first = min(first, time.Duration(p.PTS))
		packets = append(packets, ingest.Packet{
			Codec: codec, Data: bytes.Clone(p.Data), PTS: time.Duration(p.PTS), Duration: interval, Keyframe: p.Keyframe,
		})
	}
	for i := range packets {
		packets[i].PTS -= first
	}
	return packets
}

// parts are what must survive the way: NAL units or OBUs, else the bytes.
func parts(t *testing.T, p ingest.Packet) [][]byte {
	switch p.Codec {
	case ingest.H264, ingest.H265:
		return slices.DeleteFunc(slices.Collect(ingest.NALs(p.Data)), func(nal []byte) bool {
			delimiter := nal[0]&0x1f == 9
			if p.Codec == ingest.H265 {
				delimiter = nal[0]>>1 == 35
			}
			return delimiter // left out
		})
	case ingest.AV1:
		var obus av1.Bitstream
		if err := obus.Unmarshal(p.Data); err != nil {
			t.Fatal(err)
		}
		const delimiter = 2 // not sent over RTP
		return slices.DeleteFunc(obus, func(obu []byte) bool { return obu[0]>>3&15 == delimiter })
	case ingest.MJPEG: // headers are rebuilt
		picture, err := jpeg.Decode(bytes.NewReader(p.Data))
		if err != nil {
			t.Fatal(err)
		}
		var pixels bytes.Buffer
		if err := jpeg.Encode(&pixels, picture, nil); err != nil {
			t.Fatal(err)
		}
		return [][]byte{pixels.Bytes()}
	}
	return [][]byte{p.Data}
}

// Real streams of every codec go through a camera, over and over, and come back
// as they are in the file.
func TestEveryCodecComesBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		codec ingest.Codec
		clip  string
		args  []string
	}{
		{ingest.H264, "a.ts", []string{"-c:v", "libx264", "-bf", "2", "-g", "10"}},
		{ingest.H265, "a.ts", []string{"-c:v", "libx265", "-x265-params", "keyint=10:open-gop=0:log-level=none"}},
		{ingest.VP8, "a.webm", []string{"-c:v", "libvpx", "-g", "10", "-auto-alt-ref", "0"}},
		{ingest.VP9, "a.webm", []string{"-c:v", "libvpx-vp9", "-g", "10", "-auto-alt-ref", "0", "-deadline", "realtime"}},
		{ingest.AV1, "a.mkv", []string{"-c:v", "libaom-av1", "-g", "10", "-cpu-used", "8", "-usage", "realtime"}},
		{ingest.MJPEG, "a.avi", []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-huffman", "default"}},
	} {
		t.Run(string(c.codec), func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-f", "lavfi", "-i", "testsrc2=size=320x240:rate=50", "-frames:v", "20", "-pix_fmt", "yuv420p"}, c.args...)
			made := packetsOf(t, c.codec, testkit.Clip(t, c.clip, args...))
			server := serve(t, camera.Config{Streams: map[string]ingest.Source{"gate": &ingesttest.Scripted{
				Scripts: []ingesttest.Script{{Packets: made, Paced: true}},
			}}})
			got, err := read(t, configFor(server.URL("gate")), 2*pictures)
			if err != nil {
				t.Fatalf("%v after %d packets", err, len(got))
			}
			compare(t, c.codec, made, got)
		})
	}
}

// compare finds where in the loop the viewer came in, and follows from there.
func compare(t *testing.T, codec ingest.Codec, want, got []ingest.Packet) {
	t.Helper()
	if len(want) != pictures {
		t.Fatalf("%d packets in the file", len(want))
	}
	equal := func(a, b ingest.Packet) bool { return slices.EqualFunc(parts(t, a), parts(t, b), bytes.Equal) }
	at := slices.IndexFunc(want, func(p ingest.Packet) bool { return equal(p, got[0]) })
	if at < 0 {
		t.Fatal("the camera's first packet is not in the file")
	}
	for i, p := range got {
		w := want[(at+i)%pictures]
		if p.Codec != codec || p.Keyframe != w.Keyframe || p.Break || !equal(p, w) {
			t.Fatalf("packet %d: %s, keyframe %v, break %v, %d bytes; the file's has %v, %d bytes",
				i, p.Codec, p.Keyframe, p.Break, len(p.Data), w.Keyframe, len(w.Data))
		}
	}
	pts := make([]time.Duration, len(got))
	for i, p := range got {
		pts[i] = p.PTS
	}
	slices.Sort(pts)
	for i := 1; i < len(pts)-3; i++ { // the last ones may wait for B-frames
		if step := pts[i] - pts[i-1]; (step - interval).Abs() > 2*time.Millisecond {
			t.Errorf("pictures %d and %d are %v apart, also where the loop closes: want %v", i-1, i, step, interval)
		}
	}
}
