// test_vocab: vocabularies that are accepted and refused, and the tokenizer.
//
// Held against a plain, quadratic tokenizer on random texts, and against golden token ids where
// those are (CHORD_SHARED in the environment, CHORD_SHARED_DIR when compiling, or ../shared).
#include "gguf_builder.h"

#include "../src/model/vocab.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef CHORD_SOURCE_DIR
#define CHORD_SOURCE_DIR "."
#endif
#ifndef CHORD_SHARED_DIR
#define CHORD_SHARED_DIR CHORD_SOURCE_DIR "/../shared"
#endif

#define REJECT_SECONDS (0.1 * GB_SLOWER)

typedef struct opened {
    ch_gguf gguf;
    ch_vocab vocab;
    ch_arena arena, tables;
    chord_error error;
} opened;

// Reads a file and its vocabulary. Both arenas have exactly the bytes that were measured.
static chord_result open_bytes(const uint8_t *data, size_t bytes, opened *o) {
    ch_gguf_size size;
    uint64_t table_bytes = 0;
    memset(o, 0, sizeof *o);
    chord_result result = ch_gguf_measure(data, bytes, &size, &o->error);
    if (result) return result;
    cr_assert(ch_arena_open(&o->arena, (size_t)size.table_bytes, NULL));
    result = ch_gguf_read(data, bytes, &size, &o->arena, &o->gguf, &o->error);
    if (result || (result = ch_vocab_measure(&o->gguf, &table_bytes, &o->error))) return result;
    if (table_bytes) cr_assert(ch_arena_open(&o->tables, (size_t)table_bytes, NULL));
    result = ch_vocab_read(&o->gguf, &o->tables, &o->vocab, &o->error);
    if (result == CHORD_OK) cr_assert_eq(o->tables.used, table_bytes);
    return result;
}

static void opened_close(opened *o) {
    ch_arena_close(&o->arena);
    ch_arena_close(&o->tables);
}

// ---- small vocabularies

typedef struct small_token {
    const char *text;
    float score;
    int32_t kind;
} small_token;

// Writes the keys of a vocabulary of `count` tokens.
static void write_vocab(gguf_builder *b, const small_token *tokens, size_t count) {
    const char *texts[64];
    float scores[64];
    int32_t kinds[64];
    cr_assert_leq(count, 64u);
    for (size_t i = 0; i < count; i++) {
        texts[i] = tokens[i].text;
        scores[i] = tokens[i].score;
        kinds[i] = tokens[i].kind;
    }
    gb_meta_text(b, "tokenizer.ggml.model", "llama");
    gb_meta_texts(b, "tokenizer.ggml.tokens", texts, count);
    gb_meta_array(b, "tokenizer.ggml.scores", CH_GGUF_F32, scores, 4, count);
    gb_meta_array(b, "tokenizer.ggml.token_type", CH_GGUF_I32, kinds, 4, count);
}

#define MARK "\xe2\x96\x81"

static const small_token basic[] = {
    {"<unk>", 0, CHORD_TOKEN_UNKNOWN},  {"<s>", 0, CHORD_TOKEN_CONTROL},
    {"</s>", 0, CHORD_TOKEN_CONTROL},   {"<0x0A>", 0, CHORD_TOKEN_BYTE},
    {MARK, -10, CHORD_TOKEN_NORMAL},    {"a", -10, CHORD_TOKEN_NORMAL},
    {"b", -10, CHORD_TOKEN_NORMAL},     {"ab", -1, CHORD_TOKEN_NORMAL},
    {MARK "a", -2, CHORD_TOKEN_NORMAL}, {"<|x|>", 0, CHORD_TOKEN_USER_DEFINED},
    {"<|x|>y", 0, CHORD_TOKEN_CONTROL}, {"ba", -1, CHORD_TOKEN_NORMAL},
};

static void open_basic(gguf_builder *b, opened *o) {
    size_t bytes = 0;
    gb_open(b);
    write_vocab(b, basic, CH_COUNT(basic));
    gb_meta_u32(b, "tokenizer.ggml.bos_token_id", 1);
    gb_meta_u32(b, "tokenizer.ggml.eos_token_id", 2);
    const uint8_t *data = gb_finish(b, &bytes);
    cr_assert_eq(open_bytes(data, bytes, o), CHORD_OK, "%s", o->error.message);
}

// Tokenizes without BOS and writes the ids as "1 2 3".
static const char *ids_of(const ch_vocab *vocab, const char *text, size_t bytes, bool special,
                          int bos, char *out, size_t capacity) {
    chord_token tokens[128];
    chord_tokenize_desc desc;
    chord_error error;
    size_t count = 0, at = 0;
    memset(&desc, 0, sizeof desc);
    desc.text = text;
    desc.text_bytes = bytes;
    desc.special = special;
    desc.bos = bos;
    cr_assert_eq(ch_vocab_tokenize(vocab, &desc, tokens, 128, &count, &error), CHORD_OK, "%s",
                 error.message);
    out[0] = 0;
    for (size_t i = 0; i < count && at < capacity; i++)
        at += (size_t)snprintf(out + at, capacity - at, "%s%d", i ? " " : "", tokens[i]);
    return out;
}

