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

static void lanes_change(ch_lanes *lanes, uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lanes->sleepers, __ATOMIC_SEQ_CST) > 0) ch_os_gate_wake(&lanes->gate);
}

CH_FN void ch_lanes_barrier(ch_lanes *lanes, ch_ahead ahead) {
    const int32_t active = lanes->active; // another run may have another number once this lane has
                                          // arrived
    if (active == 1) return;
    uint32_t generation =
        CH_LOAD_RELAXED(&lanes->generation); // cannot change before this lane has arrived
    if (CH_FETCH_ADD(&lanes->arrived, 1u) + 1 == (uint32_t)active) {
        CH_STORE_RELAXED(&lanes->arrived, 0u);
        lanes_change(lanes, &lanes->generation, generation + 1);
    } else {
        int32_t spins = CH_LOAD_RELAXED(&lanes->spins);
        bool slept = lanes_await(lanes, &lanes->generation, generation, spins, ahead);
        int32_t next = slept ? spins / 4 : spins + spins / 8 + 1;
        next = CH_MIN(CH_MAX(next, LANES_LEAST_SPINS), LANES_MOST_SPINS);
        if (next != spins) CH_STORE_RELAXED(&lanes->spins, next);
        if (slept) __atomic_add_fetch(&lanes->slept, 1, __ATOMIC_RELAXED);
    }
}

// The word `run` holds, below its number, how many lanes take part, so that a lane learns both at
// once: one that does not may be runs behind when it looks, and must not take the lanes of one run
// for those of another.
enum { LANES_PART = 256 };

static void lanes_main(void *user) {
    ch_lane *lane = (ch_lane *)user;
    ch_lanes *lanes = lane->lanes;
    uint32_t seen = 0;
    int32_t spins = LANES_MOST_SPINS;
    for (;;) {
        lanes_await(lanes, &lanes->run, seen, spins, lanes_nothing);
        seen = CH_LOAD_ACQUIRE(&lanes->run);
        if (lanes->quit) return;
        bool part = lane->index < (int32_t)(seen % LANES_PART);
        spins = part ? LANES_MOST_SPINS : 0; // who is left out leaves the core
        if (!part) continue;
        lanes->fn(lanes->user, lane->index);
        ch_lanes_barrier(lanes, lanes_nothing);
    }
}

static void lanes_start(ch_lanes *lanes, int32_t active) {
    uint32_t number = CH_LOAD_RELAXED(&lanes->run) / LANES_PART + 1;
    lanes_change(lanes, &lanes->run, number * LANES_PART + (uint32_t)active);
}

CH_FN bool ch_lanes_open(ch_lanes *lanes, ch_lane *lane, int32_t count) {
    memset(lanes, 0, sizeof *lanes);
    lanes->lane = lane;
    lanes->count = lanes->active = count;
    lanes->spins = LANES_MOST_SPINS;
    ch_pace_open(&lanes->pace, count);
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
    lanes_start(lanes, 0);
    for (int32_t i = 1; i <= lanes->started; i++) ch_os_thread_join(&lanes->lane[i].thread);
    ch_os_gate_close(&lanes->gate);
}

static void lanes_run(ch_lanes *lanes, int32_t active, ch_lane_fn *fn, void *user) {
    lanes->fn = fn;
    lanes->user = user;
    lanes->active = active;
    if (active > 1) lanes_start(lanes, active);
    fn(user, 0);
    ch_lanes_barrier(lanes, lanes_nothing);
}

CH_FN void ch_lanes_run(ch_lanes *lanes, ch_lane_fn *fn, void *user) {
    lanes_run(lanes, lanes->count, fn, user);
}

CH_FN void ch_lanes_run_step(ch_lanes *lanes, bool usual, ch_lane_fn *fn, void *user) {
    ch_pace *pace = &lanes->pace;
    if (!usual || lanes->count == 1) {
        lanes_run(lanes, pace->best, fn, user);
        return;
    }
    uint32_t before = CH_LOAD_RELAXED(&lanes->slept);
    double begun = pace->watching ? ch_os_seconds() : 0;
    lanes_run(lanes, pace->now, fn, user);
    ch_pace_step(pace, pace->watching ? ch_os_seconds() - begun : 0,
                 (int32_t)(CH_LOAD_RELAXED(&lanes->slept) - before));
}

// ---- how many

enum {
    PACE_STREAK = 3, // steps with sleep that make us watch
    PACE_STEPS = 8,  // of a block, at least
    PACE_LEAST_PAUSE = 2,
    PACE_MOST_PAUSE = 8
};

// A block lasts several time slices. Lanes are disturbed if they sleep about once a slice; a number
// of lanes is better if its steps are so much shorter, and given up at once if so much longer.
static const double pace_block = 0.03, pace_slice = 0.01, pace_better = 0.98, pace_worse = 1.25;

CH_FN void ch_pace_open(ch_pace *pace, int32_t count) {
    memset(pace, 0, sizeof *pace);
    pace->count = pace->best = pace->now = count;
}

CH_FN void ch_pace_step(ch_pace *pace, double seconds, int32_t sleeps) {
    if (!pace->watching) {
        pace->streak = sleeps > 0 ? pace->streak + 1 : 0;
        if (pace->streak < PACE_STREAK) return;
        ch_pace_open(pace, pace->count);
        pace->watching = true;
        pace->pause = PACE_LEAST_PAUSE;
        pace->reach = 1;
        return;
    }
    pace->steps++;
    pace->seconds += seconds;
    pace->sleeps += sleeps;
    double step = pace->seconds / pace->steps;
    bool trial = pace->now != pace->best;
    bool hopeless = trial && pace->steps > 1 && step > pace_worse * pace->best_step;
    if (!hopeless && (pace->steps < PACE_STEPS || pace->seconds < pace_block)) return;
    bool disturbed = pace->sleeps * pace_slice >= pace->seconds;
    pace->steps = pace->sleeps = 0;
    pace->seconds = 0;
    if (trial) {
        bool better = step < pace_better * pace->best_step;
        if (better) pace->best = pace->now;
        if (better) pace->best_step = step;
        pace->pause = better ? PACE_LEAST_PAUSE : CH_MIN(2 * pace->pause, PACE_MOST_PAUSE);
        if (!pace->up) pace->reach = better ? 1 : 2 * pace->reach; // two neighbours, perhaps
        pace->wait = pace->pause;
        pace->now = pace->best;
        return;
    }
    pace->best_step = step;
    pace->watching = disturbed || pace->best < pace->count;
    if (!pace->watching || pace->wait-- > 0) return;
    // More or fewer in turn, where both are to be had.
    bool more = pace->best < pace->count;
    bool fewer = pace->best > 1 && disturbed;
    pace->up = more && (!fewer || !pace->up);
    if (pace->reach >= pace->best) pace->reach = 1;
    if (more || fewer) pace->now = pace->best + (pace->up ? 1 : -pace->reach);
}
