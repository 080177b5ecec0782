// simd_avx2: vectors of 8 floats, under the names that the kernel templates use.
//
// Owns: loads, stores and conversions of 8 lanes (whole, or the first n of them), lane arithmetic,
// the vector forms of ch_exp and ch_exp2. Every function rounds as its scalar counterpart does. Its
// twin is simd_avx512.h: the same names with 16 lanes.
#ifndef CH_SIMD_AVX2_H
#define CH_SIMD_AVX2_H

#include "kernels.h"

#if CH_X86
#include <immintrin.h>

#define X256_TARGET CH_TARGET_AVX2
#define X256_FN     CH_FORCE_INLINE X256_TARGET

typedef __m256 x256_v;
typedef __m256i x256_i;
typedef __m256i x256_pairs; // of 16-bit integers
typedef __m256i x256_pair;  // the same one in all lanes

// All ones in the first n lanes, 0 <= n <= 8.
X256_FN __m256i x256_mask(int32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

X256_FN x256_v x256_zero(void) {
    return _mm256_setzero_ps();
}

X256_FN x256_v x256_set1(float x) {
    return _mm256_set1_ps(x);
}

X256_FN x256_v x256_load(const float *p) {
    return _mm256_loadu_ps(p);
}

// The other lanes become 0 and are not read. Masked moves are for tails: they are slow on some
// CPUs, and no load can take its data from a masked store.
X256_FN x256_v x256_load_n(const float *p, int32_t n) {
    return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, x256_mask(n));
}

X256_FN void x256_store(float *p, x256_v x) {
    _mm256_storeu_ps(p, x);
}

X256_FN void x256_store_n(float *p, x256_v x, int32_t n) {
    if (n >= 8)
        _mm256_storeu_ps(p, x);
    else
        _mm256_maskstore_ps(p, x256_mask(n), x);
}

// n 16-bit elements, 0 in the lanes past them.
X256_FN __m128i x256_load_u16_n(const uint8_t *p, int32_t n) {
    uint16_t part[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (n == 8) return _mm_loadu_si128((const __m128i *)(const void *)p);
    memcpy(part, p, (size_t)n * 2);
    return _mm_loadu_si128((const __m128i *)(const void *)part);
}

X256_FN x256_v x256_load_f16(const uint8_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

X256_FN x256_v x256_load_f16_n(const uint8_t *p, int32_t n) {
    return _mm256_cvtph_ps(x256_load_u16_n(p, n));
}

X256_FN void x256_store_f16_n(uint8_t *p, x256_v x, int32_t n) {
    __m128i half = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    if (n == 8) {
        _mm_storeu_si128((__m128i *)(void *)p, half);
    } else {
        uint16_t part[8];
        _mm_storeu_si128((__m128i *)(void *)part, half);
        memcpy(p, part, (size_t)n * 2);
    }
}

X256_FN x256_v x256_load_bf16_n(const uint8_t *p, int32_t n) {
    __m256i wide = _mm256_cvtepu16_epi32(x256_load_u16_n(p, n));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

// Within -most..most; NaN becomes -most.
X256_FN x256_v x256_clamp(x256_v x, float most) {
    return _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-most)), _mm256_set1_ps(most));
}

// Rounds to the nearest integers, ties to even, within -127..127 (NaN: -127).
X256_FN __m256i x256_round_q8(x256_v x) {
    return _mm256_cvtps_epi32(x256_clamp(x, 127.0f));
}

// Rounds a, then b to the nearest integers, ties to even, and stores them in 16 bits each, which
// they fit in.
X256_FN void x256_store_i16(int16_t *p, x256_v a, x256_v b) {
    __m256i i = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(i, 0xd8));
}

// ---- integers

X256_FN x256_i x256_zero_i(void) {
    return _mm256_setzero_si256();
}

