// gles: see gles.h.
#include "gles.h"

#if CHORD_GLES
#include "../arena/os.h"

#include <stdio.h>

enum {
    GLES_MAX_DEVICES = 16,
    GLES_DEFINES_BYTES = 1024,
    GLES_MAX_LINES = 1024,
    GLES_SELFTEST_WORDS = 128
};

// ---- the libraries

static bool gles_has(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; at && (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0)) return true;
    return false;
}

// A function of the driver, through eglGetProcAddress where the library does not have it itself.
static ch_os_fn *gles_find(const ch_gles *g, void *library, const char *name) {
    ch_os_fn *fn = library ? ch_os_library_find(library, name) : NULL;
    if (!fn && g->call.egl.GetProcAddress) fn = g->call.egl.GetProcAddress(name);
    return fn;
}

static chord_result gles_load(ch_gles *g, chord_error *error) {
    void *egl = ch_os_library_open("libEGL.so.1");
    if (!egl)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "there is no libEGL.so.1, so no GPU can be reached");
    void *gl = ch_os_library_open("libGLESv2.so.2");
    if (!gl)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "there is no libGLESv2.so.2, so no GPU can be reached");
    const char *missing = NULL;
#define GLES_LOAD_EGL(type, name)                                                                  \
    if (!missing) {                                                                                \
        g->call.egl.name = (type)gles_find(g, egl, "egl" #name);                                   \
        if (!g->call.egl.name) missing = "egl" #name;                                              \
    }
#define GLES_LOAD_GL(type, name)                                                                   \
    if (!missing) {                                                                                \
        g->call.gl.name = (type)gles_find(g, gl, "gl" #name);                                      \
        if (!g->call.gl.name) missing = "gl" #name;                                                \
    }
    CH_EGL_CALLS(GLES_LOAD_EGL)
    CH_GL_CALLS(GLES_LOAD_GL)
#undef GLES_LOAD_EGL
#undef GLES_LOAD_GL
    if (missing)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "the OpenGL ES libraries have no %s: they are older than 3.1", missing);
    return CHORD_OK;
}

// ---- displays

typedef struct gles_display {
    EGLDisplay display;
    char platform[24];
} gles_display;

static int32_t gles_add_display(gles_display *list, int32_t count, EGLDisplay display,
                                const char *platform, int32_t number) {
    if (display == EGL_NO_DISPLAY || count == GLES_MAX_DEVICES) return count;
    for (int32_t i = 0; i < count; i++)
        if (list[i].display == display) return count;
    list[count].display = display;
    snprintf(list[count].platform, sizeof list[count].platform, number < 0 ? "%s" : "%s %d",
             platform, (int)number);
    return count + 1;
}

// All ways to a device: EGL's own list, the GPUs before what is computed in software; then Mesa
// without a surface; then the default display. The last two may lead to a device listed before.
static int32_t gles_list(ch_gles *g, gles_display *list) {
    const char *client = g->call.egl.QueryString(EGL_NO_DISPLAY, EGL_EXTENSIONS);
    int32_t count = 0;
    PFNEGLGETPLATFORMDISPLAYEXTPROC get =
        (PFNEGLGETPLATFORMDISPLAYEXTPROC)gles_find(g, NULL, "eglGetPlatformDisplayEXT");
    PFNEGLQUERYDEVICESEXTPROC query =
        (PFNEGLQUERYDEVICESEXTPROC)gles_find(g, NULL, "eglQueryDevicesEXT");
    PFNEGLQUERYDEVICESTRINGEXTPROC describe =
        (PFNEGLQUERYDEVICESTRINGEXTPROC)gles_find(g, NULL, "eglQueryDeviceStringEXT");
    if (get && query && gles_has(client, "EGL_EXT_platform_device")) {
        EGLDeviceEXT devices[GLES_MAX_DEVICES];
        EGLint n = 0;
        if (!query(GLES_MAX_DEVICES, devices, &n)) n = 0;
        for (int32_t software = 0; software < 2; software++)
            for (EGLint i = 0; i < n; i++) {
                const char *what = describe ? describe(devices[i], EGL_EXTENSIONS) : NULL;
                if (gles_has(what, "EGL_MESA_device_software") != (software == 1)) continue;
                count =
                    gles_add_display(list, count, get(EGL_PLATFORM_DEVICE_EXT, devices[i], NULL),
                                     "device", (int32_t)i);
            }
    }
    if (get && gles_has(client, "EGL_MESA_platform_surfaceless"))
        count = gles_add_display(list, count,
                                 get(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL),
                                 "surfaceless", -1);
    return gles_add_display(list, count, g->call.egl.GetDisplay(EGL_DEFAULT_DISPLAY),
                            "default display", -1);
}

