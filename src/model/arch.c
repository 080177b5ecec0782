// arch: see arch.h.
#include "arch.h"

#include <stdio.h>

static const ch_arch arch_table[] = {
    {"llama", false},
};

static const char *const place_names[CH_PLACE_COUNT + 1] = {
#define CH_PLACE_NAME(NAME, name) name,
    CH_BLOCK_WEIGHTS(CH_PLACE_NAME) CH_MODEL_WEIGHTS(CH_PLACE_NAME)
#undef CH_PLACE_NAME
};

CH_FN const char *ch_place_name(ch_place place) {
    return place_names[place];
}

// ---- hyper-parameters

// Collects numbers under "<architecture>."; the first failure stays.
typedef struct arch_reader {
    const ch_gguf *gguf;
    const char *arch;
    chord_error *error;
    chord_result result;
} arch_reader;

static const char *arch_key(const arch_reader *r, const char *name, char *key, size_t capacity) {
    snprintf(key, capacity, "%s.%s", r->arch, name);
    return key;
}

static int32_t arch_int(arch_reader *r, const char *name, bool required, int64_t low, int64_t high,
                        int64_t value) {
    char key[CH_GGUF_MAX_KEY];
    if (r->result) return (int32_t)value;
    arch_key(r, name, key, sizeof key);
    // Some files hold one number per block. Equal ones are as good as one.
    const ch_gguf_meta *meta = ch_gguf_find(r->gguf, key);
    if (meta && meta->kind == CH_GGUF_ARRAY &&
        (meta->element_kind == CH_GGUF_U32 || meta->element_kind == CH_GGUF_I32)) {
        for (uint64_t i = 0; i < meta->count; i++)
            if (ch_gguf_array_int(meta, i) != ch_gguf_array_int(meta, 0)) {
                r->result = ch_fail(r->error, CHORD_ERROR_UNSUPPORTED,
                                    "%s differs from block to block, which chord cannot run", key);
                return (int32_t)value;
            }
        value = meta->count ? ch_gguf_array_int(meta, 0) : 0;
        if (value < low || value > high)
            r->result = ch_fail(r->error, CHORD_ERROR_FORMAT, "%s is %lld, wanted %lld to %lld",
                                key, (long long)value, (long long)low, (long long)high);
        return (int32_t)value;
    }
    r->result = ch_gguf_get_int(r->gguf, key, required, low, high, &value, r->error);
    return (int32_t)value;
}

static float arch_float(arch_reader *r, const char *name, bool required, float low, float high,
                        float value) {
    char key[CH_GGUF_MAX_KEY];
    if (r->result) return value;
    r->result = ch_gguf_get_float(r->gguf, arch_key(r, name, key, sizeof key), required, low, high,
                                  &value, r->error);
    return value;
}

static void arch_require(arch_reader *r, bool holds, const char *what, int32_t got,
                         const char *wanted, int32_t than) {
    if (r->result || holds) return;
    r->result = ch_fail(r->error, CHORD_ERROR_FORMAT, "%s.%s is %d, wanted %s %d", r->arch, what,
                        (int)got, wanted, (int)than);
}

