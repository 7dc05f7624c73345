// Recording CUDA graphs: what is put into a stream that captures does not run, and who
// may do what meanwhile depends on the mode of the recording and on that of each
// thread, as cuda.h has it at cuThreadExchangeStreamCaptureMode. Which calls are
// potentially unsafe it does not list: here allocations, frees, modules and queries of
// events are. Graphs cannot be run.
#include <mutex>
#include <set>
#include <thread>

#include "driver.h"

struct CUgraph_st {
  size_t nodes;
};

namespace {
thread_local CUstreamCaptureMode mine = CU_STREAM_CAPTURE_MODE_GLOBAL;

struct Recordings {
  std::mutex lock;
  std::set<CUstream_st*> streams;  // that capture: their captures are guarded by lock too
};

Recordings& recordings() {
  static Recordings* r = new Recordings;  // outlives every thread of the program
  return *r;
}
}  // namespace

// Whether the calling thread may make a potentially unsafe call. A recording that does
// not allow it is spoiled.
CUresult unsafe_call() {
  Recordings& r = recordings();
  std::lock_guard<std::mutex> guard(r.lock);
  CUresult answer = CUDA_SUCCESS;
  for (CUstream_st* s : r.streams) {
    Capture& c = *s->capture;
    bool own = c.by == std::this_thread::get_id() && c.mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    bool others = c.mode == CU_STREAM_CAPTURE_MODE_GLOBAL && mine == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (mine == CU_STREAM_CAPTURE_MODE_RELAXED || !(own || others)) continue;
    c.spoiled = true;
    answer = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return answer;
}

bool capture(CUstream_st* s, bool spoil) {
  Recordings& r = recordings();
  std::lock_guard<std::mutex> guard(r.lock);
  if (!s->capture) return false;
  s->capture->nodes++;
  s->capture->spoiled |= spoil;
  return true;
}

bool any_capture(CUctx_st* c) {
  Recordings& r = recordings();
  std::lock_guard<std::mutex> guard(r.lock);
  bool found = false;
  for (CUstream_st* s : r.streams)
    if (s->context == c) found = s->capture->spoiled = true;
  return found;
}

void end_capture(CUstream_st* s) {
  Recordings& r = recordings();
  std::lock_guard<std::mutex> guard(r.lock);
  r.streams.erase(s);
  s->capture.reset();
}

EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  if (!mode || *mode < CU_STREAM_CAPTURE_MODE_GLOBAL || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  std::swap(mine, *mode);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult refused = find_stream(c, handle, &s)) return refused;
  if (s == c->legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  Recordings& r = recordings();
  std::lock_guard<std::mutex> guard(r.lock);
  if (s->capture) return CUDA_ERROR_ILLEGAL_STATE;
  s->capture.reset(new Capture{std::this_thread::get_id(), mode, false, 0});
  r.streams.insert(s.get());
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult refused = find_stream(c, handle, &s)) return refused;
  *graph = nullptr;
  Capture done;
  {
    std::lock_guard<std::mutex> guard(recordings().lock);
    if (!s->capture) return CUDA_ERROR_ILLEGAL_STATE;
    done = *s->capture;
  }
  if (done.mode != CU_STREAM_CAPTURE_MODE_RELAXED && done.by != std::this_thread::get_id()) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  end_capture(s.get());
  if (done.spoiled) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  *graph = new CUgraph_st{done.nodes};
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  delete graph;
  return CUDA_SUCCESS;
}
