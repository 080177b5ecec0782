// tokenize: the tokens of a text.
#include "cli.h"

#include <stdlib.h>

static void tokenize_print(const chord_model *model, const cli_list *tokens, bool pieces) {
    for (int32_t i = 0; i < tokens->count; i++) {
        chord_token token = tokens->items[i];
        if (!pieces) {
            printf("%s%d", i ? "," : "", token);
            continue;
        }
        char room[256], *text = room;
        size_t bytes = chord_token_text(model, token, true, room, sizeof room);
        if (bytes > sizeof room && (text = malloc(bytes)) != NULL)
            chord_token_text(model, token, true, text, bytes);
        printf("%d ", token);
        if (text) cli_print_json(text, bytes);
        putchar('\n');
        if (text != room) free(text);
    }
    if (!pieces) putchar('\n');
}

static int tokenize_main(const cli_command *command, int argc, char **argv) {
    cli_settings settings = CLI_SETTINGS_DEFAULT;
    const char *prompt = NULL, *file = NULL;
    bool no_bos = false, special = false, pieces = false;
    const cli_option options[] = {
        CLI_MODEL_OPTION(settings),
        {'p', "prompt", "TEXT", CLI_TEXT, &prompt, 0, 0, "the text"},
        {'f', "file", "FILE", CLI_TEXT, &file, 0, 0, "a file with the text; -: standard input"},
        {0, "no-bos", NULL, CLI_FLAG, &no_bos, 0, 0, "no begin token before the text"},
        {0, "special", NULL, CLI_FLAG, &special, 0, 0, "read control tokens by name"},
        {0, "pieces", NULL, CLI_FLAG, &pieces, 0, 0, "one token a line, with its text"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    chord_model *model = NULL;
    cli_text text = {NULL, 0};
    cli_list tokens = {NULL, 0};
    code = cli_open_model(settings.model, &model);
    if (code == CLI_OK) code = cli_get_text(command, prompt, file, &text);
    if (code == CLI_OK) code = cli_get_tokens(model, &text, no_bos ? -1 : 0, special, &tokens);
    if (code == CLI_OK) tokenize_print(model, &tokens, pieces);
    free(tokens.items);
    free(text.bytes);
    chord_model_close(model);
    return cli_finish(code);
}

const cli_command cli_tokenize = {
    "tokenize", "tokenize [-m FILE] [-p TEXT] [options]", "Turns a text into token ids.",
    tokenize_main,
    "Prints the ids with commas between. Without -p and -f the text is read from standard input."};
