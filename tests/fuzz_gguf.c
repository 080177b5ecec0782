// fuzz_gguf: any bytes as a GGUF file: measured, read, its vocabulary read, a text tokenized.
//
// For libFuzzer (clang -fsanitize=fuzzer,address,undefined), or, with -DCHORD_FUZZ_MAIN, a program
// that replays the files it is given. What must hold besides: nothing is taken beyond what was
// measured, every error has a sentence, every token id is one.
#include "../src/model/vocab.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void fuzz_result(chord_result result, const chord_error *error) {
    if (result == CHORD_OK) return;
    FUZZ_CHECK(result == error->code);
    FUZZ_CHECK(error->message[0] && memchr(error->message, 0, sizeof error->message));
    for (const char *p = error->message; *p; p++) FUZZ_CHECK(*p >= 32 && *p < 127);
    FUZZ_CHECK(result != CHORD_ERROR_MEMORY);
}

// The last bytes of the file serve as text too, so that its own tokens occur in it.
static void fuzz_tokenize(const ch_vocab *vocab, const char *text, size_t bytes, bool special) {
    enum { CAPACITY = 512 };
    static chord_token tokens[CAPACITY];
    chord_tokenize_desc desc;
    chord_error error;
    size_t count = 0;
    memset(&desc, 0, sizeof desc);
    memset(&error, 0, sizeof error);
    desc.text = text;
    desc.text_bytes = bytes;
    desc.special = special;
    desc.scratch_bytes = ch_vocab_scratch(vocab, bytes);
    desc.scratch = malloc(desc.scratch_bytes);
    chord_result result = ch_vocab_tokenize(vocab, &desc, tokens, CAPACITY, &count, &error);
    fuzz_result(result, &error);
    free(desc.scratch);
    if (result != CHORD_OK && result != CHORD_ERROR_SPACE) return;
    for (size_t i = 0; i < CH_MIN(count, CAPACITY); i++) {
        char out[64];
        FUZZ_CHECK(tokens[i] >= 0 && tokens[i] < vocab->count);
        ch_vocab_text(vocab, tokens[i], special, out, sizeof out);
        ch_vocab_is_end(vocab, tokens[i]);
    }
}

static void fuzz_vocab(const ch_gguf *gguf) {
    ch_vocab vocab;
    ch_arena arena;
    chord_error error;
    uint64_t bytes = 0;
    memset(&error, 0, sizeof error);
    chord_result result = ch_vocab_measure(gguf, &bytes, &error);
    fuzz_result(result, &error);
    if (result || !bytes || !ch_arena_open(&arena, (size_t)bytes, NULL)) return;
    result = ch_vocab_read(gguf, &arena, &vocab, &error);
    fuzz_result(result, &error);
    if (result == CHORD_OK) {
        static const char text[] = "Once upon a time, <s>\xe2\x96\x81 \xff\xc3\xa9</s>\n";
        size_t tail = (size_t)CH_MIN(gguf->bytes, 2000);
        FUZZ_CHECK(arena.used == bytes);
        for (int special = 0; special < 2; special++) {
            fuzz_tokenize(&vocab, text, sizeof text, special != 0);
            fuzz_tokenize(&vocab, (const char *)gguf->data + gguf->bytes - tail, tail,
                          special != 0);
            fuzz_tokenize(
                &vocab, vocab.base,
                (size_t)CH_MIN(2000,
                               gguf->bytes - (uint64_t)((const uint8_t *)vocab.base - gguf->data)),
                special != 0);
        }
    }
    ch_arena_close(&arena);
}

static void fuzz_getters(const ch_gguf *gguf) {
    int64_t integer = 0;
    float single = 0;
    bool flag = false;
    ch_gguf_text text = {NULL, 0};
    chord_error error;
    memset(&error, 0, sizeof error);
    const char *keys[] = {"general.architecture", "llama.block_count", "llama.rope.freq_base",
                          "general.name", "a"};
    for (size_t i = 0; i < CH_COUNT(keys); i++) {
        fuzz_result(ch_gguf_get_int(gguf, keys[i], true, -5, 100, &integer, &error), &error);
        fuzz_result(ch_gguf_get_float(gguf, keys[i], true, -1, 1, &single, &error), &error);
        fuzz_result(ch_gguf_get_bool(gguf, keys[i], true, &flag, &error), &error);
        fuzz_result(ch_gguf_get_text(gguf, keys[i], true, &text, &error), &error);
    }
    for (int32_t i = 0; i < gguf->tensor_count; i++) {
        const ch_gguf_tensor *tensor = &gguf->tensors[i];
        FUZZ_CHECK(ch_gguf_find_tensor(gguf, tensor->name) == tensor);
        FUZZ_CHECK(tensor->offset + tensor->bytes <= gguf->bytes);
        FUZZ_CHECK(tensor->data == gguf->data + tensor->offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    ch_gguf gguf;
    ch_gguf_size size;
    ch_arena arena;
    chord_error error;
    memset(&error, 0, sizeof error);
    chord_result result = ch_gguf_measure(data, bytes, &size, &error);
    fuzz_result(result, &error);
    if (result || !ch_arena_open(&arena, (size_t)size.table_bytes, NULL)) return 0;
    result = ch_gguf_read(data, bytes, &size, &arena, &gguf, &error);
    fuzz_result(result, &error);
    FUZZ_CHECK(arena.used == size.table_bytes);
    if (result == CHORD_OK) {
        fuzz_getters(&gguf);
        fuzz_vocab(&gguf);
    }
    ch_arena_close(&arena);
    return 0;
}

#ifdef CHORD_FUZZ_MAIN
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file || fseek(file, 0, SEEK_END) != 0) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 1;
        }
        long end = ftell(file);
        size_t bytes = end > 0 ? (size_t)end : 0;
        uint8_t *data = (uint8_t *)malloc(bytes + !bytes);
        rewind(file);
        if (!data || fread(data, 1, bytes, file) != bytes) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 1;
        }
        fclose(file);
        LLVMFuzzerTestOneInput(data, bytes);
        free(data);
    }
    printf("%d files replayed\n", argc - 1);
    return 0;
}
#endif
