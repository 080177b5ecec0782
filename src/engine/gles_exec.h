// gles_exec: the GPU executor: the op array as a list of dispatches.
//
// Owns: the device's buffers and programs, the fusing of ops, a step. Refuses: models that have
// something that its shaders do not do, with the reason; the session then stays on the CPU.
// Invariants: tokens go in and logits, or the most likely tokens, come out, all else stays on the
// device; what is taken there is what the plan says; nothing is allocated by chord.
//
// In a build without CHORD_GLES it refuses everything.
#ifndef CH_GLES_EXEC_H
#define CH_GLES_EXEC_H

#include "../model/plan.h"
#include "sampler.h"

typedef struct ch_gpu ch_gpu; // lies in the session's arena

// What a session on the GPU takes for a model: `arena_bytes` for the executor itself plus
// `op_bytes` per op in the arena; the rest on the device.
typedef struct ch_gpu_sizes {
    uint64_t arena_bytes, op_bytes, weight_bytes, constant_bytes;
} ch_gpu_sizes;

// Can a model run on a GPU at all, whatever the device? UNSUPPORTED with the reason.
CH_FN chord_result ch_gpu_measure(const ch_weights *weights, const chord_session_desc *desc,
                                  ch_gpu_sizes *sizes, chord_error *error);

// What the executor works with; all of it outlives it.
typedef struct ch_gpu_args {
    const uint8_t *file;
    const ch_weights *weights;
    const ch_plan *plan;
    const ch_op *ops;
    const double *rope_freqs;
    float rope_magnitude;
    float *logits; // where they are wanted
    const chord_session_desc *desc;
} ch_gpu_args;

// Opens the device and brings the weights there; `state` is the arena's region for it. On failure
// nothing stays open on the device. Errors: UNSUPPORTED, MEMORY, SYSTEM, STOPPED, ARGUMENT.
CH_FN chord_result ch_gpu_open(ch_gpu *gpu, const ch_gpu_args *args, chord_error *error);
CH_FN void ch_gpu_close(ch_gpu *gpu);

// A step: n tokens at `position`, of the last `wanted` of which there are logits then. They are
// read to where open was told, or, if best_count is not 0, stay on the device, and so many of the
// most likely tokens after the last come to `best` instead, in any order (what is NaN as minus
// infinity): at most CH_GPU_BEST, and half of all. `done` and `total` are what on_progress is told.
typedef struct ch_gpu_step_args {
    const chord_token *tokens;
    int32_t n, position, wanted, done, total;
    ch_candidate *best;
    int32_t best_count;
} ch_gpu_step_args;

// Errors: STOPPED, SYSTEM (the device is lost, or failed).
CH_FN chord_result ch_gpu_step(ch_gpu *gpu, const ch_gpu_step_args *args, chord_error *error);

// Reads the first `rows` of the logits of the last step, which stayed on the device. SYSTEM.
CH_FN chord_result ch_gpu_read_logits(ch_gpu *gpu, int32_t rows, chord_error *error);

CH_FN const chord_device_info *ch_gpu_info(const ch_gpu *gpu);

// How op i is computed by a step of as many tokens as the last: the name of its shader, "" if it is
// done on the way of another op; and the device's time of it since open, if desc.profile was set.
CH_FN const char *ch_gpu_op(const ch_gpu *gpu, int32_t i, double *seconds);

#endif
