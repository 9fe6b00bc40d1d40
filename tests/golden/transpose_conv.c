/* ---- layer data ---- */

typedef struct {
  const int32_t *gemm_weights;
  int8_t input_zero_point;
  int8_t gemm_activation_min;
} net_conv_4x2_4x4x7_to18_layer;

static const net_conv_4x2_4x4x7_to18_layer net_op0 = {
  /* gemm_weights */ net_op0_gemm_weights,
  /* input_zero_point */ -13,
  /* gemm_activation_min */ -105,
};

/* ---- kernels ---- */

/* All output channels of a group for 4 pixels, 18 channels from windows of 28 pairs. Returns where the next group's
 * packed weights begin. */
FT_INLINE const ft_word *ft_gemm_packed_4px_up_min_r27_p28_c18_w315(const ft_gemm *gemm, const ft_word *w,
    const ft_word *column, int8_t *out) {
  /* volatile is in memory: the sums need the registers */
  int8_t *volatile first = out;
  const ft_word *const end_of_twos = w + 315;
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
    ft_packed_4(&w, &pairs, both, even);
    int32_t multiplier, offset;
    ft_next_two(&w, &multiplier, &offset);
    const int32_t shifts = ft_next(&w);
    int32_t shift = shifts;
    int8_t *to = first;
    FT_OPAQUE(to);
    first = to + 2;
    to[0] = (int8_t)ft_max(ft_scale_up(even[0] * 2, multiplier, offset, shift), gemm->activation_min);
    to[18] = (int8_t)ft_max(ft_scale_up(even[1] * 2, multiplier, offset, shift), gemm->activation_min);
    to[36] = (int8_t)ft_max(ft_scale_up(even[2] * 2, multiplier, offset, shift), gemm->activation_min);
    to[54] = (int8_t)ft_max(ft_scale_up(even[3] * 2, multiplier, offset, shift), gemm->activation_min);
    ft_next_two(&w, &multiplier, &offset);
    shift = shifts >> 8;
    to[1] = (int8_t)ft_max(ft_scale_up(ft_odd(both[0], even[0]) >> 7, multiplier, offset, shift), gemm->activation_min);
    to[19] = (int8_t)ft_max(ft_scale_up(ft_odd(both[1], even[1]) >> 7, multiplier, offset, shift),
        gemm->activation_min);
    to[37] = (int8_t)ft_max(ft_scale_up(ft_odd(both[2], even[2]) >> 7, multiplier, offset, shift),
        gemm->activation_min);
    to[55] = (int8_t)ft_max(ft_scale_up(ft_odd(both[3], even[3]) >> 7, multiplier, offset, shift),
        gemm->activation_min);
  } while (w != end_of_twos);
  return w;
}

/* 4x2 convolution, stride 1x1, of a [4,4,7] map. The windows of 4 pixels are widened to int16 pairs in `column`,
 * then multiplied with two output channels at a time.
 * Sizes: group_out 18, tile_output 72, column_words 112, gemm_words 315, gemm_pairs 28, gemm_stride 18.
 * Accumulators lie in [-565024, 625954]. */
