// lanes: see lanes.h.
#include "lanes.h"

// How often a waiting lane looks before it sleeps. A look with its pause is 10 to 60 ns, so the
// most is about 0.1 ms: longer than most waits within a step, shorter than a time slice. Where a
// wait ends in sleep all the same, another lane has no core, and perhaps needs the one that is spun
// on: the next waits look less often. Waits that end while looking bring patience back.
enum { LANES_MOST_SPINS = 2000, LANES_LEAST_SPINS = 30 };

static const ch_ahead lanes_nothing = {NULL, 0, 0};

static void lanes_fetch(ch_ahead *ahead) {
    if (ahead->lines == 0) return;
    for (size_t i = 0; i < 4; i++) CH_PREFETCH((uintptr_t)ahead->at + i * ahead->apart);
    ahead->at += 64;
    ahead->lines--;
}

// Waits until *word differs from `value`. The order "say that I sleep, then look again" here, and
// "change the word, then see who sleeps" in lanes_change, both sequentially consistent, make sure
// that no change is slept through. Returns whether it slept.
static bool lanes_await(ch_lanes *lanes, const uint32_t *word, uint32_t value, int32_t spins,
                        ch_ahead ahead) {
    for (int32_t i = 0; i < spins; i++) {
        if (CH_LOAD_ACQUIRE(word) != value) return false;
        lanes_fetch(&ahead);
        ch_os_relax();
    }
    __atomic_add_fetch(&lanes->sleepers, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
        ch_os_gate_wait(&lanes->gate, word, value);
    __atomic_sub_fetch(&lanes->sleepers, 1, __ATOMIC_SEQ_CST);
    return true;
}

static void lanes_change(ch_lanes *lanes, uint32_t *word) {
    __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lanes->sleepers, __ATOMIC_SEQ_CST) > 0) ch_os_gate_wake(&lanes->gate);
}

CH_FN void ch_lanes_barrier(ch_lanes *lanes, ch_ahead ahead) {
    if (lanes->count == 1) return;
    uint32_t generation =
        CH_LOAD_RELAXED(&lanes->generation); // cannot change before this lane has arrived
    if (CH_FETCH_ADD(&lanes->arrived, 1u) + 1 == (uint32_t)lanes->count) {
        CH_STORE_RELAXED(&lanes->arrived, 0u);
        lanes_change(lanes, &lanes->generation);
    } else {
        int32_t spins = CH_LOAD_RELAXED(&lanes->spins);
        bool slept = lanes_await(lanes, &lanes->generation, generation, spins, ahead);
        int32_t next = slept ? spins / 4 : spins + spins / 8 + 1;
        next = CH_MIN(CH_MAX(next, LANES_LEAST_SPINS), LANES_MOST_SPINS);
        if (next != spins) CH_STORE_RELAXED(&lanes->spins, next);
    }
}

static void lanes_main(void *user) {
    ch_lane *lane = (ch_lane *)user;
    ch_lanes *lanes = lane->lanes;
    uint32_t seen = 0;
    for (;;) {
        lanes_await(lanes, &lanes->run, seen, LANES_MOST_SPINS, lanes_nothing);
        seen++;
        if (lanes->quit) return;
        lanes->fn(lanes->user, lane->index);
        ch_lanes_barrier(lanes, lanes_nothing);
    }
}

CH_FN bool ch_lanes_open(ch_lanes *lanes, ch_lane *lane, int32_t count) {
    memset(lanes, 0, sizeof *lanes);
    lanes->lane = lane;
    lanes->count = count;
    lanes->spins = LANES_MOST_SPINS;
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
    ch_lanes_barrier(lanes, lanes_nothing);
}
