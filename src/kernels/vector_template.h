// vector_template: rmsnorm, silu glu, rope, KV stores and float rows over vectors of LANES floats.
//
// Included once per instruction set, after its simd header, with these macros defined (all of them
// are undefined again at the end):
//   V(name)    the vector function `name` of the simd header; V(v) is the vector type
//   VT(name)   this instruction set's name for a function of this file
//   VT_TARGET  the target attribute
//   VT_HOW     the instruction set's part of the kernels' names
//   LANES      16 or 8
//
// All of these move each element once or twice through the first-level cache and do a handful of
// operations on it. Nothing but the sum of squares crosses lanes, and that has 16 lanes whatever
// the vector.

#define VT_PASTE(name, how)  ch_##name##__##how
#define VT_EXPAND(name, how) VT_PASTE(name, how)
#define VT_KERNEL(name)      CH_FN VT_TARGET void VT_EXPAND(name, VT_HOW)

// ---- rmsnorm and glu

// Sum of squares in the canonical order: element i in lane i % 16.
static VT_TARGET float VT(squares)(const float *x, int32_t k) {
    float lanes[16];
    V(v) low = V(zero)(), high = low;
    int32_t i = 0;
    for (; i + 16 <= k; i += 16) {
        V(v) a = V(load)(x + i);
        low = V(fma)(a, a, low);
        if (LANES == 16) continue;
        V(v) b = V(load)(x + i + 8);
        high = V(fma)(b, b, high);
    }
    if (i < k) { // lanes without an element add 0 to what is not negative
        V(v) a = V(load_n)(x + i, CH_MIN(k - i, LANES));
        low = V(fma)(a, a, low);
        if (k - i > LANES) {
            V(v) b = V(load_n)(x + i + LANES, k - i - LANES);
            high = V(fma)(b, b, high);
        }
    }
    V(store)(lanes, low);
    if (LANES == 8) V(store)(lanes + 16 - LANES, high);
    return ch_sum16(lanes);
}

VT_KERNEL(rmsnorm)(const float *x, const float *w, float eps, int32_t k, float *y) {
    V(v) r = V(set1)(1.0f / sqrtf(VT(squares)(x, k) / (float)k + eps));
    int32_t i = 0;
    for (; i + LANES <= k; i += LANES)
        V(store)(y + i, V(mul)(V(mul)(V(load)(x + i), r), V(load)(w + i)));
    if (i < k) {
        V(v) last = V(mul)(V(mul)(V(load_n)(x + i, k - i), r), V(load_n)(w + i, k - i));
        V(store_n)(y + i, last, k - i);
    }
}

CH_FORCE_INLINE VT_TARGET V(v) VT(silu)(V(v) gate, V(v) up) {
    V(v) below = V(add)(V(set1)(1.0f), V(exp)(V(neg)(gate)));
    return V(mul)(V(div)(gate, below), up);
}

VT_KERNEL(silu_glu)(const float *gate, const float *up, int32_t k, float *y) {
    int32_t i = 0;
    for (; i + LANES <= k; i += LANES)
        V(store)(y + i, VT(silu)(V(load)(gate + i), V(load)(up + i)));
    if (i < k)
        V(store_n)(y + i, VT(silu)(V(load_n)(gate + i, k - i), V(load_n)(up + i, k - i)), k - i);
}

// ---- rope

// Pairs (2i, 2i + 1): n of them, up to LANES / 2, of each head. With the pair as (a, b), even lanes
// are fma(a, c, -(b * s)) and odd lanes fma(a, s, b * c): both fma(a, cs, -+(b * sc)).
CH_FORCE_INLINE VT_TARGET void VT(rotate_adjacent)(float *x, int32_t heads, int32_t head_dim,
                                                   const float *c, const float *s, V(v) scale,
                                                   int32_t n) {
    V(v) cs = V(zip_n)(c, s, n), sc = V(swap_pairs)(cs);
    for (; heads > 0; heads--, x += head_dim) {
        V(v) ab = V(load_n)(x, 2 * n);
        V(v) turned = V(fmaddsub)(V(dup_even)(ab), cs, V(mul)(V(dup_odd)(ab), sc));
        V(store_n)(x, V(mul)(turned, scale), 2 * n);
    }
}

// Pairs (i, i + apart): n of them, up to LANES, of each head.
CH_FORCE_INLINE VT_TARGET void VT(rotate_apart)(float *x, int32_t heads, int32_t head_dim,
                                                int32_t apart, const float *c, const float *s,
                                                V(v) scale, int32_t n) {
    V(v) vc = V(load_n)(c, n), vs = V(load_n)(s, n);
    for (; heads > 0; heads--, x += head_dim) {
        V(v) a = V(load_n)(x, n), b = V(load_n)(x + apart, n);
        V(store_n)(x, V(mul)(V(fms)(a, vc, V(mul)(b, vs)), scale), n);
        V(store_n)(x + apart, V(mul)(V(fma)(a, vs, V(mul)(b, vc)), scale), n);
    }
}

