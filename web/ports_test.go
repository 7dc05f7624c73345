package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/webrtc"
)

// Two viewers watch over the one port that a firewall lets through.
func TestViewersShareThePipelinesPort(t *testing.T) {
	leavesNothing(t)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.LocalAddr().(*net.UDPAddr).Port
	l.Close()
	p := newFake(t, onLoopback)
	if p.ports, err = webrtc.OpenPorts(webrtc.PortsConfig{Listen: "127.0.0.1", UDPPort: port}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.ports.Close() })
	feedVP8(t, p, time.UnixMicro(1_760_000_000_123_457))
	s := serve(t, p)
	for i := range 2 {
		peer, _, packets := reader(t, s)
		select {
		case <-packets:
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing arrives at viewer %d: %v", i, peer.ICEConnectionState())
		}
		pair, err := peer.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		if err != nil || int(pair.Remote.Port) != port {
			t.Errorf("media comes over %v (%v), want port %d", pair, err, port)
		}
	}
	// The pipeline ends before the server does, and takes its ports with it.
	if err := p.ports.Close(); err != nil {
		t.Error(err)
	}
}

// One instance pulls from another.
func TestOurOwnPlayerWatches(t *testing.T) {
	leavesNothing(t)
	p := newFake(t, "web: { listen: \"127.0.0.1:0\", auth: { token: web-t0ken } }\n")
	feedVP8(t, p, time.Now())
	s := serve(t, p)
	c := webrtc.PullDefaults()
	c.URL, c.Token = strings.Replace(s.URL(), "http", "whep", 1)+"whep/gate", "web-t0ken"
	player := webrtc.NewPuller(c, "again", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	enough := errors.New("enough")
	last := -1
	for range 2 { // the second Run begins anew
		n := 0
		err := player.Run(ctx, func(got ingest.Packet) error {
			number := int(got.Data[0]) | int(got.Data[1])<<8
			if got.Codec != ingest.VP8 || n == 0 && !got.Keyframe || number <= last {
				return fmt.Errorf("packet %d is %s number %d after %d, keyframe %v", n, got.Codec, number, last, got.Keyframe)
			}
			if last, n = number, n+1; n == 20 {
				return enough
			}
			return nil
		})
		if err != enough {
			t.Fatal(err)
		}
	}
}
