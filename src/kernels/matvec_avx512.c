// matvec_avx512: matrix times 1..8 columns for AVX-512 with VBMI, VNNI and GFNI.
//
// Owns: the decode kernels of all tensor types at this level. Every weight is read once, whatever
// the number of columns: about 2 to 9 bits a weight from memory, 2 operations a weight and column.
//
// Quantized types. The canon makes the sum of a block of 32 an exact integer, so only the blocks
// have an order. A tile is 4 rows x 4 blocks: 16 sums, one float lane each, in the order [block
// 0..3][row 0..3], and the four 128-bit lanes of the float accumulator are the canon's acc[0..3].
//   unpack   per row, 4 blocks become two registers of unsigned bytes whose 128-bit lane j holds
//            weights 0..15 (`lo`) and 16..31 (`hi`) of block j
//   dot      vpdpbusd: lane j holds four partial sums of block j
//   add up   a transpose of the four rows' partial sums that adds as it goes
//   zero     a constant zero point times the sum of the column's block is subtracted, in integers
//   scale    to float, times 16 scales that one byte permutation per row brings to [block][row]
// K types are the same, their sub-blocks taken as blocks; a super-block is two tiles. Q2_K and Q3_K
// are read otherwise: see matvec_k23_avx512.c.
//
// Float types. Four rows at a time, 16 lanes each, as the canon has them.
//
// Memory. See matvec_common.h: four distant streams, prefetched; a row's last 1..3 blocks are
// copied to a buffer, so that nothing past the end of a matrix is touched.
#include "matvec_common.h"
#include "simd_avx512.h"

#if CH_X86
CH_AVX512_BEGIN

#define MV512_TARGET CH_TARGET_AVX512
#define MV512_FN     CH_FORCE_INLINE MV512_TARGET

// ---- small vectors

// One tile's weights as bytes, and its scales and (negated) offsets in the order [block][row].
typedef struct mv512_tile {
    __m512i lo0, lo1, lo2, lo3, hi0, hi1, hi2, hi3;
    __m512 s0, s1, m; // s1: of weights 16..31, where they have their own
} mv512_tile;

MV512_FN __m512i mv512_bcast128(const void *p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}

// a, b, c, d in the four 128-bit lanes.
MV512_FN __m512i mv512_per_lane(int a, int b, int c, int d) {
    return _mm512_set_epi32(d, d, d, d, c, c, c, c, b, b, b, b, a, a, a, a);
}

// Element j of four values in memory, in all of lane j.
MV512_FN __m512 mv512_spread(const float *p) {
    __m512 four = _mm512_broadcast_f32x4(_mm_loadu_ps(p));
    return _mm512_permutevar_ps(four, mv512_per_lane(0, 1, 2, 3));
}

MV512_FN __m512i mv512_spread_int(const int32_t *p) {
    return _mm512_castps_si512(mv512_spread((const float *)(const void *)p));
}

// Element 2j + h of eight values in memory, in all of lane j.
MV512_FN __m512i mv512_spread2_int(const int32_t *p, int h) {
    __m512i eight = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_permutexvar_epi32(mv512_per_lane(h, 2 + h, 4 + h, 6 + h), eight);
}

// a | (b & c)
MV512_FN __m512i mv512_or_and(__m512i a, __m512i b, __m512i c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0xf8);
}

// ---- unpacking: one row's part of a tile

// 16 bytes at offset `at` of four consecutive blocks of `stride` bytes.
MV512_FN __m512i mv512_blocks(const uint8_t *p, size_t stride) {
    return x512_lanes(p, p + stride, p + 2 * stride, p + 3 * stride);
}

// Where a lane of a register that mv512_gather makes comes from, in 32-bit words: of window `a`
// below 16, of window `b` from 16 on.
MV512_FN int mv512_word(int at, int a, int b) {
    return at >= a && at % 4 == a % 4 && at - a <= 48 ? (at - a) / 4 : 16 + (at - b) / 4;
}

