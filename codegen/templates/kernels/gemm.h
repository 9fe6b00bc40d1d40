/* ---- gemm: products of two output channels with the windows of 1 to 4 pixels ----
 * x points to the pixels' int16 pairs, interleaved: pair 0 of each pixel, pair 1 of each pixel, and so on.
 *
 * packed: a word of w holds the two values 256 * odd + even, made of the even and the odd channel's int8 weights. Then
 *   both = sum of x * (256 * odd + even) and even = sum of x * even, and the odd channel's sum is (both - even) /
 * 256, exactly.
 * wide: w has two words for each pair: the even channel's int16 weights, then the odd channel's.
 * single: one channel, one word of int16 weights for each pair.
 * The _first variants read the sums' starts from w before.
 */
FT_INLINE void ft_packed_4(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&both[0], w_both, x0);
  ft_mac2(&even[0], w_even, x0);
  ft_mac2(&both[1], w_both, x1);
  ft_mac2(&even[1], w_even, x1);
  ft_next_two(x, &x0, &x1);
  ft_mac2(&both[2], w_both, x0);
  ft_mac2(&even[2], w_even, x0);
  ft_mac2(&both[3], w_both, x1);
  ft_mac2(&even[3], w_even, x1);
}
FT_INLINE void ft_packed_4_first(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  int32_t both_start, even_start;
  ft_next_two(w, &both_start, &even_start);
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  both[0] = ft_mac2_from(w_both, x0, both_start);
  even[0] = ft_mac2_from(w_even, x0, even_start);
  both[1] = ft_mac2_from(w_both, x1, both_start);
  even[1] = ft_mac2_from(w_even, x1, even_start);
  ft_next_two(x, &x0, &x1);
  both[2] = ft_mac2_from(w_both, x0, both_start);
  even[2] = ft_mac2_from(w_even, x0, even_start);
  both[3] = ft_mac2_from(w_both, x1, both_start);
  even[3] = ft_mac2_from(w_even, x1, even_start);
}
FT_INLINE void ft_packed_3(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&both[0], w_both, x0);
  ft_mac2(&even[0], w_even, x0);
  ft_mac2(&both[1], w_both, x1);
  ft_mac2(&even[1], w_even, x1);
  const int32_t last = ft_next(x);
  ft_mac2(&both[2], w_both, last);
  ft_mac2(&even[2], w_even, last);
}
FT_INLINE void ft_packed_3_first(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  int32_t both_start, even_start;
  ft_next_two(w, &both_start, &even_start);
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  both[0] = ft_mac2_from(w_both, x0, both_start);
  even[0] = ft_mac2_from(w_even, x0, even_start);
  both[1] = ft_mac2_from(w_both, x1, both_start);
  even[1] = ft_mac2_from(w_even, x1, even_start);
  const int32_t last = ft_next(x);
  both[2] = ft_mac2_from(w_both, last, both_start);
  even[2] = ft_mac2_from(w_even, last, even_start);
}
FT_INLINE void ft_packed_2(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&both[0], w_both, x0);
  ft_mac2(&even[0], w_even, x0);
  ft_mac2(&both[1], w_both, x1);
  ft_mac2(&even[1], w_even, x1);
}
FT_INLINE void ft_packed_2_first(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  int32_t both_start, even_start;
  ft_next_two(w, &both_start, &even_start);
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  both[0] = ft_mac2_from(w_both, x0, both_start);
  even[0] = ft_mac2_from(w_even, x0, even_start);
  both[1] = ft_mac2_from(w_both, x1, both_start);
  even[1] = ft_mac2_from(w_even, x1, even_start);
}
FT_INLINE void ft_packed_1(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  const int32_t last = ft_next(x);
  ft_mac2(&both[0], w_both, last);
  ft_mac2(&even[0], w_even, last);
}
FT_INLINE void ft_packed_1_first(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  int32_t both_start, even_start;
  ft_next_two(w, &both_start, &even_start);
  const int32_t w_both = ft_next(w), w_even = ft_sxtb16(w_both);
  const int32_t last = ft_next(x);
  both[0] = ft_mac2_from(w_both, last, both_start);
  even[0] = ft_mac2_from(w_even, last, even_start);
}
FT_INLINE void ft_wide_4(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&even[0], w_even, x0);
  ft_mac2(&odd[0], w_odd, x0);
  ft_mac2(&even[1], w_even, x1);
  ft_mac2(&odd[1], w_odd, x1);
  ft_next_two(x, &x0, &x1);
  ft_mac2(&even[2], w_even, x0);
  ft_mac2(&odd[2], w_odd, x0);
  ft_mac2(&even[3], w_even, x1);
  ft_mac2(&odd[3], w_odd, x1);
}
FT_INLINE void ft_wide_4_first(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t even_start, odd_start;
  ft_next_two(w, &even_start, &odd_start);
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  even[0] = ft_mac2_from(w_even, x0, even_start);
  odd[0] = ft_mac2_from(w_odd, x0, odd_start);
  even[1] = ft_mac2_from(w_even, x1, even_start);
  odd[1] = ft_mac2_from(w_odd, x1, odd_start);
  ft_next_two(x, &x0, &x1);
  even[2] = ft_mac2_from(w_even, x0, even_start);
  odd[2] = ft_mac2_from(w_odd, x0, odd_start);
  even[3] = ft_mac2_from(w_even, x1, even_start);
  odd[3] = ft_mac2_from(w_odd, x1, odd_start);
}
FT_INLINE void ft_wide_3(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&even[0], w_even, x0);
  ft_mac2(&odd[0], w_odd, x0);
  ft_mac2(&even[1], w_even, x1);
  ft_mac2(&odd[1], w_odd, x1);
  const int32_t last = ft_next(x);
  ft_mac2(&even[2], w_even, last);
  ft_mac2(&odd[2], w_odd, last);
}
FT_INLINE void ft_wide_3_first(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t even_start, odd_start;
  ft_next_two(w, &even_start, &odd_start);
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  even[0] = ft_mac2_from(w_even, x0, even_start);
  odd[0] = ft_mac2_from(w_odd, x0, odd_start);
  even[1] = ft_mac2_from(w_even, x1, even_start);
  odd[1] = ft_mac2_from(w_odd, x1, odd_start);
  const int32_t last = ft_next(x);
  even[2] = ft_mac2_from(w_even, last, even_start);
  odd[2] = ft_mac2_from(w_odd, last, odd_start);
}
FT_INLINE void ft_wide_2(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&even[0], w_even, x0);
  ft_mac2(&odd[0], w_odd, x0);
  ft_mac2(&even[1], w_even, x1);
  ft_mac2(&odd[1], w_odd, x1);
}
FT_INLINE void ft_wide_2_first(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t even_start, odd_start;
  ft_next_two(w, &even_start, &odd_start);
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  even[0] = ft_mac2_from(w_even, x0, even_start);
  odd[0] = ft_mac2_from(w_odd, x0, odd_start);
  even[1] = ft_mac2_from(w_even, x1, even_start);
  odd[1] = ft_mac2_from(w_odd, x1, odd_start);
}
FT_INLINE void ft_wide_1(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  const int32_t last = ft_next(x);
  ft_mac2(&even[0], w_even, last);
  ft_mac2(&odd[0], w_odd, last);
}
FT_INLINE void ft_wide_1_first(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  int32_t even_start, odd_start;
  ft_next_two(w, &even_start, &odd_start);
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  const int32_t last = ft_next(x);
  even[0] = ft_mac2_from(w_even, last, even_start);
  odd[0] = ft_mac2_from(w_odd, last, odd_start);
}
FT_INLINE void ft_single_4(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t w_sum = ft_next(w);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&sum[0], w_sum, x0);
  ft_mac2(&sum[1], w_sum, x1);
  ft_next_two(x, &x0, &x1);
  ft_mac2(&sum[2], w_sum, x0);
  ft_mac2(&sum[3], w_sum, x1);
}
FT_INLINE void ft_single_4_first(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t sum_start = ft_next(w);
  const int32_t w_sum = ft_next(w);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  sum[0] = ft_mac2_from(w_sum, x0, sum_start);
  sum[1] = ft_mac2_from(w_sum, x1, sum_start);
  ft_next_two(x, &x0, &x1);
  sum[2] = ft_mac2_from(w_sum, x0, sum_start);
  sum[3] = ft_mac2_from(w_sum, x1, sum_start);
}
FT_INLINE void ft_single_3(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t w_sum = ft_next(w);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&sum[0], w_sum, x0);
  ft_mac2(&sum[1], w_sum, x1);
  const int32_t last = ft_next(x);
  ft_mac2(&sum[2], w_sum, last);
}
FT_INLINE void ft_single_3_first(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t sum_start = ft_next(w);
  const int32_t w_sum = ft_next(w);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  sum[0] = ft_mac2_from(w_sum, x0, sum_start);
  sum[1] = ft_mac2_from(w_sum, x1, sum_start);
  const int32_t last = ft_next(x);
  sum[2] = ft_mac2_from(w_sum, last, sum_start);
}
FT_INLINE void ft_single_2(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t w_sum = ft_next(w);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  ft_mac2(&sum[0], w_sum, x0);
  ft_mac2(&sum[1], w_sum, x1);
}
FT_INLINE void ft_single_2_first(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t sum_start = ft_next(w);
  const int32_t w_sum = ft_next(w);
  int32_t x0, x1;
  ft_next_two(x, &x0, &x1);
  sum[0] = ft_mac2_from(w_sum, x0, sum_start);
  sum[1] = ft_mac2_from(w_sum, x1, sum_start);
}
FT_INLINE void ft_single_1(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t w_sum = ft_next(w);
  const int32_t last = ft_next(x);
  ft_mac2(&sum[0], w_sum, last);
}
FT_INLINE void ft_single_1_first(const ft_word **w, const ft_word **x, int32_t *sum) {
  const int32_t sum_start = ft_next(w);
  const int32_t w_sum = ft_next(w);
  const int32_t last = ft_next(x);
  sum[0] = ft_mac2_from(w_sum, last, sum_start);
}

