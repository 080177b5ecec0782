// matvec_avx2: matrix times 1..8 columns for AVX2 with FMA and F16C, and for AVX-VNNI.
//
// Owns: the decode kernels of all tensor types at these two levels; AVX-VNNI is the same code with
// another multiplication, for the quantized types. Every weight is read once, whatever the number
// of columns.
//
// Quantized types. The canon makes the sum of a block of 32 an exact integer, so only the blocks
// have an order. A tile is 4 rows x 2 blocks: 8 sums, one float lane each, in the order [block
// 0..1][row 0..3]; two accumulators take turns, and their four 128-bit lanes are the canon's
// acc[0..3].
//   unpack   per row, 2 blocks become two registers of bytes whose 128-bit lane j holds weights
//            0..15 (`lo`) and 16..31 (`hi`) of block j
//   dot      bytes times bytes to four partial sums of block j in lane j. AVX2 adds pairs in 16
//            bits: weights are unsigned and below 64, so that four products fit; those of Q8_0 give
//            their sign to the activations instead
//   add up   a transpose of the four rows' partial sums that adds as it goes
//   zero     a constant zero point times the sum of the column's block is subtracted, in integers
//   scale    to float, times 8 scales that interleaving brings to [block][row]
// K types are the same, their sub-blocks taken as blocks; a super-block is four tiles. Q2_K and
// Q3_K have scales per 16 weights in integers: the halves' partial sums fit in 16 bits, and a
// vpmaddwd of the adding up multiplies them with their scales.
//
// Float types. Four rows at a time, 16 lanes each in two registers, as the canon has them.
//
// Memory. See matvec_common.h: four distant streams, prefetched; a row's last 1..3 blocks are
// copied to a buffer, so that nothing past the end of a matrix is touched.
#include "matvec_common.h"

#if CH_X86
#include <immintrin.h>

#define MV2_TARGET CH_TARGET_AVX2
#define MV2_FN     CH_FORCE_INLINE MV2_TARGET

// ---- small vectors

// One tile's weights as bytes, and its scales and offsets (K types: minimums, to be subtracted) in
// the order [block][row].
typedef struct mv2_tile {
    __m256i lo0, lo1, lo2, lo3, hi0, hi1, hi2, hi3;
    __m256 s0, s1, m0, m1; // s1, m1: of weights 16..31, where they have their own
    // Q2_K and Q3_K: integer scales as words: [block][row][h][twice] of rows 0, 1 and of rows 2, 3;
    // and [block][row][h].
    __m256i k01, k23, both;
} mv2_tile;

MV2_FN __m128i mv2_load(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

// Two times 16 bytes, one to each 128-bit lane.
MV2_FN __m256i mv2_lanes(const void *p0, const void *p1) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(mv2_load(p0)), mv2_load(p1), 1);
}

MV2_FN __m256i mv2_twice(const void *p) {
    return _mm256_broadcastsi128_si256(mv2_load(p));
}

// a and b in the two 128-bit lanes.
MV2_FN __m256i mv2_per_lane(int a, int b) {
    return _mm256_set_epi32(b, b, b, b, a, a, a, a);
}

// Lane 0 shifted right by a, lane 1 by b; to the left where negative. The bytes' own bits that
// stay within a byte are what the caller masks.
MV2_FN __m256i mv2_shift(__m256i v, int a, int b) {
    if (a < 0 || b < 0) return _mm256_sllv_epi32(v, mv2_per_lane(-a, -b));
    return _mm256_srlv_epi32(v, mv2_per_lane(a, b));
}

// Element j of two values in memory, in all of lane j.
MV2_FN __m256 mv2_spread(const float *p) {
    double two;
    memcpy(&two, p, sizeof two);
    return _mm256_permutevar_ps(_mm256_castpd_ps(_mm256_set1_pd(two)), mv2_per_lane(0, 1));
}

// Element 2j + h of four values in memory, in all of lane j.
MV2_FN __m256 mv2_spread2(const float *p, int h) {
    return _mm256_permutevar_ps(_mm256_castsi256_ps(mv2_twice(p)), mv2_per_lane(h, 2 + h));
}

MV2_FN __m256i mv2_spread_int(const int32_t *p) {
    return _mm256_castps_si256(mv2_spread((const float *)(const void *)p));
}

MV2_FN __m256i mv2_spread2_int(const int32_t *p, int h) {
    return _mm256_castps_si256(mv2_spread2((const float *)(const void *)p, h));
}

// v | (bits & mask)
MV2_FN __m256i mv2_or_and(__m256i v, __m256i bits, __m256i mask) {
    return _mm256_or_si256(v, _mm256_and_si256(bits, mask));
}

// ---- unpacking: one row's part of tile `u` of its four blocks, or of its super-block

// Byte i is 16 where bit i % 8 of byte i of v is set.
MV2_FN __m256i mv2_fifth(__m256i v) {
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit), _mm256_set1_epi8(16));
}

