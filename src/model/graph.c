// graph: see graph.h.
#include "graph.h"

#include <stdio.h>

// ---- building

// One pass over the ops serves both measuring (ops == NULL) and building. Buffers are named while
// walking; all blocks use the same ones, so a lifetime is a range of phases within one block.
typedef struct graph_builder {
    const ch_weights *weights;
    const ch_graph_config *config;
    const ch_graph_size *size; // building only
    ch_op *ops;
    int32_t op_count;
    int32_t phase;
    int32_t block;
    bool wanted_only;                                      // the ops from here on
    int32_t first[CH_BUFFER_COUNT], last[CH_BUFFER_COUNT]; // phases; first > last: unused
    int32_t matmul_k;
    bool quantized;
} graph_builder;

static uint64_t graph_buffer(graph_builder *g, ch_buffer buffer) {
    g->first[buffer] = CH_MIN(g->first[buffer], g->phase);
    g->last[buffer] = CH_MAX(g->last[buffer], g->phase);
    return g->ops ? g->config->activations + g->size->buffer[buffer] : 0;
}

// The next op, with nothing in it but its kind.
static ch_op *graph_op(graph_builder *g, ch_op *spare, ch_op_kind kind) {
    ch_op *op = g->ops ? &g->ops[g->op_count] : spare;
    g->op_count++;
    memset(op, 0, sizeof *op);
    op->kind = (uint8_t)kind;
    op->block = g->block;
    op->wanted_only = g->wanted_only;
    op->kernel = op->kernel2 = op->kernel3 = op->quantize = op->round = -1;
    op->place = CH_PLACE_COUNT;
    op->type = CH_TYPE_COUNT;
    op->weight = op->bias = op->in = op->in2 = op->in3 = op->out = op->out_records = op->add =
        CH_NOWHERE;
    return op;
}

static int16_t graph_kernel(const graph_builder *g, ch_family family, int32_t variant) {
    return (int16_t)ch_kernel_find(family, variant, g->config->cpu);
}

static const ch_gguf_tensor *graph_weight(const graph_builder *g, ch_place place) {
    return ch_weight(g->weights, g->block < 0 ? 0 : g->block, place);
}

static bool graph_wants_q8(const graph_builder *g, ch_place place) {
    return !g->config->gpu &&
           ch_type_get(graph_weight(g, place)->type)->activation == CH_ACTIVATION_Q8;
}

// The kernel that takes rounded records for many columns; -1: there is none.
static int16_t graph_bgemm(const graph_builder *g, ch_place place) {
    if (g->config->gpu || !(g->config->cpu & CH_CPU_AMX)) return -1;
    return graph_kernel(g, CH_FAMILY_BGEMM, graph_weight(g, place)->type);
}

static bool graph_wants_records(const graph_builder *g, ch_place place) {
    return graph_wants_q8(g, place) || graph_bgemm(g, place) >= 0;
}

// What an op writes for the matmul of a place, beside floats.
static void graph_records(graph_builder *g, ch_op *op, ch_place place, ch_buffer records) {
    if (!graph_wants_records(g, place)) return;
    op->out_records = graph_buffer(g, records);
    if (graph_wants_q8(g, place)) op->quantize = graph_kernel(g, CH_FAMILY_QUANTIZE, CH_RECORD_Q8);
    if (graph_bgemm(g, place) >= 0) op->round = graph_kernel(g, CH_FAMILY_QUANTIZE, CH_RECORD_BF16);
}

