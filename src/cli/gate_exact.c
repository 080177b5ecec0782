// gate_exact: what can be counted: no noise, and so no tolerance.
//
// Owns: the exact measures. Refuses: estimates: what cannot be counted here is skipped, with the
// reason. Decoding means all that chord_session_generate does: evaluating, sampling, text.
#define _GNU_SOURCE
#include "gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif

enum { EXACT_PROMPT = 8, EXACT_WARM = 4, EXACT_TOKENS = 32 };

static int32_t exact_tokens(const gate_spec *spec) {
    return spec->numbers[GATE_N_TOKENS] ? spec->numbers[GATE_N_TOKENS] : EXACT_TOKENS;
}

// ---- decoding between two marks

static int exact_on_text(void *user, const char *text, size_t bytes) {
    (void)text;
    *(size_t *)user += bytes;
    return 0;
}

static chord_result exact_generate(chord_session *session, int32_t tokens) {
    size_t bytes = 0;
    chord_generate_desc desc = {
        .max_tokens = tokens, .ignore_end = true, .on_text = exact_on_text, .user = &bytes};
    return chord_session_generate(session, &desc, NULL);
}

bool gate_exact_decode(const gate_context *context, const gate_spec *spec,
                       void (*mark)(void *user, bool begin), void *user, char *why,
                       size_t capacity) {
    chord_session_desc desc;
    chord_session *session = NULL;
    chord_error error = {CHORD_OK, ""};
    chord_token prompt[EXACT_PROMPT];
    const chord_model *model = gate_model_get(context, spec->model, why, capacity);
    if (!model) return false;
    gate_session_desc(context, spec, &desc);
    int32_t tokens = exact_tokens(spec), needed = EXACT_PROMPT + EXACT_WARM + tokens + 1;
    if (desc.context < needed) desc.context = needed;
    desc.sampler = (chord_sampler){.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .seed = 1};
    if (chord_session_open(model, &desc, &session, &error)) {
        snprintf(why, capacity, "%s", error.message);
        return false;
    }
    chord_model_info info;
    chord_model_get_info(model, &info);
    for (int32_t i = 0; i < EXACT_PROMPT; i++) prompt[i] = (7 + 31 * i) % info.vocabulary;
    chord_result code = chord_session_eval(session, prompt, EXACT_PROMPT, 1);
    if (code == CHORD_OK) code = exact_generate(session, EXACT_WARM);
    if (code == CHORD_OK) {
        mark(user, true);
        code = exact_generate(session, tokens);
        mark(user, false);
    }
    if (code) snprintf(why, capacity, "%s", chord_session_error(session));
    chord_session_close(session);
    return code == CHORD_OK;
}

// ---- allocations

static void exact_mark_allocations(void *user, bool begin) {
    if (begin)
        gate_count_begin();
    else
        *(int64_t *)user = gate_count_end();
}

// All measures: false with `why`, or after gate_skip.
static bool exact_allocations(const gate_context *context, gate_result *result, char *why,
                              size_t capacity) {
    int64_t calls = 0;
    if (!gate_exact_decode(context, result->spec, exact_mark_allocations, &calls, why, capacity))
        return false;
    if (calls < 0)
        return gate_skip(result, "this program was linked without counting the allocator's calls");
    result->measured = (double)calls / exact_tokens(result->spec);
    return true;
}

// ---- system calls

typedef struct exact_child {
    const gate_context *context;
    const gate_spec *spec;
} exact_child;

static int exact_traced(void *user) {
    const exact_child *child = user;
    char why[160];
    return !gate_exact_decode(child->context, child->spec, gate_trace_mark, NULL, why, sizeof why);
}

