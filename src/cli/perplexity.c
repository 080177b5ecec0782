// perplexity: how well a model foretells a text.
#include "cli.h"

#include <math.h>
#include <stdlib.h>

enum { PERPLEXITY_SLICE = 32 }; // rows of logits kept by one eval

// -log p(token) by a softmax over n logits, in double precision.
static double perplexity_surprise(const float *logits, int32_t n, chord_token token) {
    double most = (double)logits[0], sum = 0;
    for (int32_t i = 1; i < n; i++)
        if ((double)logits[i] > most) most = (double)logits[i];
    for (int32_t i = 0; i < n; i++) sum += exp((double)logits[i] - most);
    return log(sum) + most - (double)logits[token];
}

typedef struct perplexity_state {
    chord_session *session;
    const cli_list *tokens;
    int32_t context, slice, vocabulary;
    int32_t scored; // tokens before this one are counted
    double sum;
    int64_t count;
} perplexity_state;

// Evaluates one window that begins at token `start`, and counts the tokens that it is the first to
// foretell.
static int perplexity_window(perplexity_state *s, int32_t start) {
    int32_t end =
        s->tokens->count - 1 - start < s->context ? s->tokens->count - 1 : start + s->context;
    chord_result result = chord_session_rewind(s->session, 0);
    for (int32_t i = start; i < end && result == CHORD_OK;) {
        int32_t n = end - i < s->slice ? end - i : s->slice;
        result = chord_session_eval(s->session, s->tokens->items + i, n, n);
        for (int32_t row = 0; row < n && result == CHORD_OK; row++) {
            int32_t next = i + row + 1;
            if (next < s->scored) continue;
            s->sum += perplexity_surprise(chord_session_logits(s->session, row), s->vocabulary,
                                          s->tokens->items[next]);
            s->count++;
        }
        i += n;
        cli_progress_show(i, s->tokens->count - 1);
        if (result == CHORD_OK && cli_interrupted()) return CLI_INTERRUPTED;
    }
    s->scored = end + 1;
    return result ? cli_session_fail(s->session, result) : CLI_OK;
}

static int perplexity_session(const cli_settings *settings, int32_t stride,
                              const chord_model *model, const cli_list *tokens) {
    if (tokens->count < 2) {
        fprintf(stderr, "chord: the text has %d tokens: at least 2 are wanted\n", tokens->count);
        return CLI_FAILED;
    }
    chord_session_desc desc;
    chord_model_info info;
    chord_model_get_info(model, &info);
    cli_session_desc(settings, &desc);
    desc.on_progress = NULL; // shown here, over the whole text
    desc.logits_rows = PERPLEXITY_SLICE;
    perplexity_state s = {.tokens = tokens, .vocabulary = info.vocabulary, .scored = 1};
    int opened = cli_open_session(model, &desc, &s.session);
    if (opened != CLI_OK) return opened;
    s.context = chord_session_plan(s.session)->context;
    s.slice = chord_session_plan(s.session)->logits_rows;
    if (stride == 0 || stride > s.context) stride = s.context;
    int code = CLI_OK;
    cli_catch_interrupts();
    cli_progress_begin("tokens");
    for (int32_t start = 0; s.scored < tokens->count && code == CLI_OK; start += stride)
        code = perplexity_window(&s, start);
    cli_progress_end();
    if (code == CLI_OK)
        printf("ppl %.4f over %lld tokens\n", exp(s.sum / (double)s.count), (long long)s.count);
    cli_close_session(s.session);
    return code;
}

static int perplexity_main(const cli_command *command, int argc, char **argv) {
    cli_settings settings = CLI_SETTINGS_DEFAULT;
    const char *prompt = NULL, *file = NULL;
    int32_t stride = 0;
    bool no_bos = false;
    const cli_option options[] = {
        {'p', "prompt", "TEXT", CLI_TEXT, &prompt, 0, 0, "the text"},
        {'f', "file", "FILE", CLI_TEXT, &file, 0, 0, "a file with the text; -: standard input"},
        {0, "stride", "N", CLI_INT, &stride, 1, INT32_MAX,
         "tokens from one window to the next (the context)"},
        {0, "no-bos", NULL, CLI_FLAG, &no_bos, 0, 0, "no begin token before the text"},
        CLI_SESSION_OPTIONS(settings),
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    chord_model *model = NULL;
    cli_text text = {NULL, 0};
    cli_list tokens = {NULL, 0};
    code = cli_open_model(settings.model, &model);
    if (code == CLI_OK) code = cli_get_text(command, prompt, file, &text);
    if (code == CLI_OK) code = cli_get_tokens(model, &text, no_bos ? -1 : 0, false, &tokens);
    if (code == CLI_OK) code = perplexity_session(&settings, stride, model, &tokens);
    free(tokens.items);
    free(text.bytes);
    chord_model_close(model);
    return cli_finish(code);
}

const cli_command cli_perplexity = {
    "perplexity", "perplexity [-m FILE] -f FILE [options]",
    "Measures how well a model foretells a text.", perplexity_main,
    "Prints exp of the mean of -log p(token | those before it) over every token but the first.\n"
    "A text longer than the context is cut into windows: each begins --stride tokens after the\n"
    "one before, and counts only what none before it has foretold. The shorter the stride, the\n"
    "more a token sees of what stands before it, and the longer it takes."};
