// gles_pack: see gles_pack.h.
#include "gles_pack.h"

// Bits of a weight in each plane; bytes of scales, for how many weights.
typedef struct gles_format {
    int32_t low_bits, high_bits, scale_bytes, scale_weights;
} gles_format;

static gles_format gles_format_of(ch_type type) {
    gles_format f = {0, 0, 0, 32};
    switch (type) {
    case CH_TYPE_F32:
        f.low_bits = 32;
        break;
    case CH_TYPE_F16:
    case CH_TYPE_BF16:
        f.low_bits = 16;
        break;
    case CH_TYPE_Q4_0:
        f.low_bits = 4, f.scale_bytes = 2;
        break;
    case CH_TYPE_Q4_1:
        f.low_bits = 4, f.scale_bytes = 4;
        break;
    case CH_TYPE_Q5_0:
        f.low_bits = 4, f.high_bits = 1, f.scale_bytes = 2;
        break;
    case CH_TYPE_Q5_1:
        f.low_bits = 4, f.high_bits = 1, f.scale_bytes = 4;
        break;
    case CH_TYPE_Q8_0:
        f.low_bits = 8, f.scale_bytes = 2;
        break;
    case CH_TYPE_Q2_K:
        f.low_bits = 2, f.scale_bytes = 20, f.scale_weights = 256;
        break;
    case CH_TYPE_Q3_K:
        f.low_bits = 2, f.high_bits = 1, f.scale_bytes = 16, f.scale_weights = 256;
        break;
    case CH_TYPE_Q4_K:
        f.low_bits = 4, f.scale_bytes = 16, f.scale_weights = 256;
        break;
    case CH_TYPE_Q5_K:
        f.low_bits = 4, f.high_bits = 1, f.scale_bytes = 16, f.scale_weights = 256;
        break;
    case CH_TYPE_Q6_K:
        f.low_bits = 4, f.high_bits = 2, f.scale_bytes = 20, f.scale_weights = 256;
        break;
    default:
        break;
    }
    return f;
}

CH_FN bool ch_gles_reads(ch_type type) {
    return gles_format_of(type).low_bits > 0;
}

CH_FN ch_gles_row ch_gles_row_of(ch_type type, int32_t k) {
    gles_format f = gles_format_of(type);
    ch_gles_row row;
    row.blocks = ch_ceil_div(k, 32);
    row.low = (uint64_t)row.blocks * (uint64_t)f.low_bits * 4;
    row.high = (uint64_t)row.blocks * (uint64_t)f.high_bits * 4;
    row.scales = (uint64_t)row.blocks * 32 / (uint64_t)f.scale_weights * (uint64_t)f.scale_bytes;
    return row;
}

CH_FN int32_t ch_gles_slab_rows(const ch_gles_row *row, uint64_t block_bytes) {
    uint64_t most = CH_MAX(row->low, row->high + row->scales), rows = block_bytes / most;
    rows = rows >= 64 ? rows & ~(uint64_t)63 : CH_MAX(rows & ~(uint64_t)1, 2);
    // A product takes 8 rows a work group, and a dispatch has 65535 of these at least.
    return (int32_t)CH_MIN(rows, (uint64_t)(65535 * 8) & ~(uint64_t)63);
}

// ---- the weights of a block, as unsigned numbers of low_bits + high_bits

static void gles_read_q4(const uint8_t *CH_RESTRICT qs, uint8_t *CH_RESTRICT q) {
    for (int i = 0; i < 16; i++) {
        q[i] = qs[i] & 15;
        q[i + 16] = qs[i] >> 4;
    }
}