static void arch_read_rope(arch_reader *r, ch_hparams *hp) {
    hp->rope_dims = arch_int(r, "rope.dimension_count", false, 0, CH_ARCH_MAX_DIM, hp->key_dim);
    arch_require(r, hp->rope_dims % 2 == 0, "rope.dimension_count", hp->rope_dims, "a multiple of",
                 2);
    arch_require(r, hp->rope_dims <= hp->key_dim, "rope.dimension_count", hp->rope_dims,
                 "at most the head size", hp->key_dim);
    hp->rope_base = arch_float(r, "rope.freq_base", false, 1.0f, 1e12f, 10000.0f);
    hp->rope_factor =
        arch_float(r, "rope.scale_linear", false, 1e-3f, 1e6f, 1.0f); // the key of old files
    if (hp->rope_factor != 1.0f) hp->rope_scaling = CH_ROPE_LINEAR;
    hp->rope_factor = arch_float(r, "rope.scaling.factor", false, 0.0f, 1e6f, hp->rope_factor);
    hp->rope_original_context = arch_int(r, "rope.scaling.original_context_length", false, 1,
                                         CH_ARCH_MAX_CONTEXT, hp->context_train);
    hp->rope_attn_factor = arch_float(r, "rope.scaling.attn_factor", false, 1e-3f, 1e3f, 1.0f);
    hp->yarn_ext_factor = arch_float(r, "rope.scaling.yarn_ext_factor", false, 0.0f, 1.0f, 1.0f);
    hp->rope_attn_factor =
        arch_float(r, "rope.scaling.yarn_attn_factor", false, 1e-3f, 1e3f, hp->rope_attn_factor);
    hp->yarn_beta_fast = arch_float(r, "rope.scaling.yarn_beta_fast", false, 1e-3f, 1e6f, 32.0f);
    hp->yarn_beta_slow = arch_float(r, "rope.scaling.yarn_beta_slow", false, 1e-3f, 1e6f, 1.0f);
    char key[CH_GGUF_MAX_KEY], shown[40];
    ch_gguf_text type = {"", 0};
    if (!r->result)
        r->result = ch_gguf_get_text(r->gguf, arch_key(r, "rope.scaling.type", key, sizeof key),
                                     false, &type, r->error);
    if (r->result || type.bytes == 0) return;
    if (ch_gguf_text_is(type, "none")) {
        hp->rope_scaling = CH_ROPE_NONE;
    } else if (ch_gguf_text_is(type, "linear")) {
        hp->rope_scaling = CH_ROPE_LINEAR;
    } else if (ch_gguf_text_is(type, "yarn")) {
        hp->rope_scaling = CH_ROPE_YARN;
    } else {
        r->result =
            ch_fail(r->error, CHORD_ERROR_UNSUPPORTED, "%s is \"%s\", wanted none, linear or yarn",
                    key, ch_printable(type.at, type.bytes, shown, sizeof shown));
    }
    if (hp->rope_factor == 0.0f) hp->rope_factor = 1.0f; // 0 is written for "none"
}

static void arch_read_hparams(arch_reader *r, const ch_vocab *vocab, ch_hparams *hp) {
    hp->context_train = arch_int(r, "context_length", true, 1, CH_ARCH_MAX_CONTEXT, 0);
    hp->embedding = arch_int(r, "embedding_length", true, 1, CH_ARCH_MAX_DIM, 0);
    hp->blocks = arch_int(r, "block_count", true, 1, CH_ARCH_MAX_BLOCKS, 0);
    hp->feed_forward = arch_int(r, "feed_forward_length", true, 1, CH_ARCH_MAX_DIM, 0);
    hp->heads = arch_int(r, "attention.head_count", true, 1, CH_ARCH_MAX_DIM, 0);
    hp->kv_heads = arch_int(r, "attention.head_count_kv", false, 1, CH_ARCH_MAX_DIM, hp->heads);
    if (r->result) return;
    arch_require(r, hp->kv_heads <= hp->heads && hp->heads % hp->kv_heads == 0,
                 "attention.head_count", hp->heads, "a multiple of attention.head_count_kv",
                 hp->kv_heads);
    hp->key_dim = arch_int(r, "attention.key_length", false, 1, 65536, hp->embedding / hp->heads);
    hp->value_dim =
        arch_int(r, "attention.value_length", false, 1, 65536, hp->embedding / hp->heads);
    char key[CH_GGUF_MAX_KEY];
    if (!r->result && !ch_gguf_find(r->gguf, arch_key(r, "attention.key_length", key, sizeof key)))
        arch_require(r, hp->embedding % hp->heads == 0, "embedding_length", hp->embedding,
                     "a multiple of attention.head_count", hp->heads);
    // 2^24 elements a row: products of two such counts stay far inside of 64 bits.
    arch_require(r, (int64_t)hp->heads * CH_MAX(hp->key_dim, hp->value_dim) <= 1 << 24,
                 "attention.head_count", hp->heads, "with heads of that size, at most", 1 << 24);
    hp->rms_eps = arch_float(r, "attention.layer_norm_rms_epsilon", true, 0.0f, 1.0f, 0.0f);
    arch_read_rope(r, hp);
    int32_t experts = arch_int(r, "expert_count", false, 0, INT32_MAX, 0);
    if (!r->result && experts > 0)
        r->result = ch_fail(r->error, CHORD_ERROR_UNSUPPORTED,
                            "%s.expert_count is %d: chord does not run mixtures of experts",
                            r->arch, (int)experts);
    const ch_gguf_tensor *embd = ch_gguf_find_tensor(r->gguf, "token_embd.weight");
    int64_t rows = embd ? (int64_t)CH_MIN(embd->shape[1], (uint64_t)CH_VOCAB_MAX_TOKENS + 1) : 0;
    int32_t known = vocab->count > 0 ? vocab->count : (int32_t)rows;
    hp->vocabulary = arch_int(r, "vocab_size", false, 1, CH_VOCAB_MAX_TOKENS, known);
    arch_require(r, hp->vocabulary == known, "vocab_size", hp->vocabulary, "the number of tokens,",
                 known);
}

