// gguf: see gguf.h.
//
// One walk over the file, gguf_walk, serves both passes: without tables it only checks and counts,
// with tables it also fills them. All reads go through gguf_take, which knows where the file ends;
// a number is read once, checked, and used as it was checked, because the mapping may change under
// the reader.
#include "gguf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

// ---- the cursor

typedef struct gguf_cursor {
    const uint8_t *data;
    uint64_t bytes, at; // at <= bytes
    const char *noun;   // what is being read, for sentences: "header", "key", "tensor"
    uint64_t index;     // which of them
    ch_gguf_text name;  // its name, once it is known
    chord_error *error;
} gguf_cursor;

// What the walk finds besides the tables.
typedef struct gguf_layout {
    int32_t meta_count, tensor_count;
    uint32_t version;
    uint64_t alignment;
    uint64_t data_start; // where tensor data begins; may lie past the end of a file without tensors
} gguf_layout;

// Text of the file inside a sentence.
typedef struct gguf_quoted {
    char text[72];
} gguf_quoted;

static const char *gguf_quote(ch_gguf_text text, gguf_quoted *quoted) {
    return ch_printable(text.at, text.bytes, quoted->text, sizeof quoted->text);
}

// `key "a.b": ...`, `tensor 3: ...`, with the place first.
CH_PRINTF(3, 4)
static chord_result gguf_fail(const gguf_cursor *cursor, chord_result code, const char *format,
                              ...) {
    char text[200];
    gguf_quoted name;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (cursor->name.bytes)
        return ch_fail(cursor->error, code, "%s \"%s\": %s", cursor->noun,
                       gguf_quote(cursor->name, &name), text);
    return ch_fail(cursor->error, code, "%s %llu: %s", cursor->noun,
                   (unsigned long long)cursor->index, text);
}

// The next n bytes, or NULL, with the error set, where the file ends before.
static const uint8_t *gguf_take(gguf_cursor *cursor, uint64_t n, const char *what) {
    uint64_t left = cursor->bytes - cursor->at;
    if (n > left) {
        gguf_fail(cursor, CHORD_ERROR_FORMAT,
                  "its %s takes %llu bytes at byte %llu, past the file's end (%llu)", what,
                  (unsigned long long)n, (unsigned long long)cursor->at,
                  (unsigned long long)cursor->bytes);
        return NULL;
    }
    const uint8_t *at = cursor->data + cursor->at;
    cursor->at += n;
    return at;
}

static chord_result gguf_u32(gguf_cursor *cursor, const char *what, uint32_t *out) {
    const uint8_t *at = gguf_take(cursor, sizeof *out, what);
    if (!at) return CHORD_ERROR_FORMAT;
    memcpy(out, at, sizeof *out);
    return CHORD_OK;
}

static chord_result gguf_u64(gguf_cursor *cursor, const char *what, uint64_t *out) {
    const uint8_t *at = gguf_take(cursor, sizeof *out, what);
    if (!at) return CHORD_ERROR_FORMAT;
    memcpy(out, at, sizeof *out);
    return CHORD_OK;
}

static chord_result gguf_string(gguf_cursor *cursor, const char *what, ch_gguf_text *out) {
    uint64_t bytes = 0;
    chord_result result = gguf_u64(cursor, what, &bytes);
    if (result) return result;
    const uint8_t *at = gguf_take(cursor, bytes, what);
    if (!at) return CHORD_ERROR_FORMAT;
    out->at = (const char *)at;
    out->bytes = (size_t)bytes; // at most the file's size, which is in memory
    return CHORD_OK;
}

// ---- kinds and types

typedef struct gguf_kind_info {
    const char *name;
    uint8_t bytes; // 0: not of fixed size
} gguf_kind_info;

