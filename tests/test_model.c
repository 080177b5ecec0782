// test_model: what a model's numbers and tensors may not be: each refused by name, at once.
#include "gguf_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// A change of the valid model: a key left out and perhaps given another value, a tensor left out
// and perhaps put back otherwise.
typedef struct change {
    const char *key, *tensor; // left out
    uint32_t kind;            // of the value in its place; 0: none
    uint64_t number;
    float real;
    const char *text;
    ch_type type; // of the tensor in its place, if dims > 0
    uint32_t dims;
    uint64_t shape[4];
    chord_result code;
    const char *says; // part of the sentence
} change;

enum {
    U32 = CH_GGUF_U32,
    I32 = CH_GGUF_I32,
    F32 = CH_GGUF_F32,
    U64 = CH_GGUF_U64,
    TEXT = CH_GGUF_STRING
};

static void put_key(gguf_builder *b, void *user) {
    const change *c = user;
    if (!c->key || !c->kind) return;
    if (c->kind == U32) gb_meta_u32(b, c->key, (uint32_t)c->number);
    if (c->kind == I32) gb_meta_i32(b, c->key, (int32_t)c->number);
    if (c->kind == U64) gb_meta_u64(b, c->key, c->number);
    if (c->kind == F32) gb_meta_f32(b, c->key, c->real);
    if (c->kind == TEXT) gb_meta_text(b, c->key, c->text);
}

static void put_tensor(gguf_builder *b, void *user) {
    const change *c = user;
    if (c->tensor && c->dims) gb_tensor(b, c->tensor, c->type, c->dims, c->shape, NULL);
}

static chord_result open_changed(const change *c, bool without, chord_error *error) {
    gguf_builder b;
    gb_model m = {.on_keys = put_key, .on_end = put_tensor, .user = (void *)(uintptr_t)c};
    if (without) m.without_key = c->key, m.without_tensor = c->tensor;
    gb_build_model(&b, &m);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    chord_model *model = NULL;
    memset(error, 0, sizeof *error);
    chord_model_desc desc = {.data = data, .data_bytes = bytes};
    double start = gb_cpu_seconds();
    chord_result result = chord_model_open(&desc, &model, error);
    cr_assert_lt(gb_cpu_seconds() - start, 0.1 * GB_SLOWER);
    cr_assert_eq(result == CHORD_OK, model != NULL);
    chord_model_close(model);
    gb_close(&b);
    return result;
}

static void refuse_all(const change *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const change *c = &cases[i];
        const char *what = c->key ? c->key : c->tensor;
        chord_error error;
        chord_result result = open_changed(c, true, &error);
        cr_assert_eq(result, c->code, "%s (case %d): code %d, wanted %d: %s", what, (int)i,
                     (int)result, (int)c->code, error.message);
        const char *says = c->says ? c->says : what;
        cr_assert_not_null(strstr(error.message, says), "%s (case %d): no \"%s\" in: %s", what,
                           (int)i, says, error.message);
    }
}

#define BAD CHORD_ERROR_FORMAT
#define NOT CHORD_ERROR_UNSUPPORTED

Test(model, refuses_each_missing_key) {
    const change cases[] = {
        {.key = "general.architecture", .code = BAD},
        {.key = "llama.context_length", .code = BAD},
        {.key = "llama.embedding_length", .code = BAD},
        {.key = "llama.block_count", .code = BAD},
        {.key = "llama.feed_forward_length", .code = BAD},
        {.key = "llama.attention.head_count", .code = BAD},
        {.key = "llama.attention.layer_norm_rms_epsilon", .code = BAD},
    };
    refuse_all(cases, CH_COUNT(cases));
}

Test(model, refuses_numbers_out_of_range) {
    const char *counts[] = {
        "llama.context_length",      "llama.embedding_length",     "llama.block_count",
        "llama.feed_forward_length", "llama.attention.head_count", "llama.attention.head_count_kv",
        "llama.vocab_size",          "llama.attention.key_length", "llama.attention.value_length"};
    const struct {
        uint32_t kind;
        uint64_t number;
    } values[] = {{U32, 0},          {I32, (uint64_t)-1}, {U32, 1u << 31},
                  {U32, UINT32_MAX}, {U64, UINT64_MAX},   {U64, 1ull << 32}};
    for (size_t i = 0; i < CH_COUNT(counts); i++)
        for (size_t j = 0; j < CH_COUNT(values); j++) {
            const change c = {
                .key = counts[i], .kind = values[j].kind, .number = values[j].number, .code = BAD};
            refuse_all(&c, 1);
        }
}

