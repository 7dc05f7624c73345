package webrtc_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/ice/v2"
	"go.uber.org/goleak"

	"sightline/ingest"
	"sightline/ingest/webrtc"
)

// offerTo posts an offer that a test made up and returns the answer.
func offerTo(t *testing.T, ctx context.Context, url, offer string) (int, string) {
	t.Helper()
	p := newPublisher(url, vp8)
	status, _, body, err := p.request(ctx, http.MethodPost, url, offer)
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	return status, body
}

// anOffer is a publisher's, whose peer is closed.
func anOffer(t *testing.T) string {
	t.Helper()
	p := newPublisher("http://127.0.0.1:1/whip/gate", vp8)
	var offer string
	p.change = func(text string) string {
		offer = text
		return text
	}
	_, _, peer, _, _ := p.connect(t.Context())
	peer.GracefulClose()
	return offer
}

// badPeers bring a source that runs into a state; what they begin ends with the test.
func badPeers() map[string]func(t *testing.T, url string) {
	return map[string]func(t *testing.T, url string){
		"nobody": func(*testing.T, string) {},
		"an answer that nobody fetches": func(t *testing.T, url string) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			offerTo(t, ctx, url, anOffer(t))
		},
		"ICE that never connects": func(t *testing.T, url string) {
			if status, body := offerTo(t, t.Context(), url, anOffer(t)); status != http.StatusCreated {
				t.Errorf("%d %s", status, body)
			}
		},
		"DTLS that never completes": iceOnly,
		"a wrong fingerprint": func(t *testing.T, url string) {
			p := newPublisher(url, vp8)
			print := regexp.MustCompile(`(a=fingerprint:sha-256 )[0-9A-F:]{5}`)
			p.change = func(offer string) string { return print.ReplaceAllString(offer, "${1}00:00") }
			goLive(t, p)
		},
		"no keyframe": func(t *testing.T, url string) {
			p := newPublisher(url, vp8)
			p.frames = vp8Frames(100, 10)[1:9]
			goLive(t, p)
		},
		"a publisher that freezes": func(t *testing.T, url string) {
			l := goLive(t, newPublisher(url, vp8))
			time.AfterFunc(300*time.Millisecond, l.stop)
		},
	}
}

// iceOnly connects as far as ICE goes and says nothing over it.
func iceOnly(t *testing.T, url string) {
	agent, err := ice.NewAgent(&ice.AgentConfig{
		NetworkTypes: []ice.NetworkType{ice.NetworkTypeUDP4}, IncludeLoopback: true, MulticastDNSMode: ice.MulticastDNSModeDisabled,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.GracefulClose() })
	ufrag, password, err := agent.GetLocalUserCredentials()
	if err != nil {
		t.Fatal(err)
	}
	offer, _ := split(anOffer(t))
	offer = strings.ReplaceAll(offer, attribute(offer, "ice-ufrag"), ufrag)
	offer = strings.ReplaceAll(offer, attribute(offer, "ice-pwd"), password)
	status, answer := offerTo(t, t.Context(), url, offer)
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	if err := agent.OnCandidate(func(ice.Candidate) {}); err != nil {
		t.Fatal(err)
	}
	if err := agent.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	_, theirs := split(answer)
	for _, line := range theirs {
		c, err := ice.UnmarshalCandidate(strings.TrimPrefix(strings.TrimSpace(line), "a=candidate:"))
		if err != nil {
			t.Fatal(err)
		}
		if err := agent.AddRemoteCandidate(c); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := agent.Dial(ctx, attribute(answer, "ice-ufrag"), attribute(answer, "ice-pwd")); err != nil {
		t.Errorf("ICE does not connect: %v", err)
	}
}

// Whatever a publisher does, the next one gets in.
func TestTheNextPublisherGetsIn(t *testing.T) {
	for name, bad := range badPeers() {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("peers", func(t *testing.T) {
				source := newSource(func(c *webrtc.Config) { c.Timeout, c.KeyframeTimeout = time.Second, time.Second })
				url := endpoint(t, source)
				epochs, _ := supervised(t, source)
				bad(t, url)
				newPublisher(url, h264).start(t)
				for began := time.Now(); waitFor(t, "epoch", epochs).Codec != ingest.H264; {
					if time.Since(began) > 10*time.Second {
						t.Fatal("the next one does not get in")
					}
				}
			})
			if err := goleak.Find(before); err != nil {
				t.Errorf("goroutines are left behind: %v", err)
			}
		})
	}
}

// Wherever a session is when the stream is to stop, it stops.
func TestStopsInEveryState(t *testing.T) {
	for name, bad := range badPeers() {
		t.Run(name, func(t *testing.T) {
			source := newSource(nil)
			url := endpoint(t, source)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- source.Run(ctx, func(ingest.Packet) error { return nil }) }()
			bad(t, url)
			<-time.After(300 * time.Millisecond)
			began := time.Now()
			cancel()
			err := waitFor(t, "end", ended)
			if took := time.Since(began); took > 2*time.Second || !errors.Is(err, context.Canceled) {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}

func TestJunkCostsLittle(t *testing.T) {
	source := newSource(nil)
	url := endpoint(t, source)
	_, ended := runInBackground(t, source)
	good := anOffer(t)
	line, _, _ := strings.Cut(good[strings.Index(good, "m=video"):], "\r\n")
	junk := map[string]string{
		"letters":            strings.Repeat("x", webrtc.MaxSDP),
		"lines":              strings.Repeat("a=x\r\n", webrtc.MaxSDP/5),
		"sections":           good + strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 120\r\n", 1000),
		"candidates":         good + strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", 1000),
		"one format, often":  strings.Replace(good, line, line+strings.Repeat(" 120", 20000), 1),
		"sections, at most":  good + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 120\r\n", 30),
		"a line without end": good + "a=" + strings.Repeat("y", 100<<10),
	}
	before := allocated()
	began := time.Now()
	for name, offer := range junk {
		for range 20 {
			if status, body := offerTo(t, t.Context(), url, offer); status != http.StatusBadRequest && status != http.StatusCreated {
				t.Errorf("%s: %d %s", name, status, body)
			}
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%v for %d offers", took, 20*len(junk))
	}
	if grown := allocated() - before; grown > 16<<20 {
		t.Errorf("%d MiB are left of them", grown>>20)
	}
	if len(ended) > 0 {
		t.Errorf("Run ended: %v", <-ended)
	}
}

func allocated() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
