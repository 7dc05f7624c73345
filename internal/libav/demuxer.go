package libav

/*
#include <stdlib.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>

typedef struct {
	AVFormatContext *fmt;
	AVPacket *pkt;
	AVCodecParserContext *order; // of H.264 and H.265 files that carry no presentation times
	AVCodecContext *order_ctx;
	volatile int stop;
	// The last packet, times in nanoseconds.
	int64_t pts, dts, duration;
	int picture; // number in presentation order since the last IDR picture, -1 unknown
	uint8_t *extra;
	size_t extra_size;
} sl_demuxer;

static int sl_stopped(void *p) { return ((sl_demuxer *)p)->stop; }
static void sl_demuxer_stop(sl_demuxer *d) { d->stop = 1; }

static void sl_demuxer_free(sl_demuxer *d) {
	av_parser_close(d->order);
	avcodec_free_context(&d->order_ctx);
	av_packet_free(&d->pkt);
	avformat_close_input(&d->fmt);
	free(d);
}

static sl_demuxer *sl_demuxer_new(void) {
	sl_demuxer *d = calloc(1, sizeof *d);
	if (!d) return NULL;
	d->pkt = av_packet_alloc();
	d->fmt = avformat_alloc_context();
	if (!d->pkt || !d->fmt) { sl_demuxer_free(d); return NULL; }
	d->fmt->interrupt_callback = (AVIOInterruptCB){sl_stopped, d};
	return d;
}

static int sl_demuxer_open(sl_demuxer *d, const char *url) {
	AVDictionary *opts = NULL;
	av_dict_set(&opts, "protocol_whitelist", "file", 0);
	int err = avformat_open_input(&d->fmt, url, NULL, &opts);
	av_dict_free(&opts);
	return err;
}

static int64_t sl_ns(const AVStream *s, int64_t t) {
	return t == AV_NOPTS_VALUE ? INT64_MIN : av_rescale_q(t, s->time_base, (AVRational){1, 1000000000});
}

static int sl_intra_only(const AVStream *s) {
	const AVCodecDescriptor *d = avcodec_descriptor_get(s->codecpar->codec_id);
	return d && (d->props & AV_CODEC_PROP_INTRA_ONLY);
}

// Quarters of a clockwise turn to the upright picture.
static int sl_quarters(AVStream *s) {
	const uint8_t *m = NULL;
#if LIBAVFORMAT_VERSION_MAJOR >= 61
	const AVPacketSideData *side = av_packet_side_data_get(s->codecpar->coded_side_data,
		s->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
	if (side && side->size >= 9 * sizeof(int32_t)) m = side->data;
#else
	size_t size = 0;
	m = av_stream_get_side_data(s, AV_PKT_DATA_DISPLAYMATRIX, &size);
	if (size < 9 * sizeof(int32_t)) m = NULL;
#endif
	if (!m) return 0;
	double degrees = -av_display_rotation_get((const int32_t *)m);
	return degrees >= -180 && degrees <= 180 ? (int)((degrees + 360 + 45) / 90) & 3 : 0;
}

static const char *sl_tag(AVDictionary *m, const char *key) {
	AVDictionaryEntry *e = av_dict_get(m, key, NULL, 0);
	return e ? e->value : NULL;
}

static void sl_demuxer_select(sl_demuxer *d, int stream) {
	for (unsigned i = 0; i < d->fmt->nb_streams; i++)
		d->fmt->streams[i]->discard = (int)i == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

// FFmpeg leaves presentation times out where a container has none and pictures
// are reordered; the parser reads the picture order count instead.
static int sl_picture_order(sl_demuxer *d, const AVStream *s) {
	enum AVCodecID id = s->codecpar->codec_id;
	if (id != AV_CODEC_ID_H264 && id != AV_CODEC_ID_HEVC) return -1;
	if (!d->order) {
		d->order = av_parser_init(id);
		d->order_ctx = avcodec_alloc_context3(NULL);
		if (!d->order || !d->order_ctx || avcodec_parameters_to_context(d->order_ctx, s->codecpar) < 0) return -1;
		d->order->flags |= PARSER_FLAG_COMPLETE_FRAMES;
	}
	uint8_t *out;
	int size;
	av_parser_parse2(d->order, d->order_ctx, &out, &size, d->pkt->data, d->pkt->size, AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
	int poc = d->order->output_picture_number;
	return id == AV_CODEC_ID_H264 ? poc / 2 : poc; // H.264 counts fields
}

static int sl_demuxer_read(sl_demuxer *d) {
	av_packet_unref(d->pkt);
	int err = av_read_frame(d->fmt, d->pkt);
	if (err < 0) return err;
	const AVStream *s = d->fmt->streams[d->pkt->stream_index];
	d->pts = sl_ns(s, d->pkt->pts);
	d->dts = sl_ns(s, d->pkt->dts);
	d->duration = d->pkt->duration > 0 ? sl_ns(s, d->pkt->duration) : 0;
	d->picture = d->pkt->pts == AV_NOPTS_VALUE ? sl_picture_order(d, s) : -1;
	d->extra = av_packet_get_side_data(d->pkt, AV_PKT_DATA_NEW_EXTRADATA, &d->extra_size);
	return 0;
}
*/
import "C"

import (
	"context"
	"time"
	"unsafe"
)

// Demuxer reads the packets of a local file.
type Demuxer struct {
	p    *C.sl_demuxer
	ctx  context.Context
	stop func() bool
}

// Stream describes one video stream of a file.
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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	quiet()
	d := &Demuxer{p: C.sl_demuxer_new(), ctx: ctx}
	if d.p == nil {
		return nil, check(-C.ENOMEM)
	}
	p := d.p
	finished := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		C.sl_demuxer_stop(p)
		close(finished)
	})
	d.stop = func() bool {
		if !cancel() {
			<-finished // it is writing to p
		}
		return true
	}
	url := C.CString("file:" + path) // so that a name with a colon is no protocol
	defer C.free(unsafe.Pointer(url))
	err := check(C.sl_demuxer_open(d.p, url))
	if err == nil {
		err = check(C.avformat_find_stream_info(d.p.fmt, nil))
	}
	if err != nil {
		err = d.interrupted(err)
		d.Close()
		return nil, err
	}
	return d, nil
}

// interrupted puts ctx's error in the place of FFmpeg's own when ctx ended.
func (d *Demuxer) interrupted(err error) error {
	if cause := d.ctx.Err(); cause != nil && err != nil {
		return cause
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
	if err := check(C.sl_demuxer_read(d.p)); err != nil {
		return d.interrupted(err)
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

// Close frees the demuxer and closes the file.
func (d *Demuxer) Close() {
	d.stop()
	C.sl_demuxer_free(d.p)
	d.p = nil
}
