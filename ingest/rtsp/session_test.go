package rtsp_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/rtsp"
)

// digests checks requests by a nonce that it renews after each one it accepts.
type digests struct {
	user, password string
	mu             sync.Mutex
	nonce          int
	stale          int // answers
}

var authorization = regexp.MustCompile(`nonce="(\d+)".*uri="([^"]*)".*response="([0-9a-f]+)"`)

func (d *digests) accept(p *peer, r request) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := func(text string) string { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }
	given := r.header.Get("Authorization")
	stale := ""
	if m := authorization.FindStringSubmatch(given); m != nil {
		want := sum(sum(d.user+":gate:"+d.password) + ":" + m[1] + ":" + sum(r.method+":"+m[2]))
		if m[1] == fmt.Sprint(d.nonce) && m[3] == want {
			d.nonce++
			return true
		}
		stale = ", stale=true"
		d.stale++
	}
	p.reply(r, "401 Unauthorized", "", fmt.Sprintf(`WWW-Authenticate: Digest realm="gate", nonce="%d"%s`, d.nonce, stale))
	return false
}

// A session lives as long as requests come in time, even where each needs a new
// nonce; the camera hangs up when none was accepted for its time-out of 2 s.
func TestSessionIsKeptAlive(t *testing.T) {
	units := bytes.Join(frames(t, 10), nil)
	for name, d := range map[string]*digests{"open": nil, "one-time nonces": {user: "viewer", password: "secret"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			life := time.NewTimer(time.Hour)
			guarded := func(react reaction) reaction {
				return func(p *peer, r request) bool {
					if d == nil || d.accept(p, r) {
						life.Reset(2 * time.Second)
						return react(p, r)
					}
					return true
				}
			}
			good := guarded((*peer).answer)
			f := newFake(t, plainSDP, ";timeout=2", manners{
				"DESCRIBE": good, "SETUP": good, "GET_PARAMETER": good,
				"PLAY": guarded(both((*peer).answer, beside(func(p *peer, r request) bool {
					go func() {
						<-life.C
						p.Close()
					}()
					return flood(units, 50*time.Millisecond)(p, r)
				}))),
			}, nil)
			config := configFor(f.url())
			config.Username, config.Password = "viewer", "secret"
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := newSource(config).Run(ctx, func(ingest.Packet) error { return nil })
			life.Reset(0)
			if err != context.DeadlineExceeded {
				t.Errorf("%v, want the context's error", err)
			}
			if d != nil && d.stale < 4 { // SETUP, PLAY and two to keep alive
				t.Errorf("%d old nonces were refused: the test shows nothing", d.stale)
			}
		})
	}
}

// GStreamer forgets sessions over UDP of which it hears nothing.
func TestGstKeepsTheSession(t *testing.T) {
	t.Parallel()
	config := configFor(gstCamera(t, "--session-timeout=2"))
	config.Transport, config.Timeout = rtsp.UDP, 2*time.Second
	if packets, err := read(t, config, 25*8); err != nil {
		t.Errorf("%v after %d packets, 25 a second", err, len(packets))
	}
}

// Cameras have room for few sessions, so they are told when one ends.
func TestTeardown(t *testing.T) {
	units := frames(t, 10)
	id := identify(t, "127.0.0.1", nil)
	for _, scheme := range []string{"rtsp", "rtsps"} {
		t.Run(scheme, func(t *testing.T) {
			asked := make(chan []string, 1)
			f := newFake(t, plainSDP, "", nil, func(p *peer) {
				if scheme == "rtsps" {
					p.Conn = tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{id.Certificate}})
					p.in.Reset(p.Conn)
				}
				p.serve(manners{"PLAY": play(units...)})
				asked <- p.urls
			})
			config := configFor(scheme + "://" + f.Addr().String() + "/gate")
			config.TLS.CA = id.file
			if packets, err := read(t, config, 10); err != nil { // all that it sends
				t.Fatalf("%v after %d packets", err, len(packets))
			}
			all := <-asked
			if last := all[len(all)-1]; !strings.HasPrefix(last, "TEARDOWN ") {
				t.Errorf("the last request is %q", last)
			}
		})
	}
}

// multicastSender is a pair of ports, RTP and RTCP, that send to the loopback
// device, and the group that they send to.
func multicastSender(t *testing.T) (rtp net.PacketConn, group *net.UDPAddr) {
	t.Helper()
	for {
		rtp, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := rtp.LocalAddr().(*net.UDPAddr).Port
		rtcp, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port+1))
		if port%2 == 1 || err != nil {
			rtp.Close()
			if err == nil {
				rtcp.Close()
			}
			continue
		}
		t.Cleanup(func() {
			rtp.Close()
			rtcp.Close()
		})
		raw, err := rtp.(*net.UDPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		if err := raw.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInet4Addr(int(fd), syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, [4]byte{127, 0, 0, 1})
		}); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		return rtp, &net.UDPAddr{IP: net.IPv4(239, 255, 77, 1), Port: port}
	}
}

