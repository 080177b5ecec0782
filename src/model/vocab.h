// vocab: the vocabulary of a model, text to tokens and back.
//
// Owns: tokens, scores, kinds, the lookup table, the tokenizers. Refuses: vocabularies that are
// inconsistent, tokenizer models other than those it has ("llama": SentencePiece BPE with scores),
// by name. Invariant: every id that leaves here is below `count`; tables never change after
// ch_vocab_read.
#ifndef CH_VOCAB_H
#define CH_VOCAB_H

#include "gguf.h"

enum { CH_VOCAB_MAX_TOKENS = 1 << 20, CH_VOCAB_MAX_PIECE = 1 << 16 }; // tokens; bytes of one token

typedef struct ch_vocab {
    int32_t count;          // tokens; 0: the file has no vocabulary
    const uint32_t *start;  // [count] offset of a token's bytes from `base`
    const uint16_t *bytes;  // [count]
    const char *base;       // in the file
    const float *score;     // [count], in the arena
    const uint8_t *kind;    // [count] chord_token_kind
    const uint32_t *slots;  // open-addressing hash from bytes to id, UINT32_MAX: free
    uint32_t slot_count;    // power of two
    uint32_t longest;       // bytes of the longest token in the table
    const int32_t *special; // control and user-defined tokens, longest first
    int32_t special_count;
    int32_t byte_token[256];   // -1: the vocabulary lacks it
    int32_t bos, eos, unknown; // -1: none
    int32_t end[8];            // tokens that end a text
    int32_t end_count;
    bool add_bos, add_eos, add_space_prefix;
    bool words_split; // no token that text can become has a space mark (U+2581) after anything but
                      // a space mark: words can be merged one by one
} ch_vocab;

// Bytes that ch_vocab_read takes from the arena: the sum of ch_arena_room over its tables. Checks
// that the arrays tokens, scores and token_type fit together. A file without tokenizer.ggml.model
// has no vocabulary: 0 bytes.
CH_FN chord_result ch_vocab_measure(const ch_gguf *gguf, uint64_t *table_bytes, chord_error *error);
CH_FN chord_result ch_vocab_read(const ch_gguf *gguf, ch_arena *arena, ch_vocab *vocab,
                                 chord_error *error);

// The first token with these bytes whose kind is in `kinds` (bits 1 << chord_token_kind), -1 if
// there is none. `hash` is that of the bytes (ch_hash_byte). Byte, unknown and empty tokens are not
// in the table.
enum {
    CH_VOCAB_TEXT_KINDS =
        1 << CHORD_TOKEN_NORMAL | 1 << CHORD_TOKEN_USER_DEFINED | 1 << CHORD_TOKEN_UNUSED,
    CH_VOCAB_SPECIAL_KINDS = 1 << CHORD_TOKEN_CONTROL | 1 << CHORD_TOKEN_USER_DEFINED
};
CH_FN int32_t ch_vocab_find(const ch_vocab *vocab, const char *text, size_t bytes, uint32_t hash,
                            uint32_t kinds);

// The control or user-defined token of this name, -1 if there is none.
CH_FN int32_t ch_vocab_find_special(const ch_vocab *vocab, const char *name);

// As chord_tokenize and its companions in chord.h.
CH_FN chord_result ch_vocab_tokenize(const ch_vocab *vocab, const chord_tokenize_desc *desc,
                                     chord_token *tokens, size_t capacity, size_t *count,
                                     chord_error *error);
CH_FN size_t ch_vocab_scratch(const ch_vocab *vocab, size_t text_bytes);
CH_FN size_t ch_vocab_text(const ch_vocab *vocab, chord_token token, bool special, char *text,
                           size_t capacity);
CH_FN bool ch_vocab_is_end(const ch_vocab *vocab, chord_token token);

#endif
