// Preprocess in int16, one text for every level: a level's header has defined
// struct Isa before. Samples are times 128 after resampling and times 32 after the
// color conversion; before rounding, the error against the oracle stays under a
// fifth of a level.
#pragma once
#include "rows.h"

namespace {

typedef Isa::V V;

SL_INLINE V all(short v) { return V{} + v; }

// The oracle's coefficients, a quarter of each times 1 << 15.
struct Matrix {
  V middle, black, luma, rv, gu, gv, bu;
  explicit Matrix(const VaColor& c)
      : middle(all(128 * 128)), black(all((short)(c.black * 128.f))), luma(part(c.luma)), rv(part(c.rv)),
        gu(part(c.gu)), gv(part(c.gv)), bu(part(c.bu)) {}
  static V part(float c) { return all((short)(c * 8192.f + (c < 0 ? -0.5f : 0.5f))); }
};

SL_INLINE V blend(const Pair& p, V weight, int x) {
  V a = Isa::load(p.a + x), b = Isa::load(p.b + x);
  return a + Isa::scale(b - a, weight);
}

// Writes the rectangle's row y through sink(x, r, g, b), a block at a time.
template <class Sink>
SL_INLINE void convert(sl_job& j, const Matrix& m, int y, Sink sink) {
  const va_picture& p = *j.picture;
  float at = va_source(y, j.slot->ratio_y);
  VaTap ty = va_tap(at, p.height), tc = va_tap(va_chroma(at, 0), (p.height + 1) / 2);
  advance_luma(j, ty.a, ty.b);
  advance_chroma(j, tc.a, tc.b);
  Pair l = pair(j.y, 0, ty.weight), u = pair(j.uv, 0, tc.weight), v = pair(j.uv, 1, tc.weight);
  V wl = all(l.weight), wc = all(u.weight);
  for (int x = 0; x < j.slot->w; x += Isa::N) {
    V light = Isa::scale(blend(l, wl, x) - m.black, m.luma);
    V cb = blend(u, wc, x) - m.middle, cr = blend(v, wc, x) - m.middle;
    V r = light + Isa::scale(cr, m.rv);
    V g = light + Isa::scale(cb, m.gu) + Isa::scale(cr, m.gv);
    V b = light + Isa::scale(cb, m.bu);
    if (j.slot->rgb) sink(x, r, g, b);
    else sink(x, b, g, r);
  }
}

// How a type stores a block, and the padding's value.
struct Bytes {
  typedef uint8_t T;
  explicit Bytes(const va_slot& s, int) : pad((T)s.pad) {}
  void put(T* to, V v) const { Isa::put_u8(to, v); }
  T pad;
};

struct Halves {
  typedef uint16_t T;
  explicit Halves(const va_slot& s, int c)
      : scale(s.scale[c] * 0.03125f), offset(-s.mean[c] * s.scale[c]),
        pad(va_half(((float)s.pad - s.mean[c]) * s.scale[c])) {}
  void put(T* to, V v) const { Isa::put_f16(to, v, scale, offset); }
  float scale, offset;
  T pad;
};

struct Floats {
  typedef float T;
  explicit Floats(const va_slot& s, int c)
      : scale(s.scale[c] * 0.03125f), offset(-s.mean[c] * s.scale[c]), pad(((float)s.pad - s.mean[c]) * s.scale[c]) {}
  void put(T* to, V v) const { Isa::put_f32(to, v, scale, offset); }
  float scale, offset;
  T pad;
};

template <class T>
SL_INLINE void repeat(T* to, long long n, T v) {
  for (long long i = 0; i < n; i++) to[i] = v;
}

// Planes: whole blocks go straight to the slot, the last part of one by a detour.
template <class Store>
void fill_planes(sl_job& j, const Matrix& m) {
  typedef typename Store::T T;
  const va_slot& s = *j.slot;
  const Store store[3] = {Store(s, 0), Store(s, 1), Store(s, 2)};
  long long plane = (long long)s.width * s.height, above = (long long)s.y * s.width;
  T* out = (T*)j.out;
  for (int c = 0; c < 3; c++) repeat(out + c * plane, above, store[c].pad);
  for (int y = 0; y < s.h; y++) {
    T* row = out + above + (long long)y * s.width;
    for (int c = 0; c < 3; c++) {
      repeat(row + c * plane, s.x, store[c].pad);
      repeat(row + c * plane + s.x + s.w, s.width - s.x - s.w, store[c].pad);
    }
    row += s.x;
    convert(j, m, y, [&](int x, V a, V b, V c) {
      if (x + Isa::N <= s.w) {
        store[0].put(row + x, a), store[1].put(row + plane + x, b), store[2].put(row + 2 * plane + x, c);
        return;
      }
      T part[3][Isa::N];
      store[0].put(part[0], a), store[1].put(part[1], b), store[2].put(part[2], c);
      for (int k = 0; k < 3; k++) __builtin_memcpy(row + k * plane + x, part[k], sizeof(T) * (s.w - x));
    });
  }
  long long below = above + (long long)s.h * s.width;
  for (int c = 0; c < 3; c++) repeat(out + c * plane + below, plane - below, store[c].pad);
}

template <class Store>
SL_INLINE void repeat_pixels(typename Store::T* to, long long n, const Store* store) {
  for (long long i = 0; i < n; i++)
    for (int c = 0; c < 3; c++) to[3 * i + c] = store[c].pad;
}

// Pixels of three values.
template <class Store>
void fill_pixels(sl_job& j, const Matrix& m) {
  typedef typename Store::T T;
  const va_slot& s = *j.slot;
  const Store store[3] = {Store(s, 0), Store(s, 1), Store(s, 2)};
  T* out = (T*)j.out;
  repeat_pixels(out, (long long)s.y * s.width, store);
  for (int y = s.y; y < s.y + s.h; y++) {
    T* row = out + (long long)y * s.width * 3;
    repeat_pixels(row, s.x, store);
    repeat_pixels(row + 3 * (s.x + s.w), s.width - s.x - s.w, store);
    row += 3 * s.x;
    convert(j, m, y - s.y, [&](int x, V a, V b, V c) {
      T part[3 * Isa::N];
      T* to = x + Isa::N <= s.w ? row + 3 * x : part;
      if constexpr (sizeof(T) == 1) {
        Isa::put_pixels(to, a, b, c);
      } else {
        T planes[3][Isa::N];
        store[0].put(planes[0], a), store[1].put(planes[1], b), store[2].put(planes[2], c);
        for (int i = 0; i < Isa::N; i++)
          for (int k = 0; k < 3; k++) to[3 * i + k] = planes[k][i];
      }
      if (to == part) __builtin_memcpy(row + 3 * x, part, sizeof(T) * 3 * (s.w - x));
    });
  }
  long long below = (long long)(s.y + s.h) * s.width;
  repeat_pixels(out + 3 * below, (long long)s.width * s.height - below, store);
}

template <class Store>
SL_INLINE void fill_as(sl_job& j, const Matrix& m) {
  if (j.slot->channels_first) fill_planes<Store>(j, m);
  else fill_pixels<Store>(j, m);
}

void fill(sl_job* j) {
  const Matrix m(va_color(j->picture->bt709, j->picture->full_range, 0));
  if (j->slot->type == VA_U8) fill_as<Bytes>(*j, m);
  else if (j->slot->type == VA_F16) fill_as<Halves>(*j, m);
  else fill_as<Floats>(*j, m);
}

}  // namespace
