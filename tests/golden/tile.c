/* ---- layer data ---- */

typedef struct {
  const uint16_t *offsets;
} net_gather_layer;

static const net_gather_layer net_op0 = {
  /* offsets */ net_op0_offsets,
};

/* ---- kernels ---- */

/* Gathers blocks of 20 elements, again and again.
 * Sizes: count 3, stride 20, blocks 2. */
FT_KERNEL void net_gather(const net_gather_layer *layer, const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i = 0; i < 3; ++i) {
    const int8_t *const base = input0 + i * 20;
    for (int32_t n = 0; n < 2; ++n) {
      const int8_t *in = base + layer->offsets[n];
      ft_store4(out + 0, ft_load4(in + 0));
      ft_store4(out + 4, ft_load4(in + 4));
      ft_store4(out + 8, ft_load4(in + 8));
      ft_store4(out + 12, ft_load4(in + 12));
      ft_store4(out + 16, ft_load4(in + 16));
      out += 20;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(184u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  GATHER "y"  [3,4,5] -> [3,8,5]
   * reads arena[0..59], writes arena[64..183] */
  net_gather(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 64));
  NET_TRACE_OP(0);
  return NET_OK;
}