static void gles_read_q5(const uint8_t *CH_RESTRICT qs, const uint8_t *CH_RESTRICT qh,
                         uint8_t *CH_RESTRICT q) {
    gles_read_q4(qs, q);
    for (int i = 0; i < 4; i++) {
        // Bit j of a byte becomes bit 4 of byte j: spread, alone in its byte, brought to the top.
        uint64_t eight, bits = (qh[i] * 0x0101010101010101u) & 0x8040201008040201u;
        bits = ((bits + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
        memcpy(&eight, q + 8 * i, sizeof eight);
        eight |= bits;
        memcpy(q + 8 * i, &eight, sizeof eight);
    }
}

// Bits `from` on of 32 bytes, `mask` of them, to bit `to` on of the numbers.
static void gles_put_part(const uint8_t *CH_RESTRICT bytes, int32_t from, int32_t mask, int32_t to,
                          uint8_t *CH_RESTRICT q) {
    for (int i = 0; i < 32; i++) q[i] = (uint8_t)(q[i] | (((bytes[i] >> from) & mask) << to));
}

// Block b of a row of a K type.
static void gles_read_k(ch_type type, const uint8_t *row, int32_t b, uint8_t *q) {
    int32_t part = b % 8, half = part / 4, quarter = part % 4;
    memset(q, 0, 32);
    if (type == CH_TYPE_Q2_K) {
        const ch_block_q2_k *block = (const ch_block_q2_k *)(const void *)row + b / 8;
        gles_put_part(block->qs + half * 32, 2 * quarter, 3, 0, q);
    } else if (type == CH_TYPE_Q3_K) {
        const ch_block_q3_k *block = (const ch_block_q3_k *)(const void *)row + b / 8;
        gles_put_part(block->qs + half * 32, 2 * quarter, 3, 0, q);
        gles_put_part(block->hmask, part, 1, 2, q);
    } else if (type == CH_TYPE_Q4_K) {
        const ch_block_q4_k *block = (const ch_block_q4_k *)(const void *)row + b / 8;
        gles_put_part(block->qs + part / 2 * 32, 4 * (part % 2), 15, 0, q);
    } else if (type == CH_TYPE_Q5_K) {
        const ch_block_q5_k *block = (const ch_block_q5_k *)(const void *)row + b / 8;
        gles_put_part(block->qs + part / 2 * 32, 4 * (part % 2), 15, 0, q);
        gles_put_part(block->qh, part, 1, 4, q);
    } else {
        const ch_block_q6_k *block = (const ch_block_q6_k *)(const void *)row + b / 8;
        gles_put_part(block->ql + half * 64 + quarter % 2 * 32, 4 * (quarter / 2), 15, 0, q);
        gles_put_part(block->qh + half * 32, 2 * quarter, 3, 4, q);
    }
}

static void gles_read(ch_type type, const uint8_t *row, int32_t b, uint8_t *q) {
    if (type == CH_TYPE_Q4_0)
        gles_read_q4(((const ch_block_q4_0 *)(const void *)row)[b].qs, q);
    else if (type == CH_TYPE_Q4_1)
        gles_read_q4(((const ch_block_q4_1 *)(const void *)row)[b].qs, q);
    else if (type == CH_TYPE_Q5_0)
        gles_read_q5(((const ch_block_q5_0 *)(const void *)row)[b].qs,
                     ((const ch_block_q5_0 *)(const void *)row)[b].qh, q);
    else if (type == CH_TYPE_Q5_1)
        gles_read_q5(((const ch_block_q5_1 *)(const void *)row)[b].qs,
                     ((const ch_block_q5_1 *)(const void *)row)[b].qh, q);
    else if (type == CH_TYPE_Q8_0)
        memcpy(q, ((const ch_block_q8_0 *)(const void *)row)[b].qs, 32);
    else
        gles_read_k(type, row, b, q);
}

// The 32 numbers' bits from `shift` on, `bits` (1, 2, 4, 8) of each, one after the other: eight
// numbers at a time come together in three steps.
static void gles_put_bits(const uint8_t *q, int32_t shift, int32_t bits, uint8_t *out) {
    uint64_t each = 0x0101010101010101u * ((1u << bits) - 1),
             twos = 0x0001000100010001u * ((1u << (2 * bits)) - 1),
             fours = 0x0000000100000001u * (((uint64_t)1 << (4 * bits)) - 1);
    for (int32_t i = 0; i < 4; i++, out += bits) {
        uint64_t x;
        memcpy(&x, q + 8 * i, sizeof x);
        x = (x >> shift) & each;
        x = (x | (x >> (8 - bits))) & twos;
        x = (x | (x >> (16 - 2 * bits))) & fours;
        x |= x >> (32 - 4 * bits);
        memcpy(out, &x, (size_t)bits);
    }
}

// ---- scales

static void gles_put_scales(ch_type type, int32_t k, const uint8_t *row, uint8_t *out) {
    const ch_type_info *info = ch_type_get(type);
    gles_format f = gles_format_of(type);
    for (int32_t i = 0; i < k / f.scale_weights;
         i++, row += info->block_bytes, out += f.scale_bytes) {
        static const uint8_t none[2] = {0, 0};
        if (type == CH_TYPE_Q2_K) {
            const ch_block_q2_k *block = (const ch_block_q2_k *)(const void *)row;
            memcpy(out, block->scales, 16);
            memcpy(out + 16, &block->d, 2);
            memcpy(out + 18, &block->dmin, 2);
        } else if (type == CH_TYPE_Q3_K) {
            const ch_block_q3_k *block = (const ch_block_q3_k *)(const void *)row;
            memcpy(out, block->scales, 12);
            memcpy(out + 12, &block->d, 2);
            memcpy(out + 14, none, 2);
        } else if (type == CH_TYPE_Q6_K) {
            const ch_block_q6_k *block = (const ch_block_q6_k *)(const void *)row;
            memcpy(out, block->scales, 16);
            memcpy(out + 16, &block->d, 2);
            memcpy(out + 18, none, 2);
        } else {
            memcpy(out, row, (size_t)f.scale_bytes); // they stand in front, as they are wanted
        }
    }
}

// ---- rows

CH_FN void ch_gles_pack_row(ch_type type, int32_t k, const uint8_t *row, uint8_t *low,
                            uint8_t *high, uint8_t *scales) {
    gles_format f = gles_format_of(type);
    if (f.low_bits >= 16) {
        size_t bytes = ch_row_bytes(type, k);
        if (!low) return;
        memcpy(low, row, bytes);
        memset(low + bytes, 0, (size_t)ch_gles_row_of(type, k).low - bytes);
        return;
    }
    uint8_t q[32];
    for (int32_t b = 0; (low || high) && b < k / 32; b++) {
        gles_read(type, row, b, q);
        if (low) gles_put_bits(q, 0, f.low_bits, low + (size_t)b * (size_t)f.low_bits * 4);
        if (high && f.high_bits)
            gles_put_bits(q, f.low_bits, f.high_bits, high + (size_t)b * (size_t)f.high_bits * 4);
    }
    if (scales) gles_put_scales(type, k, row, scales);
}
