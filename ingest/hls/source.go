package hls

import (
	"context"
	"log/slog"
	"net/url"
	"sync"

	"sightline/ingest"
	"sightline/ingest/av"
)

// Source reads one stream. Live streams are read from the newest segment on, and
// recordings (playlists that end) from their beginning; both at the speed they
// were made, faster only while newer segments wait. Of several variants it takes
// the largest picture. Sound, subtitles and partial segments are passed over.
//
// A live stream that stops is an error; a recording ends with nil. At most three
// segments of up to 64 MiB are held, the one that is played twice, and a playlist
// of 8 MiB.
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

// Run implements ingest.Source. Each call is one epoch.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target, err := s.config.target()
	if err != nil {
		return &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	f, err := newFetcher(target, s.config.TLS, s.config.Timeout)
	if err != nil {
		return av.Fail(ingest.Redacted(target), ingest.ReasonFailed, err)
	}
	defer f.Close()
	return s.run(ctx, f, target, emit)
}

// run fetches beside playing; both have ended when it returns.
func (s *Source) run(parent context.Context, f *fetcher, target *url.URL, emit func(ingest.Packet) error) error {
	ctx, cancel := context.WithCancel(parent)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	pieces := make(chan piece, 1)
	var fetching error
	beside.Go(func() {
		defer close(pieces)
		follower := &follower{fetcher: f, stream: s.stream, log: s.log, out: pieces}
		fetching = follower.follow(ctx, target)
		if follower.skips > 0 {
			s.log.Info("hls segments were missing", "stream", s.stream, "count", follower.skips)
		}
	})
	p := &player{
		stream: s.stream, where: ingest.Redacted(target), log: s.log, epoch: ingest.LiveEpoch(),
		keyframeTimeout: s.config.KeyframeTimeout, emit: emit, waiting: func() bool { return len(pieces) > 0 },
	}
	for piece := range pieces {
		if err := p.play(ctx, piece); err != nil {
			return err
		}
	}
	if err := parent.Err(); err != nil {
		return err
	}
	return fetching
}
