// chat: a conversation, line by line.
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct chat_options {
    cli_settings settings;
    cli_writing writing;
    const char *first, *system;
    int32_t tokens;
    int32_t format; // a choice, -1: none made
    bool verbose, quiet;
} chat_options;

typedef struct chat_state {
    const chat_options *options;
    chord_session *session;
    chord_chat_template format;
    bool terminal; // a person types
    int32_t turns;
    int code; // of the whole: CLI_OK, or CLI_FAILED after a turn that got no answer
} chat_state;

static void chat_figures(const chat_state *chat, const chord_stats *before, int32_t turn_tokens,
                         double turn_seconds) {
    chord_stats after;
    chord_session_get_stats(chat->session, &after);
    double decode = after.decode_seconds - before->decode_seconds;
    int32_t tokens = after.decode_tokens - before->decode_tokens, count = 0;
    chord_session_tokens(chat->session, &count);
    fprintf(stderr, "turn %d: prefill %d tokens, %.1f t/s; decode %d tokens, %.1f t/s; ",
            chat->turns, turn_tokens, turn_seconds > 0 ? turn_tokens / turn_seconds : 0.0, tokens,
            decode > 0 ? tokens / decode : 0.0);
    fprintf(stderr, "%d of %d positions\n", count, chord_session_plan(chat->session)->context);
}

// What goes wrong with a turn. CLI_CONTINUE where the chat can go on without it.
static int chat_turn_failed(chat_state *chat, chord_result result) {
    if (result == CHORD_ERROR_STOPPED && cli_interrupted()) return CLI_CONTINUE;
    bool full = result == CHORD_ERROR_CONTEXT_FULL;
    if (!full && result != CHORD_ERROR_MEMORY) return cli_session_fail(chat->session, result);
    fprintf(stderr, "chord: %s%s\n", chord_session_error(chat->session),
            full ? "; /clear begins a new chat" : "");
    chat->code = CLI_FAILED;
    return CLI_CONTINUE;
}

// Writes the answer. CLI_CONTINUE, or the exit code.
static int chat_answer(const chat_state *chat) {
    const chat_options *options = chat->options;
    cli_stream stream = {.skip_blanks = true};
    chord_generate_desc desc = {.max_tokens = options->tokens,
                                .on_text = cli_stream_write,
                                .user = &stream,
                                .stop = chord_chat_stop(chat->format)};
    chord_generate_result result = {0, CHORD_FINISH_STOPPED};
    chord_result code = chord_session_generate(chat->session, &desc, &result);
    stream.skip_blanks = false;
    if (!stream.error && stream.last != '\n') cli_stream_write(&stream, "\n", 1);
    if (stream.error) return cli_stream_end(&stream);
    if (code && code != CHORD_ERROR_STOPPED) return cli_session_fail(chat->session, code);
    if (!code && result.finish == CHORD_FINISH_CONTEXT)
        fprintf(stderr, "chord: the context of %d is full; /clear begins a new chat\n",
                chord_session_plan(chat->session)->context);
    return CLI_CONTINUE;
}

// One turn and its answer. CLI_CONTINUE, or the exit code.
static int chat_turn(chat_state *chat, const char *text, size_t bytes) {
    chord_stats before, between;
    int32_t held = 0, now = 0;
    chord_session_tokens(chat->session, &held);
    chord_session_get_stats(chat->session, &before);
    const char *system = held == 0 ? chat->options->system : NULL;
    chord_chat_desc desc = {.format = chat->format,
                            .system = system,
                            .system_bytes = system ? strlen(system) : 0,
                            .text = text,
                            .text_bytes = bytes};
    cli_catch_interrupts();
    cli_progress_begin("turn");
    chord_result result = chord_session_chat(chat->session, &desc);
    cli_progress_end();
    chord_session_tokens(chat->session, &now);
    chord_session_get_stats(chat->session, &between);
    int code = result ? chat_turn_failed(chat, result) : chat_answer(chat);
    bool leave = cli_terminated() || (cli_interrupted() && !chat->terminal);
    cli_release_interrupts();
    if (result) return leave ? CLI_INTERRUPTED : code;
    chat->turns++;
    double seconds = between.prefill_seconds - before.prefill_seconds;
    seconds += between.decode_seconds - before.decode_seconds; // where the turn is one token
    if (chat->options->verbose && code == CLI_CONTINUE)
        chat_figures(chat, &between, now - held, seconds);
    return leave && code == CLI_CONTINUE ? CLI_INTERRUPTED : code;
}

