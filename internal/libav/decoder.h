#ifndef SIGHTLINE_LIBAV_DECODER_H
#define SIGHTLINE_LIBAV_DECODER_H

#include <libavcodec/avcodec.h>

enum { SL_BATCH = 4 };

// Counts the bytes of pictures that decoders have allocated and not given back.
// It lives as long as whoever holds a reference, pictures among them.
typedef struct sl_memory sl_memory;
sl_memory *sl_memory_new(void);
void sl_memory_unref(sl_memory *m);
int64_t sl_memory_bytes(sl_memory *m);

typedef struct {
	const char *name, *pixel_format;
	const char *hwaccel; // FFmpeg's name of a device type, "" for none
	// With a CUcontext and a CUstream of it, cuda leaves the pictures on the device;
	// so many of them are to be held while decoding goes on.
	void *cuda_context, *cuda_stream;
	int cuda_held;
	const uint8_t *extra;
	int extra_size, width, height, bits, threads, frame_threads, low_delay;
	uint32_t tag;
	int64_t max_pixels, max_bytes; // of one picture; of all of them
	int max_pictures;
	sl_memory *memory;
} sl_decoder_options;

typedef struct sl_decoder sl_decoder;

// What a call left behind. The caller owns the pictures.
typedef struct {
	AVFrame *frames[SL_BATCH];
	int n;
	// Lowest ids of packets that refer to pictures that never came, and whose
	// picture was made up in parts; INT64_MAX where there is none.
	int64_t missing, concealed;
	int full; // a bound kept FFmpeg from making a picture; its error may say something else
} sl_output;

// A device that is missing gives AVERROR(ENODEV), whatever FFmpeg says.
int sl_decoder_open(sl_decoder **out, const sl_decoder_options *o);
void sl_decoder_free(sl_decoder *d);
sl_output *sl_decoder_output(sl_decoder *d);
// Both receive until the decoder wants more (0), the batch is full (1), the end
// (AVERROR_EOF) or an error. data may be Go memory: FFmpeg copies it.
int sl_decoder_decode(sl_decoder *d, uint8_t *data, int size, int64_t id);
int sl_decoder_drain(sl_decoder *d);
int sl_decoder_receive(sl_decoder *d);
void sl_decoder_reset(sl_decoder *d);
void sl_decoder_skip_filter(sl_decoder *d, int level);
const char *sl_decoder_name(sl_decoder *d);
int sl_decoder_frame_threads(sl_decoder *d);
// Whether the last picture was decoded on the device.
int sl_decoder_on_device(sl_decoder *d);
// Whether FFmpeg went on in software because the device, which takes such pictures by
// their format, gave it no decoder.
int sl_decoder_device_failed(sl_decoder *d);
// How many pictures stay on the device, those handed out among them, and their bytes.
int sl_decoder_surfaces(sl_decoder *d, int64_t *bytes);
// How many of them may be held while decoding goes on.
int sl_decoder_held(sl_decoder *d);
// Whether the driver's library for decoding is there.
int sl_cuda_decodes(void);

#endif
