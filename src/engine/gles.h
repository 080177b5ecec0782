// gles: an OpenGL ES 3.1 context without a window, and what compute needs of it.
//
// Owns: the only use of EGL: finding devices, opening a context, limits, buffers, programs, the
// errors of all these. Refuses: drivers below ES 3.1, drivers that compute a known kernel wrong.
// Invariants: no window system is touched; libEGL and libGLESv2 are met at run time only; a context
// is current on a thread only between ch_gles_bind and ch_gles_unbind.
#ifndef CH_GLES_H
#define CH_GLES_H

#include "../arena/error.h"

// Whether glGetError is asked after every call. Debug builds do.
#ifndef CHORD_GLES_DEBUG
#define CHORD_GLES_DEBUG 0
#endif

// The shaders: glsl/NAME.comp.
#define CH_SHADERS(X)                                                                              \
    X(SELFTEST, selftest)                                                                          \
    X(MATVEC, matvec)                                                                              \
    X(MATMUL, matmul)                                                                              \
    X(EMBED, embed)                                                                                \
    X(NORM, norm)                                                                                  \
    X(ROPE, rope)                                                                                  \
    X(ATTENTION, attention)                                                                        \
    X(COMBINE, combine)                                                                            \
    X(GLU, glu)                                                                                    \
    X(CHOOSE, choose)                                                                              \
    X(BEST, best)                                                                                  \
    X(ROOF, roof)

typedef enum ch_shader {
#define CH_SHADER_ENUM(NAME, name) CH_SHADER_##NAME,
    CH_SHADERS(CH_SHADER_ENUM) CH_SHADER_COUNT
#undef CH_SHADER_ENUM
} ch_shader;

// What the specification guarantees; the path is written so that these are enough.
enum {
    CH_GLES_MIN_STORAGE_BLOCKS = 4,
    CH_GLES_MIN_BLOCK_BYTES = 1 << 27,
    CH_GLES_MIN_INVOCATIONS = 128,
    CH_GLES_MIN_SHARED_BYTES = 16384,
    CH_GLES_MIN_GROUPS = 65535,
    CH_GLES_ALIGN = 256 // of the offsets of storage blocks, at most
};

#define CH_GLES_PARAMS 8 // rows of four uints that a dispatch takes

#if CHORD_GLES
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES3/gl31.h>

// X(type of the pointer, name without the prefix)
#define CH_EGL_CALLS(X)                                                                            \
    X(PFNEGLGETPROCADDRESSPROC, GetProcAddress)                                                    \
    X(PFNEGLQUERYSTRINGPROC, QueryString)                                                          \
    X(PFNEGLGETDISPLAYPROC, GetDisplay)                                                            \
    X(PFNEGLINITIALIZEPROC, Initialize)                                                            \
    X(PFNEGLBINDAPIPROC, BindAPI)                                                                  \
    X(PFNEGLCHOOSECONFIGPROC, ChooseConfig)                                                        \
    X(PFNEGLCREATECONTEXTPROC, CreateContext)                                                      \
    X(PFNEGLDESTROYCONTEXTPROC, DestroyContext)                                                    \
    X(PFNEGLCREATEPBUFFERSURFACEPROC, CreatePbufferSurface)                                        \
    X(PFNEGLDESTROYSURFACEPROC, DestroySurface)                                                    \
    X(PFNEGLMAKECURRENTPROC, MakeCurrent)                                                          \
    X(PFNEGLGETCURRENTCONTEXTPROC, GetCurrentContext)                                              \
    X(PFNEGLGETCURRENTDISPLAYPROC, GetCurrentDisplay)                                              \
    X(PFNEGLGETCURRENTSURFACEPROC, GetCurrentSurface)                                              \
    X(PFNEGLGETERRORPROC, GetError)
#define CH_GL_CALLS(X)                                                                             \
    X(PFNGLGETERRORPROC, GetError)                                                                 \
    X(PFNGLGETSTRINGPROC, GetString)                                                               \
    X(PFNGLGETSTRINGIPROC, GetStringi)                                                             \
    X(PFNGLGETINTEGERVPROC, GetIntegerv)                                                           \
    X(PFNGLGETINTEGER64VPROC, GetInteger64v)                                                       \
    X(PFNGLGETINTEGERI_VPROC, GetIntegeri_v)                                                       \
    X(PFNGLGENBUFFERSPROC, GenBuffers)                                                             \
    X(PFNGLDELETEBUFFERSPROC, DeleteBuffers)                                                       \
    X(PFNGLBINDBUFFERPROC, BindBuffer)                                                             \
    X(PFNGLBINDBUFFERRANGEPROC, BindBufferRange)                                                   \
    X(PFNGLBUFFERDATAPROC, BufferData)                                                             \
    X(PFNGLBUFFERSUBDATAPROC, BufferSubData)                                                       \
    X(PFNGLCOPYBUFFERSUBDATAPROC, CopyBufferSubData)                                               \
    X(PFNGLMAPBUFFERRANGEPROC, MapBufferRange)                                                     \
    X(PFNGLUNMAPBUFFERPROC, UnmapBuffer)                                                           \
    X(PFNGLCREATESHADERPROC, CreateShader)                                                         \
    X(PFNGLSHADERSOURCEPROC, ShaderSource)                                                         \
    X(PFNGLCOMPILESHADERPROC, CompileShader)                                                       \
    X(PFNGLGETSHADERIVPROC, GetShaderiv)                                                           \
    X(PFNGLGETSHADERINFOLOGPROC, GetShaderInfoLog)                                                 \
    X(PFNGLDELETESHADERPROC, DeleteShader)                                                         \
    X(PFNGLCREATEPROGRAMPROC, CreateProgram)                                                       \
    X(PFNGLATTACHSHADERPROC, AttachShader)                                                         \
    X(PFNGLLINKPROGRAMPROC, LinkProgram)                                                           \
    X(PFNGLGETPROGRAMIVPROC, GetProgramiv)                                                         \
    X(PFNGLGETPROGRAMINFOLOGPROC, GetProgramInfoLog)                                               \
    X(PFNGLDELETEPROGRAMPROC, DeleteProgram)                                                       \
    X(PFNGLPROGRAMPARAMETERIPROC, ProgramParameteri)                                               \
    X(PFNGLGETPROGRAMBINARYPROC, GetProgramBinary)                                                 \
    X(PFNGLPROGRAMBINARYPROC, ProgramBinary)                                                       \
    X(PFNGLUSEPROGRAMPROC, UseProgram)                                                             \
    X(PFNGLUNIFORM4UIVPROC, Uniform4uiv)                                                           \
    X(PFNGLDISPATCHCOMPUTEPROC, DispatchCompute)                                                   \
    X(PFNGLMEMORYBARRIERPROC, MemoryBarrier)                                                       \
    X(PFNGLGENQUERIESPROC, GenQueries)                                                             \
    X(PFNGLDELETEQUERIESPROC, DeleteQueries)                                                       \
    X(PFNGLBEGINQUERYPROC, BeginQuery)                                                             \
    X(PFNGLENDQUERYPROC, EndQuery)                                                                 \
    X(PFNGLFINISHPROC, Finish)

