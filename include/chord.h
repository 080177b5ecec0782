// chord: run language models from GGUF files, in C11. This header is the manual.
//
//   chord_model *model;  chord_session *session;  chord_error error;
//   chord_model_desc m = {.path = "model.gguf"};
//   chord_session_desc s = {.context = 2048};
//   if (chord_model_open(&m, &model, &error)) puts(error.message);
//   if (chord_session_open(model, &s, &session, &error)) puts(error.message);
//   chord_session_prompt(session, "Once upon a time", CHORD_PROMPT_BOS);
//   chord_session_generate(session, &(chord_generate_desc){.max_tokens = 100, .on_text = print},
//   NULL); chord_session_close(session);  chord_model_close(model);
//
// HOW IT FITS TOGETHER
//   A model is a GGUF file, mapped read-only, with its checked directory and vocabulary. It never
//   changes after it is opened: any number of sessions and threads may share it. A session is one
//   sequence of tokens being written: its KV cache, its graph, its random numbers, all in one arena
//   whose size chord_plan tells beforehand. One thread at a time uses a session (its own lanes are
//   started and joined by it); different sessions are independent.
//
// MEMORY
//   chord_model_open takes one block for the directory and the vocabulary, chord_session_open one
//   block for everything else; both can be yours. After that nothing is allocated, by no call; only
//   a session whose GPU fails in use takes a block again, to go on on the CPU if it may. The
//   weights stay in the mapping. The file must not be cut short while it is open (the operating
//   system then kills the process that reads past its end).
//
// ERRORS
//   Every function that can fail returns CHORD_OK (0) or an error code; the sentence (what, got,
//   wanted, where) is in the chord_error given to an open function, or in chord_session_error for a
//   session. A failed call changes nothing unless its text says so. The library never prints,
//   exits, aborts or reads the environment.
//
// RESULTS
//   The same model, tokens, seed and settings give the same bits with any number of lanes and any
//   cut into batches, and on all CPUs with fused multiply-add, except where an optional OpenBLAS
//   build takes over a float matrix product, and where AMX is asked for. On a GPU they are the same
//   within rounding.
//
// AMX
//   With cpu = "amx", where CPU and Linux have it, prompts of more than 64 tokens at once (16,
//   where all weights are floats) are multiplied in bfloat16 by tiles: about twice as fast, five
//   times where weights are floats. Weights and activations are rounded to 8 bits of mantissa, so
//   that such prompts have other logits, within rounding, than shorter ones and other levels have,
//   but the same for any number of lanes. Asking Linux for tiles makes the signal frames of the
//   process 8 KiB larger, from then on; where it refuses, cpu is as "avx512".
//
// DESCS
//   Every desc struct may be zeroed: zero always means "the default", given with each field.
//
// SINGLE FILE
//   In the generated single header, #define CHORD_IMPLEMENTATION in exactly one C11 or C++17 file
//   before including it, and link with -lm -pthread. A model is put into the program where that
//   file also has #define CHORD_BUILTIN_MODEL "model.gguf", a path that the assembler finds. To
//   compute on GPUs too, #define CHORD_GLES 1: that needs the headers of EGL and OpenGL ES 3.1, and
//   no library when linking.
#ifndef CHORD_H
#define CHORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CHORD_VERSION "0.1.0"

// The version of the library that is linked, as CHORD_VERSION.
const char *chord_version(void);

// ---- errors

// X(code, number, short text). The numbers never change.
#define CHORD_RESULTS(X)                                                                           \
    X(CHORD_OK, 0, "ok")                                                                           \
    X(CHORD_ERROR_ARGUMENT, 1, "an argument is wrong")                                             \
    X(CHORD_ERROR_FILE, 2, "the file cannot be read")                                              \
    X(CHORD_ERROR_FORMAT, 3, "the file is not valid GGUF")                                         \
    X(CHORD_ERROR_UNSUPPORTED, 4, "the model needs something that chord does not have")            \
    X(CHORD_ERROR_MEMORY, 5, "there is not enough memory")                                         \
    X(CHORD_ERROR_CONTEXT_FULL, 6, "the context is full")                                          \
    X(CHORD_ERROR_SPACE, 7, "the caller's buffer is too small")                                    \
    X(CHORD_ERROR_STOPPED, 8, "a callback asked to stop")                                          \
    X(CHORD_ERROR_SYSTEM, 9, "the operating system refused")

