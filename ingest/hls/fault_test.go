package hls

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

// write replaces a file of a recording's folder.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDates takes capture times from the playlist to the millisecond.
func TestDates(t *testing.T) {
	dir := recording(t)
	dated := strings.Replace(text(t, dir, "live.m3u8"), "#EXTINF", "#EXT-X-PROGRAM-DATE-TIME:2024-02-03T04:05:06.500+0100\n#EXTINF", 1)
	write(t, dir, "live.m3u8", dated)
	packets, err := ingesttest.Read(t, source(serve(t, dir)), 0)
	if err != nil || len(packets) != 75 {
		t.Fatalf("%d pictures, error %v", len(packets), err)
	}
	start := time.Date(2024, 2, 3, 3, 5, 6, 500e6, time.UTC)
	for i, p := range packets {
		if off := p.Captured.Sub(start.Add(p.PTS)); off.Abs() > time.Millisecond || p.Clock.Source != ingest.ClockPlaylist {
			t.Errorf("packet %d at %v: captured %v, by %s", i, p.PTS, p.Captured, p.Clock.Source)
		}
	}
}

// TestDiscontinuity goes on where two recordings follow each other whose times
// have nothing in common.
func TestDiscontinuity(t *testing.T) {
	dir, other := recording(t), recording(t, "-output_ts_offset", "1000")
	for i := range 3 {
		write(t, dir, fmt.Sprintf("other%d.ts", i), text(t, other, fmt.Sprintf("live%d.ts", i)))
	}
	list := strings.Replace(text(t, dir, "live.m3u8"), "#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY\n#EXTINF:1,\nother0.ts\n#EXTINF:1,\nother1.ts\n#EXT-X-ENDLIST", 1)
	write(t, dir, "live.m3u8", list)
	packets, err := ingesttest.Read(t, source(serve(t, dir)), 0)
	if err != nil || len(packets) != 125 {
		t.Fatalf("%d pictures, error %v", len(packets), err)
	}
	for i, p := range packets {
		if p.PTS != time.Duration(i)*40*time.Millisecond || p.Break {
			t.Errorf("packet %d at %v, break %v", i, p.PTS, p.Break)
		}
	}
}

// TestMissingSegment passes over what is not there, says so, and keeps time.
func TestMissingSegment(t *testing.T) {
	for name, damage := range map[string]func(dir string){
		"not found": func(dir string) { os.Remove(filepath.Join(dir, "live1.ts")) },
		"empty":     func(dir string) { os.Truncate(filepath.Join(dir, "live1.ts"), 0) },
		"gap": func(dir string) {
			write(t, dir, "live.m3u8", strings.Replace(text(t, dir, "live.m3u8"), "live1.ts", "#EXT-X-GAP\nlive1.ts", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := recording(t)
			damage(dir)
			packets, err := ingesttest.Read(t, source(serve(t, dir)), 0)
			if err != nil || len(packets) != 50 {
				t.Fatalf("%d pictures, error %v", len(packets), err)
			}
			for i, p := range packets {
				if p.Break != (i == 25) {
					t.Errorf("packet %d at %v: break %v", i, p.PTS, p.Break)
				}
			}
			if packets[25].PTS != 2*time.Second {
				t.Errorf("goes on at %v", packets[25].PTS)
			}
		})
	}
}

// TestCutSegment takes the pictures that are whole.
func TestCutSegment(t *testing.T) {
	dir := recording(t)
	whole := text(t, dir, "live1.ts")
	write(t, dir, "live1.ts", whole[:len(whole)/2])
	packets, err := ingesttest.Read(t, source(serve(t, dir)), 0)
	if err != nil || len(packets) < 51 || len(packets) >= 75 {
		t.Errorf("%d pictures, error %v", len(packets), err)
	}
}

func TestEncrypted(t *testing.T) {
	key := t.TempDir()
	write(t, key, "secret.key", "0123456789abcdef")
	for name, iv := range map[string]string{"iv": "000102030405060708090a0b0c0d0e0f\n", "number": ""} {
		t.Run(name, func(t *testing.T) {
			write(t, key, "info", "secret.key\n"+filepath.Join(key, "secret.key")+"\n"+iv)
			dir := recording(t, "-hls_key_info_file", filepath.Join(key, "info"))
			write(t, dir, "secret.key", "0123456789abcdef")
			packets, err := ingesttest.Read(t, source(serve(t, dir)), 0)
			if err != nil || len(packets) != 75 {
				t.Errorf("%d pictures, error %v", len(packets), err)
			}
		})
	}
	dir := recording(t)
	list := strings.Replace(text(t, dir, "live.m3u8"), "#EXTINF", "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF", 1)
	write(t, dir, "live.m3u8", list)
	if _, err := ingesttest.Read(t, source(serve(t, dir)), 1); ingest.ReasonOf(err) != ingest.ReasonUnsupportedCodec || !strings.Contains(err.Error(), "SAMPLE-AES") {
		t.Errorf("SAMPLE-AES: %v", err)
	}
}

// TestVariants takes the largest picture.
func TestVariants(t *testing.T) {
	dir := recording(t)
	write(t, dir, "all.m3u8", "#EXTM3U\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS=\"mp4a.40.2\"\nsound.m3u8\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=8000000,RESOLUTION=160x90,CODECS=\"avc1.64001f,mp4a.40.2\"\nsmall.m3u8\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=160x120\nlive.m3u8\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=160x120\nslow.m3u8\n")
	url := strings.Replace(serve(t, dir), "live.m3u8", "all.m3u8", 1)
	if packets, err := ingesttest.Read(t, source(url), 10); err != nil {
		t.Errorf("%d pictures, error %v", len(packets), err)
	}
}

// TestGoneSegments falls behind and comes back to the edge.
func TestGoneSegments(t *testing.T) {
	dir := recording(t)
	var asked atomic.Int32
	url := handle(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".m3u8") {
			http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
			return
		}
		first, file := 7, 0 // the second time, six segments have gone by
		if asked.Add(1) > 1 {
			first, file = 14, 2
		}
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:1,\nlive%d.ts\n", first, file)
	}))
	packets, err := ingesttest.Read(t, source(url), 50)
	if err != nil {
		t.Fatalf("%d pictures, error %v", len(packets), err)
	}
	for i, p := range packets {
		if p.Break != (i == 25) {
			t.Errorf("packet %d at %v: break %v", i, p.PTS, p.Break)
		}
	}
}