// ---- the context

static void gles_close_context(ch_gles *g) {
    if (g->context != EGL_NO_CONTEXT) g->call.egl.DestroyContext(g->display, g->context);
    if (g->surface != EGL_NO_SURFACE) g->call.egl.DestroySurface(g->display, g->surface);
    g->context = EGL_NO_CONTEXT;
    g->surface = EGL_NO_SURFACE;
}

static chord_result gles_open_context(ch_gles *g, const char *platform, chord_error *error) {
    EGLint major = 0, minor = 0;
    if (!g->call.egl.Initialize(g->display, &major, &minor))
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "EGL on %s does not start: error 0x%x",
                       platform, (unsigned)g->call.egl.GetError());
    const char *extensions = g->call.egl.QueryString(g->display, EGL_EXTENSIONS);
    bool surfaceless = gles_has(extensions, "EGL_KHR_surfaceless_context"),
         robust = gles_has(extensions, "EGL_EXT_create_context_robustness");
    static const EGLint config_wanted[] = {EGL_RENDERABLE_TYPE, EGL_OPENGL_ES3_BIT,
                                           EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_NONE};
    EGLConfig config = NULL;
    EGLint configs = 0;
    bool configless = surfaceless && gles_has(extensions, "EGL_KHR_no_config_context");
    if (!configless &&
        (!g->call.egl.ChooseConfig(g->display, config_wanted, &config, 1, &configs) || !configs))
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "EGL on %s has no configuration for ES 3",
                       platform);
    if (!g->call.egl.BindAPI(EGL_OPENGL_ES_API))
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "EGL on %s has no OpenGL ES", platform);
    // The last pair is cut off where the display does not know it.
    EGLint wanted[] = {EGL_CONTEXT_MAJOR_VERSION,
                       3,
                       EGL_CONTEXT_MINOR_VERSION,
                       1,
                       EGL_CONTEXT_OPENGL_RESET_NOTIFICATION_STRATEGY_EXT,
                       EGL_LOSE_CONTEXT_ON_RESET_EXT,
                       EGL_NONE};
    if (!robust) wanted[4] = EGL_NONE;
    g->context = g->call.egl.CreateContext(g->display, config, EGL_NO_CONTEXT, wanted);
    if (g->context == EGL_NO_CONTEXT && robust) {
        wanted[4] = EGL_NONE;
        g->context = g->call.egl.CreateContext(g->display, config, EGL_NO_CONTEXT, wanted);
    }
    if (g->context == EGL_NO_CONTEXT)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "EGL on %s gives no context of OpenGL ES 3.1: error 0x%x", platform,
                       (unsigned)g->call.egl.GetError());
    if (!surfaceless) {
        static const EGLint size[] = {EGL_WIDTH, 1, EGL_HEIGHT, 1, EGL_NONE};
        g->surface = g->call.egl.CreatePbufferSurface(g->display, config, size);
        if (g->surface == EGL_NO_SURFACE)
            return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "EGL on %s gives no surface", platform);
    }
    return CHORD_OK;
}

CH_FN chord_result ch_gles_bind(ch_gles *g, chord_error *error) {
    g->outer.context = g->call.egl.GetCurrentContext();
    g->outer.display = g->call.egl.GetCurrentDisplay();
    g->outer.draw = g->call.egl.GetCurrentSurface(EGL_DRAW);
    g->outer.read = g->call.egl.GetCurrentSurface(EGL_READ);
    if (!g->call.egl.MakeCurrent(g->display, g->surface, g->surface, g->context))
        return ch_fail(error, CHORD_ERROR_SYSTEM,
                       "the context of %s cannot be made current: error 0x%x", g->info.name,
                       (unsigned)g->call.egl.GetError());
    return CHORD_OK;
}

