// x86-64-v3: AVX2, FMA and F16C, 16 lanes of int16.
#pragma once
#include "x86.h"

namespace {

struct Isa {
  static constexpr int N = 16;
  typedef short V __attribute__((vector_size(32)));

  SL_INLINE V load(const int16_t* p) { return (V)_mm256_loadu_si256((const __m256i*)p); }
  SL_INLINE void store(int16_t* p, V v) { _mm256_storeu_si256((__m256i*)p, (__m256i)v); }
  // v * w / 32768, rounded.
  SL_INLINE V scale(V v, V w) { return (V)_mm256_mulhrs_epi16((__m256i)v, (__m256i)w); }

  SL_INLINE __m256i windows(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle) {
    __m256i w = _mm256_inserti128_si256(_mm256_castsi128_si256(window(row + offset[0])), window(row + offset[1]), 1);
    return _mm256_shuffle_epi8(w, _mm256_loadu_si256((const __m256i*)shuffle));
  }

  template <int K>
  SL_INLINE __m256i half(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    __m256i pairs = windows(row, offset, shuffle);
    for (int k = 1; k < K; k++) pairs = _mm256_or_si256(pairs, windows(row, offset + 4 * k, shuffle + 64 * k));
    return _mm256_srai_epi32(_mm256_madd_epi16(pairs, _mm256_loadu_si256((const __m256i*)weight)), 7);
  }

  template <int K>
  SL_INLINE V gather(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    return (V)_mm256_packs_epi32(half<K>(row, offset, shuffle, weight),
                                 half<K>(row, offset + 2, shuffle + 32, weight + 16));
  }

  SL_INLINE __m128i bytes(V v) {
    __m256i r = (__m256i)((v + 16) >> 5);
    return _mm_packus_epi16(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
  }
  SL_INLINE void put_u8(uint8_t* to, V v) { _mm_storeu_si128((__m128i*)to, bytes(v)); }
  SL_INLINE void put_pixels(uint8_t* to, V a, V b, V c) { interleave3(to, bytes(a), bytes(b), bytes(c), false); }

  SL_INLINE __m256i clamp(V v) {
    return _mm256_min_epi16(_mm256_max_epi16((__m256i)v, _mm256_setzero_si256()), _mm256_set1_epi16(255 * 32));
  }
  SL_INLINE __m256 wide(__m128i v, float scale, float offset) {
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(v)), _mm256_set1_ps(scale), _mm256_set1_ps(offset));
  }

  SL_INLINE void put_f32(float* to, V v, float scale, float offset) {
    __m256i c = clamp(v);
    _mm256_storeu_ps(to, wide(_mm256_castsi256_si128(c), scale, offset));
    _mm256_storeu_ps(to + 8, wide(_mm256_extracti128_si256(c, 1), scale, offset));
  }

  SL_INLINE void put_f16(uint16_t* to, V v, float scale, float offset) {
    __m256i c = clamp(v);
    __m256 low = wide(_mm256_castsi256_si128(c), scale, offset), high = wide(_mm256_extracti128_si256(c, 1), scale, offset);
    _mm_storeu_si128((__m128i*)to, _mm256_cvtps_ph(low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i*)(to + 8), _mm256_cvtps_ph(high, _MM_FROUND_TO_NEAREST_INT));
  }

  typedef float F __attribute__((vector_size(32)));
  // The larger of each lane; b's where one is not a number.
  SL_INLINE F larger(F a, F b) { return (F)_mm256_max_ps((__m256)a, (__m256)b); }
  SL_INLINE bool reaches(F v, float least) {
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_set1_ps(least), _CMP_GE_OQ)) != 0;
  }
};

}  // namespace
