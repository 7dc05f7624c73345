// The vectorised code for x86-64-v4.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

// GCC 12 takes the intrinsics' undefined operands for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("arch=x86-64-v4")
#define VA_DEVICE_ONLY
#include "vision.cu"
#include "cpu/v4.h"
#include "cpu/fill.h"

void sl_fill_v4(sl_job* j) { fill(*j); }
