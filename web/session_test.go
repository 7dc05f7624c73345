package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"sightline/ingest"
)

// reader watches the stream "gate" of a server and returns what arrives.
func reader(t *testing.T, s *Server) (peer *webrtc.PeerConnection, location string, packets <-chan *rtp.Packet) {
	t.Helper()
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	peer, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.GracefulClose() })
	if _, err := peer.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan *rtp.Packet, 64)
	peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			select {
			case arrived <- p:
			default:
			}
		}
	})
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	resp, err := http.Post(s.URL()+"whep/gate", "application/sdp", strings.NewReader(peer.LocalDescription().SDP))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, answer)
	}
	for line := range strings.Lines(string(answer)) {
		if strings.HasPrefix(line, "a=candidate:") && !strings.Contains(line, " 127.0.0.1 ") && !strings.Contains(line, " ::1 ") {
			t.Errorf("a server on loopback offers %s", line)
		}
	}
	if err := peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
	return peer, resp.Header.Get("Location"), arrived
}

// feedVP8 gives a keyframe and then others, 100 a second, until the test ends;
// the nth was captured n·10 ms after begin.
// Viewers of the fake share its packets, and keyframes fall to each of two in turn.
func feedVP8(t *testing.T, p *fake, begin time.Time) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			at := time.Duration(n) * 10 * time.Millisecond
			packet := ingest.Packet{
				Codec: ingest.VP8, Epoch: "1", PTS: at, Captured: begin.Add(at), Keyframe: n%51 == 0, Data: []byte{byte(n), byte(n >> 8), 1, 2},
			}
			select {
			case p.packets <- packet:
			case <-ctx.Done():
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func TestAViewerGetsStampedPacketsFromAKeyframeOn(t *testing.T) {
	leavesNothing(t)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	p := newFake(t, onLoopback)
	begin := time.UnixMicro(1_760_000_000_123_457)
	feedVP8(t, p, begin)
	s := serve(t, p)
	peer, location, packets := reader(t, s)
	for i := range 20 {
		select {
		case got := <-packets:
			data := got.Payload[len(got.Payload)-4:]
			n := int(data[0]) | int(data[1])<<8
			if i == 0 && n%50 != 0 {
				t.Errorf("begins with picture %d, which is no keyframe", n)
			}
			if want := RTPTime(begin.Add(time.Duration(n) * 10 * time.Millisecond)); got.Timestamp != want {
				t.Errorf("picture %d is stamped %d, want %d", n, got.Timestamp, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing arrives")
		}
	}
	r, err := http.NewRequest("DELETE", strings.TrimSuffix(s.URL(), "/")+location, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{200, 404} {
		until(t, 5*time.Second, "the session's end", func() bool {
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode == want
		})
	}
	peer.GracefulClose()
}

func TestTheServerEndsUnderItsViewers(t *testing.T) {
	leavesNothing(t)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	p := newFake(t, onLoopback)
	feedVP8(t, p, time.Now())
	s, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	_, _, packets := reader(t, s)
	select {
	case <-packets:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrives")
	}
	events := follow(t, s, "", nil)
	asked := make(chan struct{})
	go func() { // for a picture that never comes
		defer close(asked)
		if resp, err := http.Get(s.URL() + "api/v1/streams/gate/frame.jpg"); err == nil {
			resp.Body.Close()
		}
	}()
	cancel()
	close(p.events)
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(3 * time.Second):
		t.Fatal("the server does not end under its viewers")
	}
	for range events {
	}
	<-asked
}
