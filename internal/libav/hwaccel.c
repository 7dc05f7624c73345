#include "decoder_state.h"

#include <libavutil/hwcontext.h>
#include <libavutil/pixdesc.h>

// Takes the device's format where FFmpeg offers it, else the software format,
// which comes last. FFmpeg asks again, without it, where the device fails.
static enum AVPixelFormat sl_pick_format(AVCodecContext *ctx, const enum AVPixelFormat *offered) {
	sl_decoder *d = ctx->opaque;
	enum AVPixelFormat last = AV_PIX_FMT_NONE;
	int before = d->chosen, there = 0;
	d->chosen = d->failed = 0;
	for (; *offered != AV_PIX_FMT_NONE; offered++) {
		there |= *offered == d->device_format;
		if (*offered == d->device_format && (!d->keep || sl_cuda_takes(ctx))) {
			if (d->keep) sl_cuda_fit(d, ctx);
			d->chosen = 1;
			return *offered;
		}
		if (!(av_pix_fmt_desc_get(*offered)->flags & AV_PIX_FMT_FLAG_HWACCEL)) last = *offered;
	}
	d->failed = before && !there;
	return last;
}

// Lets consumers hold pictures where the device decodes into, without a copy.
static void sl_device_keep(sl_decoder *d, int held) {
	d->keep = 1;
	d->wanted = held;
#ifdef AV_HWACCEL_FLAG_UNSAFE_OUTPUT // FFmpeg 6.1 on; before, it never copied
	d->ctx->hwaccel_flags |= AV_HWACCEL_FLAG_UNSAFE_OUTPUT;
#endif
}

int sl_device_open(sl_decoder *d, const AVCodec *codec, const sl_decoder_options *o) {
	enum AVHWDeviceType type = av_hwdevice_find_type_by_name(o->hwaccel);
	if (type == AV_HWDEVICE_TYPE_NONE) return AVERROR(ENOSYS);
	const AVCodecHWConfig *c = NULL;
	for (int i = 0; (c = avcodec_get_hw_config(codec, i)); i++)
		if (c->device_type == type && c->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX) break;
	if (!c) return AVERROR_DECODER_NOT_FOUND;
	if (o->cuda_context) sl_device_keep(d, o->cuda_held);
	int err = o->cuda_context ? sl_cuda_open(&d->ctx->hw_device_ctx, o->cuda_context, o->cuda_stream)
							  : av_hwdevice_ctx_create(&d->ctx->hw_device_ctx, type, NULL, NULL, 0);
	if (err < 0) return AVERROR(ENODEV);
	d->device_format = c->pix_fmt;
	d->ctx->get_format = sl_pick_format;
	return 0;
}

int sl_device_download(sl_decoder *d, AVFrame **frame) {
	d->on_device = d->device_format != AV_PIX_FMT_NONE && (*frame)->format == d->device_format;
	if (!d->on_device || d->keep) return 0;
	AVFrame *host = av_frame_alloc();
	if (!host) return AVERROR(ENOMEM);
	int err = av_hwframe_transfer_data(host, *frame, 0);
	if (err >= 0) err = av_frame_copy_props(host, *frame);
	if (err < 0) {
		av_frame_free(&host);
		return err;
	}
	av_frame_free(frame);
	*frame = host;
	return 0;
}
