// plan: see plan.h.
#include "plan.h"
#include "../arena/os.h"

enum {
    PLAN_DEFAULT_CONTEXT = 4096,
    PLAN_DEFAULT_BATCH = 512,
    PLAN_DEFAULT_GPU_BATCH = 256, // so that activations of most models fit one storage block
    PLAN_DEVICE_ALIGN = 256,      // of a storage block, at most
    PLAN_MAX_BATCH = 4096,
    PLAN_MAX_LANES = 64,
    PLAN_HELD_MAX = 4 + CH_STOP_MAX, // bytes that the stream may hold back: of a character, and of
                                     // the text that ends an answer
    PLAN_ONE_LANE_BYTES =
        2 << 20 // matrices below this are read faster by one lane than shared by two
};

static const char *const region_names[CH_REGION_COUNT] = {
    "session",      "lanes",       "ops",  "cursors", "profile", "rope frequencies",
    "rope table",   "tokens",      "text", "stream",  "sampler", "logits",
    "lane scratch", "activations", "keys", "values",  "device",
};
static const char *const device_region_names[CH_DEVICE_COUNT] = {
    "weights", "constants", "rope tables", "activations", "attention parts", "choice",
    "logits",  "tokens",    "read-back",   "keys",        "values",
};
CH_STATIC_ASSERT(CH_REGION_COUNT <= CHORD_MAX_REGIONS &&
                     (int)CH_DEVICE_COUNT <= CHORD_MAX_DEVICE_REGIONS,
                 "the public table must hold every region");

static uint64_t plan_matrix_bytes(const ch_weights *weights) {
    uint64_t sum = ch_weight(weights, 0, CH_PLACE_OUTPUT)->bytes;
    for (int32_t b = 0; b < weights->hp.blocks; b++)
        for (int32_t p = 0; p < CH_PLACE_BLOCK_COUNT; p++) {
            const ch_gguf_tensor *t = ch_weight(weights, b, (ch_place)p);
            if (t) sum += t->bytes;
        }
    return sum;
}

// ---- choosing

static chord_result plan_choose(const ch_weights *weights, const chord_session_desc *desc,
                                ch_plan *plan, chord_error *error) {
    chord_plan_table *t = &plan->table;
    static const ch_kv_type kv_of[] = {CH_KV_Q16, CH_KV_F16, CH_KV_F32, CH_KV_Q8_0, CH_KV_Q16};
    if (desc->context < 0 || desc->context > CH_ARCH_MAX_CONTEXT)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "context is %d, wanted 0 (choose) to %d",
                       (int)desc->context, (int)CH_ARCH_MAX_CONTEXT);
    if (desc->batch < 0 || desc->batch > PLAN_MAX_BATCH)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "batch is %d, wanted 0 (choose) to %d",
                       (int)desc->batch, (int)PLAN_MAX_BATCH);
    if (desc->lanes < 0 || desc->lanes > PLAN_MAX_LANES)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "lanes is %d, wanted 0 (choose) to %d",
                       (int)desc->lanes, (int)PLAN_MAX_LANES);
    if ((unsigned)desc->kv >= CH_COUNT(kv_of))
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "kv is %d, which is no KV cache type",
                       (int)desc->kv);
    if (desc->logits_rows < 0 || desc->logits_rows > PLAN_MAX_BATCH)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "logits_rows is %d, wanted 0 (1) to %d",
                       (int)desc->logits_rows, (int)PLAN_MAX_BATCH);
    if (desc->draft < 0 || desc->draft >= CH_MATVEC_COLUMNS)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "draft is %d, wanted 0 (none) to %d",
                       (int)desc->draft, CH_MATVEC_COLUMNS - 1);
    t->kv = desc->kv;
    if (desc->kv == CHORD_KV_DEFAULT)
        t->kv = desc->device == CHORD_DEVICE_CPU ? CHORD_KV_Q16 : CHORD_KV_F16;
    plan->kv = kv_of[t->kv];
    if ((unsigned)desc->device > CHORD_DEVICE_GPU_ONLY)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "device is %d, which is no device",
                       (int)desc->device);
    if (desc->gpu < 0)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "gpu is %d, wanted 0 (the first) or more",
                       (int)desc->gpu);
    plan->graph.gpu = desc->device != CHORD_DEVICE_CPU;
    t->device = plan->graph.gpu ? CHORD_DEVICE_GPU : CHORD_DEVICE_CPU;
    plan->graph.kv = plan->kv;
    if (!ch_cpu_choose(desc->cpu, &plan->graph.cpu)) {
        char shown[32];
        return ch_fail(
            error, CHORD_ERROR_ARGUMENT,
            "cpu is \"%s\", wanted c, avx2, avxvnni, avx512, amx, neon, dotprod, i8mm or openblas",
            ch_printable(desc->cpu, strlen(desc->cpu), shown, sizeof shown));
    }
    t->lanes = desc->lanes;
    if (plan->graph.gpu) t->lanes = 1; // they have nothing to do
    if (t->lanes == 0) t->lanes = CH_MIN(ch_os_cores(), PLAN_MAX_LANES);
    if (desc->lanes == 0 && plan_matrix_bytes(weights) < PLAN_ONE_LANE_BYTES) t->lanes = 1;
    return CHORD_OK;
}

