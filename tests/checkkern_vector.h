// checkkern, vector part: the cases of the families dequantize, rmsnorm, glu, rope, kv_store and
// attention.
//
// Invariants: inputs end at guard pages; cells of the KV cache that a query does not see are NaN.
#ifndef CHECKKERN_VECTOR_H
#define CHECKKERN_VECTOR_H

#include "checkkern_matmul.h"

// An output of n floats before a guard page with a red zone in front of it.
static float *ck_float_out(ck_case *k, int i, int region, size_t n) {
    uint8_t *p = ck_at_end(region, 4 * n + CK_RED_ZONE);
    memset(p, CK_RED_BYTE, 4 * n + CK_RED_ZONE);
    ck_out out = {NULL, p, 4 * n + CK_RED_ZONE, CK_F32, CK_RED_ZONE};
    k->out[i] = out;
    k->outs = CH_MAX(k->outs, i + 1);
    return (float *)(void *)(p + CK_RED_ZONE);
}

// n floats of a kind before a guard page.
static float *ck_float_in(int region, size_t n, ck_floats kind) {
    float *x = (float *)(void *)ck_at_end(region, 4 * n);
    ck_fill_floats(x, n, kind);
    return x;
}

static void ck_where_element(const void *arg, int out, int64_t i, char *text, size_t size) {
    (void)arg;
    (void)out;
    snprintf(text, size, "%selement %lld", i < 0 ? "written before the output: " : "",
             (long long)i);
}

static void ck_init_case(ck_case *k, void (*call)(ch_any_fn *, const void *),
                         void (*describe)(const void *, char *, size_t), const void *arg) {
    memset(k, 0, sizeof *k);
    k->call = call;
    k->describe = describe;
    k->where = ck_where_element;
    k->arg = arg;
}

static const int32_t ck_lengths[] = {1,  2,  7,  8,   15,  16,  17,  31,  32,   33,
                                     48, 63, 64, 100, 128, 172, 300, 576, 2048, 2055};

// ---- dequantize

typedef struct ck_dequantize_case {
    const uint8_t *row;
    float *y;
    int32_t k;
    ck_weights weights;
    bool front;
} ck_dequantize_case;

static void ck_dequantize_call(ch_any_fn *fn, const void *arg) {
    const ck_dequantize_case *c = (const ck_dequantize_case *)arg;
    ((ch_dequantize_fn *)fn)(c->row, c->y, c->k);
}

static void ck_dequantize_describe(const void *arg, char *text, size_t size) {
    const ck_dequantize_case *c = (const ck_dequantize_case *)arg;
    snprintf(text, size, "k=%d, weights %s at the %s of their mapping", c->k,
             ck_weights_names[c->weights], c->front ? "start" : "end");
}

static void ck_test_dequantize(ck_group *g) {
    ch_type type = (ch_type)g->variant;
    int32_t ks[16], count = ck_list_k(type, ks);
    for (int32_t i = 0; i < count * 2 * CK_WEIGHTS_COUNT; i++) {
        ck_dequantize_case c;
        ck_case k;
        ck_init_case(&k, ck_dequantize_call, ck_dequantize_describe, &c);
        c.k = ks[i % count];
        c.front = i / count % 2;
        c.weights = (ck_weights)(i / count / 2);
        size_t bytes = ch_row_bytes(type, c.k);
        uint8_t *row = c.front ? ck_at_start(CK_W_FRONT, bytes) : ck_at_end(CK_W_END, bytes);
        ck_fill_weights(row, 1, c.k, type, c.weights);
        c.row = row;
        c.y = ck_float_out(&k, 0, CK_Y, (size_t)c.k);
        ck_check(g, &k);
    }
}

// ---- rmsnorm and glu: two inputs, one output that may be an input

typedef struct ck_pair_case {
    const float *a, *b;
    float *y;
    float eps;
    int32_t k;
    ck_floats kind_a, kind_b;
} ck_pair_case;

static void ck_rmsnorm_call(ch_any_fn *fn, const void *arg) {
    const ck_pair_case *c = (const ck_pair_case *)arg;
    ((ch_rmsnorm_fn *)fn)(c->a, c->b, c->eps, c->k, c->y);
}

static void ck_glu_call(ch_any_fn *fn, const void *arg) {
    const ck_pair_case *c = (const ck_pair_case *)arg;
    ((ch_glu_fn *)fn)(c->a, c->b, c->k, c->y);
}

