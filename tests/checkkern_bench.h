// checkkern, bench part: times the kernels, in cache and from memory.
//
// Owns: nothing that a test needs. The work is that of `chord bench --kernels`. The best of several
// repetitions counts, on one core. `cyc/64w` are ticks of the time stamp counter (a fixed
// frequency, near the nominal one) per 64 weights and column.
#ifndef CHECKKERN_BENCH_H
#define CHECKKERN_BENCH_H

#include "../src/cli/bench_cases.h"
#include "checkkern.h"

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
static ck_time ck_measure(const bench_case *c, ch_any_fn *fn) {
    ck_time best = {1e30, 0};
    int64_t batch = 1;
    c->call(c, fn);
    double begin = ck_now_ns(), limit = (double)ck_opt.ms * 1e6;
    for (int32_t rep = 0; rep < 3 || ck_now_ns() - begin < limit; rep++) {
        double t0 = ck_now_ns();
        uint64_t c0 = ck_ticks();
        for (int64_t i = 0; i < batch; i++) c->call(c, fn);
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

static void ck_bench_line(const ch_kernel *k, const bench_case *c, ck_time t) {
    printf("%-30s %-24s %12.0f ns %8.2f GB/s", k->name, c->what, t.ns, c->bytes / t.ns);
    if (c->macs > 0) printf(" %8.2f GMAC/s", c->macs / t.ns);
    if (c->weights > 0 && t.ticks > 0) printf(" %8.3f cyc/64w", t.ticks * 64 / c->weights);
    printf("\n");
    fflush(stdout);
}

static int ck_bench_all(void) {
    bench_case_memory memory;
    bench_case c;
    memset(&memory, 0, sizeof memory);
    for (int32_t i = 0; i < ch_kernel_count(); i++) {
        const ch_kernel *k = ck_results[i].kernel;
        if (!ck_results[i].selected || ck_results[i].skipped) continue;
        for (int32_t j = 0;
             bench_case_make(k, j, ck_opt.n, (size_t)ck_opt.dram_mb << 20, &memory, &c); j++)
            ck_bench_line(k, &c, ck_measure(&c, k->fn));
    }
    bench_case_release(&memory);
    return 0;
}

#endif
