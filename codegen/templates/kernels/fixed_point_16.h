
/* ---- sigmoid and tanh of int16: gemmlowp's fixed point ---- */

FT_INLINE int32_t ft_int16(int32_t value) { /* clamp to -32768..32767 */
#if defined(__ARM_FEATURE_SAT)
  int32_t result;
  __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(value));
  return result;
#else
  return ft_clamp(value, -32768, 32767);
#endif
}

/* value / 2^bits, half away from 0; bits > 0 */
FT_INLINE int32_t ft_divide_by_pot(int32_t value, int32_t bits) {
  return (value + (1 << (bits - 1)) - (value < 0 ? 1 : 0)) >> bits;
}

/* in 16 bits, for operands that are not both -2^15 */
FT_INLINE int32_t ft_high_mul_16(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }

/* exp(x) in Q0.15 of x <= 0 with `bits` integer bits; left shifts and additions that gemmlowp saturates stay inside */
FT_FUNCTION int32_t ft_exp_of_negative_16(int32_t value, int32_t bits) {
  static const int16_t powers[] = { 25520, 19875, 12055, 4435, 600, 11, 0, 0, 0 }; /* exp(-2^k), from k = -2 on */
  if (value == 0) {
    return 32767;
  }
  const int32_t quarter = 1 << (13 - bits);
  const int32_t rest = (value & (quarter - 1)) - quarter;
  const int32_t x = rest * (1 << bits) + (1 << 12); /* Taylor expansion around -1/8 */
  const int32_t x2 = ft_high_mul_16(x, x);
  const int32_t third = ft_high_mul_16(x2, x) + ((ft_high_mul_16(x2, x2) + 2) >> 2);
  const int32_t tail = (ft_high_mul_16(third, 10923) + x2 + 1) >> 1;
  int32_t result = 28918 + ft_high_mul_16(28918, x + tail);
  const int16_t *power = powers;
  for (int32_t set = ~value >> (13 - bits); set != 0; set >>= 1) { /* the multiple of 1/4 */
    if ((set & 1) != 0) {
      result = ft_high_mul_16(result, *power);
    }
    ++power;
  }
  return result;
}

/* 1 / (1 + x) in Q2.13 of x in Q0.15 */
FT_INLINE int32_t ft_reciprocal_16(int32_t value) {
  const int32_t half_denominator = (value + 32768) >> 1;
  int32_t x = 23130 + ft_high_mul_16(half_denominator, -15420);
  for (int32_t i = 0; i < 3; ++i) {
    x += ft_high_mul_16(x, (1 << 13) - ft_high_mul_16(half_denominator, x)) * 4;
  }
  return x;
}

/* 1 / (1 + exp(-x)) in Q0.15 of x with `bits` integer bits */
FT_INLINE int32_t ft_sigmoid_16(int32_t value, int32_t bits) {
  const int32_t result = ft_int16(2 * ft_reciprocal_16(ft_exp_of_negative_16(value < 0 ? value : -value, bits)));
  return value == 0 ? 1 << 14 : value > 0 ? result : 32767 - result;
}

/* tanh(x) in Q0.15 of x with `bits` integer bits */
FT_INLINE int32_t ft_tanh_16(int32_t value, int32_t bits) {
  const int32_t result =
      ft_int16((ft_reciprocal_16(ft_exp_of_negative_16(value < 0 ? value : -value, bits + 1)) - (1 << 13)) * 4);
  return value == 0 ? 0 : value < 0 ? -result : result;
}
