// kernels: the contracts of all numeric kernels, the one list of them, and what this CPU can run.
//
// Owns: tensor types, the layout of quantized activations, family contracts, the kernel list, CPU
// detection. Refuses: allocation, errors, threads, knowledge of models. A kernel trusts its
// arguments: the planner checked them.
//
// THE CANON. For every family this header fixes the order of every floating-point operation, so
// that the C reference and all instruction sets give the same bits, and so do any number of lanes
// and any cut of a prompt into batches. Two rules keep compilers out of it: each multiply-add is a
// fused one, written as such; and no bare product is ever an operand of a bare addition (so that no
// compiler setting can fuse, or split, one).
//
// quantized dot
//   over blocks b of 32 weights, in order; t = exact integer sum of w * q over the block,
//   dw, mw = the block's scale and (signed) offset; d, sx, sx16: see ch_q8 below
//     one scale per block:    u = dw * t
//     Q6_K:                   u = fma(dw1, t1, dw0 * t0)   (t0, t1: t of the block's halves)
//     Q2_K, Q3_K:             u = d * (sc0 * t0 + sc1 * t1), the scales sc and the sum in
//                             integers; d = that of the block of 256
//     always:                 acc[b % 4] = fma(u, d[b], acc[b % 4])
//     one offset per block:   acc[b % 4] = fma(mw, sx[b], acc[b % 4])
//     offsets per 16 weights: acc[b % 4] = fma(mw0, sx16[2b], acc[b % 4])
//                             acc[b % 4] = fma(mw1, sx16[2b + 1], acc[b % 4])
//   dot = (acc[0] + acc[2]) + (acc[1] + acc[3])
//
// float dot
//   acc[k % 16] = fma(w[k], x[k], acc[k % 16]) for k in order; then ch_sum16(acc)
//
// bfloat16 dot (family bgemm; only where a session asks for it, since it gives other bits)
//   w and x as floats, rounded to bfloat16 (ch_bf16_from_f32), 0 past k; over steps of 32, in
//   order:
//     even, odd = chains of fma(w[k], x[k], ...) from 0 over the step's even k, and its odd k
//     acc = acc + (even + odd), from 0
//   Each result that is subnormal is 0 instead. This is what the instruction tdpbf16ps does (Intel
//   SDM volume 2).
//
// matmul epilogue
//   y = dot; y = y + bias[row] if there is one; y = add[...] + y if there is one
//
// rmsnorm
//   ss = float dot of x with itself; r = 1 / sqrt(ss / k + eps); y[i] = (x[i] * r) * w[i]
//
// silu glu
//   y = (g / (1 + exp(-g))) * u
//
// rope
//   (a, b) -> (fma(a, c, -(b * s)), fma(a, s, b * c)), then both times `scale`
//
// exp: ch_exp below. attention: see ch_attn_args. sums of 16: see ch_sum16.
#ifndef CH_KERNELS_H
#define CH_KERNELS_H

#include "../arena/base.h"
#include "blocks.h"

#include <math.h>

// ---- tensor types

typedef enum ch_type {
#define CH_TYPE(NAME, name, id, elements, bytes, activation) CH_TYPE_##NAME,
#include "types.def"
#undef CH_TYPE
    CH_TYPE_COUNT
} ch_type;

typedef enum ch_activation { CH_ACTIVATION_F32, CH_ACTIVATION_Q8 } ch_activation;

typedef struct ch_type_info {
    const char *name;         // "q4_k"
    uint32_t id;              // the number in a GGUF file
    uint16_t block_elements;  // weights per block
    uint16_t block_bytes;     // bytes per block
    ch_activation activation; // what a matmul with this type takes
} ch_type_info;

// The row of a type (which is below CH_TYPE_COUNT).
CH_FN const ch_type_info *ch_type_get(ch_type type);

// The type with a GGUF number, or CH_TYPE_COUNT.
CH_FN ch_type ch_type_from_id(uint32_t id);

