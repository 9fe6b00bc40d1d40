/* ---- layer data ---- */

/* ---- kernels ---- */

/* Moves runs of neighbouring elements.
 * Sizes: sizes_0 5, sizes_1 3, strides_0 12, strides_1 60, run 12. */
FT_KERNEL void net_slice(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 5; ++i0) {
    for (int32_t i1 = 0; i1 < 3; ++i1) {
      const int8_t *in = input0 + 0 + i0 * 12 + i1 * 60;
      ft_store4(out + 0, ft_load4(in + 0));
      ft_store4(out + 4, ft_load4(in + 4));
      ft_store4(out + 8, ft_load4(in + 8));
      out += 12;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(372u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  TRANSPOSE "y_transpose"  [1,1,3,5,3,4] -> [1,1,5,3,3,4]
   * reads arena[0..179], writes arena[192..371] */
  net_slice((const int8_t *)(arena + 0), (int8_t *)(arena + 192));
  NET_TRACE_OP(0);
  return NET_OK;
}
