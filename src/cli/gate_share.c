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
// with memory taken anew, fail one after the other. Lanes that have no CPUs of their own wait for
// each other most of the time, which no roof shows: a gate of several lanes is not judged while
// other processes take the CPUs.
#include "gate.h"

#include <time.h>

enum { SHARE_BEST_OF = 3, SHARE_ROUNDS = 12, SHARE_MOST_ROUNDS = 36, SHARE_ATTEMPTS = 3 };
// Of a work that is slow by itself, as some are in plain C: what an interval needs and no more.
enum { SHARE_SLOW_ROUNDS = 8 };
#define SHARE_SLOW 0.02

#define SHARE_MOST_OTHERS 0.2 // of the CPUs, for a gate of several lanes to be judged
#define SHARE_SAMPLE      0.001
#define SHARE_CONFIDENCE  0.99

static double share_round(gate_work *work, measure_roof *roof, int32_t times, int32_t best_of) {
    double rate = 0, seconds = 0;
    for (int32_t i = 0; i < best_of; i++) {
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
    bool slow = gate_work_time(&work, times) > SHARE_SLOW;
    int32_t least = slow ? SHARE_SLOW_ROUNDS : SHARE_ROUNDS,
            most = slow ? least : SHARE_MOST_ROUNDS;
    for (int32_t n = 0; n < most && !work.failed;) {
        shares[n++] = share_round(&work, &roof, times, slow ? 1 : SHARE_BEST_OF);
        if (n < least || n % 4) continue;
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

// The op that loses most time against the roof. `rate`: of the roof.
static void share_name_op(const gate_context *context, gate_result *result) {
    gate_ops ops = {.count = 0};
    gate_work work;
    measure_roof roof;
    char why[160];
    int32_t worst = -1;
    double rate = 0, lost = 0;
    if (!gate_has_ops(result->spec)) return;
    if (!gate_work_open(context, result->spec, &work, why, sizeof why)) return;
    int32_t times = gate_work_times(&work, 20 * SHARE_SAMPLE);
    if (measure_roof_open(&roof, work.lanes, work.working_set, context->cpu))
        rate = measure_roof_take(&roof, work.limit, SHARE_SAMPLE);
    measure_roof_close(&roof);
    gate_work_close(&work);
    if (!(rate > 0) || !gate_profile(context, result->spec, times, &ops, why, sizeof why)) return;
    for (int32_t i = 0; i < ops.count; i++) {
        double loss = ops.items[i].seconds - ops.items[i].roof_units / rate;
        if (loss <= lost) continue;
        lost = loss;
        worst = i;
    }
    size_t n = strlen(result->note);
    if (worst >= 0)
        snprintf(result->note + n, sizeof result->note - n, "; furthest behind: %s, at %.0f %%",
                 ops.items[worst].name,
                 100 * ops.items[worst].roof_units / rate / ops.items[worst].seconds);
}

void gate_share_run(const gate_context *context, gate_result *result) {
    int32_t lanes = result->spec->numbers[GATE_N_LANES];
    char why[160];
    measure_watch watch;
    measure_watch_begin(&watch);
    for (result->attempts = 1;; result->attempts++) {
        if (!share_attempt(context, result, why, sizeof why)) {
            gate_error(result, "%s", why);
            return;
        }
        if (result->verdict == GATE_PASSED || result->attempts == SHARE_ATTEMPTS) break;
    }
    measure_watch_end(&watch);
    if (result->verdict == GATE_FAILED && lanes > 1 && watch.others_share > SHARE_MOST_OTHERS) {
        gate_skip(result, "other processes had %.0f %% of the CPUs, which %d lanes need",
                  100 * watch.others_share, lanes);
        return;
    }
    if (result->verdict == GATE_FAILED)
        gate_note(result, "slower: %.0f %% of the limit's speed, in %d attempts",
                  100 * result->measured / result->limit, result->attempts);
    if (result->verdict == GATE_FAILED) share_name_op(context, result);
}
