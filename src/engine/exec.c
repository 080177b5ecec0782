// exec: see exec.h.
#include "exec.h"

enum {
    EXEC_CHUNK =
        512, // elements of a row that one unit of glu or quantize takes: whole blocks of 128
    EXEC_MATVEC_BYTES = 48 << 10, // of weights that a lane takes at once while decoding
    EXEC_AHEAD_BYTES = 128 << 10  // of weights that a waiting lane fetches meanwhile
};

// ---- sharing work
//
// The units of an op are cut into one contiguous range per lane. A lane takes its own range in
// pieces, front to back, then helps with the ranges of others: a lane that lost its core holds up
// at most the piece it was at. A piece is a grain; or, where memory decides and long pieces make
// long streams, half of what is left of the range, and at least a grain.

typedef struct exec_share {
    ch_cursor *cursors; // of this op
    int32_t units, grain, lanes, lane;
    int32_t visited; // ranges found exhausted
    bool halving;
    bool all; // of the units are still to be taken by this lane, whatever others do
} exec_share;

static exec_share exec_share_open(ch_exec *x, int32_t op, int32_t lane, int32_t units,
                                  int32_t grain) {
    exec_share s;
    s.lanes = x->lanes->active;
    s.cursors = x->cursors + (size_t)op * (size_t)s.lanes;
    s.units = units;
    s.grain = grain;
    s.lane = lane;
    s.visited = 0;
    s.halving = false;
    s.all = false;
    return s;
}

// Where a lane's own range begins; of lane `lanes`, where the last one ends.
static int32_t exec_share_from(const exec_share *s, int32_t lane) {
    return (int32_t)((int64_t)s->units * lane / s->lanes);
}

// Units of the next piece of a range.
static int32_t exec_share_piece(const exec_share *s, int32_t left) {
    return CH_MIN(CH_MAX(s->halving ? left / 2 : 0, s->grain), left);
}

static bool exec_share_next(exec_share *s, int32_t *first, int32_t *end) {
    if (s->all) {
        *first = 0;
        *end = s->units;
        s->all = false;
        s->visited = s->lanes;
        return true;
    }
    for (; s->visited < s->lanes; s->visited++) {
        int32_t owner = (s->lane + s->visited) % s->lanes, from = exec_share_from(s, owner);
        int32_t count = exec_share_from(s, owner + 1) - from;
        int32_t *next = &s->cursors[owner].next, taken = CH_LOAD_RELAXED(next);
        while (taken < count) {
            int32_t piece = exec_share_piece(s, count - taken);
            if (!CH_EXCHANGE_RELAXED(next, &taken, taken + piece)) continue;
            *first = from + taken;
            *end = *first + piece;
            return true;
        }
    }
    return false;
}

// ---- times

// A row of the profile: of a lane, or of the sums.
static double *exec_times(const ch_exec *x, int32_t row) {
    return (double *)(void *)((uint8_t *)x->profile + (size_t)row * x->plan->profile_bytes);
}

// What a lane did since it last looked at the clock belongs to op i; -1: to none.
static void exec_worked(const ch_exec *x, int32_t lane, int32_t i) {
    if (!x->profile) return;
    double *times = exec_times(x, lane), *last = &times[x->plan->size.op_count];
    double now = ch_os_seconds();
    if (i >= 0) times[i] += now - *last;
    *last = now;
}

// ---- ops

static uint8_t *exec_region(ch_exec *x, ch_region region) {
    return x->arena + x->plan->table.regions[region].offset;
}

static uint8_t *exec_scratch(ch_exec *x, int32_t lane) {
    return exec_region(x, CH_REGION_SCRATCH) + (size_t)lane * x->plan->scratch_bytes;
}

static float *exec_f32(ch_exec *x, uint64_t offset) {
    return (float *)(void *)(x->arena + offset);
}

static const float *exec_weight_f32(ch_exec *x, uint64_t offset) {
    return offset == CH_NOWHERE ? NULL : (const float *)(const void *)(x->file + offset);
}

