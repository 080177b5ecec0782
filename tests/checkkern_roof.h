// checkkern, roof part: the kernels that measure the machine do what they say: a read reads every
// byte, a peak makes the multiply-adds that it counts. How fast, is nothing that a test can know.
#ifndef CHECKKERN_ROOF_H
#define CHECKKERN_ROOF_H

#include "checkkern_vector.h"

typedef struct ck_roof_case {
    const uint8_t *data;
    size_t bytes;
    int32_t rounds;
    uint8_t *out; // read: the sum; peak: what was counted less what was made, and a part of a round
} ck_roof_case;

static void ck_roof_read_call(ch_any_fn *fn, const void *arg) {
    const ck_roof_case *c = (const ck_roof_case *)arg;
    uint64_t sum = ((ch_roof_read_fn *)fn)(c->data, c->bytes);
    memcpy(c->out, &sum, sizeof sum);
}

static void ck_roof_peak_call(ch_any_fn *fn, const void *arg) {
    const ck_roof_case *c = (const ck_roof_case *)arg;
    int64_t sum = 0, made = ((ch_roof_peak_fn *)fn)(c->rounds, &sum);
    int64_t wrong = sum - made, partial = made < c->rounds ? 1 : made % c->rounds;
    memcpy(c->out, &wrong, sizeof wrong);
    memcpy(c->out + sizeof wrong, &partial, sizeof partial);
}

static void ck_roof_describe(const void *arg, char *text, size_t size) {
    const ck_roof_case *c = (const ck_roof_case *)arg;
    snprintf(text, size, "%zu bytes, %d rounds", c->bytes, (int)c->rounds);
}

static uint8_t *ck_roof_out(ck_case *k, size_t bytes) {
    ck_out out = {"sum", ck_at_end(CK_Y, bytes), bytes, CK_BYTES, 0};
    memset(out.p, CK_RED_BYTE, bytes);
    k->out[k->outs++] = out;
    return out.p;
}

static void ck_test_roof_read(ck_group *g) {
    static const size_t units[] = {1, 2, 3, 7, 16, 65};
    for (size_t i = 0; i < CH_COUNT(units); i++) {
        ck_roof_case c;
        ck_case k;
        memset(&c, 0, sizeof c);
        ck_init_case(&k, ck_roof_read_call, ck_roof_describe, &c);
        c.bytes = units[i] * CH_ROOF_UNIT;
        uint8_t *data = ck_at_end(CK_W_END, c.bytes);
        ck_random_bytes(data, c.bytes);
        c.data = data;
        c.out = ck_roof_out(&k, 8);
        ck_check(g, &k);
    }
}

static void ck_test_roof_peak(ck_group *g) {
    static const int32_t rounds[] = {1, 2, 3, 100, 4096, 65537, CH_ROOF_ROUNDS};
    for (size_t i = 0; i < CH_COUNT(rounds); i++) {
        ck_roof_case c;
        ck_case k;
        memset(&c, 0, sizeof c);
        ck_init_case(&k, ck_roof_peak_call, ck_roof_describe, &c);
        c.rounds = rounds[i];
        c.out = ck_roof_out(&k, 16);
        if (!ck_opt.quick || c.rounds < 100000) ck_check(g, &k);
    }
}

#endif
