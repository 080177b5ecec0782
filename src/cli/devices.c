// devices: the GPUs that can be reached, and what they offer.
#include "cli.h"

#include <string.h>

// Words of a list, as many on a line as fit.
static void devices_words(const char *list) {
    int column = 0;
    while (*list) {
        int n = (int)strcspn(list, " ");
        if (column > 0 && column + n + 1 > 92) {
            putchar('\n');
            column = 0;
        }
        column += printf(column ? " %.*s" : "    %.*s", n, list);
        list += n;
        list += strspn(list, " ");
    }
    if (column) putchar('\n');
}

static void devices_measure(int32_t i) {
    chord_device_roof roof;
    chord_error error = {CHORD_OK, ""};
    if (chord_measure_device(i, &roof, &error))
        printf("    not measured: %s\n", error.message);
    else
        printf("    copies at %.1f GB/s, computes at %.1f GFLOP/s of f32\n", roof.copy_bytes * 1e-9,
               roof.flops * 1e-9);
}

static int devices_main(const cli_command *command, int argc, char **argv) {
    bool extensions = false, measure = false;
    const cli_option options[] = {
        {0, "extensions", NULL, CLI_FLAG, &extensions, 0, 0, "list their extensions too"},
        {0, "measure", NULL, CLI_FLAG, &measure, 0, 0, "measure what they reach at best"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    chord_device_info info;
    int32_t count = 0, usable = 0;
    for (; chord_get_device(count, &info); count++) {
        char size[32];
        printf("%d: %s, by %s\n", count + 1, info.name, info.platform);
        if (info.version[0])
            printf("    %s\n    %d storage blocks of %s, %d invocations, %d shared bytes, %d "
                   "groups\n",
                   info.version, info.storage_blocks, cli_size(info.block_bytes, size, sizeof size),
                   info.invocations, info.shared_bytes, info.groups);
        if (extensions) devices_words(info.extensions);
        printf("    %s%s\n", info.usable ? "usable" : "not usable: ", info.reason);
        if (info.usable && measure) devices_measure(count);
        usable += info.usable;
    }
    if (count == 0 && info.reason[0]) fprintf(stderr, "chord: %s\n", info.reason);
    printf("%d ways to a device, %d usable\n", count, usable);
    return cli_finish(CLI_OK);
}

const cli_command cli_devices = {
    "devices", "devices [options]", "Lists the GPUs that chord can reach, with their limits.",
    devices_main,
    "They are reached through OpenGL ES 3.1 without a window system. One device may be reached in\n"
    "several ways; --device gpu takes the first that is usable."};
