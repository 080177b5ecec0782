// glu: silu(gate) * up, where the two come from matrices of different types; a thread for four.
layout(local_size_x = 128) in;
layout(std430, binding = 3) buffer Activations {
    vec4 act[];
};
layout(location = 0) uniform uvec4 param[8];

void main() {
    uint i = gl_GlobalInvocationID.x + gl_WorkGroupID.y * param[1].x;
    if (gl_GlobalInvocationID.x >= param[1].x) return;
    vec4 gate = act[param[0].x + i];
    act[param[0].z + i] = gate / (1.0 + exp(-gate)) * act[param[0].y + i];
}
