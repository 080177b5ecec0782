// matvec_k23_avx512: Q2_K and Q3_K times 1..8 columns for AVX-512 with VBMI and VNNI.
//
// Owns: the decode kernels of the two types whose arithmetic, not memory, would set the pace if
// they were read as matvec_avx512.c reads the others: a byte of theirs holds up to four weights.
//
// Idea: sixteen rows at a time, one to each 32-bit lane, so that nothing is summed across lanes.
// They are four rows next to each other in each of four distant streams. Sixteen bytes of each row
// are turned by a 4 x 4 transpose of 32-bit parts, still packed; shifts and masks unpack the
// weights of four blocks at once; four bytes of a column meet them as a broadcast. Where two bits
// stand two higher in their byte than others, the weights stay four times what they are, and the
// others' scales are taken times four: a shift less.
//   sum     of 16 weights: vpdpbusd, from -zero point times the column's sum of bytes; 16 bits
//   scale   vpmaddwd and vpdpwssd with integer scales times 256 (times 4, see above): blocks of 32
//   float   the canon's steps, a block at a time
//
// Cost for 16 rows x 256 weights: 120 (Q3_K 140) operations to turn them, 80 (200) to unpack, and
// for a column 64 to multiply and 40 (56) to scale. About 400 and 490 in all, minimums included.
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
    __m512i four[4];   // the same times 4
    __m512i mins[4];   // Q2_K: minimums, in the upper halves of such bytes
    __m512i high[8];   // Q3_K: third bits, of bytes 4i..4i+3 of the first sixteen, then the second
    __m512 d, dmin;    // d over 1024: scales come times 256, and times 4
} mk_super;

// Bytes at..at+15 of each row: t[i] holds bytes at + 4i.. of all rows.
MK_FN void mk_chunk(const mk_rows *r, size_t at, __m512i *t) {
    __m512i v[4];
    CH_UNROLL for (size_t i = 0; i < 4; i++, at += r->stride) v[i] =
        x512_lanes(r->p0 + at, r->p1 + at, r->p2 + at, r->p3 + at);
    x512_turn4(v, t);
}

// Asks for the next rows of each stream, front to back, a fourth of a step at a time: of no use
// behind the last ones, and no harm.
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
    CH_UNROLL for (int c = 0; c < 4; c++) {
        s->scales[c] = mk_and(s->mins[c], 0x0f0f0f0f);
        s->four[c] = _mm512_slli_epi32(s->scales[c], 2);
    }
    s->d = _mm512_mul_ps(x512_half(end[3]), _mm512_set1_ps(0x1p-10f));
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
        s->four[c] = mk_and(_mm512_slli_epi32(s->scales[c], 2), (int32_t)0xfcfcfcfc);
    }
    s->d = _mm512_mul_ps(x512_half(_mm512_srli_epi32(end[3], 16)), _mm512_set1_ps(0x1p-10f));
}

// b where the mask is set, else a; of that the bits of `keep`.
MK_FN __m512i mk_merge(__m512i a, __m512i b, int32_t mask, int32_t keep) {
    return mk_and(_mm512_ternarylogic_epi32(a, b, _mm512_set1_epi32(mask), 0xd8), keep);
}

// Weights of bytes that hold four, w[j] of block j; those of blocks 1 and 3 four times what they
// are. high: third bits of Q3_K, those of block j at bit 4 * half + j.
MK_FN void mk_unpack(ch_type type, __m512i v, __m512i high, int half, __m512i *w) {
    const int32_t even = 0x03030303, odd = 0x0c0c0c0c;
    __m512i upper = _mm512_srli_epi32(v, 4);
    if (type == CH_TYPE_Q2_K) {
        w[0] = mk_and(v, even);
        w[1] = mk_and(v, odd);
        w[2] = mk_and(upper, even);
        w[3] = mk_and(upper, odd);
        return;
    }
    const int32_t even3 = 0x07070707, odd3 = 0x1c1c1c1c;
    // Bit 4 * half + j to bit 2 or 4.
    w[0] = mk_merge(mk_left(high, 2 - 4 * half), v, even, even3);
    w[1] = mk_merge(mk_left(high, 3 - 4 * half), v, odd, odd3);
    w[2] = mk_merge(mk_left(high, -4 * half), upper, even, even3);
    w[3] = mk_merge(mk_left(high, 1 - 4 * half), upper, odd, odd3);
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

// The sum of 16 weights of block j times a column, from the zero point on.
MK_FN __m512i mk_sum(ch_type type, const __m512i *w, const mv_column *x, int j, int part) {
    __m512i sum = _mm512_setzero_si512();
    if (type == CH_TYPE_Q3_K)
        sum = _mm512_dpwssd_epi32(sum, _mm512_set1_epi32(j % 2 ? 0xfff0 : 0xfffc),
                                  _mm512_set1_epi32(x->s16[2 * j + part]));
    CH_UNROLL for (int i = 0; i < 4; i++) {
        int32_t four;
        memcpy(&four, x->q + 32 * j + 16 * part + 4 * i, sizeof four);
        sum = _mm512_dpbusd_epi32(sum, w[4 * i + j], _mm512_set1_epi32(four));
    }
    return sum;
}

// Half a super-block, blocks b..b+3, times all columns; acc: [column][4].
MK_FN void mk_half_block(ch_type type, bool one, mk_rows *r, const mk_super *s, int half,
                         const ch_mm_args *a, const ch_q8 *x, size_t b, __m512 *acc) {
    const int32_t n = one ? 1 : a->n;
    const size_t weights = type == CH_TYPE_Q2_K ? 16 : 32;
    __m512i sums[4 * CH_MATVEC_COLUMNS];
    CH_UNROLL for (int part = 0; part < 2; part++) {
        __m512i v[4], w[16], scale[4];
        mk_ask(r, mv_block_bytes(type));
        mk_chunk(r, weights + 32 * (size_t)half + 16 * (size_t)part, v);
        CH_UNROLL for (int i = 0; i < 4; i++) mk_unpack(
            type, v[i], type == CH_TYPE_Q3_K ? s->high[4 * part + i] : v[i], half, w + 4 * i);
        CH_UNROLL for (int j = 0; j < 4; j++) {
            const int c = 2 * half + j / 2;
            scale[j] = mk_scale(j % 2 ? s->scales[c] : s->four[c], j % 2 * 2 + part);
        }
        mv_column column = mv_column_at(x, b);
        for (int32_t c = 0; c < n; c++) {
            CH_UNROLL for (int j = 0; j < 4; j++) {
                __m512i sum = mk_sum(type, w, &column, j, part), *to = &sums[4 * c + j];
                *to = part == 0 ? _mm512_madd_epi16(sum, scale[j])
                                : _mm512_dpwssd_epi32(*to, sum, scale[j]);
            }
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
