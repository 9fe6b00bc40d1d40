/* ---- layer data ---- */

/* ---- kernels ---- */

/* Moves runs of neighbouring elements.
 * Sizes: start 2, sizes_0 2, strides_0 30, run 4. */
FT_KERNEL void net_slice(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 2; ++i0) {
    const int8_t *in = input0 + 2 + i0 * 30;
    ft_store4(out + 0, ft_load4(in + 0));
    out += 4;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(210u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  STRIDED_SLICE "y_kept"  [7,5,1,6] -> [2,1,1,4]
   * reads arena[0..209], writes arena[0..7] */
  net_slice((const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
