// os: see os.h. POSIX, with what Linux adds.
#if !defined(_GNU_SOURCE) && defined(__linux__)
#define _GNU_SOURCE // sched_getaffinity
#endif
#include "os.h"

#if CHORD_GLES
#include <dlfcn.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#if CH_X86 && defined(__linux__)
#include <sys/syscall.h>
#endif
#include <time.h>
#include <unistd.h>

// ---- files

static ch_os_status os_status(int code) {
    if (code == ENOENT || code == ENOTDIR) return CH_OS_NOT_FOUND;
    return code == EACCES || code == EPERM ? CH_OS_NO_PERMISSION : CH_OS_FAILED;
}

// O_NONBLOCK: opening a pipe without a writer must not hang.
CH_FN ch_os_status ch_os_map_file(const char *path, ch_os_map *map) {
    map->data = NULL;
    map->bytes = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return os_status(errno);
    struct stat info;
    ch_os_status status = CH_OS_OK;
    if (fstat(file, &info) != 0)
        status = CH_OS_FAILED;
    else if (!S_ISREG(info.st_mode))
        status = CH_OS_NOT_A_FILE;
    else if (info.st_size == 0)
        status = CH_OS_EMPTY;
    else if ((uint64_t)info.st_size > SIZE_MAX)
        status = CH_OS_FAILED;
    if (status == CH_OS_OK) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (data == MAP_FAILED) {
            status = CH_OS_FAILED;
        } else {
            map->data = (const uint8_t *)data;
            map->bytes = (size_t)info.st_size;
        }
    }
    close(file);
    return status;
}

CH_FN void ch_os_unmap_file(ch_os_map *map) {
    if (map->data) munmap((void *)(uintptr_t)map->data, map->bytes);
    map->data = NULL;
    map->bytes = 0;
}

// ---- memory

CH_FN void *ch_os_memory_take(size_t bytes) {
    if (bytes == 0) return NULL;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    // A hint; only for blocks where rounding up to whole huge pages cannot matter.
    if (bytes >= (size_t)64 << 20) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

CH_FN void ch_os_memory_release(void *memory, size_t bytes) {
    if (memory) munmap(memory, bytes);
}

// ---- clock

CH_FN double ch_os_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// ---- cores

#if defined(__linux__)

// Reads a small file as text; false if it cannot be read.
static bool os_read_text(const char *path, char *text, size_t capacity) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t n = read(file, text, capacity - 1);
    close(file);
    if (n <= 0) return false;
    text[n] = 0;
    return true;
}

// Whole CPUs that a quota of `quota` in each `period` allows; a large number if there is no quota.
static int32_t os_quota_cores(long long quota, long long period) {
    if (quota <= 0 || period <= 0) return INT32_MAX;
    return (int32_t)CH_MAX(1, CH_MIN(quota / period, 1024));
}

// What one group's files say: version 2 of cgroups has "max 100000" or "200000 100000" in one file,
// version 1 has two files.
static int32_t os_group_cores(const char *group) {
    char path[1280], text[64], period_text[64];
    long long quota = -1, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", group);
    if (os_read_text(path, text, sizeof text))
        return sscanf(text, "%lld %lld", &quota, &period) == 2 ? os_quota_cores(quota, period)
                                                               : INT32_MAX;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group);
    if (!os_read_text(path, text, sizeof text)) return INT32_MAX;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group);
    if (!os_read_text(path, period_text, sizeof period_text)) return INT32_MAX;
    if (sscanf(text, "%lld", &quota) != 1 || sscanf(period_text, "%lld", &period) != 1)
        return INT32_MAX;
    return os_quota_cores(quota, period);
}

// The least quota of this process's group and of the groups around it. /proc/self/cgroup names it:
// "0::/its/path" (version 2), "4:cpu,cpuacct:/its/path" (version 1, mounted at .../cpu).
static int32_t os_quota(void) {
    char groups[2048], group[1152];
    int32_t cores = INT32_MAX;
    if (!os_read_text("/proc/self/cgroup", groups, sizeof groups)) return cores;
    for (char *line = groups; *line;) {
        size_t length = strcspn(line, "\n");
        bool more = line[length] != 0;
        line[length] = 0;
        const char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        bool v2 = path && path == names + 1;
        bool v1 = path && (strncmp(names, ":cpu:", 5) == 0 || strncmp(names, ":cpu,", 5) == 0);
        if (v1 || v2) {
            const char *root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
            snprintf(group, sizeof group, "%s%s", root, path + 1);
            while (strlen(group) >= strlen(root)) {
                cores = CH_MIN(cores, os_group_cores(group));
                *strrchr(group, '/') = 0;
            }
        }
        line += length + more;
    }
    return cores;
}

