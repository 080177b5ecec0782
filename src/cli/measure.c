// measure: see measure.h.
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE // sys/resource.h in full
#include "measure.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

// ---- statistics

static int measure_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_quantile(const double *sorted, int32_t n, double q) {
    double at = q * (n - 1);
    int32_t i = (int32_t)at;
    if (i >= n - 1) return sorted[n - 1];
    return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

// The number of samples below the median is binomial with p = 1/2: sample k and sample n - 1 - k
// enclose it but for twice P(at most k of n below). W. J. Conover, Practical Nonparametric
// Statistics, 3.2.
double measure_ranks(int32_t n, double confidence, int32_t *low, int32_t *high) {
    *low = 0;
    *high = n - 1;
    if (n < 1) return 0;
    double term = pow(0.5, n), outside = 2 * term, best = 1 - outside;
    for (int32_t k = 0; k < (n - 1) / 2; k++) {
        term = term * (n - k) / (k + 1);
        outside += 2 * term;
        if (1 - outside < confidence) break;
        *low = k + 1;
        *high = n - 2 - k;
        best = 1 - outside;
    }
    return n == 1 ? 0 : best;
}

bool measure_summarize(const double *samples, int32_t n, double confidence, measure_summary *out) {
    out->n = n;
    out->median = out->p10 = out->p90 = out->least = out->most = out->low = out->high = (double)NAN;
    out->confidence = 0;
    if (n < 1) return true;
    double *sorted = malloc((size_t)n * sizeof *sorted);
    if (!sorted) return false;
    memcpy(sorted, samples, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, measure_compare);
    int32_t low = 0, high = 0;
    out->confidence = measure_ranks(n, confidence, &low, &high);
    out->low = sorted[low];
    out->high = sorted[high];
    out->median = measure_quantile(sorted, n, 0.5);
    out->p10 = measure_quantile(sorted, n, 0.1);
    out->p90 = measure_quantile(sorted, n, 0.9);
    out->least = sorted[0];
    out->most = sorted[n - 1];
    free(sorted);
    return true;
}

bool measure_ratio(const double *a, const double *b, int32_t n, double confidence,
                   measure_summary *out) {
    double *ratios = malloc((size_t)(n > 0 ? n : 1) * sizeof *ratios);
    if (!ratios) return false;
    for (int32_t i = 0; i < n; i++) ratios[i] = a[i] / b[i];
    bool good = measure_summarize(ratios, n, confidence, out);
    free(ratios);
    return good;
}

// ---- samples that grow

bool measure_add(measure_samples *samples, double value) {
    if (samples->count == samples->capacity) {
        int32_t capacity = samples->capacity ? samples->capacity * 2 : 16;
        double *items = realloc(samples->items, (size_t)capacity * sizeof *items);
        if (!items) return false;
        samples->items = items;
        samples->capacity = capacity;
    }
    samples->items[samples->count++] = value;
    return true;
}

void measure_free(measure_samples *samples) {
    free(samples->items);
    memset(samples, 0, sizeof *samples);
}

// ---- the roof

const char *const measure_limit_names[MEASURE_LIMITS] = {"read", "int8", "f32", "bf16"};

bool measure_roof_open(measure_roof *roof, int32_t lanes, uint64_t work_bytes, const char *cpu) {
    memset(roof, 0, sizeof *roof);
    uint32_t bits = 0;
    (void)ch_cpu_choose(cpu, &bits); // a level that the command line has checked
    roof->working_set = CH_ROOF_MEMORY;
    if (work_bytes > 0 && work_bytes < CH_ROOF_MEMORY) roof->working_set = (size_t)work_bytes;
    roof->open = ch_roof_open(&roof->roof, lanes, roof->working_set, bits);
    return roof->open;
}

void measure_roof_close(measure_roof *roof) {
    if (roof->open) ch_roof_close(&roof->roof);
    for (int i = 0; i < MEASURE_LIMITS; i++) measure_free(&roof->samples[i]);
    roof->open = false;
}

double measure_roof_take(measure_roof *roof, measure_limit limit, double seconds) {
    double begun = ch_os_seconds();
    double rate = 0;
    if (roof->device)
        rate = limit == MEASURE_READ ? roof->device->copy_bytes : roof->device->flops / 2;
    else
        rate = ch_roof_take(&roof->roof, limit, roof->working_set, seconds);
    roof->last[limit] = rate;
    measure_add(&roof->samples[limit], rate);
    roof->seconds += ch_os_seconds() - begun;
    return rate;
}

// ---- disturbance

// The first line of /proc/stat, in seconds: all CPUs' user, nice, system, idle, iowait, irq,
// softirq, steal (proc(5)).
static bool measure_stat(double *busy, double *steal) {
    unsigned long long t[8] = {0};
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return false;
    int n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
                   &t[4], &t[5], &t[6], &t[7]);
    fclose(file);
    double tick = (double)sysconf(_SC_CLK_TCK);
    *busy = (double)(t[0] + t[1] + t[2] + t[5] + t[6]) / tick;
    *steal = (double)t[7] / tick;
    return n == 8 && tick > 0;
}

