// checkkern, bench part: times the kernels, in cache and from memory.
//
// Owns: nothing that a test needs. The best of several repetitions counts, on one core. `cyc/64w`
// are ticks of the time stamp counter (a fixed frequency, near the nominal one) per 64 weights and
// column.
#ifndef CHECKKERN_BENCH_H
#define CHECKKERN_BENCH_H

#include "checkkern_vector.h"

static double ck_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t ck_ticks(void) {
#if CH_X86
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

typedef struct ck_time {
    double ns, ticks; // of one call
} ck_time;

// Best time of a call: batches of calls that last 50 us or more, until `ms` have gone by.
static ck_time ck_measure(const ck_case *c, ch_any_fn *fn) {
    ck_time best = {1e30, 0};
    int64_t batch = 1;
    c->call(fn, c->arg);
    double begin = ck_now_ns(), limit = (double)ck_opt.ms * 1e6;
    for (int32_t rep = 0; rep < 3 || ck_now_ns() - begin < limit; rep++) {
        double t0 = ck_now_ns();
        uint64_t c0 = ck_ticks();
        for (int64_t i = 0; i < batch; i++) c->call(fn, c->arg);
        double ticks = (double)(ck_ticks() - c0), ns = ck_now_ns() - t0;
        if (ns < 50000) {
            batch = batch * 2;
            rep = -1;
        } else if (ns / (double)batch < best.ns) {
            best.ns = ns / (double)batch;
            best.ticks = ticks / (double)batch;
        }
        if (ns > 3e8) break; // a slow kernel: one more would not say more
    }
    return best;
}

// bytes: read and written that count; macs: multiply-adds; weights: that were multiplied. 0: none.
static void ck_bench_line(const ch_kernel *k, const char *what, ck_time t, double bytes,
                          double macs) {
    printf("%-30s %-16s %12.0f ns %8.2f GB/s", k->name, what, t.ns, bytes / t.ns);
    if (macs > 0) printf(" %8.2f GMAC/s", macs / t.ns);
    if (macs > 0 && t.ticks > 0) printf(" %8.3f cyc/64w", t.ticks * 64 / macs);
    printf("\n");
    fflush(stdout);
}

// Memory that only grows, in large pages where there are any.
static uint8_t *ck_bench_memory(int slot, size_t bytes) {
    static uint8_t *memory[8];
    static size_t sizes[8];
    if (sizes[slot] < bytes) {
        if (memory[slot]) munmap(memory[slot], sizes[slot]);
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) ck_die("no memory for the bench: try a smaller --dram-mb");
#ifdef MADV_HUGEPAGE
        madvise(p, bytes, MADV_HUGEPAGE);
#endif
        memory[slot] = (uint8_t *)p;
        sizes[slot] = bytes;
    }
    return memory[slot];
}

// ---- matvec and gemm

// Builds the arguments of a rows x k matrix times n columns.
static void ck_bench_mm(ck_mm_case *c, ch_type type, int32_t rows, int32_t k, int32_t n,
                        bool gemm) {
    memset(c, 0, sizeof *c);
    size_t row_bytes = ch_row_bytes(type, k), tile = CH_MIN((size_t)rows, (size_t)64) * row_bytes;
    size_t bytes = (size_t)rows * row_bytes, group = gemm ? CH_GROUP : 1;
    bool floats = ck_is_float_type(type);
    uint8_t *w = ck_bench_memory(0, bytes);
    ck_fill_weights(w, (size_t)CH_MIN(rows, 64), k, type, CK_W_RANDOM);
    for (size_t at = tile; at < bytes; at += tile) memcpy(w + at, w, CH_MIN(tile, bytes - at));
    float *x = (float *)(void *)ck_bench_memory(1, (size_t)n * (size_t)k * 4);
    ck_fill_floats(x, (size_t)n * (size_t)k, CK_BELL);
    c->a.w = w;
    c->a.w_stride = row_bytes;
    c->a.rows = rows;
    c->a.k = k;
    c->a.n = n;
    c->a.x = (const uint8_t *)x;
    c->a.x_stride = (size_t)k * 4;
    if (!floats) {
        size_t record = ch_q8_bytes(k, (int32_t)group);
        uint8_t *q = ck_bench_memory(2, ((size_t)n + group - 1) / group * record);
        ck_quantize(x, n, k, (int32_t)group, q, record);
        c->a.x = q;
        c->a.x_stride = record;
    }
    c->a.y_stride = (size_t)rows;
    c->a.y = (float *)(void *)ck_bench_memory(3, (size_t)rows * (size_t)n * 4);
    memset(c->a.y, 0, (size_t)rows * (size_t)n * 4);
    c->a.scratch = ck_bench_memory(4, ch_gemm_scratch_bytes(k));
    c->row1 = rows;
    c->type = type;
}

