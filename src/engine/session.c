// session: one sequence of tokens being written: the public session API of chord.h.
//
// Owns: the arena of a session and everything in it: tokens, cache, graph, sampler, stream.
// Refuses: bad arguments, and tokens past the context, before anything is changed. Invariant:
// tokens[0..count) are exactly those whose keys and values stand in the cache.
#include "chat.h"
#include "exec.h"
#include "gles_exec.h"
#include "sampler.h"

struct chord_session {
    const chord_model *model;
    ch_arena arena;
    ch_plan plan;
    ch_lanes lanes;
    ch_exec exec;
    ch_gpu *gpu;         // NULL: on the CPU
    ch_arena spare;      // of the CPU, where the GPU failed
    int32_t wanted_best; // the most likely tokens that the GPU is to find; 0: all logits come
    int32_t best_count;  // found by it: the logits stayed there; 0: they did not
    ch_candidate best[CH_GPU_BEST];
    char cpu_reason[256]; // why, where a GPU was asked for
    chord_session_desc desc;
    chord_token *tokens; // [context]
    int32_t count;
    float *logits; // [rows][vocabulary]
    int32_t rows;  // of logits that are held
    chord_sampler sampler;
    ch_random random;
    ch_candidate *candidates;
    uint8_t *text_scratch;
    char *stream; // bytes of a character whose rest has not come yet, then room for the next token
    int32_t pending; // how many
    int32_t guess;   // tokens to guess at the next step; 0: drafts are off
    bool hash_on;
    chord_stats stats;
    chord_error error;
};

// ---- planning

static chord_result session_sizes(const chord_model *model, const chord_session_desc *desc,
                                  ch_engine_sizes *out, chord_error *error) {
    ch_engine_sizes sizes;
    memset(&sizes, 0, sizeof sizes);
    sizes.session_bytes = sizeof(chord_session);
    sizes.lane_bytes = sizeof(ch_lane);
    sizes.cursor_bytes = sizeof(ch_cursor);
    sizes.candidate_bytes = sizeof(ch_candidate);
    chord_result result = CHORD_OK;
    if (desc->device == CHORD_DEVICE_GPU || desc->device == CHORD_DEVICE_GPU_ONLY) {
        ch_gpu_sizes gpu;
        result = ch_gpu_measure(&model->weights, desc, &gpu, error);
        sizes.gpu_bytes = gpu.arena_bytes;
        sizes.gpu_op_bytes = gpu.op_bytes;
        sizes.gpu_weight_bytes = gpu.weight_bytes;
        sizes.gpu_constant_bytes = gpu.constant_bytes;
    }
    *out = sizes;
    return result;
}

static chord_result session_make_plan(const chord_model *model, const chord_session_desc *desc,
                                      ch_plan *plan, chord_error *error) {
    ch_engine_sizes sizes;
    memset(plan, 0, sizeof *plan);
    chord_result result = session_sizes(model, desc, &sizes, error);
    if (!result) result = ch_sampler_check(&desc->sampler, error);
    if (!result) result = ch_plan_make(&model->weights, &model->vocab, desc, &sizes, plan, error);
    plan->table.table_bytes = model->arena.capacity;
    for (int32_t i = 0; i < model->gguf.tensor_count; i++)
        plan->table.weight_bytes += model->gguf.tensors[i].bytes;
    return result;
}

// Whether what failed on the GPU is to be tried on the CPU.
static bool session_falls_back(const chord_session_desc *desc, chord_result result) {
    return desc->device == CHORD_DEVICE_GPU && result != CHORD_OK && result != CHORD_ERROR_STOPPED;
}

chord_result chord_plan(const chord_model *model, const chord_session_desc *desc,
                        chord_plan_table *table, chord_error *error) {
    if (!model || !desc || !table)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "model, desc or plan is NULL");
    ch_plan plan;
    chord_result result = session_make_plan(model, desc, &plan, error);
    if (session_falls_back(desc, result)) {
        chord_session_desc cpu = *desc;
        cpu.device = CHORD_DEVICE_CPU;
        result = session_make_plan(model, &cpu, &plan, error);
    }
    if (!result) *table = plan.table;
    return result;
}

// ---- opening

// Takes every region in the plan's order. The offsets come out as planned, or it is a bug that a
// test catches.
static bool session_take(ch_arena *arena, const ch_plan *plan) {
    for (int32_t i = 0; i < plan->table.region_count; i++) {
        uint8_t *region = (uint8_t *)ch_arena_take(arena, (size_t)plan->table.regions[i].bytes);
        if (region != arena->base + plan->table.regions[i].offset) return false;
    }
    ch_arena_seal(arena);
    return arena->used == plan->table.arena_bytes;
}

