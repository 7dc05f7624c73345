package rtsp

import (
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

// writeTimeout bounds requests, which are small: it is how long a farewell to a
// camera that reads no more can hold up the end of Run.
const writeTimeout = time.Second

var errStopped = errors.New("session ended")

// session is one connection to a camera. The client calls back on its own
// goroutines; units go through packets to the goroutine in pump.
type session struct {
	config Config
	stream string
	target *url.URL
	client *gortsplib.Client
	track  track

	receiver *rtp.Receiver
	packets  chan ingest.Packet
	closing  chan struct{} // closed before the client is, so that no callback holds it up
	ended    chan error    // one value: why the client stopped
	goodbye  chan struct{}
	bye      sync.Once
	heard    atomic.Bool // RTP came since the last look

	redirects int // of the client's one goroutine
}

// maxRedirects is how often a camera may send us elsewhere.
const maxRedirects = 3

func newSession(s *Source, target *url.URL, transport Transport) *session {
	c := &session{
		config: s.config, stream: s.stream, target: target,
		packets: make(chan ingest.Packet), closing: make(chan struct{}),
		ended: make(chan error, 1), goodbye: make(chan struct{}),
	}
	via := gortsplib.TransportTCP
	if transport == UDP {
		via = gortsplib.TransportUDP
	}
	c.client = &gortsplib.Client{
		Scheme: target.Scheme, Host: target.Host, Transport: &via, UserAgent: "sightline",
		ReadTimeout: s.config.ReadTimeout, WriteTimeout: writeTimeout, ListenPacket: listenUDP,
		// Loss shows in the packets' Break, bad packets in units dropped.
		OnResponse:        c.onResponse,
		OnPacketsLost:     func(uint64) {},
		OnDecodeError:     func(error) {},
		OnTransportSwitch: func(error) {},
	}
	return c
}

// udpBuffer holds the burst of packets of a large keyframe.
const udpBuffer = 2 << 20

// listenUDP opens a port with as much of udpBuffer as the system grants.
func listenUDP(network, address string) (net.PacketConn, error) {
	conn, err := net.ListenPacket(network, address)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil {
		_ = udp.SetReadBuffer(udpBuffer) // less is no reason not to try
	}
	return conn, err
}

// onResponse stops redirects that go round in circles or would show our
// credentials to another host: without its target, the client reports a redirect
// as a failure.
func (c *session) onResponse(response *base.Response) {
	if response.StatusCode < base.StatusMovedPermanently || response.StatusCode > base.StatusUseProxy {
		return
	}
	c.redirects++
	where := ""
	if location := response.Header["Location"]; len(location) == 1 {
		if u, err := url.Parse(location[0]); err == nil {
			where = u.Hostname()
		}
	}
	if c.redirects > maxRedirects || c.target.User != nil && where != c.target.Hostname() {
		delete(response.Header, "Location")
	}
}

// open asks for the camera's first video track and starts it.
func (c *session) open(epoch string) error {
	u := (*base.URL)(c.target)
	described, _, err := c.client.Describe(u)
	if err != nil {
		return failure(c.target, "describe", reasonOf(err), err)
	}
	if c.track, err = choose(described); err != nil {
		return failure(c.target, "describe", ingest.ReasonUnsupportedCodec, err)
	}
	c.receiver, err = rtp.NewReceiver(c.stream, epoch, c.track.codec, c.track.format.ClockRate(), c.track.params)
	if err != nil {
		return failure(c.target, "describe", ingest.ReasonUnsupportedCodec, err)
	}
	if _, err := c.client.Setup(described.BaseURL, c.track.media, 0, 0); err != nil {
		return failure(c.target, "setup", reasonOf(err), err)
	}
	c.client.OnPacketRTP(c.track.media, c.track.format, c.onRTP)
	c.client.OnPacketRTCP(c.track.media, c.onRTCP)
	if _, err := c.client.Play(nil); err != nil {
		return failure(c.target, "play", reasonOf(err), err)
	}
	return nil
}

func (c *session) onRTP(packet *pionrtp.Packet) {
	c.heard.Store(true)
	// deliver fails only when the session ends, and then nobody needs the error.
	_ = c.receiver.Push(packet, time.Now(), c.deliver)
}

func (c *session) deliver(p ingest.Packet) error {
	select {
	case c.packets <- p:
		return nil
	case <-c.closing:
		return errStopped
	}
}

// onRTCP runs beside onRTP where the transport is UDP. The client's own reading
// of reports is not used: it takes NTP's binary fraction for nanoseconds.
func (c *session) onRTCP(packet rtcp.Packet) {
	switch packet := packet.(type) {
	case *rtcp.SenderReport:
		c.receiver.Report(packet, time.Now())
	case *rtcp.Goodbye:
		c.bye.Do(func() { close(c.goodbye) })
	}
}