// Nibbles of Q4_0, Q4_1, Q5_0, Q5_1; the fifth bits come as a dword a block.
MV2_FN void mv2_unpack_45(ch_type type, const uint8_t *p, int u, __m256i *lo, __m256i *hi) {
    const __m256i low = _mm256_set1_epi8(15);
    const size_t stride = mv_block_bytes(type);
    p += 2 * (size_t)u * stride + (stride - 16);
    __m256i v = mv2_lanes(p, p + stride);
    *lo = _mm256_and_si256(v, low);
    *hi = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
    if (type == CH_TYPE_Q4_0 || type == CH_TYPE_Q4_1) return;
    int32_t h0, h1;
    memcpy(&h0, p - 4, 4);
    memcpy(&h1, p + stride - 4, 4);
    __m256i high = _mm256_blend_epi32(_mm256_set1_epi32(h0), _mm256_set1_epi32(h1), 0xf0);
    const __m256i from_lo =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    const __m256i from_hi =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
    *lo = _mm256_or_si256(*lo, mv2_fifth(_mm256_shuffle_epi8(high, from_lo)));
    *hi = _mm256_or_si256(*hi, mv2_fifth(_mm256_shuffle_epi8(high, from_hi)));
}

// Bytes of Q8_0; made unsigned for AVX-VNNI.
MV2_FN void mv2_unpack_q8_0(bool vnni, const uint8_t *p, int u, __m256i *lo, __m256i *hi) {
    const __m256i sign = _mm256_set1_epi8(vnni ? -128 : 0);
    p += 2 * u * (int)sizeof(ch_block_q8_0);
    *lo = _mm256_xor_si256(mv2_lanes(p + 2, p + 36), sign);
    *hi = _mm256_xor_si256(mv2_lanes(p + 18, p + 52), sign);
}

// Q2_K, Q3_K: part 2u + lane has bits 2 (part % 4) of the 32 bytes of its half, and bit `part` of
// the 32 bytes of high bits.
MV2_FN void mv2_unpack_23k(ch_type type, const uint8_t *p, int u, __m256i *lo, __m256i *hi) {
    const __m256i three = _mm256_set1_epi8(3), four = _mm256_set1_epi8(4);
    const uint8_t *qs = p + (type == CH_TYPE_Q2_K ? 16 : 32) + u / 2 * 32;
    const int from = u % 2 * 4;
    *lo = _mm256_and_si256(mv2_shift(mv2_twice(qs), from, from + 2), three);
    *hi = _mm256_and_si256(mv2_shift(mv2_twice(qs + 16), from, from + 2), three);
    if (type == CH_TYPE_Q2_K) return;
    *lo = mv2_or_and(*lo, mv2_shift(mv2_twice(p), 2 * u - 2, 2 * u - 1), four);
    *hi = mv2_or_and(*hi, mv2_shift(mv2_twice(p + 16), 2 * u - 2, 2 * u - 1), four);
}

// Q4_K, Q5_K: part 2u has the low nibbles of 32 bytes, part 2u + 1 the high ones; the fifth bit of
// part j is bit j of 32 bytes.
MV2_FN void mv2_unpack_45k(ch_type type, const uint8_t *p, int u, __m256i *lo, __m256i *hi) {
    const __m256i low = _mm256_set1_epi8(15), bit = _mm256_set1_epi8(16);
    const uint8_t *qs = p + (type == CH_TYPE_Q4_K ? 16 : 48) + 32 * u;
    *lo = _mm256_and_si256(mv2_shift(mv2_twice(qs), 0, 4), low);
    *hi = _mm256_and_si256(mv2_shift(mv2_twice(qs + 16), 0, 4), low);
    if (type == CH_TYPE_Q4_K) return;
    *lo = mv2_or_and(*lo, mv2_shift(mv2_twice(p + 16), 2 * u - 4, 2 * u - 3), bit);
    *hi = mv2_or_and(*hi, mv2_shift(mv2_twice(p + 32), 2 * u - 4, 2 * u - 3), bit);
}

// Q6_K: parts 0, 1 of a half have the low nibbles of 64 bytes, parts 2, 3 the high ones; the upper
// bits of part j of a half are bits 2j of 32 bytes.
MV2_FN void mv2_unpack_q6_k(const uint8_t *p, int u, __m256i *lo, __m256i *hi) {
    const __m256i low = _mm256_set1_epi8(15), high = _mm256_set1_epi8(48);
    const uint8_t *ql = p + u / 2 * 64, *qh = p + 128 + u / 2 * 32;
    const int part = u % 2 * 2;
    __m256i a = _mm256_srli_epi16(mv2_lanes(ql, ql + 32), 2 * part);
    __m256i b = _mm256_srli_epi16(mv2_lanes(ql + 16, ql + 48), 2 * part);
    *lo = mv2_or_and(_mm256_and_si256(a, low), mv2_shift(mv2_twice(qh), 2 * part - 4, 2 * part - 2),
                     high);
    *hi = mv2_or_and(_mm256_and_si256(b, low),
                     mv2_shift(mv2_twice(qh + 16), 2 * part - 4, 2 * part - 2), high);
}

