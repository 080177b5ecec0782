// bench, cases: see bench_cases.h.
#include "bench_cases.h"

#include "../arena/os.h"

#include <stdio.h>

enum {
    CASE_CACHE = 256 << 10, // bytes of weights that a cache holds
    CASE_K = 2048,          // of a matrix
    CASE_ROW = 4096,        // of what works on rows
    CASE_DIM = 128,         // of a head
    CASE_HEADS = 32,
    CASE_POSITIONS = 2048
};

// ---- memory and contents

static uint8_t *case_slot(bench_case_memory *memory, int slot, size_t bytes) {
    if (memory->bytes[slot] < bytes) {
        ch_os_memory_release(memory->slot[slot], memory->bytes[slot]);
        memory->bytes[slot] = 0;
        if (slot == 0) memory->filled = 0;
        memory->slot[slot] = (uint8_t *)ch_os_memory_take(bytes);
        if (memory->slot[slot]) memory->bytes[slot] = bytes;
    }
    return memory->slot[slot];
}

void bench_case_release(bench_case_memory *memory) {
    for (int i = 0; i < BENCH_CASE_SLOTS; i++)
        ch_os_memory_release(memory->slot[i], memory->bytes[i]);
    memset(memory, 0, sizeof *memory);
}

// Slot 0, with bytes from 0x2c to 0x3b: whatever is read from them as a float of 16 or 32 bits is
// an ordinary number, small and positive. NULL: no memory.
static uint8_t *case_filled(bench_case_memory *memory, size_t bytes) {
    uint8_t *p = case_slot(memory, 0, bytes);
    if (!p || memory->filled >= bytes) return p;
    uint64_t state = 88172645463325252u; // xorshift64 (G. Marsaglia, 2003)
    size_t first = CH_MIN(bytes, (size_t)1 << 16);
    for (size_t i = 0; i < first; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        p[i] = (uint8_t)(0x2c + (state >> 60));
    }
    for (size_t at = first; at < bytes; at += first) memcpy(p + at, p, CH_MIN(first, bytes - at));
    memory->filled = bytes;
    return p;
}

static float *case_floats(bench_case_memory *memory, int slot, size_t count) {
    float *x = (float *)(void *)case_slot(memory, slot, count * sizeof *x);
    for (size_t i = 0; x && i < count; i++) x[i] = (float)((int32_t)(i * 37 % 201) - 100) * 0.01f;
    return x;
}

// How many rows of `bytes` a case works on: one, or as many as memory's share has room for.
static int32_t case_rows(const bench_case *c, size_t memory_bytes, size_t bytes) {
    return c->memory ? (int32_t)(memory_bytes / bytes) : 1;
}

// ---- matvec and gemm

static void case_mm(const bench_case *c, ch_any_fn *fn) {
    ((ch_mm_fn *)fn)(&c->mm, 0, c->mm.rows);
}

static bool case_make_mm(const ch_kernel *kernel, int32_t n, size_t weight_bytes,
                         bench_case_memory *memory, bench_case *c) {
    ch_type type = (ch_type)kernel->variant;
    bool rounded = kernel->family == CH_FAMILY_BGEMM;
    int32_t group = rounded ? CH_BGROUP : kernel->family == CH_FAMILY_GEMM ? CH_GROUP : 1;
    int32_t records = ch_ceil_div(n, group);
    ch_mm_args *a = &c->mm;
    a->k = CASE_K;
    a->n = n;
    a->w_stride = ch_row_bytes(type, a->k);
    a->rows = (int32_t)(weight_bytes / a->w_stride / CH_GEMM_ROWS * CH_GEMM_ROWS);
    a->rows = CH_MAX(a->rows, CH_GEMM_ROWS);
    size_t bytes = (size_t)a->rows * a->w_stride;
    size_t record = rounded ? ch_b16_bytes(a->k) : ch_q8_bytes(a->k, group);
    uint8_t *w = case_filled(memory, bytes), *q = case_slot(memory, 2, (size_t)records * record),
            *scratch = case_slot(memory, 4, CH_MAX(ch_gemm_scratch_bytes(a->k), CH_BGEMM_SCRATCH));
    float *x = case_floats(memory, 1, (size_t)n * CASE_K),
          *y = (float *)(void *)case_slot(memory, 3, (size_t)a->rows * (size_t)n * sizeof *y);
    if (!w || !q || !scratch || !x || !y) return false;
    a->w = w;
    a->x = (const uint8_t *)x;
    a->x_stride = CASE_K * sizeof *x;
    if (rounded || ch_type_get(type)->activation == CH_ACTIVATION_Q8) {
        ch_quantize_fn *make = rounded ? ch_round_bf16__c : ch_quantize_q8__c;
        for (int32_t r = 0; r < records; r++)
            make(x + (size_t)r * (size_t)group * CASE_K, CASE_K, CH_MIN(group, n - r * group),
                 CASE_K, group, q + (size_t)r * record, 0, CASE_K / 32);
        a->x = q;
        a->x_stride = record;
    }
    a->y = y;
    a->y_stride = (size_t)a->rows;
    a->scratch = scratch;
    c->call = case_mm;
    c->bytes = (double)bytes;
    c->macs = c->weights = (double)a->rows * a->k * n;
    snprintf(c->what, sizeof c->what, "%s n=%d", c->memory ? "memory" : "cache", (int)n);
    return true;
}

