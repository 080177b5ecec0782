// norm: rmsnorm of rows; a work group for each.
layout(local_size_x = 128) in;
layout(std430, binding = 2) readonly buffer In {
    vec4 given[];
};
layout(std430, binding = 3) writeonly buffer Out {
    vec4 act[];
};
layout(location = 0) uniform uvec4 param[8];
shared float sums[128];

void main() {
    uint i = gl_LocalInvocationID.x, quads = param[0].z;
    uint from = param[0].x + gl_WorkGroupID.x * quads, to = param[0].y + gl_WorkGroupID.x * quads;
    float sum = 0.0;
    for (uint e = i; e < quads; e += 128u) {
        vec4 x = given[from + e];
        sum += dot(x, x);
    }
    sums[i] = sum;
    for (uint half_count = 64u; half_count > 0u; half_count >>= 1u) {
        memoryBarrierShared();
        barrier();
        if (i < half_count) sums[i] += sums[i + half_count];
    }
    memoryBarrierShared();
    barrier();
    float r = 1.0 / sqrt(sums[0] / float(quads * 4u) + uintBitsToFloat(param[1].x));
    for (uint e = i; e < quads; e += 128u)
        act[to + e] = given[from + e] * r * given[param[0].w + e];
}
