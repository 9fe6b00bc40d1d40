/* ---- mean and variance of channels ---- */

/* Four sums to int8; constants: an offset of the sums (of their doubles but where exact), then multiplier, offset and
 * shift of the scaling function, and whether that is the exact one. */
FT_SHARED void ft_store_scaled_exact(int8_t *out, const int32_t *sums, const int32_t *constants) {
  for (int32_t i = 0; i < 4; ++i) {
    out[i] = (int8_t)ft_scale_exact(sums[i] + constants[0], constants[1], constants[2], constants[3]);
  }
}
FT_SHARED void ft_store_scaled(int8_t *out, const int32_t *sums, const int32_t *constants) {
  if (constants[4]) {
    ft_store_scaled_exact(out, sums, constants);
    return;
  }
  const int32_t sum_offset = constants[0];
  const int32_t multiplier = constants[1];
  const int32_t offset = constants[2];
  const int32_t shift = constants[3];
  out[0] = (int8_t)ft_scale_away(2 * sums[0] + sum_offset, multiplier, offset, shift);
  out[1] = (int8_t)ft_scale_away(2 * sums[1] + sum_offset, multiplier, offset, shift);
  out[2] = (int8_t)ft_scale_away(2 * sums[2] + sum_offset, multiplier, offset, shift);
  out[3] = (int8_t)ft_scale_away(2 * sums[3] + sum_offset, multiplier, offset, shift);
}
FT_SHARED void ft_store_one_scaled(int8_t *out, int32_t sum, const int32_t *constants) {
  const int32_t sums[4] = {sum, 0, 0, 0};
  int8_t scaled[4];
  ft_store_scaled(scaled, sums, constants);
  *out = scaled[0];
}

/* Int16 lanes hold the sums of 255 bytes of four channels: even, of channels 0 and 2, and odd, of 1 and 3. */
FT_INLINE void ft_add_lanes(int32_t *sums, int32_t even, int32_t odd) {
  sums[0] += (int16_t)even;
  sums[1] += (int16_t)odd;
  sums[2] += even >> 16;
  sums[3] += odd >> 16;
}
FT_SHARED void ft_store_scaled_lanes(int8_t *out, int32_t even, int32_t odd, const int32_t *constants) {
  if (constants[4]) {
    const int32_t sums[4] = {(int16_t)even, (int16_t)odd, even >> 16, odd >> 16};
    ft_store_scaled_exact(out, sums, constants);
    return;
  }
  const int32_t sum_offset = constants[0];
  const int32_t multiplier = constants[1];
  const int32_t offset = constants[2];
  const int32_t shift = constants[3];
  out[0] = (int8_t)ft_scale_away(2 * (int16_t)even + sum_offset, multiplier, offset, shift);
  out[1] = (int8_t)ft_scale_away(2 * (int16_t)odd + sum_offset, multiplier, offset, shift);
  out[2] = (int8_t)ft_scale_away(2 * (even >> 16) + sum_offset, multiplier, offset, shift);
  out[3] = (int8_t)ft_scale_away(2 * (odd >> 16) + sum_offset, multiplier, offset, shift);
}

#define FT_ADD_TO_LANES(even, odd, word) ((even) = ft_sxtab16((even), (word)), (odd) = ft_sxtab16_ror8((odd), (word)))

/* The bytes of 16 channels of a pixel, of 8, or of 4 onto lanes; in steps on by a pixel of `stride` bytes. */
#define FT_ADD_PIXEL_16()                                            \
  do {                                                               \
    const ft_word *const words = (const ft_word *)(const void *)in;  \
    int32_t word0, word1;                                            \
    FT_READ_TWO(words, 0, word0, word1);                             \
    FT_ADD_TO_LANES(even0, odd0, word0);                             \
    FT_ADD_TO_LANES(even1, odd1, word1);                             \
    FT_READ_TWO(words, 2, word0, word1);                             \
    FT_ADD_TO_LANES(even2, odd2, word0);                             \
    FT_ADD_TO_LANES(even3, odd3, word1);                             \
    FT_STEP(in, stride, 0);                                          \
  } while (0)
