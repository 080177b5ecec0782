// bench, ops: what each operation of the graph moves, computes and takes.
//
// Owns: the counting of bytes and multiply-adds for a step of many tokens, and the sums over
// blocks. Invariant: an operation's bytes are those that must be moved at least: a matrix once a
// step, the cache once a step, activations once a token.
#include "bench.h"

#include <stdlib.h>

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

// Adds up the seconds of each line's ops since the session was opened, as before or after a round.
static void ops_read_seconds(chord_session *session, bench_profile *profile, bool after) {
    chord_op_info op;
    for (int32_t i = 0; i < profile->count; i++)
        *(after ? &profile->ops[i].after : &profile->ops[i].before) = 0;
    for (int32_t i = 0; chord_session_get_op(session, i, &op) == CHORD_OK; i++) {
        bench_op *line = ops_line(profile, &op);
        *(after ? &line->after : &line->before) += op.seconds;
    }
}

static chord_result ops_profile(chord_session *session, const bench_config *config,
                                const bench_test *test, int32_t rounds, bench_profile *profile) {
    chord_op_info op;
    snprintf(profile->test, sizeof profile->test, "%s", test->name);
    for (int32_t i = 0; chord_session_get_op(session, i, &op) == CHORD_OK; i++) {
        bench_op *line = ops_line(profile, &op);
        ch_need_add(&line->need, &op, test->n, test->depth, config->plan.batch,
                    test->kind == BENCH_PROMPT);
        line->count++;
    }
    for (int32_t r = 0; r < rounds; r++) {
        chord_result result = bench_wake(session, config, test);
        if (result != CHORD_OK) return result;
        ops_read_seconds(session, profile, false);
        double begun = cli_seconds();
        result = bench_run_test(session, config, test);
        double seconds = cli_seconds() - begun;
        ops_read_seconds(session, profile, true);
        if (result != CHORD_OK) return result;
        if (cli_interrupted()) return CHORD_ERROR_STOPPED;
        if (r > 0 && seconds >= profile->seconds) continue;
        profile->seconds = seconds;
        for (int32_t i = 0; i < profile->count; i++)
            profile->ops[i].seconds = profile->ops[i].after - profile->ops[i].before;
    }
    return CHORD_OK;
}

// The shares of the roof that was measured with the tests.
static void ops_finish(const bench_config *config, bench_profile *profile) {
    double limits[MEASURE_LIMITS];
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        measure_summary s;
        limits[i] = 0;
        if (measure_summarize(config->roof[i].items, config->roof[i].count, BENCH_CONFIDENCE, &s))
            limits[i] = s.most; // the fastest round is set against it
    }
    for (int32_t i = 0; i < profile->count; i++) {
        bench_op *line = &profile->ops[i];
        double least = ch_need_seconds(&line->need, limits, &line->limit);
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
        if (result == CHORD_OK) ops_finish(config, profile);
    }
    cli_progress_end();
    int code = result == CHORD_OK             ? CLI_OK
               : result == CHORD_ERROR_MEMORY ? cli_no_memory()
                                              : cli_session_fail(session, result);
    chord_session_close(session);
    return code;
}
