package libav

// #include "demuxer.h"
import "C"

import (
	"context"
	"time"
	"unsafe"
)

// Demuxer reads the packets of a file, of a stream or of a capture device.
type Demuxer struct {
	p       *C.sl_demuxer
	ctx     context.Context
	stop    func()
	timeout time.Duration
}

// Stream describes one video stream. What a demuxer learns only by probing is
// unknown where Open made it.
type Stream struct {
	Index         int
	Codec         string // FFmpeg's name of the format, "none" for one it does not know
	Tag           uint32 // the container's own code of the format
	BitsPerSample int    // 0 unknown
	PixelFormat   string // of raw video
	Extradata     []byte
	Width, Height int
	FrameInterval time.Duration // average, 0 unknown
	Start         int64         // first presentation time in ns, or NoTime
	Duration      time.Duration // of the stream, else of the file; 0 unknown
	IntraOnly     bool          // every picture stands alone
	Picture       bool          // a cover picture, not video
	Quarters      int           // clockwise quarter turns to the upright picture, 0 to 3
}

// Packet is one access unit. Data and Extradata belong to the demuxer and stay
// valid until its next Read.
type Packet struct {
	Stream     int
	Data       []byte
	Extradata  []byte // set where the stream's changes
	PTS, DTS   int64  // ns, or NoTime
	Duration   time.Duration
	Picture    int // presentation order since the last IDR picture where PTS is NoTime, -1 unknown
	Keyframe   bool
	Disposable bool
	Corrupt    bool
}

// OpenDemuxer opens a local file; files that it refers to are read, but nothing
// from a network. It blocks while the file is probed. Reading ends with ctx's
// error when ctx ends. Close frees the demuxer.
func OpenDemuxer(ctx context.Context, path string) (*Demuxer, error) {
	url := "file:" + path // so that a name with a colon is no protocol
	d, err := open(ctx, Input{URL: url, Options: map[string]string{"protocol_whitelist": "file"}})
	if err != nil {
		return nil, err
	}
	if err := check(C.avformat_find_stream_info(d.p.fmt, nil)); err != nil {
		err = d.interrupted(err)
		d.Close()
		return nil, err
	}
	return d, nil
}

// interrupted puts the cause in the place of FFmpeg's own error when ctx ended or
// the time was over.
func (d *Demuxer) interrupted(err error) error {
	if err == nil {
		return nil
	}
	if cause := d.ctx.Err(); cause != nil {
		return cause
	}
	if d.p.excess != 0 {
		return ErrTooLarge
	}
	// FFmpeg may hand out what it had before it says that it was interrupted.
	if err == errInterrupted || C.sl_demuxer_late(d.p) != 0 {
		return ErrTimeout
	}
	return err
}

// Format is FFmpeg's name of the container.
func (d *Demuxer) Format() string { return C.GoString(d.p.fmt.iformat.name) }

// CreationTime is when the container says it was made.
func (d *Demuxer) CreationTime() (time.Time, bool) {
	key := C.CString("creation_time")
	defer C.free(unsafe.Pointer(key))
	text := C.sl_tag(d.p.fmt.metadata, key)
	if text == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, C.GoString(text))
	return at.UTC(), err == nil
}

// Video lists the video streams.
func (d *Demuxer) Video() []Stream {
	var list []Stream
	for _, s := range unsafe.Slice(d.p.fmt.streams, d.p.fmt.nb_streams) {
		par := s.codecpar
		if par.codec_type != C.AVMEDIA_TYPE_VIDEO {
			continue
		}
		v := Stream{
			Index: int(s.index), Codec: C.GoString(C.avcodec_get_name(par.codec_id)),
			Extradata: C.GoBytes(unsafe.Pointer(par.extradata), par.extradata_size),
			Width:     int(par.width), Height: int(par.height),
			Tag: uint32(par.codec_tag), BitsPerSample: int(par.bits_per_coded_sample),
			Start: int64(C.sl_ns(s, s.start_time)), IntraOnly: C.sl_intra_only(s) != 0,
			Picture: s.disposition&C.AV_DISPOSITION_ATTACHED_PIC != 0, Quarters: int(C.sl_quarters(s)),
		}
		if par.codec_id == C.AV_CODEC_ID_RAWVIDEO && par.format >= 0 {
			v.PixelFormat = C.GoString(C.av_get_pix_fmt_name(int32(par.format)))
		}
		if r := s.avg_frame_rate; r.num > 0 && r.den > 0 {
			v.FrameInterval = time.Duration(C.av_rescale(1e9, C.int64_t(r.den), C.int64_t(r.num)))
		}
		if ns := C.sl_ns(s, s.duration); ns > 0 {
			v.Duration = time.Duration(ns)
		} else if d.p.fmt.duration > 0 {
			v.Duration = time.Duration(d.p.fmt.duration) * time.Microsecond
		}
		list = append(list, v)
	}
	return list
}

// Select makes Read pass over all streams but one; packets that were read while
// probing still come.
func (d *Demuxer) Select(stream int) { C.sl_demuxer_select(d.p, C.int(stream)) }

// Read fetches the next packet into p: one crossing, nothing copied. io.EOF at the end.
// After ErrInvalidData it may be called again for what follows the damage.
func (d *Demuxer) Read(p *Packet) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	C.sl_demuxer_arm(d.p, C.int64_t(d.timeout.Microseconds()))
	if err := check(C.sl_demuxer_read(d.p)); err != nil {
		return d.interrupted(err)
	}
	if d.p.excess != 0 { // what there is of the picture
		return ErrTooLarge
	}
	in := d.p.pkt
	*p = Packet{
		Stream: int(in.stream_index),
		Data:   unsafe.Slice((*byte)(in.data), int(in.size)),
		PTS:    int64(d.p.pts), DTS: int64(d.p.dts), Duration: time.Duration(d.p.duration), Picture: int(d.p.picture),
		Keyframe:   in.flags&C.AV_PKT_FLAG_KEY != 0,
		Disposable: in.flags&C.AV_PKT_FLAG_DISPOSABLE != 0,
		Corrupt:    in.flags&C.AV_PKT_FLAG_CORRUPT != 0,
	}
	if d.p.extra != nil {
		p.Extradata = unsafe.Slice((*byte)(d.p.extra), int(d.p.extra_size))
	}
	return nil
}

// Close frees the demuxer and closes what it reads.
func (d *Demuxer) Close() {
	d.stop()
	C.sl_demuxer_free(d.p)
	d.p = nil
}
