// gate: the gates of a file, and the exit status that a CI needs.
//
// Owns: the command line, which gates are run and in which order, new limits. Refuses: loosening a
// limit without being told to.
#include "gate.h"

#include <stdlib.h>
#include <string.h>

enum { GATE_MOST_MARGIN = 90 };

typedef struct gate_settings {
    const char *path, *only, *against;
    int32_t tier, output, cpu, margin;
    bool list, update, loosen, serve;
} gate_settings;

// ---- choosing

// Whether `text` is what `pattern` says: '*' is any text, '?' one byte.
static bool gate_matches(const char *pattern, const char *text) {
    for (; *pattern; pattern++, text++) {
        if (*pattern == '*') {
            while (!gate_matches(pattern + 1, text))
                if (!*text++) return false;
            return true;
        }
        if (!*text || (*pattern != '?' && *pattern != *text)) return false;
    }
    return !*text;
}

static bool gate_chosen(const gate_settings *settings, const gate_spec *gate) {
    if (settings->against ? gate->tier != GATE_AB : gate->tier == GATE_AB && !settings->list)
        return false;
    if (settings->tier >= 0 && (int32_t)gate->tier != settings->tier) return false;
    if (!settings->only) return true;
    return strpbrk(settings->only, "*?") ? gate_matches(settings->only, gate->name)
                                         : strstr(gate->name, settings->only) != NULL;
}

static int gate_none(const cli_command *command, const gate_settings *settings,
                     const gate_file *file) {
    const char *near = NULL;
    const char **names = calloc((size_t)file->gate_count + 1, sizeof *names);
    if (!names) return cli_no_memory();
    for (int32_t i = 0; i < file->gate_count; i++) names[i] = file->gates[i].name;
    if (settings->only) near = cli_nearest(settings->only, names, file->gate_count);
    free(names);
    if (settings->only)
        return cli_usage(command, "no gate of %s is chosen by '%.60s'%s%s%s", file->path,
                         settings->only, near ? "; did you mean '" : "", near ? near : "",
                         near ? "'?" : "");
    return cli_usage(command, "%s holds no such gates", file->path);
}

// ---- limits

// The limit of a gate for the level in use, or NULL.
static const json_value *gate_limit(const gate_context *context, const gate_spec *gate) {
    // Instructions are counted with AVX2 on all of x86: see gate_exact.c.
    int32_t column = context->column;
    if (gate->measure == GATE_INSTRUCTIONS && CH_X86)
        for (column = 0; strcmp(gate_level_name(column), "avx2") != 0;) column++;
    const json_value *limit = gate->limits[column];
    return limit ? limit : gate->limits[GATE_ANY];
}

// The column of the best level that is in use.
static int32_t gate_column(uint32_t bits) {
    static const struct {
        const char *name;
        uint32_t bit;
    } levels[] = {{"amx", CH_CPU_AMX},         {"avx512", CH_CPU_AVX512},
                  {"avxvnni", CH_CPU_AVXVNNI}, {"avx2", CH_CPU_AVX2},
                  {"i8mm", CH_CPU_I8MM},       {"dotprod", CH_CPU_DOTPROD},
                  {"neon", CH_CPU_NEON},       {"c", 0}};
    size_t i = 0;
    while (levels[i].bit && !(bits & levels[i].bit)) i++;
    int32_t column = 0;
    while (strcmp(gate_level_name(column), levels[i].name) != 0) column++;
    return column;
}

// ---- running

static void gate_run_one(const gate_context *context, const gate_settings *settings,
                         const gate_spec *gate, gate_result *result) {
    double begun = cli_seconds();
    const json_value *limit = gate_limit(context, gate);
    result->spec = gate;
    result->limit = limit ? limit->number : 0;
    if (gate->model && gate->model->builtin && !chord_builtin_model(NULL))
        gate_skip(result, "this program was built without a model");
    else if (!limit && gate->tier != GATE_AB && !settings->update)
        gate_skip(result, "it has no limit for %s", gate_level_name(context->column));
    else if (gate->tier == GATE_EXACT)
        gate_exact_run(context, result);
    else if (gate->tier == GATE_SHARE)
        gate_share_run(context, result);
    else
        gate_ab_run(context, settings->against, result);
    result->seconds = cli_seconds() - begun;
}

