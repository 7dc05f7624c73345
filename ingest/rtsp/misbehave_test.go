package rtsp_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"go.uber.org/goleak"

	"sightline/ingest"
	"sightline/ingest/rtsp"
)

// A misdeed is one way for a camera to go wrong.
type misdeed struct {
	name    string
	sdp     string // default: a good one
	options string
	manners manners
	accept  func(*peer)
	reason  ingest.Reason // how Run ends; "" where pictures come
	hangs   bool          // the camera's fault has no end of its own
	says    string        // in the error
}

// silence takes a request and never answers it.
func silence(p *peer, _ request) bool {
	p.reached()
	<-p.closed
	return false
}

// status answers with a bare status line and headers.
func status(text string, header ...string) reaction {
	return func(p *peer, r request) bool { return p.reply(r, text, "", header...) }
}

// raw answers with these bytes.
func raw(text string) reaction {
	return func(p *peer, r request) bool {
		_, err := io.WriteString(p, strings.ReplaceAll(text, "CSEQ", r.header.Get("Cseq")))
		return err == nil
	}
}

// flood writes the same bytes until the connection ends, pausing between.
func flood(data []byte, pause time.Duration) reaction {
	return func(p *peer, _ request) bool {
		for tick := time.NewTicker(max(pause, 1)); ; {
			if pause > 0 {
				select {
				case <-tick.C:
				case <-p.closed:
					return false
				}
			}
			if _, err := p.Write(data); err != nil {
				return false
			}
			p.reached()
		}
	}
}

// both does one thing and then the other.
func both(a, b reaction) reaction {
	return func(p *peer, r request) bool { return a(p, r) && b(p, r) }
}

// beside does it while further requests are answered.
func beside(a reaction) reaction {
	return func(p *peer, r request) bool {
		p.beside.Go(func() { a(p, r) })
		return true
	}
}

func hangUp(p *peer, _ request) bool { return false }

func reset(p *peer, _ request) bool {
	p.Conn.(*net.TCPConn).SetLinger(0)
	return false
}

