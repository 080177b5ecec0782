// checkkern, claims part: what must be true of the C references themselves, against arithmetic in
// double, and against each other where two families promise the same numbers.
//
// A failed claim fails the reference's own line of the report.
#ifndef CHECKKERN_CLAIMS_H
#define CHECKKERN_CLAIMS_H

#include "checkkern_vector.h"

// Counts a check of the reference; what was expected is told when it did not hold.
static void ck_claim(ck_result *k, bool good, const char *claim, int32_t at, double got,
                     double want) {
    k->checks++;
    if (good || k->failed) return;
    k->failed = true;
    snprintf(k->text, sizeof k->text, "claim: %s, at %d: got %.9g want %.9g", claim, at, got, want);
}

static bool ck_near(double got, double want, double tolerance) {
    return fabs(got - want) <= tolerance;
}

// The dequantize reference of a type.
static ch_dequantize_fn *ck_dequantize_reference(ch_type type) {
    for (int32_t i = 0; i < ch_kernel_count(); i++) {
        const ch_kernel *k = ch_kernel_at(i);
        if (k->family == CH_FAMILY_DEQUANTIZE && k->variant == (int32_t)type && k->cpu == 0)
            return (ch_dequantize_fn *)k->fn;
    }
    return NULL;
}

static ch_mm_fn *ck_matvec_reference(ch_type type) {
    return (ch_mm_fn *)ch_kernel_at(ch_kernel_find(CH_FAMILY_MATVEC, (int32_t)type, 0))->fn;
}

enum { CK_CLAIM_ROWS = 20, CK_CLAIM_N = 11 };

typedef struct ck_claim_mm {
    ch_mm_args a;
    ck_mm_set set;
    float by_matvec[CK_CLAIM_N * CK_CLAIM_ROWS], by_gemm[CK_CLAIM_N * CK_CLAIM_ROWS];
} ck_claim_mm;

// 11 columns times 20 rows, by matvec (eight columns, then three) and by gemm.
static void ck_claim_multiply(ck_claim_mm *m, ch_type type, int32_t k, ch_mm_fn *gemm) {
    memset(m, 0, sizeof *m);
    m->set.type = type;
    m->set.k = k;
    m->set.weights = CK_W_RANDOM;
    ck_mm_prepare(&m->set);
    m->a.w = ck_at_start(CK_W_FRONT, 0);
    m->a.w_stride = ch_row_bytes(type, k);
    m->a.rows = CK_CLAIM_ROWS;
    m->a.k = k;
    m->a.y_stride = CK_CLAIM_ROWS;
    for (int32_t c = 0; c < CK_CLAIM_N; c += CH_MATVEC_COLUMNS) {
        ck_mm_set part = m->set;
        part.x += (size_t)c * (size_t)k;
        m->a.n = CH_MIN(CK_CLAIM_N - c, CH_MATVEC_COLUMNS);
        m->a.y = m->by_matvec + c * CK_CLAIM_ROWS;
        ck_mm_place_x(&part, m->a.n, &m->a);
        ck_matvec_reference(type)(&m->a, 0, CK_CLAIM_ROWS);
    }
    if (!gemm) return;
    m->set.gemm = true;
    m->a.n = CK_CLAIM_N;
    m->a.y = m->by_gemm;
    m->a.scratch = ck_at_end(CK_SCRATCH, ch_gemm_scratch_bytes(k));
    ck_mm_place_x(&m->set, CK_CLAIM_N, &m->a);
    gemm(&m->a, 0, CK_CLAIM_ROWS);
}

// matvec is the dot product of the dequantized row and of the quantized activations.
static void ck_claim_matvec_is_dot(ck_result *r, const ck_claim_mm *m) {
    static float w[CK_MAX_K];
    static uint8_t record[CK_MAX_K * 2 + 64];
    int32_t k = m->a.k;
    for (int32_t i = 0; i < CK_CLAIM_ROWS * CK_CLAIM_N; i++) {
        int32_t c = i / CK_CLAIM_ROWS, row = i % CK_CLAIM_ROWS;
        const float *x = m->set.x + (size_t)c * (size_t)k;
        ck_dequantize_reference(m->set.type)(m->a.w + (size_t)row * m->a.w_stride, w, k);
        bool floats = ck_is_float_type(m->set.type);
        if (!floats) ck_quantize(x, 1, k, 1, record, 0);
        ch_q8 q = ch_q8_view(record, k, 1);
        double dot = 0, size = 0;
        for (int32_t e = 0; e < k; e++) {
            double v = floats ? (double)x[e] : (double)q.q[e] * (double)q.d[e / 32];
            dot += (double)w[e] * v;
            size += fabs((double)w[e] * v);
        }
        ck_claim(r, ck_near((double)m->by_matvec[i], dot, size * 2e-6), "matvec is the dot product",
                 i, (double)m->by_matvec[i], dot);
    }
}

