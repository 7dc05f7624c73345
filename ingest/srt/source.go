package srt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"sightline/ingest"
	"sightline/ingest/av"
	"sightline/internal/libav"
)

// Source reads one SRT stream: the first video in it. A sender that goes away is
// an error with ingest.ReasonEnded or ReasonTimeout: a live stream has no end of
// its own.
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
	address, err := t.resolve(ctx, s.config.ReadTimeout)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return av.Fail(t.String(), ingest.NetworkReason(err), err)
	}
	pull := av.Pull{
		Stream: s.stream, Where: t.String(), Log: s.log, Listen: t.listen,
		ReadTimeout: s.config.ReadTimeout, KeyframeTimeout: s.config.KeyframeTimeout,
		Input: libav.Input{URL: "srt://" + address, Format: "mpegts", Protocol: "srt", Options: t.options(s.config.ReadTimeout)},
	}
	err = pull.Run(ctx, emit)
	var open *av.OpenError
	if errors.As(err, &open) {
		return t.explain(open.Err)
	}
	return err
}

// resolve finds the address of the host, which FFmpeg would do without minding ctx.
func (t target) resolve(ctx context.Context, timeout time.Duration) (string, error) {
	if t.host == "" {
		return net.JoinHostPort("", t.port), nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(found[0].Unmap().String(), t.port), nil
}

// options are libsrt's, by FFmpeg's names.
func (t target) options(timeout time.Duration) map[string]string {
	options := map[string]string{
		"mode": "caller",
		// Later than Pull's own time-out, which can be told from a refusal.
		"connect_timeout": strconv.FormatInt((timeout + time.Second).Milliseconds(), 10),
	}
	if t.listen {
		options["mode"] = "listener"
	}
	for name, value := range map[string]string{"passphrase": t.passphrase, "streamid": t.streamID, "pbkeylen": t.keyLength} {
		if value != "" {
			options[name] = value
		}
	}
	if t.latency > 0 {
		options["latency"] = strconv.FormatInt(t.latency.Microseconds(), 10)
	}
	return options
}

var (
	errNoAnswer = errors.New("no answer")
	errRefused  = errors.New("the sender refuses the connection; it may want another passphrase or streamid")
)

// explain is why nobody was reached: FFmpeg does not tell what libsrt knows.
func (t target) explain(err error) error {
	switch {
	case errors.Is(err, libav.ErrTimeout):
		return av.Fail(t.String(), ingest.ReasonTimeout, errNoAnswer)
	case t.listen:
		return av.Fail(t.String(), ingest.ReasonFailed, fmt.Errorf("listen: %w", err))
	}
	return av.Fail(t.String(), ingest.ReasonRefused, errRefused)
}
