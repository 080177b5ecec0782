// lanes_stress: runs on changing numbers of lanes, for ThreadSanitizer, under which Criterion does
// not start. It says what is wrong, and returns 1 then.
#include "../src/engine/lanes.h"

#include <stdio.h>

enum { LANES = 4, RUNS = 20000 };

typedef struct stress {
    ch_lanes lanes;
    ch_lane lane[LANES];
    int32_t wrote[LANES]; // the number of the run, by each lane that takes part
    int32_t run, wrong;
} stress;

static void stress_lane(void *user, int32_t lane) {
    stress *s = (stress *)user;
    s->wrote[lane] = s->run;
    ch_lanes_barrier(&s->lanes, (ch_ahead){NULL, 0, 0});
    int32_t seen = 0;
    for (int32_t i = 0; i < LANES; i++) seen += i < s->lanes.active && s->wrote[i] == s->run;
    if (lane == 0 && seen != s->lanes.active) s->wrong++;
}

int main(void) {
    static stress s;
    if (!ch_lanes_open(&s.lanes, s.lane, LANES)) return 1;
    for (s.run = 1; s.run <= RUNS; s.run++) {
        ch_pace_open(&s.lanes.pace, LANES);
        s.lanes.pace.now = 1 + (s.run * 7919 >> 3) % LANES;
        ch_lanes_run_step(&s.lanes, true, stress_lane, &s);
    }
    ch_lanes_close(&s.lanes);
    printf("%d runs, %d wrong\n", RUNS, (int)s.wrong);
    return s.wrong != 0;
}
