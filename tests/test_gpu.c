// test_gpu: what a session promises on a GPU: the CPU's results within rounding, the planned memory
// and no more, the CPU where it cannot. Without a driver every test but those of refusals is
// skipped.
#include "fixture.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

// ---- models and sessions

static chord_device_info device_of(const chord_session *session) {
    static chord_device_info info;
    chord_session_get_device(session, &info);
    return info;
}

static void skip_without_driver(void) {
    static chord_device_info info;
    for (int32_t i = 0; chord_get_device(i, &info); i++)
        if (info.usable) return;
    cr_skip_test("there is no driver for OpenGL ES 3.1");
}

static void fill(chord_token *tokens, int32_t n) {
    for (int32_t i = 0; i < n; i++) tokens[i] = (i * 37 + 11) % 300;
}

// Root of the mean square of the difference, by the spread of `want`.
static double difference(const float *got, const float *want, size_t n) {
    double mean = 0, spread = 0, sum = 0;
    for (size_t i = 0; i < n; i++) mean += (double)want[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        spread += pow((double)want[i] - mean, 2);
        sum += pow((double)got[i] - (double)want[i], 2);
    }
    return sqrt(sum / spread);
}

// With f16 caches, a key may be rounded the other way; activations of the CPU have 8 bits for
// quantized weights.
static double tolerance(ch_type type) {
    return type == CH_TYPE_F32 || type == CH_TYPE_F16 || type == CH_TYPE_BF16 ? 1e-3 : 6e-2;
}

enum { TOKENS = 40, CUT = 17 };

// The logits of a few tokens, evaluated in pieces, on both.
static void compare(fixture *f, chord_session_desc desc, double most, const char *name) {
    chord_token tokens[TOKENS];
    fill(tokens, TOKENS);
    chord_session_desc cpu = desc;
    cpu.device = CHORD_DEVICE_CPU;
    chord_session *a = session_open(f->model, desc), *b = session_open(f->model, cpu);
    const int32_t cuts[] = {CUT, 1, 1, 2, 3, TOKENS - CUT - 7}, logits[] = {3, 1, 0, 0, 3, 3};
    chord_model_info info;
    chord_model_get_info(f->model, &info);
    for (size_t i = 0, at = 0; i < CH_COUNT(cuts); at += (size_t)cuts[i], i++) {
        int32_t rows = logits[i];
        cr_assert_eq(chord_session_eval(a, tokens + at, cuts[i], rows), CHORD_OK, "%s",
                     chord_session_error(a));
        cr_assert_eq(chord_session_eval(b, tokens + at, cuts[i], rows), CHORD_OK);
        for (int32_t r = 0; r < rows; r++) {
            double d = difference(chord_session_logits(a, r), chord_session_logits(b, r),
                                  (size_t)info.vocabulary);
            cr_expect(d < most, "%s: row %d of piece %d is off by %g", name, r, (int)i, d);
        }
    }
    chord_session_close(a);
    chord_session_close(b);
}

static const ch_type all_types[] = {CH_TYPE_F32,  CH_TYPE_F16,  CH_TYPE_Q4_0, CH_TYPE_Q4_1,
                                    CH_TYPE_Q5_0, CH_TYPE_Q5_1, CH_TYPE_Q8_0, CH_TYPE_Q2_K,
                                    CH_TYPE_Q3_K, CH_TYPE_Q4_K, CH_TYPE_Q5_K, CH_TYPE_Q6_K,
                                    CH_TYPE_BF16};

Test(gpu, every_type_gives_the_logits_of_the_cpu) {
    skip_without_driver();
    for (size_t i = 0; i < CH_COUNT(all_types); i++) {
        fixture f;
        fixture_open(&f, (gb_model){.type = all_types[i], .embedding = 256, .feed_forward = 256});
        compare(&f,
                (chord_session_desc){
                    .device = CHORD_DEVICE_GPU_ONLY, .logits_rows = 3, .gpu_minimums = i % 2},
                tolerance(all_types[i]), ch_type_get(all_types[i])->name);
        fixture_close(&f);
    }
}