CH_FN chord_result ch_arch_read(const ch_gguf *gguf, const ch_vocab *vocab, ch_weights *weights,
                                uint64_t *table_bytes, chord_error *error) {
    memset(weights, 0, sizeof *weights);
    *table_bytes = 0;
    ch_gguf_text name = {"", 0};
    chord_result result = ch_gguf_get_text(gguf, "general.architecture", true, &name, error);
    if (result) return result;
    for (size_t i = 0; i < CH_COUNT(arch_table); i++)
        if (ch_gguf_text_is(name, arch_table[i].name)) weights->arch = &arch_table[i];
    char shown[40];
    if (!weights->arch)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "general.architecture is \"%s\", wanted llama",
                       ch_printable(name.at, name.bytes, shown, sizeof shown));
    if (gguf->tensor_count == 0) return CHORD_OK; // a vocabulary alone
    arch_reader reader;
    reader.gguf = gguf;
    reader.arch = weights->arch->name;
    reader.error = error;
    reader.result = CHORD_OK;
    arch_read_hparams(&reader, vocab, &weights->hp);
    if (reader.result) return reader.result;
    *table_bytes = ch_arena_room((uint64_t)weights->hp.blocks * CH_PLACE_BLOCK_COUNT *
                                 sizeof(ch_gguf_tensor *));
    return CHORD_OK;
}

// ---- binding

typedef struct arch_binder {
    const ch_gguf *gguf;
    ch_weights *weights;
    chord_error *error;
    chord_result result;
    int32_t bound;
} arch_binder;

// Looks a tensor up and checks its shape: row length, rows (0: a vector). Vectors are F32: norms
// and biases always are.
static const ch_gguf_tensor *arch_find(arch_binder *b, int32_t block, ch_place place, bool required,
                                       int64_t length, int64_t rows) {
    char name[CH_GGUF_MAX_NAME + 1];
    if (b->result) return NULL;
    if (place < CH_PLACE_BLOCK_COUNT)
        snprintf(name, sizeof name, "blk.%d.%s", (int)block, place_names[place]);
    else
        snprintf(name, sizeof name, "%s", place_names[place]);
    const ch_gguf_tensor *t = ch_gguf_find_tensor(b->gguf, name);
    if (!t) {
        if (required)
            b->result = ch_fail(b->error, CHORD_ERROR_FORMAT, "tensor \"%s\" is missing", name);
        return NULL;
    }
    int32_t dims = rows ? 2 : 1;
    uint64_t want_rows = rows ? (uint64_t)rows : 1;
    if (t->shape[0] != (uint64_t)length || t->shape[1] != want_rows || t->shape[2] != 1 ||
        t->shape[3] != 1 || t->dims < dims) {
        b->result = ch_fail(b->error, CHORD_ERROR_FORMAT,
                            "tensor \"%s\" is %llu x %llu x %llu x %llu, wanted %lld x %lld", name,
                            (unsigned long long)t->shape[0], (unsigned long long)t->shape[1],
                            (unsigned long long)t->shape[2], (unsigned long long)t->shape[3],
                            (long long)length, (long long)want_rows);
        return NULL;
    }
    if (!rows && t->type != CH_TYPE_F32) {
        b->result = ch_fail(b->error, CHORD_ERROR_UNSUPPORTED, "tensor \"%s\" is %s, wanted f32",
                            name, ch_type_get(t->type)->name);
        return NULL;
    }
    b->bound++;
    return t;
}

