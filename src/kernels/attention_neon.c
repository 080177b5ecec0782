// attention_neon: streaming attention on aarch64, for caches of floats.
//
// Owns: attention for neon.
//
// Idea: up to CH_ATTN_ROWS queries (heads and tokens) go over the cache together, a chunk of 64
// positions at a time. With more than ATN_DIRECT of them, the chunk of K and V is made floats once,
// in the scratch memory; fewer convert in registers as they read. Scores: K stands in sixteens of
// positions, so lanes are positions, and four queries at a time share the loads of K. Values: lanes
// are elements, and four queries share the loads of V. Queries whose ends of the visible range
// differ (the diagonal of a prompt) share what they have in common and do the rest alone, in order
// of positions as the canon wants.
//
// Invariants: no position of V that a query does not see has an effect on it; y serves as o.
#include "neon.h"

#if CH_ARM64

// What K or V is read as.
typedef enum atn_kind { ATN_F32, ATN_F16 } atn_kind;

#define ATN_DIRECT 4 // queries up to which K and V are not converted in memory

typedef struct atn_query {
    const float *q;
    float *y;
    int32_t first, at; // positions that it sees: first..at
    int32_t j0, j1;    // those of them in this chunk: j0..j1 - 1
    float m, f;        // maximum so far, factor of this chunk
    float l[16];
    float s[CH_KV_CHUNK]; // scores, then weights
} atn_query;

// A chunk of K or V as it is read.
typedef struct atn_source {
    const uint8_t *data; // of the chunk's first position
    int32_t dim;
} atn_source;

CH_FORCE_INLINE size_t atn_size(atn_kind kind) {
    return kind == ATN_F32 ? 4 : 2;
}

// NV vectors of four values from p.
CH_FORCE_INLINE void atn_load(atn_kind kind, int NV, const uint8_t *p, float32x4_t *v) {
    CH_UNROLL
    for (int i = 0; i < NV; i++) {
        if (kind == ATN_F32)
            v[i] = vreinterpretq_f32_u8(vld1q_u8(p + 16 * i));
        else
            v[i] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i)));
    }
}

// ---- scores

// Scores of R queries against sixteen positions, which are number `tile` of the chunk.
CH_FORCE_INLINE void atn_score_tile(atn_kind kind, int R, atn_query *const *query,
                                    const atn_source *k, int32_t tile) {
    const uint8_t *p = k->data + (size_t)tile * 16 * (size_t)k->dim * atn_size(kind);
    const float *q[4];
    CH_UNROLL
    for (int r = 0; r < R; r++) q[r] = query[r]->q;
    float32x4_t t[16];
    CH_UNROLL
    for (int i = 0; i < 4 * R; i++) t[i] = vdupq_n_f32(0);
    for (int32_t e = 0; e < k->dim; e++, p += 16 * atn_size(kind)) {
        float32x4_t v[4];
        atn_load(kind, 4, p, v);
        CH_UNROLL
        for (int r = 0; r < R; r++) {
            float32x4_t qe = vld1q_dup_f32(q[r] + e);
            CH_UNROLL
            for (int i = 0; i < 4; i++) t[4 * r + i] = vfmaq_f32(t[4 * r + i], qe, v[i]);
        }
    }
    CH_UNROLL
    for (int r = 0; r < R; r++) {
        CH_UNROLL
        for (int i = 0; i < 4; i++) vst1q_f32(query[r]->s + 16 * tile + 4 * i, t[4 * r + i]);
    }
}

// The tiles of the chunk that one of R queries sees.
CH_FORCE_INLINE void atn_score(atn_kind kind, int R, atn_query *const *query, const atn_source *k) {
    int32_t j0 = query[0]->j0, j1 = query[0]->j1;
    for (int r = 1; r < R; r++) {
        j0 = CH_MIN(j0, query[r]->j0);
        j1 = CH_MAX(j1, query[r]->j1);
    }
    for (int32_t tile = j0 / 16; 16 * tile < j1; tile++) atn_score_tile(kind, R, query, k, tile);
}

CH_FORCE_INLINE void atn_scores(atn_kind kind, atn_query *const *query, int32_t n,
                                const atn_source *k) {
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) atn_score(kind, 4, query + i, k);
    for (; i + 2 <= n; i += 2) atn_score(kind, 2, query + i, k);
    for (; i < n; i++) atn_score(kind, 1, query + i, k);
}

// Scores to weights: moves the maximum, the factor and the sums on.
static void atn_weigh(atn_query *query) {
    float *s = query->s;
    for (int32_t j = 0; j < query->j0; j++) s[j] = -INFINITY;
    for (int32_t j = query->j1; j < CH_KV_CHUNK; j++) s[j] = -INFINITY;
    // A NaN is no maximum: vmaxnm takes the number.
    float32x4_t most = vdupq_n_f32(query->m);
    for (int j = 0; j < CH_KV_CHUNK; j += 4) most = vmaxnmq_f32(most, vld1q_f32(s + j));
    float m = vmaxnmvq_f32(most);
    float32x4_t all = vdupq_n_f32(m), f = nn_exp(vsubq_f32(vdupq_n_f32(query->m), all));
    query->m = m;
    query->f = vgetq_lane_f32(f, 0);
    for (int i = 0; i < 16; i += 4) {
        float32x4_t p[4];
        CH_UNROLL
        for (int j = 0; j < 4; j++) {
            p[j] = nn_exp(vsubq_f32(vld1q_f32(s + 16 * j + i), all));
            vst1q_f32(s + 16 * j + i, p[j]);
        }
        float32x4_t sum = vaddq_f32(vaddq_f32(p[0], p[1]), vaddq_f32(p[2], p[3]));
        vst1q_f32(query->l + i, vfmaq_f32(sum, vld1q_f32(query->l + i), f));
    }
}