static void exec_rope_table(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    exec_share s = exec_share_open(x, index, lane, x->n, 8);
    int32_t pairs = op->k;
    for (int32_t t = 0, end = 0; exec_share_next(&s, &t, &end);)
        for (; t < end; t++) {
            float *c = exec_f32(x, op->out) + (size_t)t * 2 * (size_t)pairs;
            for (int32_t i = 0; i < pairs; i++) {
                double angle = (double)(x->position + t) * x->rope_freqs[i];
                c[i] = (float)cos(angle) * x->rope_magnitude;
                c[i + pairs] = (float)sin(angle) * x->rope_magnitude;
            }
        }
}

static void exec_embed(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    ch_dequantize_fn *dequantize = (ch_dequantize_fn *)ch_kernel_at(op->kernel)->fn;
    exec_share s = exec_share_open(x, index, lane, x->n, 4);
    for (int32_t t = 0, end = 0; exec_share_next(&s, &t, &end);)
        for (; t < end; t++)
            dequantize(x->file + op->weight + (size_t)x->tokens[t] * op->weight_stride,
                       exec_f32(x, op->out) + (size_t)t * (size_t)op->k, op->k);
}

// Rows that an op is for; 0: it is left out.
static int32_t exec_rows(const ch_exec *x, const ch_op *op) {
    return op->wanted_only ? x->wanted : x->n;
}

// Whether an op whose results many columns take rounds them for bgemm.
static bool exec_rounds(const ch_exec *x, const ch_op *op) {
    return op->round >= 0 && exec_rows(x, op) > x->plan->gemm_columns;
}

// Columns of the records that an op writes.
static int32_t exec_group(const ch_exec *x, const ch_op *op) {
    if (exec_rounds(x, op)) return CH_BGROUP;
    return exec_rows(x, op) > x->plan->q8_columns ? CH_GROUP : 1;
}

// Whether there is a single row, and every lane does this op for itself or takes what it did so.
static bool exec_alone(const ch_exec *x, const ch_op *op) {
    return (op->own || op->in_own) && exec_rows(x, op) == 1;
}

// Whether a later op of this step does this one's work: see ch_op.
static bool exec_later(const ch_exec *x, const ch_op *op) {
    if (op->kind != CH_OP_ROPE) return op->later && exec_rows(x, op) > CH_MATVEC_COLUMNS;
    return op->later && exec_rows(x, op) == 1 && exec_rows(x, op + 1) == 1;
}

// Whether an op takes quantized rows.
static bool exec_takes_q8(const ch_op *op) {
    return ch_type_get((ch_type)op->type)->activation == CH_ACTIVATION_Q8;
}

// What multiplies, by the number of columns.
typedef enum exec_way { EXEC_MATVEC, EXEC_GEMM, EXEC_BGEMM } exec_way;

static exec_way exec_matmul_way(const ch_exec *x, const ch_op *op) {
    int32_t m = exec_rows(x, op);
    if (op->kernel3 >= 0 && m > x->plan->gemm_columns) return EXEC_BGEMM;
    return m > (exec_takes_q8(op) ? x->plan->q8_columns : CH_MATVEC_COLUMNS) ? EXEC_GEMM
                                                                             : EXEC_MATVEC;
}

static ch_mm_fn *exec_mm_fn(const ch_exec *x, const ch_op *op) {
    exec_way way = exec_matmul_way(x, op);
    return (ch_mm_fn *)ch_kernel_at(way == EXEC_BGEMM  ? op->kernel3
                                    : way == EXEC_GEMM ? op->kernel2
                                                       : op->kernel)
        ->fn;
}

// Columns of what a matmul takes: of a record, or 1 of rows of floats.
static int32_t exec_in_group(const ch_exec *x, const ch_op *op) {
    exec_way way = exec_matmul_way(x, op);
    if (way == EXEC_BGEMM) return CH_BGROUP;
    return way == EXEC_GEMM && exec_takes_q8(op) ? CH_GROUP : 1;
}

// What a lane does for itself: a record, or a group of rows of floats behind it.
static uint8_t *exec_own_q8(ch_exec *x, int32_t lane) {
    return exec_scratch(x, lane);
}

