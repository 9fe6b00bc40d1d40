/* ---- lanes: words of int16 or int8 values ----
 * On a core with the DSP extension that may read unaligned words each function is one instruction; elsewhere it is
 * portable C with the same result. A word packs two int16 lanes (`low` in bits 0..15) or four int8 lanes; words are
 * int32_t, as in ACLE.
 */
/* Whether assembly may use every register. One of them is the frame pointer with -fno-omit-frame-pointer: build with
 * -DFT_ALL_REGISTERS=0 then, for the same numbers in a few more instructions. */
#if !defined(FT_ALL_REGISTERS)
#if FT_HAS_DSP && defined(__OPTIMIZE__) && !defined(__clang__) && !defined(__pic__)
#define FT_ALL_REGISTERS 1
#else
#define FT_ALL_REGISTERS 0
#endif
#endif

#if FT_HAS_DSP

#define FT_BINARY(name, instruction)                                            \
  FT_INLINE int32_t name(int32_t a, int32_t b) {                                \
    int32_t result;                                                             \
    __asm__(instruction " %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));         \
    return result;                                                              \
  }
#define FT_TERNARY(name, instruction)                                                      \
  FT_INLINE int32_t name(int32_t a, int32_t b, int32_t acc) {                              \
    int32_t result;                                                                        \
    __asm__(instruction " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));      \
    return result;                                                                         \
  }
#define FT_UNARY(name, instruction, operands)                                   \
  FT_INLINE int32_t name(int32_t a) {                                           \
    int32_t result;                                                             \
    __asm__(instruction " %0, " operands : "=r"(result) : "r"(a));              \
    return result;                                                              \
  }

FT_TERNARY(ft_smlad, "smlad")    /* acc + low * low + high * high */
FT_TERNARY(ft_smlabb, "smlabb")  /* acc + low(a) * low(b) */
FT_TERNARY(ft_smlabt, "smlabt")  /* acc + low(a) * high(b) */
FT_TERNARY(ft_smlatb, "smlatb")  /* acc + high(a) * low(b) */
FT_TERNARY(ft_smlatt, "smlatt")  /* acc + high(a) * high(b) */
FT_TERNARY(ft_smmla, "smmla")    /* acc + floor(a * b / 2^32) */
FT_TERNARY(ft_smmlar, "smmlar")  /* acc + floor((a * b + 2^31) / 2^32) */
FT_BINARY(ft_sadd16, "sadd16")   /* lane sums */
FT_BINARY(ft_asr, "asr")         /* a >> the low byte of b */
FT_BINARY(ft_lsl, "lsl")         /* a << the low byte of b */
FT_UNARY(ft_ssat8_asr_12, "ssat", "#8, %1, asr #12")  /* a >> 12, clamped to -128..127 */
FT_UNARY(ft_sxtb16, "sxtb16", "%1")               /* int8 lanes 0 and 2 to int16 lanes */
FT_UNARY(ft_sxtb16_ror8, "sxtb16", "%1, ror #8")  /* int8 lanes 1 and 3 to int16 lanes */

/* {low(a), low(b)} and {high(a), high(b)}: the first argument gives the low lane */
FT_INLINE int32_t ft_pack_low(int32_t a, int32_t b) {
  int32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
FT_INLINE int32_t ft_pack_low_high(int32_t a, int32_t b) { /* {low(a), high(b)} */
  int32_t result;
  __asm__("pkhbt %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
FT_INLINE int32_t ft_pack_high(int32_t a, int32_t b) {
  int32_t result;
  __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

/* acc += a.low * b.low + a.high * b.high, and the single products. Volatile keeps the order of the source: GCC's
 * scheduler would load far ahead and spill the accumulators. */
#define FT_MAC(name, instruction)                                                             \
  FT_INLINE void name(int32_t *acc, int32_t a, int32_t b) {                                   \
    __asm__ volatile(instruction " %0, %1, %2, %0" : "+r"(*acc) : "r"(a), "r"(b));            \
  }
FT_MAC(ft_mac2, "smlad")
FT_MAC(ft_mac_bb, "smlabb")
FT_MAC(ft_mac_bt, "smlabt")
FT_MAC(ft_mac_tb, "smlatb")
FT_MAC(ft_mac_tt, "smlatt")

/* the same with a start of its own: c + .. */
#define FT_MAC_FROM(name, instruction)                                                                   \
  FT_INLINE int32_t name(int32_t a, int32_t b, int32_t c) {                                              \
    int32_t acc;                                                                                         \
    __asm__ volatile(instruction " %0, %1, %2, %3" : "=r"(acc) : "r"(a), "r"(b), "r"(c));                \
    return acc;                                                                                          \
  }
FT_MAC_FROM(ft_mac2_from, "smlad")
FT_MAC_FROM(ft_mac_bb_from, "smlabb")
FT_MAC_FROM(ft_mac_tb_from, "smlatb")

/* Read or write the next one or two words of a 4-byte aligned words and step on. What wrote the memory before, and
 * what writes it after, is fenced off with FT_FENCE. */
FT_INLINE int32_t ft_next(const ft_word **p) {
  int32_t word;
  __asm__ volatile("ldr %0, [%1], #4" : "=&r"(word), "+r"(*p));
  return word;
}
FT_INLINE void ft_next_two(const ft_word **p, int32_t *first, int32_t *second) {
  __asm__ volatile("ldrd %0, %1, [%2], #8" : "=&r"(*first), "=&r"(*second), "+r"(*p));
}
FT_INLINE void ft_put_two(ft_word **p, int32_t first, int32_t second) {
  __asm__ volatile("strd %1, %2, [%0], #8" : "+r"(*p) : "r"(first), "r"(second));
}
/* The next four words of p at once, into variables in neighbouring registers. */
#if FT_ALL_REGISTERS
#define FT_REGISTER(name, word) register int32_t word __asm__(name)
#define FT_NEXT_FOUR(p, a, b, c, d) \
  __asm__ volatile("ldmia %4!, { %0, %1, %2, %3}" : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d), "+r"(p))
#endif
/* Words at a constant distance from p, at most 255 words for two. */
#define FT_READ(p, offset, word) __asm__ volatile("ldr %0, [%1, %2]" : "=r"(word) : "r"(p), "i"(4 * (offset)))
#define FT_READ_TWO(p, offset, first, second) \
  __asm__ volatile("ldrd %0, %1, [%2, %3]" : "=r"(first), "=r"(second) : "r"(p), "i"(4 * (offset)))
/* The two words at p, which then steps on by a number of bytes, a multiple of 4 up to 1020. */
#define FT_STEP_TWO(p, bytes, first, second) \
  __asm__ volatile("ldrd %0, %1, [%2], %3" : "=&r"(first), "=&r"(second), "+r"(p) : "i"(bytes))
#define FT_FENCE() __asm__ volatile("" ::: "memory")

/* One load at any address. Plain C would let the compiler merge two neighbours into LDRD, which must be aligned. */
FT_INLINE int32_t ft_load_word(const void *p) {
  int32_t word;
  __asm__("ldr %0, %1" : "=r"(word) : "m"(*(const ft_word *)p));
  return word;
}

#else

FT_INLINE int32_t ft_low(int32_t a) { return (int16_t)(uint16_t)((uint32_t)a & 0xffffu); }
FT_INLINE int32_t ft_high(int32_t a) { return (int16_t)(uint16_t)((uint32_t)a >> 16); }
FT_INLINE int32_t ft_lanes(int32_t low, int32_t high) {
  return (int32_t)(((uint32_t)low & 0xffffu) | ((uint32_t)high << 16));
}
FT_INLINE int32_t ft_wrap_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

FT_INLINE int32_t ft_smlabb(int32_t a, int32_t b, int32_t acc) { return ft_wrap_add(ft_low(a) * ft_low(b), acc); }
FT_INLINE int32_t ft_smlabt(int32_t a, int32_t b, int32_t acc) { return ft_wrap_add(ft_low(a) * ft_high(b), acc); }
FT_INLINE int32_t ft_smlatb(int32_t a, int32_t b, int32_t acc) { return ft_wrap_add(ft_high(a) * ft_low(b), acc); }
FT_INLINE int32_t ft_smlatt(int32_t a, int32_t b, int32_t acc) { return ft_wrap_add(ft_high(a) * ft_high(b), acc); }
FT_INLINE int32_t ft_smlad(int32_t a, int32_t b, int32_t acc) { return ft_smlabb(a, b, ft_smlatt(a, b, acc)); }
FT_INLINE int32_t ft_smmla(int32_t a, int32_t b, int32_t acc) {
  return ft_wrap_add((int32_t)(((int64_t)a * b) >> 32), acc);
}
FT_INLINE int32_t ft_smmlar(int32_t a, int32_t b, int32_t acc) {
  return ft_wrap_add((int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32), acc);
}
FT_INLINE int32_t ft_asr(int32_t a, int32_t b) { return a >> (b & 31); }
FT_INLINE int32_t ft_lsl(int32_t a, int32_t b) { return (int32_t)((uint32_t)a << (b & 31)); }
FT_INLINE int32_t ft_ssat8_asr_12(int32_t a) { return ft_ssat8(a >> 12); }
FT_INLINE int32_t ft_sadd16(int32_t a, int32_t b) { return ft_lanes(ft_low(a) + ft_low(b), ft_high(a) + ft_high(b)); }
FT_INLINE int32_t ft_byte(int32_t a, int32_t lane) { return (int8_t)(uint8_t)(((uint32_t)a >> (8 * lane)) & 0xffu); }
FT_INLINE int32_t ft_sxtb16(int32_t a) { return ft_lanes(ft_byte(a, 0), ft_byte(a, 2)); }
FT_INLINE int32_t ft_sxtb16_ror8(int32_t a) { return ft_lanes(ft_byte(a, 1), ft_byte(a, 3)); }
FT_INLINE int32_t ft_pack_low(int32_t a, int32_t b) { return ft_lanes(a, b); }
FT_INLINE int32_t ft_pack_low_high(int32_t a, int32_t b) { return ft_lanes(a, ft_high(b)); }
FT_INLINE int32_t ft_pack_high(int32_t a, int32_t b) { return ft_lanes(ft_high(a), ft_high(b)); }
FT_INLINE void ft_mac2(int32_t *acc, int32_t a, int32_t b) { *acc = ft_smlad(a, b, *acc); }
FT_INLINE void ft_mac_bb(int32_t *acc, int32_t a, int32_t b) { *acc = ft_smlabb(a, b, *acc); }
FT_INLINE void ft_mac_bt(int32_t *acc, int32_t a, int32_t b) { *acc = ft_smlabt(a, b, *acc); }
FT_INLINE void ft_mac_tb(int32_t *acc, int32_t a, int32_t b) { *acc = ft_smlatb(a, b, *acc); }
FT_INLINE void ft_mac_tt(int32_t *acc, int32_t a, int32_t b) { *acc = ft_smlatt(a, b, *acc); }
FT_INLINE int32_t ft_mac2_from(int32_t a, int32_t b, int32_t c) { return ft_smlad(a, b, c); }
FT_INLINE int32_t ft_mac_bb_from(int32_t a, int32_t b, int32_t c) { return ft_smlabb(a, b, c); }
FT_INLINE int32_t ft_mac_tb_from(int32_t a, int32_t b, int32_t c) { return ft_smlatb(a, b, c); }
#define FT_READ(p, offset, word) ((void)((word) = (p)[offset]))
#define FT_READ_TWO(p, offset, first, second) ((void)((first) = (p)[offset], (second) = (p)[(offset) + 1]))
FT_INLINE int32_t ft_next(const ft_word **p) { return *(*p)++; }
FT_INLINE void ft_next_two(const ft_word **p, int32_t *first, int32_t *second) {
  *first = *(*p)++;
  *second = *(*p)++;
}
FT_INLINE void ft_put_two(ft_word **p, int32_t first, int32_t second) {
  *(*p)++ = first;
  *(*p)++ = second;
}
#define FT_STEP_TWO(p, bytes, first, second) ((void)((first) = (p)[0], (second) = (p)[1], (p) += (bytes) / 4))
#define FT_FENCE() ((void)0)
FT_INLINE int32_t ft_load_word(const void *p) {
  int32_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

#endif

#if !FT_ALL_REGISTERS
#define FT_REGISTER(name, word) int32_t word
#define FT_NEXT_FOUR(p, a, b, c, d) (ft_next_two(&(p), &(a), &(b)), ft_next_two(&(p), &(c), &(d)))
#endif

/* `count` words of one value. */
FT_FUNCTION void ft_fill_words(ft_word *to, int32_t value, int32_t count) {
  FT_ROLLED
  for (; count >= 8; count -= 8) {
    ft_put_two(&to, value, value);
    ft_put_two(&to, value, value);
    ft_put_two(&to, value, value);
    ft_put_two(&to, value, value);
  }
  FT_ROLLED
  for (; count > 0; --count) {
    *to++ = value;
  }
  FT_FENCE();
}

/* ---- accumulator to int8, see the generator's kernels/requantization.py ----
 * acc2 is twice the accumulator; offset holds the zero point and half an output step, both shifted left by `right`, of
 * which the low byte counts. */
FT_INLINE int32_t ft_scale_away(int32_t acc2, int32_t multiplier, int32_t offset, int32_t right) {
  return ft_ssat8(ft_asr(ft_smmlar(acc2, multiplier, offset) + (acc2 >> 31), right));
}
FT_INLINE int32_t ft_scale_up(int32_t acc2, int32_t multiplier, int32_t offset, int32_t right) {
  return ft_ssat8(ft_asr(ft_smmlar(acc2, multiplier, offset), right));
}
FT_INLINE int32_t ft_scale_once(int32_t acc2, int32_t multiplier, int32_t offset, int32_t right) {
  return ft_ssat8(ft_asr(ft_smmla(acc2, multiplier, offset), right));
}
/* acc comes multiplied by a power of two of the channel: then the shift is one for all. */
FT_INLINE int32_t ft_scale_fine(int32_t acc, int32_t multiplier, int32_t offset, int32_t unused) {
  (void)unused;
  return ft_ssat8_asr_12(ft_smmla(acc, multiplier, offset));
}
