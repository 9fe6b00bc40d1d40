/* ---- recurrent layers in lanes ----
 * Rows of weights times one vector, or a few vectors at once, to int16. A vector's values are widened to int16 in twos:
 * of four values the first and the third, then the second and the fourth, as sxtb16 gives them; missing values are 0.
 * The words of several vectors are interleaved.
 */
FT_INLINE void ft_widen(ft_word *to, const int8_t *from, int32_t fours, int32_t rest, int32_t columns) {
  FT_ROLLED
  for (; fours > 0; --fours) {
    const int32_t word = ft_load_word(from);
    to[0] = ft_sxtb16(word);
    to[columns] = ft_sxtb16_ror8(word);
    to += 2 * columns;
    from += 4;
  }
  if (rest > 0) {
    int32_t word = 0;
    memcpy(&word, from, (size_t)rest);
    to[0] = ft_sxtb16(word);
    to[columns] = ft_sxtb16_ror8(word);
  }
}

/* acc * multiplier * 2^-(31 + right), rounded twice, for |acc| < 2^30: acc2 is twice the accumulator, half is 2^(right - 1) */
FT_INLINE int32_t ft_scale_wide(int32_t acc2, int32_t multiplier, int32_t half, int32_t right) {
  return ft_asr(ft_smmlar(acc2, multiplier, half) + (acc2 >> 31), right);
}

/* Four rows times four values of one vector: the words of the first two rows, then those of the others. */
FT_INLINE void ft_packed_rows(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  int32_t w0, w1, x0, x1;
  ft_next_two(x, &x0, &x1);
  FT_UNROLLED
  for (int32_t i = 0; i < 2; ++i) {
    ft_next_two(w, &w0, &w1);
    ft_mac2(&both[i], w0, x0);
    ft_mac2(&even[i], ft_sxtb16(w0), x0);
    ft_mac2(&both[i], w1, x1);
    ft_mac2(&even[i], ft_sxtb16(w1), x1);
  }
}

/* The words of two rows times four values of each vector; of four rows where there is one vector and these are packed so. */
FT_INLINE void ft_gate_four(const ft_word **w, const ft_word **x, int32_t *first, int32_t *second, int32_t columns,
                            int32_t rows, int32_t is_packed) {
  if (rows == 4) {
    ft_packed_rows(w, x, first, second);
    return;
  }
  if (is_packed && columns == 1) {
    ft_packed_1_twice(w, x, first, second);
    return;
  }
  FT_UNROLLED
  for (int32_t i = 0; i < 2; ++i) {
    if (is_packed && columns == 2) {
      ft_packed_2(w, x, first, second);
    } else if (is_packed) {
      ft_packed_4(w, x, first, second);
    } else if (columns == 1) {
      ft_wide_1(w, x, first, second);
    } else if (columns == 2) {
      ft_wide_2(w, x, first, second);
    } else {
      ft_wide_4(w, x, first, second);
    }
  }
}

/* All rows of one gate, two at a time (`rows`) for 1, 2 or 4 columns (vectors), or four for one: each sum is rescaled, added to
 * what is there (`adds`) and clamped.
 * w      for each two rows their starts, then their words as in gemm.h, packed or wide
 * scale  multiplier, half, right
 * to     `count` int16 values of the first vector; those of the next lie `stride` behind
 * turn   fours in a turn of the inner loop, of which there are whole turns
 * Returns where the next gate's words begin. */
FT_INLINE const ft_word *ft_gate_rows(const ft_word *w, const ft_word *column, int32_t fours, const int32_t *scale,
                                      ft_half *to, int32_t count, int32_t stride, int32_t columns, int32_t rows,
                                      int32_t is_packed, int32_t turn, int32_t adds) {
  const int32_t multiplier = scale[0], half = scale[1], right = scale[2];
  const ft_half *const end = to + count;
  const ft_word *const column_end = column + 2 * columns * fours;
  FT_ROLLED
  do {
    const ft_word *x = column;
    int32_t first[4], second[4];
    ft_next_two(&w, &first[0], &second[0]);
    FT_UNROLLED
    for (int32_t i = 1; i < columns; ++i) {
      first[i] = first[0];
      second[i] = second[0];
    }
    if (rows == 4) {
      ft_next_two(&w, &first[1], &second[1]);
    }
    FT_ROLLED
    do {
      FT_UNROLLED
      for (int32_t i = 0; i < turn; ++i) {
        ft_gate_four(&w, &x, first, second, columns, rows, is_packed);
      }
    } while (turn != fours && x != column_end);
    FT_UNROLLED
    for (int32_t i = 0; i < columns * (rows / 2); ++i) {
      const int32_t even = is_packed ? second[i] : first[i];
      const int32_t odd2 = is_packed ? ft_odd(first[i], second[i]) >> 7 : 2 * second[i];
      int32_t low = ft_scale_wide(2 * even, multiplier, half, right);
      int32_t high = ft_scale_wide(odd2, multiplier, half, right);
      ft_word *const place = (ft_word *)(void *)(to + i * (rows == 4 ? 2 : stride));
      if (adds) {
        const int32_t there = *place;
        low += (int16_t)(uint16_t)((uint32_t)there & 0xffffu);
        high += there >> 16;
      }
      *place = ft_pack_low(ft_int16(low), ft_int16(high));
    }
    to += rows;
  } while (to != end);
  return w;
}

