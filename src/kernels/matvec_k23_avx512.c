// matvec_k23_avx512: Q2_K and Q3_K times 1..8 columns for AVX-512 with VNNI and GFNI.
//
// Owns: the decode kernels of the two types whose arithmetic, not memory, would set the pace if
// they were read as matvec_avx512.c reads the others: a byte of theirs holds up to four weights.
//
// Idea: sixteen rows at a time, one to each 32-bit lane, so that nothing is summed across lanes.
// They are four rows next to each other in each of four distant streams. Sixteen bytes of each row
// are turned by a 4 x 4 transpose of 32-bit parts, still packed; a product of every byte with a
// matrix of bits unpacks the weights of a block; four bytes of a column meet them as a broadcast.
//   sum     of 16 weights: vpdpbusd, from -zero point times the column's sum of bytes; 16 bits
//   scale   vpmaddwd and vpdpwssd with integer scales times 256: blocks of 32
//   float   the canon's steps, a block at a time
//
// Cost for 16 rows x 256 weights: 115 (Q3_K 140) operations to turn them, 64 (112) to unpack, and
// for a column 64 to multiply and 32 (48) to scale. About 370 and 410 in all, minimums included.
#include "matvec_common.h"
#include "simd_avx512.h"

#if CH_X86
CH_AVX512_BEGIN

#define MK_TARGET CH_TARGET_AVX512
#define MK_FN     CH_FORCE_INLINE MK_TARGET

// Rows i (0..3) of four streams, `stride` bytes apart.
typedef struct mk_rows {
    const uint8_t *p0, *p1, *p2, *p3;
    size_t stride;
    size_t ahead; // how far from here the next four rows of each are asked for
} mk_rows;

// What a super-block has beside its weights.
typedef struct mk_super {
    __m512i scales[4]; // byte b of scales[c]: of the sixteen 4c + b
    __m512i mins[4];   // Q2_K: minimums, in the upper halves of such bytes
    __m512i high[8];   // Q3_K: third bits, of bytes 4i..4i+3 of the first sixteen, then the second
    __m512 d, dmin;    // d over 256: scales come times that
} mk_super;

// Bytes at..at+15 of each row: t[i] holds bytes at + 4i.. of all rows.
MK_FN void mk_chunk(const mk_rows *r, size_t at, __m512i *t) {
    __m512i v[4];
    CH_UNROLL for (size_t i = 0; i < 4; i++, at += r->stride) v[i] =
        x512_lanes(r->p0 + at, r->p1 + at, r->p2 + at, r->p3 + at);
    x512_turn4(v, t);
}

// Asks for the next rows of each stream, front to back, half a step at a time: of no use behind the
// last ones, and no harm.
MK_FN void mk_ask(mk_rows *r, size_t bytes) {
    for (size_t at = r->ahead, end = at + bytes; at < end; at += 64) {
        CH_PREFETCH((uintptr_t)r->p0 + at);
        CH_PREFETCH((uintptr_t)r->p1 + at);
        CH_PREFETCH((uintptr_t)r->p2 + at);
        CH_PREFETCH((uintptr_t)r->p3 + at);
    }
    r->ahead += bytes;
}

MK_FN __m512i mk_and(__m512i v, int32_t mask) {
    return _mm512_and_si512(v, _mm512_set1_epi32(mask));
}

// Bits n to the left, or -n to the right.
MK_FN __m512i mk_left(__m512i v, int n) {
    if (n == 0) return v;
    return n > 0 ? _mm512_slli_epi32(v, (unsigned)n) : _mm512_srli_epi32(v, (unsigned)-n);
}

MK_FN void mk_read_q2_k(const mk_rows *r, mk_super *s) {
    __m512i end[4];
    mk_chunk(r, 0, s->mins);
    mk_chunk(r, sizeof(ch_block_q2_k) - 16, end);
    CH_UNROLL for (int c = 0; c < 4; c++) s->scales[c] = mk_and(s->mins[c], 0x0f0f0f0f);
    s->d = _mm512_mul_ps(x512_half(end[3]), _mm512_set1_ps(0x1p-8f));
    s->dmin = x512_half(_mm512_srli_epi32(end[3], 16));
}