static void ck_pair_describe(const void *arg, char *text, size_t size) {
    const ck_pair_case *c = (const ck_pair_case *)arg;
    snprintf(text, size, "k=%d, first input %s, second %s, y is %s", c->k,
             ck_floats_names[c->kind_a], ck_floats_names[c->kind_b],
             c->y == c->a   ? "the first"
             : c->y == c->b ? "the second"
                            : "apart");
}

// alias: 0 none, 1 y is a, 2 y is b. spread: what a is multiplied by.
static void ck_pair_one(ck_group *g, ck_pair_case *c, int alias, float spread, bool glu) {
    ck_case k;
    size_t n = (size_t)c->k;
    ck_init_case(&k, glu ? ck_glu_call : ck_rmsnorm_call, ck_pair_describe, c);
    c->y = ck_float_out(&k, 0, CK_Y, n);
    float *a = alias == 1 ? c->y : ck_float_in(CK_IN_A, n, c->kind_a);
    float *b = alias == 2 ? c->y : ck_float_in(CK_IN_B, n, c->kind_b);
    ck_fill_floats(a, n, c->kind_a);
    ck_fill_floats(b, n, c->kind_b);
    for (size_t i = 0; i < n; i++) a[i] *= spread;
    c->a = a;
    c->b = b;
    ck_check(g, &k);
}

static void ck_test_pairs(ck_group *g, bool glu) {
    static const float spreads[] = {1.0f, 20.0f, 60.0f, 1e-3f};
    for (size_t i = 0; i < CH_COUNT(ck_lengths); i++)
        for (int32_t f = 0; f < CK_FLOATS_COUNT; f++)
            for (int alias = 0; alias < (glu ? 3 : 2); alias++) {
                ck_pair_case c;
                memset(&c, 0, sizeof c);
                c.k = ck_lengths[i];
                c.kind_a = (ck_floats)f;
                c.kind_b = ck_one_in(2) ? CK_BELL : (ck_floats)ck_below(CK_FLOATS_COUNT);
                c.eps = ck_one_in(2) ? 1e-5f : ck_one_in(2) ? 1e-6f : 0.0f;
                ck_pair_one(g, &c, alias, spreads[ck_below(4)], glu);
            }
}

// ---- rope

typedef struct ck_rope_case {
    float *x;
    const float *c, *s;
    float scale;
    int32_t heads, head_dim, pairs;
    bool neox;
} ck_rope_case;

static void ck_rope_call(ch_any_fn *fn, const void *arg) {
    const ck_rope_case *c = (const ck_rope_case *)arg;
    ((ch_rope_fn *)fn)(c->x, c->heads, c->head_dim, c->pairs, c->neox, c->c, c->s, c->scale);
}

static void ck_rope_describe(const void *arg, char *text, size_t size) {
    const ck_rope_case *c = (const ck_rope_case *)arg;
    snprintf(text, size, "heads=%d, head_dim=%d, pairs=%d, %s, scale=%g", c->heads, c->head_dim,
             c->pairs, c->neox ? "neox" : "adjacent", (double)c->scale);
}

static void ck_rope_where(const void *arg, int out, int64_t i, char *text, size_t size) {
    const ck_rope_case *c = (const ck_rope_case *)arg;
    (void)out;
    if (i < 0)
        snprintf(text, size, "written before x: element %lld", (long long)i);
    else
        snprintf(text, size, "head %lld element %lld", (long long)(i / c->head_dim),
                 (long long)(i % c->head_dim));
}

static void ck_rope_one(ck_group *g, int32_t heads, int32_t head_dim, int32_t pairs,
                        ck_floats kind) {
    ck_rope_case c;
    ck_case k;
    ck_init_case(&k, ck_rope_call, ck_rope_describe, &c);
    k.where = ck_rope_where;
    c.heads = heads;
    c.head_dim = head_dim;
    c.pairs = pairs;
    c.neox = ck_one_in(2);
    c.scale = ck_one_in(2) ? 1.0f : ck_one_in(2) ? 0.125f : 0.0883883461f;
    c.x = ck_float_out(&k, 0, CK_Y, (size_t)(heads * head_dim));
    ck_fill_floats(c.x, (size_t)(heads * head_dim), kind);
    // Any numbers do: no library's sine has a say in what is tested.
    c.c = ck_float_in(CK_IN_A, (size_t)pairs, CK_BELL);
    c.s = ck_float_in(CK_IN_B, (size_t)pairs, CK_BELL);
    ck_check(g, &k);
}

