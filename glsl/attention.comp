// attention: streaming attention of queries that share a KV head, in one pass over the positions.
//
// A work group takes ROWS queries (heads of one KV head, then tokens) and 64 positions at a time:
// scores, a running maximum, then the sum of values. Threads score positions, and own elements of
// the result; where there are more threads than pairs of elements, slices of them share the
// positions, and are summed at the end.
// With ROPE there is one token, whose query, key and value come as the products left them: they are
// rotated here, and key and value are stored. The positions may then be shared by several work
// groups, whose results glsl/combine.comp brings together.
// Defines: KV_F16, ROWS (1..8), QUADS (a quarter of a key's size), PAIRS (half of a value's size);
// ROPE, and with it NEOX.
layout(local_size_x = 128) in;
#include "cache.glsl"
#ifdef ROPE
#define CACHE
#else
#define CACHE readonly restrict
#endif
#ifdef KV_F16
layout(std430, binding = 0) CACHE buffer Keys {
    uvec2 keys[];
};
layout(std430, binding = 1) CACHE buffer Values {
    uint values[];
};
vec4 key(uint i) {
    uvec2 w = keys[i];
    return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
}
vec2 value(uint i) {
    return unpackHalf2x16(values[i]);
}
#else
layout(std430, binding = 0) CACHE buffer Keys {
    vec4 keys[];
};
layout(std430, binding = 1) CACHE buffer Values {
    vec2 values[];
};
vec4 key(uint i) {
    return keys[i];
}
vec2 value(uint i) {
    return values[i];
}
#endif
layout(std430, binding = 2) readonly buffer In {
    vec4 given[];
};
layout(std430, binding = 3) writeonly buffer Out {
    vec2 act[];
};
layout(location = 0) uniform uvec4 param[8];

#define Q_AT param[0].x     // vec4s
#define OUT param[0].y      // vec2s
#define HEADS param[0].z    // of queries, in all
#define SHARED_BY param[0].w // queries of a token that share a KV head
#define POSITION param[1].x // of the first token
#define N param[1].y        // tokens
#define CAPACITY param[1].z
#define KV_FIRST param[1].w // the first head of the caches that are bound

#define PARTS param[2].x     // work groups that share the positions
#define PART param[2].y      // positions of each, a multiple of 64
#define PARTIAL param[2].z   // vec2s, where their results go if they are several
#define ROTATED param[2].w   // pairs of a head that are rotated
#define KEY_AT param[3].x    // floats: the token's keys
#define VALUE_AT param[3].y  // floats: its values
#define TABLE param[3].z     // floats: see rotate.glsl
#define TABLE64 param[3].w
#define SCALE uintBitsToFloat(param[4].x)

#define SLICES (128 / PAIRS)
#define LEAST -3.0e38

shared vec4 queries[ROWS * QUADS];
shared float scores[ROWS * 64];
shared float most[ROWS * 16];
shared float faded[ROWS];
shared vec2 total[ROWS * PAIRS];

// Number of the query that row r is, the last one again past the end.
uint query_of(uint r) {
    return min(gl_WorkGroupID.y * uint(ROWS) + r, N * SHARED_BY - 1u);
}

// Row of head and token in q and in the result.
uint row_of(uint r) {
    uint query = query_of(r), head = (KV_FIRST + gl_WorkGroupID.x) * SHARED_BY + query % SHARED_BY;
    return query / SHARED_BY * HEADS + head;
}

// Positions that row r sees.
uint seen_by(uint r) {
    return POSITION + query_of(r) / SHARED_BY + 1u;
}

#ifdef ROPE
#define FLOAT(i) given[(i) >> 2u][(i) & 3u]
#include "rotate.glsl"

// The token's own key and value, as they are in the cache.
shared vec4 key_now[QUADS];
shared vec2 value_now[PAIRS];

vec4 rotate4(uint at, uint e) {
    vec4 v;
    for (uint i = 0u; i < 4u; i++) v[i] = rotate(TABLE, TABLE64, ROTATED, POSITION, at, e + i);
    return v;
}

void load(uint thread, uint kv) {
    for (uint i = thread; i < uint(ROWS * QUADS); i += 128u)
        queries[i] = SCALE * rotate4((Q_AT + row_of(i / uint(QUADS)) * uint(QUADS)) * 4u,
                                     i % uint(QUADS) * 4u);
    bool stores = gl_WorkGroupID.y == 0u && gl_WorkGroupID.z == 0u;
    for (uint i = thread; i < uint(QUADS); i += 128u) {
        vec4 k = rotate4(KEY_AT + (KV_FIRST + kv) * uint(QUADS) * 4u, i * 4u);
        uint to = key_at(kv, CAPACITY, uint(QUADS), POSITION, i);
#ifdef KV_F16
        uvec2 bits = uvec2(packHalf2x16(k.xy), packHalf2x16(k.zw));
        if (stores) keys[to] = bits;
        key_now[i] = vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y));
#else
        if (stores) keys[to] = k;
        key_now[i] = k;
#endif
    }
    for (uint i = thread; i < uint(PAIRS); i += 128u) {
        uint at = VALUE_AT + ((KV_FIRST + kv) * uint(PAIRS) + i) * 2u;
        vec2 v = vec2(FLOAT(at), FLOAT(at + 1u));
        uint to = (kv * CAPACITY + POSITION) * uint(PAIRS) + i;
#ifdef KV_F16
        uint bits = packHalf2x16(v);
        if (stores) values[to] = bits;
        value_now[i] = unpackHalf2x16(bits);
#else
        if (stores) values[to] = v;
        value_now[i] = v;
#endif
    }
}

