// common: what the subcommands share besides options: models, texts, errors, signals, progress.
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// ---- errors

int cli_fail(const chord_error *error) {
    fprintf(stderr, "chord: %s\n", error->message);
    return error->code == CHORD_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED;
}

int cli_session_fail(const chord_session *session, chord_result code) {
    if (code == CHORD_ERROR_STOPPED && cli_interrupted()) return CLI_INTERRUPTED;
    const char *text = chord_session_error(session);
    fprintf(stderr, "chord: %s\n", *text ? text : chord_result_text(code));
    return code == CHORD_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED;
}

int cli_no_memory(void) {
    fputs("chord: the program itself got no memory\n", stderr);
    return CLI_FAILED;
}

int cli_finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    if (errno == EPIPE) return CLI_PIPE;
    if (code == CLI_OK || code == CLI_INTERRUPTED)
        fprintf(stderr, "chord: cannot write to standard output: %s\n", strerror(errno));
    return CLI_FAILED;
}

// ---- settings

// In the order of CLI_KV_TYPES.
static const chord_kv common_kv_type[] = {CHORD_KV_Q16, CHORD_KV_F16, CHORD_KV_F32, CHORD_KV_Q8_0};

// Word number `choice` of "one|two|three".
static const char *common_word(const char *at, int32_t choice, char *word, size_t size) {
    for (; choice > 0; choice--) at = strchr(at, '|') + 1;
    snprintf(word, size, "%.*s", (int)strcspn(at, "|"), at);
    return word;
}

const char *cli_cpu_name(int32_t choice) {
    static char name[16];
    return choice < 0 ? NULL : common_word(CLI_CPU_LEVELS, choice, name, sizeof name);
}

const char *cli_kv_name(chord_kv kv) {
    static char name[16];
    int32_t choice = 0;
    while (common_kv_type[choice] != kv) choice++;
    return common_word(CLI_KV_TYPES, choice, name, sizeof name);
}

static int common_on_progress(void *user, int32_t done, int32_t total) {
    (void)user;
    cli_progress_show(done, total);
    return cli_interrupted();
}

// The folder where compiled shaders are kept, made if it is not there: $XDG_CACHE_HOME/chord or
// ~/.cache/chord; NULL: it cannot be.
static const char *common_cache(void) {
    static char path[900];
    const char *home = getenv("XDG_CACHE_HOME"), *below = "";
    if (!home || home[0] != '/') {
        home = getenv("HOME");
        below = "/.cache";
    }
    if (!home || home[0] != '/' || strlen(home) > sizeof path - 32) return NULL;
    snprintf(path, sizeof path, "%s%s", home, below);
    mkdir(path, 0700);
    strcat(path, "/chord");
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return path;
    return NULL;
}

void cli_session_desc(const cli_settings *settings, chord_session_desc *desc) {
    memset(desc, 0, sizeof *desc);
    desc->context = settings->context;
    desc->batch = settings->batch;
    desc->lanes = settings->lanes;
    desc->kv = settings->kv < 0 ? CHORD_KV_DEFAULT : common_kv_type[settings->kv];
    desc->memory_budget = settings->memory;
    desc->cpu = cli_cpu_name(settings->cpu);
    desc->device = settings->device == 1   ? CHORD_DEVICE_GPU
                   : settings->device == 2 ? CHORD_DEVICE_GPU_ONLY
                                           : CHORD_DEVICE_CPU;
    desc->gpu = settings->gpu;
    desc->gpu_minimums = settings->gpu_minimums;
    if (desc->device != CHORD_DEVICE_CPU) desc->cache = common_cache();
    desc->on_progress = common_on_progress;
}

static chord_device common_device; // where the session that is open was last seen

// Tells why a session is on the CPU, if it is.
static void common_tell_device(const chord_session *session, const char *what) {
    static chord_device_info info; // large
    chord_session_get_device(session, &info);
    if (info.device == CHORD_DEVICE_CPU) fprintf(stderr, "chord: %s: %s\n", what, info.reason);
    common_device = info.device;
}

