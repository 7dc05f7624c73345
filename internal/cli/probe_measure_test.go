package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/pipelines/spec"
)

// watched is what a look at these packets found.
func watched(length time.Duration, packets []ingest.Packet) *measured {
	m := &measured{began: time.Now()}
	for _, p := range packets {
		if m.packet(p); m.enough(length) {
			break
		}
	}
	return m
}

func TestMeasureGroups(t *testing.T) {
	const step = 40 * time.Millisecond
	for _, c := range []struct {
		name     string
		packets  []ingest.Packet
		seen     int
		gop      int
		gopTime  time.Duration
		fps      float64
		keyframe string
	}{
		{"two groups and two seconds", ingesttest.H264(500, 10, step), 51, 10, 400 * time.Millisecond, 25, "every 10 pictures, 0.4 s"},
		{"two long groups", ingesttest.H264(500, 60, step), 121, 60, 2400 * time.Millisecond, 25, "every 60 pictures, 2.4 s"},
		{"none to its end", ingesttest.H264(500, 250, step), 126, 0, 0, 25, "no second one in 5.0 s"},
		{"all keyframes", ingesttest.H264(500, 1, step), 51, 1, step, 25, "every picture"},
		{"one picture", ingesttest.H264(1, 1, step), 1, 0, 0, 0, "every picture"},
	} {
		m := watched(5*time.Second, c.packets)
		gop, length := m.longest()
		if m.packets != c.seen || gop != c.gop || length != c.gopTime || m.fps() != c.fps || m.reordered {
			t.Errorf("%s: %d packets, groups of %d, %v, %v a second", c.name, m.packets, gop, length, m.fps())
		}
		if text := m.report(&spec.Stream{}).keyframes(); !strings.HasPrefix(text, c.keyframe) {
			t.Errorf("%s: %q, want %q", c.name, text, c.keyframe)
		}
	}
	// A stream that begins anew is measured anew.
	twice := ingesttest.H264(20, 10, step)
	for i := range twice {
		twice[i].Epoch = "one"
	}
	again := slices.Clone(twice)
	for i := range again {
		again[i].Epoch = "two"
	}
	if m := watched(5*time.Second, append(twice, again...)); m.packets != 20 || m.keys != 2 {
		t.Errorf("%d packets, %d keyframes of two epochs", m.packets, m.keys)
	}
}

func TestAdvice(t *testing.T) {
	live := func(list []ingest.Packet, change func(*ingest.Packet)) []ingest.Packet {
		for i := range list {
			list[i].Received = time.Now()
			change(&list[i])
		}
		return list
	}
	const step = 40 * time.Millisecond
	none := func(*ingest.Packet) {}
	for _, c := range []struct {
		name   string
		kind   spec.SourceKind
		stream []ingest.Packet
		says   []string
	}{
		{"all well", spec.RTSP, live(ingesttest.H264(300, 25, step), func(p *ingest.Packet) { p.Clock = ingest.Clock{Source: ingest.ClockRTCP, Offset: 5 * time.Millisecond} }), nil},
		{"a file", spec.File, ingesttest.H264(300, 250, step), nil},
		{"long groups", spec.HLS, live(ingesttest.H264(500, 150, step), none), []string{"a keyframe every 6 s"}},
		{"longer than the look", spec.HLS, live(ingesttest.H264(500, 490, step), none), []string{"no second keyframe came in 15 s"}},
		{"wrong clock", spec.RTSP, live(ingesttest.H264(300, 25, step), func(p *ingest.Packet) { p.Clock = ingest.Clock{Source: ingest.ClockArrival, Offset: -time.Hour} }), []string{"clock is -1h0m0s from"}},
		{"no clock", spec.RTSP, live(ingesttest.H264(300, 25, step), func(p *ingest.Packet) { p.Clock.Source = ingest.ClockArrival }), []string{"no report of the camera's clock"}},
		{"loss", spec.WHEP, live(ingesttest.H264(300, 25, step), func(p *ingest.Packet) { p.Break = p.PTS == time.Second }), []string{"look at the network"}},
		{"H.265", spec.HLS, live(ingesttest.H264(300, 25, step), func(p *ingest.Packet) { p.Codec = ingest.H265 }), []string{"H.265: "}},
		{"Motion JPEG", spec.HTTP, live(ingesttest.H264(300, 1, step), func(p *ingest.Packet) { p.Codec = ingest.MJPEG }), []string{"Motion JPEG takes"}},
		{"B-frames", spec.SRT, live(ingesttest.H264(300, 25, step), func(p *ingest.Packet) {
			if n := p.PTS / step; n%4 == 1 {
				p.PTS += 2 * step
			}
		}), []string{"B-frames: "}},
	} {
		got := watched(15*time.Second, c.stream).advice(&spec.Stream{Kind: c.kind})
		if len(got) != len(c.says) {
			t.Errorf("%s: %q, want %q", c.name, got, c.says)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.says[i]) {
				t.Errorf("%s: %q, want %q", c.name, got[i], c.says[i])
			}
		}
	}
	m := watched(time.Second, live(ingesttest.H264(30, 10, step), func(p *ingest.Packet) { p.Break = p.PTS == 0; p.Clock.Source = ingest.ClockRTCP }))
	m.transport, m.width, m.frames, m.cpu, m.undecoded = "udp", 1920, 10, 100*time.Millisecond, 2
	if got := strings.Join(m.advice(&spec.Stream{Kind: spec.RTSP}), "\n"); !strings.Contains(got, "25 % of a core") || !strings.Contains(got, "transport: tcp") || !strings.Contains(got, "2 packets could not be decoded") {
		t.Error(got)
	}
}

func TestIsDevice(t *testing.T) {
	here := writeFile(t, "a file")
	for address, want := range map[string]bool{
		"10.0.0.3": true, "10.0.0.3:8000": true, "camera": true, "cam-1.example": true, "::1": true, "[fe80::1]:80": true,
		"http://10.0.0.3": true, "https://cam.example/": true, "http://10.0.0.3/onvif/device_service": true,
		"http://10.0.0.3/video": false, "http://10.0.0.3/?x": false, "rtsp://10.0.0.3": false, "pattern:": false, "images:x": false,
		"v4l2:/dev/video0": false, here: false, "clip.mp4": false, "./camera": false, "folder/x": false, "": false, "a b": false,
	} {
		if got := isDevice(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestStreamNameHoldsNoSecret(t *testing.T) {
	for address, want := range map[string]string{
		"rtsp://viewer:hunter2@10.0.0.3": "10-0-0-3", "rtsp://viewer:hunter2@10.0.0.3/main": "main", "http://h/a.mjpg?pwd=hunter2": "a",
		"rtsp://h/live?x=/hunter2": "live", "rtsp://hun%ter2": "stream", "clips/Shop Door.mp4": "shop-door",
	} {
		if got := streamName(address, map[string]bool{}); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
