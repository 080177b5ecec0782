// gate: what the files of `chord gate` share.
//
// Owns: a gate as its file describes it, a gate's result, and the interfaces of the tiers.
// Refuses: guessing: what a gates file does not say in words that are known is an error with a
// line.
//
// A gates file names models and gates. A gate is a measure with its parameters, a tier and a limit:
//   exact  a count; it may not be above the limit
//   share  the roof's time over the work's time; it may not be below the limit
//   ab     the time of this program over that of another; it may not be above the limit
#ifndef CLI_GATE_H
#define CLI_GATE_H

#include "cli.h"
#include "json.h"
#include "measure.h"

// ---- what a file says

typedef enum gate_tier { GATE_EXACT, GATE_SHARE, GATE_AB, GATE_TIER_COUNT } gate_tier;

// X(NAME, "name", tiers, fields that it needs, fields that it may have)
#define GATE_TIMED (1u << GATE_SHARE | 1u << GATE_AB)
#define GATE_MEASURES(X)                                                                           \
    X(ALLOCATIONS, "allocations", 1u << GATE_EXACT, F_MODEL, F_TOKENS | F_SESSION)                 \
    X(SYSCALLS, "syscalls", 1u << GATE_EXACT, F_MODEL, F_TOKENS | F_SESSION)                       \
    X(OPS, "ops", 1u << GATE_EXACT, F_MODEL, F_SESSION)                                            \
    X(BARRIERS, "barriers", 1u << GATE_EXACT, F_MODEL, F_SESSION)                                  \
    X(BYTES, "bytes", 1u << GATE_EXACT, F_MODEL, F_SESSION)                                        \
    X(POSITION_BYTES, "position_bytes", 1u << GATE_EXACT, F_MODEL, F_SESSION)                      \
    X(ARENA, "arena", 1u << GATE_EXACT, F_MODEL, F_SESSION)                                        \
    X(TABLES, "tables", 1u << GATE_EXACT, F_MODEL, 0)                                              \
    X(FILE_BYTES, "file_bytes", 1u << GATE_EXACT, F_FILE, 0)                                       \
    X(INSTRUCTIONS, "instructions", 1u << GATE_EXACT, F_MODEL, F_TOKENS | F_SESSION)               \
    X(MATVEC, "matvec", GATE_TIMED, F_TYPE | F_ROWS | F_K, F_COLUMNS)                              \
    X(GEMM, "gemm", GATE_TIMED, F_TYPE | F_ROWS | F_K | F_COLUMNS, 0)                              \
    X(ATTENTION, "attention", GATE_TIMED, F_POSITIONS | F_HEADS | F_KV_HEADS | F_DIM,              \
      F_COLUMNS | F_KV)                                                                            \
    X(RMSNORM, "rmsnorm", GATE_TIMED, F_K, 0)                                                      \
    X(GLU, "glu", GATE_TIMED, F_K, 0)                                                              \
    X(ROPE, "rope", GATE_TIMED, F_HEADS | F_DIM, 0)                                                \
    X(QUANTIZE, "quantize", GATE_TIMED, F_K, F_COLUMNS)                                            \
    X(KV_STORE, "kv_store", GATE_TIMED, F_DIM, F_KV)                                               \
    X(SAMPLE, "sample", GATE_TIMED, F_MODEL, 0)                                                    \
    X(PARSE, "parse", GATE_TIMED, F_MODEL, 0)                                                      \
    X(TOKENIZE, "tokenize", GATE_TIMED, F_MODEL, 0)                                                \
    X(OPEN, "open", GATE_TIMED, F_MODEL, F_SESSION)                                                \
    X(PREFILL, "prefill", GATE_TIMED, F_MODEL | F_TOKENS, F_SESSION)                               \
    X(DECODE, "decode", GATE_TIMED, F_MODEL, F_TOKENS | F_SESSION)

typedef enum gate_measure {
#define GATE_MEASURE_ENUM(NAME, name, tiers, needs, may) GATE_##NAME,
    GATE_MEASURES(GATE_MEASURE_ENUM)
#undef GATE_MEASURE_ENUM
        GATE_MEASURE_COUNT
} gate_measure;

// X(NAME, "name", least, most): the whole numbers that a gate or a synthetic model may have.
#define GATE_NUMBERS(X)                                                                            \
    X(ROWS, "rows", 16, 1 << 20)                                                                   \
    X(K, "k", 32, 1 << 20)                                                                         \
    X(COLUMNS, "columns", 1, 4096)                                                                 \
    X(POSITIONS, "positions", 1, 1 << 17)                                                          \
    X(HEADS, "heads", 1, 256)                                                                      \
    X(KV_HEADS, "kv_heads", 1, 256)                                                                \
    X(DIM, "dim", 16, 256)                                                                         \
    X(TOKENS, "tokens", 1, 1 << 17)                                                                \
    X(LANES, "lanes", 1, 64)                                                                       \
    X(MARGIN, "margin", 0, 90)                                                                     \
    X(CONTEXT, "context", 1, 1 << 20)                                                              \
    X(BATCH, "batch", 1, 4096)                                                                     \
    X(BLOCKS, "blocks", 1, 200)                                                                    \
    X(EMBEDDING, "embedding", 32, 1 << 14)                                                         \
    X(FEED_FORWARD, "feed_forward", 32, 1 << 16)                                                   \
    X(VOCABULARY, "vocabulary", 300, 1 << 18)

