// allocations: claims that nothing is allocated once a session is open.
//
// Owns: counting stand-ins for malloc, mmap and their kin, which the linker takes before the C
// library's. They count while a flag is set, in every thread; on a GPU only what is called from
// this program, not from the driver. Needs glibc's __libc_ names and the linker's
// __executable_start; not built with sanitizers, which have their own.
#include "../include/chord.h"
#include "gguf_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *block);

static volatile int counting;
static int calls;

static bool own_only;
extern const char __executable_start[], etext[]; // of this program, which holds the library

static void count(const void *caller) {
    if (!counting) return;
    uintptr_t at = (uintptr_t)caller;
    if (own_only && (at < (uintptr_t)__executable_start || at >= (uintptr_t)etext)) return;
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
}

void *malloc(size_t bytes) {
    count(__builtin_return_address(0));
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes) {
    count(__builtin_return_address(0));
    return __libc_calloc(n, bytes);
}

void *realloc(void *block, size_t bytes) {
    count(__builtin_return_address(0));
    return __libc_realloc(block, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes) {
    count(__builtin_return_address(0));
    *block = __libc_memalign(alignment, bytes);
    return *block ? 0 : 12;
}

void free(void *block) {
    count(__builtin_return_address(0));
    __libc_free(block);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    count(__builtin_return_address(0));
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
}

int munmap(void *at, size_t bytes) {
    count(__builtin_return_address(0));
    return (int)syscall(SYS_munmap, at, bytes);
}

int brk(void *end) {
    count(__builtin_return_address(0));
    return (int)syscall(SYS_brk, end);
}

void *sbrk(intptr_t more) {
    (void)more;
    count(__builtin_return_address(0));
    return (void *)-1; // glibc's malloc has its own way to the system call; ours is never in use
}

static int failures, passes;

static void claim(bool holds, const char *what, int seen) {
    printf("%-4s %s: %d calls\n", holds ? "ok" : "FAIL", what, seen);
    if (holds)
        passes++;
    else
        failures++;
}

static void begin(void) {
    __atomic_store_n(&calls, 0, __ATOMIC_SEQ_CST);
    counting = 1;
}

static int end(void) {
    counting = 0;
    return __atomic_load_n(&calls, __ATOMIC_SEQ_CST);
}

static size_t text_bytes;

static int on_text(void *user, const char *text, size_t bytes) {
    (void)user;
    (void)text;
    text_bytes += bytes;
    return 0;
}

static void run(const chord_model *model, chord_session_desc desc, const char *name) {
    char what[160];
    chord_session *s = NULL;
    chord_error error;
    if (chord_session_open(model, &desc, &s, &error)) {
        printf("FAIL %s: %s\n", name, error.message);
        failures++;
        return;
    }
    begin();
    chord_result result = chord_session_prompt(
        s, "the quick brown fox jumps over the lazy dog, twice", CHORD_PROMPT_BOS);
    int seen = end();
    snprintf(what, sizeof what, "prefill_allocates_nothing (%s)", name);
    claim(result == CHORD_OK && seen == 0, what, seen);
    begin();
    result = chord_session_generate(
        s, &(chord_generate_desc){.max_tokens = 40, .ignore_end = true, .on_text = on_text}, NULL);
    seen = end();
    snprintf(what, sizeof what, "decode_allocates_nothing (%s)", name);
    claim(result == CHORD_OK && seen == 0 && text_bytes > 0, what, seen);
    begin();
    chord_session_rewind(s, 5);
    result = chord_session_eval(s, (const chord_token[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10, 1);
    seen = end();
    snprintf(what, sizeof what, "rewinding_allocates_nothing (%s)", name);
    claim(result == CHORD_OK && seen == 0, what, seen);
    begin();
    chord_session_rewind(s, 0);
    for (int turn = 0; turn < 2 && result == CHORD_OK; turn++) {
        result = chord_session_chat(s, &(chord_chat_desc){.format = CHORD_CHAT_CHATML + turn,
                                                          .text = "how do you do",
                                                          .text_bytes = 13});
        if (result == CHORD_OK)
            result = chord_session_generate(
                s, &(chord_generate_desc){.max_tokens = 10, .on_text = on_text, .stop = "zq"},
                NULL);
    }
    seen = end();
    snprintf(what, sizeof what, "chat_allocates_nothing (%s)", name);
    claim(result == CHORD_OK && seen == 0, what, seen);
    chord_session_close(s);
}

static bool has_gpu(void) {
    static chord_device_info device;
    for (int32_t i = 0; chord_get_device(i, &device); i++)
        if (device.usable) return true;
    printf("skip the GPU: there is no driver for OpenGL ES 3.1\n");
    return false;
}

int main(void) {
    const ch_type types[] = {CH_TYPE_F32, CH_TYPE_F16, CH_TYPE_Q4_0, CH_TYPE_Q4_K, CH_TYPE_Q6_K};
    for (int i = 0; i < 2; i++) {
        own_only = i;
        begin();
        void *(*volatile take)(size_t) = malloc; // a call that is not put in place
        void (*volatile give)(void *) = free;
        give(take(10));
        claim(end() == 2, i ? "the_counter_counts_this_program" : "the_counter_counts", calls);
    }
    own_only = false;
    for (size_t i = 0; i < CH_COUNT(types); i++) {
        gguf_builder b;
        gb_model m = {.type = types[i],
                      .embedding = 256,
                      .feed_forward = 512,
                      .context = 256,
                      .seed = 1,
                      .chatml = true};
        gb_build_model(&b, &m);
        size_t bytes = 0;
        const uint8_t *data = gb_finish(&b, &bytes);
        chord_model *model = NULL;
        chord_error error;
        if (chord_model_open(&(chord_model_desc){.data = data, .data_bytes = bytes}, &model,
                             &error)) {
            printf("FAIL %s\n", error.message);
            return 1;
        }
        chord_sampler sampler = {.temperature = 0.8f,
                                 .top_k = 40,
                                 .top_p = 0.9f,
                                 .min_p = 0.05f,
                                 .repeat_penalty = 1.1f};
        const char *name = ch_type_get(types[i])->name;
        run(model, (chord_session_desc){.lanes = 1, .sampler = sampler}, name);
        run(model, (chord_session_desc){.lanes = 3, .sampler = sampler, .kv = CHORD_KV_Q8_0}, name);
        own_only = true;
        if (i == 0 && has_gpu())
            run(model, (chord_session_desc){.device = CHORD_DEVICE_GPU_ONLY, .sampler = sampler},
                "GPU");
        own_only = false;
        chord_model_close(model);
        gb_close(&b);
    }
    printf("%d passed, %d failed\n", passes, failures);
    return failures > 0;
}
