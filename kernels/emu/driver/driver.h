// What the files of the emulated driver share. One lock guards all tables; streams
// have a lock each, taken after it or alone, never before it.
#pragma once
#include <cuda.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control.h"
#include "kernel.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// A context, primary or not. Its address is the handle and stays the same when a
// primary context is reset.
struct CUctx_st {
  int device = 0;
  bool primary = false;
  unsigned refs = 0, flags = 0;
  std::atomic<bool> alive{false};
  std::atomic<CUresult> lost{CUDA_SUCCESS};  // sticky: what every later call returns
  std::shared_ptr<struct CUstream_st> legacy;  // the NULL stream
};

// One piece of work: run after what it waits for.
struct Work {
  std::function<void()> run;
  std::vector<std::pair<std::shared_ptr<struct CUstream_st>, uint64_t>> after;
};

// What a stream records instead of running it.
struct Capture {
  std::thread::id by;
  CUstreamCaptureMode mode;
  bool spoiled;
  size_t nodes;
};

// A stream: a queue and the thread that works it off in order.
struct CUstream_st {
  CUctx_st* context;
  unsigned flags;
  std::mutex lock;
  std::condition_variable work, progress;
  std::deque<Work> queue;
  uint64_t issued = 0, finished = 0;
  bool stop = false;
  std::thread worker;
  std::unique_ptr<Capture> capture;  // null: what comes runs; see capture.cc

  CUstream_st(CUctx_st*, unsigned flags);
  ~CUstream_st();
  void loop();
  uint64_t push(Work);
  void wait(uint64_t ticket);  // until that much is finished
  void drain();                // until nothing is left
};

struct Moment {  // one recording of an event
  std::mutex lock;
  std::condition_variable reached;
  bool done = true;
  int64_t nanoseconds = 0;
};

struct CUevent_st {
  CUctx_st* context;
  std::mutex lock;
  std::shared_ptr<Moment> last = std::make_shared<Moment>();
};

struct CUfunc_st {
  CUctx_st* context;
  const emu_kernel* kernel;
  unsigned max_threads;
  bool barriers;
};

struct CUmod_st {
  CUctx_st* context;
  void* library;
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
  ~CUmod_st();
};

// Memory between two pages that nothing may touch, ending at the second one.
struct Region {
  CUctx_st* context;
  size_t bytes, mapped;
  char* map;
  char* data;
};

struct Tables {
  std::mutex lock;
  std::map<uint64_t, Region> device, pinned;  // by address
  std::map<CUstream, std::shared_ptr<CUstream_st>> streams;
  std::map<CUevent, std::shared_ptr<CUevent_st>> events;
  std::map<CUmodule, std::shared_ptr<CUmod_st>> modules;
  std::set<CUcontext> contexts;  // made by cuCtxCreate
};
Tables& tables();

// context.cc
CUresult enter(CUctx_st**);  // the context current on this thread, or why there is none to use
#define ENTER(c)                             \
  CUctx_st* c;                               \
  if (CUresult refused = enter(&c)) return refused
void lose(CUctx_st*, CUresult);
// memory.cc
bool on_device(uint64_t address, size_t bytes);
bool is_pinned(const void*, size_t bytes);
emu_range reachable(CUctx_st*, uint64_t address);  // by kernels; no bytes: it is not
void free_memory(CUctx_st*);  // all of a context's
// stream.cc
CUresult find_stream(CUctx_st*, CUstream, std::shared_ptr<CUstream_st>*);
uint64_t enqueue(const std::shared_ptr<CUstream_st>&, std::function<void()>, bool always = false);
void drain(CUctx_st*);  // every stream of it
// capture.cc
CUresult unsafe_call();  // by a thread beside or inside a recording
#define UNSAFE() \
  if (CUresult refused = unsafe_call()) return refused
bool capture(CUstream_st*, bool spoil);  // takes note of one piece of work, if the stream records
bool any_capture(CUctx_st*);             // and spoils it
void end_capture(CUstream_st*);
// grid.cc
struct Launch {
  const emu_kernel* kernel;
  bool barriers;
  emu_dim blocks, threads;
  std::vector<uint64_t> args;
  CUctx_st* context;
};
CUresult run_grid(const Launch&);
// race.cc
void race_begin(const Launch&);
void race_access(emu_thread*, uint64_t address, unsigned bytes, unsigned kind);
void race_divergence(emu_thread* a, emu_thread* b);
