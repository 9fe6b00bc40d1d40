/* ---- 1 / sqrt in gemmlowp's fixed point ---- */

FT_INLINE int32_t ft_q31_mul(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31); }

FT_INLINE int32_t ft_q31_shift(int32_t value, int32_t bits) { /* saturated */
  const int64_t shifted = (int64_t)value * (1 << bits);
  return (int32_t)(shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : shifted);
}

/* 1 / sqrt(value) as a Q31 multiplier and a right shift, by five Newton steps; 0 < value < 2^29 */
FT_FUNCTION int32_t ft_inverse_sqrt(int32_t value, int32_t *right) {
  if (value == 1) {
    *right = 0;
    return INT32_MAX;
  }
  const int32_t twos = (__builtin_clz((uint32_t)value) - 1) / 2 - 1;
  const int32_t half = (((value << (2 * twos)) >> 1) + 1) >> 1;
  int32_t x = 1 << 28;
  for (int32_t step = 0; step < 5; ++step) {
    const int32_t cube = ft_q31_shift(ft_q31_mul(ft_q31_mul(x, x), x), 6);
    x = ft_q31_shift(ft_q31_mul(3 << 27, x) - ft_q31_mul(half, cube), 3);
  }
  x = ft_q31_mul(x, 1518500250);
  const int32_t shift = 11 - twos;
  *right = ft_max(shift, 0);
  return shift < 0 ? x << -shift : x;
}
