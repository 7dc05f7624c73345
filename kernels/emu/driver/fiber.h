// Fibers: the threads of a block that has barriers. All run on one system thread.
#pragma once
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#include <cstddef>

class Fiber {
 public:
  // Prepares the fiber to run entry on the stack at its first switch_to. entry must
  // never return.
  void prepare(char* stack, size_t bytes, void (*entry)());
  // Goes on with another fiber; returns when somebody switches back.
  void switch_to(Fiber&);

 private:
#if defined(__x86_64__)
  void* top = nullptr;
#else
  ucontext_t context;
#endif
};
