// Source rows to the rectangle's width, and the cache of the last two: half of the
// vectorised preprocess. A level's header has defined struct Isa before.
#pragma once

namespace {

// One row of a plane with at least 16 readable bytes.
SL_INLINE const uint8_t* readable(const uint8_t* row, int width, uint8_t* scratch) {
  if (width >= 16) return row;
  __builtin_memcpy(scratch, row, width);
  return scratch;
}

template <int K>
void resample_windows(const uint8_t* row, const sl_axis& a, int16_t* line) {
  constexpr int groups = Isa::N / 4;
  const int32_t* offset = a.offset;
  const uint8_t* shuffle = a.shuffle;
  const int16_t* weight = a.weight;
  for (int b = 0; b < a.blocks; b++) {
    Isa::store(line, Isa::gather<K>(row, offset, shuffle, weight));
    line += Isa::N, offset += K * groups, shuffle += K * groups * 16, weight += Isa::N * 2;
  }
}

void resample(const uint8_t* row, const sl_axis& a, int16_t* line) {
  if (a.windows == 1) resample_windows<1>(row, a, line);
  else if (a.windows == 2) resample_windows<2>(row, a, line);
  else resample_windows<4>(row, a, line);
}

void luma_row(const sl_job& j, int r, int16_t* const line[2]) {
  const uint8_t* y = j.picture->y + r * j.picture->y_pitch;
  resample(readable(y, j.luma.width, j.row[0]), j.luma, line[0]);
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
  resample(u, j.chroma, line[0]);
  resample(v, j.chroma, line[1]);
}

// Makes line 0 the source row a and line 1 the row b, reusing what is there.
SL_INLINE void advance(const sl_job& j, sl_lines& l, int a, int b,
                       void (*make)(const sl_job&, int, int16_t* const[2])) {
  if (l.row[0] != a && l.row[1] == a) {
    for (int p = 0; p < 2; p++) {
      int16_t* spare = l.line[0][p];
      l.line[0][p] = l.line[1][p], l.line[1][p] = spare;
    }
    l.row[1] = l.row[0], l.row[0] = a;
  }
  if (l.row[0] != a) make(j, l.row[0] = a, l.line[0]);
  if (l.row[1] != b) make(j, l.row[1] = b, l.line[1]);
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
