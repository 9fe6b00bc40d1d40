/* ---- layer data ---- */

typedef struct {
  const int16_t *table0;
  const int16_t *table1;
  int32_t square_multiplier;
  int32_t square_zero;
  int8_t square_shift;
} net_squared_difference_layer;

static const net_squared_difference_layer net_op0 = {
  /* table0 */ net_op0_table0,
  /* table1 */ net_op0_table1,
  /* square_multiplier */ 1627419985,
  /* square_zero */ 65536,
  /* square_shift */ 17,
};

/* ---- kernels ---- */

/* Both inputs on one scale by lookup tables, their difference squared and requantized. */
FT_KERNEL void net_squared_difference(const net_squared_difference_layer *layer, const int8_t *input0,
    const int8_t *input1, int8_t *output0) {
  const int16_t *const table0 = layer->table0;
  const int16_t *const table1 = layer->table1;
  int8_t *out = output0;
  for (int32_t i0 = 0; i0 < 2; ++i0) {
    const int8_t *a = input0 + i0 * 6;
    const int8_t *b = input1 + i0;
    const int8_t b_value = *b;
    {
      const int32_t difference0 = table0[(uint8_t)a[0]] - table1[(uint8_t)b_value];
      const int32_t difference1 = table0[(uint8_t)a[1]] - table1[(uint8_t)b_value];
      out[0] = (int8_t)ft_scale_away(2 * (difference0 * difference0), layer->square_multiplier, layer->square_zero,
          layer->square_shift);
      out[1] = (int8_t)ft_scale_away(2 * (difference1 * difference1), layer->square_multiplier, layer->square_zero,
          layer->square_shift);
      a += 2;
      out += 2;
    }
    {
      const int32_t difference0 = table0[(uint8_t)a[0]] - table1[(uint8_t)b_value];
      const int32_t difference1 = table0[(uint8_t)a[1]] - table1[(uint8_t)b_value];
      out[0] = (int8_t)ft_scale_away(2 * (difference0 * difference0), layer->square_multiplier, layer->square_zero,
          layer->square_shift);
      out[1] = (int8_t)ft_scale_away(2 * (difference1 * difference1), layer->square_multiplier, layer->square_zero,
          layer->square_shift);
      a += 2;
      out += 2;
    }
    {
      const int32_t difference0 = table0[(uint8_t)a[0]] - table1[(uint8_t)b_value];
      const int32_t difference1 = table0[(uint8_t)a[1]] - table1[(uint8_t)b_value];
      out[0] = (int8_t)ft_scale_away(2 * (difference0 * difference0), layer->square_multiplier, layer->square_zero,
          layer->square_shift);
      out[1] = (int8_t)ft_scale_away(2 * (difference1 * difference1), layer->square_multiplier, layer->square_zero,
          layer->square_shift);
      a += 2;
      out += 2;
    }
  }
}

/* ---- inference ---- */
FT_STATIC_ASSERT(18u <= NET_ARENA_BYTES, "operator 0 leaves the arena");

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  NET_TRACE_OP(-1);

  /* op 0  SQUARED_DIFFERENCE "y"  [2,2,3] [2,1,1] -> [2,2,3]
   * reads arena[0..11] arena[16..17], writes arena[0..11] */
  net_squared_difference(&net_op0, (const int8_t *)(arena + 0), (const int8_t *)(arena + 16), (int8_t *)(arena + 0));
  NET_TRACE_OP(0);
  return NET_OK;
}
