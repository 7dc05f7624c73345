package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	withPassword = "web: { listen: \"127.0.0.1:0\", auth: { username: anna, password: s3cret } }\n"
	withBoth     = "web: { listen: \"127.0.0.1:0\", auth: { username: anna, password: s3cret, token: t0ken } }\n"
	withToken    = "web: { listen: \"127.0.0.1:0\", auth: { token: t0ken } }\n"
)

func TestWhoIsLetIn(t *testing.T) {
	basic := func(user, password string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	for _, c := range []struct {
		name, web, path, host, authorization string
		want                                 int
	}{
		{"loopback without credentials", onLoopback, "/api/v1/sinks", "127.0.0.1:8080", "", 200},
		{"by name", onLoopback, "/api/v1/sinks", "LocalHost:8080", "", 200},
		{"IPv6", onLoopback, "/api/v1/sinks", "[::1]:8080", "", 200},
		{"rebound name", onLoopback, "/api/v1/sinks", "attacker.example:8080", "", 403},
		{"rebound name that begins well", onLoopback, "/api/v1/sinks", "127.0.0.1.attacker.example", "", 403},
		{"rebound name, publishing", onLoopback, "/whip/lobby", "attacker.example", "", 403},
		{"no host", onLoopback, "/", "", "", 403},
		{"nothing shown", withBoth, "/", "localhost", "", 401},
		{"password", withBoth, "/", "localhost", basic("anna", "s3cret"), 200},
		{"password through a proxy", withBoth, "/", "cams.example", basic("anna", "s3cret"), 200},
		{"wrong password", withBoth, "/", "localhost", basic("anna", "S3cret"), 401},
		{"wrong user", withBoth, "/", "localhost", basic("otto", "s3cret"), 401},
		{"token", withBoth, "/metrics", "localhost", "Bearer t0ken", 200},
		{"token, small letters", withBoth, "/metrics", "localhost", "bearer t0ken", 200},
		{"wrong token", withBoth, "/metrics", "localhost", "Bearer t0ke", 401},
		{"empty token where there is none", withPassword, "/", "localhost", "Bearer ", 401},
		{"empty password where there is none", withToken, "/", "localhost", basic("", ""), 401},
		{"health", withBoth, "/healthz", "localhost", "", 200},
		{"readiness", withBoth, "/readyz", "localhost", "", 200},
		{"publish without a token of its own", withBoth, "/whip/lobby", "localhost", "", 401},
		{"publish without a token of its own, session", withBoth, "/whip/lobby/1", "localhost", "", 401},
		{"publish with the web's", withBoth, "/whip/lobby", "localhost", "Bearer t0ken", 200},
		{"the stream checks its own token", withBoth, "/whip/guarded", "localhost", "Bearer lobby-t0ken", 200},
		{"and of its session", withBoth, "/whip/guarded/1", "localhost", "", 200},
		{"unknown stream", withBoth, "/whip/nobody", "localhost", "", 401},
		{"a path that only looks like it", withBoth, "/whip/guarded/../../api/v1/sinks", "localhost", "", 307},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", c.path, nil)
			r.Host = c.host
			r.Header.Set("Authorization", c.authorization)
			w := request(t, newFake(t, c.web), r)
			if w.Code != c.want {
				t.Errorf("status %d, want %d: %s", w.Code, c.want, w.Body)
			}
			if challenged := w.Header().Get("WWW-Authenticate") != ""; challenged != (w.Code == 401) {
				t.Errorf("challenge %v with status %d", challenged, w.Code)
			}
		})
	}
}

func TestForeignPagesCannotAct(t *testing.T) {
	r := httptest.NewRequest("DELETE", "/whep/gate/1", nil)
	r.Host = "localhost"
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := request(t, newFake(t, onLoopback), r); w.Code != http.StatusForbidden {
		t.Errorf("status %d of a foreign page's DELETE", w.Code)
	}
}

// Beyond loopback the spec refuses a file without credentials, and so does the
// server when it is handed one.
func TestBeyondLoopbackNeedsCredentials(t *testing.T) {
	p := newFake(t, onLoopback)
	p.spec.Web.Listen = ":0"
	if s, err := Listen(p, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "set web.auth") {
		t.Errorf("listens at %v, error %v", s, err)
	}
	p = newFake(t, withPassword)
	p.spec.Web.Listen = ":0"
	s, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.listener.Close()
}

func TestSecretsAreNotAnswered(t *testing.T) {
	for _, path := range []string{"/", "/api/v1/pipeline", "/api/v1/streams", "/api/v1/sinks", "/api/v1/ledger", "/metrics", "/whip/lobby"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer t0ken")
		body := request(t, withStreams(newFake(t, withBoth)), r).Body.String()
		for _, secret := range []string{"s3cret", "t0ken", "hunter2"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
}
