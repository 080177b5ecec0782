// lanes: threads that all walk the same code, and meet at barriers.
//
// Owns: starting, joining, waking, the barrier; how many of them serve short steps best.
// Refuses: knowing what is run. Invariants: lane 0 is the caller. A lane that waits spins for some
// tens of microseconds, then sleeps, so that a busy neighbour's thread gets the core. Nothing is
// allocated after ch_lanes_open.
#ifndef CH_LANES_H
#define CH_LANES_H

#include "../arena/os.h"

typedef void ch_lane_fn(void *user, int32_t lane);

// What a waiting lane reads into its cache for later: four streams of `lines` lines of 64 bytes,
// `apart` bytes from each other.
typedef struct ch_ahead {
    const uint8_t *at;
    size_t apart, lines;
} ch_ahead;

// How many lanes do short steps, of which many alike follow each other. A lane that shares its core
// with a busy neighbour is away for milliseconds; where steps have barriers each tenth of one, the
// others had better not count on it. While waits end in sleep again and again, blocks of steps are
// timed, and now and then one with a lane fewer or more: the faster number stays.
typedef struct ch_pace {
    int32_t count;         // lanes there are
    int32_t best, now;     // that serve best; that the next step shall have: not `best` in a trial
    bool watching;         // the steps are timed
    bool up;               // the last trial had a lane more,
    int32_t reach;         // or the next has so many fewer
    int32_t streak;        // steps in a row in which lanes slept, while not watching
    int32_t steps, sleeps; // of the block
    int32_t wait, pause;   // blocks to the next trial, and between trials
    double seconds, best_step; // of the block; of a step of the last block with the best number
} ch_pace;

CH_FN void ch_pace_open(ch_pace *pace, int32_t count);

// After a step with pace->now lanes: what it took (not asked for unless pace->watching) and how
// many waits in it ended in sleep.
CH_FN void ch_pace_step(ch_pace *pace, double seconds, int32_t sleeps);

typedef struct ch_lanes ch_lanes;

typedef struct ch_lane {
    CH_ALIGNAS(64) ch_os_thread thread;
    ch_os_thread_start start;
    ch_lanes *lanes;
    int32_t index;
} ch_lane;

struct ch_lanes {
    ch_lane *lane; // [count]
    int32_t count;
    int32_t active;  // lanes of the current run, the first ones
    int32_t started; // threads that run, besides the caller
    ch_lane_fn *fn;
    void *user;
    bool quit;
    ch_os_gate gate;
    // Words that lanes watch, each on a line of its own.
    CH_ALIGNAS(64) uint32_t run;        // changes when there is something to do: see lanes.c
    CH_ALIGNAS(64) uint32_t generation; // changes when a barrier opens
    CH_ALIGNAS(64) uint32_t arrived;    // lanes at the barrier
    CH_ALIGNAS(64) uint32_t sleepers;
    int32_t spins;  // how often to look before sleeping at a barrier
    uint32_t slept; // waits at barriers that ended in sleep
    ch_pace pace;
};

// `lane` is room for `count` lanes. False: the operating system gave no thread; nothing is left
// running.
CH_FN bool ch_lanes_open(ch_lanes *lanes, ch_lane *lane, int32_t count);
CH_FN void ch_lanes_close(ch_lanes *lanes);

// Runs fn(user, i) on every lane i, and returns when all have.
CH_FN void ch_lanes_run(ch_lanes *lanes, ch_lane_fn *fn, void *user);

// The same for a short step: on lanes->active lanes, as many as serve best. `usual`: it is of the
// kind by which that is found out.
CH_FN void ch_lanes_run_step(ch_lanes *lanes, bool usual, ch_lane_fn *fn, void *user);

// All lanes wait here for each other. What was written before is seen after by all. Who waits
// fetches `ahead`, as far as the wait allows.
CH_FN void ch_lanes_barrier(ch_lanes *lanes, ch_ahead ahead);

#endif
