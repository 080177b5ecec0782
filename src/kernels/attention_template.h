// attention_template: streaming attention over vectors of LANES floats; see ch_attn_args.
//
// Included once per instruction set, after its simd header, with these macros defined (all of them
// are undefined again at the end):
//   V(name)      the vector function `name` of the simd header; V(v) is the vector type
//   AT(name)     this instruction set's name for a function or type of this file
//   AT_TARGET    the target attribute
//   LANES        16 or 8
//   AT_HOW       the instruction set's part of the kernels' names
//   AT_BLOCK     queries of a register tile at most: 8 or 4
//
// Idea: queries (tokens x heads of one KV head) are taken CH_ATTN_ROWS at a time through the chunks
// of CH_KV_CHUNK positions. Both products are one register tile, C[q][lanes] += A[q][k] * B[k]
// [lanes], for up to AT_BLOCK rows q and two vectors of lanes: scores have A = queries, B = keys,
// lanes = positions; outputs have A = weights, B = values, lanes = elements. k runs in order in
// each lane, as the canon has it. B is converted to floats as it is loaded, or once a chunk when
// several tiles share it. Where queries of a tile see different positions, the tile takes those
// that all of them see, and each row takes its rest by itself, before and after.
//
// Cost per query and position: head_dim + value_dim fused multiply-adds, 1 exp. Bytes per position
// (once for all CH_ATTN_ROWS queries): f16 2 (head_dim + value_dim), f32 twice that many.

// Scratch rows of A (queries, then weights) are this long: one chunk, or as many query elements.
#define AT_ROW CH_KV_CHUNK
// Queries that go through a chunk before the next of them do: what they need and the chunk as
// floats share the first-level cache. A multiple of AT_BLOCK and of LANES.
#define AT_PART 16

// What B is.
#define AT_F32 0
#define AT_F16 1

typedef struct AT(job) {
    const float *a;       // [q][AT_ROW]
    const uint8_t *b;     // [k][b_step], vector v at v * b_next
    size_t b_step;        // bytes
    size_t b_next;        // bytes
    int32_t k;            // at most AT_ROW
    const float *from;    // [q][from_row]: what is added to
    size_t from_row;      // floats
    float *c;             // [q][c_row]: the result
    size_t c_row;         // floats
    const uint8_t *ahead; // fetched into the cache on the way, a line for each k
    size_t ahead_step;    // bytes
} AT(job);

CH_FORCE_INLINE AT_TARGET V(v) AT(load)(int kind, const uint8_t *p) {
    return kind == AT_F16 ? V(load_f16)(p) : V(load)((const float *)(const void *)p);
}

