// Package v4l2 reads webcams and other capture devices of Linux, through FFmpeg's
// libavdevice.
package v4l2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sightline/ingest"
	"sightline/ingest/av"
	"sightline/internal/libav"
)

// Config says which device to read.
type Config struct {
	Device string `yaml:"device"` // such as /dev/video0
	// ReadTimeout is how long no picture may come.
	ReadTimeout time.Duration `yaml:"read_timeout"`
}

// Defaults is a configuration that lacks only the device.
func Defaults() Config { return Config{ReadTimeout: 10 * time.Second} }

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	if c.Device == "" {
		errs = append(errs, errors.New("device: missing"))
	}
	if c.ReadTimeout <= 0 {
		errs = append(errs, fmt.Errorf("read_timeout: %v is not positive", c.ReadTimeout))
	}
	return errors.Join(errs...)
}

// videoMajor is the number of Linux's capture devices.
const videoMajor = 81

var errNotCapture = errors.New("is not a capture device; `v4l2-ctl --list-devices` names them")

// Source reads one device, in the size that it is set to: Motion JPEG where it
// has that, since a device on USB sends large raw pictures at few a second, else
// whatever FFmpeg likes best. A device that is pulled out is an error.
type Source struct {
	config Config
	stream string
	log    *slog.Logger
	check  func(device string) error
	inputs []libav.Input // to try in turn
}

// New makes the source of the stream with that name. It opens nothing; a config
// that does not pass Validate fails in Run.
func New(config Config, stream string, log *slog.Logger) *Source {
	input := func(format string) libav.Input {
		return libav.Input{URL: config.Device, Format: "video4linux2", Device: true, Options: map[string]string{"input_format": format}}
	}
	return &Source{
		config: config, stream: stream, log: log, check: check,
		inputs: []libav.Input{input(string(ingest.MJPEG)), input("")},
	}
}

// Run implements ingest.Source. Each call is one epoch.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.config.Validate(); err != nil {
		return &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	if err := s.check(s.config.Device); err != nil {
		return s.explain(err)
	}
	var open *av.OpenError
	for _, input := range s.inputs {
		err := av.Pull{
			Stream: s.stream, Where: s.config.Device, Input: input, Log: s.log,
			ReadTimeout: s.config.ReadTimeout, KeyframeTimeout: s.config.ReadTimeout,
		}.Run(ctx, emit)
		if !errors.As(err, &open) {
			return err
		}
		if !errors.Is(err, syscall.EINVAL) { // it is not the format
			break
		}
	}
	return s.explain(open.Err)
}

// check tells what can be told without FFmpeg.
func check(device string) error {
	var stat unix.Stat_t
	if err := unix.Stat(device, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFCHR || unix.Major(stat.Rdev) != videoMajor {
		return errNotCapture
	}
	return unix.Access(device, unix.R_OK|unix.W_OK)
}

// explain says what to do about a device that cannot be opened.
func (s *Source) explain(err error) error {
	fail := func(reason ingest.Reason, format string, args ...any) error {
		return av.Fail(s.config.Device, reason, fmt.Errorf(format, args...))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fail(ingest.ReasonNotFound, "no such device; is it plugged in?")
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EACCES):
		return fail(ingest.ReasonUnauthorized, "no permission; add the user to the group video")
	case errors.Is(err, syscall.EBUSY):
		return fail(ingest.ReasonRefused, "another program has the device")
	case errors.Is(err, libav.ErrTimeout):
		return fail(ingest.ReasonTimeout, "the device sends nothing for %v", s.config.ReadTimeout)
	case errors.Is(err, libav.ErrNoDevices):
		return fail(ingest.ReasonFailed, "%w; it comes with the Debian package ffmpeg", err)
	}
	return fail(ingest.ReasonFailed, "%w", err)
}
