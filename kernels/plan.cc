// Tables for the vectorized preprocess: made once for each geometry.
#include "cxx.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "vision.cu"

namespace {

constexpr int window = 16, group = 4;

struct Taps {
  int outputs, width;
  bool chroma, cosited;
  float ratio;

  VaTap at(int i) const {
    float x = va_source(i < outputs ? i : outputs - 1, ratio);
    return va_tap(chroma ? va_chroma(x, cosited) : x, width);
  }
};

// Where the window of an output starts so that it stays inside the row.
int window_start(const Taps& t, int i) {
  int last = t.width > window ? t.width - window : 0, first = t.at(i).a;
  return first < last ? first : last;
}

// The fewest windows that cover every group.
int windows_needed(const Taps& t) {
  int need = 1;
  for (int i = 0; i < t.outputs; i++)
    while (t.at(i).b - window_start(t, i - i % (group / need)) >= window) need *= 2;
  return need;
}

// Which group of a block is stored at a place: the even ones first.
int group_at(int place, int groups) { return place < groups / 2 ? 2 * place : 2 * (place - groups / 2) + 1; }

void make_axis(sl_axis* axis, const Taps& t, int lanes) {
  int groups = lanes / group, k = axis->windows;
  for (int n = 0; n < axis->blocks * groups; n++) {
    int block = n / groups, place = n % groups, first = block * lanes + group_at(place, groups) * group;
    for (int w = 0; w < k; w++) {
      long long at = (static_cast<long long>(block) * k + w) * groups + place;
      int outputs = group / k, from = first + w * outputs, start = window_start(t, from);
      axis->offset[at] = start;
      std::memset(axis->shuffle + 16 * at, 0x80, 16);
      for (int i = from; i < from + outputs; i++) {
        VaTap tap = t.at(i);
        unsigned char* pair = axis->shuffle + 16 * at + 4 * (i - first);
        pair[0] = static_cast<unsigned char>(tap.a - start);
        pair[2] = static_cast<unsigned char>(tap.b - start);
        short weight = static_cast<short>(tap.weight * 16384.f + 0.5f);
        short* weights = axis->weight + 2 * (n * group + i - first);
        weights[0] = static_cast<short>(16384 - weight);
        weights[1] = weight;
      }
    }
  }
}

// Hands out parts of one allocation, or only adds up their sizes.
struct Arena {
  char* base;
  size_t used;

  template <class T>
  void take(T** p, size_t n) {
    *p = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += (n * sizeof(T) + 63) & ~static_cast<size_t>(63);
  }
};

void lay_out(Arena* a, sl_job* j, int lanes) {
  for (sl_axis* axis : {&j->luma, &j->chroma}) {
    size_t places = static_cast<size_t>(axis->blocks) * (lanes / group) * axis->windows;
    a->take(&axis->offset, places);
    a->take(&axis->shuffle, places * 16);
    a->take(&axis->weight, static_cast<size_t>(axis->blocks) * lanes * 2);
  }
  for (sl_lines* lines : {&j->y, &j->uv})
    for (auto& row : lines->line)
      for (auto& line : row) a->take(&line, static_cast<size_t>(j->luma.blocks) * lanes);
  for (auto& row : j->row) a->take(&row, j->chroma.width + window);
}

}  // namespace

bool sl_plan::same(const va_slot& s, const va_picture& p) const {
  return arena && target == s.w && width == p.width && cosited == p.chroma_left;
}

bool sl_plan::prepare(const va_slot& s, const va_picture& p) {
  if (same(s, p)) return true;
  std::free(arena);
  arena = nullptr;
  target = s.w, width = p.width, cosited = p.chroma_left;
  Taps luma = {s.w, p.width, false, false, s.ratio_x}, chroma = {s.w, (p.width + 1) / 2, true, cosited != 0, s.ratio_x};
  int lanes = code->lanes, blocks = (s.w + lanes - 1) / lanes;
  job.luma = {luma.width, windows_needed(luma), blocks, nullptr, nullptr, nullptr};
  job.chroma = {chroma.width, windows_needed(chroma), blocks, nullptr, nullptr, nullptr};
  Arena sizes = {nullptr, 0};
  lay_out(&sizes, &job, lanes);
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, sizes.used) != 0) return false;
  arena = memory;
  Arena real = {static_cast<char*>(memory), 0};
  lay_out(&real, &job, lanes);
  std::memset(arena, 0, sizes.used);
  make_axis(&job.luma, luma, lanes);
  make_axis(&job.chroma, chroma, lanes);
  return true;
}

void sl_plan::run(const va_slot& s, const va_picture& p, void* out) {
  for (sl_lines* lines : {&job.y, &job.uv}) lines->row[0] = lines->row[1] = -1;
  job.picture = &p, job.slot = &s, job.out = out;
  code->fill(&job);
}
