// checkgles: proves every compute shader against the C reference, within rounding.
//
// Owns: inputs, comparisons, the report. Shapes are odd on purpose; weights are cut into slabs far
// smaller than a device would want. Exit status 77 where there is no driver.
#include "../src/engine/gles.h"
#include "../src/engine/gles_pack.h"
#include "../src/engine/sampler.h"
#include "../src/model/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CG_SKIPPED = 77 };

static ch_gles cg;
static int cg_passed, cg_failed;

static void cg_die(const char *text) {
    fprintf(stderr, "checkgles: %s\n", text);
    exit(2);
}

static void *cg_take(size_t bytes) {
    void *p = calloc(1, bytes + 64);
    if (!p) cg_die("no memory");
    return p;
}

// ---- random numbers

static uint64_t cg_state = 1;

// splitmix64 (public domain, Sebastiano Vigna)
static uint64_t cg_random(void) {
    uint64_t z = (cg_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static float cg_float(void) {
    return (float)(int32_t)(cg_random() >> 40) * (1.0f / 8388608.0f) - 1.0f;
}

static void cg_fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = cg_float();
}

static uint16_t cg_half(float most) {
    return ch_f16_from_f32(cg_float() * most);
}

// A row of k weights: any quants, scales that keep values near one.
static void cg_row(ch_type type, uint8_t *row, int32_t k) {
    size_t bytes = ch_row_bytes(type, k);
    const ch_type_info *info = ch_type_get(type);
    for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)cg_random();
    for (size_t at = 0; at < bytes; at += info->block_bytes) {
        uint16_t d = cg_half(0.1f), m = cg_half(0.5f);
        uint8_t *b = row + at;
        if (type == CH_TYPE_F32) {
            float f = cg_float();
            memcpy(b, &f, 4);
        } else if (type == CH_TYPE_F16) {
            d = cg_half(1.0f);
            memcpy(b, &d, 2);
        } else if (type == CH_TYPE_BF16) {
            float f = cg_float();
            memcpy(b, (const uint8_t *)&f + 2, 2);
        } else if (type == CH_TYPE_Q2_K) {
            memcpy(((ch_block_q2_k *)(void *)b)->scales + 16 + 64, &d, 2);
            m = cg_half(0.05f);
            memcpy(&((ch_block_q2_k *)(void *)b)->dmin, &m, 2);
        } else if (type == CH_TYPE_Q3_K) {
            d = cg_half(0.02f);
            memcpy(&((ch_block_q3_k *)(void *)b)->d, &d, 2);
        } else if (type == CH_TYPE_Q6_K) {
            d = cg_half(0.001f);
            memcpy(&((ch_block_q6_k *)(void *)b)->d, &d, 2);
        } else {
            if (type == CH_TYPE_Q4_K || type == CH_TYPE_Q5_K)
                d = cg_half(0.003f), m = cg_half(0.01f);
            if (type == CH_TYPE_Q8_0) d = cg_half(0.01f);
            memcpy(b, &d, 2);
            if (info->block_bytes == 20 || info->block_bytes == 24 || info->block_elements == 256)
                memcpy(b + 2, &m, 2);
        }
    }
}

// ---- the device's side

static GLuint cg_buffer(const void *data, size_t bytes) {
    GLuint id = 0;
    chord_error error;
    if (ch_gles_buffer_open(&cg, bytes, GL_DYNAMIC_COPY, &id, &error)) cg_die(error.message);
    CH_GL(&cg, BindBuffer, (GL_SHADER_STORAGE_BUFFER, id));
    if (data) CH_GL(&cg, BufferSubData, (GL_SHADER_STORAGE_BUFFER, 0, (GLsizeiptr)bytes, data));
    return id;
}

static void cg_read(GLuint id, void *data, size_t bytes) {
    chord_error error;
    CH_GL(&cg, MemoryBarrier, (GL_BUFFER_UPDATE_BARRIER_BIT));
    CH_GL(&cg, BindBuffer, (GL_SHADER_STORAGE_BUFFER, id));
    const void *at =
        cg.call.gl.MapBufferRange(GL_SHADER_STORAGE_BUFFER, 0, (GLsizeiptr)bytes, GL_MAP_READ_BIT);
    if (at) memcpy(data, at, bytes);
    cg.call.gl.UnmapBuffer(GL_SHADER_STORAGE_BUFFER);
    if (ch_gles_check(&cg, &error)) cg_die(error.message);
}

static GLuint cg_program(ch_shader shader, const char *defines) {
    GLuint id = 0;
    chord_error error;
    if (ch_gles_program_open(&cg, shader, defines, &id, &error)) cg_die(error.message);
    return id;
}

// ---- comparing

// The largest difference, by the size of what was summed.
static void cg_compare(const char *name, const float *got, const float *want, const float *size,
                       size_t n, double tolerance) {
    double worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]) / ((double)size[i] + 1e-30);
        if (!(d <= worst)) worst = d, at = i;
    }
    bool good = worst <= tolerance;
    printf("%-4s %-44s %.1e (at most %.0e)", good ? "ok" : "FAIL", name, worst, tolerance);
    if (!good) printf(": number %zu is %g, wanted %g", at, (double)got[at], (double)want[at]);
    putchar('\n');
    *(good ? &cg_passed : &cg_failed) += 1;
}

