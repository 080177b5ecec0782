// gles_exec: see gles_exec.h.
#include "gles_exec.h"
#include "gles_layout.h"

#include <stdio.h>

// ---- what can run, and what it takes

#define GPU_ARCH "llama" // the one whose every feature the shaders have

enum { GPU_MAX_HEAD = 256, GPU_MAX_PROGRAMS = 96 };

enum { GPU_BEST_SHARE = 1024 }; // logits that a work group looks through, or more

CH_STATIC_ASSERT(sizeof(ch_candidate) == 2 * sizeof(uint32_t), "read as the shaders write it");

#if CHORD_GLES

// A dispatch, or one for each slab: an op, or several in one. Offsets are in floats or vec4s, as
// the shader wants them.
typedef struct gpu_call {
    uint8_t kind;     // ch_op_kind
    bool barrier;     // what comes next may read what this writes
    bool wanted_only; // only the rows whose logits are wanted
    bool add, pairs;
    int32_t op, matrix;
    int32_t program[3]; // for one row, for few, for many
    int32_t rows, k;
    uint32_t in, in2, in3, norm;
    uint32_t out[CH_GLES_PARTS], ends[CH_GLES_PARTS], bias[CH_GLES_PARTS];
    double seconds; // of all steps, if they are measured
} gpu_call;

enum { GPU_WITH_NORM = 1, GPU_WITH_GLU = 2, GPU_WITH_ROPE = 4 };

typedef struct gpu_program {
    ch_shader shader;
    ch_type type;
    int32_t columns;
    uint32_t with; // what it does on the way: GPU_WITH_...
    GLuint id;
} gpu_program;

// The ways to walk the ops: for few tokens norms are computed inside of products; for one,
// attention rotates.
enum { GPU_ONE, GPU_FEW, GPU_MANY, GPU_WALKS };

struct ch_gpu {
    ch_gles gles;
    ch_gpu_args args;
    ch_gles_layout layout;
    GLuint *weights; // [layout.buffer_count]
    GLuint act, tokens, back, keys, values;
    uint64_t act_bytes, parts_at, choice_at; // the latter two: in it
    gpu_call *calls[GPU_WALKS];
    int32_t combine, choose, best; // programs: of attention's parts, of a token, of several
    int32_t call_count[GPU_WALKS];
    gpu_program programs[GPU_MAX_PROGRAMS];
    int32_t program_count;
    int32_t window;      // KV heads whose caches can be bound at once
    int32_t walk;        // of the last step; -1: none yet
    ch_gles_timer timer; // with a query: ops are measured
};

static uint64_t gpu_room(uint64_t bytes) {
    return (bytes + CH_ALIGN - 1) & ~(uint64_t)(CH_ALIGN - 1);
}

static uint64_t gpu_state_bytes(const ch_gles_layout *l) {
    return gpu_room(sizeof(ch_gpu)) + gpu_room((uint64_t)l->matrix_count * sizeof(ch_gles_matrix)) +
           gpu_room((uint64_t)l->slab_count * sizeof(ch_gles_slab)) +
           gpu_room((uint64_t)l->constant_count * sizeof(ch_gles_constant)) +
           gpu_room((uint64_t)l->buffer_count * sizeof(uint64_t)) +
           gpu_room((uint64_t)l->buffer_count * sizeof(GLuint)) + GPU_WALKS * CH_ALIGN;
}

#endif

// Every tensor stands where the executor looks for it, in a type that the shaders read.
static chord_result gpu_supports_tensors(const ch_weights *weights, chord_error *error) {
    static const ch_place known[] = {
        CH_PLACE_ATTN_NORM,     CH_PLACE_ATTN_Q,        CH_PLACE_ATTN_K,
        CH_PLACE_ATTN_V,        CH_PLACE_ATTN_OUTPUT,   CH_PLACE_ATTN_Q_BIAS,
        CH_PLACE_ATTN_K_BIAS,   CH_PLACE_ATTN_V_BIAS,   CH_PLACE_ATTN_OUTPUT_BIAS,
        CH_PLACE_FFN_NORM,      CH_PLACE_FFN_GATE,      CH_PLACE_FFN_UP,
        CH_PLACE_FFN_DOWN,      CH_PLACE_FFN_GATE_BIAS, CH_PLACE_FFN_UP_BIAS,
        CH_PLACE_FFN_DOWN_BIAS, CH_PLACE_TOKEN_EMBD,    CH_PLACE_OUTPUT_NORM,
        CH_PLACE_OUTPUT,        CH_PLACE_ROPE_FREQS};
    for (int32_t b = 0; b < weights->hp.blocks; b++)
        for (int32_t p = 0; p < CH_PLACE_COUNT; p++) {
            const ch_gguf_tensor *t = ch_weight(weights, b, (ch_place)p);
            bool right = false;
            if (!t) continue;
            for (size_t i = 0; i < CH_COUNT(known); i++) right |= known[i] == (ch_place)p;
            if (!right || t->dims > 2 || !ch_gles_reads(t->type))
                return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                               "the GPU path does not know what to do with %.60s, of type %s",
                               t->name, ch_type_get(t->type)->name);
        }
    return CHORD_OK;
}

static chord_result gpu_supports(const ch_weights *weights, const chord_session_desc *desc,
                                 chord_error *error) {
    const ch_hparams *hp = &weights->hp;
    if (strcmp(weights->arch->name, GPU_ARCH) != 0)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "the GPU path runs the architecture " GPU_ARCH ", not %s",
                       weights->arch->name);
    if (desc->kv == CHORD_KV_Q8_0 || desc->kv == CHORD_KV_Q16)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "the GPU path has KV caches of f16 and f32, not %s",
                       desc->kv == CHORD_KV_Q16 ? "q16" : "q8_0");
    if (hp->embedding % 4 || hp->feed_forward % 4 || hp->key_dim % 4 || hp->value_dim % 4)
        return ch_fail(
            error, CHORD_ERROR_UNSUPPORTED,
            "the GPU path wants rows of a multiple of 4, this model's are %d, %d, %d, %d",
            (int)hp->embedding, (int)hp->feed_forward, (int)hp->key_dim, (int)hp->value_dim);
    if (hp->key_dim > GPU_MAX_HEAD || hp->value_dim > GPU_MAX_HEAD)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "the GPU path has heads of at most %d, this model's are %d and %d",
                       GPU_MAX_HEAD, (int)hp->key_dim, (int)hp->value_dim);
    return gpu_supports_tensors(weights, error);
}