Test(gpu, every_cache_and_shape_gives_the_logits_of_the_cpu) {
    skip_without_driver();
    const gb_model models[] = {
        {.embedding = 96, .heads = 4, .kv_heads = 1, .feed_forward = 44},
        {.embedding = 64, .heads = 4, .kv_heads = 4, .tied = true},
        {.embedding = 128, .heads = 1, .kv_heads = 1, .layers = 1},
    };
    for (size_t i = 0; i < CH_COUNT(models); i++) {
        fixture f;
        fixture_open(&f, models[i]);
        for (int kv = 0; kv < 2; kv++)
            compare(&f,
                    (chord_session_desc){.device = CHORD_DEVICE_GPU_ONLY,
                                         .logits_rows = 3,
                                         .kv = kv ? CHORD_KV_F32 : CHORD_KV_F16,
                                         .batch = 16},
                    kv ? 1e-5 : 1e-3, kv ? "f32" : "f16");
        fixture_close(&f);
    }
}

// The embedding and the output are 134 MB each, and a storage block has 128 MiB at least.
Test(gpu, large_matrices_are_bound_in_windows) {
    skip_without_driver();
    fixture f;
    fixture_open(
        &f,
        (gb_model){
            .embedding = 1024, .vocabulary = 33000, .feed_forward = 64, .layers = 1, .tied = true});
    chord_session_desc desc = {
        .device = CHORD_DEVICE_GPU_ONLY, .gpu_minimums = true, .kv = CHORD_KV_F32, .batch = 2};
    chord_session *a = session_open(f.model, desc);
    desc.device = CHORD_DEVICE_CPU;
    chord_session *b = session_open(f.model, desc);
    const chord_token tokens[] = {5, 32999};
    cr_assert_eq(chord_session_eval(a, tokens, 2, 1), CHORD_OK, "%s", chord_session_error(a));
    cr_assert_eq(chord_session_eval(b, tokens, 2, 1), CHORD_OK);
    cr_expect_lt(difference(chord_session_logits(a, 0), chord_session_logits(b, 0), 33000), 1e-5);
    chord_session_close(a);
    chord_session_close(b);
    fixture_close(&f);
}

Test(gpu, drafts_rewinding_and_generating_work_as_on_the_cpu) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.context = 128});
    chord_token tokens[TOKENS];
    fill(tokens, TOKENS);
    chord_token text[2][64];
    for (int i = 0; i < 2; i++) {
        chord_session *s = session_open(
            f.model, (chord_session_desc){.device = i ? CHORD_DEVICE_CPU : CHORD_DEVICE_GPU_ONLY,
                                          .kv = CHORD_KV_F32,
                                          .draft = 4,
                                          .batch = 32});
        cr_assert_eq(chord_session_eval(s, tokens, TOKENS, 0), CHORD_OK);
        cr_assert_eq(chord_session_rewind(s, 9), CHORD_OK);
        cr_assert_eq(chord_session_sync(s, tokens, 12), CHORD_OK);
        chord_generate_desc generate = {.max_tokens = 40, .ignore_end = true};
        cr_assert_eq(chord_session_generate(s, &generate, NULL), CHORD_OK);
        int32_t count = 0;
        const chord_token *held = chord_session_tokens(s, &count);
        cr_assert_eq(count, 52);
        memcpy(text[i], held, 52 * sizeof *held);
        chord_session_close(s);
    }
    cr_expect_arr_eq(text[0], text[1], 52 * sizeof **text);
    fixture_close(&f);
}

