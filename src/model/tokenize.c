// tokenize: text to tokens, as SentencePiece's BPE with scores does it (Kudo and Richardson 2018,
// https://github.com/google/sentencepiece).
//
// A text is cut at special tokens (if asked for) into fragments, a fragment at space marks into
// words (if the vocabulary lets it), and a word into symbols: UTF-8 characters, or single bytes
// where it is not UTF-8. Then the pair of neighbours that makes the token with the highest score
// merges, the leftmost of equals first, until no pair makes a token. Pairs wait in a binary heap
// that is indexed by the left symbol, so that a merge costs O(log n) and nothing is allocated: a
// word of n symbols takes TOK_SYMBOL_BYTES * n bytes of scratch plus its text.
//
// Cutting at words loses nothing: a cut stands before a space mark that follows another character,
// and no token that text can become holds such a pair (ch_vocab.words_split), so no merge ever
// crosses a cut.
#include "vocab.h"

typedef struct tok_symbol {
    uint32_t offset, bytes; // in the word's text
    int32_t prev, next;     // symbols, -1 at the ends
    int32_t place;          // in the heap, of the pair (this, next); -1: it makes no token
    float score;            // of that pair
} tok_symbol;

// Scratch: the symbols, the heap, then the text, in which a space takes 3 bytes. So one byte of
// text, which is a symbol at most, takes up to 31 bytes.
#define TOK_SYMBOL_BYTES (sizeof(tok_symbol) + sizeof(int32_t))
#define TOK_SLACK        8 // to align the caller's scratch
#define TOK_STACK_BYTES  8192

#define TOK_MARK "\xe2\x96\x81" // U+2581, which stands for a space

// Which special tokens there are, to find out quickly that none begins at a byte.
typedef struct tok_specials {
    bool first[256];              // some special token begins with this byte
    uint64_t lengths[65536 / 64]; // bit n: some special token has n bytes
    size_t longest;
} tok_specials;

typedef struct tok_run {
    const ch_vocab *vocab;
    const tok_specials *specials; // NULL: not looked for
    chord_token *tokens;
    size_t capacity, count;
    uint8_t *scratch; // aligned
    size_t scratch_bytes;
    bool goes_on;  // as in the desc
    bool dry;      // only find out how much scratch is wanted
    size_t wanted; // bytes of scratch for the word that takes most
    chord_error *error;
} tok_run;

typedef struct tok_word {
    const ch_vocab *vocab;
    tok_symbol *symbols;
    int32_t *heap; // symbols, the best pair first
    int32_t heap_count;
    char *text;
} tok_word;

static void tok_emit(tok_run *run, int32_t token) {
    if (run->count < run->capacity) run->tokens[run->count] = token;
    run->count++;
}

// ---- characters

// Bytes of the UTF-8 character at `text`; 1 where there is no valid one (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF).
static size_t tok_char(const char *text, size_t left) {
    const uint8_t *p = (const uint8_t *)text;
    uint8_t low = 0x80, high = 0xbf; // limits of the second byte
    size_t n = p[0] < 0xc2 || p[0] > 0xf4 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n == 1 || n > left) return 1;
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    if (p[1] < low || p[1] > high) return 1;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 1;
    return n;
}

static bool tok_is_mark(const char *text, size_t bytes) {
    return text[0] == ' ' || (bytes == 3 && memcmp(text, TOK_MARK, 3) == 0);
}

// ---- the heap of pairs

static bool tok_before(const tok_word *word, int32_t a, int32_t b) {
    float x = word->symbols[a].score, y = word->symbols[b].score;
    return x > y || (x == y && a < b);
}

static void tok_put(tok_word *word, int32_t place, int32_t symbol) {
    word->heap[place] = symbol;
    word->symbols[symbol].place = place;
}

// Moves a symbol from a place that is free up or down to where it belongs.
static void tok_sift(tok_word *word, int32_t place, int32_t symbol) {
    for (; place > 0; place = (place - 1) / 2) {
        int32_t above = word->heap[(place - 1) / 2];
        if (!tok_before(word, symbol, above)) break;
        tok_put(word, place, above);
    }
    // Below 2^26 symbols fit the largest word, so 2 * place + 2 does not overflow.
    for (int32_t child = 2 * place + 1; child < word->heap_count; child = 2 * place + 1) {
        if (child + 1 < word->heap_count &&
            tok_before(word, word->heap[child + 1], word->heap[child]))
            child++;
        if (!tok_before(word, word->heap[child], symbol)) break;
        tok_put(word, place, word->heap[child]);
        place = child;
    }
    tok_put(word, place, symbol);
}

