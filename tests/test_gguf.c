// test_gguf: what the reader of GGUF files accepts and refuses.
//
// Every file handed to the reader ends where its memory block ends, so that AddressSanitizer sees
// each byte read too far; every refusal is timed.
#include "gguf_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REJECT_SECONDS (0.1 * GB_SLOWER)

typedef struct reading {
    ch_gguf gguf;
    ch_arena arena;
    chord_error error;
} reading;

// Measures and reads; the arena has exactly the bytes that were measured.
static chord_result read_bytes(const uint8_t *data, size_t bytes, reading *r) {
    ch_gguf_size size;
    memset(r, 0, sizeof *r);
    chord_result result = ch_gguf_measure(data, bytes, &size, &r->error);
    if (result) return result;
    cr_assert(ch_arena_open(&r->arena, (size_t)size.table_bytes, NULL));
    result = ch_gguf_read(data, bytes, &size, &r->arena, &r->gguf, &r->error);
    cr_assert_eq(r->arena.used, size.table_bytes);
    return result;
}

static void reading_close(reading *r) {
    ch_arena_close(&r->arena);
}

// A file of some bytes, as the reader must see it: in a block of its own.
static chord_result read_copy(const void *bytes, size_t count, reading *r) {
    uint8_t *copy = (uint8_t *)malloc(count + !count);
    if (count) memcpy(copy, bytes, count);
    chord_result result = read_bytes(copy, count, r);
    free(copy);
    return result;
}

static void expect(const char *what, chord_result got, const reading *r, double seconds,
                   chord_result code, const char *fragment) {
    cr_expect_eq(got, code, "%s: result %d (%s), wanted %d", what, (int)got, r->error.message,
                 (int)code);
    if (fragment)
        cr_expect(strstr(r->error.message, fragment) != NULL, "%s: \"%s\" lacks \"%s\"", what,
                  r->error.message, fragment);
    cr_expect_lt(seconds, REJECT_SECONDS, "%s took %f seconds", what, seconds);
}

static void expect_builder(const char *what, gguf_builder *builder, chord_result code,
                           const char *fragment) {
    reading r;
    size_t bytes = 0;
    const uint8_t *data = gb_finish(builder, &bytes);
    double start = gb_cpu_seconds();
    chord_result result = read_bytes(data, bytes, &r);
    expect(what, result, &r, gb_cpu_seconds() - start, code, fragment);
    reading_close(&r);
    gb_close(builder);
}

static void expect_bytes(const char *what, const void *bytes, size_t count, chord_result code,
                         const char *fragment) {
    reading r;
    double start = gb_cpu_seconds();
    chord_result result = read_copy(bytes, count, &r);
    expect(what, result, &r, gb_cpu_seconds() - start, code, fragment);
    reading_close(&r);
}

static const uint64_t shape_64x4[4] = {64, 4, 1, 1};

// ---- what is accepted

Test(gguf, reads_what_the_builder_wrote) {
    gguf_builder b;
    gb_model model;
    memset(&model, 0, sizeof model);
    gb_build_model(&b, &model);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    reading r;
    cr_assert_eq(read_bytes(data, bytes, &r), CHORD_OK, "%s", r.error.message);
    cr_assert_eq(r.gguf.version, 3u);
    cr_assert_eq((uint64_t)r.gguf.tensor_count, b.tensor_count);
    cr_assert_eq((uint64_t)r.gguf.meta_count, b.meta_count);
    for (int32_t i = 0; i < r.gguf.tensor_count; i++) {
        const ch_gguf_tensor *t = &r.gguf.tensors[i];
        cr_assert_eq(ch_gguf_find_tensor(&r.gguf, t->name), t);
        cr_assert(t->data >= data && t->data + t->bytes <= data + bytes);
        cr_assert_eq(t->data, data + t->offset);
        cr_assert_eq((uint64_t)(t->data - data) % 32, 0u);
    }
    const ch_gguf_tensor *t = ch_gguf_find_tensor(&r.gguf, "blk.1.ffn_down.weight");
    cr_assert_not_null(t);
    cr_assert_eq(t->dims, 2);
    cr_assert_eq(t->shape[0], 96u);
    cr_assert_eq(t->shape[1], 64u);
    cr_assert_eq(t->bytes, 96u * 64 * 4);
    cr_assert_null(ch_gguf_find_tensor(&r.gguf, "blk.2.ffn_down.weight"));
    cr_assert_null(ch_gguf_find_tensor(&r.gguf, ""));
    cr_assert_null(ch_gguf_find(&r.gguf, "general.architectur"));
    ch_gguf_text text = {NULL, 0};
    cr_assert_eq(ch_gguf_get_text(&r.gguf, "general.architecture", true, &text, NULL), CHORD_OK);
    cr_assert(ch_gguf_text_is(text, "llama"));
    reading_close(&r);
    gb_close(&b);
}

