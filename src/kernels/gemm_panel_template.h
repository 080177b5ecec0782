// gemm_panel_template: quantized weights of any type as a panel of unsigned bytes, for one vector
// width.
//
// A strip is GM_N rows, one 32-bit lane each. Its record of a block of 32 weights is, in vectors:
//   0..7  bytes: vector j holds weights 4j..4j+3 of each row, plus the type's zero point
//   8     dw, the scale (of the first half)
//   9     -dw * GM_MAGIC
// and then, as the type's traits say:
//   GM_HALVES     10  dw of the second half
//   GM_TIMES      11  what the sum of the two halves' products is multiplied with
//   GM_OFFSETS    10  mw, the offset
//   GM_OFFSETS16  10  mw of the first half,
//                 11  mw of the second half
// Where the canon has scales per 16 weights in integers, weights are stored times those: Q2_K has
// 0..45, Q3_K -124..128 plus a zero point of 124, and the block then has a single scale. For the
// byte product of AVX2 that range is too large, and Q3_K comes as it is, dw its integer scales:
// their products are whole floats below 2^24, so they and their sum are exact.
//
// Records of a strip are `step` bytes apart: those of the panel's other strips lie between them.
//
// Sixteen bytes of each row at a time are read into vectors (row 4l + i is lane l of vector i) and
// turned by a 4 x 4 transpose of 32-bit parts, still packed: shifts and masks then unpack all rows
// at once. Nothing but the rows' own bytes is read.
//
// A converter returns false if a scale is infinite or NaN, where the tile's arithmetic would not be
// the reference's.
//
// Parameters: GM(name) prefixes names; GM_I and GM_F are the vector types; GM_N rows in a vector;
// GM_TARGET. The includer defines the primitives (chunk and arithmetic on GM_I and GM_F).

// 1.5 * 2^23: adding an integer of less than 2^22 to its bits adds that integer to it.
#define GM_MAGIC 12582912.0f
#define GM_V     ((size_t)GM_N * 4) // bytes of a vector

// Traits of a type: two scales per block, and one for both; an offset per block; two. And the
// vectors of its records.
#define GM_HALVES    1
#define GM_TIMES     2
#define GM_OFFSETS   4
#define GM_OFFSETS16 8
#define GM_VECTORS(trait)                                                                          \
    ((size_t)(10 + ((trait)&GM_HALVES) + ((trait)&GM_TIMES) / 2 + ((trait)&GM_OFFSETS) / 4 +       \
              ((trait)&GM_OFFSETS16) / 4))

// What will be converted next, in three parts. A few lines of each are asked for in every step of
// converting and multiplying what comes before, about two blocks of a strip or one of a tile:
// memory gives three distant streams more than one, and more over a long time than in a short one.
// Addresses are numbers here, as they may pass the matrix's end.
typedef struct GM(ahead) {
    uintptr_t at;
    size_t part;         // bytes
    int32_t lines;       // of each part to ask for in a step now
    int32_t converting;  // so many while converting,
    int32_t each, tiles; // and so many in the last `tiles` tiles
} GM(ahead);

GM_TARGET CH_FORCE_INLINE void GM(read_on)(GM(ahead) * ahead) {
    for (int32_t i = 0; i < ahead->lines; i++, ahead->at += 64)
        for (size_t part = 0; part < 3; part++)
            _mm_prefetch((const char *)(ahead->at + part * ahead->part), _MM_HINT_T1);
}

// These rows come next; how many lines a part of them has.
GM_TARGET CH_FORCE_INLINE int32_t GM(look_at)(GM(ahead) * ahead, const ch_mm_args *a, int32_t r,
                                              int32_t rows) {
    size_t lines = ((size_t)rows * a->w_stride + 3 * 64 - 1) / (3 * 64);
    ahead->at = (uintptr_t)a->w + (size_t)r * a->w_stride;
    ahead->part = lines * 64;
    return (int32_t)lines;
}

// What is gathered while a strip is converted: zero, or NaN once a scale was not finite.
typedef struct GM(sink) {
    uint8_t *record;
    size_t step;
    GM(ahead) * ahead;
    GM_F finite;
} GM(sink);

