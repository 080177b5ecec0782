// checkkern, matrix part: weights of every type with ordinary and hostile bits, and the cases of
// the families matvec, gemm and quantize.
//
// Invariants: the rows that a case may read end at a guard page, or start after one; so do x, y,
// bias, add and scratch. Rows outside of row0..row1 lie in the guard page where that is possible.
#ifndef CHECKKERN_MATMUL_H
#define CHECKKERN_MATMUL_H

#include "checkkern.h"

// ---- weights

typedef enum ck_weights {
    CK_W_RANDOM,   // random bits, ordinary scales
    CK_W_ONES,     // every bit of every quant and integer scale is 1
    CK_W_NULLS,    // ... is 0
    CK_W_EXTREMES, // bytes 0x00, 0x7f, 0x80 or 0xff, scales up to the largest half
    CK_W_SPARSE,   // blocks of zero bytes among random ones, scales of -0
    CK_W_SPECIALS, // scales that are NaN, infinite, subnormal
    CK_WEIGHTS_COUNT
} ck_weights;

static const char *const ck_weights_names[CK_WEIGHTS_COUNT] = {"random",   "ones",   "nulls",
                                                               "extremes", "sparse", "specials"};

// Byte offsets of a block's halves (scale and minimum); returns how many there are.
static int ck_half_offsets(ch_type type, size_t at[2]) {
    at[0] = 0;
    at[1] = 2;
    switch (type) {
    case CH_TYPE_Q4_1:
    case CH_TYPE_Q5_1:
    case CH_TYPE_Q4_K:
    case CH_TYPE_Q5_K:
        return 2;
    case CH_TYPE_Q2_K:
        at[0] = offsetof(ch_block_q2_k, d);
        at[1] = offsetof(ch_block_q2_k, dmin);
        return 2;
    case CH_TYPE_Q3_K:
        at[0] = offsetof(ch_block_q3_k, d);
        return 1;
    case CH_TYPE_Q6_K:
        at[0] = offsetof(ch_block_q6_k, d);
        return 1;
    default:
        return 1;
    }
}

static uint16_t ck_scale_half(ck_weights kind) {
    static const uint16_t specials[] = {0x7e00, 0xfe01, 0x7c00, 0xfc00, 0x0001, 0x83ff,
                                        0x0000, 0x8000, 0x7bff, 0xfbff, 0x0400, 0x7c01};
    switch (kind) {
    case CK_W_ONES:
        return ck_one_in(4) ? 0xbc00 : 0x3c00;
    case CK_W_EXTREMES:
        return ck_one_in(2) ? 0x7bff : 0xfbff;
    case CK_W_SPARSE:
        if (ck_one_in(4)) return 0x8000;
        break;
    case CK_W_SPECIALS:
        if (ck_one_in(6)) return specials[ck_below((int32_t)CH_COUNT(specials))];
        break;
    default:
        break;
    }
    return ch_f16_from_f32(ck_bell() * 0.02f);
}

static void ck_fill_quants(uint8_t *w, size_t blocks, ch_type type, ck_weights kind) {
    size_t bytes = ch_type_get(type)->block_bytes, at[2];
    int halves = ck_half_offsets(type, at);
    for (size_t b = 0; b < blocks; b++, w += bytes) {
        if (kind == CK_W_ONES || kind == CK_W_NULLS)
            memset(w, kind == CK_W_ONES ? 0xff : 0x00, bytes);
        else
            ck_random_bytes(w, bytes);
        if (kind == CK_W_EXTREMES)
            for (size_t i = 0; i < bytes; i++)
                w[i] = (uint8_t)((w[i] & 1 ? 0xff : 0x00) ^ (w[i] & 6 ? 0x00 : 0x80));
        for (int i = 0; i < halves; i++) {
            uint16_t half = ck_scale_half(kind);
            memcpy(w + at[i], &half, 2);
        }
        if (kind == CK_W_SPARSE && ck_one_in(3)) memset(w, 0, bytes);
    }
}

