/* ---- plain C: products of windows with weights ----
 * Values of windows are uint8: the int8 value + 128, which the sums' starts make up for. A sum may wrap on the way, its
 * last value does not.
 */

/* Adds a product to a sum, in the order of the source: the compiler would load far ahead and keep sums in memory. */
FT_INLINE void ft_plain_add_product(int32_t *sum, int32_t value, int32_t weight) {
#if defined(__thumb2__) && defined(__OPTIMIZE__)
  __asm__ volatile("mla %0, %1, %2, %0" : "+r"(*sum) : "r"(value), "r"(weight));
#else
  *sum = (int32_t)((uint32_t)*sum + (uint32_t)value * (uint32_t)weight);
#endif
}

/* On ARMv6-M a product overwrites one factor and eight registers can be multiplied; the others hold the sums, which
 * additions can read. One or two windows (x, y) from x to `end`, four values in a turn, with weights that are stored
 * + 128: */
#if defined(__thumb__) && !defined(__thumb2__) && defined(__OPTIMIZE__)
#define FT_PLAIN_ARMV6M 1
#define FT_PLAIN_TIMES(factor, with, sum) "muls " factor ", " with "\n\tadd " sum ", " factor "\n\t"
#define FT_PLAIN_STEP_2X2(k, even, odd)                                                                              \
  "ldrb %[a], [%[x], #" k "]\n\tldrb %[b], [%[y], #" k "]\n\tldrb %[v], [%[w], #" even "]\n\tmovs %[t], %[a]\n\t"   \
  FT_PLAIN_TIMES("%[t]", "%[v]", "%[s0]") FT_PLAIN_TIMES("%[v]", "%[b]", "%[s1]") "ldrb %[v], [%[w], #" odd "]\n\t"  \
  FT_PLAIN_TIMES("%[a]", "%[v]", "%[s2]") FT_PLAIN_TIMES("%[b]", "%[v]", "%[s3]")
#define FT_PLAIN_STEP_1(k) "ldrb %[a], [%[x], #" k "]\n\t"
#define FT_PLAIN_LANE(at, sum) "ldrb %[v], [%[w], #" at "]\n\t" FT_PLAIN_TIMES("%[v]", "%[a]", sum)

FT_INLINE void ft_plain_all_2x2(
    int32_t *sums, const uint8_t *x, const uint8_t *y, const int8_t **w, const uint8_t *end) {
  int32_t a, b, v, t;
  __asm__ volatile(".syntax unified\n1:\n\t" FT_PLAIN_STEP_2X2("0", "0", "1") FT_PLAIN_STEP_2X2("1", "2", "3")
                   FT_PLAIN_STEP_2X2("2", "4", "5") FT_PLAIN_STEP_2X2("3", "6", "7")
                   "adds %[x], #4\n\tadds %[y], #4\n\tadds %[w], #8\n\tcmp %[x], %[end]\n\tbne 1b"
                   : [s0] "+h"(sums[0]), [s1] "+h"(sums[1]), [s2] "+h"(sums[2]), [s3] "+h"(sums[3]),
                     [x] "+l"(x), [y] "+l"(y), [w] "+l"(*w), [a] "=&l"(a), [b] "=&l"(b), [v] "=&l"(v), [t] "=&l"(t)
                   : [end] "h"(end)
                   : "cc", "memory");
}
FT_INLINE void ft_plain_all_1x2(int32_t *sums, const uint8_t *x, const int8_t **w, const uint8_t *end) {
  int32_t a, v;
  __asm__ volatile(".syntax unified\n1:\n\t"
                   FT_PLAIN_STEP_1("0") FT_PLAIN_LANE("0", "%[s0]") FT_PLAIN_LANE("1", "%[s1]")
                   FT_PLAIN_STEP_1("1") FT_PLAIN_LANE("2", "%[s0]") FT_PLAIN_LANE("3", "%[s1]")
                   FT_PLAIN_STEP_1("2") FT_PLAIN_LANE("4", "%[s0]") FT_PLAIN_LANE("5", "%[s1]")
                   FT_PLAIN_STEP_1("3") FT_PLAIN_LANE("6", "%[s0]") FT_PLAIN_LANE("7", "%[s1]")
                   "adds %[x], #4\n\tadds %[w], #8\n\tcmp %[x], %[end]\n\tbne 1b"
                   : [s0] "+h"(sums[0]), [s1] "+h"(sums[1]), [x] "+l"(x), [w] "+l"(*w), [a] "=&l"(a), [v] "=&l"(v)
                   : [end] "h"(end)
                   : "cc", "memory");
}
#define FT_PLAIN_LANES_4(first, second, third, fourth)         \
  FT_PLAIN_LANE(first, "%[s0]") FT_PLAIN_LANE(second, "%[s1]") \
  FT_PLAIN_LANE(third, "%[s2]") FT_PLAIN_LANE(fourth, "%[s3]")
