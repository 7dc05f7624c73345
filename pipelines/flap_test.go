package pipelines

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/camera"
)

// flapper is a camera that dies and returns in its own way.
type flapper struct {
	name, url, keys string
	die, heal       func()
	survives        bool   // it goes on delivering, changed, and stays so
	told            string // what it is said to suffer from, one of these words
	exact           bool   // no picture of it is ever missing while it is well

	sub    *Subscription[ingest.Packet]
	mu     sync.Mutex
	gaps   []string // where pictures are missing
	latest ingest.Packet
}

// follow notes where pictures are missing.
func (f *flapper) follow() {
	for p := range f.sub.C {
		f.mu.Lock()
		if step := p.PTS - f.latest.PTS; f.latest.Epoch == p.Epoch && (step > 110*time.Millisecond || step < 90*time.Millisecond) {
			f.gaps = append(f.gaps, fmt.Sprintf("%v after %v", p.PTS, f.latest.PTS))
		}
		f.latest = p
		f.mu.Unlock()
	}
}

func (f *flapper) missing() (gaps []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gaps, f.gaps = f.gaps, nil
	return gaps
}

// serveClips is a camera with the streams small, large and other.
func serveClips(t *testing.T, listen string) *camera.Server {
	t.Helper()
	streams := map[string]ingest.Source{}
	for _, name := range []string{"small", "large", "other"} {
		streams[name] = loop(t, filepath.Join("testdata", name+".mp4"))
	}
	s, err := camera.Serve(context.Background(), camera.Config{Listen: listen, Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// flappers are the twenty.
func flappers(t *testing.T) []*flapper {
	backend := serveClips(t, "")
	address := strings.TrimSuffix(strings.TrimPrefix(backend.URL("x"), "rtsp://"), "/x")
	var all []*flapper
	rtsp := func(mode, told string, survives bool) {
		c := newChaos(t, address)
		all = append(all, &flapper{
			url: c.url(), keys: "transport: tcp, timeout: 1200ms", told: told, survives: survives, exact: true,
			die: func() { c.set(mode) }, heal: func() { c.set(healthy) },
		})
	}
	rtsp(killed, "refused", false)
	rtsp(refusing, "refused", false)
	rtsp(blackHole, "timeout", false)
	rtsp(halfOpen, "timeout", false)
	rtsp(unauthorized, "unauthorized", false)
	rtsp(truncating, "ended failed damaged", false)
	rtsp(sessionless, "failed ended not_found", false)
	rtsp(endlessSDP, "timeout failed", false)
	rtsp(resized, "ended", true)
	rtsp(recoded, "ended", true)
	rtsp(jumping, "", true)
	rtsp(keyless, "no_keyframe", false)
	rtsp(unknown, "not_found", false)
	rtsp(overworked, "failed refused", false)
	rtsp(dripping, "timeout failed", false)
	rtsp(babbling, "failed ended timeout", false)
	return append(all, udpFlapper(t), publishing(t), motionJPEG(t), shared(t))
}

// udpFlapper is a camera whose program dies, with its media in UDP.
func udpFlapper(t *testing.T) *flapper {
	server := serveClips(t, "")
	address := strings.TrimSuffix(strings.TrimPrefix(server.URL("x"), "rtsp://"), "/x")
	return &flapper{
		url: server.URL("small"), keys: "transport: udp, timeout: 1200ms", told: "refused",
		die: func() { server.Close() }, heal: func() { server = serveClips(t, address) },
	}
}

// motionJPEG is a web camera that stalls in the middle of a picture.
func motionJPEG(t *testing.T) *flapper {
	var stalled atomic.Bool
	picture := jpegPicture(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			if stalled.Load() {
				fmt.Fprintf(w, "--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s", len(picture), picture[:100])
				w.(http.Flusher).Flush()
				<-r.Context().Done() // never again
				return
			}
			fmt.Fprintf(w, "--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(picture), picture)
			w.(http.Flusher).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return &flapper{url: server.URL + "/video", keys: "timeout: 1200ms", told: "timeout", die: func() { stalled.Store(true) }, heal: func() { stalled.Store(false) }}
}

// shared is a file whose share goes away.
func shared(t *testing.T) *flapper {
	dir := t.TempDir()
	path := filepath.Join(dir, "share", "clip.mp4")
	clip, err := os.ReadFile(filepath.Join("testdata", "small.mp4"))
	if err == nil {
		err = errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, clip, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	move := func(from, to string) func() {
		return func() {
			if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
				t.Error(err)
			}
		}
	}
	return &flapper{url: "file:" + path, keys: "loop: true, detect: { fps: 2 }", told: "not_found", die: move("share", "gone"), heal: move("gone", "share")}
}

// TestTwentyCamerasComeBack has half of twenty cameras die, each in its own way,
// and return, while no picture of the others is lost; then the other half.
func TestTwentyCamerasComeBack(t *testing.T) {
	all := flappers(t)
	var text strings.Builder
	text.WriteString("version: 1\nname: flap\ndrain_timeout: 2s\ndetect: { engine: onnxruntime, fps: 2, input: 128x96 }\nquality: { watch: [] }\nweb: { listen: 127.0.0.1:0 }\nsinks: []\nstreams:\n")
	for i, f := range all {
		f.name = fmt.Sprintf("cam-%02d", i)
		fmt.Fprintf(&text, "  %s: { url: '%s', %s }\n", f.name, f.url, f.keys)
	}
	o := parts(t)
	var h heard
	o.OnEvent = h.event
	o.Logger = quietLog()
	p := build(t, text.String(), o)
	publish(t, p, all)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()

	var following sync.WaitGroup
	for _, f := range all {
		f.sub = p.WatchPackets(f.name, 1000)
		following.Go(f.follow)
	}
	eventually(t, 30*time.Second, "all are online", func() bool {
		return p.Summary().Inferred > 40 && len(away(p)) == 0
	})
	for half := range 2 {
		var ill, well []*flapper
		for i, f := range all {
			if i%2 == half {
				ill = append(ill, f)
			} else {
				well = append(well, f)
			}
		}
		flap(t, p, &h, ill, well)
	}
	cancel()
	stopped := time.Now()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > promptly {
		t.Errorf("it took %v to end", took)
	}
	for _, f := range all {
		f.sub.Close()
	}
	following.Wait()
}

// away lists the streams that do not deliver.
func away(p *Pipeline) (names []string) {
	for _, s := range p.Streams() {
		if s.State != "online" || s.Ledger.Inferred == 0 {
			names = append(names, s.Name+" "+s.State)
		}
	}
	return names
}

// flap makes half of the cameras ill for some seconds and looks at both halves.
func flap(t *testing.T, p *Pipeline, h *heard, ill, well []*flapper) {
	t.Helper()
	before := byName(p)
	for _, f := range well {
		f.missing()
	}
	heardBefore := h.len()
	healed := map[string]time.Time{}
	for _, f := range ill {
		f.die()
		if f.survives {
			healed[f.name] = time.Now()
		}
	}
	comeBack(t, p, ill, func(f *flapper) bool { return f.survives }, healed)
	<-time.After(5 * time.Second) // longer than the clip: the loop begins anew and finds no share
	for _, f := range ill {
		if !f.survives {
			f.heal()
			healed[f.name] = time.Now()
		}
	}
	comeBack(t, p, ill, func(f *flapper) bool { return !f.survives }, healed)
	after := byName(p)
	for _, f := range ill {
		codes := h.codes(f.name, heardBefore)
		if f.told != "" && !anyOf(codes, strings.Fields(f.told)) {
			t.Errorf("%s (%s): told %q, want one of %q", f.name, f.url, codes, f.told)
		}
	}
	for _, f := range well {
		b, a := before[f.name], after[f.name]
		if a.Input.Connects != b.Input.Connects {
			t.Errorf("%s was well and was called %d times", f.name, a.Input.Connects-b.Input.Connects)
		}
		if got := f.missing(); len(got) > 0 && f.exact {
			t.Errorf("%s was well and lost pictures: %q", f.name, got)
		}
		for _, reason := range []string{"queue_full", "damaged", "no_keyframe", "no_picture", "shutdown"} {
			if n := a.Ledger.Undecoded[reason] - b.Ledger.Undecoded[reason]; n > 0 {
				t.Errorf("%s was well and lost %d pictures: %s", f.name, n, reason)
			}
		}
		if a.Ledger.Inferred == b.Ledger.Inferred {
			t.Errorf("%s was well and was not inferred", f.name)
		}
	}
}

// comeBack waits for those cameras and measures from when they were well.
func comeBack(t *testing.T, p *Pipeline, ill []*flapper, which func(*flapper) bool, healed map[string]time.Time) {
	t.Helper()
	first := byName(p)
	connected, inferred := map[string]time.Duration{}, map[string]time.Duration{}
	want := 0
	for _, f := range ill {
		if which(f) {
			want++
		}
	}
	limit := time.After(8 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(inferred) < want {
		select {
		case <-tick.C:
		case <-limit:
			for _, f := range ill {
				if s := byName(p)[f.name]; which(f) && inferred[f.name] == 0 {
					t.Errorf("%s (%s) did not come back: %s %+v", f.name, f.url, s.State, s.Reason)
				}
			}
			return
		}
		now := byName(p)
		for _, f := range ill {
			if !which(f) {
				continue
			}
			since := time.Since(healed[f.name])
			if _, ok := connected[f.name]; !ok && now[f.name].Packets > first[f.name].Packets {
				connected[f.name] = since
			}
			if _, ok := inferred[f.name]; !ok && now[f.name].Ledger.Inferred > first[f.name].Ledger.Inferred {
				inferred[f.name] = since
			}
		}
	}
	for _, f := range ill {
		if !which(f) {
			continue
		}
		t.Logf("%s (%s): delivers after %v, inferred after %v", f.name, f.told, connected[f.name].Round(time.Millisecond), inferred[f.name].Round(time.Millisecond))
		if connected[f.name] > 2*time.Second {
			t.Errorf("%s (%s): connected %v after it was well", f.name, f.told, connected[f.name])
		}
		// A picture is inferred every half second.
		if gap := inferred[f.name] - connected[f.name]; gap > 2*time.Second {
			t.Errorf("%s (%s): inferred %v after it was connected", f.name, f.told, gap)
		}
	}
}

func byName(p *Pipeline) map[string]StreamStatus {
	out := map[string]StreamStatus{}
	for _, s := range p.Streams() {
		out[s.Name] = s
	}
	return out
}

func anyOf(have, want []string) bool {
	for _, h := range have {
		for _, w := range want {
			if h == w {
				return true
			}
		}
	}
	return false
}

func (h *heard) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// codes are the reasons told of a stream since the nth event.
func (h *heard) codes(stream string, n int) (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all[n:] {
		if e.Stream == stream && (e.Type == detect.StreamOffline || e.Type == detect.StreamDegraded) {
			out = append(out, e.Data.Reason.Code)
		}
	}
	return out
}