Test(gguf, reads_every_type_and_version_2) {
    for (int32_t type = 0; type < CH_TYPE_COUNT; type++) {
        gguf_builder b;
        gb_open(&b);
        b.version = 2;
        uint64_t shape[2] = {512, 3};
        gb_tensor(&b, "t", (ch_type)type, 2, shape, NULL);
        size_t bytes = 0;
        const uint8_t *data = gb_finish(&b, &bytes);
        reading r;
        cr_assert_eq(read_bytes(data, bytes, &r), CHORD_OK, "%s", r.error.message);
        cr_assert_eq(r.gguf.tensors[0].type, (ch_type)type);
        cr_assert_eq(r.gguf.tensors[0].bytes, 3 * ch_row_bytes((ch_type)type, 512));
        reading_close(&r);
        gb_close(&b);
    }
}

Test(gguf, accepts_what_is_odd_but_harmless) {
    gguf_builder b;
    gb_open(&b); // no keys, no tensors: refused later, for want of an architecture
    expect_builder("nothing at all", &b, CHORD_OK, NULL);
    gb_open(&b);
    gb_tensor(&b, "t", CH_TYPE_F32, 2, shape_64x4, NULL);
    gb_bytes(&b.data, "junk", 4);
    expect_builder("trailing junk", &b, CHORD_OK, NULL);
    gb_open(&b);
    gb_meta_array(&b, "empty.array", CH_GGUF_U32, NULL, 4, 0);
    gb_meta_texts(&b, "empty.texts", NULL, 0);
    gb_meta_text(&b, "empty.text", "");
    gb_meta_text(&b, "odd.text", "\xff\xfe\x01");
    expect_builder("empty arrays and texts", &b, CHORD_OK, NULL);
    gb_open(&b);
    b.alignment = 64;
    gb_meta_u32(&b, "general.alignment", 64);
    gb_meta_u32(&b, "a", 1);
    gb_tensor(&b, "t", CH_TYPE_F32, 2, shape_64x4, NULL);
    gb_tensor(&b, "u", CH_TYPE_F32, 2, shape_64x4, NULL);
    expect_builder("alignment 64", &b, CHORD_OK, NULL);
    gb_open(&b);
    char name[65];
    memset(name, 'n', 64);
    name[64] = 0;
    gb_tensor(&b, name, CH_TYPE_F32, 2, shape_64x4, NULL);
    expect_builder("a name of 64 bytes", &b, CHORD_OK, NULL);
}

Test(gguf, reads_tensors_in_any_order_of_offsets) {
    gguf_builder b;
    gb_open(&b);
    for (int i = 7; i >= 0; i--) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        gb_info(&b, name, 2, shape_64x4, 0, (uint64_t)(i * 5 % 8) * 1024);
    }
    uint8_t zeros[1024] = {0};
    for (int i = 0; i < 8; i++) gb_bytes(&b.data, zeros, sizeof zeros);
    expect_builder("shuffled", &b, CHORD_OK, NULL);
}

// ---- the header

Test(gguf, rejects_each_bad_header_field) {
    static const struct {
        const char *what;
        uint32_t version;
        uint64_t tensors, metas;
        chord_result code;
        const char *fragment;
    } cases[] = {
        {"version 0", 0, 0, 0, CHORD_ERROR_UNSUPPORTED, "version 0"},
        {"version 1", 1, 0, 0, CHORD_ERROR_UNSUPPORTED, "version 1"},
        {"version 4", 4, 0, 0, CHORD_ERROR_UNSUPPORTED, "version 4"},
        {"version 2^31", 1u << 31, 0, 0, CHORD_ERROR_UNSUPPORTED, "big-endian"},
        {"big-endian 3", 3u << 24, 0, 0, CHORD_ERROR_UNSUPPORTED, "big-endian"},
        {"big-endian 2", 2u << 24, 0, 0, CHORD_ERROR_UNSUPPORTED, "big-endian"},
        {"1 tensor of 0", 3, 1, 0, CHORD_ERROR_FORMAT, "1 tensors"},
        {"65537 tensors", 3, 65537, 0, CHORD_ERROR_FORMAT, "at most 65536"},
        {"2^31 tensors", 3, 1ull << 31, 0, CHORD_ERROR_FORMAT, "2147483648 tensors"},
        {"2^32 tensors", 3, 1ull << 32, 0, CHORD_ERROR_FORMAT, "4294967296 tensors"},
        {"2^62 tensors", 3, 1ull << 62, 0, CHORD_ERROR_FORMAT, "at most 65536"},
        {"2^63 tensors", 3, 1ull << 63, 0, CHORD_ERROR_FORMAT, "at most 65536"},
        {"2^64-1 tensors", 3, UINT64_MAX, 0, CHORD_ERROR_FORMAT, "18446744073709551615 tensors"},
        {"1 key of 0", 3, 0, 1, CHORD_ERROR_FORMAT, "1 keys"},
        {"4097 keys", 3, 0, 4097, CHORD_ERROR_FORMAT, "at most 4096"},
        {"2^31 keys", 3, 0, 1ull << 31, CHORD_ERROR_FORMAT, "2147483648 keys"},
        {"2^32 keys", 3, 0, 1ull << 32, CHORD_ERROR_FORMAT, "4294967296 keys"},
        {"2^62 keys", 3, 0, 1ull << 62, CHORD_ERROR_FORMAT, "at most 4096"},
        {"2^63 keys", 3, 0, 1ull << 63, CHORD_ERROR_FORMAT, "at most 4096"},
        {"2^64-1 keys", 3, 0, UINT64_MAX, CHORD_ERROR_FORMAT, "18446744073709551615 keys"},
    };
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        gguf_builder b;
        gb_open(&b);
        b.version = cases[i].version;
        b.tensor_count = cases[i].tensors;
        b.meta_count = cases[i].metas;
        expect_builder(cases[i].what, &b, cases[i].code, cases[i].fragment);
    }
}