// f32 rows in `rows`, or quantized ones in `records`, as the weight's type wants, or rounded ones
// there. The op that made them is `own`, or not: see ch_op.
static void graph_matmul(graph_builder *g, ch_place place, int32_t bias, ch_buffer rows,
                         ch_buffer records, bool own, uint64_t out, uint64_t add, bool barrier) {
    ch_op spare, *op = graph_op(g, &spare, CH_OP_MATMUL);
    const ch_gguf_tensor *w = graph_weight(g, place),
                         *b = bias < 0 ? NULL : graph_weight(g, (ch_place)bias);
    op->place = (uint8_t)place;
    op->type = (uint8_t)w->type;
    op->kernel = graph_kernel(g, CH_FAMILY_MATVEC, w->type);
    op->kernel2 = graph_kernel(g, CH_FAMILY_GEMM, w->type);
    op->k = (int32_t)w->shape[0];
    op->rows = (int32_t)w->shape[1];
    op->weight = w->offset;
    op->weight_stride = ch_row_bytes(w->type, op->k);
    if (b) op->bias = b->offset;
    op->kernel3 = graph_bgemm(g, place);
    op->in = graph_buffer(g, graph_wants_q8(g, place) ? records : rows);
    if (op->kernel3 >= 0) op->in2 = graph_buffer(g, records);
    op->in_own = own && !g->config->gpu;
    op->later = (place == CH_PLACE_FFN_GATE || place == CH_PLACE_FFN_UP) && !g->config->gpu;
    op->out = out;
    op->add = add;
    op->barrier = barrier;
    g->matmul_k = CH_MAX(g->matmul_k, op->k);
    g->quantized = g->quantized || graph_wants_q8(g, place);
}

// A norm, and the places of the matmuls that take its rows.
static void graph_norm(graph_builder *g, ch_place place, const ch_place *readers, int32_t count,
                       ch_buffer out, ch_buffer records) {
    ch_op spare, *op = graph_op(g, &spare, CH_OP_NORM);
    bool floats = false;
    for (int32_t i = 0; i < count; i++) {
        floats = floats || !graph_wants_q8(g, readers[i]);
        graph_records(g, op, readers[i], records);
    }
    op->place = (uint8_t)place;
    op->type = CH_TYPE_F32;
    op->weight = graph_weight(g, place)->offset;
    op->kernel = graph_kernel(g, CH_FAMILY_RMSNORM, 0);
    op->k = g->weights->hp.embedding;
    op->in = graph_buffer(g, CH_BUFFER_X);
    if (floats) op->out = graph_buffer(g, out);
    op->barrier = true;
    op->own = !g->config->gpu;
}

// The phases of a block, and of what stands around them. A buffer lives from the first phase that
// names it to the last.
enum {
    GRAPH_EMBED,
    GRAPH_ATTN_NORM,
    GRAPH_QKV,
    GRAPH_ROPE,
    GRAPH_ATTENTION,
    GRAPH_ATTN_QUANTIZE,
    GRAPH_ATTN_OUTPUT,
    GRAPH_FFN_NORM,
    GRAPH_GLU,
    GRAPH_DOWN,
    GRAPH_OUTPUT_NORM,
    GRAPH_OUTPUT
};

