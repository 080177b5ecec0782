// cli: what the subcommands of the program share.
//
// Owns: the table of options and its parser, exit codes, opening a model, reading a text, writing
// one, whole files, progress, signals, JSON. Refuses: anything that a user of the library could not
// do: it includes chord.h alone. Rule: results go to standard output, all else to standard error.
#ifndef CLI_H
#define CLI_H

#include "../../include/chord.h"

#include <stdio.h>

// Exit codes of the program.
enum {
    CLI_OK = 0,
    CLI_FAILED = 1,        // the work failed
    CLI_USAGE = 2,         // the command line is wrong
    CLI_GATE = 3,          // a gate failed
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
    CLI_LIST,   // cli_list of numbers within low..high, separated by commas; a part may be a range:
                // 1-4, 128-512:128 (in steps of 128), 128-4096*2 (each twice the last)
    CLI_TEXTS   // cli_texts: may be given several times
} cli_kind;

typedef struct cli_list {
    int32_t *items; // from malloc, freed by the command
    int32_t count;
} cli_list;

typedef struct cli_texts {
    const char *items[16];
    int32_t count;
} cli_texts;

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

extern const cli_command cli_run, cli_chat, cli_tokenize, cli_logits, cli_perplexity, cli_inspect,
    cli_plan, cli_graph, cli_kernels, cli_bench, cli_gate, cli_export_model, cli_devices;

// Reads argv[0..argc) into the values of `options` (ended by a row without a name). A word that is
// no option is the value of --model, else of --gates, else of --output. A row hides later ones of
// the same name or letter. CLI_CONTINUE, or the exit code: after --help, or after a sentence about
// what is wrong.
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
#define CLI_CPU_LEVELS "c|avx2|avxvnni|avx512|amx|neon|dotprod|i8mm|openblas"
#define CLI_KV_TYPES   "q16|f16|f32|q8_0"

#define CLI_MODEL_OPTION(settings)                                                                 \
    {                                                                                              \
        'm', "model", "FILE", CLI_TEXT, &(settings).model, 0, 0,                                   \
            "the model, a GGUF file (the built-in one)"                                            \
    }
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
        {0,                                                                                        \
         "kv",                                                                                     \
         CLI_KV_TYPES,                                                                             \
         CLI_CHOICE,                                                                               \
         &(settings).kv,                                                                           \
         0,                                                                                        \
         0,                                                                                        \
         "type of the KV cache (q16; on a GPU f16)"},                                              \
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

// How text is written, as run and chat take it.
typedef struct cli_writing {
    float temperature, top_p, min_p, repeat_penalty;
    int32_t top_k, repeat_window;
    int32_t draft; // a choice
    uint64_t seed, random_seed;
} cli_writing;

#define CLI_WRITING_OPTIONS(w)                                                                     \
    {0,                                                                                            \
     "temp",                                                                                       \
     "T",                                                                                          \
     CLI_NUMBER,                                                                                   \
     &(w).temperature,                                                                             \
     0,                                                                                            \
     1000,                                                                                         \
     "temperature (0.8); 0: always the most likely token"},                                        \
        {0, "top-k", "K", CLI_INT, &(w).top_k, 0, INT32_MAX, "choose among the K likeliest (40)"}, \
        {0,          "top-p", "P", CLI_NUMBER,                                                     \
         &(w).top_p, 0,       1,   "and among the fewest that reach probability P (0.95)"},        \
        {0,          "min-p", "P", CLI_NUMBER,                                                     \
         &(w).min_p, 0,       1,   "drop what is less likely than P times the likeliest (0.05)"},  \
        {0,                                                                                        \
         "repeat-penalty",                                                                         \
         "R",                                                                                      \
         CLI_NUMBER,                                                                               \
         &(w).repeat_penalty,                                                                      \
         0.01,                                                                                     \
         100,                                                                                      \
         "make recent tokens less likely (1: do not)"},                                            \
        {0,                                                                                        \
         "repeat-last-n",                                                                          \
         "N",                                                                                      \
         CLI_INT,                                                                                  \
         &(w).repeat_window,                                                                       \
         -1,                                                                                       \
         INT32_MAX,                                                                                \
         "how many tokens are recent (64); -1: all, 0: none"},                                     \
        {0, "seed", "N", CLI_SEED, &(w).seed, 0, 0, "same seed, same text (random, and told)"}, {  \
        0, "draft", "none|ngram", CLI_CHOICE, &(w).draft, 0, 0,                                    \
            "guess ahead from what stood before: the same text, sooner where it repeats (none)"    \
    }

void cli_writing_default(cli_writing *writing); // with a seed that differs from run to run
void cli_writing_desc(const cli_writing *writing, chord_session_desc *desc);

// Tells the seed that will be used on standard error, if it is a random one that matters.
void cli_tell_seed(const cli_writing *writing);

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

// Opens the model of a command line, the built-in one if path is NULL. CLI_OK, or the exit code
// after a sentence.
int cli_open_model(const char *path, chord_model **model);

// What a person calls that model: its path, or "NAME (built in)" in a buffer of the caller.
const char *cli_model_name(const char *path, const chord_model *model, char *out, size_t capacity);

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

// Text on its way to standard output, piece by piece: cli_stream_write is an on_text callback that
// stops at an interrupt or a failure to write.
typedef struct cli_stream {
    bool skip_blanks; // at the beginning
    bool any;         // something was written
    char last;        // of what was
    int error;        // errno of the first failure
} cli_stream;
int cli_stream_write(void *stream, const char *text, size_t bytes);
int cli_stream_end(const cli_stream *stream); // CLI_OK, or the exit code after a sentence

// A file that is written under another name and gets its own when it is whole; "-": standard
// output. Both return CLI_OK, or the exit code after a sentence; what fails leaves no file.
typedef struct cli_output {
    FILE *file;
    const char *path;
    char *temporary; // NULL: it is written under its own name, being no regular file
} cli_output;
int cli_output_open(cli_output *output, const char *path);
int cli_output_fail(const cli_output *output);      // "cannot write to ...", from errno
int cli_output_close(cli_output *output, int code); // `code`: how the writing went

// Ends a command that writes to standard output: flushes, and tells a failure to write.
int cli_finish(int code);

double cli_seconds(void);

// "1.25 GiB" in a buffer of the caller.
const char *cli_size(uint64_t bytes, char *out, size_t capacity);

// A string of a file: on a terminal's line (control bytes as '?'), and as a JSON string.
void cli_print_text(const char *text);
void cli_print_json(const char *text, size_t bytes);
void cli_write_json(FILE *file, const char *text, size_t bytes);

// Bytes of the well-formed UTF-8 character at `p`, 0 if there is none.
size_t cli_utf8(const unsigned char *p, size_t left);

// ---- signals and progress

// SIGINT and SIGTERM from now on only set a flag, which is cleared here; the second one kills.
void cli_catch_interrupts(void);
void cli_release_interrupts(void); // they do again what they did before
bool cli_interrupted(void);
bool cli_terminated(void); // by SIGTERM

// SIGBUS, which reading past the end of a file that was cut short gives, ends with a sentence.
void cli_catch_cut_file(void);

// Removed if the program is killed by a signal that it catches; NULL: none.
void cli_set_temporary(const char *path);

// Shows progress of long work on a terminal, from its first second on; `what` NULL: no more.
void cli_progress_begin(const char *what);
void cli_progress_show(int64_t done, int64_t total);
void cli_progress_end(void);

#endif
