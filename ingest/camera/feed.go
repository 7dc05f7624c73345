package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtcp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

const (
	clockRate = 90000
	// firstStamp is five seconds before RTP time wraps, so that every viewer's
	// arithmetic meets the wrap.
	firstStamp = 1<<32 - 5*clockRate
	// reportEvery is how often a sender report ties RTP time to wall time.
	reportEvery = time.Second
	// maxLate is how far the source's pace may fall behind the wall before the
	// capture clock is set anew. Ahead of the wall it never is.
	maxLate = 200 * time.Millisecond
	// usualStep is the picture interval assumed of sources that do not tell.
	usualStep = 40 * time.Millisecond
)

var errNothing = errors.New("the source ended without a picture")

// feed publishes one source as a live stream.
type feed struct {
	name   string
	source ingest.Source
	// onDemand is the source where it can make keyframes when asked; else nil.
	onDemand ingest.KeyframeRequester
	server   *gortsplib.Server
	log      *slog.Logger

	ready     chan struct{} // closed when stream is known, or never will be
	once      sync.Once
	stream    *gortsplib.ServerStream
	media     *description.Media
	packets   packetizer
	reportDue atomic.Bool

	epoch     string
	shift     time.Duration // stream time at which the current epoch began
	newest    time.Duration // stream time of the latest picture shown
	step      time.Duration // picture interval, as far as the source tells
	anchor    time.Time     // wall time of stream time 0
	reported  time.Duration // stream time of the latest report
	published uint64
	count     uint32 // RTP packets sent
	octets    uint32 // of their payloads
}

func newFeed(name string, source ingest.Source, server *gortsplib.Server, log *slog.Logger) *feed {
	f := &feed{name: name, source: source, server: server, log: log, step: usualStep, ready: make(chan struct{})}
	f.onDemand, _ = source.(ingest.KeyframeRequester)
	return f
}

// asked looks at what a viewer reports, and passes requests for a keyframe on.
func (f *feed) asked(packet rtcp.Packet) {
	switch packet.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		f.onDemand.RequestKeyframe()
	}
}

// run publishes the source over and over until ctx ends or the source fails.
// Viewers are then disconnected.
func (f *feed) run(ctx context.Context) {
	var err error
	for err == nil && ctx.Err() == nil {
		before := f.published
		err = f.source.Run(ctx, f.publish)
		if err == nil && f.published == before {
			err = errNothing
		}
	}
	if ctx.Err() == nil {
		f.log.Error("camera stream stopped", "stream", f.name, "error", err)
	}
	f.once.Do(func() { close(f.ready) })
	if f.stream != nil {
		f.stream.Close()
	}
}

// publish sends one access unit to all viewers.
func (f *feed) publish(p ingest.Packet) error {
	if f.stream == nil {
		if !p.Keyframe {
			return nil
		}
		if err := f.describe(p); err != nil {
			return err
		}
	}
	at := f.place(p)
	stamp := uint32(firstStamp + int64(at)/1000*(clockRate/1000)/1000)
	if f.reportDue.Swap(false) || p.Keyframe || at-f.reported >= reportEvery {
		if err := f.report(at, stamp); err != nil {
			return err
		}
	}
	packets, err := f.packets(p.Data)
	if err != nil {
		return fmt.Errorf("packetize %s: %w", p.Codec, err)
	}
	for _, packet := range packets {
		packet.Timestamp = stamp
		f.count++
		f.octets += uint32(len(packet.Payload))
		if err := f.stream.WritePacketRTP(f.media, packet); err != nil {
			return err
		}
	}
	f.published++
	return nil
}

// describe opens the stream, whose description comes from its first keyframe.
func (f *feed) describe(p ingest.Packet) error {
	video, packets, err := newPacketizer(p)
	if err != nil {
		return err
	}
	f.packets = packets
	f.media = &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{video}}
	stream := &gortsplib.ServerStream{
		Server: f.server,
		Desc:   &description.Session{Title: f.name, Medias: []*description.Media{f.media}},
	}
	if err := stream.Initialize(); err != nil {
		return err
	}
	f.stream = stream
	f.once.Do(func() { close(f.ready) })
	return nil
}

// place returns the picture's stream time, which goes on where an epoch ends and
// the next begins, and keeps the capture clock near the wall: never ahead of it,
// since no picture is shown before it was taken.
func (f *feed) place(p ingest.Packet) time.Duration {
	switch {
	case f.epoch == "":
		f.epoch = p.Epoch
	case f.epoch != p.Epoch:
		f.epoch = p.Epoch
		f.shift = f.newest + f.step
	}
	at := f.shift + p.PTS
	f.newest = max(f.newest, at)
	if p.Duration > 0 {
		f.step = p.Duration
	}
	now := time.Now()
	if late := now.Sub(f.anchor.Add(at)); f.anchor.IsZero() || late < 0 || late > maxLate {
		f.anchor = now.Add(-at)
		f.reportDue.Store(true)
	}
	return at
}

// report tells viewers at which wall time the picture of this stamp was taken.
func (f *feed) report(at time.Duration, stamp uint32) error {
	f.reported = at
	video := f.media.Formats[0]
	return f.stream.WritePacketRTCP(f.media, &rtcp.SenderReport{
		SSRC:        f.stream.Stats().Medias[f.media].Formats[video].LocalSSRC,
		NTPTime:     rtp.ToNTP(f.anchor.Add(at)),
		RTPTime:     stamp,
		PacketCount: f.count,
		OctetCount:  f.octets,
	})
}