static void graph_attention(graph_builder *g) {
    const ch_hparams *hp = &g->weights->hp;
    ch_op spare, *op;
    g->phase = GRAPH_ATTN_NORM;
    static const ch_place readers[] = {CH_PLACE_ATTN_Q, CH_PLACE_ATTN_K, CH_PLACE_ATTN_V};
    graph_norm(g, CH_PLACE_ATTN_NORM, readers, CH_COUNT(readers), CH_BUFFER_NORM,
               CH_BUFFER_NORM_RECORDS);

    g->phase = GRAPH_QKV;
    graph_matmul(g, CH_PLACE_ATTN_Q, CH_PLACE_ATTN_Q_BIAS, CH_BUFFER_NORM, CH_BUFFER_NORM_RECORDS,
                 true, graph_buffer(g, CH_BUFFER_Q), CH_NOWHERE, false);
    graph_matmul(g, CH_PLACE_ATTN_K, CH_PLACE_ATTN_K_BIAS, CH_BUFFER_NORM, CH_BUFFER_NORM_RECORDS,
                 true, graph_buffer(g, CH_BUFFER_K), CH_NOWHERE, false);
    graph_matmul(g, CH_PLACE_ATTN_V, CH_PLACE_ATTN_V_BIAS, CH_BUFFER_NORM, CH_BUFFER_NORM_RECORDS,
                 true, graph_buffer(g, CH_BUFFER_V), CH_NOWHERE, true);

    g->phase = GRAPH_ROPE;
    op = graph_op(g, &spare, CH_OP_ROPE);
    op->kernel = graph_kernel(g, CH_FAMILY_ROPE, 0);
    op->kernel2 = graph_kernel(g, CH_FAMILY_KV_STORE, (int32_t)g->config->kv);
    op->in = graph_buffer(g, CH_BUFFER_Q);
    op->in2 = graph_buffer(g, CH_BUFFER_K);
    op->in3 = graph_buffer(g, CH_BUFFER_V);
    op->k = hp->heads * hp->key_dim;
    op->barrier = true;
    op->later = !g->config->gpu && g->config->lanes <= hp->kv_heads;

    // Once the cache has all keys and values, the last block is for the wanted rows alone.
    g->wanted_only = g->block == hp->blocks - 1;
    g->phase = GRAPH_ATTENTION;
    op = graph_op(g, &spare, CH_OP_ATTENTION);
    op->kernel = graph_kernel(g, CH_FAMILY_ATTENTION, (int32_t)g->config->kv);
    op->in = graph_buffer(g, CH_BUFFER_Q);
    op->out = graph_buffer(g, CH_BUFFER_ATTN);
    op->in2 = graph_buffer(g, CH_BUFFER_K); // for those who rotate on the way
    op->in3 = graph_buffer(g, CH_BUFFER_V);
    op->k = hp->heads * hp->value_dim;
    op->barrier = true;

    if (graph_wants_records(g, CH_PLACE_ATTN_OUTPUT)) {
        g->phase = GRAPH_ATTN_QUANTIZE;
        op = graph_op(g, &spare, CH_OP_QUANTIZE);
        graph_records(g, op, CH_PLACE_ATTN_OUTPUT, CH_BUFFER_ATTN_RECORDS);
        op->in = graph_buffer(g, CH_BUFFER_ATTN);
        op->k = hp->heads * hp->value_dim;
        op->barrier = true;
        op->own = true;
    }

    g->phase = GRAPH_ATTN_OUTPUT;
    uint64_t x = graph_buffer(g, CH_BUFFER_X);
    graph_matmul(g, CH_PLACE_ATTN_OUTPUT, CH_PLACE_ATTN_OUTPUT_BIAS, CH_BUFFER_ATTN,
                 CH_BUFFER_ATTN_RECORDS, graph_wants_q8(g, CH_PLACE_ATTN_OUTPUT), x, x, true);
}

static void graph_feed_forward(graph_builder *g) {
    g->phase = GRAPH_FFN_NORM;
    static const ch_place readers[] = {CH_PLACE_FFN_GATE, CH_PLACE_FFN_UP};
    graph_norm(g, CH_PLACE_FFN_NORM, readers, CH_COUNT(readers), CH_BUFFER_FFN_NORM,
               CH_BUFFER_FFN_NORM_RECORDS);

    // One phase, since these three may be done in tiles.
    g->phase = GRAPH_GLU;
    graph_matmul(g, CH_PLACE_FFN_GATE, CH_PLACE_FFN_GATE_BIAS, CH_BUFFER_FFN_NORM,
                 CH_BUFFER_FFN_NORM_RECORDS, true, graph_buffer(g, CH_BUFFER_GATE), CH_NOWHERE,
                 false);
    graph_matmul(g, CH_PLACE_FFN_UP, CH_PLACE_FFN_UP_BIAS, CH_BUFFER_FFN_NORM,
                 CH_BUFFER_FFN_NORM_RECORDS, true, graph_buffer(g, CH_BUFFER_UP), CH_NOWHERE, true);
    ch_op spare, *op = graph_op(g, &spare, CH_OP_GLU);
    op->kernel = graph_kernel(g, CH_FAMILY_GLU, 0);
    op->in = graph_buffer(g, CH_BUFFER_GATE);
    op->in2 = graph_buffer(g, CH_BUFFER_UP);
    op->out = graph_buffer(g, CH_BUFFER_GATE);
    op->k = g->weights->hp.feed_forward;
    op->barrier = true;
    graph_records(g, op, CH_PLACE_FFN_DOWN, CH_BUFFER_GLU_RECORDS);

    g->phase = GRAPH_DOWN;
    uint64_t x = graph_buffer(g, CH_BUFFER_X);
    graph_matmul(g, CH_PLACE_FFN_DOWN, CH_PLACE_FFN_DOWN_BIAS, CH_BUFFER_GATE,
                 CH_BUFFER_GLU_RECORDS, false, x, x, true);
}

