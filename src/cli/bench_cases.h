// bench, cases: work for single kernels, made up, so that they can be timed.
//
// Owns: shapes and contents of the arguments: those of a step of a model of two thousand wide.
// Refuses: timing; the program and the tests' checkkern do that, each in its own way. Invariants:
// all numbers are ordinary ones (no NaN, no denormals); the same memory serves case after case.
#ifndef CLI_BENCH_CASES_H
#define CLI_BENCH_CASES_H

#include "../kernels/kernels.h"

enum { BENCH_CASE_SLOTS = 6 };

typedef struct bench_case_memory {
    uint8_t *slot[BENCH_CASE_SLOTS]; // NULL: none yet
    size_t bytes[BENCH_CASE_SLOTS];
    size_t filled; // bytes of slot 0 that hold what they should
} bench_case_memory;

void bench_case_release(bench_case_memory *memory);

// One call of a kernel, or several over rows that stand one after the other in memory.
typedef struct bench_case {
    char what[32];      // "cache n=1"
    bool memory;        // weights, or rows, come from memory: more of them than caches hold
    double bytes, macs; // of a call: read and written; multiply-adds (0: not what it is for)
    double weights;     // that were multiplied, 0: none
    // The arguments.
    void (*call)(const struct bench_case *c, ch_any_fn *fn);
    ch_mm_args mm;
    ch_attn_args attn;
    int32_t rows; // calls, `stride` floats (attention: bytes of cache) apart
    size_t stride;
    const float *x, *x2, *cosines, *sines;
    const uint8_t *from;
    float *y;
    uint8_t *to, *to2;
    int32_t k, group, tokens, positions;
    size_t row_bytes;
    bool neox;
} bench_case;

// Case number i of a kernel (from 0); false past the last one, and if there is no memory.
// `columns`: of matvec and gemm, 0: the usual ones. `memory_bytes`: what is read from memory, 0: no
// such case. The C reference has none from memory: it is too slow to say anything about it.
bool bench_case_make(const ch_kernel *kernel, int32_t i, int32_t columns, size_t memory_bytes,
                     bench_case_memory *memory, bench_case *out);

#endif