static void arch_bind_block(arch_binder *b, int32_t i) {
    const ch_hparams *hp = &b->weights->hp;
    const ch_gguf_tensor **w = b->weights->block + i * CH_PLACE_BLOCK_COUNT;
    int64_t e = hp->embedding, f = hp->feed_forward;
    int64_t q = (int64_t)hp->heads * hp->key_dim, k = (int64_t)hp->kv_heads * hp->key_dim;
    int64_t v = (int64_t)hp->kv_heads * hp->value_dim, o = (int64_t)hp->heads * hp->value_dim;
    w[CH_PLACE_ATTN_NORM] = arch_find(b, i, CH_PLACE_ATTN_NORM, true, e, 0);
    w[CH_PLACE_ATTN_Q] = arch_find(b, i, CH_PLACE_ATTN_Q, true, e, q);
    w[CH_PLACE_ATTN_K] = arch_find(b, i, CH_PLACE_ATTN_K, true, e, k);
    w[CH_PLACE_ATTN_V] = arch_find(b, i, CH_PLACE_ATTN_V, true, e, v);
    w[CH_PLACE_ATTN_OUTPUT] = arch_find(b, i, CH_PLACE_ATTN_OUTPUT, true, o, e);
    w[CH_PLACE_ATTN_Q_BIAS] = arch_find(b, i, CH_PLACE_ATTN_Q_BIAS, false, q, 0);
    w[CH_PLACE_ATTN_K_BIAS] = arch_find(b, i, CH_PLACE_ATTN_K_BIAS, false, k, 0);
    w[CH_PLACE_ATTN_V_BIAS] = arch_find(b, i, CH_PLACE_ATTN_V_BIAS, false, v, 0);
    w[CH_PLACE_ATTN_OUTPUT_BIAS] = arch_find(b, i, CH_PLACE_ATTN_OUTPUT_BIAS, false, e, 0);
    w[CH_PLACE_FFN_NORM] = arch_find(b, i, CH_PLACE_FFN_NORM, true, e, 0);
    w[CH_PLACE_FFN_GATE] = arch_find(b, i, CH_PLACE_FFN_GATE, true, e, f);
    w[CH_PLACE_FFN_UP] = arch_find(b, i, CH_PLACE_FFN_UP, true, e, f);
    w[CH_PLACE_FFN_DOWN] = arch_find(b, i, CH_PLACE_FFN_DOWN, true, f, e);
    w[CH_PLACE_FFN_GATE_BIAS] = arch_find(b, i, CH_PLACE_FFN_GATE_BIAS, false, f, 0);
    w[CH_PLACE_FFN_UP_BIAS] = arch_find(b, i, CH_PLACE_FFN_UP_BIAS, false, f, 0);
    w[CH_PLACE_FFN_DOWN_BIAS] = arch_find(b, i, CH_PLACE_FFN_DOWN_BIAS, false, e, 0);
}

// Factors that frequencies are divided by: positive and finite.
static void arch_check_rope_factors(arch_binder *b, const ch_gguf_tensor *t) {
    for (uint64_t i = 0; t && i < t->shape[0] && !b->result; i++) {
        float factor;
        memcpy(&factor, t->data + 4 * i, sizeof factor);
        if (!(factor > 0.0f && factor <= 1e12f))
            b->result = ch_fail(b->error, CHORD_ERROR_FORMAT,
                                "tensor \"%s\": element %d is %g, wanted above 0", t->name, (int)i,
                                (double)factor);
    }
}

static bool arch_is_bound(const ch_weights *weights, const ch_gguf_tensor *t) {
    for (int32_t i = 0; i < weights->hp.blocks * CH_PLACE_BLOCK_COUNT; i++)
        if (weights->block[i] == t) return true;
    for (size_t i = 0; i < CH_COUNT(weights->model); i++)
        if (weights->model[i] == t) return true;
    return false;
}

// Tensors of old files that hold nothing new: precomputed rotation frequencies, one vector per
// block.
static bool arch_is_ignored(const ch_gguf_tensor *t) {
    return strstr(t->name, "rotary_emb.inv_freq") != NULL ||
           strstr(t->name, "attn_rot_embd") != NULL;
}

