// bench, work: measures one configuration: how long opening takes, then the tests in turn, each
// with samples of the roof before and after it.
//
// Owns: what a sample is. Invariants: the tokens are fixed, token i of the text is the same in all
// tests, so that a prefix that stands in the cache serves any of them; nothing but the work that a
// test is named for falls into its time.
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    WORK_MOST_LOADS = 5,     // openings that are timed
    WORK_TEXT_BYTES = 16384, // that are tokenized
    WORK_SAMPLES = 16        // tokens sampled for one figure
};

// Seconds of a sample of the work: shorter work is done several times.
static const double work_sample_least = 0.003;

// What a sample of the roof takes: a part of what the test before it took, within limits.
static const double work_roof_part = 0.04, work_roof_least = 0.006, work_roof_most = 0.2;

// ---- the machine

static void work_cpu_name(char *name, size_t capacity) {
    char line[256];
    snprintf(name, capacity, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(name, capacity, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file) fclose(file);
}

static void work_isa(char *text, size_t capacity) {
    static const struct {
        uint32_t bit;
        const char *name;
    } bits[] = {{CH_CPU_AVX2, "avx2"},       {CH_CPU_AVXVNNI, "avxvnni"},
                {CH_CPU_AVX512, "avx512"},   {CH_CPU_AVX512BF16, "avx512bf16"},
                {CH_CPU_AMX, "amx"},         {CH_CPU_NEON, "neon"},
                {CH_CPU_DOTPROD, "dotprod"}, {CH_CPU_I8MM, "i8mm"}};
    uint32_t cpu = ch_cpu_detect();
    size_t used = 0;
    snprintf(text, capacity, "c");
    for (size_t i = 0; i < CH_COUNT(bits); i++)
        if ((cpu & bits[i].bit) && used < capacity)
            used += (size_t)snprintf(text + used, capacity - used, "%s%s", used ? " " : "",
                                     bits[i].name);
}

void bench_machine_read(bench_machine *machine) {
    struct utsname system;
    memset(machine, 0, sizeof *machine);
    work_cpu_name(machine->cpu, sizeof machine->cpu);
    work_isa(machine->isa, sizeof machine->isa);
    if (uname(&system) == 0)
        snprintf(machine->system, sizeof machine->system, "%.40s %.60s %.40s", system.sysname,
                 system.release, system.machine);
    machine->cores = ch_os_cores();
    machine->cpus = (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
    machine->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (getloadavg(&machine->load, 1) != 1) machine->load = -1;
}

// A line of /proc/self/status in bytes, 0 if there is none.
static uint64_t work_status(const char *name) {
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0 &&
            sscanf(line + strlen(name), ": %llu", &kib) == 1)
            break;
    if (file) fclose(file);
    return kib * 1024;
}

// From here on the peak counts anew (proc(5), clear_refs).
static void work_reset_peak(void) {
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t ignored = write(file, "5", 1);
    (void)ignored;
    close(file);
}

// ---- what work needs

static void work_need(chord_session *session, bench_config *config) {
    chord_op_info op;
    for (int32_t t = 0; t < config->test_count; t++) {
        bench_test *test = &config->tests[t];
        if (test->kind != BENCH_PROMPT && test->kind != BENCH_WRITE) continue;
        for (int32_t i = 0; chord_session_get_op(session, i, &op) == CHORD_OK; i++)
            ch_need_add(&test->need, &op, test->n, test->depth, config->plan.batch,
                        test->kind == BENCH_PROMPT);
    }
}

// The instruction set of the kernel that moves most bytes.
static void work_set(chord_session *session, bench_config *config) {
    chord_op_info op;
    uint64_t most = 0;
    snprintf(config->isa, sizeof config->isa, "unknown");
    for (int32_t i = 0; chord_session_get_op(session, i, &op) == CHORD_OK; i++) {
        const char *how = strstr(op.kernel, "__");
        if (!how || op.bytes <= most) continue;
        most = op.bytes;
        snprintf(config->isa, sizeof config->isa, "%s", how + 2);
    }
}

// ---- the tests

static bench_test *work_add(bench_config *config, bench_kind kind, const char *unit, int32_t n,
                            int32_t depth, const char *format) {
    bench_test *test = &config->tests[config->test_count++];
    memset(test, 0, sizeof *test);
    test->kind = kind;
    test->unit = unit;
    test->n = n;
    test->depth = depth;
    int used = snprintf(test->name, sizeof test->name, "%s", format);
    if (kind == BENCH_PROMPT || kind == BENCH_WRITE)
        used += snprintf(test->name + used, sizeof test->name - (size_t)used, "%d", (int)n);
    return test;
}

static void work_at_depth(bench_test *test) {
    size_t used = strlen(test->name);
    snprintf(test->name + used, sizeof test->name - used, "@d%d", (int)test->depth);
}

// Fills in what was not asked for: a prompt of 512 and 64 more, or less where the model's context
// is too short for these. `lists` are the prompts and the writings, whose default items they get.
static void work_defaults(int32_t context, cli_list *lists[2], int32_t items[2]) {
    enum { PROMPT = 512, WRITE = 64 };
    int32_t given[2] = {lists[0]->count, lists[1]->count};
    int32_t write = given[1] ? lists[1]->items[0] : CH_MIN(WRITE, context / 8);
    int32_t prompt = given[0] ? lists[0]->items[0] : CH_MIN(PROMPT, CH_MAX(context - write - 1, 0));
    items[0] = prompt;
    items[1] = given[0] ? CH_MIN(write, CH_MAX(context - prompt - 1, 0)) : write;
    for (int i = 0; i < 2; i++)
        if (given[i] == 0) {
            lists[i]->items = &items[i];
            lists[i]->count = 1;
        }
}

// Where no depth is asked for, writing follows the first prompt.
static int32_t work_list_tests(const bench_options *o, bench_config *config) {
    int32_t depths = o->depths.count ? o->depths.count : 1, longest = 2;
    size_t most = (size_t)depths * (size_t)(o->prompts.count + o->writes.count) + 8;
    config->tests = calloc(most, sizeof *config->tests);
    if (!config->tests) return 0;
    work_add(config, BENCH_LOAD, "ms", 0, 0, "load");
    work_add(config, BENCH_FIRST, "ms", 0, 0, "first_token");
    if (o->cold && config->path) {
        work_add(config, BENCH_LOAD, "ms", 0, 0, "load_cold");
        work_add(config, BENCH_FIRST, "ms", 0, 0, "first_token_cold");
    }
    for (int32_t d = 0; d < depths; d++) {
        for (int32_t i = 0; i < o->prompts.count + o->writes.count; i++) {
            bool prompt = i < o->prompts.count;
            int32_t n = prompt ? o->prompts.items[i] : o->writes.items[i - o->prompts.count];
            if (n == 0) continue;
            int32_t depth = o->depths.count         ? o->depths.items[d]
                            : prompt                ? 0
                            : o->prompts.count == 0 ? 0
                                                    : o->prompts.items[0];
            bench_test *test = work_add(config, prompt ? BENCH_PROMPT : BENCH_WRITE, "t/s", n,
                                        depth, prompt ? "pp" : "tg");
            if (o->depths.count && depth > 0) work_at_depth(test);
            longest = CH_MAX(longest, depth + n + 1);
        }
    }
    work_add(config, BENCH_TOKENIZE, "t/s", 0, 0, "tokenize");
    work_add(config, BENCH_SAMPLE, "t/s", WORK_SAMPLES, 0, "sample");
    return longest;
}

// Evaluates n more tokens of the text, at once.
static chord_result work_eval(chord_session *session, const bench_config *config, int32_t n,
                              int32_t rows) {
    enum { PART = 4096 };
    chord_token tokens[PART];
    int32_t count = 0;
    chord_session_tokens(session, &count);
    for (int32_t i = 0; i < n; i++)
        tokens[i % PART] = ch_bench_token(config->vocabulary, count + i);
    if (n <= PART) return chord_session_eval(session, tokens, n, rows);
    chord_token *all = malloc((size_t)n * sizeof *all);
    for (int32_t i = 0; all && i < n; i++) all[i] = ch_bench_token(config->vocabulary, count + i);
    chord_result result = all ? chord_session_eval(session, all, n, rows) : CHORD_ERROR_MEMORY;
    free(all);
    return result;
}

// Makes the session hold the first n tokens of the text.
static chord_result work_fill(chord_session *session, const bench_config *config, int32_t n) {
    int32_t count = 0;
    chord_session_tokens(session, &count);
    if (count > n) return chord_session_rewind(session, n);
    return count < n ? work_eval(session, config, n - count, 0) : CHORD_OK;
}

chord_result bench_wake(chord_session *session, const bench_config *config,
                        const bench_test *test) {
    chord_result result = work_fill(session, config, test->depth);
    if (result == CHORD_OK) result = work_eval(session, config, 1, 1);
    return result == CHORD_OK ? chord_session_rewind(session, test->depth) : result;
}

chord_result bench_run_test(chord_session *session, const bench_config *config,
                            const bench_test *test) {
    if (test->kind == BENCH_PROMPT) return work_eval(session, config, test->n, 1);
    chord_result result = CHORD_OK;
    for (int32_t i = 0; i < test->n && result == CHORD_OK; i++) {
        if (cli_interrupted()) return CHORD_ERROR_STOPPED;
        cli_progress_show(i, test->n);
        result = work_eval(session, config, 1, 1);
    }
    return result;
}

// ---- tokenizing and sampling

static const char work_text[] =
    "The rain had stopped an hour before they reached the harbour, and the 3 boats that were left "
    "lay still on water the colour of slate. \"We could wait,\" she said; nobody answered. In the "
    "office above the fish market a lamp went on. Numbers such as 1,024 or 3.14159, names like "
    "Zo\xc3\xab and \xc3\x85ngstr\xc3\xb6m, and a little code: for (int i = 0; i < n; ++i) sum += "
    "x[i];\n";

// Seconds that the vocabulary takes for the text above, again and again; *count: its tokens.
static chord_result work_tokenize(const chord_model *model, int32_t *count, double *seconds) {
    static char text[WORK_TEXT_BYTES];
    static chord_token tokens[WORK_TEXT_BYTES + 16];
    for (size_t i = 0; i < sizeof text; i++) text[i] = work_text[i % (sizeof work_text - 1)];
    chord_tokenize_desc desc;
    size_t n = 0;
    memset(&desc, 0, sizeof desc);
    desc.text = text;
    desc.text_bytes = sizeof text;
    desc.bos = -1;
    desc.scratch_bytes = chord_tokenize_scratch(model, sizeof text);
    desc.scratch = malloc(desc.scratch_bytes + 1);
    if (!desc.scratch) return CHORD_ERROR_MEMORY;
    double begun = cli_seconds();
    chord_result result = chord_tokenize(model, &desc, tokens, CH_COUNT(tokens), &n, NULL);
    *seconds = cli_seconds() - begun;
    *count = (int32_t)n;
    free(desc.scratch);
    return result;
}

static chord_result work_sample(chord_session *session, const bench_config *config, int32_t n,
                                double *seconds) {
    static const chord_sampler sampler = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f};
    chord_token token = 0;
    chord_result result = work_fill(session, config, 0);
    if (result == CHORD_OK) result = work_eval(session, config, 1, 1);
    if (result == CHORD_OK) result = chord_session_set_sampler(session, &sampler);
    double begun = cli_seconds();
    for (int32_t i = 0; i < n && result == CHORD_OK; i++)
        result = chord_session_sample(session, &token);
    *seconds = cli_seconds() - begun;
    return result;
}

