// The device maths: picture to network input, network output to boxes. This one
// source is the CUDA kernels and, compiled as C++, the oracle that the
// vectorized CPU code is tested against.
#include "port.h"
#include "types.h"

// A linear interpolation between the samples a and b.
struct VaTap {
  int a, b;
  float weight;  // of b
};

// Samples around coordinate x in 0..size-1; beyond the ends the end repeats.
VA_FN VaTap va_tap(float x, int size) {
  x = va_min(va_max(x, 0.f), (float)(size - 1));
  float f = va_floor(x);
  VaTap t;
  t.a = (int)f;
  t.b = t.a + 1 < size ? t.a + 1 : t.a;
  t.weight = x - f;
  return t;
}

// Where slot position i of a rectangle falls in the picture: half-pixel centers.
VA_FN float va_source(int i, float ratio) { return va_fma((float)i + 0.5f, ratio, -0.5f); }

// The chroma sample position of a luma position, sited with the luma or between.
VA_FN float va_chroma(float x, int cosited) { return cosited ? x * 0.5f : va_fma(x, 0.5f, -0.25f); }

VA_FN float va_lerp(float a, float b, float w) { return va_fma(w, b - a, a); }

VA_FN float va_sample(const unsigned char* p, long long pitch, int step, VaTap x, VaTap y) {
  const unsigned char *r = p + y.a * pitch, *s = p + y.b * pitch;
  float above = va_lerp((float)r[x.a * step], (float)r[x.b * step], x.weight);
  float below = va_lerp((float)s[x.a * step], (float)s[x.b * step], x.weight);
  return va_lerp(above, below, y.weight);
}

// Coefficients from YUV to RGB in 0..255 (ITU-T H.273, equations 1 to 3).
struct VaColor {
  float black, luma, rv, gu, gv, bu;
};

VA_FN VaColor va_color(int bt709, int full_range) {
  float kr = bt709 ? 0.2126f : 0.299f, kb = bt709 ? 0.0722f : 0.114f, kg = 1.f - kr - kb;
  float chroma = full_range ? 1.f : 255.f / 224.f;
  VaColor c;
  c.black = full_range ? 0.f : 16.f;
  c.luma = full_range ? 1.f : 255.f / 219.f;
  c.rv = 2.f * (1.f - kr) * chroma;
  c.bu = 2.f * (1.f - kb) * chroma;
  c.gv = -2.f * kr * (1.f - kr) / kg * chroma;
  c.gu = -2.f * kb * (1.f - kb) / kg * chroma;
  return c;
}

VA_FN float va_level(float v) { return va_min(va_max(v, 0.f), 255.f); }

VA_FN void va_store(void* out, long long at, int type, float v) {
  if (type == VA_F32) ((float*)out)[at] = v;
  else if (type == VA_F16) ((unsigned short*)out)[at] = va_half(v);
  else ((unsigned char*)out)[at] = (unsigned char)(v + 0.5f);
}

// Fills one slot: color conversion, bilinear resize, padding, normalization and
// layout in one pass.
VA_KERNEL va_preprocess(const va_picture* picture, const va_slot* target, void* out) {
  const va_picture p = *picture;
  const va_slot s = *target;
  const VaColor k = va_color(p.bt709, p.full_range);
  long long plane = (long long)s.width * s.height;
  for (long long i = VA_INDEX; i < plane; i += VA_STRIDE) {
    int ox = (int)(i % s.width) - s.x, oy = (int)(i / s.width) - s.y;
    float rgb[3] = {(float)s.pad, (float)s.pad, (float)s.pad};
    if (ox >= 0 && oy >= 0 && ox < s.w && oy < s.h) {
      float x = va_source(ox, s.ratio_x), y = va_source(oy, s.ratio_y);
      VaTap cx = va_tap(va_chroma(x, p.chroma_left), (p.width + 1) / 2);
      VaTap cy = va_tap(va_chroma(y, 0), (p.height + 1) / 2);
      float l = va_sample(p.y, p.y_pitch, 1, va_tap(x, p.width), va_tap(y, p.height));
      float u = va_sample(p.u, p.u_pitch, p.step, cx, cy) - 128.f;
      float v = va_sample(p.v, p.v_pitch, p.step, cx, cy) - 128.f;
      l = (l - k.black) * k.luma;
      rgb[0] = va_level(va_fma(k.rv, v, l));
      rgb[1] = va_level(va_fma(k.gv, v, va_fma(k.gu, u, l)));
      rgb[2] = va_level(va_fma(k.bu, u, l));
    }
    for (int c = 0; c < 3; c++) {
      float v = (rgb[s.rgb ? c : 2 - c] - s.mean[c]) * s.scale[c];
      va_store(out, s.channels_first ? c * plane + i : i * 3 + c, s.type, v);
    }
  }
}

// The best of an anchor's wanted classes, -1 when no score is a number. The
// first of equals wins.
VA_FN int va_best(const float* scores, long long step, int classes, const unsigned char* wanted, float* best) {
  int cls = -1;
  *best = -va_float(0x7f800000);
  for (int c = 0; c < classes; c++) {
    float v = scores[c * step];
    if (v > *best && (!wanted || wanted[c])) *best = v, cls = c;
  }
  return cls;
}

VA_FN bool va_finite(float v) { return (va_bits(v) & 0x7f800000) != 0x7f800000; }

