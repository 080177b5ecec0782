// fuzz_model: any bytes as a model, opened and, where they are a model, run for two steps.
//
// With clang -fsanitize=fuzzer: a libFuzzer target. With -DCHORD_FUZZ_MAIN, a program:
//   fuzz_model FILE...       replays files
//   fuzz_model --seed FILE   writes a small valid model, to start from
//   fuzz_model --mutate N    runs that model N times with some of its header's bytes changed
#include "gguf_builder.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    uint8_t *copy = aligned_alloc(64, (bytes + 64) & ~(size_t)63); // the reader wants 32
    uint8_t *at = copy + ((64 - bytes % 64) % 64) / 32 * 32; // and the end close to the block's
    memcpy(at, data, bytes);
    chord_model *model = NULL;
    chord_session *session = NULL;
    chord_error error;
    chord_model_desc desc = {.data = at, .data_bytes = bytes};
    if (chord_model_open(&desc, &model, &error) == CHORD_OK) {
        chord_session_desc s = {.context = 20, .batch = 16, .lanes = 1, .memory_budget = 64 << 20};
        chord_meta_info meta;
        for (int32_t i = 0; chord_model_get_meta(model, i, &meta) == CHORD_OK; i++) continue;
        if (chord_session_open(model, &s, &session, &error) == CHORD_OK) {
            const chord_token tokens[] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
            chord_session_eval(session, tokens, 10, 1);
            chord_session_generate(session, &(chord_generate_desc){.max_tokens = 2}, NULL);
            chord_session_prompt(session, "ab c", CHORD_PROMPT_BOS | CHORD_PROMPT_SPECIAL);
            chord_session_close(session);
        }
        chord_model_close(model);
    }
    free(copy);
    return 0;
}

#ifdef CHORD_FUZZ_MAIN
static const uint8_t *make_seed(gguf_builder *b, size_t *bytes) {
    gb_model m = {.layers = 1,
                  .embedding = 32,
                  .heads = 2,
                  .kv_heads = 1,
                  .feed_forward = 32,
                  .vocabulary = 262};
    gb_build_model(b, &m);
    return gb_finish(b, bytes);
}

static int write_seed(const char *path) {
    gguf_builder b;
    size_t bytes = 0;
    const uint8_t *data = make_seed(&b, &bytes);
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(data, 1, bytes, file) == bytes;
    if (file) good = fclose(file) == 0 && good;
    gb_close(&b);
    return good ? 0 : 1;
}

// One to eight changes: a random byte, or 4 bytes that are small, negative or huge as numbers go.
static void mutate(int32_t times) {
    static const uint32_t strange[] = {0,          1,       2,          0x7fffffff, 0x80000000,
                                       0xffffffff, 0x10000, 0x7f800000, 0x7fc00000};
    gguf_builder b;
    size_t bytes = 0;
    const uint8_t *seed = make_seed(&b, &bytes);
    uint8_t *data = malloc(bytes);
    size_t header = bytes - (size_t)b.data.bytes;
    for (int32_t i = 0; i < times; i++) {
        memcpy(data, seed, bytes);
        for (uint64_t n = 1 + gb_random(&b) % 8; n > 0; n--) {
            size_t at = (size_t)(gb_random(&b) % (header - 4));
            if (gb_random(&b) % 2)
                data[at] = (uint8_t)gb_random(&b);
            else
                memcpy(data + at, &strange[gb_random(&b) % CH_COUNT(strange)], 4);
        }
        LLVMFuzzerTestOneInput(data, bytes);
    }
    free(data);
    gb_close(&b);
    printf("ok   %d mutated models, no crash\n1 passed, 0 failed\n", times);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) return write_seed(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--mutate") == 0) {
        mutate(atoi(argv[2]));
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) return 1;
        fseek(file, 0, SEEK_END);
        size_t bytes = (size_t)ftell(file);
        rewind(file);
        uint8_t *data = malloc(bytes + 1);
        if (fread(data, 1, bytes, file) == bytes) LLVMFuzzerTestOneInput(data, bytes);
        free(data);
        fclose(file);
    }
    printf("%d files, no crash\n", argc - 1);
    return 0;
}
#endif
