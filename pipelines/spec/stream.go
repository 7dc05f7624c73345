package spec

import (
	"time"

	"sightline/detect"
)

// SourceKind is the kind of source a stream's URL names.
type SourceKind string

// Kinds of source.
const (
	RTSP SourceKind = "rtsp" // rtsp:// and rtsps://
	WHIP SourceKind = "whip" // somebody publishes to us
	File SourceKind = "file"
)

// Live tells whether the source cannot be read again.
func (k SourceKind) Live() bool { return k != File }

// Stream is one camera, publisher or file, with the pipeline's defaults merged in.
type Stream struct {
	// Name is the key under streams.
	Name string `yaml:"-"`
	// Kind of source, from the URL.
	Kind SourceKind `yaml:"-"`
	// Path of the file where Kind is File, resolved.
	Path string `yaml:"-"`

	// URL to read: rtsp://, rtsps://, file:PATH, a plain path, or whip:// to be published to. Credentials in it are moved to Username and Password on loading.
	URL string `yaml:"url" jsonschema:"required" path:"url"`
	// Title for people.
	Title string `yaml:"title"`

	StreamDefaults `yaml:",inline"`

	// Zones by name, in the order of the file.
	Zones []Zone `yaml:"zones,named"`
	// Lines by name, in the order of the file.
	Lines []Line `yaml:"lines,named"`
}

// StreamDefaults are the keys that streams may share through `defaults`.
type StreamDefaults struct {
	// Labels are copied into every event.
	Labels map[string]string `yaml:"labels"`
	// Username for the camera.
	Username string `yaml:"username" kinds:"rtsp"`
	// Password for the camera.
	Password Secret `yaml:"password" kinds:"rtsp"`
	// Transport of RTP: auto is TCP, and UDP where the camera refuses TCP.
	Transport string `yaml:"transport" jsonschema:"enum=auto,enum=tcp,enum=udp,default=auto" kinds:"rtsp"`
	// Token a publisher must present as a bearer token.
	Token Secret `yaml:"token" kinds:"whip"`
	// Pace of a file: realtime, or fastest, which loses nothing.
	Pace string `yaml:"pace" jsonschema:"enum=realtime,enum=fastest,default=realtime" kinds:"file"`
	// Loop starts the file again when it ends.
	Loop bool `yaml:"loop" kinds:"file"`
	// Start is when the file's first picture was taken (RFC 3339). When absent: the container's creation time, else the file's modification time.
	Start time.Time `yaml:"start" kinds:"file"`
	// Detect overrides the pipeline's for this stream.
	Detect StreamDetect `yaml:"detect"`
	// Decode overrides the pipeline's for this stream.
	Decode Decode `yaml:"decode"`
}

// StreamDetect is what a stream may have different from the pipeline's detect.
// After loading it holds the values in force.
type StreamDetect struct {
	// Model as in detect.
	Model string `yaml:"model" jsonschema:"default=coco-nano" path:"model"`
	// FPS as in detect.
	FPS FPS `yaml:"fps"`
	// Classes as in detect.
	Classes []string `yaml:"classes"`
	// Confidence as in detect.
	Confidence float64 `yaml:"confidence" jsonschema:"minimum=0,maximum=1,default=0.4"`
}

// Zone is an area of the picture.
type Zone struct {
	// Name is the key under zones.
	Name string `yaml:"-"`
	// Polygon has at least three corners [x, y] in 0..1 of the picture.
	Polygon []detect.Point `yaml:"polygon" jsonschema:"required,minItems=3,maxItems=256"`
	// Anchor is the point of a box that must be inside.
	Anchor string `yaml:"anchor" jsonschema:"enum=bottom,enum=center,enum=top,default=bottom"`
}

// Line is an arrow across the picture. Who goes from its left to its right
// crosses forward.
type Line struct {
	// Name is the key under lines.
	Name string `yaml:"-"`
	// Points are the arrow's start and end [x, y] in 0..1 of the picture.
	Points []detect.Point `yaml:"points" jsonschema:"required,minItems=2,maxItems=2"`
	// Anchor is the point of a box whose path is followed.
	Anchor string `yaml:"anchor" jsonschema:"enum=bottom,enum=center,enum=top,default=bottom"`
	// Hysteresis is how far from the line an object must go before it can cross again, in 0..1 of the picture.
	Hysteresis float64 `yaml:"hysteresis" jsonschema:"minimum=0,maximum=0.5,default=0.01"`
}