typedef enum chord_result {
#define CHORD_RESULT_ENUM(code, number, text) code = number,
    CHORD_RESULTS(CHORD_RESULT_ENUM)
#undef CHORD_RESULT_ENUM
} chord_result;

// The short text of a code, or "unknown error".
const char *chord_result_text(chord_result code);

typedef struct chord_error {
    chord_result code;
    char message[256]; // one sentence, NUL-terminated, without a final newline
} chord_error;

// ---- model

typedef struct chord_model chord_model;

typedef struct chord_model_desc {
    const char *path; // a GGUF file to map, or NULL if `data` is given
    const void *data; // a GGUF file in memory, aligned to 32 bytes; it stays yours and must outlive
                      // the model
    size_t data_bytes;
    void *memory; // room for the model's tables, aligned to 64 bytes, must outlive the model; NULL:
                  // chord's own
    size_t memory_bytes; // too little gives CHORD_ERROR_MEMORY, and the message tells how much is
                         // wanted
} chord_model_desc;

// Maps and checks a file and reads its directory and vocabulary. On failure *model is NULL and
// *error (may be NULL) tells why. Errors: ARGUMENT, FILE, FORMAT, UNSUPPORTED, MEMORY. A file with
// a vocabulary and no tensors opens too: it can tokenize, but has no session.
chord_result chord_model_open(const chord_model_desc *desc, chord_model **model,
                              chord_error *error);

// The model that the build put into the library: a GGUF file of *bytes bytes, aligned to 64, to be
// given as chord_model_desc.data. NULL and 0 bytes where there is none. A program that does not
// call this does not carry it.
const void *chord_builtin_model(size_t *bytes);

// Unmaps the file. All sessions of the model must be closed. NULL is ignored.
void chord_model_close(chord_model *model);

typedef struct chord_model_info {
    const char *architecture; // "llama"
    const char *name;         // general.name, "" if there is none; both cut to 63 bytes
    const char *file_type;    // the tensor type that holds most bytes, "q4_0"
    uint32_t gguf_version;
    uint64_t file_bytes;
    uint64_t tensor_bytes; // sum over all tensors
    uint64_t table_bytes;  // memory taken by chord_model_open
    uint64_t parameters;   // sum of all tensors' elements
    int32_t tensor_count, meta_count;
    // Hyper-parameters; 0 in a file without tensors.
    int32_t context_length; // trained context
    int32_t embedding_length, block_count, feed_forward_length;
    int32_t head_count, head_count_kv, key_length, value_length;
    int32_t vocabulary; // tokens
    int32_t bos, eos;   // token ids, -1 if there is none
    bool add_bos;       // the file asks for BOS in front of a text
} chord_model_info;

void chord_model_get_info(const chord_model *model, chord_model_info *info);

typedef struct chord_tensor_info {
    const char *name;  // NUL-terminated
    const char *type;  // "q4_0"
    int32_t dims;      // 1..4
    uint64_t shape[4]; // shape[0] is the length of a row
    uint64_t offset;   // in the file
    uint64_t bytes;
} chord_tensor_info;

// Tensor i of the file, 0 <= i < tensor_count. ARGUMENT otherwise.
chord_result chord_model_get_tensor(const chord_model *model, int32_t i, chord_tensor_info *info);

// Metadata entry i as text: the key, the type ("u32", "str", "arr[str]") and the value (an array's
// first elements, a long string's beginning), each NUL-terminated and cut to fit. 0 <= i <
// meta_count, ARGUMENT otherwise.
typedef struct chord_meta_info {
    char key[64], type[16], value[128];
    uint64_t count; // elements of an array, else 1
} chord_meta_info;
chord_result chord_model_get_meta(const chord_model *model, int32_t i, chord_meta_info *info);

