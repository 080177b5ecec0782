// gemm_tile_template: the product of a panel (gemm_panel_template.h) with groups of quantized
// columns, for one vector width and one way to multiply bytes.
//
// A tile is up to GM_STRIPS strips of GM_N rows by 4 or 8 columns, all of which or 4 are multiplied
// at a time. Their integer accumulators stay in registers over a block of 32 weights (or half of
// one): a vector of weights times four bytes of a column, broadcast, no shuffles. They start at
// GM_MAGIC minus zero point times the sum of the column's bytes: the zero point costs nothing, and
// T, the bits of the result read as a float, is exactly GM_MAGIC + t. Then
//     fma(dw, T, -dw * GM_MAGIC)  is  dw * t rounded once, the canon's u
// in one operation: dw has at most 19 significant bits, so dw * GM_MAGIC is exact. (For t = 0 the
// sign of that zero may differ from the reference's; it can only reach a result all of whose terms
// underflow. Scales that are not finite are left to the reference: see the converters.)
// The four float accumulators of the canon live in scratch, which the first-level cache holds.
//
// Parameters: those of gemm_panel_template.h, and
//   GT(name)    prefixes the names of this way to multiply
//   GT_TARGET   the functions' target
//   GT(steps)   t[c * strips + s] += products of `count` vectors of weights of each strip, from
//               vector `from` on, with `columns` columns of x; defined by the includer
//   GT_WHOLE(job, strips, trait)   a tile of CH_GROUP columns: GT(tile), or what is faster
// `trait` below is the type's shape: GM_HALVES, ..., and GT(steps)'s own bits.

#define GT_LINES     2 // of each third that a block asks for if there are enough columns
#define GT_FEW       4 // columns of a tile where there are no more
#define GT_ACC_BYTES ((size_t)GM_STRIPS * CH_GROUP * GM_V * 4)

// Of so many columns at most, a stretch of the rows is taken at a time, so that its panel does not
// leave the first-level cache. Of more, there is no room in it for their accumulators.
#define GT_STRETCH_COLUMNS (2 * CH_GROUP)
#define GT_STRETCH         256

// Bytes of 256 weights: of one block of the K types, or of eight.
#define GT_BYTES(block) (sizeof(block) > sizeof(ch_block_q8_0) ? sizeof(block) : 8 * sizeof(block))

typedef struct GT(job) {
    const uint8_t *panel;
    ch_q8 x;
    const int32_t *start; // [block or half][CH_GROUP]: what accumulators start at, unless offsets
    float *acc;           // [4][columns][strips][GM_N]
    int32_t blocks;
    int32_t columns; // GT_FEW or CH_GROUP
    GM(ahead) * ahead;
} GT(job);

// Types with offsets have no zero point.
CH_FORCE_INLINE bool GT(has_offsets)(int trait) {
    return (trait & (GM_OFFSETS | GM_OFFSETS16)) != 0;
}

// What the integer accumulators of a column start with.
GT_TARGET CH_FORCE_INLINE void GT(begin)(GM_I *t, const int32_t *start, const int c,
                                         const int strips, const int trait) {
    int32_t bits = GT(has_offsets)(trait) ? (int32_t)ch_bits_from_f32(GM_MAGIC) : start[c];
    CH_UNROLL for (int s = 0; s < strips; s++) t[c * strips + s] = GM(set1)(bits);
}

// Vector i of each strip's record behind the bytes.
GT_TARGET CH_FORCE_INLINE void GT(scales)(GM_F *scales, const uint8_t *w, const int i,
                                          const int strips, const int trait) {
    CH_UNROLL for (int s = 0; s < strips; s++) scales[s] =
        GM(load_f)(w + ((size_t)s * GM_VECTORS(trait) + (size_t)i) * GM_V);
}