// ---- values

// Adds the weighted values of positions j0..j1 - 1 to elements e..e + 4 NV of R queries' o.
CH_FORCE_INLINE void atn_add_values(atn_kind kind, int R, int NV, atn_query *const *query,
                                    const atn_source *v, int32_t e, int32_t j0, int32_t j1) {
    float32x4_t o[16];
    const float *p[4];
    CH_UNROLL
    for (int r = 0; r < R; r++) {
        p[r] = query[r]->s;
        CH_UNROLL
        for (int i = 0; i < NV; i++) o[r * NV + i] = vld1q_f32(query[r]->y + e + 4 * i);
    }
    for (int32_t j = j0; j < j1; j++) {
        float32x4_t x[8];
        atn_load(kind, NV, v->data + ((size_t)j * (size_t)v->dim + (size_t)e) * atn_size(kind), x);
        CH_UNROLL
        for (int r = 0; r < R; r++) {
            float32x4_t pj = vld1q_dup_f32(p[r] + j);
            CH_UNROLL
            for (int i = 0; i < NV; i++) o[r * NV + i] = vfmaq_f32(o[r * NV + i], pj, x[i]);
        }
    }
    CH_UNROLL
    for (int r = 0; r < R; r++) {
        CH_UNROLL
        for (int i = 0; i < NV; i++) vst1q_f32(query[r]->y + e + 4 * i, o[r * NV + i]);
    }
}

// One element of V.
CH_FORCE_INLINE float atn_value(atn_kind kind, const atn_source *v, int32_t j, int32_t e) {
    const uint8_t *p = v->data + ((size_t)j * (size_t)v->dim + (size_t)e) * atn_size(kind);
    if (kind == ATN_F16) return ch_f32_from_f16(ch_load_u16(p));
    float f = 0;
    if (kind == ATN_F32) memcpy(&f, p, sizeof f);
    return f;
}

// Positions j0..j1 - 1, all elements, R queries.
CH_FORCE_INLINE void atn_values_range(atn_kind kind, int R, atn_query *const *query,
                                      const atn_source *v, int32_t j0, int32_t j1) {
    int32_t e = 0;
    if (j0 >= j1) return;
    if (R == 1) // twice as many elements, so that enough sums grow at once
        for (; e + 32 <= v->dim; e += 32) atn_add_values(kind, 1, 8, query, v, e, j0, j1);
    for (; e + 16 <= v->dim; e += 16) atn_add_values(kind, R, 4, query, v, e, j0, j1);
    for (; e + 4 <= v->dim; e += 4) atn_add_values(kind, R, 1, query, v, e, j0, j1);
    for (; e < v->dim; e++)
        for (int r = 0; r < R; r++)
            for (int32_t j = j0; j < j1; j++)
                query[r]->y[e] = fmaf(query[r]->s[j], atn_value(kind, v, j, e), query[r]->y[e]);
}

CH_FORCE_INLINE void atn_values(atn_kind kind, atn_query *const *query, int32_t n,
                                const atn_source *v) {
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        int32_t j0 = 0, j1 = CH_KV_CHUNK; // what all four see
        for (int r = 0; r < 4; r++) {
            j0 = CH_MAX(j0, query[i + r]->j0);
            j1 = CH_MIN(j1, query[i + r]->j1);
        }
        if (j0 >= j1) j0 = j1 = CH_KV_CHUNK; // nothing: each does all of its own before j0
        for (int r = 0; r < 4; r++)
            atn_values_range(kind, 1, query + i + r, v, query[i + r]->j0,
                             CH_MIN(j0, query[i + r]->j1));
        atn_values_range(kind, 4, query + i, v, j0, j1);
        for (int r = 0; r < 4; r++)
            atn_values_range(kind, 1, query + i + r, v, j1, query[i + r]->j1);
    }
    for (; i < n; i++) atn_values_range(kind, 1, query + i, v, query[i]->j0, query[i]->j1);
}

static void atn_scale(float *y, int32_t n, float f) {
    int32_t e = 0;
    for (; e + 4 <= n; e += 4) vst1q_f32(y + e, vmulq_n_f32(vld1q_f32(y + e), f));
    for (; e < n; e++) y[e] = y[e] * f;
}

// ---- chunks

