package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"

	"sightline/decode"
	"sightline/detect/optimize"
	"sightline/ingest"
	"sightline/pipelines"
	"sightline/pipelines/spec"
)

// frames are the pictures to learn from and to compare on, of one size. The context is
// for what is done with them: who was interrupted while they were collected goes on.
func (o *optimizeFlags) frames(ctx context.Context, sh *shell) ([]*decode.Frame, context.Context, error) {
	switch {
	case len(o.videos) > 0:
		all, err := o.ofVideos(ctx, sh)
		return all, ctx, err
	case !o.bound.Kind.Live():
		all, err := optimize.Frames(ctx, o.bound.Analyzed()[0].Path, o.every, o.pictures, sh.log)
		return all, ctx, err
	}
	return o.ofStream(ctx, sh)
}

// ofVideos are pictures of all videos, which must be of one size.
func (o *optimizeFlags) ofVideos(ctx context.Context, sh *shell) (all []*decode.Frame, err error) {
	for _, video := range o.videos {
		some, err := optimize.Frames(ctx, video, o.every, o.pictures, sh.log)
		all = append(all, some...)
		if err == nil && (some[0].Width != all[0].Width || some[0].Height != all[0].Height) {
			err = fmt.Errorf("%s has pictures of %d×%d, %s of %d×%d: give videos of one camera size at a time",
				video, some[0].Width, some[0].Height, o.videos[0], all[0].Width, all[0].Height)
		}
		if err != nil {
			optimize.Release(all)
			return nil, err
		}
	}
	return all, nil
}

// fewPictures is how many are too few to go on with; freshPictures how long those of
// an earlier run are still of use.
const (
	fewPictures   = 8
	freshPictures = 24 * time.Hour
)

// ofStream collects pictures of a live stream, beginning with what an earlier run left.
func (o *optimizeFlags) ofStream(ctx context.Context, sh *shell) ([]*decode.Frame, context.Context, error) {
	folder := o.Work
	if folder == "" {
		dir, err := os.MkdirTemp("", "sightline-pictures-")
		if err != nil {
			return nil, ctx, fmt.Errorf("keep pictures: %w", err)
		}
		defer os.RemoveAll(dir)
		folder = dir
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, ctx, fmt.Errorf("keep pictures: %w", err)
	}
	path := filepath.Join(folder, "pictures-"+o.Bind[:16])
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > freshPictures {
		os.Remove(path) // of another day
	}
	album, err := optimize.OpenAlbum(path)
	if err != nil {
		return nil, ctx, err
	}
	defer album.Close()
	if album.Len() > 0 {
		sh.log.Info("going on with pictures of an earlier run", slog.Int("pictures", album.Len()), slog.String("file", path))
	}
	after := ctx
	switch err := o.collect(ctx, sh, album); {
	case ctx.Err() != nil && album.Len() >= fewPictures:
		fmt.Fprintf(sh.err, "interrupted: going on with %d pictures\n", album.Len())
		again, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGINT, syscall.SIGTERM)
		context.AfterFunc(again, stop) // a second one ends the program
		after = again
	case ctx.Err() != nil:
		err := fmt.Errorf("interrupted with %d pictures, of at least %d", album.Len(), fewPictures)
		if o.Work != "" {
			err = fmt.Errorf("%w: the next run goes on with them", err)
		}
		return nil, ctx, err
	case album.Len() == 0 || err != nil && album.Len() < fewPictures:
		return nil, ctx, fmt.Errorf("take pictures of stream %s: %w", o.Stream, err)
	case err != nil:
		sh.log.Warn("the stream broke off: going on with what is there", slog.Int("pictures", album.Len()), slog.Any("error", err))
	}
	all, err := optimize.ReadAlbum(path)
	return all, after, err
}

// again is the pause before a stream that broke off is read again.
const again = 2 * time.Second

// collect adds pictures to an album, spread over the time that there is, until there
// are enough or time is over. A stream that breaks off is read again.
func (o *optimizeFlags) collect(ctx context.Context, sh *shell, album *optimize.Album) error {
	pace := o.length / time.Duration(o.pictures)
	limit := time.Duration(max(0, o.pictures-album.Len()))*pace + time.Minute
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := collector{album: album, most: o.pictures, pace: pace, bar: sh.progress(o.pictures, "taking pictures of "+o.Stream)}
	defer c.bar.Finish()
	last := errors.New("nothing came of it that could be decoded")
	for album.Len() < o.pictures {
		err := c.read(timed, o.bound, sh.log)
		var refused *ingest.Error
		switch {
		case c.err != nil:
			return c.err
		case timed.Err() != nil && ctx.Err() == nil && album.Len() == 0:
			return last
		case timed.Err() != nil || album.Len() >= o.pictures:
			return ctx.Err()
		case errors.As(err, &refused) && refused.Permanent:
			return err
		}
		last = err
		sh.log.Warn("stream broke off: trying again", slog.Any("error", err))
		select {
		case <-time.After(again):
		case <-timed.Done():
			return err
		}
	}
	return nil
}

// collector takes a picture of a stream every now and then.
type collector struct {
	album *optimize.Album
	most  int
	pace  time.Duration
	next  time.Time
	bar   *progressbar.ProgressBar
	err   error // of the album
}

var errEnough = errors.New("enough pictures")

// read reads the stream once, through the project's own source and decoder.
func (c *collector) read(ctx context.Context, st *spec.Stream, log *slog.Logger) error {
	source, err := pipelines.NewSource(&st.Analyzed()[0], log)
	if err != nil {
		return &ingest.Error{Permanent: true, Err: err}
	}
	d := decode.Defaults()
	d.Logger, d.Live, d.Threads, d.HWAccel = log, true, st.Decode.Threads, st.Decode.HWAccel
	decoder, err := decode.New(d)
	if err != nil {
		return &ingest.Error{Permanent: true, Err: err}
	}
	defer decoder.Close()
	return source.Run(ctx, func(p ingest.Packet) error {
		if err := decoder.Decode(p, c.take); errors.Is(err, errEnough) {
			return err
		}
		return nil // what is damaged or not decodable yet is passed over
	})
}

func (c *collector) take(f *decode.Frame) error {
	defer f.Release()
	now := time.Now()
	if c.album.Len() >= c.most {
		return errEnough
	}
	if f.Damaged || now.Before(c.next) {
		return nil
	}
	if c.err = c.album.Add(f); c.err != nil {
		return errEnough
	}
	c.next = now.Add(c.pace)
	c.bar.Set(c.album.Len())
	if c.album.Len() >= c.most {
		return errEnough
	}
	return nil
}
