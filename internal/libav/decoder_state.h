#ifndef SIGHTLINE_LIBAV_DECODER_STATE_H
#define SIGHTLINE_LIBAV_DECODER_STATE_H

#include "decoder.h"

#include <libavutil/buffer.h>
#include <pthread.h>

// Packets that frame threads may have in hand at once.
enum { SL_IN_HAND = 64 };

// How pictures of the pool lie in memory.
typedef struct {
	int format, width, height, linesize[4];
	size_t offset[4], size;
} sl_layout;

struct sl_decoder {
	sl_output out; // first: see sl_decoder_output
	AVCodecContext *ctx;
	AVPacket *pkt;
	sl_memory *memory;
	int64_t max_bytes;
	int max_pictures;

	pthread_mutex_t lock; // of what follows: frame threads ask for pictures side by side
	AVBufferPool *pool;
	sl_layout layout;
	struct { int64_t id; int pictures; } asked[SL_IN_HAND];
	int64_t missing; // as in out
	int full;
	AVFrame *last; // the picture being decoded, inside FFmpeg
	int64_t last_id;

	enum AVPixelFormat device_format; // AV_PIX_FMT_NONE without a device
	int on_device, keep; // the last picture was; pictures stay there
	int wanted;          // pictures to be held there
	int chosen, failed;  // the device's format was: the last time it was, and to no avail
};

// Gives FFmpeg memory for a picture, out of a pool of the decoder's own.
int sl_get_buffer(AVCodecContext *ctx, AVFrame *frame, int flags);

// Prepares ctx for decoding on the device that the options name.
int sl_device_open(sl_decoder *d, const AVCodec *codec, const sl_decoder_options *o);
// Brings a picture into host memory, where it is not there nor is to stay elsewhere.
int sl_device_download(sl_decoder *d, AVFrame **frame);
// Makes FFmpeg's view of a context of CUDA's and a stream of it; both stay the caller's.
int sl_cuda_open(AVBufferRef **out, void *context, void *stream);
// Provides for pictures to be held, before decoding begins; to be called where FFmpeg
// asks for the format.
void sl_cuda_fit(sl_decoder *d, AVCodecContext *ctx);
// Whether pictures like those to come can be decoded into formats that stay on the device.
int sl_cuda_takes(const AVCodecContext *ctx);

#endif