static void ck_fill_float_weights(uint8_t *w, size_t n, ch_type type, ck_weights kind) {
    static const ck_floats floats[CK_WEIGHTS_COUNT] = {CK_BELL,  CK_PLUS,  CK_ZEROS,
                                                       CK_RANGE, CK_ZEROS, CK_SPECIALS};
    for (size_t i = 0; i < n; i += 32) {
        float x[32];
        ck_fill_floats(x, 32, floats[kind]);
        for (size_t j = 0; j < 32 && i + j < n; j++) {
            uint16_t half = type == CH_TYPE_F16 ? ch_f16_from_f32(x[j])
                                                : (uint16_t)(ch_bits_from_f32(x[j]) >> 16);
            if (type == CH_TYPE_F32)
                memcpy(w + 4 * (i + j), &x[j], 4);
            else
                memcpy(w + 2 * (i + j), &half, 2);
        }
    }
}

static bool ck_is_float_type(ch_type type) {
    return ch_type_get(type)->activation == CH_ACTIVATION_F32;
}

static void ck_fill_weights(uint8_t *w, size_t rows, int32_t k, ch_type type, ck_weights kind) {
    if (ck_is_float_type(type))
        ck_fill_float_weights(w, rows * (size_t)k, type, kind);
    else
        ck_fill_quants(w, rows * (size_t)k / ch_type_get(type)->block_elements, type, kind);
}

// ---- activations

// n columns of k floats quantized by the C reference into records of `group`, x_stride apart.
static void ck_quantize(const float *x, int32_t n, int32_t k, int32_t group, uint8_t *records,
                        size_t x_stride) {
    for (int32_t c = 0; c < n; c += group)
        ch_quantize_q8__c(x + (size_t)c * (size_t)k, (size_t)k, CH_MIN(group, n - c), k, group,
                          records + (size_t)(c / group) * x_stride, 0, k / 32);
}

// The same, rounded.
static void ck_round(const float *x, int32_t n, int32_t k, uint8_t *records, size_t x_stride) {
    for (int32_t c = 0; c < n; c += CH_BGROUP)
        ch_round_bf16__c(x + (size_t)c * (size_t)k, (size_t)k, CH_MIN(CH_BGROUP, n - c), k,
                         CH_BGROUP, records + (size_t)(c / CH_BGROUP) * x_stride, 0,
                         ch_ceil_div(k, 32));
}

// ---- matvec, gemm and bgemm

#define CK_MAX_ROWS 100
#define CK_MAX_N    104
#define CK_MAX_K    4096

typedef struct ck_mm_case {
    ch_mm_args a;
    int32_t row0, row1;
    ch_type type;
    ck_weights weights;
    ck_floats floats;
    bool front; // weights stand at the start of the mapping
} ck_mm_case;

static void ck_mm_call(ch_any_fn *fn, const void *arg) {
    const ck_mm_case *c = (const ck_mm_case *)arg;
    ((ch_mm_fn *)fn)(&c->a, c->row0, c->row1);
}

static void ck_mm_describe(const void *arg, char *text, size_t size) {
    const ck_mm_case *c = (const ck_mm_case *)arg;
    const ch_mm_args *a = &c->a;
    snprintf(text, size,
             "k=%d, rows=%d, n=%d, row0=%d, row1=%d, w_stride=%zu, x_stride=%zu, y_stride=%zu%s%s, "
             "weights %s at the %s of their mapping, x %s",
             a->k, a->rows, a->n, c->row0, c->row1, a->w_stride, a->x_stride, a->y_stride,
             a->bias ? ", bias" : "",
             !a->add          ? ""
             : a->add == a->y ? ", add=y"
                              : ", add",
             ck_weights_names[c->weights], c->front ? "start" : "end", ck_floats_names[c->floats]);
}