// The columns of case i.
static bool case_matmul(const ch_kernel *kernel, int32_t i, int32_t columns, size_t memory_bytes,
                        bench_case_memory *memory, bench_case *c) {
    static const int32_t usual[] = {1, 4, 8};
    bool gemm = kernel->family != CH_FAMILY_MATVEC;
    int32_t each = gemm || columns > 0 ? 1 : (int32_t)CH_COUNT(usual);
    // The reference is slow: it gets few columns. From memory one column, or a group, says all:
    // with more, arithmetic decides.
    c->memory = i == each;
    if (i > each || (c->memory && memory_bytes == 0)) return false;
    int32_t n = !gemm ? (c->memory ? 1 : usual[i]) : c->memory || kernel->cpu == 0 ? CH_GROUP : 512;
    if (columns > 0) n = gemm ? columns : CH_MIN(columns, CH_MATVEC_COLUMNS);
    return case_make_mm(kernel, n, c->memory ? memory_bytes : CASE_CACHE, memory, c);
}

// ---- rows

static void case_quantize(const bench_case *c, ch_any_fn *fn) {
    for (int32_t r = 0; r < c->rows; r++)
        ((ch_quantize_fn *)fn)(c->x + (size_t)r * c->stride, (size_t)c->k, c->group, c->k, c->group,
                               c->to, 0, c->k / 32);
}

static void case_dequantize(const bench_case *c, ch_any_fn *fn) {
    for (int32_t r = 0; r < c->rows; r++)
        ((ch_dequantize_fn *)fn)(c->from + (size_t)r * c->row_bytes, c->y, c->k);
}

static void case_rmsnorm(const bench_case *c, ch_any_fn *fn) {
    for (int32_t r = 0; r < c->rows; r++)
        ((ch_rmsnorm_fn *)fn)(c->x + (size_t)r * c->stride, c->x2, 1e-5f, c->k, c->y);
}

static void case_glu(const bench_case *c, ch_any_fn *fn) {
    for (int32_t r = 0; r < c->rows; r++)
        ((ch_glu_fn *)fn)(c->x + (size_t)r * c->stride, c->x + (size_t)r * c->stride + c->k, c->k,
                          c->y);
}

static void case_rope(const bench_case *c, ch_any_fn *fn) {
    for (int32_t r = 0; r < c->rows; r++)
        ((ch_rope_fn *)fn)(c->y + (size_t)r * c->stride, CASE_HEADS, CASE_DIM, CASE_DIM / 2,
                           c->neox, c->cosines, c->sines, 1.0f);
}

static void case_kv_store(const bench_case *c, ch_any_fn *fn) {
    for (int32_t r = 0; r < c->rows; r++)
        ((ch_kv_store_fn *)fn)(c->x + (size_t)r * c->stride, c->x + (size_t)r * c->stride + c->k,
                               c->k, c->k, CASE_POSITIONS, r % CASE_POSITIONS, c->to, c->to2);
}

