// gate_work: the works that are timed: kernels as the engine calls them, and calls of the library.
//
// Owns: the memory that a work goes over. Refuses: clocks inside of a run. Invariant: a run does
// the same each time, and its operands are neither denormal nor infinite, whatever was computed
// before.
//
// Matrices that a token is multiplied with come from memory: a pool much larger than a core's
// caches holds several copies, and each run takes the next. All other operands stay in a cache, as
// they do in the engine.
#include "gate.h"

#include <stdlib.h>
#include <string.h>

#define WORK_POOL ((size_t)64 << 20)
#define WORK_TEXT 2048

static int32_t work_number(const gate_work *w, gate_number number, int32_t otherwise) {
    int32_t n = w->spec->numbers[number];
    return n ? n : otherwise;
}

static void *work_kernel(const gate_context *context, ch_family family, int32_t variant) {
    // Functions and data share addresses wherever there is POSIX (dlsym wants it so too).
    return (void *)(uintptr_t)ch_kernel_at(ch_kernel_find(family, variant, context->cpu_bits))->fn;
}

#define WORK_FN(type, work) ((type *)(uintptr_t)(work)->fn)

// Takes one block, cut by the caller.
static bool work_memory(gate_work *w, size_t bytes) {
    w->memory_bytes = ch_round_up(bytes, 4096);
    w->memory = ch_os_memory_take(w->memory_bytes);
    return w->memory != NULL;
}

// Values of about -1 to 1.
static void work_floats(float *x, size_t n) {
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)(state >> 8 & 0xffff) / 32768.0f - 1.0f;
    }
}

// ---- matvec, gemm

static void work_run_mm(gate_work *w) {
    ch_mm_args a = w->mm;
    a.w = w->memory + w->at;
    WORK_FN(ch_mm_fn, w)(&a, 0, a.rows);
    size_t bytes = (size_t)a.rows * a.w_stride;
    w->at = w->at + 2 * bytes <= w->pool ? w->at + bytes : 0;
}

static bool work_open_mm(const gate_context *context, gate_work *w) {
    bool gemm = w->spec->measure == GATE_GEMM;
    ch_type type = w->spec->type;
    bool q8 = ch_type_get(type)->activation == CH_ACTIVATION_Q8;
    ch_mm_args *a = &w->mm;
    a->rows = work_number(w, GATE_N_ROWS, 0);
    a->k = work_number(w, GATE_N_K, 0);
    a->n = work_number(w, GATE_N_COLUMNS, 1);
    a->w_stride = ch_row_bytes(type, a->k);
    a->y_stride = (size_t)a->rows;
    int32_t group = gemm ? CH_GROUP : 1, records = ch_ceil_div(a->n, group);
    size_t matrix = (size_t)a->rows * a->w_stride, k = (size_t)a->k, n = (size_t)a->n;
    size_t record = ch_q8_bytes(a->k, group), x_bytes = ch_round_up(n * k * sizeof(float), 64);
    size_t scratch = ch_round_up(ch_gemm_scratch_bytes(a->k), 64);
    w->pool = gemm ? matrix : CH_MAX(WORK_POOL / matrix, (size_t)1) * matrix;
    size_t pool = ch_round_up(w->pool, 64), q8_bytes = record * (size_t)records;
    if (!work_memory(w, pool + x_bytes + q8_bytes + scratch + n * (size_t)a->rows * sizeof(float)))
        return false;
    gate_fill_weights(type, w->memory, w->pool);
    uint8_t *x = w->memory + pool, *q = x + x_bytes;
    work_floats((float *)(void *)x, n * k);
    a->x = q8 ? q : x;
    a->x_stride = q8 ? record : k * sizeof(float);
    a->scratch = q + q8_bytes;
    a->y = (float *)(void *)(a->scratch + scratch);
    ch_quantize_fn *quantize =
        (ch_quantize_fn *)(uintptr_t)work_kernel(context, CH_FAMILY_QUANTIZE, 0);
    for (int32_t i = 0; q8 && i < records; i++)
        quantize((float *)(void *)x + (size_t)(i * group) * k, k, CH_MIN(group, a->n - i * group),
                 a->k, group, q + (size_t)i * record, 0, a->k / 32);
    w->fn = work_kernel(context, gemm ? CH_FAMILY_GEMM : CH_FAMILY_MATVEC, (int32_t)type);
    w->run = work_run_mm;
    w->limit = !gemm ? MEASURE_READ : q8 ? MEASURE_INT8 : MEASURE_F32;
    w->units = gemm ? (double)a->rows * (double)(k * n) : (double)matrix;
    w->working_set = w->pool;
    return true;
}