CH_FN chord_result ch_gpu_measure(const ch_weights *weights, const chord_session_desc *desc,
                                  ch_gpu_sizes *sizes, chord_error *error) {
    memset(sizes, 0, sizeof *sizes);
#if CHORD_GLES
    ch_gles_layout layout;
    memset(&layout, 0, sizeof layout);
    if (weights->hp.blocks == 0) return CHORD_OK; // the plan tells
    chord_result result = gpu_supports(weights, desc, error);
    if (result) return result;
    ch_gles_layout_make(weights, CH_GLES_MIN_BLOCK_BYTES, &layout);
    sizes->arena_bytes = gpu_state_bytes(&layout);
    sizes->op_bytes = GPU_WALKS * sizeof(gpu_call);
    sizes->weight_bytes = layout.weight_bytes;
    sizes->constant_bytes = layout.constant_bytes;
    return CHORD_OK;
#else
    if (weights->hp.blocks == 0) return CHORD_OK;
    chord_result result = gpu_supports(weights, desc, error);
    return result ? result
                  : ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                            "this build of chord has no GPU path (CHORD_GLES)");
#endif
}

#if CHORD_GLES

// ---- programs

static void gpu_define_type(ch_type type, char *out, size_t capacity) {
    int n = snprintf(out, capacity, "#define TYPE_%s\n", ch_type_get(type)->name);
    for (int i = 13; i < n; i++) // behind "#define TYPE_"
        if (out[i] >= 'a' && out[i] <= 'z') out[i] = (char)(out[i] - 'a' + 'A');
}

static void gpu_define(const ch_gpu *gpu, const gpu_program *p, char *out, size_t capacity) {
    const ch_hparams *hp = &gpu->args.weights->hp;
    char type[32] = "", shape[96] = "";
    if (p->type < CH_TYPE_COUNT) gpu_define_type(p->type, type, sizeof type);
    if (p->shader == CH_SHADER_ATTENTION)
        snprintf(shape, sizeof shape, "#define ROWS %d\n#define QUADS %d\n#define PAIRS %d\n",
                 (int)p->columns, (int)hp->key_dim / 4, (int)hp->value_dim / 2);
    else
        snprintf(shape, sizeof shape, "#define COLUMNS %d\n", (int)p->columns);
    snprintf(out, capacity, "%s%s%s%s%s%s%s", type, shape,
             p->with & GPU_WITH_NORM ? "#define NORM\n" : "",
             p->with & GPU_WITH_GLU ? "#define GLU\n" : "",
             p->with & GPU_WITH_ROPE ? "#define ROPE\n" : "",
             gpu->args.plan->kv == CH_KV_F16 ? "#define KV_F16\n" : "",
             gpu->args.weights->arch->rope_neox ? "#define NEOX\n" : "");
}

// The number of a program, which is compiled when it is asked for first; -1 if it cannot be.
static int32_t gpu_program_of(ch_gpu *gpu, ch_shader shader, ch_type type, int32_t columns,
                              uint32_t with, chord_error *error) {
    for (int32_t i = 0; i < gpu->program_count; i++) {
        const gpu_program *p = &gpu->programs[i];
        if (p->shader == shader && p->type == type && p->columns == columns && p->with == with)
            return i;
    }
    if (gpu->program_count == GPU_MAX_PROGRAMS) {
        ch_fail(error, CHORD_ERROR_UNSUPPORTED, "the model wants too many kinds of shaders");
        return -1;
    }
    gpu_program *p = &gpu->programs[gpu->program_count];
    char defines[320];
    p->shader = shader;
    p->type = type;
    p->columns = columns;
    p->with = with;
    gpu_define(gpu, p, defines, sizeof defines);
    if (ch_gles_program_open(&gpu->gles, shader, defines, &p->id, error)) return -1;
    return gpu->program_count++;
}

// Queries that attention takes at a time: what shared memory has room for.
static int32_t gpu_attention_rows(const ch_hparams *hp, bool one_token) {
    int32_t most = CH_MAX(hp->key_dim, hp->value_dim) > 128 ? 4 : 8;
    return one_token ? CH_MIN(most, hp->heads / hp->kv_heads) : most;
}

static bool gpu_product_programs(ch_gpu *gpu, gpu_call *call, chord_error *error) {
    ch_type type = gpu->layout.matrices[call->matrix].type;
    uint32_t glu = call->pairs ? GPU_WITH_GLU : 0,
             norm = call->norm == UINT32_MAX ? 0 : GPU_WITH_NORM;
    int32_t *p = call->program;
    p[GPU_ONE] = gpu_program_of(gpu, CH_SHADER_MATVEC, type, 1, glu | norm, error);
    p[GPU_FEW] = gpu_program_of(gpu, CH_SHADER_MATVEC, type, CH_MATVEC_COLUMNS, glu | norm, error);
    p[GPU_MANY] = norm ? p[GPU_FEW] : gpu_program_of(gpu, CH_SHADER_MATMUL, type, 0, glu, error);
    return p[GPU_ONE] >= 0 && p[GPU_FEW] >= 0 && p[GPU_MANY] >= 0;
}

