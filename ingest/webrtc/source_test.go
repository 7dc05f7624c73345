package webrtc_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/webrtc"
)

var errEnough = errors.New("enough")

// defaultInterceptors are Pion's own: reports, and answers to NACK.
func defaultInterceptors(engine *pion.MediaEngine) *interceptor.Registry {
	registry := &interceptor.Registry{}
	if err := pion.RegisterDefaultInterceptors(engine, registry); err != nil {
		panic(err)
	}
	return registry
}

func TestContract(t *testing.T) {
	for name, codec := range map[string]pion.RTPCodecCapability{"h264": h264, "vp8": vp8} {
		ingesttest.Run(t, ingesttest.Case{Name: name, Live: true, New: func(t *testing.T) ingest.Source {
			source := newSource(nil)
			newPublisher(endpoint(t, source), codec).start(t)
			return source
		}})
	}
}

// take runs the source until n packets came.
func take(t *testing.T, source *webrtc.Source, n int) []ingest.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var packets []ingest.Packet
	err := source.Run(ctx, func(p ingest.Packet) error {
		if packets = append(packets, p); len(packets) >= n {
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Fatalf("%v after %d packets", err, len(packets))
	}
	return packets
}

func TestPacketsArePublishersFrames(t *testing.T) {
	for _, codec := range []pion.RTPCodecCapability{h264, vp8} {
		source := newSource(nil)
		p := newPublisher(endpoint(t, source), codec)
		p.frames = p.frames[5:] // a keyframe that comes at once need not be asked for
		p.start(t)
		packets := take(t, source, 120)
		sent := map[string]bool{}
		for _, f := range p.frames {
			sent[string(f.Data)] = f.Keyframe
		}
		reported := 0
		for i, got := range packets {
			keyframe, ok := sent[string(got.Data)]
			if !ok || keyframe != got.Keyframe || got.Break {
				t.Fatalf("%s packet %d: sent %v, keyframe %v, break %v", codec.MimeType, i, ok, got.Keyframe, got.Break)
			}
			if i > 0 && (got.PTS-packets[i-1].PTS-frameTime).Abs() > time.Millisecond {
				t.Fatalf("%s packet %d comes %v after the one before", codec.MimeType, i, got.PTS-packets[i-1].PTS)
			}
			if got.Clock.Source == ingest.ClockRTCP {
				reported++
			}
			if delay := got.Received.Sub(got.Captured); delay.Abs() > 2*time.Second {
				t.Fatalf("%s packet %d: captured %v before it came", codec.MimeType, i, delay)
			}
		}
		if reported == 0 {
			t.Errorf("%s: no capture time comes from the publisher's reports", codec.MimeType)
		}
		if p.keyframes.Load() == 0 {
			t.Errorf("%s: no keyframe was asked for", codec.MimeType)
		}
	}
}

// Browsers offer sound before the picture; it is declined.
func TestSoundIsDeclined(t *testing.T) {
	source := newSource(nil)
	p := newPublisher(endpoint(t, source), vp8)
	p.audio = true
	p.start(t)
	if got := take(t, source, 5); got[0].Codec != ingest.VP8 {
		t.Errorf("codec %s", got[0].Codec)
	}
}

// Whoever publishes two pictures at once, such as a camera and a screen, is seen
// by one of them.
func TestOneOfTwoPictures(t *testing.T) {
	source := newSource(nil)
	p := newPublisher(endpoint(t, source), vp8)
	var err error
	if p.other, err = pion.NewTrackLocalStaticSample(vp8, "screen", "scene"); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	others := 0
	packets := take(t, source, 60)
	for _, got := range packets {
		if bytes.HasSuffix(got.Data, otherMark) {
			others++
		}
	}
	if others != 0 && others != len(packets) {
		t.Errorf("%d of %d packets are of another picture", others, len(packets))
	}
}

func TestRequestKeyframe(t *testing.T) {
	source := newSource(nil)
	p := newPublisher(endpoint(t, source), h264)
	p.frames = append(ingesttest.H264(2, 2, frameTime), ingesttest.H264(100, 100, frameTime)[1:]...)
	asked := make(chan struct{}, 100)
	p.onKeyframe = func() { asked <- struct{}{} }
	p.start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var requested time.Time
	err := source.Run(ctx, func(got ingest.Packet) error {
		switch {
		case requested.IsZero() && got.PTS > time.Second:
			for len(asked) > 0 {
				<-asked
			}
			requested = time.Now()
			source.RequestKeyframe()
		case !requested.IsZero() && len(asked) > 0:
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Errorf("the publisher was not asked: %v", err)
	}
	source.RequestKeyframe() // does nothing now
}

// runInBackground runs the source until the test ends; its results come one by one.
func runInBackground(t *testing.T, source *webrtc.Source) (packets <-chan ingest.Packet, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	got, end, done := make(chan ingest.Packet, 1000), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		end <- source.Run(ctx, func(p ingest.Packet) error {
			select {
			case got <- p:
			default:
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return got, end
}

func waitFor[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(15 * time.Second):
		t.Fatalf("no %s in 15 s", what)
	}
	return v
}

// untilReady posts until the source runs.
func untilReady(t *testing.T, p *publisher, want int) string {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		status, body, peer, _, err := p.connect(context.Background())
		if peer != nil {
			peer.GracefulClose()
		}
		if err == nil && status == want {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %s %v, want %d", status, body, err, want)
		}
	}
}

func TestDeleteEndsTheSession(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Token = "t0ken" })
	p := newPublisher(endpoint(t, source), vp8)
	p.token = "t0ken"
	packets, ended := runInBackground(t, source)
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{})
	defer func() {
		cancel()
		<-gone
	}()
	go func() {
		defer close(gone)
		for ctx.Err() == nil {
			if status, _, _ := p.publish(ctx); status == http.StatusCreated {
				return
			}
		}
	}()
	waitFor(t, "packet", packets)

	for _, c := range []struct {
		token, url string
		want       int
	}{
		{"", p.session, http.StatusUnauthorized},
		{"wrong", p.session, http.StatusUnauthorized},
		{"t0ken", p.url + "/0123", http.StatusNotFound},
		{"t0ken", p.session, http.StatusOK},
	} {
		other := &publisher{token: c.token, client: p.client}
		if status, _, body, err := other.request(ctx, http.MethodDelete, c.url, ""); err != nil || status != c.want {
			t.Errorf("DELETE with token %q: %d %s %v, want %d", c.token, status, body, err, c.want)
		}
	}
	if err := waitFor(t, "end", ended); err == nil || ingest.ReasonOf(err) != ingest.ReasonEnded {
		t.Errorf("%v, want reason ended", err)
	}
}

func TestPublisherLeaves(t *testing.T) {
	source := newSource(nil)
	p := newPublisher(endpoint(t, source), vp8)
	packets, ended := runInBackground(t, source)
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for ctx.Err() == nil {
			p.publish(ctx)
		}
	}()
	waitFor(t, "packet", packets)
	began := time.Now()
	cancel()
	<-gone
	if err := waitFor(t, "end", ended); err == nil || ingest.ReasonOf(err) != ingest.ReasonEnded {
		t.Errorf("%v, want reason ended", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("noticed after %v", took)
	}
}

func TestPublisherFallsSilent(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Timeout = 4 * time.Second })
	p := newPublisher(endpoint(t, source), h264)
	packets, ended := runInBackground(t, source)
	var track *pion.TrackLocalStaticSample
	var peer *pion.PeerConnection
	for track == nil {
		if peer != nil {
			peer.GracefulClose()
		}
		_, _, peer, track, _ = p.connect(context.Background())
	}
	defer peer.GracefulClose()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := 0; len(packets) < 10 && i < 500; i++ { // and then no more
			<-time.After(frameTime)
			track.WriteSample(sampleOf(p.frames[i%100].Data))
		}
	}()
	waitFor(t, "sender's end", sent)
	if err := waitFor(t, "end", ended); err == nil || ingest.ReasonOf(err) != ingest.ReasonTimeout {
		t.Errorf("%v, want reason timeout", err)
	}
}

