package rtsp

import (
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

const (
	// keyframeEvery is how often at most a keyframe is asked for.
	keyframeEvery = time.Second
	// patientAsks is how many requests for the lost picture (PLI) may stay without
	// a keyframe before the stricter full intra request (FIR) is sent instead.
	patientAsks = 2
)

// feedback is how a camera lets itself be asked for a keyframe.
type feedback struct {
	pli bool // picture loss indication, RFC 4585, 6.3.1
	fir bool // full intra request, RFC 5104, 4.3.1
}

// feedbackOf reads the profile and the lines a=rtcp-fb of a section. Where the
// profile allows feedback and names none, any may be sent (RFC 4585, 4.2); where
// neither is there none is, since that is what plain cameras expect.
func feedbackOf(profile string, lines []string) feedback {
	f, named := feedback{}, false
	for _, line := range lines {
		value, is := strings.CutPrefix(line, "a=rtcp-fb:")
		if !is {
			continue
		}
		named = true
		fields := strings.Fields(strings.ToLower(value))
		f.pli = f.pli || len(fields) == 3 && fields[1] == "nack" && fields[2] == "pli"
		f.fir = f.fir || len(fields) >= 3 && fields[1] == "ccm" && fields[2] == "fir"
	}
	if !named && (strings.HasSuffix(profile, "/AVPF") || strings.HasSuffix(profile, "/SAVPF")) {
		f.pli = true
	}
	return f
}

// keyframes asks a camera for a keyframe, where it lets itself be asked: at the
// start, after loss, and when somebody wants one; again and again, at a bounded
// rate, until it comes. Its methods may be called from any goroutine.
type keyframes struct {
	allowed feedback
	own     uint32 // our SSRC

	mu    sync.Mutex
	wants bool
	last  time.Time
	asked int // without a keyframe since
	fir   uint8
}

func (k *keyframes) want() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wants = true
}

// came is called with each keyframe.
func (k *keyframes) came() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wants, k.asked = false, 0
}

// request returns what to send to the sender with that SSRC, nil when none is
// due. Feedback travels behind a report (RFC 4585, 3.1).
func (k *keyframes) request(sender uint32, now time.Time) rtcp.Packet {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.wants || !k.allowed.pli && !k.allowed.fir || now.Sub(k.last) < keyframeEvery {
		return nil
	}
	k.last = now
	k.asked++
	var ask rtcp.Packet = &rtcp.PictureLossIndication{SenderSSRC: k.own, MediaSSRC: sender}
	if k.allowed.fir && (!k.allowed.pli || k.asked > patientAsks) {
		k.fir++
		ask = &rtcp.FullIntraRequest{SenderSSRC: k.own, FIR: []rtcp.FIREntry{{SSRC: sender, SequenceNumber: k.fir}}}
	}
	return &rtcp.CompoundPacket{
		&rtcp.ReceiverReport{SSRC: k.own},
		rtcp.NewCNAMESourceDescription(k.own, "sightline"),
		ask,
	}
}
