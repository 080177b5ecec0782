// cli: what the subcommands of the program share.
//
// Owns: the table of options and its parser, exit codes, opening a model, reading a text, progress,
// signals, JSON. Refuses: anything that a user of the library could not do: it includes chord.h
// alone. Rule: results go to standard output, all else to standard error.
#ifndef CLI_H
#define CLI_H

#include "../../include/chord.h"

#include <stdio.h>

// Exit codes of the program.
enum {
    CLI_OK = 0,
    CLI_FAILED = 1,        // the work failed
    CLI_USAGE = 2,         // the command line is wrong
    CLI_INTERRUPTED = 130, // SIGINT or SIGTERM: what was written so far is whole, and not all
    CLI_PIPE = 141         // nobody reads standard output any more
};

#define CLI_CONTINUE (-1) // cli_parse: go on with the command

// ---- options

typedef enum cli_kind {
    CLI_FLAG,   // bool
    CLI_TEXT,   // const char *
    CLI_INT,    // int32_t within low..high
    CLI_SEED,   // uint64_t, any
    CLI_SIZE,   // uint64_t, at least 1, suffixes K, M, G, T of 1024
    CLI_NUMBER, // float within low..high
    CLI_CHOICE, // int32_t, index in `argument`, which lists the words as "f16|f32"
    CLI_LIST    // cli_list of numbers within low..high, separated by commas
} cli_kind;

typedef struct cli_list {
    int32_t *items; // from malloc, freed by the command
    int32_t count;
} cli_list;

typedef struct cli_option {
    char letter; // 0: none
    const char *name;
    const char *argument; // what the help calls the value; NULL for a flag
    cli_kind kind;
    void *value; // of the kind's type; holds the default
    double low, high;
    const char *help;
} cli_option;

typedef struct cli_command {
    const char *name, *usage, *summary;
    int (*main)(const struct cli_command *command, int argc, char **argv);
    const char *notes; // more for --help, or NULL
} cli_command;

extern const cli_command cli_run, cli_tokenize, cli_logits, cli_perplexity, cli_inspect, cli_plan,
    cli_graph, cli_kernels, cli_bench, cli_devices;

// Reads argv[0..argc) into the values of `options` (ended by a row without a name). A word that is
// no option is the value of --model. CLI_CONTINUE, or the exit code: after --help, or after a
// sentence about what is wrong.
int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv);

// The one of `count` words that `word` may have been meant to be, or NULL.
const char *cli_nearest(const char *word, const char *const *words, int32_t count);

// ---- settings of a session, as most commands take them

typedef struct cli_settings {
    const char *model;
    int32_t context, batch, lanes;
    int32_t kv, cpu; // choices, -1: none made
    uint64_t memory;
    int32_t device; // choice, -1: none made
    int32_t gpu;
    bool gpu_minimums;
} cli_settings;

#define CLI_SETTINGS_DEFAULT                                                                       \
    { NULL, 0, 0, 0, -1, -1, 0, -1, 0, false }
#define CLI_CPU_LEVELS "c|avx2|avxvnni|avx512|neon|dotprod|i8mm|openblas"

#define CLI_MODEL_OPTION(settings)                                                                 \
    { 'm', "model", "FILE", CLI_TEXT, &(settings).model, 0, 0, "the model, a GGUF file" }
#define CLI_CPU_OPTION(value)                                                                      \
    { 0, "cpu", CLI_CPU_LEVELS, CLI_CHOICE, &(value), 0, 0, "highest instruction set to use" }
