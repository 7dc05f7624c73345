// Candidate boxes to detections: greedy non-maximum suppression, one block a row.
#pragma once

enum { VA_CHUNK = 1024 };  // candidates that are sorted at a time

// Sort keys rise from the box to keep first: by score descending, then by anchor.
// Boxes that are none have the highest key.
VA_FN unsigned long long va_key(const va_box* b) {
  if (!va_valid(b)) return ~0ull;
  unsigned u = va_bits(b->score);
  u = u >> 31 ? u : ~(u | 0x80000000u);
  return (unsigned long long)u << 32 | (unsigned)b->anchor;
}

VA_FN int va_group(int cls, const int* groups, int n) { return cls < n && cls >= 0 ? groups[cls] : ~cls; }

// Whether b's overlap with a is more than iou of their union.
VA_FN bool va_overlaps(const va_box* a, const va_box* b, float iou) {
  float w = va_min(a->x2, b->x2) - va_max(a->x1, b->x1), h = va_min(a->y2, b->y2) - va_max(a->y1, b->y1);
  if (!(w > 0.f && h > 0.f)) return false;
  float both = w * h, sum = (a->x2 - a->x1) * (a->y2 - a->y1) + (b->x2 - b->x1) * (b->y2 - b->y1);
  return both > iou * (sum - both);
}

// Boxes of one chunk, as the threads of a block share them.
struct VaChunk {
  unsigned long long key[VA_CHUNK];
  int order[VA_CHUNK], group[VA_CHUNK];
  float x1[VA_CHUNK], y1[VA_CHUNK], x2[VA_CHUNK], y2[VA_CHUNK];
  unsigned dead[VA_CHUNK / 4];  // a byte each
  int bins[256];
  int size;
};

VA_FN va_box va_member(const VaChunk* c, int i) { return {c->x1[i], c->y1[i], c->x2[i], c->y2[i], 0.f, 0, 0, 0}; }

// The key up to which the chunk behind last goes: by counting keys in 256 ranges, and
// those of the range that holds too many again, until the chunk is at least half full.
VA_FN unsigned long long va_chunk_end(VaChunk* c, const va_box* in, int n, unsigned long long last) {
  unsigned long long prefix = 0;
  int taken = 0;
  for (int shift = 56;; shift -= 8) {
    for (int i = VA_THREAD; i < 256; i += VA_THREADS) c->bins[i] = 0;
    VA_SYNC();
    for (int i = VA_THREAD; i < n; i += VA_THREADS) {
      unsigned long long key = va_key(&in[i]);
      if (key > last && key != ~0ull && (shift == 56 || key >> (shift + 8) == prefix)) va_claim(&c->bins[key >> shift & 255]);
    }
    VA_SYNC();
    int bin = 0;
    while (bin < 256 && taken + c->bins[bin] <= VA_CHUNK) taken += c->bins[bin++];
    VA_SYNC();
    if (bin == 256 && shift == 56) return ~0ull - 1;
    prefix = prefix << 8 | (unsigned)bin;
    if (bin == 256 || taken >= VA_CHUNK / 2 || shift == 0) return (prefix << shift) - 1;
  }
}

// Collects the boxes whose keys are above last, up to upto, and sorts them (bitonic).
VA_FN int va_collect(VaChunk* c, const va_box* in, int n, unsigned long long last, unsigned long long upto) {
  if (VA_THREAD == 0) c->size = 0;
  VA_SYNC();
  for (int i = VA_THREAD; i < n; i += VA_THREADS) {
    unsigned long long key = va_key(&in[i]);
    if (key <= last || key > upto) continue;
    int k = va_claim(&c->size);
    c->key[k] = key, c->order[k] = i;
  }
  VA_SYNC();
  int size = c->size, padded = 1;
  while (padded < size) padded *= 2;
  for (int i = size + VA_THREAD; i < padded; i += VA_THREADS) c->key[i] = ~0ull, c->order[i] = 0;
  VA_SYNC();
  for (int k = 2; k <= padded; k <<= 1)
    for (int j = k >> 1; j > 0; j >>= 1) {
      for (int i = VA_THREAD; i < padded / 2; i += VA_THREADS) {
        int a = 2 * i - (i & (j - 1)), b = a + j;  // the pairs that differ in bit j alone
        unsigned long long low = c->key[a], high = c->key[b];
        if ((low > high) != ((a & k) == 0)) continue;
        int at = c->order[a];
        c->key[a] = high, c->order[a] = c->order[b];
        c->key[b] = low, c->order[b] = at;
      }
      VA_SYNC();
    }
  return size;
}

