// test_engine: what a session promises: planned memory, the same bits however the work is cut,
// honest errors, and the sampler's rules.
#include "../src/engine/bench.h"
#include "../src/engine/lanes.h"
#include "../src/engine/sampler.h"
#include "../src/model/graph.h"
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// ---- models

static void typed_open(fixture *f, ch_type type) {
    gb_model m = {.type = type, .context = 256};
    if (type != CH_TYPE_F32) m.embedding = 256, m.feed_forward = 256;
    fixture_open(f, m);
}

enum { PROMPT = 70, DECODED = 4 };

static void fill_prompt(chord_token *tokens, int32_t vocabulary) {
    for (int32_t i = 0; i < PROMPT; i++) tokens[i] = (i * 37 + 11) % vocabulary;
}

// Hash of the logits of a prompt evaluated in pieces of `cut`, and of some greedy tokens after it.
static uint64_t hash_of(const chord_model *model, chord_session_desc desc, int32_t cut) {
    chord_model_info info;
    chord_model_get_info(model, &info);
    chord_token tokens[PROMPT], token = 0;
    fill_prompt(tokens, info.vocabulary);
    desc.context = 128;
    chord_session *s = session_open(model, desc);
    for (int32_t at = 0; at < PROMPT; at += cut)
        cr_assert_eq(chord_session_eval(s, tokens + at, at + cut < PROMPT ? cut : PROMPT - at, 0),
                     CHORD_OK);
    chord_session_hash(s, true);
    cr_assert_eq(chord_session_sync(s, tokens, PROMPT), CHORD_OK, "%s", chord_session_error(s));
    for (int32_t i = 0; i < DECODED; i++) {
        cr_assert_eq(chord_session_sample(s, &token), CHORD_OK);
        cr_assert_eq(chord_session_eval(s, &token, 1, 1), CHORD_OK);
    }
    chord_stats stats;
    chord_session_get_stats(s, &stats);
    chord_session_close(s);
    return stats.logits_hash;
}

// ---- the same bits

// Every type; where sanitizers make everything slow, those that take different ways.
static void each_type(void (*claim)(const chord_model *model, ch_type type)) {
    for (int32_t type = 0; type < CH_TYPE_COUNT; type++) {
        bool apart = type == CH_TYPE_F32 || type == CH_TYPE_F16 || type == CH_TYPE_Q4_0 ||
                     type == CH_TYPE_Q4_K || type == CH_TYPE_Q6_K;
        if (GB_SLOWER > 1 && !apart) continue;
        fixture f;
        typed_open(&f, (ch_type)type);
        claim(f.model, (ch_type)type);
        fixture_close(&f);
    }
}

static void claim_lanes(const chord_model *model, ch_type type) {
    uint64_t one = hash_of(model, (chord_session_desc){.lanes = 1}, PROMPT);
    const int32_t lanes[] = {2, 3, 8};
    for (size_t i = 0; i < CH_COUNT(lanes); i++)
        cr_assert_eq(hash_of(model, (chord_session_desc){.lanes = lanes[i]}, PROMPT), one,
                     "%s, %d lanes", ch_type_get(type)->name, (int)lanes[i]);
}

Test(engine, lanes_do_not_change_bits) {
    each_type(claim_lanes);
}

static void claim_cuts(const chord_model *model, ch_type type) {
    uint64_t whole = hash_of(model, (chord_session_desc){.lanes = 1}, PROMPT);
    const int32_t cuts[] = {1, 3, 6, 8, 9, 64};
    for (size_t i = 0; i < CH_COUNT(cuts); i++) {
        cr_assert_eq(hash_of(model, (chord_session_desc){.lanes = 1}, cuts[i]), whole,
                     "%s, evaluated %d at a time", ch_type_get(type)->name, (int)cuts[i]);
        cr_assert_eq(hash_of(model, (chord_session_desc){.lanes = 2, .batch = cuts[i]}, PROMPT),
                     whole, "%s, batches of %d", ch_type_get(type)->name, (int)cuts[i]);
    }
}

Test(engine, batches_do_not_change_bits) {
    each_type(claim_cuts);
}

// Rows of a norm that are wanted as floats and quantized.
Test(engine, a_model_of_mixed_types_keeps_its_bits) {
    gb_model m = {
        .type = CH_TYPE_Q4_K, .mixed = true, .context = 256, .embedding = 256, .feed_forward = 256};
    fixture f;
    fixture_open(&f, m);
    claim_cuts(f.model, CH_TYPE_Q4_K);
    claim_lanes(f.model, CH_TYPE_Q4_K);
    fixture_close(&f);
}

// More tokens at once than a tile of gate and up has columns, and a last tile of fewer rows.
Test(engine, tiles_of_the_feed_forward_do_not_change_bits) {
    enum { MANY = CH_GLU_COLUMNS + 90 };
    const struct {
        ch_type type;
        int32_t feed_forward;
    } models[] = {{CH_TYPE_F32, CH_GLU_ROWS + 22}, {CH_TYPE_Q8_0, 2 * CH_GLU_ROWS + 32}};
    static chord_token tokens[MANY];
    for (size_t i = 0; i < CH_COUNT(models); i++) {
        fixture f;
        fixture_open(&f, (gb_model){.type = models[i].type,
                                    .feed_forward = models[i].feed_forward,
                                    .context = MANY});
        for (int32_t t = 0; t < MANY; t++) tokens[t] = (t * 37 + 11) % 300;
        uint64_t first = 0;
        const int32_t batches[] = {8, 100, MANY};
        for (size_t b = 0; b < CH_COUNT(batches); b++) {
            chord_session *s = session_open(
                f.model, (chord_session_desc){.batch = batches[b], .lanes = (int32_t)b + 1});
            chord_session_hash(s, true);
            cr_assert_eq(chord_session_eval(s, tokens, MANY, 1), CHORD_OK);
            chord_stats stats;
            chord_session_get_stats(s, &stats);
            if (b == 0) first = stats.logits_hash;
            cr_assert_eq(stats.logits_hash, first, "batches of %d", (int)batches[b]);
            chord_session_close(s);
        }
        fixture_close(&f);
    }
}

static void claim_levels(const chord_model *model, ch_type type) {
    uint64_t plain = hash_of(model, (chord_session_desc){.cpu = "c"}, PROMPT);
#if CH_X86
    const char *levels[] = {"avx2", "avxvnni", "avx512", NULL};
#else
    const char *levels[] = {"neon", "dotprod", "i8mm", NULL};
#endif
    for (size_t i = 0; i < CH_COUNT(levels); i++)
        cr_assert_eq(hash_of(model, (chord_session_desc){.cpu = levels[i]}, PROMPT), plain,
                     "%s, %s", ch_type_get(type)->name, levels[i] ? levels[i] : "the best");
}