static void *session_region(const ch_arena *arena, const ch_plan *plan, ch_region region) {
    return arena->base + plan->table.regions[region].offset;
}

// What executes, in an arena that is laid out as s->plan tells.
static void session_bind_exec(chord_session *s, const ch_arena *arena) {
    ch_op *ops = (ch_op *)session_region(arena, &s->plan, CH_REGION_OPS);
    double *freqs = (double *)session_region(arena, &s->plan, CH_REGION_ROPE_FREQS);
    s->logits = (float *)session_region(arena, &s->plan, CH_REGION_LOGITS);
    ch_graph_build(&s->model->weights, &s->plan.graph, &s->plan.size, ops);
    ch_rope_frequencies(&s->model->weights, freqs, &s->exec.rope_magnitude);
    s->exec.file = s->model->gguf.data;
    s->exec.arena = arena->base;
    s->exec.weights = &s->model->weights;
    s->exec.plan = &s->plan;
    s->exec.ops = ops;
    s->exec.lanes = &s->lanes;
    s->exec.cursors = (ch_cursor *)session_region(arena, &s->plan, CH_REGION_CURSORS);
    s->exec.profile = NULL;
    if (s->plan.profile_bytes)
        s->exec.profile = (double *)session_region(arena, &s->plan, CH_REGION_PROFILE);
    s->exec.rope_freqs = freqs;
    s->exec.on_progress = s->desc.on_progress;
    s->exec.user = s->desc.user;
}

static void session_bind(chord_session *s, const chord_session_desc *desc) {
    s->tokens = (chord_token *)session_region(&s->arena, &s->plan, CH_REGION_TOKENS);
    s->candidates = (ch_candidate *)session_region(&s->arena, &s->plan, CH_REGION_SAMPLER);
    s->text_scratch = (uint8_t *)session_region(&s->arena, &s->plan, CH_REGION_TEXT);
    s->stream = (char *)session_region(&s->arena, &s->plan, CH_REGION_STREAM);
    s->guess = s->plan.draft;
    s->sampler = desc->sampler;
    ch_random_seed(&s->random, desc->sampler.seed);
    s->desc = *desc;
    session_bind_exec(s, &s->arena);
    s->stats.logits_hash = 14695981039346656037u; // FNV offset basis
}

static chord_result session_start_lanes(chord_session *s, const ch_arena *arena,
                                        chord_error *error) {
    ch_lane *lane = (ch_lane *)session_region(arena, &s->plan, CH_REGION_LANES);
    if (ch_lanes_open(&s->lanes, lane, s->plan.table.lanes)) return CHORD_OK;
    return ch_fail(error, CHORD_ERROR_SYSTEM, "the system gave no thread for %d lanes",
                   (int)s->plan.table.lanes);
}

// Lanes, or the device.
static chord_result session_start(chord_session *s, chord_error *error) {
    if (s->plan.table.device == CHORD_DEVICE_CPU) return session_start_lanes(s, &s->arena, error);
    ch_gpu_args args;
    args.file = s->exec.file;
    args.weights = s->exec.weights;
    args.plan = s->exec.plan;
    args.ops = s->exec.ops;
    args.rope_freqs = s->exec.rope_freqs;
    args.rope_magnitude = s->exec.rope_magnitude;
    args.logits = s->logits;
    args.desc = &s->desc;
    s->gpu = (ch_gpu *)session_region(&s->arena, &s->plan, CH_REGION_DEVICE);
    return ch_gpu_open(s->gpu, &args, error);
}

// A session on the device that the desc tells, and on no other.
static chord_result session_open_on(const chord_model *model, const chord_session_desc *desc,
                                    chord_session **session, chord_error *error) {
    ch_plan plan;
    chord_result result = session_make_plan(model, desc, &plan, error);
    if (result) return result;
    uint64_t bytes = plan.table.arena_bytes;
    if ((uintptr_t)desc->memory % CH_ALIGN)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "memory is not aligned to %u bytes", CH_ALIGN);
    if (desc->memory && desc->memory_bytes < bytes)
        return ch_fail(error, CHORD_ERROR_MEMORY,
                       "the session needs %llu bytes, memory_bytes is %llu",
                       (unsigned long long)bytes, (unsigned long long)desc->memory_bytes);
    ch_arena arena;
    if (!ch_arena_open(&arena, (size_t)bytes, desc->memory))
        return ch_fail(error, CHORD_ERROR_MEMORY, "no memory for an arena of %llu bytes",
                       (unsigned long long)bytes);
    if (!session_take(&arena, &plan)) {
        ch_arena_close(&arena);
        return ch_fail(error, CHORD_ERROR_MEMORY, "the plan and the arena disagree");
    }
    chord_session *s = (chord_session *)session_region(&arena, &plan, CH_REGION_SESSION);
    s->model = model;
    s->arena = arena;
    s->plan = plan;
    session_bind(s, desc);
    result = session_start(s, error);
    if (result) {
        ch_arena_close(&arena);
        return result;
    }
    *session = s;
    return CHORD_OK;
}

