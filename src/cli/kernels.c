// kernels: the list of all kernels, and which of them this machine takes.
#include "cli.h"

static int kernels_main(const cli_command *command, int argc, char **argv) {
    int32_t cpu = -1;
    const cli_option options[] = {CLI_CPU_OPTION(cpu), CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    chord_kernel_info kernel;
    int32_t count = 0, usable = 0, chosen = 0;
    printf("%-32s %-12s %-8s %s\n", "kernel", "family", "usable", "chosen");
    for (; chord_get_kernel(count, cli_cpu_name(cpu), &kernel); count++) {
        printf("%-32s %-12s %-8s %s\n", kernel.name, kernel.family, kernel.usable ? "yes" : "no",
               kernel.chosen ? "yes" : "no");
        usable += kernel.usable;
        chosen += kernel.chosen;
    }
    printf("%d kernels, %d usable, %d chosen\n", count, usable, chosen);
    return cli_finish(CLI_OK);
}

const cli_command cli_kernels = {"kernels", "kernels [options]",
                                 "Lists the kernels and which ones this machine takes.",
                                 kernels_main, NULL};