// `bytes` (16, or 8, then twice) at offset `at` of four consecutive blocks of `stride` bytes. They
// come from two windows of 64 bytes, `a` and `b` bytes from the first block's beginning: one
// permutation, where a lane at a time would be three insertions.
MV512_FN __m512i mv512_gather(const uint8_t *p, int stride, int at, int bytes, int a, int b) {
    const int w0 = mv512_word(at, a, b), w1 = mv512_word(at + stride, a, b);
    const int w2 = mv512_word(at + 2 * stride, a, b), w3 = mv512_word(at + 3 * stride, a, b);
    const int i = bytes == 8 ? 0 : 2, j = bytes == 8 ? 1 : 3;
    const __m512i from = _mm512_setr_epi32(w0, w0 + 1, w0 + i, w0 + j, w1, w1 + 1, w1 + i, w1 + j,
                                           w2, w2 + 1, w2 + i, w2 + j, w3, w3 + 1, w3 + i, w3 + j);
    return _mm512_permutex2var_epi32(_mm512_loadu_si512(p + a), from, _mm512_loadu_si512(p + b));
}

// The nibbles of four blocks.
MV512_FN __m512i mv512_nibbles(ch_type type, const uint8_t *p) {
    switch (type) {
    case CH_TYPE_Q4_0:
        return mv512_gather(p, 18, 2, 16, 2, 8);
    case CH_TYPE_Q4_1:
        return mv512_gather(p, 20, 4, 16, 0, 16);
    case CH_TYPE_Q5_0:
        return mv512_gather(p, 22, 6, 16, 2, 24);
    default:
        return mv512_gather(p, 24, 8, 16, 0, 32);
    }
}

// The first 8 bytes of four blocks of Q5_0 or Q5_1, twice: scale, offset, fifth bits.
MV512_FN __m512i mv512_heads(ch_type type, const uint8_t *p) {
    return type == CH_TYPE_Q5_0 ? mv512_gather(p, 22, 0, 8, 0, 22)
                                : mv512_gather(p, 24, 0, 8, 0, 32);
}

// Weights of four blocks of Q4_0, Q4_1, Q5_0, Q5_1.
MV512_FN void mv512_unpack_45(ch_type type, const uint8_t *p, __m512i *lo, __m512i *hi) {
    const __m512i low = _mm512_set1_epi8(15);
    __m512i v = mv512_nibbles(type, p);
    *lo = _mm512_and_si512(v, low);
    *hi = x512_upper_nibbles(v);
    if (type == CH_TYPE_Q4_0 || type == CH_TYPE_Q4_1) return;
    // Byte i takes the 8 bits of the head that have fifth bit i, or 16 + i, at 16.
    const char first = type == CH_TYPE_Q5_0 ? 16 - 4 : 32 - 4;
    const __m512i count = _mm512_set4_epi32(0x0f0e0d0c, 0x0b0a0908, 0x07060504, 0x03020100);
    const __m512i from = _mm512_add_epi8(count, _mm512_set1_epi8(first));
    const __m512i bit = _mm512_set1_epi8(16);
    __m512i head = mv512_heads(type, p);
    *lo = mv512_or_and(*lo, _mm512_multishift_epi64_epi8(from, head), bit);
    *hi = mv512_or_and(
        *hi, _mm512_multishift_epi64_epi8(_mm512_add_epi8(from, _mm512_set1_epi8(16)), head), bit);
}

// Bytes of Q8_0, made unsigned.
MV512_FN void mv512_unpack_q8_0(const uint8_t *p, __m512i *lo, __m512i *hi) {
    const __m512i sign = _mm512_set1_epi8(-128);
    *lo = _mm512_xor_si512(mv512_blocks(p + 2, 34), sign);
    *hi = _mm512_xor_si512(mv512_blocks(p + 18, 34), sign);
}

// Half a super-block of Q4_K or Q5_K: 64 bytes whose low nibbles are parts 0 and 2, high ones 1, 3.
MV512_FN void mv512_unpack_45k(ch_type type, const uint8_t *p, int half, __m512i *lo, __m512i *hi) {
    const __m512i low = _mm512_set1_epi8(15);
    __m512i v = _mm512_loadu_si512(p + (type == CH_TYPE_Q4_K ? 16 : 48) + 64 * half);
    __m512i a = _mm512_and_si512(v, low), b = x512_upper_nibbles(v);
    *lo = _mm512_permutex2var_epi64(a, _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), b);
    *hi = _mm512_permutex2var_epi64(a, _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2), b);
    if (type == CH_TYPE_Q4_K) return;
    const __m512i turn = half == 0 ? mv512_per_lane(4, 3, 2, 1) : mv512_per_lane(0, 31, 30, 29);
    const __m512i bit = _mm512_set1_epi8(16);
    *lo = mv512_or_and(*lo, _mm512_rolv_epi32(mv512_bcast128(p + 16), turn), bit);
    *hi = mv512_or_and(*hi, _mm512_rolv_epi32(mv512_bcast128(p + 32), turn), bit);
}