static void ck_bench_matvec(const ch_kernel *kernel) {
    static const int32_t ns[] = {1, 4, 8};
    ch_type type = (ch_type)kernel->variant;
    int32_t k = 2048;
    size_t row_bytes = ch_row_bytes(type, k);
    for (int dram = 0; dram < 2; dram++) {
        size_t bytes = dram ? (size_t)ck_opt.dram_mb << 20 : (size_t)256 << 10;
        int32_t rows = (int32_t)(bytes / row_bytes / CH_ROW_UNIT * CH_ROW_UNIT);
        // The reference is too slow to say anything about memory.
        if (rows == 0 || (dram && kernel->cpu == 0)) continue;
        for (size_t i = 0; i < CH_COUNT(ns); i++) {
            ck_mm_case c;
            ck_case call;
            char what[32];
            int32_t n = ck_opt.n > 0 ? CH_MIN(ck_opt.n, CH_MATVEC_COLUMNS) : ns[i];
            if (ck_opt.n > 0 && i > 0) continue;
            ck_bench_mm(&c, type, rows, k, n, false);
            ck_init_case(&call, ck_mm_call, ck_mm_describe, &c);
            snprintf(what, sizeof what, "%s n=%d", dram ? "dram" : "cache", n);
            ck_bench_line(kernel, what, ck_measure(&call, kernel->fn),
                          (double)rows * (double)row_bytes, (double)rows * k * n);
        }
    }
}

static void ck_bench_gemm(const ch_kernel *kernel) {
    ck_mm_case c;
    ck_case call;
    char what[32];
    int32_t k = 2048, rows = 4 * CH_GEMM_ROWS, n = ck_opt.n > 0 ? ck_opt.n : 512;
    ck_bench_mm(&c, (ch_type)kernel->variant, rows, k, n, true);
    ck_init_case(&call, ck_mm_call, ck_mm_describe, &c);
    snprintf(what, sizeof what, "cache n=%d", n);
    ck_bench_line(kernel, what, ck_measure(&call, kernel->fn), (double)rows * (double)c.a.w_stride,
                  (double)rows * k * n);
}

// ---- the others

static void ck_bench_quantize(const ch_kernel *kernel) {
    for (int32_t group = 1; group <= CH_GROUP; group += CH_GROUP - 1) {
        ck_quantize_case c;
        ck_case call;
        memset(&c, 0, sizeof c);
        c.k = 2048;
        c.x_stride = 2048;
        c.group = c.cols = group;
        c.block1 = c.k / 32;
        float *x = (float *)(void *)ck_bench_memory(1, (size_t)(group * c.k) * 4);
        ck_fill_floats(x, (size_t)(group * c.k), CK_BELL);
        c.x = x;
        c.record = ck_bench_memory(2, ch_q8_bytes(c.k, group));
        ck_init_case(&call, ck_quantize_call, ck_quantize_describe, &c);
        ck_bench_line(kernel, group == 1 ? "k=2048 group=1" : "k=2048 group=8",
                      ck_measure(&call, kernel->fn), (double)group * c.k * 4, 0);
    }
}

static void ck_bench_dequantize(const ch_kernel *kernel) {
    ck_dequantize_case c;
    ck_case call;
    memset(&c, 0, sizeof c);
    c.k = 4096;
    uint8_t *row = ck_bench_memory(0, 4 * 4096);
    ck_fill_weights(row, 1, c.k, (ch_type)kernel->variant, CK_W_RANDOM);
    c.row = row;
    c.y = (float *)(void *)ck_bench_memory(3, 4 * 4096);
    ck_init_case(&call, ck_dequantize_call, ck_dequantize_describe, &c);
    ck_bench_line(kernel, "k=4096 (floats)", ck_measure(&call, kernel->fn), c.k * 4.0, 0);
}

static void ck_bench_pair(const ch_kernel *kernel, bool glu) {
    ck_pair_case c;
    ck_case call;
    memset(&c, 0, sizeof c);
    c.k = 4096;
    c.eps = 1e-5f;
    float *x = (float *)(void *)ck_bench_memory(1, 3 * 4 * 4096);
    ck_fill_floats(x, 3 * 4096, CK_BELL);
    c.a = x;
    c.b = x + 4096;
    c.y = x + 2 * 4096;
    ck_init_case(&call, glu ? ck_glu_call : ck_rmsnorm_call, ck_pair_describe, &c);
    ck_bench_line(kernel, "k=4096", ck_measure(&call, kernel->fn), c.k * 12.0, 0);
}

