// main: finds the subcommand and runs it.
#include "cli.h"

#include <string.h>

static const cli_command *const main_commands[] = {
    &cli_run,     &cli_chat,         &cli_tokenize, &cli_logits,  &cli_perplexity,
    &cli_inspect, &cli_plan,         &cli_graph,    &cli_kernels, &cli_bench,
    &cli_gate,    &cli_export_model, &cli_devices,
};
enum { MAIN_COMMANDS = (int)(sizeof main_commands / sizeof *main_commands) };

static int main_version(void) {
    printf("chord %s\n", chord_version());
    return cli_finish(CLI_OK);
}

static int main_help(void) {
    printf(
        "usage: chord COMMAND [options]\n\nRuns language models from GGUF files.\n\ncommands:\n");
    for (int i = 0; i < MAIN_COMMANDS; i++)
        printf("  %-14s%s\n", main_commands[i]->name, main_commands[i]->summary);
    printf("  %-14s%s\n", "version", "Tells the version of the program.");
    printf("\nMore about one of them: chord COMMAND --help\n"
           "Exit status: 0 done, 1 the work failed, 2 the command line is wrong, "
           "3 a gate failed,\n130 interrupted.\n");
    return cli_finish(CLI_OK);
}

static int main_unknown(const char *word) {
    const char *names[MAIN_COMMANDS + 1];
    for (int i = 0; i < MAIN_COMMANDS; i++) names[i] = main_commands[i]->name;
    names[MAIN_COMMANDS] = "version";
    const char *near = cli_nearest(word, names, MAIN_COMMANDS + 1);
    return cli_usage(NULL, "there is no command '%.40s'%s%s%s", word, near ? "; did you mean " : "",
                     near ? near : "", near ? "?" : "");
}

int main(int argc, char **argv) {
    cli_catch_cut_file();
    if (argc < 2) return cli_usage(NULL, "no command");
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return main_help();
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) return main_version();
    for (int i = 0; i < MAIN_COMMANDS; i++)
        if (strcmp(word, main_commands[i]->name) == 0)
            return main_commands[i]->main(main_commands[i], argc - 2, argv + 2);
    return main_unknown(word);
}
