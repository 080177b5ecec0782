// vocab: see vocab.h. This file reads the tables; tokenize.c uses them.
//
// Token bytes stay in the file: a token is an offset from the first byte of the array and a length,
// both checked here once. Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include "vocab.h"

typedef struct vocab_arrays {
    const ch_gguf_meta *tokens, *scores, *kinds; // scores and kinds may be NULL
    uint32_t count;                              // 0: no vocabulary
} vocab_arrays;

// An array of one value per token, or NULL.
static chord_result vocab_find_array(const ch_gguf *gguf, const char *key, ch_gguf_kind kind,
                                     ch_gguf_kind other_kind, uint32_t count,
                                     const ch_gguf_meta **out, chord_error *error) {
    const ch_gguf_meta *meta = ch_gguf_find(gguf, key);
    *out = meta;
    if (!meta) return CHORD_OK;
    bool array = meta->kind == CH_GGUF_ARRAY;
    if (!array || (meta->element_kind != kind && meta->element_kind != other_kind))
        return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" is %s%s%s; arr[%s] is wanted", key,
                       array ? "arr[" : "", ch_gguf_kind_name(meta->element_kind), array ? "]" : "",
                       ch_gguf_kind_name(kind));
    if (count && meta->count != count)
        return ch_fail(error, CHORD_ERROR_FORMAT,
                       "key \"%s\" has %llu elements; one for each of the %lu tokens is wanted",
                       key, (unsigned long long)meta->count, (unsigned long)count);
    return CHORD_OK;
}

// Finds the arrays and checks that they fit together; not what they hold.
static chord_result vocab_find_arrays(const ch_gguf *gguf, vocab_arrays *arrays,
                                      chord_error *error) {
    memset(arrays, 0, sizeof *arrays);
    const char *key = "tokenizer.ggml.tokens";
    ch_gguf_text model = {NULL, 0};
    char quoted[40];
    chord_result result = ch_gguf_get_text(gguf, "tokenizer.ggml.model", false, &model, error);
    if (result || !model.at) return result;
    if (!ch_gguf_text_is(model, "llama"))
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "key \"tokenizer.ggml.model\" is \"%s\"; chord has \"llama\"",
                       ch_printable(model.at, model.bytes, quoted, sizeof quoted));
    result = vocab_find_array(gguf, key, CH_GGUF_STRING, CH_GGUF_STRING, 0, &arrays->tokens, error);
    if (result) return result;
    if (!arrays->tokens) return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" is missing", key);
    uint64_t count = arrays->tokens->count;
    if (count < 1 || count > CH_VOCAB_MAX_TOKENS)
        return ch_fail(error, CHORD_ERROR_FORMAT, "key \"%s\" has %llu tokens; 1 to %d are wanted",
                       key, (unsigned long long)count, CH_VOCAB_MAX_TOKENS);
    if (arrays->tokens->value_bytes > UINT32_MAX)
        return ch_fail(error, CHORD_ERROR_FORMAT,
                       "key \"%s\" takes %llu bytes; at most 2^32 - 1 "
                       "are read",
                       key, (unsigned long long)arrays->tokens->value_bytes);
    arrays->count = (uint32_t)count;
    result = vocab_find_array(gguf, "tokenizer.ggml.scores", CH_GGUF_F32, CH_GGUF_F32,
                              arrays->count, &arrays->scores, error);
    if (result) return result;
    return vocab_find_array(gguf, "tokenizer.ggml.token_type", CH_GGUF_I32, CH_GGUF_U32,
                            arrays->count, &arrays->kinds, error);
}

// The kind of token i. A file that was read as `undefined` (0) means normal.
static chord_result vocab_kind(const vocab_arrays *arrays, uint32_t i, uint8_t *out,
                               chord_error *error) {
    int64_t kind = arrays->kinds ? ch_gguf_array_int(arrays->kinds, i) : 0;
    if (kind < 0 || kind > CHORD_TOKEN_BYTE)
        return ch_fail(error, CHORD_ERROR_FORMAT,
                       "key \"tokenizer.ggml.token_type\": token %lu is of kind %lld; 0 to %d are "
                       "wanted",
                       (unsigned long)i, (long long)kind, CHORD_TOKEN_BYTE);
    *out = kind ? (uint8_t)kind : (uint8_t)CHORD_TOKEN_NORMAL;
    return CHORD_OK;
}

