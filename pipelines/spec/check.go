package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	_ "time/tzdata" // so that a rule's timezone does not depend on the machine
)

// checker decodes the pipeline and then looks for what no single value shows.
type checker struct {
	*decoder
	root *node
	p    *Pipeline
}

func (c *checker) run() {
	c.structure(c.root, reflect.ValueOf(c.p).Elem(), "")
	c.origins[""] = c.root.at
	if c.p.Site == "" {
		c.p.Site = c.p.Name
	}
	if streams := c.root.get("streams"); streams != nil && streams.kind == mapNode && len(c.p.Streams) == 0 {
		c.bad("streams", "want at least one stream")
	}
	c.detect(&c.p.Detect)
	if !c.failed("track") {
		c.track(&c.p.Track)
	}
	for i := range c.p.Streams {
		c.stream(&c.p.Streams[i])
	}
	c.rules()
	c.sinks()
	c.web()
}

// detect refuses what the format knows and this version does not run.
func (c *checker) detect(d *Detect) {
	if d.Engine == "tensorrt" {
		c.bad("detect.engine", "not available in this version: it runs on the CPU, with openvino or onnxruntime")
	}
	if strings.HasPrefix(d.Device, "cuda:") {
		c.bad("detect.device", "not available in this version: it runs on the CPU")
	}
}

// track keeps low <= high <= new: what nobody wrote gives way.
func (c *checker) track(t *Track) {
	written := func(key string) bool { _, ok := c.origins["track."+key]; return ok }
	if !written("low") {
		t.Low = min(t.Low, t.High)
	}
	if !written("new") {
		t.New = max(t.New, t.High)
	}
	if t.Low > t.High {
		c.bad("track.low", "%s is above track.high, %s", short(t.Low), short(t.High))
	}
	if t.New < t.High {
		c.bad("track.new", "%s is below track.high, %s", short(t.New), short(t.High))
	}
}

// bad reports a mistake about the value at path.
func (c *checker) bad(path, format string, args ...any) {
	c.report.add(c.where(path), path, format, args...)
}

// failed tells whether something at or below path was reported already.
func (c *checker) failed(path string) bool {
	return slices.ContainsFunc(c.report.found, func(d Diagnostic) bool {
		rest, ok := strings.CutPrefix(d.Path, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// itemPath is the key path of the nth item of rules or sinks.
func itemPath(list, name string, n int) string {
	if name == "" {
		return fmt.Sprintf("%s[%d]", list, n)
	}
	return join(list, name)
}

func (c *checker) stream(s *Stream) {
	path := "streams." + s.Name
	if s.URL != "" {
		s.Kind, s.Path, _ = sourceOf(s.URL)
	}
	if s.Kind == RTSP {
		c.camera(s, path)
	}
	if s.Kind == WHIP && c.root.get("web") == nil {
		c.bad(path+".url", "needs `web:`: publishers connect to it")
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

// camera moves credentials out of the url.
func (c *checker) camera(s *Stream, path string) {
	bare, user, password, err := credentials(s.URL)
	if err != nil {
		c.bad(path+".url", "%v", err)
		return
	}
	s.URL = bare
	if user == "" && password == "" {
		return
	}
	own := c.root.get("streams").get(s.Name)
	for _, key := range []string{"username", "password"} {
		if n := own.get(key); n != nil && !n.inherited {
			c.bad(path+"."+key, "given here and in the url")
			return
		}
		c.origins[path+"."+key] = c.where(path + ".url")
	}
	s.Username, s.Password = user, NewSecret(password)
}

func (c *checker) web() {
	w := c.p.Web
	if w == nil || c.failed("web") {
		return
	}
	host, ok := hostPort(w.Listen)
	switch {
	case !ok:
		c.bad("web.listen", "want HOST:PORT, such as 127.0.0.1:8080")
	case w.Auth == nil && !loopback(host):
		c.bad("web.listen", "reachable from other machines: add web.auth (username and password, or token), or listen on 127.0.0.1")
	case w.Auth != nil && (w.Auth.Username == "") != w.Auth.Password.IsZero():
		c.bad("web.auth", "want username and password together")
	case w.Auth != nil && w.Auth.Username == "" && w.Auth.Token.IsZero():
		c.bad("web.auth", "want username and password, or token")
	}
}