// A line that begins with "/". CLI_CONTINUE, or the exit code.
static int chat_command(chat_state *chat, const char *line) {
    if (strcmp(line, "/quit") == 0) return chat->code;
    if (strcmp(line, "/clear") == 0) {
        chord_session_rewind(chat->session, 0);
    } else if (strcmp(line, "/help") == 0) {
        fputs("/clear  forget all that was said, and begin anew\n"
              "/quit   leave; so do Ctrl-D, and Ctrl-C where a line is awaited\n"
              "/help   this text\n"
              "Ctrl-C stops an answer. A line that begins with a blank is no command.\n",
              stderr);
    } else {
        fprintf(stderr, "chord: there is no command %.40s; /help tells which there are\n", line);
        if (!chat->terminal) chat->code = CLI_FAILED;
    }
    return CLI_CONTINUE;
}

// Reads lines until the end of the input. The exit code.
static int chat_lines(chat_state *chat) {
    char *line = NULL;
    size_t room = 0;
    int code = CLI_CONTINUE;
    while (code == CLI_CONTINUE) {
        if (chat->terminal) fputs("> ", stderr);
        errno = 0;
        ssize_t got = getline(&line, &room, stdin);
        if (got < 0) {
            code = chat->code;
            if (chat->terminal) fputc('\n', stderr);
            if (feof(stdin)) break;
            fprintf(stderr, "chord: cannot read standard input: %s\n", strerror(errno));
            code = CLI_FAILED;
            break;
        }
        size_t bytes = (size_t)got;
        if (bytes > 0 && line[bytes - 1] == '\n') bytes--;
        if (bytes > 0 && line[bytes - 1] == '\r') bytes--;
        line[bytes] = 0;
        if (bytes == 0) continue;
        code = line[0] == '/' ? chat_command(chat, line) : chat_turn(chat, line, bytes);
    }
    free(line);
    return code;
}

static int chat_begin(chat_state *chat, const chord_model *model) {
    const chat_options *options = chat->options;
    chord_error error = {CHORD_OK, ""};
    chat->format = (chord_chat_template)(CHORD_CHAT_AUTO + 1 + options->format);
    if (chat->format == CHORD_CHAT_AUTO && chord_chat_detect(model, &chat->format, &error)) {
        fprintf(stderr, "chord: %s (--template)\n", error.message);
        return CLI_FAILED;
    }
    chat->terminal = isatty(STDIN_FILENO);
    if (options->quiet || !(chat->terminal || options->verbose)) return CLI_OK;
    char name[96];
    fprintf(stderr, "%s, %d positions; /help tells what can be typed\n",
            cli_model_name(options->settings.model, model, name, sizeof name),
            chord_session_plan(chat->session)->context);
    cli_tell_seed(&options->writing);
    return CLI_OK;
}

static int chat_work(const chat_options *options) {
    chord_model *model = NULL;
    chord_session_desc desc;
    chord_error error = {CHORD_OK, ""};
    chat_state chat = {.options = options};
    int code = cli_open_model(options->settings.model, &model);
    if (code != CLI_OK) return code;
    cli_session_desc(&options->settings, &desc);
    cli_writing_desc(&options->writing, &desc);
    if (chord_session_open(model, &desc, &chat.session, &error)) code = cli_fail(&error);
    if (code == CLI_OK) code = chat_begin(&chat, model);
    if (code == CLI_OK) {
        code = CLI_CONTINUE;
        if (options->first && *options->first)
            code = chat_turn(&chat, options->first, strlen(options->first));
        if (code == CLI_CONTINUE) code = chat_lines(&chat);
    }
    chord_session_close(chat.session);
    chord_model_close(model);
    return cli_finish(code);
}

static int chat_main(const cli_command *command, int argc, char **argv) {
    chat_options o = {.settings = CLI_SETTINGS_DEFAULT, .format = -1};
    cli_writing_default(&o.writing);
    const cli_option options[] = {
        {'p', "prompt", "TEXT", CLI_TEXT, &o.first, 0, 0, "what you say first"},
        {0, "system", "TEXT", CLI_TEXT, &o.system, 0, 0, "how the model shall behave"},
        {0, "template", "chatml|llama2|alpaca", CLI_CHOICE, &o.format, 0, 0,
         "how the turns are written (as the model says)"},
        {'n', "tokens", "N", CLI_INT, &o.tokens, 1, INT32_MAX,
         "tokens of an answer at most (until its end, or the context is full)"},
        CLI_SESSION_OPTIONS(o.settings),
        CLI_WRITING_OPTIONS(o.writing),
        {'v', "verbose", NULL, CLI_FLAG, &o.verbose, 0, 0, "figures of each turn"},
        {'q', "quiet", NULL, CLI_FLAG, &o.quiet, 0, 0, "no heading"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    return code == CLI_CONTINUE ? chat_work(&o) : code;
}

const cli_command cli_chat = {
    "chat", "chat [-m FILE] [options]", "Talks with you, line by line.", chat_main,
    "Each line is a turn; /help tells what else can be typed. Where standard input is no "
    "terminal,\n"
    "the answers alone go to standard output, a line's end after each. What was said stays in the\n"
    "KV cache: only what is new is computed. Control tokens come from the template alone: none is\n"
    "read from what you type."};
