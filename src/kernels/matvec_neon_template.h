// matvec_neon_template: matrix times 1..8 columns of quantized activations, with and without sdot.
//
// Included by matvec_neon.c once for each way to multiply bytes, with
//   MVN_NAME(name)  gives `name` a suffix of this way's own
//   MVN_TARGET      the function attribute
//   MVN_DOTPROD     1 with sdot, 0 with 16-bit products
// and undefines them. It leaves behind mvn_rows_<type> under MVN_NAME for every quantized type.

#if MVN_DOTPROD

CH_FORCE_INLINE MVN_TARGET int32x4_t MVN_NAME(mvn_sdot)(int32x4_t acc, int8x16_t w, int8x16_t x) {
    // Assembly, because clang before 16 has the intrinsic only where the whole file may use it.
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(acc) : "w"(w), "w"(x));
    return acc;
}

// Partial sums of 32 products.
CH_FORCE_INLINE MVN_TARGET int32x4_t MVN_NAME(mvn_dot32)(const int8x16_t *w, const int8_t *x,
                                                         bool wide) {
    (void)wide;
    int32x4_t acc = MVN_NAME(mvn_sdot)(vdupq_n_s32(0), w[0], vld1q_s8(x));
    return MVN_NAME(mvn_sdot)(acc, w[1], vld1q_s8(x + 16));
}

// Partial sums of 16 products.
CH_FORCE_INLINE MVN_TARGET int32x4_t MVN_NAME(mvn_dot16)(int8x16_t w, const int8_t *x) {
    return MVN_NAME(mvn_sdot)(vdupq_n_s32(0), w, vld1q_s8(x));
}

#else

// |x| <= 127. With |w| <= 32, eight products fit in 16 bits; four are summed here. With |w| <= 128
// two fit.
CH_FORCE_INLINE int32x4_t MVN_NAME(mvn_dot32)(const int8x16_t *w, const int8_t *x, bool wide) {
    int8x16_t x0 = vld1q_s8(x), x1 = vld1q_s8(x + 16);
    int16x8_t a = vmull_s8(vget_low_s8(w[0]), vget_low_s8(x0));
    a = vmlal_high_s8(a, w[0], x0);
    if (!wide) {
        a = vmlal_s8(a, vget_low_s8(w[1]), vget_low_s8(x1));
        return vpaddlq_s16(vmlal_high_s8(a, w[1], x1));
    }
    int16x8_t b = vmull_s8(vget_low_s8(w[1]), vget_low_s8(x1));
    return vpadalq_s16(vpaddlq_s16(a), vmlal_high_s8(b, w[1], x1));
}

CH_FORCE_INLINE int32x4_t MVN_NAME(mvn_dot16)(int8x16_t w, const int8_t *x) {
    int8x16_t x0 = vld1q_s8(x);
    int16x8_t a = vmull_s8(vget_low_s8(w), vget_low_s8(x0));
    return vpaddlq_s16(vmlal_high_s8(a, w, x0));
}

#endif

// Sums of four vectors' lanes.
CH_FORCE_INLINE int32x4_t MVN_NAME(mvn_sums)(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
    return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
}

// acc plus group g of a row times that of a column: lane i of acc is acc[i] of the canon.
CH_FORCE_INLINE MVN_TARGET float32x4_t MVN_NAME(mvn_step)(const nn_group *w, const nn_traits *type,
                                                          const ch_q8 *x, int32_t g,
                                                          float32x4_t acc) {
    const int8_t *q = x->q + 128 * (size_t)g;
    size_t at = 4 * (size_t)g;
    float32x4_t u;
    if (type->halves) {
        int32x4_t t0 = MVN_NAME(mvn_sums)(
            MVN_NAME(mvn_dot16)(w->q[0], q), MVN_NAME(mvn_dot16)(w->q[2], q + 32),
            MVN_NAME(mvn_dot16)(w->q[4], q + 64), MVN_NAME(mvn_dot16)(w->q[6], q + 96));
        int32x4_t t1 = MVN_NAME(mvn_sums)(
            MVN_NAME(mvn_dot16)(w->q[1], q + 16), MVN_NAME(mvn_dot16)(w->q[3], q + 48),
            MVN_NAME(mvn_dot16)(w->q[5], q + 80), MVN_NAME(mvn_dot16)(w->q[7], q + 112));
        if (type->whole) {
            int32x4_t t = vmlaq_s32(vmulq_s32(t0, w->times[0]), t1, w->times[1]);
            u = vmulq_f32(w->scale[0], nn_to_f32(t, type->shift));
        } else {
            u = vmulq_f32(w->scale[0], nn_to_f32(t0, type->shift));
            u = vfmaq_f32(u, w->scale[1], nn_to_f32(t1, type->shift));
        }
    } else {
        int32x4_t t = MVN_NAME(mvn_sums)(MVN_NAME(mvn_dot32)(w->q, q, type->wide),
                                         MVN_NAME(mvn_dot32)(w->q + 2, q + 32, type->wide),
                                         MVN_NAME(mvn_dot32)(w->q + 4, q + 64, type->wide),
                                         MVN_NAME(mvn_dot32)(w->q + 6, q + 96, type->wide));
        u = vmulq_f32(w->scale[0], nn_to_f32(t, type->shift));
    }
    acc = vfmaq_f32(acc, u, vld1q_f32(x->d + at));
    if (type->offsets && type->halves) {
        float32x4x2_t sx16 = vld2q_f32(x->sx16 + 2 * at);
        acc = vfmaq_f32(acc, w->offset[0], sx16.val[0]);
        acc = vfmaq_f32(acc, w->offset[1], sx16.val[1]);
    } else if (type->offsets) {
        acc = vfmaq_f32(acc, w->offset[0], vld1q_f32(x->sx + at));
    }
    return acc;
}

