/* ---- layer data ---- */

typedef struct {
  const int32_t *weights;
  int8_t activation_max;
} net_fully_connected_layer;

static const net_fully_connected_layer net_op0 = {
  /* weights */ net_op0_weights,
  /* activation_max */ -80,
};

/* ---- kernels ---- */

/* fully_connected */
FT_KERNEL void net_fully_connected(const net_fully_connected_layer *layer, const int8_t *input0, int8_t *output0,
    void *scratch) {
  /* fully connected, [2,284] -> [2,14]
   * 2 rows are widened to int16 pairs in `column`, then multiplied with two output channels at a time. */
  ft_word *const column = (ft_word *)scratch;
  const int8_t *in = input0;
  int8_t *out = output0;
  for (int32_t tile = 0; tile < 1; ++tile) {
    const int8_t *from = in;
    ft_word *x = column;
    for (int32_t k = 0; k < 71; ++k) {
      const int32_t pixel0 = ft_load_word(from);
      const int32_t pixel1 = ft_load_word(from + 284);
      ft_put_two(&x, ft_sxtb16(pixel0), ft_sxtb16(pixel1));
      ft_put_two(&x, ft_sxtb16_ror8(pixel0), ft_sxtb16_ror8(pixel1));
      from += 4;
    }
    FT_FENCE();
    const ft_word *w = layer->weights;
    int8_t *volatile next = out; /* in memory: the sums need the register */
    for (int32_t channels = 0; channels < 7; ++channels) {
      int32_t both[2], even[2];
      const ft_word *pairs = column;
      ft_packed_2_first(&w, &pairs, both, even);
      const ft_word *const end = column + 258;
      do {
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
        ft_packed_2(&w, &pairs, both, even);
      } while (pairs != end);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      ft_packed_2(&w, &pairs, both, even);
      int8_t *const to = next;
      {
        const int32_t multiplier = w[0], offset = w[1], shift = w[2];
        to[0] = (int8_t)ft_min(ft_scale_once(even[0] * 2, multiplier, offset, shift), layer->activation_max);
        to[14] = (int8_t)ft_min(ft_scale_once(even[1] * 2, multiplier, offset, shift), layer->activation_max);
      }
      {
        const int32_t multiplier = w[3], offset = w[4], shift = w[5];
        to[1] = (int8_t)ft_min(ft_scale_once(ft_odd(both[0], even[0]) >> 7, multiplier, offset, shift),
            layer->activation_max);
        to[15] = (int8_t)ft_min(ft_scale_once(ft_odd(both[1], even[1]) >> 7, multiplier, offset, shift),
            layer->activation_max);
      }
      w += 6;
      next = to + 2;
    }
    FT_FENCE();
    in += 568;
    out += 28;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(1704u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  FULLY_CONNECTED "y"  [2,284] -> [2,14]
   * reads arena[1136..1703], writes arena[1136..1163], 1136 bytes of scratch */
  net_fully_connected(&net_op0, (const int8_t *)(arena + 1136), (int8_t *)(arena + 1136), arena + 0);
  NET_TRACE_OP(0);
  return NET_OK;
}