// Where the GPU chooses the tokens, the logits of the last one are here in the end.
Test(gpu, tokens_chosen_on_the_gpu_are_those_of_the_cpu) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.context = 512, .vocabulary = 5000, .layers = 1});
    chord_token text[2][300];
    static float logits[2][5000];
    for (int i = 0; i < 2; i++) {
        chord_session_desc desc = {.device = i ? CHORD_DEVICE_CPU : CHORD_DEVICE_GPU_ONLY,
                                   .kv = CHORD_KV_F32};
        chord_session *s = session_open(f.model, desc);
        cr_assert_eq(chord_session_eval(s, (const chord_token[]){3}, 1, 1), CHORD_OK);
        chord_generate_desc generate = {.max_tokens = 299, .ignore_end = true};
        cr_assert_eq(chord_session_generate(s, &generate, NULL), CHORD_OK);
        memcpy(text[i], chord_session_tokens(s, NULL), sizeof text[i]);
        cr_assert_not_null(chord_session_logits(s, 0));
        memcpy(logits[i], chord_session_logits(s, 0), sizeof logits[i]);
        chord_token next = 0, again = 0;
        cr_expect_eq(chord_session_sample(s, &next), CHORD_OK);
        cr_expect_eq(chord_session_sample(s, &again), CHORD_OK);
        cr_expect_eq(next, again);
        chord_session_close(s);
    }
    cr_expect_arr_eq(text[0], text[1], sizeof text[0]);
    cr_expect_lt(difference(logits[0], logits[1], 5000), 1e-5);
    fixture_close(&f);
}

typedef struct sampled {
    chord_sampler sampler;
    int32_t best; // tokens that come from the device at the 9th step, when 10 are held; 0: all
} sampled;

static const sampled sampling[] = {
    {{.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f}, 41},
    {{.temperature = 2, .top_k = 1}, 2},
    {{.temperature = 3, .top_k = 60, .repeat_penalty = 1}, 61},
    {{.temperature = 0.5f, .top_k = 127}, 128},
    {{.temperature = 0.9f, .top_k = 12, .top_p = 0.4f}, 13},
    {{.temperature = 1.5f, .top_k = 30, .min_p = 0.3f}, 31},
    {{.temperature = 0.7f, .top_k = 20, .top_p = 0.9f, .repeat_penalty = 1.3f}, 31},
    {{.temperature = 1, .top_k = 20, .repeat_penalty = 4, .repeat_window = 5}, 26},
    {{.repeat_penalty = 2, .repeat_window = -1}, 11},
    {{.temperature = 0}, 1},
    {{.repeat_penalty = 0.5f}, 0}, // what needs all logits
    {{.temperature = 0.8f, .top_k = 128}, 0},
    {{.temperature = 0.8f, .top_k = 5000}, 0},
    {{.temperature = 0.8f, .top_p = 0.9f}, 0},
    {{.temperature = 0.8f, .min_p = 0.1f}, 0},
};

enum { SAMPLED = 9, SAMPLED_VOCABULARY = 1003 };

// Generates on one session, where the device may find the best; on the other, all logits come and
// are sampled from here. Both hold the same logits, since the device computes the same.
static void sample_on_both(chord_session *there, chord_session *here, const sampled *what,
                           uint64_t seed) {
    chord_sampler sampler = what->sampler;
    sampler.seed = seed;
    chord_session *both[] = {there, here};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(chord_session_rewind(both[i], 0), CHORD_OK);
        cr_assert_eq(chord_session_set_sampler(both[i], &sampler), CHORD_OK);
        chord_token start = (chord_token)(seed * 7 % SAMPLED_VOCABULARY);
        cr_assert_eq(chord_session_eval(both[i], &start, 1, 1), CHORD_OK);
    }
    chord_generate_desc generate = {.max_tokens = SAMPLED, .ignore_end = true};
    cr_assert_eq(chord_session_generate(there, &generate, NULL), CHORD_OK);
    uint64_t all = SAMPLED_VOCABULARY * sizeof(float); // they come when generating is over
    cr_expect_eq(device_of(there).read_bytes, all + (uint64_t)what->best * 8);
    chord_token token = 0;
    for (int32_t i = 0; i < SAMPLED; i++) {
        cr_assert_eq(chord_session_sample(here, &token), CHORD_OK);
        cr_assert_eq(chord_session_eval(here, &token, 1, 1), CHORD_OK);
        cr_assert_eq(device_of(here).read_bytes, all);
    }
    int32_t index = (int32_t)(what - sampling);
    cr_expect_arr_eq(chord_session_tokens(there, NULL), chord_session_tokens(here, NULL),
                     (SAMPLED + 1) * sizeof token, "sampler %d, seed %d", (int)index, (int)seed);
    cr_expect_arr_eq(chord_session_logits(there, 0), chord_session_logits(here, 0), all);
    chord_token next = 0; // the random numbers are where they would be
    cr_expect_eq(chord_session_sample(there, &next), CHORD_OK);
    cr_expect_eq(chord_session_sample(here, &token), CHORD_OK);
    cr_expect_eq(next, token, "sampler %d, seed %d", (int)index, (int)seed);
}