int cli_open_session(const chord_model *model, const chord_session_desc *desc,
                     chord_session **session) {
    chord_error error = {CHORD_OK, ""};
    cli_progress_begin("MiB to the GPU");
    chord_result result = chord_session_open(model, desc, session, &error);
    cli_progress_end();
    if (result == CHORD_ERROR_STOPPED && cli_interrupted()) return CLI_INTERRUPTED;
    if (result) return cli_fail(&error);
    common_device = CHORD_DEVICE_CPU;
    if (desc->device != CHORD_DEVICE_CPU) common_tell_device(*session, "computing on the CPU");
    return CLI_OK;
}

void cli_close_session(chord_session *session) {
    if (session && common_device == CHORD_DEVICE_GPU)
        common_tell_device(session, "it went on on the CPU");
    chord_session_close(session);
}

// ---- how text is written

enum { COMMON_DRAFT = 7 }; // tokens guessed ahead: as many as a session takes

// A seed that differs from run to run.
static uint64_t common_random_seed(void) {
    uint64_t seed = 0;
    FILE *file = fopen("/dev/urandom", "rb");
    bool good = file && fread(&seed, sizeof seed, 1, file) == 1;
    if (file) fclose(file);
    if (!good) seed = (uint64_t)time(NULL) ^ (uint64_t)(cli_seconds() * 1e9);
    return seed >> 32; // short enough to be typed again
}

void cli_writing_default(cli_writing *writing) {
    uint64_t seed = common_random_seed();
    *writing = (cli_writing){.temperature = 0.8f,
                             .top_k = 40,
                             .top_p = 0.95f,
                             .min_p = 0.05f,
                             .repeat_penalty = 1.0f,
                             .repeat_window = 64,
                             .seed = seed,
                             .random_seed = seed};
}

void cli_writing_desc(const cli_writing *writing, chord_session_desc *desc) {
    desc->sampler.temperature = writing->temperature;
    desc->sampler.top_k = writing->top_k;
    desc->sampler.top_p = writing->top_p;
    desc->sampler.min_p = writing->min_p;
    desc->sampler.repeat_penalty = writing->repeat_window ? writing->repeat_penalty : 1;
    desc->sampler.repeat_window = writing->repeat_window;
    desc->sampler.seed = writing->seed;
    desc->draft = writing->draft == 1 ? COMMON_DRAFT : 0;
}

void cli_tell_seed(const cli_writing *writing) {
    if (writing->seed == writing->random_seed && writing->temperature > 0)
        fprintf(stderr, "seed %llu\n", (unsigned long long)writing->seed);
}

// ---- models

int cli_open_model(const char *path, chord_model **model) {
    *model = NULL;
    chord_error error = {CHORD_OK, ""};
    chord_model_desc desc = {.path = path};
    if (!path) desc.data = chord_builtin_model(&desc.data_bytes);
    if (!path && !desc.data) {
        fputs("chord: no model: give one with -m FILE (this build has none built in)\n", stderr);
        return CLI_USAGE;
    }
    return chord_model_open(&desc, model, &error) ? cli_fail(&error) : CLI_OK;
}

const char *cli_model_name(const char *path, const chord_model *model, char *out, size_t capacity) {
    if (path) return path;
    chord_model_info info;
    chord_model_get_info(model, &info);
    snprintf(out, capacity, "%s (built in)", info.name);
    return out;
}

// ---- texts

// Reads to the end of a stream; false with errno on failure.
static bool common_read(FILE *file, cli_text *out) {
    size_t capacity = 1 << 16, count = 0;
    char *bytes = malloc(capacity);
    while (bytes) {
        count += fread(bytes + count, 1, capacity - count - 1, file);
        if (count < capacity - 1) break;
        char *more = realloc(bytes, capacity *= 2);
        if (!more) free(bytes);
        bytes = more;
    }
    if (!bytes) {
        errno = ENOMEM;
        return false;
    }
    if (ferror(file)) {
        int code = errno;
        free(bytes);
        errno = code;
        return false;
    }
    bytes[count] = 0;
    out->bytes = bytes;
    out->count = count;
    return true;
}

