/* ---- layer data ---- */

typedef struct {
  const int32_t *weights;
  int8_t zero_point;
} net_depthwise_max_3x3_c2_layer;

static const net_depthwise_max_3x3_c2_layer net_op0 = {
  /* weights */ net_op0_weights,
  /* zero_point */ 0,
};

/* ---- kernels ---- */

/* 3x3 depthwise convolution, stride 1x1, the largest of a channel's filters. One channel at a time, widened to int16
 * with its padding in `plane`.
 * Sizes: channels 2, heads 3, filter_words 24, plane_words 15, out_h 3, plane_start 7, copy_h 3, steps_out 2,
 * steps_row 6.
 * Accumulators lie in [-83237, 84808]. */
FT_KERNEL void net_depthwise_max_3x3_c2(const net_depthwise_max_3x3_c2_layer *layer, const int8_t *input0,
    int8_t *output0, void *scratch) {
  FT_STATIC_ASSERT(-83237 >= INT32_MIN && 84808 <= INT32_MAX, "an accumulator is wider than 32 bits");
  ft_half *const plane = (ft_half *)scratch;
  const ft_word *filter = layer->weights;
  ft_fill_words((ft_word *)plane, ft_pack_low(layer->zero_point, layer->zero_point), 15);
  for (int32_t channel = 0; channel < 2; ++channel) {
    const int8_t *from = input0 + channel;
    ft_half *to = plane + 7;
    int32_t rows_left = 3;
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
      to += 3;
    }
    FT_FENCE();
    {
      int8_t *out_column = output0 + channel;
      const ft_word *x_column = (const ft_word *)plane;
      {
        int8_t *volatile next = out_column;
        const ft_word *x = x_column;
        const ft_word *end = x + 3 * 3;
        FT_OPAQUE(end);
        do {
          const ft_word *w = filter;
          int32_t best0, best1, best2;
          {
            int32_t acc0, acc1, acc2;
            const int32_t start = ft_next(&w);
            int32_t x0, x1, w0, w1;
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 0, x0, x1);
            acc0 = ft_mac2_from(x0, w0, start);
            acc1 = ft_mac_tb_from(x0, w0, start);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            acc2 = ft_mac2_from(x1, w0, start);
            FT_READ(x, 2, x0);
            ft_mac_bt(&acc2, x0, w1);
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 3, x0, x1);
            ft_mac2(&acc0, x0, w0);
            ft_mac_tb(&acc1, x0, w0);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            ft_mac2(&acc2, x1, w0);
            FT_READ(x, 5, x0);
            ft_mac_bt(&acc2, x0, w1);
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 6, x0, x1);
            ft_mac2(&acc0, x0, w0);
            ft_mac_tb(&acc1, x0, w0);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            ft_mac2(&acc2, x1, w0);
            FT_READ(x, 8, x0);
            ft_mac_bt(&acc2, x0, w1);
            best0 = acc0;
            best1 = acc1;
            best2 = acc2;
          }
          {
            int32_t acc0, acc1, acc2;
            const int32_t start = ft_next(&w);
            int32_t x0, x1, w0, w1;
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 0, x0, x1);
            acc0 = ft_mac2_from(x0, w0, start);
            acc1 = ft_mac_tb_from(x0, w0, start);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            acc2 = ft_mac2_from(x1, w0, start);
            FT_READ(x, 2, x0);
            ft_mac_bt(&acc2, x0, w1);
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 3, x0, x1);
            ft_mac2(&acc0, x0, w0);
            ft_mac_tb(&acc1, x0, w0);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            ft_mac2(&acc2, x1, w0);
            FT_READ(x, 5, x0);
            ft_mac_bt(&acc2, x0, w1);
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 6, x0, x1);
            ft_mac2(&acc0, x0, w0);
            ft_mac_tb(&acc1, x0, w0);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            ft_mac2(&acc2, x1, w0);
            FT_READ(x, 8, x0);
            ft_mac_bt(&acc2, x0, w1);
            best0 = ft_max(best0, acc0);
            best1 = ft_max(best1, acc1);
            best2 = ft_max(best2, acc2);
          }
          {
            int32_t acc0, acc1, acc2;
            const int32_t start = ft_next(&w);
            int32_t x0, x1, w0, w1;
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 0, x0, x1);
            acc0 = ft_mac2_from(x0, w0, start);
            acc1 = ft_mac_tb_from(x0, w0, start);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            acc2 = ft_mac2_from(x1, w0, start);
            FT_READ(x, 2, x0);
            ft_mac_bt(&acc2, x0, w1);
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 3, x0, x1);
            ft_mac2(&acc0, x0, w0);
            ft_mac_tb(&acc1, x0, w0);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            ft_mac2(&acc2, x1, w0);
            FT_READ(x, 5, x0);
            ft_mac_bt(&acc2, x0, w1);
            ft_next_two(&w, &w0, &w1);
            FT_READ_TWO(x, 6, x0, x1);
            ft_mac2(&acc0, x0, w0);
            ft_mac_tb(&acc1, x0, w0);
            ft_mac_bt(&acc0, x1, w1);
            ft_mac2(&acc1, x1, w1);
            ft_mac2(&acc2, x1, w0);
            FT_READ(x, 8, x0);
            ft_mac_bt(&acc2, x0, w1);
            best0 = ft_max(best0, acc0);
            best1 = ft_max(best1, acc1);
            best2 = ft_max(best2, acc2);
          }
          const int32_t factor = w[0], offset = w[1], shift = w[2];
          w += 3;
          int8_t *const out = next;
          int32_t step = 2;
          FT_STRIDE(step);
          int32_t row_step = 6;
          FT_STRIDE(row_step);
          out[0] = (int8_t)ft_scale_away(best0, factor, offset, shift);
          out[step] = (int8_t)ft_scale_away(best1, factor, offset, shift);
          out[2 * step] = (int8_t)ft_scale_away(best2, factor, offset, shift);
          next = out + row_step;
          x += 3;
        } while (x != end);
      }
      filter += 24;
    }
    FT_FENCE();
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

  /* op 0  DEPTHWISE_CONV_2D+REDUCE_MAX "y"  [1,3,3,2] -> [1,3,3,2]
   * reads arena[64..81], writes arena[64..81], 60 bytes of scratch */
  net_depthwise_max_3x3_c2(&net_op0, (const int8_t *)(arena + 64), (int8_t *)(arena + 64), arena + 0);
  NET_TRACE_OP(0);
  return NET_OK;
}
