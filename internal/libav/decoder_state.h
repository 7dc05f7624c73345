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
	int on_device;
};

// Gives FFmpeg memory for a picture, out of a pool of the decoder's own.
int sl_get_buffer(AVCodecContext *ctx, AVFrame *frame, int flags);

// Prepares ctx for decoding on a device of the named type.
int sl_device_open(sl_decoder *d, const AVCodec *codec, const char *type);
// Brings a picture into host memory, where it is not there.
int sl_device_download(sl_decoder *d, AVFrame **frame);

#endif
