// attention_int_template: streaming attention on a cache of integers; see ch_attn_args.
//
// Included once per instruction set, after its simd header, with these macros defined (all of them
// are undefined again at the end):
//   V(name)      the vector function `name` of the simd header, and the types V(v), V(i), V(pairs),
//                V(pair): LANES floats, integers, pairs of 16-bit integers, one pair LANES times
//   AQ(name)     this instruction set's name for a function or type of this file
//   AQ_TARGET    the target attribute
//   LANES        16 or 8
//   AQ_HOW       the instruction set's part of the kernels' names
//   AQ_DOT       the vector function for sums of two products
//   AQ_INTEGERS  the function that makes integers of floats
//   AQ_BLOCK     queries of a register tile at most: 8 or 4
//
// Idea: queries (tokens x heads of one KV head) are taken CH_ATTN_ROWS at a time through the chunks
// of CH_KV_CHUNK positions. Both products are one register tile, C[q][lanes] += A[q][k] * B[k]
// [lanes], where k runs over pairs, for up to AQ_BLOCK rows q and two vectors of lanes: scores have
// A = queries, B = keys, lanes = positions, k = pairs of elements; outputs have A = weights, B =
// values, lanes = elements, k = pairs of positions. The cache is read as it stands; bytes become
// integers of 16 bits as they are loaded. What a query does not see has weight 0, so that tiles
// need not care; elements past the last one are read (they are the cache's own) and dropped at the
// end.
//
// Cost per query and position: (head_dim + value_dim) / 2 steps of AQ_DOT, 1 exp2, 3 divisions a
// chunk. Bytes per position, once for all CH_ATTN_ROWS queries: head_dim + value_dim, times 33 / 16
// for q16, 17 / 16 for q8_0.

// V with a name that is itself a macro.
#define AQ_V(name) V(name)

// Queries that go through a chunk before the next of them do.
#define AQ_PART 16
#define AQ_ROW  CH_KV_GROUP // integers in a row of A, and floats in one of scores

// What is fetched into the cache on the way: keys and values, in two steps `step` bytes of either
// from each of two places, half a chunk apart. Memory is read fastest in several streams.
typedef struct AQ(fetch) {
    const uint8_t *k, *v;
    size_t k_half, v_half; // to the other place
    size_t step;
} AQ(fetch);

// What a register tile does.
typedef struct AQ(job) {
    const int16_t *a;                    // [q][AQ_ROW]
    const uint8_t *b;                    // [k][b_step], vector v at v * b_next
    size_t b_step;                       // bytes
    size_t b_next;                       // bytes
    int32_t k;                           // pairs, at most AQ_ROW / 2
    const float *lane_scale, *row_scale; // of keys, one a lane (NULL: 1); of rows
    size_t lane_next;                    // floats to the scales of the second vector
    float *c;                            // [q][c_row]: what is added to,
    bool first;                          // or nothing yet
    size_t c_row;
    AQ(fetch) * fetch; // or NULL
} AQ(job);

// LANES pairs of the cache, as integers of 16 bits.
CH_FORCE_INLINE AQ_TARGET V(pairs) AQ(load)(ch_kv_type type, const uint8_t *p) {
    return type == CH_KV_Q16 ? V(load_pairs)(p) : V(load_byte_pairs)(p);
}

