// bgemm_amx: products in bfloat16 by AMX tiles.
//
// A tile of results is 16 rows by 16 columns: rows of weights as they stand, 32 of each at a time,
// times a record of activations. Two tiles of rows and two of columns are multiplied at a time, so
// that four loads of tiles serve four products. 256 weights of 32 rows become bfloat16 in scratch,
// which is what the first-level cache holds, and meet all columns; the sums of the others wait in
// scratch meanwhile. Turned at the end: y has columns.
//
// Tiles of the instructions: 0 to 3 results, 4 and 5 weights, 6 and 7 activations.
#include "simd_avx512.h"

#if CH_X86
CH_AVX512_BEGIN

#define AMX_FN CH_FORCE_INLINE CH_TARGET_AMX

enum {
    AMX_STEPS = 8,   // of 32 weights, which are converted at a time
    AMX_TILE = 1024, // bytes
    AMX_STEP = 2048, // bytes of a step of two tiles of rows
    AMX_SUMS = 4 * AMX_TILE
};

// ---- weights to bfloat16
//
// Each reads steps s..s + n of a row (n is AMX_STEPS, or fewer where the row ends) and writes 64
// bytes for each of them, AMX_STEP bytes apart. What the weights are: reference.c.

AMX_FN void amx_put(uint8_t *to, __m512 low, __m512 high) {
    _mm512_store_si512((void *)to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

// 32 bytes times a scale for each half.
AMX_FN void amx_put_scaled(uint8_t *to, __m256i q, __m512 scale0, __m512 scale1) {
    amx_put(to, _mm512_mul_ps(scale0, x512_from_i8(_mm256_castsi256_si128(q))),
            _mm512_mul_ps(scale1, x512_from_i8(_mm256_extracti128_si256(q, 1))));
}

// The same with offsets.
AMX_FN void amx_put_offset(uint8_t *to, __m256i q, __m512 scale0, __m512 scale1, __m512 offset0,
                           __m512 offset1) {
    amx_put(to, _mm512_fmadd_ps(scale0, x512_from_i8(_mm256_castsi256_si128(q)), offset0),
            _mm512_fmadd_ps(scale1, x512_from_i8(_mm256_extracti128_si256(q, 1)), offset1));
}

AMX_FN __m256i amx_load32(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

// 16 bytes' low nibbles, then their high ones.
AMX_FN __m256i amx_nibbles(const uint8_t *p) {
    __m128i v = x512_load16(p);
    __m256i both = _mm256_set_m128i(_mm_srli_epi16(v, 4), v);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// `high` more where a bit of `bits` is set.
AMX_FN __m256i amx_add_high(__m256i q, uint32_t bits, int8_t high) {
    return _mm256_mask_add_epi8(q, bits, q, _mm256_set1_epi8(high));
}

AMX_FN uint32_t amx_load_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Bits of 32 bytes that are set in `mask`, one for each byte.
AMX_FN uint32_t amx_bits(__m256i v, int32_t mask) {
    return _mm256_test_epi8_mask(v, _mm256_set1_epi8((char)mask));
}

typedef void amx_read_fn(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to);

AMX_FN void amx_read_f16(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    for (int32_t i = 0; i < n; i++, s++, to += AMX_STEP) {
        int32_t left = CH_MIN(k - 32 * s, 32);
        const uint8_t *at = row + (size_t)s * 64;
        if (left == 32)
            amx_put(to, x512_load_f16(at), x512_load_f16(at + 32));
        else
            amx_put(to, x512_load_f16_n(at, CH_MIN(left, 16)),
                    x512_load_f16_n(at + 32, CH_MAX(left - 16, 0)));
    }
}

AMX_FN void amx_read_bf16(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    for (int32_t i = 0; i < n; i++, s++, to += AMX_STEP) {
        int32_t left = CH_MIN(k - 32 * s, 32);
        __mmask32 mask = left == 32 ? 0xffffffffu : (1u << left) - 1u;
        _mm512_store_si512((void *)to, _mm512_maskz_loadu_epi16(mask, row + (size_t)s * 64));
    }
}

AMX_FN void amx_read_q4_0(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)k;
    const ch_block_q4_0 *block = (const ch_block_q4_0 *)(const void *)row + s;
    for (int32_t i = 0; i < n; i++, block++, to += AMX_STEP) {
        __m512 d = x512_set1_f16((const uint8_t *)&block->d);
        __m256i q = _mm256_sub_epi8(amx_nibbles(block->qs), _mm256_set1_epi8(8));
        amx_put_scaled(to, q, d, d);
    }
}

AMX_FN void amx_read_q4_1(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)k;
    const ch_block_q4_1 *block = (const ch_block_q4_1 *)(const void *)row + s;
    for (int32_t i = 0; i < n; i++, block++, to += AMX_STEP) {
        __m512 d = x512_set1_f16((const uint8_t *)&block->d);
        __m512 m = x512_set1_f16((const uint8_t *)&block->m);
        amx_put_offset(to, amx_nibbles(block->qs), d, d, m, m);
    }
}

AMX_FN void amx_read_q5_0(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)k;
    const ch_block_q5_0 *block = (const ch_block_q5_0 *)(const void *)row + s;
    for (int32_t i = 0; i < n; i++, block++, to += AMX_STEP) {
        __m512 d = x512_set1_f16((const uint8_t *)&block->d);
        __m256i q = _mm256_sub_epi8(amx_nibbles(block->qs), _mm256_set1_epi8(16));
        amx_put_scaled(to, amx_add_high(q, amx_load_u32(block->qh), 16), d, d);
    }
}

AMX_FN void amx_read_q5_1(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)k;
    const ch_block_q5_1 *block = (const ch_block_q5_1 *)(const void *)row + s;
    for (int32_t i = 0; i < n; i++, block++, to += AMX_STEP) {
        __m512 d = x512_set1_f16((const uint8_t *)&block->d);
        __m512 m = x512_set1_f16((const uint8_t *)&block->m);
        __m256i q = amx_add_high(amx_nibbles(block->qs), amx_load_u32(block->qh), 16);
        amx_put_offset(to, q, d, d, m, m);
    }
}

