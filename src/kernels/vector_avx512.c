// vector_avx512: quantize for 16 lanes, and the families of vector_template.h.
//
// Layout of a record: kernels.h, ch_q8. Blocks are taken four at a time (one row of the padding),
// so that maxima, scales and sums of four blocks share their instructions: about 1 byte read per
// element more than written, 0.7 instructions an element.
#include "kv_store_int.h"
#include "simd_avx512.h"

#if CH_X86
CH_AVX512_BEGIN

// Maxima become scales; *inverse is 1 / scale. Both 0 where the inverse is not finite.
X512_FN __m256 q512_scales(__m256 most, __m256 *inverse) {
    __m256 scale = _mm256_div_ps(most, _mm256_set1_ps(127.0f));
    __m256 inv = _mm256_div_ps(_mm256_set1_ps(1.0f), scale);
    __mmask8 fits = _mm256_cmp_ps_mask(inv, _mm256_set1_ps(3.402823466e38f), _CMP_LE_OQ);
    *inverse = _mm256_maskz_mov_ps(fits, inv);
    return _mm256_maskz_mov_ps(fits, scale);
}

// 16 values times `inverse`, rounded. NaN gives -127; that is the only value to guard against: no
// |x| * inverse reaches 127.5, because scale and inverse are within 2^-21 of what they stand for.
X512_FN __m512i q512_round(const float *x, __mmask16 mask, __m512 inverse) {
    __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x), inverse);
    return _mm512_cvtps_epi32(_mm512_max_ps(v, _mm512_set1_ps(-127.0f)));
}

// Two blocks of 32 as bytes. Packing works within 128 bits: those hold, for i = 0..3, dwords i and
// i + 4 of the first block, then of the second.
X512_FN __m512i q512_round2(const float *x0, const float *x1, __mmask16 mask0, __mmask16 mask1,
                            __m512 inverse0, __m512 inverse1) {
    __m512i a =
        _mm512_packs_epi32(q512_round(x0, mask0, inverse0), q512_round(x0 + 16, mask0, inverse0));
    __m512i b =
        _mm512_packs_epi32(q512_round(x1, mask1, inverse1), q512_round(x1 + 16, mask1, inverse1));
    return _mm512_packs_epi16(a, b);
}

// Lane i of x in all lanes.
X512_FN __m512 q512_lane(__m256 x, int32_t i) {
    return x512_lane(_mm512_castps256_ps512(x), i);
}

// Lane maxima of |x| over a block of 32.
X512_FN __m512 q512_max_abs(const float *x, __mmask16 mask) {
    __m512 a = _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, x));
    __m512 b = _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, x + 16));
    return _mm512_max_ps(b, _mm512_max_ps(a, _mm512_setzero_ps()));
}

// Halves of 256 bits of a and b, folded together: 8 maxima of a, then 8 of b.
X512_FN __m512 q512_fold(__m512 a, __m512 b) {
    return _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

// The same once more: 4 maxima of a's first half, of a's second half, of b's halves.
X512_FN __m512 q512_fold2(__m512 a, __m512 b) {
    return _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

// Sums of the 16 bytes of each 128 bits, in each of their four lanes.
X512_FN __m512i q512_sums(__m512i q) {
    __m512i s = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), q);
    s = _mm512_add_epi32(s, _mm512_shuffle_epi32(s, _MM_PERM_CDAB));
    return _mm512_add_epi32(s, _mm512_shuffle_epi32(s, _MM_PERM_BADC));
}

