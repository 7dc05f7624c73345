package webrtc_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/ingest/rtp"
	"sightline/internal/testkit"
)

// answers answers an offer with a track in a codec, and calls send once connected;
// asked is called for each keyframe asked for.
func answers(t *testing.T, codec pion.RTPCodecCapability, asked func(), send func(context.Context, *pion.TrackLocalStaticRTP)) func(string) string {
	return func(offer string) string {
		engine := defaultCodecs()
		h265 := pion.RTPCodecParameters{RTPCodecCapability: pion.RTPCodecCapability{
			MimeType: pion.MimeTypeH265, ClockRate: 90000, RTCPFeedback: []pion.RTCPFeedback{{Type: "nack", Parameter: "pli"}},
		}, PayloadType: 49}
		if err := engine.RegisterCodec(h265, pion.RTPCodecTypeVideo); err != nil {
			t.Error(err)
		}
		var settings pion.SettingEngine
		settings.SetIncludeLoopbackCandidate(true)
		peer, err := pion.NewAPI(pion.WithSettingEngine(settings), pion.WithMediaEngine(engine)).NewPeerConnection(pion.Configuration{})
		if err != nil {
			t.Error(err)
			return ""
		}
		track, err := pion.NewTrackLocalStaticRTP(codec, "video", "scene")
		if err != nil {
			t.Error(err)
		}
		sender, err := peer.AddTrack(track)
		if err != nil {
			t.Error(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		t.Cleanup(func() {
			stop()
			peer.GracefulClose()
			running.Wait()
		})
		running.Go(func() {
			for {
				packets, _, err := sender.ReadRTCP()
				if err != nil {
					return
				}
				for _, p := range packets {
					if _, ok := p.(*rtcp.PictureLossIndication); ok {
						asked()
					}
				}
			}
		})
		peer.OnConnectionStateChange(func(s pion.PeerConnectionState) {
			if s == pion.PeerConnectionStateConnected {
				running.Go(func() { send(ctx, track) })
			}
		})
		if err := peer.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: offer}); err != nil {
			t.Error(err)
		}
		answer, err := peer.CreateAnswer(nil)
		if err != nil {
			t.Error(err)
		}
		gathered := pion.GatheringCompletePromise(peer)
		if err := peer.SetLocalDescription(answer); err != nil {
			t.Error(err)
		}
		<-gathered
		return peer.LocalDescription().SDP
	}
}

// paced sends those frames of a loop that more says.
func paced(payloader pionrtp.Payloader, frames [][]byte, more func(i int) bool) func(context.Context, *pion.TrackLocalStaticRTP) {
	return func(ctx context.Context, track *pion.TrackLocalStaticRTP) {
		packets := pionrtp.NewPacketizer(1200, 0, 0, payloader, pionrtp.NewRandomSequencer(), 90000)
		for i := 0; ctx.Err() == nil; i++ {
			for _, p := range packets.Packetize(frames[i%len(frames)], uint32(frameTime.Seconds()*90000)) {
				if more(i) {
					track.WriteRTP(p)
				}
			}
			select {
			case <-time.After(frameTime):
			case <-ctx.Done():
			}
		}
	}
}

func data(frames []ingest.Packet) (all [][]byte) {
	for _, f := range frames {
		all = append(all, f.Data)
	}
	return all
}

func TestPullH265(t *testing.T) {
	text, err := os.ReadFile(testkit.Clip(t, "frames.h265", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=50", "-frames:v", "50", "-pix_fmt", "yuv420p",
		"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "aud=1:bframes=0:keyint=10:min-keyint=10:scenecut=0:repeat-headers=1:log-level=none"))
	if err != nil {
		t.Fatal(err)
	}
	frames := bytes.Split(text, []byte{0, 0, 0, 1, 0x46, 0x01})[1:] // at the delimiters
	if len(frames) != 50 {
		t.Fatalf("the encoder made %d frames", len(frames))
	}
	for i := range frames {
		frames[i] = frames[i][1:] // the delimiter's body
	}
	s := newServer(t, created(answers(t, pion.RTPCodecCapability{MimeType: pion.MimeTypeH265, ClockRate: 90000}, func() {}, paced(&codecs.H265Payloader{}, frames, always))))
	for i, p := range pull(t, newPuller(s.whep(), nil), 40) {
		if p.Codec != ingest.H265 || p.Keyframe != (i%10 == 0) || p.Break {
			t.Errorf("packet %d: %s, keyframe %v, break %v", i, p.Codec, p.Keyframe, p.Break)
		}
	}
}

// What is asked of the pipeline reaches the server.
func TestPullRequestsKeyframes(t *testing.T) {
	asked := make(chan struct{}, 100)
	frames := data(vp8Frames(1000, 1000))
	s := newServer(t, created(answers(t, vp8, func() { asked <- struct{}{} }, paced(&codecs.VP8Payloader{}, frames, always))))
	p := newPuller(s.whep(), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	requested := false
	err := p.Run(ctx, func(got ingest.Packet) error {
		switch {
		case !requested && got.PTS > time.Second:
			for len(asked) > 0 {
				<-asked
			}
			requested = true
			p.RequestKeyframe()
		case requested && len(asked) > 0:
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Errorf("the server was not asked: %v", err)
	}
	p.RequestKeyframe() // does nothing now
}

// The offer has everything that a server could want to know.
func TestPullOffers(t *testing.T) {
	var offer string
	s := newServer(t, created(func(text string) string {
		offer = text
		return ""
	}))
	wantReason(t, newPuller(s.whep(), nil), ingest.ReasonFailed, "no video")
	for _, want := range []string{
		" H264/90000", " H265/90000", " VP8/90000", " VP9/90000", " AV1/90000", "a=recvonly\r\n", "a=setup:actpass\r\n", "a=candidate:",
		" " + rtp.AbsCaptureTime + "\r\n", " nack pli\r\n", " ccm fir\r\n", "profile-level-id=64001f",
	} {
		if !strings.Contains(offer, want) {
			t.Errorf("the offer lacks %q", want)
		}
	}
	if strings.Count(offer, "m=") != 1 || strings.Contains(offer, "\na=sendrecv") {
		t.Errorf("the offer has more than a video to receive:\n%s", offer)
	}
}