CH_FN chord_result ch_arch_bind(const ch_gguf *gguf, ch_arena *arena, ch_weights *weights,
                                chord_error *error) {
    const ch_hparams *hp = &weights->hp;
    arch_binder b;
    b.gguf = gguf;
    b.weights = weights;
    b.error = error;
    b.result = CHORD_OK;
    b.bound = 0;
    weights->block = (const ch_gguf_tensor **)ch_arena_take(
        arena, (size_t)hp->blocks * CH_PLACE_BLOCK_COUNT * sizeof(ch_gguf_tensor *));
    if (!weights->block)
        return ch_fail(error, CHORD_ERROR_MEMORY, "the model's tables do not fit their arena");
    const ch_gguf_tensor **m = weights->model;
    const int none = 0;
    m[CH_PLACE_TOKEN_EMBD - CH_PLACE_BLOCK_COUNT] =
        arch_find(&b, none, CH_PLACE_TOKEN_EMBD, true, hp->embedding, hp->vocabulary);
    m[CH_PLACE_OUTPUT_NORM - CH_PLACE_BLOCK_COUNT] =
        arch_find(&b, none, CH_PLACE_OUTPUT_NORM, true, hp->embedding, 0);
    m[CH_PLACE_OUTPUT - CH_PLACE_BLOCK_COUNT] =
        arch_find(&b, none, CH_PLACE_OUTPUT, false, hp->embedding, hp->vocabulary);
    if (!m[CH_PLACE_OUTPUT - CH_PLACE_BLOCK_COUNT])
        m[CH_PLACE_OUTPUT - CH_PLACE_BLOCK_COUNT] = m[CH_PLACE_TOKEN_EMBD - CH_PLACE_BLOCK_COUNT];
    if (hp->rope_dims > 0)
        m[CH_PLACE_ROPE_FREQS - CH_PLACE_BLOCK_COUNT] =
            arch_find(&b, none, CH_PLACE_ROPE_FREQS, false, hp->rope_dims / 2, 0);
    arch_check_rope_factors(&b, ch_weight(weights, 0, CH_PLACE_ROPE_FREQS));
    for (int32_t i = 0; i < hp->blocks && !b.result; i++) arch_bind_block(&b, i);
    if (b.result || b.bound == gguf->tensor_count) return b.result;
    for (int32_t i = 0; i < gguf->tensor_count; i++)
        if (!arch_is_ignored(&gguf->tensors[i]) && !arch_is_bound(weights, &gguf->tensors[i]))
            return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                           "tensor \"%s\" has no place in a %s model of %d blocks",
                           gguf->tensors[i].name, weights->arch->name, (int)hp->blocks);
    return CHORD_OK;
}

// ---- rope

// The dimension pair (as a real number) that turns `turns` times over the original context.
static double arch_yarn_pair(const ch_hparams *hp, double turns) {
    double two_pi = 6.283185307179586;
    return hp->rope_dims * log(hp->rope_original_context / (turns * two_pi)) /
           (2.0 * log(hp->rope_base));
}

CH_FN void ch_rope_frequencies(const ch_weights *weights, double *freq, float *magnitude) {
    const ch_hparams *hp = &weights->hp;
    const ch_gguf_tensor *factors = ch_weight(weights, 0, CH_PLACE_ROPE_FREQS);
    bool scaled = hp->rope_scaling != CH_ROPE_NONE, yarn = hp->rope_scaling == CH_ROPE_YARN;
    double scale = scaled ? 1.0 / hp->rope_factor : 1.0, mix = yarn ? hp->yarn_ext_factor : 0.0;
    double low = 0, high = 0;
    if (yarn) {
        low = floor(arch_yarn_pair(hp, hp->yarn_beta_fast));
        high = ceil(arch_yarn_pair(hp, hp->yarn_beta_slow));
        low = CH_MAX(low, 0.0);
        high = CH_MIN(high, hp->rope_dims - 1.0);
    }
    for (int32_t i = 0; i < hp->rope_dims / 2; i++) {
        double f = pow(hp->rope_base, -2.0 * i / hp->rope_dims);
        if (factors) {
            float factor;
            memcpy(&factor, factors->data + 4 * (size_t)i, sizeof factor);
            f /= factor;
        }
        // 1 below `low` (fast pairs stay as they are), 0 above `high` (slow pairs are stretched),
        // linear between.
        double ramp = 1.0 - CH_MIN(1.0, CH_MAX(0.0, (i - low) / CH_MAX(0.001, high - low)));
        double keep = ramp * mix;
        freq[i] = f * scale * (1.0 - keep) + f * keep;
    }
    *magnitude = hp->rope_attn_factor;
    if (mix != 0.0) *magnitude = (float)(hp->rope_attn_factor * (1.0 + 0.1 * log(1.0 / scale)));
}
