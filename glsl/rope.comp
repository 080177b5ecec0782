// rope: rotates queries in place, scaled for attention; stores keys, rotated, and values.
//
// A thread takes two elements.
// Defines: KV_F16, NEOX (pairs are (i, i + pairs) instead of (2i, 2i + 1)).
layout(local_size_x = 128) in;
#include "cache.glsl"
layout(std430, binding = 0) writeonly buffer Keys {
    uint keys[];
};
layout(std430, binding = 1) writeonly buffer Values {
    uint values[];
};
layout(std430, binding = 3) buffer Activations {
    float act[];
};
layout(location = 0) uniform uvec4 param[8];

#define Q_AT param[0].x
#define K_AT param[0].y
#define V_AT param[0].z
#define TABLE param[0].w       // floats, of positions 0, 1, .. 63
#define HEADS param[1].x       // whose queries are rotated here
#define ALL_HEADS param[1].y
#define KV_HEADS param[1].z    // whose keys and values are stored here
#define ALL_KV_HEADS param[1].w
#define HEAD_PAIRS param[2].x  // half of a key's size
#define VALUE_PAIRS param[2].y // half of a value's size
#define PAIRS param[2].z       // that are rotated
#define POSITION param[2].w
#define CAPACITY param[3].x
#define KV_FIRST param[3].y    // the first head of the caches that are bound
#define SCALE uintBitsToFloat(param[3].z)
#define TABLE64 param[3].w     // floats, of positions 0, 64, 128, ...

#define FLOAT(i) act[i]
#include "rotate.glsl"

float rotated(uint at, uint e) {
    return rotate(TABLE, TABLE64, PAIRS, POSITION + gl_WorkGroupID.y, at, e);
}

void rotate_query(uint head, uint pair) {
    uint at = Q_AT + (gl_WorkGroupID.y * ALL_HEADS + head) * HEAD_PAIRS * 2u;
#ifdef NEOX
    uint e0 = pair < PAIRS ? pair : 2u * pair, e1 = pair < PAIRS ? pair + PAIRS : e0 + 1u;
#else
    uint e0 = 2u * pair, e1 = e0 + 1u;
#endif
    float a = rotated(at, e0), b = rotated(at, e1);
    act[at + e0] = a * SCALE;
    act[at + e1] = b * SCALE;
}

void main() {
    uint i = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y;
    uint position = POSITION + token;
    if (i < HEADS * HEAD_PAIRS) {
        rotate_query(i / HEAD_PAIRS, i % HEAD_PAIRS);
        return;
    }
    i -= HEADS * HEAD_PAIRS;
    if (i < KV_HEADS * HEAD_PAIRS) {
        uint head = i / HEAD_PAIRS, pair = i % HEAD_PAIRS;
        uint at = K_AT + (token * ALL_KV_HEADS + KV_FIRST + head) * HEAD_PAIRS * 2u;
        vec2 k = vec2(rotated(at, 2u * pair), rotated(at, 2u * pair + 1u));
        uint to = key_at(head, CAPACITY, HEAD_PAIRS >> 1u, position, pair >> 1u) * KEY_WORDS;
#ifdef KV_F16
        keys[to + (pair & 1u)] = packHalf2x16(k);
#else
        keys[to + (pair & 1u) * 2u] = floatBitsToUint(k.x);
        keys[to + (pair & 1u) * 2u + 1u] = floatBitsToUint(k.y);
#endif
        return;
    }
    i -= KV_HEADS * HEAD_PAIRS;
    if (i >= KV_HEADS * VALUE_PAIRS) return;
    uint head = i / VALUE_PAIRS, pair = i % VALUE_PAIRS;
    uint at = V_AT + ((token * ALL_KV_HEADS + KV_FIRST + head) * VALUE_PAIRS + pair) * 2u;
    vec2 v = vec2(act[at], act[at + 1u]);
    uint to = (head * CAPACITY + position) * VALUE_PAIRS + pair;
#ifdef KV_F16
    values[to] = packHalf2x16(v);
#else
    values[2u * to] = floatBitsToUint(v.x);
    values[2u * to + 1u] = floatBitsToUint(v.y);
#endif
}
