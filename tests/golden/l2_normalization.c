/* ---- layer data ---- */

typedef struct {
  int8_t rows;
  int8_t zero_point;
} net_l2_normalization_c300_layer;

static const net_l2_normalization_c300_layer net_op0 = {
  /* rows */ 1,
  /* zero_point */ -13,
};

/* ---- kernels ---- */

/* Each row over the root of its sum of squares, in units of 1/128.
 * Sizes: depth 300. */
FT_KERNEL void net_l2_normalization_c300(const net_l2_normalization_c300_layer *layer, const int8_t *input0,
    int8_t *output0) {
  const int8_t *in = input0;
  int8_t *out = output0;
  for (int32_t row = layer->rows; row > 0; --row) {
    int32_t sum = 0;
    for (int32_t i = 0; i < 300; ++i) {
      const int32_t value = in[i] - layer->zero_point;
      sum += value * value;
    }
    int32_t right;
    const int32_t multiplier = ft_inverse_sqrt(ft_max(sum, 1), &right);
    for (int32_t i = 0; i < 300; ++i) {
      out[i] = (int8_t)ft_ssat8(ft_requantize(in[i] - layer->zero_point, multiplier, 7 - right));
    }
    in += 300;
    out += 300;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(300u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  L2_NORMALIZATION "y"  [300] -> [300]
   * reads arena[0..299], writes arena[0..299] */
  net_l2_normalization_c300(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
