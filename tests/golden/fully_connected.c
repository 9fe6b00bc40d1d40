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

/* A
 * l
 * l
 * o
 * u
 * t
 * p
 * u
 * t
 * c
 * h
 * a
 * n
 * n
 * e
 * l
 * s
 * o
 * f
 * a
 * g
 * r
 * o
 * u
 * p
 * f
 * o
 * r
 * 2
 * p
 * i
 * x
 * e
 * l
 * s
 * .
 * R
 * e
 * t
 * u
 * r
 * n
 * s
 * w
 * h
 * e
 * r
 * e
 * t
 * h
 * e
 * n
 * e
 * x
 * t
 * g
 * r
 * o
 * u
 * p
 * '
 * s
 * p
 * a
 * c
 * k
 * e
 * d
 * w
 * e
 * i
 * g
 * h
 * t
 * s
 * b
 * e
 * g
 * i
 * n
 * . */
static const ft_word *ft_gemm_packed_2px_once_max(const ft_gemm *gemm, const ft_word *w, const ft_word *column,
    int8_t *out) {
  const int32_t stride = gemm->stride;
  const int32_t entry = gemm->entry;
  const ft_word *const end = column + gemm->pairs * 2;
  int8_t *volatile next = out; /* in memory: the sums need the register */
  const ft_word *const end_of_twos = w + gemm->words;
  do {
    int32_t both[2], even[2];
    const ft_word *pairs = column;
    ft_packed_2_first(&w, &pairs, both, even);
    switch (entry) {
      default:
      __builtin_unreachable();
      do {
        case 0:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 15:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 14:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 13:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 12:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 11:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 10:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 9:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 8:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 7:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 6:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 5:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 4:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 3:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 2:
        ft_packed_2(&w, &pairs, both, even);
        /* fall through */
        case 1:
        ft_packed_2(&w, &pairs, both, even);
      } while (pairs != end);
    }
    int8_t *const to = next;
    next = to + 2;
    {
      int32_t multiplier, offset;
      ft_next_two(&w, &multiplier, &offset);
      const int32_t shift = ft_next(&w);
      to[0] = (int8_t)ft_min(ft_scale_once(even[0] * 2, multiplier, offset, shift), gemm->activation_max);
      to[1 * stride + 0] = (int8_t)ft_min(ft_scale_once(even[1] * 2, multiplier, offset, shift), gemm->activation_max);
    }
    {
      int32_t multiplier, offset;
      ft_next_two(&w, &multiplier, &offset);
      const int32_t shift = ft_next(&w);
      to[1] = (int8_t)ft_min(ft_scale_once(ft_odd(both[0], even[0]) >> 7, multiplier, offset, shift),
          gemm->activation_max);
      to[1 * stride + 1] = (int8_t)ft_min(ft_scale_once(ft_odd(both[1], even[1]) >> 7, multiplier, offset, shift),
          gemm->activation_max);
    }
  } while (w != end_of_twos);
  return w;
}

/* Fully connected. The channels of 2 rows are widened to int16 pairs in `column`, then multiplied with two output
 * channels at a time.
 * Sizes: input_channels 284, fours 71, tiles 1, tile_input 568, tile_output 28, rest_pixels 0, gemm_words 1050,
 * gemm_pairs 142, gemm_entry 13, gemm_stride 14.
 * Accumulators lie in [-2968095, 3159612]. */
FT_KERNEL void net_fully_connected_c284_to14(const net_fully_connected_c284_to14_layer *layer, const int8_t *input0,
    int8_t *output0, void *scratch) {
  const ft_gemm gemm = {
    layer->gemm_weights, NULL,
    1050, 142, 13, 14,
    0, layer->gemm_activation_max,
  };
  ft_word *const column = (ft_word *)scratch;
  const int32_t c_in = 284;
  const int8_t *in = input0;
  int8_t *out = output0;
  {
    (void)ft_widen_2_all(in, c_in, 71, column);
    FT_FENCE();
    (void)ft_gemm_packed_2px_once_max(&gemm, gemm.weights, column, out);
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
