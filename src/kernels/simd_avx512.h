// simd_avx512: vectors of 16 floats, under the names that the kernel templates use.
//
// Owns: loads, stores and conversions of 16 lanes (whole, or the first n of them), lane arithmetic,
// the vector forms of ch_exp and ch_exp2. Every function rounds as its scalar counterpart does. Its
// twin is simd_avx2.h: the same names with 8 lanes.
#ifndef CH_SIMD_AVX512_H
#define CH_SIMD_AVX512_H

#include "kernels.h"

#if CH_X86
#include <immintrin.h>

#define X512_TARGET CH_TARGET_AVX512
#define X512_FN     CH_FORCE_INLINE X512_TARGET

typedef __m512 x512_v;
typedef __m512i x512_i;
typedef __m512i x512_pairs; // of 16-bit integers
typedef __m512i x512_pair;  // the same one in all lanes

// The first n lanes, 0 <= n <= 16.
X512_FN __mmask16 x512_mask(int32_t n) {
    return (__mmask16)((1u << n) - 1u);
}

X512_FN x512_v x512_zero(void) {
    return _mm512_setzero_ps();
}

X512_FN x512_v x512_set1(float x) {
    return _mm512_set1_ps(x);
}

X512_FN x512_v x512_load(const float *p) {
    return _mm512_loadu_ps(p);
}

// The other lanes become 0 and are not read.
X512_FN x512_v x512_load_n(const float *p, int32_t n) {
    return _mm512_maskz_loadu_ps(x512_mask(n), p);
}

X512_FN void x512_store(float *p, x512_v x) {
    _mm512_storeu_ps(p, x);
}

X512_FN void x512_store_n(float *p, x512_v x, int32_t n) {
    if (n >= 16) // no load can take its data from a masked store
        _mm512_storeu_ps(p, x);
    else
        _mm512_mask_storeu_ps(p, x512_mask(n), x);
}

X512_FN x512_v x512_load_f16(const uint8_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

X512_FN x512_v x512_load_f16_n(const uint8_t *p, int32_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(x512_mask(n), p));
}

// One half-precision float in all lanes.
X512_FN x512_v x512_set1_f16(const uint8_t *p) {
    return _mm512_cvtph_ps(_mm256_set1_epi16((int16_t)ch_load_u16(p)));
}

X512_FN void x512_store_f16_n(uint8_t *p, x512_v x, int32_t n) {
    __m256i half = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_mask_storeu_epi16(p, x512_mask(n), half);
}

X512_FN x512_v x512_load_bf16_n(const uint8_t *p, int32_t n) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(x512_mask(n), p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

// 16 signed bytes as floats.
X512_FN x512_v x512_from_i8(__m128i bytes) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

// Lane i of x in all lanes.
X512_FN x512_v x512_lane(x512_v x, int32_t i) {
    return _mm512_permutexvar_ps(_mm512_set1_epi32(i), x);
}

// Within -most..most; NaN becomes -most.
X512_FN x512_v x512_clamp(x512_v x, float most) {
    return _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-most)), _mm512_set1_ps(most));
}

// Rounds a, then b to the nearest integers, ties to even, and stores them in 16 bits each, which
// they fit in.
X512_FN void x512_store_i16(int16_t *p, x512_v a, x512_v b) {
    __m512i i = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
    _mm512_storeu_si512(p, _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), i));
}

// The low halves of the lanes, 16-bit floats, as floats.
X512_FN x512_v x512_half(__m512i v) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

// ---- integers

X512_FN __m128i x512_load16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

// Four times 16 bytes, one to each 128-bit lane.
X512_FN __m512i x512_lanes(const uint8_t *p0, const uint8_t *p1, const uint8_t *p2,
                           const uint8_t *p3) {
    __m512i v = _mm512_castsi128_si512(x512_load16(p0));
    v = _mm512_inserti32x4(v, x512_load16(p1), 1);
    v = _mm512_inserti32x4(v, x512_load16(p2), 2);
    return _mm512_inserti32x4(v, x512_load16(p3), 3);
}

// The 4 x 4 transpose of 32-bit parts, in each 128-bit lane.
X512_FN void x512_turn4(const __m512i *v, __m512i *t) {
    __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpacklo_epi32(v[2], v[3]);
    __m512i c = _mm512_unpackhi_epi32(v[0], v[1]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    t[0] = _mm512_unpacklo_epi64(a, b);
    t[1] = _mm512_unpackhi_epi64(a, b);
    t[2] = _mm512_unpacklo_epi64(c, d);
    t[3] = _mm512_unpackhi_epi64(c, d);
}

// The upper four bits of every byte: a product with a matrix of bits.
X512_FN __m512i x512_upper_nibbles(__m512i v) {
    return _mm512_gf2p8affine_epi64_epi8(v, _mm512_set1_epi64(0x1020408000000000), 0);
}

X512_FN x512_i x512_zero_i(void) {
    return _mm512_setzero_si512();
}

X512_FN x512_pairs x512_load_pairs(const uint8_t *p) {
    return _mm512_loadu_si512(p);
}

X512_FN x512_pairs x512_load_byte_pairs(const uint8_t *p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

X512_FN x512_pair x512_set1_pair(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

// Each lane of c + the products of its two 16-bit integers of a and b. Not by the compiler's own
// function, around which gcc 12 moves accumulators from register to register.
X512_FN x512_i x512_dot16(x512_i c, x512_pair a, x512_pairs b) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}

X512_FN x512_v x512_from_i(x512_i x) {
    return _mm512_cvtepi32_ps(x);
}

// ---- floats

X512_FN x512_v x512_add(x512_v a, x512_v b) {
    return _mm512_add_ps(a, b);
}

X512_FN x512_v x512_sub(x512_v a, x512_v b) {
    return _mm512_sub_ps(a, b);
}

X512_FN x512_v x512_mul(x512_v a, x512_v b) {
    return _mm512_mul_ps(a, b);
}

X512_FN x512_v x512_div(x512_v a, x512_v b) {
    return _mm512_div_ps(a, b);
}

X512_FN x512_v x512_fma(x512_v a, x512_v b, x512_v c) {
    return _mm512_fmadd_ps(a, b, c);
}

X512_FN x512_v x512_fms(x512_v a, x512_v b, x512_v c) {
    return _mm512_fmsub_ps(a, b, c);
}

// a * b - c in even lanes, a * b + c in odd lanes, fused.
X512_FN x512_v x512_fmaddsub(x512_v a, x512_v b, x512_v c) {
    return _mm512_fmaddsub_ps(a, b, c);
}

// a > b ? a : b, so that a NaN in a is left out.
X512_FN x512_v x512_max(x512_v a, x512_v b) {
    return _mm512_max_ps(a, b);
}

X512_FN x512_v x512_abs(x512_v x) {
    return _mm512_abs_ps(x);
}

X512_FN x512_v x512_neg(x512_v x) {
    return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f));
}