static float *exec_own_rows(ch_exec *x, int32_t lane, int32_t k) {
    return (float *)(void *)(exec_scratch(x, lane) + ch_q8_bytes(k, 1));
}

// The kernel that makes the records an op writes; -1: none are wanted of so many rows.
static int32_t exec_quantizer(const ch_exec *x, const ch_op *op) {
    return exec_rounds(x, op) ? op->round : op->quantize;
}

// Quantizes or rounds elements e0..e1 of the rows of record `g`, if anyone wants that; of its first
// row they begin at `from`.
static void exec_quantize(ch_exec *x, const ch_op *op, int32_t lane, const float *from,
                          size_t stride, int32_t g, int32_t e0, int32_t e1) {
    int32_t kernel = exec_quantizer(x, op);
    if (kernel < 0) return;
    ch_quantize_fn *quantize = (ch_quantize_fn *)ch_kernel_at(kernel)->fn;
    int32_t m = exec_rows(x, op), group = exec_group(x, op);
    size_t bytes = exec_rounds(x, op) ? ch_b16_bytes(op->k) : ch_q8_bytes(op->k, group);
    uint8_t *record = x->arena + op->out_records + (size_t)g * bytes;
    quantize(from, stride, CH_MIN(group, m - g * group), op->k, group,
             exec_alone(x, op) ? exec_own_q8(x, lane) : record, e0 / 32, ch_ceil_div(e1, 32));
}

static void exec_norm(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    ch_rmsnorm_fn *norm = (ch_rmsnorm_fn *)ch_kernel_at(op->kernel)->fn;
    const ch_hparams *hp = &x->weights->hp;
    int32_t m = exec_rows(x, op), group = exec_group(x, op);
    const float *in = exec_f32(x, op->in) + (size_t)(x->n - m) * (size_t)op->k;
    const float *weight = exec_weight_f32(x, op->weight);
    exec_share s = exec_share_open(x, index, lane, ch_ceil_div(m, group), 1);
    s.all = exec_alone(x, op);
    bool own = s.all || op->out == CH_NOWHERE;
    for (int32_t g = 0, end = 0; exec_share_next(&s, &g, &end);)
        for (; g < end; g++) {
            size_t first = (size_t)(g * group) * (size_t)op->k;
            float *out = own ? exec_own_rows(x, lane, op->k) : exec_f32(x, op->out) + first;
            for (int32_t r = 0; r < CH_MIN(group, m - g * group); r++)
                norm(in + first + (size_t)r * (size_t)op->k, weight, hp->rms_eps, op->k,
                     out + (size_t)r * (size_t)op->k);
            exec_quantize(x, op, lane, out, (size_t)op->k, g, 0, op->k);
        }
}

// Quantize and glu share their cutting: unit = (record, chunk of its rows).
static void exec_glu_quantize(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    int32_t m = exec_rows(x, op), group = exec_group(x, op),
            chunks = ch_ceil_div(op->k, EXEC_CHUNK);
    exec_share s = exec_share_open(x, index, lane, ch_ceil_div(m, group) * chunks, 1);
    s.all = exec_alone(x, op);
    for (int32_t u = 0, end = 0; exec_share_next(&s, &u, &end);)
        for (; u < end; u++) {
            int32_t g = u / chunks, e0 = u % chunks * EXEC_CHUNK,
                    e1 = CH_MIN(e0 + EXEC_CHUNK, op->k);
            if (op->kind == CH_OP_GLU) {
                ch_glu_fn *glu = (ch_glu_fn *)ch_kernel_at(op->kernel)->fn;
                for (int32_t r = g * group; r < CH_MIN((g + 1) * group, m); r++) {
                    size_t at = (size_t)r * (size_t)op->k + (size_t)e0;
                    glu(exec_f32(x, op->in) + at, exec_f32(x, op->in2) + at, e1 - e0,
                        exec_f32(x, op->out) + at);
                }
            }
            const float *rows = exec_f32(x, op->kind == CH_OP_GLU ? op->out : op->in);
            exec_quantize(x, op, lane, rows + (size_t)(g * group) * (size_t)op->k + e0,
                          (size_t)op->k, g, e0, e1);
        }
}

