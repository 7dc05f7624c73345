package rtmp

import (
	"net"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

// playing is a server that answers every call but those to leave alone, and then
// repeats a message until the other side is gone.
func playing(m message, alone string) func(net.Conn) {
	return func(conn net.Conn) {
		in := greet(conn)
		for {
			got, err := in.next()
			if err != nil {
				return
			}
			c, ok, err := parseCommand(got)
			if err != nil || !ok {
				continue
			}
			if c.name == alone {
				break
			}
			conn.Write(appendMessage(nil, 3, message{kind: kindCommand, body: appendAMF(nil, "_result", c.transaction, nil, 1.0)}))
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := conn.Write(appendMessage(nil, 4, m)); err != nil {
				return
			}
		}
	}
}

// TestUselessServers talk all the time and say nothing of use.
func TestUselessServers(t *testing.T) {
	for _, c := range []struct {
		name   string
		serve  func(net.Conn)
		reason ingest.Reason
		want   string
	}{
		{"pings instead of an answer", playing(message{kind: kindControl, body: []byte{0, controlPing, 0, 0, 0, 0}}, "createStream"), ingest.ReasonTimeout, "connect"},
		{"empty video", playing(message{kind: kindVideo, body: []byte("\x57\x00\x00\x00\x00")}, "play"), ingest.ReasonTimeout, "no picture comes"},
		{"no configuration", playing(message{kind: kindVideo, body: []byte("\x27\x01\x00\x00\x00data")}, "play"), ingest.ReasonNoKeyframe, "none that decoding can start with"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := source("rtmp://" + server(t, c.serve) + "/live/cam")
			s.config.ReadTimeout, s.config.KeyframeTimeout = time.Second, 1500*time.Millisecond
			_, err := ingesttest.Read(t, s, 1)
			if ingest.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v is %s, want %s %q", err, ingest.ReasonOf(err), c.reason, c.want)
			}
		})
	}
}
