// choose: the most likely token, of equal ones the first. Work groups take shares of the logits;
// run again, one of them takes what these found.
layout(local_size_x = 128) in;
#include "order.glsl"

shared uvec2 found[128];

void main() {
    uint i = gl_LocalInvocationID.x, step = gl_NumWorkGroups.x * 128u;
    uvec2 best = uvec2(0u);
    for (uint e = gl_GlobalInvocationID.x; e < COUNT; e += step) {
        uvec2 other = order_load(e);
        if (order_before(other, best)) best = other;
    }
    found[i] = best;
    for (uint n = 64u; n > 0u; n >>= 1u) {
        memoryBarrierShared();
        barrier();
        if (i < n) {
            if (order_before(found[i + n], best)) best = found[i + n];
            found[i] = best;
        }
    }
    if (i == 0u) order_store(gl_WorkGroupID.x, best);
}