Test(model, refuses_numbers_that_contradict_each_other) {
    const change cases[] = {
        {.key = "llama.attention.head_count",
         .kind = U32,
         .number = 3,
         .code = BAD}, // 3 heads of 2 kv
        {.key = "llama.attention.head_count_kv",
         .kind = U32,
         .number = 3,
         .code = BAD,
         .says = "head_count"},
        {.key = "llama.attention.head_count_kv",
         .kind = U32,
         .number = 8,
         .code = BAD,
         .says = "head_count"},
        {.key = "llama.block_count", .kind = U32, .number = 1, .code = NOT, .says = "blk.1."},
        {.key = "llama.block_count", .kind = U32, .number = 3, .code = BAD, .says = "blk.2."},
        {.key = "llama.block_count", .kind = U32, .number = 513, .code = BAD, .says = "blk.2."},
        {.key = "llama.block_count", .kind = U32, .number = 1025, .code = BAD},
        {.key = "llama.embedding_length", .kind = U32, .number = 65, .code = BAD},
        {.key = "llama.embedding_length",
         .kind = U32,
         .number = 68,
         .code = BAD,
         .says = "token_embd"},
        {.key = "llama.feed_forward_length",
         .kind = U32,
         .number = 97,
         .code = BAD,
         .says = "ffn_gate"},
        {.key = "llama.vocab_size", .kind = U32, .number = 299, .code = BAD},
        {.key = "llama.rope.dimension_count", .kind = U32, .number = 15, .code = BAD},
        {.key = "llama.rope.dimension_count", .kind = U32, .number = 18, .code = BAD},
        {.key = "llama.attention.key_length",
         .kind = U32,
         .number = 32,
         .code = BAD,
         .says = "attn_q"},
        {.key = "llama.attention.value_length",
         .kind = U32,
         .number = 32,
         .code = BAD,
         .says = "attn_v"},
    };
    refuse_all(cases, CH_COUNT(cases));
}

Test(model, refuses_what_it_cannot_run_by_name) {
    const change cases[] = {
        {.key = "general.architecture",
         .kind = TEXT,
         .text = "mamba",
         .code = NOT,
         .says = "mamba"},
        {.key = "general.architecture", .kind = TEXT, .text = "", .code = NOT},
        {.key = "general.architecture", .kind = U32, .code = BAD},
        {.key = "llama.expert_count", .kind = U32, .number = 8, .code = NOT},
        {.key = "llama.rope.scaling.type",
         .kind = TEXT,
         .text = "longrope",
         .code = NOT,
         .says = "longrope"},
    };
    refuse_all(cases, CH_COUNT(cases));
}

Test(model, refuses_reals_that_are_none) {
    const char *keys[] = {"llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base",
                          "llama.rope.scaling.factor", "llama.rope.scaling.attn_factor"};
    const float values[] = {NAN, INFINITY, -INFINITY, -1.0f, 3e38f};
    for (size_t i = 0; i < CH_COUNT(keys); i++)
        for (size_t j = 0; j < CH_COUNT(values); j++) {
            const change c = {.key = keys[i], .kind = F32, .real = values[j], .code = BAD};
            refuse_all(&c, 1);
        }
}

Test(model, refuses_each_missing_tensor) {
    const char *names[] = {
        "token_embd.weight",        "output_norm.weight",    "blk.0.attn_norm.weight",
        "blk.1.attn_q.weight",      "blk.0.attn_k.weight",   "blk.0.attn_v.weight",
        "blk.0.attn_output.weight", "blk.1.ffn_norm.weight", "blk.0.ffn_gate.weight",
        "blk.0.ffn_up.weight",      "blk.1.ffn_down.weight"};
    for (size_t i = 0; i < CH_COUNT(names); i++) {
        const change c = {.tensor = names[i], .code = BAD};
        refuse_all(&c, 1);
    }
}

Test(model, refuses_tensors_of_another_shape_or_type) {
    const change cases[] = {
        {.tensor = "blk.0.attn_q.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {64, 63},
         .code = BAD},
        {.tensor = "blk.0.attn_q.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {63, 64},
         .code = BAD},
        {.tensor = "blk.0.attn_q.weight",
         .type = CH_TYPE_F32,
         .dims = 1,
         .shape = {4096},
         .code = BAD},
        {.tensor = "blk.0.attn_q.weight",
         .type = CH_TYPE_F32,
         .dims = 3,
         .shape = {64, 64, 2},
         .code = BAD},
        {.tensor = "blk.0.attn_k.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {64, 64},
         .code = BAD},
        {.tensor = "blk.1.ffn_down.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {64, 96},
         .code = BAD},
        {.tensor = "blk.1.attn_norm.weight",
         .type = CH_TYPE_Q4_0,
         .dims = 1,
         .shape = {64},
         .code = NOT},
        {.tensor = "blk.1.attn_norm.weight",
         .type = CH_TYPE_F32,
         .dims = 1,
         .shape = {65},
         .code = BAD},
        {.tensor = "output_norm.weight",
         .type = CH_TYPE_F16,
         .dims = 1,
         .shape = {64},
         .code = NOT},
        {.tensor = "token_embd.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {64, 301},
         .code = BAD},
        {.tensor = "output.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {64, 299},
         .code = BAD},
        {.tensor = "rope_freqs.weight", .type = CH_TYPE_F32, .dims = 1, .shape = {9}, .code = BAD},
        {.tensor = "blk.0.attn_q_norm.weight",
         .type = CH_TYPE_F32,
         .dims = 1,
         .shape = {16},
         .code = NOT},
        {.tensor = "blk.2.attn_q.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {64, 64},
         .code = NOT},
        {.tensor = "blk.00.attn_q.weight",
         .type = CH_TYPE_F32,
         .dims = 2,
         .shape = {64, 64},
         .code = NOT},
    };
    refuse_all(cases, CH_COUNT(cases));
}

