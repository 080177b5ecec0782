// embed: the rows of the embedding that the tokens name, as floats; a thread for eight of them.
//
// Each slab of the matrix is a dispatch: tokens of other slabs are left alone.
// Defines: TYPE_*.
layout(local_size_x = 128) in;
#include "blocks.glsl"
layout(std430, binding = 2) readonly restrict buffer Tokens {
    uint token[];
};
layout(std430, binding = 3) writeonly buffer Out {
    float act[];
};
layout(location = 0) uniform uvec4 param[8];

#define OUT param[0].x // floats
#define K param[0].z

void main() {
    uint octet = gl_GlobalInvocationID.x, column = gl_WorkGroupID.y, row = token[column];
    uint first = param[1].x, rows = param[1].y, blocks = param[1].z;
    if (octet * 8u >= K || row < first || row >= first + rows) return;
    uint block = (row - first) * blocks + (octet >> 2u);
    vec4 a, b;
    block_octet(block, octet & 3u, a, b);
#ifndef FLOATS
    vec2 scale, offset;
    block_scale(block, param[1].w, scale, offset);
    uint h = (octet >> 1u) & 1u;
    a = scale[h] * a + offset[h];
    b = scale[h] * b + offset[h];
#endif
    uint at = OUT + column * K + octet * 8u;
    for (uint i = 0u; i < 4u; i++) {
        act[at + i] = a[i];
        if (octet * 8u + 4u < K) act[at + 4u + i] = b[i];
    }
}