int cli_get_text(const cli_command *command, const char *text, const char *file, cli_text *out) {
    if (text && file) return cli_usage(command, "-p and -f both give a text: use one of them");
    if (text) {
        out->count = strlen(text);
        out->bytes = malloc(out->count + 1);
        if (!out->bytes) return cli_no_memory();
        memcpy(out->bytes, text, out->count + 1);
        return CLI_OK;
    }
    bool from_stdin = !file || strcmp(file, "-") == 0;
    if (!file && isatty(STDIN_FILENO))
        return cli_usage(command, "no text: give one with -p TEXT, -f FILE or on standard input");
    FILE *stream = from_stdin ? stdin : fopen(file, "rb");
    bool good = stream && common_read(stream, out);
    if (!good)
        fprintf(stderr, "chord: cannot read %s: %s\n", from_stdin ? "standard input" : file,
                strerror(errno));
    if (stream && !from_stdin) fclose(stream);
    return good ? CLI_OK : CLI_FAILED;
}

int cli_get_tokens(const chord_model *model, const cli_text *text, int bos, bool special,
                   cli_list *tokens) {
    size_t capacity = text->count + 16, count = 0;
    chord_tokenize_desc desc = {
        .text = text->bytes, .text_bytes = text->count, .bos = bos, .special = special};
    chord_error error = {CHORD_OK, ""};
    desc.scratch_bytes = chord_tokenize_scratch(model, text->count);
    desc.scratch = malloc(desc.scratch_bytes + 1);
    tokens->items = NULL;
    chord_result result = CHORD_ERROR_SPACE;
    while (desc.scratch && result == CHORD_ERROR_SPACE) {
        free(tokens->items);
        tokens->items = malloc(capacity * sizeof *tokens->items);
        if (!tokens->items) break;
        result = chord_tokenize(model, &desc, tokens->items, capacity, &count, &error);
        capacity = count;
    }
    free(desc.scratch);
    if (result == CHORD_OK && count <= INT32_MAX) {
        tokens->count = (int32_t)count;
        return CLI_OK;
    }
    bool memory = !tokens->items || result == CHORD_OK || result == CHORD_ERROR_SPACE;
    free(tokens->items);
    tokens->items = NULL;
    tokens->count = 0;
    return memory ? cli_no_memory() : cli_fail(&error);
}

// ---- output

int cli_stream_write(void *user, const char *text, size_t bytes) {
    cli_stream *stream = (cli_stream *)user;
    if (stream->skip_blanks && !stream->any) {
        size_t blanks = 0;
        while (blanks < bytes && (text[blanks] == ' ' || text[blanks] == '\n')) blanks++;
        text += blanks;
        bytes -= blanks;
    }
    if (bytes > 0) {
        if (fwrite(text, 1, bytes, stdout) != bytes || fflush(stdout) != 0) stream->error = errno;
        stream->last = text[bytes - 1];
        stream->any = true;
    }
    return stream->error || cli_interrupted();
}

int cli_stream_end(const cli_stream *stream) {
    if (!stream->error) return CLI_OK;
    if (stream->error == EPIPE) return CLI_PIPE;
    fprintf(stderr, "chord: cannot write to standard output: %s\n", strerror(stream->error));
    return CLI_FAILED;
}

int cli_output_fail(const cli_output *output) {
    fprintf(stderr, "chord: cannot write to %s: %s\n",
            output->file == stdout ? "standard output" : output->path, strerror(errno));
    return CLI_FAILED;
}

int cli_output_open(cli_output *output, const char *path) {
    *output = (cli_output){stdout, path, NULL};
    if (strcmp(path, "-") == 0) return CLI_OK;
    struct stat there;
    const char *name = path;
    // A device or a pipe is written to as it is: it must not be replaced by a file.
    if (stat(path, &there) != 0 || S_ISREG(there.st_mode)) {
        size_t room = strlen(path) + 8;
        output->temporary = malloc(room);
        if (!output->temporary) return cli_no_memory();
        snprintf(output->temporary, room, "%s.part", path);
        name = output->temporary;
    }
    output->file = fopen(name, "wb");
    if (output->file) {
        cli_set_temporary(output->temporary);
        return CLI_OK;
    }
    int code = cli_output_fail(output);
    free(output->temporary);
    return code;
}

int cli_output_close(cli_output *output, int code) {
    if (output->file == stdout) return cli_finish(code);
    if (fclose(output->file) != 0 && code == CLI_OK) code = cli_output_fail(output);
    if (output->temporary) {
        if (code == CLI_OK && rename(output->temporary, output->path) != 0)
            code = cli_output_fail(output);
        if (code != CLI_OK) remove(output->temporary);
        cli_set_temporary(NULL);
        free(output->temporary);
    }
    return code;
}

