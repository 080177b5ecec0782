// gles_pack: how weights lie on a GPU, and the way there from the file.
//
// Owns: the layout of a matrix in slabs and planes. Refuses: nothing: it is arithmetic on checked
// tensors. Invariants: no weight is expanded; a slab is within the least block size that OpenGL ES
// 3.1 guarantees, so that every device can bind it.
//
// A row is cut into blocks of 32 weights (rows of floats are filled up with zeros). A slab of rows
// has two ranges of its buffer:
//   low    the low bits of every weight, in order, block after block: floats as they are, 8, 4 or 2
//          bits; weight i of a block of 4 bits is nibble i % 8 of word i / 8
//   side   first the high bits, if the type has some: 1 or 2 bits a weight, in order; then scales:
//            q4_0 q5_0 q8_0    a half a block
//            q4_1 q5_1         a word a block: d and m, halves
//            q4_k q5_k         4 words for 256 weights: d and dmin, then the 12 bytes of the file
//            q2_k              5 words for 256 weights: the 16 bytes of the file, then d and dmin
//            q3_k              4 words for 256 weights: the 12 bytes of the file, then d
//            q6_k              5 words for 256 weights: the 16 bytes of the file, then d
// glsl/blocks.glsl reads it.
#ifndef CH_GLES_PACK_H
#define CH_GLES_PACK_H

#include "../kernels/kernels.h"

// Is there a layout for the type?
CH_FN bool ch_gles_reads(ch_type type);

// Bytes of one row.
typedef struct ch_gles_row {
    int32_t blocks; // of 32 weights
    uint64_t low, high, scales;
} ch_gles_row;

CH_FN ch_gles_row ch_gles_row_of(ch_type type, int32_t k);

// Rows that a slab of such rows holds at most: an even number.
CH_FN int32_t ch_gles_slab_rows(const ch_gles_row *row, uint64_t block_bytes);

// Bytes of the side range of a slab of `rows` rows, and where scales begin in it.
CH_INLINE uint64_t ch_gles_side_bytes(const ch_gles_row *row, int32_t rows) {
    return ((uint64_t)rows * (row->high + row->scales) + 3) & ~(uint64_t)3;
}

// Writes the parts of one row of k weights; a NULL part is left out.
CH_FN void ch_gles_pack_row(ch_type type, int32_t k, const uint8_t *row, uint8_t *low,
                            uint8_t *high, uint8_t *scales);

#endif
