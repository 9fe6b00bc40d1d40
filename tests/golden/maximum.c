/* ---- layer data ---- */

/* ---- kernels ---- */

/* The larger of an element and one of another map. */
FT_KERNEL void net_maximum(const int8_t *input0, const int8_t *input1, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 12; ++i0) {
    const int8_t *a = input0 + i0 * 3;
    const int8_t *b = input1 + i0;
    const int8_t b_value = *b;
    {
      out[0] = (int8_t)ft_max(a[0], b_value);
      out[1] = (int8_t)ft_max(a[1], b_value);
      out[2] = (int8_t)ft_max(a[2], b_value);
      a += 3;
      out += 3;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(52u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  MAXIMUM "y"  [3,4,3,1] [3,4,1,1] -> [3,4,3,1]
   * reads arena[16..51] arena[0..11], writes arena[16..51] */
  net_maximum((const int8_t *)(arena + 16), (const int8_t *)(arena + 0), (int8_t *)(arena + 16));
  NET_TRACE_OP(0);
  return NET_OK;
}
