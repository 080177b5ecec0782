// neon: what the aarch64 kernel files share: unpacking of quantized weights, ch_exp and ch_exp2 on
// four lanes.
//
// Owns: for every quantized type, how 128 weights of a row (a group: four blocks of 32, the period
// of the canon's four accumulators) become eight vectors of int8 and vectors of four blocks' scales
// and offsets. Refuses: dot products (they differ with and without sdot) and loops over rows.
//
// Layout of a group: q[2i] and q[2i + 1] are the weights 0..15 and 16..31 of block i; lane i of
// scale[h] and offset[h] belongs to half h of block i. Types with one scale per block fill [0]
// only. So do Q2_K and Q3_K, with d: their scales per half are the integers `times`, which multiply
// either sums (lane i of times[h]) or weights (lane j of times8: those of q[j]). Q4_0 gives its
// weights times 16 (the nibble stays in the upper half of the byte: one operation less);
// nn_traits.shift says so, and the sum is divided as it becomes a float, exactly.
//
// Invariants: reads no byte outside of the four blocks, or of the 256-weight block, it is given.
#ifndef CH_NEON_H
#define CH_NEON_H

#include "kernels.h"

#if CH_ARM64
#include <arm_neon.h>

// Function attributes for sdot and smmla. The spellings differ: gcc's assembler wants the
// architecture too.
#if defined(__clang__)
#define CH_NEON_DOTPROD CH_TARGET("dotprod")
#define CH_NEON_I8MM    CH_TARGET("i8mm")
#else
#define CH_NEON_DOTPROD CH_TARGET("arch=armv8.2-a+dotprod")
#define CH_NEON_I8MM    CH_TARGET("arch=armv8.2-a+dotprod+i8mm")
#endif

// What is constant for a type. Every use is inlined, so that the branches on it vanish.
typedef struct nn_traits {
    int32_t bytes; // of one block, or of a block of 256
    bool super;    // blocks of 256: a group is half a block
    bool halves;   // scales (and offsets) per 16 weights
    bool whole;    // those scales are integers
    bool offsets;  // has offsets
    bool wide;     // |q| may exceed 32: only two products fit in 16 bits
    int32_t shift; // weights come times 2^shift
} nn_traits;

// X(type, super, halves, whole, offsets, wide, shift)
#define CH_NEON_QUANT_TYPES(X)                                                                     \
    X(q4_0, false, false, false, false, true, 4)                                                   \
    X(q4_1, false, false, false, true, false, 0)                                                   \
    X(q5_0, false, false, false, false, false, 0)                                                  \
    X(q5_1, false, false, false, true, false, 0)                                                   \
    X(q8_0, false, false, false, false, true, 0)                                                   \
    X(q2_k, true, true, true, true, false, 0)                                                      \
    X(q3_k, true, true, true, false, false, 0)                                                     \
    X(q4_k, true, false, false, true, false, 0)                                                    \
    X(q5_k, true, false, false, true, false, 0)                                                    \
    X(q6_k, true, true, false, false, false, 0)

typedef struct nn_group {
    int8x16_t q[8];
    float32x4_t scale[2], offset[2];
    int32x4_t times[2];
    int8x8_t times8;
} nn_group;

// ---- scales

// Four 16-bit floats, `step` bytes apart, as floats.
CH_FORCE_INLINE float32x4_t nn_load_f16x4(const uint8_t *p, size_t step) {
    uint16x4_t h = vdup_n_u16(ch_load_u16(p));
    h = vset_lane_u16(ch_load_u16(p + step), h, 1);
    h = vset_lane_u16(ch_load_u16(p + 2 * step), h, 2);
    h = vset_lane_u16(ch_load_u16(p + 3 * step), h, 3);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

// One 16-bit float in all lanes.
CH_FORCE_INLINE float32x4_t nn_load_f16(const uint8_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(ch_load_u16(p))));
}

CH_FORCE_INLINE float32x4_t nn_times_u16(float32x4_t d, uint16x4_t v) {
    return vmulq_f32(d, vcvtq_f32_u32(vmovl_u16(v)));
}

CH_FORCE_INLINE float32x4_t nn_times_s16(float32x4_t d, int16x4_t v) {
    return vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(v)));
}

