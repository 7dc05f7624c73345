#include "fiber.h"

#if defined(__x86_64__)
#include <cstdint>

// Saves what a function must keep (System V ABI) on the stack, and changes stacks. It
// is a hundred times faster than swapcontext, which asks the kernel for signal masks.
asm(R"(
.text
.local emu_switch
.type emu_switch, @function
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emu_switch, .-emu_switch
)");
extern "C" void emu_switch(void** from, void* to) __attribute__((visibility("hidden")));

void Fiber::prepare(char* stack, size_t bytes, void (*entry)()) {
  void** p = (void**)((uintptr_t)(stack + bytes) & ~(uintptr_t)15);
  *--p = nullptr;  // where entry would return to, which also aligns its stack
  *--p = (void*)entry;
  for (int i = 0; i < 6; i++) *--p = nullptr;
  top = p;
}

void Fiber::switch_to(Fiber& other) { emu_switch(&top, other.top); }

#else

void Fiber::prepare(char* stack, size_t bytes, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = bytes;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}

void Fiber::switch_to(Fiber& other) { swapcontext(&context, &other.context); }
#endif
