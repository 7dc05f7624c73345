package webrtc_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/webrtc"
)

const frameTime = 20 * time.Millisecond

// otherMark ends the frames of a publisher's second picture.
var otherMark = []byte("#other")

// endpoint serves a source's WHIP endpoint as package web does.
func endpoint(t *testing.T, source *webrtc.Source) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/whip/gate", source)
	mux.Handle("/whip/gate/{session}", source)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/whip/gate"
}

func newSource(change func(*webrtc.Config)) *webrtc.Source {
	config := webrtc.Defaults()
	if change != nil {
		change(&config)
	}
	return webrtc.New(config, "gate", slog.New(slog.DiscardHandler))
}

// publisher is an encoder that publishes to a WHIP endpoint with Pion.
type publisher struct {
	url, token string
	codec      pion.RTPCodecCapability
	frames     []ingest.Packet
	next       func(i int) []byte           // in place of frames, if set
	audio      bool                         // offers sound, too
	other      *pion.TrackLocalStaticSample // a second picture, if set
	client     *http.Client
	networks   []pion.NetworkType // all when empty
	keyframes  atomic.Int64       // asked for
	onKeyframe func()             // called when one is asked for, if set
	onFIR      func()             // the same, by FIR
	// interceptors stand between the frames and the network.
	interceptors func(*pion.MediaEngine) *interceptor.Registry

	change, changeAnswer func(string) string // of descriptions on their way, if set
	onAnswer             func(http.Header)   // of a session that began, if set

	session, etag string // its URL and tag
}

var (
	h264 = pion.RTPCodecCapability{MimeType: pion.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"}
	vp8  = pion.RTPCodecCapability{MimeType: pion.MimeTypeVP8, ClockRate: 90000}
	vp9  = pion.RTPCodecCapability{MimeType: pion.MimeTypeVP9, ClockRate: 90000, SDPFmtpLine: "profile-id=0"}
	av1  = pion.RTPCodecCapability{MimeType: pion.MimeTypeAV1, ClockRate: 90000, SDPFmtpLine: "profile=0"}
	none = pion.RTPCodecCapability{MimeType: "video/theora", ClockRate: 90000}
)

func newPublisher(url string, codec pion.RTPCodecCapability) *publisher {
	p := &publisher{url: url, codec: codec, interceptors: defaultInterceptors, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	p.frames = ingesttest.H264(100, 10, frameTime)
	if codec.MimeType == pion.MimeTypeVP8 {
		p.frames = vp8Frames(100, 10)
	}
	return p
}

// vp8Frames have a VP8 frame tag and key frame header, and no picture behind.
func vp8Frames(n, gop int) []ingest.Packet {
	frames := make([]ingest.Packet, n)
	for i := range frames {
		data := make([]byte, 1800)
		data[0] = 0x11
		if i%gop == 0 {
			copy(data, []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00})
		}
		copy(data[len(data)-8:], fmt.Sprintf("#%06d.", i))
		frames[i] = ingest.Packet{Data: data, Keyframe: i%gop == 0}
	}
	return frames
}

// connect offers once. It returns what the endpoint said, and a peer and track
// when that was 201.
func (p *publisher) connect(ctx context.Context) (int, string, *pion.PeerConnection, *pion.TrackLocalStaticSample, error) {
	var settings pion.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICETimeouts(time.Second, time.Second, 200*time.Millisecond)
	if len(p.networks) > 0 {
		settings.SetNetworkTypes(p.networks)
	}
	engine := &pion.MediaEngine{}
	parameters := pion.RTPCodecParameters{RTPCodecCapability: p.codec, PayloadType: 120}
	opus := pion.RTPCodecParameters{RTPCodecCapability: pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 111}
	if err := engine.RegisterCodec(opus, pion.RTPCodecTypeAudio); err != nil {
		return 0, "", nil, nil, err
	}
	parameters.RTCPFeedback = []pion.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
	if err := engine.RegisterCodec(parameters, pion.RTPCodecTypeVideo); err != nil {
		return 0, "", nil, nil, err
	}
	api := pion.NewAPI(pion.WithSettingEngine(settings), pion.WithMediaEngine(engine), pion.WithInterceptorRegistry(p.interceptors(engine)))
	peer, err := api.NewPeerConnection(pion.Configuration{})
	if err != nil {
		return 0, "", nil, nil, err
	}
	track, err := pion.NewTrackLocalStaticSample(p.codec, "video", "scene")
	if err != nil {
		return 0, "", peer, nil, err
	}
	if p.audio {
		direction := pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly}
		if _, err := peer.AddTransceiverFromKind(pion.RTPCodecTypeAudio, direction); err != nil {
			return 0, "", peer, nil, err
		}
	}
	sender, err := peer.AddTrack(track)
	if err != nil {
		return 0, "", peer, nil, err
	}
	go p.readReports(sender)
	if p.other != nil {
		if _, err := peer.AddTrack(p.other); err != nil {
			return 0, "", peer, nil, err
		}
	}
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		return 0, "", peer, nil, err
	}
	gathered := pion.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(offer); err != nil {
		return 0, "", peer, nil, err
	}
	<-gathered
	text := peer.LocalDescription().SDP
	if p.change != nil {
		text = p.change(text)
	}
	status, header, body, err := p.request(ctx, http.MethodPost, p.url, text)
	if err != nil || status != http.StatusCreated {
		return status, body, peer, nil, err
	}
	if p.onAnswer != nil {
		p.onAnswer(header)
	}
	if p.changeAnswer != nil {
		body = p.changeAnswer(body)
	}
	p.etag = header.Get("ETag")
	p.session = strings.TrimSuffix(p.url, "/whip/gate") + header.Get("Location")
	return status, body, peer, track, peer.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: body})
}

