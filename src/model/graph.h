// graph: the ops of one step, as an array of fixed-size PODs.
//
// Owns: the order of ops, their kernels, their barriers, the placing of activations by lifetime.
// Refuses: nothing: what arrives here is checked. Invariants: an op holds no pointer and no name,
// only offsets: into the file for weights, into the session's arena for all else. It serves any
// number of tokens up to the batch; a step supplies only tokens, their number and a position.
//
// A step runs the array from front to back on every lane. Between two barriers, ops neither read
// nor overwrite what another of them writes.
#ifndef CH_GRAPH_H
#define CH_GRAPH_H

#include "arch.h"

typedef enum ch_op_kind {
    CH_OP_ROPE_TABLE, // cosines and sines of the step's positions
    CH_OP_EMBED,      // token ids to rows of the residual stream
    CH_OP_NORM,       // rmsnorm of rows; also quantized if a matmul wants it so
    CH_OP_MATMUL,
    CH_OP_ROPE, // rotates q in place, rotates k and stores k and v in the cache
    CH_OP_ATTENTION,
    CH_OP_QUANTIZE,
    CH_OP_GLU, // silu(gate) * up; also quantized if a matmul wants it so. Behind those two matmuls
    CH_OP_KIND_COUNT
} ch_op_kind;

#define CH_NOWHERE UINT64_MAX

// Gate, up and what becomes of them are tiles for many tokens: so many elements, of whole gemm
// panels and whole blocks of 32, for so many tokens at most. They stay in a lane's scratch.
enum { CH_GLU_ROWS = 2 * CH_GEMM_ROWS, CH_GLU_COLUMNS = 512 };
CH_STATIC_ASSERT(CH_GLU_ROWS % 32 == 0 && CH_GLU_COLUMNS % CH_GROUP == 0 &&
                     CH_GLU_COLUMNS % CH_BGROUP == 0,
                 "tiles cut no block");

typedef struct ch_op {
    uint8_t kind;     // ch_op_kind
    uint8_t place;    // ch_place of the weight
    uint8_t type;     // ch_type of the weight
    bool barrier;     // lanes wait for each other after this op
    bool wanted_only; // for the rows whose logits are wanted, the last ones: of the residual stream
                      // and the queries it takes those, elsewhere they stand alone
    bool later;       // a later op does its work: glu that of gate and up, for more than
                      // CH_MATVEC_COLUMNS rows; attention that of rope, for one row, head by head
    bool own;         // for one row, no barrier: every lane does it for itself, in its scratch
    bool in_own;      // for one row, `in` is there
    int32_t block;    // of the model, -1 outside
    int16_t kernel;   // in the kernel list
    int16_t kernel2;  // matmul: gemm, for more columns than kernel is for; rope: kv_store
    int16_t kernel3;  // matmul: bgemm, for more than kernel2 is for; -1: none
    int16_t quantize; // norm, quantize, glu: the quantizing kernel; -1: nobody wants that
    int16_t round;    // the one that rounds for bgemm; -1: none
    int32_t rows, k;  // matmul: of the matrix. Else: k elements a row
    uint64_t weight;  // in the file
    uint64_t weight_stride; // bytes from row to row
    uint64_t bias;          // in the file
    uint64_t in, in2, in3;  // in the arena: f32 rows, or q8 records for a matmul of a quantized
                            // type; of a matmul, in2: rounded records for bgemm
    uint64_t out;           // in the arena: f32 rows; of a norm CH_NOWHERE if nobody wants those
    uint64_t out_records;   // in the arena: q8 records, or rounded ones
    uint64_t add;           // in the arena: added to the result
} ch_op;

CH_STATIC_ASSERT(sizeof(ch_op) == 104, "ops are saved and shared as they are");

// All activations, by what they hold. Rows are [batch] tokens, padded to a whole group of records.
typedef enum ch_buffer {
    CH_BUFFER_X,    // residual stream
    CH_BUFFER_NORM, // normed rows
    CH_BUFFER_NORM_RECORDS,
    CH_BUFFER_Q,
    CH_BUFFER_K,
    CH_BUFFER_V,
    CH_BUFFER_ATTN, // attention's output
    CH_BUFFER_ATTN_RECORDS,
    CH_BUFFER_FFN_NORM,
    CH_BUFFER_FFN_NORM_RECORDS,
    CH_BUFFER_GATE,
    CH_BUFFER_UP,
    CH_BUFFER_GLU_RECORDS,
    CH_BUFFER_OUT_NORM,
    CH_BUFFER_OUT_NORM_RECORDS,
    CH_BUFFER_COUNT
} ch_buffer;

// What the graph is built for. Offsets of regions are in the arena.
typedef struct ch_graph_config {
    int32_t batch, logits_rows;
    ch_kv_type kv;
    uint32_t cpu;
    int32_t lanes;
    bool
        gpu; // activations are floats everywhere; offsets are in the device's buffer of activations
    uint64_t activations, rope_table, logits; // regions
} ch_graph_config;

// Sizes that follow from the weights and the config. batch_rows: the batch in whole groups.
typedef struct ch_graph_size {
    int32_t op_count;
    int32_t batch_rows;
    int32_t matmul_k; // longest row of a matmul
    bool quantized;   // a matmul takes quantized rows
    uint64_t activation_bytes;
    uint64_t buffer[CH_BUFFER_COUNT]; // offset in the activations, CH_NOWHERE: not needed
} ch_graph_size;

CH_FN void ch_graph_measure(const ch_weights *weights, const ch_graph_config *config,
                            ch_graph_size *size);

// Writes size->op_count ops.
CH_FN void ch_graph_build(const ch_weights *weights, const ch_graph_config *config,
                          const ch_graph_size *size, ch_op *ops);

// For people.
CH_FN const char *ch_op_kind_name(ch_op_kind kind);
CH_FN void ch_op_describe(const ch_weights *weights, const ch_op *op, ch_kv_type kv,
                          chord_op_info *info);

#endif
