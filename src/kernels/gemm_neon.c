// gemm_neon: quantized matrix times many columns on aarch64, with sdot and with smmla.
//
// Owns: gemm of all quantized types for dotprod and i8mm. (Without either, gemm is in
// matvec_neon.c.)
//
// Idea: up to CH_GEMM_ROWS rows at a time become strips of four rows in the scratch memory:
//   q       int8  [k / 4][4 rows][4] for sdot, [k / 8][4 rows][8] for smmla
//   scale   float [2][kp / 32][4 rows]   of a block's halves, or [0] of the block
//   offset  float [2][kp / 32][4 rows]
//
// A tile is a strip times the eight columns of a group, in eight vectors of sums. sdot multiplies a
// vector of the strip (four rows) with one column's four bytes, taken by lane: a vector of sums is
// a column, a lane a row. smmla multiplies two rows with two columns, eight k at once; the columns
// are brought into the order that it wants, [k / 8][8 columns][8], once for all rows. Nothing is
// summed across lanes. Per 32 weights of a tile: 64 sdot or 32 smmla, and 24 float operations (40
// where scales are per 16). Where those are integers, the strip holds weights times minus scale:
// -128..124 for Q3_K, where scale times weight may be 128. The sums change sign in turn.
//
// A tile visits the blocks 0, 4, 8, ... first, then 2, 6, ..., 1, 5, ..., 3, 7, ...: the float
// accumulators of one of the canon's acc[b % 4] stay in registers, and still each cache line is
// read once.
//
// Invariants: a strip with fewer than four rows repeats its last row; rows past row1 are not read.
#include "neon.h"

#if CH_ARM64

typedef struct gmn_strip {
    int8_t *q;
    float *scale[2], *offset[2];
} gmn_strip;

// The tile multiplies each half's sum with a scale of its own.
CH_FORCE_INLINE bool gmn_two_scales(const nn_traits *type) {
    return type->halves && !type->whole;
}

// Strip number i of the scratch memory. Arrays that the type has no use for take no room.
CH_FORCE_INLINE gmn_strip gmn_strip_at(const nn_traits *type, uint8_t *scratch, int32_t k,
                                       size_t i) {
    size_t kp = (size_t)ch_q8_padded(k), floats = kp / 32 * 4;
    size_t halves = gmn_two_scales(type) ? 2 : 1, offsets = type->halves ? 2 : 1;
    size_t arrays = type->offsets ? halves + offsets : halves;
    uint8_t *p = scratch + i * (4 * kp + arrays * floats * sizeof(float));
    float *scale = (float *)(void *)(p + 4 * kp), *offset = scale + halves * floats;
    gmn_strip s = {(int8_t *)p, {scale, scale + floats}, {offset, offset + floats}};
    return s;
}

// Strips that fit in the scratch memory, next to the 8 kp bytes of a group of columns for smmla: at
// most 4, 5 or 6 kp bytes for each of 12 in 72 kp.
CH_FORCE_INLINE int32_t gmn_rows(const nn_traits *type, bool i8mm) {
    return i8mm && type->halves && type->offsets ? CH_GEMM_ROWS / 2 : CH_GEMM_ROWS;
}

// Stores 16 weights of four rows. For sdot words are transposed, which is what st4 does; for smmla
// two rows' halves alternate.
CH_FORCE_INLINE void gmn_store16(int8_t *to, const int8x16_t *q, bool i8mm) {
    if (!i8mm) {
        int32x4x4_t v = {{vreinterpretq_s32_s8(q[0]), vreinterpretq_s32_s8(q[1]),
                          vreinterpretq_s32_s8(q[2]), vreinterpretq_s32_s8(q[3])}};
        vst4q_s32((int32_t *)(void *)to, v);
        return;
    }
    int64x2_t r0 = vreinterpretq_s64_s8(q[0]), r1 = vreinterpretq_s64_s8(q[1]);
    int64x2_t r2 = vreinterpretq_s64_s8(q[2]), r3 = vreinterpretq_s64_s8(q[3]);
    vst1q_s8(to, vreinterpretq_s8_s64(vzip1q_s64(r0, r1)));
    vst1q_s8(to + 16, vreinterpretq_s8_s64(vzip1q_s64(r2, r3)));
    vst1q_s8(to + 32, vreinterpretq_s8_s64(vzip2q_s64(r0, r1)));
    vst1q_s8(to + 48, vreinterpretq_s8_s64(vzip2q_s64(r2, r3)));
}

