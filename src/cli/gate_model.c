// gate_model: the models of a gates file: files, the built-in one, and synthetic ones.
//
// Owns: a writer of GGUF files in memory, for models whose speed is that of real ones and whose
// words mean nothing. Refuses: being a quantizer: weights are random bits of a sane size. Source of
// the format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include "gate.h"

#include <stdlib.h>
#include <string.h>

// ---- weights

// splitmix64: S. Vigna, https://prng.di.unimi.it/splitmix64.c
static uint64_t model_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// Every byte of a quantized type becomes 0x28..0x2f or 0xa8..0xaf: read as the upper half of an F16
// scale that is +-0.03 to 0.12, and as anything else it is as good as any other byte. Floats get
// the same range by their upper bytes. So no denormal, infinity or NaN slows anything down.
void gate_fill_weights(ch_type type, uint8_t *memory, size_t bytes) {
    uint64_t state = 1, keep = 0x8787878787878787u, set = 0x2828282828282828u;
    if (type == CH_TYPE_BF16) keep = 0x80ff80ff80ff80ffu, set = 0x3d003d003d003d00u;
    if (type == CH_TYPE_F32) keep = 0x80ffffff80ffffffu, set = 0x3d0000003d000000u;
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = (model_random(&state) & keep) | set;
        memcpy(memory + at, &word, CH_MIN((size_t)8, bytes - at));
    }
}

// ---- the writer
//
// Runs twice over the same calls: without memory to learn the size, then with it.

typedef struct model_writer {
    uint8_t *memory; // NULL: only measuring
    size_t bytes;
    uint64_t keys, tensors, data; // counted; data: bytes of tensors so far
} model_writer;

static void model_put(model_writer *w, const void *bytes, size_t count) {
    if (w->memory) memcpy(w->memory + w->bytes, bytes, count);
    w->bytes += count;
}

static void model_u32(model_writer *w, uint32_t value) {
    model_put(w, &value, sizeof value);
}

static void model_u64(model_writer *w, uint64_t value) {
    model_put(w, &value, sizeof value);
}

static void model_text(model_writer *w, const char *text) {
    model_u64(w, strlen(text));
    model_put(w, text, strlen(text));
}

enum {
    MODEL_U32 = 4,
    MODEL_I32 = 5,
    MODEL_F32 = 6,
    MODEL_BOOL = 7,
    MODEL_STRING = 8,
    MODEL_ARRAY = 9
};

static void model_key(model_writer *w, const char *key, uint32_t kind) {
    model_text(w, key);
    model_u32(w, kind);
    w->keys++;
}

static void model_key_u32(model_writer *w, const char *key, int32_t value) {
    model_key(w, key, MODEL_U32);
    model_u32(w, (uint32_t)value);
}

static void model_key_array(model_writer *w, const char *key, uint32_t kind, int32_t count) {
    model_key(w, key, MODEL_ARRAY);
    model_u32(w, kind);
    model_u64(w, (uint64_t)count);
}

// Token i: <unk>, <s>, </s>, the bytes, U+2581, the letters, then pairs, triples and fours of them,
// every other one with U+2581 in front.
static void model_token(int32_t i, char *text, size_t capacity) {
    static const char *const special[] = {"<unk>", "<s>", "</s>"};
    if (i < 3) {
        snprintf(text, capacity, "%s", special[i]);
    } else if (i < 259) {
        snprintf(text, capacity, "<0x%02X>", (unsigned)(i - 3));
    } else if (i == 259) {
        snprintf(text, capacity, "\xe2\x96\x81");
    } else {
        char letters[8];
        int32_t n = i - 260, length = 1, choices = 26, kinds = 1;
        while (n >= choices * kinds) {
            n -= choices * kinds;
            choices *= 26;
            kinds = 2;
            length++;
        }
        int32_t rest = n / kinds;
        for (int32_t at = length; at-- > 0; rest /= 26) letters[at] = (char)('a' + rest % 26);
        snprintf(text, capacity, "%s%.*s", kinds == 2 && n % 2 ? "\xe2\x96\x81" : "", length,
                 letters);
    }
}