// The largest lane; there is no NaN.
X512_FN float x512_max_lanes(x512_v x) {
    return _mm512_reduce_max_ps(x);
}

// Lane i is the largest of row i of 16; there is no NaN.
X512_FN x512_v x512_max_rows(const float *rows) {
    x512_v x[16];
    CH_UNROLL for (int i = 0; i < 16; i++) x[i] = x512_load(rows + 16 * i);
    CH_UNROLL for (int i = 0; i < 16; i += 2) x[i / 2] =
        _mm512_max_ps(_mm512_unpacklo_ps(x[i], x[i + 1]), _mm512_unpackhi_ps(x[i], x[i + 1]));
    CH_UNROLL for (int i = 0; i < 8; i += 2) {
        __m512d a = _mm512_castps_pd(x[i]), b = _mm512_castps_pd(x[i + 1]);
        x[i / 2] = _mm512_max_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                                 _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    CH_UNROLL for (int i = 0; i < 4; i += 2) x[i / 2] = _mm512_max_ps(
        _mm512_shuffle_f32x4(x[i], x[i + 1], 0x44), _mm512_shuffle_f32x4(x[i], x[i + 1], 0xee));
    return _mm512_max_ps(_mm512_shuffle_f32x4(x[0], x[1], 0x88),
                         _mm512_shuffle_f32x4(x[0], x[1], 0xdd));
}

// Lane i where lo <= at + i < hi, `outside` elsewhere.
X512_FN x512_v x512_between(x512_v x, float outside, int32_t at, int32_t lo, int32_t hi) {
    __m512i i =
        _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(at));
    __mmask16 seen = _mm512_cmp_epi32_mask(i, _mm512_set1_epi32(lo), _MM_CMPINT_NLT);
    seen = _mm512_mask_cmp_epi32_mask(seen, i, _mm512_set1_epi32(hi), _MM_CMPINT_LT);
    return _mm512_mask_blend_ps(seen, _mm512_set1_ps(outside), x);
}

// x0 x0 x2 x2 ...
X512_FN x512_v x512_dup_even(x512_v x) {
    return _mm512_moveldup_ps(x);
}

// x1 x1 x3 x3 ...
X512_FN x512_v x512_dup_odd(x512_v x) {
    return _mm512_movehdup_ps(x);
}

// x1 x0 x3 x2 ...
X512_FN x512_v x512_swap_pairs(x512_v x) {
    return _mm512_permute_ps(x, 0xb1);
}

// a0 b0 a1 b1 ... of n elements of each, 0 <= n <= 8.
X512_FN x512_v x512_zip_n(const float *a, const float *b, int32_t n) {
    __mmask8 mask = (__mmask8)x512_mask(n);
    __m512 va = _mm512_castps256_ps512(_mm256_maskz_loadu_ps(mask, a));
    __m512 vb = _mm512_castps256_ps512(_mm256_maskz_loadu_ps(mask, b));
    __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(va, order, vb);
}

// ch_exp, lane by lane. The lanes that ch_exp answers with 0 are computed too, and dropped.
X512_FN x512_v x512_exp(x512_v x) {
    __mmask16 counts = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_GE_OQ);
    x = _mm512_min_ps(x, _mm512_set1_ps(88.0f));
    __m512 magic = _mm512_set1_ps(12582912.0f), one = _mm512_set1_ps(1.0f);
    __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(CH_LOG2E), magic);
    __m512 n = _mm512_sub_ps(shifted, magic);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693145752f), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-1.42860677e-6f), r);
    __m512 p = _mm512_set1_ps(1.98412698e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.38888889e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.33333333e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.16666667e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.66666667e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, one);
    p = _mm512_fmadd_ps(p, r, one);
    __m512i power = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_maskz_add_epi32(counts, _mm512_castps_si512(p), power));
}

// ch_exp2, lane by lane.
X512_FN x512_v x512_exp2(x512_v x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-64.0f));
    __m512 magic = _mm512_set1_ps(12582912.0f);
    __m512 shifted = _mm512_add_ps(x, magic);
    __m512 r = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
    __m512 p = _mm512_set1_ps(9.78291221e-3f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.59768826e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.40207106e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93113625e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    __m512i power = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), power));
}

#endif
#endif
