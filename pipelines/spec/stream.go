package spec

import (
	"time"

	"sightline/detect"
)

// SourceKind is the kind of source a stream's URL names.
type SourceKind string

// Kinds of source.
const (
	RTSP    SourceKind = "rtsp"    // rtsp:// and rtsps://
	WHIP    SourceKind = "whip"    // somebody publishes to us
	WHEP    SourceKind = "whep"    // whep://host/path over HTTP and wheps:// over HTTPS
	HLS     SourceKind = "hls"     // http(s)://….m3u8 and hls+http(s)://
	HTTP    SourceKind = "http"    // any other http(s)://: Motion JPEG, or a still picture polled
	RTMP    SourceKind = "rtmp"    // rtmp:// and rtmps://
	SRT     SourceKind = "srt"     // srt://
	V4L2    SourceKind = "v4l2"    // v4l2:/dev/video0
	Images  SourceKind = "images"  // images:FOLDER or images:GLOB
	Pattern SourceKind = "pattern" // pattern: and pattern:1280x720@25
	File    SourceKind = "file"    // file:PATH and a plain path
)

// Live tells whether the source cannot be read again.
func (k SourceKind) Live() bool { return k != File && k != Images }

// pulled tells whether the source is live and reached by us.
func (k SourceKind) pulled() bool { return k.Live() && k != WHIP && k != "" }

// Stream is one camera, publisher or file, with the pipeline's defaults merged in.
type Stream struct {
	// Name is the key under streams.
	Name string `yaml:"-"`
	// Kind of source, from the URL.
	Kind SourceKind `yaml:"-"`
	// Path of a file, of images or of a device, resolved; what follows pattern:.
	Path string `yaml:"-"`

	// URL to read: rtsp(s)://, http(s)://, hls+http(s)://, rtmp(s)://, srt://, whep(s)://, file:PATH, a plain path, images:FOLDER-OR-GLOB, v4l2:DEVICE, pattern:1280x720@25, or whip:// to be published to. Credentials in it are moved to Username and Password on loading; with urls it is that of main.
	URL string `yaml:"url" path:"url"`
	// URLs of a camera with two streams, in place of url.
	URLs *URLs `yaml:"urls"`
	// Fallback are addresses to try in turn where the first does not answer. After a success the next failure begins with the first again.
	Fallback []Address `yaml:"fallback"`
	// Title for people.
	Title string `yaml:"title"`

	StreamDefaults `yaml:",inline"`

	// Zones by name, in the order of the file.
	Zones []Zone `yaml:"zones,named"`
	// Lines by name, in the order of the file.
	Lines []Line `yaml:"lines,named"`

	ownLogin bool // username and password came with the url and are for it alone
}

// StreamDefaults are the keys that streams may share through `defaults`.
type StreamDefaults struct {
	// Labels are copied into every event.
	Labels map[string]string `yaml:"labels"`
	// Username for the camera.
	Username string `yaml:"username" kinds:"rtsp,whep,hls,http,rtmp"`
	// Password for the camera; the passphrase of srt.
	Password Secret `yaml:"password" kinds:"rtsp,whep,hls,http,rtmp,srt"`
	// Transport of RTP: auto is TCP, and UDP where the camera refuses TCP.
	Transport string `yaml:"transport" jsonschema:"enum=auto,enum=tcp,enum=udp,enum=multicast,default=auto" kinds:"rtsp"`
	// Token as a bearer token: what a publisher must present, or what we present to a WHEP server.
	Token Secret `yaml:"token" kinds:"whip,whep"`
	// TLS says whom to trust where the address speaks TLS.
	TLS *StreamTLS `yaml:"tls" kinds:"rtsp,whep,hls,http,rtmp"`
	// Timeout is how long connecting may take and how long nothing may arrive.
	Timeout time.Duration `yaml:"timeout" jsonschema:"default=10s" kinds:"rtsp,whip,whep,hls,http,rtmp,srt,v4l2"`
	// OnDemand reads the stream only while somebody watches it.
	OnDemand bool `yaml:"on_demand" kinds:"rtsp,whep,hls,http,rtmp,srt,v4l2,pattern"`
	// Every is the time from one still picture to the next.
	Every time.Duration `yaml:"every" jsonschema:"default=1s" kinds:"http,images"`
	// Pace of a file: realtime, or fastest, which loses nothing.
	Pace string `yaml:"pace" jsonschema:"enum=realtime,enum=fastest,default=realtime" kinds:"file,images"`
	// Loop starts the file again when it ends.
	Loop bool `yaml:"loop" kinds:"file,images"`
	// Start is when the file's first picture was taken (RFC 3339). When absent: the container's creation time, else the file's modification time.
	Start time.Time `yaml:"start" kinds:"file,images"`
	// Detect overrides the pipeline's for this stream.
	Detect StreamDetect `yaml:"detect"`
	// Decode overrides the pipeline's for this stream.
	Decode Decode `yaml:"decode"`
	// Quality overrides the pipeline's for this stream.
	Quality Quality `yaml:"quality"`
}

// StreamTLS is whom to trust.
type StreamTLS struct {
	// CA is a PEM file of authorities to trust instead of the system's, or of the sender's own certificate, which is then trusted whatever names and dates it bears.
	CA string `yaml:"ca" path:"yes"`
	// Insecure takes any certificate: what is sent, passwords too, may be read by whoever is in between.
	Insecure bool `yaml:"insecure"`
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
	// Optimize as in detect; null for none.
	Optimize *Optimize `yaml:"optimize"`
	// From says which of urls is analyzed; when absent sub, where there is one.
	From string `yaml:"from" jsonschema:"enum=main,enum=sub"`
	// Enabled false only shows the stream: nothing is inferred, and pictures are decoded only for who watches them.
	Enabled bool `yaml:"enabled" jsonschema:"default=true"`
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