static void model_vocabulary(model_writer *w, int32_t count) {
    char text[32];
    model_key(w, "tokenizer.ggml.model", MODEL_STRING);
    model_text(w, "llama");
    model_key_array(w, "tokenizer.ggml.tokens", MODEL_STRING, count);
    for (int32_t i = 0; i < count; i++) {
        model_token(i, text, sizeof text);
        model_text(w, text);
    }
    model_key_array(w, "tokenizer.ggml.scores", MODEL_F32, count);
    for (int32_t i = 0; i < count; i++) {
        float score = i < 259 ? 0.0f : -(float)(i - 259);
        model_put(w, &score, sizeof score);
    }
    model_key_array(w, "tokenizer.ggml.token_type", MODEL_I32, count);
    for (int32_t i = 0; i < count; i++)
        model_u32(w, i == 0    ? CHORD_TOKEN_UNKNOWN
                     : i < 3   ? CHORD_TOKEN_CONTROL
                     : i < 259 ? CHORD_TOKEN_BYTE
                               : CHORD_TOKEN_NORMAL);
    model_key_u32(w, "tokenizer.ggml.bos_token_id", 1);
    model_key_u32(w, "tokenizer.ggml.eos_token_id", 2);
    model_key_u32(w, "tokenizer.ggml.unknown_token_id", 0);
}

static void model_keys(model_writer *w, const gate_model *m) {
    static const float epsilon = 1e-5f;
    const int32_t *n = m->numbers;
    model_key(w, "general.architecture", MODEL_STRING);
    model_text(w, "llama");
    model_key_u32(w, "llama.context_length", n[GATE_N_CONTEXT]);
    model_key_u32(w, "llama.embedding_length", n[GATE_N_EMBEDDING]);
    model_key_u32(w, "llama.block_count", n[GATE_N_BLOCKS]);
    model_key_u32(w, "llama.feed_forward_length", n[GATE_N_FEED_FORWARD]);
    model_key_u32(w, "llama.attention.head_count", n[GATE_N_HEADS]);
    model_key_u32(w, "llama.attention.head_count_kv", n[GATE_N_KV_HEADS]);
    model_key_u32(w, "llama.rope.dimension_count", n[GATE_N_EMBEDDING] / n[GATE_N_HEADS]);
    model_key_u32(w, "llama.vocab_size", n[GATE_N_VOCABULARY]);
    model_key(w, "llama.attention.layer_norm_rms_epsilon", MODEL_F32);
    model_put(w, &epsilon, sizeof epsilon);
    model_vocabulary(w, n[GATE_N_VOCABULARY]);
}

// The directory entry of a tensor of rows x k; rows 0: a norm's weights. With `data`, the tensor
// itself instead.
static void model_tensor(model_writer *w, const char *name, ch_type type, int32_t k, int32_t rows,
                         bool data) {
    ch_type stored = rows ? type : CH_TYPE_F32;
    uint64_t bytes = ch_row_bytes(stored, k) * (uint64_t)CH_MAX(rows, 1);
    if (data) {
        if (w->memory && rows) gate_fill_weights(type, w->memory + w->bytes, bytes);
        for (int32_t i = 0; w->memory && !rows && i < k; i++) {
            static const float one = 1.0f;
            memcpy(w->memory + w->bytes + (size_t)i * sizeof one, &one, sizeof one);
        }
        w->bytes += ch_round_up(bytes, 32);
        return;
    }
    model_text(w, name);
    model_u32(w, rows ? 2 : 1);
    model_u64(w, (uint64_t)k);
    if (rows) model_u64(w, (uint64_t)rows);
    model_u32(w, ch_type_get(stored)->id);
    model_u64(w, w->data);
    w->data += ch_round_up(bytes, 32);
    w->tensors++;
}

