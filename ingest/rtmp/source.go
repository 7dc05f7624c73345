package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sightline/ingest"
	"sightline/ingest/av"
)

var (
	errNoVideo = errors.New("no picture comes; perhaps nobody publishes the stream")
	errChanged = errors.New("the stream's codec changed")
	errHungUp  = errors.New("the server hangs up before the first picture; it may not know the stream, or not let us see it")
)

// maxLogins is how often a server may ask who we are.
const maxLogins = 3

// Source plays one stream of a server. A server that ends it is an error with
// ingest.ReasonEnded: a live stream has no end of its own. Sound is passed over.
// At most 24 MiB of messages are held that are not complete.
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

// Run implements ingest.Source. Each call is one connection and one epoch.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := s.config.target()
	if err != nil {
		return &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	trust, err := s.config.TLS.Client(t.url.Hostname())
	if err != nil {
		return av.Fail(t.String(), ingest.ReasonFailed, err)
	}
	query := ""
	for range maxLogins {
		again, err := s.connect(ctx, t, trust, query, emit)
		if again == "" {
			return err
		}
		query = again
	}
	return av.Fail(t.String(), ingest.ReasonUnauthorized, errLogin)
}

// connect is one connection. It returns the query to try again with, where the
// server asks who we are.
func (s *Source) connect(ctx context.Context, t target, trust *tls.Config, query string, emit func(ingest.Packet) error) (again string, err error) {
	c, err := dial(ctx, t, trust, s.config.ReadTimeout)
	if err != nil {
		return "", s.failure(ctx, t, "connect", err)
	}
	defer c.conn.Close()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	err = c.shake()
	if err == nil {
		err = c.connect(t, query)
	}
	if err == nil {
		_, err = c.answer(callConnect)
	}
	var refused *refusal
	if errors.As(err, &refused) && ctx.Err() == nil {
		if again, err = login(refused, t, query); err == nil {
			return again, nil
		}
	}
	if err == nil {
		err = c.play(t)
	}
	if err != nil {
		return "", s.failure(ctx, t, "connect", err)
	}
	r := &receiver{Source: s, client: c, target: t, epoch: ingest.LiveEpoch(), began: time.Now(), emit: emit}
	r.seen = r.began
	return "", r.run(ctx)
}

// receiver turns the messages of one connection into packets.
type receiver struct {
	*Source
	client *client
	target target
	epoch  string
	emit   func(ingest.Packet) error

	live  *av.Live
	codec ingest.Codec
	began time.Time
	seen  time.Time // when the last picture came
	last  uint32    // time stamp of the last picture, ms
	at    time.Duration
	timed bool
}

func (r *receiver) run(ctx context.Context) error {
	defer func() {
		if r.live != nil {
			r.log.Info("stream disconnected", "stream", r.stream, "url", r.target.String(), "epoch", r.epoch, "units_withheld", r.live.Withheld())
		}
	}()
	for {
		m, err := r.client.next()
		if err == nil && m.kind != kindVideo {
			err = over(m)
		}
		if err != nil {
			return r.failed(ctx, err)
		}
		if m.kind == kindVideo {
			if err := r.video(ctx, m); err != nil {
				return err
			}
		}
		if time.Since(r.seen) > r.config.ReadTimeout {
			return av.Fail(r.target.String(), ingest.ReasonTimeout, errNoVideo)
		}
	}
}

// failed is a failure to read: that of a stream, or of one that never began.
func (r *receiver) failed(ctx context.Context, err error) error {
	if r.live == nil {
		return r.failure(ctx, r.target, "connect", err)
	}
	return r.failure(ctx, r.target, "read", err)
}

// video takes one video message. It returns emit's error as it is.
func (r *receiver) video(ctx context.Context, m message) error {
	now := time.Now()
	p, err := parseVideo(m.body)
	if err != nil {
		return r.failure(ctx, r.target, "read", err)
	}
	needs := r.live == nil && (p.codec == ingest.H264 || p.codec == ingest.H265)
	switch {
	case len(p.data) == 0:
		return nil
	case needs && !p.config:
		return r.keyless(ctx)
	}
	if p.config || r.live == nil {
		if err := r.configure(p); err != nil {
			return err
		}
	}
	if p.config {
		return nil
	}
	if p.codec != r.codec {
		return av.Fail(r.target.String(), ingest.ReasonEnded, errChanged)
	}
	if !r.timed {
		r.timed, r.last = true, m.time
	}
	r.at += time.Duration(int32(m.time-r.last)) * time.Millisecond
	r.last = m.time
	u := av.Unit{Data: p.data, DTS: r.at, PTS: r.at + p.composition, Keyframe: p.keyframe, Arrival: now}
	if err := r.live.Push(u, r.emit); err != nil {
		return err
	}
	if !r.live.Running() {
		return r.keyless(ctx)
	}
	r.seen = time.Now() // emit may have taken long
	return nil
}

// keyless tells of a picture that decoding cannot start with. It fails when none
// other has come for too long.
func (r *receiver) keyless(ctx context.Context) error {
	r.seen = time.Now()
	if r.seen.Sub(r.began) > r.config.KeyframeTimeout {
		return av.Fail(r.target.String(), ingest.ReasonNoKeyframe, ingest.ErrNoKeyframe)
	}
	ingest.Withheld(ctx)
	return nil
}

// configure takes a codec's configuration, the first or a changed one.
func (r *receiver) configure(p picture) error {
	var config []byte
	if p.config {
		config = p.data
	}
	if r.live != nil && p.codec == r.codec {
		if err := r.live.Configure(config); err != nil {
			return av.Fail(r.target.String(), ingest.ReasonDamaged, err)
		}
		return nil
	}
	if r.live != nil {
		return av.Fail(r.target.String(), ingest.ReasonEnded, errChanged)
	}
	live, err := av.NewLive(r.stream, r.epoch, av.Format{Codec: p.codec, Config: config})
	if err != nil {
		return av.Fail(r.target.String(), ingest.ReasonDamaged, err)
	}
	r.live, r.codec = live, p.codec
	r.log.Info("stream connected", "stream", r.stream, "url", r.target.String(), "codec", p.codec, "epoch", r.epoch)
	return nil
}

// failure gives an error its reason; ctx's own comes first.
func (s *Source) failure(ctx context.Context, t target, doing string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	reason := ingest.NetworkReason(err)
	var refused *refusal
	var codec *codecError
	switch {
	case errors.As(err, &refused):
		reason = refused.reason()
	case errors.As(err, &codec):
		reason = ingest.ReasonUnsupportedCodec
	case errors.Is(err, errLogin):
		reason = ingest.ReasonUnauthorized
	case errors.Is(err, errEnded):
		reason = ingest.ReasonEnded
	case errors.Is(err, errVideo), errors.Is(err, errAMF):
		reason = ingest.ReasonDamaged
	case reason == ingest.ReasonEnded && doing == "connect":
		reason, err = ingest.ReasonRefused, errHungUp
	case reason == ingest.ReasonTimeout:
		err = fmt.Errorf("nothing came for %v", s.config.ReadTimeout)
	}
	return av.Fail(t.String(), reason, fmt.Errorf("%s: %w", doing, err))
}