Test(gguf, names_files_that_are_something_else) {
    static const struct {
        const char *bytes;
        size_t count;
        const char *fragment;
    } cases[] = {
        {"", 0, "the file is empty"},
        {"G", 1, "ends inside its header"},
        {"GGU", 3, "ends inside its header"},
        {"GGUF", 4, "ends inside its header"},
        {"GGUF\3\0\0\0", 8, "ends inside its header"},
        {"GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 23, "ends inside its header"},
        {"X", 1, "is not GGUF"},
        {"ABCD\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "starts with \"ABCD\""},
        {"\1\2\3\377\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "starts with \"????\""},
        {"lmgg\0\0\0\0", 8, "pre-GGUF file (GGML)"},
        {"tjgg\1\0\0\0", 8, "pre-GGUF file (GGJT)"},
        {"ggjt\1\0\0\0", 8, "pre-GGUF file (GGJT)"},
        {"fmgg\1\0\0\0", 8, "pre-GGUF file (GGMF)"},
        {"FUGG\0\0\0\3", 8, "big-endian"},
        {"<!DOCTYPE html><html>", 21, "HTML page"},
        {"<html>", 6, "HTML page"},
        {"PK\3\4aaaaaaaaaaaaaaaaaaaa", 24, "ZIP archive"},
        {"\100\0\0\0\0\0\0\0{\"a\":1}", 15, "safetensors"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "git-lfs pointer"},
        {"\37\213\10\0aaaa", 8, "gzip"},
    };
    for (size_t i = 0; i < CH_COUNT(cases); i++)
        expect_bytes(cases[i].fragment, cases[i].bytes, cases[i].count, CHORD_ERROR_FORMAT,
                     cases[i].fragment);
}

// A header of which the counts begin as a safetensors header does is still GGUF.
Test(gguf, does_not_take_gguf_for_something_else) {
    gguf_builder b;
    gb_open(&b);
    b.tensor_count = 0x227b;
    expect_builder("0x227b tensors", &b, CHORD_ERROR_FORMAT, "promises 8827 tensors");
}

Test(gguf, rejects_truncation_at_every_byte) {
    gguf_builder b;
    gb_model model;
    memset(&model, 0, sizeof model);
    model.layers = 1;
    model.embedding = 8;
    model.heads = 2;
    model.kv_heads = 1;
    model.feed_forward = 8;
    model.vocabulary = 262;
    gb_build_model(&b, &model);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    for (size_t n = 0; n < bytes; n++) {
        reading r;
        chord_result result = read_copy(data, n, &r);
        cr_assert_eq(result, CHORD_ERROR_FORMAT, "cut at %zu of %zu: %d %s", n, bytes, (int)result,
                     r.error.message);
        cr_assert_neq(r.error.message[0], 0);
        reading_close(&r);
    }
    gb_close(&b);
}

// ---- keys and values

// One broken key: its bytes, and what must be said about it.
typedef struct bad_key {
    const char *what;
    void (*write)(gguf_builder *b);
    const char *fragment;
} bad_key;

static void write_empty_key(gguf_builder *b) {
    gb_meta_u32(b, "", 1);
}
static void write_long_key(gguf_builder *b) {
    char key[300];
    memset(key, 'k', 257);
    key[257] = 0;
    gb_meta_u32(b, key, 1);
}
static void write_key_of(gguf_builder *b, uint64_t bytes) {
    gb_u64(&b->meta, bytes);
    gb_bytes(&b->meta, "aaaaaaaaaaaa", 12);
    b->meta_count++;
}
static void write_key_70000(gguf_builder *b) {
    char *text = (char *)malloc(70000);
    memset(text, 'k', 70000);
    gb_string(&b->meta, text, 70000);
    gb_u32(&b->meta, CH_GGUF_U8);
    gb_bytes(&b->meta, "", 1);
    b->meta_count++;
    free(text);
}
static void write_key_2_63(gguf_builder *b) {
    write_key_of(b, 1ull << 63);
}
static void write_key_max(gguf_builder *b) {
    write_key_of(b, UINT64_MAX);
}
static void write_key_past_end(gguf_builder *b) {
    write_key_of(b, 30);
}
static void write_key_nul(gguf_builder *b) {
    gb_string(&b->meta, "a\0b", 3);
    gb_u32(&b->meta, CH_GGUF_U32);
    gb_u32(&b->meta, 1);
    b->meta_count++;
}
static void write_key_utf8(gguf_builder *b) {
    gb_meta_u32(b, "caf\xc3\xa9", 1);
}
static void write_duplicate_key(gguf_builder *b) {
    gb_meta_u32(b, "a.b", 1);
    gb_meta_u32(b, "c", 1);
    gb_meta_u32(b, "a.b", 1);
}
static void write_kind(gguf_builder *b, uint32_t kind) {
    gb_key(b, "k", kind);
    gb_u64(&b->meta, 0);
}
static void write_kind_13(gguf_builder *b) {
    write_kind(b, 13);
}
static void write_kind_255(gguf_builder *b) {
    write_kind(b, 255);
}
static void write_kind_max(gguf_builder *b) {
    write_kind(b, UINT32_MAX);
}
static void write_bool_2(gguf_builder *b) {
    gb_meta_bool(b, "flag", 2);
}
static void write_bools_2(gguf_builder *b) {
    uint8_t values[3] = {0, 1, 2};
    gb_meta_array(b, "flags", CH_GGUF_BOOL, values, 1, 3);
}
static void write_string_max(gguf_builder *b) {
    gb_key(b, "text", CH_GGUF_STRING);
    gb_u64(&b->meta, UINT64_MAX);
}
static void write_string_wraps(gguf_builder *b) {
    gb_key(b, "text", CH_GGUF_STRING);
    gb_u64(&b->meta, UINT64_MAX - 40);
    gb_u64(&b->meta, 0);
}
static void write_array(gguf_builder *b, uint32_t kind, uint64_t count) {
    gb_key(b, "list", CH_GGUF_ARRAY);
    gb_u32(&b->meta, kind);
    gb_u64(&b->meta, count);
    gb_u64(&b->meta, 0);
}
static void write_array_of_array(gguf_builder *b) {
    write_array(b, CH_GGUF_ARRAY, 1);
}
static void write_empty_array_of_array(gguf_builder *b) {
    write_array(b, CH_GGUF_ARRAY, 0);
}
static void write_array_of_13(gguf_builder *b) {
    write_array(b, 13, 1);
}
static void write_array_2_63(gguf_builder *b) {
    write_array(b, CH_GGUF_U8, 1ull << 63);
}
static void write_array_wraps(gguf_builder *b) {
    write_array(b, CH_GGUF_U64, (1ull << 61) + 1);
}
static void write_array_past_end(gguf_builder *b) {
    write_array(b, CH_GGUF_F32, 3);
}
static void write_strings_2_63(gguf_builder *b) {
    write_array(b, CH_GGUF_STRING, 1ull << 63);
}
static void write_strings_past_end(gguf_builder *b) {
    write_array(b, CH_GGUF_STRING, 2);
}

Test(gguf, rejects_each_bad_key) {
    static const bad_key cases[] = {
        {"empty key", write_empty_key, "key 0: its name is empty"},
        {"key of 257 bytes", write_long_key, "its name has 257 bytes"},
        {"key of 70000 bytes", write_key_70000, "its name has 70000 bytes"},
        {"key of 2^63 bytes", write_key_2_63, "key 0: its name takes 9223372036854775808 bytes"},
        {"key of 2^64-1 bytes", write_key_max, "takes 18446744073709551615 bytes"},
        {"key past the end", write_key_past_end, "past the file's end (44)"},
        {"key with NUL", write_key_nul, "holds the byte 0x00"},
        {"key in UTF-8", write_key_utf8, "holds the byte 0xC3; ASCII is wanted"},
        {"duplicate key", write_duplicate_key, "key \"a.b\": it occurs twice, as keys 0 and 2"},
        {"kind 13", write_kind_13, "key \"k\": its kind of value is 13"},
        {"kind 255", write_kind_255, "its kind of value is 255"},
        {"kind 2^32-1", write_kind_max, "its kind of value is 4294967295"},
        {"bool 2", write_bool_2, "key \"flag\": its bool is 2"},
        {"bools 2", write_bools_2, "key \"flags\": its bool is 2"},
        {"string of 2^64-1", write_string_max, "key \"text\": its string takes"},
        {"string that wraps", write_string_wraps, "key \"text\": its string takes"},
        {"array of arrays", write_array_of_array, "array of arrays"},
        {"empty array of arrays", write_empty_array_of_array, "array of arrays"},
        {"array of kind 13", write_array_of_13, "its kind of element is 13"},
        {"array of 2^63", write_array_2_63, "takes 9223372036854775808 bytes"},
        {"array that wraps", write_array_wraps, "promises 2305843009213693953 values"},
        {"array past the end", write_array_past_end, "its value takes 12 bytes"},
        {"2^63 strings", write_strings_2_63, "promises 9223372036854775808 strings"},
        {"strings past the end", write_strings_past_end, "promises 2 strings"},
    };
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        gguf_builder b;
        gb_open(&b);
        cases[i].write(&b);
        expect_builder(cases[i].what, &b, CHORD_ERROR_FORMAT, cases[i].fragment);
    }
}

