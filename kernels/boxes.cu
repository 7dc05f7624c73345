// Network outputs to candidate boxes, one row of a batch at a time.
#pragma once

enum { VA_BLOCK = 256, VA_TILE = 16 };

// The best of an anchor's wanted classes, -1 when no score is a number. The
// first of equals wins.
VA_FN int va_best(const float* scores, long long step, int classes, const unsigned char* wanted, float* best) {
  int cls = -1;
  *best = -va_float(0x7f800000);
#pragma unroll 8
  for (int c = 0; c < classes; c++) {
    float v = scores[c * step];
    if (v > *best && (!wanted || wanted[c])) *best = v, cls = c;
  }
  return cls;
}

// The same for the thread's own of the next lists of scores, step apart, one for
// each thread of the block: all read them together, so that neighboring threads
// read neighboring values.
VA_FN int va_best_of_block(const float* scores, long long step, int lists, int classes, const unsigned char* wanted,
                           float* best) {
  VA_SHARED float tile[VA_BLOCK * (VA_TILE + 1)];
  const float* mine = tile + VA_THREAD * (VA_TILE + 1);
  int cls = -1;
  *best = -va_float(0x7f800000);
  for (int from = 0; from < classes; from += VA_TILE) {
    int n = classes - from < VA_TILE ? classes - from : VA_TILE;
    VA_SYNC();
    for (int i = VA_THREAD; i < lists * VA_TILE; i += VA_THREADS) {
      int list = i / VA_TILE, c = i % VA_TILE;
      if (c < n) tile[list * (VA_TILE + 1) + c] = scores[list * step + from + c];
    }
    VA_SYNC();
    if (VA_THREAD < lists)
      for (int c = 0; c < n; c++)
        if (mine[c] > *best && (!wanted || wanted[from + c])) *best = mine[c], cls = from + c;
  }
  return cls;
}

VA_FN bool va_finite(float v) { return (va_bits(v) & 0x7f800000) != 0x7f800000; }

// Whether a box is one: finite and not empty.
VA_FN bool va_valid(const va_box* b) {
  return va_finite(b->x1) && va_finite(b->y1) && va_finite(b->x2) && va_finite(b->y2) && va_finite(b->score) &&
         b->x1 < b->x2 && b->y1 < b->y2;
}

// Where the boxes of one row go, in any order. count goes on when there is no room.
struct VaList {
  va_box* out;
  long long room;
  int* count;
};

VA_FN void va_add(const VaList& to, const va_box& b) {
  int k = va_claim(to.count);
  if (k < to.room) to.out[k] = b;
}

// What counts in one row of a batch: the least score, then a byte for each class.
struct VaWant {
  const unsigned char* classes;
  float threshold;
};

VA_FN VaWant va_want(const unsigned char* wants, long long step) {
  const unsigned char* row = wants + VA_ROW * step;
  return {row + sizeof(float), *(const float*)row};
}

// Distance from the cell's center to one side, in cells: the mean of the
// distribution over the bins (Generalized Focal Loss, Li et al. 2020).
VA_FN float va_side(const float* bins, long long step, int n) {
  float top = bins[0], sum = 0.f, mean = 0.f;
  for (int i = 1; i < n; i++) top = va_max(bins[i * step], top);
  for (int i = 0; i < n; i++) {
    float e = va_exp(bins[i * step] - top);
    sum = sum + e;
    mean = va_fma((float)i, e, mean);
  }
  return mean / sum;
}

