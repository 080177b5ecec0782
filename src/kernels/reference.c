// reference: every kernel family in plain C, word for word what kernels.h fixes.
//
// Owns: the meaning of each tensor type and family. Always built, always callable: the oracle of
// all other kernels, and what runs where there is no variant. Written to be read; speed is
// elsewhere.
#include "kernels.h"

// ---- what the weights of a block of 32 are

// weight i = scale[i / 16] * q[i] + offset[i / 16]
typedef struct ref_block {
    int16_t q[32];
    float scale[2], offset[2];
    bool halves; // scales (and offsets) per 16 weights, not per 32
    bool has_offset;
    // Where the canon has scales[2] in integers: scale[i] = d * times[i].
    bool whole;
    float d;
    int32_t times[2];
} ref_block;

typedef void ref_read_fn(const uint8_t *row, int32_t b, ref_block *out);

static void ref_set_scale(ref_block *out, float scale, float offset, bool has_offset) {
    out->scale[0] = out->scale[1] = scale;
    out->offset[0] = out->offset[1] = offset;
    out->has_offset = has_offset;
    out->halves = out->whole = false;
}

static void ref_read_q4_0(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q4_0 *block = (const ch_block_q4_0 *)(const void *)row + b;
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int16_t)((block->qs[i] & 15) - 8);
        out->q[i + 16] = (int16_t)((block->qs[i] >> 4) - 8);
    }
    ref_set_scale(out, ch_f32_from_f16(block->d), 0, false);
}

static void ref_read_q4_1(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q4_1 *block = (const ch_block_q4_1 *)(const void *)row + b;
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int16_t)(block->qs[i] & 15);
        out->q[i + 16] = (int16_t)(block->qs[i] >> 4);
    }
    ref_set_scale(out, ch_f32_from_f16(block->d), ch_f32_from_f16(block->m), true);
}

// The fifth bits of weights i and i + 16, in place.
static int16_t ref_high(const uint8_t *qh, int i) {
    return (int16_t)(((qh[i / 8] >> (i % 8)) & 1) << 4);
}

static void ref_read_q5_0(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q5_0 *block = (const ch_block_q5_0 *)(const void *)row + b;
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int16_t)(((block->qs[i] & 15) | ref_high(block->qh, i)) - 16);
        out->q[i + 16] = (int16_t)(((block->qs[i] >> 4) | ref_high(block->qh, i + 16)) - 16);
    }
    ref_set_scale(out, ch_f32_from_f16(block->d), 0, false);
}

static void ref_read_q5_1(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q5_1 *block = (const ch_block_q5_1 *)(const void *)row + b;
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int16_t)((block->qs[i] & 15) | ref_high(block->qh, i));
        out->q[i + 16] = (int16_t)((block->qs[i] >> 4) | ref_high(block->qh, i + 16));
    }
    ref_set_scale(out, ch_f32_from_f16(block->d), ch_f32_from_f16(block->m), true);
}

static void ref_read_q8_0(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q8_0 *block = (const ch_block_q8_0 *)(const void *)row + b;
    for (int i = 0; i < 32; i++) out->q[i] = block->qs[i];
    ref_set_scale(out, ch_f32_from_f16(block->d), 0, false);
}

static void ref_read_q2_k(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q2_k *block = (const ch_block_q2_k *)(const void *)row + b / 8;
    int32_t part = b % 8;
    float d = ch_f32_from_f16(block->d), dmin = ch_f32_from_f16(block->dmin);
    for (int i = 0; i < 32; i++)
        out->q[i] = (int16_t)((block->qs[part / 4 * 32 + i] >> (2 * (part % 4))) & 3);
    for (int h = 0; h < 2; h++) {
        uint8_t packed = block->scales[2 * part + h];
        out->times[h] = packed & 15;
        out->scale[h] = d * (float)out->times[h];
        out->offset[h] = -(dmin * (float)(packed >> 4));
    }
    out->d = d;
    out->halves = out->has_offset = out->whole = true;
}

