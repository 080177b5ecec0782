// bench, ops: what each operation of the graph moves, computes and takes.
//
// Owns: the counting of bytes and multiply-adds for a step of many tokens, and the sums over
// blocks. Invariant: an operation's bytes are those that must be moved at least: a matrix once a
// step, the cache once a step, activations once a token.
#include "bench.h"

#include <stdlib.h>

// The kind of numbers that an op multiplies. Integers are multiplied as bytes, floats as floats.
static measure_limit ops_kind(const chord_op_info *op) {
    if (strcmp(op->kind, "matmul") != 0) return MEASURE_F32;
    if (strncmp(op->kernel, "matvec_bf16", 11) == 0) return MEASURE_BF16;
    if (strncmp(op->kernel, "matvec_f", 8) == 0) return MEASURE_F32;
    return MEASURE_INT8;
}

void bench_op_need(const chord_op_info *op, int32_t n, int32_t depth, int32_t batch, bool at_once,
                   bench_need *need) {
    memset(need, 0, sizeof *need);
    // Of a prompt, logits are wanted of the last token alone.
    double tokens = at_once && op->logits_only ? 1 : n, steps = at_once ? 0 : n;
    double positions = (double)n * depth + (double)n * (n - 1) / 2, cached = positions;
    if (at_once) {
        cached = 0;
        for (int64_t end = 0; end < n; steps++) {
            end = CH_MIN(end + batch, (int64_t)n);
            cached += (double)(depth + end);
        }
        if (op->logits_only) steps = 1;
    }
    need->bytes = steps * (double)op->weight_bytes +
                  tokens * (double)(op->bytes - op->weight_bytes) +
                  cached * (double)op->bytes_per_position;
    need->macs[ops_kind(op)] =
        (tokens * (double)op->flops + positions * (double)op->flops_per_position) / 2;
}

// "blk.3.attn_q" is "attn_q" in every block.
static const char *ops_name(const chord_op_info *op) {
    if (strncmp(op->name, "blk.", 4) != 0) return op->name;
    const char *dot = strchr(op->name + 4, '.');
    return dot ? dot + 1 : op->name;
}

// The line of a profile that an op belongs to: of the same name, kernel and shape.
static bench_op *ops_line(bench_profile *profile, const chord_op_info *op) {
    for (int32_t i = 0; i < profile->count; i++) {
        bench_op *line = &profile->ops[i];
        if (strcmp(line->name, ops_name(op)) == 0 && strcmp(line->shape, op->shape) == 0)
            return line;
    }
    bench_op *line = &profile->ops[profile->count++];
    memset(line, 0, sizeof *line);
    snprintf(line->name, sizeof line->name, "%s", ops_name(op));
    snprintf(line->kind, sizeof line->kind, "%s", op->kind);
    snprintf(line->kernel, sizeof line->kernel, "%s", op->kernel);
    snprintf(line->shape, sizeof line->shape, "%s", op->shape);
    return line;
}

// Adds each op's seconds, times `sign`, to its line.
static void ops_add_seconds(chord_session *session, bench_profile *profile, double sign) {
    chord_op_info op;
    for (int32_t i = 0; chord_session_get_op(session, i, &op) == CHORD_OK; i++)
        ops_line(profile, &op)->seconds += sign * op.seconds;
}

static chord_result ops_profile(chord_session *session, const bench_config *config,
                                const bench_test *test, int32_t rounds, bench_profile *profile) {
    chord_op_info op;
    snprintf(profile->test, sizeof profile->test, "%s", test->name);
    for (int32_t i = 0; chord_session_get_op(session, i, &op) == CHORD_OK; i++) {
        bench_op *line = ops_line(profile, &op);
        bench_need need;
        bench_op_need(&op, test->n, test->depth, config->plan.batch, test->kind == BENCH_PROMPT,
                      &need);
        line->count++;
        line->need.bytes += need.bytes;
        for (int k = 0; k < MEASURE_LIMITS; k++) line->need.macs[k] += need.macs[k];
    }
    for (int32_t r = 0; r < rounds; r++) {
        chord_result result = bench_wake(session, config, test);
        if (result != CHORD_OK) return result;
        ops_add_seconds(session, profile, -1);
        double begun = cli_seconds();
        result = bench_run_test(session, config, test);
        profile->seconds += cli_seconds() - begun;
        ops_add_seconds(session, profile, 1);
        if (result != CHORD_OK) return result;
        if (cli_interrupted()) return CHORD_ERROR_STOPPED;
    }
    return CHORD_OK;
}

// Means over the rounds, and the shares of the roof that was measured with the tests.
static void ops_finish(const bench_config *config, int32_t rounds, bench_profile *profile) {
    double limits[MEASURE_LIMITS];
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        measure_summary s;
        limits[i] = 0;
        if (measure_summarize(config->roof[i].items, config->roof[i].count, BENCH_CONFIDENCE, &s))
            limits[i] = s.median;
    }
    profile->seconds /= rounds;
    for (int32_t i = 0; i < profile->count; i++) {
        bench_op *line = &profile->ops[i];
        line->seconds /= rounds;
        double least = bench_least_seconds(&line->need, limits, &line->limit);
        line->share = line->seconds > 0 ? least / line->seconds : 0;
    }
}

int bench_measure_ops(const chord_model *model, const chord_session_desc *desc, int32_t rounds,
                      bench_config *config) {
    chord_session *session = NULL;
    chord_session_desc profiled = *desc;
    chord_error error = {CHORD_OK, ""};
    profiled.profile = true;
    if (chord_session_open(model, &profiled, &session, &error)) return cli_fail(&error);
    size_t ops = (size_t)chord_session_op_count(session);
    config->profiles = calloc((size_t)config->test_count, sizeof *config->profiles);
    chord_result result = config->profiles ? CHORD_OK : CHORD_ERROR_MEMORY;
    cli_progress_begin("ops");
    for (int32_t t = 0; t < config->test_count && result == CHORD_OK; t++) {
        const bench_test *test = &config->tests[t];
        if (test->kind != BENCH_PROMPT && test->kind != BENCH_WRITE) continue;
        bench_profile *profile = &config->profiles[config->profile_count++];
        profile->ops = malloc(ops * sizeof *profile->ops);
        result =
            profile->ops ? ops_profile(session, config, test, rounds, profile) : CHORD_ERROR_MEMORY;
        if (result == CHORD_OK) ops_finish(config, rounds, profile);
    }
    cli_progress_end();
    int code = result == CHORD_OK             ? CLI_OK
               : result == CHORD_ERROR_MEMORY ? cli_no_memory()
                                              : cli_session_fail(session, result);
    chord_session_close(session);
    return code;
}
