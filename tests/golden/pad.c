/* ---- layer data ---- */

/* ---- kernels ---- */

/* Padding with one value around runs of elements.
 * Sizes: sizes_0 2, sizes_1 4, sizes_2 1, before_1 10, before_2 2, after_0 30, after_2 1, run 2, value -13. */
FT_KERNEL void net_pad(const int8_t *input0, int8_t *output0) {
  const int8_t *in = input0;
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 2; ++i0) {
    ft_store4(out + 0, -202116109);
    ft_store4(out + 4, -202116109);
    out[8] = -13;
    out[9] = -13;
    out += 10;
    for (int32_t i1 = 0; i1 < 4; ++i1) {
      out[0] = -13;
      out[1] = -13;
      out += 2;
      out[0] = in[0];
      out[1] = in[1];
      in += 2;
      out += 2;
      out[0] = -13;
      out += 1;
    }
  }
  ft_store4(out + 0, -202116109);
  ft_store4(out + 4, -202116109);
  ft_store4(out + 8, -202116109);
  ft_store4(out + 12, -202116109);
  ft_store4(out + 16, -202116109);
  ft_store4(out + 20, -202116109);
  ft_store4(out + 24, -202116109);
  out[28] = -13;
  out[29] = -13;
  out += 30;
}

/* ---- inference ---- */
FT_STATIC_ASSERT(106u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  PAD "y"  [2,4,2] -> [3,6,5]
   * reads arena[0..15], writes arena[16..105] */
  net_pad((const int8_t *)(arena + 0), (int8_t *)(arena + 16));
  NET_TRACE_OP(0);
  return NET_OK;
}