static void graph_walk(graph_builder *g) {
    const ch_hparams *hp = &g->weights->hp;
    ch_op spare, *op;
    for (int32_t i = 0; i < CH_BUFFER_COUNT; i++) {
        g->first[i] = INT32_MAX;
        g->last[i] = -1;
    }
    g->block = -1;
    g->phase = GRAPH_EMBED;
    op = graph_op(g, &spare, CH_OP_ROPE_TABLE);
    op->k = hp->rope_dims / 2;
    op->out = g->config->rope_table;
    op = graph_op(g, &spare, CH_OP_EMBED);
    const ch_gguf_tensor *embd = graph_weight(g, CH_PLACE_TOKEN_EMBD);
    op->place = CH_PLACE_TOKEN_EMBD;
    op->type = (uint8_t)embd->type;
    op->kernel = graph_kernel(g, CH_FAMILY_DEQUANTIZE, embd->type);
    op->weight = embd->offset;
    op->weight_stride = ch_row_bytes(embd->type, hp->embedding);
    op->k = hp->embedding;
    op->out = graph_buffer(g, CH_BUFFER_X);
    op->barrier = true;
    for (g->block = 0; g->block < hp->blocks; g->block++) {
        graph_attention(g);
        graph_feed_forward(g);
    }
    g->block = -1;
    g->phase = GRAPH_OUTPUT_NORM;
    static const ch_place reader = CH_PLACE_OUTPUT;
    graph_norm(g, CH_PLACE_OUTPUT_NORM, &reader, 1, CH_BUFFER_OUT_NORM, CH_BUFFER_OUT_NORM_RECORDS);
    g->phase = GRAPH_OUTPUT;
    graph_matmul(g, CH_PLACE_OUTPUT, -1, CH_BUFFER_OUT_NORM, CH_BUFFER_OUT_NORM_RECORDS, true,
                 g->config->logits, CH_NOWHERE, true);
}

// ---- placing activations

// Columns of the largest group that records may stand in.
static size_t graph_group(const ch_graph_config *config) {
    return config->cpu & CH_CPU_AMX ? CH_BGROUP : CH_GROUP;
}

// Bytes of a row of k in records.
static uint64_t graph_record_bytes(const graph_builder *g, int32_t k) {
    size_t rounded = g->config->cpu & CH_CPU_AMX ? ch_b16_bytes(k) / CH_BGROUP : 0;
    return CH_MAX(ch_q8_bytes(k, 1), rounded);
}

// Bytes of a buffer. Rows of floats and records both stand for the batch in whole groups, since the
// number of tokens decides only at run time whether rows stand alone or in groups.
static uint64_t graph_buffer_bytes(const graph_builder *g, ch_buffer buffer, int32_t batch_rows) {
    const ch_hparams *hp = &g->weights->hp;
    uint64_t rows = (uint64_t)batch_rows,
             wanted = ch_round_up((size_t)g->config->logits_rows, graph_group(g->config));
    int32_t e = hp->embedding, f = hp->feed_forward, o = hp->heads * hp->value_dim;
    switch (buffer) {
    case CH_BUFFER_X:
    case CH_BUFFER_NORM:
    case CH_BUFFER_FFN_NORM:
        return rows * (uint64_t)e * 4;
    case CH_BUFFER_NORM_RECORDS:
    case CH_BUFFER_FFN_NORM_RECORDS:
        return rows * graph_record_bytes(g, e);
    case CH_BUFFER_Q:
        return rows * (uint64_t)(hp->heads * hp->key_dim) * 4;
    case CH_BUFFER_K:
        return rows * (uint64_t)(hp->kv_heads * hp->key_dim) * 4;
    case CH_BUFFER_V:
        return rows * (uint64_t)(hp->kv_heads * hp->value_dim) * 4;
    case CH_BUFFER_ATTN:
        return rows * (uint64_t)o * 4;
    case CH_BUFFER_ATTN_RECORDS:
        return rows * graph_record_bytes(g, o);
    case CH_BUFFER_GATE: // of many tokens, the result: the other is in tiles
    case CH_BUFFER_UP:
        if (!g->config->gpu && (buffer == CH_BUFFER_UP || graph_wants_q8(g, CH_PLACE_FFN_DOWN)))
            rows = CH_MATVEC_COLUMNS;
        return rows * (uint64_t)f * 4;
    case CH_BUFFER_GLU_RECORDS:
        return rows * graph_record_bytes(g, f);
    case CH_BUFFER_OUT_NORM:
        return wanted * (uint64_t)e * 4;
    case CH_BUFFER_OUT_NORM_RECORDS:
        return wanted * graph_record_bytes(g, e);
    case CH_BUFFER_COUNT:
        break;
    }
    return 0;
}

