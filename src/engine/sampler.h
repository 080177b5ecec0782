// sampler: from a row of logits to a token. What it does, and in which order, is said at
// chord_sampler in chord.h.
//
// Owns: the penalties, the cuts, the draw, the random numbers. Refuses: settings that are no
// numbers.
#ifndef CH_SAMPLER_H
#define CH_SAMPLER_H

#include "../arena/error.h"

typedef struct ch_candidate {
    float logit;
    chord_token id;
} ch_candidate;

// PCG32: M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
// for Random Number Generation", 2014: the generator XSH RR 64/32 with a selectable stream.
typedef struct ch_random {
    uint64_t state, increment;
} ch_random;

CH_FN void ch_random_seed(ch_random *random, uint64_t seed);
CH_FN uint32_t ch_random_next(ch_random *random);

CH_FN chord_result ch_sampler_check(const chord_sampler *sampler, chord_error *error);

// `recent` are the tokens that the penalty may look at, all of them; the window is taken here.
// `candidates` is room for n. NaN counts as the least likely. Returns an id in 0..n-1.
CH_FN chord_token ch_sampler_choose(const chord_sampler *sampler, ch_random *random,
                                    const float *logits, int32_t n, const chord_token *recent,
                                    int32_t recent_count, ch_candidate *candidates);

// How many of the most likely tokens (of equal logits the smaller ids) ch_sampler_choose_best wants
// at least, to choose what ch_sampler_choose does from all n: with top-k one more than k, so that
// the cut goes the same way, and one for each token that a penalty may bring behind others. n:
// there is no way around all of them.
CH_FN int32_t ch_sampler_enough(const chord_sampler *sampler, int32_t n, int32_t recent_count);

// As ch_sampler_choose, from the n most likely tokens alone, in any order, with their logits as
// they came. `candidates` is room for n.
CH_FN chord_token ch_sampler_choose_best(const chord_sampler *sampler, ch_random *random,
                                         const ch_candidate *best, int32_t n,
                                         const chord_token *recent, int32_t recent_count,
                                         ch_candidate *candidates);

#endif
