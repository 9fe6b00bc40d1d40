/* ---- plain C: products of two centred int8 values to int8, see the generator's kernels/plain/product.py ----
 * Constant: the form, whether negative products round away from zero, and the activation's clamp.
 */
enum {
  FT_PLAIN_PRODUCT_WHOLE, /* rounding in 64 bits; products are multiplied by a power of two before */
  FT_PLAIN_PRODUCT_PIECES, /* multiplier of 15 + 15 bits: nothing needs more than 32 bits */
  FT_PLAIN_PRODUCT_TWICE   /* the same, rounded on the way */
};

typedef struct {
  int32_t form, has_sign, low, high;
  int32_t multiplier, lower, half, offset, right;
} ft_plain_product;

FT_INLINE int8_t ft_plain_product_to_int8(int32_t product, const ft_plain_product *p) {
  int32_t value = p->offset;
  if (p->form == FT_PLAIN_PRODUCT_PIECES) {
    value += product * p->multiplier;
    value += (product * p->lower) >> 15;
  } else if (p->form == FT_PLAIN_PRODUCT_TWICE) {
    value += (product * p->multiplier + ((product * p->lower) >> 15) + p->half) >> 15;
  } else {
    value += (int32_t)(((int64_t)product * p->multiplier + 0x80000000LL) >> 32);
  }
  if (p->has_sign) {
    value += product >> 31;
  }
  value = ft_plain_ssat8(value >> p->right);
  if (p->low > -128) {
    value = ft_max(value, p->low);
  }
  if (p->high < 127) {
    value = ft_min(value, p->high);
  }
  return (int8_t)value;
}

/* The products of all int8 values with one factor: for the value x at table[x]. */
FT_INLINE void ft_plain_product_table(uint8_t *table, int32_t offset, int32_t factor, int32_t flip,
                                      const ft_plain_product *p) {
  int32_t product = (offset - 128) * factor;
  FT_ROLLED
  for (int32_t x = -128; x < 128; ++x) {
    table[x] = (uint8_t)(ft_plain_product_to_int8(product, p) ^ flip);
    product += factor;
  }
}

/* A row of one channel to a plane, each value as its product with the channel's factor. */
FT_INLINE uint8_t *ft_plain_load_row_of_products(uint8_t *to, const int8_t *from, int32_t count, int32_t stride,
                                                 int32_t factor, int32_t start, int32_t flip,
                                                 const ft_plain_product *p) {
  FT_ROLLED
  for (int32_t left = count; left > 0; --left) {
    *to++ = (uint8_t)(ft_plain_product_to_int8(*from * factor + start, p) ^ flip);
    from += stride;
  }
  return to;
}