AMX_FN void amx_read_q8_0(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)k;
    const ch_block_q8_0 *block = (const ch_block_q8_0 *)(const void *)row + s;
    for (int32_t i = 0; i < n; i++, block++, to += AMX_STEP) {
        __m512 d = x512_set1_f16((const uint8_t *)&block->d);
        amx_put_scaled(to, amx_load32((const uint8_t *)block->qs), d, d);
    }
}

// Of the K types, n is AMX_STEPS: one block of 256. A lane of `scale` and `offset` is for 16 or 32
// weights.

AMX_FN void amx_read_q2_k(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)n, (void)k;
    const ch_block_q2_k *block = (const ch_block_q2_k *)(const void *)row + s / AMX_STEPS;
    __m128i packed = x512_load16(block->scales), low = _mm_set1_epi8(15);
    __m512 scale = _mm512_mul_ps(x512_set1_f16((const uint8_t *)&block->d),
                                 x512_from_i8(_mm_and_si128(packed, low)));
    __m512 min = _mm512_mul_ps(x512_set1_f16((const uint8_t *)&block->dmin),
                               x512_from_i8(_mm_and_si128(_mm_srli_epi16(packed, 4), low)));
    min = x512_neg(min);
    CH_UNROLL for (int j = 0; j < 8; j++, to += AMX_STEP) {
        __m256i q = _mm256_srli_epi16(amx_load32(block->qs + j / 4 * 32), 2 * (j % 4));
        amx_put_offset(to, _mm256_and_si256(q, _mm256_set1_epi8(3)), x512_lane(scale, 2 * j),
                       x512_lane(scale, 2 * j + 1), x512_lane(min, 2 * j),
                       x512_lane(min, 2 * j + 1));
    }
}