static void ck_test_rope(ck_group *g) {
    static const int32_t heads[] = {1, 2, 3, 5, 8},
                         dims[] = {2, 8, 16, 24, 32, 48, 64, 80, 96, 128, 256};
    for (size_t h = 0; h < CH_COUNT(heads); h++)
        for (size_t d = 0; d < CH_COUNT(dims); d++)
            for (int32_t part = 0; part < 6; part++) {
                int32_t half = dims[d] / 2, few = half < 17 ? 1 + half / 3 : 17;
                int32_t pairs[6] = {half, half, CH_MAX(half / 2, 1), 1, few, 1 + ck_below(half)};
                for (int32_t f = 0; f < CK_FLOATS_COUNT; f += ck_opt.quick ? 7 : 1)
                    ck_rope_one(g, heads[h], dims[d], pairs[part], (ck_floats)f);
            }
}

// ---- KV cache

typedef struct ck_cache {
    ch_kv_type type;
    int32_t head_dim, value_dim, capacity;
    uint8_t *k, *v;
} ck_cache;

static ch_kv_store_fn *ck_store_reference(ch_kv_type type) {
    return type == CH_KV_F16   ? ch_kv_store_f16__c
           : type == CH_KV_F32 ? ch_kv_store_f32__c
           : type == CH_KV_Q16 ? ch_kv_store_q16__c
                               : ch_kv_store_q8_0__c;
}

// Both caches before guard pages, every byte `fill`.
static void ck_cache_place(ck_cache *c, uint8_t fill) {
    size_t k_bytes = ch_kv_bytes(c->type, c->head_dim, c->capacity);
    size_t v_bytes = ch_kv_bytes(c->type, c->value_dim, c->capacity);
    c->k = ck_at_end(CK_K_CACHE, k_bytes);
    c->v = ck_at_end(CK_V_CACHE, v_bytes);
    memset(c->k, fill, k_bytes);
    memset(c->v, fill, v_bytes);
}

typedef struct ck_store_case {
    ck_cache cache;
    const float *k, *v;
    int32_t position;
    ck_floats floats;
} ck_store_case;

static void ck_store_call(ch_any_fn *fn, const void *arg) {
    const ck_store_case *c = (const ck_store_case *)arg;
    ((ch_kv_store_fn *)fn)(c->k, c->v, c->cache.head_dim, c->cache.value_dim, c->cache.capacity,
                           c->position, c->cache.k, c->cache.v);
}

static void ck_store_describe(const void *arg, char *text, size_t size) {
    const ck_store_case *c = (const ck_store_case *)arg;
    snprintf(text, size, "head_dim=%d, value_dim=%d, capacity=%d, position=%d, k and v %s",
             c->cache.head_dim, c->cache.value_dim, c->cache.capacity, c->position,
             ck_floats_names[c->floats]);
}

// The four arrays of a pair of caches as outputs (those of floats have no scales).
static void ck_store_outs(const ck_cache *c, ck_case *k) {
    size_t k_bytes = ch_kv_bytes(c->type, c->head_dim, c->capacity), ks = k_bytes;
    size_t v_bytes = ch_kv_bytes(c->type, c->value_dim, c->capacity), vs = v_bytes;
    k->outs = 2;
    if (ch_kv_integers(c->type)) {
        k->outs = 4;
        ks = ch_kv_scales(c->type, c->head_dim, c->capacity);
        vs = ch_kv_scales(c->type, c->value_dim, c->capacity);
    }
    ck_kind kind = c->type == CH_KV_F32 ? CK_F32 : c->type == CH_KV_F16 ? CK_F16 : CK_BYTES;
    ck_out outs[4] = {{"K", c->k, ks, kind, 0},
                      {"V", c->v, vs, kind, 0},
                      {"K scales", c->k + ks, k_bytes - ks, CK_F32, 0},
                      {"V scales", c->v + vs, v_bytes - vs, CK_F32, 0}};
    memcpy(k->out, outs, sizeof outs);
}

static const int32_t ck_dims[] = {8,  16, 24,  32, 64,
                                  80, 96, 128, 256}; // and one less, for integers

