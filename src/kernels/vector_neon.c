// vector_neon: the families that work on vectors, on aarch64: quantize, rmsnorm, glu, rope and
// kv_store.
//
// Owns: their neon variants. All are one pass over their data with the operations of the canon in
// the same order; lengths that are not a multiple of four end in scalar code.
//
// Invariants: a NaN must count as in the reference: comparisons are written as compare and select,
// not as minimum and maximum, wherever one may come in.
#include "kv_store_int.h"
#include "neon.h"

#if CH_ARM64

// ---- quantize

// The largest |x| of 32, NaN left out.
CH_FORCE_INLINE float vcn_max_abs(const float32x4_t *x) {
    float32x4_t most = vdupq_n_f32(0);
    CH_UNROLL
    for (int i = 0; i < 8; i++) {
        float32x4_t v = vabsq_f32(x[i]);
        most = vbslq_f32(vcgtq_f32(v, most), v, most);
    }
    return vmaxvq_f32(most);
}

// x * inverse rounded to the nearest integer, ties to even, within -127..127; NaN gives -127.
CH_FORCE_INLINE int32x4_t vcn_round(float32x4_t x, float inverse) {
    float32x4_t low = vdupq_n_f32(-127.0f), v = vmulq_n_f32(x, inverse);
    v = vbslq_f32(vcgtq_f32(v, low), v, low);
    return vcvtnq_s32_f32(vminq_f32(v, vdupq_n_f32(127.0f)));
}

CH_FORCE_INLINE void vcn_load32(const float *x, float32x4_t *v) {
    CH_UNROLL
    for (int i = 0; i < 8; i++) v[i] = vld1q_f32(x + 4 * i);
}

// 16 rounded values as bytes; returns their sum.
CH_FORCE_INLINE int32_t vcn_quantize16(const float32x4_t *x, float inverse, int8x16_t *q) {
    int32x4_t a = vcn_round(x[0], inverse), b = vcn_round(x[1], inverse);
    int32x4_t c = vcn_round(x[2], inverse), d = vcn_round(x[3], inverse);
    int16x8_t ab = vcombine_s16(vmovn_s32(a), vmovn_s32(b));
    int16x8_t cd = vcombine_s16(vmovn_s32(c), vmovn_s32(d));
    *q = vcombine_s8(vmovn_s16(ab), vmovn_s16(cd));
    return vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)));
}

// Block b of column c of a group; `from` is NULL where there is nothing but zero.
CH_FORCE_INLINE void vcn_quantize_block(const float *from, const ch_q8_out *out, size_t b, size_t c,
                                        size_t group) {
    int8x16_t q[2] = {vdupq_n_s8(0), vdupq_n_s8(0)};
    int32_t sum[2] = {0, 0};
    float scale = 0;
    if (from) {
        float32x4_t x[8];
        vcn_load32(from, x);
        scale = vcn_max_abs(x) / 127.0f;
        float inverse = 1.0f / scale;
        if (!(inverse <= 3.402823466e38f)) scale = 0.0f; // zero, or too small to invert
        if (scale > 0) {
            sum[0] = vcn_quantize16(x, inverse, &q[0]);
            sum[1] = vcn_quantize16(x + 4, inverse, &q[1]);
        }
    }
    int8_t *to = out->q + (8 * b * group + c) * 4;
    if (group == 1) {
        vst1q_s8(to, q[0]);
        vst1q_s8(to + 16, q[1]);
    } else {
        uint32_t words[8];
        vst1q_u32(words, vreinterpretq_u32_s8(q[0]));
        vst1q_u32(words + 4, vreinterpretq_u32_s8(q[1]));
        for (size_t i = 0; i < 8; i++) memcpy(to + 4 * group * i, &words[i], 4);
    }
    size_t at = b * group + c, at16 = 2 * b * group + c;
    out->d[at] = scale;
    out->sx[at] = scale * (float)(sum[0] + sum[1]);
    out->s32[at] = sum[0] + sum[1];
    for (size_t h = 0; h < 2; h++) {
        out->sx16[at16 + h * group] = scale * (float)sum[h];
        out->s16[at16 + h * group] = sum[h];
    }
}

