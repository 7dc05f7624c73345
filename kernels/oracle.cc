#include "vision.cu"
