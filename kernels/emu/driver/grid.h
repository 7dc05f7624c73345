// Running grids, and what a fault inside one needs.
#pragma once
#include <csignal>

#include "driver.h"

// A signal stack for one thread, so that a fault on a kernel's stack can be told of.
class SignalStack {
 public:
  SignalStack();
  ~SignalStack();

 private:
  stack_t mine, before;
};
