// gles_layout: see gles_layout.h.
#include "gles_layout.h"

enum {
    GLES_BUFFER_BYTES = 1 << 30, // a buffer holds at most that, for drivers that have a limit
    GLES_MAP_BYTES = 8 << 20     // mapped at once while uploading
};

// ---- the table

static uint64_t gles_align(uint64_t bytes) {
    return (bytes + CH_GLES_ALIGN - 1) & ~(uint64_t)(CH_GLES_ALIGN - 1);
}

static void gles_put_slab(ch_gles_layout *l, const ch_gles_row *row, int32_t first, int32_t rows) {
    uint64_t low = gles_align(row->low * (uint64_t)rows),
             side = gles_align(ch_gles_side_bytes(row, rows));
    if (l->buffer_count == 0 || l->buffer_used + low + side > GLES_BUFFER_BYTES) {
        l->buffer_count++;
        l->buffer_used = 0;
    }
    uint64_t used = l->buffer_used;
    l->buffer_used += low + side;
    l->weight_bytes += low + side;
    if (l->slabs) {
        ch_gles_slab *slab = &l->slabs[l->slab_count];
        slab->buffer = l->buffer_count - 1;
        slab->first = first;
        slab->rows = rows;
        slab->low = used;
        slab->side = used + low;
        l->buffer_bytes[slab->buffer] = used + low + side;
    }
    l->slab_count++;
}

static void gles_put_matrix(ch_gles_layout *l, uint64_t slab_bytes,
                            const ch_gguf_tensor *const *tensors, int32_t parts, bool pairs) {
    ch_gles_matrix matrix;
    memset(&matrix, 0, sizeof matrix);
    matrix.type = tensors[0]->type;
    matrix.k = (int32_t)tensors[0]->shape[0];
    matrix.parts = parts;
    matrix.pairs = pairs;
    matrix.first_slab = l->slab_count;
    for (int32_t p = 0; p < parts; p++) {
        matrix.weight[p] = tensors[p]->offset;
        matrix.part_rows[p] = (int32_t)tensors[p]->shape[1];
        matrix.rows += matrix.part_rows[p];
    }
    ch_gles_row row = ch_gles_row_of(matrix.type, matrix.k);
    int32_t most = ch_gles_slab_rows(&row, slab_bytes);
    for (int32_t first = 0; first < matrix.rows; first += most)
        gles_put_slab(l, &row, first, CH_MIN(most, matrix.rows - first));
    matrix.slabs = l->slab_count - matrix.first_slab;
    if (l->matrices) l->matrices[l->matrix_count] = matrix;
    l->matrix_count++;
}

static void gles_put_constant(ch_gles_layout *l, const ch_gguf_tensor *tensor) {
    if (l->constants) {
        ch_gles_constant *c = &l->constants[l->constant_count];
        c->weight = tensor->offset;
        c->at = l->constant_bytes;
        c->count = (int32_t)tensor->shape[0];
    }
    l->constant_count++;
    l->constant_bytes += gles_align(tensor->shape[0] * sizeof(float));
}

static bool gles_alike(const ch_gguf_tensor *a, const ch_gguf_tensor *b) {
    return a && b && a->type == b->type && a->shape[0] == b->shape[0];
}

static void gles_put_block(ch_gles_layout *l, const ch_weights *weights, int32_t block,
                           uint64_t slab_bytes) {
    bool done[CH_PLACE_BLOCK_COUNT] = {false};
    const ch_gguf_tensor *qkv[CH_GLES_PARTS] = {ch_weight(weights, block, CH_PLACE_ATTN_Q),
                                                ch_weight(weights, block, CH_PLACE_ATTN_K),
                                                ch_weight(weights, block, CH_PLACE_ATTN_V)};
    const ch_gguf_tensor *glu[2] = {ch_weight(weights, block, CH_PLACE_FFN_GATE),
                                    ch_weight(weights, block, CH_PLACE_FFN_UP)};
    if (gles_alike(qkv[0], qkv[1]) && gles_alike(qkv[0], qkv[2])) {
        gles_put_matrix(l, slab_bytes, qkv, CH_GLES_PARTS, false);
        done[CH_PLACE_ATTN_Q] = done[CH_PLACE_ATTN_K] = done[CH_PLACE_ATTN_V] = true;
    }
    if (gles_alike(glu[0], glu[1])) {
        gles_put_matrix(l, slab_bytes, glu, 2, true);
        done[CH_PLACE_FFN_GATE] = done[CH_PLACE_FFN_UP] = true;
    }
    for (int32_t p = 0; p < CH_PLACE_BLOCK_COUNT; p++) {
        const ch_gguf_tensor *tensor = ch_weight(weights, block, (ch_place)p);
        if (!tensor || done[p]) continue;
        if (tensor->dims == 1)
            gles_put_constant(l, tensor);
        else
            gles_put_matrix(l, slab_bytes, &tensor, 1, false);
    }
}

CH_FN void ch_gles_layout_make(const ch_weights *weights, uint64_t slab_bytes, ch_gles_layout *l) {
    l->matrix_count = l->slab_count = l->constant_count = l->buffer_count = 0;
    l->weight_bytes = l->constant_bytes = l->buffer_used = 0;
    const ch_gguf_tensor *embd = ch_weight(weights, 0, CH_PLACE_TOKEN_EMBD),
                         *output = ch_weight(weights, 0, CH_PLACE_OUTPUT);
    gles_put_matrix(l, slab_bytes, &embd, 1, false);
    if (output->offset != embd->offset) gles_put_matrix(l, slab_bytes, &output, 1, false);
    gles_put_constant(l, ch_weight(weights, 0, CH_PLACE_OUTPUT_NORM));
    for (int32_t b = 0; b < weights->hp.blocks; b++) gles_put_block(l, weights, b, slab_bytes);
}