// The float steps of a block's column. dw: of the block, or of its second half; u: the sums of the
// first half then; less: -dw * GM_MAGIC, or NULL to take it from the record.
GT_TARGET CH_FORCE_INLINE void GT(end)(const GM_I *t, const GM_F *u, const GM_F *dw,
                                       const GM_F *less, const uint8_t *w, const ch_q8 *x,
                                       float *acc, const int c, const int strips, const int trait) {
    const bool halves = (trait & GM_HALVES) != 0, times = (trait & GM_TIMES) != 0;
    const bool offsets16 = (trait & GM_OFFSETS16) != 0;
    const bool offsets = offsets16 || (trait & GM_OFFSETS) != 0;
    const float *sx = offsets16 ? x->sx16 : x->sx;
    GM_F scale = GM(set1_f)(x->d[c]), sum = GM(set1_f)(offsets ? sx[c] : 0.0f);
    GM_F sum2 = GM(set1_f)(offsets16 ? sx[CH_GROUP + c] : 0.0f);
    CH_UNROLL for (int s = 0; s < strips; s++) {
        const int i = c * strips + s;
        const uint8_t *more = w + ((size_t)s * GM_VECTORS(trait) + 10) * GM_V;
        float *at = acc + (size_t)i * GM_N;
        GM_F v = GM(as_float)(t[i]);
        v = halves ? GM(fma)(dw[s], GM(sub_f)(v, GM(set1_f)(GM_MAGIC)), u[i])
                   : GM(fma)(dw[s], v, less ? less[s] : GM(load_f)(more - GM_V));
        if (times) v = GM(mul)(v, GM(load_f)(more + GM_V));
        v = GM(fma)(v, scale, GM(load_f)(at));
        if (offsets) v = GM(fma)(GM(load_f)(more), sum, v);
        if (offsets16) v = GM(fma)(GM(load_f)(more + GM_V), sum2, v);
        GM(store_f)(at, v);
    }
}

// One block of `columns` columns; acc, x and start are theirs.
GT_TARGET CH_FORCE_INLINE void GT(part)(float *acc, const uint8_t *w, const ch_q8 *x,
                                        const int32_t *start, const int strips, const int columns,
                                        const int trait) {
    const bool halves = (trait & GM_HALVES) != 0, whole = columns == CH_GROUP;
    GM_I t[GM_STRIPS * CH_GROUP];
    GM_F u[GM_STRIPS * CH_GROUP], dw[GM_STRIPS], less[GM_STRIPS];
    CH_UNROLL for (int c = 0; c < columns; c++) GT(begin)(t, start, c, strips, trait);
    GT(steps)(t, w, x->q, 0, halves ? 4 : 8, strips, columns, trait);
    GT(scales)(dw, w, 8, strips, trait);
    if (halves || whole) GT(scales)(less, w, 9, strips, trait);
    if (halves) {
        CH_UNROLL for (int i = 0; i < columns * strips; i++) u[i] =
            GM(fma)(dw[i % strips], GM(as_float)(t[i]), less[i % strips]);
        CH_UNROLL for (int c = 0; c < columns; c++)
            GT(begin)(t, start + CH_GROUP, c, strips, trait);
        GT(steps)(t, w, x->q, 4, 4, strips, columns, trait);
        GT(scales)(dw, w, 10, strips, trait);
    }
    CH_UNROLL for (int c = 0; c < columns; c++)
        GT(end)(t, u, dw, whole ? less : NULL, w, x, acc, c, strips, trait);
}

// Goes on by some blocks of a group of columns.
GT_TARGET CH_FORCE_INLINE void GT(advance)(ch_q8 *x, int32_t blocks) {
    ptrdiff_t n = (ptrdiff_t)blocks * CH_GROUP;
    x->q += 32 * n;
    x->d += n;
    x->sx += n;
    x->sx16 += 2 * n;
    x->s32 += n;
    x->s16 += 2 * n;
}

GT_TARGET CH_FORCE_INLINE void GT(clear)(const GT(job) * job, const int tile) {
    for (int i = 0; i < 4 * tile; i++) GM(store_f)(job->acc + i * GM_N, GM(set1_f)(0.0f));
}

// A tile, `at_once` columns of it at a time.
GT_TARGET CH_FORCE_INLINE void GT(tile)(const GT(job) * job, const int strips, const int columns,
                                        const int at_once, const int trait) {
    const size_t tile = (size_t)(strips * columns), vectors = GM_VECTORS(trait);
    const uint8_t *w = job->panel;
    const int32_t *start = job->start;
    ch_q8 x = job->x;
    for (int32_t b = 0; b < job->blocks; b++) {
        float *acc = job->acc + (size_t)(b & 3) * tile * GM_N;
        __asm__("" : "+r"(acc)); // one base register: gcc would compute every address anew
        GM(read_on)(job->ahead);
        CH_UNROLL for (int c = 0; c < columns; c += at_once) {
            ch_q8 part = x;
            part.q += 4 * c;
            part.d += c;
            part.sx += c;
            part.sx16 += c;
            GT(part)(acc + c * strips * GM_N, w, &part, start + c, strips, at_once, trait);
        }
        w += (size_t)strips * vectors * GM_V;
        GT(advance)(&x, 1);
        start += trait & GM_HALVES ? 2 * CH_GROUP : CH_GROUP;
    }
}

