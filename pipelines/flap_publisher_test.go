package pipelines

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/webrtc/v3"
	webrtcmedia "github.com/pion/webrtc/v3/pkg/media"

	"sightline/ingest"
	"sightline/ingest/file"
)

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// loop plays a file over and over, as a camera would.
func loop(t *testing.T, path string) ingest.Source {
	t.Helper()
	c := file.Defaults()
	c.Path, c.Loop = path, true
	s, err := file.New(c, "main", quietLog())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func jpegPicture(t *testing.T) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 160, 120))
	for i := range m.Pix {
		m.Pix[i] = byte(i*i>>3 + i)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// whipURL is the address of a stream that is published to.
const whipURL = "whip://"

// publishing is a publisher that vanishes without a word.
func publishing(*testing.T) *flapper {
	return &flapper{url: whipURL, keys: "timeout: 1200ms", told: "timeout"}
}

// publish gives the published ones of the cameras their publishers.
func publish(t *testing.T, p *Pipeline, all []*flapper) {
	t.Helper()
	for _, f := range all {
		if f.url != whipURL {
			continue
		}
		mux := http.NewServeMux()
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.Publisher(f.name).ServeHTTP(w, r) })
		mux.Handle("/whip/"+f.name, handler)
		mux.Handle("/whip/"+f.name+"/{session}", handler)
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		var stop context.CancelFunc
		begin := func() {
			var ctx context.Context
			ctx, stop = context.WithCancel(context.Background())
			go publishClip(ctx, t, server.URL+"/whip/"+f.name)
		}
		f.heal, f.die = begin, func() { stop() }
		t.Cleanup(func() { stop() })
		begin()
	}
}

// publishClip publishes a clip until ctx ends, and then is gone without a word.
func publishClip(ctx context.Context, t *testing.T, url string) {
	var settings pion.SettingEngine
	settings.LoggerFactory = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
	settings.SetIncludeLoopbackCandidate(true)
	network, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
		return
	}
	settings.SetICEUDPMux(pion.NewICEUDPMux(settings.LoggerFactory.NewLogger("ice"), network))
	engine := &pion.MediaEngine{}
	codec := pion.RTPCodecCapability{MimeType: pion.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"}
	engine.RegisterCodec(pion.RTPCodecParameters{RTPCodecCapability: codec, PayloadType: 120}, pion.RTPCodecTypeVideo)
	peer, err := pion.NewAPI(pion.WithSettingEngine(settings), pion.WithMediaEngine(engine)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Error(err)
		return
	}
	defer peer.Close()
	defer network.Close() // first: no goodbye gets out
	track, _ := pion.NewTrackLocalStaticSample(codec, "video", "scene")
	if _, err := peer.AddTrack(track); err != nil {
		t.Error(err)
		return
	}
	connected := make(chan struct{})
	peer.OnICEConnectionStateChange(func(s pion.ICEConnectionState) {
		if s == pion.ICEConnectionStateConnected {
			close(connected)
		}
	})
	offer, err := peer.CreateOffer(nil)
	gathered := pion.GatheringCompletePromise(peer)
	if err == nil {
		err = peer.SetLocalDescription(offer)
	}
	if err != nil {
		t.Error(err)
		return
	}
	<-gathered
	answer, err := offerTo(ctx, url, peer.LocalDescription().SDP)
	if err == nil {
		err = peer.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer})
	}
	if err != nil {
		t.Error(err)
		return
	}
	select {
	case <-connected:
	case <-ctx.Done():
		return
	}
	loop(t, "testdata/small.mp4").Run(ctx, func(p ingest.Packet) error {
		return track.WriteSample(webrtcmedia.Sample{Data: p.Data, Duration: 100 * time.Millisecond})
	})
}

// offerTo asks until it is let in: the pipeline may not run yet.
func offerTo(ctx context.Context, url, offer string) (string, error) {
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(offer))
		if err != nil {
			return "", err
		}
		r.Header.Set("Content-Type", "application/sdp")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode == http.StatusCreated {
			return string(body), err
		}
		if !pause(ctx, 50*time.Millisecond) {
			return "", ctx.Err()
		}
	}
}
