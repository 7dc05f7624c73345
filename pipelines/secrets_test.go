package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sightline/detect"
	"sightline/internal/testkit"
)

// collected is a log that the test reads.
type collected struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *collected) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(b)
}

// TestSecretsOfAddressesStayInside reads from every kind of address with a
// password in all its places, of peers that refuse, say nonsense, forbid, and send
// elsewhere: it is in no log, event, status or rendering.
func TestSecretsOfAddressesStayInside(t *testing.T) {
	const secret = "hunter2hunter2"
	var text strings.Builder
	text.WriteString("version: 1\nname: secrets\ndefaults: { detect: { enabled: false }, timeout: 1s }\nsinks: []\nstreams:\n")
	for peer, address := range map[string]string{"closed": testkit.Refused(t), "babbling": babbler(t), "forbids": forbidder(t)} {
		for kind, url := range map[string]string{
			"rtsp": "rtsp://u:SECRET@ADDRESS/a?password=SECRET&x=1", "rtsps": "rtsps://u:SECRET@ADDRESS/a", "http": "http://u:SECRET@ADDRESS/a.mjpg?token=SECRET",
			"https": "https://u:SECRET@ADDRESS/a.jpg", "hls": "http://u:SECRET@ADDRESS/a.m3u8?key=SECRET", "hlss": "hls+https://u:SECRET@ADDRESS/a",
			"rtmp": "rtmp://u:SECRET@ADDRESS/a/b?auth=SECRET", "rtmps": "rtmps://u:SECRET@ADDRESS/a/b", "srt": "srt://ADDRESS?passphrase=SECRET&streamid=read:a:u:SECRET",
			"whep": "whep://u:SECRET@ADDRESS/a?token=SECRET", "wheps": "wheps://u:SECRET@ADDRESS/a",
		} {
			url = strings.ReplaceAll(strings.ReplaceAll(url, "ADDRESS", address), "SECRET", secret)
			fmt.Fprintf(&text, "  %s-%s: { url: '%s', fallback: ['%s'] }\n", kind, peer, url, url)
		}
	}
	var log collected
	var told bytes.Buffer
	var mu sync.Mutex
	offline := map[string]int{}
	o := Options{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnEvent: func(e *detect.Event) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&told, "%+v %+v\n", e, e.Data.Reason)
			if e.Type == detect.StreamOffline {
				offline[e.Stream]++
			}
		},
	}
	sp := parse(t, text.String())
	p, err := New(sp, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, 30*time.Second, "all have failed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(offline) == len(sp.Streams)
	})
	status, err := json.Marshal(p.Streams())
	if err != nil {
		t.Fatal(err)
	}
	var rendered strings.Builder
	if err := sp.Render(&rendered); err != nil {
		t.Fatal(err)
	}
	cancel()
	fmt.Fprintln(&told, <-done)
	for where, text := range map[string]string{"log": log.b.String(), "events": told.String(), "status": string(status), "rendering": rendered.String()} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, secret) {
				t.Errorf("the secret is in the %s: %.500s", where, line)
			}
		}
	}
}

// babbler answers everything with what is no protocol, and the request itself.
func babbler(t *testing.T) string {
	return listening(t, func(conn net.Conn) {
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		fmt.Fprintf(conn, "what is %q?\r\n\r\n", buf[:n])
	})
}

// forbidder is an HTTP and RTSP server whose answers repeat the request.
func forbidder(t *testing.T) string {
	return listening(t, func(conn net.Conn) {
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		request, _, _ := strings.Cut(string(buf[:n]), "\r\n")
		protocol := "HTTP/1.1"
		if strings.Contains(request, "RTSP") {
			protocol = "RTSP/1.0"
		}
		fmt.Fprintf(conn, "%s %d no %s\r\nCSeq: 1\r\nContent-Length: 0\r\n\r\n", protocol, http.StatusForbidden, request)
	})
}

func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	return testkit.Listen(t, func(conn net.Conn) {
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		serve(conn)
	})
}