Test(vocab, tokenizer_merges_by_score_and_leftmost_first) {
    gguf_builder b;
    opened o;
    char ids[256];
    open_basic(&b, &o);
    cr_expect(o.vocab.words_split);
    static const struct {
        const char *text, *ids;
    } cases[] = {{"", ""},
                 {"a", "8"},
                 {" ", "4 4"},
                 {"b", "4 6"},
                 {"ab", "4 7"},    // "ab" is better than U+2581 "a"
                 {"aba", "4 7 5"}, // "ab" and "ba" are as good: the left one
                 {"bab", "4 11 6"},
                 {"a ab", "8 4 7"},
                 {"\n", "4 3"},
                 {"c", "4 0"},        // no token, no byte tokens: unknown
                 {"\xc3\xa9", "4 0"}, // one unknown for a character
                 {"\xc3\xa9\xa9", "4 0 0"},
                 {"<s>", "4 0 0 0"}, // control tokens are not found unless asked for
                 {"<0x0A>", "4 0 0 0 0 0 0"}};
    for (size_t i = 0; i < CH_COUNT(cases); i++)
        cr_expect_str_eq(
            ids_of(&o.vocab, cases[i].text, strlen(cases[i].text), false, -1, ids, sizeof ids),
            cases[i].ids, "\"%s\" gives %s, wanted %s", cases[i].text, ids, cases[i].ids);
    cr_expect_str_eq(ids_of(&o.vocab, "a\0b", 3, false, -1, ids, sizeof ids), "8 0 6");
    opened_close(&o);
    gb_close(&b);
}

Test(vocab, special_tokens_are_found_only_when_asked_for_longest_first) {
    gguf_builder b;
    opened o;
    char ids[256];
    open_basic(&b, &o);
    cr_assert_eq(o.vocab.special_count, 4);
    cr_expect_eq(o.vocab.special[0], 10);
    static const struct {
        const char *text, *ids;
    } cases[] = {{"<s>", "1"},
                 {"<s></s>", "1 2"},
                 {"a<s>a", "8 1 8"}, // the fragment after a
                                     // special token gets a
                                     // space too
                 {"<|x|>y", "10"},   // not <|x|> and y
                 {"<|x|>b", "9 4 6"},
                 {"<|x|", "4 0 0 0 0"},
                 {"<unk>", "4 0 0 0 0 0"},
                 {"", ""}};
    for (size_t i = 0; i < CH_COUNT(cases); i++)
        cr_expect_str_eq(
            ids_of(&o.vocab, cases[i].text, strlen(cases[i].text), true, -1, ids, sizeof ids),
            cases[i].ids, "\"%s\" gives %s, wanted %s", cases[i].text, ids, cases[i].ids);
    opened_close(&o);
    gb_close(&b);
}

Test(vocab, bos_and_eos_are_added_as_asked) {
    static const struct {
        int add_bos, add_eos, add_space; // -1: no key
        int bos;                         // of the desc
        const char *ids;
    } cases[] = {{-1, -1, -1, 0, "1 8"}, {-1, -1, -1, -1, "8"},  {0, -1, -1, 0, "8"},
                 {0, -1, -1, 1, "1 8"},  {1, 1, -1, 0, "1 8 2"}, {1, 1, -1, -1, "8"},
                 {1, 1, -1, 1, "1 8"},   {1, 0, 0, 0, "1 5"}};
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        gguf_builder b;
        opened o;
        char ids[64];
        size_t bytes = 0;
        gb_open(&b);
        write_vocab(&b, basic, CH_COUNT(basic));
        gb_meta_u32(&b, "tokenizer.ggml.bos_token_id", 1);
        gb_meta_u32(&b, "tokenizer.ggml.eos_token_id", 2);
        if (cases[i].add_bos >= 0)
            gb_meta_bool(&b, "tokenizer.ggml.add_bos_token", (uint8_t)cases[i].add_bos);
        if (cases[i].add_eos >= 0)
            gb_meta_bool(&b, "tokenizer.ggml.add_eos_token", (uint8_t)cases[i].add_eos);
        if (cases[i].add_space >= 0)
            gb_meta_bool(&b, "tokenizer.ggml.add_space_prefix", (uint8_t)cases[i].add_space);
        const uint8_t *data = gb_finish(&b, &bytes);
        cr_assert_eq(open_bytes(data, bytes, &o), CHORD_OK, "%s", o.error.message);
        cr_expect_str_eq(ids_of(&o.vocab, "a", 1, false, cases[i].bos, ids, sizeof ids),
                         cases[i].ids, "case %zu: %s", i, ids);
        opened_close(&o);
        gb_close(&b);
    }
}

Test(vocab, token_text_gives_spaces_bytes_and_names) {
    gguf_builder b;
    opened o;
    open_basic(&b, &o);
    static const struct {
        int32_t token;
        bool special;
        const char *text;
    } cases[] = {{0, false, ""},   {0, true, "<unk>"},  {1, false, ""},       {1, true, "<s>"},
                 {3, false, "\n"}, {3, true, "\n"},     {4, false, " "},      {8, false, " a"},
                 {7, false, "ab"}, {9, false, "<|x|>"}, {10, false, ""},      {10, true, "<|x|>y"},
                 {-1, true, ""},   {12, true, ""},      {INT32_MAX, true, ""}};
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        char text[16];
        memset(text, '#', sizeof text);
        size_t want = strlen(cases[i].text);
        size_t got = ch_vocab_text(&o.vocab, cases[i].token, cases[i].special, text, 16);
        cr_expect_eq(got, want, "token %d", cases[i].token);
        cr_expect_eq(memcmp(text, cases[i].text, want), 0);
        memset(text, '#', sizeof text);
        got = ch_vocab_text(&o.vocab, cases[i].token, cases[i].special, text, 1);
        cr_expect_eq(got, want, "token %d", cases[i].token);
        cr_expect_eq(text[1], '#');
        cr_expect_eq(ch_vocab_text(&o.vocab, cases[i].token, cases[i].special, NULL, 0), want);
    }
    opened_close(&o);
    gb_close(&b);
}