Test(gguf, rejects_each_bad_alignment) {
    static const uint32_t values[] = {0, 1, 3, 4, 24, 33, 1u << 21, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < CH_COUNT(values); i++) {
        gguf_builder b;
        gb_open(&b);
        gb_meta_u32(&b, "general.alignment", values[i]);
        expect_builder("alignment", &b, CHORD_ERROR_FORMAT, "key \"general.alignment\": it is ");
    }
    gguf_builder b;
    gb_open(&b);
    gb_meta_i32(&b, "general.alignment", 32);
    expect_builder("i32", &b, CHORD_ERROR_FORMAT, "it is i32; u32 is wanted");
    gb_open(&b);
    gb_meta_u64(&b, "general.alignment", 32);
    expect_builder("u64", &b, CHORD_ERROR_FORMAT, "it is u64; u32 is wanted");
    gb_open(&b);
    gb_meta_text(&b, "general.alignment", "32");
    expect_builder("text", &b, CHORD_ERROR_FORMAT, "it is str; u32 is wanted");
}

Test(gguf, walks_ten_million_strings) {
    gguf_builder b;
    gb_open(&b);
    gb_key(&b, "list", CH_GGUF_ARRAY);
    gb_u32(&b.meta, CH_GGUF_STRING);
    gb_u64(&b.meta, 10000000);
    for (int i = 0; i < 10000000; i++) gb_string(&b.meta, "x", 1);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    reading r;
    double start = gb_cpu_seconds();
    cr_assert_eq(read_bytes(data, bytes, &r), CHORD_OK, "%s", r.error.message);
    cr_expect_lt(gb_cpu_seconds() - start, 2.0 * GB_SLOWER);
    cr_expect_eq(ch_gguf_find(&r.gguf, "list")->count, 10000000u);
    reading_close(&r);
    gb_close(&b);
}