static int gate_list(const gate_context *context, const gate_settings *settings) {
    int32_t count = 0;
    puts("| gate | tier | measure | limit |\n|---|---|---|---:|");
    for (int32_t i = 0; i < context->file->gate_count; i++) {
        const gate_spec *gate = &context->file->gates[i];
        const json_value *limit = gate_limit(context, gate);
        char text[32];
        if (!gate_chosen(settings, gate)) continue;
        count++;
        fputs("| ", stdout);
        cli_print_text(gate->name);
        printf(" | %s | %s | %s |\n", gate_tier_name(gate->tier), gate_measure_name(gate->measure),
               limit ? gate_value_text(gate, limit->number, text) : "");
    }
    printf("\n%d gates, %s\n", count, gate_level_name(context->column));
    return cli_finish(CLI_OK);
}

// ---- new limits

// The limit that a result asks for: a count as it is and a share with a margin, unless the gate has
// a margin of its own.
static double gate_wanted(const gate_settings *settings, const gate_result *r) {
    bool exact = r->spec->tier == GATE_EXACT;
    int32_t own = r->spec->numbers[GATE_N_MARGIN], margin = exact ? 0 : settings->margin;
    if (own >= 0) margin = own;
    return exact ? ceil(r->measured * (100 + margin) / 100) : r->measured * (100 - margin) / 100;
}

// Decides about one limit, tells of it, and fills an edit if there is one.
static bool gate_renew(const gate_context *context, const gate_settings *settings,
                       const gate_result *r, gate_edit *edit) {
    const json_value *limit = gate_limit(context, r->spec),
                     *limits = json_member(r->spec->value, "limit");
    const char *level = gate_level_name(context->column);
    char number[32], old[32], new[32];
    gate_number_text(gate_wanted(settings, r), number, sizeof number);
    double wanted = strtod(number, NULL);
    gate_value_text(r->spec, wanted, new);
    if (!limit) {
        edit->at = edit->end = limits->end - 1; // before the closing bracket
        snprintf(edit->text, sizeof edit->text, "%s\"%s\": %s", limits->count ? ", " : "", level,
                 number);
        fprintf(stderr, "%s: new for %s: %s\n", r->spec->name, level, new);
        return true;
    }
    bool same = !(wanted < limit->number) && !(wanted > limit->number);
    bool exact = r->spec->tier == GATE_EXACT;
    bool looser = exact ? wanted > limit->number : wanted < limit->number;
    if (same) return false;
    gate_value_text(r->spec, limit->number, old);
    if (looser && !settings->loosen) {
        fprintf(stderr, "%s: %s stays; %s would be looser, which --loosen allows\n", r->spec->name,
                old, new);
        return false;
    }
    fprintf(stderr, "%s: %s -> %s, %s\n", r->spec->name, old, new, looser ? "LOOSER" : "tighter");
    edit->at = limit->at;
    edit->end = limit->end;
    snprintf(edit->text, sizeof edit->text, "%s", number);
    return true;
}

static int gate_update(const gate_context *context, const gate_settings *settings,
                       const gate_run *run) {
    int32_t count = 0;
    gate_edit *edits = calloc((size_t)run->count + 1, sizeof *edits);
    if (!edits) return cli_no_memory();
    for (int32_t i = 0; i < run->count; i++) {
        const gate_result *r = &run->results[i];
        bool measured = r->verdict == GATE_PASSED || r->verdict == GATE_FAILED;
        if (measured && gate_renew(context, settings, r, &edits[count])) count++;
    }
    int code = count > 0 ? gate_file_edit(context->file, edits, count) : CLI_OK;
    if (code == CLI_OK) fprintf(stderr, "%d limits of %s are new\n", count, context->file->path);
    free(edits);
    return code;
}

// ---- the command