Test(engine, instruction_sets_do_not_change_bits) {
    each_type(claim_levels);
}

// ---- products in bfloat16

static bool has_tiles(void) {
    uint32_t bits = 0;
    return ch_cpu_choose("amx", &bits) && (bits & CH_CPU_AMX);
}

// The hash of the logits of a long prompt, as long as the context, and those logits.
static uint64_t long_prompt(const chord_model *model, chord_session_desc desc, float *logits) {
    static chord_token tokens[1024];
    chord_model_info info;
    chord_stats stats;
    chord_model_get_info(model, &info);
    int32_t n = CH_MIN(info.context_length, 1024);
    for (int32_t t = 0; t < n; t++) tokens[t] = (t * 37 + 11) % info.vocabulary;
    desc.context = n;
    chord_session *s = session_open(model, desc);
    chord_session_hash(s, true);
    cr_assert_eq(chord_session_eval(s, tokens, n, 1), CHORD_OK);
    chord_session_get_stats(s, &stats);
    memcpy(logits, chord_session_logits(s, 0), (size_t)info.vocabulary * sizeof *logits);
    chord_session_close(s);
    return stats.logits_hash;
}

static double distance(const float *a, const float *b, int32_t n) {
    double apart = 0, size = 0;
    for (int32_t i = 0; i < n; i++) {
        apart += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(apart / size);
}

// Near the logits of products that are not rounded, and not the same; equal for any number of
// lanes.
static void claim_rounded(const chord_model *model, ch_type type) {
    static float plain[1024], rounded[1024];
    const char *name = ch_type_get(type)->name;
    chord_model_info info;
    chord_model_get_info(model, &info);
    cr_assert(info.vocabulary <= 1024);
    uint64_t exact = long_prompt(model, (chord_session_desc){.lanes = 1}, plain);
    uint64_t one = long_prompt(model, (chord_session_desc){.lanes = 1, .cpu = "amx"}, rounded);
    cr_assert_eq(one == exact, type == CH_TYPE_F32, "%s", name);
    cr_assert(distance(rounded, plain, info.vocabulary) < 0.05, "%s", name);
    for (int32_t lanes = 2; lanes <= 5; lanes += 3)
        cr_assert_eq(
            long_prompt(model, (chord_session_desc){.lanes = lanes, .cpu = "amx"}, rounded), one,
            "%s, %d lanes", name, (int)lanes);
    // Batches that end in a few tokens, which are multiplied otherwise.
    long_prompt(model, (chord_session_desc){.batch = 70, .cpu = "amx"}, rounded);
    cr_assert(distance(rounded, plain, info.vocabulary) < 0.05, "%s", name);
    // Short prompts are as ever.
    cr_assert_eq(hash_of(model, (chord_session_desc){.cpu = "amx"}, 15),
                 hash_of(model, (chord_session_desc){.cpu = "avx512"}, 15), "%s", name);
}

Test(engine, products_in_bfloat16_are_near_and_keep_lanes) {
    if (!has_tiles()) cr_skip_test("no AMX here");
    each_type(claim_rounded);
    // Types mixed, of floats too; more tokens than a tile of gate and up has columns, and a last
    // tile of few rows.
    const gb_model models[] = {
        {.type = CH_TYPE_Q4_K,
         .mixed = true,
         .context = 256,
         .embedding = 256,
         .feed_forward = 256},
        {.type = CH_TYPE_F16, .context = CH_GLU_COLUMNS + 90, .feed_forward = CH_GLU_ROWS + 22},
        {.type = CH_TYPE_Q5_1, .context = CH_GLU_COLUMNS + 90, .feed_forward = CH_GLU_ROWS + 32}};
    for (size_t i = 0; i < CH_COUNT(models); i++) {
        fixture f;
        fixture_open(&f, models[i]);
        claim_rounded(f.model, models[i].type);
        fixture_close(&f);
    }
}

Test(engine, kv_types_keep_lanes_and_cuts) {
    const chord_kv kinds[] = {CHORD_KV_F32, CHORD_KV_F16, CHORD_KV_Q8_0, CHORD_KV_Q16};
    fixture f;
    typed_open(&f, CH_TYPE_Q4_0);
    for (size_t i = 0; i < CH_COUNT(kinds); i++) {
        uint64_t one =
            hash_of(f.model, (chord_session_desc){.lanes = 1, .kv = kinds[i], .cpu = "c"}, PROMPT);
        cr_assert_eq(hash_of(f.model, (chord_session_desc){.lanes = 3, .kv = kinds[i]}, PROMPT),
                     one);
        cr_assert_eq(hash_of(f.model, (chord_session_desc){.lanes = 2, .kv = kinds[i]}, 7), one);
    }
    fixture_close(&f);
}

// ---- lanes

// Steps on a machine where a step on i + 1 lanes takes seconds[i] and its waits end in sleep
// sleeps[i] times. Returns how many of them had the best number.
static int32_t pace_steps(ch_pace *pace, int32_t steps, const double *seconds,
                          const int32_t *sleeps, int32_t best) {
    int32_t good = 0;
    for (int32_t i = 0; i < steps; i++) {
        int32_t at = pace->now - 1;
        cr_assert(at >= 0 && at < pace->count);
        good += pace->now == best;
        ch_pace_step(pace, pace->watching ? seconds[at] : 0, sleeps[at]);
    }
    return good;
}

Test(engine, the_number_of_lanes_follows_what_serves_best) {
    const double apart[] = {0.030, 0.015}, beside[] = {0.030, 0.032}, still[] = {0.030, 0.022};
    const int32_t calm[] = {0, 0}, away[] = {0, 90};
    ch_pace pace;
    ch_pace_open(&pace, 2);
    cr_assert_eq(pace_steps(&pace, 100, apart, calm, 2), 100);
    cr_assert(!pace.watching);
    // A neighbour comes, and goes.
    pace_steps(&pace, 40, beside, away, 1);
    cr_assert_eq(pace.best, 1);
    cr_assert(pace_steps(&pace, 1000, beside, away, 1) > 870);
    pace_steps(&pace, 200, apart, calm, 2);
    cr_assert_eq(pace.best, 2);
    cr_assert(!pace.watching);
    cr_assert_eq(pace_steps(&pace, 100, apart, calm, 2), 100);
    // One that takes less than the lane brings.
    cr_assert(pace_steps(&pace, 1000, still, away, 2) > 900);
    // One beside eight lanes: seven serve best; two: six.
    double eight[8];
    int32_t sleeps[8];
    for (int32_t neighbours = 1; neighbours <= 2; neighbours++) {
        for (int32_t i = 0; i < 8; i++) {
            bool shared = i + 1 > 8 - neighbours;
            eight[i] = shared ? 0.010 : 0.040 / (i + 1);
            sleeps[i] = shared ? 20 : 0;
        }
        ch_pace_open(&pace, 8);
        pace_steps(&pace, 200, eight, sleeps, 8 - neighbours);
        cr_assert_eq(pace.best, 8 - neighbours, "%d lanes", (int)pace.best);
    }
    // Alone, there is nothing to choose.
    ch_pace_open(&pace, 1);
    cr_assert_eq(pace_steps(&pace, 100, apart, away, 1), 100);
}

// ---- memory

// A block of exactly `bytes` that ends at a page nobody may touch.
static uint8_t *guarded(size_t bytes, uint8_t **block, size_t *mapped) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *mapped = (bytes + page - 1) / page * page + page;
    *block = mmap(NULL, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(*block, MAP_FAILED);
    memset(*block, 0xa5, *mapped - page);
    mprotect(*block + *mapped - page, page, PROT_NONE);
    return *block + *mapped - page - bytes;
}

static void claim_plan(const chord_model *model, chord_session_desc desc) {
    chord_plan_table plan;
    chord_error error;
    cr_assert_eq(chord_plan(model, &desc, &plan, &error), CHORD_OK, "%s", error.message);
    uint64_t sum = 0;
    for (int32_t i = 0; i < plan.region_count; i++) {
        cr_assert_eq(plan.regions[i].offset, sum, "%s", plan.regions[i].name);
        cr_assert_eq(sum % 64, 0);
        uint64_t end = i + 1 < plan.region_count ? plan.regions[i + 1].offset : plan.arena_bytes;
        cr_assert(end >= sum + plan.regions[i].bytes && end - sum - plan.regions[i].bytes < 128);
        sum = end;
    }
    uint8_t *block;
    size_t mapped, bytes = (size_t)plan.arena_bytes;
    uint8_t *memory = guarded(bytes, &block, &mapped);
    chord_session *s = NULL;
    desc.memory = memory;
    desc.memory_bytes = bytes - 1;
    cr_assert_eq(chord_session_open(model, &desc, &s, &error), CHORD_ERROR_MEMORY);
    cr_assert_null(s);
    desc.memory_bytes = bytes;
    cr_assert_eq(chord_session_open(model, &desc, &s, &error), CHORD_OK, "%s", error.message);
    chord_token tokens[PROMPT];
    chord_model_info info;
    chord_model_get_info(model, &info);
    fill_prompt(tokens, info.vocabulary);
    int32_t n = plan.context < PROMPT ? plan.context : PROMPT;
    cr_assert_eq(chord_session_eval(s, tokens, n, 1), CHORD_OK, "%s", chord_session_error(s));
    chord_generate_desc generate = {.ignore_end = true};
    chord_generate_result result;
    cr_assert_eq(chord_session_generate(s, &generate, &result), CHORD_OK);
    cr_assert_eq(result.finish, CHORD_FINISH_CONTEXT);
    cr_assert_eq(n + result.tokens, plan.context);
    chord_session_close(s);
    for (uint8_t *p = block; p < memory; p++)
        cr_assert_eq(*p, 0xa5, "a byte before the arena was written");
    munmap(block, mapped);
}

static void claim_plans(const chord_model *model) {
    claim_plan(model, (chord_session_desc){.context = 0});
    claim_plan(model, (chord_session_desc){.context = 1});
    claim_plan(model, (chord_session_desc){.context = 65, .lanes = 3, .batch = 7});
    claim_plan(model, (chord_session_desc){
                          .context = 100, .lanes = 2, .logits_rows = 20, .kv = CHORD_KV_F32});
}

static void claim_plan_of_type(const chord_model *model, ch_type type) {
    (void)type;
    claim_plans(model);
}

Test(engine, plan_equals_arena_used) {
    each_type(claim_plan_of_type);
}

static void claim_plan_with_tiles(const chord_model *model, ch_type type) {
    (void)type;
    claim_plan(model, (chord_session_desc){.context = 150, .cpu = "amx"});
    claim_plan(model, (chord_session_desc){.context = 150, .lanes = 3, .batch = 99, .cpu = "amx"});
}

Test(engine, plan_equals_arena_used_with_tiles) {
    if (!has_tiles()) cr_skip_test("no AMX here");
    each_type(claim_plan_with_tiles);
}

Test(engine, plan_equals_arena_used_for_every_golden_model) {
    const char *shared = getenv("CHORD_SHARED");
    char path[512];
    int32_t opened = 0;
    const char *names[] = {"arch/llama",
                           "arch/llama-tied-hd24",
                           "arch/llama3-ropefreqs",
                           "arch/llama-linear-rope",
                           "arch/llama-yarn",
                           "quant/f16",
                           "quant/bf16",
                           "quant/q4_0",
                           "quant/q4_1",
                           "quant/q5_0",
                           "quant/q5_1",
                           "quant/q8_0",
                           "quant/q2_k",
                           "quant/q3_k_s",
                           "quant/q3_k_m",
                           "quant/q4_k_s",
                           "quant/q4_k_m",
                           "quant/q5_k_s",
                           "quant/q5_k_m",
                           "quant/q6_k",
                           "stories260k"};
    for (size_t i = 0; i < CH_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/golden/%s/model.gguf", shared ? shared : "../shared",
                 names[i]);
        if (access(path, R_OK) != 0) continue;
        chord_model *model = NULL;
        chord_error error;
        cr_assert_eq(chord_model_open(&(chord_model_desc){.path = path}, &model, &error), CHORD_OK,
                     "%s", error.message);
        claim_plans(model);
        chord_model_close(model);
        opened++;
    }
    if (opened == 0) cr_skip_test("the golden models are not here");
    cr_assert_eq(opened, (int32_t)CH_COUNT(names));
}