CH_FN int32_t ch_gles_layout_find(const ch_gles_layout *l, uint64_t weight, int32_t *part) {
    for (int32_t i = 0; i < l->matrix_count; i++)
        for (int32_t p = 0; p < l->matrices[i].parts; p++)
            if (l->matrices[i].weight[p] == weight) {
                *part = p;
                return i;
            }
    return -1;
}

CH_FN uint64_t ch_gles_layout_constant(const ch_gles_layout *l, uint64_t weight) {
    for (int32_t i = 0; i < l->constant_count && weight != CH_NOWHERE; i++)
        if (l->constants[i].weight == weight) return l->constants[i].at;
    return CH_NOWHERE;
}

#if CHORD_GLES

// ---- uploading

// Row r of a matrix in the file.
static const uint8_t *gles_file_row(const ch_gles_matrix *m, const uint8_t *file, int32_t r) {
    int32_t part = 0;
    if (m->pairs) {
        part = r & 1;
        r >>= 1;
    } else {
        while (r >= m->part_rows[part]) r -= m->part_rows[part++];
    }
    return file + m->weight[part] + (uint64_t)r * ch_row_bytes(m->type, m->k);
}

typedef enum gles_plane { GLES_LOW, GLES_HIGH, GLES_SCALES, GLES_PLANES } gles_plane;

// One plane of a slab, as many rows at a time as fit a mapping.
static bool gles_upload_plane(ch_gles *g, const ch_gles_matrix *m, const ch_gles_slab *slab,
                              const uint8_t *file, gles_plane plane) {
    ch_gles_row row = ch_gles_row_of(m->type, m->k);
    uint64_t bytes = plane == GLES_LOW ? row.low : plane == GLES_HIGH ? row.high : row.scales;
    uint64_t at = plane == GLES_LOW    ? slab->low
                  : plane == GLES_HIGH ? slab->side
                                       : slab->side + row.high * (uint64_t)slab->rows;
    if (bytes == 0) return true;
    int32_t piece = (int32_t)CH_MAX(GLES_MAP_BYTES / bytes, 1);
    for (int32_t r = 0; r < slab->rows; r += piece) {
        int32_t rows = CH_MIN(piece, slab->rows - r);
        uint8_t *to = (uint8_t *)g->call.gl.MapBufferRange(
            GL_SHADER_STORAGE_BUFFER, (GLintptr)(at + bytes * (uint64_t)r),
            (GLsizeiptr)(bytes * (uint64_t)rows), GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_RANGE_BIT);
        if (!to) return false;
        for (int32_t i = 0; i < rows; i++, to += bytes)
            ch_gles_pack_row(m->type, m->k, gles_file_row(m, file, slab->first + r + i),
                             plane == GLES_LOW ? to : NULL, plane == GLES_HIGH ? to : NULL,
                             plane == GLES_SCALES ? to : NULL);
        if (!g->call.gl.UnmapBuffer(GL_SHADER_STORAGE_BUFFER)) return false;
    }
    return true;
}

static chord_result gles_upload_constants(ch_gles *g, const ch_gles_layout *l, const uint8_t *file,
                                          GLuint buffer, chord_error *error) {
    if (l->constant_bytes == 0) return CHORD_OK;
    CH_GL(g, BindBuffer, (GL_SHADER_STORAGE_BUFFER, buffer));
    uint8_t *to = (uint8_t *)g->call.gl.MapBufferRange(
        GL_SHADER_STORAGE_BUFFER, 0, (GLsizeiptr)l->constant_bytes,
        GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_RANGE_BIT);
    bool good = to != NULL;
    if (good) memset(to, 0, (size_t)l->constant_bytes);
    for (int32_t i = 0; good && i < l->constant_count; i++)
        memcpy(to + l->constants[i].at, file + l->constants[i].weight,
               (size_t)l->constants[i].count * sizeof(float));
    if (good) good = g->call.gl.UnmapBuffer(GL_SHADER_STORAGE_BUFFER);
    return good
               ? CHORD_OK
               : ch_fail(error, CHORD_ERROR_SYSTEM, "%s gives no access to a buffer", g->info.name);
}

CH_FN chord_result ch_gles_upload(ch_gles *g, const ch_gles_layout *l, const uint8_t *file,
                                  const GLuint *buffers, GLuint constants,
                                  ch_gles_progress_fn *progress, void *user, chord_error *error) {
    uint64_t done = 0;
    for (int32_t i = 0; i < l->matrix_count; i++) {
        const ch_gles_matrix *m = &l->matrices[i];
        for (int32_t s = m->first_slab; s < m->first_slab + m->slabs; s++) {
            const ch_gles_slab *slab = &l->slabs[s];
            CH_GL(g, BindBuffer, (GL_SHADER_STORAGE_BUFFER, buffers[slab->buffer]));
            for (int32_t plane = 0; plane < GLES_PLANES; plane++)
                if (!gles_upload_plane(g, m, slab, file, (gles_plane)plane))
                    return ch_fail(error, CHORD_ERROR_SYSTEM, "%s gives no access to a buffer",
                                   g->info.name);
            done += (uint64_t)slab->rows * ch_row_bytes(m->type, m->k);
            if (progress && progress(user, done, l->weight_bytes))
                return ch_fail(error, CHORD_ERROR_STOPPED,
                               "stopped while bringing the weights to the GPU");
        }
    }
    return gles_upload_constants(g, l, file, constants, error);
}

#endif
