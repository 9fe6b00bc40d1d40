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
        const uint8_t *const at = x + k * window->dilation + i * window->stride;
        ft_plain_add_product(&sums[i], ft_plain_plane_value(at, window->is_signed), weights[k]);
      }
    }
    return;
  }
  FT_UNROLLED
  for (int32_t column = 0; column < (outputs - 1) * window->stride + taps; ++column) {
    const int32_t value = ft_plain_plane_value(x + column, window->is_signed);
    FT_UNROLLED
    for (int32_t i = 0; i < outputs; ++i) {
      const int32_t k = column - i * window->stride;
      if (k >= 0 && k < taps) {
        ft_plain_add_product(&sums[i], value, weights[k]);
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

/* Neighbouring outputs of one filter, `step` bytes apart, from their sums. */
FT_INLINE void ft_plain_store(const int32_t *sums, const int32_t *channel, int8_t *to, int32_t step, int32_t outputs,
                              const ft_plain_output *output) {
  const ft_plain_channel scale = ft_plain_channel_at(channel);
  FT_UNROLLED
  for (int32_t i = 0; i < outputs; ++i) {
    *to = ft_plain_int8(sums[i], &scale, output);
    to += step;
  }
}

/* The larger of the best so far and one more filter's: of the sums where all filters have one scale ("tied"), else
 * of the outputs. */
FT_INLINE void ft_plain_larger(int32_t *best, const int32_t *sums, const int32_t *channel, int32_t outputs,
                               int32_t is_tied,
                               const ft_plain_output *output) {
  const ft_plain_channel scale = ft_plain_channel_at(channel);
  FT_UNROLLED
  for (int32_t i = 0; i < outputs; ++i) {
    best[i] = ft_max(best[i], is_tied ? sums[i] : ft_plain_int8(sums[i], &scale, output));
  }
}

/* A row of one channel, `stride` bytes from a value to the next, to the plane; `flip` is 0x80 where it holds values
 * + 128.
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
  int32_t left = count;
  FT_ROLLED
  for (; left >= 4; left -= 4) {
    FT_UNROLLED
    for (int32_t i = 0; i < 4; ++i) {
      to[i] = table[*from];
      from += stride;
    }
    to += 4;
  }
  FT_ROLLED
  for (; left > 0; --left) {
    *to++ = table[*from];
    from += stride;
  }
  return to;
}