typedef enum gate_number {
#define GATE_NUMBER_ENUM(NAME, name, least, most) GATE_N_##NAME,
    GATE_NUMBERS(GATE_NUMBER_ENUM)
#undef GATE_NUMBER_ENUM
        GATE_N_COUNT
} gate_number;

enum { // fields, as bits
#define GATE_NUMBER_BIT(NAME, name, least, most) F_##NAME = 1 << GATE_N_##NAME,
    GATE_NUMBERS(GATE_NUMBER_BIT)
#undef GATE_NUMBER_BIT
        F_MODEL = 1 << GATE_N_COUNT,
    F_TYPE = F_MODEL << 1,
    F_KV = F_MODEL << 2,
    F_FILE = F_MODEL << 3,
    F_SESSION = F_LANES | F_CONTEXT | F_BATCH | F_KV,
    F_SYNTHETIC =
        F_BLOCKS | F_EMBEDDING | F_HEADS | F_KV_HEADS | F_FEED_FORWARD | F_VOCABULARY | F_CONTEXT
};

// The columns of limits: levels of instruction sets, then the one for all others.
enum { GATE_LEVELS = 9, GATE_ANY = GATE_LEVELS, GATE_COLUMNS };
const char *gate_level_name(int32_t level); // "c" ... "openblas", "any"

typedef struct gate_model {
    const char *name;
    const char *file; // path, or NULL
    bool builtin;
    ch_type type; // of a synthetic model's matrices
    int32_t numbers[GATE_N_COUNT];
    int32_t line;
    // Once it is used:
    uint8_t *memory;  // of a synthetic model's file
    const void *data; // that, or the built-in file; NULL: it is read from a path
    size_t bytes;
    chord_model *model;
} gate_model;

typedef struct gate_spec {
    const char *name;
    gate_tier tier;
    gate_measure measure;
    gate_model *model; // or NULL
    const char *file;  // or NULL
    ch_type type;
    int32_t kv;                    // a ch_kv_type, -1: none given
    int32_t numbers[GATE_N_COUNT]; // 0: none given
    const json_value *limits[GATE_COLUMNS];
    const json_value *value; // of the whole gate
    int32_t line;
} gate_spec;

typedef struct gate_file {
    const char *path;
    char *text;
    size_t bytes;
    json_text json;
    gate_model *models;
    gate_spec *gates;
    int32_t model_count, gate_count;
} gate_file;

// Reads a gates file. CLI_OK, or the exit code after a sentence.
int gate_file_open(const char *path, gate_file *file);
void gate_file_close(gate_file *file);

// A path of the file: relative ones begin at its folder. From malloc.
char *gate_file_path(const gate_file *file, const char *path);

// A piece of the file's text to put in the place of another.
typedef struct gate_edit {
    size_t at, end;
    char text[64];
} gate_edit;

// Writes the file anew with these edits, ordered as they stand in it. Whole, or not at all.
int gate_file_edit(const gate_file *file, const gate_edit *edits, int32_t count);

// A number as a gates file has it.
void gate_number_text(double number, char *out, size_t capacity);

const char *gate_tier_name(gate_tier tier);
const char *gate_measure_name(gate_measure measure);

// ---- results

typedef enum gate_verdict {
    GATE_PASSED,
    GATE_FAILED,
    GATE_SKIPPED, // cannot be measured here
    GATE_BROKEN   // should be measured, and was not: no model, no memory
} gate_verdict;

typedef struct gate_result {
    const gate_spec *spec;
    gate_verdict verdict;
    double limit, measured, low, high; // low..high: the interval
    bool interval;                     // there is one
    int32_t attempts;                  // how often it was measured: more than once after a failure
    double seconds;
    char note[160]; // why it was skipped, what failed, what else was seen; or ""
} gate_result;

__attribute__((format(printf, 2, 3))) void gate_note(gate_result *result, const char *format, ...);
// These set the verdict too, and return false.
__attribute__((format(printf, 2, 3))) bool gate_skip(gate_result *result, const char *format, ...);
__attribute__((format(printf, 2, 3))) bool gate_error(gate_result *result, const char *format, ...);

typedef enum gate_output { GATE_MD, GATE_JSON, GATE_JUNIT } gate_output;