Test(engine, model_tables_fit_exactly_the_memory_asked_for) {
    gguf_builder b;
    gb_model m = {.seed = 3};
    gb_build_model(&b, &m);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    chord_model *model = NULL;
    chord_error error;
    chord_model_desc desc = {.data = data, .data_bytes = bytes};
    cr_assert_eq(chord_model_open(&desc, &model, &error), CHORD_OK, "%s", error.message);
    chord_model_info info;
    chord_model_get_info(model, &info);
    chord_model_close(model);
    uint8_t *block;
    size_t mapped;
    desc.memory = guarded((size_t)info.table_bytes, &block, &mapped);
    desc.memory_bytes = (size_t)info.table_bytes - 1;
    cr_assert_eq(chord_model_open(&desc, &model, &error), CHORD_ERROR_MEMORY);
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)info.table_bytes);
    cr_assert_not_null(strstr(error.message, wanted), "%s", error.message);
    desc.memory_bytes = (size_t)info.table_bytes;
    cr_assert_eq(chord_model_open(&desc, &model, &error), CHORD_OK, "%s", error.message);
    chord_model_close(model);
    munmap(block, mapped);
    gb_close(&b);
}

Test(engine, budget_picks_the_context_that_fits_or_refuses_with_the_need) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    chord_plan_table small, large, fit;
    chord_error error;
    cr_assert_eq(chord_plan(f.model, &(chord_session_desc){.context = 64}, &small, &error),
                 CHORD_OK);
    cr_assert_eq(chord_plan(f.model, &(chord_session_desc){.context = 256}, &large, &error),
                 CHORD_OK);
    chord_session_desc desc = {.memory_budget = (small.arena_bytes + large.arena_bytes) / 2};
    cr_assert_eq(chord_plan(f.model, &desc, &fit, &error), CHORD_OK, "%s", error.message);
    cr_assert(fit.context >= 64 && fit.context < 256 && fit.arena_bytes <= desc.memory_budget);
    desc.memory_budget = small.arena_bytes - 1;
    cr_assert_eq(chord_plan(f.model, &desc, &fit, &error), CHORD_ERROR_MEMORY);
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)small.arena_bytes);
    cr_assert_not_null(strstr(error.message, wanted), "%s", error.message);
    fixture_close(&f);
}