// ---- a round

// Seconds of one sample of a test, and how many tokens it was.
static chord_result work_time(const chord_model *model, chord_session *session,
                              const bench_config *config, const bench_test *test, double *seconds,
                              int32_t *count) {
    *count = test->n;
    if (test->kind == BENCH_TOKENIZE) return work_tokenize(model, count, seconds);
    if (test->kind == BENCH_SAMPLE) return work_sample(session, config, test->n, seconds);
    chord_result result = bench_wake(session, config, test);
    *count = 0;
    for (double begun = cli_seconds(); result == CHORD_OK && *seconds < work_sample_least;) {
        if (*count > 0) result = chord_session_rewind(session, test->depth);
        if (result == CHORD_OK) result = bench_run_test(session, config, test);
        *count += test->n;
        *seconds = cli_seconds() - begun;
    }
    return result;
}

// Samples of all limits, together about as long as is said.
static void work_take_roof(measure_roof *roof, double seconds) {
    static const double parts[MEASURE_LIMITS] = {0.55, 0.2, 0.15, 0.1};
    for (int i = 0; i < MEASURE_LIMITS; i++)
        measure_roof_take(roof, (measure_limit)i, seconds * parts[i]);
}

// A sample of each test but the loads; `roof` NULL: to warm up, nothing is kept.
static chord_result work_round(const chord_model *model, chord_session *session, measure_roof *roof,
                               bench_config *config) {
    for (int32_t t = 0; t < config->test_count; t++) {
        bench_test *test = &config->tests[t];
        double seconds = 0, limits[MEASURE_LIMITS];
        int32_t count = 0;
        if (test->kind == BENCH_LOAD || test->kind == BENCH_FIRST) continue;
        chord_result result = work_time(model, session, config, test, &seconds, &count);
        if (result != CHORD_OK) return result;
        if (cli_interrupted()) return CHORD_ERROR_STOPPED;
        if (!roof) continue;
        if (!measure_add(&test->samples, count / seconds)) return CHORD_ERROR_MEMORY;
        if (test->kind != BENCH_PROMPT && test->kind != BENCH_WRITE) continue;
        // The sample stands between two of the roof: their mean is its own.
        memcpy(limits, roof->last, sizeof limits);
        double part = CH_MAX(seconds * work_roof_part, work_roof_least);
        work_take_roof(roof, CH_MIN(part, work_roof_most));
        for (int i = 0; i < MEASURE_LIMITS; i++) limits[i] = (limits[i] + roof->last[i]) / 2;
        double least = ch_need_seconds(&test->need, limits, &test->limit) * count / test->n;
        if (!measure_add(&test->shares, least / seconds)) return CHORD_ERROR_MEMORY;
    }
    return CHORD_OK;
}

