// bench: what the parts of `chord bench` share: what is asked, what was measured.
//
// Owns: the report, which the work fills and the four outputs print. Refuses: printing while
// measuring. Invariant: a configuration is one model with one number of lanes and one batch; its
// tests are measured in turn, round by round, each with the roof before and after it.
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "../engine/bench.h"
#include "cli.h"
#include "measure.h"

#include <time.h>

#define BENCH_SCHEMA     1 // of the JSON: see docs/BENCH.md
#define BENCH_CONFIDENCE 0.95

typedef struct bench_options {
    cli_texts models;
    cli_list prompts, writes, depths, batches, lanes;
    int32_t rounds, format; // see bench_formats
    const char *history;
    bool ops, kernels, cold;
    cli_settings settings;
} bench_options;

enum { BENCH_JSON, BENCH_MD, BENCH_CSV, BENCH_HTML };
#define BENCH_FORMATS "json|md|csv|html"

typedef enum bench_kind {
    BENCH_PROMPT, // n tokens at once
    BENCH_WRITE,  // n tokens one at a time
    BENCH_TOKENIZE,
    BENCH_SAMPLE,
    BENCH_LOAD, // opening the model and a session
    BENCH_FIRST // and the first token's logits
} bench_kind;

typedef struct bench_test {
    bench_kind kind;
    char name[48];    // "pp512", "tg64@d1024"
    const char *unit; // "t/s", "ms"
    int32_t n, depth;
    ch_need need;                  // of one sample; all zero: no limit is known
    measure_samples samples;       // in the unit, in the order of time
    measure_samples shares;        // of the roof, one for each sample, if a limit is known
    measure_limit limit;           // the one that binds
    double seconds;                // that the last sample took
    double before[MEASURE_LIMITS]; // the roof before the last sample
} bench_test;

// All ops of one name, in all blocks, over one test.
typedef struct bench_op {
    char name[48];
    char kind[16], kernel[48], shape[64];
    int32_t count; // ops
    ch_need need;
    double seconds;       // in the fastest round
    double before, after; // of all rounds until the last one, and with it
    double share;         // of the roof
    measure_limit limit;
} bench_op;

typedef struct bench_profile {
    char test[48];
    bench_op *ops; // from malloc, in the order of the graph
    int32_t count;
    double seconds; // of the test as a whole, in its fastest round
} bench_profile;

typedef struct bench_config {
    const char *path;
    char type[24], architecture[24], isa[24];
    uint64_t parameters, file_bytes;
    chord_plan_table plan;
    char device[96];         // the GPU's name, "": none
    int32_t dispatches;      // there, of one token
    chord_device_roof limit; // what it reaches
    int32_t vocabulary;
    uint64_t peak_bytes, private_bytes; // of the process at its peak, less what it was before
    bench_test *tests;
    int32_t test_count;
    measure_samples roof[MEASURE_LIMITS];
    double roof_seconds;
    size_t working_set;
    measure_watch watch;
    char disturbance[400]; // "" if there was none
    bench_profile *profiles;
    int32_t profile_count;
} bench_config;

typedef struct bench_machine {
    char cpu[96], isa[64], system[160];
    int32_t cores, cpus;
    uint64_t memory_bytes;
    double load; // average over a minute, before the run; -1: unknown
} bench_machine;

// One line of `--kernels`.
typedef struct bench_kernel {
    const char *name;
    char what[32]; // "cache n=1"
    double ns, bytes, macs;
    double share; // of the roof of one lane; NaN: no limit fits
    measure_limit limit;
} bench_kernel;

typedef struct bench_report {
    const bench_options *options;
    bench_machine machine;
    time_t when;
    bench_config *configs;
    int32_t config_count;
    bench_kernel *kernels;
    int32_t kernel_count;
    double kernel_roof[2][MEASURE_LIMITS]; // of one lane: from the cache, from memory
} bench_report;

// ---- bench_work

// Measures one configuration. CLI_OK, or the exit code after a sentence.
int bench_measure(const bench_options *options, const char *path, int32_t lanes, int32_t batch,
                  bench_config *config);
void bench_config_free(bench_config *config);

// One token at the test's depth, not timed: what the roof's samples drove out of the caches comes
// back, and lanes that sleep wake up. Then the work of a prompt or a writing, and nothing else.
chord_result bench_wake(chord_session *session, const bench_config *config, const bench_test *test);
chord_result bench_run_test(chord_session *session, const bench_config *config,
                            const bench_test *test);

void bench_machine_read(bench_machine *machine);

// ---- bench_ops

// Measures each op of each test of a configuration.
int bench_measure_ops(const chord_model *model, const chord_session_desc *desc, int32_t rounds,
                      bench_config *config);

// ---- bench_kernels

int bench_measure_kernels(const bench_options *options, bench_report *report);

// ---- bench_output

const char *bench_commit(void); // of the sources, "1a2b3c4d5e6f-dirty"
const char *bench_model_name(const bench_config *config);
measure_summary bench_summary(const measure_samples *samples);
// GB/s of a test: what it moves at least, at its median speed; NaN if no need is known.
double bench_gb(const bench_test *test, const measure_summary *s);

void bench_write_md(FILE *file, const bench_report *report);
void bench_write_csv(FILE *file, const bench_report *report); // kernels if there is no model

// ---- bench_json

void bench_write_json(FILE *file, const bench_report *report); // one line, without its end

// A file that reports are appended to, a line of JSON each.
typedef struct bench_history {
    const char *path;
    int file;  // -1: closed
    bool made; // it was not there before
} bench_history;

// Opens the history, before anything is measured. CLI_OK, or CLI_FAILED after a sentence.
int bench_history_open(const char *path, bench_history *history);

// Appends one line, whole or not at all, and closes the file. `report` NULL: only closes it, and
// removes it again if it was not there before. CLI_OK, or CLI_FAILED after a sentence.
int bench_history_close(bench_history *history, const bench_report *report);

// ---- bench_html

// `history`: a file of earlier lines, or NULL. False: no memory.
bool bench_write_html(FILE *file, const bench_report *report, const char *history);

#endif
