package rtsp

import (
	"net/url"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/auth"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"

	"sightline/ingest/httpauth"
)

const (
	// maxRedirects is how often a camera may send us elsewhere.
	maxRedirects = 3
	// maxSessionTimeout bounds, in seconds, what is believed of a session's time to
	// live: a request a minute also keeps firewalls open.
	maxSessionTimeout = 150
)

// answers looks at what the camera answers and asks before the library does, and
// changes what the library would make too much of. Its methods are called on the
// client's one goroutine; other goroutines use offer and again only while the
// client waits for them.
type answers struct {
	target  *url.URL
	lost    func(error)
	offer   offered
	again   bool // the request that failed may succeed now
	anytime bool // PLAY goes without the Range header, which the camera refused

	asked     base.Method // the latest request
	playing   bool        // PLAY was sent
	redirects int
	elsewhere string       // where the camera sends us, and our credentials must not go
	sender    *auth.Sender // of the newest nonce; nil while the library's first is good
}

func (a *answers) onResponse(response *base.Response) {
	code := response.StatusCode
	switch {
	case code >= base.StatusMovedPermanently && code <= base.StatusUseProxy:
		a.redirect(response)
	case code == base.StatusUnauthorized:
		a.renew(response)
	case code == base.StatusSessionNotFound && a.playing:
		a.lost(errForgotten)
	case code == base.StatusInvalidRange && a.asked == base.Play:
		a.again, a.anytime = !a.anytime, true
	case (code == base.StatusMethodNotAllowed || code == base.StatusNotImplemented) && a.asked == base.Options:
		response.StatusCode = base.StatusOK // it tells what it knows by not knowing this
	case code == base.StatusOK && a.asked == base.Describe:
		a.describe(response)
	case code == base.StatusOK && a.asked == base.Setup:
		dateHeader(response)
	}
	shorten(response)
}

// describe leaves of a description what can be used.
func (a *answers) describe(response *base.Response) {
	a.offer = readOffer(response.Body)
	if len(a.offer.names) > 0 { // it is a description, whatever it is called
		response.Header["Content-Type"] = base.HeaderValue{"application/sdp"}
		response.Body = a.offer.text()
	}
}

// redirect stops redirects that go round in circles or would show our
// credentials to another host, or to another service of the same: without its
// target, the client reports a redirect as a failure.
func (a *answers) redirect(response *base.Response) {
	a.redirects++
	same := false
	if location := response.Header["Location"]; len(location) == 1 {
		if u, err := url.Parse(location[0]); err == nil {
			same = httpauth.SameOrigin(u, a.target)
			if a.target.User != nil && !same {
				a.elsewhere = u.Scheme + "://" + u.Host
			}
		}
	}
	if a.redirects > maxRedirects || a.target.User != nil && !same {
		delete(response.Header, "Location")
	}
}

// renew takes a camera's new nonce, since the library keeps to the first. An
// answer that only asks for credentials is the library's.
func (a *answers) renew(response *base.Response) {
	challenge := strings.ToLower(strings.Join(response.Header["WWW-Authenticate"], " "))
	if a.target.User == nil || !a.playing && !strings.Contains(challenge, "stale") {
		return
	}
	password, _ := a.target.User.Password()
	sender := &auth.Sender{WWWAuth: response.Header["WWW-Authenticate"], User: a.target.User.Username(), Pass: password}
	if sender.Initialize() == nil {
		a.sender, a.again = sender, true
	}
}

// onRequest signs with the newest nonce, and leaves out what the camera refused.
func (a *answers) onRequest(request *base.Request) {
	a.asked = request.Method
	a.playing = a.playing || request.Method == base.Play
	if a.anytime {
		delete(request.Header, "Range")
	}
	if a.sender != nil {
		a.sender.AddAuthorization(request)
	}
}

// onServerRequest lets the client answer what a camera asks to see whether we
// are there: it knows OPTIONS only, and ends the session at all else.
func (a *answers) onServerRequest(request *base.Request) {
	if request.Method == base.GetParameter || request.Method == base.SetParameter {
		request.Method = base.Options
	}
}

// shorten halves the session's time to live as the library sees it, so that one
// request to keep it alive may fail.
func shorten(response *base.Response) {
	var session headers.Session
	value, there := response.Header["Session"]
	if !there || session.Unmarshal(value) != nil || session.Timeout == nil || *session.Timeout == 0 {
		return
	}
	*session.Timeout = max(1, min(*session.Timeout, maxSessionTimeout)/2)
	response.Header["Session"] = session.Marshal()
}
