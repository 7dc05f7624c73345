// Parts of the C++ side that its files share.
#pragma once
#include "bridge.h"
#include "cpu/job.h"

// The tables of one slot and of the last picture geometry.
struct sl_plan {
  const sl_code* code;  // NULL: the oracle, without tables
  void* arena;          // all of job's memory
  int target, width, cosited;  // the rectangle's width, the picture's, its siting
  sl_job job;

  bool same(const va_slot&, const va_picture&) const;
  bool prepare(const va_slot&, const va_picture&);  // false: out of memory
  void run(const va_slot&, const va_picture&, void* out);
};

// sl_nms by sorting and a shrinking list instead of the oracle's parallel steps.
int sl_nms_host(va_box*, int n, float iou, const int* groups, int ngroups, int room);