GM_TARGET CH_FORCE_INLINE uint8_t *GM(record)(const GM(sink) * s, int32_t b) {
    return s->record + (size_t)b * s->step;
}

GM_TARGET CH_FORCE_INLINE GM_I GM(masked)(GM_I v, int32_t mask) {
    return GM(and)(v, GM(set1)(mask));
}

// Byte i of every lane, as a float.
GM_TARGET CH_FORCE_INLINE GM_F GM(byte)(GM_I v, int i) {
    return GM(to_float)(GM(masked)(GM(srl)(v, 8 * i), 0xff));
}

GM_TARGET CH_FORCE_INLINE GM_F GM(signed_byte)(GM_I v, int i) {
    return GM(to_float)(GM(sra)(GM(sll)(v, 24 - 8 * i), 24));
}

// The scale of a block: of all of it, or of its first half.
GM_TARGET CH_FORCE_INLINE void GM(put_scale)(GM(sink) * s, int32_t b, GM_F dw) {
    uint8_t *record = GM(record)(s, b);
    GM(store_f)(record + 8 * GM_V, dw);
    GM(store_f)(record + 9 * GM_V, GM(mul)(dw, GM(set1_f)(-GM_MAGIC)));
    s->finite = GM(fma)(dw, GM(set1_f)(0.0f), s->finite);
}

GM_TARGET CH_FORCE_INLINE void GM(put_scale2)(GM(sink) * s, int32_t b, GM_F dw0, GM_F dw1) {
    GM(put_scale)(s, b, dw0);
    GM(store_f)(GM(record)(s, b) + 10 * GM_V, dw1);
    s->finite = GM(fma)(dw1, GM(set1_f)(0.0f), s->finite);
}

GM_TARGET CH_FORCE_INLINE void GM(put)(GM(sink) * s, int32_t b, int j, GM_I bytes) {
    GM(store_i)(GM(record)(s, b) + (size_t)j * GM_V, bytes);
}

// Vectors j of blocks b and b2 from low and high nibbles, with bits above them already in place.
GM_TARGET CH_FORCE_INLINE void GM(put_nibbles)(GM(sink) * s, int32_t b, int j, int32_t b2, int j2,
                                               GM_I v, GM_I above, GM_I above2) {
    GM(put)(s, b, j, GM(or)(GM(masked)(v, 0x0f0f0f0f), above));
    GM(put)(s, b2, j2, GM(or)(GM(bits)(v, 4, 0, 4), above2));
}

// Bits 4j..4j+3 of each lane of h as bit 4 of its four bytes.
GM_TARGET CH_FORCE_INLINE GM_I GM(fifth_bits)(GM_I h, int j) {
    GM_I spread = GM(repeat_byte)(j % 2 ? h : GM(sll)(h, 4), j / 2);
    return GM(min_u8)(GM(masked)(spread, (int32_t)0x80402010u), GM(set1)(0x10101010));
}

// Dwords at..at + 4n - 1 of each row; n is at least 4.
GM_TARGET CH_FORCE_INLINE void GM(dwords)(const uint8_t *const *CH_RESTRICT rows, size_t at,
                                          const int n, GM_I *t) {
    CH_UNROLL for (int i = 0; i + 4 <= n; i += 4) GM(chunk)(rows, at + 4 * (size_t)i, t + i);
    if (n % 4) GM(chunk)(rows, at + 4 * (size_t)(n - 4), t + n - 4);
}

// ---- types with blocks of 32: two blocks at a time, which are whole dwords, then a last one

// A block of each row. head: its first two bytes or more; q: what follows them.
GM_TARGET CH_FORCE_INLINE void GM(block_q4_0)(GM(sink) * s, int32_t b, GM_I head, const GM_I *q) {
    GM_I zero = GM(set1)(0);
    GM(put_scale)(s, b, GM(half)(head));
    CH_UNROLL for (int j = 0; j < 4; j++) GM(put_nibbles)(s, b, j, b, j + 4, q[j], zero, zero);
}

