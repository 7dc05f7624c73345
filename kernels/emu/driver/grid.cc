// Runs the blocks of a grid one after the other. Where a kernel has barriers, the
// threads of a block are fibers that run from one barrier to the next in turn.
#include "grid.h"

#include <sys/mman.h>

#include <csetjmp>
#include <cstring>

#include "device.h"
#include "fiber.h"

namespace {
constexpr size_t STACK = 64 << 10, SIGNAL_STACK = 64 << 10;

// What one system thread needs to run kernels.
struct Runner {
  const Launch* launch = nullptr;  // nullptr: no kernel runs
  emu_thread threads[1024];
  Fiber fibers[1024], scheduler;
  bool ended[1024];
  unsigned current = 0;
  emu_range near[EMU_NEAR];  // the first is the block's shared memory
  unsigned reached = 0;      // how often others were looked for
  char *stacks = nullptr, *shared = nullptr;
  sigjmp_buf escape;

  Runner();
  ~Runner();
  void block(emu_dim at);
  void take_turns(unsigned n);
};
thread_local std::unique_ptr<Runner> runner;

char* reserve(size_t bytes) {
  void* m = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return m == MAP_FAILED ? nullptr : (char*)m;
}

Runner::Runner() : stacks(reserve(1024 * STACK)), shared(reserve(MAX_SHARED + 4096)) {
  if (!stacks || !shared) abort();
  mprotect(shared + MAX_SHARED, 4096, PROT_NONE);
}

Runner::~Runner() {
  munmap(stacks, 1024 * STACK);
  munmap(shared, MAX_SHARED + 4096);
}

// Ends the kernel that runs on this thread, with its context.
[[noreturn]] void fail(const char* how, const void* address, CUresult error) {
  Runner* r = runner.get();
  const emu_thread& t = r->threads[r->current];
  report("kernel %s, block %u,%u,%u, thread %u,%u,%u: %s address %p", r->launch->kernel->name, t.block.x, t.block.y, t.block.z,
         t.thread.x, t.thread.y, t.thread.z, how, address);
  siglongjmp(r->escape, error);
}

void misaligned(emu_thread*, uint64_t address, unsigned) { fail("misaligned", (void*)address, CUDA_ERROR_MISALIGNED_ADDRESS); }

void reach(emu_thread*, uint64_t address) {
  Runner* r = runner.get();
  emu_range found = reachable(r->launch->context, address);
  if (!found.bytes) fail("illegal", (void*)address, CUDA_ERROR_ILLEGAL_ADDRESS);
  r->near[1 + r->reached++ % (EMU_NEAR - 1)] = found;
}

void enter_thread() {
  Runner* r = runner.get();
  r->launch->kernel->run(&r->threads[r->current], r->launch->args.data());
  r->ended[r->current] = true;
  r->fibers[r->current].switch_to(r->scheduler);
}

void barrier(emu_thread* t, int site) {
  Runner* r = runner.get();
  if (site == skipped()) return;
  t->site = site;
  t->interval++;
  r->fibers[t->id].switch_to(r->scheduler);
}

// The q-th thread of n to run between two barriers.
unsigned turn(unsigned q, unsigned n) {
  switch (order()) {
    case 1: return n - 1 - q;
    case 2: return (q * (n % 101 ? 101 : 103) + 7) % n;
  }
  return q;
}

void Runner::take_turns(unsigned n) {
  for (unsigned i = 0; i < n; i++) {
    ended[i] = false;
    fibers[i].prepare(stacks + i * STACK, STACK, enter_thread);
  }
  for (bool any = true; any;) {
    any = false;
    emu_thread* waiting = nullptr;
    for (unsigned q = 0; q < n; q++) {
      current = turn(q, n);
      if (ended[current]) continue;
      scheduler.switch_to(fibers[current]);
      if (ended[current]) continue;
      any = true;
      if (waiting && waiting->site != threads[current].site) race_divergence(waiting, &threads[current]);
      waiting = &threads[current];
    }
  }
}

void Runner::block(emu_dim at) {
  const emu_dim b = launch->threads;
  unsigned n = b.x * b.y * b.z, bytes = (launch->kernel->shared + 15) / 16 * 16;
  unsigned char* mine = (unsigned char*)shared + MAX_SHARED - bytes;
  memset(mine, 0xFF, bytes);
  for (unsigned i = 0; i < n; i++)
    threads[i] = {{i % b.x, i / b.x % b.y, i / b.x / b.y}, at, b, launch->blocks, i, 0, 0, mine, barrier, race_access, misaligned, near, reach};
  near[0] = {(uint64_t)mine, bytes};
  if (launch->barriers) return take_turns(n);
  for (unsigned q = 0; q < n; q++) {
    current = turn(q, n);
    launch->kernel->run(&threads[current], launch->args.data());
  }
}

struct sigaction before[2];

// An illegal address ends the kernel and its context; anybody else's fault is handed on.
void fault(int signal, siginfo_t* info, void* context) {
  Runner* r = runner.get();
  struct sigaction& old = before[signal == SIGBUS];
  if (r && r->launch) fail("illegal", info->si_addr, CUDA_ERROR_ILLEGAL_ADDRESS);
  if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(signal, info, context);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(signal);
  ::signal(signal, SIG_DFL);  // happens again, and ends the program
}

bool catch_faults() {
  struct sigaction mine = {};
  mine.sa_sigaction = fault;
  mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
  return !sigaction(SIGSEGV, &mine, &before[0]) && !sigaction(SIGBUS, &mine, &before[1]);
}
}  // namespace

SignalStack::SignalStack() : mine() {
  mine.ss_sp = reserve(SIGNAL_STACK);
  mine.ss_size = SIGNAL_STACK;
  sigaltstack(&mine, &before);
}

SignalStack::~SignalStack() {
  sigaltstack(&before, nullptr);
  munmap(mine.ss_sp, SIGNAL_STACK);
}

CUresult run_grid(const Launch& launch) {
  static const bool caught = catch_faults();
  if (!caught) abort();
  if (!runner) runner.reset(new Runner);
  Runner* r = runner.get();
  race_begin(launch);
  r->launch = &launch;
  memset(r->near, 0, sizeof r->near);
  if (int error = sigsetjmp(r->escape, 1)) {
    r->launch = nullptr;
    return (CUresult)error;
  }
  for (unsigned z = 0; z < launch.blocks.z; z++)
    for (unsigned y = 0; y < launch.blocks.y; y++)
      for (unsigned x = 0; x < launch.blocks.x; x++) r->block({x, y, z});
  r->launch = nullptr;
  return CUDA_SUCCESS;
}
