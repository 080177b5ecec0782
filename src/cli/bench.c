// bench: tokens per second, of a prompt and of writing.
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { BENCH_MAX_ROUNDS = 1000, BENCH_MAX_TOKENS = 1 << 20 };

typedef struct bench_result {
    char name[24]; // "pp512", "tg64"
    int32_t tokens;
    double *samples; // [rounds] tokens per second, sorted in the end
} bench_result;

typedef struct bench_state {
    chord_session *session;
    int32_t vocabulary, rounds;
    cli_list prompts, writes;
    chord_token *tokens; // of the longest prompt
    bench_result *results;
    int32_t count; // of results: prompts, then writes
} bench_state;

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bench_median(const double *sorted, int32_t n) {
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

// One round: every prompt from an empty context, then every writing after the first prompt. Round
// -1 warms up.
static chord_result bench_round(bench_state *s, int32_t round) {
    chord_result code = CHORD_OK;
    bench_result *result = s->results;
    for (int32_t i = 0; i < s->prompts.count; i++, result++) {
        code = chord_session_rewind(s->session, 0);
        double begun = cli_seconds();
        if (code == CHORD_OK && result->tokens > 0)
            code = chord_session_eval(s->session, s->tokens, result->tokens, 1);
        if (code) return code;
        if (round >= 0) result->samples[round] = result->tokens / (cli_seconds() - begun);
    }
    for (int32_t i = 0; i < s->writes.count; i++, result++) {
        int32_t prompt = s->prompts.count ? s->prompts.items[0] : 0;
        code = prompt > 0 ? chord_session_sync(s->session, s->tokens, prompt)
                          : chord_session_rewind(s->session, 0);
        double begun = cli_seconds();
        for (int32_t j = 0; j < result->tokens && code == CHORD_OK; j++) {
            chord_token token = (200 + j) % s->vocabulary;
            code = chord_session_eval(s->session, &token, 1, 1);
        }
        if (code) return code;
        if (round >= 0) result->samples[round] = result->tokens / (cli_seconds() - begun);
    }
    return code;
}

static int bench_prepare(bench_state *s) {
    int32_t longest = 0;
    for (int32_t i = 0; i < s->prompts.count; i++)
        if (s->prompts.items[i] > longest) longest = s->prompts.items[i];
    s->tokens = malloc(((size_t)longest + 1) * sizeof *s->tokens);
    s->results = calloc((size_t)(s->prompts.count + s->writes.count) + 1, sizeof *s->results);
    if (!s->tokens || !s->results) return cli_no_memory();
    int32_t spread = s->vocabulary > 100 ? s->vocabulary - 100 : 1;
    for (int32_t i = 0; i < longest; i++)
        s->tokens[i] = (chord_token)((100 + ((int64_t)i * 37) % spread) % s->vocabulary);
    for (int32_t i = 0; i < s->prompts.count + s->writes.count; i++) {
        bool prompt = i < s->prompts.count;
        bench_result *result = &s->results[s->count++];
        result->tokens = prompt ? s->prompts.items[i] : s->writes.items[i - s->prompts.count];
        snprintf(result->name, sizeof result->name, "%s%d", prompt ? "pp" : "tg", result->tokens);
        result->samples = calloc((size_t)s->rounds, sizeof *result->samples);
        if (!result->samples) return cli_no_memory();
    }
    return CLI_OK;
}

// The instruction set of the kernel that moves most bytes, and what one token of writing moves.
static void bench_look(const bench_state *s, char *cpu, size_t capacity, uint64_t *token_bytes) {
    chord_op_info op;
    uint64_t most = 0;
    *token_bytes = 0;
    snprintf(cpu, capacity, "unknown");
    for (int32_t i = 0; i < chord_session_op_count(s->session); i++) {
        if (chord_session_get_op(s->session, i, &op)) break;
        const char *how = strstr(op.kernel, "__");
        *token_bytes += op.bytes;
        if (!how || op.bytes <= most) continue;
        most = op.bytes;
        snprintf(cpu, capacity, "%s", how + 2);
    }
}

static void bench_json(const bench_state *s, const chord_model_info *info, const char *path) {
    const chord_plan_table *plan = chord_session_plan(s->session);
    char cpu[24];
    uint64_t token_bytes = 0;
    bench_look(s, cpu, sizeof cpu, &token_bytes);
    fputs("{\"results\":[", stdout);
    bool first = true;
    for (int32_t i = 0; i < s->count; i++) {
        const bench_result *r = &s->results[i];
        if (r->tokens == 0) continue;
        printf("%s{\"name\":\"%s\",\"unit\":\"t/s\",\"median\":%.4f,\"samples\":[",
               first ? "" : ",", r->name, bench_median(r->samples, s->rounds));
        first = false;
        for (int32_t j = 0; j < s->rounds; j++) printf("%s%.4f", j ? "," : "", r->samples[j]);
        fputs("]}", stdout);
    }
    fputs("],\"model\":", stdout);
    cli_print_json(path, strlen(path));
    fputs(",\"type\":", stdout);
    cli_print_json(info->file_type, strlen(info->file_type));
    printf(",\"version\":\"%s\",\"lanes\":%d,\"batch\":%d,\"context\":%d,\"kv\":\"%s\","
           "\"cpu\":\"%s\",\"token_bytes\":%llu}\n",
           chord_version(), plan->lanes, plan->batch, plan->context, cli_kv_name(plan->kv), cpu,
           (unsigned long long)token_bytes);
}

static void bench_table(const bench_state *s, const chord_model_info *info, const char *path) {
    const chord_plan_table *plan = chord_session_plan(s->session);
    char cpu[24];
    uint64_t token_bytes = 0;
    bench_look(s, cpu, sizeof cpu, &token_bytes);
    printf("%s, %s, %d lanes, KV %s, %s, batch %d; median of %d\n\n", path, info->file_type,
           plan->lanes, cli_kv_name(plan->kv), cpu, plan->batch, s->rounds);
    puts("| test | t/s | least | most | GB/s |\n|---|---:|---:|---:|---:|");
    for (int32_t i = 0; i < s->count; i++) {
        const bench_result *r = &s->results[i];
        if (r->tokens == 0) continue;
        double median = bench_median(r->samples, s->rounds);
        printf("| %s | %.2f | %.2f | %.2f | ", r->name, median, r->samples[0],
               r->samples[s->rounds - 1]);
        if (i < s->prompts.count)
            puts("|");
        else
            printf("%.2f |\n", median * (double)token_bytes / 1e9);
    }
}

// Fills in what was not asked for: 512 and 64, or less where the model's context, or the one asked
// for, is too short for these.
static int bench_defaults(bench_state *s, int32_t context) {
    enum { PROMPT = 512, WRITE = 64 };
    cli_list *lists[2] = {&s->prompts, &s->writes};
    bool chosen[2] = {s->prompts.items != NULL, s->writes.items != NULL};
    for (int i = 0; i < 2; i++) {
        if (chosen[i]) continue;
        lists[i]->items = malloc(sizeof(int32_t));
        if (!lists[i]->items) return cli_no_memory();
        lists[i]->count = 1;
        lists[i]->items[0] = i == 0 ? PROMPT : WRITE;
    }
    int32_t prompt = s->prompts.items[0], write = s->writes.items[0];
    if (prompt <= context - write || (chosen[0] && chosen[1])) return CLI_OK;
    int32_t left = chosen[0] && prompt < context ? context - prompt : context / 4;
    if (!chosen[1] && write > left) write = left;
    if (!chosen[0]) prompt = write < context ? context - write : 0;
    fprintf(stderr, "chord: the context of %d is short: measuring a prompt of %d and %d more\n",
            context, prompt, write);
    s->prompts.items[0] = prompt;
    s->writes.items[0] = write;
    return CLI_OK;
}

static int bench_work(bench_state *s, const cli_settings *settings, bool json) {
    chord_model *model = NULL;
    chord_session_desc desc;
    chord_error error = {CHORD_OK, ""};
    chord_model_info info;
    int code = cli_open_model(settings->model, &model);
    if (code != CLI_OK) return code;
    chord_model_get_info(model, &info);
    s->vocabulary = info.vocabulary > 0 ? info.vocabulary : 1;
    cli_session_desc(settings, &desc);
    int32_t context = desc.context ? desc.context : info.context_length;
    code = bench_defaults(s, context > 0 ? context : INT32_MAX);
    int32_t longest = 1, first = s->prompts.count ? s->prompts.items[0] : 0;
    for (int32_t i = 0; i < s->prompts.count; i++)
        if (s->prompts.items[i] > longest) longest = s->prompts.items[i];
    for (int32_t i = 0; i < s->writes.count; i++)
        if (first + s->writes.items[i] > longest) longest = first + s->writes.items[i];
    if (desc.context == 0) desc.context = longest;
    if (code == CLI_OK && chord_session_open(model, &desc, &s->session, &error))
        code = cli_fail(&error);
    if (code == CLI_OK) code = bench_prepare(s);
    cli_catch_interrupts();
    cli_progress_begin("prompt");
    for (int32_t round = -1; round < s->rounds && code == CLI_OK; round++) {
        chord_result result = bench_round(s, round);
        if (result) code = cli_session_fail(s->session, result);
        if (code == CLI_OK && cli_interrupted()) code = CLI_INTERRUPTED;
    }
    cli_progress_end();
    if (code == CLI_OK) {
        for (int32_t i = 0; i < s->count; i++)
            qsort(s->results[i].samples, (size_t)s->rounds, sizeof(double), bench_compare);
        char room[96];
        const char *name = cli_model_name(settings->model, model, room, sizeof room);
        if (json)
            bench_json(s, &info, name);
        else
            bench_table(s, &info, name);
    }
    for (int32_t i = 0; i < s->count; i++) free(s->results[i].samples);
    free(s->results);
    free(s->tokens);
    chord_session_close(s->session);
    chord_model_close(model);
    return cli_finish(code);
}

static int bench_main(const cli_command *command, int argc, char **argv) {
    cli_settings settings = CLI_SETTINGS_DEFAULT;
    bench_state s = {.rounds = 5};
    int32_t format = 1;
    const cli_option options[] = {
        {'p', "prompt", "N,...", CLI_LIST, &s.prompts, 0, BENCH_MAX_TOKENS,
         "tokens of a prompt (512); 0: none"},
        {'n', "tokens", "N,...", CLI_LIST, &s.writes, 0, BENCH_MAX_TOKENS,
         "tokens to write after the first prompt (64); 0: none"},
        {'r', "rounds", "N", CLI_INT, &s.rounds, 1, BENCH_MAX_ROUNDS,
         "rounds to measure, after one that warms up (5)"},
        {'o', "output", "json|md", CLI_CHOICE, &format, 0, 0, "how to print it (md)"},
        CLI_SESSION_OPTIONS(settings),
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code == CLI_CONTINUE) code = bench_work(&s, &settings, format == 0);
    free(s.prompts.items);
    free(s.writes.items);
    return code;
}

const cli_command cli_bench = {
    "bench", "bench [-m FILE] [options]", "Measures tokens per second.", bench_main,
    "ppN: a prompt of N tokens into an empty context. tgN: N tokens, one at a time, each with its\n"
    "logits, after the first prompt. Which tokens, is fixed; nothing is sampled."};
