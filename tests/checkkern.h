// checkkern, shared part: options, random numbers, guarded memory, crash recovery, and the one loop
// that runs a case on the reference and on every kernel under test and compares what they wrote.
//
// Owns: the results of all kernels. Invariants: every input is a function of the seed and of the
// case alone, never of the kernels selected; every buffer a kernel may touch ends at a page that
// cannot be touched.
#ifndef CHECKKERN_H
#define CHECKKERN_H

#include "../src/kernels/kernels.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CK_MAX_KERNELS 1024
#define CK_RED_ZONE    256 // bytes compared before and after an output, where there is room
#define CK_RED_BYTE    0xA5

typedef struct ck_options {
    uint64_t seed;
    uint32_t cpu;
    const char *only;
    bool quick, sabotage, bench, list, digest;
    int32_t n, ms;
    int64_t dram_mb;
} ck_options;

typedef struct ck_result {
    const ch_kernel *kernel;
    bool selected, skipped, failed;
    int64_t checks;
    char text[800]; // the first difference
} ck_result;

static ck_options ck_opt;
static ck_result ck_results[CK_MAX_KERNELS];

static void ck_die(const char *text) {
    fprintf(stderr, "checkkern: %s\n", text);
    exit(2);
}

// ---- random numbers

static uint64_t ck_state = 1;

// splitmix64 (public domain, Sebastiano Vigna): any seed gives a good sequence.
static uint64_t ck_random(void) {
    uint64_t z = (ck_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// 0..n-1
static int32_t ck_below(int32_t n) {
    return (int32_t)((ck_random() >> 32) % (uint64_t)n);
}

static bool ck_one_in(int32_t n) {
    return ck_below(n) == 0;
}

// Starts the sequence of a family and variant, so that filters do not change what is tested.
static void ck_reseed(uint64_t salt) {
    ck_state = ck_opt.seed * 0x2545f4914f6cdd1du + salt * 0x9e3779b97f4a7c15u + 1;
    (void)ck_random();
}

// Bell-shaped, mostly within -3..3.
static float ck_bell(void) {
    uint64_t r = ck_random();
    int32_t sum = (int32_t)(r & 0xffff) + (int32_t)((r >> 16) & 0xffff) +
                  (int32_t)((r >> 32) & 0xffff) + (int32_t)(r >> 48);
    return (float)(sum - 131070) * (1.0f / 37837.0f);
}

static void ck_random_bytes(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        uint64_t r = ck_random();
        memcpy(p + i, &r, n - i < 8 ? n - i : 8);
    }
}

static const float ck_specials[] = {0.0f,    -0.0f,     1.0f,           -1.0f,    INFINITY,
                                    NAN,     -INFINITY, 1e-40f,         -1e-45f,  1.17549435e-38f,
                                    3.4e38f, -3.4e38f,  2.9387359e-39f, 1.8e19f,  -88.0f,
                                    87.5f,   127.0f,    0.5f,           65504.0f, 65520.0f,
                                    6e-8f,   -2.9e-8f,  12582912.0f,    -1.5f};

static float ck_special(void) {
    return ck_specials[ck_below((int32_t)CH_COUNT(ck_specials))];
}

// What a row of floats is made of.
typedef enum ck_floats {
    CK_BELL,     // ordinary values
    CK_PLUS,     // +1 everywhere: every quant is +127
    CK_MINUS,    // -1 everywhere
    CK_SIGNS,    // +1 or -1
    CK_ZEROS,    // blocks of +0, blocks of -0, some ordinary blocks
    CK_RANGE,    // every magnitude from subnormal to huge, block by block, all finite
    CK_TIES,     // multiples of 1/2 and a maximum of 127: quants at halves
    CK_SPECIALS, // NaN, infinities and the like among ordinary values
    CK_FLOATS_COUNT
} ck_floats;

static const char *const ck_floats_names[CK_FLOATS_COUNT] = {"bell",  "plus",  "minus", "signs",
                                                             "zeros", "range", "ties",  "specials"};

static void ck_fill_floats(float *x, size_t n, ck_floats kind) {
    float zero = 0.0f, scale = 1.0f;
    int32_t mode = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 32 == 0) {
            mode = ck_below(3);
            zero = ck_one_in(2) ? 0.0f : -0.0f;
            if (kind == CK_RANGE) scale = ldexpf(1.0f, ck_below(271) - 145);
        }
        switch (kind) {
        case CK_PLUS:
            x[i] = 1.0f;
            break;
        case CK_MINUS:
            x[i] = -1.0f;
            break;
        case CK_SIGNS:
            x[i] = ck_one_in(2) ? 1.0f : -1.0f;
            break;
        case CK_ZEROS:
            x[i] = mode ? zero : ck_bell();
            break;
        case CK_RANGE:
            x[i] = ck_bell() * scale * 0.5f;
            break;
        case CK_TIES:
            x[i] = i % 32 == 7 ? 127.0f : (float)(ck_below(508) - 254) * 0.5f;
            break;
        case CK_SPECIALS:
            x[i] = ck_one_in(mode ? 60 : 6) ? ck_special() : ck_bell();
            break;
        default:
            x[i] = ck_bell();
            break;
        }
    }
}

