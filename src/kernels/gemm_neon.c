// gemm_neon: quantized matrix times many columns on aarch64 with sdot.
//
// Owns: gemm of all quantized types for dotprod. (Without sdot, gemm is in matvec_neon.c.)
// Idea: CH_GEMM_ROWS rows at a time become strips of four rows in the scratch memory:
//   q       int8  [k / 4][4 rows][4]     one vector per four k
//   scale   float [2][kp / 32][4 rows]   of a block's halves, or [0] of the block
//   offset  float [2][kp / 32][4 rows]
// which takes at most 6 bytes for each of 4 kp weights. A tile is a strip times the eight columns
// of a group: sdot multiplies a vector of the strip with one column's four bytes, taken by lane, so
// that a lane is a row and nothing is summed across lanes. Per 32 weights of a tile: 64 sdot, 24
// loads, and 24 float operations (40 where scales are per 16). A tile visits the blocks 0, 4, 8,
// ... first, then 2, 6, ..., 1, 5, ..., 3, 7, ...: the eight float accumulators of the canon's
// acc[b % 4] stay in registers, and still each cache line is read once. Invariants: a strip with
// fewer than four rows repeats its last row; rows past row1 are not read.
#include "neon.h"

#if CH_ARM64

typedef struct gmn_strip {
    int8_t *q;
    float *scale[2], *offset[2];
} gmn_strip;

// Strip number i of the scratch memory.
CH_FORCE_INLINE gmn_strip gmn_strip_at(uint8_t *scratch, int32_t k, size_t i) {
    size_t kp = (size_t)ch_q8_padded(k), floats = kp / 32 * 4;
    uint8_t *p = scratch + i * 6 * kp;
    float *f = (float *)(void *)(p + 4 * kp);
    gmn_strip s = {(int8_t *)p, {f, f + floats}, {f + 2 * floats, f + 3 * floats}};
    return s;
}

// Stores group g of four rows: the transposition of 4 x 4 words is what st4 does.
CH_FORCE_INLINE void gmn_store(const gmn_strip *s, const nn_traits *type, const nn_group *rows,
                               int32_t g) {
    int32_t *q = (int32_t *)(void *)(s->q + 512 * (size_t)g);
    CH_UNROLL
    for (int i = 0; i < 8; i++) {
        int32x4x4_t v = {{vreinterpretq_s32_s8(rows[0].q[i]), vreinterpretq_s32_s8(rows[1].q[i]),
                          vreinterpretq_s32_s8(rows[2].q[i]), vreinterpretq_s32_s8(rows[3].q[i])}};
        vst4q_s32(q + 16 * i, v);
    }
    CH_UNROLL
    for (int h = 0; h < 2; h++) {
        if (h == 1 && !type->halves) break;
        float32x4x4_t scale = {
            {rows[0].scale[h], rows[1].scale[h], rows[2].scale[h], rows[3].scale[h]}};
        vst4q_f32(s->scale[h] + 16 * (size_t)g, scale);
        if (!type->offsets) continue;
        float32x4x4_t offset = {
            {rows[0].offset[h], rows[1].offset[h], rows[2].offset[h], rows[3].offset[h]}};
        vst4q_f32(s->offset[h] + 16 * (size_t)g, offset);
    }
}

// Converts the rows r..r + 3, or those of them that are below row1.
CH_FORCE_INLINE void gmn_convert(nn_unpack_fn *unpack, const nn_traits *type, const ch_mm_args *a,
                                 int32_t r, int32_t row1, const gmn_strip *s) {
    int32_t groups = a->k / 128, rest = a->k / 32 % 4;
    nn_group rows[4];
    const uint8_t *w[4];
    for (int32_t i = 0; i < 4; i++) w[i] = a->w + (size_t)CH_MIN(r + i, row1 - 1) * a->w_stride;
    size_t at = 0, bytes = (size_t)type->bytes * (type->super ? 1 : 4);
    for (int32_t g = 0; g < groups; at += bytes) {
        CH_UNROLL
        for (int i = 0; i < 4; i++) unpack(w[i] + at, 0, &rows[i]);
        gmn_store(s, type, rows, g++);
        if (!type->super) continue;
        CH_UNROLL
        for (int i = 0; i < 4; i++) unpack(w[i] + at, 1, &rows[i]);
        gmn_store(s, type, rows, g++);
    }
    if (type->super || rest == 0) return;
    for (int i = 0; i < 4; i++) nn_unpack_tail(unpack, w[i] + at, rest, type->bytes, &rows[i]);
    gmn_store(s, type, rows, groups);
}

