/* ---- layer data ---- */

/* ---- kernels ---- */

/* The least of the elements that meet in one output.
 * Sizes: nest_kept_sizes_0 4, nest_kept_strides_0 42, nest_rows 7, nest_row_stride 6, nest_fours 1. */
FT_KERNEL void net_reduce_min(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 4; ++i0) {
    const int8_t *in = input0 + i0 * 42;
    {
      int32_t lanes = ~ft_load4(in);
      const int8_t *row = in;
      for (int32_t n = 7; n > 0; --n) {
        lanes = ft_max8(lanes, ~ft_load4(row));
        row += 6;
      }
      ft_store4(out, ~lanes);
      in += 4;
      out += 4;
    }
    for (int32_t c = 2; c > 0; --c) {
      int32_t least = 127;
      const int8_t *row = in;
      for (int32_t n = 7; n > 0; --n) {
        least = ft_min(least, *row);
        row += 6;
      }
      *out++ = (int8_t)least;
      in += 1;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(200u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  REDUCE_MIN "y"  [4,7,3,2] -> [4,1,3,2]
   * reads arena[0..167], writes arena[176..199] */
  net_reduce_min((const int8_t *)(arena + 0), (int8_t *)(arena + 176));
  NET_TRACE_OP(0);
  return NET_OK;
}
