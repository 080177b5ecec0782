// gemm_float_template: products of f32, f16 and bf16 matrices with columns of floats, for one
// vector width.
//
// The canon sums lanes k % 16, so a tile is GF_ROWS rows by GF_COLUMNS columns of accumulators of
// 16 lanes (GF_PARTS vectors), all in registers. Sixteen rows at a time become a panel of floats,
//     [block of GF_STEPS sixteens of k][tile of GF_ROWS rows][sixteen][row][16]
// which is read in order. Within a block all row tiles go over the same few columns, so both sides
// are in the first-level cache; the accumulators wait in scratch between blocks. In the last
// sixteen, weights past k are -0 and activations +0: adding their product, -0, changes nothing.
//
// Included behind gemm_panel_template.h, which has GM(ahead). Parameters: GM(name), GM_F, GM_N,
// GM_TARGET; GF_ROWS, GF_COLUMNS (a tile), GF_PARTS; primitives load_f, store_f, load_part,
// store_part, set1_f, fma, add, and
//   GM_IN_REGISTER(v)     empty assembly on a vector register
//   GM(sum_rows)(acc)     canonical sums of GM_N accumulators that lie 16 floats apart
//   GM(widen_f16)(from, to), GM(widen_bf16)(from, to)   sixteen weights as floats

#define GF_STEPS 32            // sixteens of k in a block
#define GF_BLOCK (1024 * 1024) // bytes of activations to go over at a time

typedef void GM(widen_fn)(const uint8_t *from, float *to);

// Sixteen weights of a type as floats, in scalar code for the ends of rows: `n` of them, then -0.
GM_TARGET CH_FORCE_INLINE void GM(widen_end)(ch_type type, const uint8_t *from, int32_t n,
                                             float *to) {
    for (int32_t i = 0; i < 16; i++) {
        to[i] = -0.0f;
        if (i >= n) continue;
        if (type == CH_TYPE_F32) memcpy(&to[i], from + 4 * i, 4);
        if (type == CH_TYPE_F16) to[i] = ch_f32_from_f16(ch_load_u16(from + 2 * i));
        if (type == CH_TYPE_BF16) to[i] = ch_f32_from_bf16(ch_load_u16(from + 2 * i));
    }
}

GM_TARGET CH_FORCE_INLINE void GM(widen_f32)(const uint8_t *from, float *to) {
    CH_UNROLL for (int p = 0; p < GF_PARTS; p++)
        GM(store_f)(to + p * GM_N, GM(load_f)(from + (size_t)p * GM_V));
}

// Sixteen weights of a type as floats.
GM_TARGET CH_FORCE_INLINE void GM(widen_whole)(ch_type type, const uint8_t *from, float *to) {
    if (type == CH_TYPE_F32)
        GM(widen_f32)(from, to);
    else if (type == CH_TYPE_F16)
        GM(widen_f16)(from, to);
    else
        GM(widen_bf16)(from, to);
}

// Rows r..r+15 as a panel; past the last row it is taken again.
GM_TARGET CH_FORCE_INLINE void GM(widen)(const ch_mm_args *a, int32_t r, int32_t rows,
                                         const ch_type type, float *panel) {
    int32_t sixteens = a->k / 16, end = a->k % 16, all = ch_ceil_div(a->k, 16);
    size_t bytes = type == CH_TYPE_F32 ? 64 : 32;
    for (int32_t block = 0; block < all; block += GF_STEPS) {
        int32_t next = CH_MIN(block + GF_STEPS, all), whole = CH_MIN(next, sixteens);
        float *to = panel + (size_t)block * 256;
        for (int32_t i = 0; i < 16; i += GF_ROWS) {
            const uint8_t *from[GF_ROWS];
            CH_UNROLL for (int j = 0; j < GF_ROWS; j++) from[j] =
                a->w + (size_t)(r + CH_MIN(i + j, rows - 1)) * a->w_stride;
            for (int32_t s = block; s < whole; s++, to += GF_ROWS * 16)
                CH_UNROLL for (int j = 0; j < GF_ROWS; j++)
                    GM(widen_whole)(type, from[j] + (size_t)s * bytes, to + j * 16);
            if (whole == next) continue;
            for (int j = 0; j < GF_ROWS; j++, to += 16)
                GM(widen_end)(type, from[j] + (size_t)whole * bytes, end, to);
        }
    }
}

