// The vectorised code for x86-64-v3.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC target("arch=x86-64-v3")
#define VA_DEVICE_ONLY
#include "vision.cu"
#include "cpu/v3.h"
#include "cpu/fill.h"

void sl_fill_v3(sl_job* j) { fill(*j); }
