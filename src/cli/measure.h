// measure: how bench and gate measure: statistics of samples, the machine's limits taken in turn
// with the work, and whether anything disturbed them.
//
// Owns: medians and their intervals, pairs of work and roof, the watch over a run. Refuses: what is
// measured, and what is printed. Invariant: nothing here assumes a distribution: all intervals come
// from the order of the samples.
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "../../include/chord.h"
#include "../engine/roof.h"

#include <stdio.h>

// ---- statistics

// The median, the tenth and ninetieth percentile (between two samples: linear between them), the
// ends, and an interval low..high of two samples that holds the median of what was sampled with at
// least the confidence asked for; with too few samples for that it is least..most, and `confidence`
// tells what that is worth: 1 - 2^(1 - n). All NaN if n is 0.
typedef struct measure_summary {
    int32_t n;
    double median, p10, p90, least, most;
    double low, high, confidence;
} measure_summary;

// Does not change the samples. False: no memory.
bool measure_summarize(const double *samples, int32_t n, double confidence, measure_summary *out);

// Ranks (from 0) of the two of n sorted samples between which the median lies with at least the
// confidence asked for; returns the confidence that they have.
double measure_ranks(int32_t n, double confidence, int32_t *low, int32_t *high);

// The quantile q (0..1) of n >= 1 sorted samples.
double measure_quantile(const double *sorted, int32_t n, double q);

// The summary of a[i] / b[i]: pair by pair, so that what changes both falls out.
bool measure_ratio(const double *a, const double *b, int32_t n, double confidence,
                   measure_summary *out);

// ---- samples that grow

typedef struct measure_samples {
    double *items; // from malloc
    int32_t count, capacity;
} measure_samples;

bool measure_add(measure_samples *samples, double value); // false: no memory
void measure_free(measure_samples *samples);

// ---- the roof

typedef ch_limit measure_limit;
#define MEASURE_READ   CH_LIMIT_READ // bytes per second
#define MEASURE_INT8   CH_LIMIT_INT8 // multiply-adds per second
#define MEASURE_F32    CH_LIMIT_F32
#define MEASURE_BF16   CH_LIMIT_BF16
#define MEASURE_LIMITS CH_LIMIT_COUNT

extern const char *const measure_limit_names[MEASURE_LIMITS]; // "read", "int8", "f32", "bf16"

// The limits of the machine at a number of lanes, with every sample that was taken.
typedef struct measure_roof {
    ch_roof roof;
    size_t working_set; // bytes that READ goes over: as many as the work does, or memory's
    measure_samples samples[MEASURE_LIMITS];
    double last[MEASURE_LIMITS];     // the latest sample, 0: none yet
    const chord_device_roof *device; // where the work is done on a GPU: its limits, else NULL
    double seconds;                  // spent on all samples
    bool open;
} measure_roof;

// `work_bytes`: what the work reads over and over (a model's weights). Up to CH_ROOF_MEMORY it is
// the working set, so that work out of a cache is set against that cache; more is memory's. `cpu`:
// highest instruction set, NULL: the best there is. False: no thread or no memory.
bool measure_roof_open(measure_roof *roof, int32_t lanes, uint64_t work_bytes, const char *cpu);
void measure_roof_close(measure_roof *roof);

// Takes one sample of a limit in about `seconds`, keeps it, and returns it. Of a device there is
// one measurement, which all samples are; whatever the weights are, it multiplies floats.
double measure_roof_take(measure_roof *roof, measure_limit limit, double seconds);

// ---- disturbance

// What else happened on the machine between two moments. Fields are -1 where the system does not
// tell.
typedef struct measure_watch {
    double begun, busy, own, steal, cpus; // when begun: totals since the system started
    int64_t switches;
    // After measure_watch_end.
    double seconds;
    double others_share; // CPU time of other processes, of what the CPUs had
    double steal_share;  // CPU time that the hypervisor gave to other machines
    double switch_rate;  // involuntary context switches of this process per second
} measure_watch;

void measure_watch_begin(measure_watch *watch);
void measure_watch_end(measure_watch *watch);

// Limits beyond which a run calls itself disturbed. A spread is (p90 - p10) / median.
#define MEASURE_MOST_SPREAD 0.15 // of the roof's samples
#define MEASURE_MOST_OTHERS 0.05
#define MEASURE_MOST_STEAL  0.02
#define MEASURE_MOST_SWITCH 100.0

// Writes what disturbed the run, "the roof drifted by 21 % (limit 15 %), ...", and returns true; or
// writes "" and returns false. `roof` may be NULL.
bool measure_disturbed(const measure_watch *watch, const measure_roof *roof, char *text,
                       size_t capacity);

#endif