// Puts the sorted boxes side by side. Those that a box kept before overlaps are dead.
VA_FN void va_load(VaChunk* c, int size, const va_box* in, float iou, const int* groups, int ngroups, const va_box* out,
                   int kept) {
  for (int i = VA_THREAD; i < size; i += VA_THREADS) {
    const va_box b = in[c->order[i]];
    int group = va_group(b.cls, groups, ngroups);
    c->x1[i] = b.x1, c->y1[i] = b.y1, c->x2[i] = b.x2, c->y2[i] = b.y2, c->group[i] = group;
    bool dead = false;
    for (int k = 0; k < kept && !dead; k++) dead = va_group(out[k].cls, groups, ngroups) == group && va_overlaps(&out[k], &b, iou);
    ((unsigned char*)c->dead)[i] = dead;
  }
  VA_SYNC();
}

// The first from i on that is not dead; four dead ones are passed over at a time.
VA_FN int va_alive(const VaChunk* c, int i, int size) {
  while (i < size && ((const unsigned char*)c->dead)[i]) i += (i & 3) == 0 && c->dead[i >> 2] == 0x01010101 ? 4 : 1;
  return i;
}

// Keeps the chunk's boxes greedily until there are limit; returns how many there are.
VA_FN int va_keep(VaChunk* c, int size, const va_box* in, float iou, va_box* out, int kept, int limit) {
  unsigned char* dead = (unsigned char*)c->dead;
  const int before = kept;
  for (int i = va_alive(c, 0, size); i < size && kept < limit; i = va_alive(c, i + 1, size)) {
    VA_SYNC();  // all have found i
    if (VA_THREAD == 0) c->key[kept - before] = (unsigned)c->order[i];  // the keys have served
    kept++;
    const va_box a = va_member(c, i);
    for (int j = i + 1 + VA_THREAD; j < size; j += VA_THREADS) {
      const va_box b = va_member(c, j);
      if (c->group[j] == c->group[i] && va_overlaps(&a, &b, iou)) dead[j] = 1;
    }
    VA_SYNC();
  }
  for (int k = before + VA_THREAD; k < kept; k += VA_THREADS) out[k] = in[c->key[k - before]];
  return kept;  // the next chunk begins with barriers
}

// Greedy non-maximum suppression within groups of classes, by one block: of n boxes,
// no two of which have the same score and anchor, in any order.
VA_FN int va_suppress(const va_box* in, int n, float iou, const int* groups, int ngroups, va_box* out, int limit) {
  VA_SHARED VaChunk chunk;
  VaChunk* c = &chunk;
  unsigned long long last = 0;  // no key is so low
  int kept = 0;
  while (kept < limit) {
    unsigned long long upto = n <= VA_CHUNK ? ~0ull - 1 : va_chunk_end(c, in, n, last);
    int size = va_collect(c, in, n, last, upto);
    va_load(c, size, in, iou, groups, ngroups, out, kept);
    kept = va_keep(c, size, in, iou, out, kept, limit);
    if (upto == ~0ull - 1) break;
    last = upto;
  }
  return kept;
}

// One block a row, z the rows, whose candidates are room apart and whose results are
// step bytes apart: a va_found, then up to limit boxes.
VA_KERNEL va_nms(const va_box* boxes, long long room, const int* counts, unsigned long long iou, const int* groups,
                 long long ngroups, unsigned char* results, long long step, long long limit) {
  int count = counts[VA_ROW], n = count < room ? count : (int)room;
  va_found* found = (va_found*)(results + VA_ROW * step);
  va_box* out = (va_box*)(found + 1);
  int kept = va_suppress(boxes + VA_ROW * room, n, va_float((unsigned)iou), groups, (int)ngroups, out, (int)limit);
  if (VA_THREAD == 0) *found = {kept, count, count - n, {0, 0, 0, 0, 0}};
}