CH_FN void ch_gles_unbind(ch_gles *g) {
    if (g->outer.context == EGL_NO_CONTEXT)
        g->call.egl.MakeCurrent(g->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
    else
        g->call.egl.MakeCurrent(g->outer.display, g->outer.draw, g->outer.read, g->outer.context);
}

// ---- errors

CH_FN void ch_gles_note(ch_gles *g, const char *call) {
    GLenum code = g->call.gl.GetError();
    if (code == GL_NO_ERROR || g->error != GL_NO_ERROR) return;
    g->error = code;
    g->error_call = call;
}

enum { GLES_CONTEXT_LOST = 0x0507 }; // of ES 3.2 and KHR_robustness

CH_FN chord_result ch_gles_check(ch_gles *g, chord_error *error) {
    ch_gles_note(g, "an OpenGL call");
    if (g->call.gl.GetGraphicsResetStatus && g->call.gl.GetGraphicsResetStatus() != GL_NO_ERROR)
        g->lost = true;
    if (g->error == GLES_CONTEXT_LOST) g->lost = true;
    GLenum code = g->error;
    g->error = GL_NO_ERROR;
    if (g->lost)
        return ch_fail(error, CHORD_ERROR_SYSTEM, "the context of %s was lost", g->info.name);
    if (code == GL_NO_ERROR) return CHORD_OK;
    return ch_fail(error, code == GL_OUT_OF_MEMORY ? CHORD_ERROR_MEMORY : CHORD_ERROR_SYSTEM,
                   "%s of %s failed: error 0x%04x", g->error_call, g->info.name, (unsigned)code);
}

// ---- buffers and programs

CH_FN chord_result ch_gles_buffer_open(ch_gles *g, uint64_t bytes, GLenum usage, GLuint *buffer,
                                       chord_error *error) {
    *buffer = 0;
    CH_GL(g, GenBuffers, (1, buffer));
    CH_GL(g, BindBuffer, (GL_SHADER_STORAGE_BUFFER, *buffer));
    // Not CH_GL: out of memory is told below, with the size.
    g->call.gl.BufferData(GL_SHADER_STORAGE_BUFFER, (GLsizeiptr)bytes, NULL, usage);
    GLenum code = g->call.gl.GetError();
    if (code == GL_NO_ERROR) return CHORD_OK;
    CH_GL(g, DeleteBuffers, (1, buffer));
    *buffer = 0;
    return ch_fail(error, CHORD_ERROR_MEMORY, "%s gives no buffer of %llu bytes: error 0x%04x",
                   g->info.name, (unsigned long long)bytes, (unsigned)code);
}

// The first line of a log, which is the sentence that matters.
static void gles_first_line(char *log) {
    log[strcspn(log, "\r\n")] = 0;
}

// The text of a program, as the parts that glShaderSource takes.
typedef struct gles_source {
    const GLchar *parts[GLES_MAX_LINES];
    int32_t count;
} gles_source;

static const char gles_head[] = "#version 310 es\n"
                                "precision highp float;\n"
                                "precision highp int;\n";

static bool gles_read_source(ch_shader which, const char *defines, gles_source *source) {
    int32_t count = 0;
    const char *const *lines = ch_gles_shader_lines(which, &count);
    if (count == 0 || count + 2 > GLES_MAX_LINES) return false;
    source->parts[0] = gles_head;
    source->parts[1] = defines;
    for (int32_t i = 0; i < count; i++) source->parts[i + 2] = lines[i];
    source->count = count + 2;
    return true;
}

static chord_result gles_compile(ch_gles *g, GLuint shader, const char *name,
                                 const gles_source *source, chord_error *error) {
    g->call.gl.ShaderSource(shader, source->count, source->parts, NULL);
    g->call.gl.CompileShader(shader);
    GLint good = 0;
    g->call.gl.GetShaderiv(shader, GL_COMPILE_STATUS, &good);
    if (good) return CHORD_OK;
    char log[160] = "";
    g->call.gl.GetShaderInfoLog(shader, sizeof log, NULL, log);
    gles_first_line(log);
    return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "%.40s does not compile the shader %s: %s",
                   g->info.name, name, log);
}

static bool gles_linked(ch_gles *g, GLuint program) {
    GLint good = 0;
    g->call.gl.GetProgramiv(program, GL_LINK_STATUS, &good);
    return good != 0;
}