static void ck_bench_rope(const ch_kernel *kernel) {
    for (int neox = 0; neox < 2; neox++) {
        ck_rope_case c;
        ck_case call;
        float *x = (float *)(void *)ck_bench_memory(1, 4 * (32 * 128 + 128));
        ck_fill_floats(x, 32 * 128, CK_BELL);
        for (int32_t i = 0; i < 64; i++) {
            x[32 * 128 + i] = cosf((float)i);
            x[32 * 128 + 64 + i] = sinf((float)i);
        }
        memset(&c, 0, sizeof c);
        c.x = x;
        c.c = x + 32 * 128;
        c.s = x + 32 * 128 + 64;
        c.scale = 1.0f;
        c.heads = 32;
        c.head_dim = 128;
        c.pairs = 64;
        c.neox = neox != 0;
        ck_init_case(&call, ck_rope_call, ck_rope_describe, &c);
        ck_bench_line(kernel, neox ? "32x128 neox" : "32x128 adjacent",
                      ck_measure(&call, kernel->fn), 32 * 128 * 8.0, 0);
    }
}

static void ck_bench_cache(ck_cache *c, ch_kv_type type, int32_t dim, int32_t capacity) {
    memset(c, 0, sizeof *c);
    c->type = type;
    c->head_dim = c->value_dim = dim;
    c->capacity = capacity;
    c->k = ck_bench_memory(5, ch_kv_bytes(type, dim, capacity));
    c->v = ck_bench_memory(6, ch_kv_bytes(type, dim, capacity));
    float x[256];
    ck_fill_floats(x, 256, CK_BELL);
    for (int32_t p = 0; p < capacity; p++)
        ck_store_reference(type)(x + p % 64, x + p % 128, dim, dim, capacity, p, c->k, c->v);
}

static void ck_bench_kv_store(const ch_kernel *kernel) {
    ck_store_case c;
    ck_case call;
    float *x = (float *)(void *)ck_bench_memory(1, 256 * 4);
    ck_fill_floats(x, 256, CK_BELL);
    memset(&c, 0, sizeof c);
    ck_bench_cache(&c.cache, (ch_kv_type)kernel->variant, 128, 1024);
    c.k = x;
    c.v = x + 128;
    c.position = 517;
    ck_init_case(&call, ck_store_call, ck_store_describe, &c);
    ck_bench_line(kernel, "dims=128", ck_measure(&call, kernel->fn), 256 * 4.0, 0);
}

// Decoding: 4 heads of one token; prefill: 4 heads of 64 tokens.
static void ck_bench_attention(const ch_kernel *kernel) {
    for (int32_t tokens = 1; tokens <= 64; tokens += 63) {
        ck_attn_case c;
        ck_case call;
        char what[32];
        int32_t dim = 128, heads = 4, positions = 2048;
        memset(&c, 0, sizeof c);
        ck_bench_cache(&c.cache, (ch_kv_type)kernel->variant, dim, positions);
        size_t n = (size_t)(tokens * heads * dim);
        float *q = (float *)(void *)ck_bench_memory(1, n * 4);
        ck_fill_floats(q, n, CK_BELL);
        c.a.q = q;
        c.a.y = (float *)(void *)ck_bench_memory(3, n * 4);
        c.a.q_stride = c.a.y_stride = (size_t)(heads * dim);
        c.a.k_cache = c.cache.k;
        c.a.v_cache = c.cache.v;
        c.a.capacity = positions;
        c.a.head_dim = c.a.value_dim = dim;
        c.a.pos0 = positions - tokens;
        c.a.scratch = ck_bench_memory(4, ch_attn_scratch_bytes(dim, dim));
        c.heads = c.head1 = heads;
        c.tokens = tokens;
        ck_init_case(&call, ck_attn_call, ck_attn_describe, &c);
        snprintf(what, sizeof what, "2048x128 q=4x%d", tokens);
        ck_bench_line(kernel, what, ck_measure(&call, kernel->fn),
                      2.0 * (double)ch_kv_bytes(c.cache.type, dim, positions),
                      2.0 * tokens * heads * dim * (positions - tokens / 2));
    }
}

static int ck_bench_all(void) {
    for (int32_t i = 0; i < ch_kernel_count(); i++) {
        const ch_kernel *k = ck_results[i].kernel;
        if (!ck_results[i].selected || ck_results[i].skipped) continue;
        ck_reseed(1);
        switch (k->family) {
        case CH_FAMILY_MATVEC:
            ck_bench_matvec(k);
            break;
        case CH_FAMILY_GEMM:
            ck_bench_gemm(k);
            break;
        case CH_FAMILY_QUANTIZE:
            ck_bench_quantize(k);
            break;
        case CH_FAMILY_DEQUANTIZE:
            ck_bench_dequantize(k);
            break;
        case CH_FAMILY_RMSNORM:
            ck_bench_pair(k, false);
            break;
        case CH_FAMILY_GLU:
            ck_bench_pair(k, true);
            break;
        case CH_FAMILY_ROPE:
            ck_bench_rope(k);
            break;
        case CH_FAMILY_KV_STORE:
            ck_bench_kv_store(k);
            break;
        case CH_FAMILY_ATTENTION:
            ck_bench_attention(k);
            break;
        default:
            break;
        }
    }
    return 0;
}

#endif
