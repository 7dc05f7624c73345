package rtsp_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

// A request as it came from the client.
type request struct {
	method, url string
	header      textproto.MIMEHeader
}

// A reaction answers a request; the peer hangs up when it says false.
type reaction func(p *peer, r request) bool

// manners are how a fake camera departs from a good one, by method.
type manners map[string]reaction

// peer is one client's connection, seen from a fake camera.
type peer struct {
	net.Conn
	in      *bufio.Reader
	address string
	sdp     string
	options string // of the Session header
	urls    []string
	closed  <-chan struct{} // when the test ends
	beside  *sync.WaitGroup // what goes on beside the answering
	reached func()          // tells the test that the interesting state is there
}

// fake is a camera that the test directs line by line. It shares no code with
// the client.
type fake struct {
	net.Listener
	reached chan struct{} // closed when a peer says so
	urls    chan []string // requested, of each connection that ended
	end     func()        // ends everything and waits for it
}

const plainSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=gate\r\nt=0 0\r\n" +
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n"

// newFake starts a camera with these manners; accept, if any, takes the place of
// all RTSP.
func newFake(t *testing.T, sdp, options string, m manners, accept func(*peer)) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{Listener: listener, reached: make(chan struct{}), urls: make(chan []string, 16)}
	done := make(chan struct{})
	var once sync.Once
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p := &peer{
				Conn: conn, in: bufio.NewReader(conn), address: listener.Addr().String(), sdp: sdp, options: options,
				closed: done, beside: &serving, reached: func() { once.Do(func() { close(f.reached) }) },
			}
			serving.Go(func() {
				stop := make(chan struct{})
				defer close(stop)
				serving.Go(func() {
					select {
					case <-done:
					case <-stop:
					}
					conn.Close()
				})
				if accept != nil {
					accept(p)
					return
				}
				p.serve(m)
				f.urls <- p.urls
			})
		}
	})
	f.end = sync.OnceFunc(func() {
		listener.Close()
		close(done)
		serving.Wait()
	})
	t.Cleanup(f.end)
	return f
}

func (f *fake) url() string { return "rtsp://" + f.Addr().String() + "/gate" }

func (p *peer) serve(m manners) {
	for {
		r, err := p.next()
		if err != nil {
			return
		}
		react := m[r.method]
		if react == nil {
			react = (*peer).answer
		}
		p.urls = append(p.urls, r.method+" "+r.url)
		if !react(p, r) {
			return
		}
	}
}

// frame reads what comes next as an interleaved frame.
func (p *peer) frame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return nil, err
	}
	if head[0] != '$' {
		return nil, fmt.Errorf("no frame but %q", head)
	}
	raw := make([]byte, binary.BigEndian.Uint16(head[2:]))
	_, err := io.ReadFull(p.in, raw)
	return raw, err
}

// next reads a request, past RTCP that comes between.
func (p *peer) next() (request, error) {
	for {
		first, err := p.in.Peek(1)
		if err != nil {
			return request{}, err
		}
		if first[0] != '$' {
			break
		}
		if _, err := p.frame(); err != nil {
			return request{}, err
		}
	}
	text := textproto.NewReader(p.in)
	line, err := text.ReadLine()
	if err != nil {
		return request{}, err
	}
	header, err := text.ReadMIMEHeader()
	fields := append(strings.Fields(line), "", "")
	return request{fields[0], fields[1], header}, err
}

// reply answers with a status, header lines and a body.
func (p *peer) reply(r request, status, body string, header ...string) bool {
	text := fmt.Sprintf("RTSP/1.0 %s\r\nCSeq: %s\r\n", status, r.header.Get("Cseq"))
	for _, line := range header {
		text += line + "\r\n"
	}
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	_, err := io.WriteString(p, text+"\r\n"+body)
	return err == nil
}

// answer is what a good camera does.
func (p *peer) answer(r request) bool {
	switch r.method {
	case "DESCRIBE":
		return p.reply(r, "200 OK", p.sdp, "Content-Type: application/sdp", "Content-Base: rtsp://"+p.address+"/gate/")
	case "SETUP":
		return p.reply(r, "200 OK", "", "Session: 1234"+p.options, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	case "TEARDOWN":
		return false
	}
	return p.reply(r, "200 OK", "", "Session: 1234"+p.options, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN")
}

// play answers and sends the frames, and then says that the state is reached.
func play(frames ...[]byte) reaction {
	return func(p *peer, r request) bool {
		if !p.answer(r) {
			return false
		}
		for _, f := range frames {
			if _, err := p.Write(f); err != nil {
				return false
			}
		}
		p.reached()
		return true
	}
}

// frames are n access units as interleaved RTP, in channel 0; the first of every
// ten begins with a keyframe.
func frames(t *testing.T, n int) (all [][]byte) {
	t.Helper()
	f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	encoder, err := f.CreateEncoder()
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range ingesttest.H264(n, 10, frameTime) {
		var nals [][]byte
		for nal := range ingest.NALs(unit.Data) {
			nals = append(nals, nal)
		}
		packets, err := encoder.Encode(nals)
		if err != nil {
			t.Fatal(err)
		}
		for _, packet := range packets {
			packet.Timestamp = uint32(unit.PTS.Milliseconds() * 90)
			raw, err := packet.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, interleaved(0, raw))
		}
	}
	return all
}

// numbered is an RTP packet with another number and time stamp.
func numbered(raw []byte, number int, stamp uint32) []byte {
	raw = bytes.Clone(raw)
	binary.BigEndian.PutUint16(raw[2:], uint16(number))
	binary.BigEndian.PutUint32(raw[4:], stamp)
	return raw
}

// looped is RTP packet number i of ten pictures that are sent over and over.
func looped(ten [][]byte, i int) []byte {
	raw := ten[i%len(ten)][4:]
	loop := uint32(i / len(ten) * 10 * int(frameTime.Milliseconds()) * 90)
	return numbered(raw, i, loop+binary.BigEndian.Uint32(raw[4:]))
}

func interleaved(channel byte, raw []byte) []byte {
	frame := []byte{'$', channel, 0, 0}
	binary.BigEndian.PutUint16(frame[2:], uint16(len(raw)))
	return append(frame, raw...)
}