func misdeeds(t *testing.T) []misdeed {
	units := frames(t, 40)
	goodbye, err := (&rtcp.Goodbye{Sources: []uint32{1}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	other := frames(t, 40) // by another random SSRC
	head := "RTSP/1.0 200 OK\r\nCSeq: CSEQ\r\nContent-Type: application/sdp\r\n"
	video := plainSDP[strings.Index(plainSDP, "m=video"):]
	text := plainSDP[:strings.Index(plainSDP, "m=video")]
	audio := "m=audio 0 RTP/AVP 0\r\na=control:audio\r\n"
	garbage := bytes.Repeat([]byte{0xff, 0x00, 'x', '\n', 0x7f}, 4096)
	playing := manners{"PLAY": play(units...)}
	return []misdeed{
		{name: "no answer", manners: manners{"OPTIONS": silence}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "no answer to DESCRIBE", manners: manners{"DESCRIBE": silence}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "no answer to SETUP", manners: manners{"SETUP": silence}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "no answer to PLAY", manners: manners{"PLAY": silence}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "nothing after PLAY", manners: manners{"PLAY": play()}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "silent while playing", manners: playing, reason: ingest.ReasonTimeout, hangs: true},

		{name: "hangs up at once", accept: func(*peer) {}, reason: ingest.ReasonEnded},
		{name: "hangs up at DESCRIBE", manners: manners{"DESCRIBE": hangUp}, reason: ingest.ReasonEnded},
		{name: "FIN within a picture", manners: manners{"PLAY": both(play(append(units[:3:3], units[3][:700])...), hangUp)}, reason: ingest.ReasonEnded},
		{name: "RST while playing", manners: manners{"PLAY": both(play(units...), reset)}, reason: ingest.ReasonEnded},
		{name: "TEARDOWN", manners: manners{"PLAY": both(play(units...), raw("TEARDOWN rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nSession: 1234\r\n\r\n"))}, reason: ingest.ReasonEnded},
		{name: "BYE", manners: manners{"PLAY": play(append(units[:len(units):len(units)], interleaved(1, goodbye))...)}, reason: ingest.ReasonEnded},

		{name: "a new sender takes over", manners: manners{"PLAY": play(append(units[:len(units):len(units)], other...)...)}, reason: ingest.ReasonEnded},
		{name: "packets of a type not announced", sdp: strings.ReplaceAll(plainSDP, "96", "97"), manners: playing, reason: ingest.ReasonTimeout, says: "payload type: 96"},

		{name: "401 for ever", manners: manners{"DESCRIBE": status("401 Unauthorized", `WWW-Authenticate: Digest realm="x", nonce="y"`)}, reason: ingest.ReasonUnauthorized},
		{name: "401 for ever, stale", manners: manners{"DESCRIBE": status("401 Unauthorized", `WWW-Authenticate: Digest realm="x", nonce="y", stale=true`)}, reason: ingest.ReasonUnauthorized},
		{name: "401 without a method", manners: manners{"DESCRIBE": status("401 Unauthorized")}, reason: ingest.ReasonUnauthorized},
		{name: "403", manners: manners{"SETUP": status("403 Forbidden")}, reason: ingest.ReasonUnauthorized},
		{name: "404", manners: manners{"DESCRIBE": status("404 Not Found")}, reason: ingest.ReasonNotFound},
		{name: "453", manners: manners{"SETUP": status("453 Not Enough Bandwidth")}, reason: ingest.ReasonFailed},
		{name: "454 to PLAY", manners: manners{"PLAY": status("454 Session Not Found")}, reason: ingest.ReasonEnded},
		{name: "454 to a keep-alive", options: ";timeout=1", manners: manners{"PLAY": both(play(units...), beside(flood(units[0], 10*time.Millisecond))), "GET_PARAMETER": status("454 Session Not Found")}, reason: ingest.ReasonEnded},
		{name: "461 to all", manners: manners{"SETUP": status("461 Unsupported Transport")}, reason: ingest.ReasonFailed},

		{name: "garbage", manners: manners{"OPTIONS": flood(garbage, 0)}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "garbage while playing", manners: manners{"PLAY": both(play(units...), flood(garbage, 0))}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "HTTP", manners: manners{"OPTIONS": both(raw("HTTP/1.1 400 Bad Request\r\n\r\n"), silence)}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "no status", manners: manners{"OPTIONS": raw("RTSP/1.0 OK\r\n\r\n")}, reason: ingest.ReasonFailed},
		{name: "endless header", manners: manners{"OPTIONS": both(raw("RTSP/1.0 200 OK\r\nX: "), flood(bytes.Repeat([]byte("x"), 1024), 0))}, reason: ingest.ReasonFailed},
		{name: "endless headers", manners: manners{"OPTIONS": both(raw("RTSP/1.0 200 OK\r\n"), flood([]byte("X: y\r\n"), 0))}, reason: ingest.ReasonFailed},
		{name: "answers to nothing", manners: manners{"DESCRIBE": flood([]byte("RTSP/1.0 200 OK\r\nCSeq: 999\r\n\r\n"), time.Millisecond)}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "dripping description", manners: manners{"DESCRIBE": both(raw(head+"Content-Length: 100000\r\n\r\n"), flood([]byte("a=x\r\n"), 10*time.Millisecond))}, reason: ingest.ReasonTimeout, hangs: true},
		{name: "description without end", manners: manners{"DESCRIBE": both(raw(head+"\r\n"), flood([]byte("a=x\r\n"), 0))}, reason: ingest.ReasonUnsupportedCodec},
		{name: "description of gigabytes", manners: manners{"DESCRIBE": raw(head + "Content-Length: 68719476736\r\n\r\n")}, reason: ingest.ReasonFailed},
		{name: "negative length", manners: manners{"DESCRIBE": raw(head + "Content-Length: -1\r\n\r\n")}, reason: ingest.ReasonFailed},

		{name: "empty description", sdp: "v=0\r\n", reason: ingest.ReasonUnsupportedCodec},
		{name: "no video", sdp: text + audio, reason: ingest.ReasonUnsupportedCodec},
		{name: "video after 1000 others", sdp: text + strings.Repeat(audio, 1000) + video, reason: ingest.ReasonUnsupportedCodec},
		{name: "video before 1000 others", sdp: text + video + strings.Repeat(audio, 1000), manners: playing},
		{name: "broken parameter sets", sdp: strings.Replace(plainSDP, "mode=1", "mode=1; sprop-parameter-sets=Z0!,aM4=", 1), manners: playing},
		{name: "a broken track beside", sdp: text + "m=audio 0 RTP/AVP 97\r\na=mid:a-b\r\nb=?\r\n" + video, manners: playing},
		{name: "no type of its description", manners: manners{"PLAY": play(units...), "DESCRIBE": func(p *peer, r request) bool {
			return p.reply(r, "200 OK", p.sdp)
		}}},
		{name: "pictures before the answer to PLAY", manners: manners{"PLAY": func(p *peer, r request) bool {
			_, err := p.Write(bytes.Join(units, nil))
			return err == nil && p.answer(r)
		}}},
		{name: "sound that nobody asked for", manners: manners{"PLAY": play(bytes.Join(units, interleaved(2, garbage[:160])))}},
		{name: "other channels than asked for", manners: manners{
			"SETUP": status("200 OK", "Session: 1234", "Transport: RTP/AVP/TCP;interleaved=4-5"),
			"PLAY":  play(bytes.ReplaceAll(bytes.Join(units, nil), []byte{'$', 0}, []byte{'$', 4})),
		}},
		{name: "knows no OPTIONS", manners: manners{"OPTIONS": status("501 Not Implemented"), "PLAY": play(units...)}},
		{name: "knows no Range", manners: manners{"PLAY": func(p *peer, r request) bool {
			if r.header.Get("Range") != "" {
				return p.reply(r, "457 Invalid Range", "")
			}
			return play(units...)(p, r)
		}}},
		{name: "457 for ever", manners: manners{"PLAY": status("457 Invalid Range")}, reason: ingest.ReasonFailed},
		{name: "asks whether we are there", manners: manners{"PLAY": both(play(units[:6]...), both(
			raw("GET_PARAMETER rtsp://h/gate RTSP/1.0\r\nCSeq: 7\r\n\r\n"), func(p *peer, _ request) bool {
				if line, _ := p.in.ReadString('\n'); !strings.HasPrefix(line, "RTSP/1.0 200") {
					t.Errorf("the camera's question is answered by %q", line)
				}
				for line := "x"; strings.TrimSpace(line) != ""; line, _ = p.in.ReadString('\n') {
				}
				_, err := p.Write(bytes.Join(units[6:], nil))
				return err == nil
			}))}},
		{name: "bytes between frames", manners: manners{"PLAY": play(bytes.Join(units, []byte("\r\nxyz\r\n")))}},
	}
}

const (
	shortTimeout = 600 * time.Millisecond
	slack        = 1500 * time.Millisecond // CI's machines are slow
	wanted       = 20                      // packets that show that pictures come
)

// Every misdeed ends Run with the right reason in time, and costs neither memory
// nor goroutines.
func TestMisbehavingCameras(t *testing.T) {
	for _, m := range misdeeds(t) {
		t.Run(m.name, func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			f := m.start(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			config := configFor(f.url())
			config.Timeout, config.Username, config.Password = shortTimeout, "viewer", "secret"
			began := time.Now()
			packets, err := read(t, config, m.wants())
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if m.reason == "" && err != nil || m.reason != "" && (err == nil || ingest.ReasonOf(err) != m.reason) {
				t.Errorf("%v after %d packets, want reason %q", err, len(packets), m.reason)
			}
			if err != nil && !strings.Contains(err.Error(), m.says) {
				t.Errorf("%v does not say %q", err, m.says)
			}
			if most := 2*shortTimeout + slack; took > most {
				t.Errorf("took %v, of %v", took, most)
			}
			if cost := after.TotalAlloc - before.TotalAlloc; cost > 4<<20 {
				t.Errorf("%d bytes were allocated", cost)
			}
			f.end()
			if err := goleak.Find(ignore); err != nil {
				t.Errorf("goroutines are left behind: %v", err)
			}
		})
	}
}

// In whatever state the camera hangs, the end of the context ends Run.
func TestCancelWhateverTheCameraDoes(t *testing.T) {
	for _, m := range misdeeds(t) {
		if !m.hangs {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			f := m.start(t)
			config := configFor(f.url())
			config.Timeout = time.Hour
			cancelled(t, config, f.reached)
		})
	}
}

// cancelled runs a source until the state is reached, and then cancels it.
func cancelled(t *testing.T, config rtsp.Config, reached <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- newSource(config).Run(ctx, func(ingest.Packet) error { return nil }) }()
	<-reached
	cancel()
	select {
	case err := <-ended:
		if err != context.Canceled {
			t.Errorf("%v, want the context's error", err)
		}
	case <-time.After(2 * time.Second):
		t.Errorf("Run goes on")
	}
}

func (m misdeed) start(t *testing.T) *fake {
	sdp := m.sdp
	if sdp == "" {
		sdp = plainSDP
	}
	return newFake(t, sdp, m.options, m.manners, m.accept)
}

// wants is how many packets to read: all there will ever be, to see how it ends.
func (m misdeed) wants() int {
	if m.reason == "" {
		return wanted
	}
	return 1 << 20
}
