// selftest: a kernel whose results are known, run before a driver is trusted.
//
// Threads write a hash into shared memory, meet, read those of others; the sum is mixed with the
// bits of an exact float. gles_selftest_word in src/engine/gles.c says what must come out.
layout(local_size_x = 128) in;
layout(std430, binding = 0) buffer Out {
    uint words[];
};
shared uint seen[128];

void main() {
    uint i = gl_LocalInvocationID.x;
    seen[i] = (i * 2654435761u) >> 7;
    memoryBarrierShared();
    barrier();
    uint sum = 0u;
    for (uint j = 0u; j < 4u; j++) sum += seen[(i + j) % 128u];
    vec2 half_pair = unpackHalf2x16(packHalf2x16(vec2(0.25, 3.0)));
    words[i] = sum ^ floatBitsToUint(float(i) * half_pair.x + half_pair.y);
}