// ---- products

typedef struct cg_product {
    ch_type type;
    int32_t rows, k, n;
    bool many, norm, glu, bias, add;
    int32_t segments, slab; // slab: rows at most
} cg_product;

// In double, from the weights as the C reference dequantizes them; `size` is the sum of magnitudes.
static void cg_product_reference(const cg_product *p, const uint8_t *w, const float *x,
                                 const float *norm, const float *bias, float *y, float *size) {
    size_t k = (size_t)p->k, stride = ch_row_bytes(p->type, p->k);
    float *row = (float *)cg_take(k * 4), *xn = (float *)cg_take(k * 4);
    ch_dequantize_fn *dequantize =
        (ch_dequantize_fn *)ch_kernel_at(ch_kernel_find(CH_FAMILY_DEQUANTIZE, p->type, 0))->fn;
    for (int32_t c = 0; c < p->n; c++)
        for (int32_t r = 0; r < p->rows; r++) {
            dequantize(w + (size_t)r * stride, row, p->k);
            memcpy(xn, x + (size_t)c * k, k * 4);
            if (p->norm) ch_rmsnorm__c(x + (size_t)c * k, norm, 1e-5f, p->k, xn);
            double sum = 0, most = 0;
            for (size_t i = 0; i < k; i++) {
                sum += (double)row[i] * (double)xn[i];
                most += fabs((double)row[i] * (double)xn[i]);
            }
            if (p->bias) sum += (double)bias[r];
            size_t at = (size_t)c * (size_t)p->rows + (size_t)r;
            y[at] = (float)(p->add ? (double)y[at] + sum : sum);
            size[at] = (float)(most + 1);
        }
    free(row);
    free(xn);
}

// Where row r of the matrix stands in the order in which rows are uploaded.
static int32_t cg_order(const cg_product *p, int32_t r) {
    return p->glu ? (r < p->rows / 2 ? 2 * r : 2 * (r - p->rows / 2) + 1) : r;
}

