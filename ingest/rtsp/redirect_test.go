package rtsp_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/camera"
)

// redirecting answers every DESCRIBE with a redirect, and counts them.
func redirecting(t *testing.T, location func(own string) string) (address string, described *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	described = &atomic.Int64{}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				answer(conn, location(listener.Addr().String()), described)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String(), described
}

func answer(conn net.Conn, location string, described *atomic.Int64) {
	var method, sequence string
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasSuffix(line, "RTSP/1.0"):
			method, _, _ = strings.Cut(line, " ")
		case strings.HasPrefix(line, "CSeq: "):
			sequence = line
		case line == "" && method == "DESCRIBE":
			described.Add(1)
			fmt.Fprintf(conn, "RTSP/1.0 302 Found\r\n%s\r\nLocation: %s\r\n\r\n", sequence, location)
		case line == "":
			fmt.Fprintf(conn, "RTSP/1.0 200 OK\r\n%s\r\n\r\n", sequence)
		}
	}
}

func TestRedirects(t *testing.T) {
	server := serve(t, camera.Config{})
	there := func(string) string { return server.URL("gate") }
	circle := func(own string) string { return "rtsp://" + own + "/gate" }
	abroad := func(string) string { return "rtsp://127.0.0.2:1/gate" }

	address, _ := redirecting(t, there)
	if _, err := read(t, configFor("rtsp://"+address+"/gate"), 3); err != nil {
		t.Errorf("to the camera: %v", err)
	}
	for name, c := range map[string]struct {
		location func(string) string
		most     int64
		says     string
	}{
		"in a circle":                     {circle, 5, "302"},
		"with a password to another host": {abroad, 1, "sent on to rtsp://127.0.0.2:1, which is not given the password"},
		"with a password to another port": {there, 1, "which is not given the password"},
	} {
		address, described := redirecting(t, c.location)
		config := configFor("rtsp://" + address + "/gate")
		config.Username, config.Password, config.Timeout = "viewer", "s3cr3t", 5*time.Second
		if _, err := read(t, config, 1); ingest.ReasonOf(err) != ingest.ReasonFailed || described.Load() > c.most || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v after %d requests", name, err, described.Load())
		}
	}
}
