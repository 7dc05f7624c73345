package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/file"
	"sightline/ingest/onvif/onviftest"
	"sightline/internal/testkit"
	"sightline/pipelines/spec"
)

const secret = "hunter2<&>"

// loaded is the stream of a printed pipeline file, by the project's own loader.
func loaded(t *testing.T, yaml string) spec.Stream {
	t.Helper()
	env := func(name string) (string, bool) { return secret, name == passwordVariable }
	sp, err := spec.Parse("printed.yaml", []byte(yaml), nil, env)
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	if len(sp.Streams) != 1 {
		t.Fatalf("%d streams in\n%s", len(sp.Streams), yaml)
	}
	return sp.Streams[0]
}

// probeJSON runs probe --json and reads its answer.
func probeJSON[T any](t *testing.T, args ...string) (r T) {
	t.Helper()
	got := sightline(append([]string{"probe", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.out), &r); got.code != exitDone || err != nil {
		t.Fatalf("%q: exit %d, %v:\n%s%s", args, got.code, err, got.out, got.errOut)
	}
	if strings.Contains(got.out+got.errOut, "hunter2") {
		t.Errorf("%q: the password shows:\n%s%s", args, got.out, got.errOut)
	}
	return r
}

func moving(t *testing.T, name string, args ...string) string {
	t.Helper()
	return testkit.Clip(t, name, append([]string{"-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=4", "-pix_fmt", "yuv420p"}, args...)...)
}

func TestProbeFile(t *testing.T) {
	path := moving(t, "it's a clip.mp4", "-c:v", "libx264", "-g", "20", "-bf", "2", "-sc_threshold", "0", "-b_strategy", "0", "-profile:v", "high", "-level", "3.1", "-x264-params", "b-pyramid=none")
	r := probeJSON[streamReport](t, path)
	if r.Codec != "h264" || r.Profile != "High 3.1" || r.Width != 320 || r.Height != 240 || r.FPS != 25 || r.GOP != 20 || r.GOPS != .8 ||
		!r.BFrames || r.NonReference < .5 || r.NonReference > .7 || r.Clock.Source != ingest.ClockFile || r.Lost != 0 || r.Damaged != 0 || r.DecodeError != "" {
		t.Errorf("%+v", r)
	}
	// Two groups and two seconds are enough.
	if r.Pictures < 41 || r.Pictures > 61 || r.Decoded != r.Pictures || r.DecodeCPUMs <= 0 || r.Bitrate < 10_000 || len(r.Advice) != 0 {
		t.Errorf("%+v", r)
	}
	if st := loaded(t, r.YAML); st.Kind != spec.File || st.Path != path || st.Name != "it-s-a-clip" {
		t.Errorf("%+v", st)
	}
	got := sightline("probe", moving(t, "h265.mkv", "-c:v", "libx265", "-x265-params", "log-level=none:keyint=300"))
	for _, part := range []string{"codec       hevc Main ", "size        320×240", "rate        25 pictures a second", "no second one in", "A pipeline file for it:", "Advice\n  - H.265"} {
		if got.code != exitDone || !strings.Contains(got.out, part) {
			t.Errorf("exit %d, no %q in\n%s%s", got.code, part, got.out, got.errOut)
		}
	}
}

// TestProbeCamera looks at a camera that asks for a password.
func TestProbeCamera(t *testing.T) {
	path := moving(t, "clip.mp4", "-c:v", "libx264", "-g", "25", "-bf", "0", "-sc_threshold", "0")
	source, err := file.New(file.Config{Path: path, Pace: file.Realtime, Loop: true}, "gate", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server, err := camera.Serve(context.Background(), camera.Config{Username: "viewer", Password: secret, Streams: map[string]ingest.Source{"gate": source}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	url := server.URL("gate")
	r := probeJSON[streamReport](t, url, "--username", "viewer", "--password", secret, "--for", "3s")
	if r.Codec != "h264" || r.Width != 320 || r.FPS < 24 || r.FPS > 26 || r.GOP != 25 || r.BFrames || r.Clock.Source != ingest.ClockRTCP ||
		!strings.EqualFold(r.Transport, "tcp") || r.Lost != 0 || r.Decoded < 50 || r.FirstKeyframeS <= 0 || r.Kind != "rtsp" {
		t.Errorf("%+v", r)
	}
	if st := loaded(t, r.YAML); st.URL != url || st.Username != "viewer" || st.Password.Reveal() != secret || st.Name != "gate" {
		t.Errorf("%+v of\n%s", st, r.YAML)
	}
	// The same with the password inside the URL.
	withLogin := strings.Replace(url, "rtsp://", "rtsp://viewer:hunter2%3C%26%3E@", 1)
	if st := loaded(t, probeJSON[streamReport](t, withLogin, "--for", "1s").YAML); st.URL != url || st.Password.Reveal() != secret {
		t.Errorf("%+v", st)
	}
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"wrong password": {[]string{url, "--username", "viewer", "--password", "hunter2x"}, []string{"unauthorized: rtsp://", "not taken there"}},
		"no password":    {[]string{url}, []string{"unauthorized: ", passwordVariable}},
		"another path":   {[]string{url + "x", "--username", "viewer", "--password", secret}, []string{"not_found: ", "sightline probe HOST"}},
	} {
		got := sightline(append([]string{"probe"}, c.args...)...)
		for _, part := range c.says {
			if got.code != exitNothing || got.out != "" || !strings.Contains(got.errOut, part) || strings.Contains(got.errOut, "hunter2") {
				t.Errorf("%s: exit %d, no %q in %q, or the password", name, got.code, part, got.errOut)
			}
		}
	}
}

func TestProbeONVIF(t *testing.T) {
	modern := onviftest.Serve(t, onviftest.Modern)
	host := strings.TrimPrefix(modern.URL, "http://")
	login := []string{"--username", onviftest.Username, "--password", onviftest.Password}
	r := probeJSON[deviceReport](t, append(login, host)...)
	if r.Manufacturer != "Acme" || len(r.Profiles) != 2 || r.Profiles[0].Codec != ingest.H265 || r.Profiles[1].Snapshot != modern.URL+"/snap.jpg" || r.ClockAheadS < 10000 || len(r.Advice) != 3 {
		t.Errorf("%+v", r)
	}
	if strings.Contains(r.YAML, onviftest.Password) {
		t.Errorf("the password shows:\n%s", r.YAML)
	}
	st := loaded(t, r.YAML)
	if st.Name != "acme-dome-co-4" || st.Title != "Acme Dome & Co 4" || st.Username != onviftest.Username || st.Password.Reveal() != secret || st.URLs == nil ||
		st.URLs.Main.URL != "rtsp://127.0.0.1:554/P1?transport=unicast&x=1" || st.URLs.Sub.URL != "rtsp://127.0.0.1:554/P2?transport=unicast&x=1" || !st.FromSub() {
		t.Errorf("%+v of\n%s", st, r.YAML)
	}
	got := sightline(append([]string{"probe", modern.URL}, login...)...)
	for _, part := range []string{"Acme Dome & Co 4, firmware V5.5", "main: hevc, 2688×1520, 25 pictures a second, at most 4.1 Mbit/s, a keyframe every 250 pictures", "the camera's clock is 3h0m0s from", "every 10 s"} {
		if got.code != exitDone || !strings.Contains(got.out, part) || strings.Contains(got.out, onviftest.Password) {
			t.Errorf("exit %d, no %q in\n%s%s", got.code, part, got.out, got.errOut)
		}
	}
	// A password of the camera's own in an address is no more shown than ours.
	old := onviftest.Serve(t, onviftest.Old)
	r = probeJSON[deviceReport](t, append(login, old.URL+"/onvif/device_service")...)
	if st := loaded(t, r.YAML); st.URLs != nil || st.URL != "rtsp://127.0.0.1/cam/realmonitor?channel=1&subtype=0&unicast=true&password="+secret || st.Title != "IPC-B12" {
		t.Errorf("%+v of\n%s", st, r.YAML)
	}
	got = sightline("probe", old.URL, "--username", "viewer", "--password", "hunter2")
	if got.code != exitNothing || !strings.Contains(got.errOut, "unauthorized: http://") || strings.Contains(got.errOut, "hunter2") {
		t.Errorf("exit %d, %q", got.code, got.errOut)
	}
}

// TestProbeAround looks for cameras without naming one.
func TestProbeAround(t *testing.T) {
	s, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buffer := make([]byte, 4096); ; {
			_, from, err := s.ReadFrom(buffer)
			if err != nil {
				return
			}
			fmt.Fprintf(writerTo{s, from}, `<Envelope><Body><ProbeMatches><ProbeMatch><Scopes>onvif://www.onvif.org/name/Acme%%20Dome</Scopes><XAddrs>http://10.0.0.3/onvif/device_service</XAddrs></ProbeMatch></ProbeMatches></Body></Envelope>`)
		}
	}()
	defer func() { s.Close(); <-done }()
	var out bytes.Buffer
	sh := &shell{out: &out, err: io.Discard}
	p := probing{timeout: 300 * time.Millisecond}
	if err := p.discover(t.Context(), sh, s.LocalAddr().String()); err != nil || !strings.HasPrefix(out.String(), "http://10.0.0.3                  Acme Dome\n\nNext: sightline probe http://10.0.0.3 ") {
		t.Errorf("%v, %q", err, out.String())
	}
	out.Reset()
	p.asJSON = true
	var list []cameraReport
	if err := p.discover(t.Context(), sh, s.LocalAddr().String()); err != nil || json.Unmarshal(out.Bytes(), &list) != nil || len(list) != 1 || list[0].Name != "Acme Dome" {
		t.Errorf("%v, %q", err, out.String())
	}
	if err := p.discover(t.Context(), sh, "127.0.0.1:9"); err == nil || !strings.Contains(err.Error(), "no ONVIF camera answered") {
		t.Errorf("nobody there: %v", err)
	}
}

// writerTo writes datagrams.
type writerTo struct {
	net.PacketConn
	to net.Addr
}

func (w writerTo) Write(b []byte) (int, error) { return w.WriteTo(b, w.to) }

// TestProbeHTTP finds Motion JPEG where a camera's web server might be, and tells
// a page from pictures.
func TestProbeHTTP(t *testing.T) {
	still, err := os.ReadFile(testkit.Clip(t, "a.jpg", "-f", "lavfi", "-i", "testsrc=size=64x48", "-frames:v", "1", "-update", "1"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet:
			http.Error(w, "no", http.StatusMethodNotAllowed)
		case r.URL.Path == "/page":
			w.Header().Set("Content-Type", "text/html")
		default:
			w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
			for r.Context().Err() == nil {
				fmt.Fprintf(w, "--b\r\n\r\n%s\r\n", still)
				w.(http.Flusher).Flush()
				<-time.After(20 * time.Millisecond)
			}
		}
	}))
	defer server.Close()
	r := probeJSON[streamReport](t, server.URL, "--for", "500ms")
	if r.Codec != ingest.MJPEG || r.Width != 64 || r.Keyframes != r.Pictures || r.FPS < 10 || r.Clock.Source != ingest.ClockArrival || len(r.Advice) != 1 {
		t.Errorf("%+v", r)
	}
	if st := loaded(t, r.YAML); st.Kind != spec.HTTP || st.URL != server.URL {
		t.Errorf("%+v", st)
	}
	if got := sightline("probe", server.URL+"/page?password=hunter2"); got.code != exitNothing || !strings.Contains(got.errOut, "a web page") || strings.Contains(got.errOut, "hunter2") {
		t.Errorf("exit %d, %q", got.code, got.errOut)
	}
	dir := t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jpg", i)), still, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = probeJSON[streamReport](t, dir)
	if st := loaded(t, r.YAML); st.Kind != spec.Images || st.Path != dir || r.Pictures != 3 || r.FPS != 1 {
		t.Errorf("%+v of %+v", st, r)
	}
	if r = probeJSON[streamReport](t, "pattern:320x240@50", "--for", "200ms"); r.FPS < 49 || r.FPS > 51 || r.Codec != "rawvideo" || loaded(t, r.YAML).Kind != spec.Pattern {
		t.Errorf("%+v", r)
	}
}

func TestProbeNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, as the system does, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	empty := writeFile(t, "")
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{closed, exitNothing, []string{"refused: http://" + closed, "check host and port"}},
		{"rtsp://viewer:hunter2@" + closed + "/x", exitNothing, []string{"refused: rtsp://", "check host and port"}},
		{"http://" + closed + "/x.mjpg", exitNothing, []string{"refused: http://"}},
		{"--timeout 200ms " + silent.Addr().String(), exitNothing, []string{"timeout: ", "--timeout waits longer"}},
		{"--timeout 200ms rtsp://" + silent.Addr().String() + "/x", exitNothing, []string{"timeout: "}},
		{"no-such-file.mp4", exitNothing, []string{"not_found: ", "no such file"}},
		{empty, exitNothing, []string{"damaged: ", "empty"}},
		{"whip://", exitNothing, []string{"published to"}},
		{"gopher://h/x", exitNothing, []string{"unknown kind of address"}},
		{"--for 0s pattern:", exitUsage, []string{"above 0"}},
		{"a b", exitUsage, []string{"accepts at most 1 arg"}},
	} {
		got := sightline(append([]string{"probe"}, strings.Fields(c.args)...)...)
		for _, part := range c.says {
			if got.code != c.code || got.out != "" || !strings.Contains(got.errOut, part) || strings.Contains(got.errOut, "hunter2") {
				t.Errorf("%s: exit %d, want %d and %q: %q", c.args, got.code, c.code, part, got.errOut)
			}
		}
	}
}

// TestProbeEcho looks at a server that repeats what it is asked.
func TestProbeEcho(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			question := make([]byte, 1024)
			n, _ := conn.Read(question)
			conn.Write(question[:n])
			conn.Close()
		}
	}()
	got := sightline("probe", "http://"+l.Addr().String()+"/video?password=hunter2")
	if got.code != exitNothing || !strings.Contains(got.errOut, "/video?password=***") || strings.Contains(got.out+got.errOut, "hunter2") {
		t.Errorf("exit %d:\n%s%s", got.code, got.out, got.errOut)
	}
}
