/* ---- layer data ---- */

typedef struct {
  const int8_t *operand;
  int8_t loops_count;
} net_minimum_layer;

static const net_minimum_layer net_op0 = {
  /* operand */ net_op0_operand,
  /* loops_count */ 4,
};

/* ---- kernels ---- */

/* The smaller of an element and a constant. */
FT_KERNEL void net_minimum(const net_minimum_layer *layer, const int8_t *input0, int8_t *output0) {
  int8_t *out = output0;
  const int8_t *a = input0;
  const int8_t *b = layer->operand;
  int32_t left = layer->loops_count;
  FT_ROLLED
  for (; left >= 8; left -= 8) {
    {
      ft_store4(out, ~ft_max8(~ft_load4(a), ~ft_load4(b)));
      a += 4;
      b += 4;
      out += 4;
    }
    {
      ft_store4(out, ~ft_max8(~ft_load4(a), ~ft_load4(b)));
      a += 4;
      b += 4;
      out += 4;
    }
  }
  FT_ROLLED
  for (; left > 0; --left) {
    {
      out[0] = (int8_t)ft_min(a[0], b[0]);
      a += 1;
      b += 1;
      out += 1;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(4u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  MINIMUM "y"  [4] -> [4]
   * reads arena[0..3], writes arena[0..3] */
  net_minimum(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
