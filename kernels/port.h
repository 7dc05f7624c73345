// What vision.cu needs from its three back ends: CUDA (NVRTC, nvcc), C++17, and
// C++17 on the emulated driver of the tests (VA_EMU), which has CUDA's threads.
// Kernels are loops from their thread's place in steps of the grid: on a GPU the
// whole grid shares the loop, in C++ one call runs it all. Arithmetic is IEEE
// operations and explicit fma only, contraction off, so that all give the same bits.
#pragma once
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define VA_KERNEL extern "C" __global__ void __launch_bounds__(256)
#define VA_FN static __device__ __forceinline__
#define VA_SHARED __shared__
#define VA_SYNC() __syncthreads()
#define VA_COPY memcpy
VA_FN float va_fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
VA_FN float va_floor(float a) { return floorf(a); }
VA_FN unsigned va_bits(float f) { return __float_as_uint(f); }
VA_FN float va_float(unsigned u) { return __uint_as_float(u); }
VA_FN int va_claim(int* count) { return atomicAdd(count, 1); }
// 16 bits as a float: full speed, where the conversion has a quarter of it.
VA_FN float va_whole(unsigned v) { return __fsub_rn(__uint_as_float(0x4b000000u | v), 8388608.f); }
VA_FN unsigned short va_half(float f) {
  unsigned short h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
  return h;
}
#else
#if defined(VA_EMU)
// Provides threadIdx, blockIdx, blockDim and gridDim, VA_SHARED (what the threads
// of a block share), VA_SYNC() (their barrier) and va_claim (an atomic increment
// that returns what was there).
#include "va_emu.h"
#define VA_KERNEL extern "C" void
#else
#define VA_KERNEL [[maybe_unused]] static void
#define VA_SHARED
#define VA_SYNC()
[[maybe_unused]] static inline int va_claim(int* count) { return (*count)++; }
#endif
#define VA_FN [[maybe_unused]] static inline
#define VA_COPY __builtin_memcpy
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif
VA_FN float va_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
VA_FN float va_floor(float a) { return __builtin_floorf(a); }
VA_FN unsigned va_bits(float f) {
  unsigned u;
  __builtin_memcpy(&u, &f, 4);
  return u;
}
VA_FN float va_float(unsigned u) {
  float f;
  __builtin_memcpy(&f, &u, 4);
  return f;
}
VA_FN float va_whole(unsigned v) { return (float)v; }
// Rounds to the nearest half, ties to even, as cvt.rn does.
VA_FN unsigned short va_half(float f) {
  unsigned u = va_bits(f), sign = u >> 16 & 0x8000, mag = u & 0x7fffffff;
  if (mag >= 0x47800000) return sign | (mag > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (mag < 0x38800000) {  // subnormal: the sum's last bits are the half's
    float shifted = va_float(mag) + 0.5f;
    return sign | (va_bits(shifted) - 0x3f000000);
  }
  mag += 0xc8000fff + (mag >> 13 & 1);
  return sign | mag >> 13;
}
#endif
#if defined(__CUDACC__) || defined(__CUDACC_RTC__) || defined(VA_EMU)
// A thread's place in the grid, which lies over the two dimensions of a picture or
// the one of a list of candidates; blockIdx.z is the row of the batch.
#define VA_X ((int)(blockIdx.x * blockDim.x + threadIdx.x))
#define VA_Y ((int)(blockIdx.y * blockDim.y + threadIdx.y))
#define VA_X_STEP ((int)(gridDim.x * blockDim.x))
#define VA_Y_STEP ((int)(gridDim.y * blockDim.y))
#define VA_ROW ((long long)blockIdx.z)
// A thread's place in a block of one dimension, and the block's first place.
#define VA_THREAD ((int)threadIdx.x)
#define VA_THREADS ((int)blockDim.x)
#else
#define VA_X 0
#define VA_Y 0
#define VA_X_STEP 1
#define VA_Y_STEP 1
#define VA_ROW 0LL
#define VA_THREAD 0
#define VA_THREADS 1
#endif
VA_FN float va_min(float a, float b) { return a < b ? a : b; }
VA_FN float va_max(float a, float b) { return a > b ? a : b; }
// e^x to 1 ulp or so for finite results, by Cody-Waite reduction and the Taylor
// series to degree 7 on [-ln2/2, ln2/2]. Saturates at e^-87 and e^88; NaN
// stays NaN.
VA_FN float va_exp(float x) {
  if (!(x == x)) return x;
  x = va_min(va_max(x, -87.f), 88.f);
  float n = va_fma(x, 1.44269504f, 12582912.f) - 12582912.f;
  float r = va_fma(n, -1.42860677e-6f, va_fma(n, -0.693145752f, x));
  float p = va_fma(r, 1.98412698e-4f, 1.38888889e-3f);
  p = va_fma(p, r, 8.33333333e-3f);
  p = va_fma(p, r, 4.16666667e-2f);
  p = va_fma(p, r, 0.166666667f);
  p = va_fma(p, r, 0.5f);
  p = va_fma(p, r, 1.f);
  p = va_fma(p, r, 1.f);
  return p * va_float((unsigned)((int)n + 127) << 23);
}
VA_FN float va_sigmoid(float x) { return 1.f / (1.f + va_exp(-x)); }