// Eight signed bytes are the integer scales of four blocks' halves.
CH_FORCE_INLINE void nn_times_halves(nn_group *g, float32x4_t d, int8x8_t scales) {
    int16x4_t pairs = vreinterpret_s16_s8(scales);
    g->times8 = scales;
    g->times[0] = vmovl_s16(vshr_n_s16(vshl_n_s16(pairs, 8), 8));
    g->times[1] = vmovl_s16(vshr_n_s16(pairs, 8));
    g->scale[0] = d;
}

// The same as floats.
CH_FORCE_INLINE void nn_scale_halves(nn_group *g, float32x4_t d, int8x8_t scales) {
    int16x4_t pairs = vreinterpret_s16_s8(scales);
    g->scale[0] = nn_times_s16(d, vshr_n_s16(vshl_n_s16(pairs, 8), 8));
    g->scale[1] = nn_times_s16(d, vshr_n_s16(pairs, 8));
}

CH_FORCE_INLINE uint32_t nn_load_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// The packed 6-bit scales and minimums of Q4_K and Q5_K, four sub-blocks at a time: see
// ch_scale_min_k4. The sign goes to dmin, which is exact.
CH_FORCE_INLINE void nn_scale_min_k4(nn_group *g, const uint8_t *d, const uint8_t *scales,
                                     int half) {
    uint32_t a = nn_load_u32(scales), b = nn_load_u32(scales + 4), c = nn_load_u32(scales + 8);
    uint32_t scale = half ? (c & 0x0f0f0f0fu) | ((a >> 2) & 0x30303030u) : a & 0x3f3f3f3fu;
    uint32_t min = half ? ((c >> 4) & 0x0f0f0f0fu) | ((b >> 2) & 0x30303030u) : b & 0x3f3f3f3fu;
    uint16x8_t both = vmovl_u8(vcreate_u8((uint64_t)min << 32 | scale));
    g->scale[0] = nn_times_u16(nn_load_f16(d), vget_low_u16(both));
    g->offset[0] = nn_times_u16(vnegq_f32(nn_load_f16(d + 2)), vget_high_u16(both));
}

// ---- weights

CH_FORCE_INLINE int8x16_t nn_low(uint8x16_t v) {
    return vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
}

CH_FORCE_INLINE int8x16_t nn_high(uint8x16_t v) {
    return vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
}

CH_FORCE_INLINE int8x16_t nn_or(int8x16_t a, uint8x16_t b) {
    return vorrq_s8(a, vreinterpretq_s8_u8(b));
}

CH_FORCE_INLINE void nn_unpack_q4_0(const uint8_t *p, int half, nn_group *g) {
    (void)half;
    CH_UNROLL
    for (int i = 0; i < 4; i++) {
        // Flipping the nibble's top bit subtracts 8 from it, seen as a signed nibble.
        uint8x16_t v = veorq_u8(vld1q_u8(p + 18 * i + 2), vdupq_n_u8(0x88));
        g->q[2 * i] = vreinterpretq_s8_u8(vshlq_n_u8(v, 4));
        g->q[2 * i + 1] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(0xf0)));
    }
    g->scale[0] = nn_load_f16x4(p, 18);
}

CH_FORCE_INLINE void nn_unpack_q4_1(const uint8_t *p, int half, nn_group *g) {
    (void)half;
    CH_UNROLL
    for (int i = 0; i < 4; i++) {
        uint8x16_t v = vld1q_u8(p + 20 * i + 4);
        g->q[2 * i] = nn_low(v);
        g->q[2 * i + 1] = nn_high(v);
    }
    g->scale[0] = nn_load_f16x4(p, 20);
    g->offset[0] = nn_load_f16x4(p + 2, 20);
}

// All ones where the bit of a weight is set: 16 weights, whose bits are bytes `first` and first + 1
// of each lane of qh.
CH_FORCE_INLINE uint8x16_t nn_bits(uint8x16_t qh, int first) {
    uint8x16_t byte = vcombine_u8(vdup_n_u8((uint8_t)first), vdup_n_u8((uint8_t)(first + 1)));
    uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    return vtstq_u8(vqtbl1q_u8(qh, byte), bit);
}

CH_FORCE_INLINE uint8x16_t nn_load_qh(const uint8_t *p) {
    return vreinterpretq_u8_u32(vdupq_n_u32(nn_load_u32(p)));
}