// The box of a cell whose class and score are in b; false when there is none.
VA_FN bool va_nanodet_box(const va_head* h, int cell, int bins, float threshold, va_box* b) {
  if (h->logits) b->score = va_sigmoid(b->score);
  if (b->cls < 0 || !(b->score >= threshold)) return false;
  const float* d = h->bins + cell * h->bin_step;
  float s = (float)h->stride, cx = ((float)(cell % h->columns) + 0.5f) * s, cy = ((float)(cell / h->columns) + 0.5f) * s;
  float left = 0.f, top = 0.f, right = 0.f, bottom = 0.f;
#pragma unroll 1
  for (int k = 0; k < 4; k++, d += bins * h->plane) left = top, top = right, right = bottom, bottom = va_side(d, h->plane, bins);
  b->x1 = va_fma(-s, left, cx);
  b->y1 = va_fma(-s, top, cy);
  b->x2 = va_fma(s, right, cx);
  b->y2 = va_fma(s, bottom, cy);
  b->anchor = h->first + cell, b->reserved = 0;
  if (!va_valid(b)) return false;
  float corner = h->corner ? s * 0.5f : 0.f;
  b->x1 = b->x1 - corner, b->y1 = b->y1 - corner, b->x2 = b->x2 - corner, b->y2 = b->y2 - corner;
  return true;
}

// One cell of a NanoDet output; false when there is no box in it.
VA_FN bool va_nanodet_cell(const va_head* h, int cell, int classes, int bins, const unsigned char* wanted,
                           float threshold, va_box* b) {
  b->cls = va_best(h->scores + cell * h->score_step, h->plane, classes, wanted, &b->score);
  return va_nanodet_box(h, cell, bins, threshold, b);
}

VA_FN void va_decode_head(const va_head& h, int classes, int bins, const VaWant& want, const VaList& to) {
  const int cells = h.columns * h.rows;
  for (int from = VA_X - VA_THREAD; from < cells; from += VA_X_STEP) {
    int cell = from + VA_THREAD, lists = cells - from < VA_THREADS ? cells - from : VA_THREADS;
    va_box b;
    if (h.score_step > 1)
      b.cls = va_best_of_block(h.scores + from * h.score_step, h.score_step, lists, classes, want.classes, &b.score);
    else if (cell < cells)
      b.cls = va_best(h.scores + cell, h.plane, classes, want.classes, &b.score);
    if (cell < cells && va_nanodet_box(&h, cell, bins, want.threshold, &b)) va_add(to, b);
  }
}

// One head of NanoDet. The grid covers the cells, z the rows of the batch, whose
// scores and bins are score_row and bin_row values apart.
VA_KERNEL va_nanodet(const float* scores, const float* bins, long long score_row, long long bin_row,
                     long long score_step, long long bin_step, long long plane, long long columns, long long rows,
                     long long stride, long long first, long long logits, long long corner, long long classes,
                     long long nbins, const unsigned char* wants, long long want_step, va_box* out, long long room,
                     int* counts) {
  va_head h = {scores + VA_ROW * score_row, bins + VA_ROW * bin_row, score_step, bin_step, plane, (int)columns,
               (int)rows, (int)stride, (int)first, (int)logits, (int)corner};
  va_decode_head(h, (int)classes, (int)nbins, va_want(wants, want_step), {out + VA_ROW * room, room, counts + VA_ROW});
}

VA_FN void va_corners(va_box* b, float cx, float cy, float w, float h) {
  b->x1 = va_fma(-0.5f, w, cx);
  b->y1 = va_fma(-0.5f, h, cy);
  b->x2 = va_fma(0.5f, w, cx);
  b->y2 = va_fma(0.5f, h, cy);
}

// Moves a box that is relative to its cell onto the network's input (YOLOX).
VA_FN void va_ungrid(const va_yolo* y, int anchor, float* cx, float* cy, float* w, float* h) {
  int stride = 8, cols = y->width / 8, cells = cols * (y->height / 8);
  while (anchor >= cells && stride < 32) {
    anchor -= cells;
    stride *= 2;
    cols = y->width / stride;
    cells = cols * (y->height / stride);
  }
  *cx = (*cx + (float)(anchor % cols)) * (float)stride;
  *cy = (*cy + (float)(anchor / cols)) * (float)stride;
  *w = va_exp(*w) * (float)stride;
  *h = va_exp(*h) * (float)stride;
}

