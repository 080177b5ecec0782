// bench: see bench.h and chord.h.
#include "bench.h"

#include "../arena/error.h"

#include <stdio.h>

enum {
    BENCH_PROMPT_TOKENS = 128, // the defaults
    BENCH_WRITE_TOKENS = 16,
    BENCH_ROUNDS = 5,
    BENCH_MAX_TOKENS = 4096,
    BENCH_MAX_ROUNDS = 64
};

// Seconds of each sample of a limit; of a sample of the work, at least: less is done several times.
static const double bench_roof_seconds = 0.004, bench_sample_seconds = 0.003;

// From here on a share is as good as the machine allows; a limit that varied more than this is no
// limit to trust.
static const double bench_good_share = 0.7, bench_most_spread = 0.15;

// ---- what work needs

// The kind of numbers that an op multiplies: integers as bytes, floats as floats.
static ch_limit bench_kind(const chord_op_info *op, bool many) {
    if (strcmp(op->kind, "matmul") != 0) return CH_LIMIT_F32;
    if (many && strncmp(op->prompt_kernel, "bgemm", 5) == 0) return CH_LIMIT_BF16;
    if (strncmp(op->kernel, "matvec_bf16", 11) == 0) return CH_LIMIT_BF16;
    return strncmp(op->kernel, "matvec_f", 8) == 0 ? CH_LIMIT_F32 : CH_LIMIT_INT8;
}

CH_FN void ch_need_add(ch_need *need, const chord_op_info *op, int32_t n, int32_t depth,
                       int32_t batch, bool at_once) {
    if (at_once && op->logits_only) { // the last token alone
        depth += n - 1;
        n = 1;
    }
    double steps = at_once ? 0 : n;
    double positions = (double)n * depth + (double)n * (n - 1) / 2, cached = positions;
    if (at_once) {
        cached = 0;
        for (int64_t end = 0; end < n; steps++) {
            end = CH_MIN(end + batch, (int64_t)n);
            cached += (double)(depth + end);
        }
    }
    need->bytes += steps * (double)op->weight_bytes + n * (double)(op->bytes - op->weight_bytes) +
                   cached * (double)op->bytes_per_position;
    bool many = at_once && CH_MIN(n, batch) > CH_GEMM_COLUMNS_QUANTIZED;
    need->macs[bench_kind(op, many)] +=
        (n * (double)op->flops + positions * (double)op->flops_per_position) / 2;
}

CH_FN double ch_need_seconds(const ch_need *need, const double *limits, ch_limit *binds) {
    double reading = limits[CH_LIMIT_READ] > 0 ? need->bytes / limits[CH_LIMIT_READ] : 0;
    double computing = 0, most = 0;
    *binds = CH_LIMIT_READ;
    for (int i = CH_LIMIT_INT8; i < CH_LIMIT_COUNT; i++) {
        // A bfloat16 can be widened, and multiplied as fast as floats are.
        double limit = i == CH_LIMIT_BF16 ? CH_MAX(limits[i], limits[CH_LIMIT_F32]) : limits[i];
        double seconds = limit > 0 ? need->macs[i] / limit : 0;
        computing += seconds;
        if (seconds <= most) continue;
        most = seconds;
        *binds = (ch_limit)i;
    }
    if (reading >= computing) *binds = CH_LIMIT_READ;
    return CH_MAX(reading, computing);
}

CH_FN chord_token ch_bench_token(int32_t vocabulary, int64_t i) {
    int64_t spread = vocabulary > 100 ? vocabulary - 100 : 1;
    return (chord_token)((100 + (i * 37) % spread) % CH_MAX(vocabulary, 1));
}

// ---- chord_bench

// Samples of one kind of work.
typedef struct bench_series {
    int32_t tokens, count;
    ch_need need;
    double rates[BENCH_MAX_ROUNDS], shares[BENCH_MAX_ROUNDS]; // tokens per second; of the roof
    ch_limit binds;
} bench_series;

typedef struct bench_state {
    chord_session *session;
    ch_roof roof;
    double limits[CH_LIMIT_COUNT];
    double reads[2 * BENCH_MAX_ROUNDS + 1]; // all samples of reading
    int32_t read_count;
    int32_t vocabulary;
    uint64_t weight_bytes;
    bench_series prompt, write;
} bench_state;

