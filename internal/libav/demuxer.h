// The C side of demuxer.go: one crossing for each packet.
#ifndef SL_DEMUXER_H
#define SL_DEMUXER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // RTLD_DEFAULT
#endif
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <libavutil/time.h>

typedef struct {
	AVFormatContext *fmt;
	AVPacket *pkt;
	AVCodecParserContext *order; // of H.264 and H.265 files that carry no presentation times
	AVCodecContext *order_ctx;
	volatile int stop;
	int64_t deadline; // of the call under way, on av_gettime_relative's clock; 0: none
	int64_t most, from; // how far a Read may go in the stream, and where it began; 0: to its end
	int excess;
	AVIOContext *io; // of data in memory
	uint8_t *data;
	int64_t size, at;
	// The last packet, times in nanoseconds.
	int64_t pts, dts, duration;
	int picture; // number in presentation order since the last IDR picture, -1 unknown
	uint8_t *extra;
	size_t extra_size;
} sl_demuxer;

static int sl_demuxer_late(sl_demuxer *d) { return d->deadline && av_gettime_relative() > d->deadline; }
// FFmpeg's parsers keep everything until a picture is whole; a hostile sender's never is.
static int sl_demuxer_excess(sl_demuxer *d) {
	if (d->most && d->fmt && d->fmt->pb && avio_tell(d->fmt->pb) - d->from > d->most) d->excess = 1;
	return d->excess;
}
static int sl_stopped(void *p) { return ((sl_demuxer *)p)->stop || sl_demuxer_late(p) || sl_demuxer_excess(p); }
static void sl_demuxer_stop(sl_demuxer *d) { d->stop = 1; }

static void sl_demuxer_free(sl_demuxer *d) {
	av_parser_close(d->order);
	avcodec_free_context(&d->order_ctx);
	av_packet_free(&d->pkt);
	avformat_close_input(&d->fmt);
	if (d->io) av_freep(&d->io->buffer);
	avio_context_free(&d->io);
	free(d->data);
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

static int sl_memory_read(void *p, uint8_t *buf, int n) {
	sl_demuxer *d = p;
	if (d->at >= d->size) return AVERROR_EOF;
	if (n > d->size - d->at) n = d->size - d->at;
	memcpy(buf, d->data + d->at, n);
	d->at += n;
	return n;
}

static int64_t sl_memory_seek(void *p, int64_t to, int whence) {
	sl_demuxer *d = p;
	if (whence == AVSEEK_SIZE) return d->size;
	whence &= ~AVSEEK_FORCE;
	if (whence == SEEK_CUR) to += d->at;
	if (whence == SEEK_END) to += d->size;
	return to < 0 || to > d->size ? AVERROR(EINVAL) : (d->at = to);
}

// Reads data, which becomes the demuxer's, instead of opening a URL.
static int sl_demuxer_memory(sl_demuxer *d, void *data, int64_t size) {
	d->data = data;
	d->size = size;
	uint8_t *buffer = av_malloc(32 << 10);
	d->io = buffer ? avio_alloc_context(buffer, 32 << 10, 0, d, sl_memory_read, NULL, sl_memory_seek) : NULL;
	if (!d->io) { av_free(buffer); return AVERROR(ENOMEM); }
	d->fmt->pb = d->io;
	return 0;
}

// Capture devices are in a library that is loaded when the first one is opened:
// it brings a hundred others with it. It has FFmpeg's major version.
static int sl_register_devices(void) {
	void *lib = dlopen("libavdevice.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR), RTLD_NOW);
	void (*all)(void) = lib ? (void (*)(void))dlsym(lib, "avdevice_register_all") : NULL;
	if (all) all();
	return all != NULL;
}

// libsrt, which FFmpeg may come with, writes to standard error by itself.
static void sl_quiet_srt(void) {
	void (*level)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, "srt_setloglevel");
	if (level) level(0);
}

static void sl_demuxer_nonblock(sl_demuxer *d) { d->fmt->flags |= AVFMT_FLAG_NONBLOCK; }

static void sl_demuxer_arm(sl_demuxer *d, int64_t us) { d->deadline = us > 0 ? av_gettime_relative() + us : 0; }

static int sl_demuxer_open(sl_demuxer *d, const char *url, const char *format, AVDictionary **opts) {
	const AVInputFormat *f = *format ? av_find_input_format(format) : NULL;
	return *format && !f ? AVERROR_DEMUXER_NOT_FOUND : avformat_open_input(&d->fmt, url, f, opts);
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
	if (d->fmt->pb) d->from = avio_tell(d->fmt->pb);
	int err;
	// A capture device is asked whether there is a picture: its driver would wait
	// for one whatever happens.
	while ((err = av_read_frame(d->fmt, d->pkt)) == AVERROR(EAGAIN) && !sl_stopped(d)) av_usleep(4000);
	if (err < 0) return err;
	const AVStream *s = d->fmt->streams[d->pkt->stream_index];
	d->pts = sl_ns(s, d->pkt->pts);
	d->dts = sl_ns(s, d->pkt->dts);
	d->duration = d->pkt->duration > 0 ? sl_ns(s, d->pkt->duration) : 0;
	d->picture = d->pkt->pts == AV_NOPTS_VALUE ? sl_picture_order(d, s) : -1;
	d->extra = av_packet_get_side_data(d->pkt, AV_PKT_DATA_NEW_EXTRADATA, &d->extra_size);
	return 0;
}

#endif
