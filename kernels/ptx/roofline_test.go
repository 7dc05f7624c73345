package ptx

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// A card is a GPU by its vendor's data sheet.
type card struct {
	name      string
	arch      int
	bandwidth float64 // of its memory, in bytes a microsecond
}

func cards() []card {
	return []card{{"T4", 75, 320e3}, {"L4", 89, 300e3}, {"A10", 86, 600e3}, {"A100 40 GB", 80, 1555e3}, {"H100 SXM", 90, 3350e3}}
}

// An architecture is what CUDA's programming guide says of an SM (technical
// specifications by compute capability).
type architecture struct {
	arch, threads, blocks int // of an SM, at most
	shared                int // bytes of an SM that blocks share, at most
}

// architectures are those that the kernels are assembled for. All have 65536
// registers an SM, given to a warp by 256 at a time.
func architectures() []architecture {
	return []architecture{
		{75, 1024, 16, 64 << 10},
		{80, 2048, 32, 164 << 10},
		{86, 1536, 16, 100 << 10},
		{89, 1536, 24, 100 << 10},
		{90, 2048, 32, 228 << 10},
	}
}

const block = 256

// occupancy is the share of an SM's threads that blocks of 256 can fill.
func (a architecture) occupancy(k usage) float64 {
	warp := (k.registers*32 + 255) / 256 * 256
	blocks := min(a.threads/block, a.blocks, 65536/(warp*block/32))
	if k.shared > 0 {
		reserved := 1 << 10 // of each block, from compute capability 8.0 on
		if a.arch < 80 {
			reserved = 0
		}
		blocks = min(blocks, a.shared/(k.shared+reserved))
	}
	return float64(blocks*block) / float64(a.threads)
}

// sector is what a GPU reads of its memory at least.
const sector = 32

// touched counts the places of a plane's axis that n outputs read, at pixels out of
// size, in units of so many bytes a sample: rows where unit is 0, else sectors.
func touched(n int, ratio float64, size int, chroma bool, unit int) int {
	seen := map[int]bool{}
	for i := range n {
		x := (float64(i)+.5)*ratio - .5
		if chroma {
			x = x/2 - .25
		}
		x = min(max(x, 0), float64(size-1))
		for _, at := range []int{int(x), min(int(x)+1, size-1)} {
			if unit > 0 {
				at = at * unit / sector
			}
			seen[at] = true
		}
	}
	return len(seen)
}

// pictureRead is how many bytes of an NV12 picture a rectangle of w × h is made from.
func pictureRead(width, height, w, h int) int {
	rx, ry := float64(width)/float64(w), float64(height)/float64(h)
	luma := touched(h, ry, height, false, 0) * touched(w, rx, width, false, 1)
	chroma := touched(h, ry, height/2, true, 0) * touched(w, rx, width/2, true, 2)
	return sector * (luma + chroma)
}

// A step is what one kernel moves for one 1080p picture.
type step struct {
	name, kernel string
	bytes        int
}

func steps() []step {
	const candidates, box, kept = 300, 32, 300
	listed := candidates * box
	read, slot := pictureRead(1920, 1080, 640, 360), 640*640*3
	return []step{
		{"preprocess NV12 1080p → 640×640 f16", "va_preprocess", read + 2*slot},
		{"preprocess NV12 1080p → 640×640 f32", "va_preprocess", read + 4*slot},
		{"preprocess NV12 1080p → 416×416 u8", "va_preprocess", pictureRead(1920, 1080, 416, 234) + 416*416*3},
		{"decode YOLOv8 640, 80 classes", "va_decode_yolo", 8400*80*4 + candidates*4*sector + listed},
		{"decode YOLOv5 640, 80 classes", "va_decode_yolo", 25200*sector + candidates*84*4 + listed},
		{"decode NanoDet 416, 80 classes", "va_nanodet", 3549*80*4 + candidates*4*11*4 + listed},
		{"decode RT-DETR 640, 80 classes", "va_decode_detr", 300*84*4 + listed},
		{"NMS of 300 candidates, 300 kept", "va_nms", 3*listed + kept*box},
		{"thumbnail 320×180", "va_thumbnail", sector*touched(180, 6, 1080, false, 0)*touched(320, 6, 1920, false, 1) + 320*180},
		{"crop of the whole picture", "va_crop", 2 * 1920 * 1080 * 3 / 2},
	}
}

// table is the text for people: bytes and the least time that memory allows, with the
// occupancy that registers and shared memory allow.
func table(all map[int][]usage) string {
	var out strings.Builder
	out.WriteString("| step, for one picture | MB |")
	for _, c := range cards() {
		fmt.Fprintf(&out, " %s, %.0f GB/s |", c.name, c.bandwidth/1e3)
	}
	out.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(cards())) + "\n")
	used := map[int]map[string]float64{}
	for _, a := range architectures() {
		used[a.arch] = map[string]float64{}
		for _, k := range all[a.arch] {
			used[a.arch][k.kernel] = a.occupancy(k)
		}
	}
	for _, s := range steps() {
		fmt.Fprintf(&out, "| %s | %.2f |", s.name, float64(s.bytes)/1e6)
		for _, c := range cards() {
			fmt.Fprintf(&out, " %.2g µs, %.0f %% |", float64(s.bytes)/c.bandwidth, math.Round(100*used[c.arch][s.kernel]))
		}
		out.WriteString("\n")
	}
	return out.String()
}

// What is read of a picture: all of it where nothing is made smaller, of a sixth of
// its size both ways two rows in six.
func TestPictureRead(t *testing.T) {
	if got, want := pictureRead(640, 360, 640, 360), 640*360*3/2; got != want {
		t.Errorf("%d bytes at full size, want %d", got, want)
	}
	if got, want := touched(180, 6, 1080, false, 0), 360; got != want {
		t.Errorf("%d rows of a thumbnail, want %d", got, want)
	}
}