static const gguf_kind_info *gguf_kind(ch_gguf_kind kind) {
    static const gguf_kind_info table[CH_GGUF_KIND_COUNT] = {
        {"u8", 1},   {"i8", 1},  {"u16", 2}, {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
        {"bool", 1}, {"str", 0}, {"arr", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8}};
    return &table[kind];
}

CH_FN const char *ch_gguf_kind_name(ch_gguf_kind kind) {
    return (uint32_t)kind < CH_GGUF_KIND_COUNT ? gguf_kind(kind)->name : "unknown";
}

// The names of the type numbers that chord does not read, to refuse them by name. Numbers:
// https://github.com/ggml-org/ggml/blob/master/include/ggml.h (enum ggml_type).
static const char *gguf_foreign_type(uint32_t id) {
    static const struct {
        uint32_t id;
        const char *name;
    } table[] = {{4, "q4_2 (removed from GGUF)"},
                 {5, "q4_3 (removed from GGUF)"},
                 {9, "q8_1"},
                 {15, "q8_k"},
                 {16, "iq2_xxs"},
                 {17, "iq2_xs"},
                 {18, "iq3_xxs"},
                 {19, "iq1_s"},
                 {20, "iq4_nl"},
                 {21, "iq3_s"},
                 {22, "iq2_s"},
                 {23, "iq4_xs"},
                 {24, "i8"},
                 {25, "i16"},
                 {26, "i32"},
                 {27, "i64"},
                 {28, "f64"},
                 {29, "iq1_m"},
                 {31, "q4_0_4_4 (removed from GGUF)"},
                 {32, "q4_0_4_8 (removed from GGUF)"},
                 {33, "q4_0_8_8 (removed from GGUF)"},
                 {34, "tq1_0"},
                 {35, "tq2_0"},
                 {36, "iq4_nl_4_4 (removed from GGUF)"},
                 {37, "iq4_nl_4_8 (removed from GGUF)"},
                 {38, "iq4_nl_8_8 (removed from GGUF)"},
                 {39, "mxfp4"}};
    for (size_t i = 0; i < CH_COUNT(table); i++)
        if (table[i].id == id) return table[i].name;
    return NULL;
}

// ---- header

// Files that are often taken for GGUF, by their first bytes.
static const char *gguf_recognise(const uint8_t *data, uint64_t bytes) {
    static const struct {
        const char *start;
        uint8_t at, bytes;
        const char *what;
    } table[] = {
        {"lmgg", 0, 4, "a pre-GGUF file (GGML); convert it to GGUF"},
        {"fmgg", 0, 4, "a pre-GGUF file (GGMF); convert it to GGUF"},
        {"tjgg", 0, 4, "a pre-GGUF file (GGJT); convert it to GGUF"},
        {"ggml", 0, 4, "a pre-GGUF file (GGML); convert it to GGUF"},
        {"ggmf", 0, 4, "a pre-GGUF file (GGMF); convert it to GGUF"},
        {"ggjt", 0, 4, "a pre-GGUF file (GGJT); convert it to GGUF"},
        {"algg", 0, 4, "a pre-GGUF adapter (GGLA), not a model"},
        {"FUGG", 0, 4, "a big-endian GGUF file; only little-endian ones are read"},
        {"PK\003\004", 0, 4, "a ZIP archive (a PyTorch file?); convert it to GGUF"},
        {"{\"", 8, 2, "a safetensors file; convert it to GGUF"},
        {"version https://git-lfs", 0, 23,
         "a git-lfs pointer; fetch the file itself (git lfs pull)"},
        {"\037\213", 0, 2, "compressed (gzip); unpack it first"},
        {"\050\265\057\375", 0, 4, "compressed (zstd); unpack it first"},
        {"<!DOCTYPE", 0, 9, "an HTML page; the download failed"},
        {"<!doctype", 0, 9, "an HTML page; the download failed"},
        {"<html", 0, 5, "an HTML page; the download failed"},
    };
    for (size_t i = 0; i < CH_COUNT(table); i++) {
        if (bytes < (uint64_t)table[i].at + table[i].bytes) continue;
        if (memcmp(data + table[i].at, table[i].start, table[i].bytes) == 0) return table[i].what;
    }
    return NULL;
}

static chord_result gguf_magic(gguf_cursor *cursor) {
    if (cursor->bytes == 0)
        return ch_fail(cursor->error, CHORD_ERROR_FORMAT,
                       "the file is empty; a GGUF file is wanted");
    gguf_quoted start;
    ch_gguf_text text = {(const char *)cursor->data, (size_t)CH_MIN(cursor->bytes, 4)};
    if (text.bytes == 4 && memcmp(text.at, "GGUF", 4) == 0) {
        cursor->at = 4;
        return CHORD_OK;
    }
    const char *what = gguf_recognise(cursor->data, cursor->bytes);
    if (what) return ch_fail(cursor->error, CHORD_ERROR_FORMAT, "the file is %s", what);
    if (memcmp(text.at, "GGUF", text.bytes) == 0)
        return ch_fail(cursor->error, CHORD_ERROR_FORMAT,
                       "the file ends inside its header: it has %llu bytes, a header takes 24",
                       (unsigned long long)cursor->bytes);
    return ch_fail(cursor->error, CHORD_ERROR_FORMAT,
                   "the file is not GGUF: it starts with \"%s\" instead of \"GGUF\"",
                   gguf_quote(text, &start));
}

static chord_result gguf_version(const gguf_cursor *cursor, uint32_t version) {
    if (version == 2 || version == 3) return CHORD_OK;
    if (version == 1)
        return ch_fail(cursor->error, CHORD_ERROR_UNSUPPORTED,
                       "the file is GGUF version 1; versions 2 and 3 are read: convert it anew");
    if (version != 0 && (version & 0xffff) == 0)
        return ch_fail(cursor->error, CHORD_ERROR_UNSUPPORTED,
                       "the file is a big-endian GGUF file; only little-endian ones are read");
    return ch_fail(cursor->error, CHORD_ERROR_UNSUPPORTED,
                   "the file is GGUF version %lu; versions 2 and 3 are read",
                   (unsigned long)version);
}

// A count of the header against its limit and against the bytes that follow; `least` is what the
// smallest entry takes.
static chord_result gguf_count(const gguf_cursor *cursor, const char *what, uint64_t count,
                               uint64_t limit, uint64_t least) {
    if (count > limit)
        return ch_fail(cursor->error, CHORD_ERROR_FORMAT,
                       "the header promises %llu %s; at most %llu are read",
                       (unsigned long long)count, what, (unsigned long long)limit);
    if (count > (cursor->bytes - cursor->at) / least)
        return ch_fail(cursor->error, CHORD_ERROR_FORMAT,
                       "the header promises %llu %s, more than the %llu bytes that follow can hold",
                       (unsigned long long)count, what,
                       (unsigned long long)(cursor->bytes - cursor->at));
    return CHORD_OK;
}

static chord_result gguf_header(gguf_cursor *cursor, gguf_layout *layout) {
    uint64_t tensors = 0, metas = 0;
    chord_result result = gguf_magic(cursor);
    if (result) return result;
    if (cursor->bytes < 24) {
        return ch_fail(cursor->error, CHORD_ERROR_FORMAT,
                       "the file ends inside its header: it has %llu bytes, a header takes 24",
                       (unsigned long long)cursor->bytes);
    }
    if ((result = gguf_u32(cursor, "version", &layout->version)) ||
        (result = gguf_version(cursor, layout->version)) ||
        (result = gguf_u64(cursor, "count of tensors", &tensors)) ||
        (result = gguf_u64(cursor, "count of keys", &metas)) ||
        // A key: its length, one byte, its kind, one byte of value. A tensor: the length of its
        // name, one byte, the number of dimensions, one, the type, the offset.
        (result = gguf_count(cursor, "keys", metas, CH_GGUF_MAX_META, 8 + 1 + 4 + 1)) ||
        (result =
             gguf_count(cursor, "tensors", tensors, CH_GGUF_MAX_TENSORS, 8 + 1 + 4 + 8 + 4 + 8)))
        return result;
    layout->tensor_count = (int32_t)tensors;
    layout->meta_count = (int32_t)metas;
    return CHORD_OK;
}

// ---- metadata

// Keys are ASCII by the format. `tensor names` may hold anything but control characters.
static chord_result gguf_check_name(const gguf_cursor *cursor, ch_gguf_text name, size_t limit,
                                    bool ascii) {
    if (name.bytes == 0)
        return gguf_fail(cursor, CHORD_ERROR_FORMAT, "its name is empty, at byte %llu",
                         (unsigned long long)cursor->at);
    if (name.bytes > limit)
        return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                         "its name has %llu bytes, at byte %llu; at most %llu are read",
                         (unsigned long long)name.bytes,
                         (unsigned long long)(cursor->at - name.bytes), (unsigned long long)limit);
    for (size_t i = 0; i < name.bytes; i++) {
        uint8_t byte = (uint8_t)name.at[i];
        if (byte < 32 || byte == 127 || (ascii && byte > 127))
            return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                             "its name holds the byte 0x%02X; %s is wanted", byte,
                             ascii ? "ASCII" : "text");
    }
    return CHORD_OK;
}

