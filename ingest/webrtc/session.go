package webrtc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

var (
	errSilent     = errors.New("nothing comes any more")
	errLost       = errors.New("the connection is lost")
	errNoKeyframe = errors.New("media comes, but no keyframe, although it was asked for")
	errTorn       = errors.New("media comes, but no picture is whole any more")
	errStopped    = errors.New("session ended")
)

// setup is what a session is told at its beginning.
type setup struct {
	stream, epoch            string
	from                     string          // who sends, for errors
	ufrags                   map[string]bool // of the sender's ICE session
	timeout, keyframeTimeout time.Duration
}

// session is one peer that sends to us. The peer connection calls back, and media
// is read, on goroutines that end with run.
type session struct {
	setup
	id   string
	peer *pion.PeerConnection
	keys keyframeAsker

	tracks    chan track // room for one: the first video track
	receiver  atomic.Pointer[rtp.Receiver]
	order     rtp.Reorderer
	packets   chan ingest.Packet
	closing   chan struct{} // closed at the end of run, so that no reader holds it up
	left      chan error    // room for one: why the peer is gone
	connected atomic.Bool
	heard     atomic.Int64 // when media came last, or the session began: nanoseconds since 1970
	trickled  atomic.Int32 // candidates that came after the offer
}

type track struct {
	remote   *pion.TrackRemote
	receiver *pion.RTPReceiver
}

// newSession makes the session that receives from peer, which run closes.
func newSession(peer *pion.PeerConnection, s setup) *session {
	c := &session{
		setup: s, id: newID(), peer: peer,
		tracks: make(chan track, 1), packets: make(chan ingest.Packet),
		closing: make(chan struct{}), left: make(chan error, 1),
	}
	c.heard.Store(time.Now().UnixNano())
	c.keys.init(peer)
	peer.OnTrack(c.onTrack)
	peer.OnConnectionStateChange(c.onState)
	return c
}

// onTrack takes the first video track; others are left alone.
func (c *session) onTrack(remote *pion.TrackRemote, receiver *pion.RTPReceiver) {
	if remote.Kind() != pion.RTPCodecTypeVideo {
		return
	}
	select {
	case c.tracks <- track{remote, receiver}:
	default: // not lost: a session has one video track, others are left alone
	}
}

func (c *session) onState(state pion.PeerConnectionState) {
	switch state {
	case pion.PeerConnectionStateConnected:
		c.connected.Store(true)
	case pion.PeerConnectionStateFailed:
		c.leave(errLost)
	case pion.PeerConnectionStateClosed:
		c.leave(errLeft)
	}
}

// leave ends the session for a reason, the first time it is called.
func (c *session) leave(cause error) {
	select {
	case c.left <- cause:
	default: // not lost: a cause came before
	}
}

// trickle adds candidates that came after the offer, as many as there may be.
func (c *session) trickle(f fragment) {
	for _, t := range f.candidates {
		if c.trickled.Add(1) > mostCandidates {
			return
		}
		// One that is of no use here, such as a name, is left out.
		c.peer.AddICECandidate(pion.ICECandidateInit{Candidate: t.candidate, SDPMid: &t.mid})
	}
}

// sinceHeard is how long no media came.
func (c *session) sinceHeard() time.Duration {
	return time.Since(time.Unix(0, c.heard.Load()))
}

// quiet waits until no media came for d and returns true, or false as soon as it
// is certain that some did.
func (c *session) quiet(ctx context.Context, d time.Duration) bool {
	before := c.heard.Load()
	wait := time.NewTimer(d - c.sinceHeard())
	defer wait.Stop()
	select {
	case <-wait.C:
		return c.heard.Load() == before
	case <-c.closing:
		return true
	case <-ctx.Done():
		return false
	}
}