// One anchor of a YOLO output; false when there is no box in it. With objectness
// the score is its product with the class score, and it alone must pass as well.
VA_FN bool va_yolo_anchor(const va_yolo* y, int anchor, const unsigned char* wanted, float threshold, va_box* b) {
  const float* p = y->in + anchor * y->anchor_step;
  long long k = y->value_step;
  float object = y->objectness ? p[4 * k] : 1.f;
  if (y->objectness && !(object >= threshold)) return false;
  b->cls = va_best(p + (4 + y->objectness) * k, k, y->classes, wanted, &b->score);
  b->score = b->score * object;
  if (b->cls < 0 || !(b->score >= threshold)) return false;
  float cx = p[0], cy = p[k], w = p[2 * k], h = p[3 * k];
  if (y->grid) va_ungrid(y, anchor, &cx, &cy, &w, &h);
  va_corners(b, cx, cy, w, h);
  b->anchor = anchor, b->reserved = 0;
  return va_valid(b);
}

VA_FN void va_decode_anchors(const va_yolo& y, const VaWant& want, const VaList& to) {
  for (int i = VA_X; i < y.anchors; i += VA_X_STEP) {
    va_box b;
    if (va_yolo_anchor(&y, i, want.classes, want.threshold, &b)) va_add(to, b);
  }
}

// YOLO of all kinds. The grid covers the anchors, z the rows, row values apart.
VA_KERNEL va_decode_yolo(const float* in, long long row, long long anchor_step, long long value_step, long long anchors,
                         long long classes, long long objectness, long long grid, long long width, long long height,
                         const unsigned char* wants, long long want_step, va_box* out, long long room, int* counts) {
  va_yolo y = {in + VA_ROW * row, anchor_step, value_step, (int)anchors, (int)classes, (int)objectness, (int)grid,
               (int)width, (int)height};
  va_decode_anchors(y, va_want(wants, want_step), {out + VA_ROW * room, room, counts + VA_ROW});
}

// The box of a query whose class and score are in b; false when there is none.
VA_FN bool va_detr_box(const va_detr* d, int query, float threshold, va_box* b) {
  if (d->logits) b->score = va_sigmoid(b->score);
  if (b->cls < 0 || !(b->score >= threshold)) return false;
  const float* p = d->boxes + query * d->box_step;
  float x = p[0] * d->width, y = p[1] * d->height, w = p[2] * d->width, h = p[3] * d->height;
  if (d->corners)
    b->x1 = x, b->y1 = y, b->x2 = w, b->y2 = h;
  else
    va_corners(b, x, y, w, h);
  b->anchor = query, b->reserved = 0;
  return va_valid(b);
}

VA_FN void va_decode_queries(const va_detr& d, const VaWant& want, const VaList& to) {
  for (int from = VA_X - VA_THREAD; from < d.queries; from += VA_X_STEP) {
    int query = from + VA_THREAD, lists = d.queries - from < VA_THREADS ? d.queries - from : VA_THREADS;
    va_box b;
    b.cls = va_best_of_block(d.scores + from * d.score_step, d.score_step, lists, d.classes, want.classes, &b.score);
    if (query < d.queries && va_detr_box(&d, query, want.threshold, &b)) va_add(to, b);
  }
}

// RT-DETR and SSD. The grid covers the queries, z the rows, which are score_row and box_row values apart.
VA_KERNEL va_decode_detr(const float* scores, const float* boxes, long long score_row, long long box_row,
                         long long score_step, long long box_step, long long queries, long long classes,
                         long long logits, long long corners, long long width, long long height,
                         const unsigned char* wants, long long want_step, va_box* out, long long room, int* counts) {
  va_detr d = {scores + VA_ROW * score_row, boxes + VA_ROW * box_row, score_step, box_step, (int)queries, (int)classes,
               (int)logits, (int)corners, (float)width, (float)height};
  va_decode_queries(d, va_want(wants, want_step), {out + VA_ROW * room, room, counts + VA_ROW});
}