static void tok_remove(tok_word *word, int32_t symbol) {
    int32_t place = word->symbols[symbol].place;
    if (place < 0) return;
    word->symbols[symbol].place = -1;
    int32_t last = word->heap[--word->heap_count];
    if (last != symbol) tok_sift(word, place, last);
}

// ---- one word

static int32_t tok_find(const tok_word *word, uint32_t offset, uint32_t bytes) {
    if (bytes > word->vocab->longest) return -1;
    const char *text = word->text + offset;
    uint32_t hash = CH_HASH_START;
    for (uint32_t i = 0; i < bytes; i++) hash = ch_hash_byte(hash, (uint8_t)text[i]);
    return ch_vocab_find(word->vocab, text, bytes, hash, CH_VOCAB_TEXT_KINDS);
}

// Looks anew at the pair that begins with a symbol.
static void tok_update(tok_word *word, int32_t left) {
    tok_symbol *symbol = &word->symbols[left];
    int32_t token = -1;
    if (symbol->next >= 0)
        token = tok_find(word, symbol->offset, symbol->bytes + word->symbols[symbol->next].bytes);
    if (token < 0) {
        tok_remove(word, left);
        return;
    }
    symbol->score = word->vocab->score[token];
    tok_sift(word, symbol->place < 0 ? word->heap_count++ : symbol->place, left);
}

static void tok_merge(tok_word *word) {
    while (word->heap_count) {
        int32_t left = word->heap[0];
        tok_symbol *symbol = &word->symbols[left];
        int32_t right = symbol->next, after = word->symbols[right].next;
        tok_remove(word, right);
        symbol->bytes += word->symbols[right].bytes;
        symbol->next = after;
        if (after >= 0) word->symbols[after].prev = left;
        tok_update(word, left);
        if (symbol->prev >= 0) tok_update(word, symbol->prev);
    }
}

// A symbol that is no token becomes its bytes, or, if one of them has no token, the unknown token.
static chord_result tok_emit_symbol(tok_run *run, const tok_word *word, const tok_symbol *symbol) {
    int32_t token = tok_find(word, symbol->offset, symbol->bytes);
    if (token >= 0) {
        tok_emit(run, token);
        return CHORD_OK;
    }
    const uint8_t *text = (const uint8_t *)word->text + symbol->offset;
    for (uint32_t i = 0; i < symbol->bytes; i++) {
        if (run->vocab->byte_token[text[i]] >= 0) continue;
        if (run->vocab->unknown < 0)
            return ch_fail(run->error, CHORD_ERROR_UNSUPPORTED,
                           "the vocabulary has no token for the byte 0x%02X, and no unknown token",
                           text[i]);
        tok_emit(run, run->vocab->unknown);
        return CHORD_OK;
    }
    for (uint32_t i = 0; i < symbol->bytes; i++) tok_emit(run, run->vocab->byte_token[text[i]]);
    return CHORD_OK;
}

static int32_t tok_add_symbol(tok_word *word, int32_t count, uint32_t offset, const char *text,
                              uint32_t bytes) {
    tok_symbol *symbol = &word->symbols[count];
    symbol->offset = offset;
    symbol->bytes = bytes;
    symbol->prev = count - 1;
    symbol->next = count + 1;
    symbol->place = -1;
    symbol->score = 0;
    memcpy(word->text + offset, text, bytes);
    return count + 1;
}