static bool gpu_programs(ch_gpu *gpu, int32_t walk, gpu_call *call, chord_error *error) {
    const ch_hparams *hp = &gpu->args.weights->hp;
    ch_type none = CH_TYPE_COUNT;
    bool one = walk == GPU_ONE;
    int32_t program = -1;
    switch ((ch_op_kind)call->kind) {
    case CH_OP_MATMUL:
        return gpu_product_programs(gpu, call, error);
    case CH_OP_EMBED:
        program = gpu_program_of(gpu, CH_SHADER_EMBED, gpu->layout.matrices[call->matrix].type, 1,
                                 0, error);
        break;
    case CH_OP_NORM:
        program = gpu_program_of(gpu, CH_SHADER_NORM, none, 0, 0, error);
        break;
    case CH_OP_ROPE:
        program = gpu_program_of(gpu, CH_SHADER_ROPE, none, 0, 0, error);
        break;
    case CH_OP_ATTENTION:
        program = gpu_program_of(gpu, CH_SHADER_ATTENTION, none, gpu_attention_rows(hp, one),
                                 one ? GPU_WITH_ROPE : 0, error);
        break;
    case CH_OP_GLU:
        program = gpu_program_of(gpu, CH_SHADER_GLU, none, 0, 0, error);
        break;
    default:
        ch_fail(error, CHORD_ERROR_UNSUPPORTED, "the GPU path has no %s",
                ch_op_kind_name((ch_op_kind)call->kind));
        return false;
    }
    call->program[GPU_ONE] = call->program[GPU_FEW] = call->program[GPU_MANY] = program;
    return program >= 0;
}

// ---- from ops to calls

static uint32_t gpu_float_at(uint64_t bytes) {
    return bytes == CH_NOWHERE ? UINT32_MAX : (uint32_t)(bytes / sizeof(float));
}

static uint32_t gpu_vec4_at(uint64_t bytes) {
    return bytes == CH_NOWHERE ? UINT32_MAX : (uint32_t)(bytes / 16);
}

// A product of all ops from `i` on that are one matrix; returns how many ops that are. `norm`: a
// norm that the product does itself, or NULL.
static int32_t gpu_call_product(ch_gpu *gpu, int32_t i, const ch_op *norm, gpu_call *call) {
    const ch_op *ops = gpu->args.ops, *op = &ops[i];
    int32_t part = 0;
    call->matrix = ch_gles_layout_find(&gpu->layout, op->weight, &part);
    const ch_gles_matrix *m = &gpu->layout.matrices[call->matrix];
    call->pairs = m->pairs;
    call->rows = m->rows;
    call->add = op->add != CH_NOWHERE;
    bool inside = norm && norm->out == op->in;
    call->in = gpu_vec4_at(inside ? norm->in : op->in);
    call->norm =
        inside ? gpu_vec4_at(ch_gles_layout_constant(&gpu->layout, norm->weight)) : UINT32_MAX;
    int32_t end = 0;
    for (int32_t p = 0; p < CH_GLES_PARTS; p++) {
        const ch_op *one = &ops[i + CH_MIN(p, m->parts - 1)];
        if (p < m->parts) end += m->part_rows[p];
        call->ends[p] = (uint32_t)end;
        call->out[p] = gpu_float_at(one->out);
        call->bias[p] = p < m->parts
                            ? gpu_float_at(ch_gles_layout_constant(&gpu->layout, one->bias))
                            : UINT32_MAX;
    }
    int32_t taken = m->parts;
    if (m->pairs) call->out[0] = gpu_float_at(ops[i + taken++].out); // the glu behind them
    call->barrier = ops[i + taken - 1].barrier;
    return taken;
}

// Whether an op has no dispatch of its own in a walk: tables are there, norms are left to the
// products that take their results, the rotation of one token to attention.
static bool gpu_skips(const ch_op *op, int32_t walk) {
    return op->kind == CH_OP_ROPE_TABLE || (op->kind == CH_OP_NORM && walk != GPU_MANY) ||
           (op->kind == CH_OP_ROPE && walk == GPU_ONE);
}

// All of a call but what products have; offsets are in the units of the shader.
static void gpu_call_begin(const ch_gpu *gpu, int32_t i, int32_t walk, gpu_call *call) {
    const ch_op *op = &gpu->args.ops[i];
    bool floats = op->kind == CH_OP_ROPE;
    int32_t part = 0;
    memset(call, 0, sizeof *call);
    call->kind = op->kind;
    call->barrier = op->barrier;
    call->wanted_only = op->wanted_only;
    if (walk == GPU_ONE && op->kind == CH_OP_ATTENTION)
        call->wanted_only = false; // it stores the key and the value, too
    call->op = i;
    call->k = op->k;
    call->norm = UINT32_MAX;
    call->in = floats ? gpu_float_at(op->in) : gpu_vec4_at(op->in);
    call->in2 = op->kind == CH_OP_GLU ? gpu_vec4_at(op->in2) : gpu_float_at(op->in2);
    call->in3 = gpu_float_at(op->in3);
    call->out[0] = op->kind == CH_OP_EMBED ? gpu_float_at(op->out) : gpu_vec4_at(op->out);
    if (op->kind == CH_OP_EMBED)
        call->matrix = ch_gles_layout_find(&gpu->layout, op->weight, &part);
    if (op->kind == CH_OP_NORM)
        call->norm = gpu_vec4_at(ch_gles_layout_constant(&gpu->layout, op->weight));
}

static bool gpu_make_calls(ch_gpu *gpu, int32_t walk, chord_error *error) {
    const ch_op *ops = gpu->args.ops, *norm = NULL;
    gpu_call *call = gpu->calls[walk];
    for (int32_t i = 0; i < gpu->args.plan->size.op_count;) {
        const ch_op *op = &ops[i];
        if (gpu_skips(op, walk)) {
            if (op->kind == CH_OP_NORM) norm = op;
            i++;
            continue;
        }
        gpu_call_begin(gpu, i, walk, call);
        i += op->kind == CH_OP_MATMUL ? gpu_call_product(gpu, i, norm, call) : 1;
        if (call->barrier) norm = NULL; // its result is used up
        if (!gpu_programs(gpu, walk, call, error)) return false;
        call++;
    }
    gpu->call_count[walk] = (int32_t)(call - gpu->calls[walk]);
    return true;
}

// ---- dispatches

static ch_gles_range gpu_range(GLuint buffer, uint64_t offset, uint64_t bytes) {
    ch_gles_range r;
    r.buffer = bytes ? buffer : 0;
    r.offset = offset;
    r.bytes = bytes;
    return r;
}

static void gpu_dispatch(ch_gpu *gpu, int32_t program, const uint32_t *params,
                         const ch_gles_range *ranges, uint32_t x, uint32_t y, uint32_t z) {
    uint32_t groups[3] = {x, y, z};
    ch_gles_dispatch(&gpu->gles, gpu->programs[program].id, params, ranges, 4, groups);
}