// ---- guarded memory

enum {
    CK_W_FRONT,
    CK_W_END,
    CK_X,
    CK_Y,
    CK_BIAS,
    CK_ADD,
    CK_SCRATCH,
    CK_K_CACHE,
    CK_V_CACHE,
    CK_IN_A,
    CK_IN_B,
    CK_REGIONS
};

static const char *const ck_region_names[CK_REGIONS] = {
    "weights", "weights", "x",       "the output", "bias",   "add",
    "scratch", "K cache", "V cache", "input 1",    "input 2"};

// Pages that can be touched between two that cannot.
typedef struct ck_region {
    uint8_t *map, *start, *end;
    size_t map_bytes;
} ck_region;

static ck_region ck_regions[CK_REGIONS];

// Makes a region hold at least `bytes`; what it held is lost when it grows.
static ck_region *ck_reserve(int id, size_t bytes) {
    ck_region *r = &ck_regions[id];
    if (r->map && (size_t)(r->end - r->start) >= bytes) return r;
    if (r->map) munmap(r->map, r->map_bytes);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t inner = ch_round_up(bytes + bytes / 2 + 1, page);
    r->map_bytes = inner + 2 * page;
    void *p = mmap(NULL, r->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) ck_die("mmap failed");
    r->map = (uint8_t *)p;
    r->start = r->map + page;
    r->end = r->start + inner;
    if (mprotect(r->start, inner, PROT_READ | PROT_WRITE) != 0) ck_die("mprotect failed");
    return r;
}

// The last `bytes` bytes before the guard page, or the first ones after the other guard page.
static uint8_t *ck_at_end(int id, size_t bytes) {
    return ck_reserve(id, bytes)->end - bytes;
}

static uint8_t *ck_at_start(int id, size_t bytes) {
    return ck_reserve(id, bytes)->start;
}

// ---- crashes

static sigjmp_buf ck_jump;
static volatile sig_atomic_t ck_armed;
static void *volatile ck_fault;

static void ck_on_signal(int number, siginfo_t *info, void *context) {
    (void)context;
    if (!ck_armed) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    ck_armed = 0;
    ck_fault = info->si_addr;
    siglongjmp(ck_jump, number);
}

static void ck_catch_signals(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = ck_on_signal;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CH_COUNT(numbers); i++) sigaction(numbers[i], &action, NULL);
}

// Says what a signal was about.
static void ck_describe_crash(int number, char *text, size_t size) {
    const uint8_t *at = (const uint8_t *)ck_fault;
    if (number == SIGILL || number == SIGFPE) {
        snprintf(text, size, "crashed with signal %d (%s)", number,
                 number == SIGILL ? "illegal instruction" : "arithmetic");
        return;
    }
    for (int i = 0; i < CK_REGIONS; i++) {
        const ck_region *r = &ck_regions[i];
        if (!r->map || at < r->map || at >= r->map + r->map_bytes) continue;
        if (at >= r->end)
            snprintf(text, size, "crashed: touched %s %ld bytes past the end", ck_region_names[i],
                     (long)(at - r->end));
        else
            snprintf(text, size, "crashed: touched %s %ld bytes before the start",
                     ck_region_names[i], (long)(r->start - at));
        return;
    }
    snprintf(text, size, "crashed with signal %d at address %p (misaligned access?)", number,
             (const void *)at);
}