MV2_FN void mv2_unpack_row(ch_type type, bool vnni, const uint8_t *p, int u, __m256i *lo,
                           __m256i *hi) {
    switch ((int)type) {
    case CH_TYPE_Q8_0:
        mv2_unpack_q8_0(vnni, p, u, lo, hi);
        break;
    case CH_TYPE_Q2_K:
    case CH_TYPE_Q3_K:
        mv2_unpack_23k(type, p, u, lo, hi);
        break;
    case CH_TYPE_Q4_K:
    case CH_TYPE_Q5_K:
        mv2_unpack_45k(type, p, u, lo, hi);
        break;
    case CH_TYPE_Q6_K:
        mv2_unpack_q6_k(p, u, lo, hi);
        break;
    default:
        mv2_unpack_45(type, p, u, lo, hi);
        break;
    }
}

MV2_FN void mv2_unpack(ch_type type, bool vnni, const mv_rows *r, int u, mv2_tile *t) {
    mv2_unpack_row(type, vnni, r->p0, u, &t->lo0, &t->hi0);
    mv2_unpack_row(type, vnni, r->p1, u, &t->lo1, &t->hi1);
    mv2_unpack_row(type, vnni, r->p2, u, &t->lo2, &t->hi2);
    mv2_unpack_row(type, vnni, r->p3, u, &t->lo3, &t->hi3);
}

// ---- scales of the types with blocks of 32

// The dwords at four places, as their four lower words and their four upper ones.
MV2_FN __m128i mv2_words(const uint8_t *p0, const uint8_t *p1, const uint8_t *p2,
                         const uint8_t *p3) {
    int32_t v[4];
    memcpy(&v[0], p0, 4);
    memcpy(&v[1], p1, 4);
    memcpy(&v[2], p2, 4);
    memcpy(&v[3], p3, 4);
    __m128i a = _mm_unpacklo_epi16(_mm_cvtsi32_si128(v[0]), _mm_cvtsi32_si128(v[1]));
    __m128i b = _mm_unpacklo_epi16(_mm_cvtsi32_si128(v[2]), _mm_cvtsi32_si128(v[3]));
    return _mm_unpacklo_epi32(a, b);
}

MV2_FN void mv2_scales(ch_type type, const mv_rows *r, int u, mv2_tile *t) {
    const size_t stride = mv_block_bytes(type), at = 2 * (size_t)u * stride;
    __m128i a = mv2_words(r->p0 + at, r->p1 + at, r->p2 + at, r->p3 + at);
    __m128i b = mv2_words(r->p0 + at + stride, r->p1 + at + stride, r->p2 + at + stride,
                          r->p3 + at + stride);
    t->s0 = t->s1 = t->m0 = t->m1 = _mm256_cvtph_ps(_mm_unpacklo_epi64(a, b));
    if (mv_has_min(type)) t->m0 = t->m1 = _mm256_cvtph_ps(_mm_unpackhi_epi64(a, b));
}

// ---- scales of the K types
//
// Per row, the packed scales become 16 bytes: [half of the super-block][scale or minimum][block],
// or [half][h][block] where scales are per 16 weights. Two rows to a register; then rows are
// interleaved.

typedef struct mv2_super {
    __m128i a0, b0, a1, b1; // [block][row] of half 0: scales (or h 0), minimums (or h 1); of half 1
    __m256 d, dmin;         // [any block][row]
} mv2_super;

MV2_FN __m256i mv2_super_45k(__m256i v) {
    // Parts 0..3 have six bits in bytes 4..7 (scales) and 8..11 (minimums), whose upper two belong
    // to parts 4..7, with four bits in bytes 12..15.
    const __m256i shift = _mm256_setr_epi32(0, 0, 0, 4, 0, 0, 0, 4);
    const __m256i low = _mm256_set1_epi64x(0x0f0f0f0f0f0f0f0f);
    const __m256i six = _mm256_set1_epi64x(0x3f3f3f3f3f3f3f3f);
    const __m256i high =
        _mm256_setr_epi32(0, 0, 0x30303030, 0x30303030, 0, 0, 0x30303030, 0x30303030);
    __m256i a = _mm256_srlv_epi32(_mm256_shuffle_epi32(v, 0xf9), shift); // dwords 1, 2, 3, 3
    __m256i b = _mm256_shuffle_epi32(v, 0x99);                           // dwords 1, 2, 1, 2
    a = _mm256_and_si256(a, _mm256_blend_epi32(six, low, 0xcc));
    return mv2_or_and(a, _mm256_srli_epi32(b, 2), high);
}