FT_KERNEL void net_conv_4x2_4x4x7_to18(const net_conv_4x2_4x4x7_to18_layer *layer, const int8_t *input0,
    int8_t *output0, void *scratch) {
  FT_STATIC_ASSERT(-565024 >= INT32_MIN && 625954 <= INT32_MAX, "an accumulator is wider than 32 bits");
  const ft_gemm gemm = {
    layer->gemm_weights, NULL,
    315, 28, 18,
    layer->gemm_activation_min, 0, 0,
  };
  ft_word *const column = (ft_word *)scratch;
  int8_t *const patch = (int8_t *)(column + 112); /* a window that reaches into the padding */
  int32_t oy = 0, ox = 0;
  int8_t *out = output0;
  for (int32_t tile = 0; tile < 4; ++tile) {
    for (int32_t p = 0; p < 4; ++p) {
      ft_word *x = column + p;
      const int32_t y0 = oy * 1 - 2, x0 = ox * 1 - 0;
      const int8_t *from = patch;
      int32_t row_bytes = 14;
      if ((uint32_t)y0 <= 0u && (uint32_t)x0 <= 2u) {
        from = input0 + (y0 * 4 + x0) * 7;
        row_bytes = 28;
      } else {
        int8_t *tap = patch;
        for (int32_t ky = 0; ky < 4; ++ky) {
          const int32_t y = y0 + ky * 1;
          for (int32_t kx = 0; kx < 2; ++kx) {
            const int32_t x1 = x0 + kx * 1;
            if (y >= 0 && y < 4 && x1 >= 0 && x1 < 4) {
              memcpy(tap, input0 + (y * 4 + x1) * 7, 7);
            } else {
              memset(tap, (int)layer->input_zero_point, 7);
            }
            tap += 7;
          }
        }
      }
      for (int32_t ky = 0; ky < 4; ++ky) {
        const int8_t *run = from;
        const int32_t bytes0 = ft_load_word(run);
        x[0] = ft_sxtb16(bytes0);
        x[4] = ft_sxtb16_ror8(bytes0);
        x += 8;
        const int32_t bytes1 = ft_load_word(run + 4);
        x[0] = ft_sxtb16(bytes1);
        x[4] = ft_sxtb16_ror8(bytes1);
        x += 8;
        const int32_t bytes2 = ft_load_word(run + 8);
        x[0] = ft_sxtb16(bytes2);
        x[4] = ft_sxtb16_ror8(bytes2);
        x += 8;
        *x = ft_pack_low(run[12], run[13]);
        x += 4;
        from += row_bytes;
      }
      if (++ox == 4) {
        ox = 0;
        ++oy;
      }
    }
    FT_FENCE();
    (void)ft_gemm_packed_4px_up_min_r27_p28_c18_w315(&gemm, gemm.weights, column, out);
    FT_FENCE();
    out += 72;
  }
}

/* Moves runs of neighbouring elements.
 * Sizes: run 288. */
FT_KERNEL void net_slice_run288(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  const int8_t *in = input0 + 0;
  ft_copy(out, in, 288);
  out += 288;
}

/* Moves runs of neighbouring elements.
 * Sizes: sizes_0 4, strides_0 72, run 60. */
FT_KERNEL void net_slice_run60(const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 4; ++i0) {
    const int8_t *in = input0 + 0 + i0 * 72;
    ft_store4(out + 0, ft_load4(in + 0));
    ft_store4(out + 4, ft_load4(in + 4));
    ft_store4(out + 8, ft_load4(in + 8));
    ft_store4(out + 12, ft_load4(in + 12));
    ft_store4(out + 16, ft_load4(in + 16));
    ft_store4(out + 20, ft_load4(in + 20));
    ft_store4(out + 24, ft_load4(in + 24));
    ft_store4(out + 28, ft_load4(in + 28));
    ft_store4(out + 32, ft_load4(in + 32));
    ft_store4(out + 36, ft_load4(in + 36));
    ft_store4(out + 40, ft_load4(in + 40));
    ft_store4(out + 44, ft_load4(in + 44));
    ft_store4(out + 48, ft_load4(in + 48));
    ft_store4(out + 52, ft_load4(in + 52));
    ft_store4(out + 56, ft_load4(in + 56));
    out += 60;
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(808u <= NET_ARENA_BYTES, "operator 0 leaves the arena");
FT_STATIC_ASSERT(288u <= NET_ARENA_BYTES, "operator 1 leaves the arena");
FT_STATIC_ASSERT(288u <= NET_ARENA_BYTES, "operator 2 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  CONV_2D "y_conv_2d"  [1,4,4,7] -> [1,4,4,18]
   * reads arena[192..303], writes arena[0..287], 504 bytes of scratch */
  net_conv_4x2_4x4x7_to18(&net_op0, (const int8_t *)(arena + 192), (int8_t *)(arena + 0), arena + 304);
  NET_TRACE_OP(0);

  /* op 1  TRANSPOSE "y_transpose"  [1,4,4,1,3,6] -> [1,4,1,4,3,6]
   * reads arena[0..287], writes arena[0..287] */
  net_slice_run288((const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(1);

  /* op 2  SLICE "y"  [1,4,12,6] -> [1,4,10,6]
   * reads arena[0..287], writes arena[0..239] */
  net_slice_run60((const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(2);
  return NET_OK;
}