CH_FORCE_INLINE void nn_unpack_q5_0(const uint8_t *p, int half, nn_group *g) {
    (void)half;
    uint8x16_t minus16 = vdupq_n_u8(0xf0); // or-ed where the fifth bit is clear
    CH_UNROLL
    for (int i = 0; i < 4; i++) {
        uint8x16_t v = vld1q_u8(p + 22 * i + 6), qh = nn_load_qh(p + 22 * i + 2);
        g->q[2 * i] = nn_or(nn_low(v), vbicq_u8(minus16, nn_bits(qh, 0)));
        g->q[2 * i + 1] = nn_or(nn_high(v), vbicq_u8(minus16, nn_bits(qh, 2)));
    }
    g->scale[0] = nn_load_f16x4(p, 22);
}

CH_FORCE_INLINE void nn_unpack_q5_1(const uint8_t *p, int half, nn_group *g) {
    (void)half;
    uint8x16_t fifth = vdupq_n_u8(16);
    CH_UNROLL
    for (int i = 0; i < 4; i++) {
        uint8x16_t v = vld1q_u8(p + 24 * i + 8), qh = nn_load_qh(p + 24 * i + 4);
        g->q[2 * i] = nn_or(nn_low(v), vandq_u8(fifth, nn_bits(qh, 0)));
        g->q[2 * i + 1] = nn_or(nn_high(v), vandq_u8(fifth, nn_bits(qh, 2)));
    }
    g->scale[0] = nn_load_f16x4(p, 24);
    g->offset[0] = nn_load_f16x4(p + 2, 24);
}

CH_FORCE_INLINE void nn_unpack_q8_0(const uint8_t *p, int half, nn_group *g) {
    (void)half;
    CH_UNROLL
    for (int i = 0; i < 8; i++)
        g->q[i] = vld1q_s8((const int8_t *)p + 34 * (i / 2) + 2 + 16 * (i % 2));
    g->scale[0] = nn_load_f16x4(p, 34);
}

// `at`'s bits of v moved to `to`: the fifth, third ... bits of a K type.
#define NN_FIELD(v, at, to, mask)                                                                  \
    vandq_u8((at) > (to)   ? vshrq_n_u8((v), (at) > (to) ? (at) - (to) : 1)                        \
             : (at) < (to) ? vshlq_n_u8((v), (at) < (to) ? (to) - (at) : 0)                        \
                           : (v),                                                                  \
             vdupq_n_u8((uint8_t)((mask) << (to))))

CH_FORCE_INLINE void nn_unpack_q2_k(const uint8_t *p, int half, nn_group *g) {
    const ch_block_q2_k *block = (const ch_block_q2_k *)(const void *)p;
    CH_UNROLL
    for (int i = 0; i < 2; i++) {
        uint8x16_t v = vld1q_u8(block->qs + 32 * half + 16 * i);
        g->q[i] = vreinterpretq_s8_u8(NN_FIELD(v, 0, 0, 3));
        g->q[2 + i] = vreinterpretq_s8_u8(NN_FIELD(v, 2, 0, 3));
        g->q[4 + i] = vreinterpretq_s8_u8(NN_FIELD(v, 4, 0, 3));
        g->q[6 + i] = vreinterpretq_s8_u8(vshrq_n_u8(v, 6));
    }
    // A 16-bit lane holds both halves of a block: scale and minimum, scale and minimum.
    float32x4_t d = nn_load_f16(p + offsetof(ch_block_q2_k, d));
    float32x4_t dmin = vnegq_f32(nn_load_f16(p + offsetof(ch_block_q2_k, dmin)));
    uint8x8_t bytes = vld1_u8(block->scales + 8 * half);
    uint16x4_t packed = vreinterpret_u16_u8(bytes);
    nn_times_halves(g, d, vreinterpret_s8_u8(vand_u8(bytes, vdup_n_u8(15))));
    g->offset[0] = nn_times_u16(dmin, vand_u16(vshr_n_u16(packed, 4), vdup_n_u16(15)));
    g->offset[1] = nn_times_u16(dmin, vshr_n_u16(packed, 12));
}