// Tokenizes one word of `symbols` symbols, of which the first is a space that is not in `text` if
// `prefix`.
static chord_result tok_do_word(tok_run *run, const char *text, size_t text_bytes, bool prefix,
                                size_t symbols) {
    tok_word word;
    int32_t count = 0;
    uint32_t offset = 0;
    word.vocab = run->vocab;
    word.symbols = (tok_symbol *)(void *)run->scratch;
    word.heap = (int32_t *)(void *)(run->scratch + symbols * sizeof(tok_symbol));
    word.heap_count = 0;
    word.text = (char *)(run->scratch + symbols * TOK_SYMBOL_BYTES);
    if (prefix) {
        count = tok_add_symbol(&word, count, offset, TOK_MARK, 3);
        offset = 3;
    }
    for (size_t at = 0; at < text_bytes;) {
        size_t bytes = tok_char(text + at, text_bytes - at);
        bool space = text[at] == ' ';
        count = tok_add_symbol(&word, count, offset, space ? TOK_MARK : text + at,
                               space ? 3 : (uint32_t)bytes);
        offset += word.symbols[count - 1].bytes;
        at += bytes;
    }
    word.symbols[count - 1].next = -1;
    for (int32_t i = 0; i < count; i++) tok_update(&word, i);
    tok_merge(&word);
    for (int32_t i = 0; i >= 0; i = word.symbols[i].next) {
        chord_result result = tok_emit_symbol(run, &word, &word.symbols[i]);
        if (result) return result;
    }
    return CHORD_OK;
}

// Measures a word and, unless the run is dry, tokenizes it.
static chord_result tok_word_done(tok_run *run, const char *text, size_t text_bytes, bool prefix,
                                  size_t symbols, size_t bytes) {
    if (bytes > INT32_MAX / 32)
        return ch_fail(run->error, CHORD_ERROR_ARGUMENT,
                       "the text has a word of %llu bytes; at most %d are taken",
                       (unsigned long long)bytes, INT32_MAX / 32);
    if (!run->dry) return tok_do_word(run, text, text_bytes, prefix, symbols);
    run->wanted = CH_MAX(run->wanted, symbols * TOK_SYMBOL_BYTES + bytes);
    return CHORD_OK;
}

// ---- fragments

// Text without special tokens, at least a byte of it, cut into words.
static chord_result tok_fragment(tok_run *run, const char *text, size_t text_bytes, bool prefix) {
    size_t start = 0, symbols = prefix, bytes = prefix ? 3 : 0;
    bool after_mark = true; // before the first character there is nothing to cut
    for (size_t at = 0; at < text_bytes;) {
        size_t length = tok_char(text + at, text_bytes - at);
        bool mark = tok_is_mark(text + at, length);
        if (mark && !after_mark && run->vocab->words_split) {
            chord_result result =
                tok_word_done(run, text + start, at - start, prefix, symbols, bytes);
            if (result) return result;
            start = at;
            prefix = false;
            symbols = bytes = 0;
        }
        symbols++;
        bytes += mark ? 3 : length;
        after_mark = mark;
        at += length;
    }
    return tok_word_done(run, text + start, text_bytes - start, prefix, symbols, bytes);
}

static void tok_find_specials(const ch_vocab *vocab, tok_specials *specials) {
    memset(specials, 0, sizeof *specials);
    for (int32_t i = 0; i < vocab->special_count; i++) {
        int32_t token = vocab->special[i];
        size_t bytes = vocab->bytes[token];
        specials->first[(uint8_t)vocab->base[vocab->start[token]]] = true;
        specials->lengths[bytes / 64] |= (uint64_t)1 << bytes % 64;
        specials->longest = CH_MAX(specials->longest, bytes);
    }
}

// The longest special token at the beginning of the text, -1 if there is none.
static int32_t tok_match_special(const tok_run *run, const char *text, size_t left) {
    const tok_specials *specials = run->specials;
    if (!specials->first[(uint8_t)text[0]]) return -1;
    int32_t best = -1;
    uint32_t hash = CH_HASH_START;
    size_t most = CH_MIN(left, specials->longest);
    for (size_t n = 1; n <= most; n++) {
        hash = ch_hash_byte(hash, (uint8_t)text[n - 1]);
        if (!(specials->lengths[n / 64] >> n % 64 & 1)) continue;
        int32_t token = ch_vocab_find(run->vocab, text, n, hash, CH_VOCAB_SPECIAL_KINDS);
        if (token >= 0) best = token;
    }
    return best;
}

// Every fragment stands at the beginning of the text or after a special token, and there the model
// may want a space in front; not where the text goes on from another.
static chord_result tok_text(tok_run *run, const char *text, size_t text_bytes) {
    size_t start = 0, at = run->specials ? 0 : text_bytes;
    for (;;) {
        int32_t special = -1;
        for (; at < text_bytes; at++) {
            special = tok_match_special(run, text + at, text_bytes - at);
            if (special >= 0) break;
        }
        if (at > start) {
            bool prefix = run->vocab->add_space_prefix && !(start == 0 && run->goes_on);
            chord_result result = tok_fragment(run, text + start, at - start, prefix);
            if (result) return result;
        }
        if (special < 0) return CHORD_OK;
        tok_emit(run, special);
        at += run->vocab->bytes[special];
        start = at;
    }
}

