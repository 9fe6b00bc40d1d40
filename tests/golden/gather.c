/* ---- layer data ---- */

typedef struct {
  const uint16_t *offsets;
} net_gather_layer;

static const net_gather_layer net_op0 = {
  /* offsets */ net_op0_offsets,
};

/* ---- kernels ---- */

/* Gathers blocks of 6 elements, again and again.
 * Sizes: count 11, stride 54, blocks 9. */
FT_KERNEL void net_gather(const net_gather_layer *layer, const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i = 0; i < 11; ++i) {
    const int8_t *const base = input0 + i * 54;
    for (int32_t n = 0; n < 9; ++n) {
      const int8_t *in = base + layer->offsets[n];
      ft_store4(out + 0, ft_load4(in + 0));
      out[4] = in[4];
      out[5] = in[5];
      out += 6;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(1202u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  GATHER "y"  [11,9,3,2] -> [11,9,3,2]
   * reads arena[0..593], writes arena[608..1201] */
  net_gather(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 608));
  NET_TRACE_OP(0);
  return NET_OK;
}