#define FT_ADD_PIXEL_8()                                             \
  do {                                                               \
    int32_t word0, word1;                                            \
    FT_READ_TWO((const ft_word *)(const void *)in, 0, word0, word1); \
    FT_ADD_TO_LANES(even0, odd0, word0);                             \
    FT_ADD_TO_LANES(even1, odd1, word1);                             \
    FT_STEP(in, stride, 0);                                          \
  } while (0)
#define FT_ADD_PIXEL_4()                \
  do {                                  \
    const int32_t word = ft_load4(in);  \
    FT_ADD_TO_LANES(even0, odd0, word); \
    FT_STEP(in, stride, 0);             \
  } while (0)

/* Sums of up to 255 pixels of 4, 8 or 16 channels, as `fours` (1, 2 or 4) pairs of lanes. */
FT_SHARED void ft_sum_lanes(int32_t *lanes, const int8_t *in, int32_t stride, int32_t pixels, int32_t fours) {
  int32_t even0 = 0, odd0 = 0, even1 = 0, odd1 = 0, even2 = 0, odd2 = 0, even3 = 0, odd3 = 0;
  int32_t left = pixels;
  if (fours == 4) {
    FT_ROLLED
    for (; left >= 7; left -= 7) {
      FT_ADD_PIXEL_16();
      FT_ADD_PIXEL_16();
      FT_ADD_PIXEL_16();
      FT_ADD_PIXEL_16();
      FT_ADD_PIXEL_16();
      FT_ADD_PIXEL_16();
      FT_ADD_PIXEL_16();
    }
    FT_ROLLED
    for (; left > 0; --left) {
      FT_ADD_PIXEL_16();
    }
    lanes[4] = even2;
    lanes[5] = odd2;
    lanes[6] = even3;
    lanes[7] = odd3;
  } else if (fours == 2) {
    FT_ROLLED
    for (; left >= 4; left -= 4) {
      FT_ADD_PIXEL_8();
      FT_ADD_PIXEL_8();
      FT_ADD_PIXEL_8();
      FT_ADD_PIXEL_8();
    }
    FT_ROLLED
    for (; left > 0; --left) {
      FT_ADD_PIXEL_8();
    }
  } else {
    FT_ROLLED
    for (; left > 0; --left) {
      FT_ADD_PIXEL_4();
    }
    lanes[0] = even0;
    lanes[1] = odd0;
    return;
  }
  lanes[0] = even0;
  lanes[1] = odd0;
  lanes[2] = even1;
  lanes[3] = odd1;
}

/* The means of all channels, scaled to int8. */
FT_SHARED void ft_channel_means(
    int8_t *means, const int8_t *map, int32_t channels, int32_t pixels, const int32_t *constants) {
  int32_t left = channels;
  while (left >= 4) { /* pairs of words only where all pixels are whole words */
    const int32_t fours = channels % 4 || left < 8 ? 1 : left < 16 ? 2 : 4;
    int32_t lanes[8];
    int32_t block = ft_min(pixels, 252);
    ft_sum_lanes(lanes, map, channels, block, fours);
    if (block == pixels) {
      for (int32_t i = 0; i < fours; ++i) {
        ft_store_scaled_lanes(means + 4 * i, lanes[2 * i], lanes[2 * i + 1], constants);
      }
    } else {
      int32_t sums[16] = {0};
      for (int32_t done = 0;;) {
        for (int32_t i = 0; i < fours; ++i) {
          ft_add_lanes(sums + 4 * i, lanes[2 * i], lanes[2 * i + 1]);
        }
        done += block;
        block = ft_min(pixels - done, 252);
        if (block == 0) {
          break;
        }
        ft_sum_lanes(lanes, map + done * channels, channels, block, fours);
      }
      for (int32_t i = 0; i < fours; ++i) {
        ft_store_scaled(means + 4 * i, sums + 4 * i, constants);
      }
    }
    left -= 4 * fours;
    map += 4 * fours;
    means += 4 * fours;
  }
  for (; left > 0; --left) {
    const int8_t *in = map++;
    int32_t sum = 0;
    for (int32_t n = pixels; n > 0; --n) {
      sum += *in;
      in += channels;
    }
    ft_store_one_scaled(means++, sum, constants);
  }
}

