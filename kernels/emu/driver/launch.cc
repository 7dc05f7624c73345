// Launches: checked as a driver does, then queued.
#include "device.h"

static CUresult legal(CUfunction f, emu_dim g, emu_dim b, unsigned shared) {
  uint64_t threads = (uint64_t)b.x * b.y * b.z;
  if (!g.x || !g.y || !g.z || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535) return CUDA_ERROR_INVALID_VALUE;
  if (!threads || threads > 1024 || b.z > 64) return CUDA_ERROR_INVALID_VALUE;
  if (f->kernel->shared + shared > MAX_SHARED) return CUDA_ERROR_INVALID_VALUE;
  return threads > f->max_threads ? CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES : CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                               unsigned shared, CUstream handle, void** args, void** extra) {
  ENTER(c);
  if (!f || extra || (!args && f->kernel->args)) return CUDA_ERROR_INVALID_VALUE;
  if (f->context != c) return CUDA_ERROR_INVALID_HANDLE;
  if (CUresult r = legal(f, {gx, gy, gz}, {bx, by, bz}, shared)) {
    say("kernel %s: a grid of %u,%u,%u blocks of %u,%u,%u threads is refused", f->kernel->name, gx, gy, gz, bx, by, bz);
    return r;
  }
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  Launch l{f->kernel, f->barriers, {gx, gy, gz}, {bx, by, bz}, {}, c};
  for (unsigned i = 0; i < f->kernel->args; i++) l.args.push_back(*(const uint64_t*)args[i]);
  enqueue(s, [=] {
    if (sightline_emu_hit("device")) device(c->device).gone = true;
    if (device(c->device).gone) return lose(c, CUDA_ERROR_UNKNOWN);
    if (sightline_emu_hit("launch")) return lose(c, CUDA_ERROR_LAUNCH_FAILED);
    if (CUresult r = run_grid(l)) lose(c, r);
  });
  sightline_emu_add("launches", 1);
  return CUDA_SUCCESS;
}