static void ck_test_kv_store(ck_group *g) {
    static const int32_t positions[] = {0, 1, 7, 15, 16, 17, 63, 64, 100, 127};
    for (size_t d = 0; d < CH_COUNT(ck_dims); d++)
        for (size_t p = 0; p < CH_COUNT(positions); p++)
            for (int32_t f = 0; f < CK_FLOATS_COUNT; f++) {
                ck_store_case c;
                ck_case k;
                c.cache.type = (ch_kv_type)g->variant;
                c.cache.head_dim = ck_dims[d];
                c.cache.value_dim =
                    ck_one_in(2) ? ck_dims[d] : ck_dims[ck_below((int32_t)CH_COUNT(ck_dims))];
                if (ch_kv_integers(c.cache.type) && ck_one_in(4)) {
                    c.cache.head_dim--;
                    c.cache.value_dim--;
                }
                c.position = positions[p];
                c.cache.capacity = 64 * (1 + c.position / 64 + ck_below(2));
                c.floats = (ck_floats)f;
                ck_cache_place(&c.cache, CK_RED_BYTE);
                ck_init_case(&k, ck_store_call, ck_store_describe, &c);
                c.k = ck_float_in(CK_IN_A, (size_t)c.cache.head_dim, c.floats);
                c.v = ck_float_in(CK_IN_B, (size_t)c.cache.value_dim, c.floats);
                ck_store_outs(&c.cache, &k);
                ck_check(g, &k);
            }
}

// ---- attention

typedef struct ck_attn_case {
    ch_attn_args a;
    ck_cache cache;
    int32_t head0, head1, heads, tokens;
    int32_t t0, cut; // cut: 0 one call, 1 token by token, 2 head by head, 3 both, 4 tokens in two
    ck_floats kv_floats;
    float spread;
} ck_attn_case;

static void ck_attn_call(ch_any_fn *fn, const void *arg) {
    const ck_attn_case *c = (const ck_attn_case *)arg;
    ch_attn_fn *attend = (ch_attn_fn *)fn;
    int32_t count = c->tokens - c->t0;
    int32_t t_step = c->cut == 1 || c->cut == 3 ? 1 : c->cut == 4 ? (count + 1) / 2 : count;
    int32_t h_step = c->cut == 2 || c->cut == 3 ? 1 : c->head1 - c->head0;
    for (int32_t t = c->t0; t < c->tokens; t += t_step)
        for (int32_t h = c->head0; h < c->head1; h += h_step)
            attend(&c->a, h, h + h_step, t, CH_MIN(t + t_step, c->tokens));
}

static void ck_attn_describe(const void *arg, char *text, size_t size) {
    static const char *const cuts[] = {"one call", "token by token", "head by head",
                                       "token and head by one", "tokens in two parts"};
    const ck_attn_case *c = (const ck_attn_case *)arg;
    snprintf(text, size,
             "head_dim=%d, value_dim=%d, heads %d..%d, tokens %d..%d, pos0=%d, window=%d, "
             "capacity=%d, q_stride=%zu, y_stride=%zu, kv %s, spread %g, %s",
             c->a.head_dim, c->a.value_dim, c->head0, c->head1, c->t0, c->tokens, c->a.pos0,
             c->a.window, c->a.capacity, c->a.q_stride, c->a.y_stride,
             ck_floats_names[c->kv_floats], (double)c->spread, cuts[c->cut]);
}

static void ck_attn_where(const void *arg, int out, int64_t i, char *text, size_t size) {
    const ck_attn_case *c = (const ck_attn_case *)arg;
    (void)out;
    int64_t stride = (int64_t)c->a.y_stride, t = i >= 0 ? i / stride : -1, at = i - t * stride;
    int64_t head = at / c->a.value_dim;
    bool inside = i >= 0 && t >= c->t0 && head >= c->head0 && head < c->head1;
    snprintf(text, size, "%stoken %lld head %lld element %lld",
             inside ? "" : "written outside: ", (long long)t, (long long)head,
             (long long)(at % c->a.value_dim));
}

// Stores what the queries see; all else stays NaN.
static void ck_attn_fill(ck_attn_case *c) {
    const ch_attn_args *a = &c->a;
    int32_t first = a->window > 0 ? CH_MAX(a->pos0 + c->t0 + 1 - a->window, 0) : 0;
    float k[256], v[256];
    ck_cache_place(&c->cache, 0xff);
    for (int32_t p = first; p < a->pos0 + c->tokens; p++) {
        ck_fill_floats(k, (size_t)a->head_dim, c->kv_floats);
        ck_fill_floats(v, (size_t)a->value_dim, c->kv_floats);
        ck_store_reference(c->cache.type)(k, v, a->head_dim, a->value_dim, a->capacity, p,
                                          c->cache.k, c->cache.v);
    }
}

