// The vectorised code for x86-64-v2.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC target("arch=x86-64-v2")
#define VA_DEVICE_ONLY
#include "vision.cu"
#include "cpu/v2.h"
#include "cpu/fill.h"

void sl_fill_v2(sl_job* j) { fill(*j); }
