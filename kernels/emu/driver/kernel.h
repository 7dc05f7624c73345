// What a kernel sees of the emulated GPU, and how a library of kernels presents
// itself. Libraries are built apart from the driver, which opens them when a module
// is loaded: translated from PTX, or compiled from vision.cu as C++.
#pragma once
#include <cstdint>

struct emu_dim {
  unsigned x, y, z;
};

enum { EMU_READ = 0, EMU_WRITE = 1, EMU_ATOMIC = 2 };

// A piece of memory that kernels reach.
struct emu_range {
  uint64_t from, bytes;
};
constexpr unsigned EMU_NEAR = 4;

// One GPU thread. The functions are the driver's.
struct emu_thread {
  emu_dim thread, block, threads, blocks;  // threadIdx, blockIdx, blockDim, gridDim
  unsigned id, interval;                   // flat index in the block; barriers passed
  int site;                                // of the barrier it waits at, 0 none
  unsigned char* shared;                   // the block's shared memory
  void (*barrier)(emu_thread*, int site);  // returns when every live thread of the block has come
  void (*access)(emu_thread*, uint64_t address, unsigned bytes, unsigned kind);  // called by instrumented kernels
  void (*misaligned)(emu_thread*, uint64_t address, unsigned bytes);  // ends the kernel: does not return
  const emu_range* near;                          // EMU_NEAR pieces that were touched last
  void (*reach)(emu_thread*, uint64_t address);  // takes the piece of an address into near, or ends the kernel
};

// A kernel. Every argument is 8 bytes wide.
struct emu_kernel {
  const char* name;
  void (*run)(emu_thread*, const uint64_t* args);
  unsigned args;    // their number
  unsigned shared;  // bytes
};

extern "C" {
// The kernels of a library, ended by one without a name.
extern const emu_kernel emu_kernels[];
// emu_hash of the PTX that a library was translated from, 0 for one from C++.
extern const uint64_t emu_source;
}

// FNV-1a, which ties a translated library to the text that a program loads.
inline uint64_t emu_hash(const char* text) {
  uint64_t h = 14695981039346656037u;
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
  return h;
}