// Half a super-block of Q6_K: 64 bytes whose low nibbles are parts 0 and 1, high ones 2 and 3; bits
// 2j of 32 bytes are the upper bits of part j.
MV512_FN void mv512_unpack_q6_k(const uint8_t *p, int half, __m512i *lo, __m512i *hi) {
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(48);
    const __m512i turn = mv512_per_lane(4, 2, 0, 30);
    const uint8_t *qh = p + 128 + 32 * half;
    __m512i v = _mm512_loadu_si512(p + 64 * half);
    __m512i a = _mm512_and_si512(v, low), b = x512_upper_nibbles(v);
    *lo = mv512_or_and(_mm512_shuffle_i64x2(a, b, 0x88),
                       _mm512_rolv_epi32(mv512_bcast128(qh), turn), high);
    *hi = mv512_or_and(_mm512_shuffle_i64x2(a, b, 0xdd),
                       _mm512_rolv_epi32(mv512_bcast128(qh + 16), turn), high);
}

MV512_FN void mv512_unpack_row(ch_type type, const uint8_t *p, int half, __m512i *lo, __m512i *hi) {
    switch (type) {
    case CH_TYPE_Q8_0:
        mv512_unpack_q8_0(p, lo, hi);
        break;
    case CH_TYPE_Q4_K:
    case CH_TYPE_Q5_K:
        mv512_unpack_45k(type, p, half, lo, hi);
        break;
    case CH_TYPE_Q6_K:
        mv512_unpack_q6_k(p, half, lo, hi);
        break;
    default:
        mv512_unpack_45(type, p, lo, hi);
        break;
    }
}

MV512_FN void mv512_unpack(ch_type type, const mv_rows *r, int half, mv512_tile *t) {
    mv512_unpack_row(type, r->p0, half, &t->lo0, &t->hi0);
    mv512_unpack_row(type, r->p1, half, &t->lo1, &t->hi1);
    mv512_unpack_row(type, r->p2, half, &t->lo2, &t->hi2);
    mv512_unpack_row(type, r->p3, half, &t->lo3, &t->hi3);
}

// ---- scales of the types with blocks of 32
//
// A byte permutation of 64 bytes of each row picks the 16-bit scales of its four blocks; merging
// masks let the four rows fill one register: words [block][row], scales below, offsets above.
// Where the four blocks' scales are more than 64 bytes apart, a second window of the row holds the
// last block or two.

#define MV512_WORDS(at) at, at + 1, at, at + 1, at, at + 1, at, at + 1 // one for each of four rows
#define MV512_NONE      0, 0, 0, 0, 0, 0, 0, 0

typedef struct mv512_pick {
    uint8_t from[64]; // byte of the window that each byte comes from
    int32_t second;   // where the second window starts in the row; 0: there is none
    uint64_t mask;    // bytes that come from the second window
} mv512_pick;

MV512_FN const mv512_pick *mv512_pick_of(ch_type type) {
    static const mv512_pick q4_0 = {{MV512_WORDS(0), MV512_WORDS(18), MV512_WORDS(36),
                                     MV512_WORDS(54), MV512_NONE, MV512_NONE, MV512_NONE,
                                     MV512_NONE},
                                    0,
                                    0};
    static const mv512_pick q4_1 = {{MV512_WORDS(0), MV512_WORDS(20), MV512_WORDS(40),
                                     MV512_WORDS(60), MV512_WORDS(2), MV512_WORDS(22),
                                     MV512_WORDS(42), MV512_WORDS(62)},
                                    0,
                                    0};
    static const mv512_pick q8_0 = {{MV512_WORDS(0), MV512_WORDS(34), MV512_WORDS(4),
                                     MV512_WORDS(38), MV512_NONE, MV512_NONE, MV512_NONE,
                                     MV512_NONE},
                                    64,
                                    0xffff0000};
    switch (type) {
    case CH_TYPE_Q4_0:
        return &q4_0;
    case CH_TYPE_Q4_1:
        return &q4_1;
    default:
        return &q8_0;
    }
}

