package webrtc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"
	pion "github.com/pion/webrtc/v3"
	"go.uber.org/goleak"

	"sightline/ingest"
	"sightline/ingest/webrtc"
)

// server is a WHEP server of which the test says what it does.
type server struct {
	*httptest.Server
	deleted atomic.Int64
}

// newServer answers POST with handle, and DELETE on /session.
func newServer(t *testing.T, handle http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", handle)
	mux.HandleFunc("DELETE /session", func(http.ResponseWriter, *http.Request) { s.deleted.Add(1) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) whep() string { return strings.Replace(s.URL, "http", "whep", 1) + "/gate" }

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// created answers 201 with what answer makes of the offer.
func created(answer func(offer string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		offer, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/sdp")
		w.Header().Set("Location", "/session")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, answer(string(offer)))
	}
}

// sends answers offers, and sends those frames that more says, once connected.
func sends(t *testing.T, change func(answer string) string, more func(i int) bool) func(string) string {
	begin := answers(t, vp8, func() {}, paced(&codecs.VP8Payloader{}, data(vp8Frames(100, 10)), more))
	return func(offer string) string { return change(begin(offer)) }
}

func defaultCodecs() *pion.MediaEngine {
	engine := &pion.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		panic(err)
	}
	return engine
}

func always(int) bool         { return true }
func as(answer string) string { return answer }
func bare(answer string) string { // without candidates: the player finds no way
	text, _ := split(answer)
	return text
}

func TestPullAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		handle  http.HandlerFunc
		want    ingest.Reason
		says    string
		deleted int64
	}{
		"401":                   {status(401), ingest.ReasonUnauthorized, "401", 0},
		"403":                   {status(403), ingest.ReasonUnauthorized, "403", 0},
		"404":                   {status(404), ingest.ReasonNotFound, "nobody publishes", 0},
		"409":                   {status(409), ingest.ReasonNotFound, "nobody publishes", 0},
		"405":                   {status(405), ingest.ReasonFailed, "no WHEP endpoint", 0},
		"406":                   {status(406), ingest.ReasonUnsupportedCodec, "no codec that is known", 0},
		"500":                   {status(500), ingest.ReasonFailed, "500", 0},
		"503":                   {status(503, "Retry-After", "1"), ingest.ReasonFailed, "503", 0},
		"504":                   {status(504), ingest.ReasonTimeout, "504", 0},
		"an offer of its own":   {status(406, "Content-Type", "application/sdp", "Location", "/session"), ingest.ReasonFailed, "offer of its own", 1},
		"redirect to nowhere":   {status(307), ingest.ReasonFailed, "without saying where", 0},
		"redirect for ever":     {status(308, "Location", "/gate"), ingest.ReasonFailed, "more than 5 times", 0},
		"201 without an answer": {created(func(string) string { return "" }), ingest.ReasonFailed, "no video", 1},
		"201 with junk":         {created(func(string) string { return strings.Repeat("a=x\r\n", 1<<18) }), ingest.ReasonFailed, "no session description", 1},
		"201 with an offer":     {created(as), ingest.ReasonFailed, "offer of its own", 1},
		"201 without video":     {created(func(string) string { return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" }), ingest.ReasonFailed, "no video", 1},
		"no way to the media":   {created(sends(t, bare, always)), ingest.ReasonTimeout, "no way", 1},
		"nothing is sent":       {created(sends(t, as, func(int) bool { return false })), ingest.ReasonTimeout, "nothing comes", 1},
		"it freezes":            {created(sends(t, as, func(i int) bool { return i < 20 })), ingest.ReasonTimeout, "nothing comes any more", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.handle)
			p := newPuller(s.whep()+"?token=s3cret", func(c *webrtc.PullConfig) { c.Timeout = time.Second })
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			err := p.Run(ctx, func(ingest.Packet) error { return nil })
			if err == nil || ingest.ReasonOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (reason %s), want reason %s and %q", err, ingest.ReasonOf(err), c.want, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v shows a secret", err)
			}
			if got := s.deleted.Load(); got != c.deleted {
				t.Errorf("%d sessions were deleted, want %d", got, c.deleted)
			}
		})
	}
}

func TestPullFromNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	impatient := func(c *webrtc.PullConfig) { c.Timeout = 300 * time.Millisecond }
	wantReason(t, newPuller("whep://"+l.Addr().String()+"/gate", impatient), ingest.ReasonTimeout, "") // accepts, says nothing
	l.Close()
	wantReason(t, newPuller("whep://"+l.Addr().String()+"/gate", nil), ingest.ReasonRefused, "refused")
	wantReason(t, newPuller("whep://"+l.Addr().String()+"/gate", func(c *webrtc.PullConfig) { c.TLS.CA = "nowhere.pem" }), ingest.ReasonFailed, "tls: ca: ")
}