static int gate_all(const cli_command *command, gate_context *context,
                    const gate_settings *settings) {
    gate_file *file = context->file;
    char disturbed[256] = "";
    measure_watch watch;
    gate_run run = {.path = file->path,
                    .against = settings->against,
                    .level = gate_level_name(context->column),
                    .disturbed = disturbed};
    int code = settings->against ? gate_ab_check(context, settings->against) : CLI_OK;
    if (code != CLI_OK) return code;
    run.results = calloc((size_t)file->gate_count + 1, sizeof *run.results);
    if (!run.results) return cli_no_memory();
    double begun = cli_seconds();
    cli_catch_interrupts();
    cli_progress_begin("gates");
    measure_watch_begin(&watch);
    for (int32_t i = 0; i < file->gate_count && !cli_interrupted(); i++) {
        cli_progress_show(i, file->gate_count);
        if (gate_chosen(settings, &file->gates[i]))
            gate_run_one(context, settings, &file->gates[i], &run.results[run.count++]);
    }
    measure_watch_end(&watch);
    cli_progress_end();
    run.seconds = cli_seconds() - begun;
    if (!settings->against && settings->tier != GATE_EXACT) // whose children would count as others
        measure_disturbed(&watch, NULL, disturbed, sizeof disturbed);
    if (cli_interrupted()) {
        code = CLI_INTERRUPTED;
    } else if (run.count == 0) {
        code = gate_none(command, settings, file);
    } else {
        gate_report((gate_output)settings->output, &run);
        if (settings->update) code = gate_update(context, settings, &run);
        if (code == CLI_OK && gate_run_count(&run, GATE_FAILED) && !settings->update)
            code = CLI_GATE;
        if (gate_run_count(&run, GATE_BROKEN)) code = CLI_FAILED;
    }
    free(run.results);
    return cli_finish(code);
}

static int gate_check(const cli_command *command, const gate_settings *settings) {
    if (settings->against && settings->tier >= 0 && settings->tier != GATE_AB)
        return cli_usage(command, "--against runs the tier ab, not %s",
                         gate_tier_name((gate_tier)settings->tier));
    if (!settings->against && settings->tier == GATE_AB && !settings->list)
        return cli_usage(command, "the tier ab wants another program: --against OTHER_CHORD");
    if (settings->update && settings->against)
        return cli_usage(command, "--update has no limits to set from an A/B run");
    if (settings->loosen && !settings->update)
        return cli_usage(command, "--loosen is for --update");
    return CLI_CONTINUE;
}

static int gate_main(const cli_command *command, int argc, char **argv) {
    gate_settings s = {.tier = -1, .cpu = -1, .margin = 15};
    const cli_option options[] = {
        {'g', "gates", "FILE", CLI_TEXT, &s.path, 0, 0, "the gates (bench/gates.json)"},
        {0, "only", "PATTERN", CLI_TEXT, &s.only, 0, 0,
         "gates with this in their name, or that are named so, with * and ?"},
        {0, "tier", "exact|share|ab", CLI_CHOICE, &s.tier, 0, 0, "gates of one tier"},
        {0, "against", "OTHER_CHORD", CLI_TEXT, &s.against, 0, 0,
         "another program, to be no slower than: runs the tier ab"},
        {'o', "output", "md|json|junit", CLI_CHOICE, &s.output, 0, 0, "how to print it (md)"},
        {0, "list", NULL, CLI_FLAG, &s.list, 0, 0, "list the gates, run none"},
        {0, "update", NULL, CLI_FLAG, &s.update, 0, 0, "write new limits into the file"},
        {0, "margin", "PERCENT", CLI_INT, &s.margin, 0, GATE_MOST_MARGIN,
         "how far below a share its new limit is (15), unless its gate tells"},
        {0, "loosen", NULL, CLI_FLAG, &s.loosen, 0, 0, "let --update loosen limits too"},
        {0, "serve", NULL, CLI_FLAG, &s.serve, 0, 0,
         "answer on standard input: how --against drives a program"},
        CLI_CPU_OPTION(s.cpu),
        CLI_END};
    gate_file file;
    int code = cli_parse(command, options, argc, argv);
    if (code == CLI_CONTINUE) code = gate_check(command, &s);
    if (code != CLI_CONTINUE) return code;
    code = gate_file_open(s.path ? s.path : "bench/gates.json", &file);
    if (code != CLI_OK) return code;
    gate_context context = {.file = &file, .cpu = cli_cpu_name(s.cpu)};
    (void)ch_cpu_choose(context.cpu, &context.cpu_bits); // a level that was checked
    context.column = gate_column(context.cpu_bits);
    code = s.serve  ? gate_serve(&context)
           : s.list ? gate_list(&context, &s)
                    : gate_all(command, &context, &s);
    gate_file_close(&file);
    return code;
}

const cli_command cli_gate = {
    "gate", "gate [FILE] [options]", "Fails where something has become slower, or takes more.",
    gate_main,
    "Exact counts have no tolerance. Shares of the machine's own limits are measured in turn with\n"
    "those. With --against, this program and another one do the same work in turn. docs/GATES.md\n"
    "tells what is in a gates file. Exit status 3: a gate failed."};