// ---- the whole

CH_FN size_t ch_vocab_scratch(const ch_vocab *vocab, size_t text_bytes) {
    (void)vocab;
    uint64_t bytes = 0;
    if (!ch_add(text_bytes, 1, &bytes) || !ch_mul(bytes, TOK_SYMBOL_BYTES + 3, &bytes) ||
        !ch_add(bytes, TOK_SLACK, &bytes) || bytes > SIZE_MAX)
        return SIZE_MAX;
    return (size_t)bytes;
}

static chord_result tok_check(const ch_vocab *vocab, const chord_tokenize_desc *desc,
                              chord_error *error) {
    if (vocab->count == 0)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "the model has no vocabulary");
    if (!desc->text && desc->text_bytes)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "text is NULL, but text_bytes is %llu",
                       (unsigned long long)desc->text_bytes);
    if (desc->bos < -1 || desc->bos > 1)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "bos is %d; -1, 0 or 1 is wanted", desc->bos);
    if (desc->bos == 1 && vocab->bos < 0)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "the vocabulary has no BOS token");
    return CHORD_OK;
}

// Gives the run the caller's scratch or the stack's, and goes through the text once to see that it
// is enough.
static chord_result tok_set_scratch(tok_run *run, const chord_tokenize_desc *desc, uint8_t *stack) {
    uint8_t *scratch = desc->scratch ? (uint8_t *)desc->scratch : stack;
    size_t bytes = desc->scratch ? desc->scratch_bytes : TOK_STACK_BYTES;
    size_t skip = (size_t)(0 - (uintptr_t)scratch) % TOK_SLACK;
    run->scratch = scratch + CH_MIN(skip, bytes);
    run->scratch_bytes = bytes - CH_MIN(skip, bytes);
    run->dry = true;
    size_t capacity = run->capacity;
    run->capacity = 0;
    chord_result result = tok_text(run, desc->text, desc->text_bytes);
    run->capacity = capacity;
    run->count = 0;
    run->dry = false;
    if (result) return result;
    if (run->wanted > run->scratch_bytes)
        return ch_fail(run->error, CHORD_ERROR_MEMORY,
                       "a word of the text takes %llu bytes of scratch; %llu are given",
                       (unsigned long long)run->wanted + TOK_SLACK, (unsigned long long)bytes);
    return CHORD_OK;
}

CH_FN chord_result ch_vocab_tokenize(const ch_vocab *vocab, const chord_tokenize_desc *desc,
                                     chord_token *tokens, size_t capacity, size_t *count,
                                     chord_error *error) {
    CH_ALIGNAS(TOK_SLACK) uint8_t stack[TOK_STACK_BYTES];
    tok_specials specials;
    tok_run run;
    chord_result result = tok_check(vocab, desc, error);
    if (result) return result;
    memset(&run, 0, sizeof run);
    run.vocab = vocab;
    run.tokens = tokens;
    run.capacity = tokens ? capacity : 0;
    run.error = error;
    run.goes_on = desc->goes_on;
    if (desc->special && vocab->special_count) {
        tok_find_specials(vocab, &specials);
        run.specials = &specials;
    }
    if ((result = tok_set_scratch(&run, desc, stack))) return result;
    if (desc->bos == 1 || (desc->bos == 0 && vocab->add_bos && vocab->bos >= 0))
        tok_emit(&run, vocab->bos);
    if ((result = tok_text(&run, desc->text, desc->text_bytes))) return result;
    if (desc->bos == 0 && vocab->add_eos && vocab->eos >= 0) tok_emit(&run, vocab->eos);
    *count = run.count;
    if (run.count > capacity)
        return ch_fail(error, CHORD_ERROR_SPACE, "the text has %llu tokens; there is room for %llu",
                       (unsigned long long)run.count, (unsigned long long)capacity);
    return CHORD_OK;
}

#undef TOK_SYMBOL_BYTES
#undef TOK_SLACK
#undef TOK_STACK_BYTES
#undef TOK_MARK