// For each column c of a group: M(c, its half of the group, its lane there).
#define GMN_COLUMNS(M)                                                                             \
    M(0, 0, 0) M(1, 0, 1) M(2, 0, 2) M(3, 0, 3) M(4, 1, 0) M(5, 1, 1) M(6, 1, 2) M(7, 1, 3)

// t[c] = sums of `steps` times four k, for four rows and eight columns.
CH_FORCE_INLINE CH_NEON_DOTPROD void gmn_dot(const int8_t *w, const int8_t *x, int steps,
                                             int32x4_t *t) {
    CH_UNROLL
    for (int c = 0; c < 8; c++) t[c] = vdupq_n_s32(0);
    CH_UNROLL
    for (int i = 0; i < steps; i++) {
        int8x16_t wv = vld1q_s8(w + 16 * i);
        int8x16_t xv[2] = {vld1q_s8(x + 32 * i), vld1q_s8(x + 32 * i + 16)};
        // Assembly, because clang before 16 has the intrinsic only where the whole file may use it;
        // volatile, so that eight sums grow in turn: in chains of eight they would wait for each
        // other, and gcc would need so many registers that it spills.
#define GMN_SDOT(c, half, lane)                                                                    \
    __asm__ volatile("sdot %0.4s, %1.16b, %2.4b[" #lane "]" : "+w"(t[c]) : "w"(wv), "w"(xv[half]));
        GMN_COLUMNS(GMN_SDOT)
#undef GMN_SDOT
    }
}

// acc[c] = acc[c] + u[c] * d[c], d being eight floats in two vectors.
#define GMN_FMA(c, half, lane) acc[c] = vfmaq_laneq_f32(acc[c], GMN_U(c), GMN_D[half], lane);

// acc[c] of the canon's accumulator `residue`, for four rows and eight columns.
CH_FORCE_INLINE CH_NEON_DOTPROD void gmn_residue(const nn_traits *type, const gmn_strip *s,
                                                 const ch_q8 *x, int32_t blocks, int32_t residue,
                                                 float32x4_t *acc) {
    CH_UNROLL
    for (int c = 0; c < 8; c++) acc[c] = vdupq_n_f32(0);
    for (int32_t b = residue; b < blocks; b += 4) {
        const int8_t *w = s->q + 128 * (size_t)b, *q = x->q + 256 * (size_t)b;
        size_t row = 4 * (size_t)b, at = 8 * (size_t)b;
        int32x4_t t[8];
        float32x4_t u[8], scale = vld1q_f32(s->scale[0] + row);
        gmn_dot(w, q, type->halves ? 4 : 8, t);
        CH_UNROLL
        for (int c = 0; c < 8; c++) u[c] = vmulq_f32(scale, nn_to_f32(t[c], type->shift));
        if (type->halves) {
            scale = vld1q_f32(s->scale[1] + row);
            gmn_dot(w + 64, q + 128, 4, t);
            CH_UNROLL
            for (int c = 0; c < 8; c++) u[c] = vfmaq_f32(u[c], scale, nn_to_f32(t[c], type->shift));
        }
        float32x4_t d[2] = {vld1q_f32(x->d + at), vld1q_f32(x->d + at + 4)};
#define GMN_U(c) u[c]
#define GMN_D    d
        GMN_COLUMNS(GMN_FMA)
#undef GMN_U
#undef GMN_D
        if (!type->offsets) continue;
        CH_UNROLL
        for (int h = 0; h < 2; h++) {
            if (h == 1 && !type->halves) break;
            const float *sums = type->halves ? x->sx16 + 2 * at + 8 * h : x->sx + at;
            float32x4_t offset = vld1q_f32(s->offset[h] + row);
            float32x4_t sx[2] = {vld1q_f32(sums), vld1q_f32(sums + 4)};
#define GMN_U(c) offset
#define GMN_D    sx
            GMN_COLUMNS(GMN_FMA)
#undef GMN_U
#undef GMN_D
        }
    }
}

// Adds what the canon adds to a dot, and stores rows r..r + 3, or those of them below row1.
CH_FORCE_INLINE void gmn_finish(const ch_mm_args *a, int32_t r, int32_t row1, int32_t c,
                                float32x4_t y) {
    size_t at = (size_t)c * a->y_stride + (size_t)r;
    if (row1 - r >= 4) {
        if (a->bias) y = vaddq_f32(y, vld1q_f32(a->bias + r));
        if (a->add) y = vaddq_f32(vld1q_f32(a->add + at), y);
        vst1q_f32(a->y + at, y);
        return;
    }
    float one[4];
    vst1q_f32(one, y);
    for (int32_t i = 0; i < row1 - r; i++) {
        if (a->bias) one[i] = one[i] + a->bias[r + i];
        if (a->add) one[i] = a->add[at + (size_t)i] + one[i];
        a->y[at + (size_t)i] = one[i];
    }
}

// A strip, of rows r..., times the columns c0..c0 + n of one group.
CH_FORCE_INLINE CH_NEON_DOTPROD void gmn_tile(const nn_traits *type, const ch_mm_args *a,
                                              const gmn_strip *s, const ch_q8 *x, int32_t r,
                                              int32_t row1, int32_t c0, int32_t n) {
    float32x4_t sum[2][8];
    for (int32_t i = 0; i < 4; i++) { // accumulators 0, 2, 1, 3
        float32x4_t acc[8], *to = sum[i / 2];
        gmn_residue(type, s, x, a->k / 32, i / 2 + i % 2 * 2, acc);
        CH_UNROLL
        for (int c = 0; c < 8; c++) to[c] = i % 2 ? vaddq_f32(to[c], acc[c]) : acc[c];
    }
    for (int32_t c = 0; c < n; c++) gmn_finish(a, r, row1, c0 + c, vaddq_f32(sum[0][c], sum[1][c]));
}

CH_FORCE_INLINE CH_NEON_DOTPROD void gmn_gemm(nn_unpack_fn *unpack, const nn_traits *type,
                                              const ch_mm_args *a, int32_t row0, int32_t row1) {
    for (int32_t r0 = row0; r0 < row1; r0 += CH_GEMM_ROWS) {
        int32_t r1 = CH_MIN(r0 + CH_GEMM_ROWS, row1);
        for (int32_t r = r0; r < r1; r += 4) {
            gmn_strip s = gmn_strip_at(a->scratch, a->k, (size_t)(r - r0) / 4);
            gmn_convert(unpack, type, a, r, r1, &s);
        }
        for (int32_t c0 = 0; c0 < a->n; c0 += CH_GROUP) {
            ch_q8 x = ch_q8_view(a->x + (size_t)(c0 / CH_GROUP) * a->x_stride, a->k, CH_GROUP);
            for (int32_t r = r0; r < r1; r += 4) {
                gmn_strip s = gmn_strip_at(a->scratch, a->k, (size_t)(r - r0) / 4);
                gmn_tile(type, a, &s, &x, r, r1, c0, CH_MIN(a->n - c0, CH_GROUP));
            }
        }
    }
}

#define GMN_KERNEL(name, super, halves, offsets, wide, shift)                                      \
    CH_FN CH_NEON_DOTPROD void ch_gemm_##name##__dotprod(const ch_mm_args *a, int32_t row0,        \
                                                         int32_t row1) {                           \
        nn_traits type = {sizeof(ch_block_##name), super, halves, offsets, wide, shift};           \
        gmn_gemm(nn_unpack_##name, &type, a, row0, row1);                                          \
    }
CH_NEON_QUANT_TYPES(GMN_KERNEL)
#undef GMN_KERNEL
#undef GMN_FMA
#undef GMN_COLUMNS

#endif