// The integer starts of a group of columns: see the head.
GT_TARGET static CH_NOINLINE void GT(starts)(const ch_q8 *x, int32_t blocks, int32_t zero,
                                             bool halves, int32_t *start) {
    const int32_t *sums = halves ? x->s16 : x->s32;
    int32_t n = (halves ? 2 : 1) * ((blocks + 3) & ~3) * CH_GROUP; // padding included
    GM_I magic = GM(set1)((int32_t)ch_bits_from_f32(GM_MAGIC)), factor = GM(set1)(zero);
    for (int32_t i = 0; i < n; i += GM_N)
        GM(store_i)(start + i, GM(sub)(magic, GM(mul_i)(GM(load_i)(sums + i), factor)));
}

// The end of the canon's dot, the epilogue, and the results of one tile; `rows` of them from r on.
GT_TARGET static CH_NOINLINE void GT(finish)(const ch_mm_args *a, const GT(job) * job,
                                             int32_t strips, int32_t column, int32_t columns,
                                             int32_t r, int32_t rows) {
    size_t part = (size_t)(strips * job->columns) * GM_N;
    for (int32_t c = 0; c < columns; c++)
        for (int32_t s = 0; s < strips; s++) {
            const float *at = job->acc + (size_t)(c * strips + s) * GM_N;
            GM_F y = GM(add)(GM(add)(GM(load_f)(at), GM(load_f)(at + 2 * part)),
                             GM(add)(GM(load_f)(at + part), GM(load_f)(at + 3 * part)));
            int32_t first = r + s * GM_N, left = CH_MIN(GM_N, r + rows - first);
            size_t to = (size_t)(column + c) * a->y_stride + (size_t)first;
            if (a->bias) y = GM(add)(y, GM(load_part)(a->bias + first, left));
            if (a->add) y = GM(add)(GM(load_part)(a->add + to, left), y);
            GM(store_part)(a->y + to, y, left);
        }
}

// Asks for the lines of the results of a tile, which will be written when it is done.
GT_TARGET CH_FORCE_INLINE void GT(ask)(const ch_mm_args *a, int32_t column, int32_t columns,
                                       int32_t r, int32_t rows) {
    for (int32_t c = column; c < column + columns; c++)
        for (int32_t i = r; i < r + rows; i += GM_N)
            CH_PREFETCH(a->y + (size_t)c * a->y_stride + i);
}

typedef bool GT(convert_fn)(const uint8_t *const *CH_RESTRICT rows, int32_t k, uint8_t *record,
                            size_t step, GM(ahead) * ahead);
typedef void GT(tile_fn)(const GT(job) * job, int32_t strips);

// What a type needs.
typedef struct GT(kind) {
    GT(convert_fn) * convert;
    GT(tile_fn) * tile;
    ch_mm_fn *reference;
    size_t bytes; // of 256 weights
    int32_t zero; // point
    int32_t trait;
} GT(kind);

// Converts weights k0..k1 of `rows` rows from r on; false when some scale is not finite. Past the
// last row it is read again.
GT_TARGET static CH_NOINLINE bool GT(convert)(const ch_mm_args *a, const GT(kind) * kind, int32_t r,
                                              int32_t rows, int32_t k0, int32_t k1, uint8_t *panel,
                                              GM(ahead) * ahead) {
    bool finite = true;
    int32_t strips = ch_ceil_div(rows, GM_N);
    size_t record = GM_VECTORS(kind->trait) * GM_V, step = (size_t)strips * record;
    const uint8_t *w = a->w + (size_t)r * a->w_stride + (size_t)k0 / 256 * kind->bytes;
    for (int32_t s = 0; s < strips; s++) {
        const uint8_t *at[GM_N];
        for (int32_t i = 0; i < GM_N; i++)
            at[i] = w + (size_t)CH_MIN(s * GM_N + i, rows - 1) * a->w_stride;
        finite &= kind->convert(at, k1 - k0, panel + (size_t)s * record, step, ahead);
    }
    return finite;
}

// Spreads asking for the next panel, which begins with row r, over the last tiles of this one; over
// all of them and converting, which takes as long as one and a half, if they are few.
GT_TARGET static void GT(look_ahead)(const ch_mm_args *a, int32_t r, int32_t tiles,
                                     GM(ahead) * ahead) {
    int32_t blocks = a->k / 32, lines = GM(look_at)(ahead, a, r, GM_STRIPS * GM_N);
    int32_t wanted = ch_ceil_div(lines, GT_LINES * blocks);
    ahead->tiles = CH_MIN(wanted, tiles);
    ahead->each = wanted > tiles ? ch_ceil_div(2 * lines, (2 * tiles + 3) * blocks) : GT_LINES;
    ahead->converting = wanted > tiles ? ahead->each : 0;
}