// Largest first; each at the lowest offset where it meets no buffer that is placed and alive at the
// same time.
static void graph_place(const graph_builder *g, ch_graph_size *size) {
    uint64_t bytes[CH_BUFFER_COUNT];
    bool placed[CH_BUFFER_COUNT] = {false};
    for (int32_t i = 0; i < CH_BUFFER_COUNT; i++) {
        bool used = g->first[i] <= g->last[i];
        bytes[i] =
            used ? ch_round_up(graph_buffer_bytes(g, (ch_buffer)i, size->batch_rows), CH_ALIGN) : 0;
        size->buffer[i] = CH_NOWHERE;
    }
    size->activation_bytes = 0;
    for (;;) {
        int32_t next = -1;
        for (int32_t i = 0; i < CH_BUFFER_COUNT; i++)
            if (bytes[i] > 0 && !placed[i] && (next < 0 || bytes[i] > bytes[next])) next = i;
        if (next < 0) return;
        uint64_t at = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (int32_t i = 0; i < CH_BUFFER_COUNT; i++) {
                bool alive =
                    placed[i] && g->first[i] <= g->last[next] && g->first[next] <= g->last[i];
                if (alive && size->buffer[i] < at + bytes[next] &&
                    at < size->buffer[i] + bytes[i]) {
                    at = size->buffer[i] + bytes[i];
                    moved = true;
                }
            }
        }
        size->buffer[next] = at;
        placed[next] = true;
        size->activation_bytes = CH_MAX(size->activation_bytes, at + bytes[next]);
    }
}

CH_FN void ch_graph_measure(const ch_weights *weights, const ch_graph_config *config,
                            ch_graph_size *size) {
    graph_builder g;
    memset(&g, 0, sizeof g);
    g.weights = weights;
    g.config = config;
    graph_walk(&g);
    memset(size, 0, sizeof *size);
    size->op_count = g.op_count;
    size->batch_rows = (int32_t)ch_round_up((size_t)config->batch, graph_group(config));
    size->matmul_k = g.matmul_k;
    size->quantized = g.quantized;
    graph_place(&g, size);
}

CH_FN void ch_graph_build(const ch_weights *weights, const ch_graph_config *config,
                          const ch_graph_size *size, ch_op *ops) {
    graph_builder g;
    memset(&g, 0, sizeof g);
    g.weights = weights;
    g.config = config;
    g.size = size;
    g.ops = ops;
    graph_walk(&g);
}

// ---- for people

CH_FN const char *ch_op_kind_name(ch_op_kind kind) {
    static const char *const names[CH_OP_KIND_COUNT] = {
        "rope_table", "embed", "norm", "matmul", "rope", "attention", "quantize", "glu",
    };
    return names[kind];
}

