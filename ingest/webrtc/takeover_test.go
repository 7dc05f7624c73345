package webrtc_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/ingest/webrtc"
)

// live is a publisher whose frames arrive.
type live struct {
	*publisher
	peer *pion.PeerConnection
	gone chan struct{} // closed when the other side is found to be gone
	stop context.CancelFunc
	sent chan struct{}
}

// goLive publishes until the test ends or stop is called; the answer must be 201.
func goLive(t *testing.T, p *publisher) *live {
	t.Helper()
	l := &live{publisher: p, gone: make(chan struct{}), sent: make(chan struct{})}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	status, body, peer, track, err := p.connect(ctx)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s %v", status, body, err)
	}
	l.peer = peer
	var once sync.Once
	peer.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s > pion.PeerConnectionStateConnected {
			once.Do(func() { close(l.gone) })
		}
	})
	go func() {
		defer close(l.sent)
		tick := time.NewTicker(frameTime)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
				data := p.frames[i%len(p.frames)].Data
				if p.next != nil {
					data = p.next(i)
				}
				track.WriteSample(sampleOf(data))
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		l.stop()
		<-l.sent
		peer.GracefulClose()
	})
	return l
}

// supervised runs the source again and again, as a pipeline does; the first packet
// of each epoch comes, and the ends of runs.
func supervised(t *testing.T, source *webrtc.Source) (epochs <-chan ingest.Packet, ends <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	began, ended, done := make(chan ingest.Packet, 10), make(chan error, 100), make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			last := ""
			ended <- source.Run(ctx, func(p ingest.Packet) error {
				if p.Epoch != last {
					last = p.Epoch
					began <- p
				}
				return nil
			})
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return began, ended
}

func TestANewPublisherTakesOver(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Token = "t0ken" })
	url := endpoint(t, source)
	epochs, ends := supervised(t, source)
	publish := func() *live {
		p := newPublisher(url, vp8)
		p.token = "t0ken"
		return goLive(t, p)
	}
	first := publish()
	one := waitFor(t, "epoch", epochs).Epoch
	began := time.Now()
	second := publish()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("taking over took %v", took)
	}
	if err := waitFor(t, "end of the first", ends); ingest.ReasonOf(err) != ingest.ReasonEnded || err.Error() != "read the publisher: another publisher took over" {
		t.Errorf("the first session ends with %v", err)
	}
	waitFor(t, "word to the first publisher", first.gone)
	if two := waitFor(t, "epoch", epochs).Epoch; two == one {
		t.Errorf("both have the epoch %s", two)
	}
	for session, want := range map[string]int{first.session: http.StatusNotFound, second.session: http.StatusOK} {
		if status, _, _, err := second.request(t.Context(), http.MethodDelete, session, ""); err != nil || status != want {
			t.Errorf("DELETE: %d %v, want %d", status, err, want)
		}
	}
}

// Whoever has no right to, or cannot, takes nothing over.
func TestABadOfferTakesNothingOver(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Token = "t0ken" })
	url := endpoint(t, source)
	epochs, ends := supervised(t, source)
	p := newPublisher(url, h264)
	p.token = "t0ken"
	first := goLive(t, p)
	waitFor(t, "epoch", epochs)
	stranger, odd := newPublisher(url, vp8), newPublisher(url, none)
	odd.token = "t0ken"
	for p, want := range map[*publisher]int{stranger: http.StatusUnauthorized, odd: http.StatusNotAcceptable} {
		status, _, peer, _, _ := p.connect(t.Context())
		peer.GracefulClose()
		if status != want {
			t.Errorf("%d, want %d", status, want)
		}
	}
	if status, _, _, _ := first.request(t.Context(), http.MethodPost, url, "v=0"); status != http.StatusBadRequest {
		t.Errorf("%d for no offer", status)
	}
	select {
	case err := <-ends:
		t.Errorf("the session ended: %v", err)
	case <-first.gone:
		t.Error("the publisher was sent away")
	case <-time.After(300 * time.Millisecond):
	}
}

// Without a token anybody could be anybody: who sends keeps the stream, and who
// has gone quiet, as a page that was reloaded, loses it.
func TestTakingOverWithoutAToken(t *testing.T) {
	source := newSource(nil)
	url := endpoint(t, source)
	epochs, _ := supervised(t, source)
	first := goLive(t, newPublisher(url, vp8))
	waitFor(t, "epoch", epochs)
	second := newPublisher(url, vp8)
	status, body, peer, _, _ := second.connect(t.Context())
	peer.GracefulClose()
	if status != http.StatusConflict {
		t.Fatalf("a second publisher gets %d %s", status, body)
	}
	first.stop()
	<-first.sent
	goLive(t, newPublisher(url, vp8))
	waitFor(t, "epoch", epochs)
	waitFor(t, "word to the first publisher", first.gone)
}

// Many at once: one is left, and nobody waits for ever.
func TestManyTakeOver(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Token = "t0ken" })
	url := endpoint(t, source)
	supervised(t, source)
	const many = 12
	statuses := make(chan int, many)
	for range many {
		p := newPublisher(url, vp8)
		p.token = "t0ken"
		go func() {
			status, _, peer, _, _ := p.connect(context.Background())
			peer.GracefulClose()
			statuses <- status
		}()
	}
	var got []int
	for range many {
		got = append(got, waitFor(t, "answer", statuses))
	}
	if !slices.Contains(got, http.StatusCreated) || slices.ContainsFunc(got, func(s int) bool {
		return s != http.StatusCreated && s != http.StatusServiceUnavailable
	}) {
		t.Errorf("statuses %v", got)
	}
}
