package libav

/*
#include <stdlib.h>
#include <string.h>
#include <libavcodec/avcodec.h>
#include <libavutil/pixdesc.h>

enum { SL_BATCH = 4 };
typedef struct {
	AVCodecContext *ctx;
	AVPacket *pkt;
	AVFrame *out[SL_BATCH]; // pictures of the last call, owned by the caller
	int n;
} sl_decoder;

// FFmpeg's own av1 decoder needs hardware, and a wrapper of one may be first in
// its list; take the first that works in software.
static const AVCodec *sl_find_decoder(enum AVCodecID id) {
	void *it = NULL;
	for (const AVCodec *c; (c = av_codec_iterate(&it));) {
		if (c->id != id || !av_codec_is_decoder(c) || !strcmp(c->name, "av1")) continue;
		if (c->capabilities & (AV_CODEC_CAP_HARDWARE | AV_CODEC_CAP_HYBRID | AV_CODEC_CAP_EXPERIMENTAL)) continue;
		return c;
	}
	return NULL;
}

static void sl_decoder_free(sl_decoder *d) {
	if (!d) return;
	av_packet_free(&d->pkt);
	avcodec_free_context(&d->ctx);
	free(d);
}

typedef struct {
	const char *name, *pixel_format;
	const uint8_t *extra;
	int extra_size, width, height, bits, threads, frame_threads, low_delay, skip_loop_filter;
	uint32_t tag;
} sl_decoder_options;

static int sl_decoder_open(sl_decoder **out, const sl_decoder_options *o) {
	const AVCodecDescriptor *desc = avcodec_descriptor_get_by_name(o->name);
	const AVCodec *codec = desc && desc->type == AVMEDIA_TYPE_VIDEO ? sl_find_decoder(desc->id) : NULL;
	if (!codec) return AVERROR_DECODER_NOT_FOUND;
	sl_decoder *d = calloc(1, sizeof *d);
	if (!d) return AVERROR(ENOMEM);
	d->pkt = av_packet_alloc();
	d->ctx = avcodec_alloc_context3(codec);
	if (!d->pkt || !d->ctx) { sl_decoder_free(d); return AVERROR(ENOMEM); }
	if (o->extra_size > 0) {
		d->ctx->extradata = av_mallocz(o->extra_size + AV_INPUT_BUFFER_PADDING_SIZE);
		if (!d->ctx->extradata) { sl_decoder_free(d); return AVERROR(ENOMEM); }
		memcpy(d->ctx->extradata, o->extra, o->extra_size);
		d->ctx->extradata_size = o->extra_size;
	}
	d->ctx->width = o->width;
	d->ctx->height = o->height;
	d->ctx->codec_tag = o->tag;
	d->ctx->bits_per_coded_sample = o->bits;
	if (*o->pixel_format) d->ctx->pix_fmt = av_get_pix_fmt(o->pixel_format);
	d->ctx->thread_count = o->threads;
	d->ctx->thread_type = FF_THREAD_SLICE | (o->frame_threads ? FF_THREAD_FRAME : 0);
	// UNALIGNED: crop exactly, even where that leaves rows off the vector grid.
	d->ctx->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT | AV_CODEC_FLAG_UNALIGNED;
	// Only dav1d holds pictures back for speed; for H.264 this flag would break the order of B-pictures.
	if (o->low_delay && desc->id == AV_CODEC_ID_AV1) d->ctx->flags |= AV_CODEC_FLAG_LOW_DELAY;
	if (o->skip_loop_filter) d->ctx->skip_loop_filter = AVDISCARD_ALL;
	d->ctx->max_pixels = 8192LL * 8192;
	int err = avcodec_open2(d->ctx, codec, NULL);
	if (err < 0) { sl_decoder_free(d); return err; }
	*out = d;
	return 0;
}

// Receives until the decoder wants more (0), the batch is full (1), the end (AVERROR_EOF) or an error.
static int sl_decoder_receive(sl_decoder *d) {
	for (d->n = 0; d->n < SL_BATCH;) {
		AVFrame *f = av_frame_alloc();
		if (!f) return AVERROR(ENOMEM);
		int err = avcodec_receive_frame(d->ctx, f);
		if (err < 0) {
			av_frame_free(&f);
			return err == AVERROR(EAGAIN) ? 0 : err;
		}
		d->out[d->n++] = f;
	}
	return 1;
}

// One crossing for the usual packet. FFmpeg copies data, so it may be Go memory.
static int sl_decoder_decode(sl_decoder *d, uint8_t *data, int size, int64_t id) {
	d->n = 0;
	d->pkt->data = data;
	d->pkt->size = size;
	d->pkt->pts = d->pkt->dts = id;
	int err = avcodec_send_packet(d->ctx, d->pkt);
	d->pkt->data = NULL;
	d->pkt->size = 0;
	if (err < 0) return err;
	return sl_decoder_receive(d);
}

static int sl_decoder_drain(sl_decoder *d) {
	d->n = 0;
	int err = avcodec_send_packet(d->ctx, NULL);
	return err < 0 && err != AVERROR_EOF ? err : sl_decoder_receive(d);
}

static void sl_decoder_reset(sl_decoder *d) { avcodec_flush_buffers(d->ctx); }
static const char *sl_decoder_name(sl_decoder *d) { return d->ctx->codec->name; }
static int sl_decoder_frame_threads(sl_decoder *d) { return d->ctx->active_thread_type & FF_THREAD_FRAME; }
*/
import "C"

