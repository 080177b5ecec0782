// graph: what a session computes for a token, one operation a line.
#include "cli.h"

#include <string.h>

enum { GRAPH_TOKENS = 8 }; // that are evaluated to be timed

static void graph_text(const chord_session *session) {
    chord_op_info op, total;
    memset(&total, 0, sizeof total);
    int32_t count = chord_session_op_count(session), barriers = 0;
    printf("%5s %-22s %-12s %-26s %-30s %12s %12s\n", "op", "name", "kind", "kernel", "shape",
           "bytes", "flops");
    for (int32_t i = 0; i < count; i++) {
        if (chord_session_get_op(session, i, &op)) break;
        printf("%5d %-22s %-12s %-26s %-30s %12llu %12llu", i, op.name, op.kind, op.kernel,
               op.shape, (unsigned long long)op.bytes, (unsigned long long)op.flops);
        if (op.seconds > 0) printf(" %9.1f us", op.seconds * 1e6 / GRAPH_TOKENS);
        puts(op.barrier ? "  barrier" : "");
        total.bytes += op.bytes;
        total.bytes_per_position += op.bytes_per_position;
        total.flops += op.flops;
        total.flops_per_position += op.flops_per_position;
        barriers += op.barrier;
    }
    printf("%d ops, %d barriers; one token: %llu bytes + %llu a position, %llu flops + %llu a "
           "position\n",
           count, barriers, (unsigned long long)total.bytes,
           (unsigned long long)total.bytes_per_position, (unsigned long long)total.flops,
           (unsigned long long)total.flops_per_position);
}

static void graph_json(const chord_session *session) {
    chord_op_info op;
    int32_t count = chord_session_op_count(session);
    fputs("{\"ops\":[", stdout);
    for (int32_t i = 0; i < count; i++) {
        if (chord_session_get_op(session, i, &op)) break;
        fputs(i ? ",\n{\"name\":" : "\n{\"name\":", stdout);
        cli_print_json(op.name, strlen(op.name));
        fputs(",\"kind\":", stdout);
        cli_print_json(op.kind, strlen(op.kind));
        fputs(",\"kernel\":", stdout);
        cli_print_json(op.kernel, strlen(op.kernel));
        fputs(",\"prompt_kernel\":", stdout);
        cli_print_json(op.prompt_kernel, strlen(op.prompt_kernel));
        fputs(",\"shape\":", stdout);
        cli_print_json(op.shape, strlen(op.shape));
        printf(",\"bytes\":%llu,\"bytes_per_position\":%llu,\"flops\":%llu,"
               "\"flops_per_position\":%llu,\"seconds\":%.9f,\"barrier\":%s}",
               (unsigned long long)op.bytes, (unsigned long long)op.bytes_per_position,
               (unsigned long long)op.flops, (unsigned long long)op.flops_per_position,
               op.seconds / GRAPH_TOKENS, op.barrier ? "true" : "false");
    }
    puts("]}");
}

static int graph_time(chord_session *session) {
    const chord_token token = 0;
    chord_result result = CHORD_OK;
    for (int i = 0; i < GRAPH_TOKENS && !result; i++)
        result = chord_session_eval(session, &token, 1, 1);
    return result ? cli_session_fail(session, result) : CLI_OK;
}

static int graph_main(const cli_command *command, int argc, char **argv) {
    cli_settings settings = CLI_SETTINGS_DEFAULT;
    bool json = false, time = false;
    const cli_option options[] = {
        CLI_SESSION_OPTIONS(settings),
        {0, "json", NULL, CLI_FLAG, &json, 0, 0, "as JSON"},
        {0, "time", NULL, CLI_FLAG, &time, 0, 0, "measure each operation, over a few tokens"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    chord_model *model = NULL;
    chord_session *session = NULL;
    chord_session_desc desc;
    code = cli_open_model(settings.model, &model);
    if (code != CLI_OK) return code;
    cli_session_desc(&settings, &desc);
    desc.profile = time;
    code = cli_open_session(model, &desc, &session);
    if (code == CLI_OK && time) code = graph_time(session);
    if (code != CLI_OK) {
        // told
    } else if (json) {
        graph_json(session);
    } else {
        graph_text(session);
    }
    cli_close_session(session);
    chord_model_close(model);
    return cli_finish(code);
}

const cli_command cli_graph = {
    "graph", "graph [-m FILE] [options]", "Lists what is computed for a token.", graph_main,
    "Bytes are read and written by one decoded token, flops count a multiply-add as two.\n"
    "A barrier is where the lanes wait for each other."};
