// gguf_builder: see gguf_builder.h.
#include "gguf_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double gb_cpu_seconds(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

// ---- buffers

static void *gb_alloc(size_t bytes) {
    void *memory = aligned_alloc(64, ch_round_up(bytes + !bytes, 64));
    if (!memory) abort();
    return memory;
}

void gb_bytes(gb_buffer *buffer, const void *bytes, size_t count) {
    if (buffer->bytes + count > buffer->capacity) {
        size_t capacity = CH_MAX(buffer->capacity * 2, buffer->bytes + count + 256);
        uint8_t *data = (uint8_t *)realloc(buffer->data, capacity);
        if (!data) abort();
        buffer->data = data;
        buffer->capacity = capacity;
    }
    if (count) memcpy(buffer->data + buffer->bytes, bytes, count);
    buffer->bytes += count;
}

void gb_u32(gb_buffer *buffer, uint32_t value) {
    gb_bytes(buffer, &value, sizeof value);
}

void gb_u64(gb_buffer *buffer, uint64_t value) {
    gb_bytes(buffer, &value, sizeof value);
}

void gb_string(gb_buffer *buffer, const char *text, size_t bytes) {
    gb_u64(buffer, bytes);
    gb_bytes(buffer, text, bytes);
}

void gb_open(gguf_builder *builder) {
    memset(builder, 0, sizeof *builder);
    builder->version = 3;
    builder->alignment = 32;
}

void gb_close(gguf_builder *builder) {
    free(builder->meta.data);
    free(builder->infos.data);
    free(builder->data.data);
    free(builder->file.data);
    memset(builder, 0, sizeof *builder);
}

// ---- keys

void gb_key(gguf_builder *builder, const char *key, uint32_t kind) {
    gb_string(&builder->meta, key, strlen(key));
    gb_u32(&builder->meta, kind);
    builder->meta_count++;
}

void gb_meta_u32(gguf_builder *builder, const char *key, uint32_t value) {
    gb_key(builder, key, CH_GGUF_U32);
    gb_u32(&builder->meta, value);
}

void gb_meta_i32(gguf_builder *builder, const char *key, int32_t value) {
    gb_key(builder, key, CH_GGUF_I32);
    gb_u32(&builder->meta, (uint32_t)value);
}

void gb_meta_u64(gguf_builder *builder, const char *key, uint64_t value) {
    gb_key(builder, key, CH_GGUF_U64);
    gb_u64(&builder->meta, value);
}

void gb_meta_f32(gguf_builder *builder, const char *key, float value) {
    gb_key(builder, key, CH_GGUF_F32);
    gb_bytes(&builder->meta, &value, sizeof value);
}

void gb_meta_bool(gguf_builder *builder, const char *key, uint8_t value) {
    gb_key(builder, key, CH_GGUF_BOOL);
    gb_bytes(&builder->meta, &value, sizeof value);
}

void gb_meta_text(gguf_builder *builder, const char *key, const char *value) {
    gb_key(builder, key, CH_GGUF_STRING);
    gb_string(&builder->meta, value, strlen(value));
}

void gb_meta_texts(gguf_builder *builder, const char *key, const char *const *values,
                   size_t count) {
    gb_key(builder, key, CH_GGUF_ARRAY);
    gb_u32(&builder->meta, CH_GGUF_STRING);
    gb_u64(&builder->meta, count);
    for (size_t i = 0; i < count; i++) gb_string(&builder->meta, values[i], strlen(values[i]));
}

void gb_meta_array(gguf_builder *builder, const char *key, uint32_t element_kind,
                   const void *values, size_t value_bytes, size_t count) {
    gb_key(builder, key, CH_GGUF_ARRAY);
    gb_u32(&builder->meta, element_kind);
    gb_u64(&builder->meta, count);
    gb_bytes(&builder->meta, values, value_bytes * count);
}

// ---- tensors

void gb_info(gguf_builder *builder, const char *name, uint32_t dims, const uint64_t *shape,
             uint32_t type, uint64_t offset) {
    gb_string(&builder->infos, name, strlen(name));
    gb_u32(&builder->infos, dims);
    for (uint32_t i = 0; i < dims && i < 8; i++) gb_u64(&builder->infos, shape[i]);
    gb_u32(&builder->infos, type);
    gb_u64(&builder->infos, offset);
    builder->tensor_count++;
}

