// arm64: NEON, 8 lanes of int16.
#pragma once
#include <arm_neon.h>

#include "job.h"

namespace {

struct Isa {
  static constexpr int N = 8;
  typedef int16x8_t V;

  SL_INLINE V load(const int16_t* p) { return vld1q_s16(p); }
  SL_INLINE void store(int16_t* p, V v) { vst1q_s16(p, v); }
  // v * w / 32768, rounded.
  SL_INLINE V scale(V v, V w) { return vqrdmulhq_s16(v, w); }

  template <int K>
  SL_INLINE int16x4_t half(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    uint8x16_t moved = vqtbl1q_u8(vld1q_u8(row + offset[0]), vld1q_u8(shuffle));
    for (int k = 1; k < K; k++)
      moved = vorrq_u8(moved, vqtbl1q_u8(vld1q_u8(row + offset[2 * k]), vld1q_u8(shuffle + 32 * k)));
    int16x8_t pairs = vreinterpretq_s16_u8(moved), w = vld1q_s16(weight);
    int32x4_t low = vmull_s16(vget_low_s16(pairs), vget_low_s16(w)), high = vmull_high_s16(pairs, w);
    return vshrn_n_s32(vpaddq_s32(low, high), 7);
  }

  template <int K>
  SL_INLINE V gather(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    return vcombine_s16(half<K>(row, offset, shuffle, weight), half<K>(row, offset + 1, shuffle + 16, weight + 8));
  }

  SL_INLINE uint8x8_t bytes(V v) { return vqrshrun_n_s16(v, 5); }
  SL_INLINE void put_u8(uint8_t* to, V v) { vst1_u8(to, bytes(v)); }
  SL_INLINE void put_pixels(uint8_t* to, V a, V b, V c) {
    uint8x8x3_t p = {{bytes(a), bytes(b), bytes(c)}};
    vst3_u8(to, p);
  }

  SL_INLINE V clamp(V v) { return vminq_s16(vmaxq_s16(v, vdupq_n_s16(0)), vdupq_n_s16(255 * 32)); }
  SL_INLINE float32x4_t wide(int16x4_t v, float scale, float offset) {
    return vfmaq_f32(vdupq_n_f32(offset), vcvtq_f32_s32(vmovl_s16(v)), vdupq_n_f32(scale));
  }

  SL_INLINE void put_f32(float* to, V v, float scale, float offset) {
    V c = clamp(v);
    vst1q_f32(to, wide(vget_low_s16(c), scale, offset));
    vst1q_f32(to + 4, wide(vget_high_s16(c), scale, offset));
  }

  SL_INLINE void put_f16(uint16_t* to, V v, float scale, float offset) {
    V c = clamp(v);
    vst1_u16(to, vreinterpret_u16_f16(vcvt_f16_f32(wide(vget_low_s16(c), scale, offset))));
    vst1_u16(to + 4, vreinterpret_u16_f16(vcvt_f16_f32(wide(vget_high_s16(c), scale, offset))));
  }

  typedef float32x4_t F;
  // The larger of each lane; b's where one is not a number.
  SL_INLINE F larger(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  SL_INLINE bool reaches(F v, float least) { return vmaxvq_u32(vcgeq_f32(v, vdupq_n_f32(least))) != 0; }
};

}  // namespace