// ---- attention

static void work_run_attention(gate_work *w) {
    const int32_t *n = w->spec->numbers;
    int32_t heads = n[GATE_N_HEADS], kv = n[GATE_N_KV_HEADS], per_kv = heads / kv;
    int32_t tokens = work_number(w, GATE_N_COLUMNS, 1), tile = CH_MAX(1, CH_ATTN_ROWS / per_kv);
    ch_attn_args a = w->attn;
    for (int32_t h = 0; h < kv; h++) {
        a.k_cache = w->memory + (size_t)h * w->pool;
        a.v_cache = a.k_cache + w->pool / 2;
        for (int32_t t = 0; t < tokens; t += tile)
            WORK_FN(ch_attn_fn, w)(&a, h * per_kv, (h + 1) * per_kv, t, CH_MIN(t + tile, tokens));
    }
}

// The cache that a gate asks for, else the one that sessions have.
static ch_kv_type work_kv(const gate_work *w) {
    return w->spec->kv < 0 ? CH_KV_Q16 : (ch_kv_type)w->spec->kv;
}

static bool work_open_attention(const gate_context *context, gate_work *w) {
    const int32_t *n = w->spec->numbers;
    ch_kv_type type = work_kv(w);
    int32_t heads = n[GATE_N_HEADS], kv = n[GATE_N_KV_HEADS], dim = n[GATE_N_DIM];
    int32_t positions = n[GATE_N_POSITIONS], tokens = work_number(w, GATE_N_COLUMNS, 1);
    int32_t capacity = ch_ceil_div(positions, CH_KV_CHUNK) * CH_KV_CHUNK;
    size_t cache = ch_round_up(ch_kv_bytes(type, dim, capacity), 64);
    size_t rows = (size_t)tokens * (size_t)heads * (size_t)dim;
    w->pool = 2 * cache; // K and V of a KV head
    size_t caches = w->pool * (size_t)kv, q_bytes = ch_round_up(rows * sizeof(float), 64);
    size_t scratch = ch_round_up(ch_attn_scratch_bytes(dim, dim), 64);
    if (!work_memory(w, caches + 2 * q_bytes + scratch)) return false;
    float row[512];
    work_floats(row, CH_COUNT(row));
    ch_kv_store_fn *store =
        (ch_kv_store_fn *)(uintptr_t)work_kernel(context, CH_FAMILY_KV_STORE, (int32_t)type);
    for (int32_t h = 0; h < kv; h++)
        for (int32_t p = 0; p < positions; p++) {
            uint8_t *at = w->memory + (size_t)h * w->pool;
            store(row + p % 256, row + p % 128, dim, dim, capacity, p, at, at + cache);
        }
    ch_attn_args *a = &w->attn;
    float *q = (float *)(void *)(w->memory + caches);
    work_floats(q, rows);
    a->q = q;
    a->y = (float *)(void *)(w->memory + caches + q_bytes);
    a->q_stride = a->y_stride = (size_t)heads * (size_t)dim;
    a->capacity = capacity;
    a->head_dim = a->value_dim = dim;
    a->pos0 = positions - tokens;
    a->scratch = w->memory + caches + 2 * q_bytes;
    w->fn = work_kernel(context, CH_FAMILY_ATTENTION, (int32_t)type);
    w->run = work_run_attention;
    // A row of K and V that serves few queries is a matter of reading, else of arithmetic.
    bool reads = tokens * (heads / kv) < 4;
    double seen = positions - (tokens - 1) / 2.0; // by a query
    w->limit = reads ? MEASURE_READ : MEASURE_F32;
    w->units = reads ? (double)caches * positions / capacity
                     : 2.0 * (double)heads * dim * (double)tokens * seen;
    w->working_set = caches;
    return true;
}

