package libav

/*
#include <stdlib.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

typedef struct { struct SwsContext *sws; } sl_scaler;

// Converts to 8 bit 4:2:0 of the same size. YUV keeps its matrix and range; gray
// and RGB become full range.
static int sl_scaler_convert(sl_scaler *s, const AVFrame *in, AVFrame **out, int bt709) {
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(in->format);
	if (!d || !sws_isSupportedInput(in->format)) return AVERROR(ENOSYS);
	int rgb = (d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
	int full = rgb || d->nb_components < 3 || in->color_range == AVCOL_RANGE_JPEG ||
		in->format == AV_PIX_FMT_YUVJ422P || in->format == AV_PIX_FMT_YUVJ444P ||
		in->format == AV_PIX_FMT_YUVJ440P || in->format == AV_PIX_FMT_YUVJ411P;
	s->sws = sws_getCachedContext(s->sws, in->width, in->height, in->format, in->width, in->height,
		AV_PIX_FMT_YUV420P, SWS_BILINEAR | SWS_ACCURATE_RND, NULL, NULL, NULL);
	if (!s->sws) return AVERROR(ENOSYS);
	const int *matrix = sws_getCoefficients(bt709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
	sws_setColorspaceDetails(s->sws, matrix, full, matrix, full, 0, 1 << 16, 1 << 16);
	AVFrame *f = av_frame_alloc();
	if (!f) return AVERROR(ENOMEM);
	f->format = AV_PIX_FMT_YUV420P;
	f->width = in->width;
	f->height = in->height;
	int err = av_frame_get_buffer(f, 0);
	if (err < 0) { av_frame_free(&f); return err; }
	err = sws_scale(s->sws, (const uint8_t *const *)in->data, in->linesize, 0, in->height, f->data, f->linesize);
	if (err < 0) { av_frame_free(&f); return err; }
	f->pts = in->pts;
	f->flags = in->flags;
	f->decode_error_flags = in->decode_error_flags;
	f->chroma_location = in->chroma_location;
	f->colorspace = bt709 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
	f->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
	*out = f;
	return 0;
}

static void sl_scaler_free(sl_scaler *s) { sws_freeContext(s->sws); s->sws = NULL; }
*/
import "C"

// Scaler converts pictures of any format to I420. The zero value is ready.
type Scaler struct{ c C.sl_scaler }

// Convert returns a new picture with its own memory; f stays the caller's.
// matrix says which coefficients the YUV samples of the result have, and those
// of f, unless f is RGB.
func (s *Scaler) Convert(f Frame, matrix Matrix) (Frame, error) {
	bt709 := C.int(0)
	if matrix == BT709 {
		bt709 = 1
	}
	var out Frame
	err := check(C.sl_scaler_convert(&s.c, f.p, &out.p, bt709))
	return out, err
}

// Close frees what conversions share.
func (s *Scaler) Close() { C.sl_scaler_free(&s.c) }