// A run, for reports.
typedef struct gate_run {
    const char *path, *against, *level; // against: NULL if it is no A/B
    const char *disturbed;              // a sentence, or ""
    double seconds;
    gate_result *results;
    int32_t count;
} gate_run;

int32_t gate_run_count(const gate_run *run, gate_verdict verdict);
void gate_report(gate_output output, const gate_run *run);

// A measured value or a limit, as a tier's are written: "62.1 %", "1.003", "12".
const char *gate_value_text(const gate_spec *spec, double value, char out[32]);

// ---- settings of a run

typedef struct gate_context {
    gate_file *file;
    const char *cpu; // level that was asked for, or NULL
    uint32_t cpu_bits;
    int32_t column; // of limits
    bool profile;   // sessions time their ops
} gate_context;

// ---- models

// The model of a gate, opened once. NULL: *why tells.
const chord_model *gate_model_get(const gate_context *context, gate_model *model, char *why,
                                  size_t capacity);
void gate_models_close(gate_file *file);

// Fills memory with weights of a type that are neither denormal nor infinite.
void gate_fill_weights(ch_type type, uint8_t *memory, size_t bytes);

// The desc of a gate's session.
void gate_session_desc(const gate_context *context, const gate_spec *spec,
                       chord_session_desc *desc);

// ---- tiers

// Measure result->spec against result->limit, and fill the rest in.
void gate_exact_run(const gate_context *context, gate_result *result);

// Evaluates some tokens and then writes `tokens` more; between the two, and after, `mark` is
// called.
bool gate_exact_decode(const gate_context *context, const gate_spec *spec,
                       void (*mark)(void *user, bool begin), void *user, char *why,
                       size_t capacity);

// Calls of the allocator by this process while counting; -1: this build cannot count.
void gate_count_begin(void);
int64_t gate_count_end(void);

// System calls of a decoding child.
typedef struct gate_syscalls {
    int64_t futex, other;
    int64_t first; // number of the first that was no futex, -1: none
} gate_syscalls;

// Runs work() in a child that is traced, and counts what its threads ask of the operating system
// between the marks. False: *why tells.
bool gate_trace(int (*work)(void *user), void *user, gate_syscalls *counts, char *why,
                size_t capacity);
void gate_trace_mark(void *user, bool begin); // in the child

// ---- work that is timed

typedef struct gate_work gate_work;

struct gate_work {
    const gate_spec *spec;
    void (*run)(gate_work *work); // once
    // What one run needs of the machine: the roof's time is units / rate of `limit`.
    measure_limit limit;
    double units;       // bytes read, or multiply-adds
    size_t working_set; // bytes that are read over and over
    int32_t lanes;
    bool failed; // a call of the library did
    // Whose meaning is the measure's own.
    void *fn;
    ch_mm_args mm;
    ch_attn_args attn;
    uint8_t *memory;
    size_t memory_bytes, pool, at; // at: where in the pool of weights the next run reads
    float *x, *y;
    uint8_t *record;
    const chord_model *model;
    chord_session *session;
    chord_token *tokens;
    const char *text;
    size_t capacity;
    chord_model_desc model_desc;
    chord_session_desc session_desc;
};

// Prepares the work of a gate. False: *why tells, and nothing is left to close.
bool gate_work_open(const gate_context *context, const gate_spec *spec, gate_work *work, char *why,
                    size_t capacity);
void gate_work_close(gate_work *work);

// Runs the work some times; returns the seconds that they took.
double gate_work_time(gate_work *work, int32_t times);

// How many runs take about `seconds`; runs some to find out.
int32_t gate_work_times(gate_work *work, double seconds);

// Seconds of each kind of op ("ffn_down": all blocks' together), for works that evaluate tokens.
enum { GATE_MOST_OPS = 32 };
typedef struct gate_ops {
    int32_t count;
    struct {
        char name[32];
        double seconds, roof_units; // of some runs; roof_units: as gate_work.units
    } items[GATE_MOST_OPS];
} gate_ops;

// Whether a gate's work can be told by ops.
bool gate_has_ops(const gate_spec *spec);

// Runs a gate's work with a profile, `times` times in each of some rounds: the median seconds of a
// round, op by op. False: *why tells.
bool gate_profile(const gate_context *context, const gate_spec *spec, int32_t times, gate_ops *ops,
                  char *why, size_t capacity);

// Adds to an op's seconds; a name that is new gets a row.
void gate_ops_add(gate_ops *ops, const char *name, double seconds, double roof_units);

void gate_share_run(const gate_context *context, gate_result *result);

// ---- A/B

// Answers commands on standard input: see gate_ab.c. The exit code.
int gate_serve(const gate_context *context);

// Whether the other program can be run and has these gates. CLI_OK, or the exit code after a
// sentence.
int gate_ab_check(const gate_context *context, const char *other);
void gate_ab_run(const gate_context *context, const char *other, gate_result *result);

#endif
