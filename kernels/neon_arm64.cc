// The vectorized code for arm64.
#include <stddef.h>
#include <stdint.h>

#include "vision.cu"

#include "bridge.h"
#include "cpu/neon.h"
#include "cpu/fill.h"
#include "cpu/boxes.h"

const sl_code sl_code_neon = {SL_NEON, Isa::N, fill, nanodet, yolo};
