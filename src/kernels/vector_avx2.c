// vector_avx2: quantize for 8 lanes, and the families of vector_template.h.
//
// Layout of a record: kernels.h, ch_q8. One block at a time; a group's block is eight columns,
// whose bytes are transposed as 8 x 8 dwords.
#include "kv_store_int.h"
#include "simd_avx2.h"

#if CH_X86

// Maxima become scales; *inverse is 1 / scale. Both 0 where the inverse is not finite.
X256_FN __m256 q256_scales(__m256 most, __m256 *inverse) {
    __m256 scale = _mm256_div_ps(most, _mm256_set1_ps(127.0f));
    __m256 inv = _mm256_div_ps(_mm256_set1_ps(1.0f), scale);
    __m256 fits = _mm256_cmp_ps(inv, _mm256_set1_ps(3.402823466e38f), _CMP_LE_OQ);
    *inverse = _mm256_and_ps(fits, inv);
    return _mm256_and_ps(fits, scale);
}

// Lane maxima of |x| over a block of 32.
X256_FN __m256 q256_max_abs(const float *x) {
    __m256 m = _mm256_setzero_ps();
    m = _mm256_max_ps(x256_abs(_mm256_loadu_ps(x)), m);
    m = _mm256_max_ps(x256_abs(_mm256_loadu_ps(x + 8)), m);
    m = _mm256_max_ps(x256_abs(_mm256_loadu_ps(x + 16)), m);
    return _mm256_max_ps(x256_abs(_mm256_loadu_ps(x + 24)), m);
}

// 32 values times `inverse`, rounded to bytes; all 0 where `keep` is 0.
X256_FN __m256i q256_round_block(const float *x, __m256 inverse, __m256i keep) {
    __m256i a = x256_round_q8(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
    __m256i b = x256_round_q8(_mm256_mul_ps(_mm256_loadu_ps(x + 8), inverse));
    __m256i c = x256_round_q8(_mm256_mul_ps(_mm256_loadu_ps(x + 16), inverse));
    __m256i d = x256_round_q8(_mm256_mul_ps(_mm256_loadu_ps(x + 24), inverse));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    // Packing works within 128 bits: a0 b0 c0 d0 | a1 b1 c1 d1 as dwords.
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return _mm256_and_si256(bytes, keep);
}

// Sums of the four bytes of each dword: at most 4 * 127 in magnitude, so 16 bits hold the pairs.
X256_FN __m256i q256_sums(__m256i q) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
}

// Block b of one column.
X256_FN void q256_row(const float *x, const ch_q8_out *r, int32_t b) {
    __m256 inverse, scale = q256_scales(_mm256_set1_ps(x256_max_lanes(q256_max_abs(x))), &inverse);
    __m256 some = _mm256_cmp_ps(scale, _mm256_setzero_ps(), _CMP_NEQ_OQ);
    __m256i q = q256_round_block(x, inverse, _mm256_castps_si256(some));
    _mm256_storeu_si256((__m256i *)(void *)(r->q + 32 * (size_t)b), q);
    __m256i s = q256_sums(q); // 128 bits h: half h
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0xb1));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0x4e));
    __m128i low = _mm256_castsi256_si128(s), high = _mm256_extracti128_si256(s, 1);
    __m128i s16 = _mm_unpacklo_epi32(low, high), s32 = _mm_add_epi32(low, high);
    __m128 d = _mm256_castps256_ps128(scale);
    _mm_store_ss(r->d + b, d);
    _mm_store_ss(r->sx + b, _mm_mul_ps(d, _mm_cvtepi32_ps(s32)));
    _mm_storel_epi64((__m128i *)(void *)(r->sx16 + 2 * b),
                     _mm_castps_si128(_mm_mul_ps(d, _mm_cvtepi32_ps(s16))));
    r->s32[b] = _mm_cvtsi128_si32(s32);
    _mm_storel_epi64((__m128i *)(void *)(r->s16 + 2 * b), s16);
}