// ---- laying out

// The regions on a GPU; the offsets of the graph are in its buffer of activations.
static bool plan_device(const ch_weights *weights, const ch_engine_sizes *sizes, uint64_t key_bytes,
                        uint64_t value_bytes, ch_plan *plan) {
    const ch_hparams *hp = &weights->hp;
    chord_plan_table *t = &plan->table;
    uint64_t bytes[CH_DEVICE_COUNT], logits = (uint64_t)t->logits_rows * (uint64_t)hp->vocabulary;
    bytes[CH_DEVICE_WEIGHTS] = sizes->gpu_weight_bytes;
    bytes[CH_DEVICE_CONSTANTS] = sizes->gpu_constant_bytes;
    bytes[CH_DEVICE_ROPE] =
        (uint64_t)(64 + plan->capacity / 64) * (uint64_t)hp->rope_dims * sizeof(float);
    bytes[CH_DEVICE_ACTIVATIONS] = plan->size.activation_bytes;
    int32_t parts = CH_MIN(ch_ceil_div(plan->capacity, CH_GPU_PART), CH_GPU_PARTS);
    bytes[CH_DEVICE_PARTS] = parts < 2 ? 0
                                       : (uint64_t)parts * (uint64_t)hp->heads *
                                             (uint64_t)(hp->value_dim + 2) * sizeof(float);
    bytes[CH_DEVICE_CHOICE] = (CH_GPU_CHOOSERS + 1) * CH_GPU_BEST * 2 * sizeof(uint32_t);
    bytes[CH_DEVICE_LOGITS] = logits * sizeof(float);
    bytes[CH_DEVICE_TOKENS] = (uint64_t)t->batch * sizeof(chord_token);
    bytes[CH_DEVICE_READ_BACK] = logits * sizeof(float);
    bytes[CH_DEVICE_KEYS] = key_bytes;
    bytes[CH_DEVICE_VALUES] = value_bytes;
    t->device_region_count = CH_DEVICE_COUNT;
    t->device_bytes = 0;
    for (int32_t i = 0; i < CH_DEVICE_COUNT; i++) {
        t->device_regions[i].name = device_region_names[i];
        t->device_regions[i].offset = t->device_bytes;
        if (!ch_align_up(bytes[i], PLAN_DEVICE_ALIGN, &t->device_regions[i].bytes) ||
            !ch_add(t->device_bytes, t->device_regions[i].bytes, &t->device_bytes))
            return false;
    }
    uint64_t base = t->device_regions[CH_DEVICE_CONSTANTS].offset;
    plan->graph.rope_table = t->device_regions[CH_DEVICE_ROPE].offset - base;
    plan->graph.activations = t->device_regions[CH_DEVICE_ACTIVATIONS].offset - base;
    plan->graph.logits = t->device_regions[CH_DEVICE_LOGITS].offset - base;
    return true;
}