static exec_share exec_matmul_share(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    exec_way way = exec_matmul_way(x, op);
    size_t unit_bytes = op->weight_stride * CH_ROW_UNIT;
    int32_t grain = (way == EXEC_BGEMM ? CH_BGEMM_ROWS : CH_GEMM_ROWS) / CH_ROW_UNIT;
    if (way == EXEC_MATVEC)
        grain = (int32_t)CH_MAX(EXEC_MATVEC_BYTES / CH_MAX(unit_bytes, (size_t)1), (size_t)1);
    exec_share s = exec_share_open(x, index, lane, ch_ceil_div(op->rows, CH_ROW_UNIT), grain);
    s.halving = way == EXEC_MATVEC;
    return s;
}

// What a lane that waits after op `index` while decoding fetches meanwhile: the beginning of its
// first piece of the next matrix, in the four streams that matvec and gemm read it in.
static ch_ahead exec_ahead(ch_exec *x, int32_t index, int32_t lane) {
    ch_ahead ahead = {NULL, 0, 0};
    const int32_t count = x->plan->size.op_count;
    if (x->n > CH_MATVEC_COLUMNS || x->lanes->active == 1) return ahead; // nobody waits
    for (index++; index < count && x->ops[index].kind != CH_OP_MATMUL; index++) {
    }
    if (index == count || exec_rows(x, &x->ops[index]) == 0) return ahead;
    const ch_op *op = &x->ops[index];
    exec_share s = exec_matmul_share(x, op, index, lane);
    int32_t from = exec_share_from(&s, lane);
    int32_t piece = exec_share_piece(&s, exec_share_from(&s, lane + 1) - from);
    int32_t rows = CH_MIN(piece * CH_ROW_UNIT, op->rows - from * CH_ROW_UNIT);
    if (rows <= 0) return ahead; // more lanes than units
    ahead.at = x->file + op->weight + (size_t)from * CH_ROW_UNIT * op->weight_stride;
    ahead.apart = (size_t)(rows / 4) * op->weight_stride;
    ahead.lines = CH_MIN(ahead.apart, EXEC_AHEAD_BYTES / 4) / 64;
    return ahead;
}

// The product of an op, of which a lane takes rows.
static ch_mm_args exec_mm_args(ch_exec *x, const ch_op *op, int32_t lane) {
    ch_mm_args a;
    bool q8 = exec_takes_q8(op);
    a.n = exec_rows(x, op);
    a.w = x->file + op->weight;
    a.w_stride = op->weight_stride;
    a.rows = op->rows;
    a.k = op->k;
    a.x = x->arena + op->in;
    if (exec_alone(x, op))
        a.x = q8 ? exec_own_q8(x, lane) : (uint8_t *)exec_own_rows(x, lane, op->k);
    a.x_stride = q8 ? ch_q8_bytes(op->k, exec_in_group(x, op)) : (size_t)op->k * sizeof(float);
    if (exec_matmul_way(x, op) == EXEC_BGEMM) {
        a.x = x->arena + op->in2;
        a.x_stride = ch_b16_bytes(op->k);
    }
    a.y = exec_f32(x, op->out);
    a.y_stride = (size_t)op->rows;
    if (op->add != CH_NOWHERE) a.y += (size_t)(x->n - a.n) * a.y_stride; // the residual stream
    a.bias = exec_weight_f32(x, op->bias);
    a.add = op->add == CH_NOWHERE ? NULL : a.y;
    a.scratch = exec_scratch(x, lane);
    return a;
}

static void exec_matmul(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    ch_mm_args a = exec_mm_args(x, op, lane);
    ch_mm_fn *mm = exec_mm_fn(x, op);
    exec_share s = exec_matmul_share(x, op, index, lane);
    for (int32_t u = 0, end = 0; exec_share_next(&s, &u, &end);)
        mm(&a, u * CH_ROW_UNIT, CH_MIN(end * CH_ROW_UNIT, op->rows));
}

