/* ---- layer data ---- */

/* ---- kernels ---- */

/* Moves runs of neighbouring elements.
 * Sizes: sizes_0 5, sizes_1 6, sizes_2 5, strides_0 600, strides_1 20, strides_2 120, run 20. */
FT_KERNEL void net_slice(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 5; ++i0) {
    for (int32_t i1 = 0; i1 < 6; ++i1) {
      for (int32_t i2 = 0; i2 < 5; ++i2) {
        const int8_t *in = input0 + 0 + i0 * 600 + i1 * 20 + i2 * 120;
        ft_store4(out + 0, ft_load4(in + 0));
        ft_store4(out + 4, ft_load4(in + 4));
        ft_store4(out + 8, ft_load4(in + 8));
        ft_store4(out + 12, ft_load4(in + 12));
        ft_store4(out + 16, ft_load4(in + 16));
        out += 20;
      }
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(6008u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  TRANSPOSE "y"  [5,5,6,5,4] -> [5,6,5,5,4]
   * reads arena[0..2999], writes arena[3008..6007] */
  net_slice((const int8_t *)(arena + 0), (int8_t *)(arena + 3008));
  NET_TRACE_OP(0);
  return NET_OK;
}
