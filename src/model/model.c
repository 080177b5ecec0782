// model: see model.h. Opening, closing, and the questions that chord.h offers about a model.
#include "model.h"

#include <stdio.h>

// ---- opening

static chord_result model_map(const char *path, ch_os_map *map, chord_error *error) {
    char shown[128];
    ch_printable(path, strlen(path), shown, sizeof shown);
    switch (ch_os_map_file(path, map)) {
    case CH_OS_OK:
        return CHORD_OK;
    case CH_OS_NOT_FOUND:
        return ch_fail(error, CHORD_ERROR_FILE, "%s: there is no such file", shown);
    case CH_OS_NO_PERMISSION:
        return ch_fail(error, CHORD_ERROR_FILE, "%s: no permission to read it", shown);
    case CH_OS_NOT_A_FILE:
        return ch_fail(error, CHORD_ERROR_FILE, "%s: not a regular file", shown);
    case CH_OS_EMPTY:
        return ch_fail(error, CHORD_ERROR_FORMAT, "%s: the file is empty", shown);
    case CH_OS_FAILED:
        break;
    }
    return ch_fail(error, CHORD_ERROR_FILE, "%s: it cannot be mapped into memory", shown);
}

// Reads everything into `arena`: with room for the directory alone (to learn the rest's size), or
// for all of it.
static chord_result model_read_directory(const uint8_t *data, uint64_t bytes,
                                         const ch_gguf_size *size, ch_arena *arena, ch_gguf *gguf,
                                         chord_error *error) {
    memset(gguf, 0, sizeof *gguf);
    return ch_gguf_read(data, bytes, size, arena, gguf, error);
}

// Bytes of all tables: the directory is read once into memory of its own, to be asked.
static chord_result model_measure(const uint8_t *data, uint64_t bytes, ch_gguf_size *size,
                                  uint64_t *total, chord_error *error) {
    chord_result result = ch_gguf_measure(data, bytes, size, error);
    if (result) return result;
    ch_arena arena;
    if (!ch_arena_open(&arena, (size_t)size->table_bytes + CH_ALIGN, NULL))
        return ch_fail(error, CHORD_ERROR_MEMORY, "no memory for a directory of %llu bytes",
                       (unsigned long long)size->table_bytes);
    ch_gguf gguf;
    ch_vocab vocab;
    ch_weights weights;
    uint64_t vocab_bytes = 0, weight_bytes = 0;
    memset(&vocab, 0, sizeof vocab);
    result = model_read_directory(data, bytes, size, &arena, &gguf, error);
    if (!result) result = ch_vocab_measure(&gguf, &vocab_bytes, error);
    if (!result) {
        const ch_gguf_meta *tokens = ch_gguf_find(&gguf, "tokenizer.ggml.tokens");
        if (vocab_bytes > 0 && tokens) vocab.count = (int32_t)tokens->count;
        result = ch_arch_read(&gguf, &vocab, &weights, &weight_bytes, error);
    }
    ch_arena_close(&arena);
    *total = ch_arena_room(sizeof(chord_model)) + size->table_bytes + vocab_bytes + weight_bytes;
    return result;
}

static chord_result model_fill(chord_model *m, const uint8_t *data, uint64_t bytes,
                               const ch_gguf_size *size, chord_error *error) {
    uint64_t unused = 0;
    chord_result result = model_read_directory(data, bytes, size, &m->arena, &m->gguf, error);
    if (!result) result = ch_vocab_read(&m->gguf, &m->arena, &m->vocab, error);
    if (!result) result = ch_arch_read(&m->gguf, &m->vocab, &m->weights, &unused, error);
    if (!result && m->gguf.tensor_count > 0)
        result = ch_arch_bind(&m->gguf, &m->arena, &m->weights, error);
    return result;
}

static chord_result model_check_desc(const chord_model_desc *desc, chord_error *error) {
    if (!desc) return ch_fail(error, CHORD_ERROR_ARGUMENT, "desc is NULL");
    if (!desc->path == !desc->data)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "exactly one of path and data must be given");
    if ((uintptr_t)desc->data % 32)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "data is not aligned to 32 bytes");
    if ((uintptr_t)desc->memory % CH_ALIGN)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "memory is not aligned to %u bytes", CH_ALIGN);
    return CHORD_OK;
}