// ---- gate, up and glu in tiles

// The product of rows r..r+rows with columns c..c+columns, as a tile of its own.
static void exec_mm_tile(ch_exec *x, const ch_op *op, int32_t lane, int32_t r, int32_t rows,
                         int32_t c, int32_t columns, float *tile) {
    ch_mm_args a = exec_mm_args(x, op, lane);
    a.w += (size_t)r * a.w_stride;
    a.rows = rows;
    a.n = columns;
    a.x += (size_t)(c / exec_in_group(x, op)) * a.x_stride;
    a.y = tile;
    a.y_stride = (size_t)rows;
    if (a.bias) a.bias += r;
    exec_mm_fn(x, op)(&a, 0, rows);
}

// For many tokens, gate and up are multiplied here, so that they are still in a near cache when glu
// takes them, and need no room in memory.
static void exec_glu_tiles(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    ch_glu_fn *glu = (ch_glu_fn *)ch_kernel_at(op->kernel)->fn;
    float *gate = (float *)(void *)(exec_scratch(x, lane) + x->plan->glu_tile);
    float *up = gate + (size_t)CH_GLU_ROWS * (size_t)x->plan->glu_columns;
    int32_t m = exec_rows(x, op), group = exec_group(x, op);
    bool records = exec_quantizer(x, op) >= 0;
    exec_share s = exec_share_open(x, index, lane, ch_ceil_div(op->k, 32), CH_GLU_ROWS / 32);
    for (int32_t u = 0, end = 0; exec_share_next(&s, &u, &end);)
        for (int32_t c = 0; c < m; c += x->plan->glu_columns) {
            int32_t r = u * 32, rows = CH_MIN(end * 32, op->k) - r;
            int32_t columns = CH_MIN(x->plan->glu_columns, m - c);
            exec_mm_tile(x, op - 2, lane, r, rows, c, columns, gate);
            exec_worked(x, lane, index - 2);
            exec_mm_tile(x, op - 1, lane, r, rows, c, columns, up);
            exec_worked(x, lane, index - 1);
            for (int32_t i = 0; i < columns; i += group) {
                int32_t width = CH_MIN(group, columns - i);
                size_t at = (size_t)i * (size_t)rows;
                if (records) {
                    glu(gate + at, up + at, width * rows, gate + at);
                    exec_quantize(x, op, lane, gate + at, (size_t)rows, (c + i) / group, r,
                                  r + rows);
                    continue;
                }
                float *to = exec_f32(x, op->out) + (size_t)(c + i) * (size_t)op->k + r;
                for (int32_t j = 0; j < width; j++, at += (size_t)rows, to += op->k)
                    glu(gate + at, up + at, rows, to);
            }
            exec_worked(x, lane, index);
        }
}

// The cache of one block and KV head in a region of such caches, `bytes` each.
static uint8_t *exec_cache(ch_exec *x, ch_region region, uint64_t bytes, int32_t block,
                           int32_t head) {
    size_t i = (size_t)block * (size_t)x->weights->hp.kv_heads + (size_t)head;
    return exec_region(x, region) + i * bytes;
}

static uint8_t *exec_keys(ch_exec *x, int32_t block, int32_t head) {
    return exec_cache(x, CH_REGION_KEYS, x->plan->key_bytes, block, head);
}

static uint8_t *exec_values(ch_exec *x, int32_t block, int32_t head) {
    return exec_cache(x, CH_REGION_VALUES, x->plan->value_bytes, block, head);
}

