// bench, json: the report as one line of JSON, and the history that such lines are appended to.
//
// Owns: the schema that docs/BENCH.md describes. Invariant: a line of history is written whole or
// not at all.
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE // flock
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- JSON

// ,"name":value; the comma only if `more`. What is not a number is null.
static void line_number(FILE *file, bool more, const char *name, double value) {
    fprintf(file, "%s\"%s\":", more ? "," : "", name);
    if (isfinite(value))
        fprintf(file, "%.9g", value);
    else
        fputs("null", file);
}

static void line_text(FILE *file, bool more, const char *name, const char *text) {
    fprintf(file, "%s\"%s\":", more ? "," : "", name);
    cli_write_json(file, text, strlen(text));
}

static void line_count(FILE *file, const char *name, uint64_t count) {
    fprintf(file, ",\"%s\":%llu", name, (unsigned long long)count);
}

static void line_samples(FILE *file, const char *name, const measure_samples *samples) {
    fprintf(file, ",\"%s\":[", name);
    for (int32_t i = 0; i < samples->count; i++)
        fprintf(file, "%s%.9g", i ? "," : "", samples->items[i]);
    fputc(']', file);
}

static void line_summary(FILE *file, const measure_summary *s) {
    line_number(file, true, "median", s->median);
    line_number(file, true, "p10", s->p10);
    line_number(file, true, "p90", s->p90);
    line_number(file, true, "low", s->low);
    line_number(file, true, "high", s->high);
    line_number(file, true, "confidence", s->confidence);
}

static void line_test(FILE *file, const bench_config *config, int32_t number,
                      const bench_test *test) {
    static const char *const kinds[] = {"prompt", "write", "tokenize", "sample", "load", "first"};
    measure_summary s = bench_summary(&test->samples), share = bench_summary(&test->shares);
    line_text(file, false, "name", test->name);
    line_text(file, true, "unit", test->unit);
    line_summary(file, &s);
    line_samples(file, "samples", &test->samples);
    line_number(file, true, "gb_s", bench_gb(test, &s));
    line_number(file, true, "roof_share", share.median);
    line_number(file, true, "roof_share_low", share.low);
    line_number(file, true, "roof_share_high", share.high);
    if (share.n)
        line_text(file, true, "limit", measure_limit_names[test->limit]);
    else
        fputs(",\"limit\":null", file);
    line_text(file, true, "kind", kinds[test->kind]);
    line_text(file, true, "model", bench_model_name(config));
    fprintf(file, ",\"config\":%d,\"n\":%d,\"depth\":%d,\"lanes\":%d,\"batch\":%d", number, test->n,
            test->depth, config->plan.lanes, config->plan.batch);
}

static void line_op(FILE *file, const bench_op *op) {
    double flops = 0;
    for (int k = 0; k < MEASURE_LIMITS; k++) flops += 2 * op->need.macs[k];
    line_text(file, false, "name", op->name);
    line_text(file, true, "kind", op->kind);
    line_text(file, true, "kernel", op->kernel);
    line_text(file, true, "shape", op->shape);
    fprintf(file, ",\"count\":%d", op->count);
    line_number(file, true, "bytes", op->need.bytes);
    line_number(file, true, "flops", flops);
    line_number(file, true, "seconds", op->seconds);
    line_number(file, true, "roof_share", op->share);
    line_text(file, true, "limit", measure_limit_names[op->limit]);
}

static void line_profiles(FILE *file, const bench_config *config) {
    fputs(",\"profiles\":[", file);
    for (int32_t i = 0; i < config->profile_count; i++) {
        const bench_profile *profile = &config->profiles[i];
        fputs(i ? ",{" : "{", file);
        line_text(file, false, "test", profile->test);
        line_number(file, true, "seconds", profile->seconds);
        fputs(",\"ops\":[", file);
        for (int32_t j = 0; j < profile->count; j++) {
            fputs(j ? ",{" : "{", file);
            line_op(file, &profile->ops[j]);
            fputc('}', file);
        }
        fputs("]}", file);
    }
    fputc(']', file);
}

static void line_config(FILE *file, const bench_config *c) {
    line_text(file, false, "model", bench_model_name(c));
    line_text(file, true, "type", c->type);
    line_text(file, true, "architecture", c->architecture);
    line_count(file, "parameters", c->parameters);
    line_count(file, "file_bytes", c->file_bytes);
    fprintf(file, ",\"lanes\":%d,\"batch\":%d,\"context\":%d", c->plan.lanes, c->plan.batch,
            c->plan.context);
    line_text(file, true, "kv", cli_kv_name(c->plan.kv));
    line_text(file, true, "cpu", c->isa);
    line_text(file, true, "device", c->device);
    line_count(file, "dispatches", (uint64_t)c->dispatches);
    fputs(",\"memory\":{\"arena_bytes\":", file);
    fprintf(file, "%llu", (unsigned long long)c->plan.arena_bytes);
    line_count(file, "table_bytes", c->plan.table_bytes);
    line_count(file, "weight_bytes", c->plan.weight_bytes);
    line_count(file, "device_bytes", c->plan.device_bytes);
    line_count(file, "peak_bytes", c->peak_bytes);
    line_count(file, "private_bytes", c->private_bytes);
    fputs("},\"roof\":{", file);
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        measure_summary s = bench_summary(&c->roof[i]);
        fprintf(file, "%s\"%s\":{", i ? "," : "", measure_limit_names[i]);
        line_text(file, false, "unit", i == MEASURE_READ ? "B/s" : "MAC/s");
        line_summary(file, &s);
        line_samples(file, "samples", &c->roof[i]);
        fputc('}', file);
    }
    line_count(file, "working_set", c->working_set);
    line_number(file, true, "seconds", c->roof_seconds);
    fputs("},\"disturbed\":", file);
    if (c->disturbance[0])
        cli_write_json(file, c->disturbance, strlen(c->disturbance));
    else
        fputs("null", file);
    line_number(file, true, "others_share", c->watch.others_share);
    line_number(file, true, "steal_share", c->watch.steal_share);
    line_number(file, true, "switches_per_second", c->watch.switch_rate);
    if (c->profile_count) line_profiles(file, c);
}