Test(gpu, tokens_sampled_of_the_best_are_those_of_all_logits) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.context = 64, .vocabulary = SAMPLED_VOCABULARY, .layers = 1});
    for (int least = 0; least < 2; least++) {
        chord_session_desc desc = {.device = CHORD_DEVICE_GPU_ONLY, .gpu_minimums = least};
        chord_session *there = session_open(f.model, desc), *here = session_open(f.model, desc);
        for (size_t i = 0; i < CH_COUNT(sampling); i++)
            for (uint64_t seed = 1; seed <= (least ? 2 : 12); seed++)
                sample_on_both(there, here, &sampling[i], seed);
        chord_session_close(there);
        chord_session_close(here);
    }
    fixture_close(&f);
}

typedef struct other_sampler {
    chord_session *session;
    int32_t calls;
    chord_token token;
} other_sampler;

// At the third text another sampler, which wants all logits, and a token from it.
static int set_other_sampler(void *user, const char *text, size_t bytes) {
    (void)text;
    (void)bytes;
    other_sampler *o = (other_sampler *)user;
    if (++o->calls != 3) return 0;
    chord_sampler all = {.temperature = 1.2f, .seed = 8};
    cr_expect_eq(chord_session_set_sampler(o->session, &all), CHORD_OK);
    cr_expect_eq(chord_session_sample(o->session, &o->token), CHORD_OK);
    return 0;
}

Test(gpu, a_sampler_set_while_generating_gets_all_the_logits_that_it_wants) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.context = 64, .layers = 1});
    chord_token text[2][21];
    other_sampler other[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        chord_session *s = session_open(
            f.model, (chord_session_desc){.device = CHORD_DEVICE_GPU_ONLY,
                                          .sampler = {.temperature = 1, .top_k = 9, .seed = 2}});
        chord_session_hash(s, i); // all logits come
        cr_assert_eq(chord_session_eval(s, (const chord_token[]){5}, 1, 1), CHORD_OK);
        other[i].session = s;
        chord_generate_desc generate = {.max_tokens = 20,
                                        .ignore_end = true,
                                        .special = true,
                                        .on_text = set_other_sampler,
                                        .user = &other[i]};
        cr_assert_eq(chord_session_generate(s, &generate, NULL), CHORD_OK);
        cr_assert_geq(other[i].calls, 3);
        memcpy(text[i], chord_session_tokens(s, NULL), sizeof text[i]);
        chord_session_close(s);
    }
    cr_expect_eq(other[0].token, other[1].token);
    cr_expect_arr_eq(text[0], text[1], sizeof text[0]);
    fixture_close(&f);
}

// Embedding and output are one each; a prompt has norms, rotation and the cache's storing apart. A
// token that is chosen there takes two more.
Test(gpu, a_block_is_five_dispatches) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.type = CH_TYPE_Q8_0, .layers = 3, .context = 512});
    chord_session *s = session_open(f.model, (chord_session_desc){.device = CHORD_DEVICE_GPU_ONLY});
    chord_token tokens[TOKENS];
    fill(tokens, TOKENS);
    chord_session_eval(s, tokens, TOKENS, 1);
    cr_expect_eq(device_of(s).dispatches, 3 * 8 + 3);
    chord_session_eval(s, tokens, 1, 1);
    cr_expect_eq(device_of(s).dispatches, 3 * 5 + 2);
    chord_session_eval(s, tokens, 3, 1);
    cr_expect_eq(device_of(s).dispatches, 3 * 6 + 2);
    chord_session_generate(s, &(chord_generate_desc){.max_tokens = 1, .ignore_end = true}, NULL);
    cr_expect_eq(device_of(s).dispatches, 3 * 5 + 2 + 2);
    for (int i = 0; i < 6; i++) chord_session_eval(s, tokens, TOKENS, 0);
    chord_session_eval(s, tokens, 1, 0); // at position 285, attention is in parts
    // Without logits, the last block ends where the cache has its key and value.
    cr_expect_eq(device_of(s).dispatches, 1 + 2 * 6 + 3);
    chord_session_close(s);
    fixture_close(&f);
}