GM_TARGET CH_FORCE_INLINE void GM(block_q4_1)(GM(sink) * s, int32_t b, GM_I head, const GM_I *q) {
    GM(block_q4_0)(s, b, head, q);
    GM(store_f)(GM(record)(s, b) + 10 * GM_V, GM(half)(GM(srl)(head, 16)));
}

GM_TARGET CH_FORCE_INLINE void GM(block_q5_0)(GM(sink) * s, int32_t b, GM_I head, const GM_I *q) {
    GM(put_scale)(s, b, GM(half)(head));
    CH_UNROLL for (int j = 0; j < 4; j++) GM(put_nibbles)(
        s, b, j, b, j + 4, q[1 + j], GM(fifth_bits)(q[0], j), GM(fifth_bits)(q[0], j + 4));
}

GM_TARGET CH_FORCE_INLINE void GM(block_q5_1)(GM(sink) * s, int32_t b, GM_I head, const GM_I *q) {
    GM(block_q5_0)(s, b, head, q);
    GM(store_f)(GM(record)(s, b) + 10 * GM_V, GM(half)(GM(srl)(head, 16)));
}

GM_TARGET CH_FORCE_INLINE void GM(block_q8_0)(GM(sink) * s, int32_t b, GM_I head, const GM_I *q) {
    GM_I flip = GM(set1)((int32_t)0x80808080u);
    GM(put_scale)(s, b, GM(half)(head));
    CH_UNROLL for (int j = 0; j < 8; j++) GM(put)(s, b, j, GM(xor)(q[j], flip));
}