// ---- kernels over a row

static void work_run_row(gate_work *w) {
    const int32_t *n = w->spec->numbers;
    int32_t k = n[GATE_N_K], dim = n[GATE_N_DIM], columns = work_number(w, GATE_N_COLUMNS, 1);
    switch (w->spec->measure) {
    case GATE_RMSNORM:
        WORK_FN(ch_rmsnorm_fn, w)(w->x, w->x + k, 1e-5f, k, w->y);
        break;
    case GATE_GLU:
        WORK_FN(ch_glu_fn, w)(w->x, w->x + k, k, w->y);
        break;
    case GATE_ROPE:
        WORK_FN(ch_rope_fn, w)
        (w->x, n[GATE_N_HEADS], dim, dim / 2, false, w->y, w->y + dim / 2, 1.0f);
        break;
    case GATE_KV_STORE:
        WORK_FN(ch_kv_store_fn, w)
        (w->x, w->x + dim, dim, dim, CH_KV_CHUNK, (int32_t)(w->at++ % CH_KV_CHUNK), w->record,
         w->record + w->pool);
        break;
    default: // GATE_QUANTIZE
        WORK_FN(ch_quantize_fn, w)
        (w->x, (size_t)k, columns, k, columns > 1 ? CH_GROUP : 1, w->record, 0, k / 32);
        break;
    }
}

static bool work_open_row(const gate_context *context, gate_work *w) {
    static const struct {
        gate_measure measure;
        ch_family family;
    } families[] = {{GATE_RMSNORM, CH_FAMILY_RMSNORM},
                    {GATE_GLU, CH_FAMILY_GLU},
                    {GATE_ROPE, CH_FAMILY_ROPE},
                    {GATE_KV_STORE, CH_FAMILY_KV_STORE},
                    {GATE_QUANTIZE, CH_FAMILY_QUANTIZE}};
    const int32_t *n = w->spec->numbers;
    gate_measure measure = w->spec->measure;
    ch_kv_type kv = work_kv(w);
    size_t dim = (size_t)n[GATE_N_DIM],
           k = (size_t)CH_MAX(n[GATE_N_K], n[GATE_N_HEADS] * n[GATE_N_DIM]);
    k = CH_MAX(k, 2 * dim);
    int32_t columns = work_number(w, GATE_N_COLUMNS, 1), variant = 0;
    size_t x_bytes = ch_round_up(k * (size_t)CH_MAX(columns, 2) * sizeof(float), 64);
    size_t record = ch_q8_bytes(CH_MAX(n[GATE_N_K], 32), CH_GROUP);
    if (measure == GATE_KV_STORE) {
        w->pool = ch_round_up(ch_kv_bytes(kv, n[GATE_N_DIM], CH_KV_CHUNK), 64);
        record = 2 * w->pool;
        variant = (int32_t)kv;
    }
    if (!work_memory(w, 2 * x_bytes + record)) return false;
    w->x = (float *)(void *)w->memory;
    w->y = (float *)(void *)(w->memory + x_bytes);
    w->record = w->memory + 2 * x_bytes;
    work_floats(w->x, x_bytes / sizeof(float));
    // A rotation by no angle leaves the values as they are, however often it is done.
    for (size_t i = 0; measure == GATE_ROPE && i < dim / 2; i++) w->y[i] = 1.0f;
    for (size_t i = 0; i < CH_COUNT(families); i++)
        if (families[i].measure == measure)
            w->fn = work_kernel(context, families[i].family, variant);
    w->run = work_run_row;
    w->limit = MEASURE_READ;
    // Read and written, as floats: inputs and outputs of a row.
    double floats = measure == GATE_ROPE       ? 2.0 * n[GATE_N_HEADS] * n[GATE_N_DIM]
                    : measure == GATE_KV_STORE ? 2.0 * n[GATE_N_DIM]
                    : measure == GATE_QUANTIZE ? (double)n[GATE_N_K] * columns
                                               : 3.0 * n[GATE_N_K];
    w->units = floats * (double)sizeof(float);
    w->working_set = (size_t)w->units;
    return true;
}