// Bytes of a row of k weights; k is a multiple of the block.
CH_INLINE size_t ch_row_bytes(ch_type type, int64_t k) {
    const ch_type_info *info = ch_type_get(type);
    return (size_t)(k / info->block_elements) * info->block_bytes;
}

// ---- quantized activations
//
// One record holds `group` columns of k activations: 1 (a row, for matvec) or CH_GROUP
// (interleaved, for gemm). k is a multiple of 32; kp is k rounded up to 128; all of the padding is
// zero. With G = group, in this order:
//
//   q     int8   [kp / 4][G][4]   q = round_half_even(x * (1 / d)), -127..127
//   d     float  [kp / 32][G]     scale: max |x| of the block / 127
//   sx    float  [kp / 32][G]     d * (sum of q over the block)
//   sx16  float  [kp / 16][G]     d * (sum of q over half the block)
//   s32   int32  [kp / 32][G]     sum of q over the block
//   s16   int32  [kp / 16][G]     sum of q over half the block
//
// A record starts on a multiple of 64 bytes. So do its arrays where G = 8; where G = 1, those after
// q start on multiples of 16.

#define CH_GROUP 8 // columns of a gemm group

// The arrays of a record: to read, and to write.
typedef struct ch_q8 {
    const int8_t *q;
    const float *d, *sx, *sx16;
    const int32_t *s32, *s16;
} ch_q8;

typedef struct ch_q8_out {
    int8_t *q;
    float *d, *sx, *sx16;
    int32_t *s32, *s16;
} ch_q8_out;

CH_INLINE int32_t ch_q8_padded(int32_t k) {
    return (k + 127) & ~127;
}

// Bytes of a record: 15/8 a weight, a multiple of 64.
CH_INLINE size_t ch_q8_bytes(int32_t k, int32_t group) {
    return ch_round_up((size_t)ch_q8_padded(k) * (size_t)group * 15 / 8, CH_ALIGN);
}

CH_INLINE ch_q8_out ch_q8_out_view(uint8_t *record, int32_t k, int32_t group) {
    size_t n = (size_t)ch_q8_padded(k) * (size_t)group;
    ch_q8_out v;
    v.q = (int8_t *)record;
    v.d = (float *)(void *)(record + n);
    v.sx = v.d + n / 32;
    v.sx16 = v.sx + n / 32;
    v.s32 = (int32_t *)(void *)(v.sx16 + n / 16);
    v.s16 = v.s32 + n / 32;
    return v;
}

CH_INLINE ch_q8 ch_q8_view(const void *record, int32_t k, int32_t group) {
    ch_q8_out at = ch_q8_out_view((uint8_t *)(uintptr_t)record, k, group);
    ch_q8 v = {at.q, at.d, at.sx, at.sx16, at.s32, at.s16};
    return v;
}

// ---- rounded activations
//
// One record holds CH_BGROUP columns of k activations for bgemm: uint16 [kp /
// 32][16][CH_BGROUP][2], kp = k rounded up to 32; element 32 s + 2 p + i of column c is at
// [s][p][c][i]. What is past k, and columns that are missing, are 0. A record starts on a multiple
// of 64 bytes.

#define CH_BGROUP 16

// Bytes of a record: 2 a weight, a multiple of 64.
CH_INLINE size_t ch_b16_bytes(int32_t k) {
    return ch_round_up((size_t)k, 32) * CH_BGROUP * 2;
}

// ---- families