static bool exact_syscalls(const gate_context *context, gate_result *result, char *why,
                           size_t capacity) {
    gate_syscalls counts;
    exact_child child = {context, result->spec};
    double tokens = exact_tokens(result->spec);
    if (!gate_model_get(context, result->spec->model, why, capacity)) return false;
    if (!gate_trace(exact_traced, &child, &counts, why, capacity))
        return gate_skip(result, "%s", why);
    result->measured = (double)counts.other / tokens;
    if (counts.other)
        gate_note(result, "the first was system call %lld; waits of lanes: %.3g a token",
                  (long long)counts.first, (double)counts.futex / tokens);
    else
        gate_note(result, "waits of lanes, counted apart: %.3g a token",
                  (double)counts.futex / tokens);
    return true;
}

// ---- instructions
//
// The CPU's own counter where the system gives it, else valgrind's. valgrind knows AVX2 and no more
// of x86, so this is counted with AVX2 in both cases: the column of that name holds.

#if defined(__linux__)
static int exact_counter_open(void) {
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_HARDWARE;
    attr.config = PERF_COUNT_HW_INSTRUCTIONS;
    attr.disabled = 1;
    attr.exclude_kernel = 1;
    attr.exclude_hv = 1;
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

typedef struct exact_counter {
    int file;
    int64_t count;
} exact_counter;

static void exact_mark_counter(void *user, bool begin) {
    exact_counter *counter = user;
    if (begin) {
        ioctl(counter->file, PERF_EVENT_IOC_RESET, 0);
        ioctl(counter->file, PERF_EVENT_IOC_ENABLE, 0);
    } else {
        ioctl(counter->file, PERF_EVENT_IOC_DISABLE, 0);
        if (read(counter->file, &counter->count, sizeof counter->count) !=
            (ssize_t)sizeof counter->count)
            counter->count = -1;
    }
}

static bool exact_count_by_cpu(const gate_context *context, const gate_spec *spec, double *out) {
    char why[160];
    exact_counter counter = {exact_counter_open(), -1};
    if (counter.file < 0) return false;
    bool good = gate_exact_decode(context, spec, exact_mark_counter, &counter, why, sizeof why) &&
                counter.count > 0;
    close(counter.file);
    *out = (double)counter.count / exact_tokens(spec);
    return good;
}
#else
static bool exact_count_by_cpu(const gate_context *context, const gate_spec *spec, double *out) {
    (void)context;
    (void)spec;
    (void)out;
    return false;
}
#endif

// All instructions of this program decoding with a gate's settings `tokens` tokens, by valgrind.
static int64_t exact_valgrind_run(const gate_context *context, const gate_spec *spec,
                                  int32_t tokens) {
    char program[1024], command[4096], line[512];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    int64_t found = -1;
    if (n <= 0 || strchr(program, '\'') || strchr(context->file->path, '\'')) return -1;
    program[n] = 0;
    snprintf(command, sizeof command,
             "echo 'decode %d %d' | valgrind --tool=callgrind --callgrind-out-file=/dev/null "
             "'%s' gate '%s' --serve --cpu avx2 2>&1",
             (int)(spec - context->file->gates), tokens, program, context->file->path);
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe)) {
        const char *at = strstr(line, "Collected : ");
        if (at) found = strtoll(at + strlen("Collected : "), NULL, 10);
    }
    return pipe && pclose(pipe) == 0 ? found : -1;
}

static bool exact_instructions(const gate_context *context, gate_result *result, char *why,
                               size_t capacity) {
    if (!gate_model_get(context, result->spec->model, why, capacity)) return false;
    const gate_spec *spec = result->spec;
    gate_context avx2 = *context;
    if (CH_X86) avx2.cpu = "avx2";
    if (exact_count_by_cpu(&avx2, spec, &result->measured)) {
        gate_note(result, "by the CPU's counter");
        return true;
    }
    if (!CH_X86 || system("valgrind --version > /dev/null 2>&1") != 0)
        return gate_skip(result, "no CPU counter here (perf_event_open), and no valgrind");
    // Two runs differ by the tokens of one alone.
    int32_t tokens = exact_tokens(spec);
    int64_t less = exact_valgrind_run(context, spec, tokens),
            more = exact_valgrind_run(context, spec, 2 * tokens);
    if (less < 0 || more <= less)
        return gate_skip(result, "no CPU counter here (perf_event_open), and valgrind failed");
    gate_note(result, "by valgrind");
    result->measured = (double)(more - less) / tokens;
    return true;
}