static bool vocab_is_special(uint8_t kind) {
    return (CH_VOCAB_SPECIAL_KINDS >> kind & 1) != 0;
}

static uint32_t vocab_slots(uint32_t count) {
    uint32_t slots = 2;
    while (slots < count * 2) slots *= 2;
    return slots;
}

CH_FN chord_result ch_vocab_measure(const ch_gguf *gguf, uint64_t *table_bytes,
                                    chord_error *error) {
    vocab_arrays arrays;
    *table_bytes = 0;
    chord_result result = vocab_find_arrays(gguf, &arrays, error);
    if (result || arrays.count == 0) return result;
    uint64_t count = arrays.count, special = 0;
    for (uint32_t i = 0; i < arrays.count; i++) {
        uint8_t kind = 0;
        if ((result = vocab_kind(&arrays, i, &kind, error))) return result;
        special += vocab_is_special(kind);
    }
    // At most 2^20 tokens: far from overflow.
    *table_bytes = ch_arena_room(count * sizeof(uint32_t)) +
                   ch_arena_room(count * sizeof(uint16_t)) + ch_arena_room(count * sizeof(float)) +
                   ch_arena_room(count) + ch_arena_room(special * sizeof(int32_t)) +
                   ch_arena_room((uint64_t)vocab_slots(arrays.count) * sizeof(uint32_t));
    return CHORD_OK;
}

// ---- the tables

// Where each token stands. The lengths come from the file once more, so they are bounded once more.
static chord_result vocab_read_tokens(const vocab_arrays *arrays, uint32_t *start, uint16_t *bytes,
                                      chord_error *error) {
    const char *text = "key \"tokenizer.ggml.tokens\"";
    const uint8_t *base = arrays->tokens->value;
    uint64_t end = arrays->tokens->value_bytes, at = 0; // end is below 2^32
    for (uint32_t i = 0; i < arrays->count; i++) {
        uint64_t length = 0;
        if (end - at < sizeof length)
            return ch_fail(error, CHORD_ERROR_FORMAT, "%s changed while it was read", text);
        memcpy(&length, base + at, sizeof length);
        at += sizeof length;
        if (length > end - at)
            return ch_fail(error, CHORD_ERROR_FORMAT, "%s changed while it was read", text);
        if (length >= CH_VOCAB_MAX_PIECE)
            return ch_fail(error, CHORD_ERROR_FORMAT,
                           "%s: token %lu has %llu bytes; at most %d are read", text,
                           (unsigned long)i, (unsigned long long)length, CH_VOCAB_MAX_PIECE - 1);
        start[i] = (uint32_t)at;
        bytes[i] = (uint16_t)length;
        at += length;
    }
    return CHORD_OK;
}

static chord_result vocab_read_scores(const vocab_arrays *arrays, float *score,
                                      chord_error *error) {
    if (!arrays->scores) return CHORD_OK; // the arena is zeroed
    for (uint32_t i = 0; i < arrays->count; i++) {
        memcpy(&score[i], arrays->scores->value + (size_t)i * sizeof *score, sizeof *score);
        if (score[i] != score[i])
            return ch_fail(error, CHORD_ERROR_FORMAT,
                           "key \"tokenizer.ggml.scores\": the score of token %lu is not a number",
                           (unsigned long)i);
    }
    return CHORD_OK;
}

// ---- the lookup table

static uint32_t vocab_hash(const char *text, size_t bytes) {
    uint32_t hash = CH_HASH_START;
    for (size_t i = 0; i < bytes; i++) hash = ch_hash_byte(hash, (uint8_t)text[i]);
    return hash;
}