// ---- tokens

typedef int32_t chord_token;

typedef struct chord_tokenize_desc {
    const char *text; // UTF-8; invalid bytes become byte tokens
    size_t text_bytes;
    int bos;       // 0: as the model asks; 1: BOS in front; -1: none
    bool special;  // control and user-defined tokens written in the text become those tokens
    bool goes_on;  // the text goes on from other text: no space is put in front, which some models
                   // want where a text begins
    void *scratch; // working memory; NULL: 8 KiB on the stack, enough for words of up to 250 bytes
    size_t scratch_bytes;
} chord_tokenize_desc;

// Turns text into at most `capacity` token ids. *count is the number of tokens, also when it is
// over the capacity (SPACE; nothing past the capacity is written). MEMORY: the scratch is too small
// for a word of the text; see chord_tokenize_scratch. `error` may be NULL. Thread-safe.
chord_result chord_tokenize(const chord_model *model, const chord_tokenize_desc *desc,
                            chord_token *tokens, size_t capacity, size_t *count,
                            chord_error *error);

// Bytes of scratch that are enough for any text of text_bytes bytes.
size_t chord_tokenize_scratch(const chord_model *model, size_t text_bytes);

typedef enum chord_token_kind {
    CHORD_TOKEN_NONE, // not a token of this vocabulary
    CHORD_TOKEN_NORMAL,
    CHORD_TOKEN_UNKNOWN,
    CHORD_TOKEN_CONTROL, // BOS, EOS, marks of a chat template
    CHORD_TOKEN_USER_DEFINED,
    CHORD_TOKEN_UNUSED,
    CHORD_TOKEN_BYTE // one raw byte
} chord_token_kind;

chord_token_kind chord_token_get_kind(const chord_model *model, chord_token token);

// The bytes that a token adds to a text, at most `capacity` of them, no NUL; returns how many it
// has. One token may be part of a UTF-8 character. Control tokens give nothing unless `special`,
// then their name. 0 for a bad id.
size_t chord_token_text(const chord_model *model, chord_token token, bool special, char *text,
                        size_t capacity);

// True for tokens that end a text: EOS, and the end of a turn.
bool chord_token_is_end(const chord_model *model, chord_token token);

// ---- plan and session

typedef struct chord_session chord_session;

typedef enum chord_kv {
    CHORD_KV_DEFAULT, // q16; on a GPU f16
    CHORD_KV_F16,
    CHORD_KV_F32,
    CHORD_KV_Q8_0, // 8-bit integers with a float scale per 64; not on a GPU
    CHORD_KV_Q16   // 14-bit integers with a float scale per 64; not on a GPU
} chord_kv;

// Where a session computes. A GPU is one that OpenGL ES 3.1 reaches, without a window system; its
// results are right within the rounding of floats, not the same to the bit as the CPU's.
typedef enum chord_device {
    CHORD_DEVICE_CPU,
    CHORD_DEVICE_GPU,     // the GPU for as long as it can, else the CPU: chord_session_get_device
                          // tells why
    CHORD_DEVICE_GPU_ONLY // the GPU, or chord_session_open fails
} chord_device;

// How the next token is chosen. In this order: repetition penalty, top-k, top-p, min-p,
// temperature, a random draw. All zero: the most likely token. Equal logits: the smaller id first.
// The random numbers are PCG32 (M. E. O'Neill, "PCG", 2014: XSH RR 64/32), stream 54, one draw a
// token.
typedef struct chord_sampler {
    float temperature;    // 0: greedy, the other fields but the penalty do not matter
    int32_t top_k;        // keep the k most likely; 0: all
    float top_p;          // keep the smallest set of probability >= p; 0 or >= 1: all
    float min_p;          // drop what is less likely than p times the most likely; 0: none
    float repeat_penalty; // logits of recent tokens: divided by it if positive, else multiplied; 0:
                          // 1, none
    int32_t repeat_window; // how many tokens are recent, the prompt's included; 0: 64; -1: all of
                           // the context
    uint64_t seed;
} chord_sampler;

