// Pictures: to a row of a network's input, to a thumbnail, cut out.
#pragma once

// A linear interpolation between the samples a and b.
struct VaTap {
  int a, b;
  float weight;  // of b
};

// Samples around coordinate x in 0..size-1; beyond the ends the end repeats.
VA_FN VaTap va_tap(float x, int size) {
  x = va_min(va_max(x, 0.f), (float)(size - 1));
  float f = va_floor(x);
  VaTap t;
  t.a = (int)f;
  t.b = t.a + 1 < size ? t.a + 1 : t.a;
  t.weight = x - f;
  return t;
}

// Where slot position i of a rectangle falls in the picture: half-pixel centers.
VA_FN float va_source(int i, float ratio) { return va_fma((float)i + 0.5f, ratio, -0.5f); }

// The chroma sample position of a luma position, sited with the luma or between.
VA_FN float va_chroma(float x, int cosited) { return cosited ? x * 0.5f : va_fma(x, 0.5f, -0.25f); }

VA_FN float va_lerp(float a, float b, float w) { return va_fma(w, b - a, a); }

// Two neighboring rows of a plane, as offsets in bytes, which fit 32 bits.
struct VaRows {
  unsigned a, b;
  float weight;  // of b
};

VA_FN VaRows va_rows(VaTap y, long long pitch) {
  VaRows r = {(unsigned)y.a * (unsigned)pitch, (unsigned)y.b * (unsigned)pitch, y.weight};
  return r;
}

// A sample as a level of 0..255: a byte, or 16 bits of which the upper 8 are whole levels.
template <class T>
VA_FN float va_read(const unsigned char* plane, unsigned at) {
  float v = va_whole(*(const T*)(plane + at));
  return sizeof(T) == 1 ? v : v * 0.00390625f;
}

// step is the distance between samples.
template <class T>
VA_FN float va_bilinear(const unsigned char* p, VaTap x, int step, VaRows y) {
  unsigned a = (unsigned)(x.a * step) * (unsigned)sizeof(T), b = (unsigned)(x.b * step) * (unsigned)sizeof(T);
  float above = va_lerp(va_read<T>(p, y.a + a), va_read<T>(p, y.a + b), x.weight);
  float below = va_lerp(va_read<T>(p, y.b + a), va_read<T>(p, y.b + b), x.weight);
  return va_lerp(above, below, y.weight);
}

// Coefficients from YUV to RGB in 0..255 (ITU-T H.273, equations 1 to 3).
struct VaColor {
  float black, luma, rv, gu, gv, bu;
};

VA_FN VaColor va_coefficients(float kr, float kb, int full_range, int deep) {
  float kg = 1.f - kr - kb, full = deep ? 1020.f / 1023.f : 1.f;  // 10 bits end at 255 3/4
  float chroma = full_range ? full : 255.f / 224.f;
  VaColor c;
  c.black = full_range ? 0.f : 16.f;
  c.luma = full_range ? full : 255.f / 219.f;
  c.rv = 2.f * (1.f - kr) * chroma;
  c.bu = 2.f * (1.f - kb) * chroma;
  c.gv = -2.f * kr * (1.f - kr) / kg * chroma;
  c.gu = -2.f * kb * (1.f - kb) / kg * chroma;
  return c;
}

VA_FN VaColor va_color(int bt709, int full_range, int deep) {
  return bt709 ? va_coefficients(0.2126f, 0.0722f, full_range, deep) : va_coefficients(0.299f, 0.114f, full_range, deep);
}

VA_FN float va_level(float v) { return va_min(va_max(v, 0.f), 255.f); }

VA_FN void va_store(void* out, int at, int type, float v) {
  if (type == VA_F32) ((float*)out)[at] = v;
  else if (type == VA_F16) ((unsigned short*)out)[at] = va_half(v);
  else ((unsigned char*)out)[at] = (unsigned char)(v + 0.5f);
}

// The rows of all planes that one row of a slot is made from.
struct VaLines {
  VaRows y, u, v;
};

VA_FN VaLines va_lines(const va_picture& p, float y) {
  VaTap chroma = va_tap(va_chroma(y, 0), (p.height + 1) / 2);
  VaLines l = {va_rows(va_tap(y, p.height), p.y_pitch), va_rows(chroma, p.u_pitch), va_rows(chroma, p.v_pitch)};
  return l;
}

// The color of the picture at x in these rows.
template <class T>
VA_FN void va_rgb(const va_picture& p, const VaColor& k, float x, const VaLines& at, float* rgb) {
  VaTap cx = va_tap(va_chroma(x, p.chroma_left), (p.width + 1) / 2);
  float l = va_bilinear<T>(p.y, va_tap(x, p.width), 1, at.y);
  float u = va_bilinear<T>(p.u, cx, p.step, at.u) - 128.f;
  float v = va_bilinear<T>(p.v, cx, p.step, at.v) - 128.f;
  l = (l - k.black) * k.luma;
  rgb[0] = va_level(va_fma(k.rv, v, l));
  rgb[1] = va_level(va_fma(k.gv, v, va_fma(k.gu, u, l)));
  rgb[2] = va_level(va_fma(k.bu, u, l));
}