static chord_result gles_build(ch_gles *g, GLuint program, const char *name,
                               const gles_source *source, chord_error *error) {
    GLuint shader = g->call.gl.CreateShader(GL_COMPUTE_SHADER);
    if (!shader)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "%s has no compute shaders", g->info.name);
    chord_result result = gles_compile(g, shader, name, source, error);
    if (!result) {
        CH_GL(g, AttachShader, (program, shader));
        if (g->cache) CH_GL(g, ProgramParameteri, (program, GL_PROGRAM_BINARY_RETRIEVABLE_HINT, 1));
        g->call.gl.LinkProgram(program);
        if (!gles_linked(g, program)) {
            char log[160] = "";
            g->call.gl.GetProgramInfoLog(program, sizeof log, NULL, log);
            gles_first_line(log);
            result = ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                             "%.40s does not link the shader %s: %s", g->info.name, name, log);
        }
    }
    g->call.gl.DeleteShader(shader); // it lives as long as a program that it is attached to
    return result;
}

// ---- compiled programs, in files

// A file: this, then the driver's bytes. Its name is the key, a hash of all that the program
// follows from.
typedef struct gles_kept {
    char magic[8];
    uint64_t key, check; // check: a hash of the driver's bytes
    uint32_t format, bytes;
} gles_kept;

CH_STATIC_ASSERT(sizeof(gles_kept) == 32, "compiled programs are kept in files");

// FNV-1a, 64 bits, going on from `hash`.
static uint64_t gles_hash(uint64_t hash, const void *data, size_t bytes) {
    const uint8_t *p = (const uint8_t *)data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ p[i]) * 1099511628211u;
    return hash;
}

static uint64_t gles_key(const ch_gles *g, const gles_source *source) {
    uint64_t hash = 14695981039346656037u;
    const char *words[] = {CHORD_VERSION, g->info.name, g->info.version};
    for (size_t i = 0; i < CH_COUNT(words); i++)
        hash = gles_hash(hash, words[i], strlen(words[i]) + 1);
    for (int32_t i = 0; i < source->count; i++)
        hash = gles_hash(hash, source->parts[i], strlen(source->parts[i]));
    return hash;
}

static bool gles_kept_path(const ch_gles *g, uint64_t key, char *path, size_t capacity) {
    int n = snprintf(path, capacity, "%s/%016llx.program", g->cache, (unsigned long long)key);
    return n > 0 && (size_t)n < capacity;
}

// False if there is none, or if it is not as it was written, or if the driver does not take it.
static bool gles_restore(ch_gles *g, uint64_t key, GLuint program) {
    char path[1024];
    ch_os_map map;
    gles_kept kept;
    if (!gles_kept_path(g, key, path, sizeof path) || ch_os_map_file(path, &map)) return false;
    bool good = map.bytes >= sizeof kept;
    if (good) {
        const uint8_t *data = map.data + sizeof kept;
        memcpy(&kept, map.data, sizeof kept);
        good = memcmp(kept.magic, "CHORDGL1", 8) == 0 && kept.key == key &&
               kept.bytes == map.bytes - sizeof kept &&
               kept.check == gles_hash(kept.key, data, kept.bytes);
        if (good) g->call.gl.ProgramBinary(program, kept.format, data, (GLsizei)kept.bytes);
        if (good) good = g->call.gl.GetError() == GL_NO_ERROR && gles_linked(g, program);
    }
    ch_os_unmap_file(&map);
    return good;
}

// As far as the driver and the folder allow; nobody is told if they do not.
static void gles_keep(ch_gles *g, uint64_t key, GLuint program) {
    char path[1024];
    GLint bytes = 0;
    GLsizei written = 0;
    GLenum format = 0;
    gles_kept kept;
    g->call.gl.GetProgramiv(program, GL_PROGRAM_BINARY_LENGTH, &bytes);
    void *data = bytes > 0 ? ch_os_memory_take((size_t)bytes) : NULL;
    if (!data) return;
    g->call.gl.GetProgramBinary(program, bytes, &written, &format, data);
    if (g->call.gl.GetError() == GL_NO_ERROR && written > 0 &&
        gles_kept_path(g, key, path, sizeof path)) {
        memcpy(kept.magic, "CHORDGL1", 8);
        kept.key = key;
        kept.check = gles_hash(key, data, (size_t)written);
        kept.format = format;
        kept.bytes = (uint32_t)written;
        ch_os_write_file(path, &kept, sizeof kept, data, kept.bytes);
    }
    ch_os_memory_release(data, (size_t)bytes);
}