CH_FN void ch_quantize_q8__neon(const float *x, size_t x_stride, int32_t cols, int32_t k,
                                int32_t group, uint8_t *record, int32_t block0, int32_t block1) {
    ch_q8_out out = ch_q8_out_view(record, k, group);
    int32_t end = block1 == k / 32 ? ch_q8_padded(k) / 32 : block1;
    for (int32_t b = block0; b < end; b++)
        for (int32_t c = 0; c < group; c++) {
            bool real = b < block1 && c < cols;
            const float *from = real ? x + (size_t)c * x_stride + 32 * (size_t)(b - block0) : NULL;
            if (group == 1)
                vcn_quantize_block(from, &out, (size_t)b, 0, 1);
            else
                vcn_quantize_block(from, &out, (size_t)b, (size_t)c, (size_t)group);
        }
}

// ---- norm, glu, rope

CH_FN void ch_rmsnorm__neon(const float *x, const float *w, float eps, int32_t k, float *y) {
    float32x4_t acc[4];
    int32_t i = 0;
    CH_UNROLL
    for (int j = 0; j < 4; j++) acc[j] = vdupq_n_f32(0);
    for (; i + 16 <= k; i += 16) {
        CH_UNROLL
        for (int j = 0; j < 4; j++) {
            float32x4_t v = vld1q_f32(x + i + 4 * j);
            acc[j] = vfmaq_f32(acc[j], v, v);
        }
    }
    float a[16];
    CH_UNROLL
    for (int j = 0; j < 4; j++) vst1q_f32(a + 4 * j, acc[j]);
    for (int j = 0; i < k; i++, j++) a[j] = fmaf(x[i], x[i], a[j]);
    float r = 1.0f / sqrtf(ch_sum16(a) / (float)k + eps);
    for (i = 0; i + 4 <= k; i += 4)
        vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), r), vld1q_f32(w + i)));
    for (; i < k; i++) y[i] = (x[i] * r) * w[i];
}

CH_FN void ch_silu_glu__neon(const float *gate, const float *up, int32_t k, float *y) {
    int32_t i = 0;
    for (; i + 4 <= k; i += 4) {
        float32x4_t g = vld1q_f32(gate + i);
        float32x4_t below = vaddq_f32(vdupq_n_f32(1.0f), nn_exp(vnegq_f32(g)));
        vst1q_f32(y + i, vmulq_f32(vdivq_f32(g, below), vld1q_f32(up + i)));
    }
    for (; i < k; i++) y[i] = (gate[i] / (1.0f + ch_exp(-gate[i]))) * up[i];
}

// Rotates four pairs (a, b) and scales them.
CH_FORCE_INLINE void vcn_rotate(float32x4_t *a, float32x4_t *b, const float *c, const float *s,
                                float scale) {
    float32x4_t cv = vld1q_f32(c), sv = vld1q_f32(s);
    float32x4_t first = vfmaq_f32(vnegq_f32(vmulq_f32(*b, sv)), *a, cv);
    float32x4_t second = vfmaq_f32(vmulq_f32(*b, cv), *a, sv);
    *a = vmulq_n_f32(first, scale);
    *b = vmulq_n_f32(second, scale);
}

CH_FN void ch_rope__neon(float *x, int32_t heads, int32_t head_dim, int32_t pairs, bool neox,
                         const float *c, const float *s, float scale) {
    for (int32_t h = 0; h < heads; h++, x += head_dim) {
        int32_t i = 0;
        for (; i + 4 <= pairs; i += 4) {
            if (neox) {
                float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + i + pairs);
                vcn_rotate(&a, &b, c + i, s + i, scale);
                vst1q_f32(x + i, a);
                vst1q_f32(x + i + pairs, b);
            } else {
                float32x4x2_t v = vld2q_f32(x + 2 * i);
                vcn_rotate(&v.val[0], &v.val[1], c + i, s + i, scale);
                vst2q_f32(x + 2 * i, v);
            }
        }
        for (; i < pairs; i++) {
            float *first = neox ? x + i : x + 2 * i, *second = neox ? x + i + pairs : x + 2 * i + 1;
            float a = *first, b = *second;
            *first = fmaf(a, c[i], -(b * s[i])) * scale;
            *second = fmaf(a, s[i], b * c[i]) * scale;
        }
        for (i = 2 * pairs; i < head_dim; i++) x[i] = x[i] * scale;
    }
}