// A publisher that gets an answer and never connects does not end Run.
func TestPublisherNeverComes(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Timeout = 300 * time.Millisecond })
	url := endpoint(t, source)
	_, ended := runInBackground(t, source)
	for range 2 {
		untilReady(t, newPublisher(url, vp8), http.StatusCreated)
	}
	select {
	case err := <-ended:
		t.Errorf("Run ended: %v", err)
	default:
	}
}

func TestNoKeyframe(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.KeyframeTimeout = 500 * time.Millisecond })
	p := newPublisher(endpoint(t, source), vp8)
	p.frames = vp8Frames(100, 10)[1:9]
	p.start(t)
	_, ended := runInBackground(t, source)
	if err := waitFor(t, "end", ended); err == nil || ingest.ReasonOf(err) != ingest.ReasonNoKeyframe {
		t.Errorf("%v, want reason no_keyframe", err)
	}
}

func TestEndpoint(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Token = "t0ken" })
	url := endpoint(t, source)
	asker := newPublisher(url, none)
	asker.token = "t0ken"
	ready := newPublisher(url, h264)
	ready.token = "t0ken"
	if status, body, peer, _, _ := ready.connect(t.Context()); status != http.StatusServiceUnavailable || peer.GracefulClose() != nil {
		t.Errorf("while the stream does not run: %d %s", status, body)
	}
	_, ended := runInBackground(t, source)
	if body := untilReady(t, asker, http.StatusNotAcceptable); !strings.Contains(body, "theora") || !strings.Contains(body, "H264") {
		t.Errorf("an offer of Theora alone: %s", body)
	}
	for _, c := range []struct {
		name, method, url, token, kind, body string
		want                                 int
	}{
		{"no token", "POST", url, "", "application/sdp", "v=0", 401},
		{"wrong token", "POST", url, "t0kem", "application/sdp", "v=0", 401},
		{"wrong type", "POST", url, "t0ken", "text/plain", "v=0", 415},
		{"no SDP", "POST", url, "t0ken", "application/sdp", "hello", 400},
		{"no video", "POST", url, "t0ken", "application/sdp", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 400},
		{"huge", "POST", url, "t0ken", "application/sdp", strings.Repeat("a=x\r\n", 40000), 413},
		{"patch", "PATCH", url + "/0123", "t0ken", "application/trickle-ice-sdpfrag", "", 404},
		{"post to a session", "POST", url + "/0123", "t0ken", "application/sdp", "v=0", 405},
		{"get", "GET", url, "t0ken", "", "", 405},
		{"options", "OPTIONS", url, "", "", "", 200},
	} {
		r, err := http.NewRequest(c.method, c.url, bytes.NewBufferString(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.kind)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		response, err := asker.client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.name, response.StatusCode, c.want)
		}
		if (response.Header.Get("WWW-Authenticate") != "") != (c.want == 401) {
			t.Errorf("%s: WWW-Authenticate %q", c.name, response.Header.Get("WWW-Authenticate"))
		}
	}
	if len(ended) > 0 {
		t.Errorf("a bad offer ended Run: %v", <-ended)
	}
}

func TestValidate(t *testing.T) {
	if err := webrtc.Defaults().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*webrtc.Config){
		"timeout":          func(c *webrtc.Config) { c.Timeout = 0 },
		"keyframe_timeout": func(c *webrtc.Config) { c.KeyframeTimeout = 0 },
	} {
		config := webrtc.Defaults()
		change(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
