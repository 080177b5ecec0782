// gate_ab: this program against another one, in turn, on the same work.
//
// Owns: the children, one of each program, that do the work, and the tier's test. Refuses: timing
// the start of a process: a child prepares a work, then runs it as often as it is told, and tells
// the seconds that it took.
//
// A cast is two new children and one work. Samples of a few milliseconds are taken in the order
// ABBA, so that what drifts drifts for both; each pair gives a ratio of this program's time to the
// other's. Where memory lies differs from process to process, and is worth a few percent to some
// works: so a sitting is several casts, and its median goes over all of their pairs. A gate is red
// when the medians of all its sittings are beyond the limit, one after the other, and the interval
// of all pairs lies above 1: it comes from the order of the pairs and has 99 % confidence.
//
// What a child answers, a line each (the version is checked first):
//   open I CPU       prepares gate I, on one CPU (-1: on all)          ok
//   times SECONDS    how many runs take about so long                  N
//   run N            runs it                                           SECONDS
//   profile I CPU N  runs gate I n times with its ops timed            NAME SECONDS NAME SECONDS
//   ... decode I TOKENS  decodes as the instruction count wants it, once   ok
#define _GNU_SOURCE
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AB_GREETING   "chord gate 1"
#define AB_SAMPLE     0.004
#define AB_CONFIDENCE 0.99
#define AB_LIMIT      1.02

enum { AB_QUADS = 26, AB_CASTS = 3, AB_SITTINGS = 3, AB_LINE = 2048 };

// ---- one CPU

#if defined(__linux__)
// The CPUs that this process may use: their count, and the one at place `i % count`.
static int ab_cpu(int32_t i) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) == 0) return -1;
    int32_t left = i % CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && left-- == 0) return cpu;
    return -1;
}

static void ab_pin(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    if (cpu < 0) return;
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}
#else
static int ab_cpu(int32_t i) {
    (void)i;
    return -1;
}

static void ab_pin(int cpu) {
    (void)cpu;
}
#endif

// Where the work of a gate runs: on one CPU, not always the same, unless it has several lanes.
static int ab_cpu_of(const gate_spec *spec, int32_t number) {
    return spec->numbers[GATE_N_LANES] > 1 ? -1 : ab_cpu(number);
}

// ---- the child

static void serve_mark(void *user, bool begin) {
    (void)user;
    (void)begin;
}

static bool serve_decode(const gate_context *context, int32_t gate, int32_t tokens, char *why,
                         size_t capacity) {
    gate_spec spec = context->file->gates[gate];
    spec.numbers[GATE_N_TOKENS] = tokens;
    // The context's size must not depend on the tokens.
    spec.numbers[GATE_N_CONTEXT] = CH_MAX(spec.numbers[GATE_N_CONTEXT], 512);
    return gate_exact_decode(context, &spec, serve_mark, NULL, why, capacity);
}

static void serve_profile(const gate_context *context, int32_t gate, int cpu, int32_t times) {
    gate_ops ops = {.count = 0};
    char why[160];
    const gate_spec *spec = &context->file->gates[gate];
    ab_pin(cpu);
    if (gate_has_ops(spec)) gate_profile(context, spec, times, &ops, why, sizeof why);
    for (int32_t i = 0; i < ops.count; i++)
        printf("%s %.9f ", ops.items[i].name, ops.items[i].seconds);
    puts("");
}

int gate_serve(const gate_context *context) {
    gate_work work;
    char line[AB_LINE], why[160] = "";
    bool open = false;
    puts(AB_GREETING);
    while (fflush(stdout) == 0 && fgets(line, sizeof line, stdin)) {
        int gate = 0, number = 0, times = 0;
        double seconds = 0;
        if (sscanf(line, "open %d %d", &gate, &number) == 2 && gate >= 0 &&
            gate < context->file->gate_count) {
            if (open) gate_work_close(&work);
            ab_pin(number);
            open = gate_work_open(context, &context->file->gates[gate], &work, why, sizeof why);
            printf("%s\n", open ? "ok" : why);
        } else if (open && sscanf(line, "times %lf", &seconds) == 1) {
            printf("%d\n", gate_work_times(&work, seconds));
        } else if (open && sscanf(line, "run %d", &number) == 1) {
            seconds = gate_work_time(&work, number);
            printf("%.9f\n", work.failed ? -1.0 : seconds);
        } else if (sscanf(line, "profile %d %d %d", &gate, &number, &times) == 3 && gate >= 0 &&
                   gate < context->file->gate_count) {
            serve_profile(context, gate, number, times);
        } else if (sscanf(line, "decode %d %d", &gate, &number) == 2 && gate >= 0 &&
                   gate < context->file->gate_count && context->file->gates[gate].model) {
            bool good = serve_decode(context, gate, number, why, sizeof why);
            printf("%s\n", good ? "ok" : why);
            if (!good) return CLI_FAILED;
        } else {
            puts("what?");
        }
    }
    if (open) gate_work_close(&work);
    return CLI_OK;
}

