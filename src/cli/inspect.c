// inspect: what a model file is.
#include "cli.h"

#include <string.h>

enum { INSPECT_TYPES = 48 };

typedef struct inspect_type {
    const char *name;
    int32_t count;
    uint64_t bytes;
} inspect_type;

// Sums up the tensors by type, in the order they come; returns how many types there are.
static int32_t inspect_types(const chord_model *model, inspect_type *types) {
    chord_tensor_info tensor;
    int32_t count = 0;
    for (int32_t i = 0; chord_model_get_tensor(model, i, &tensor) == CHORD_OK; i++) {
        int32_t at = 0;
        while (at < count && strcmp(types[at].name, tensor.type) != 0) at++;
        if (at == INSPECT_TYPES) continue;
        if (at == count) types[count++] = (inspect_type){tensor.type, 0, 0};
        types[at].count++;
        types[at].bytes += tensor.bytes;
    }
    return count;
}

static void inspect_summary(const chord_model *model, const chord_model_info *info) {
    char file[32], weights[32], tables[32];
    fputs("architecture  ", stdout);
    cli_print_text(info->architecture);
    fputs("\nname          ", stdout);
    cli_print_text(info->name);
    printf("\nfile          GGUF %u, %s\n", info->gguf_version,
           cli_size(info->file_bytes, file, sizeof file));
    printf("parameters    %.3f million, mostly %s\n", (double)info->parameters / 1e6,
           info->file_type);
    printf("weights       %s in %d tensors\n",
           cli_size(info->tensor_bytes, weights, sizeof weights), info->tensor_count);
    inspect_type types[INSPECT_TYPES];
    int32_t count = inspect_types(model, types);
    for (int32_t i = 0; i < count; i++)
        printf("              %-6s %4d tensors, %s\n", types[i].name, types[i].count,
               cli_size(types[i].bytes, weights, sizeof weights));
    printf("tables        %s of memory once it is open\n",
           cli_size(info->table_bytes, tables, sizeof tables));
    if (info->block_count > 0) {
        printf("blocks        %d of width %d, feed-forward %d\n", info->block_count,
               info->embedding_length, info->feed_forward_length);
        printf("heads         %d for queries, %d for keys and values, key %d, value %d wide\n",
               info->head_count, info->head_count_kv, info->key_length, info->value_length);
        printf("context       %d positions trained\n", info->context_length);
    }
    printf("vocabulary    %d tokens, begin %d, end %d%s\n", info->vocabulary, info->bos, info->eos,
           info->add_bos ? ", begin token wanted" : "");
}

static void inspect_meta(const chord_model *model) {
    chord_meta_info meta;
    puts("\nmetadata");
    for (int32_t i = 0; chord_model_get_meta(model, i, &meta) == CHORD_OK; i++) {
        fputs("  ", stdout);
        cli_print_text(meta.key);
        printf("  %s", meta.type);
        if (meta.count != 1) printf(" x %llu", (unsigned long long)meta.count);
        fputs("  ", stdout);
        cli_print_text(meta.value);
        putchar('\n');
    }
}

static void inspect_tensors(const chord_model *model) {
    chord_tensor_info tensor;
    printf("\n%-28s %-6s %-24s %14s %14s\n", "tensor", "type", "shape", "offset", "bytes");
    for (int32_t i = 0; chord_model_get_tensor(model, i, &tensor) == CHORD_OK; i++) {
        char shape[96];
        int used = 0;
        for (int32_t d = 0; d < tensor.dims; d++)
            used += snprintf(shape + used, sizeof shape - (size_t)used, "%s%llu", d ? " x " : "",
                             (unsigned long long)tensor.shape[d]);
        cli_print_text(tensor.name);
        printf("%*s %-6s %-24s %14llu %14llu\n",
               strlen(tensor.name) < 28 ? 28 - (int)strlen(tensor.name) : 0, "", tensor.type, shape,
               (unsigned long long)tensor.offset, (unsigned long long)tensor.bytes);
    }
}