// ---- memory

Test(gpu, the_device_takes_what_the_plan_tells) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.type = CH_TYPE_Q4_0});
    for (int32_t batch = 1; batch <= 64; batch += 21) {
        chord_session_desc desc = {.device = CHORD_DEVICE_GPU_ONLY, .batch = batch};
        chord_plan_table plan;
        cr_assert_eq(chord_plan(f.model, &desc, &plan, NULL), CHORD_OK);
        chord_session *s = session_open(f.model, desc);
        cr_expect_eq(device_of(s).device_bytes, plan.device_bytes);
        cr_expect_eq(device_of(s).device, CHORD_DEVICE_GPU);
        cr_expect_eq(chord_session_plan(s)->arena_bytes, plan.arena_bytes);
        uint64_t sum = 0;
        for (int32_t i = 0; i < plan.device_region_count; i++) {
            cr_expect_not_null(plan.device_regions[i].name);
            sum += plan.device_regions[i].bytes;
        }
        cr_expect_eq(sum, plan.device_bytes);
        chord_session_close(s);
    }
    fixture_close(&f);
}

Test(gpu, weights_are_not_expanded) {
    fixture f;
    chord_plan_table plan;
    for (size_t i = 0; i < CH_COUNT(all_types); i++) {
        fixture_open(&f, (gb_model){.type = all_types[i],
                                    .embedding = 512,
                                    .feed_forward = 1024,
                                    .vocabulary = 4096});
        chord_session_desc desc = {.device = CHORD_DEVICE_GPU_ONLY};
        chord_error error;
        if (chord_plan(f.model, &desc, &plan, &error)) cr_skip_test("%s", error.message);
        // K types of 110 bytes take 112, those of 210 take 212.
        cr_expect(plan.device_regions[0].bytes < plan.weight_bytes * 103 / 100, "%s: %llu for %llu",
                  ch_type_get(all_types[i])->name, (unsigned long long)plan.device_regions[0].bytes,
                  (unsigned long long)plan.weight_bytes);
        fixture_close(&f);
    }
}

Test(gpu, a_memory_budget_is_for_arena_and_device) {
    fixture f;
    fixture_open(&f, (gb_model){.context = 4096});
    chord_session_desc desc = {.device = CHORD_DEVICE_GPU_ONLY, .memory_budget = 1 << 20};
    chord_plan_table plan;
    chord_error error;
    chord_result result = chord_plan(f.model, &desc, &plan, &error);
    if (result == CHORD_ERROR_UNSUPPORTED) cr_skip_test("%s", error.message);
    cr_assert_eq(result, CHORD_OK, "%s", error.message);
    cr_expect_leq(plan.arena_bytes + plan.device_bytes, 1u << 20);
    cr_expect_geq(plan.context, 64);
    cr_expect_lt(plan.context, 4096);
    desc.memory_budget = 100000;
    cr_expect_eq(chord_plan(f.model, &desc, &plan, &error), CHORD_ERROR_MEMORY);
    fixture_close(&f);
}

// ---- what it refuses, and what then happens

Test(gpu, what_the_gpu_cannot_do_goes_to_the_cpu_with_a_reason) {
    fixture f;
    fixture_open(&f, (gb_model){.embedding = 128, .heads = 4, .kv_heads = 2});
    chord_session_desc desc = {.device = CHORD_DEVICE_GPU, .kv = CHORD_KV_Q8_0};
    chord_session *s = session_open(f.model, desc);
    cr_expect_eq(device_of(s).device, CHORD_DEVICE_CPU);
    cr_expect(strstr(device_of(s).reason, "q8_0") || strstr(device_of(s).reason, "CHORD_GLES"));
    cr_expect_eq(chord_session_plan(s)->device, CHORD_DEVICE_CPU);
    cr_expect_eq(chord_session_eval(s, (chord_token[]){1, 2}, 2, 1), CHORD_OK);
    chord_session_close(s);
    desc.device = CHORD_DEVICE_GPU_ONLY;
    chord_error error;
    cr_expect_eq(chord_session_open(f.model, &desc, &s, &error), CHORD_ERROR_UNSUPPORTED);
    fixture_close(&f);
}