static chord_result gguf_check_bools(const gguf_cursor *cursor, const ch_gguf_meta *meta) {
    for (uint64_t i = 0; i < meta->count; i++) {
        uint8_t value = meta->value[i];
        if (value > 1)
            return gguf_fail(cursor, CHORD_ERROR_FORMAT, "its bool is %u; 0 or 1 is wanted", value);
    }
    return CHORD_OK;
}

// Walks `count` values of one kind (not an array).
static chord_result gguf_values(gguf_cursor *cursor, ch_gguf_meta *meta) {
    uint64_t start = cursor->at, bytes = 0, size = gguf_kind(meta->element_kind)->bytes;
    meta->value = cursor->data + start;
    if (size == 0) {
        ch_gguf_text text;
        uint64_t left = cursor->bytes - cursor->at;
        if (meta->count > left / 8)
            return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                             "it promises %llu strings, more than the %llu bytes that follow can "
                             "hold",
                             (unsigned long long)meta->count, (unsigned long long)left);
        for (uint64_t i = 0; i < meta->count; i++) {
            chord_result result = gguf_string(cursor, "string", &text);
            if (result) return result;
        }
    } else if (!ch_mul(meta->count, size, &bytes)) {
        return gguf_fail(cursor, CHORD_ERROR_FORMAT, "it promises %llu values, past any file's end",
                         (unsigned long long)meta->count);
    } else if (!gguf_take(cursor, bytes, "value")) {
        return CHORD_ERROR_FORMAT;
    }
    meta->value_bytes = cursor->at - start;
    return meta->element_kind == CH_GGUF_BOOL ? gguf_check_bools(cursor, meta) : CHORD_OK;
}

