/* ---- layer data ---- */

typedef struct {
  const uint16_t *offsets;
} net_gather_block3_layer;

typedef struct {
  const uint16_t *offsets;
} net_gather_block72_layer;

static const net_gather_block3_layer net_op0 = {
  /* offsets */ net_op0_offsets,
};

static const net_gather_block72_layer net_op1 = {
  /* offsets */ net_op1_offsets,
};

/* ---- kernels ---- */

/* Gathers blocks of 3 elements, again and again.
 * Sizes: count 1, stride 24, blocks 24. */
FT_KERNEL void net_gather_block3(const net_gather_block3_layer *layer, const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  {
    const int32_t i = 0;
    const int8_t *const base = input0 + i * 24;
    for (int32_t n = 0; n < 24; ++n) {
      const int8_t *in = base + layer->offsets[n];
      out[0] = in[0];
      out[1] = in[1];
      out[2] = in[2];
      out += 3;
    }
  }
}

/* Gathers blocks of 72 elements, again and again.
 * Sizes: count 1, stride 72, blocks 2. */
FT_KERNEL void net_gather_block72(const net_gather_block72_layer *layer, const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  {
    const int32_t i = 0;
    const int8_t *const base = input0 + i * 72;
    for (int32_t n = 0; n < 2; ++n) {
      const int8_t *in = base + layer->offsets[n];
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
      ft_store4(out + 60, ft_load4(in + 60));
      ft_store4(out + 64, ft_load4(in + 64));
      ft_store4(out + 68, ft_load4(in + 68));
      out += 72;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(216u <= NET_ARENA_BYTES, "operator 0 leaves the arena");
FT_STATIC_ASSERT(216u <= NET_ARENA_BYTES, "operator 1 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  GATHER "y_gather"  [1,1,8,3] -> [1,1,24,3]
   * reads arena[0..23], writes arena[144..215] */
  net_gather_block3(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 144));
  NET_TRACE_OP(0);

  /* op 1  GATHER "y"  [1,1,24,3] -> [1,2,24,3]
   * reads arena[144..215], writes arena[0..143] */
  net_gather_block72(&net_op1, (const int8_t *)(arena + 144), (int8_t *)(arena + 0));
  NET_TRACE_OP(1);
  return NET_OK;
}