static bool case_rows_of_floats(const ch_kernel *kernel, int32_t i, size_t memory_bytes,
                                bench_case_memory *memory, bench_case *c) {
    // Variants of a family: groups of a record, pairs of a rotation.
    bool rounded = kernel->family == CH_FAMILY_QUANTIZE && kernel->variant == CH_RECORD_BF16;
    bool two =
        (kernel->family == CH_FAMILY_QUANTIZE && !rounded) || kernel->family == CH_FAMILY_ROPE;
    int32_t variants = two ? 2 : 1, variant = i % variants;
    static void (*const calls[CH_FAMILY_COUNT])(const bench_case *, ch_any_fn *) = {
        [CH_FAMILY_QUANTIZE] = case_quantize, [CH_FAMILY_RMSNORM] = case_rmsnorm,
        [CH_FAMILY_GLU] = case_glu,           [CH_FAMILY_ROPE] = case_rope,
        [CH_FAMILY_KV_STORE] = case_kv_store,
    };
    c->memory = i >= variants;
    if (i >= 2 * variants || (c->memory && memory_bytes == 0)) return false;
    c->call = calls[kernel->family];
    c->k = kernel->family == CH_FAMILY_QUANTIZE   ? CASE_K
           : kernel->family == CH_FAMILY_KV_STORE ? CASE_DIM
                                                  : CASE_ROW;
    c->group = rounded ? CH_BGROUP : variant == 0 ? 1 : CH_GROUP;
    c->neox = variant == 1;
    size_t floats = (size_t)c->k;
    if (kernel->family == CH_FAMILY_QUANTIZE) floats *= (size_t)c->group;
    if (kernel->family == CH_FAMILY_GLU || kernel->family == CH_FAMILY_KV_STORE) floats *= 2;
    c->stride = floats;
    c->rows = case_rows(c, memory_bytes, floats * sizeof(float));
    float *x = (float *)(void *)case_filled(memory, floats * (size_t)c->rows * sizeof *x),
          *y = case_floats(memory, 3, CASE_ROW * 2);
    c->to = case_slot(memory, 2,
                      ch_b16_bytes(CASE_K) + ch_kv_bytes(CH_KV_F32, CASE_DIM, CASE_POSITIONS));
    c->to2 = case_slot(memory, 5, ch_kv_bytes(CH_KV_F32, CASE_DIM, CASE_POSITIONS));
    if (!x || !y || !c->to || !c->to2) return false;
    c->x = x;
    c->x2 = c->cosines = y + CASE_ROW;
    c->sines = c->cosines + CASE_DIM / 2;
    c->y = y;
    if (kernel->family == CH_FAMILY_ROPE) {
        // In place, again and again: a rotation keeps the numbers ordinary, but other ones.
        c->y = x;
        memory->filled = 0;
        for (int32_t j = 0; j < CASE_DIM / 2; j++) {
            y[CASE_ROW + j] = 0.6f;
            y[CASE_ROW + CASE_DIM / 2 + j] = 0.8f;
        }
    }
    c->bytes = (double)floats * sizeof(float) * c->rows;
    if (kernel->family == CH_FAMILY_ROPE) c->bytes *= 2; // read and written
    snprintf(c->what, sizeof c->what, "%s%s", c->memory ? "memory" : "cache",
             !two                                   ? ""
             : kernel->family == CH_FAMILY_QUANTIZE ? (variant ? " group=8" : " group=1")
                                                    : (variant ? " halves" : " neighbours"));
    return true;
}

static bool case_make_dequantize(const ch_kernel *kernel, int32_t i, size_t memory_bytes,
                                 bench_case_memory *memory, bench_case *c) {
    c->memory = i == 1;
    if (i > 1 || (c->memory && memory_bytes == 0)) return false;
    c->call = case_dequantize;
    c->k = CASE_ROW;
    c->row_bytes = ch_row_bytes((ch_type)kernel->variant, c->k);
    c->rows = case_rows(c, memory_bytes, c->row_bytes);
    size_t bytes = c->row_bytes * (size_t)c->rows;
    uint8_t *from = case_filled(memory, bytes);
    c->y = case_floats(memory, 3, CASE_ROW);
    if (!from || !c->y) return false;
    c->from = from;
    c->bytes = (double)bytes;
    snprintf(c->what, sizeof c->what, "%s", c->memory ? "memory" : "cache");
    return true;
}

// ---- attention

// 4 heads that share a cache; from memory, one cache after the other.
static void case_attention(const bench_case *c, ch_any_fn *fn) {
    ch_attn_args a = c->attn;
    for (int32_t r = 0; r < c->rows; r++) {
        a.k_cache = c->from + (size_t)r * c->stride;
        a.v_cache = a.k_cache + c->stride / 2;
        ((ch_attn_fn *)fn)(&a, 0, 4, 0, c->tokens);
    }
}

// Slot 0, with `rows` times the keys and values of all positions, `half` bytes each; x are floats
// of one head. NULL: no memory.
static uint8_t *case_cache(ch_kv_type type, int32_t positions, size_t half, int32_t rows,
                           const float *x, bench_case_memory *memory) {
    uint8_t *p = case_slot(memory, 0, 2 * half * (size_t)rows);
    memory->filled = 0;
    if (!p || !x) return NULL;
    ch_kv_store_fn *store = (ch_kv_store_fn *)(uintptr_t)ch_kernel_at(
                                ch_kernel_find(CH_FAMILY_KV_STORE, (int32_t)type, 0))
                                ->fn;
    for (int32_t i = 0; i < positions; i++)
        store(x, x, CASE_DIM, CASE_DIM, positions, i, p, p + half);
    for (int32_t r = 1; r < rows; r++) memcpy(p + 2 * half * (size_t)r, p, 2 * half);
    return p;
}