AMX_FN void amx_read_q3_k(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)n, (void)k;
    const ch_block_q3_k *block = (const ch_block_q3_k *)(const void *)row + s / AMX_STEPS;
    uint32_t a = amx_load_u32(block->scales), b = amx_load_u32(block->scales + 4),
             c = amx_load_u32(block->scales + 8);
    __m128i low =
        _mm_and_si128(_mm_setr_epi32((int32_t)a, (int32_t)b, (int32_t)(a >> 4), (int32_t)(b >> 4)),
                      _mm_set1_epi8(15));
    __m128i high = _mm_and_si128(
        _mm_setr_epi32((int32_t)(c << 4), (int32_t)(c << 2), (int32_t)c, (int32_t)(c >> 2)),
        _mm_set1_epi8(0x30));
    __m128i times = _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
    __m512 scale = _mm512_mul_ps(x512_set1_f16((const uint8_t *)&block->d), x512_from_i8(times));
    __m256i hmask = amx_load32(block->hmask);
    CH_UNROLL for (int j = 0; j < 8; j++, to += AMX_STEP) {
        __m256i q = _mm256_srli_epi16(amx_load32(block->qs + j / 4 * 32), 2 * (j % 4));
        q = _mm256_sub_epi8(_mm256_and_si256(q, _mm256_set1_epi8(3)), _mm256_set1_epi8(4));
        amx_put_scaled(to, amx_add_high(q, amx_bits(hmask, 1 << j), 4), x512_lane(scale, 2 * j),
                       x512_lane(scale, 2 * j + 1));
    }
}

// Scales and offsets of Q4_K and Q5_K, eight of each, of a block's head: d, dmin and what
// ch_scale_min_k4 unpacks.
AMX_FN void amx_scales_k4(const uint8_t *head, __m512 *scale, __m512 *offset) {
    uint32_t a = amx_load_u32(head + 4), b = amx_load_u32(head + 8), c = amx_load_u32(head + 12);
    uint32_t s1 = (c & 0x0f0f0f0fu) | ((a >> 2) & 0x30303030u);
    uint32_t m1 = ((c >> 4) & 0x0f0f0f0fu) | ((b >> 2) & 0x30303030u);
    __m128i times = _mm_setr_epi32((int32_t)(a & 0x3f3f3f3fu), (int32_t)s1, 0, 0);
    __m128i mins = _mm_setr_epi32((int32_t)(b & 0x3f3f3f3fu), (int32_t)m1, 0, 0);
    *scale = _mm512_mul_ps(x512_set1_f16(head), x512_from_i8(times));
    *offset = x512_neg(_mm512_mul_ps(x512_set1_f16(head + 2), x512_from_i8(mins)));
}

AMX_FN void amx_read_q4_k(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)n, (void)k;
    const ch_block_q4_k *block = (const ch_block_q4_k *)(const void *)row + s / AMX_STEPS;
    __m512 scale, offset;
    amx_scales_k4((const uint8_t *)block, &scale, &offset);
    CH_UNROLL for (int j = 0; j < 8; j++, to += AMX_STEP) {
        __m256i q = _mm256_srli_epi16(amx_load32(block->qs + j / 2 * 32), 4 * (j % 2));
        __m512 d = x512_lane(scale, j), m = x512_lane(offset, j);
        amx_put_offset(to, _mm256_and_si256(q, _mm256_set1_epi8(15)), d, d, m, m);
    }
}

AMX_FN void amx_read_q5_k(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)n, (void)k;
    const ch_block_q5_k *block = (const ch_block_q5_k *)(const void *)row + s / AMX_STEPS;
    __m512 scale, offset;
    amx_scales_k4((const uint8_t *)block, &scale, &offset);
    __m256i qh = amx_load32(block->qh);
    CH_UNROLL for (int j = 0; j < 8; j++, to += AMX_STEP) {
        __m256i q = _mm256_srli_epi16(amx_load32(block->qs + j / 2 * 32), 4 * (j % 2));
        q = amx_add_high(_mm256_and_si256(q, _mm256_set1_epi8(15)), amx_bits(qh, 1 << j), 16);
        __m512 d = x512_lane(scale, j), m = x512_lane(offset, j);
        amx_put_offset(to, q, d, d, m, m);
    }
}

