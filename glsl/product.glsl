// product: what a product of a matrix is told, and how its results are stored.
//
// Results of several matrices in one (rows one after the other: up to three segments) go to places
// of their own. With GLU, rows alternate between gate and up, and silu(gate) * up is stored.
// Activations are one buffer, seen as vec4s to read and as floats to write.
layout(std430, binding = 2) readonly buffer In {
    vec4 given[];
};
layout(std430, binding = 3) buffer Out {
    float act[];
};
layout(location = 0) uniform uvec4 param[8];

#define X_AT param[0].x      // first row of activations, in vec4s
#define X_STRIDE param[0].y  // from row to row, in vec4s
#define K param[0].z         // weights in a row
#define N param[0].w         // rows of activations
#define FIRST param[1].x     // number of the slab's first row in all of them
#define ROWS param[1].y      // in the slab
#define BLOCKS param[1].z    // of 32 weights in a row
#define SCALES param[1].w    // word of the side range where scales begin
#define OUT param[2].xyz     // floats, of each segment
#define ADD param[2].w       // 1: what stands at the result's place is added to it
#define ENDS param[3].xyz    // of the segments, in rows
#define NORM_AT param[3].w   // weights of a norm, in vec4s
#define BIAS param[4].xyz    // floats, of each segment; NONE: none
#define EPSILON uintBitsToFloat(param[4].w)

const uint NONE = 0xffffffffu;

void store(uint row, uint column, float value) {
    uint s = row < ENDS.x ? 0u : row < ENDS.y ? 1u : 2u;
    uint begin = s == 0u ? 0u : ENDS[s - 1u], rows = ENDS[s] - begin;
    if (BIAS[s] != NONE) value += act[BIAS[s] + row - begin];
    uint at = OUT[s] + column * rows + row - begin;
    if (ADD != 0u) value += act[at];
    act[at] = value;
}

// Rows 2 * pair and 2 * pair + 1.
void store_glu(uint pair, uint column, float gate, float up) {
    if (BIAS.x != NONE) gate += act[BIAS.x + pair];
    if (BIAS.y != NONE) up += act[BIAS.y + pair];
    act[OUT.x + column * (ENDS.y >> 1u) + pair] = gate / (1.0 + exp(-gate)) * up;
}
