/* ---- layer data ---- */

typedef struct {
  const int32_t *gemm_weights;
  int8_t gemm_activation_max;
} net_fully_connected_c284_to14_layer;

static const net_fully_connected_c284_to14_layer net_op0 = {
  /* gemm_weights */ net_op0_gemm_weights,
  /* gemm_activation_max */ -80,
};

/* ---- kernels ---- */

/* All output channels of a group for 2 pixels, 14 channels from windows of 142 pairs. Returns where the next group's
 * packed weights begin. */
FT_INLINE const ft_word *ft_gemm_packed_2px_once_max_r13_u16_p142_c14_w1043(const ft_gemm *gemm, const ft_word *w,
    const ft_word *column, int8_t *out) {
  /* volatile is in memory: the sums need the registers */
  const ft_word *const end = column + 284;
  int8_t *volatile first = out;
  const ft_word *const end_of_twos = w + 1043;
  do {
    int32_t both[2], even[2];
    const ft_word *pairs = column;
    ft_packed_2_first(&w, &pairs, both, even);
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
    int32_t multiplier, offset;
    ft_next_two(&w, &multiplier, &offset);
    const int32_t shifts = ft_next(&w);
    int32_t shift = shifts;
    int8_t *to = first;
    FT_OPAQUE(to);
    first = to + 2;
    to[0] = (int8_t)ft_min(ft_scale_once(even[0] * 2, multiplier, offset, shift), gemm->activation_max);
    to[14] = (int8_t)ft_min(ft_scale_once(even[1] * 2, multiplier, offset, shift), gemm->activation_max);
    ft_next_two(&w, &multiplier, &offset);
    shift = shifts >> 8;
    to[1] = (int8_t)ft_min(ft_scale_once(ft_odd(both[0], even[0]) >> 7, multiplier, offset, shift),
        gemm->activation_max);
    to[15] = (int8_t)ft_min(ft_scale_once(ft_odd(both[1], even[1]) >> 7, multiplier, offset, shift),
        gemm->activation_max);
  } while (w != end_of_twos);
  return w;
}

/* Fully connected. The channels of 2 rows are widened to int16 pairs in `column`, then multiplied with two output
 * channels at a time.
 * Sizes: input_channels 284, fours 71, tiles 1, tile_input 568, tile_output 28, rest_input 284, rest_output 14,
 * gemm_words 1043, gemm_pairs 142, gemm_stride 14.
 * Accumulators lie in [-2968095, 3159612]. */
FT_KERNEL void net_fully_connected_c284_to14(const net_fully_connected_c284_to14_layer *layer, const int8_t *input0,
    int8_t *output0, void *scratch) {
  FT_STATIC_ASSERT(-2968095 >= INT32_MIN && 3159612 <= INT32_MAX, "an accumulator is wider than 32 bits");
  const ft_gemm gemm = {
    layer->gemm_weights, NULL,
    1043, 142, 14,
    0, layer->gemm_activation_max, 0,
  };
  ft_word *const column = (ft_word *)scratch;
  const int32_t c_in = 284;
  const int8_t *in = input0;
  int8_t *out = output0;
  {
    (void)ft_widen_2_all(in, c_in, 71, column);
    FT_FENCE();
    (void)ft_gemm_packed_2px_once_max_r13_u16_p142_c14_w1043(&gemm, gemm.weights, column, out);
    FT_FENCE();
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
  net_fully_connected_c284_to14(&net_op0, (const int8_t *)(arena + 1136), (int8_t *)(arena + 1136), arena + 0);
  NET_TRACE_OP(0);
  return NET_OK;
}