// ---- calls of the library

static void work_run_sample(gate_work *w) {
    chord_token token;
    if (chord_session_sample(w->session, &token)) w->failed = true;
}

static void work_run_parse(gate_work *w) {
    chord_model *model = NULL;
    if (chord_model_open(&w->model_desc, &model, NULL)) w->failed = true;
    chord_model_close(model);
}

static void work_run_tokenize(gate_work *w) {
    chord_tokenize_desc desc = {.text = w->text, .text_bytes = WORK_TEXT, .bos = -1};
    size_t count = 0;
    if (chord_tokenize(w->model, &desc, w->tokens, w->capacity, &count, NULL)) w->failed = true;
}

static void work_run_open(gate_work *w) {
    chord_session *session = NULL;
    if (chord_session_open(w->model, &w->session_desc, &session, NULL)) w->failed = true;
    chord_session_close(session);
}

static void work_run_prefill(gate_work *w) {
    if (chord_session_rewind(w->session, 0) ||
        chord_session_eval(w->session, w->tokens, (int32_t)w->capacity, 1))
        w->failed = true;
}

static void work_run_decode(gate_work *w) {
    if (chord_session_eval(w->session, w->tokens, 1, 1) ||
        chord_session_rewind(w->session, (int32_t)w->capacity))
        w->failed = true;
}

// Sums over the graph for one token at a position.
static void work_graph(const chord_session *session, double position, double *bytes, double *macs) {
    chord_op_info op;
    *bytes = *macs = 0;
    for (int32_t i = 0; chord_session_get_op(session, i, &op) == CHORD_OK; i++) {
        *bytes += (double)op.bytes + position * (double)op.bytes_per_position;
        *macs += ((double)op.flops + position * (double)op.flops_per_position) / 2;
    }
}

static bool work_session(gate_work *w, char *why, size_t capacity) {
    chord_error error = {CHORD_OK, ""};
    if (chord_session_open(w->model, &w->session_desc, &w->session, &error)) {
        snprintf(why, capacity, "%s", error.message);
        return false;
    }
    return true;
}

// Whether most of a model's weights are multiplied as floats.
static bool work_floats_only(const chord_model_info *info) {
    int32_t type = 0;
    while (type < CH_TYPE_COUNT && strcmp(ch_type_get((ch_type)type)->name, info->file_type) != 0)
        type++;
    return type < CH_TYPE_COUNT && ch_type_get((ch_type)type)->activation == CH_ACTIVATION_F32;
}

static bool work_open_eval(gate_work *w, const chord_model_info *info, char *why, size_t capacity) {
    bool prefill = w->spec->measure == GATE_PREFILL;
    double bytes = 0, macs = 0;
    w->capacity = (size_t)work_number(w, GATE_N_TOKENS, 16);
    if (w->session_desc.context == 0) w->session_desc.context = (int32_t)w->capacity + 1;
    if (!work_session(w, why, capacity)) return false;
    w->tokens = malloc(w->capacity * sizeof *w->tokens);
    if (!w->tokens) return false;
    for (size_t i = 0; i < w->capacity; i++)
        w->tokens[i] = (chord_token)((7 + 31 * i) % (size_t)info->vocabulary);
    if (!prefill && chord_session_eval(w->session, w->tokens, (int32_t)w->capacity, 0)) {
        snprintf(why, capacity, "%s", chord_session_error(w->session));
        return false;
    }
    work_graph(w->session, prefill ? (double)w->capacity / 2 : (double)w->capacity, &bytes, &macs);
    w->run = prefill ? work_run_prefill : work_run_decode;
    w->limit = !prefill ? MEASURE_READ : work_floats_only(info) ? MEASURE_F32 : MEASURE_INT8;
    w->units = prefill ? macs * (double)w->capacity : bytes;
    w->working_set = (size_t)bytes;
    w->lanes = chord_session_plan(w->session)->lanes;
    return true;
}

