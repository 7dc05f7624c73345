// The vectorized code for x86-64-v3.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC target("arch=x86-64-v3")
#include "vision.cu"

#include "bridge.h"
#include "cpu/v3.h"
#include "cpu/fill.h"
#include "cpu/boxes.h"

const sl_code sl_code_v3 = {SL_V3, Isa::N, fill, nanodet, yolo};
