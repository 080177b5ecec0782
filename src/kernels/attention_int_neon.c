// attention_int_neon: attention on a cache of integers, on aarch64; all of it is
// attention_int_template.h.
//
// Owns: the functions that the template takes, for 8 lanes in two registers.
//
// Pairs are taken apart as they are loaded: even ones in one register, odd ones in the other, so
// that each meets one lane of the pair that it is multiplied with. Tiles of 4 queries x 16
// positions (or value elements): 16 accumulators; 4 multiply-adds an instruction, as of floats, but
// no conversions, and half of the loads.
#include "kv_store_int.h"
#include "neon.h"

#if CH_ARM64

typedef float32x4x2_t aqn_v;
typedef int32x4x2_t aqn_i;
typedef int16x8x2_t aqn_pairs; // even, odd
typedef int16x4_t aqn_pair;    // in lanes 0 and 1

#define AQN_FN   CH_FORCE_INLINE
#define AQN_BOTH CH_UNROLL for (int i = 0; i < 2; i++)

AQN_FN aqn_v aqn_set1(float x) {
    aqn_v v;
    AQN_BOTH v.val[i] = vdupq_n_f32(x);
    return v;
}

AQN_FN aqn_v aqn_zero(void) {
    return aqn_set1(0.0f);
}

AQN_FN aqn_v aqn_load(const float *p) {
    aqn_v v;
    AQN_BOTH v.val[i] = vld1q_f32(p + 4 * i);
    return v;
}

AQN_FN void aqn_store(float *p, aqn_v x) {
    AQN_BOTH vst1q_f32(p + 4 * i, x.val[i]);
}

AQN_FN void aqn_store_n(float *p, aqn_v x, int32_t n) {
    float all[8];
    aqn_store(all, x);
    memcpy(p, all, (size_t)n * sizeof *p);
}

AQN_FN aqn_v aqn_add(aqn_v a, aqn_v b) {
    AQN_BOTH a.val[i] = vaddq_f32(a.val[i], b.val[i]);
    return a;
}

AQN_FN aqn_v aqn_sub(aqn_v a, aqn_v b) {
    AQN_BOTH a.val[i] = vsubq_f32(a.val[i], b.val[i]);
    return a;
}

AQN_FN aqn_v aqn_mul(aqn_v a, aqn_v b) {
    AQN_BOTH a.val[i] = vmulq_f32(a.val[i], b.val[i]);
    return a;
}

AQN_FN aqn_v aqn_div(aqn_v a, aqn_v b) {
    AQN_BOTH a.val[i] = vdivq_f32(a.val[i], b.val[i]);
    return a;
}

AQN_FN aqn_v aqn_fma(aqn_v a, aqn_v b, aqn_v c) {
    AQN_BOTH c.val[i] = vfmaq_f32(c.val[i], a.val[i], b.val[i]);
    return c;
}

// The larger one; a NaN in a is left out.
AQN_FN aqn_v aqn_max(aqn_v a, aqn_v b) {
    AQN_BOTH a.val[i] = vmaxnmq_f32(a.val[i], b.val[i]);
    return a;
}

AQN_FN aqn_v aqn_exp2(aqn_v x) {
    AQN_BOTH x.val[i] = nn_exp2(x.val[i]);
    return x;
}

// Lane i is the largest of row i of 8; there is no NaN.
AQN_FN aqn_v aqn_max_rows(const float *rows) {
    float most[8];
    for (int r = 0; r < 8; r++)
        most[r] = vmaxvq_f32(vmaxq_f32(vld1q_f32(rows + 8 * r), vld1q_f32(rows + 8 * r + 4)));
    return aqn_load(most);
}

// Lane i where lo <= at + i < hi, `outside` elsewhere.
AQN_FN aqn_v aqn_between(aqn_v x, float outside, int32_t at, int32_t lo, int32_t hi) {
    static const int32_t counts[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    AQN_BOTH {
        int32x4_t lane = vaddq_s32(vld1q_s32(counts + 4 * i), vdupq_n_s32(at));
        uint32x4_t seen =
            vandq_u32(vcgeq_s32(lane, vdupq_n_s32(lo)), vcltq_s32(lane, vdupq_n_s32(hi)));
        x.val[i] = vbslq_f32(seen, x.val[i], vdupq_n_f32(outside));
    }
    return x;
}

// Rounds a, then b to the nearest integers, ties to even, and stores them in 16 bits each.
AQN_FN void aqn_store_i16(int16_t *p, aqn_v a, aqn_v b) {
    AQN_BOTH {
        vst1_s16(p + 4 * i, vmovn_s32(vcvtnq_s32_f32(a.val[i])));
        vst1_s16(p + 8 + 4 * i, vmovn_s32(vcvtnq_s32_f32(b.val[i])));
    }
}

AQN_FN aqn_i aqn_zero_i(void) {
    aqn_i v;
    AQN_BOTH v.val[i] = vdupq_n_s32(0);
    return v;
}

AQN_FN aqn_pairs aqn_load_pairs(const uint8_t *p) {
    return vld2q_s16((const int16_t *)(const void *)p);
}

AQN_FN aqn_pairs aqn_load_byte_pairs(const uint8_t *p) {
    int8x8x2_t bytes = vld2_s8((const int8_t *)p);
    aqn_pairs v;
    AQN_BOTH v.val[i] = vmovl_s8(bytes.val[i]);
    return v;
}

AQN_FN aqn_pair aqn_set1_pair(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return vreinterpret_s16_s32(vdup_n_s32(pair));
}

AQN_FN aqn_i aqn_dot16(aqn_i c, aqn_pair a, aqn_pairs b) {
    c.val[0] = vmlal_lane_s16(c.val[0], vget_low_s16(b.val[0]), a, 0);
    c.val[1] = vmlal_high_lane_s16(c.val[1], b.val[0], a, 0);
    c.val[0] = vmlal_lane_s16(c.val[0], vget_low_s16(b.val[1]), a, 1);
    c.val[1] = vmlal_high_lane_s16(c.val[1], b.val[1], a, 1);
    return c;
}

AQN_FN aqn_v aqn_from_i(aqn_i x) {
    aqn_v v;
    AQN_BOTH v.val[i] = vcvtq_f32_s32(x.val[i]);
    return v;
}

#undef AQN_FN
#undef AQN_BOTH

#define V(name)  aqn_##name
#define AQ(name) aqneon_##name
#define AQ_TARGET
#define LANES       8
#define AQ_HOW      neon
#define AQ_DOT      dot16
#define AQ_INTEGERS ch_integers__neon
#define AQ_BLOCK    4
#include "attention_int_template.h"

#endif
