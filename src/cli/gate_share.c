// gate_share: shares of the roof.
//
// Owns: the tier's test. Refuses: comparing what was not measured side by side: each sample of the
// work has samples of the roof beside it.
//
// A round takes a few samples of the roof and of the work in turn and keeps the best of each: what
// takes a core away for less than a round spoils neither. A round's share is the ratio of the two;
// what lasts longer than a round (a slower clock, a neighbour that uses memory) is in both. The
// median over rounds has an interval from the order of the rounds, of 99 % confidence. An attempt
// fails when the whole interval lies under the limit. A gate is red when all of its attempts, each
// with memory taken anew, fail one after the other.
#include "gate.h"

#include <time.h>

enum { SHARE_BEST_OF = 3, SHARE_ROUNDS = 12, SHARE_MOST_ROUNDS = 36, SHARE_ATTEMPTS = 3 };

#define SHARE_SAMPLE     0.001
#define SHARE_CONFIDENCE 0.99

static double share_round(gate_work *work, measure_roof *roof, int32_t times) {
    double rate = 0, seconds = 0;
    for (int i = 0; i < SHARE_BEST_OF; i++) {
        double r = measure_roof_take(roof, work->limit, SHARE_SAMPLE);
        double s = gate_work_time(work, times) / times;
        rate = CH_MAX(rate, r);
        seconds = i == 0 ? s : CH_MIN(seconds, s);
    }
    return work->units / rate / seconds;
}

// One attempt. False: *why tells.
static bool share_attempt(const gate_context *context, gate_result *result, char *why,
                          size_t capacity) {
    double shares[SHARE_MOST_ROUNDS];
    gate_work work;
    measure_roof roof;
    measure_summary sum;
    if (!gate_work_open(context, result->spec, &work, why, capacity)) return false;
    if (!measure_roof_open(&roof, work.lanes, work.working_set, context->cpu)) {
        snprintf(why, capacity, "no memory or no thread to measure the roof with");
        gate_work_close(&work);
        return false;
    }
    int32_t times = gate_work_times(&work, SHARE_SAMPLE);
    for (int32_t n = 0; n < SHARE_MOST_ROUNDS && !work.failed;) {
        shares[n++] = share_round(&work, &roof, times);
        if (n < SHARE_ROUNDS || n % 4) continue;
        if (!measure_summarize(shares, n, SHARE_CONFIDENCE, &sum)) break;
        result->measured = sum.median;
        result->low = sum.low;
        result->high = sum.high;
        result->interval = true;
        if (sum.low >= result->limit) break; // what more could change is only by how much
    }
    result->verdict = result->high < result->limit ? GATE_FAILED : GATE_PASSED;
    bool good = !work.failed && result->interval;
    if (!good) snprintf(why, capacity, "the work failed");
    measure_roof_close(&roof);
    gate_work_close(&work);
    return good;
}

void gate_share_run(const gate_context *context, const gate_spec *spec, gate_result *result) {
    char why[160];
    (void)spec;
    for (result->attempts = 1;; result->attempts++) {
        if (!share_attempt(context, result, why, sizeof why)) {
            gate_error(result, "%s", why);
            return;
        }
        if (result->verdict == GATE_PASSED || result->attempts == SHARE_ATTEMPTS) break;
    }
    if (result->verdict == GATE_FAILED)
        gate_note(result, "slower: %.0f %% of the limit's speed, in %d attempts",
                  100 * result->measured / result->limit, result->attempts);
}
