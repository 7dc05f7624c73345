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
	errSilent     = errors.New("the publisher sends nothing")
	errLost       = errors.New("the connection to the publisher is lost")
	errNoKeyframe = errors.New("media comes, but no keyframe, although it was asked for")
	errStopped    = errors.New("session ended")
)

// session is one publisher. The peer connection calls back, and media is read,
// on goroutines that end with run.
type session struct {
	id     string
	stream string
	epoch  string
	config Config
	peer   *pion.PeerConnection
	keys   keyframeAsker

	tracks   chan track // room for one: the first video track
	receiver atomic.Pointer[rtp.Receiver]
	packets  chan ingest.Packet
	closing  chan struct{} // closed at the end of run, so that no reader holds it up
	left     chan error    // room for one: why the publisher is gone
	heard    atomic.Bool   // media came since the last look
}

type track struct {
	remote   *pion.TrackRemote
	receiver *pion.RTPReceiver
}

// newSession answers an offer. All our candidates are in the answer.
func newSession(ctx context.Context, s *Source, epoch, sdp string) (*session, string, error) {
	codecs, err := offeredCodecs(sdp)
	if err != nil {
		return nil, "", err
	}
	peer, err := newPeer(s.config, codecs, offeredSound(sdp))
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errOwn, err)
	}
	c := &session{
		id: newID(), stream: s.stream, epoch: epoch, config: s.config, peer: peer,
		tracks: make(chan track, 1), packets: make(chan ingest.Packet),
		closing: make(chan struct{}), left: make(chan error, 1),
	}
	c.keys.init(peer)
	peer.OnTrack(c.onTrack)
	peer.OnConnectionStateChange(c.onState)
	answer, err := negotiate(ctx, peer, sdp, s.config.Timeout)
	if err != nil {
		peer.GracefulClose()
		return nil, "", err
	}
	return c, answer, nil
}

// onTrack takes the first video track; others are left alone.
func (c *session) onTrack(remote *pion.TrackRemote, receiver *pion.RTPReceiver) {
	if remote.Kind() != pion.RTPCodecTypeVideo {
		return
	}
	select {
	case c.tracks <- track{remote, receiver}:
	default:
	}
}

func (c *session) onState(state pion.PeerConnectionState) {
	switch state {
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
	default:
	}
}

// run reads the publisher until it leaves, something fails or ctx ends.
func (c *session) run(ctx context.Context, emit func(ingest.Packet) error) error {
	var readers sync.WaitGroup
	defer func() {
		close(c.closing)
		c.peer.GracefulClose() // its errors are about what is gone already
		readers.Wait()
	}()
	silence := time.NewTimer(c.config.Timeout)
	defer silence.Stop()
	keyframe := time.NewTimer(c.config.KeyframeTimeout)
	keyframe.Stop()
	defer keyframe.Stop()
	ask := time.NewTicker(keyframeEvery)
	defer ask.Stop()
	for {
		select {
		case t := <-c.tracks:
			if err := c.start(t, &readers); err != nil {
				return err
			}
			keyframe.Reset(c.config.KeyframeTimeout)
		case p := <-c.packets:
			keyframe.Stop()
			c.heard.Store(false)
			c.keys.saw(p)
			if err := emit(p); err != nil {
				return err
			}
			silence.Reset(c.config.Timeout)
		case <-c.keys.poke:
			c.keys.ask(time.Now())
		case now := <-ask.C:
			c.keys.ask(now)
		case <-silence.C:
			if !c.heard.Swap(false) {
				return c.failure(ingest.ReasonTimeout, errSilent)
			}
			silence.Reset(c.config.Timeout)
		case <-keyframe.C:
			return c.failure(ingest.ReasonNoKeyframe, errNoKeyframe)
		case cause := <-c.left:
			reason := ingest.ReasonEnded
			if cause == errLost {
				reason = ingest.ReasonTimeout
			}
			return c.failure(reason, cause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// failure is errNeverCame as long as no media was received.
func (c *session) failure(reason ingest.Reason, cause error) error {
	if c.receiver.Load() == nil {
		return errNeverCame
	}
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("read the publisher: %w", cause)}
}

// start begins to read the track, beside run.
func (c *session) start(t track, readers *sync.WaitGroup) error {
	offered := t.remote.Codec()
	codec, _ := codecOf(nameOf(offered.MimeType), offered.SDPFmtpLine)
	receiver, err := rtp.NewReceiver(c.stream, c.epoch, codec, clockRate, parameterSets(offered.SDPFmtpLine))
	if err != nil {
		return &ingest.Error{Reason: ingest.ReasonUnsupportedCodec, Err: fmt.Errorf("read the publisher: %w", err)}
	}
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

func (c *session) wantKeyframe() { c.keys.wantNow() }

func (c *session) dropped() uint64 {
	if r := c.receiver.Load(); r != nil {
		return r.Dropped()
	}
	return 0
}

func (c *session) withheld() uint64 {
	if r := c.receiver.Load(); r != nil {
		return r.Withheld()
	}
	return 0
}