const char *cli_size(uint64_t bytes, char *out, size_t capacity) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    int unit = 0;
    while (size >= 1024 && unit < 4) {
        size /= 1024;
        unit++;
    }
    snprintf(out, capacity, unit ? "%.2f %s" : "%.0f %s", size, units[unit]);
    return out;
}

void cli_print_text(const char *text) {
    for (const char *p = text; *p; p++)
        putchar((unsigned char)*p < 32 || (unsigned char)*p == 127 ? '?' : *p);
}

// Unicode 15, table 3-7.
size_t cli_utf8(const unsigned char *p, size_t left) {
    if (p[0] < 0x80) return 1;
    size_t n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 0;
    if (p[0] >= 0xf0 && p[0] < 0xf5) n = 4;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (p[0] == 0xed && p[1] > 0x9f) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return n;
}

void cli_write_json(FILE *file, const char *text, size_t bytes) {
    fputc('"', file);
    for (size_t i = 0; i < bytes;) {
        const unsigned char *p = (const unsigned char *)text + i;
        size_t n = cli_utf8(p, bytes - i);
        if (n == 0)
            fputs("\\ufffd", file);
        else if (*p == '"' || *p == '\\')
            fprintf(file, "\\%c", *p);
        else if (*p == '\n')
            fputs("\\n", file);
        else if (*p < 32 || *p == 127)
            fprintf(file, "\\u%04x", *p);
        else
            fwrite(p, 1, n, file);
        i += n ? n : 1;
    }
    fputc('"', file);
}

void cli_print_json(const char *text, size_t bytes) {
    cli_write_json(stdout, text, bytes);
}

// ---- signals

static volatile sig_atomic_t common_stop;
static struct sigaction common_before[2]; // what SIGINT and SIGTERM did
static const char *volatile common_temporary;

static void common_on_interrupt(int number) {
    common_stop = number;
}

void cli_catch_interrupts(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    common_stop = 0;
    action.sa_handler = common_on_interrupt;
    // The second one kills, should the first not be heard; a write goes on.
    action.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &common_before[0]);
    sigaction(SIGTERM, &action, &common_before[1]);
}

void cli_release_interrupts(void) {
    sigaction(SIGINT, &common_before[0], NULL);
    sigaction(SIGTERM, &common_before[1], NULL);
}

bool cli_interrupted(void) {
    return common_stop != 0;
}

bool cli_terminated(void) {
    return common_stop == SIGTERM;
}

static void common_on_cut_file(int number) {
    static const char text[] = "chord: the model file was cut short while in use\n";
    (void)number;
    if (common_temporary) unlink(common_temporary);
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(CLI_FAILED);
}

void cli_catch_cut_file(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = common_on_cut_file;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

void cli_set_temporary(const char *path) {
    common_temporary = path;
}

// ---- progress

static struct {
    const char *what;
    double begun, shown;
    bool drawn;
} common_progress;

void cli_progress_begin(const char *what) {
    common_progress.what = isatty(STDERR_FILENO) ? what : NULL;
    common_progress.begun = cli_seconds();
    common_progress.shown = common_progress.begun;
    common_progress.drawn = false;
}

void cli_progress_show(int64_t done, int64_t total) {
    if (!common_progress.what || total <= 0) return;
    double now = cli_seconds();
    if (now - common_progress.begun < 1 || now - common_progress.shown < 0.1) return;
    enum { WIDTH = 30 };
    char bar[WIDTH + 1];
    int64_t filled = done * WIDTH / total;
    for (int i = 0; i < WIDTH; i++) bar[i] = i < filled ? '#' : '.';
    bar[WIDTH] = 0;
    fprintf(stderr, "\r%s [%s] %lld of %lld ", common_progress.what, bar, (long long)done,
            (long long)total);
    fflush(stderr);
    common_progress.shown = now;
    common_progress.drawn = true;
}

void cli_progress_end(void) {
    if (common_progress.drawn) fputs("\r\033[K", stderr);
    common_progress.what = NULL;
    common_progress.drawn = false;
}