// One kind as it stands in the file.
static chord_result gguf_read_kind(gguf_cursor *cursor, const char *what, ch_gguf_kind *out) {
    uint32_t kind = 0;
    chord_result result = gguf_u32(cursor, what, &kind);
    if (result) return result;
    if (kind >= CH_GGUF_KIND_COUNT)
        return gguf_fail(cursor, CHORD_ERROR_FORMAT, "its %s is %lu; kinds are 0 to %d", what,
                         (unsigned long)kind, CH_GGUF_KIND_COUNT - 1);
    *out = (ch_gguf_kind)kind;
    return CHORD_OK;
}

static chord_result gguf_meta(gguf_cursor *cursor, ch_gguf_meta *meta) {
    chord_result result = gguf_string(cursor, "name", &meta->key);
    if (result) return result;
    if ((result = gguf_check_name(cursor, meta->key, CH_GGUF_MAX_KEY, true))) return result;
    cursor->name = meta->key;
    if ((result = gguf_read_kind(cursor, "kind of value", &meta->kind))) return result;
    meta->element_kind = meta->kind;
    meta->count = 1;
    if (meta->kind == CH_GGUF_ARRAY) {
        if ((result = gguf_read_kind(cursor, "kind of element", &meta->element_kind)) ||
            (result = gguf_u64(cursor, "count of elements", &meta->count)))
            return result;
        if (meta->element_kind == CH_GGUF_ARRAY)
            return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                             "it is an array of arrays; arrays of "
                             "numbers, bools or strings are read");
    }
    return gguf_values(cursor, meta);
}

static chord_result gguf_alignment(const gguf_cursor *cursor, const ch_gguf_meta *meta,
                                   uint64_t *alignment) {
    uint32_t value = 0;
    if (meta->kind != CH_GGUF_U32)
        return gguf_fail(cursor, CHORD_ERROR_FORMAT, "it is %s; u32 is wanted",
                         ch_gguf_kind_name(meta->kind));
    memcpy(&value, meta->value, sizeof value);
    if (value < 8 || value > CH_GGUF_MAX_ALIGNMENT || (value & (value - 1)))
        return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                         "it is %lu; a power of two from 8 to %d is wanted", (unsigned long)value,
                         CH_GGUF_MAX_ALIGNMENT);
    *alignment = value;
    return CHORD_OK;
}

static chord_result gguf_walk_meta(gguf_cursor *cursor, gguf_layout *layout, ch_gguf *gguf) {
    cursor->noun = "key";
    layout->alignment = 32;
    for (int32_t i = 0; i < layout->meta_count; i++) {
        ch_gguf_meta meta;
        memset(&meta, 0, sizeof meta);
        memset(&cursor->name, 0, sizeof cursor->name);
        cursor->index = (uint64_t)i;
        chord_result result = gguf_meta(cursor, &meta);
        if (result) return result;
        if (ch_gguf_text_is(meta.key, "general.alignment") &&
            (result = gguf_alignment(cursor, &meta, &layout->alignment)))
            return result;
        if (gguf) gguf->meta[i] = meta;
    }
    return CHORD_OK;
}

// ---- tensors