static void ref_read_q3_k(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q3_k *block = (const ch_block_q3_k *)(const void *)row + b / 8;
    int32_t part = b % 8;
    float d = ch_f32_from_f16(block->d);
    for (int i = 0; i < 32; i++) {
        int low = (block->qs[part / 4 * 32 + i] >> (2 * (part % 4))) & 3;
        int high = (block->hmask[i] >> part) & 1;
        out->q[i] = (int16_t)(low + 4 * high - 4);
    }
    for (int h = 0; h < 2; h++) {
        out->times[h] = ch_scale_q3_k(block->scales, 2 * part + h) - 32;
        out->scale[h] = d * (float)out->times[h];
        out->offset[h] = 0;
    }
    out->d = d;
    out->halves = out->whole = true;
    out->has_offset = false;
}

static void ref_read_q4_k(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q4_k *block = (const ch_block_q4_k *)(const void *)row + b / 8;
    int32_t part = b % 8;
    uint8_t scale = 0, min = 0;
    ch_scale_min_k4(block->scales, part, &scale, &min);
    for (int i = 0; i < 32; i++)
        out->q[i] = (int16_t)((block->qs[part / 2 * 32 + i] >> (4 * (part % 2))) & 15);
    ref_set_scale(out, ch_f32_from_f16(block->d) * (float)scale,
                  -(ch_f32_from_f16(block->dmin) * (float)min), true);
}

static void ref_read_q5_k(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q5_k *block = (const ch_block_q5_k *)(const void *)row + b / 8;
    int32_t part = b % 8;
    uint8_t scale = 0, min = 0;
    ch_scale_min_k4(block->scales, part, &scale, &min);
    for (int i = 0; i < 32; i++) {
        int low = (block->qs[part / 2 * 32 + i] >> (4 * (part % 2))) & 15;
        int high = (block->qh[i] >> part) & 1;
        out->q[i] = (int16_t)(low | (high << 4));
    }
    ref_set_scale(out, ch_f32_from_f16(block->d) * (float)scale,
                  -(ch_f32_from_f16(block->dmin) * (float)min), true);
}

static void ref_read_q6_k(const uint8_t *row, int32_t b, ref_block *out) {
    const ch_block_q6_k *block = (const ch_block_q6_k *)(const void *)row + b / 8;
    int32_t half = b % 8 / 4, quarter = b % 4;
    float d = ch_f32_from_f16(block->d);
    for (int i = 0; i < 32; i++) {
        int low = (block->ql[half * 64 + quarter % 2 * 32 + i] >> (4 * (quarter / 2))) & 15;
        int high = (block->qh[half * 32 + i] >> (2 * quarter)) & 3;
        out->q[i] = (int16_t)((low | (high << 4)) - 32);
    }
    for (int h = 0; h < 2; h++) {
        out->scale[h] = d * (float)block->scales[2 * (b % 8) + h];
        out->offset[h] = 0;
    }
    out->halves = true;
    out->has_offset = out->whole = false;
}

// ---- dequantize

static float ref_weight(const ref_block *block, int i) {
    float q = (float)block->q[i], scale = block->scale[i / 16];
    return block->has_offset ? fmaf(scale, q, block->offset[i / 16]) : scale * q;
}

static void ref_dequantize(ref_read_fn *read, const uint8_t *row, float *y, int32_t k) {
    ref_block block;
    for (int32_t b = 0; b < k / 32; b++) {
        read(row, b, &block);
        for (int i = 0; i < 32; i++) y[32 * b + i] = ref_weight(&block, i);
    }
}

CH_FN void ch_dequantize_f32__c(const uint8_t *row, float *y, int32_t k) {
    memcpy(y, row, (size_t)k * sizeof(float));
}

CH_FN void ch_dequantize_f16__c(const uint8_t *row, float *y, int32_t k) {
    for (int32_t i = 0; i < k; i++) y[i] = ch_f32_from_f16(ch_load_u16(row + 2 * i));
}

CH_FN void ch_dequantize_bf16__c(const uint8_t *row, float *y, int32_t k) {
    for (int32_t i = 0; i < k; i++) y[i] = ch_f32_from_bf16(ch_load_u16(row + 2 * i));
}

// ---- matvec and gemm

// A block's weights times a column's bytes, whose sums over the block's halves are t0 and t1.
static float ref_scaled(const ref_block *block, int32_t t0, int32_t t1) {
    if (block->whole) return block->d * (float)(block->times[0] * t0 + block->times[1] * t1);
    if (!block->halves) return block->scale[0] * (float)(t0 + t1);
    return fmaf(block->scale[1], (float)t1, block->scale[0] * (float)t0);
}

