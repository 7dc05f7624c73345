// x86-64-v4: AVX-512 F, BW, DQ, VL, 32 lanes of int16.
#pragma once
#include "x86.h"

namespace {

struct Isa {
  static constexpr int N = 32;
  typedef short V __attribute__((vector_size(64)));

  SL_INLINE V load(const int16_t* p) { return (V)_mm512_loadu_si512(p); }
  SL_INLINE void store(int16_t* p, V v) { _mm512_storeu_si512(p, (__m512i)v); }
  // v * w / 32768, rounded.
  SL_INLINE V scale(V v, V w) { return (V)_mm512_mulhrs_epi16((__m512i)v, (__m512i)w); }

  SL_INLINE __m256i two(const uint8_t* row, const int32_t* offset) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(window(row + offset[0])), window(row + offset[1]), 1);
  }
  SL_INLINE __m512i windows(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle) {
    __m512i w = _mm512_inserti64x4(_mm512_castsi256_si512(two(row, offset)), two(row, offset + 2), 1);
    return _mm512_shuffle_epi8(w, _mm512_loadu_si512(shuffle));
  }

  template <int K>
  SL_INLINE __m512i half(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    __m512i pairs = windows(row, offset, shuffle);
    for (int k = 1; k < K; k++) pairs = _mm512_or_si512(pairs, windows(row, offset + 8 * k, shuffle + 128 * k));
    return _mm512_srai_epi32(_mm512_madd_epi16(pairs, _mm512_loadu_si512(weight)), 7);
  }

  template <int K>
  SL_INLINE V gather(const uint8_t* row, const int32_t* offset, const uint8_t* shuffle, const int16_t* weight) {
    return (V)_mm512_packs_epi32(half<K>(row, offset, shuffle, weight),
                                 half<K>(row, offset + 4, shuffle + 64, weight + 32));
  }

  SL_INLINE V clamp(V v) {
    return (V)_mm512_min_epi16(_mm512_max_epi16((__m512i)v, _mm512_setzero_si512()), _mm512_set1_epi16(255 * 32));
  }
  SL_INLINE __m256i bytes(V v) { return _mm512_cvtepi16_epi8((__m512i)((clamp(v) + 16) >> 5)); }
  SL_INLINE void put_u8(uint8_t* to, V v) { _mm256_storeu_si256((__m256i*)to, bytes(v)); }
  SL_INLINE void put_pixels(uint8_t* to, V a, V b, V c) {
    __m256i x = bytes(a), y = bytes(b), z = bytes(c);
    interleave3(to, _mm256_castsi256_si128(x), _mm256_castsi256_si128(y), _mm256_castsi256_si128(z), false);
    interleave3(to + 48, _mm256_extracti128_si256(x, 1), _mm256_extracti128_si256(y, 1), _mm256_extracti128_si256(z, 1), false);
  }

  SL_INLINE __m512 wide(__m256i v, float scale, float offset) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(v)), _mm512_set1_ps(scale), _mm512_set1_ps(offset));
  }

  SL_INLINE void put_f32(float* to, V v, float scale, float offset) {
    __m512i c = (__m512i)clamp(v);
    _mm512_storeu_ps(to, wide(_mm512_castsi512_si256(c), scale, offset));
    _mm512_storeu_ps(to + 16, wide(_mm512_extracti64x4_epi64(c, 1), scale, offset));
  }

  SL_INLINE void put_f16(uint16_t* to, V v, float scale, float offset) {
    __m512i c = (__m512i)clamp(v);
    __m512 low = wide(_mm512_castsi512_si256(c), scale, offset), high = wide(_mm512_extracti64x4_epi64(c, 1), scale, offset);
    _mm256_storeu_si256((__m256i*)to, _mm512_cvtps_ph(low, _MM_FROUND_TO_NEAREST_INT));
    _mm256_storeu_si256((__m256i*)(to + 16), _mm512_cvtps_ph(high, _MM_FROUND_TO_NEAREST_INT));
  }

  typedef float F __attribute__((vector_size(64)));
  // The larger of each lane; b's where one is not a number.
  SL_INLINE F larger(F a, F b) { return (F)_mm512_max_ps((__m512)a, (__m512)b); }
  SL_INLINE bool reaches(F v, float least) {
    return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(least), _CMP_GE_OQ) != 0;
  }
};

}  // namespace
