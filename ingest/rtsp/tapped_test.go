package rtsp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/rtsp"
)

var clientPorts = regexp.MustCompile(`client_port=(\d+)-\d+`)

// byUDP is a camera that sends by UDP alone and does not tell its ports. Once it
// plays it does, beside, what send says.
func byUDP(t *testing.T, sdp string, send func(p *peer, write func(raw []byte))) *fake {
	t.Helper()
	sender, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sender.Close() })
	var client *net.UDPAddr
	return newFake(t, sdp, "", manners{
		"SETUP": func(p *peer, r request) bool {
			asked := r.header.Get("Transport")
			m := clientPorts.FindStringSubmatch(asked)
			if m == nil {
				return p.reply(r, "461 Unsupported Transport", "")
			}
			client, _ = net.ResolveUDPAddr("udp4", "127.0.0.1:"+m[1])
			return p.reply(r, "200 OK", "", "Session: 1234", "Transport: "+asked)
		},
		"PLAY": both((*peer).answer, beside(func(p *peer, _ request) bool {
			send(p, func(raw []byte) { sender.WriteTo(raw, client) })
			return true
		})),
	}, nil)
}

// pause waits, and says whether the camera goes on.
func (p *peer) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.closed:
		return false
	}
}

// numberOf is the number that a picture of ingesttest.H264 bears.
func numberOf(p ingest.Packet) int {
	n, _ := strconv.Atoi(string(p.Data[bytes.LastIndexByte(p.Data, '#')+1:][:6]))
	return n
}

// A slow stream is not held up until the library's buffer of 64 packets is full:
// at 20 packets a second that takes 3 s.
func TestGapHoldsUpAFewPacketsOnly(t *testing.T) {
	t.Parallel()
	const gone, most = 7, 32 // a picture of one packet; at 50 ms a packet, 150 ms and what a busy machine takes
	ten := frames(t, 10)
	lost := len(ten)
	for binary.BigEndian.Uint32(ten[lost%len(ten)][8:]) != gone*uint32(frameTime.Milliseconds())*90 {
		lost++
	}
	var sent atomic.Int64
	f := byUDP(t, plainSDP, func(p *peer, write func([]byte)) {
		for i := 0; i < lost || p.pause(50*time.Millisecond); i++ {
			if i != lost {
				write(looped(ten, i))
			}
			sent.Store(int64(i))
		}
	})
	config := configFor(f.url())
	config.Transport = rtsp.UDP
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	pictures := 0
	err := newSource(config).Run(ctx, func(p ingest.Packet) error {
		pictures++
		if !p.Break {
			return nil
		}
		if behind := sent.Load() - int64(lost); pictures != 10+gone+1 || numberOf(p) != gone+1 || behind > most {
			t.Errorf("packet %d is picture %d and comes %d packets after the gap", pictures, numberOf(p), behind)
		}
		return errEnough
	})
	if err != errEnough {
		t.Errorf("%v after %d pictures, none after a gap", err, pictures)
	}
	f.end()
}

// What arrives out of order, twice, from others or under new numbers costs no
// picture, and is no gap unless the numbers have one.
func TestOrderOverUDP(t *testing.T) {
	ten := frames(t, 10)
	other := frames(t, 10) // by another random SSRC
	const pictures, packets = 60, 8 * 20
	for _, c := range []struct {
		name   string
		send   func(i int, write func(raw []byte))
		breaks int
	}{
		{name: "swapped and repeated", send: func(i int, write func([]byte)) {
			write(looped(ten, i^1))
			write(looped(ten, i))
		}},
		{name: "later than 70 others", send: func(i int, write func([]byte)) {
			switch {
			case i == 8:
			case i == 79:
				write(looped(ten, i))
				write(looped(ten, 8))
			default:
				write(looped(ten, i))
			}
		}},
		{name: "strays", send: func(i int, write func([]byte)) {
			write(looped(ten, i))
			write(looped(other, i))
		}},
		{name: "numbers jump", breaks: 1, send: func(i int, write func([]byte)) {
			raw := looped(ten, i)
			if loop := i / len(ten); loop > 2 {
				raw = numbered(raw, i+20000, binary.BigEndian.Uint32(raw[4:]))
			}
			write(raw)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := byUDP(t, plainSDP, func(p *peer, write func([]byte)) {
				for i := 0; i < packets; i++ {
					c.send(i, write)
					if i%8 == 7 && !p.pause(time.Millisecond) {
						return
					}
				}
			})
			config := configFor(f.url())
			config.Transport, config.Timeout = rtsp.UDP, 5*time.Second
			got, err := read(t, config, pictures)
			if err != nil {
				t.Errorf("%v after %d pictures", err, len(got))
			}
			breaks := 0
			for i, p := range got {
				if n := numberOf(p); n != i%10 {
					t.Fatalf("picture %d is %d", i, n)
				}
				if p.Break {
					breaks++
				}
			}
			if breaks != c.breaks {
				t.Errorf("%d breaks, want %d", breaks, c.breaks)
			}
			f.end()
		})
	}
}

// Nothing is kept from the new sender of a camera that began its stream anew.
func TestNewSenderOverUDP(t *testing.T) {
	t.Parallel()
	ten, other := frames(t, 10), frames(t, 10)
	f := byUDP(t, plainSDP, func(p *peer, write func([]byte)) {
		for i := 0; p.pause(2 * time.Millisecond); i++ {
			if i < 2*len(ten) {
				write(looped(ten, i))
			} else {
				write(looped(other, i))
			}
		}
	})
	config := configFor(f.url())
	config.Transport = rtsp.UDP
	got, err := read(t, config, 1000)
	if err == nil || ingest.ReasonOf(err) != ingest.ReasonEnded || !strings.Contains(err.Error(), "anew") || len(got) != 20 {
		t.Errorf("%v after %d pictures, want reason ended after 20", err, len(got))
	}
	f.end()
}