static bool case_make_attention(const ch_kernel *kernel, int32_t i, size_t memory_bytes,
                                bench_case_memory *memory, bench_case *c) {
    static const int32_t tokens[] = {1, 64, 1}, positions[] = {256, 2048, 2048};
    c->memory = i == 2;
    if (i > 2 || (c->memory && memory_bytes == 0)) return false;
    c->call = case_attention;
    c->tokens = tokens[i];
    c->positions = positions[i];
    size_t half =
        ch_round_up(ch_kv_bytes((ch_kv_type)kernel->variant, CASE_DIM, c->positions), CH_ALIGN);
    c->stride = 2 * half;
    c->rows = case_rows(c, memory_bytes, c->stride);
    size_t row = 4 * CASE_DIM, bytes = c->stride * (size_t)c->rows;
    c->attn.q = case_floats(memory, 1, row * (size_t)c->tokens);
    uint8_t *cache =
        case_cache((ch_kv_type)kernel->variant, c->positions, half, c->rows, c->attn.q, memory);
    c->attn.y = case_floats(memory, 3, row * (size_t)c->tokens);
    c->attn.scratch = case_slot(memory, 4, ch_attn_scratch_bytes(CASE_DIM, CASE_DIM));
    if (!cache || !c->attn.q || !c->attn.y || !c->attn.scratch) return false;
    c->from = cache;
    c->attn.q_stride = c->attn.y_stride = row;
    c->attn.capacity = c->positions;
    c->attn.head_dim = c->attn.value_dim = CASE_DIM;
    c->attn.pos0 = c->positions - c->tokens;
    // A token sees those before it and itself; two products for each, of a key and of a value.
    double seen = c->tokens * (c->positions - (c->tokens - 1) / 2.0);
    c->bytes = (double)bytes;
    c->macs = 2.0 * CASE_DIM * 4 * seen * c->rows;
    snprintf(c->what, sizeof c->what, "%s %d positions, %d", c->memory ? "memory" : "cache",
             (int)c->positions, (int)c->tokens);
    return true;
}

// ---- the roof

static void case_read(const bench_case *c, ch_any_fn *fn) {
    (void)((ch_roof_read_fn *)fn)(c->from, c->row_bytes);
}

static void case_peak(const bench_case *c, ch_any_fn *fn) {
    int64_t sum = 0;
    (void)((ch_roof_peak_fn *)fn)(c->k, &sum);
}

static bool case_make_roof(const ch_kernel *kernel, int32_t i, size_t memory_bytes,
                           bench_case_memory *memory, bench_case *c) {
    if (kernel->family == CH_FAMILY_ROOF_PEAK) {
        int64_t sum = 0;
        c->call = case_peak;
        c->k = 4096;
        c->macs = (double)((ch_roof_peak_fn *)kernel->fn)(c->k, &sum);
        snprintf(c->what, sizeof c->what, "registers");
        return i == 0;
    }
    c->memory = i == 1;
    if (i > 1 || (c->memory && memory_bytes == 0)) return false;
    c->call = case_read;
    c->row_bytes = (c->memory ? memory_bytes : CASE_CACHE) / CH_ROOF_UNIT * CH_ROOF_UNIT;
    uint8_t *from = case_filled(memory, c->row_bytes);
    if (!from) return false;
    c->from = from;
    c->bytes = (double)c->row_bytes;
    snprintf(c->what, sizeof c->what, "%s", c->memory ? "memory" : "cache");
    return true;
}

bool bench_case_make(const ch_kernel *kernel, int32_t i, int32_t columns, size_t memory_bytes,
                     bench_case_memory *memory, bench_case *c) {
    memset(c, 0, sizeof *c);
    if (kernel->cpu == 0) memory_bytes = 0;
    switch (kernel->family) {
    case CH_FAMILY_MATVEC:
    case CH_FAMILY_GEMM:
    case CH_FAMILY_BGEMM:
        return case_matmul(kernel, i, columns, memory_bytes, memory, c);
    case CH_FAMILY_DEQUANTIZE:
        return case_make_dequantize(kernel, i, memory_bytes, memory, c);
    case CH_FAMILY_ATTENTION:
        // Without a case from memory the two from the cache are all there are.
        return case_make_attention(kernel, i, memory_bytes, memory, c);
    case CH_FAMILY_ROOF_READ:
    case CH_FAMILY_ROOF_PEAK:
        return case_make_roof(kernel, i, memory_bytes, memory, c);
    case CH_FAMILY_QUANTIZE:
    case CH_FAMILY_RMSNORM:
    case CH_FAMILY_GLU:
    case CH_FAMILY_ROPE:
    case CH_FAMILY_KV_STORE:
        return case_rows_of_floats(kernel, i, memory_bytes, memory, c);
    case CH_FAMILY_COUNT:
        break;
    }
    return false;
}