// Sorts, and returns the quantile q: of few samples the nearest.
static double bench_quantile(double *samples, int32_t n, double q) {
    for (int32_t i = 1; i < n; i++)
        for (int32_t j = i; j > 0 && samples[j] < samples[j - 1]; j--) {
            double swap = samples[j];
            samples[j] = samples[j - 1];
            samples[j - 1] = swap;
        }
    return n > 0 ? samples[(int32_t)(q * (n - 1) + 0.5)] : 0;
}

static void bench_take_roof(bench_state *b) {
    for (int i = 0; i < CH_LIMIT_COUNT; i++)
        b->limits[i] =
            ch_roof_take(&b->roof, (ch_limit)i, (size_t)CH_MIN(b->weight_bytes, CH_ROOF_MEMORY),
                         bench_roof_seconds);
    b->reads[b->read_count++] = b->limits[CH_LIMIT_READ];
}

// The work of a series, timed; the roof is taken before and after it, and the mean of both is what
// the sample is set against. `keep` false: only to warm up.
static chord_result bench_sample(bench_state *b, bench_series *series, bool at_once, bool keep) {
    chord_token tokens[BENCH_MAX_TOKENS];
    double before[CH_LIMIT_COUNT], limits[CH_LIMIT_COUNT];
    int32_t held = 0;
    chord_session_tokens(b->session, &held);
    for (int32_t i = 0; i < series->tokens; i++)
        tokens[i] = ch_bench_token(b->vocabulary, held + i);
    memcpy(before, b->limits, sizeof before);
    // One token that is not timed brings the weights back into the caches and the lanes awake.
    chord_result result = chord_session_eval(b->session, tokens, 1, 1);
    if (!result) result = chord_session_rewind(b->session, held);
    double begun = ch_os_seconds(), seconds = 0;
    int32_t times = 0, part = at_once ? series->tokens : 1;
    for (; seconds < bench_sample_seconds && !result; times++) {
        if (times > 0) result = chord_session_rewind(b->session, held);
        for (int32_t i = 0; i < series->tokens && !result; i += part)
            result = chord_session_eval(b->session, tokens + i, part, 1);
        seconds = ch_os_seconds() - begun;
    }
    if (result || !keep) return result;
    seconds /= times;
    bench_take_roof(b);
    for (int i = 0; i < CH_LIMIT_COUNT; i++) limits[i] = (before[i] + b->limits[i]) / 2;
    series->rates[series->count] = series->tokens / seconds;
    series->shares[series->count++] =
        ch_need_seconds(&series->need, limits, &series->binds) / seconds;
    return CHORD_OK;
}

static chord_result bench_rounds(bench_state *b, int32_t rounds) {
    chord_result result = CHORD_OK;
    for (int32_t round = -1; round < rounds && !result; round++) {
        if (round == 0) bench_take_roof(b);
        result = chord_session_rewind(b->session, 0);
        if (!result && b->prompt.tokens) result = bench_sample(b, &b->prompt, true, round >= 0);
        if (!result && b->write.tokens) result = bench_sample(b, &b->write, false, round >= 0);
    }
    return result;
}

static void bench_needs(bench_state *b, int32_t batch) {
    chord_op_info op;
    for (int32_t i = 0; chord_session_get_op(b->session, i, &op) == CHORD_OK; i++) {
        ch_need_add(&b->prompt.need, &op, b->prompt.tokens, 0, batch, true);
        ch_need_add(&b->write.need, &op, b->write.tokens, b->prompt.tokens, batch, false);
    }
}

static void bench_rate(bench_series *series, chord_bench_rate *rate) {
    static const char *const names[CH_LIMIT_COUNT] = {"read", "int8", "f32", "bf16"};
    if (series->count == 0) return;
    rate->tokens_per_second = bench_quantile(series->rates, series->count, 0.5);
    rate->bytes_per_second = series->need.bytes / series->tokens * rate->tokens_per_second;
    rate->roof_share = bench_quantile(series->shares, series->count, 0.5);
    rate->limit = names[series->binds];
}

