// What translated kernels are written in: typed access to registers and memory, and
// the operations of PTX that C++ defines otherwise or not at all. With EMU_INSTRUMENT
// each access to global and shared memory is told to the driver.
//
// One thing differs from a GPU: which NaN an operation gives.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernel.h"

// A register's or an immediate's value as a T: the same bits, or the lower ones.
template <class T, class R>
inline T get(R r) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<R, bool>) return (T)r;
  else if constexpr (sizeof(T) == sizeof(R)) {
    T t;
    memcpy(&t, &r, sizeof t);
    return t;
  } else {
    static_assert(std::is_integral_v<T> && std::is_integral_v<R>, "widths of floats must fit");
    return (T)r;
  }
}

// Writes a register: the same bits, or extended as the value's type says.
template <class R, class T>
inline void set(R& r, T value) {
  r = get<R>(value);
}

inline float number(uint32_t bits) { return get<float>(bits); }

// What every access to global and shared memory begins with. GPUs reach values only at
// multiples of their size, and not the host's memory.
inline void watch(emu_thread* t, uint64_t address, unsigned bytes, [[maybe_unused]] unsigned kind) {
  if (address & (bytes - 1)) t->misaligned(t, address, bytes);
  bool reached = false;
  for (unsigned i = 0; i < EMU_NEAR; i++) reached |= address - t->near[i].from < t->near[i].bytes;
  if (!reached) t->reach(t, address);
#if defined(EMU_INSTRUMENT)
  t->access(t, address, bytes, kind);
#endif
}

// Where a place in shared memory is. Such addresses count from the block's begin.
inline uint64_t in_shared(const emu_thread* t, uint64_t address) { return (uint64_t)t->shared + (uint32_t)address; }

template <class T>
inline T peek(uint64_t address) {
  T value;
  memcpy(&value, (const void*)address, sizeof value);
  return value;
}

template <class T>
inline void poke(uint64_t address, T value) {
  memcpy((void*)address, &value, sizeof value);
}

template <class T>
inline T atom_add(emu_thread* t, uint64_t address, T value) {
  watch(t, address, sizeof value, EMU_ATOMIC);
  return __atomic_fetch_add((T*)address, value, __ATOMIC_RELAXED);
}

// Shifts by the width and more.
template <class T>
inline T shift_left(T v, uint32_t n) {
  return n < 8 * sizeof v ? (T)(v << n) : (T)0;
}
template <class T>
inline T shift_right(T v, uint32_t n) {
  if (n >= 8 * sizeof v) n = 8 * sizeof v - 1, v = std::is_signed_v<T> ? v : (T)0;
  return (T)(v >> n);
}

// Division by nothing gives all ones here; the manual leaves it open.
template <class T>
inline T quotient(T a, T b) {
  if (b == 0) return (T)-1;
  if (std::is_signed_v<T> && b == (T)-1) return (T)(0 - (std::make_unsigned_t<T>)a);
  return a / b;
}
template <class T>
inline T remainder_of(T a, T b) {
  if (b == 0) return a;
  if (std::is_signed_v<T> && b == (T)-1) return 0;
  return a % b;
}

// The number where one operand is none; -0 is below +0.
inline float least(float a, float b) {
  if (a != a) return b != b ? number(0x7fffffff) : b;
  if (b != b) return a;
  return a < b || (a == b && std::signbit(a)) ? a : b;
}
inline float most(float a, float b) {
  if (a != a) return b != b ? number(0x7fffffff) : b;
  if (b != b) return a;
  return a > b || (a == b && !std::signbit(a)) ? a : b;
}

// Toward zero, and to the nearest that there is; 0 for NaN.
template <class T>
inline T truncate(float v) {
  if (v != v) return 0;
  if (v >= std::ldexp(1.f, std::numeric_limits<T>::digits)) return std::numeric_limits<T>::max();
  if (v <= (float)std::numeric_limits<T>::min()) return std::numeric_limits<T>::min();
  return (T)v;
}

// Replaces n bits of b from bit at on by the lower ones of a.
template <class T>
inline T insert(T a, T b, uint32_t at, uint32_t n) {
  at &= 0xff, n &= 0xff;
  if (at >= 8 * sizeof(T)) return b;
  T mask = n >= 8 * sizeof(T) ? ~(T)0 : ((T)1 << n) - 1;
  return ((a & mask) << at) | (b & ~(mask << at));
}

inline uint16_t half(float v) { return get<uint16_t>((_Float16)v); }
inline float from_half(uint16_t bits) { return (float)get<_Float16>(bits); }
