/* ---- im2col: int8 windows of 1 to 4 pixels as interleaved int16 pairs ----
 * The pixels' windows begin at `from`, `distance` bytes apart; of each, four bytes or all `fours` are widened into
 * x. They return where x goes on. */
FT_INLINE ft_word *ft_widen_4(const int8_t *from, int32_t distance, ft_word *x) {
  const int32_t pixel0 = ft_load_word(from), pixel1 = ft_load_word(from + distance);
  const int32_t pixel2 = ft_load_word(from + 2 * distance), pixel3 = ft_load_word(from + 3 * distance);
  ft_put_two(&x, ft_sxtb16(pixel0), ft_sxtb16(pixel1));
  ft_put_two(&x, ft_sxtb16(pixel2), ft_sxtb16(pixel3));
  ft_put_two(&x, ft_sxtb16_ror8(pixel0), ft_sxtb16_ror8(pixel1));
  ft_put_two(&x, ft_sxtb16_ror8(pixel2), ft_sxtb16_ror8(pixel3));
  return x;
}
FT_INLINE ft_word *ft_widen_4_all(const int8_t *from, int32_t distance, int32_t fours, ft_word *x) {
  FT_ROLLED
  for (int32_t k = 0; k < fours; ++k) {
    x = ft_widen_4(from + 4 * k, distance, x);
  }
  return x;
}
FT_INLINE ft_word *ft_widen_3(const int8_t *from, int32_t distance, ft_word *x) {
  const int32_t pixel0 = ft_load_word(from), pixel1 = ft_load_word(from + distance);
  const int32_t pixel2 = ft_load_word(from + 2 * distance);
  ft_put_two(&x, ft_sxtb16(pixel0), ft_sxtb16(pixel1));
  *x++ = ft_sxtb16(pixel2);
  ft_put_two(&x, ft_sxtb16_ror8(pixel0), ft_sxtb16_ror8(pixel1));
  *x++ = ft_sxtb16_ror8(pixel2);
  return x;
}
FT_INLINE ft_word *ft_widen_3_all(const int8_t *from, int32_t distance, int32_t fours, ft_word *x) {
  FT_ROLLED
  for (int32_t k = 0; k < fours; ++k) {
    x = ft_widen_3(from + 4 * k, distance, x);
  }
  return x;
}
FT_INLINE ft_word *ft_widen_2(const int8_t *from, int32_t distance, ft_word *x) {
  const int32_t pixel0 = ft_load_word(from), pixel1 = ft_load_word(from + distance);
  ft_put_two(&x, ft_sxtb16(pixel0), ft_sxtb16(pixel1));
  ft_put_two(&x, ft_sxtb16_ror8(pixel0), ft_sxtb16_ror8(pixel1));
  return x;
}
FT_INLINE ft_word *ft_widen_2_all(const int8_t *from, int32_t distance, int32_t fours, ft_word *x) {
  int32_t k = 0;
  FT_ROLLED
  for (; k < fours - 1; k += 2) {
    x = ft_widen_2(from + 4 * k, distance, x);
    x = ft_widen_2(from + 4 * k + 4, distance, x);
  }
  return k < fours ? ft_widen_2(from + 4 * k, distance, x) : x;
}
FT_INLINE ft_word *ft_widen_1(const int8_t *from, ft_word *x) {
  const int32_t pixel0 = ft_load_word(from);
  ft_put_two(&x, ft_sxtb16(pixel0), ft_sxtb16_ror8(pixel0));
  return x;
}
FT_INLINE ft_word *ft_widen_1_all(const int8_t *from, int32_t fours, ft_word *x) {
  FT_ROLLED
  for (int32_t k = 0; k < fours; ++k) {
    x = ft_widen_1(from + 4 * k, x);
  }
  return x;
}
