/* ---- layer data ---- */

typedef struct {
  int32_t mean_multiplier;
  int16_t mean_zero;
  int16_t sum_offset;
  int8_t mean_shift;
} net_mean_layer;

static const net_mean_layer net_op0 = {
  /* mean_multiplier */ 726250758,
  /* mean_zero */ -510,
  /* sum_offset */ 182,
  /* mean_shift */ 2,
};

/* ---- kernels ---- */

/* Means: sums of elements, requantized with the division folded in.
 * Sizes: nest_rows 14, nest_row_stride 49, nest_fours 12.
 * Accumulators lie in [-1610, 1960]. */
FT_KERNEL void net_mean(const net_mean_layer *layer, const int8_t *input0, int8_t *output0) {
  FT_STATIC_ASSERT(-1610 >= INT32_MIN && 1960 <= INT32_MAX, "an accumulator is wider than 32 bits");
  int8_t *out = output0;
  const int8_t *in = input0;
  for (int32_t c = 12; c > 0; --c) {
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    const int8_t *row = in;
    for (int32_t left = 14; left > 0;) { /* int16 lanes hold 255 elements */
      const int32_t block = ft_min(left, 255);
      int32_t even = 0;
      int32_t odd = 0;
      for (int32_t n = block; n > 0; --n) {
        const int32_t word = ft_load4(row);
        even = ft_sxtab16(even, word);
        odd = ft_sxtab16_ror8(odd, word);
        row += 49;
      }
      sum0 += (int16_t)even;
      sum1 += (int16_t)odd;
      sum2 += even >> 16;
      sum3 += odd >> 16;
      left -= block;
    }
    out[0] = (int8_t)ft_scale_away(2 * (sum0 + layer->sum_offset), layer->mean_multiplier, layer->mean_zero,
        layer->mean_shift);
    out[1] = (int8_t)ft_scale_away(2 * (sum1 + layer->sum_offset), layer->mean_multiplier, layer->mean_zero,
        layer->mean_shift);
    out[2] = (int8_t)ft_scale_away(2 * (sum2 + layer->sum_offset), layer->mean_multiplier, layer->mean_zero,
        layer->mean_shift);
    out[3] = (int8_t)ft_scale_away(2 * (sum3 + layer->sum_offset), layer->mean_multiplier, layer->mean_zero,
        layer->mean_shift);
    in += 4;
    out += 4;
  }
  {
    int32_t sum = 0;
    const int8_t *row = in;
    for (int32_t n = 14; n > 0; --n) {
      sum += *row;
      row += 49;
    }
    out[0] = (int8_t)ft_scale_away(2 * (sum + layer->sum_offset), layer->mean_multiplier, layer->mean_zero,
        layer->mean_shift);
    in += 1;
    out += 1;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(737u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  MEAN "y"  [7,2,7,7] -> [7,7]
   * reads arena[0..685], writes arena[688..736] */
  net_mean(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 688));
  NET_TRACE_OP(0);
  return NET_OK;
}
