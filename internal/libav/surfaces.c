#include "decoder_state.h"

#include <libavutil/imgutils.h>
#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sl_memory {
	atomic_int refs;
	atomic_llong bytes;
};

typedef struct {
	sl_memory *memory;
	size_t size;
} sl_block;

// What the pool asks for memory.
typedef struct {
	sl_memory *memory;
	int64_t limit;
} sl_allocator;

sl_memory *sl_memory_new(void) {
	sl_memory *m = calloc(1, sizeof *m);
	if (m) atomic_init(&m->refs, 1);
	return m;
}

void sl_memory_unref(sl_memory *m) {
	if (m && atomic_fetch_sub(&m->refs, 1) == 1) free(m);
}

int64_t sl_memory_bytes(sl_memory *m) { return atomic_load(&m->bytes); }

static void sl_block_free(void *opaque, uint8_t *data) {
	sl_block *b = opaque;
	av_free(data);
	atomic_fetch_sub(&b->memory->bytes, b->size);
	sl_memory_unref(b->memory);
	free(b);
}

static AVBufferRef *sl_block_alloc(void *opaque, size_t size) {
	sl_allocator *a = opaque;
	if (atomic_fetch_add(&a->memory->bytes, size) + (int64_t)size > a->limit) {
		atomic_fetch_sub(&a->memory->bytes, size);
		return NULL;
	}
	atomic_fetch_add(&a->memory->refs, 1);
	sl_block *b = malloc(sizeof *b);
	uint8_t *data = av_mallocz(size);
	if (b) *b = (sl_block){a->memory, size};
	AVBufferRef *ref = b && data ? av_buffer_create(data, size, sl_block_free, b, 0) : NULL;
	if (!ref) {
		av_free(data);
		free(b);
		atomic_fetch_sub(&a->memory->bytes, size);
		sl_memory_unref(a->memory);
	}
	return ref;
}

static void sl_allocator_free(void *opaque) {
	sl_allocator *a = opaque;
	sl_memory_unref(a->memory);
	free(a);
}

// Lays a picture out as FFmpeg's own pool does: its codecs write past the
// visible size, in strides that their vector code can use.
static int sl_lay_out(AVCodecContext *ctx, const AVFrame *f, sl_layout *l) {
	int w = f->width, h = f->height, align[AV_NUM_DATA_POINTERS], odd;
	avcodec_align_dimensions2(ctx, &w, &h, align);
	do {
		int err = av_image_fill_linesizes(l->linesize, f->format, w);
		if (err < 0) return err;
		w += w & ~(w - 1);
		odd = 0;
		for (int i = 0; i < 4; i++) odd |= l->linesize[i] % align[i];
	} while (odd);
	ptrdiff_t strides[4];
	size_t sizes[4];
	for (int i = 0; i < 4; i++) strides[i] = l->linesize[i];
	int err = av_image_fill_plane_sizes(sizes, f->format, h, strides);
	if (err < 0) return err;
	l->size = 0;
	for (int i = 0; i < 4; i++) {
		l->offset[i] = l->size;
		if (sizes[i]) l->size += FFALIGN(sizes[i] + 16 + 64 - 1, 64); // room to read and write past the end
	}
	l->format = f->format;
	l->width = f->width;
	l->height = f->height;
	return 0;
}

static int sl_pool_renew(AVCodecContext *ctx, sl_decoder *d, const AVFrame *f) {
	av_buffer_pool_uninit(&d->pool);
	int err = sl_lay_out(ctx, f, &d->layout);
	if (err < 0) return err;
	sl_allocator *a = malloc(sizeof *a);
	if (!a) return AVERROR(ENOMEM);
	int64_t limit = d->max_pictures * (int64_t)d->layout.size;
	*a = (sl_allocator){d->memory, limit < d->max_bytes ? limit : d->max_bytes};
	d->pool = av_buffer_pool_init2(d->layout.size, a, sl_block_alloc, sl_allocator_free);
	if (!d->pool) {
		free(a);
		return AVERROR(ENOMEM);
	}
	atomic_fetch_add(&d->memory->refs, 1);
	return 0;
}

// A packet of these codecs holds one picture; where FFmpeg asks for more, it
// makes up pictures that the packet refers to and that never came.
static void sl_note(sl_decoder *d, AVCodecContext *ctx, AVFrame *f) {
	if (ctx->codec_id != AV_CODEC_ID_H264 && ctx->codec_id != AV_CODEC_ID_HEVC) return;
	int64_t id = f->pts;
	int i = id & (SL_IN_HAND - 1);
	if (d->asked[i].id != id) {
		d->asked[i].id = id;
		d->asked[i].pictures = 0;
	}
	if (++d->asked[i].pictures > 1 && id < d->missing) d->missing = id;
	d->last = f;
	d->last_id = id;
}

int sl_get_buffer(AVCodecContext *ctx, AVFrame *f, int flags) {
	sl_decoder *d = ctx->opaque;
	const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
	int planes = av_pix_fmt_count_planes(f->format);
	pthread_mutex_lock(&d->lock);
	sl_note(d, ctx, f);
	if (!desc || planes < 1 || desc->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_PAL)) {
		pthread_mutex_unlock(&d->lock);
		return avcodec_default_get_buffer2(ctx, f, flags);
	}
	int err = 0;
	if (!d->pool || d->layout.format != f->format || d->layout.width != f->width || d->layout.height != f->height)
		err = sl_pool_renew(ctx, d, f);
	if (!err && !(f->buf[0] = av_buffer_pool_get(d->pool))) err = AVERROR(ENOMEM);
	for (int i = 0; !err && i < planes; i++) {
		f->data[i] = f->buf[0]->data + d->layout.offset[i];
		f->linesize[i] = d->layout.linesize[i];
	}
	d->full |= err == AVERROR(ENOMEM);
	pthread_mutex_unlock(&d->lock);
	f->extended_data = f->data;
	return err;
}