chord_result chord_model_open(const chord_model_desc *desc, chord_model **model,
                              chord_error *error) {
    if (!model) return ch_fail(error, CHORD_ERROR_ARGUMENT, "model is NULL");
    *model = NULL;
    chord_result result = model_check_desc(desc, error);
    if (result) return result;
    ch_os_map map = {NULL, 0};
    if (desc->path) result = model_map(desc->path, &map, error);
    if (result) return result;
    const uint8_t *data = desc->path ? map.data : (const uint8_t *)desc->data;
    uint64_t bytes = desc->path ? map.bytes : desc->data_bytes, total = 0;
    ch_gguf_size size;
    ch_arena arena;
    memset(&arena, 0, sizeof arena);
    result = model_measure(data, bytes, &size, &total, error);
    if (!result && desc->memory && desc->memory_bytes < total)
        result = ch_fail(error, CHORD_ERROR_MEMORY,
                         "the model's tables need %llu bytes, memory_bytes is %llu",
                         (unsigned long long)total, (unsigned long long)desc->memory_bytes);
    if (!result && !ch_arena_open(&arena, (size_t)total, desc->memory))
        result = ch_fail(error, CHORD_ERROR_MEMORY, "no memory for tables of %llu bytes",
                         (unsigned long long)total);
    if (!result) {
        chord_model *m = (chord_model *)ch_arena_take(&arena, sizeof(chord_model));
        m->map = map;
        m->arena = arena;
        result = model_fill(m, data, bytes, &size, error);
        arena = m->arena;
        ch_gguf_text text = {"", 0};
        if (!result) result = ch_gguf_get_text(&m->gguf, "general.name", false, &text, error);
        if (!result) {
            ch_printable(text.at, text.bytes, m->name, sizeof m->name);
            snprintf(m->architecture, sizeof m->architecture, "%s", m->weights.arch->name);
            ch_arena_seal(&m->arena);
            *model = m;
            return CHORD_OK;
        }
    }
    ch_arena_close(&arena);
    ch_os_unmap_file(&map);
    return result;
}

void chord_model_close(chord_model *model) {
    if (!model) return;
    ch_os_map map = model->map;
    ch_arena arena = model->arena; // the model itself lies in it
    ch_arena_close(&arena);
    ch_os_unmap_file(&map);
}

// ---- questions

void chord_model_get_info(const chord_model *model, chord_model_info *info) {
    const ch_hparams *hp = &model->weights.hp;
    uint64_t by_type[CH_TYPE_COUNT] = {0};
    memset(info, 0, sizeof *info);
    info->architecture = model->architecture;
    info->name = model->name;
    info->gguf_version = model->gguf.version;
    info->file_bytes = model->gguf.bytes;
    info->table_bytes = model->arena.capacity;
    info->tensor_count = model->gguf.tensor_count;
    info->meta_count = model->gguf.meta_count;
    for (int32_t i = 0; i < model->gguf.tensor_count; i++) {
        const ch_gguf_tensor *t = &model->gguf.tensors[i];
        info->tensor_bytes += t->bytes;
        info->parameters += t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
        by_type[t->type] += t->bytes;
    }
    int32_t most = 0;
    for (int32_t i = 1; i < CH_TYPE_COUNT; i++)
        if (by_type[i] > by_type[most]) most = i;
    info->file_type = info->tensor_count ? ch_type_get((ch_type)most)->name : "";
    info->context_length = hp->context_train;
    info->embedding_length = hp->embedding;
    info->block_count = hp->blocks;
    info->feed_forward_length = hp->feed_forward;
    info->head_count = hp->heads;
    info->head_count_kv = hp->kv_heads;
    info->key_length = hp->key_dim;
    info->value_length = hp->value_dim;
    info->vocabulary = model->vocab.count ? model->vocab.count : hp->vocabulary;
    info->bos = model->vocab.count ? model->vocab.bos : -1;
    info->eos = model->vocab.count ? model->vocab.eos : -1;
    info->add_bos = model->vocab.count && model->vocab.add_bos && model->vocab.bos >= 0;
}

chord_result chord_model_get_tensor(const chord_model *model, int32_t i, chord_tensor_info *info) {
    if (i < 0 || i >= model->gguf.tensor_count) return CHORD_ERROR_ARGUMENT;
    const ch_gguf_tensor *t = &model->gguf.tensors[i];
    info->name = t->name;
    info->type = ch_type_get(t->type)->name;
    info->dims = t->dims;
    memcpy(info->shape, t->shape, sizeof info->shape);
    info->offset = t->offset;
    info->bytes = t->bytes;
    return CHORD_OK;
}

