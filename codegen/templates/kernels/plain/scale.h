/* ---- plain C: sums to int8, see the generator's kernels/plain/scaling.py ----
 * Four words for each channel: the sum's start; then, for rounding in 64 bits, multiplier, offset and right shift as in
 * ft_scale_.., or, for rounding in pieces, the offset, the multiplier's two lower pieces as halves of a word, and its
 * upper piece with the right shift.
 */
typedef uint32_t __attribute__((may_alias)) ft_plain_word;

enum {
  FT_PLAIN_AWAY,       /* twice rounded: half up, then half away from zero */
  FT_PLAIN_UP,         /* the same where negative sums end at the zero point */
  FT_PLAIN_ONCE,       /* rounded once, half up */
  FT_PLAIN_EXACT,      /* FT_PLAIN_AWAY for any multiplier and any sum */
  FT_PLAIN_EXACT_ONCE, /* FT_PLAIN_ONCE for any */
  FT_PLAIN_AWAY_3,     /* FT_PLAIN_AWAY for |sum| < 2^20 by a multiplier of 9 + 11 + 11 bits: products fit 32 bits */
  FT_PLAIN_SHIFT_3,    /* FT_PLAIN_UP and FT_PLAIN_ONCE in this way: the two shifts are one */
  FT_PLAIN_AWAY_2,     /* for |sum| <= 2^15 by a multiplier of 15 + 16 bits */
  FT_PLAIN_SHIFT_2
};

/* The words of a channel's scale, in registers where there are enough. */
typedef struct {
  int32_t words[3];
} ft_plain_channel;

FT_INLINE ft_plain_channel ft_plain_channel_at(const int32_t *channel) {
  const ft_plain_channel made = { { channel[1], channel[2], channel[3] } };
  return made;
}

/* The sum's offset, times 2^15 (pieces of 16 bits) or 2^9 (pieces of 11 bits), and sum * multiplier / 2^16 or 2^22,
 * rounded down: by Horner's rule, floor((a * 2^n + b) / 2^n) = a + floor(b / 2^n). */
FT_INLINE int32_t ft_plain_pieces_2(int32_t sum, const ft_plain_channel *c) {
  const int32_t low = (sum * (c->words[1] & 0xffff)) >> 16;
  return sum * (c->words[2] & 0xffff) + low + c->words[0];
}
FT_INLINE int32_t ft_plain_pieces_3(int32_t sum, const ft_plain_channel *c) {
  const int32_t low = (sum * (c->words[1] & 0xffff)) >> 11;
  const int32_t middle = (sum * (c->words[1] >> 16) + low) >> 11;
  return sum * (c->words[2] & 0xffff) + middle + c->words[0];
}

/* floor((2 * sum * multiplier + half) / 2^32) */
FT_INLINE int32_t ft_plain_high(int32_t sum, int32_t multiplier, uint32_t half) {
  return (int32_t)(((int64_t)(int32_t)(2u * (uint32_t)sum) * multiplier + half) >> 32);
}

FT_INLINE int32_t ft_plain_scale(int32_t sum, const ft_plain_channel *channel, int32_t rounding) {
  const int32_t multiplier = channel->words[0], offset = channel->words[1], right = channel->words[2];
  const int32_t pieces_right = right >> 16;
  switch (rounding) {
    case FT_PLAIN_AWAY:
      return ft_ssat8((ft_plain_high(sum, multiplier, 0x80000000u) + offset + (sum >> 31)) >> right);
    case FT_PLAIN_UP:
      return ft_ssat8((ft_plain_high(sum, multiplier, 0x80000000u) + offset) >> right);
    case FT_PLAIN_ONCE:
      return ft_ssat8((ft_plain_high(sum, multiplier, 0u) + offset) >> right);
    case FT_PLAIN_EXACT:
      return ft_scale_exact(sum, multiplier, offset, right);
    case FT_PLAIN_EXACT_ONCE:
      return ft_scale_exact_once(sum, multiplier, offset, right);
    case FT_PLAIN_AWAY_3:
      return ft_ssat8(((ft_plain_pieces_3(sum, channel) >> 9) + (sum >> 31)) >> pieces_right);
    case FT_PLAIN_SHIFT_3:
      return ft_ssat8(ft_plain_pieces_3(sum, channel) >> pieces_right);
    case FT_PLAIN_AWAY_2:
      return ft_ssat8(((ft_plain_pieces_2(sum, channel) >> 15) + (sum >> 31)) >> pieces_right);
    default:
      return ft_ssat8(ft_plain_pieces_2(sum, channel) >> pieces_right);
  }
}

/* What an output is made of its sum with: the way of rounding (constant), the activation's clamp (constant where it has
 * no effect) and its lookup table from -128 on, or none. */
typedef struct {
  int32_t rounding, low, high;
  const int8_t *table;
} ft_plain_output;

FT_INLINE int8_t ft_plain_int8(int32_t sum, const ft_plain_channel *channel, const ft_plain_output *output) {
  int32_t value = ft_plain_scale(sum, channel, output->rounding);
  if (output->low > -128) {
    value = ft_max(value, output->low);
  }
  if (output->high < 127) {
    value = ft_min(value, output->high);
  }
  return output->table ? output->table[value + 128] : (int8_t)value;
}
