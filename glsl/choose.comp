// choose: the most likely token, of equal ones the first. Work groups take shares of the logits;
// run again, one of them takes what these found.
layout(local_size_x = 128) in;
layout(std430, binding = 3) buffer Activations {
    uint act[];
};
layout(location = 0) uniform uvec4 param[8];

#define IN param[0].x
#define COUNT param[0].y
#define OUT param[0].z        // of each work group: bits of a logit, and an id
#define AGAIN (param[0].w != 0u) // the input is such pairs

const uint LEAST = 0xff800000u; // minus infinity

shared float logits[128];
shared uint ids[128];

void consider(inout float best, inout uint id, float logit, uint other) {
    if (logit > best || (logit == best && other < id)) {
        best = logit;
        id = other;
    }
}

void main() {
    uint i = gl_LocalInvocationID.x, step = gl_NumWorkGroups.x * 128u;
    float best = uintBitsToFloat(LEAST);
    uint id = 0xffffffffu;
    for (uint e = gl_GlobalInvocationID.x; e < COUNT; e += step) {
        float logit = uintBitsToFloat(act[AGAIN ? IN + 2u * e : IN + e]);
        if (!(logit >= uintBitsToFloat(LEAST))) logit = uintBitsToFloat(LEAST); // not a number
        consider(best, id, logit, AGAIN ? act[IN + 2u * e + 1u] : e);
    }
    logits[i] = best;
    ids[i] = id;
    for (uint n = 64u; n > 0u; n >>= 1u) {
        memoryBarrierShared();
        barrier();
        if (i < n) {
            consider(best, id, logits[i + n], ids[i + n]);
            logits[i] = best;
            ids[i] = id;
        }
    }
    if (i > 0u) return;
    act[OUT + 2u * gl_WorkGroupID.x] = floatBitsToUint(best);
    act[OUT + 2u * gl_WorkGroupID.x + 1u] = id;
}
