/* The C functions that Go calls. Pointers are used during the call only, except
 * for the plan's. None of them reads or writes beyond the sizes it is given. */
#ifndef SIGHTLINE_KERNELS_BRIDGE_H
#define SIGHTLINE_KERNELS_BRIDGE_H
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Instruction set levels; a processor's best is sl_level(). */
enum { SL_ORACLE = 0, SL_V2 = 2, SL_V3 = 3, SL_V4 = 4, SL_NEON = 8 };
int sl_level(void);

/* A plan holds the tables of one slot and of the last picture geometry. */
typedef struct sl_plan sl_plan;
sl_plan* sl_plan_new(int level); /* NULL when out of memory */
void sl_plan_free(sl_plan*);
/* Fills out; deep pictures at the oracle's speed. 0 when memory for the tables is missing. */
int sl_preprocess(sl_plan*, const va_slot*, const unsigned char* y, const unsigned char* u, const unsigned char* v,
                  const va_picture*, void* out);

/* These write up to room boxes in anchor order and return how many there are. */
int sl_nanodet(int level, int heads, const va_head*, int classes, int bins, const unsigned char* wanted, float threshold,
               va_box* out, int room);
int sl_yolo(int level, const float* in, const va_yolo*, const unsigned char* wanted, float threshold, va_box* out, int room);
int sl_detr(const float* scores, const float* boxes, const va_detr*, const unsigned char* wanted, float threshold,
            va_box* out, int room);
/* Keeps up to room <= n of n boxes, in place; -1 when out of memory. */
int sl_nms(int level, va_box*, int n, float iou, const int* groups, int ngroups, int room);

/* Brightness at another size; out has no gaps between its rows. */
void sl_thumbnail(const unsigned char* y, long long pitch, int width, int height, int deep, unsigned char* out,
                  int out_width, int out_height);
/* A rectangle with even left and top, as luma and chroma in planes or interleaved. */
void sl_crop(const unsigned char* y, const unsigned char* u, const unsigned char* v, const va_picture*, int left, int top,
             int width, int height, int planar, unsigned char* out);

#ifdef __cplusplus
}
#endif
#endif
