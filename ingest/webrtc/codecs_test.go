package webrtc_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	pionrtp "github.com/pion/rtp"
	pion "github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media/ivfreader"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtp"
	"sightline/internal/testkit"
)

// newCodec are codecs whose frames are made by real encoders.
type newCodec struct {
	codec   ingest.Codec
	offered pion.RTPCodecCapability
	encoder []string
}

func newCodecs() map[string]newCodec {
	return map[string]newCodec{
		"vp9": {ingest.VP9, vp9, []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"}},
		"av1": {ingest.AV1, av1, []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-row-mt", "0"}},
	}
}

// encode makes a hundred frames, each tenth a keyframe.
func (c newCodec) encode(t *testing.T) []ingest.Packet {
	t.Helper()
	args := append([]string{"-f", "lavfi", "-i", "testsrc2=size=320x240:rate=50", "-frames:v", "100", "-pix_fmt", "yuv420p", "-g", "10", "-keyint_min", "10"}, c.encoder...)
	file, err := os.Open(testkit.Clip(t, "frames.ivf", args...))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, _, err := ivfreader.NewWith(file)
	if err != nil {
		t.Fatal(err)
	}
	var frames []ingest.Packet
	for {
		data, _, err := reader.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		// RTP does without temporal delimiters (type 2).
		data = bytes.TrimPrefix(data, []byte{0x12, 0x00})
		frames = append(frames, ingest.Packet{Data: data, Keyframe: len(frames)%10 == 0})
	}
	if len(frames) != 100 {
		t.Fatalf("the encoder made %d frames", len(frames))
	}
	return frames
}

func TestVP9AndAV1(t *testing.T) {
	for name, c := range newCodecs() {
		frames := c.encode(t)
		ingesttest.Run(t, ingesttest.Case{Name: name, Live: true, New: func(t *testing.T) ingest.Source {
			source := newSource(nil)
			p := newPublisher(endpoint(t, source), c.offered)
			p.frames = frames
			p.start(t)
			return source
		}})
		t.Run(name+"/frames", func(t *testing.T) {
			source := newSource(nil)
			p := newPublisher(endpoint(t, source), c.offered)
			p.frames = frames
			p.start(t)
			sent := map[string]bool{}
			for _, f := range frames {
				sent[string(f.Data)] = f.Keyframe
			}
			for i, got := range take(t, source, 110) {
				if keyframe, ok := sent[string(got.Data)]; !ok || keyframe != got.Keyframe || got.Codec != c.codec || got.Break {
					t.Fatalf("packet %d: sent %v, keyframe %v, %s, break %v", i, ok, got.Keyframe, got.Codec, got.Break)
				}
			}
		})
	}
}

// stamping tells in each packet's header when its picture was captured: base for
// the first, and from there by RTP time.
type stamping struct {
	interceptor.NoOp
	mu    sync.Mutex
	base  time.Time
	first uint32
}

func (s *stamping) NewInterceptor(string) (interceptor.Interceptor, error) { return s, nil }

func (s *stamping) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	id := 0
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == rtp.AbsCaptureTime {
			id = e.ID
		}
	}
	return interceptor.RTPWriterFunc(func(h *pionrtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		s.mu.Lock()
		if s.base.IsZero() {
			s.base, s.first = time.Now().Add(-ago), h.Timestamp
		}
		captured := s.base.Add(time.Duration(h.Timestamp-s.first) * time.Second / 90000)
		s.mu.Unlock()
		if id != 0 {
			h.SetExtension(uint8(id), binary.BigEndian.AppendUint64(nil, rtp.ToNTP(captured)))
		}
		return next.Write(h, payload, a)
	})
}

// ago is what passes between capturing and sending.
const ago = 250 * time.Millisecond

func TestCaptureTimesOfThePublisher(t *testing.T) {
	source := newSource(nil)
	p := newPublisher(endpoint(t, source), h264)
	stamps := &stamping{}
	p.interceptors = func(engine *pion.MediaEngine) *interceptor.Registry {
		if err := engine.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: rtp.AbsCaptureTime}, pion.RTPCodecTypeVideo); err != nil {
			t.Error(err)
		}
		registry := defaultInterceptors(engine)
		registry.Add(stamps)
		return registry
	}
	p.start(t)
	packets := take(t, source, 100)
	stamps.mu.Lock()
	base := stamps.base
	stamps.mu.Unlock()
	for i, got := range packets[len(packets)-20:] {
		if got.Clock.Source != ingest.ClockAbsCapture {
			t.Fatalf("packet %d: capture time by %s", i, got.Clock.Source)
		}
		if off := (got.Captured.Sub(base)+frameTime/2)%frameTime - frameTime/2; off.Abs() > time.Millisecond {
			t.Errorf("packet %d: captured %v off a time that was told", i, off)
		}
		if delay := got.Received.Sub(got.Captured); delay < ago-5*frameTime { // the first may have been sent late
			t.Errorf("packet %d: captured %v before it came, want some %v at least", i, delay, ago)
		}
	}
}
