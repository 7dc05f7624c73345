package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"sightline/pipelines/spec"
)

// auth lets in who presents the credentials of the pipeline's file. Without any,
// a server on loopback still refuses requests that a foreign web page makes
// through a name of its own (DNS rebinding).
type auth struct {
	username, password, token string
	loopback                  bool            // only this machine can reach the server
	guarded                   map[string]bool // streams whose publishers show a token of their own
}

func newAuth(sp *spec.Pipeline, loopback bool) *auth {
	out := &auth{loopback: loopback, guarded: map[string]bool{}}
	if a := sp.Web.Auth; a != nil {
		out.username, out.password, out.token = a.Username, a.Password.Reveal(), a.Token.Reveal()
	}
	for i := range sp.Streams {
		out.guarded[sp.Streams[i].Name] = sp.Streams[i].Token.Reveal() != ""
	}
	return out
}

func (a *auth) required() bool { return a.password != "" || a.token != "" }

// wrap puts the check, and what browsers must know of every answer, before next.
// Pages from elsewhere change nothing here, but may publish to a stream that has a
// token: no browser sends that by itself.
func (a *auth) wrap(next http.Handler) http.Handler {
	anyPage := next
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'self'")
		h.Set("Cache-Control", "no-cache")
		switch {
		case !a.required() && !localName(r.Host):
			http.Error(w, "this server answers to loopback names only", http.StatusForbidden)
		case a.open(r.URL.Path):
			anyPage.ServeHTTP(w, r)
		case !a.required(), a.allows(r):
			next.ServeHTTP(w, r)
		default:
			if a.password != "" {
				h.Add("WWW-Authenticate", `Basic realm="sightline", charset="UTF-8"`)
			}
			if a.token != "" {
				h.Add("WWW-Authenticate", `Bearer realm="sightline"`)
			}
			http.Error(w, "credentials are required", http.StatusUnauthorized)
		}
	})
}

// open says which paths need no credentials here: health, and publishing to a
// stream that has a token of its own, which its source checks.
func (a *auth) open(path string) bool {
	if path == "/healthz" || path == "/readyz" {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/whip/")
	stream, _, _ := strings.Cut(rest, "/")
	return ok && a.guarded[stream]
}

func (a *auth) allows(r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok {
		return a.password != "" && same(user, a.username) && same(password, a.password)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return a.token != "" && strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(token), a.token)
}

// same compares in a time that tells nothing of either.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// localName tells whether a Host header names this machine to itself.
func localName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
