/* ---- plain C: depthwise convolutions over one channel's map ("plane") ----
 * A plane holds bytes: the int8 values themselves where the core loads an int8 in one instruction, else each + 128.
 */

/* What is constant of a layer.
 *
 * stride, dilation  along a row;  row  from a kernel row to the next, in the plane
 * taps              of a kernel row that are held in registers at a time
 * is_unrolled       whether kernel rows are;  is_signed  whether the plane holds int8 values
 */
typedef struct {
  int32_t kernel_h, kernel_w, stride, dilation, row, taps, is_unrolled, is_signed;
} ft_plain_window;

FT_INLINE int32_t ft_plain_plane_value(const uint8_t *x, int32_t is_signed) {
  return is_signed ? *(const int8_t *)x : *x;
}

/* A product as ft_plain_add_product's. The last one of a value may overwrite it: on ARMv6-M a product always overwrites a
 * factor, and the sums are held in the registers that only additions reach. */
FT_INLINE void ft_plain_add_tap(int32_t *sum, int32_t *value, int32_t weight, int32_t is_last) {
#if defined(__thumb__) && !defined(__thumb2__) && defined(__OPTIMIZE__)
  if (is_last) {
    __asm__ volatile(".syntax unified\n\tmuls %1, %2\n\tadd %0, %1" : "+h"(*sum), "+l"(*value) : "l"(weight) : "cc");
  } else {
    int32_t product;
    __asm__ volatile(".syntax unified\n\tmovs %1, %2\n\tmuls %1, %3\n\tadd %0, %1"
                     : "+h"(*sum), "=&l"(product)
                     : "l"(*value), "l"(weight)
                     : "cc");
  }
#else
  (void)is_last;
  ft_plain_add_product(sum, *value, weight);
#endif
}

/* Adds a few taps of one kernel row to the sums of neighbouring windows. */
FT_INLINE void ft_plain_add_taps(int32_t *sums, const uint8_t *x, const int8_t *w, int32_t outputs, int32_t taps,
                                 const ft_plain_window *window) {
  int32_t weights[8];
  FT_UNROLLED
  for (int32_t k = 0; k < taps; ++k) {
    weights[k] = w[k];
  }
  if (window->dilation > 1) {
    FT_UNROLLED
    for (int32_t k = 0; k < taps; ++k) {
      FT_UNROLLED
      for (int32_t i = 0; i < outputs; ++i) {
        int32_t value = ft_plain_plane_value(x + k * window->dilation + i * window->stride, window->is_signed);
        ft_plain_add_tap(&sums[i], &value, weights[k], 1);
      }
    }
    return;
  }
  FT_UNROLLED
  for (int32_t column = 0; column < (outputs - 1) * window->stride + taps; ++column) {
    int32_t value = ft_plain_plane_value(x + column, window->is_signed);
    FT_UNROLLED
    for (int32_t i = 0; i < outputs; ++i) {
      const int32_t k = column - i * window->stride;
      if (k >= 0 && k < taps) {
        ft_plain_add_tap(&sums[i], &value, weights[k], k < window->stride || i == outputs - 1);
      }
    }
  }
}

FT_INLINE void ft_plain_add_row(int32_t *sums, const uint8_t *x, const int8_t *w, int32_t outputs,
                                const ft_plain_window *window) {
  FT_UNROLLED
  for (int32_t k = 0; k < window->kernel_w; k += window->taps) {
    const int32_t taps = ft_min(window->taps, window->kernel_w - k);
    ft_plain_add_taps(sums, x + k * window->dilation, w + k, outputs, taps, window);
  }
}

/* The sums of `outputs` neighbouring windows (constant), the first of which begins at x. */
FT_INLINE void ft_plain_windows(int32_t *sums, int32_t start, const uint8_t *x, const int8_t *w, int32_t outputs,
                                const ft_plain_window *window) {
  FT_UNROLLED
  for (int32_t i = 0; i < outputs; ++i) {
    sums[i] = start;
  }
  if (window->is_unrolled) {
    FT_UNROLLED
    for (int32_t ky = 0; ky < window->kernel_h; ++ky) {
      ft_plain_add_row(sums, x + ky * window->row, w + ky * window->kernel_w, outputs, window);
    }
  } else {
    const int8_t *const end = w + window->kernel_h * window->kernel_w;
    do {
      ft_plain_add_row(sums, x, w, outputs, window);
      x += window->row;
      w += window->kernel_w;
    } while (w != end);
  }
}

/* Neighbouring outputs of one filter, `step` bytes apart. */
FT_INLINE void ft_plain_outputs(const uint8_t *x, const int8_t *w, const int32_t *channel, int8_t *to, int32_t step,
                                int32_t outputs, const ft_plain_window *window, const ft_plain_output *output) {
  int32_t sums[8];
  ft_plain_windows(sums, channel[0], x, w, outputs, window);
  const ft_plain_channel scale = ft_plain_channel_at(channel);
  FT_UNROLLED
  for (int32_t i = 0; i < outputs; ++i) {
    *to = ft_plain_int8(sums[i], &scale, output);
    to += step;
  }
}

/* The same of the largest of some filters; `is_tied`: all have one scale, so that the largest sum has the largest output. */
FT_INLINE void ft_plain_largest(const uint8_t *x, const int8_t *w, const int32_t *channel, int32_t filters, int8_t *to,
                                int32_t step, int32_t outputs, int32_t is_tied, const ft_plain_window *window,
                                const ft_plain_output *output) {
  int32_t best[8];
  FT_UNROLLED
  for (int32_t i = 0; i < outputs; ++i) {
    best[i] = INT32_MIN;
  }
  const int32_t *filter = channel;
  FT_ROLLED
  for (int32_t left = filters; left > 0; --left) {
    int32_t sums[8];
    ft_plain_windows(sums, filter[0], x, w, outputs, window);
    const ft_plain_channel scale = ft_plain_channel_at(filter);
    FT_UNROLLED
    for (int32_t i = 0; i < outputs; ++i) {
      best[i] = ft_max(best[i], is_tied ? sums[i] : ft_plain_int8(sums[i], &scale, output));
    }
    w += window->kernel_h * window->kernel_w;
    filter += 4;
  }
  const ft_plain_channel scale = ft_plain_channel_at(channel);
  FT_UNROLLED
  for (int32_t i = 0; i < outputs; ++i) {
    *to = (int8_t)(is_tied ? ft_plain_int8(best[i], &scale, output) : best[i]);
    to += step;
  }
}

/* A row of one channel, `stride` bytes from a value to the next, to the plane; `flip` is 0x80 where it holds values + 128.
 * They return where the next row begins in the plane. */
FT_INLINE uint8_t *ft_plain_load_row(uint8_t *to, const int8_t *from, int32_t count, int32_t stride, int32_t flip) {
  int32_t left = count;
  FT_ROLLED
  for (; left >= 4; left -= 4) {
    FT_UNROLLED
    for (int32_t i = 0; i < 4; ++i) {
      to[i] = (uint8_t)(*from ^ flip);
      from += stride;
    }
    to += 4;
  }
  FT_ROLLED
  for (; left > 0; --left) {
    *to++ = (uint8_t)(*from ^ flip);
    from += stride;
  }
  return to;
}

/* The same of values that a table replaces, from its entry for 0 on. */
FT_INLINE uint8_t *ft_plain_load_row_by_table(uint8_t *to, const int8_t *from, int32_t count, int32_t stride,
                                              const uint8_t *table) {
  FT_ROLLED
  for (int32_t left = count; left > 0; --left) {
    *to++ = table[*from];
    from += stride;
  }
  return to;
}
