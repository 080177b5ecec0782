// blocks: reading weights in the layout of src/engine/gles_pack.h.
//
// One of TYPE_F32 .. TYPE_Q6_K is defined. Functions: the quants of eight weights of a block of 32
// as floats, and, unless FLOATS is defined, scale and offset of the block's two halves:
// weight = scale[i / 16] * quant + offset[i / 16].
#if defined(TYPE_F32) || defined(TYPE_F16) || defined(TYPE_BF16)
#define FLOATS
#endif

layout(std430, binding = 0) readonly restrict buffer Low {
    uvec4 low[];
};
#ifndef FLOATS
layout(std430, binding = 1) readonly restrict buffer Side {
    uint side[];
};
#endif

// Words of scales of 256 weights of a K type.
#if defined(TYPE_Q2_K) || defined(TYPE_Q6_K)
#define SCALE_WORDS 5u
#else
#define SCALE_WORDS 4u
#endif

// Index of a block: row in the slab * blocks in a row + block in the row.

#if defined(TYPE_F32)
void block_octet(uint i, uint o, out vec4 a, out vec4 b) {
    a = uintBitsToFloat(low[i * 8u + o * 2u]);
    b = uintBitsToFloat(low[i * 8u + o * 2u + 1u]);
}
#elif defined(TYPE_F16)
void block_octet(uint i, uint o, out vec4 a, out vec4 b) {
    uvec4 w = low[i * 4u + o];
    a = vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
    b = vec4(unpackHalf2x16(w.z), unpackHalf2x16(w.w));
}
#elif defined(TYPE_BF16)
void block_octet(uint i, uint o, out vec4 a, out vec4 b) {
    uvec4 w = low[i * 4u + o];
    a = uintBitsToFloat(uvec4(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u));
    b = uintBitsToFloat(uvec4(w.z << 16, w.z & 0xffff0000u, w.w << 16, w.w & 0xffff0000u));
}
#elif defined(TYPE_Q8_0)
void block_octet(uint i, uint o, out vec4 a, out vec4 b) {
    uvec4 w = low[i * 2u + (o >> 1u)];
    uvec2 v = (o & 1u) == 0u ? w.xy : w.zw;
    a = vec4(ivec4(v.xxxx << uvec4(24u, 16u, 8u, 0u)) >> 24);
    b = vec4(ivec4(v.yyyy << uvec4(24u, 16u, 8u, 0u)) >> 24);
}
#else

// The low bits of eight weights, and the high ones where they stand above them.
#if defined(TYPE_Q2_K) || defined(TYPE_Q3_K)
#define LOW_BITS 2u
void block_low(uint i, uint o, out uvec4 a, out uvec4 b) {
    uint w = low[i >> 1u][(i & 1u) * 2u + (o >> 1u)] >> ((o & 1u) * 16u);
    a = (uvec4(w) >> uvec4(0u, 2u, 4u, 6u)) & 3u;
    b = (uvec4(w) >> uvec4(8u, 10u, 12u, 14u)) & 3u;
}
#else
#define LOW_BITS 4u
void block_low(uint i, uint o, out uvec4 a, out uvec4 b) {
    uint w = low[i][o];
    a = (uvec4(w) >> uvec4(0u, 4u, 8u, 12u)) & 15u;
    b = (uvec4(w) >> uvec4(16u, 20u, 24u, 28u)) & 15u;
}
#endif

void block_octet(uint i, uint o, out vec4 a, out vec4 b) {
    uvec4 p, q;
    block_low(i, o, p, q);
#if defined(TYPE_Q5_0) || defined(TYPE_Q5_1) || defined(TYPE_Q5_K) || defined(TYPE_Q3_K)
    uint h = side[i] >> (o * 8u);
    p |= ((uvec4(h) >> uvec4(0u, 1u, 2u, 3u)) & 1u) << LOW_BITS;
    q |= ((uvec4(h) >> uvec4(4u, 5u, 6u, 7u)) & 1u) << LOW_BITS;
#elif defined(TYPE_Q6_K)
    uint h = side[i * 2u + (o >> 1u)] >> ((o & 1u) * 16u);
    p |= ((uvec4(h) >> uvec4(0u, 2u, 4u, 6u)) & 3u) << LOW_BITS;
    q |= ((uvec4(h) >> uvec4(8u, 10u, 12u, 14u)) & 3u) << LOW_BITS;
#endif
    a = vec4(p);
    b = vec4(q);
}
#endif

#ifndef FLOATS
uint block_byte(uint word, uint i) {
    return (side[word + (i >> 2u)] >> ((i & 3u) * 8u)) & 255u;
}

// `scales`: the word of the slab's side range where scales begin.
void block_scale(uint i, uint scales, out vec2 scale, out vec2 offset) {
#if defined(TYPE_Q4_0) || defined(TYPE_Q5_0) || defined(TYPE_Q8_0)
    float d = unpackHalf2x16(side[scales + (i >> 1u)])[i & 1u];
    scale = vec2(d);
#if defined(TYPE_Q4_0)
    offset = vec2(-8.0 * d);
#elif defined(TYPE_Q5_0)
    offset = vec2(-16.0 * d);
#else
    offset = vec2(0.0);
#endif
#elif defined(TYPE_Q4_1) || defined(TYPE_Q5_1)
    vec2 d = unpackHalf2x16(side[scales + i]);
    scale = d.xx;
    offset = d.yy;
#else
    uint at = scales + (i >> 3u) * SCALE_WORDS, j = i & 7u;
#if defined(TYPE_Q2_K)
    vec2 d = unpackHalf2x16(side[at + 4u]);
    uvec2 s = uvec2(block_byte(at, 2u * j), block_byte(at, 2u * j + 1u));
    scale = d.x * vec2(s & 15u);
    offset = -d.y * vec2(s >> 4u);
#elif defined(TYPE_Q3_K)
    float d = unpackHalf2x16(side[at + 3u]).x;
    for (uint h = 0u; h < 2u; h++) {
        uint n = 2u * j + h;
        uint few = n < 8u ? block_byte(at, n) & 15u : block_byte(at, n - 8u) >> 4u;
        uint top = (block_byte(at, 8u + (n & 3u)) >> (2u * (n >> 2u))) & 3u;
        scale[h] = d * float(int(few | (top << 4u)) - 32);
    }
    offset = -4.0 * scale;
#elif defined(TYPE_Q6_K)
    float d = unpackHalf2x16(side[at + 4u]).x;
    uint pair = side[at + (j >> 1u)] >> ((j & 1u) * 16u);
    scale = d * vec2(ivec2(uvec2(pair << 24u, pair << 16u)) >> 24);
    offset = -32.0 * scale;
#else
    vec2 d = unpackHalf2x16(side[at]);
    uint shift = (j & 3u) * 8u;
    uint a = (side[at + 1u] >> shift) & 255u, b = (side[at + 2u] >> shift) & 255u;
    uint c = (side[at + 3u] >> shift) & 255u;
    uint s = j < 4u ? a & 63u : (c & 15u) | ((a >> 6u) << 4u);
    uint m = j < 4u ? b & 63u : (c >> 4u) | ((b >> 6u) << 4u);
    scale = vec2(d.x * float(s));
    offset = vec2(-d.y * float(m));
#endif
#endif
}
#endif
