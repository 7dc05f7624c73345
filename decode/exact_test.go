package decode_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	pion "github.com/pion/webrtc/v3"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/ingest/rtp"
	"sightline/ingest/rtsp"
	"sightline/ingest/webrtc"
)

const marks = 120

// TestExact pulls pictures that carry their own index: index, presentation time
// and capture time of each frame are those of the picture that is in it.
func TestExact(t *testing.T) {
	for _, bframes := range []string{"bframes=0", "bframes=3:b-adapt=0:b-pyramid=normal"} {
		name, _, _ := strings.Cut(bframes, ":")
		list := packets(t, marked(t, marks, bframes))
		t.Run("file "+name, func(t *testing.T) {
			first := list[0].Captured
			frames := play(t, decode.Defaults(), list)
			if len(frames) != marks {
				t.Fatalf("%d frames", len(frames))
			}
			for i, f := range frames {
				if mark, ok := readMark(f.luma); !ok || mark != i || f.Index != uint64(i+1) || f.PTS != time.Duration(i)*time.Second/markRate || f.Captured.Sub(first) != f.PTS {
					t.Fatalf("frame %d holds picture %d: PTS %v, captured %v", f.Index, mark, f.PTS, f.Captured)
				}
			}
		})
		for way, send := range map[string]func(*testing.T, *shooting) ingest.Source{"RTSP over UDP": overUDP, "WHIP": overWHIP} {
			for kind, s := range map[string]shooting{
				"reports":          {mix: 6, report: true},
				"reports and loss": {mix: 6, report: true, loss: 0.01},
				"stamps":           {mix: 3, stamp: 10},
				"far from order":   {mix: 6, wild: 100, report: true},
			} {
				if way == "WHIP" && (s.loss > 0 && name != "bframes=0" || s.wild > 0) {
					continue
				}
				s.list, s.onvif, s.clock = list, way != "WHIP", ingest.ClockRTCP
				if s.stamp > 0 {
					s.clock = map[bool]ingest.ClockSource{true: ingest.ClockONVIF, false: ingest.ClockAbsCapture}[s.onvif]
				}
				t.Run(way+" "+name+" "+kind, func(t *testing.T) {
					t.Parallel()
					exact(t, &s, send(t, &s))
				})
			}
		}
	}
}

// exact reads the source to the shooting's end and checks each frame.
func exact(t *testing.T, s *shooting, source ingest.Source) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d, err := decode.New(decode.Config{Threads: 1, Live: true, Frames: decodetest.Live(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var first *decode.Frame
	firstMark, lastMark, good := 0, -1, 0
	lossy := s.loss > 0
	see := func(f *decode.Frame) error {
		defer f.Release()
		mark, ok := readMark(decodetest.Luma(f))
		if f.Damaged {
			return nil
		}
		if first == nil {
			copied := *f
			first, firstMark = &copied, mark-int(f.Index)+1
		}
		wrong := f.Captured.Sub(s.captured(mark))
		shown := time.Duration(mark-firstMark) * time.Second / markRate
		switch {
		case !ok || mark <= lastMark:
			t.Errorf("frame %d holds picture %d after %d", f.Index, mark, lastMark)
		case !lossy && int(f.Index) != mark-firstMark+1:
			t.Errorf("frame %d holds picture %d, the first held %d", f.Index, mark, firstMark)
		case (f.PTS - shown).Abs() > time.Second/markTicks:
			t.Errorf("picture %d is shown at %v instead of %v", mark, f.PTS, shown)
		case wrong.Abs() > f.Clock.Uncertainty || f.Clock.Uncertainty > 50*time.Millisecond:
			t.Errorf("picture %d was captured %v off, clock %+v", mark, wrong, f.Clock)
		case f.Clock.Source != s.clock:
			t.Errorf("picture %d: clock %+v", mark, f.Clock)
		}
		lastMark = mark
		good++
		return nil
	}
	go func() {
		select {
		case <-s.ended: // what is on its way, and waits for what was lost, comes soon
			time.AfterFunc(500*time.Millisecond, cancel)
		case <-ctx.Done():
		}
	}()
	breaks := 0
	err = source.Run(ctx, func(p ingest.Packet) error {
		if p.Break {
			breaks++
		}
		if err := d.Decode(p, see); err != nil && !errors.Is(err, decode.ErrNoKeyframe) {
			t.Logf("%v", err)
		}
		return nil
	})
	if err != context.Canceled {
		t.Errorf("source ended with %v", err)
	}
	if err := d.Flush(see); err != nil {
		t.Error(err)
	}
	if least := map[bool]int{true: marks / 6, false: marks - 30}[lossy]; good < least {
		t.Errorf("%d good frames", good)
	}
	if lossy != (breaks > 0) {
		t.Errorf("%d breaks at a loss of %v, with rows of %d", breaks, s.loss, s.wild)
	}
}

// camera is an RTSP server with one stream, which begins when it is watched.
type cameraServer struct {
	stream  *gortsplib.ServerStream
	watched chan struct{}
}

func (c *cameraServer) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *cameraServer) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *cameraServer) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	close(c.watched)
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// overUDP serves the shooting by RTSP.
func overUDP(t *testing.T, s *shooting) ingest.Source {
	c := &cameraServer{watched: make(chan struct{})}
	server, address := listen(t, c)
	video := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	media := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{video}}
	c.stream = &gortsplib.ServerStream{Server: server, Desc: &description.Session{Medias: []*description.Media{media}}}
	if err := c.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	s.write = func(p *pionrtp.Packet) error { return c.stream.WritePacketRTP(media, p) }
	s.tell = func(r *rtcp.SenderReport) error {
		r.SSRC = c.stream.Stats().Medias[media].Formats[video].LocalSSRC
		return c.stream.WritePacketRTCP(media, r)
	}
	start(t, s, c.watched)
	config := rtsp.Defaults()
	config.URL, config.Transport = "rtsp://"+address+"/gate", rtsp.UDP
	return rtsp.New(config, "gate", slog.New(slog.DiscardHandler))
}