// The register tile: `type` and `rows` are constant after inlining.
CH_FORCE_INLINE AQ_TARGET void AQ(tile)(const AQ(job) * j, ch_kv_type type, int rows) {
    const int16_t *a = j->a;
    const uint8_t *b = j->b;
    AQ(fetch) fetch = {b, b, 0, 0, 0}; // nothing new
    if (j->fetch) fetch = *j->fetch;
#define AQ_EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define AQ_START(q)    V(i) c##q##0 = V(zero_i)(), c##q##1 = c##q##0;
    AQ_EACH_ROW(AQ_START)
#define AQ_ROW_STEP(q)                                                                             \
    if (q < rows) {                                                                                \
        V(pair) w = V(set1_pair)(a + q * AQ_ROW);                                                  \
        c##q##0 = AQ_V(AQ_DOT)(c##q##0, w, b0);                                                    \
        c##q##1 = AQ_V(AQ_DOT)(c##q##1, w, b1);                                                    \
    }
#define AQ_STEP                                                                                    \
    {                                                                                              \
        V(pairs) b0 = AQ(load)(type, b), b1 = AQ(load)(type, b + j->b_next);                       \
        AQ_EACH_ROW(AQ_ROW_STEP)                                                                   \
        a += 2;                                                                                    \
        b += j->b_step;                                                                            \
    }
    int32_t n = j->k;
    for (; n > 1; n -= 2) {
        AQ_STEP
        CH_PREFETCH(fetch.k);
        CH_PREFETCH(fetch.v);
        AQ_STEP
        CH_PREFETCH(fetch.k + fetch.k_half);
        CH_PREFETCH(fetch.v + fetch.v_half);
        fetch.k += fetch.step;
        fetch.v += fetch.step;
    }
    if (n > 0) AQ_STEP
    if (j->fetch) *j->fetch = fetch;
    V(v) d0 = V(set1)(1.0f), d1 = d0;
    if (j->lane_scale) {
        d0 = V(load)(j->lane_scale);
        d1 = V(load)(j->lane_scale + j->lane_next);
    }
#define AQ_END(q, was)                                                                             \
    if (q < rows) {                                                                                \
        float *to = j->c + q * j->c_row;                                                           \
        V(v) d = V(set1)(j->row_scale[q]);                                                         \
        V(store)(to, V(fma)(V(mul)(V(from_i)(c##q##0), d0), d, was(to)));                          \
        V(store)(to + LANES, V(fma)(V(mul)(V(from_i)(c##q##1), d1), d, was(to + LANES)));          \
    }
#define AQ_NOTHING(p) V(zero)()
#define AQ_SET(q)     AQ_END(q, AQ_NOTHING)
#define AQ_ADD(q)     AQ_END(q, V(load))
    if (j->first) {
        AQ_EACH_ROW(AQ_SET)
    } else {
        AQ_EACH_ROW(AQ_ADD)
    }
#undef AQ_EACH_ROW
#undef AQ_START
#undef AQ_ROW_STEP
#undef AQ_STEP
#undef AQ_END
#undef AQ_NOTHING
#undef AQ_SET
#undef AQ_ADD
}

#define AQ_TILE(type, rows)                                                                        \
    static CH_NOINLINE AQ_TARGET void AQ(tile_##type##_##rows)(const AQ(job) * j) {                \
        AQ(tile)(j, CH_KV_##type, rows);                                                           \
    }
#if AQ_BLOCK == 8
#define AQ_TILES(type)                                                                             \
    AQ_TILE(type, 1)                                                                               \
    AQ_TILE(type, 2)                                                                               \
    AQ_TILE(type, 3)                                                                               \
    AQ_TILE(type, 4)                                                                               \
    AQ_TILE(type, 6)                                                                               \
    AQ_TILE(type, 8)
#define AQ_NAMES(type)                                                                             \
    {                                                                                              \
        AQ(tile_##type##_1), AQ(tile_##type##_2), AQ(tile_##type##_3), AQ(tile_##type##_4),        \
            AQ(tile_##type##_6), AQ(tile_##type##_6), AQ(tile_##type##_8), AQ(tile_##type##_8)     \
    }
#else
#define AQ_TILES(type)                                                                             \
    AQ_TILE(type, 1)                                                                               \
    AQ_TILE(type, 2)                                                                               \
    AQ_TILE(type, 3)                                                                               \
    AQ_TILE(type, 4)
#define AQ_NAMES(type)                                                                             \
    { AQ(tile_##type##_1), AQ(tile_##type##_2), AQ(tile_##type##_3), AQ(tile_##type##_4) }
#endif
AQ_TILES(Q16)
AQ_TILES(Q8_0)

// Runs the tile for 1..AQ_BLOCK rows.
static AQ_TARGET void AQ(run)(const AQ(job) * j, ch_kv_type type, int32_t rows) {
    typedef void tile_fn(const AQ(job) *);
    static tile_fn *const tiles[2][AQ_BLOCK] = {AQ_NAMES(Q16), AQ_NAMES(Q8_0)};
    tiles[type == CH_KV_Q8_0][rows - 1](j);
}
#undef AQ_TILE
#undef AQ_TILES
#undef AQ_NAMES

// Up to CH_ATTN_ROWS queries on their way through the chunks. Rows past n are zeros.
typedef struct AQ(work) {
    const ch_attn_args *a;
    ch_kv_type type;
    size_t size;     // bytes of an integer
    int32_t n, rows; // queries, and those in whole parts
    int32_t hd, vd;  // dimensions
    int32_t o_row;   // value_dim in whole tiles
    int32_t k_groups, v_groups;
    const uint8_t *k, *v;  // keys and values of the chunk
    const float *k_scales; // [4][k_groups][16]
    const float *v_scales; // [v_groups][64], 0 for values that no query sees
    float *clean;          // room for such
    float *rows_most;      // [AQ_PART][LANES]
    AQ(fetch) fetch;
    int16_t *q;      // [k_groups][rows][AQ_ROW]
    float *q_scales; // [k_groups][rows]
    float *s;        // [AQ_PART][AQ_ROW] scores, then their weights
    int16_t *p;      // [v_groups][AQ_PART][AQ_ROW] weights as integers
    float *p_scales; // [v_groups][AQ_PART]
    float *o;        // [rows][o_row]
    float l[CH_ATTN_ROWS][16], m[CH_ATTN_ROWS], most[CH_ATTN_ROWS], f[CH_ATTN_ROWS];
    int32_t first[CH_ATTN_ROWS], last[CH_ATTN_ROWS]; // positions seen, last one included
    int32_t lo[CH_ATTN_ROWS], hi[CH_ATTN_ROWS];      // those of the chunk: lo <= j < hi
} AQ(work);

// s = scores of the chunk's positions lo..hi (multiples of 2 * LANES) for the block of queries from
// q on. The first block, here and in outputs, fetches what the next chunk wants.
static AQ_TARGET void AQ(scores)(AQ(work) * w, int32_t q, int32_t lo, int32_t hi) {
    int32_t rows = CH_MIN(w->n - q, AQ_BLOCK);
    size_t pairs = (size_t)(w->hd + 1) / 2;
    AQ(job) j;
    j.fetch = q == 0 ? &w->fetch : NULL;
    j.b_step = 32 * w->size;
    // The second vector: 8 positions on, or the next sixteen.
    j.b_next = LANES == 16 ? pairs * j.b_step : j.b_step / 2;
    j.lane_next = LANES == 16 ? 16 * (size_t)w->k_groups : LANES;
    j.c_row = AQ_ROW;
    for (int32_t p = lo; p < hi; p += 2 * LANES) {
        j.c = w->s + q % AQ_PART * AQ_ROW + p;
        for (int32_t g = 0; g < w->k_groups; g++) {
            j.first = g == 0;
            size_t tile = (size_t)(p / 16);
            j.a = w->q + (g * w->rows + q) * AQ_ROW;
            j.b = w->k + (tile * pairs + (size_t)g * AQ_ROW / 2) * j.b_step;
            j.b += (size_t)(p % 16 * 2) * w->size;
            j.k = CH_MIN((int32_t)pairs - g * AQ_ROW / 2, AQ_ROW / 2);
            j.row_scale = w->q_scales + g * w->rows + q;
            j.lane_scale = w->k_scales + (tile * (size_t)w->k_groups + (size_t)g) * 16 + p % 16;
            AQ(run)(&j, w->type, rows);
        }
    }
}

// Weights of the chunk's positions for queries from..to, a part of them; m, l and o are brought to
// the new maximum.
static AQ_TARGET void AQ(weights)(AQ(work) * w, int32_t from, int32_t to) {
    enum { VECTORS = CH_KV_CHUNK / LANES };
    for (int32_t q = from; q < to; q++) {
        float *s = w->s + (q - from) * AQ_ROW;
        V(v) most = V(set1)(w->m[q]);
        bool whole = w->lo[q] == 0 && w->hi[q] == CH_KV_CHUNK;
        CH_UNROLL for (int32_t i = 0; i < VECTORS; i++) {
            V(v) x = V(load)(s + i * LANES);
            if (!whole) x = V(between)(x, -INFINITY, i * LANES, w->lo[q], w->hi[q]);
            most = V(max)(x, most);
        }
        V(store)(w->rows_most + (q - from) * LANES, most);
    }
    for (int32_t q = from; q < to; q += LANES) {
        V(v) most = V(max_rows)(w->rows_most + (q - from) * LANES);
        V(store)(w->most + q, most);
        V(store)(w->f + q, V(exp2)(V(sub)(V(load)(w->m + q), most)));
    }
    for (int32_t q = from; q < to; q++) {
        if (w->hi[q] <= w->lo[q]) continue; // the canon has no such chunk for this query
        float *s = w->s + (q - from) * AQ_ROW, *o = w->o + (size_t)q * (size_t)w->o_row;
        bool whole = w->lo[q] == 0 && w->hi[q] == CH_KV_CHUNK;
        V(v) most = V(set1)(w->most[q]), f = V(set1)(w->f[q]), p[VECTORS];
        CH_UNROLL for (int32_t i = 0; i < VECTORS; i++) {
            p[i] = V(exp2)(V(sub)(V(load)(s + i * LANES), most));
            if (!whole) p[i] = V(between)(p[i], 0.0f, i * LANES, w->lo[q], w->hi[q]);
            V(store)(s + i * LANES, p[i]);
        }
        CH_UNROLL for (int32_t i = 0; i < 16 / LANES; i++) {
            V(v) near = V(add)(p[i], p[i + 16 / LANES]);
            V(v) far = V(add)(p[i + 32 / LANES], p[i + 48 / LANES]);
            float *l = w->l[q] + i * LANES;
            V(store)(l, V(fma)(V(load)(l), f, V(add)(near, far)));
        }
        w->m[q] = w->most[q];
        if (w->f[q] == 1.0f) continue;
        for (int32_t e = 0; e < w->o_row; e += LANES) V(store)(o + e, V(mul)(V(load)(o + e), f));
    }
}

// Integers of these weights times the scales of the values of group g. What a query does not see
// has the weight 0, and what no query sees the scale 0.
static AQ_TARGET void AQ(integers)(AQ(work) * w, int32_t g, int32_t from, int32_t to) {
    enum { VECTORS = CH_KV_CHUNK / LANES };
    const float *scales = w->v_scales + g * CH_KV_CHUNK;
    float *d = w->p_scales + g * AQ_PART, inverse[AQ_PART];
    for (int32_t q = 0; q < to - from; q++) {
        V(v) top = V(zero)();
        CH_UNROLL for (int32_t i = 0; i < VECTORS; i++) top = V(max)(
            V(mul)(V(load)(w->s + q * AQ_ROW + i * LANES), V(load)(scales + i * LANES)), top);
        V(store)(w->rows_most + q * LANES, top);
    }
    // Weights and scales are finite, and their products not above the largest float.
    for (int32_t q = 0; q < to - from; q += LANES) {
        V(v) scale = V(div)(V(max_rows)(w->rows_most + q * LANES), V(set1)((float)CH_ATTN_MOST));
        V(store)(d + q, scale);
        V(store)(inverse + q, V(div)(V(set1)(1.0f), scale));
    }
    for (int32_t q = 0; q < to - from; q++) {
        int16_t *p = w->p + (g * AQ_PART + q) * AQ_ROW;
        if (w->hi[from + q] <= w->lo[from + q]) {
            memset(p, 0, AQ_ROW * sizeof *p);
            d[q] = -0.0f; // o - 0 is o, also where o is -0
            continue;
        }
        if (!(inverse[q] <= 3.402823466e38f)) d[q] = inverse[q] = 0.0f;
        V(v) by = V(set1)(inverse[q]), x[VECTORS];
        CH_UNROLL for (int32_t i = 0; i < VECTORS; i++) x[i] =
            V(mul)(V(mul)(V(load)(w->s + q * AQ_ROW + i * LANES), V(load)(scales + i * LANES)), by);
        CH_UNROLL for (int32_t i = 0; i < VECTORS; i += 2)
            V(store_i16)(p + i * LANES, x[i], x[i + 1]);
    }
}

// o += weights x values for positions lo..hi of the chunk and `rows` queries from q on.
static AQ_TARGET void AQ(outputs)(AQ(work) * w, int32_t q, int32_t rows, int32_t lo, int32_t hi) {
    lo = lo / 2;
    hi = (hi + 1) / 2;
    size_t row = ch_round_up((size_t)w->vd, 2) * 2 * w->size;
    AQ(job) j;
    j.fetch = q == 0 ? &w->fetch : NULL;
    j.b_step = row;
    j.b_next = 2 * LANES * w->size;
    j.k = hi - lo;
    j.lane_scale = NULL;
    j.first = false;
    j.c_row = (size_t)w->o_row;
    for (int32_t e = 0; e < w->vd; e += 2 * LANES) {
        int32_t g = e / CH_KV_GROUP;
        j.a = w->p + (g * AQ_PART + q % AQ_PART) * AQ_ROW + 2 * lo;
        j.row_scale = w->p_scales + g * AQ_PART + q % AQ_PART;
        j.b = w->v + (size_t)lo * row + (size_t)(e * 2) * w->size;
        j.c = w->o + (size_t)q * (size_t)w->o_row + e;
        AQ(run)(&j, w->type, rows);
    }
}

// One chunk for all queries.
static AQ_TARGET void AQ(chunk)(AQ(work) * w, int32_t chunk) {
    const ch_attn_args *a = w->a;
    const int32_t unit = 2 * LANES;
    size_t at = (size_t)chunk;
    size_t k_half = ch_round_up((size_t)w->hd, 2) * CH_KV_CHUNK * w->size / 2;
    size_t v_half = ch_round_up((size_t)w->vd, 2) * CH_KV_CHUNK * w->size / 2;
    w->k = a->k_cache + at / CH_KV_CHUNK * 2 * k_half;
    w->v = a->v_cache + at / CH_KV_CHUNK * 2 * v_half;
    // The next chunk, or where there is none this one.
    bool next = chunk + CH_KV_CHUNK < a->capacity;
    w->fetch = (AQ(fetch)){w->k, w->v, k_half, v_half, 2 * LANES * w->size};
    w->fetch.k += next ? 2 * k_half : 0;
    w->fetch.v += next ? 2 * v_half : 0;
    size_t k_scales = ch_kv_scales(w->type, w->hd, a->capacity);
    size_t v_scales = ch_kv_scales(w->type, w->vd, a->capacity);
    w->k_scales = (const float *)(const void *)(a->k_cache + k_scales) + at * (size_t)w->k_groups;
    w->v_scales = (const float *)(const void *)(a->v_cache + v_scales) + at * (size_t)w->v_groups;
    for (int32_t r = 0; r < w->n; r++) {
        w->lo[r] = CH_MAX(w->first[r] - chunk, 0);
        w->hi[r] = CH_MIN(w->last[r] + 1 - chunk, CH_KV_CHUNK);
    }
    int32_t from = 0, to = 0;
    ch_attn_seen(w->lo, w->hi, w->n, &from, &to);
    if (to - from < CH_KV_CHUNK) {
        for (int32_t i = 0; i < w->v_groups * CH_KV_CHUNK; i++) {
            int32_t j = i % CH_KV_CHUNK;
            w->clean[i] = j >= from && j < to ? w->v_scales[i] : 0;
        }
        w->v_scales = w->clean;
    }
    for (int32_t part = 0; part < w->n; part += AQ_PART) {
        int32_t end = CH_MIN(part + AQ_PART, w->n);
        if (!ch_attn_seen(w->lo + part, w->hi + part, end - part, &from, &to)) continue;
        for (int32_t q = part, lo = 0, hi = 0; q < end; q += AQ_BLOCK)
            if (ch_attn_seen(w->lo + q, w->hi + q, CH_MIN(end - q, AQ_BLOCK), &lo, &hi))
                AQ(scores)(w, q, lo / unit * unit, ch_ceil_div(hi, unit) * unit);
        AQ(weights)(w, part, end);
        for (int32_t g = 0; g < w->v_groups; g++) AQ(integers)(w, g, part, end);
        for (int32_t q = part, lo = 0, hi = 0; q < end; q += AQ_BLOCK)
            if (ch_attn_seen(w->lo + q, w->hi + q, CH_MIN(end - q, AQ_BLOCK), &lo, &hi))
                AQ(outputs)(w, q, CH_MIN(end - q, AQ_BLOCK), lo, hi);
    }
}

// Lays out the scratch and fetches queries at..at + n, counted token by token, head by head.
static AQ_TARGET void AQ(begin)(AQ(work) * w, int32_t head0, int32_t heads, int32_t t0,
                                int32_t at) {
    const ch_attn_args *a = w->a;
    w->rows = ch_ceil_div(w->n, AQ_PART) * AQ_PART;
    size_t rows = (size_t)w->rows, integers = rows * (size_t)w->k_groups * AQ_ROW;
    w->q = (int16_t *)(void *)a->scratch;
    w->p = w->q + integers;
    w->s = (float *)(void *)(w->p + w->v_groups * AQ_PART * AQ_ROW);
    w->o = w->s + AQ_PART * AQ_ROW;
    w->q_scales = w->o + rows * (size_t)w->o_row;
    w->p_scales = w->q_scales + rows * (size_t)w->k_groups;
    w->clean = w->p_scales + w->v_groups * AQ_PART;
    w->rows_most = w->clean + w->v_groups * CH_KV_CHUNK;
    memset(w->rows_most, 0, AQ_PART * LANES * sizeof(float));
    memset(w->q, 0, integers * sizeof(int16_t));
    memset(w->p, 0, (size_t)w->v_groups * AQ_PART * AQ_ROW * sizeof(int16_t));
    memset(w->s, 0, AQ_PART * AQ_ROW * sizeof(float));
    memset(w->o, 0, rows * (size_t)w->o_row * sizeof(float));
    memset(w->q_scales, 0, rows * (size_t)w->k_groups * sizeof(float));
    memset(w->p_scales, 0, (size_t)w->v_groups * AQ_PART * sizeof(float));
    memset(w->l, 0, rows * sizeof w->l[0]);
    for (int32_t r = 0; r < CH_ATTN_ROWS; r++) w->m[r] = w->most[r] = -INFINITY;
    for (int32_t r = 0; r < w->n; r++) {
        int32_t t = t0 + (at + r) / heads, h = head0 + (at + r) % heads;
        const float *from = a->q + (size_t)t * a->q_stride + (size_t)h * (size_t)w->hd;
        for (int32_t g = 0; g < w->k_groups; g++)
            w->q_scales[g * w->rows + r] =
                CH_LOG2E * AQ_INTEGERS(from + g * CH_KV_GROUP,
                                       CH_MIN(w->hd - g * CH_KV_GROUP, CH_KV_GROUP), CH_ATTN_MOST,
                                       w->q + (g * w->rows + r) * AQ_ROW);
        w->last[r] = a->pos0 + t;
        w->first[r] = a->window > 0 ? CH_MAX(0, w->last[r] + 1 - a->window) : 0;
    }
}

static AQ_TARGET void AQ(attention)(const ch_attn_args *a, ch_kv_type type, int32_t head0,
                                    int32_t head1, int32_t t0, int32_t t1) {
    AQ(work) w;
    w.a = a;
    w.type = type;
    w.size = ch_kv_size(type);
    w.hd = a->head_dim;
    w.vd = a->value_dim;
    w.k_groups = ch_kv_groups(w.hd);
    w.v_groups = ch_kv_groups(w.vd);
    w.o_row = (int32_t)ch_round_up((size_t)w.vd, 2 * LANES);
    int32_t heads = head1 - head0, queries = heads * (t1 - t0);
    for (int32_t at = 0; at < queries; at += w.n) {
        w.n = CH_MIN(queries - at, CH_ATTN_ROWS);
        AQ(begin)(&w, head0, heads, t0, at);
        for (int32_t chunk = w.first[0] / CH_KV_CHUNK * CH_KV_CHUNK; chunk <= w.last[w.n - 1];
             chunk += CH_KV_CHUNK)
            AQ(chunk)(&w, chunk);
        for (int32_t r = 0; r < w.n; r++) {
            int32_t t = t0 + (at + r) / heads, h = head0 + (at + r) % heads, e = 0;
            const float *o = w.o + (size_t)r * (size_t)w.o_row;
            float *y = a->y + (size_t)t * a->y_stride + (size_t)h * (size_t)w.vd;
            V(v) inverse = V(set1)(1.0f / ch_sum16(w.l[r]));
            for (; e + LANES <= w.vd; e += LANES) V(store)(y + e, V(mul)(V(load)(o + e), inverse));
            if (e < w.vd) V(store_n)(y + e, V(mul)(V(load)(o + e), inverse), w.vd - e);
        }
    }
}

#define AQ_PASTE(name, how)  ch_attention_##name##__##how
#define AQ_EXPAND(name, how) AQ_PASTE(name, how)
#define AQ_KERNEL(name, type)                                                                      \
    CH_FN void AQ_EXPAND(name, AQ_HOW)(const ch_attn_args *a, int32_t head0, int32_t head1,        \
                                       int32_t t0, int32_t t1) {                                   \
        AQ(attention)(a, type, head0, head1, t0, t1);                                              \
    }
AQ_KERNEL(q16, CH_KV_Q16)
AQ_KERNEL(q8_0, CH_KV_Q8_0)

#undef AQ_PASTE
#undef AQ_EXPAND
#undef AQ_KERNEL
#undef AQ_V
#undef AQ_PART
#undef AQ_ROW
#undef V
#undef AQ
#undef AQ_TARGET
#undef AQ_HOW
#undef LANES
#undef AQ_DOT
#undef AQ_INTEGERS
#undef AQ_BLOCK