// ---- cases

typedef enum ck_kind { CK_BYTES, CK_F32, CK_F16 } ck_kind;

// Bytes that a kernel may write some of; all of them are compared.
typedef struct ck_out {
    const char *name;
    uint8_t *p;
    size_t bytes;
    ck_kind kind;
    size_t origin; // byte offset in p of the element that is number 0 in messages
} ck_out;

#define CK_MAX_OUTS 6

typedef struct ck_case {
    void (*call)(ch_any_fn *fn, const void *arg);
    const void *arg;
    // Writes the shapes into text.
    void (*describe)(const void *arg, char *text, size_t size);
    // Writes what element number i of an output is: "row 3 col 1".
    void (*where)(const void *arg, int out, int64_t i, char *text, size_t size);
    ck_out out[CK_MAX_OUTS];
    int outs;
    uint8_t *scratch; // filled with NaN bytes before every call
    size_t scratch_bytes;
    bool again; // the call differs from the last case's, what it should write does not
} ck_case;

// The kernels of one family and variant.
typedef struct ck_group {
    ch_family family;
    int32_t variant;
    ck_result *reference;
    ck_result *kernels[64]; // those selected, perhaps with the reference
    int count;
    int64_t cases;
    uint64_t digest; // of all that the reference wrote
} ck_group;

typedef struct ck_copy {
    uint8_t *p;
    size_t bytes;
} ck_copy;

static ck_copy ck_before[CK_MAX_OUTS], ck_want[CK_MAX_OUTS];

static void ck_save(ck_copy *to, const ck_out *from) {
    if (to->bytes < from->bytes) {
        free(to->p);
        to->bytes = from->bytes * 2;
        to->p = (uint8_t *)malloc(to->bytes);
        if (!to->p) ck_die("out of memory");
    }
    memcpy(to->p, from->p, from->bytes);
}

// Runs one kernel; false, and what happened in text, when it crashed.
static bool ck_run(const ck_case *c, ch_any_fn *fn, char *text, size_t size) {
    if (c->scratch) memset(c->scratch, 0xff, c->scratch_bytes);
    int number = sigsetjmp(ck_jump, 1);
    if (number != 0) {
        ck_describe_crash(number, text, size);
        return false;
    }
    ck_armed = 1;
    c->call(fn, c->arg);
    ck_armed = 0;
    return true;
}

static bool ck_is_nan16(uint16_t h) {
    return (h & 0x7fffu) > 0x7c00u;
}

// Whether the element of `size` bytes differs, any NaN being equal to any NaN.
static bool ck_differs(ck_kind kind, const uint8_t *got, const uint8_t *want) {
    if (kind == CK_F32) {
        float a, b;
        memcpy(&a, got, 4);
        memcpy(&b, want, 4);
        return memcmp(got, want, 4) != 0 && !(a != a && b != b);
    }
    if (kind == CK_F16) {
        uint16_t a = ch_load_u16(got), b = ch_load_u16(want);
        return a != b && !(ck_is_nan16(a) && ck_is_nan16(b));
    }
    return *got != *want;
}

static void ck_print_value(ck_kind kind, const uint8_t *p, char *text, size_t size) {
    if (kind == CK_F32) {
        float f;
        memcpy(&f, p, 4);
        snprintf(text, size, "%.9g (%08x)", (double)f, (unsigned)ch_bits_from_f32(f));
    } else if (kind == CK_F16) {
        snprintf(text, size, "%.9g (%04x)", (double)ch_f32_from_f16(ch_load_u16(p)),
                 (unsigned)ch_load_u16(p));
    } else {
        snprintf(text, size, "%02x", *p);
    }
}