static void model_tensors(model_writer *w, const gate_model *m, bool data) {
    const int32_t *n = m->numbers;
    int32_t e = n[GATE_N_EMBEDDING], f = n[GATE_N_FEED_FORWARD], v = n[GATE_N_VOCABULARY];
    int32_t kv = e / n[GATE_N_HEADS] * n[GATE_N_KV_HEADS];
    struct {
        const char *name;
        int32_t k, rows;
    } list[] = {{"attn_norm", e, 0}, {"attn_q", e, e},      {"attn_k", e, kv},
                {"attn_v", e, kv},   {"attn_output", e, e}, {"ffn_norm", e, 0},
                {"ffn_gate", e, f},  {"ffn_up", e, f},      {"ffn_down", f, e}};
    model_tensor(w, "token_embd.weight", m->type, e, v, data);
    for (int32_t b = 0; b < n[GATE_N_BLOCKS]; b++)
        for (size_t i = 0; i < CH_COUNT(list); i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", b, list[i].name);
            model_tensor(w, name, m->type, list[i].k, list[i].rows, data);
        }
    model_tensor(w, "output_norm.weight", m->type, e, 0, data);
    model_tensor(w, "output.weight", m->type, e, v, data);
}

// Writes the file once; `counted` tells the header's counts.
static void model_write(model_writer *w, const gate_model *m, const model_writer *counted) {
    model_put(w, "GGUF", 4);
    model_u32(w, 3);
    model_u64(w, counted->tensors);
    model_u64(w, counted->keys);
    model_keys(w, m);
    model_tensors(w, m, false);
    w->bytes = ch_round_up(w->bytes, 32);
    model_tensors(w, m, true);
}

static bool model_make(gate_model *m) {
    model_writer counted, w;
    memset(&counted, 0, sizeof counted);
    model_write(&counted, m, &counted);
    memset(&w, 0, sizeof w);
    m->bytes = ch_round_up(counted.bytes, 64);
    m->memory = aligned_alloc(64, m->bytes);
    if (!m->memory) return false;
    memset(m->memory, 0, m->bytes);
    w.memory = m->memory;
    model_write(&w, m, &counted);
    m->data = m->memory;
    return true;
}

// ---- opening

const chord_model *gate_model_get(const gate_context *context, gate_model *m, char *why,
                                  size_t capacity) {
    chord_model_desc desc;
    chord_error error = {CHORD_OK, ""};
    char *path = NULL;
    memset(&desc, 0, sizeof desc);
    if (m->model) return m->model;
    if (m->file) {
        path = gate_file_path(context->file, m->file);
        if (!path) return NULL;
        desc.path = path;
    } else if (m->builtin) {
        m->data = chord_builtin_model(&m->bytes);
    } else if (!m->memory && !model_make(m)) {
        snprintf(why, capacity, "no memory for the model \"%s\"", m->name);
        return NULL;
    }
    desc.data = m->data;
    desc.data_bytes = m->bytes;
    if (chord_model_open(&desc, &m->model, &error)) snprintf(why, capacity, "%s", error.message);
    free(path);
    return m->model;
}

void gate_models_close(gate_file *file) {
    for (int32_t i = 0; i < file->model_count; i++) {
        chord_model_close(file->models[i].model);
        free(file->models[i].memory);
    }
}

void gate_session_desc(const gate_context *context, const gate_spec *spec,
                       chord_session_desc *desc) {
    static const chord_kv types[CH_KV_COUNT] = {CHORD_KV_F16, CHORD_KV_F32, CHORD_KV_Q8_0,
                                                CHORD_KV_Q16};
    memset(desc, 0, sizeof *desc);
    desc->context = spec->numbers[GATE_N_CONTEXT];
    desc->batch = spec->numbers[GATE_N_BATCH];
    desc->lanes = CH_MAX(1, spec->numbers[GATE_N_LANES]);
    desc->kv = spec->kv < 0 ? CHORD_KV_DEFAULT : types[spec->kv];
    desc->cpu = context->cpu;
    desc->profile = context->profile;
}