// The same address, unknown to the compiler: clang 14 would otherwise make the 16-byte loads of the
// weights by shifting words out of the 64 bytes loaded here.
MV512_FN const uint8_t *mv512_apart(const uint8_t *p) {
    __asm__("" : "+r"(p));
    return p;
}

MV512_FN __m512i mv512_pick_row(ch_type type, __m512i v, const uint8_t *p, int row) {
    const mv512_pick *pick = mv512_pick_of(type);
    const __m512i from = _mm512_loadu_si512(pick->from);
    const uint64_t words = 0x0303030303030303ull << (2 * row);
    if (!mv_has_min(type) && !pick->second)
        return _mm512_mask_permutexvar_epi8(v, words & 0xffffffff, from, _mm512_loadu_si512(p));
    v = _mm512_mask_permutexvar_epi8(v, words & ~pick->mask, from, _mm512_loadu_si512(p));
    if (!pick->second) return v;
    return _mm512_mask_permutexvar_epi8(v, words & pick->mask, from,
                                        _mm512_loadu_si512(p + pick->second));
}

// Q5_0 and Q5_1 have them in the heads that the fifth bits come from.
MV512_FN __m512i mv512_head_scales(ch_type type, const mv_rows *r) {
    __m512i ab = _mm512_unpacklo_epi16(mv512_heads(type, r->p0), mv512_heads(type, r->p1));
    __m512i cd = _mm512_unpacklo_epi16(mv512_heads(type, r->p2), mv512_heads(type, r->p3));
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7),
                                    _mm512_unpacklo_epi32(ab, cd));
}

MV512_FN __m512i mv512_pick_scales(ch_type type, const mv_rows *r) {
    __m512i v = mv512_pick_row(type, _mm512_setzero_si512(), mv512_apart(r->p0), 0);
    v = mv512_pick_row(type, v, mv512_apart(r->p1), 1);
    v = mv512_pick_row(type, v, mv512_apart(r->p2), 2);
    return mv512_pick_row(type, v, mv512_apart(r->p3), 3);
}

MV512_FN void mv512_scales(ch_type type, const mv_rows *r, mv512_tile *t) {
    const bool fifth = type == CH_TYPE_Q5_0 || type == CH_TYPE_Q5_1;
    __m512i v = fifth ? mv512_head_scales(type, r) : mv512_pick_scales(type, r);
    t->s0 = t->s1 = _mm512_cvtph_ps(_mm512_castsi512_si256(v));
    t->m = mv_has_min(type) ? _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v, 1)) : t->s0;
}

// ---- scales of the K types
//
// The four rows' packed scales lie in the four 128-bit lanes of a register; one or two byte
// permutations bring them to [tile][h][block][row] (or [tile][scale, minimum][block][row]), so that
// each 16 bytes are one register of floats.

#define MV512_BYTES(at)          at, at + 16, at + 32, at + 48 // one for each of four rows
#define MV512_BYTES4(a, b, c, d) MV512_BYTES(a), MV512_BYTES(b), MV512_BYTES(c), MV512_BYTES(d)

typedef struct mv512_super {
    __m512i scales; // and minimums
    __m512 d, dmin; // [any block][row]; d times what undoes the scales' place in a word
} mv512_super;

// Words at byte `at` of the four lanes, as floats.
MV512_FN __m512 mv512_super_d(__m512i lanes, int at) {
    __m512i from = _mm512_set1_epi64(0x3130212011100100 + 0x0101010101010101 * at);
    return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi8(from, lanes)));
}

MV512_FN void mv512_super_45k(const mv_rows *r, mv512_super *s) {
    // Parts 0..3 have six bits in bytes 4..7 (scales) and 8..11 (minimums), whose upper two belong
    // to parts 4..7, with four bits in bytes 12..15.
    static const uint8_t first[64] = {MV512_BYTES4(4, 5, 6, 7), MV512_BYTES4(8, 9, 10, 11),
                                      MV512_BYTES4(12, 13, 14, 15), MV512_BYTES4(12, 13, 14, 15)};
    static const uint8_t second[64] = {MV512_BYTES4(4, 5, 6, 7), MV512_BYTES4(8, 9, 10, 11),
                                       MV512_BYTES4(4, 5, 6, 7), MV512_BYTES4(8, 9, 10, 11)};
    __m512i v = x512_lanes(r->p0, r->p1, r->p2, r->p3);
    __m512i a = _mm512_permutexvar_epi8(_mm512_loadu_si512(first), v);
    __m512i b = _mm512_permutexvar_epi8(_mm512_loadu_si512(second), v);
    a = _mm512_and_si512(_mm512_srlv_epi32(a, mv512_per_lane(0, 0, 0, 4)),
                         mv512_per_lane(0x3f3f3f3f, 0x3f3f3f3f, 0x0f0f0f0f, 0x0f0f0f0f));
    s->scales =
        mv512_or_and(a, _mm512_srli_epi32(b, 2), mv512_per_lane(0, 0, 0x30303030, 0x30303030));
    s->d = mv512_super_d(v, 0);
    s->dmin = mv512_super_d(v, 2);
}

