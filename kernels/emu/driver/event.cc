// Events: each recording is a moment of its own, so that an event recorded again does
// not move what somebody waits for already.
#include <chrono>

#include "driver.h"

namespace {
CUresult find(CUevent handle, std::shared_ptr<CUevent_st>* e) {
  std::lock_guard<std::mutex> guard(tables().lock);
  auto at = tables().events.find(handle);
  if (at == tables().events.end()) {
    say("event %p is none, or not any more", (void*)handle);
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *e = at->second;
  return CUDA_SUCCESS;
}

std::shared_ptr<Moment> last(const std::shared_ptr<CUevent_st>& e) {
  std::lock_guard<std::mutex> guard(e->lock);
  return e->last;
}

void reach(Moment& m) {
  std::unique_lock<std::mutex> guard(m.lock);
  m.reached.wait(guard, [&] { return m.done; });
}
}  // namespace

EXPORT CUresult cuEventCreate(CUevent* e, unsigned) {
  ENTER(c);
  if (sightline_emu_hit("event")) return CUDA_ERROR_OUT_OF_MEMORY;
  auto made = std::make_shared<CUevent_st>();
  made->context = c;
  *e = made.get();
  sightline_emu_add("events", 1);
  std::lock_guard<std::mutex> guard(tables().lock);
  tables().events[*e] = made;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(CUevent handle) {
  ENTER(c);
  std::lock_guard<std::mutex> guard(tables().lock);
  if (!tables().events.erase(handle)) {
    say("cuEventDestroy of %p, which is no event, or not any more", (void*)handle);
    return CUDA_ERROR_INVALID_HANDLE;
  }
  sightline_emu_add("events", -1);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent handle, CUstream stream) {
  ENTER(c);
  std::shared_ptr<CUevent_st> e;
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find(handle, &e)) return r;
  if (CUresult r = find_stream(c, stream, &s)) return r;
  if (e->context != s->context) return CUDA_ERROR_INVALID_HANDLE;
  if (capture(s.get(), false)) return CUDA_ERROR_NOT_SUPPORTED;  // graphs have no events here
  auto m = std::make_shared<Moment>();
  m->done = false;
  {
    std::lock_guard<std::mutex> guard(e->lock);
    e->last = m;
  }
  auto mark = [m] {
    std::lock_guard<std::mutex> guard(m->lock);
    m->nanoseconds = std::chrono::steady_clock::now().time_since_epoch().count();
    m->done = true;
    m->reached.notify_all();
  };
  enqueue(s, mark, true);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventSynchronize(CUevent handle) {
  ENTER(c);
  std::shared_ptr<CUevent_st> e;
  if (CUresult r = find(handle, &e)) return r;
  reach(*last(e));
  return c->lost;
}

// The one call here that needs no current context.
EXPORT CUresult cuEventQuery(CUevent handle) {
  std::shared_ptr<CUevent_st> e;
  if (CUresult r = find(handle, &e)) return r;
  if (CUresult lost = e->context->lost) return lost;
  UNSAFE();
  auto m = last(e);
  std::lock_guard<std::mutex> guard(m->lock);
  return m->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
  ENTER(c);
  std::shared_ptr<CUevent_st> a, b;
  if (CUresult r = find(from, &a)) return r;
  if (CUresult r = find(to, &b)) return r;
  auto x = last(a), y = last(b);
  std::scoped_lock guard(x->lock, y->lock);
  if (!x->done || !y->done) return CUDA_ERROR_NOT_READY;
  *milliseconds = (float)(y->nanoseconds - x->nanoseconds) / 1e6f;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent handle, unsigned) {
  ENTER(c);
  std::shared_ptr<CUevent_st> e;
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find(handle, &e)) return r;
  if (CUresult r = find_stream(c, stream, &s)) return r;
  if (capture(s.get(), true)) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  auto m = last(e);
  enqueue(s, [m] { reach(*m); }, true);
  return CUDA_SUCCESS;
}