CH_FN int32_t ch_os_cores(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
    int32_t cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        // A core is counted at the first of its hyper-threads that is allowed ("0-1" or "0,64": the
        // list's first number is the lowest, but that one may be outside of the affinity).
        char path[96], text[64];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 cpu);
        bool counted = false;
        if (os_read_text(path, text, sizeof text)) {
            int first = -1;
            if (sscanf(text, "%d", &first) == 1 && first < cpu && first >= 0)
                counted = CPU_ISSET(first, &allowed);
        }
        if (!counted) cores++;
    }
    return CH_MAX(1, CH_MIN(cores, os_quota()));
}

#else

CH_FN int32_t ch_os_cores(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (int32_t)n;
}

#endif

// ---- tiles

#if CH_X86 && defined(__linux__)

// Numbers of the kernel's arch_prctl: Documentation/arch/x86/xstate.rst. 18 is the state of tiles.
enum { OS_GET_PERMITTED = 0x1022, OS_ASK_PERMISSION = 0x1023, OS_TILE_DATA = 18 };

CH_FN bool ch_os_has_tiles(void) {
    uint64_t permitted = 0;
    return syscall(SYS_arch_prctl, OS_GET_PERMITTED, &permitted) == 0 &&
           (permitted >> OS_TILE_DATA & 1) != 0;
}

CH_FN bool ch_os_allow_tiles(void) {
    return syscall(SYS_arch_prctl, OS_ASK_PERMISSION, OS_TILE_DATA) == 0;
}

#else

CH_FN bool ch_os_has_tiles(void) {
    return false;
}

CH_FN bool ch_os_allow_tiles(void) {
    return false;
}

#endif

// ---- threads

static void *os_thread_main(void *user) {
    const ch_os_thread_start *start = (const ch_os_thread_start *)user;
    start->fn(start->user);
    return NULL;
}

CH_FN bool ch_os_thread_open(ch_os_thread *thread, ch_os_thread_start *start) {
    return pthread_create(&thread->handle, NULL, os_thread_main, start) == 0;
}

CH_FN void ch_os_thread_join(ch_os_thread *thread) {
    pthread_join(thread->handle, NULL);
}

CH_FN bool ch_os_gate_open(ch_os_gate *gate) {
    if (pthread_mutex_init(&gate->mutex, NULL) != 0) return false;
    if (pthread_cond_init(&gate->changed, NULL) == 0) return true;
    pthread_mutex_destroy(&gate->mutex);
    return false;
}

CH_FN void ch_os_gate_close(ch_os_gate *gate) {
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->mutex);
}

CH_FN void ch_os_gate_wait(ch_os_gate *gate, const uint32_t *word, uint32_t value) {
    pthread_mutex_lock(&gate->mutex);
    while (CH_LOAD_ACQUIRE(word) == value) pthread_cond_wait(&gate->changed, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

CH_FN void ch_os_gate_wake(ch_os_gate *gate) {
    pthread_mutex_lock(&gate->mutex); // a sleeper is either before its check or inside the wait
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

// ---- files to write, libraries

#if CHORD_GLES

static bool os_write(int file, const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;
    while (bytes > 0) {
        ssize_t n = write(file, from, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        from += n;
        bytes -= (size_t)n;
    }
    return true;
}

CH_FN bool ch_os_write_file(const char *path, const void *head, size_t head_bytes, const void *data,
                            size_t data_bytes) {
    char part[1024];
    int n = snprintf(part, sizeof part, "%s.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof part) return false;
    int file = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return false;
    bool good = os_write(file, head, head_bytes) && os_write(file, data, data_bytes);
    good = close(file) == 0 && good;
    if (good && rename(part, path) == 0) return true;
    unlink(part);
    return false;
}

CH_FN void *ch_os_library_open(const char *name) {
    return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

CH_FN ch_os_fn *ch_os_library_find(void *library, const char *symbol) {
    void *found = dlsym(library, symbol);
    ch_os_fn *fn = NULL;
    memcpy(&fn, &found, sizeof fn); // POSIX: the two kinds of pointers are alike
    return fn;
}

#endif