MK_FN void mk_read_q3_k(const mk_rows *r, mk_super *s) {
    // The block's last 16 bytes: two of weights, 12 of scales, d. Scale j: four bits in byte j % 8
    // of the 12, low or high, and two in byte 8 + j % 4 at bit j / 4 * 2.
    __m512i end[4], v[3];
    mk_chunk(r, 0, s->high);
    mk_chunk(r, 16, s->high + 4);
    mk_chunk(r, sizeof(ch_block_q3_k) - 16, end);
    CH_UNROLL for (int i = 0; i < 3; i++) v[i] =
        _mm512_or_si512(_mm512_srli_epi32(end[i], 16), _mm512_slli_epi32(end[i + 1], 16));
    CH_UNROLL for (int c = 0; c < 4; c++) {
        __m512i low = c < 2 ? v[c] : _mm512_srli_epi32(v[c - 2], 4);
        __m512i top = mk_left(v[2], 4 - 2 * c);
        __m512i all = _mm512_ternarylogic_epi32(mk_and(low, 0x0f0f0f0f), top,
                                                _mm512_set1_epi32(0x30303030), 0xf8);
        s->scales[c] = _mm512_sub_epi8(all, _mm512_set1_epi8(32));
    }
    s->d = _mm512_mul_ps(x512_half(_mm512_srli_epi32(end[3], 16)), _mm512_set1_ps(0x1p-8f));
}

// Bits b0, b1, ... of every byte become its bits 0, 1, 2, 4 and 6; a bit MK_NONE is 0.
#define MK_NONE          8
#define MK_ROW(from, to) ((uint64_t)(1u << (from)&0xff) << (56 - 8 * (to)))
#define MK_BITS(v, b0, b1, b2, b4, b6)                                                             \
    _mm512_gf2p8affine_epi64_epi8(                                                                 \
        v,                                                                                         \
        _mm512_set1_epi64((int64_t)(MK_ROW(b0, 0) | MK_ROW(b1, 1) | MK_ROW(b2, 2) |                \
                                    MK_ROW(b4, 4) | MK_ROW(b6, 6))),                               \
        0)
#define MK_WEIGHTS(v, b0, b1, b2) MK_BITS(v, b0, b1, b2, MK_NONE, MK_NONE)

// Bits of b where the mask has them, else of a.
MK_FN __m512i mk_merge(__m512i a, __m512i b, int32_t mask) {
    return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi32(mask), 0xd8);
}

// Weights of bytes that hold four, w[j] of block j. high: third bits of Q3_K, those of block j at
// bit 4 * half + j.
MK_FN void mk_unpack(ch_type type, __m512i v, const __m512i *high, int half, __m512i *w) {
    if (type == CH_TYPE_Q2_K) {
        w[0] = mk_and(v, 0x03030303);
        w[1] = MK_WEIGHTS(v, 2, 3, MK_NONE);
        w[2] = MK_WEIGHTS(v, 4, 5, MK_NONE);
        w[3] = MK_WEIGHTS(v, 6, 7, MK_NONE);
        return;
    }
    // Third bits take the place of other blocks' weights: those of blocks 0 and 2 go to bits 2 and
    // 6, of 1 and 3 to bits 4 and 0.
    __m512i third =
        half == 0 ? MK_BITS(*high, 3, MK_NONE, 0, 1, 2) : MK_BITS(*high, 7, MK_NONE, 4, 5, 6);
    __m512i even = mk_merge(third, v, 0x33333333), odd = mk_merge(v, third, 0x33333333);
    w[0] = mk_and(even, 0x07070707);
    w[1] = MK_WEIGHTS(odd, 2, 3, 4);
    w[2] = MK_WEIGHTS(even, 4, 5, 6);
    w[3] = MK_WEIGHTS(odd, 6, 7, 0);
}

// Byte b of the lanes, times 256, in their low halves.
MK_FN __m512i mk_scale(__m512i v, int b) {
    const __m512i from = _mm512_set4_epi32(0x80800c80, 0x80800880, 0x80800480, (int)0x80800080);
    return _mm512_shuffle_epi8(v, _mm512_add_epi8(from, _mm512_set1_epi32(b << 8)));
}

