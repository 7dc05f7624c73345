// The emulated devices.
#pragma once
#include "driver.h"

constexpr int MAX_DEVICES = 8;
constexpr int COMPUTE = 86;              // compute capability 8.6
constexpr unsigned MAX_SHARED = 48 << 10;  // bytes a block, without asking for more

struct Device {
  size_t total = 0;
  std::atomic<size_t> used{0};
  std::atomic<bool> gone{false};
  CUctx_st primary;
};
Device& device(int);
int devices();
int driver_version();