static int32_t gpu_walk_of(int32_t n) {
    return n > CH_MATVEC_COLUMNS ? GPU_MANY : n > 1 ? GPU_FEW : GPU_ONE;
}

// Tokens that a call is for.
static int32_t gpu_rows(const gpu_call *call, const ch_gpu_step_args *step) {
    return call->wanted_only ? step->wanted : step->n;
}

static uint32_t gpu_groups(int64_t items, int32_t each) {
    return (uint32_t)((items + each - 1) / each);
}

// The parameters of a slab, and its ranges at bindings 0 and 1.
static void gpu_bind_slab(ch_gpu *gpu, const ch_gles_matrix *m, int32_t s, uint32_t *params,
                          ch_gles_range *ranges) {
    const ch_gles_slab *slab = &gpu->layout.slabs[s];
    ch_gles_row row = ch_gles_row_of(m->type, m->k);
    GLuint buffer = gpu->weights[slab->buffer];
    params[4] = (uint32_t)slab->first;
    params[5] = (uint32_t)slab->rows;
    params[6] = (uint32_t)row.blocks;
    params[7] = (uint32_t)(row.high * (uint64_t)slab->rows / 4);
    ranges[0] = gpu_range(buffer, slab->low, row.low * (uint64_t)slab->rows);
    ranges[1] = gpu_range(buffer, slab->side, ch_gles_side_bytes(&row, slab->rows));
}

static void gpu_run_product(ch_gpu *gpu, const gpu_call *call, const ch_gpu_step_args *step) {
    const ch_gles_matrix *m = &gpu->layout.matrices[call->matrix];
    int32_t n = gpu_rows(call, step);
    int32_t walk = gpu_walk_of(n), program = call->program[walk];
    bool many = walk == GPU_MANY;
    uint32_t params[CH_GLES_PARAMS * 4] = {0};
    ch_gles_range ranges[4];
    ranges[2] = ranges[3] = gpu_range(gpu->act, 0, gpu->act_bytes);
    // Of the residual stream, which norms inside read and sums are added to, it takes the last
    // rows.
    params[0] = call->in;
    if (call->norm != UINT32_MAX) params[0] += (uint32_t)(step->n - n) * (uint32_t)m->k / 4;
    params[1] = (uint32_t)m->k / 4;
    params[2] = (uint32_t)m->k;
    params[3] = (uint32_t)n;
    memcpy(&params[8], call->out, sizeof call->out);
    if (call->add) params[8] += (uint32_t)(step->n - n) * (uint32_t)m->rows;
    params[11] = call->add;
    memcpy(&params[12], call->ends, sizeof call->ends);
    params[15] = call->norm;
    memcpy(&params[16], call->bias, sizeof call->bias);
    memcpy(&params[19], &gpu->args.weights->hp.rms_eps, sizeof(float));
    for (int32_t s = m->first_slab; s < m->first_slab + m->slabs; s++) {
        gpu_bind_slab(gpu, m, s, params, ranges);
        int32_t rows = gpu->layout.slabs[s].rows;
        gpu_dispatch(gpu, program, params, ranges, gpu_groups(rows, many ? 64 : 8),
                     many ? gpu_groups(n, 64) : 1, 1);
    }
}

static void gpu_run_embed(ch_gpu *gpu, const gpu_call *call, const ch_gpu_step_args *step) {
    const ch_gles_matrix *m = &gpu->layout.matrices[call->matrix];
    uint32_t params[CH_GLES_PARAMS * 4] = {0};
    ch_gles_range ranges[4];
    ranges[2] = gpu_range(gpu->tokens, 0, (uint64_t)gpu->args.plan->table.batch * 4);
    ranges[3] = gpu_range(gpu->act, 0, gpu->act_bytes);
    params[0] = call->out[0];
    params[2] = (uint32_t)m->k;
    for (int32_t s = m->first_slab; s < m->first_slab + m->slabs; s++) {
        gpu_bind_slab(gpu, m, s, params, ranges);
        gpu_dispatch(gpu, call->program[GPU_ONE], params, ranges, gpu_groups((m->k + 7) / 8, 128),
                     (uint32_t)step->n, 1);
    }
}

static void gpu_run_norm(ch_gpu *gpu, const gpu_call *call, const ch_gpu_step_args *step) {
    int32_t n = gpu_rows(call, step);
    uint32_t quads = (uint32_t)call->k / 4;
    uint32_t params[CH_GLES_PARAMS * 4] = {call->in + (uint32_t)(step->n - n) * quads, call->out[0],
                                           quads, call->norm};
    ch_gles_range ranges[4];
    memset(ranges, 0, sizeof ranges);
    ranges[2] = ranges[3] = gpu_range(gpu->act, 0, gpu->act_bytes);
    memcpy(&params[4], &gpu->args.weights->hp.rms_eps, sizeof(float));
    gpu_dispatch(gpu, call->program[GPU_ONE], params, ranges, (uint32_t)n, 1, 1);
}

// The caches of KV heads from `head` on, as many as are bound at once.
static int32_t gpu_bind_cache(const ch_gpu *gpu, int32_t block, int32_t head,
                              ch_gles_range *ranges) {
    const ch_plan *plan = gpu->args.plan;
    int32_t all = gpu->args.weights->hp.kv_heads, heads = CH_MIN(gpu->window, all - head);
    uint64_t first = (uint64_t)block * (uint64_t)all + (uint64_t)head;
    ranges[0] = gpu_range(gpu->keys, first * plan->key_bytes, (uint64_t)heads * plan->key_bytes);
    ranges[1] =
        gpu_range(gpu->values, first * plan->value_bytes, (uint64_t)heads * plan->value_bytes);
    return heads;
}

