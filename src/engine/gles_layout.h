// gles_layout: which matrices a model brings to a GPU, in which buffers, and bringing them there.
//
// Owns: the table of matrices, slabs, constants and buffers, which is a function of the weights
// alone. Refuses: nothing: the executor says beforehand what it cannot run. Invariants: all sizes
// are known before a device is opened; a matrix that several ops use is there once.
//
// Matrices that take the same input are one matrix, if they are of one type: q, k and v one below
// the other; gate and up with alternating rows, so that one thread has both halves of silu(gate) *
// up.
#ifndef CH_GLES_LAYOUT_H
#define CH_GLES_LAYOUT_H

#include "../model/plan.h"
#include "gles.h"
#include "gles_pack.h"

enum { CH_GLES_PARTS = 3, CH_GLES_ROPE_STEP = 64 };

// Vectors of floats (norms, biases), all in the buffer of activations, in whole blocks of 32.
typedef struct ch_gles_constant {
    uint64_t weight; // in the file
    uint64_t at;     // in the buffer, bytes
    int32_t count;
} ch_gles_constant;

typedef struct ch_gles_slab {
    int32_t buffer, first, rows; // rows of the matrix
    uint64_t low, side;          // in the buffer, bytes
} ch_gles_slab;

typedef struct ch_gles_matrix {
    ch_type type;
    int32_t k, rows; // of all parts
    int32_t parts;
    bool pairs; // rows of two parts alternate
    uint64_t weight[CH_GLES_PARTS];
    int32_t part_rows[CH_GLES_PARTS];
    int32_t first_slab, slabs;
} ch_gles_matrix;

// A zeroed layout is to be measured; with room for as many as were counted, it is filled in.
typedef struct ch_gles_layout {
    ch_gles_matrix *matrices;
    ch_gles_slab *slabs;
    ch_gles_constant *constants;
    uint64_t *buffer_bytes;
    int32_t matrix_count, slab_count, constant_count, buffer_count;
    uint64_t weight_bytes, constant_bytes; // of the device
    uint64_t buffer_used;                  // of the buffer being filled
} ch_gles_layout;

// Walks the weights; slabs are of at most slab_bytes.
CH_FN void ch_gles_layout_make(const ch_weights *weights, uint64_t slab_bytes,
                               ch_gles_layout *layout);

// The matrix that has a weight of the file, and which of its parts that is; -1: none has it.
CH_FN int32_t ch_gles_layout_find(const ch_gles_layout *layout, uint64_t weight, int32_t *part);

// A constant's place in bytes; CH_NOWHERE for CH_NOWHERE.
CH_FN uint64_t ch_gles_layout_constant(const ch_gles_layout *layout, uint64_t weight);

#if CHORD_GLES
// Called as weights arrive, with bytes; a result other than 0 stops.
typedef int ch_gles_progress_fn(void *user, uint64_t done, uint64_t total);

// Writes all matrices into `buffers` and all constants into `constants`. The context is current.
CH_FN chord_result ch_gles_upload(ch_gles *gles, const ch_gles_layout *layout, const uint8_t *file,
                                  const GLuint *buffers, GLuint constants,
                                  ch_gles_progress_fn *progress, void *user, chord_error *error);
#endif
#endif
