package rtsp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtsp"
	"sightline/internal/testkit"
)

const frameTime = 20 * time.Millisecond

// endless is a camera's scene: keyframes every ten pictures, looped.
func endless() ingest.Source {
	return &ingesttest.Scripted{Stream: "scene", Scripts: []ingesttest.Script{
		{Packets: ingesttest.H264(100, 10, frameTime), Paced: true},
	}}
}

func serve(t *testing.T, config camera.Config) *camera.Server {
	t.Helper()
	if config.Streams == nil {
		config.Streams = map[string]ingest.Source{"gate": endless()}
	}
	server, err := camera.Serve(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func configFor(url string) rtsp.Config {
	config := rtsp.Defaults()
	config.URL = url
	return config
}

func newSource(config rtsp.Config) *rtsp.Source {
	return rtsp.New(config, "gate", slog.New(slog.DiscardHandler))
}

func TestContract(t *testing.T) {
	for _, transport := range []rtsp.Transport{rtsp.Auto, rtsp.UDP} {
		ingesttest.Run(t, ingesttest.Case{Name: string(transport), Live: true, New: func(t *testing.T) ingest.Source {
			config := configFor(serve(t, camera.Config{}).URL("gate"))
			config.Transport = transport
			return newSource(config)
		}})
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for _, digest := range []bool{false, true} {
		server := serve(t, camera.Config{Username: "viewer", Password: "s3cr3t/@:", Digest: digest})
		for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
			config := configFor(server.URL("gate"))
			config.Transport, config.Username, config.Password = transport, "viewer", "s3cr3t/@:"
			if packets, err := read(t, config, 12); err != nil {
				t.Errorf("digest %v over %s: %v after %d packets", digest, transport, err, len(packets))
			}
		}
		inURL := strings.Replace(server.URL("gate"), "rtsp://", "rtsp://viewer:"+url.QueryEscape("s3cr3t/@:")+"@", 1)
		if _, err := read(t, configFor(inURL), 1); err != nil {
			t.Errorf("digest %v with the password in the URL: %v", digest, err)
		}
	}
}

var errEnough = errors.New("enough")

// read takes n packets; it returns the error that came instead.
func read(t *testing.T, config rtsp.Config, n int) ([]ingest.Packet, error) {
	t.Helper()
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var packets []ingest.Packet
	err := newSource(config).Run(ctx, func(p ingest.Packet) error {
		packets = append(packets, p)
		if len(packets) >= n {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return packets, err
}

func TestPackets(t *testing.T) {
	t.Parallel()
	packets, err := read(t, configFor(serve(t, camera.Config{}).URL("gate")), 150) // past a loop's end
	if err != nil {
		t.Fatal(err)
	}
	disposable := 0
	for i, p := range packets {
		switch at := i % 10; {
		case p.Keyframe != (at == 0) || p.Break:
			t.Fatalf("packet %d: keyframe %v, break %v", i, p.Keyframe, p.Break)
		case p.Clock.Source != ingest.ClockRTCP:
			t.Fatalf("packet %d: clock %v, want the sender's reports", i, p.Clock)
		case p.Keyframe && !bytes.HasPrefix(p.Data, append([]byte{0, 0, 0, 1}, ingesttest.SPS...)):
			t.Fatalf("keyframe %d does not begin with its SPS: % x", i, p.Data[:16])
		case cap(p.Data)-len(p.Data) < ingest.PacketPadding:
			t.Fatalf("packet %d: room for %d bytes of padding", i, cap(p.Data)-len(p.Data))
		}
		if delay := p.Received.Sub(p.Captured); delay < -50*time.Millisecond || delay > time.Second {
			t.Fatalf("packet %d: received %v after its capture", i, delay)
		}
		if i > 0 {
			step := p.PTS - packets[i-1].PTS
			if (step - frameTime).Abs() > time.Millisecond {
				t.Fatalf("packet %d comes %v after the one before", i, step)
			}
		}
		if p.Disposable {
			disposable++
		}
	}
	if disposable != 75 {
		t.Errorf("%d disposable packets, want 75", disposable)
	}
}

// Parameter sets that the description alone tells stand before each keyframe.
func TestParameterSetsFromTheDescription(t *testing.T) {
	t.Parallel()
	packets := ingesttest.H264(100, 10, frameTime)
	for i := range packets[1:] { // all but the very first
		if p := &packets[i+1]; p.Keyframe {
			p.Data = p.Data[bytes.LastIndex(p.Data, []byte{0, 0, 0, 1}):]
		}
	}
	server := serve(t, camera.Config{Streams: map[string]ingest.Source{"gate": &ingesttest.Scripted{
		Scripts: []ingesttest.Script{{Packets: packets, Paced: true, Hold: true}},
	}}})
	// The first keyframe makes the description and is gone when a viewer may play.
	got, err := read(t, configFor(server.URL("gate")), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := append(append([]byte{0, 0, 0, 1}, ingesttest.SPS...), append([]byte{0, 0, 0, 1}, ingesttest.PPS...)...)
	if !bytes.HasPrefix(got[0].Data, want) {
		t.Errorf("keyframe begins with % x", got[0].Data[:40])
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	guarded := serve(t, camera.Config{Username: "viewer", Password: "other"})
	open := serve(t, camera.Config{})
	for _, c := range []struct {
		name   string
		url    string
		reason ingest.Reason
	}{
		{"wrong password", guarded.URL("gate"), ingest.ReasonUnauthorized},
		{"no such stream", open.URL("cellar"), ingest.ReasonNotFound},
		{"refused", "rtsp://" + testkit.Refused(t) + "/gate", ingest.ReasonRefused},
		{"silent server", "rtsp://" + mutePort(t) + "/gate", ingest.ReasonTimeout},
		{"black hole", "rtsp://" + fullPort(t) + "/gate", ingest.ReasonTimeout},
	} {
		config := configFor(c.url)
		config.Username, config.Password, config.Timeout = "viewer", secret, 500*time.Millisecond
		_, err := read(t, config, 1)
		if got := ingest.ReasonOf(err); err == nil || got != c.reason {
			t.Errorf("%s: %v has reason %q, want %q", c.name, err, got, c.reason)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "viewer@")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := read(t, configFor(guarded.URL("gate")), 1); ingest.ReasonOf(err) != ingest.ReasonUnauthorized {
		t.Errorf("no password: %v", err)
	}
}

// fullPort answers no attempt to connect: its queue is full.
func fullPort(t *testing.T) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// mutePort accepts connections and says nothing.
func mutePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			go io.Copy(io.Discard, conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// A connection that hangs half made ends with its context all the same.
func TestCancelWhileConnecting(t *testing.T) {
	t.Parallel()
	source := newSource(configFor("rtsp://" + mutePort(t) + "/gate"))
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := source.Run(ctx, func(ingest.Packet) error { return nil }); err != context.DeadlineExceeded {
		t.Errorf("%v, want the context's error", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("ended after %v", took)
	}
}

func TestCameraDies(t *testing.T) {
	server := serve(t, camera.Config{})
	config := configFor(server.URL("gate"))
	seen := 0
	err := newSource(config).Run(context.Background(), func(ingest.Packet) error {
		if seen++; seen == 15 {
			return server.Close()
		}
		return nil
	})
	if ingest.ReasonOf(err) != ingest.ReasonEnded || err == nil {
		t.Errorf("%v after %d packets, want reason ended", err, seen)
	}
}

func TestCameraFallsSilent(t *testing.T) {
	t.Parallel()
	for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
		server := serve(t, camera.Config{Streams: map[string]ingest.Source{"gate": &ingesttest.Scripted{
			Scripts: []ingesttest.Script{{Packets: ingesttest.H264(60, 10, frameTime), Paced: true, Hold: true}},
		}}})
		config := configFor(server.URL("gate"))
		config.Transport, config.Timeout = transport, time.Second
		packets, err := read(t, config, 1000)
		if err == nil || ingest.ReasonOf(err) != ingest.ReasonTimeout || len(packets) == 0 {
			t.Errorf("%s: %v after %d packets, want reason timeout", transport, err, len(packets))
		}
	}
}

func TestNoKeyframe(t *testing.T) {
	t.Parallel()
	packets := ingesttest.H264(1000, 1000, frameTime)
	server := serve(t, camera.Config{Streams: map[string]ingest.Source{"gate": &ingesttest.Scripted{
		Scripts: []ingesttest.Script{{Packets: packets, Paced: true, Hold: true}},
	}}})
	// The one keyframe makes the description and is gone when a viewer may play.
	config := configFor(server.URL("gate"))
	config.KeyframeTimeout = 500 * time.Millisecond
	got, err := read(t, config, 1)
	if err == nil || ingest.ReasonOf(err) != ingest.ReasonNoKeyframe {
		t.Errorf("%v after %d packets, want reason no_keyframe", err, len(got))
	}
}

func TestValidate(t *testing.T) {
	good := configFor("rtsp://viewer:pw@10.0.0.3:554/main?x=1")
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(*rtsp.Config)
		want   string
	}{
		{func(c *rtsp.Config) { c.URL = "http://viewer:s3cr3t@host/" }, "rtsp://"},
		{func(c *rtsp.Config) { c.URL = "rtsp://viewer:s3cr3t%zz@host/" }, "%XX"},
		{func(c *rtsp.Config) { c.URL = "rtsp://viewer:s3cr3t/x@host/" }, "%XX"},
		{func(c *rtsp.Config) { c.URL = "rtsp://viewer:s3cr3t@host:port/" }, "url"},
		{func(c *rtsp.Config) { c.URL = "rtsp:///main" }, "no host"},
		{func(c *rtsp.Config) { c.Transport = "pigeon" }, "pigeon"},
		{func(c *rtsp.Config) { c.Timeout = 0 }, "timeout"},
		{func(c *rtsp.Config) { c.KeyframeTimeout = -1 }, "keyframe_timeout"},
		{func(c *rtsp.Config) { c.Password = "s3cr3t" }, "no username"},
	} {
		bad := good
		c.change(&bad)
		err := bad.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%v does not say %q, or tells the password", err, c.want)
		}
	}
}
