package optimize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"unsafe"

	"sightline/decode"
	"sightline/ingest"
	"sightline/ingest/file"
)

// errEnough ends the reading of a video.
var errEnough = errors.New("enough pictures")

// maxHeld bounds the memory that the pictures of one video take.
const maxHeld = 4 << 30

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
	seen, held := 0, int64(0)
	keep := func(f *decode.Frame) error {
		defer f.Release()
		if seen++; (seen-1)%every != 0 {
			return nil
		}
		if len(frames) == limit {
			return errEnough
		}
		if held += int64(f.Width) * int64(f.Height) * 3 / 2; held > maxHeld {
			return fmt.Errorf("%d pictures of %d×%d are more than %d GiB: take fewer", limit, f.Width, f.Height, maxHeld>>30)
		}
		frames = append(frames, copied(f))
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

// copied is a picture in memory of its own: a decoder has room for those of a moment
// only.
func copied(f *decode.Frame) *decode.Frame {
	c := decode.Frame{Stream: f.Stream, Index: f.Index, PTS: f.PTS, Width: f.Width, Height: f.Height, Format: f.Format, Color: f.Color, Memory: decode.Host}
	for i := range f.Planes {
		var data []byte
		width := 0
		planeRows(f, i, func(row []byte) { data, width = append(data, row...), len(row) })
		c.Planes[i] = decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(data)), Stride: width}
	}
	return decode.NewFrame(c, func() {})
}

// planeRows visits the visible samples of a plane; a plane that the format lacks has
// none.
func planeRows(f *decode.Frame, plane int, visit func(row []byte)) {
	p, rows, width := f.Planes[plane], f.Height, f.Width
	if p.Data == nil {
		return
	}
	if plane > 0 {
		rows, width = (rows+1)/2, (width+1)/2
	}
	if f.Format == decode.NV12 && plane == 1 {
		width *= 2
	}
	for y := range rows {
		visit(unsafe.Slice((*byte)(unsafe.Add(p.Data, y*p.Stride)), width))
	}
}

// Release gives pictures back.
func Release(frames []*decode.Frame) {
	for _, f := range frames {
		f.Release()
	}
}
