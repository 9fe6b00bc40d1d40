/* ---- layer data ---- */

typedef struct {
  const uint16_t *above;
  const uint16_t *below;
  const int16_t *down;
  const uint16_t *left;
  const uint16_t *right;
  const int16_t *across;
} net_resize_bilinear_c5_layer;

static const net_resize_bilinear_c5_layer net_op0 = {
  /* above */ net_op0_above,
  /* below */ net_op0_above,
  /* down */ net_op0_down,
  /* left */ net_op0_left,
  /* right */ net_op0_right,
  /* across */ net_op0_across,
};

/* ---- kernels ---- */

/* Each element from four neighbours, by their distances.
 * Sizes: height 1, width 23, channels 5. */
FT_KERNEL void net_resize_bilinear_c5(const net_resize_bilinear_c5_layer *layer, const int8_t *input0,
    int8_t *output0) {
  int8_t *out = output0;
  {
    const int32_t y = 0;
    const int8_t *const above = input0 + layer->above[y];
    const int8_t *const below = input0 + layer->below[y];
    const int32_t down = layer->down[y];
    for (int32_t x = 0; x < 23; ++x) {
      const int32_t left = (int32_t)layer->left[x];
      const int32_t right = (int32_t)layer->right[x];
      const int32_t across = layer->across[x];
      for (int32_t c = 0; c < 5; ++c) {
        const int32_t upper = (1024 - across) * above[left + c] + across * above[right + c];
        const int32_t lower = (1024 - across) * below[left + c] + across * below[right + c];
        const int32_t sum = (1024 - down) * upper + down * lower; /* 1024 * 1024 times the value */
        *out++ = (int8_t)((sum + (1 << 19) - (sum < 0 ? 1 : 0)) >> 20);
      }
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(147u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  RESIZE_BILINEAR "y"  [1,1,4,5] -> [1,1,23,5]
   * reads arena[0..19], writes arena[32..146] */
  net_resize_bilinear_c5(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 32));
  NET_TRACE_OP(0);
  return NET_OK;
}
