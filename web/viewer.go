package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/pipelines"
)

// When a browser is taken for gone.
const (
	viewerSilent = 5 * time.Second
	viewerLost   = 10 * time.Second
	viewerAlive  = 2 * time.Second // how often it is asked
)

var (
	errLeft      = errors.New("the viewer left")
	errChanged   = errors.New("the stream's codec changed")
	errJumped    = errors.New("the stream's time jumped back")
	errReordered = errors.New("pictures are shown in another order than sent")
)

// feed is what a viewer watches.
type feed struct {
	sub   *pipelines.Subscription[ingest.Packet]
	codec ingest.Codec
	first ingest.Packet // taken from sub already
}

// viewer is one WHEP session.
type viewer struct {
	id, stream string
	feed       *feed
	pipeline   Pipeline

	peer      *webrtc.PeerConnection
	track     *webrtc.TrackLocalStaticRTP
	join      sync.Once
	once      sync.Once
	connected chan struct{}
	done      chan struct{}
}

// negotiate answers the offer once all candidates are known. After an error
// nothing is left of it.
func (v *viewer) negotiate(ctx context.Context, offer string) (answer string, err error) {
	codec, err := chosen(offer, v.feed.first)
	if err != nil {
		return "", err
	}
	if v.peer, err = newPeer(codec, v.pipeline.Ports()); err != nil {
		return "", fmt.Errorf("set up a viewer: %w", err)
	}
	defer func() {
		if err != nil {
			v.peer.GracefulClose()
		}
	}()
	v.peer.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			v.join.Do(func() { close(v.connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateDisconnected:
			v.shut()
		}
	})
	if v.track, err = webrtc.NewTrackLocalStaticRTP(codec.RTPCodecCapability, "video", v.stream); err != nil {
		return "", err
	}
	sender, err := v.peer.AddTrack(v.track)
	if err != nil {
		return "", fmt.Errorf("set up a viewer: %w", err)
	}
	if err = v.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", refuse(http.StatusBadRequest, "the offer is not usable: %v", err)
	}
	local, err := v.peer.CreateAnswer(nil)
	if err != nil {
		return "", refuse(http.StatusBadRequest, "the offer cannot be answered: %v", err)
	}
	gathered := webrtc.GatheringCompletePromise(v.peer)
	if err = v.peer.SetLocalDescription(local); err != nil {
		return "", refuse(http.StatusBadRequest, "the offer cannot be answered: %v", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	go v.feedback(sender)
	return v.pipeline.Ports().Announce(v.peer.LocalDescription().SDP), nil
}

// feedback passes a browser's wish for a keyframe on; it ends with the peer.
func (v *viewer) feedback(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.pipeline.RequestKeyframe(v.stream)
			}
		}
	}
}

// shut ends the session; it may be called from anywhere, any number of times.
func (v *viewer) shut() { v.once.Do(func() { close(v.done) }) }

// send sends packets until the session ends, and says why it did. A viewer that
// falls behind, or a stream that lost something, waits for the next keyframe.
func (v *viewer) send() error {
	out := &outlet{
		track: v.track, codec: v.feed.codec, waiting: true,
		packets: rtp.NewPacketizer(1200, 0, 0, formats[v.feed.codec].payloader(), rtp.NewRandomSequencer(), clockRate),
	}
	early := backlog{}
	early.add(v.feed.first)
	for connected, missed := v.connected, uint64(0); ; {
		select {
		case <-v.done:
			return errLeft
		case <-connected:
			connected = nil
			if len(early) == 0 {
				v.pipeline.RequestKeyframe(v.stream)
			}
			for _, p := range early {
				if err := out.send(p); err != nil {
					return err
				}
			}
			early = nil
		case p := <-v.feed.sub.C:
			if connected != nil {
				early.add(p)
				continue
			}
			if n := v.feed.sub.Missed.Load(); n != missed || p.Break {
				missed, out.waiting = n, true
				v.pipeline.RequestKeyframe(v.stream)
			}
			if err := out.send(p); err != nil {
				return err
			}
		}
	}
}

// backlog is the latest keyframe and what followed it, for a viewer who is not
// connected yet.
type backlog []ingest.Packet

const longestBacklog = 64

func (b *backlog) add(p ingest.Packet) {
	switch {
	case p.Keyframe:
		*b = append((*b)[:0], p)
	case len(*b) >= longestBacklog || p.Break:
		*b = nil // wait for the next keyframe
	case len(*b) > 0:
		*b = append(*b, p)
	}
}

// outlet turns access units into RTP.
type outlet struct {
	track   *webrtc.TrackLocalStaticRTP
	codec   ingest.Codec
	packets rtp.Packetizer
	waiting bool // for a keyframe

	epoch     string
	pts       time.Duration
	captured  time.Time
	reversals int
}

// How far time may step back, and how often pictures, before a browser would no
// longer follow.
const (
	longestStepBack = time.Second
	mostReversals   = 2
)

func (o *outlet) send(p ingest.Packet) error {
	if p.Codec != o.codec {
		return errChanged // the page asks again
	}
	if p.Epoch != o.epoch {
		o.epoch, o.waiting, o.reversals = p.Epoch, true, 0
	} else if p.PTS < o.pts {
		if o.reversals++; o.reversals > mostReversals {
			return errReordered
		}
	}
	o.pts = p.PTS
	if o.waiting && !p.Keyframe {
		return nil
	}
	if p.Captured.Before(o.captured.Add(-longestStepBack)) {
		return errJumped
	}
	o.waiting, o.captured = false, p.Captured
	for _, packet := range o.packets.Packetize(p.Data, 0) {
		packet.Timestamp = RTPTime(p.Captured)
		if err := o.track.WriteRTP(packet); err != nil {
			return fmt.Errorf("send to the viewer: %w", err)
		}
	}
	return nil
}

// RTPTime is the RTP time stamp of a picture captured then: microseconds since
// 1970 at 90 kHz, modulo 2^32. A browser computes the same from an event's time
// and so draws each box over the picture it belongs to.
func RTPTime(captured time.Time) uint32 {
	return uint32(uint64(captured.UnixMicro()) * 9 / 100)
}