// Prints one value of a plain kind; returns how many bytes of `value` it read, 0 if it does not fit
// or is a string that ends outside.
static size_t model_print_value(ch_gguf_kind kind, const uint8_t *at, uint64_t left, char *out,
                                size_t capacity) {
    static const uint8_t sizes[CH_GGUF_KIND_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
    uint64_t bits = 0;
    if (left < sizes[kind]) return 0;
    memcpy(&bits, at, sizes[kind]);
    double f64;
    memcpy(&f64, &bits, sizeof f64);
    switch (kind) {
    case CH_GGUF_I8:
        snprintf(out, capacity, "%d", (int)(int8_t)bits);
        break;
    case CH_GGUF_I16:
        snprintf(out, capacity, "%d", (int)(int16_t)bits);
        break;
    case CH_GGUF_I32:
        snprintf(out, capacity, "%d", (int)(int32_t)bits);
        break;
    case CH_GGUF_I64:
        snprintf(out, capacity, "%lld", (long long)bits);
        break;
    case CH_GGUF_F32:
        snprintf(out, capacity, "%g", (double)ch_f32_from_bits((uint32_t)bits));
        break;
    case CH_GGUF_F64:
        snprintf(out, capacity, "%g", f64);
        break;
    case CH_GGUF_BOOL:
        snprintf(out, capacity, "%s", bits ? "true" : "false");
        break;
    case CH_GGUF_STRING:
        if (bits > left - 8) return 0;
        ch_printable((const char *)at + 8, (size_t)bits, out, capacity);
        return 8 + (size_t)bits;
    default:
        snprintf(out, capacity, "%llu", (unsigned long long)bits);
        break;
    }
    return sizes[kind];
}

chord_result chord_model_get_meta(const chord_model *model, int32_t i, chord_meta_info *info) {
    if (i < 0 || i >= model->gguf.meta_count) return CHORD_ERROR_ARGUMENT;
    const ch_gguf_meta *meta = &model->gguf.meta[i];
    memset(info, 0, sizeof *info);
    ch_printable(meta->key.at, meta->key.bytes, info->key, sizeof info->key);
    info->count = meta->count;
    if (meta->kind != CH_GGUF_ARRAY) {
        snprintf(info->type, sizeof info->type, "%s", ch_gguf_kind_name(meta->kind));
        model_print_value(meta->kind, meta->value, meta->value_bytes, info->value,
                          sizeof info->value);
        return CHORD_OK;
    }
    snprintf(info->type, sizeof info->type, "arr[%s]", ch_gguf_kind_name(meta->element_kind));
    size_t used = 0, at = 0;
    for (uint64_t e = 0; e < meta->count && sizeof info->value - used > 24; e++) {
        if (e) used += (size_t)snprintf(info->value + used, sizeof info->value - used, ", ");
        size_t room = CH_MIN(sizeof info->value - used, (size_t)20);
        size_t read = model_print_value(meta->element_kind, meta->value + at,
                                        meta->value_bytes - at, info->value + used, room);
        if (read == 0) break;
        at += read;
        used += strlen(info->value + used);
        if (e + 1 < meta->count && sizeof info->value - used <= 24)
            snprintf(info->value + used, sizeof info->value - used, ", ...");
    }
    return CHORD_OK;
}

// ---- tokens

static chord_result model_needs_vocab(const chord_model *model, chord_error *error) {
    if (model->vocab.count) return CHORD_OK;
    return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "the file holds no vocabulary");
}

chord_result chord_tokenize(const chord_model *model, const chord_tokenize_desc *desc,
                            chord_token *tokens, size_t capacity, size_t *count,
                            chord_error *error) {
    size_t unused = 0;
    if (!count) count = &unused;
    *count = 0;
    if (!desc || (!desc->text && desc->text_bytes) || (!tokens && capacity))
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "desc, text or tokens is NULL");
    chord_result result = model_needs_vocab(model, error);
    return result ? result : ch_vocab_tokenize(&model->vocab, desc, tokens, capacity, count, error);
}

size_t chord_tokenize_scratch(const chord_model *model, size_t text_bytes) {
    return ch_vocab_scratch(&model->vocab, text_bytes);
}

chord_token_kind chord_token_get_kind(const chord_model *model, chord_token token) {
    if (token < 0 || token >= model->vocab.count) return CHORD_TOKEN_NONE;
    return (chord_token_kind)model->vocab.kind[token];
}

size_t chord_token_text(const chord_model *model, chord_token token, bool special, char *text,
                        size_t capacity) {
    if (token < 0 || token >= model->vocab.count) return 0;
    return ch_vocab_text(&model->vocab, token, special, text, capacity);
}

bool chord_token_is_end(const chord_model *model, chord_token token) {
    return ch_vocab_is_end(&model->vocab, token);
}