MV2_FN __m256i mv2_super_q3_k(__m256i v) {
    // Scale j: four bits in byte j % 8, low or high, and two in byte 8 + j % 4 at bit j / 4 * 2.
    // The 16 bytes given start two before the scales.
    const __m256i first =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 4, 6, 8, 3, 5, 7, 9, 2, 4, 6, 8, 3, 5, 7, 9));
    const __m256i second = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(10, 12, 10, 12, 11, 13, 11, 13, 10, 12, 10, 12, 11, 13, 11, 13));
    const __m256i shift = _mm256_setr_epi32(0, 0, 4, 4, 0, 0, 4, 4);
    // To bits 4 and 5: from 0, 2, 4 by multiplication, from 6 by a shift.
    const __m256i times = _mm256_broadcastsi128_si256(_mm_setr_epi16(16, 4, 16, 4, 1, 0, 1, 0));
    const __m256i left =
        _mm256_broadcastsi128_si256(_mm_setr_epi32(0x30303030, 0x30303030, 0x00003030, 0x00003030));
    const __m256i right = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0, 0x30300000, 0x30300000));
    __m256i a = _mm256_srlv_epi32(_mm256_shuffle_epi8(v, first), shift);
    __m256i b = _mm256_shuffle_epi8(v, second);
    a = _mm256_and_si256(a, _mm256_set1_epi8(15));
    a = mv2_or_and(a, _mm256_mullo_epi16(b, times), left);
    a = mv2_or_and(a, _mm256_srli_epi16(b, 2), right);
    return _mm256_sub_epi8(a, _mm256_set1_epi8(32));
}

// Q2_K, Q6_K: bytes [block][h] become [h][block], in each half.
MV2_FN __m256i mv2_super_26k(__m256i v) {
    return _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(_mm_setr_epi8(
                                      0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)));
}

MV2_FN __m256i mv2_super_two(ch_type type, const uint8_t *p0, const uint8_t *p1) {
    switch ((int)type) {
    case CH_TYPE_Q2_K:
        return mv2_super_26k(mv2_lanes(p0, p1));
    case CH_TYPE_Q3_K:
        return mv2_super_q3_k(mv2_lanes(p0 + 94, p1 + 94));
    case CH_TYPE_Q6_K:
        return mv2_super_26k(mv2_lanes(p0 + 192, p1 + 192));
    default:
        return mv2_super_45k(mv2_lanes(p0, p1));
    }
}

MV2_FN void mv2_super_read(ch_type type, const mv_rows *r, mv2_super *s) {
    __m256i r01 = mv2_super_two(type, r->p0, r->p1), r23 = mv2_super_two(type, r->p2, r->p3);
    __m256i half0 = _mm256_unpacklo_epi8(r01, r23), half1 = _mm256_unpackhi_epi8(r01, r23);
    __m128i even = _mm256_castsi256_si128(half0), odd = _mm256_extracti128_si256(half0, 1);
    s->a0 = _mm_unpacklo_epi8(even, odd);
    s->b0 = _mm_unpackhi_epi8(even, odd);
    even = _mm256_castsi256_si128(half1);
    odd = _mm256_extracti128_si256(half1, 1);
    s->a1 = _mm_unpacklo_epi8(even, odd);
    s->b1 = _mm_unpackhi_epi8(even, odd);
    // The dword with d (and dmin); d comes last in Q3_K and Q6_K.
    const size_t at = type == CH_TYPE_Q2_K   ? 80
                      : type == CH_TYPE_Q3_K ? 106
                      : type == CH_TYPE_Q6_K ? 206
                                             : 0;
    __m256 d = _mm256_cvtph_ps(mv2_words(r->p0 + at, r->p1 + at, r->p2 + at, r->p3 + at));
    s->d =
        mv_has_min(type) ? _mm256_permute2f128_ps(d, d, 0x00) : _mm256_permute2f128_ps(d, d, 0x11);
    s->dmin = _mm256_permute2f128_ps(d, d, 0x11);
}

// Eight bytes as floats.
MV2_FN __m256 mv2_bytes_u(__m128i v) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v));
}

MV2_FN __m256 mv2_bytes_s(__m128i v) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v));
}

// Integer scales of a tile: eight bytes of weights 0..15 and eight of weights 16..31.
MV2_FN void mv2_super_whole(__m128i a, __m128i b, mv2_tile *t) {
    t->both = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b));
    t->k01 = _mm256_unpacklo_epi16(t->both, t->both);
    t->k23 = _mm256_unpackhi_epi16(t->both, t->both);
}

