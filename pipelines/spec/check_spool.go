package spec

import (
	"path/filepath"
	"reflect"
)

// leastSpool is room for a few files, of which the oldest can go.
const leastSpool = 1 << 20

// spool fills in where a sink's events wait on disk, and where those go that will
// never be delivered.
func (c *checker) spool(s *Sink, i int, path string, taken *claims) {
	folder := filepath.Join(c.sinkFolder(i), "spool", s.Name)
	if sp := s.Spool; sp != nil && !c.failed(path+".spool") {
		c.spoolPath(sp, folder, path+".spool")
		folder = sp.Path
		taken.folder(c, sp.Path, s.Name, path+".spool")
		if sp.Max < leastSpool {
			c.bad(path+".spool.max", "want at least 1MiB")
		}
		c.whenFull(sp, path+".spool.when_full")
	}
	if s.Spool != nil && s.DeadLetter == nil { // who keeps events keeps those refused, too
		s.DeadLetter = &DeadLetter{}
		c.structure(&node{kind: mapNode}, reflect.ValueOf(s.DeadLetter).Elem(), path+".dead_letter")
	}
	if dl := s.DeadLetter; dl != nil && !c.failed(path+".dead_letter") && !c.failed(path+".spool") {
		if dl.Path == "" {
			dl.Path = filepath.Join(folder, "dead-letters.jsonl")
		}
		if dl.Path == stdoutPath {
			c.bad(path+".dead_letter.path", "want a file: standard output keeps nothing")
			return
		}
		taken.file(c, dl.Path, s.Name, path+".dead_letter.path")
	}
}

func (c *checker) spoolPath(sp *Spool, fallback, path string) {
	switch sp.Path {
	case "":
		sp.Path = fallback
	case stdoutPath:
		c.bad(path+".path", "want a folder: standard output keeps nothing")
	}
}

// whenFull lets nothing wait for a destination but files that are read as fast as
// they are taken. Where all streams are such, losing nothing is the default.
func (c *checker) whenFull(sp *Spool, path string) {
	live := ""
	for i := range c.p.Streams {
		if st := &c.p.Streams[i]; live == "" && (st.Kind.Live() || st.Pace != "fastest") {
			live = st.Name
		}
	}
	if _, written := c.origins[path]; !written && live == "" && len(c.p.Streams) > 0 {
		sp.WhenFull = "block"
	}
	if sp.WhenFull == "block" && live != "" {
		c.bad(path, "block is for files at `pace: fastest` alone: stream %s cannot wait; take drop_oldest or drop_lowest_severity", live)
	}
}

// sinkFolder is where the file that has the sink is: its relative paths start there.
func (c *checker) sinkFolder(i int) string {
	list := c.root.get("sinks")
	if list == nil || i >= len(list.items) {
		return ""
	}
	if kind := list.items[i].get("kind"); kind != nil {
		return kind.dir
	}
	return list.items[i].dir
}

// claims keeps two sinks from writing to one place.
type claims struct {
	files, folders map[string]string // the sink's name by clean path
}

func newClaims() *claims { return &claims{map[string]string{}, map[string]string{}} }

func (k *claims) file(c *checker, file, sink, path string) {
	file = filepath.Clean(file)
	if other, taken := k.files[file]; taken {
		c.bad(path, "sink %s already writes this file", other)
		return
	}
	k.files[file] = sink
}

func (k *claims) folder(c *checker, folder, sink, path string) {
	folder = filepath.Clean(folder)
	if other, taken := k.folders[folder]; taken {
		c.bad(path, "sink %s already keeps its events in this folder; give each its own", other)
		return
	}
	k.folders[folder] = sink
}