CH_FN chord_result ch_gles_program_open(ch_gles *g, ch_shader which, const char *defines,
                                        GLuint *program, chord_error *error) {
    static const char *const names[CH_SHADER_COUNT] = {
#define GLES_SHADER_NAME(NAME, name) #name,
        CH_SHADERS(GLES_SHADER_NAME)
#undef GLES_SHADER_NAME
    };
    *program = 0;
    gles_source source;
    if (!gles_read_source(which, defines, &source))
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "the shader %s is too long", names[which]);
    GLuint made = g->call.gl.CreateProgram();
    uint64_t key = g->cache ? gles_key(g, &source) : 0;
    if (!g->cache || !gles_restore(g, key, made)) {
        chord_result result = gles_build(g, made, names[which], &source, error);
        if (result) {
            g->call.gl.DeleteProgram(made);
            return result;
        }
        if (g->cache) gles_keep(g, key, made);
    }
    *program = made;
    return CHORD_OK;
}

CH_FN void ch_gles_dispatch(ch_gles *g, GLuint program, const uint32_t params[CH_GLES_PARAMS * 4],
                            const ch_gles_range *ranges, int32_t count, const uint32_t groups[3]) {
    CH_GL(g, UseProgram, (program));
    CH_GL(g, Uniform4uiv, (0, CH_GLES_PARAMS, params));
    for (int32_t i = 0; i < count; i++)
        if (ranges[i].buffer)
            CH_GL(g, BindBufferRange,
                  (GL_SHADER_STORAGE_BUFFER, (GLuint)i, ranges[i].buffer,
                   (GLintptr)ranges[i].offset, (GLsizeiptr)ranges[i].bytes));
    CH_GL(g, DispatchCompute, (groups[0], groups[1], groups[2]));
    g->info.dispatches++;
}

enum { GLES_TIME_ELAPSED = 0x88BF }; // of EXT_disjoint_timer_query

CH_FN void ch_gles_time_begin(ch_gles *g, ch_gles_timer *timer) {
    CH_GL(g, Finish, ());
    timer->begun = ch_os_seconds();
    CH_GL(g, BeginQuery, (GLES_TIME_ELAPSED, timer->query));
}

CH_FN double ch_gles_time_end(ch_gles *g, const ch_gles_timer *timer) {
    uint64_t nanoseconds = 0;
    CH_GL(g, EndQuery, (GLES_TIME_ELAPSED));
    CH_GL(g, Finish, ());
    double passed = ch_os_seconds() - timer->begun;
    CH_GL(g, GetQueryObjectui64v, (timer->query, GL_QUERY_RESULT, &nanoseconds));
    double told = (double)nanoseconds * 1e-9;
    return told > passed / 200 ? told : passed;
}

// ---- what a device is

static void gles_copy(char *out, size_t capacity, const GLubyte *text) {
    snprintf(out, capacity, "%s", text ? (const char *)(const void *)text : "unknown");
}

static int64_t gles_integer(ch_gles *g, GLenum name) {
    GLint value = 0;
    g->call.gl.GetIntegerv(name, &value);
    return value;
}

