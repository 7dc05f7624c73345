package rtmp

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

const (
	needAuth  = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
	challenge = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=viewer&salt=x+Yz0=&challenge=C1/a==&opaque=O2+b=="
	wrong     = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=O2"
)

// greet shakes hands as a server.
func greet(conn net.Conn) *chunkReader {
	hello := make([]byte, 1+handshakeSize)
	if _, err := io.ReadFull(conn, hello); err == nil { // else reading on fails, too
		conn.Write(append(append([]byte{version}, make([]byte, handshakeSize)...), hello[1:]...))
		io.ReadFull(conn, hello[1:])
	}
	return newChunkReader(conn)
}

// guarded is a server that asks for a password as Adobe's do, and refuses it. It
// sends the application's name of each call to asked.
func guarded(asked chan<- string) func(net.Conn) {
	return func(conn net.Conn) {
		in := greet(conn)
		for {
			m, err := in.next()
			if err != nil {
				return
			}
			c, ok, err := parseCommand(m)
			if err != nil || !ok || c.name != "connect" {
				continue
			}
			app := c.info().text("app")
			asked <- app
			text := needAuth
			switch {
			case strings.Contains(app, "response="):
				text = wrong
			case strings.Contains(app, "user="):
				text = challenge
			}
			info := object{{"level", "error"}, {"code", "NetConnection.Connect.Rejected"}, {"description", text}}
			size := appendMessage(nil, 2, message{kind: kindChunkSize, body: []byte{0, 0, outChunk >> 8, 0}})
			conn.Write(appendMessage(size, 3, message{kind: kindCommand, body: appendAMF(nil, "_error", 1.0, nil, info)}))
		}
	}
}

func TestLogin(t *testing.T) {
	asked := make(chan string, 10)
	address := server(t, guarded(asked))
	s := source("rtmp://viewer:geheim@" + address + "/live/cam")
	_, err := ingesttest.Read(t, s, 1)
	if ingest.ReasonOf(err) != ingest.ReasonUnauthorized || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v is %s", err, ingest.ReasonOf(err))
	}
	if len(asked) != 3 {
		t.Fatalf("connected %d times", len(asked))
	}
	want := "live?authmod=adobe&user=viewer"
	if one, two, three := <-asked, <-asked, <-asked; one != "live" || two != want || !strings.HasPrefix(three, want+"&challenge=") || !strings.HasSuffix(three, "&opaque=O2+b==") {
		t.Errorf("asked for %q, %q, %q", one, two, three)
	}
	if _, err := ingesttest.Read(t, source("rtmp://"+address+"/live/cam"), 1); ingest.ReasonOf(err) != ingest.ReasonUnauthorized {
		t.Errorf("without a password: %v is %s", err, ingest.ReasonOf(err))
	}
}

// TestLoginAgreesWithFFmpeg asks FFmpeg's client the same and compares answers.
func TestLoginAgreesWithFFmpeg(t *testing.T) {
	asked := make(chan string, 10)
	address := server(t, guarded(asked))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, ffmpeg(t), "-v", "quiet", "-nostdin", "-i", "rtmp://viewer:geheim@"+address+"/live/cam", "-f", "null", "-")
	if err := c.Run(); err == nil {
		t.Error("FFmpeg is let in")
	}
	if len(asked) != 3 {
		t.Fatalf("FFmpeg connects %d times", len(asked))
	}
	<-asked
	<-asked
	query := <-asked
	_, question, _ := strings.Cut(challenge, "?")
	theirs := parameters(query[strings.Index(query, "?")+1:])
	ours := answer(target{username: "viewer", password: "geheim"}, parameters(question), theirs["challenge"])
	if want := fmt.Sprintf("&challenge=%s&response=%s&opaque=%s", theirs["challenge"], theirs["response"], theirs["opaque"]); ours != want {
		t.Errorf("we answer %q, FFmpeg %q", ours, want)
	}
}

func TestRefusals(t *testing.T) {
	for code, want := range map[string]ingest.Reason{
		"NetStream.Play.StreamNotFound": ingest.ReasonNotFound, "NetConnection.Connect.InvalidApp": ingest.ReasonNotFound,
		"NetConnection.Connect.Rejected": ingest.ReasonRefused, "NetStream.Play.Failed": ingest.ReasonFailed,
	} {
		r := &refusal{object{{"level", "error"}, {"code", code}}}
		if r.reason() != want || !strings.Contains(r.Error(), code) {
			t.Errorf("%s: %s, %v", code, r.reason(), r)
		}
	}
	r := &refusal{object{{"code", "a\x1b[31m\n" + url.QueryEscape("b c")}}}
	if got := r.Error(); got != "the server answers a31mbc" {
		t.Errorf("%q", got)
	}
}
