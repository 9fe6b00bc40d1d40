/* ---- layer data ---- */

/* ---- kernels ---- */

/* Concatenation of blocks of 2 sources, again and again.
 * Sizes: count 1, blocks_0 4, blocks_1 4. */
FT_KERNEL void net_concatenation(const int8_t *input0, const int8_t *input1, int8_t *output0) {
  int8_t *out = output0;
  {
    const int8_t *in = input0;
    ft_store4(out + 0, ft_load4(in + 0));
    out += 4;
  }
  {
    const int8_t *in = input1;
    ft_store4(out + 0, ft_load4(in + 0));
    out += 4;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(20u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  CONCATENATION "y"  [1,4] [1,4] -> [2,4]
   * reads arena[0..3] arena[16..19], writes arena[0..7] */
  net_concatenation((const int8_t *)(arena + 0), (const int8_t *)(arena + 16), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
