// bench: what work needs at least of a machine, and the measuring of a model from within a program.
//
// Owns: the counting of bytes and multiply-adds of a step of many tokens, the least time that the
// machine's limits allow for them, chord_bench. Refuses: printing; statistics beyond a median.
#ifndef CH_BENCH_H
#define CH_BENCH_H

#include "../../include/chord.h"
#include "roof.h"

// What some work moves and computes at least.
typedef struct ch_need {
    double bytes;
    double macs[CH_LIMIT_COUNT]; // multiply-adds by kind of number; [CH_LIMIT_READ] is unused
} ch_need;

// Adds what an op must move and compute for n tokens after `depth`: at once in batches, of which
// the last token's logits are wanted, or one by one. A matrix and the cache are moved once a step,
// activations once a token.
CH_FN void ch_need_add(ch_need *need, const chord_op_info *op, int32_t n, int32_t depth,
                       int32_t batch, bool at_once);

// The least seconds that a need takes within limits (of bytes and multiply-adds per second; 0: not
// known, none), and which of them binds. Work in several kinds of numbers takes the sum of their
// times; it may be done while other bytes are read.
CH_FN double ch_need_seconds(const ch_need *need, const double *limits, ch_limit *binds);

// Token i of the text that is evaluated to measure: the same for every caller.
CH_FN chord_token ch_bench_token(int32_t vocabulary, int64_t i);

#endif
