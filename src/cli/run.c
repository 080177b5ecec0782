// run: continues a text.
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct run_options {
    cli_settings settings;
    cli_writing writing;
    const char *text, *file;
    int32_t tokens;
    bool ignore_end, special, no_bos, hash, verbose, quiet;
} run_options;

static void run_figures(const chord_model *model, const chord_session *session,
                        const run_options *options, double load,
                        const chord_generate_result *result) {
    chord_stats stats;
    chord_session_get_stats(session, &stats);
    const chord_plan_table *plan = chord_session_plan(session);
    double prefill = stats.prefill_seconds, decode = stats.decode_seconds;
    char name[96];
    fprintf(stderr, "model %s\n",
            cli_model_name(options->settings.model, model, name, sizeof name));
    fprintf(stderr, "load %.3f s\n", load);
    fprintf(stderr, "prefill %d tokens, %.1f t/s\n", stats.prefill_tokens,
            prefill > 0 ? stats.prefill_tokens / prefill : 0.0);
    fprintf(stderr, "decode %d tokens, %.1f t/s\n", stats.decode_tokens,
            decode > 0 ? stats.decode_tokens / decode : 0.0);
    if (stats.drafted_tokens > 0)
        fprintf(stderr, "drafted %d tokens, %d of them right\n", stats.drafted_tokens,
                stats.accepted_tokens);
    if (options->verbose) fprintf(stderr, "sampling %.3f s\n", stats.sample_seconds);
    if (options->hash)
        fprintf(stderr, "logits hash %016llx\n", (unsigned long long)stats.logits_hash);
    if (!result) return;
    switch (result->finish) {
    case CHORD_FINISH_END:
        fprintf(stderr, "the model ended the text after %d tokens\n", result->tokens);
        break;
    case CHORD_FINISH_LENGTH:
        fprintf(stderr, "%d tokens written\n", result->tokens);
        break;
    case CHORD_FINISH_CONTEXT:
        fprintf(stderr, "the context of %d is full after %d tokens\n", plan->context,
                result->tokens);
        break;
    case CHORD_FINISH_STOPPED:
        fprintf(stderr, "stopped after %d tokens\n", result->tokens);
        break;
    }
}

static void run_describe(const chord_model *model, const chord_session *session) {
    chord_model_info info;
    chord_model_get_info(model, &info);
    const chord_plan_table *plan = chord_session_plan(session);
    char weights[32], arena[32];
    fprintf(stderr, "%s %s, %s, %.1f million parameters, %s of weights\n", info.architecture,
            info.name, info.file_type, (double)info.parameters / 1e6,
            cli_size(plan->weight_bytes, weights, sizeof weights));
    fprintf(stderr, "session of %d positions, KV %s, batch %d, %d lanes, %s\n", plan->context,
            cli_kv_name(plan->kv), plan->batch, plan->lanes,
            cli_size(plan->arena_bytes + plan->table_bytes, arena, sizeof arena));
    static chord_device_info device; // large
    chord_session_get_device(session, &device);
    if (device.device == CHORD_DEVICE_GPU)
        fprintf(stderr, "GPU %s, %s, %s there\n", device.name, device.version,
                cli_size(device.device_bytes, arena, sizeof arena));
}