// ---- loading

// Takes the file out of the page cache, as far as a user may: pages that others have mapped stay.
static void work_make_cold(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
}

// Opens the model and a session, and evaluates one token; milliseconds of the first two, and of all
// three.
static int work_load(const bench_config *config, const chord_session_desc *desc, double *load,
                     double *first) {
    chord_model *model = NULL;
    chord_session *session = NULL;
    chord_error error = {CHORD_OK, ""};
    double begun = cli_seconds();
    int code = cli_open_model(config->path, &model);
    if (code == CLI_OK && chord_session_open(model, desc, &session, &error))
        code = cli_fail(&error);
    *load = (cli_seconds() - begun) * 1e3;
    if (code == CLI_OK) {
        chord_result result = work_eval(session, config, 1, 1);
        *first = (cli_seconds() - begun) * 1e3;
        if (result != CHORD_OK) code = cli_session_fail(session, result);
    }
    chord_session_close(session);
    chord_model_close(model);
    return code;
}

static int work_loads(const bench_options *options, const chord_session_desc *desc,
                      bench_config *config) {
    for (int32_t t = 0; t < config->test_count; t++) {
        bench_test *test = &config->tests[t];
        if (test->kind != BENCH_LOAD) continue;
        bool cold = strstr(test->name, "cold") != NULL;
        for (int32_t i = 0; i < CH_MIN(options->rounds, WORK_MOST_LOADS); i++) {
            double load = 0, first = 0;
            if (cold) work_make_cold(config->path);
            int code = work_load(config, desc, &load, &first);
            if (code == CLI_OK && cli_interrupted()) code = CLI_INTERRUPTED;
            if (code != CLI_OK) return code;
            if (!measure_add(&test[0].samples, load) || !measure_add(&test[1].samples, first))
                return cli_no_memory();
        }
    }
    return CLI_OK;
}