static void gles_describe(ch_gles *g, bool minimums) {
    chord_device_info *info = &g->info;
    info->device = CHORD_DEVICE_GPU;
    gles_copy(info->name, sizeof info->name, g->call.gl.GetString(GL_RENDERER));
    gles_copy(info->version, sizeof info->version, g->call.gl.GetString(GL_VERSION));
    size_t used = 0;
    int64_t count = gles_integer(g, GL_NUM_EXTENSIONS);
    for (int64_t i = 0; i < count; i++) {
        const char *word =
            (const char *)(const void *)g->call.gl.GetStringi(GL_EXTENSIONS, (GLuint)i);
        if (!word || used + strlen(word) + 2 > sizeof info->extensions) continue;
        used += (size_t)snprintf(info->extensions + used, sizeof info->extensions - used, "%s%s",
                                 used ? " " : "", word);
    }
    GLint64 block = 0;
    g->call.gl.GetInteger64v(GL_MAX_SHADER_STORAGE_BLOCK_SIZE, &block);
    info->storage_blocks = (int32_t)gles_integer(g, GL_MAX_COMPUTE_SHADER_STORAGE_BLOCKS);
    info->invocations = (int32_t)gles_integer(g, GL_MAX_COMPUTE_WORK_GROUP_INVOCATIONS);
    info->shared_bytes = (int32_t)gles_integer(g, GL_MAX_COMPUTE_SHARED_MEMORY_SIZE);
    info->block_bytes = block > 0 ? (uint64_t)block : 0;
    info->groups = INT32_MAX;
    for (GLuint i = 0; i < 3; i++) {
        GLint most = 0;
        g->call.gl.GetIntegeri_v(GL_MAX_COMPUTE_WORK_GROUP_COUNT, i, &most);
        info->groups = CH_MIN(info->groups, most);
    }
    if (!minimums) return;
    info->storage_blocks = CH_MIN(info->storage_blocks, CH_GLES_MIN_STORAGE_BLOCKS);
    info->invocations = CH_MIN(info->invocations, CH_GLES_MIN_INVOCATIONS);
    info->shared_bytes = CH_MIN(info->shared_bytes, CH_GLES_MIN_SHARED_BYTES);
    info->block_bytes = CH_MIN(info->block_bytes, (uint64_t)CH_GLES_MIN_BLOCK_BYTES);
    info->groups = CH_MIN(info->groups, CH_GLES_MIN_GROUPS);
}

static chord_result gles_check_limits(const ch_gles *g, chord_error *error) {
    const chord_device_info *i = &g->info;
    if (i->storage_blocks < CH_GLES_MIN_STORAGE_BLOCKS ||
        i->block_bytes < CH_GLES_MIN_BLOCK_BYTES || i->invocations < CH_GLES_MIN_INVOCATIONS ||
        i->shared_bytes < CH_GLES_MIN_SHARED_BYTES || i->groups < CH_GLES_MIN_GROUPS)
        return ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                       "%s is below the limits of OpenGL ES 3.1: %d storage blocks of %llu bytes, "
                       "%d invocations, %d shared bytes",
                       i->name, (int)i->storage_blocks, (unsigned long long)i->block_bytes,
                       (int)i->invocations, (int)i->shared_bytes);
    return CHORD_OK;
}

// What glsl/selftest.comp must write at word i.
static uint32_t gles_selftest_word(uint32_t i) {
    uint32_t sum = 0;
    for (uint32_t j = 0; j < 4; j++) sum += ((i + j) % GLES_SELFTEST_WORDS) * 2654435761u >> 7;
    float exact = (float)i * 0.25f + 3.0f;
    uint32_t bits;
    memcpy(&bits, &exact, sizeof bits);
    return sum ^ bits;
}

static chord_result gles_selftest(ch_gles *g, chord_error *error) {
    GLuint program = 0, buffer = 0;
    chord_result result = ch_gles_program_open(g, CH_SHADER_SELFTEST, "", &program, error);
    if (!result)
        result = ch_gles_buffer_open(g, GLES_SELFTEST_WORDS * 4, GL_DYNAMIC_READ, &buffer, error);
    if (!result) {
        CH_GL(g, UseProgram, (program));
        CH_GL(g, BindBufferRange,
              (GL_SHADER_STORAGE_BUFFER, 0, buffer, 0, GLES_SELFTEST_WORDS * 4));
        CH_GL(g, DispatchCompute, (1, 1, 1));
        CH_GL(g, MemoryBarrier, (GL_BUFFER_UPDATE_BARRIER_BIT));
        const uint32_t *words = (const uint32_t *)g->call.gl.MapBufferRange(
            GL_SHADER_STORAGE_BUFFER, 0, GLES_SELFTEST_WORDS * 4, GL_MAP_READ_BIT);
        bool right = words != NULL;
        for (uint32_t i = 0; right && i < GLES_SELFTEST_WORDS; i++)
            right = words[i] == gles_selftest_word(i);
        if (words) g->call.gl.UnmapBuffer(GL_SHADER_STORAGE_BUFFER);
        result = ch_gles_check(g, error);
        if (!result && !right)
            result = ch_fail(error, CHORD_ERROR_UNSUPPORTED,
                             "%s (%s) computes a known kernel wrong: it is not used", g->info.name,
                             g->info.version);
    }
    if (program) g->call.gl.DeleteProgram(program);
    if (buffer) g->call.gl.DeleteBuffers(1, &buffer);
    return result;
}

