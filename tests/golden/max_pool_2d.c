/* ---- layer data ---- */

/* ---- kernels ---- */

/* Max pooling: the largest of a window's real positions.
 * Sizes: in_h 9, in_w 9, out_h 8, out_w 8, channels 7, row_bytes 63, fours 1, kernel_h 2, kernel_w 2, stride_h 1,
 * stride_w 1, row_step 63, column_step 7. */
FT_KERNEL void net_max_pool_2d_c7(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t oy = 0; oy < 8; ++oy) {
    const int32_t y0 = ft_max(oy * 1 - 0, 0);
    const int32_t y1 = ft_min(oy * 1 - 0 + 2, 9);
    for (int32_t ox = 0; ox < 8; ++ox) {
      const int32_t x0 = ft_max(ox * 1 - 0, 0);
      const int32_t x1 = ft_min(ox * 1 - 0 + 2, 9);
      const int8_t *in = input0 + (y0 * 9 + x0) * 7;
      {
        int32_t lanes = ft_load4(in);
        for (int32_t y = 0; y < y1 - y0; ++y) {
          const int8_t *p = in + y * 63;
          for (int32_t x = x0; x < x1; ++x) {
            lanes = ft_max8(lanes, ft_load4(p));
            p += 7;
          }
        }
        out[0] = (int8_t)ft_max((int8_t)(lanes >> 0), -13);
        out[1] = (int8_t)ft_max((int8_t)(lanes >> 8), -13);
        out[2] = (int8_t)ft_max((int8_t)(lanes >> 16), -13);
        out[3] = (int8_t)ft_max((int8_t)(lanes >> 24), -13);
        in += 4;
        out += 4;
      }
      for (int32_t c = 3; c > 0; --c) {
        int32_t largest = -128;
        for (int32_t y = 0; y < y1 - y0; ++y) {
          const int8_t *p = in + y * 63;
          for (int32_t x = x0; x < x1; ++x) {
            largest = ft_max(largest, *p);
            p += 7;
          }
        }
        *out++ = (int8_t)ft_max(largest, -13);
        in += 1;
      }
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(631u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  MAX_POOL_2D "y"  [1,9,9,7] -> [1,8,8,7]
   * reads arena[64..630], writes arena[0..447] */
  net_max_pool_2d_c7((const int8_t *)(arena + 64), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