typedef struct chord_session_desc {
    int32_t context; // positions; 0: what the model was trained for, at most 4096 (less if the
                     // budget asks)
    int32_t batch;   // tokens evaluated at once, 1..4096; 0: 512 (at most the context)
    int32_t
        lanes; // threads, the caller's included, 1..64; 0: physical cores available to the process
    chord_kv kv;
    int32_t logits_rows; // rows of logits kept by one eval; 0: 1
    int32_t draft; // tokens to guess ahead from what stood before in the text (prompt lookup), at
                   // most 7; the text stays the same, repetitive text comes faster; 0: none
    uint64_t
        memory_budget; // 0: none. Else the arena is at most that: a context of 0 becomes the
                       // largest that fits, and what cannot fit is refused with what it would need
    const char *cpu;   // highest instruction set to use: "c", "avx2", "avxvnni", "avx512", "amx",
                       // "neon", "dotprod", "i8mm", "openblas" (where it is built in); NULL: the
                       // best there is of those whose results are the same to the bit: all but
                       // amx and openblas. See AMX
    chord_device device;
    int32_t gpu;       // with device: which one, as chord_get_device counts, plus 1; 0: the first
                       // that serves
    bool gpu_minimums; // with device: use no more than the least limits of OpenGL ES 3.1, for tests
    const char
        *cache; // with device: a folder that is there, where compiled shaders are kept for the
                // next time; NULL: none. What is wrong in it is left out and written anew
    chord_sampler sampler;
    bool profile; // time every op: see chord_op_info.seconds
    void *memory; // room for the arena, aligned to 64 bytes, must outlive the session; NULL:
                  // chord's own
    size_t memory_bytes;
    // Called between parts of long work (during prefill too); a result other than 0 stops it:
    // STOPPED. NULL: none.
    int (*on_progress)(void *user, int32_t done, int32_t total);
    void *user; // passed to on_progress
} chord_session_desc;

typedef struct chord_region {
    const char *name;
    uint64_t offset, bytes; // in the arena
} chord_region;

#define CHORD_MAX_REGIONS        32
#define CHORD_MAX_DEVICE_REGIONS 12

typedef struct chord_plan_table {
    chord_region regions[CHORD_MAX_REGIONS];
    int32_t region_count;
    uint64_t arena_bytes;                       // exactly what chord_session_open takes
    uint64_t table_bytes;                       // taken before, by chord_model_open
    uint64_t weight_bytes;                      // mapped from the file, not taken
    uint64_t kv_token_bytes;                    // KV cache of one position
    int32_t context, batch, lanes, logits_rows; // as chosen
    chord_kv kv;
    chord_device device;                                   // as chosen: CHORD_DEVICE_CPU or _GPU
    chord_region device_regions[CHORD_MAX_DEVICE_REGIONS]; // on the GPU; weights are copied there
    int32_t device_region_count;
    uint64_t device_bytes; // sum of these, exactly what is taken there
} chord_plan_table;

// What a session would take: a pure function of the model and the desc (and, for lanes = 0, of the
// cores available). With a device it is what the session takes there; whether there is a GPU is
// found out by chord_session_open, which on the CPU takes what a plan for the CPU tells. A memory
// budget is for the arena and the device together. Errors: ARGUMENT, UNSUPPORTED, MEMORY (over the
// budget). `error` may be NULL.
chord_result chord_plan(const chord_model *model, const chord_session_desc *desc,
                        chord_plan_table *plan, chord_error *error);

// Takes the arena, builds the graph, starts the lanes. On failure *session is NULL. Errors: as
// chord_plan, SYSTEM.
chord_result chord_session_open(const chord_model *model, const chord_session_desc *desc,
                                chord_session **session, chord_error *error);
void chord_session_close(chord_session *session); // NULL is ignored

// The sentence of the last call on this session that failed; "" before the first.
const char *chord_session_error(const chord_session *session);

// What was planned.
const chord_plan_table *chord_session_plan(const chord_session *session);

// Tokens that the session holds, and how many.
const chord_token *chord_session_tokens(const chord_session *session, int32_t *count);

