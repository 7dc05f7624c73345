package libav

// #include "demuxer.h"
import "C"

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
	"unsafe"
)

var (
	// ErrTimeout is that an Input's Timeout was over.
	ErrTimeout = errors.New("timed out")
	// ErrTooLarge is that a picture has no end.
	ErrTooLarge = fmt.Errorf("a picture of more than %d MiB", maxUnit>>20)
	// ErrNoDevices is that FFmpeg's library of capture devices is not installed.
	ErrNoDevices = errors.New("FFmpeg's libavdevice is not installed")
)

// maxUnit is how many bytes of a stream one Read may take in: what FFmpeg keeps of
// a picture that does not end.
const maxUnit = 32 << 20

// Input says what a demuxer reads, and what it may touch for that.
type Input struct {
	URL  string // with its protocol; of a capture device, its name
	Data []byte // read in place of URL: a whole file in memory, which is copied
	// Format is FFmpeg's name of the one demuxer that reads, whatever the bytes look
	// like; Device says that it is in the library of capture devices.
	Format   string
	Device   bool
	Protocol string            // the only one that is spoken; "" none
	Options  map[string]string // of protocol and demuxer, by FFmpeg's names
	// Timeout bounds how long Open and each Read may wait; 0 does not. FFmpeg looks
	// at it ten times a second, but not while it asks for a host's address.
	Timeout time.Duration

	most int64 // bytes that one Read may take in, 0 all
}

// Open opens a stream without probing it: packets come as soon as the peer sends
// them, and streams that the container has not named yet appear in Video later.
// Times are the container's own and wrap where it lets them.
// Opening and reading end with ctx's error when ctx ends, and with ErrTimeout.
// Close frees the demuxer.
func Open(ctx context.Context, in Input) (*Demuxer, error) {
	in.Options = maps.Clone(in.Options)
	if in.Options == nil {
		in.Options = map[string]string{}
	}
	if in.Data == nil {
		in.most = maxUnit
	}
	in.Options["correct_ts_overflow"] = "0"
	in.Options["format_whitelist"] = in.Format
	in.Options["protocol_whitelist"] = cmp.Or(in.Protocol, "none")
	return open(ctx, in)
}

func open(ctx context.Context, in Input) (*Demuxer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	quiet()
	if in.Protocol == "srt" {
		C.sl_quiet_srt()
	}
	if in.Device && C.sl_register_devices() == 0 {
		return nil, ErrNoDevices
	}
	d := &Demuxer{p: C.sl_demuxer_new(), ctx: ctx, timeout: in.Timeout}
	if d.p == nil {
		return nil, check(-C.ENOMEM)
	}
	d.p.most = C.int64_t(in.most)
	d.watch()
	if in.Device {
		C.sl_demuxer_nonblock(d.p)
	}
	if in.Data != nil {
		if err := check(C.sl_demuxer_memory(d.p, C.CBytes(in.Data), C.int64_t(len(in.Data)))); err != nil {
			d.Close()
			return nil, err
		}
	}
	err := d.connect(in)
	if err == nil && C.sl_stopped(unsafe.Pointer(d.p)) != 0 {
		err = errInterrupted // the demuxer took it for the end
	}
	if err != nil {
		err = d.interrupted(err)
		d.Close()
		return nil, err
	}
	return d, nil
}

// watch makes FFmpeg's calls end with the context.
func (d *Demuxer) watch() {
	p := d.p
	finished := make(chan struct{})
	cancel := context.AfterFunc(d.ctx, func() {
		C.sl_demuxer_stop(p)
		close(finished)
	})
	d.stop = func() {
		if !cancel() {
			<-finished // it is writing to p
		}
	}
}

func (d *Demuxer) connect(in Input) error {
	var options *C.AVDictionary
	defer func() { C.av_dict_free(&options) }()
	for name, value := range in.Options {
		n, v := C.CString(name), C.CString(value)
		C.av_dict_set(&options, n, v, 0)
		C.free(unsafe.Pointer(n))
		C.free(unsafe.Pointer(v))
	}
	url, format := C.CString(in.URL), C.CString(in.Format)
	defer C.free(unsafe.Pointer(url))
	defer C.free(unsafe.Pointer(format))
	C.sl_demuxer_arm(d.p, C.int64_t(in.Timeout.Microseconds()))
	return check(C.sl_demuxer_open(d.p, url, format, &options))
}

// SetTimeout changes the Timeout of the next Reads.
func (d *Demuxer) SetTimeout(timeout time.Duration) { d.timeout = timeout }
