// The oracle's kernels as C++ functions: vision.cu compiled for the host.
#pragma once
#include "types.h"

extern "C" {
void va_preprocess(const va_picture*, const va_slot*, void* out);
void va_nanodet(const va_head*, long long classes, long long bins, const unsigned char* wanted, const float* threshold,
                va_box* out, long long room, int* count);
void va_decode_yolo(const va_yolo*, const unsigned char* wanted, const float* threshold, va_box* out, long long room,
                    int* count);
void va_nms(const va_box* in, long long n, long long padded, const float* iou, const int* groups, long long ngroups,
            unsigned long long* keys, int* order, va_box* out, long long room, int* kept);
}
