// What the vectorized code of every level is given. Plain pointers only: the
// levels' sources must not instantiate library templates, which the linker could
// then pick for processors that lack the level's instructions.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "../types.h"

// Horizontal resampling of one plane to the rectangle's width, in blocks of as
// many outputs as a level's vector of int16 has lanes. Each group of 4 outputs
// takes its sample pairs from `windows` loads of 16 bytes: bytes are moved into
// place by a shuffle, and multiplied by weights that sum to 1 << 14. Groups lie in
// the order that the level's packing of two int32 vectors wants: the even ones of a
// block, then the odd ones.
struct sl_axis {
  int width;    // source samples
  int windows;  // 1, 2 or 4
  int blocks;
  int32_t* offset;   // [blocks][windows][groups]
  uint8_t* shuffle;  // [blocks][windows][groups][16]
  int16_t* weight;   // [blocks][groups][4][2]
};

// The last two resampled rows of the luma, or of U and V together: samples times 128.
struct sl_lines {
  int row[2];
  int16_t* line[2][2];  // [row][plane]
};

struct sl_job {
  const va_picture* picture;
  const va_slot* slot;
  void* out;
  sl_axis luma, chroma;
  sl_lines y, uv;
  uint8_t* row[2];  // room for a chroma row each, or 16 bytes, with 64 to spare
};

#define SL_INLINE static inline __attribute__((always_inline))

// What one level offers.
struct sl_code {
  int id, lanes;
  void (*fill)(sl_job*);
  int (*nanodet)(int heads, const va_head*, int classes, int bins, const unsigned char* wanted, float threshold,
                 va_box* out, int room);
  int (*yolo)(const va_yolo&, const unsigned char* wanted, float threshold, va_box* out, int room);
};

extern const sl_code sl_code_v2, sl_code_v3, sl_code_v4, sl_code_neon;
