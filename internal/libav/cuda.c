#include "decoder_state.h"

#include <dlfcn.h>
#include <libavutil/hwcontext.h>

// FFmpeg's header needs two handles of cuda.h and nothing else, which are declared
// here so that no build needs that file.
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
#define CUDA_VERSION 1
#include <libavutil/hwcontext_cuda.h>

int sl_cuda_open(AVBufferRef **out, void *context, void *stream) {
	AVBufferRef *device = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA);
	if (!device) return AVERROR(ENOSYS); // an FFmpeg without CUDA
	AVCUDADeviceContext *cuda = ((AVHWDeviceContext *)device->data)->hwctx;
	cuda->cuda_ctx = context;
	cuda->stream = stream;
	int err = av_hwdevice_ctx_init(device);
	if (err < 0) av_buffer_unref(&device);
	*out = device;
	return err;
}

// Of what NVDEC makes other formats of, nothing downstream reads the result. And it
// wants even sizes: where one is odd, chroma does not begin where FFmpeg thinks it does.
int sl_cuda_takes(const AVCodecContext *ctx) {
	enum AVPixelFormat format = ctx->sw_pix_fmt;
	if ((ctx->coded_width | ctx->coded_height) & 1) return 0;
	return format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVJ420P || format == AV_PIX_FMT_YUV420P10 || format == AV_PIX_FMT_YUV420P12;
}

// NVDEC decodes into no more pictures than these. FFmpeg adds some at last to what
// its parameters say.
enum { SL_NVDEC_PICTURES = 32, SL_ADDED_PICTURES = 3, SL_LEAST_HELD = 2 };

// Streams that refer to many pictures, or do not say to how few, leave fewer to hold.
void sl_cuda_fit(sl_decoder *d, AVCodecContext *ctx) {
	AVBufferRef *parameters = NULL;
	ctx->extra_hw_frames = d->wanted;
	if (avcodec_get_hw_frames_parameters(ctx, ctx->hw_device_ctx, AV_PIX_FMT_CUDA, &parameters) >= 0) {
		int over = ((AVHWFramesContext *)parameters->data)->initial_pool_size + SL_ADDED_PICTURES - SL_NVDEC_PICTURES;
		if (over > 0) ctx->extra_hw_frames = FFMAX(d->wanted - over, SL_LEAST_HELD);
		av_buffer_unref(&parameters);
	}
}

int sl_decoder_held(sl_decoder *d) { return d->ctx->extra_hw_frames; }

int sl_decoder_surfaces(sl_decoder *d, int64_t *bytes) {
	*bytes = 0;
	if (!d->keep || !d->ctx->hw_frames_ctx) return 0;
	AVHWFramesContext *frames = (AVHWFramesContext *)d->ctx->hw_frames_ctx->data;
	int sample = frames->sw_format == AV_PIX_FMT_NV12 ? 1 : 2, copies = 2; // as NVDEC decodes it, and as it can be read
	*bytes = (int64_t)frames->initial_pool_size * frames->width * frames->height * 3 / 2 * sample * copies;
	return frames->initial_pool_size;
}

int sl_cuda_decodes(void) {
	void *library = dlopen("libnvcuvid.so.1", RTLD_LAZY);
	if (library) dlclose(library);
	return library != NULL;
}
