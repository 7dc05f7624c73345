// The vectorized code for x86-64-v4.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

// GCC 12 takes the intrinsics' undefined operands for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("arch=x86-64-v4")
#include "vision.cu"

#include "bridge.h"
#include "cpu/v4.h"
#include "cpu/fill.h"
#include "cpu/boxes.h"

const sl_code sl_code_v4 = {SL_V4, Isa::N, fill, nanodet, yolo};