typedef struct ch_gles_calls {
#define CH_GLES_POINTER(type, name) type name;
    struct {
        CH_EGL_CALLS(CH_GLES_POINTER)
    } egl;
    struct {
        CH_GL_CALLS(CH_GLES_POINTER)
        // Not everywhere: NULL then.
        GLenum(GL_APIENTRYP GetGraphicsResetStatus)(void);
        void(GL_APIENTRYP GetQueryObjectui64v)(GLuint, GLenum, uint64_t *);
    } gl;
#undef CH_GLES_POINTER
} ch_gles_calls;

typedef struct ch_gles {
    ch_gles_calls call;
    EGLDisplay display;
    EGLContext context;
    EGLSurface surface; // EGL_NO_SURFACE where the display does without
    struct {            // what was current before ch_gles_bind
        EGLDisplay display;
        EGLContext context;
        EGLSurface draw, read;
    } outer;
    chord_device_info info;
    const char *cache; // folder of compiled programs, or NULL
    bool lost;
    GLenum error; // the first that glGetError told, and after which call
    const char *error_call;
} ch_gles;

// A call of the table, checked in debug builds: CH_GL(g, BindBuffer, (GL_ARRAY_BUFFER, 0)).
#if CHORD_GLES_DEBUG
#define CH_GL(g, name, args) ((g)->call.gl.name args, ch_gles_note((g), "gl" #name))
#else
#define CH_GL(g, name, args) ((g)->call.gl.name args)
#endif

// Opens device `index` (0, 1, ...; -1: the first that serves) and leaves its context unbound.
// `minimums` sets the limits to the least that the specification allows. On failure nothing stays
// open. Errors: UNSUPPORTED, SYSTEM, ARGUMENT (there is no such device).
CH_FN chord_result ch_gles_open(ch_gles *gles, int32_t index, bool minimums, chord_error *error);
CH_FN void ch_gles_close(ch_gles *gles);

// Makes the context current on this thread; unbind gives the thread back what it had, or nothing.
CH_FN chord_result ch_gles_bind(ch_gles *gles, chord_error *error);
CH_FN void ch_gles_unbind(ch_gles *gles);

// Keeps the first error that glGetError tells, with the call that it came after.
CH_FN void ch_gles_note(ch_gles *gles, const char *call);

// OK, or the sentence of what went wrong since the last call of this: a lost context, an error.
CH_FN chord_result ch_gles_check(ch_gles *gles, chord_error *error);

// A buffer, what is in it undefined, or MEMORY. `usage` is GL's hint.
CH_FN chord_result ch_gles_buffer_open(ch_gles *gles, uint64_t bytes, GLenum usage, GLuint *buffer,
                                       chord_error *error);

// A program of a shader, whose text follows `defines` ("#define NAME VALUE\n"...); from the cache,
// if it is there. UNSUPPORTED with the driver's words.
CH_FN chord_result ch_gles_program_open(ch_gles *gles, ch_shader shader, const char *defines,
                                        GLuint *program, chord_error *error);

// A range of a buffer, as a storage block.
typedef struct ch_gles_range {
    GLuint buffer;
    uint64_t offset, bytes;
} ch_gles_range;

// Binds `count` ranges to bindings 0.. (those without a buffer are left out) and runs
// groups[0] x groups[1] x groups[2] work groups of a program.
CH_FN void ch_gles_dispatch(ch_gles *gles, GLuint program,
                            const uint32_t params[CH_GLES_PARAMS * 4], const ch_gles_range *ranges,
                            int32_t count, const uint32_t groups[3]);

// The device's time from begin to end, in seconds; where its timer tells next to nothing, as those
// of drivers in software do, the time that passed. Only where GetQueryObjectui64v is not NULL.
typedef struct ch_gles_timer {
    GLuint query; // 0: none
    double begun;
} ch_gles_timer;
CH_FN void ch_gles_time_begin(ch_gles *gles, ch_gles_timer *timer);
CH_FN double ch_gles_time_end(ch_gles *gles, const ch_gles_timer *timer);

// The lines of a shader; generated from glsl/ when chord is built.
CH_FN const char *const *ch_gles_shader_lines(ch_shader shader, int32_t *count);

#endif
#endif
