// The synthetic picture of an order count. Package emu has the same in Go (picture.go).
#pragma once
#include <cstddef>

struct Pattern {
  int order;
  bool deep;  // 16 bits a sample, the 8 upper ones used
  int width, height;
  size_t pitch;

  static unsigned luma(int order, int x, int y) { return 16 + (order + x / 16 + y / 16) % 200; }
  static unsigned u(int order, int x, int) { return 64 + (order + x / 8) % 128; }
  static unsigned v(int order, int, int y) { return 64 + (3 * order + y / 8) % 128; }

  void put(unsigned char* row, int at, unsigned value) const {
    if (deep) ((unsigned short*)row)[at] = (unsigned short)(value << 8);
    else row[at] = (unsigned char)value;
  }

  // Draws luma, and from row height on chroma, u and v in turn.
  void draw(unsigned char* to) const {
    for (int y = 0; y < height; y++, to += pitch)
      for (int x = 0; x < width; x++) put(to, x, luma(order, x, y));
    for (int y = 0; y < (height + 1) / 2; y++, to += pitch)
      for (int x = 0; x < (width + 1) / 2; x++) {
        put(to, 2 * x, u(order, x, y));
        put(to, 2 * x + 1, v(order, x, y));
      }
  }
};