// Stores group g of four rows.
CH_FORCE_INLINE void gmn_store(const gmn_strip *s, const nn_traits *type, bool i8mm,
                               const nn_group *rows, int32_t g) {
    CH_UNROLL
    for (int i = 0; i < 8; i++) {
        int8x16_t q[4] = {rows[0].q[i], rows[1].q[i], rows[2].q[i], rows[3].q[i]};
        CH_UNROLL
        for (int r = 0; r < 4; r++) {
            if (!type->whole) break;
            uint8x8_t minus = vreinterpret_u8_s8(vneg_s8(rows[r].times8));
            uint8x16_t all = vcombine_u8(minus, minus);
            int8x16_t times = vreinterpretq_s8_u8(vqtbl1q_u8(all, vdupq_n_u8((uint8_t)i)));
            q[r] = vmulq_s8(q[r], times);
        }
        gmn_store16(s->q + 512 * (size_t)g + 64 * i, q, i8mm);
    }
    CH_UNROLL
    for (int h = 0; h < 2; h++) {
        if (h == 1 && !type->halves) break;
        if (h == 0 || gmn_two_scales(type)) {
            float32x4x4_t scale = {
                {rows[0].scale[h], rows[1].scale[h], rows[2].scale[h], rows[3].scale[h]}};
            vst4q_f32(s->scale[h] + 16 * (size_t)g, scale);
        }
        if (!type->offsets) continue;
        float32x4x4_t offset = {
            {rows[0].offset[h], rows[1].offset[h], rows[2].offset[h], rows[3].offset[h]}};
        vst4q_f32(s->offset[h] + 16 * (size_t)g, offset);
    }
}

// Converts the rows r..r + 3, or those of them that are below row1.
CH_FORCE_INLINE void gmn_convert(nn_unpack_fn *unpack, const nn_traits *type, bool i8mm,
                                 const ch_mm_args *a, int32_t r, int32_t row1, const gmn_strip *s) {
    int32_t groups = a->k / 128, rest = a->k / 32 % 4;
    nn_group rows[4];
    const uint8_t *w[4];
    for (int32_t i = 0; i < 4; i++) w[i] = a->w + (size_t)CH_MIN(r + i, row1 - 1) * a->w_stride;
    size_t at = 0, bytes = (size_t)type->bytes * (type->super ? 1 : 4);
    for (int32_t g = 0; g < groups; at += bytes) {
        CH_UNROLL
        for (int i = 0; i < 4; i++) unpack(w[i] + at, 0, &rows[i]);
        gmn_store(s, type, i8mm, rows, g++);
        if (!type->super) continue;
        CH_UNROLL
        for (int i = 0; i < 4; i++) unpack(w[i] + at, 1, &rows[i]);
        gmn_store(s, type, i8mm, rows, g++);
    }
    if (type->super || rest == 0) return;
    for (int i = 0; i < 4; i++) nn_unpack_tail(unpack, w[i] + at, rest, type->bytes, &rows[i]);
    gmn_store(s, type, i8mm, rows, groups);
}

// The columns' bytes of a group as smmla wants them.
CH_FORCE_INLINE void gmn_pair(const ch_q8 *x, int32_t k, int8_t *to) {
    for (size_t i = 0; i < (size_t)k; i += 8, to += 64) {
        const int32_t *q = (const int32_t *)(const void *)(x->q + 8 * i);
        int32x4_t a0 = vld1q_s32(q), a1 = vld1q_s32(q + 4); // four k of eight columns
        int32x4_t b0 = vld1q_s32(q + 8), b1 = vld1q_s32(q + 12);
        vst1q_s8(to, vreinterpretq_s8_s32(vzip1q_s32(a0, b0)));
        vst1q_s8(to + 16, vreinterpretq_s8_s32(vzip2q_s32(a0, b0)));
        vst1q_s8(to + 32, vreinterpretq_s8_s32(vzip1q_s32(a1, b1)));
        vst1q_s8(to + 48, vreinterpretq_s8_s32(vzip2q_s32(a1, b1)));
    }
}

// ---- tiles
//
// The eight vectors of a tile: with sdot, vector v is column v, its lanes the four rows. With
// smmla, vector 4 p + c is two rows (2p, 2p + 1) times two columns (2c, 2c + 1): the lanes are row
// 2p with both columns, then row 2p + 1.
//
// The products are assembly, because clang before 16 has the intrinsics only where the whole file
// may use them; volatile, so that eight sums grow in turn: in chains they would wait for each
// other, and gcc would need so many registers that it spills.

// For each column c of a group: M(c, its half of the group, its lane there).
#define GMN_COLUMNS(M)                                                                             \
    M(0, 0, 0) M(1, 0, 1) M(2, 0, 2) M(3, 0, 3) M(4, 1, 0) M(5, 1, 1) M(6, 1, 2) M(7, 1, 3)