// Dimensions, type and size of one tensor. The product of the dimensions stays below 2^63.
static chord_result gguf_shape(gguf_cursor *cursor, ch_gguf_tensor *tensor) {
    uint32_t dims = 0, id = 0;
    uint64_t elements = 1;
    chord_result result = gguf_u32(cursor, "count of dimensions", &dims);
    if (result) return result;
    if (dims < 1 || dims > 4)
        return gguf_fail(cursor, CHORD_ERROR_FORMAT, "it has %lu dimensions; 1 to 4 are wanted",
                         (unsigned long)dims);
    tensor->dims = (int32_t)dims;
    for (uint32_t i = 0; i < 4; i++) {
        tensor->shape[i] = 1;
        if (i >= dims) continue;
        if ((result = gguf_u64(cursor, "shape", &tensor->shape[i]))) return result;
        if (tensor->shape[i] == 0)
            return gguf_fail(cursor, CHORD_ERROR_FORMAT, "its dimension %lu is 0",
                             (unsigned long)i);
        if (!ch_mul(elements, tensor->shape[i], &elements) || elements > INT64_MAX)
            return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                             "its dimensions, up to %llu, multiply to 2^63 or more",
                             (unsigned long long)tensor->shape[i]);
    }
    if ((result = gguf_u32(cursor, "type", &id))) return result;
    tensor->type = ch_type_from_id(id);
    if (tensor->type == CH_TYPE_COUNT) {
        const char *name = gguf_foreign_type(id);
        if (name)
            return gguf_fail(cursor, CHORD_ERROR_UNSUPPORTED,
                             "its type is %s, which chord "
                             "does not read",
                             name);
        return gguf_fail(cursor, CHORD_ERROR_UNSUPPORTED,
                         "its type is number %lu, which is unknown", (unsigned long)id);
    }
    const ch_type_info *info = ch_type_get(tensor->type);
    if (tensor->shape[0] % info->block_elements)
        return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                         "its rows have %llu elements; %s wants a multiple of %u",
                         (unsigned long long)tensor->shape[0], info->name, info->block_elements);
    if (!ch_mul(elements / info->block_elements, info->block_bytes, &tensor->bytes))
        return gguf_fail(cursor, CHORD_ERROR_FORMAT, "its %llu elements take 2^64 bytes or more",
                         (unsigned long long)elements);
    return CHORD_OK;
}

static chord_result gguf_tensor(gguf_cursor *cursor, uint64_t alignment, ch_gguf_tensor *tensor) {
    ch_gguf_text name;
    chord_result result = gguf_string(cursor, "name", &name);
    if (result) return result;
    if ((result = gguf_check_name(cursor, name, CH_GGUF_MAX_NAME, false))) return result;
    memcpy(tensor->name, name.at, name.bytes);
    // Without this a byte that has turned to NUL since the check would split the name in two.
    name.at = tensor->name;
    name.bytes = strlen(tensor->name);
    cursor->name = name;
    if ((result = gguf_shape(cursor, tensor)) ||
        (result = gguf_u64(cursor, "offset", &tensor->offset)))
        return result;
    if (tensor->offset & (alignment - 1))
        return gguf_fail(cursor, CHORD_ERROR_FORMAT,
                         "its offset is %llu; a multiple of the alignment (%llu) is wanted",
                         (unsigned long long)tensor->offset, (unsigned long long)alignment);
    return CHORD_OK;
}

// Offsets in gguf->tensors stay relative to the data's start here.
static chord_result gguf_walk_tensors(gguf_cursor *cursor, gguf_layout *layout, ch_gguf *gguf) {
    cursor->noun = "tensor";
    for (int32_t i = 0; i < layout->tensor_count; i++) {
        ch_gguf_tensor tensor;
        memset(&tensor, 0, sizeof tensor);
        memset(&cursor->name, 0, sizeof cursor->name);
        cursor->index = (uint64_t)i;
        chord_result result = gguf_tensor(cursor, layout->alignment, &tensor);
        if (result) return result;
        if (gguf) gguf->tensors[i] = tensor;
    }
    // The cursor is inside the file: no overflow for any file that exists, but it costs nothing.
    if (!ch_align_up(cursor->at, layout->alignment, &layout->data_start))
        return ch_fail(cursor->error, CHORD_ERROR_FORMAT, "the file is too large");
    return CHORD_OK;
}

// ---- both passes

static uint32_t gguf_slots(int32_t count) {
    uint32_t slots = 2;
    while (slots < (uint32_t)count * 2) slots *= 2;
    return slots;
}

CH_FN chord_result ch_gguf_measure(const uint8_t *data, uint64_t bytes, ch_gguf_size *size,
                                   chord_error *error) {
    gguf_cursor cursor = {data, bytes, 0, "header", 0, {NULL, 0}, error};
    gguf_layout layout;
    memset(&layout, 0, sizeof layout);
    memset(size, 0, sizeof *size);
    chord_result result = gguf_header(&cursor, &layout);
    if (result || (result = gguf_walk_meta(&cursor, &layout, NULL)) ||
        (result = gguf_walk_tensors(&cursor, &layout, NULL)))
        return result;
    size->meta_count = layout.meta_count;
    size->tensor_count = layout.tensor_count;
    // Below 2^32 by the limits on both counts.
    size->table_bytes = ch_arena_room((uint64_t)layout.meta_count * sizeof(ch_gguf_meta)) +
                        ch_arena_room((uint64_t)layout.tensor_count * sizeof(ch_gguf_tensor)) +
                        ch_arena_room((uint64_t)gguf_slots(layout.tensor_count) * sizeof(uint32_t));
    return CHORD_OK;
}

static uint64_t gguf_offset_key(const void *user, uint32_t index) {
    return ((const ch_gguf *)user)->tensors[index].offset;
}