func listen(t *testing.T, h gortsplib.ServerHandler) (*gortsplib.Server, string) {
	for range 50 {
		probe, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := probe.LocalAddr().(*net.UDPAddr).Port &^ 1
		probe.Close()
		at := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
		server := &gortsplib.Server{Handler: h, RTSPAddress: at(port), UDPRTPAddress: at(port), UDPRTCPAddress: at(port + 1), DisableRTCPSenderReports: true}
		if server.Start() == nil {
			t.Cleanup(server.Close)
			return server, at(port)
		}
	}
	t.Fatal("no pair of free ports")
	return nil, ""
}

// start begins the shooting once somebody looks, and waits for its end.
func start(t *testing.T, s *shooting, watched <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.begun, s.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-watched:
			s.began = time.Now()
			close(s.begun)
			s.run(ctx, t)
			close(s.ended)
		case <-ctx.Done():
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// overWHIP publishes the shooting with Pion.
func overWHIP(t *testing.T, s *shooting) ingest.Source {
	source := webrtc.New(webrtc.Defaults(), "gate", slog.New(slog.DiscardHandler))
	mux := http.NewServeMux()
	mux.Handle("/whip/gate", source)
	mux.Handle("/whip/gate/{session}", source)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	engine := &pion.MediaEngine{}
	h264 := pion.RTPCodecCapability{MimeType: pion.MimeTypeH264, ClockRate: markTicks, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"}
	if err := errors.Join(
		engine.RegisterCodec(pion.RTPCodecParameters{RTPCodecCapability: h264, PayloadType: 96}, pion.RTPCodecTypeVideo),
		engine.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: rtp.AbsCaptureTime}, pion.RTPCodecTypeVideo),
	); err != nil {
		t.Fatal(err)
	}
	var settings pion.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	peer, err := pion.NewAPI(pion.WithMediaEngine(engine), pion.WithSettingEngine(settings)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.GracefulClose() })
	track, err := pion.NewTrackLocalStaticRTP(h264, "video", "scene")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := peer.AddTrack(track)
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	peer.OnConnectionStateChange(func(state pion.PeerConnectionState) {
		if state == pion.PeerConnectionStateConnected {
			close(up)
		}
	})
	s.write = func(p *pionrtp.Packet) error {
		if p.Extension { // under the id agreed on
			b := p.GetExtension(captureID)
			for _, e := range sender.GetParameters().HeaderExtensions {
				if e.URI == rtp.AbsCaptureTime && e.ID != captureID {
					p.DelExtension(captureID)
					p.SetExtension(uint8(e.ID), b)
				}
			}
		}
		return track.WriteRTP(p)
	}
	s.tell = func(r *rtcp.SenderReport) error {
		r.SSRC = uint32(sender.GetParameters().Encodings[0].SSRC)
		return peer.WriteRTCP([]rtcp.Packet{r})
	}
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	go publish(t, peer, server.URL+"/whip/gate")
	start(t, s, up)
	return source
}

// publish offers until the source runs.
func publish(t *testing.T, peer *pion.PeerConnection, url string) {
	for range 200 {
		r, err := http.Post(url, "application/sdp", strings.NewReader(peer.LocalDescription().SDP))
		if err != nil {
			return // the test is over
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err == nil && r.StatusCode == http.StatusCreated {
			if err := peer.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: string(text)}); err != nil {
				t.Error(err)
			}
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}
