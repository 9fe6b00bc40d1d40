/* ---- layer data ---- */

typedef struct {
  const int32_t *gemm_weights;
  int8_t input_zero_point;
} net_conv_3x3_4x4x3_to2_layer;

static const net_conv_3x3_4x4x3_to2_layer net_op0 = {
  /* gemm_weights */ net_op0_gemm_weights,
  /* input_zero_point */ -54,
};

/* ---- kernels ---- */

/* All output channels of a group for 4 pixels, 2 channels from windows of 14 pairs. Returns where the next group's
 * packed weights begin. */
FT_INLINE const ft_word *ft_gemm_packed_4px_away_r13_p14_c2_w21(const ft_gemm *gemm, const ft_word *w,
    const ft_word *column, int8_t *out) {
  (void)gemm;
  /* volatile is in memory: the sums need the registers */
  int8_t *volatile first = out;
  const ft_word *const end_of_twos = w + 21;
  do {
    int32_t both[4], even[4];
    const ft_word *pairs = column;
    ft_packed_4_first(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    ft_packed_4(&w, &pairs, both, even);
    int32_t multiplier, offset;
    ft_next_two(&w, &multiplier, &offset);
    const int32_t shifts = ft_next(&w);
    int32_t shift = shifts;
    int8_t *to = first;
    FT_OPAQUE(to);
    first = to + 2;
    to[0] = (int8_t)ft_scale_away(even[0] * 2, multiplier, offset, shift);
    to[2] = (int8_t)ft_scale_away(even[1] * 2, multiplier, offset, shift);
    to[4] = (int8_t)ft_scale_away(even[2] * 2, multiplier, offset, shift);
    to[6] = (int8_t)ft_scale_away(even[3] * 2, multiplier, offset, shift);
    ft_next_two(&w, &multiplier, &offset);
    shift = shifts >> 8;
    to[1] = (int8_t)ft_scale_away(ft_odd(both[0], even[0]) >> 7, multiplier, offset, shift);
    to[3] = (int8_t)ft_scale_away(ft_odd(both[1], even[1]) >> 7, multiplier, offset, shift);
    to[5] = (int8_t)ft_scale_away(ft_odd(both[2], even[2]) >> 7, multiplier, offset, shift);
    to[7] = (int8_t)ft_scale_away(ft_odd(both[3], even[3]) >> 7, multiplier, offset, shift);
  } while (w != end_of_twos);
  return w;
}

/* 3x3 convolution, stride 1x1, of a [4,4,3] map. The windows of 4 pixels are widened to int16 pairs in `column`,
 * then multiplied with two output channels at a time.
 * Sizes: group_out 2, tile_output 8, column_words 56, gemm_words 21, gemm_pairs 14, gemm_stride 2.
 * Accumulators lie in [-189796, 290893]. */
FT_KERNEL void net_conv_3x3_4x4x3_to2(const net_conv_3x3_4x4x3_to2_layer *layer, const int8_t *input0, int8_t *output0,
    void *scratch) {
  FT_STATIC_ASSERT(-189796 >= INT32_MIN && 290893 <= INT32_MAX, "an accumulator is wider than 32 bits");
  const ft_gemm gemm = {
    layer->gemm_weights, NULL,
    21, 14, 2,
    0, 0, 0,
  };
  ft_word *const column = (ft_word *)scratch;
  int8_t *const patch = (int8_t *)(column + 56); /* a window that reaches into the padding */
  int32_t oy = 0, ox = 0;
  int8_t *out = output0;
  for (int32_t tile = 0; tile < 4; ++tile) {
    for (int32_t p = 0; p < 4; ++p) {
      ft_word *x = column + p;
      const int32_t y0 = oy * 1 - 1, x0 = ox * 1 - 1;
      const int8_t *from = patch;
      int32_t row_bytes = 9;
      if ((uint32_t)y0 <= 1u && (uint32_t)x0 <= 1u) {
        from = input0 + (y0 * 4 + x0) * 3;
        row_bytes = 12;
      } else {
        int8_t *tap = patch;
        for (int32_t ky = 0; ky < 3; ++ky) {
          const int32_t y = y0 + ky * 1;
          for (int32_t kx = 0; kx < 3; ++kx) {
            const int32_t x1 = x0 + kx * 1;
            if (y >= 0 && y < 4 && x1 >= 0 && x1 < 4) {
              memcpy(tap, input0 + (y * 4 + x1) * 3, 3);
            } else {
              memset(tap, (int)layer->input_zero_point, 3);
            }
            tap += 3;
          }
        }
      }
      const int8_t *const first = from;
      for (int32_t ky = 0; ky < 3; ++ky) {
        const int8_t *run = from;
        const int32_t bytes0 = ft_load_word(run);
        x[0] = ft_sxtb16(bytes0);
        x[4] = ft_sxtb16_ror8(bytes0);
        x += 8;
        const int32_t bytes1 = ft_load_word(run + 4);
        x[0] = ft_sxtb16(bytes1);
        x[4] = ft_sxtb16_ror8(bytes1);
        x += 8;
        from += row_bytes;
      }
      x[0] = ft_pack_low(first[8], first[1 * row_bytes + 8]);
      x[4] = first[2 * row_bytes + 8];
      if (++ox == 4) {
        ox = 0;
        ++oy;
      }
    }
    FT_FENCE();
    (void)ft_gemm_packed_4px_away_r13_p14_c2_w21(&gemm, gemm.weights, column, out);
    FT_FENCE();
    out += 8;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(315u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  CONV_2D "y"  [1,4,4,3] -> [1,4,4,2]
   * reads arena[16..63], writes arena[0..31], 251 bytes of scratch */
  net_conv_3x3_4x4x3_to2(&net_op0, (const int8_t *)(arena + 16), (int8_t *)(arena + 0), arena + 64);
  NET_TRACE_OP(0);
  return NET_OK;
}
