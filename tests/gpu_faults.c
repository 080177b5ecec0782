// gpu_faults: a library to be loaded before all others, that makes the GPU's driver fail.
//
// FAULT in the environment says how: "missing" (no libEGL), "old" (no glDispatchCompute), "compile"
// (shaders do not compile), "garbage" (what is read back is wrong), "memory" (the driver has none
// for large buffers), "lost" (the context is lost after FAULT_STEPS steps).
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GL_NO_ERROR             0
#define GL_OUT_OF_MEMORY        0x0505
#define GL_COMPILE_STATUS       0x8B81
#define GL_GUILTY_CONTEXT_RESET 0x8253

typedef void *(*faults_open_fn)(const char *, int);
typedef void *(*faults_find_fn)(void *, const char *);
typedef void (*faults_any_fn)(void);

static faults_open_fn faults_open;
static faults_find_fn faults_find;
static faults_any_fn (*faults_proc)(const char *);
static void (*faults_buffer_data)(unsigned, long, const void *, unsigned);
static unsigned (*faults_get_error)(void);
static void (*faults_get_shader)(unsigned, unsigned, int *);
static void *(*faults_map)(unsigned, long, long, unsigned);
static unsigned (*faults_reset_status)(void);
static unsigned faults_pending;

static int faults_is(const char *what) {
    const char *fault = getenv("FAULT");
    return fault && strcmp(fault, what) == 0;
}

// dlopen and dlsym of the C library, whose own are hidden behind these: dlvsym is not.
static void faults_load(void) {
    if (faults_find) return;
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"};
    for (int i = 0; i < 3 && !faults_find; i++) {
        void *find = dlvsym(RTLD_NEXT, "dlsym", versions[i]),
             *open = dlvsym(RTLD_NEXT, "dlopen", versions[i]);
        memcpy(&faults_find, &find, sizeof find);
        memcpy(&faults_open, &open, sizeof open);
    }
    if (!faults_find || !faults_open) abort();
}

static void faults_on_buffer_data(unsigned target, long bytes, const void *data, unsigned usage) {
    if (bytes > 65536)
        faults_pending = GL_OUT_OF_MEMORY;
    else
        faults_buffer_data(target, bytes, data, usage);
}

static unsigned faults_on_get_error(void) {
    unsigned code = faults_pending ? faults_pending : faults_get_error();
    faults_pending = GL_NO_ERROR;
    return code;
}

static void faults_on_get_shader(unsigned shader, unsigned what, int *value) {
    faults_get_shader(shader, what, value);
    if (what == GL_COMPILE_STATUS) *value = 0;
}

static void *faults_on_map(unsigned target, long offset, long bytes, unsigned access) {
    unsigned char *at = faults_map(target, offset, bytes, access);
    static unsigned char copy[4096];
    if (!at || bytes > (long)sizeof copy) return at;
    memcpy(copy, at, (size_t)bytes);
    copy[bytes / 2] ^= 1;
    return copy;
}

static unsigned faults_on_reset_status(void) {
    static int steps;
    const char *after = getenv("FAULT_STEPS");
    return ++steps > atoi(after ? after : "0") ? GL_GUILTY_CONTEXT_RESET : faults_reset_status();
}

// The driver's function, or what stands in for it.
static void *faults_replace(const char *name, void *found) {
    static const struct {
        const char *fault, *name;
        void *replaced; // the address of the pointer that keeps the driver's
        void (*by)(void);
    } rows[] = {
        {"memory", "glBufferData", &faults_buffer_data, (faults_any_fn)faults_on_buffer_data},
        {"memory", "glGetError", &faults_get_error, (faults_any_fn)faults_on_get_error},
        {"compile", "glGetShaderiv", &faults_get_shader, (faults_any_fn)faults_on_get_shader},
        {"garbage", "glMapBufferRange", &faults_map, (faults_any_fn)faults_on_map},
        {"lost", "glGetGraphicsResetStatus", &faults_reset_status,
         (faults_any_fn)faults_on_reset_status},
    };
    if (faults_is("old") && strcmp(name, "glDispatchCompute") == 0) return NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && found; i++)
        if (faults_is(rows[i].fault) && strcmp(name, rows[i].name) == 0) {
            memcpy(rows[i].replaced, &found, sizeof found);
            memcpy(&found, &rows[i].by, sizeof found);
            return found;
        }
    return found;
}

static faults_any_fn faults_on_proc(const char *name) {
    faults_any_fn fn = faults_proc(name);
    void *found;
    memcpy(&found, &fn, sizeof found);
    found = faults_replace(name, found);
    memcpy(&fn, &found, sizeof fn);
    return fn;
}

void *dlopen(const char *name, int flags) {
    faults_load();
    if (faults_is("missing") && name && strncmp(name, "libEGL", 6) == 0) return NULL;
    return faults_open(name, flags);
}

void *dlsym(void *library, const char *name) {
    faults_load();
    void *found = faults_find(library, name);
    if (strcmp(name, "eglGetProcAddress") == 0 && found && getenv("FAULT")) {
        faults_any_fn (*mine)(const char *) = faults_on_proc;
        // The driver's own libraries look this up too: the first answer is kept.
        if (!faults_proc) memcpy(&faults_proc, &found, sizeof found);
        memcpy(&found, &mine, sizeof found);
        return found;
    }
    return faults_replace(name, found);
}
