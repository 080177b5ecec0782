// attention: streaming attention of queries that share a KV head, in one pass over the positions.
//
// A work group takes ROWS queries (heads of one KV head, then tokens) and 64 positions at a time:
// scores, a running maximum, then the sum of values. Threads score positions, and own elements of
// the result; where there are more threads than pairs of elements, slices of them share the
// positions, and are summed at the end.
// Defines: KV_F16, ROWS (1..8), QUADS (a quarter of a key's size), PAIRS (half of a value's size).
layout(local_size_x = 128) in;
#include "cache.glsl"
#ifdef KV_F16
layout(std430, binding = 0) readonly restrict buffer Keys {
    uvec2 keys[];
};
layout(std430, binding = 1) readonly restrict buffer Values {
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
layout(std430, binding = 0) readonly restrict buffer Keys {
    vec4 keys[];
};
layout(std430, binding = 1) readonly restrict buffer Values {
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

void main() {
    uint thread = gl_LocalInvocationID.x, kv = gl_WorkGroupID.x;
    for (uint i = thread; i < uint(ROWS * QUADS); i += 128u)
        queries[i] = given[Q_AT + row_of(i / uint(QUADS)) * uint(QUADS) + i % uint(QUADS)];
    uint end = seen_by(uint(ROWS) - 1u);
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
    for (uint chunk = 0u; chunk < end; chunk += 64u) {
        uint position = chunk + (thread & 63u);
        float score[(ROWS + 1) / 2];
        for (int r = 0; r < (ROWS + 1) / 2; r++) score[r] = 0.0;
        if (position < end)
            for (uint e = 0u; e < uint(QUADS); e++) {
                vec4 k = key(key_at(kv, CAPACITY, uint(QUADS), position, e));
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
                vec2 v = value((kv * CAPACITY + chunk + j) * uint(PAIRS) + pair);
                for (int r = 0; r < ROWS; r++) result[r] += scores[uint(r) * 64u + j] * v;
            }
        }
        barrier();
    }
    // The sums: of weights over sixteen threads, of values over slices.
    if (weighs) most[row * 16u + part] = sum;
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
        act[OUT + row_of(r) * uint(PAIRS) + i % uint(PAIRS)] = total[i] / weight;
    }
}