CH_FN int32_t ch_vocab_find(const ch_vocab *vocab, const char *text, size_t bytes, uint32_t hash,
                            uint32_t kinds) {
    uint32_t slot = ch_hash_slot(hash, vocab->slot_count);
    for (; vocab->slots[slot] != UINT32_MAX; slot = (slot + 1) & (vocab->slot_count - 1)) {
        uint32_t id = vocab->slots[slot];
        if (vocab->bytes[id] == bytes && (kinds >> vocab->kind[id] & 1) &&
            memcmp(vocab->base + vocab->start[id], text, bytes) == 0)
            return (int32_t)id;
    }
    return -1;
}

CH_FN int32_t ch_vocab_find_special(const ch_vocab *vocab, const char *name) {
    size_t bytes = strlen(name);
    return ch_vocab_find(vocab, name, bytes, vocab_hash(name, bytes), CH_VOCAB_SPECIAL_KINDS);
}

// Puts token `id` in the table, unless one with the same bytes and kind is there. Since ids come in
// order and nothing is taken out, a search meets the smallest id first.
static chord_result vocab_insert(const ch_vocab *vocab, uint32_t *slots, uint32_t id,
                                 chord_error *error) {
    const char *text = vocab->base + vocab->start[id];
    uint32_t slot = ch_hash_slot(vocab_hash(text, vocab->bytes[id]), vocab->slot_count);
    for (int32_t probes = 0; slots[slot] != UINT32_MAX; probes++) {
        uint32_t other = slots[slot];
        if (vocab->bytes[other] == vocab->bytes[id] && vocab->kind[other] == vocab->kind[id] &&
            memcmp(vocab->base + vocab->start[other], text, vocab->bytes[id]) == 0)
            return CHORD_OK;
        if (probes == CH_HASH_MAX_PROBES)
            return ch_fail(error, CHORD_ERROR_FORMAT,
                           "key \"tokenizer.ggml.tokens\": token %lu and over %d others fall on "
                           "one place of a table",
                           (unsigned long)id, CH_HASH_MAX_PROBES);
        slot = (slot + 1) & (vocab->slot_count - 1);
    }
    slots[slot] = id;
    return CHORD_OK;
}

// True if U+2581 stands in the text after anything but another one.
static bool vocab_marks_inside(const char *text, size_t bytes) {
    const char mark[4] = "\xe2\x96\x81";
    for (size_t i = 1; i + 3 <= bytes; i++)
        if (memcmp(text + i, mark, 3) == 0 && (i < 3 || memcmp(text + i - 3, mark, 3) != 0))
            return true;
    return false;
}

static chord_result vocab_fill_slots(ch_vocab *vocab, uint32_t *slots, chord_error *error) {
    memset(slots, 0xff, vocab->slot_count * sizeof *slots);
    vocab->words_split = true;
    for (uint32_t i = 0; i < (uint32_t)vocab->count; i++) {
        uint32_t in = 1u << vocab->kind[i], bytes = vocab->bytes[i];
        if (bytes == 0 || !(in & (CH_VOCAB_TEXT_KINDS | CH_VOCAB_SPECIAL_KINDS))) continue;
        chord_result result = vocab_insert(vocab, slots, i, error);
        if (result) return result;
        vocab->longest = CH_MAX(vocab->longest, bytes);
        if ((in & CH_VOCAB_TEXT_KINDS) && vocab_marks_inside(vocab->base + vocab->start[i], bytes))
            vocab->words_split = false;
    }
    return CHORD_OK;
}

// ---- special tokens

static int vocab_hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Byte tokens are called <0x00> to <0xFF>.
static chord_result vocab_read_byte_tokens(ch_vocab *vocab, chord_error *error) {
    for (int32_t i = 0; i < 256; i++) vocab->byte_token[i] = -1;
    for (int32_t i = 0; i < vocab->count; i++) {
        if (vocab->kind[i] != CHORD_TOKEN_BYTE) continue;
        char text[6], quoted[40];
        const char *name = vocab->base + vocab->start[i];
        memset(text, 0, sizeof text);
        if (vocab->bytes[i] == sizeof text) memcpy(text, name, sizeof text);
        int high = vocab_hex(text[3]), low = vocab_hex(text[4]);
        if (memcmp(text, "<0x", 3) != 0 || high < 0 || low < 0 || text[5] != '>')
            return ch_fail(error, CHORD_ERROR_FORMAT,
                           "key \"tokenizer.ggml.tokens\": byte token %ld is \"%s\"; <0x00> to "
                           "<0xFF> are wanted",
                           (long)i, ch_printable(name, vocab->bytes[i], quoted, sizeof quoted));
        int32_t *token = &vocab->byte_token[high * 16 + low];
        if (*token < 0) *token = i;
    }
    return CHORD_OK;
}

