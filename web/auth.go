package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
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
	loopback                  bool
}

func newAuth(a *spec.Auth, loopback bool) *auth {
	out := &auth{loopback: loopback}
	if a != nil {
		out.username, out.password, out.token = a.Username, a.Password.Reveal(), a.Token.Reveal()
	}
	return out
}

func (a *auth) required() bool { return a.password != "" || a.token != "" }

func (a *auth) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.loopback && !localName(r.Host):
			http.Error(w, "this server answers to loopback names only", http.StatusForbidden)
		case !a.required(), open(r.URL.Path), a.allows(r):
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="sightline", charset="UTF-8"`)
			http.Error(w, "credentials are required", http.StatusUnauthorized)
		}
	})
}

// open says which paths need no credentials here: health, and publishing, which
// has a token of its own for each stream.
func open(path string) bool { return path == "/healthz" || strings.HasPrefix(path, "/whip/") }

func (a *auth) allows(r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok && a.password != "" {
		return same(user, a.username) && same(password, a.password)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && a.token != "" && same(token, a.token)
}

// same compares in a time that tells nothing of either.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// isLoopback tells whether only this machine can reach an address to listen on.
func isLoopback(listen string) (bool, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false, fmt.Errorf("%q is not HOST:PORT", listen)
	}
	return localHost(host), nil
}

func localName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return localHost(strings.Trim(host, "[]"))
}

func localHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
