// x86-64-v2: SSE4.2, 8 lanes of int16.
#pragma once
#include "x86.h"

namespace {

struct Isa {
  static constexpr int N = 8;
  typedef short V __attribute__((vector_size(16)));

  SL_INLINE V load(const int16_t* p) { return (V)_mm_loadu_si128((const __m128i*)p); }
  SL_INLINE void store(int16_t* p, V v) { _mm_storeu_si128((__m128i*)p, (__m128i)v); }
  // v * w / 32768, rounded.
  SL_INLINE V scale(V v, V w) { return (V)_mm_mulhrs_epi16((__m128i)v, (__m128i)w); }

  template <int K>
  SL_INLINE __m128i half(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    __m128i pairs = _mm_shuffle_epi8(window(row + offset[0]), window(shuffle));
    for (int k = 1; k < K; k++)
      pairs = _mm_or_si128(pairs, _mm_shuffle_epi8(window(row + offset[2 * k]), window(shuffle + 32 * k)));
    return _mm_srai_epi32(_mm_madd_epi16(pairs, _mm_loadu_si128((const __m128i*)weight)), 7);
  }

  template <int K>
  SL_INLINE V gather(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    return (V)_mm_packs_epi32(half<K>(row, offset, shuffle, weight),
                              half<K>(row, offset + 1, shuffle + 16, weight + 8));
  }

  SL_INLINE __m128i bytes(V v) { return _mm_packus_epi16((__m128i)((v + 16) >> 5), (__m128i)((v + 16) >> 5)); }
  SL_INLINE void put_u8(uint8_t* to, V v) { _mm_storel_epi64((__m128i*)to, bytes(v)); }
  SL_INLINE void put_pixels(uint8_t* to, V a, V b, V c) { interleave3(to, bytes(a), bytes(b), bytes(c), true); }

  SL_INLINE void put_f32(float* to, V v, float scale, float offset) {
    __m128i c = _mm_min_epi16(_mm_max_epi16((__m128i)v, _mm_setzero_si128()), _mm_set1_epi16(255 * 32));
    __m128 s = _mm_set1_ps(scale), o = _mm_set1_ps(offset);
    __m128 low = _mm_cvtepi32_ps(_mm_cvtepi16_epi32(c)), high = _mm_cvtepi32_ps(_mm_cvtepi16_epi32(_mm_srli_si128(c, 8)));
    _mm_storeu_ps(to, _mm_add_ps(_mm_mul_ps(low, s), o));
    _mm_storeu_ps(to + 4, _mm_add_ps(_mm_mul_ps(high, s), o));
  }

  SL_INLINE void put_f16(uint16_t* to, V v, float scale, float offset) {
    float wide[N];
    put_f32(wide, v, scale, offset);
    for (int i = 0; i < N; i++) to[i] = va_half(wide[i]);
  }

  typedef float F __attribute__((vector_size(16)));
  // The larger of each lane; b's where one is not a number.
  SL_INLINE F larger(F a, F b) { return (F)_mm_max_ps((__m128)a, (__m128)b); }
  SL_INLINE bool reaches(F v, float least) { return _mm_movemask_ps(_mm_cmpge_ps((__m128)v, _mm_set1_ps(least))) != 0; }
};

}  // namespace
