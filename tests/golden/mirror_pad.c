/* ---- layer data ---- */

typedef struct {
  const uint16_t *offsets;
} net_gather_layer;

static const net_gather_layer net_op0 = {
  /* offsets */ net_op0_offsets,
};

/* ---- kernels ---- */

/* Gathers blocks of 1 elements, again and again.
 * Sizes: count 1, stride 6, blocks 18. */
FT_KERNEL void net_gather(const net_gather_layer *layer, const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  {
    const int32_t i = 0;
    const int8_t *const base = input0 + i * 6;
    for (int32_t n = 0; n < 18; ++n) {
      const int8_t *in = base + layer->offsets[n];
      out[0] = in[0];
      out += 1;
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

  /* op 0  GATHER "y"  [6] -> [18]
   * reads arena[0..5], writes arena[16..33] */
  net_gather(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 16));
  NET_TRACE_OP(0);
  return NET_OK;
}