/* The same for one row that is read in place: four of its int8 values make two pairs. */
FT_INLINE void ft_packed_pair(const ft_word **w, int32_t x, int32_t *both, int32_t *even) {
  const int32_t w_both = ft_next(w);
  ft_mac2(both, w_both, x);
  ft_mac2(even, ft_sxtb16(w_both), x);
}
FT_INLINE void ft_packed_four(const ft_word **w, const int8_t **values, int32_t *both, int32_t *even) {
  const int32_t bytes = ft_load_word(*values), x0 = ft_sxtb16(bytes), x1 = ft_sxtb16_ror8(bytes);
  int32_t w0, w1;
  ft_next_two(w, &w0, &w1);
  ft_mac2(both, w0, x0);
  ft_mac2(even, ft_sxtb16(w0), x0);
  ft_mac2(both, w1, x1);
  ft_mac2(even, ft_sxtb16(w1), x1);
  *values += 4;
}
FT_INLINE void ft_wide_pair(const ft_word **w, int32_t x, int32_t *even, int32_t *odd) {
  int32_t w_even, w_odd;
  ft_next_two(w, &w_even, &w_odd);
  ft_mac2(even, w_even, x);
  ft_mac2(odd, w_odd, x);
}
FT_INLINE void ft_wide_four(const ft_word **w, const int8_t **values, int32_t *even, int32_t *odd) {
  const int32_t bytes = ft_load_word(*values);
  ft_wide_pair(w, ft_sxtb16(bytes), even, odd);
  ft_wide_pair(w, ft_sxtb16_ror8(bytes), even, odd);
  *values += 4;
}
FT_INLINE void ft_single_pair(const ft_word **w, int32_t x, int32_t *sum) { ft_mac2(sum, ft_next(w), x); }
FT_INLINE void ft_single_four(const ft_word **w, const int8_t **values, int32_t *sum) {
  const int32_t bytes = ft_load_word(*values);
  ft_single_pair(w, ft_sxtb16(bytes), sum);
  ft_single_pair(w, ft_sxtb16_ror8(bytes), sum);
  *values += 4;
}

