/* ---- layer data ---- */

/* ---- kernels ---- */

/* Moves runs of neighbouring elements.
 * Sizes: run 4. */
FT_KERNEL void net_slice(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  const int8_t *in = input0 + 0;
  ft_store4(out + 0, ft_load4(in + 0));
  out += 4;
}

/* ---- inference ---- */
FT_STATIC_ASSERT(4u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  TRANSPOSE "y_transpose"  [1,1,4,1,1,1] -> [1,1,1,4,1,1]
   * reads arena[0..3], writes arena[0..3] */
  net_slice((const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
