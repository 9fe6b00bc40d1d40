/* ---- layer data ---- */

/* ---- kernels ---- */

/* Average pooling: the mean of a window's real positions, rounded half away from zero.
 * Sizes: in_h 8, in_w 9, out_h 8, out_w 3, channels 1, row_bytes 9, kernel_h 4, kernel_w 4, stride_h 1, stride_w 3,
 * pad_top 1, row_step 9, column_step 3. */
FT_KERNEL void net_average_pool_2d_c1(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t oy = 0; oy < 8; ++oy) {
    const int32_t y0 = ft_max(oy * 1 - 1, 0);
    const int32_t y1 = ft_min(oy * 1 - 1 + 4, 8);
    for (int32_t ox = 0; ox < 3; ++ox) {
      const int32_t x0 = ft_max(ox * 3 - 0, 0);
      const int32_t x1 = ft_min(ox * 3 - 0 + 4, 9);
      const int8_t *in = input0 + (y0 * 9 + x0) * 1;
      const int32_t count = (y1 - y0) * (x1 - x0);
      const int32_t half = count / 2;
      {
        int32_t sum = 0;
        for (int32_t y = 0; y < y1 - y0; ++y) {
          const int8_t *p = in + y * 9;
          for (int32_t x = x0; x < x1; ++x) {
            sum += *p;
            p += 1;
          }
        }
        *out++ = (int8_t)((sum > 0 ? sum + half : sum - half) / count);
        in += 1;
      }
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(88u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  AVERAGE_POOL_2D "y"  [1,8,9,1] -> [1,8,3,1]
   * reads arena[16..87], writes arena[0..23] */
  net_average_pool_2d_c1((const int8_t *)(arena + 16), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