FT_INLINE void ft_plain_all_1x4(int32_t *sums, const uint8_t *x, const int8_t **w, const uint8_t *end) {
  int32_t a, v;
  __asm__ volatile(".syntax unified\n1:\n\t"
                   FT_PLAIN_STEP_1("0") FT_PLAIN_LANES_4("0", "1", "2", "3")
                   FT_PLAIN_STEP_1("1") FT_PLAIN_LANES_4("4", "5", "6", "7")
                   FT_PLAIN_STEP_1("2") FT_PLAIN_LANES_4("8", "9", "10", "11")
                   FT_PLAIN_STEP_1("3") FT_PLAIN_LANES_4("12", "13", "14", "15")
                   "adds %[x], #4\n\tadds %[w], #16\n\tcmp %[x], %[end]\n\tbne 1b"
                   : [s0] "+h"(sums[0]), [s1] "+h"(sums[1]), [s2] "+h"(sums[2]), [s3] "+h"(sums[3]),
                     [x] "+l"(x), [w] "+l"(*w), [a] "=&l"(a), [v] "=&l"(v)
                   : [end] "h"(end)
                   : "cc", "memory");
}
#else
#define FT_PLAIN_ARMV6M 0
FT_INLINE void ft_plain_all_2x2(
    int32_t *sums, const uint8_t *x, const uint8_t *y, const int8_t **w, const uint8_t *end) {
  (void)sums, (void)x, (void)y, (void)w, (void)end;
}
FT_INLINE void ft_plain_all_1x2(int32_t *sums, const uint8_t *x, const int8_t **w, const uint8_t *end) {
  (void)sums, (void)x, (void)w, (void)end;
}
FT_INLINE void ft_plain_all_1x4(int32_t *sums, const uint8_t *x, const int8_t **w, const uint8_t *end) {
  (void)sums, (void)x, (void)w, (void)end;
}
#endif

/* The same in C, for any number of windows `distance` apart and any number of lanes. */
FT_INLINE void ft_plain_four(int32_t *sums, const uint8_t **x, const int8_t **w, int32_t distance, int32_t pixels,
                             int32_t lanes, int32_t shifted) {
  FT_UNROLLED
  for (int32_t k = 0; k < 4; ++k) {
    int32_t weights[4];
    FT_UNROLLED
    for (int32_t lane = 0; lane < lanes; ++lane) {
      const int8_t stored = (*w)[k * lanes + lane];
      weights[lane] = shifted ? (uint8_t)stored : stored;
    }
    FT_UNROLLED
    for (int32_t p = 0; p < pixels; ++p) {
      const int32_t value = (*x)[p * distance + k];
      FT_UNROLLED
      for (int32_t lane = 0; lane < lanes; ++lane) {
        ft_plain_add_product(&sums[lane * pixels + p], value, weights[lane]);
      }
    }
  }
  *x += 4;
  *w += 4 * lanes;
}

/* Copies int8 values as uint8, each + 128; by words where the core can. */
FT_INLINE void ft_plain_copy(uint8_t *to, const int8_t *from, int32_t count) {
  int32_t i = 0;
#if defined(__ARM_FEATURE_UNALIGNED)
  FT_ROLLED
  for (; i + 4 <= count; i += 4) {
    uint32_t word;
    memcpy(&word, from + i, 4);
    word ^= 0x80808080u;
    memcpy(to + i, &word, 4);
  }
#else
  if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
    FT_ROLLED
    for (; i + 4 <= count; i += 4) {
      *(ft_plain_word *)(void *)(to + i) = *(const ft_plain_word *)(const void *)(from + i) ^ 0x80808080u;
    }
  }
