// roof: the machine's own limits: how fast it reads, and how fast it multiplies and adds.
//
// Owns: the families roof_read and roof_peak of kernels.h, for all instruction sets. Refuses: the
// clock: what runs these, and for how long, is src/engine/roof.c. Invariants: each kernel returns
// what it did, so that a compiler that left some of it out would be caught; the loops keep their
// sums in registers, and as many of them as hide an instruction's latency on two units.
#include "kernels.h"

#if CH_X86
#include <immintrin.h>
#endif
#if CH_ARM64
#include "neon.h"
#endif

// ---- C

CH_FN uint64_t ch_roof_read__c(const uint8_t *data, size_t bytes) {
    uint64_t sum[CH_ROOF_STREAMS] = {0}, total = 0;
    size_t part = bytes / CH_ROOF_STREAMS;
    for (size_t at = 0; at < part; at += 128)
        for (size_t s = 0; s < CH_ROOF_STREAMS; s++) {
            const uint8_t *from = data + s * part + at;
            CH_PREFETCH(from + CH_ROOF_AHEAD);
            for (size_t i = 0; i < 128; i += 8) {
                uint64_t word = 0;
                memcpy(&word, from + i, sizeof word);
                sum[s] += word;
            }
        }
    for (size_t s = 0; s < CH_ROOF_STREAMS; s++) total += sum[s];
    return total;
}

enum { ROOF_C_LANES = 64 };

// The compiler must take x and y as new in every round: else it would multiply once.
#define ROOF_HIDE(x, y) __asm__ volatile("" : : "r"(x), "r"(y) : "memory")

CH_FN int64_t ch_roof_int8__c(int32_t rounds, int64_t *sum) {
    int8_t x[ROOF_C_LANES], y[ROOF_C_LANES];
    int32_t acc[4] = {0};
    memset(x, 1, sizeof x);
    memset(y, 1, sizeof y);
    for (int32_t r = 0; r < rounds; r++) {
        ROOF_HIDE(x, y);
        for (int i = 0; i < ROOF_C_LANES; i += 4)
            for (int j = 0; j < 4; j++) acc[j] += x[i + j] * y[i + j];
    }
    *sum = (int64_t)acc[0] + acc[1] + acc[2] + acc[3];
    return (int64_t)rounds * ROOF_C_LANES;
}

CH_FN int64_t ch_roof_f32__c(int32_t rounds, int64_t *sum) {
    float x[16], y[16], acc[16];
    for (int i = 0; i < 16; i++) x[i] = y[i] = 1, acc[i] = 0;
    for (int32_t r = 0; r < rounds; r++) {
        ROOF_HIDE(x, y);
        for (int i = 0; i < 16; i++) acc[i] = fmaf(x[i], y[i], acc[i]);
    }
    *sum = 0;
    for (int i = 0; i < 16; i++) *sum += (int64_t)acc[i];
    return (int64_t)rounds * 16;
}

// Widened and multiplied as floats.
CH_FN int64_t ch_roof_bf16__c(int32_t rounds, int64_t *sum) {
    uint16_t x[16];
    float y[16], acc[16];
    for (int i = 0; i < 16; i++) x[i] = 0x3f80, y[i] = 1, acc[i] = 0;
    for (int32_t r = 0; r < rounds; r++) {
        ROOF_HIDE(x, y);
        for (int i = 0; i < 16; i++)
            acc[i] = fmaf(ch_f32_from_bits((uint32_t)x[i] << 16), y[i], acc[i]);
    }
    *sum = 0;
    for (int i = 0; i < 16; i++) *sum += (int64_t)acc[i];
    return (int64_t)rounds * 16;
}

// ---- what the vector versions share

CH_INLINE int64_t roof_sum_i32(const int32_t *v, size_t n) {
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    return sum;
}

CH_INLINE int64_t roof_sum_f32(const float *v, size_t n) {
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int64_t)v[i];
    return sum;
}

// A statement for each of so many sums. Written out, because a compiler that keeps a loop keeps the
// sums in memory.
#define ROOF_8(S)  S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7)
#define ROOF_12(S) ROOF_8(S) S(8) S(9) S(10) S(11)
#define ROOF_16(S) ROOF_12(S) S(12) S(13) S(14) S(15)
#define ROOF_24(S) ROOF_16(S) S(16) S(17) S(18) S(19) S(20) S(21) S(22) S(23)
CH_STATIC_ASSERT(CH_ROOF_STREAMS == 8, "the streams of a read are written out");