chord_result chord_session_open(const chord_model *model, const chord_session_desc *desc,
                                chord_session **session, chord_error *error) {
    double start = ch_os_seconds();
    chord_error unused;
    if (!error) error = &unused;
    if (!session) return ch_fail(error, CHORD_ERROR_ARGUMENT, "session is NULL");
    *session = NULL;
    if (!model || !desc) return ch_fail(error, CHORD_ERROR_ARGUMENT, "model or desc is NULL");
    chord_result result = session_open_on(model, desc, session, error);
    if (session_falls_back(desc, result)) {
        chord_error reason = *error;
        chord_session_desc cpu = *desc;
        cpu.device = CHORD_DEVICE_CPU;
        result = session_open_on(model, &cpu, session, error);
        if (!result) memcpy((*session)->cpu_reason, reason.message, sizeof(*session)->cpu_reason);
    }
    if (!result) (*session)->stats.open_seconds = ch_os_seconds() - start;
    return result;
}

void chord_session_close(chord_session *session) {
    if (!session) return;
    if (session->gpu)
        ch_gpu_close(session->gpu);
    else
        ch_lanes_close(&session->lanes);
    ch_arena_close(&session->spare);
    ch_arena arena = session->arena; // the session itself lies in it
    ch_arena_close(&arena);
}

const char *chord_session_error(const chord_session *session) {
    return session->error.message;
}

const chord_plan_table *chord_session_plan(const chord_session *session) {
    return &session->plan.table;
}

const chord_token *chord_session_tokens(const chord_session *session, int32_t *count) {
    if (count) *count = session->count;
    return session->tokens;
}

// ---- evaluating

// FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/
static void session_hash_logits(chord_session *s) {
    const uint8_t *bytes = (const uint8_t *)s->logits;
    size_t n = (size_t)s->rows * (size_t)s->model->weights.hp.vocabulary * sizeof(float);
    uint64_t hash = s->stats.logits_hash;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
    s->stats.logits_hash = hash;
}

// Evaluates the tokens that are held anew, on the CPU. Where that is stopped, fewer are held.
static chord_result session_replay(chord_session *s) {
    s->exec.wanted = 0;
    for (int32_t at = 0; at < s->count; at += s->plan.table.batch) {
        s->exec.tokens = s->tokens + at;
        s->exec.n = CH_MIN(s->plan.table.batch, s->count - at);
        s->exec.position = at;
        if (ch_exec_step(&s->exec)) continue;
        s->count = at;
        return ch_fail(&s->error, CHORD_ERROR_STOPPED, "stopped while going over to the CPU");
    }
    return CHORD_OK;
}

// The GPU has failed: takes an arena for the CPU and evaluates there all tokens that are held. What
// is not of the executor stays where it is; both plans give it the same sizes.
static chord_result session_move_to_cpu(chord_session *s) {
    chord_error reason = s->error;
    chord_session_desc desc = s->desc;
    desc.device = CHORD_DEVICE_CPU;
    desc.context = s->plan.table.context;
    desc.batch = s->plan.table.batch;
    ch_plan plan, old = s->plan;
    ch_arena arena;
    chord_result result = session_make_plan(s->model, &desc, &plan, &s->error);
    if (result) return result;
    if (!ch_arena_open(&arena, (size_t)plan.table.arena_bytes, NULL))
        return ch_fail(&s->error, CHORD_ERROR_MEMORY,
                       "%.120s, and there is no memory to go on on the CPU", reason.message);
    s->plan = plan;
    result = session_take(&arena, &plan)
                 ? session_start_lanes(s, &arena, &s->error)
                 : ch_fail(&s->error, CHORD_ERROR_MEMORY, "the plan and the arena disagree");
    if (result) {
        s->plan = old;
        ch_arena_close(&arena);
        return result;
    }
    ch_gpu_close(s->gpu);
    s->gpu = NULL;
    s->spare = arena;
    session_bind_exec(s, &arena);
    memcpy(s->cpu_reason, reason.message, sizeof s->cpu_reason);
    return session_replay(s);
}

