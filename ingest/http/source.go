package http

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"sightline/ingest"
)

// Source reads one camera. Pictures are dated by their arrival here: cameras put
// times of all kinds and zones into headers, and few of them are true. A camera
// that ends its Motion JPEG is an error with ingest.ReasonEnded: a live stream
// has no end of its own.
//
// A still that has not changed since the last time is a picture all the same,
// since the scene was looked at again. It costs a question (If-None-Match,
// If-Modified-Since) and no transfer where the camera takes part, and the packet
// shares its data with the one before.
type Source struct {
	config Config
	stream string
	log    *slog.Logger
}

// New makes the source of the stream with that name. It opens nothing; a config
// that does not pass Validate fails in Run.
func New(config Config, stream string, log *slog.Logger) *Source {
	return &Source{config: config, stream: stream, log: log}
}

// Run implements ingest.Source. Each call is one epoch: its start in microseconds
// since 1970.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	c.epoch = ingest.LiveEpoch()
	response, err := c.get(http.Header{})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	mediaType := response.Header.Get("Content-Type")
	body := bufio.NewReader(response.Body)
	kind, err := c.look(mediaType, body)
	if err != nil {
		return err
	}
	s.log.Info("camera connected", "stream", s.stream, "url", ingest.Redacted(c.target), "type", mediaType, "epoch", c.epoch)
	defer s.log.Info("camera disconnected", "stream", s.stream, "epoch", c.epoch)
	if kind == pictures {
		return c.watch(newParts(body, mediaType), emit)
	}
	return c.poll(response, body, emit)
}

// look tells what a body holds, looking at its first bytes only where the type
// does not say it.
func (c *session) look(mediaType string, body *bufio.Reader) (content, error) {
	if kind, err := c.contentOf(mediaType, nil); err == nil {
		return kind, nil
	}
	const enough = 32
	first, err := body.Peek(enough)
	if err != nil && err != io.EOF {
		return 0, c.failure("read", err)
	}
	return c.contentOf(mediaType, first)
}

// watch reads Motion JPEG until the camera, ctx or emit ends it.
func (c *session) watch(in *parts, emit func(ingest.Packet) error) error {
	for {
		c.expect()
		data, codec, lost, err := in.next()
		if err != nil {
			if errors.Is(err, errLarge) || errors.Is(err, errNoPicture) || errors.Is(err, errUnusable) {
				return c.fail(ingest.ReasonDamaged, "read", err)
			}
			return c.failure("read", err)
		}
		if err := c.emit(data, codec, 0, lost, emit); err != nil {
			return err
		}
	}
}

// poll takes the first still and asks for the next ones.
func (c *session) poll(response *http.Response, body io.Reader, emit func(ingest.Packet) error) error {
	next := time.NewTicker(c.config.Every)
	defer next.Stop()
	data, codec, err := c.still(body)
	for known := remember(response.Header); err == nil; {
		if err = c.emit(data, codec, c.config.Every, false, emit); err != nil {
			return err
		}
		select {
		case <-next.C:
		case <-c.ctx.Done():
			return c.failure("wait", c.ctx.Err())
		}
		if response, err = c.get(known); err != nil {
			return err
		}
		if response.StatusCode != http.StatusNotModified {
			data, codec, err = c.still(response.Body)
			known = remember(response.Header)
		}
		response.Body.Close()
	}
	return err
}

// still reads one whole picture.
func (c *session) still(body io.Reader) ([]byte, ingest.Codec, error) {
	buffer := bytes.NewBuffer(make([]byte, 0, 64<<10))
	if _, err := buffer.ReadFrom(io.LimitReader(body, ingest.MaxStill+1)); err != nil {
		return nil, "", c.failure("read", err)
	}
	data := buffer.Bytes()
	if len(data) > ingest.MaxStill {
		return nil, "", c.fail(ingest.ReasonDamaged, "read", errLarge)
	}
	codec, err := ingest.InspectStill(data)
	if errors.Is(err, ingest.ErrNoStill) {
		if _, why := c.contentOf("", data); why != nil {
			return nil, "", why
		}
	}
	if err != nil {
		return nil, "", c.fail(ingest.ReasonDamaged, "read", err)
	}
	return padded(data), codec, nil
}

// remember is what asks for the picture only if it is another.
func remember(answer http.Header) http.Header {
	question := http.Header{}
	if tag := answer.Get("ETag"); tag != "" {
		question.Set("If-None-Match", tag)
	}
	if at := answer.Get("Last-Modified"); at != "" {
		question.Set("If-Modified-Since", at)
	}
	return question
}

// emit hands on a picture that is complete now.
func (c *session) emit(data []byte, codec ingest.Codec, duration time.Duration, lost bool, emit func(ingest.Packet) error) error {
	if err := c.ctx.Err(); err != nil {
		return c.failure("read", err)
	}
	now := time.Now()
	pts, captured := c.clock.stamp(now)
	return emit(ingest.Packet{
		Stream: c.stream, Epoch: c.epoch, Codec: codec, Data: data, PTS: pts, Duration: duration,
		Captured: captured, Received: now.UTC(), Clock: ingest.Clock{Source: ingest.ClockArrival},
		Keyframe: true, Break: lost,
	})
}

// arrivals dates pictures by when they were complete here.
type arrivals struct {
	first    time.Time
	pts      time.Duration
	captured time.Time
}

// stamp places a picture that is complete at now, behind the last one.
func (a *arrivals) stamp(now time.Time) (pts time.Duration, captured time.Time) {
	if a.first.IsZero() {
		a.first, a.captured = now, now.UTC()
		return 0, a.captured
	}
	a.pts = max(now.Sub(a.first), a.pts+time.Microsecond)
	if now.After(a.captured) {
		a.captured = now.UTC()
	}
	return a.pts, a.captured
}
