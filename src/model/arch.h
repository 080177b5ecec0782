// arch: what kinds of model chord runs, and the weights and numbers of one of them.
//
// Owns: the architecture table (data, not code paths), hyper-parameters, the binding of tensors to
// their places. Refuses: unknown architectures, numbers that contradict each other, tensors that
// are missing, misshapen or not used by the architecture: all by name. It never guesses. Invariant:
// after ch_arch_read every matrix has the shape that the hyper-parameters say.
#ifndef CH_ARCH_H
#define CH_ARCH_H

#include "gguf.h"
#include "vocab.h"

enum { CH_ARCH_MAX_BLOCKS = 1024, CH_ARCH_MAX_DIM = 1 << 20, CH_ARCH_MAX_CONTEXT = 1 << 24 };

// One row per architecture.
typedef struct ch_arch {
    const char *name; // general.architecture
    bool rope_neox;   // pairs are (i, i + half) instead of (2i, 2i + 1)
} ch_arch;

typedef enum ch_rope_scaling { CH_ROPE_NONE, CH_ROPE_LINEAR, CH_ROPE_YARN } ch_rope_scaling;

typedef struct ch_hparams {
    int32_t context_train, embedding, blocks, feed_forward, heads, kv_heads, key_dim, value_dim,
        vocabulary;
    float rms_eps;
    int32_t rope_dims; // elements of a head that are rotated
    float rope_base;
    ch_rope_scaling rope_scaling;
    float rope_factor, rope_attn_factor, yarn_beta_fast, yarn_beta_slow, yarn_ext_factor;
    int32_t rope_original_context;
} ch_hparams;

// Places of tensors. X(NAME, name in the file): those of a block stand under "blk.N.".
#define CH_BLOCK_WEIGHTS(X)                                                                        \
    X(ATTN_NORM, "attn_norm.weight")                                                               \
    X(ATTN_Q, "attn_q.weight")                                                                     \
    X(ATTN_K, "attn_k.weight")                                                                     \
    X(ATTN_V, "attn_v.weight")                                                                     \
    X(ATTN_OUTPUT, "attn_output.weight")                                                           \
    X(ATTN_Q_BIAS, "attn_q.bias")                                                                  \
    X(ATTN_K_BIAS, "attn_k.bias")                                                                  \
    X(ATTN_V_BIAS, "attn_v.bias")                                                                  \
    X(ATTN_OUTPUT_BIAS, "attn_output.bias")                                                        \
    X(FFN_NORM, "ffn_norm.weight")                                                                 \
    X(FFN_GATE, "ffn_gate.weight")                                                                 \
    X(FFN_UP, "ffn_up.weight")                                                                     \
    X(FFN_DOWN, "ffn_down.weight")                                                                 \
    X(FFN_GATE_BIAS, "ffn_gate.bias")                                                              \
    X(FFN_UP_BIAS, "ffn_up.bias")                                                                  \
    X(FFN_DOWN_BIAS, "ffn_down.bias")
#define CH_MODEL_WEIGHTS(X)                                                                        \
    X(TOKEN_EMBD, "token_embd.weight")                                                             \
    X(OUTPUT_NORM, "output_norm.weight")                                                           \
    X(OUTPUT, "output.weight")                                                                     \
    X(ROPE_FREQS, "rope_freqs.weight")

typedef enum ch_place {
#define CH_PLACE_ENUM(NAME, name) CH_PLACE_##NAME,
    CH_BLOCK_WEIGHTS(CH_PLACE_ENUM) CH_PLACE_BLOCK_COUNT, // places in a block
    CH_PLACE_LAST_OF_BLOCK = CH_PLACE_BLOCK_COUNT - 1,
    CH_MODEL_WEIGHTS(CH_PLACE_ENUM) CH_PLACE_COUNT
#undef CH_PLACE_ENUM
} ch_place;

typedef struct ch_weights {
    const ch_arch *arch;
    ch_hparams hp;
    const ch_gguf_tensor **block; // [blocks][CH_PLACE_BLOCK_COUNT], NULL: none
    const ch_gguf_tensor
        *model[CH_PLACE_COUNT - CH_PLACE_BLOCK_COUNT]; // OUTPUT is never NULL: tied if need be
} ch_weights;

CH_INLINE const ch_gguf_tensor *ch_weight(const ch_weights *w, int32_t block, ch_place place) {
    return place < CH_PLACE_BLOCK_COUNT ? w->block[block * CH_PLACE_BLOCK_COUNT + (int32_t)place]
                                        : w->model[place - CH_PLACE_BLOCK_COUNT];
}

// The name of a place without "blk.N.", and without ".weight" where that is its ending.
CH_FN const char *ch_place_name(ch_place place);

// Reads architecture and hyper-parameters, and tells how many bytes of tables ch_arch_bind takes.
CH_FN chord_result ch_arch_read(const ch_gguf *gguf, const ch_vocab *vocab, ch_weights *weights,
                                uint64_t *table_bytes, chord_error *error);

// Finds and checks every tensor.
CH_FN chord_result ch_arch_bind(const ch_gguf *gguf, ch_arena *arena, ch_weights *weights,
                                chord_error *error);

// freq[i], radians per position of rotated pair i (rope_dims / 2 of them), scaling included, and
// the factor on cosines and sines. RoPE: https://arxiv.org/abs/2104.09864; YaRN:
// https://arxiv.org/abs/2309.00071, section 3.
CH_FN void ch_rope_frequencies(const ch_weights *weights, double *freq, float *magnitude);

#endif
