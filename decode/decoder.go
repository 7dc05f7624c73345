package decode

import "sightline/ingest"

// Decoder turns one stream's packets into frames. It is used by one goroutine
// at a time. It follows changes of codec, extradata, epoch and picture size in
// the packets by itself.
type Decoder interface {
	// Decode takes p and calls emit for every picture that became ready, in
	// presentation order; the callee owns each frame. An error is about this
	// packet only: the decoder stays usable and resumes at a later keyframe.
	// emit's error is returned as it is.
	Decode(p ingest.Packet, emit func(*Frame) error) error
	// Skip tells of a packet that will not be decoded, so that the frames'
	// Index counts it.
	Skip(p ingest.Packet)
	// Flush emits the pictures held back for reordering, at the end of an epoch.
	Flush(emit func(*Frame) error) error
	// Pending is how many packets were given to Decode and neither came out as
	// a frame nor were given up yet.
	Pending() int
	// Close frees the decoder. Frames already emitted stay valid.
	Close() error
}
