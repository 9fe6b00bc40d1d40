/* ---- plain C: sums and products of maps ---- */

/* (a * factor0 + b * factor1 + bias) >> right, saturated; clamps are constants. */
typedef struct {
  int32_t factor0, factor1, bias, right, low, high;
} ft_plain_sum;

FT_INLINE int8_t ft_plain_sum_to_int8(int32_t a, int32_t b, const ft_plain_sum *s) {
  int32_t value = ft_plain_ssat8((a * s->factor0 + s->bias + b * s->factor1) >> s->right);
  if (s->low > -128) {
    value = ft_max(value, s->low);
  }
  if (s->high < 127) {
    value = ft_min(value, s->high);
  }
  return (int8_t)value;
}

/* Two maps, element by element; the output may lie where one of them does. ARMv6-M loads an int8 by two registers. */
FT_INLINE void ft_plain_add_maps(int8_t *out, const int8_t *a, const int8_t *b, int32_t count, const ft_plain_sum *s) {
  int32_t i = 0;
#if !FT_PLAIN_ARMV6M
  FT_ROLLED
  for (; i + 4 <= count; i += 4) {
    FT_UNROLLED
    for (int32_t k = 0; k < 4; ++k) {
      out[i + k] = ft_plain_sum_to_int8(a[i + k], b[i + k], s);
    }
  }
#endif
  FT_ROLLED
  for (; i < count; ++i) {
    FT_OPAQUE(i);
    out[i] = ft_plain_sum_to_int8(a[i], b[i], s);
  }
}

FT_INLINE void ft_plain_multiply_maps(int8_t *out, const int8_t *a, const int8_t *b, int32_t count, int32_t offset0,
                                      int32_t offset1, int32_t factor, const ft_plain_product *p) {
  FT_ROLLED
  for (int32_t i = 0; i < count; ++i) {
    FT_OPAQUE(i);
    out[i] = ft_plain_product_to_int8((a[i] + offset0) * (b[i] + offset1) * factor, p);
  }
}

/* One channel of all pixels times a factor, `stride` bytes from a pixel to the next: by arithmetic .. */
FT_INLINE void ft_plain_scale_channel(int8_t *out, const int8_t *in, int32_t pixels, int32_t stride, int32_t factor,
                                      int32_t start, const ft_plain_product *p) {
  const int32_t end = pixels * stride;
  FT_ROLLED
  for (int32_t i = 0; i < end; i += stride) {
    FT_OPAQUE(i);
    out[i] = ft_plain_product_to_int8(in[i] * factor + start, p);
  }
}

/* .. or by a table, from its entry for 0 on. */
FT_INLINE void ft_plain_scale_channel_by_table(int8_t *out, const int8_t *in, int32_t pixels, int32_t stride,
                                               const int8_t *table) {
  int32_t left = pixels;
  FT_ROLLED
  for (; left >= FT_PLAIN_PIXELS; left -= FT_PLAIN_PIXELS) {
    int32_t at = 0; /* on ARMv6-M one register is the place behind both addresses */
    FT_UNROLLED
    for (int32_t i = 0; i < FT_PLAIN_PIXELS; ++i) {
#if FT_PLAIN_ARMV6M
      FT_OPAQUE(at);
#endif
      out[at] = table[in[at]];
      at += stride;
    }
    in += FT_PLAIN_PIXELS * stride;
    out += FT_PLAIN_PIXELS * stride;
  }
  FT_ROLLED
  for (; left > 0; --left) {
    *out = table[*in];
    in += stride;
    out += stride;
  }
}

/* The largest product of a channel's `heads` (constant) of one pixel, of all pixels. */
FT_INLINE void ft_plain_largest_products(int8_t *out, const int8_t *in, int32_t pixels, int32_t channels, int32_t heads,
                                         const int32_t *factors, int32_t offset, const ft_plain_product *p) {
  FT_ROLLED
  for (int32_t left = pixels; left > 0; --left) {
    int32_t largest = (in[0] + offset) * factors[0];
    FT_UNROLLED
    for (int32_t head = 1; head < heads; ++head) {
      largest = ft_max(largest, (in[head] + offset) * factors[head]);
    }
    *out = ft_plain_product_to_int8(largest, p);
    in += channels * heads;
    out += channels;
  }
}