static void ck_mm_where(const void *arg, int out, int64_t i, char *text, size_t size) {
    const ck_mm_case *c = (const ck_mm_case *)arg;
    (void)out;
    int64_t stride = (int64_t)c->a.y_stride, col = i >= 0 ? i / stride : -1;
    int64_t row = i - col * stride;
    bool inside = i >= 0 && col < c->a.n && row >= c->row0 && row < c->row1;
    snprintf(text, size, "%srow %lld col %lld", inside ? "" : "written outside: ", (long long)row,
             (long long)col);
}

// What stays the same over the cases of one k and pattern.
typedef struct ck_mm_set {
    ck_group *group;
    ch_type type;
    ck_weights weights;
    ck_floats floats;
    int32_t k;
    bool gemm, rounded; // of bgemm both
    const float *x;     // CK_MAX_N rows of k floats
    size_t w_bytes;     // of both weight mappings
} ck_mm_set;

static float ck_x[CK_MAX_N * CK_MAX_K];

// Weights for twice CK_MAX_ROWS rows, the same bytes at the end of one mapping and at the start of
// the other.
static void ck_mm_prepare(ck_mm_set *s) {
    s->w_bytes = 2 * CK_MAX_ROWS * ch_row_bytes(s->type, s->k);
    uint8_t *end = ck_at_end(CK_W_END, s->w_bytes), *front = ck_at_start(CK_W_FRONT, s->w_bytes);
    ck_fill_weights(end, 2 * CK_MAX_ROWS, s->k, s->type, s->weights);
    memcpy(front, end, s->w_bytes);
    ck_fill_floats(ck_x, (size_t)CK_MAX_N * (size_t)s->k, s->floats);
    s->x = ck_x;
}

// Puts the activations of n columns before the guard page.
static void ck_mm_place_x(const ck_mm_set *s, int32_t n, ch_mm_args *a) {
    size_t k = (size_t)s->k;
    if (s->rounded) {
        a->x_stride = ch_b16_bytes(s->k) + (ck_one_in(4) ? 2 * CH_ALIGN : 0);
        size_t bytes = (size_t)(ch_ceil_div(n, CH_BGROUP) - 1) * a->x_stride + ch_b16_bytes(s->k);
        uint8_t *x = ck_at_end(CK_X, bytes);
        memset(x, 0xff, bytes);
        ck_round(s->x, n, s->k, x, a->x_stride);
        a->x = x;
        return;
    }
    if (ck_is_float_type(s->type)) {
        a->x_stride = 4 * (k + (ck_one_in(2) ? 0 : (size_t)ck_below(9)));
        size_t bytes = (size_t)(n - 1) * a->x_stride + 4 * k;
        uint8_t *x = ck_at_end(CK_X, bytes);
        memset(x, 0xff, bytes);
        for (int32_t c = 0; c < n; c++)
            memcpy(x + (size_t)c * a->x_stride, s->x + (size_t)c * k, 4 * k);
        a->x = x;
        return;
    }
    int32_t group = s->gemm ? CH_GROUP : 1;
    a->x_stride = ch_q8_bytes(s->k, group) + (ck_one_in(4) ? 2 * CH_ALIGN : 0);
    size_t bytes = (size_t)(ch_ceil_div(n, group) - 1) * a->x_stride + ch_q8_bytes(s->k, group);
    uint8_t *x = ck_at_end(CK_X, bytes);
    memset(x, 0xff, bytes);
    ck_quantize(s->x, n, s->k, group, x, a->x_stride);
    a->x = x;
}

// Chooses the rows, and puts w so that they touch a guard page.
static void ck_mm_place_w(const ck_mm_set *s, ck_mm_case *c) {
    size_t row_bytes = ch_row_bytes(s->type, s->k);
    int32_t units = (c->a.rows + CH_ROW_UNIT - 1) / CH_ROW_UNIT;
    c->row0 = 0;
    c->row1 = c->a.rows;
    if (units > 1 && ck_one_in(3)) {
        c->row0 = CH_ROW_UNIT * ck_below(units);
        c->row1 = c->row0 + CH_ROW_UNIT * (1 + ck_below(units - c->row0 / CH_ROW_UNIT));
        c->row1 = CH_MIN(c->row1, c->a.rows);
    }
    c->a.w_stride = row_bytes * (ck_one_in(5) ? 2 : 1);
    c->front = ck_one_in(3);
    if (c->front)
        c->a.w = ck_at_start(CK_W_FRONT, s->w_bytes) - (size_t)c->row0 * c->a.w_stride;
    else
        c->a.w = ck_at_end(CK_W_END, 0) - row_bytes - (size_t)(c->row1 - 1) * c->a.w_stride;
}

