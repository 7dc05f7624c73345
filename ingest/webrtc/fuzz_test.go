package webrtc

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
)

// whole is an offer that can be answered: browser's with what its transport needs.
var whole = strings.ReplaceAll(browser, "a=sendonly\r\n", "a=sendonly\r\na=mid:0\r\na=rtcp-mux\r\na=setup:actpass\r\n"+
	"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"+
	"a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n")

const trickledBody = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" +
	"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n" +
	"a=candidate:3471623853 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\na=end-of-candidates\r\n"

func FuzzOffer(f *testing.F) {
	f.Add(browser)
	f.Add(whole)
	f.Add(strings.Replace(browser, "98 96", "300 x", 1))
	f.Add(strings.Replace(whole, "actpass", "active", 1))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		if (len(o.video) == 0) == (err == nil) {
			t.Errorf("%d codecs and %v", len(o.video), err)
		}
		for _, c := range o.video {
			if codec, ok := codecOf(nameOf(c.MimeType), c.SDPFmtpLine); !ok || codec == "" {
				t.Errorf("%s is taken and cannot be received", c.MimeType)
			}
			parameterSets(c.SDPFmtpLine)
		}
		checkAnswer(text)
		ports := &Ports{}
		if ports.Announce(text) != text {
			t.Error("a description is changed")
		}
	})
}

func FuzzSDPFrag(f *testing.F) {
	f.Add(trickledBody)
	f.Add("a=candidate:1 1 udp 1 cam.local 9 typ host\n")
	f.Add("m=video 9\r\n")
	f.Add("a=candidate:x 256 udp 4294967295 :: 65535 typ relay raddr 0.0.0.0 rport 0 ufrag\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		fragment, err := parseFragment(text)
		if err != nil {
			return
		}
		if len(text) > maxFragment {
			t.Error("a long one is taken")
		}
		known := map[string]bool{}
		for _, u := range fragment.ufrags {
			known[u] = true
		}
		if fragment.restarts(known) {
			t.Error("its own names are others'")
		}
		if len(fragment.candidates) > strings.Count(text, "candidate:") {
			t.Errorf("%d candidates", len(fragment.candidates))
		}
		for _, c := range fragment.candidates {
			if checkCandidate(strings.TrimPrefix(c.candidate, "candidate:")) != nil || strings.ContainsAny(c.candidate+c.mid, "\n") {
				t.Errorf("%q of %q", c.candidate, c.mid)
			}
		}
	})
}

// FuzzServeHTTP sends anything to an endpoint whose source runs: what can be
// answered goes through the whole of the library.
func FuzzServeHTTP(f *testing.F) {
	config := Defaults()
	config.Token, config.Timeout = "t0ken", 5*time.Second
	source := New(config, "gate", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			source.Run(ctx, func(ingest.Packet) error { return nil })
		}
	}()
	f.Cleanup(func() {
		cancel()
		<-done
	})
	f.Add("POST", "", sdpType, "", whole)
	f.Add("POST", "", sdpType, "", strings.Replace(whole, "m=audio 9", "m=application 9", 1))
	f.Add("PATCH", "current", fragmentType, "*", trickledBody)
	f.Add("PATCH", "current", fragmentType, `"x", W/"y"`, "a=ice-ufrag:other\r\n")
	f.Add("DELETE", "current", "", "", "")
	f.Add("OPTIONS", "", "", "", "")
	f.Fuzz(func(t *testing.T, method, session, kind, match, body string) {
		if strings.ContainsAny(method, " \t\r\n") || method == "" {
			t.Skip("no method")
		}
		r := &http.Request{
			Method: method, URL: &url.URL{Path: "/whip/gate"}, Header: http.Header{"Authorization": {"Bearer t0ken"}, "Content-Type": {kind}, "If-Match": {match}},
			Body: io.NopCloser(strings.NewReader(body)),
		}
		if c := source.session(); session == "current" && c != nil {
			session = c.id
		}
		r.SetPathValue("session", session)
		w := httptest.NewRecorder()
		source.ServeHTTP(w, r)
		switch w.Code {
		case 200, 201, 204, 400, 404, 405, 406, 409, 412, 413, 415, 422, 428, 503:
		default:
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if body == whole && method == http.MethodPost && session == "" && kind == sdpType && w.Code != http.StatusCreated {
			t.Errorf("a good offer gets %d: %s", w.Code, w.Body)
		}
		if w.Code == http.StatusCreated {
			if c := source.session(); c != nil {
				c.leave(errLeft)
			}
		}
	})
}