static void gpu_run_rope(ch_gpu *gpu, const gpu_call *call, const ch_gpu_step_args *step) {
    const ch_hparams *hp = &gpu->args.weights->hp;
    const ch_plan *plan = gpu->args.plan;
    int32_t pairs = hp->rope_dims / 2, half = hp->key_dim / 2, value_half = hp->value_dim / 2;
    uint32_t table = gpu_float_at(plan->graph.rope_table);
    float scale = 1.0f / sqrtf((float)hp->key_dim);
    for (int32_t first = 0; first < hp->kv_heads; first += gpu->window) {
        ch_gles_range ranges[4];
        int32_t kv = gpu_bind_cache(gpu, gpu->args.ops[call->op].block, first, ranges);
        int32_t heads = first == 0 ? hp->heads : 0;
        ranges[2] = gpu_range(0, 0, 0);
        ranges[3] = gpu_range(gpu->act, 0, gpu->act_bytes);
        uint32_t params[CH_GLES_PARAMS * 4] = {call->in,
                                               call->in2,
                                               call->in3,
                                               table,
                                               (uint32_t)heads,
                                               (uint32_t)hp->heads,
                                               (uint32_t)kv,
                                               (uint32_t)hp->kv_heads,
                                               (uint32_t)half,
                                               (uint32_t)value_half,
                                               (uint32_t)pairs,
                                               (uint32_t)step->position,
                                               (uint32_t)plan->capacity,
                                               (uint32_t)first,
                                               0,
                                               table + CH_GLES_ROPE_STEP * 2 * (uint32_t)pairs};
        memcpy(&params[14], &scale, sizeof scale);
        gpu_dispatch(gpu, call->program[GPU_ONE], params, ranges,
                     gpu_groups((int64_t)(heads + kv) * half + (int64_t)kv * value_half, 128),
                     (uint32_t)step->n, 1);
    }
}

// The parameters of attention, whose work groups take `part` positions each.
static void gpu_attention_params(const ch_gpu *gpu, const gpu_call *call,
                                 const ch_gpu_step_args *step, int32_t part, int32_t first,
                                 uint32_t *params) {
    const ch_hparams *hp = &gpu->args.weights->hp;
    const ch_plan *plan = gpu->args.plan;
    uint32_t pairs = (uint32_t)hp->rope_dims / 2, table = gpu_float_at(plan->graph.rope_table);
    float scale = 1.0f / sqrtf((float)hp->key_dim);
    int32_t before = step->n - gpu_rows(call, step);
    const uint32_t values[] = {call->in + (uint32_t)(before * hp->heads * hp->key_dim) / 4,
                               call->out[0] * 2, // in vec2s
                               (uint32_t)hp->heads,
                               (uint32_t)(hp->heads / hp->kv_heads),
                               (uint32_t)(step->position + before),
                               (uint32_t)gpu_rows(call, step),
                               (uint32_t)plan->capacity,
                               (uint32_t)first,
                               (uint32_t)ch_ceil_div(step->position + 1, part),
                               (uint32_t)part,
                               gpu_float_at(gpu->parts_at) / 2,
                               pairs,
                               call->in2,
                               call->in3,
                               table,
                               table + CH_GLES_ROPE_STEP * 2 * pairs};
    memcpy(params, values, sizeof values);
    memcpy(&params[16], &scale, sizeof scale);
}

// Positions that a work group takes: for one token they are shared, at most as many ways as there
// is room for.
static int32_t gpu_attention_part(const ch_gpu *gpu, const ch_gpu_step_args *step) {
    int32_t all = gpu->args.plan->capacity, end = step->position + 1;
    if (step->n > 1 || end <= 2 * CH_GPU_PART) return all;
    return CH_MAX(CH_GPU_PART,
                  (int32_t)ch_round_up((size_t)ch_ceil_div(end, CH_GPU_PARTS), CH_KV_CHUNK));
}

