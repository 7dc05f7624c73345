package spec

import (
	"io"
	"time"

	"sightline/sink/jsonl"
)

// JSONL is what a jsonl sink adds.
type JSONL struct {
	// Path of the file, one event a line, appended to; "-" is standard output. A file that is renamed, removed or emptied from outside is noticed.
	Path string `yaml:"path" jsonschema:"required" path:"yes"`
	// Format of the lines: CloudEvents, or the shape of another system.
	Format string `yaml:"format" jsonschema:"enum=cloudevents,enum=deepstream,enum=dlstreamer,enum=frigate,default=cloudevents"`
	// Fsync says when lines are on disk: when a file is ended (a power failure may take what the system had not written yet), or with each batch, before its events count as delivered.
	Fsync string `yaml:"fsync" jsonschema:"enum=rotate,enum=batch,default=rotate"`
	// Rotate ends the file and begins another one, again and again; {} is enough. One that was ended has the time of that in its name: events-2026-11-23T10-15-00Z.jsonl.gz.
	Rotate *Rotate `yaml:"rotate"`
}

// Rotate says when files end and what becomes of them.
type Rotate struct {
	// Size at which a file is ended.
	Size Size `yaml:"size" jsonschema:"default=100MiB"`
	// Every ends a file at multiples of this of the wall clock, in UTC, with the first event after; 0s never.
	Every time.Duration `yaml:"every" jsonschema:"default=24h"`
	// Keep so many ended files and remove the oldest; 0 keeps all.
	Keep int `yaml:"keep" jsonschema:"minimum=0,maximum=100000,default=10"`
	// Compress ended files, a part of one with each batch of events.
	Compress string `yaml:"compress" jsonschema:"enum=none,enum=gzip,default=gzip"`
}

// Config is the sink's own configuration; stdout is where "-" leads.
func (j *JSONL) Config(stdout io.Writer) (jsonl.Config, error) {
	c := jsonl.Config{Path: j.Path, Stdout: stdout, Fsync: j.Fsync}
	if r := j.Rotate; r != nil {
		c.Rotate = &jsonl.Rotate{Size: int64(r.Size), Every: r.Every, Keep: r.Keep, Compress: r.Compress}
	}
	var err error
	c.Format, err = payload(j.Format)
	return c, err
}

func (c *checker) jsonl(s *Sink, path string) {
	c.format(s, s.JSONL.Format, "", nil, path)
	if cfg, err := s.JSONL.Config(io.Discard); err == nil && !c.failed(path) {
		c.faults(path, cfg.Validate())
	}
}