// The canonical quantized dot: see the top of kernels.h. The column is number c of a record of
// `group` columns.
static float ref_dot_q8(ref_read_fn *read, const uint8_t *row, int32_t k, const ch_q8 *x,
                        int32_t group, int32_t c) {
    float acc[4] = {0, 0, 0, 0};
    ref_block block;
    for (int32_t b = 0; b < k / 32; b++) {
        read(row, b, &block);
        int32_t t[2] = {0, 0};
        for (int32_t i = 0; i < 32; i++)
            t[i / 16] +=
                block.q[i] *
                x->q[((size_t)(32 * b + i) / 4 * (size_t)group + (size_t)c) * 4 + (size_t)i % 4];
        size_t at = (size_t)b * (size_t)group + (size_t)c,
               at16 = (size_t)(2 * b) * (size_t)group + (size_t)c;
        float *a = &acc[b % 4];
        *a = fmaf(ref_scaled(&block, t[0], t[1]), x->d[at], *a);
        if (!block.has_offset) continue;
        if (!block.halves) {
            *a = fmaf(block.offset[0], x->sx[at], *a);
        } else {
            *a = fmaf(block.offset[0], x->sx16[at16], *a);
            *a = fmaf(block.offset[1], x->sx16[at16 + (size_t)group], *a);
        }
    }
    return (acc[0] + acc[2]) + (acc[1] + acc[3]);
}

typedef float ref_load_fn(const uint8_t *row, size_t i);

static float ref_load_f32(const uint8_t *row, size_t i) {
    float f;
    memcpy(&f, row + 4 * i, sizeof f);
    return f;
}

static float ref_load_f16(const uint8_t *row, size_t i) {
    return ch_f32_from_f16(ch_load_u16(row + 2 * i));
}

static float ref_load_bf16(const uint8_t *row, size_t i) {
    return ch_f32_from_bf16(ch_load_u16(row + 2 * i));
}

// The canonical float dot.
static float ref_dot_f32(ref_load_fn *load, const uint8_t *row, int32_t k, const float *x) {
    float acc[16] = {0};
    for (int32_t i = 0; i < k; i++) acc[i % 16] = fmaf(load(row, (size_t)i), x[i], acc[i % 16]);
    return ch_sum16(acc);
}

static void ref_epilogue(const ch_mm_args *a, int32_t r, int32_t c, float dot) {
    size_t at = (size_t)c * a->y_stride + (size_t)r;
    if (a->bias) dot = dot + a->bias[r];
    if (a->add) dot = a->add[at] + dot;
    a->y[at] = dot;
}

static void ref_mm_q8(ref_read_fn *read, const ch_mm_args *a, int32_t row0, int32_t row1,
                      int32_t group) {
    for (int32_t c = 0; c < a->n; c++) {
        ch_q8 x = ch_q8_view(a->x + (size_t)(c / group) * a->x_stride, a->k, group);
        for (int32_t r = row0; r < row1; r++)
            ref_epilogue(
                a, r, c,
                ref_dot_q8(read, a->w + (size_t)r * a->w_stride, a->k, &x, group, c % group));
    }
}

static void ref_mm_f32(ref_load_fn *load, const ch_mm_args *a, int32_t row0, int32_t row1) {
    for (int32_t c = 0; c < a->n; c++) {
        const float *x = (const float *)(const void *)(a->x + (size_t)c * a->x_stride);
        for (int32_t r = row0; r < row1; r++)
            ref_epilogue(a, r, c, ref_dot_f32(load, a->w + (size_t)r * a->w_stride, a->k, x));
    }
}

// ---- bgemm

// Weights 32 s to 32 s + 31 of a row, 0 past k.
typedef void ref_step_fn(const uint8_t *row, int32_t s, int32_t k, float *w);

static void ref_step_q8(ref_read_fn *read, const uint8_t *row, int32_t s, float *w) {
    ref_block block;
    read(row, s, &block);
    for (int i = 0; i < 32; i++) w[i] = ref_weight(&block, i);
}

