// bench: how fast a model is on this machine, and how close that is to what the machine can do.
//
// Owns: the command line, and the order of models, lanes and batches. The work is in bench_work.c,
// the outputs in bench_output.c and bench_html.c.
#include "bench.h"

#include <stdlib.h>

enum { BENCH_MAX_ROUNDS = 1000, BENCH_MAX_TOKENS = 1 << 20, BENCH_MAX_CONFIGS = 256 };

// Lists that were not given hold one item: the default.
static bool bench_list_default(cli_list *list, int32_t value) {
    if (list->items) return true;
    list->items = malloc(sizeof *list->items);
    if (!list->items) return false;
    list->items[0] = value;
    list->count = 1;
    return true;
}

// Every model with every number of lanes and every batch.
static int bench_all(const bench_options *options, bench_report *report) {
    int32_t models = options->models.count ? options->models.count : 1;
    int64_t count = (int64_t)models * options->lanes.count * options->batches.count;
    if (count > BENCH_MAX_CONFIGS) {
        fprintf(stderr, "chord: %lld combinations of model, lanes and batch; wanted at most %d\n",
                (long long)count, BENCH_MAX_CONFIGS);
        return CLI_USAGE;
    }
    report->configs = calloc((size_t)count, sizeof *report->configs);
    if (!report->configs) return cli_no_memory();
    int code = CLI_OK;
    for (int32_t m = 0; m < models && code == CLI_OK; m++)
        for (int32_t t = 0; t < options->lanes.count && code == CLI_OK; t++)
            for (int32_t b = 0; b < options->batches.count && code == CLI_OK; b++)
                code =
                    bench_measure(options, options->models.count ? options->models.items[m] : NULL,
                                  options->lanes.items[t], options->batches.items[b],
                                  &report->configs[report->config_count++]);
    return code;
}

static int bench_print(const bench_options *options, const bench_report *report) {
    bool good = true;
    if (options->format == BENCH_JSON) {
        bench_write_json(stdout, report);
        putchar('\n');
    } else if (options->format == BENCH_CSV) {
        bench_write_csv(stdout, report);
    } else if (options->format == BENCH_HTML) {
        good = bench_write_html(stdout, report, options->history);
    } else {
        bench_write_md(stdout, report);
    }
    return good ? CLI_OK : cli_no_memory();
}

static int bench_run(const bench_options *options) {
    bench_report report;
    bench_history history = {NULL, -1, false};
    memset(&report, 0, sizeof report);
    report.options = options;
    report.when = time(NULL);
    bench_machine_read(&report.machine);
    int code = options->history ? bench_history_open(options->history, &history) : CLI_OK;
    if (code != CLI_OK) return code;
    cli_catch_interrupts();
    // The kernels need no model: asked for alone, none is wanted.
    if (!options->kernels || options->models.count > 0) code = bench_all(options, &report);
    if (code == CLI_OK && options->kernels) code = bench_measure_kernels(options, &report);
    int appended = bench_history_close(&history, code == CLI_OK ? &report : NULL);
    if (code == CLI_OK) code = bench_print(options, &report);
    if (code == CLI_OK) code = appended;
    for (int32_t i = 0; i < report.config_count; i++) bench_config_free(&report.configs[i]);
    free(report.configs);
    free(report.kernels);
    return cli_finish(code);
}

static int bench_main(const cli_command *command, int argc, char **argv) {
    bench_options o;
    memset(&o, 0, sizeof o);
    const cli_settings settings = CLI_SETTINGS_DEFAULT;
    o.settings = settings;
    o.rounds = 5;
    o.format = BENCH_MD;
    const cli_option options[] = {
        {'m', "model", "FILE", CLI_TEXTS, &o.models, 0, 0, "a model; may be given several times"},
        {'p', "prompt", "N,...", CLI_LIST, &o.prompts, 0, BENCH_MAX_TOKENS,
         "tokens of a prompt (512, or what the context holds); 0: none"},
        {'n', "tokens", "N,...", CLI_LIST, &o.writes, 0, BENCH_MAX_TOKENS,
         "tokens to write (64, or what the context holds); 0: none"},
        {'d', "depth", "N,...", CLI_LIST, &o.depths, 0, BENCH_MAX_TOKENS,
         "tokens that stand before (prompt: 0, writing: the first prompt)"},
        {'b', "batch", "N,...", CLI_LIST, &o.batches, 1, 4096,
         "tokens of a prompt evaluated at once (512)"},
        {'t', "threads", "N,...", CLI_LIST, &o.lanes, 1, 64,
         "lanes to compute with (the physical cores)"},
        {'r', "rounds", "N", CLI_INT, &o.rounds, 1, BENCH_MAX_ROUNDS,
         "rounds to measure, after one that warms up (5)"},
        {'o', "output", BENCH_FORMATS, CLI_CHOICE, &o.format, 0, 0, "how to print it (md)"},
        {0, "history", "FILE", CLI_TEXT, &o.history, 0, 0,
         "append the result as a line of JSON; html shows the lines"},
        {0, "ops", NULL, CLI_FLAG, &o.ops, 0, 0, "time each operation too"},
        {0, "kernels", NULL, CLI_FLAG, &o.kernels, 0, 0,
         "time each kernel, from the cache and from memory"},
        {0, "cold", NULL, CLI_FLAG, &o.cold, 0, 0,
         "time opening with the file out of the page cache too"},
        {'c', "context", "N", CLI_INT, &o.settings.context, 1, INT32_MAX,
         "positions to make room for (as many as the tests need)"},
        CLI_SESSION_OPTIONS(o.settings),
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code == CLI_CONTINUE) {
        bool good = bench_list_default(&o.batches, o.settings.batch) &&
                    bench_list_default(&o.lanes, o.settings.lanes);
        code = good ? bench_run(&o) : cli_no_memory();
    }
    cli_list *lists[] = {&o.prompts, &o.writes, &o.depths, &o.batches, &o.lanes};
    for (size_t i = 0; i < CH_COUNT(lists); i++) free(lists[i]->items);
    return code;
}

const cli_command cli_bench = {
    "bench", "bench [-m FILE] [options]", "Measures how fast a model is, and the machine.",
    bench_main,
    "ppN: a prompt of N tokens at once. tgN: N tokens one at a time, each with its logits. @dN:\n"
    "after N others. Which tokens, is fixed; nothing is sampled. The roof is what the machine\n"
    "reads and computes at most, measured in turn with the work; % of the roof is the least time\n"
    "it allows for the work, of the time that the work took. Lists may hold ranges: 1-4,\n"
    "128-512:128 (in steps of 128), 128-4096*2 (doubling). docs/BENCH.md describes the output."};