static void cg_defines(char *out, size_t capacity, ch_type type, int32_t columns, bool norm,
                       bool glu) {
    char name[16];
    snprintf(name, sizeof name, "%s", ch_type_get(type)->name);
    for (char *c = name; *c; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
    snprintf(out, capacity, "#define TYPE_%s\n#define COLUMNS %d\n%s%s", name, (int)columns,
             norm ? "#define NORM\n" : "", glu ? "#define GLU\n" : "");
}

static void cg_product_slab(const cg_product *p, GLuint program, const uint8_t *w, GLuint act,
                            size_t act_bytes, const uint32_t *params, int32_t first, int32_t rows) {
    ch_gles_row layout = ch_gles_row_of(p->type, p->k);
    size_t low = (size_t)layout.low * (size_t)rows, high = (size_t)layout.high * (size_t)rows;
    size_t side = (size_t)ch_gles_side_bytes(&layout, rows) + 4;
    uint8_t *bytes = (uint8_t *)cg_take(low + side);
    for (int32_t r = 0; r < p->rows; r++) {
        int32_t at = cg_order(p, r) - first;
        if (at < 0 || at >= rows) continue;
        ch_gles_pack_row(p->type, p->k, w + (size_t)r * ch_row_bytes(p->type, p->k),
                         bytes + (size_t)at * layout.low, bytes + low + (size_t)at * layout.high,
                         bytes + low + high + (size_t)at * layout.scales);
    }
    GLuint low_id = cg_buffer(bytes, low), side_id = cg_buffer(bytes + low, side);
    uint32_t mine[CH_GLES_PARAMS * 4];
    memcpy(mine, params, sizeof mine);
    mine[4] = (uint32_t)first;
    mine[5] = (uint32_t)rows;
    mine[6] = (uint32_t)layout.blocks;
    mine[7] = (uint32_t)(high / 4);
    ch_gles_range ranges[4] = {
        {low_id, 0, low}, {side_id, 0, side}, {act, 0, act_bytes}, {act, 0, act_bytes}};
    uint32_t groups[3] = {(uint32_t)ch_ceil_div(rows, p->many ? 64 : 8),
                          p->many ? (uint32_t)ch_ceil_div(p->n, 64) : 1, 1};
    ch_gles_dispatch(&cg, program, mine, ranges, 4, groups);
    CH_GL(&cg, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
    CH_GL(&cg, Finish, ());
    CH_GL(&cg, DeleteBuffers, (1, &low_id));
    CH_GL(&cg, DeleteBuffers, (1, &side_id));
    free(bytes);
}

// Floats of the activations: x, norm weights, bias, results.
static void cg_product_run(const cg_product *p, const uint8_t *w, float *all, size_t n_all,
                           const size_t at[4]) {
    char defines[128];
    cg_defines(defines, sizeof defines, p->type, p->n > 1 ? CH_MATVEC_COLUMNS : 1, p->norm, p->glu);
    GLuint program = cg_program(p->many ? CH_SHADER_MATMUL : CH_SHADER_MATVEC, defines);
    GLuint act = cg_buffer(all, n_all * 4);
    uint32_t params[CH_GLES_PARAMS * 4] = {0};
    float epsilon = 1e-5f;
    params[0] = (uint32_t)(at[0] / 4);
    params[1] = (uint32_t)(p->k / 4);
    params[2] = (uint32_t)p->k;
    params[3] = (uint32_t)p->n;
    params[11] = p->add;
    params[15] = (uint32_t)(at[1] / 4);
    memcpy(&params[19], &epsilon, 4);
    uint32_t begin = 0;
    for (int32_t s = 0; s < 3; s++) {
        uint32_t rows = p->segments == 1 ? (s ? 0 : (uint32_t)p->rows)
                                         : (uint32_t)p->rows * (uint32_t)(s + 1) / 3 - begin;
        if (p->glu) rows = s < 2 ? (uint32_t)p->rows / 2 : 0;
        params[8 + s] = (uint32_t)at[3] + begin * (uint32_t)p->n;
        params[16 + s] = p->bias ? (uint32_t)at[2] + begin : UINT32_MAX;
        begin += rows;
        params[12 + s] = begin;
    }
    for (int32_t first = 0; first < p->rows; first += p->slab)
        cg_product_slab(p, program, w, act, n_all * 4, params, first,
                        CH_MIN(p->slab, p->rows - first));
    cg_read(act, all, n_all * 4);
    CH_GL(&cg, DeleteBuffers, (1, &act));
    CH_GL(&cg, DeleteProgram, (program));
}

// Results of segments stand apart, glu's are half as many: brings `y` and `size` to their form.
static void cg_product_arrange(const cg_product *p, float *y, float *size) {
    size_t rows = (size_t)p->rows, n = (size_t)p->n, half = rows / 2;
    float *a = (float *)cg_take(rows * n * 4), *b = (float *)cg_take(rows * n * 4);
    size_t at = 0, begin = 0;
    for (size_t s = 0; s < (p->segments == 1 ? 1u : 3u) && !p->glu; s++) {
        size_t end = p->segments == 1 ? rows : rows * (s + 1) / 3;
        for (size_t c = 0; c < n; c++)
            for (size_t r = begin; r < end; r++, at++) {
                a[at] = y[c * rows + r];
                b[at] = size[c * rows + r];
            }
        begin = end;
    }
    for (size_t c = 0; c < n && p->glu; c++)
        for (size_t r = 0; r < half; r++) {
            float g = y[c * rows + r], u = y[c * rows + half + r];
            a[c * half + r] = g / (1 + expf(-g)) * u;
            b[c * half + r] =
                size[c * rows + r] * (fabsf(u) + 1) + size[c * rows + half + r] * fabsf(g);
        }
    memcpy(y, a, rows * n * 4);
    memcpy(size, b, rows * n * 4);
    free(a);
    free(b);
}

static void cg_test_product(const cg_product *p) {
    size_t k = (size_t)p->k, n = (size_t)p->n, rows = (size_t)p->rows;
    size_t stride = ch_row_bytes(p->type, p->k), results = rows * n;
    size_t at[4] = {0, 0, 0, 0};
    at[1] = ch_round_up(n * k, 4) + 4;
    at[2] = at[1] + ch_round_up(k, 32);
    at[3] = at[2] + ch_round_up(rows, 4);
    size_t n_all = at[3] + results + 32;
    uint8_t *w = (uint8_t *)cg_take(rows * stride);
    float *all = (float *)cg_take(n_all * 4), *y = (float *)cg_take(results * 4),
          *size = (float *)cg_take(results * 4);
    for (size_t r = 0; r < rows; r++) cg_row(p->type, w + r * stride, p->k);
    cg_fill(all, n_all);
    memset(all + at[1] + k, 0, (at[2] - at[1] - k) * 4);
    if (p->add) memcpy(y, all + at[3], results * 4);
    cg_product_reference(p, w, all, all + at[1], all + at[2], y, size);
    if (!p->add || p->segments == 1) cg_product_arrange(p, y, size);
    cg_product_run(p, w, all, n_all, at);
    char name[80];
    snprintf(name, sizeof name, "%s_%s %dx%d n %d%s%s%s%s%s%s", p->many ? "matmul" : "matvec",
             ch_type_get(p->type)->name, (int)p->rows, (int)p->k, (int)p->n, p->norm ? " norm" : "",
             p->glu ? " glu" : "", p->bias ? " bias" : "", p->add ? " add" : "",
             p->segments > 1 ? " parts" : "", p->slab < p->rows ? " slabs" : "");
    cg_compare(name, all + at[3], y, size, p->glu ? results / 2 : results, 2e-6);
    free(w);
    free(all);
    free(y);
    free(size);
}

static void cg_test_products(void) {
    for (int32_t t = 0; t < CH_TYPE_COUNT; t++) {
        int32_t block = ch_type_get((ch_type)t)->block_elements;
        int32_t k = block == 1 ? 172 : block == 32 ? 96 : 512, all = 1 << 20;
        const cg_product cases[] = {
            {(ch_type)t, 37, k, 1, false, false, false, false, true, 1, all},
            {(ch_type)t, 34, k, 1, false, true, true, true, false, 1, 12},
            {(ch_type)t, 29, 5 * k, 7, false, true, false, true, false, 3, 14},
            {(ch_type)t, 70, k, 67, true, false, false, true, true, 1, all},
            {(ch_type)t, 74, k, 9, true, false, true, true, false, 1, 66},
            {(ch_type)t, 75, k, 10, true, false, false, true, false, 3, 66},
        };
        for (size_t i = 0; i < CH_COUNT(cases); i++) cg_test_product(&cases[i]);
    }
}

// ---- embedding, norm, glu

static void cg_test_embed(ch_type type) {
    int32_t block = ch_type_get(type)->block_elements, k = block == 1 ? 36 : block * 3, n = 5;
    enum { ROWS = 11 };
    size_t stride = ch_row_bytes(type, k), floats = (size_t)n * (size_t)k;
    const uint32_t tokens[5] = {10, 0, 7, 7, 3};
    uint8_t *w = (uint8_t *)cg_take(ROWS * stride);
    float *got = (float *)cg_take(floats * 4), *want = (float *)cg_take(floats * 4),
          *ones = (float *)cg_take(floats * 4);
    for (int32_t r = 0; r < ROWS; r++) cg_row(type, w + (size_t)r * stride, k);
    ch_dequantize_fn *dequantize =
        (ch_dequantize_fn *)ch_kernel_at(ch_kernel_find(CH_FAMILY_DEQUANTIZE, type, 0))->fn;
    for (int32_t c = 0; c < n; c++)
        dequantize(w + tokens[c] * stride, want + (size_t)c * (size_t)k, k);
    for (size_t i = 0; i < floats; i++) ones[i] = 1 + fabsf(want[i]);
    char defines[128];
    cg_defines(defines, sizeof defines, type, 1, false, false);
    GLuint program = cg_program(CH_SHADER_EMBED, defines), act = cg_buffer(NULL, floats * 4),
           ids = cg_buffer(tokens, sizeof tokens);
    ch_gles_row layout = ch_gles_row_of(type, k);
    for (int32_t first = 0; first < ROWS; first += 6) { // two slabs
        int32_t rows = CH_MIN(6, ROWS - first);
        size_t low = (size_t)layout.low * (size_t)rows, high = (size_t)layout.high * (size_t)rows;
        size_t side = (size_t)ch_gles_side_bytes(&layout, rows) + 4;
        uint8_t *bytes = (uint8_t *)cg_take(low + side);
        for (int32_t r = 0; r < rows; r++)
            ch_gles_pack_row(type, k, w + (size_t)(first + r) * stride,
                             bytes + (size_t)r * layout.low, bytes + low + (size_t)r * layout.high,
                             bytes + low + high + (size_t)r * layout.scales);
        GLuint low_id = cg_buffer(bytes, low), side_id = cg_buffer(bytes + low, side);
        uint32_t params[CH_GLES_PARAMS * 4] = {0,
                                               0,
                                               (uint32_t)k,
                                               0,
                                               (uint32_t)first,
                                               (uint32_t)rows,
                                               (uint32_t)layout.blocks,
                                               (uint32_t)(high / 4)};
        ch_gles_range ranges[4] = {
            {low_id, 0, low}, {side_id, 0, side}, {ids, 0, sizeof tokens}, {act, 0, floats * 4}};
        uint32_t groups[3] = {(uint32_t)ch_ceil_div(k, 8 * 128), (uint32_t)n, 1};
        ch_gles_dispatch(&cg, program, params, ranges, 4, groups);
        CH_GL(&cg, Finish, ());
        CH_GL(&cg, DeleteBuffers, (1, &low_id));
        CH_GL(&cg, DeleteBuffers, (1, &side_id));
        free(bytes);
    }
    cg_read(act, got, floats * 4);
    char name[64];
    snprintf(name, sizeof name, "embed_%s", ch_type_get(type)->name);
    cg_compare(name, got, want, ones, floats, 1e-6);
    CH_GL(&cg, DeleteBuffers, (1, &act));
    CH_GL(&cg, DeleteBuffers, (1, &ids));
    CH_GL(&cg, DeleteProgram, (program));
    free(w);
    free(got);
    free(want);
    free(ones);
}

// Norm and glu read and write one buffer: two inputs of n rows, then the result.
static void cg_test_rows(ch_shader shader, const char *name, int32_t k, int32_t n) {
    size_t floats = (size_t)n * (size_t)k;
    float *all = (float *)cg_take(3 * floats * 4), *want = (float *)cg_take(floats * 4),
          *ones = (float *)cg_take(floats * 4);
    cg_fill(all, 3 * floats);
    for (size_t i = 0; i < 2 * floats; i++) all[i] *= 4;
    for (int32_t r = 0; r < n; r++) {
        size_t at = (size_t)r * (size_t)k;
        if (shader == CH_SHADER_NORM)
            ch_rmsnorm__c(all + at, all + floats, 1e-5f, k, want + at);
        else
            ch_silu_glu__c(all + at, all + floats + at, k, want + at);
    }
    for (size_t i = 0; i < floats; i++) ones[i] = 1 + fabsf(want[i]);
    GLuint program = cg_program(shader, ""), act = cg_buffer(all, 3 * floats * 4);
    uint32_t quads = (uint32_t)k / 4, one = (uint32_t)(floats / 4);
    uint32_t norm[CH_GLES_PARAMS * 4] = {0, 2 * one, quads, one},
                                   glu[CH_GLES_PARAMS * 4] = {0, one, 2 * one, 0, quads};
    float epsilon = 1e-5f;
    memcpy(&norm[4], &epsilon, 4);
    ch_gles_range ranges[4] = {
        {0, 0, 0}, {0, 0, 0}, {act, 0, 3 * floats * 4}, {act, 0, 3 * floats * 4}};
    uint32_t groups[3] = {(uint32_t)n, 1, 1};
    if (shader == CH_SHADER_GLU)
        groups[0] = (uint32_t)ch_ceil_div((int32_t)quads, 128), groups[1] = (uint32_t)n;
    ch_gles_dispatch(&cg, program, shader == CH_SHADER_NORM ? norm : glu, ranges, 4, groups);
    cg_read(act, all, 3 * floats * 4);
    char text[64];
    snprintf(text, sizeof text, "%s %dx%d", name, (int)n, (int)k);
    cg_compare(text, all + 2 * floats, want, ones, floats, 2e-6);
    CH_GL(&cg, DeleteBuffers, (1, &act));
    CH_GL(&cg, DeleteProgram, (program));
    free(all);
    free(want);
    free(ones);
}

// ---- rope, the cache, attention

typedef struct cg_attention {
    ch_kv_type kv;
    int32_t heads, kv_heads, dim, value_dim, pairs;
    bool neox;
    int32_t before, n, rows; // positions before, tokens, queries that a work group takes
    int32_t part; // one token: it is rotated on the way, in parts of that many; 0: not so
} cg_attention;

enum { CG_CAPACITY = 192 };

// Offsets in floats: q, k, v, the result, the two tables of rope.
typedef struct cg_places {
    size_t q, k, v, out, table, table64, end;
} cg_places;

static cg_places cg_place(const cg_attention *a, int32_t n) {
    cg_places p;
    p.q = 0;
    p.k = p.q + (size_t)(n * a->heads * a->dim);
    p.v = p.k + (size_t)(n * a->kv_heads * a->dim);
    p.out = p.v + (size_t)(n * a->kv_heads * a->value_dim);
    p.table = p.out + (size_t)(n * a->heads * a->value_dim);
    p.table64 = p.table + 64 * 2 * (size_t)a->pairs;
    p.end = p.table64 + 4 * 2 * (size_t)a->pairs;
    return p;
}

static double cg_angle(int32_t position, int32_t pair) {
    return (double)position * pow(10000.0, -(double)pair / 16.0);
}

// The C reference, for n tokens from `position` on; its caches are [kv head].
static void cg_attention_reference(const cg_attention *a, float *x, cg_places p, int32_t position,
                                   int32_t n, uint8_t **keys, uint8_t **values, float *y) {
    float c[128], s[128], scale = 1.0f / sqrtf((float)a->dim);
    ch_kv_store_fn *store =
        (ch_kv_store_fn *)ch_kernel_at(ch_kernel_find(CH_FAMILY_KV_STORE, a->kv, 0))->fn;
    ch_attn_fn *attend =
        (ch_attn_fn *)ch_kernel_at(ch_kernel_find(CH_FAMILY_ATTENTION, a->kv, 0))->fn;
    for (int32_t t = 0; t < n; t++) {
        for (int32_t i = 0; i < a->pairs; i++) {
            c[i] = (float)cos(cg_angle(position + t, i));
            s[i] = (float)sin(cg_angle(position + t, i));
        }
        float *k = x + p.k + (size_t)(t * a->kv_heads * a->dim);
        ch_rope__c(x + p.q + (size_t)(t * a->heads * a->dim), a->heads, a->dim, a->pairs, a->neox,
                   c, s, scale);
        ch_rope__c(k, a->kv_heads, a->dim, a->pairs, a->neox, c, s, 1.0f);
        for (int32_t h = 0; h < a->kv_heads; h++)
            store(k + (size_t)(h * a->dim),
                  x + p.v + (size_t)((t * a->kv_heads + h) * a->value_dim), a->dim, a->value_dim,
                  CG_CAPACITY, position + t, keys[h], values[h]);
    }
    ch_attn_args args;
    memset(&args, 0, sizeof args);
    args.q = x + p.q;
    args.q_stride = (size_t)(a->heads * a->dim);
    args.capacity = CG_CAPACITY;
    args.y = y;
    args.y_stride = (size_t)(a->heads * a->value_dim);
    args.head_dim = a->dim;
    args.value_dim = a->value_dim;
    args.pos0 = position;
    int32_t each = a->heads / a->kv_heads;
    for (int32_t h = 0; h < a->kv_heads; h++) {
        args.k_cache = keys[h];
        args.v_cache = values[h];
        attend(&args, h * each, (h + 1) * each, 0, n);
    }
}

// The programs of a case: rope, attention, the same that rotates, combine.
enum { CG_ROPE, CG_ATTEND, CG_ROTATE, CG_COMBINE, CG_PROGRAMS };

// The same on the device: results in y.
static void cg_attention_device(const cg_attention *a, const GLuint *programs, const float *x,
                                cg_places p, int32_t position, int32_t n, const GLuint caches[2],
                                float *y) {
    size_t each = a->kv == CH_KV_F16 ? 2 : 4, heads = (size_t)a->kv_heads * CG_CAPACITY;
    bool rotates = a->part && n == 1;
    uint32_t parts = rotates ? (uint32_t)ch_ceil_div(position + 1, a->part) : 1;
    size_t bytes = (p.end + parts * (size_t)(a->heads * (a->value_dim + 2))) * 4;
    GLuint act = cg_buffer(NULL, bytes);
    CH_GL(&cg, BufferSubData, (GL_SHADER_STORAGE_BUFFER, 0, (GLsizeiptr)(p.end * 4), x));
    ch_gles_range ranges[4] = {{caches[0], 0, heads * (size_t)a->dim * each},
                               {caches[1], 0, heads * (size_t)a->value_dim * each},
                               {act, 0, bytes},
                               {act, 0, bytes}};
    uint32_t items =
        (uint32_t)((a->heads + a->kv_heads) * a->dim / 2 + a->kv_heads * a->value_dim / 2);
    float scale = 1.0f / sqrtf((float)a->dim);
    uint32_t rope[CH_GLES_PARAMS * 4] = {(uint32_t)p.q,
                                         (uint32_t)p.k,
                                         (uint32_t)p.v,
                                         (uint32_t)p.table,
                                         (uint32_t)a->heads,
                                         (uint32_t)a->heads,
                                         (uint32_t)a->kv_heads,
                                         (uint32_t)a->kv_heads,
                                         (uint32_t)a->dim / 2,
                                         (uint32_t)a->value_dim / 2,
                                         (uint32_t)a->pairs,
                                         (uint32_t)position,
                                         CG_CAPACITY,
                                         0,
                                         0,
                                         (uint32_t)p.table64};
    uint32_t attention[CH_GLES_PARAMS * 4] = {(uint32_t)p.q / 4,
                                              (uint32_t)p.out / 2,
                                              (uint32_t)a->heads,
                                              (uint32_t)(a->heads / a->kv_heads),
                                              (uint32_t)position,
                                              (uint32_t)n,
                                              CG_CAPACITY,
                                              0,
                                              parts,
                                              (uint32_t)a->part,
                                              (uint32_t)p.end / 2,
                                              (uint32_t)a->pairs,
                                              (uint32_t)p.k,
                                              (uint32_t)p.v,
                                              (uint32_t)p.table,
                                              (uint32_t)p.table64};
    uint32_t combine[CH_GLES_PARAMS * 4] = {(uint32_t)p.end / 2, (uint32_t)p.out / 2,
                                            (uint32_t)a->value_dim / 2, parts};
    memcpy(&rope[14], &scale, 4);
    memcpy(&attention[16], &scale, 4);
    uint32_t rope_groups[3] = {(items + 127) / 128, (uint32_t)n, 1};
    uint32_t groups[3] = {(uint32_t)a->kv_heads,
                          (uint32_t)ch_ceil_div(n * a->heads / a->kv_heads, a->rows), parts};
    uint32_t head_groups[3] = {(uint32_t)a->heads, 1, 1};
    if (!rotates) ch_gles_dispatch(&cg, programs[CG_ROPE], rope, ranges, 4, rope_groups);
    CH_GL(&cg, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
    ch_gles_dispatch(&cg, programs[rotates ? CG_ROTATE : CG_ATTEND], attention, ranges, 4, groups);
    CH_GL(&cg, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
    if (parts > 1) ch_gles_dispatch(&cg, programs[CG_COMBINE], combine, ranges, 4, head_groups);
    float *all = (float *)cg_take(p.end * 4);
    cg_read(act, all, p.end * 4);
    memcpy(y, all + p.out, (p.table - p.out) * 4);
    free(all);
    CH_GL(&cg, DeleteBuffers, (1, &act));
}

static void cg_inputs(const cg_attention *a, cg_places p, float *x) {
    cg_fill(x, p.table);
    for (int32_t t = 0; t < 68; t++)
        for (int32_t i = 0; i < a->pairs; i++) {
            double angle = cg_angle(t < 64 ? t : 64 * (t - 64), i);
            x[p.table + 2 * (size_t)(t * a->pairs + i)] = (float)cos(angle);
            x[p.table + 2 * (size_t)(t * a->pairs + i) + 1] = (float)sin(angle);
        }
}

static void cg_test_attention(const cg_attention *a) {
    char defines[160], name[96];
    const char *kv = a->kv == CH_KV_F16 ? "#define KV_F16\n" : "";
    snprintf(defines, sizeof defines, "#define ROWS %d\n#define QUADS %d\n#define PAIRS %d\n%s",
             (int)a->rows, (int)a->dim / 4, (int)a->value_dim / 2, kv);
    GLuint programs[CG_PROGRAMS], caches[2];
    programs[CG_ATTEND] = cg_program(CH_SHADER_ATTENTION, defines);
    size_t used = strlen(defines);
    snprintf(defines + used, sizeof defines - used, "#define ROPE\n%s",
             a->neox ? "#define NEOX\n" : "");
    programs[CG_ROTATE] = cg_program(CH_SHADER_ATTENTION, defines);
    snprintf(defines, sizeof defines, "%s%s", kv, a->neox ? "#define NEOX\n" : "");
    programs[CG_ROPE] = cg_program(CH_SHADER_ROPE, defines);
    programs[CG_COMBINE] = cg_program(CH_SHADER_COMBINE, "");
    size_t cache = (size_t)a->kv_heads * CG_CAPACITY * 4;
    caches[0] = cg_buffer(NULL, cache * (size_t)a->dim);
    caches[1] = cg_buffer(NULL, cache * (size_t)a->value_dim);
    uint8_t *keys[16], *values[16];
    for (int32_t h = 0; h < a->kv_heads; h++) {
        keys[h] = (uint8_t *)cg_take(CG_CAPACITY * (size_t)a->dim * 4);
        values[h] = (uint8_t *)cg_take(CG_CAPACITY * (size_t)a->value_dim * 4);
    }
    // What is before, then the tokens, then one more, which finds what the former has stored.
    for (int32_t step = a->before ? 0 : 1; step < 3; step++) {
        int32_t n = step == 0 ? a->before : step == 1 ? a->n : 1;
        int32_t position = step == 0 ? 0 : step == 1 ? a->before : a->before + a->n;
        cg_places p = cg_place(a, n);
        size_t results = p.table - p.out;
        float *x = (float *)cg_take(p.end * 4), *got = (float *)cg_take(results * 4),
              *want = (float *)cg_take(results * 4), *ones = (float *)cg_take(results * 4);
        cg_inputs(a, p, x);
        cg_attention_device(a, programs, x, p, position, n, caches, got);
        cg_attention_reference(a, x, p, position, n, keys, values, want);
        for (size_t i = 0; i < results; i++) ones[i] = 1;
        snprintf(name, sizeof name, "attention_%s %d/%d heads of %d, %d%s, %d at %d, part %d",
                 a->kv == CH_KV_F16 ? "f16" : "f32", (int)a->heads, (int)a->kv_heads, (int)a->dim,
                 (int)a->value_dim, a->neox ? " neox" : "", (int)n, (int)position, (int)a->part);
        // An f16 cache may round a key the other way, since sums are rounded in another order.
        cg_compare(name, got, want, ones, results, a->kv == CH_KV_F16 ? 1e-3 : 5e-6);
        free(x);
        free(got);
        free(want);
        free(ones);
    }
    for (int32_t h = 0; h < a->kv_heads; h++) {
        free(keys[h]);
        free(values[h]);
    }
    CH_GL(&cg, DeleteBuffers, (2, caches));
    for (int32_t i = 0; i < CG_PROGRAMS; i++) CH_GL(&cg, DeleteProgram, (programs[i]));
}

// ---- the most likely tokens

typedef enum cg_logits { CG_ROUGH, CG_EQUAL, CG_RISING, CG_NAN, CG_ZEROS, CG_LOGITS } cg_logits;

static float cg_logit(cg_logits kind, int32_t i) {
    static const float strange[] = {NAN, -NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-42f, -1e-42f};
    if (kind == CG_EQUAL) return -1.5f;
    if (kind == CG_RISING) return (float)i;
    if (kind == CG_NAN) return NAN;
    if (kind == CG_ZEROS) return i % 3 ? -0.0f : 0.0f;
    uint64_t r = cg_random();
    if (r % 16 == 0) return strange[(r >> 8) % CH_COUNT(strange)];
    return floorf(cg_float() * 64.0f) / 4.0f; // many are equal
}

static int cg_compare_candidates(const void *a, const void *b) {
    const ch_candidate *x = (const ch_candidate *)a, *y = (const ch_candidate *)b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

// The first `wanted` of n in the sampler's order, exactly but in any order, by as many work groups
// as told; behind the last of them nobody.
static void cg_test_best(ch_shader shader, cg_logits kind, int32_t n, int32_t wanted,
                         uint32_t groups) {
    enum { BEFORE = 5, BEHIND = 3 }; // floats beside the logits
    static const char *const kinds[CG_LOGITS] = {"rough", "equal", "rising", "nan", "zeros"};
    size_t at = BEFORE + (size_t)n, last = at + groups * (size_t)wanted * 2,
           end = last + (size_t)wanted * 2 + BEHIND;
    uint32_t *all = (uint32_t *)cg_take(end * 4);
    ch_candidate *want = (ch_candidate *)cg_take((size_t)n * sizeof *want);
    for (int32_t i = 0; i < n; i++) {
        float logit = cg_logit(kind, i);
        memcpy(&all[BEFORE + i], &logit, 4);
        want[i].logit = logit >= -INFINITY ? logit : -INFINITY;
        want[i].id = i;
    }
    float most = INFINITY;
    for (size_t i = 0; i < BEFORE; i++) memcpy(&all[i], &most, 4);
    for (size_t i = at; i < end; i++) memcpy(&all[i], &most, 4); // not to be taken, nor changed
    qsort(want, (size_t)n, sizeof *want, cg_compare_candidates);
    const uint32_t first[CH_GLES_PARAMS * 4] = {BEFORE, (uint32_t)n, (uint32_t)at, 0,
                                                (uint32_t)wanted};
    const uint32_t again[CH_GLES_PARAMS * 4] = {(uint32_t)at, groups * (uint32_t)wanted,
                                                (uint32_t)last, 1, (uint32_t)wanted};
    GLuint program = cg_program(shader, ""), act = cg_buffer(all, end * 4);
    ch_gles_range ranges[4] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {act, 0, end * 4}};
    uint32_t many[3] = {groups, 1, 1}, one[3] = {1, 1, 1};
    ch_gles_dispatch(&cg, program, first, ranges, 4, many);
    CH_GL(&cg, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
    ch_gles_dispatch(&cg, program, again, ranges, 4, one);
    cg_read(act, all, end * 4);
    ch_candidate *got = (ch_candidate *)(void *)&all[last];
    int32_t wrong = 0, real = CH_MIN(n, wanted);
    qsort(got, (size_t)real, sizeof *got, cg_compare_candidates);
    for (int32_t i = 0; i < wanted; i++)
        wrong += i < real ? !(got[i].logit == want[i].logit && got[i].id == want[i].id)
                          : got[i].id != -1;
    for (size_t i = 0; i < BEHIND; i++) wrong += memcmp(&all[end - BEHIND + i], &most, 4) != 0;
    printf("%-4s %s %d of %d, %s, %u groups", wrong ? "FAIL" : "ok",
           shader == CH_SHADER_BEST ? "best" : "choose", (int)wanted, (int)n, kinds[kind],
           (unsigned)groups);
    if (wrong) printf(": %d are wrong", (int)wrong);
    putchar('\n');
    *(wrong ? &cg_failed : &cg_passed) += 1;
    CH_GL(&cg, DeleteBuffers, (1, &act));
    CH_GL(&cg, DeleteProgram, (program));
    free(all);
    free(want);
}

static void cg_test_choosing(void) {
    const struct {
        int32_t n, wanted;
        uint32_t groups;
    } cases[] = {{1, 1, 1},
                 {2, 1, 2},
                 {5, 5, 1},
                 {77, 40, 3},
                 {77, 100, 2},
                 {128, 128, 1},
                 {897, 128, 2},
                 {1000, 41, 1},
                 {5003, 1, 6},
                 {5003, 41, 6},
                 {5003, 128, 4},
                 {32000, 41, 36},
                 {65537, 105, CH_GPU_CHOOSERS}};
    for (size_t i = 0; i < CH_COUNT(cases); i++)
        for (int kind = 0; kind < CG_LOGITS; kind++) {
            cg_test_best(CH_SHADER_BEST, (cg_logits)kind, cases[i].n, cases[i].wanted,
                         cases[i].groups);
            if (cases[i].wanted == 1 || cases[i].n > 30000)
                cg_test_best(CH_SHADER_CHOOSE, (cg_logits)kind, cases[i].n, 1, cases[i].groups);
        }
}

static void cg_test_all(void) {
    static const cg_attention attention[] = {
        {CH_KV_F32, 4, 2, 64, 64, 32, false, 130, 1, 2, 64},
        {CH_KV_F16, 8, 1, 24, 24, 8, true, 64, 19, 8, 0},
        {CH_KV_F32, 6, 2, 128, 64, 64, true, 0, 70, 8, 192},
        {CH_KV_F16, 3, 3, 128, 128, 64, false, 63, 1, 1, 64},
        {CH_KV_F16, 12, 1, 64, 64, 20, true, 127, 1, 8, 64},
        {CH_KV_F16, 8, 4, 256, 256, 128, false, 3, 65, 4, 128},
        {CH_KV_F32, 5, 1, 80, 40, 20, false, 100, 3, 8, 0},
    };
    cg_test_rows(CH_SHADER_NORM, "norm", 172, 3);
    cg_test_rows(CH_SHADER_NORM, "norm", 2048, 2);
    cg_test_rows(CH_SHADER_GLU, "glu", 1036, 3);
    for (size_t i = 0; i < CH_COUNT(attention); i++) cg_test_attention(&attention[i]);
    for (int32_t t = 0; t < CH_TYPE_COUNT; t++) cg_test_embed((ch_type)t);
    cg_test_products();
    cg_test_choosing();
}

int main(void) {
    chord_error error = {CHORD_OK, ""};
    if (ch_gles_open(&cg, -1, true, &error)) {
        printf("skipped: %s\n", error.message);
        return CG_SKIPPED;
    }
    printf("%s, %s, %s\n", cg.info.name, cg.info.version, cg.info.platform);
    if (ch_gles_bind(&cg, &error)) cg_die(error.message);
    cg_test_all();
    ch_gles_unbind(&cg);
    ch_gles_close(&cg);
    printf("%d passed, %d failed\n", cg_passed, cg_failed);
    return cg_failed > 0;
}