// n values as floats; n is a multiple of 16 but for F16.
CH_FORCE_INLINE void atn_convert(atn_kind kind, const uint8_t *from, float *to, size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        float32x4_t v[4];
        atn_load(kind, 4, from + i * atn_size(kind), v);
        CH_UNROLL
        for (int j = 0; j < 4; j++) vst1q_f32(to + i + 4 * j, v[j]);
    }
    if (kind == ATN_F16)
        for (; i < n; i++) to[i] = ch_f32_from_f16(ch_load_u16(from + 2 * i));
}

// The n queries that see something of the chunk. k and v are the chunk as it lies in the cache.
CH_FORCE_INLINE void atn_chunk(atn_kind kind, const ch_attn_args *a, atn_query *const *query,
                               int32_t n, const atn_source *k, const atn_source *v) {
    bool convert = kind != ATN_F32 && n > ATN_DIRECT;
    float *floats = (float *)(void *)a->scratch;
    int32_t j0 = CH_KV_CHUNK, j1 = 0;
    for (int32_t i = 0; i < n; i++) {
        j0 = CH_MIN(j0, query[i]->j0);
        j1 = CH_MAX(j1, query[i]->j1);
    }
    if (convert) {
        atn_source in_k = *k;
        atn_convert(kind, k->data, floats, (size_t)CH_KV_CHUNK * (size_t)k->dim);
        in_k.data = (const uint8_t *)floats;
        atn_scores(ATN_F32, query, n, &in_k);
    } else {
        atn_scores(kind, query, n, k);
    }
    for (int32_t i = 0; i < n; i++) {
        atn_weigh(query[i]);
        atn_scale(query[i]->y, v->dim, query[i]->f);
    }
    if (convert) {
        atn_source in_v = *v;
        size_t dim = (size_t)v->dim, at = (size_t)j0 * dim; // K is done with
        atn_convert(kind, v->data + at * atn_size(kind), floats + at, (size_t)(j1 - j0) * dim);
        in_v.data = (const uint8_t *)floats;
        atn_values(ATN_F32, query, n, &in_v);
    } else {
        atn_values(kind, query, n, v);
    }
}

// n queries (at most CH_ATTN_ROWS) over all chunks that any of them sees.
CH_FORCE_INLINE void atn_batch(atn_kind kind, const ch_attn_args *a, atn_query *queries,
                               int32_t n) {
    size_t hd = (size_t)a->head_dim, vd = (size_t)a->value_dim, size = atn_size(kind);
    int32_t from = queries[0].first, last = queries[0].at;
    for (int32_t i = 0; i < n; i++) {
        atn_query *q = &queries[i];
        from = CH_MIN(from, q->first);
        last = CH_MAX(last, q->at);
        q->m = -INFINITY;
        memset(q->l, 0, sizeof q->l);
        memset(q->y, 0, vd * sizeof(float));
    }
    for (int32_t chunk = from / CH_KV_CHUNK * CH_KV_CHUNK; chunk <= last; chunk += CH_KV_CHUNK) {
        atn_query *active[CH_ATTN_ROWS];
        int32_t count = 0;
        for (int32_t i = 0; i < n; i++) {
            atn_query *q = &queries[i];
            q->j0 = CH_MAX(q->first - chunk, 0);
            q->j1 = CH_MIN(q->at + 1 - chunk, CH_KV_CHUNK);
            if (q->j0 < q->j1) active[count++] = q;
        }
        atn_source k = {a->k_cache + (size_t)chunk * hd * size, a->head_dim};
        atn_source v = {a->v_cache + (size_t)chunk * vd * size, a->value_dim};
        atn_chunk(kind, a, active, count, &k, &v);
    }
    for (int32_t i = 0; i < n; i++)
        atn_scale(queries[i].y, a->value_dim, 1.0f / ch_sum16(queries[i].l));
}

// Heads and tokens in batches: all heads of as many tokens as fit.
CH_FORCE_INLINE void atn_attention(atn_kind kind, const ch_attn_args *a, int32_t head0,
                                   int32_t head1, int32_t t0, int32_t t1) {
    atn_query queries[CH_ATTN_ROWS];
    int32_t n = 0;
    for (int32_t t = t0; t < t1; t++)
        for (int32_t h = head0; h < head1; h++) {
            atn_query *q = &queries[n++];
            q->q = a->q + (size_t)t * a->q_stride + (size_t)h * (size_t)a->head_dim;
            q->y = a->y + (size_t)t * a->y_stride + (size_t)h * (size_t)a->value_dim;
            q->at = a->pos0 + t;
            q->first = a->window > 0 ? CH_MAX(q->at + 1 - a->window, 0) : 0;
            bool last = t == t1 - 1 && h == head1 - 1;
            if (n < CH_ATTN_ROWS && !last) continue;
            atn_batch(kind, a, queries, n);
            n = 0;
        }
}

CH_FN void ch_attention_f16__neon(const ch_attn_args *a, int32_t head0, int32_t head1, int32_t t0,
                                  int32_t t1) {
    atn_attention(ATN_F16, a, head0, head1, t0, t1);
}

CH_FN void ch_attention_f32__neon(const ch_attn_args *a, int32_t head0, int32_t head1, int32_t t0,
                                  int32_t t1) {
    atn_attention(ATN_F32, a, head0, head1, t0, t1);
}

#undef ATN_DIRECT

#endif
