package libav

/*
#include <libavutil/frame.h>
#include <libavutil/hwcontext.h>
#include <libavutil/pixdesc.h>

// What the picture's planes hold, wherever they are.
static enum AVPixelFormat sl_frame_format(const AVFrame *f) {
	return f->format == AV_PIX_FMT_CUDA && f->hw_frames_ctx ? ((AVHWFramesContext *)f->hw_frames_ctx->data)->sw_format : f->format;
}
*/
import "C"

import "unsafe"

// PixelFormat is what a frame's planes hold, as far as it matters here.
type PixelFormat uint8

// Formats used as they are; every other one is Other.
const (
	Other PixelFormat = iota
	I420              // also with an alpha plane, which is ignored
	NV12
	P010 // as NV12, of 16 bits a sample, of which the upper 10 or 12 count
)

// Matrix is a color matrix.
type Matrix uint8

// Matrices told apart.
const (
	MatrixUnknown Matrix = iota
	BT601
	BT709
)

// Siting is where chroma samples lie horizontally.
type Siting uint8

// Sitings told apart.
const (
	SitingUnknown Siting = iota
	SitingLeft
	SitingCenter
)

// Frame owns one decoded picture, a reference to its buffers. The zero value is none.
type Frame struct{ p *C.AVFrame }

// FrameInfo describes a frame. The planes stay valid until Free.
type FrameInfo struct {
	Width, Height int
	Format        PixelFormat
	FormatName    string            // FFmpeg's, set for Other
	ID            int64             // of the packet it came from
	Device        bool              // on the device: Planes are addresses there
	Planes        [3]unsafe.Pointer // of the visible part
	Strides       [3]int
	Concealed     bool // parts of it could not be decoded
	Corrupt       bool // FFmpeg takes it for damaged for another reason, such as a start at no keyframe
	Matrix        Matrix
	FullRange     bool
	Siting        Siting
}

// Free gives the picture's buffers back. It is called once, from any goroutine.
func (f Frame) Free() { C.av_frame_free(&f.p) }

// Info reads the frame's description.
func (f Frame) Info() FrameInfo {
	info := FrameInfo{
		Width: int(f.p.width), Height: int(f.p.height), ID: int64(f.p.pts),
		Concealed: f.p.decode_error_flags != 0,
		Corrupt:   f.p.flags&C.AV_FRAME_FLAG_CORRUPT != 0,
		FullRange: f.p.color_range == C.AVCOL_RANGE_JPEG,
	}
	for i := range info.Planes {
		info.Planes[i], info.Strides[i] = unsafe.Pointer(f.p.data[i]), int(f.p.linesize[i])
	}
	info.Device = f.p.format == C.AV_PIX_FMT_CUDA
	switch format := C.sl_frame_format(f.p); format {
	case C.AV_PIX_FMT_YUV420P, C.AV_PIX_FMT_YUVA420P:
		info.Format = I420
	case C.AV_PIX_FMT_YUVJ420P:
		info.Format, info.FullRange = I420, true
	case C.AV_PIX_FMT_NV12:
		info.Format, info.Planes[2] = NV12, nil
	case C.AV_PIX_FMT_P010, C.AV_PIX_FMT_P016:
		info.FormatName = C.GoString(C.av_get_pix_fmt_name(format))
		if info.Device {
			info.Format, info.Planes[2] = P010, nil
		}
	default:
		info.FormatName = C.GoString(C.av_get_pix_fmt_name(format))
	}
	if info.Device {
		info.crop(int(f.p.crop_left), int(f.p.crop_top))
	}
	switch f.p.colorspace {
	case C.AVCOL_SPC_BT709, C.AVCOL_SPC_SMPTE240M:
		info.Matrix = BT709
	case C.AVCOL_SPC_BT470BG, C.AVCOL_SPC_SMPTE170M, C.AVCOL_SPC_FCC:
		info.Matrix = BT601
	}
	switch f.p.chroma_location {
	case C.AVCHROMA_LOC_LEFT, C.AVCHROMA_LOC_TOPLEFT, C.AVCHROMA_LOC_BOTTOMLEFT:
		info.Siting = SitingLeft
	case C.AVCHROMA_LOC_CENTER, C.AVCHROMA_LOC_TOP, C.AVCHROMA_LOC_BOTTOM:
		info.Siting = SitingCenter
	}
	return info
}

// crop leaves out columns and rows at the left and the top, which FFmpeg does not of
// pictures on a device. Both are even in 4:2:0.
func (i *FrameInfo) crop(left, top int) {
	bytes := 1
	if i.Format == P010 {
		bytes = 2
	}
	i.Width, i.Height = i.Width-left, i.Height-top
	i.Planes[0] = unsafe.Add(i.Planes[0], top*i.Strides[0]+left*bytes)
	i.Planes[1] = unsafe.Add(i.Planes[1], top/2*i.Strides[1]+left*bytes)
}