func TestFailures(t *testing.T) {
	dir := recording(t)
	sound := t.TempDir()
	write(t, sound, "live.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"+strings.Repeat("#EXTINF:1,\na.ts\n", 3)+"#EXT-X-ENDLIST\n")
	write(t, sound, "a.ts", "nothing of the kind")
	status := func(code int) func(*testing.T) string {
		return func(t *testing.T) string {
			return handle(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		}
	}
	answer := func(list string) func(*testing.T) string {
		return func(t *testing.T) string {
			return handle(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, list) }))
		}
	}
	for _, c := range []struct {
		name   string
		url    func(*testing.T) string
		reason ingest.Reason
		want   string
	}{
		{"refused", func(t *testing.T) string {
			server := httptest.NewServer(nil)
			server.Close()
			return server.URL + "/live.m3u8"
		}, ingest.ReasonRefused, "refused"},
		{"not found", status(404), ingest.ReasonNotFound, "404"},
		{"unauthorized", status(401), ingest.ReasonUnauthorized, "401"},
		{"silent", func(t *testing.T) string {
			return handle(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		}, ingest.ReasonTimeout, "no answer within 1s"},
		{"not a playlist", answer("<html>"), ingest.ReasonFailed, "not an HLS playlist"},
		{"circles", answer("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n"), ingest.ReasonFailed, "in circles"},
		{"other protocols", answer("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfile:///etc/passwd\n"), ingest.ReasonFailed, "not an address of http"},
		{"stale", func(t *testing.T) string {
			list := strings.Replace(text(t, dir, "live.m3u8"), "#EXT-X-ENDLIST", "", 1)
			list = strings.Replace(list, "#EXT-X-PLAYLIST-TYPE:VOD", "", 1)
			return handle(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, ".m3u8") {
					fmt.Fprint(w, list)
					return
				}
				http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
			}))
		}, ingest.ReasonTimeout, "no new segment for 3s"},
		{"no segment there", answer("#EXTM3U\n#EXT-X-TARGETDURATION:1\n" + strings.Repeat("#EXTINF:1,\nfile:///a.ts\n", 3) + "#EXT-X-ENDLIST\n"), ingest.ReasonFailed, "not an address of http"},
		{"no video", func(t *testing.T) string { return serve(t, sound) }, ingest.ReasonUnsupportedCodec, "no video"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := source(strings.Replace(c.url(t), "http://", "http://viewer:geheim@", 1) + "?token=geheim")
			s.config.Timeout = time.Second
			_, err := ingesttest.Read(t, s, 0)
			if ingest.ReasonOf(err) != c.reason || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%v is %s, want %s %q", err, ingest.ReasonOf(err), c.reason, c.want)
			}
		})
	}
}

// TestLogin gives name and password to the server, and to no other.
func TestLogin(t *testing.T) {
	dir := recording(t)
	var told atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told.Store(told.Load() || r.Header.Get("Authorization") != "")
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		if _, _, ok := r.BasicAuth(); strings.Contains(r.URL.Path, "live1") && !ok {
			w.WriteHeader(401)
			return
		}
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
	}))
	t.Cleanup(other.Close)
	list := strings.ReplaceAll(text(t, dir, "live.m3u8"), "live0.ts", other.URL+"/live0.ts")
	url := handle(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "viewer" || password != "geheim" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(401)
			return
		}
		fmt.Fprint(w, list)
	}))
	s := source("hls+" + url)
	s.config.Username, s.config.Password = "viewer", "geheim"
	if packets, err := ingesttest.Read(t, s, 20); err != nil || told.Load() {
		t.Errorf("%d pictures, error %v, told another server: %v", len(packets), err, told.Load())
	}
}

// TestCancel ends within two seconds whatever the server does.
func TestCancel(t *testing.T) {
	dir := recording(t)
	hang := func(when string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, when) {
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
		})
	}
	for _, when := range []string{"live.m3u8", "live0.ts", "live2.ts"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			began := time.Now()
			err := source(handle(t, hang(when))).Run(ctx, func(ingest.Packet) error { return nil })
			if took := time.Since(began); err != context.Canceled || took > 2500*time.Millisecond {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}

// TestPatience waits for long segments, and for none that last for hours.
func TestPatience(t *testing.T) {
	for _, c := range []struct{ target, want time.Duration }{
		{0, 10 * time.Second}, {2 * time.Second, 10 * time.Second}, {6 * time.Second, 18 * time.Second},
		{time.Minute, 3 * time.Minute}, {2 * time.Hour, 3 * time.Minute},
	} {
		if got := patience(10*time.Second, c.target); got != c.want {
			t.Errorf("of segments of %v: %v, want %v", c.target, got, c.want)
		}
	}
}
