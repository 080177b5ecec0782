// base: the names that the rest of the code uses for what the compiler provides, and checked
// arithmetic.
//
// Owns: compiler extensions behind names, rounding helpers, overflow-checked size arithmetic.
// Rule: every file below src/ is C11 that is also valid C++17 (casts from void *, no designated
// initializers, no
//       compound literals, no VLAs), because the single header must compile as both.
// Rule: files share functions, not variables: what is a table is reached through a function.
// Rule: sizes and counts that come from a file go through ch_mul and ch_add, never through bare
// operators.
#ifndef CH_BASE_H
#define CH_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The build option of the GPU path; it needs the headers of EGL and OpenGL ES 3.1.
#ifndef CHORD_GLES
#define CHORD_GLES 0
#endif

// Linkage of functions that one file shares with another: private to the translation unit in the
// single header.
#ifdef CHORD_AMALGAMATED
#define CH_FN static __attribute__((unused))
#else
#define CH_FN
#endif

#ifdef __cplusplus
#define CH_RESTRICT                  __restrict
#define CH_STATIC_ASSERT(cond, text) static_assert(cond, text)
#define CH_ALIGNAS(n)                alignas(n)
#else
#define CH_RESTRICT                  restrict
#define CH_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#define CH_ALIGNAS(n)                _Alignas(n)
#endif

#define CH_INLINE            static inline __attribute__((unused))
#define CH_FORCE_INLINE      static inline __attribute__((unused, always_inline))
#define CH_NOINLINE          __attribute__((noinline, unused))
#define CH_TARGET(features)  __attribute__((target(features)))
#define CH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define CH_UNLIKELY(x)       __builtin_expect(!!(x), 0)
// Before a loop whose body must be laid out once per iteration (it holds vectors in an array).
#if defined(__clang__)
#define CH_UNROLL _Pragma("clang loop unroll(full)")
#else
#define CH_UNROLL _Pragma("GCC unroll 32")
#endif
#define CH_PREFETCH(p) __builtin_prefetch((const void *)(p), 0, 3)

#if defined(__x86_64__)
#define CH_X86 1
#else
#define CH_X86 0
#endif
#if defined(__aarch64__)
#define CH_ARM64 1
#else
#define CH_ARM64 0
#endif

// Atomics, as the few operations that chord uses (gcc and clang builtins: C11 and C++17 share no
// header for them).
#define CH_LOAD_RELAXED(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define CH_LOAD_ACQUIRE(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define CH_STORE_RELAXED(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define CH_FETCH_ADD(p, v)     __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
// If *p is still *seen, stores v and says true; else puts what *p is into *seen and says false.
#define CH_EXCHANGE_RELAXED(p, seen, v)                                                            \
    __atomic_compare_exchange_n((p), (seen), (v), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

#define CH_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CH_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define CH_MAX(a, b)    ((a) > (b) ? (a) : (b))

// Every region of an arena and every row of activations starts on this boundary (one cache line,
// one zmm register).
#define CH_ALIGN 64u

// Rounds up to a multiple of `to`, which is a power of two. For trusted sizes only: see
// ch_align_up.
CH_INLINE size_t ch_round_up(size_t n, size_t to) {
    return (n + to - 1) & ~(to - 1);
}

CH_INLINE int32_t ch_ceil_div(int32_t a, int32_t b) {
    return (a + b - 1) / b;
}

// Checked arithmetic on sizes: false when the result does not fit, and *out is then left alone.
CH_INLINE bool ch_add(uint64_t a, uint64_t b, uint64_t *out) {
    if (a > UINT64_MAX - b) return false;
    *out = a + b;
    return true;
}

CH_INLINE bool ch_mul(uint64_t a, uint64_t b, uint64_t *out) {
    if (b != 0 && a > UINT64_MAX / b) return false;
    *out = a * b;
    return true;
}

CH_INLINE bool ch_align_up(uint64_t n, uint64_t to, uint64_t *out) {
    uint64_t sum = 0;
    if (!ch_add(n, to - 1, &sum)) return false;
    *out = sum & ~(to - 1);
    return true;
}

#endif
