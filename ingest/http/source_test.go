package http_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/http"
	"sightline/ingest/ingesttest"
)

func configFor(url string) http.Config {
	config := http.Defaults()
	config.URL, config.Every = url, 20*time.Millisecond
	return config
}

func newSource(config http.Config) *http.Source {
	return http.New(config, "gate", slog.New(slog.DiscardHandler))
}

func read(t *testing.T, config http.Config, n int) ([]ingest.Packet, error) {
	return ingesttest.Read(t, newSource(config), n)
}

func picture(t testing.TB, size int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, size, size))
	for i := range m.Pix {
		m.Pix[i] = byte(i*i>>3 + i)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// camera answers every request with handle.
func camera(t *testing.T, handle nethttp.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL
}

// hang keeps a connection open until the client gives up.
func hang(w nethttp.ResponseWriter, r *nethttp.Request) {
	w.(nethttp.Flusher).Flush()
	<-r.Context().Done()
}

func TestRefusals(t *testing.T) {
	jpg := picture(t, 64)
	answer := func(kind, body string) nethttp.HandlerFunc {
		return func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Type", kind)
			w.Write([]byte(body))
		}
	}
	for _, c := range []struct {
		name   string
		handle nethttp.HandlerFunc
		reason ingest.Reason
		says   string
	}{
		{"not found", nethttp.NotFound, ingest.ReasonNotFound, "status 404"},
		{"out of order", func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.WriteHeader(503) }, ingest.ReasonFailed, "status 503"},
		{"forbidden", func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.WriteHeader(403) }, ingest.ReasonUnauthorized, "status 403"},
		{"page", answer("text/html; charset=utf-8", "<p>"), ingest.ReasonUnsupportedCodec, "a web page"},
		{"page that does not say so", answer("", "<!DOCTYPE html><p>some more of it"), ingest.ReasonUnsupportedCodec, "a web page"},
		{"HLS", answer("application/vnd.apple.mpegurl", "#EXTM3U"), ingest.ReasonUnsupportedCodec, "write hls+http://"},
		{"HLS as text", answer("text/plain", "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2,\n"), ingest.ReasonUnsupportedCodec, "write hls+http://"},
		{"video", answer("video/mp4", "...."), ingest.ReasonUnsupportedCodec, "video/mp4"},
		{"text", answer("text/plain", "hello, this is no camera at all, really"), ingest.ReasonUnsupportedCodec, "text/plain"},
		{"page said to be a picture", answer("image/jpeg", "<!doctype html>login first"), ingest.ReasonUnsupportedCodec, "a web page"},
		{"half a picture", answer("image/jpeg", string(jpg[:len(jpg)/2])), ingest.ReasonDamaged, "cut short"},
		{"end", answer("multipart/x-mixed-replace; boundary=b", "--b\r\n\r\n"), ingest.ReasonEnded, "EOF"},
		{"text without end", func(w nethttp.ResponseWriter, r *nethttp.Request) {
			w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
			for line := bytes.Repeat([]byte("no\n"), 10000); r.Context().Err() == nil; {
				w.Write(line)
			}
		}, ingest.ReasonDamaged, "text without end"},
		{"huge", func(w nethttp.ResponseWriter, r *nethttp.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			for zeros := make([]byte, 1<<20); r.Context().Err() == nil; {
				w.Write(zeros)
			}
		}, ingest.ReasonDamaged, "32 MiB"},
		{"parts without pictures", func(w nethttp.ResponseWriter, r *nethttp.Request) {
			w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
			for r.Context().Err() == nil {
				fmt.Fprint(w, "--b\r\nContent-Length: 3\r\n\r\nabc\r\n")
			}
		}, ingest.ReasonDamaged, "100 parts in a row"},
	} {
		t.Run(c.name, func(t *testing.T) {
			packets, err := read(t, configFor(camera(t, c.handle)+"/pw=hidden?password=hunter2"), 1)
			var e *ingest.Error
			if !errors.As(err, &e) || e.Reason != c.reason || e.Permanent || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v after %d packets, want %s and %q", err, len(packets), c.reason, c.says)
			}
		})
	}
}