// Scales and minimums of tile u of a super-block.
MV2_FN void mv2_super_scales(ch_type type, const mv2_super *s, int u, mv2_tile *t) {
    __m128i a = u < 2 ? s->a0 : s->a1, b = u < 2 ? s->b0 : s->b1;
    if (u % 2) {
        a = _mm_unpackhi_epi64(a, a);
        b = _mm_unpackhi_epi64(b, b);
    }
    if (type == CH_TYPE_Q4_K || type == CH_TYPE_Q5_K) {
        t->s0 = t->s1 = _mm256_mul_ps(s->d, mv2_bytes_u(a));
        t->m0 = t->m1 = _mm256_mul_ps(s->dmin, mv2_bytes_u(b));
    } else if (type == CH_TYPE_Q2_K) {
        const __m128i low = _mm_set1_epi8(15);
        mv2_super_whole(_mm_and_si128(a, low), _mm_and_si128(b, low), t);
        t->s0 = t->s1 = s->d;
        a = _mm_and_si128(_mm_srli_epi16(a, 4), low);
        b = _mm_and_si128(_mm_srli_epi16(b, 4), low);
        t->m0 = _mm256_mul_ps(s->dmin, mv2_bytes_u(a));
        t->m1 = _mm256_mul_ps(s->dmin, mv2_bytes_u(b));
    } else if (type == CH_TYPE_Q3_K) {
        mv2_super_whole(a, b, t);
        t->s0 = t->s1 = t->m0 = t->m1 = s->d;
    } else {
        t->s0 = t->m0 = _mm256_mul_ps(s->d, mv2_bytes_s(a));
        t->s1 = t->m1 = _mm256_mul_ps(s->d, mv2_bytes_s(b));
    }
}

// ---- one tile times one column

// acc + four products a lane. An instruction of its own rather than an intrinsic: the function may
// then be inlined where AVX-VNNI is not a compilation target, in branches that are never taken.
MV2_FN __m256i mv2_dpbusd(__m256i acc, __m256i w, __m256i x) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(w), "x"(x));
    return acc;
}

// Products of signed bytes, added in pairs: at most 2 * 128 * 127, which fits.
MV2_FN __m256i mv2_signed_pairs(__m256i w, __m256i x) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}

// Partial sums of 16 weights of a block, in its lane.
MV2_FN __m256i mv2_dot16(bool vnni, __m256i w, __m256i x) {
    if (vnni) return mv2_dpbusd(_mm256_setzero_si256(), w, x);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
}

// Partial sums of 32 weights of a block, in its lane.
MV2_FN __m256i mv2_dot32(ch_type type, bool vnni, __m256i w0, __m256i x0, __m256i w1, __m256i x1) {
    const __m256i one = _mm256_set1_epi16(1);
    if (vnni) return mv2_dpbusd(mv2_dpbusd(_mm256_setzero_si256(), w0, x0), w1, x1);
    if (type == CH_TYPE_Q8_0)
        return _mm256_add_epi32(_mm256_madd_epi16(mv2_signed_pairs(w0, x0), one),
                                _mm256_madd_epi16(mv2_signed_pairs(w1, x1), one));
    __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(w0, x0), _mm256_maddubs_epi16(w1, x1));
    return _mm256_madd_epi16(pairs, one);
}

// Four rows of four partial sums a lane: the sums as [block][row].
MV2_FN __m256i mv2_add4(__m256i a, __m256i b, __m256i c, __m256i d) {
    __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

MV2_FN __m256i mv2_even(__m256i a, __m256i b) {
    return _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
}

MV2_FN __m256i mv2_odd(__m256i a, __m256i b) {
    return _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd));
}

// The partial sums of two halves, added in pairs: h0, h0, h1, h1. A partial sum is at most 4 * 63 *
// 127 = 32004 and fits 16 bits.
MV2_FN __m256i mv2_add_pairs(__m256i h0, __m256i h1) {
    return _mm256_madd_epi16(_mm256_packs_epi32(h0, h1), _mm256_set1_epi16(1));
}

// Two rows' sums of both halves, a lane: a h0, a h1, b h0, b h1.
MV2_FN __m256i mv2_add_halves(__m256i a0, __m256i a1, __m256i b0, __m256i b1) {
    __m256i a = mv2_add_pairs(a0, a1), b = mv2_add_pairs(b0, b1);
    return _mm256_add_epi32(mv2_even(a, b), mv2_odd(a, b));
}

// The same times scales. Weights are below 8: what is added fits 16 bits once more.
MV2_FN __m256i mv2_scale_halves(__m256i scales, __m256i a0, __m256i a1, __m256i b0, __m256i b1) {
    return _mm256_madd_epi16(_mm256_packs_epi32(mv2_add_pairs(a0, a1), mv2_add_pairs(b0, b1)),
                             scales);
}

MV2_FN __m256i mv2_less(__m256i t, __m256i sum, int bits) {
    return _mm256_sub_epi32(t, _mm256_slli_epi32(sum, bits));
}

