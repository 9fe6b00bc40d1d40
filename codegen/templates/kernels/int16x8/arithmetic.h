/* ---- int16 activations ---- */

FT_INLINE int32_t ft_ssat16(int32_t a) { /* clamp to -32768..32767 */
#if defined(__ARM_FEATURE_SAT)
  int32_t result;
  __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(a));
  return result;
#else
  return ft_clamp(a, -32768, 32767);
#endif
}

/* acc * multiplier / 2^right, rounded half up: a multiplier of 16 bits, LiteRT's arithmetic of int64 sums. */
FT_INLINE int32_t ft_scale_64(int64_t acc, int32_t multiplier, int32_t right) {
  return (int32_t)((acc * multiplier + ((int64_t)1 << (right - 1))) >> right);
}

/* value / 2^right, rounded half away from 0; right may be 0. */
FT_INLINE int32_t ft_shift_away(int32_t value, int32_t right) {
  const int32_t half = right > 0 ? (1 << (right - 1)) - (value < 0 ? 1 : 0) : 0;
  return (value + half) >> right;
}

/* A sum times a factor in double, rounded half away from 0; the result is inside of int32. `factor` has the bits of a
 * double, low word first. Rounding looks at the product's bits: no compiler can fuse the product into another sum. */
FT_FUNCTION int32_t ft_scale_double(double acc, const int32_t *factor) {
  double real;
  memcpy(&real, factor, sizeof real);
  real *= acc;
  uint64_t bits;
  memcpy(&bits, &real, sizeof bits);
  const int32_t right = 1075 - (int32_t)((bits >> 52) & 2047u); /* |real| = mantissa / 2^right */
  const uint64_t mantissa = (bits & (((uint64_t)1 << 52) - 1u)) | ((uint64_t)1 << 52);
  if (right > 53) {
    return 0;
  }
  const int32_t size = (int32_t)((mantissa + ((uint64_t)1 << (right - 1))) >> right);
  return bits >> 63 ? -size : size;
}

/* The columns that windows of int16 values become: `run` values of each of their places, 0 outside of the map.
 *
 * pixel  values from one place of the map to the next
 * rest   zeros behind the window
 */
typedef struct {
  int32_t in_h, in_w, pixel, run, kernel_h, kernel_w, dilation_h, dilation_w, rest;
} ft_columns;

FT_FUNCTION void ft_column(int16_t *to, const int16_t *in, int32_t y, int32_t x, const ft_columns *c) {
  for (int32_t ky = 0; ky < c->kernel_h; ++ky, y += c->dilation_h) {
    const int32_t is_row = y >= 0 && y < c->in_h;
    if (is_row && x >= 0 && x + c->kernel_w <= c->in_w && c->dilation_w == 1 && c->run == c->pixel) {
      ft_copy((int8_t *)to, (const int8_t *)(in + (y * c->in_w + x) * c->pixel), 2 * c->kernel_w * c->run);
      to += c->kernel_w * c->run;
      continue;
    }
    int32_t column = x;
    for (int32_t kx = 0; kx < c->kernel_w; ++kx, column += c->dilation_w) {
      if (is_row && column >= 0 && column < c->in_w) {
        ft_copy((int8_t *)to, (const int8_t *)(in + (y * c->in_w + column) * c->pixel), 2 * c->run);
      } else {
        memset(to, 0, (size_t)(2 * c->run));
      }
      to += c->run;
    }
  }
  for (int32_t i = 0; i < c->rest; ++i) {
    to[i] = 0;
  }
}

/* What the products of a layer need beside the columns. A group of a convolution has weights and channels of its own.
 *
 * weights   of two output channels side by side, in the order in which they are read
 * channels  words of each channel: where its sum starts, then its scale
 * twos      output channels by two; where they are odd the last one comes twice
 * count     values of a column, or groups of four
 */
typedef struct {
  const void *weights;
  const int32_t *channels;
  int32_t twos, is_odd, count, low, high;
} ft_layer_16;

/* The entry of an int16 value in a table of 513 knots, 128 values apart. */
FT_INLINE int32_t ft_between_knots(const int16_t *knots, int32_t value) {
  const int16_t *const knot = knots + 256 + (value >> 7);
  return knot[0] + (((knot[1] - knot[0]) * (value & 127) + 64) >> 7);
}
