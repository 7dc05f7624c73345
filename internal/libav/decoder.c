#include "decoder_state.h"

#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// FFmpeg's own av1 decoder needs hardware, and a wrapper of one may be first in
// its list; take the first that works in software.
static const AVCodec *sl_find_software(enum AVCodecID id) {
	void *it = NULL;
	for (const AVCodec *c; (c = av_codec_iterate(&it));) {
		if (c->id != id || !av_codec_is_decoder(c) || !strcmp(c->name, "av1")) continue;
		if (c->capabilities & (AV_CODEC_CAP_HARDWARE | AV_CODEC_CAP_HYBRID | AV_CODEC_CAP_EXPERIMENTAL)) continue;
		return c;
	}
	return NULL;
}

// Most devices help FFmpeg's own decoders; Quick Sync has decoders of its own.
static const AVCodec *sl_find(enum AVCodecID id, const char *hwaccel) {
	char name[64];
	if (!strcmp(hwaccel, "qsv")) {
		snprintf(name, sizeof name, "%s_qsv", avcodec_get_name(id));
		return avcodec_find_decoder_by_name(name);
	}
	if (*hwaccel && id == AV_CODEC_ID_AV1) return avcodec_find_decoder_by_name("av1");
	return sl_find_software(id);
}

void sl_decoder_free(sl_decoder *d) {
	if (!d) return;
	av_packet_free(&d->pkt);
	avcodec_free_context(&d->ctx);
	av_buffer_pool_uninit(&d->pool);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static int sl_configure(AVCodecContext *ctx, const AVCodec *codec, const sl_decoder_options *o) {
	if (o->extra_size > 0) {
		ctx->extradata = av_mallocz(o->extra_size + AV_INPUT_BUFFER_PADDING_SIZE);
		if (!ctx->extradata) return AVERROR(ENOMEM);
		memcpy(ctx->extradata, o->extra, o->extra_size);
		ctx->extradata_size = o->extra_size;
	}
	ctx->width = o->width;
	ctx->height = o->height;
	ctx->codec_tag = o->tag;
	ctx->bits_per_coded_sample = o->bits;
	if (*o->pixel_format) ctx->pix_fmt = av_get_pix_fmt(o->pixel_format);
	ctx->thread_count = o->threads;
	ctx->thread_type = FF_THREAD_SLICE | (o->frame_threads ? FF_THREAD_FRAME : 0);
	// UNALIGNED: crop exactly, even where that leaves rows off the vector grid.
	ctx->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT | AV_CODEC_FLAG_UNALIGNED;
	// Only dav1d holds pictures back for speed; for H.264 this flag would break the order of B-pictures.
	if (o->low_delay && codec->id == AV_CODEC_ID_AV1) ctx->flags |= AV_CODEC_FLAG_LOW_DELAY;
	ctx->max_pixels = o->max_pixels;
	if (codec->capabilities & AV_CODEC_CAP_DR1) ctx->get_buffer2 = sl_get_buffer;
#if LIBAVCODEC_VERSION_MAJOR < 60 // later versions take it for granted
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	ctx->thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
	return 0;
}

int sl_decoder_open(sl_decoder **out, const sl_decoder_options *o) {
	const AVCodecDescriptor *desc = avcodec_descriptor_get_by_name(o->name);
	const AVCodec *codec = desc && desc->type == AVMEDIA_TYPE_VIDEO ? sl_find(desc->id, o->hwaccel) : NULL;
	if (!codec) return AVERROR_DECODER_NOT_FOUND;
	sl_decoder *d = calloc(1, sizeof *d);
	if (!d) return AVERROR(ENOMEM);
	pthread_mutex_init(&d->lock, NULL);
	d->memory = o->memory;
	d->max_bytes = o->max_bytes;
	d->max_pictures = o->max_pictures;
	d->missing = d->out.missing = d->out.concealed = INT64_MAX;
	d->device_format = AV_PIX_FMT_NONE;
	d->pkt = av_packet_alloc();
	d->ctx = avcodec_alloc_context3(codec);
	int err = d->pkt && d->ctx ? 0 : AVERROR(ENOMEM);
	if (!err) {
		d->ctx->opaque = d;
		err = sl_configure(d->ctx, codec, o);
	}
	if (err >= 0 && *o->hwaccel) err = sl_device_open(d, codec, o);
	if (err >= 0) err = avcodec_open2(d->ctx, codec, NULL);
	if (err < 0) {
		sl_decoder_free(d);
		return err;
	}
	*out = d;
	return 0;
}

// Takes note of what was found out about pictures since the last call.
static void sl_judge(sl_decoder *d) {
	pthread_mutex_lock(&d->lock);
	d->out.missing = d->missing;
	d->missing = INT64_MAX;
	d->out.full = d->full;
	d->full = 0;
	pthread_mutex_unlock(&d->lock);
}

int sl_decoder_receive(sl_decoder *d) {
	int err = 0;
	for (d->out.n = 0; d->out.n < SL_BATCH;) {
		AVFrame *f = av_frame_alloc();
		if (!f) { err = AVERROR(ENOMEM); break; }
		err = avcodec_receive_frame(d->ctx, f);
		if (err >= 0) err = sl_device_download(d, &f);
		if (err < 0) {
			av_frame_free(&f);
			break;
		}
		d->out.frames[d->out.n++] = f;
	}
	sl_judge(d);
	if (err == AVERROR(EAGAIN)) return 0;
	return err < 0 ? err : 1;
}

int sl_decoder_decode(sl_decoder *d, uint8_t *data, int size, int64_t id) {
	d->out.n = 0;
	d->out.concealed = INT64_MAX;
	d->pkt->data = data;
	d->pkt->size = size;
	d->pkt->pts = d->pkt->dts = id;
	int err = avcodec_send_packet(d->ctx, d->pkt);
	d->pkt->data = NULL;
	d->pkt->size = 0;
	// H.264 marks the picture whose parts it has just made up; it may come out after others that refer to it.
	if (d->last && d->last_id == id && !sl_decoder_frame_threads(d) && d->ctx->codec_id == AV_CODEC_ID_H264 &&
		d->last->decode_error_flags) d->out.concealed = id;
	if (err < 0) {
		sl_judge(d);
		return err;
	}
	return sl_decoder_receive(d);
}

int sl_decoder_drain(sl_decoder *d) {
	d->out.n = 0;
	int err = avcodec_send_packet(d->ctx, NULL);
	return err < 0 && err != AVERROR_EOF ? err : sl_decoder_receive(d);
}

void sl_decoder_reset(sl_decoder *d) {
	avcodec_flush_buffers(d->ctx);
	sl_judge(d);
}

void sl_decoder_skip_filter(sl_decoder *d, int level) {
	static const enum AVDiscard levels[] = {AVDISCARD_DEFAULT, AVDISCARD_NONREF, AVDISCARD_ALL};
	d->ctx->skip_loop_filter = levels[level];
}

sl_output *sl_decoder_output(sl_decoder *d) { return &d->out; }
const char *sl_decoder_name(sl_decoder *d) { return d->ctx->codec->name; }
int sl_decoder_frame_threads(sl_decoder *d) { return d->ctx->active_thread_type & FF_THREAD_FRAME; }
int sl_decoder_on_device(sl_decoder *d) { return d->on_device; }
int sl_decoder_device_failed(sl_decoder *d) { return d->failed; }
