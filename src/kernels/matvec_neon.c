// matvec_neon: quantized matrix times 1..8 columns on aarch64, with sdot and without; and the gemm
// of CPUs without sdot, which is this product on eight columns at a time.
//
// Owns: matvec of all quantized types for neon and dotprod, gemm of them for neon.
//
// Idea: four blocks of 32 of one row at a time. Each block's products are summed to four partial
// sums (two sdot); three pairwise additions turn four blocks' partial sums into one vector whose
// lane i is block i's integer sum, which is also the canon's accumulator acc[i]. Scales, d and sx
// of four blocks are vectors too, so that there is no work in single lanes, and k-quants unpack the
// scales of four blocks at once. Weights are unpacked once for all columns, to eight registers.
//
// Invariants: a row's last bytes are read from a copy where a group of four blocks is not complete.
#include "neon.h"

#if CH_ARM64

#define MVN_NAME(name) name##_neon
#define MVN_TARGET
#define MVN_DOTPROD 0
#include "matvec_neon_template.h"

#define MVN_NAME(name) name##_dotprod
#define MVN_TARGET     CH_NEON_DOTPROD
#define MVN_DOTPROD    1
#include "matvec_neon_template.h"

typedef void mvn_rows_fn(const ch_mm_args *a, int32_t row0, int32_t row1, const ch_q8 *x,
                         int32_t c0, int32_t n);

static void mvn_matvec(mvn_rows_fn *rows, const ch_mm_args *a, int32_t row0, int32_t row1) {
    ch_q8 x[CH_MATVEC_COLUMNS];
    for (int32_t c = 0; c < a->n; c++) x[c] = ch_q8_view(a->x + (size_t)c * a->x_stride, a->k, 1);
    rows(a, row0, row1, x, 0, a->n);
}

// Column `at` of `count` groups of eight 32-bit values.
static void mvn_take_column(const void *from, size_t at, size_t count, void *to) {
    const uint32_t *in = (const uint32_t *)from + at;
    uint32_t *out = (uint32_t *)to;
    for (size_t i = 0; i < count; i++) out[i] = in[CH_GROUP * i];
}

// Eight columns at a time are taken apart into records of group 1, in the scratch memory: 15 of its
// 72 bytes for each of k. s32 and s16 are not needed.
static void mvn_gemm(mvn_rows_fn *rows, const ch_mm_args *a, int32_t row0, int32_t row1) {
    size_t kp = (size_t)ch_q8_padded(a->k), bytes = ch_q8_bytes(a->k, 1);
    ch_q8 x[CH_GROUP];
    for (int32_t c0 = 0; c0 < a->n; c0 += CH_GROUP) {
        int32_t n = CH_MIN(a->n - c0, CH_GROUP);
        ch_q8 from = ch_q8_view(a->x + (size_t)(c0 / CH_GROUP) * a->x_stride, a->k, CH_GROUP);
        for (size_t c = 0; c < (size_t)n; c++) {
            uint8_t *record = a->scratch + c * bytes;
            mvn_take_column(from.q, c, kp / 4, record);
            float *d = (float *)(void *)(record + kp);
            mvn_take_column(from.d, c, kp / 32, d);
            mvn_take_column(from.sx, c, kp / 32, d + kp / 32);
            mvn_take_column(from.sx16, c, kp / 16, d + kp / 16);
            x[c] = ch_q8_view(record, a->k, 1);
        }
        rows(a, row0, row1, x, c0, n);
    }
}

#define MVN_KERNELS(name, super, halves, whole, offsets, wide, shift)                              \
    CH_FN void ch_matvec_##name##__neon(const ch_mm_args *a, int32_t row0, int32_t row1) {         \
        mvn_matvec(mvn_rows_##name##_neon, a, row0, row1);                                         \
    }                                                                                              \
    CH_FN void ch_matvec_##name##__dotprod(const ch_mm_args *a, int32_t row0, int32_t row1) {      \
        mvn_matvec(mvn_rows_##name##_dotprod, a, row0, row1);                                      \
    }                                                                                              \
    CH_FN void ch_gemm_##name##__neon(const ch_mm_args *a, int32_t row0, int32_t row1) {           \
        mvn_gemm(mvn_rows_##name##_neon, a, row0, row1);                                           \
    }
CH_NEON_QUANT_TYPES(MVN_KERNELS)
#undef MVN_KERNELS

#endif
