package webrtc_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	pion "github.com/pion/webrtc/v3"

	"sightline/ingest/webrtc"
)

const fragmentType = "application/trickle-ice-sdpfrag"

// split takes the candidates out of an offer.
func split(offer string) (bare string, candidates []string) {
	var out strings.Builder
	for line := range strings.Lines(offer) {
		if strings.HasPrefix(line, "a=candidate:") {
			candidates = append(candidates, line)
		} else if !strings.HasPrefix(line, "a=end-of-candidates") {
			out.WriteString(line)
		}
	}
	return out.String(), candidates
}

// attribute is the first of that name in a description.
func attribute(sdp, name string) string {
	_, rest, _ := strings.Cut(sdp, "a="+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// patch sends a fragment to the publisher's session.
func (p *publisher) patch(t *testing.T, url, kind, tag, body string) (int, http.Header) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if tag != "" {
		r.Header.Set("If-Match", tag)
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, response.Header
}

// A publisher whose offer has no candidates brings them later; ours are in the
// answer, and are withheld from it here, so that theirs are what connects.
func TestTrickledCandidatesConnect(t *testing.T) {
	source := newSource(nil)
	p := newPublisher(endpoint(t, source), h264)
	packets, _ := runInBackground(t, source)
	var candidates []string
	p.change = func(offer string) string {
		var bare string
		bare, candidates = split(offer)
		return bare
	}
	p.changeAnswer = func(answer string) string {
		bare, _ := split(answer)
		return bare
	}
	l := goLive(t, p)
	if len(candidates) == 0 {
		t.Fatal("no candidates to trickle")
	}
	offer := l.peer.LocalDescription().SDP
	body := fmt.Sprintf("a=ice-ufrag:%s\r\na=ice-pwd:%s\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n%sa=end-of-candidates\r\n",
		attribute(offer, "ice-ufrag"), attribute(offer, "ice-pwd"), strings.Join(candidates, ""))
	if status, _ := p.patch(t, p.session, fragmentType, p.etag, body); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	waitFor(t, "packet", packets)
}

func TestTrickleRules(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Token = "t0ken" })
	p := newPublisher(endpoint(t, source), vp8)
	p.token = "t0ken"
	packets, ended := runInBackground(t, source)
	l := goLive(t, p)
	waitFor(t, "packet", packets)
	offer := l.peer.LocalDescription().SDP
	own := "a=ice-ufrag:" + attribute(offer, "ice-ufrag") + "\r\na=ice-pwd:" + attribute(offer, "ice-pwd") + "\r\n"
	const more = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.9 40000 typ host\r\n"
	for _, c := range []struct {
		name, url, kind, tag, body string
		want                       int
	}{
		{"a candidate", p.session, fragmentType, p.etag, own + more, 204},
		{"any tag", p.session, fragmentType, "*", own + more, 204},
		{"one of several tags", p.session, fragmentType, `"x", ` + p.etag, own + more, 204},
		{"the end", p.session, fragmentType, p.etag, own + "a=end-of-candidates\r\n", 204},
		{"a name that we do not look up", p.session, fragmentType, p.etag, own + strings.ReplaceAll(more, "192.0.2.9", "cam.local"), 204},
		{"more than there may be", p.session, fragmentType, p.etag, own + strings.Repeat(more, 100), 204},
		{"no tag", p.session, fragmentType, "", own + more, 428},
		{"another's tag", p.session, fragmentType, `"0123"`, own + more, 412},
		{"a weak tag", p.session, fragmentType, "W/" + p.etag, own + more, 412},
		{"ICE restart", p.session, fragmentType, "*", "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n" + more, 422},
		{"another type", p.session, "application/sdp", p.etag, own + more, 415},
		{"no fragment", p.session, fragmentType, p.etag, "hello", 400},
		{"a bad candidate", p.session, fragmentType, p.etag, own + "a=candidate:1 1 udp\r\n", 400},
		{"too long", p.session, fragmentType, p.etag, strings.Repeat("a=x\r\n", 10000), 413},
		{"no session", p.url + "/0123", fragmentType, p.etag, own + more, 404},
	} {
		status, header := p.patch(t, c.url, c.kind, c.tag, c.body)
		if status != c.want {
			t.Errorf("%s: %d, want %d", c.name, status, c.want)
		}
		if status == http.StatusUnsupportedMediaType && header.Get("Accept-Patch") != fragmentType {
			t.Errorf("%s: Accept-Patch %q", c.name, header.Get("Accept-Patch"))
		}
	}
	if status, _ := (&publisher{client: p.client}).patch(t, p.session, fragmentType, p.etag, own+more); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", status)
	}
	if len(ended) > 0 || l.peer.ConnectionState() != pion.PeerConnectionStateConnected {
		t.Error("the session did not live through it")
	}
}

func TestWhatAnEndpointSaysOfItself(t *testing.T) {
	for _, token := range []string{"", "t0ken"} {
		source := newSource(func(c *webrtc.Config) {
			c.Token = token
			c.Ports = openPorts(t, webrtc.PortsConfig{Listen: "127.0.0.1", ICEServers: []webrtc.ICEServer{
				{URL: "stun:stun.example"}, {URL: "turn:turn.example?transport=udp", Username: "u", Password: "c"},
			}})
		})
		p := newPublisher(endpoint(t, source), vp8)
		p.token = token
		runInBackground(t, source)
		var header http.Header
		p.onAnswer = func(h http.Header) { header = h }
		untilReady(t, p, http.StatusCreated)
		links := header.Values("Link")
		if len(links) != 2 || links[0] != `<stun:stun.example>; rel="ice-server"` ||
			links[1] != `<turn:turn.example?transport=udp>; rel="ice-server"; username="u"; credential="c"; credential-type="password"` {
			t.Errorf("Link %q", links)
		}
		if header.Get("ETag") == "" || header.Get("Accept-Patch") != fragmentType || !strings.HasPrefix(header.Get("Location"), "/whip/gate/") {
			t.Errorf("answered with %v", header)
		}
		for url, methods := range map[string]string{p.url: "POST, OPTIONS", p.session: "PATCH, DELETE, OPTIONS"} {
			asker := &publisher{client: p.client} // a browser asks without credentials
			status, h, _, err := asker.request(context.Background(), http.MethodOptions, url, "")
			if err != nil || status != http.StatusOK || h.Get("Accept-Post") != "application/sdp" || h.Get("Allow") != methods || h.Get("Link") != "" {
				t.Errorf("OPTIONS: %d %v %v", status, h, err)
			}
			want := ""
			if token != "" {
				want = methods
			}
			if h.Get("Access-Control-Allow-Methods") != want || (h.Get("Access-Control-Allow-Origin") == "*") != (token != "") {
				t.Errorf("with token %q pages from elsewhere may %q", token, h.Get("Access-Control-Allow-Methods"))
			}
		}
	}
}