static void ck_attn_one(ck_group *g, ck_attn_case *c) {
    ck_case k;
    ch_attn_args *a = &c->a;
    ck_init_case(&k, ck_attn_call, ck_attn_describe, c);
    k.where = ck_attn_where;
    c->cache.head_dim = a->head_dim;
    c->cache.value_dim = a->value_dim;
    c->cache.capacity = a->capacity;
    ck_attn_fill(c);
    a->k_cache = c->cache.k;
    a->v_cache = c->cache.v;
    size_t q_row = (size_t)(c->heads * a->head_dim), y_row = (size_t)(c->heads * a->value_dim);
    a->q_stride = q_row + (ck_one_in(2) ? 0 : (size_t)ck_below(20));
    a->y_stride = y_row + (ck_one_in(2) ? 0 : (size_t)ck_below(20));
    size_t n = (size_t)(c->tokens - 1) * a->q_stride + q_row;
    float *q = ck_float_in(CK_X, n, c->kv_floats == CK_SPECIALS ? CK_SPECIALS : CK_BELL);
    for (size_t i = 0; i < n; i++) q[i] *= c->spread / sqrtf((float)a->head_dim);
    a->q = q;
    a->y = ck_float_out(&k, 0, CK_Y, (size_t)(c->tokens - 1) * a->y_stride + y_row);
    k.scratch_bytes = ch_attn_scratch_bytes(a->head_dim, a->value_dim);
    a->scratch = k.scratch = ck_at_end(CK_SCRATCH, k.scratch_bytes);
    for (c->cut = 0; c->cut < 5; c->cut++) {
        ck_check(g, &k);
        k.again = true;
    }
}

static void ck_test_attention(ck_group *g) {
    static const int32_t positions[] = {0, 1, 15, 16, 47, 63, 64, 65, 127, 200, 500};
    static const int32_t windows[] = {1, 5, 16, 60, 64, 65, 100, 128};
    static const float spreads[] = {1.0f, 0.01f, 8.0f, 60.0f};
    for (size_t d = 0; d < CH_COUNT(ck_dims); d++)
        for (size_t p = 0; p < CH_COUNT(positions); p++)
            for (int32_t i = 0; i < (ck_opt.quick ? 1 : 4); i++) {
                ck_attn_case c;
                memset(&c, 0, sizeof c);
                bool large = positions[p] * ck_dims[d] > 10000;
                c.cache.type = (ch_kv_type)g->variant;
                if (large && (i > 1 || (ck_opt.quick && ck_dims[d] != 80 && ck_dims[d] != 128)))
                    continue;
                c.a.head_dim = ck_dims[d];
                c.a.value_dim =
                    i % 2 == 0 ? ck_dims[d] : ck_dims[ck_below((int32_t)CH_COUNT(ck_dims))];
                if (ch_kv_integers(c.cache.type) && ck_one_in(4)) {
                    c.a.head_dim--;
                    c.a.value_dim--;
                }
                // More queries than a kernel takes at a time, where that costs little.
                bool many = positions[p] == 65 && i == 0 && ck_dims[d] <= 32;
                c.tokens = 1 + (ck_one_in(2) ? ck_below(large ? 3 : 20) : 0);
                if (many) c.tokens = CH_ATTN_ROWS / 4;
                c.t0 = ck_one_in(3) ? ck_below(c.tokens) : 0;
                c.a.pos0 = CH_MAX(positions[p] - (ck_one_in(2) ? c.tokens - 1 : 0), 0);
                c.a.capacity = (int32_t)ch_round_up((size_t)(c.a.pos0 + c.tokens), 64);
                c.a.capacity += ck_one_in(2) ? 64 : 0;
                c.a.window = ck_one_in(2) ? 0 : windows[ck_below((int32_t)CH_COUNT(windows))];
                c.head0 = ck_one_in(3) ? ck_below(4) : 0;
                c.head1 = c.head0 + (many ? 5 : 1 + ck_below(large ? 4 : 8));
                c.heads = c.head1 + (ck_one_in(3) ? 1 : 0);
                c.kv_floats = i < 2 ? CK_BELL : (ck_floats)ck_below(CK_FLOATS_COUNT);
                c.spread = spreads[ck_below(4)];
                ck_attn_one(g, &c);
            }
}

#endif