// The upper half of byte b of the lanes, as a float, times dmin.
MK_FN __m512 mk_min(const mk_super *s, int c, int b) {
    const __m512 floats = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i at = _mm512_srli_epi32(s->mins[c], (unsigned)(8 * b + 4)); // four bits of it count
    return _mm512_mul_ps(s->dmin, _mm512_permutexvar_ps(at, floats));
}

// Sums of 16 weights of each block times a column, before their first product: the zero point's
// share.
MK_FN void mk_start(ch_type type, const mv_column *x, int part, __m512i *sums) {
    CH_UNROLL for (int j = 0; j < 4; j++) {
        sums[j] = _mm512_setzero_si512();
        if (type == CH_TYPE_Q3_K)
            sums[j] = _mm512_dpwssd_epi32(sums[j], _mm512_set1_epi32(0xfffc),
                                          _mm512_set1_epi32(x->s16[2 * j + part]));
    }
}

// sums += weights at..at+3 of each block times a column.
MK_FN void mk_multiply(const __m512i *w, const mv_column *x, int at, __m512i *sums) {
    CH_UNROLL for (int j = 0; j < 4; j++) {
        int32_t four;
        memcpy(&four, x->q + 32 * j + at, sizeof four);
        sums[j] = _mm512_dpbusd_epi32(sums[j], w[j], _mm512_set1_epi32(four));
    }
}

// Half a super-block, blocks b..b+3, times all columns; acc: [column][4]. One column meets the
// weights as they are unpacked, several meet them in turn.
MK_FN void mk_half_block(ch_type type, bool one, mk_rows *r, const mk_super *s, int half,
                         const ch_mm_args *a, const ch_q8 *x, size_t b, __m512 *acc) {
    const int32_t n = one ? 1 : a->n;
    const size_t weights = (type == CH_TYPE_Q2_K ? 16 : 32) + 32 * (size_t)half;
    __m512i v[8], sums[4 * CH_MATVEC_COLUMNS];
    mk_chunk(r, weights, v);
    mk_chunk(r, weights + 16, v + 4);
    mk_ask(r, 2 * mv_block_bytes(type));
    CH_UNROLL for (int part = 0; part < 2; part++) {
        const __m512i *at = v + 4 * part, *high = s->high + 4 * part;
        __m512i w[16], scale[4];
        CH_UNROLL for (int j = 0; j < 4; j++) scale[j] =
            mk_scale(s->scales[2 * half + j / 2], j % 2 * 2 + part);
        CH_UNROLL for (int i = 0; i < 4; i++) if (!one)
            mk_unpack(type, at[i], high + i, half, w + 4 * i);
        mv_column column = mv_column_at(x, b);
        for (int32_t c = 0; c < n; c++) {
            __m512i sum[4], *to = sums + 4 * c;
            mk_start(type, &column, part, sum);
            CH_UNROLL for (int i = 0; i < 4; i++) {
                if (one) mk_unpack(type, at[i], high + i, half, w + 4 * i);
                mk_multiply(w + 4 * i, &column, 16 * part + 4 * i, sum);
            }
            CH_UNROLL for (int j = 0; j < 4; j++) to[j] =
                part == 0 ? _mm512_madd_epi16(sum[j], scale[j])
                          : _mm512_dpwssd_epi32(to[j], sum[j], scale[j]);
            mv_column_next(&column, a->x_stride);
        }
    }
    mv_column column = mv_column_at(x, b);
    for (int32_t c = 0; c < n; c++) {
        CH_UNROLL for (int j = 0; j < 4; j++) {
            __m512 u = _mm512_mul_ps(s->d, _mm512_cvtepi32_ps(sums[4 * c + j]));
            __m512 to = _mm512_fmadd_ps(u, _mm512_set1_ps(column.d[j]), acc[4 * c + j]);
            if (type == CH_TYPE_Q2_K) {
                __m512 m0 = mk_min(s, 2 * half + j / 2, j % 2 * 2);
                __m512 m1 = mk_min(s, 2 * half + j / 2, j % 2 * 2 + 1);
                to = _mm512_fnmadd_ps(m0, _mm512_set1_ps(column.sx16[2 * j]), to);
                to = _mm512_fnmadd_ps(m1, _mm512_set1_ps(column.sx16[2 * j + 1]), to);
            }
            acc[4 * c + j] = to;
        }
        mv_column_next(&column, a->x_stride);
    }
}