Test(vocab, tokenizer_tells_space_and_memory) {
    gguf_builder b;
    opened o;
    open_basic(&b, &o);
    chord_tokenize_desc desc;
    chord_token tokens[4] = {-7, -7, -7, -7};
    size_t count = 0;
    memset(&desc, 0, sizeof desc);
    desc.text = "a a a";
    desc.text_bytes = 5;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, tokens, 2, &count, &o.error),
                 CHORD_ERROR_SPACE);
    cr_expect_eq(count, 4u);
    cr_expect_eq(tokens[1], 8);
    cr_expect_eq(tokens[2], -7);
    cr_expect(strstr(o.error.message, "4 tokens; there is room for 2"));
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_SPACE);
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, tokens, 4, &count, NULL), CHORD_OK);

    // 250 bytes are what the stack is promised to be enough for, whatever they are.
    char text[20000];
    memset(text, ' ', sizeof text);
    desc.text = text;
    desc.text_bytes = 250;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_SPACE);
    cr_expect_eq(count, 252u);
    desc.text_bytes = 2000;
    count = 99;
    tokens[0] = -7;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, tokens, 4, &count, &o.error),
                 CHORD_ERROR_MEMORY);
    cr_expect(strstr(o.error.message, "of scratch; 8192 are given"), "%s", o.error.message);
    cr_expect_eq(count, 99u);
    cr_expect_eq(tokens[0], -7);
    // Words are merged one by one: a long text of short words needs no more.
    for (size_t i = 0; i < sizeof text; i += 3) text[i] = 'a';
    desc.text_bytes = sizeof text;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_SPACE);
    // Scratch of the promised size, at any address, to the byte.
    memset(text, ' ', sizeof text);
    for (size_t shift = 0; shift < 8; shift++) {
        size_t bytes = ch_vocab_scratch(&o.vocab, 300);
        uint8_t *memory = (uint8_t *)malloc(bytes + shift);
        desc.scratch = memory + shift;
        desc.scratch_bytes = bytes;
        desc.text_bytes = 300;
        cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_SPACE);
        cr_expect_eq(count, 302u);
        free(memory);
    }
    uint8_t one = 0;
    desc.scratch = &one;
    desc.scratch_bytes = 1;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_MEMORY);
    cr_expect_eq(ch_vocab_scratch(&o.vocab, SIZE_MAX), SIZE_MAX);
    opened_close(&o);
    gb_close(&b);
}

Test(vocab, tokenizer_refuses_bad_arguments) {
    gguf_builder b;
    opened o;
    open_basic(&b, &o);
    chord_tokenize_desc desc;
    size_t count = 0;
    memset(&desc, 0, sizeof desc);
    desc.text_bytes = 1;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_ARGUMENT);
    desc.text_bytes = 0;
    desc.bos = 2;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_ARGUMENT);
    desc.bos = 1;
    o.vocab.bos = -1;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_ARGUMENT);
    desc.bos = 0;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_OK);
    cr_expect_eq(count, 0u);
    // Neither byte tokens nor an unknown token: refused with the byte's name.
    o.vocab.unknown = -1;
    desc.text = "z";
    desc.text_bytes = 1;
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, &o.error),
                 CHORD_ERROR_UNSUPPORTED);
    cr_expect(strstr(o.error.message, "0x7A"), "%s", o.error.message);
    opened_close(&o);
    gb_close(&b);
}

Test(vocab, ends_are_named_ones_and_well_known_special_tokens) {
    static const small_token tokens[] = {
        {"<unk>", 0, CHORD_TOKEN_UNKNOWN},        {"</s>", 0, CHORD_TOKEN_CONTROL},
        {"<|im_end|>", 0, CHORD_TOKEN_CONTROL},   {"<|eot_id|>", 0, CHORD_TOKEN_NORMAL},
        {"<|end|>", 0, CHORD_TOKEN_USER_DEFINED}, {"eos", 0, CHORD_TOKEN_NORMAL},
        {"eot", 0, CHORD_TOKEN_NORMAL},           {"eom", 0, CHORD_TOKEN_NORMAL}};
    gguf_builder b;
    opened o;
    size_t bytes = 0;
    gb_open(&b);
    write_vocab(&b, tokens, CH_COUNT(tokens));
    gb_meta_u32(&b, "tokenizer.ggml.eos_token_id", 5);
    gb_meta_u32(&b, "tokenizer.ggml.eot_token_id", 6);
    gb_meta_i32(&b, "tokenizer.ggml.eom_token_id", 7);
    const uint8_t *data = gb_finish(&b, &bytes);
    cr_assert_eq(open_bytes(data, bytes, &o), CHORD_OK, "%s", o.error.message);
    static const bool ends[] = {false, true, true, false, true, true, true, true};
    for (int32_t i = 0; i < 8; i++) cr_expect_eq(ch_vocab_is_end(&o.vocab, i), ends[i], "%d", i);
    cr_expect_not(ch_vocab_is_end(&o.vocab, -1));
    cr_expect_eq(o.vocab.unknown, 0); // not named in the file, but there is a token of that kind
    cr_expect_eq(o.vocab.bos, -1);
    opened_close(&o);
    gb_close(&b);
}

Test(vocab, a_file_without_one_is_fine) {
    gguf_builder b;
    opened o;
    size_t bytes = 0;
    gb_open(&b);
    gb_meta_text(&b, "general.architecture", "llama");
    const uint8_t *data = gb_finish(&b, &bytes);
    cr_assert_eq(open_bytes(data, bytes, &o), CHORD_OK, "%s", o.error.message);
    cr_expect_eq(o.vocab.count, 0);
    cr_expect_eq(ch_vocab_text(&o.vocab, 0, true, NULL, 0), 0u);
    chord_tokenize_desc desc;
    size_t count = 0;
    memset(&desc, 0, sizeof desc);
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_ARGUMENT);
    opened_close(&o);
    gb_close(&b);
}

// ---- what is refused, and what is borne

static void check_open(const char *what, gguf_builder *b, chord_result code, const char *fragment) {
    opened o;
    size_t bytes = 0;
    const uint8_t *data = gb_finish(b, &bytes);
    double start = gb_cpu_seconds();
    chord_result result = open_bytes(data, bytes, &o);
    double seconds = gb_cpu_seconds() - start;
    cr_expect_eq(result, code, "%s: %d %s", what, (int)result, o.error.message);
    if (fragment)
        cr_expect(strstr(o.error.message, fragment), "%s: \"%s\" lacks \"%s\"", what,
                  o.error.message, fragment);
    cr_expect_lt(seconds, REJECT_SECONDS, "%s took %f seconds", what, seconds);
    opened_close(&o);
    gb_close(b);
}