// Token t of KV heads h0..h1 and of their queries. Those are scaled by 1 / sqrt(head size) here, so
// that attention need not.
static void exec_rope_heads(ch_exec *x, const ch_op *op, int32_t t, int32_t h0, int32_t h1) {
    ch_rope_fn *rope = (ch_rope_fn *)ch_kernel_at(op->kernel)->fn;
    ch_kv_store_fn *store = (ch_kv_store_fn *)ch_kernel_at(op->kernel2)->fn;
    const ch_hparams *hp = &x->weights->hp;
    int32_t pairs = hp->rope_dims / 2, per_kv = hp->heads / hp->kv_heads, count = h1 - h0;
    size_t kd = (size_t)hp->key_dim, vd = (size_t)hp->value_dim, kv_heads = (size_t)hp->kv_heads;
    bool neox = x->weights->arch->rope_neox;
    const float *c = exec_f32(x, x->plan->graph.rope_table) + (size_t)t * 2 * (size_t)pairs;
    float *q = exec_f32(x, op->in) + (size_t)t * (size_t)op->k + (size_t)(h0 * per_kv) * kd;
    float *k = exec_f32(x, op->in2) + ((size_t)t * kv_heads + (size_t)h0) * kd;
    float *v = exec_f32(x, op->in3) + ((size_t)t * kv_heads + (size_t)h0) * vd;
    rope(q, count * per_kv, hp->key_dim, pairs, neox, c, c + pairs,
         1.0f / sqrtf((float)hp->key_dim));
    rope(k, count, hp->key_dim, pairs, neox, c, c + pairs, 1.0f);
    for (int32_t h = 0; h < count; h++)
        store(k + (size_t)h * kd, v + (size_t)h * vd, hp->key_dim, hp->value_dim, x->plan->capacity,
              x->position + t, exec_keys(x, op->block, h0 + h), exec_values(x, op->block, h0 + h));
}

static void exec_rope(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    exec_share s = exec_share_open(x, index, lane, x->n, 1);
    for (int32_t t = 0, end = 0; exec_share_next(&s, &t, &end);)
        for (; t < end; t++) exec_rope_heads(x, op, t, 0, x->weights->hp.kv_heads);
}

// Unit = (KV head, part of its query heads, tile of tokens). A tile fills the rows that the kernel
// takes at a time; query heads are parted only where there would be too few units for the lanes.
static void exec_attention(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    ch_attn_fn *attend = (ch_attn_fn *)ch_kernel_at(op->kernel)->fn;
    const ch_hparams *hp = &x->weights->hp;
    int32_t per_kv = hp->heads / hp->kv_heads, tile = CH_MAX(1, CH_ATTN_ROWS / per_kv);
    int32_t m = exec_rows(x, op), tiles = ch_ceil_div(m, tile), whole = hp->kv_heads * tiles;
    int32_t parts = CH_MIN(per_kv, CH_MAX(1, ch_ceil_div(x->lanes->active, whole)));
    ch_attn_args a;
    a.q_stride = (size_t)hp->heads * (size_t)hp->key_dim;
    a.q = exec_f32(x, op->in) + (size_t)(x->n - m) * a.q_stride;
    a.capacity = x->plan->capacity;
    a.y = exec_f32(x, op->out);
    a.y_stride = (size_t)op->k;
    a.head_dim = hp->key_dim;
    a.value_dim = hp->value_dim;
    a.pos0 = x->position + x->n - m;
    a.window = 0;
    a.scratch = exec_scratch(x, lane);
    exec_share s = exec_share_open(x, index, lane, whole * parts, 1);
    for (int32_t u = 0, end = 0; exec_share_next(&s, &u, &end);) {
        int32_t part = u % parts, t = u / parts % tiles * tile, kv = u / parts / tiles;
        if (exec_later(x, op - 1)) {
            exec_worked(x, lane, index); // the unit before
            exec_rope_heads(x, op - 1, 0, kv, kv + 1);
            exec_worked(x, lane, index - 1);
        }
        a.k_cache = exec_keys(x, op->block, kv);
        a.v_cache = exec_values(x, op->block, kv);
        attend(&a, kv * per_kv + per_kv * part / parts, kv * per_kv + per_kv * (part + 1) / parts,
               t, CH_MIN(t + tile, m));
    }
}

// ---- the walk