func (p *publisher) request(ctx context.Context, method, url, body string) (int, http.Header, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	r.Header.Set("Content-Type", "application/sdp")
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := p.client.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), err
}

func (p *publisher) readReports(sender *pion.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication:
				p.keyframes.Add(1)
				if p.onKeyframe != nil {
					p.onKeyframe()
				}
			case *rtcp.FullIntraRequest:
				if p.onFIR != nil {
					p.onFIR()
				}
			}
		}
	}
}

// publish connects and sends frames until ctx ends or the other side leaves. It
// says goodbye as browsers do.
func (p *publisher) publish(ctx context.Context) (status int, body string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	status, body, peer, track, err := p.connect(ctx)
	if peer != nil {
		defer peer.GracefulClose()
	}
	if track == nil || err != nil {
		return status, body, err
	}
	up := make(chan struct{})
	var once sync.Once
	peer.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		switch s {
		case pion.PeerConnectionStateConnected:
			once.Do(func() { close(up) })
		case pion.PeerConnectionStateFailed, pion.PeerConnectionStateClosed, pion.PeerConnectionStateDisconnected:
			cancel()
		}
	})
	select {
	case <-up:
	case <-ctx.Done():
		return status, body, ctx.Err()
	}
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			bye := &rtcp.Goodbye{Sources: []uint32{uint32(sender(peer).GetParameters().Encodings[0].SSRC)}}
			return status, body, peer.WriteRTCP([]rtcp.Packet{bye})
		}
		sample := media.Sample{Data: p.frames[i%len(p.frames)].Data, Duration: frameTime}
		if err := track.WriteSample(sample); err != nil {
			return status, body, err
		}
		if p.other != nil {
			sample.Data = append(bytes.Clone(sample.Data), otherMark...)
			if err := p.other.WriteSample(sample); err != nil {
				return status, body, err
			}
		}
	}
}

func sender(peer *pion.PeerConnection) *pion.RTPSender { return peer.GetSenders()[0] }

// start publishes, again and again, until the test ends.
func (p *publisher) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			p.publish(ctx)
			select { // the endpoint is not ready, or ended the session
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

func sampleOf(data []byte) media.Sample { return media.Sample{Data: data, Duration: frameTime} }