// Maxima of the lanes of eight vectors, as the lanes of one.
X256_FN __m256 q256_max8(const __m256 *m) {
    __m256 p[4];
    for (int i = 0; i < 4; i++) // lanes of m[i] and m[i + 4] in turn
        p[i] =
            _mm256_max_ps(_mm256_unpacklo_ps(m[i], m[i + 4]), _mm256_unpackhi_ps(m[i], m[i + 4]));
    // In each 128 bits of p[i]: i, i + 4, i, i + 4. Then 0 2 4 6 and 1 3 5 7, by halves.
    __m256 e =
        _mm256_max_ps(_mm256_shuffle_ps(p[0], p[2], 0x44), _mm256_shuffle_ps(p[0], p[2], 0xee));
    __m256 o =
        _mm256_max_ps(_mm256_shuffle_ps(p[1], p[3], 0x44), _mm256_shuffle_ps(p[1], p[3], 0xee));
    // e: columns 0 4 2 6, o: 1 5 3 7, in both 128 bits.
    __m256 lo = _mm256_unpacklo_ps(e, o), hi = _mm256_unpackhi_ps(e, o); // 0 1 4 5, 2 3 6 7
    __m256 a = _mm256_shuffle_ps(lo, hi, 0x44), b = _mm256_shuffle_ps(lo, hi, 0xee);
    return _mm256_max_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

// 8 x 8 dwords, transposed in place.
X256_FN void q256_transpose(__m256i *m) {
    __m256i t[8], u[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_epi32(m[2 * i], m[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(m[2 * i], m[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        m[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
        m[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
    }
}

// Block b of eight columns, of which the first `cols` exist; the others become zero.
X256_FN void q256_group(const float *x, size_t x_stride, int32_t cols, const ch_q8_out *r,
                        int32_t b) {
    __m256 m[8], inverse;
    for (int c = 0; c < 8; c++)
        m[c] = c < cols ? q256_max_abs(x + (size_t)c * x_stride) : _mm256_setzero_ps();
    __m256 scale = q256_scales(q256_max8(m), &inverse);
    __m256 some = _mm256_cmp_ps(scale, _mm256_setzero_ps(), _CMP_NEQ_OQ);
    __m256i q[8], s[2];
    for (int c = 0; c < 8; c++) {
        __m256i lane = _mm256_set1_epi32(c);
        q[c] = c >= cols
                   ? _mm256_setzero_si256()
                   : q256_round_block(x + (size_t)c * x_stride,
                                      _mm256_permutevar8x32_ps(inverse, lane),
                                      _mm256_permutevar8x32_epi32(_mm256_castps_si256(some), lane));
    }
    q256_transpose(q);
    for (int i = 0; i < 8; i++)
        _mm256_storeu_si256((__m256i *)(void *)(r->q + 256 * (size_t)b + 32 * i), q[i]);
    for (int h = 0; h < 2; h++) {
        __m256i a = _mm256_add_epi32(q256_sums(q[4 * h]), q256_sums(q[4 * h + 1]));
        __m256i c = _mm256_add_epi32(q256_sums(q[4 * h + 2]), q256_sums(q[4 * h + 3]));
        s[h] = _mm256_add_epi32(a, c);
        size_t at16 = 16 * (size_t)b + 8 * (size_t)h;
        _mm256_storeu_ps(r->sx16 + at16, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(s[h])));
        _mm256_storeu_si256((__m256i *)(void *)(r->s16 + at16), s[h]);
    }
    __m256i s32 = _mm256_add_epi32(s[0], s[1]);
    _mm256_storeu_ps(r->d + 8 * b, scale);
    _mm256_storeu_ps(r->sx + 8 * b, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(s32)));
    _mm256_storeu_si256((__m256i *)(void *)(r->s32 + 8 * b), s32);
}

CH_FN X256_TARGET void ch_quantize_q8__avx2(const float *x, size_t x_stride, int32_t cols,
                                            int32_t k, int32_t group, uint8_t *record,
                                            int32_t block0, int32_t block1) {
    ch_q8_out r = ch_q8_out_view(record, k, group);
    int32_t end = block1 == k / 32 ? ch_q8_padded(k) / 32 : block1;
    static const float zeros[32] = {0};
    for (int32_t b = block0; b < end; b++) {
        bool real = b < block1 && cols > 0;
        const float *from = real ? x + 32 * (size_t)(b - block0) : zeros;
        if (group == 1)
            q256_row(from, &r, b);
        else
            q256_group(from, x_stride, real ? cols : 0, &r, b);
    }
}

#define V(name)   x256_##name
#define VT(name)  vt256_##name
#define VT_TARGET X256_TARGET
#define VT_HOW    avx2
#define LANES     8
#include "vector_template.h"
#endif
