/* ---- plain C: rows of weights times one vector, to int16 ---- */

/* A sum rescaled, not saturated, by the three words of a scale: see scale.h. */
FT_INLINE int32_t ft_plain_rescaled(int32_t sum, const ft_plain_channel *c, int32_t rounding) {
  if (rounding == FT_PLAIN_AWAY_3) {
    return ((ft_plain_pieces_3(sum, c) >> 9) + (sum >> 31)) >> (c->words[2] >> 16);
  }
  if (rounding == FT_PLAIN_AWAY) {
    return (ft_plain_high(sum, c->words[0], 0x80000000u) + c->words[1] + (sum >> 31)) >> c->words[2];
  }
  return ft_requantize(sum, c->words[0], c->words[2]);
}

/* All rows of one gate, two at a time: each sum is rescaled, added to what is there (`adds`) and clamped.
 * weights  for each two rows, for each value: both weights; + 128 as uint8 where they are `shifted`
 * starts   of the sums
 * adds, shifted and rounding are constants. Returns where the next gate's weights begin. */
FT_INLINE const int8_t *ft_plain_gate_rows(const uint8_t *window, int32_t depth, const int8_t *weights,
                                           const int32_t *starts, const int32_t *scale, ft_half *to, int32_t rows,
                                           int32_t adds, int32_t shifted, int32_t rounding) {
  const ft_plain_channel channel = { { scale[0], scale[1], scale[2] } };
  const uint8_t *const end = window + depth;
  const int32_t too_much = shifted ? ft_plain_too_much(window, depth) : 0;
  FT_ROLLED
  for (int32_t row = 0; row < rows; row += 2) {
    int32_t sums[2] = { starts[row] + too_much, starts[row + 1] + too_much };
    if (FT_PLAIN_ARMV6M && shifted) {
      ft_plain_all_1x2(sums, window, &weights, end);
    } else {
      const uint8_t *x = window;
      FT_ROLLED
      do {
        ft_plain_four(sums, &x, &weights, depth, 1, 2, shifted);
      } while (x != end);
    }
    FT_UNROLLED
    for (int32_t i = 0; i < 2; ++i) {
      const int32_t value = ft_plain_rescaled(sums[i], &channel, rounding);
      to[row + i] = (int16_t)ft_int16(value + (adds ? to[row + i] : 0));
    }
  }
  return weights;
}
