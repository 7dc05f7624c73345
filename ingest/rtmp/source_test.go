package rtmp

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

func TestContract(t *testing.T) {
	ingesttest.Run(t, ingesttest.Case{Name: "nginx", Live: true, New: func(t *testing.T) ingest.Source {
		url := "rtmp://" + nginx(t) + "/live/cam"
		publish(t, url)
		return source(url)
	}})
}

func TestStreams(t *testing.T) {
	for name, args := range map[string][]string{
		"baseline": nil, "B-frames": {"-preset", "veryfast", "-bf", "2"}, "no sound": {"-an"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "rtmp://" + nginx(t) + "/live/cam"
			publish(t, url, args...)
			packets, err := ingesttest.Read(t, source(url), 60)
			if err != nil {
				t.Fatalf("%v after %d packets", err, len(packets))
			}
			check(t, packets)
		})
	}
	// FFmpeg's own server shares no code with nginx's.
	t.Run("ffmpeg as server", func(t *testing.T) {
		t.Parallel()
		url := "rtmp://" + freePort(t) + "/live/cam"
		publish(t, url, "-listen", "1")
		var packets []ingest.Packet
		var err error
		for deadline := time.Now().Add(10 * time.Second); ; <-time.After(100 * time.Millisecond) {
			if packets, err = ingesttest.Read(t, source(url), 60); ingest.ReasonOf(err) != ingest.ReasonRefused || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			t.Fatalf("%v after %d packets", err, len(packets))
		}
		check(t, packets)
	})
}

// check looks at pictures of the test publisher.
func check(t *testing.T, packets []ingest.Packet) {
	t.Helper()
	keyframes := 0
	var longest time.Duration
	for i, p := range packets {
		if p.Codec != ingest.H264 || p.Break || p.Clock.Source != ingest.ClockArrival {
			t.Errorf("packet %d: codec %s, break %v, clock %s", i, p.Codec, p.Break, p.Clock.Source)
		}
		if p.Keyframe {
			keyframes++
		}
		longest = max(longest, p.PTS)
	}
	if want := time.Duration(len(packets)-1) * 40 * time.Millisecond; (longest - want).Abs() > 200*time.Millisecond {
		t.Errorf("%d pictures take %v, want %v", len(packets), longest, want)
	}
	if keyframes != (len(packets)+24)/25 {
		t.Errorf("%d keyframes in %d pictures of 25 a second", keyframes, len(packets))
	}
}

// encrypted puts TLS in front of a server and returns its address and the
// certificate's file.
func encrypted(t *testing.T, server string) (address, ca string) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				onward, err := net.Dial("tcp", server)
				if err != nil {
					conn.Close()
					return
				}
				splice(conn, onward)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String(), ca
}

func TestTLS(t *testing.T) {
	server := nginx(t)
	publish(t, "rtmp://"+server+"/live/cam")
	address, ca := encrypted(t, server)
	s := source("rtmps://" + address + "/live/cam")
	if _, err := ingesttest.Read(t, s, 1); ingest.ReasonOf(err) != ingest.ReasonUntrusted || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	for name, trust := range map[string]ingest.TLS{"ca": {CA: ca}, "insecure": {Insecure: true}} {
		s.config.TLS = trust
		if packets, err := ingesttest.Read(t, s, 10); err != nil {
			t.Errorf("%s: %v after %d packets", name, err, len(packets))
		}
	}
	s.config.TLS = ingest.TLS{CA: "no-such-file"}
	if _, err := ingesttest.Read(t, s, 1); err == nil || !strings.Contains(err.Error(), "tls: ca: open no-such-file") {
		t.Errorf("a missing file: %v", err)
	}
}

