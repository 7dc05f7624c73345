package kernels

/*
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"unsafe"
)

// Head is the output of a NanoDet network for one stride, of one picture. Scores
// holds the class scores cell by cell, Bins four distributions (left, top, right,
// bottom) for each cell. With Planar set both lie the other way round, a plane of
// all cells for each value, and the scores lack their sigmoid: what the last
// convolution gives. Distances are from a cell's center or, with Corner set, from
// where it begins (NanoDet-Plus).
type Head struct {
	Scores, Bins          []float32
	Columns, Rows, Stride int
	Planar, Corner        bool
}

// native is the head for C; first is the anchor of its first cell.
func (h *Head) native(classes, bins, first int) C.va_head {
	n := C.va_head{
		scores: (*C.float)(unsafe.SliceData(h.Scores)), bins: (*C.float)(unsafe.SliceData(h.Bins)),
		columns: C.int(h.Columns), rows: C.int(h.Rows), stride: C.int(h.Stride), first: C.int(first),
		score_step: C.longlong(classes), bin_step: C.longlong(4 * bins), plane: 1, corner: flag(h.Corner),
	}
	if h.Planar {
		n.score_step, n.bin_step, n.plane, n.logits = 1, 1, C.longlong(h.Columns*h.Rows), 1
	}
	return n
}

// DecodeNanoDet appends to dst the boxes of heads whose best class scores at
// least threshold, in anchor order: one box a cell, in the network's input
// pixels, not clipped. classes is the number of class scores of a cell, bins the
// length of a distribution. wanted, when not nil, says which classes count; the
// others are as if absent. Cells whose numbers are not finite give no box.
func DecodeNanoDet(heads []Head, classes, bins int, wanted []bool, threshold float32, dst []Box) ([]Box, error) {
	return decodeNanoDet(bestLevel(), heads, classes, bins, wanted, threshold, dst)
}

func decodeNanoDet(l level, heads []Head, classes, bins int, wanted []bool, threshold float32, dst []Box) ([]Box, error) {
	if err := checkClasses(classes, wanted); err != nil {
		return dst, err
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	native := make([]C.va_head, 0, 8)
	first := 0
	for i, h := range heads {
		cells := h.Columns * h.Rows
		if h.Columns < 1 || h.Rows < 1 || h.Columns > maxSide || h.Rows > maxSide || bins < 1 || bins > maxSide ||
			len(h.Scores) != cells*classes || len(h.Bins) != cells*4*bins {
			return dst, fmt.Errorf("decoding boxes: output %d holds %d scores and %d bins, not %d×%d cells of %d classes and 4×%d bins",
				i, len(h.Scores), len(h.Bins), h.Columns, h.Rows, classes, bins)
		}
		pin.Pin(unsafe.SliceData(h.Scores))
		pin.Pin(unsafe.SliceData(h.Bins))
		native = append(native, h.native(classes, bins, first))
		first += cells
	}
	return collect(dst, func(out *C.va_box, room C.int) C.int {
		return C.sl_nanodet(C.int(l), C.int(len(native)), unsafe.SliceData(native), C.int(classes), C.int(bins),
			mask(wanted), C.float(threshold), out, room)
	}), nil
}

// DecodeYOLOv8 appends the boxes of an output [4+classes][anchors] (YOLOv8, v9,
// v11): cx, cy, w, h in pixels, then class scores. See DecodeNanoDet.
func DecodeYOLOv8(out []float32, classes int, wanted []bool, threshold float32, dst []Box) ([]Box, error) {
	return decodeYOLO(bestLevel(), out, yoloLayout{classes: classes, channelsFirst: true}, wanted, threshold, dst)
}

// DecodeYOLOv5 appends the boxes of an output [anchors][5+classes] (YOLOv5, v7):
// cx, cy, w, h in pixels, objectness, class scores; a box scores their product.
// See DecodeNanoDet.
func DecodeYOLOv5(out []float32, classes int, wanted []bool, threshold float32, dst []Box) ([]Box, error) {
	return decodeYOLO(bestLevel(), out, yoloLayout{classes: classes, objectness: true}, wanted, threshold, dst)
}

// DecodeYOLOX appends the boxes of a raw YOLOX output [anchors][5+classes] of a
// network of width × height pixels, whose anchors are the cells of strides 8, 16
// and 32; otherwise it is DecodeYOLOv5.
func DecodeYOLOX(out []float32, classes, width, height int, wanted []bool, threshold float32, dst []Box) ([]Box, error) {
	cells := gridCells(width, height)
	if width < 32 || height < 32 || width > maxSide || height > maxSide || len(out) != cells*(5+classes) {
		return dst, fmt.Errorf("decoding boxes: %d values are not the %d cells of a %d×%d network with %d classes", len(out), cells, width, height, classes)
	}
	layout := yoloLayout{classes: classes, objectness: true, width: width, height: height}
	return decodeYOLO(bestLevel(), out, layout, wanted, threshold, dst)
}

// gridCells is how many cells the strides 8, 16 and 32 have.
func gridCells(width, height int) (n int) {
	for stride := 8; stride <= 32; stride *= 2 {
		n += (width / stride) * (height / stride)
	}
	return n
}

// yoloLayout tells the YOLO outputs apart; width and height are YOLOX's.
type yoloLayout struct {
	classes                   int
	channelsFirst, objectness bool
	width, height             int
}

func decodeYOLO(l level, in []float32, y yoloLayout, wanted []bool, threshold float32, dst []Box) ([]Box, error) {
	if err := checkClasses(y.classes, wanted); err != nil {
		return dst, err
	}
	values := 4 + int(flag(y.objectness)) + y.classes
	anchors := len(in) / values
	if len(in)%values != 0 || anchors > math.MaxInt32/2 {
		return dst, fmt.Errorf("decoding boxes: %d values are not whole boxes of %d", len(in), values)
	}
	if anchors == 0 {
		return dst, nil
	}
	native := C.va_yolo{
		anchor_step: C.longlong(values), value_step: 1, anchors: C.int(anchors), classes: C.int(y.classes),
		objectness: flag(y.objectness), grid: flag(y.width > 0), width: C.int(y.width), height: C.int(y.height),
	}
	if y.channelsFirst {
		native.anchor_step, native.value_step = 1, C.longlong(anchors)
	}
	return collect(dst, func(out *C.va_box, room C.int) C.int {
		return C.sl_yolo(C.int(l), (*C.float)(unsafe.SliceData(in)), &native, mask(wanted), C.float(threshold), out, room)
	}), nil
}

// Queries is the output of an RT-DETR or SSD network for one picture: of query q the
// class scores begin at Scores[q×ScoreStep], and cx, cy, w, h in 0..1 of the network's
// input at Boxes[q×BoxStep], or with Corners set x1, y1, x2, y2. With Logits set the
// scores lack their sigmoid.
type Queries struct {
	Scores, Boxes             []float32
	Count, ScoreStep, BoxStep int
	Logits, Corners           bool
}

// maxQueries bounds the queries of a picture.
const maxQueries = 1 << 17

// DecodeDETR appends the boxes of the queries whose best class scores at least
// threshold, for a network of width × height pixels. See DecodeNanoDet.
func DecodeDETR(q Queries, classes, width, height int, wanted []bool, threshold float32, dst []Box) ([]Box, error) {
	if err := checkClasses(classes, wanted); err != nil {
		return dst, err
	}
	if q.Count < 1 || q.Count > maxQueries || q.ScoreStep < classes || q.BoxStep < 4 ||
		len(q.Scores) < (q.Count-1)*q.ScoreStep+classes || len(q.Boxes) < (q.Count-1)*q.BoxStep+4 {
		return dst, fmt.Errorf("decoding boxes: %d scores and %d coordinates are not %d queries of %d classes", len(q.Scores), len(q.Boxes), q.Count, classes)
	}
	native := C.va_detr{
		score_step: C.longlong(q.ScoreStep), box_step: C.longlong(q.BoxStep), queries: C.int(q.Count), classes: C.int(classes),
		logits: flag(q.Logits), corners: flag(q.Corners), width: C.float(width), height: C.float(height),
	}
	return collect(dst, func(out *C.va_box, room C.int) C.int {
		return C.sl_detr((*C.float)(unsafe.SliceData(q.Scores)), (*C.float)(unsafe.SliceData(q.Boxes)), &native, mask(wanted),
			C.float(threshold), out, room)
	}), nil
}

func checkClasses(classes int, wanted []bool) error {
	if classes < 1 || classes > maxSide || (wanted != nil && len(wanted) != classes) {
		return fmt.Errorf("decoding boxes: %d classes, %d of them marked as wanted or not", classes, len(wanted))
	}
	return nil
}

func mask(wanted []bool) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(wanted))) }

// collect lets decode write behind dst's elements, once more with enough room
// when there was too little.
func collect(dst []Box, decode func(out *C.va_box, room C.int) C.int) []Box {
	for {
		free := dst[len(dst):cap(dst)]
		n := int(decode((*C.va_box)(unsafe.Pointer(unsafe.SliceData(free))), C.int(min(len(free), math.MaxInt32))))
		if n <= len(free) {
			return dst[:len(dst)+n]
		}
		dst = slices.Grow(dst, n)
	}
}

// NMS is greedy non-maximum suppression: it keeps the best box and drops those of
// its group that overlap it by more than iou (intersection over union), and so on,
// until limit boxes are kept. It reorders boxes in place and returns the kept, by
// score descending, then anchor ascending, then their place in boxes. groups[c] is
// the group of class c; nil, or a class beyond it, is a group of its own. Boxes
// that are empty or not finite are dropped.
func NMS(boxes []Box, iou float32, groups []int32, limit int) ([]Box, error) {
	return nms(bestLevel(), boxes, iou, groups, limit)
}

func nms(l level, boxes []Box, iou float32, groups []int32, limit int) ([]Box, error) {
	if len(boxes) == 0 || limit < 1 {
		return boxes[:0], nil
	}
	if len(boxes) > 1<<24 {
		return boxes[:0], fmt.Errorf("suppressing boxes: %d are too many", len(boxes))
	}
	n := C.sl_nms(C.int(l), (*C.va_box)(unsafe.Pointer(unsafe.SliceData(boxes))), C.int(len(boxes)), C.float(iou),
		(*C.int)(unsafe.SliceData(groups)), C.int(len(groups)), C.int(min(limit, len(boxes))))
	if n < 0 {
		return boxes[:0], errors.New("suppressing boxes: out of memory")
	}
	return boxes[:n], nil
}