// Four blocks of one column, from block b on, of which `real` exist; the others become zero.
X512_FN void q512_row(const float *x, const ch_q8_out *r, int32_t b, int32_t real) {
    __mmask16 mask[4];
    for (int i = 0; i < 4; i++) mask[i] = i < real ? 0xffff : 0;
    __m512 m01 = q512_fold(q512_max_abs(x, mask[0]), q512_max_abs(x + 32, mask[1]));
    __m512 m23 = q512_fold(q512_max_abs(x + 64, mask[2]), q512_max_abs(x + 96, mask[3]));
    __m512 m = q512_fold2(m01, m23);
    m = _mm512_max_ps(m, _mm512_permute_ps(m, 0xb1));
    m = _mm512_max_ps(m, _mm512_permute_ps(m, 0x4e)); // 128 bits i: block i
    __m512i twice = _mm512_setr_epi32(0, 0, 4, 4, 8, 8, 12, 12, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256 inverse, d2; // every block's in two lanes
    d2 = q512_scales(_mm512_castps512_ps256(_mm512_permutexvar_ps(twice, m)), &inverse);
    __m512i q01 =
        q512_round2(x, x + 32, mask[0], mask[1], q512_lane(inverse, 0), q512_lane(inverse, 2));
    __m512i q23 =
        q512_round2(x + 64, x + 96, mask[2], mask[3], q512_lane(inverse, 4), q512_lane(inverse, 6));
    // A block without a scale is 0 even where it holds NaN.
    __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    uint32_t some = (uint32_t)_mm256_cmp_ps_mask(d2, _mm256_setzero_ps(), _CMP_NEQ_OQ);
    __mmask16 keep01 = (__mmask16)((some & 1) * 0xff | (some >> 2 & 1) * 0xff00);
    __mmask16 keep23 = (__mmask16)((some >> 4 & 1) * 0xff | (some >> 6 & 1) * 0xff00);
    q01 = _mm512_maskz_permutexvar_epi32(keep01, order, q01);
    q23 = _mm512_maskz_permutexvar_epi32(keep23, order, q23);
    _mm512_storeu_si512((void *)(r->q + 32 * (size_t)b), q01);
    _mm512_storeu_si512((void *)(r->q + 32 * (size_t)b + 64), q23);
    __m512i pick = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i s16 =
        _mm512_castsi512_si256(_mm512_permutex2var_epi32(q512_sums(q01), pick, q512_sums(q23)));
    __m256i apart = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    __m256i halves = _mm256_permutevar8x32_epi32(s16, apart);
    __m128i s32 =
        _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    __m128 d = _mm256_castps256_ps128(_mm256_permutevar8x32_ps(d2, apart));
    _mm_storeu_ps(r->d + b, d);
    _mm_storeu_ps(r->sx + b, _mm_mul_ps(d, _mm_cvtepi32_ps(s32)));
    _mm256_storeu_ps(r->sx16 + 2 * b, _mm256_mul_ps(d2, _mm256_cvtepi32_ps(s16)));
    _mm_storeu_si128((__m128i *)(void *)(r->s32 + b), s32);
    _mm256_storeu_si256((__m256i *)(void *)(r->s16 + 2 * b), s16);
}

// Maxima of the 16 lanes of eight vectors, as the eight lanes of one.
X512_FN __m256 q512_max8(const __m512 *m) {
    __m512 ab = q512_fold2(q512_fold(m[0], m[1]), q512_fold(m[2], m[3]));
    __m512 cd = q512_fold2(q512_fold(m[4], m[5]), q512_fold(m[6], m[7]));
    // ab: 128 bits i are column i; cd: column 4 + i.
    __m512 e = _mm512_max_ps(_mm512_unpacklo_ps(ab, cd), _mm512_unpackhi_ps(ab, cd));
    e = _mm512_max_ps(e, _mm512_permute_ps(e, 0x4e)); // lanes 4i, 4i + 1: columns i, 4 + i
    return _mm512_castps512_ps256(_mm512_permutexvar_ps(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0), e));
}