// `n` dwords follow a head of four bytes, or (`odd`) of two: then the first of two blocks has them
// across dwords, and the second one's head is the upper half of the dword between.
#define GM_CONVERT(type, n, odd)                                                                   \
    GM_TARGET static CH_NOINLINE bool GM(convert_##type)(const uint8_t *const *CH_RESTRICT rows,   \
                                                         int32_t k, uint8_t *record, size_t step,  \
                                                         GM(ahead) * ahead) {                      \
        const size_t bytes = sizeof(ch_block_##type);                                              \
        GM(sink) s = {record, step, ahead, GM(set1_f)(0.0f)};                                      \
        GM_I t[2 * (n) + 2], q[n];                                                                 \
        int32_t b = 0, blocks = k / 32;                                                            \
        for (; b + 2 <= blocks; b += 2) {                                                          \
            GM(read_on)(s.ahead);                                                                  \
            GM(dwords)(rows, (size_t)b * bytes, (int)bytes / 2, t);                                \
            CH_UNROLL for (int i = 0; i < (n); i++) q[i] =                                         \
                odd ? GM(straddle)(t[i], t[i + 1]) : t[1 + i];                                     \
            GM(block_##type)(&s, b, t[0], q);                                                      \
            GM(block_##type)                                                                       \
            (&s, b + 1, odd ? GM(srl)(t[n], 16) : t[(n) + 1], t + (n) + 2 - (odd));                \
        }                                                                                          \
        if (b < blocks) {                                                                          \
            GM(dwords)(rows, (size_t)b * bytes, 4, t);                                             \
            GM(dwords)(rows, (size_t)b * bytes + (odd ? 2 : 4), n, q);                             \
            GM(block_##type)(&s, b, t[0], q);                                                      \
        }                                                                                          \
        return GM(all_zero)(s.finite);                                                             \
    }
GM_CONVERT(q4_0, 4, 1)
GM_CONVERT(q4_1, 4, 0)
GM_CONVERT(q5_0, 5, 1)
GM_CONVERT(q5_1, 5, 0)
GM_CONVERT(q8_0, 8, 1)
#undef GM_CONVERT

// Four bytes of each row times one of -32..63 (in all four bytes of the row's lane): the products'
// low bytes. An even byte and the odd one above it are multiplied apart, as neither may carry.
GM_TARGET CH_FORCE_INLINE GM_I GM(times_bytes)(GM_I v, GM_I by) {
    const int32_t odd = (int32_t)0xff00ff00u;
    return GM(or)(GM(masked)(GM(mul_16)(v, by), ~odd), GM(mul_16)(GM(masked)(v, odd), by));
}

GM_TARGET static CH_NOINLINE bool GM(convert_q2_k)(const uint8_t *const *CH_RESTRICT rows,
                                                   int32_t k, uint8_t *record, size_t step,
                                                   GM(ahead) * ahead) {
    GM(sink) s = {record, step, ahead, GM(set1_f)(0.0f)};
    GM_I t[4], scales[4], by[16];
    for (int32_t b = 0; b < k / 32; b += 8) {
        size_t at = (size_t)(b / 8) * sizeof(ch_block_q2_k);
        GM(chunk)(rows, at + 68, t);
        GM(chunk)(rows, at, scales);
        GM_F d = GM(half)(t[3]), dmin = GM(neg)(GM(half)(GM(srl)(t[3], 16)));
        CH_UNROLL for (int p = 0; p < 8; p++) {
            GM_I low = GM(masked)(scales[p / 2], 0x0f0f0f0f);
            GM_I high = GM(bits)(scales[p / 2], 4, 0, 4);
            int byte = p % 2 * 2;
            uint8_t *to = GM(record)(&s, b + p);
            GM(put_scale)(&s, b + p, d);
            GM(store_f)(to + 10 * GM_V, GM(mul)(dmin, GM(byte)(high, byte)));
            GM(store_f)(to + 11 * GM_V, GM(mul)(dmin, GM(byte)(high, byte + 1)));
            // Two bytes at a time are multiplied as one number: 3 * 15 does not carry.
            by[2 * p] = GM(masked)(GM(repeat_byte)(low, byte), 0x00ff00ff);
            by[2 * p + 1] = GM(masked)(GM(repeat_byte)(low, byte + 1), 0x00ff00ff);
        }
        for (int i = 0; i < 4; i++) {
            GM(read_on)(s.ahead);
            GM(chunk)(rows, at + 16 + 16 * (size_t)i, t);
            CH_UNROLL for (int p = 0; p < 4; p++) {
                int32_t part = i / 2 * 4 + p;
                CH_UNROLL for (int j = 0; j < 4; j++)
                    GM(put)(&s, b + part, i % 2 * 4 + j,
                            GM(mul_16)(GM(bits)(t[j], 2 * p, 0, 2), by[2 * part + i % 2]));
            }
        }
    }
    return GM(all_zero)(s.finite);
}

// The sixteen 6-bit scales of q3_k, less 32, as four lanes of signed bytes.
GM_TARGET CH_FORCE_INLINE GM_I GM(scales_q3_k)(const GM_I *packed, int i) {
    GM_I low = GM(bits)(packed[1 + i % 2], i / 2 * 4, 0, 4);
    GM_I high = GM(bits)(packed[3], 2 * i, 4, 2);
    return GM(sub_8)(GM(or)(low, high), GM(set1)(0x20202020));
}

// `whole` (a constant): scales go to the weights, see the head.
GM_TARGET CH_FORCE_INLINE bool GM(convert_3k)(const uint8_t *const *CH_RESTRICT rows, int32_t k,
                                              uint8_t *record, size_t step, GM(ahead) * ahead,
                                              const bool whole) {
    GM(sink) s = {record, step, ahead, GM(set1_f)(0.0f)};
    GM_I t[4], high[8], packed[4], by[16], zero[16];
    for (int32_t b = 0; b < k / 32; b += 8) {
        size_t at = (size_t)(b / 8) * sizeof(ch_block_q3_k);
        GM(chunk)(rows, at + 94, t);
        GM(chunk)(rows, at + 92, packed);
        GM_F d = GM(half)(GM(srl)(t[3], 16));
        CH_UNROLL for (int p = 0; p < 8; p++) {
            GM_I scales = GM(scales_q3_k)(packed, p / 2);
            int byte = p % 2 * 2;
            if (!whole) {
                GM(put_scale2)
                (&s, b + p, GM(signed_byte)(scales, byte), GM(signed_byte)(scales, byte + 1));
                GM(store_f)(GM(record)(&s, b + p) + 11 * GM_V, d);
                s.finite = GM(fma)(d, GM(set1_f)(0.0f), s.finite);
                continue;
            }
            GM(put_scale)(&s, b + p, d);
            CH_UNROLL for (int h = 0; h < 2; h++) { // (q - 4) * by + 124 = q * by - zero
                GM_I four = GM(repeat_byte)(scales, byte + h);
                by[2 * p + h] = four;
                four = GM(masked)(GM(sll)(four, 2), (int32_t)0xfcfcfcfcu);
                zero[2 * p + h] = GM(sub_8)(four, GM(set1)(0x7c7c7c7c));
            }
        }
        GM(chunk)(rows, at, high);
        GM(chunk)(rows, at + 16, high + 4);
        for (int i = 0; i < 4; i++) {
            GM(read_on)(s.ahead);
            GM(chunk)(rows, at + 32 + 16 * (size_t)i, t);
            GM_I *bits = high + i % 2 * 4; // bits 0..3 are those of these four blocks
            CH_UNROLL for (int j = 0; j < 4; j++) {
                CH_UNROLL for (int p = 0; p < 4; p++) {
                    int32_t part = i / 2 * 4 + p, half = 2 * part + i % 2;
                    GM_I v = GM(or)(GM(bits)(t[j], 2 * p, 0, 2), GM(bits)(bits[j], p, 2, 1));
                    if (whole) v = GM(sub_8)(GM(times_bytes)(v, by[half]), zero[half]);
                    GM(put)(&s, b + part, i % 2 * 4 + j, v);
                }
                bits[j] = GM(srl)(bits[j], 4);
            }
        }
    }
    return GM(all_zero)(s.finite);
}

GM_TARGET static CH_NOINLINE bool GM(convert_q3_k)(const uint8_t *const *CH_RESTRICT rows,
                                                   int32_t k, uint8_t *record, size_t step,
                                                   GM(ahead) * ahead) {
    return GM(convert_3k)(rows, k, record, step, ahead, true);
}

// The eight scales and offsets of a superblock of q4_k or q5_k; head is its first 16 bytes.
GM_TARGET CH_FORCE_INLINE void GM(put_scales_k)(GM(sink) * s, int32_t b, const GM_I *head) {
    GM_F d = GM(half)(head[0]), dmin = GM(neg)(GM(half)(GM(srl)(head[0], 16)));
    GM_I scale[2], min[2];
    scale[0] = GM(masked)(head[1], 0x3f3f3f3f);
    min[0] = GM(masked)(head[2], 0x3f3f3f3f);
    scale[1] = GM(or)(GM(masked)(head[3], 0x0f0f0f0f), GM(bits)(head[1], 6, 4, 2));
    min[1] = GM(or)(GM(bits)(head[3], 4, 0, 4), GM(bits)(head[2], 6, 4, 2));
    CH_UNROLL for (int p = 0; p < 8; p++) {
        GM(put_scale)(s, b + p, GM(mul)(d, GM(byte)(scale[p / 4], p % 4)));
        GM(store_f)(GM(record)(s, b + p) + 10 * GM_V, GM(mul)(dmin, GM(byte)(min[p / 4], p % 4)));
    }
}

GM_TARGET static CH_NOINLINE bool GM(convert_q4_k)(const uint8_t *const *CH_RESTRICT rows,
                                                   int32_t k, uint8_t *record, size_t step,
                                                   GM(ahead) * ahead) {
    GM(sink) s = {record, step, ahead, GM(set1_f)(0.0f)};
    GM_I t[4], zero = GM(set1)(0);
    for (int32_t b = 0; b < k / 32; b += 8) {
        size_t at = (size_t)(b / 8) * sizeof(ch_block_q4_k);
        GM(chunk)(rows, at, t);
        GM(put_scales_k)(&s, b, t);
        for (int i = 0; i < 8; i++) {
            if (i % 2 == 0) GM(read_on)(s.ahead);
            GM(chunk)(rows, at + 16 + 16 * (size_t)i, t);
            int32_t to = b + i / 2 * 2;
            CH_UNROLL for (int j = 0; j < 4; j++)
                GM(put_nibbles)(&s, to, i % 2 * 4 + j, to + 1, i % 2 * 4 + j, t[j], zero, zero);
        }
    }
    return GM(all_zero)(s.finite);
}

GM_TARGET static CH_NOINLINE bool GM(convert_q5_k)(const uint8_t *const *CH_RESTRICT rows,
                                                   int32_t k, uint8_t *record, size_t step,
                                                   GM(ahead) * ahead) {
    GM(sink) s = {record, step, ahead, GM(set1_f)(0.0f)};
    GM_I t[4], high[8];
    for (int32_t b = 0; b < k / 32; b += 8) {
        size_t at = (size_t)(b / 8) * sizeof(ch_block_q5_k);
        GM(chunk)(rows, at, t);
        GM(put_scales_k)(&s, b, t);
        GM(chunk)(rows, at + 16, high);
        GM(chunk)(rows, at + 32, high + 4);
        for (int c = 0; c < 4; c++) {
            GM(read_on)(s.ahead);
            // bits 2c and 2c + 1 become bit 4
            CH_UNROLL for (int h = 0; h < 2; h++) {
                GM(chunk)(rows, at + 48 + 32 * (size_t)c + 16 * (size_t)h, t);
                CH_UNROLL for (int j = 0; j < 4; j++) {
                    GM_I bits = high[4 * h + j];
                    GM_I first = GM(bits)(bits, 0, 4, 1);
                    GM_I second = GM(bits)(bits, 1, 4, 1);
                    GM(put_nibbles)
                    (&s, b + 2 * c, 4 * h + j, b + 2 * c + 1, 4 * h + j, t[j], first, second);
                    high[4 * h + j] = GM(srl)(bits, 2);
                }
            }
        }
    }
    return GM(all_zero)(s.finite);
}

GM_TARGET static CH_NOINLINE bool GM(convert_q6_k)(const uint8_t *const *CH_RESTRICT rows,
                                                   int32_t k, uint8_t *record, size_t step,
                                                   GM(ahead) * ahead) {
    GM(sink) s = {record, step, ahead, GM(set1_f)(0.0f)};
    GM_I even[4], odd[4], high[4];
    for (int32_t b = 0; b < k / 32; b += 8) {
        size_t at = (size_t)(b / 8) * sizeof(ch_block_q6_k);
        GM(chunk)(rows, at + 194, even);
        GM(chunk)(rows, at + 192, odd);
        GM_F d = GM(half)(GM(srl)(even[3], 16));
        CH_UNROLL for (int p = 0; p < 8; p++)
            GM(put_scale2)(&s, b + p, GM(mul)(d, GM(signed_byte)(odd[p / 2], p % 2 * 2)),
                           GM(mul)(d, GM(signed_byte)(odd[p / 2], p % 2 * 2 + 1)));
        for (int i = 0; i < 4; i++) { // sixteen weights of each of four blocks
            GM(read_on)(s.ahead);
            size_t half = (size_t)(i / 2), part = 16 * (size_t)(i % 2);
            GM(chunk)(rows, at + 64 * half + part, even);
            GM(chunk)(rows, at + 64 * half + part + 32, odd);
            GM(chunk)(rows, at + 128 + 32 * half + part, high);
            int32_t to = b + i / 2 * 4;
            CH_UNROLL for (int j = 0; j < 4; j++) {
                int at_j = i % 2 * 4 + j;
                GM(put_nibbles)
                (&s, to, at_j, to + 2, at_j, even[j], GM(bits)(high[j], 0, 4, 2),
                 GM(bits)(high[j], 4, 4, 2));
                GM(put_nibbles)
                (&s, to + 1, at_j, to + 3, at_j, odd[j], GM(bits)(high[j], 2, 4, 2),
                 GM(bits)(high[j], 6, 4, 2));
            }
        }
    }
    return GM(all_zero)(s.finite);
}