// y[c][r] = dot(row r of w, column c of x) for r in row0..row1 and all n columns.
//
// matvec
//   n is 1..CH_MATVEC_COLUMNS; x is n records of group 1 (Q8), or n rows of floats (F32)
// gemm
//   n is any; x is ceil(n / CH_GROUP) records of group CH_GROUP (Q8; columns past n are zero), or n
//   rows of floats (F32); `scratch` is ch_gemm_scratch_bytes(k) bytes of this lane's own, aligned
//   to CH_ALIGN
// bgemm
//   n is any; x is ceil(n / CH_BGROUP) records of rounded activations; `scratch` is
//   CH_BGEMM_SCRATCH bytes of this lane's own, aligned to CH_ALIGN
//
// row0 is a multiple of CH_ROW_UNIT, row1 too or the number of rows. Nothing outside of rows
// row0..row1 of w is read, not a byte (w may end where a mapping ends), and nothing outside of y's
// columns 0..n-1, rows row0..row1 is written. Float rows of x are read within [0, k) only. k: any
// for F32, F16, BF16; a multiple of the type's block otherwise. Floats are aligned to 4 bytes.
typedef struct ch_mm_args {
    const uint8_t *w;  // first row of the matrix
    size_t w_stride;   // bytes from row to row
    int32_t rows, k;   // the matrix's shape
    int32_t n;         // columns
    const uint8_t *x;  // activations
    size_t x_stride;   // bytes from record to record (Q8) or from row to row (F32)
    float *y;          // results, [n][y_stride]
    size_t y_stride;   // floats from column to column
    const float *bias; // [rows], or NULL
    const float *add;  // added to the result, laid out as y, may be y itself; or NULL
    uint8_t *scratch;  // gemm only
} ch_mm_args;
typedef void ch_mm_fn(const ch_mm_args *a, int32_t row0, int32_t row1);

#define CH_MATVEC_COLUMNS 8
#define CH_ROW_UNIT       16
#define CH_GEMM_ROWS      48 // rows that a gemm converts and multiplies at a time

// Room for CH_GEMM_ROWS rows as bytes with five floats of scales and offsets per 32, or for 16 rows
// as floats, for the sums of a group of columns, and for tiles of results.
CH_INLINE size_t ch_gemm_scratch_bytes(int32_t k) {
    return (size_t)CH_GEMM_ROWS * (size_t)ch_q8_padded(k) * 7 / 4 + 64 * 1024;
}

// What bgemm makes at a time: CH_BGEMM_ROWS rows by CH_BGEMM_COLUMNS columns of sums wait in its
// scratch, beside twice 32 rows of 256 weights in bfloat16.
#define CH_BGEMM_ROWS    96
#define CH_BGEMM_COLUMNS 512
#define CH_BGEMM_SCRATCH ((size_t)CH_BGEMM_ROWS * CH_BGEMM_COLUMNS * 4 + (size_t)2 * 32 * 256 * 2)

// Quantizes `cols` columns of floats (x_stride floats apart) into one record of `group` columns:
// blocks block0..block1 of 32, whose floats are x[0], x[1] and so on of each column. In a record of
// one column block0 is a multiple of 4, and block1 one too or k / 32. The call with block1 == k /
// 32 also zeroes the padding up to ch_q8_padded(k). Columns cols..group-1 become zero. d = 0 and q
// = 0 for a block of zeros; where d is so small that 1 / d overflows, the block is zero too. A NaN
// counts as -127 d. Of rounded activations (CH_RECORD_BF16) the group is CH_BGROUP, block0 and
// block1 are any, and the last block may be short: block1 == ceil(k / 32) is the end.
typedef enum ch_record { CH_RECORD_Q8, CH_RECORD_BF16 } ch_record;
typedef void ch_quantize_fn(const float *x, size_t x_stride, int32_t cols, int32_t k, int32_t group,
                            uint8_t *record, int32_t block0, int32_t block1);

// y = the k weights of a row as floats: d * q exact, then one rounding where an offset is added.
typedef void ch_dequantize_fn(const uint8_t *row, float *y, int32_t k);

// y = rmsnorm(x) * w over k elements; y may be x.
typedef void ch_rmsnorm_fn(const float *x, const float *w, float eps, int32_t k, float *y);

