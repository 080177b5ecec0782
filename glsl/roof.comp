// roof: what a device reaches at best: a copy (COPY), or chains of multiply-adds.
layout(local_size_x = 128) in;
layout(location = 0) uniform uvec4 param[8];
#ifdef COPY
layout(std430, binding = 0) readonly restrict buffer From {
    uvec4 from[];
};
layout(std430, binding = 1) writeonly restrict buffer To {
    uvec4 to[];
};

void main() {
    to[gl_GlobalInvocationID.x] = from[gl_GlobalInvocationID.x];
}
#else
layout(std430, binding = 1) writeonly restrict buffer To {
    vec4 to[];
};

// 8 chains of vec4s: 64 flops a turn.
void main() {
    vec4 sum[8];
    float x = uintBitsToFloat(param[0].y), y = uintBitsToFloat(param[0].z);
    for (int i = 0; i < 8; i++) sum[i] = vec4(float(gl_LocalInvocationID.x + uint(i)));
    for (uint turn = 0u; turn < param[0].x; turn++)
        for (int i = 0; i < 8; i++) sum[i] = sum[i] * x + y;
    vec4 all = vec4(0.0);
    for (int i = 0; i < 8; i++) all += sum[i];
    to[gl_GlobalInvocationID.x] = all;
}
#endif
