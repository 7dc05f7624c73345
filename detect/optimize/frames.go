package optimize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sightline/decode"
	"sightline/ingest"
	"sightline/ingest/file"
)

// errEnough ends the reading of a video.
var errEnough = errors.New("enough pictures")

// Frames decodes every n-th picture of a video, the first one included, at most
// limit of them. They stay in memory until the caller releases them.
func Frames(ctx context.Context, video string, every, limit int, log *slog.Logger) (_ []*decode.Frame, err error) {
	c := file.Defaults()
	c.Path, c.Pace = video, file.Fastest
	source, err := file.New(c, "calibration", log)
	if err != nil {
		return nil, err
	}
	d := decode.Defaults()
	d.Logger = log
	decoder, err := decode.New(d)
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	var frames []*decode.Frame
	seen := 0
	keep := func(f *decode.Frame) error {
		defer f.Release()
		if seen++; (seen-1)%every != 0 {
			return nil
		}
		if len(frames) == limit {
			return errEnough
		}
		frames = append(frames, f.Retain())
		return nil
	}
	err = source.Run(ctx, func(p ingest.Packet) error { return decoder.Decode(p, keep) })
	if err == nil {
		err = decoder.Flush(keep)
	}
	if err != nil && !errors.Is(err, errEnough) {
		Release(frames)
		return nil, fmt.Errorf("read pictures of %s: %w", video, err)
	}
	if len(frames) == 0 {
		return nil, fmt.Errorf("read pictures of %s: there are none", video)
	}
	return frames, nil
}

// Release gives pictures back.
func Release(frames []*decode.Frame) {
	for _, f := range frames {
		f.Release()
	}
}
