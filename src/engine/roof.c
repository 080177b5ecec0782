// roof: see roof.h.
#include "roof.h"

enum {
    ROOF_PIECE = 8 << 20, // bytes between two looks at the clock: about half a millisecond
    ROOF_ROUNDS = 4096    // of a peak between two looks: tens of microseconds
};

// Bytes of each lane's part of a working set.
static size_t roof_part(const ch_roof *roof, size_t bytes) {
    size_t part = CH_MIN(bytes, roof->bytes) / (size_t)roof->lanes.count;
    return CH_MAX(part / CH_ROOF_UNIT, (size_t)1) * CH_ROOF_UNIT;
}

// A lane's first touch, so that its pages are there (and near it, where memory has places).
static void roof_touch(void *user, int32_t lane) {
    ch_roof *roof = (ch_roof *)user;
    size_t part = roof->bytes / (size_t)roof->lanes.count;
    memset(roof->memory + (size_t)lane * part, 1, part);
}

// Reads pieces one after the other, as one pass over the part after the other, until the time is
// up. Parts smaller than a piece are read several times between two looks at the clock.
static void roof_read_lane(void *user, int32_t lane) {
    ch_roof *roof = (ch_roof *)user;
    ch_roof_lane *done = &roof->done[lane];
    const uint8_t *part = roof->memory + (size_t)lane * roof->part;
    size_t piece = CH_MIN(roof->part, (size_t)ROOF_PIECE), at = 0;
    int32_t times = (int32_t)(ROOF_PIECE / piece);
    uint64_t bytes = 0;
    double begun = ch_os_seconds(), now = begun;
    do {
        size_t size = CH_MIN(piece, roof->part - at);
        for (int32_t i = 0; i < times; i++) {
            // All bytes are 1.
            uint64_t want = (uint64_t)size / 8 * 0x0101010101010101u;
            if (roof->read(part + at, size) != want) done->wrong = true;
        }
        bytes += (uint64_t)size * (uint64_t)times;
        at = at + size < roof->part ? at + size : 0;
        now = ch_os_seconds();
    } while (now < roof->until);
    done->rate = (double)bytes / (now - begun);
}

static void roof_peak_lane(void *user, int32_t lane) {
    ch_roof *roof = (ch_roof *)user;
    ch_roof_lane *done = &roof->done[lane];
    int64_t made = 0;
    double begun = ch_os_seconds(), now = begun;
    do {
        int64_t sum = 0, part = roof->peak(ROOF_ROUNDS, &sum);
        if (sum != part) done->wrong = true;
        made += part;
        now = ch_os_seconds();
    } while (now < roof->until);
    done->rate = (double)made / (now - begun);
}

static double roof_run(ch_roof *roof, ch_lane_fn *fn, double seconds) {
    double rate = 0;
    roof->until = ch_os_seconds() + seconds;
    ch_lanes_run(&roof->lanes, fn, roof);
    for (int32_t i = 0; i < roof->lanes.count; i++) rate += roof->done[i].rate;
    return rate;
}

CH_FN bool ch_roof_open(ch_roof *roof, int32_t lanes, size_t bytes, uint32_t cpu) {
    memset(roof, 0, sizeof *roof);
    if (!ch_lanes_open(&roof->lanes, roof->lane, lanes)) return false;
    roof->cpu = cpu;
    size_t unit = CH_ROOF_UNIT * (size_t)lanes;
    roof->bytes = CH_MAX(bytes / unit, (size_t)1) * unit;
    roof->memory = (uint8_t *)ch_os_memory_take(roof->bytes);
    if (!roof->memory) {
        ch_lanes_close(&roof->lanes);
        return false;
    }
    ch_lanes_run(&roof->lanes, roof_touch, roof);
    return true;
}

CH_FN void ch_roof_close(ch_roof *roof) {
    if (!roof->memory) return;
    ch_lanes_close(&roof->lanes);
    ch_os_memory_release(roof->memory, roof->bytes);
    roof->memory = NULL;
}

CH_FN double ch_roof_read(ch_roof *roof, size_t bytes, double seconds) {
    int32_t row = ch_kernel_find(CH_FAMILY_ROOF_READ, 0, roof->cpu);
    roof->read = (ch_roof_read_fn *)ch_kernel_at(row)->fn;
    roof->part = roof_part(roof, bytes);
    return roof_run(roof, roof_read_lane, seconds);
}

CH_FN double ch_roof_peak(ch_roof *roof, ch_roof_kind kind, double seconds) {
    int32_t row = ch_kernel_find(CH_FAMILY_ROOF_PEAK, kind, roof->cpu);
    // Without products of its own, a bfloat16 is a float's upper half.
    if (kind == CH_ROOF_BF16 && ch_kernel_at(row)->cpu == 0)
        row = ch_kernel_find(CH_FAMILY_ROOF_PEAK, CH_ROOF_F32, roof->cpu);
    roof->peak = (ch_roof_peak_fn *)ch_kernel_at(row)->fn;
    return roof_run(roof, roof_peak_lane, seconds);
}

CH_FN double ch_roof_take(ch_roof *roof, ch_limit limit, size_t bytes, double seconds) {
    if (limit == CH_LIMIT_READ) return ch_roof_read(roof, bytes, seconds);
    ch_roof_kind kind = limit == CH_LIMIT_INT8  ? CH_ROOF_INT8
                        : limit == CH_LIMIT_F32 ? CH_ROOF_F32
                                                : CH_ROOF_BF16;
    return ch_roof_peak(roof, kind, seconds);
}

CH_FN bool ch_roof_sound(const ch_roof *roof) {
    for (int32_t i = 0; i < roof->lanes.count; i++)
        if (roof->done[i].wrong) return false;
    return true;
}