// Whether a box is one: finite and not empty.
VA_FN bool va_valid(const va_box* b) {
  return va_finite(b->x1) && va_finite(b->y1) && va_finite(b->x2) && va_finite(b->y2) && va_finite(b->score) &&
         b->x1 < b->x2 && b->y1 < b->y2;
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

// One cell of a NanoDet output; false when there is no box in it.
VA_FN bool va_nanodet_cell(const va_head* h, int cell, int classes, int bins, const unsigned char* wanted,
                           float threshold, va_box* b) {
  b->cls = va_best(h->scores + cell * h->score_step, h->plane, classes, wanted, &b->score);
  if (h->logits) b->score = va_sigmoid(b->score);
  if (b->cls < 0 || !(b->score >= threshold)) return false;
  const float* d = h->bins + cell * h->bin_step;
  float s = (float)h->stride, cx = ((float)(cell % h->columns) + 0.5f) * s, cy = ((float)(cell / h->columns) + 0.5f) * s;
  b->x1 = va_fma(-s, va_side(d, h->plane, bins), cx);
  b->y1 = va_fma(-s, va_side(d + bins * h->plane, h->plane, bins), cy);
  b->x2 = va_fma(s, va_side(d + 2 * bins * h->plane, h->plane, bins), cx);
  b->y2 = va_fma(s, va_side(d + 3 * bins * h->plane, h->plane, bins), cy);
  b->anchor = h->first + cell, b->reserved = 0;
  return va_valid(b);
}

// Decodes one head. Boxes go to out as long as they fit; count goes on.
VA_KERNEL va_nanodet(const va_head* head, long long classes, long long bins, const unsigned char* wanted,
                     const float* threshold, va_box* out, long long room, int* count) {
  const va_head h = *head;
  for (long long i = VA_INDEX; i < (long long)h.columns * h.rows; i += VA_STRIDE) {
    va_box b;
    if (!va_nanodet_cell(&h, (int)i, (int)classes, (int)bins, wanted, *threshold, &b)) continue;
    int k = va_claim(count);
    if (k < room) out[k] = b;
  }
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
  b->x1 = va_fma(-0.5f, w, cx);
  b->y1 = va_fma(-0.5f, h, cy);
  b->x2 = va_fma(0.5f, w, cx);
  b->y2 = va_fma(0.5f, h, cy);
  b->anchor = anchor, b->reserved = 0;
  return va_valid(b);
}

VA_KERNEL va_decode_yolo(const va_yolo* yolo, const unsigned char* wanted, const float* threshold, va_box* out,
                         long long room, int* count) {
  const va_yolo y = *yolo;
  for (long long i = VA_INDEX; i < y.anchors; i += VA_STRIDE) {
    va_box b;
    if (!va_yolo_anchor(&y, (int)i, wanted, *threshold, &b)) continue;
    int k = va_claim(count);
    if (k < room) out[k] = b;
  }
}

// Sort keys rise from the box to keep first: by score descending, then by anchor.
// Boxes that are none have the highest key.
VA_FN unsigned long long va_key(const va_box* b) {
  if (!va_valid(b)) return ~0ull;
  unsigned u = va_bits(b->score);
  u = u >> 31 ? u : ~(u | 0x80000000u);
  return (unsigned long long)u << 32 | (unsigned)b->anchor;
}

VA_FN int va_group(int cls, const int* groups, int n) { return cls < n && cls >= 0 ? groups[cls] : ~cls; }

// Whether b's overlap with a is more than iou of their union.
VA_FN bool va_overlaps(const va_box* a, const va_box* b, float iou) {
  float w = va_min(a->x2, b->x2) - va_max(a->x1, b->x1), h = va_min(a->y2, b->y2) - va_max(a->y1, b->y1);
  if (!(w > 0.f && h > 0.f)) return false;
  float both = w * h, sum = (a->x2 - a->x1) * (a->y2 - a->y1) + (b->x2 - b->x1) * (b->y2 - b->y1);
  return both > iou * (sum - both);
}

// Greedy non-maximum suppression within groups of classes, by one block. padded
// is a power of two >= n; keys and order hold padded entries.
VA_KERNEL va_nms(const va_box* in, long long n, long long padded, const float* iou, const int* groups, long long ngroups,
                 unsigned long long* keys, int* order, va_box* out, long long room, int* kept) {
  for (long long i = VA_THREAD; i < padded; i += VA_THREADS) keys[i] = i < n ? va_key(&in[i]) : ~0ull, order[i] = (int)i;
  if (VA_THREAD == 0) *kept = 0;
  VA_SYNC();
  for (long long k = 2; k <= padded; k <<= 1)  // bitonic sort
    for (long long j = k >> 1; j > 0; j >>= 1) {
      for (long long i = VA_THREAD; i < padded; i += VA_THREADS) {
        long long l = i ^ j;
        bool more = keys[i] > keys[l] || (keys[i] == keys[l] && order[i] > order[l]);
        if (l < i || more != ((i & k) == 0)) continue;
        unsigned long long key = keys[i], at = order[i];
        keys[i] = keys[l], order[i] = order[l];
        keys[l] = key, order[l] = (int)at;
      }
      VA_SYNC();
    }
  for (long long i = 0; i < n && keys[i] != ~0ull && *kept < room; i++) {
    const va_box a = in[order[i] & 0x7fffffff];
    VA_SYNC();
    if (order[i] < 0) continue;  // the sign bit marks the suppressed; nobody writes order[i] any more
    if (VA_THREAD == 0) out[(*kept)++] = a;
    int group = va_group(a.cls, groups, (int)ngroups);
    for (long long j = i + 1 + VA_THREAD; j < n; j += VA_THREADS)
      if (order[j] >= 0 && va_group(in[order[j]].cls, groups, (int)ngroups) == group && va_overlaps(&a, &in[order[j]], *iou))
        order[j] |= (int)0x80000000;
    VA_SYNC();
  }
}