// Block b of eight columns, of which the first `cols` exist; the others become zero.
X512_FN void q512_group(const float *x, size_t x_stride, int32_t cols, const ch_q8_out *r,
                        int32_t b) {
    __m512 m[8];
    const float *from[8];
    __mmask16 mask[8];
    for (int c = 0; c < 8; c++) {
        mask[c] = c < cols ? 0xffff : 0;
        from[c] = c < cols ? x + (size_t)c * x_stride : x; // not read where the mask is 0
        m[c] = q512_max_abs(from[c], mask[c]);
    }
    __m256 inverse, scale = q512_scales(q512_max8(m), &inverse);
    __m512i z[4];
    for (int c = 0; c < 8; c += 2)
        z[c / 2] = q512_round2(from[c], from[c + 1], mask[c], mask[c + 1], q512_lane(inverse, c),
                               q512_lane(inverse, c + 1));
    // Transposed to [8 dwords][8 columns]: first dwords 0..3 and 4..7 of four columns each.
    __m512i lo = _mm512_setr_epi32(0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30);
    __m512i hi = _mm512_add_epi32(lo, _mm512_set1_epi32(1));
    __m512i a0 = _mm512_permutex2var_epi32(z[0], lo, z[1]);
    __m512i a1 = _mm512_permutex2var_epi32(z[0], hi, z[1]);
    __m512i b0 = _mm512_permutex2var_epi32(z[2], lo, z[3]);
    __m512i b1 = _mm512_permutex2var_epi32(z[2], hi, z[3]);
    lo = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    hi = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    uint32_t some = (uint32_t)_mm256_cmp_ps_mask(scale, _mm256_setzero_ps(), _CMP_NEQ_OQ);
    __mmask16 keep = (__mmask16)(some | some << 8); // a column without a scale is 0
    __m512i q[4];
    q[0] = _mm512_maskz_mov_epi32(keep, _mm512_permutex2var_epi64(a0, lo, b0));
    q[1] = _mm512_maskz_mov_epi32(keep, _mm512_permutex2var_epi64(a0, hi, b0));
    q[2] = _mm512_maskz_mov_epi32(keep, _mm512_permutex2var_epi64(a1, lo, b1));
    q[3] = _mm512_maskz_mov_epi32(keep, _mm512_permutex2var_epi64(a1, hi, b1));
    __m256i s[2];
    for (int h = 0; h < 2; h++) {
        _mm512_storeu_si512((void *)(r->q + 256 * (size_t)b + 128 * h), q[2 * h]);
        _mm512_storeu_si512((void *)(r->q + 256 * (size_t)b + 128 * h + 64), q[2 * h + 1]);
        __m512i ones = _mm512_set1_epi8(1);
        __m512i t = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, q[2 * h]);
        t = _mm512_dpbusd_epi32(t, ones, q[2 * h + 1]);
        s[h] = _mm256_add_epi32(_mm512_castsi512_si256(t), _mm512_extracti64x4_epi64(t, 1));
        size_t at16 = 16 * (size_t)b + 8 * (size_t)h;
        _mm256_storeu_ps(r->sx16 + at16, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(s[h])));
        _mm256_storeu_si256((__m256i *)(void *)(r->s16 + at16), s[h]);
    }
    __m256i s32 = _mm256_add_epi32(s[0], s[1]);
    _mm256_storeu_ps(r->d + 8 * b, scale);
    _mm256_storeu_ps(r->sx + 8 * b, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(s32)));
    _mm256_storeu_si256((__m256i *)(void *)(r->s32 + 8 * b), s32);
}

CH_FN X512_TARGET void ch_quantize_q8__avx512(const float *x, size_t x_stride, int32_t cols,
                                              int32_t k, int32_t group, uint8_t *record,
                                              int32_t block0, int32_t block1) {
    ch_q8_out r = ch_q8_out_view(record, k, group);
    int32_t end = block1 == k / 32 ? ch_q8_padded(k) / 32 : block1;
    if (group == 1) {
        int32_t b = block0;
        for (; b + 4 <= block1 && cols > 0; b += 4)
            q512_row(x + 32 * (size_t)(b - block0), &r, b, 4);
        for (; b < end; b += 4)
            q512_row(x + 32 * (size_t)(b - block0), &r, b, cols > 0 ? CH_MAX(block1 - b, 0) : 0);
    } else {
        for (int32_t b = block0; b < end; b++)
            q512_group(x + 32 * (size_t)(b - block0), x_stride, b < block1 ? cols : 0, &r, b);
    }
}

#define V(name)   x512_##name
#define VT(name)  vt512_##name
#define VT_TARGET X512_TARGET
#define VT_HOW    avx512
#define LANES     16
#include "vector_template.h"

CH_AVX512_END
#endif
