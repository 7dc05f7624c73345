package rtsp

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

const (
	// farewell is how long a camera that reads no more can hold up the end of Run.
	farewell = time.Second
	// never is the library's time-outs: they look at what comes second by second,
	// and not at who holds it up, so that time is measured in pump instead.
	never = 24 * time.Hour
	// udpBuffer holds the burst of packets of a large keyframe.
	udpBuffer = 2 << 20
)

// session is one connection to a camera. The client calls back on its own
// goroutines; units go through packets to the goroutine in pump.
type session struct {
	source    *Source
	target    *url.URL
	transport Transport
	epoch     string
	client    *gortsplib.Client
	links     links
	answers

	stage     atomic.Pointer[string] // of opening
	track     track
	receiver  *rtp.Receiver
	order     rtp.Reorderer // of packets that come by UDP
	keyframes keyframes
	sender    atomic.Uint32 // SSRC
	faults    faults

	packets chan ingest.Packet
	closing chan struct{} // closed before the client is, so that no callback holds it up
	opened  chan error    // one value: whether the camera plays
	ended   chan error    // one value: why the client stopped
	over    chan error    // room for one: the camera told that the stream ended
	heard   atomic.Bool   // RTP came since the last look
}

func newSession(s *Source, target *url.URL, transport Transport) (*session, error) {
	c := &session{
		source: s, target: target, transport: transport,
		epoch:   ingest.LiveEpoch(),
		packets: make(chan ingest.Packet), closing: make(chan struct{}),
		opened: make(chan error, 1), ended: make(chan error, 1), over: make(chan error, 1),
	}
	c.answers = answers{target: target, lost: c.lose}
	c.stage.Store(new("connect"))
	secure, err := s.config.TLS.Client(target.Hostname())
	if err != nil {
		return nil, failure(target, "connect", ingest.ReasonFailed, err)
	}
	via := transport.library()
	c.client = &gortsplib.Client{
		Scheme: target.Scheme, Host: target.Host, Transport: &via, UserAgent: "sightline", TLSConfig: secure,
		ReadTimeout: never, WriteTimeout: s.config.Timeout, DialContext: c.links.dial, ListenPacket: listenUDP,
		AnyPortEnable: true, // some cameras do not tell the UDP ports they send from; their address must match
		OnRequest:     c.onRequest, OnResponse: c.onResponse, OnServerRequest: c.onServerRequest,
		// Loss shows in the packets' Break, and is counted by the receiver.
		OnPacketsLost:     func(uint64) {},
		OnDecodeError:     c.onFault,
		OnTransportSwitch: func(error) {},
	}
	return c, nil
}

func (t Transport) library() gortsplib.Transport {
	switch t {
	case UDP:
		return gortsplib.TransportUDP
	case Multicast:
		return gortsplib.TransportUDPMulticast
	}
	return gortsplib.TransportTCP
}

// listenUDP opens a port with as much of udpBuffer as the system grants.
func listenUDP(network, address string) (net.PacketConn, error) {
	conn, err := net.ListenPacket(network, address)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil {
		_ = udp.SetReadBuffer(udpBuffer) // less is no reason not to try
	}
	return conn, err
}