static void exec_op(ch_exec *x, const ch_op *op, int32_t index, int32_t lane) {
    switch ((ch_op_kind)op->kind) {
    case CH_OP_ROPE_TABLE:
        exec_rope_table(x, op, index, lane);
        break;
    case CH_OP_EMBED:
        exec_embed(x, op, index, lane);
        break;
    case CH_OP_NORM:
        exec_norm(x, op, index, lane);
        break;
    case CH_OP_MATMUL:
        exec_matmul(x, op, index, lane);
        break;
    case CH_OP_ROPE:
        exec_rope(x, op, index, lane);
        break;
    case CH_OP_ATTENTION:
        exec_attention(x, op, index, lane);
        break;
    case CH_OP_GLU:
        if (exec_later(x, op - 1)) {
            exec_glu_tiles(x, op, index, lane);
            break;
        }
        // fall through
    case CH_OP_QUANTIZE:
        exec_glu_quantize(x, op, index, lane);
        break;
    case CH_OP_KIND_COUNT:
        break;
    }
}

// Whether lane 0 asks after this op if to go on: at the end of each block of a prefill. The answer
// is set before the barrier and read after it, at these ops only: were it read after every barrier,
// a lane that is late from one could see the answer that belongs to the next.
static bool exec_asks(const ch_exec *x, const ch_op *op) {
    return op->place == CH_PLACE_FFN_DOWN && x->on_progress && x->n > CH_MATVEC_COLUMNS;
}

// Shares out the time since the last barrier among the ops from there up to `end`. Lane 0 does so
// behind the barrier: what the other lanes took for these ops stands there until the next step.
static void exec_share_out(ch_exec *x, int32_t end) {
    double now = ch_os_seconds(), wall = now - x->opened, all = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = x->opened_op; i < end; i++) {
            double worked = 0;
            if (exec_rows(x, &x->ops[i]) == 0) continue;
            for (int32_t lane = 0; lane < x->lanes->count; lane++) worked += exec_times(x, lane)[i];
            if (pass == 0) all += worked;
            if (pass == 1 && all > 0) exec_times(x, x->lanes->count)[i] += wall * worked / all;
        }
    x->opened = now;
    x->opened_op = end;
}

static void exec_lane(void *user, int32_t lane) {
    ch_exec *x = (ch_exec *)user;
    exec_worked(x, lane, -1);
    for (int32_t i = 0; i < x->plan->size.op_count; i++) {
        const ch_op *op = &x->ops[i];
        bool left_out = exec_rows(x, op) == 0, asks = exec_asks(x, op);
        if (left_out && !asks) continue;
        if (exec_later(x, op)) continue;
        if (!left_out) {
            exec_op(x, op, i, lane);
            exec_worked(x, lane, i);
        }
        if (!op->barrier || (op->own && exec_alone(x, op))) continue;
        if (lane == 0 && asks) {
            int64_t part = (int64_t)x->n * (op->block + 1) / x->weights->hp.blocks;
            if (x->on_progress(x->user, x->done + (int32_t)part, x->total))
                CH_STORE_RELAXED(&x->stop, 1u);
        }
        ch_lanes_barrier(x->lanes, exec_ahead(x, i, lane));
        if (x->profile && lane == 0) exec_share_out(x, i + 1);
        exec_worked(x, lane, -1);
        if (asks && CH_LOAD_RELAXED(&x->stop)) return;
    }
}

CH_FN bool ch_exec_step(ch_exec *x) {
    memset(x->cursors, 0,
           (size_t)x->plan->size.op_count * (size_t)x->lanes->count * sizeof(ch_cursor));
    x->stop = 0;
    x->opened_op = 0;
    if (x->profile) {
        memset(x->profile, 0, (size_t)x->lanes->count * x->plan->profile_bytes);
        x->opened = ch_os_seconds();
    }
    if (x->n > CH_MATVEC_COLUMNS)
        ch_lanes_run(x->lanes, exec_lane, x);
    else
        ch_lanes_run_step(x->lanes, x->n == 1, exec_lane, x);
    if (x->profile) exec_share_out(x, x->plan->size.op_count);
    return x->stop == 0;
}

CH_FN double ch_exec_op_seconds(const ch_exec *x, int32_t i) {
    return x->profile ? exec_times(x, x->lanes->count)[i] : 0;
}
