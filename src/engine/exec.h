// exec: the CPU executor: every lane walks the op array and takes its share of each op.
//
// Owns: how an op is cut into units of work, and who does them. Refuses: failing: all was checked
// before. Invariant: a unit's result does not depend on who does it, nor on how the units are cut.
#ifndef CH_EXEC_H
#define CH_EXEC_H

#include "../model/plan.h"
#include "lanes.h"

// How far the units of one op in one lane's own range are taken. A line each: lanes do not disturb
// each other.
typedef struct ch_cursor {
    CH_ALIGNAS(64) int32_t next;
} ch_cursor;

typedef struct ch_exec {
    const uint8_t *file; // weights
    uint8_t *arena;      // all else
    const ch_weights *weights;
    const ch_plan *plan;
    const ch_op *ops;
    ch_lanes *lanes;
    ch_cursor *cursors; // [ops][lanes]
    // Seconds in each op: a row of each lane's own work in this step and when it last looked at the
    // clock, plan->profile_bytes apart, then a row of the sums so far. NULL: not kept.
    double *profile;
    double opened;     // when the last barrier opened, for lane 0
    int32_t opened_op; // the op after it
    const double *rope_freqs;
    float rope_magnitude;
    // The step.
    const chord_token *tokens; // [n]
    int32_t n, position;       // of the first token
    int32_t wanted;            // rows of logits, of the last tokens
    // Asked between blocks of a prefill; a result other than 0 stops the step.
    int (*on_progress)(void *user, int32_t done, int32_t total);
    void *user;
    int32_t done, total; // tokens before this step, and in all
    uint32_t stop;
} ch_exec;

// Evaluates one step. False if on_progress stopped it: the logits and the cache from `position` on
// are then void.
CH_FN bool ch_exec_step(ch_exec *exec);

// Seconds spent in op i so far: its part of the time between the barriers around it, in proportion
// to the time that all lanes worked at it. 0 if no profile is kept.
CH_FN double ch_exec_op_seconds(const ch_exec *exec, int32_t i);

#endif
