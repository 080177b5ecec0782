// best: the WANTED most likely tokens, in any order. Work groups take shares of the logits; run
// again, one of them takes what these found.
//
// The last of them is found bit by bit: a bit is set in it if as many as are wanted are not behind
// what that gives. Its id is looked for only where equal logits are divided.
layout(local_size_x = 128) in;
#include "order.glsl"

#define WANTED param[1].x

shared uint counts[64], taken;

// How many of the share are not behind a token; `round` is another one each time.
uint count(uvec2 token, uint begin, uint end, uint round) {
    uint n = 0u;
    for (uint e = begin + gl_LocalInvocationID.x; e < end; e += 128u)
        if (!order_before(token, order_load(e))) n++;
    atomicAdd(counts[round], n);
    memoryBarrierShared();
    barrier();
    return counts[round];
}

void main() {
    uint i = gl_LocalInvocationID.x, share = (COUNT + gl_NumWorkGroups.x - 1u) / gl_NumWorkGroups.x;
    uint begin = gl_WorkGroupID.x * share, end = min(begin + share, COUNT), reached = 0u;
    uvec2 last = uvec2(0u);
    if (i < 64u) counts[i] = 0u;
    if (i == 0u) taken = 0u;
    memoryBarrierShared();
    barrier();
    for (uint round = 0u; round < 64u && reached != WANTED; round++) {
        uint bit = 1u << (31u - (round & 31u));
        uvec2 next = last | (round < 32u ? uvec2(bit, 0u) : uvec2(0u, bit));
        uint n = count(next, begin, end, round);
        if (n >= WANTED) {
            last = next;
            reached = n;
        }
    }
    for (uint e = begin + i; e < end; e += 128u) {
        uvec2 token = order_load(e);
        if (token.x == 0u || order_before(last, token)) continue;
        uint at = atomicAdd(taken, 1u);
        if (at < WANTED) order_store(gl_WorkGroupID.x * WANTED + at, token);
    }
    memoryBarrierShared();
    barrier();
    for (uint at = taken + i; at < WANTED; at += 128u)
        order_store(gl_WorkGroupID.x * WANTED + at, uvec2(0u));
}