// A step on the GPU; on the CPU if that fails, and may.
static chord_result session_step_gpu(chord_session *s, int32_t n, int32_t wanted) {
    ch_gpu_step_args args;
    args.tokens = s->tokens + s->count;
    args.n = n;
    args.position = s->count;
    args.wanted = wanted;
    args.done = s->exec.done;
    args.total = s->exec.total;
    args.best = s->best;
    args.best_count = s->wanted_best;
    chord_result result = ch_gpu_step(s->gpu, &args, &s->error);
    if (!result) s->best_count = wanted > 0 ? s->wanted_best : 0;
    if (!session_falls_back(&s->desc, result)) return result;
    result = session_move_to_cpu(s);
    if (result) return result;
    s->exec.tokens = s->tokens + s->count;
    s->exec.n = n;
    s->exec.position = s->count;
    s->exec.wanted = wanted;
    if (ch_exec_step(&s->exec)) return CHORD_OK;
    return ch_fail(&s->error, CHORD_ERROR_STOPPED, "stopped within a step");
}

// One step: the next n of tokens[], which stand there already. The time it took goes to *seconds.
static chord_result session_step(chord_session *s, int32_t n, int32_t wanted, double *seconds) {
    double start = ch_os_seconds();
    s->exec.tokens = s->tokens + s->count;
    s->exec.n = n;
    s->exec.position = s->count;
    s->exec.wanted = wanted;
    chord_result result = CHORD_OK;
    s->best_count = 0;
    if (s->gpu)
        result = session_step_gpu(s, n, wanted);
    else if (!ch_exec_step(&s->exec))
        result = ch_fail(&s->error, CHORD_ERROR_STOPPED, "stopped within a step");
    if (result) return result;
    s->count += n;
    s->rows = s->best_count == 0 ? wanted : 0; // or the logits stay on the GPU
    *seconds += ch_os_seconds() - start;
    if (s->hash_on && wanted > 0) session_hash_logits(s);
    return CHORD_OK;
}

// A token and the n - 1 guessed after it, which stand behind those held, with logits for each.
static chord_result session_decode(chord_session *s, int32_t n) {
    s->exec.done = 0;
    s->exec.total = n;
    chord_result result = session_step(s, n, n, &s->stats.decode_seconds);
    if (result == CHORD_ERROR_STOPPED)
        return ch_fail(&s->error, CHORD_ERROR_STOPPED, "stopped while decoding");
    if (!result) s->stats.decode_tokens++;
    return result;
}

chord_result chord_session_eval(chord_session *s, const chord_token *tokens, int32_t n,
                                int32_t rows) {
    const chord_plan_table *plan = &s->plan.table;
    int32_t vocabulary = s->model->weights.hp.vocabulary;
    if (n < 0 || (n > 0 && !tokens))
        return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "%d tokens at NULL", (int)n);
    if (rows < 0 || rows > plan->logits_rows || rows > n)
        return ch_fail(&s->error, CHORD_ERROR_ARGUMENT,
                       "rows is %d, wanted at most logits_rows %d and the %d tokens", (int)rows,
                       (int)plan->logits_rows, (int)n);
    for (int32_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= vocabulary)
            return ch_fail(&s->error, CHORD_ERROR_ARGUMENT,
                           "token %d of the input is %d, wanted 0 to %d", (int)i, (int)tokens[i],
                           (int)vocabulary - 1);
    if (n > plan->context - s->count)
        return ch_fail(&s->error, CHORD_ERROR_CONTEXT_FULL,
                       "%d tokens after %d do not fit the context of %d", (int)n, (int)s->count,
                       (int)plan->context);
    memmove(s->tokens + s->count, tokens, (size_t)n * sizeof *tokens);
    s->rows = n > 0 ? 0 : s->rows;
    s->exec.done = 0;
    s->exec.total = n;
    for (int32_t left = n; left > 0;) {
        // The last batch holds all of the wanted rows.
        int32_t part = left <= plan->batch ? left : CH_MIN(plan->batch, left - rows);
        bool one = n == 1;
        double *seconds = one ? &s->stats.decode_seconds : &s->stats.prefill_seconds;
        chord_result result = session_step(s, part, part == left ? rows : 0, seconds);
        if (result == CHORD_ERROR_STOPPED)
            return ch_fail(&s->error, CHORD_ERROR_STOPPED, "stopped after %d of %d tokens",
                           (int)(n - left), (int)n);
        if (result) return result;
        *(one ? &s->stats.decode_tokens : &s->stats.prefill_tokens) += part;
        left -= part;
        s->exec.done = n - left;
    }
    return CHORD_OK;
}