// ---- sessions

Test(engine, sync_keeps_the_common_prefix) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    chord_session *s = session_open(f.model, (chord_session_desc){.context = 128});
    chord_token tokens[PROMPT];
    fill_prompt(tokens, 300);
    cr_assert_eq(chord_session_sync(s, tokens, 40), CHORD_OK);
    chord_stats before, after;
    chord_session_get_stats(s, &before);
    tokens[30] = 5;
    cr_assert_eq(chord_session_sync(s, tokens, 50), CHORD_OK);
    chord_session_get_stats(s, &after);
    cr_assert_eq(after.prefill_tokens - before.prefill_tokens, 20);
    int32_t count = 0;
    const chord_token *held = chord_session_tokens(s, &count);
    cr_assert_eq(count, 50);
    cr_assert_eq(memcmp(held, tokens, sizeof *tokens * 50), 0);
    float *kept = malloc(300 * sizeof(float));
    memcpy(kept, chord_session_logits(s, 0), 300 * sizeof(float));
    cr_assert_eq(chord_session_sync(s, tokens, 50), CHORD_OK); // nothing new: the last token again
    cr_assert_eq(memcmp(kept, chord_session_logits(s, 0), 300 * sizeof(float)), 0);
    free(kept);
    chord_session_close(s);
    fixture_close(&f);
}

Test(engine, rows_of_logits_are_those_of_single_steps) {
    fixture f;
    typed_open(&f, CH_TYPE_Q8_0);
    chord_session *many =
        session_open(f.model, (chord_session_desc){.logits_rows = 20, .batch = 24});
    chord_session *one = session_open(f.model, (chord_session_desc){0});
    chord_token tokens[PROMPT];
    fill_prompt(tokens, 300);
    cr_assert_eq(chord_session_eval(many, tokens, 60, 20), CHORD_OK, "%s",
                 chord_session_error(many));
    for (int32_t i = 0; i < 60; i++) {
        cr_assert_eq(chord_session_eval(one, tokens + i, 1, 1), CHORD_OK);
        if (i >= 40)
            cr_assert_eq(
                memcmp(chord_session_logits(many, i - 40), chord_session_logits(one, 0), 300 * 4),
                0);
    }
    cr_assert_null(chord_session_logits(many, 20));
    cr_assert_null(chord_session_logits(many, -1));
    cr_assert_eq(chord_session_eval(many, tokens, 4, 21), CHORD_ERROR_ARGUMENT);
    chord_session_close(many);
    chord_session_close(one);
    fixture_close(&f);
}

Test(engine, a_full_context_is_a_clear_stop) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    chord_session *s = session_open(f.model, (chord_session_desc){.context = 32});
    chord_token tokens[PROMPT];
    fill_prompt(tokens, 300);
    cr_assert_eq(chord_session_eval(s, tokens, 33, 1), CHORD_ERROR_CONTEXT_FULL);
    cr_assert_not_null(strstr(chord_session_error(s), "context of 32"));
    cr_assert_eq(chord_session_eval(s, tokens, 30, 1), CHORD_OK);
    cr_assert_eq(chord_session_eval(s, tokens, 3, 1), CHORD_ERROR_CONTEXT_FULL);
    int32_t count = 0;
    chord_session_tokens(s, &count);
    cr_assert_eq(count, 30); // nothing was lost
    chord_generate_result result;
    cr_assert_eq(chord_session_generate(s, &(chord_generate_desc){.ignore_end = true}, &result),
                 CHORD_OK);
    cr_assert_eq(result.finish, CHORD_FINISH_CONTEXT);
    cr_assert_eq(result.tokens, 2);
    chord_session_close(s);
    fixture_close(&f);
}

Test(engine, bad_tokens_are_refused_before_anything_changes) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    chord_session *s = session_open(f.model, (chord_session_desc){0});
    chord_token bad[] = {1, 300, 2}, negative[] = {-1}, token;
    cr_assert_eq(chord_session_eval(s, bad, 3, 1), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_session_eval(s, negative, 1, 1), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_session_eval(s, NULL, 1, 1), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_session_eval(s, bad, -1, 0), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_session_sync(s, NULL, 0), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_session_sample(s, &token), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_session_rewind(s, 1), CHORD_ERROR_ARGUMENT);
    int32_t count = 1;
    chord_session_tokens(s, &count);
    cr_assert_eq(count, 0);
    chord_session_close(s);
    fixture_close(&f);
}

