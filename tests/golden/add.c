/* ---- layer data ---- */

typedef struct {
  const int32_t *table0;
  const int32_t *addends;
  int32_t sum_multiplier;
  int32_t sum_zero;
  int8_t loops_count;
  int8_t sum_shift;
} net_add_constant_layer;

static const net_add_constant_layer net_op0 = {
  /* table0 */ net_op0_table0,
  /* addends */ net_op0_addends,
  /* sum_multiplier */ 1271421880,
  /* sum_zero */ 65536,
  /* loops_count */ 4,
  /* sum_shift */ 17,
};

/* ---- kernels ---- */

/* An input rescaled by a lookup table, plus constants that are rescaled already, requantized. */
FT_KERNEL void net_add_constant(const net_add_constant_layer *layer, const int8_t *input0, int8_t *output0) {
  const int32_t *const table0 = layer->table0;
  const int32_t multiplier = layer->sum_multiplier;
  const int32_t zero = layer->sum_zero;
  int8_t *out = output0;
  const int8_t *a = input0;
  const int32_t *b = layer->addends;
  int32_t left = layer->loops_count;
  FT_ROLLED
  for (; left >= 8; left -= 8) {
    {
      const int32_t sum0 = table0[(uint8_t)a[0]] + b[0];
      const int32_t sum1 = table0[(uint8_t)a[1]] + b[1];
      const int32_t sum2 = table0[(uint8_t)a[2]] + b[2];
      const int32_t sum3 = table0[(uint8_t)a[3]] + b[3];
      out[0] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum0, multiplier, zero) + (sum0 >> 31), 17), -75, 75);
      out[1] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum1, multiplier, zero) + (sum1 >> 31), 17), -75, 75);
      out[2] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum2, multiplier, zero) + (sum2 >> 31), 17), -75, 75);
      out[3] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum3, multiplier, zero) + (sum3 >> 31), 17), -75, 75);
      a += 4;
      b += 4;
      out += 4;
    }
    {
      const int32_t sum0 = table0[(uint8_t)a[0]] + b[0];
      const int32_t sum1 = table0[(uint8_t)a[1]] + b[1];
      const int32_t sum2 = table0[(uint8_t)a[2]] + b[2];
      const int32_t sum3 = table0[(uint8_t)a[3]] + b[3];
      out[0] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum0, multiplier, zero) + (sum0 >> 31), 17), -75, 75);
      out[1] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum1, multiplier, zero) + (sum1 >> 31), 17), -75, 75);
      out[2] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum2, multiplier, zero) + (sum2 >> 31), 17), -75, 75);
      out[3] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum3, multiplier, zero) + (sum3 >> 31), 17), -75, 75);
      a += 4;
      b += 4;
      out += 4;
    }
  }
  FT_ROLLED
  for (; left > 0; --left) {
    {
      const int32_t sum0 = table0[(uint8_t)a[0]] + b[0];
      out[0] = (int8_t)ft_clamp(FT_SSAT8_ASR(ft_smmlar(sum0, multiplier, zero) + (sum0 >> 31), 17), -75, 75);
      a += 1;
      b += 1;
      out += 1;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(4u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  ADD "y"  [2,2] -> [2,2]
   * reads arena[0..3], writes arena[0..3] */
  net_add_constant(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
