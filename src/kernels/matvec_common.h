// matvec_common: what the matvec kernels of all x86 levels share: facts about types, the four rows
// that are read at a time, their prefetching and their ends, and the fields of an activation
// record.
//
// Everything here is forced inline: with a constant type it all folds away.
#ifndef CH_MATVEC_COMMON_H
#define CH_MATVEC_COMMON_H

#include "kernels.h"

// ---- types: constants once inlined

// Scales per 16 weights.
CH_FORCE_INLINE bool mv_halves(ch_type type) {
    return type == CH_TYPE_Q2_K || type == CH_TYPE_Q3_K || type == CH_TYPE_Q6_K;
}

// Scales per 16 weights that the canon applies in integers.
CH_FORCE_INLINE bool mv_whole(ch_type type) {
    return type == CH_TYPE_Q2_K || type == CH_TYPE_Q3_K;
}

CH_FORCE_INLINE bool mv_has_min(ch_type type) {
    return type == CH_TYPE_Q4_1 || type == CH_TYPE_Q5_1 || type == CH_TYPE_Q2_K ||
           type == CH_TYPE_Q4_K || type == CH_TYPE_Q5_K;
}

// Super-blocks of 256.
CH_FORCE_INLINE bool mv_is_k(ch_type type) {
    return mv_halves(type) || type == CH_TYPE_Q4_K || type == CH_TYPE_Q5_K;
}

// The unpacked, unsigned byte of a weight of zero is 1 << this; 0: there is no zero point.
CH_FORCE_INLINE int mv_zero_shift(ch_type type) {
    switch ((int)type) {
    case CH_TYPE_Q3_K:
        return 2;
    case CH_TYPE_Q4_0:
        return 3;
    case CH_TYPE_Q5_0:
        return 4;
    case CH_TYPE_Q6_K:
        return 5;
    case CH_TYPE_Q8_0:
        return 7;
    default:
        return 0;
    }
}

// Bytes of a block of 32, of a super-block for K types, or of one float.
CH_FORCE_INLINE size_t mv_block_bytes(ch_type type) {
    switch ((int)type) {
    case CH_TYPE_F32:
        return 4;
    case CH_TYPE_F16:
    case CH_TYPE_BF16:
        return 2;
    case CH_TYPE_Q4_0:
        return sizeof(ch_block_q4_0);
    case CH_TYPE_Q4_1:
        return sizeof(ch_block_q4_1);
    case CH_TYPE_Q5_0:
        return sizeof(ch_block_q5_0);
    case CH_TYPE_Q5_1:
        return sizeof(ch_block_q5_1);
    case CH_TYPE_Q8_0:
        return sizeof(ch_block_q8_0);
    case CH_TYPE_Q2_K:
        return sizeof(ch_block_q2_k);
    case CH_TYPE_Q3_K:
        return sizeof(ch_block_q3_k);
    case CH_TYPE_Q4_K:
        return sizeof(ch_block_q4_k);
    case CH_TYPE_Q5_K:
        return sizeof(ch_block_q5_k);
    default:
        return sizeof(ch_block_q6_k);
    }
}

// ---- four rows
//
// The four rows that are read together lie a quarter of the range apart: four streams that each go
// straight through memory. Memory controllers and prefetchers give four distant streams up to half
// as much again as they give one, or four that lie within a page or two.

// Rows r, r + step, ... (`count` of them, 1..4).
typedef struct mv_group {
    int32_t r, step, count;
} mv_group;

// How many groups rows row0..row1 make.
CH_FORCE_INLINE int32_t mv_groups(int32_t row0, int32_t row1) {
    return (row1 - row0 + 3) / 4;
}

// Group i: the last one holds what remains of a number of rows that is no multiple of four.
CH_FORCE_INLINE mv_group mv_group_at(int32_t row0, int32_t row1, int32_t i) {
    int32_t quarter = (row1 - row0) / 4;
    mv_group g;
    g.r = i < quarter ? row0 + i : row0 + 4 * quarter;
    g.step = i < quarter ? quarter : 1;
    g.count = i < quarter ? 4 : row1 - row0 - 4 * quarter;
    return g;
}

// Where a group's rows are read; those past its count are the first one again.
typedef struct mv_rows {
    const uint8_t *p0, *p1, *p2, *p3;
} mv_rows;

