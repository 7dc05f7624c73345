package spec

import (
	"fmt"
	"slices"
	"time"
)

func (c *checker) stream(s *Stream) {
	path := "streams." + s.Name
	c.addresses(s, path)
	if s.Kind == WHIP && c.root.get("web") == nil {
		c.bad(path+".url", "needs `web:`: publishers connect to it")
	}
	c.streamDetect(s, path)
	c.streamTLS(s, path)
	c.quality(&s.Quality)
	for key, d := range map[string]time.Duration{"timeout": s.Timeout, "every": s.Every} {
		if at := path + "." + key; d == 0 && c.written(at) && !c.failed(at) {
			c.bad(at, "must be above 0")
		}
	}
	for _, z := range s.Zones {
		at := fmt.Sprintf("%s.zones.%s.polygon", path, z.Name)
		if !c.failed(at) {
			c.polygon(z.Polygon, at)
		}
	}
	for _, l := range s.Lines {
		at := fmt.Sprintf("%s.lines.%s.points", path, l.Name)
		if len(l.Points) == 2 && !c.failed(at) && l.Points[0] == l.Points[1] {
			c.bad(at, "both points are the same")
		}
	}
}

// written tells whether a file or override says the value at path.
func (c *checker) written(path string) bool { _, ok := c.origins[path]; return ok }

// addresses settles where the stream is read from, and moves credentials out of
// the urls.
func (c *checker) addresses(s *Stream, path string) {
	own := c.root.get("streams").get(s.Name)
	url, main := path+".url", path+".url"
	switch {
	case own.get("url") != nil && own.get("urls") != nil:
		c.bad(path+".urls", "given besides url: a stream has one or the other")
		return
	case own.get("url") == nil && own.get("urls") == nil && !c.failed(path):
		c.bad(url, "missing")
		return
	case s.URLs != nil:
		main = path + ".urls.main"
		s.URL = s.URLs.Main.URL
	}
	if s.URL != "" {
		s.Kind, s.Path, _ = sourceOf(s.URL)
		c.ownAddress(s, own, main, path)
	}
	if s.URLs != nil && c.pulled(s.address(), main) {
		s.URLs.Main.URL = s.URL // its credentials are the stream's
		c.further(&s.URLs.Sub, path+".urls.sub")
	}
	for i := range s.Fallback {
		c.further(&s.Fallback[i], itemPath(path+".fallback", "", i))
	}
	if len(s.Fallback) > 0 && s.Kind != "" && !s.Kind.pulled() {
		c.bad(path+".fallback", "a stream of kind %s has no other address", s.Kind)
	}
}

// ownAddress moves the credentials of the stream's own address to its keys.
func (c *checker) ownAddress(s *Stream, own *node, at, path string) {
	a := Address{URL: s.URL, Kind: s.Kind}
	if err := a.takeCredentials(); err != nil {
		c.bad(at, "%v", err)
		return
	}
	s.URL = a.URL
	if a.Username == "" && a.Password.IsZero() {
		return
	}
	for _, key := range []string{"username", "password"} {
		if n := own.get(key); n != nil && !n.inherited {
			c.bad(path+"."+key, "given here and in the url")
			return
		}
		c.origins[path+"."+key] = c.where(at)
	}
	s.Username, s.Password, s.ownLogin = a.Username, a.Password, true
}

// further checks an address besides the stream's own.
func (c *checker) further(a *Address, at string) {
	if a.IsZero() || c.failed(at) || !c.pulled(*a, at) {
		return
	}
	if err := a.takeCredentials(); err != nil {
		c.bad(at, "%v", err)
	}
}

// pulled refuses what cannot stand beside another address.
func (c *checker) pulled(a Address, at string) bool {
	if a.Kind != "" && !a.Kind.pulled() && !c.failed(at) {
		c.bad(at, "want the address of a camera or server, not of kind %s", a.Kind)
		return false
	}
	return true
}

// streamDetect settles which of a camera's two streams is analyzed.
func (c *checker) streamDetect(s *Stream, path string) {
	d := &s.Detect
	if own := c.root.get("streams").get(s.Name).get("detect").get("optimize"); own != nil && !own.inherited {
		c.optimize(d.Optimize, path+".detect.optimize")
	}
	sub := s.URLs != nil && !s.URLs.Sub.IsZero()
	from := c.root.get("streams").get(s.Name).get("detect").get("from")
	if d.From == "sub" && !sub && !c.failed(path+".urls") {
		if !from.inherited {
			c.bad(path+".detect.from", "there is no urls.sub")
		}
		d.From = "main"
	}
	if d.From == "" {
		d.From = "main"
		if sub {
			d.From = "sub"
		}
	}
}

// streamTLS refuses settings of TLS that nothing would use.
func (c *checker) streamTLS(s *Stream, path string) {
	n := c.root.get("streams").get(s.Name).get("tls")
	if s.TLS == nil || n == nil || c.failed(path) {
		return
	}
	if s.TLS.Insecure && s.TLS.CA != "" {
		c.bad(path+".tls", "insecure takes any certificate: leave out ca, or insecure")
	}
	if !n.inherited && !slices.ContainsFunc(s.addresses(), Address.secure) {
		c.bad(path+".tls", "no address of this stream speaks TLS, as rtsps, https, wheps and rtmps do")
	}
}

// quality watches for everything where nobody says.
func (c *checker) quality(q *Quality) {
	if q.Watch == nil {
		q.Watch = []string{"frozen", "black", "covered", "blurred", "moved"}
	}
}