// open asks for the camera's first video track and starts it.
func (c *session) open() error {
	var described *base.URL
	err := c.ask("describe", func() error {
		session, _, err := c.client.Describe((*base.URL)(c.target))
		if err == nil {
			described = session.BaseURL
		}
		return err
	})
	var faulty liberrors.ErrClientSDPInvalid // then choose says what is wrong
	if err != nil && !errors.As(err, &faulty) {
		return err
	}
	var bad error
	if c.track, bad = choose(c.offer); bad != nil {
		return failure(c.target, "describe", ingest.ReasonUnsupportedCodec, bad)
	} else if err != nil {
		return err
	}
	c.receiver, err = rtp.NewReceiver(c.source.stream, c.epoch, c.track.codec, c.track.format.ClockRate(), c.track.params)
	if err != nil {
		return failure(c.target, "describe", ingest.ReasonUnsupportedCodec, err)
	}
	c.receiver.SetExtensions(c.track.extensions)
	if c.transport != TCP {
		c.track.media, c.track.format = tap(c.track.media, c.track.format, c.onRTP)
	}
	var agreed *base.Response
	if err := c.ask("setup", func() error {
		agreed, err = c.client.Setup(described, c.track.media, 0, 0)
		return err
	}); err != nil {
		return err
	}
	if c.transport != UDP || tellsPorts(agreed) {
		c.keyframes.allowed = c.track.feedback
	}
	c.keyframes.own = c.client.Stats().Session.Medias[c.track.media].Formats[c.track.format].LocalSSRC
	if c.transport == TCP {
		c.client.OnPacketRTP(c.track.media, c.track.format, c.onRTP)
	}
	c.client.OnPacketRTCP(c.track.media, c.onRTCP)
	return c.ask("play", func() error {
		_, err := c.client.Play(nil)
		return err
	})
}

// tellsPorts says whether the camera named the UDP ports where it listens: the
// library fails when it is to write to a camera that did not.
func tellsPorts(agreed *base.Response) bool {
	var transport headers.Transport
	return transport.Unmarshal(agreed.Header["Transport"]) == nil && transport.ServerPorts != nil &&
		min(transport.ServerPorts[0], transport.ServerPorts[1]) > 1 // 0 and 1 are taken for none
}

// ask makes a request, and once more when the camera only wants it put another way.
func (c *session) ask(stage string, request func() error) error {
	c.stage.Store(&stage)
	c.again = false
	err := request()
	if err != nil && c.again {
		err = request()
	}
	if err != nil && c.elsewhere != "" {
		err = fmt.Errorf("%w: sent on to %s, which is not given the password; write that address if it is right", err, c.elsewhere)
	}
	if err != nil {
		return failure(c.target, stage, reasonOf(err), err)
	}
	return nil
}

// leave ends everything but pump.
func (c *session) leave() {
	close(c.closing)
	c.links.part()
	c.client.Close()
}

// onRTP takes each packet as it arrives.
func (c *session) onRTP(packet *pionrtp.Packet) {
	c.heard.Store(true)
	c.faults.clear()
	c.sender.Store(packet.SSRC)
	// These fail only when the session ends, and then nobody needs the error.
	if now := time.Now(); c.transport == TCP {
		_ = c.collect(packet, now)
	} else {
		_ = c.order.Push(packet, now, c.collect)
	}
	c.requestKeyframe()
}

// collect takes the packets in sequence.
func (c *session) collect(packet *pionrtp.Packet, arrival time.Time) error {
	withheld := c.receiver.Withheld()
	err := c.receiver.Push(packet, arrival, c.deliver)
	if c.receiver.Withheld() > withheld {
		c.keyframes.want()
	}
	return err
}

// losses is what was lost so far, once the camera plays.
func (c *session) losses() ingest.Losses {
	return c.receiver.LossesWith(&c.order).Plus(ingest.Losses{Malformed: c.faults.malformed()})
}

func (c *session) onFault(err error) {
	if c.faults.note(err) {
		c.lose(errRestarted)
	}
}

// requestKeyframe sends a request if one is due. It does not block.
func (c *session) requestKeyframe() {
	if sender := c.sender.Load(); sender != 0 {
		if request := c.keyframes.request(sender, time.Now()); request != nil {
			_ = c.client.WritePacketRTCP(c.track.media, request) // one that gets lost is repeated
		}
	}
}

func (c *session) deliver(p ingest.Packet) error {
	switch {
	case p.Keyframe:
		c.keyframes.came()
	case p.Break:
		c.keyframes.want()
	}
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
		c.lose(errGoodbye)
	}
}

// lose ends the session for what the camera told; the first cause counts.
func (c *session) lose(cause error) {
	select {
	case c.over <- cause:
	default: // not lost: a cause came before
	}
}
