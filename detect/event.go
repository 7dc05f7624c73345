package detect

import (
	"log/slog"
	"time"
)

// Type is an event's type without the leading "sightline.".
type Type string

// Event types.
const (
	Detections     Type = "detections"
	ObjectStarted  Type = "object.started"
	ObjectUpdated  Type = "object.updated"
	ObjectEnded    Type = "object.ended"
	LineCrossed    Type = "line.crossed"
	ZoneEntered    Type = "zone.entered"
	ZoneExited     Type = "zone.exited"
	ZoneDwell      Type = "zone.dwell"
	ZoneOccupancy  Type = "zone.occupancy"
	CountReported  Type = "count.reported"
	StreamOnline   Type = "stream.online"
	StreamOffline  Type = "stream.offline"
	StreamDegraded Type = "stream.degraded"
	SinkDegraded   Type = "sink.degraded"
	Accounting     Type = "pipeline.accounting"
)

// Severity is how much an event matters, as OpenTelemetry numbers it.
type Severity uint8

// Severities.
const (
	Info     Severity = 9
	Warning  Severity = 13
	Critical Severity = 17
)

// Event is one thing that happened, before any destination has encoded it. It is
// read-only once published: several sinks share it.
type Event struct {
	Site, Stream string // make the CloudEvents source and the partition key
	Type         Type
	ID           string // UUIDv5, see EventID
	Subject      string // track/<id>, zone/<name>, line/<name>, stream/<name>, sink/<name>
	Time         time.Time
	Severity     Severity
	Recorded     time.Time // when it was made here; zero at pace fastest
	DataRef      string    // URI of what belongs to the event and is kept elsewhere, such as a snapshot
	Data         Data
}

// Data is an event's payload. Only what applies is set.
type Data struct {
	Stream     StreamInfo  `json:"stream"`
	Frame      *FrameInfo  `json:"frame,omitempty"`
	Clock      *ClockInfo  `json:"clock,omitempty"`
	Objects    *[]Box      `json:"objects,omitempty"` // detections; set and empty when nothing was seen
	Object     *Object     `json:"object,omitempty"`
	Rule       *RuleInfo   `json:"rule,omitempty"`
	Line       *LineInfo   `json:"line,omitempty"`
	Zone       *ZoneInfo   `json:"zone,omitempty"`
	Window     *Window     `json:"window,omitempty"`
	Counts     *[]Count    `json:"counts,omitempty"`
	Changed    []string    `json:"changed,omitempty"`
	EndReason  string      `json:"-"` // object.ended: marshaled as "reason"
	Reason     *ReasonInfo `json:"-"` // stream.*, sink.*: marshaled as "reason"
	Timing     *Timing     `json:"timing,omitempty"`
	Model      *Model      `json:"model,omitempty"`
	Media      *Media      `json:"media,omitempty"`
	Accounting *Ledger     `json:"-"` // pipeline.accounting: its fields are marshaled beside stream
	Watermark  *time.Time  `json:"watermark,omitempty"`
	Truncated  []string    `json:"truncated,omitempty"` // members left out because the event was too large for its destination, such as object.path
}

// StreamInfo says which stream an event is about.
type StreamInfo struct {
	Site   string            `json:"site"`
	Name   string            `json:"name"`
	Title  string            `json:"title,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Epoch  string            `json:"epoch,omitempty"`
}

// FrameInfo says which frame an event is about.
type FrameInfo struct {
	Index  uint64  `json:"index"`
	PTSMs  float64 `json:"pts_ms"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
}

// ClockInfo says how the capture time is known.
type ClockInfo struct {
	Source        string   `json:"source"`
	OffsetMs      *float64 `json:"offset_ms,omitempty"`
	UncertaintyMs *float64 `json:"uncertainty_ms,omitempty"`
}

// Box is one detected object of a detections event.
type Box struct {
	Class   string  `json:"class"`
	Score   float64 `json:"score"`
	BBox    Rect    `json:"bbox"`
	TrackID string  `json:"track_id,omitempty"`
	State   string  `json:"state,omitempty"` // active, stationary
}

// Object is the state of one tracked object.
type Object struct {
	TrackID   string       `json:"track_id"`
	Class     string       `json:"class"`
	Score     float64      `json:"score"`
	BBox      Rect         `json:"bbox"`
	State     string       `json:"state"` // active, stationary, lost
	FirstSeen time.Time    `json:"first_seen"`
	LastSeen  time.Time    `json:"last_seen"`
	Path      [][3]float64 `json:"path,omitempty"` // [ms after first_seen, x, y], at most 64
	Zones     []string     `json:"zones,omitempty"`
}

