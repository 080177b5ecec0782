// allocations: claims that nothing is allocated once a session is open.
//
// Owns: counting stand-ins for malloc, mmap and their kin, which the linker takes before the C
// library's. They count while a flag is set, in every thread. Needs glibc's __libc_ names; not
// built with sanitizers, which have their own.
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

static void count(void) {
    if (counting) __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
}

void *malloc(size_t bytes) {
    count();
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes) {
    count();
    return __libc_calloc(n, bytes);
}

void *realloc(void *block, size_t bytes) {
    count();
    return __libc_realloc(block, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    count();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes) {
    count();
    *block = __libc_memalign(alignment, bytes);
    return *block ? 0 : 12;
}

void free(void *block) {
    count();
    __libc_free(block);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    count();
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
}

int munmap(void *at, size_t bytes) {
    count();
    return (int)syscall(SYS_munmap, at, bytes);
}

int brk(void *end) {
    count();
    return (int)syscall(SYS_brk, end);
}

void *sbrk(intptr_t more) {
    (void)more;
    count();
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

int main(void) {
    const ch_type types[] = {CH_TYPE_F32, CH_TYPE_F16, CH_TYPE_Q4_0, CH_TYPE_Q4_K, CH_TYPE_Q6_K};
    begin();
    void *volatile block = malloc(10);
    free(block);
    claim(end() == 2, "the_counter_counts", calls);
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
        chord_model_close(model);
        gb_close(&b);
    }
    printf("%d passed, %d failed\n", passes, failures);
    return failures > 0;
}