// Bytes and flops of one decoded token, counted as what must be moved: weights, operands and
// results once.
static void graph_count(const ch_weights *weights, const ch_op *op, ch_kv_type kv,
                        chord_op_info *info) {
    const ch_hparams *hp = &weights->hp;
    uint64_t k = (uint64_t)op->k, rows = (uint64_t)op->rows,
             q8 = op->k % 32 ? 0 : ch_q8_bytes(op->k, 1);
    uint64_t kv_bytes = (uint64_t)hp->kv_heads *
                        (ch_kv_bytes(kv, hp->key_dim, 64) + ch_kv_bytes(kv, hp->value_dim, 64)) /
                        64;
    switch ((ch_op_kind)op->kind) {
    case CH_OP_ROPE_TABLE:
        info->bytes = k * 16, info->flops = k * 2;
        break;
    case CH_OP_EMBED:
        info->bytes = op->weight_stride + k * 4, info->flops = k;
        break;
    case CH_OP_NORM:
        info->bytes = k * 12 + (op->quantize < 0 ? 0 : q8), info->flops = k * 4;
        break;
    case CH_OP_MATMUL:
        info->weight_bytes = rows * op->weight_stride;
        info->bytes =
            rows * op->weight_stride + rows * 4 +
            (ch_type_get((ch_type)op->type)->activation == CH_ACTIVATION_Q8 ? q8 : k * 4) +
            (op->bias == CH_NOWHERE ? 0 : rows * 4) + (op->add == CH_NOWHERE ? 0 : rows * 4);
        info->flops = rows * k * 2;
        break;
    case CH_OP_ROPE:
        info->bytes = k * 8 +
                      (uint64_t)hp->kv_heads * (uint64_t)(hp->key_dim * 2 + hp->value_dim) * 4 +
                      kv_bytes;
        info->flops = (uint64_t)(hp->heads + hp->kv_heads) * (uint64_t)hp->rope_dims * 3;
        break;
    case CH_OP_ATTENTION:
        info->bytes = (uint64_t)(hp->heads * hp->key_dim) * 4 + k * 4 + kv_bytes;
        info->bytes_per_position = kv_bytes;
        info->flops_per_position =
            (uint64_t)hp->heads * (uint64_t)(hp->key_dim + hp->value_dim) * 2;
        info->flops = info->flops_per_position;
        break;
    case CH_OP_QUANTIZE:
        info->bytes = k * 4 + q8, info->flops = k * 2;
        break;
    case CH_OP_GLU:
        info->bytes = k * 12 + (op->quantize < 0 ? 0 : q8), info->flops = k * 12;
        break;
    case CH_OP_KIND_COUNT:
        break;
    }
}

CH_FN void ch_op_describe(const ch_weights *weights, const ch_op *op, ch_kv_type kv,
                          chord_op_info *info) {
    static const char *const kv_names[CH_KV_COUNT] = {"f16", "f32", "q8_0", "q16"};
    memset(info, 0, sizeof *info);
    info->kind = ch_op_kind_name((ch_op_kind)op->kind);
    info->kernel = op->kernel >= 0 ? ch_kernel_at(op->kernel)->name : "";
    info->prompt_kernel = info->kernel;
    if (op->kind == CH_OP_MATMUL)
        info->prompt_kernel = ch_kernel_at(op->kernel3 >= 0 ? op->kernel3 : op->kernel2)->name;
    if (op->kind == CH_OP_QUANTIZE)
        info->kernel = info->prompt_kernel =
            ch_kernel_at(op->quantize >= 0 ? op->quantize : op->round)->name;
    bool later = op->later && op->kind == CH_OP_ROPE; // the others are for many tokens
    info->barrier = op->barrier && !op->own && !later;
    info->logits_only = op->wanted_only;
    char what[24];
    snprintf(what, sizeof what, "%s",
             op->place < CH_PLACE_COUNT ? ch_place_name((ch_place)op->place) : info->kind);
    char *ending = strstr(what, ".weight");
    if (ending) *ending = 0;
    if (op->block >= 0)
        snprintf(info->name, sizeof info->name, "blk.%d.%s", (int)op->block, what);
    else
        snprintf(info->name, sizeof info->name, "%s", what);
    if (op->kind == CH_OP_MATMUL)
        snprintf(info->shape, sizeof info->shape, "%d x %d, %s", (int)op->rows, (int)op->k,
                 ch_type_get((ch_type)op->type)->name);
    else if (op->kind == CH_OP_ATTENTION)
        snprintf(info->shape, sizeof info->shape, "%d heads of %d, %d for kv, %s",
                 (int)weights->hp.heads, (int)weights->hp.key_dim, (int)weights->hp.kv_heads,
                 kv_names[kv]);
    else
        snprintf(info->shape, sizeof info->shape, "%d", (int)op->k);
    graph_count(weights, op, kv, info);
}