// RuleInfo names the rule that made an event.
type RuleInfo struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// LineInfo tells of a crossing.
type LineInfo struct {
	Name      string     `json:"name"`
	Direction string     `json:"direction,omitempty"` // forward, backward
	CrossedAt *time.Time `json:"crossed_at,omitempty"`
	Point     *Point     `json:"point,omitempty"`
}

// ZoneInfo tells of a visit or an occupancy.
type ZoneInfo struct {
	Name      string   `json:"name"`
	Visit     int      `json:"visit,omitempty"`
	DwellS    *float64 `json:"dwell_s,omitempty"`
	Occupancy *int     `json:"occupancy,omitempty"`
}

// Window is the time a count covers.
type Window struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	CoveredS float64   `json:"covered_s"`
}

// Count is how many objects of a class went one way.
type Count struct {
	Class     string `json:"class"`
	Direction string `json:"direction"`
	Count     int    `json:"count"`
}

// ReasonRecovered is the code of a stream.degraded or sink.degraded that tells of
// the end of it. Of a stream, the message is the code that no longer holds.
const ReasonRecovered = "recovered"

// ReasonInfo says why a stream or sink is not well.
type ReasonInfo struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
}

// Timing is how long after capture the steps were done, in milliseconds.
type Timing struct {
	ReceivedMs float64 `json:"received_ms"`
	DecodedMs  float64 `json:"decoded_ms"`
	InferredMs float64 `json:"inferred_ms"`
}

// Model names the network and what really ran it.
type Model struct {
	Name      string `json:"name"`
	Digest    string `json:"digest"`
	Engine    string `json:"engine"`
	Precision string `json:"precision"`
}

// LogValue is the model in a log line.
func (m Model) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", m.Name), slog.String("digest", m.Digest), slog.String("engine", m.Engine), slog.String("precision", m.Precision))
}

// Media points to pictures kept elsewhere.
type Media struct {
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Clip     string    `json:"clip,omitempty"`
}

// Snapshot is a JPEG of an event's object. Whoever fetches it can tell by its
// digest that it is the one.
type Snapshot struct {
	URI     string    `json:"uri"`    // the event's dataref: s3://BUCKET/KEY, or relative to the folder of snapshots, as below /api/v1/snapshots/
	SHA256  string    `json:"sha256"` // of the JPEG, in hexadecimal
	Bytes   int       `json:"bytes"`
	Width   int       `json:"width"` // in pixels; at most as many as the frame has there
	Height  int       `json:"height"`
	Region  Rect      `json:"region"`            // the part of the frame that it shows
	Frame   uint64    `json:"frame"`             // index of the frame it shows
	Time    time.Time `json:"time"`              // when that was captured
	Blurred []string  `json:"blurred,omitempty"` // classes that were made unrecognizable wherever they were seen
}

// Ledger is the sums of a pipeline.accounting event: of a stream (in access
// units) or of a sink (in events).
type Ledger struct {
	// received = decoded + sum(undecoded) + in_decoder
	Received  uint64            `json:"received"`
	Decoded   uint64            `json:"decoded"`
	Undecoded map[string]uint64 `json:"undecoded"`
	InDecoder uint64            `json:"in_decoder"`
	// decoded = inferred + sum(skipped) + in_flight
	Inferred uint64            `json:"inferred"`
	Skipped  map[string]uint64 `json:"skipped"`
	InFlight uint64            `json:"in_flight"`

	Sinks map[string]SinkLedger `json:"sinks"` // by sink name, this stream's events
}

// SinkLedger is what became of one stream's events at one sink:
// made = filtered + acknowledged + spooled + dead_lettered + expired + sum(dropped).
type SinkLedger struct {
	Made         uint64            `json:"made"`
	Filtered     uint64            `json:"filtered"`
	Acknowledged uint64            `json:"acknowledged"`
	Spooled      uint64            `json:"spooled"`
	DeadLettered uint64            `json:"dead_lettered"`
	Expired      uint64            `json:"expired"`
	Dropped      map[string]uint64 `json:"dropped"`
	Recovered    uint64            `json:"recovered,omitempty"` // of made: read back from the spool of an earlier run
}