static void ref_step_f32(ref_load_fn *load, const uint8_t *row, int32_t s, int32_t k, float *w) {
    for (int32_t i = 0; i < 32; i++)
        w[i] = 32 * s + i < k ? load(row, (size_t)s * 32 + (size_t)i) : 0.0f;
}

// 0 where x is subnormal.
static float ref_flush(float x) {
    return fabsf(x) < 1.17549435e-38f ? copysignf(0.0f, x) : x;
}

enum { REF_ROWS = 16 }; // that share a record's numbers as floats

// The bfloat16 dots of rows r.. and the columns of a record, c.. of all.
static void ref_bgemm_tile(ref_step_fn *step, const ch_mm_args *a, int32_t r, int32_t rows,
                           int32_t c, int32_t columns) {
    float acc[REF_ROWS][CH_BGROUP] = {{0}}, w[32], x[CH_BGROUP][32];
    const uint8_t *record = a->x + (size_t)(c / CH_BGROUP) * a->x_stride;
    for (int32_t s = 0; s < ch_ceil_div(a->k, 32); s++, record += 64 * CH_BGROUP) {
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < columns; j++)
                x[j][i] = ch_f32_from_bf16(
                    ch_load_u16(record + 2 * ((i / 2 * CH_BGROUP + j) * 2 + i % 2)));
        for (int32_t i = 0; i < rows; i++) {
            step(a->w + (size_t)(r + i) * a->w_stride, s, a->k, w);
            for (int e = 0; e < 32; e++) w[e] = ch_f32_from_bf16(ch_bf16_from_f32(w[e]));
            for (int j = 0; j < columns; j++) {
                float even = 0, odd = 0;
                for (int e = 0; e < 32; e += 2) {
                    even = ref_flush(fmaf(w[e], x[j][e], even));
                    odd = ref_flush(fmaf(w[e + 1], x[j][e + 1], odd));
                }
                acc[i][j] = ref_flush(acc[i][j] + ref_flush(even + odd));
            }
        }
    }
    for (int32_t i = 0; i < rows; i++)
        for (int32_t j = 0; j < columns; j++) ref_epilogue(a, r + i, c + j, acc[i][j]);
}

static void ref_bgemm(ref_step_fn *step, const ch_mm_args *a, int32_t row0, int32_t row1) {
    for (int32_t c = 0; c < a->n; c += CH_BGROUP)
        for (int32_t r = row0; r < row1; r += REF_ROWS)
            ref_bgemm_tile(step, a, r, CH_MIN(REF_ROWS, row1 - r), c, CH_MIN(CH_BGROUP, a->n - c));
}

CH_FN void ch_round_bf16__c(const float *x, size_t x_stride, int32_t cols, int32_t k, int32_t group,
                            uint8_t *record, int32_t block0, int32_t block1) {
    uint16_t *to = (uint16_t *)(void *)record + (size_t)block0 * 32 * (size_t)group;
    for (int32_t i = 32 * block0; i < 32 * block1; i += 2)
        for (int32_t c = 0; c < group; c++)
            for (int32_t j = 0; j < 2; j++) {
                bool real = i + j < k && c < cols;
                size_t at = (size_t)c * x_stride + (size_t)(i + j - 32 * block0);
                *to++ = real ? ch_bf16_from_f32(x[at]) : 0;
            }
}

#define REF_QUANT(type)                                                                            \
    CH_FN void ch_matvec_##type##__c(const ch_mm_args *a, int32_t row0, int32_t row1) {            \
        ref_mm_q8(ref_read_##type, a, row0, row1, 1);                                              \
    }                                                                                              \
    CH_FN void ch_gemm_##type##__c(const ch_mm_args *a, int32_t row0, int32_t row1) {              \
        ref_mm_q8(ref_read_##type, a, row0, row1, CH_GROUP);                                       \
    }                                                                                              \
    static void ref_step_##type(const uint8_t *row, int32_t s, int32_t k, float *w) {              \
        (void)k;                                                                                   \
        ref_step_q8(ref_read_##type, row, s, w);                                                   \
    }                                                                                              \
    CH_FN void ch_bgemm_##type##__c(const ch_mm_args *a, int32_t row0, int32_t row1) {             \
        ref_bgemm(ref_step_##type, a, row0, row1);                                                 \
    }                                                                                              \
    CH_FN void ch_dequantize_##type##__c(const uint8_t *row, float *y, int32_t k) {                \
        ref_dequantize(ref_read_##type, row, y, k);                                                \
    }
