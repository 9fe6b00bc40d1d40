
/* ---- layer normalization of an LSTM's gates ---- */

FT_INLINE int32_t ft_high_mul_32(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31); }

FT_INLINE int32_t ft_shifted_32(int32_t value, int32_t bits) {
  const int64_t shifted = (int64_t)value * (1 << bits);
  return (int32_t)(shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : shifted);
}

/* 1 / sqrt(value) of 0 < value <= 2^30 as a multiplier in Q31, and by how much its products go to the right. */
FT_FUNCTION int32_t ft_inverse_square_root(int32_t value, int32_t *right) {
  *right = 0;
  if (value <= 1) {
    return INT32_MAX;
  }
  int32_t shift = 11;
  while (value >= 1 << 29) {
    value /= 4;
    ++shift;
  }
  while (value < 1 << 27) {
    value *= 4;
    --shift;
  }
  const int32_t half = ((value >> 1) + 1) >> 1;
  int32_t x = 1 << 28;
  for (int32_t i = 0; i < 5; ++i) {
    const int32_t cube = ft_shifted_32(ft_high_mul_32(ft_high_mul_32(x, x), x), 6);
    x = ft_shifted_32(ft_high_mul_32((1 << 28) + (1 << 27), x) - ft_high_mul_32(half, cube), 3);
  }
  x = ft_high_mul_32(x, 1518500250);
  *right = ft_max(shift, 0);
  return x * (1 << ft_max(-shift, 0));
}

/* All cells of a gate in their place.
 * share  2^20 / count
 * scale  multiplier and shift of the result, and the variance that is taken where it is below 1 */
FT_FUNCTION void ft_layer_norm(
    ft_half *gate, int32_t count, int32_t share, const int16_t *weights, const int32_t *bias, const int32_t *scale) {
  int32_t total = 0;
  int64_t squares = 0;
  for (int32_t i = 0; i < count; ++i) {
    total += gate[i];
    squares += gate[i] * gate[i];
  }
  const int32_t mean = total / count * 1024 + total % count * 1024 / count; /* towards 0, of 1024 * total */
  const int32_t variance = (int32_t)((squares * share - (int64_t)mean * mean) / (1 << 20));
  int32_t right;
  const int32_t factor = ft_inverse_square_root(variance >= 1 ? variance : scale[2], &right);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t scaled = ft_requantize(gate[i] * 1024 - mean, factor, -right);
    const int32_t sum = (int32_t)((uint32_t)scaled * (uint32_t)(int32_t)weights[i] + (uint32_t)bias[i]); /* may wrap */
    const int32_t rounded = (int32_t)(((int64_t)sum + 512 - (sum < 0 ? 1 : 0)) >> 10);
    gate[i] = (int16_t)ft_int16(ft_requantize(rounded, scale[0], scale[1]));
  }
}
