// gemm_avx512: matrix products for prefill with AVX-512 and VNNI.
//
// Owns: the vector primitives and the byte product of gemm_panel_template.h and
// gemm_tile_template.h for 512 bits: strips of 16 rows, tiles of 48 rows by 8 columns.
#include "simd_avx512.h"

#if CH_X86
CH_AVX512_BEGIN
#include <immintrin.h>

#define GM(name)  gm512_##name
#define GM_TARGET CH_TARGET_AVX512
#define GM_I      __m512i
#define GM_F      __m512
#define GM_N      16
#define GM_STRIPS 3

// ---- primitives

GM_TARGET CH_FORCE_INLINE __m512i gm512_set1(int32_t v) {
    return _mm512_set1_epi32(v);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_set1_f(float v) {
    return _mm512_set1_ps(v);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_load_i(const void *p) {
    return _mm512_loadu_si512(p);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_load_f(const void *p) {
    return _mm512_loadu_ps(p);
}
GM_TARGET CH_FORCE_INLINE void gm512_store_i(void *p, __m512i v) {
    _mm512_storeu_si512(p, v);
}
GM_TARGET CH_FORCE_INLINE void gm512_store_f(void *p, __m512 v) {
    _mm512_storeu_ps(p, v);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_load_part(const float *p, int32_t n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
GM_TARGET CH_FORCE_INLINE void gm512_store_part(float *p, __m512 v, int32_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_and(__m512i a, __m512i b) {
    return _mm512_and_si512(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_or(__m512i a, __m512i b) {
    return _mm512_or_si512(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_xor(__m512i a, __m512i b) {
    return _mm512_xor_si512(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_srl(__m512i v, int n) {
    return _mm512_srli_epi32(v, (unsigned)n);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_sra(__m512i v, int n) {
    return _mm512_srai_epi32(v, (unsigned)n);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_sll(__m512i v, int n) {
    return _mm512_slli_epi32(v, (unsigned)n);
}

// Bits from..from + n - 1 of every byte, at bit `to` on: a product with a matrix of bits.
GM_TARGET CH_FORCE_INLINE __m512i gm512_bits(__m512i v, int from, int to, int n) {
    uint64_t matrix = 0;
    if (from == to) return _mm512_and_si512(v, _mm512_set1_epi8((char)(((1 << n) - 1) << to)));
    CH_UNROLL for (int i = 0; i < n; i++) matrix |= 1ull << (from + i) << (56 - 8 * (to + i));
    return _mm512_gf2p8affine_epi64_epi8(v, _mm512_set1_epi64((int64_t)matrix), 0);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_min_u8(__m512i a, __m512i b) {
    return _mm512_min_epu8(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_sub(__m512i a, __m512i b) {
    return _mm512_sub_epi32(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_mul_i(__m512i a, __m512i b) {
    return _mm512_mullo_epi32(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_mul_16(__m512i a, __m512i b) {
    return _mm512_mullo_epi16(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512i gm512_sub_8(__m512i a, __m512i b) {
    return _mm512_sub_epi8(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_to_float(__m512i v) {
    return _mm512_cvtepi32_ps(v);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_as_float(__m512i v) {
    return _mm512_castsi512_ps(v);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_add(__m512 a, __m512 b) {
    return _mm512_add_ps(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_sub_f(__m512 a, __m512 b) {
    return _mm512_sub_ps(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_mul(__m512 a, __m512 b) {
    return _mm512_mul_ps(a, b);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_fma(__m512 a, __m512 b, __m512 c) {
    return _mm512_fmadd_ps(a, b, c);
}
GM_TARGET CH_FORCE_INLINE __m512 gm512_neg(__m512 v) {
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}
GM_TARGET CH_FORCE_INLINE bool gm512_all_zero(__m512 v) {
    return _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_EQ_OQ) == 0xffff;
}

// Byte `byte` of every lane, in all four bytes of that lane.
GM_TARGET CH_FORCE_INLINE __m512i gm512_repeat_byte(__m512i v, int byte) {
    __m128i lane = _mm_setr_epi32(0x00000000, 0x04040404, 0x08080808, 0x0c0c0c0c);
    __m512i index = _mm512_broadcast_i32x4(_mm_add_epi8(lane, _mm_set1_epi8((char)byte)));
    return _mm512_shuffle_epi8(v, index);
}

// The low half of every lane, a 16-bit float, as a float.
GM_TARGET CH_FORCE_INLINE __m512 gm512_half(__m512i v) {
    return x512_half(v);
}

// The upper half of every lane of a, below the lower half of b's.
GM_TARGET CH_FORCE_INLINE __m512i gm512_straddle(__m512i a, __m512i b) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_rol_epi32(a, 16), _mm512_rol_epi32(b, 16));
}

// Bytes at..at+15 of each row, transposed: t[j] holds bytes 4j..4j+3 of all rows.
GM_TARGET CH_FORCE_INLINE void gm512_chunk(const uint8_t *const *CH_RESTRICT rows, size_t at,
                                           __m512i *t) {
    __m512i v[4];
    CH_UNROLL for (int i = 0; i < 4; i++) {
        const __m128i *a = (const __m128i *)(const void *)(rows[i] + at);
        const __m128i *b = (const __m128i *)(const void *)(rows[4 + i] + at);
        const __m128i *c = (const __m128i *)(const void *)(rows[8 + i] + at);
        const __m128i *d = (const __m128i *)(const void *)(rows[12 + i] + at);
        v[i] = _mm512_castsi128_si512(_mm_loadu_si128(a));
        v[i] = _mm512_mask_broadcast_i32x4(v[i], 0x00f0, _mm_loadu_si128(b));
        v[i] = _mm512_mask_broadcast_i32x4(v[i], 0x0f00, _mm_loadu_si128(c));
        v[i] = _mm512_mask_broadcast_i32x4(v[i], 0xf000, _mm_loadu_si128(d));
    }
    x512_turn4(v, t);
}

#include "gemm_panel_template.h"

// ---- tiles

#define GT(name)                     gm512_##name
#define GT_TARGET                    GM_TARGET
#define GT_WHOLE(job, strips, trait) gm512_whole(job, strips, trait)

// Vector j of each strip.
GM_TARGET CH_FORCE_INLINE void gm512_weights(__m512i *weights, const uint8_t *w, int j,
                                             const int strips, const int trait) {
    CH_UNROLL for (int s = 0; s < strips; s++) weights[s] =
        gm512_load_i(w + ((size_t)s * GM_VECTORS(trait) + (size_t)j) * GM_V);
}

// Adds their products with a column. Written as assembly because gcc moves the accumulators around
// the intrinsic, at half the speed.
GM_TARGET CH_FORCE_INLINE void gm512_column(__m512i *t, const __m512i *weights, const int8_t *x,
                                            int j, const int c, const int strips) {
    int32_t four;
    memcpy(&four, x + (j * CH_GROUP + c) * 4, sizeof four);
    __m512i column = _mm512_set1_epi32(four);
    CH_UNROLL for (int s = 0; s < strips; s++) __asm__(
        "vpdpbusd %2, %1, %0" : "+v"(t[c * strips + s]) : "v"(weights[s]), "v"(column));
}

GM_TARGET CH_FORCE_INLINE void gm512_steps(__m512i *t, const uint8_t *w, const int8_t *x,
                                           const int from, const int count, const int strips,
                                           const int columns, const int trait) {
    CH_UNROLL for (int j = from; j < from + count; j++) {
        __m512i weights[GM_STRIPS];
        gm512_weights(weights, w, j, strips, trait);
        CH_UNROLL for (int c = 0; c < columns; c++) gm512_column(t, weights, x, j, c, strips);
    }
}

#include "gemm_tile_template.h"

// All columns at once: 24 accumulators. Without offsets, the float steps of a column are followed
// by the first products of its next block, so that stores come a few at a time and multipliers
// always have something to do. Behind the last block, these products are of what follows the panel
// in scratch and the bytes in the record, and are not used. (With offsets that was slower; with
// halves there are not enough registers.)
GM_TARGET CH_FORCE_INLINE void gm512_whole(const gm512_job *job, const int strips,
                                           const int trait) {
    if (trait != 0) {
        gm512_tile(job, strips, CH_GROUP, trait & GM_HALVES ? GT_FEW : CH_GROUP, trait);
        return;
    }
    const uint8_t *w = job->panel;
    const int32_t *start = job->start;
    ch_q8 x = job->x;
    __m512i t[GM_STRIPS * CH_GROUP], weights[GM_STRIPS];
    gm512_weights(weights, w, 0, strips, trait);
    CH_UNROLL for (int c = 0; c < CH_GROUP; c++) {
        gm512_begin(t, start, c, strips, trait);
        gm512_column(t, weights, x.q, 0, c, strips);
    }
    for (int32_t b = 0; b < job->blocks; b++) {
        float *acc = job->acc + (size_t)(b & 3) * (size_t)(strips * CH_GROUP * GM_N);
        __asm__("" : "+r"(acc)); // one base register: gcc would compute every address anew
        gm512_read_on(job->ahead);
        CH_UNROLL for (int j = 1; j < 8; j++) {
            gm512_weights(weights, w, j, strips, trait);
            CH_UNROLL for (int c = 0; c < CH_GROUP; c++)
                gm512_column(t, weights, x.q, j, c, strips);
        }
        __m512 dw[GM_STRIPS];
        gm512_scales(dw, w, 8, strips, trait);
        const uint8_t *next = w + (size_t)strips * GM_VECTORS(trait) * GM_V;
        gm512_weights(weights, next, 0, strips, trait);
        start += CH_GROUP;
        CH_UNROLL for (int c = 0; c < CH_GROUP; c++) {
            gm512_end(t, NULL, dw, NULL, w, &x, acc, c, strips, trait);
            gm512_begin(t, start, c, strips, trait);
            gm512_column(t, weights, x.q + 32 * CH_GROUP, 0, c, strips);
            __asm__ volatile("" ::: "memory"); // compilers would do all float steps first
        }
        w = next;
        gm512_advance(&x, 1);
    }
}

GT_TILE(plain, 0)
GT_TILE(offsets, GM_OFFSETS)
GT_TILE(halves, GM_HALVES)
GT_TILE(offsets16, GM_OFFSETS16)

GT_TYPE(q4_0, avx512, plain, 8, 0)
GT_TYPE(q4_1, avx512, offsets, 0, GM_OFFSETS)
GT_TYPE(q5_0, avx512, plain, 16, 0)
GT_TYPE(q5_1, avx512, offsets, 0, GM_OFFSETS)
GT_TYPE(q8_0, avx512, plain, 128, 0)
GT_TYPE(q2_k, avx512, offsets16, 0, GM_OFFSETS16)
GT_TYPE(q3_k, avx512, plain, 124, 0)
GT_TYPE(q4_k, avx512, offsets, 0, GM_OFFSETS)
GT_TYPE(q5_k, avx512, offsets, 0, GM_OFFSETS)
GT_TYPE(q6_k, avx512, halves, 32, GM_HALVES)

// ---- floats

#define GF_ROWS           4
#define GF_COLUMNS        6
#define GF_PARTS          1
#define GM_IN_REGISTER(v) __asm__("" : "+v"(v))

GM_TARGET CH_FORCE_INLINE void gm512_widen_f16(const uint8_t *from, float *to) {
    __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)from);
    _mm512_storeu_ps(to, _mm512_cvtph_ps(half));
}
GM_TARGET CH_FORCE_INLINE void gm512_widen_bf16(const uint8_t *from, float *to) {
    __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)from);
    _mm512_storeu_si512(to, _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

// ch_sum16 of sixteen accumulators. Four of them, four rows apart, are folded to four lanes each;
// then the four vectors of those to one.
GM_TARGET CH_FORCE_INLINE __m512 gm512_sum_rows(const float *acc) {
    __m512 four[4];
    CH_UNROLL for (int i = 0; i < 4; i++) {
        __m512 a = _mm512_loadu_ps(acc + i * 16), b = _mm512_loadu_ps(acc + (i + 4) * 16);
        __m512 c = _mm512_loadu_ps(acc + (i + 8) * 16), d = _mm512_loadu_ps(acc + (i + 12) * 16);
        a = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
        c = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
        four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, c, 0x88), _mm512_shuffle_f32x4(a, c, 0xdd));
    }
    __m512 two[2];
    CH_UNROLL for (int i = 0; i < 2; i++) {
        __m512 a = four[2 * i], b = four[2 * i + 1];
        two[i] = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    }
    return _mm512_add_ps(_mm512_shuffle_ps(two[0], two[1], 0x88),
                         _mm512_shuffle_ps(two[0], two[1], 0xdd));
}

#include "gemm_float_template.h"

GF_TYPE(F32, f32, avx512)
GF_TYPE(F16, f16, avx512)
GF_TYPE(BF16, bf16, avx512)

#undef GT
#undef GT_TARGET
#include "gemm_undef_template.h"
CH_AVX512_END
#endif
