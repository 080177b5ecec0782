// os: all that touches the operating system. Another platform replaces os.c and nothing else.
//
// Owns: file mapping, memory, threads and sleeping, the clock, the count of cores, the use of
// tiles. Refuses: policy.
#ifndef CH_OS_H
#define CH_OS_H

#include "base.h"

#include <pthread.h>

typedef struct ch_os_map {
    const uint8_t *data;
    size_t bytes;
} ch_os_map;

typedef enum ch_os_status {
    CH_OS_OK,
    CH_OS_NOT_FOUND,
    CH_OS_NO_PERMISSION,
    CH_OS_NOT_A_FILE, // a directory, a pipe, a device
    CH_OS_EMPTY,
    CH_OS_FAILED // anything else
} ch_os_status;

// Maps a regular file read-only, whole. The mapping is file-backed: no private memory.
CH_FN ch_os_status ch_os_map_file(const char *path, ch_os_map *map);
CH_FN void ch_os_unmap_file(ch_os_map *map);

// Zeroed, page-aligned memory (huge pages where the system gives them); NULL if there is none.
CH_FN void *ch_os_memory_take(size_t bytes);
CH_FN void ch_os_memory_release(void *memory, size_t bytes);

// Seconds since some fixed moment; never goes back.
CH_FN double ch_os_seconds(void);

// Physical cores that this process may use: its affinity, hyper-threads counted once, at most the
// cgroup's quota; at least 1.
CH_FN int32_t ch_os_cores(void);

// AMX tiles are lent by Linux to a process that asks for them; all its threads then have them, and
// its signal frames have room for them (8 KiB more). allow: asks; false where there are none. has:
// whether it was asked for, by anyone.
CH_FN bool ch_os_allow_tiles(void);
CH_FN bool ch_os_has_tiles(void);

typedef struct ch_os_thread {
    pthread_t handle;
} ch_os_thread;

typedef void ch_os_thread_fn(void *user);

// `start` must stay valid until the thread has begun, so it is kept by the caller next to the
// thread.
typedef struct ch_os_thread_start {
    ch_os_thread_fn *fn;
    void *user;
} ch_os_thread_start;

CH_FN bool ch_os_thread_open(ch_os_thread *thread, ch_os_thread_start *start);
CH_FN void ch_os_thread_join(ch_os_thread *thread);

// A place to sleep until a word changes. wait returns once *word != value (it may also return
// earlier); wake must follow each change of a word that somebody may be sleeping on.
typedef struct ch_os_gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} ch_os_gate;

CH_FN bool ch_os_gate_open(ch_os_gate *gate);
CH_FN void ch_os_gate_close(ch_os_gate *gate);
CH_FN void ch_os_gate_wait(ch_os_gate *gate, const uint32_t *word, uint32_t value);
CH_FN void ch_os_gate_wake(ch_os_gate *gate);

#if CHORD_GLES
// Writes a file whole, or not at all: under another name, which is then changed.
CH_FN bool ch_os_write_file(const char *path, const void *head, size_t head_bytes, const void *data,
                            size_t data_bytes);

// Libraries that are met at run time only. One that was opened stays loaded: drivers do not survive
// being unloaded.
typedef void ch_os_fn(void);
CH_FN void *ch_os_library_open(const char *name); // NULL: it is not here
CH_FN ch_os_fn *ch_os_library_find(void *library, const char *symbol);
#endif

// Tells the CPU that this is a spin loop.
CH_INLINE void ch_os_relax(void) {
#if CH_X86
    __builtin_ia32_pause();
#elif CH_ARM64
    __asm__ volatile("isb" ::: "memory");
#endif
}

#endif
