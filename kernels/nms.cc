// Greedy non-maximum suppression on the CPU; the oracle's va_nms is the definition.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cxx.h"

#include "vision.cu"

namespace {

struct Entry {
  unsigned long long key;
  int index, group;

  bool operator<(const Entry& o) const { return key != o.key ? key < o.key : index < o.index; }
};

// Moves the kept to the front of entries and returns how many they are. What a
// kept box suppresses leaves the list, so that later ones pass over less.
int suppress(const va_box* boxes, Entry* entries, int n, float iou, int room) {
  int kept = 0;
  while (kept < n && kept < room) {
    const Entry best = entries[kept++];
    int alive = kept;
    for (int i = kept; i < n; i++)
      if (entries[i].group != best.group || !va_overlaps(&boxes[best.index], &boxes[entries[i].index], iou))
        entries[alive++] = entries[i];
    n = alive;
  }
  return kept;
}

}  // namespace

int sl_nms_host(va_box* boxes, int n, float iou, const int* groups, int ngroups, int room) {
  char* scratch = static_cast<char*>(std::malloc(n * (sizeof(va_box) + sizeof(Entry))));
  if (!scratch) return -1;
  va_box* out = reinterpret_cast<va_box*>(scratch);
  Entry* entries = reinterpret_cast<Entry*>(out + n);
  int valid = 0;
  for (int i = 0; i < n; i++)
    if (va_valid(&boxes[i])) entries[valid++] = {va_key(&boxes[i]), i, va_group(boxes[i].cls, groups, ngroups)};
  std::sort(entries, entries + valid);
  int kept = suppress(boxes, entries, valid, iou, room);
  for (int i = 0; i < kept; i++) out[i] = boxes[entries[i].index];
  std::memcpy(boxes, out, kept * sizeof(va_box));
  std::free(scratch);
  return kept;
}
