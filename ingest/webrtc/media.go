package webrtc

import (
	"encoding/base64"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

// clockRate is the RTP clock of all video formats.
const clockRate = 90000

const (
	// keyframeEvery is how often a keyframe is asked for at most.
	keyframeEvery = 500 * time.Millisecond
	// patientAsks is how many requests for the lost picture (PLI) may stay without
	// a keyframe before the stricter full intra request (FIR) goes along.
	patientAsks = 3
)

// readMedia reads RTP until the track ends, and says why it did.
func (c *session) readMedia(remote *pion.TrackRemote, receiver *rtp.Receiver) error {
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return errLeft
		}
		now := time.Now()
		c.heard.Store(now.UnixNano())
		err = c.order.Push(packet, now, func(p *pionrtp.Packet, at time.Time) error {
			return receiver.Push(p, at, c.deliver)
		})
		if err != nil {
			return err
		}
	}
}

// readReports reads RTCP about the track until it ends. Reading it is also what
// lets the peer connection see it.
func (c *session) readReports(from *pion.RTPReceiver, receiver *rtp.Receiver) {
	for {
		packets, _, err := from.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet := packet.(type) {
			case *rtcp.SenderReport:
				receiver.Report(packet, time.Now())
			case *rtcp.Goodbye:
				c.leave(errLeft)
			}
		}
	}
}

// keyframeAsker asks the publisher for a keyframe: at the start, after loss, and
// when somebody wants one; again and again, at a bounded rate, until it comes.
type keyframeAsker struct {
	peer  *pion.PeerConnection
	poke  chan struct{} // room for one: ask now
	wants atomic.Bool

	mu    sync.Mutex
	ssrc  uint32 // 0 until there is a track
	last  time.Time
	asked int // without a keyframe since
	fir   uint8

	dropped uint64 // units lost so far; of the goroutine that calls saw and missed
}

func (k *keyframeAsker) init(peer *pion.PeerConnection) {
	k.peer, k.poke = peer, make(chan struct{}, 1)
}

// watch begins with a track.
func (k *keyframeAsker) watch(ssrc pion.SSRC) {
	k.mu.Lock()
	k.ssrc = uint32(ssrc)
	k.mu.Unlock()
	k.wantNow()
}

func (k *keyframeAsker) wantNow() {
	k.wants.Store(true)
	select {
	case k.poke <- struct{}{}:
	default:
	}
}

// saw looks at what came, after so many units were lost.
func (k *keyframeAsker) saw(p ingest.Packet, dropped uint64) {
	k.missed(dropped)
	switch {
	case p.Keyframe:
		k.wants.Store(false)
		k.mu.Lock()
		k.asked = 0
		k.mu.Unlock()
	case p.Break:
		k.wantNow()
	}
}

// missed wants a keyframe when more units were lost, though none came after them.
func (k *keyframeAsker) missed(dropped uint64) {
	if dropped > k.dropped {
		k.dropped = dropped
		k.wants.Store(true)
	}
}

// ask sends the request if one is due.
func (k *keyframeAsker) ask(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.wants.Load() || k.ssrc == 0 || now.Sub(k.last) < keyframeEvery {
		return
	}
	k.last = now
	k.asked++
	requests := []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: k.ssrc}}
	if k.asked > patientAsks {
		k.fir++
		requests = append(requests, &rtcp.FullIntraRequest{
			MediaSSRC: k.ssrc, FIR: []rtcp.FIREntry{{SSRC: k.ssrc, SequenceNumber: k.fir}},
		})
	}
	k.peer.WriteRTCP(requests) // a request that gets lost is repeated
}

// nameOf is the format's name in a MIME type.
func nameOf(mimeType string) string {
	_, name, _ := strings.Cut(mimeType, "/")
	return name
}

// parameterSets reads sprop-parameter-sets (RFC 6184, 8.1), which some encoders
// send instead of repeating them in the stream.
func parameterSets(fmtp string) (sets [][]byte) {
	for text := range strings.SplitSeq(parameter(fmtp, "sprop-parameter-sets"), ",") {
		if set, err := base64.StdEncoding.DecodeString(text); err == nil && len(set) > 0 {
			sets = append(sets, set)
		}
	}
	return sets
}