// Sixteen s of a tile.
GM_TARGET CH_FORCE_INLINE void GM(float_step)(const float *w, const float *const *x, int32_t s,
                                              GM_F *t, const int columns) {
    GM_F part[GF_ROWS];
    CH_UNROLL for (int p = 0; p < GF_PARTS; p++) {
        CH_UNROLL for (int r = 0; r < GF_ROWS; r++) part[r] = GM(load_f)(w + r * 16 + p * GM_N);
        CH_UNROLL for (int c = 0; c < columns; c++) {
            GM_F v = GM(load_f)(x[c] + s * 16 + p * GM_N);
            GM_IN_REGISTER(v); // gcc would load it for each row
            CH_UNROLL for (int r = 0; r < GF_ROWS; r++) {
                GM_F *to = &t[(r * columns + c) * GF_PARTS + p];
                *to = GM(fma)(part[r], v, *to);
            }
        }
    }
}

// One tile over `steps` sixteens: acc[c * 16 + r] += w[r] * x[c], or = where it is the first.
// `left` floats of x are readable.
GM_TARGET CH_FORCE_INLINE void GM(float_tile)(const float *w, const float *const *x, int32_t steps,
                                              int32_t left, bool first, float *acc,
                                              const int columns) {
    const int vectors = GF_ROWS * columns * GF_PARTS;
    GM_F t[GF_ROWS * GF_COLUMNS * GF_PARTS];
    float *at[GF_ROWS * GF_COLUMNS * GF_PARTS];
    CH_UNROLL for (int i = 0; i < vectors; i++) {
        int r = i / (columns * GF_PARTS), c = i / GF_PARTS % columns;
        at[i] = acc + (size_t)(r + c * 16) * 16 + (size_t)(i % GF_PARTS * GM_N);
    }
    if (first)
        CH_UNROLL for (int i = 0; i < vectors; i++) t[i] = GM(set1_f)(0.0f);
    else
        CH_UNROLL for (int i = 0; i < vectors; i++) t[i] = GM(load_f)(at[i]);
    int32_t whole = left < 16 * steps ? steps - 1 : steps;
    const float *column[GF_COLUMNS];
    CH_UNROLL for (int c = 0; c < columns; c++) column[c] = x[c];
    for (int32_t s = 0; s < whole; s++, w += GF_ROWS * 16) GM(float_step)(w, column, s, t, columns);
    if (whole < steps) {
        int32_t n = left - 16 * whole;
        CH_UNROLL for (int p = 0; p < GF_PARTS; p++) {
            int32_t in_part = CH_MAX(0, CH_MIN(GM_N, n - p * GM_N));
            CH_UNROLL for (int c = 0; c < columns; c++) {
                GM_F v = GM(load_part)(column[c] + whole * 16 + p * GM_N, in_part);
                CH_UNROLL for (int r = 0; r < GF_ROWS; r++) {
                    GM_F *to = &t[(r * columns + c) * GF_PARTS + p];
                    *to = GM(fma)(GM(load_f)(w + r * 16 + p * GM_N), v, *to);
                }
            }
        }
    }
    CH_UNROLL for (int i = 0; i < vectors; i++) GM(store_f)(at[i], t[i]);
}

// `columns` columns of all sixteen rows: acc is [column][row][16].
GM_TARGET CH_FORCE_INLINE void GM(float_columns)(const float *panel, const float *const *x,
                                                 int32_t k, float *acc, GM(ahead) * ahead,
                                                 const int columns) {
    int32_t all = ch_ceil_div(k, 16);
    for (int32_t block = 0; block < all; block += GF_STEPS) {
        int32_t steps = CH_MIN(GF_STEPS, all - block);
        const float *column[GF_COLUMNS];
        CH_UNROLL for (int c = 0; c < columns; c++) column[c] = x[c] + (size_t)block * 16;
        for (int r = 0; r < 16; r += GF_ROWS) {
            GM(read_on)(ahead);
            GM(float_tile)
            (panel + (size_t)(block * 16 + r * steps) * 16, column, steps, k - block * 16,
             block == 0, acc + (size_t)r * 16, columns);
        }
    }
}

