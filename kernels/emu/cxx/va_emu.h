// What port.h needs to compile vision.cu as C++ for the emulated GPU: CUDA's names for
// a thread's place, and barriers.
#pragma once
#include "../driver/kernel.h"

// The GPU thread that runs on this system thread now.
static thread_local emu_thread* emu_self;

#define threadIdx (emu_self->thread)
#define blockIdx (emu_self->block)
#define blockDim (emu_self->threads)
#define gridDim (emu_self->blocks)

// One copy a system thread: it runs one block at a time.
#define VA_SHARED static thread_local
// Other GPU threads run before the barrier returns.
#define VA_SYNC()                  \
  do {                             \
    emu_thread* me = emu_self;     \
    me->barrier(me, __LINE__);     \
    emu_self = me;                 \
  } while (0)

static inline int va_claim(int* count) { return __atomic_fetch_add(count, 1, __ATOMIC_RELAXED); }