// Credentials are for the host that they were given for.
func TestPullRedirects(t *testing.T) {
	var shown []string
	see := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			shown = append(shown, r.Header.Get("Authorization"))
			next(w, r)
		}
	}
	last := newServer(t, see(created(sends(t, as, always))))
	first := newServer(t, status(500))
	first.Config.Handler = see(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gate" {
			status(307, "Location", "/moved")(w, r)
		} else {
			status(308, "Location", last.URL+"/elsewhere")(w, r)
		}
	})
	pull(t, newPuller(first.whep(), func(c *webrtc.PullConfig) { c.Token = "t0ken" }), 5)
	if len(shown) != 3 || shown[0] != "Bearer t0ken" || shown[1] != "Bearer t0ken" || shown[2] != "" {
		t.Errorf("credentials shown: %q", shown)
	}
	if last.deleted.Load() != 1 {
		t.Errorf("%d sessions were deleted", last.deleted.Load())
	}
}

// What a server has us delete is its own.
func TestPullDeletesNothingElsewhere(t *testing.T) {
	elsewhere := newServer(t, status(500))
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", elsewhere.URL+"/session")
		w.WriteHeader(http.StatusCreated)
	})
	wantReason(t, newPuller(s.whep(), nil), ingest.ReasonFailed, "no video")
	if n := elsewhere.deleted.Load(); n != 0 {
		t.Errorf("%d requests to delete were sent to another host", n)
	}
}

// A server that wants to be left alone for a while is, but not for long.
func TestPullRetryAfter(t *testing.T) {
	for after, want := range map[string]time.Duration{"1": time.Second, "3600": 2 * time.Second, "": 0} {
		var asked []time.Time
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, time.Now())
			status(503, "Retry-After", after)(w, r)
		})
		p := newPuller(s.whep(), nil)
		for range 2 {
			wantReason(t, p, ingest.ReasonFailed, "503")
		}
		if waited := asked[1].Sub(asked[0]); waited < want-50*time.Millisecond || waited > want+time.Second {
			t.Errorf("Retry-After %q: asked again after %v", after, waited)
		}
	}
}

// Wherever a pull is when it is to stop, it stops, and leaves nothing behind.
func TestPullStops(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or the server would not see the player go
		<-r.Context().Done()
	}
	sending := func(change func(string) string, more func(int) bool) func(*testing.T) http.HandlerFunc {
		return func(t *testing.T) http.HandlerFunc { return created(sends(t, change, more)) }
	}
	for name, handle := range map[string]func(*testing.T) http.HandlerFunc{
		"while asking":              func(*testing.T) http.HandlerFunc { return hang },
		"while connecting":          sending(bare, always),
		"before a keyframe":         sending(as, func(i int) bool { return i%10 != 0 }),
		"while reading":             sending(as, always),
		"while being asked to wait": func(*testing.T) http.HandlerFunc { return status(503, "Retry-After", "100") },
		"while the server does not let go": func(t *testing.T) http.HandlerFunc {
			begin := sending(as, always)(t)
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					hang(w, r)
				} else {
					begin(w, r)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("pull", func(t *testing.T) {
				h := handle(t)
				s := newServer(t, h)
				if strings.Contains(name, "let go") {
					s.Config.Handler = h
				}
				p := newPuller(s.whep(), nil)
				if strings.Contains(name, "wait") {
					p.Run(t.Context(), nil)
				}
				ctx, cancel := context.WithCancel(context.Background())
				began := time.Now()
				timer := time.AfterFunc(700*time.Millisecond, cancel)
				defer timer.Stop()
				err := p.Run(ctx, func(ingest.Packet) error { return nil })
				if took := time.Since(began) - 700*time.Millisecond; took > 2*time.Second || took < 0 || !errors.Is(err, context.Canceled) {
					t.Errorf("%v after %v", err, took)
				}
			})
			if err := goleak.Find(before); err != nil {
				t.Errorf("goroutines are left behind: %v", err)
			}
		})
	}
}

func TestPullValidate(t *testing.T) {
	for url, says := range map[string]string{
		"whep://host/gate": "", "wheps://[::1]:8443/gate?x=1": "",
		"http://host/gate": "want whep://", "whep:///gate": "without a host", "whep://user:s3cret@host:port/": "not a valid",
	} {
		config := webrtc.PullDefaults()
		config.URL = url
		if err := config.Validate(); (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v, want %q", url, err, says)
		}
	}
}