// t = sums over 4 * `steps` values of k. Passed on as a pointer to what inlines it, since no
// function may hold instructions that it is not allowed, even where they are never reached.
typedef void gmn_dot_fn(const int8_t *w, const int8_t *x, int steps, int32x4_t *t);

CH_FORCE_INLINE CH_NEON_DOTPROD void gmn_dot_sdot(const int8_t *w, const int8_t *x, int steps,
                                                  int32x4_t *t) {
    CH_UNROLL
    for (int v = 0; v < 8; v++) t[v] = vdupq_n_s32(0);
    CH_UNROLL
    for (int i = 0; i < steps; i++) {
        int8x16_t wv = vld1q_s8(w + 16 * i);
        int8x16_t xv[2] = {vld1q_s8(x + 32 * i), vld1q_s8(x + 32 * i + 16)};
#define GMN_SDOT(c, half, lane)                                                                    \
    __asm__ volatile("sdot %0.4s, %1.16b, %2.4b[" #lane "]" : "+w"(t[c]) : "w"(wv), "w"(xv[half]));
        GMN_COLUMNS(GMN_SDOT)
#undef GMN_SDOT
    }
}

CH_FORCE_INLINE CH_NEON_I8MM void gmn_dot_smmla(const int8_t *w, const int8_t *x, int steps,
                                                int32x4_t *t) {
    CH_UNROLL
    for (int v = 0; v < 8; v++) t[v] = vdupq_n_s32(0);
    CH_UNROLL
    for (int i = 0; i < steps; i += 2) {
        int8x16_t wv[2], xv[4];
        CH_UNROLL
        for (int p = 0; p < 2; p++) wv[p] = vld1q_s8(w + 16 * i + 16 * p);
        CH_UNROLL
        for (int c = 0; c < 4; c++) xv[c] = vld1q_s8(x + 32 * i + 16 * c);
        CH_UNROLL
        for (int v = 0; v < 8; v++)
            __asm__ volatile("smmla %0.4s, %1.16b, %2.16b"
                             : "+w"(t[v])
                             : "w"(wv[v / 4]), "w"(xv[v % 4]));
    }
}

// Four rows' values as the tile's vectors 0..3 and 4..7 need them.
CH_FORCE_INLINE void gmn_row_values(const float *p, bool i8mm, float32x4_t *rows) {
    float32x4_t all = vld1q_f32(p);
    rows[0] = i8mm ? vzip1q_f32(all, all) : all;
    rows[1] = i8mm ? vzip2q_f32(all, all) : all;
}

// acc = acc + u * (the columns' eight values at p)
CH_FORCE_INLINE void gmn_add(float32x4_t *acc, const float32x4_t *u, const float *p, bool i8mm) {
    if (!i8mm) {
        float32x4_t d[2] = {vld1q_f32(p), vld1q_f32(p + 4)};
#define GMN_FMA(c, half, lane) acc[c] = vfmaq_laneq_f32(acc[c], u[c], d[half], lane);
        GMN_COLUMNS(GMN_FMA)
#undef GMN_FMA
        return;
    }
    CH_UNROLL
    for (int c = 0; c < 4; c++) {
        float32x2_t pair = vld1_f32(p + 2 * c);
        float32x4_t d = vcombine_f32(pair, pair);
        acc[c] = vfmaq_f32(acc[c], u[c], d);
        acc[4 + c] = vfmaq_f32(acc[4 + c], u[4 + c], d);
    }
}

// The canon's accumulator number `residue`. q holds the columns' bytes, x the rest of the group.
CH_FORCE_INLINE void gmn_residue(gmn_dot_fn *dot, const nn_traits *type, bool i8mm,
                                 const gmn_strip *s, const int8_t *q, const ch_q8 *x,
                                 int32_t blocks, int32_t residue, float32x4_t *acc) {
    CH_UNROLL
    for (int v = 0; v < 8; v++) acc[v] = vdupq_n_f32(0);
    for (int32_t b = residue; b < blocks; b += 4) {
        const int8_t *wb = s->q + 128 * (size_t)b, *qb = q + 256 * (size_t)b;
        size_t row = 4 * (size_t)b, at = 8 * (size_t)b;
        int32x4_t t[8];
        float32x4_t u[8], rows[2];
        gmn_row_values(s->scale[0] + row, i8mm, rows);
        dot(wb, qb, gmn_two_scales(type) ? 4 : 8, t);
        CH_UNROLL
        for (int v = 0; v < 8; v++) {
            if (type->whole) t[v] = vnegq_s32(t[v]);
            u[v] = vmulq_f32(rows[v / 4], nn_to_f32(t[v], type->shift));
        }
        if (gmn_two_scales(type)) {
            gmn_row_values(s->scale[1] + row, i8mm, rows);
            dot(wb + 64, qb + 128, 4, t);
            CH_UNROLL
            for (int v = 0; v < 8; v++)
                u[v] = vfmaq_f32(u[v], rows[v / 4], nn_to_f32(t[v], type->shift));
        }
        gmn_add(acc, u, x->d + at, i8mm);
        if (!type->offsets) continue;
        CH_UNROLL
        for (int h = 0; h < 2; h++) {
            if (h == 1 && !type->halves) break;
            gmn_row_values(s->offset[h] + row, i8mm, rows);
            CH_UNROLL
            for (int v = 0; v < 8; v++) u[v] = rows[v / 4];
            gmn_add(acc, u, type->halves ? x->sx16 + 2 * at + 8 * h : x->sx + at, i8mm);
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
CH_FORCE_INLINE void gmn_tile(gmn_dot_fn *dot, const nn_traits *type, bool i8mm,
                              const ch_mm_args *a, const gmn_strip *s, const int8_t *q,
                              const ch_q8 *x, int32_t r, int32_t row1, int32_t c0, int32_t n) {
    float32x4_t sum[2][8], y[8];
    for (int32_t i = 0; i < 4; i++) { // accumulators 0, 2, 1, 3
        float32x4_t acc[8], *to = sum[i / 2];
        gmn_residue(dot, type, i8mm, s, q, x, a->k / 32, i / 2 + i % 2 * 2, acc);
        CH_UNROLL
        for (int v = 0; v < 8; v++) to[v] = i % 2 ? vaddq_f32(to[v], acc[v]) : acc[v];
    }
    CH_UNROLL
    for (int v = 0; v < 8; v++) y[v] = vaddq_f32(sum[0][v], sum[1][v]);
    if (i8mm) { // to a vector for each column
        CH_UNROLL
        for (int c = 0; c < 4; c++) {
            sum[0][2 * c] = vuzp1q_f32(y[c], y[4 + c]);
            sum[0][2 * c + 1] = vuzp2q_f32(y[c], y[4 + c]);
        }
    }
    const float32x4_t *columns = i8mm ? sum[0] : y;
    for (int32_t c = 0; c < n; c++) gmn_finish(a, r, row1, c0 + c, columns[c]);
}

CH_FORCE_INLINE void gmn_gemm(nn_unpack_fn *unpack, gmn_dot_fn *dot, const nn_traits *type,
                              bool i8mm, const ch_mm_args *a, int32_t row0, int32_t row1) {
    int32_t rows = gmn_rows(type, i8mm);
    gmn_strip end = gmn_strip_at(type, a->scratch, a->k, (size_t)rows / 4);
    for (int32_t r0 = row0; r0 < row1; r0 += rows) {
        int32_t r1 = CH_MIN(r0 + rows, row1);
        for (int32_t r = r0; r < r1; r += 4) {
            gmn_strip s = gmn_strip_at(type, a->scratch, a->k, (size_t)(r - r0) / 4);
            gmn_convert(unpack, type, i8mm, a, r, r1, &s);
        }
        for (int32_t c0 = 0; c0 < a->n; c0 += CH_GROUP) {
            ch_q8 x = ch_q8_view(a->x + (size_t)(c0 / CH_GROUP) * a->x_stride, a->k, CH_GROUP);
            if (i8mm) gmn_pair(&x, a->k, end.q);
            for (int32_t r = r0; r < r1; r += 4) {
                gmn_strip s = gmn_strip_at(type, a->scratch, a->k, (size_t)(r - r0) / 4);
                gmn_tile(dot, type, i8mm, a, &s, i8mm ? end.q : x.q, &x, r, r1, c0,
                         CH_MIN(a->n - c0, CH_GROUP));
            }
        }
    }
}

#define GMN_KERNEL(name, super, halves, whole, offsets, wide, shift)                               \
    CH_FN CH_NEON_DOTPROD void ch_gemm_##name##__dotprod(const ch_mm_args *a, int32_t row0,        \
                                                         int32_t row1) {                           \
        nn_traits type = {sizeof(ch_block_##name), super, halves, whole, offsets, wide, shift};    \
        gmn_gemm(nn_unpack_##name, gmn_dot_sdot, &type, false, a, row0, row1);                     \
    }                                                                                              \
    CH_FN CH_NEON_I8MM void ch_gemm_##name##__i8mm(const ch_mm_args *a, int32_t row0,              \
                                                   int32_t row1) {                                 \
        nn_traits type = {sizeof(ch_block_##name), super, halves, whole, offsets, wide, shift};    \
        gmn_gemm(nn_unpack_##name, gmn_dot_smmla, &type, true, a, row0, row1);                     \
    }
CH_NEON_QUANT_TYPES(GMN_KERNEL)
#undef GMN_KERNEL
#undef GMN_COLUMNS

#endif
