package srt

import (
	"context"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/internal/testkit"
)

const passphrase = "correct-horse-battery"

// sender starts GStreamer's side and returns its address.
func sender(t *testing.T, args ...string) string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's: it has the GObject bindings
	probe := `import gi; gi.require_version("Gst", "1.0"); from gi.repository import Gst; Gst.init(None); assert Gst.ElementFactory.find("srtsink")`
	testkit.Require(t, "gst", exec.Command(python, "-c", probe).Run() == nil, "run `make setup-test` (GStreamer with srtsink)")
	return testkit.Peer(t, exec.Command(python, append([]string{"testdata/gst_srt.py"}, args...)...))
}

// freePort is a UDP port of this machine that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
}

func source(url string) *Source {
	c := Defaults()
	c.URL = url
	return New(c, "cam", slog.New(slog.DiscardHandler))
}

func TestContract(t *testing.T) {
	ingesttest.Run(t, ingesttest.Case{Name: "gst", Live: true, New: func(t *testing.T) ingest.Source {
		return source(sender(t))
	}})
}

func TestSenders(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		query string
		codec ingest.Codec
	}{
		{"h264", nil, "", ingest.H264},
		{"h264 with B-frames", []string{"--bframes=2"}, "", ingest.H264},
		{"h265", []string{"--codec=h265"}, "&streamid=live/cam", ingest.H265},
		{"encrypted", []string{"--passphrase=" + passphrase}, "&passphrase=" + passphrase, ingest.H264},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			packets, err := ingesttest.Read(t, source(sender(t, c.args...)+"?latency=1000"+c.query), 60) // a busy machine loses nothing
			if err != nil {
				t.Fatalf("%v after %d packets", err, len(packets))
			}
			check(t, packets, c.codec)
		})
	}
}

// check looks at pictures of the test sender: 25 a second, a keyframe each second.
func check(t *testing.T, packets []ingest.Packet, codec ingest.Codec) {
	t.Helper()
	keyframes := 0
	var longest time.Duration
	for i, p := range packets {
		if p.Codec != codec || p.Break || p.Clock.Source != ingest.ClockArrival {
			t.Errorf("packet %d: codec %s, break %v, clock %s", i, p.Codec, p.Break, p.Clock.Source)
		}
		if p.Keyframe {
			keyframes++
		}
		longest = max(longest, p.PTS)
	}
	if want := time.Duration(len(packets)-1) * 40 * time.Millisecond; (longest - want).Abs() > 200*time.Millisecond {
		t.Errorf("%d pictures take %v, want %v", len(packets), longest, want)
	}
	if keyframes != (len(packets)+24)/25 {
		t.Errorf("%d keyframes in %d pictures of 25 a second", keyframes, len(packets))
	}
}

// A listener is there before its sender.
func TestListener(t *testing.T) {
	port := freePort(t)
	done := make(chan error, 1)
	go func() {
		_, err := ingesttest.Read(t, source("srt://127.0.0.1:"+port+"?mode=listener"), 30)
		done <- err
	}()
	sender(t, "--call="+port)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListenerIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	began := time.Now()
	err := source("srt://:"+freePort(t)+"?mode=listener").Run(ctx, func(ingest.Packet) error { return nil })
	if took := time.Since(began); err != context.Canceled || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func TestFailures(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // takes datagrams, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	secret := "?passphrase=not-the-secret&streamid=a-secret"
	encrypted := sender(t, "--passphrase="+passphrase)
	for _, c := range []struct {
		name, url string
		reason    ingest.Reason
	}{
		{"silent", "srt://" + silent.LocalAddr().String() + secret, ingest.ReasonTimeout},
		{"nobody", "srt://127.0.0.1:" + freePort(t) + secret, ingest.ReasonTimeout},
		{"wrong passphrase", encrypted + secret, ingest.ReasonRefused},
		{"no passphrase", encrypted, ingest.ReasonRefused},
		{"unknown host", "srt://no-such-host.invalid:9000" + secret, ingest.ReasonFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := source(c.url)
			s.config.ReadTimeout = time.Second
			began := time.Now()
			packets, err := ingesttest.Read(t, s, 1)
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			if ingest.ReasonOf(err) != c.reason || len(packets) > 0 {
				t.Errorf("%q is %s after %d packets, want %s", err, ingest.ReasonOf(err), len(packets), c.reason)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%q shows a secret", err)
			}
		})
	}
}

func TestConnectingIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	began := time.Now()
	err := source("srt://127.0.0.1:"+freePort(t)).Run(ctx, func(ingest.Packet) error { return nil })
	if took := time.Since(began); err != context.Canceled || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func TestValidate(t *testing.T) {
	for url, want := range map[string]string{
		"srt://10.0.0.3:9000": "", "srt://[::1]:9000?mode=caller&latency=120&pbkeylen=32&streamid=x&passphrase=0123456789": "",
		"srt://:9000?mode=listener": "",
		"rtp://10.0.0.3:9000":       "does not begin with srt://",
		"srt://:9000":               "names no host",
		"srt://10.0.0.3":            "names no port",
		"srt://h:1?mode=rendezvous": "not one of caller, listener",
		"srt://h:1?latency=-1":      "not a number of milliseconds",
		"srt://h:1?pbkeylen=17":     "not one of 16, 24, 32",
		"srt://h:1?passphrase=tiny": "passphrase: has 4 bytes",
		"srt://h:1?pasphrase=x":     `"pasphrase" is not one of`,
		"srt://h:1?a=%zz":           "cannot be read",
		"srt://h:x":                 "cannot be read",
	} {
		c := Defaults()
		c.URL = url
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	c := Config{URL: "srt://h:1", Passphrase: "tiny"}
	if err := c.Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 || strings.Contains(err.Error(), "tiny") {
		t.Errorf("%v, want three mistakes", err)
	}
}