Test(engine, descs_out_of_range_are_refused_by_name) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    const struct {
        chord_session_desc desc;
        const char *says;
    } cases[] = {
        {{.context = -1}, "context"},
        {{.context = 1 << 30}, "context"},
        {{.batch = -1}, "batch"},
        {{.batch = 5000}, "batch"},
        {{.lanes = 65}, "lanes"},
        {{.lanes = -2}, "lanes"},
        {{.kv = (chord_kv)9}, "kv"},
        {{.cpu = "mmx"}, "mmx"},
        {{.logits_rows = -1}, "logits_rows"},
        {{.sampler = {.temperature = -1}}, "temperature"},
        {{.sampler = {.temperature = NAN}}, "temperature"},
        {{.sampler = {.top_p = NAN}}, "top_p"},
        {{.sampler = {.top_k = -1}}, "top_k"},
        {{.sampler = {.min_p = 2}}, "min_p"},
        {{.sampler = {.repeat_window = -2}}, "repeat_window"},
    };
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        chord_session *s = NULL;
        chord_error error;
        cr_assert_neq(chord_session_open(f.model, &cases[i].desc, &s, &error), CHORD_OK, "%s",
                      cases[i].says);
        cr_assert_null(s);
        cr_assert_not_null(strstr(error.message, cases[i].says), "%s: %s", cases[i].says,
                           error.message);
    }
    fixture_close(&f);
}

static int stop_at_once(void *user, int32_t done, int32_t total) {
    (void)done;
    (void)total;
    ++*(int *)user;
    return 1;
}

Test(engine, a_callback_can_stop_a_prefill) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    int calls = 0;
    chord_session *s = session_open(
        f.model, (chord_session_desc){.on_progress = stop_at_once, .user = &calls, .lanes = 2});
    chord_token tokens[PROMPT];
    fill_prompt(tokens, 300);
    for (int32_t round = 1; round <= 200; round++) { // often: a race between the lanes would hang
        cr_assert_eq(chord_session_eval(s, tokens, PROMPT, 1), CHORD_ERROR_STOPPED);
        cr_assert_eq(calls, round);
        int32_t count = 1;
        chord_session_tokens(s, &count);
        cr_assert_eq(count, 0);
        cr_assert_null(chord_session_logits(s, 0));
    }
    cr_assert_eq(chord_session_eval(s, tokens, 5, 1), CHORD_OK); // short steps are not asked about
    chord_session_close(s);
    fixture_close(&f);
}

typedef struct text_sink {
    char text[4096];
    size_t bytes;
    int calls, stop_after;
} text_sink;

static int take_text(void *user, const char *text, size_t bytes) {
    text_sink *sink = user;
    cr_assert(bytes > 0 && sink->bytes + bytes < sizeof sink->text);
    cr_assert_neq((uint8_t)text[0] & 0xc0, 0x80, "a piece begins inside of a character");
    memcpy(sink->text + sink->bytes, text, bytes);
    sink->bytes += bytes;
    return ++sink->calls == sink->stop_after;
}

static void generate_drafted(const chord_model *model, chord_sampler sampler, int32_t lanes,
                             int32_t draft, text_sink *sink, chord_stats *stats) {
    chord_session_desc desc = {.sampler = sampler, .lanes = lanes, .draft = draft};
    chord_session *s = session_open(model, desc);
    chord_token start[] = {1, 270};
    cr_assert_eq(chord_session_eval(s, start, 2, 1), CHORD_OK);
    chord_generate_desc generate = {
        .max_tokens = 60, .ignore_end = true, .on_text = take_text, .user = sink};
    chord_generate_result result;
    cr_assert_eq(chord_session_generate(s, &generate, &result), CHORD_OK);
    int32_t count = 0;
    chord_session_tokens(s, &count);
    cr_assert_eq(count, 2 + result.tokens);
    chord_session_get_stats(s, stats);
    chord_session_close(s);
}

static void generate_text(const chord_model *model, uint64_t seed, int32_t lanes, text_sink *sink) {
    chord_sampler sampler = {.temperature = 1.0f, .top_k = 100, .top_p = 0.95f, .seed = seed};
    chord_stats stats;
    generate_drafted(model, sampler, lanes, 0, sink, &stats);
}

Test(engine, drafts_do_not_change_the_text) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    int32_t right = 0, wrong = 0;
    for (uint64_t seed = 0; seed < 12; seed++) {
        // Greedy text of random weights soon goes round in circles; a little warmth breaks them.
        chord_sampler sampler = {.temperature = seed % 3 == 0 ? 0 : 0.02f * (float)seed,
                                 .seed = seed};
        static text_sink plain, drafted;
        chord_stats stats;
        memset(&plain, 0, sizeof plain);
        generate_drafted(f.model, sampler, 1, 0, &plain, &stats);
        cr_assert_eq(stats.drafted_tokens, 0);
        cr_assert_eq(stats.decode_tokens, 60);
        for (int32_t draft = 1; draft <= 7; draft += 3) {
            memset(&drafted, 0, sizeof drafted);
            generate_drafted(f.model, sampler, 2, draft, &drafted, &stats);
            cr_assert(drafted.bytes == plain.bytes &&
                      memcmp(drafted.text, plain.text, plain.bytes) == 0);
            cr_assert_eq(stats.decode_tokens, 60);
            right += stats.accepted_tokens;
            wrong += stats.drafted_tokens - stats.accepted_tokens;
        }
    }
    cr_assert(right > 0 && wrong > 0, "%d right, %d wrong: one of the cases was not tried", right,
              wrong);
    fixture_close(&f);
}

Test(engine, the_same_seed_gives_the_same_text) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    static text_sink a, b, c;
    generate_text(f.model, 42, 1, &a);
    generate_text(f.model, 42, 3, &b);
    generate_text(f.model, 43, 1, &c);
    cr_assert(a.bytes > 0 && a.bytes == b.bytes && memcmp(a.text, b.text, a.bytes) == 0);
    cr_assert(a.bytes != c.bytes || memcmp(a.text, c.text, a.bytes) != 0);
    fixture_close(&f);
}

Test(engine, text_is_valid_utf8_whatever_bytes_the_model_writes) {
    fixture f; // random weights over a vocabulary with 256 byte tokens: mostly nonsense bytes
    typed_open(&f, CH_TYPE_F32);
    for (uint64_t seed = 0; seed < 8; seed++) {
        static text_sink sink;
        memset(&sink, 0, sizeof sink);
        generate_text(f.model, seed, 1, &sink);
        for (size_t i = 0; i < sink.bytes;) {
            uint8_t b = (uint8_t)sink.text[i++];
            int rest = b < 0x80                ? 0
                       : b >= 0xc2 && b < 0xe0 ? 1
                       : b >= 0xe0 && b < 0xf0 ? 2
                       : b >= 0xf0 && b < 0xf5 ? 3
                                               : -1;
            cr_assert_geq(rest, 0);
            for (; rest > 0; rest--)
                cr_assert(i < sink.bytes && ((uint8_t)sink.text[i++] & 0xc0) == 0x80);
        }
    }
    fixture_close(&f);
}