// Evaluates n more tokens after those held. `rows` of logits are kept, those of the last `rows`
// tokens: 0 (none), 1 .. logits_rows. Errors: ARGUMENT (a token id, rows), CONTEXT_FULL (nothing is
// evaluated), STOPPED (whole batches before the stop are kept).
chord_result chord_session_eval(chord_session *session, const chord_token *tokens, int32_t n,
                                int32_t rows);

// Makes the session hold exactly these n >= 1 tokens, with the logits of the last: the longest
// common prefix is kept, the rest is dropped and evaluated.
chord_result chord_session_sync(chord_session *session, const chord_token *tokens, int32_t n);

// Keeps the first n tokens only. No logits are held afterwards.
chord_result chord_session_rewind(chord_session *session, int32_t n);

// Row i of the logits of the last eval, [vocabulary] floats, valid until the next eval; NULL if
// there is none.
const float *chord_session_logits(const chord_session *session, int32_t row);

// Chooses a token from the last row of logits. It is not evaluated. ARGUMENT if there are no
// logits.
chord_result chord_session_sample(chord_session *session, chord_token *token);

// Replaces the sampler and seeds it anew.
chord_result chord_session_set_sampler(chord_session *session, const chord_sampler *sampler);

enum {
    CHORD_PROMPT_BOS = 1,    // put BOS in front if the model asks for it
    CHORD_PROMPT_SPECIAL = 2 // parse control tokens in the text
};

// Tokenizes a NUL-terminated text, appends it and evaluates it, logits of its last token kept. The
// text may be longer than the context only to be refused: CONTEXT_FULL.
chord_result chord_session_prompt(chord_session *session, const char *text, unsigned flags);

typedef enum chord_finish {
    CHORD_FINISH_LENGTH,  // max_tokens were written
    CHORD_FINISH_END,     // the model ended the text
    CHORD_FINISH_CONTEXT, // the context is full
    CHORD_FINISH_STOPPED  // a callback asked
} chord_finish;

typedef struct chord_generate_desc {
    int32_t max_tokens; // 0: until the end or the context is full
    bool ignore_end;    // go on after the model's end tokens
    bool special;       // write control tokens by name
    // Called with each piece of text as it comes, always whole UTF-8 characters, at least one byte,
    // not NUL-terminated. A result other than 0 stops. NULL: none.
    int (*on_text)(void *user, const char *text, size_t bytes);
    void *user;
    const char *stop; // text that ends the answer as an end token does, at most 31 bytes: nothing
                      // of it is written; NULL: none
} chord_generate_desc;

typedef struct chord_generate_result {
    int32_t tokens; // written, an end token not counted
    chord_finish finish;
} chord_generate_result;

// Samples and evaluates token after token from the logits held (so after prompt, chat, eval or
// sync). The last token sampled is held by the session too; tokens that hold nothing but `stop` are
// not, and no logits are held where it came. On a GPU the most likely tokens may be found there,
// where they are enough to sample from (top-k up to 127, or temperature 0), and no logits be held
// while callbacks run; they are when this returns. The token is the one that is sampled from all
// logits. `result` may be NULL.
chord_result chord_session_generate(chord_session *session, const chord_generate_desc *desc,
                                    chord_generate_result *result);

// ---- chat
//
//   chord_session_chat(session, &(chord_chat_desc){.text = "Hello", .text_bytes = 5});
//   chord_session_generate(session, &(chord_generate_desc){.on_text = print}, NULL);
//   and so on, turn by turn; chord_session_rewind(session, 0) begins a new chat.

// How a chat is written as one text. Words in <> are control tokens; BOS stands in front if the
// model asks for it. What is in [ ] is left out if there is no system text.
typedef enum chord_chat_template {
    CHORD_CHAT_AUTO, // recognised by the marks in the model's own template, tokenizer.chat_template
    // [<|im_start|>system\nSYSTEM<|im_end|>\n]<|im_start|>user\nTEXT<|im_end|>\n
    // <|im_start|>assistant\nANSWER<|im_end|>\n
    CHORD_CHAT_CHATML,
    // "[INST] " ["<<SYS>>\n" SYSTEM "\n<</SYS>>\n\n"] TEXT " [/INST]" ANSWER <EOS><BOS>
    CHORD_CHAT_LLAMA2,
    // [SYSTEM\n\n]### Instruction:\nTEXT\n\n### Response:\nANSWER\n\n. No system text given: the
    // one that the template was made with; "" leaves it out.
    CHORD_CHAT_ALPACA
} chord_chat_template;