VT_KERNEL(rope)
(float *x, int32_t heads, int32_t head_dim, int32_t pairs, bool neox, const float *c,
 const float *s, float scale) {
    V(v) by = V(set1)(scale);
    int32_t step = neox ? LANES : LANES / 2, i = 0;
    for (; i < pairs; i += step) {
        int32_t n = CH_MIN(pairs - i, step);
        if (neox)
            VT(rotate_apart)(x + i, heads, head_dim, pairs, c + i, s + i, by, n);
        else
            VT(rotate_adjacent)(x + 2 * i, heads, head_dim, c + i, s + i, by, n);
    }
    for (i = 2 * pairs; i < head_dim; i += LANES) {
        int32_t n = CH_MIN(head_dim - i, LANES);
        for (int32_t h = 0; h < heads; h++) {
            float *p = x + (size_t)h * (size_t)head_dim + i;
            V(store_n)(p, V(mul)(V(load_n)(p, n), by), n);
        }
    }
}

// ---- float rows

VT_KERNEL(dequantize_f16)(const uint8_t *row, float *y, int32_t k) {
    for (int32_t i = 0; i < k; i += LANES) {
        int32_t n = CH_MIN(k - i, LANES);
        V(store_n)(y + i, V(load_f16_n)(row + 2 * (size_t)i, n), n);
    }
}

VT_KERNEL(dequantize_bf16)(const uint8_t *row, float *y, int32_t k) {
    for (int32_t i = 0; i < k; i += LANES) {
        int32_t n = CH_MIN(k - i, LANES);
        V(store_n)(y + i, V(load_bf16_n)(row + 2 * (size_t)i, n), n);
    }
}

// ---- KV stores

VT_KERNEL(kv_store_f16)
(const float *k, const float *v, int32_t head_dim, int32_t value_dim, int32_t capacity,
 int32_t position, uint8_t *k_cache, uint8_t *v_cache) {
    (void)capacity;
    uint16_t *kc = (uint16_t *)(void *)k_cache + (size_t)(position / 16) * 16 * (size_t)head_dim +
                   position % 16;
    uint8_t *vc = v_cache + (size_t)position * (size_t)value_dim * 2;
    for (int32_t e = 0; e < head_dim; e += LANES, kc += 16 * LANES) {
        uint16_t half[LANES]; // keys of a position are 16 apart
        int32_t n = CH_MIN(head_dim - e, LANES);
        V(store_f16_n)((uint8_t *)half, V(load_n)(k + e, n), n);
        for (int32_t i = 0; i < n; i++) kc[16 * i] = half[i];
    }
    for (int32_t e = 0; e < value_dim; e += LANES) {
        int32_t n = CH_MIN(value_dim - e, LANES);
        V(store_f16_n)(vc + 2 * e, V(load_n)(v + e, n), n);
    }
}

// Those up to the next two whole vectors become 0.
CH_FN VT_TARGET float VT_EXPAND(integers, VT_HOW)(const float *x, int32_t n, float most,
                                                  int16_t *q) {
    V(v) top = V(zero)();
    for (int32_t i = 0; i < n; i += LANES)
        top = V(max)(V(abs)(V(load_n)(x + i, CH_MIN(n - i, LANES))), top);
    float largest = V(max_lanes)(top);
    float d = CH_MIN(largest, 3.402823466e38f) / most, inverse = 1.0f / d;
    if (!(inverse <= 3.402823466e38f)) inverse = d = 0.0f;
    V(v) by = V(set1)(inverse);
    for (int32_t i = 0; i < n; i += 2 * LANES) {
        int32_t left = n - i, far = CH_MIN(CH_MAX(left - LANES, 0), LANES);
        V(v) a = V(mul)(V(load_n)(x + i, CH_MIN(left, LANES)), by);
        V(v) b = far ? V(mul)(V(load_n)(x + i + LANES, far), by) : V(zero)();
        V(store_i16)(q + i, V(clamp)(a, most), V(clamp)(b, most));
    }
    return d;
}

#define VT_STORE(name, type)                                                                       \
    VT_KERNEL(name)                                                                                \
    (const float *k, const float *v, int32_t head_dim, int32_t value_dim, int32_t capacity,        \
     int32_t position, uint8_t *k_cache, uint8_t *v_cache) {                                       \
        kv_store_int(type, VT_EXPAND(integers, VT_HOW), k, v, head_dim, value_dim, capacity,       \
                     position, k_cache, v_cache);                                                  \
    }
VT_STORE(kv_store_q16, CH_KV_Q16)
VT_STORE(kv_store_q8_0, CH_KV_Q8_0)

#undef VT_STORE
#undef VT_PASTE
#undef VT_EXPAND
#undef VT_KERNEL
#undef V
#undef VT
#undef VT_TARGET
#undef VT_HOW
#undef LANES