Test(engine, a_callback_can_stop_the_text) {
    fixture f;
    typed_open(&f, CH_TYPE_F32);
    text_sink sink = {.stop_after = 3};
    chord_session *s =
        session_open(f.model, (chord_session_desc){.sampler = {.temperature = 2, .seed = 5}});
    chord_token start[] = {1};
    cr_assert_eq(chord_session_eval(s, start, 1, 1), CHORD_OK);
    chord_generate_result result;
    chord_generate_desc generate = {
        .max_tokens = 100, .ignore_end = true, .on_text = take_text, .user = &sink};
    cr_assert_eq(chord_session_generate(s, &generate, &result), CHORD_OK);
    cr_assert_eq(result.finish, CHORD_FINISH_STOPPED);
    cr_assert_eq(sink.calls, 3);
    int32_t count = 0;
    chord_session_tokens(s, &count);
    cr_assert_eq(count, 1 + result.tokens); // what was written is held
    chord_session_close(s);
    fixture_close(&f);
}

Test(engine, several_sessions_share_a_model) {
    fixture f, g;
    typed_open(&f, CH_TYPE_F32);
    typed_open(&g, CH_TYPE_Q6_K);
    uint64_t alone = hash_of(f.model, (chord_session_desc){.lanes = 2}, PROMPT);
    chord_session *other = session_open(f.model, (chord_session_desc){.lanes = 2});
    chord_session *third = session_open(g.model, (chord_session_desc){.lanes = 2});
    chord_token tokens[PROMPT];
    fill_prompt(tokens, 300);
    cr_assert_eq(chord_session_eval(other, tokens, 20, 1), CHORD_OK);
    cr_assert_eq(chord_session_eval(third, tokens, 20, 1), CHORD_OK);
    cr_assert_eq(hash_of(f.model, (chord_session_desc){.lanes = 2}, PROMPT), alone);
    chord_session_close(other);
    chord_session_close(third);
    fixture_close(&f);
    fixture_close(&g);
}

Test(engine, the_graph_tells_its_ops) {
    fixture f;
    typed_open(&f, CH_TYPE_Q4_K);
    chord_session *s = session_open(f.model, (chord_session_desc){0});
    chord_op_info op;
    uint64_t weight_bytes = 0;
    int32_t n = chord_session_op_count(s);
    for (int32_t i = 0; i < n; i++) {
        cr_assert_eq(chord_session_get_op(s, i, &op), CHORD_OK);
        cr_assert(op.name[0] && op.kind[0] && op.shape[0] && op.bytes > 0);
        if (strcmp(op.kind, "matmul") == 0) weight_bytes += op.bytes;
    }
    cr_assert(op.barrier);
    cr_assert_eq(chord_session_get_op(s, n, &op), CHORD_ERROR_ARGUMENT);
    chord_model_info info;
    chord_model_get_info(f.model, &info);
    cr_assert(weight_bytes > info.tensor_bytes / 2 && weight_bytes < info.tensor_bytes * 2);
    chord_session_close(s);
    fixture_close(&f);
}

// ---- measuring

Test(engine, a_profile_changes_no_bit_and_adds_up) {
    fixture f;
    typed_open(&f, CH_TYPE_Q4_K);
    for (int32_t lanes = 1; lanes <= 3; lanes += 2) {
        chord_session_desc desc = {.lanes = lanes, .batch = 16};
        uint64_t plain = hash_of(f.model, desc, PROMPT);
        desc.profile = true;
        cr_assert_eq(hash_of(f.model, desc, PROMPT), plain);
        chord_session *s = session_open(f.model, desc);
        chord_token tokens[PROMPT];
        fill_prompt(tokens, 300);
        cr_assert_eq(chord_session_eval(s, tokens, 20, 1), CHORD_OK);
        cr_assert_eq(chord_session_eval(s, tokens + 20, 1, 1), CHORD_OK);
        chord_stats stats;
        chord_op_info op;
        double sum = 0;
        int32_t timed = 0;
        chord_session_get_stats(s, &stats);
        for (int32_t i = 0; chord_session_get_op(s, i, &op) == CHORD_OK; i++) {
            cr_assert(op.seconds >= 0);
            timed += op.seconds > 0;
            sum += op.seconds;
        }
        cr_assert(timed > chord_session_op_count(s) / 2);
        cr_assert(sum <= stats.prefill_seconds + stats.decode_seconds);
        chord_session_close(s);
    }
    fixture_close(&f);
}

Test(engine, without_a_profile_nothing_is_kept) {
    fixture f;
    chord_plan_table plain, profiled;
    typed_open(&f, CH_TYPE_F32);
    cr_assert_eq(chord_plan(f.model, &(chord_session_desc){.lanes = 2}, &plain, NULL), CHORD_OK);
    cr_assert_eq(
        chord_plan(f.model, &(chord_session_desc){.lanes = 2, .profile = true}, &profiled, NULL),
        CHORD_OK);
    cr_assert(profiled.arena_bytes > plain.arena_bytes);
    chord_session *s = session_open(f.model, (chord_session_desc){.lanes = 2});
    chord_token token = 3;
    chord_op_info op;
    cr_assert_eq(chord_session_eval(s, &token, 1, 1), CHORD_OK);
    for (int32_t i = 0; chord_session_get_op(s, i, &op) == CHORD_OK; i++)
        cr_assert(op.seconds == 0);
    chord_session_close(s);
    fixture_close(&f);
}

Test(engine, a_need_moves_weights_once_a_batch_and_activations_once_a_token) {
    chord_op_info op = {.kind = "matmul",
                        .kernel = "matvec_q4_0__c",
                        .bytes = 1100,
                        .weight_bytes = 1000,
                        .flops = 4000};
    ch_need need = {0};
    ch_need_add(&need, &op, 10, 0, 4, true); // three batches
    cr_assert_float_eq(need.bytes, 3 * 1000 + 10 * 100, 1e-9);
    cr_assert_float_eq(need.macs[CH_LIMIT_INT8], 10 * 2000, 1e-9);
    memset(&need, 0, sizeof need);
    ch_need_add(&need, &op, 10, 500, 4, false);
    cr_assert_float_eq(need.bytes, 10 * 1100, 1e-9);
    op.logits_only = true;
    memset(&need, 0, sizeof need);
    ch_need_add(&need, &op, 10, 0, 4, true); // the last token alone
    cr_assert_float_eq(need.bytes, 1100, 1e-9);
    chord_op_info attention = {
        .kind = "attention", .bytes = 10, .bytes_per_position = 8, .flops_per_position = 6};
    memset(&need, 0, sizeof need);
    ch_need_add(&need, &attention, 3, 100, 4, false); // positions 100, 101, 102
    cr_assert_float_eq(need.bytes, 3 * 10 + 303 * 8, 1e-9);
    cr_assert_float_eq(need.macs[CH_LIMIT_F32], 303 * 3, 1e-9);
    attention.logits_only = true;
    memset(&need, 0, sizeof need);
    ch_need_add(&need, &attention, 3, 100, 4, true); // position 102, behind 102 others
    cr_assert_float_eq(need.bytes, 10 + 103 * 8, 1e-9);
    cr_assert_float_eq(need.macs[CH_LIMIT_F32], 102 * 3, 1e-9);
}

