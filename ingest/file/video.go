package file

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"sightline/ingest"
	"sightline/internal/libav"
)

// Info describes a video file.
type Info struct {
	Container     string // FFmpeg's name
	Codec         ingest.Codec
	Width, Height int
	FPS           float64       // average, 0 unknown
	Duration      time.Duration // 0 unknown
	Start         time.Time     // capture time of the first picture, UTC
}

// Probe reads what a file says about its video. It fails as Run does.
func Probe(ctx context.Context, path string) (Info, error) {
	v, err := open(ctx, path)
	if err != nil {
		return Info{}, err
	}
	defer v.Close()
	info := Info{
		Container: v.demuxer.Format(), Codec: ingest.Codec(v.stream.Codec), Width: v.stream.Width, Height: v.stream.Height,
		Duration: v.stream.Duration, Start: v.start,
	}
	if v.stream.FrameInterval > 0 {
		info.FPS = float64(time.Second) / float64(v.stream.FrameInterval)
	}
	return info, nil
}

// video is an open file.
type video struct {
	demuxer *libav.Demuxer
	stream  libav.Stream
	start   time.Time
	digest  string // 12 hexadecimal digits
	missing int64  // bytes that the container announces and the file lacks
}

// open checks and opens a file; its errors are *ingest.Error, but for ctx's.
func open(ctx context.Context, path string) (*video, error) {
	v, size, err := inspect(path)
	if err != nil {
		return nil, err
	}
	if v.demuxer, err = libav.OpenDemuxer(ctx, path); err != nil {
		if cause := ctx.Err(); cause != nil {
			return nil, cause
		}
		if v.missing > 0 {
			return nil, fail(ingest.ReasonDamaged, "%s: cut short after %d of %d bytes, before anything can be read: %w", path, size, size+v.missing, err)
		}
		return nil, fail(ingest.ReasonDamaged, "%s: not a video, or damaged: %w", path, err)
	}
	if err := v.choose(path); err != nil {
		v.Close()
		return nil, err
	}
	if at, ok := v.demuxer.CreationTime(); ok && at.Year() >= firstPlausibleYear {
		v.start = at
	}
	return v, nil
}

// firstPlausibleYear tells creation times from the epochs (1904, 1970) that
// writers without a clock leave behind.
const firstPlausibleYear = 1980

// inspect reads what can be told without FFmpeg.
func inspect(path string) (v *video, size int64, err error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fail(ingest.ReasonNotFound, "%s: no such file", path)
	case err != nil:
		return nil, 0, fail(ingest.ReasonFailed, "open file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, fail(ingest.ReasonFailed, "open file: %w", err)
	case st.IsDir():
		return nil, 0, fail(ingest.ReasonFailed, "%s: a folder, not a video file", path)
	case !st.Mode().IsRegular():
		return nil, 0, fail(ingest.ReasonFailed, "%s: not a regular file", path)
	case st.Size() == 0:
		return nil, 0, fail(ingest.ReasonDamaged, "%s: the file is empty", path)
	}
	sum, err := digest(f, st.Size())
	if err != nil {
		return nil, 0, fail(ingest.ReasonFailed, "read file: %w", err)
	}
	return &video{start: st.ModTime().UTC(), digest: sum, missing: max(announced(f, st.Size())-st.Size(), 0)}, st.Size(), nil
}

// digest is the first 12 hexadecimal digits of SHA-256 over the file's size (64
// bits, big endian), its first and its last MiB.
func digest(f io.ReaderAt, size int64) (string, error) {
	const part = 1 << 20
	h := sha256.New()
	binary.Write(h, binary.BigEndian, size) // a hash takes everything
	for _, at := range []int64{0, max(size-part, 0)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, part)); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// choose takes the file's first video stream.
func (v *video) choose(path string) error {
	format := v.demuxer.Format()
	switch {
	case format == "image2" || strings.HasSuffix(format, "_pipe") || format == "ico":
		return fail(ingest.ReasonUnsupportedCodec, "%s: a picture, not a video", path)
	case format == "tty":
		return fail(ingest.ReasonUnsupportedCodec, "%s: a text, not a video", path)
	}
	for _, s := range v.demuxer.Video() {
		if s.Picture {
			continue
		}
		if s.Codec == "none" {
			return fail(ingest.ReasonUnsupportedCodec, "%s: unsupported codec %q", path, fourCC(s.Tag))
		}
		v.stream = s
		v.demuxer.Select(s.Index)
		return nil
	}
	return fail(ingest.ReasonUnsupportedCodec, "%s: no video in it", path)
}

// fourCC spells a container's code of a format.
func fourCC(tag uint32) string { return string(binary.LittleEndian.AppendUint32(nil, tag)) }

// Close closes the file.
func (v *video) Close() { v.demuxer.Close() }

// fail is a failure that trying again does not cure: nobody repairs the file meanwhile.
func fail(reason ingest.Reason, format string, args ...any) error {
	return &ingest.Error{Reason: reason, Permanent: true, Err: fmt.Errorf(format, args...)}
}