// Fills y's mapping and chooses where in it y stands, and the epilogue.
static void ck_mm_place_y(ck_mm_case *c, ck_case *k) {
    ch_mm_args *a = &c->a;
    a->y_stride = (size_t)a->rows + (ck_one_in(2) ? 0 : (size_t)ck_below(20));
    size_t bytes = ((size_t)(a->n - 1) * a->y_stride + (size_t)a->rows) * 4, slack = CK_RED_ZONE;
    bool front = ck_one_in(4);
    uint8_t *p = front ? ck_at_start(CK_Y, bytes + slack) : ck_at_end(CK_Y, bytes + slack);
    ck_fill_floats((float *)(void *)p, (bytes + slack) / 4, CK_BELL);
    a->y = (float *)(void *)(front ? p : p + slack);
    k->out[0].name = NULL;
    k->out[0].p = p;
    k->out[0].bytes = bytes + slack;
    k->out[0].kind = CK_F32;
    k->out[0].origin = front ? 0 : slack;
    k->outs = 1;
    a->bias = NULL;
    a->add = NULL;
    if (ck_one_in(2)) {
        // Rows before row0 of the bias are real, those from row1 on are beyond the guard.
        float *bias = (float *)(void *)ck_at_end(CK_BIAS, (size_t)c->row1 * 4);
        ck_fill_floats(bias, (size_t)c->row1, c->floats == CK_SPECIALS ? CK_SPECIALS : CK_BELL);
        a->bias = bias;
    }
    int32_t add = ck_below(3);
    if (add == 1) a->add = a->y;
    if (add == 2) {
        float *from = (float *)(void *)ck_at_end(CK_ADD, bytes);
        ck_fill_floats(from, bytes / 4, CK_BELL);
        a->add = from;
    }
}

// One case: `x` holds the placement of the activations.
static void ck_mm_one(const ck_mm_set *s, const ch_mm_args *x, int32_t rows) {
    ck_mm_case c;
    ck_case k;
    memset(&k, 0, sizeof k);
    c.a = *x;
    c.a.rows = rows;
    c.type = s->type;
    c.weights = s->weights;
    c.floats = s->floats;
    ck_mm_place_w(s, &c);
    ck_mm_place_y(&c, &k);
    c.a.scratch = NULL;
    if (s->gemm) {
        k.scratch_bytes = s->rounded ? CH_BGEMM_SCRATCH : ch_gemm_scratch_bytes(s->k);
        c.a.scratch = k.scratch = ck_at_end(CK_SCRATCH, k.scratch_bytes);
    }
    k.call = ck_mm_call;
    k.describe = ck_mm_describe;
    k.where = ck_mm_where;
    k.arg = &c;
    ck_check(s->group, &k);
}

static const int32_t ck_all_rows[] = {1, 2, 3, 4, 5, 15, 16, 17, 33, 48, 50, 100};
static const int32_t ck_some_rows[] = {1, 16, 50};
static const int32_t ck_matvec_n[] = {1, 2, 3, 4, 5, 6, 7, 8};
static const int32_t ck_gemm_n[] = {1, 5, 8, 9, 16, 23, 40};

