package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sightline/internal/testkit"
	"sightline/sink"
	"sightline/sink/sinktest"
)

// raw is a server that reads a request's head and body, and then does as it likes with
// the text of it.
func raw(t *testing.T, answer func(conn *net.TCPConn, asked []byte)) string {
	t.Helper()
	return "http://" + testkit.Listen(t, func(conn net.Conn) {
		asked := make([]byte, 64<<10)
		if n, err := conn.Read(asked); err == nil {
			answer(conn.(*net.TCPConn), asked[:n])
		}
	}) + "/"
}

// Whatever a server does, Publish returns in time, with little read, and names what
// may not have arrived.
func TestMisbehavingServers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	say := func(text string) func(*net.TCPConn, []byte) {
		return func(conn *net.TCPConn, _ []byte) {
			io.WriteString(conn, text)
			io.Copy(io.Discard, conn) // until the other side has had enough
		}
	}
	for name, c := range map[string]struct {
		answer func(*net.TCPConn, []byte)
		want   string // in the error; empty: accepted
	}{
		"hangs":           {say(""), "no answer within 300ms"},
		"resets":          {func(conn *net.TCPConn, _ []byte) { conn.SetLinger(0) }, "reset"},
		"closes":          {func(*net.TCPConn, []byte) {}, "EOF"},
		"half a status":   {say("HTTP/1."), "no answer within 300ms"},
		"no HTTP":         {say("220 smtp.example ready\r\n"), "malformed"},
		"informs forever": {say(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 1000)), "no answer within"},
		"informs first":   {say("HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n"), ""},
		"switches":        {say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "something else"},
		"huge head":       {say(ok + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"), "headers exceed"},
		"huge body":       {endless(ok), ""},
		"huge refusal":    {endless("HTTP/1.1 400 Bad Request\r\n"), "400 Bad Request"},
		"body too short":  {func(conn *net.TCPConn, _ []byte) { io.WriteString(conn, ok+"Content-Length: 100\r\n\r\nhi") }, ""},
		"body too long":   {func(conn *net.TCPConn, _ []byte) { io.WriteString(conn, ok+"Content-Length: 1\r\n\r\nhi there") }, ""},
		"slow body":       {say(ok + "Content-Length: 100\r\n\r\nhi"), ""},
		"bad chunks":      {func(conn *net.TCPConn, _ []byte) { io.WriteString(conn, ok+"Transfer-Encoding: chunked\r\n\r\nzz\r\n") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Defaults()
			cfg.URL, cfg.Timeout = raw(t, c.answer), 300*time.Millisecond
			cfg.Batch = 2
			s := newSink(t, cfg)
			err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 2))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if partial, ok := errors.AsType[*sink.PartialError](err); ok && len(partial.Failed)+len(partial.Refused) != 2 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A peer that repeats what it was asked gives away nothing: not in an error.
func TestSecretsStayInside(t *testing.T) {
	for _, status := range []string{
		"what is ", "HTTP/1.1 ", "HTTP/1.1 400 no\r\nContent-Length: 9999\r\n\r\n", "HTTP/1.1 307 no\r\nLocation: ",
		"HTTP/1.1 400 ", "HTTP/1.1 599 ", "HTTP/1.1 307 no\r\nLocation: http://hunter2secret/\r\nX: ",
	} {
		cfg := Defaults()
		cfg.URL = raw(t, func(conn *net.TCPConn, asked []byte) { fmt.Fprintf(conn, "%s%q\r\n\r\n%s", status, asked, asked) }) + "x?token=hunter2token"
		cfg.Secret, cfg.Username, cfg.Password = func() string { return "hunter2secret" }, "u", func() string { return "hunter2\"pass" }
		cfg.Headers = map[string]func() string{"X-Key": func() string { return "Bearer hunter2\\header" }}
		err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "dTpodW50ZXIy") || strings.Contains(err.Error(), "no answer") {
			t.Errorf("after %q: %v", status, err)
		}
	}
}

// endless writes until nobody listens any more.
func endless(head string) func(*net.TCPConn, []byte) {
	return func(conn *net.TCPConn, _ []byte) {
		io.WriteString(conn, head+"Transfer-Encoding: chunked\r\n\r\n")
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 32<<10, strings.Repeat("x", 32<<10))
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}
}