AMX_FN void amx_read_q6_k(const uint8_t *row, int32_t s, int32_t n, int32_t k, uint8_t *to) {
    (void)n, (void)k;
    const ch_block_q6_k *block = (const ch_block_q6_k *)(const void *)row + s / AMX_STEPS;
    __m512 scale = _mm512_mul_ps(x512_set1_f16((const uint8_t *)&block->d),
                                 x512_from_i8(x512_load16((const uint8_t *)block->scales)));
    CH_UNROLL for (int j = 0; j < 8; j++, to += AMX_STEP) {
        int half = j / 4, quarter = j % 4;
        __m256i low = amx_load32(block->ql + half * 64 + quarter % 2 * 32);
        __m256i high = amx_load32(block->qh + half * 32);
        low = _mm256_and_si256(_mm256_srli_epi16(low, 4 * (quarter / 2)), _mm256_set1_epi8(15));
        high = quarter < 2 ? _mm256_slli_epi16(high, 4 - 2 * quarter)
                           : _mm256_srli_epi16(high, 2 * quarter - 4);
        high = _mm256_and_si256(high, _mm256_set1_epi8(0x30));
        __m256i q = _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
        amx_put_scaled(to, q, x512_lane(scale, 2 * j), x512_lane(scale, 2 * j + 1));
    }
}

// ---- turning

