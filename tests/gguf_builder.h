// gguf_builder: writes GGUF files in memory, whole or broken, for tests.
//
// Owns: the buffers of one file. Refuses: nothing; what is written is what was asked for, so that a
// test can ask for nonsense. Out of memory ends the test.
#ifndef GGUF_BUILDER_H
#define GGUF_BUILDER_H

#include "../src/model/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Seconds of processor time that this process has used: limits on it hold on a busy machine too.
// With sanitizers a limit is GB_SLOWER times as long.
double gb_cpu_seconds(void);
#define GB_SLOWER (CH_ARENA_POISON ? 10 : 1)

typedef struct gb_buffer {
    uint8_t *data;
    size_t bytes, capacity;
} gb_buffer;

typedef struct gguf_builder {
    gb_buffer meta, infos, data, file;
    uint64_t meta_count, tensor_count; // as the header tells them; a test may change them
    uint32_t version;                  // 3
    uint32_t alignment;                // 32; gb_tensor pads data to it. No key is written for it.
    uint64_t random;                   // state of gb_random
} gguf_builder;

void gb_open(gguf_builder *builder);
void gb_close(gguf_builder *builder);

// Bytes at the end of one of the buffers, little-endian.
void gb_bytes(gb_buffer *buffer, const void *bytes, size_t count);
void gb_u32(gb_buffer *buffer, uint32_t value);
void gb_u64(gb_buffer *buffer, uint64_t value);
void gb_string(gb_buffer *buffer, const char *text, size_t bytes);

// A key and its kind, the value to follow: counts as one key.
void gb_key(gguf_builder *builder, const char *key, uint32_t kind);
void gb_meta_u32(gguf_builder *builder, const char *key, uint32_t value);
void gb_meta_i32(gguf_builder *builder, const char *key, int32_t value);
void gb_meta_u64(gguf_builder *builder, const char *key, uint64_t value);
void gb_meta_f32(gguf_builder *builder, const char *key, float value);
void gb_meta_bool(gguf_builder *builder, const char *key, uint8_t value);
void gb_meta_text(gguf_builder *builder, const char *key, const char *value);
// Arrays: of strings, and of anything of fixed size.
void gb_meta_texts(gguf_builder *builder, const char *key, const char *const *values, size_t count);
void gb_meta_array(gguf_builder *builder, const char *key, uint32_t element_kind,
                   const void *values, size_t value_bytes, size_t count);

// A tensor's directory entry as it stands in the file.
void gb_info(gguf_builder *builder, const char *name, uint32_t dims, const uint64_t *shape,
             uint32_t type, uint64_t offset);
// A tensor with its data (NULL: gb_random_row of each row), aligned.
void gb_tensor(gguf_builder *builder, const char *name, ch_type type, uint32_t dims,
               const uint64_t *shape, const void *data);

// Random weights of about +-0.05 as any type; quantized blocks have random bits and sane scales.
void gb_random_row(gguf_builder *builder, ch_type type, uint64_t elements, uint8_t *row);
uint64_t gb_random(gguf_builder *builder);

// Puts the file together: header, keys, tensor entries, padding, data. Returns it; it is the
// builder's, in a block of exactly *bytes bytes (so that reading past its end is seen), aligned to
// 64.
const uint8_t *gb_finish(gguf_builder *builder, size_t *bytes);

// A llama model. Zeroed fields take the values in brackets.
typedef struct gb_model {
    int32_t layers;           // [2]
    int32_t embedding;        // [64]
    int32_t heads, kv_heads;  // [4], [2]
    int32_t feed_forward;     // [96]
    int32_t vocabulary;       // [300]; at least 262: 3 special, 256 bytes, then text
    int32_t context;          // [128]
    ch_type type;             // of matrices [F32]
    bool mixed;               // attn_v and ffn_up are F16 all the same
    bool tied;                // no output.weight: the embedding serves
    bool chatml;              // the last two tokens are <|im_start|> and <|im_end|>, control tokens
    const char *architecture; // ["llama"]; the prefix of its keys too
    const char *without_key;  // leaves a key or tensor of this name out
    const char *without_tensor;
    uint64_t seed;
    // Called before the tensors are written, to add keys, and after all, to add or corrupt.
    void (*on_keys)(gguf_builder *builder, void *user);
    void (*on_end)(gguf_builder *builder, void *user);
    void *user;
} gb_model;

// Opens the builder and writes the model; the caller calls gb_finish and gb_close.
void gb_build_model(gguf_builder *builder, const gb_model *model);

// The vocabulary alone: `count` tokens as above (or as many as given), all keys of it.
void gb_build_vocab(gguf_builder *builder, const gb_model *model, int32_t count);

#endif