// The template that CHORD_CHAT_AUTO stands for. Errors: ARGUMENT, UNSUPPORTED (the model names no
// template, or one that chord does not have). `error` may be NULL.
chord_result chord_chat_detect(const chord_model *model, chord_chat_template *format,
                               chord_error *error);

// The text that ends an answer where the template has no token for it, for
// chord_generate_desc.stop; NULL: a token ends it (also for CHORD_CHAT_AUTO, which is detected
// first).
const char *chord_chat_stop(chord_chat_template format);

typedef struct chord_chat_desc {
    chord_chat_template format;
    const char *system; // how the model shall behave; only with the first turn. NULL: what the
                        // template was made with, if anything
    size_t system_bytes;
    const char *text; // what the user says
    size_t text_bytes;
} chord_chat_desc;

// Appends a turn of the user, evaluates it, and leaves the session ready to generate the answer.
// A session without tokens begins a chat; one with tokens is taken to stand in or after an answer,
// which is closed first. Only what is new is evaluated. Control tokens come from the template
// alone: none is read from `text` and `system`, whatever is written there. (The marks of Llama 2
// and Alpaca are plain text, and the same in the user's text: no tokenizer can tell these apart.)
// Errors: ARGUMENT, UNSUPPORTED (as chord_chat_detect; the vocabulary lacks a token of the
// template), CONTEXT_FULL (also where no position is left for an answer), MEMORY (as
// chord_tokenize), STOPPED. After an error the session holds the tokens that it held; the logits
// may be gone.
chord_result chord_session_chat(chord_session *session, const chord_chat_desc *desc);

typedef struct chord_stats {
    int32_t prefill_tokens, decode_tokens; // evaluated more than one at a time; one at a time
    double prefill_seconds, decode_seconds, sample_seconds, open_seconds;
    int32_t drafted_tokens, accepted_tokens; // guessed, and of these right
    uint64_t logits_hash; // FNV-1a 64 over the bytes of all rows of logits made so far
} chord_stats;

// Sums since the session was opened. The hash costs time: it is computed only after
// chord_session_hash(session, true).
void chord_session_get_stats(const chord_session *session, chord_stats *stats);
void chord_session_hash(chord_session *session, bool on);

// ---- devices

typedef struct chord_device_info {
    chord_device device;    // CHORD_DEVICE_CPU or CHORD_DEVICE_GPU
    bool usable;            // chord can compute on it
    char reason[256];       // why not; of a session on the CPU: why not the GPU that was asked for
    char name[96];          // as its driver tells: "llvmpipe (LLVM 15.0.6, 256 bits)"
    char version[96];       // "OpenGL ES 3.2 Mesa 22.3.6"
    char platform[24];      // how it is reached: "device 0", "surfaceless", "default display"
    int32_t storage_blocks; // limits of a compute shader
    int32_t invocations, shared_bytes, groups;
    uint64_t block_bytes;
    uint64_t device_bytes; // of a session: memory taken on the device
    int32_t dispatches;    // of a session: of its last step
    uint64_t read_bytes;   // of a session: brought from the device by its last step, and since
    char extensions[6144]; // separated by blanks, cut where it is full
} chord_device_info;

// Device i, 0 and up; false past the end, and where there is none, with the reason. Opens it, and
// looks. The CPU is not counted.
bool chord_get_device(int32_t i, chord_device_info *info);

typedef struct chord_device_roof {
    double copy_bytes; // a second, read and written by a copy of 64 MiB
    double flops;      // a second, of multiply-adds of 32-bit floats, each counted as two
} chord_device_roof;

