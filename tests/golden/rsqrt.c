/* ---- layer data ---- */

typedef struct {
  const int8_t *table;
  int16_t count;
} net_lookup_table_layer;

static const net_lookup_table_layer net_op0 = {
  /* table */ net_op0_table,
  /* count */ 9600,
};

/* ---- kernels ---- */

/* A function of one int8 value: each element by a lookup table of 256 bytes. */
FT_KERNEL void net_lookup_table(const net_lookup_table_layer *layer, const int8_t *input0, int8_t *output0) {
  const int8_t *const table = layer->table;
  const uint8_t *in = (const uint8_t *)input0;
  int8_t *out = output0;
  int32_t left = layer->count;
  FT_ROLLED
  for (; left >= 8; left -= 8) {
    const uint8_t x0 = in[0];
    const uint8_t x1 = in[1];
    const uint8_t x2 = in[2];
    const uint8_t x3 = in[3];
    const uint8_t x4 = in[4];
    const uint8_t x5 = in[5];
    const uint8_t x6 = in[6];
    const uint8_t x7 = in[7];
    out[0] = table[x0];
    out[1] = table[x1];
    out[2] = table[x2];
    out[3] = table[x3];
    out[4] = table[x4];
    out[5] = table[x5];
    out[6] = table[x6];
    out[7] = table[x7];
    in += 8;
    out += 8;
  }
  FT_ROLLED
  for (; left > 0; --left) {
    *out++ = table[*in++];
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(9600u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  RSQRT "y"  [6,5,5,64] -> [6,5,5,64]
   * reads arena[0..9599], writes arena[0..9599] */
  net_lookup_table(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