// y = silu(gate) * up over k elements; y may be gate or up.
typedef void ch_glu_fn(const float *gate, const float *up, int32_t k, float *y);

// Rotates `heads` heads of head_dim floats in place; c and s hold `pairs` cosines and sines; pair i
// is elements (2i, 2i + 1) when `neox` is false, (i, i + pairs) when it is true; elements past 2 *
// pairs are not rotated. All head_dim elements are multiplied by `scale` at the end.
typedef void ch_rope_fn(float *x, int32_t heads, int32_t head_dim, int32_t pairs, bool neox,
                        const float *c, const float *s, float scale);

// The KV cache of one layer and one KV head, for `capacity` positions (a multiple of CH_KV_CHUNK):
//   f32, f16   K: [capacity / 16][head_dim][16]  (position p is lane p % 16)
//              V: [capacity][value_dim]
//   q16, q8_0  K: integers [capacity / 16][head_dim / 2][16][2], then
//                 float scales [capacity / 16][groups][16]
//              V: integers [capacity / 2][value_dim][2], then
//                 float scales [capacity / 64][groups][64]
//              int16 or int8; odd dimensions count as one more; a group is CH_KV_GROUP elements,
//              the last may be shorter
// K is transposed in sixteens so that lanes are positions: no sum across lanes, and no shuffles.
// Integers that are neighbours along which products are summed stand in pairs: what instructions
// for products of 16-bit integers take, which those of 8 bits become in registers.
typedef enum ch_kv_type { CH_KV_F16, CH_KV_F32, CH_KV_Q8_0, CH_KV_Q16, CH_KV_COUNT } ch_kv_type;

#define CH_KV_CHUNK 64 // positions that attention takes at a time
#define CH_KV_GROUP 64

// Whether a cache holds integers and their scales.
CH_INLINE bool ch_kv_integers(ch_kv_type type) {
    return type == CH_KV_Q16 || type == CH_KV_Q8_0;
}

// Bytes of an element.
CH_INLINE size_t ch_kv_size(ch_kv_type type) {
    return type == CH_KV_F32 ? 4 : type == CH_KV_Q8_0 ? 1 : 2;
}

// The largest integer that a cache holds. 64 products of such and what attention multiplies them
// with (up to CH_ATTN_MOST) are below 2^31.
CH_INLINE float ch_kv_most(ch_kv_type type) {
    return type == CH_KV_Q16 ? 8191.0f : 127.0f;
}

#define CH_ATTN_MOST 4095

CH_INLINE int32_t ch_kv_groups(int32_t dim) {
    return ch_ceil_div(dim, CH_KV_GROUP);
}

// Where the scales of a cache of integers begin: bytes from its start.
CH_INLINE size_t ch_kv_scales(ch_kv_type type, int32_t dim, int32_t capacity) {
    return ch_round_up((size_t)dim, 2) * (size_t)capacity * ch_kv_size(type);
}

// Where one position stands in a cache of integers: bytes and scales.
typedef struct ch_kv_place {
    uint8_t *k, *v;           // k: pairs 32 integers apart; v: elements 2 integers apart
    float *k_scale, *v_scale; // of group g: k_scale[16 * g], v_scale[64 * g]
} ch_kv_place;

CH_INLINE ch_kv_place ch_kv_place_at(ch_kv_type type, uint8_t *k_cache, uint8_t *v_cache,
                                     int32_t head_dim, int32_t value_dim, int32_t capacity,
                                     int32_t position) {
    size_t p = (size_t)position, size = ch_kv_size(type);
    ch_kv_place at;
    at.k = k_cache + (p / 16 * 16 * ch_round_up((size_t)head_dim, 2) + p % 16 * 2) * size;
    at.v = v_cache + (p / 2 * 2 * ch_round_up((size_t)value_dim, 2) + p % 2) * size;
    at.k_scale = (float *)(void *)(k_cache + ch_kv_scales(type, head_dim, capacity));
    at.k_scale += p / 16 * 16 * (size_t)ch_kv_groups(head_dim) + p % 16;
    at.v_scale = (float *)(void *)(v_cache + ch_kv_scales(type, value_dim, capacity));
    at.v_scale += p / 64 * 64 * (size_t)ch_kv_groups(value_dim) + p % 64;
    return at;
}