// The sums of Q2_K or Q3_K.
MV2_FN __m256i mv2_sums_whole(bool vnni, const mv2_tile *t, const mv_column *x, int bits,
                              __m256i lo, __m256i hi) {
    __m256i ab = mv2_scale_halves(t->k01, mv2_dot16(vnni, t->lo0, lo), mv2_dot16(vnni, t->hi0, hi),
                                  mv2_dot16(vnni, t->lo1, lo), mv2_dot16(vnni, t->hi1, hi));
    __m256i cd = mv2_scale_halves(t->k23, mv2_dot16(vnni, t->lo2, lo), mv2_dot16(vnni, t->hi2, hi),
                                  mv2_dot16(vnni, t->lo3, lo), mv2_dot16(vnni, t->hi3, hi));
    __m256i sum = _mm256_add_epi32(mv2_even(ab, cd), mv2_odd(ab, cd));
    if (!bits) return sum;
    // The column's sums of both halves of block j as words, in all of lane j.
    __m256i s16 = _mm256_shuffle_epi8(mv2_twice(x->s16), mv2_per_lane(0x05040100, 0x0d0c0908));
    return mv2_less(sum, _mm256_madd_epi16(t->both, s16), bits);
}

MV2_FN __m256 mv2_multiply(ch_type type, bool vnni, const mv2_tile *t, const mv_column *x,
                           __m256 acc) {
    // AVX2 multiplies the bytes of Q8_0 as they are.
    const int bits = type == CH_TYPE_Q8_0 && !vnni ? 0 : mv_zero_shift(type);
    __m256i lo = mv2_lanes(x->q, x->q + 32), hi = mv2_lanes(x->q + 16, x->q + 48);
    __m256 u;
    if (mv_whole(type)) {
        u = _mm256_mul_ps(t->s0, _mm256_cvtepi32_ps(mv2_sums_whole(vnni, t, x, bits, lo, hi)));
    } else if (mv_halves(type)) { // Q6_K
        __m256i ab = mv2_add_halves(mv2_dot16(vnni, t->lo0, lo), mv2_dot16(vnni, t->hi0, hi),
                                    mv2_dot16(vnni, t->lo1, lo), mv2_dot16(vnni, t->hi1, hi));
        __m256i cd = mv2_add_halves(mv2_dot16(vnni, t->lo2, lo), mv2_dot16(vnni, t->hi2, hi),
                                    mv2_dot16(vnni, t->lo3, lo), mv2_dot16(vnni, t->hi3, hi));
        __m256i t0 = mv2_less(mv2_even(ab, cd), mv2_spread2_int(x->s16, 0), bits);
        __m256i t1 = mv2_less(mv2_odd(ab, cd), mv2_spread2_int(x->s16, 1), bits);
        u = _mm256_mul_ps(t->s0, _mm256_cvtepi32_ps(t0));
        u = _mm256_fmadd_ps(t->s1, _mm256_cvtepi32_ps(t1), u);
    } else {
        __m256i sum = mv2_add4(mv2_dot32(type, vnni, t->lo0, lo, t->hi0, hi),
                               mv2_dot32(type, vnni, t->lo1, lo, t->hi1, hi),
                               mv2_dot32(type, vnni, t->lo2, lo, t->hi2, hi),
                               mv2_dot32(type, vnni, t->lo3, lo, t->hi3, hi));
        if (bits) sum = mv2_less(sum, mv2_spread_int(x->s32), bits);
        u = _mm256_mul_ps(t->s0, _mm256_cvtepi32_ps(sum));
    }
    acc = _mm256_fmadd_ps(u, mv2_spread(x->d), acc);
    if (!mv_has_min(type)) return acc;
    if (mv_halves(type)) {
        acc = _mm256_fnmadd_ps(t->m0, mv2_spread2(x->sx16, 0), acc);
        return _mm256_fnmadd_ps(t->m1, mv2_spread2(x->sx16, 1), acc);
    }
    __m256 sx = mv2_spread(x->sx);
    // K types subtract their minimums; the others add their offsets.
    return mv_is_k(type) ? _mm256_fnmadd_ps(t->m0, sx, acc) : _mm256_fmadd_ps(t->m0, sx, acc);
}

// ---- rows

MV2_FN void mv2_store(const ch_mm_args *a, mv_group g, int32_t c, __m128 dots) {
    float y[4];
    _mm_storeu_ps(y, dots);
    mv_store(a, g, c, y);
}

// The canon's end: acc holds blocks 0 and 1 mod 4 in its lanes, acc2 blocks 2 and 3.
MV2_FN __m128 mv2_finish(__m256 acc, __m256 acc2) {
    __m256 two = _mm256_add_ps(acc, acc2);
    return _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
}

// Tile u of the four rows (of their next four blocks, or of their super-block) times all columns.
// acc: two registers a column. `one` (a constant): there is a single column.
MV2_FN void mv2_tile_step(ch_type type, bool vnni, bool one, const mv_rows *r,
                          const mv2_super *super, int u, const ch_mm_args *a, const ch_q8 *x,
                          size_t block, __m256 *acc) {
    mv_column column = mv_column_at(x, block + 2 * (size_t)u);
    mv2_tile tile;
    mv2_unpack(type, vnni, r, u, &tile);
    if (mv_is_k(type))
        mv2_super_scales(type, super, u, &tile);
    else
        mv2_scales(type, r, u, &tile);
    acc += u % 2;
    for (int32_t c = 0; c < (one ? 1 : a->n); c++) {
        acc[2 * c] = mv2_multiply(type, vnni, &tile, &column, acc[2 * c]);
        mv_column_next(&column, a->x_stride);
    }
}

