// Races: two threads touch one byte, at least one of them writes, and nothing orders
// them: no barrier between them in a block, nothing at all between two blocks of a
// grid. Two atomic operations are no race. Kernels built with instrumentation tell of
// each access to shared and global memory; the exact end of allocations is checked as
// well.
#include <unordered_map>

#include "driver.h"

namespace {
struct Mark {  // the last access of a kind to a byte
  uint64_t block = 0;  // 1 and up, 0: none
  unsigned interval = 0, thread = 0;
  bool threads = false, blocks = false;  // more than one thread, more than one block
};
struct Byte {
  Mark kinds[3];  // reads, writes, atomic operations
};
constexpr uint64_t PAGE = 1024;
struct Page {
  Byte bytes[PAGE];
};

struct State {
  const Launch* launch = nullptr;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages;
  uint64_t last = ~0ull, from = 1, to = 0;  // the page looked at last, the allocation looked at last
  Page* page = nullptr;
  int reported = 0;

  Byte& at(uint64_t address) {
    if (address / PAGE != last) {
      last = address / PAGE;
      auto& p = pages[last];
      if (!p) p.reset(new Page);
      page = p.get();
    }
    return page->bytes[address % PAGE];
  }
};
thread_local State state;
constexpr int MOST = 3;  // reports a launch

uint64_t block_of(const emu_thread* t) {
  return 1 + t->block.x + (uint64_t)t->blocks.x * (t->block.y + (uint64_t)t->blocks.y * t->block.z);
}

// Whether an access now is unordered with an earlier one.
bool conflicts(const Mark& m, uint64_t block, const emu_thread* t, bool shared) {
  if (!m.block) return false;
  if (shared && m.block != block) return false;  // another block's is other memory, at the same place
  if (m.block != block || m.blocks) return true;
  return m.interval == t->interval && (m.thread != t->id || m.threads);
}

void note(Mark* m, uint64_t block, const emu_thread* t, bool shared) {
  bool same = m->block == block && m->interval == t->interval;
  m->threads = same && (m->threads || m->thread != t->id);
  m->blocks = !shared && (m->blocks || (m->block && m->block != block));
  m->block = block, m->interval = t->interval, m->thread = t->id;
}

bool in_shared(const emu_thread* t, uint64_t address) { return address - (uint64_t)t->shared < state.launch->kernel->shared; }

const char* const names[] = {"read", "write", "atomic operation"};

void tell(const Mark& m, const emu_thread* t, const char* first, const char* then, uint64_t address) {
  sightline_emu_add("races", 1);
  if (state.reported++ >= MOST) return;
  bool shared = in_shared(t, address);
  report("race: kernel %s, block %u,%u,%u, interval %u, threads %u and %u%s: %s and %s of %s byte %llu", state.launch->kernel->name,
         t->block.x, t->block.y, t->block.z, t->interval, m.thread, t->id, m.block == block_of(t) ? "" : " (of another block)",
         first, then, shared ? "shared" : "global", (unsigned long long)(shared ? address - (uint64_t)t->shared : address));
}

// Whether all of an access is memory that a kernel may touch.
bool inside(const emu_thread* t, uint64_t address, unsigned bytes) {
  if (in_shared(t, address))
    return address - (uint64_t)t->shared + bytes <= state.launch->kernel->shared;
  if (address >= state.from && address + bytes <= state.to) return true;
  std::lock_guard<std::mutex> guard(tables().lock);
  auto at = tables().device.upper_bound(address);
  if (at == tables().device.begin()) return false;
  --at;
  state.from = at->first, state.to = at->first + at->second.bytes;
  return address + bytes <= state.to;
}
}  // namespace

void race_begin(const Launch& launch) {
  state.launch = &launch;
  state.pages.clear();
  state.last = ~0ull, state.from = 1, state.to = 0;
  state.reported = 0;
}

void race_access(emu_thread* t, uint64_t address, unsigned bytes, unsigned kind) {
  if (!inside(t, address, bytes) && state.reported++ < MOST)
    report("kernel %s, block %u,%u,%u, thread %u,%u,%u: %u bytes at 0x%llx are not all in one allocation",
           state.launch->kernel->name, t->block.x, t->block.y, t->block.z, t->thread.x, t->thread.y, t->thread.z, bytes,
           (unsigned long long)address);
  uint64_t block = block_of(t);
  bool shared = in_shared(t, address);
  for (uint64_t a = address; a < address + bytes; a++) {
    Byte& b = state.at(a);
    for (unsigned other : {EMU_READ, EMU_WRITE, EMU_ATOMIC}) {
      if (other == kind && kind != EMU_WRITE) continue;
      if (!conflicts(b.kinds[other], block, t, shared)) continue;
      tell(b.kinds[other], t, names[other], names[kind], a);
      return;
    }
    note(&b.kinds[kind], block, t, shared);
  }
}

// Threads of a block that wait at different barriers.
void race_divergence(emu_thread* a, emu_thread* b) {
  sightline_emu_add("races", 1);
  if (state.reported++ < MOST)
    report("kernel %s, block %u,%u,%u: threads %u and %u wait at different barriers (lines %d and %d)",
           state.launch->kernel->name, a->block.x, a->block.y, a->block.z, a->id, b->id, a->site, b->site);
}
