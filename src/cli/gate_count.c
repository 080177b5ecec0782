// gate_count: counts the calls of the allocator.
//
// Owns: stand-ins that the linker puts in the place of malloc and its kin, in the program and in
// the library that is linked to it (--wrap of GNU ld and its like; CMakeLists.txt names them all).
// Where the linker knows no such thing, nothing is counted and the gate says so. What the C library
// allocates by itself shows up as system calls.
#define _GNU_SOURCE
#include "gate.h"

#if defined(CHORD_WRAP)

#include <stdlib.h>
#include <sys/mman.h>

static int64_t count_calls;
static int count_on;

static void count_one(void) {
    if (__atomic_load_n(&count_on, __ATOMIC_RELAXED))
        __atomic_add_fetch(&count_calls, 1, __ATOMIC_RELAXED);
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void **block, size_t alignment, size_t bytes);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);

void *__wrap_malloc(size_t bytes) {
    count_one();
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    count_one();
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *block, size_t bytes) {
    count_one();
    return __real_realloc(block, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    count_one();
    return __real_aligned_alloc(alignment, bytes);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes) {
    count_one();
    return __real_posix_memalign(block, alignment, bytes);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    count_one();
    return __real_mmap(at, bytes, protection, flags, file, offset);
}

void gate_count_begin(void) {
    __atomic_store_n(&count_calls, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&count_on, 1, __ATOMIC_SEQ_CST);
}

int64_t gate_count_end(void) {
    __atomic_store_n(&count_on, 0, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&count_calls, __ATOMIC_RELAXED);
}

#else

void gate_count_begin(void) {
}

int64_t gate_count_end(void) {
    return -1;
}

#endif
