// blocks: the quantized block layouts of GGUF, as packed structs.
//
// Owns: the on-disk layouts (little-endian) and the conversions of 16-bit floats. Refuses: nothing,
// it is pure data. Source of the layouts: ggml-common.h of https://github.com/ggml-org/ggml; the
// meaning of every field is given by the C reference in reference.c.
#ifndef CH_BLOCKS_H
#define CH_BLOCKS_H

#include "../arena/base.h"

// 32 weights: value = d * (nibble - 8). Low nibbles are weights 0..15, high nibbles 16..31.
typedef struct ch_block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
} ch_block_q4_0;
// 32 weights: value = d * nibble + m.
typedef struct ch_block_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
} ch_block_q4_1;
// 32 weights: value = d * (5 bits - 16); bit i of qh is the fifth bit of weight i.
typedef struct ch_block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
} ch_block_q5_0;
// 32 weights: value = d * 5 bits + m.
typedef struct ch_block_q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
} ch_block_q5_1;
// 32 weights: value = d * q.
typedef struct ch_block_q8_0 {
    uint16_t d;
    int8_t qs[32];
} ch_block_q8_0;
// 256 weights in 16 sub-blocks of 16: value = d * (scales & 15) * q - dmin * (scales >> 4).
// qs: two halves of 128 weights, 32 bytes each; sub-row j (0..3) of a half is bits 2j of its 32
// bytes.
typedef struct ch_block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d, dmin;
} ch_block_q2_k;
// 256 weights in 16 sub-blocks of 16: value = d * (6-bit scale - 32) * (q - 4), q = 2 bits of qs +
// 4 * bit of hmask.
typedef struct ch_block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint16_t d;
} ch_block_q3_k;
// 256 weights in 8 sub-blocks of 32: value = d * sc * q - dmin * m; sc and m are 6 bits each,
// packed in 12 bytes. qs: four chunks of 32 bytes; low nibbles are sub-block 2c, high nibbles 2c
// + 1.
typedef struct ch_block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128];
} ch_block_q4_k;
// As Q4_K with a fifth bit: bit j of qh[i] belongs to weight i of sub-block j.
typedef struct ch_block_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
} ch_block_q5_k;
// 256 weights in 16 sub-blocks of 16: value = d * scales[j] * (q - 32), q = 4 bits of ql + 2 bits
// of qh.
typedef struct ch_block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
} ch_block_q6_k;

CH_STATIC_ASSERT(sizeof(ch_block_q4_0) == 18, "q4_0");
CH_STATIC_ASSERT(sizeof(ch_block_q4_1) == 20, "q4_1");
CH_STATIC_ASSERT(sizeof(ch_block_q5_0) == 22, "q5_0");
CH_STATIC_ASSERT(sizeof(ch_block_q5_1) == 24, "q5_1");
CH_STATIC_ASSERT(sizeof(ch_block_q8_0) == 34, "q8_0");
CH_STATIC_ASSERT(sizeof(ch_block_q2_k) == 84, "q2_k");
CH_STATIC_ASSERT(sizeof(ch_block_q3_k) == 110, "q3_k");
CH_STATIC_ASSERT(sizeof(ch_block_q4_k) == 144, "q4_k");
CH_STATIC_ASSERT(sizeof(ch_block_q5_k) == 176, "q5_k");
CH_STATIC_ASSERT(sizeof(ch_block_q6_k) == 210, "q6_k");

CH_INLINE float ch_f32_from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

CH_INLINE uint32_t ch_bits_from_f32(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

// IEEE 754 binary16 to binary32, exact, NaN and infinities kept.
CH_INLINE float ch_f32_from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 1023u;
    if (exponent == 31) return ch_f32_from_bits(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) return ch_f32_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
    float f = (float)mantissa * (1.0f / 16777216.0f);
    return sign ? -f : f;
}

// binary32 to binary16, rounding to nearest, ties to even; overflow gives infinity, NaN stays NaN
// (quiet).
CH_INLINE uint16_t ch_f16_from_f32(float f) {
    uint32_t bits = ch_bits_from_f32(f), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((rest >> 13) & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (rest < 0x38800000u) { // below 2^-14: a subnormal half; adding 0.5 lets the float unit round
                              // to 2^-24
        float shifted = ch_f32_from_bits(rest) + 0.5f;
        return (uint16_t)(sign | (ch_bits_from_f32(shifted) - 0x3f000000u));
    }
    uint32_t odd = (rest >> 13) & 1u;
    return (uint16_t)(sign | ((rest - 0x38000000u + 0xfffu + odd) >> 13));
}

// bfloat16 is the upper half of a binary32.
CH_INLINE float ch_f32_from_bf16(uint16_t h) {
    return ch_f32_from_bits((uint32_t)h << 16);
}

// Rounding to nearest, ties to even; what is subnormal becomes 0 with its sign, NaN stays NaN
// (quiet). As the instruction vcvtneps2bf16.
CH_INLINE uint16_t ch_bf16_from_f32(float f) {
    uint32_t bits = ch_bits_from_f32(f), rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    if (rest < 0x00800000u) return (uint16_t)((bits >> 16) & 0x8000u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

CH_INLINE uint16_t ch_load_u16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Sub-block j (0..7) of the packed 6-bit scales and minimums of Q4_K and Q5_K: 0..3 lie whole in
// bytes j and j + 4; 4..7 have four bits in byte j + 4 and their upper two in the tops of bytes j -
// 4 (scale) and j (minimum).
CH_INLINE void ch_scale_min_k4(const uint8_t *scales, int32_t j, uint8_t *scale, uint8_t *min) {
    if (j < 4) {
        *scale = scales[j] & 63u;
        *min = scales[j + 4] & 63u;
    } else {
        *scale = (uint8_t)((scales[j + 4] & 15u) | ((scales[j - 4] >> 6) << 4));
        *min = (uint8_t)((scales[j + 4] >> 4) | ((scales[j] >> 6) << 4));
    }
}

// Sub-block j (0..15) of the packed 6-bit scales of Q3_K, without the offset of 32.
CH_INLINE uint8_t ch_scale_q3_k(const uint8_t *scales, int32_t j) {
    uint8_t low = j < 8 ? scales[j] & 15u : scales[j - 8] >> 4;
    uint8_t high = (scales[8 + (j & 3)] >> (2 * (j >> 2))) & 3u;
    return (uint8_t)(low | (high << 4));
}

#endif
