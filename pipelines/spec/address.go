package spec

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// URLs are the two streams of one camera.
type URLs struct {
	// Main is the full stream, which people watch.
	Main Address `yaml:"main" jsonschema:"required"`
	// Sub is the small stream. Where it is given it is the one analyzed, unless detect.from says main.
	Sub Address `yaml:"sub"`
}

// Address is one place a stream can be read from. Its URL holds no credentials:
// loading moves them to Username and Password.
type Address struct {
	URL      string
	Kind     SourceKind
	Path     string // of a file or device, resolved; what follows pattern:
	Username string
	Password Secret
}

// IsZero tells whether there is no address.
func (a Address) IsZero() bool { return a.URL == "" }

// String is the address fit for logs, events and people: secrets masked, the
// user's name left out.
func (a Address) String() string { return maskParameters(a.URL) }

// text is the address as a file may say it, its secrets masked.
func (a Address) text() string {
	text := maskParameters(a.URL)
	scheme, rest, ok := strings.Cut(text, "://")
	login := url.User(a.Username).String()
	if !a.Password.IsZero() {
		login += ":" + mask
	}
	switch {
	case !ok || login == "":
		return text
	case a.Kind == SRT && strings.Contains(rest, "?"):
		return text + "&passphrase=" + mask
	case a.Kind == SRT:
		return text + "?passphrase=" + mask
	}
	return scheme + "://" + login + "@" + rest
}

// secure tells whether reading from the address speaks TLS.
func (a Address) secure() bool {
	scheme, _, _ := strings.Cut(strings.ToLower(a.URL), "://")
	switch scheme {
	case "rtsps", "https", "hls+https", "wheps", "rtmps":
		return true
	}
	return false
}

// address is the stream's own: url, or urls.main.
func (s *Stream) address() Address {
	return Address{s.URL, s.Kind, s.Path, s.Username, s.Password}
}

// addresses lists every address of the stream, its own first.
func (s *Stream) addresses() []Address {
	out := []Address{s.address()}
	if s.URLs != nil && !s.URLs.Sub.IsZero() {
		out = append(out, s.URLs.Sub)
	}
	return append(out, s.Fallback...)
}

// SafeURL is the stream's URL fit for logs and events: passwords that cameras
// take as part of the path or query are masked.
func (s *Stream) SafeURL() string { return s.address().String() }

// Clean masks the stream's secrets in a text that others wrote: a server's answer
// may repeat what it was asked.
func (s *Stream) Clean(text string) string {
	for _, secret := range []Secret{s.Password, s.Token} {
		plain := secret.Reveal()
		if len(plain) < leastSecret {
			continue
		}
		login := base64.StdEncoding.EncodeToString([]byte(s.Username + ":" + plain))
		for _, form := range []string{plain, url.QueryEscape(plain), url.PathEscape(plain), login} {
			text = strings.ReplaceAll(text, form, mask)
		}
	}
	return maskParameters(text)
}

// leastSecret is how long a secret is at least that is looked for in texts: a
// shorter one hides nothing, and is found everywhere.
const leastSecret = 3

// Size is what a test pattern's address asks for; 0 where it does not say.
func (s *Stream) Size() (width, height int, fps float64) {
	if s.Kind != Pattern {
		return 0, 0, 0
	}
	width, height, fps, _ = parsePattern(s.Path) // checked on loading
	return width, height, fps
}

// Analyzed lists what the stream's analysis may be read from, in order of
// preference: each is the stream with one address as its own.
func (s *Stream) Analyzed() []Stream {
	first := s.address()
	if s.FromSub() {
		first = s.URLs.Sub
	}
	return s.from(first)
}

// Viewed lists what people who watch are shown where that is not what is
// analyzed, in order of preference; nil where it is the same.
func (s *Stream) Viewed() []Stream {
	if !s.FromSub() {
		return nil
	}
	return s.from(s.address())
}

// Waits tells whether the stream's sender comes to us.
func (s *Stream) Waits() bool {
	return s.Kind == WHIP || s.Kind == SRT && strings.Contains(s.URL, "mode=listener")
}

// FromSub tells whether the small one of the stream's two is analyzed.
func (s *Stream) FromSub() bool { return s.URLs != nil && s.Detect.From == "sub" }

func (s *Stream) from(first Address) []Stream {
	var out []Stream
	for _, a := range append([]Address{first}, s.Fallback...) {
		one := *s
		one.URL, one.Kind, one.Path = a.URL, a.Kind, a.Path
		// Keys say who logs in everywhere; what an address says is for it alone.
		if a.Username != "" || !a.Password.IsZero() || s.ownLogin {
			one.Username, one.Password = a.Username, a.Password
		}
		out = append(out, one)
	}
	return out
}
