// export_model: writes the built-in model into a file.
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <string.h>
#include <sys/stat.h>

static int export_main(const cli_command *command, int argc, char **argv) {
    const char *path = NULL;
    bool force = false;
    const cli_option options[] = {
        {'o', "output", "FILE", CLI_TEXT, &path, 0, 0,
         "where to write, here or without -o; -: standard output"},
        {0, "force", NULL, CLI_FLAG, &force, 0, 0, "write over a file that is there"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    if (!path) return cli_usage(command, "no file: chord export-model FILE");
    size_t bytes = 0;
    const void *model = chord_builtin_model(&bytes);
    if (!model) {
        fputs("chord: this build has no model built in\n", stderr);
        return CLI_FAILED;
    }
    struct stat there;
    if (!force && strcmp(path, "-") != 0 && lstat(path, &there) == 0) {
        fprintf(stderr, "chord: %s is there already: --force writes over it\n", path);
        return CLI_FAILED;
    }
    cli_output output;
    code = cli_output_open(&output, path);
    if (code != CLI_OK) return code;
    if (fwrite(model, 1, bytes, output.file) != bytes) code = cli_output_fail(&output);
    return cli_output_close(&output, code);
}

const cli_command cli_export_model = {"export-model", "export-model FILE [options]",
                                      "Writes the built-in model into a file.", export_main,
                                      "The file gets its name only when it is whole."};
