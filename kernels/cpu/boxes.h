// Decoding of network outputs, one text for every level: a vectorized scan passes
// over the anchors whose scores all stay below the threshold, and the oracle's own
// functions do the rest, so that boxes are the same bits at every level.
#pragma once

namespace {

typedef Isa::F F;
constexpr int lanes = sizeof(F) / sizeof(float);

SL_INLINE F floats(const float* p) {
  F v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// The range of wanted classes: nothing outside of it need be looked at.
struct Range {
  int from, to;
};

SL_INLINE Range wanted_range(const unsigned char* wanted, int classes) {
  Range r = {0, classes};
  while (wanted && r.from < r.to && !wanted[r.from]) r.from++;
  while (wanted && r.from < r.to && !wanted[r.to - 1]) r.to--;
  return r;
}

// Whether one of n scores may reach the threshold.
SL_INLINE bool any_reaches(const float* p, int n, float threshold) {
  if (n < lanes) {
    bool any = false;
    for (int i = 0; i < n; i++) any |= p[i] >= threshold;
    return any;
  }
  F most = Isa::larger(floats(p + n - lanes), F{} - __builtin_inff());  // never not a number
  for (int i = 0; i + lanes < n; i += lanes) most = Isa::larger(floats(p + i), most);
  return Isa::reaches(most, threshold);
}

// Collects boxes as long as they fit, and counts on.
struct Boxes {
  va_box* out;
  int room, count;

  void add(const va_box& b) {
    if (count < room) out[count] = b;
    count++;
  }
};

constexpr int chunk = 512;  // cells or anchors whose best scores are kept at a time

// Scores of one class lie side by side: n of each, their best in most.
SL_INLINE void best_of_classes(const float* scores, long long plane, int n, const unsigned char* wanted, Range r, float* most) {
  for (int i = 0; i < n; i++) most[i] = -__builtin_inff();
  for (int c = r.from; c < r.to; c++) {
    if (wanted && !wanted[c]) continue;
    const float* p = scores + c * plane;
    int i = 0;
    for (; i + lanes <= n; i += lanes) {
      F v = Isa::larger(floats(p + i), floats(most + i));
      __builtin_memcpy(most + i, &v, sizeof v);
    }
    for (; i < n; i++) most[i] = va_max(p[i], most[i]);
  }
}

// Below this score of the network nothing reaches the threshold: for logits its
// inverse sigmoid, less far more than va_sigmoid errs. Near 1 a last bit is worth
// more and more of it, so that nothing is passed over from where that would count.
SL_INLINE float lowest_score(const va_head& h, float threshold) {
  if (!h.logits) return threshold;
  if (!(threshold > 0.f)) return -__builtin_inff();
  float sure = threshold < 0.999f ? threshold : 0.999f;
  return __builtin_logf(sure / (1.f - sure)) - 1e-3f;
}

// The cells from..from+n of a head whose scores lie class by class.
SL_INLINE void planar_cells(const va_head& h, int from, int n, int classes, int bins, const unsigned char* wanted, Range r,
                            float threshold, Boxes* boxes) {
  float most[chunk], lowest = lowest_score(h, threshold);
  best_of_classes(h.scores + from, h.plane, n, wanted, r, most);
  for (int i = 0; i < n; i++) {
    va_box b;
    if (most[i] >= lowest && va_nanodet_cell(&h, from + i, classes, bins, wanted, threshold, &b)) boxes->add(b);
  }
}

int nanodet(int heads, const va_head* head, int classes, int bins, const unsigned char* wanted, float threshold,
            va_box* out, int room) {
  Boxes boxes = {out, room, 0};
  Range r = wanted_range(wanted, classes);
  for (const va_head* h = head; h < head + heads; h++) {
    int cells = h->columns * h->rows;
    if (h->score_step == 1 && cells > 1) {
      for (int from = 0; from < cells; from += chunk)
        planar_cells(*h, from, cells - from < chunk ? cells - from : chunk, classes, bins, wanted, r, threshold, &boxes);
      continue;
    }
    float lowest = lowest_score(*h, threshold);
    for (int i = 0; i < cells; i++) {
      va_box b;
      if (any_reaches(h->scores + i * h->score_step + r.from, r.to - r.from, lowest) &&
          va_nanodet_cell(h, i, classes, bins, wanted, threshold, &b))
        boxes.add(b);
    }
  }
  return boxes.count;
}

int yolo(const va_yolo& y, const unsigned char* wanted, float threshold, va_box* out, int room) {
  Boxes boxes = {out, room, 0};
  Range r = wanted_range(wanted, y.classes);
  bool planar = y.anchor_step == 1 && !y.objectness;
  for (int from = 0; from < y.anchors; from += chunk) {
    int n = y.anchors - from < chunk ? y.anchors - from : chunk;
    float most[chunk];
    if (planar) best_of_classes(y.in + 4 * y.value_step + from, y.value_step, n, wanted, r, most);
    for (int i = 0; i < n; i++) {
      va_box b;
      if ((!planar || most[i] >= threshold) && va_yolo_anchor(&y, from + i, wanted, threshold, &b)) boxes.add(b);
    }
  }
  return boxes.count;
}

}  // namespace
