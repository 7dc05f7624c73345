package libav

/*
#include <string.h>
#include <libavutil/frame.h>

// Turns one plane of w×h samples clockwise by quarters of a turn.
static void sl_turn(const uint8_t *in, int in_stride, uint8_t *out, int out_stride, int w, int h, int quarters) {
	for (int y = 0; y < h; y++, in += in_stride) {
		uint8_t *o;
		ptrdiff_t step;
		switch (quarters) {
		case 1: o = out + h - 1 - y, step = out_stride; break;
		case 2: o = out + (ptrdiff_t)(h - 1 - y) * out_stride + w - 1, step = -1; break;
		default: o = out + (ptrdiff_t)(w - 1) * out_stride + y, step = -out_stride; break;
		}
		for (int x = 0; x < w; x++, o += step) *o = in[x];
	}
}

static int sl_frame_turn(const AVFrame *in, AVFrame **out, int quarters) {
	AVFrame *f = av_frame_alloc();
	if (!f) return AVERROR(ENOMEM);
	f->format = AV_PIX_FMT_YUV420P;
	f->width = quarters & 1 ? in->height : in->width;
	f->height = quarters & 1 ? in->width : in->height;
	int err = av_frame_get_buffer(f, 0);
	if (err < 0) { av_frame_free(&f); return err; }
	for (int i = 0; i < 3; i++) {
		int half = i > 0;
		sl_turn(in->data[i], in->linesize[i], f->data[i], f->linesize[i],
			(in->width + half) >> half, (in->height + half) >> half, quarters);
	}
	*out = f;
	return 0;
}
*/
import "C"

// Turn returns a copy of an I420 picture with memory of its own, turned clockwise
// by 1 to 3 quarters; f stays the caller's. Of the info only planes, format and
// size are set.
func (f Frame) Turn(quarters int) (Frame, error) {
	var out Frame
	err := check(C.sl_frame_turn(f.p, &out.p, C.int(quarters)))
	return out, err
}
