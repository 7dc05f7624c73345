package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAddresses checks which addresses a stream is read from, in which order and
// with whose credentials.
func TestAddresses(t *testing.T) {
	p := load(t, `version: 1
name: x
defaults: { tls: { insecure: true } }
streams:
  keys:  { url: rtsp://h/1, username: u, password: p, fallback: [rtsp://h2/1, "rtsps://v:q@h3/1"] }
  own:   { url: "rtsp://u:p@h/1", fallback: [rtsp://h2/1] }
  two:   { urls: { main: "rtsp://u:p@h/1", sub: "http://v:q@h/2.mjpg" }, fallback: ["srt://h:9?passphrase=a%20b&mode=caller"] }
  main:  { urls: { main: rtsp://h/1, sub: rtsp://h/2 }, detect: { from: main } }
  alone: { urls: { main: rtsp://h/1 } }
  srt:   { url: "srt://h:9?latency=80&passphrase=a%26b&streamid=x/y" }
  film:  { url: clips/a.mp4 }
`)
	show := func(streams []Stream) string {
		var out []string
		for _, s := range streams {
			out = append(out, fmt.Sprintf("%s %s %s:%s", s.Kind, s.URL, s.Username, s.Password.Reveal()))
		}
		return strings.Join(out, ", ")
	}
	got := map[string][2]string{}
	for i := range p.Streams {
		s := &p.Streams[i]
		got[s.Name] = [2]string{show(s.Analyzed()), show(s.Viewed())}
	}
	want := map[string][2]string{
		"keys": {"rtsp rtsp://h/1 u:p, rtsp rtsp://h2/1 u:p, rtsp rtsps://h3/1 v:q", ""},
		"own":  {"rtsp rtsp://h/1 u:p, rtsp rtsp://h2/1 :", ""},
		"two": {
			"http http://h/2.mjpg v:q, srt srt://h:9?mode=caller :a b",
			"rtsp rtsp://h/1 u:p, srt srt://h:9?mode=caller :a b",
		},
		"main":  {"rtsp rtsp://h/1 :", ""},
		"alone": {"rtsp rtsp://h/1 :", ""},
		"srt":   {"srt srt://h:9?latency=80&streamid=x/y :a&b", ""},
		"film":  {"file file:clips/a.mp4 :", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := p.Streams[2]; s.Every == 0 || s.Transport == "" {
		t.Errorf("keys of an address's kind have no default: %+v", s)
	}
}

func TestPatternSize(t *testing.T) {
	for text, want := range map[string]string{
		"pattern:": "0 0 0", "pattern:640x360": "640 360 0", "pattern:640x360@12.5": "640 360 12.5", "pattern:@10": "0 0 10", "rtsp://h/1x1": "0 0 0",
	} {
		p := load(t, "version: 1\nname: x\nstreams: { a: { url: '"+text+"' } }\n")
		if got := fmt.Sprint(p.Streams[0].Size()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestRenderedAddresses loads again what was rendered, secrets masked.
func TestRenderedAddresses(t *testing.T) {
	p := load(t, `version: 1
name: x
quality: { watch: [] }
streams:
  two: { urls: { main: "rtsp://u:p@h/1", sub: "http://v%40w:q@h/2.mjpg" }, every: 2s, on_demand: true, fallback: ["srt://h:9?mode=caller&passphrase=secret", "rtsp://only@h/3"] }
  one: { url: "images:a/*.jpg", quality: { watch: [black], for: 3s }, decode: { skip: nonkey }, detect: { enabled: false } }
web: { media: { udp_port: 8189, addresses: [192.0.2.7] } }
`)
	render := func(p *Pipeline) string {
		var out strings.Builder
		if err := p.Render(&out); err != nil {
			t.Fatal(err)
		}
		return withoutOrigins(out.String())
	}
	first := render(p)
	if second := render(load(t, first)); first != second {
		t.Errorf("it changes when loaded again:\n%s", cmp.Diff(first, second))
	}
	for _, want := range []string{
		`main: rtsp://h/1`, `sub: "http://v%40w:***@h/2.mjpg"`, `"srt://h:9?mode=caller&passphrase=***"`, "only@h/3",
		"watch: []", "watch: [black]", "enabled: false", "from: sub", "on_demand: true", "udp_port: 8189",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("%s is not in:\n%s", want, first)
		}
	}
	if strings.Contains(first, " url: rtsp") {
		t.Errorf("url is shown beside urls:\n%s", first)
	}
}