// ---- KV cache

CH_FN void ch_kv_store_f32__neon(const float *k, const float *v, int32_t head_dim,
                                 int32_t value_dim, int32_t capacity, int32_t position,
                                 uint8_t *k_cache, uint8_t *v_cache) {
    (void)capacity;
    float *kc =
        (float *)(void *)k_cache + (size_t)(position / 16) * 16 * (size_t)head_dim + position % 16;
    for (int32_t e = 0; e < head_dim; e++) kc[16 * (size_t)e] = k[e];
    memcpy(v_cache + (size_t)position * (size_t)value_dim * 4, v, (size_t)value_dim * 4);
}

CH_FN void ch_kv_store_f16__neon(const float *k, const float *v, int32_t head_dim,
                                 int32_t value_dim, int32_t capacity, int32_t position,
                                 uint8_t *k_cache, uint8_t *v_cache) {
    (void)capacity;
    uint16_t *kc = (uint16_t *)(void *)k_cache + (size_t)(position / 16) * 16 * (size_t)head_dim +
                   position % 16;
    uint16_t *vc = (uint16_t *)(void *)v_cache + (size_t)position * (size_t)value_dim;
    int32_t e = 0;
    for (; e + 4 <= head_dim; e += 4) {
        uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(k + e)));
        vst1_lane_u16(kc + 16 * (size_t)e, h, 0);
        vst1_lane_u16(kc + 16 * (size_t)e + 16, h, 1);
        vst1_lane_u16(kc + 16 * (size_t)e + 32, h, 2);
        vst1_lane_u16(kc + 16 * (size_t)e + 48, h, 3);
    }
    for (; e < head_dim; e++) kc[16 * (size_t)e] = ch_f16_from_f32(k[e]);
    for (e = 0; e + 4 <= value_dim; e += 4)
        vst1_u16(vc + e, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(v + e))));
    for (; e < value_dim; e++) vc[e] = ch_f16_from_f32(v[e]);
}

// The n floats at x, zeros after them; 1..4 of them count.
CH_FORCE_INLINE float32x4_t vcn_load_n(const float *x, int32_t n) {
    float all[4] = {0, 0, 0, 0};
    if (n >= 4) return vld1q_f32(x);
    memcpy(all, x, (size_t)n * sizeof *x);
    return vld1q_f32(all);
}

CH_FN float ch_integers__neon(const float *x, int32_t n, float most, int16_t *q) {
    float32x4_t top = vdupq_n_f32(0), low = vdupq_n_f32(-most), high = vdupq_n_f32(most);
    for (int32_t i = 0; i < n; i += 4) {
        float32x4_t v = vabsq_f32(vcn_load_n(x + i, n - i));
        top = vbslq_f32(vcgtq_f32(v, top), v, top);
    }
    float largest = vmaxvq_f32(top);
    float d = CH_MIN(largest, 3.402823466e38f) / most, inverse = 1.0f / d;
    if (!(inverse <= 3.402823466e38f)) inverse = d = 0.0f;
    for (int32_t i = 0; i < n; i += 4) {
        float32x4_t v = vmulq_n_f32(vcn_load_n(x + i, n - i), inverse);
        v = vminq_f32(vbslq_f32(vcgtq_f32(v, low), v, low), high);
        vst1_s16(q + i, vmovn_s32(vcvtnq_s32_f32(v)));
    }
    return d;
}

CH_FN void ch_kv_store_q16__neon(const float *k, const float *v, int32_t head_dim,
                                 int32_t value_dim, int32_t capacity, int32_t position,
                                 uint8_t *k_cache, uint8_t *v_cache) {
    kv_store_int(CH_KV_Q16, ch_integers__neon, k, v, head_dim, value_dim, capacity, position,
                 k_cache, v_cache);
}

CH_FN void ch_kv_store_q8_0__neon(const float *k, const float *v, int32_t head_dim,
                                  int32_t value_dim, int32_t capacity, int32_t position,
                                  uint8_t *k_cache, uint8_t *v_cache) {
    kv_store_int(CH_KV_Q8_0, ch_integers__neon, k, v, head_dim, value_dim, capacity, position,
                 k_cache, v_cache);
}

#endif
