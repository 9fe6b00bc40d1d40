/* ---- layer data ---- */

typedef struct {
  const int32_t *exponentials;
  int8_t rows;
} net_softmax_c10_layer;

static const net_softmax_c10_layer net_op0 = {
  /* exponentials */ net_op0_exponentials,
  /* rows */ 12,
};

/* ---- kernels ---- */

/* Softmax: exponentials in Q31 from a lookup table over max - x, their sum in Q12.19, its reciprocal by three Newton
 * steps (gemmlowp's fixed point). A factor f in [1/2, 1) of a rounded high multiply is held as 2 * (f - 1): then f *
 * x = x + (f - 1) * x is one multiply-accumulate, ft_smmlar(factor, x, x).
 * Sizes: depth 10. */
FT_KERNEL void net_softmax_c10(const net_softmax_c10_layer *layer, const int8_t *input0, int8_t *output0) {
  const int32_t *const exponentials = layer->exponentials;
  const int8_t *in = input0;
  int8_t *out = output0;
  for (int32_t row = layer->rows; row > 0; --row) {
    int32_t largest = in[0];
    for (int32_t i = 1; i < 10; ++i) {
      largest = ft_max(largest, in[i]);
    }
    uint32_t sum = 0;
    for (int32_t i = 0; i < 10; ++i) {
      sum += ((uint32_t)exponentials[largest - in[i]] + (1u << 11)) >> 12;
    }
    const int32_t headroom = __builtin_clz(sum);
    const int32_t factor = (int32_t)((sum << headroom) & ~1u); /* the sum in [1/2, 1) */
        int32_t x = ft_smmlar(factor, -1010580540, 1515870810 - 1010580540); /* 48/17 - 32/17 * the sum, Q2.29 */
        for (int32_t step = 0; step < 3; ++step) {
          x += ft_smmlar(x, (1 << 30) - 2 * ft_smmlar(factor, x, x), 0) * 4;
        }
        const int32_t reciprocal = ft_qadd(x, x);
        const int32_t shift = 35 - headroom; /* to units of 1/256 */
        const uint32_t half = shift > 31 ? 0 : 1u << (shift - 1);
        for (int32_t i = 0; i < 10; ++i) {
          const uint32_t scaled = (uint32_t)ft_high_mul(reciprocal, exponentials[largest - in[i]]) + half;
          out[i] = (int8_t)ft_ssat8((int32_t)(shift > 31 ? 0 : scaled >> shift) - 128);
        }
        in += 10;
        out += 10;
      }
    }

/* ---- inference ---- */
FT_STATIC_ASSERT(120u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  SOFTMAX "y"  [4,1,3,10] -> [4,1,3,10]
   * reads arena[0..119], writes arena[0..119] */
  net_softmax_c10(&net_op0, (const int8_t *)(arena + 0), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