// One row times n columns. The weights of a group are unpacked once.
CH_FORCE_INLINE MVN_TARGET void MVN_NAME(mvn_row)(nn_unpack_fn *unpack, const nn_traits *type,
                                                  const uint8_t *w, int32_t k, const ch_q8 *x,
                                                  int32_t n, float32x4_t *acc) {
    nn_group group;
    int32_t groups = k / 128, rest = k / 32 % 4;
    size_t stride = (size_t)type->bytes * (type->super ? 1 : 4);
    float32x4_t acc0 = vdupq_n_f32(0); // the first column's accumulators stay in a register
    for (int32_t c = 1; c < n; c++) acc[c] = acc0;
    for (int32_t g = 0; g < groups; w += stride) {
        unpack(w, 0, &group);
        acc0 = MVN_NAME(mvn_step)(&group, type, x, g, acc0);
        for (int32_t c = 1; c < n; c++) acc[c] = MVN_NAME(mvn_step)(&group, type, &x[c], g, acc[c]);
        g++;
        if (!type->super) continue;
        unpack(w, 1, &group);
        acc0 = MVN_NAME(mvn_step)(&group, type, x, g, acc0);
        for (int32_t c = 1; c < n; c++) acc[c] = MVN_NAME(mvn_step)(&group, type, &x[c], g, acc[c]);
        g++;
    }
    acc[0] = acc0;
    if (type->super || rest == 0) return;
    // The accumulators of blocks that are not there stay as they are: adding zero could turn -0
    // into +0.
    static const int32_t lanes[4] = {0, 1, 2, 3};
    uint32x4_t there = vcltq_s32(vld1q_s32(lanes), vdupq_n_s32(rest));
    nn_unpack_tail(unpack, w, rest, type->bytes, &group);
    for (int32_t c = 0; c < n; c++)
        acc[c] = vbslq_f32(there, MVN_NAME(mvn_step)(&group, type, &x[c], groups, acc[c]), acc[c]);
}

// Rows row0..row1 times columns c0..c0 + n (n <= CH_MATVEC_COLUMNS), whose records of group 1 are
// x.
CH_FORCE_INLINE MVN_TARGET void MVN_NAME(mvn_rows)(nn_unpack_fn *unpack, const nn_traits *type,
                                                   const ch_mm_args *a, int32_t row0, int32_t row1,
                                                   const ch_q8 *x, int32_t c0, int32_t n) {
    float32x4_t acc[CH_MATVEC_COLUMNS];
    for (int32_t r = row0; r < row1; r++) {
        const uint8_t *w = a->w + (size_t)r * a->w_stride;
        if (n == 1)
            MVN_NAME(mvn_row)(unpack, type, w, a->k, x, 1, acc);
        else
            MVN_NAME(mvn_row)(unpack, type, w, a->k, x, n, acc);
        for (int32_t c = 0; c < n; c++) {
            size_t at = (size_t)(c0 + c) * a->y_stride + (size_t)r;
            float y = nn_sum4(acc[c]);
            if (a->bias) y = y + a->bias[r];
            if (a->add) y = a->add[at] + y;
            a->y[at] = y;
        }
    }
}

#define MVN_ROWS(name, super, halves, whole, offsets, wide, shift)                                 \
    static CH_NOINLINE MVN_TARGET void MVN_NAME(mvn_rows_##name)(                                  \
        const ch_mm_args *a, int32_t row0, int32_t row1, const ch_q8 *x, int32_t c0, int32_t n) {  \
        nn_traits type = {sizeof(ch_block_##name), super, halves, whole, offsets, wide, shift};    \
        MVN_NAME(mvn_rows)(nn_unpack_##name, &type, a, row0, row1, x, c0, n);                      \
    }
CH_NEON_QUANT_TYPES(MVN_ROWS)

#undef MVN_ROWS
#undef MVN_NAME
#undef MVN_TARGET
#undef MVN_DOTPROD