// Writes an integer of a cache; reads it.
CH_INLINE void ch_kv_put(ch_kv_type type, uint8_t *at, int16_t integer) {
    int8_t byte = (int8_t)integer;
    if (type == CH_KV_Q16)
        memcpy(at, &integer, sizeof integer);
    else
        memcpy(at, &byte, sizeof byte);
}

CH_INLINE int32_t ch_kv_get(ch_kv_type type, const uint8_t *at) {
    int16_t word;
    int8_t byte;
    if (type == CH_KV_Q16) {
        memcpy(&word, at, sizeof word);
        return word;
    }
    memcpy(&byte, at, sizeof byte);
    return byte;
}

CH_INLINE size_t ch_kv_bytes(ch_kv_type type, int32_t dim, int32_t capacity) {
    if (!ch_kv_integers(type)) return (size_t)dim * (size_t)capacity * ch_kv_size(type);
    return ch_kv_scales(type, dim, capacity) +
           (size_t)ch_kv_groups(dim) * (size_t)capacity * sizeof(float);
}

// Writes one position of one KV head: k[head_dim], v[value_dim]; into a cache of integers those of
// each group, of at most ch_kv_most:
//
// integers of n floats of at most M
//   top = max |x|, NaN left out, at most the largest float; d = top / M; inverse = 1 / d, but d =
//   inverse = 0 where that overflows; q = round_half_even(x * inverse), within -M..M, NaN gives -M
typedef void ch_kv_store_fn(const float *k, const float *v, int32_t head_dim, int32_t value_dim,
                            int32_t capacity, int32_t position, uint8_t *k_cache, uint8_t *v_cache);

// Streaming attention of query heads head0..head1 (all of one KV head: k_cache and v_cache are its
// caches) for tokens t0..t1; token t stands at position pos0 + t and sees positions first(t)..pos0
// + t, where first(t) = max(0, pos0 + t + 1 - window) if window > 0, else 0. q is rotated and
// scaled already.
//
// Canon, for one query: chunks of CH_KV_CHUNK positions at multiples of it, in order, from the one
// that holds first(t); a chunk's positions outside of what the query sees count as score -inf and
// weight 0, and are not read from V (K may be read, and is ignored).
//   s[j]  = chain over e = 0..head_dim-1 of fma(q[e], K[e][j], s[j]) from 0
//   m'    = max(m, max of s over the chunk); f = ch_exp(m - m'), p[j] = ch_exp(s[j] - m')
//   l[i]  = fma(l[i], f, (p[i] + p[16+i]) + (p[32+i] + p[48+i])) for the 16 lanes i
//   o[e]  = o[e] * f, then over the chunk's seen positions j in order o[e] = fma(p[j], V[j][e],
//   o[e])
// A cache of integers has integers instead, those of q per group of its head made once, of at most
// CH_ATTN_MOST with the scale qd:
//   s[j]  = over the groups of the head in order fma(t * kd[j], qd * CH_LOG2E, s[j]) from 0; t =
//           exact integer sum of products over the group, as a float, kd = the key's scale
//   f, p  = with ch_exp2 instead of ch_exp, and p = 0 outside of what the query sees
//   o[e]  = fma(t, pd, o[e] * f): w[j] = p[j] * vd[j] with the value's scale of e's group, 0 where
//           position j is not seen; pd and integers of w as above, of at most CH_ATTN_MOST; t =
//           exact integer sum of them times V over the chunk, as a float
// At the end y[e] = o[e] * (1 / ch_sum16(l)). m starts as -inf, l and o as 0.
typedef struct ch_attn_args {
    const float *q;  // [token][q_stride]: head h at h * head_dim
    size_t q_stride; // floats
    const uint8_t *k_cache, *v_cache;
    int32_t capacity; // positions of the caches
    float *y;         // [token][y_stride]: head h at h * value_dim
    size_t y_stride;  // floats
    int32_t head_dim, value_dim;
    int32_t pos0;
    int32_t window;   // 0: none
    uint8_t *scratch; // ch_attn_scratch_bytes(head_dim, value_dim), aligned to CH_ALIGN
} ch_attn_args;
typedef void ch_attn_fn(const ch_attn_args *a, int32_t head0, int32_t head1, int32_t t0,
                        int32_t t1);