// ---- tensors

Test(gguf, rejects_each_bad_tensor) {
    static const struct {
        const char *what, *name;
        uint32_t dims;
        uint64_t shape[5];
        uint32_t type;
        uint64_t offset;
        chord_result code;
        const char *fragment;
    } cases[] = {
        {"empty name", "", 1, {8}, 0, 0, CHORD_ERROR_FORMAT, "tensor 0: its name is empty"},
        {"0 dims", "t", 0, {0}, 0, 0, CHORD_ERROR_FORMAT, "tensor \"t\": it has 0 dimensions"},
        {"5 dims", "t", 5, {1, 1, 1, 1, 1}, 0, 0, CHORD_ERROR_FORMAT, "it has 5 dimensions"},
        {"2^32-1 dims", "t", UINT32_MAX, {1}, 0, 0, CHORD_ERROR_FORMAT, "4294967295 dimensions"},
        {"dim 0", "t", 2, {8, 0}, 0, 0, CHORD_ERROR_FORMAT, "its dimension 1 is 0"},
        {"first dim 0", "t", 2, {0, 8}, 0, 0, CHORD_ERROR_FORMAT, "its dimension 0 is 0"},
        {"dim -1", "t", 1, {UINT64_MAX}, 0, 0, CHORD_ERROR_FORMAT, "2^63 or more"},
        {"dim 2^63", "t", 1, {1ull << 63}, 0, 0, CHORD_ERROR_FORMAT, "2^63 or more"},
        {"2^42+1 squared",
         "t",
         2,
         {(1ull << 42) + 1, (1ull << 42) + 1},
         0,
         0,
         CHORD_ERROR_FORMAT,
         "2^63 or more"},
        {"2^32 x 2^32", "t", 2, {1ull << 32, 1ull << 32}, 0, 0, CHORD_ERROR_FORMAT, "2^63"},
        {"just under 2^63", "t", 1, {INT64_MAX}, 0, 0, CHORD_ERROR_FORMAT, "2^64 bytes or more"},
        {"2^61 f32", "t", 1, {1ull << 61}, 0, 0, CHORD_ERROR_FORMAT, "past the file's end"},
        {"end wraps", "t", 1, {(1ull << 62) - 8}, 0, 1ull << 5, CHORD_ERROR_FORMAT, "past 2^64"},
        {"row of 33 q4_0",
         "t",
         2,
         {33, 1},
         2,
         0,
         CHORD_ERROR_FORMAT,
         "q4_0 wants a multiple of 32"},
        {"row of 128 q4_k", "t", 2, {128, 2}, 12, 0, CHORD_ERROR_FORMAT, "a multiple of 256"},
        {"type 4", "t", 1, {8}, 4, 0, CHORD_ERROR_UNSUPPORTED, "q4_2 (removed"},
        {"type 5", "t", 1, {8}, 5, 0, CHORD_ERROR_UNSUPPORTED, "q4_3 (removed"},
        {"type 16", "t", 1, {256}, 16, 0, CHORD_ERROR_UNSUPPORTED, "its type is iq2_xxs"},
        {"type 31", "t", 1, {32}, 31, 0, CHORD_ERROR_UNSUPPORTED, "q4_0_4_4 (removed"},
        {"type 36", "t", 1, {32}, 36, 0, CHORD_ERROR_UNSUPPORTED, "iq4_nl_4_4 (removed"},
        {"type 39", "t", 1, {32}, 39, 0, CHORD_ERROR_UNSUPPORTED, "mxfp4"},
        {"type 40", "t", 1, {32}, 40, 0, CHORD_ERROR_UNSUPPORTED, "number 40, which is unknown"},
        {"type 2^31", "t", 1, {8}, 1u << 31, 0, CHORD_ERROR_UNSUPPORTED, "number 2147483648"},
        {"type -1", "t", 1, {8}, UINT32_MAX, 0, CHORD_ERROR_UNSUPPORTED, "number 4294967295"},
        {"offset 16", "t", 1, {8}, 0, 16, CHORD_ERROR_FORMAT, "its offset is 16; a multiple"},
        {"offset past the end", "t", 1, {8}, 0, 1 << 20, CHORD_ERROR_FORMAT, "past the file's end"},
        {"offset 2^64-1", "t", 1, {8}, 0, UINT64_MAX, CHORD_ERROR_FORMAT, "a multiple of the"},
        {"offset 2^64-32", "t", 1, {8}, 0, UINT64_MAX - 31, CHORD_ERROR_FORMAT, "ends past 2^64"},
        {"one byte short",
         "t",
         1,
         {65},
         0,
         0,
         CHORD_ERROR_FORMAT,
         "its data ends at byte 324, past the file's end (320)"},
    };
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        gguf_builder b;
        gb_open(&b);
        uint64_t shape[8] = {0};
        memcpy(shape, cases[i].shape, sizeof cases[i].shape);
        gb_info(&b, cases[i].name, cases[i].dims, shape, cases[i].type, cases[i].offset);
        uint8_t zeros[256] = {0};
        gb_bytes(&b.data, zeros, sizeof zeros);
        expect_builder(cases[i].what, &b, cases[i].code, cases[i].fragment);
    }
}