/* The same for two or four pairs at once. */
#if FT_ALL_REGISTERS
FT_INLINE void ft_wide_2_twice(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  __asm__ volatile(
      "ldmia %4!, {r8, r9, r10, r11}\n\tldmia %5!, {r3, r4, r5, r6}\n\t"
      "smlad %0, r8, r3, %0\n\tsmlad %1, r9, r3, %1\n\tsmlad %2, r8, r4, %2\n\tsmlad %3, r9, r4, %3\n\t"
      "smlad %0, r10, r5, %0\n\tsmlad %1, r11, r5, %1\n\tsmlad %2, r10, r6, %2\n\tsmlad %3, r11, r6, %3"
      : "+r"(even[0]), "+r"(odd[0]), "+r"(even[1]), "+r"(odd[1]), "+r"(*w), "+r"(*x)
      :
      : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11");
}
FT_INLINE void ft_wide_2_first_twice(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  ft_next_two(w, &even[0], &odd[0]);
  __asm__ volatile(
      "ldmia %4!, {r8, r9, r10, r11}\n\tldmia %5!, {r3, r4, r5, r6}\n\t"
      "smlad %2, r8, r4, %0\n\tsmlad %3, r9, r4, %1\n\tsmlad %0, r8, r3, %0\n\tsmlad %1, r9, r3, %1\n\t"
      "smlad %0, r10, r5, %0\n\tsmlad %1, r11, r5, %1\n\tsmlad %2, r10, r6, %2\n\tsmlad %3, r11, r6, %3"
      : "+r"(even[0]), "+r"(odd[0]), "=&r"(even[1]), "=&r"(odd[1]), "+r"(*w), "+r"(*x)
      :
      : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11");
}
FT_INLINE void ft_packed_1_four(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  __asm__ volatile(
      "ldmia %2!, {r8, r9, r10, r11}\n\tldmia %3!, {r3, r4, r5, r6}\n\t"
      "smlad %0, r8, r3, %0\n\tsxtb16 r8, r8\n\tsmlad %1, r8, r3, %1\n\t"
      "smlad %0, r9, r4, %0\n\tsxtb16 r9, r9\n\tsmlad %1, r9, r4, %1\n\t"
      "smlad %0, r10, r5, %0\n\tsxtb16 r10, r10\n\tsmlad %1, r10, r5, %1\n\t"
      "smlad %0, r11, r6, %0\n\tsxtb16 r11, r11\n\tsmlad %1, r11, r6, %1"
      : "+r"(*both), "+r"(*even), "+r"(*w), "+r"(*x)
      :
      : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11");
}
FT_INLINE void ft_packed_eight(const ft_word **w, const int8_t **values, int32_t *both, int32_t *even) {
  __asm__ volatile(
      "ldmia %2!, {r8, r9, r10, r11}\n\tldr r3, [%3], #4\n\tldr r5, [%3], #4\n\t"
      "sxtb16 r4, r3, ror #8\n\tsxtb16 r3, r3\n\tsxtb16 r6, r5, ror #8\n\tsxtb16 r5, r5\n\t"
      "smlad %0, r8, r3, %0\n\tsxtb16 r8, r8\n\tsmlad %1, r8, r3, %1\n\t"
      "smlad %0, r9, r4, %0\n\tsxtb16 r9, r9\n\tsmlad %1, r9, r4, %1\n\t"
      "smlad %0, r10, r5, %0\n\tsxtb16 r10, r10\n\tsmlad %1, r10, r5, %1\n\t"
      "smlad %0, r11, r6, %0\n\tsxtb16 r11, r11\n\tsmlad %1, r11, r6, %1"
      : "+r"(*both), "+r"(*even), "+r"(*w), "+r"(*values)
      :
      : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11");
}
#else
FT_INLINE void ft_packed_eight(const ft_word **w, const int8_t **values, int32_t *both, int32_t *even) {
  ft_packed_four(w, values, both, even);
  ft_packed_four(w, values, both, even);
}
FT_INLINE void ft_wide_2_twice(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  ft_wide_2(w, x, even, odd);
  ft_wide_2(w, x, even, odd);
}
FT_INLINE void ft_wide_2_first_twice(const ft_word **w, const ft_word **x, int32_t *even, int32_t *odd) {
  ft_wide_2_first(w, x, even, odd);
  ft_wide_2(w, x, even, odd);
}
FT_INLINE void ft_packed_1_four(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  ft_packed_1(w, x, both, even);
  ft_packed_1(w, x, both, even);
  ft_packed_1(w, x, both, even);
  ft_packed_1(w, x, both, even);
}
#endif

FT_INLINE void ft_packed_1_twice(const ft_word **w, const ft_word **x, int32_t *both, int32_t *even) {
  int32_t w0, w1, x0, x1;
  ft_next_two(w, &w0, &w1);
  ft_next_two(x, &x0, &x1);
  ft_mac2(both, w0, x0);
  ft_mac2(even, ft_sxtb16(w0), x0);
  ft_mac2(both, w1, x1);
  ft_mac2(even, ft_sxtb16(w1), x1);
}

/* 256 times the odd channel's sum; the subtraction may wrap, the result does not */
FT_INLINE int32_t ft_odd(int32_t both, int32_t even) { return (int32_t)((uint32_t)both - (uint32_t)even); }

/* What the multiplication of a layer needs beside the windows. A group of a convolution has packed weights of its own.
 *
 * weights  packed weights of all groups, in the order in which they are read
 * table    the activation's lookup table, from its middle
 * words    of packed weights for all channels of a group that come in twos
 * pairs    int16 pairs in a window, the first of which carries the sums' starts
 * stride   from one pixel's outputs to the next's
 * half_steps  2 * zero point + 1, where offsets are made of it and of shifts
 */
typedef struct {
  const ft_word *weights;
  const int8_t *table;
  int32_t words, pairs, stride, activation_min, activation_max, half_steps;
} ft_gemm;