// What n queries see of a chunk, together: from <= j < to, where each sees lo <= j < hi. False
// where they see nothing of it. They stand in the order of their positions, with no gap: where any
// of them sees something of the chunk, the first one's lo is the lowest and the last one's hi the
// highest of those that do.
CH_INLINE bool ch_attn_seen(const int32_t *lo, const int32_t *hi, int32_t n, int32_t *from,
                            int32_t *to) {
    *from = lo[0];
    *to = hi[n - 1];
    return *to > *from;
}

#define CH_ATTN_ROWS 256 // queries (heads x tokens) that attention takes at a time

// Room for a chunk of K and of V as floats, for queries and outputs of CH_ATTN_ROWS rows, and for
// the scores of sixteen of them. What caches of integers want instead is less.
CH_INLINE size_t ch_attn_scratch_bytes(int32_t head_dim, int32_t value_dim) {
    size_t keys = ch_round_up((size_t)head_dim, CH_KV_CHUNK);
    size_t dims = keys + ch_round_up((size_t)value_dim, 32);
    return ((CH_KV_CHUNK + CH_ATTN_ROWS) * dims + 16 * CH_KV_CHUNK) * sizeof(float);
}

// The machine's own limits, to set the speed of all else against.
//
// roof_read: reads each byte of data[0..bytes) once, as CH_ROOF_STREAMS parts side by side, each
// fetched CH_ROOF_AHEAD bytes ahead (that many of both read memory fastest); returns the sum of its
// 64-bit words. data is aligned to 64 bytes; bytes is a multiple of CH_ROOF_UNIT.
// roof_peak: multiply-adds in registers, 1 times 1 each, in `rounds` (1..CH_ROOF_ROUNDS) rounds of
// a fixed number; returns how many were made, and what they sum up to, which is the same number.
typedef uint64_t ch_roof_read_fn(const uint8_t *data, size_t bytes);
typedef int64_t ch_roof_peak_fn(int32_t rounds, int64_t *sum);
typedef enum ch_roof_kind { CH_ROOF_INT8, CH_ROOF_F32, CH_ROOF_BF16, CH_ROOF_COUNT } ch_roof_kind;

#define CH_ROOF_STREAMS 8
#define CH_ROOF_AHEAD   2048
#define CH_ROOF_UNIT    ((size_t)CH_ROOF_STREAMS * 128)
#define CH_ROOF_ROUNDS  (1 << 20) // so that sums stay exact in a float

// Sum of 16 lanes in the canonical order.
CH_INLINE float ch_sum16(const float *a) {
    float b[8];
    for (int i = 0; i < 8; i++) b[i] = a[i] + a[i + 8];
    for (int i = 0; i < 4; i++) b[i] = b[i] + b[i + 4];
    return (b[0] + b[2]) + (b[1] + b[3]);
}

#define CH_LOG2E 1.44269504f