// Functions that not every driver has.
static void gles_find_optional(ch_gles *g) {
    static const char *const reset_names[] = {
        "glGetGraphicsResetStatus", "glGetGraphicsResetStatusKHR", "glGetGraphicsResetStatusEXT"};
    bool robust = gles_has(g->info.extensions, "GL_KHR_robustness") ||
                  gles_has(g->info.extensions, "GL_EXT_robustness");
    g->call.gl.GetGraphicsResetStatus = NULL;
    for (size_t i = 0; robust && i < CH_COUNT(reset_names); i++)
        if (!g->call.gl.GetGraphicsResetStatus)
            g->call.gl.GetGraphicsResetStatus =
                (GLenum(GL_APIENTRYP)(void))gles_find(g, NULL, reset_names[i]);
    g->call.gl.GetQueryObjectui64v = NULL;
    if (gles_has(g->info.extensions, "GL_EXT_disjoint_timer_query"))
        g->call.gl.GetQueryObjectui64v = (void(GL_APIENTRYP)(GLuint, GLenum, uint64_t *))gles_find(
            g, NULL, "glGetQueryObjectui64vEXT");
}

// One display: opens, describes and tests it. What is known of it stays in g->info.
static chord_result gles_try(ch_gles *g, const gles_display *from, bool minimums,
                             chord_error *error) {
    memset(&g->info, 0, sizeof g->info);
    snprintf(g->info.platform, sizeof g->info.platform, "%s", from->platform);
    snprintf(g->info.name, sizeof g->info.name, "%s", from->platform);
    g->display = from->display;
    g->context = EGL_NO_CONTEXT;
    g->surface = EGL_NO_SURFACE;
    g->lost = false;
    g->error = GL_NO_ERROR;
    chord_result result = gles_open_context(g, from->platform, error);
    if (!result) result = ch_gles_bind(g, error);
    if (result) {
        gles_close_context(g);
        return result;
    }
    gles_describe(g, minimums);
    gles_find_optional(g);
    result = gles_check_limits(g, error);
    if (!result) result = gles_selftest(g, error);
    ch_gles_unbind(g);
    if (result) gles_close_context(g);
    g->info.usable = result == CHORD_OK;
    return result;
}

CH_FN chord_result ch_gles_open(ch_gles *g, int32_t index, bool minimums, chord_error *error) {
    memset(g, 0, sizeof *g);
    chord_result result = gles_load(g, error);
    if (result) return result;
    gles_display list[GLES_MAX_DEVICES];
    int32_t count = gles_list(g, list);
    if (count == 0) return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "EGL knows no display at all");
    if (index >= count)
        return ch_fail(error, CHORD_ERROR_ARGUMENT, "there is no GPU number %d, only %d",
                       (int)index + 1, (int)count);
    if (index >= 0) return gles_try(g, &list[index], minimums, error);
    chord_error first, other; // the first sentence is the one about the likeliest device
    result = gles_try(g, &list[0], minimums, &first);
    for (int32_t i = 1; result && i < count; i++)
        if (!gles_try(g, &list[i], minimums, &other)) return CHORD_OK;
    return result ? ch_fail(error, result, "%s", first.message) : CHORD_OK;
}

CH_FN void ch_gles_close(ch_gles *g) {
    // The display stays initialized: others in this process may use it, and EGL does not count.
    gles_close_context(g);
}

// ---- for people

bool chord_get_device(int32_t i, chord_device_info *info) {
    chord_error error = {CHORD_OK, ""};
    ch_gles g;
    if (i < 0) return false;
    memset(&g, 0, sizeof g);
    chord_result result = ch_gles_open(&g, i, false, &error);
    *info = g.info;
    info->device = CHORD_DEVICE_GPU;
    if (result) memcpy(info->reason, error.message, sizeof info->reason);
    if (!result) ch_gles_close(&g);
    return g.display != EGL_NO_DISPLAY;
}