// All sizes are bounded before they get here (dimensions at most 2^24 a row, contexts 2^24, 1024
// blocks), so only the KV cache's product is checked.
static bool plan_layout(const ch_weights *weights, const ch_vocab *vocab,
                        const chord_session_desc *desc, const ch_engine_sizes *sizes,
                        int32_t context, ch_plan *plan) {
    const ch_hparams *hp = &weights->hp;
    chord_plan_table *t = &plan->table;
    uint64_t bytes[CH_REGION_COUNT];
    t->context = context;
    t->batch = plan->graph.gpu ? PLAN_DEFAULT_GPU_BATCH : PLAN_DEFAULT_BATCH;
    t->batch = CH_MIN(desc->batch ? desc->batch : t->batch, context);
    plan->graph.batch = t->batch;
    plan->graph.lanes = t->lanes;
    t->logits_rows = CH_MIN(CH_MAX(desc->logits_rows, 1 + desc->draft), t->batch);
    plan->draft = CH_MIN(desc->draft, t->logits_rows - 1);
    plan->graph.logits_rows = t->logits_rows;
    plan->capacity = (int32_t)ch_round_up((size_t)context, CH_KV_CHUNK);
    plan->key_bytes = ch_kv_bytes(plan->kv, hp->key_dim, plan->capacity);
    plan->value_bytes = ch_kv_bytes(plan->kv, hp->value_dim, plan->capacity);
    plan->text_bytes = (size_t)8 * (size_t)context;
    if (vocab->words_split) plan->text_bytes = CH_MIN(plan->text_bytes, 65536);
    ch_graph_measure(weights, &plan->graph, &plan->size);
    uint64_t lanes = (uint64_t)t->lanes, ops = (uint64_t)plan->size.op_count;
    uint64_t vocabulary = (uint64_t)hp->vocabulary,
             heads = (uint64_t)hp->blocks * (uint64_t)hp->kv_heads;
    plan->q8_columns = ch_matvec_columns(plan->graph.cpu);
    plan->gemm_columns = plan->size.quantized ? CH_GEMM_COLUMNS_QUANTIZED : CH_GEMM_COLUMNS_FLOAT;
    plan->glu_columns =
        t->batch > CH_MATVEC_COLUMNS ? CH_MIN(plan->size.batch_rows, CH_GLU_COLUMNS) : 0;
    plan->glu_tile = ch_round_up(ch_gemm_scratch_bytes(plan->size.matmul_k), CH_ALIGN);
    if (plan->graph.cpu & CH_CPU_AMX) plan->glu_tile = CH_MAX(plan->glu_tile, CH_BGEMM_SCRATCH);
    uint64_t tiles = (uint64_t)(2 * CH_GLU_ROWS * plan->glu_columns) * sizeof(float);
    plan->scratch_bytes =
        CH_MAX(plan->glu_tile + tiles,
               ch_round_up(ch_attn_scratch_bytes(hp->key_dim, hp->value_dim), CH_ALIGN));
    bytes[CH_REGION_SESSION] = sizes->session_bytes;
    bytes[CH_REGION_LANES] = lanes * sizes->lane_bytes;
    bytes[CH_REGION_OPS] = ops * sizeof(ch_op);
    bytes[CH_REGION_CURSORS] = ops * lanes * sizes->cursor_bytes;
    // A row for each lane, and one for the sums.
    plan->profile_bytes = 0; // a GPU keeps them elsewhere
    if (desc->profile && !plan->graph.gpu)
        plan->profile_bytes = ch_round_up((ops + 1) * sizeof(double), CH_ALIGN);
    bytes[CH_REGION_PROFILE] = (lanes + 1) * plan->profile_bytes;
    bytes[CH_REGION_ROPE_FREQS] = (uint64_t)hp->rope_dims / 2 * sizeof(double);
    bytes[CH_REGION_ROPE_TABLE] = (uint64_t)t->batch * (uint64_t)hp->rope_dims * sizeof(float);
    bytes[CH_REGION_TOKENS] = (uint64_t)context * sizeof(chord_token);
    bytes[CH_REGION_TEXT] = vocab->count ? ch_vocab_scratch(vocab, plan->text_bytes) : 0;
    bytes[CH_REGION_STREAM] = (uint64_t)vocab->longest + PLAN_HELD_MAX;
    bytes[CH_REGION_SAMPLER] = vocabulary * sizes->candidate_bytes;
    bytes[CH_REGION_LOGITS] = (uint64_t)plan->graph.logits_rows * vocabulary * sizeof(float);
    bytes[CH_REGION_SCRATCH] = lanes * plan->scratch_bytes;
    bytes[CH_REGION_ACTIVATIONS] = plan->size.activation_bytes;
    if (!ch_mul(heads, plan->key_bytes, &bytes[CH_REGION_KEYS])) return false;
    if (!ch_mul(heads, plan->value_bytes, &bytes[CH_REGION_VALUES])) return false;
    bytes[CH_REGION_DEVICE] = 0;
    if (plan->graph.gpu) {
        if (!plan_device(weights, sizes, bytes[CH_REGION_KEYS], bytes[CH_REGION_VALUES], plan))
            return false;
        // What computing takes is on the device.
        static const ch_region there[] = {CH_REGION_CURSORS, CH_REGION_ROPE_TABLE,
                                          CH_REGION_SCRATCH, CH_REGION_ACTIVATIONS,
                                          CH_REGION_KEYS,    CH_REGION_VALUES};
        for (size_t i = 0; i < CH_COUNT(there); i++) bytes[there[i]] = 0;
        bytes[CH_REGION_DEVICE] = sizes->gpu_bytes + ops * sizes->gpu_op_bytes;
    }
    t->region_count = CH_REGION_COUNT;
    t->arena_bytes = 0;
    for (int32_t i = 0; i < CH_REGION_COUNT; i++) {
        t->regions[i].name = region_names[i];
        t->regions[i].offset = t->arena_bytes;
        t->regions[i].bytes = bytes[i];
        if (bytes[i] > UINT64_MAX / 4 ||
            !ch_add(t->arena_bytes, ch_arena_room(bytes[i]), &t->arena_bytes))
            return false;
    }
    if (!plan->graph.gpu) {
        plan->graph.rope_table = t->regions[CH_REGION_ROPE_TABLE].offset;
        plan->graph.activations = t->regions[CH_REGION_ACTIVATIONS].offset;
        plan->graph.logits = t->regions[CH_REGION_LOGITS].offset;
    }
    t->kv_token_bytes = heads * (plan->key_bytes + plan->value_bytes) / (uint64_t)plan->capacity;
    return t->arena_bytes <= SIZE_MAX && t->device_bytes <= UINT64_MAX / 4;
}