// The scales of Q3_K, eight sub-blocks at a time: see ch_scale_q3_k.
CH_FORCE_INLINE int8x8_t nn_scale_q3_k(const uint8_t *scales, int half) {
    uint8x8_t low = vld1_u8(scales);
    low = half ? vshr_n_u8(low, 4) : vand_u8(low, vdup_n_u8(15));
    uint32_t tops = nn_load_u32(scales + 8) >> (4 * half);
    uint64_t pair = (uint64_t)((tops >> 2) & 0x03030303u) << 32 | (tops & 0x03030303u);
    uint8x8_t high = vshl_n_u8(vcreate_u8(pair), 4);
    return vsub_s8(vreinterpret_s8_u8(vorr_u8(low, high)), vdup_n_s8(32));
}

CH_FORCE_INLINE void nn_unpack_q3_k(const uint8_t *p, int half, nn_group *g) {
    const ch_block_q3_k *block = (const ch_block_q3_k *)(const void *)p;
    CH_UNROLL
    for (int i = 0; i < 2; i++) {
        uint8x16_t v = vld1q_u8(block->qs + 32 * half + 16 * i);
        // 4 is subtracted where the third bit is clear.
        uint8x16_t no = vmvnq_u8(vld1q_u8(block->hmask + 16 * i));
        if (half) no = vshrq_n_u8(no, 4);
        uint8x16_t q0 = vsubq_u8(NN_FIELD(v, 0, 0, 3), NN_FIELD(no, 0, 2, 1));
        uint8x16_t q1 = vsubq_u8(NN_FIELD(v, 2, 0, 3), NN_FIELD(no, 1, 2, 1));
        uint8x16_t q2 = vsubq_u8(NN_FIELD(v, 4, 0, 3), NN_FIELD(no, 2, 2, 1));
        uint8x16_t q3 = vsubq_u8(vshrq_n_u8(v, 6), NN_FIELD(no, 3, 2, 1));
        g->q[i] = vreinterpretq_s8_u8(q0);
        g->q[2 + i] = vreinterpretq_s8_u8(q1);
        g->q[4 + i] = vreinterpretq_s8_u8(q2);
        g->q[6 + i] = vreinterpretq_s8_u8(q3);
    }
    nn_times_halves(g, nn_load_f16(p + offsetof(ch_block_q3_k, d)),
                    nn_scale_q3_k(block->scales, half));
}

CH_FORCE_INLINE void nn_unpack_q4_k(const uint8_t *p, int half, nn_group *g) {
    const ch_block_q4_k *block = (const ch_block_q4_k *)(const void *)p;
    CH_UNROLL
    for (int i = 0; i < 4; i++) {
        uint8x16_t v = vld1q_u8(block->qs + 64 * half + 16 * i);
        g->q[i / 2 * 4 + i % 2] = nn_low(v);
        g->q[i / 2 * 4 + i % 2 + 2] = nn_high(v);
    }
    nn_scale_min_k4(g, p, block->scales, half);
}

CH_FORCE_INLINE void nn_unpack_q5_k(const uint8_t *p, int half, nn_group *g) {
    const ch_block_q5_k *block = (const ch_block_q5_k *)(const void *)p;
    CH_UNROLL
    for (int i = 0; i < 2; i++) {
        uint8x16_t a = vld1q_u8(block->qs + 64 * half + 16 * i);
        uint8x16_t b = vld1q_u8(block->qs + 64 * half + 32 + 16 * i);
        uint8x16_t qh = vld1q_u8(block->qh + 16 * i);
        if (half) qh = vshrq_n_u8(qh, 4);
        g->q[i] = nn_or(nn_low(a), NN_FIELD(qh, 0, 4, 1));
        g->q[2 + i] = nn_or(nn_high(a), NN_FIELD(qh, 1, 4, 1));
        g->q[4 + i] = nn_or(nn_low(b), NN_FIELD(qh, 2, 4, 1));
        g->q[6 + i] = nn_or(nn_high(b), NN_FIELD(qh, 3, 4, 1));
    }
    nn_scale_min_k4(g, p, block->scales, half);
}