static void line_machine(FILE *file, const bench_machine *m) {
    fputs(",\"machine\":{", file);
    line_text(file, false, "cpu", m->cpu);
    line_text(file, true, "isa", m->isa);
    line_text(file, true, "system", m->system);
    fprintf(file, ",\"cores\":%d,\"cpus\":%d", m->cores, m->cpus);
    line_count(file, "memory_bytes", m->memory_bytes);
    line_number(file, true, "load", m->load >= 0 ? m->load : (double)NAN);
    fputc('}', file);
}

static void line_kernels(FILE *file, const bench_report *report) {
    fputs(",\"kernels\":[", file);
    for (int32_t i = 0; i < report->kernel_count; i++) {
        const bench_kernel *k = &report->kernels[i];
        fputs(i ? ",{" : "{", file);
        line_text(file, false, "name", k->name);
        line_text(file, true, "case", k->what);
        line_number(file, true, "ns", k->ns);
        line_number(file, true, "bytes", k->bytes);
        line_number(file, true, "macs", k->macs);
        line_number(file, true, "roof_share", k->share);
        if (isnan(k->share))
            fputs(",\"limit\":null", file);
        else
            line_text(file, true, "limit", measure_limit_names[k->limit]);
        fputc('}', file);
    }
    fputc(']', file);
}

void bench_write_json(FILE *file, const bench_report *report) {
    char when[32] = "";
    struct tm utc;
    bool first = true;
    if (gmtime_r(&report->when, &utc)) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fputs("{\"results\":[", file);
    for (int32_t i = 0; i < report->config_count; i++)
        for (int32_t t = 0; t < report->configs[i].test_count; t++) {
            fputs(first ? "{" : ",{", file);
            first = false;
            line_test(file, &report->configs[i], i, &report->configs[i].tests[t]);
            fputc('}', file);
        }
    fputc(']', file);
    line_machine(file, &report->machine);
    line_text(file, true, "commit", bench_commit());
    fprintf(file, ",\"schema\":%d", BENCH_SCHEMA);
    line_text(file, true, "version", chord_version());
    line_text(file, true, "time", when);
    fprintf(file, ",\"rounds\":%d,\"configs\":[", report->options->rounds);
    for (int32_t i = 0; i < report->config_count; i++) {
        fputs(i ? ",{" : "{", file);
        line_config(file, &report->configs[i]);
        fputc('}', file);
    }
    fputc(']', file);
    if (report->kernel_count) line_kernels(file, report);
    fputc('}', file);
}

// ---- history

static int history_fail(const char *path, const char *why) {
    fprintf(stderr, "chord: cannot append to %s: %s\n", path, why);
    return CLI_FAILED;
}

int bench_history_open(const char *path, bench_history *history) {
    struct stat info;
    history->path = path;
    history->made = stat(path, &info) != 0;
    history->file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    return history->file < 0 ? history_fail(path, strerror(errno)) : CLI_OK;
}

// Appends in one write; what was written in part is taken away again.
static int history_append(const bench_history *history, const char *line, size_t bytes) {
    struct stat info;
    char last = '\n';
    if (flock(history->file, LOCK_EX) != 0 && errno != EINVAL && errno != ENOTSUP)
        return history_fail(history->path, strerror(errno));
    if (fstat(history->file, &info) != 0) return history_fail(history->path, strerror(errno));
    bool regular = S_ISREG(info.st_mode);
    if (regular && info.st_size > 0 && pread(history->file, &last, 1, info.st_size - 1) != 1)
        return history_fail(history->path, strerror(errno));
    if (last != '\n') return history_fail(history->path, "it does not end with a whole line");
    errno = 0;
    ssize_t written = write(history->file, line, bytes);
    if (written == (ssize_t)bytes && (!regular || fsync(history->file) == 0)) return CLI_OK;
    int code = written >= 0 && errno == 0 ? ENOSPC : errno;
    if (regular && ftruncate(history->file, info.st_size) != 0)
        return history_fail(history->path, "the disk is full, and half a line is left in it");
    return history_fail(history->path, strerror(code));
}

int bench_history_close(bench_history *history, const bench_report *report) {
    int code = CLI_OK;
    if (history->file < 0) return CLI_OK;
    if (report) {
        char *line = NULL;
        size_t bytes = 0;
        FILE *memory = open_memstream(&line, &bytes);
        if (memory) {
            bench_write_json(memory, report);
            fputc('\n', memory);
        }
        bool good = memory && !ferror(memory);
        if (memory && fclose(memory) != 0) good = false;
        code = good ? history_append(history, line, bytes) : cli_no_memory();
        free(line);
    }
    struct stat info;
    if (history->made && fstat(history->file, &info) == 0 && S_ISREG(info.st_mode) &&
        info.st_size == 0)
        unlink(history->path);
    close(history->file);
    history->file = -1;
    return code;
}
