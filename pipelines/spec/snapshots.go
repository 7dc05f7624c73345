package spec

import (
	"path/filepath"
	"strings"
	"time"

	"sightline/detect"
)

// Snapshots says of which events a picture of the object is kept, and where.
type Snapshots struct {
	// Path of the folder that pictures are kept in; `snapshots` beside the file when absent.
	Path string `yaml:"path" path:"yes"`
	// Types of event that get a picture; when absent object.ended (the best view of the object), line.crossed and zone.dwell (the deciding frame).
	Types []string `yaml:"types" jsonschema:"enum=object.started,enum=object.updated,enum=object.ended,enum=line.crossed,enum=zone.entered,enum=zone.exited,enum=zone.dwell"`
	// Quality of the JPEGs.
	Quality int `yaml:"quality" jsonschema:"minimum=1,maximum=100,default=85"`
	// Margin around the object's box, in parts of its sides.
	Margin float64 `yaml:"margin" jsonschema:"minimum=0,maximum=1,default=0.1"`
	// Blur lists classes that are made unrecognizable wherever they are seen, however faintly; the model must know them.
	Blur []string `yaml:"blur"`
	// Max size of the folder; the oldest pictures make room.
	Max Size `yaml:"max" jsonschema:"default=10GiB"`
	// MaxAge after which a picture is removed.
	MaxAge time.Duration `yaml:"max_age" jsonschema:"default=720h"`
	// S3 is where pictures are copied to besides.
	S3 *S3 `yaml:"s3"`
}

// S3 is a bucket of an object store that speaks the S3 protocol.
type S3 struct {
	// Endpoint such as https://minio.example.com:9000; that of AWS for the region when absent. The bucket becomes part of the path.
	Endpoint string `yaml:"endpoint" jsonschema:"pattern=^https?://[^/?#@ ]+$" want:"an address such as https://minio.example.com:9000"`
	// Region that requests are signed for.
	Region string `yaml:"region" jsonschema:"pattern=^[a-z0-9-]+$,default=us-east-1" want:"a region such as eu-central-1"`
	// Bucket, which must exist.
	Bucket string `yaml:"bucket" jsonschema:"required,pattern=^[a-z0-9][a-z0-9.-]+[a-z0-9]$" want:"a bucket's name"`
	// Prefix of the keys; they go on like the files' names.
	Prefix string `yaml:"prefix" jsonschema:"pattern=^([A-Za-z0-9_-][A-Za-z0-9_.-]*/?)*$" want:"names divided by slashes"`
	// AccessKey names who signs.
	AccessKey string `yaml:"access_key" jsonschema:"required"`
	// SecretKey to sign with.
	SecretKey Secret `yaml:"secret_key" jsonschema:"required"`
	// TLS of an https endpoint, where the system's authorities do not do.
	TLS *TLS `yaml:"tls"`
}

// leastSnapshots is the smallest folder that is of any use.
const leastSnapshots = 1 << 20

func (c *checker) snapshots() {
	s := c.p.Snapshots
	if s == nil || c.failed("snapshots") {
		return
	}
	switch s.Path {
	case "":
		s.Path = filepath.Join(c.root.get("snapshots").dir, "snapshots")
	case stdoutPath:
		c.bad("snapshots.path", "want a folder: standard output keeps nothing")
	}
	if s.Types == nil {
		s.Types = []string{string(detect.ObjectEnded), string(detect.LineCrossed), string(detect.ZoneDwell)}
	}
	if s.Max < leastSnapshots {
		c.bad("snapshots.max", "want at least 1MiB")
	}
	if s3 := s.S3; s3 != nil && s3.TLS != nil {
		switch {
		case (s3.TLS.Cert == "") != (s3.TLS.Key == ""):
			c.bad("snapshots.s3.tls", "want cert and key together")
		case strings.HasPrefix(s3.Endpoint, "http:"):
			c.bad("snapshots.s3.tls", "the endpoint is not encrypted: write https://")
		}
	}
	for i := range c.p.Sinks {
		sp := c.p.Sinks[i].Spool
		if sp != nil && filepath.Clean(sp.Path) == filepath.Clean(s.Path) {
			c.bad("snapshots.path", "sink %s already keeps its events in this folder", c.p.Sinks[i].Name)
		}
		if c.p.Sinks[i].Name == "snapshots" { // events tell of sink/snapshots when pictures are in trouble
			c.bad(itemPath("sinks", "snapshots", i)+".name", "this name stands for the pictures themselves; take another")
		}
	}
}
