// chat: a conversation, line by line.
//
// The session holds the whole chat and evaluates only what is new. When the context leaves too
// little room for an answer, the older half of the turns is forgotten and the younger half
// evaluated again, as a chat that began there; for that the turns are kept here too.
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

enum { CHAT_ROOM = 512 }; // positions to have left for an answer, if that is at most half of all

typedef struct chat_past {
    char *text;
    size_t bytes;
    chord_token *answer;
    int32_t count; // of its tokens
} chat_past;

typedef struct chat_state {
    const chat_options *options;
    const chord_model *model;
    chord_session *session;
    chord_chat_template format;
    bool terminal;   // a person types
    chat_past *past; // the turns that the session holds
    int32_t past_count, past_room;
    int32_t turns; // answered so far
    int code;      // of the whole: CLI_OK, or CLI_FAILED after a turn that got no answer
} chat_state;

// ---- the turns that are held

static void chat_forget(chat_state *chat, int32_t oldest) {
    for (int32_t i = 0; i < oldest; i++) {
        free(chat->past[i].text);
        free(chat->past[i].answer);
    }
    chat->past_count -= oldest;
    if (chat->past_count > 0)
        memmove(chat->past, chat->past + oldest, (size_t)chat->past_count * sizeof *chat->past);
}

// Keeps a turn and its answer, which begins at position `from`.
static bool chat_keep(chat_state *chat, const char *text, size_t bytes, int32_t from) {
    if (chat->past_count == chat->past_room) {
        int32_t room = chat->past_room ? 2 * chat->past_room : 16;
        chat_past *more = realloc(chat->past, (size_t)room * sizeof *more);
        if (!more) return false;
        chat->past = more;
        chat->past_room = room;
    }
    int32_t count = 0;
    const chord_token *tokens = chord_session_tokens(chat->session, &count);
    size_t answer_bytes = (size_t)(count - from) * sizeof *tokens;
    chat_past turn = {malloc(bytes + 1), bytes, malloc(answer_bytes + 1), count - from};
    if (turn.text && turn.answer) {
        memcpy(turn.text, text, bytes);
        memcpy(turn.answer, tokens + from, answer_bytes);
        chat->past[chat->past_count++] = turn;
        return true;
    }
    free(turn.text);
    free(turn.answer);
    return false;
}

static chord_result chat_say(const chat_state *chat, const char *text, size_t bytes) {
    int32_t held = 0;
    chord_session_tokens(chat->session, &held);
    const char *system = held == 0 ? chat->options->system : NULL;
    chord_chat_desc desc = {.format = chat->format,
                            .system = system,
                            .system_bytes = system ? strlen(system) : 0,
                            .text = text,
                            .text_bytes = bytes};
    return chord_session_chat(chat->session, &desc);
}

// Evaluates the kept turns anew. If that fails, all is forgotten.
static chord_result chat_replay(chat_state *chat) {
    chord_result result = chord_session_rewind(chat->session, 0);
    for (int32_t i = 0; i < chat->past_count && !result; i++) {
        const chat_past *turn = &chat->past[i];
        result = chat_say(chat, turn->text, turn->bytes);
        if (!result) result = chord_session_eval(chat->session, turn->answer, turn->count, 0);
    }
    if (result) {
        chord_session_rewind(chat->session, 0);
        chat_forget(chat, chat->past_count);
    }
    return result;
}

// True if the text alone is too much for the context: forgetting does not help.
static bool chat_too_long(const chat_state *chat, const char *text, size_t bytes) {
    size_t count = 0, scratch = chord_tokenize_scratch(chat->model, bytes);
    chord_tokenize_desc desc = {
        .text = text, .text_bytes = bytes, .bos = -1, .scratch = malloc(scratch)};
    desc.scratch_bytes = desc.scratch ? scratch : 0;
    chord_result result = chord_tokenize(chat->model, &desc, NULL, 0, &count, NULL);
    free(desc.scratch);
    return (result && result != CHORD_ERROR_SPACE) ||
           count >= (size_t)chord_session_plan(chat->session)->context;
}

// Says a turn, forgetting older ones where that is needed. *held: what the session held before it.
static chord_result chat_make_room(chat_state *chat, const char *text, size_t bytes, int32_t *held,
                                   chord_stats *before) {
    int32_t context = chord_session_plan(chat->session)->context, now = 0, forgotten = 0;
    int32_t room = chat->options->tokens ? chat->options->tokens : CHAT_ROOM;
    if (room > context / 2) room = context / 2;
    for (;;) {
        chord_session_tokens(chat->session, held);
        chord_session_get_stats(chat->session, before);
        chord_result result = chat_say(chat, text, bytes);
        chord_session_tokens(chat->session, &now);
        bool good = result ? result != CHORD_ERROR_CONTEXT_FULL : context - now >= room;
        if (good || chat->past_count == 0 || (result && chat_too_long(chat, text, bytes))) {
            if (forgotten > 0 && (chat->terminal || chat->options->verbose))
                fprintf(stderr, "the context of %d is full: turns forgotten: %d\n", context,
                        forgotten);
            return result;
        }
        int32_t half = (chat->past_count + 1) / 2;
        chat_forget(chat, half);
        forgotten += half;
        result = chat_replay(chat);
        if (result) return result;
    }
}

// ---- a turn

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
    int code = cli_session_fail(chat->session, result);
    if (result != CHORD_ERROR_CONTEXT_FULL && result != CHORD_ERROR_MEMORY) return code;
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
        fprintf(stderr, "chord: the answer was cut off: the context of %d is full\n",
                chord_session_plan(chat->session)->context);
    return CLI_CONTINUE;
}

// One turn and its answer. CLI_CONTINUE, or the exit code.
static int chat_turn(chat_state *chat, const char *text, size_t bytes) {
    chord_stats before, between;
    int32_t held = 0, now = 0;
    cli_catch_interrupts();
    cli_progress_begin("turn");
    chord_result result = chat_make_room(chat, text, bytes, &held, &before);
    cli_progress_end();
    chord_session_tokens(chat->session, &now);
    chord_session_get_stats(chat->session, &between);
    int code = result ? chat_turn_failed(chat, result) : chat_answer(chat);
    bool leave = cli_terminated() || (cli_interrupted() && !chat->terminal);
    cli_release_interrupts();
    if (result) return leave ? CLI_INTERRUPTED : code;
    chat->turns++;
    if (!chat_keep(chat, text, bytes, now)) return cli_no_memory();
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
        chat_forget(chat, chat->past_count);
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
    chat->model = model;
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
    chat_state chat = {.options = options};
    int code = cli_open_model(options->settings.model, &model);
    if (code != CLI_OK) return code;
    cli_session_desc(&options->settings, &desc);
    cli_writing_desc(&options->writing, &desc);
    code = cli_open_session(model, &desc, &chat.session);
    if (code == CLI_OK) code = chat_begin(&chat, model);
    if (code == CLI_OK) {
        code = CLI_CONTINUE;
        if (options->first && *options->first)
            code = chat_turn(&chat, options->first, strlen(options->first));
        if (code == CLI_CONTINUE) code = chat_lines(&chat);
    }
    chat_forget(&chat, chat.past_count);
    free(chat.past);
    cli_close_session(chat.session);
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
    "KV cache: only what is new is computed. Where the context gets full, the older half of the\n"
    "turns is forgotten. Control tokens come from the template alone: none is read from what you\n"
    "type."};
