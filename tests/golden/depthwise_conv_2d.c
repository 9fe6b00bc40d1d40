/* ---- layer data ---- */

typedef struct {
  const int32_t *weights;
  int8_t zero_point;
} net_depthwise_conv_2d_3x3_c2_layer;

static const net_depthwise_conv_2d_3x3_c2_layer net_op0 = {
  /* weights */ net_op0_weights,
  /* zero_point */ 127,
};

/* ---- kernels ---- */

/* 3x3 depthwise convolution, stride 1x1. One channel at a time, widened to int16 with its padding in `plane`.
 * Sizes: channels 2, filter_words 10, plane_words 18, out_h 4, plane_start 7, copy_h 4, steps_out 2, steps_row 8.
 * Accumulators lie in [-91576, 102970]. */
FT_KERNEL void net_depthwise_conv_2d_3x3_c2(const net_depthwise_conv_2d_3x3_c2_layer *layer, const int8_t *input0,
    int8_t *output0, void *scratch) {
  FT_STATIC_ASSERT(-91576 >= INT32_MIN && 102970 <= INT32_MAX, "an accumulator is wider than 32 bits");
  ft_half *const plane = (ft_half *)scratch;
  const ft_word *filter = layer->weights;
  ft_fill_words((ft_word *)plane, ft_pack_low(layer->zero_point, layer->zero_point), 18);
  for (int32_t channel = 0; channel < 2; ++channel) {
    const int8_t *from = input0 + channel;
    ft_half *to = plane + 7;
    int32_t rows_left = 4;
    FT_OPAQUE(rows_left);
    for (; rows_left > 0; --rows_left) {
      int32_t stride = 2;
      FT_STRIDE(stride);
      *to++ = (ft_half)from[0];
      from += stride;
      *to++ = (ft_half)from[0];
      from += stride;
      *to++ = (ft_half)from[0];
      from += stride;
      *to++ = (ft_half)from[0];
      from += stride;
      to += 2;
    }
    FT_FENCE();
    {
      int8_t *out_column = output0 + channel;
      const ft_word *x_column = (const ft_word *)plane;
      {
        int8_t *next = out_column;
        const ft_word *x = x_column;
        const ft_word *end = x + 4 * 3;
        FT_OPAQUE(end);
        do {
          const ft_word *w = filter;
          int32_t acc0, acc1, acc2, acc3;
          const int32_t start = ft_next(&w);
          int32_t x0, x1, w0, w1;
          ft_next_two(&w, &w0, &w1);
          FT_READ_TWO(x, 0, x0, x1);
          acc0 = ft_mac2_from(x0, w0, start);
          acc1 = ft_mac_tb_from(x0, w0, start);
          ft_mac_bt(&acc0, x1, w1);
          ft_mac2(&acc1, x1, w1);
          acc2 = ft_mac2_from(x1, w0, start);
          acc3 = ft_mac_tb_from(x1, w0, start);
          FT_READ(x, 2, x0);
          ft_mac_bt(&acc2, x0, w1);
          ft_mac2(&acc3, x0, w1);
          ft_next_two(&w, &w0, &w1);
          FT_READ_TWO(x, 3, x0, x1);
          ft_mac2(&acc0, x0, w0);
          ft_mac_tb(&acc1, x0, w0);
          ft_mac_bt(&acc0, x1, w1);
          ft_mac2(&acc1, x1, w1);
          ft_mac2(&acc2, x1, w0);
          ft_mac_tb(&acc3, x1, w0);
          FT_READ(x, 5, x0);
          ft_mac_bt(&acc2, x0, w1);
          ft_mac2(&acc3, x0, w1);
          ft_next_two(&w, &w0, &w1);
          FT_READ_TWO(x, 6, x0, x1);
          ft_mac2(&acc0, x0, w0);
          ft_mac_tb(&acc1, x0, w0);
          ft_mac_bt(&acc0, x1, w1);
          ft_mac2(&acc1, x1, w1);
          ft_mac2(&acc2, x1, w0);
          ft_mac_tb(&acc3, x1, w0);
          FT_READ(x, 8, x0);
          ft_mac_bt(&acc2, x0, w1);
          ft_mac2(&acc3, x0, w1);
          const int32_t factor = w[0], offset = w[1], shift = w[2];
          w += 3;
          int8_t *const out = next;
          int32_t step = 2;
          FT_STRIDE(step);
          int32_t row_step = 8;
          FT_STRIDE(row_step);
          out[0] = (int8_t)ft_scale_away(acc0, factor, offset, shift);
          out[step] = (int8_t)ft_scale_away(acc1, factor, offset, shift);
          out[2 * step] = (int8_t)ft_scale_away(acc2, factor, offset, shift);
          out[3 * step] = (int8_t)ft_scale_away(acc3, factor, offset, shift);
          next = out + row_step;
          x += 3;
        } while (x != end);
      }
      filter += 10;
    }
    FT_FENCE();
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(104u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  DEPTHWISE_CONV_2D "y"  [1,4,4,2] -> [1,4,4,2]
   * reads arena[0..31], writes arena[0..31], 72 bytes of scratch */
  net_depthwise_conv_2d_3x3_c2(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 0), arena + 32);
  NET_TRACE_OP(0);
  return NET_OK;
}
