// lanes: see lanes.h.
#include "lanes.h"

// How often a waiting lane looks before it sleeps. A look with its pause is 10 to 40 ns, so this is
// some tens of microseconds: longer than most waits within a step, shorter than a time slice.
enum { LANES_SPINS = 2000 };

// Waits until *word differs from `value`. The order "say that I sleep, then look again" here, and
// "change the word, then see who sleeps" in lanes_change, both sequentially consistent, make sure
// that no change is slept through.
static void lanes_await(ch_lanes *lanes, const uint32_t *word, uint32_t value) {
    for (int32_t i = 0; i < LANES_SPINS; i++) {
        if (CH_LOAD_ACQUIRE(word) != value) return;
        ch_os_relax();
    }
    __atomic_add_fetch(&lanes->sleepers, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
        ch_os_gate_wait(&lanes->gate, word, value);
    __atomic_sub_fetch(&lanes->sleepers, 1, __ATOMIC_SEQ_CST);
}

static void lanes_change(ch_lanes *lanes, uint32_t *word) {
    __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lanes->sleepers, __ATOMIC_SEQ_CST) > 0) ch_os_gate_wake(&lanes->gate);
}

CH_FN void ch_lanes_barrier(ch_lanes *lanes) {
    if (lanes->count == 1) return;
    uint32_t generation =
        CH_LOAD_RELAXED(&lanes->generation); // cannot change before this lane has arrived
    if (CH_FETCH_ADD(&lanes->arrived, 1u) + 1 == (uint32_t)lanes->count) {
        CH_STORE_RELAXED(&lanes->arrived, 0u);
        lanes_change(lanes, &lanes->generation);
    } else {
        lanes_await(lanes, &lanes->generation, generation);
    }
}

static void lanes_main(void *user) {
    ch_lane *lane = (ch_lane *)user;
    ch_lanes *lanes = lane->lanes;
    uint32_t seen = 0;
    for (;;) {
        lanes_await(lanes, &lanes->run, seen);
        seen++;
        if (lanes->quit) return;
        lanes->fn(lanes->user, lane->index);
        ch_lanes_barrier(lanes);
    }
}

CH_FN bool ch_lanes_open(ch_lanes *lanes, ch_lane *lane, int32_t count) {
    memset(lanes, 0, sizeof *lanes);
    lanes->lane = lane;
    lanes->count = count;
    if (!ch_os_gate_open(&lanes->gate)) return false;
    for (int32_t i = 1; i < count; i++) {
        lane[i].lanes = lanes;
        lane[i].index = i;
        lane[i].start.fn = lanes_main;
        lane[i].start.user = &lane[i];
        if (!ch_os_thread_open(&lane[i].thread, &lane[i].start)) {
            ch_lanes_close(lanes);
            return false;
        }
        lanes->started++;
    }
    return true;
}

CH_FN void ch_lanes_close(ch_lanes *lanes) {
    lanes->quit = true;
    lanes_change(lanes, &lanes->run);
    for (int32_t i = 1; i <= lanes->started; i++) ch_os_thread_join(&lanes->lane[i].thread);
    ch_os_gate_close(&lanes->gate);
}

CH_FN void ch_lanes_run(ch_lanes *lanes, ch_lane_fn *fn, void *user) {
    lanes->fn = fn;
    lanes->user = user;
    if (lanes->count > 1) lanes_change(lanes, &lanes->run);
    fn(user, 0);
    ch_lanes_barrier(lanes);
}