// ---- a configuration

// All rounds, after one that warms up, which shows how much memory the work takes before the roof
// takes its own.
static int work_rounds(const bench_options *options, const chord_model *model,
                       chord_session *session, bench_config *config, uint64_t before,
                       uint64_t private_before) {
    measure_roof roof;
    chord_result result = work_round(model, session, NULL, config);
    if (result != CHORD_OK) return cli_session_fail(session, result);
    uint64_t peak = work_status("VmHWM"), own = work_status("RssAnon");
    config->peak_bytes = peak > before ? peak - before : 0;
    config->private_bytes = own > private_before ? own - private_before : 0;
    if (!measure_roof_open(&roof, config->plan.lanes, config->plan.weight_bytes,
                           cli_cpu_name(options->settings.cpu))) {
        fputs("chord: no memory to measure the roof with\n", stderr);
        return CLI_FAILED;
    }
    if (config->device[0]) {
        chord_error error = {CHORD_OK, ""};
        if (chord_measure_device(options->settings.gpu - 1, &config->limit, &error)) {
            measure_roof_close(&roof);
            return cli_fail(&error);
        }
        roof.device = &config->limit;
    }
    measure_watch_begin(&config->watch);
    work_take_roof(&roof, 2 * work_roof_least);
    for (int32_t r = 0; r < options->rounds && result == CHORD_OK; r++) {
        cli_progress_show(r, options->rounds);
        result = work_round(model, session, &roof, config);
    }
    measure_watch_end(&config->watch);
    measure_disturbed(&config->watch, &roof, config->disturbance, sizeof config->disturbance);
    config->working_set = roof.working_set;
    config->roof_seconds = roof.seconds;
    memcpy(config->roof, roof.samples, sizeof config->roof);
    memset(roof.samples, 0, sizeof roof.samples);
    bool sound = ch_roof_sound(&roof.roof);
    measure_roof_close(&roof);
    if (result == CHORD_ERROR_MEMORY) return cli_no_memory();
    if (result == CHORD_ERROR_STOPPED && cli_interrupted()) return CLI_INTERRUPTED;
    if (result != CHORD_OK) return cli_session_fail(session, result);
    if (!sound) fputs("chord: a kernel of the roof computed wrong: do not trust it\n", stderr);
    return sound ? CLI_OK : CLI_FAILED;
}