static void measure_usage(double *own, int64_t *switches) {
    struct rusage usage;
    *own = 0;
    *switches = 0;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    *own = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    *switches = usage.ru_nivcsw;
}

void measure_watch_begin(measure_watch *watch) {
    memset(watch, 0, sizeof *watch);
    watch->cpus = (double)sysconf(_SC_NPROCESSORS_ONLN);
    if (!measure_stat(&watch->busy, &watch->steal)) watch->cpus = 0;
    measure_usage(&watch->own, &watch->switches);
    watch->begun = ch_os_seconds();
}

void measure_watch_end(measure_watch *watch) {
    double busy = 0, steal = 0, own = 0;
    int64_t switches = 0;
    bool told = measure_stat(&busy, &steal) && watch->cpus > 0;
    measure_usage(&own, &switches);
    watch->seconds = ch_os_seconds() - watch->begun;
    double had = watch->seconds * watch->cpus;
    watch->others_share = watch->steal_share = watch->switch_rate = -1;
    // The system counts in hundredths of a second: a short run says nothing.
    if (watch->seconds < 0.2) return;
    watch->switch_rate = (double)(switches - watch->switches) / watch->seconds;
    if (told) {
        double others = (busy - watch->busy) - (own - watch->own);
        watch->others_share = (others > 0 ? others : 0) / had;
        watch->steal_share = (steal - watch->steal) / had;
    }
}

// Adds "what 12 unit (limit 5 unit)" to a text.
static void measure_say(char *text, size_t capacity, const char *what, double got, double limit,
                        const char *unit) {
    size_t used = strlen(text);
    if (used < capacity)
        snprintf(text + used, capacity - used, "%s%s %.0f%s (limit %.0f%s)", used ? ", " : "", what,
                 got, unit, limit, unit);
}

bool measure_disturbed(const measure_watch *watch, const measure_roof *roof, char *text,
                       size_t capacity) {
    text[0] = 0;
    for (int i = 0; roof && i < MEASURE_LIMITS; i++) {
        measure_summary s;
        const measure_samples *samples = &roof->samples[i];
        char what[48];
        if (!measure_summarize(samples->items, samples->count, 0.95, &s) || s.n < 3) continue;
        double spread = (s.p90 - s.p10) / s.median;
        snprintf(what, sizeof what, "the %s roof's spread was", measure_limit_names[i]);
        if (spread > MEASURE_MOST_SPREAD)
            measure_say(text, capacity, what, spread * 100, MEASURE_MOST_SPREAD * 100, " %");
    }
    if (watch->others_share > MEASURE_MOST_OTHERS)
        measure_say(text, capacity, "other processes' share of the CPUs was",
                    watch->others_share * 100, MEASURE_MOST_OTHERS * 100, " %");
    if (watch->steal_share > MEASURE_MOST_STEAL)
        measure_say(text, capacity, "the hypervisor's share of the CPUs was",
                    watch->steal_share * 100, MEASURE_MOST_STEAL * 100, " %");
    if (watch->switch_rate > MEASURE_MOST_SWITCH)
        measure_say(text, capacity, "a CPU was lost", watch->switch_rate, MEASURE_MOST_SWITCH,
                    " times a second");
    return text[0] != 0;
}
