/* ---- layer data ---- */

/* ---- kernels ---- */

/* The largest of the elements that meet in one output.
 * Sizes: nest_rows 24, nest_row_stride 5, nest_fours 1. */
FT_KERNEL void net_reduce_max(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  const int8_t *in = input0;
  {
    int32_t lanes = ft_load4(in);
    const int8_t *row = in;
    for (int32_t n = 24; n > 0; --n) {
      lanes = ft_max8(lanes, ft_load4(row));
      row += 5;
    }
    ft_store4(out, lanes);
    in += 4;
    out += 4;
  }
  {
    int32_t largest = -128;
    const int8_t *row = in;
    for (int32_t n = 24; n > 0; --n) {
      largest = ft_max(largest, *row);
      row += 5;
    }
    *out++ = (int8_t)largest;
    in += 1;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(133u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  REDUCE_MAX "y"  [4,6,5] -> [5]
   * reads arena[0..119], writes arena[128..132] */
  net_reduce_max((const int8_t *)(arena + 0), (int8_t *)(arena + 128));
  NET_TRACE_OP(0);
  return NET_OK;
}