// What it comes to, in a sentence or two.
static void bench_verdict(const bench_state *b, chord_bench_result *r) {
    const chord_bench_rate *rate = b->write.count ? &r->write : &r->prompt;
    const char *verb = b->write.count ? "Writes" : "Reads";
    bool reading = strcmp(rate->limit, "read") == 0;
    bool good = rate->roof_share >= bench_good_share,
         disturbed = r->roof_spread > bench_most_spread;
    snprintf(r->verdict, sizeof r->verdict,
             "%s %.4g tokens/s, %.0f %% of what this machine's %s allows at %d lane%s: %s.%s", verb,
             rate->tokens_per_second, rate->roof_share * 100, reading ? "memory" : "arithmetic",
             (int)r->lanes, r->lanes == 1 ? "" : "s",
             good ? (reading ? "a smaller tensor type or a faster memory would help, little else"
                             : "a faster processor would help, little else")
                  : "time is lost elsewhere, in barriers, small operations or to other work",
             disturbed ? " The machine was disturbed: its own limit varied." : "");
}

static void bench_fill(bench_state *b, chord_bench_result *r) {
    bench_rate(&b->prompt, &r->prompt);
    bench_rate(&b->write, &r->write);
    r->read_limit = bench_quantile(b->reads, b->read_count, 0.5);
    r->roof_spread = (bench_quantile(b->reads, b->read_count, 0.9) -
                      bench_quantile(b->reads, b->read_count, 0.1)) /
                     r->read_limit;
    r->int8_limit = b->limits[CH_LIMIT_INT8];
    r->f32_limit = b->limits[CH_LIMIT_F32];
    r->bf16_limit = b->limits[CH_LIMIT_BF16];
    bench_verdict(b, r);
}

static int32_t bench_default(int32_t asked, int32_t value) {
    return asked == 0 ? value : asked < 0 ? 0 : asked;
}

// Everything between opening and closing.
static chord_result bench_with_roof(bench_state *b, const char *cpu, int32_t rounds,
                                    chord_bench_result *result, chord_error *error) {
    const chord_plan_table *plan = chord_session_plan(b->session);
    uint32_t bits = 0;
    (void)ch_cpu_choose(cpu, &bits); // the session has checked the level
    b->weight_bytes = plan->weight_bytes;
    result->lanes = plan->lanes;
    size_t bytes = (size_t)CH_MIN(plan->weight_bytes, (uint64_t)CH_ROOF_MEMORY);
    if (!ch_roof_open(&b->roof, plan->lanes, bytes, bits))
        return ch_fail(error, CHORD_ERROR_MEMORY, "no memory or no threads to measure with");
    bench_needs(b, plan->batch);
    chord_result failed = bench_rounds(b, rounds);
    bool sound = ch_roof_sound(&b->roof);
    ch_roof_close(&b->roof);
    if (failed) return ch_fail(error, failed, "%s", chord_session_error(b->session));
    if (!sound)
        return ch_fail(error, CHORD_ERROR_SYSTEM, "this machine computes wrong: see checkkern");
    bench_fill(b, result);
    return CHORD_OK;
}

chord_result chord_bench(const chord_model *model, const chord_session_desc *desc,
                         const chord_bench_desc *bench, chord_bench_result *result,
                         chord_error *error) {
    if (!model || !desc || !bench || !result)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "model, desc, bench or result is NULL");
    memset(result, 0, sizeof *result);
    result->prompt.limit = result->write.limit = "";
    if (bench->prompt > BENCH_MAX_TOKENS || bench->write > BENCH_MAX_TOKENS ||
        bench->rounds > BENCH_MAX_ROUNDS || bench->rounds < 0)
        return ch_fail(error, CHORD_ERROR_ARGUMENT,
                       "prompt, write, rounds are %d, %d, %d, wanted at most %d, %d, and 0 to %d",
                       (int)bench->prompt, (int)bench->write, (int)bench->rounds, BENCH_MAX_TOKENS,
                       BENCH_MAX_TOKENS, BENCH_MAX_ROUNDS);
    bench_state b;
    memset(&b, 0, sizeof b);
    b.prompt.tokens = bench_default(bench->prompt, BENCH_PROMPT_TOKENS);
    b.write.tokens = bench_default(bench->write, BENCH_WRITE_TOKENS);
    if (b.prompt.tokens + b.write.tokens == 0)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "neither a prompt nor a writing is asked for");
    chord_session_desc s = *desc;
    if (s.context == 0) s.context = b.prompt.tokens + b.write.tokens + 1;
    chord_model_info info;
    chord_model_get_info(model, &info);
    b.vocabulary = info.vocabulary;
    chord_result failed = chord_session_open(model, &s, &b.session, error);
    if (failed) return failed;
    failed = bench_with_roof(&b, s.cpu, bench_default(bench->rounds, BENCH_ROUNDS), result, error);
    chord_session_close(b.session);
    return failed;
}
