// Chooses between the oracle and the vectorised twins.
#include <cstdlib>
#include <cstring>

#include "bridge.h"
#include "oracle.h"
#include "plan.h"

namespace {

struct Level {
  int id, lanes;
  void (*fill)(sl_job*);
};

#if defined(__x86_64__)
const Level levels[] = {{SL_V4, 32, sl_fill_v4}, {SL_V3, 16, sl_fill_v3}, {SL_V2, 8, sl_fill_v2}};

bool supported(int id) {
  if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt")) return false;
  if (id == SL_V2) return true;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
      !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("f16c") || !__builtin_cpu_supports("lzcnt") || !__builtin_cpu_supports("movbe"))
    return false;
  if (id == SL_V3) return true;
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
const Level levels[] = {{SL_NEON, 8, sl_fill_neon}};

bool supported(int) { return true; }
#else
const Level levels[] = {{SL_ORACLE, 1, nullptr}};

bool supported(int) { return false; }
#endif

const Level* find(int id) {
  for (const Level& l : levels)
    if (l.id == id && supported(id)) return &l;
  return nullptr;
}

}  // namespace

int sl_level(void) {
  for (const Level& l : levels)
    if (supported(l.id)) return l.id;
  return SL_ORACLE;
}

sl_plan* sl_plan_new(int level) {
  sl_plan* p = static_cast<sl_plan*>(std::calloc(1, sizeof(sl_plan)));
  if (p) p->level = level;
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
  const Level* l = find(plan->level);
  if (!l) {
    va_preprocess(&p, slot, out);
    return 1;
  }
  plan->lanes = l->lanes;
  if (!plan->prepare(*slot, p)) return 0;
  plan->run(l->fill, *slot, p, out);
  return 1;
}

int sl_nanodet(int, int heads, const va_head* head, int classes, int bins, const unsigned char* wanted, float threshold,
               va_box* out, int room) {
  int count = 0;
  for (int i = 0; i < heads; i++) va_nanodet(&head[i], classes, bins, wanted, &threshold, out, room, &count);
  return count;
}

int sl_yolo(int, const float* in, va_yolo* yolo, const unsigned char* wanted, float threshold, va_box* out, int room) {
  int count = 0;
  yolo->in = in;
  va_decode_yolo(yolo, wanted, &threshold, out, room, &count);
  return count;
}

int sl_nms(int, va_box* boxes, int n, float iou, const int* groups, int ngroups, int room) {
  size_t padded = 1;
  while (padded < static_cast<size_t>(n)) padded *= 2;
  size_t keys = padded * sizeof(unsigned long long), order = padded * sizeof(int), kept = sizeof(va_box) * n;
  char* scratch = static_cast<char*>(std::malloc(keys + order + kept));
  if (!scratch) return -1;
  va_box* out = reinterpret_cast<va_box*>(scratch + keys + order);
  int count = 0;
  va_nms(boxes, n, static_cast<long long>(padded), &iou, groups, ngroups, reinterpret_cast<unsigned long long*>(scratch),
         reinterpret_cast<int*>(scratch + keys), out, room < n ? room : n, &count);
  std::memcpy(boxes, out, sizeof(va_box) * count);
  std::free(scratch);
  return count;
}
