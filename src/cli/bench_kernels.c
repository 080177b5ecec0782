// bench, kernels: every kernel that this machine can run, from the cache and from memory.
#include "bench.h"

int bench_measure_kernels(const bench_options *options, bench_report *report) {
    (void)options;
    (void)report;
    return CLI_OK;
}