MV512_FN void mv512_super_q6_k(const mv_rows *r, mv512_super *s) {
    static const uint8_t from[64] = {MV512_BYTES4(0, 2, 4, 6), MV512_BYTES4(1, 3, 5, 7),
                                     MV512_BYTES4(8, 10, 12, 14), MV512_BYTES4(9, 11, 13, 15)};
    __m512i v = x512_lanes(r->p0 + 192, r->p1 + 192, r->p2 + 192, r->p3 + 192);
    __m512i end = x512_lanes(r->p0 + 194, r->p1 + 194, r->p2 + 194, r->p3 + 194);
    s->scales = _mm512_permutexvar_epi8(_mm512_loadu_si512(from), v);
    s->d = s->dmin = _mm512_mul_ps(mv512_super_d(end, 14), _mm512_set1_ps(0x1p-24f));
}

// The 16 bytes of a 128-bit lane as floats; signed ones times 2^24, as they are taken to the upper
// byte.
MV512_FN __m512 mv512_super_floats(__m512i v, int lane, bool is_signed) {
    const __m512i index =
        _mm512_set_epi32(0x0f0f0f0f, 0x0e0e0e0e, 0x0d0d0d0d, 0x0c0c0c0c, 0x0b0b0b0b, 0x0a0a0a0a,
                         0x09090909, 0x08080808, 0x07070707, 0x06060606, 0x05050505, 0x04040404,
                         0x03030303, 0x02020202, 0x01010101, 0);
    const __mmask64 where = is_signed ? 0x8888888888888888ull : 0x1111111111111111ull;
    const __m512i from = _mm512_add_epi8(index, _mm512_set1_epi8((char)(16 * lane)));
    return _mm512_cvtepi32_ps(_mm512_maskz_permutexvar_epi8(where, from, v));
}

// Scales and minimums of half a super-block.
MV512_FN void mv512_super_scales(ch_type type, const mv512_super *s, int half, mv512_tile *t) {
    const int lane = 2 * half;
    if (type == CH_TYPE_Q4_K || type == CH_TYPE_Q5_K) {
        t->s0 = t->s1 = _mm512_mul_ps(s->d, mv512_super_floats(s->scales, lane, false));
        t->m = _mm512_mul_ps(s->dmin, mv512_super_floats(s->scales, lane + 1, false));
    } else {
        t->s0 = t->m = _mm512_mul_ps(s->d, mv512_super_floats(s->scales, lane, true));
        t->s1 = _mm512_mul_ps(s->d, mv512_super_floats(s->scales, lane + 1, true));
    }
}

// ---- one tile times one column

MV512_FN __m512i mv512_dp(__m512i acc, __m512i w, __m512i x) {
    return _mm512_dpbusd_epi32(acc, w, x);
}

// Four rows of four partial sums a lane: the sums as [block][row].
MV512_FN __m512i mv512_add4(__m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

MV512_FN __m512i mv512_shuffle_even(__m512i a, __m512i b) {
    return _mm512_castps_si512(
        _mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0x88));
}

MV512_FN __m512i mv512_shuffle_odd(__m512i a, __m512i b) {
    return _mm512_castps_si512(
        _mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0xdd));
}

// The partial sums of two halves, added in pairs: h0, h0, h1, h1. A partial sum is at most 4 * 63 *
// 127 = 32004 and fits 16 bits.
MV512_FN __m512i mv512_add_pairs(__m512i h0, __m512i h1) {
    return _mm512_madd_epi16(_mm512_packs_epi32(h0, h1), _mm512_set1_epi16(1));
}