#define ROOF_ZERO(i) acc[i] = zero;
#define ROOF_OUT(i)  memcpy(out[i], &acc[i], sizeof acc[i]);

// Stream i of a read: two lines; ROOF_ADD adds their vectors to a sum.
#define ROOF_STREAM(i)                                                                             \
    from = data + (i)*part + at;                                                                   \
    CH_PREFETCH(from + CH_ROOF_AHEAD);                                                             \
    CH_PREFETCH(from + CH_ROOF_AHEAD + 64);                                                        \
    ROOF_ADD(acc[i], from)

#define ROOF_READ(name, target, vec, none)                                                         \
    target CH_FN uint64_t name(const uint8_t *data, size_t bytes) {                                \
        const uint8_t *from = data;                                                                \
        vec acc[8], zero = none;                                                                   \
        size_t part = bytes / CH_ROOF_STREAMS;                                                     \
        ROOF_8(ROOF_ZERO)                                                                          \
        for (size_t at = 0; at < part; at += 128) {                                                \
            ROOF_8(ROOF_STREAM)                                                                    \
        }                                                                                          \
        uint64_t out[8][sizeof(vec) / 8], total = 0;                                               \
        ROOF_8(ROOF_OUT)                                                                           \
        for (size_t i = 0; i < 8 * CH_COUNT(out[0]); i++)                                          \
            total += out[i / CH_COUNT(out[0])][i % CH_COUNT(out[0])];                              \
        return total;                                                                              \
    }

// A peak: `n` sums, each of which takes `step` once a round and then holds `macs` multiply-adds
// more. A step is assembly, so that no compiler merges two that are alike.
#define ROOF_PEAK(name, target, vec, element, n, macs, add_up, one, none, step)                    \
    target CH_FN int64_t name(int32_t rounds, int64_t *sum) {                                      \
        vec acc[n], x = one, y = one, zero = none;                                                 \
        ROOF_##n(ROOF_ZERO) for (int32_t r = 0; r < rounds; r++){                                  \
            ROOF_##n(step)} element out[n][sizeof(vec) / sizeof(element)];                         \
        ROOF_##n(ROOF_OUT) *sum = add_up(out[0], sizeof out / sizeof(element));                    \
        return (int64_t)rounds * n * macs;                                                         \
    }

// sum += x * y, by an instruction that takes its operands in this order.
#define ROOF_STEP(instruction, place, i)                                                           \
    __asm__ volatile(instruction : "+" place(acc[i]) : place(x), place(y));

#if CH_X86

// ---- AVX2, AVX-VNNI: 16 registers

#define ROOF_ADD_256(to, p)                                                                        \
    to = _mm256_add_epi64(to, _mm256_loadu_si256((const __m256i *)(const void *)(p)));
#define ROOF_ADD(to, p)                                                                            \
    ROOF_ADD_256(to, p)                                                                            \
    ROOF_ADD_256(to, (p) + 32) ROOF_ADD_256(to, (p) + 64) ROOF_ADD_256(to, (p) + 96)
ROOF_READ(ch_roof_read__avx2, CH_TARGET_AVX2, __m256i, _mm256_setzero_si256())
#undef ROOF_ADD

// Pairs of products to 16 bits, pairs of these to 32 bits, and the sum.
#define ROOF_MADD(i)                                                                               \
    {                                                                                              \
        __m256i t;                                                                                 \
        __asm__ volatile("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"       \
                         : "+x"(acc[i]), "=&x"(t)                                                  \
                         : "x"(x), "x"(y), "x"(_mm256_set1_epi16(1)));                             \
    }
#define ROOF_FMA_256(i)  ROOF_STEP("vfmadd231ps %2, %1, %0", "x", i)
#define ROOF_VNNI_256(i) ROOF_STEP("%{vex%} vpdpbusd %2, %1, %0", "x", i)
ROOF_PEAK(ch_roof_int8__avx2, CH_TARGET_AVX2, __m256i, int32_t, 8, 32, roof_sum_i32,
          _mm256_set1_epi8(1), _mm256_setzero_si256(), ROOF_MADD)
ROOF_PEAK(ch_roof_f32__avx2, CH_TARGET_AVX2, __m256, float, 12, 8, roof_sum_f32, _mm256_set1_ps(1),
          _mm256_setzero_ps(), ROOF_FMA_256)
