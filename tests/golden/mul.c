/* ---- layer data ---- */

typedef struct {
  const int8_t *operand;
  int32_t requant_multiplier;
  int16_t offset1;
  int8_t offset0;
  int8_t requant_offset;
} net_mul_layer;

static const net_mul_layer net_op0 = {
  /* operand */ net_op0_operand,
  /* requant_multiplier */ 2034275072,
  /* offset1 */ 128,
  /* offset0 */ 13,
  /* requant_offset */ 16,
};

/* ---- kernels ---- */

/* Products of the centred values, requantized.
 * Sizes: requant_factor 2, requant_right 5. */
FT_KERNEL void net_mul(const net_mul_layer *layer, const int8_t *input0, int8_t *output0) {
  const int32_t offset0 = layer->offset0;
  const int32_t offset1 = layer->offset1;
  const int32_t multiplier = layer->requant_multiplier;
  const int32_t output_offset = layer->requant_offset;
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 5; ++i0) {
    const int8_t *a = input0 + i0 * 3;
    const int8_t *b = layer->operand;
    {
      const int32_t product0 = ((a[0] + offset0) * (b[0] + offset1)) * 2;
      const int32_t product1 = ((a[1] + offset0) * (b[1] + offset1)) * 2;
      const int32_t product2 = ((a[2] + offset0) * (b[2] + offset1)) * 2;
      out[0] = (int8_t)FT_SSAT8_ASR(ft_smmlar(product0, multiplier, output_offset) + (product0 >> 31), 5);
      out[1] = (int8_t)FT_SSAT8_ASR(ft_smmlar(product1, multiplier, output_offset) + (product1 >> 31), 5);
      out[2] = (int8_t)FT_SSAT8_ASR(ft_smmlar(product2, multiplier, output_offset) + (product2 >> 31), 5);
      a += 3;
      b += 3;
      out += 3;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(15u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  MUL "y"  [1,5,3] -> [1,5,3]
   * reads arena[0..14], writes arena[0..14] */
  net_mul(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