static void gpu_run_attention(ch_gpu *gpu, const gpu_call *call, const ch_gpu_step_args *step) {
    const ch_hparams *hp = &gpu->args.weights->hp;
    int32_t rows = gpu_attention_rows(hp, step->n == 1), part = gpu_attention_part(gpu, step);
    uint32_t params[CH_GLES_PARAMS * 4] = {0};
    ch_gles_range ranges[4];
    for (int32_t first = 0; first < hp->kv_heads; first += gpu->window) {
        int32_t kv = gpu_bind_cache(gpu, gpu->args.ops[call->op].block, first, ranges);
        ranges[2] = ranges[3] = gpu_range(gpu->act, 0, gpu->act_bytes);
        gpu_attention_params(gpu, call, step, part, first, params);
        gpu_dispatch(gpu, call->program[GPU_ONE], params, ranges, (uint32_t)kv,
                     gpu_groups((int64_t)gpu_rows(call, step) * (hp->heads / hp->kv_heads), rows),
                     step->n > 1 ? 1 : params[8]);
    }
    if (step->n > 1 || params[8] == 1) return;
    const uint32_t combine[CH_GLES_PARAMS * 4] = {params[10], params[1],
                                                  (uint32_t)hp->value_dim / 2, params[8]};
    ranges[0] = ranges[1] = gpu_range(0, 0, 0);
    CH_GL(&gpu->gles, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
    gpu_dispatch(gpu, gpu->combine, combine, ranges, (uint32_t)hp->heads, 1, 1);
}

static void gpu_run_glu(ch_gpu *gpu, const gpu_call *call, const ch_gpu_step_args *step) {
    uint32_t quads = (uint32_t)call->k / 4;
    uint32_t params[CH_GLES_PARAMS * 4] = {call->in, call->in2, call->out[0], 0, quads};
    ch_gles_range ranges[4];
    memset(ranges, 0, sizeof ranges);
    ranges[3] = gpu_range(gpu->act, 0, gpu->act_bytes);
    gpu_dispatch(gpu, call->program[GPU_ONE], params, ranges, gpu_groups(quads, 128),
                 (uint32_t)gpu_rows(call, step), 1);
}

static void gpu_run_call(ch_gpu *gpu, const gpu_call *call, const ch_gpu_step_args *step) {
    switch ((ch_op_kind)call->kind) {
    case CH_OP_EMBED:
        gpu_run_embed(gpu, call, step);
        break;
    case CH_OP_NORM:
        gpu_run_norm(gpu, call, step);
        break;
    case CH_OP_MATMUL:
        gpu_run_product(gpu, call, step);
        break;
    case CH_OP_ROPE:
        gpu_run_rope(gpu, call, step);
        break;
    case CH_OP_ATTENTION:
        gpu_run_attention(gpu, call, step);
        break;
    default:
        gpu_run_glu(gpu, call, step);
        break;
    }
    if (call->barrier) CH_GL(&gpu->gles, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
}

// ---- a step

// All dispatches of a step. False if on_progress asked to stop: it is asked after each block of a
// prefill, and what was sent so far is then done.
static bool gpu_walk(ch_gpu *gpu, const ch_gpu_step_args *step) {
    const chord_session_desc *desc = gpu->args.desc;
    int32_t walk = gpu->walk = gpu_walk_of(step->n);
    for (int32_t i = 0; i < gpu->call_count[walk]; i++) {
        gpu_call *call = &gpu->calls[walk][i];
        const ch_op *op = &gpu->args.ops[call->op];
        if (gpu_rows(call, step) > 0) {
            if (gpu->timer.query) ch_gles_time_begin(&gpu->gles, &gpu->timer);
            gpu_run_call(gpu, call, step);
            if (gpu->timer.query) call->seconds += ch_gles_time_end(&gpu->gles, &gpu->timer);
        }
        if (op->place != CH_PLACE_FFN_DOWN || walk != GPU_MANY || !desc->on_progress) continue;
        CH_GL(&gpu->gles, Finish, ());
        int64_t part = (int64_t)step->n * (op->block + 1) / gpu->args.weights->hp.blocks;
        if (desc->on_progress(desc->user, step->done + (int32_t)part, step->total)) return false;
    }
    return true;
}

// Bytes of the buffer of activations, through a buffer of its own, so that the driver leaves the
// activations on the device.
static chord_result gpu_read(ch_gpu *gpu, uint64_t at, void *to, size_t bytes, chord_error *error) {
    ch_gles *g = &gpu->gles;
    CH_GL(g, MemoryBarrier, (GL_BUFFER_UPDATE_BARRIER_BIT));
    CH_GL(g, BindBuffer, (GL_COPY_READ_BUFFER, gpu->act));
    CH_GL(g, BindBuffer, (GL_COPY_WRITE_BUFFER, gpu->back));
    CH_GL(g, CopyBufferSubData,
          (GL_COPY_READ_BUFFER, GL_COPY_WRITE_BUFFER, (GLintptr)at, 0, (GLsizeiptr)bytes));
    const void *from =
        g->call.gl.MapBufferRange(GL_COPY_WRITE_BUFFER, 0, (GLsizeiptr)bytes, GL_MAP_READ_BIT);
    if (from) memcpy(to, from, bytes);
    g->info.read_bytes += bytes;
    bool good = from && g->call.gl.UnmapBuffer(GL_COPY_WRITE_BUFFER) == GL_TRUE;
    chord_result result = ch_gles_check(g, error);
    if (result || good) return result;
    return ch_fail(error, CHORD_ERROR_SYSTEM, "%s gives no results back", g->info.name);
}

static chord_result gpu_read_rows(ch_gpu *gpu, int32_t rows, chord_error *error) {
    size_t bytes = (size_t)rows * (size_t)gpu->args.weights->hp.vocabulary * sizeof(float);
    return gpu_read(gpu, gpu->args.plan->graph.logits, gpu->args.logits, bytes, error);
}

// Brings the `count` most likely tokens of a row of logits here: of each work group's share, then
// of what these found.
static chord_result gpu_read_best(ch_gpu *gpu, int32_t row, int32_t count, ch_candidate *best,
                                  chord_error *error) {
    uint32_t vocabulary = (uint32_t)gpu->args.weights->hp.vocabulary, wanted = (uint32_t)count;
    uint32_t at = gpu_float_at(gpu->choice_at), last = at + 2 * CH_GPU_CHOOSERS * CH_GPU_BEST;
    int32_t program = count > 1 ? gpu->best : gpu->choose;
    uint32_t groups =
        CH_MIN(gpu_groups(vocabulary, count > 1 ? GPU_BEST_SHARE : 128), (uint32_t)CH_GPU_CHOOSERS);
    const uint32_t first[CH_GLES_PARAMS * 4] = {gpu_float_at(gpu->args.plan->graph.logits) +
                                                    (uint32_t)row * vocabulary,
                                                vocabulary, at, 0, wanted};
    const uint32_t again[CH_GLES_PARAMS * 4] = {at, groups * wanted, last, 1, wanted};
    ch_gles_range ranges[4];
    memset(ranges, 0, sizeof ranges);
    ranges[3] = gpu_range(gpu->act, 0, gpu->act_bytes);
    gpu_dispatch(gpu, program, first, ranges, groups, 1, 1);
    CH_GL(&gpu->gles, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
    gpu_dispatch(gpu, program, again, ranges, 1, 1, 1);
    chord_result result =
        gpu_read(gpu, (uint64_t)last * sizeof(float), best, (size_t)count * sizeof *best, error);
    for (int32_t i = 0; i < count && !result; i++)
        best[i].id = (chord_token)CH_MIN((uint32_t)best[i].id, vocabulary - 1);
    return result;
}

CH_FN chord_result ch_gpu_step(ch_gpu *gpu, const ch_gpu_step_args *step, chord_error *error) {
    ch_gles *g = &gpu->gles;
    chord_result result = ch_gles_bind(g, error);
    if (result) return result;
    g->info.dispatches = 0;
    g->info.read_bytes = 0;
    CH_GL(g, BindBuffer, (GL_SHADER_STORAGE_BUFFER, gpu->tokens));
    CH_GL(g, BufferSubData,
          (GL_SHADER_STORAGE_BUFFER, 0, (GLsizeiptr)((size_t)step->n * sizeof *step->tokens),
           step->tokens));
    if (!gpu_walk(gpu, step))
        result = ch_fail(error, CHORD_ERROR_STOPPED, "stopped within a step");
    else if (step->wanted > 0 && step->best_count > 0)
        result = gpu_read_best(gpu, step->wanted - 1, step->best_count, step->best, error);
    else if (step->wanted > 0)
        result = gpu_read_rows(gpu, step->wanted, error);
    else
        result = ch_gles_check(g, error);
    ch_gles_unbind(g);
    return result;
}

CH_FN chord_result ch_gpu_read_logits(ch_gpu *gpu, int32_t rows, chord_error *error) {
    chord_result result = ch_gles_bind(&gpu->gles, error);
    if (result) return result;
    result = gpu_read_rows(gpu, rows, error);
    ch_gles_unbind(&gpu->gles);
    return result;
}

// ---- opening

// Hands out the parts of the arena's region.
static void *gpu_take(uint8_t **at, uint64_t bytes) {
    void *part = *at;
    *at += gpu_room(bytes);
    return part;
}

static void gpu_lay_out(ch_gpu *gpu) {
    ch_gles_layout l;
    memset(&l, 0, sizeof l);
    ch_gles_layout_make(gpu->args.weights, CH_GLES_MIN_BLOCK_BYTES, &l);
    uint8_t *at = (uint8_t *)gpu + gpu_room(sizeof *gpu);
    l.matrices = (ch_gles_matrix *)gpu_take(&at, (uint64_t)l.matrix_count * sizeof(ch_gles_matrix));
    l.slabs = (ch_gles_slab *)gpu_take(&at, (uint64_t)l.slab_count * sizeof(ch_gles_slab));
    l.constants =
        (ch_gles_constant *)gpu_take(&at, (uint64_t)l.constant_count * sizeof(ch_gles_constant));
    l.buffer_bytes = (uint64_t *)gpu_take(&at, (uint64_t)l.buffer_count * sizeof(uint64_t));
    gpu->weights = (GLuint *)gpu_take(&at, (uint64_t)l.buffer_count * sizeof(GLuint));
    memset(gpu->weights, 0, (size_t)l.buffer_count * sizeof(GLuint));
    for (int32_t walk = 0; walk < GPU_WALKS; walk++)
        gpu->calls[walk] =
            (gpu_call *)gpu_take(&at, (uint64_t)gpu->args.plan->size.op_count * sizeof(gpu_call));
    gpu->layout = l;
    ch_gles_layout_make(gpu->args.weights, CH_GLES_MIN_BLOCK_BYTES, &gpu->layout);
}

static chord_result gpu_buffer(ch_gpu *gpu, uint64_t bytes, GLenum usage, GLuint *buffer,
                               chord_error *error) {
    chord_result result = ch_gles_buffer_open(&gpu->gles, bytes, usage, buffer, error);
    if (!result) gpu->gles.info.device_bytes += bytes;
    return result;
}

static chord_result gpu_buffers(ch_gpu *gpu, chord_error *error) {
    const ch_plan *plan = gpu->args.plan;
    const chord_region *r = plan->table.device_regions;
    const chord_region *first = &r[CH_DEVICE_CONSTANTS], *last = &r[CH_DEVICE_LOGITS];
    gpu->act_bytes = last->offset + last->bytes - first->offset;
    gpu->parts_at = r[CH_DEVICE_PARTS].offset - first->offset;
    gpu->choice_at = r[CH_DEVICE_CHOICE].offset - first->offset;
    uint64_t most = gpu->gles.info.block_bytes;
    if (gpu->act_bytes > most)
        return ch_fail(error, CHORD_ERROR_MEMORY,
                       "a batch of %d and %d rows of logits take %llu bytes at once, and %s binds "
                       "at most %llu: a smaller batch will do",
                       (int)plan->table.batch, (int)plan->table.logits_rows,
                       (unsigned long long)gpu->act_bytes, gpu->gles.info.name,
                       (unsigned long long)most);
    gpu->window = (int32_t)CH_MIN(most / CH_MAX(plan->key_bytes, plan->value_bytes),
                                  (uint64_t)gpu->args.weights->hp.kv_heads);
    if (gpu->window == 0)
        return ch_fail(error, CHORD_ERROR_MEMORY,
                       "a context of %d takes more for one head than %s binds at most, %llu bytes",
                       (int)plan->table.context, gpu->gles.info.name, (unsigned long long)most);
    chord_result result = CHORD_OK;
    for (int32_t i = 0; i < gpu->layout.buffer_count && !result; i++)
        result =
            gpu_buffer(gpu, gpu->layout.buffer_bytes[i], GL_STATIC_DRAW, &gpu->weights[i], error);
    if (!result) result = gpu_buffer(gpu, gpu->act_bytes, GL_DYNAMIC_COPY, &gpu->act, error);
    const struct {
        GLuint *buffer;
        ch_device_region region;
        GLenum usage;
    } others[] = {{&gpu->tokens, CH_DEVICE_TOKENS, GL_STREAM_DRAW},
                  {&gpu->back, CH_DEVICE_READ_BACK, GL_STREAM_READ},
                  {&gpu->keys, CH_DEVICE_KEYS, GL_DYNAMIC_COPY},
                  {&gpu->values, CH_DEVICE_VALUES, GL_DYNAMIC_COPY}};
    for (size_t i = 0; i < CH_COUNT(others) && !result; i++)
        result =
            gpu_buffer(gpu, r[others[i].region].bytes, others[i].usage, others[i].buffer, error);
    return result;
}

// Cosines and sines of positions 0 to 63, then of every 64th; the factor on them is in the latter.
static bool gpu_fill_rope(ch_gpu *gpu) {
    ch_gles *g = &gpu->gles;
    const chord_region *r = gpu->args.plan->table.device_regions;
    int32_t pairs = gpu->args.weights->hp.rope_dims / 2;
    CH_GL(g, BindBuffer, (GL_SHADER_STORAGE_BUFFER, gpu->act));
    float *to = (float *)g->call.gl.MapBufferRange(
        GL_SHADER_STORAGE_BUFFER, (GLintptr)gpu->args.plan->graph.rope_table,
        (GLsizeiptr)r[CH_DEVICE_ROPE].bytes, GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_RANGE_BIT);
    if (!to) return false;
    int32_t rows = CH_GLES_ROPE_STEP + gpu->args.plan->capacity / CH_GLES_ROPE_STEP;
    for (int32_t t = 0; t < rows; t++)
        for (int32_t i = 0; i < pairs; i++) {
            bool fine = t < CH_GLES_ROPE_STEP;
            double position = fine ? t : (t - CH_GLES_ROPE_STEP) * CH_GLES_ROPE_STEP;
            double angle = position * gpu->args.rope_freqs[i];
            float factor = fine ? 1.0f : gpu->args.rope_magnitude;
            *to++ = (float)cos(angle) * factor;
            *to++ = (float)sin(angle) * factor;
        }
    return g->call.gl.UnmapBuffer(GL_SHADER_STORAGE_BUFFER) == GL_TRUE;
}

// Progress of the upload, in MiB.
static int gpu_on_upload(void *user, uint64_t done, uint64_t total) {
    const chord_session_desc *desc = (const chord_session_desc *)user;
    return desc->on_progress(desc->user, (int32_t)(done >> 20), (int32_t)(total >> 20));
}

static chord_result gpu_prepare(ch_gpu *gpu, chord_error *error) {
    const chord_session_desc *desc = gpu->args.desc;
    gpu_lay_out(gpu);
    chord_result result = gpu_buffers(gpu, error);
    if (result) return result;
    for (int32_t walk = 0; walk < GPU_WALKS; walk++)
        if (!gpu_make_calls(gpu, walk, error)) return CHORD_ERROR_UNSUPPORTED;
    gpu->combine = gpu_program_of(gpu, CH_SHADER_COMBINE, CH_TYPE_COUNT, 0, 0, error);
    gpu->choose = gpu_program_of(gpu, CH_SHADER_CHOOSE, CH_TYPE_COUNT, 0, 0, error);
    gpu->best = gpu_program_of(gpu, CH_SHADER_BEST, CH_TYPE_COUNT, 0, 0, error);
    if (gpu->combine < 0 || gpu->choose < 0 || gpu->best < 0) return CHORD_ERROR_UNSUPPORTED;
    if (desc->profile && !gpu->gles.call.gl.GetQueryObjectui64v)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "%s has no timers to profile with",
                       gpu->gles.info.name);
    if (desc->profile) CH_GL(&gpu->gles, GenQueries, (1, &gpu->timer.query));
    result =
        ch_gles_upload(&gpu->gles, &gpu->layout, gpu->args.file, gpu->weights, gpu->act,
                       desc->on_progress ? gpu_on_upload : NULL, (void *)(uintptr_t)desc, error);
    if (!result && !gpu_fill_rope(gpu))
        result = ch_fail(error, CHORD_ERROR_SYSTEM, "%s gives no access to a buffer",
                         gpu->gles.info.name);
    return result ? result : ch_gles_check(&gpu->gles, error);
}

static void gpu_release(ch_gpu *gpu) {
    ch_gles *g = &gpu->gles;
    const GLuint others[] = {gpu->act, gpu->tokens, gpu->back, gpu->keys, gpu->values};
    for (int32_t i = 0; i < gpu->program_count; i++) g->call.gl.DeleteProgram(gpu->programs[i].id);
    if (gpu->weights) g->call.gl.DeleteBuffers(gpu->layout.buffer_count, gpu->weights);
    g->call.gl.DeleteBuffers(CH_COUNT(others), others); // 0 is ignored
}

CH_FN chord_result ch_gpu_open(ch_gpu *gpu, const ch_gpu_args *args, chord_error *error) {
    memset(gpu, 0, sizeof *gpu);
    gpu->args = *args;
    chord_result result =
        ch_gles_open(&gpu->gles, args->desc->gpu - 1, args->desc->gpu_minimums, error);
    if (result) return result;
    result = ch_gles_bind(&gpu->gles, error);
    if (!result) {
        gpu->gles.cache = args->desc->cache;
        result = gpu_prepare(gpu, error);
        gpu->gles.cache = NULL; // it need not outlive this call
        if (result) gpu_release(gpu);
        ch_gles_unbind(&gpu->gles);
    }
    if (result) ch_gles_close(&gpu->gles);
    return result;
}

CH_FN void ch_gpu_close(ch_gpu *gpu) {
    if (ch_gles_bind(&gpu->gles, NULL) == CHORD_OK) {
        gpu_release(gpu);
        ch_gles_unbind(&gpu->gles);
    }
    ch_gles_close(&gpu->gles);
}

CH_FN const chord_device_info *ch_gpu_info(const ch_gpu *gpu) {
    return &gpu->gles.info;
}

CH_FN const char *ch_gpu_op(const ch_gpu *gpu, int32_t i, double *seconds) {
    static const char *const names[CH_SHADER_COUNT] = {
#define GPU_SHADER_NAME(NAME, name) #name "__gles",
        CH_SHADERS(GPU_SHADER_NAME)
#undef GPU_SHADER_NAME
    };
    const char *name = "";
    *seconds = 0;
    for (int32_t walk = 0; walk < GPU_WALKS; walk++)
        for (int32_t c = 0; c < gpu->call_count[walk]; c++) {
            const gpu_call *call = &gpu->calls[walk][c];
            if (call->op != i) continue;
            *seconds += call->seconds;
            if (walk == gpu->walk) name = names[gpu->programs[call->program[walk]].shader];
        }
    return name;
}

#else

CH_FN chord_result ch_gpu_open(ch_gpu *gpu, const ch_gpu_args *args, chord_error *error) {
    (void)gpu;
    (void)args;
    return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "this build of chord has no GPU path");
}

CH_FN void ch_gpu_close(ch_gpu *gpu) {
    (void)gpu;
}

CH_FN chord_result ch_gpu_step(ch_gpu *gpu, const ch_gpu_step_args *step, chord_error *error) {
    (void)gpu;
    (void)step;
    return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "this build of chord has no GPU path");
}

CH_FN chord_result ch_gpu_read_logits(ch_gpu *gpu, int32_t rows, chord_error *error) {
    (void)gpu;
    (void)rows;
    return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "this build of chord has no GPU path");
}

CH_FN const chord_device_info *ch_gpu_info(const ch_gpu *gpu) {
    (void)gpu;
    return NULL;
}

CH_FN const char *ch_gpu_op(const ch_gpu *gpu, int32_t i, double *seconds) {
    (void)gpu;
    (void)i;
    *seconds = 0;
    return "";
}

#endif
