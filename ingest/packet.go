// Package ingest turns a camera's, browser's or file's protocol into encoded
// packets. Each kind of source is a sub-package; this package holds what they
// share: the Packet that leaves the stage and the Source that makes it.
package ingest

import "time"

// Codec names a video coding format as FFmpeg's decoders name it.
type Codec string

// Codecs that live sources carry. A file may hold any other that FFmpeg knows.
const (
	H264  Codec = "h264"
	H265  Codec = "hevc"
	VP8   Codec = "vp8"
	VP9   Codec = "vp9"
	AV1   Codec = "av1"
	MJPEG Codec = "mjpeg"
)

// ClockSource says how a capture time is known.
type ClockSource string

// Clock sources, from the best to the weakest.
const (
	ClockAbsCapture ClockSource = "abs_capture_time"  // the sender stamps pictures with their capture time
	ClockONVIF      ClockSource = "onvif_rtp"         // the same, by ONVIF's replay header
	ClockRTCP       ClockSource = "rtcp_sr"           // the sender's reports map RTP time to wall time
	ClockPlaylist   ClockSource = "program_date_time" // the playlist dates its segments
	ClockFile       ClockSource = "file"              // start time of the file plus the picture's time in it
	ClockArrival    ClockSource = "arrival"           // when the packet reached this machine
)

// Clock is the quality of a capture time.
type Clock struct {
	Source      ClockSource
	Offset      time.Duration // sender's clock minus this machine's, also where it is too far off to be followed; 0 unknown
	Uncertainty time.Duration // half width of the interval the capture time lies in, on that source's clock; 0 is unknown
	Drift       float64       // ppm by which the sender's media clock is faster than ours; 0 unknown or too small to tell
	WallDrift   float64       // ppm by which the sender's wall clock is faster than ours; 0 unknown or too small to tell
}

// Packet is one access unit: everything needed to decode one picture, given
// those before it. H.264 and H.265 are in Annex B form with parameter sets in
// front of each keyframe; AV1 is a sequence of OBUs with size fields (low
// overhead format).
//
// Data and Extradata are read-only for everybody once emitted and are never
// reused, so they may be kept without copying. Data has PacketPadding zero
// bytes of capacity beyond its length where the source can afford it; the
// decoder copies where it is missing.
type Packet struct {
	Stream    string // the stream's name in the pipeline
	Epoch     string // opaque, never reused: one connection, or one pass over a file
	Codec     Codec
	Extradata []byte     // out-of-band decoder configuration, nil for codecs that carry theirs in band
	Container *Container // what a file says about its pictures; nil where the codec says it all
	Data      []byte

	PTS      time.Duration // presentation time since the epoch's start, never negative
	Duration time.Duration // of the picture, 0 when unknown
	Captured time.Time     // wall time of capture, UTC
	Received time.Time     // when the packet was complete here; zero for files
	Clock    Clock

	Rotation   int  // degrees to turn the decoded picture clockwise until it is upright: 0, 90, 180 or 270
	Keyframe   bool // decoding can start here
	Break      bool // something between the previous packet and this one was lost
	Disposable bool // no other picture depends on this one
}

// Container is what some old or plain formats leave to the file around them, in
// FFmpeg's words. It is read-only.
type Container struct {
	Width, Height int
	Tag           uint32 // the container's own code of the format
	BitsPerSample int
	PixelFormat   string // of raw video
}

// PacketPadding is how many zero bytes decoders may read past a packet's end.
const PacketPadding = 64