// Makes offsets absolute, and checks that all data lies in the file and apart. `order` is room for
// one index per tensor.
static chord_result gguf_place_tensors(ch_gguf *gguf, const gguf_layout *layout, uint32_t *order,
                                       chord_error *error) {
    uint32_t count = (uint32_t)gguf->tensor_count;
    for (uint32_t i = 0; i < count; i++) {
        ch_gguf_tensor *tensor = &gguf->tensors[i];
        gguf_cursor place = {NULL, 0, 0, "tensor", i, {tensor->name, strlen(tensor->name)}, error};
        uint64_t start = 0, end = 0;
        if (!ch_add(layout->data_start, tensor->offset, &start) ||
            !ch_add(start, tensor->bytes, &end))
            return gguf_fail(&place, CHORD_ERROR_FORMAT,
                             "its data, %llu bytes at offset %llu, ends past 2^64",
                             (unsigned long long)tensor->bytes, (unsigned long long)tensor->offset);
        if (end > gguf->bytes)
            return gguf_fail(&place, CHORD_ERROR_FORMAT,
                             "its data ends at byte %llu, past the file's end (%llu)",
                             (unsigned long long)end, (unsigned long long)gguf->bytes);
        tensor->offset = start;
        tensor->data = gguf->data + start;
        order[i] = i;
    }
    ch_sort_indices(order, count, gguf_offset_key, gguf);
    for (uint32_t i = 1; i < count; i++) {
        const ch_gguf_tensor *a = &gguf->tensors[order[i - 1]], *b = &gguf->tensors[order[i]];
        if (a->offset + a->bytes <= b->offset) continue;
        gguf_cursor place = {NULL, 0, 0, "tensor", order[i], {b->name, strlen(b->name)}, error};
        gguf_quoted other;
        ch_gguf_text name = {a->name, strlen(a->name)};
        return gguf_fail(&place, CHORD_ERROR_FORMAT,
                         "its data at byte %llu overlaps that of \"%s\", which ends at byte %llu",
                         (unsigned long long)b->offset, gguf_quote(name, &other),
                         (unsigned long long)(a->offset + a->bytes));
    }
    return CHORD_OK;
}

static uint32_t gguf_hash(const char *text, size_t bytes, uint32_t slots) {
    uint32_t hash = CH_HASH_START;
    for (size_t i = 0; i < bytes; i++) hash = ch_hash_byte(hash, (uint8_t)text[i]);
    return ch_hash_slot(hash, slots);
}

static chord_result gguf_index_tensors(ch_gguf *gguf, chord_error *error) {
    memset(gguf->tensor_index, 0xff, gguf->tensor_slots * sizeof(uint32_t));
    for (int32_t i = 0; i < gguf->tensor_count; i++) {
        const char *name = gguf->tensors[i].name;
        gguf_cursor place = {NULL, 0, 0, "tensor", (uint64_t)i, {name, strlen(name)}, error};
        uint32_t slot = gguf_hash(name, place.name.bytes, gguf->tensor_slots);
        int32_t probes = 0;
        for (; gguf->tensor_index[slot] != UINT32_MAX; probes++) {
            uint32_t other = gguf->tensor_index[slot];
            if (strcmp(gguf->tensors[other].name, name) == 0)
                return gguf_fail(&place, CHORD_ERROR_FORMAT,
                                 "its name occurs twice, as tensors %lu and %ld",
                                 (unsigned long)other, (long)i);
            if (probes == CH_HASH_MAX_PROBES)
                return gguf_fail(&place, CHORD_ERROR_FORMAT,
                                 "its name and over %d others fall on one place of a table",
                                 CH_HASH_MAX_PROBES);
            slot = (slot + 1) & (gguf->tensor_slots - 1);
        }
        gguf->tensor_index[slot] = (uint32_t)i;
    }
    return CHORD_OK;
}

// Keys of the file are compared where they stand, by the lengths that were checked.
static chord_result gguf_check_keys(const ch_gguf *gguf, chord_error *error) {
    uint16_t table[2 * CH_GGUF_MAX_META]; // index + 1; 0 is free
    memset(table, 0, sizeof table);
    for (int32_t i = 0; i < gguf->meta_count; i++) {
        ch_gguf_text key = gguf->meta[i].key;
        uint32_t slot = gguf_hash(key.at, key.bytes, (uint32_t)CH_COUNT(table));
        int32_t probes = 0;
        for (; table[slot]; slot = (slot + 1) & (uint32_t)(CH_COUNT(table) - 1)) {
            ch_gguf_text other = gguf->meta[table[slot] - 1].key;
            gguf_cursor place = {NULL, 0, 0, "key", (uint64_t)i, key, error};
            if (other.bytes == key.bytes && memcmp(other.at, key.at, key.bytes) == 0)
                return gguf_fail(&place, CHORD_ERROR_FORMAT, "it occurs twice, as keys %d and %ld",
                                 table[slot] - 1, (long)i);
            if (++probes > CH_HASH_MAX_PROBES)
                return gguf_fail(&place, CHORD_ERROR_FORMAT,
                                 "it and over %d others fall on one place of a table",
                                 CH_HASH_MAX_PROBES);
        }
        table[slot] = (uint16_t)(i + 1);
    }
    return CHORD_OK;
}