Test(engine, the_limit_that_takes_longest_binds) {
    ch_need need = {.bytes = 100};
    double limits[CH_LIMIT_COUNT] = {10, 100, 50, 25};
    ch_limit binds = CH_LIMIT_COUNT;
    need.macs[CH_LIMIT_INT8] = 200;
    need.macs[CH_LIMIT_F32] = 50;
    cr_assert_float_eq(ch_need_seconds(&need, limits, &binds), 10, 1e-9);
    cr_assert_eq(binds, CH_LIMIT_READ);
    need.macs[CH_LIMIT_INT8] = 2000; // 20 s, and 1 s in floats
    cr_assert_float_eq(ch_need_seconds(&need, limits, &binds), 21, 1e-9);
    cr_assert_eq(binds, CH_LIMIT_INT8);
    need.macs[CH_LIMIT_INT8] = 0;
    need.macs[CH_LIMIT_BF16] = 5000; // at the speed of floats, which is higher here
    cr_assert_float_eq(ch_need_seconds(&need, limits, &binds), 101, 1e-9);
    cr_assert_eq(binds, CH_LIMIT_BF16);
}

Test(engine, bench_fills_its_result) {
    fixture f;
    typed_open(&f, CH_TYPE_Q8_0);
    chord_bench_desc bench = {.prompt = 16, .write = 4, .rounds = 2};
    chord_bench_result r;
    chord_error error;
    chord_session_desc desc = {.lanes = 2};
    cr_assert_eq(chord_bench(f.model, &desc, &bench, &r, &error), CHORD_OK, "%s", error.message);
    cr_assert(r.prompt.tokens_per_second > 0 && r.write.tokens_per_second > 0);
    cr_assert(r.prompt.roof_share > 0 && r.write.roof_share > 0 && r.write.bytes_per_second > 0);
    cr_assert(r.read_limit > 0 && r.int8_limit > 0 && r.f32_limit > 0 && r.bf16_limit > 0);
    cr_assert(r.lanes == 2 && r.prompt.limit[0] && r.write.limit[0]);
    cr_assert(strncmp(r.verdict, "Writes ", 7) == 0, "%s", r.verdict);
    bench.write = -1;
    cr_assert_eq(chord_bench(f.model, &desc, &bench, &r, &error), CHORD_OK);
    cr_assert(r.write.tokens_per_second == 0 && !r.write.limit[0]);
    cr_assert(strncmp(r.verdict, "Reads ", 6) == 0, "%s", r.verdict);
    bench.prompt = -1;
    cr_assert_eq(chord_bench(f.model, &desc, &bench, &r, &error), CHORD_ERROR_ARGUMENT);
    bench.prompt = 1 << 20;
    cr_assert_eq(chord_bench(f.model, &desc, &bench, &r, &error), CHORD_ERROR_ARGUMENT);
    bench.prompt = 16;
    desc.context = 8;
    cr_assert_eq(chord_bench(f.model, &desc, &bench, &r, &error), CHORD_ERROR_CONTEXT_FULL);
    cr_assert(strstr(error.message, "context of 8"), "%s", error.message);
    desc.cpu = "sse9";
    cr_assert_eq(chord_bench(f.model, &desc, &bench, &r, &error), CHORD_ERROR_ARGUMENT);
    fixture_close(&f);
}

// ---- the sampler

enum { N = 8 };
static const float logits[N] = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.5f, 2.5f, -2.0f};

static void draw(const chord_sampler *s, const float *from, int32_t times, int32_t *counts) {
    ch_random random;
    ch_candidate room[N];
    ch_random_seed(&random, s->seed);
    memset(counts, 0, N * sizeof *counts);
    for (int32_t i = 0; i < times; i++) {
        chord_token t = ch_sampler_choose(s, &random, from, N, NULL, 0, room);
        cr_assert(t >= 0 && t < N);
        counts[t]++;
    }
}

Test(sampler, greedy_takes_the_first_of_the_most_likely) {
    int32_t counts[N];
    draw(&(chord_sampler){0}, logits, 10, counts);
    cr_assert_eq(counts[1], 10);
}

Test(sampler, top_k_keeps_exactly_k) {
    int32_t counts[N];
    draw(&(chord_sampler){.temperature = 5, .top_k = 3}, logits, 3000, counts);
    cr_assert(counts[1] > 0 && counts[3] > 0 && counts[6] > 0);
    cr_assert_eq(counts[1] + counts[3] + counts[6], 3000);
    draw(&(chord_sampler){.temperature = 5, .top_k = 1}, logits, 100, counts);
    cr_assert_eq(counts[1], 100);
    draw(&(chord_sampler){.temperature = 5, .top_k = 1000}, logits, 3000, counts);
    for (int32_t i = 0; i < N; i++) cr_assert(counts[i] > 0);
}

Test(sampler, top_p_keeps_the_smallest_set_that_reaches_p) {
    int32_t counts[N];
    // Probabilities at temperature 1: 1 and 3 have 0.31 each, 6 has 0.19, 2 has 0.11, ...
    draw(&(chord_sampler){.temperature = 5, .top_p = 0.6f}, logits, 3000, counts);
    cr_assert_eq(counts[1] + counts[3], 3000);
    draw(&(chord_sampler){.temperature = 5, .top_p = 0.7f}, logits, 3000, counts);
    cr_assert(counts[6] > 0 && counts[1] + counts[3] + counts[6] == 3000);
    draw(&(chord_sampler){.temperature = 5, .top_k = 4, .top_p = 0.6f}, logits, 3000, counts);
    cr_assert_eq(counts[1] + counts[3], 3000);
}

Test(sampler, min_p_drops_what_is_much_less_likely) {
    int32_t counts[N];
    draw(&(chord_sampler){.temperature = 5, .min_p = 0.5f}, logits, 3000,
         counts); // exp(-0.5) = 0.61 stays
    cr_assert(counts[6] > 0 && counts[1] + counts[3] + counts[6] == 3000);
}

