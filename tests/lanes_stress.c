// lanes_stress: runs on changing numbers of lanes. A program of its own, without Criterion, which
// does not start under ThreadSanitizer. It says how many runs went wrong, and returns 1 then.
#include "../src/engine/lanes.h"

#include <stdio.h>

enum { LANES = 4, RUNS = 20000 };

typedef struct stress {
    ch_lanes lanes;
    ch_lane lane[LANES];
    int32_t due[LANES], ran[LANES]; // runs of each lane: that it was to take part in, that it did
    int32_t wrong;
} stress;

static void stress_check(stress *s) {
    bool good = true;
    for (int32_t i = 0; i < LANES; i++) good = good && s->ran[i] == s->due[i];
    s->wrong += !good;
}

static void stress_lane(void *user, int32_t lane) {
    stress *s = (stress *)user;
    s->ran[lane]++;
    ch_lanes_barrier(&s->lanes, (ch_ahead){NULL, 0, 0});
    if (lane == 0) stress_check(s);
}

int main(void) {
    static stress s;
    if (!ch_lanes_open(&s.lanes, s.lane, LANES)) return 1;
    for (int32_t run = 0; run < RUNS; run++) {
        int32_t now = 1 + (run * 7919 >> 3) % LANES;
        for (int32_t i = 0; i < now; i++) s.due[i]++;
        ch_pace_open(&s.lanes.pace, LANES);
        s.lanes.pace.now = now;
        ch_lanes_run_step(&s.lanes, true, stress_lane, &s);
        stress_check(&s);
    }
    ch_lanes_close(&s.lanes);
    printf("%d runs, %d wrong\n", RUNS, (int)s.wrong);
    return s.wrong != 0;
}
