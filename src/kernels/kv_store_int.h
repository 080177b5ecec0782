// kv_store_int: where the integers of a key and a value go in the cache, for all CPUs.
//
// Owns: the way from rows of integers to the cache; its layout is that of ch_kv_type. Making
// them is each instruction set's own.
#ifndef CH_KV_STORE_INT_H
#define CH_KV_STORE_INT_H

#include "kernels.h"

// Integers of n floats, up to CH_KV_GROUP, as kernels.h has them; returns their scale. It may write
// zeros past them, up to CH_KV_GROUP.
typedef float ch_integers_fn(const float *x, int32_t n, float most, int16_t *q);

#if CH_X86
CH_FN ch_integers_fn ch_integers__avx2;
CH_FN ch_integers_fn ch_integers__avx512;
#elif CH_ARM64
CH_FN ch_integers_fn ch_integers__neon;
#endif

CH_FORCE_INLINE void kv_store_int(ch_kv_type type, ch_integers_fn *integers, const float *k,
                                  const float *v, int32_t head_dim, int32_t value_dim,
                                  int32_t capacity, int32_t position, uint8_t *k_cache,
                                  uint8_t *v_cache) {
    ch_kv_place at =
        ch_kv_place_at(type, k_cache, v_cache, head_dim, value_dim, capacity, position);
    const size_t size = ch_kv_size(type);
    const float most = ch_kv_most(type);
    int16_t q[CH_KV_GROUP + 1];
    for (int32_t e = 0; e < head_dim; e += CH_KV_GROUP, at.k_scale += 16) {
        int32_t n = CH_MIN(head_dim - e, CH_KV_GROUP);
        *at.k_scale = integers(k + e, n, most, q);
        q[n] = 0; // the pair of an odd last one
        for (int32_t i = 0; i < n; i += 2, at.k += 32 * size) {
            ch_kv_put(type, at.k, q[i]);
            ch_kv_put(type, at.k + size, q[i + 1]);
        }
    }
    for (int32_t e = 0; e < value_dim; e += CH_KV_GROUP, at.v_scale += CH_KV_CHUNK) {
        int32_t n = CH_MIN(value_dim - e, CH_KV_GROUP);
        *at.v_scale = integers(v + e, n, most, q);
        for (int32_t i = 0; i < n; i++, at.v += 2 * size) ch_kv_put(type, at.v, q[i]);
    }
}

#endif
