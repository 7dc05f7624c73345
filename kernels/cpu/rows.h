// Source rows to the rectangle's width, and the cache of the last two: half of the
// vectorized preprocess. A level's header has defined struct Isa before.
#pragma once

namespace {

// One row of a plane with at least 16 readable bytes.
SL_INLINE const uint8_t* readable(const uint8_t* row, int width, uint8_t* scratch) {
  if (width >= 16) return row;
  __builtin_memcpy(scratch, row, width);
  return scratch;
}

// One or two rows of the same axis; two share the loads of its tables.
template <int K, bool Two>
void resample_windows(const uint8_t* p, const uint8_t* q, const sl_axis& a, int16_t* pline, int16_t* qline) {
  constexpr int groups = Isa::N / 4;
  const int32_t* offset = a.offset;
  const uint8_t* shuffle = a.shuffle;
  const int16_t* weight = a.weight;
  for (int x = 0; x < a.blocks * Isa::N; x += Isa::N) {
    Isa::store(pline + x, Isa::gather<K>(p, offset, shuffle, weight));
    if (Two) Isa::store(qline + x, Isa::gather<K>(q, offset, shuffle, weight));
    offset += K * groups, shuffle += K * groups * 16, weight += Isa::N * 2;
  }
}

template <bool Two>
void resample(const uint8_t* p, const uint8_t* q, const sl_axis& a, int16_t* __restrict pline, int16_t* __restrict qline) {
  if (a.windows == 1) resample_windows<1, Two>(p, q, a, pline, qline);
  else if (a.windows == 2) resample_windows<2, Two>(p, q, a, pline, qline);
  else resample_windows<4, Two>(p, q, a, pline, qline);
}

SL_INLINE const uint8_t* luma_row(const sl_job& j, int r, uint8_t* scratch) {
  return readable(j.picture->y + r * j.picture->y_pitch, j.luma.width, scratch);
}

void chroma_row(const sl_job& j, int r, int16_t* const line[2]) {
  int width = j.chroma.width;
  const uint8_t *u = j.picture->u + r * j.picture->u_pitch, *v = j.picture->v + r * j.picture->v_pitch;
  if (j.picture->step == 2) {
    uint8_t *__restrict du = j.row[0], *__restrict dv = j.row[1];
    for (int i = 0; i < width; i++) du[i] = u[2 * i], dv[i] = u[2 * i + 1];
    u = du, v = dv;
  } else {
    u = readable(u, width, j.row[0]), v = readable(v, width, j.row[1]);
  }
  resample<true>(u, v, j.chroma, line[0], line[1]);
}

// Moves row a from line 1 to line 0 if it is there.
SL_INLINE void shift(sl_lines& l, int a) {
  if (l.row[0] == a || l.row[1] != a) return;
  for (int p = 0; p < 2; p++) {
    int16_t* spare = l.line[0][p];
    l.line[0][p] = l.line[1][p], l.line[1][p] = spare;
  }
  l.row[1] = l.row[0], l.row[0] = a;
}

// Make line 0 the source row a and line 1 the row b, reusing what is there.
void advance_luma(sl_job& j, int a, int b) {
  sl_lines& l = j.y;
  shift(l, a);
  bool first = l.row[0] != a, second = l.row[1] != b;
  const uint8_t *p = luma_row(j, a, j.row[0]), *q = luma_row(j, b, j.row[1]);
  if (first && second) resample<true>(p, q, j.luma, l.line[0][0], l.line[1][0]);
  else if (first) resample<false>(p, p, j.luma, l.line[0][0], nullptr);
  else if (second) resample<false>(q, q, j.luma, l.line[1][0], nullptr);
  l.row[0] = a, l.row[1] = b;
}

void advance_chroma(sl_job& j, int a, int b) {
  sl_lines& l = j.uv;
  shift(l, a);
  if (l.row[0] != a) chroma_row(j, a, l.line[0]);
  if (l.row[1] != b) chroma_row(j, b, l.line[1]);
  l.row[0] = a, l.row[1] = b;
}

// Two rows of a plane and the weight of the second, times 1 << 15.
struct Pair {
  const int16_t *a, *b;
  short weight;
};

SL_INLINE Pair pair(const sl_lines& l, int plane, float weight) {
  int w = (int)(weight * 32768.f + 0.5f);
  return {l.line[0][plane], l.line[1][plane], (short)(w > 32767 ? 32767 : w)};
}

}  // namespace
