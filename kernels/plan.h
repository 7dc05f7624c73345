// The tables of one slot and of the last picture geometry.
#pragma once
#include "bridge.h"
#include "cpu/job.h"

struct sl_plan {
  int level, lanes;
  void* arena;  // all of job's memory
  int target, width, cosited;  // the rectangle's width, the picture's, its siting
  sl_job job;

  bool same(const va_slot&, const va_picture&) const;
  bool prepare(const va_slot&, const va_picture&);  // false: out of memory
  void run(void (*fill)(sl_job*), const va_slot&, const va_picture&, void* out);
};