Test(vocab, refuses_other_tokenizers_by_name) {
    static const char *const models[] = {"gpt2",   "bert",     "t5",    "rwkv",
                                         "plamo2", "no_vocab", "LLAMA", ""};
    for (size_t i = 0; i < CH_COUNT(models); i++) {
        gguf_builder b;
        char fragment[64];
        gb_open(&b);
        gb_meta_text(&b, "tokenizer.ggml.model", models[i]);
        snprintf(fragment, sizeof fragment, "tokenizer.ggml.model\" is \"%s\"", models[i]);
        check_open(models[i], &b, CHORD_ERROR_UNSUPPORTED, fragment);
    }
    gguf_builder b;
    gb_open(&b);
    gb_meta_u32(&b, "tokenizer.ggml.model", 1);
    check_open("a number", &b, CHORD_ERROR_FORMAT, "is u32; str is wanted");
}

Test(vocab, refuses_wrong_element_kinds) {
    static const char *const texts[] = {"a", "b", "c", "d"};
    static const struct {
        const char *key;
        uint32_t kind;
        const char *fragment;
    } cases[] = {{"tokenizer.ggml.scores", CH_GGUF_U8, "arr[u8]; arr[f32] is wanted"},
                 {"tokenizer.ggml.scores", CH_GGUF_F64, "arr[f64]; arr[f32] is wanted"},
                 {"tokenizer.ggml.scores", CH_GGUF_I32, "arr[i32]; arr[f32] is wanted"},
                 {"tokenizer.ggml.token_type", CH_GGUF_U8, "arr[u8]; arr[i32] is wanted"},
                 {"tokenizer.ggml.token_type", CH_GGUF_U64, "arr[u64]; arr[i32] is wanted"},
                 {"tokenizer.ggml.token_type", CH_GGUF_F32, "arr[f32]; arr[i32] is wanted"}};
    uint8_t zeros[64] = {0};
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        gguf_builder b;
        gb_open(&b);
        gb_meta_text(&b, "tokenizer.ggml.model", "llama");
        gb_meta_texts(&b, "tokenizer.ggml.tokens", texts, 4);
        gb_meta_array(&b, cases[i].key, cases[i].kind, zeros, sizes[cases[i].kind], 4);
        check_open(cases[i].fragment, &b, CHORD_ERROR_FORMAT, cases[i].fragment);
    }
    gguf_builder b;
    gb_open(&b);
    gb_meta_text(&b, "tokenizer.ggml.model", "llama");
    gb_meta_array(&b, "tokenizer.ggml.tokens", CH_GGUF_U32, zeros, 4, 4);
    check_open("numbers for tokens", &b, CHORD_ERROR_FORMAT, "arr[u32]; arr[str] is wanted");
    gb_open(&b);
    gb_meta_text(&b, "tokenizer.ggml.model", "llama");
    gb_meta_text(&b, "tokenizer.ggml.tokens", "a");
    check_open("a string for tokens", &b, CHORD_ERROR_FORMAT, "is str; arr[str] is wanted");
    gb_open(&b);
    gb_meta_text(&b, "tokenizer.ggml.model", "llama");
    gb_meta_texts(&b, "tokenizer.ggml.tokens", texts, 4);
    gb_meta_f32(&b, "tokenizer.ggml.scores", 1);
    check_open("one score", &b, CHORD_ERROR_FORMAT, "is f32; arr[f32] is wanted");
    gb_open(&b);
    gb_meta_text(&b, "tokenizer.ggml.model", "llama");
    gb_meta_texts(&b, "tokenizer.ggml.tokens", texts, 4);
    uint32_t kinds[4] = {1, 1, 3, 4};
    gb_meta_array(&b, "tokenizer.ggml.token_type", CH_GGUF_U32, kinds, 4, 4);
    check_open("u32 kinds", &b, CHORD_OK, NULL);
}

