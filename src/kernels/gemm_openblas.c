// gemm_openblas: float matrix products by OpenBLAS, for CPUs that have no variant of ours.
//
// Owns: rows to floats, sixteen at a time, and one sgemm for each tile of columns. Outside of the
// canon: OpenBLAS has its own order of additions, and memory of its own. Built with the option
// CHORD_OPENBLAS only.
#include "kernels.h"

#if defined(CHORD_OPENBLAS)

#include <cblas.h>

enum { BLAS_ROWS = 16, BLAS_COLUMNS = 256 }; // a tile of results is 16 KiB of the scratch

static void blas_gemm(const ch_mm_args *a, ch_dequantize_fn *to_floats, int32_t row0,
                      int32_t row1) {
    float *tile = (float *)(void *)a->scratch, *rows = tile + BLAS_ROWS * BLAS_COLUMNS;
    for (int32_t r = row0; r < row1; r += BLAS_ROWS) {
        int32_t height = CH_MIN(BLAS_ROWS, row1 - r);
        for (int32_t i = 0; i < height; i++)
            to_floats(a->w + (size_t)(r + i) * a->w_stride, rows + (size_t)i * (size_t)a->k, a->k);
        for (int32_t c = 0; c < a->n; c += BLAS_COLUMNS) {
            int32_t width = CH_MIN(BLAS_COLUMNS, a->n - c);
            const float *x = (const float *)(const void *)(a->x + (size_t)c * a->x_stride);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, width, height, a->k, 1.0f, x,
                        (blasint)(a->x_stride / sizeof(float)), rows, a->k, 0.0f, tile, BLAS_ROWS);
            for (int32_t j = 0; j < width; j++)
                for (int32_t i = 0; i < height; i++) {
                    size_t at = (size_t)(c + j) * a->y_stride + (size_t)(r + i);
                    float y = tile[j * BLAS_ROWS + i];
                    if (a->bias) y = y + a->bias[r + i];
                    if (a->add) y = a->add[at] + y;
                    a->y[at] = y;
                }
        }
    }
}

CH_FN void ch_gemm_f32__openblas(const ch_mm_args *a, int32_t row0, int32_t row1) {
    blas_gemm(a, ch_dequantize_f32__c, row0, row1);
}

CH_FN void ch_gemm_f16__openblas(const ch_mm_args *a, int32_t row0, int32_t row1) {
    blas_gemm(a, ch_dequantize_f16__c, row0, row1);
}

CH_FN void ch_gemm_bf16__openblas(const ch_mm_args *a, int32_t row0, int32_t row1) {
    blas_gemm(a, ch_dequantize_bf16__c, row0, row1);
}

#endif