GT_TARGET static CH_NOINLINE void GT(run)(const ch_mm_args *a, int32_t row0, int32_t row1,
                                          const GT(kind) * kind) {
    const bool halves = (kind->trait & GM_HALVES) != 0, few = a->n <= GT_STRETCH_COLUMNS;
    const int32_t stretch = few ? GT_STRETCH : a->k;
    uint8_t *acc = a->scratch, *panel = acc + GT_STRETCH_COLUMNS / CH_GROUP * GT_ACC_BYTES;
    int32_t *start = (int32_t *)(void *)panel;
    panel += (size_t)ch_q8_padded(a->k) / 32 * CH_GROUP * (halves ? 8 : 4);
    GM(ahead) ahead;
    GT(job) job;
    job.panel = panel;
    job.start = start;
    job.ahead = &ahead;
    for (int32_t r = row0; r < row1; r += GM_STRIPS * GM_N) {
        int32_t rows = CH_MIN(GM_STRIPS * GM_N, row1 - r), strips = ch_ceil_div(rows, GM_N);
        bool finite = true;
        GT(look_ahead)(a, r + rows, ch_ceil_div(a->n, CH_GROUP), &ahead);
        for (int32_t k0 = 0; k0 < a->k && finite; k0 += stretch) {
            int32_t k1 = CH_MIN(k0 + stretch, a->k);
            ahead.lines = ahead.converting;
            finite = GT(convert)(a, kind, r, rows, k0, k1, panel, &ahead);
            job.blocks = (k1 - k0) / 32;
            for (int32_t c = 0; c < a->n && finite; c += CH_GROUP) {
                int32_t columns = CH_MIN(CH_GROUP, a->n - c), group = c / CH_GROUP;
                job.x = ch_q8_view(a->x + (size_t)group * a->x_stride, a->k, CH_GROUP);
                GT(advance)(&job.x, k0 / 32);
                if (!GT(has_offsets)(kind->trait))
                    GT(starts)(&job.x, job.blocks, kind->zero, halves, start);
                job.columns = columns <= GT_FEW ? GT_FEW : CH_GROUP;
                job.acc = (float *)(void *)(acc + (few ? (size_t)group * GT_ACC_BYTES : 0));
                if (k0 == 0) {
                    GT(ask)(a, c, columns, r, rows);
                    GT(clear)(&job, strips * job.columns);
                }
                ahead.lines = ch_ceil_div(a->n - c, CH_GROUP) <= ahead.tiles ? ahead.each : 0;
                kind->tile(&job, strips);
                if (k1 == a->k) GT(finish)(a, &job, strips, c, columns, r, rows);
            }
        }
        if (!finite) kind->reference(a, r, r + rows);
    }
}

// One noinline tile function per trait, with all shapes inside.
#define GT_SHAPES(strips, trait)                                                                   \
    if (job->columns == CH_GROUP)                                                                  \
        GT_WHOLE(job, strips, trait);                                                              \
    else                                                                                           \
        GT(tile)(job, strips, GT_FEW, GT_FEW, trait)
#define GT_TILE(name, trait)                                                                       \
    GT_TARGET static CH_NOINLINE void GT(tile_##name)(const GT(job) * job, int32_t strips) {       \
        if (strips == 3) {                                                                         \
            GT_SHAPES(3, trait);                                                                   \
        } else if (strips == 2) {                                                                  \
            GT_SHAPES(2, trait);                                                                   \
        } else {                                                                                   \
            GT_SHAPES(1, trait);                                                                   \
        }                                                                                          \
    }
#define GT_TYPE_AS(type, convert, how, shape, zero, trait)                                         \
    CH_FN void ch_gemm_##type##__##how(const ch_mm_args *a, int32_t row0, int32_t row1) {          \
        static const GT(kind) kind = {GM(convert_##convert),                                       \
                                      GT(tile_##shape),                                            \
                                      ch_gemm_##type##__c,                                         \
                                      GT_BYTES(ch_block_##type),                                   \
                                      zero,                                                        \
                                      trait};                                                      \
        GT(run)(a, row0, row1, &kind);                                                             \
    }
#define GT_TYPE(type, how, shape, zero, trait) GT_TYPE_AS(type, type, how, shape, zero, trait)
