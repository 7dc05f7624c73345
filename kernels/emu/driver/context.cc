// Contexts: a stack of them on every thread, and one primary context a device.
#include "device.h"

namespace {
thread_local std::vector<CUcontext> stack;

bool is_context(CUcontext c) {
  if (!c) return false;
  for (int i = 0; i < devices(); i++)
    if (c == &device(i).primary) return true;
  std::lock_guard<std::mutex> guard(tables().lock);
  return tables().contexts.count(c) > 0;
}

// Ends a context: what is still alive in it goes with it, and is counted.
void destroy(CUctx_st* c) {
  drain(c);
  Tables& t = tables();
  std::vector<std::shared_ptr<void>> dying;  // destructors join threads: not under the lock
  {
    std::lock_guard<std::mutex> guard(t.lock);
    auto take = [&](auto& table, const char* name) {
      for (auto at = table.begin(); at != table.end();) {
        if (at->second->context != c) {
          ++at;
          continue;
        }
        dying.push_back(at->second);
        at = table.erase(at);
        sightline_emu_add(name, -1);
        sightline_emu_add("abandoned", 1);
      }
    };
    take(t.streams, "streams");
    take(t.events, "events");
    take(t.modules, "modules");
    if (c->legacy) dying.push_back(std::move(c->legacy));
    c->legacy.reset();
  }
  dying.clear();
  free_memory(c);
  c->alive = false;
  c->lost = CUDA_SUCCESS;
  sightline_emu_add("contexts", -1);
}

void start(CUctx_st* c) {
  c->legacy = std::make_shared<CUstream_st>(c, 0);
  c->alive = true;
  sightline_emu_add("contexts", 1);
}
std::mutex primaries;  // guards their counts of references
}  // namespace

Tables& tables() {
  static Tables* t = new Tables;  // outlives every thread of the program
  return *t;
}

CUresult enter(CUctx_st** c) {
  *c = stack.empty() ? nullptr : stack.back();
  if (!*c) return CUDA_ERROR_INVALID_CONTEXT;
  if (!(*c)->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  return (*c)->lost;
}

// Makes an error stick to a context. The first one stays.
void lose(CUctx_st* c, CUresult why) {
  CUresult none = CUDA_SUCCESS;
  c->lost.compare_exchange_strong(none, why);
}

EXPORT void sightline_emu_restore(int i) {
  if (i >= 0 && i < devices()) device(i).gone = false;
}

EXPORT CUresult cuCtxCreate_v2(CUcontext* c, unsigned flags, CUdevice d) {
  if (d < 0 || d >= devices()) return CUDA_ERROR_INVALID_DEVICE;
  if (device(d).gone) return CUDA_ERROR_DEVICE_UNAVAILABLE;
  *c = new CUctx_st;
  (*c)->device = d, (*c)->flags = flags, (*c)->refs = 1;
  start(*c);
  std::lock_guard<std::mutex> guard(tables().lock);
  tables().contexts.insert(*c);
  stack.push_back(*c);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext c) {
  {
    std::lock_guard<std::mutex> guard(tables().lock);
    if (!tables().contexts.erase(c)) return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (!stack.empty() && stack.back() == c) stack.pop_back();
  destroy(c);  // its few bytes stay: other threads may still name it
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(CUcontext c) {
  if (!is_context(c)) return CUDA_ERROR_INVALID_CONTEXT;
  stack.push_back(c);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent_v2(CUcontext* c) {
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (c) *c = stack.back();
  stack.pop_back();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext c) {
  if (c && !is_context(c)) return CUDA_ERROR_INVALID_CONTEXT;
  if (!stack.empty()) stack.pop_back();
  if (c) stack.push_back(c);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCurrent(CUcontext* c) {
  *c = stack.empty() ? nullptr : stack.back();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(CUdevice* d) {
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *d = stack.back()->device;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetFlags(unsigned* flags) {
  ENTER(c);
  *flags = c->flags;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetApiVersion(CUcontext, unsigned* version) {
  *version = 3020;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetLimit(CUlimit, size_t) {
  ENTER(c);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  ENTER(c);
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize() {
  ENTER(c);
  if (any_capture(c)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  drain(c);
  return c->lost;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice d) {
  if (d < 0 || d >= devices()) return CUDA_ERROR_INVALID_DEVICE;
  if (device(d).gone) return CUDA_ERROR_DEVICE_UNAVAILABLE;
  std::lock_guard<std::mutex> guard(primaries);
  *c = &device(d).primary;
  (*c)->refs++;
  if (!(*c)->alive) start(*c);
  return (*c)->lost;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) {
  if (d < 0 || d >= devices()) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard<std::mutex> guard(primaries);
  CUctx_st* c = &device(d).primary;
  if (!c->refs) return CUDA_ERROR_INVALID_CONTEXT;
  if (--c->refs == 0 && c->alive) destroy(c);
  return CUDA_SUCCESS;
}

// The only call that ends a sticky error. It releases nothing: whoever retained the
// context releases it still, and retains it anew to go on.
EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice d) {
  if (d < 0 || d >= devices()) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard<std::mutex> guard(primaries);
  if (device(d).primary.alive) destroy(&device(d).primary);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice d, unsigned flags) {
  if (d < 0 || d >= devices()) return CUDA_ERROR_INVALID_DEVICE;
  device(d).primary.flags = flags;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice d, unsigned* flags, int* active) {
  if (d < 0 || d >= devices()) return CUDA_ERROR_INVALID_DEVICE;
  *flags = device(d).primary.flags;
  *active = device(d).primary.alive;
  return CUDA_SUCCESS;
}
