package spec

import (
	"slices"
	"time"
)

func (c *checker) rules() {
	seen := map[string]bool{}
	for i := range c.p.Rules {
		r := &c.p.Rules[i]
		path := itemPath("rules", r.Name, i)
		if r.Name != "" && seen[r.Name] {
			c.report.add(c.itemAt("rules", i), path, "a second rule of this name")
			continue
		}
		seen[r.Name] = true
		c.rule(r, path)
	}
}

// itemAt is where the nth item of a list starts.
func (c *checker) itemAt(list string, n int) Origin {
	if l := c.root.get(list); l != nil && n < len(l.items) {
		return l.items[n].at
	}
	return c.where(list)
}

func (c *checker) rule(r *Rule, path string) {
	if r.Kind == "dwell" && r.For == 0 && !c.failed(path+".for") {
		c.bad(path+".for", "must be above 0")
	}
	if r.Kind == "count" {
		if (r.Every < time.Second || 24*time.Hour%r.Every != 0) && !c.failed(path+".every") {
			c.bad(path+".every", "%s does not divide a day into windows of 1s or more, as 15m, 1h or 24h do", shortDuration(r.Every))
		}
		if _, err := time.LoadLocation(r.Timezone); err != nil || r.Timezone == "Local" {
			c.bad(path+".timezone", "%q is no timezone of the IANA database, as Europe/Berlin and UTC are", r.Timezone)
		}
	}
	if len(c.p.Streams) > 0 && c.ruleStreams(r, path) && r.Kind != "" {
		c.rulePlace(r, path)
	}
}

// rulePlace checks that a stream of the rule's has the line or zone it watches.
func (c *checker) rulePlace(r *Rule, path string) {
	key, name := "line", r.Line
	if r.Zone != "" {
		key, name = "zone", r.Zone
	}
	if name == "" {
		return
	}
	for i := range c.p.Streams {
		s := &c.p.Streams[i]
		mayApply := len(r.Streams) == 0 || slices.Contains(r.Streams, s.Name)
		if r.AppliesTo(s) || mayApply && c.unread(s.Name, key+"s") {
			return
		}
	}
	which := "no stream"
	if len(r.Streams) > 0 {
		which = "none of the rule's streams"
	}
	c.report.suggest(c.where(path+"."+key), path+"."+key, nearest(name, c.p.places(key)), "%s has a %s %q", which, key, name)
}

// unread tells whether a stream's lines or zones are there but no map, so that
// nobody knows their names. Where one of them is wrong its name is known still.
func (c *checker) unread(stream, places string) bool {
	n := c.root.get("streams")
	for _, key := range []string{stream, places} {
		if n = n.get(key); n != nil && n.kind != mapNode {
			return true
		}
	}
	return false
}

// ruleStreams checks that the streams a rule names exist.
func (c *checker) ruleStreams(r *Rule, path string) bool {
	var names []string
	for i := range c.p.Streams {
		names = append(names, c.p.Streams[i].Name)
	}
	ok := true
	for i, name := range r.Streams {
		if !slices.Contains(names, name) {
			at := itemPath(path+".streams", "", i)
			c.report.suggest(c.where(at), at, nearest(name, names), "there is no stream %q", name)
			ok = false
		}
	}
	return ok
}

// places lists the names of all zones or lines.
func (p *Pipeline) places(key string) []string {
	var out []string
	for i := range p.Streams {
		if key == "line" {
			for _, l := range p.Streams[i].Lines {
				out = append(out, l.Name)
			}
			continue
		}
		for _, z := range p.Streams[i].Zones {
			out = append(out, z.Name)
		}
	}
	return out
}