// TestSilence has cameras that stop at every point, or nearly so.
func TestSilence(t *testing.T) {
	jpg := picture(t, 64)
	part := func(w nethttp.ResponseWriter, n int) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		fmt.Fprintf(w, "--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s", len(jpg), jpg[:n])
	}
	for _, c := range []struct {
		name   string
		handle nethttp.HandlerFunc
	}{
		{"before the answer", func(w nethttp.ResponseWriter, r *nethttp.Request) { <-r.Context().Done() }},
		{"behind the headers", func(w nethttp.ResponseWriter, r *nethttp.Request) { part(w, 0); hang(w, r) }},
		{"inside a picture", func(w nethttp.ResponseWriter, r *nethttp.Request) { part(w, 100); hang(w, r) }},
		{"behind a picture", func(w nethttp.ResponseWriter, r *nethttp.Request) { part(w, len(jpg)); hang(w, r) }},
		{"inside a still", func(w nethttp.ResponseWriter, r *nethttp.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Write(jpg[:50])
			hang(w, r)
		}},
		{"a byte now and then", func(w nethttp.ResponseWriter, r *nethttp.Request) {
			part(w, 0)
			for i := 0; i < len(jpg) && r.Context().Err() == nil; i++ {
				w.Write(jpg[i : i+1])
				w.(nethttp.Flusher).Flush()
				<-time.After(50 * time.Millisecond)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := configFor(camera(t, c.handle))
			config.Timeout = 150 * time.Millisecond
			began := time.Now()
			_, err := read(t, config, 1000)
			if ingest.ReasonOf(err) != ingest.ReasonTimeout || time.Since(began) > 2*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}

func TestRefusedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = read(t, configFor("http://viewer:hunter2@"+l.Addr().String()+"/x"), 1)
	if ingest.ReasonOf(err) != ingest.ReasonRefused || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

// TestTLS reads a camera whose certificate nobody vouches for.
func TestTLS(t *testing.T) {
	jpg := picture(t, 64)
	server := httptest.NewTLSServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.Write(jpg) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	config := configFor(server.URL)
	if _, err := read(t, config, 1); ingest.ReasonOf(err) != ingest.ReasonUntrusted || !strings.Contains(err.Error(), "insecure: true") {
		t.Errorf("an unknown authority: %v", err)
	}
	config.TLS.Insecure = true
	if _, err := read(t, config, 3); err != nil {
		t.Errorf("insecure: %v", err)
	}
	config.TLS = ingest.TLS{CA: ca}
	if _, err := read(t, config, 3); err != nil {
		t.Errorf("its authority given: %v", err)
	}
	config.TLS.CA = "no such file"
	if _, err := read(t, config, 1); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
}

// TestTimes has pictures come together and apart.
func TestTimes(t *testing.T) {
	jpg := picture(t, 16)
	url := camera(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		for range 10 {
			fmt.Fprintf(w, "--b\r\nX-Timestamp: 0.000000\r\n\r\n%s\r\n--b\r\n\r\n%s\r\n", jpg, jpg)
			w.(nethttp.Flusher).Flush()
			<-time.After(20 * time.Millisecond)
		}
	})
	packets, err := read(t, configFor(url), 20)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets[1:] {
		if p.PTS <= packets[i].PTS || p.Captured.Before(packets[i].Captured) || p.Received.IsZero() || p.Clock.Source != ingest.ClockArrival {
			t.Errorf("packet %d: PTS %v behind %v, captured %v behind %v", i+1, p.PTS, packets[i].PTS, p.Captured, packets[i].Captured)
		}
	}
	if took := packets[19].PTS; took < 150*time.Millisecond || took > 2*time.Second {
		t.Errorf("the last came at %v", took)
	}
}

func TestValidate(t *testing.T) {
	bad := http.Config{URL: "ftp://viewer:hunter2@h/x", Password: "hunter2"}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no mistake found")
	}
	for _, part := range []string{"url: ", "every: ", "timeout: ", "password: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	odd := http.Defaults()
	odd.URL = "http://viewer:hun%ter2@h/x"
	if err := odd.Validate(); err == nil || strings.Contains(err.Error(), "hun%ter2") {
		t.Errorf("%v", err)
	}
}