// server answers each connection with act.
func server(t *testing.T, act func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				act(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// silent keeps a connection and reads what comes.
func silent(conn net.Conn) {
	for b := make([]byte, 4096); ; {
		if _, err := conn.Read(b); err != nil {
			return
		}
	}
}

func TestFailures(t *testing.T) {
	running := nginx(t)
	publish(t, "rtmp://"+running+"/closed/cam")
	for _, c := range []struct {
		name, address string
		reason        ingest.Reason
		want          string
	}{
		{"refused", freePort(t) + "/live/cam", ingest.ReasonRefused, "refused"},
		{"silent", server(t, silent) + "/live/cam", ingest.ReasonTimeout, "nothing came for 1s"},
		{"hangs up", server(t, func(net.Conn) {}) + "/live/cam", ingest.ReasonRefused, "hangs up"},
		{"another protocol", server(t, func(conn net.Conn) {
			conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n" + strings.Repeat("x", 4096)))
			silent(conn)
		}) + "/live/cam", ingest.ReasonFailed, "does not speak RTMP"},
		{"no such application", running + "/none/cam", ingest.ReasonRefused, "may not know the stream"},
		{"nobody publishes", running + "/live/other", ingest.ReasonTimeout, ""},
		{"denied", running + "/closed/cam", ingest.ReasonRefused, "not let us see it"},
		{"unknown host", "no-such-host.invalid/live/cam", ingest.ReasonFailed, "no such host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := source("rtmp://viewer:geheim@" + c.address + "?token=geheim")
			s.config.ReadTimeout = time.Second
			began := time.Now()
			packets, err := ingesttest.Read(t, s, 1)
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("took %v", took)
			}
			if ingest.ReasonOf(err) != c.reason || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") || len(packets) > 0 {
				t.Errorf("%v is %s after %d packets, want %s %q", err, ingest.ReasonOf(err), len(packets), c.reason, c.want)
			}
		})
	}
}

// TestPublisherLeaves ends when nothing comes any more.
func TestPublisherLeaves(t *testing.T) {
	url := "rtmp://" + nginx(t) + "/live/cam"
	publisher := publish(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	packets := 0
	err := source(url).Run(ctx, func(ingest.Packet) error {
		if packets++; packets == 10 {
			return publisher.Kill()
		}
		return nil
	})
	if reason := ingest.ReasonOf(err); packets < 10 || reason != ingest.ReasonEnded && reason != ingest.ReasonTimeout {
		t.Errorf("%d packets, %v is %s", packets, err, reason)
	}
}

// TestCancel ends within two seconds, also while the server says nothing.
func TestCancel(t *testing.T) {
	for name, act := range map[string]func(net.Conn){
		"silent": silent,
		"slow": func(conn net.Conn) {
			for {
				if _, err := conn.Write([]byte{3}); err != nil {
					return
				}
				<-time.After(50 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(200*time.Millisecond, cancel)
			began := time.Now()
			err := source("rtmp://"+server(t, act)+"/live/cam").Run(ctx, func(ingest.Packet) error { return nil })
			if took := time.Since(began); err != context.Canceled || took > 2*time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for url, want := range map[string]string{
		"rtmp://h/live/cam": "", "rtmps://u:p@[::1]:1936/a/b/c?t=1": "",
		"http://h/live/cam": "does not begin with", "rtmp:///live/cam": "no host", "rtmp://h/live": "wants rtmp://HOST/APP/STREAM",
		"rtmp://u:%zz@h/live/cam": "cannot be read", "rtmp://h/a/" + strings.Repeat("b", 5000): "too long",
	} {
		c := Defaults()
		c.URL = url
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.50s: %v, want %q", url, err, want)
		}
	}
	got, err := Config{URL: "rtmps://u:p@h/a/b/c?t=1", Username: "v", Password: "w"}.target()
	if err != nil || got.app != "a/b" || got.stream != "c?t=1" || got.address != "h:443" || got.username != "v" || got.password != "w" || got.String() != "rtmps://h/a/b/c" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := (Config{URL: "rtmp://h/a/b", Password: "x"}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v, want three mistakes", err)
	}
}
