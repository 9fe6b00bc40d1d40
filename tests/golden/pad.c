/* ---- layer data ---- */

/* ---- kernels ---- */

/* Padding with -13 around runs of 2. */
FT_KERNEL void net_pad_1(const int8_t *input0, int8_t *output0) {
  const int8_t *in = input0;
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 2; ++i0) {
    memset(out, -13, 10);
    out += 10;
    for (int32_t i1 = 0; i1 < 4; ++i1) {
      memset(out, -13, 2);
      out += 2;
      ft_copy(out, in, 2);
      in += 2;
      out += 2;
      memset(out, -13, 1);
      out += 1;
    }
  }
  memset(out, -13, 30);
  out += 30;
}

/* ---- inference ---- */
_Static_assert(106u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  PAD "y"  [2,4,2] -> [3,6,5]
   * reads arena[0..15], writes arena[16..105] */
  net_pad_1((const int8_t *)(arena + 0), (int8_t *)(arena + 16));
  NET_TRACE_OP(0);
  return NET_OK;
}
