// bench, kernels: every kernel that this machine can run, from the cache and from memory, on one
// lane, against the roof of one lane.
#include "bench.h"
#include "bench_cases.h"

#include <stdlib.h>

// Seconds for the measuring of one case, at least and at most; of the calls that one sample is made
// of; of a sample of the roof.
static const double kernels_least = 0.01, kernels_most = 0.2, kernels_sample = 50e-6,
                    kernels_roof_sample = 0.0007;

// Nanoseconds of a call: the least of samples of calls that last long enough to be timed. A kernel
// is short, and a disturbance only ever adds: what the fastest sample shows, it can do.
static double kernels_time(const bench_case *c, ch_any_fn *fn) {
    double least = 1e30, elapsed = 0;
    int64_t calls = 1;
    c->call(c, fn);
    double begun = cli_seconds();
    for (int32_t n = 0; n < 3 || elapsed < kernels_least; elapsed = cli_seconds() - begun) {
        if (n > 0 && elapsed > kernels_most) break;
        double from = cli_seconds();
        for (int64_t i = 0; i < calls; i++) c->call(c, fn);
        double seconds = cli_seconds() - from;
        if (seconds < kernels_sample) {
            calls *= 2;
            continue;
        }
        least = CH_MIN(least, seconds / (double)calls * 1e9);
        n++;
    }
    return least;
}

// The kind of numbers that a kernel multiplies.
static measure_limit kernels_kind(const ch_kernel *kernel) {
    if (kernel->family == CH_FAMILY_ROOF_PEAK)
        return kernel->variant == CH_ROOF_INT8  ? MEASURE_INT8
               : kernel->variant == CH_ROOF_F32 ? MEASURE_F32
                                                : MEASURE_BF16;
    if (kernel->family == CH_FAMILY_BGEMM) return MEASURE_BF16;
    if (kernel->family != CH_FAMILY_MATVEC && kernel->family != CH_FAMILY_GEMM) return MEASURE_F32;
    if (kernel->variant == CH_TYPE_BF16) return MEASURE_BF16;
    return ch_type_get((ch_type)kernel->variant)->activation == CH_ACTIVATION_Q8 ? MEASURE_INT8
                                                                                 : MEASURE_F32;
}

// The most that the last samples of a limit show, those before other kernels among them: the
// machine's limit drifts, but slowly.
static double kernels_limit(measure_roof *roof, measure_limit limit) {
    enum { NEW = 3, LAST = 24 };
    const measure_samples *samples = &roof->samples[limit];
    double most = 0;
    for (int i = 0; i < NEW; i++) measure_roof_take(roof, limit, kernels_roof_sample);
    for (int32_t i = CH_MAX(samples->count - LAST, 0); i < samples->count; i++)
        most = CH_MAX(most, samples->items[i]);
    return most;
}

static bool kernels_add(bench_report *report, const ch_kernel *kernel, const bench_case *c,
                        measure_roof *roof) {
    int32_t n = report->kernel_count;
    if ((n & (n - 1)) == 0) { // full: the room is the next power of two
        size_t room = n ? (size_t)n * 2 : 1;
        bench_kernel *more = realloc(report->kernels, room * sizeof *more);
        if (!more) return false;
        report->kernels = more;
    }
    bench_kernel *line = &report->kernels[report->kernel_count++];
    ch_need need;
    memset(line, 0, sizeof *line);
    memset(&need, 0, sizeof need);
    line->name = kernel->name;
    snprintf(line->what, sizeof line->what, "%s", c->what);
    line->ns = kernels_time(c, kernel->fn);
    line->bytes = need.bytes = c->bytes;
    measure_limit kind = kernels_kind(kernel);
    line->macs = need.macs[kind] = c->macs;
    double limits[MEASURE_LIMITS] = {0};
    if (c->bytes > 0) limits[MEASURE_READ] = kernels_limit(&roof[c->memory], MEASURE_READ);
    if (c->macs > 0) limits[kind] = kernels_limit(roof, kind);
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        double *most = &report->kernel_roof[c->memory && i == MEASURE_READ][i];
        *most = CH_MAX(*most, limits[i]);
    }
    double least = ch_need_seconds(&need, limits, &line->limit);
    line->share = least * 1e9 / line->ns;
    return true;
}

int bench_measure_kernels(const bench_options *options, bench_report *report) {
    const char *cpu = cli_cpu_name(options->settings.cpu);
    bench_case_memory memory;
    bench_case c;
    chord_kernel_info info;
    int code = CLI_OK;
    measure_roof roof[2]; // out of the cache, out of memory
    memset(&memory, 0, sizeof memory);
    memset(roof, 0, sizeof roof);
    if (!measure_roof_open(&roof[0], 1, (uint64_t)256 << 10, cpu) ||
        !measure_roof_open(&roof[1], 1, CH_ROOF_MEMORY, cpu))
        code = cli_no_memory();
    cli_progress_begin("kernels");
    for (int32_t i = 0; i < ch_kernel_count() && code == CLI_OK; i++) {
        const ch_kernel *kernel = ch_kernel_at(i);
        cli_progress_show(i, ch_kernel_count());
        if (!chord_get_kernel(i, cpu, &info) || !info.usable) continue;
        for (int32_t j = 0; code == CLI_OK; j++) {
            if (!bench_case_make(kernel, j, 0, CH_ROOF_MEMORY, &memory, &c)) break;
            if (!kernels_add(report, kernel, &c, roof)) code = cli_no_memory();
            if (cli_interrupted()) code = CLI_INTERRUPTED;
        }
    }
    cli_progress_end();
    for (int i = 0; i < 2; i++) measure_roof_close(&roof[i]);
    bench_case_release(&memory);
    return code;
}
