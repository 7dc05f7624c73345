// Shared by the x86-64 levels.
#pragma once
#include <immintrin.h>

#include "job.h"

SL_INLINE __m128i window(const uint8_t* p) { return _mm_loadu_si128((const __m128i*)p); }

// Interleaves 16 bytes each of a, b and c into 48 bytes.
SL_INLINE void interleave3(uint8_t* to, __m128i a, __m128i b, __m128i c, bool half) {
  const char z = -128;
  __m128i p = _mm_or_si128(
      _mm_or_si128(_mm_shuffle_epi8(a, _mm_setr_epi8(0, z, z, 1, z, z, 2, z, z, 3, z, z, 4, z, z, 5)),
                   _mm_shuffle_epi8(b, _mm_setr_epi8(z, 0, z, z, 1, z, z, 2, z, z, 3, z, z, 4, z, z))),
      _mm_shuffle_epi8(c, _mm_setr_epi8(z, z, 0, z, z, 1, z, z, 2, z, z, 3, z, z, 4, z)));
  __m128i q = _mm_or_si128(
      _mm_or_si128(_mm_shuffle_epi8(a, _mm_setr_epi8(z, z, 6, z, z, 7, z, z, 8, z, z, 9, z, z, 10, z)),
                   _mm_shuffle_epi8(b, _mm_setr_epi8(5, z, z, 6, z, z, 7, z, z, 8, z, z, 9, z, z, 10))),
      _mm_shuffle_epi8(c, _mm_setr_epi8(z, 5, z, z, 6, z, z, 7, z, z, 8, z, z, 9, z, z)));
  _mm_storeu_si128((__m128i*)to, p);
  if (half) {
    _mm_storel_epi64((__m128i*)(to + 16), q);
    return;
  }
  __m128i r = _mm_or_si128(
      _mm_or_si128(_mm_shuffle_epi8(a, _mm_setr_epi8(z, 11, z, z, 12, z, z, 13, z, z, 14, z, z, 15, z, z)),
                   _mm_shuffle_epi8(b, _mm_setr_epi8(z, z, 11, z, z, 12, z, z, 13, z, z, 14, z, z, 15, z))),
      _mm_shuffle_epi8(c, _mm_setr_epi8(10, z, z, 11, z, z, 12, z, z, 13, z, z, 14, z, z, 15)));
  _mm_storeu_si128((__m128i*)(to + 16), q);
  _mm_storeu_si128((__m128i*)(to + 32), r);
}