static void inspect_json_text(const char *key, const char *text) {
    printf("\"%s\":", key);
    cli_print_json(text, strlen(text));
}

static void inspect_json(const chord_model *model, const chord_model_info *info) {
    putchar('{');
    inspect_json_text("architecture", info->architecture);
    putchar(',');
    inspect_json_text("name", info->name);
    putchar(',');
    inspect_json_text("file_type", info->file_type);
    printf(",\"gguf_version\":%u,\"file_bytes\":%llu,\"tensor_bytes\":%llu,\"table_bytes\":%llu,"
           "\"parameters\":%llu",
           info->gguf_version, (unsigned long long)info->file_bytes,
           (unsigned long long)info->tensor_bytes, (unsigned long long)info->table_bytes,
           (unsigned long long)info->parameters);
    printf(",\"context_length\":%d,\"embedding_length\":%d,\"block_count\":%d,"
           "\"feed_forward_length\":%d,\"head_count\":%d,\"head_count_kv\":%d,\"key_length\":%d,"
           "\"value_length\":%d,\"vocabulary\":%d,\"bos\":%d,\"eos\":%d,\"add_bos\":%s",
           info->context_length, info->embedding_length, info->block_count,
           info->feed_forward_length, info->head_count, info->head_count_kv, info->key_length,
           info->value_length, info->vocabulary, info->bos, info->eos,
           info->add_bos ? "true" : "false");
    fputs(",\n\"metadata\":[", stdout);
    chord_meta_info meta;
    for (int32_t i = 0; chord_model_get_meta(model, i, &meta) == CHORD_OK; i++) {
        fputs(i ? ",\n{" : "\n{", stdout);
        inspect_json_text("key", meta.key);
        putchar(',');
        inspect_json_text("type", meta.type);
        printf(",\"count\":%llu,", (unsigned long long)meta.count);
        inspect_json_text("value", meta.value);
        putchar('}');
    }
    fputs("],\n\"tensors\":[", stdout);
    chord_tensor_info tensor;
    for (int32_t i = 0; chord_model_get_tensor(model, i, &tensor) == CHORD_OK; i++) {
        fputs(i ? ",\n{" : "\n{", stdout);
        inspect_json_text("name", tensor.name);
        putchar(',');
        inspect_json_text("type", tensor.type);
        fputs(",\"shape\":[", stdout);
        for (int32_t d = 0; d < tensor.dims; d++)
            printf("%s%llu", d ? "," : "", (unsigned long long)tensor.shape[d]);
        printf("],\"offset\":%llu,\"bytes\":%llu}", (unsigned long long)tensor.offset,
               (unsigned long long)tensor.bytes);
    }
    puts("]}");
}

static int inspect_main(const cli_command *command, int argc, char **argv) {
    cli_settings settings = CLI_SETTINGS_DEFAULT;
    bool json = false, tensors = false, meta = false;
    const cli_option options[] = {
        CLI_MODEL_OPTION(settings),
        {0, "meta", NULL, CLI_FLAG, &meta, 0, 0, "list the metadata too"},
        {0, "tensors", NULL, CLI_FLAG, &tensors, 0, 0, "list the tensors too"},
        {0, "json", NULL, CLI_FLAG, &json, 0, 0, "all of it, as JSON"},
        CLI_END};
    int code = cli_parse(command, options, argc, argv);
    if (code != CLI_CONTINUE) return code;
    chord_model *model = NULL;
    code = cli_open_model(settings.model, &model);
    if (code != CLI_OK) return code;
    chord_model_info info;
    chord_model_get_info(model, &info);
    if (json) {
        inspect_json(model, &info);
    } else {
        inspect_summary(model, &info);
        if (meta) inspect_meta(model);
        if (tensors) inspect_tensors(model);
    }
    chord_model_close(model);
    return cli_finish(CLI_OK);
}

const cli_command cli_inspect = {"inspect", "inspect [-m FILE] [options]",
                                 "Tells what a model file holds.", inspect_main, NULL};