ROOF_PEAK(ch_roof_int8__avxvnni, CH_TARGET_AVXVNNI, __m256i, int32_t, 12, 32, roof_sum_i32,
          _mm256_set1_epi8(1), _mm256_setzero_si256(), ROOF_VNNI_256)

// ---- AVX-512: 32 registers

#define ROOF_ADD_512(to, p) to = _mm512_add_epi64(to, _mm512_loadu_si512(p));
#define ROOF_ADD(to, p)     ROOF_ADD_512(to, p) ROOF_ADD_512(to, (p) + 64)
ROOF_READ(ch_roof_read__avx512, CH_TARGET_AVX512, __m512i, _mm512_setzero_si512())
#undef ROOF_ADD

#define ROOF_VNNI_512(i) ROOF_STEP("vpdpbusd %2, %1, %0", "v", i)
#define ROOF_FMA_512(i)  ROOF_STEP("vfmadd231ps %2, %1, %0", "v", i)
#define ROOF_BF16_512(i) ROOF_STEP("vdpbf16ps %2, %1, %0", "v", i)
ROOF_PEAK(ch_roof_int8__avx512, CH_TARGET_AVX512, __m512i, int32_t, 16, 64, roof_sum_i32,
          _mm512_set1_epi8(1), _mm512_setzero_si512(), ROOF_VNNI_512)
ROOF_PEAK(ch_roof_f32__avx512, CH_TARGET_AVX512, __m512, float, 16, 16, roof_sum_f32,
          _mm512_set1_ps(1), _mm512_setzero_ps(), ROOF_FMA_512)
// 0x3f80 is 1 as a bfloat16; pairs of products.
ROOF_PEAK(ch_roof_bf16__avx512bf16, CH_TARGET_AVX512, __m512i, float, 24, 32, roof_sum_f32,
          _mm512_set1_epi16(0x3f80), _mm512_setzero_si512(), ROOF_BF16_512)

#endif
#if CH_ARM64

// ---- NEON: 32 registers of 16 bytes

#define ROOF_ADD_128(to, p) to = vaddq_u64(to, vreinterpretq_u64_u8(vld1q_u8(p)));
#define ROOF_ADD_LINE(to, p)                                                                       \
    ROOF_ADD_128(to, p)                                                                            \
    ROOF_ADD_128(to, (p) + 16) ROOF_ADD_128(to, (p) + 32) ROOF_ADD_128(to, (p) + 48)
#define ROOF_ADD(to, p) ROOF_ADD_LINE(to, p) ROOF_ADD_LINE(to, (p) + 64)
ROOF_READ(ch_roof_read__neon, , uint64x2_t, vdupq_n_u64(0))
#undef ROOF_ADD

// Products of 8 to 16 bits, pairs of these added to 32 bits.
#define ROOF_MULL(i)                                                                               \
    {                                                                                              \
        int16x8_t t;                                                                               \
        __asm__ volatile("smull %1.8h, %2.8b, %3.8b\n\tsadalp %0.4s, %1.8h"                        \
                         : "+w"(acc[i]), "=&w"(t)                                                  \
                         : "w"(x), "w"(y));                                                        \
    }
#define ROOF_FMLA(i)  ROOF_STEP("fmla %0.4s, %1.4s, %2.4s", "w", i)
#define ROOF_SDOT(i)  ROOF_STEP("sdot %0.4s, %1.16b, %2.16b", "w", i)
#define ROOF_SMMLA(i) ROOF_STEP("smmla %0.4s, %1.16b, %2.16b", "w", i)
ROOF_PEAK(ch_roof_int8__neon, , int8x16_t, int32_t, 12, 8, roof_sum_i32, vdupq_n_s8(1),
          vdupq_n_s8(0), ROOF_MULL)
ROOF_PEAK(ch_roof_f32__neon, , float32x4_t, float, 16, 4, roof_sum_f32, vdupq_n_f32(1),
          vdupq_n_f32(0), ROOF_FMLA)
ROOF_PEAK(ch_roof_int8__dotprod, CH_NEON_DOTPROD, int8x16_t, int32_t, 16, 16, roof_sum_i32,
          vdupq_n_s8(1), vdupq_n_s8(0), ROOF_SDOT)
ROOF_PEAK(ch_roof_int8__i8mm, CH_NEON_I8MM, int8x16_t, int32_t, 16, 32, roof_sum_i32, vdupq_n_s8(1),
          vdupq_n_s8(0), ROOF_SMMLA)

#endif