Test(gguf, rejects_bad_tensor_names) {
    gguf_builder b;
    char name[66];
    memset(name, 'n', 65);
    name[65] = 0;
    gb_open(&b);
    gb_tensor(&b, name, CH_TYPE_F32, 2, shape_64x4, NULL);
    expect_builder("65 bytes", &b, CHORD_ERROR_FORMAT, "its name has 65 bytes");
    gb_open(&b);
    gb_u64(&b.infos, 1ull << 63);
    gb_bytes(&b.infos, name, 64);
    b.tensor_count = 1;
    expect_builder("2^63 bytes", &b, CHORD_ERROR_FORMAT, "its name takes 9223372036854775808");
    gb_open(&b);
    gb_tensor(&b, "a\nb", CH_TYPE_F32, 2, shape_64x4, NULL);
    expect_builder("a line end", &b, CHORD_ERROR_FORMAT, "holds the byte 0x0A");
    gb_open(&b);
    gb_string(&b.infos, "a\0b", 3);
    gb_bytes(&b.infos, name, 40);
    b.tensor_count = 1;
    expect_builder("a NUL", &b, CHORD_ERROR_FORMAT, "holds the byte 0x00");
    gb_open(&b);
    gb_tensor(&b, "same", CH_TYPE_F32, 2, shape_64x4, NULL);
    gb_tensor(&b, "other", CH_TYPE_F32, 2, shape_64x4, NULL);
    gb_tensor(&b, "same", CH_TYPE_F32, 2, shape_64x4, NULL);
    expect_builder("twice", &b, CHORD_ERROR_FORMAT,
                   "tensor \"same\": its name occurs twice, as tensors 0 and 2");
}

Test(gguf, rejects_overlapping_tensors) {
    static const struct {
        const char *what;
        uint64_t offset[2];
        const char *fragment;
    } cases[] = {{"same place", {0, 0}, "overlaps that of"},
                 {"one block too early", {0, 992}, "overlaps that of \"a\""},
                 {"the other way round", {992, 0}, "overlaps that of \"b\""}};
    for (size_t i = 0; i < CH_COUNT(cases); i++) {
        gguf_builder b;
        gb_open(&b);
        gb_info(&b, "a", 2, shape_64x4, 0, cases[i].offset[0]);
        gb_info(&b, "b", 2, shape_64x4, 0, cases[i].offset[1]);
        uint8_t zeros[4096] = {0};
        gb_bytes(&b.data, zeros, sizeof zeros);
        expect_builder(cases[i].what, &b, CHORD_ERROR_FORMAT, cases[i].fragment);
    }
}

// The last of 65536 tensors stands first in the data: sorting and lookups must not be quadratic.
Test(gguf, takes_as_many_tensors_as_the_limit_in_little_time) {
    gguf_builder b;
    gb_open(&b);
    uint64_t shape[1] = {8};
    for (int i = 0; i < CH_GGUF_MAX_TENSORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "t.%d", i);
        gb_info(&b, name, 1, shape, 0, (uint64_t)(CH_GGUF_MAX_TENSORS - 1 - i) * 32);
    }
    uint8_t zeros[4096] = {0};
    for (int i = 0; i < CH_GGUF_MAX_TENSORS * 32 / 4096; i++)
        gb_bytes(&b.data, zeros, sizeof zeros);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    reading r;
    double start = gb_cpu_seconds();
    cr_assert_eq(read_bytes(data, bytes, &r), CHORD_OK, "%s", r.error.message);
    cr_expect_lt(gb_cpu_seconds() - start, 1.0 * GB_SLOWER);
    cr_expect_not_null(ch_gguf_find_tensor(&r.gguf, "t.65535"));
    reading_close(&r);
    gb_close(&b);
}