static void ck_claims_matmul(ck_group *g, bool gemm) {
    static ck_claim_mm m;
    ck_result *r = g->reference;
    int32_t ks[16], count = ck_list_k((ch_type)g->variant, ks);
    for (int32_t i = 0; i < count; i += 3) {
        ck_claim_multiply(&m, (ch_type)g->variant, ks[i], gemm ? (ch_mm_fn *)r->kernel->fn : NULL);
        if (!gemm) ck_claim_matvec_is_dot(r, &m);
        for (int32_t j = 0; gemm && j < CK_CLAIM_ROWS * CK_CLAIM_N; j++)
            ck_claim(r, memcmp(&m.by_gemm[j], &m.by_matvec[j], 4) == 0, "gemm equals matvec", j,
                     (double)m.by_gemm[j], (double)m.by_matvec[j]);
    }
}

// A column's quants do not depend on the group it stands in, and are within half a step of x.
static void ck_claims_quantize(ck_result *r) {
    static uint8_t one[4 * 256 * 2], eight[4 * 256 * 16];
    int32_t k = 160;
    ck_fill_floats(ck_x, (size_t)(k * CH_GROUP), CK_BELL);
    ck_quantize(ck_x, CH_GROUP, k, CH_GROUP, eight, 0);
    ch_q8 b = ch_q8_view(eight, k, CH_GROUP);
    for (int32_t c = 0; c < CH_GROUP; c++) {
        ck_quantize(ck_x + c * k, 1, k, 1, one, 0);
        ch_q8 a = ch_q8_view(one, k, 1);
        for (int32_t e = 0; e < k; e++) {
            int32_t at = (e / 4 * CH_GROUP + c) * 4 + e % 4, block = e / 32;
            double x = (double)ck_x[c * k + e], d = (double)a.d[block];
            ck_claim(r, a.q[e] == b.q[at], "groups of 1 and 8 have the same q", e, a.q[e], b.q[at]);
            ck_claim(r, ck_near(d * a.q[e], x, d * 0.50001), "q is x / d", e, d * a.q[e], x);
        }
        for (int32_t i = 0; i < k / 32; i++) {
            int32_t at = i * CH_GROUP + c, sum = 0;
            for (int32_t e = 0; e < 32; e++) sum += a.q[32 * i + e];
            ck_claim(r, a.d[i] == b.d[at] && a.sx[i] == b.sx[at] && a.s32[i] == b.s32[at],
                     "groups of 1 and 8 have the same scales", i, (double)b.d[at], (double)a.d[i]);
            ck_claim(r, a.s32[i] == sum && a.s16[2 * i] + a.s16[2 * i + 1] == sum, "s is a sum", i,
                     a.s32[i], sum);
        }
    }
}

static void ck_claims_pairs(ck_result *r, bool glu) {
    float a[300], b[300], y[300];
    double squares = 0;
    ck_fill_floats(a, 300, CK_BELL);
    ck_fill_floats(b, 300, CK_BELL);
    for (int32_t i = 0; i < 300; i++) squares += (double)a[i] * (double)a[i];
    for (int32_t i = 0; i < 300 && glu; i++) a[i] = a[i] * (float)(i % 29);
    if (glu)
        ch_silu_glu__c(a, b, 300, y);
    else
        ch_rmsnorm__c(a, b, 1e-5f, 300, y);
    for (int32_t i = 0; i < 300; i++) {
        double g = (double)a[i], x = glu ? g / (1 + exp(-g)) : g / sqrt(squares / 300 + 1e-5);
        x *= (double)b[i];
        ck_claim(r, ck_near((double)y[i], x, fabs(x) * 1e-6 + 1e-36),
                 glu ? "glu is silu(g) * u" : "rmsnorm", i, (double)y[i], x);
    }
}

