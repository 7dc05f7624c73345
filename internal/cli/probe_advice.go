package cli

import (
	"fmt"
	"strings"
	"time"

	"sightline/ingest"
	"sightline/pipelines/spec"
)

const (
	// longGroup is from when on the wait for a keyframe is worth a word.
	longGroup = 4 * time.Second
	// clockWrong is by how much a camera's clock may be off without one.
	clockWrong = time.Second
	// costly is the share of a core from which on decoding is worth a word.
	costly = 0.05
)

// advice is what to change, on the camera or in the file.
func (m *measured) advice(st *spec.Stream) []string {
	list := []string{}
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	_, group := m.longest()
	camera := m.live && st.Kind != spec.Pattern
	switch {
	case !m.live:
	case m.keys == 1 && m.last-m.first >= longGroup:
		say("no second keyframe came in %.0f s: after each interruption detections wait that long; set the camera's I-frame interval to 1 or 2 s", (m.last - m.first).Seconds())
	case group > longGroup:
		say("a keyframe every %.0f s: after each interruption detections wait that long; set the camera's I-frame interval to 1 or 2 s", group.Seconds())
	}
	if m.codec == ingest.H265 {
		say("H.265: some browsers cannot show it on the page; detection does not mind. H.264 is shown everywhere")
	}
	if m.codec == ingest.MJPEG && camera {
		say("Motion JPEG takes many times the network of H.264: if the camera has RTSP, `sightline probe HOST` finds it")
	}
	if m.reordered && camera && st.Kind != spec.HLS { // whose segments take longer anyway
		say("B-frames: pictures come later than they need to; switch them off on the camera")
	}
	if share := m.perPicture().Seconds() * m.fps(); st.Kind == spec.RTSP && share > costly && m.width >= 1280 {
		say("decoding takes %.0f %% of a core: if the camera has a small second stream, write urls: { main: …, sub: … } and it is the one analyzed", 100*share)
	}
	if m.clock.Offset.Abs() > clockWrong {
		say("the camera's clock is %s from this machine's: set its time server (NTP), so that events have true times", roughly(m.clock.Offset))
	} else if m.clock.Source == ingest.ClockArrival && st.Kind == spec.RTSP {
		say("no report of the camera's clock has come yet: until then events are dated by their arrival here")
	}
	if m.breaks > 0 && m.transport != "" && !strings.EqualFold(m.transport, "tcp") {
		say("pictures are lost on the way: write transport: tcp")
	} else if m.breaks > 0 && m.live {
		say("pictures are lost on the way: look at the network, or at how busy the camera is")
	}
	if m.undecoded > 0 || m.damaged > 0 {
		say("%d packets could not be decoded and %d pictures came out damaged", m.undecoded, m.damaged)
	}
	return list
}
