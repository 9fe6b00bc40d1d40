/* ---- layer data ---- */

typedef struct {
  const int8_t *operand;
  int32_t multiplier;
  int8_t zero0;
  int8_t zero1;
  int8_t zero_point;
  int8_t shift;
} net_batch_matmul_layer;

static const net_batch_matmul_layer net_op0 = {
  /* operand */ net_op0_operand,
  /* multiplier */ 1341580974,
  /* zero0 */ -13,
  /* zero1 */ -128,
  /* zero_point */ -62,
  /* shift */ -4,
};

/* ---- kernels ---- */

/* Products of matrices, one of them constant.
 * Sizes: rows 2, columns 9, depth 1, row_step 1, step0 2, column_step 1, step1 1.
 * Accumulators lie in [-35700, 35700]. */
FT_KERNEL void net_batch_matmul(const net_batch_matmul_layer *layer, const int8_t *input0, int8_t *output0) {
  FT_STATIC_ASSERT(-35700 >= INT32_MIN && 35700 <= INT32_MAX, "an accumulator is wider than 32 bits");
  int8_t *out = output0;
  const int8_t *const left = layer->operand;
  const int8_t *const right = input0;
  for (int32_t row = 0; row < 2; ++row) {
    for (int32_t column = 0; column < 9; ++column) {
      const int8_t *const a = left + row * 1;
      const int8_t *const b = right + column * 1;
      int32_t acc = 0;
      {
        const int32_t k = 0;
        acc += (a[k * 2] - layer->zero0) * (b[k * 1] - layer->zero1);
      }
      *out++ = (int8_t)ft_ssat8(ft_requantize(acc, layer->multiplier, layer->shift) + layer->zero_point);
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(34u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  BATCH_MATMUL "y"  [1,9,1] -> [1,2,9]
   * reads arena[0..8], writes arena[16..33] */
  net_batch_matmul(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 16));
  NET_TRACE_OP(0);
  return NET_OK;
}
