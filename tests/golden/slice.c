/* ---- layer data ---- */

/* ---- kernels ---- */

/* Moves runs of neighbouring elements.
 * Sizes: start 507, sizes_0 2, sizes_1 2, strides_0 672, strides_1 84, run 18. */
FT_KERNEL void net_slice(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 2; ++i0) {
    for (int32_t i1 = 0; i1 < 2; ++i1) {
      const int8_t *in = input0 + 507 + i0 * 672 + i1 * 84;
      ft_store4(out + 0, ft_load4(in + 0));
      ft_store4(out + 4, ft_load4(in + 4));
      ft_store4(out + 8, ft_load4(in + 8));
      ft_store4(out + 12, ft_load4(in + 12));
      out[16] = in[16];
      out[17] = in[17];
      out += 18;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(3360u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  SLICE "y"  [5,8,4,7,3] -> [2,2,1,6,3]
   * reads arena[0..3359], writes arena[0..71] */
  net_slice((const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
