// gemm_avx2: matrix products for prefill with AVX2, and with the VNNI of 256 bits.
//
// Owns: the vector primitives and two byte products of gemm_panel_template.h and
// gemm_tile_template.h for 256 bits: strips of 8 rows, tiles of 24 rows by 8 columns. Panels are
// the same for both products.
//
// Without VNNI, vpmaddubsw adds pairs of products in 16 bits, saturating. How many such sums may be
// added before vpmaddwd widens them follows from the largest weight q (an activation is at most 127
// in size, a sum 2 * 127 * q): 8 for q <= 15, 4 for q <= 31, 2 for q <= 63. Signed weights of 8
// bits exchange signs with the activations: |w| <= 128 gives 32512.
#include "kernels.h"

#if CH_X86
#include <immintrin.h>

#define GM(name)  gm256_##name
#define GM_TARGET CH_TARGET_AVX2
#define GM_I      __m256i
#define GM_F      __m256
#define GM_N      8
#define GM_STRIPS 3

// ---- primitives

GM_TARGET CH_FORCE_INLINE __m256i gm256_set1(int32_t v) {
    return _mm256_set1_epi32(v);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_set1_f(float v) {
    return _mm256_set1_ps(v);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_load_i(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_load_f(const void *p) {
    return _mm256_loadu_ps((const float *)p);
}
GM_TARGET CH_FORCE_INLINE void gm256_store_i(void *p, __m256i v) {
    _mm256_storeu_si256((__m256i *)p, v);
}
GM_TARGET CH_FORCE_INLINE void gm256_store_f(void *p, __m256 v) {
    _mm256_storeu_ps((float *)p, v);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_first(int32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_load_part(const float *p, int32_t n) {
    return _mm256_maskload_ps(p, gm256_first(n));
}
GM_TARGET CH_FORCE_INLINE void gm256_store_part(float *p, __m256 v, int32_t n) {
    _mm256_maskstore_ps(p, gm256_first(n), v);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_and(__m256i a, __m256i b) {
    return _mm256_and_si256(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_or(__m256i a, __m256i b) {
    return _mm256_or_si256(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_xor(__m256i a, __m256i b) {
    return _mm256_xor_si256(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_srl(__m256i v, int n) {
    return _mm256_srli_epi32(v, n);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_sra(__m256i v, int n) {
    return _mm256_srai_epi32(v, n);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_sll(__m256i v, int n) {
    return _mm256_slli_epi32(v, n);
}

// Bits from..from + n - 1 of every byte, at bit `to` on.
GM_TARGET CH_FORCE_INLINE __m256i gm256_bits(__m256i v, int from, int to, int n) {
    v = from > to ? _mm256_srli_epi32(v, from - to) : _mm256_slli_epi32(v, to - from);
    return _mm256_and_si256(v, _mm256_set1_epi8((char)(((1 << n) - 1) << to)));
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_min_u8(__m256i a, __m256i b) {
    return _mm256_min_epu8(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_sub(__m256i a, __m256i b) {
    return _mm256_sub_epi32(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_mul_i(__m256i a, __m256i b) {
    return _mm256_mullo_epi32(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_mul_16(__m256i a, __m256i b) {
    return _mm256_mullo_epi16(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256i gm256_sub_8(__m256i a, __m256i b) {
    return _mm256_sub_epi8(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_to_float(__m256i v) {
    return _mm256_cvtepi32_ps(v);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_as_float(__m256i v) {
    return _mm256_castsi256_ps(v);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_add(__m256 a, __m256 b) {
    return _mm256_add_ps(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_sub_f(__m256 a, __m256 b) {
    return _mm256_sub_ps(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_mul(__m256 a, __m256 b) {
    return _mm256_mul_ps(a, b);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_fma(__m256 a, __m256 b, __m256 c) {
    return _mm256_fmadd_ps(a, b, c);
}
GM_TARGET CH_FORCE_INLINE __m256 gm256_neg(__m256 v) {
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}
GM_TARGET CH_FORCE_INLINE bool gm256_all_zero(__m256 v) {
    return _mm256_movemask_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_EQ_OQ)) == 0xff;
}

// Byte `byte` of every lane, in all four bytes of that lane.
GM_TARGET CH_FORCE_INLINE __m256i gm256_repeat_byte(__m256i v, int byte) {
    __m128i lane = _mm_setr_epi32(0x00000000, 0x04040404, 0x08080808, 0x0c0c0c0c);
    __m256i index = _mm256_broadcastsi128_si256(_mm_add_epi8(lane, _mm_set1_epi8((char)byte)));
    return _mm256_shuffle_epi8(v, index);
}

// The low half of every lane, a 16-bit float, as a float.
GM_TARGET CH_FORCE_INLINE __m256 gm256_half(__m256i v) {
    v = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
    v = _mm256_permute4x64_epi64(_mm256_packus_epi32(v, v), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(v));
}

// The upper half of every lane of a, below the lower half of b's.
GM_TARGET CH_FORCE_INLINE __m256i gm256_straddle(__m256i a, __m256i b) {
    return _mm256_or_si256(_mm256_srli_epi32(a, 16), _mm256_slli_epi32(b, 16));
}

// Bytes at..at+15 of each row, transposed: t[j] holds bytes 4j..4j+3 of all rows.
GM_TARGET CH_FORCE_INLINE void gm256_chunk(const uint8_t *const *CH_RESTRICT rows, size_t at,
                                           __m256i *t) {
    __m256i v[4];
    CH_UNROLL for (int i = 0; i < 4; i++) {
        const __m128i *a = (const __m128i *)(const void *)(rows[i] + at);
        const __m128i *b = (const __m128i *)(const void *)(rows[4 + i] + at);
        v[i] = _mm256_castsi128_si256(_mm_loadu_si128(a));
        v[i] = _mm256_inserti128_si256(v[i], _mm_loadu_si128(b), 1);
    }
    __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpacklo_epi32(v[2], v[3]);
    __m256i c = _mm256_unpackhi_epi32(v[0], v[1]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    t[0] = _mm256_unpacklo_epi64(a, b);
    t[1] = _mm256_unpackhi_epi64(a, b);
    t[2] = _mm256_unpacklo_epi64(c, d);
    t[3] = _mm256_unpackhi_epi64(c, d);
}

#include "gemm_panel_template.h"

GM_TARGET static CH_NOINLINE bool gm256_convert_q3_k_apart(const uint8_t *const *CH_RESTRICT rows,
                                                           int32_t k, uint8_t *record, size_t step,
                                                           gm256_ahead *ahead) {
    return gm256_convert_3k(rows, k, record, step, ahead, false);
}

// ---- tiles with vpmaddubsw

#define GT(name)                     gm256_##name
#define GT_TARGET                    GM_TARGET
#define GT_WHOLE(job, strips, trait) GT(tile)(job, strips, CH_GROUP, GT_FEW, trait)

// gcc would do all multiplications of a block first and add up last, out of memory.
#if defined(__clang__)
#define GM256_IN_ORDER(v) (void)(v)
#else
#define GM256_IN_ORDER(v) __asm__("" : "+x"(v))
#endif
#define GM256_SUMS(n)    ((n) << 4)
#define GM256_SUMS_OF(t) ((t) >> 4)

GM_TARGET CH_FORCE_INLINE __m256i gm256_four(const int8_t *x, int j, int c) {
    int32_t four;
    memcpy(&four, x + (j * CH_GROUP + c) * 4, sizeof four);
    return _mm256_set1_epi32(four);
}

// Bytes with a zero point of 128, whose sums would saturate: magnitudes times columns with the
// weights' signs.
GM_TARGET CH_FORCE_INLINE void gm256_signed_steps(__m256i *t, const uint8_t *w, const int8_t *x,
                                                  const int from, const int count, const int strips,
                                                  const int columns, const size_t record) {
    CH_UNROLL for (int j = from; j < from + count; j++) {
        CH_UNROLL for (int s = 0; s < strips; s++) {
            __m256i weights = gm256_load_i(w + (size_t)s * record + (size_t)j * 32);
            weights = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
            __m256i magnitudes = _mm256_abs_epi8(weights);
            CH_UNROLL for (int c = 0; c < columns; c++) {
                __m256i signs = _mm256_sign_epi8(gm256_four(x, j, c), weights);
                __m256i pairs = _mm256_maddubs_epi16(magnitudes, signs);
                __m256i *to = &t[c * strips + s];
                *to = _mm256_add_epi32(*to, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
                GM256_IN_ORDER(*to);
            }
        }
    }
}

GM_TARGET CH_FORCE_INLINE void gm256_steps(__m256i *t, const uint8_t *w, const int8_t *x,
                                           const int from, const int count, const int strips,
                                           const int columns, const int trait) {
    const size_t record = GM_VECTORS(trait) * 32;
    const int sums = GM256_SUMS_OF(trait);
    const __m256i ones = _mm256_set1_epi16(1);
    if (sums == 1) {
        gm256_signed_steps(t, w, x, from, count, strips, columns, record);
        return;
    }
    CH_UNROLL for (int j = from; j < from + count; j += sums) {
        __m256i pairs[GM_STRIPS * 4];
        CH_UNROLL for (int i = 0; i < sums; i++) {
            CH_UNROLL for (int c = 0; c < columns; c++) {
                __m256i column = gm256_four(x, j + i, c);
                CH_UNROLL for (int s = 0; s < strips; s++) {
                    __m256i weights = gm256_load_i(w + (size_t)s * record + (size_t)(j + i) * 32);
                    __m256i *to = &pairs[c * strips + s];
                    __m256i products = _mm256_maddubs_epi16(weights, column);
                    *to = i == 0 ? products : _mm256_add_epi16(*to, products);
                    GM256_IN_ORDER(*to);
                }
            }
        }
        CH_UNROLL for (int i = 0; i < columns * strips; i++) t[i] =
            _mm256_add_epi32(t[i], _mm256_madd_epi16(pairs[i], ones));
    }
}

#include "gemm_tile_template.h"

GT_TILE(sums8, GM256_SUMS(8))
GT_TILE(sums8_offsets, GM256_SUMS(8) | GM_OFFSETS)
GT_TILE(sums4, GM256_SUMS(4))
GT_TILE(sums4_offsets, GM256_SUMS(4) | GM_OFFSETS)
GT_TILE(sums4_times, GM256_SUMS(4) | GM_HALVES | GM_TIMES)
GT_TILE(sums2_offsets16, GM256_SUMS(2) | GM_OFFSETS16)
GT_TILE(sums2_halves, GM256_SUMS(2) | GM_HALVES)
GT_TILE(signs, GM256_SUMS(1))

GT_TYPE(q4_0, avx2, sums8, 8, GM256_SUMS(8))
GT_TYPE(q4_1, avx2, sums8_offsets, 0, GM256_SUMS(8) | GM_OFFSETS)
GT_TYPE(q5_0, avx2, sums4, 16, GM256_SUMS(4))
GT_TYPE(q5_1, avx2, sums4_offsets, 0, GM256_SUMS(4) | GM_OFFSETS)
GT_TYPE(q8_0, avx2, signs, 0, GM256_SUMS(1))
GT_TYPE(q2_k, avx2, sums2_offsets16, 0, GM256_SUMS(2) | GM_OFFSETS16)
GT_TYPE_AS(q3_k, q3_k_apart, avx2, sums4_times, 4, GM256_SUMS(4) | GM_HALVES | GM_TIMES)
GT_TYPE(q4_k, avx2, sums8_offsets, 0, GM256_SUMS(8) | GM_OFFSETS)
GT_TYPE(q5_k, avx2, sums4_offsets, 0, GM256_SUMS(4) | GM_OFFSETS)
GT_TYPE(q6_k, avx2, sums2_halves, 32, GM256_SUMS(2) | GM_HALVES)

#undef GT
#undef GT_TARGET
#undef GM256_SUMS
#undef GM256_IN_ORDER
#undef GM256_SUMS_OF

// ---- tiles with VNNI

#define GT(name)  gmvnni_##name
#define GT_TARGET CH_TARGET_AVXVNNI

// Written as assembly because gcc moves the accumulators around the intrinsic.
GT_TARGET CH_FORCE_INLINE void gmvnni_steps(__m256i *t, const uint8_t *w, const int8_t *x,
                                            const int from, const int count, const int strips,
                                            const int columns, const int trait) {
    const size_t record = GM_VECTORS(trait) * 32;
    CH_UNROLL for (int j = from; j < from + count; j++) {
        __m256i weights[GM_STRIPS];
        CH_UNROLL for (int s = 0; s < strips; s++) weights[s] =
            gm256_load_i(w + (size_t)s * record + (size_t)j * 32);
        CH_UNROLL for (int c = 0; c < columns; c++) {
            __m256i column = gm256_four(x, j, c);
            CH_UNROLL for (int s = 0; s < strips; s++) __asm__("%{vex%} vpdpbusd %2, %1, %0" :
                                                               "+x"(t[c * strips + s]) :
                                                               "x"(weights[s]), "x"(column));
        }
    }
}

#include "gemm_tile_template.h"

GT_TILE(plain, 0)
GT_TILE(offsets, GM_OFFSETS)
GT_TILE(halves, GM_HALVES)
GT_TILE(offsets16, GM_OFFSETS16)

GT_TYPE(q4_0, avxvnni, plain, 8, 0)
GT_TYPE(q4_1, avxvnni, offsets, 0, GM_OFFSETS)
GT_TYPE(q5_0, avxvnni, plain, 16, 0)
GT_TYPE(q5_1, avxvnni, offsets, 0, GM_OFFSETS)
GT_TYPE(q8_0, avxvnni, plain, 128, 0)
GT_TYPE(q2_k, avxvnni, offsets16, 0, GM_OFFSETS16)
GT_TYPE(q3_k, avxvnni, plain, 124, 0)
GT_TYPE(q4_k, avxvnni, offsets, 0, GM_OFFSETS)
GT_TYPE(q5_k, avxvnni, offsets, 0, GM_OFFSETS)
GT_TYPE(q6_k, avxvnni, halves, 32, GM_HALVES)

#undef GT
#undef GT_TARGET

// ---- floats

#define GF_ROWS           2
#define GF_COLUMNS        3
#define GF_PARTS          2
#define GM_IN_REGISTER(v) __asm__("" : "+x"(v))

GM_TARGET CH_FORCE_INLINE void gm256_widen_f16(const uint8_t *from, float *to) {
    __m256i half = gm256_load_i(from);
    _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm256_castsi256_si128(half)));
    _mm256_storeu_ps(to + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)));
}
GM_TARGET CH_FORCE_INLINE void gm256_widen_bf16(const uint8_t *from, float *to) {
    __m256i half = gm256_load_i(from);
    __m256i low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(half));
    __m256i high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(half, 1));
    gm256_store_i(to, _mm256_slli_epi32(low, 16));
    gm256_store_i(to + 8, _mm256_slli_epi32(high, 16));
}

// ch_sum16 of eight accumulators. Two of them, four rows apart, are folded to four lanes each; then
// the four vectors of those to one.
GM_TARGET CH_FORCE_INLINE __m256 gm256_sum_rows(const float *acc) {
    __m256 four[4];
    CH_UNROLL for (int i = 0; i < 4; i++) {
        const float *p = acc + i * 16, *q = acc + (i + 4) * 16;
        __m256 a = _mm256_add_ps(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
        __m256 b = _mm256_add_ps(_mm256_loadu_ps(q), _mm256_loadu_ps(q + 8));
        four[i] =
            _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    }
    __m256 two[2];
    CH_UNROLL for (int i = 0; i < 2; i++) {
        __m256 a = four[2 * i], b = four[2 * i + 1];
        two[i] = _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88),
                         _mm256_shuffle_ps(two[0], two[1], 0xdd));
}

#include "gemm_float_template.h"

GF_TYPE(F32, f32, avx2)
GF_TYPE(F16, f16, avx2)
GF_TYPE(BF16, bf16, avx2)

#include "gemm_undef_template.h"
#endif