// Two rows' sums of both halves, a lane: a h0, a h1, b h0, b h1.
MV512_FN __m512i mv512_add_halves(__m512i a0, __m512i a1, __m512i b0, __m512i b1) {
    __m512i a = mv512_add_pairs(a0, a1), b = mv512_add_pairs(b0, b1);
    return _mm512_add_epi32(mv512_shuffle_even(a, b), mv512_shuffle_odd(a, b));
}

MV512_FN __m512 mv512_multiply(ch_type type, const mv512_tile *t, const mv_column *x, __m512 acc) {
    const __m512i zero = _mm512_setzero_si512();
    const unsigned bits = (unsigned)mv_zero_shift(type);
    __m512i x0 = _mm512_loadu_si512(x->q), x1 = _mm512_loadu_si512(x->q + 64);
    __m512i lo = _mm512_shuffle_i64x2(x0, x1, 0x88), hi = _mm512_shuffle_i64x2(x0, x1, 0xdd);
    __m512 u;
    if (mv_halves(type)) { // Q6_K
        __m512i ab = mv512_add_halves(mv512_dp(zero, t->lo0, lo), mv512_dp(zero, t->hi0, hi),
                                      mv512_dp(zero, t->lo1, lo), mv512_dp(zero, t->hi1, hi));
        __m512i cd = mv512_add_halves(mv512_dp(zero, t->lo2, lo), mv512_dp(zero, t->hi2, hi),
                                      mv512_dp(zero, t->lo3, lo), mv512_dp(zero, t->hi3, hi));
        __m512i t0 = mv512_shuffle_even(ab, cd), t1 = mv512_shuffle_odd(ab, cd);
        const int32_t *sum = x->s16;
        t0 = _mm512_sub_epi32(t0, _mm512_slli_epi32(mv512_spread2_int(sum, 0), bits));
        t1 = _mm512_sub_epi32(t1, _mm512_slli_epi32(mv512_spread2_int(sum, 1), bits));
        u = _mm512_mul_ps(t->s0, _mm512_cvtepi32_ps(t0));
        u = _mm512_fmadd_ps(t->s1, _mm512_cvtepi32_ps(t1), u);
    } else {
        __m512i sum = mv512_add4(mv512_dp(mv512_dp(zero, t->lo0, lo), t->hi0, hi),
                                 mv512_dp(mv512_dp(zero, t->lo1, lo), t->hi1, hi),
                                 mv512_dp(mv512_dp(zero, t->lo2, lo), t->hi2, hi),
                                 mv512_dp(mv512_dp(zero, t->lo3, lo), t->hi3, hi));
        if (bits) sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(mv512_spread_int(x->s32), bits));
        u = _mm512_mul_ps(t->s0, _mm512_cvtepi32_ps(sum));
    }
    acc = _mm512_fmadd_ps(u, mv512_spread(x->d), acc);
    if (!mv_has_min(type)) return acc;
    __m512 sx = mv512_spread(x->sx);
    // K types subtract their minimums; the others add their offsets.
    return mv_is_k(type) ? _mm512_fnmadd_ps(t->m, sx, acc) : _mm512_fmadd_ps(t->m, sx, acc);
}

// ---- rows

MV512_FN void mv512_store(const ch_mm_args *a, mv_group g, int32_t c, __m128 dots) {
    float y[4];
    _mm_storeu_ps(y, dots);
    mv_store(a, g, c, y);
}

// (l0 + l2) + (l1 + l3) of the 128-bit lanes: the end of a quantized dot, half of a float one.
MV512_FN __m128 mv512_add_lanes(__m512 acc) {
    __m256 two = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps(acc, 1));
    return _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
}

// One tile times all columns. `one` (a constant) keeps a single column's accumulator in a register.
MV512_FN void mv512_columns(ch_type type, bool one, const mv512_tile *t, const ch_mm_args *a,
                            const ch_q8 *x, size_t b, __m512 *acc) {
    mv_column column = mv_column_at(x, b);
    if (one) {
        *acc = mv512_multiply(type, t, &column, *acc);
        return;
    }
    for (int32_t c = 0; c < a->n; c++) {
        acc[c] = mv512_multiply(type, t, &column, acc[c]);
        mv_column_next(&column, a->x_stride);
    }
}

