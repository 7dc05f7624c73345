package rtp_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtp"
)

const (
	captureID = 5
	// way is what a picture needs from the camera's sensor to here.
	way = 120 * time.Millisecond
)

// stampWith puts a capture time into a packet's header.
type stampWith func(t testing.TB, h *pion.Header, captured time.Time)

func absCapture(offset *time.Duration) stampWith {
	return func(t testing.TB, h *pion.Header, captured time.Time) {
		b := binary.BigEndian.AppendUint64(nil, rtp.ToNTP(captured))
		if offset != nil { // the capture system's clock is ahead of the sender's
			b = binary.BigEndian.AppendUint64(b[:0], rtp.ToNTP(captured.Add(*offset)))
			b = binary.BigEndian.AppendUint64(b, uint64(int64(offset.Seconds()*(1<<32))))
		}
		if err := h.SetExtension(captureID, b); err != nil {
			t.Fatal(err)
		}
	}
}

func onvif(t testing.TB, h *pion.Header, captured time.Time) {
	h.Extension, h.ExtensionProfile = true, 0xabac
	b := binary.BigEndian.AppendUint64(nil, rtp.ToNTP(captured))
	if err := h.SetExtension(0, append(b, 0x80, 7, 0, 0)); err != nil {
		t.Fatal(err)
	}
}

// play sends pictures, 40 ms apart and way late, of which every n-th is stamped, and returns
// what comes out.
func play(t testing.TB, r *rtp.Receiver, n int, stamp stampWith) (out []ingest.Packet) {
	t.Helper()
	_, packets := stream(t, ingest.H264, 100)
	for _, p := range packets {
		i := int(p.Timestamp / ticks)
		taken := arrival.Add(time.Duration(i) * 40 * time.Millisecond)
		if i%n == 0 && stamp != nil {
			stamp(t, &p.Header, taken)
		}
		raw, err := p.Marshal() // as it crosses the network
		if err != nil {
			t.Fatal(err)
		}
		var got pion.Packet
		if err := got.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		err = r.Push(&got, taken.Add(way), func(p ingest.Packet) error {
			out = append(out, p)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func newReceiver(t testing.TB, codec ingest.Codec) *rtp.Receiver {
	t.Helper()
	r, err := rtp.NewReceiver("gate", "1", codec, 90000, [][]byte{ingesttest.SPS, ingesttest.PPS})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Stamps on a few pictures, or all, name the capture time of each.
func TestCaptureStamps(t *testing.T) {
	ahead := 3 * time.Second
	for name, c := range map[string]struct {
		stamp stampWith
		every int
		want  ingest.ClockSource
	}{
		"all":             {absCapture(nil), 1, ingest.ClockAbsCapture},
		"every second":    {absCapture(nil), 25, ingest.ClockAbsCapture},
		"with offset":     {absCapture(&ahead), 7, ingest.ClockAbsCapture},
		"onvif":           {onvif, 1, ingest.ClockONVIF},
		"onvif, few":      {onvif, 30, ingest.ClockONVIF},
		"none":            {nil, 1, ingest.ClockArrival},
		"far too early":   {func(t testing.TB, h *pion.Header, at time.Time) { onvif(t, h, at.Add(-time.Hour)) }, 1, ingest.ClockArrival},
		"no clock at all": {func(t testing.TB, h *pion.Header, at time.Time) { onvif(t, h, time.Unix(0, 0)) }, 1, ingest.ClockArrival},
	} {
		r := newReceiver(t, ingest.H264)
		r.SetExtensions(map[uint8]string{3: "urn:ietf:params:rtp-hdrext:sdes:mid", captureID: rtp.AbsCaptureTime})
		out := play(t, r, c.every, c.stamp)
		if len(out) != 100 {
			t.Fatalf("%s: %d packets", name, len(out))
		}
		late := time.Duration(0)
		if c.want == ingest.ClockArrival {
			late = way
		}
		for i, p := range out {
			wrong := p.Captured.Sub(arrival.Add(time.Duration(i) * 40 * time.Millisecond))
			if p.Clock.Source != c.want || (wrong-late).Abs() > time.Microsecond {
				t.Errorf("%s: picture %d: %v off, clock %+v", name, i, wrong, p.Clock)
				break
			}
		}
		if r.Losses().Malformed != 0 {
			t.Errorf("%s: %d malformed", name, r.Losses().Malformed)
		}
	}
}

// Without negotiation the id means something else.
func TestCaptureStampsAreNegotiated(t *testing.T) {
	r := newReceiver(t, ingest.H264)
	for _, p := range play(t, r, 1, absCapture(nil)) {
		if p.Clock.Source != ingest.ClockArrival {
			t.Fatalf("clock %+v", p.Clock)
		}
	}
}

func TestMalformedExtensionsAreCounted(t *testing.T) {
	for name, stamp := range map[string]stampWith{
		"short":      func(t testing.TB, h *pion.Header, _ time.Time) { h.SetExtension(captureID, make([]byte, 7)) },
		"in between": func(t testing.TB, h *pion.Header, _ time.Time) { h.SetExtension(captureID, make([]byte, 12)) },
		"zero":       func(t testing.TB, h *pion.Header, _ time.Time) { h.SetExtension(captureID, make([]byte, 8)) },
		"onvif short": func(t testing.TB, h *pion.Header, _ time.Time) {
			h.Extension, h.ExtensionProfile = true, 0xabac
			h.SetExtension(0, []byte{1, 2, 3, 4, 5, 6, 7, 8})
		},
		"onvif zero": func(t testing.TB, h *pion.Header, _ time.Time) {
			h.Extension, h.ExtensionProfile = true, 0xabac
			h.SetExtension(0, make([]byte, 12))
		},
	} {
		r := newReceiver(t, ingest.H264)
		r.SetExtensions(map[uint8]string{captureID: rtp.AbsCaptureTime})
		out := play(t, r, 1, stamp)
		if len(out) != 100 || out[50].Clock.Source != ingest.ClockArrival || r.Losses().Malformed < 100 {
			t.Errorf("%s: %d packets, %d malformed", name, len(out), r.Losses().Malformed)
		}
	}
}

// A picture's own stamp is better than a report.
func TestStampsBeatReports(t *testing.T) {
	r := newReceiver(t, ingest.H264)
	r.Report(&rtcp.SenderReport{NTPTime: rtp.ToNTP(arrival.Add(-time.Second)), RTPTime: 0}, arrival.Add(way))
	out := play(t, r, 10, onvif)
	if last := out[len(out)-1]; last.Clock.Source != ingest.ClockONVIF || last.Clock.Offset != -time.Second-way {
		t.Errorf("clock %+v", last.Clock)
	}
}