// Fills one slot: color conversion, bilinear resize, padding, normalization and
// layout in one pass.
VA_FN void va_fill(const va_picture& p, const va_slot& s, void* out) {
  const VaColor k = va_color(p.bt709, p.full_range, p.deep);
  const int plane = s.width * s.height;
  for (int y = VA_Y; y < s.height; y += VA_Y_STEP) {
    const bool inside = y >= s.y && y < s.y + s.h;
    const VaLines lines = va_lines(p, va_source(y - s.y, s.ratio_y));
    for (int x = VA_X; x < s.width; x += VA_X_STEP) {
      float rgb[3] = {(float)s.pad, (float)s.pad, (float)s.pad};
      if (inside && x >= s.x && x < s.x + s.w) {
        float at = va_source(x - s.x, s.ratio_x);
        if (p.deep) va_rgb<unsigned short>(p, k, at, lines, rgb);
        else va_rgb<unsigned char>(p, k, at, lines, rgb);
      }
      int i = y * s.width + x;
      for (int c = 0; c < 3; c++) {
        float v = ((s.rgb ? rgb[c] : rgb[2 - c]) - s.mean[c]) * s.scale[c];
        va_store(out, s.channels_first ? c * plane + i : i * 3 + c, s.type, v);
      }
    }
  }
}

// A struct from its words: kernel parameters are 8 bytes wide, all of them.
template <class T, class... W>
VA_FN T va_words(W... word) {
  static_assert(sizeof(T) == 8 * sizeof...(W), "a word for each 8 bytes");
  const unsigned long long words[] = {word...};
  T t;
  VA_COPY(&t, words, sizeof t);
  return t;
}

VA_FN va_picture va_view(const unsigned char* y, const unsigned char* u, const unsigned char* v, long long y_pitch,
                         long long u_pitch, long long v_pitch, unsigned long long p0, unsigned long long p1,
                         unsigned long long p2, unsigned long long p3) {
  va_picture p = va_words<va_picture>(0ull, 0ull, 0ull, (unsigned long long)y_pitch, (unsigned long long)u_pitch,
                                      (unsigned long long)v_pitch, p0, p1, p2, p3);
  p.y = y, p.u = u, p.v = v;
  return p;
}

// The grid covers the slot. p0 to p3 are the rest of a va_picture, s0 to s8 are a va_slot.
VA_KERNEL va_preprocess(const unsigned char* y, const unsigned char* u, const unsigned char* v, long long y_pitch,
                        long long u_pitch, long long v_pitch, unsigned long long p0, unsigned long long p1,
                        unsigned long long p2, unsigned long long p3, unsigned long long s0, unsigned long long s1,
                        unsigned long long s2, unsigned long long s3, unsigned long long s4, unsigned long long s5,
                        unsigned long long s6, unsigned long long s7, unsigned long long s8, void* out) {
  va_fill(va_view(y, u, v, y_pitch, u_pitch, v_pitch, p0, p1, p2, p3),
          va_words<va_slot>(s0, s1, s2, s3, s4, s5, s6, s7, s8), out);
}

// Brightness alone, bilinear as the slots are; the grid covers out.
VA_KERNEL va_thumbnail(const unsigned char* y, long long pitch, long long width, long long height, long long deep,
                       unsigned char* out, long long out_width, long long out_height) {
  const float ratio_x = (float)width / (float)out_width, ratio_y = (float)height / (float)out_height;
  for (int oy = VA_Y; oy < (int)out_height; oy += VA_Y_STEP) {
    const VaRows rows = va_rows(va_tap(va_source(oy, ratio_y), (int)height), pitch);
    for (int ox = VA_X; ox < (int)out_width; ox += VA_X_STEP) {
      VaTap x = va_tap(va_source(ox, ratio_x), (int)width);
      float v = deep ? va_bilinear<unsigned short>(y, x, 1, rows) : va_bilinear<unsigned char>(y, x, 1, rows);
      out[oy * (int)out_width + ox] = (unsigned char)(va_level(v) + 0.5f);
    }
  }
}

// A sample as a byte; 16 bits are rounded.
VA_FN unsigned char va_byte(const unsigned char* plane, long long pitch, int deep, int x, int y) {
  const unsigned char* row = plane + (long long)y * (int)pitch;
  if (!deep) return row[x];
  int v = (((const unsigned short*)row)[x] + 128) >> 8;
  return (unsigned char)(v < 255 ? v : 255);
}

// Cuts the rectangle x, y, w, h out, x and y even, without gaps between its rows:
// luma, then chroma in planes (planar) or interleaved. The grid covers the chroma.
VA_FN void va_cut(const va_picture& p, int x, int y, int w, int h, int planar, unsigned char* out) {
  const int cw = (w + 1) / 2, ch = (h + 1) / 2;
  unsigned char* chroma = out + w * h;
  for (int cy = VA_Y; cy < ch; cy += VA_Y_STEP)
    for (int cx = VA_X; cx < cw; cx += VA_X_STEP) {
      for (int i = 0; i < 4; i++) {
        int lx = 2 * cx + (i & 1), ly = 2 * cy + (i >> 1);
        if (lx < w && ly < h) out[ly * w + lx] = va_byte(p.y, p.y_pitch, p.deep, x + lx, y + ly);
      }
      int at = cy * cw + cx, sx = (x / 2 + cx) * p.step, sy = y / 2 + cy;
      chroma[planar ? at : 2 * at] = va_byte(p.u, p.u_pitch, p.deep, sx, sy);
      chroma[planar ? cw * ch + at : 2 * at + 1] = va_byte(p.v, p.v_pitch, p.deep, sx, sy);
    }
}

VA_KERNEL va_crop(const unsigned char* y, const unsigned char* u, const unsigned char* v, long long y_pitch,
                  long long u_pitch, long long v_pitch, unsigned long long p0, unsigned long long p1,
                  unsigned long long p2, unsigned long long p3, long long left, long long top, long long width,
                  long long height, long long planar, unsigned char* out) {
  va_cut(va_view(y, u, v, y_pitch, u_pitch, v_pitch, p0, p1, p2, p3), (int)left, (int)top, (int)width, (int)height,
         (int)planar, out);
}
