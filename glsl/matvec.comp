// matvec: a matrix times 1 to COLUMNS rows of activations, as decoding wants it.
//
// 32 lanes share two rows of the matrix, a block of 32 weights each in turn; four such teams are a
// work group. With NORM the activations are normed on the way: a norm's factor is the same for all
// of a row, so it is applied to the sum.
// Defines: TYPE_*, COLUMNS (1..8); NORM, GLU.
layout(local_size_x = 128) in;
#include "blocks.glsl"
#include "product.glsl"

#ifdef NORM
#define SUMS (3 * COLUMNS)
#else
#define SUMS (2 * COLUMNS)
#endif
shared float sums[4 * SUMS * 33];

// Four activations; past the end of the row, where weights are zeros, they count as zero.
vec4 take(uint column, uint i) {
#ifdef FLOATS
    if (i * 4u >= K) return vec4(0.0);
#endif
    return given[X_AT + min(column, N - 1u) * X_STRIDE + i];
}

void main() {
    uint lane = gl_LocalInvocationID.x & 31u, team = gl_LocalInvocationID.x >> 5u;
    uint row = (gl_WorkGroupID.x * 4u + team) * 2u;
    uint base0 = min(row, ROWS - 1u) * BLOCKS, base1 = min(row + 1u, ROWS - 1u) * BLOCKS;
    float sum0[COLUMNS], sum1[COLUMNS], squares[COLUMNS];
    for (int c = 0; c < COLUMNS; c++) sum0[c] = sum1[c] = squares[c] = 0.0;
    for (uint b = lane; b < BLOCKS; b += 32u) {
#ifndef FLOATS
        vec2 scale0, scale1, offset0, offset1;
        block_scale(base0 + b, SCALES, scale0, offset0);
        block_scale(base1 + b, SCALES, scale1, offset1);
#endif
        for (uint h = 0u; h < 2u; h++) {
            vec4 p0, p1, p2, p3, q0, q1, q2, q3;
            block_octet(base0 + b, 2u * h, p0, p1);
            block_octet(base0 + b, 2u * h + 1u, p2, p3);
            block_octet(base1 + b, 2u * h, q0, q1);
            block_octet(base1 + b, 2u * h + 1u, q2, q3);
            for (int c = 0; c < COLUMNS; c++) {
                uint at = b * 8u + h * 4u;
                vec4 x0 = take(uint(c), at), x1 = take(uint(c), at + 1u);
                vec4 x2 = take(uint(c), at + 2u), x3 = take(uint(c), at + 3u);
#ifdef NORM
                squares[c] += dot(x0, x0) + dot(x1, x1) + (dot(x2, x2) + dot(x3, x3));
                x0 *= given[NORM_AT + at];
                x1 *= given[NORM_AT + at + 1u];
                x2 *= given[NORM_AT + at + 2u];
                x3 *= given[NORM_AT + at + 3u];
#endif
                float s = dot(p0, x0) + dot(p1, x1) + (dot(p2, x2) + dot(p3, x3));
                float t = dot(q0, x0) + dot(q1, x1) + (dot(q2, x2) + dot(q3, x3));
#ifdef FLOATS
                sum0[c] += s;
                sum1[c] += t;
#else
                float x = dot(x0 + x1 + (x2 + x3), vec4(1.0));
                sum0[c] += scale0[h] * s + offset0[h] * x;
                sum1[c] += scale1[h] * t + offset1[h] * x;
#endif
            }
        }
    }
    for (int c = 0; c < COLUMNS; c++) {
        uint at = (team * uint(SUMS) + uint(c)) * 33u + lane;
        sums[at] = sum0[c];
        sums[at + uint(COLUMNS) * 33u] = sum1[c];
#ifdef NORM
        sums[at + uint(2 * COLUMNS) * 33u] = squares[c];
#endif
    }
    memoryBarrierShared();
    barrier();
    uint i = gl_LocalInvocationID.x, c = i % uint(COLUMNS);
    if (i >= 4u * uint(COLUMNS) || c >= N) return;
    uint at = (i / uint(COLUMNS) * uint(SUMS) + c) * 33u;
    vec3 sum = vec3(0.0);
    for (uint l = 0u; l < 32u; l++) {
        sum.x += sums[at + l];
        sum.y += sums[at + uint(COLUMNS) * 33u + l];
#ifdef NORM
        sum.z += sums[at + uint(2 * COLUMNS) * 33u + l];
#endif
    }
#ifdef NORM
    sum *= 1.0 / sqrt(sum.z / float(K) + EPSILON);
#endif
    row = (gl_WorkGroupID.x * 4u + i / uint(COLUMNS)) * 2u;
    if (row >= ROWS) return;
#ifdef GLU
    store_glu((FIRST + row) >> 1u, c, sum.x, sum.y);
#else
    store(FIRST + row, c, sum.x);
    if (row + 1u < ROWS) store(FIRST + row + 1u, c, sum.y);
#endif
}