CH_FORCE_INLINE mv_rows mv_rows_at(const ch_mm_args *a, mv_group g) {
    const uint8_t *p = a->w + (size_t)g.r * a->w_stride;
    const size_t apart = (size_t)g.step * a->w_stride;
    mv_rows rows;
    rows.p0 = p;
    rows.p1 = g.count > 1 ? p + apart : p;
    rows.p2 = g.count > 2 ? p + 2 * apart : p;
    rows.p3 = g.count > 3 ? p + 3 * apart : p;
    return rows;
}

// y of a group's rows and one column.
CH_FORCE_INLINE void mv_store(const ch_mm_args *a, mv_group g, int32_t c, const float *dots) {
    for (int32_t i = 0; i < g.count; i++) {
        size_t r = (size_t)(g.r + i * g.step), at = (size_t)c * a->y_stride + r;
        float y = dots[i];
        if (a->bias) y = y + a->bias[r];
        if (a->add) y = a->add[at] + y;
        a->y[at] = y;
    }
}

CH_FORCE_INLINE void mv_rows_step(mv_rows *r, size_t bytes) {
    r->p0 += bytes;
    r->p1 += bytes;
    r->p2 += bytes;
    r->p3 += bytes;
}

// The rows' last `have` blocks (of 32), made four, in a buffer of MV_TAIL_BYTES. The others have
// scales and offsets of -0 and weights that meet zero activations: -0 times 0, added, changes no
// accumulator, not even one of -0.
#define MV_TAIL_BYTES (4 * 4 * sizeof(ch_block_q8_0))
static CH_NOINLINE mv_rows mv_tail(mv_rows r, int32_t have, size_t block_bytes, uint8_t *buffer) {
    const size_t room = MV_TAIL_BYTES / 4;
    const uint8_t *from[4] = {r.p0, r.p1, r.p2, r.p3};
    memset(buffer, 0, 4 * room);
    for (size_t i = 0; i < 4; i++) {
        uint8_t *to = buffer + i * room;
        memcpy(to, from[i], (size_t)have * block_bytes);
        for (size_t b = (size_t)have; b < 4; b++)
            to[b * block_bytes + 1] = to[b * block_bytes + 3] = 0x80;
    }
    r.p0 = buffer;
    r.p1 = buffer + room;
    r.p2 = buffer + 2 * room;
    r.p3 = buffer + 3 * room;
    return r;
}

// Prefetches what the four streams read MV_AHEAD bytes after the coming `bytes`. Where a stream
// ends that is the next one's beginning or the range's end: of no use, and no harm, a prefetch
// never faults. Addresses are numbers here, as they may pass the matrix's end.
#define MV_AHEAD 1536 // four times this is on its way
CH_FORCE_INLINE void mv_rows_prefetch(const mv_rows *r, size_t bytes) {
    for (size_t i = MV_AHEAD; i < MV_AHEAD + bytes; i += 64) {
        CH_PREFETCH((uintptr_t)r->p0 + i);
        CH_PREFETCH((uintptr_t)r->p1 + i);
        CH_PREFETCH((uintptr_t)r->p2 + i);
        CH_PREFETCH((uintptr_t)r->p3 + i);
    }
}

// ---- activations

// The fields of one column's record, from some block on.
typedef struct mv_column {
    const int8_t *q;
    const float *d, *sx, *sx16;
    const int32_t *s32, *s16;
} mv_column;

CH_FORCE_INLINE mv_column mv_column_at(const ch_q8 *x, size_t block) {
    mv_column c;
    c.q = x->q + 32 * block;
    c.d = x->d + block;
    c.sx = x->sx + block;
    c.sx16 = x->sx16 + 2 * block;
    c.s32 = x->s32 + block;
    c.s16 = x->s16 + 2 * block;
    return c;
}

CH_FORCE_INLINE const float *mv_next_floats(const float *p, size_t bytes) {
    return (const float *)(const void *)((const uint8_t *)p + bytes);
}

CH_FORCE_INLINE const int32_t *mv_next_ints(const int32_t *p, size_t bytes) {
    return (const int32_t *)(const void *)((const uint8_t *)p + bytes);
}

// The same place in the next column's record, x_stride bytes on.
CH_FORCE_INLINE void mv_column_next(mv_column *c, size_t x_stride) {
    c->q += x_stride;
    c->d = mv_next_floats(c->d, x_stride);
    c->sx = mv_next_floats(c->sx, x_stride);
    c->sx16 = mv_next_floats(c->sx16, x_stride);
    c->s32 = mv_next_ints(c->s32, x_stride);
    c->s16 = mv_next_ints(c->s16, x_stride);
}

#endif
