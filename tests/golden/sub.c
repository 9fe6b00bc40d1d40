/* ---- layer data ---- */

typedef struct {
  int32_t factor0;
  int32_t factor1;
  int32_t bias;
  int8_t loops_count;
} net_add_layer;

static const net_add_layer net_op0 = {
  /* factor0 */ 66873318,
  /* factor1 */ -317855470,
  /* bias */ -155269514,
  /* loops_count */ 4,
};

/* ---- kernels ---- */

/* Sum of two maps, (a * factor0 + b * factor1 + bias) >> 19: equal to LiteRT's three roundings for all 65,536 pairs
 * of values. */
FT_KERNEL void net_add(const net_add_layer *layer, const int8_t *input0, const int8_t *input1, int8_t *output0) {
  const int32_t factor0 = layer->factor0;
  const int32_t factor1 = layer->factor1;
  const int32_t bias = layer->bias;
  const uint32_t mask = ft_in_register(0xff00ff00u);
  const ft_word *a_words = (const ft_word *)(const void *)input0;
  const ft_word *b_words = (const ft_word *)(const void *)input1;
  int8_t *out = output0;
  int32_t left = layer->loops_count;
  FT_ROLLED
  for (; left >= 8; left -= 8) {
    int32_t a0, a1, b0, b1;
    FT_STEP_TWO(a_words, 8, a0, a1);
    FT_STEP_TWO(b_words, 8, b0, b1);
    {
      const int32_t a_even = (int32_t)(((uint32_t)a0 << 8) & mask);
      const int32_t a_odd = (int32_t)((uint32_t)a0 & mask);
      const int32_t b_even = (int32_t)(((uint32_t)b0 << 8) & mask);
      const int32_t b_odd = (int32_t)((uint32_t)b0 & mask);
      const int32_t sum0 = ft_smlawb(factor1, b_even, ft_smlawb(factor0, a_even, bias));
      const int32_t sum1 = ft_smlawb(factor1, b_odd, ft_smlawb(factor0, a_odd, bias));
      const int32_t sum2 = ft_smlawt(factor1, b_even, ft_smlawt(factor0, a_even, bias));
      const int32_t sum3 = ft_smlawt(factor1, b_odd, ft_smlawt(factor0, a_odd, bias));
      out[0] = (int8_t)ft_max(FT_SSAT8_ASR(sum0, 19), 0);
      out[1] = (int8_t)ft_max(FT_SSAT8_ASR(sum1, 19), 0);
      out[2] = (int8_t)ft_max(FT_SSAT8_ASR(sum2, 19), 0);
      out[3] = (int8_t)ft_max(FT_SSAT8_ASR(sum3, 19), 0);
      FT_FENCE(); /* or the compiler interleaves the fours and spills */
    }
    {
      const int32_t a_even = (int32_t)(((uint32_t)a1 << 8) & mask);
      const int32_t a_odd = (int32_t)((uint32_t)a1 & mask);
      const int32_t b_even = (int32_t)(((uint32_t)b1 << 8) & mask);
      const int32_t b_odd = (int32_t)((uint32_t)b1 & mask);
      const int32_t sum0 = ft_smlawb(factor1, b_even, ft_smlawb(factor0, a_even, bias));
      const int32_t sum1 = ft_smlawb(factor1, b_odd, ft_smlawb(factor0, a_odd, bias));
      const int32_t sum2 = ft_smlawt(factor1, b_even, ft_smlawt(factor0, a_even, bias));
      const int32_t sum3 = ft_smlawt(factor1, b_odd, ft_smlawt(factor0, a_odd, bias));
      out[4] = (int8_t)ft_max(FT_SSAT8_ASR(sum0, 19), 0);
      out[5] = (int8_t)ft_max(FT_SSAT8_ASR(sum1, 19), 0);
      out[6] = (int8_t)ft_max(FT_SSAT8_ASR(sum2, 19), 0);
      out[7] = (int8_t)ft_max(FT_SSAT8_ASR(sum3, 19), 0);
      FT_FENCE(); /* or the compiler interleaves the fours and spills */
    }
    out += 8;
  }
  const int8_t *a = (const int8_t *)a_words;
  const int8_t *b = (const int8_t *)b_words;
  for (; left > 0; --left) {
    const int32_t sum0 = ft_smlawb(factor1, *b++ * 256, ft_smlawb(factor0, *a++ * 256, bias));
    out[0] = (int8_t)ft_max(FT_SSAT8_ASR(sum0, 19), 0);
    ++out;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(20u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  SUB "y"  [4] [4] -> [4]
   * reads arena[0..3] arena[16..19], writes arena[0..3] */
  net_add(&net_op0, (const int8_t *)(arena + 0), (const int8_t *)(arena + 16), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
