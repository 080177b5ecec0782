// test_openblas: the float products of an OpenBLAS build agree with the C reference, within
// rounding.
#include "../src/kernels/kernels.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static float random_value(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

// Errors of a sum of k products are bounded by k roundings of the sum of their sizes; a tenth of
// that is generous here.
static void compare(ch_type type, int32_t rows, int32_t k, int32_t n, bool bias, bool add) {
    ch_mm_fn *blas =
        (ch_mm_fn *)ch_kernel_at(ch_kernel_find(CH_FAMILY_GEMM, (int32_t)type, CH_CPU_OPENBLAS))
            ->fn;
    ch_mm_fn *reference =
        (ch_mm_fn *)ch_kernel_at(ch_kernel_find(CH_FAMILY_GEMM, (int32_t)type, 0))->fn;
    uint32_t state = (uint32_t)(rows * 31 + k * 7 + n);
    size_t stride = ch_row_bytes(type, k), count = (size_t)rows * (size_t)n;
    uint8_t *w = malloc(stride * (size_t)rows),
            *scratch = aligned_alloc(64, ch_round_up(ch_gemm_scratch_bytes(k), 64));
    float *x = malloc((size_t)k * (size_t)n * 4), *b = malloc((size_t)rows * 4),
          *got = malloc(count * 4), *want = malloc(count * 4);
    for (int64_t i = 0; i < (int64_t)rows * k; i++) {
        float v = random_value(&state);
        uint32_t bits = ch_bits_from_f32(v);
        uint16_t half = type == CH_TYPE_F16 ? ch_f16_from_f32(v) : (uint16_t)(bits >> 16);
        if (type == CH_TYPE_F32)
            memcpy(w + 4 * i, &v, 4);
        else
            memcpy(w + 2 * i, &half, 2);
    }
    for (int64_t i = 0; i < (int64_t)k * n; i++) x[i] = random_value(&state);
    for (int32_t i = 0; i < rows; i++) b[i] = random_value(&state);
    for (size_t i = 0; i < count; i++) got[i] = want[i] = random_value(&state);
    ch_mm_args a = {.w = w,
                    .w_stride = stride,
                    .rows = rows,
                    .k = k,
                    .n = n,
                    .x = (const uint8_t *)x,
                    .x_stride = (size_t)k * 4,
                    .y_stride = (size_t)rows,
                    .bias = bias ? b : NULL,
                    .scratch = scratch};
    a.y = got;
    a.add = add ? got : NULL;
    blas(&a, 0, rows);
    a.y = want;
    a.add = add ? want : NULL;
    reference(&a, 0, rows);
    float limit = 0.1f * (float)k * 1.2e-7f * (float)k / 4 + 1e-6f;
    for (size_t i = 0; i < count; i++)
        cr_assert(fabsf(got[i] - want[i]) <= limit, "%s %d x %d, %d columns: %g, wanted %g",
                  ch_type_get(type)->name, (int)rows, (int)k, (int)n, (double)got[i],
                  (double)want[i]);
    free(w), free(scratch), free(x), free(b), free(got), free(want);
}

Test(openblas, agrees_with_the_reference_within_rounding) {
    if (!(ch_cpu_detect() & CH_CPU_OPENBLAS)) cr_skip_test("built without CHORD_OPENBLAS");
    const ch_type types[] = {CH_TYPE_F32, CH_TYPE_F16, CH_TYPE_BF16};
    for (size_t t = 0; t < CH_COUNT(types); t++) {
        compare(types[t], 1, 64, 9, false, false);
        compare(types[t], 50, 172, 23, true, false);
        compare(types[t], 33, 300, 300, false, true);
        compare(types[t], 48, 64, 512, true, true);
    }
}