Test(vocab, refuses_arrays_that_do_not_fit_together) {
    static const char *const texts[] = {"a", "b", "c"};
    uint8_t zeros[64] = {0};
    gguf_builder b;
    gb_open(&b);
    gb_meta_text(&b, "tokenizer.ggml.model", "llama");
    check_open("no tokens key", &b, CHORD_ERROR_FORMAT, "\"tokenizer.ggml.tokens\" is missing");
    gb_open(&b);
    gb_meta_text(&b, "tokenizer.ggml.model", "llama");
    gb_meta_texts(&b, "tokenizer.ggml.tokens", texts, 0);
    check_open("no tokens", &b, CHORD_ERROR_FORMAT, "has 0 tokens; 1 to");
    for (size_t n = 0; n < 6; n++) {
        static const char *const keys[] = {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"};
        for (size_t k = 0; k < 2; k++) {
            gb_open(&b);
            gb_meta_text(&b, "tokenizer.ggml.model", "llama");
            gb_meta_texts(&b, "tokenizer.ggml.tokens", texts, 3);
            gb_meta_array(&b, keys[k], k ? CH_GGUF_I32 : CH_GGUF_F32, zeros, 4, n);
            check_open(keys[k], &b, n == 3 ? CHORD_OK : CHORD_ERROR_FORMAT,
                       n == 3 ? NULL : "one for each of the 3 tokens is wanted");
        }
    }
}

Test(vocab, refuses_bad_tokens) {
    static const struct {
        small_token token;
        chord_result code;
        const char *fragment;
    } cases[] = {
        {{"x", NAN, CHORD_TOKEN_NORMAL}, CHORD_ERROR_FORMAT, "score of token 1 is not a number"},
        {{"x", -INFINITY, CHORD_TOKEN_NORMAL}, CHORD_OK, NULL},
        {{"x", INFINITY, CHORD_TOKEN_NORMAL}, CHORD_OK, NULL},
        {{"", 0, CHORD_TOKEN_NORMAL}, CHORD_OK, NULL},
        {{"", 0, CHORD_TOKEN_CONTROL}, CHORD_OK, NULL},
        {{"a", 0, CHORD_TOKEN_NORMAL}, CHORD_OK, NULL},
        {{"\xff\xfe", 0, CHORD_TOKEN_NORMAL}, CHORD_OK, NULL},
        {{"x", 0, 0}, CHORD_OK, NULL},
        {{"x", 0, 7}, CHORD_ERROR_FORMAT, "token 1 is of kind 7"},
        {{"x", 0, -1}, CHORD_ERROR_FORMAT, "token 1 is of kind -1"},
        {{"x", 0, INT32_MIN}, CHORD_ERROR_FORMAT, "token 1 is of kind -2147483648"},
        {{"<0x0A>", 0, CHORD_TOKEN_BYTE}, CHORD_OK, NULL},
        {{"<0x-1>", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is \"<0x-1>\""},
        {{"<0xZZ>", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is \"<0xZZ>\""},
        {{"<0x>", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is \"<0x>\""},
        {{"<0x0AA>", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is \"<0x0AA>\""},
        {{"<0x0A", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is"},
        {{"0x0A>>", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is"},
        {{"", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is \"\""},
        {{"A", 0, CHORD_TOKEN_BYTE}, CHORD_ERROR_FORMAT, "byte token 1 is \"A\""},
    };
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        small_token tokens[3] = {{"a", 0, CHORD_TOKEN_NORMAL},
                                 {"", 0, CHORD_TOKEN_NORMAL},
                                 {"b", 0, CHORD_TOKEN_NORMAL}};
        tokens[1] = cases[i].token;
        gguf_builder b;
        gb_open(&b);
        write_vocab(&b, tokens, 3);
        check_open(cases[i].token.text, &b, cases[i].code, cases[i].fragment);
    }
    for (size_t bytes = 65535; bytes <= 1 << 20; bytes = bytes == 65535 ? 65536 : bytes * 16) {
        gguf_builder b;
        char *text = (char *)malloc(bytes + 1);
        memset(text, 't', bytes);
        text[bytes] = 0;
        const char *texts[2] = {"a", text};
        gb_open(&b);
        gb_meta_text(&b, "tokenizer.ggml.model", "llama");
        gb_meta_texts(&b, "tokenizer.ggml.tokens", texts, 2);
        check_open("long token", &b, bytes == 65535 ? CHORD_OK : CHORD_ERROR_FORMAT,
                   bytes == 65535 ? NULL : "at most 65535 are read");
        free(text);
    }
}

Test(vocab, refuses_ids_that_are_no_tokens) {
    static const char *const keys[] = {
        "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.eot_token_id",     "tokenizer.ggml.eom_token_id",
        "tokenizer.ggml.mask_token_id"};
    static const int64_t ids[] = {12, UINT32_MAX, -1, INT64_MIN, INT64_MAX, 1ll << 32};
    for (size_t k = 0; k < CH_COUNT(keys); k++)
        for (size_t i = 0; i < CH_COUNT(ids); i++) {
            gguf_builder b;
            char fragment[96];
            gb_open(&b);
            write_vocab(&b, basic, CH_COUNT(basic));
            gb_key(&b, keys[k], CH_GGUF_I64);
            gb_bytes(&b.meta, &ids[i], 8);
            snprintf(fragment, sizeof fragment, "key \"%s\" is %lld; 0 to 11 is wanted", keys[k],
                     (long long)ids[i]);
            check_open(keys[k], &b, CHORD_ERROR_FORMAT, fragment);
        }
    gguf_builder b;
    gb_open(&b);
    write_vocab(&b, basic, CH_COUNT(basic));
    gb_meta_f32(&b, "tokenizer.ggml.bos_token_id", 1);
    check_open("f32 id", &b, CHORD_ERROR_FORMAT, "is f32; an integer is wanted");
    gb_open(&b);
    write_vocab(&b, basic, CH_COUNT(basic));
    gb_meta_u32(&b, "tokenizer.ggml.add_bos_token", 1);
    check_open("u32 flag", &b, CHORD_ERROR_FORMAT, "is u32; bool is wanted");
}

Test(vocab, refuses_tokens_made_to_collide) {
    enum { WANTED = 300 };
    char(*texts)[12] = (char(*)[12])calloc(WANTED, sizeof *texts);
    const char *list[WANTED];
    int found = 0;
    for (uint32_t i = 0; found < WANTED; i++) {
        uint32_t hash = CH_HASH_START;
        snprintf(texts[found], sizeof *texts, "%x", i);
        for (size_t k = 0; texts[found][k]; k++)
            hash = ch_hash_byte(hash, (uint8_t)texts[found][k]);
        if (ch_hash_slot(hash, 1024) != 5) continue;
        list[found] = texts[found];
        found++;
    }
    gguf_builder b;
    gb_open(&b);
    gb_meta_text(&b, "tokenizer.ggml.model", "llama");
    gb_meta_texts(&b, "tokenizer.ggml.tokens", list, WANTED);
    check_open("collisions", &b, CHORD_ERROR_FORMAT, "fall on one place of a table");
    free(texts);
}

Test(vocab, the_first_of_equal_tokens_is_taken) {
    static const small_token tokens[] = {
        {"a", -5, CHORD_TOKEN_CONTROL}, {"<unk>", 0, CHORD_TOKEN_UNKNOWN},
        {"a", -4, CHORD_TOKEN_NORMAL},  {"a", -1, CHORD_TOKEN_NORMAL},
        {MARK, -1, CHORD_TOKEN_NORMAL}, {"a", 0, CHORD_TOKEN_CONTROL}};
    gguf_builder b;
    opened o;
    char ids[64];
    size_t bytes = 0;
    gb_open(&b);
    write_vocab(&b, tokens, CH_COUNT(tokens));
    const uint8_t *data = gb_finish(&b, &bytes);
    cr_assert_eq(open_bytes(data, bytes, &o), CHORD_OK, "%s", o.error.message);
    cr_expect_str_eq(ids_of(&o.vocab, "a", 1, false, -1, ids, sizeof ids), "4 2");
    cr_expect_str_eq(ids_of(&o.vocab, "a", 1, true, -1, ids, sizeof ids), "0");
    opened_close(&o);
    gb_close(&b);
}

// ---- against a plain tokenizer

static int32_t plain_find(const ch_vocab *vocab, const char *text, size_t bytes) {
    for (int32_t i = 0; i < vocab->count; i++)
        if (vocab->bytes[i] == bytes && (CH_VOCAB_TEXT_KINDS >> vocab->kind[i] & 1) &&
            memcmp(vocab->base + vocab->start[i], text, bytes) == 0)
            return i;
    return -1;
}

// Merges the best pair of the whole text until there is none: no words, no heap.
static size_t plain_tokenize(const ch_vocab *vocab, const char *text, size_t bytes,
                             chord_token *tokens) {
    char marked[4096];
    size_t start[4096], n = 0, total = 0, count = 0;
    const char *prefix = vocab->add_space_prefix && bytes ? " " : "";
    for (size_t i = 0; i < bytes + strlen(prefix); i++) {
        char c = i < strlen(prefix) ? ' ' : text[i - strlen(prefix)];
        if (c == ' ') {
            memcpy(marked + total, MARK, 3);
            total += 3;
        } else {
            marked[total++] = c;
        }
    }
    // Symbols: valid UTF-8 by decoding and looking whether the number needs that many bytes.
    for (size_t i = 0; i < total;) {
        const uint8_t *p = (const uint8_t *)marked + i;
        size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 1;
        uint32_t code = p[0] & (0xffu >> (length + 1));
        bool good = length > 1 && p[0] < 0xf8 && i + length <= total;
        for (size_t k = 1; good && k < length; k++) {
            good = (p[k] & 0xc0) == 0x80;
            code = code << 6 | (p[k] & 63);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (good && (code < least[length] || code > 0x10ffff || (code >> 11) == 27)) good = false;
        start[n++] = i;
        i += good ? length : 1;
    }
    for (;;) {
        int32_t best = -1;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t end = i + 2 < n ? start[i + 2] : total;
            int32_t token = plain_find(vocab, marked + start[i], end - start[i]);
            if (token < 0 || (best >= 0 && vocab->score[token] <= vocab->score[best])) continue;
            best = token;
            at = i;
        }
        if (best < 0) break;
        memmove(start + at + 1, start + at + 2, (n - at - 2) * sizeof *start);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        size_t end = i + 1 < n ? start[i + 1] : total;
        int32_t token = plain_find(vocab, marked + start[i], end - start[i]);
        if (token >= 0) {
            tokens[count++] = token;
            continue;
        }
        bool all = true;
        for (size_t k = start[i]; k < end; k++) all &= vocab->byte_token[(uint8_t)marked[k]] >= 0;
        if (!all) tokens[count++] = vocab->unknown;
        for (size_t k = start[i]; all && k < end; k++)
            tokens[count++] = vocab->byte_token[(uint8_t)marked[k]];
    }
    return count;
}

static void compare_random(const ch_vocab *vocab, const char *const *parts, size_t part_count,
                           uint64_t seed, int rounds) {
    gguf_builder random;
    memset(&random, 0, sizeof random);
    random.random = seed;
    static chord_token want[4096], got[4096];
    for (int round = 0; round < rounds; round++) {
        char text[256];
        size_t bytes = 0, most = gb_random(&random) % 60;
        while (bytes < most) {
            uint64_t r = gb_random(&random);
            const char *part = parts[r % part_count];
            if (r >> 32 & 15) {
                memcpy(text + bytes, part, strlen(part));
                bytes += strlen(part);
            } else {
                text[bytes++] = (char)(uint8_t)(r >> 40);
            }
        }
        size_t n = plain_tokenize(vocab, text, bytes, want), count = 0;
        chord_tokenize_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.text = text;
        desc.text_bytes = bytes;
        desc.bos = -1;
        chord_error error = {CHORD_OK, ""};
        cr_assert_eq(ch_vocab_tokenize(vocab, &desc, got, 4096, &count, &error), CHORD_OK, "%s",
                     error.message);
        cr_assert_eq(count, n, "round %d: %zu tokens, wanted %zu", round, count, n);
        cr_assert_eq(memcmp(want, got, n * sizeof *want), 0, "round %d", round);
    }
}

Test(vocab, tokenizer_equals_the_plain_one_on_random_texts) {
    static const char *const parts[] = {"a",  "b",        "ab",       " ",  "  ",
                                        "e",  "n",        "he",       " a", "xyz",
                                        MARK, "\xc3\xa9", "\xe2\x96", "\n", "\xf0\x9f\x9a\x80"};
    gguf_builder b;
    gb_model model;
    opened o;
    size_t bytes = 0;
    memset(&model, 0, sizeof model);
    gb_open(&b);
    gb_build_vocab(&b, &model, 700);
    const uint8_t *data = gb_finish(&b, &bytes);
    cr_assert_eq(open_bytes(data, bytes, &o), CHORD_OK, "%s", o.error.message);
    cr_expect(o.vocab.words_split);
    compare_random(&o.vocab, parts, CH_COUNT(parts), 1, 1500);
    opened_close(&o);
    gb_close(&b);
}

// Equal scores, tokens that cross words, tokens of broken UTF-8, missing bytes.
Test(vocab, tokenizer_equals_the_plain_one_on_an_odd_vocabulary) {
    static const small_token tokens[] = {{"<unk>", 0, CHORD_TOKEN_UNKNOWN},
                                         {"a", -1, CHORD_TOKEN_NORMAL},
                                         {"b", -1, CHORD_TOKEN_NORMAL},
                                         {"aa", -1, CHORD_TOKEN_NORMAL},
                                         {"ab", -1, CHORD_TOKEN_NORMAL},
                                         {"ba", -1, CHORD_TOKEN_UNUSED},
                                         {"a" MARK, -1, CHORD_TOKEN_NORMAL},
                                         {MARK MARK, 0.5f, CHORD_TOKEN_NORMAL},
                                         {MARK, -1, CHORD_TOKEN_NORMAL},
                                         {"a" MARK "b", 2, CHORD_TOKEN_USER_DEFINED},
                                         {"\xc3", -1, CHORD_TOKEN_NORMAL},
                                         {"\xc3"
                                          "a",
                                          -1, CHORD_TOKEN_NORMAL},
                                         {"abab", INFINITY, CHORD_TOKEN_NORMAL},
                                         {"baba", -INFINITY, CHORD_TOKEN_NORMAL},
                                         {"<0xE9>", 0, CHORD_TOKEN_BYTE},
                                         {"<0xC3>", 0, CHORD_TOKEN_BYTE},
                                         {"aab", -1, CHORD_TOKEN_NORMAL},
                                         {"bab", -1, CHORD_TOKEN_CONTROL}};
    static const char *const parts[] = {"a", "b", "a ", " ", "ab", "\xc3", "\xc3\xa9", "z"};
    for (int prefix = 0; prefix < 2; prefix++) {
        gguf_builder b;
        opened o;
        size_t bytes = 0;
        gb_open(&b);
        write_vocab(&b, tokens, CH_COUNT(tokens));
        gb_meta_bool(&b, "tokenizer.ggml.add_space_prefix", (uint8_t)prefix);
        const uint8_t *data = gb_finish(&b, &bytes);
        cr_assert_eq(open_bytes(data, bytes, &o), CHORD_OK, "%s", o.error.message);
        cr_expect_not(o.vocab.words_split);
        compare_random(&o.vocab, parts, CH_COUNT(parts), 2, 3000);
        opened_close(&o);
        gb_close(&b);
    }
}

// One word of a million bytes: a quadratic tokenizer would take hours.
Test(vocab, tokenizer_takes_little_time_for_a_long_word) {
    gguf_builder b;
    opened o;
    open_basic(&b, &o);
    size_t n = 1000000, count = 0;
    char *text = (char *)malloc(n);
    chord_tokenize_desc desc;
    memset(&desc, 0, sizeof desc);
    for (size_t i = 0; i < n; i++) text[i] = "ab"[i * i / 7 % 3 == 0];
    desc.text = text;
    desc.text_bytes = n;
    desc.special = true;
    desc.scratch_bytes = ch_vocab_scratch(&o.vocab, n);
    desc.scratch = malloc(desc.scratch_bytes);
    double start = gb_cpu_seconds();
    cr_expect_eq(ch_vocab_tokenize(&o.vocab, &desc, NULL, 0, &count, NULL), CHORD_ERROR_SPACE);
    cr_expect_lt(gb_cpu_seconds() - start, 5.0 * GB_SLOWER);
    cr_expect_gt(count, n / 2);
    free(desc.scratch);
    free(text);
    opened_close(&o);
    gb_close(&b);
}

// ---- files that change under the reader

static void damage(gguf_builder *random, uint8_t *data, size_t bytes, int count) {
    for (int i = 0; i < count; i++)
        data[gb_random(random) % bytes] = (uint8_t)(gb_random(random) >> 16 & 0x83);
}

// Between any two steps some bytes change: every outcome will do but a read outside of the file or
// a token that is none.
Test(vocab, survives_bytes_that_change_between_the_steps) {
    gguf_builder random, b;
    memset(&random, 0, sizeof random);
    gb_open(&b);
    write_vocab(&b, basic, CH_COUNT(basic));
    gb_meta_u32(&b, "tokenizer.ggml.bos_token_id", 1);
    gb_tensor(&b, "t", CH_TYPE_F32, 1, (const uint64_t[]){8}, NULL);
    gb_tensor(&b, "u", CH_TYPE_F32, 1, (const uint64_t[]){8}, NULL);
    size_t bytes = 0, read = 0;
    const uint8_t *whole = gb_finish(&b, &bytes);
    uint8_t *data = (uint8_t *)malloc(bytes);
    for (int round = 0; round < 20000; round++) {
        opened o;
        ch_gguf_size size;
        uint64_t table_bytes = 0;
        size_t count = 0;
        chord_token tokens[64];
        memset(&o, 0, sizeof o);
        memcpy(data, whole, bytes);
        int changes = round % 4;
        if (ch_gguf_measure(data, bytes, &size, NULL)) continue;
        cr_assert(ch_arena_open(&o.arena, (size_t)size.table_bytes, NULL));
        damage(&random, data, bytes, changes);
        bool good = ch_gguf_read(data, bytes, &size, &o.arena, &o.gguf, NULL) == CHORD_OK;
        damage(&random, data, bytes, changes);
        good = good && ch_vocab_measure(&o.gguf, &table_bytes, NULL) == CHORD_OK && table_bytes;
        if (good) cr_assert(ch_arena_open(&o.tables, (size_t)table_bytes, NULL));
        damage(&random, data, bytes, changes);
        if (good && ch_vocab_read(&o.gguf, &o.tables, &o.vocab, NULL) == CHORD_OK) {
            damage(&random, data, bytes, changes);
            chord_tokenize_desc desc;
            memset(&desc, 0, sizeof desc);
            desc.text = "ab ba<s>\n<|x|>y";
            desc.text_bytes = strlen(desc.text);
            desc.special = (round & 8) != 0;
            if (!ch_vocab_tokenize(&o.vocab, &desc, tokens, 64, &count, NULL))
                for (size_t i = 0; i < count; i++)
                    cr_assert(tokens[i] >= 0 && tokens[i] < o.vocab.count);
            for (int32_t i = 0; i < o.vocab.count; i++) {
                char text[4];
                ch_vocab_text(&o.vocab, i, true, text, sizeof text);
            }
            read++;
        }
        opened_close(&o);
    }
    cr_expect_gt(read, 5000u);
    free(data);
    gb_close(&b);
}

// ---- golden

static uint8_t *load_file(const char *path, size_t *bytes) {
    const char *shared = getenv("CHORD_SHARED");
    char full[1024];
    snprintf(full, sizeof full, "%s/golden/%s", shared ? shared : CHORD_SHARED_DIR, path);
    FILE *file = fopen(full, "rb");
    if (!file) return NULL;
    cr_assert_eq(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    cr_assert_geq(size, 0);
    rewind(file);
    uint8_t *data = (uint8_t *)malloc((size_t)size + 1);
    cr_assert_eq(fread(data, 1, (size_t)size, file), (size_t)size);
    data[size] = 0;
    fclose(file);
    *bytes = (size_t)size;
    return data;
}

static uint32_t json_hex(const char *p) {
    char digits[5] = {p[0], p[1], p[2], p[3], 0};
    return (uint32_t)strtoul(digits, NULL, 16);
}

// A JSON string from after its quote, as UTF-8; returns what follows the closing quote.
static const char *json_string(const char *p, char *out, size_t *bytes) {
    size_t n = 0;
    for (; *p != '"'; p++) {
        cr_assert_neq(*p, 0);
        if (*p != '\\') {
            out[n++] = *p;
            continue;
        }
        static const char from[] = "nrtbf\"\\/", to[] = "\n\r\t\b\f\"\\/";
        const char *simple = strchr(from, *++p);
        if (simple) {
            out[n++] = to[simple - from];
            continue;
        }
        cr_assert_eq(*p, 'u');
        uint32_t code = json_hex(p + 1);
        p += 4;
        if (code >> 10 == 0x36) {
            code = 0x10000 + ((code & 1023) << 10) + (json_hex(p + 3) & 1023);
            p += 6;
        }
        if (code < 0x80) {
            out[n++] = (char)code;
        } else if (code < 0x800) {
            out[n++] = (char)(0xc0 | code >> 6);
            out[n++] = (char)(0x80 | (code & 63));
        } else {
            if (code < 0x10000) {
                out[n++] = (char)(0xe0 | code >> 12);
            } else {
                out[n++] = (char)(0xf0 | code >> 18);
                out[n++] = (char)(0x80 | (code >> 12 & 63));
            }
            out[n++] = (char)(0x80 | (code >> 6 & 63));
            out[n++] = (char)(0x80 | (code & 63));
        }
    }
    *bytes = n;
    return p + 1;
}

// Every case of a file: [{"text": "...", "ids": [1, 2]}, ...], also back to text.
static int check_golden(const ch_vocab *vocab, const char *json) {
    static char text[65536];
    static chord_token want[65536], got[65536];
    static uint8_t scratch[65536 * 32];
    int cases = 0;
    for (const char *p = json; (p = strstr(p, "\"text\": \"")) != NULL; cases++) {
        size_t bytes = 0, n = 0, count = 0;
        p = json_string(p + strlen("\"text\": \""), text, &bytes);
        p = strchr(p, '[');
        cr_assert_not_null(p);
        for (p++; *p != ']'; p += strspn(p, ", \n")) {
            char *end;
            want[n++] = (chord_token)strtol(p, &end, 10);
            cr_assert_neq(p, end);
            p = end;
        }
        chord_tokenize_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.text = text;
        desc.text_bytes = bytes;
        desc.bos = -1;
        desc.scratch = scratch;
        desc.scratch_bytes = sizeof scratch;
        chord_error error = {CHORD_OK, ""};
        cr_assert_eq(ch_vocab_tokenize(vocab, &desc, got, 65536, &count, &error), CHORD_OK, "%s",
                     error.message);
        cr_expect_eq(count, n, "case %d: %zu tokens, wanted %zu", cases, count, n);
        cr_expect_eq(memcmp(got, want, CH_MIN(n, count) * sizeof *got), 0, "case %d: \"%.40s\"",
                     cases, text);
        static char back[65536];
        size_t length = 0;
        for (size_t i = 0; i < count; i++)
            length += ch_vocab_text(vocab, got[i], false, back + length, sizeof back - length);
        cr_expect(bytes == 0 ||
                      (length == bytes + 1 && back[0] == ' ' && memcmp(back + 1, text, bytes) == 0),
                  "case %d does not come back as it was", cases);
    }
    return cases;
}

static void golden(const char *model, const char *cases) {
    size_t bytes = 0, json_bytes = 0;
    uint8_t *data = load_file(model, &bytes), *json = load_file(cases, &json_bytes);
    if (!data || !json) {
        free(data);
        free(json);
        cr_skip_test("golden/%s is not here", model);
        return;
    }
    opened o;
    cr_assert_eq(open_bytes(data, bytes, &o), CHORD_OK, "%s", o.error.message);
    cr_expect(o.vocab.words_split);
    cr_expect_eq(check_golden(&o.vocab, (const char *)json), 96);
    opened_close(&o);
    free(data);
    free(json);
}

Test(vocab, tokenizer_matches_golden_texts_of_llama_spm) {
    golden("tok/llama-spm/vocab.gguf", "tok/llama-spm/cases.json");
}

Test(vocab, tokenizer_matches_golden_texts_of_stories260k) {
    golden("stories260k/model.gguf", "stories260k/tokens.json");
}
