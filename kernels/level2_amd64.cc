// The vectorized code for x86-64-v2.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC target("arch=x86-64-v2")
#include "vision.cu"

#include "bridge.h"
#include "cpu/v2.h"
#include "cpu/fill.h"
#include "cpu/boxes.h"

const sl_code sl_code_v2 = {SL_V2, Isa::N, fill, nanodet, yolo};