#if FT_HAS_DSP
FT_TERNARY(ft_mla, "mla")       /* acc + a * b */
FT_BINARY(ft_smmulr, "smmulr")  /* floor((a * b + 2^31) / 2^32) */
#else
FT_INLINE int32_t ft_mla(int32_t a, int32_t b, int32_t acc) { return a * b + acc; }
FT_INLINE int32_t ft_smmulr(int32_t a, int32_t b) { return ft_smmlar(a, b, 0); }
#endif

/* exp(x) in Q0.15 of x = value / 2^(15 - bits) in [-1/4, 0), of the value's bits below 1/4 alone.
 * A high multiply of 16 bits is one of 32: hm(a, f) = smmulr(a, f * 2^17), and for f >= 2^14 a + hm(a, f - 2^15).
 * table  of exp(x) from -1/4 on in steps of 2^-12, for 3 bits and more; without one gemmlowp's polynomial is computed */
FT_INLINE int32_t ft_exp_of_rest(int32_t value, int32_t bits, const int16_t *table, int32_t has_table) {
  if (has_table) {
    return table[(value & ((1 << (13 - bits)) - 1)) << (bits - 3)];
  }
  const int32_t x16 = (int32_t)((uint32_t)value << (19 + bits) >> 3) - (1 << 28); /* rest + 1/8 in Q0.31 */
  const int32_t x2 = ft_smmulr(x16, x16 >> 15);
  const int32_t x3 = ft_smmulr(x16, 2 * x2);
  const int32_t third = x3 + (ft_mla(x2, x2, (1 << 14) + (1 << 16)) >> 17); /* x^3 + x^4 / 4 */
  const int32_t y = ((x16 >> 15) + ft_smmlar(third, 10923 << 17, x2) + 1) >> 1;
  return ft_smmlar(y, -3850 * (1 << 17), y + 28918);
}

/* ft_exp_of_negative_16 of value < 0, by the same numbers on the way. */
FT_INLINE int32_t ft_exp_in_lanes(int32_t value, int32_t bits, const int16_t *table, int32_t has_table) {
  int32_t result = ft_exp_of_rest(value, bits, table, has_table);
  const int32_t at = 13 - bits, clear = value; /* bits that are clear belong to the multiple of 1/4 */
  if ((clear & 1 << at) == 0) {
    result = ft_smmlar(result, -7248 * (1 << 17), result);
  }
  if ((clear & 2 << at) == 0) {
    result = ft_smmlar(result, -12893 * (1 << 17), result);
  }
  if (bits > 0 && (clear & 4 << at) == 0) {
    result = ft_smmulr(result, 12055 << 17);
  }
  if (bits > 1 && (clear & 8 << at) == 0) {
    result = ft_smmulr(result, 4435 << 17);
  }
  if (bits > 2 && (clear & 16 << at) == 0) {
    result = ft_smmulr(result, 600 << 17);
  }
  if (bits > 3 && (clear & 32 << at) == 0) {
    result = ft_smmulr(result, 11 << 17);
  }
  return bits > 4 && value < -(1 << (19 - bits)) ? 0 : result; /* exp(-16) is 0 */
}

/* 2 / (1 + x) in Q2.13 of x in Q0.15: ft_reciprocal_16, of twice the number */
FT_INLINE int32_t ft_twice_reciprocal(int32_t value) {
  const int32_t half_denominator = (value + 32768) >> 1;
  const int32_t minus = ~(half_denominator << 16); /* less one: 8192 - hm(h, x) rounds down where hm rounds up */
  int32_t x = 2 * ft_smmlar(half_denominator, -15420 * (1 << 17), 23130);
  FT_UNROLLED
  for (int32_t i = 0; i < 3; ++i) {
    x += 8 * (ft_mla(x, ft_smmlar(minus, x, 1 << 13), 1 << 15) >> 16);
  }
  return x;
}

/* 1 / (1 + exp(-x)) in place, and tanh(x) from one place to another, of `count` int16 values with `bits` integer bits.
 * The bits, and whether there is a table, are constants. */
FT_INLINE void ft_sigmoids(ft_half *values, int32_t count, int32_t bits, const int16_t *table, int32_t has_table) {
  ft_half *const end = values + count;
  FT_ROLLED
  do {
    const int32_t value = *values;
    int32_t result = 1 << 14;
    if (value != 0) {
      const int32_t sign = value >> 31;
      const int32_t exponential = ft_exp_in_lanes(sign - (value ^ sign), bits, table, has_table);
      result = (ft_int16(ft_twice_reciprocal(exponential)) ^ sign) - sign * (1 << 15);
    }
    FT_OPAQUE(result);
    *values++ = (int16_t)result;
  } while (values != end);
}
FT_INLINE void ft_tanhs(
    const ft_half *from, ft_half *to, int32_t count, int32_t bits, const int16_t *table, int32_t has_table) {
  ft_half *const end = to + count;
  FT_ROLLED
  do {
    const int32_t value = *from++;
    int32_t result = 0;
    if (value != 0) {
      const int32_t sign = value >> 31;
      const int32_t exponential = ft_exp_in_lanes(sign - (value ^ sign), bits + 1, table, has_table);
      result = (ft_int16(2 * (ft_twice_reciprocal(exponential) - (1 << 14))) ^ sign) - sign;
    }
    FT_OPAQUE(result);
    *to++ = (int16_t)result;
  } while (to != end);
}