Test(sampler, temperature_follows_the_softmax) {
    int32_t counts[N];
    draw(&(chord_sampler){.temperature = 0.7f, .seed = 9}, logits, 100000, counts);
    double sum = 0;
    for (int32_t i = 0; i < N; i++) sum += exp(logits[i] / 0.7);
    for (int32_t i = 0; i < N; i++) {
        double p = exp(logits[i] / 0.7) / sum, sigma = sqrt(p * (1 - p) * 100000);
        cr_assert_lt(fabs(counts[i] - p * 100000), 5 * sigma + 1, "token %d: %d", (int)i,
                     (int)counts[i]);
    }
}

Test(sampler, the_penalty_counts_the_window_alone_and_each_token_once) {
    ch_random random;
    ch_candidate room[N];
    ch_random_seed(&random, 0);
    chord_token recent[] = {1, 1, 3, 5};
    chord_sampler s = {.repeat_penalty = 1.1f};
    cr_assert_eq(ch_sampler_choose(&s, &random, logits, N, recent, 4, room),
                 1); // 2.73 each: the smaller id
    s.repeat_penalty = 1.3f;
    cr_assert_eq(ch_sampler_choose(&s, &random, logits, N, recent, 4, room), 6); // 2.31 < 2.5
    s.repeat_window = 2;
    cr_assert_eq(ch_sampler_choose(&s, &random, logits, N, recent, 4, room),
                 1); // out of the window
    cr_assert_float_eq(room[5].logit, 0.5f / 1.3f, 1e-6f);
    float negative[N] = {-1, -1, -1, -1, -1, -1, -1, -1};
    s.repeat_window = -1;
    cr_assert_eq(ch_sampler_choose(&s, &random, negative, N, recent, 4, room), 0);
    cr_assert_float_eq(room[1].logit, -1.3f, 1e-6f);
}

Test(sampler, strange_logits_give_a_token) {
    int32_t counts[N];
    const float bad[][N] = {
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN},
        {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY},
        {INFINITY, 1, 2, INFINITY, 3, 4, 5, 6},
        {0, 0, 0, 0, 0, 0, 0, 0},
        {NAN, 1, NAN, 2, NAN, 3, NAN, 4},
        {3e38f, -3e38f, 3e38f, -3e38f, 0, 0, 0, 0},
    };
    const chord_sampler samplers[] = {
        {0},
        {.temperature = 1},
        {.temperature = 1e-30f, .top_k = 3},
        {.temperature = 1, .top_p = 0.5f, .min_p = 0.1f, .repeat_penalty = 2}};
    for (size_t i = 0; i < CH_COUNT(bad); i++)
        for (size_t j = 0; j < CH_COUNT(samplers); j++) draw(&samplers[j], bad[i], 50, counts);
    draw(&samplers[1], bad[4], 1000, counts);
    cr_assert_eq(counts[0] + counts[2] + counts[4] + counts[6], 0); // NaN is never drawn
}

// Few different logits, so that many are equal, and some that are none.
static float rough_logit(ch_random *random) {
    uint32_t x = ch_random_next(random) % 48;
    return x == 0 ? NAN : x == 1 ? -INFINITY : x == 2 ? -0.0f : ((float)x - 32.0f) / 8.0f;
}

static int compare_candidates(const void *a, const void *b) {
    const ch_candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

// By the order of the logits alone: what another device is to find.
static void sort_candidates(const float *from, int32_t n, ch_candidate *sorted) {
    for (int32_t i = 0; i < n; i++) {
        sorted[i].logit = from[i] >= -INFINITY ? from[i] : -INFINITY;
        sorted[i].id = i;
    }
    qsort(sorted, (size_t)n, sizeof *sorted, compare_candidates);
}

Test(sampler, as_many_of_the_best_as_it_wants_give_the_token_of_all) {
    enum { MOST = 500, RECENT = 90 };
    static const float penalties[] = {0, 1, 1.1f, 3, 0.5f};
    static float from[MOST];
    static ch_candidate sorted[MOST], room[MOST];
    chord_token recent[RECENT];
    int32_t fewer = 0;
    ch_random r;
    ch_random_seed(&r, 3);
    for (int32_t round = 0; round < 4000; round++) {
        int32_t n = 1 + (int32_t)(ch_random_next(&r) % MOST), count = round % RECENT;
        for (int32_t i = 0; i < n; i++) from[i] = rough_logit(&r);
        for (int32_t i = 0; i < count; i++) recent[i] = (chord_token)(ch_random_next(&r) % MOST);
        chord_sampler s = {.temperature = (float)(round % 4) * 0.6f,
                           .top_k = round % 7 ? 1 + (int32_t)(ch_random_next(&r) % 60) : 0,
                           .top_p = (float)(ch_random_next(&r) % 5) * 0.25f,
                           .min_p = (float)(ch_random_next(&r) % 3) * 0.05f,
                           .repeat_penalty = penalties[round % 5],
                           .repeat_window = (int32_t)(ch_random_next(&r) % 40) - 1};
        int32_t enough = ch_sampler_enough(&s, n, count);
        cr_assert(enough >= 1 && enough <= n);
        if (enough == n) continue;
        fewer++;
        sort_candidates(from, n, sorted);
        for (int32_t i = enough - 1; i > 0; i--) { // in any order
            uint32_t other = ch_random_next(&r) % (uint32_t)(i + 1);
            ch_candidate one = sorted[i];
            sorted[i] = sorted[other];
            sorted[other] = one;
        }
        ch_random a, b;
        ch_random_seed(&a, (uint64_t)round);
        b = a;
        for (int32_t i = 0; i < 4; i++) {
            chord_token all = ch_sampler_choose(&s, &a, from, n, recent, count, room);
            cr_assert_eq(ch_sampler_choose_best(&s, &b, sorted, enough, recent, count, room), all,
                         "round %d", (int)round);
            cr_assert_eq(a.state, b.state);
        }
    }
    cr_expect_gt(fewer, 2000);
}

Test(sampler, the_random_numbers_are_pcg32) {
    // The first outputs of the demo of the PCG reference: seed 42, stream 54.
    const uint32_t expected[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330,
                                 0x83d2f293, 0xbfa4784b, 0xcbed606e};
    ch_random random;
    ch_random_seed(&random, 42);
    for (size_t i = 0; i < CH_COUNT(expected); i++)
        cr_assert_eq(ch_random_next(&random), expected[i]);
}