// Sixteen rows times all columns, of which the first `streams` * `rows` are stored: rows r, r + 1,
// ... of each stream, which is `apart` rows from the one before.
MK_FN void mk_sixteen(ch_type type, bool one, const ch_mm_args *a, const ch_q8 *x, int32_t r,
                      int32_t apart, int32_t streams, int32_t rows) {
    const size_t block = mv_block_bytes(type), next = (size_t)apart * a->w_stride;
    const int32_t n = one ? 1 : a->n;
    const uint8_t *p = a->w + (size_t)r * a->w_stride;
    mk_rows at = {
        p, p + next, p + 2 * next, p + 3 * next, rows == 1 ? 0 : a->w_stride, 4 * a->w_stride};
    __m512 acc[4 * CH_MATVEC_COLUMNS];
    for (int32_t i = 0; i < 4 * n; i++) acc[i] = _mm512_setzero_ps();
    for (int32_t b = 0; b < a->k / 32; b += 8) {
        mk_super s;
        if (type == CH_TYPE_Q2_K)
            mk_read_q2_k(&at, &s);
        else
            mk_read_q3_k(&at, &s);
        mk_half_block(type, one, &at, &s, 0, a, x, (size_t)b, acc);
        mk_half_block(type, one, &at, &s, 1, a, x, (size_t)b + 4, acc);
        at.p0 += block;
        at.p1 += block;
        at.p2 += block;
        at.p3 += block;
        at.ahead -= block;
    }
    for (int32_t c = 0; c < n; c++) {
        const __m512 *l = acc + 4 * c;
        float y[16];
        _mm512_storeu_ps(y, _mm512_add_ps(_mm512_add_ps(l[0], l[2]), _mm512_add_ps(l[1], l[3])));
        for (int32_t i = 0; i < streams; i++)
            mv_store(a, (mv_group){r + i * apart, 1, rows}, c, y + 4 * i);
    }
}

// Rows that are no whole sixteen are taken four at a time, then one, as if they were sixteen.
typedef void mk_fn(const ch_mm_args *a, const ch_q8 *x, int32_t r, int32_t apart, int32_t streams,
                   int32_t rows);
static MK_TARGET void mk_walk(mk_fn *sixteen, const ch_mm_args *a, int32_t row0, int32_t row1) {
    ch_q8 x = ch_q8_view(a->x, a->k, 1);
    int32_t apart = (row1 - row0) / 16 * 4, r = row0;
    for (; r < row0 + apart; r += 4) sixteen(a, &x, r, apart, 4, 4);
    for (r = row0 + 4 * apart; r + 4 <= row1; r += 4) sixteen(a, &x, r, 0, 1, 4);
    for (; r < row1; r++) sixteen(a, &x, r, 0, 1, 1);
}

#define MK_SIXTEEN(NAME, name, one)                                                                \
    static MK_TARGET void mk_##name(const ch_mm_args *a, const ch_q8 *x, int32_t r, int32_t apart, \
                                    int32_t streams, int32_t rows) {                               \
        mk_sixteen(CH_TYPE_##NAME, one, a, x, r, apart, streams, rows);                            \
    }
#define MK_TYPE(NAME, type)                                                                        \
    MK_SIXTEEN(NAME, type##_one, true)                                                             \
    MK_SIXTEEN(NAME, type##_more, false)                                                           \
    CH_FN MK_TARGET void ch_matvec_##type##__avx512(const ch_mm_args *a, int32_t row0,             \
                                                    int32_t row1) {                                \
        mk_walk(a->n == 1 ? mk_##type##_one : mk_##type##_more, a, row0, row1);                    \
    }
MK_TYPE(Q2_K, q2_k)
MK_TYPE(Q3_K, q3_k)

#undef MK_SIXTEEN
#undef MK_TYPE
#undef MK_FN
#undef MK_TARGET

CH_AVX512_END
#endif