// A rotation by angles, in double.
static void ck_claims_rope(ck_result *r) {
    for (int32_t n = 0; n < 4; n++) {
        bool neox = n % 2 == 1;
        float x[3 * 24], y[3 * 24], c[10], s[10];
        int32_t pairs = n < 2 ? 10 : 7;
        ck_fill_floats(x, 72, CK_BELL);
        memcpy(y, x, sizeof x);
        for (int32_t i = 0; i < pairs; i++) {
            c[i] = (float)cos(0.3 + i);
            s[i] = (float)sin(0.3 + i);
        }
        ch_rope__c(y, 3, 24, pairs, neox, c, s, 0.25f);
        for (int32_t i = 0; i < 72; i++) {
            int32_t e = i % 24, head = i - e, pair = neox ? e % pairs : e / 2;
            double want = (double)x[i];
            bool second = neox ? e >= pairs : e % 2 == 1;
            if (e < 2 * pairs) {
                int32_t other = neox ? (second ? e - pairs : e + pairs) : e ^ 1;
                double turn = sin(0.3 + pair) * (double)x[head + other];
                want = want * cos(0.3 + pair) + (second ? turn : -turn);
            }
            ck_claim(r, ck_near((double)y[i], want * 0.25, 1e-6), "rope rotates", i, (double)y[i],
                     want * 0.25);
        }
    }
}

static void ck_claims_exp2(ck_result *r) {
    for (int32_t i = 0; i <= 6400; i++) {
        float x = (float)-i / 100.0f;
        double want = exp2((double)x);
        ck_claim(r, ck_near((double)ch_exp2(x), want, want * 4e-6), "exp2", i, (double)ch_exp2(x),
                 want);
    }
    const float ends[] = {0.0f, -64.0f, -1000.0f, -INFINITY, NAN};
    for (int32_t i = 0; i < 5; i++) {
        double want = i == 0 ? 1 : 0x1p-64;
        ck_claim(r, (double)ch_exp2(ends[i]) == want, "exp2 at its ends", i,
                 (double)ch_exp2(ends[i]), want);
    }
}

// softmax(q K) V in double, from the vectors that were stored.
static void ck_claims_attention(ck_group *g) {
    static float k[200][64], v[200][32], q[64], y[32];
    ck_cache cache = {(ch_kv_type)g->variant, 64, 32, 256, NULL, NULL};
    ck_cache_place(&cache, 0xff);
    ck_fill_floats(q, 64, CK_BELL);
    for (int32_t p = 0; p < 200; p++) {
        ck_fill_floats(k[p], 64, CK_BELL);
        ck_fill_floats(v[p], 32, CK_BELL);
        for (int32_t e = 0; e < 64; e++) k[p][e] *= 0.2f;
        ck_store_reference(cache.type)(k[p], v[p], 64, 32, 256, p, cache.k, cache.v);
    }
    for (int32_t n = 0; n < 4; n++) {
        ch_attn_args a;
        memset(&a, 0, sizeof a);
        a.q = q;
        a.k_cache = cache.k;
        a.v_cache = cache.v;
        a.capacity = 256;
        a.y = y;
        a.head_dim = 64;
        a.value_dim = 32;
        a.pos0 = n % 2 == 0 ? 199 : 63;
        a.window = n < 2 ? 0 : 50;
        a.scratch = ck_at_end(CK_SCRATCH, ch_attn_scratch_bytes(64, 32));
        ((ch_attn_fn *)g->reference->kernel->fn)(&a, 0, 1, 0, 1);
        double sum = 0, out[32] = {0};
        for (int32_t p = a.window ? a.pos0 + 1 - a.window : 0; p <= a.pos0; p++) {
            double s = 0;
            for (int32_t e = 0; e < 64; e++) s += (double)q[e] * (double)k[p][e];
            sum += exp(s);
            for (int32_t e = 0; e < 32; e++) out[e] += exp(s) * (double)v[p][e];
        }
        double tolerance = cache.type == CH_KV_F32 ? 1e-5 : cache.type == CH_KV_Q8_0 ? 3e-2 : 3e-3;
        for (int32_t e = 0; e < 32; e++)
            ck_claim(g->reference, ck_near((double)y[e], out[e] / sum, tolerance),
                     "attention is softmax(q K) V", e, (double)y[e], out[e] / sum);
    }
}

// The claims about a group's reference.
static void ck_test_claims(ck_group *g) {
    switch (g->family) {
    case CH_FAMILY_MATVEC:
        ck_claims_matmul(g, false);
        break;
    case CH_FAMILY_GEMM:
        ck_claims_matmul(g, true);
        break;
    case CH_FAMILY_QUANTIZE:
        ck_claims_quantize(g->reference);
        break;
    case CH_FAMILY_RMSNORM:
        ck_claims_pairs(g->reference, false);
        break;
    case CH_FAMILY_GLU:
        ck_claims_pairs(g->reference, true);
        break;
    case CH_FAMILY_ROPE:
        ck_claims_rope(g->reference);
        break;
    case CH_FAMILY_ATTENTION:
        ck_claims_attention(g);
        if (g->variant == CH_KV_Q16) ck_claims_exp2(g->reference);
        break;
    default:
        break;
    }
}

#endif