CH_FN chord_result ch_gguf_read(const uint8_t *data, uint64_t bytes, const ch_gguf_size *size,
                                ch_arena *arena, ch_gguf *gguf, chord_error *error) {
    gguf_cursor cursor = {data, bytes, 0, "header", 0, {NULL, 0}, error};
    gguf_layout layout;
    memset(&layout, 0, sizeof layout);
    memset(gguf, 0, sizeof *gguf);
    chord_result result = gguf_header(&cursor, &layout);
    if (result) return result;
    if (layout.meta_count != size->meta_count || layout.tensor_count != size->tensor_count)
        return ch_fail(error, CHORD_ERROR_FORMAT, "the file changed while it was read");
    gguf->data = data;
    gguf->bytes = bytes;
    gguf->version = layout.version;
    gguf->meta_count = layout.meta_count;
    gguf->tensor_count = layout.tensor_count;
    gguf->tensor_slots = gguf_slots(layout.tensor_count);
    gguf->meta =
        (ch_gguf_meta *)ch_arena_take(arena, (size_t)layout.meta_count * sizeof *gguf->meta);
    gguf->tensors =
        (ch_gguf_tensor *)ch_arena_take(arena, (size_t)layout.tensor_count * sizeof *gguf->tensors);
    gguf->tensor_index =
        (uint32_t *)ch_arena_take(arena, gguf->tensor_slots * sizeof *gguf->tensor_index);
    if (!gguf->meta || !gguf->tensors || !gguf->tensor_index)
        return ch_fail(error, CHORD_ERROR_MEMORY, "the file's tables do not fit their memory");
    // The table of names serves as room for sorting first: it has two slots per tensor.
    if ((result = gguf_walk_meta(&cursor, &layout, gguf)) ||
        (result = gguf_walk_tensors(&cursor, &layout, gguf)) ||
        (result = gguf_check_keys(gguf, error)) ||
        (result = gguf_place_tensors(gguf, &layout, gguf->tensor_index, error)))
        return result;
    return gguf_index_tensors(gguf, error);
}

// ---- looking up

CH_FN bool ch_gguf_text_is(ch_gguf_text text, const char *what) {
    size_t bytes = strlen(what);
    return text.bytes == bytes && memcmp(text.at, what, bytes) == 0;
}

CH_FN const ch_gguf_meta *ch_gguf_find(const ch_gguf *gguf, const char *key) {
    for (int32_t i = 0; i < gguf->meta_count; i++)
        if (ch_gguf_text_is(gguf->meta[i].key, key)) return &gguf->meta[i];
    return NULL;
}

CH_FN const ch_gguf_tensor *ch_gguf_find_tensor(const ch_gguf *gguf, const char *name) {
    if (gguf->tensor_count == 0) return NULL;
    uint32_t slot = gguf_hash(name, strlen(name), gguf->tensor_slots);
    for (; gguf->tensor_index[slot] != UINT32_MAX; slot = (slot + 1) & (gguf->tensor_slots - 1)) {
        const ch_gguf_tensor *tensor = &gguf->tensors[gguf->tensor_index[slot]];
        if (strcmp(tensor->name, name) == 0) return tensor;
    }
    return NULL;
}

// Finds a key's single value. *out is NULL, and the result CHORD_OK, if it is absent and may be.
static chord_result gguf_get(const ch_gguf *gguf, const char *key, bool required,
                             const ch_gguf_meta **out, chord_error *error) {
    *out = ch_gguf_find(gguf, key);
    if (*out || !required) return CHORD_OK;
    return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" is missing", key);
}

static chord_result gguf_wrong_kind(const ch_gguf_meta *meta, const char *key, const char *wanted,
                                    chord_error *error) {
    bool array = meta->kind == CH_GGUF_ARRAY;
    return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" is %s%s%s; %s is wanted", key,
                   array ? "arr[" : "", ch_gguf_kind_name(meta->element_kind), array ? "]" : "",
                   wanted);
}