static int work_describe(chord_model *model, const bench_options *options, bench_config *config,
                         chord_session_desc *desc) {
    chord_model_info info;
    chord_model_get_info(model, &info);
    config->vocabulary = info.vocabulary > 0 ? info.vocabulary : 1;
    config->parameters = info.parameters;
    config->file_bytes = info.file_bytes;
    snprintf(config->type, sizeof config->type, "%s", info.file_type);
    snprintf(config->architecture, sizeof config->architecture, "%s", info.architecture);
    bench_options o = *options; // whose lists are full
    cli_list *lists[2] = {&o.prompts, &o.writes};
    int32_t items[2], context = desc->context ? desc->context : info.context_length;
    work_defaults(context > 0 ? context : INT32_MAX, lists, items);
    int32_t longest = work_list_tests(&o, config);
    if (longest == 0) return cli_no_memory();
    if (desc->context == 0) desc->context = longest;
    return CLI_OK;
}

// What a GPU is; nothing for a session on the CPU.
static int work_device(chord_session *session, bench_config *config) {
    static chord_device_info info; // large
    const chord_token token = 0;
    chord_session_get_device(session, &info);
    if (info.device == CHORD_DEVICE_CPU) return CLI_OK;
    chord_result result = chord_session_eval(session, &token, 1, 1);
    if (result == CHORD_OK) chord_session_get_device(session, &info);
    if (result == CHORD_OK) result = chord_session_rewind(session, 0);
    if (result != CHORD_OK) return cli_session_fail(session, result);
    snprintf(config->device, sizeof config->device, "%s", info.name);
    config->dispatches = info.dispatches;
    return CLI_OK;
}

int bench_measure(const bench_options *options, const char *path, int32_t lanes, int32_t batch,
                  bench_config *config) {
    chord_model *model = NULL;
    chord_session *session = NULL;
    chord_session_desc desc;
    memset(config, 0, sizeof *config);
    config->path = path;
    cli_session_desc(&options->settings, &desc);
    desc.lanes = lanes;
    desc.batch = batch;
    int code = cli_open_model(path, &model);
    if (code == CLI_OK) code = work_describe(model, options, config, &desc);
    chord_model_close(model);
    model = NULL;
    if (code == CLI_OK) code = work_loads(options, &desc, config);
    work_reset_peak();
    uint64_t before = work_status("VmRSS"), private_before = work_status("RssAnon");
    if (code == CLI_OK) code = cli_open_model(path, &model);
    if (code == CLI_OK) code = cli_open_session(model, &desc, &session);
    if (code == CLI_OK) {
        config->plan = *chord_session_plan(session);
        work_set(session, config);
        work_need(session, config);
        cli_progress_begin("bench");
        code = work_device(session, config);
    }
    if (code == CLI_OK) {
        code = work_rounds(options, model, session, config, before, private_before);
        cli_progress_end();
    }
    cli_close_session(session);
    if (code == CLI_OK && options->ops)
        code = bench_measure_ops(model, &desc, options->rounds, config);
    chord_model_close(model);
    return code;
}

void bench_config_free(bench_config *config) {
    for (int32_t i = 0; i < config->test_count; i++) {
        measure_free(&config->tests[i].samples);
        measure_free(&config->tests[i].shares);
    }
    for (int i = 0; i < MEASURE_LIMITS; i++) measure_free(&config->roof[i]);
    for (int32_t i = 0; i < config->profile_count; i++) free(config->profiles[i].ops);
    free(config->profiles);
    free(config->tests);
    memset(config, 0, sizeof *config);
}
