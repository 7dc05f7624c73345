// Streams: each works off its queue on a thread of its own, so what is asynchronous on
// a GPU is so here. The NULL stream is one of them. It and the blocking streams wait
// for one another's earlier work; non-blocking streams wait for nobody, as on a GPU.
#include "driver.h"
#include "grid.h"

CUstream_st::CUstream_st(CUctx_st* c, unsigned f) : context(c), flags(f), worker([this] { loop(); }) {}

CUstream_st::~CUstream_st() {
  end_capture(this);
  {
    std::lock_guard<std::mutex> guard(lock);
    stop = true;
    work.notify_all();
  }
  worker.join();
}

void CUstream_st::loop() {
  SignalStack stack;
  std::unique_lock<std::mutex> guard(lock);
  for (;;) {
    work.wait(guard, [this] { return stop || !queue.empty(); });
    if (queue.empty()) return;
    Work w = std::move(queue.front());
    queue.pop_front();
    guard.unlock();
    for (auto& dependence : w.after) dependence.first->wait(dependence.second);
    lag();
    w.run();
    w = Work();
    guard.lock();
    finished++;
    progress.notify_all();
  }
}

uint64_t CUstream_st::push(Work w) {
  std::lock_guard<std::mutex> guard(lock);
  queue.push_back(std::move(w));
  work.notify_one();
  return ++issued;
}

void CUstream_st::wait(uint64_t ticket) {
  std::unique_lock<std::mutex> guard(lock);
  progress.wait(guard, [&] { return finished >= ticket; });
}

void CUstream_st::drain() {
  std::unique_lock<std::mutex> guard(lock);
  progress.wait(guard, [&] { return finished >= issued; });
}

CUresult find_stream(CUctx_st* c, CUstream handle, std::shared_ptr<CUstream_st>* s) {
  std::lock_guard<std::mutex> guard(tables().lock);
  if (!handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) {
    *s = c->legacy;
    return CUDA_SUCCESS;
  }
  auto at = tables().streams.find(handle);
  if (at == tables().streams.end()) {
    say("stream %p is none, or not any more", (void*)handle);
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *s = at->second;
  return CUDA_SUCCESS;
}

// The earlier work that a stream's next work waits for.
static std::vector<std::pair<std::shared_ptr<CUstream_st>, uint64_t>> earlier(const std::shared_ptr<CUstream_st>& s) {
  std::vector<std::pair<std::shared_ptr<CUstream_st>, uint64_t>> after;
  auto add = [&](const std::shared_ptr<CUstream_st>& other) {
    std::lock_guard<std::mutex> guard(other->lock);
    if (other->finished < other->issued) after.emplace_back(other, other->issued);
  };
  std::lock_guard<std::mutex> guard(tables().lock);
  if (s->flags & CU_STREAM_NON_BLOCKING) return after;
  if (s != s->context->legacy) {
    if (s->context->legacy) add(s->context->legacy);
    return after;
  }
  for (auto& one : tables().streams)
    if (one.second->context == s->context && !(one.second->flags & CU_STREAM_NON_BLOCKING)) add(one.second);
  return after;
}

// Queues work and returns its ticket; a stream that records keeps it instead. After the loss of the context, work is passed
// over, unless it always runs.
uint64_t enqueue(const std::shared_ptr<CUstream_st>& s, std::function<void()> run, bool always) {
  if (capture(s.get(), false)) return 0;
  CUctx_st* c = s->context;
  return s->push({[=] {
                    if (always || c->lost == CUDA_SUCCESS) run();
                  },
                  earlier(s)});
}

void drain(CUctx_st* c) {
  std::vector<std::shared_ptr<CUstream_st>> all;
  {
    std::lock_guard<std::mutex> guard(tables().lock);
    if (c->legacy) all.push_back(c->legacy);
    for (auto& one : tables().streams)
      if (one.second->context == c) all.push_back(one.second);
  }
  for (auto& s : all) s->drain();
}

EXPORT CUresult cuStreamCreateWithPriority(CUstream* s, unsigned flags, int) {
  ENTER(c);
  if (flags & ~CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
  if (sightline_emu_hit("stream")) return CUDA_ERROR_OUT_OF_MEMORY;
  auto made = std::make_shared<CUstream_st>(c, flags);
  *s = made.get();
  sightline_emu_add("streams", 1);
  std::lock_guard<std::mutex> guard(tables().lock);
  tables().streams[*s] = made;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamCreate(CUstream* s, unsigned flags) { return cuStreamCreateWithPriority(s, flags, 0); }

EXPORT CUresult cuStreamDestroy_v2(CUstream handle) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  if (s == c->legacy) return CUDA_ERROR_INVALID_HANDLE;
  {
    std::lock_guard<std::mutex> guard(tables().lock);
    if (!tables().streams.erase(handle)) return CUDA_ERROR_INVALID_HANDLE;
  }
  s->drain();
  sightline_emu_add("streams", -1);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream handle) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  if (capture(s.get(), true)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  s->wait(enqueue(s, [] {}, true));  // through the queue, so that the NULL stream waits for the others
  return c->lost;
}

EXPORT CUresult cuStreamQuery(CUstream handle) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  if (capture(s.get(), true)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  std::lock_guard<std::mutex> guard(s->lock);
  return s->finished < s->issued ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  *flags = s->flags;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCtx(CUstream handle, CUcontext* context) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  *context = s->context;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback f, void* user, unsigned) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  enqueue(s, [=] { f(handle, c->lost, user); }, true);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchHostFunc(CUstream handle, CUhostFn f, void* user) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  enqueue(s, [=] { f(user); });
  return CUDA_SUCCESS;
}