// Names that all fall on one place of the table would make it quadratic.
Test(gguf, rejects_names_made_to_collide) {
    enum { WANTED = 300 };
    gguf_builder b;
    gb_open(&b);
    uint64_t shape[1] = {8};
    uint32_t slots = 1024; // of a table for 300 tensors
    int found = 0;
    for (uint32_t i = 0; found < WANTED; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%x", i);
        uint32_t hash = CH_HASH_START;
        for (size_t k = 0; name[k]; k++) hash = ch_hash_byte(hash, (uint8_t)name[k]);
        if (ch_hash_slot(hash, slots) != 77) continue;
        gb_info(&b, name, 1, shape, 0, (uint64_t)found * 32);
        found++;
    }
    uint8_t zeros[32] = {0};
    for (int i = 0; i < WANTED; i++) gb_bytes(&b.data, zeros, sizeof zeros);
    expect_builder("collisions", &b, CHORD_ERROR_FORMAT, "fall on one place of a table");
}

Test(gguf, rejects_keys_made_to_collide) {
    gguf_builder b;
    gb_open(&b);
    for (uint32_t i = 0, found = 0; found < 300; i++) {
        char key[16];
        uint32_t hash = CH_HASH_START;
        snprintf(key, sizeof key, "k%x", i);
        for (size_t k = 0; key[k]; k++) hash = ch_hash_byte(hash, (uint8_t)key[k]);
        if (ch_hash_slot(hash, 2 * CH_GGUF_MAX_META) != 4000) continue;
        gb_meta_bool(&b, key, 1);
        found++;
    }
    expect_builder("collisions", &b, CHORD_ERROR_FORMAT, "fall on one place of a table");
}

Test(gguf, too_small_an_arena_is_told) {
    gguf_builder b;
    gb_open(&b);
    gb_meta_u32(&b, "a", 1);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    ch_gguf_size size;
    ch_arena arena;
    ch_gguf gguf;
    cr_assert_eq(ch_gguf_measure(data, bytes, &size, NULL), CHORD_OK);
    cr_assert(ch_arena_open(&arena, (size_t)size.table_bytes - 1, NULL));
    cr_assert_eq(ch_gguf_read(data, bytes, &size, &arena, &gguf, NULL), CHORD_ERROR_MEMORY);
    ch_arena_close(&arena);
    gb_close(&b);
}

Test(gguf, counts_that_change_between_the_passes_are_refused) {
    gguf_builder b;
    gb_open(&b);
    gb_meta_u32(&b, "a", 1);
    gb_meta_u32(&b, "b", 1);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    ch_gguf_size size;
    ch_arena arena;
    ch_gguf gguf;
    chord_error error;
    cr_assert_eq(ch_gguf_measure(data, bytes, &size, &error), CHORD_OK);
    cr_assert(ch_arena_open(&arena, (size_t)size.table_bytes, NULL));
    size.meta_count = 1;
    cr_assert_eq(ch_gguf_read(data, bytes, &size, &arena, &gguf, &error), CHORD_ERROR_FORMAT);
    cr_assert(strstr(error.message, "changed"));
    ch_arena_close(&arena);
    gb_close(&b);
}

// ---- getters

static void write_values(gguf_builder *b) {
    int8_t i8 = -5;
    int16_t i16 = -500;
    int64_t i64 = INT64_MIN;
    double f64 = 0.5;
    gb_key(b, "i8", CH_GGUF_I8);
    gb_bytes(&b->meta, &i8, 1);
    gb_key(b, "u8", CH_GGUF_U8);
    gb_bytes(&b->meta, "\xff", 1);
    gb_key(b, "i16", CH_GGUF_I16);
    gb_bytes(&b->meta, &i16, 2);
    gb_key(b, "u16", CH_GGUF_U16);
    gb_bytes(&b->meta, "\xff\xff", 2);
    gb_meta_i32(b, "i32", -70000);
    gb_meta_u32(b, "u32", UINT32_MAX);
    gb_key(b, "i64", CH_GGUF_I64);
    gb_bytes(&b->meta, &i64, 8);
    gb_meta_u64(b, "u64", 1ull << 40);
    gb_meta_u64(b, "big", UINT64_MAX);
    gb_meta_f32(b, "f32", 0.25f);
    gb_key(b, "f64", CH_GGUF_F64);
    gb_bytes(&b->meta, &f64, 8);
    gb_meta_f32(b, "nan", NAN);
    gb_meta_f32(b, "inf", INFINITY);
    gb_meta_f32(b, "negative", -1.0f);
    gb_meta_f32(b, "denormal", 1e-42f);
    gb_meta_bool(b, "yes", 1);
    gb_meta_bool(b, "no", 0);
    gb_meta_text(b, "text", "abc");
    int32_t list[3] = {-1, 2, 3};
    gb_meta_array(b, "list", CH_GGUF_I32, list, 4, 3);
}