GM_TARGET static CH_NOINLINE void GM(float_shapes)(const float *panel, const float *const *x,
                                                   int32_t k, float *acc, GM(ahead) * ahead,
                                                   int32_t columns) {
    if (columns > GF_COLUMNS * 2 / 3)
        GM(float_columns)(panel, x, k, acc, ahead, GF_COLUMNS);
    else if (columns > GF_COLUMNS / 3)
        GM(float_columns)(panel, x, k, acc, ahead, GF_COLUMNS * 2 / 3);
    else
        GM(float_columns)(panel, x, k, acc, ahead, GF_COLUMNS / 3);
}

GM_TARGET static CH_NOINLINE void GM(float_finish)(const ch_mm_args *a, const float *acc, int32_t c,
                                                   int32_t columns, int32_t r, int32_t rows) {
    for (int32_t i = 0; i < columns; i++)
        for (int32_t s = 0; s < rows; s += GM_N) {
            GM_F y = GM(sum_rows)(acc + (size_t)(i * 16 + s) * 16);
            int32_t left = CH_MIN(GM_N, rows - s);
            size_t to = (size_t)(c + i) * a->y_stride + (size_t)(r + s);
            if (a->bias) y = GM(add)(y, GM(load_part)(a->bias + r + s, left));
            if (a->add) y = GM(add)(GM(load_part)(a->add + to, left), y);
            GM(store_part)(a->y + to, y, left);
        }
}

// Columns c0..c1 of rows row0..row1.
GM_TARGET CH_FORCE_INLINE void GM(float_block)(const ch_mm_args *a, int32_t row0, int32_t row1,
                                               int32_t c0, int32_t c1, const ch_type type) {
    float *acc = (float *)(void *)a->scratch, *panel = acc + GF_COLUMNS * 256;
    int32_t tiles =
        ch_ceil_div(c1 - c0, GF_COLUMNS) * ch_ceil_div(a->k, 16 * GF_STEPS) * 16 / GF_ROWS;
    GM(ahead) ahead;
    for (int32_t r = row0; r < row1; r += 16) {
        int32_t rows = CH_MIN(16, row1 - r);
        ahead.lines = ch_ceil_div(GM(look_at)(&ahead, a, r + rows, 16), tiles);
        GM(widen)(a, r, rows, type, panel);
        for (int32_t c = c0; c < c1; c += GF_COLUMNS) {
            int32_t columns = CH_MIN(GF_COLUMNS, c1 - c);
            const float *x[GF_COLUMNS]; // past the last column it is taken again
            for (int32_t i = 0; i < GF_COLUMNS; i++)
                x[i] = (const float *)(const void *)(a->x + (size_t)(c + CH_MIN(i, columns - 1)) *
                                                                a->x_stride);
            for (int32_t i = 0; i < columns; i++) // written when the tile is done
                CH_PREFETCH(a->y + (size_t)(c + i) * a->y_stride + r);
            GM(float_shapes)(panel, x, a->k, acc, &ahead, columns);
            GM(float_finish)(a, acc, c, columns, r, rows);
        }
    }
}

// As many columns at a time as the second-level cache holds beside the panel. The rows are widened
// anew for each such block, which costs a few percent of it.
GM_TARGET CH_FORCE_INLINE void GM(float_run)(const ch_mm_args *a, int32_t row0, int32_t row1,
                                             const ch_type type) {
    int32_t block = CH_MAX(GF_BLOCK / 4 / a->k, 8 * GF_COLUMNS) / GF_COLUMNS * GF_COLUMNS;
    for (int32_t c = 0; c < a->n; c += block)
        GM(float_block)(a, row0, row1, c, CH_MIN(a->n, c + block), type);
}

#define GF_TYPE(TYPE, type, how)                                                                   \
    GM_TARGET CH_FN void ch_gemm_##type##__##how(const ch_mm_args *a, int32_t row0,                \
                                                 int32_t row1) {                                   \
        GM(float_run)(a, row0, row1, CH_TYPE_##TYPE);                                              \
    }