// Four rows times all columns.
MV2_FN void mv2_four(ch_type type, bool vnni, bool one, const ch_mm_args *a, const ch_q8 *x,
                     mv_group g) {
    const bool is_k = mv_is_k(type);
    const size_t block = mv_block_bytes(type), bytes = is_k ? block : 4 * block;
    const int32_t blocks = a->k / 32, n = one ? 1 : a->n;
    uint8_t buffer[MV_TAIL_BYTES];
    mv_rows rows = mv_rows_at(a, g);
    __m256 acc[2 * CH_MATVEC_COLUMNS];
    for (int32_t i = 0; i < 2 * n; i++) acc[i] = _mm256_setzero_ps();
    for (int32_t b = 0; b < blocks; b += is_k ? 8 : 4) {
        mv2_super super;
        mv_rows_prefetch(&rows, bytes);
        if (is_k)
            mv2_super_read(type, &rows, &super);
        else if (CH_UNLIKELY(blocks - b < 4))
            rows = mv_tail(rows, blocks - b, block, buffer);
        mv2_tile_step(type, vnni, one, &rows, &super, 0, a, x, (size_t)b, acc);
        mv2_tile_step(type, vnni, one, &rows, &super, 1, a, x, (size_t)b, acc);
        if (is_k) {
            mv2_tile_step(type, vnni, one, &rows, &super, 2, a, x, (size_t)b, acc);
            mv2_tile_step(type, vnni, one, &rows, &super, 3, a, x, (size_t)b, acc);
        }
        mv_rows_step(&rows, bytes);
    }
    for (int32_t c = 0; c < n; c++) mv2_store(a, g, c, mv2_finish(acc[2 * c], acc[2 * c + 1]));
}