static void ck_mm_shapes(ck_mm_set *s, bool all) {
    ck_mm_prepare(s);
    const int32_t *ns = s->gemm ? ck_gemm_n : ck_matvec_n;
    int32_t count = (int32_t)(s->gemm ? CH_COUNT(ck_gemm_n) : CH_COUNT(ck_matvec_n));
    const int32_t *rows = all ? ck_all_rows : ck_some_rows;
    int32_t row_count = (int32_t)(all ? CH_COUNT(ck_all_rows) : CH_COUNT(ck_some_rows));
    for (int32_t i = 0; i < count; i++) {
        ch_mm_args a;
        memset(&a, 0, sizeof a);
        if (!all && i % 3 != 0) continue;
        if (ck_opt.quick && (all ? i % 2 != 0 : i != 3)) continue;
        a.n = ns[i];
        a.k = s->k;
        ck_mm_place_x(s, a.n, &a);
        for (int32_t r = 0; r < row_count; r++) {
            if (ck_opt.quick && all && (r + i / 2) % 3 != 0) continue;
            // Long rows cost most: every count of rows and of columns, but not every pair of them.
            if (all && s->gemm && s->k > 1000 && (r + i) % 2 != 0) continue;
            ck_mm_one(s, &a, rows[r]);
        }
    }
}

// More columns than a gemm is likely to take at a time.
static void ck_mm_many_columns(ck_mm_set *s) {
    static const int32_t ns[] = {103, 64, 72};
    ck_mm_prepare(s);
    for (size_t i = 0; i < CH_COUNT(ns); i++) {
        ch_mm_args a;
        memset(&a, 0, sizeof a);
        a.n = ns[i];
        a.k = s->k;
        ck_mm_place_x(s, a.n, &a);
        ck_mm_one(s, &a, i == 0 ? CK_MAX_ROWS : 50);
    }
}

static int32_t ck_list_k(ch_type type, int32_t k[16]) {
    static const int32_t of_floats[] = {1, 7, 15, 16, 17, 64, 100, 172, 300},
                         of_32[] = {32, 64, 96, 128, 160, 256, 512, 2080, 2144},
                         of_256[] = {256, 512, 768, 2048};
    int32_t block = ch_type_get(type)->block_elements, count = 0;
    const int32_t *from = block == 1 ? of_floats : block == 32 ? of_32 : of_256;
    count = (int32_t)(block == 1    ? CH_COUNT(of_floats)
                      : block == 32 ? CH_COUNT(of_32)
                                    : CH_COUNT(of_256));
    memcpy(k, from, (size_t)count * sizeof *k);
    return count;
}

// Hostile bits: which weights meet which activations.
static const struct {
    ck_weights weights;
    ck_floats floats;
} ck_mm_patterns[] = {
    {CK_W_ONES, CK_PLUS},      {CK_W_ONES, CK_MINUS},      {CK_W_NULLS, CK_MINUS},
    {CK_W_EXTREMES, CK_PLUS},  {CK_W_EXTREMES, CK_SIGNS},  {CK_W_SPARSE, CK_ZEROS},
    {CK_W_SPECIALS, CK_BELL},  {CK_W_RANDOM, CK_SPECIALS}, {CK_W_RANDOM, CK_RANGE},
    {CK_W_SPECIALS, CK_ZEROS}, {CK_W_RANDOM, CK_PLUS},
};

static void ck_test_matmul(ck_group *g, bool gemm, bool rounded) {
    ck_mm_set s;
    int32_t k[16], count = ck_list_k((ch_type)g->variant, k);
    memset(&s, 0, sizeof s);
    s.group = g;
    s.type = (ch_type)g->variant;
    s.gemm = gemm;
    s.rounded = rounded;
    for (int32_t i = 0; i < count; i++) {
        if (ck_opt.quick && k[i] > 700 && k[i] != 768) continue;
        if (rounded && k[i] > 2080) continue;
        s.k = k[i];
        s.weights = CK_W_RANDOM;
        s.floats = CK_BELL;
        ck_mm_shapes(&s, !rounded || k[i] <= 300); // the reference of rounded products is slow
        if (gemm && i == 1) ck_mm_many_columns(&s);
    }
    for (size_t p = 0; p < CH_COUNT(ck_mm_patterns); p++)
        for (int32_t i = 0; i < count; i++) {
            if (i % 2 == 0 && i != count / 2) continue;
            if ((ck_opt.quick || rounded) && i != count / 2) continue;
            s.k = k[i];
            s.weights = ck_mm_patterns[p].weights;
            s.floats = ck_mm_patterns[p].floats;
            ck_mm_shapes(&s, false);
        }
}