// Compares output number i with what the reference wrote; false, and the first difference in text.
static bool ck_compare(const ck_case *c, int i, char *text, size_t size) {
    const ck_out *out = &c->out[i];
    const uint8_t *want = ck_want[i].p;
    if (memcmp(out->p, want, out->bytes) == 0) return true;
    size_t step = out->kind == CK_F32 ? 4 : out->kind == CK_F16 ? 2 : 1;
    int64_t different = 0;
    size_t first = 0;
    for (size_t at = 0; at + step <= out->bytes; at += step)
        if (ck_differs(out->kind, out->p + at, want + at) && different++ == 0) first = at;
    if (different == 0) return true;
    char place[160], got[64], wanted[64];
    c->where(c->arg, i, ((int64_t)first - (int64_t)out->origin) / (int64_t)step, place,
             sizeof place);
    ck_print_value(out->kind, out->p + first, got, sizeof got);
    ck_print_value(out->kind, want + first, wanted, sizeof wanted);
    snprintf(text, size, "%s%s%s: got %s want %s, %lld differ", out->name ? out->name : "",
             out->name ? " " : "", place, got, wanted, (long long)different);
    return false;
}

static void ck_fail(ck_result *k, const ck_case *c, const char *text) {
    char shapes[320];
    k->failed = true;
    c->describe(c->arg, shapes, sizeof shapes);
    snprintf(k->text, sizeof k->text, "%s (%s)", text, shapes);
}

// Flips one bit that the kernel wrote.
static void ck_flip(const ck_case *c) {
    for (int i = 0; i < c->outs; i++)
        for (size_t at = 0; at < c->out[i].bytes; at++)
            if (c->out[i].p[at] != ck_before[i].p[at]) {
                c->out[i].p[at] ^= 1;
                return;
            }
}

// Adds what the reference wrote to the digest (FNV-1a by elements, every NaN counting as 0).
static void ck_digest(ck_group *g, const ck_case *c) {
    uint64_t h = g->cases == 0 ? 0xcbf29ce484222325u : g->digest;
    for (int i = 0; i < c->outs; i++) {
        const ck_out *out = &c->out[i];
        size_t step = out->kind == CK_F32 ? 4 : out->kind == CK_F16 ? 2 : 1;
        for (size_t at = 0; at + step <= out->bytes; at += step) {
            uint32_t bits = 0;
            memcpy(&bits, out->p + at, step);
            bool nan = (out->kind == CK_F32 && (bits & 0x7fffffffu) > 0x7f800000u) ||
                       (out->kind == CK_F16 && ck_is_nan16((uint16_t)bits));
            h = (h ^ (nan ? 0 : bits)) * 0x100000001b3u;
        }
    }
    g->digest = h;
}

// Runs the reference, then every kernel of the group on the same bytes, and compares.
static void ck_check(ck_group *g, const ck_case *c) {
    char text[448];
    for (int i = 0; i < c->outs && !c->again; i++) ck_save(&ck_before[i], &c->out[i]);
    for (int i = 0; i < c->outs && c->again; i++)
        memcpy(c->out[i].p, ck_before[i].p, c->out[i].bytes);
    if (!c->again && !ck_run(c, g->reference->kernel->fn, text, sizeof text)) {
        if (!g->reference->failed) ck_fail(g->reference, c, text);
        return;
    }
    for (int i = 0; i < c->outs && !c->again; i++) ck_save(&ck_want[i], &c->out[i]);
    if (ck_opt.digest && !c->again) ck_digest(g, c);
    int64_t number = g->cases++;
    for (int n = 0; n < g->count; n++) {
        ck_result *k = g->kernels[n];
        // The reference against itself proves only that it repeats itself: a sample is enough.
        if (k->failed || (k == g->reference && number % 16 != 0)) continue;
        for (int i = 0; i < c->outs; i++) memcpy(c->out[i].p, ck_before[i].p, c->out[i].bytes);
        bool good = ck_run(c, k->kernel->fn, text, sizeof text);
        if (good && ck_opt.sabotage) ck_flip(c);
        for (int i = 0; i < c->outs && good; i++) good = ck_compare(c, i, text, sizeof text);
        k->checks++;
        if (!good) ck_fail(k, c, text);
    }
    // Callers that go on to use the outputs find the reference's.
    for (int i = 0; i < c->outs; i++) memcpy(c->out[i].p, ck_want[i].p, c->out[i].bytes);
}

#endif