static bool work_open_sample(gate_work *w, const chord_model_info *info, char *why,
                             size_t capacity) {
    static const chord_token token = 1;
    w->session_desc.context = 16;
    w->session_desc.sampler = (chord_sampler){.temperature = 0.8f, .top_k = 40, .top_p = 0.95f};
    if (!work_session(w, why, capacity)) return false;
    if (chord_session_eval(w->session, &token, 1, 1)) {
        snprintf(why, capacity, "%s", chord_session_error(w->session));
        return false;
    }
    w->run = work_run_sample;
    w->units = (double)info->vocabulary * (double)sizeof(float);
    return true;
}

static bool work_open_tokenize(gate_work *w) {
    static const char words[] =
        "once upon a time there was a little girl who lived in a village near "
        "the forest and whenever she went out she wore a red cloak so ";
    char *text = malloc(WORK_TEXT);
    w->capacity = WORK_TEXT + 16;
    w->tokens = malloc(w->capacity * sizeof *w->tokens);
    w->record = (uint8_t *)text;
    if (!text || !w->tokens) return false;
    for (size_t i = 0; i < WORK_TEXT; i++) text[i] = words[i % (sizeof words - 1)];
    w->text = text;
    w->run = work_run_tokenize;
    w->units = WORK_TEXT;
    return true;
}

static bool work_open_library(const gate_context *context, gate_work *w, char *why,
                              size_t capacity) {
    chord_model_info info;
    gate_model *model = w->spec->model;
    w->model = gate_model_get(context, model, why, capacity);
    if (!w->model) return false;
    chord_model_get_info(w->model, &info);
    gate_session_desc(context, w->spec, &w->session_desc);
    w->limit = MEASURE_READ;
    if (w->spec->measure == GATE_PREFILL || w->spec->measure == GATE_DECODE)
        return work_open_eval(w, &info, why, capacity);
    bool good = true;
    if (w->spec->measure == GATE_SAMPLE) {
        good = work_open_sample(w, &info, why, capacity);
    } else if (w->spec->measure == GATE_TOKENIZE) {
        good = work_open_tokenize(w);
    } else if (w->spec->measure == GATE_OPEN) {
        chord_plan_table plan;
        good = chord_plan(w->model, &w->session_desc, &plan, NULL) == CHORD_OK;
        w->run = work_run_open;
        w->units = good ? (double)plan.arena_bytes : 0;
    } else {
        w->text = model->file ? gate_file_path(context->file, model->file) : NULL;
        w->model_desc.path = w->text;
        w->record = (uint8_t *)(uintptr_t)w->text;
        w->model_desc.data = model->data;
        w->model_desc.data_bytes = model->bytes;
        w->run = work_run_parse;
        w->units = (double)(info.file_bytes - info.tensor_bytes);
    }
    w->working_set = (size_t)CH_MIN(w->units, 1048576.0);
    return good;
}

// ---- all of them

bool gate_work_open(const gate_context *context, const gate_spec *spec, gate_work *w, char *why,
                    size_t capacity) {
    memset(w, 0, sizeof *w);
    w->spec = spec;
    w->lanes = 1;
    snprintf(why, capacity, "no memory for the work");
    bool good = spec->measure == GATE_MATVEC || spec->measure == GATE_GEMM
                    ? work_open_mm(context, w)
                : spec->measure == GATE_ATTENTION ? work_open_attention(context, w)
                : spec->model                     ? work_open_library(context, w, why, capacity)
                                                  : work_open_row(context, w);
    if (!good) gate_work_close(w);
    return good;
}

