package rtsp_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtsp"
)

// scene makes pictures without end, and keyframes only when asked: one at the
// start, for the description.
type scene struct {
	asked atomic.Int64
}

func (s *scene) RequestKeyframe() { s.asked.Add(1) }

func (s *scene) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	pictures := ingesttest.H264(20, 10, frameTime) // number 0 is a keyframe, number 2 is not
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	seen := int64(-1)
	for i := 0; ; i++ {
		p := pictures[2]
		if n := s.asked.Load(); n != seen {
			seen, p = n, pictures[0]
		}
		p.Epoch, p.PTS = "1", time.Duration(i)*frameTime
		if err := emit(p); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestKeyframesOnRequest(t *testing.T) {
	id := identify(t, "127.0.0.1", nil)
	for name, c := range map[string]struct {
		transport rtsp.Transport
		camera    camera.Config
	}{
		"tcp":  {rtsp.TCP, camera.Config{}},
		"udp":  {rtsp.UDP, camera.Config{}},
		"srtp": {rtsp.UDP, camera.Config{Certificate: &id.Certificate}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			camera := &scene{}
			c.camera.Streams = map[string]ingest.Source{"gate": camera}
			config := configFor(serve(t, c.camera).URL("gate"))
			config.Transport, config.TLS.CA = c.transport, id.file
			source := newSource(config)
			source.RequestKeyframe() // does nothing yet
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			keyframes, began := 0, time.Now()
			err := source.Run(ctx, func(p ingest.Packet) error {
				source.RequestKeyframe() // far too often
				if p.Keyframe {
					keyframes++
				}
				if keyframes == 3 { // one that the session asked for, and two that we did
					return errEnough
				}
				return nil
			})
			took := time.Since(began)
			if err != errEnough {
				t.Fatalf("%v after %d keyframes", err, keyframes)
			}
			if asked := camera.asked.Load(); took < 1800*time.Millisecond || asked > 4 {
				t.Errorf("the camera was asked %d times in %v: once a second is enough", asked, took)
			}
			source.RequestKeyframe() // nor does it now
		})
	}
}

// GStreamer's encoder makes a keyframe when asked, and else every 40 s.
func TestGstMakesKeyframesOnRequest(t *testing.T) {
	t.Parallel()
	config := configFor(gstCamera(t, "--gop=1000", "--pli"))
	source := newSource(config)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	pictures, keyframes := 0, 0
	err := source.Run(ctx, func(p ingest.Packet) error {
		if pictures++; pictures == 10 {
			source.RequestKeyframe()
		}
		if p.Keyframe {
			keyframes++
		}
		if keyframes == 2 {
			return errEnough
		}
		return nil
	})
	if err != errEnough || pictures < 10 {
		t.Errorf("%v: %d keyframes in %d pictures", err, keyframes, pictures)
	}
}

// What a camera is sent, by what its description says.
func TestFeedback(t *testing.T) {
	const none, pli, fir = "", "pli", "fir"
	for _, c := range []struct {
		name, profile, lines string
		want                 string // of the requests, one a second
	}{
		{"plain", "RTP/AVP", "", none},
		{"profile alone", "RTP/AVPF", "", pli},
		{"other feedback only", "RTP/AVPF", "a=rtcp-fb:96 nack\r\na=rtcp-fb:96 goog-remb\r\n", none},
		{"PLI", "RTP/AVPF", "a=rtcp-fb:96 nack pli\r\n", pli},
		{"PLI of a plain profile", "RTP/AVP", "a=rtcp-fb:* nack pli\r\n", pli},
		{"FIR", "RTP/AVP", "a=rtcp-fb:* ccm fir\r\n", fir},
		{"both", "RTP/AVP", "a=rtcp-fb:* CCM FIR\r\na=rtcp-fb:* nack pli\r\n", pli + pli + fir + fir},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sdp := strings.Replace(plainSDP, "RTP/AVP", c.profile, 1) + c.lines
			units := frames(t, 2)
			picture := units[len(units)-1][4:] // no keyframe
			got := make(chan string, 100)
			f := newFake(t, sdp, "", manners{"PLAY": both((*peer).answer, both(beside(func(p *peer, _ request) bool {
				for i := 0; ; i++ {
					if _, err := p.Write(interleaved(0, numbered(picture, i, uint32(i*1800)))); err != nil {
						return false
					}
					select {
					case <-time.After(20 * time.Millisecond):
					case <-p.closed:
						return false
					}
				}
			}),
				func(p *peer, _ request) bool {
					for {
						raw, err := p.frame()
						if err != nil {
							return false
						}
						got <- requestsIn(t, raw)
					}
				}))}, nil)
			config := configFor(f.url())
			config.KeyframeTimeout = time.Duration(len(c.want)/len(pli))*time.Second - 400*time.Millisecond
			if c.want == none {
				config.KeyframeTimeout = 600 * time.Millisecond
			}
			if _, err := read(t, config, 1); ingest.ReasonOf(err) != ingest.ReasonNoKeyframe || err == nil {
				t.Errorf("%v, want reason no_keyframe", err)
			}
			f.end()
			close(got)
			all := ""
			for text := range got {
				all += text
			}
			if all != c.want {
				t.Errorf("asked by %q, want %q", all, c.want)
			}
		})
	}
}

// requestsIn names the requests for keyframes in a compound packet.
func requestsIn(t *testing.T, raw []byte) (names string) {
	packets, err := rtcp.Unmarshal(raw)
	if err != nil {
		t.Error(err)
		return ""
	}
	for _, packet := range packets {
		switch packet := packet.(type) {
		case *rtcp.PictureLossIndication:
			names += "pli"
		case *rtcp.FullIntraRequest:
			names += "fir"
			if len(packet.FIR) != 1 || packet.FIR[0].SequenceNumber == 0 {
				t.Errorf("%+v", packet)
			}
		}
	}
	if compound := rtcp.CompoundPacket(packets); names != "" && compound.Validate() != nil {
		t.Errorf("no compound packet: %v", compound.Validate())
	}
	return names
}