// What device i (-1: the first that serves) reaches at best, measured in about a second. ARGUMENT,
// UNSUPPORTED, MEMORY, SYSTEM.
chord_result chord_measure_device(int32_t i, chord_device_roof *roof, chord_error *error);

// Where a session computes, and what it took there.
void chord_session_get_device(const chord_session *session, chord_device_info *info);

// ---- looking inside

typedef struct chord_op_info {
    char name[48];             // "blk.3.attn_q"
    const char *kind;          // "matmul"
    const char *kernel;        // "matvec_q4_0__avx512", "" if it has none
    const char *prompt_kernel; // the one for long prompts: of a matmul "gemm_q4_0__avx512"
    char shape[64];            // "2048 x 2048, q4_0"
    uint64_t bytes; // read and written by one decoded token at position 0 (attention: plus
                    // bytes_per_position)
    uint64_t bytes_per_position;
    uint64_t weight_bytes; // of `bytes`: a matrix that a step of many tokens reads once
    uint64_t flops, flops_per_position; // a multiply-add counts as two
    bool barrier;     // lanes wait for each other after it, where it is for one token
    bool logits_only; // done for the tokens whose logits are wanted, no others
    // Spent in it since the session was opened, if desc.profile was set, else 0: the time between
    // two barriers, as lane 0 sees it, is shared out among the ops between them in proportion to
    // the time that all lanes worked at them. The sum over all ops is the time of all steps. On a
    // GPU: the device's time; 0 for an op that is done on the way of another.
    double seconds;
} chord_op_info;

// Op i of the session's graph; ARGUMENT past its end.
int32_t chord_session_op_count(const chord_session *session);
chord_result chord_session_get_op(const chord_session *session, int32_t i, chord_op_info *info);

typedef struct chord_kernel_info {
    const char *name;   // "matvec_q4_0__avx512"
    const char *family; // "matvec"
    bool usable;        // this CPU has what it needs
    bool chosen;        // the one that a session takes
} chord_kernel_info;

// Kernel i of the list, as seen with the instruction sets up to `cpu` (NULL: all of this CPU's).
// False past the end. A name that is no level gives only the C kernels.
bool chord_get_kernel(int32_t i, const char *cpu, chord_kernel_info *info);

// ---- measuring

typedef struct chord_bench_desc {
    int32_t prompt; // tokens of a prompt, at most 4096; 0: 128; -1: none
    int32_t write;  // tokens to write after it, at most 4096; 0: 16; -1: none
    int32_t rounds; // to measure, after one that warms up, at most 64; 0: 5
} chord_bench_desc;

typedef struct chord_bench_rate {
    double tokens_per_second; // medians over the rounds; 0: not measured
    double bytes_per_second;  // that had to be moved for it
    double roof_share; // the least time that the machine's limits allow for the work, of the time
                       // that it took
    const char *limit; // the one that binds: "read", "int8", "f32" or "bf16"; "" if not measured
} chord_bench_rate;

typedef struct chord_bench_result {
    chord_bench_rate prompt, write;
    int32_t lanes;
    // The roof: what the machine does at most with so many lanes, measured in turn with the work.
    double read_limit;                        // bytes per second, out of what holds the weights
    double int8_limit, f32_limit, bf16_limit; // multiply-adds per second
    double roof_spread; // of read_limit, from the tenth to the ninetieth percentile, of the median:
                        // beyond 0.15 the machine was disturbed, and rates are not to be compared
    char verdict[256];  // one or two sentences
} chord_bench_result;

// Measures how fast a model runs here, and how close that is to what the machine can do: for "it is
// slow in my application", in the application. Opens a session of its own (desc.context 0: as long
// as it needs) and takes up to 256 MiB more while it runs, for a fraction of a second to some
// seconds. The errors of chord_session_open, and CONTEXT_FULL, STOPPED, SYSTEM.
chord_result chord_bench(const chord_model *model, const chord_session_desc *desc,
                         const chord_bench_desc *bench, chord_bench_result *result,
                         chord_error *error);

#ifdef __cplusplus
}
#endif
#endif