// A dead receiver costs two time-outs a lane, not one an event.
func TestDeadReceiverIsNotAskedForEachEvent(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	cfg := Defaults()
	cfg.Timeout, cfg.Parallel = 200*time.Millisecond, 2
	cfg.URL = raw(t, func(conn *net.TCPConn, _ []byte) {
		mu.Lock()
		asked++
		mu.Unlock()
		io.Copy(io.Discard, conn)
	})
	s := newSink(t, cfg)
	if err := s.Publish(t.Context(), sinktest.Records([]string{"a", "b", "c", "d", "e", "f", "g"}, 1, 9)); err == nil {
		t.Fatal("accepted")
	}
	mu.Lock()
	defer mu.Unlock()
	if asked > 4 {
		t.Errorf("it was asked %d times", asked)
	}
}

func TestContextEndsAPublish(t *testing.T) {
	arrived := make(chan struct{}, 1)
	cfg := Defaults()
	cfg.Timeout = time.Minute
	cfg.URL = raw(t, func(conn *net.TCPConn, _ []byte) {
		arrived <- struct{}{}
		io.Copy(io.Discard, conn)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	err := newSink(t, cfg).Publish(ctx, sinktest.Records([]string{"a"}, 1, 3))
	partial, ok := errors.AsType[*sink.PartialError](err)
	if !errors.Is(err, context.Canceled) || !ok || len(partial.Failed) != 3 {
		t.Errorf("got %v", err)
	}
}

// A receiver that was restarted does not cost a failure: the connection kept is found
// dead and made again.
func TestConnectionKeptThatDied(t *testing.T) {
	cfg := Defaults()
	cfg.URL = raw(t, func(conn *net.TCPConn, _ []byte) { io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n") })
	s := newSink(t, cfg)
	for n := range uint64(5) {
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, n+1, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	ca := testkit.NewAuthority(t)
	ca.Issue(t, "server")
	ca.Issue(t, "camera")
	r := startReceiver(t, ca.Path("server.pem"), ca.Path("server.key"), ca.Path("ca.pem"))
	for name, c := range map[string]struct {
		tls  *sink.TLS
		want string
	}{
		"both sides known":      {&sink.TLS{CA: ca.Path("ca.pem"), Cert: ca.Path("camera.pem"), Key: ca.Path("camera.key")}, ""},
		"server not trusted":    {nil, "certificate signed by unknown authority"},
		"no client certificate": {&sink.TLS{CA: ca.Path("ca.pem")}, "certificate required"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := r.config()
			cfg.URL, cfg.TLS = strings.Replace(cfg.URL, "http:", "https:", 1), c.tls
			to := newSink(t, cfg)
			err := to.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
			// In TLS 1.3 a server refuses after our side is done: its hanging up may be seen before its reason.
			for range 100 {
				if c.want == "" || err == nil || strings.Contains(err.Error(), c.want) {
					break
				}
				err = to.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestValidateNamesEveryMistake(t *testing.T) {
	bad := Config{
		URL: "http://h/#x", Batch: 0, Parallel: 100, TLS: &sink.TLS{Key: "only"}, Password: func() string { return "" }, Secret: func() string { return "whsec_!" },
		Headers: map[string]func() string{"Content-type": nil, "a b": nil, "webhook-ID": nil, "X-Ok": nil},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"url: what follows #", "tls: the url is not https://", `headers: "Content-type" is set by`, `headers: "a b" is no`, `headers: "webhook-ID"`, "secret:", "password:",
		"batch: 0", "parallel: 100", "timeout:", "tls: want cert",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %q in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "X-Ok") {
		t.Errorf("complains about a good header: %v", err)
	}
	good := Defaults()
	for _, url := range []string{"", "h", "ftp://h", "https://", "https://u:hunter2@h/", "http://u:hunter2@h:x/"} {
		good.URL = url
		if err := good.Validate(); err == nil || !strings.HasPrefix(err.Error(), "url: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	good.URL = "https://h/x?y=z"
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "99999999": time.Hour, "-5": 0, "1.5": 0,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Wed, 31 Dec 2025 00:00:00 GMT": 0, "Thu, 01 Jan 2099 00:00:00 GMT": time.Hour,
	} {
		resp := &http.Response{Header: http.Header{"Retry-After": {text}}}
		if got := retryAfter(resp, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"7", "-1", "Thu, 01 Jan 2026 00:01:00 GMT", "99999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		resp := &http.Response{Header: http.Header{"Retry-After": {text}}}
		if got := retryAfter(resp, time.Now()); got < 0 || got > time.Hour {
			t.Errorf("%q: %v", text, got)
		}
	})
}