// ---- the parent

typedef struct ab_child {
    pid_t process; // 0: none
    FILE *to, *from;
} ab_child;

static void ab_close(ab_child *child) {
    if (child->to) fclose(child->to);
    if (child->from) fclose(child->from);
    if (child->process > 0) waitpid(child->process, NULL, 0);
    memset(child, 0, sizeof *child);
}

static bool ab_open(const gate_context *context, const char *program, ab_child *child) {
    int to[2], from[2];
    const char *arguments[8] = {program, "gate", context->file->path, "--serve"};
    memset(child, 0, sizeof *child);
    if (context->cpu) {
        arguments[4] = "--cpu";
        arguments[5] = context->cpu;
    }
    if (pipe2(to, O_CLOEXEC) != 0) return false;
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return false;
    }
    fflush(NULL);
    child->process = fork();
    if (child->process == 0) {
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        if (quiet >= 0) dup2(quiet, STDERR_FILENO);
        execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    child->to = fdopen(to[1], "w");
    child->from = fdopen(from[0], "r");
    if (child->process > 0 && child->to && child->from) return true;
    ab_close(child);
    return false;
}

// Reads a line; false when there is none.
static bool ab_answer(ab_child *child, char answer[AB_LINE]) {
    if (!fgets(answer, AB_LINE, child->from)) return false;
    answer[strcspn(answer, "\n")] = 0;
    return true;
}

__attribute__((format(printf, 3, 4))) static bool ab_ask(ab_child *child, char answer[AB_LINE],
                                                         const char *format, ...) {
    va_list args;
    va_start(args, format);
    bool good = vfprintf(child->to, format, args) > 0 && fflush(child->to) == 0;
    va_end(args);
    return good && ab_answer(child, answer);
}

static bool ab_start(const gate_context *context, const char *program, ab_child *child) {
    char answer[AB_LINE];
    if (!ab_open(context, program, child)) return false;
    if (ab_answer(child, answer) && strcmp(answer, AB_GREETING) == 0) return true;
    ab_close(child);
    return false;
}

int gate_ab_check(const gate_context *context, const char *other) {
    ab_child child;
    signal(SIGPIPE, SIG_IGN); // a child that is gone is an answer that does not come
    if (access(other, X_OK) != 0) {
        fprintf(stderr, "chord: cannot run the other program %s: %s\n", other, strerror(errno));
        return CLI_FAILED;
    }
    if (!ab_start(context, other, &child)) {
        fprintf(stderr,
                "chord: %s does not take part in gates: wanted a chord program that knows all of "
                "the gates in %s\n",
                other, context->file->path);
        return CLI_FAILED;
    }
    ab_close(&child);
    return CLI_OK;
}

// Seconds of a sample, or -1.
static double ab_sample(ab_child *child, int32_t times) {
    char answer[AB_LINE];
    if (!ab_ask(child, answer, "run %d\n", times)) return -1;
    return strtod(answer, NULL);
}

// Prepares the work in a child.
static bool ab_prepare(ab_child *child, int32_t gate, int cpu, char *why, size_t capacity) {
    char answer[AB_LINE] = "it ended";
    if (ab_ask(child, answer, "open %d %d\n", gate, cpu) && strcmp(answer, "ok") == 0) return true;
    snprintf(why, capacity, "a program failed to prepare the work: %.100s", answer);
    return false;
}

// Ratios of this program's time to the other's, two from each ABBA.
static bool ab_quads(ab_child pair[2], measure_samples *ratios, char *why, size_t capacity) {
    char answer[AB_LINE];
    int32_t times = 0;
    if (ab_ask(&pair[1], answer, "times %g\n", AB_SAMPLE)) times = (int32_t)atoi(answer);
    bool good = times > 0 && ab_sample(&pair[0], times) > 0; // which warms it up too
    for (int32_t i = 0; i < AB_QUADS && good; i++) {
        static const int order[2][4] = {{0, 1, 1, 0}, {1, 0, 0, 1}};
        double t[2][2];
        int32_t taken[2] = {0, 0};
        for (int j = 0; j < 4 && good; j++) {
            int who = order[i % 2][j];
            t[who][taken[who]] = ab_sample(&pair[who], times);
            good = t[who][taken[who]++] > 0;
        }
        good = good && measure_add(ratios, t[0][0] / t[1][0]) &&
               measure_add(ratios, t[0][1] / t[1][1]);
    }
    if (!good) snprintf(why, capacity, "a program ended while it was measured");
    return good;
}