// ---- quantize

typedef struct ck_quantize_case {
    const float *x;
    size_t x_stride;
    int32_t cols, k, group, block0, block1;
    uint8_t *record;
    ck_floats floats;
} ck_quantize_case;

static void ck_quantize_call(ch_any_fn *fn, const void *arg) {
    const ck_quantize_case *c = (const ck_quantize_case *)arg;
    ((ch_quantize_fn *)fn)(c->x, c->x_stride, c->cols, c->k, c->group, c->record, c->block0,
                           c->block1);
}

static void ck_quantize_describe(const void *arg, char *text, size_t size) {
    const ck_quantize_case *c = (const ck_quantize_case *)arg;
    snprintf(text, size, "k=%d, group=%d, cols=%d, blocks %d..%d, x_stride=%zu, x %s", c->k,
             c->group, c->cols, c->block0, c->block1, c->x_stride, ck_floats_names[c->floats]);
}

// Names the array, the block (or half block, or four activations) and the column.
static void ck_quantize_where(const void *arg, int out, int64_t i, char *text, size_t size) {
    const ck_quantize_case *c = (const ck_quantize_case *)arg;
    int64_t g = c->group, n = (int64_t)ch_q8_padded(c->k) * g;
    if (out == 0) {
        snprintf(text, size, "written before the record, byte %lld", (long long)i);
    } else if (out == 1) {
        snprintf(text, size, "q of element %lld col %lld", (long long)(i / (4 * g) * 4 + i % 4),
                 (long long)(i / 4 % g));
    } else {
        int64_t at = out == 2 ? i : i / 4;
        if (out == 3 && at >= n / 32 + n / 16) {
            snprintf(text, size, "written after s16, byte %lld", (long long)i);
            return;
        }
        static const char *const names[2][3] = {{"d", "sx", "sx16"}, {"s32", "s16", ""}};
        int array = (int)(at / (n / 32));
        array = CH_MIN(array, out == 2 ? 2 : 1);
        at -= (int64_t)array * (n / 32);
        snprintf(text, size, "%s[%lld] col %lld", names[out - 2][array], (long long)(at / g),
                 (long long)(at % g));
    }
}

// Columns of so many floats before the guard page.
static void ck_quantize_place_x(ck_quantize_case *c, size_t floats) {
    c->x_stride = floats + (ck_one_in(2) ? 0 : (size_t)ck_below(9));
    size_t x_bytes = 4 * ((size_t)(c->cols - 1) * c->x_stride + floats);
    float *x = (float *)(void *)ck_at_end(CK_X, x_bytes);
    memset(x, 0xff, x_bytes);
    for (int32_t col = 0; col < c->cols; col++)
        ck_fill_floats(x + (size_t)col * c->x_stride, floats, c->floats);
    c->x = x;
}

static void ck_quantize_one(ck_group *g, ck_quantize_case *c) {
    ck_case k;
    memset(&k, 0, sizeof k);
    size_t bytes = ch_q8_bytes(c->k, c->group), n = (size_t)ch_q8_padded(c->k) * (size_t)c->group;
    uint8_t *p = ck_at_end(CK_Y, bytes + CK_RED_ZONE);
    memset(p, CK_RED_BYTE, bytes + CK_RED_ZONE);
    c->record = p + CK_RED_ZONE;
    ck_quantize_place_x(c, 32 * (size_t)(c->block1 - c->block0));
    ck_out outs[4] = {{"", p, CK_RED_ZONE, CK_BYTES, CK_RED_ZONE},
                      {"", c->record, n, CK_BYTES, 0},
                      {"", c->record + n, n / 2, CK_F32, 0},
                      {"", c->record + n + n / 2, bytes - n - n / 2, CK_BYTES, 0}};
    memcpy(k.out, outs, sizeof outs);
    k.outs = 4;
    k.call = ck_quantize_call;
    k.describe = ck_quantize_describe;
    k.where = ck_quantize_where;
    k.arg = c;
    ck_check(g, &k);
}

