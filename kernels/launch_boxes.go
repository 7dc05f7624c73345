package kernels

/*
#include "types.h"
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// BoxSize is the bytes of a box in device memory.
const BoxSize = C.sizeof_va_box

// Candidates is the device memory in which decoding leaves the candidate boxes of a
// batch, in an order that means nothing, and from which suppression takes them. The
// caller owns it. Rows is how many rows of the batch are decoded: the grid's z.
type Candidates struct {
	Rows, Classes int
	Room          int    // candidates of a row: Rows×Room boxes. With as many as the network has anchors none is ever lost
	Boxes         uint64 // Rows×Room×BoxSize bytes, written by decoding
	Counts        uint64 // Rows int32, zero before decoding: fill them for each run
	Wants         uint64 // Rows×WantSize(Classes) bytes: what PutWant makes
}

// WantSize is the bytes of device memory that say what counts in a row.
func WantSize(classes int) int { return (4 + classes + 7) / 8 * 8 }

// PutWant writes what counts in a row into dst, WantSize(classes) bytes: boxes that
// score at least threshold, of the classes in wanted, nil being all.
func PutWant(dst []byte, classes int, wanted []bool, threshold float32) {
	binary.NativeEndian.PutUint32(dst, math.Float32bits(threshold))
	for c := range classes {
		dst[4+c] = byte(flag(wanted == nil || wanted[c]))
	}
}

// launch is a kernel with one thread for each of n anchors of each row.
func (c Candidates) launch(kernel string, n int, args ...uint64) Launch {
	args = append(args, c.Wants, uint64(WantSize(c.Classes)), c.Boxes, uint64(c.Room), c.Counts)
	return Launch{kernel, [3]uint32{blocks(n, blockSize), 1, uint32(c.Rows)}, [3]uint32{blockSize, 1, 1}, args}
}

// HeadOutput is where a NanoDet network leaves what it says for one stride: the
// values of Head, as 32-bit floats in device memory. Values of the batch's row r lie
// ScoresRow×r and BinsRow×r floats behind those of the first.
type HeadOutput struct {
	Scores, Bins          uint64 // addresses of the first row's
	ScoresRow, BinsRow    int
	Columns, Rows, Stride int
	First                 int  // how many cells the strides before have
	Width                 int  // floats from cell to cell where scores and bins share an output, else 0
	Planar, Corner        bool // see Head
}

// LaunchNanoDet decodes one stride of all rows, of distributions of bins values: see
// DecodeNanoDet. One thread a cell.
func (c Candidates) LaunchNanoDet(h HeadOutput, bins int) Launch {
	score, bin, plane := c.Classes, 4*bins, 1
	switch {
	case h.Planar:
		score, bin, plane = 1, 1, h.Columns*h.Rows
	case h.Width > 0:
		score, bin = h.Width, h.Width
	}
	return c.launch("va_nanodet", h.Columns*h.Rows, h.Scores, h.Bins, uint64(h.ScoresRow), uint64(h.BinsRow), uint64(score),
		uint64(bin), uint64(plane), uint64(h.Columns), uint64(h.Rows), uint64(h.Stride), uint64(h.First), word(h.Planar),
		word(h.Corner), uint64(c.Classes), uint64(bins))
}

// LaunchYOLOv8 decodes an output of Rows × [4+classes][anchors] floats at in: see
// DecodeYOLOv8. One thread an anchor, as with those that follow.
func (c Candidates) LaunchYOLOv8(in uint64, anchors int) Launch {
	return c.yolo(in, 4+c.Classes, anchors, yoloLayout{channelsFirst: true})
}

// LaunchYOLOv5 decodes an output of Rows × [anchors][5+classes] floats at in: see
// DecodeYOLOv5.
func (c Candidates) LaunchYOLOv5(in uint64, anchors int) Launch {
	return c.yolo(in, 5+c.Classes, anchors, yoloLayout{objectness: true})
}

// LaunchYOLOX decodes a raw YOLOX output of Rows × [anchors][5+classes] floats at in,
// of a network of width × height pixels: see DecodeYOLOX.
func (c Candidates) LaunchYOLOX(in uint64, width, height int) Launch {
	return c.yolo(in, 5+c.Classes, gridCells(width, height), yoloLayout{objectness: true, width: width, height: height})
}

func (c Candidates) yolo(in uint64, values, anchors int, y yoloLayout) Launch {
	step, value := values, 1
	if y.channelsFirst {
		step, value = 1, anchors
	}
	return c.launch("va_decode_yolo", anchors, in, uint64(values*anchors), uint64(step), uint64(value), uint64(anchors),
		uint64(c.Classes), word(y.objectness), word(y.width > 0), uint64(y.width), uint64(y.height))
}

// QueryOutput is where an RT-DETR or SSD network leaves what it says: the values of
// Queries, as 32-bit floats in device memory, those of a row ScoresRow and BoxesRow
// floats behind those of the one before.
type QueryOutput struct {
	Scores, Boxes             uint64 // addresses of the first row's
	ScoresRow, BoxesRow       int
	Count, ScoreStep, BoxStep int
	Logits, Corners           bool
}

// LaunchDETR decodes the queries of a network of width × height pixels: see DecodeDETR.
// One thread a query.
func (c Candidates) LaunchDETR(q QueryOutput, width, height int) Launch {
	return c.launch("va_decode_detr", q.Count, q.Scores, q.Boxes, uint64(q.ScoresRow), uint64(q.BoxesRow),
		uint64(q.ScoreStep), uint64(q.BoxStep), uint64(q.Count), uint64(c.Classes), word(q.Logits), word(q.Corners), uint64(width), uint64(height))
}

// Suppression says which candidates are one object, and where the kept go: results,
// Rows×ResultSize(Limit) bytes of device memory, for one copy to the host.
type Suppression struct {
	Overlap float32 // intersection over union beyond which the lower score goes
	Groups  uint64  // int32 for each class: see NMS. 0 where NumGroups is
	NumGroups,
	Limit int // kept of a row, at most
	Results uint64
}

// ResultSize is the bytes of a row's result.
func ResultSize(limit int) int { return C.sizeof_va_found + limit*BoxSize }

// LaunchNMS is NMS of all rows, behind whatever decoded them: how many candidates
// there are is read on the device. One block a row. Up to 1024 candidates are sorted
// at once in shared memory; of more, the best 1024 at a time, until Limit are kept or
// none is left, so that no number of candidates changes the result.
func (c Candidates) LaunchNMS(s Suppression) Launch {
	args := []uint64{
		c.Boxes, uint64(c.Room), c.Counts, uint64(math.Float32bits(s.Overlap)), s.Groups, uint64(s.NumGroups),
		s.Results, uint64(ResultSize(s.Limit)), uint64(s.Limit),
	}
	return Launch{"va_nms", [3]uint32{1, 1, uint32(c.Rows)}, [3]uint32{blockSize, 1, 1}, args}
}

// ReadResult appends the boxes in a row's result, on the host, to dst: by score
// descending, then anchor ascending. It fails where candidates found no room.
func ReadResult(result []byte, dst []Box) ([]Box, error) {
	if len(result) < C.sizeof_va_found {
		return dst, fmt.Errorf("reading boxes: %d bytes hold no result", len(result))
	}
	number := func(i int) int { return int(int32(binary.NativeEndian.Uint32(result[4*i:]))) }
	kept, candidates, lost := number(0), number(1), number(2)
	if lost > 0 {
		return dst, fmt.Errorf("reading boxes: there was no room for %d of %d candidates", lost, candidates)
	}
	body := result[C.sizeof_va_found:]
	if kept < 0 || kept > len(body)/BoxSize {
		return dst, fmt.Errorf("reading boxes: %d boxes are not within %d bytes", kept, len(body))
	}
	had := len(dst)
	dst = append(dst, make([]Box, kept)...)
	if kept > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[had])), kept*BoxSize), body)
	}
	return dst, nil
}
