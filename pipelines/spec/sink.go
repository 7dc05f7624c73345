package spec

import "time"

// Sink is one destination of events.
type Sink struct {
	// Name of the sink, unique among sinks; its kind when absent.
	Name string `yaml:"name" name:"yes"`
	// Kind of sink.
	Kind string `yaml:"kind" jsonschema:"required,enum=kafka,enum=jsonl"`
	// Types of event it takes, with or without the prefix sightline.; when absent all but detections.
	Types []string `yaml:"types"`
	// Buffer bounds the memory of events waiting for the destination.
	Buffer Size `yaml:"buffer" jsonschema:"default=64MiB"`
	// Spool keeps waiting events on disk. Not available in this version.
	Spool *Spool `yaml:"spool"`

	// Kafka is set where Kind is kafka.
	Kafka *Kafka `yaml:",inline" kinds:"kafka"`
	// JSONL is set where Kind is jsonl.
	JSONL *JSONL `yaml:",inline" kinds:"jsonl"`
}

// JSONL is what a jsonl sink adds.
type JSONL struct {
	// Path of the file, one event a line, appended to; "-" is standard output.
	Path string `yaml:"path" jsonschema:"required" path:"yes"`
}

// Spool bounds what waits on disk.
type Spool struct {
	// Path of the folder.
	Path string `yaml:"path" jsonschema:"required" path:"yes"`
	// Max size on disk.
	Max Size `yaml:"max" jsonschema:"default=4GiB"`
	// MaxAge after which an event is given up.
	MaxAge time.Duration `yaml:"max_age" jsonschema:"default=168h"`
	// Sync is the longest time between syncs to disk.
	Sync time.Duration `yaml:"sync" jsonschema:"default=50ms"`
	// WhenFull says what gives way.
	WhenFull string `yaml:"when_full" jsonschema:"enum=drop_oldest,enum=drop_lowest_severity,enum=block,default=drop_oldest"`
}
