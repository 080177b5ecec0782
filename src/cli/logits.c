// logits: the logits of every token of a list, as a file of floats.
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { LOGITS_SLICE = 16 }; // rows kept by one eval

static bool logits_little_endian(void) {
    const uint16_t one = 1;
    return *(const unsigned char *)&one == 1;
}

static bool logits_write(FILE *file, const float *row, size_t n) {
    if (logits_little_endian()) return fwrite(row, sizeof *row, n, file) == n;
    for (size_t i = 0; i < n; i++) {
        unsigned char in[4], out[4];
        memcpy(in, &row[i], 4);
        for (int j = 0; j < 4; j++) out[j] = in[3 - j];
        if (fwrite(out, 4, 1, file) != 1) return false;
    }
    return true;
}

// Evaluates all tokens, slice by slice.
static int logits_evaluate(chord_session *session, const cli_list *tokens, int32_t slice,
                           size_t vocabulary, const cli_output *output) {
    cli_progress_begin("tokens");
    int code = CLI_OK;
    for (int32_t i = 0; i < tokens->count && code == CLI_OK; i += slice) {
        int32_t n = tokens->count - i < slice ? tokens->count - i : slice;
        chord_result result = chord_session_eval(session, tokens->items + i, n, n);
        if (result) code = cli_session_fail(session, result);
        for (int32_t row = 0; row < n && code == CLI_OK; row++)
            if (!logits_write(output->file, chord_session_logits(session, row), vocabulary))
                code = cli_output_fail(output);
        cli_progress_show(i + n, tokens->count);
    }
    cli_progress_end();
    return code;
}

static int logits_session(const cli_settings *settings, const cli_list *tokens, const char *path,
                          bool hash, const chord_model *model) {
    chord_session *session = NULL;
    chord_session_desc desc;
    chord_model_info info;
    chord_model_get_info(model, &info);
    cli_session_desc(settings, &desc);
    desc.on_progress = NULL; // a slice is short
    if (desc.context == 0) desc.context = tokens->count;
    int32_t slice = desc.batch ? desc.batch : LOGITS_SLICE;
    if (slice > desc.context) slice = desc.context;
    desc.logits_rows = slice;
    int opened = cli_open_session(model, &desc, &session);
    if (opened != CLI_OK) return opened;
    chord_session_hash(session, hash);
    size_t vocabulary = (size_t)info.vocabulary;
    cli_output output;
    int code = cli_output_open(&output, path);
    if (code == CLI_OK)
        code =
            cli_output_close(&output, logits_evaluate(session, tokens, slice, vocabulary, &output));
    if (hash && code == CLI_OK) {
        chord_stats stats;
        chord_session_get_stats(session, &stats);
        fprintf(stderr, "logits hash %016llx\n", (unsigned long long)stats.logits_hash);
    }
    cli_close_session(session);
    return code;
}

static int logits_main(const cli_command *command, int argc, char **argv) {
    cli_settings settings = CLI_SETTINGS_DEFAULT;
    cli_list tokens = {NULL, 0};
    const char *path = NULL;
    bool hash = false;
    const cli_option options[] = {
        {0, "tokens", "ID,ID,...", CLI_LIST, &tokens, 0, INT32_MAX, "the tokens"},
        {'o', "output", "FILE", CLI_TEXT, &path, 0, 0, "where to write; -: standard output"},
        CLI_SESSION_OPTIONS(settings),
        {0, "hash", NULL, CLI_FLAG, &hash, 0, 0, "tell a hash over all logits"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    chord_model *model = NULL;
    if (code == CLI_CONTINUE && tokens.count == 0)
        code = cli_usage(command, "no tokens: give them with --tokens ID,ID,...");
    if (code == CLI_CONTINUE && !path)
        code = cli_usage(command, "no output: give a file with -o FILE");
    if (code == CLI_CONTINUE) {
        code = cli_open_model(settings.model, &model);
        if (code == CLI_OK) code = logits_session(&settings, &tokens, path, hash, model);
    }
    free(tokens.items);
    chord_model_close(model);
    return code;
}

const cli_command cli_logits = {
    "logits", "logits [-m FILE] --tokens ID,ID,... -o FILE [options]",
    "Writes the logits of a list of tokens.", logits_main,
    "The file holds [tokens][vocabulary] little-endian 32-bit floats. It gets its name only when\n"
    "it is whole. The context is as long as the list; the batch is 16 unless -b tells another."};