CH_FORCE_INLINE void nn_unpack_q6_k(const uint8_t *p, int half, nn_group *g) {
    const ch_block_q6_k *block = (const ch_block_q6_k *)(const void *)p;
    int8x16_t zero = vdupq_n_s8(32);
    CH_UNROLL
    for (int i = 0; i < 2; i++) {
        uint8x16_t a = vld1q_u8(block->ql + 64 * half + 16 * i);
        uint8x16_t b = vld1q_u8(block->ql + 64 * half + 32 + 16 * i);
        uint8x16_t qh = vld1q_u8(block->qh + 32 * half + 16 * i);
        g->q[i] = vsubq_s8(nn_or(nn_low(a), NN_FIELD(qh, 0, 4, 3)), zero);
        g->q[2 + i] = vsubq_s8(nn_or(nn_low(b), NN_FIELD(qh, 2, 4, 3)), zero);
        g->q[4 + i] = vsubq_s8(nn_or(nn_high(a), NN_FIELD(qh, 4, 4, 3)), zero);
        g->q[6 + i] = vsubq_s8(nn_or(nn_high(b), NN_FIELD(qh, 6, 4, 3)), zero);
    }
    nn_scale_halves(g, nn_load_f16(p + offsetof(ch_block_q6_k, d)),
                    vld1_s8(block->scales + 8 * half));
}

#undef NN_FIELD

typedef void nn_unpack_fn(const uint8_t *p, int half, nn_group *g);

// The last 1..3 blocks of a row of a type with blocks of 32, copied so that nothing past the row is
// read; the blocks that are not there become zero.
CH_FORCE_INLINE void nn_unpack_tail(nn_unpack_fn *unpack, const uint8_t *p, int32_t blocks,
                                    int32_t bytes, nn_group *g) {
    uint8_t copy[4 * sizeof(ch_block_q8_0)];
    memset(copy, 0, sizeof copy);
    memcpy(copy, p, (size_t)(blocks * bytes));
    unpack(copy, 0, g);
}

// Integer sums as floats, without the factor 2^shift that the weights came with.
CH_FORCE_INLINE float32x4_t nn_to_f32(int32x4_t t, int32_t shift) {
    return shift ? vcvtq_n_f32_s32(t, 4) : vcvtq_f32_s32(t);
}

// (a[0] + a[2]) + (a[1] + a[3])
CH_FORCE_INLINE float nn_sum4(float32x4_t a) {
    return vpadds_f32(vadd_f32(vget_low_f32(a), vget_high_f32(a)));
}

// ch_sum16 of lanes a[0..3].
CH_FORCE_INLINE float nn_sum16(const float32x4_t *a) {
    return nn_sum4(vaddq_f32(vaddq_f32(a[0], a[2]), vaddq_f32(a[1], a[3])));
}

// ch_exp of four lanes: the same operations.
CH_FORCE_INLINE float32x4_t nn_exp(float32x4_t x) {
    uint32x4_t counts = vcgeq_f32(x, vdupq_n_f32(-87.0f)); // not for NaN
    x = vminq_f32(x, vdupq_n_f32(88.0f));
    float32x4_t big = vdupq_n_f32(12582912.0f);
    float32x4_t shifted = vfmaq_f32(big, x, vdupq_n_f32(CH_LOG2E));
    float32x4_t n = vsubq_f32(shifted, big);
    float32x4_t r = vfmaq_f32(x, n, vdupq_n_f32(-0.693145752f));
    r = vfmaq_f32(r, n, vdupq_n_f32(-1.42860677e-6f));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(1.38888889e-3f), vdupq_n_f32(1.98412698e-4f), r);
    p = vfmaq_f32(vdupq_n_f32(8.33333333e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(4.16666667e-2f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.66666667e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    uint32x4_t bits = vreinterpretq_u32_f32(p);
    bits = vaddq_u32(bits, vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23));
    return vreinterpretq_f32_u32(vandq_u32(bits, counts));
}

// ch_exp2 of four lanes.
CH_FORCE_INLINE float32x4_t nn_exp2(float32x4_t x) {
    x = vmaxnmq_f32(x, vdupq_n_f32(-64.0f)); // not NaN
    float32x4_t big = vdupq_n_f32(12582912.0f);
    float32x4_t shifted = vaddq_f32(x, big);
    float32x4_t r = vsubq_f32(x, vsubq_f32(shifted, big));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(5.59768826e-2f), vdupq_n_f32(9.78291221e-3f), r);
    p = vfmaq_f32(vdupq_n_f32(2.40207106e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(6.93113625e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    uint32x4_t power = vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), power));
}

#endif
#endif
