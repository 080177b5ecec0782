// order: tokens by likelihood, as the sampler has them: the greater logit first, of equal ones the
// smaller id; what is not a number is minus infinity. A token is a rank, which orders as its logit
// does, and its id inverted: the greater pair is before. All in integers, so that a driver that
// flushes small floats changes nothing. Nobody is two zeros, which no token is.

uint order_rank(uint bits) {
    if ((bits & 0x7fffffffu) > 0x7f800000u) bits = 0xff800000u; // not a number
    if (bits == 0x80000000u) bits = 0u;                         // zeros are equal
    return bits >> 31u == 0u ? bits | 0x80000000u : ~bits;
}

uint order_bits(uint rank) {
    return rank >> 31u == 0u ? ~rank : rank & 0x7fffffffu;
}

bool order_before(uvec2 a, uvec2 b) {
    return a.x > b.x || (a.x == b.x && a.y > b.y);
}

// What choosing shaders are told: a share of `act` is logits, or pairs of a logit's bits and an id
// that work groups before have found.
layout(std430, binding = 3) buffer Activations {
    uint act[];
};
layout(location = 0) uniform uvec4 param[8];

#define IN param[0].x
#define COUNT param[0].y
#define OUT param[0].z           // pairs, of each work group as many as are wanted
#define AGAIN (param[0].w != 0u) // the input is pairs

uvec2 order_load(uint e) {
    if (!AGAIN) return uvec2(order_rank(act[IN + e]), ~e);
    uint id = act[IN + 2u * e + 1u];
    return id == 0xffffffffu ? uvec2(0u) : uvec2(order_rank(act[IN + 2u * e]), ~id);
}

void order_store(uint at, uvec2 token) {
    act[OUT + 2u * at] = order_bits(token.x);
    act[OUT + 2u * at + 1u] = ~token.y;
}