import (
	"errors"
	"io"
	"math"
	"unsafe"
)

// DecoderOptions says how to open a decoder.
type DecoderOptions struct {
	Codec          string // FFmpeg's name of the format: h264, hevc, vp8, …
	Extradata      []byte // out-of-band configuration, or nil
	Width, Height  int    // what a container says of pictures; 0 unknown
	Tag            uint32 // the container's code of the format; 0 unknown
	BitsPerSample  int    // of raw and old formats; 0 unknown
	PixelFormat    string // of raw video; "" unknown
	Threads        int    // at least 1
	FrameThreads   bool   // decode several pictures at once, at the price of as many pictures' delay
	LowDelay       bool
	SkipLoopFilter bool // faster and rougher: pictures drift until the next keyframe
}

// Decoder decodes one stream.
type Decoder struct{ p *C.sl_decoder }

// OpenDecoder opens a software decoder; ErrNoDecoder when there is none. Close frees it.
func OpenDecoder(o DecoderOptions) (*Decoder, error) {
	quiet()
	if len(o.Extradata) > math.MaxInt32/2 {
		return nil, ErrInvalidData
	}
	options := C.sl_decoder_options{
		name: C.CString(o.Codec), pixel_format: C.CString(o.PixelFormat),
		extra: (*C.uint8_t)(C.CBytes(o.Extradata)), extra_size: C.int(len(o.Extradata)),
		width: C.int(o.Width), height: C.int(o.Height), bits: C.int(o.BitsPerSample), tag: C.uint32_t(o.Tag),
		threads: C.int(o.Threads), frame_threads: flag(o.FrameThreads), low_delay: flag(o.LowDelay),
		skip_loop_filter: flag(o.SkipLoopFilter),
	}
	defer C.free(unsafe.Pointer(options.name))
	defer C.free(unsafe.Pointer(options.pixel_format))
	defer C.free(unsafe.Pointer(options.extra))
	d := &Decoder{}
	err := check(C.sl_decoder_open(&d.p, &options))
	if err != nil {
		return nil, err
	}
	return d, nil
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// Name is FFmpeg's name of the decoder in use.
func (d *Decoder) Name() string { return C.GoString(C.sl_decoder_name(d.p)) }

// FrameThreads tells whether pictures are decoded side by side, so that an error
// may be about an earlier packet.
func (d *Decoder) FrameThreads() bool { return C.sl_decoder_frame_threads(d.p) != 0 }

// Decode hands over one packet and appends the pictures that became ready, in
// presentation order, to frames; the caller frees each. id comes back in the info of the
// packet's picture. data is copied. Frames may come with an error.
func (d *Decoder) Decode(data []byte, id int64, frames []Frame) ([]Frame, error) {
	if len(data) == 0 {
		return frames, errors.New("empty packet")
	}
	if len(data) > math.MaxInt32/2 {
		return frames, errors.New("packet too large")
	}
	code := C.sl_decoder_decode(d.p, (*C.uint8_t)(unsafe.SliceData(data)), C.int(len(data)), C.int64_t(id))
	return d.collect(code, frames)
}

// Drain appends the pictures held back; the error is the first of those that
// could not be decoded. Reset must follow before the next Decode.
func (d *Decoder) Drain(frames []Frame) ([]Frame, error) {
	var first error
	for range maxDrainErrors {
		var err error
		frames, err = d.collect(C.sl_decoder_drain(d.p), frames)
		if err == io.EOF {
			return frames, first
		}
		if first == nil {
			first = err
		}
	}
	return frames, first
}

// maxDrainErrors is more than any decoder holds back.
const maxDrainErrors = 64

// collect takes the pictures of the last call and fetches those that did not fit it.
func (d *Decoder) collect(code C.int, frames []Frame) ([]Frame, error) {
	for {
		for _, f := range d.p.out[:d.p.n] {
			frames = append(frames, Frame{f})
		}
		if code != 1 {
			return frames, check(code)
		}
		code = C.sl_decoder_receive(d.p)
	}
}

// Reset forgets everything but the configuration, for a start at a keyframe.
func (d *Decoder) Reset() { C.sl_decoder_reset(d.p) }

// Close frees the decoder. Frames stay valid.
func (d *Decoder) Close() {
	C.sl_decoder_free(d.p)
	d.p = nil
}
