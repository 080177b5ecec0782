// combine: brings together what several work groups of attention made of their shares of the
// positions; a work group for each head. Of each: sums of values, the maximum they were weighed by,
// and the sum of weights.
layout(local_size_x = 128) in;
layout(std430, binding = 2) readonly buffer In {
    vec2 given[];
};
layout(std430, binding = 3) writeonly buffer Out {
    vec2 act[];
};
layout(location = 0) uniform uvec4 param[8];

void main() {
    uint pairs = param[0].z, parts = param[0].w, row = gl_WorkGroupID.x;
    uint at = param[0].x + row * parts * (pairs + 1u);
    float top = -3.0e38, weight = 0.0;
    for (uint p = 0u; p < parts; p++) top = max(top, given[at + p * (pairs + 1u) + pairs].x);
    for (uint i = gl_LocalInvocationID.x; i < pairs; i += 128u) {
        vec2 sum = vec2(0.0);
        weight = 0.0;
        for (uint p = 0u; p < parts; p++) {
            uint from = at + p * (pairs + 1u);
            float w = exp(given[from + pairs].x - top);
            sum += w * given[from + i];
            weight += w * given[from + pairs].y;
        }
        act[param[0].y + row * pairs + i] = sum / weight;
    }
}