vec4 key_of(uint kv, uint position, uint quad) {
    if (position == POSITION) return key_now[quad];
    return key(key_at(kv, CAPACITY, uint(QUADS), position, quad));
}

vec2 value_of(uint kv, uint position, uint pair) {
    if (position == POSITION) return value_now[pair];
    return value((kv * CAPACITY + position) * uint(PAIRS) + pair);
}
#else
void load(uint thread, uint kv) {
    for (uint i = thread; i < uint(ROWS * QUADS); i += 128u)
        queries[i] = given[Q_AT + row_of(i / uint(QUADS)) * uint(QUADS) + i % uint(QUADS)];
}

vec4 key_of(uint kv, uint position, uint quad) {
    return key(key_at(kv, CAPACITY, uint(QUADS), position, quad));
}

vec2 value_of(uint kv, uint position, uint pair) {
    return value((kv * CAPACITY + position) * uint(PAIRS) + pair);
}
#endif

void main() {
    uint thread = gl_LocalInvocationID.x, kv = gl_WorkGroupID.x, begin = 0u;
    load(thread, kv);
    uint end = seen_by(uint(ROWS) - 1u);
#ifdef ROPE
    begin = gl_WorkGroupID.z * PART;
    end = min(end, begin + PART);
#endif
    // Softmax: sixteen threads a row, four positions each.
    uint row = thread >> 4u, part = thread & 15u;
    bool weighs = row < uint(ROWS);
    float top = LEAST, sum = 0.0;
    // Values: a pair of elements, in a slice of the positions.
    uint pair = thread % uint(PAIRS), slice = thread / uint(PAIRS);
    bool adds = slice < uint(SLICES);
    vec2 result[ROWS];
    for (int r = 0; r < ROWS; r++) result[r] = vec2(0.0);
    memoryBarrierShared();
    barrier();
    for (uint chunk = begin; chunk < end; chunk += 64u) {
        uint position = chunk + (thread & 63u);
        float score[(ROWS + 1) / 2];
        for (int r = 0; r < (ROWS + 1) / 2; r++) score[r] = 0.0;
        if (position < end)
            for (uint e = 0u; e < uint(QUADS); e++) {
                vec4 k = key_of(kv, position, e);
                for (int r = 0; r < (ROWS + 1) / 2; r++) {
                    uint q = min(2u * uint(r) + (thread >> 6u), uint(ROWS) - 1u);
                    score[r] += dot(queries[q * uint(QUADS) + e], k);
                }
            }
        for (int r = 0; r < (ROWS + 1) / 2; r++) {
            uint q = 2u * uint(r) + (thread >> 6u);
            if (q < uint(ROWS))
                scores[q * 64u + (thread & 63u)] = position < seen_by(q) ? score[r] : LEAST;
        }
        memoryBarrierShared();
        barrier();
        float s[4];
        if (weighs) {
            float largest = LEAST;
            for (uint j = 0u; j < 4u; j++) {
                s[j] = scores[row * 64u + part + 16u * j];
                largest = max(largest, s[j]);
            }
            most[row * 16u + part] = largest;
        }
        memoryBarrierShared();
        barrier();
        if (weighs) {
            float before = top;
            for (uint j = 0u; j < 16u; j++) top = max(top, most[row * 16u + j]);
            float fade = before > LEAST ? exp(before - top) : 0.0;
            sum *= fade;
            for (uint j = 0u; j < 4u; j++) {
                float w = s[j] > LEAST ? exp(s[j] - top) : 0.0;
                scores[row * 64u + part + 16u * j] = w;
                sum += w;
            }
            if (part == 0u) faded[row] = fade;
        }
        memoryBarrierShared();
        barrier();
        if (adds) {
            for (int r = 0; r < ROWS; r++) result[r] *= faded[r];
            uint last = min(end - chunk, 64u);
            for (uint j = slice; j < last; j += uint(SLICES)) {
                vec2 v = value_of(kv, chunk + j, pair);
                for (int r = 0; r < ROWS; r++) result[r] += scores[uint(r) * 64u + j] * v;
            }
        }
        barrier();
    }
    // The sums: of weights over sixteen threads, of values over slices.
    if (weighs) most[row * 16u + part] = sum;
    if (weighs && part == 0u) faded[row] = top;
    for (uint turn = 0u; turn < uint(SLICES); turn++) {
        if (slice == turn)
            for (int r = 0; r < ROWS; r++) {
                uint at = uint(r) * uint(PAIRS) + pair;
                total[at] = turn == 0u ? result[r] : total[at] + result[r];
            }
        memoryBarrierShared();
        barrier();
    }
    for (uint i = thread; i < uint(ROWS * PAIRS); i += 128u) {
        uint r = i / uint(PAIRS);
        if (gl_WorkGroupID.y * uint(ROWS) + r >= N * SHARED_BY) continue;
        float weight = 0.0;
        for (uint j = 0u; j < 16u; j++) weight += most[r * 16u + j];
#ifdef ROPE
        if (PARTS > 1u) {
            uint at = PARTIAL + (row_of(r) * PARTS + gl_WorkGroupID.z) * uint(PAIRS + 1);
            act[at + i % uint(PAIRS)] = total[i];
            if (i % uint(PAIRS) == 0u) act[at + uint(PAIRS)] = vec2(faded[r], weight);
            continue;
        }
#endif
        act[OUT + row_of(r) * uint(PAIRS) + i % uint(PAIRS)] = total[i] / weight;
    }
}