REF_QUANT(q4_0)
REF_QUANT(q4_1)
REF_QUANT(q5_0)
REF_QUANT(q5_1)
REF_QUANT(q8_0)
REF_QUANT(q2_k)
REF_QUANT(q3_k)
REF_QUANT(q4_k)
REF_QUANT(q5_k)
REF_QUANT(q6_k)
#undef REF_QUANT

#define REF_FLOAT(type)                                                                            \
    CH_FN void ch_matvec_##type##__c(const ch_mm_args *a, int32_t row0, int32_t row1) {            \
        ref_mm_f32(ref_load_##type, a, row0, row1);                                                \
    }                                                                                              \
    CH_FN void ch_gemm_##type##__c(const ch_mm_args *a, int32_t row0, int32_t row1) {              \
        ref_mm_f32(ref_load_##type, a, row0, row1);                                                \
    }
REF_FLOAT(f32)
REF_FLOAT(f16)
REF_FLOAT(bf16)
#undef REF_FLOAT

#define REF_ROUNDED(type)                                                                          \
    static void ref_step_##type(const uint8_t *row, int32_t s, int32_t k, float *w) {              \
        ref_step_f32(ref_load_##type, row, s, k, w);                                               \
    }                                                                                              \
    CH_FN void ch_bgemm_##type##__c(const ch_mm_args *a, int32_t row0, int32_t row1) {             \
        ref_bgemm(ref_step_##type, a, row0, row1);                                                 \
    }
REF_ROUNDED(f16)
REF_ROUNDED(bf16)
#undef REF_ROUNDED

// ---- quantize

// Rounds to the nearest integer, ties to even, within -most..most; NaN gives -most.
static int32_t ref_round(float v, float most) {
    if (!(v > -most)) return (int32_t)-most;
    if (v > most) return (int32_t)most;
    return (int32_t)rintf(v);
}

