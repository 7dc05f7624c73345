package spec

import "time"

// Sink is one destination of events.
type Sink struct {
	// Name of the sink, unique among sinks; its kind when absent.
	Name string `yaml:"name" name:"yes"`
	// Kind of sink.
	Kind string `yaml:"kind" jsonschema:"required,enum=kafka,enum=jsonl,enum=mqtt,enum=webhook"`
	// Types of event it takes, with or without the prefix sightline.; when absent all but detections.
	Types []string `yaml:"types"`
	// Buffer bounds the memory of events waiting for the destination where there is no spool.
	Buffer Size `yaml:"buffer" jsonschema:"default=64MiB"`
	// Spool keeps waiting events on disk, so that they survive crashes and outages; {} is enough.
	Spool *Spool `yaml:"spool"`
	// DeadLetter keeps events that the destination will never take. With a spool it is there by itself.
	DeadLetter *DeadLetter `yaml:"dead_letter"`

	// Kafka is set where Kind is kafka.
	Kafka *Kafka `yaml:",inline" kinds:"kafka"`
	// JSONL is set where Kind is jsonl.
	JSONL *JSONL `yaml:",inline" kinds:"jsonl"`
	// MQTT is set where Kind is mqtt.
	MQTT *MQTT `yaml:",inline" kinds:"mqtt"`
	// Webhook is set where Kind is webhook.
	Webhook *Webhook `yaml:",inline" kinds:"webhook"`
}

// Spool says how events wait on disk.
type Spool struct {
	// Path of the folder, of this sink alone; spool/NAME OF THE SINK beside this file when absent.
	Path string `yaml:"path" path:"yes"`
	// Max size on disk.
	Max Size `yaml:"max" jsonschema:"default=4GiB"`
	// MaxAge after which an event is given up; 0s keeps it for ever.
	MaxAge time.Duration `yaml:"max_age" jsonschema:"default=168h"`
	// Sync is the longest time that an event is in memory alone; 0s puts every event on disk by itself.
	Sync time.Duration `yaml:"sync" jsonschema:"default=50ms"`
	// WhenFull says what gives way: the oldest, the least severe, or (files at pace fastest alone, where it is the default) nothing.
	WhenFull string `yaml:"when_full" jsonschema:"enum=drop_oldest,enum=drop_lowest_severity,enum=block,default=drop_oldest"`
	// KeyFile encrypts what is on disk: 64 hexadecimal digits, as `openssl rand -hex 32` makes them.
	KeyFile string `yaml:"key_file" path:"yes"`
	// Memory bounds what is kept in memory of the events on disk, to deliver them without reading them again.
	Memory Size `yaml:"memory" jsonschema:"default=64MiB"`
}

// DeadLetter says what becomes of events that cannot be delivered.
type DeadLetter struct {
	// Path of the file, one event a line with the reason; dead-letters.jsonl in the spool's folder when absent.
	Path string `yaml:"path" path:"yes"`
	// Max size of the file, and of the one before it.
	Max Size `yaml:"max" jsonschema:"default=64MiB"`
	// Tries before an event that fails while others get through is given up.
	Tries int `yaml:"tries" jsonschema:"minimum=1,maximum=10000,default=10"`
}