static void ck_test_quantize(ck_group *g) {
    static const int32_t ks[] = {32, 64, 96, 128, 160, 512, 2048, 2080};
    ck_quantize_case c;
    memset(&c, 0, sizeof c);
    for (size_t i = 0; i < CH_COUNT(ks); i++)
        for (int32_t cols = 0; cols <= CH_GROUP; cols++)
            for (int32_t f = 0; f < CK_FLOATS_COUNT; f++) {
                c.k = ks[i];
                c.group = cols == 0 ? 1 : CH_GROUP;
                c.cols = CH_MAX(cols, 1);
                c.floats = (ck_floats)f;
                c.block0 = 0;
                c.block1 = c.k / 32;
                ck_quantize_one(g, &c);
                if (c.k <= 128) continue;
                int32_t unit = c.group == 1 ? 4 : 1, units = c.k / 32 / unit;
                c.block0 = unit * ck_below(units);
                c.block1 = c.block0 + unit * (1 + ck_below(units - c.block0 / unit));
                ck_quantize_one(g, &c);
                c.block1 = c.k / 32;
                ck_quantize_one(g, &c);
            }
}

// ---- rounding

static void ck_round_describe(const void *arg, char *text, size_t size) {
    const ck_quantize_case *c = (const ck_quantize_case *)arg;
    snprintf(text, size, "k=%d, cols=%d, blocks %d..%d, x_stride=%zu, x %s", c->k, c->cols,
             c->block0, c->block1, c->x_stride, ck_floats_names[c->floats]);
}

static void ck_round_where(const void *arg, int out, int64_t i, char *text, size_t size) {
    (void)arg, (void)out;
    i /= 2;
    snprintf(text, size, "element %lld col %lld", (long long)(i / (2 * CH_BGROUP) * 2 + i % 2),
             (long long)(i / 2 % CH_BGROUP));
}

static void ck_round_one(ck_group *g, ck_quantize_case *c) {
    ck_case k;
    memset(&k, 0, sizeof k);
    size_t bytes = ch_b16_bytes(c->k);
    c->record = ck_at_end(CK_Y, bytes + CK_RED_ZONE) + CK_RED_ZONE;
    memset(c->record - CK_RED_ZONE, CK_RED_BYTE, bytes + CK_RED_ZONE);
    ck_quantize_place_x(c, (size_t)(CH_MIN(32 * c->block1, c->k) - 32 * c->block0));
    ck_out outs[2] = {{"", c->record - CK_RED_ZONE, CK_RED_ZONE, CK_BYTES, CK_RED_ZONE},
                      {"", c->record, bytes, CK_BYTES, 0}};
    memcpy(k.out, outs, sizeof outs);
    k.outs = 2;
    k.call = ck_quantize_call;
    k.describe = ck_round_describe;
    k.where = ck_round_where;
    k.arg = c;
    ck_check(g, &k);
}

static void ck_test_round(ck_group *g) {
    static const int32_t ks[] = {1, 15, 17, 32, 63, 96, 300, 2048};
    ck_quantize_case c;
    memset(&c, 0, sizeof c);
    c.group = CH_BGROUP;
    for (size_t i = 0; i < CH_COUNT(ks); i++)
        for (c.cols = 1; c.cols <= CH_BGROUP; c.cols++)
            for (int32_t f = 0; f < CK_FLOATS_COUNT; f++) {
                c.k = ks[i];
                c.floats = (ck_floats)f;
                c.block0 = 0;
                c.block1 = ch_ceil_div(c.k, 32);
                ck_round_one(g, &c);
                c.block0 = ck_below(c.block1);
                ck_round_one(g, &c);
                c.block1 = c.block0 + 1;
                ck_round_one(g, &c);
            }
}

#endif