#define CLI_SESSION_OPTIONS(settings)                                                              \
    CLI_MODEL_OPTION(settings),                                                                    \
        {'c',                                                                                      \
         "context",                                                                                \
         "N",                                                                                      \
         CLI_INT,                                                                                  \
         &(settings).context,                                                                      \
         1,                                                                                        \
         INT32_MAX,                                                                                \
         "positions to make room for (the model's own, at most 4096)"},                            \
        {'b',                                                                                      \
         "batch",                                                                                  \
         "N",                                                                                      \
         CLI_INT,                                                                                  \
         &(settings).batch,                                                                        \
         1,                                                                                        \
         4096,                                                                                     \
         "tokens of a prompt evaluated at once (512)"},                                            \
        {'t',                                                                                      \
         "threads",                                                                                \
         "N",                                                                                      \
         CLI_INT,                                                                                  \
         &(settings).lanes,                                                                        \
         1,                                                                                        \
         64,                                                                                       \
         "lanes to compute with (the physical cores)"},                                            \
        {0, "kv", "f16|f32|q8_0", CLI_CHOICE, &(settings).kv, 0, 0, "type of the KV cache (f16)"}, \
        {0,                                                                                        \
         "memory",                                                                                 \
         "SIZE",                                                                                   \
         CLI_SIZE,                                                                                 \
         &(settings).memory,                                                                       \
         0,                                                                                        \
         0,                                                                                        \
         "take at most this much memory, as 512M or 2G"},                                          \
        CLI_CPU_OPTION((settings).cpu),                                                            \
        {0,                                                                                        \
         "device",                                                                                 \
         "cpu|gpu|gpu-only",                                                                       \
         CLI_CHOICE,                                                                               \
         &(settings).device,                                                                       \
         0,                                                                                        \
         0,                                                                                        \
         "where to compute; gpu: on the CPU if it cannot (cpu)"},                                  \
        {0,                                                                                        \
         "gpu",                                                                                    \
         "N",                                                                                      \
         CLI_INT,                                                                                  \
         &(settings).gpu,                                                                          \
         1,                                                                                        \
         64,                                                                                       \
         "which GPU, as 'chord devices' counts (the first that serves)"},                          \
    {                                                                                              \
        0, "gpu-minimums", NULL, CLI_FLAG, &(settings).gpu_minimums, 0, 0,                         \
            "use the least limits of OpenGL ES 3.1 only"                                           \
    }
#define CLI_END                                                                                    \
    { 0, NULL, NULL, CLI_FLAG, NULL, 0, 0, NULL }

// Fills a desc from settings: progress is shown, an interrupt stops.
void cli_session_desc(const cli_settings *settings, chord_session_desc *desc);

// Opens a session, and tells on standard error where it is not on the device that was asked for.
// CLI_OK, or the exit code after a sentence.
int cli_open_session(const chord_model *model, const chord_session_desc *desc,
                     chord_session **session);

// Closes a session, and tells on standard error if it has left its device since it was opened.
void cli_close_session(chord_session *session);
const char *cli_cpu_name(int32_t choice); // NULL for -1
const char *cli_kv_name(chord_kv kv);

// ---- what commands do

// Opens the model of a command line. CLI_OK, or the exit code after a sentence.
int cli_open_model(const char *path, chord_model **model);

// Prints "chord: sentence" and returns the exit code of the library's error.
int cli_fail(const chord_error *error);
int cli_session_fail(const chord_session *session, chord_result code);
int cli_no_memory(void);

// Prints "chord: " and a sentence about the command line, and where to read about it. CLI_USAGE.
int cli_usage(const cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

typedef struct cli_text {
    char *bytes; // from malloc, NUL-terminated
    size_t count;
} cli_text;

// The text that a command works on: `text` if given, else the file ("-": standard input), else
// standard input unless that is a terminal.
int cli_get_text(const cli_command *command, const char *text, const char *file, cli_text *out);

// Tokens of a text, from malloc. `bos` and `special` as in chord_tokenize_desc.
int cli_get_tokens(const chord_model *model, const cli_text *text, int bos, bool special,
                   cli_list *tokens);

// Ends a command that writes to standard output: flushes, and tells a failure to write.
int cli_finish(int code);

double cli_seconds(void);

// "1.25 GiB" in a buffer of the caller.
const char *cli_size(uint64_t bytes, char *out, size_t capacity);

// A string of a file: on a terminal's line (control bytes as '?'), and as a JSON string.
void cli_print_text(const char *text);
void cli_print_json(const char *text, size_t bytes);

// ---- signals and progress

// SIGINT and SIGTERM from now on only set a flag; the second one kills.
void cli_catch_interrupts(void);
bool cli_interrupted(void);

// SIGBUS, which reading past the end of a file that was cut short gives, ends with a sentence.
void cli_catch_cut_file(void);

// Removed if the program is killed by a signal that it catches; NULL: none.
void cli_set_temporary(const char *path);

// Shows progress of long work on a terminal, from its first second on; `what` NULL: no more.
void cli_progress_begin(const char *what);
void cli_progress_show(int64_t done, int64_t total);
void cli_progress_end(void);

#endif