Test(gguf, getters_give_values_and_name_what_is_wrong) {
    gguf_builder b;
    gb_open(&b);
    write_values(&b);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    reading r;
    cr_assert_eq(read_bytes(data, bytes, &r), CHORD_OK, "%s", r.error.message);
    static const struct {
        const char *key;
        int64_t low, high, value;
        const char *fragment; // NULL: it is found
    } ints[] = {{"i8", -10, 10, -5, NULL},
                {"u8", 0, 255, 255, NULL},
                {"i16", INT64_MIN, INT64_MAX, -500, NULL},
                {"u16", 0, 65535, 65535, NULL},
                {"i32", INT64_MIN, 0, -70000, NULL},
                {"u32", 0, UINT32_MAX, UINT32_MAX, NULL},
                {"i64", INT64_MIN, 0, INT64_MIN, NULL},
                {"u64", 0, INT64_MAX, 1ll << 40, NULL},
                {"u64", 0, 100, 0, "key \"u64\" is 1099511627776; 0 to 100 is wanted"},
                {"i32", 1, 100, 0, "key \"i32\" is -70000; 1 to 100 is wanted"},
                {"big", INT64_MIN, INT64_MAX, 0, "key \"big\" is 18446744073709551615"},
                {"yes", 0, 10, 0, "key \"yes\" is bool; an integer is wanted"},
                {"f32", 0, 10, 0, "key \"f32\" is f32; an integer is wanted"},
                {"list", 0, 10, 0, "key \"list\" is arr[i32]; an integer is wanted"},
                {"none", 0, 10, 0, "key \"none\" is missing"}};
    for (size_t i = 0; i < CH_COUNT(ints); i++) {
        int64_t value = 0;
        chord_result result = ch_gguf_get_int(&r.gguf, ints[i].key, true, ints[i].low, ints[i].high,
                                              &value, &r.error);
        cr_expect_eq(result, ints[i].fragment ? CHORD_ERROR_FORMAT : CHORD_OK, "%s", ints[i].key);
        cr_expect_eq(value, ints[i].value, "%s is %lld", ints[i].key, (long long)value);
        if (ints[i].fragment)
            cr_expect(strstr(r.error.message, ints[i].fragment), "%s", r.error.message);
    }
    static const struct {
        const char *key;
        float value;
        const char *fragment;
    } floats[] = {{"f32", 0.25f, NULL},
                  {"f64", 0.5f, NULL},
                  {"denormal", 1e-42f, NULL},
                  {"nan", 7, "key \"nan\" is nan; 0 to 1 is wanted"},
                  {"inf", 7, "key \"inf\" is inf"},
                  {"negative", 7, "key \"negative\" is -1"},
                  {"u32", 7, "key \"u32\" is u32; f32 is wanted"}};
    for (size_t i = 0; i < CH_COUNT(floats); i++) {
        float value = 7;
        chord_result result =
            ch_gguf_get_float(&r.gguf, floats[i].key, true, 0, 1, &value, &r.error);
        cr_expect_eq(result, floats[i].fragment ? CHORD_ERROR_FORMAT : CHORD_OK, "%s",
                     floats[i].key);
        cr_expect_eq(value, floats[i].value, "%s", floats[i].key);
        if (floats[i].fragment)
            cr_expect(!strncmp(r.error.message, floats[i].fragment, 10), "%s", r.error.message);
    }
    float value = 0;
    cr_expect_eq(ch_gguf_get_float(&r.gguf, "inf", true, 0, INFINITY, &value, NULL),
                 CHORD_ERROR_FORMAT);
    bool flag = false;
    cr_expect_eq(ch_gguf_get_bool(&r.gguf, "yes", true, &flag, NULL), CHORD_OK);
    cr_expect(flag);
    cr_expect_eq(ch_gguf_get_bool(&r.gguf, "no", true, &flag, NULL), CHORD_OK);
    cr_expect_not(flag);
    cr_expect_eq(ch_gguf_get_bool(&r.gguf, "u8", true, &flag, NULL), CHORD_ERROR_FORMAT);
    ch_gguf_text text = {NULL, 0};
    cr_expect_eq(ch_gguf_get_text(&r.gguf, "list", true, &text, NULL), CHORD_ERROR_FORMAT);
    cr_expect_eq(ch_gguf_get_text(&r.gguf, "none", false, &text, NULL), CHORD_OK);
    cr_expect_null(text.at);
    cr_expect_eq(ch_gguf_get_text(&r.gguf, "text", true, &text, NULL), CHORD_OK);
    cr_expect(ch_gguf_text_is(text, "abc"));
    cr_expect_eq(ch_gguf_array_int(ch_gguf_find(&r.gguf, "list"), 0), -1);
    cr_expect_eq(ch_gguf_array_int(ch_gguf_find(&r.gguf, "list"), 2), 3);
    reading_close(&r);
    gb_close(&b);
}

// ---- random damage

// Whatever byte changes, the reader ends with OK or with a sentence, and reads nothing outside.
Test(gguf, survives_any_damaged_byte) {
    gguf_builder b;
    gb_model model;
    memset(&model, 0, sizeof model);
    model.layers = 1;
    model.embedding = 8;
    model.heads = 2;
    model.kv_heads = 1;
    model.feed_forward = 8;
    model.vocabulary = 262;
    gb_build_model(&b, &model);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&b, &bytes);
    uint8_t *copy = (uint8_t *)malloc(bytes);
    size_t head = bytes - b.data.bytes;
    static const uint8_t damage[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (size_t at = 0; at < head; at++) {
        memcpy(copy, data, bytes);
        for (size_t k = 0; k < CH_COUNT(damage); k++) {
            reading r;
            copy[at] = k == 0 ? (uint8_t)(data[at] + 1) : damage[k];
            chord_result result = read_bytes(copy, bytes, &r);
            cr_assert(result == CHORD_OK || r.error.message[0], "byte %zu", at);
            reading_close(&r);
        }
    }
    free(copy);
    gb_close(&b);
}