static uint64_t vocab_special_key(const void *user, uint32_t id) {
    const ch_vocab *vocab = (const ch_vocab *)user;
    return (uint64_t)(UINT16_MAX - vocab->bytes[id]) << 32 | id;
}

// Control and user-defined tokens that have a text, longest first.
static void vocab_fill_special(ch_vocab *vocab, uint32_t *special) {
    uint32_t n = 0;
    for (int32_t i = 0; i < vocab->count; i++)
        if (vocab_is_special(vocab->kind[i]) && vocab->bytes[i]) special[n++] = (uint32_t)i;
    ch_sort_indices(special, n, vocab_special_key, vocab);
    vocab->special_count = (int32_t)n;
}

static void vocab_add_end(ch_vocab *vocab, int32_t token) {
    if (token < 0 || ch_vocab_is_end(vocab, token)) return;
    if (vocab->end_count < (int32_t)CH_COUNT(vocab->end)) vocab->end[vocab->end_count++] = token;
}

// Ids that the file names. All of them must be tokens, also those that chord has no use for.
static chord_result vocab_read_ids(const ch_gguf *gguf, ch_vocab *vocab, chord_error *error) {
    enum { BOS, EOS, UNKNOWN, EOT, EOM, COUNT = 15 };
    static const char *const keys[COUNT] = {
        "tokenizer.ggml.bos_token_id",       "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.unknown_token_id",   "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",       "tokenizer.ggml.separator_token_id",
        "tokenizer.ggml.seperator_token_id", "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.mask_token_id",      "tokenizer.ggml.cls_token_id",
        "tokenizer.ggml.fim_pre_token_id",   "tokenizer.ggml.fim_suf_token_id",
        "tokenizer.ggml.fim_mid_token_id",   "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_rep_token_id"};
    int64_t ids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        ids[i] = -1;
        chord_result result =
            ch_gguf_get_int(gguf, keys[i], false, 0, vocab->count - 1, &ids[i], error);
        if (result) return result;
    }
    vocab->bos = (int32_t)ids[BOS];
    vocab->eos = (int32_t)ids[EOS];
    vocab->unknown = (int32_t)ids[UNKNOWN];
    for (int32_t i = 0; i < vocab->count && vocab->unknown < 0; i++)
        if (vocab->kind[i] == CHORD_TOKEN_UNKNOWN) vocab->unknown = i;
    vocab_add_end(vocab, (int32_t)ids[EOS]);
    vocab_add_end(vocab, (int32_t)ids[EOT]);
    vocab_add_end(vocab, (int32_t)ids[EOM]);
    return CHORD_OK;
}

// The marks that well-known chat templates end a turn with; many files do not name them as eot.
static void vocab_find_ends(ch_vocab *vocab) {
    static const char *const marks[] = {"<|im_end|>",    "<|eot_id|>",    "<|end|>",
                                        "<end_of_turn>", "<|endoftext|>", "</s>"};
    for (size_t i = 0; i < CH_COUNT(marks); i++)
        vocab_add_end(vocab, ch_vocab_find_special(vocab, marks[i]));
}

static chord_result vocab_read_flags(const ch_gguf *gguf, ch_vocab *vocab, chord_error *error) {
    vocab->add_bos = true;
    vocab->add_space_prefix = true;
    chord_result result =
        ch_gguf_get_bool(gguf, "tokenizer.ggml.add_bos_token", false, &vocab->add_bos, error);
    if (result || (result = ch_gguf_get_bool(gguf, "tokenizer.ggml.add_eos_token", false,
                                             &vocab->add_eos, error)))
        return result;
    return ch_gguf_get_bool(gguf, "tokenizer.ggml.add_space_prefix", false,
                            &vocab->add_space_prefix, error);
}