X256_FN x256_pairs x256_load_pairs(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

X256_FN x256_pairs x256_load_byte_pairs(const uint8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

X256_FN x256_pair x256_set1_pair(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
}

// Each lane of c + the products of its two 16-bit integers of a and b.
X256_FN x256_i x256_dot16(x256_i c, x256_pair a, x256_pairs b) {
    c = _mm256_add_epi32(c, _mm256_madd_epi16(a, b));
    __asm__("" : "+x"(c)); // gcc would move sums from register to register
    return c;
}

// The same with AVX-VNNI.
X256_FN x256_i x256_dot16_vnni(x256_i c, x256_pair a, x256_pairs b) {
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}

X256_FN x256_v x256_from_i(x256_i x) {
    return _mm256_cvtepi32_ps(x);
}

// ---- floats

X256_FN x256_v x256_add(x256_v a, x256_v b) {
    return _mm256_add_ps(a, b);
}

X256_FN x256_v x256_sub(x256_v a, x256_v b) {
    return _mm256_sub_ps(a, b);
}

X256_FN x256_v x256_mul(x256_v a, x256_v b) {
    return _mm256_mul_ps(a, b);
}

X256_FN x256_v x256_div(x256_v a, x256_v b) {
    return _mm256_div_ps(a, b);
}

X256_FN x256_v x256_fma(x256_v a, x256_v b, x256_v c) {
    return _mm256_fmadd_ps(a, b, c);
}

X256_FN x256_v x256_fms(x256_v a, x256_v b, x256_v c) {
    return _mm256_fmsub_ps(a, b, c);
}

// a * b - c in even lanes, a * b + c in odd lanes, fused.
X256_FN x256_v x256_fmaddsub(x256_v a, x256_v b, x256_v c) {
    return _mm256_fmaddsub_ps(a, b, c);
}

// a > b ? a : b, so that a NaN in a is left out.
X256_FN x256_v x256_max(x256_v a, x256_v b) {
    return _mm256_max_ps(a, b);
}

X256_FN x256_v x256_abs(x256_v x) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

X256_FN x256_v x256_neg(x256_v x) {
    return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

// The largest lane; there is no NaN.
X256_FN float x256_max_lanes(x256_v x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

// Lane i is the largest of row i of 8; there is no NaN.
X256_FN x256_v x256_max_rows(const float *rows) {
    x256_v x[8];
    CH_UNROLL for (int i = 0; i < 8; i++) x[i] = x256_load(rows + 8 * i);
    CH_UNROLL for (int i = 0; i < 8; i += 2) x[i / 2] =
        _mm256_max_ps(_mm256_unpacklo_ps(x[i], x[i + 1]), _mm256_unpackhi_ps(x[i], x[i + 1]));
    CH_UNROLL for (int i = 0; i < 4; i += 2) {
        __m256d a = _mm256_castps_pd(x[i]), b = _mm256_castps_pd(x[i + 1]);
        x[i / 2] = _mm256_max_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)),
                                 _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    }
    return _mm256_max_ps(_mm256_permute2f128_ps(x[0], x[1], 0x20),
                         _mm256_permute2f128_ps(x[0], x[1], 0x31));
}

// Lane i where lo <= at + i < hi, `outside` elsewhere.
X256_FN x256_v x256_between(x256_v x, float outside, int32_t at, int32_t lo, int32_t hi) {
    __m256i i = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(at));
    __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(lo), i);
    __m256i seen = _mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), i));
    return _mm256_blendv_ps(_mm256_set1_ps(outside), x, _mm256_castsi256_ps(seen));
}

// x0 x0 x2 x2 ...
X256_FN x256_v x256_dup_even(x256_v x) {
    return _mm256_moveldup_ps(x);
}

// x1 x1 x3 x3 ...
X256_FN x256_v x256_dup_odd(x256_v x) {
    return _mm256_movehdup_ps(x);
}

// x1 x0 x3 x2 ...
X256_FN x256_v x256_swap_pairs(x256_v x) {
    return _mm256_permute_ps(x, 0xb1);
}

// a0 b0 a1 b1 ... of n elements of each, 0 <= n <= 4.
X256_FN x256_v x256_zip_n(const float *a, const float *b, int32_t n) {
    __m128i mask = _mm_cmpgt_epi32(_mm_set1_epi32(n), _mm_setr_epi32(0, 1, 2, 3));
    __m128 va = _mm_maskload_ps(a, mask), vb = _mm_maskload_ps(b, mask);
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_unpacklo_ps(va, vb)),
                                _mm_unpackhi_ps(va, vb), 1);
}

// ch_exp, lane by lane. The lanes that ch_exp answers with 0 are computed too, and dropped.
X256_FN x256_v x256_exp(x256_v x) {
    __m256 counts = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_GE_OQ);
    x = _mm256_min_ps(x, _mm256_set1_ps(88.0f));
    __m256 magic = _mm256_set1_ps(12582912.0f), one = _mm256_set1_ps(1.0f);
    __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(CH_LOG2E), magic);
    __m256 n = _mm256_sub_ps(shifted, magic);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0.693145752f), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-1.42860677e-6f), r);
    __m256 p = _mm256_set1_ps(1.98412698e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.38888889e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.33333333e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.16666667e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.66666667e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, one);
    p = _mm256_fmadd_ps(p, r, one);
    __m256i power = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    __m256i bits = _mm256_add_epi32(_mm256_castps_si256(p), power);
    return _mm256_and_ps(_mm256_castsi256_ps(bits), counts);
}

// ch_exp2, lane by lane.
X256_FN x256_v x256_exp2(x256_v x) {
    x = _mm256_max_ps(x, _mm256_set1_ps(-64.0f));
    __m256 magic = _mm256_set1_ps(12582912.0f);
    __m256 shifted = _mm256_add_ps(x, magic);
    __m256 r = _mm256_sub_ps(x, _mm256_sub_ps(shifted, magic));
    __m256 p = _mm256_set1_ps(9.78291221e-3f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.59768826e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.40207106e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(6.93113625e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i power = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
}

#endif
#endif