// A camera that sends by multicast only; nobody asked for its group before.
func TestMulticast(t *testing.T) {
	units := frames(t, 10)
	for _, transport := range []rtsp.Transport{rtsp.Multicast, rtsp.Auto} {
		t.Run(string(transport), func(t *testing.T) {
			sender, group := multicastSender(t)
			f := newFake(t, plainSDP, "", manners{
				"SETUP": func(p *peer, r request) bool {
					if !strings.Contains(r.header.Get("Transport"), "multicast") {
						return p.reply(r, "461 Unsupported Transport", "")
					}
					return p.reply(r, "200 OK", "", "Session: 1234", fmt.Sprintf(
						"Transport: RTP/AVP;multicast;destination=%s;source=127.0.0.1;port=%d-%d;ttl=1", group.IP, group.Port, group.Port+1))
				},
				"PLAY": both((*peer).answer, beside(func(p *peer, _ request) bool {
					tick := time.NewTicker(5 * time.Millisecond)
					defer tick.Stop()
					for i := 0; ; i++ {
						if _, err := sender.WriteTo(looped(units, i), group); err != nil {
							t.Error(err)
						}
						select {
						case <-tick.C:
						case <-p.closed:
							return false
						}
					}
				})),
			}, nil)
			config := configFor(f.url())
			config.Transport, config.Timeout = transport, 3*time.Second
			packets, err := read(t, config, 40)
			if err != nil {
				t.Fatalf("%v after %d packets", err, len(packets))
			}
			for i, p := range packets {
				if p.Break {
					t.Errorf("packet %d comes after a gap", i)
				}
			}
			f.end()
		})
	}
}

// A camera that does not tell its UDP ports, but that it takes requests for
// keyframes, which then cannot be sent.
func TestUDPFromAnyPort(t *testing.T) {
	units := frames(t, 10)
	f := byUDP(t, plainSDP+"a=rtcp-fb:* nack pli\r\n", func(p *peer, write func([]byte)) {
		for i := len(units) - 1; p.pause(5 * time.Millisecond); i++ { // not with a keyframe first
			write(looped(units, i))
		}
	})
	config := configFor(f.url())
	config.Transport = rtsp.UDP
	if packets, err := read(t, config, 15); err != nil {
		t.Errorf("%v after %d packets", err, len(packets))
	}
	f.end()
}

// What is asked for in SETUP, by what the camera says of itself.
func TestControlURLs(t *testing.T) {
	control := func(session, media string) string {
		sdp := strings.Replace(plainSDP, "a=control:trackID=0", "a=control:"+media, 1)
		if session != "" {
			sdp = strings.Replace(sdp, "m=video", "a=control:"+session+"\r\nm=video", 1)
		}
		return sdp
	}
	for _, c := range []struct{ name, path, base, sdp, want string }{
		{"base with a slash", "/main", "rtsp://HOST/main/", control("", "trackID=1"), "rtsp://HOST/main/trackID=1"},
		{"base without a slash", "/main", "rtsp://HOST/main", control("", "trackID=1"), "rtsp://HOST/main/trackID=1"},
		{"no base", "/main", "", control("*", "streamid=0"), "rtsp://HOST/main/streamid=0"},
		{"no base, a slash", "/main/", "", control("", "streamid=0"), "rtsp://HOST/main/streamid=0"},
		{"a base that is a path", "/main", "/other/", control("", "track1"), "rtsp://HOST/other/track1"},
		{"a query", "/cam?channel=1&subtype=0", "", control("", "trackID=0"), "rtsp://HOST/cam?channel=1&subtype=0/trackID=0"},
		{"absolute", "/main", "rtsp://HOST/main/", control("", "rtsp://HOST/x/video"), "rtsp://HOST/x/video"},
		{"absolute with another address", "/main", "", control("", "rtsp://10.1.2.3/x/video"), "rtsp://HOST/x/video"},
		{"of the session", "/main", "rtsp://HOST/main/", control("rtsp://HOST/agg/", "v"), "rtsp://HOST/agg/v"},
		{"of the session, relative", "/main", "rtsp://HOST/main/", control("agg", "v"), "rtsp://HOST/main/v"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := func(p *peer, text string) string { return strings.ReplaceAll(text, "HOST", p.address) }
			f := newFake(t, c.sdp, "", manners{
				"DESCRIBE": func(p *peer, r request) bool {
					header := []string{"Content-Type: application/sdp"}
					if c.base != "" {
						header = append(header, "Content-Base: "+at(p, c.base))
					}
					return p.reply(r, "200 OK", at(p, p.sdp), header...)
				},
				"SETUP": hangUp,
			}, nil)
			config := configFor("rtsp://" + f.Addr().String() + c.path)
			if _, err := read(t, config, 1); err == nil {
				t.Fatal("pictures come")
			}
			asked := <-f.urls
			want := "SETUP " + strings.ReplaceAll(c.want, "HOST", f.Addr().String())
			if got := asked[len(asked)-1]; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
