// sampler: see sampler.h.
#include "sampler.h"
#include "../kernels/kernels.h"

enum { SAMPLER_STREAM = 54, SAMPLER_DEFAULT_WINDOW = 64 };

// ---- random numbers

CH_FN uint32_t ch_random_next(ch_random *random) {
    uint64_t old = random->state;
    random->state = old * 6364136223846793005u + random->increment;
    uint32_t mixed = (uint32_t)(((old >> 18) ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return (mixed >> turn) | (mixed << ((32 - turn) & 31));
}

CH_FN void ch_random_seed(ch_random *random, uint64_t seed) {
    random->state = 0;
    random->increment = (uint64_t)SAMPLER_STREAM << 1 | 1;
    ch_random_next(random);
    random->state += seed;
    ch_random_next(random);
}

// ---- candidates

static bool sampler_before(ch_candidate a, ch_candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Whether `a` stands above `b` in a heap whose first is the most likely, or the least.
static bool sampler_above(ch_candidate a, ch_candidate b, bool least) {
    return least ? sampler_before(b, a) : sampler_before(a, b);
}

// Restores the heap below `at`.
static void sampler_sink(ch_candidate *heap, int32_t n, int32_t at, bool least) {
    ch_candidate moving = heap[at];
    for (int32_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && sampler_above(heap[child + 1], heap[child], least)) child++;
        if (!sampler_above(heap[child], moving, least)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

// How many of `count` recent tokens the penalty looks at, the last of them; 0: there is none.
static int32_t sampler_window(const chord_sampler *s, int32_t count) {
    int32_t window = s->repeat_window == 0 ? SAMPLER_DEFAULT_WINDOW : s->repeat_window;
    if (s->repeat_penalty == 0.0f || s->repeat_penalty == 1.0f) return 0;
    return window < 0 ? count : CH_MIN(window, count);
}

// NaN counts as the least likely.
static float sampler_clean(float logit) {
    return logit >= -INFINITY ? logit : -INFINITY;
}

static float sampler_penalized(const chord_sampler *s, float logit) {
    return logit > 0 ? logit / s->repeat_penalty : logit * s->repeat_penalty;
}

static ch_candidate sampler_most_likely(const ch_candidate *candidates, int32_t n) {
    ch_candidate best = candidates[0];
    for (int32_t i = 1; i < n; i++)
        if (sampler_before(candidates[i], best)) best = candidates[i];
    return best;
}

// Takes the most likely off the heap, to its end, until their sum of exp reaches `enough`. Returns
// how many; they stand at candidates[n - 1], [n - 2], ... in falling order.
static int32_t sampler_take(ch_candidate *candidates, int32_t n, float top, double enough) {
    double sum = 0;
    int32_t taken = 0;
    for (int32_t i = n / 2 - 1; i >= 0; i--) sampler_sink(candidates, n, i, false);
    while (taken < n && sum < enough) {
        ch_candidate best = candidates[0];
        int32_t left = n - 1 - taken;
        candidates[0] = candidates[left];
        candidates[left] = best;
        sampler_sink(candidates, left, 0, false);
        sum += (double)ch_exp(best.logit - top);
        taken++;
    }
    return taken;
}

// Brings the k most likely of the candidates, and of the k kept behind them, to the latter's place,
// the most likely last: a heap of the best so far, which most others do not enter.
static void sampler_keep(const ch_candidate *candidates, int32_t n, ch_candidate *kept, int32_t k) {
    for (int32_t i = k / 2 - 1; i >= 0; i--) sampler_sink(kept, k, i, true);
    for (int32_t i = 0; i < n; i++) {
        if (!sampler_before(candidates[i], kept[0])) continue;
        kept[0] = candidates[i];
        sampler_sink(kept, k, 0, true);
    }
    // As a heap whose first is the most likely, it is sorted by taking that to its end.
    for (int32_t i = k / 2 - 1; i >= 0; i--) sampler_sink(kept, k, i, false);
    for (int32_t left = k - 1; left > 0; left--) {
        ch_candidate best = kept[0];
        kept[0] = kept[left];
        kept[left] = best;
        sampler_sink(kept, left, 0, false);
    }
}

// Cuts to top-k and top-p; returns where the kept ones begin, at the end of the array, the most
// likely last.
static int32_t sampler_cut(const chord_sampler *s, ch_candidate *candidates, int32_t n, float top) {
    int32_t k = s->top_k > 0 && s->top_k < n ? s->top_k : n;
    bool nucleus = s->top_p > 0.0f && s->top_p < 1.0f;
    if (k == n && !nucleus) return 0;
    if (k < n) {
        int32_t first = n - k;
        sampler_keep(candidates, first, candidates + first, k);
        if (!nucleus) return first;
        double all = 0, sum = 0;
        for (int32_t i = n - 1; i >= first; i--) all += (double)ch_exp(candidates[i].logit - top);
        int32_t keep = n;
        while (keep > first && sum < s->top_p * all)
            sum += (double)ch_exp(candidates[--keep].logit - top);
        return keep;
    }
    double all = 0;
    for (int32_t i = 0; i < n; i++) all += (double)ch_exp(candidates[i].logit - top);
    return n - sampler_take(candidates, n, top, s->top_p * all);
}

// From candidates whose logits are penalized to a token.
static chord_token sampler_draw(const chord_sampler *s, ch_random *random, ch_candidate *candidates,
                                int32_t n) {
    ch_candidate best = sampler_most_likely(candidates, n);
    if (s->temperature == 0.0f || !(best.logit > -INFINITY && best.logit < INFINITY))
        return best.id;
    int32_t first = sampler_cut(s, candidates, n, best.logit);
    double sum = 0;
    float worst = s->min_p > 0.0f ? best.logit + logf(s->min_p) : -INFINITY;
    for (int32_t i = n - 1; i >= first; i--)
        if (candidates[i].logit >= worst)
            sum += (double)ch_exp((candidates[i].logit - best.logit) / s->temperature);
    double draw = (double)ch_random_next(random) / 4294967296.0 * sum;
    for (int32_t i = n - 1; i >= first; i--) {
        if (candidates[i].logit < worst) continue;
        draw -= (double)ch_exp((candidates[i].logit - best.logit) / s->temperature);
        if (draw < 0) return candidates[i].id;
    }
    return best.id;
}

// Each token of the window once: the penalty is always taken from the logit as it came.
CH_FN chord_token ch_sampler_choose(const chord_sampler *s, ch_random *random, const float *logits,
                                    int32_t n, const chord_token *recent, int32_t recent_count,
                                    ch_candidate *candidates) {
    for (int32_t i = 0; i < n; i++) {
        candidates[i].logit = sampler_clean(logits[i]);
        candidates[i].id = i;
    }
    for (int32_t i = recent_count - sampler_window(s, recent_count); i < recent_count; i++)
        if (recent[i] >= 0 && recent[i] < n)
            candidates[recent[i]].logit = sampler_penalized(s, sampler_clean(logits[recent[i]]));
    return sampler_draw(s, random, candidates, n);
}

CH_FN int32_t ch_sampler_enough(const chord_sampler *s, int32_t n, int32_t recent_count) {
    int64_t window = sampler_window(s, recent_count), most = 1;
    if (window > 0 && s->repeat_penalty < 1.0f) return n; // any token may come to the front
    if (s->temperature > 0.0f) most = s->top_k > 0 ? (int64_t)s->top_k + 1 : n;
    return (int32_t)CH_MIN(most + window, (int64_t)n);
}

CH_FN chord_token ch_sampler_choose_best(const chord_sampler *s, ch_random *random,
                                         const ch_candidate *best, int32_t n,
                                         const chord_token *recent, int32_t recent_count,
                                         ch_candidate *candidates) {
    int32_t window = sampler_window(s, recent_count);
    for (int32_t i = 0; i < n; i++) {
        candidates[i].logit = sampler_clean(best[i].logit);
        candidates[i].id = best[i].id;
        int32_t at = recent_count - window;
        while (at < recent_count && recent[at] != best[i].id) at++;
        if (at < recent_count) candidates[i].logit = sampler_penalized(s, candidates[i].logit);
    }
    return sampler_draw(s, random, candidates, n);
}

CH_FN chord_result ch_sampler_check(const chord_sampler *s, chord_error *error) {
    if (!(s->temperature >= 0.0f && s->temperature <= 1e6f))
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "temperature is %g, wanted 0 or more",
                       (double)s->temperature);
    if (s->top_k < 0)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "top_k is %d, wanted 0 or more", (int)s->top_k);
    if (!(s->top_p >= 0.0f))
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "top_p is %g, wanted 0 to 1", (double)s->top_p);
    if (!(s->min_p >= 0.0f && s->min_p <= 1.0f))
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "min_p is %g, wanted 0 to 1", (double)s->min_p);
    if (!(s->repeat_penalty >= 0.0f && s->repeat_penalty <= 1e6f))
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "repeat_penalty is %g, wanted 0 or more",
                       (double)s->repeat_penalty);
    if (s->repeat_window < -1)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "repeat_window is %d, wanted -1 or more",
                       (int)s->repeat_window);
    return CHORD_OK;
}