// run reads the peer until it leaves, something fails or ctx ends.
func (c *session) run(ctx context.Context, emit func(ingest.Packet) error) error {
	var readers sync.WaitGroup
	defer func() {
		close(c.closing)
		c.peer.GracefulClose() // its errors are about what is gone already
		readers.Wait()
	}()
	silence := time.NewTimer(c.timeout)
	defer silence.Stop()
	keyframe := time.NewTimer(c.keyframeTimeout)
	keyframe.Stop()
	defer keyframe.Stop()
	ask := time.NewTicker(keyframeEvery)
	defer ask.Stop()
	seen, latest, tracks := false, time.Now(), c.tracks
	for {
		select {
		case t := <-tracks:
			tracks = nil // of two pictures the first is taken
			if err := c.start(t, &readers); err != nil {
				return err
			}
			keyframe.Reset(c.keyframeTimeout)
		case p := <-c.packets:
			keyframe.Stop()
			seen = true
			c.keys.saw(p, c.dropped())
			if err := emit(p); err != nil {
				return err
			}
			latest = time.Now()
			silence.Reset(c.timeout)
		case <-c.keys.poke:
			c.keys.ask(time.Now())
		case now := <-ask.C:
			c.keys.missed(c.dropped())
			c.keys.ask(now)
			if !seen && c.withheld() > 0 {
				ingest.Withheld(ctx)
			}
		case <-silence.C:
			left := c.timeout - c.sinceHeard()
			switch {
			case left <= 0:
				return c.failure(errSilent)
			case seen && time.Since(latest) > max(c.timeout, c.keyframeTimeout):
				return c.failure(errTorn)
			}
			silence.Reset(left)
		case <-keyframe.C:
			return c.failure(errNoKeyframe)
		case cause := <-c.left:
			return c.failure(cause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// failure is errNeverCame as long as no media was received.
func (c *session) failure(cause error) error {
	if c.receiver.Load() == nil {
		return errNeverCame
	}
	reason := ingest.ReasonEnded
	switch cause {
	case errLost, errSilent:
		reason = ingest.ReasonTimeout
	case errNoKeyframe:
		reason = ingest.ReasonNoKeyframe
	case errTorn:
		reason = ingest.ReasonDamaged
	}
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("read the %s: %w", c.from, cause)}
}

// start begins to read the track, beside run.
func (c *session) start(t track, readers *sync.WaitGroup) error {
	offered := t.remote.Codec()
	codec, _ := codecOf(nameOf(offered.MimeType), offered.SDPFmtpLine)
	receiver, err := rtp.NewReceiver(c.stream, c.epoch, codec, clockRate, parameterSets(offered.SDPFmtpLine))
	if err != nil {
		return &ingest.Error{Reason: ingest.ReasonUnsupportedCodec, Err: fmt.Errorf("read the %s: %w", c.from, err)}
	}
	extensions := map[uint8]string{}
	for _, e := range t.receiver.GetParameters().HeaderExtensions {
		extensions[uint8(e.ID)] = e.URI
	}
	receiver.SetExtensions(extensions)
	c.receiver.Store(receiver)
	c.keys.watch(t.remote.SSRC())
	readers.Go(func() { c.leave(c.readMedia(t.remote, receiver)) })
	readers.Go(func() { c.readReports(t.receiver, receiver) })
	return nil
}

func (c *session) deliver(p ingest.Packet) error {
	select {
	case c.packets <- p:
		return nil
	case <-c.closing:
		return errStopped
	}
}

func (c *session) dropped() uint64 {
	if r := c.receiver.Load(); r != nil {
		return r.Dropped()
	}
	return 0
}

// losses is what was lost so far, nothing without a session.
func (c *session) losses() ingest.Losses {
	if c == nil || c.receiver.Load() == nil {
		return ingest.Losses{}
	}
	return c.receiver.Load().LossesWith(&c.order)
}

func (c *session) withheld() uint64 {
	if r := c.receiver.Load(); r != nil {
		return r.Withheld()
	}
	return 0
}