Test(gpu, a_gpu_that_is_not_there_is_refused) {
    fixture f;
    fixture_open(&f, (gb_model){.layers = 1});
    chord_session_desc desc = {.device = CHORD_DEVICE_GPU_ONLY, .gpu = 60};
    chord_session *s = NULL;
    chord_error error;
    cr_expect_neq(chord_session_open(f.model, &desc, &s, &error), CHORD_OK);
    cr_expect_null(s);
    desc.gpu = -1;
    cr_expect_neq(chord_session_open(f.model, &desc, &s, &error), CHORD_OK);
    cr_expect(error.code == CHORD_ERROR_ARGUMENT || strstr(error.message, "CHORD_GLES"));
    desc.gpu = 0;
    desc.device = (chord_device)7;
    cr_expect_eq(chord_session_open(f.model, &desc, &s, &error), CHORD_ERROR_ARGUMENT);
    fixture_close(&f);
}

// 1024 rows of 33000 logits are more than the 128 MiB that a storage block has at least.
Test(gpu, activations_above_a_storage_block_are_refused) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.layers = 1, .vocabulary = 33000, .context = 1024});
    chord_session_desc desc = {
        .device = CHORD_DEVICE_GPU_ONLY, .gpu_minimums = true, .batch = 1024, .logits_rows = 1024};
    chord_session *s = NULL;
    chord_error error;
    cr_expect_eq(chord_session_open(f.model, &desc, &s, &error), CHORD_ERROR_MEMORY);
    cr_expect(strstr(error.message, "a smaller batch will do"), "%s", error.message);
    desc.device = CHORD_DEVICE_GPU;
    s = session_open(f.model, desc);
    cr_expect_eq(device_of(s).device, CHORD_DEVICE_CPU);
    chord_session_close(s);
    fixture_close(&f);
}

static int stop_at_once(void *user, int32_t done, int32_t total) {
    (void)done;
    (void)total;
    ++*(int *)user;
    return 1;
}

Test(gpu, bringing_the_weights_can_be_stopped) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.layers = 2});
    int calls = 0;
    chord_session_desc desc = {
        .device = CHORD_DEVICE_GPU, .on_progress = stop_at_once, .user = &calls};
    chord_session *s = NULL;
    chord_error error;
    cr_expect_eq(chord_session_open(f.model, &desc, &s, &error), CHORD_ERROR_STOPPED);
    cr_expect_null(s);
    cr_expect_eq(calls, 1);
    fixture_close(&f);
}

// ---- threads

typedef struct thread_work {
    chord_session *session;
    chord_token token;
    chord_result result;
    float first;
} thread_work;

static void *thread_eval(void *user) {
    thread_work *w = (thread_work *)user;
    w->result = chord_session_eval(w->session, &w->token, 1, 1);
    if (w->result == CHORD_OK) w->first = chord_session_logits(w->session, 0)[0];
    return NULL;
}

Test(gpu, a_session_may_go_from_thread_to_thread) {
    skip_without_driver();
    fixture f;
    fixture_open(&f, (gb_model){.layers = 1});
    chord_session_desc desc = {.device = CHORD_DEVICE_GPU_ONLY};
    thread_work work[3];
    for (int i = 0; i < 3; i++) {
        work[i].session = session_open(f.model, desc); // three at once
        work[i].token = 7;
    }
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, thread_eval, &work[i]), 0);
    thread_eval(&work[2]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(work[i].result, CHORD_OK);
        cr_expect_eq(work[i].first, work[2].first);
    }
    thread_eval(&work[0]); // opened here, used there, and here again
    cr_expect_eq(work[0].result, CHORD_OK);
    for (int i = 0; i < 3; i++) chord_session_close(work[i].session);
    fixture_close(&f);
}
