// float_neon: matrices of floats (F32, F16, BF16) times columns of floats on aarch64.
//
// Owns: matvec and gemm of the float types for neon.
//
// Idea: the canon's 16 sums are four vectors. A tile is R rows times C columns, hence 4 R C vectors
// of sums: 4 x 1 where there is one column, so that 16 chains hide the latency of fma and four rows
// share the loads of x; 2 x 2 otherwise: 16 fma for 16 loads. gemm converts 16 rows to floats in
// the scratch memory (F32 is taken as it is), and keeps the sums of 16 rows and 8 columns in memory
// while it walks over k in steps that fit in the first-level cache.
//
// Invariants: the last k % 16 elements go one by one; nothing past k is read.
#include "neon.h"

#if CH_ARM64

typedef enum fln_kind { FLN_F32, FLN_F16, FLN_BF16 } fln_kind;

#define FLN_STEP 512 // floats of k that gemm takes at a time

// Four weights from p as floats.
CH_FORCE_INLINE float32x4_t fln_load(fln_kind kind, const uint8_t *p) {
    if (kind == FLN_F32) return vreinterpretq_f32_u8(vld1q_u8(p));
    uint16x4_t h = vreinterpret_u16_u8(vld1_u8(p));
    if (kind == FLN_F16) return vcvt_f32_f16(vreinterpret_f16_u16(h));
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

CH_FORCE_INLINE float fln_load1(fln_kind kind, const uint8_t *p) {
    if (kind == FLN_F32) {
        float f;
        memcpy(&f, p, sizeof f);
        return f;
    }
    return kind == FLN_F16 ? ch_f32_from_f16(ch_load_u16(p)) : ch_f32_from_bf16(ch_load_u16(p));
}

// Rows and columns of a tile, and its sums: [row][column][4 vectors].
typedef struct fln_tile {
    const uint8_t *w[4];
    const float *x[2];
    float32x4_t acc[16];
} fln_tile;

// Adds the products of k0..k1 (a multiple of 16 elements) to a tile of R x C.
CH_FORCE_INLINE void fln_multiply(fln_kind kind, int R, int C, fln_tile *t, int32_t k0,
                                  int32_t k1) {
    size_t size = kind == FLN_F32 ? 4 : 2;
    for (size_t k = (size_t)k0; k < (size_t)k1; k += 16) {
        CH_UNROLL
        for (int i = 0; i < 4; i++) {
            float32x4_t x[2];
            CH_UNROLL
            for (int c = 0; c < C; c++) x[c] = vld1q_f32(t->x[c] + k + 4 * i);
            CH_UNROLL
            for (int r = 0; r < R; r++) {
                float32x4_t w = fln_load(kind, t->w[r] + (k + 4 * (size_t)i) * size);
                CH_UNROLL
                for (int c = 0; c < C; c++) {
                    float32x4_t *acc = &t->acc[(r * C + c) * 4 + i];
                    *acc = vfmaq_f32(*acc, w, x[c]);
                }
            }
        }
    }
}

// Adds the last k % 16 products of one row and column, and sums up.
CH_FORCE_INLINE float fln_sum(fln_kind kind, const float32x4_t *acc, const uint8_t *w,
                              const float *x, int32_t k) {
    int32_t rest = k % 16;
    if (rest == 0) return nn_sum16(acc);
    size_t size = kind == FLN_F32 ? 4 : 2, at = (size_t)(k - rest);
    float a[16];
    for (int i = 0; i < 4; i++) vst1q_f32(a + 4 * i, acc[i]);
    for (size_t i = 0; i < (size_t)rest; i++)
        a[i] = fmaf(fln_load1(kind, w + (at + i) * size), x[at + i], a[i]);
    return ch_sum16(a);
}

CH_FORCE_INLINE void fln_finish(const ch_mm_args *a, int32_t r, int32_t c, float y) {
    size_t at = (size_t)c * a->y_stride + (size_t)r;
    if (a->bias) y = y + a->bias[r];
    if (a->add) y = a->add[at] + y;
    a->y[at] = y;
}

CH_FORCE_INLINE const float *fln_column(const ch_mm_args *a, int32_t c) {
    return (const float *)(const void *)(a->x + (size_t)c * a->x_stride);
}

// Rows r..r + R times columns c..c + C, over all of k, from the weights as they are.
CH_FORCE_INLINE void fln_dots(fln_kind kind, int R, int C, const ch_mm_args *a, int32_t r,
                              int32_t c) {
    fln_tile t;
    CH_UNROLL
    for (int i = 0; i < R; i++) t.w[i] = a->w + (size_t)(r + i) * a->w_stride;
    CH_UNROLL
    for (int i = 0; i < C; i++) t.x[i] = fln_column(a, c + i);
    CH_UNROLL
    for (int i = 0; i < 4 * R * C; i++) t.acc[i] = vdupq_n_f32(0);
    fln_multiply(kind, R, C, &t, 0, a->k / 16 * 16);
    CH_UNROLL
    for (int i = 0; i < R * C; i++) {
        float y = fln_sum(kind, t.acc + 4 * i, t.w[i / C], t.x[i % C], a->k);
        fln_finish(a, r + i / C, c + i % C, y);
    }
}

CH_FORCE_INLINE void fln_matvec(fln_kind kind, const ch_mm_args *a, int32_t row0, int32_t row1) {
    int32_t r = row0;
    if (a->n == 1) {
        for (; r + 4 <= row1; r += 4) fln_dots(kind, 4, 1, a, r, 0);
        for (; r < row1; r++) fln_dots(kind, 1, 1, a, r, 0);
        return;
    }
    for (; r < row1; r += 2) {
        int32_t c = 0;
        if (r + 1 < row1)
            for (; c + 2 <= a->n; c += 2) fln_dots(kind, 2, 2, a, r, c);
        for (int32_t i = r; i < CH_MIN(r + 2, row1); i++)
            for (int32_t j = c; j < a->n; j++) fln_dots(kind, 1, 1, a, i, j);
    }
}

// ---- gemm

// 16 rows, as floats, and the sums of these rows and eight columns.
typedef struct fln_panel {
    const uint8_t *w[CH_ROW_UNIT];
    float32x4_t *acc; // [8 row pairs][4 column pairs][16]
} fln_panel;

// All of a panel's rows times the columns c0..c0 + 8, for k0..k1. Rows and columns that are not
// there repeat the last one.
static void fln_panel_multiply(const fln_panel *p, const float *const *x, int32_t pairs, int32_t k0,
                               int32_t k1) {
    for (int r = 0; r < CH_ROW_UNIT / 2; r++)
        for (int c = 0; c < pairs; c++) {
            fln_tile t;
            float32x4_t *acc = p->acc + (size_t)(r * 4 + c) * 16;
            CH_UNROLL
            for (int i = 0; i < 2; i++) t.w[i] = p->w[2 * r + i];
            CH_UNROLL
            for (int i = 0; i < 2; i++) t.x[i] = x[2 * c + i];
            CH_UNROLL
            for (int i = 0; i < 16; i++) t.acc[i] = k0 == 0 ? vdupq_n_f32(0) : acc[i];
            fln_multiply(FLN_F32, 2, 2, &t, k0, k1);
            CH_UNROLL
            for (int i = 0; i < 16; i++) acc[i] = t.acc[i];
        }
}

// The rows r..r + 16, or those below row1, of a matrix as a panel in the scratch memory.
CH_FORCE_INLINE void fln_panel_make(fln_kind kind, const ch_mm_args *a, int32_t r, int32_t row1,
                                    fln_panel *p) {
    size_t kp = (size_t)ch_q8_padded(a->k), k = (size_t)a->k, j = 0;
    float *panel = (float *)(void *)a->scratch;
    p->acc = (float32x4_t *)(void *)(panel + kp * CH_ROW_UNIT);
    for (int32_t i = 0; i < CH_ROW_UNIT; i++) {
        const uint8_t *w = a->w + (size_t)CH_MIN(r + i, row1 - 1) * a->w_stride;
        p->w[i] = w;
        if (kind == FLN_F32) continue;
        float *to = panel + kp * (size_t)i;
        p->w[i] = (const uint8_t *)to;
        for (j = 0; j + 4 <= k; j += 4) vst1q_f32(to + j, fln_load(kind, w + 2 * j));
        for (; j < k; j++) to[j] = fln_load1(kind, w + 2 * j);
    }
}

CH_FORCE_INLINE void fln_gemm(fln_kind kind, const ch_mm_args *a, int32_t row0, int32_t row1) {
    int32_t whole = a->k / 16 * 16;
    for (int32_t r = row0; r < row1; r += CH_ROW_UNIT) {
        fln_panel p;
        fln_panel_make(kind, a, r, row1, &p);
        for (int32_t c0 = 0; c0 < a->n; c0 += 8) {
            const float *x[8];
            int32_t n = CH_MIN(a->n - c0, 8);
            for (int32_t i = 0; i < 8; i++) x[i] = fln_column(a, c0 + CH_MIN(i, n - 1));
            int32_t k0 = 0;
            do { // once at least, so that the sums start as zero where k < 16
                int32_t k1 = CH_MIN(k0 + FLN_STEP, whole);
                fln_panel_multiply(&p, x, (n + 1) / 2, k0, k1);
                k0 = k1;
            } while (k0 < whole);
            for (int32_t i = 0; i < CH_MIN(row1 - r, CH_ROW_UNIT); i++)
                for (int32_t c = 0; c < n; c++) {
                    const float32x4_t *acc =
                        p.acc + (i / 2 * 4 + c / 2) * 16 + (i % 2 * 2 + c % 2) * 4;
                    fln_finish(a, r + i, c0 + c, fln_sum(FLN_F32, acc, p.w[i], x[c], a->k));
                }
        }
    }
}

#define FLN_KERNELS(name, kind)                                                                    \
    CH_FN void ch_matvec_##name##__neon(const ch_mm_args *a, int32_t row0, int32_t row1) {         \
        fln_matvec(kind, a, row0, row1);                                                           \
    }                                                                                              \
    CH_FN void ch_gemm_##name##__neon(const ch_mm_args *a, int32_t row0, int32_t row1) {           \
        fln_gemm(kind, a, row0, row1);                                                             \
    }
FLN_KERNELS(f32, FLN_F32)
FLN_KERNELS(f16, FLN_F16)
FLN_KERNELS(bf16, FLN_BF16)
#undef FLN_KERNELS
#undef FLN_STEP

#endif
