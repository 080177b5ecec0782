// plan: every byte that a session takes, told beforehand.
//
// Owns: the choice of sizes from a desc, the table of regions. A pure function: no allocation, no
// side effects. Refuses: what cannot be, and what does not fit a memory budget, with what it would
// need. Invariant: the regions, in order, are exactly what the session takes from its arena; their
// sum is arena_bytes.
#ifndef CH_PLAN_H
#define CH_PLAN_H

#include "graph.h"

// Regions in the order of the arena.
typedef enum ch_region {
    CH_REGION_SESSION,
    CH_REGION_LANES,
    CH_REGION_OPS,
    CH_REGION_CURSORS,
    CH_REGION_PROFILE,
    CH_REGION_ROPE_FREQS,
    CH_REGION_ROPE_TABLE,
    CH_REGION_TOKENS,
    CH_REGION_TEXT,
    CH_REGION_STREAM,
    CH_REGION_SAMPLER,
    CH_REGION_LOGITS,
    CH_REGION_SCRATCH,
    CH_REGION_ACTIVATIONS,
    CH_REGION_KEYS,
    CH_REGION_VALUES,
    CH_REGION_DEVICE, // the GPU executor's tables
    CH_REGION_COUNT
} ch_region;

// Work groups of the GPU share the positions of a token's attention, this many each, at most so
// many of them; and so many look for the most likely tokens, of which they find this many at most.
enum { CH_GPU_PART = 128, CH_GPU_PARTS = 64, CH_GPU_CHOOSERS = 64, CH_GPU_BEST = 128 };

// What is taken on a GPU. From the constants to the logits it is one buffer.
typedef enum ch_device_region {
    CH_DEVICE_WEIGHTS,
    CH_DEVICE_CONSTANTS, // norms and biases
    CH_DEVICE_ROPE,      // cosines and sines of 0..63 and of every 64th position
    CH_DEVICE_ACTIVATIONS,
    CH_DEVICE_PARTS,  // attention's results where work groups share the positions
    CH_DEVICE_CHOICE, // the most likely tokens of shares of the logits, and of all of them
    CH_DEVICE_LOGITS,
    CH_DEVICE_TOKENS,
    CH_DEVICE_READ_BACK, // where logits wait for the CPU
    CH_DEVICE_KEYS,
    CH_DEVICE_VALUES,
    CH_DEVICE_COUNT
} ch_device_region;

enum { CH_STOP_MAX = 31 }; // bytes of the text that ends an answer

// What the engine's own structures take, which the model room does not know.
typedef struct ch_engine_sizes {
    uint64_t session_bytes;
    uint64_t lane_bytes;      // per lane
    uint64_t cursor_bytes;    // per op and lane
    uint64_t candidate_bytes; // sampler, per token of the vocabulary
    // Of a session on a GPU: the executor's tables in the arena, in all and per op; on the device.
    uint64_t gpu_bytes, gpu_op_bytes, gpu_weight_bytes, gpu_constant_bytes;
} ch_engine_sizes;

typedef struct ch_plan {
    chord_plan_table table;
    ch_graph_config graph; // offsets filled in
    ch_graph_size size;
    ch_kv_type kv;
    uint64_t profile_bytes;          // times of one lane, 0: none are kept
    int32_t draft;                   // tokens guessed ahead at most
    int32_t capacity;                // positions of the KV cache: the context in whole chunks
    int32_t q8_columns;              // that matvec is for, of quantized types; gemm is for more
    int32_t gemm_columns;            // that gemm is for, where bgemm is for more
    uint64_t scratch_bytes;          // per lane
    uint64_t glu_tile;               // offset in it of the tiles of gate and of up
    int32_t glu_columns;             // of each; 0: there are none
    uint64_t key_bytes, value_bytes; // KV cache of one block and one KV head
    size_t text_bytes;               // of text that the tokenizer's scratch is for
} ch_plan;

CH_FN chord_result ch_plan_make(const ch_weights *weights, const ch_vocab *vocab,
                                const chord_session_desc *desc, const ch_engine_sizes *sizes,
                                ch_plan *plan, chord_error *error);

#endif
