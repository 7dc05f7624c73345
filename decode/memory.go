package decode

import "sightline/internal/libav"

const (
	// maxPixels is the largest picture that is decoded: 8K (7680×4320) with what
	// codecs pad it to. Larger ones are an error of their packet.
	maxPixels = 8192 * 4352
	// spare is how many pictures there may be of one stream, beside one a thread:
	// 16 that others refer to, 16 that wait for their turn, 8 in use downstream.
	spare = 40
	// MaxBytes is the most that the pictures of one stream may take together,
	// however large they are.
	MaxBytes = 512 << 20
)

// Ceiling is the most memory in bytes that pictures of this size (8 bit 4:2:0) can
// take for one stream decoded with one thread: those the decoder refers to, those
// it holds back, free ones kept for the next, and those that were handed out and
// are not released. A decoder that would need more refuses packets. H.264 uses
// some 2 to 4 of them without B-pictures. Beside it FFmpeg keeps tables of motion, up to
// half as large, for the pictures it refers to.
func Ceiling(width, height int) int64 { return ceiling(width, height, 1) }

func ceiling(width, height, threads int) int64 {
	return min(int64(spare+threads)*pictureBytes(width, height), MaxBytes)
}

// pictureBytes is what one picture takes at most, with the borders that the codecs
// of FFmpeg ask for.
func pictureBytes(width, height int) int64 {
	luma := int64(width+127) &^ 127 * (int64(height+63)&^63 + 2)
	return luma*3/2 + 3*128
}

// pixelBytes is what a frame's visible samples take.
func pixelBytes(f *Frame) int64 {
	if f.Format == P010 {
		luma, chroma := f.rows()
		return int64(luma.width)*int64(luma.count) + int64(chroma.width)*int64(chroma.count)
	}
	return int64(f.Width)*int64(f.Height) + 2*(int64(f.Width+1)/2)*(int64(f.Height+1)/2)
}

func (d *decoder) bound(o *libav.DecoderOptions) {
	o.MaxPixels, o.MaxPictures, o.MaxBytes, o.Memory = maxPixels, spare+d.config.Threads, MaxBytes, d.memory
}

// measure notes the size of the stream's pictures.
func (d *decoder) measure(width, height int) {
	if c := ceiling(width, height, d.config.Threads); c != d.info.Load().Ceiling {
		d.tell(func(i *Info) { i.Ceiling = c })
	}
}

// Trim gives memory that decoders and engines have freed back to the system,
// which the allocator does not do by itself in the middle of its arenas. It takes
// milliseconds and may be called at any time.
func Trim() { libav.Trim() }
