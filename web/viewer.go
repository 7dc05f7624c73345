package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/pipelines"
)

// format is how a codec travels in RTP.
type format struct {
	capability webrtc.RTPCodecCapability
	payloader  func() rtp.Payloader
}

// formatOf returns false for a codec that browsers do not take over WebRTC.
func formatOf(c ingest.Codec) (format, bool) {
	capability := func(mime, fmtp string) webrtc.RTPCodecCapability {
		return webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp}
	}
	switch c {
	case ingest.H264:
		return format{
			capability(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
			func() rtp.Payloader { return &codecs.H264Payloader{} },
		}, true
	case ingest.VP8:
		return format{capability(webrtc.MimeTypeVP8, ""), func() rtp.Payloader { return &codecs.VP8Payloader{EnablePictureID: true} }}, true
	case ingest.VP9:
		return format{capability(webrtc.MimeTypeVP9, "profile-id=0"), func() rtp.Payloader { return &codecs.VP9Payloader{} }}, true
	case ingest.AV1:
		return format{capability(webrtc.MimeTypeAV1, ""), func() rtp.Payloader { return &codecs.AV1Payloader{} }}, true
	}
	return format{}, false
}

// feed is what a viewer watches.
type feed struct {
	sub    *pipelines.Subscription[ingest.Packet]
	codec  ingest.Codec
	format format
}

// viewer is one WHEP session.
type viewer struct {
	id, stream string
	feed       *feed
	pipeline   Pipeline
	log        *slog.Logger

	peer  *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	once  sync.Once
	done  chan struct{}
}

// negotiate answers the offer once all candidates are known. The status is for
// an error.
func (v *viewer) negotiate(ctx context.Context, offer string) (answer string, status int, err error) {
	api, err := newAPI()
	if err != nil {
		return "", http.StatusInternalServerError, err
	}
	if v.peer, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return "", http.StatusInternalServerError, err
	}
	defer func() {
		if err != nil {
			v.peer.Close()
		}
	}()
	v.peer.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateDisconnected:
			v.shut()
		}
	})
	if v.track, err = webrtc.NewTrackLocalStaticRTP(v.feed.format.capability, "video", v.stream); err != nil {
		return "", http.StatusInternalServerError, err
	}
	sender, err := v.peer.AddTrack(v.track)
	if err != nil {
		return "", http.StatusInternalServerError, err
	}
	if err = v.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", http.StatusBadRequest, fmt.Errorf("the offer is not usable: %w", err)
	}
	local, err := v.peer.CreateAnswer(nil)
	if err != nil {
		return "", http.StatusNotAcceptable, fmt.Errorf("no answer to the offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(v.peer)
	if err = v.peer.SetLocalDescription(local); err != nil {
		return "", http.StatusNotAcceptable, fmt.Errorf("%s is not in the offer: %w", v.feed.codec, err)
	}
	if len(sender.GetParameters().Codecs) == 0 {
		err = fmt.Errorf("%s is not in the offer: use frame.jpg", v.feed.codec)
		return "", http.StatusNotAcceptable, err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		err = ctx.Err()
		return "", http.StatusServiceUnavailable, err
	}
	go v.feedback(sender)
	return v.peer.LocalDescription().SDP, 0, nil
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

// send sends packets until the session ends. A viewer that falls behind misses
// everything up to the next keyframe.
func (v *viewer) send() {
	defer v.peer.Close()
	defer v.feed.sub.Close()
	packets := rtp.NewPacketizer(1200, 0, 0, v.feed.format.payloader(), rtp.NewRandomSequencer(), 90000)
	waiting, missed := true, uint64(0)
	for {
		select {
		case <-v.done:
			return
		case p := <-v.feed.sub.C:
			if n := v.feed.sub.Missed.Load(); n != missed {
				missed, waiting = n, true
			}
			if p.Codec != v.feed.codec {
				return // the page asks again
			}
			if waiting && !p.Keyframe {
				continue
			}
			waiting = false
			for _, out := range packets.Packetize(p.Data, 0) {
				out.Timestamp = RTPTime(p.Captured)
				if v.track.WriteRTP(out) != nil {
					return
				}
			}
		}
	}
}

// RTPTime is the RTP time stamp of a picture captured then: microseconds since
// 1970 at 90 kHz, modulo 2^32. A browser computes the same from an event's time
// and so draws each box over the picture it belongs to.
func RTPTime(captured time.Time) uint32 {
	return uint32(uint64(captured.UnixMicro()) * 9 / 100)
}