// Two new children and one work. False: *why tells.
static bool ab_cast(const gate_context *context, const char *other, const gate_spec *spec,
                    int32_t number, measure_samples *ratios, char *why, size_t capacity) {
    ab_child pair[2] = {{0}, {0}};
    const char *programs[2] = {"/proc/self/exe", other};
    int32_t gate = (int32_t)(spec - context->file->gates);
    int cpu = ab_cpu_of(spec, number);
    bool good = true;
    for (int i = 0; i < 2 && good; i++) {
        int who = (i + number) % 2; // who comes first gets its memory first
        good = ab_start(context, programs[who], &pair[who]);
        if (!good) snprintf(why, capacity, "cannot start %s", programs[who]);
        good = good && ab_prepare(&pair[who], gate, cpu, why, capacity);
    }
    good = good && ab_quads(pair, ratios, why, capacity);
    ab_close(&pair[0]);
    ab_close(&pair[1]);
    return good;
}

// The casts of one sitting; *sum is of their pairs alone.
static bool ab_sitting(const gate_context *context, const char *other, const gate_result *result,
                       measure_samples *ratios, measure_summary *sum, char *why, size_t capacity) {
    int32_t before = ratios->count;
    for (int32_t i = 0; i < AB_CASTS; i++)
        if (!ab_cast(context, other, result->spec, result->attempts * AB_CASTS + i, ratios, why,
                     capacity))
            return false;
    return measure_summarize(ratios->items + before, ratios->count - before, AB_CONFIDENCE, sum);
}

// Where this program's ops take longer than the other's: adds it to the note. Both are run with
// their ops timed, in turn, in new processes; of each op the least time counts.
static void ab_name_op(const gate_context *context, const char *other, gate_result *result) {
    enum { RUNS = 8, TIMES = 16 };
    const char *programs[2] = {"/proc/self/exe", other};
    gate_ops best[2] = {{.count = 0}, {.count = 0}};
    char answer[AB_LINE], name[32];
    int32_t gate = (int32_t)(result->spec - context->file->gates), worst = -1;
    int cpu = ab_cpu_of(result->spec, 0);
    if (!gate_has_ops(result->spec)) return;
    for (int32_t i = 0; i < 2 * RUNS; i++) {
        ab_child child;
        gate_ops *ops = &best[i % 2];
        if (!ab_start(context, programs[i % 2], &child)) return;
        bool good = ab_ask(&child, answer, "profile %d %d %d\n", gate, cpu, TIMES);
        ab_close(&child);
        double seconds = 0;
        int used = 0;
        for (const char *at = answer; good && sscanf(at, "%31s %lf%n", name, &seconds, &used) == 2;
             at += used) {
            gate_ops_add(ops, name, 0, 0);
            for (int32_t j = 0; j < ops->count; j++)
                if (strcmp(ops->items[j].name, name) == 0 &&
                    (i < 2 || seconds < ops->items[j].seconds))
                    ops->items[j].seconds = seconds;
        }
    }
    double excess = 0, most = 0, total = 0;
    for (int32_t i = 0; i < best[0].count && i < best[1].count; i++) {
        double more = best[0].items[i].seconds - best[1].items[i].seconds;
        excess += more;
        total += best[1].items[i].seconds;
        if (more <= most) continue;
        most = more;
        worst = i;
    }
    size_t n = strlen(result->note);
    char *end = result->note + n;
    if (worst < 0 || excess < total * (result->measured - 1) / 3)
        snprintf(end, sizeof result->note - n, "; not within an op, but around them");
    else
        snprintf(end, sizeof result->note - n, "; most of it in %s: %+.0f %%",
                 best[0].items[worst].name, 100 * most / best[1].items[worst].seconds);
}

void gate_ab_run(const gate_context *context, const char *other, gate_result *result) {
    char why[160] = "no memory";
    measure_samples ratios = {NULL, 0, 0};
    measure_summary sum;
    bool good = true, beyond = true, clear = true; // clear: the intervals are beyond the limit too
    result->limit = result->limit > 0 ? result->limit : AB_LIMIT;
    while (good && beyond && result->attempts < (clear ? AB_SITTINGS - 1 : AB_SITTINGS)) {
        good = ab_sitting(context, other, result, &ratios, &sum, why, sizeof why);
        beyond = good && sum.median > result->limit;
        clear = clear && good && sum.low > result->limit;
        result->attempts++;
    }
    if (beyond) good = measure_summarize(ratios.items, ratios.count, AB_CONFIDENCE, &sum);
    measure_free(&ratios);
    if (!good) {
        gate_error(result, "%s", why);
        return;
    }
    result->measured = sum.median;
    result->low = sum.low;
    result->high = sum.high;
    result->interval = true;
    result->verdict =
        beyond && sum.median > result->limit && sum.low > 1 ? GATE_FAILED : GATE_PASSED;
    if (result->verdict == GATE_FAILED)
        gate_note(result, "slower by %.1f %%, in %d of %d sittings", 100 * (sum.median - 1),
                  result->attempts, result->attempts);
    if (result->verdict == GATE_FAILED) ab_name_op(context, other, result);
}