chord_result chord_session_rewind(chord_session *s, int32_t n) {
    if (n < 0 || n > s->count)
        return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "cannot keep %d of %d tokens", (int)n,
                       (int)s->count);
    s->count = n;
    s->rows = 0;
    s->best_count = 0;
    s->pending = 0;
    return CHORD_OK;
}

chord_result chord_session_sync(chord_session *s, const chord_token *tokens, int32_t n) {
    if (n < 1 || !tokens)
        return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "sync wants at least one token, got %d",
                       (int)n);
    if (n > s->plan.table.context)
        return ch_fail(&s->error, CHORD_ERROR_CONTEXT_FULL,
                       "%d tokens do not fit the context of %d", (int)n,
                       (int)s->plan.table.context);
    int32_t same = 0;
    while (same < s->count && same < n && s->tokens[same] == tokens[same]) same++;
    if (same == n) same = n - 1; // the last one is evaluated again, for its logits
    for (int32_t i = same; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->weights.hp.vocabulary)
            return ch_fail(&s->error, CHORD_ERROR_ARGUMENT,
                           "token %d of the input is %d, wanted 0 to %d", (int)i, (int)tokens[i],
                           (int)s->model->weights.hp.vocabulary - 1);
    chord_result result = chord_session_rewind(s, same);
    return result ? result : chord_session_eval(s, tokens + same, n - same, 1);
}

const float *chord_session_logits(const chord_session *s, int32_t row) {
    if (row < 0 || row >= s->rows) return NULL;
    return s->logits + (size_t)row * (size_t)s->model->weights.hp.vocabulary;
}

// ---- text

chord_result chord_session_prompt(chord_session *s, const char *text, unsigned flags) {
    if (!text) return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "text is NULL");
    if (s->model->vocab.count == 0)
        return ch_fail(&s->error, CHORD_ERROR_UNSUPPORTED, "the file holds no vocabulary");
    chord_tokenize_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.text = text;
    desc.text_bytes = strlen(text);
    desc.bos = flags & CHORD_PROMPT_BOS ? 0 : -1;
    desc.special = (flags & CHORD_PROMPT_SPECIAL) != 0;
    desc.scratch = s->text_scratch;
    desc.scratch_bytes = (size_t)s->plan.table.regions[CH_REGION_TEXT].bytes;
    size_t room = (size_t)(s->plan.table.context - s->count), n = 0;
    // The ids go straight to where eval wants them: behind those that are held.
    chord_result result =
        ch_vocab_tokenize(&s->model->vocab, &desc, s->tokens + s->count, room, &n, &s->error);
    if (result == CHORD_ERROR_SPACE)
        return ch_fail(&s->error, CHORD_ERROR_CONTEXT_FULL,
                       "a text of %llu tokens after %d does not fit the context of %d",
                       (unsigned long long)n, (int)s->count, (int)s->plan.table.context);
    if (result) return result;
    s->pending = 0;
    if (n == 0) return CHORD_OK;
    return chord_session_eval(s, s->tokens + s->count, (int32_t)n, 1);
}

chord_result chord_session_chat(chord_session *s, const chord_chat_desc *desc) {
    if (!desc) return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "desc is NULL");
    int32_t held = s->count, left = s->plan.table.context - held;
    ch_chat_room room;
    room.scratch = s->text_scratch;
    room.scratch_bytes = (size_t)s->plan.table.regions[CH_REGION_TEXT].bytes;
    room.tokens = s->tokens + held;
    room.capacity = (size_t)left;
    size_t n = 0;
    chord_result result = ch_chat_turn(s->model, desc, held == 0, &room, &n, &s->error);
    if (!result && n >= room.capacity)
        result = ch_fail(&s->error, CHORD_ERROR_CONTEXT_FULL,
                         "a turn of %llu tokens and an answer do not fit the %d positions that are "
                         "left of the context of %d",
                         (unsigned long long)n, (int)left, (int)s->plan.table.context);
    if (result) return result;
    s->pending = 0;
    result = chord_session_eval(s, room.tokens, (int32_t)n, 1);
    if (result) chord_session_rewind(s, held);
    return result;
}

chord_result chord_session_set_sampler(chord_session *s, const chord_sampler *sampler) {
    if (!sampler) return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "sampler is NULL");
    chord_result result = ch_sampler_check(sampler, &s->error);
    if (result) return result;
    s->sampler = *sampler;
    ch_random_seed(&s->random, sampler->seed);
    return CHORD_OK;
}

