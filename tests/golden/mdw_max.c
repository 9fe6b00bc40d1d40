/* ---- layer data ---- */

typedef struct {
  const int32_t *weights;
  int8_t input_zero_point;
} net_depthwise_conv_2d_layer;

static const net_depthwise_conv_2d_layer net_op0 = {
  /* weights */ net_op0_weights,
  /* input_zero_point */ 0,
};

/* ---- kernels ---- */

/* depthwise_conv_2d */
FT_KERNEL void net_depthwise_conv_2d(const net_depthwise_conv_2d_layer *layer, const int8_t *input0, int8_t *output0,
    void *scratch) {
  /* 3x3 depthwise convolution, stride 1x1, [3,3,2] -> [3,3,2], the largest of 3 filters
   * One channel at a time, widened to int16 with its padding in `plane`. */
  ft_half *const plane = (ft_half *)scratch;
  const ft_word *filter = layer->weights;
  {
    const int32_t zeros = ft_pack_low(layer->input_zero_point, layer->input_zero_point);
    ft_word *words = (ft_word *)plane;
    FT_ROLLED
    for (int32_t i = 0; i < 1; ++i) {
      ft_put_two(&words, zeros, zeros);
      ft_put_two(&words, zeros, zeros);
      ft_put_two(&words, zeros, zeros);
      ft_put_two(&words, zeros, zeros);
    }
    *words++ = zeros;
    *words++ = zeros;
    *words++ = zeros;
    *words++ = zeros;
    *words++ = zeros;
    *words++ = zeros;
    *words++ = zeros;
  }
  for (int32_t channel = 0; channel < 2; ++channel) {
    const int8_t *from = input0 + channel;
    ft_half *to = plane + 7;
    for (int32_t y = 0; y < 3; ++y) {
      to[0] = (ft_half)from[0];
      from += 2;
      to += 1;
      to[0] = (ft_half)from[0];
      to[1] = (ft_half)from[2];
      from += 4;
      to += 5;
    }
    FT_FENCE();
    {
      int8_t *volatile next = output0 + channel; /* in memory: the sums need the register */
      const ft_word *top = (const ft_word *)plane;
      for (int32_t oy = 0; oy < 3; ++oy) {
        const ft_word *x = top;
        {
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
          {
            int8_t *const out = next;
            const int32_t factor = w[0], offset = w[1], shift = w[2];
            w += 3;
            out[0] = (int8_t)ft_scale_away(best0, factor, offset, shift);
            out[2] = (int8_t)ft_scale_away(best1, factor, offset, shift);
            out[4] = (int8_t)ft_scale_away(best2, factor, offset, shift);
            next = out + 6;
          }
        }
        top += 3;
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
  net_depthwise_conv_2d(&net_op0, (const int8_t *)(arena + 64), (int8_t *)(arena + 64), arena + 0);
  NET_TRACE_OP(0);
  return NET_OK;
}