// Four rows times all columns.
MV512_FN void mv512_four(ch_type type, bool one, const ch_mm_args *a, const ch_q8 *x, mv_group g) {
    const bool is_k = mv_is_k(type);
    const size_t block = mv_block_bytes(type), bytes = is_k ? block : 4 * block;
    const int32_t blocks = a->k / 32;
    uint8_t buffer[MV_TAIL_BYTES];
    mv_rows rows = mv_rows_at(a, g);
    mv512_tile tile;
    __m512 acc[CH_MATVEC_COLUMNS], acc1 = _mm512_setzero_ps();
    if (!one)
        for (int32_t c = 0; c < a->n; c++) acc[c] = _mm512_setzero_ps();
    for (int32_t b = 0; b < blocks; b += is_k ? 8 : 4) {
        mv_rows_prefetch(&rows, bytes);
        if (is_k) {
            mv512_super super;
            if (type == CH_TYPE_Q6_K)
                mv512_super_q6_k(&rows, &super);
            else
                mv512_super_45k(&rows, &super);
            mv512_unpack(type, &rows, 0, &tile);
            mv512_super_scales(type, &super, 0, &tile);
            mv512_columns(type, one, &tile, a, x, (size_t)b, one ? &acc1 : acc);
            mv512_unpack(type, &rows, 1, &tile);
            mv512_super_scales(type, &super, 1, &tile);
            mv512_columns(type, one, &tile, a, x, (size_t)b + 4, one ? &acc1 : acc);
        } else {
            if (CH_UNLIKELY(blocks - b < 4)) rows = mv_tail(rows, blocks - b, block, buffer);
            mv512_unpack(type, &rows, 0, &tile);
            mv512_scales(type, &rows, &tile);
            mv512_columns(type, one, &tile, a, x, (size_t)b, one ? &acc1 : acc);
        }
        mv_rows_step(&rows, bytes);
    }
    if (one) {
        mv512_store(a, g, 0, mv512_add_lanes(acc1));
        return;
    }
    for (int32_t c = 0; c < a->n; c++) mv512_store(a, g, c, mv512_add_lanes(acc[c]));
}