// The transpose of 16 x 16 numbers of 32 bits.
CH_FORCE_INLINE CH_TARGET_AVX512BF16 void amx_turn16(const __m512i *v, __m512i *t) {
    __m512i u[16];
    CH_UNROLL for (int i = 0; i < 16; i += 4) x512_turn4(v + i, u + i);
    // 128 bits i of u[4 * a + b]: rows 4a..4a + 3 of column 4i + b
    CH_UNROLL for (int b = 0; b < 4; b++) {
        __m512i even0 = _mm512_shuffle_i32x4(u[b], u[4 + b], 0x88);
        __m512i odd0 = _mm512_shuffle_i32x4(u[b], u[4 + b], 0xdd);
        __m512i even1 = _mm512_shuffle_i32x4(u[8 + b], u[12 + b], 0x88);
        __m512i odd1 = _mm512_shuffle_i32x4(u[8 + b], u[12 + b], 0xdd);
        t[b] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        t[4 + b] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        t[8 + b] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
        t[12 + b] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
}

// A tile of sums as columns c.. of rows r.. of y.
CH_TARGET_AMX static CH_NOINLINE void amx_finish(const ch_mm_args *a, const uint8_t *sums,
                                                 int32_t r, int32_t rows, int32_t c,
                                                 int32_t columns) {
    __m512i v[16], t[16];
    CH_UNROLL for (int i = 0; i < 16; i++) v[i] = _mm512_load_si512(sums + i * 64);
    amx_turn16(v, t);
    x512_v bias = a->bias ? x512_load_n(a->bias + r, rows) : x512_zero();
    CH_UNROLL for (int i = 0; i < 16; i++) if (i < columns) {
        x512_v y = _mm512_castsi512_ps(t[i]);
        size_t to = (size_t)(c + i) * a->y_stride + (size_t)r;
        if (a->bias) y = x512_add(y, bias);
        if (a->add) y = x512_add(x512_load_n(a->add + to, rows), y);
        x512_store_n(a->y + to, y, rows);
    }
}

// ---- products

// All that was written is in memory from here on, at `p` too: gcc 12 does not know that tiles, and
// their configuration, are loaded from there.
AMX_FN void amx_settle(const void *p) {
    __asm__ volatile("" ::"r"(p) : "memory");
}

// What is multiplied at a time: AMX_STEPS steps of 32 rows, or what is left of either.
typedef struct amx_strip {
    int32_t s, steps, r, rows;
} amx_strip;

// A block of results, and the strips it is made of: all rows of some steps, then the next steps.
typedef struct amx_block {
    const ch_mm_args *a;
    int32_t row0, row1, column0, column1;
} amx_block;

AMX_FN bool amx_strip_at(const amx_block *b, int32_t i, amx_strip *strip) {
    int32_t each = ch_ceil_div(b->row1 - b->row0, 32);
    strip->s = i / each * AMX_STEPS;
    strip->steps = CH_MIN(AMX_STEPS, ch_ceil_div(b->a->k, 32) - strip->s);
    strip->r = b->row0 + i % each * 32;
    strip->rows = CH_MIN(32, b->row1 - strip->r);
    return strip->steps > 0;
}

// Rows i0..i1 of a strip, whole tiles of them; past the last row that one again.
AMX_FN void amx_convert(const amx_block *b, const amx_strip *strip, int32_t i0, int32_t i1,
                        uint8_t *to, amx_read_fn *read) {
    i1 = CH_MIN(i1, strip->rows > 16 ? 32 : 16);
    for (int32_t i = i0; i < i1; i++)
        read(b->a->w + (size_t)(strip->r + CH_MIN(i, strip->rows - 1)) * b->a->w_stride, strip->s,
             strip->steps, b->a->k, to + i * 64);
}

// Columns c.. of a strip's results, which will be written.
AMX_FN void amx_want(const ch_mm_args *a, const amx_strip *strip, int32_t c, int32_t columns) {
    for (int32_t i = 0; i < columns; i++)
        for (int32_t r = 0; r < strip->rows; r += 16)
            __asm__ volatile(
                "prefetchw %0" ::"m"(a->y[(size_t)(c + i) * a->y_stride + (size_t)(strip->r + r)]));
}

// Tile i of four of a strip's results.
AMX_FN void amx_finish_tile(const ch_mm_args *a, const amx_strip *strip, const uint8_t *sums,
                            int32_t i, int32_t c, int32_t columns) {
    int32_t r = i / 2 * 16, j = i % 2 * 16;
    if (r < strip->rows && j < columns)
        amx_finish(a, sums + i * AMX_TILE, strip->r + r, CH_MIN(16, strip->rows - r), c + j,
                   CH_MIN(16, columns - j));
}

// What is done beside products, a little after each step of them, since neither waits for the
// other: rows of the next strip are converted, and results of the two records before are finished.
typedef struct amx_beside {
    const amx_block *block;
    const amx_strip *strip, *next; // next: NULL if there is none
    uint8_t *to;                   // the next strip's weights
    int32_t row, rows;             // of them: the first, and how many
    const uint8_t *sums;           // of the records before; NULL if there are none to finish
    int32_t column, columns;       // their columns
} amx_beside;

// After step s of AMX_STEPS.
AMX_FN void amx_do_beside(const amx_beside *w, int32_t s, amx_read_fn *read) {
    if (w->next)
        amx_convert(w->block, w->next, w->row + s * w->rows / AMX_STEPS,
                    w->row + (s + 1) * w->rows / AMX_STEPS, w->to, read);
    if (w->sums && s % 2 == 1)
        amx_finish_tile(w->block->a, w->strip, w->sums, s / 2, w->column, w->columns);
}

// `steps` steps of two tiles of rows (or one) times two records (or one); the sums are at `sums`,
// or begin at 0.
AMX_FN void amx_tiles(const uint8_t *weights, const uint8_t *x0, const uint8_t *x1, int32_t steps,
                      bool first, uint8_t *sums, const bool rows2, const bool columns2,
                      const amx_beside *beside, amx_read_fn *read) {
    amx_settle(weights);
    if (first) {
        _tile_zero(0);
        if (columns2) _tile_zero(1);
        if (rows2) _tile_zero(2);
        if (rows2 && columns2) _tile_zero(3);
    } else {
        _tile_loadd(0, sums, 64);
        if (columns2) _tile_loadd(1, sums + AMX_TILE, 64);
        if (rows2) _tile_loadd(2, sums + 2 * AMX_TILE, 64);
        if (rows2 && columns2) _tile_loadd(3, sums + 3 * AMX_TILE, 64);
    }
    for (int32_t s = 0; s < steps; s++) {
        _tile_loadd(4, weights + (size_t)s * AMX_STEP, 64);
        _tile_loadd(6, x0 + (size_t)s * AMX_TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (columns2) {
            _tile_loadd(7, x1 + (size_t)s * AMX_TILE, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (rows2) {
            _tile_loadd(5, weights + (size_t)s * AMX_STEP + AMX_TILE, 64);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (rows2 && columns2) _tile_dpbf16ps(3, 5, 7);
        if (read) amx_do_beside(beside, s, read);
    }
    _tile_stored(0, sums, 64);
    if (columns2) _tile_stored(1, sums + AMX_TILE, 64);
    if (rows2) _tile_stored(2, sums + 2 * AMX_TILE, 64);
    if (rows2 && columns2) _tile_stored(3, sums + 3 * AMX_TILE, 64);
    amx_settle(sums);
}

CH_TARGET_AMX static CH_NOINLINE void amx_shapes(const uint8_t *weights, const uint8_t *x0,
                                                 const uint8_t *x1, int32_t steps, bool first,
                                                 uint8_t *sums, bool rows2, bool columns2) {
    if (rows2 && columns2)
        amx_tiles(weights, x0, x1, steps, first, sums, true, true, NULL, NULL);
    else if (rows2)
        amx_tiles(weights, x0, x1, steps, first, sums, true, false, NULL, NULL);
    else if (columns2)
        amx_tiles(weights, x0, x1, steps, first, sums, false, true, NULL, NULL);
    else
        amx_tiles(weights, x0, x1, steps, first, sums, false, false, NULL, NULL);
}

AMX_FN void amx_make(const amx_block *b, amx_read_fn *read) {
    const ch_mm_args *a = b->a;
    uint8_t *weights = a->scratch, *sums = weights + 2 * AMX_STEPS * AMX_STEP;
    int32_t pairs = ch_ceil_div(b->column1 - b->column0, 32), all = ch_ceil_div(a->k, 32);
    amx_strip strip, next;
    amx_strip_at(b, 0, &strip);
    amx_convert(b, &strip, 0, 32, weights, read);
    for (int32_t i = 0; strip.steps > 0; i++, strip = next) {
        const uint8_t *from = weights + i % 2 * AMX_STEPS * AMX_STEP;
        uint8_t *at = sums + (size_t)((strip.r - b->row0) / 32 * pairs) * AMX_SUMS;
        bool more = amx_strip_at(b, i + 1, &next), last = strip.s + AMX_STEPS >= all;
        amx_beside w = {b,
                        &strip,
                        more ? &next : NULL,
                        weights + (i + 1) % 2 * AMX_STEPS * AMX_STEP,
                        0,
                        ch_ceil_div(32, pairs),
                        NULL,
                        0,
                        32};
        for (int32_t c = b->column0; c < b->column1; c += 32, at += AMX_SUMS) {
            const uint8_t *x0 =
                a->x + (size_t)(c / CH_BGROUP) * a->x_stride + (size_t)strip.s * AMX_TILE;
            const uint8_t *x1 = x0 + a->x_stride;
            int32_t columns = CH_MIN(32, b->column1 - c);
            if (last) amx_want(a, &strip, c, columns);
            if (strip.rows > 16 && columns > 16 && strip.steps == AMX_STEPS) {
                amx_tiles(from, x0, x1, AMX_STEPS, strip.s == 0, at, true, true, &w, read);
            } else {
                amx_shapes(from, x0, x1, strip.steps, strip.s == 0, at, strip.rows > 16,
                           columns > 16);
                for (int32_t s = 0; s < AMX_STEPS; s++) amx_do_beside(&w, s, read);
            }
            w.row += w.rows;
            w.sums = last ? at : NULL;
            w.column = c;
            w.columns = columns;
        }
        w.next = NULL;
        for (int32_t s = 0; s < AMX_STEPS; s++) amx_do_beside(&w, s, read);
    }
}

// All tiles are 16 rows of 64 bytes. The layout of the configuration: Intel SDM volume 1, 18.3.
CH_TARGET_AMX static void amx_configure(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {0}, {0}};
    for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = 16;
    amx_settle(&config);
    _tile_loadconfig(&config);
}

AMX_FN void amx_run(const ch_mm_args *a, int32_t row0, int32_t row1, amx_read_fn *read) {
    amx_configure();
    for (int32_t c = 0; c < a->n; c += CH_BGEMM_COLUMNS)
        for (int32_t r = row0; r < row1; r += CH_BGEMM_ROWS) {
            amx_block b = {a, r, CH_MIN(r + CH_BGEMM_ROWS, row1), c,
                           CH_MIN(c + CH_BGEMM_COLUMNS, a->n)};
            amx_make(&b, read);
        }
    _tile_release();
}

#define AMX_TYPE(type)                                                                             \
    CH_TARGET_AMX CH_FN void ch_bgemm_##type##__amx(const ch_mm_args *a, int32_t row0,             \
                                                    int32_t row1) {                                \
        amx_run(a, row0, row1, amx_read_##type);                                                   \
    }
AMX_TYPE(f16)
AMX_TYPE(bf16)
AMX_TYPE(q4_0)
AMX_TYPE(q4_1)
AMX_TYPE(q5_0)
AMX_TYPE(q5_1)
AMX_TYPE(q8_0)
AMX_TYPE(q2_k)
AMX_TYPE(q3_k)
AMX_TYPE(q4_k)
AMX_TYPE(q5_k)
AMX_TYPE(q6_k)

// ---- activations to bfloat16

CH_TARGET_AVX512BF16 CH_FN void ch_round_bf16__avx512bf16(const float *x, size_t x_stride,
                                                          int32_t cols, int32_t k, int32_t group,
                                                          uint8_t *record, int32_t block0,
                                                          int32_t block1) {
    (void)group;
    for (int32_t b = block0; b < block1; b++, x += 32) {
        __m512i v[16], t[16];
        int32_t left = CH_MIN(k - 32 * b, 32);
        CH_UNROLL for (int c = 0; c < 16; c++) {
            const float *from = x + (size_t)CH_MIN(c, cols - 1) * x_stride;
            int32_t n = c < cols ? left : 0;
            x512_v low = x512_load_n(from, CH_MIN(n, 16));
            x512_v high = x512_load_n(from + 16, CH_MAX(n - 16, 0));
            v[c] = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        }
        amx_turn16(v, t);
        CH_UNROLL for (int p = 0; p < 16; p++)
            _mm512_store_si512(record + (size_t)b * AMX_TILE + p * 64, t[p]);
    }
}

// ---- the roof of products of tiles

CH_TARGET_AMX CH_FN int64_t ch_roof_bf16__amx(int32_t rounds, int64_t *sum) {
    uint16_t ones[32 * 16];
    float out[256];
    for (int i = 0; i < 32 * 16; i++) ones[i] = 0x3f80; // 1
    amx_configure();
    amx_settle(ones);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, ones, 64);
    _tile_loadd(5, ones, 64);
    _tile_loadd(6, ones, 64);
    _tile_loadd(7, ones, 64);
    for (int32_t r = 0; r < rounds; r++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    *sum = 0;
    for (int t = 0; t < 4; t++) {
        if (t == 0) _tile_stored(0, out, 64);
        if (t == 1) _tile_stored(1, out, 64);
        if (t == 2) _tile_stored(2, out, 64);
        if (t == 3) _tile_stored(3, out, 64);
        amx_settle(out);
        for (int i = 0; i < 256; i++) *sum += (int64_t)out[i];
    }
    _tile_release();
    return (int64_t)rounds * 4 * 16 * 16 * 32;
}

CH_AVX512_END
#endif