// splitmix64 (Vigna).
uint64_t gb_random(gguf_builder *builder) {
    uint64_t z = builder->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static float gb_random_weight(gguf_builder *builder) {
    return ((float)(gb_random(builder) >> 40) / 16777216.0f - 0.5f) * 0.1f;
}

// Overwrites the f16 at `at` with a scale of 2^-11 to 2^-10, or a subnormal one of 2^-15 to 2^-14
// where the block multiplies it with large scales of its own.
static void gb_put_scale(gguf_builder *builder, ch_type type, uint8_t *at) {
    bool small = type == CH_TYPE_Q4_K || type == CH_TYPE_Q5_K || type == CH_TYPE_Q6_K;
    uint32_t bits = (uint32_t)gb_random(builder);
    uint16_t half = (uint16_t)(small ? 512 | (bits & 511) : 4 << 10 | (bits & 1023));
    memcpy(at, &half, sizeof half);
}

static void gb_random_block(gguf_builder *builder, ch_type type, uint8_t *block) {
    size_t bytes = ch_type_get(type)->block_bytes;
    for (size_t i = 0; i < bytes; i++) block[i] = (uint8_t)gb_random(builder);
    switch (type) {
    case CH_TYPE_Q4_1:
    case CH_TYPE_Q5_1:
    case CH_TYPE_Q4_K:
    case CH_TYPE_Q5_K:
        gb_put_scale(builder, type, block + 2); // the minimum; the scale follows below
        gb_put_scale(builder, type, block);
        break;
    case CH_TYPE_Q2_K:
        gb_put_scale(builder, type, block + bytes - 4);
        gb_put_scale(builder, type, block + bytes - 2);
        break;
    case CH_TYPE_Q3_K:
    case CH_TYPE_Q6_K:
        gb_put_scale(builder, type, block + bytes - 2);
        break;
    default:
        gb_put_scale(builder, type, block);
    }
}

void gb_random_row(gguf_builder *builder, ch_type type, uint64_t elements, uint8_t *row) {
    const ch_type_info *info = ch_type_get(type);
    for (uint64_t i = 0; i < elements / info->block_elements; i++) {
        uint8_t *block = row + i * info->block_bytes;
        float weight = gb_random_weight(builder);
        uint32_t bits = 0;
        memcpy(&bits, &weight, sizeof bits);
        uint16_t brain = (uint16_t)(bits >> 16);
        // Sign, an exponent of 2^-7 to 2^-5, a random fraction.
        uint16_t half = (uint16_t)((bits >> 31) << 15 | (8 + bits % 3) << 10 | (bits >> 4 & 1023));
        if (type == CH_TYPE_F32)
            memcpy(block, &weight, sizeof weight);
        else if (type == CH_TYPE_F16)
            memcpy(block, &half, sizeof half);
        else if (type == CH_TYPE_BF16)
            memcpy(block, &brain, sizeof brain);
        else
            gb_random_block(builder, type, block);
    }
}

void gb_tensor(gguf_builder *builder, const char *name, ch_type type, uint32_t dims,
               const uint64_t *shape, const void *data) {
    static const uint8_t zeros[64];
    const ch_type_info *info = ch_type_get(type);
    uint64_t rows = 1;
    for (uint32_t i = 1; i < dims; i++) rows *= shape[i];
    while (builder->data.bytes % builder->alignment) gb_bytes(&builder->data, zeros, 1);
    gb_info(builder, name, dims, shape, info->id, builder->data.bytes);
    size_t row_bytes = ch_row_bytes(type, (int64_t)shape[0]);
    uint8_t *row = (uint8_t *)gb_alloc(row_bytes);
    for (uint64_t i = 0; i < rows; i++) {
        if (data)
            memcpy(row, (const uint8_t *)data + i * row_bytes, row_bytes);
        else
            gb_random_row(builder, type, shape[0], row);
        gb_bytes(&builder->data, row, row_bytes);
    }
    free(row);
}

const uint8_t *gb_finish(gguf_builder *builder, size_t *bytes) {
    static const uint8_t zeros[64];
    gb_buffer file = {NULL, 0, 0};
    gb_bytes(&file, "GGUF", 4);
    gb_u32(&file, builder->version);
    gb_u64(&file, builder->tensor_count);
    gb_u64(&file, builder->meta_count);
    gb_bytes(&file, builder->meta.data, builder->meta.bytes);
    gb_bytes(&file, builder->infos.data, builder->infos.bytes);
    while (builder->data.bytes && file.bytes % builder->alignment) gb_bytes(&file, zeros, 1);
    gb_bytes(&file, builder->data.data, builder->data.bytes);
    void *exact = NULL;
    if (posix_memalign(&exact, 64, file.bytes) != 0) abort();
    memcpy(exact, file.data, file.bytes);
    free(file.data);
    free(builder->file.data);
    builder->file.data = (uint8_t *)exact;
    builder->file.bytes = *bytes = file.bytes;
    return builder->file.data;
}

// ---- a whole model

typedef struct gb_maker {
    gguf_builder *builder;
    gb_model model; // with the defaults filled in
} gb_maker;

static gb_model gb_defaults(const gb_model *given) {
    gb_model m = *given;
    if (!m.layers) m.layers = 2;
    if (!m.embedding) m.embedding = 64;
    if (!m.heads) m.heads = 4;
    if (!m.kv_heads) m.kv_heads = 2;
    if (!m.feed_forward) m.feed_forward = 96;
    if (!m.vocabulary) m.vocabulary = 300;
    if (!m.context) m.context = 128;
    if (!m.architecture) m.architecture = "llama";
    return m;
}

static bool gb_key_name(const gb_maker *maker, const char *suffix, char *key, size_t capacity) {
    if (suffix[0] == '.')
        snprintf(key, capacity, "%s%s", maker->model.architecture, suffix);
    else
        snprintf(key, capacity, "%s", suffix);
    return !maker->model.without_key || strcmp(key, maker->model.without_key) != 0;
}

// `suffix` with a dot in front gets the architecture before it.
static void gb_number(gb_maker *maker, const char *suffix, int32_t value) {
    char key[128];
    if (gb_key_name(maker, suffix, key, sizeof key))
        gb_meta_u32(maker->builder, key, (uint32_t)value);
}

static void gb_matrix(gb_maker *maker, const char *name, ch_type type, int32_t k, int32_t rows) {
    const gb_model *m = &maker->model;
    if (m->without_tensor && strcmp(m->without_tensor, name) == 0) return;
    uint64_t shape[2] = {(uint64_t)k, (uint64_t)rows};
    gb_tensor(maker->builder, name, type, 2, shape, NULL);
}

// Norm weights are near 1.
static void gb_norm(gb_maker *maker, const char *name) {
    const gb_model *m = &maker->model;
    if (m->without_tensor && strcmp(m->without_tensor, name) == 0) return;
    uint64_t shape[1] = {(uint64_t)m->embedding};
    float *weights = (float *)gb_alloc((size_t)m->embedding * sizeof *weights);
    for (int32_t i = 0; i < m->embedding; i++) weights[i] = 1.0f + gb_random_weight(maker->builder);
    gb_tensor(maker->builder, name, CH_TYPE_F32, 1, shape, weights);
    free(weights);
}

static void gb_layer(gb_maker *maker, int32_t i) {
    const gb_model *m = &maker->model;
    int32_t kv = m->embedding / m->heads * m->kv_heads;
    struct {
        const char *name;
        int32_t k, rows; // rows 0: a norm
    } list[] = {{"attn_norm", 0, 0},
                {"attn_q", m->embedding, m->embedding},
                {"attn_k", m->embedding, kv},
                {"attn_v", m->embedding, kv},
                {"attn_output", m->embedding, m->embedding},
                {"ffn_norm", 0, 0},
                {"ffn_gate", m->embedding, m->feed_forward},
                {"ffn_up", m->embedding, m->feed_forward},
                {"ffn_down", m->feed_forward, m->embedding}};
    for (size_t t = 0; t < CH_COUNT(list); t++) {
        char name[96];
        snprintf(name, sizeof name, "blk.%d.%s.weight", i, list[t].name);
        bool other =
            m->mixed && (!strcmp(list[t].name, "attn_v") || !strcmp(list[t].name, "ffn_up"));
        if (list[t].rows)
            gb_matrix(maker, name, other ? CH_TYPE_F16 : m->type, list[t].k, list[t].rows);
        else
            gb_norm(maker, name);
    }
}

// Token i: <unk>, <s>, </s>, the bytes, U+2581, then the letters, then pairs and triples of them,
// every other one with U+2581 in front.
static void gb_token(int32_t i, char *text, size_t capacity) {
    static const char *const special[] = {"<unk>", "<s>", "</s>"};
    if (i < 3)
        snprintf(text, capacity, "%s", special[i]);
    else if (i < 259)
        snprintf(text, capacity, "<0x%02X>", (unsigned)(i - 3));
    else if (i == 259)
        snprintf(text, capacity, "\xe2\x96\x81");
    else if (i < 286)
        snprintf(text, capacity, "%c", 'a' + (i - 260));
    else {
        int32_t n = (i - 286) / 2;
        const char *mark = (i & 1) ? "\xe2\x96\x81" : "";
        if (n < 26)
            snprintf(text, capacity, "%s%c%s", mark, 'a' + n, (i & 1) ? "" : "e");
        else if (n < 26 + 676)
            snprintf(text, capacity, "%s%c%c%s", mark, 'a' + (n - 26) / 26, 'a' + (n - 26) % 26,
                     (i & 1) ? "" : "n");
        else
            snprintf(text, capacity, "%s#%d", mark, n);
    }
}

void gb_build_vocab(gguf_builder *builder, const gb_model *model, int32_t count) {
    gb_maker maker = {builder, gb_defaults(model)};
    char key[128], text[32];
    if (gb_key_name(&maker, "tokenizer.ggml.model", key, sizeof key))
        gb_meta_text(builder, key, "llama");
    if (gb_key_name(&maker, "tokenizer.ggml.tokens", key, sizeof key)) {
        gb_key(builder, key, CH_GGUF_ARRAY);
        gb_u32(&builder->meta, CH_GGUF_STRING);
        gb_u64(&builder->meta, (uint64_t)count);
        for (int32_t i = 0; i < count; i++) {
            gb_token(i, text, sizeof text);
            if (model->chatml && i >= count - 2)
                snprintf(text, sizeof text, "<|im_%s|>", i == count - 2 ? "start" : "end");
            gb_string(&builder->meta, text, strlen(text));
        }
    }
    float *scores = (float *)gb_alloc((size_t)count * sizeof *scores);
    int32_t *kinds = (int32_t *)gb_alloc((size_t)count * sizeof *kinds);
    for (int32_t i = 0; i < count; i++) {
        scores[i] = i < 259 ? 0 : i < 286 ? -1000.0f - (float)i : -(float)(i - 286);
        bool control = i < 3 || (model->chatml && i >= count - 2);
        kinds[i] = i == 0    ? CHORD_TOKEN_UNKNOWN
                   : control ? CHORD_TOKEN_CONTROL
                   : i < 259 ? CHORD_TOKEN_BYTE
                             : CHORD_TOKEN_NORMAL;
    }
    if (gb_key_name(&maker, "tokenizer.ggml.scores", key, sizeof key))
        gb_meta_array(builder, key, CH_GGUF_F32, scores, sizeof *scores, (size_t)count);
    if (gb_key_name(&maker, "tokenizer.ggml.token_type", key, sizeof key))
        gb_meta_array(builder, key, CH_GGUF_I32, kinds, sizeof *kinds, (size_t)count);
    free(scores);
    free(kinds);
    gb_number(&maker, "tokenizer.ggml.bos_token_id", 1);
    gb_number(&maker, "tokenizer.ggml.eos_token_id", 2);
    gb_number(&maker, "tokenizer.ggml.unknown_token_id", 0);
}

void gb_build_model(gguf_builder *builder, const gb_model *model) {
    gb_maker maker = {builder, gb_defaults(model)};
    const gb_model *m = &maker.model;
    char key[128];
    gb_open(builder);
    builder->random = m->seed;
    if (gb_key_name(&maker, "general.architecture", key, sizeof key))
        gb_meta_text(builder, key, m->architecture);
    gb_number(&maker, ".context_length", m->context);
    gb_number(&maker, ".embedding_length", m->embedding);
    gb_number(&maker, ".block_count", m->layers);
    gb_number(&maker, ".feed_forward_length", m->feed_forward);
    gb_number(&maker, ".attention.head_count", m->heads);
    gb_number(&maker, ".attention.head_count_kv", m->kv_heads);
    gb_number(&maker, ".rope.dimension_count", m->embedding / m->heads);
    gb_number(&maker, ".vocab_size", m->vocabulary);
    if (gb_key_name(&maker, ".attention.layer_norm_rms_epsilon", key, sizeof key))
        gb_meta_f32(builder, key, 1e-5f);
    gb_build_vocab(builder, m, m->vocabulary);
    if (m->on_keys) m->on_keys(builder, m->user);
    gb_matrix(&maker, "token_embd.weight", m->type, m->embedding, m->vocabulary);
    for (int32_t i = 0; i < m->layers; i++) gb_layer(&maker, i);
    gb_norm(&maker, "output_norm.weight");
    if (!m->tied) gb_matrix(&maker, "output.weight", m->type, m->embedding, m->vocabulary);
    if (m->on_end) m->on_end(builder, m->user);
}
