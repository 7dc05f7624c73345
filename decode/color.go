package decode

import (
	"sightline/ingest"
	"sightline/internal/libav"
)

// hdHeight is from where on pictures that do not say are taken for BT.709, as players do.
const hdHeight = 720

// colorOf reads a picture's color description; what the stream leaves open follows
// the picture's height (matrix) and the codec (chroma siting).
func colorOf(info libav.FrameInfo, codec ingest.Codec) Color {
	c := Color{Matrix: BT601, FullRange: info.FullRange, ChromaLeft: info.Siting == libav.SitingLeft}
	if info.Matrix == libav.BT709 || info.Matrix == libav.MatrixUnknown && info.Height >= hdHeight {
		c.Matrix = BT709
	}
	if info.Siting == libav.SitingUnknown {
		switch codec {
		case ingest.MJPEG, ingest.VP8, "mpeg1video", "h263", "flv1":
		default:
			c.ChromaLeft = true
		}
	}
	return c
}