void gate_work_close(gate_work *w) {
    chord_session_close(w->session);
    free(w->tokens);
    if (w->spec->model) free(w->record); // a text; of a kernel's work it is part of the memory
    if (w->memory) ch_os_memory_release(w->memory, w->memory_bytes);
    memset(w, 0, sizeof *w);
}

double gate_work_time(gate_work *w, int32_t times) {
    double begun = ch_os_seconds();
    for (int32_t i = 0; i < times; i++) w->run(w);
    return ch_os_seconds() - begun;
}

int32_t gate_work_times(gate_work *w, double seconds) {
    enum { MOST = 1 << 24 };
    int32_t times = 1;
    gate_work_time(w, 1); // warms up
    for (;;) {
        double took = gate_work_time(w, times);
        if (took >= seconds / 4 || times >= MOST) {
            double wanted = (double)times * seconds / CH_MAX(took, 1e-9);
            return (int32_t)CH_MIN(CH_MAX(wanted, 1.0), (double)MOST);
        }
        times *= 2;
    }
}

// ---- ops

bool gate_has_ops(const gate_spec *spec) {
    return spec->measure == GATE_PREFILL || spec->measure == GATE_DECODE;
}

void gate_ops_add(gate_ops *ops, const char *name, double seconds, double roof_units) {
    int32_t i = 0;
    while (i < ops->count && strcmp(ops->items[i].name, name) != 0) i++;
    if (i == GATE_MOST_OPS) return;
    if (i == ops->count) {
        memset(&ops->items[i], 0, sizeof ops->items[i]);
        snprintf(ops->items[i].name, sizeof ops->items[i].name, "%s", name);
        ops->count++;
    }
    ops->items[i].seconds += seconds;
    ops->items[i].roof_units += roof_units;
}

// What the profile tells so far; a prefill's tokens each cost an op's multiply-adds.
static void work_read_ops(const gate_work *w, double runs, gate_ops *ops) {
    chord_op_info op;
    double tokens = w->spec->measure == GATE_PREFILL ? (double)w->capacity : 1;
    ops->count = 0;
    for (int32_t i = 0; chord_session_get_op(w->session, i, &op) == CHORD_OK; i++) {
        const char *dot = strncmp(op.name, "blk.", 4) == 0 ? strchr(op.name + 4, '.') : NULL;
        double units = w->limit == MEASURE_READ ? (double)op.bytes : (double)op.flops / 2;
        gate_ops_add(ops, dot ? dot + 1 : op.name, op.seconds, units * tokens * runs);
    }
}

bool gate_profile(const gate_context *context, const gate_spec *spec, int32_t times, gate_ops *ops,
                  char *why, size_t capacity) {
    enum { ROUNDS = 25 };
    gate_context profiled = *context;
    gate_work w;
    gate_ops before, now;
    double seconds[GATE_MOST_OPS][ROUNDS];
    measure_summary sum;
    profiled.profile = true;
    ops->count = 0;
    if (!gate_work_open(&profiled, spec, &w, why, capacity)) return false;
    gate_work_time(&w, times);
    for (int32_t round = 0; round < ROUNDS; round++) {
        work_read_ops(&w, 0, &before);
        gate_work_time(&w, times);
        work_read_ops(&w, times, &now);
        for (int32_t i = 0; i < now.count; i++)
            seconds[i][round] = now.items[i].seconds - before.items[i].seconds;
    }
    for (int32_t i = 0; i < now.count; i++)
        if (measure_summarize(seconds[i], ROUNDS, 0.5, &sum))
            gate_ops_add(ops, now.items[i].name, sum.median, now.items[i].roof_units);
    gate_work_close(&w);
    return true;
}
