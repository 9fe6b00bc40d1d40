/* ---- layer data ---- */

/* ---- kernels ---- */

/* Concatenation of blocks of 2 sources, again and again.
 * Sizes: count 1, blocks_0 25, blocks_1 25. */
FT_KERNEL void net_concatenation(const int8_t *input0, const int8_t *input1, int8_t *output0) {
  int8_t *out = output0;
  {
    const int8_t *in = input0;
    ft_store4(out + 0, ft_load4(in + 0));
    ft_store4(out + 4, ft_load4(in + 4));
    ft_store4(out + 8, ft_load4(in + 8));
    ft_store4(out + 12, ft_load4(in + 12));
    ft_store4(out + 16, ft_load4(in + 16));
    ft_store4(out + 20, ft_load4(in + 20));
    out[24] = in[24];
    out += 25;
  }
  {
    const int8_t *in = input1;
    ft_store4(out + 0, ft_load4(in + 0));
    ft_store4(out + 4, ft_load4(in + 4));
    ft_store4(out + 8, ft_load4(in + 8));
    ft_store4(out + 12, ft_load4(in + 12));
    ft_store4(out + 16, ft_load4(in + 16));
    ft_store4(out + 20, ft_load4(in + 20));
    out[24] = in[24];
    out += 25;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(82u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  CONCATENATION "y"  [5,5,1] [5,5,1] -> [10,5,1]
   * reads arena[32..56] arena[0..24], writes arena[32..81] */
  net_concatenation((const int8_t *)(arena + 32), (const int8_t *)(arena + 0), (int8_t *)(arena + 32));
  NET_TRACE_OP(0);
  return NET_OK;
}