// ---- what the library tells of itself

static bool exact_graph(const gate_context *context, gate_result *result, char *why,
                        size_t capacity) {
    chord_session_desc desc;
    chord_session *session = NULL;
    chord_error error = {CHORD_OK, ""};
    chord_op_info op;
    double barriers = 0, bytes = 0, position_bytes = 0;
    const gate_spec *spec = result->spec;
    const chord_model *model = gate_model_get(context, spec->model, why, capacity);
    if (!model) return false;
    gate_session_desc(context, spec, &desc);
    if (chord_session_open(model, &desc, &session, &error)) {
        snprintf(why, capacity, "%s", error.message);
        return false;
    }
    int32_t ops = chord_session_op_count(session);
    for (int32_t i = 0; i < ops && chord_session_get_op(session, i, &op) == CHORD_OK; i++) {
        barriers += op.barrier;
        bytes += (double)op.bytes;
        position_bytes += (double)op.bytes_per_position;
    }
    chord_session_close(session);
    result->measured = spec->measure == GATE_OPS        ? ops
                       : spec->measure == GATE_BARRIERS ? barriers
                       : spec->measure == GATE_BYTES    ? bytes
                                                        : position_bytes;
    return true;
}

static bool exact_plan(const gate_context *context, gate_result *result, char *why,
                       size_t capacity) {
    chord_session_desc desc;
    chord_plan_table plan;
    chord_error error = {CHORD_OK, ""};
    const chord_model *model = gate_model_get(context, result->spec->model, why, capacity);
    if (!model) return false;
    gate_session_desc(context, result->spec, &desc);
    if (chord_plan(model, &desc, &plan, &error)) {
        snprintf(why, capacity, "%s", error.message);
        return false;
    }
    result->measured =
        (double)(result->spec->measure == GATE_ARENA ? plan.arena_bytes : plan.table_bytes);
    return true;
}

// "@program" is this program, without the model that may be in it.
static bool exact_file(const gate_context *context, gate_result *result, char *why,
                       size_t capacity) {
    struct stat status;
    bool self = strcmp(result->spec->file, "@program") == 0;
    char *path = gate_file_path(context->file, self ? "/proc/self/exe" : result->spec->file);
    bool found = path && stat(path, &status) == 0;
    size_t model = 0;
    if (self) chord_builtin_model(&model);
    if (found)
        result->measured = (double)status.st_size - (double)model;
    else
        gate_skip(result, "%s: %s", path ? path : "", strerror(errno));
    (void)why;
    (void)capacity;
    free(path);
    return found;
}

// ---- all of them

void gate_exact_run(const gate_context *context, gate_result *result) {
    static bool (*const runs[])(const gate_context *, gate_result *, char *, size_t) = {
        [GATE_ALLOCATIONS] = exact_allocations,
        [GATE_SYSCALLS] = exact_syscalls,
        [GATE_OPS] = exact_graph,
        [GATE_BARRIERS] = exact_graph,
        [GATE_BYTES] = exact_graph,
        [GATE_POSITION_BYTES] = exact_graph,
        [GATE_ARENA] = exact_plan,
        [GATE_TABLES] = exact_plan,
        [GATE_FILE_BYTES] = exact_file,
        [GATE_INSTRUCTIONS] = exact_instructions,
    };
    char why[160] = "it could not be measured";
    result->attempts = 1;
    if (runs[result->spec->measure](context, result, why, sizeof why))
        result->verdict = result->measured > result->limit ? GATE_FAILED : GATE_PASSED;
    else if (result->verdict != GATE_SKIPPED)
        gate_error(result, "%s", why);
}
