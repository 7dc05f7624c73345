// Makes the table of kernels from C++ functions. cxx/table.sh writes the rest.
#pragma once
#include <cstring>
#include <utility>

#include "../driver/kernel.h"

template <class A>
A emu_argument(uint64_t bits) {
  static_assert(sizeof(A) == 8, "every argument of a kernel is 8 bytes wide");
  A a;
  memcpy(&a, &bits, 8);
  return a;
}

template <class... A, size_t... I>
void emu_invoke(void (*kernel)(A...), const uint64_t* args, std::index_sequence<I...>) {
  kernel(emu_argument<A>(args[I])...);
}

template <class... A>
constexpr unsigned emu_count(void (*)(A...)) {
  return sizeof...(A);
}

template <auto kernel>
void emu_run(emu_thread* t, const uint64_t* args) {
  emu_self = t;
  emu_invoke(kernel, args, std::make_index_sequence<emu_count(kernel)>());
}

#define EMU_KERNEL(k) {#k, emu_run<k>, emu_count(k), 0}
