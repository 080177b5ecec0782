// matmul: a matrix times many rows of activations, as a prompt wants it.
//
// A work group makes 64 rows x 64 columns of results, 8 x 4 a thread, from tiles of 16 weights that
// are brought to floats in shared memory once for all columns.
// Defines: TYPE_*; GLU.
layout(local_size_x = 128) in;
#include "blocks.glsl"
#include "product.glsl"

// [16 weights][64 rows or columns in fours], a vec4 of padding against bank conflicts.
shared vec4 left[16 * 17];
shared vec4 right[16 * 17];

// Eight values of one row or column, from weight 8 * half of the tile on.
void put_left(uint row, uint half_tile, vec4 a, vec4 b) {
    uint at = half_tile * 8u * 17u + (row >> 2u);
    for (uint i = 0u; i < 4u; i++) {
        left[at + i * 17u][row & 3u] = a[i];
        left[at + (i + 4u) * 17u][row & 3u] = b[i];
    }
}

void put_right(uint column, uint half_tile, vec4 a, vec4 b) {
    uint at = half_tile * 8u * 17u + (column >> 2u);
    for (uint i = 0u; i < 4u; i++) {
        right[at + i * 17u][column & 3u] = a[i];
        right[at + (i + 4u) * 17u][column & 3u] = b[i];
    }
}

vec4 take(uint column, uint i) {
#ifdef FLOATS
    if (i * 4u >= K) return vec4(0.0);
#endif
    return given[X_AT + min(column, N - 1u) * X_STRIDE + i];
}

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint row0 = gl_WorkGroupID.x * 64u, column0 = gl_WorkGroupID.y * 64u;
    // What this thread brings: half of a tile's weights for one row, and for one column.
    uint mine = thread >> 1u, half_tile = thread & 1u;
    uint base = min(row0 + mine, ROWS - 1u) * BLOCKS;
    // What it computes.
    uint r = thread & 7u, c = thread >> 3u;
    vec4 sum[8];
    for (int i = 0; i < 8; i++) sum[i] = vec4(0.0);
    for (uint step = 0u; step < BLOCKS * 2u; step++) {
        uint b = step >> 1u, h = step & 1u;
        vec4 p, q;
        block_octet(base + b, 2u * h + half_tile, p, q);
#ifndef FLOATS
        vec2 scale, offset;
        block_scale(base + b, SCALES, scale, offset);
        p = scale[h] * p + offset[h];
        q = scale[h] * q + offset[h];
#endif
        put_left(mine, half_tile, p, q);
        uint at = step * 4u + half_tile * 2u;
        put_right(mine, half_tile, take(column0 + mine, at), take(column0 + mine, at + 1u));
        memoryBarrierShared();
        barrier();
        for (uint k = 0u; k < 16u; k++) {
            vec4 w0 = left[k * 17u + 2u * r], w1 = left[k * 17u + 2u * r + 1u];
            vec4 x = right[k * 17u + c];
            for (int i = 0; i < 4; i++) {
                sum[i] += w0[i] * x;
                sum[i + 4] += w1[i] * x;
            }
        }
        barrier();
    }
    for (uint j = 0u; j < 4u; j++) {
        uint column = column0 + c * 4u + j;
        if (column >= N) return;
#ifdef GLU
        for (int i = 0; i < 8; i += 2) {
            uint row = row0 + r * 8u + uint(i);
            if (row < ROWS) store_glu((FIRST + row) >> 1u, column, sum[i][j], sum[i + 1][j]);
        }
#else
        for (int i = 0; i < 8; i++) {
            uint row = row0 + r * 8u + uint(i);
            if (row < ROWS) store(FIRST + row, column, sum[i][j]);
        }
#endif
    }
}