// The register tile: rows x vectors, both constant after inlining.
CH_FORCE_INLINE AT_TARGET void AT(tile)(const AT(job) * j, int kind, int rows, int vectors) {
    const float *a = j->a;
    const uint8_t *b = j->b, *ahead = j->ahead;
    const float *from = j->from;
    float *c = j->c;
#define AT_EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define AT_START(q)                                                                                \
    V(v) c##q##0 = V(zero)(), c##q##1 = c##q##0;                                                   \
    if (q < rows) {                                                                                \
        c##q##0 = V(load)(from + q * j->from_row);                                                 \
        if (vectors > 1) c##q##1 = V(load)(from + q * j->from_row + LANES);                        \
    }
    AT_EACH_ROW(AT_START)
    for (int32_t n = j->k; n > 0; n--) {
        V(v) b0 = AT(load)(kind, b), b1 = b0;
        if (vectors > 1) b1 = AT(load)(kind, b + j->b_next);
#define AT_STEP(q)                                                                                 \
    if (q < rows) {                                                                                \
        V(v) w = V(set1)(a[q * AT_ROW]);                                                           \
        c##q##0 = V(fma)(w, b0, c##q##0);                                                          \
        if (vectors > 1) c##q##1 = V(fma)(w, b1, c##q##1);                                         \
    }
        AT_EACH_ROW(AT_STEP)
        CH_PREFETCH(ahead);
        a++;
        b += j->b_step;
        ahead += j->ahead_step;
    }
#define AT_END(q)                                                                                  \
    if (q < rows) {                                                                                \
        V(store)(c + q * j->c_row, c##q##0);                                                       \
        if (vectors > 1) V(store)(c + q * j->c_row + LANES, c##q##1);                              \
    }
    AT_EACH_ROW(AT_END)
#undef AT_EACH_ROW
#undef AT_START
#undef AT_STEP
#undef AT_END
}

#define AT_TILE(kind, rows, vectors)                                                               \
    static CH_NOINLINE AT_TARGET void AT(tile_##kind##_##rows##x##vectors)(const AT(job) * j) {    \
        AT(tile)(j, AT_##kind, rows, vectors);                                                     \
    }
#if AT_BLOCK == 8
#define AT_TILES(kind, vectors)                                                                    \
    AT_TILE(kind, 1, vectors)                                                                      \
    AT_TILE(kind, 2, vectors)                                                                      \
    AT_TILE(kind, 3, vectors)                                                                      \
    AT_TILE(kind, 4, vectors)                                                                      \
    AT_TILE(kind, 6, vectors)                                                                      \
    AT_TILE(kind, 8, vectors)
#define AT_NAMES(kind, vectors)                                                                    \
    {                                                                                              \
        AT(tile_##kind##_1x##vectors), AT(tile_##kind##_2x##vectors),                              \
            AT(tile_##kind##_3x##vectors), AT(tile_##kind##_4x##vectors),                          \
            AT(tile_##kind##_6x##vectors), AT(tile_##kind##_6x##vectors),                          \
            AT(tile_##kind##_8x##vectors), AT(tile_##kind##_8x##vectors)                           \
    }
#else
#define AT_TILES(kind, vectors)                                                                    \
    AT_TILE(kind, 1, vectors)                                                                      \
    AT_TILE(kind, 2, vectors)                                                                      \
    AT_TILE(kind, 3, vectors)                                                                      \
    AT_TILE(kind, 4, vectors)
#define AT_NAMES(kind, vectors)                                                                    \
    {                                                                                              \
        AT(tile_##kind##_1x##vectors), AT(tile_##kind##_2x##vectors),                              \
            AT(tile_##kind##_3x##vectors), AT(tile_##kind##_4x##vectors)                           \
    }
#endif
AT_TILES(F32, 2)
AT_TILES(F16, 2)
AT_TILES(F32, 1)
AT_TILES(F16, 1)

// Runs the tile of a kind, for 1..AT_BLOCK rows and 1 or 2 vectors.
static AT_TARGET void AT(run)(const AT(job) * j, int kind, int32_t rows, int32_t vectors) {
    typedef void tile_fn(const AT(job) *);
    static tile_fn *const tiles[2][2][AT_BLOCK] = {{AT_NAMES(F32, 1), AT_NAMES(F32, 2)},
                                                   {AT_NAMES(F16, 1), AT_NAMES(F16, 2)}};
    tiles[kind][vectors - 1][rows - 1](j);
}
#undef AT_TILE
#undef AT_TILES
#undef AT_NAMES

// Up to CH_ATTN_ROWS queries on their way through the chunks. Rows past n are zeros.
typedef struct AT(work) {
    const ch_attn_args *a;
    ch_kv_type type;
    int32_t n, rows;           // queries, and those in whole blocks
    int32_t hd, vd, vd_padded; // dimensions, and value_dim in whole vectors of 16
    bool convert;              // keys and values become floats once a chunk
    int32_t whole; // value elements read from the cache by tiles; the rest are converted
    float *q;      // [ceil(head_dim / AT_ROW)][rows][AT_ROW]
    float *s;      // [AT_PART][AT_ROW] scores, then weights
    float *o;      // [rows][vd_padded]
    float *k, *v;  // the chunk as floats: [4][head_dim][16], [64][vd_padded]
    float l[CH_ATTN_ROWS][16], m[CH_ATTN_ROWS], most[CH_ATTN_ROWS], f[CH_ATTN_ROWS];
    int32_t first[CH_ATTN_ROWS], last[CH_ATTN_ROWS]; // positions seen, last one included
    int32_t lo[CH_ATTN_ROWS], hi[CH_ATTN_ROWS];      // those of the chunk: lo <= j < hi
} AT(work);

// n numbers of the cache, as floats.
static AT_TARGET void AT(widen)(ch_kv_type type, const uint8_t *from, float *to, int32_t n) {
    int32_t i = 0;
    if (type == CH_KV_F16) {
        for (; i + LANES <= n; i += LANES) V(store)(to + i, V(load_f16)(from + 2 * i));
        if (i < n) V(store_n)(to + i, V(load_f16_n)(from + 2 * i, n - i), n - i);
    } else {
        memcpy(to, from, (size_t)n * sizeof(float));
    }
}

// Values lo..hi of the chunk from column w->whole on as floats, zeros past value_dim.
static AT_TARGET void AT(widen_values)(AT(work) * w, int32_t chunk, int32_t lo, int32_t hi) {
    size_t bytes = ch_kv_size(w->type), vd = (size_t)w->vd;
    for (int32_t j = lo; j < hi; j++) {
        size_t at = (size_t)(chunk + j) * vd;
        float *to = w->v + (size_t)j * (size_t)w->vd_padded;
        AT(widen)
        (w->type, w->a->v_cache + (at + (size_t)w->whole) * bytes, to + w->whole, w->vd - w->whole);
        for (int32_t e = w->vd; e < w->vd_padded; e++) to[e] = 0;
    }
}

// Keys lo..hi of the chunk as floats; lo and hi are multiples of 16.
static AT_TARGET void AT(widen_keys)(AT(work) * w, int32_t chunk, int32_t lo, int32_t hi) {
    size_t from = (size_t)(chunk + lo) * (size_t)w->hd * ch_kv_size(w->type);
    AT(widen)(w->type, w->a->k_cache + from, w->k + lo * w->hd, (hi - lo) * w->hd);
}

// s = scores of the chunk's positions lo..hi (multiples of 2 * LANES) for the block of queries from
// q on. The first block meanwhile fetches the values that are wanted next into the cache.
static AT_TARGET void AT(scores)(AT(work) * w, int32_t chunk, int32_t q, int32_t lo, int32_t hi) {
    const ch_attn_args *a = w->a;
    size_t bytes = ch_kv_size(w->type), tile = (size_t)w->hd * 16;
    const uint8_t *keys = a->k_cache + (size_t)(chunk / 16) * tile * bytes;
    int kind = w->type == CH_KV_F16 ? AT_F16 : AT_F32;
    AT(job) j;
    int32_t next = chunk + lo + (w->convert ? CH_KV_CHUNK : 0);
    j.ahead = a->v_cache;
    j.ahead_step = q == 0 && next < a->capacity ? 2 * LANES * bytes : 0;
    if (j.ahead_step) j.ahead += (size_t)next * (size_t)w->vd * bytes;
    if (w->convert) {
        keys = (const uint8_t *)w->k;
        bytes = sizeof(float);
        kind = AT_F32;
    }
    j.c_row = AT_ROW;
    j.b_step = 16 * bytes;
    j.b_next = (LANES == 16 ? tile : 8) * bytes;
    int32_t rows = CH_MIN(w->n - q, AT_BLOCK);
    static const float zeros[2 * LANES] = {0};
    for (int32_t p = lo; p < hi; p += 2 * LANES)
        for (int32_t e = 0; e < w->hd; e += AT_ROW) {
            j.a = w->q + (e / AT_ROW * w->rows + q) * AT_ROW;
            j.b = keys + ((size_t)(p / 16) * tile + (size_t)e * 16) * bytes;
            j.k = CH_MIN(w->hd - e, AT_ROW);
            j.c = w->s + q % AT_PART * AT_ROW + p;
            j.from = e == 0 ? zeros : j.c;
            j.from_row = e == 0 ? 0 : AT_ROW;
            AT(run)(&j, kind, rows, 2);
            j.ahead += (size_t)j.k * j.ahead_step;
        }
}

// s = weights of the chunk's positions for queries from..to, a part of them; m, l and o are brought
// to the new maximum.
static AT_TARGET void AT(weights)(AT(work) * w, int32_t from, int32_t to) {
    for (int32_t q = from; q < to; q++) {
        float *s = w->s + (q - from) * AT_ROW;
        V(v) most = V(set1)(w->m[q]);
        bool whole = w->lo[q] == 0 && w->hi[q] == CH_KV_CHUNK;
        for (int32_t j = 0; j < CH_KV_CHUNK; j += LANES) {
            V(v) x = V(load)(s + j);
            if (!whole) V(store)(s + j, x = V(between)(x, -INFINITY, j, w->lo[q], w->hi[q]));
            most = V(max)(x, most);
        }
        w->most[q] = V(max_lanes)(most);
    }
    for (int32_t q = from; q < to; q += LANES)
        V(store)(w->f + q, V(exp)(V(sub)(V(load)(w->m + q), V(load)(w->most + q))));
    for (int32_t q = from; q < to; q++) {
        if (w->hi[q] <= w->lo[q]) continue; // the canon has no such chunk for this query
        float *s = w->s + (q - from) * AT_ROW, *o = w->o + (size_t)q * (size_t)w->vd_padded;
        V(v) most = V(set1)(w->most[q]), f = V(set1)(w->f[q]);
        for (int32_t j = 0; j < CH_KV_CHUNK; j += LANES)
            V(store)(s + j, V(exp)(V(sub)(V(load)(s + j), most)));
        for (int32_t i = 0; i < 16; i += LANES) {
            V(v) near = V(add)(V(load)(s + i), V(load)(s + i + 16));
            V(v) far = V(add)(V(load)(s + i + 32), V(load)(s + i + 48));
            V(store)(w->l[q] + i, V(fma)(V(load)(w->l[q] + i), f, V(add)(near, far)));
        }
        w->m[q] = w->most[q];
        if (w->f[q] == 1.0f) continue;
        for (int32_t e = 0; e < w->vd_padded; e += LANES)
            V(store)(o + e, V(mul)(V(load)(o + e), f));
    }
}

// o += weights x values for positions lo..hi of the chunk and `rows` queries from q on. The first
// block fetches the next chunk's keys into the cache meanwhile.
static AT_TARGET void AT(outputs)(AT(work) * w, int32_t chunk, int32_t q, int32_t rows, int32_t lo,
                                  int32_t hi) {
    if (hi <= lo) return;
    const ch_attn_args *a = w->a;
    size_t bytes = ch_kv_size(w->type), vd = (size_t)w->vd, at = (size_t)(chunk + lo) * vd;
    const uint8_t *base = a->v_cache + at * bytes;
    int kind = w->type == CH_KV_F16 ? AT_F16 : AT_F32;
    AT(job) j;
    bool fetch = q == 0 && chunk + CH_KV_CHUNK < a->capacity;
    j.ahead = a->k_cache;
    j.ahead_step = fetch ? 2 * LANES * bytes : 0;
    if (fetch) j.ahead += (size_t)(chunk + CH_KV_CHUNK) * (size_t)w->hd * bytes;
    j.a = w->s + q % AT_PART * AT_ROW + lo;
    j.k = hi - lo;
    j.from_row = j.c_row = (size_t)w->vd_padded;
    j.b_step = vd * bytes;
    j.b_next = LANES * bytes;
    for (int32_t e = 0, vectors; e < w->vd; e += vectors * LANES) {
        if (e == w->whole) {
            kind = AT_F32;
            bytes = sizeof(float);
            base = (const uint8_t *)(w->v + (size_t)lo * (size_t)w->vd_padded);
            j.b_step = (size_t)w->vd_padded * bytes;
            j.b_next = LANES * bytes;
        }
        vectors = (e < w->whole ? w->whole : w->vd_padded) - e >= 2 * LANES ? 2 : 1;
        j.b = base + (size_t)e * bytes;
        j.from = j.c = w->o + (size_t)q * (size_t)w->vd_padded + e;
        AT(run)(&j, kind, rows, vectors);
        j.ahead += (size_t)j.k * j.ahead_step;
    }
}

// The same for a block of queries whose ranges of positions differ: those that all of them see are
// taken together, the others query by query before and after.
static AT_TARGET void AT(block_outputs)(AT(work) * w, int32_t chunk, int32_t q) {
    int32_t rows = CH_MIN(w->n - q, AT_BLOCK), from = 0, to = CH_KV_CHUNK;
    for (int32_t r = q; r < q + rows; r++) {
        from = CH_MAX(from, w->lo[r]);
        to = CH_MIN(to, w->hi[r]);
    }
    if (to <= from) from = to = CH_KV_CHUNK; // none
    for (int32_t r = q; r < q + rows; r++)
        AT(outputs)(w, chunk, r, 1, w->lo[r], CH_MIN(from, w->hi[r]));
    AT(outputs)(w, chunk, q, rows, from, to);
    for (int32_t r = q; r < q + rows; r++)
        AT(outputs)(w, chunk, r, 1, CH_MAX(to, w->lo[r]), w->hi[r]);
}

// One chunk for all queries. Keys are taken in whole tiles of positions (what no query sees is
// dropped with its score), values only as far as some query sees them.
static AT_TARGET void AT(chunk)(AT(work) * w, int32_t chunk) {
    const int32_t unit = 2 * LANES;
    int32_t lo = 0, hi = 0;
    for (int32_t r = 0; r < w->n; r++) {
        w->lo[r] = CH_MAX(w->first[r] - chunk, 0);
        w->hi[r] = CH_MIN(w->last[r] + 1 - chunk, CH_KV_CHUNK);
    }
    if (!ch_attn_seen(w->lo, w->hi, w->n, &lo, &hi)) return;
    if (w->convert) AT(widen_keys)(w, chunk, lo / unit * unit, ch_ceil_div(hi, unit) * unit);
    if (w->whole < w->vd) AT(widen_values)(w, chunk, lo, hi);
    for (int32_t part = 0; part < w->n; part += AT_PART) {
        int32_t end = CH_MIN(part + AT_PART, w->n);
        for (int32_t q = part, from = 0, to = 0; q < end; q += AT_BLOCK)
            if (ch_attn_seen(w->lo + q, w->hi + q, CH_MIN(end - q, AT_BLOCK), &from, &to))
                AT(scores)(w, chunk, q, from / unit * unit, ch_ceil_div(to, unit) * unit);
        AT(weights)(w, part, end);
        for (int32_t q = part; q < end; q += AT_BLOCK) AT(block_outputs)(w, chunk, q);
    }
}

// Lays out the scratch and fetches queries at..at + n, counted token by token, head by head.
static AT_TARGET void AT(begin)(AT(work) * w, int32_t head0, int32_t heads, int32_t t0,
                                int32_t at) {
    const ch_attn_args *a = w->a;
    w->rows = ch_ceil_div(w->n, AT_BLOCK) * AT_BLOCK;
    size_t rows = (size_t)w->rows;
    size_t q_floats = (size_t)ch_ceil_div(w->hd, AT_ROW) * AT_ROW * rows;
    w->q = (float *)(void *)a->scratch;
    w->s = w->q + q_floats;
    w->o = w->s + AT_PART * AT_ROW;
    w->k = w->o + rows * (size_t)w->vd_padded;
    w->v = w->k + CH_KV_CHUNK * (size_t)w->hd;
    memset(w->q, 0, q_floats * sizeof(float));
    memset(w->s, 0, AT_PART * AT_ROW * sizeof(float));
    memset(w->o, 0, rows * (size_t)w->vd_padded * sizeof(float));
    memset(w->l, 0, rows * sizeof w->l[0]);
    for (int32_t r = 0; r < CH_ATTN_ROWS; r++) w->m[r] = w->most[r] = -INFINITY;
    for (int32_t r = 0; r < w->n; r++) {
        int32_t t = t0 + (at + r) / heads, h = head0 + (at + r) % heads;
        const float *from = a->q + (size_t)t * a->q_stride + (size_t)h * (size_t)w->hd;
        for (int32_t e = 0; e < w->hd; e += AT_ROW)
            memcpy(w->q + (e / AT_ROW * w->rows + r) * AT_ROW, from + e,
                   (size_t)CH_MIN(w->hd - e, AT_ROW) * sizeof(float));
        w->last[r] = a->pos0 + t;
        w->first[r] = a->window > 0 ? CH_MAX(0, w->last[r] + 1 - a->window) : 0;
    }
}

static AT_TARGET void AT(attention)(const ch_attn_args *a, ch_kv_type type, int32_t head0,
                                    int32_t head1, int32_t t0, int32_t t1) {
    AT(work) w;
    w.a = a;
    w.type = type;
    w.hd = a->head_dim;
    w.vd = a->value_dim;
    w.vd_padded = (int32_t)ch_round_up((size_t)w.vd, 16);
    int32_t heads = head1 - head0, queries = heads * (t1 - t0);
    for (int32_t at = 0; at < queries; at += w.n) {
        w.n = CH_MIN(queries - at, CH_ATTN_ROWS);
        w.convert = type != CH_KV_F32 && w.n > AT_BLOCK;
        w.whole = w.convert ? 0 : w.vd / LANES * LANES;
        AT(begin)(&w, head0, heads, t0, at);
        for (int32_t chunk = w.first[0] / CH_KV_CHUNK * CH_KV_CHUNK; chunk <= w.last[w.n - 1];
             chunk += CH_KV_CHUNK)
            AT(chunk)(&w, chunk);
        for (int32_t r = 0; r < w.n; r++) {
            int32_t t = t0 + (at + r) / heads, h = head0 + (at + r) % heads, e = 0;
            const float *o = w.o + (size_t)r * (size_t)w.vd_padded;
            float *y = a->y + (size_t)t * a->y_stride + (size_t)h * (size_t)w.vd;
            V(v) inverse = V(set1)(1.0f / ch_sum16(w.l[r]));
            for (; e + LANES <= w.vd; e += LANES) V(store)(y + e, V(mul)(V(load)(o + e), inverse));
            if (e < w.vd) V(store_n)(y + e, V(mul)(V(load)(o + e), inverse), w.vd - e);
        }
    }
}

#define AT_PASTE(name, how)  ch_attention_##name##__##how
#define AT_EXPAND(name, how) AT_PASTE(name, how)
#define AT_KERNEL(name, type)                                                                      \
    CH_FN void AT_EXPAND(name, AT_HOW)(const ch_attn_args *a, int32_t head0, int32_t head1,        \
                                       int32_t t0, int32_t t1) {                                   \
        AT(attention)(a, type, head0, head1, t0, t1);                                              \
    }
AT_KERNEL(f16, CH_KV_F16)
AT_KERNEL(f32, CH_KV_F32)

#undef AT_PASTE
#undef AT_EXPAND
#undef AT_KERNEL
#undef AT_ROW
#undef AT_PART
#undef AT_F32
#undef AT_F16
#undef V
#undef AT
#undef AT_TARGET
#undef AT_HOW
#undef LANES
#undef AT_BLOCK