// Brings the logits of the last token here, if the GPU has kept them.
static chord_result session_fetch(chord_session *s) {
    if (s->best_count == 0) return CHORD_OK;
    s->best_count = 0;
    chord_result result = ch_gpu_read_logits(s->gpu, 1, &s->error);
    if (!result) {
        s->rows = 1;
        return CHORD_OK;
    }
    if (!session_falls_back(&s->desc, result)) return result;
    s->count--; // the last one is evaluated again, for its logits
    result = session_move_to_cpu(s);
    double unused = 0;
    return result ? result : session_step(s, 1, 1, &unused);
}

// As many of the most likely tokens as the sampler wants with `count` tokens held, if the GPU finds
// so many, in fewer bytes than all logits are; 0: all logits are wanted.
static int32_t session_enough(const chord_session *s, int32_t count) {
    int32_t vocabulary = s->model->weights.hp.vocabulary,
            enough = ch_sampler_enough(&s->sampler, vocabulary, count);
    return enough <= CH_MIN(vocabulary / 2, CH_GPU_BEST) ? enough : 0;
}

chord_result chord_session_sample(chord_session *s, chord_token *token) {
    if (!token) return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "token is NULL");
    int32_t enough = session_enough(s, s->count);
    bool of_best = enough > 0 && enough <= s->best_count; // or the sampler is another since
    chord_result result = of_best ? CHORD_OK : session_fetch(s);
    if (result) return result;
    const float *logits = chord_session_logits(s, s->rows - 1);
    if (!of_best && !logits)
        return ch_fail(&s->error, CHORD_ERROR_ARGUMENT,
                       "there are no logits to sample from: evaluate a token first");
    double start = ch_os_seconds();
    *token = of_best ? ch_sampler_choose_best(&s->sampler, &s->random, s->best, s->best_count,
                                              s->tokens, s->count, s->candidates)
                     : ch_sampler_choose(&s->sampler, &s->random, logits,
                                         s->model->weights.hp.vocabulary, s->tokens, s->count,
                                         s->candidates);
    s->stats.sample_seconds += ch_os_seconds() - start;
    return CHORD_OK;
}

