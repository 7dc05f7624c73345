// The device maths: picture to network input, network output to boxes. This one
// source is the CUDA kernels and, compiled as C++, the oracle that the
// vectorized CPU code is tested against.
#include "port.h"
#include "types.h"
#include "pixels.cu"
#include "boxes.cu"
#include "nms.cu"