// ---- reading

CH_FN chord_result ch_vocab_read(const ch_gguf *gguf, ch_arena *arena, ch_vocab *vocab,
                                 chord_error *error) {
    vocab_arrays arrays;
    memset(vocab, 0, sizeof *vocab);
    vocab->bos = vocab->eos = vocab->unknown = -1;
    chord_result result = vocab_find_arrays(gguf, &arrays, error);
    if (result || arrays.count == 0) return result;
    size_t count = arrays.count, special_count = 0;
    uint32_t *start = (uint32_t *)ch_arena_take(arena, count * sizeof *start);
    uint16_t *bytes = (uint16_t *)ch_arena_take(arena, count * sizeof *bytes);
    float *score = (float *)ch_arena_take(arena, count * sizeof *score);
    uint8_t *kind = (uint8_t *)ch_arena_take(arena, count);
    uint32_t slot_count = vocab_slots(arrays.count);
    uint32_t *slots = (uint32_t *)ch_arena_take(arena, slot_count * sizeof *slots);
    if (!start || !bytes || !score || !kind || !slots)
        return ch_fail(error, CHORD_ERROR_MEMORY, "the vocabulary does not fit its memory");
    if ((result = vocab_read_tokens(&arrays, start, bytes, error)) ||
        (result = vocab_read_scores(&arrays, score, error)))
        return result;
    for (uint32_t i = 0; i < arrays.count; i++) {
        if ((result = vocab_kind(&arrays, i, &kind[i], error))) return result;
        special_count += vocab_is_special(kind[i]);
    }
    // Counted anew from what is kept: the file may have changed since it was measured.
    uint32_t *special = (uint32_t *)ch_arena_take(arena, special_count * sizeof *special);
    if (!special)
        return ch_fail(error, CHORD_ERROR_MEMORY, "the vocabulary does not fit its memory");
    vocab->start = start;
    vocab->bytes = bytes;
    vocab->base = (const char *)arrays.tokens->value;
    vocab->score = score;
    vocab->kind = kind;
    vocab->slots = slots;
    vocab->slot_count = slot_count;
    vocab->special = (const int32_t *)special;
    vocab->count = (int32_t)arrays.count;
    vocab_fill_special(vocab, special);
    if ((result = vocab_fill_slots(vocab, slots, error)) ||
        (result = vocab_read_byte_tokens(vocab, error)) ||
        (result = vocab_read_ids(gguf, vocab, error)))
        return result;
    vocab_find_ends(vocab);
    return vocab_read_flags(gguf, vocab, error);
}

// ---- tokens to text

CH_FN bool ch_vocab_is_end(const ch_vocab *vocab, chord_token token) {
    for (int32_t i = 0; i < vocab->end_count; i++)
        if (vocab->end[i] == token) return true;
    return false;
}

CH_FN size_t ch_vocab_text(const ch_vocab *vocab, chord_token token, bool special, char *text,
                           size_t capacity) {
    if (token < 0 || token >= vocab->count) return 0;
    const char *from = vocab->base + vocab->start[token];
    size_t bytes = vocab->bytes[token], n = 0;
    uint8_t kind = vocab->kind[token];
    if (kind == CHORD_TOKEN_BYTE) {
        // Checked when it was read; the mask keeps the value in range should the file change.
        int value = (vocab_hex(from[3]) * 16 + vocab_hex(from[4])) & 0xff;
        if (capacity) text[0] = (char)(uint8_t)value;
        return 1;
    }
    bool named = kind == CHORD_TOKEN_CONTROL || kind == CHORD_TOKEN_UNKNOWN;
    if (named && !special) return 0;
    for (size_t i = 0; i < bytes; n++) {
        bool mark = !named && bytes - i >= 3 && memcmp(from + i, "\xe2\x96\x81", 3) == 0;
        if (n < capacity) text[n] = mark ? ' ' : from[i];
        i += mark ? 3 : 1;
    }
    return n;
}
