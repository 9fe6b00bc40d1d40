/* ---- plain C: mean and variance of channels, see the generator's kernels/plain/mean_variance.py ---- */

/* How squares of differences become int8: whether in pieces of 14 bits (constant), and the layer's numbers. */
typedef struct {
  int32_t in_pieces, multiplier, lower, offset, right;
} ft_plain_square;

FT_INLINE int32_t ft_plain_square_to_int8(int32_t difference, const ft_plain_square *s) {
  const int32_t square = difference * difference;
  int32_t value;
  if (s->in_pieces) {
    const int32_t upper = square >> 14, low = square & 0x3fff;
    value = upper * s->multiplier + ((upper * s->lower + low * s->multiplier) >> 14);
  } else {
    value = (int32_t)(((int64_t)square * s->multiplier) >> 32);
  }
  return ft_plain_ssat8((value + s->offset) >> s->right);
}

/* Pixels in one turn of a loop over a channel, as far as the core has registers for multiples of the stride. */
enum { FT_PLAIN_PIXELS = FT_PLAIN_ARMV6M ? 4 : 8, FT_PLAIN_SQUARES = FT_PLAIN_ARMV6M ? 1 : 4 };

/* The sum of one channel of all pixels. */
FT_INLINE int32_t ft_plain_channel_sum(const int8_t *in, int32_t pixels, int32_t stride) {
  int32_t sum = 0, left = pixels;
  FT_ROLLED
  for (; left >= FT_PLAIN_PIXELS; left -= FT_PLAIN_PIXELS) {
    FT_UNROLLED
    for (int32_t i = 0; i < FT_PLAIN_PIXELS; ++i) {
      sum += in[i * stride];
    }
    in += FT_PLAIN_PIXELS * stride;
  }
  FT_ROLLED
  for (; left > 0; --left) {
    sum += *in;
    in += stride;
  }
  return sum;
}

/* The sum of a channel's squares: of 64 * value - centre, by arithmetic .. */
FT_INLINE int32_t ft_plain_squares_sum(const int8_t *in, int32_t pixels, int32_t stride, int32_t centre,
                                       const ft_plain_square *s) {
  int32_t sum = 0, left = pixels;
  FT_ROLLED
  for (; left >= FT_PLAIN_SQUARES; left -= FT_PLAIN_SQUARES) {
    FT_UNROLLED
    for (int32_t i = 0; i < FT_PLAIN_SQUARES; ++i) {
      sum += ft_plain_square_to_int8(64 * *in - centre, s);
      in += stride;
    }
  }
  FT_ROLLED
  for (; left > 0; --left) {
    sum += ft_plain_square_to_int8(64 * *in - centre, s);
    in += stride;
  }
  return sum;
}

/* .. or by a table of all values, from its entry for 0 on. */
FT_INLINE int32_t ft_plain_squares_sum_by_table(int8_t *table, const int8_t *in, int32_t pixels, int32_t stride,
                                                int32_t centre,
                                                const ft_plain_square *s) {
  int32_t difference = -128 * 64 - centre;
  FT_ROLLED
  for (int32_t x = -128; x < 128; ++x) {
    table[x] = (int8_t)ft_plain_square_to_int8(difference, s);
    difference += 64;
  }
  int32_t sum = 0, left = pixels;
  FT_ROLLED
  for (; left >= FT_PLAIN_PIXELS; left -= FT_PLAIN_PIXELS) {
    FT_UNROLLED
    for (int32_t i = 0; i < FT_PLAIN_PIXELS; ++i) {
      sum += table[in[i * stride]];
    }
    in += FT_PLAIN_PIXELS * stride;
  }
  FT_ROLLED
  for (; left > 0; --left) {
    sum += table[*in];
    in += stride;
  }
  return sum;
}