Test(model, takes_what_is_optional) {
    const change cases[] = {
        {.key = "llama.attention.head_count_kv", .kind = U32, .number = 2},
        {.key = "llama.rope.scaling.type", .kind = TEXT, .text = "none"},
        {.key = "llama.rope.scaling.type", .kind = TEXT, .text = "yarn"},
        {.key = "llama.attention.key_length", .kind = U32, .number = 16},
        {.tensor = "output.weight"},
        {.tensor = "blk.0.attn_q.bias", .type = CH_TYPE_F32, .dims = 1, .shape = {64}},
        {.tensor = "blk.1.ffn_down.bias", .type = CH_TYPE_F32, .dims = 1, .shape = {64}},
        {.tensor = "blk.0.attn.rotary_emb.inv_freq", .type = CH_TYPE_F32, .dims = 1, .shape = {8}},
        {.tensor = "blk.0.attn_q.weight", .type = CH_TYPE_BF16, .dims = 2, .shape = {64, 64}},
    };
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        chord_error error;
        cr_assert_eq(open_changed(&cases[i], true, &error), CHORD_OK, "case %d: %s", (int)i,
                     error.message);
    }
}

Test(model, a_file_cut_at_any_byte_is_refused) {
    gguf_builder b;
    gb_model m = {.layers = 1,
                  .embedding = 16,
                  .heads = 2,
                  .kv_heads = 1,
                  .feed_forward = 8,
                  .vocabulary = 262};
    gb_build_model(&b, &m);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    chord_model *model = NULL;
    chord_error error;
    for (size_t n = 0; n < bytes; n++) {
        chord_model_desc desc = {.data = data, .data_bytes = n};
        cr_assert_neq(chord_model_open(&desc, &model, &error), CHORD_OK, "%d of %d bytes", (int)n,
                      (int)bytes);
        cr_assert(model == NULL && error.message[0]);
    }
    cr_assert_eq(
        chord_model_open(&(chord_model_desc){.data = data, .data_bytes = bytes}, &model, &error),
        CHORD_OK, "%s", error.message);
    chord_model_close(model);
    gb_close(&b);
}

Test(model, names_what_is_no_file) {
    const struct {
        const char *path, *says;
        chord_result code;
    } cases[] = {
        {"/nonexistent/model.gguf", "no such file", CHORD_ERROR_FILE},
        {"/", "not a regular file", CHORD_ERROR_FILE},
        {"/dev/null", "not a regular file", CHORD_ERROR_FILE},
        {"test_model_fifo", "not a regular file", CHORD_ERROR_FILE},
        {"test_model_empty", "empty", CHORD_ERROR_FORMAT},
    };
    unlink("test_model_fifo");
    cr_assert_eq(mkfifo("test_model_fifo", 0600), 0);
    FILE *empty = fopen("test_model_empty", "wb");
    cr_assert_not_null(empty);
    fclose(empty);
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        chord_model *model = NULL;
        chord_error error;
        cr_assert_eq(chord_model_open(&(chord_model_desc){.path = cases[i].path}, &model, &error),
                     cases[i].code);
        cr_assert_not_null(strstr(error.message, cases[i].says), "%s", error.message);
        cr_assert_not_null(strstr(error.message, cases[i].path), "%s", error.message);
    }
    unlink("test_model_fifo");
    unlink("test_model_empty");
}

Test(model, null_arguments_are_errors) {
    chord_model *model = NULL;
    chord_error error;
    static CH_ALIGNAS(32) uint8_t bytes[64];
    cr_assert_eq(chord_model_open(NULL, &model, &error), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_model_open(&(chord_model_desc){0}, &model, NULL), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_model_open(&(chord_model_desc){.path = "x"}, NULL, &error),
                 CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_model_open(&(chord_model_desc){.path = "x", .data = bytes}, &model, &error),
                 CHORD_ERROR_ARGUMENT);
    cr_assert_eq(
        chord_model_open(&(chord_model_desc){.data = bytes + 1, .data_bytes = 60}, &model, &error),
        CHORD_ERROR_ARGUMENT);
    cr_assert_eq(
        chord_model_open(&(chord_model_desc){.data = bytes, .data_bytes = 64}, &model, &error),
        CHORD_ERROR_FORMAT);
    chord_model_close(NULL);
    chord_session_close(NULL);
    chord_session *session = NULL;
    cr_assert_eq(chord_session_open(NULL, NULL, &session, &error), CHORD_ERROR_ARGUMENT);
    cr_assert_eq(chord_plan(NULL, NULL, NULL, &error), CHORD_ERROR_ARGUMENT);
}