#define MV512_QUANT(NAME, type)                                                                    \
    CH_FN MV512_TARGET void ch_matvec_##type##__avx512(const ch_mm_args *a, int32_t row0,          \
                                                       int32_t row1) {                             \
        ch_q8 x = ch_q8_view(a->x, a->k, 1);                                                       \
        if (a->n == 1)                                                                             \
            for (int32_t i = 0; i < mv_groups(row0, row1); i++)                                    \
                mv512_four(CH_TYPE_##NAME, true, a, &x, mv_group_at(row0, row1, i));               \
        else                                                                                       \
            for (int32_t i = 0; i < mv_groups(row0, row1); i++)                                    \
                mv512_four(CH_TYPE_##NAME, false, a, &x, mv_group_at(row0, row1, i));              \
    }
MV512_QUANT(Q4_0, q4_0)
MV512_QUANT(Q4_1, q4_1)
MV512_QUANT(Q5_0, q5_0)
MV512_QUANT(Q5_1, q5_1)
MV512_QUANT(Q8_0, q8_0)
MV512_QUANT(Q4_K, q4_k)
MV512_QUANT(Q5_K, q5_k)
MV512_QUANT(Q6_K, q6_k)

// ---- float types

// 16 weights; of the masked ones alone the bytes are read.
MV512_FN __m512 mv512_load16(ch_type type, bool all, __mmask16 mask, const uint8_t *p) {
    if (type == CH_TYPE_F32) return all ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(mask, p);
    __m256i half = all ? _mm256_loadu_si256((const __m256i *)(const void *)p)
                       : _mm256_maskz_loadu_epi16(mask, p);
    if (type == CH_TYPE_F16) return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

// acc[r] for four rows and 16 weights; lanes outside of the mask stay as they are.
MV512_FN void mv512_fma4(bool all, __mmask16 mask, const __m512 *w, const float *x, __m512 *acc) {
    if (all) {
        __m512 v = _mm512_loadu_ps(x);
        acc[0] = _mm512_fmadd_ps(w[0], v, acc[0]);
        acc[1] = _mm512_fmadd_ps(w[1], v, acc[1]);
        acc[2] = _mm512_fmadd_ps(w[2], v, acc[2]);
        acc[3] = _mm512_fmadd_ps(w[3], v, acc[3]);
    } else {
        __m512 v = _mm512_maskz_loadu_ps(mask, x);
        acc[0] = _mm512_mask3_fmadd_ps(w[0], v, acc[0], mask);
        acc[1] = _mm512_mask3_fmadd_ps(w[1], v, acc[1], mask);
        acc[2] = _mm512_mask3_fmadd_ps(w[2], v, acc[2], mask);
        acc[3] = _mm512_mask3_fmadd_ps(w[3], v, acc[3], mask);
    }
}

// 32 weights (those in the mask, unless `all`) of four rows times all columns.
MV512_FN void mv512_float_step(ch_type type, bool one, bool all, uint32_t mask, const mv_rows *r,
                               const ch_mm_args *a, const float *x, __m512 *acc) {
    const size_t next = 16 * mv_block_bytes(type);
    __mmask16 m0 = (__mmask16)mask, m1 = (__mmask16)(mask >> 16);
    __m512 w[4], v[4];
    w[0] = mv512_load16(type, all, m0, r->p0);
    w[1] = mv512_load16(type, all, m0, r->p1);
    w[2] = mv512_load16(type, all, m0, r->p2);
    w[3] = mv512_load16(type, all, m0, r->p3);
    v[0] = mv512_load16(type, all, m1, r->p0 + next);
    v[1] = mv512_load16(type, all, m1, r->p1 + next);
    v[2] = mv512_load16(type, all, m1, r->p2 + next);
    v[3] = mv512_load16(type, all, m1, r->p3 + next);
    for (int32_t c = 0; c < (one ? 1 : a->n); c++) {
        mv512_fma4(all, m0, w, x, acc + 4 * c);
        mv512_fma4(all, m1, v, x + 16, acc + 4 * c);
        x = (const float *)(const void *)((const uint8_t *)x + a->x_stride);
    }
}

// ch_sum16 of four registers.
MV512_FN __m128 mv512_sum16(__m512 a, __m512 b, __m512 c, __m512 d) {
    __m128 a4 = mv512_add_lanes(a), b4 = mv512_add_lanes(b);
    __m128 c4 = mv512_add_lanes(c), d4 = mv512_add_lanes(d);
    __m128 ab = _mm_add_ps(_mm_shuffle_ps(a4, b4, 0x44), _mm_shuffle_ps(a4, b4, 0xee));
    __m128 cd = _mm_add_ps(_mm_shuffle_ps(c4, d4, 0x44), _mm_shuffle_ps(c4, d4, 0xee));
    return _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd));
}

MV512_FN void mv512_float_four(ch_type type, bool one, const ch_mm_args *a, mv_group g) {
    const size_t bytes = 32 * mv_block_bytes(type);
    const float *x = (const float *)(const void *)a->x;
    mv_rows rows = mv_rows_at(a, g);
    __m512 acc[4 * CH_MATVEC_COLUMNS];
    const int32_t n = one ? 1 : a->n;
    int32_t k = a->k;
    for (int32_t i = 0; i < 4 * n; i++) acc[i] = _mm512_setzero_ps();
    for (; k >= 32; k -= 32) {
        mv_rows_prefetch(&rows, bytes);
        mv512_float_step(type, one, true, 0, &rows, a, x, acc);
        x += 32;
        mv_rows_step(&rows, bytes);
    }
    if (k > 0) mv512_float_step(type, one, false, (1u << k) - 1, &rows, a, x, acc);
    for (int32_t c = 0; c < n; c++)
        mv512_store(a, g, c,
                    mv512_sum16(acc[4 * c], acc[4 * c + 1], acc[4 * c + 2], acc[4 * c + 3]));
}

#define MV512_FLOAT(NAME, type)                                                                    \
    CH_FN MV512_TARGET void ch_matvec_##type##__avx512(const ch_mm_args *a, int32_t row0,          \
                                                       int32_t row1) {                             \
        for (int32_t i = 0; i < mv_groups(row0, row1); i++)                                        \
            if (a->n == 1)                                                                         \
                mv512_float_four(CH_TYPE_##NAME, true, a, mv_group_at(row0, row1, i));             \
            else                                                                                   \
                mv512_float_four(CH_TYPE_##NAME, false, a, mv_group_at(row0, row1, i));            \
    }
MV512_FLOAT(F32, f32)
MV512_FLOAT(F16, f16)
MV512_FLOAT(BF16, bf16)

#undef MV512_FLOAT
#undef MV512_QUANT
#undef MV512_BYTES4
#undef MV512_BYTES
#undef MV512_NONE
#undef MV512_WORDS
#undef MV512_FN
#undef MV512_TARGET

CH_AVX512_END
#endif