static int run_session(const run_options *options, const chord_model *model, chord_session *session,
                       const cli_list *tokens, double load) {
    if (tokens->count == 0) {
        fputs("chord: the prompt has no tokens: there is nothing to continue\n", stderr);
        return CLI_FAILED;
    }
    if (options->verbose && !options->quiet) run_describe(model, session);
    chord_session_hash(session, options->hash);
    cli_progress_begin("prompt");
    chord_result code = chord_session_eval(session, tokens->items, tokens->count, 1);
    cli_progress_end();
    if (code) return cli_session_fail(session, code);

    cli_stream stream = {.last = '\n'};
    chord_generate_desc desc = {.max_tokens = options->tokens,
                                .ignore_end = options->ignore_end,
                                .special = options->special,
                                .on_text = cli_stream_write,
                                .user = &stream};
    chord_generate_result result = {0, CHORD_FINISH_STOPPED};
    code = chord_session_generate(session, &desc, &result);
    // A line's end that is not the model's is for people: on the terminal, or before the figures.
    bool terminal = isatty(STDOUT_FILENO);
    if (stream.last != '\n' && (terminal || !options->quiet))
        fputc('\n', terminal ? stdout : stderr);
    int exit_code = cli_stream_end(&stream);
    if (exit_code != CLI_OK) return exit_code;
    if (code && code != CHORD_ERROR_STOPPED)
        exit_code = cli_session_fail(session, code);
    else if (cli_interrupted())
        exit_code = CLI_INTERRUPTED;
    exit_code = cli_finish(exit_code);
    if (!options->quiet) run_figures(model, session, options, load, code ? NULL : &result);
    return exit_code;
}

static int run_work(const cli_command *command, const run_options *options) {
    cli_text text = {NULL, 0};
    cli_list tokens = {NULL, 0};
    chord_model *model = NULL;
    chord_session *session = NULL;
    double begun = cli_seconds();
    int code = cli_open_model(options->settings.model, &model);
    double load = cli_seconds() - begun;
    if (code == CLI_OK) code = cli_get_text(command, options->text, options->file, &text);
    if (code == CLI_OK)
        code = cli_get_tokens(model, &text, options->no_bos ? -1 : 0, options->special, &tokens);
    if (code == CLI_OK) {
        chord_session_desc desc;
        cli_session_desc(&options->settings, &desc);
        cli_writing_desc(&options->writing, &desc);
        begun = cli_seconds();
        code = cli_open_session(model, &desc, &session);
        load += cli_seconds() - begun;
    }
    if (code == CLI_OK) {
        if (!options->quiet) cli_tell_seed(&options->writing);
        cli_catch_interrupts();
        code = run_session(options, model, session, &tokens, load);
    }
    cli_close_session(session);
    chord_model_close(model);
    free(tokens.items);
    free(text.bytes);
    return code;
}

static int run_main(const cli_command *command, int argc, char **argv) {
    run_options o = {.settings = CLI_SETTINGS_DEFAULT};
    cli_writing_default(&o.writing);
    const cli_option options[] = {
        {'p', "prompt", "TEXT", CLI_TEXT, &o.text, 0, 0, "the text to continue"},
        {'f', "file", "FILE", CLI_TEXT, &o.file, 0, 0, "a file with that text; -: standard input"},
        {'n', "tokens", "N", CLI_INT, &o.tokens, 1, INT32_MAX,
         "tokens to write (until the end, or the context is full)"},
        CLI_SESSION_OPTIONS(o.settings),
        CLI_WRITING_OPTIONS(o.writing),
        {0, "ignore-eos", NULL, CLI_FLAG, &o.ignore_end, 0, 0, "go on where the model ends"},
        {0, "special", NULL, CLI_FLAG, &o.special, 0, 0, "read and write control tokens by name"},
        {0, "no-bos", NULL, CLI_FLAG, &o.no_bos, 0, 0, "no begin token before the text"},
        {0, "hash", NULL, CLI_FLAG, &o.hash, 0, 0, "tell a hash over all logits"},
        {'v', "verbose", NULL, CLI_FLAG, &o.verbose, 0, 0, "tell more"},
        {'q', "quiet", NULL, CLI_FLAG, &o.quiet, 0, 0, "no figures"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    return code == CLI_CONTINUE ? run_work(command, &o) : code;
}

const cli_command cli_run = {
    "run", "run [-m FILE] -p TEXT [options]", "Continues a text.", run_main,
    "The continuation alone goes to standard output, as it is written; figures go to standard\n"
    "error. Without -p and -f the text is read from standard input. Ctrl-C stops after the token\n"
    "at hand; the exit status is then 130."};