// What a memory budget is for. (No sum overflows: each is far below the limit of plan_layout.)
static uint64_t plan_total(const ch_plan *plan) {
    return plan->table.arena_bytes + plan->table.device_bytes;
}

// The largest context, in whole chunks, whose arena fits the budget; 0 if not even one chunk does.
static int32_t plan_fit(const ch_weights *weights, const ch_vocab *vocab,
                        const chord_session_desc *desc, const ch_engine_sizes *sizes,
                        ch_plan *plan) {
    int32_t low = 0, high = ch_ceil_div(weights->hp.context_train, CH_KV_CHUNK);
    while (low < high) {
        int32_t middle = low + (high - low + 1) / 2,
                context = CH_MIN(middle * CH_KV_CHUNK, weights->hp.context_train);
        bool fits = plan_layout(weights, vocab, desc, sizes, context, plan) &&
                    plan_total(plan) <= desc->memory_budget;
        if (fits)
            low = middle;
        else
            high = middle - 1;
    }
    return CH_MIN(low * CH_KV_CHUNK, weights->hp.context_train);
}

CH_FN chord_result ch_plan_make(const ch_weights *weights, const ch_vocab *vocab,
                                const chord_session_desc *desc, const ch_engine_sizes *sizes,
                                ch_plan *plan, chord_error *error) {
    memset(plan, 0, sizeof *plan);
    if (weights->hp.blocks == 0)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "the file holds a vocabulary and no tensors: it can tokenize only");
    chord_result result = plan_choose(weights, desc, plan, error);
    if (result) return result;
    int32_t context =
        desc->context ? desc->context : CH_MIN(weights->hp.context_train, PLAN_DEFAULT_CONTEXT);
    if (desc->context == 0 && desc->memory_budget > 0) {
        context = plan_fit(weights, vocab, desc, sizes, plan);
        if (context == 0)
            context = CH_MIN(CH_KV_CHUNK, weights->hp.context_train); // to tell what it would need
    }
    if (!plan_layout(weights, vocab, desc, sizes, context, plan))
        return ch_fail(error, CHORD_ERROR_MEMORY,
                       "a context of %d needs more bytes than this machine can address",
                       (int)context);
    if (desc->memory_budget > 0 && plan_total(plan) > desc->memory_budget)
        return ch_fail(error, CHORD_ERROR_MEMORY,
                       "a context of %d needs %llu bytes, the budget is %llu", (int)context,
                       (unsigned long long)plan_total(plan),
                       (unsigned long long)desc->memory_budget);
    return CHORD_OK;
}
