// plan: the memory that a session will take, before it takes it.
#include "cli.h"

#include <string.h>

static void plan_regions(const char *title, const chord_region *regions, int32_t count) {
    printf("%-20s %14s %14s\n", title, "offset", "bytes");
    for (int32_t i = 0; i < count; i++)
        printf("%-20s %14llu %14llu\n", regions[i].name, (unsigned long long)regions[i].offset,
               (unsigned long long)regions[i].bytes);
}

static void plan_text(const chord_plan_table *plan) {
    char size[32];
    plan_regions("region", plan->regions, plan->region_count);
    printf("%-20s %14s %14llu  %s\n", "total", "", (unsigned long long)plan->arena_bytes,
           cli_size(plan->arena_bytes, size, sizeof size));
    printf("%-20s %14s %14llu  %s, taken when the model is opened\n", "the model's tables", "",
           (unsigned long long)plan->table_bytes, cli_size(plan->table_bytes, size, sizeof size));
    printf("%-20s %14s %14llu  %s, mapped from the file\n", "weights", "",
           (unsigned long long)plan->weight_bytes, cli_size(plan->weight_bytes, size, sizeof size));
    if (plan->device == CHORD_DEVICE_GPU) {
        plan_regions("on the GPU", plan->device_regions, plan->device_region_count);
        printf("%-20s %14s %14llu  %s\n", "total on the GPU", "",
               (unsigned long long)plan->device_bytes,
               cli_size(plan->device_bytes, size, sizeof size));
    }
    printf("context %d, batch %d, lanes %d, KV %s, %llu bytes a position\n", plan->context,
           plan->batch, plan->lanes, cli_kv_name(plan->kv),
           (unsigned long long)plan->kv_token_bytes);
}

static void plan_json_regions(const char *name, const chord_region *regions, int32_t count) {
    printf("\"%s\":[", name);
    for (int32_t i = 0; i < count; i++) {
        printf("%s{\"name\":", i ? "," : "");
        cli_print_json(regions[i].name, strlen(regions[i].name));
        printf(",\"offset\":%llu,\"bytes\":%llu}", (unsigned long long)regions[i].offset,
               (unsigned long long)regions[i].bytes);
    }
    fputs("],", stdout);
}

static void plan_json(const chord_plan_table *plan) {
    putchar('{');
    plan_json_regions("regions", plan->regions, plan->region_count);
    if (plan->device == CHORD_DEVICE_GPU) {
        plan_json_regions("device_regions", plan->device_regions, plan->device_region_count);
        printf("\"device_bytes\":%llu,", (unsigned long long)plan->device_bytes);
    }
    printf("\"total\":%llu,\"table_bytes\":%llu,\"weight_bytes\":%llu,\"kv_token_bytes\":%llu,"
           "\"context\":%d,\"batch\":%d,\"lanes\":%d,\"logits_rows\":%d,\"kv\":\"%s\"}\n",
           (unsigned long long)plan->arena_bytes, (unsigned long long)plan->table_bytes,
           (unsigned long long)plan->weight_bytes, (unsigned long long)plan->kv_token_bytes,
           plan->context, plan->batch, plan->lanes, plan->logits_rows, cli_kv_name(plan->kv));
}

static int plan_main(const cli_command *command, int argc, char **argv) {
    cli_settings settings = CLI_SETTINGS_DEFAULT;
    bool json = false;
    const cli_option options[] = {CLI_SESSION_OPTIONS(settings),
                                  {0, "json", NULL, CLI_FLAG, &json, 0, 0, "as JSON"},
                                  CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    chord_model *model = NULL;
    chord_session_desc desc;
    chord_plan_table plan;
    chord_error error = {CHORD_OK, ""};
    code = cli_open_model(settings.model, &model);
    if (code != CLI_OK) return code;
    cli_session_desc(&settings, &desc);
    if (chord_plan(model, &desc, &plan, &error)) {
        code = cli_fail(&error);
    } else if (json) {
        plan_json(&plan);
    } else {
        plan_text(&plan);
    }
    chord_model_close(model);
    return cli_finish(code);
}

const cli_command cli_plan = {"plan", "plan [-m FILE] [options]",
                              "Tells the memory that a session takes, to the byte.", plan_main,
                              NULL};