#endif
  FT_ROLLED
  for (; i < count; ++i) {
    to[i] = (uint8_t)((uint8_t)from[i] ^ 0x80u);
  }
}

FT_INLINE void ft_plain_fill(uint8_t *to, uint8_t value, int32_t count) {
  FT_ROLLED
  for (int32_t i = 0; i < count; ++i) {
    to[i] = value;
  }
}

/* The taps of a window in one row of a map of `c` channels, from column x on, which may lie outside of it. */
FT_INLINE void ft_plain_copy_taps(
    uint8_t *to, const int8_t *row, int32_t x, int32_t taps, int32_t in_w, int32_t c, uint8_t zero) {
  const int32_t before = ft_clamp(-x, 0, taps);
  const int32_t inside = ft_clamp(in_w - x, before, taps) - before;
  ft_plain_fill(to, zero, before * c);
  ft_plain_copy(to + before * c, row + (x + before) * c, inside * c);
  ft_plain_fill(to + (before + inside) * c, zero, (taps - before - inside) * c);
}

/* Minus 128 times the sum of a window: what weights that are stored + 128 add too much. */
FT_INLINE int32_t ft_plain_too_much(const uint8_t *window, int32_t depth) {
  int32_t sum = 0;
  FT_ROLLED
  for (int32_t k = 0; k < depth; k += 4) {
    sum += window[k] + window[k + 1] + window[k + 2] + window[k + 3];
  }
  return -128 * sum;
}

/* All output channels of a few pixels, a few channels (lanes) at a time.
 *
 * windows   `pixels` of them, of `depth` values each, a multiple of 4
 * weights   for each group of lanes, for each k: one weight for each lane; + 128 as uint8 where they are `shifted`
 * channels  four words for each output channel, see ft_plain_scale
 * first     by how many channels the second group lies behind the first; the others lie `lanes` apart
 * pixels, lanes, shifted and what `output` says of them are constants.
 */
FT_INLINE void ft_plain_multiply(const uint8_t *windows, int32_t depth, const int8_t *weights, const int32_t *channels,
                                 int32_t groups, int32_t first, int8_t *to, int32_t c_out,
                                 const ft_plain_output *output, int32_t pixels, int32_t lanes, int32_t shifted) {
  int32_t too_much[4] = { 0, 0, 0, 0 };
  if (shifted) {
    FT_UNROLLED
    for (int32_t p = 0; p < pixels; ++p) {
      too_much[p] = ft_plain_too_much(windows + p * depth, depth);
    }
  }
  int32_t step = first;
  FT_ROLLED
  for (int32_t group = 0; group < groups; ++group) {
    int32_t sums[16];
    FT_UNROLLED
    for (int32_t lane = 0; lane < lanes; ++lane) {
      FT_UNROLLED
      for (int32_t p = 0; p < pixels; ++p) {
        sums[lane * pixels + p] = channels[4 * lane] + (shifted ? too_much[p] : 0);
      }
    }
    const uint8_t *const end = windows + depth;
    if (FT_PLAIN_ARMV6M && shifted && pixels == 2 && lanes == 2) {
      ft_plain_all_2x2(sums, windows, end, &weights, end);
    } else if (FT_PLAIN_ARMV6M && shifted && pixels == 1 && lanes == 2) {
      ft_plain_all_1x2(sums, windows, &weights, end);
    } else if (FT_PLAIN_ARMV6M && shifted && pixels == 1 && lanes == 4) {
      ft_plain_all_1x4(sums, windows, &weights, end);
    } else {
      const uint8_t *x = windows;
      FT_ROLLED
      for (int32_t k = 0; k < depth; k += 4) {
        ft_plain_four(sums, &x, &weights, depth, pixels, lanes, shifted);
      }
    }
    FT_UNROLLED
    for (int32_t lane = 0; lane < lanes; ++lane) {
      const ft_plain_channel channel = ft_plain_channel_at(channels + 4 * lane);
      FT_UNROLLED
      for (int32_t p = 0; p < pixels; ++p) {
        to[p * c_out + lane] = ft_plain_int8(sums[lane * pixels + p], &channel, output);
      }
    }
    channels += 4 * lanes;
    to += step;
    step = lanes;
  }
}