#define MV2_QUANT(NAME, type, how, vnni)                                                           \
    CH_FN MV2_TARGET void ch_matvec_##type##__##how(const ch_mm_args *a, int32_t row0,             \
                                                    int32_t row1) {                                \
        ch_q8 x = ch_q8_view(a->x, a->k, 1);                                                       \
        if (a->n == 1)                                                                             \
            for (int32_t i = 0; i < mv_groups(row0, row1); i++)                                    \
                mv2_four(CH_TYPE_##NAME, vnni, true, a, &x, mv_group_at(row0, row1, i));           \
        else                                                                                       \
            for (int32_t i = 0; i < mv_groups(row0, row1); i++)                                    \
                mv2_four(CH_TYPE_##NAME, vnni, false, a, &x, mv_group_at(row0, row1, i));          \
    }
#define MV2_QUANTS(how, vnni)                                                                      \
    MV2_QUANT(Q4_0, q4_0, how, vnni)                                                               \
    MV2_QUANT(Q4_1, q4_1, how, vnni)                                                               \
    MV2_QUANT(Q5_0, q5_0, how, vnni)                                                               \
    MV2_QUANT(Q5_1, q5_1, how, vnni)                                                               \
    MV2_QUANT(Q8_0, q8_0, how, vnni)                                                               \
    MV2_QUANT(Q2_K, q2_k, how, vnni)                                                               \
    MV2_QUANT(Q3_K, q3_k, how, vnni)                                                               \
    MV2_QUANT(Q4_K, q4_k, how, vnni)                                                               \
    MV2_QUANT(Q5_K, q5_k, how, vnni)                                                               \
    MV2_QUANT(Q6_K, q6_k, how, vnni)
MV2_QUANTS(avx2, false)
MV2_QUANTS(avxvnni, true)

#undef MV2_QUANTS
#undef MV2_QUANT

// ---- float types

// Eight weights.
MV2_FN __m256 mv2_load8(ch_type type, const uint8_t *p) {
    if (type == CH_TYPE_F32) return _mm256_loadu_ps((const float *)(const void *)p);
    __m128i half = mv2_load(p);
    if (type == CH_TYPE_F16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

// 16 weights of four rows times all columns; acc: [column][row][2].
MV2_FN void mv2_float_step(ch_type type, bool one, const mv_rows *r, const ch_mm_args *a,
                           const float *x, __m256 *acc) {
    const size_t next = 8 * mv_block_bytes(type);
    __m256 w0 = mv2_load8(type, r->p0), v0 = mv2_load8(type, r->p0 + next);
    __m256 w1 = mv2_load8(type, r->p1), v1 = mv2_load8(type, r->p1 + next);
    __m256 w2 = mv2_load8(type, r->p2), v2 = mv2_load8(type, r->p2 + next);
    __m256 w3 = mv2_load8(type, r->p3), v3 = mv2_load8(type, r->p3 + next);
    for (int32_t c = 0; c < (one ? 1 : a->n); c++) {
        __m256 y = _mm256_loadu_ps(x), z = _mm256_loadu_ps(x + 8);
        acc[0] = _mm256_fmadd_ps(w0, y, acc[0]);
        acc[1] = _mm256_fmadd_ps(v0, z, acc[1]);
        acc[2] = _mm256_fmadd_ps(w1, y, acc[2]);
        acc[3] = _mm256_fmadd_ps(v1, z, acc[3]);
        acc[4] = _mm256_fmadd_ps(w2, y, acc[4]);
        acc[5] = _mm256_fmadd_ps(v2, z, acc[5]);
        acc[6] = _mm256_fmadd_ps(w3, y, acc[6]);
        acc[7] = _mm256_fmadd_ps(v3, z, acc[7]);
        acc += 8;
        x = mv_next_floats(x, a->x_stride);
    }
}

// The last k < 16 weights of four rows times one column, one lane after the other.
static CH_NOINLINE void mv2_float_tail(ch_type type, mv_rows r, int32_t k, const float *x,
                                       float *acc) {
    const uint8_t *row[4] = {r.p0, r.p1, r.p2, r.p3};
    for (size_t i = 0; i < 4; i++)
        for (int32_t j = 0; j < k; j++) {
            const uint8_t *p = row[i] + (size_t)j * mv_block_bytes(type);
            float w;
            if (type == CH_TYPE_F32)
                memcpy(&w, p, sizeof w);
            else
                w = type == CH_TYPE_F16 ? ch_f32_from_f16(ch_load_u16(p))
                                        : ch_f32_from_bf16(ch_load_u16(p));
            acc[16 * i + (size_t)j] = fmaf(w, x[j], acc[16 * i + (size_t)j]);
        }
}

// ch_sum16 of four rows.
MV2_FN __m128 mv2_sum16(const __m256 *acc) {
    __m128 a = mv2_finish(acc[0], acc[1]), b = mv2_finish(acc[2], acc[3]);
    __m128 c = mv2_finish(acc[4], acc[5]), d = mv2_finish(acc[6], acc[7]);
    __m128 ab = _mm_add_ps(_mm_shuffle_ps(a, b, 0x44), _mm_shuffle_ps(a, b, 0xee));
    __m128 cd = _mm_add_ps(_mm_shuffle_ps(c, d, 0x44), _mm_shuffle_ps(c, d, 0xee));
    return _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd));
}

MV2_FN void mv2_float_four(ch_type type, bool one, const ch_mm_args *a, mv_group g) {
    const size_t bytes = 16 * mv_block_bytes(type);
    const int32_t n = one ? 1 : a->n;
    const float *x = (const float *)(const void *)a->x;
    mv_rows rows = mv_rows_at(a, g);
    __m256 acc[8 * CH_MATVEC_COLUMNS];
    int32_t k = a->k;
    for (int32_t i = 0; i < 8 * n; i++) acc[i] = _mm256_setzero_ps();
    for (; k >= 32; k -= 32) {
        mv_rows_prefetch(&rows, 2 * bytes);
        mv2_float_step(type, one, &rows, a, x, acc);
        mv_rows_step(&rows, bytes);
        mv2_float_step(type, one, &rows, a, x + 16, acc);
        mv_rows_step(&rows, bytes);
        x += 32;
    }
    if (k >= 16) {
        mv2_float_step(type, one, &rows, a, x, acc);
        mv_rows_step(&rows, bytes);
        x += 16;
        k -= 16;
    }
    if (k > 0) {
        float lanes[64 * CH_MATVEC_COLUMNS];
        memcpy(lanes, acc, (size_t)n * 64 * sizeof(float));
        for (int32_t c = 0; c < n; c++) {
            mv2_float_tail(type, rows, k, x, lanes + 64 * c);
            x = mv_next_floats(x, a->x_stride);
        }
        memcpy(acc, lanes, (size_t)n * 64 * sizeof(float));
    }
    for (int32_t c = 0; c < n; c++) mv2_store(a, g, c, mv2_sum16(acc + 8 * c));
}

#define MV2_FLOAT(NAME, type)                                                                      \
    CH_FN MV2_TARGET void ch_matvec_##type##__avx2(const ch_mm_args *a, int32_t row0,              \
                                                   int32_t row1) {                                 \
        for (int32_t i = 0; i < mv_groups(row0, row1); i++)                                        \
            if (a->n == 1)                                                                         \
                mv2_float_four(CH_TYPE_##NAME, true, a, mv_group_at(row0, row1, i));               \
            else                                                                                   \
                mv2_float_four(CH_TYPE_##NAME, false, a, mv_group_at(row0, row1, i));              \
    }
MV2_FLOAT(F32, f32)
MV2_FLOAT(F16, f16)
MV2_FLOAT(BF16, bf16)

#undef MV2_FLOAT
#undef MV2_FN
#undef MV2_TARGET
#endif