/* The negative centre of a mean, on the scale of a rooted difference: see the generator's kernels/mean_variance.py.
 * Constants: offset of the mean, multiplier, half a step, shift, -1 if the shift is not 0, offset of the centre.
 * Rounded twice as LiteRT does. */
FT_INLINE int32_t ft_rooted(int32_t mean, const int32_t *constants, int32_t root) {
  const int32_t x = (mean + constants[0]) * 256;
  const int32_t high = ft_smmlar(x, constants[1], constants[2]) + ((x >> 31) & constants[4]);
  const int32_t centre = (high >> constants[3]) + constants[5];
  return -(int32_t)(((int64_t)centre * root) >> 14);
}
FT_SHARED int32_t ft_rooted_centre(int32_t mean, const int32_t *constants, int32_t root) {
  return ft_rooted(mean, constants, root);
}
FT_SHARED void ft_rooted_centres(int32_t *centres, const int8_t *means, const int32_t *constants, int32_t root) {
  const int32_t mean0 = means[0];
  const int32_t mean1 = means[1];
  const int32_t mean2 = means[2];
  const int32_t mean3 = means[3];
  const int32_t centre0 = ft_rooted(mean0, constants, root);
  const int32_t centre1 = ft_rooted(mean1, constants, root);
  const int32_t centre2 = ft_rooted(mean2, constants, root);
  const int32_t centre3 = ft_rooted(mean3, constants, root);
  centres[0] = centre0;
  centres[1] = centre1;
  centres[2] = centre2;
  centres[3] = centre3;
}

/* table[x] for x = -128..127: the squared difference of x and a mean plus 128. Four at a time, in an aligned table. */
FT_SHARED void ft_squares_table(uint8_t *table, int32_t root, int32_t rooted_centre, int32_t offset) {
  int32_t even = ft_pack_low(-128 * 256, -126 * 256); /* 256 * x of x and x + 2, then of x + 1 and x + 3 */
  int32_t odd = ft_pack_low(-127 * 256, -125 * 256);
  const int32_t step = ft_pack_low(1024, 1024);
  int8_t *out = (int8_t *)table - 128;
  FT_ROLLED
  for (int32_t n = 32; n > 0; --n) {
    {
      const int32_t difference0 = ft_smlawb(root, even, rooted_centre);
      const int32_t difference2 = ft_smlawt(root, even, rooted_centre);
      const int32_t difference1 = ft_smlawb(root, odd, rooted_centre);
      const int32_t difference3 = ft_smlawt(root, odd, rooted_centre);
      const int32_t square0 = ft_smmla(difference0, difference0, offset);
      const int32_t square2 = ft_smmla(difference2, difference2, offset);
      const int32_t square1 = ft_smmla(difference1, difference1, offset);
      const int32_t square3 = ft_smmla(difference3, difference3, offset);
      const uint32_t even_bytes = (uint32_t)ft_usat8x2(ft_pack_high(square0, square2));
      const uint32_t odd_bytes = (uint32_t)ft_usat8x2(ft_pack_high(square1, square3));
      ft_store4(out, (int32_t)(even_bytes | (odd_bytes << 8)));
      even = ft_sadd16(even, step);
      odd = ft_sadd16(odd, step);
      out += 4;
    }
    {
      const int32_t difference0 = ft_smlawb(root, even, rooted_centre);
      const int32_t difference2 = ft_smlawt(root, even, rooted_centre);
      const int32_t difference1 = ft_smlawb(root, odd, rooted_centre);
      const int32_t difference3 = ft_smlawt(root, odd, rooted_centre);
      const int32_t square0 = ft_smmla(difference0, difference0, offset);
      const int32_t square2 = ft_smmla(difference2, difference2, offset);
      const int32_t square1 = ft_smmla(difference1, difference1, offset);
      const int32_t square3 = ft_smmla(difference3, difference3, offset);
      const uint32_t even_bytes = (uint32_t)ft_usat8x2(ft_pack_high(square0, square2));
      const uint32_t odd_bytes = (uint32_t)ft_usat8x2(ft_pack_high(square1, square3));
      ft_store4(out, (int32_t)(even_bytes | (odd_bytes << 8)));
      even = ft_sadd16(even, step);
      odd = ft_sadd16(odd, step);
      out += 4;
    }
  }
}
