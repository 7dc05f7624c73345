/* Plain C structs shared by Go, C++ and CUDA. Fixed layout: fields are ordered
 * from wide to narrow, so that no compiler pads between them. */
#ifndef SIGHTLINE_KERNELS_TYPES_H
#define SIGHTLINE_KERNELS_TYPES_H

enum { VA_U8 = 1, VA_F16 = 2, VA_F32 = 3 };

/* One YUV 4:2:0 picture. Pitches are in bytes. step is the distance between
 * neighboring samples of a chroma plane: 1 for I420, 2 for NV12 and P010, whose v
 * follows u. Samples are bytes or, when deep, 16 bits with the value's 10 uppermost. */
typedef struct {
  const unsigned char *y, *u, *v;
  long long y_pitch, u_pitch, v_pitch;
  int step, width, height;
  int bt709, full_range, chroma_left;
  int deep, reserved;
} va_picture;

/* One row of a batch, and the rectangle x, y, w, h in it that the picture fills.
 * ratio is picture pixels per slot pixel. mean and scale are in slot order. */
typedef struct {
  int width, height;
  int x, y, w, h;
  float ratio_x, ratio_y;
  int channels_first, type, rgb, pad;
  float mean[3], scale[3];
} va_slot;

typedef struct {
  float x1, y1, x2, y2, score;
  int cls, anchor, reserved;
} va_box;

/* One NanoDet output. Score k of cell c lies at scores[c*score_step + k*plane], bin
 * k at bins[c*bin_step + k*plane]. With logits set the scores lack their sigmoid.
 * Distances are from the cell's center or, with corner set, from where it begins.
 * first is the anchor index of its first cell. */
typedef struct {
  const float *scores, *bins;
  long long score_step, bin_step, plane;
  int columns, rows, stride, first, logits, corner;
} va_head;

/* One YOLO output. Value k of anchor a lies at in[a*anchor_step + k*value_step]:
 * cx, cy, w, h, then the objectness if there is one, then the class scores. With
 * grid set, boxes are relative to the cells of strides 8, 16 and 32 of a network
 * input of width x height (YOLOX); else they are pixels. */
typedef struct {
  const float *in;
  long long anchor_step, value_step;
  int anchors, classes, objectness, grid, width, height;
} va_yolo;

/* One RT-DETR or SSD output: of query q the class scores are at scores[q*score_step],
 * cx, cy, w, h in 0..1 of the network's input at boxes[q*box_step], or with corners
 * set x1, y1, x2, y2. With logits set the scores lack their sigmoid. */
typedef struct {
  const float *scores, *boxes;
  long long score_step, box_step;
  int queries, classes, logits, corners;
  float width, height;
} va_detr;

/* What va_nms finds in one row of a batch, followed by the kept boxes. lost counts
 * candidates for which there was no room: then the result is not to be used. */
typedef struct {
  int kept, candidates, lost, reserved[5];
} va_found;

#endif
