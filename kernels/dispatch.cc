// Chooses between the oracle and the vectorized twins.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "bridge.h"
#include "cxx.h"
#include "vision.cu"

namespace {

#if defined(__x86_64__)
const sl_code* const codes[] = {&sl_code_v4, &sl_code_v3, &sl_code_v2};

bool supported(int id) {
  bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  if (id == SL_V2 || !v2) return v2;
  bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
            __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt");
  if (id == SL_V3 || !v3) return v3;
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
const sl_code* const codes[] = {&sl_code_neon};

bool supported(int) { return true; }
#else
const sl_code* const codes[] = {nullptr};

bool supported(int) { return false; }
#endif

// The code of a level; NULL is the oracle.
const sl_code* find(int id) {
  for (const sl_code* c : codes)
    if (c && c->id == id && supported(id)) return c;
  return nullptr;
}

// The oracle wants boxes that differ in score or anchor: it is given the places they
// have by anchor, then place, for anchors.
int nms_oracle(va_box* boxes, int n, float iou, const int* groups, int ngroups, int room) {
  char* scratch = static_cast<char*>(std::malloc(n * (2 * sizeof(va_box) + sizeof(int))));
  if (!scratch) return -1;
  va_box *ranked = reinterpret_cast<va_box*>(scratch), *out = ranked + n;
  int* by_anchor = reinterpret_cast<int*>(out + n);
  for (int i = 0; i < n; i++) by_anchor[i] = i;
  std::sort(by_anchor, by_anchor + n, [boxes](int a, int b) {
    unsigned x = static_cast<unsigned>(boxes[a].anchor), y = static_cast<unsigned>(boxes[b].anchor);
    return x != y ? x < y : a < b;
  });
  for (int i = 0; i < n; i++) ranked[i] = boxes[by_anchor[i]], ranked[i].anchor = i;
  int kept = va_suppress(ranked, n, iou, groups, ngroups, out, room);
  for (int i = 0; i < kept; i++) ranked[i] = boxes[by_anchor[out[i].anchor]];
  std::memcpy(boxes, ranked, kept * sizeof(va_box));
  std::free(scratch);
  return kept;
}

}  // namespace

int sl_level(void) {
  for (const sl_code* c : codes)
    if (c && supported(c->id)) return c->id;
  return SL_ORACLE;
}

sl_plan* sl_plan_new(int level) {
  sl_plan* p = static_cast<sl_plan*>(std::calloc(1, sizeof(sl_plan)));
  if (p) p->code = find(level);
  return p;
}

void sl_plan_free(sl_plan* p) {
  if (p) std::free(p->arena);
  std::free(p);
}

int sl_preprocess(sl_plan* plan, const va_slot* slot, const unsigned char* y, const unsigned char* u,
                  const unsigned char* v, const va_picture* picture, void* out) {
  va_picture p = *picture;
  p.y = y, p.u = u, p.v = v;
  if (!plan->code || p.deep) {
    va_fill(p, *slot, out);
    return 1;
  }
  if (!plan->prepare(*slot, p)) return 0;
  plan->run(*slot, p, out);
  return 1;
}

int sl_nanodet(int level, int heads, const va_head* head, int classes, int bins, const unsigned char* wanted,
               float threshold, va_box* out, int room) {
  if (const sl_code* c = find(level)) return c->nanodet(heads, head, classes, bins, wanted, threshold, out, room);
  int count = 0;
  for (int i = 0; i < heads; i++) va_decode_head(head[i], classes, bins, {wanted, threshold}, {out, room, &count});
  return count;
}

int sl_yolo(int level, const float* in, const va_yolo* yolo, const unsigned char* wanted, float threshold, va_box* out,
            int room) {
  va_yolo y = *yolo;
  y.in = in;
  if (const sl_code* c = find(level)) return c->yolo(y, wanted, threshold, out, room);
  int count = 0;
  va_decode_anchors(y, {wanted, threshold}, {out, room, &count});
  return count;
}

int sl_detr(const float* scores, const float* boxes, const va_detr* detr, const unsigned char* wanted, float threshold,
            va_box* out, int room) {
  va_detr d = *detr;
  d.scores = scores, d.boxes = boxes;
  int count = 0;
  va_decode_queries(d, {wanted, threshold}, {out, room, &count});
  return count;
}

int sl_nms(int level, va_box* boxes, int n, float iou, const int* groups, int ngroups, int room) {
  return (find(level) ? sl_nms_host : nms_oracle)(boxes, n, iou, groups, ngroups, room);
}

void sl_thumbnail(const unsigned char* y, long long pitch, int width, int height, int deep, unsigned char* out,
                  int out_width, int out_height) {
  va_thumbnail(y, pitch, width, height, deep, out, out_width, out_height);
}

void sl_crop(const unsigned char* y, const unsigned char* u, const unsigned char* v, const va_picture* picture,
             int left, int top, int width, int height, int planar, unsigned char* out) {
  va_picture p = *picture;
  p.y = y, p.u = u, p.v = v;
  va_cut(p, left, top, width, height, planar, out);
}