// Integer i of an integer kind. A u64 of 2^63 or more comes out negative.
static int64_t gguf_integer(ch_gguf_kind kind, const uint8_t *value, uint64_t i) {
    uint64_t size = gguf_kind(kind)->bytes;
    uint64_t bits = 0; // little-endian, as the machines that chord runs on
    memcpy(&bits, value + i * size, (size_t)size);
    switch (kind) {
    case CH_GGUF_I8:
        return (int8_t)bits;
    case CH_GGUF_I16:
        return (int16_t)bits;
    case CH_GGUF_I32:
        return (int32_t)bits;
    default:
        return (int64_t)bits;
    }
}

static bool gguf_is_integer(ch_gguf_kind kind) {
    return gguf_kind(kind)->bytes && kind != CH_GGUF_F32 && kind != CH_GGUF_F64 &&
           kind != CH_GGUF_BOOL;
}

CH_FN int64_t ch_gguf_array_int(const ch_gguf_meta *meta, uint64_t i) {
    return gguf_integer(meta->element_kind, meta->value, i);
}

CH_FN chord_result ch_gguf_get_int(const ch_gguf *gguf, const char *key, bool required, int64_t low,
                                   int64_t high, int64_t *out, chord_error *error) {
    const ch_gguf_meta *meta;
    chord_result result = gguf_get(gguf, key, required, &meta, error);
    if (result || !meta) return result;
    if (!gguf_is_integer(meta->kind)) return gguf_wrong_kind(meta, key, "an integer", error);
    int64_t value = gguf_integer(meta->kind, meta->value, 0);
    if (meta->kind == CH_GGUF_U64 && value < 0)
        return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" is %llu; %lld to %lld is wanted", key,
                       (unsigned long long)value, (long long)low, (long long)high);
    if (value < low || value > high)
        return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" is %lld; %lld to %lld is wanted", key,
                       (long long)value, (long long)low, (long long)high);
    *out = value;
    return CHORD_OK;
}

CH_FN chord_result ch_gguf_get_float(const ch_gguf *gguf, const char *key, bool required, float low,
                                     float high, float *out, chord_error *error) {
    const ch_gguf_meta *meta;
    chord_result result = gguf_get(gguf, key, required, &meta, error);
    if (result || !meta) return result;
    double value = 0;
    if (meta->kind == CH_GGUF_F32) {
        float single = 0;
        memcpy(&single, meta->value, sizeof single);
        value = (double)single;
    } else if (meta->kind == CH_GGUF_F64) {
        memcpy(&value, meta->value, sizeof value);
    } else {
        return gguf_wrong_kind(meta, key, "f32", error);
    }
    // A NaN fails both comparisons; an infinity could only pass an infinite limit.
    if (!(value >= (double)low && value <= (double)high) || !isfinite(value))
        return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" is %g; %g to %g is wanted", key,
                       value, (double)low, (double)high);
    *out = (float)value;
    return CHORD_OK;
}

CH_FN chord_result ch_gguf_get_bool(const ch_gguf *gguf, const char *key, bool required, bool *out,
                                    chord_error *error) {
    const ch_gguf_meta *meta;
    chord_result result = gguf_get(gguf, key, required, &meta, error);
    if (result || !meta) return result;
    if (meta->kind != CH_GGUF_BOOL) return gguf_wrong_kind(meta, key, "bool", error);
    *out = meta->value[0] != 0;
    return CHORD_OK;
}

CH_FN chord_result ch_gguf_get_text(const ch_gguf *gguf, const char *key, bool required,
                                    ch_gguf_text *out, chord_error *error) {
    const ch_gguf_meta *meta;
    chord_result result = gguf_get(gguf, key, required, &meta, error);
    if (result || !meta) return result;
    if (meta->kind != CH_GGUF_STRING) return gguf_wrong_kind(meta, key, "str", error);
    out->at = (const char *)meta->value + 8; // past the length, which the walk has checked
    out->bytes = (size_t)(meta->value_bytes - 8);
    return CHORD_OK;
}

// ---- sorting

// Restores the heap (largest key on top) below `at` in the first n entries.
static void gguf_sift(uint32_t *indices, uint32_t n, uint32_t at, ch_sort_key_fn *key,
                      const void *user) {
    uint32_t moved = indices[at];
    uint64_t moved_key = key(user, moved);
    for (uint32_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && key(user, indices[child + 1]) > key(user, indices[child])) child++;
        if (key(user, indices[child]) <= moved_key) break;
        indices[at] = indices[child];
        at = child;
    }
    indices[at] = moved;
}

CH_FN void ch_sort_indices(uint32_t *indices, uint32_t n, ch_sort_key_fn *key, const void *user) {
    for (uint32_t i = n / 2; i-- > 0;) gguf_sift(indices, n, i, key, user);
    for (uint32_t last = n; last-- > 1;) {
        uint32_t top = indices[0];
        indices[0] = indices[last];
        indices[last] = top;
        gguf_sift(indices, last, 0, key, user);
    }
}