// Length of the UTF-8 character at the front of n bytes; 0: its rest is still to come; -1: no
// character begins so. Table 3-7 of the Unicode standard: no overlong forms, no surrogates, nothing
// above U+10FFFF.
static int32_t session_utf8(const char *text, int32_t n) {
    const uint8_t *b = (const uint8_t *)text;
    if (b[0] < 0x80) return 1;
    int32_t length = b[0] >= 0xc2 && b[0] < 0xe0   ? 2
                     : b[0] >= 0xe0 && b[0] < 0xf0 ? 3
                     : b[0] >= 0xf0 && b[0] < 0xf5 ? 4
                                                   : -1;
    if (length < 0) return -1;
    uint8_t low = b[0] == 0xe0   ? 0xa0
                  : b[0] == 0xf0 ? 0x90
                                 : 0x80,
            high = b[0] == 0xed   ? 0x9f
                   : b[0] == 0xf4 ? 0x8f
                                  : 0xbf;
    for (int32_t i = 1; i < length; i++) {
        if (i == n) return 0;
        if (b[i] < low || b[i] > high) return -1;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

static const char session_replacement[] = "\xef\xbf\xbd"; // U+FFFD

// Hands out what is whole of the first `limit` bytes; bytes that begin no character become U+FFFD.
// Returns what the callback said.
static int session_emit(chord_session *s, const chord_generate_desc *desc, int32_t limit,
                        bool last) {
    int32_t from = 0, at = 0;
    int stop = 0;
    while (at < limit && !stop) {
        int32_t length = session_utf8(s->stream + at, limit - at);
        if (length > 0) {
            at += length;
            continue;
        }
        if (length == 0 && !last) break;
        if (at > from && desc->on_text)
            stop = desc->on_text(desc->user, s->stream + from, (size_t)(at - from));
        if (!stop && desc->on_text) stop = desc->on_text(desc->user, session_replacement, 3);
        from = ++at;
    }
    if (at > from && !stop && desc->on_text)
        stop = desc->on_text(desc->user, s->stream + from, (size_t)(at - from));
    s->pending -= at;
    memmove(s->stream, s->stream + at, (size_t)s->pending);
    return stop;
}

// Where the stop text stands in what is pending, or its first bytes at the end; else the end.
static int32_t session_find_stop(const chord_session *s, const char *stop, bool *whole) {
    int32_t bytes = stop ? (int32_t)strlen(stop) : 0;
    *whole = false;
    for (int32_t at = 0; at < s->pending && bytes > 0; at++) {
        int32_t n = CH_MIN(bytes, s->pending - at);
        if (memcmp(s->stream + at, stop, (size_t)n) != 0) continue;
        *whole = n == bytes;
        return at;
    }
    return s->pending;
}

// One run of chord_session_generate.
typedef struct session_run {
    const chord_generate_desc *desc;
    chord_generate_result *result;
    chord_token token;  // sampled, not yet written
    int32_t stop_bytes; // of text from where the stop text began; 0: it did not come
    bool done;          // result->finish tells why
} session_run;

// A token's text joins what is pending, and whole characters go out. True: the text stops here.
static bool session_write(chord_session *s, session_run *run) {
    const chord_generate_desc *desc = run->desc;
    size_t room = (size_t)(s->plan.table.regions[CH_REGION_STREAM].bytes - (uint64_t)s->pending);
    if (s->model->vocab.count == 0) return false;
    size_t n =
        ch_vocab_text(&s->model->vocab, run->token, desc->special, s->stream + s->pending, room);
    s->pending += (int32_t)CH_MIN(n, room);
    bool whole = false;
    int32_t limit = session_find_stop(s, desc->stop, &whole);
    if (whole) {
        run->stop_bytes = s->pending - limit;
        s->pending = limit;
    }
    return session_emit(s, desc, limit, whole) || whole;
}

// Drops the tokens that hold the stop text; one that holds text before it too is kept.
static chord_result session_drop_stop(chord_session *s, session_run *run) {
    int32_t left = run->stop_bytes, dropped = 0;
    while (left > 0 && dropped < s->count) {
        size_t n = ch_vocab_text(&s->model->vocab, s->tokens[s->count - 1 - dropped],
                                 run->desc->special, NULL, 0);
        if (n > (size_t)left) break;
        left -= (int32_t)n;
        dropped++;
    }
    run->result->tokens = CH_MAX(0, run->result->tokens - dropped);
    return chord_session_rewind(s, s->count - dropped);
}

// ---- drafts
//
// Prompt lookup: where the last tokens stood before in the text, what followed them there is likely
// to follow again. The guess is evaluated together with the token at hand, for little more than
// that alone costs; each of its tokens is kept only if it is what is sampled anyway. Since results
// do not depend on how tokens are cut into batches, the text is the same as without. Source: A.
// Saxena, "Prompt Lookup Decoding", 2023.

enum { SESSION_NGRAM = 3 };

// Guesses up to `most` tokens to follow those held and then `token`; they are put behind it where
// eval wants them. The youngest place counts.
static int32_t session_guess(chord_session *s, chord_token token, int32_t most) {
    chord_token *t = s->tokens;
    int32_t n = s->count;
    t[n] = token;
    for (int32_t i = n - 1; i >= SESSION_NGRAM - 1 && most > 0; i--) {
        if (t[i] != token || memcmp(&t[i - 2], &t[n - 2], 2 * sizeof *t) != 0) continue;
        int32_t guessed = CH_MIN(most, n - i);
        memcpy(&t[n + 1], &t[i + 1], (size_t)guessed * sizeof *t);
        return guessed;
    }
    return 0;
}

// How many to guess next time: twice as many after a guess that was all right, half after one that
// was all wrong; a guess of one is tried now and then even so.
static void session_learn(chord_session *s, int32_t guessed, int32_t right) {
    if (guessed == 0) return;
    s->stats.drafted_tokens += guessed;
    s->stats.accepted_tokens += right;
    if (right == guessed) s->guess = CH_MIN(2 * s->guess, s->plan.draft);
    if (right == 0) s->guess = CH_MAX(1, s->guess / 2);
}

// ---- generating

static void session_finish(session_run *run, chord_finish finish) {
    run->result->finish = finish;
    run->done = true;
}

// Samples the next token, unless enough are written.
static chord_result session_next(chord_session *s, session_run *run) {
    if (run->desc->max_tokens > 0 && run->result->tokens == run->desc->max_tokens) {
        session_finish(run, CHORD_FINISH_LENGTH);
        return CHORD_OK;
    }
    chord_result result = chord_session_sample(s, &run->token);
    if (result) return result;
    if (!run->desc->ignore_end && ch_vocab_is_end(&s->model->vocab, run->token))
        session_finish(run, CHORD_FINISH_END);
    else if (s->count == s->plan.table.context)
        session_finish(run, CHORD_FINISH_CONTEXT);
    return CHORD_OK;
}

// Writes the token, evaluates it with a guess of what follows, and goes on for as long as the guess
// is right.
static chord_result session_advance(chord_session *s, session_run *run) {
    int32_t room = s->plan.table.context - s->count - 1;
    int32_t left =
        run->desc->max_tokens > 0 ? run->desc->max_tokens - run->result->tokens - 1 : room;
    int32_t guessed =
        s->guess ? session_guess(s, run->token, CH_MIN(s->guess, CH_MIN(room, left))) : 0;
    int32_t right = 0;
    run->result->tokens++;
    bool stop = session_write(s, run);
    s->tokens[s->count] = run->token;
    if (s->gpu && guessed == 0 && !s->hash_on) s->wanted_best = session_enough(s, s->count + 1);
    chord_result result = session_decode(s, 1 + guessed);
    s->wanted_best = 0;
    if (result) return result;
    s->count -= guessed;
    if (s->best_count == 0) s->rows = 1;
    if (!stop) result = session_next(s, run);
    while (!stop && !result && !run->done && right < guessed && run->token == s->tokens[s->count]) {
        right++;
        s->count++;
        s->rows++;
        s->stats.decode_tokens++;
        run->result->tokens++;
        stop = session_write(s, run);
        if (!stop) result = session_next(s, run);
    }
    session_learn(s, guessed, right);
    if (stop) session_finish(run, run->stop_bytes ? CHORD_FINISH_END : CHORD_FINISH_STOPPED);
    if (run->stop_bytes) result = session_drop_stop(s, run);
    return result;
}

chord_result chord_session_generate(chord_session *s, const chord_generate_desc *desc,
                                    chord_generate_result *result) {
    chord_generate_result unused;
    if (!result) result = &unused;
    memset(result, 0, sizeof *result);
    if (!desc || desc->max_tokens < 0)
        return ch_fail(&s->error, CHORD_ERROR_ARGUMENT,
                       "max_tokens is %d, wanted 0 (no limit) or more",
                       desc ? (int)desc->max_tokens : 0);
    if (desc->stop && strlen(desc->stop) > CH_STOP_MAX)
        return ch_fail(&s->error, CHORD_ERROR_ARGUMENT, "stop has %llu bytes, wanted at most %d",
                       (unsigned long long)strlen(desc->stop), (int)CH_STOP_MAX);
    session_run run;
    memset(&run, 0, sizeof run);
    run.desc = desc;
    run.result = result;
    chord_result failed = session_next(s, &run);
    while (!failed && !run.done) failed = session_advance(s, &run);
    if (!failed) failed = session_fetch(s);
    if (failed) return failed;
    bool ended = result->finish == CHORD_FINISH_END || result->finish == CHORD_FINISH_CONTEXT;
    if (ended && session_emit(s, desc, s->pending, true)) result->finish = CHORD_FINISH_STOPPED;
    return CHORD_OK;
}

// ---- looking inside

void chord_session_get_stats(const chord_session *session, chord_stats *stats) {
    *stats = session->stats;
}

void chord_session_hash(chord_session *session, bool on) {
    session->hash_on = on;
}

int32_t chord_session_op_count(const chord_session *session) {
    return session->plan.size.op_count;
}

chord_result chord_session_get_op(const chord_session *s, int32_t i, chord_op_info *info) {
    if (i < 0 || i >= s->plan.size.op_count) return CHORD_ERROR_ARGUMENT;
    ch_op_describe(&s->model->weights, &s->exec.ops[i], s->plan.kv, info);
    if (s->gpu)
        info->kernel = ch_gpu_op(s->gpu, i, &info->seconds);
    else
        info->seconds = ch_exec_op_seconds(&s->exec, i);
    return CHORD_OK;
}

void chord_session_get_device(const chord_session *s, chord_device_info *info) {
    if (s->gpu) {
        *info = *ch_gpu_info(s->gpu);
        return;
    }
    memset(info, 0, sizeof *info);
    info->device = CHORD_DEVICE_CPU;
    info->usable = true;
    memcpy(info->reason, s->cpu_reason, sizeof s->cpu_reason);
}

bool chord_get_kernel(int32_t i, const char *cpu, chord_kernel_info *info) {
    if (i < 0 || i >= ch_kernel_count()) return false;
    uint32_t bits = 0;
    (void)ch_cpu_choose(cpu, &bits); // no such level: the C reference
    const ch_kernel *kernel = ch_kernel_at(i);
    info->name = kernel->name;
    info->family = ch_family_name(kernel->family);
    info->usable = (kernel->cpu & ~bits) == 0;
    info->chosen = ch_kernel_find(kernel->family, kernel->variant, bits) == i;
    return true;
}