// The largest |x| of n, NaN left out.
static float ref_max_abs(const float *x, int32_t n) {
    float most = 0;
    for (int32_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

CH_FN void ch_quantize_q8__c(const float *x, size_t x_stride, int32_t cols, int32_t k,
                             int32_t group, uint8_t *record, int32_t block0, int32_t block1) {
    ch_q8_out r = ch_q8_out_view(record, k, group);
    int32_t end = block1 == k / 32 ? ch_q8_padded(k) / 32 : block1;
    for (int32_t b = block0; b < end; b++)
        for (int32_t c = 0; c < group; c++) {
            bool real = b < block1 && c < cols;
            const float *from = real ? x + (size_t)c * x_stride + 32 * (size_t)(b - block0) : NULL;
            float scale = real ? ref_max_abs(from, 32) / 127.0f : 0.0f, inverse = 1.0f / scale;
            if (!(inverse <= 3.402823466e38f))
                inverse = scale = 0.0f; // zero, or too small to invert
            int32_t sum[2] = {0, 0};
            for (int32_t i = 0; i < 32; i++) {
                int32_t v = scale > 0 ? ref_round(from[i] * inverse, 127.0f) : 0;
                r.q[((size_t)(32 * b + i) / 4 * (size_t)group + (size_t)c) * 4 + (size_t)i % 4] =
                    (int8_t)v;
                sum[i / 16] += v;
            }
            size_t at = (size_t)b * (size_t)group + (size_t)c,
                   at16 = (size_t)(2 * b) * (size_t)group + (size_t)c;
            r.d[at] = scale;
            r.sx[at] = scale * (float)(sum[0] + sum[1]);
            r.s32[at] = sum[0] + sum[1];
            for (size_t h = 0; h < 2; h++) {
                r.sx16[at16 + h * (size_t)group] = scale * (float)sum[h];
                r.s16[at16 + h * (size_t)group] = sum[h];
            }
        }
}

// ---- norm, glu, rope

CH_FN void ch_rmsnorm__c(const float *x, const float *w, float eps, int32_t k, float *y) {
    float acc[16] = {0};
    for (int32_t i = 0; i < k; i++) acc[i % 16] = fmaf(x[i], x[i], acc[i % 16]);
    float r = 1.0f / sqrtf(ch_sum16(acc) / (float)k + eps);
    for (int32_t i = 0; i < k; i++) y[i] = (x[i] * r) * w[i];
}

CH_FN void ch_silu_glu__c(const float *gate, const float *up, int32_t k, float *y) {
    for (int32_t i = 0; i < k; i++) y[i] = (gate[i] / (1.0f + ch_exp(-gate[i]))) * up[i];
}

CH_FN void ch_rope__c(float *x, int32_t heads, int32_t head_dim, int32_t pairs, bool neox,
                      const float *c, const float *s, float scale) {
    for (int32_t h = 0; h < heads; h++, x += head_dim) {
        for (int32_t i = 0; i < pairs; i++) {
            float *first = neox ? x + i : x + 2 * i, *second = neox ? x + i + pairs : x + 2 * i + 1;
            float a = *first, b = *second;
            *first = fmaf(a, c[i], -(b * s[i])) * scale;
            *second = fmaf(a, s[i], b * c[i]) * scale;
        }
        for (int32_t i = 2 * pairs; i < head_dim; i++) x[i] = x[i] * scale;
    }
}

// ---- KV cache

CH_FN void ch_kv_store_f32__c(const float *k, const float *v, int32_t head_dim, int32_t value_dim,
                              int32_t capacity, int32_t position, uint8_t *k_cache,
                              uint8_t *v_cache) {
    (void)capacity;
    float *kc =
        (float *)(void *)k_cache + (size_t)(position / 16) * 16 * (size_t)head_dim + position % 16;
    for (int32_t e = 0; e < head_dim; e++) kc[16 * (size_t)e] = k[e];
    memcpy(v_cache + (size_t)position * (size_t)value_dim * 4, v, (size_t)value_dim * 4);
}

CH_FN void ch_kv_store_f16__c(const float *k, const float *v, int32_t head_dim, int32_t value_dim,
                              int32_t capacity, int32_t position, uint8_t *k_cache,
                              uint8_t *v_cache) {
    (void)capacity;
    uint16_t *kc = (uint16_t *)(void *)k_cache + (size_t)(position / 16) * 16 * (size_t)head_dim +
                   position % 16;
    uint16_t *vc = (uint16_t *)(void *)v_cache + (size_t)position * (size_t)value_dim;
    for (int32_t e = 0; e < head_dim; e++) kc[16 * (size_t)e] = ch_f16_from_f32(k[e]);
    for (int32_t e = 0; e < value_dim; e++) vc[e] = ch_f16_from_f32(v[e]);
}

// The integers of n floats; returns their scale.
static float ref_integers(const float *x, int32_t n, float most, int16_t *q) {
    float top = ref_max_abs(x, n);
    if (top > 3.402823466e38f) top = 3.402823466e38f;
    float d = top / most, inverse = 1.0f / d;
    if (!(inverse <= 3.402823466e38f)) inverse = d = 0.0f;
    for (int32_t i = 0; i < n; i++) q[i] = (int16_t)ref_round(x[i] * inverse, most);
    return d;
}

static void ref_kv_store(ch_kv_type type, const float *k, const float *v, int32_t head_dim,
                         int32_t value_dim, int32_t capacity, int32_t position, uint8_t *k_cache,
                         uint8_t *v_cache) {
    ch_kv_place at =
        ch_kv_place_at(type, k_cache, v_cache, head_dim, value_dim, capacity, position);
    int16_t q[CH_KV_GROUP + 1];
    size_t size = ch_kv_size(type);
    for (int32_t g = 0, n = 0; g * CH_KV_GROUP < head_dim; g++) {
        n = CH_MIN(head_dim - g * CH_KV_GROUP, CH_KV_GROUP);
        q[n] = 0; // the pair of an odd last one
        at.k_scale[16 * g] = ref_integers(k + g * CH_KV_GROUP, n, ch_kv_most(type), q);
        for (int32_t i = 0; i < n; i += 2, at.k += 32 * size) {
            ch_kv_put(type, at.k, q[i]);
            ch_kv_put(type, at.k + size, q[i + 1]);
        }
    }
    for (int32_t g = 0, n = 0; g * CH_KV_GROUP < value_dim; g++) {
        n = CH_MIN(value_dim - g * CH_KV_GROUP, CH_KV_GROUP);
        at.v_scale[64 * g] = ref_integers(v + g * CH_KV_GROUP, n, ch_kv_most(type), q);
        for (int32_t i = 0; i < n; i++, at.v += 2 * size) ch_kv_put(type, at.v, q[i]);
    }
}

CH_FN void ch_kv_store_q16__c(const float *k, const float *v, int32_t head_dim, int32_t value_dim,
                              int32_t capacity, int32_t position, uint8_t *k_cache,
                              uint8_t *v_cache) {
    ref_kv_store(CH_KV_Q16, k, v, head_dim, value_dim, capacity, position, k_cache, v_cache);
}

CH_FN void ch_kv_store_q8_0__c(const float *k, const float *v, int32_t head_dim, int32_t value_dim,
                               int32_t capacity, int32_t position, uint8_t *k_cache,
                               uint8_t *v_cache) {
    ref_kv_store(CH_KV_Q8_0, k, v, head_dim, value_dim, capacity, position, k_cache, v_cache);
}

// ---- attention

// A position of a cache of integers. Const in all but name: the view serves writers too.
static ch_kv_place ref_place(const ch_attn_args *a, ch_kv_type type, int32_t position) {
    return ch_kv_place_at(type, (uint8_t *)(uintptr_t)a->k_cache, (uint8_t *)(uintptr_t)a->v_cache,
                          a->head_dim, a->value_dim, a->capacity, position);
}

// The score of a query against the key at a position of a cache of integers.
static float ref_score_integers(const ch_attn_args *a, ch_kv_type type, const float *q,
                                int32_t position) {
    ch_kv_place at = ref_place(a, type, position);
    size_t size = ch_kv_size(type);
    float s = 0;
    for (int32_t g = 0; g * CH_KV_GROUP < a->head_dim; g++) {
        int16_t integers[CH_KV_GROUP];
        int32_t n = CH_MIN(a->head_dim - g * CH_KV_GROUP, CH_KV_GROUP), t = 0;
        float qd = ref_integers(q + g * CH_KV_GROUP, n, CH_ATTN_MOST, integers);
        for (int32_t i = 0; i < n; i++) {
            size_t e = (size_t)(g * CH_KV_GROUP + i);
            t += integers[i] * ch_kv_get(type, at.k + (e / 2 * 32 + e % 2) * size);
        }
        s = fmaf((float)t * at.k_scale[16 * g], qd * CH_LOG2E, s);
    }
    return s;
}

// The score of one query against the key at a position.
static float ref_score(const ch_attn_args *a, ch_kv_type type, const float *q, int32_t position) {
    if (ch_kv_integers(type)) return ref_score_integers(a, type, q, position);
    size_t hd = (size_t)a->head_dim, tile = (size_t)(position / 16), lane = (size_t)(position % 16);
    float s = 0;
    for (size_t e = 0; e < hd; e++) {
        size_t at = (tile * hd + e) * 16 + lane;
        float k = type == CH_KV_F16 ? ch_f32_from_f16(ch_load_u16(a->k_cache + 2 * at))
                                    : ref_load_f32(a->k_cache, at);
        s = fmaf(q[e], k, s);
    }
    return s;
}

static float ref_value(const ch_attn_args *a, ch_kv_type type, int32_t position, size_t e) {
    size_t vd = (size_t)a->value_dim, at = (size_t)position * vd + e;
    return type == CH_KV_F16 ? ch_f32_from_f16(ch_load_u16(a->v_cache + 2 * at))
                             : ref_load_f32(a->v_cache, at);
}

// o = o * f + the weighted values of a chunk of integers, of which positions lo..hi are seen.
static void ref_outputs_integers(const ch_attn_args *a, ch_kv_type type, int32_t chunk, int32_t lo,
                                 int32_t hi, const float *p, float f, float *o) {
    ch_kv_place at = ref_place(a, type, chunk);
    int32_t row = (a->value_dim + 1) / 2 * 4; // integers from one pair of positions to the next
    for (int32_t g = 0; g * CH_KV_GROUP < a->value_dim; g++) {
        float weights[CH_KV_CHUNK];
        int16_t integers[CH_KV_CHUNK];
        for (int32_t j = 0; j < CH_KV_CHUNK; j++)
            weights[j] = j >= lo && j < hi ? p[j] * at.v_scale[64 * g + j] : 0;
        float pd = ref_integers(weights, CH_KV_CHUNK, CH_ATTN_MOST, integers);
        for (int32_t e = g * CH_KV_GROUP; e < CH_MIN(a->value_dim, (g + 1) * CH_KV_GROUP); e++) {
            int32_t t = 0;
            for (int32_t j = lo; j < hi; j++) {
                size_t i = (size_t)(j / 2 * row + 2 * e + j % 2);
                t += integers[j] * ch_kv_get(type, at.v + i * ch_kv_size(type));
            }
            o[e] = fmaf((float)t, pd, o[e] * f);
        }
    }
}

// One query, one output row: a direct reading of the canon in kernels.h. y serves as o.
static void ref_attend(const ch_attn_args *a, ch_kv_type type, const float *q, int32_t at,
                       float *y) {
    int32_t first = a->window > 0 && at + 1 > a->window ? at + 1 - a->window : 0;
    bool integers = ch_kv_integers(type);
    float (*power)(float) = integers ? ch_exp2 : ch_exp;
    float m = -INFINITY, l[16] = {0};
    for (int32_t e = 0; e < a->value_dim; e++) y[e] = 0;
    for (int32_t chunk = first / CH_KV_CHUNK * CH_KV_CHUNK; chunk <= at; chunk += CH_KV_CHUNK) {
        int32_t lo = CH_MAX(first - chunk, 0), hi = CH_MIN(at + 1 - chunk, CH_KV_CHUNK);
        float s[CH_KV_CHUNK] = {0}, most = m;
        for (int32_t j = lo; j < hi; j++) {
            s[j] = ref_score(a, type, q, chunk + j);
            most = s[j] > most ? s[j] : most;
        }
        float f = power(m - most);
        for (int32_t j = lo; j < hi; j++) s[j] = power(s[j] - most);
        for (int i = 0; i < 16; i++)
            l[i] = fmaf(l[i], f, (s[i] + s[i + 16]) + (s[i + 32] + s[i + 48]));
        if (integers) ref_outputs_integers(a, type, chunk, lo, hi, s, f, y);
        for (int32_t e = 0; e < a->value_dim && !integers; e++) {
            float o = y[e] * f;
            for (int32_t j = lo; j < hi; j++)
                o = fmaf(s[j], ref_value(a, type, chunk + j, (size_t)e), o);
            y[e] = o;
        }
        m = most;
    }
    float inverse = 1.0f / ch_sum16(l);
    for (int32_t e = 0; e < a->value_dim; e++) y[e] = y[e] * inverse;
}

static void ref_attention(const ch_attn_args *a, ch_kv_type type, int32_t head0, int32_t head1,
                          int32_t t0, int32_t t1) {
    for (int32_t t = t0; t < t1; t++)
        for (int32_t h = head0; h < head1; h++)
            ref_attend(a, type, a->q + (size_t)t * a->q_stride + (size_t)h * (size_t)a->head_dim,
                       a->pos0 + t,
                       a->y + (size_t)t * a->y_stride + (size_t)h * (size_t)a->value_dim);
}

CH_FN void ch_attention_f16__c(const ch_attn_args *a, int32_t head0, int32_t head1, int32_t t0,
                               int32_t t1) {
    ref_attention(a, CH_KV_F16, head0, head1, t0, t1);
}

CH_FN void ch_attention_f32__c(const ch_attn_args *a, int32_t head0, int32_t head1, int32_t t0,
                               int32_t t1) {
    ref_attention(a, CH_KV_F32, head0, head1, t0, t1);
}

CH_FN void ch_attention_q8_0__c(const ch_attn_args *a, int32_t head0, int32_t head1, int32_t t0,
                                int32_t t1) {
    ref_attention(a, CH_KV_Q8_0, head0, head1, t0, t1);
}

CH_FN void ch_attention_q16__c(const ch_attn_args *a, int32_t head0, int32_t head1, int32_t t0,
                               int32_t t1) {
    ref_attention(a, CH_KV_Q16, head0, head1, t0, t1);
}
