// lanes: threads that all walk the same code, and meet at barriers.
//
// Owns: starting, joining, waking, the barrier. Refuses: knowing what is run.
// Invariants: lane 0 is the caller. A lane that waits spins for some tens of microseconds, then
// sleeps, so that a busy neighbour's thread gets the core. Nothing is allocated after
// ch_lanes_open.
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
    int32_t started; // threads that run, besides the caller
    ch_lane_fn *fn;
    void *user;
    bool quit;
    ch_os_gate gate;
    // Words that lanes watch, each on a line of its own.
    CH_ALIGNAS(64) uint32_t run;        // changes when there is something to do
    CH_ALIGNAS(64) uint32_t generation; // changes when a barrier opens
    CH_ALIGNAS(64) uint32_t arrived;    // lanes at the barrier
    CH_ALIGNAS(64) uint32_t sleepers;
    int32_t spins; // how often to look before sleeping at a barrier
};

// `lane` is room for `count` lanes. False: the operating system gave no thread; nothing is left
// running.
CH_FN bool ch_lanes_open(ch_lanes *lanes, ch_lane *lane, int32_t count);
CH_FN void ch_lanes_close(ch_lanes *lanes);

// Runs fn(user, i) on every lane i, and returns when all have.
CH_FN void ch_lanes_run(ch_lanes *lanes, ch_lane_fn *fn, void *user);

// All lanes wait here for each other. What was written before is seen after by all. Who waits
// fetches `ahead`, as far as the wait allows.
CH_FN void ch_lanes_barrier(ch_lanes *lanes, ch_ahead ahead);

#endif