// exp(x), relative error below 3e-7: x = n ln 2 + r, |r| <= ln 2 / 2, Taylor series of degree 7 in
// r, then 2^n by adding n to the exponent. 0 below -87; 88 is the largest x that counts; NaN gives
// 0. Vector versions do the same operations in the same order (n by the same adding of 1.5 * 2^23).
CH_INLINE float ch_exp(float x) {
    if (!(x >= -87.0f)) return 0.0f;
    if (x > 88.0f) x = 88.0f;
    float shifted = fmaf(x, CH_LOG2E, 12582912.0f);
    float n = shifted - 12582912.0f;
    float r = fmaf(n, -0.693145752f, x);
    r = fmaf(n, -1.42860677e-6f, r);
    float p = 1.98412698e-4f;
    p = fmaf(p, r, 1.38888889e-3f);
    p = fmaf(p, r, 8.33333333e-3f);
    p = fmaf(p, r, 4.16666667e-2f);
    p = fmaf(p, r, 1.66666667e-1f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return ch_f32_from_bits(ch_bits_from_f32(p) + (ch_bits_from_f32(shifted) << 23));
}

// 2^x for x <= 0, relative error below 4e-6: what weights of attention need that become integers
// of 13 bits. x = n + r, |r| <= 1 / 2, a polynomial of degree 4 in r with the least relative error
// that has 1 at 0. Below -64, and for NaN, it is 2^-64.
CH_INLINE float ch_exp2(float x) {
    if (!(x > -64.0f)) x = -64.0f;
    float shifted = x + 12582912.0f;
    float r = x - (shifted - 12582912.0f);
    float p = 9.78291221e-3f;
    p = fmaf(p, r, 5.59768826e-2f);
    p = fmaf(p, r, 2.40207106e-1f);
    p = fmaf(p, r, 6.93113625e-1f);
    p = fmaf(p, r, 1.0f);
    return ch_f32_from_bits(ch_bits_from_f32(p) + (ch_bits_from_f32(shifted) << 23));
}

// ---- the kernel list

// What a CPU offers, as bits. A kernel's row names all that it needs.
enum {
    CH_CPU_AVX2 = 1 << 0,    // AVX2, FMA, F16C, BMI2
    CH_CPU_AVXVNNI = 1 << 1, // VNNI for 256 bits (VEX encoded)
    CH_CPU_AVX512 = 1 << 2,  // AVX-512 F, BW, DQ, VL, VBMI, VNNI, GFNI: Ice Lake, Zen 4 and later
    CH_CPU_AVX512BF16 = 1 << 3, // products of bfloat16
    CH_CPU_AMX = 1 << 4,        // AMX tiles of bfloat16, lent to this process: ch_os_allow_tiles
    CH_CPU_NEON = 1 << 8,       // aarch64
    CH_CPU_DOTPROD = 1 << 9,    // sdot
    CH_CPU_I8MM = 1 << 10,      // smmla
    // Not of the CPU: OpenBLAS is linked (the build option CHORD_OPENBLAS). Its kernels stand
    // outside of the canon: their results are right within rounding, not to the bit. They also
    // allocate.
    CH_CPU_OPENBLAS = 1 << 16
};

// The function targets that go with the bits.
#define CH_TARGET_AVX2    CH_TARGET("avx2,fma,f16c,bmi2")
#define CH_TARGET_AVXVNNI CH_TARGET("avx2,fma,f16c,bmi2,avxvnni")
#define CH_FEATURES_AVX512                                                                         \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,gfni,avx2,fma,f16c,bmi2"
#define CH_TARGET_AVX512     CH_TARGET(CH_FEATURES_AVX512)
#define CH_TARGET_AVX512BF16 CH_TARGET("avx512bf16," CH_FEATURES_AVX512)
#define CH_TARGET_AMX        CH_TARGET("amx-tile,amx-bf16,avx512bf16," CH_FEATURES_AVX512)

// Around a file of such kernels: g++ 12 takes the deliberately undefined registers of its own
// AVX-512 header for mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#define CH_AVX512_BEGIN                                                                            \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")           \
        _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")
#define CH_AVX512_END _Pragma("GCC diagnostic pop")
#else
#define CH_AVX512_BEGIN
#define CH_AVX512_END
#endif

typedef enum ch_family {
    CH_FAMILY_MATVEC,
    CH_FAMILY_GEMM,
    CH_FAMILY_BGEMM,
    CH_FAMILY_QUANTIZE,
    CH_FAMILY_DEQUANTIZE,
    CH_FAMILY_RMSNORM,
    CH_FAMILY_GLU,
    CH_FAMILY_ROPE,
    CH_FAMILY_KV_STORE,
    CH_FAMILY_ATTENTION,
    CH_FAMILY_ROOF_READ,
    CH_FAMILY_ROOF_PEAK,
    CH_FAMILY_COUNT
} ch_family;

typedef void ch_any_fn(void);

typedef struct ch_kernel {
    const char *name; // "matvec_q4_0__avx512": what, two underscores, how
    ch_family family;
    int32_t variant; // a ch_type (matvec, gemm, bgemm, dequantize), a ch_record (quantize), a
                     // ch_kv_type (kv_store, attention), a ch_roof_kind (roof_peak), or 0
    uint32_t cpu;    // CPU bits needed; 0: runs anywhere
    ch_any_fn *fn;   // cast to the family's type
} ch_kernel;

// Row i of the list (0 <= i < ch_kernel_count()).
CH_FN const ch_kernel *ch_kernel_at(int32_t i);
CH_FN int32_t ch_kernel_count(void);

CH_FN const char *ch_family_name(ch_family family);

// The bits of the CPU that this runs on. Pure: asks the CPU (and the kernel, on aarch64, and for
// tiles) every time.
CH_FN uint32_t ch_cpu_detect(void);

// What of this CPU is used at a level: "c", "openblas", "avx2", "avxvnni", "avx512", "amx", "neon",
// "dotprod", "i8mm", each with all below it. NULL: all but AMX, which gives other bits, and changes
// the process when it is asked for. That is done here, where the level is "amx". False when there
// is no such level.
CH_FN bool ch_cpu_choose(const char *level, uint32_t *bits);

// The fastest kernel of a family and variant whose needs are within `cpu`: the last such row of the
// list. Every family and variant has a C reference, so there always is one. Returns its row number.
CH_FN int32_t ch_kernel_find(ch_family family, int32_t variant, uint32_t cpu);

// Columns up to which matvec takes quantized rows in less time than gemm: CH_MATVEC_COLUMNS or
// fewer.
CH_FN int32_t ch_matvec_columns(uint32_t cpu);

// Columns up to which gemm takes less time than bgemm, which converts weights for as long as it
// multiplies that many: docs/SPEED.md.
#define CH_GEMM_COLUMNS_QUANTIZED 64
#define CH_GEMM_COLUMNS_FLOAT     16

// Declarations of all kernels, from the list.
#define CH_DECLARE_MATVEC                          ch_mm_fn
#define CH_DECLARE_GEMM                            ch_mm_fn
#define CH_DECLARE_BGEMM                           ch_mm_fn
#define CH_DECLARE_QUANTIZE                        ch_quantize_fn
#define CH_DECLARE_DEQUANTIZE                      ch_dequantize_fn
#define CH_DECLARE_RMSNORM                         ch_rmsnorm_fn
#define CH_DECLARE_GLU                             ch_glu_fn
#define CH_DECLARE_ROPE                            ch_rope_fn
#define CH_DECLARE_KV_STORE                        ch_kv_store_fn
#define CH_DECLARE_ATTENTION                       ch_attn_fn
#define CH_DECLARE_ROOF_READ                       ch_roof_read_fn
#define CH_DECLARE_ROOF_PEAK                       ch_roof_peak_fn
#define CH_KERNEL(FAMILY, variant, what, how, cpu) CH_FN CH_DECLARE_##FAMILY ch_##what##__##how;
#include "kernels.def"
#undef CH_KERNEL

#endif