// ---- what a device reaches

enum { GLES_ROOF_BYTES = 64 << 20, GLES_ROOF_TURNS = 256, GLES_ROOF_GROUPS = 8192 };

// The least seconds of a dispatch, of some; it is repeated within one measurement for as long as a
// clock needs. 0: it failed.
static double gles_roof_seconds(ch_gles *g, const char *defines, const GLuint *buffers,
                                uint32_t groups, chord_error *error) {
    GLuint program = 0;
    if (ch_gles_program_open(g, CH_SHADER_ROOF, defines, &program, error)) return 0;
    float x = 0.999f, y = 0.001f;
    uint32_t params[CH_GLES_PARAMS * 4] = {GLES_ROOF_TURNS}, count[3] = {groups, 1, 1};
    memcpy(&params[1], &x, sizeof x);
    memcpy(&params[2], &y, sizeof y);
    ch_gles_range ranges[2] = {{buffers[0], 0, GLES_ROOF_BYTES}, {buffers[1], 0, GLES_ROOF_BYTES}};
    double least = 0, begun = ch_os_seconds();
    for (int32_t turn = 0, repeat = 1; turn < 3 || ch_os_seconds() - begun < 0.4; turn++) {
        double start = ch_os_seconds();
        for (int32_t i = 0; i < repeat; i++) {
            ch_gles_dispatch(g, program, params, ranges, 2, count);
            CH_GL(g, MemoryBarrier, (GL_SHADER_STORAGE_BARRIER_BIT));
        }
        CH_GL(g, Finish, ());
        double seconds = ch_os_seconds() - start;
        // The first turn compiles, on some drivers.
        if (turn > 0 && (least == 0 || seconds / repeat < least)) least = seconds / repeat;
        if (turn > 0 && seconds < 0.02 && repeat < 1024) repeat *= 2;
    }
    g->call.gl.DeleteProgram(program);
    return ch_gles_check(g, error) ? 0 : least;
}

static chord_result gles_measure(ch_gles *g, chord_device_roof *roof, chord_error *error) {
    GLuint buffers[2] = {0, 0};
    chord_result result = CHORD_OK;
    for (int32_t i = 0; i < 2 && !result; i++)
        result = ch_gles_buffer_open(g, GLES_ROOF_BYTES, GL_DYNAMIC_COPY, &buffers[i], error);
    if (!result) {
        double copy =
            gles_roof_seconds(g, "#define COPY\n", buffers, GLES_ROOF_BYTES / 16 / 128, error);
        double add = copy > 0 ? gles_roof_seconds(g, "", buffers, GLES_ROOF_GROUPS, error) : 0;
        if (add > 0) {
            roof->copy_bytes = 2.0 * (double)GLES_ROOF_BYTES / copy;
            roof->flops = 64.0 * 128.0 * (double)GLES_ROOF_TURNS * (double)GLES_ROOF_GROUPS / add;
        } else {
            result = CHORD_ERROR_SYSTEM;
        }
    }
    g->call.gl.DeleteBuffers(2, buffers);
    return result;
}

chord_result chord_measure_device(int32_t i, chord_device_roof *roof, chord_error *error) {
    ch_gles g;
    if (!roof) return ch_fail(error, CHORD_ERROR_ARGUMENT, "roof is NULL");
    memset(roof, 0, sizeof *roof);
    chord_result result = ch_gles_open(&g, i, false, error);
    if (result) return result;
    result = ch_gles_bind(&g, error);
    if (!result) {
        result = gles_measure(&g, roof, error);
        ch_gles_unbind(&g);
    }
    ch_gles_close(&g);
    return result;
}

#else

chord_result chord_measure_device(int32_t i, chord_device_roof *roof, chord_error *error) {
    (void)i;
    (void)roof;
    return ch_fail(error, CHORD_ERROR_UNSUPPORTED, "this build of chord has no GPU path");
}

bool chord_get_device(int32_t i, chord_device_info *info) {
    static const char none[] = "this build of chord has no GPU path (CHORD_GLES)";
    memset(info, 0, sizeof *info);
    if (i == 0) memcpy(info->reason, none, sizeof none);
    return false;
}

#endif
